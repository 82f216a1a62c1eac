//! Value: the one clock.
//!
//! Every time in the product comes from here, so a test can move it. Nothing else may ask the system for the time;
//! `clippy.toml` forbids it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::watch;

/// Unix milliseconds of the server's clock.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    sqlx::Type,
    Default,
    utoipa::ToSchema,
)]
#[serde(transparent)]
#[sqlx(transparent)]
#[schema(value_type = i64)]
pub struct Millis(pub i64);

impl Millis {
    /// This time plus a duration; saturates.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Milliseconds from `earlier` to this; negative when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A system's clock that is farther off than this is broken.
const MAX_SKEW_MS: i64 = 250;

/// Where the time comes from: the system, a clock that it follows, or a test's hand. Clones tell the same time.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    manual: Option<Arc<watch::Sender<Millis>>>,
    /// Of the system's clock; not zero only where a story needs a wrong one.
    ahead_ms: i64,
    followed: Arc<Followed>,
}

/// A clock that everybody goes by. Between two looks at it time is counted by a clock that nobody sets.
#[derive(Debug)]
struct Followed {
    since: Instant,
    /// What it said at `since`; [`i64::MIN`]: nobody has looked.
    then_ms: AtomicI64,
    /// What it was ahead of the system's at the last look.
    offset_ms: AtomicI64,
}

impl Default for Followed {
    fn default() -> Self {
        Self { since: Instant::now(), then_ms: AtomicI64::new(i64::MIN), offset_ms: AtomicI64::new(0) }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that stands still until [`Clock::advance`].
    #[must_use]
    pub fn manual(start: Millis) -> Self {
        Self { manual: Some(Arc::new(watch::channel(start).0)), ..Self::default() }
    }

    /// The system's clock, wrong by so much.
    #[must_use]
    pub fn wrong_by(ahead_ms: i64) -> Self {
        Self { ahead_ms, ..Self::default() }
    }

    /// Whether it goes by itself.
    #[must_use]
    pub fn is_real(&self) -> bool {
        self.manual.is_none()
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Millis {
        if let Some(hand) = &self.manual {
            return *hand.borrow();
        }
        match self.followed.then_ms.load(Ordering::Relaxed) {
            i64::MIN => self.systems(),
            then => Millis(then).plus(self.followed.since.elapsed()),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system for the time")]
    fn systems(&self) -> Millis {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Millis(since_epoch.map_or(0, millis) + self.ahead_ms)
    }

    /// From now on this is the time of a clock that said `theirs` at `at`. A test's hand follows nobody.
    pub fn follow(&self, theirs: Millis, at: Instant) {
        let since = self.followed.since;
        let then = theirs.0 - millis(at.saturating_duration_since(since));
        self.followed.then_ms.store(then, Ordering::Relaxed);
        let offset = Millis(then).plus(since.elapsed()).since(self.systems());
        self.followed.offset_ms.store(offset, Ordering::Relaxed);
    }

    /// By how much the followed clock is ahead of the system's, when that is so much that the system's must be broken.
    #[must_use]
    pub fn excess_ms(&self) -> Option<i64> {
        let offset = self.followed.offset_ms.load(Ordering::Relaxed);
        (offset.abs() > MAX_SKEW_MS).then_some(offset)
    }

    /// Moves a manual clock forward and wakes who sleeps; does nothing to the system's.
    pub fn advance(&self, by: Duration) {
        if let Some(hand) = &self.manual {
            hand.send_modify(|now| *now = now.plus(by));
        }
    }

    /// Waits until the clock has moved on by `duration`.
    pub async fn sleep(&self, duration: Duration) {
        let Some(hand) = &self.manual else {
            return tokio::time::sleep(duration).await;
        };
        let due = self.now().plus(duration);
        let mut moved = hand.subscribe();
        // The sender lives in `self`, so waiting cannot fail while we are borrowed.
        let _ = moved.wait_for(|now| *now >= due).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_clones_tell_the_time_of_the_clock_that_one_of_them_follows() {
        let clock = Clock::wrong_by(200);
        let other = clock.clone();
        clock.follow(Millis(1_000_000), Instant::now());
        assert!((1_000_000..1_000_100).contains(&other.now().0), "{:?}", other.now());
    }

    #[test]
    fn a_clock_that_is_far_off_is_told_so_and_no_other() {
        let right = Clock::system().now();
        for (wrong_by, excess) in [(0, false), (-150, false), (150, false), (600, true), (-600, true)] {
            let clock = Clock::wrong_by(wrong_by);
            clock.follow(right, Instant::now());
            assert_eq!(clock.excess_ms().is_some(), excess, "{wrong_by} ms: {:?}", clock.excess_ms());
        }
    }
}
