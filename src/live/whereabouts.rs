//! Value: where people were seen to come from.
//!
//! For bans by address: moderators name a line, not an address, and nobody is shown one. Kept in memory only.
//! Invariant: bounded; the newest [`PLACES`] of a person.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::moderation::Network;
use crate::ids::CustomerId;

/// People remembered; when full, all are forgotten, and a ban learns an address when its person comes again.
const MAX_PEOPLE: usize = 50_000;
/// Places remembered of one person.
const PLACES: usize = 4;

/// Places by person.
#[derive(Debug, Default)]
pub(super) struct Whereabouts(Mutex<HashMap<CustomerId, Vec<Network>>>);

impl Whereabouts {
    /// Somebody came from there.
    pub(super) fn note(&self, customer: &CustomerId, from: Network) {
        let mut people = self.0.lock();
        if people.get(customer).is_some_and(|places| places.last() == Some(&from)) {
            return;
        }
        if people.len() >= MAX_PEOPLE && !people.contains_key(customer) {
            people.clear();
        }
        let places = people.entry(customer.clone()).or_default();
        places.retain(|known| *known != from);
        if places.len() == PLACES {
            places.remove(0);
        }
        places.push(from);
    }

    /// Where somebody came from.
    pub(super) fn of(&self, customer: &CustomerId) -> Vec<Network> {
        self.0.lock().get(customer).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_places_are_remembered() {
        let (people, customer) = (Whereabouts::default(), CustomerId::fresh());
        let place = |n: u8| Network::of([192, 0, 2, n].into()).expect("a place");
        for n in [1, 2, 3, 4, 1, 5, 5] {
            people.note(&customer, place(n));
        }
        assert_eq!(people.of(&customer), [place(3), place(4), place(1), place(5)]);
        assert!(people.of(&CustomerId::fresh()).is_empty());
    }
}
