//! Pure: what a batch of commands does to the stock.
//!
//! A [`World`] holds the locked rows of one transaction: shelves (SKU × location), offers and used limits. Commands
//! change it in arrival order; what changed is written back in one go, with one ledger entry per shelf and kind.
//! Invariant: on every shelf `0 <= held <= on_hand`; Σ entries = change of the rows; a refused command changes nothing.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::Refusal;
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
    /// Of those, promised to somebody.
    pub held: i64,
    /// Units kept back for the counter.
    pub safety: i64,
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
    /// A pool as it was read.
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

    /// Where `qty` units come from: one place that covers all (warehouse first, then the fullest), else the fewest
    /// splits. `None` when there are not enough.
    fn allocate(&self, qty: i64) -> Option<Allocation> {
        if self.available() < qty {
            return None;
        }
        let covers = self.shelves.iter().filter(|shelf| shelf.free() >= qty);
        if let Some(shelf) = covers.min_by_key(|shelf| (shelf.kind, -shelf.free(), shelf.location.clone())) {
            return Some(Allocation(BTreeMap::from([(shelf.location.clone(), qty)])));
        }
        let mut fullest: Vec<&Shelf> = self.shelves.iter().filter(|shelf| shelf.free() > 0).collect();
        fullest.sort_by_key(|shelf| (-shelf.free(), shelf.kind, shelf.location.clone()));
        let mut rest = qty;
        let mut parts = BTreeMap::new();
        for shelf in fullest {
            let take = shelf.free().min(rest);
            parts.insert(shelf.location.clone(), take);
            rest -= take;
            if rest == 0 {
                break;
            }
        }
        Some(Allocation(parts))
    }
}

/// Where the units of one purchase stand.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Allocation(pub BTreeMap<LocationId, i64>);

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

/// Why a shelf changed; the ledger's word for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// A buyer reserved units.
    Hold,
    /// A reservation was given back.
    Release,
    /// A reservation ran out.
    Expire,
    /// Reserved units were paid for and leave.
    Sell,
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
            Self::Sell => "sell",
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

/// A buyer's wish.
#[derive(Debug, Clone)]
pub struct Want {
    /// What is bought.
    pub offer: OfferId,
    /// Who buys.
    pub customer: CustomerId,
    /// Units, at least one.
    pub qty: i64,
    /// The price the buyer saw; another one is refused.
    pub seen_price_minor: i64,
}

/// A granted wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The terms it was granted under.
    pub terms: OfferTerms,
    /// Where the units stand.
    pub allocation: Allocation,
}

/// The locked rows of one transaction, and what the batch did to them.
#[derive(Debug, Default)]
pub struct World {
    /// Offers that are asked for.
    pub offers: HashMap<OfferId, OfferTerms>,
    /// SKUs that are touched.
    pub pools: BTreeMap<SkuId, Pool>,
    /// Limits that are used: before, and change.
    pub usage: HashMap<UsageKey, (i64, i64)>,
    /// The ledger of this batch.
    pub entries: BTreeMap<(SkuId, LocationId, Cause), Delta>,
}

impl World {
    /// Reserves units for a buyer.
    ///
    /// # Errors
    /// The [`Refusal`] in the order a buyer wants to hear it; nothing changes then.
    pub fn hold(&mut self, want: &Want, now: Millis) -> Result<Held, Refusal> {
        let terms = self.offers.get(&want.offer).ok_or(Refusal::UnknownOffer)?.clone();
        if now < terms.starts_at_ms {
            return Err(Refusal::OfferNotStarted);
        }
        if terms.ends_at_ms.is_some_and(|end| now >= end) {
            return Err(Refusal::OfferEnded);
        }
        if terms.price_minor != want.seen_price_minor {
            return Err(Refusal::PriceChanged);
        }
        let key = UsageKey {
            live: terms.live_id.clone(),
            product: terms.product_id.clone(),
            customer: want.customer.clone(),
        };
        let (before, change) = self.usage.get(&key).copied().unwrap_or_default();
        if terms.limit_per_customer.is_some_and(|limit| before + change + want.qty > i64::from(limit)) {
            return Err(Refusal::LimitReached);
        }
        let pool = self.pools.get(&terms.sku_id).ok_or(Refusal::SoldOut)?;
        let allocation = pool.allocate(want.qty).ok_or(Refusal::SoldOut)?;
        for (location, units) in &allocation.0 {
            self.move_shelf(&terms.sku_id, location, Cause::Hold, Delta { on_hand: 0, held: *units });
        }
        self.usage.insert(key, (before, change + want.qty));
        Ok(Held { terms, allocation })
    }

    /// Gives held units back to the pool, and the limit to the customer.
    pub fn release(&mut self, sku: &SkuId, allocation: &Allocation, key: UsageKey, cause: Cause) {
        for (location, units) in &allocation.0 {
            self.move_shelf(sku, location, cause, Delta { on_hand: 0, held: -units });
        }
        self.usage.entry(key).or_default().1 -= allocation.0.values().sum::<i64>();
    }

