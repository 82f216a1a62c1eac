//! Pure: where a peer is, and whether it has moved.
//!
//! Behind a NAT a peer comes from another address from one moment to the next, and not every client nominates it. What
//! only the peer can have sealed tells where it is.
//! Invariant: an address that the peer chose, or is heard from, is not left for another within [`SILENCE`].

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

/// Who was not heard from an address for so long is no longer there, if heard from another.
const SILENCE: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Path {
    to: Option<SocketAddr>,
    /// When the peer was last heard from there; since its choice, that something was heard at all.
    heard: Option<Instant>,
}

impl Path {
    pub(super) fn to(&self) -> Option<SocketAddr> {
        self.to
    }

    /// The peer wants to be there.
    pub(super) fn choose(&mut self, to: SocketAddr) {
        if self.to != Some(to) {
            *self = Self { to: Some(to), heard: None };
        }
    }

    /// Something that only the peer can have sealed came from there.
    pub(super) fn hear(&mut self, from: SocketAddr, now: Instant) {
        let last = *self.heard.get_or_insert(now);
        if self.to == Some(from) {
            self.heard = Some(now);
        } else if now.saturating_duration_since(last) > SILENCE {
            *self = Self { to: Some(from), heard: Some(now) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_followed_when_its_old_address_is_silent() {
        let [old, new] = [1, 2].map(|port| SocketAddr::from(([192, 0, 2, 1], port)));
        let (start, mut path) = (Instant::now(), Path::default());
        let at = |ms| start + Duration::from_millis(ms);
        path.choose(old);
        path.hear(old, at(0));
        path.hear(new, at(900));
        assert_eq!(path.to(), Some(old), "it may be a packet that was long under way");
        path.hear(old, at(950));
        path.hear(new, at(1_900));
        assert_eq!(path.to(), Some(old), "the old address lives");
        path.hear(new, at(1_951));
        assert_eq!(path.to(), Some(new));
        path.hear(old, at(2_100));
        assert_eq!(path.to(), Some(new), "not back at once");
        path.choose(old);
        path.hear(new, at(9_000));
        assert_eq!(path.to(), Some(old), "what is chosen counts at once");
        path.hear(new, at(10_001));
        assert_eq!(path.to(), Some(new), "and not for ever");
    }
}
