//! Pure: consumption tax by document (インボイス).
//!
//! One document is one seller's part of one order; a document rounds once for each rate, whatever its lines say. A credit
//! note (適格返還請求書) takes back the difference between what the document owes before and after, so that the document and
//! all credit notes of a full return come to nothing, also where every single one had to be rounded.
//! Amounts come in after discounts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::money::tax_inside;

/// The tax of one rate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TaxLine {
    /// Basis points.
    pub rate_bp: i32,
    /// Tax included.
    pub total_minor: i64,
    /// Without tax.
    pub base_minor: i64,
    /// The tax.
    pub tax_minor: i64,
}

impl TaxLine {
    fn of(rate_bp: i32, total_minor: i64, tax_minor: i64) -> Self {
        Self { rate_bp, total_minor, base_minor: total_minor - tax_minor, tax_minor }
    }
}

/// Tax-included amounts of one document, by rate.
pub(super) type ByRate = BTreeMap<i32, i64>;

/// Sums tax-included amounts by document and rate.
pub(super) fn by_document<S: Ord>(amounts: impl IntoIterator<Item = (S, i32, i64)>) -> BTreeMap<S, ByRate> {
    let mut documents: BTreeMap<S, ByRate> = BTreeMap::new();
    for (seller, rate, amount) in amounts {
        *documents.entry(seller).or_default().entry(rate).or_default() += amount;
    }
    documents
}

/// The tax of one document: one rounding a rate.
pub(super) fn of_document(amounts: &ByRate) -> Vec<TaxLine> {
    amounts.iter().map(|(rate, total)| TaxLine::of(*rate, *total, tax_inside(*total, *rate))).collect()
}

/// The tax of several documents together, by rate: the sum of what each says.
pub(super) fn of_documents<S: Ord>(amounts: impl IntoIterator<Item = (S, i32, i64)>) -> Vec<TaxLine> {
    let documents = by_document(amounts);
    sum(documents.values().flat_map(of_document))
}

/// Tax lines summed by rate.
pub(super) fn sum(lines: impl IntoIterator<Item = TaxLine>) -> Vec<TaxLine> {
    let mut by_rate: BTreeMap<i32, (i64, i64)> = BTreeMap::new();
    for line in lines {
        let sum = by_rate.entry(line.rate_bp).or_default();
        sum.0 += line.total_minor;
        sum.1 += line.tax_minor;
    }
    by_rate.into_iter().map(|(rate, (total, tax))| TaxLine::of(rate, total, tax)).collect()
}

/// What a credit note says that gives `back` of a document of which `before` is left.
pub(super) fn of_credit_note(before: &ByRate, back: &ByRate) -> Vec<TaxLine> {
    let difference = |(rate, back): (&i32, &i64)| {
        let left = before.get(rate).copied().unwrap_or(0);
        TaxLine::of(*rate, *back, tax_inside(left, *rate) - tax_inside(left - back, *rate))
    };
    back.iter().map(difference).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_document_rounds_once_a_rate_and_each_seller_has_one() {
        // Three lines of 105 yen at 10 %: 9.54… each, 28.63… together.
        assert_eq!(of_documents([("a", 1_000, 105), ("a", 1_000, 105), ("a", 1_000, 105)])[0].tax_minor, 28);
        // Of three sellers, each document rounds.
        assert_eq!(of_documents([("a", 1_000, 105), ("b", 1_000, 105), ("c", 1_000, 105)])[0].tax_minor, 27);
        let rates: Vec<i32> = of_documents([("a", 1_000, 110), ("a", 800, 108)]).iter().map(|l| l.rate_bp).collect();
        assert_eq!(rates, [800, 1_000]);
    }

    proptest! {
        #[test]
        fn a_document_and_all_its_credit_notes_come_to_nothing(
            lines in prop::collection::vec((prop::sample::select(vec![0, 800, 1_000]), 1i64..5_000, 1i64..20), 1..8),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..200),
        ) {
            let mut left: Vec<(i32, i64, i64)> = lines.clone();
            let whole = by_document(lines.iter().map(|(rate, price, qty)| ((), *rate, price * qty)));
            let document = of_document(&whole[&()]);
            let mut given: Vec<TaxLine> = Vec::new();
            // One unit after the other, in any order; then whatever is left at once.
            let mut give = |left: &mut Vec<(i32, i64, i64)>, which: usize, qty: i64| {
                let by_rate = |lines: &[(i32, i64, i64)]| -> ByRate {
                    by_document(lines.iter().map(|(rate, price, qty)| ((), *rate, price * qty))).remove(&()).unwrap_or_default()
                };
                let before = by_rate(left);
                let (rate, price, _) = left[which];
                left[which].2 -= qty;
                given.extend(of_credit_note(&before, &ByRate::from([(rate, price * qty)])));
            };
            for index in order {
                let which = index.index(left.len());
                if left[which].2 > 0 {
                    give(&mut left, which, 1);
                }
            }
            for which in 0..left.len() {
                let rest = left[which].2;
                if rest > 0 {
                    give(&mut left, which, rest);
                }
            }
            prop_assert!(given.iter().all(|line| (0..=line.total_minor).contains(&line.tax_minor)));
            prop_assert_eq!(sum(given), sum(document));
        }
    }
}
