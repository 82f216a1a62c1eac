//! Pure: how many different people watched, had a pin before them, and tapped it.
//!
//! All are counted by HyperLogLog over the same hashes of people, guests included, so one may be divided by another;
//! who they were is kept nowhere. A pin was before somebody who was here for a second while it was shown; who was here for
//! three seconds at a stretch has watched.
//! Invariant: whoever tapped a pin had it before them; the room looks once a second, so who was there for two seconds or
//! more is always counted, and who was there for less than one never is. Of watching the same is true, by exact times.

use std::collections::HashMap;

use super::uniques::Uniques;
use crate::clock::Millis;

/// For so long a pin must have been before somebody.
const SEEN_AFTER_MS: i64 = 1_000;
/// For so long somebody must have been here to have watched.
const WATCHED_AFTER_MS: i64 = 3_000;

/// Who is here, and what they were shown.
#[derive(Debug, Default)]
pub(super) struct Shows {
    /// By seat: who, since when. The liver is not among them.
    here: HashMap<u64, (u64, Millis)>,
    /// Who was here for long enough.
    watchers: Uniques,
    pins: HashMap<String, Show>,
}

#[derive(Debug)]
struct Show {
    since: Millis,
    /// Who was here then has been counted.
    looked_at: Option<Millis>,
    /// Not shown any more: it goes when it is stored.
    over: bool,
    shown: Uniques,
    tapped: Uniques,
}

/// What is to be stored of a pin.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    pub(super) pin: String,
    pub(super) shown: Uniques,
    pub(super) tapped: Uniques,
}

impl Shows {
    pub(super) fn enter(&mut self, seat: u64, who: u64, now: Millis) {
        self.here.insert(seat, (who, now));
    }

    pub(super) fn leave(&mut self, seat: u64, now: Millis) {
        let Some((who, since)) = self.here.remove(&seat) else { return };
        if now.since(since) >= WATCHED_AFTER_MS {
            self.watchers.add(who);
        }
        for show in self.pins.values_mut().filter(|show| !show.over) {
            if now.since(since.max(show.since)) >= SEEN_AFTER_MS {
                show.shown.add(who);
            }
        }
    }

    /// Somebody tapped a pin.
    pub(super) fn tap(&mut self, pin: &str, seat: u64) {
        if let (Some((who, _)), Some(show)) = (self.here.get(&seat), self.pins.get_mut(pin)) {
            show.shown.add(*who);
            show.tapped.add(*who);
        }
    }

    /// These pins are shown, each since a moment.
    pub(super) fn look<'a>(&mut self, shown: impl Iterator<Item = (&'a str, Millis)>, now: Millis) {
        for (who, entered) in self.here.values() {
            if now.since(*entered) >= WATCHED_AFTER_MS {
                self.watchers.add(*who);
            }
        }
        let shown: HashMap<&str, Millis> = shown.collect();
        self.pins.iter_mut().for_each(|(pin, show)| show.over = !shown.contains_key(pin.as_str()));
        for (pin, since) in shown {
            let fresh =
                || Show { since, looked_at: None, over: false, shown: Uniques::default(), tapped: Uniques::default() };
            let show = self.pins.entry(pin.to_owned()).or_insert_with(fresh);
            for (who, entered) in self.here.values() {
                let seen_at = entered.max(&since).0.saturating_add(SEEN_AFTER_MS);
                if seen_at <= now.0 && show.looked_at.is_none_or(|before| seen_at > before.0) {
                    show.shown.add(*who);
                }
            }
            show.looked_at = Some(now);
        }
    }

    /// Who has watched, when there is somebody new among them since the last call.
    pub(super) fn take_watchers(&mut self) -> Option<Uniques> {
        self.watchers.take_changed().then(|| self.watchers.clone())
    }

    /// What has changed since the last call; pins that are over are forgotten.
    pub(super) fn take_changed(&mut self) -> Vec<Shown> {
        let mut changed = Vec::new();
        for (pin, show) in &mut self.pins {
            let (more_shown, more_tapped) = (show.shown.take_changed(), show.tapped.take_changed());
            if more_shown || more_tapped {
                changed.push(Shown { pin: pin.clone(), shown: show.shown.clone(), tapped: show.tapped.clone() });
            }
        }
        self.pins.retain(|_, show| !show.over);
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_here_for_three_seconds_at_a_stretch_has_watched() {
        let hash = |n: u64| n.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (n << 33);
        let mut shows = Shows::default();
        for seat in 1..=3 {
            shows.enter(seat, hash(seat), Millis(0));
        }
        shows.leave(1, Millis(2_999));
        assert!(shows.take_watchers().is_none(), "a moment too short");
        shows.leave(2, Millis(3_000));
        assert_eq!(shows.take_watchers().map(|watchers| watchers.count()), Some(1), "who has left had watched");
        shows.enter(4, hash(1), Millis(3_000));
        shows.look(std::iter::empty(), Millis(4_000));
        assert_eq!(shows.take_watchers().map(|watchers| watchers.count()), Some(2), "who is still here has, too");
        shows.enter(5, hash(3), Millis(4_000));
        shows.look(std::iter::empty(), Millis(5_999));
        assert!(shows.take_watchers().is_none(), "two visits that are too short are no long one");
        shows.look(std::iter::empty(), Millis(8_000));
        assert_eq!(shows.take_watchers().map(|watchers| watchers.count()), Some(3), "the same in two windows is one");
    }

    #[test]
    fn a_pin_is_seen_after_a_second_and_tapped_by_who_saw_it() {
        let hash = |n: u64| n.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (n << 33);
        let mut shows = Shows::default();
        shows.enter(1, hash(1), Millis(0));
        shows.look([("pin", Millis(500))].into_iter(), Millis(1_000));
        assert!(shows.take_changed().is_empty(), "shown for half a second");
        shows.enter(2, hash(2), Millis(1_200));
        shows.enter(3, hash(3), Millis(1_200));
        shows.look([("pin", Millis(500))].into_iter(), Millis(2_000));
        let counts = |shows: &mut Shows| -> Vec<_> {
            shows.take_changed().iter().map(|show| (show.shown.count(), show.tapped.count())).collect()
        };
        assert_eq!(counts(&mut shows), [(1, 0)], "who came 0.8 s ago has not seen it");
        shows.leave(2, Millis(2_100));
        shows.leave(3, Millis(2_200));
        assert_eq!(counts(&mut shows), [(2, 0)], "who left after a second had seen it, who left before had not");
        // The same person in a second window is one.
        shows.enter(4, hash(1), Millis(2_200));
        shows.tap("pin", 1);
        shows.tap("pin", 4);
        shows.tap("pin", 99);
        shows.tap("other", 1);
        shows.look([("pin", Millis(500))].into_iter(), Millis(5_000));
        assert_eq!(counts(&mut shows), [(2, 1)]);
        shows.look(std::iter::empty(), Millis(6_000));
        shows.take_changed();
        shows.tap("pin", 1);
        assert!(shows.take_changed().is_empty(), "it is not shown any more");
    }
}
