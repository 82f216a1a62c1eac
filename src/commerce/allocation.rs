//! Pure: from which shelves the units of a basket come.
//!
//! Ranked: the store where the buyer picks up (nothing else then); one place that covers the whole basket; the fewest
//! places; among equals the nearest, where the buyer said where they are, else warehouses before stores and the fullest
//! first, so that a store's shelf is the last to be emptied.
//! Invariant: a line gets all of its units or the basket gets none; no more is taken of a shelf than is free.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::stock::{PlaceKind, Pool, Shelf};
use crate::ids::{LocationId, SkuId};

/// Places of which every pair and triple is tried; with more, the pieces are taken greedily.
const MAX_SEARCHED: usize = 16;

/// A point on Earth, in millionths of a degree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// North is positive.
    pub latitude_e6: i64,
    /// East is positive.
    pub longitude_e6: i64,
}

impl Point {
    /// A point from degrees.
    ///
    /// # Errors
    /// What is wrong, beginning with the field's name.
    #[expect(clippy::cast_possible_truncation, reason = "checked to be within ±180 degrees")]
    pub fn parse(latitude: f64, longitude: f64) -> Result<Self, &'static str> {
        if !(-90.0..=90.0).contains(&latitude) {
            return Err("latitude must be between -90 and 90");
        }
        if !(-180.0..=180.0).contains(&longitude) {
            return Err("longitude must be between -180 and 180");
        }
        let e6 = |degrees: f64| (degrees * 1e6).round() as i64;
        Ok(Self { latitude_e6: e6(latitude), longitude_e6: e6(longitude) })
    }

    /// Great-circle distance in metres (haversine on a sphere of 6,371 km: right to 0.5 %, enough to rank shops).
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "degrees × 10⁶ fit a double exactly")]
    #[expect(clippy::cast_possible_truncation, reason = "no two points of Earth are farther apart than 2·10⁷ m")]
    pub fn metres_to(self, other: Self) -> i64 {
        let radians = |e6: i64| (e6 as f64 / 1e6).to_radians();
        let (from, to) = (radians(self.latitude_e6), radians(other.latitude_e6));
        let across = radians(other.longitude_e6) - radians(self.longitude_e6);
        let half = ((to - from) / 2.0).sin().powi(2) + from.cos() * to.cos() * (across / 2.0).sin().powi(2);
        (2.0 * 6_371_000.0 * half.sqrt().min(1.0).asin()) as i64
    }
}

/// Where the units of one line stand.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Allocation(pub BTreeMap<LocationId, i64>);

impl Allocation {
    /// All of its units.
    #[must_use]
    pub fn units(&self) -> i64 {
        self.0.values().sum()
    }
}

/// How a basket is to be delivered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delivery {
    /// Picked up in this store; shipped otherwise.
    pub pickup: Option<LocationId>,
    /// Where the buyer is, if they said so.
    pub near: Option<Point>,
}

/// A line that needs units.
pub(super) type Need<'a> = (&'a SkuId, i64);

/// How many units of a SKU this buyer can have in the best case.
pub(super) fn reachable(pool: &Pool, delivery: &Delivery) -> i64 {
    match &delivery.pickup {
        Some(store) => pool.shelf(store).filter(|shelf| shelf.kind == PlaceKind::Store).map_or(0, Shelf::free),
        None => pool.available(),
    }
}

