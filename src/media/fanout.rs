//! Shell: one of the threads that serve viewers.
//!
//! Owns the legs of its viewers and, of every live that they watch, a hall. The engine receives every datagram and
//! hands on what is a viewer's; what a publisher sends is fed to it, shared and unread. It sends by itself.
//! Invariants: the loop reads the clock at one place and never waits but in `poll`; it never waits for the engine; no
//! error of one viewer reaches another.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, Sender as NewsSender, SyncSender, TrySendError},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use mio::{Events, Poll, Token, Waker};
use tokio::sync::oneshot;

use super::{
    Answer, Choice, Choices, MediaError, Restarted, VideoCodec, ViewerTag,
    engine::Gathering,
    hall::{Effect, Hall},
    leg::{Answered, LegMaker, Role, Sample, Step},
    outbox::Outbox,
    packet::Packet,
    peers::{Peers, tag},
    report::{Page, Survey},
    restart::Renamed,
    sdp::Offer,
    socket::Sender,
    stage::{Past, Slot},
};
use crate::ids::{LiveId, MediaSessionId};

/// Packets that wait for a thread; beyond them they are lost for its viewers, who notice and ask.
const MAX_FEED: usize = 8_192;
/// Orders and datagrams that wait for a thread; beyond them datagrams are lost and newcomers told to come later.
const MAX_ORDERS: usize = 8_192;
/// Orders taken before the picture gets its turn again.
const ORDER_BATCH: usize = 128;
/// … and no more once they have taken so long: an offer's answer or a handshake's message takes about a millisecond, and
/// who watches already comes before who storms in.
const ORDER_TIME: Duration = Duration::from_millis(2);
/// How often silence is looked for.
const SWEEP_INTERVAL: Duration = Duration::from_millis(500);

/// What a thread's halls are fed, in order.
pub(super) enum Feed {
    /// The first viewer of this live comes.
    Open {
        live: LiveId,
        past: Box<Past>,
    },
    /// What follows has nothing to do with what went before.
    Begin {
        live: LiveId,
    },
    Packet {
        live: LiveId,
        packet: Arc<Packet>,
        ends_run: bool,
    },
    /// The last one went.
    Shut {
        live: LiveId,
    },
}

/// What concerns one viewer.
pub(super) enum Order {
    Watch(Box<Watch>),
    Datagram {
        slot: Slot,
        source: SocketAddr,
        datagram: Vec<u8>,
    },
    Trickle(Box<Trickle>),
    /// How large it wants the picture, if it says so; what it may choose from.
    Layers {
        slot: Slot,
        choice: Option<Choice>,
        reply: oneshot::Sender<Result<Choices, MediaError>>,
    },
    Survey(Arc<Gathering>),
    Close {
        slot: Slot,
    },
    Stop,
}

/// An offer to be answered.
pub(super) struct Watch {
    pub(super) slot: Slot,
    pub(super) live: LiveId,
    pub(super) session: MediaSessionId,
    pub(super) codec: VideoCodec,
    pub(super) offer: Offer,
    /// It is another server.
    pub(super) relays: bool,
    pub(super) credentials: str0m::IceCreds,
    pub(super) etag: String,
    pub(super) reply: oneshot::Sender<Result<Answer, MediaError>>,
}

/// What a viewer says of its ICE.
pub(super) struct Trickle {
    pub(super) slot: Slot,
    pub(super) fragment: String,
    /// It asked for one.
    pub(super) is_restart: bool,
    pub(super) reply: oneshot::Sender<Result<Option<Restarted>, MediaError>>,
}

/// What a thread tells the engine. At most a few for each viewer and moment: each has its limits where it arises.
pub(super) enum News {
    /// A viewer's check from there was answered.
    Address {
        slot: Slot,
        to: SocketAddr,
    },
    Connected {
        slot: Slot,
    },
    /// For connections, which belong to the engine.
    Streamed(Vec<(SocketAddr, Vec<u8>)>),
    /// Its ICE restarts: how it is called, and what it is no longer called.
    Renamed {
        slot: Slot,
        ufrag: String,
        over: Option<String>,
    },
    Gone {
        slot: Slot,
    },
    WantKeyframe {
        live: LiveId,
        layer: u8,
    },
}

