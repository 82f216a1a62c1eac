//! Pure: what a batch of commands does to the stock.
//!
//! A [`World`] holds the locked rows of one transaction: shelves (SKU × location), offers and used limits. Commands
//! change it in arrival order; what changed is written back in one go, with one ledger entry per shelf and cause.
//! Invariant: on every shelf `0 <= held <= on_hand` once its batch is decided; Σ entries = change of the rows; a refused
//! command changes nothing; what an offer has `taken` and a limit has `used` is what its customers hold and own.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::{
    Refusal,
    allocation::{Allocation, Delivery, Point, allocate, reachable},
};
use crate::{
    clock::Millis,
    ids::{CustomerId, LiveId, LocationId, OfferId, ProductId, SkuId},
    money::Currency,
};

/// What kind of place a shelf stands in; allocation asks warehouses first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlaceKind {
    /// Ships only.
    Warehouse,
    /// Sells over the counter too.
    Store,
}

impl PlaceKind {
    const ALL: &[Self] = &[Self::Warehouse, Self::Store];

    /// As stored and sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warehouse => "warehouse",
            Self::Store => "store",
        }
    }
}

crate::stored_as_text!(PlaceKind);

/// The stock of one SKU at one location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shelf {
    /// Where.
    pub location: LocationId,
    /// What kind of place.
    pub kind: PlaceKind,
    /// Units that are physically there.
    pub on_hand: i64,
    /// Of those, promised: unpaid holds, and paid goods that have not left yet.
    pub held: i64,
    /// Units kept back for the counter.
    pub safety: i64,
    /// Where on Earth, if known.
    pub point: Option<Point>,
}

impl Shelf {
    /// Units that can be promised online.
    #[must_use]
    pub fn free(&self) -> i64 {
        (self.on_hand - self.held - self.safety).max(0)
    }
}

/// All shelves of one SKU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Version of the SKU's stock after this batch.
    pub version: i64,
    /// Its shelves.
    pub shelves: Vec<Shelf>,
    /// What could be bought before this batch.
    pub available_before: i64,
}

impl Pool {
    /// A pool as it was read; `version` is the one that this batch will write.
    #[must_use]
    pub fn new(version: i64, shelves: Vec<Shelf>) -> Self {
        let available_before = shelves.iter().map(Shelf::free).sum();
        Self { version, shelves, available_before }
    }

    /// Units that can be bought now.
    #[must_use]
    pub fn available(&self) -> i64 {
        self.shelves.iter().map(Shelf::free).sum()
    }

    /// The shelf at a location.
    #[must_use]
    pub fn shelf(&self, location: &LocationId) -> Option<&Shelf> {
        self.shelves.iter().find(|shelf| shelf.location == *location)
    }
}

/// Price and rules of a SKU in a live, as the batch reads them.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct OfferTerms {
    /// The offer.
    pub id: OfferId,
    /// Its live.
    pub live_id: LiveId,
    /// What is shown.
    pub product_id: ProductId,
    /// What is counted.
    pub sku_id: SkuId,
    /// Tax included.
    pub price_minor: i64,
    /// Its currency.
    pub currency: Currency,
    /// Basis points.
    pub tax_rate_bp: i32,
    /// Over the live and product; `None` = no limit.
    pub limit_per_customer: Option<i32>,
    /// Units of the shared pool that it may sell; `None` = all.
    pub quota: Option<i64>,
    /// Units held and sold under it.
    pub taken: i64,
    /// First moment it can be bought.
    pub starts_at_ms: Millis,
    /// First moment it cannot.
    pub ends_at_ms: Option<Millis>,
}

/// Whose limit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UsageKey {
    /// In which live.
    pub live: LiveId,
    /// Of which product.
    pub product: ProductId,
    /// By whom.
    pub customer: CustomerId,
}

/// What was read of a used limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Was {
    /// Nothing: no rule asked for it.
    #[default]
    Unread,
    /// That there is no row.
    Absent,
    /// So many units.
    Used(i64),
}

