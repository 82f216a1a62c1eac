//! Pure: what a month comes to for one liver.
//!
//! What is earned, what came back, and what was carried over from the month before make one sum. Where it is positive it is
//! paid, with tax; where not, nothing is paid and the sum is carried over.
//! Invariant: earned + reversed + carried in = paid without tax + carried out.

use super::{
    consumption::{Tax, tax},
    month::{Month, end_of_day},
    terms::MAX_PAY_DAYS,
};
use crate::clock::Millis;

/// Lines of one statement that are of one stream and one contract version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// When the stream began.
    pub(super) streamed_at: Millis,
    /// What was agreed on; `None` without terms.
    pub(super) pay_within_days: Option<i32>,
    pub(super) lines: i64,
    pub(super) earned_minor: i64,
    /// Not positive.
    pub(super) reversed_minor: i64,
    pub(super) demo: bool,
}

/// What a month comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) lines: i64,
    pub(super) earned_minor: i64,
    pub(super) reversed_minor: i64,
    pub(super) carried_in_minor: i64,
    pub(super) carried_out_minor: i64,
    pub(super) tax: Tax,
    /// With tax; 0: it is carried over.
    pub(super) payable_minor: i64,
    /// The last moment at which it may be paid; of what is not paid there is none.
    pub(super) pay_by: Option<Millis>,
    pub(super) demo: bool,
}

impl Draft {
    pub(super) fn is_carried(&self) -> bool {
        self.payable_minor == 0
    }
}

/// The statement of these lines.
pub(super) fn draft(parts: &[Part], carried_in_minor: i64, registered: bool, month: Month) -> Draft {
    let sum = |field: fn(&Part) -> i64| parts.iter().map(field).sum::<i64>();
    let (earned_minor, reversed_minor) = (sum(|part| part.earned_minor), sum(|part| part.reversed_minor));
    let left = earned_minor + reversed_minor + carried_in_minor;
    let tax = tax(left, registered, month.last_day());
    // The first day by which any of it has to be paid. What only came back was streamed long ago, and what earned nothing,
    // is owed to nobody.
    let due = |part: &Part| end_of_day(part.streamed_at, part.pay_within_days.unwrap_or(MAX_PAY_DAYS));
    let pay_by = parts.iter().filter(|part| part.earned_minor > 0).map(due).min();
    Draft {
        lines: sum(|part| part.lines),
        earned_minor,
        reversed_minor,
        carried_in_minor,
        carried_out_minor: left.min(0),
        tax,
        payable_minor: left.max(0) + tax.minor,
        // Where something is left there was a sale.
        pay_by: pay_by.filter(|_| left > 0),
        demo: parts.iter().any(|part| part.demo),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn month() -> Month {
        Month::parse("2026-11").expect("a month")
    }

    fn part(earned_minor: i64, reversed_minor: i64, streamed_at: Millis, days: Option<i32>) -> Part {
        let lines = i64::from(earned_minor > 0) + i64::from(reversed_minor < 0);
        Part { streamed_at, pay_within_days: days, lines, earned_minor, reversed_minor, demo: false }
    }

    #[test]
    fn the_earliest_day_counts_and_only_of_what_was_sold() {
        let day = 24 * 3_600_000;
        // Midnight in Japan, 1 November 2026.
        let began = Millis(1_793_458_800_000);
        let at = |days: i64| Millis(began.0 + days * day);
        let parts = [
            part(1_000, 0, at(4), None),
            // Ten days later, but to be paid within 30 days.
            part(500, 0, at(14), Some(30)),
            // Earned nothing, so nothing of it can be overdue.
            part(0, 0, at(-90), Some(30)),
            // Long ago, and it came back.
            part(0, -300, at(-200), Some(1)),
        ];
        let draft = draft(&parts, -100, true, month());
        assert_eq!(draft.pay_by, Some(Millis(at(14 + 30).0 - 1)));
        assert_eq!((draft.lines, draft.payable_minor, draft.tax.minor), (3, 1_100 + 110, 110));
        assert_eq!((draft.carried_in_minor, draft.carried_out_minor), (-100, 0));
    }

    #[test]
    fn what_is_not_positive_is_carried_and_not_paid() {
        let draft = draft(&[part(100, -100, Millis(0), None)], 0, true, month());
        assert_eq!((draft.payable_minor, draft.carried_out_minor, draft.pay_by), (0, 0, None));
        assert!(draft.is_carried());
    }

    /// A line's credit and what came back of it, each in the statement of a month or in none yet.
    #[derive(Debug, Clone)]
    struct Sold {
        commission: i64,
        /// Basis points of it that come back, in parts.
        back: Vec<(i64, usize)>,
        month: usize,
    }

    const MONTHS: usize = 6;

    fn sold() -> impl Strategy<Value = Sold> {
        // A month beyond the last is in no statement yet.
        let back = prop::collection::vec((0i64..=10_000, 0..MONTHS + 2), 0..3);
        (0i64..100_000, back, 0..MONTHS + 2).prop_map(|(commission, back, month)| Sold { commission, back, month })
    }

    proptest! {
        #[test]
        fn statements_and_open_credits_add_up_to_the_ledger(
            sold in prop::collection::vec(sold(), 0..20),
            whole in any::<bool>(),
        ) {
            let mut rows: Vec<(i64, usize)> = Vec::new();
            for one in &sold {
                rows.push((one.commission, one.month));
                let mut left = one.commission;
                for (bp, month) in &one.back {
                    let back = left.min(one.commission * bp / 10_000);
                    left -= back;
                    rows.push((-back, one.month.max(*month)));
                }
                if whole {
                    rows.push((-left, MONTHS - 1));
                }
            }
            let ledger: i64 = rows.iter().map(|(amount, _)| amount).sum();
            let open: i64 = rows.iter().filter(|(_, month)| *month >= MONTHS).map(|(amount, _)| amount).sum();
            let (mut paid, mut carried) = (0, 0);
            for month_ in 0..MONTHS {
                let own: Vec<Part> = rows
                    .iter()
                    .filter(|(amount, at)| *at == month_ && *amount != 0)
                    .map(|(amount, _)| part((*amount).max(0), (*amount).min(0), Millis(0), None))
                    .collect();
                let draft = draft(&own, carried, true, month());
                prop_assert!(draft.payable_minor >= 0 && draft.carried_out_minor <= 0);
                prop_assert!(draft.payable_minor == 0 || draft.carried_out_minor == 0);
                prop_assert_eq!(draft.pay_by.is_some(), !draft.is_carried());
                prop_assert_eq!(draft.tax.minor, (draft.payable_minor - draft.tax.minor) / 10);
                paid += draft.payable_minor - draft.tax.minor;
                carried = draft.carried_out_minor;
            }
            prop_assert_eq!(paid + carried + open, ledger);
            if whole {
                prop_assert_eq!(ledger, 0, "what came back whole is worth nothing");
            }
        }
    }
}
