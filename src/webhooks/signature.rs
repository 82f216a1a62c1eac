//! Pure: secrets and signatures of the Standard Webhooks specification (standardwebhooks.com, version 1.0.0).
//!
//! `v1,<base64>` of an HMAC-SHA256 over `<id>.<seconds>.<body>`, one for each secret in force, with a space between. A
//! secret is shown as `whsec_` and base64; the key is what that decodes to.

use aws_lc_rs::hmac;
use data_encoding::BASE64;

use crate::clock::Millis;

/// Bytes of a secret; the specification asks for 24 to 64.
pub(super) const SECRET_BYTES: usize = 32;

/// A secret as its receiver is given it.
pub(super) fn shown(secret: &str) -> String {
    format!("whsec_{secret}")
}

/// The value of `webhook-signature`. `secrets` are in base64; one that is not signs nothing.
pub(super) fn sign(secrets: &[String], id: &str, at: Millis, body: &str) -> String {
    let signed = format!("{id}.{}.{body}", at.0.div_euclid(1_000));
    let keys = secrets.iter().filter_map(|secret| BASE64.decode(secret.as_bytes()).ok());
    let signatures: Vec<String> = keys
        .map(|key| {
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), signed.as_bytes());
            format!("v1,{}", BASE64.encode(tag.as_ref()))
        })
        .collect();
    signatures.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's reference libraries.
    const SECRET: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const AT: Millis = Millis(1_614_265_330_999);
    const BODY: &str = r#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    #[test]
    fn the_published_example_is_signed_as_published() {
        assert_eq!(sign(&[SECRET.to_owned()], ID, AT, BODY), SIGNATURE);
        assert_eq!(shown(SECRET), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    }

    #[test]
    fn each_secret_in_force_signs_and_every_part_is_signed() {
        let both = sign(&["AAAA".to_owned(), SECRET.to_owned()], ID, AT, BODY);
        assert!(both.ends_with(&format!(" {SIGNATURE}")), "{both}");
        for other in [
            sign(&[SECRET.to_owned()], "msg_2", AT, BODY),
            sign(&[SECRET.to_owned()], ID, Millis(AT.0 + 1_000), BODY),
            sign(&[SECRET.to_owned()], ID, AT, "{}"),
        ] {
            assert_ne!(other, SIGNATURE);
        }
    }
}
