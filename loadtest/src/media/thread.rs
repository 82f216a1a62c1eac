//! Engine: a thread of the crowd: many sockets, one epoll.
//!
//! Owns the sockets; who sits behind one is a publisher, a viewer, or somebody who only takes what comes. Nothing here
//! allocates for a packet of a viewer who does not open it.

use std::{
    io::ErrorKind,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
        mpsc::{Receiver, Sender},
    },
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, Waker, net::UdpSocket};

use super::{
    publisher::{Publisher, Stream, Told},
    rtp,
    sdp::Types,
    transport::{Heard, Transport},
    viewer::{Moment, Seen, Viewer},
};

const WAKE: Token = Token(0);
const FIRST_MEMBER: usize = 1;
const EVENTS: usize = 1_024;
const DATAGRAM_BYTES: usize = 2_048;
/// How often timers are looked at, but those of a publisher.
const SWEEP_EVERY: Duration = Duration::from_millis(20);

/// What all threads of a crowd share.
#[derive(Debug)]
pub struct Counts {
    began: Instant,
    /// Packets that viewers got, each once.
    pub packets: AtomicU64,
    /// Viewers that have a picture.
    pub watching: AtomicUsize,
    pub timed: AtomicBool,
    pub told: Told,
}

impl Counts {
    /// Begins now.
    pub fn begin() -> Self {
        let (packets, watching, timed, told) = Default::default();
        Self { began: Instant::now(), packets, watching, timed, told }
    }

    fn clock_us(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.began).as_micros()).unwrap_or(u64::MAX)
    }
}

/// Who sits behind a socket.
pub enum Who {
    Viewer(Box<Viewer>),
    /// Begins when its transport stands.
    Publisher {
        types: Types,
        stream: Stream,
        publisher: Option<Box<Publisher>>,
    },
}

/// A socket and whoever sits behind it.
pub struct Member {
    pub name: u32,
    pub socket: UdpSocket,
    /// Nothing for who takes packets from a loop that is no server.
    pub transport: Option<Box<Transport>>,
    pub who: Who,
}

/// What a thread is told.
pub enum Order {
    Enter(Box<Member>),
    /// Is gone from one moment to the next; tells what it saw.
    Leave(u32, Sender<Option<Seen>>),
    /// Tell what everybody saw.
    Report(Sender<Vec<Seen>>),
}

/// Runs until nobody can give orders any more.
pub fn run(mut poll: Poll, inbox: &Receiver<Order>, counts: &Arc<Counts>) {
    let mut floor = Floor { members: Vec::new(), publisher: None, counts: Arc::clone(counts), out: Vec::new() };
    let mut events = Events::with_capacity(EVENTS);
    let mut buffer = [0; DATAGRAM_BYTES];
    let mut next_sweep = Instant::now();
    loop {
        let due = floor.due();
        let nap = due.map_or(next_sweep, |due| due.min(next_sweep)).saturating_duration_since(Instant::now());
        if poll.poll(&mut events, Some(nap)).is_err_and(|error| error.kind() != ErrorKind::Interrupted) {
            return;
        }
        for event in &events {
            match event.token() {
                WAKE => {
                    if !floor.take_orders(inbox, &poll) {
                        return;
                    }
                }
                Token(number) => floor.receive(number - FIRST_MEMBER, &mut buffer),
            }
        }
        let now = Instant::now();
        let sweeps = next_sweep <= now;
        if sweeps {
            next_sweep = now + SWEEP_EVERY;
        }
        floor.tick(now, sweeps);
    }
}

/// A thread's epoll, and what wakes it.
pub fn open() -> std::io::Result<(Poll, Waker)> {
    let poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), WAKE)?;
    Ok((poll, waker))
}

struct Floor {
    /// A place is free when its member has left.
    members: Vec<Option<Member>>,
    /// Which of them publishes.
    publisher: Option<usize>,
    counts: Arc<Counts>,
    /// Datagrams on their way out of one member.
    out: Vec<Vec<u8>>,
}

impl Floor {
    /// Whether there may be more orders one day.
    fn take_orders(&mut self, inbox: &Receiver<Order>, poll: &Poll) -> bool {
        use std::sync::mpsc::TryRecvError::{Disconnected, Empty};
        loop {
            match inbox.try_recv() {
                Ok(Order::Enter(member)) => self.enter(*member, poll),
                Ok(Order::Leave(name, reply)) => {
                    let _ = reply.send(self.leave(name));
                }
                Ok(Order::Report(reply)) => {
                    // Who asked may have gone.
                    let _ = reply.send(self.members.iter_mut().flatten().filter_map(Member::seen).collect());
                }
                Err(Empty) => return true,
                Err(Disconnected) => return false,
            }
        }
    }

