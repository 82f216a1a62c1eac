//! Shell: the media engine: one thread, one socket, every session.
//!
//! Owns the sessions and the loop: datagrams and timers go to the legs and stages, what they answer goes to the
//! socket and to each other. What callers order is in `commands.rs`. It decides nothing about media; that is `sfu.rs`.
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
    MAX_EVENTS, MediaConfig, MediaError, MediaEvent, MediaStats,
    demux::Demux,
    leg::{Leg, LegMaker, Role, Step},
    outbox::Outbox,
    sfu::{Effect, Slot, Stage},
    socket::MediaSocket,
};
use crate::ids::{LiveId, MediaSessionId};

mod commands;
pub(super) use commands::Command;

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
/// Larger than any datagram of WebRTC.
const DATAGRAM_BYTES: usize = 2_048;

const SOCKET: Token = Token(0);
const COMMANDS: Token = Token(1);

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

/// What must be had before the engine's thread begins.
pub(super) struct Ground {
    config: MediaConfig,
    poll: Poll,
    waker: Arc<Waker>,
    socket: MediaSocket,
    addresses: Vec<SocketAddr>,
    maker: LegMaker,
}

pub(super) struct Engine {
    config: MediaConfig,
    poll: Poll,
    inbox: Receiver<Command>,
    events: mpsc::Sender<MediaEvent>,
    untold: VecDeque<MediaEvent>,
    /// Points into the socket, so it goes first.
    outbox: Outbox,
    socket: MediaSocket,
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

impl Ground {
    /// Opens port and certificate.
    pub(super) fn open(config: MediaConfig) -> Result<Self, MediaError> {
        let poll = Poll::new()?;
        let (mut socket, addresses) = MediaSocket::bind(config.bind, &config.advertise)?;
        poll.registry().register(socket.source(), SOCKET, Interest::READABLE)?;
        let waker = Arc::new(Waker::new(poll.registry(), COMMANDS)?);
        let no_certificate = || MediaError::CannotOpen(std::io::Error::other("no certificate could be made"));
        let maker = LegMaker::new(addresses.clone()).ok_or_else(no_certificate)?;
        Ok(Self { config, poll, waker, socket, addresses, maker })
    }

    pub(super) fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

impl Engine {
    /// On the thread that will run it.
    pub(super) fn new(ground: Ground, inbox: Receiver<Command>, events: mpsc::Sender<MediaEvent>) -> Self {
        let Ground { config, poll, socket, maker, .. } = ground;
        Self {
            config,
            poll,
            inbox,
            events,
            untold: VecDeque::new(),
            outbox: socket.outbox(),
            socket,
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
        }
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
            self.outbox.flush();
            self.tell();
            if let Some(reply) = self.stopped.take() {
                let slots: Vec<Slot> = self.sessions.keys().copied().collect();
                for slot in slots {
                    self.end_session(slot, now);
                }
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
                    self.demux.sent(slot, to, &datagram, now);
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
                            session.leg.deliver(now, &packet, place, &mut self.outbox);
                        }
                    }
                    Effect::Resend { to, packet, place } => {
                        if let Some(session) = self.sessions.get_mut(&to) {
                            self.stats.packets_resent += 1;
                            session.leg.resend(&packet, place, &mut self.outbox);
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
        (Step::Lost(loss), Role::Viewer) => stage.lost(slot, loss, now, effects),
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