    /// Held units were paid for: they leave the pool and the shelf.
    pub fn sell(&mut self, sku: &SkuId, allocation: &Allocation) {
        for (location, units) in &allocation.0 {
            self.move_shelf(sku, location, Cause::Sell, Delta { on_hand: -units, held: -units });
        }
    }

    /// A physical fact at one shelf.
    ///
    /// # Errors
    /// [`Refusal::UnknownSku`]; [`Refusal::StockTooLow`] when promised units would be missing.
    pub fn adjust(&mut self, sku: &SkuId, shelf: &Shelf, delta: i64, kind: FactKind) -> Result<(), Refusal> {
        let pool = self.pools.get_mut(sku).ok_or(Refusal::UnknownSku)?;
        let standing = match pool.shelves.iter().position(|s| s.location == shelf.location) {
            Some(index) => index,
            None => {
                pool.shelves.push(shelf.clone());
                pool.shelves.len() - 1
            }
        };
        let standing = &pool.shelves[standing];
        if standing.on_hand + delta < standing.held {
            return Err(Refusal::StockTooLow);
        }
        self.move_shelf(sku, &shelf.location, Cause::Fact(kind), Delta { on_hand: delta, held: 0 });
        Ok(())
    }

    fn move_shelf(&mut self, sku: &SkuId, location: &LocationId, cause: Cause, delta: Delta) {
        let pool = self.pools.get_mut(sku).expect("the caller found the pool");
        let shelf = pool.shelves.iter_mut().find(|s| &s.location == location).expect("the caller found the shelf");
        shelf.on_hand += delta.on_hand;
        shelf.held += delta.held;
        debug_assert!(shelf.held >= 0 && shelf.on_hand >= shelf.held, "{shelf:?} after {cause:?}");
        let entry = self.entries.entry((sku.clone(), location.clone(), cause)).or_default();
        entry.on_hand += delta.on_hand;
        entry.held += delta.held;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Shop {
        world: World,
        offer: OfferTerms,
        buyers: Vec<CustomerId>,
    }

    fn shop(stock: &[(i64, i64)], limit: Option<i32>) -> Shop {
        let (live, product, sku) = (LiveId::fresh(), ProductId::fresh(), SkuId::fresh());
        let offer = OfferTerms {
            id: OfferId::fresh(),
            live_id: live,
            product_id: product,
            sku_id: sku.clone(),
            price_minor: 1_000,
            currency: Currency::Jpy,
            tax_rate_bp: 1_000,
            limit_per_customer: limit,
            starts_at_ms: Millis(100),
            ends_at_ms: Some(Millis(200)),
        };
        let shelf = |(on_hand, safety): &(i64, i64)| Shelf {
            location: LocationId::fresh(),
            kind: PlaceKind::Warehouse,
            on_hand: *on_hand,
            held: 0,
            safety: *safety,
        };
        let mut world = World::default();
        world.offers.insert(offer.id.clone(), offer.clone());
        world.pools.insert(sku, Pool::new(1, stock.iter().map(shelf).collect()));
        Shop { world, offer, buyers: (0..4).map(|_| CustomerId::fresh()).collect() }
    }

    impl Shop {
        fn want(&self, buyer: usize, qty: i64) -> Want {
            Want { offer: self.offer.id.clone(), customer: self.buyers[buyer].clone(), qty, seen_price_minor: 1_000 }
        }

        fn hold(&mut self, buyer: usize, qty: i64) -> Result<Held, Refusal> {
            let want = self.want(buyer, qty);
            self.world.hold(&want, Millis(150))
        }

        fn key(&self, buyer: usize) -> UsageKey {
            UsageKey {
                live: self.offer.live_id.clone(),
                product: self.offer.product_id.clone(),
                customer: self.buyers[buyer].clone(),
            }
        }

        fn pool(&self) -> &Pool {
            &self.world.pools[&self.offer.sku_id]
        }
    }

    #[test]
    fn the_last_unit_is_held_once() {
        let mut shop = shop(&[(1, 0)], None);
        assert!(shop.hold(0, 1).is_ok());
        assert_eq!(shop.hold(1, 1), Err(Refusal::SoldOut));
    }

    #[test]
    fn safety_stock_is_not_sold_online() {
        let mut shop = shop(&[(3, 2)], None);
        assert_eq!(shop.hold(0, 2), Err(Refusal::SoldOut));
        assert!(shop.hold(0, 1).is_ok());
    }

    #[test]
    fn one_place_that_covers_all_is_preferred_and_else_it_is_split() {
        let mut shop = shop(&[(2, 0), (3, 0)], None);
        assert_eq!(shop.hold(0, 3).expect("three stand together").allocation.0.len(), 1);
        let mut scarce = self::shop(&[(2, 0), (3, 0)], None);
        assert_eq!(scarce.hold(0, 5).expect("five stand in two places").allocation.0.len(), 2);
    }

    #[test]
    fn a_limit_counts_all_purchases_of_one_customer_only() {
        let mut shop = shop(&[(10, 0)], Some(2));
        assert!(shop.hold(0, 1).is_ok());
        assert!(shop.hold(0, 1).is_ok());
        assert_eq!(shop.hold(0, 1), Err(Refusal::LimitReached));
        assert!(shop.hold(1, 2).is_ok());
    }

    #[test]
    fn a_returned_hold_returns_the_limit_too() {
        let mut shop = shop(&[(10, 0)], Some(1));
        let held = shop.hold(0, 1).expect("first");
        let (sku, key) = (shop.offer.sku_id.clone(), shop.key(0));
        shop.world.release(&sku, &held.allocation, key, Cause::Expire);
        assert!(shop.hold(0, 1).is_ok());
    }

    #[test]
    fn the_window_and_the_seen_price_are_judged() {
        let mut shop = shop(&[(10, 0)], None);
        let want = shop.want(0, 1);
        assert_eq!(shop.world.hold(&want, Millis(99)), Err(Refusal::OfferNotStarted));
        assert_eq!(shop.world.hold(&want, Millis(200)), Err(Refusal::OfferEnded));
        let old = Want { seen_price_minor: 900, ..want };
        assert_eq!(shop.world.hold(&old, Millis(150)), Err(Refusal::PriceChanged));
    }

    #[derive(Debug, Clone)]
    enum Move {
        Hold { buyer: usize, qty: i64 },
        Release { nth: usize },
        Sell { nth: usize },
        Adjust { delta: i64 },
    }

    fn any_move() -> impl Strategy<Value = Move> {
        prop_oneof![
            (0usize..4, 1i64..4).prop_map(|(buyer, qty)| Move::Hold { buyer, qty }),
            (0usize..8).prop_map(|nth| Move::Release { nth }),
            (0usize..8).prop_map(|nth| Move::Sell { nth }),
            (-3i64..4).prop_map(|delta| Move::Adjust { delta }),
        ]
    }

    proptest! {
        #[test]
        fn any_interleaving_keeps_the_shelves_and_the_ledger_right(
            stock in prop::collection::vec((0i64..6, 0i64..2), 1..4),
            moves in prop::collection::vec(any_move(), 0..60),
            limit in prop::option::of(1i32..5),
        ) {
            let mut shop = shop(&stock, limit);
            let before = shop.pool().clone();
            let sku = shop.offer.sku_id.clone();
            let mut open: Vec<(usize, Held)> = Vec::new();
            for one in moves {
                match one {
                    Move::Hold { buyer, qty } => {
                        let available = shop.pool().available();
                        match shop.hold(buyer, qty) {
                            Ok(held) => open.push((buyer, held)),
                            Err(Refusal::SoldOut) => prop_assert!(available < qty),
                            Err(Refusal::LimitReached) => {}
                            Err(other) => prop_assert!(false, "{other}"),
                        }
                    }
                    Move::Release { nth } if !open.is_empty() => {
                        let (buyer, held) = open.swap_remove(nth % open.len());
                        let key = shop.key(buyer);
                        shop.world.release(&sku, &held.allocation, key, Cause::Release);
                    }
                    Move::Sell { nth } if !open.is_empty() => {
                        let (_, held) = open.swap_remove(nth % open.len());
                        shop.world.sell(&sku, &held.allocation);
                    }
                    Move::Adjust { delta } => {
                        let shelf = shop.pool().shelves[0].clone();
                        let _ = shop.world.adjust(&sku, &shelf, delta, FactKind::Count);
                    }
                    Move::Release { .. } | Move::Sell { .. } => {}
                }
                for shelf in &shop.pool().shelves {
                    prop_assert!(shelf.held >= 0 && shelf.on_hand >= shelf.held);
                }
            }
            for (index, shelf) in shop.pool().shelves.iter().enumerate() {
                let of_shelf = shop.world.entries.iter().filter(|((_, location, _), _)| location == &shelf.location);
                let (on_hand, held) = of_shelf.fold((0, 0), |sum, (_, d)| (sum.0 + d.on_hand, sum.1 + d.held));
                prop_assert_eq!(before.shelves[index].on_hand + on_hand, shelf.on_hand);
                prop_assert_eq!(before.shelves[index].held + held, shelf.held);
            }
            let held: i64 = shop.pool().shelves.iter().map(|s| s.held).sum();
            let promised: i64 = open.iter().map(|(_, h)| h.allocation.0.values().sum::<i64>()).sum();
            prop_assert_eq!(held, promised);
        }
    }
}
