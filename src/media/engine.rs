//! Shell: the media engine: one thread, one socket, every session.
//!
//! Owns the sessions and the loop: commands, datagrams and timers go to the legs and stages, what they answer goes to
//! the socket and to each other. It decides nothing about media; that is `sfu.rs`.
//! Invariants: the loop reads the clock at one place and never waits but in `poll`; a session that is silent for its
//! limit is gone; no error of one session reaches another.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, mpsc::Receiver},
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, Waker};
use tokio::sync::{mpsc, oneshot};

use super::{
    Answer, LiveStats, MAX_EVENTS, MediaConfig, MediaError, MediaEvent, MediaStats,
    demux::Demux,
    leg::{Answered, Leg, LegMaker, Role, Step},
    sdp::{Offer, candidates},
    sfu::{Effect, Slot, Stage},
    socket::MediaSocket,
};
use crate::ids::{LiveId, MediaSessionId};

/// A session that is not connected by then is dropped.
const CONNECT_LIMIT: Duration = Duration::from_secs(15);
/// A publisher from whom nothing came for so long is lost.
const PUBLISHER_SILENCE_LIMIT: Duration = Duration::from_secs(5);
/// A viewer from whom nothing came for so long is gone; browsers renew their consent every 5 s.
const VIEWER_SILENCE_LIMIT: Duration = Duration::from_secs(30);
/// How often silence is looked for.
const SWEEP_INTERVAL: Duration = Duration::from_millis(500);
/// Datagrams taken before timers and commands get their turn.
const RECEIVE_BATCH: usize = 128;
/// Commands taken before datagrams get their turn; answering an offer takes about a millisecond.
const COMMAND_BATCH: usize = 16;
/// Larger than any datagram of WebRTC.
const DATAGRAM_BYTES: usize = 2_048;

const SOCKET: Token = Token(0);
const COMMANDS: Token = Token(1);

/// An order to the engine, with the way back.
#[derive(Debug)]
pub(super) enum Command {
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

struct Session {
    id: MediaSessionId,
    live: LiveId,
    role: Role,
    leg: Box<dyn Leg>,
    etag: String,
    since: Instant,
    connected: bool,
    last_heard: Instant,
    /// When the leg wants its tick.
    due: Instant,
    /// The earliest entry of this session in the timers.
    armed: Option<Instant>,
}

pub(super) struct Engine {
    config: MediaConfig,
    poll: Poll,
    waker: Arc<Waker>,
    inbox: Receiver<Command>,
    events: mpsc::Sender<MediaEvent>,
    untold: VecDeque<MediaEvent>,
    socket: MediaSocket,
    addresses: Vec<SocketAddr>,
    maker: LegMaker,
    sessions: HashMap<Slot, Session>,
    by_id: HashMap<MediaSessionId, Slot>,
    next_slot: Slot,
    demux: Demux,
    stages: HashMap<LiveId, Stage>,
    timers: BinaryHeap<Reverse<(Instant, Slot)>>,
    effects: Vec<Effect>,
    spare: Vec<Effect>,
    stats: MediaStats,
    next_sweep: Instant,
    stopped: Option<oneshot::Sender<()>>,
}

impl Engine {
    /// Opens port and certificate.
    pub(super) fn open(
        config: MediaConfig,
        inbox: Receiver<Command>,
        events: mpsc::Sender<MediaEvent>,
    ) -> Result<Self, MediaError> {
        let poll = Poll::new()?;
        let (mut socket, addresses) = MediaSocket::bind(config.bind, &config.advertise)?;
        poll.registry().register(socket.source(), SOCKET, Interest::READABLE)?;
        let waker = Arc::new(Waker::new(poll.registry(), COMMANDS)?);
        let no_certificate = || MediaError::CannotOpen(std::io::Error::other("no certificate could be made"));
        let maker = LegMaker::new(addresses.clone()).ok_or_else(no_certificate)?;
        Ok(Self {
            config,
            poll,
            waker,
            inbox,
            events,
            untold: VecDeque::new(),
            socket,
            addresses,
            maker,
            sessions: HashMap::new(),
            by_id: HashMap::new(),
            next_slot: 0,
            demux: Demux::default(),
            stages: HashMap::new(),
            timers: BinaryHeap::new(),
            effects: Vec::new(),
            spare: Vec::new(),
            stats: MediaStats::default(),
            next_sweep: Instant::now(),
            stopped: None,
        })
    }

