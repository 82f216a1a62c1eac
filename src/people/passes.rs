//! Value: passes: signed, short-lived proofs of who somebody is, checked without a look-up.
//!
//! A storm of returning viewers must not become a storm of queries. A pass says who the person is, on which sign-in it
//! rests, and until when; it is signed with a key that all nodes read from the database once (HMAC-SHA-256, RFC 2104).
//! Form: base64url(JSON) `.` base64url(signature), without padding, so it fits a token of HTTP.
//! Invariant: what was not signed here, was changed, or has expired, is nobody.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::hmac;
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

use super::Person;
use crate::{
    clock::{Clock, Millis},
    ids::{AccountId, CustomerId, LiveId, LiverId},
    on,
    store::{StoreError, Tx},
};

/// How long a pass is good: also after a sign-out.
pub const PASS_TTL: Duration = Duration::from_secs(10 * 60);
/// How long one node's proof to another is good: their clocks differ by less.
const RELAY_TTL: Duration = Duration::from_secs(60);
/// Bytes of the key.
const KEY_BYTES: usize = 32;
/// Longer ones are not even decoded.
const MAX_TOKEN_BYTES: usize = 1_024;

/// Who a pass names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bearer {
    /// The sign-in's account.
    #[serde(rename = "a")]
    pub account_id: AccountId,
    /// The person.
    #[serde(rename = "c")]
    pub customer_id: CustomerId,
    /// What others see.
    #[serde(rename = "n")]
    pub display_name: String,
    /// Also a liver?
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    pub liver_id: Option<LiverId>,
    /// Made by `hanamichi demo`.
    #[serde(rename = "d", default)]
    pub demo: bool,
    /// The digest of the session or API key that it rests on.
    #[serde(rename = "s")]
    pub sign_in: String,
    /// Until when.
    #[serde(rename = "x")]
    pub expires_at: Millis,
}

/// Signs and checks passes. Cheap to clone.
#[derive(Clone)]
pub struct Passes {
    key: Arc<hmac::Key>,
    clock: Clock,
}

impl std::fmt::Debug for Passes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passes")
    }
}

impl Passes {
    pub(super) fn new(key: &[u8], clock: Clock) -> Self {
        Self { key: Arc::new(hmac::Key::new(hmac::HMAC_SHA256, key)), clock }
    }

    /// A pass for a person whose sign-in was just looked at, and when it expires.
    #[must_use]
    pub fn issue(&self, person: &Person, sign_in: &str) -> (String, Millis) {
        self.issue_to(&Bearer {
            account_id: person.account.id.clone(),
            customer_id: person.customer_id.clone(),
            display_name: person.account.display_name.clone(),
            liver_id: person.liver_id.clone(),
            demo: person.account.demo,
            sign_in: sign_in.to_owned(),
            expires_at: Millis(0),
        })
    }

    /// The same, of whom another room has already made a bearer; until when it said does not count.
    #[must_use]
    pub fn issue_to(&self, bearer: &Bearer) -> (String, Millis) {
        let expires_at = self.clock.now().plus(PASS_TTL);
        let bearer = Bearer { expires_at, ..bearer.clone() };
        let text = BASE64URL_NOPAD.encode(&serde_json::to_vec(&bearer).expect("text and numbers"));
        let signature = BASE64URL_NOPAD.encode(hmac::sign(&self.key, text.as_bytes()).as_ref());
        (format!("{text}.{signature}"), expires_at)
    }

    /// A proof of one node to another that it may have the picture of a live.
    #[must_use]
    pub fn issue_relay(&self, live: &LiveId) -> String {
        let expires_at = self.clock.now().plus(RELAY_TTL);
        let signature = hmac::sign(&self.key, relay_text(live, expires_at).as_bytes());
        format!("{}.{}", expires_at.0, BASE64URL_NOPAD.encode(signature.as_ref()))
    }

    /// Whether it is one, for this live, and still good.
    #[must_use]
    pub fn check_relay(&self, live: &LiveId, token: &str) -> bool {
        let check = || {
            let (expires_at, signature) = token.split_once('.').filter(|_| token.len() <= MAX_TOKEN_BYTES)?;
            let expires_at = Millis(expires_at.parse().ok()?);
            let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).ok()?;
            hmac::verify(&self.key, relay_text(live, expires_at).as_bytes(), &signature).ok()?;
            (expires_at > self.clock.now()).then_some(())
        };
        check().is_some()
    }

    /// Whom a pass names, if it is ours and still good.
    #[must_use]
    pub fn check(&self, token: &str) -> Option<Bearer> {
        let (text, signature) = token.split_once('.').filter(|_| token.len() <= MAX_TOKEN_BYTES)?;
        let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).ok()?;
        hmac::verify(&self.key, text.as_bytes(), &signature).ok()?;
        let bearer: Bearer = serde_json::from_slice(&BASE64URL_NOPAD.decode(text.as_bytes()).ok()?).ok()?;
        (bearer.expires_at > self.clock.now()).then_some(bearer)
    }
}

/// What is signed: no pass looks like it, for they are base64.
fn relay_text(live: &LiveId, expires_at: Millis) -> String {
    format!("relay {live} until {}", expires_at.0)
}

/// The key of all nodes; whoever comes first makes it.
pub(super) async fn load_key(tx: &mut Tx) -> Result<Vec<u8>, StoreError> {
    let mut fresh = [0u8; KEY_BYTES];
    getrandom::fill(&mut fresh).expect("the system has randomness, or nothing here is safe to run");
    let (text,) = on!(tx, |conn| {
        sqlx::query_as::<_, (String,)>(
            "INSERT INTO signing_keys (name, secret)
             VALUES ('passes', $1)
             ON CONFLICT (name) DO UPDATE SET secret = signing_keys.secret
             RETURNING secret",
        )
        .bind(BASE64URL_NOPAD.encode(&fresh))
        .fetch_one(conn)
        .await?
    });
    Ok(BASE64URL_NOPAD.decode(text.as_bytes()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::Account;

    fn person() -> Person {
        let account =
            Account { id: AccountId::fresh(), email: "a@b.example".into(), display_name: "ゆい".into(), demo: false };
        Person {
            account,
            customer_id: CustomerId::fresh(),
            liver_id: None,
            brands: Vec::new(),
            locations: Vec::new(),
            operator: false,
        }
    }

    #[test]
    fn a_pass_is_good_for_a_while_and_only_as_it_was_signed() {
        let clock = Clock::manual(Millis(1_000));
        let passes = Passes::new(&[7; KEY_BYTES], clock.clone());
        let person = person();
        let (token, expires_at) = passes.issue(&person, "digest");
        let bearer = passes.check(&token).expect("it is ours");
        assert_eq!((&bearer.account_id, bearer.expires_at), (&person.account.id, expires_at));
        assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)), "a token of HTTP");
        for at in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).expect("ASCII");
            assert!(passes.check(&forged).is_none_or(|forged| forged == bearer), "byte {at}");
        }
        assert!(Passes::new(&[8; KEY_BYTES], clock.clone()).check(&token).is_none(), "another house's");
        assert!(passes.check("").is_none() && passes.check(&"a.".repeat(1_000)).is_none());
        clock.advance(PASS_TTL);
        assert!(passes.check(&token).is_none(), "it has expired");
    }
}
