//! Pure: compares what the viewers saw with the truth.
//!
//! Invariant: a viewer is complete when it has every ordered event once and in order, every pin that the liver was told
//! is made, and the last version of every value. Chat is lossy by contract and not judged.

use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use hanamichi::{live::Mirror, wire};

use crate::{verdict::Room, viewer::Seen};

/// Version and price of each pin.
pub type Pins = BTreeMap<String, (i64, i64)>;

/// What everybody should know in the end.
#[derive(Debug, Clone, Default)]
pub struct Truth {
    /// The room's position, as a newcomer gets it.
    pub epoch: String,
    pub seq: u64,
    pub pins: Pins,
    pub sku: String,
    pub available: i64,
    pub stock_version: i64,
}

fn pins_of(mirror: &Mirror) -> Pins {
    let value = |pin: &wire::Pin| (pin.version, pin.offers.first().map_or(0, |offer| offer.price_minor));
    mirror.pins.values().map(|pin| (pin.id.clone(), value(pin))).collect()
}

/// Finds everything that a viewer missed, got twice or believes wrongly.
pub fn compare(truth: &Truth, published: &HashMap<i64, Instant>, sold_out: bool, seen: &[Seen]) -> Room {
    let mut room = Room::default();
    let mut wrong: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut note = |holds: bool, what: &'static str| {
        if !holds {
            *wrong.entry(what).or_default() += 1;
        }
    };
    for viewer in seen {
        let mirror = &viewer.mirror;
        room.ordered_lost += viewer.ordered_lost + truth.seq.saturating_sub(mirror.seq);
        room.ordered_repeated += viewer.ordered_repeated;
        let counted = viewer.ordered_lost + viewer.ordered_repeated;
        note(mirror.faults == 0 || counted > 0, "were resumed elsewhere than they were");
        note(mirror.epoch == truth.epoch, "are in another epoch");
        note(pins_of(mirror) == truth.pins, "see other pins than there are");
        // Payment moves units from held to sold: the version grows, and as nothing else can be bought nothing is told.
        let stock = mirror.stock.get(&truth.sku);
        let right = |stock: &wire::Stock| stock.available == truth.available && stock.version <= truth.stock_version;
        note(stock.is_some_and(right), "see another stock than there is");
        // Who was given a new snapshot has the whole state, but not each step to it.
        if mirror.snapshots == 1 {
            note(published.keys().all(|price| viewer.pins.contains_key(price)), "never got a pin that was made");
            note(!sold_out || viewer.sold_out > 0, "were not told that it is sold out");
        }
        room.faults.extend(viewer.error.iter().map(|error| format!("a viewer gave up: {error}")));
    }
    room.faults.extend(wrong.into_iter().map(|(what, count)| format!("{count} viewers {what}")));
    room
}

/// From sending to receiving, of chat and pins, for who was there all the time: being away is not the server's delay.
pub fn hub_ms(published: &HashMap<i64, Instant>, seen: &[Seen]) -> Vec<f64> {
    let mut times = Vec::new();
    for viewer in seen.iter().filter(|viewer| viewer.cuts + viewer.dropped == 0) {
        times.extend(&viewer.chat_ms);
        for (price, heard) in &viewer.pins {
            if let Some(sent) = published.get(price) {
                times.push(heard.saturating_duration_since(*sent).as_secs_f64() * 1_000.0);
            }
        }
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete() -> (Truth, Seen) {
        let truth = Truth { epoch: "e".to_owned(), seq: 7, sku: "s".to_owned(), stock_version: 3, ..Truth::default() };
        let mut seen = Seen::default();
        seen.mirror.epoch = "e".to_owned();
        seen.mirror.seq = 7;
        seen.mirror.snapshots = 1;
        seen.mirror.stock.insert("s".to_owned(), wire::Stock { sku_id: "s".to_owned(), available: 0, version: 3 });
        (truth, seen)
    }

    #[test]
    fn a_complete_viewer_has_no_faults() {
        let (truth, seen) = complete();
        let room = compare(&truth, &HashMap::new(), false, &[seen]);
        assert_eq!((room.ordered_lost, room.ordered_repeated, room.faults), (0, 0, vec![]));
    }

    #[test]
    fn a_viewer_that_stays_behind_is_found() {
        let (truth, mut seen) = complete();
        seen.mirror.seq = 5;
        seen.mirror.stock.clear();
        let published = HashMap::from([(2_000, Instant::now())]);
        let room = compare(&truth, &published, true, &[seen]);
        assert_eq!(room.ordered_lost, 2);
        assert_eq!(room.faults.len(), 3, "stock, pin, sold out: {:?}", room.faults);
    }
}
