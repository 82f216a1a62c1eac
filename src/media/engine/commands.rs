//! Shell: what callers order from the engine: to publish, to watch, to end.
//!
//! Owns the admission of sessions: whether the live, its codec and the bounds allow one.

use std::time::Instant;

use str0m::IceCreds;
use tokio::sync::oneshot;

use super::{Engine, Home, Session};
use crate::{
    ids::{LiveId, MediaSessionId},
    media::{
        Answer, LiveStats, MediaError, MediaEvent, MediaStats, VideoCodec,
        fanout::{Feed, Order, Watch},
        leg::{Answered, Role},
        sdp::{Offer, candidates},
        stage::{Slot, Stage},
    },
};

/// Commands taken before datagrams get their turn; answering an offer takes about a millisecond.
const COMMAND_BATCH: usize = 16;
/// Candidates taken from one fragment; a browser sends one or a handful.
const MAX_TRICKLED: usize = 32;

/// An order to the engine, with the way back.
#[derive(Debug)]
pub(in crate::media) enum Command {
    Publish { live: LiveId, publisher: String, offer: String, reply: Reply<Answer> },
    Watch { live: LiveId, offer: String, reply: Reply<Answer> },
    Trickle { session: MediaSessionId, etag: String, fragment: String, reply: Reply<()> },
    LiveOf { session: MediaSessionId, reply: oneshot::Sender<Option<LiveId>> },
    Close { session: MediaSessionId, reply: Reply<()> },
    EndLive { live: LiveId, reply: oneshot::Sender<()> },
    Stats { reply: oneshot::Sender<MediaStats> },
    Stop { reply: oneshot::Sender<()> },
}

type Reply<T> = oneshot::Sender<Result<T, MediaError>>;

impl Engine {
    /// Takes a batch of commands; whether there may be more.
    pub(super) fn take_commands(&mut self, now: Instant) -> bool {
        for _ in 0..COMMAND_BATCH {
            match self.inbox.try_recv() {
                Ok(command) => self.command(command, now),
                Err(_) => return false,
            }
        }
        true
    }

    /// Callers that have gone away do not want their answer; that is no error.
    fn command(&mut self, command: Command, now: Instant) {
        match command {
            Command::Publish { live, publisher, offer, reply } => {
                drop(reply.send(self.publish(&live, publisher, &offer, now)));
            }
            Command::Watch { live, offer, reply } => self.watch(&live, &offer, reply),
            Command::Trickle { session, etag, fragment, reply } => {
                drop(reply.send(self.trickle(&session, &etag, &fragment, now)));
            }
            Command::LiveOf { session, reply } => {
                let found = self.by_id.get(&session).and_then(|slot| self.sessions.get(slot));
                drop(reply.send(found.map(|session| session.live.clone())));
            }
            Command::Close { session, reply } => {
                let slot = self.by_id.get(&session).copied().ok_or(MediaError::NoSuchSession);
                drop(reply.send(slot.map(|slot| self.end_session(slot, now))));
            }
            Command::EndLive { live, reply } => {
                self.end_live(&live, now);
                let _ = reply.send(());
            }
            Command::Stats { reply } => drop(reply.send(self.count())),
            Command::Stop { reply } => self.stopped = Some(reply),
        }
    }

    fn publish(&mut self, live: &LiveId, identity: String, offer: &str, now: Instant) -> Result<Answer, MediaError> {
        let offer = parse(offer)?;
        let stage = self.lives.get(live).map(|live| &live.stage);
        if stage.is_some_and(|stage| stage.admit(&identity).is_err()) {
            return Err(MediaError::PublisherExists);
        }
        let fixed = stage.filter(|stage| stage.had_picture()).and_then(Stage::codec);
        let codec = offer.choose(fixed).ok_or(MediaError::UnsupportedMedia)?;
        if !offer.sends {
            return Err(MediaError::BadOffer("a publisher sends its video".into()));
        }
        self.check_room(live)?;
        let credentials = IceCreds::new();
        let (ufrag, etag) = (credentials.ufrag.clone(), etag(&credentials));
        let answered = self.maker.answer(Role::Publisher, codec, &offer, credentials, now);
        let Answered { leg, sdp } = answered.map_err(|refused| MediaError::BadOffer(refused.0))?;
        let (slot, session) = self.enter(live, Home::Here, ufrag, &etag);
        self.peers.add(slot, live.clone(), Role::Publisher, leg, now);
        self.pump(slot, now);
        self.lives.entry(live.clone()).or_default().stage.publish(slot, identity, codec, &mut self.effects);
        self.settle(live, now);
        Ok(Answer { session, sdp, etag, codec })
    }

