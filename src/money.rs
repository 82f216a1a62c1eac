//! Value: money in minor units, and the tax inside it.
//!
//! Invariant: never a float; sums are checked; amounts of two currencies never meet.

use serde::{Deserialize, Serialize};

/// The currency of an amount (ISO 4217).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
pub enum Currency {
    /// Yen: no decimals, one minor unit is one yen.
    #[serde(rename = "JPY")]
    Jpy,
}

impl Currency {
    const ALL: &[Self] = &[Self::Jpy];

    /// The ISO code.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jpy => "JPY",
        }
    }
}

crate::stored_as_text!(Currency);

/// An amount of money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

/// A sum that does not fit, or of two currencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the amount does not fit")]
pub struct AmountOutOfRange;

/// Largest amount of one purchase: far above any basket, far below overflow when a million of them are summed.
const MAX_MINOR: i64 = 1_000_000_000_000;

impl Money {
    /// So many yen.
    ///
    /// # Errors
    /// When the amount is beyond ±10¹².
    pub fn yen(minor: i64) -> Result<Self, AmountOutOfRange> {
        if minor.abs() > MAX_MINOR {
            return Err(AmountOutOfRange);
        }
        Ok(Self { minor, currency: Currency::Jpy })
    }

    /// In minor units.
    #[must_use]
    pub fn minor(self) -> i64 {
        self.minor
    }

    /// Its currency.
    #[must_use]
    pub fn currency(self) -> Currency {
        self.currency
    }

    /// This many times.
    ///
    /// # Errors
    /// When the product is beyond ±10¹².
    pub fn times(self, qty: u32) -> Result<Self, AmountOutOfRange> {
        let minor = self.minor.checked_mul(i64::from(qty)).ok_or(AmountOutOfRange)?;
        Self::yen(minor)
    }
}

/// Basis points: 1/10,000.
pub const WHOLE_BP: i64 = 10_000;

/// The tax contained in a tax-included amount, rounded down (one rounding per rate and document: 消費税法
/// インボイス rule; callers sum per rate first).
#[must_use]
pub fn tax_inside(total_minor: i64, rate_bp: i32) -> i64 {
    let rate = i128::from(rate_bp);
    let tax = i128::from(total_minor) * rate / (i128::from(WHOLE_BP) + rate);
    i64::try_from(tax).expect("a part of an i64 fits an i64")
}

/// `amount × bp / 10,000`, rounded towards zero so that a reversal is the exact negative.
#[must_use]
pub fn share(amount_minor: i64, bp: i32) -> i64 {
    let part = i128::from(amount_minor) * i128::from(bp) / i128::from(WHOLE_BP);
    i64::try_from(part).expect("basis points are at most one whole")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tax_is_what_the_invoice_says() {
        assert_eq!(tax_inside(1_100, 1_000), 100);
        assert_eq!(tax_inside(1_080, 800), 80);
        assert_eq!(tax_inside(999, 1_000), 90);
    }

    proptest::proptest! {
        #[test]
        fn a_reversal_cancels_its_sale(amount in -1_000_000_000_000i64..1_000_000_000_000, bp in 0i32..=10_000) {
            proptest::prop_assert_eq!(share(amount, bp) + share(-amount, bp), 0);
        }
    }
}
