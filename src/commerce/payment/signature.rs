//! Pure: signatures of webhooks, in Stripe's scheme.
//!
//! `t=<seconds>,v1=<hex>[,v1=<hex>…]`, each `v1` an HMAC-SHA256 over `<t>.<body>` under one of the secrets in force
//! (docs.stripe.com/webhooks#verify-manually). Invariant: a body is looked into only after one of its signatures was right.

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER_PERMISSIVE;

use super::SignatureFault;
use crate::clock::Millis;

/// A message that was signed longer ago, or further in the future, is not taken.
const TOLERANCE_MS: i64 = 300_000;
/// Bytes of a header; Stripe's have under 200.
const MAX_HEADER: usize = 4_096;
/// Signatures of one header that are looked at.
const MAX_SIGNATURES: usize = 16;

/// Checks the header of a message against any of the secrets.
///
/// # Errors
/// Says which part is wrong.
pub(super) fn verify(raw: &[u8], header: &str, secrets: &[&str], now: Millis) -> Result<(), SignatureFault> {
    if header.len() > MAX_HEADER {
        return Err(SignatureFault::Unreadable);
    }
    let mut at: Option<&str> = None;
    let mut signatures = Vec::new();
    for part in header.split(',') {
        match part.trim().split_once('=') {
            Some(("t", text)) => at = Some(text),
            Some(("v1", hex)) if signatures.len() < MAX_SIGNATURES => {
                signatures.extend(HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok());
            }
            _ => {}
        }
    }
    let at = at.ok_or(SignatureFault::Unreadable)?;
    let seconds: i64 = at.parse().map_err(|_| SignatureFault::Unreadable)?;
    if signatures.is_empty() {
        return Err(SignatureFault::Unreadable);
    }
    let signed = signed_bytes(at, raw);
    let is_right = |secret: &&str| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        // Compared in constant time.
        signatures.iter().any(|signature| hmac::verify(&key, &signed, signature).is_ok())
    };
    if !secrets.iter().any(is_right) {
        return Err(SignatureFault::Wrong);
    }
    let age = seconds.checked_mul(1_000).and_then(|signed_at| now.0.checked_sub(signed_at));
    if age.is_none_or(|age| age.abs() > TOLERANCE_MS) {
        return Err(SignatureFault::Stale);
    }
    Ok(())
}

/// The header of a message that is signed now.
pub(super) fn sign(raw: &[u8], secret: &str, now: Millis) -> String {
    let at = (now.0 / 1_000).to_string();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, &signed_bytes(&at, raw));
    format!("t={at},v1={}", HEXLOWER_PERMISSIVE.encode(tag.as_ref()))
}

fn signed_bytes(at: &str, raw: &[u8]) -> Vec<u8> {
    let mut signed = Vec::with_capacity(at.len() + 1 + raw.len());
    signed.extend_from_slice(at.as_bytes());
    signed.push(b'.');
    signed.extend_from_slice(raw);
    signed
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_800_000_000_000);

    const SECRETS: &[&str] = &["whsec_old", "whsec_new"];

    #[test]
    fn any_right_signature_of_any_secret_is_enough() {
        let header = sign(b"{}", "whsec_new", NOW);
        assert_eq!(verify(b"{}", &header, SECRETS, NOW), Ok(()));
        let (t, right) = header.split_once(',').expect("two parts");
        let wrong = "v1=00ff,v0=12,v1=zz";
        for mixed in [format!("{t},{wrong},{right}"), format!("{t},{right},{wrong}"), format!("{right}, {t}")] {
            assert_eq!(verify(b"{}", &mixed, SECRETS, NOW), Ok(()), "{mixed}");
        }
    }

    #[test]
    fn other_bytes_times_and_secrets_are_refused() {
        let header = sign(b"{}", "whsec_new", NOW);
        assert_eq!(verify(b"{ }", &header, SECRETS, NOW), Err(SignatureFault::Wrong));
        assert_eq!(verify(b"{}", &header, &["another"], NOW), Err(SignatureFault::Wrong));
        let moved = header.replace("t=1800000000", "t=1800000001");
        assert_eq!(verify(b"{}", &moved, SECRETS, NOW), Err(SignatureFault::Wrong));
        for late in [Millis(NOW.0 + 301_000), Millis(NOW.0 - 301_000)] {
            assert_eq!(verify(b"{}", &header, SECRETS, late), Err(SignatureFault::Stale));
        }
        for unreadable in ["", "t=1", "v1=00", "t=x,v1=00", "t=99999999999999999999,v1=00"] {
            assert_eq!(verify(b"{}", unreadable, SECRETS, NOW), Err(SignatureFault::Unreadable), "{unreadable}");
        }
        assert_eq!(verify(b"{}", "t=9223372036854775807,v1=00", SECRETS, NOW), Err(SignatureFault::Wrong));
    }

    /// From RFC 4231, test case 2, through the scheme's own way of joining: the tag is over `t.body`.
    #[test]
    fn the_tag_is_over_the_time_and_the_body() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"Jefe");
        let tag = hmac::sign(&key, b"what do ya want for nothing?");
        let known = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(HEXLOWER_PERMISSIVE.encode(tag.as_ref()), known);
        assert_eq!(signed_bytes("12", b"{}"), b"12.{}");
    }
}