    /// The thread that the viewer will live on answers its offer.
    fn watch(&mut self, live: &LiveId, offer: &str, reply: Reply<Answer>) {
        match self.admit_viewer(live, offer) {
            Ok((codec, offer)) => {
                let Some(at) = self.freest(live) else {
                    let _ = reply.send(Err(MediaError::Stopped));
                    return;
                };
                let credentials = IceCreds::new();
                let etag = etag(&credentials);
                let (slot, session) = self.enter(live, Home::Fanout(at), credentials.ufrag.clone(), &etag);
                self.seat(live, at);
                let live = live.clone();
                let watch = Watch { slot, live, session, codec, offer, credentials, etag, reply };
                if !self.links[at].watch(Box::new(watch)) {
                    self.forget(slot);
                }
            }
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    fn admit_viewer(&self, live: &LiveId, offer: &str) -> Result<(VideoCodec, Offer), MediaError> {
        let offer = parse(offer)?;
        let stage = self.lives.get(live).map(|live| &live.stage).filter(|stage| stage.had_picture());
        let fixed = stage.ok_or(MediaError::NoPublisher)?.codec();
        let codec = offer.choose(fixed).ok_or(MediaError::UnsupportedMedia)?;
        if !offer.receives {
            return Err(MediaError::BadOffer("a viewer receives its video".into()));
        }
        self.check_room(live)?;
        Ok((codec, offer))
    }

    fn check_room(&self, live: &LiveId) -> Result<(), MediaError> {
        let of_live = || self.sessions.values().filter(|session| session.live == *live).count();
        let is_full = self.sessions.len() >= self.config.max_sessions || of_live() >= self.config.max_sessions_per_live;
        if is_full { Err(MediaError::Full) } else { Ok(()) }
    }

    /// The thread with the fewest viewers of this live: what a frame costs is spread; then with the fewest at all.
    fn freest(&self, live: &LiveId) -> Option<usize> {
        let seats = self.lives.get(live).map(|live| live.seats.as_slice()).unwrap_or_default();
        let load = |at: usize| (seats.get(at).copied().unwrap_or(0), self.links[at].viewers);
        (0..self.links.len()).filter(|at| !self.links[*at].is_dead()).min_by_key(|at| load(*at))
    }

    /// One more viewer of the live on this thread; the first opens a hall there.
    fn seat(&mut self, live: &LiveId, at: usize) {
        let (threads, link) = (self.links.len(), &mut self.links[at]);
        link.viewers += 1;
        let Some(of_live) = self.lives.get_mut(live) else { return };
        of_live.seats.resize(threads, 0);
        of_live.seats[at] += 1;
        if of_live.seats[at] == 1 {
            link.feed(Feed::Open { live: live.clone(), past: Box::new(of_live.stage.past()) });
        }
    }

    /// A session that its thread had no room for.
    fn forget(&mut self, slot: Slot) {
        self.end_session(slot, Instant::now());
    }

    /// Enters a session into the directory.
    fn enter(&mut self, live: &LiveId, home: Home, ufrag: String, etag: &str) -> (Slot, MediaSessionId) {
        let slot = self.next_slot;
        self.next_slot += 1;
        let id = MediaSessionId::fresh();
        self.demux.add(slot, ufrag);
        self.by_id.insert(id.clone(), slot);
        let session = Session { id: id.clone(), live: live.clone(), home, etag: etag.to_owned(), connected: false };
        self.sessions.insert(slot, session);
        (slot, id)
    }

    fn trickle(
        &mut self,
        session: &MediaSessionId,
        etag: &str,
        fragment: &str,
        now: Instant,
    ) -> Result<(), MediaError> {
        let slot = self.by_id.get(session).copied().ok_or(MediaError::NoSuchSession)?;
        let session = self.sessions.get(&slot).ok_or(MediaError::NoSuchSession)?;
        if etag == "*" {
            return Err(MediaError::RestartRefused);
        }
        if etag != session.etag {
            return Err(MediaError::StaleEtag);
        }
        let candidates = candidates(fragment).take(MAX_TRICKLED);
        match session.home {
            Home::Here => {
                for candidate in candidates {
                    if let Some(peer) = self.peers.get(slot) {
                        peer.leg.add_candidate(candidate);
                        self.pump(slot, now);
                    }
                }
            }
            Home::Fanout(at) => {
                let candidates = candidates.map(str::to_owned).collect();
                self.links[at].order(Order::Trickle { slot, candidates });
            }
        }
        Ok(())
    }

    fn end_live(&mut self, live: &LiveId, now: Instant) {
        let of_live = |session: &Session| session.live == *live;
        let slots: Vec<Slot> = self.sessions.iter().filter(|(_, s)| of_live(s)).map(|(slot, _)| *slot).collect();
        // The stage first: that its publisher goes is not news any more.
        let ended = self.lives.get_mut(live).map(|live| std::mem::take(&mut live.stage));
        for slot in slots {
            self.end_session(slot, now);
        }
        self.lives.remove(live);
        if ended.is_some() {
            self.untold.push_back(MediaEvent::Ended(live.clone()));
        }
    }

    fn count(&self) -> MediaStats {
        let lives = self.lives.iter().map(|(live, of_live)| LiveStats {
            live: live.clone(),
            up: of_live.stage.is_up(),
            viewers: of_live.viewers,
            codec: of_live.stage.codec(),
        });
        MediaStats { lives: lives.collect(), ..self.totals() }
    }
}

/// The ICE credentials' name is new whenever they are, and so is the tag.
fn etag(credentials: &IceCreds) -> String {
    format!("\"{}\"", credentials.ufrag)
}

fn parse(offer: &str) -> Result<Offer, MediaError> {
    Offer::parse(offer).map_err(|reason| MediaError::BadOffer(reason.0.into()))
}
