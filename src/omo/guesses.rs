//! Value: how often a store may be wrong about a code.
//!
//! Invariant: bounded by the number of stores that anybody works in. Each node counts by itself, so several allow as many times
//! more; of 2⁴⁰ codes that is nothing.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use crate::{clock::Millis, ids::LocationId};

/// Codes that a store may get wrong …
const WRONG: u32 = 20;
/// … within so long.
const WITHIN_MS: i64 = 60 * 1_000;

/// Wrong codes by store. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Guesses(Arc<Mutex<HashMap<LocationId, (Millis, u32)>>>);

impl Guesses {
    /// A try, which is wrong until it is known to be right, so that many at once are not more than one after another. Says how
    /// long to wait when there were too many.
    pub(super) fn take(&self, location: &LocationId, now: Millis) -> Result<(), i64> {
        let mut stores = self.0.lock();
        let (since, wrong) = stores.entry(location.clone()).or_insert((now, 0));
        if now.since(*since) >= WITHIN_MS {
            (*since, *wrong) = (now, 0);
        }
        if *wrong >= WRONG {
            return Err(WITHIN_MS - now.since(*since));
        }
        *wrong += 1;
        Ok(())
    }

    /// It was right.
    pub(super) fn give_back(&self, location: &LocationId) {
        if let Some((_, wrong)) = self.0.lock().get_mut(location) {
            *wrong = wrong.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_codes_are_bounded_and_right_ones_are_not() {
        let (guesses, ginza, umeda) = (Guesses::default(), LocationId::fresh(), LocationId::fresh());
        for n in 0..100 {
            assert_eq!(guesses.take(&ginza, Millis(n)), Ok(()), "right ones are not counted");
            guesses.give_back(&ginza);
        }
        for _ in 0..WRONG {
            assert_eq!(guesses.take(&ginza, Millis(1_000)), Ok(()));
        }
        assert_eq!(guesses.take(&ginza, Millis(2_000)), Err(58_000));
        assert_eq!(guesses.take(&umeda, Millis(2_000)), Ok(()), "another store");
        assert_eq!(guesses.take(&ginza, Millis(60_000)), Ok(()), "a minute later");
    }
}
