//! Pure: one cell of a merchant's file into a value.
//!
//! Numbers come as people and spreadsheets write them: full-width digits, thousands separators, a yen sign, `.00`.
//! Each refusal is a sentence that goes on after the column's name.

use crate::money::Money;

/// Units of one SKU at one location.
pub(super) const MAX_COUNTED: i64 = 1_000_000;

/// What a file says of the tax in a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tax {
    /// This rate, in basis points.
    Rate(i32),
    /// Taxed, at a rate the file does not know.
    Taxed,
    /// Nothing.
    Unsaid,
}

/// Full-width ASCII, minus and yen in their narrow forms, trimmed.
fn narrow(cell: &str) -> String {
    let narrowed = cell.chars().map(|c| match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        '\u{3000}' => ' ',
        '\u{2212}' => '-',
        '\u{ffe5}' => '¥',
        other => other,
    });
    narrowed.collect::<String>().trim().to_owned()
}

/// `1980`, `1,980`, `1980.00`; `None` for everything else.
fn whole(text: &str) -> Option<i64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if !decimals.bytes().all(|b| b == b'0') {
        return None;
    }
    let mut groups = whole.split(',');
    let first = groups.next().filter(|group| !group.is_empty())?;
    let mut digits = first.to_owned();
    for group in groups {
        if group.len() != 3 || first.len() > 3 {
            return None;
        }
        digits.push_str(group);
    }
    // Digits only: `parse` alone would let a sign pass.
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// A price in yen.
pub(super) fn price(cell: &str) -> Result<i64, String> {
    let text = narrow(cell);
    // Japanese spreadsheets write the yen sign as a backslash in some fonts.
    let bare = text.trim_start_matches(['¥', '\\']).trim_end_matches('円').trim();
    if bare.split_once('.').is_some_and(|(_, decimals)| decimals.bytes().any(|b| b.is_ascii_digit() && b != b'0')) {
        return Err(format!("must be whole yen: {}", excerpt(cell)));
    }
    whole(bare)
        .filter(|minor| Money::yen(*minor).is_ok())
        .ok_or_else(|| format!("must be yen from 0 to 1000000000000, like 1980 or 1,980: {}", excerpt(cell)))
}

/// Counted units.
pub(super) fn counted(cell: &str) -> Result<i64, String> {
    whole(&narrow(cell))
        .filter(|units| *units <= MAX_COUNTED)
        .ok_or_else(|| format!("must be a whole number from 0 to {MAX_COUNTED}: {}", excerpt(cell)))
}

/// A tax rate in percent or basis points.
pub(super) fn tax_rate(cell: &str) -> Result<Tax, String> {
    match narrow(cell).trim_end_matches('%').trim_end() {
        "10" | "1000" => Ok(Tax::Rate(1_000)),
        "8" | "800" => Ok(Tax::Rate(800)),
        "0" => Ok(Tax::Rate(0)),
        _ => Err(format!("must be 10, 8 or 0 (percent), or 1000, 800 or 0 (basis points): {}", excerpt(cell))),
    }
}

/// Whether tax is charged.
pub(super) fn taxable(cell: &str) -> Result<Tax, String> {
    match narrow(cell).to_ascii_lowercase().as_str() {
        "true" => Ok(Tax::Taxed),
        "false" => Ok(Tax::Rate(0)),
        _ => Err(format!("must be TRUE or FALSE: {}", excerpt(cell))),
    }
}

/// A JAN (EAN) of 8 or 13 digits.
pub(super) fn jan(cell: &str) -> Result<String, String> {
    let text = narrow(cell);
    // Exports put an apostrophe before digits that a spreadsheet would take for a number.
    let digits = text.trim_start_matches('\'');
    if ![8, 13].contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("must have 8 or 13 digits: {}", excerpt(cell)));
    }
    // From the right, the check digit included, the weights are 1, 3, 1, 3 …
    let sum: u32 =
        digits.bytes().rev().zip([1, 3].into_iter().cycle()).map(|(b, weight)| u32::from(b - b'0') * weight).sum();
    if !sum.is_multiple_of(10) {
        return Err(format!("has a wrong check digit: {}", excerpt(cell)));
    }
    Ok(digits.to_owned())
}

/// Characters of a cell that a message repeats.
const MAX_EXCERPT_CHARS: usize = 40;

fn excerpt(cell: &str) -> String {
    let short: String = cell.trim().chars().take(MAX_EXCERPT_CHARS).collect();
    format!("`{short}`")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn prices_are_whole_yen_however_they_are_written() {
        for text in ["1980", "1,980", "1980.00", "１，９８０", "¥1,980", "￥1980", "\\1,980", "1980円", " 1980 "]
        {
            assert_eq!(price(text), Ok(1_980), "{text}");
        }
        assert_eq!(price("1,234,567"), Ok(1_234_567));
        assert!(price("19.80").is_err_and(|message| message.contains("whole yen")));
        for text in ["", "-1", "+1", "1,98", "1980,000", ",980", "1.9.8", "abc", "1e3", "99999999999999999999"] {
            assert!(price(text).is_err(), "{text}");
        }
    }

    #[test]
    fn units_are_counted_in_whole_numbers() {
        assert_eq!(counted("１２"), Ok(12));
        assert_eq!(counted("1,000,000"), Ok(MAX_COUNTED));
        assert_eq!(counted("0"), Ok(0));
        for text in ["-3", "−3", "1.5", "1000001", "not stocked"] {
            assert!(counted(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_jan_has_the_right_check_digit() {
        for text in ["4901234567894", "４９０１２３４５６７８９４", "'4901234567894", "49123456"] {
            assert!(jan(text).is_ok(), "{text}");
        }
        for text in ["4901234567890", "49123457", "490123456789", "4.90123E+12", ""] {
            assert!(jan(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_tax_rate_is_percent_or_basis_points() {
        for (text, rate) in [("10", 1_000), ("10%", 1_000), ("1000", 1_000), ("８％", 800), ("800", 800), ("0", 0)] {
            assert_eq!(tax_rate(text), Ok(Tax::Rate(rate)), "{text}");
        }
        assert!(tax_rate("5").is_err());
        assert_eq!((taxable("TRUE"), taxable("false")), (Ok(Tax::Taxed), Ok(Tax::Rate(0))));
        assert!(taxable("maybe").is_err());
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(cell in "\\PC{0,30}") {
            let _ = (price(&cell), counted(&cell), tax_rate(&cell), taxable(&cell), jan(&cell));
        }
    }
}
