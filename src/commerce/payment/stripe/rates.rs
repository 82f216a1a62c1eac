//! Edge: not asking more often than Stripe allows.
//!
//! Calls of one kind pass one by one at an even pace, then those of all kinds: in no second do more leave than the limit,
//! so Stripe's own 429 is for others that use the account, and for what a network bunches up.
//! Invariant: who cannot pass within [`MAX_WAIT_S`] is told so at once and has asked nothing.

use std::{num::NonZeroU32, time::Duration};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::{Mutex, Semaphore};

use super::super::words::Trouble;

/// Seconds that the last one in line would wait.
const MAX_WAIT_S: u32 = 20;

/// A kind of call; Stripe limits each by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    CreateIntent,
    ListIntents,
    ReadIntent,
    Capture,
    Cancel,
    CreateRefund,
    ReadRefund,
    ListRefunds,
    CreateCustomer,
    CreateSetup,
    ReadSetup,
    Detach,
    ReadMethod,
    ListEntries,
}

const ENDPOINTS: usize = Endpoint::ListEntries as usize + 1;

/// Who waits to ask one kind of question.
#[derive(Debug)]
struct Line {
    places: Semaphore,
    /// Fair: first come, first served.
    turn: Mutex<()>,
    bucket: DefaultDirectRateLimiter,
}

/// Every line.
#[derive(Debug)]
pub(super) struct Rates {
    lines: [Line; ENDPOINTS],
    account: Line,
}

fn line(per_s: NonZeroU32) -> Line {
    let even = Quota::per_second(per_s).allow_burst(NonZeroU32::MIN);
    let places = per_s.get().saturating_mul(MAX_WAIT_S) as usize;
    Line { places: Semaphore::new(places), turn: Mutex::new(()), bucket: RateLimiter::direct(even) }
}

impl Line {
    async fn pass(&self) -> Result<(), Trouble> {
        let full = Trouble::Busy { retry_after: Some(Duration::from_secs(u64::from(MAX_WAIT_S) / 2)) };
        let _place = self.places.try_acquire().map_err(|_| full)?;
        let _turn = self.turn.lock().await;
        self.bucket.until_ready().await;
        Ok(())
    }
}

impl Rates {
    pub(super) fn new(per_endpoint_per_s: NonZeroU32, per_account_per_s: NonZeroU32) -> Self {
        Self { lines: std::array::from_fn(|_| line(per_endpoint_per_s)), account: line(per_account_per_s) }
    }

    /// Waits for its turn.
    pub(super) async fn pass(&self, endpoint: Endpoint) -> Result<(), Trouble> {
        self.lines[endpoint as usize].pass().await?;
        self.account.pass().await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn per_s(calls: u32) -> NonZeroU32 {
        NonZeroU32::new(calls).expect("not zero")
    }

    #[tokio::test]
    async fn calls_of_one_kind_keep_their_pace_and_hold_up_no_others() {
        let rates = Rates::new(per_s(20), per_s(1_000));
        let began = Instant::now();
        for _ in 0..5 {
            rates.pass(Endpoint::CreateIntent).await.expect("its turn");
        }
        assert!(began.elapsed() >= Duration::from_millis(195), "{:?}", began.elapsed());
        let other = Instant::now();
        rates.pass(Endpoint::ReadIntent).await.expect("its turn");
        assert!(other.elapsed() < Duration::from_millis(40), "{:?}", other.elapsed());
    }

    #[tokio::test]
    async fn all_kinds_together_keep_the_accounts_pace() {
        let rates = Rates::new(per_s(1_000), per_s(20));
        let began = Instant::now();
        for endpoint in [Endpoint::CreateIntent, Endpoint::ReadIntent, Endpoint::Capture, Endpoint::Cancel] {
            rates.pass(endpoint).await.expect("its turn");
        }
        assert!(began.elapsed() >= Duration::from_millis(145), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_said_to_be() {
        let rates = std::sync::Arc::new(Rates::new(per_s(1), per_s(1_000)));
        let waiting: Vec<_> = (0..40)
            .map(|_| {
                let rates = std::sync::Arc::clone(&rates);
                async move { tokio::time::timeout(Duration::from_millis(50), rates.pass(Endpoint::Capture)).await }
            })
            .collect();
        let answers = futures_util::future::join_all(waiting).await;
        let busy = answers.iter().filter(|answer| matches!(answer, Ok(Err(Trouble::Busy { .. })))).count();
        assert_eq!(busy, 19, "one passes, twenty may wait");
    }
}