    pub(super) fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Runs until it is told to stop, or every door is dropped.
    pub(super) fn run(mut self) {
        let mut ready = Events::with_capacity(64);
        let mut buffer = [0u8; DATAGRAM_BYTES];
        let mut busy = false;
        let mut now = Instant::now();
        loop {
            let wait = if busy { Duration::ZERO } else { self.next_due().saturating_duration_since(now) };
            if let Err(error) = self.poll.poll(&mut ready, Some(wait))
                && error.kind() != std::io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "media engine cannot wait for its socket");
                return;
            }
            now = Instant::now();
            busy = self.receive(now, &mut buffer);
            busy |= self.take_commands(now);
            self.tick(now);
            self.tell();
            if let Some(reply) = self.stopped.take() {
                let slots: Vec<Slot> = self.sessions.keys().copied().collect();
                slots.into_iter().for_each(|slot| self.end_session(slot, now));
                let _ = reply.send(());
                return;
            }
        }
    }

    fn next_due(&self) -> Instant {
        let timer = self.timers.peek().map(|Reverse((at, _))| *at);
        let stages = self.stages.values().filter_map(|stage| stage.poll_timeout().map(|(at, _)| at)).min();
        [timer, stages].into_iter().flatten().fold(self.next_sweep, Instant::min)
    }

    /// Takes a batch of datagrams; whether there may be more.
    fn receive(&mut self, now: Instant, buffer: &mut [u8]) -> bool {
        for _ in 0..RECEIVE_BATCH {
            let Some((len, source)) = self.socket.receive(buffer) else {
                return false;
            };
            let datagram = &buffer[..len];
            let slot = self.demux.find(source, datagram);
            let Some((slot, session)) = slot.and_then(|slot| Some((slot, self.sessions.get_mut(&slot)?))) else {
                self.stats.datagrams_unknown += 1;
                continue;
            };
            session.last_heard = now;
            session.leg.receive(now, source, datagram);
            self.pump(slot, now);
        }
        true
    }

    /// Runs what is due: legs, stages, the search for silence.
    fn tick(&mut self, now: Instant) {
        while let Some(Reverse((at, slot))) = self.timers.peek().copied()
            && at <= now
        {
            self.timers.pop();
            let Some(session) = self.sessions.get_mut(&slot) else {
                continue;
            };
            session.armed = None;
            if session.due > now {
                arm(&mut self.timers, slot, session);
            } else {
                session.leg.tick(now);
                self.pump(slot, now);
            }
        }
        let due = |stage: &Stage| stage.poll_timeout().is_some_and(|(at, _)| at <= now);
        let lives: Vec<LiveId> = self.stages.iter().filter(|(_, s)| due(s)).map(|(live, _)| live.clone()).collect();
        for live in lives {
            if let Some(stage) = self.stages.get_mut(&live) {
                stage.poll(now, &mut self.effects);
            }
            self.settle(&live, now);
        }
        if self.next_sweep <= now {
            self.next_sweep = now + SWEEP_INTERVAL;
            self.sweep(now);
        }
    }

    fn sweep(&mut self, now: Instant) {
        let is_gone = |session: &Session| {
            let (since, limit) = match (session.connected, session.role) {
                (false, _) => (session.since, CONNECT_LIMIT),
                (true, Role::Publisher) => (session.last_heard, PUBLISHER_SILENCE_LIMIT),
                (true, Role::Viewer) => (session.last_heard, VIEWER_SILENCE_LIMIT),
            };
            now.saturating_duration_since(since) > limit
        };
        let gone: Vec<Slot> = self.sessions.iter().filter(|(_, s)| is_gone(s)).map(|(slot, _)| *slot).collect();
        for slot in gone {
            tracing::info!(session.id = %self.sessions[&slot].id, "peer is silent");
            self.end_session(slot, now);
        }
    }

    /// Takes out of a leg what it has to say, and does what follows.
    fn pump(&mut self, slot: Slot, now: Instant) {
        let Some(live) = self.drain(slot, now) else {
            return;
        };
        self.settle(&live, now);
    }

    /// Drains a leg; what follows is left in `effects`. Returns the session's live when there is anything to settle.
    fn drain(&mut self, slot: Slot, now: Instant) -> Option<LiveId> {
        let session = self.sessions.get_mut(&slot)?;
        loop {
            match session.leg.step() {
                Step::Send { to, datagram } => {
                    self.demux.sent(slot, to, &datagram);
                    self.socket.send(to, &datagram);
                }
                Step::Wait(at) => {
                    session.due = at;
                    arm(&mut self.timers, slot, session);
                    break;
                }
                Step::Over => {
                    self.effects.push(Effect::Close(slot));
                    break;
                }
                step => {
                    if let Some(stage) = self.stages.get_mut(&session.live) {
                        let forwarded = matches!(step, Step::Packet(_));
                        self.stats.packets_received += u64::from(forwarded);
                        heard(stage, slot, session, step, now, &mut self.effects);
                    }
                }
            }
        }
        (!self.effects.is_empty()).then(|| session.live.clone())
    }

    /// Does what follows, and what follows from that.
    fn settle(&mut self, live: &LiveId, now: Instant) {
        while !self.effects.is_empty() {
            let mut effects = std::mem::replace(&mut self.effects, std::mem::take(&mut self.spare));
            for effect in effects.drain(..) {
                match effect {
                    Effect::Deliver { to, packet, place } => {
                        if let Some(session) = self.sessions.get_mut(&to) {
                            self.stats.packets_forwarded += 1;
                            session.leg.deliver(now, &packet, place);
                            self.drain(to, now);
                        }
                    }
                    Effect::AskKeyframe(slot) => {
                        if let Some(session) = self.sessions.get_mut(&slot) {
                            self.stats.keyframes_asked += 1;
                            session.leg.ask_keyframe();
                            session.leg.tick(now);
                            self.drain(slot, now);
                        }
                    }
                    Effect::Close(slot) => self.remove(slot, now),
                    Effect::Up => self.untold.push_back(MediaEvent::Up(live.clone())),
                    Effect::Away => self.untold.push_back(MediaEvent::Away(live.clone())),
                }
            }
            self.spare = effects;
        }
    }

    /// Ends a session and does what follows.
    fn end_session(&mut self, slot: Slot, now: Instant) {
        if let Some(live) = self.sessions.get(&slot).map(|session| session.live.clone()) {
            self.remove(slot, now);
            self.settle(&live, now);
        }
    }

    /// Says goodbye and forgets the session; what follows is left in `effects`.
    fn remove(&mut self, slot: Slot, now: Instant) {
        let Some(mut session) = self.sessions.remove(&slot) else {
            return;
        };
        session.leg.close(now);
        while let Step::Send { to, datagram } = session.leg.step() {
            self.socket.send(to, &datagram);
        }
        self.demux.remove(slot);
        self.by_id.remove(&session.id);
        if let Some(stage) = self.stages.get_mut(&session.live) {
            stage.leave(slot, &mut self.effects);
            if !stage.had_picture() && stage.is_empty() {
                self.stages.remove(&session.live);
            }
        }
    }

    fn take_commands(&mut self, now: Instant) -> bool {
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
            Command::Watch { live, offer, reply } => drop(reply.send(self.watch(&live, &offer, now))),
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

    fn publish(
        &mut self,
        live: &LiveId,
        identity: String,
        offer: &str,
        now: Instant,
    ) -> Result<Answer, MediaError> {
        let offer = parse(offer)?;
        let stage = self.stages.get(live);
        if stage.is_some_and(|stage| stage.admit(&identity).is_err()) {
            return Err(MediaError::PublisherExists);
        }
        let fixed = stage.filter(|stage| stage.had_picture()).and_then(Stage::codec);
        let codec = offer.choose(fixed).ok_or(MediaError::UnsupportedMedia)?;
        if !offer.sends {
            return Err(MediaError::BadOffer("a publisher sends its video".into()));
        }
        let (slot, answer) = self.open_session(live, Role::Publisher, codec, &offer, now)?;
        self.stages.entry(live.clone()).or_default().publish(slot, identity, codec, &mut self.effects);
        self.settle(live, now);
        Ok(answer)
    }

    fn watch(&mut self, live: &LiveId, offer: &str, now: Instant) -> Result<Answer, MediaError> {
        let offer = parse(offer)?;
        let stage = self.stages.get(live).filter(|stage| stage.had_picture());
        let fixed = stage.ok_or(MediaError::NoPublisher)?.codec();
        let codec = offer.choose(fixed).ok_or(MediaError::UnsupportedMedia)?;
        if !offer.receives {
            return Err(MediaError::BadOffer("a viewer receives its video".into()));
        }
        Ok(self.open_session(live, Role::Viewer, codec, &offer, now)?.1)
    }

    fn open_session(
        &mut self,
        live: &LiveId,
        role: Role,
        codec: super::VideoCodec,
        offer: &Offer,
        now: Instant,
    ) -> Result<(Slot, Answer), MediaError> {
        let of_live = || self.sessions.values().filter(|session| session.live == *live).count();
        if self.sessions.len() >= self.config.max_sessions || of_live() >= self.config.max_sessions_per_live {
            return Err(MediaError::Full);
        }
        let answered = self.maker.answer(role, codec, offer, now);
        let Answered { leg, sdp, ufrag } = answered.map_err(|refused| MediaError::BadOffer(refused.0))?;
        let slot = self.next_slot;
        self.next_slot += 1;
        let (id, etag) = (MediaSessionId::fresh(), format!("\"{ufrag}\""));
        self.demux.add(slot, ufrag);
        self.by_id.insert(id.clone(), slot);
        let answer = Answer { session: id.clone(), sdp, etag: etag.clone(), codec };
        let session = Session {
            id,
            live: live.clone(),
            role,
            leg,
            etag,
            since: now,
            connected: false,
            last_heard: now,
            due: now,
            armed: None,
        };
        self.sessions.insert(slot, session);
        self.pump(slot, now);
        Ok((slot, answer))
    }

    fn trickle(
        &mut self,
        session: &MediaSessionId,
        etag: &str,
        fragment: &str,
        now: Instant,
    ) -> Result<(), MediaError> {
        let slot = self.by_id.get(session).copied().ok_or(MediaError::NoSuchSession)?;
        let session = self.sessions.get_mut(&slot).ok_or(MediaError::NoSuchSession)?;
        if etag == "*" {
            return Err(MediaError::RestartRefused);
        }
        if etag != session.etag {
            return Err(MediaError::StaleEtag);
        }
        for candidate in candidates(fragment).take(MAX_TRICKLED) {
            if let Some(session) = self.sessions.get_mut(&slot) {
                session.leg.add_candidate(candidate);
                self.pump(slot, now);
            }
        }
        Ok(())
    }

    fn end_live(&mut self, live: &LiveId, now: Instant) {
        let of_live = |session: &Session| session.live == *live;
        let slots: Vec<Slot> = self.sessions.iter().filter(|(_, s)| of_live(s)).map(|(slot, _)| *slot).collect();
        let is_known = self.stages.remove(live).is_some();
        slots.into_iter().for_each(|slot| self.end_session(slot, now));
        if is_known {
            self.untold.push_back(MediaEvent::Ended(live.clone()));
        }
    }

    fn count(&self) -> MediaStats {
        let lives = self.stages.iter().map(|(live, stage)| LiveStats {
            live: live.clone(),
            up: stage.is_up(),
            viewers: stage.viewers(),
            codec: stage.codec(),
        });
        let lives = lives.collect();
        let (sessions, datagrams_unsent) = (self.sessions.len(), self.socket.unsent);
        MediaStats { lives, sessions, datagrams_unsent, ..self.stats.clone() }
    }

    /// Hands events to the application; what it has no room for waits, the newest of each live.
    fn tell(&mut self) {
        while let Some(event) = self.untold.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(event)) = self.events.try_send(event) {
                self.untold.push_front(event);
                break;
            }
        }
        if self.untold.len() > MAX_EVENTS {
            let untold = std::mem::take(&mut self.untold);
            for event in untold {
                self.untold.retain(|older| older.live() != event.live());
                self.untold.push_back(event);
            }
        }
    }
}

