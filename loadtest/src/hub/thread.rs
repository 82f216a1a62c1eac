//! Shell: one thread of the crowd: sockets, without a task or a buffer each.
//!
//! A socket is read when it has something, into one buffer for all; only a frame that comes in pieces is kept. Viewers
//! come from many addresses, because one has too few ports for a crowd and the server takes it for one caller.

use std::{
    collections::VecDeque,
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::Ordering::Relaxed,
        mpsc::{self, TryRecvError},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use hanamichi::{
    live::Codec,
    wire::{self, client_frame},
};
use mio::{Events, Interest, Poll, Token, Waker, net::TcpStream};
use socket2::{Domain, Socket, Type};

use super::{
    crowd::{Counts, Order, Report, Way},
    frame,
    story::{Batch, Ledger, Story, Tongue},
    viewer::{Step, Viewer},
};

/// Handshakes of a thread at once: fewer than a usual backlog, so that none waits for a SYN to be sent again.
const AT_ONCE: usize = 256;
/// A connection that failed is tried again after this.
const AGAIN_AFTER: Duration = Duration::from_millis(50);
/// Bytes read at once.
const SCRATCH: usize = 256 * 1024;
/// Readiness events taken at once.
const EVENTS: usize = 1_024;
/// How long the thread sleeps at most, to look whether it is still wanted and whom to try again.
const NAP: Duration = Duration::from_millis(20);
/// Addresses that viewers come from: 127.0.1.1 and following.
const SOURCES: usize = 200;
const WAKE: Token = Token(usize::MAX);
/// What `connect` says while it is under way (EINPROGRESS).
const UNDER_WAY: i32 = 115;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Away,
    Upgrading,
    Open,
}

struct Connection {
    stream: Option<TcpStream>,
    state: State,
    way: usize,
    source: usize,
    /// What has come of a frame that is not whole yet.
    inbox: Vec<u8>,
    /// What the socket has not taken yet.
    outbox: Vec<u8>,
    viewer: Viewer,
    /// Set from being cut to having everything again.
    cut_at: Option<Instant>,
    inside: bool,
}

/// One thread's viewers, and what they saw.
pub struct Thread {
    poll: Poll,
    orders: mpsc::Receiver<Order>,
    counts: Arc<Counts>,
    ledger: Arc<Ledger>,
    ways: Arc<[Way]>,
    stories: Vec<Story>,
    connections: Vec<Connection>,
    /// Who wants to connect, and not before when.
    wanting: VecDeque<(Instant, usize)>,
    under_way: usize,
    scratch: Vec<u8>,
    report: Report,
}

impl Thread {
    /// A thread that waits for its orders.
    pub fn new(
        orders: mpsc::Receiver<Order>,
        counts: Arc<Counts>,
        ledger: Arc<Ledger>,
    ) -> anyhow::Result<(Self, Arc<Waker>)> {
        let poll = Poll::new().context("cannot poll")?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let thread = Self {
            poll,
            orders,
            counts,
            ledger,
            ways: Arc::new([]),
            stories: Vec::new(),
            connections: Vec::new(),
            wanting: VecDeque::new(),
            under_way: 0,
            scratch: vec![0; SCRATCH],
            report: Report::default(),
        };
        Ok((thread, waker))
    }

