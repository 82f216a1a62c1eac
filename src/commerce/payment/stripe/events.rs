//! Pure: what a message of Stripe says.
//!
//! The signature is of the raw bytes, so nothing is parsed before it is known to be right. Any `v1` signature by any of
//! our secrets will do: while a secret is replaced, Stripe signs by both, and we may know the older or the newer one.

use serde::Deserialize;

use super::super::{
    signature::verify,
    words::{Event, EventObject, SignatureFault},
};
use crate::{clock::Millis, config::Secret};

/// What is read of an event: names, for what is true now is asked.
#[derive(Deserialize)]
struct Envelope {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    created: i64,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    id: Option<String>,
    object: Option<String>,
    payment_intent: Option<serde_json::Value>,
}

/// Reads a message that came with `header`.
pub(super) fn event(secrets: &[Secret], raw: &[u8], header: &str, now: Millis) -> Result<Event, SignatureFault> {
    let secrets: Vec<&str> = secrets.iter().map(Secret::reveal).collect();
    verify(raw, header, &secrets, now)?;
    let told: Envelope = serde_json::from_slice(raw).map_err(|_| SignatureFault::NoEvent)?;
    let object = told.data.object;
    let id = object.id.unwrap_or_default();
    let object = match object.object.as_deref() {
        Some("payment_intent") => EventObject::Intent(id),
        Some("refund") => EventObject::Refund(id),
        Some("setup_intent") => EventObject::Setup(id),
        // What happens to the money of a payment is asked of the payment.
        Some("charge") => match object.payment_intent {
            Some(serde_json::Value::String(intent)) => EventObject::Intent(intent),
            _ => EventObject::Other(id),
        },
        _ => EventObject::Other(id),
    };
    Ok(Event { id: told.id, kind: told.kind, object, created: Millis(told.created.saturating_mul(1_000)) })
}

#[cfg(test)]
mod tests {
    use super::{super::super::signature::sign, *};

    // Signed by Python: hmac.new(b"whsec_test_secret", b"1700000000." + raw, "sha256").hexdigest()
    const RAW: &[u8] = b"{\"id\": \"evt_1\", \"object\": \"event\", \"type\": \"payment_intent.succeeded\", \"created\": 1699999990, \"data\": {\"object\": {\"id\": \"pi_1\", \"object\": \"payment_intent\"}}}\n";
    const GOOD: &str = "ba62a90651793a95f2cf8a2f9377fd25f5defee86fa1642ea4a014ee8ce62eea";
    const BY_OLD: &str = "5090510084c8f45b216f2b8db19d4a98515365931cdd8b071537d7845510bbf0";
    const NOW: Millis = Millis(1_700_000_000_000);

    fn read_at(secrets: &[&str], header: &str, now: Millis) -> Result<Event, SignatureFault> {
        let secrets: Vec<_> = secrets.iter().copied().map(Secret::new).collect();
        event(&secrets, RAW, header, now)
    }

    fn judged(secrets: &[&str], header: &str) -> Option<SignatureFault> {
        read_at(secrets, header, NOW).err()
    }

    #[test]
    fn a_message_is_stripes_when_any_signature_is_right_by_any_secret() {
        let new = "whsec_test_secret";
        let old = "whsec_older";
        let told = read_at(&[new], &format!("t=1700000000,v1={GOOD}"), NOW).expect("it is right");
        assert_eq!((told.id.as_str(), told.kind.as_str()), ("evt_1", "payment_intent.succeeded"));
        assert_eq!(told.object, EventObject::Intent("pi_1".to_owned()));
        assert_eq!(told.created, Millis(1_699_999_990_000));
        let wrong = "0".repeat(64);
        for header in [
            format!("t=1700000000,v1={GOOD},v1={wrong},v0={wrong}"),
            format!("t=1700000000,v1={wrong},v1={GOOD}"),
            format!("v1=zz,v1={GOOD}, t=1700000000"),
        ] {
            assert_eq!(judged(&[new], &header), None, "{header}");
        }
        assert_eq!(judged(&[old, new], &format!("t=1700000000,v1={GOOD}")), None);
        assert_eq!(judged(&[new, old], &format!("t=1700000000,v1={BY_OLD}")), None);
    }

    #[test]
    fn other_bytes_secrets_times_and_schemes_are_not() {
        let secrets = ["whsec_test_secret"];
        let header = format!("t=1700000000,v1={GOOD}");
        assert_eq!(judged(&["whsec_other"], &header), Some(SignatureFault::Wrong));
        assert_eq!(judged(&[], &header), Some(SignatureFault::Wrong));
        assert_eq!(judged(&secrets, &header.replace("t=1700000000", "t=1700000001")), Some(SignatureFault::Wrong));
        assert_eq!(judged(&secrets, &format!("t=1700000000,v1={}", &GOOD[..62])), Some(SignatureFault::Wrong));
        let of = |raw: &[u8]| event(&[Secret::new(secrets[0])], raw, &header, NOW).err();
        assert_eq!(of(&RAW[..RAW.len() - 1]), Some(SignatureFault::Wrong), "a line end is part of it");
        for unreadable in ["", "t=1700000000", "v1=", &format!("v1={GOOD}"), &format!("t=x,v1={GOOD}")] {
            assert_eq!(judged(&secrets, unreadable), Some(SignatureFault::Unreadable), "{unreadable}");
        }
        let v0 = format!("t=1700000000,v0={GOOD}");
        assert_eq!(judged(&secrets, &v0), Some(SignatureFault::Unreadable), "v0 is a scheme for tests");
        let long = format!("{header}{}", ",v1=0".repeat(1_000));
        assert_eq!(judged(&secrets, &long), Some(SignatureFault::Unreadable));
    }

    #[test]
    fn a_message_is_good_for_five_minutes() {
        let at = |offset_s: i64| {
            let now = Millis(NOW.0 + offset_s * 1_000);
            read_at(&["whsec_test_secret"], &format!("t=1700000000,v1={GOOD}"), now).err()
        };
        assert_eq!((at(300), at(-300)), (None, None));
        assert_eq!((at(301), at(-301)), (Some(SignatureFault::Stale), Some(SignatureFault::Stale)));
    }

    #[test]
    fn what_is_signed_is_not_always_an_event() {
        let told = |raw: &str| {
            let header = sign(raw.as_bytes(), "whsec_test_secret", NOW);
            event(&[Secret::new("whsec_test_secret")], raw.as_bytes(), &header, NOW)
        };
        assert_eq!(told("{}").err(), Some(SignatureFault::NoEvent));
        assert_eq!(told("not json").err(), Some(SignatureFault::NoEvent));
        let object = |object: &str| {
            told(&format!(r#"{{"id":"evt_2","type":"x","created":1,"more":[],"data":{{"object":{object}}}}}"#))
                .expect("an event")
                .object
        };
        assert_eq!(object(r#"{"id":"re_1","object":"refund"}"#), EventObject::Refund("re_1".to_owned()));
        assert_eq!(object(r#"{"id":"seti_1","object":"setup_intent"}"#), EventObject::Setup("seti_1".to_owned()));
        let charge = r#"{"id":"ch_1","object":"charge","payment_intent":"pi_9"}"#;
        assert_eq!(object(charge), EventObject::Intent("pi_9".to_owned()));
        assert_eq!(object(r#"{"object":"balance"}"#), EventObject::Other(String::new()));
    }
}
