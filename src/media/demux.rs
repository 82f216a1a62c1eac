//! Pure: whose datagram is this?
//!
//! Owns the two tables behind the one UDP port: a STUN check names its session by our ICE user fragment; everything
//! else comes from an address that a session answered before.
//! Invariants: an address is learned only when the session sends a STUN answer there, that is, after the library
//! verified the check's integrity; so nobody can take over an address by naming a session. Who has a session of its own
//! cannot either: an address stays with the session that answers checks there.

use std::{
    collections::HashMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::{stage::Slot, stun};

/// Addresses remembered per session; a browser tries a handful. The oldest is forgotten.
const MAX_ADDRESSES: usize = 16;

/// An address is not given to another session until its own has answered no check there for so long. Who is there renews
/// its consent every 5 s, more or less (RFC 7675).
const HELD_FOR: Duration = Duration::from_secs(20);

/// Whose an address is, and when that was last verified.
#[derive(Debug)]
struct Held {
    slot: Slot,
    verified: Instant,
}

#[derive(Debug, Default)]
pub(super) struct Demux {
    by_ufrag: HashMap<String, Slot>,
    by_address: HashMap<SocketAddr, Held>,
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
            self.release(slot, address);
        }
    }

    fn release(&mut self, slot: Slot, address: SocketAddr) {
        if self.by_address.get(&address).is_some_and(|held| held.slot == slot) {
            self.by_address.remove(&address);
        }
    }

    /// Whose it is; `None` for strangers.
    pub(super) fn find(&self, source: SocketAddr, datagram: &[u8]) -> Option<Slot> {
        if let Some(ufrag) = stun::ufrag(datagram) {
            return self.by_ufrag.get(ufrag).copied();
        }
        self.by_address.get(&source).map(|held| held.slot)
    }

    /// The session sends this datagram there.
    pub(super) fn sent(&mut self, slot: Slot, to: SocketAddr, datagram: &[u8], now: Instant) {
        if stun::is_success(datagram) {
            self.learn(slot, to, now);
        }
    }

    /// The session answered a check from there.
    pub(super) fn learn(&mut self, slot: Slot, to: SocketAddr, now: Instant) {
        match self.by_address.get_mut(&to) {
            Some(held) if held.slot == slot => {
                held.verified = now;
                return;
            }
            Some(held) if now.saturating_duration_since(held.verified) < HELD_FOR => return,
            _ => {}
        }
        let Some(known) = self.known.get_mut(&slot) else {
            return;
        };
        let oldest = (known.addresses.len() == MAX_ADDRESSES).then(|| known.addresses.remove(0));
        known.addresses.push(to);
        if let Some(oldest) = oldest {
            self.release(slot, oldest);
        }
        self.by_address.insert(to, Held { slot, verified: now });
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
        let (browser, now): (SocketAddr, _) = ("192.0.2.7:5000".parse().expect("an address"), Instant::now());
        demux.add(3, "ours".into());
        assert_eq!(demux.find(browser, &check("ours:theirs")), Some(3));
        assert_eq!(demux.find(browser, &check("other:theirs")), None);
        assert_eq!(demux.find(browser, &[0x80, 0x60]), None, "no answer went there yet");
        demux.sent(3, browser, &[0x16, 0xfe], now);
        assert_eq!(demux.find(browser, &[0x80, 0x60]), None, "only an answered check teaches an address");
        demux.sent(3, browser, &[0x01, 0x01], now);
        assert_eq!(demux.find(browser, &[0x80, 0x60]), Some(3));
        demux.remove(3);
        assert_eq!(demux.find(browser, &[0x80, 0x60]), None);
        assert_eq!(demux.find(browser, &check("ours:theirs")), None);
    }

    /// A viewer sends a check of its own session, with a publisher's address on it.
    #[test]
    fn an_address_is_not_taken_from_who_is_there() {
        let mut demux = Demux::default();
        let (publisher, start) = (SocketAddr::from(([192, 0, 2, 7], 5_000)), Instant::now());
        let at = |s| start + Duration::from_secs(s);
        let media = [0x80, 0x60];
        demux.add(3, "publisher".into());
        demux.add(4, "viewer".into());
        demux.sent(3, publisher, &[0x01, 0x01], at(0));
        demux.sent(4, publisher, &[0x01, 0x01], at(15));
        assert_eq!(demux.find(publisher, &media), Some(3));
        demux.sent(3, publisher, &[0x01, 0x01], at(15));
        demux.sent(4, publisher, &[0x01, 0x01], at(34));
        assert_eq!(demux.find(publisher, &media), Some(3), "it is still there");
        demux.sent(4, publisher, &[0x01, 0x01], at(36));
        assert_eq!(demux.find(publisher, &media), Some(4), "a network gives an address to somebody else");
        demux.remove(3);
        assert_eq!(demux.find(publisher, &media), Some(4));
        demux.remove(4);
        assert_eq!(demux.find(publisher, &media), None);
        demux.add(5, "another".into());
        demux.sent(5, publisher, &[0x01, 0x01], at(36));
        assert_eq!(demux.find(publisher, &media), Some(5), "who has left holds nothing");
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
            demux.sent(3, SocketAddr::from(([192, 0, 2, 1], port)), &[0x01, 0x01], Instant::now());
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
