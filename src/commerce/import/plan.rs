//! Pure: what a file changes in the catalogue.
//!
//! A product is found by its handle; one without a handle is taken over when a SKU of it bears a code or JAN of the
//! file. A SKU is found by its code, else by its JAN, else by its product and variant.
//! Invariant: a SKU is claimed by one row; what bears a row's code or JAN elsewhere is never touched. What a row does
//! not say stays as it is.

use std::collections::{HashMap, HashSet};

use super::{
    RowError,
    cells::Tax,
    sheet::{Column, Columns, Goods, Variant},
};
use crate::{
    commerce::{
        cards::{Known, ProductCard, SkuCard},
        catalog::MAX_SKUS,
    },
    ids::{ProductId, SkuId},
};

/// Tax of a SKU that no file and no person has said anything about.
const USUAL_TAX_RATE_BP: i32 = 1_000;

/// A product as it shall stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Draft {
    /// `None`: it is new.
    pub(super) id: Option<ProductId>,
    pub(super) changed: bool,
    /// Rows of the file that it answers for.
    pub(super) rows: u32,
    pub(super) handle: String,
    pub(super) title: String,
    pub(super) description: String,
    pub(super) skus: Vec<SkuDraft>,
}

/// A SKU as it shall stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SkuDraft {
    /// `None`: it is new.
    pub(super) id: Option<SkuId>,
    pub(super) changed: bool,
    pub(super) variant: String,
    pub(super) code: Option<String>,
    pub(super) jan: Option<String>,
    pub(super) price_minor: i64,
    pub(super) tax_rate_bp: i32,
    pub(super) counted: Option<i64>,
}

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// A new SKU, as far as is known.
    New,
    /// This SKU of its product.
    Is(usize),
    Refused,
}

/// Where a SKU stands: product and place in it.
type Place = (usize, usize);

/// Decides for every product of a file.
pub(super) fn plan(goods: Vec<Goods>, columns: &Columns, known: &[Known]) -> (Vec<Draft>, Vec<RowError>) {
    let mut planner = Planner::new(columns, known);
    let drafts = goods.into_iter().filter_map(|goods| planner.draft(goods)).collect();
    (drafts, planner.errors)
}

struct Planner<'k> {
    columns: &'k Columns,
    known: &'k [Known],
    by_handle: HashMap<&'k str, usize>,
    by_code: HashMap<&'k str, Place>,
    by_jan: HashMap<&'k str, Vec<Place>>,
    taken_over: HashSet<usize>,
    errors: Vec<RowError>,
}

impl<'k> Planner<'k> {
    fn new(columns: &'k Columns, known: &'k [Known]) -> Self {
        let mut by_handle = HashMap::new();
        let mut by_code = HashMap::new();
        let mut by_jan: HashMap<&str, Vec<Place>> = HashMap::new();
        for (at, Known { product, skus }) in known.iter().enumerate() {
            by_handle.extend(product.handle.as_deref().map(|handle| (handle, at)));
            for (n, sku) in skus.iter().enumerate() {
                by_code.extend(sku.code.as_deref().map(|code| (code, (at, n))));
                if let Some(jan) = sku.jan.as_deref() {
                    by_jan.entry(jan).or_default().push((at, n));
                }
            }
        }
        Self { columns, known, by_handle, by_code, by_jan, taken_over: HashSet::new(), errors: Vec::new() }
    }

    fn fault(&mut self, row: u32, column: Column, message: impl Into<String>) -> Fate {
        self.errors.push(RowError { row, column: self.columns.heading(column), message: message.into() });
        Fate::Refused
    }

    fn draft(&mut self, goods: Goods) -> Option<Draft> {
        let at = self.find_product(&goods);
        let stands = at.map(|at| &self.known[at].product);
        // A row that is left out says nothing about its product either.
        let sound = goods.spoilt.is_none();
        let said = |text: Option<String>| text.filter(|_| sound);
        let (title, description) = (said(goods.title.clone()), said(goods.description.clone()));
        let Some(title) = title.or_else(|| stands.map(|product| product.title.clone())) else {
            self.refuse_new(&goods);
            return None;
        };
        let description = description.or_else(|| stands.map(|product| product.description.clone())).unwrap_or_default();
        let fates = self.find_skus(at, &goods.variants);
        let stand = at.map_or(&[][..], |at| &self.known[at].skus);
        let skus: Vec<SkuDraft> = goods
            .variants
            .into_iter()
            .zip(fates)
            .filter_map(|(variant, fate)| match fate {
                Fate::New => Some(sku(variant, None)),
                Fate::Is(n) => Some(sku(variant, Some(&stand[n]))),
                Fate::Refused => None,
            })
            .collect();
        let handle = goods.handle;
        let changed = stands.is_none_or(|product: &ProductCard| {
            product.handle.as_deref() != Some(handle.as_str())
                || product.title != title
                || product.description != description
        });
        let id = stands.map(|product| product.id.clone());
        (!skus.is_empty()).then_some(Draft { id, changed, rows: goods.rows, handle, title, description, skus })
    }

