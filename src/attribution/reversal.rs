//! Pure: what of a line's credits is taken back when a part of the line comes back.
//!
//! In each pool, what is left of the credits stays in proportion to what is left of the line; what is taken back is spread
//! over the parties by largest remainder of what they still have. A commission is what the rate makes of the base that is
//! left, as it was of the whole, so recomputing it gives what is stored.
//! Invariant: nobody loses more than they have; when the whole line has come back, in however many parts, all is 0.

use crate::money::{apportion, share};

/// What a party still has of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) base_minor: i64,
    pub(super) commission_minor: i64,
    pub(super) commission_bp: i32,
}

/// What is taken back from each, not negative: base and commission. All are of one pool; `left_minor` is what was left of
/// the line before, `back_minor` how much of that comes back.
pub(super) fn take_back(parties: &[Left], left_minor: i64, back_minor: i64) -> Vec<(i64, i64)> {
    let sum: i64 = parties.iter().map(|party| party.base_minor).sum();
    let stays = match left_minor {
        0 => 0,
        left => {
            let exact = i128::from(sum) * i128::from(left - back_minor) / i128::from(left);
            i64::try_from(exact).expect("a part of an i64 fits an i64")
        }
    };
    let bases: Vec<i64> = parties.iter().map(|party| party.base_minor).collect();
    let parts = apportion(sum - stays, &bases);
    let commission = |(party, part): (&Left, i64)| {
        (part, party.commission_minor - share(party.base_minor - part, party.commission_bp))
    };
    parties.iter().zip(parts).map(commission).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::money::WHOLE_BP;

    #[test]
    fn one_of_three_takes_a_third_back() {
        let whole = Left { base_minor: 2_997, commission_minor: 449, commission_bp: 1_500 };
        // 15 % of 1,998 are 299.7.
        assert_eq!(take_back(&[whole], 2_997, 999), [(999, 150)]);
    }

    proptest! {
        #[test]
        fn in_whatever_parts_a_line_comes_back_all_credits_end_at_nothing(
            amount in 0i64..1_000_000,
            shares in prop::collection::vec(0i32..=5_000, 1..4),
            commission_bp in 0i32..=10_000,
            cuts in prop::collection::vec(0i64..300_000, 0..12),
        ) {
            prop_assume!(shares.iter().map(|s| i64::from(*s)).sum::<i64>() <= WHOLE_BP);
            let mut left: Vec<Left> = shares
                .iter()
                .map(|bp| share(amount, *bp))
                .map(|base| Left { base_minor: base, commission_minor: share(base, commission_bp), commission_bp })
                .collect();
            let mut line = amount;
            for cut in cuts.into_iter().chain([i64::MAX]) {
                let back = cut.min(line);
                for (party, (base, commission)) in left.clone().iter().zip(take_back(&left, line, back)).enumerate().map(
                    |(n, (_, taken))| (n, taken),
                ) {
                    prop_assert!(base >= 0 && commission >= 0);
                    left[party].base_minor -= base;
                    left[party].commission_minor -= commission;
                    prop_assert!(left[party].base_minor >= 0 && left[party].commission_minor >= 0);
                    prop_assert_eq!(left[party].commission_minor, share(left[party].base_minor, commission_bp));
                }
                line -= back;
            }
            prop_assert!(left.iter().all(|party| party.base_minor == 0 && party.commission_minor == 0));
        }

        #[test]
        fn who_has_the_whole_line_loses_what_comes_back(amount in 1i64..1_000_000, part in 0i64..1_000_000) {
            let back = part.min(amount);
            let whole = Left { base_minor: amount, commission_minor: 0, commission_bp: 0 };
            prop_assert_eq!(take_back(&[whole], amount, back), [(back, 0)]);
        }
    }
}
