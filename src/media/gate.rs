//! Pure: which of a peer's datagrams the library gets to see.
//!
//! The library remembers for ever each address that a check came from, and lets a stream take another name (SSRC) before
//! it has verified the packet that says so: whoever knows a publisher's address could put it off air with one forged
//! packet. So the first datagram of a new address and of a new stream is verified before, and both are counted.
//! Invariant: at most [`MAX_ADDRESSES`] and [`MAX_STREAMS`], for as long as the peer stays.

use std::{net::SocketAddr, sync::Arc};

use str0m::crypto::CryptoProvider;

use super::{keys::KeyCell, srtp::Witness};

/// Addresses that a peer's checks come from; a browser tries a handful, and a network changes it now and then.
const MAX_ADDRESSES: usize = 64;
/// Streams of a peer: picture, sound, what is sent again of each, probes. A peer that has more is not listened to.
const MAX_STREAMS: usize = 32;

pub(super) struct Gate {
    crypto: Arc<CryptoProvider>,
    keys: KeyCell,
    witness: Option<Witness>,
    addresses: Vec<SocketAddr>,
    streams: Vec<u32>,
}

impl Gate {
    pub(super) fn new(crypto: Arc<CryptoProvider>, keys: KeyCell) -> Self {
        Self { crypto, keys, witness: None, addresses: Vec::new(), streams: Vec::new() }
    }

    /// Whether a check from there may go on; one from a new address is verified before.
    pub(super) fn admits_check(&mut self, source: SocketAddr, verify: impl FnOnce() -> bool) -> bool {
        if self.addresses.contains(&source) {
            return true;
        }
        let is_new = self.addresses.len() < MAX_ADDRESSES && verify();
        if is_new {
            self.addresses.push(source);
        }
        is_new
    }

    /// Whether a packet of media may go on; the first of a stream must be the peer's.
    pub(super) fn admits_media(&mut self, packet: &[u8]) -> bool {
        let Some(ssrc) = packet.get(8..).and_then(<[u8]>::first_chunk).copied().map(u32::from_be_bytes) else {
            return false;
        };
        if self.streams.contains(&ssrc) {
            return true;
        }
        if self.witness.is_none() {
            self.witness = self.keys.get().and_then(|keys| Witness::new(&self.crypto, keys));
        }
        // Before the handshake is over nobody can have sealed anything.
        let is_sealed = |witness: &mut Witness| witness.has_sealed_first(packet);
        let is_new = self.streams.len() < MAX_STREAMS && self.witness.as_mut().is_some_and(is_sealed);
        if is_new {
            self.streams.push(ssrc);
        }
        is_new
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