/// What a thread did, for whoever wants to know.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) forwarded: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) resent: AtomicU64,
    pub(super) unsent: AtomicU64,
}

/// The engine's end of a thread.
pub(super) struct Link {
    feed: SyncSender<Feed>,
    orders: SyncSender<Order>,
    waker: Arc<Waker>,
    /// Something was said since it was last woken.
    is_owed_a_wake: bool,
    /// What it had no room for.
    pub(super) dropped: u64,
    pub(super) counters: Arc<Counters>,
    pub(super) viewers: usize,
    thread: Option<JoinHandle<()>>,
}

impl Link {
    /// Starts a thread.
    pub(super) fn start(
        at: usize,
        maker: Arc<LegMaker>,
        sender: Sender,
        news: NewsSender<News>,
        engine: Arc<Waker>,
    ) -> std::io::Result<Self> {
        let (feed, fed) = std::sync::mpsc::sync_channel(MAX_FEED);
        let (orders, ordered) = std::sync::mpsc::sync_channel(MAX_ORDERS);
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), Token(0))?);
        let counters = Arc::new(Counters::default());
        let counted = Arc::clone(&counters);
        let run = move || {
            let outbox = sender.outbox();
            Fanout {
                poll,
                fed,
                ordered,
                news,
                engine,
                maker,
                outbox,
                sender,
                peers: Peers::default(),
                guests: HashMap::new(),
                halls: HashMap::new(),
                effects: Vec::new(),
                spare: Vec::new(),
                owes_the_engine_a_wake: false,
                counted,
                forwarded: 0,
                bytes: 0,
                resent: 0,
                next_sweep: Instant::now(),
            }
            .run();
        };
        let thread = std::thread::Builder::new().name(format!("media-{at}")).spawn(run)?;
        let (is_owed_a_wake, dropped, viewers) = (false, 0, 0);
        Ok(Self { feed, orders, waker, is_owed_a_wake, dropped, counters, viewers, thread: Some(thread) })
    }

    /// The thread ended before it was told to.
    pub(super) fn is_dead(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Packets are lost when it has no room; what keeps its halls right is not.
    pub(super) fn feed(&mut self, feed: Feed) {
        self.is_owed_a_wake = true;
        let Err(refused) = self.feed.try_send(feed) else { return };
        self.dropped += 1;
        if let TrySendError::Full(feed @ (Feed::Open { .. } | Feed::Begin { .. } | Feed::Shut { .. })) = refused {
            self.dropped -= 1;
            self.wake();
            // It takes what waits without waiting for us, so there is room in a moment.
            let _ = self.feed.send(feed);
        }
    }

    /// A newcomer's offer; it is told when there is no room.
    pub(super) fn watch(&mut self, watch: Box<Watch>) -> bool {
        self.is_owed_a_wake = true;
        match self.orders.try_send(Order::Watch(watch)) {
            Ok(()) => true,
            Err(TrySendError::Full(order) | TrySendError::Disconnected(order)) => {
                if let Order::Watch(watch) = order {
                    let _ = watch.reply.send(Err(MediaError::Busy));
                }
                false
            }
        }
    }

    /// A datagram of a viewer's; it is lost when there is no room.
    pub(super) fn datagram(&mut self, slot: Slot, source: SocketAddr, datagram: &[u8]) {
        self.is_owed_a_wake = true;
        let order = Order::Datagram { slot, source, datagram: datagram.to_vec() };
        if self.orders.try_send(order).is_err() {
            self.dropped += 1;
        }
    }

    /// Anything else is not lost.
    pub(super) fn order(&mut self, order: Order) {
        self.is_owed_a_wake = true;
        if let Err(TrySendError::Full(order)) = self.orders.try_send(order) {
            self.wake();
            let _ = self.orders.send(order);
        }
    }

    /// Wakes it if something was said.
    pub(super) fn wake(&mut self) {
        if std::mem::take(&mut self.is_owed_a_wake)
            && let Err(error) = self.waker.wake()
        {
            tracing::error!(%error, "a media thread cannot be woken");
        }
    }

    /// Ends it; its viewers are told goodbye.
    pub(super) fn stop(&mut self) {
        self.order(Order::Stop);
        self.wake();
        if let Some(thread) = self.thread.take() {
            // What it panicked of was logged when it did.
            let _ = thread.join();
        }
    }
}