/// A used limit: what it was, and how the batch changed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Before the batch.
    pub was: Was,
    /// Units more (or fewer).
    pub change: i64,
}

impl Usage {
    fn now(self) -> i64 {
        self.change + if let Was::Used(units) = self.was { units } else { 0 }
    }
}

/// Why a shelf changed; the ledger's word for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// A buyer reserved units.
    Hold,
    /// A reservation was given back.
    Release,
    /// A reservation ran out.
    Expire,
    /// Paid goods left the shelf.
    Ship,
    /// A reservation was broken: the goods are not there.
    Break,
    /// A promise was moved to another shelf.
    Move,
    /// A paid promise lost its goods.
    Short,
    /// A paid promise without goods got some.
    Fill,
    /// Units that the books did not know of.
    Found,
    /// A physical fact.
    Fact(FactKind),
}

/// What happened to the goods themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FactKind {
    /// Goods came in.
    Receive,
    /// Sold over the counter.
    TillSale,
    /// Somebody counted.
    Count,
    /// A customer brought them back.
    Return,
}

impl Cause {
    /// As stored in the ledger.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Expire => "expire",
            Self::Ship => "ship",
            Self::Break => "break",
            Self::Move => "move",
            Self::Short => "short",
            Self::Fill => "fill",
            Self::Found => "found",
            Self::Fact(FactKind::Receive) => "receive",
            Self::Fact(FactKind::TillSale) => "till_sale",
            Self::Fact(FactKind::Count) => "count",
            Self::Fact(FactKind::Return) => "return",
        }
    }
}

/// How a ledger entry moves a shelf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delta {
    /// Change of what is there.
    pub on_hand: i64,
    /// Change of what is promised.
    pub held: i64,
}

/// The ledger of a batch.
pub type Entries = BTreeMap<(SkuId, LocationId, Cause), Delta>;

/// One line of a buyer's wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// At which terms.
    pub offer: OfferId,
    /// The offer's SKU (it never has another).
    pub sku: SkuId,
    /// Units, at least one.
    pub qty: i64,
    /// The price the buyer saw; another one is refused.
    pub seen_price_minor: i64,
}

/// What a buyer wants: lines of different SKUs.
#[derive(Debug, Clone)]
pub struct Basket<'a> {
    /// Who.
    pub customer: &'a CustomerId,
    /// What; at least one line.
    pub wishes: &'a [Wish],
    /// Grant what can be had and leave out the rest; otherwise all or nothing.
    pub partial: bool,
    /// How it gets to the buyer.
    pub delivery: &'a Delivery,
}

/// One line of a purchase; stored as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// At which terms.
    pub offer_id: OfferId,
    /// What is shown.
    pub product_id: ProductId,
    /// What is counted.
    pub sku_id: SkuId,
    /// Units.
    pub qty: i64,
    /// Tax included.
    pub unit_price_minor: i64,
    /// Basis points.
    pub tax_rate_bp: i32,
    /// Where the promised units stand.
    pub allocation: Allocation,
    /// Why a partial purchase goes without this line: a refusal's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
}

/// A granted wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// In which live.
    pub live: LiveId,
    /// Of the prices.
    pub currency: Currency,
    /// Every line of the wish; some may be left out when that was allowed.
    pub lines: Vec<Line>,
}

/// What a physical fact does to a shelf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// So many more (or fewer).
    By {
        /// Units.
        delta: i64,
        /// What happened.
        kind: FactKind,
    },
    /// Somebody counted so many.
    To {
        /// Units, not negative.
        counted: i64,
    },
}

/// What a physical fact came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// Units that the books had to find first, because more left than they knew of.
    pub found: i64,
    /// Promised units that are not there any more: follow the shortage rule ([`super::shortage`]).
    pub missing: i64,
}

