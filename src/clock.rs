//! Value: the one clock.
//!
//! Every time in the product comes from here, so a test can move it. Nothing else may ask the system for the time;
//! `clippy.toml` forbids it.

use std::{sync::Arc, time::Duration};

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

/// Where the time comes from: the system, or a test's hand.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    manual: Option<Arc<watch::Sender<Millis>>>,
    /// Of the system's clock; not zero only where a story needs a wrong one.
    ahead_ms: i64,
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
        Self { manual: Some(Arc::new(watch::channel(start).0)), ahead_ms: 0 }
    }

    /// The system's clock, wrong by so much.
    #[must_use]
    pub fn wrong_by(ahead_ms: i64) -> Self {
        Self { manual: None, ahead_ms }
    }

    /// Whether it goes by itself.
    #[must_use]
    pub fn is_real(&self) -> bool {
        self.manual.is_none()
    }

    /// The time now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system for the time")]
    pub fn now(&self) -> Millis {
        match &self.manual {
            Some(hand) => *hand.borrow(),
            None => {
                let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                Millis(since_epoch.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX)) + self.ahead_ms)
            }
        }
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
