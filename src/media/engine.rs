//! Shell: the media engine: one thread that receives for all, and its threads for the viewers.
//!
//! Owns the port, the publishers, the stages and the directory of sessions: a publisher's packets go to its stage and
//! from there to the threads that have viewers of that live (`fanout.rs`); a viewer's datagrams go to the thread that it
//! lives on. What callers order is in `commands.rs`. It decides nothing about media; that are `stage.rs` and `hall.rs`.
//! Invariants: the loop reads the clock at one place and never waits but in `poll`; a session that is silent for its
//! limit is gone; no error of one session reaches another.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, atomic::Ordering, mpsc::Receiver},
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, Waker};
use tokio::sync::{mpsc, oneshot};

use super::{
    MAX_EVENTS, MediaConfig, MediaError, MediaEvent, MediaStats,
    demux::Demux,
    fanout::{Feed, Link, News, Order},
    leg::{LegMaker, Step},
    peers::{Peers, tag},
    pull::Pull,
    socket::{MediaSocket, Sender},
    stage::{Effect, Origin, Slot, Stage},
};
use crate::ids::{LiveId, MediaSessionId};

mod commands;
mod survey;
pub(super) use commands::Command;
pub(super) use survey::Gathering;

/// How often silence is looked for.
const SWEEP_INTERVAL: Duration = Duration::from_millis(500);
/// Datagrams taken before timers and commands get their turn.
const RECEIVE_BATCH: usize = 128;
/// Larger than any datagram of WebRTC.
const DATAGRAM_BYTES: usize = 2_048;

const SOCKET: Token = Token(0);
const COMMANDS: Token = Token(1);
/// A pull's is this and its session's slot.
const FIRST_PULL: Token = Token(1 << 32);

/// What is known of a session beside its transport.
struct Session {
    id: MediaSessionId,
    live: LiveId,
    home: Home,
    etag: String,
    connected: bool,
}

/// Where a session's transport lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Home {
    /// A publisher's, or a pull from another server: here.
    Here,
    /// A viewer's, on this thread.
    Fanout(usize),
}

/// A live with its sessions.
#[derive(Default)]
struct Live {
    stage: Stage,
    /// Its viewers on each thread, connected or not.
    seats: Vec<usize>,
    /// Its connected viewers.
    viewers: usize,
}

/// What must be had before the engine's thread begins.
pub(super) struct Ground {
    config: MediaConfig,
    poll: Poll,
    waker: Arc<Waker>,
    socket: MediaSocket,
    sender: Sender,
    addresses: Vec<SocketAddr>,
    maker: Arc<LegMaker>,
    links: Vec<Link>,
    news: Receiver<News>,
}

pub(super) struct Engine {
    config: MediaConfig,
    poll: Poll,
    inbox: Receiver<Command>,
    events: mpsc::Sender<MediaEvent>,
    untold: VecDeque<MediaEvent>,
    socket: MediaSocket,
    sender: Sender,
    maker: Arc<LegMaker>,
    links: Vec<Link>,
    news: Receiver<News>,
    /// Publishers, and other servers.
    peers: Peers,
    pulls: HashMap<Slot, Pull>,
    /// Pulls with datagrams that were not read yet.
    ready_pulls: Vec<Slot>,
    sessions: HashMap<Slot, Session>,
    by_id: HashMap<MediaSessionId, Slot>,
    next_slot: Slot,
    demux: Demux,
    lives: HashMap<LiveId, Live>,
    effects: Vec<Effect>,
    spare: Vec<Effect>,
    stats: MediaStats,
    next_sweep: Instant,
    stopped: Option<oneshot::Sender<()>>,
    /// Nobody is left who could order anything.
    is_abandoned: bool,
}

