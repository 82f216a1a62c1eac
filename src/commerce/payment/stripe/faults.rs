//! Pure: what an answer that is no success means.
//!
//! Invariant: `Refused`, `Busy`, `Misconfigured` and `KeyMet` are said only where Stripe itself says that this call did
//! nothing; everything else is no answer, and what happened is asked.

use std::time::Duration;

use super::{
    super::words::Trouble,
    answers::{ErrorBody, PaymentIntent},
};

/// Longest wait that is believed.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// Why a call was no success.
pub(super) struct Failure {
    pub(super) trouble: Trouble,
    /// The payment that the call made all the same: one whose card was declined exists.
    pub(super) intent: Option<Box<PaymentIntent>>,
    /// Stripe repeated what it had answered to an earlier call under the key.
    pub(super) replayed: bool,
}

impl Failure {
    /// There was no answer at all.
    pub(super) fn silent() -> Self {
        Trouble::NoAnswer.into()
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        Self { trouble, intent: None, replayed: false }
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        failure.trouble
    }
}

/// What was answered, besides the body.
#[derive(Debug, Default)]
pub(super) struct Head<'a> {
    pub(super) status: u16,
    pub(super) retry_after: Option<&'a str>,
    pub(super) replayed: bool,
}

/// Judges an answer whose status is not 2xx.
pub(super) fn judge(head: &Head<'_>, body: &[u8]) -> Failure {
    let retry_after = || {
        let wait = head.retry_after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        wait.map(|wait| wait.min(MAX_RETRY_AFTER))
    };
    let fault = serde_json::from_slice::<ErrorBody>(body).ok().map(|body| body.error);
    let trouble = match (head.status, &fault) {
        (409 | 429, _) => Trouble::Busy { retry_after: retry_after() },
        (401 | 403, _) => Trouble::Misconfigured,
        // Some other server than Stripe said so; 408 and 424 do not say whether the call acted.
        (400..=499, None) | (408 | 424, _) => Trouble::NoAnswer,
        (400..=499, Some(fault)) if fault.kind.as_deref() == Some("idempotency_error") => Trouble::KeyMet,
        (400..=499, Some(fault)) => Trouble::Refused { code: fault.telling() },
        _ => Trouble::NoAnswer,
    };
    let refused = matches!(trouble, Trouble::Refused { .. });
    Failure {
        trouble,
        intent: fault.filter(|_| refused).and_then(|fault| fault.payment_intent),
        replayed: head.replayed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commerce::payment::words::Status;

    fn trouble(status: u16, body: &str) -> Trouble {
        judge(&Head { status, ..Head::default() }, body.as_bytes()).trouble
    }

    #[test]
    fn only_what_stripe_says_did_nothing_did_nothing() {
        let error =
            |kind: &str, code: &str| format!(r#"{{"error":{{"type":"{kind}","code":"{code}","message":"…"}}}}"#);
        let refused = |code: &str| Trouble::Refused { code: code.to_owned() };
        let invalid = error("invalid_request_error", "resource_missing");
        assert_eq!(trouble(404, &invalid), refused("resource_missing"));
        assert_eq!(trouble(400, &error("invalid_request_error", "Nakamura said no")), refused("invalid_request_error"));
        assert_eq!(trouble(402, &error("card_error", "card_declined")), refused("card_declined"));
        assert_eq!(trouble(400, &error("idempotency_error", "")), Trouble::KeyMet);
        for (status, code) in [(401, "api_key_expired"), (403, "secret_key_required")] {
            assert_eq!(trouble(status, &error("invalid_request_error", code)), Trouble::Misconfigured);
        }
        let busy = Trouble::Busy { retry_after: None };
        assert_eq!(trouble(409, &error("idempotency_error", "idempotency_key_in_use")), busy);
        assert_eq!(trouble(429, &error("invalid_request_error", "rate_limit")), busy);
        for status in [500, 502, 503, 504, 408, 424, 301, 304, 0] {
            assert_eq!(trouble(status, &invalid), Trouble::NoAnswer, "{status}");
        }
        for body in ["", "<html>blocked</html>", "{}", r#"{"error":"no"}"#] {
            assert_eq!(trouble(400, body), Trouble::NoAnswer, "{body}");
        }
    }

    #[test]
    fn a_wait_is_believed_up_to_five_minutes() {
        let wait = |retry_after| {
            let failure = judge(&Head { status: 429, retry_after, replayed: false }, b"");
            let Trouble::Busy { retry_after } = failure.trouble else { panic!("busy") };
            retry_after.map(|wait| wait.as_secs())
        };
        assert_eq!(wait(Some("2")), Some(2));
        assert_eq!(wait(Some("86400")), Some(300));
        assert_eq!(wait(Some("Wed, 21 Oct 2026 07:28:00 GMT")), None);
        assert_eq!(wait(None), None);
    }

    #[test]
    fn a_declined_payment_is_told_by_its_error() {
        let body = r#"{"error":{"type":"card_error","code":"card_declined","decline_code":"insufficient_funds",
            "payment_intent":{"id":"pi_1","status":"requires_payment_method","amount":1200,"amount_received":0,
            "metadata":{"attempt":"pi:pur_1:1"},"payment_method":null,"payment_method_types":["card"],
            "last_payment_error":{"type":"card_error","code":"card_declined","decline_code":"insufficient_funds",
            "message":"Hanako's card has no money","payment_method":{"id":"pm_1","type":"card"}}}}}"#;
        let failure = judge(&Head { status: 402, ..Head::default() }, body.as_bytes());
        let intent = failure.intent.expect("it exists").into_intent();
        assert_eq!((intent.status, intent.decline_code.as_deref()), (Status::Failed, Some("insufficient_funds")));
        assert_eq!((intent.method.as_deref(), intent.attempt.as_deref()), (Some("card"), Some("pi:pur_1:1")));
    }
}