/// The locked rows of one transaction, and what the batch did to them.
#[derive(Debug, Default)]
pub struct World {
    /// Offers that are asked for.
    pub offers: HashMap<OfferId, OfferTerms>,
    /// SKUs that are touched.
    pub pools: BTreeMap<SkuId, Pool>,
    /// Limits that are used.
    pub usage: HashMap<UsageKey, Usage>,
    /// How the offers' `taken` changes.
    pub taken: BTreeMap<OfferId, i64>,
    /// The ledger of this batch.
    pub entries: Entries,
}

impl World {
    /// What an offer with a quota may still sell.
    #[must_use]
    pub fn left(&self, offer: &OfferId) -> Option<i64> {
        let terms = self.offers.get(offer)?;
        let taken = terms.taken + self.taken.get(offer).copied().unwrap_or(0);
        Some((terms.quota? - taken).max(0))
    }

    fn judge(
        &self,
        wish: &Wish,
        basket: &Basket<'_>,
        wanted_before: &HashMap<UsageKey, i64>,
        now: Millis,
    ) -> Result<(&OfferTerms, UsageKey), Refusal> {
        let terms =
            self.offers.get(&wish.offer).filter(|terms| terms.sku_id == wish.sku).ok_or(Refusal::UnknownOffer)?;
        if now < terms.starts_at_ms {
            return Err(Refusal::OfferNotStarted);
        }
        if terms.ends_at_ms.is_some_and(|end| now >= end) {
            return Err(Refusal::OfferEnded);
        }
        if terms.price_minor != wish.seen_price_minor {
            return Err(Refusal::PriceChanged);
        }
        let key = UsageKey {
            live: terms.live_id.clone(),
            product: terms.product_id.clone(),
            customer: basket.customer.clone(),
        };
        let used = self.usage.get(&key).copied().unwrap_or_default().now() + wanted_before.get(&key).unwrap_or(&0);
        if terms.limit_per_customer.is_some_and(|limit| used + wish.qty > i64::from(limit)) {
            return Err(Refusal::LimitReached);
        }
        if self.left(&wish.offer).is_some_and(|left| left < wish.qty) {
            return Err(Refusal::SoldOut);
        }
        let pool = self.pools.get(&wish.sku).ok_or(Refusal::SoldOut)?;
        if reachable(pool, basket.delivery) < wish.qty {
            return Err(Refusal::SoldOut);
        }
        Ok((terms, key))
    }

    /// Reserves units for a buyer.
    ///
    /// # Errors
    /// The [`Refusal`] in the order a buyer wants to hear it; nothing changes then.
    pub fn hold(&mut self, basket: &Basket<'_>, now: Millis) -> Result<Granted, Refusal> {
        let mut wanted = HashMap::new();
        let mut judged = Vec::with_capacity(basket.wishes.len());
        let mut first_refusal = None;
        for wish in basket.wishes {
            let verdict = self.judge(wish, basket, &wanted, now).map(|(terms, key)| (terms.clone(), key));
            match &verdict {
                Ok((_, key)) => *wanted.entry(key.clone()).or_default() += wish.qty,
                Err(refusal) if basket.partial => first_refusal = first_refusal.or(Some(*refusal)),
                Err(refusal) => return Err(*refusal),
            }
            judged.push((wish, verdict));
        }
        let needs: Vec<_> =
            judged.iter().filter(|(_, verdict)| verdict.is_ok()).map(|(wish, _)| (&wish.sku, wish.qty)).collect();
        let Some((terms, _)) = judged.iter().find_map(|(_, verdict)| verdict.as_ref().ok()) else {
            return Err(first_refusal.unwrap_or(Refusal::SoldOut));
        };
        let (live, currency) = (terms.live_id.clone(), terms.currency);
        let mut allocations = allocate(&self.pools, &needs, basket.delivery).ok_or(Refusal::SoldOut)?.into_iter();
        let mut lines = Vec::with_capacity(judged.len());
        for (wish, verdict) in judged {
            let (terms, left_out) = match verdict {
                Ok((terms, key)) => {
                    self.usage.entry(key).or_default().change += wish.qty;
                    *self.taken.entry(wish.offer.clone()).or_default() += wish.qty;
                    (Some(terms), None)
                }
                Err(refusal) => (self.offers.get(&wish.offer).cloned(), Some(refusal.slug().to_owned())),
            };
            // A line of an offer that there is not cannot even be named.
            let Some(terms) = terms else { continue };
            let allocation =
                if left_out.is_none() { allocations.next().unwrap_or_default() } else { Allocation::default() };
            for (location, units) in &allocation.0 {
                self.move_shelf(&wish.sku, location, Cause::Hold, Delta { on_hand: 0, held: *units });
            }
            lines.push(Line {
                offer_id: terms.id,
                product_id: terms.product_id,
                sku_id: terms.sku_id,
                qty: wish.qty,
                unit_price_minor: terms.price_minor,
                tax_rate_bp: terms.tax_rate_bp,
                allocation,
                left_out,
            });
        }
        Ok(Granted { live, currency, lines })
    }