    fn enter(&mut self, mut member: Member, poll: &Poll) {
        let place = self.members.iter().position(Option::is_none).unwrap_or(self.members.len());
        if poll.registry().register(&mut member.socket, Token(place + FIRST_MEMBER), Interest::READABLE).is_err() {
            return;
        }
        if matches!(member.who, Who::Publisher { .. }) {
            self.publisher = Some(place);
        }
        // The first check goes out at once: somebody waits for a picture.
        member.tick(Instant::now(), &self.counts, &mut self.out);
        member.send(&mut self.out);
        if place == self.members.len() {
            self.members.push(None);
        }
        self.members[place] = Some(member);
    }

    fn leave(&mut self, name: u32) -> Option<Seen> {
        let named = |member: &Option<Member>| member.as_ref().is_some_and(|member| member.name == name);
        let place = self.members.iter().position(named)?;
        self.publisher = self.publisher.filter(|publisher| *publisher != place);
        // Its socket is closed, and with that forgotten by the poll.
        self.members[place].take()?.seen()
    }

    fn receive(&mut self, number: usize, buffer: &mut [u8]) {
        let Some(Some(member)) = self.members.get_mut(number) else { return };
        loop {
            let len = match member.socket.recv(buffer) {
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // A datagram of ours could not be delivered (ICMP): what comes next may be fine.
                Err(_) => continue,
            };
            let now = Instant::now();
            member.take(&buffer[..len], now, &self.counts, &mut self.out);
        }
        member.send(&mut self.out);
    }

    fn due(&self) -> Option<Instant> {
        self.members.get(self.publisher?)?.as_ref()?.due()
    }

    fn tick(&mut self, now: Instant, sweeps: bool) {
        let publishes = self.due().is_some_and(|due| due <= now);
        let publisher = self.publisher.filter(|_| publishes).and_then(|number| self.members.get_mut(number));
        let swept = if sweeps { &mut self.members[..] } else { publisher.map_or(&mut [][..], std::slice::from_mut) };
        for member in swept.iter_mut().flatten() {
            member.tick(now, &self.counts, &mut self.out);
            member.send(&mut self.out);
        }
    }
}

impl Member {
    /// When a publisher has something to send.
    fn due(&self) -> Option<Instant> {
        let Who::Publisher { publisher, .. } = &self.who else { return None };
        publisher.as_ref().map(|publisher| publisher.due())
    }

    fn seen(&mut self) -> Option<Seen> {
        match &mut self.who {
            Who::Viewer(viewer) => Some(viewer.seen(self.transport.as_deref())),
            Who::Publisher { .. } => None,
        }
    }

    /// The kernel may refuse a datagram; then it is lost, as on the way.
    fn send(&self, out: &mut Vec<Vec<u8>>) {
        for datagram in out.drain(..) {
            let _ = self.socket.send(&datagram);
        }
    }

    fn take(&mut self, datagram: &[u8], now: Instant, counts: &Counts, out: &mut Vec<Vec<u8>>) {
        let heard = match &mut self.transport {
            Some(transport) => transport.receive(now, datagram, out),
            None => Heard::Media,
        };
        match (heard, &mut self.who) {
            (Heard::Media, Who::Viewer(viewer)) if !rtp::is_rtcp(datagram) => {
                let moment = Moment { now, clock_us: counts.clock_us(now), is_timed: counts.timed.load(Relaxed) };
                let had_picture = viewer.has_picture();
                if viewer.take(datagram, moment, &counts.told, self.transport.as_deref_mut()) {
                    counts.packets.fetch_add(1, Relaxed);
                }
                if !had_picture && viewer.has_picture() {
                    counts.watching.fetch_add(1, Relaxed);
                }
            }
            (Heard::Media, who) if rtp::is_rtcp(datagram) => {
                let Some(transport) = &mut self.transport else { return };
                for said in transport.open_rtcp(datagram).map(|compound| rtp::read(&compound)).unwrap_or_default() {
                    match who {
                        Who::Viewer(viewer) => viewer.hear(said, now),
                        Who::Publisher { publisher: Some(publisher), .. } => publisher.hear(said, transport, out),
                        Who::Publisher { .. } => {}
                    }
                }
            }
            (Heard::Up, Who::Publisher { types, stream, publisher }) => {
                *publisher = Some(Box::new(Publisher::new(*types, *stream, &counts.told, now)));
            }
            _ => {}
        }
    }

    fn tick(&mut self, now: Instant, counts: &Counts, out: &mut Vec<Vec<u8>>) {
        let Some(transport) = &mut self.transport else { return };
        transport.tick(now, out);
        match &mut self.who {
            Who::Viewer(viewer) => viewer.tick(now, transport, out),
            Who::Publisher { publisher: Some(publisher), .. } => {
                publisher.tick(now, || counts.clock_us(Instant::now()), &counts.told, transport, out);
            }
            Who::Publisher { .. } => {}
        }
    }
}