impl Ground {
    /// Opens port and certificate and starts the threads for viewers.
    pub(super) fn open(config: MediaConfig) -> Result<Self, MediaError> {
        let poll = Poll::new()?;
        let (mut socket, addresses) = MediaSocket::open(config.bind, &config.advertise, config.tcp, poll.registry())?;
        poll.registry().register(socket.source(), SOCKET, Interest::READABLE)?;
        let waker = Arc::new(Waker::new(poll.registry(), COMMANDS)?);
        let no_certificate = || MediaError::CannotOpen(std::io::Error::other("no certificate could be made"));
        let maker = Arc::new(LegMaker::new(addresses.clone(), config.tcp).ok_or_else(no_certificate)?);
        let (told, news) = std::sync::mpsc::channel();
        let start = |at| Link::start(at, Arc::clone(&maker), socket.sender()?, told.clone(), Arc::clone(&waker));
        let links = (0..config.fanout_threads()).map(start).collect::<std::io::Result<_>>()?;
        let sender = socket.sender()?;
        Ok(Self { config, poll, waker, socket, sender, addresses, maker, links, news })
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
        let Ground { config, poll, socket, sender, maker, links, news, .. } = ground;
        Self {
            config,
            poll,
            inbox,
            events,
            untold: VecDeque::new(),
            socket,
            sender,
            maker,
            links,
            news,
            peers: Peers::default(),
            pulls: HashMap::new(),
            ready_pulls: Vec::new(),
            sessions: HashMap::new(),
            by_id: HashMap::new(),
            next_slot: 0,
            demux: Demux::default(),
            lives: HashMap::new(),
            effects: Vec::new(),
            spare: Vec::new(),
            stats: MediaStats::default(),
            next_sweep: Instant::now(),
            stopped: None,
            is_abandoned: false,
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
                break;
            }
            now = Instant::now();
            self.socket.hear(&ready, now);
            self.note_ready_pulls(&ready);
            busy = self.receive(now, &mut buffer);
            busy |= self.receive_pulled(now, &mut buffer);
            self.wake_threads();
            self.take_news(now);
            busy |= self.take_commands(now);
            self.tick(now);
            self.wake_threads();
            for (to, datagram) in self.sender.streamed.drain(..) {
                self.socket.send_streamed(to, &datagram);
            }
            self.socket.flush(now);
            self.tell();
            if self.stopped.is_some() || self.is_abandoned {
                break;
            }
        }
        for slot in self.peers.slots() {
            self.end_session(slot, now);
        }
        self.links.iter_mut().for_each(Link::stop);
        if let Some(reply) = self.stopped.take() {
            let _ = reply.send(());
        }
    }

    fn wake_threads(&mut self) {
        self.links.iter_mut().for_each(Link::wake);
    }

    fn next_due(&self) -> Instant {
        let stages = self.lives.values().filter_map(|live| live.stage.poll_timeout().map(|(at, _)| at)).min();
        [self.peers.next_due(), stages].into_iter().flatten().fold(self.next_sweep, Instant::min)
    }

    /// Takes a batch of datagrams; whether there may be more.
    fn receive(&mut self, now: Instant, buffer: &mut [u8]) -> bool {
        for _ in 0..RECEIVE_BATCH {
            let Some((len, source)) = self.socket.receive(buffer) else {
                return false;
            };
            let datagram = &buffer[..len];
            let mut slot = self.demux.find(source, datagram);
            if slot.is_none() && self.take_news(now) {
                // A thread may have answered a check there a moment ago.
                slot = self.demux.find(source, datagram);
            }
            let home = slot.and_then(|slot| Some((slot, self.sessions.get(&slot)?.home)));
            match home {
                Some((slot, Home::Here)) => {
                    self.peers.receive(slot, now, source, datagram);
                    self.pump(slot, now);
                }
                Some((slot, Home::Fanout(at))) => self.links[at].datagram(slot, source, datagram),
                None => self.stats.datagrams_unknown += 1,
            }
        }
        true
    }

    fn note_ready_pulls(&mut self, ready: &Events) {
        for token in ready.iter().map(mio::event::Event::token).filter(|token| token.0 >= FIRST_PULL.0) {
            let slot = (token.0 - FIRST_PULL.0) as Slot;
            if !self.ready_pulls.contains(&slot) {
                self.ready_pulls.push(slot);
            }
        }
    }

    /// Takes a batch of what other servers sent; whether there may be more.
    fn receive_pulled(&mut self, now: Instant, buffer: &mut [u8]) -> bool {
        let mut ready = std::mem::take(&mut self.ready_pulls);
        ready.retain(|slot| {
            for _ in 0..RECEIVE_BATCH {
                let received = self.pulls.get_mut(slot).and_then(|pull| pull.socket.receive(buffer));
                let Some((len, source)) = received else { return false };
                self.peers.receive(*slot, now, source, &buffer[..len]);
                self.pump(*slot, now);
            }
            true
        });
        self.ready_pulls = ready;
        !self.ready_pulls.is_empty()
    }

    /// What the threads told; whether there was anything.
    fn take_news(&mut self, now: Instant) -> bool {
        let mut any = false;
        while let Ok(news) = self.news.try_recv() {
            any = true;
            match news {
                News::Address { slot, to } => self.demux.learn(slot, to, now),
                News::Connected { slot } => {
                    if let Some(session) = self.sessions.get_mut(&slot)
                        && !std::mem::replace(&mut session.connected, true)
                        && let Some(live) = self.lives.get_mut(&session.live)
                    {
                        live.viewers += 1;
                    }
                }
                News::Renamed { slot, ufrag, over } => self.rename(slot, ufrag, over.as_deref()),
                News::Streamed { from, datagrams } => {
                    from.streamed.fetch_sub(datagrams.len(), Ordering::Relaxed);
                    for (to, datagram) in datagrams {
                        self.socket.send_streamed(to, &datagram);
                    }
                }
                News::Gone { slot } => self.end_session(slot, now),
                News::WantKeyframe { live, layer } => {
                    if let Some(of_live) = self.lives.get_mut(&live) {
                        of_live.stage.keyframe_wanted(layer, now, &mut self.effects);
                        self.settle(&live, now);
                    }
                }
            }
        }
        any
    }

    /// A session's ICE restarts.
    fn rename(&mut self, slot: Slot, ufrag: String, over: Option<&str>) {
        if let Some(session) = self.sessions.get_mut(&slot) {
            session.etag = tag(&ufrag);
            self.demux.rename(slot, ufrag, over);
        }
    }

    /// Runs what is due: publishers, stages, the search for silence.
    fn tick(&mut self, now: Instant) {
        while let Some(slot) = self.peers.tick_one(now) {
            self.pump(slot, now);
        }
        let due = |live: &Live| live.stage.poll_timeout().is_some_and(|(at, _)| at <= now);
        let lives: Vec<LiveId> = self.lives.iter().filter(|(_, l)| due(l)).map(|(live, _)| live.clone()).collect();
        for live in lives {
            if let Some(of_live) = self.lives.get_mut(&live) {
                of_live.stage.poll(now, &mut self.effects);
            }
            self.settle(&live, now);
        }
        if self.next_sweep <= now {
            self.next_sweep = now + SWEEP_INTERVAL;
            self.sweep(now);
        }
    }

    fn sweep(&mut self, now: Instant) {
        let mut gone = self.peers.silent(now);
        for slot in &gone {
            tracing::info!(slot, "publisher is silent");
        }
        gone.extend(self.pulls.iter().filter(|(_, pull)| pull.is_forgotten(now)).map(|(slot, _)| *slot));
        for (at, link) in self.links.iter().enumerate().filter(|(_, link)| link.is_dead() && link.viewers > 0) {
            tracing::error!(viewers = link.viewers, "a media thread ended; its viewers have to come back");
            let lost = self.sessions.iter().filter(|(_, session)| session.home == Home::Fanout(at));
            gone.extend(lost.map(|(slot, _)| *slot));
        }
        for slot in gone {
            self.end_session(slot, now);
        }
    }

    /// Takes out of a publisher's leg what it has to say, and does what follows.
    fn pump(&mut self, slot: Slot, now: Instant) {
        let Some(live) = self.drain(slot, now) else {
            return;
        };
        self.settle(&live, now);
    }

    /// Drains a leg; what follows is left in `effects`. Returns the session's live when there is anything to settle.
    fn drain(&mut self, slot: Slot, now: Instant) -> Option<LiveId> {
        let live = &self.sessions.get(&slot)?.live;
        while let Some(step) = self.peers.step(slot) {
            match step {
                Step::Send { to, datagram } => match self.pulls.get_mut(&slot) {
                    Some(pull) => pull.sender.send(to, &datagram),
                    None => {
                        self.demux.sent(slot, to, &datagram, now);
                        self.sender.send(to, &datagram);
                    }
                },
                Step::Over => {
                    self.effects.push(Effect::Close(slot));
                    break;
                }
                Step::Packet(packet) => {
                    self.stats.packets_received += 1;
                    self.stats.bytes_received += packet.payload.len() as u64;
                    if let Some(of_live) = self.lives.get_mut(live) {
                        of_live.stage.packet(slot, &Arc::new(packet), now, &mut self.effects);
                    }
                }
                Step::Connected => {
                    if let Some(of_live) = self.lives.get_mut(live) {
                        of_live.stage.publisher_connected(slot, now, &mut self.effects);
                    }
                }
                Step::KeyframeRequested | Step::Lost(_) | Step::Heard(_) | Step::Wait(_) => {}
            }
        }
        (!self.effects.is_empty()).then(|| live.clone())
    }

    /// Does what follows, and what follows from that.
    fn settle(&mut self, live: &LiveId, now: Instant) {
        while !self.effects.is_empty() {
            let mut effects = std::mem::replace(&mut self.effects, std::mem::take(&mut self.spare));
            for effect in effects.drain(..) {
                match effect {
                    Effect::Feed { packet, ends_run } => {
                        let again = || Arc::clone(&packet);
                        self.feed(live, || Feed::Packet { live: live.clone(), packet: again(), ends_run });
                    }
                    Effect::Begin => self.feed(live, || Feed::Begin { live: live.clone() }),
                    Effect::AskKeyframe(slot, layer) => {
                        if let Some(peer) = self.peers.get(slot) {
                            self.stats.keyframes_asked += 1;
                            peer.leg.ask_keyframe(layer);
                            peer.leg.tick(now);
                            self.drain(slot, now);
                        }
                    }
                    Effect::Close(slot) => self.remove(slot, now),
                    Effect::Up(Origin::Here(_)) => self.untold.push_back(MediaEvent::Up(live.clone())),
                    Effect::Away(Origin::Here(_)) => self.untold.push_back(MediaEvent::Away(live.clone())),
                    Effect::Up(Origin::Elsewhere) => self.untold.push_back(MediaEvent::Pulled(live.clone())),
                    Effect::Away(Origin::Elsewhere) => self.untold.push_back(MediaEvent::PullLost(live.clone())),
                }
            }
            self.spare = effects;
        }
    }

    /// To every thread with viewers of this live.
    fn feed(&mut self, live: &LiveId, feed: impl Fn() -> Feed) {
        let Some(of_live) = self.lives.get(live) else { return };
        for (seats, link) in of_live.seats.iter().zip(&mut self.links) {
            if *seats > 0 {
                link.feed(feed());
            }
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
        let Some(session) = self.sessions.remove(&slot) else {
            return;
        };
        self.demux.remove(slot);
        self.by_id.remove(&session.id);
        let of_live = self.lives.get_mut(&session.live);
        match session.home {
            Home::Here => {
                let mut pull = self.pulls.remove(&slot);
                let sender = pull.as_mut().map_or(&mut self.sender, |pull| &mut pull.sender);
                self.peers.close(slot, now, |to, datagram| sender.send(to, datagram));
                if let Some(mut pull) = pull
                    && let Err(error) = self.poll.registry().deregister(pull.socket.source())
                {
                    tracing::warn!(%error, "a pull's port stays watched");
                }
                if let Some(of_live) = of_live {
                    of_live.stage.leave(slot, &mut self.effects);
                }
            }
            Home::Fanout(at) => {
                let link = &mut self.links[at];
                link.viewers -= 1;
                link.order(Order::Close { slot });
                if let Some(of_live) = of_live {
                    of_live.viewers -= usize::from(session.connected);
                    of_live.seats[at] -= 1;
                    if of_live.seats[at] == 0 {
                        link.feed(Feed::Shut { live: session.live.clone() });
                    }
                }
            }
        }
        if self.lives.get(&session.live).is_some_and(Live::is_over) {
            self.lives.remove(&session.live);
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

    /// What all threads did together.
    fn totals(&self) -> MediaStats {
        let sum = |of: fn(&super::fanout::Counters) -> &std::sync::atomic::AtomicU64| {
            self.links.iter().map(|link| of(&link.counters).load(Ordering::Relaxed)).sum::<u64>()
        };
        let dropped: u64 = self.links.iter().map(|link| link.dropped).sum();
        MediaStats {
            sessions: self.sessions.len(),
            packets_forwarded: sum(|counters| &counters.forwarded),
            bytes_forwarded: sum(|counters| &counters.bytes),
            packets_resent: sum(|counters| &counters.resent),
            datagrams_unsent: self.sender.unsent
                + self.socket.unsent_by_streams()
                + sum(|counters| &counters.unsent)
                + dropped,
            ..self.stats.clone()
        }
    }
}

impl Live {
    /// Nobody is here and there was never a picture.
    fn is_over(&self) -> bool {
        !self.stage.had_picture() && self.stage.is_empty() && self.seats.iter().all(|seats| *seats == 0)
    }
}
