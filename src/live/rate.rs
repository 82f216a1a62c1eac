//! Pure: how often a person may do a thing.
//!
//! [`Window`] counts per author over a sliding window (chat); [`Bucket`] is a token bucket (messages of one
//! connection). Both take the time as a parameter.
//! Invariant: within any window at most `allowed` acts of one author are admitted.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    time::Duration,
};

use crate::clock::Millis;

/// Authors remembered at once; when full, those whose window has passed are forgotten, and if none has, everybody is
/// (a flood of fresh accounts is the sign-in's problem, not this table's).
const MAX_AUTHORS: usize = 20_000;

/// A sliding window per author.
#[derive(Debug)]
pub(crate) struct Window<K> {
    allowed: usize,
    per_ms: i64,
    acts: HashMap<K, VecDeque<Millis>>,
}

impl<K: Eq + Hash + Clone> Window<K> {
    pub(crate) fn new(allowed: usize, per: Duration) -> Self {
        Self { allowed, per_ms: i64::try_from(per.as_millis()).unwrap_or(i64::MAX), acts: HashMap::new() }
    }

    /// How long an author has to wait until `gap` has passed since the last act that was noted.
    pub(crate) fn wait(&self, author: &K, gap: Duration, now: Millis) -> Option<i64> {
        let last = self.acts.get(author)?.back()?;
        let left = i64::try_from(gap.as_millis()).unwrap_or(i64::MAX).saturating_sub(now.since(*last));
        (left > 0).then_some(left)
    }

    /// Remembers an act that was admitted elsewhere, in place of the oldest.
    pub(crate) fn note(&mut self, author: &K, now: Millis) {
        self.make_room(author, now);
        let acts = self.acts.entry(author.clone()).or_default();
        if acts.len() >= self.allowed {
            acts.pop_front();
        }
        acts.push_back(now);
    }

    fn make_room(&mut self, author: &K, now: Millis) {
        if self.acts.len() >= MAX_AUTHORS && !self.acts.contains_key(author) {
            let per_ms = self.per_ms;
            self.acts.retain(|_, acts| acts.back().is_some_and(|last| now.since(*last) < per_ms));
            if self.acts.len() >= MAX_AUTHORS {
                self.acts.clear();
            }
        }
    }

    /// Admits an act, or says in how many milliseconds the next one will be admitted.
    pub(crate) fn admit(&mut self, author: &K, now: Millis) -> Result<(), i64> {
        self.make_room(author, now);
        let acts = self.acts.entry(author.clone()).or_default();
        while acts.front().is_some_and(|first| now.since(*first) >= self.per_ms) {
            acts.pop_front();
        }
        match acts.front() {
            Some(first) if acts.len() >= self.allowed => Err((self.per_ms - now.since(*first)).max(1)),
            _ => {
                acts.push_back(now);
                Ok(())
            }
        }
    }
}

/// A token bucket in milliseconds: `burst` tokens, refilled at `per_second`.
#[derive(Debug)]
pub struct Bucket {
    per_second: u32,
    burst: u32,
    /// Thousandths of a token, so that a millisecond refills a whole number.
    milli_tokens: u64,
    at: Millis,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn new(per_second: u32, burst: u32, now: Millis) -> Self {
        Self { per_second, burst, milli_tokens: u64::from(burst) * 1_000, at: now }
    }

    /// Takes one token, or says in how many milliseconds there will be one.
    ///
    /// # Errors
    /// The wait in milliseconds when the bucket is empty.
    pub fn take(&mut self, now: Millis) -> Result<(), i64> {
        let passed_ms = u64::try_from(now.since(self.at)).unwrap_or(0);
        self.at = self.at.max(now);
        let refilled = self.milli_tokens.saturating_add(passed_ms.saturating_mul(u64::from(self.per_second)));
        self.milli_tokens = refilled.min(u64::from(self.burst) * 1_000);
        if self.milli_tokens >= 1_000 {
            self.milli_tokens -= 1_000;
            return Ok(());
        }
        let missing = 1_000 - self.milli_tokens;
        Err(i64::try_from(missing.div_ceil(u64::from(self.per_second.max(1)))).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_window_holds_more_than_allowed(gaps in prop::collection::vec(0i64..4_000, 1..80)) {
            let mut window = Window::new(5, Duration::from_secs(10));
            let mut now = Millis(0);
            let mut admitted: Vec<i64> = Vec::new();
            for gap in gaps {
                now = Millis(now.0 + gap);
                match window.admit(&"a", now) {
                    Ok(()) => admitted.push(now.0),
                    Err(wait_ms) => prop_assert!((1..=10_000).contains(&wait_ms)),
                }
            }
            for (i, from) in admitted.iter().enumerate() {
                prop_assert!(admitted[i..].iter().filter(|at| **at < from + 10_000).count() <= 5);
            }
        }

        #[test]
        fn the_promised_wait_is_kept(acts in 1usize..20) {
            let mut window = Window::new(5, Duration::from_secs(10));
            let mut now = Millis(1_000);
            for _ in 0..acts {
                if let Err(wait_ms) = window.admit(&1, now) {
                    now = Millis(now.0 + wait_ms);
                    prop_assert_eq!(window.admit(&1, now), Ok(()));
                }
            }
        }
    }

    #[test]
    fn a_bucket_allows_its_burst_and_then_its_rate() {
        let mut bucket = Bucket::new(20, 40, Millis(0));
        for _ in 0..40 {
            assert_eq!(bucket.take(Millis(0)), Ok(()));
        }
        assert_eq!(bucket.take(Millis(0)), Err(50));
        assert_eq!(bucket.take(Millis(50)), Ok(()));
        assert!(bucket.take(Millis(50)).is_err());
        // A clock that steps back gives nothing and takes nothing.
        assert!(bucket.take(Millis(0)).is_err());
        assert_eq!(bucket.take(Millis(100)), Ok(()));
    }

    #[test]
    fn a_full_table_forgets_instead_of_growing() {
        let mut window = Window::new(1, Duration::from_secs(10));
        for author in 0..(MAX_AUTHORS + 10) {
            assert_eq!(window.admit(&author, Millis(0)), Ok(()));
        }
        assert!(window.acts.len() <= MAX_AUTHORS);
    }
}