/// What is known of a viewer beside its transport.
struct Guest {
    tag: ViewerTag,
    /// It is another server.
    relays: bool,
    /// What it chose, from before it sees anything.
    choice: Choice,
}

struct Fanout {
    poll: Poll,
    fed: Receiver<Feed>,
    ordered: Receiver<Order>,
    news: NewsSender<News>,
    engine: Arc<Waker>,
    maker: Arc<LegMaker>,
    /// Points into the sender, so it goes first.
    outbox: Outbox,
    sender: Sender,
    peers: Peers,
    guests: HashMap<Slot, Guest>,
    halls: HashMap<LiveId, Hall>,
    effects: Vec<Effect>,
    spare: Vec<Effect>,
    owes_the_engine_a_wake: bool,
    counted: Arc<Counters>,
    forwarded: u64,
    bytes: u64,
    resent: u64,
    next_sweep: Instant,
}

impl Fanout {
    fn run(mut self) {
        let mut ready = Events::with_capacity(4);
        let mut now = Instant::now();
        let mut busy = false;
        loop {
            let wait = if busy { Duration::ZERO } else { self.next_due().saturating_duration_since(now) };
            if let Err(error) = self.poll.poll(&mut ready, Some(wait))
                && error.kind() != std::io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "a media thread cannot wait");
                return;
            }
            now = Instant::now();
            self.take_feed(now);
            self.outbox.flush();
            let Some(more) = self.take_orders(now) else { return self.stop(now) };
            busy = more;
            self.tick(now);
            self.outbox.flush();
            self.hand_over_streamed();
            self.publish_counters();
            if std::mem::take(&mut self.owes_the_engine_a_wake)
                && let Err(error) = self.engine.wake()
            {
                tracing::error!(%error, "the media engine cannot be woken");
            }
        }
    }

    fn next_due(&self) -> Instant {
        let halls = self.halls.values().filter_map(Hall::poll_timeout).min();
        [self.peers.next_due(), halls].into_iter().flatten().fold(self.next_sweep, Instant::min)
    }

    fn take_feed(&mut self, now: Instant) {
        for _ in 0..MAX_FEED {
            match self.fed.try_recv() {
                Ok(Feed::Packet { live, packet, ends_run }) => {
                    if let Some(hall) = self.halls.get_mut(&live) {
                        hall.packet(packet, ends_run, now, &mut self.effects);
                        self.settle(&live, now);
                    }
                }
                Ok(Feed::Begin { live }) => {
                    if let Some(hall) = self.halls.get_mut(&live) {
                        hall.begin();
                    }
                }
                Ok(Feed::Open { live, past }) => drop(self.halls.insert(live, Hall::open(*past))),
                Ok(Feed::Shut { live }) => drop(self.halls.remove(&live)),
                Err(_) => return,
            }
        }
    }

    /// Takes a batch of orders; whether there may be more, or nothing when it is to stop.
    fn take_orders(&mut self, now: Instant) -> Option<bool> {
        let began = Instant::now();
        for _ in 0..ORDER_BATCH {
            if began.elapsed() > ORDER_TIME {
                return Some(true);
            }
            match self.ordered.try_recv() {
                Ok(Order::Datagram { slot, source, datagram }) => {
                    if self.peers.receive(slot, now, source, &datagram) {
                        self.pump(slot, now);
                    }
                }
                Ok(Order::Watch(watch)) => self.watch(*watch, now),
                Ok(Order::Trickle(trickle)) => {
                    let Trickle { slot, fragment, is_restart, reply } = *trickle;
                    let _ = reply.send(self.trickle(slot, &fragment, is_restart, now));
                }
                Ok(Order::Layers { slot, choice, reply }) => {
                    let _ = reply.send(self.layers(slot, choice, now));
                }
                Ok(Order::Survey(gathering)) => {
                    let found = self.survey(&gathering.live, gathering.page, now);
                    gathering.add(found);
                }
                Ok(Order::Close { slot }) => self.close(slot, now),
                // A dropped engine ends its threads too.
                Ok(Order::Stop) | Err(std::sync::mpsc::TryRecvError::Disconnected) => return None,
                Err(std::sync::mpsc::TryRecvError::Empty) => return Some(false),
            }
        }
        Some(true)
    }

    fn watch(&mut self, watch: Watch, now: Instant) {
        let Watch { slot, live, session, codec, offer, relays, credentials, etag, reply } = watch;
        match self.maker.answer(Role::Viewer, codec, &offer, credentials, now) {
            Ok(Answered { leg, sdp }) => {
                self.peers.add(slot, live, Role::Viewer, leg, now);
                self.guests.insert(slot, Guest { tag: ViewerTag::of(&session), relays, choice: Choice::Auto });
                self.pump(slot, now);
                // Who has gone away meanwhile is found by its silence.
                let _ = reply.send(Ok(Answer { session, sdp, etag, codec }));
            }
            Err(refused) => {
                self.tell(News::Gone { slot });
                let _ = reply.send(Err(MediaError::BadOffer(refused.0)));
            }
        }
    }

    fn trickle(
        &mut self,
        slot: Slot,
        fragment: &str,
        is_restart: bool,
        now: Instant,
    ) -> Result<Option<Restarted>, MediaError> {
        let renamed = self.peers.get(slot).ok_or(MediaError::NoSuchSession)?.trickle(fragment, is_restart)?;
        self.pump(slot, now);
        Ok(renamed.map(|Renamed { ufrag, over, fragment }| {
            let etag = tag(&ufrag);
            // Told before the peer is: its checks will come under that name.
            self.tell(News::Renamed { slot, ufrag, over });
            Restarted { etag, fragment }
        }))
    }

    fn layers(&mut self, slot: Slot, choice: Option<Choice>, now: Instant) -> Result<Choices, MediaError> {
        let live = self.peers.get(slot).map(|peer| peer.live.clone()).ok_or(MediaError::NoSuchSession)?;
        let guest = self.guests.get_mut(&slot).ok_or(MediaError::NoSuchSession)?;
        guest.choice = choice.unwrap_or(guest.choice);
        let chosen = guest.choice;
        if choice.is_some() {
            self.with_hall(&live, |hall, effects| hall.set_choice(slot, chosen, now, effects));
            self.settle(&live, now);
        }
        let choices = self.halls.get(&live).map(|hall| hall.choices(slot, now)).unwrap_or_default();
        Ok(Choices { chosen, ..choices })
    }

    /// What this thread knows of a live's viewers, and a page of them when asked for.
    fn survey(&self, live: &LiveId, page: Option<Page>, now: Instant) -> Survey {
        let mut survey = Survey::default();
        for (slot, leg) in self.peers.connected(live) {
            let (Sample::Viewer(figures), Some(guest)) = (leg.sample(now), self.guests.get(&slot)) else { continue };
            survey.report.viewers.add(&figures);
            if page.is_some_and(|page| page.after.is_none_or(|after| guest.tag > after)) {
                survey.page.push((guest.tag, figures));
            }
        }
        if let Some(page) = page {
            survey.page.sort_unstable_by_key(|(tag, _)| *tag);
            survey.page.truncate(page.limit);
        }
        survey
    }

    /// Runs what is due: legs, halls, the search for silence.
    fn tick(&mut self, now: Instant) {
        while let Some(slot) = self.peers.tick_one(now) {
            self.pump(slot, now);
        }
        let due = |hall: &Hall| hall.poll_timeout().is_some_and(|at| at <= now);
        let lives: Vec<LiveId> = self.halls.iter().filter(|(_, h)| due(h)).map(|(live, _)| live.clone()).collect();
        for live in lives {
            if let Some(hall) = self.halls.get_mut(&live) {
                hall.poll(now, &mut self.effects);
            }
            self.settle(&live, now);
        }
        if self.next_sweep <= now {
            self.next_sweep = now + SWEEP_INTERVAL;
            for slot in self.peers.silent(now) {
                tracing::info!(slot, "viewer is silent");
                self.end(slot, now);
            }
        }
    }

    /// Takes out of a leg what it has to say, and does what follows.
    fn pump(&mut self, slot: Slot, now: Instant) {
        let Some(live) = self.peers.get(slot).map(|peer| peer.live.clone()) else { return };
        while let Some(step) = self.peers.step(slot) {
            match step {
                Step::Send { to, datagram } => {
                    if super::stun::is_success(&datagram) {
                        // Told before it is sent: what the viewer sends next must be known as its own.
                        let _ = self.news.send(News::Address { slot, to });
                    }
                    self.sender.send(to, &datagram);
                }
                Step::Connected => {
                    self.tell(News::Connected { slot });
                    let guest = self.guests.get(&slot);
                    let (relays, choice) = guest.map_or((false, Choice::Auto), |guest| (guest.relays, guest.choice));
                    self.with_hall(&live, |hall, effects| {
                        hall.join(slot, relays, random(), now, effects);
                        hall.set_choice(slot, choice, now, effects);
                    });
                }
                Step::KeyframeRequested => {
                    self.with_hall(&live, |hall, effects| hall.keyframe_requested(slot, now, effects));
                }
                Step::Heard(word) => self.with_hall(&live, |hall, _| hall.hear(slot, word, now)),
                Step::Lost(loss) => self.with_hall(&live, |hall, effects| hall.lost(slot, loss, now, effects)),
                Step::Over => {
                    self.end(slot, now);
                    break;
                }
                // A viewer sends no media; that it waits the peers know.
                Step::Packet(_) | Step::Wait(_) => {}
            }
        }
        self.settle(&live, now);
    }

    fn with_hall(&mut self, live: &LiveId, run: impl FnOnce(&mut Hall, &mut Vec<Effect>)) {
        if let Some(hall) = self.halls.get_mut(live) {
            run(hall, &mut self.effects);
        }
    }

    /// Does what follows.
    fn settle(&mut self, live: &LiveId, now: Instant) {
        let mut effects = std::mem::replace(&mut self.effects, std::mem::take(&mut self.spare));
        for effect in effects.drain(..) {
            match effect {
                Effect::Deliver { to, packet, place } => {
                    if let Some(peer) = self.peers.get(to) {
                        self.forwarded += 1;
                        self.bytes += packet.payload.len() as u64;
                        peer.leg.deliver(now, &packet, place, &mut self.outbox);
                    }
                }
                Effect::Resend { to, packet, place } => {
                    if let Some(peer) = self.peers.get(to) {
                        self.resent += 1;
                        peer.leg.resend(&packet, place, &mut self.outbox);
                    }
                }
                Effect::WantKeyframe(layer) => self.tell(News::WantKeyframe { live: live.clone(), layer }),
            }
        }
        self.spare = effects;
    }

    fn tell(&mut self, news: News) {
        self.owes_the_engine_a_wake = true;
        // Without an engine this thread is about to end.
        let _ = self.news.send(news);
    }

    /// Ends a session that the engine knows of.
    fn end(&mut self, slot: Slot, now: Instant) {
        self.close(slot, now);
        self.tell(News::Gone { slot });
    }

    fn close(&mut self, slot: Slot, now: Instant) {
        self.guests.remove(&slot);
        let sender = &mut self.sender;
        if let Some(live) = self.peers.close(slot, now, |to, datagram| sender.send(to, datagram))
            && let Some(hall) = self.halls.get_mut(&live)
        {
            hall.leave(slot);
        }
    }

    /// What goes over connections is the engine's to send.
    fn hand_over_streamed(&mut self) {
        let streamed = &mut self.sender.streamed;
        self.outbox.drain_streamed(|to, datagram| streamed.push((to, datagram.to_vec())));
        if !streamed.is_empty() {
            let streamed = std::mem::take(streamed);
            self.tell(News::Streamed(streamed));
        }
    }

    fn publish_counters(&self) {
        self.counted.forwarded.store(self.forwarded, Ordering::Relaxed);
        self.counted.bytes.store(self.bytes, Ordering::Relaxed);
        self.counted.resent.store(self.resent, Ordering::Relaxed);
        self.counted.unsent.store(self.sender.unsent + self.outbox.unsent, Ordering::Relaxed);
    }

    fn stop(mut self, now: Instant) {
        for slot in self.peers.slots() {
            self.close(slot, now);
        }
    }
}

/// Where a viewer's numbering begins (RFC 3550, section 5.1).
fn random() -> u16 {
    let mut bytes = [0u8; 2];
    // Without randomness the numbering begins at zero, which is allowed.
    let _ = getrandom::fill(&mut bytes);
    u16::from_ne_bytes(bytes)
}
