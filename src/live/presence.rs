//! Pure: who is there: this node's viewers, the other nodes', the peak, different people, time watched.
//!
//! Every node counts its own connections exactly and tells the others once a second; what everybody sees is the sum of
//! the counts that are not old. Nobody is told who came or went.
//! Invariant: counts never go below zero; `watched` is the area under this node's own curve.

use std::collections::{BTreeMap, HashMap};

use super::uniques::Uniques;
use crate::clock::Millis;

/// A count that was not repeated for so long belongs to a node that is gone.
const OLD_AFTER_MS: i64 = 5_000;
/// Registers go to other nodes this often.
const SHARED_EVERY_MS: i64 = 5_000;
/// Of a minute.
const MINUTE_MS: i64 = 60_000;
/// Minutes that are counted at once, a day: a clock that leaps makes no more.
const MAX_MINUTES: i64 = 1_440;
/// Nodes whose counts are kept; a live is never on more.
const MAX_NODES: usize = 1_024;

/// One minute of an audience.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct MinuteWatched {
    /// The most at once, of all nodes.
    pub(super) peak: u32,
    /// Of this node.
    pub(super) watched_ms: i64,
}

/// The audience of one live, as one node knows it.
#[derive(Debug)]
pub(super) struct Presence {
    /// Of this node; the liver is not among them.
    watching: u32,
    others: HashMap<String, (u32, Millis)>,
    peak: u32,
    pub(super) uniques: Uniques,
    /// Viewer milliseconds of this node that nobody has stored yet.
    watched_ms: i64,
    /// Viewer milliseconds that are stored, of all nodes, as of the last look.
    stored_ms: i64,
    /// What nobody has stored yet, by minute (counted from 1970-01-01).
    minutes: BTreeMap<i64, MinuteWatched>,
    counted_at: Millis,
    shared_at: Millis,
}

impl Presence {
    pub(super) fn new(peak: i64, uniques: Uniques, stored_ms: i64, now: Millis) -> Self {
        Self {
            watching: 0,
            others: HashMap::new(),
            peak: u32::try_from(peak).unwrap_or(u32::MAX),
            uniques,
            watched_ms: 0,
            stored_ms,
            minutes: BTreeMap::new(),
            counted_at: now,
            shared_at: now,
        }
    }

    fn count_time(&mut self, now: Millis) {
        let passed = now.since(self.counted_at).max(0);
        if self.watching > 0 {
            let (watching, viewers) = (self.watching, self.viewers(now));
            let mut from = self.counted_at.0.max(now.0 - MAX_MINUTES * MINUTE_MS);
            while from < now.0 {
                let minute = from.div_euclid(MINUTE_MS);
                let to = ((minute + 1) * MINUTE_MS).min(now.0);
                let of = self.minutes.entry(minute).or_default();
                of.peak = of.peak.max(viewers);
                of.watched_ms = of.watched_ms.saturating_add((to - from) * i64::from(watching));
                from = to;
            }
        }
        self.counted_at = self.counted_at.max(now);
        self.watched_ms = self.watched_ms.saturating_add(passed.saturating_mul(i64::from(self.watching)));
    }

    pub(super) fn enter(&mut self, who: u64, now: Millis) {
        self.count_time(now);
        self.watching += 1;
        self.uniques.add(who);
        let viewers = self.viewers(now);
        self.peak = self.peak.max(viewers);
        let of = self.minutes.entry(now.0.div_euclid(MINUTE_MS)).or_default();
        of.peak = of.peak.max(viewers);
    }

    pub(super) fn leave(&mut self, now: Millis) {
        self.count_time(now);
        self.watching = self.watching.saturating_sub(1);
    }

    /// Another node says how many it has.
    pub(super) fn hear(&mut self, node: &str, viewers: u32, now: Millis) {
        self.others.retain(|_, (_, at)| now.since(*at) < OLD_AFTER_MS);
        if self.others.len() < MAX_NODES || self.others.contains_key(node) {
            self.others.insert(node.to_owned(), (viewers, now));
        }
        self.peak = self.peak.max(self.viewers(now));
    }

    /// Who came so far, for the other nodes, when it is time to tell them again.
    pub(super) fn uniques_to_share(&mut self, now: Millis) -> Option<String> {
        if now.since(self.shared_at) < SHARED_EVERY_MS {
            return None;
        }
        self.shared_at = now;
        Some(self.uniques.to_text())
    }

    /// On this node.
    pub(super) fn own(&self) -> u32 {
        self.watching
    }

    /// On all nodes.
    pub(super) fn viewers(&self, now: Millis) -> u32 {
        let others = self.others.values().filter(|(_, at)| now.since(*at) < OLD_AFTER_MS);
        others.fold(self.watching, |sum, (viewers, _)| sum.saturating_add(*viewers))
    }

    /// The most there were at once.
    pub(super) fn peak(&self) -> u32 {
        self.peak
    }

    /// What is to be added to the stored time; it counts as stored from here on.
    pub(super) fn take_watched(&mut self, now: Millis) -> i64 {
        self.count_time(now);
        let taken = std::mem::take(&mut self.watched_ms);
        self.stored_ms = self.stored_ms.saturating_add(taken);
        taken
    }

    /// Minutes that are to be stored: the highest peak counts, time is added.
    pub(super) fn take_minutes(&mut self, now: Millis) -> BTreeMap<i64, MinuteWatched> {
        self.count_time(now);
        std::mem::take(&mut self.minutes)
    }

    /// Viewer milliseconds, stored or not.
    pub(super) fn watched_ms(&self) -> i64 {
        self.stored_ms.saturating_add(self.watched_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_watched_is_the_area_under_the_curve() {
        let mut presence = Presence::new(0, Uniques::default(), 1_000, Millis(0));
        presence.enter(1, Millis(0));
        presence.enter(2, Millis(500));
        presence.leave(Millis(1_000));
        assert_eq!(presence.take_watched(Millis(3_000)), 500 + 1_000 + 2_000);
        assert_eq!(presence.take_watched(Millis(2_000)), 0, "a clock that steps back takes nothing");
        assert_eq!(presence.watched_ms(), 4_500);
    }

    #[test]
    fn minutes_have_their_own_peak_and_their_part_of_the_time() {
        let mut presence = Presence::new(9, Uniques::default(), 0, Millis(0));
        presence.enter(1, Millis(50_000));
        presence.enter(2, Millis(59_000));
        presence.leave(Millis(61_000));
        let of = |peak, watched_ms| MinuteWatched { peak, watched_ms };
        assert_eq!(
            presence.take_minutes(Millis(130_000)),
            BTreeMap::from([(0, of(2, 11_000)), (1, of(2, 1_000 + 60_000)), (2, of(1, 10_000))])
        );
        assert_eq!(presence.take_minutes(Millis(131_000)), BTreeMap::from([(2, of(1, 1_000))]));
        assert_eq!(presence.take_minutes(Millis(i64::MAX / 4)).len(), 1_441, "a clock that leaps");
    }

    #[test]
    fn other_nodes_count_while_they_say_so() {
        let mut presence = Presence::new(3, Uniques::default(), 0, Millis(0));
        presence.enter(1, Millis(0));
        presence.hear("b", 4, Millis(0));
        assert_eq!((presence.viewers(Millis(100)), presence.peak(), presence.own()), (5, 5, 1));
        presence.hear("b", 2, Millis(4_000));
        assert_eq!(presence.viewers(Millis(8_999)), 3);
        assert_eq!((presence.viewers(Millis(9_000)), presence.peak()), (1, 5));
    }
}