    fn find_product(&mut self, goods: &Goods) -> Option<usize> {
        if let Some(at) = self.by_handle.get(goods.handle.as_str()) {
            return Some(*at);
        }
        let found = goods.variants.iter().find_map(|variant| {
            let code = variant.code.as_deref().and_then(|code| self.by_code.get(code));
            let jan = variant.jan.as_deref().and_then(|jan| self.by_jan.get(jan)?.first());
            let (at, _) = code.or(jan)?;
            let free = self.known[*at].product.handle.is_none() && !self.taken_over.contains(at);
            free.then_some(*at)
        });
        self.taken_over.extend(found);
        found
    }

    /// A new product whose title or description cannot be used: none of its rows can be imported.
    fn refuse_new(&mut self, goods: &Goods) {
        let cause = goods.spoilt.unwrap_or_else(|| {
            self.fault(goods.row, Column::Title, "is missing; a new product needs it on its first row");
            goods.row
        });
        for variant in goods.variants.iter().filter(|variant| variant.row != cause) {
            self.fault(variant.row, Column::Title, format!("cannot be used; see row {cause}"));
        }
    }

    /// The SKU that each row means; those with codes choose first, then those with JANs.
    fn find_skus(&mut self, at: Option<usize>, variants: &[Variant]) -> Vec<Fate> {
        let mut fates = vec![Fate::New; variants.len()];
        let mut claimed = HashSet::new();
        for (fate, variant) in fates.iter_mut().zip(variants) {
            let Some(place) = variant.code.as_deref().and_then(|code| self.by_code.get(code)) else { continue };
            *fate = match place {
                (product, n) if Some(*product) == at => {
                    claimed.insert(*n);
                    Fate::Is(*n)
                }
                _ => self.fault(variant.row, Column::Code, "belongs to another product"),
            };
        }
        for (fate, variant) in fates.iter_mut().zip(variants).filter(|(fate, _)| **fate != Fate::Refused) {
            let Some(places) = variant.jan.as_deref().and_then(|jan| self.by_jan.get(jan)) else { continue };
            let own = places.iter().filter(|(product, _)| Some(*product) == at).map(|(_, n)| *n).collect::<Vec<_>>();
            *fate = match *fate {
                Fate::Is(n) if own.contains(&n) => Fate::Is(n),
                Fate::New if own.iter().any(|n| !claimed.contains(n)) => {
                    let n = own.into_iter().find(|n| claimed.insert(*n)).expect("one of them is free");
                    Fate::Is(n)
                }
                _ if own.is_empty() => self.fault(variant.row, Column::Jan, "belongs to another product"),
                _ => self.fault(variant.row, Column::Jan, "belongs to another SKU of this product"),
            };
        }
        let stand = at.map_or(&[][..], |at| &self.known[at].skus);
        let mut room = MAX_SKUS.saturating_sub(stand.len());
        let by_name: HashMap<&str, usize> =
            stand.iter().enumerate().rev().map(|(n, sku)| (sku.variant.as_str(), n)).collect();
        for (fate, variant) in fates.iter_mut().zip(variants).filter(|(fate, _)| **fate == Fate::New) {
            match by_name.get(variant.name.as_str()) {
                Some(n) if claimed.insert(*n) => *fate = Fate::Is(*n),
                _ if room == 0 => {
                    let message = format!("is one too many: a product has at most {MAX_SKUS} SKUs");
                    *fate = self.fault(variant.row, Column::Handle, message);
                }
                _ => room -= 1,
            }
        }
        fates
    }
}

fn sku(variant: Variant, stands: Option<&SkuCard>) -> SkuDraft {
    let tax_before = stands.map(|sku| sku.tax_rate_bp);
    let tax_rate_bp = match variant.tax {
        Tax::Rate(rate) => rate,
        // "Taxed" does not undo a reduced rate that somebody set.
        Tax::Taxed => tax_before.filter(|rate| *rate > 0).unwrap_or(USUAL_TAX_RATE_BP),
        Tax::Unsaid => tax_before.unwrap_or(USUAL_TAX_RATE_BP),
    };
    let draft = SkuDraft {
        id: stands.map(|sku| sku.id.clone()),
        changed: true,
        variant: variant.name,
        code: variant.code.or_else(|| stands.and_then(|sku| sku.code.clone())),
        jan: variant.jan.or_else(|| stands.and_then(|sku| sku.jan.clone())),
        price_minor: variant.price_minor,
        tax_rate_bp,
        counted: variant.counted,
    };
    let same = |sku: &SkuCard| {
        (&sku.variant, &sku.code, &sku.jan, sku.price_minor, sku.tax_rate_bp)
            == (&draft.variant, &draft.code, &draft.jan, draft.price_minor, draft.tax_rate_bp)
    };
    SkuDraft { changed: !stands.is_some_and(same), ..draft }
}
