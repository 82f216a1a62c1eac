//! Shell: one of the threads that serve viewers.
//!
//! Owns the legs of its viewers and, of every live that they watch, a hall. The engine receives every datagram and
//! hands on what is a viewer's; what a publisher sends is fed to it, shared and unread. It sends by itself.
//! Invariants: the loop reads the clock at one place and never waits but in `poll`; it never waits for the engine; no
//! error of one viewer reaches another.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, Sender as NewsSender},
    },
    time::{Duration, Instant},
};

use mio::{Events, Poll, Waker};

use super::{
    Answer, Choice, Choices, MediaError, Restarted, ViewerTag,
    hall::{Effect, Hall},
    leg::{Answered, LegMaker, Role, Sample, Step},
    outbox::Outbox,
    peers::{Peers, tag},
    report::{Page, Survey},
    restart::Renamed,
    socket::Sender,
    stage::Slot,
};
use crate::ids::LiveId;

mod link;
pub(super) use link::{Counters, Feed, Link, News, Order, Trickle, Watch};
use link::{MAX_FEED, MAX_STREAMED};

/// Orders taken before the picture gets its turn again.
const ORDER_BATCH: usize = 128;
/// … and no more once they have taken so long: an offer's answer or a handshake's message takes about a millisecond, and
/// who watches already comes before who storms in.
const ORDER_TIME: Duration = Duration::from_millis(2);
/// How often silence is looked for.
const SWEEP_INTERVAL: Duration = Duration::from_millis(500);

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
        if streamed.is_empty() {
            return;
        }
        if self.counted.streamed.load(Ordering::Relaxed) + streamed.len() > MAX_STREAMED {
            self.sender.unsent += streamed.len() as u64;
            streamed.clear();
            return;
        }
        self.counted.streamed.fetch_add(streamed.len(), Ordering::Relaxed);
        let (from, datagrams) = (Arc::clone(&self.counted), std::mem::take(streamed));
        self.tell(News::Streamed { from, datagrams });
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
