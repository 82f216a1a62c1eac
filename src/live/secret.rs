//! Shell: random text of the live room: stream keys.

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use sha2::{Digest, Sha256};

/// Bytes of a stream key: 32 characters of base32.
const STREAM_KEY_BYTES: usize = 20;

fn random<const N: usize>() -> String {
    let mut bytes = [0u8; N];
    getrandom::fill(&mut bytes).expect("the system has randomness, or nothing here is safe to run");
    BASE32_NOPAD.encode(&bytes).to_lowercase()
}

/// A fresh stream key; it is shown once.
pub(super) fn stream_key() -> String {
    format!("sk_{}", random::<STREAM_KEY_BYTES>())
}

/// What is stored of a stream key. The key has 160 random bits, so a fast hash is enough.
pub(super) fn digest(key: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(key.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_key_has_its_form_and_is_fresh() {
        let (a, b) = (stream_key(), stream_key());
        assert_ne!(a, b);
        assert_eq!(a.len(), 35);
        assert!(a[3..].bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()));
        assert_eq!(digest("abc").len(), 64);
    }
}
