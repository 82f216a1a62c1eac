//! Pure: a physical fact took goods that were promised. Who goes without?
//!
//! The till and the count are right, the promises must follow. The newest unpaid promises lose their goods first, then
//! the newest paid ones. Who loses them gets them from another shelf where one has some: paid promises first, in order
//! of age, then unpaid ones. For whom there is nothing: an unpaid reservation is broken, a paid one is marked short and
//! gets the next goods that come in. Goods that are picked up stand in that store or nowhere.
//! Invariant: afterwards the shelf's promises are no more than its goods.

use super::{
    allocation::Allocation,
    stock::{Cause, Delta, World},
};
use crate::ids::{LocationId, PurchaseId, SkuId};

/// A purchase that has units on the shelf in question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// Whose.
    pub purchase: PurchaseId,
    /// Paid promises are kept before unpaid ones.
    pub paid: bool,
    /// Its units may not stand anywhere else.
    pub pickup: bool,
    /// Its units on this shelf.
    pub units: i64,
}

/// What becomes of a promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// These of its units stand elsewhere now.
    Moved(Allocation),
    /// Unpaid, and there is nothing: the whole purchase is called off. The caller releases it.
    Broken,
    /// Paid, and there is nothing: `moved` stand elsewhere, `short` nowhere.
    Short {
        /// What was found elsewhere.
        moved: Allocation,
        /// What was not found.
        short: i64,
    },
}

/// Decides for enough promises (given newest first) that `missing` units of the shelf are free of promises again. Moves
/// and shorts are done in the world; a [`Verdict::Broken`] purchase is the caller's to release.
pub fn decide(
    world: &mut World,
    sku: &SkuId,
    location: &LocationId,
    missing: i64,
    promises: &[Promise],
) -> Vec<(PurchaseId, Verdict)> {
    let mut rest = missing;
    let mut losing: Vec<(&Promise, i64)> = Vec::new();
    let newest_unpaid_first = promises.iter().filter(|p| !p.paid).chain(promises.iter().filter(|p| p.paid));
    for promise in newest_unpaid_first {
        if rest == 0 {
            break;
        }
        let units = promise.units.min(rest);
        rest -= units;
        losing.push((promise, units));
    }
    // The oldest paid promise chooses first.
    let oldest_paid_first =
        losing.iter().rev().filter(|(p, _)| p.paid).chain(losing.iter().rev().filter(|(p, _)| !p.paid));
    let mut verdicts = Vec::with_capacity(losing.len());
    for (promise, units) in oldest_paid_first.copied().collect::<Vec<_>>() {
        let elsewhere = if promise.pickup { Vec::new() } else { free_elsewhere(world, sku, location) };
        let found: i64 = elsewhere.iter().map(|(_, free)| free).sum();
        if found < units && !promise.paid {
            verdicts.push((promise.purchase.clone(), Verdict::Broken));
            continue;
        }
        let mut moved = Allocation::default();
        let mut wanted = units;
        for (other, free) in elsewhere {
            let take = free.min(wanted);
            if take > 0 {
                world.move_shelf(sku, location, Cause::Move, Delta { on_hand: 0, held: -take });
                world.move_shelf(sku, &other, Cause::Move, Delta { on_hand: 0, held: take });
                moved.0.insert(other, take);
                wanted -= take;
            }
        }
        if wanted > 0 {
            world.move_shelf(sku, location, Cause::Short, Delta { on_hand: 0, held: -wanted });
        }
        let verdict = if wanted > 0 { Verdict::Short { moved, short: wanted } } else { Verdict::Moved(moved) };
        verdicts.push((promise.purchase.clone(), verdict));
    }
    verdicts
}

/// Goods for a paid purchase that is short, as far as there are any; in the store of pick-up alone where it is one.
pub fn fill(world: &mut World, sku: &SkuId, short: i64, pickup: Option<&LocationId>) -> Allocation {
    let Some(pool) = world.pools.get(sku) else { return Allocation::default() };
    let mut shelves: Vec<_> = pool
        .shelves
        .iter()
        .filter(|shelf| pickup.is_none_or(|store| *store == shelf.location))
        // A promise that was paid for comes before the counter's reserve.
        .map(|shelf| (shelf.kind, -(shelf.on_hand - shelf.held), shelf.location.clone()))
        .collect();
    shelves.sort();
    let mut filled = Allocation::default();
    let mut wanted = short;
    for (_, negative, location) in shelves {
        let take = (-negative).min(wanted);
        if take > 0 {
            world.move_shelf(sku, &location, Cause::Fill, Delta { on_hand: 0, held: take });
            filled.0.insert(location, take);
            wanted -= take;
        }
    }
    filled
}

fn free_elsewhere(world: &World, sku: &SkuId, here: &LocationId) -> Vec<(LocationId, i64)> {
    let Some(pool) = world.pools.get(sku) else { return Vec::new() };
    let mut shelves: Vec<_> = pool.shelves.iter().filter(|s| s.location != *here && s.free() > 0).collect();
    shelves.sort_by_key(|shelf| (shelf.kind, -shelf.free(), shelf.location.clone()));
    shelves.into_iter().map(|shelf| (shelf.location.clone(), shelf.free())).collect()
}