/// Candidates taken from one fragment; a browser sends one or a handful.
const MAX_TRICKLED: usize = 32;

fn parse(offer: &str) -> Result<Offer, MediaError> {
    Offer::parse(offer).map_err(|reason| MediaError::BadOffer(reason.0.into()))
}

/// Puts a session into the timers, unless an earlier entry stands there.
fn arm(timers: &mut BinaryHeap<Reverse<(Instant, Slot)>>, slot: Slot, session: &mut Session) {
    if session.armed.is_none_or(|armed| session.due < armed) {
        session.armed = Some(session.due);
        timers.push(Reverse((session.due, slot)));
    }
}

/// What a leg said, told to its stage.
fn heard(stage: &mut Stage, slot: Slot, session: &mut Session, step: Step, now: Instant, effects: &mut Vec<Effect>) {
    match (step, session.role) {
        (Step::Connected, role) => {
            session.connected = true;
            match role {
                Role::Publisher => stage.publisher_connected(slot, now, effects),
                Role::Viewer => stage.join(slot, random(), now, effects),
            }
        }
        (Step::Packet(packet), Role::Publisher) => stage.packet(slot, &Arc::new(packet), now, effects),
        (Step::KeyframeRequested, Role::Viewer) => stage.keyframe_requested(slot, now, effects),
        _ => {}
    }
}

/// Where a viewer's numbering begins (RFC 3550, section 5.1).
fn random() -> u16 {
    let mut bytes = [0u8; 2];
    // Without randomness the numbering begins at zero, which is allowed.
    let _ = getrandom::fill(&mut bytes);
    u16::from_ne_bytes(bytes)
}
