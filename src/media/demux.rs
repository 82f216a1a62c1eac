//! Pure: whose datagram is this?
//!
//! Owns the two tables behind the one UDP port: a STUN check names its session by our ICE user fragment; everything
//! else comes from an address that a session answered before.
//! Invariant: an address is learned only when the session sends a STUN answer there, that is, after the library
//! verified the check's integrity; so nobody can take over an address by naming a session.

use std::{collections::HashMap, net::SocketAddr};

use super::{stage::Slot, stun};

/// Addresses remembered per session; a browser tries a handful. The oldest is forgotten.
const MAX_ADDRESSES: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Demux {
    by_ufrag: HashMap<String, Slot>,
    by_address: HashMap<SocketAddr, Slot>,
    known: HashMap<Slot, Known>,
}

#[derive(Debug)]
struct Known {
    /// One, and a second while ICE restarts.
    ufrags: Vec<String>,
    addresses: Vec<SocketAddr>,
}

impl Demux {
    pub(super) fn add(&mut self, slot: Slot, ufrag: String) {
        self.by_ufrag.insert(ufrag.clone(), slot);
        self.known.insert(slot, Known { ufrags: vec![ufrag], addresses: Vec::new() });
    }

    /// The session is called so too; what it is no longer called is forgotten.
    pub(super) fn rename(&mut self, slot: Slot, ufrag: String, over: Option<&str>) {
        let Some(known) = self.known.get_mut(&slot) else {
            return;
        };
        if let Some(over) = over {
            known.ufrags.retain(|known| known != over);
            self.by_ufrag.remove(over);
        }
        known.ufrags.push(ufrag.clone());
        self.by_ufrag.insert(ufrag, slot);
    }

    pub(super) fn remove(&mut self, slot: Slot) {
        let Some(known) = self.known.remove(&slot) else {
            return;
        };
        for ufrag in known.ufrags {
            self.by_ufrag.remove(&ufrag);
        }
        for address in known.addresses {
            if self.by_address.get(&address) == Some(&slot) {
                self.by_address.remove(&address);
            }
        }
    }

    /// Whose it is; `None` for strangers.
    pub(super) fn find(&self, source: SocketAddr, datagram: &[u8]) -> Option<Slot> {
        if let Some(ufrag) = stun::ufrag(datagram) {
            return self.by_ufrag.get(ufrag).copied();
        }
        self.by_address.get(&source).copied()
    }

    /// The session sends this datagram there.
    pub(super) fn sent(&mut self, slot: Slot, to: SocketAddr, datagram: &[u8]) {
        if stun::is_success(datagram) {
            self.learn(slot, to);
        }
    }

    /// The session answered a check from there.
    pub(super) fn learn(&mut self, slot: Slot, to: SocketAddr) {
        if self.by_address.get(&to) == Some(&slot) {
            return;
        }
        let Some(known) = self.known.get_mut(&slot) else {
            return;
        };
        if known.addresses.len() == MAX_ADDRESSES {
            let oldest = known.addresses.remove(0);
            if self.by_address.get(&oldest) == Some(&slot) {
                self.by_address.remove(&oldest);
            }
        }
        known.addresses.push(to);
        self.by_address.insert(to, slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(username: &str) -> Vec<u8> {
        let mut datagram = vec![0u8; 20];
        datagram[1] = 1;
        datagram.extend([0x80, 0x22, 0, 3, b'x', b'y', b'z', 0]);
        datagram.extend([0, 6, 0, u8::try_from(username.len()).expect("short")]);
        datagram.extend(username.as_bytes());
        datagram
    }

    #[test]
    fn a_check_is_found_by_its_name_and_media_by_its_address() {
        let mut demux = Demux::default();
        let browser: SocketAddr = "192.0.2.7:5000".parse().expect("an address");
        demux.add(3, "ours".into());
        assert_eq!(demux.find(browser, &check("ours:theirs")), Some(3));
        assert_eq!(demux.find(browser, &check("other:theirs")), None);
        assert_eq!(demux.find(browser, &[0x80, 0x60]), None, "no answer went there yet");
        demux.sent(3, browser, &[0x16, 0xfe]);
        assert_eq!(demux.find(browser, &[0x80, 0x60]), None, "only an answered check teaches an address");
        demux.sent(3, browser, &[0x01, 0x01]);
        assert_eq!(demux.find(browser, &[0x80, 0x60]), Some(3));
        demux.remove(3);
        assert_eq!(demux.find(browser, &[0x80, 0x60]), None);
        assert_eq!(demux.find(browser, &check("ours:theirs")), None);
    }

    #[test]
    fn a_session_has_two_names_while_it_restarts() {
        let mut demux = Demux::default();
        let browser: SocketAddr = "192.0.2.7:5000".parse().expect("an address");
        let found = |demux: &Demux| ["old", "new", "newer"].map(|name| demux.find(browser, &check(name)).is_some());
        demux.add(3, "old".into());
        demux.rename(3, "new".into(), None);
        assert_eq!(found(&demux), [true, true, false]);
        demux.rename(3, "newer".into(), Some("old"));
        assert_eq!(found(&demux), [false, true, true]);
        demux.remove(3);
        assert_eq!(found(&demux), [false; 3]);
        assert!(demux.by_ufrag.is_empty());
    }

    #[test]
    fn a_session_keeps_a_bounded_number_of_addresses() {
        let mut demux = Demux::default();
        demux.add(3, "ours".into());
        for port in 1..100 {
            demux.sent(3, SocketAddr::from(([192, 0, 2, 1], port)), &[0x01, 0x01]);
        }
        assert_eq!(demux.by_address.len(), MAX_ADDRESSES);
    }

    proptest::proptest! {
        #[test]
        fn rubbish_is_nobodys(datagram in proptest::collection::vec(0u8..=255, 0..64)) {
            let demux = Demux::default();
            proptest::prop_assert_eq!(demux.find(SocketAddr::from(([192, 0, 2, 1], 9)), &datagram), None);
        }
    }
}
