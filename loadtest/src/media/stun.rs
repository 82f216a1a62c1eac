//! Edge: the STUN messages of ICE: a check, what answers it, and answers to the other side's (RFC 8445, 8489).
//!
//! A check of who controls nominates its pair at once. An answer is known by its transaction, and the other side's checks
//! are not verified: on one machine nobody else could have sent them.

use std::net::SocketAddr;

use aws_lc_rs::hmac;

const HEADER_BYTES: usize = 20;
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];
const COOKIE: [u8; 4] = 0x2112_a442_u32.to_be_bytes();
const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
const ICE_CONTROLLED: u16 = 0x8029;
const ICE_CONTROLLING: u16 = 0x802a;
const FINGERPRINT_MASK: u32 = 0x5354_554e;
/// Of a peer-reflexive candidate on the only interface.
const PRIORITY_VALUE: u32 = 0x6eff_ffff;
/// Bytes that an integrity attribute and a fingerprint take.
const INTEGRITY_BYTES: usize = 24;
const FINGERPRINT_BYTES: usize = 8;

/// What makes one check different from all others.
pub type Transaction = [u8; 12];

/// Who decides which pair is used: whoever offered, or the side that is not ICE-lite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Controls,
    Obeys,
}

/// A check of a pair.
pub fn check(transaction: Transaction, username: &str, password: &str, role: Role, tie_breaker: u64) -> Vec<u8> {
    let mut message = begin(BINDING_REQUEST, transaction);
    attribute(USERNAME, username.as_bytes(), &mut message);
    attribute(PRIORITY, &PRIORITY_VALUE.to_be_bytes(), &mut message);
    match role {
        Role::Controls => {
            attribute(ICE_CONTROLLING, &tie_breaker.to_be_bytes(), &mut message);
            attribute(USE_CANDIDATE, &[], &mut message);
        }
        Role::Obeys => attribute(ICE_CONTROLLED, &tie_breaker.to_be_bytes(), &mut message),
    }
    finish(message, password)
}

/// The answer to a check that came from there.
pub fn answer(transaction: Transaction, from: SocketAddr, password: &str) -> Vec<u8> {
    let mut message = begin(BINDING_SUCCESS, transaction);
    let port = from.port() ^ 0x2112;
    // Its family: 1 is version 4, the only one that is spoken here.
    let mut value = vec![0, 1];
    value.extend(port.to_be_bytes());
    if let SocketAddr::V4(v4) = from {
        value.extend(v4.ip().octets().iter().zip(COOKIE).map(|(octet, with)| octet ^ with));
    }
    attribute(XOR_MAPPED_ADDRESS, &value, &mut message);
    finish(message, password)
}

fn begin(kind: [u8; 2], transaction: Transaction) -> Vec<u8> {
    let mut message = Vec::with_capacity(128);
    message.extend(kind);
    message.extend([0, 0]);
    message.extend(COOKIE);
    message.extend(transaction);
    message
}

/// Signs it.
fn finish(mut message: Vec<u8>, password: &str) -> Vec<u8> {
    set_len(&mut message, INTEGRITY_BYTES);
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
    let signature = hmac::sign(&key, &message);
    attribute(MESSAGE_INTEGRITY, signature.as_ref(), &mut message);
    set_len(&mut message, FINGERPRINT_BYTES);
    let sum = crc32(&message) ^ FINGERPRINT_MASK;
    attribute(FINGERPRINT, &sum.to_be_bytes(), &mut message);
    message
}

/// A check of the other side, and whether it nominates the pair.
pub fn asked(datagram: &[u8]) -> Option<(Transaction, bool)> {
    let (header, mut attributes) = datagram.split_first_chunk::<HEADER_BYTES>()?;
    if header[..2] != BINDING_REQUEST || header[4..8] != COOKIE {
        return None;
    }
    let mut nominates = false;
    while let Some((head, rest)) = attributes.split_first_chunk::<4>() {
        nominates |= u16::from_be_bytes([head[0], head[1]]) == USE_CANDIDATE;
        let len = usize::from(u16::from_be_bytes([head[2], head[3]])).next_multiple_of(4);
        attributes = rest.get(len..).unwrap_or_default();
    }
    Some((header[8..].try_into().ok()?, nominates))
}

/// Which check this answers with success.
pub fn answered(datagram: &[u8]) -> Option<Transaction> {
    let header = datagram.first_chunk::<HEADER_BYTES>()?;
    let is_answer = header[..2] == BINDING_SUCCESS && header[4..8] == COOKIE;
    is_answer.then(|| header[8..].try_into().ok())?
}

fn attribute(kind: u16, value: &[u8], message: &mut Vec<u8>) {
    message.extend(kind.to_be_bytes());
    message.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

/// The length as it will be when so many more bytes have come.
fn set_len(message: &mut [u8], more: usize) {
    let len = u16::try_from(message.len() - HEADER_BYTES + more).unwrap_or(u16::MAX);
    message[2..4].copy_from_slice(&len.to_be_bytes());
}

fn crc32(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0xedb8_8320;
    !bytes.iter().fold(!0, |sum: u32, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (POLYNOMIAL & (sum & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_has_its_length_and_a_sum_at_its_end() {
        let message = check([7; 12], "theirs:ours", "a password of them", Role::Controls, 42);
        let len = u16::from_be_bytes([message[2], message[3]]);
        assert_eq!(usize::from(len) + HEADER_BYTES, message.len());
        let (body, sum) = message.split_at(message.len() - 4);
        let covered = &body[..body.len() - 4];
        assert_eq!(u32::from_be_bytes(sum.try_into().expect("four")), crc32(covered) ^ FINGERPRINT_MASK);
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn an_answer_is_known_by_its_transaction() {
        let message = check([7; 12], "a:b", "c", Role::Controls, 1);
        assert_eq!((answered(&message), asked(&message)), (None, Some(([7; 12], true))), "a check is no answer");
        assert_eq!(asked(&check([7; 12], "a:b", "c", Role::Obeys, 1)), Some(([7; 12], false)));
        let message = answer([7; 12], "192.0.2.1:32853".parse().expect("an address"), "c");
        assert_eq!((answered(&message), asked(&message)), (Some([7; 12]), None));
        // The example of RFC 5769.
        assert_eq!(message[20..32], [0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43]);
        assert_eq!(answered(&message[..19]), None);
    }
}
