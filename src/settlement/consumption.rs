//! Pure: consumption tax on commission.
//!
//! A commission is agreed on without tax, and tax is added once a statement. So what a credit is worth depends neither on
//! whether the liver is registered nor on the rate of the day, the credits of a statement add up to it to the yen, and one
//! document rounds once for its rate, as an invoice does. Who is not registered is paid the same: taking the tax off them
//! would be a cut that nobody agreed on. What the brand may deduct of it is told, and is what differs.

use jiff::civil::{Date, date};

use crate::money::{WHOLE_BP, share};

/// The standard rate, from these days on (消費税法 29条).
const RATES_BP: &[(Date, i32)] = &[(date(2014, 4, 1), 800), (date(2019, 10, 1), 1_000)];

/// What a buyer may deduct of the tax on what somebody who is not registered supplied, from these days on: 平成28年改正法附則
/// 52条・53条, as the tax reform of 2026 (令和8年度税制改正の大綱, 2025-12-26) has spread it: 80, 70, 50, 30 %, and nothing from
/// October 2031 on. (The law also bounds it to 100 million yen a year from one supplier, which is the brand's to watch.)
const DEDUCTIBLE_BP: &[(Date, i32)] = &[
    (date(2014, 4, 1), 10_000),
    (date(2023, 10, 1), 8_000),
    (date(2026, 10, 1), 7_000),
    (date(2028, 10, 1), 5_000),
    (date(2030, 10, 1), 3_000),
    (date(2031, 10, 1), 0),
];

fn on(table: &[(Date, i32)], day: Date) -> i32 {
    table.iter().rev().find(|(from, _)| *from <= day).or(table.first()).map_or(0, |(_, bp)| *bp)
}

/// Tax on a commission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tax {
    pub(super) rate_bp: i32,
    pub(super) minor: i64,
    /// Of it, what the brand may deduct.
    pub(super) deductible_bp: i32,
}

/// The tax that is added to a commission, by the last day of its month: fractions of a yen dropped. (What an earlier month
/// has left behind, for it was captured late, goes by the rates of the month in whose statement it is.)
pub(super) fn tax(commission_minor: i64, registered: bool, day: Date) -> Tax {
    let rate_bp = on(RATES_BP, day);
    let whole = i32::try_from(WHOLE_BP).unwrap_or(i32::MAX);
    let deductible_bp = if registered { whole } else { on(DEDUCTIBLE_BP, day) };
    Tax { rate_bp, minor: share(commission_minor.max(0), rate_bp), deductible_bp }
}

/// What of a tax the brand may deduct.
pub(super) fn deductible(tax_minor: i64, deductible_bp: i32) -> i64 {
    share(tax_minor, deductible_bp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_go_by_the_day() {
        let unregistered = |day| tax(10_009, false, day);
        assert_eq!(unregistered(date(2026, 9, 30)), Tax { rate_bp: 1_000, minor: 1_000, deductible_bp: 8_000 });
        assert_eq!(unregistered(date(2026, 10, 31)).deductible_bp, 7_000);
        assert_eq!(unregistered(date(2030, 9, 30)).deductible_bp, 5_000);
        assert_eq!(unregistered(date(2031, 9, 30)).deductible_bp, 3_000);
        assert_eq!(unregistered(date(2031, 10, 31)).deductible_bp, 0);
        assert_eq!(tax(10_009, true, date(2031, 10, 31)).deductible_bp, 10_000);
        assert_eq!(tax(-5, true, date(2026, 11, 30)).minor, 0);
    }
}
