//! Pure: what a batch of commands does to the stock.
//!
//! A [`World`] holds the locked rows of one transaction: shelves (SKU × location), offers and used limits. Commands
//! change it in arrival order; what changed is written back in one go, with one ledger entry per shelf and cause.
//! Invariant: on every shelf `0 <= held <= on_hand` once its batch is decided; Σ entries = change of the rows; a refused
//! command changes nothing; what an offer has `taken` and a limit has `used` is what its customers hold and own.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

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

/// Whose units a limit counts: those of a product in a live.
pub type LimitKey = (LiveId, ProductId);

/// Something for every limit.
pub type ByLimit<T> = BTreeMap<LiveId, BTreeMap<ProductId, T>>;

/// Units by customer: what they hold and own, or how that changes.
pub type Used = HashMap<CustomerId, i64>;

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
    /// Where the promised units stand; once they have left, where they came from. Without those that were given back.
    pub allocation: Allocation,
    /// Units that came back, or will not be had.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub returned_qty: i64,
    /// What was given back for them, tax included.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub returned_minor: i64,
    /// Why a partial purchase goes without this line: a refusal's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks it so")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl Line {
    /// Units that are still bought.
    #[must_use]
    pub fn left(&self) -> i64 {
        self.qty - self.returned_qty
    }
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
    pub offers: HashMap<OfferId, Arc<OfferTerms>>,
    /// SKUs that are touched.
    pub pools: BTreeMap<SkuId, Pool>,
    /// What customers hold and own before the batch; of every offer above.
    pub used: ByLimit<Arc<Used>>,
    /// How the batch changes that.
    pub used_changes: ByLimit<Used>,
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

    fn used_by(&self, terms: &OfferTerms, customer: &CustomerId) -> i64 {
        let before = self.used.get(&terms.live_id).and_then(|used| used.get(&terms.product_id)?.get(customer));
        let change = self.used_changes.get(&terms.live_id).and_then(|used| used.get(&terms.product_id)?.get(customer));
        before.unwrap_or(&0) + change.unwrap_or(&0)
    }

    fn judge(&self, wish: &Wish, basket: &Basket<'_>, wanted: i64, now: Millis) -> Result<Arc<OfferTerms>, Refusal> {
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
        let limit = terms.limit_per_customer.map(i64::from);
        if limit.is_some_and(|limit| self.used_by(terms, basket.customer) + wanted + wish.qty > limit) {
            return Err(Refusal::LimitReached);
        }
        if self.left(&wish.offer).is_some_and(|left| left < wish.qty) {
            return Err(Refusal::SoldOut);
        }
        let pool = self.pools.get(&wish.sku).ok_or(Refusal::SoldOut)?;
        if reachable(pool, basket.delivery) < wish.qty {
            return Err(Refusal::SoldOut);
        }
        Ok(terms.clone())
    }

    /// Reserves units for a buyer.
    ///
    /// # Errors
    /// The [`Refusal`] in the order a buyer wants to hear it; nothing changes then.
    pub fn hold(&mut self, basket: &Basket<'_>, now: Millis) -> Result<Granted, Refusal> {
        let mut judged: Vec<(&Wish, Result<Arc<OfferTerms>, Refusal>)> = Vec::with_capacity(basket.wishes.len());
        let mut first_refusal = None;
        for wish in basket.wishes {
            // Other SKUs of the same product count towards the same limit.
            let product = self.offers.get(&wish.offer).map(|terms| &terms.product_id);
            let granted = judged.iter().filter(|(_, verdict)| verdict.as_ref().ok().map(|t| &t.product_id) == product);
            let wanted = granted.map(|(wish, _)| wish.qty).sum();
            let verdict = self.judge(wish, basket, wanted, now);
            match verdict {
                Err(refusal) if basket.partial => first_refusal = first_refusal.or(Some(refusal)),
                Err(refusal) => return Err(refusal),
                Ok(_) => {}
            }
            judged.push((wish, verdict));
        }
        let needs: Vec<_> =
            judged.iter().filter(|(_, verdict)| verdict.is_ok()).map(|(wish, _)| (&wish.sku, wish.qty)).collect();
        let Some(terms) = judged.iter().find_map(|(_, verdict)| verdict.as_ref().ok()) else {
            return Err(first_refusal.unwrap_or(Refusal::SoldOut));
        };
        let (live, currency) = (terms.live_id.clone(), terms.currency);
        let mut allocations = allocate(&self.pools, &needs, basket.delivery).ok_or(Refusal::SoldOut)?.into_iter();
        let mut lines = Vec::with_capacity(judged.len());
        for (wish, verdict) in judged {
            let (terms, left_out) = match verdict {
                Ok(terms) => {
                    self.count(&terms.live_id, &terms.product_id, basket.customer, wish.qty);
                    self.take(&wish.offer, wish.qty);
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
                offer_id: terms.id.clone(),
                product_id: terms.product_id.clone(),
                sku_id: terms.sku_id.clone(),
                qty: wish.qty,
                unit_price_minor: terms.price_minor,
                tax_rate_bp: terms.tax_rate_bp,
                allocation,
                returned_qty: 0,
                returned_minor: 0,
                left_out,
            });
        }
        Ok(Granted { live, currency, lines })
    }

    /// Takes units again for lines that gave theirs back: their money came late. Whatever the offer says of its time: the
    /// price was agreed when it could be bought. `false`: there are too few, or a limit or quota was used up meanwhile;
    /// nothing changes then.
    pub fn retake(&mut self, live: &LiveId, customer: &CustomerId, lines: &mut [Line], delivery: &Delivery) -> bool {
        let mut wanted: HashMap<ProductId, i64> = HashMap::new();
        for line in lines.iter().filter(|line| line.left_out.is_none()) {
            let Some(terms) = self.offers.get(&line.offer_id) else { return false };
            let of_product = wanted.entry(line.product_id.clone()).or_default();
            *of_product += line.qty;
            let limit = terms.limit_per_customer.map(i64::from);
            if limit.is_some_and(|limit| self.used_by(terms, customer) + *of_product > limit)
                || self.left(&line.offer_id).is_some_and(|left| left < line.qty)
            {
                return false;
            }
        }
        let needs: Vec<_> =
            lines.iter().filter(|line| line.left_out.is_none()).map(|line| (&line.sku_id, line.qty)).collect();
        let Some(allocations) = allocate(&self.pools, &needs, delivery) else { return false };
        for (line, allocation) in lines.iter_mut().filter(|line| line.left_out.is_none()).zip(allocations) {
            for (location, units) in &allocation.0 {
                self.move_shelf(&line.sku_id, location, Cause::Hold, Delta { on_hand: 0, held: *units });
            }
            self.count(live, &line.product_id, customer, line.qty);
            self.take(&line.offer_id, line.qty);
            line.allocation = allocation;
        }
        true
    }

    /// Gives promised units back to the pool, and quota and limit to whom they belong. What of the lines is short gives
    /// back its quota and limit too.
    pub fn release(&mut self, live: &LiveId, customer: &CustomerId, lines: &[Line], cause: Cause) {
        for line in lines.iter().filter(|line| line.left_out.is_none()) {
            for (location, units) in &line.allocation.0 {
                self.move_shelf(&line.sku_id, location, cause, Delta { on_hand: 0, held: -units });
            }
            self.count(live, &line.product_id, customer, -line.qty);
            self.take(&line.offer_id, -line.qty);
        }
    }

    // A batch has thousands of purchases of a few offers: what is there already is found without making its name again.

    fn count(&mut self, live: &LiveId, product: &ProductId, customer: &CustomerId, units: i64) {
        if let Some(sum) = self.used_changes.get_mut(live).and_then(|used| used.get_mut(product)?.get_mut(customer)) {
            *sum += units;
        } else if let Some(used) = self.used_changes.get_mut(live).and_then(|used| used.get_mut(product)) {
            used.insert(customer.clone(), units);
        } else {
            let of_live = self.used_changes.entry(live.clone()).or_default();
            of_live.insert(product.clone(), Used::from([(customer.clone(), units)]));
        }
    }

    fn take(&mut self, offer: &OfferId, units: i64) {
        match self.taken.get_mut(offer) {
            Some(taken) => *taken += units,
            None => drop(self.taken.insert(offer.clone(), units)),
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

    /// Units of a paid line that have not left go back to the pool (those of them that are short stand nowhere), and quota
    /// and limit to whom they belong.
    pub(super) fn unpromise(&mut self, live: &LiveId, customer: &CustomerId, line: &Line, qty: i64, at: &Allocation) {
        for (location, units) in &at.0 {
            self.move_shelf(&line.sku_id, location, Cause::Release, Delta { on_hand: 0, held: -units });
        }
        self.count(live, &line.product_id, customer, -qty);
        self.take(&line.offer_id, -qty);
    }

    /// Units of a paid line that had left stand on shelves again, to be sold to anybody.
    pub(super) fn restock(&mut self, live: &LiveId, customer: &CustomerId, line: &Line, qty: i64, at: &Allocation) {
        for (location, units) in &at.0 {
            let back = Delta { on_hand: *units, held: 0 };
            self.move_shelf(&line.sku_id, location, Cause::Fact(FactKind::Return), back);
        }
        self.count(live, &line.product_id, customer, -qty);
        self.take(&line.offer_id, -qty);
    }

    /// Whether there was no shelf of this SKU at this place; then there is one.
    pub(super) fn make_shelf(&mut self, sku: &SkuId, empty: &Shelf) -> bool {
        let pool = self.pools.get_mut(sku).expect("the caller found the pool");
        let missing = pool.shelf(&empty.location).is_none();
        if missing {
            pool.shelves.push(empty.clone());
        }
        missing
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
        let entry = self.entries.entry((sku.clone(), location.clone(), cause)).or_default();
        entry.on_hand += delta.on_hand;
        entry.held += delta.held;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        commerce::shortage::{self, Promise, Verdict},
        ids::PurchaseId,
    };

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
            quota: None,
            taken: 0,
            starts_at_ms: Millis(100),
            ends_at_ms: Some(Millis(200)),
        };
        let shelf = |(on_hand, safety): &(i64, i64)| Shelf {
            location: LocationId::fresh(),
            kind: PlaceKind::Warehouse,
            on_hand: *on_hand,
            held: 0,
            safety: *safety,
            point: None,
        };
        let mut world = World::default();
        world.offers.insert(offer.id.clone(), Arc::new(offer.clone()));
        world.pools.insert(sku, Pool::new(1, stock.iter().map(shelf).collect()));
        Shop { world, offer, buyers: (0..4).map(|_| CustomerId::fresh()).collect() }
    }

    impl Shop {
        fn wish(&self, qty: i64) -> Wish {
            Wish { offer: self.offer.id.clone(), sku: self.offer.sku_id.clone(), qty, seen_price_minor: 1_000 }
        }

        fn try_hold(&mut self, buyer: usize, wishes: &[Wish], partial: bool, now: Millis) -> Result<Granted, Refusal> {
            let (customer, delivery) = (self.buyers[buyer].clone(), Delivery::default());
            self.world.hold(&Basket { customer: &customer, wishes, partial, delivery: &delivery }, now)
        }

        fn hold(&mut self, buyer: usize, qty: i64) -> Result<Granted, Refusal> {
            let wishes = [self.wish(qty)];
            self.try_hold(buyer, &wishes, false, Millis(150))
        }

        fn release(&mut self, buyer: usize, granted: &Granted, cause: Cause) {
            let customer = self.buyers[buyer].clone();
            self.world.release(&granted.live, &customer, &granted.lines, cause);
        }

        fn terms(&mut self, offer: &OfferId) -> &mut OfferTerms {
            Arc::make_mut(self.world.offers.get_mut(offer).expect("the offer"))
        }

        fn pool(&self) -> &Pool {
            &self.world.pools[&self.offer.sku_id]
        }

        /// Another SKU on offer in the same live.
        fn add_offer(&mut self, units: i64) -> Wish {
            let other = OfferTerms {
                id: OfferId::fresh(),
                product_id: ProductId::fresh(),
                sku_id: SkuId::fresh(),
                ..self.offer.clone()
            };
            let shelf = Shelf { on_hand: units, held: 0, ..self.pool().shelves[0].clone() };
            self.world.pools.insert(other.sku_id.clone(), Pool::new(1, vec![shelf]));
            self.world.offers.insert(other.id.clone(), Arc::new(other.clone()));
            Wish { offer: other.id, sku: other.sku_id, qty: 1, seen_price_minor: 1_000 }
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
        assert_eq!(shop.hold(0, 3).expect("three stand together").lines[0].allocation.0.len(), 1);
        let mut scarce = self::shop(&[(2, 0), (3, 0)], None);
        assert_eq!(scarce.hold(0, 5).expect("five stand in two places").lines[0].allocation.0.len(), 2);
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
        shop.release(0, &held, Cause::Expire);
        assert!(shop.hold(0, 1).is_ok());
    }

    #[test]
    fn the_window_and_the_seen_price_are_judged() {
        let mut shop = shop(&[(10, 0)], None);
        let wish = [shop.wish(1)];
        assert_eq!(shop.try_hold(0, &wish, false, Millis(99)), Err(Refusal::OfferNotStarted));
        assert_eq!(shop.try_hold(0, &wish, false, Millis(200)), Err(Refusal::OfferEnded));
        let old = [Wish { seen_price_minor: 900, ..shop.wish(1) }];
        assert_eq!(shop.try_hold(0, &old, false, Millis(150)), Err(Refusal::PriceChanged));
        let foreign = [Wish { sku: SkuId::fresh(), ..shop.wish(1) }];
        assert_eq!(shop.try_hold(0, &foreign, false, Millis(150)), Err(Refusal::UnknownOffer));
    }

    #[test]
    fn a_quota_is_a_part_of_the_pool_and_comes_back_with_its_units() {
        let mut shop = shop(&[(10, 0)], None);
        shop.terms(&shop.offer.id.clone()).quota = Some(2);
        let first = shop.hold(0, 2).expect("within the quota");
        assert_eq!(shop.hold(1, 1), Err(Refusal::SoldOut));
        assert_eq!((shop.pool().available(), shop.world.left(&shop.offer.id)), (8, Some(0)));
        shop.release(0, &first, Cause::Release);
        assert!(shop.hold(1, 1).is_ok());
    }

    #[test]
    fn a_basket_is_all_or_nothing_unless_it_says_otherwise() {
        let mut shop = shop(&[(5, 0)], None);
        let none = shop.add_offer(0);
        let basket = [shop.wish(2), none];
        assert_eq!(shop.try_hold(0, &basket, false, Millis(150)), Err(Refusal::SoldOut));
        assert!(shop.world.entries.is_empty() && shop.world.used_changes.is_empty(), "nothing has changed");
        let granted = shop.try_hold(0, &basket, true, Millis(150)).expect("one line can be had");
        assert_eq!(granted.lines[0].allocation.units(), 2);
        assert_eq!(granted.lines[1].left_out.as_deref(), Some("sold-out"));
        shop.release(0, &granted, Cause::Release);
        assert_eq!(shop.pool().available(), 5, "a line that was left out gives nothing back");
    }

    #[test]
    fn a_limit_counts_the_lines_of_one_basket_together() {
        let mut shop = shop(&[(5, 0)], Some(2));
        let mut second = shop.add_offer(5);
        // The same product in another variant.
        let product = shop.offer.product_id.clone();
        shop.terms(&second.offer).product_id = product;
        second.qty = 1;
        let basket = [shop.wish(2), second.clone()];
        assert_eq!(shop.try_hold(0, &basket, false, Millis(150)), Err(Refusal::LimitReached));
        assert!(shop.try_hold(0, &[shop.wish(1), second], false, Millis(150)).is_ok());
    }

    #[test]
    fn a_fact_is_never_refused_and_says_what_the_books_did_not_know() {
        let mut shop = shop(&[(3, 0)], None);
        shop.hold(0, 2).expect("enough");
        let (sku, shelf) = (shop.offer.sku_id.clone(), shop.pool().shelves[0].clone());
        let sold = |units: i64| Move::By { delta: -units, kind: FactKind::TillSale };
        assert_eq!(shop.world.fact(&sku, &shelf, sold(1)), Ok(Moved { found: 0, missing: 0 }));
        assert_eq!(shop.world.fact(&sku, &shelf, sold(1)), Ok(Moved { found: 0, missing: 1 }));
        assert_eq!(shop.world.fact(&sku, &shelf, sold(4)), Ok(Moved { found: 3, missing: 2 }));
        assert_eq!(shop.world.fact(&sku, &shelf, Move::To { counted: 7 }), Ok(Moved { found: 0, missing: 0 }));
        assert_eq!(shop.pool().shelves[0].on_hand, 7);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Hold { buyer: usize, qty: i64, partial: bool },
        Release { nth: usize },
        Pay { nth: usize },
        Ship { nth: usize },
        Fact { place: usize, delta: i64 },
        Count { place: usize, counted: i64 },
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0usize..4, 1i64..4, any::<bool>()).prop_map(|(buyer, qty, partial)| Step::Hold { buyer, qty, partial }),
            2 => (0usize..8).prop_map(|nth| Step::Release { nth }),
            2 => (0usize..8).prop_map(|nth| Step::Pay { nth }),
            1 => (0usize..8).prop_map(|nth| Step::Ship { nth }),
            1 => (0usize..3, -3i64..4).prop_map(|(place, delta)| Step::Fact { place, delta }),
            1 => (0usize..3, 0i64..8).prop_map(|(place, counted)| Step::Count { place, counted }),
        ]
    }

    /// A purchase as the shell would keep it.
    #[derive(Debug)]
    struct Kept {
        id: PurchaseId,
        buyer: usize,
        granted: Granted,
        paid: bool,
        short: i64,
    }

    impl Shop {
        /// What the shell does when a fact took promised goods.
        fn follow_shortage(&mut self, location: &LocationId, missing: i64, kept: &mut Vec<Kept>) {
            let sku = self.offer.sku_id.clone();
            let units = |one: &Kept| one.granted.lines[0].allocation.0.get(location).copied().unwrap_or(0);
            let promises: Vec<Promise> = kept
                .iter()
                .rev()
                .filter(|one| units(one) > 0)
                .map(|one| Promise { purchase: one.id.clone(), paid: one.paid, pickup: false, units: units(one) })
                .collect();
            for (id, verdict) in shortage::decide(&mut self.world, &sku, location, missing, &promises) {
                let n = kept.iter().position(|one| one.id == id).expect("a known purchase");
                let (moved, short) = match verdict {
                    Verdict::Broken => {
                        let broken = kept.remove(n);
                        assert!(!broken.paid, "what is paid is never broken");
                        self.release(broken.buyer, &broken.granted, Cause::Break);
                        continue;
                    }
                    Verdict::Moved(moved) => (moved, 0),
                    Verdict::Short { moved, short } => (moved, short),
                };
                let allocation = &mut kept[n].granted.lines[0].allocation;
                *allocation.0.get_mut(location).expect("it stood here") -= moved.units() + short;
                for (other, units) in moved.0 {
                    *allocation.0.entry(other).or_default() += units;
                }
                kept[n].short += short;
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn any_interleaving_keeps_shelves_ledger_limits_and_quotas_right(
            stock in prop::collection::vec((0i64..6, 0i64..2), 1..4),
            steps in prop::collection::vec(any_step(), 0..60),
            limit in prop::option::of(1i32..5),
            quota in prop::option::of(1i64..8),
        ) {
            let mut shop = shop(&stock, limit);
            shop.terms(&shop.offer.id.clone()).quota = quota;
            let before = shop.pool().clone();
            let sku = shop.offer.sku_id.clone();
            let mut kept: Vec<Kept> = Vec::new();
            let (mut shipped, mut owned) = (0, [0i64; 4]);
            for step in steps {
                match step {
                    Step::Hold { buyer, qty, partial } => {
                        let available = shop.pool().available();
                        let left = shop.world.left(&shop.offer.id).unwrap_or(i64::MAX);
                        let wishes = [shop.wish(qty)];
                        match shop.try_hold(buyer, &wishes, partial, Millis(150)) {
                            Ok(granted) => kept.push(Kept { id: PurchaseId::fresh(), buyer, granted, paid: false, short: 0 }),
                            Err(Refusal::SoldOut) => prop_assert!(available < qty || left < qty),
                            Err(Refusal::LimitReached) => prop_assert!(limit.is_some()),
                            Err(other) => prop_assert!(false, "{other}"),
                        }
                    }
                    Step::Release { nth } if !kept.is_empty() => {
                        let n = nth % kept.len();
                        if !kept[n].paid {
                            let one = kept.remove(n);
                            shop.release(one.buyer, &one.granted, Cause::Release);
                        }
                    }
                    Step::Pay { nth } if !kept.is_empty() => {
                        let n = nth % kept.len();
                        kept[n].paid = true;
                    }
                    Step::Ship { nth } if !kept.is_empty() => {
                        let n = nth % kept.len();
                        if kept[n].paid && kept[n].short == 0 {
                            let one = kept.remove(n);
                            shop.world.ship(&one.granted.lines);
                            shipped += one.granted.lines[0].qty;
                            owned[one.buyer] += one.granted.lines[0].qty;
                        }
                    }
                    Step::Fact { place, delta } => {
                        let shelf = shop.pool().shelves[place % stock.len()].clone();
                        let kind = if delta < 0 { FactKind::TillSale } else { FactKind::Receive };
                        let moved = shop.world.fact(&sku, &shelf, super::Move::By { delta, kind }).expect("a known SKU");
                        shop.follow_shortage(&shelf.location, moved.missing, &mut kept);
                    }
                    Step::Count { place, counted } => {
                        let shelf = shop.pool().shelves[place % stock.len()].clone();
                        let moved = shop.world.fact(&sku, &shelf, super::Move::To { counted }).expect("a known SKU");
                        shop.follow_shortage(&shelf.location, moved.missing, &mut kept);
                    }
                    Step::Release { .. } | Step::Pay { .. } | Step::Ship { .. } => {}
                }
                for one in kept.iter_mut().filter(|one| one.short > 0) {
                    let filled = shortage::fill(&mut shop.world, &sku, one.short, None);
                    one.short -= filled.units();
                    for (other, units) in filled.0 {
                        *one.granted.lines[0].allocation.0.entry(other).or_default() += units;
                    }
                }
                for shelf in &shop.pool().shelves {
                    prop_assert!(shelf.held >= 0 && shelf.on_hand >= shelf.held, "{shelf:?}");
                }
            }
            // The ledger explains every shelf.
            for (index, shelf) in shop.pool().shelves.iter().enumerate() {
                let of_shelf = shop.world.entries.iter().filter(|((_, location, _), _)| location == &shelf.location);
                let (on_hand, held) = of_shelf.fold((0, 0), |sum, (_, d)| (sum.0 + d.on_hand, sum.1 + d.held));
                prop_assert_eq!(before.shelves[index].on_hand + on_hand, shelf.on_hand);
                prop_assert_eq!(before.shelves[index].held + held, shelf.held);
                let promised: i64 =
                    kept.iter().filter_map(|one| one.granted.lines[0].allocation.0.get(&shelf.location)).sum();
                prop_assert_eq!(promised, shelf.held);
            }
            // Limits and quota count what is held and owned, nothing else.
            let wanted: i64 = kept.iter().map(|one| one.granted.lines[0].qty).sum();
            prop_assert_eq!(shop.world.taken.get(&shop.offer.id).copied().unwrap_or(0), wanted + shipped);
            prop_assert!(quota.is_none_or(|quota| wanted + shipped <= quota));
            for (buyer, owned) in owned.into_iter().enumerate() {
                let has: i64 = kept.iter().filter(|one| one.buyer == buyer).map(|one| one.granted.lines[0].qty).sum();
                prop_assert_eq!(shop.world.used_by(&shop.offer, &shop.buyers[buyer]), has + owned);
                prop_assert!(limit.is_none_or(|limit| has + owned <= i64::from(limit)));
            }
        }
    }
}