    /// Runs until nobody gives orders any more.
    pub fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        while self.obey() {
            self.connect_some();
            if let Err(error) = self.poll.poll(&mut events, Some(NAP))
                && error.kind() != ErrorKind::Interrupted
            {
                self.ledger.fault(format!("the crowd cannot poll: {error}"));
                return;
            }
            for event in &events {
                if event.token() != WAKE {
                    self.ready(event.token().0, event.is_writable(), event.is_read_closed());
                }
            }
        }
    }

    /// Does what was ordered; `false` when the crowd is over.
    fn obey(&mut self) -> bool {
        loop {
            match self.orders.try_recv() {
                Ok(Order::Enter { ways, first, count, sample }) => self.enter(ways, first, count, sample),
                Ok(Order::Cut) => self.cut(),
                Ok(Order::Report(to)) => {
                    // Who asked may have given up.
                    let _ = to.send(self.take_report());
                }
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn take_report(&mut self) -> Report {
        let mut report = std::mem::take(&mut self.report);
        report.lowest = self.connections.iter().map(|connection| connection.viewer.seq).min();
        let mirrors = self.connections.iter().filter_map(|connection| connection.viewer.mirror.as_deref());
        report.mirrors = mirrors.cloned().collect();
        report
    }

    fn enter(&mut self, ways: Arc<[Way]>, first: usize, count: usize, sample: usize) {
        // Whoever comes later hears the same story.
        if self.stories.is_empty() {
            self.stories = ways.iter().map(|way| Story::new(way.tongue)).collect();
        }
        let now = Instant::now();
        for n in 0..count {
            let number = first + n;
            self.wanting.push_back((now, self.connections.len()));
            let mirror = (n < sample).then(Box::default);
            self.connections.push(Connection {
                stream: None,
                state: State::Away,
                way: number % ways.len(),
                source: number % SOURCES,
                inbox: Vec::new(),
                outbox: Vec::new(),
                viewer: Viewer::new(mirror),
                cut_at: None,
                inside: false,
            });
        }
        self.ways = ways;
    }

    fn cut(&mut self) {
        let now = Instant::now();
        self.wanting.clear();
        self.under_way = 0;
        for (number, connection) in self.connections.iter_mut().enumerate() {
            connection.stream = None;
            connection.state = State::Away;
            connection.cut_at = Some(now);
            self.wanting.push_back((now, number));
        }
    }

    fn connect_some(&mut self) {
        let now = Instant::now();
        while self.under_way < AT_ONCE
            && let Some((not_before, number)) = self.wanting.front().copied()
            && not_before <= now
        {
            self.wanting.pop_front();
            self.under_way += 1;
            if let Err(error) = self.connect(number) {
                self.fail(number, &error.to_string());
            }
        }
    }

    fn connect(&mut self, number: usize) -> std::io::Result<()> {
        let connection = &mut self.connections[number];
        let way = &self.ways[connection.way];
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        let source = u8::try_from(connection.source).map_or(1, |source| source.saturating_add(1));
        socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 1, source), 0)).into())?;
        match socket.connect(&way.to.into()) {
            Err(error) if error.raw_os_error() == Some(UNDER_WAY) => {}
            other => other?,
        }
        let mut stream = TcpStream::from_std(socket.into());
        self.poll.registry().register(&mut stream, Token(number), Interest::READABLE | Interest::WRITABLE)?;
        connection.stream = Some(stream);
        connection.state = State::Upgrading;
        connection.inbox.clear();
        connection.outbox = way.upgrade.request();
        connection.viewer.connects();
        Ok(())
    }

    /// A connection is over without our doing: it is tried again.
    fn fail(&mut self, number: usize, why: &str) {
        let connection = &mut self.connections[number];
        if connection.state == State::Upgrading || connection.stream.is_none() {
            self.under_way = self.under_way.saturating_sub(1);
        }
        connection.stream = None;
        connection.state = State::Away;
        if connection.inside && connection.cut_at.is_none() {
            self.ledger.fault(format!("a viewer fell out of the room: {why}"));
        }
        self.counts.failures.fetch_add(1, Relaxed);
        self.wanting.push_back((Instant::now() + AGAIN_AFTER, number));
    }

    fn ready(&mut self, number: usize, writable: bool, closed: bool) {
        // A cut connection may have left events behind.
        if self.connections.get(number).is_none_or(|connection| connection.stream.is_none()) {
            return;
        }
        let sent = if writable { flush(&mut self.connections[number]) } else { Ok(()) };
        if let Err(why) = sent.and_then(|()| self.read(number, closed)) {
            self.fail(number, &why);
        }
    }

    fn read(&mut self, number: usize, closed: bool) -> Result<(), String> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let result = self.read_into(&mut scratch, number, closed);
        self.scratch = scratch;
        result
    }

    fn read_into(&mut self, scratch: &mut [u8], number: usize, closed: bool) -> Result<(), String> {
        loop {
            let Some(stream) = &mut self.connections[number].stream else { return Ok(()) };
            let read = match stream.read(scratch) {
                Ok(0) => return Err("the server closed the connection".to_owned()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.to_string()),
            };
            let mut inbox = std::mem::take(&mut self.connections[number].inbox);
            if inbox.is_empty() {
                let used = self.take(number, &scratch[..read])?;
                inbox.extend_from_slice(&scratch[used..read]);
            } else {
                inbox.extend_from_slice(&scratch[..read]);
                let used = self.take(number, &inbox)?;
                inbox.drain(..used);
            }
            // An empty one gives its memory back: there are thousands.
            self.connections[number].inbox = if inbox.is_empty() { Vec::new() } else { inbox };
            // Less than there was room for: the socket is empty, and says so again when it is not.
            if read < scratch.len() && !closed {
                return Ok(());
            }
        }
    }

    /// Takes everything that is whole; how many bytes that was.
    fn take(&mut self, number: usize, bytes: &[u8]) -> Result<usize, String> {
        let mut used = 0;
        if self.connections[number].state == State::Upgrading {
            match frame::answered(bytes)? {
                Some(len) => used = len,
                None => return Ok(0),
            }
            self.open(number)?;
        }
        while let Some(found) = frame::first(&bytes[used..])? {
            let payload = &bytes[used + found.payload.start..used + found.payload.end];
            used += found.payload.end;
            match found.opcode {
                frame::TEXT | frame::BINARY => self.hear(number, payload)?,
                frame::PING => self.say(number, frame::PONG, payload)?,
                frame::CLOSE => return Err(format!("closed: {}", String::from_utf8_lossy(payload))),
                _ => {}
            }
        }
        Ok(used)
    }

    fn open(&mut self, number: usize) -> Result<(), String> {
        self.under_way = self.under_way.saturating_sub(1);
        let connection = &mut self.connections[number];
        connection.state = State::Open;
        let Tongue::Hub(codec) = self.ways[connection.way].tongue else {
            self.came_in(number);
            return Ok(());
        };
        let viewer = &connection.viewer;
        let epoch = if viewer.is_known() { self.ledger.epoch_name(viewer.epoch) } else { String::new() };
        let resume = client_frame::Body::Resume(wire::Resume { epoch, seq: viewer.seq });
        let bytes = codec.encode_client(&wire::ClientFrame { id: 0, body: Some(resume) });
        let opcode = if codec == Codec::Json { frame::TEXT } else { frame::BINARY };
        self.say(number, opcode, &bytes)
    }

    fn came_in(&mut self, number: usize) {
        if !std::mem::replace(&mut self.connections[number].inside, true) {
            self.counts.inside.fetch_add(1, Relaxed);
        }
    }

    fn say(&mut self, number: usize, opcode: u8, payload: &[u8]) -> Result<(), String> {
        let connection = &mut self.connections[number];
        frame::push_masked(opcode, payload, &mut connection.outbox);
        flush(connection)
    }

    fn hear(&mut self, number: usize, payload: &[u8]) -> Result<(), String> {
        let connection = &mut self.connections[number];
        let (tongue, story) = (self.ways[connection.way].tongue, &mut self.stories[connection.way]);
        let heard = connection.viewer.hear(tongue, payload, story, &self.ledger);
        let (step, news) = heard.inspect_err(|why| self.ledger.fault(why.clone()))?;
        if let Some(batch) = news {
            time(&mut self.report, batch, &self.ledger);
            self.counts.frames.fetch_add(1, Relaxed);
            self.counts.events.fetch_add(batch.events, Relaxed);
            self.counts.bytes.fetch_add(payload.len() as u64, Relaxed);
        }
        self.note(number, step);
        Ok(())
    }

    fn note(&mut self, number: usize, step: Step) {
        self.report.lost += step.lost;
        self.report.repeated += step.repeated;
        self.report.jumps += step.jumps;
        if step.began {
            self.came_in(number);
        }
        let connection = &mut self.connections[number];
        if let Some(cut_at) = connection.cut_at
            && (step.news || step.began)
            && connection.viewer.seq >= self.ledger.head()
        {
            connection.cut_at = None;
            self.report.recovered.push_us(u64::try_from(cut_at.elapsed().as_micros()).unwrap_or(u64::MAX));
            self.counts.in_step.fetch_add(1, Relaxed);
        }
    }
}

/// Notes how long everything in it took to come here.
fn time(report: &mut Report, batch: &Batch, ledger: &Ledger) {
    let now = ledger.epoch.micros(Instant::now());
    let took = |from: &i64| u64::try_from(now - from).unwrap_or(0);
    batch.ordered_at.iter().for_each(|at| report.ordered.push_us(took(at)));
    batch.asked_at.iter().for_each(|at| report.asked.push_us(took(at)));
    batch.chat_at.iter().for_each(|at| report.chat.push_us(took(at)));
}

/// Writes what the socket takes; the rest goes when it says that it can.
fn flush(connection: &mut Connection) -> Result<(), String> {
    let Connection { stream: Some(stream), outbox, .. } = connection else { return Ok(()) };
    while !outbox.is_empty() {
        match stream.write(outbox) {
            Ok(written) => drop(outbox.drain(..written)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    *outbox = Vec::new();
    Ok(())
}
