//! Pure: when a delivery is tried again, and what an answer means for it and for its address.

use crate::clock::Millis;

/// One try may take so long, the answer included.
pub(super) const TIMEOUT_MS: u64 = 15_000;
/// Whoever has begun a try and says nothing for so long has died: longer than a try and the writing of what came of it.
pub(super) const LEASE_MS: i64 = 60_000;
/// How long after a try the next one follows: the schedule that Standard Webhooks recommends, 3 days in all.
const AFTER_MS: [i64; 9] = [
    5_000,
    5 * 60_000,
    30 * 60_000,
    2 * 3_600_000,
    5 * 3_600_000,
    10 * 3_600_000,
    14 * 3_600_000,
    20 * 3_600_000,
    24 * 3_600_000,
];
/// The longest wait that a receiver may ask for.
const MAX_ASKED_MS: i64 = 24 * 3_600_000;
/// An address at which nothing came through for so long is told no more.
const FAILING_FOR_MS: i64 = 5 * 24 * 3_600_000;

crate::stored_choice! {
    /// Why a try failed.
    Fault {
        /// The answer was not 2xx.
        Status = "status",
        /// No answer in time.
        Timeout = "timeout",
        /// Nobody is there.
        Unreachable = "unreachable",
        /// The name leads to an address that is not public.
        Address = "address",
        /// Its certificate is not good.
        Tls = "tls",
        /// It leads elsewhere, which is not followed.
        Redirect = "redirect",
    }
}

crate::stored_choice! {
    /// How far a delivery is.
    DeliveryState {
        /// It is tried, or will be.
        Waiting = "waiting",
        /// It was answered with 2xx.
        Delivered = "delivered",
        /// It is given up; it can be sent again.
        Failed = "failed",
    }
}

/// What came of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The answer's status, when there was one.
    pub(super) status: Option<u16>,
    /// What was wrong; nothing when it was taken.
    pub(super) fault: Option<Fault>,
    /// How long the receiver asks to wait.
    pub(super) retry_after_ms: Option<i64>,
}

impl Outcome {
    /// Of an answer.
    pub(super) fn of_status(status: u16, retry_after_ms: Option<i64>) -> Self {
        let fault = match status {
            200..=299 => None,
            300..=399 => Some(Fault::Redirect),
            _ => Some(Fault::Status),
        };
        Self { status: Some(status), fault, retry_after_ms }
    }

    /// Without an answer.
    pub(super) fn without_answer(fault: Fault) -> Self {
        Self { status: None, fault: Some(fault), retry_after_ms: None }
    }

    /// The receiver wants no more of it, ever (the specification's 410).
    pub(super) fn is_gone(self) -> bool {
        self.status == Some(410)
    }
}

/// How a delivery goes on after so many tries: its state, and when it is tried next. `spread` (0 to 255) moves that by up to
/// a tenth, so that what failed together does not come back together.
pub(super) fn after(outcome: Outcome, tries: i32, now: Millis, spread: u8) -> (DeliveryState, Millis) {
    if outcome.fault.is_none() {
        return (DeliveryState::Delivered, now);
    }
    let planned = usize::try_from(tries).ok().and_then(|tries| AFTER_MS.get(tries.max(1) - 1));
    let (Some(planned), false) = (planned, outcome.is_gone()) else { return (DeliveryState::Failed, now) };
    let planned = planned + planned * i64::from(spread) / 2_550;
    let asked = outcome.retry_after_ms.unwrap_or(0).clamp(0, MAX_ASKED_MS);
    (DeliveryState::Waiting, Millis(now.0 + planned.max(asked)))
}

/// Whether an address that has been failing since then is given up.
pub(super) fn is_given_up(failing_since: Millis, now: Millis) -> bool {
    now.0 - failing_since.0 >= FAILING_FOR_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_800_000_000_000);

    #[test]
    fn a_delivery_is_tried_ten_times_over_three_days_and_given_up() {
        let refused = Outcome::of_status(500, None);
        let (mut at, mut tries) = (NOW, 0);
        loop {
            tries += 1;
            match after(refused, tries, at, 0) {
                (DeliveryState::Waiting, next) => {
                    assert!(next > at, "{tries}");
                    at = next;
                }
                (state, _) => {
                    assert_eq!(state, DeliveryState::Failed);
                    break;
                }
            }
        }
        assert_eq!(tries, 10);
        let hours = (at.0 - NOW.0) / 3_600_000;
        assert!((72..80).contains(&hours), "{hours} hours");
    }

    #[test]
    fn what_failed_together_comes_back_apart_and_no_sooner_than_it_is_asked_to() {
        let refused = Outcome::of_status(503, None);
        assert_eq!(after(refused, 2, NOW, 0).1, Millis(NOW.0 + 300_000));
        assert_eq!(after(refused, 2, NOW, 255).1, Millis(NOW.0 + 330_000));
        let asked = |ms| after(Outcome::of_status(429, Some(ms)), 1, NOW, 0).1;
        assert_eq!(asked(60_000), Millis(NOW.0 + 60_000));
        assert_eq!(asked(1), Millis(NOW.0 + 5_000));
        assert_eq!(asked(i64::MAX), Millis(NOW.0 + MAX_ASKED_MS));
        assert_eq!(asked(-1), Millis(NOW.0 + 5_000));
    }

    #[test]
    fn a_2xx_is_taken_a_redirect_is_not_and_410_is_the_end() {
        for (status, fault) in [(200, None), (204, None), (301, Some(Fault::Redirect)), (404, Some(Fault::Status))] {
            assert_eq!(Outcome::of_status(status, None).fault, fault, "{status}");
        }
        assert_eq!(after(Outcome::of_status(204, None), 3, NOW, 9).0, DeliveryState::Delivered);
        assert_eq!(after(Outcome::of_status(410, None), 1, NOW, 9).0, DeliveryState::Failed);
        assert_eq!(after(Outcome::without_answer(Fault::Timeout), 1, NOW, 9).0, DeliveryState::Waiting);
        assert!(!is_given_up(NOW, Millis(NOW.0 + FAILING_FOR_MS - 1)));
        assert!(is_given_up(NOW, Millis(NOW.0 + FAILING_FOR_MS)));
    }
}
