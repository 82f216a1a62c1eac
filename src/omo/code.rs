//! Value: the code that hands a pickup over.
//!
//! Eight characters that can be read aloud (no I, L, O, U), 40 bits out of a token that nobody can guess. A store finds it by a
//! digest, which is of that store alone.

use std::fmt;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::ids::{LocationId, OrderId};

/// Crockford's alphabet.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters of a code.
const LENGTH: usize = 8;
/// Bytes of a token.
const TOKEN_BYTES: usize = 16;
/// Before the code in its QR.
const QR_PREFIX: &str = "HANAMICHI:PICKUP:";

/// A code.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Code([u8; LENGTH]);

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(…)")
    }
}

/// What a code is made of.
pub(super) fn fresh_token() -> String {
    let mut bytes = [0u8; TOKEN_BYTES];
    getrandom::fill(&mut bytes).expect("the system has randomness, or nothing here is safe to run");
    HEXLOWER.encode(&bytes)
}

impl Code {
    /// The code of an order's pickup.
    pub(super) fn of(token: &str, order: &OrderId) -> Self {
        let hash = Sha256::digest(format!("{order}\n{token}").as_bytes());
        let mut bits = hash.iter().take(5).fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        let mut code = [0; LENGTH];
        for place in code.iter_mut().rev() {
            *place = ALPHABET[usize::try_from(bits % 32).unwrap_or(0)];
            bits /= 32;
        }
        Self(code)
    }

    /// As somebody types or scans it: in any case, with or without spaces and hyphens, and with the letters that are taken
    /// for digits. `None`: it is none.
    pub(super) fn read(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_uppercase();
        let text = text.strip_prefix(QR_PREFIX).unwrap_or(&text);
        let mut code = Vec::with_capacity(LENGTH);
        for byte in text.bytes().filter(|byte| !matches!(byte, b' ' | b'-')) {
            let byte = match byte {
                b'O' => b'0',
                b'I' | b'L' => b'1',
                other => other,
            };
            if !ALPHABET.contains(&byte) || code.len() == LENGTH {
                return None;
            }
            code.push(byte);
        }
        code.try_into().ok().map(Self)
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("the alphabet is ASCII")
    }

    /// What people read aloud: `7K3M-9PXQ`.
    pub(super) fn spoken(&self) -> String {
        let (first, last) = self.as_str().split_at(LENGTH / 2);
        format!("{first}-{last}")
    }

    /// What a QR holds: capitals, digits and signs that make a small one.
    pub(super) fn qr(&self) -> String {
        format!("{QR_PREFIX}{}", self.as_str())
    }

    /// By which its store finds it.
    pub(super) fn digest(&self, location: &LocationId) -> String {
        HEXLOWER.encode(&Sha256::digest(format!("{location}\n{}", self.as_str()).as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_it_is_spoken_typed_and_scanned() {
        let order = OrderId::fresh();
        let code = Code::of(&fresh_token(), &order);
        let typed = code.spoken().to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
        for text in [code.spoken(), code.qr(), typed, format!("  {} ", code.as_str())] {
            assert_eq!(Code::read(&text).as_ref(), Some(&code), "{text}");
        }
        for none in ["", "1234567", "123456789", "1234567U", "1234567é", "HANAMICHI:PICKUP:"] {
            assert!(Code::read(none).is_none(), "{none}");
        }
        assert!(!format!("{code:?}").contains(code.as_str()), "it is not logged");
    }

    #[test]
    fn a_code_is_of_its_token_order_and_store() {
        let (token, order) = ("00".repeat(16), OrderId::fresh());
        let code = Code::of(&token, &order);
        assert_eq!(code, Code::of(&token, &order));
        assert_ne!(code, Code::of(&token, &OrderId::fresh()));
        assert_ne!(code.digest(&LocationId::fresh()), code.digest(&LocationId::fresh()));
    }
}
