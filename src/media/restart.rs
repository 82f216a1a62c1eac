//! Pure: the ICE credentials of a session while it changes to new ones.
//!
//! A restart is agreed on over HTTP, whose answer may be late or lost. So both generations are answered until the peer
//! has nominated a pair under the new one (RFC 8445, section 9); from then on the old one is nobody's.
//! Invariants: at most two generations are answered; one that was never used gives way to its successor; restarts have a
//! bound, for the library remembers every address that a peer had.

use std::net::SocketAddr;

use str0m::{Candidate, IceCreds};

use super::{fragment, stun};

/// Restarts of one session; a phone that changes its network every minute needs a day for them.
const MAX_RESTARTS: u32 = 1_000;

/// What a leg whose ICE restarts is called.
pub(super) struct Renamed {
    pub(super) ufrag: String,
    /// What it is no longer called.
    pub(super) over: Option<String>,
    /// Our side, for the peer.
    pub(super) fragment: String,
}

/// The restarts of one session.
pub(super) struct Restarts {
    generations: Generations,
    /// Whether the offer's first media is video, and its id: in fragments it stands for all.
    first_media: (bool, String),
    count: u32,
    /// What we were called before the newest restart that was completed.
    over: Option<String>,
    /// Where a check came from that would complete a restart, until it is answered.
    nominating: Option<SocketAddr>,
}

impl Restarts {
    pub(super) fn new(first: Generation, first_media: (bool, String)) -> Self {
        Self { generations: Generations::new(first), first_media, count: 0, over: None, nominating: None }
    }

    /// Whether the peer is called so already.
    pub(super) fn knows(&self, theirs: &IceCreds) -> bool {
        self.generations.newest().theirs == *theirs
    }

    /// Both sides have new names; `None` when there were too many.
    pub(super) fn begin(&mut self, next: Generation, candidates: &[Candidate]) -> Option<Renamed> {
        if self.count == MAX_RESTARTS {
            return None;
        }
        self.count += 1;
        let (is_video, mid) = &self.first_media;
        let fragment = fragment::write(if *is_video { "video" } else { "audio" }, mid, &next.ours, candidates);
        let ufrag = next.ours.ufrag.clone();
        let unused = self.generations.begin(next).map(|unused| unused.ours.ufrag);
        let over = unused.or_else(|| self.over.take());
        Some(Renamed { ufrag, over, fragment })
    }

    /// While there are two, the generation in which a check names us. The library only answers checks (ICE-lite), so its
    /// credentials may change from one to the next.
    pub(super) fn check(&mut self, source: SocketAddr, datagram: &[u8]) -> Option<&Generation> {
        self.generations.next.as_ref()?;
        self.nominating = None;
        let ufrag = stun::ufrag(datagram)?;
        if self.generations.is_next(ufrag) && stun::nominates(datagram) {
            self.nominating = Some(source);
        }
        self.generations.named(ufrag)
    }

    /// A check from there was found right; whether it completes a restart.
    pub(super) fn answered(&mut self, to: SocketAddr) -> bool {
        if self.nominating != Some(to) {
            return false;
        }
        self.nominating = None;
        self.over = self.generations.advance().map(|over| over.ours.ufrag);
        true
    }
}

/// What both sides are called by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Generation {
    pub(super) ours: IceCreds,
    pub(super) theirs: IceCreds,
}

/// The generations of one session.
#[derive(Debug)]
struct Generations {
    current: Generation,
    next: Option<Generation>,
}

impl Generations {
    fn new(current: Generation) -> Self {
        Self { current, next: None }
    }

    /// The newest that was agreed on.
    fn newest(&self) -> &Generation {
        self.next.as_ref().unwrap_or(&self.current)
    }

    /// A new generation; the one that it takes the place of, when that was not used yet.
    fn begin(&mut self, next: Generation) -> Option<Generation> {
        self.next.replace(next)
    }

    /// The generation in which we are called so.
    fn named(&self, our_ufrag: &str) -> Option<&Generation> {
        let is_named = |generation: &&Generation| generation.ours.ufrag == our_ufrag;
        self.next.iter().chain([&self.current]).find(is_named)
    }

    /// Whether a check to this name is of the generation that is about to begin.
    fn is_next(&self, our_ufrag: &str) -> bool {
        self.next.as_ref().is_some_and(|next| next.ours.ufrag == our_ufrag)
    }

    /// The peer uses the new one; the old one is over.
    fn advance(&mut self) -> Option<Generation> {
        Some(std::mem::replace(&mut self.current, self.next.take()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generation(name: &str) -> Generation {
        let creds = |side: &str| IceCreds { ufrag: format!("{side}-{name}"), pass: name.into() };
        Generation { ours: creds("ours"), theirs: creds("theirs") }
    }

    #[test]
    fn two_generations_are_answered_until_the_new_one_is_used() {
        let [first, second, third] = ["1", "2", "3"].map(generation);
        let mut generations = Generations::new(first.clone());
        assert_eq!(generations.advance(), None);
        assert_eq!(generations.begin(second.clone()), None);
        assert_eq!(generations.begin(third.clone()), Some(second), "it was never used");
        assert_eq!(generations.named("ours-1"), Some(&first));
        assert_eq!(generations.named("ours-2"), None);
        assert!(generations.is_next("ours-3") && !generations.is_next("ours-1"));
        assert_eq!(generations.newest(), &third);
        assert_eq!(generations.advance(), Some(first));
        assert_eq!((generations.named("ours-1"), generations.named("ours-3")), (None, Some(&third)));
    }

    /// A binding request to this name, by which the peer nominates or not.
    fn check(ufrag: &str, nominates: bool) -> Vec<u8> {
        let mut datagram = vec![0; 20];
        datagram[1] = 1;
        let name = format!("{ufrag}:x");
        datagram.extend([0, 6, 0, u8::try_from(name.len()).expect("short")]);
        datagram.extend(name.as_bytes());
        datagram.resize(datagram.len().next_multiple_of(4), 0);
        if nominates {
            datagram.extend([0, 0x25, 0, 0]);
        }
        datagram
    }

    #[test]
    fn only_an_answered_nomination_under_the_new_name_completes_a_restart() {
        let [here, there] = [1, 2].map(|port| SocketAddr::from(([192, 0, 2, 1], port)));
        let mut restarts = Restarts::new(generation("1"), (false, "0".into()));
        assert!(restarts.check(here, &check("ours-1", true)).is_none(), "nothing is under way");
        let renamed = restarts.begin(generation("2"), &[]).expect("it may");
        assert_eq!((renamed.ufrag.as_str(), renamed.over), ("ours-2", None));
        assert!(restarts.knows(&generation("2").theirs) && !restarts.knows(&generation("1").theirs));
        for (datagram, answered) in
            [(check("ours-1", true), here), (check("ours-2", false), here), (check("ours-2", true), there)]
        {
            assert!(restarts.check(here, &datagram).is_some());
            assert!(!restarts.answered(answered));
        }
        assert!(restarts.check(here, &check("ours-2", true)).is_some());
        assert!(restarts.check(there, &[0x80, 0x60]).is_none());
        assert!(!restarts.answered(here), "the library said nothing to the check");
        restarts.check(here, &check("ours-2", true));
        assert!(restarts.answered(here));
        assert_eq!(restarts.begin(generation("3"), &[]).expect("it may").over.as_deref(), Some("ours-1"));
        assert_eq!(restarts.begin(generation("4"), &[]).expect("it may").over.as_deref(), Some("ours-3"));
    }
}
