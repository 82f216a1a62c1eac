//! Shell: the sessions of one thread: their legs, their timers, their silence.
//!
//! Invariants: after every call that changes a leg its steps are taken until it waits; a session that is silent for
//! its limit is told of.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::{
    MediaError,
    fragment::Fragment,
    leg::{Leg, Role, Step},
    restart::Renamed,
    stage::Slot,
};
use crate::ids::LiveId;

/// A session that is not connected by then is dropped.
const CONNECT_LIMIT: Duration = Duration::from_secs(15);
/// The same of another server, which is near; then it is asked again.
const RELAY_CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// A publisher from whom nothing came for so long is lost.
const PUBLISHER_SILENCE_LIMIT: Duration = Duration::from_secs(5);
/// Another server from which nothing came for so long is lost: while there is a picture there are fifty packets a second.
const RELAY_SILENCE_LIMIT: Duration = Duration::from_millis(1_200);
/// A viewer from whom nothing came for so long is gone; browsers renew their consent every 5 s.
const VIEWER_SILENCE_LIMIT: Duration = Duration::from_secs(30);
/// Candidates taken from one fragment; a browser sends one or a handful.
const MAX_TRICKLED: usize = 32;

/// The entity tag of an ICE session: its own name, which is new with every restart.
pub(super) fn tag(ufrag: &str) -> String {
    format!("\"{ufrag}\"")
}

/// A session with its transport.
pub(super) struct Peer {
    pub(super) leg: Box<dyn Leg>,
    pub(super) live: LiveId,
    role: Role,
    since: Instant,
    connected: bool,
    last_heard: Instant,
    /// When the leg wants its tick.
    due: Instant,
    /// The earliest entry of this session in the timers.
    armed: Option<Instant>,
}

impl Peer {
    fn is_gone(&self, now: Instant) -> bool {
        let (since, limit) = match (self.connected, self.role) {
            (false, Role::Relay) => (self.since, RELAY_CONNECT_LIMIT),
            (false, _) => (self.since, CONNECT_LIMIT),
            (true, Role::Publisher) => (self.last_heard, PUBLISHER_SILENCE_LIMIT),
            (true, Role::Relay) => (self.last_heard, RELAY_SILENCE_LIMIT),
            (true, Role::Viewer) => (self.last_heard, VIEWER_SILENCE_LIMIT),
        };
        now.saturating_duration_since(since) > limit
    }

    /// Further candidates of the peer's, or a restart of its ICE. `is_restart`: it asked for one.
    pub(super) fn trickle(&mut self, fragment: &str, is_restart: bool) -> Result<Option<Renamed>, MediaError> {
        let read = Fragment::parse(fragment, MAX_TRICKLED).map_err(|reason| MediaError::BadFragment(reason.0))?;
        match read.credentials {
            // New credentials are a restart whatever the tag (RFC 9725, section 4.3.3).
            Some(theirs) if !self.leg.knows(&theirs) => {
                return self.leg.restart(theirs).map(Some).ok_or(MediaError::RestartRefused);
            }
            None if is_restart => return Err(MediaError::BadFragment("a restart has a new ice-ufrag and ice-pwd")),
            Some(_) | None => {}
        }
        read.candidates.into_iter().for_each(|candidate| self.leg.add_candidate(candidate));
        Ok(None)
    }
}

/// The sessions of one thread.
#[derive(Default)]
pub(super) struct Peers {
    by_slot: HashMap<Slot, Peer>,
    timers: BinaryHeap<Reverse<(Instant, Slot)>>,
}

impl Peers {
    pub(super) fn add(&mut self, slot: Slot, live: LiveId, role: Role, leg: Box<dyn Leg>, now: Instant) {
        let (connected, armed) = (false, None);
        self.by_slot.insert(slot, Peer { leg, live, role, since: now, connected, last_heard: now, due: now, armed });
    }

    pub(super) fn get(&mut self, slot: Slot) -> Option<&mut Peer> {
        self.by_slot.get_mut(&slot)
    }

    /// Those of a live that are connected.
    pub(super) fn connected<'a>(&'a self, live: &'a LiveId) -> impl Iterator<Item = (Slot, &'a dyn Leg)> {
        let of_live = self.by_slot.iter().filter(move |(_, peer)| peer.connected && peer.live == *live);
        of_live.map(|(slot, peer)| (*slot, &*peer.leg))
    }

    pub(super) fn slots(&self) -> Vec<Slot> {
        self.by_slot.keys().copied().collect()
    }

    /// A datagram of the session's; whether there is such a session.
    pub(super) fn receive(&mut self, slot: Slot, now: Instant, source: SocketAddr, datagram: &[u8]) -> bool {
        let Some(peer) = self.by_slot.get_mut(&slot) else {
            return false;
        };
        peer.last_heard = now;
        peer.leg.receive(now, source, datagram);
        true
    }

    /// The leg's next step; nothing once it waits, or for nobody.
    pub(super) fn step(&mut self, slot: Slot) -> Option<Step> {
        let peer = self.by_slot.get_mut(&slot)?;
        match peer.leg.step() {
            Step::Wait(at) => {
                peer.due = at;
                arm(&mut self.timers, slot, peer);
                None
            }
            step => {
                peer.connected |= matches!(step, Step::Connected);
                Some(step)
            }
        }
    }

    /// When the first leg wants its tick.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.timers.peek().map(|Reverse((at, _))| *at)
    }

    /// Ticks one leg that is due; its steps are the caller's to take.
    pub(super) fn tick_one(&mut self, now: Instant) -> Option<Slot> {
        while let Some(Reverse((at, slot))) = self.timers.peek().copied()
            && at <= now
        {
            self.timers.pop();
            let Some(peer) = self.by_slot.get_mut(&slot) else {
                continue;
            };
            peer.armed = None;
            if peer.due > now {
                arm(&mut self.timers, slot, peer);
            } else {
                peer.leg.tick(now);
                return Some(slot);
            }
        }
        None
    }

    /// Who has been silent for too long.
    pub(super) fn silent(&self, now: Instant) -> Vec<Slot> {
        self.by_slot.iter().filter(|(_, peer)| peer.is_gone(now)).map(|(slot, _)| *slot).collect()
    }

    /// Forgets a session after its goodbye, which `send` sends.
    pub(super) fn close(
        &mut self,
        slot: Slot,
        now: Instant,
        mut send: impl FnMut(SocketAddr, &[u8]),
    ) -> Option<LiveId> {
        let mut peer = self.by_slot.remove(&slot)?;
        peer.leg.close(now);
        while let Step::Send { to, datagram } = peer.leg.step() {
            send(to, &datagram);
        }
        Some(peer.live)
    }
}

/// Puts a session into the timers, unless an earlier entry stands there.
fn arm(timers: &mut BinaryHeap<Reverse<(Instant, Slot)>>, slot: Slot, peer: &mut Peer) {
    if peer.armed.is_none_or(|armed| peer.due < armed) {
        peer.armed = Some(peer.due);
        timers.push(Reverse((peer.due, slot)));
    }
}
