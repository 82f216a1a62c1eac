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

/// Parts of `total` in proportion to `weights`, by largest remainder (among equals, the first): they sum to `total`, and
/// none is more than one minor unit off its exact part. Where `total` is at most the sum of the weights, no part is more
/// than its weight. Nothing is given when all weights are 0. Weights and total are not negative.
#[must_use]
pub fn apportion(total: i64, weights: &[i64]) -> Vec<i64> {
    let sum: i128 = weights.iter().copied().map(i128::from).sum();
    if sum <= 0 || total <= 0 {
        return vec![0; weights.len()];
    }
    let exact = |weight: &i64| i128::from(total) * i128::from(*weight);
    let mut parts: Vec<i64> =
        weights.iter().map(|w| i64::try_from(exact(w) / sum).expect("at most the total")).collect();
    let mut by_remainder: Vec<usize> = (0..weights.len()).collect();
    by_remainder.sort_by_key(|n| std::cmp::Reverse(exact(&weights[*n]) % sum));
    let left = total - parts.iter().sum::<i64>();
    for n in by_remainder.into_iter().take(usize::try_from(left).unwrap_or(0)) {
        parts[n] += 1;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_go_to_the_largest_remainders() {
        assert_eq!(apportion(100, &[1, 1, 1]), [34, 33, 33]);
        assert_eq!(apportion(10, &[5, 3, 2]), [5, 3, 2]);
        assert_eq!(apportion(7, &[0, 0]), [0, 0]);
        assert_eq!(apportion(1, &[1, 3]), [0, 1]);
    }

    #[test]
    fn tax_is_what_the_invoice_says() {
        assert_eq!(tax_inside(1_100, 1_000), 100);
        assert_eq!(tax_inside(1_080, 800), 80);
        assert_eq!(tax_inside(999, 1_000), 90);
    }

    proptest::proptest! {
        #[test]
        fn parts_sum_to_the_whole_and_stay_near_their_weight(
            total in 0i64..1_000_000_000_000,
            weights in proptest::collection::vec(0i64..1_000_000_000_000, 1..40),
        ) {
            let parts = apportion(total, &weights);
            let sum: i64 = weights.iter().sum();
            proptest::prop_assert_eq!(parts.iter().sum::<i64>(), if sum == 0 { 0 } else { total });
            for (part, weight) in parts.iter().zip(&weights) {
                let exact = i128::from(total) * i128::from(*weight);
                let off = i128::from(*part) * i128::from(sum) - exact;
                proptest::prop_assert!(sum == 0 || off.abs() < i128::from(sum), "{part} for {weight}");
                proptest::prop_assert!(total > sum || part <= weight);
            }
        }

        #[test]
        fn a_reversal_cancels_its_sale(amount in -1_000_000_000_000i64..1_000_000_000_000, bp in 0i32..=10_000) {
            proptest::prop_assert_eq!(share(amount, bp) + share(-amount, bp), 0);
        }
    }
}