/// Where the units of every line come from. The lines are of different SKUs, and each can be had by itself
/// ([`reachable`]).
pub(super) fn allocate(
    pools: &BTreeMap<SkuId, Pool>,
    needs: &[Need<'_>],
    delivery: &Delivery,
) -> Option<Vec<Allocation>> {
    if let Some(store) = &delivery.pickup {
        return needs.iter().map(|need| from_one(pools, need, store)).collect();
    }
    let places = ranked_places(pools, needs, delivery.near);
    for place in &places {
        let all: Option<Vec<_>> = needs.iter().map(|need| from_one(pools, need, place)).collect();
        if all.is_some() {
            return all;
        }
    }
    if needs.len() == 1 {
        // One line: the fullest shelves first are the fewest.
        let mut fullest = places;
        fullest.sort_by_cached_key(|place| std::cmp::Reverse(free(pools, needs[0].0, place)));
        return Some(vec![from_these(pools, &needs[0], &fullest)?]);
    }
    let set = fewest(pools, needs, &places).unwrap_or(places);
    needs.iter().map(|need| from_these(pools, need, &set)).collect()
}

fn free(pools: &BTreeMap<SkuId, Pool>, sku: &SkuId, place: &LocationId) -> i64 {
    pools.get(sku).and_then(|pool| pool.shelf(place)).map_or(0, Shelf::free)
}

fn from_one(pools: &BTreeMap<SkuId, Pool>, (sku, qty): &Need<'_>, place: &LocationId) -> Option<Allocation> {
    (free(pools, sku, place) >= *qty).then(|| Allocation(BTreeMap::from([(place.clone(), *qty)])))
}

/// The units of one line out of these places: one that covers it, else as much as there is from each in turn.
fn from_these(pools: &BTreeMap<SkuId, Pool>, need: &Need<'_>, places: &[&LocationId]) -> Option<Allocation> {
    if let Some(one) = places.iter().find_map(|place| from_one(pools, need, place)) {
        return Some(one);
    }
    let (sku, mut rest) = *need;
    let mut parts = BTreeMap::new();
    for place in places {
        let take = free(pools, sku, place).min(rest);
        if take > 0 {
            parts.insert((*place).clone(), take);
            rest -= take;
        }
    }
    (rest == 0).then_some(Allocation(parts))
}

/// Every place that has something of the basket, best first.
fn ranked_places<'p>(pools: &'p BTreeMap<SkuId, Pool>, needs: &[Need<'_>], near: Option<Point>) -> Vec<&'p LocationId> {
    let mut places: HashMap<&'p LocationId, (Option<i64>, PlaceKind, i64)> = HashMap::new();
    for shelf in needs.iter().filter_map(|(sku, _)| pools.get(*sku)).flat_map(|pool| &pool.shelves) {
        if shelf.free() > 0 {
            let away = near.and_then(|here| Some(here.metres_to(shelf.point?)));
            let place = places.entry(&shelf.location).or_insert((away, shelf.kind, 0));
            place.2 += shelf.free();
        }
    }
    let mut ranked: Vec<_> = places.into_iter().collect();
    // Places nobody told the position of come after those that are known to be near.
    ranked.sort_by_key(|(location, (away, kind, units))| {
        (away.unwrap_or(i64::MAX), *kind, std::cmp::Reverse(*units), *location)
    });
    ranked.into_iter().map(|(location, _)| location).collect()
}

/// The smallest set of places that together cover every line; the best ranked among equals.
fn fewest<'p>(
    pools: &BTreeMap<SkuId, Pool>,
    needs: &[Need<'_>],
    places: &[&'p LocationId],
) -> Option<Vec<&'p LocationId>> {
    let covers = |set: &[&LocationId]| {
        needs.iter().all(|(sku, qty)| set.iter().map(|place| free(pools, sku, place)).sum::<i64>() >= *qty)
    };
    if places.len() <= MAX_SEARCHED {
        for (n, first) in places.iter().enumerate() {
            for second in &places[n + 1..] {
                if covers(&[first, second]) {
                    return Some(vec![*first, *second]);
                }
            }
        }
        for (n, first) in places.iter().enumerate() {
            for (m, second) in places.iter().enumerate().skip(n + 1) {
                for third in &places[m + 1..] {
                    if covers(&[first, second, third]) {
                        return Some(vec![*first, *second, *third]);
                    }
                }
            }
        }
    }
    // Many places: again and again the one that covers most of what is still missing.
    let mut missing: Vec<Need<'_>> = needs.to_vec();
    let mut left: BTreeSet<usize> = (0..places.len()).collect();
    let mut chosen = Vec::new();
    while missing.iter().any(|(_, qty)| *qty > 0) {
        let gain = |n: usize| missing.iter().map(|(sku, qty)| free(pools, sku, places[n]).min(*qty)).sum::<i64>();
        let best = left.iter().copied().max_by_key(|n| (gain(*n), std::cmp::Reverse(*n)))?;
        if gain(best) == 0 {
            return None;
        }
        left.remove(&best);
        for (sku, qty) in &mut missing {
            *qty -= free(pools, sku, places[best]).min(*qty);
        }
        chosen.push(places[best]);
    }
    Some(chosen)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shelf(location: &LocationId, kind: PlaceKind, on_hand: i64, point: Option<Point>) -> Shelf {
        Shelf { location: location.clone(), kind, on_hand, held: 0, safety: 0, point }
    }

    fn tokyo() -> Point {
        Point { latitude_e6: 35_681_236, longitude_e6: 139_767_125 }
    }

    fn osaka() -> Point {
        Point { latitude_e6: 34_702_485, longitude_e6: 135_495_951 }
    }

    #[test]
    fn tokyo_and_osaka_are_four_hundred_kilometres_apart() {
        assert!((395_000..410_000).contains(&tokyo().metres_to(osaka())), "{}", tokyo().metres_to(osaka()));
    }

    #[test]
    fn one_place_for_the_whole_basket_beats_the_fullest_for_each_line() {
        let (big, both, other) = (LocationId::fresh(), LocationId::fresh(), LocationId::fresh());
        let (a, b) = (SkuId::fresh(), SkuId::fresh());
        let house = PlaceKind::Warehouse;
        let pools = BTreeMap::from([
            (a.clone(), Pool::new(1, vec![shelf(&big, house, 99, None), shelf(&both, PlaceKind::Store, 1, None)])),
            (b.clone(), Pool::new(1, vec![shelf(&both, PlaceKind::Store, 1, None), shelf(&other, house, 99, None)])),
        ]);
        let found = allocate(&pools, &[(&a, 1), (&b, 1)], &Delivery::default()).expect("there is enough");
        assert!(found.iter().all(|line| line.0.contains_key(&both)), "{found:?}");
    }

    #[test]
    fn among_equals_the_nearest_sends_and_the_store_of_pick_up_alone_counts() {
        let (east, west) = (LocationId::fresh(), LocationId::fresh());
        let sku = SkuId::fresh();
        let shelves = vec![
            shelf(&east, PlaceKind::Store, 5, Some(tokyo())),
            shelf(&west, PlaceKind::Warehouse, 50, Some(osaka())),
        ];
        let pools = BTreeMap::from([(sku.clone(), Pool::new(1, shelves))]);
        let place = |delivery: &Delivery, qty| {
            let found = allocate(&pools, &[(&sku, qty)], delivery)?.remove(0);
            found.0.into_keys().next()
        };
        let near = Delivery { near: Some(tokyo()), pickup: None };
        assert_eq!(place(&near, 5), Some(east.clone()));
        assert_eq!(place(&near, 6), Some(west.clone()), "one place that covers all comes before the nearest");
        assert_eq!(place(&Delivery::default(), 5), Some(west));
        let pickup = Delivery { pickup: Some(east.clone()), near: None };
        assert_eq!(place(&pickup, 5), Some(east));
        assert_eq!(place(&pickup, 6), None);
        assert_eq!(reachable(&pools[&sku], &pickup), 5);
    }

    #[test]
    fn two_places_are_found_where_greed_would_take_three() {
        let places: Vec<LocationId> = (0..3).map(|_| LocationId::fresh()).collect();
        let (a, b) = (SkuId::fresh(), SkuId::fresh());
        let stand = |units: [i64; 3]| {
            let shelves = places.iter().zip(units).map(|(place, n)| shelf(place, PlaceKind::Warehouse, n, None));
            Pool::new(1, shelves.collect())
        };
        // The first place has most of everything, but only the other two cover the basket by themselves.
        let pools = BTreeMap::from([(a.clone(), stand([3, 4, 0])), (b.clone(), stand([3, 0, 4]))]);
        let found = allocate(&pools, &[(&a, 4), (&b, 4)], &Delivery::default()).expect("there is enough");
        let used: BTreeSet<_> = found.iter().flat_map(|line| line.0.keys()).collect();
        assert_eq!(used.len(), 2);
    }

    proptest! {
        #[test]
        fn a_basket_gets_exactly_its_units_and_no_shelf_gives_more_than_it_has(
            stock in prop::collection::vec(prop::collection::vec(0i64..5, 1..6), 1..4),
            wishes in prop::collection::vec(1i64..8, 1..4),
        ) {
            let places: Vec<LocationId> = (0..6).map(|_| LocationId::fresh()).collect();
            let skus: Vec<SkuId> = stock.iter().map(|_| SkuId::fresh()).collect();
            let pools: BTreeMap<SkuId, Pool> = skus.iter().zip(&stock).map(|(sku, units)| {
                let shelves = places.iter().zip(units).map(|(place, n)| shelf(place, PlaceKind::Warehouse, *n, None));
                (sku.clone(), Pool::new(1, shelves.collect()))
            }).collect();
            let needs: Vec<Need<'_>> = skus.iter().zip(wishes).collect();
            let enough = needs.iter().all(|(sku, qty)| pools[*sku].available() >= *qty);
            match allocate(&pools, &needs, &Delivery::default()) {
                Some(found) => {
                    prop_assert!(enough);
                    for ((sku, qty), line) in needs.iter().zip(&found) {
                        prop_assert_eq!(line.units(), *qty);
                        for (place, units) in &line.0 {
                            prop_assert!(*units > 0 && free(&pools, sku, place) >= *units);
                        }
                    }
                }
                None => prop_assert!(!enough),
            }
        }
    }
}
