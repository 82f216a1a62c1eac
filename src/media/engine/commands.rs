//! Shell: what callers order from the engine: to publish, to watch, to end.
//!
//! Owns the admission of sessions: whether the live, its codec and the bounds allow one.

use std::{sync::mpsc::TryRecvError, time::Instant};

use mio::Token;
use str0m::IceCreds;
use tokio::sync::oneshot;

use super::{Engine, FIRST_PULL, Home, Live, Session};
use crate::{
    ids::{LiveId, MediaSessionId},
    media::{
        self as media, Answer, Choice, Choices, LiveStats, MediaError, MediaEvent, MediaStats, Restarted, Sources,
        VideoCodec,
        fanout::{Feed, Order, Trickle, Watch},
        leg::{Answered, Offered, Role},
        peers::tag,
        pull::Pull,
        report::{Page, Survey},
        restart::Renamed,
        sdp::Offer,
        stage::{Origin, Slot, Stage},
    },
};

/// Commands taken before datagrams get their turn; answering an offer takes about a millisecond.
const COMMAND_BATCH: usize = 16;
/// Sessions beyond the bounds, for those on whom viewers depend: a publisher that comes back, and other servers.
const RESERVED: usize = 64;

/// An order to the engine, with the way back.
#[derive(Debug)]
pub(in crate::media) enum Command {
    Publish { live: LiveId, publisher: String, offer: String, reply: Reply<Answer> },
    Watch { live: LiveId, offer: String, relays: bool, reply: Reply<Answer> },
    Pull { live: LiveId, reply: Reply<media::Offer> },
    Pulled { session: MediaSessionId, answer: String, reply: Reply<()> },
    DropSources { live: LiveId, which: Sources, reply: oneshot::Sender<()> },
    Trickle { session: MediaSessionId, etag: String, fragment: String, reply: Reply<Option<Restarted>> },
    Layers { session: MediaSessionId, choice: Option<Choice>, reply: Reply<Choices> },
    LiveOf { session: MediaSessionId, reply: oneshot::Sender<Option<LiveId>> },
    Close { session: MediaSessionId, reply: Reply<()> },
    EndLive { live: LiveId, reply: oneshot::Sender<()> },
    Survey { live: LiveId, page: Option<Page>, reply: oneshot::Sender<Survey> },
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
                Err(TryRecvError::Empty) => return false,
                Err(TryRecvError::Disconnected) => {
                    self.is_abandoned = true;
                    return false;
                }
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
            Command::Watch { live, offer, relays, reply } => self.watch(&live, &offer, relays, reply),
            Command::Pull { live, reply } => drop(reply.send(self.pull(&live, now))),
            Command::Pulled { session, answer, reply } => drop(reply.send(self.pulled(&session, &answer, now))),
            Command::DropSources { live, which, reply } => {
                self.drop_sources(&live, which, now);
                let _ = reply.send(());
            }
            Command::Trickle { session, etag, fragment, reply } => self.trickle(&session, &etag, fragment, reply),
            Command::Layers { session, choice, reply } => self.layers(&session, choice, reply),
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
            Command::Survey { live, page, reply } => self.survey(live, page, reply, now),
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
        check_transport(&offer)?;
        if !offer.sends {
            return Err(MediaError::BadOffer("a publisher sends its video".into()));
        }
        self.check_room(live, RESERVED)?;
        let credentials = IceCreds::new();
        let (ufrag, etag) = (credentials.ufrag.clone(), tag(&credentials.ufrag));
        let answered = self.maker.answer(Role::Publisher, codec, &offer, credentials, now);
        let Answered { leg, sdp } = answered.map_err(|refused| MediaError::BadOffer(refused.0))?;
        let (slot, session) = self.fresh();
        self.enter(slot, session.clone(), live, Home::Here, Some(ufrag), etag.clone());
        self.peers.add(slot, live.clone(), Role::Publisher, leg, now);
        // The stage first: a leg that is over at once must not stay as a successor.
        let stage = &mut self.lives.entry(live.clone()).or_default().stage;
        stage.publish(slot, Origin::Here(identity), codec, &mut self.effects);
        if offer.is_layered {
            stage.note_layers(slot);
        }
        self.pump(slot, now);
        self.settle(live, now);
        Ok(Answer { session, sdp, etag, codec })
    }

    /// The thread that the viewer will live on answers its offer.
    fn watch(&mut self, live: &LiveId, offer: &str, relays: bool, reply: Reply<Answer>) {
        match self.admit_viewer(live, offer, relays) {
            Ok((codec, offer)) => {
                let Some(at) = self.freest(live) else {
                    let _ = reply.send(Err(MediaError::Stopped));
                    return;
                };
                let credentials = IceCreds::new();
                let etag = tag(&credentials.ufrag);
                let (slot, session) = self.fresh();
                let (ufrag, entered) = (credentials.ufrag.clone(), (session.clone(), etag.clone()));
                let of_live = live.clone();
                let watch = Watch { slot, live: of_live, session, codec, offer, relays, credentials, etag, reply };
                // What the thread tells of it, and what the viewer sends, is heard on this thread, and later.
                if self.links[at].watch(Box::new(watch)) {
                    let (session, etag) = entered;
                    self.enter(slot, session, live, Home::Fanout(at), Some(ufrag), etag);
                    self.seat(live, at);
                }
            }
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    /// A leg towards another server, with a port of its own.
    fn pull(&mut self, live: &LiveId, now: Instant) -> Result<media::Offer, MediaError> {
        if self.lives.get(live).is_some_and(|live| live.stage.publisher().is_some()) {
            return Err(MediaError::PublisherExists);
        }
        self.check_room(live, RESERVED)?;
        let (slot, session) = self.fresh();
        let token = Token(FIRST_PULL.0 + usize::try_from(slot).unwrap_or(usize::MAX));
        let (mut pull, candidates) = Pull::open(self.config.bind.ip(), self.poll.registry(), token, now)?;
        let fixed = self.lives.get(live).filter(|live| live.stage.had_picture()).and_then(|live| live.stage.codec());
        // What viewers here cannot be shown is not asked for: the other server would hold a session for nothing.
        let codecs = fixed.map_or_else(|| vec![VideoCodec::H264, VideoCodec::Vp8], |codec| vec![codec]);
        let offered = self.maker.offer(candidates, &codecs, now);
        let Offered { leg, sdp } = offered.map_err(|refused| MediaError::BadOffer(refused.0))?;
        pull.unanswered = Some(leg);
        self.enter(slot, session.clone(), live, Home::Here, None, String::new());
        self.pulls.insert(slot, pull);
        Ok(media::Offer { session, sdp })
    }

    fn pulled(&mut self, session: &MediaSessionId, answer: &str, now: Instant) -> Result<(), MediaError> {
        let slot = self.by_id.get(session).copied().ok_or(MediaError::NoSuchSession)?;
        let live = self.sessions.get(&slot).map(|session| session.live.clone()).ok_or(MediaError::NoSuchSession)?;
        let leg = self.pulls.get_mut(&slot).and_then(|pull| pull.unanswered.take());
        let accepted = leg.ok_or(MediaError::NoSuchSession)?.accept(answer, now);
        let stage = &mut self.lives.entry(live.clone()).or_default().stage;
        let admitted = accepted.map_err(|refused| MediaError::BadOffer(refused.0)).and_then(|(leg, codec)| {
            let is_other = stage.had_picture() && stage.codec() != Some(codec);
            if stage.publisher().is_some() {
                return Err(MediaError::PublisherExists);
            }
            if is_other { Err(MediaError::UnsupportedMedia) } else { Ok((leg, codec)) }
        });
        match admitted {
            Ok((leg, codec)) => {
                stage.publish(slot, Origin::Elsewhere, codec, &mut self.effects);
                self.peers.add(slot, live.clone(), Role::Relay, leg, now);
                self.pump(slot, now);
                self.settle(&live, now);
                Ok(())
            }
            Err(error) => {
                self.end_session(slot, now);
                Err(error)
            }
        }
    }

    fn drop_sources(&mut self, live: &LiveId, which: Sources, now: Instant) {
        let Some(of_live) = self.lives.get(live) else { return };
        let is_meant = |origin: &Origin| (*origin == Origin::Elsewhere) == (which == Sources::Pulls);
        let slots: Vec<Slot> = of_live.stage.sources().filter(|(_, o)| is_meant(o)).map(|(slot, _)| slot).collect();
        for slot in slots {
            self.end_session(slot, now);
        }
        // Without viewers its pictures are kept for nobody: the next one has them pulled again.
        let is_idle = |live: &Live| live.stage.is_empty() && live.seats.iter().all(|seats| *seats == 0);
        if which == Sources::Pulls && self.lives.get(live).is_some_and(is_idle) {
            self.lives.remove(live);
        }
    }

    fn admit_viewer(&self, live: &LiveId, offer: &str, relays: bool) -> Result<(VideoCodec, Offer), MediaError> {
        let mut offer = parse(offer)?;
        let stage = self.lives.get(live).map(|live| &live.stage).filter(|stage| stage.had_picture());
        let stage = stage.ok_or(MediaError::NoPublisher)?;
        offer.is_layered = stage.is_layered();
        let fixed = stage.codec();
        let codec = offer.choose(fixed).ok_or(MediaError::UnsupportedMedia)?;
        check_transport(&offer)?;
        if !offer.receives {
            return Err(MediaError::BadOffer("a viewer receives its video".into()));
        }
        self.check_room(live, if relays { RESERVED } else { 0 })?;
        Ok((codec, offer))
    }

    fn check_room(&self, live: &LiveId, beyond: usize) -> Result<(), MediaError> {
        let of_live = || self.sessions.values().filter(|session| session.live == *live).count();
        let [all, of_one] =
            [self.config.max_sessions, self.config.max_sessions_per_live].map(|n| n.saturating_add(beyond));
        let is_full = self.sessions.len() >= all || of_live() >= of_one;
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

    /// What a session that begins is called, here and by its peer.
    fn fresh(&mut self) -> (Slot, MediaSessionId) {
        let slot = self.next_slot;
        self.next_slot += 1;
        (slot, MediaSessionId::fresh())
    }

    /// Enters a session into the directory; without a name nobody reaches it over the port of all.
    fn enter(
        &mut self,
        slot: Slot,
        id: MediaSessionId,
        live: &LiveId,
        home: Home,
        ufrag: Option<String>,
        etag: String,
    ) {
        if let Some(ufrag) = ufrag {
            self.demux.add(slot, ufrag);
        }
        self.by_id.insert(id.clone(), slot);
        self.sessions.insert(slot, Session { id, live: live.clone(), home, etag, connected: false });
    }

    fn trickle(&mut self, session: &MediaSessionId, if_match: &str, fragment: String, reply: Reply<Option<Restarted>>) {
        // A restart may have been agreed on a moment ago.
        self.take_news(Instant::now());
        let Some(slot) = self.by_id.get(session).copied() else {
            return drop(reply.send(Err(MediaError::NoSuchSession)));
        };
        let Some(session) = self.sessions.get(&slot) else { return };
        let named = |tag: &str| if_match.split(',').any(|named| named.trim() == tag);
        // The RFC's text has a bare asterisk, its example one in quotes.
        let is_restart = named("*") || named("\"*\"");
        if !is_restart && !named(&session.etag) {
            return drop(reply.send(Err(MediaError::StaleEtag)));
        }
        match session.home {
            Home::Here => drop(reply.send(self.trickle_here(slot, &fragment, is_restart))),
            Home::Fanout(at) => {
                self.links[at].order(Order::Trickle(Box::new(Trickle { slot, fragment, is_restart, reply })));
            }
        }
    }

    fn trickle_here(&mut self, slot: Slot, fragment: &str, is_restart: bool) -> Result<Option<Restarted>, MediaError> {
        let renamed = self.peers.get(slot).ok_or(MediaError::NoSuchSession)?.trickle(fragment, is_restart)?;
        self.pump(slot, Instant::now());
        Ok(renamed.map(|Renamed { ufrag, over, fragment }| {
            let etag = tag(&ufrag);
            self.rename(slot, ufrag, over.as_deref());
            Restarted { etag, fragment }
        }))
    }

    /// The thread that a viewer lives on knows what it sees.
    fn layers(&mut self, session: &MediaSessionId, choice: Option<Choice>, reply: Reply<Choices>) {
        let found = self.by_id.get(session).and_then(|slot| Some((*slot, self.sessions.get(slot)?.home)));
        match found {
            Some((slot, Home::Fanout(at))) => self.links[at].order(Order::Layers { slot, choice, reply }),
            Some((_, Home::Here)) | None => drop(reply.send(Err(MediaError::NoSuchSession))),
        }
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
            publisher: of_live.stage.publisher().map(str::to_owned),
            pulled: of_live.stage.is_pulled(),
            viewers: of_live.viewers,
            codec: of_live.stage.codec(),
        });
        let here = self.sessions.values().filter(|session| session.home == Home::Here).count();
        let publishers = here - self.pulls.len();
        MediaStats { lives: lives.collect(), publishers, ..self.totals() }
    }
}

fn check_transport(offer: &Offer) -> Result<(), MediaError> {
    offer.fault.map_or(Ok(()), |fault| Err(MediaError::BadOffer(fault.into())))
}

fn parse(offer: &str) -> Result<Offer, MediaError> {
    Offer::parse(offer).map_err(|reason| MediaError::BadOffer(reason.0.into()))
}