    /// Gives promised units back to the pool, and quota and limit to whom they belong. What of the lines is short gives
    /// back its quota and limit too.
    pub fn release(&mut self, live: &LiveId, customer: &CustomerId, lines: &[Line], cause: Cause) {
        for line in lines.iter().filter(|line| line.left_out.is_none()) {
            for (location, units) in &line.allocation.0 {
                self.move_shelf(&line.sku_id, location, cause, Delta { on_hand: 0, held: -units });
            }
            let key = UsageKey { live: live.clone(), product: line.product_id.clone(), customer: customer.clone() };
            self.usage.entry(key).or_default().change -= line.qty;
            *self.taken.entry(line.offer_id.clone()).or_default() -= line.qty;
        }
    }

    /// Paid goods leave the shelf.
    pub fn ship(&mut self, lines: &[Line]) {
        for line in lines.iter().filter(|line| line.left_out.is_none()) {
            for (location, units) in &line.allocation.0 {
                self.move_shelf(&line.sku_id, location, Cause::Ship, Delta { on_hand: -units, held: -units });
            }
        }
    }

    /// A physical fact at one shelf. It is never refused: where it leaves fewer units than are promised, `missing` says
    /// how many promises must go elsewhere before the batch may be written.
    ///
    /// # Errors
    /// [`Refusal::UnknownSku`].
    pub fn fact(&mut self, sku: &SkuId, empty_shelf: &Shelf, change: Move) -> Result<Moved, Refusal> {
        let pool = self.pools.get_mut(sku).ok_or(Refusal::UnknownSku)?;
        if pool.shelf(&empty_shelf.location).is_none() {
            pool.shelves.push(empty_shelf.clone());
        }
        let location = &empty_shelf.location;
        let on_hand = pool.shelf(location).map_or(0, |shelf| shelf.on_hand);
        let (delta, kind) = match change {
            Move::By { delta, kind } => (delta, kind),
            Move::To { counted } => (counted - on_hand, FactKind::Count),
        };
        let found = (-(on_hand + delta)).max(0);
        if found > 0 {
            self.move_shelf(sku, location, Cause::Found, Delta { on_hand: found, held: 0 });
        }
        // A count that finds what the books say is no change, but still an entry: somebody looked.
        self.move_shelf(sku, location, Cause::Fact(kind), Delta { on_hand: delta, held: 0 });
        let shelf = self.pools[sku].shelf(location).expect("made above");
        Ok(Moved { found, missing: (shelf.held - shelf.on_hand).max(0) })
    }

    pub(super) fn move_shelf(&mut self, sku: &SkuId, location: &LocationId, cause: Cause, delta: Delta) {
        let pool = self.pools.get_mut(sku).expect("the caller found the pool");
        let shelf = pool.shelves.iter_mut().find(|s| &s.location == location).expect("the caller found the shelf");
        shelf.on_hand += delta.on_hand;
        shelf.held += delta.held;
        debug_assert!(shelf.held >= 0 && shelf.on_hand >= 0, "{shelf:?} after {cause:?}");
        let entry = self.entries.entry((sku.clone(), location.clone(), cause)).or_default();
        entry.on_hand += delta.on_hand;
        entry.held += delta.held;
    }
}
