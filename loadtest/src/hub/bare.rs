//! Edge: the least that a hub can do, to be compared with: a process of its own, started by a hidden subcommand.
//!
//! For every line that a publisher writes it makes one finished frame and writes it to every socket, one `write` each.
//! With a tick it gathers what comes and writes once a tick. No rooms, no positions, no codecs, no timers, no state.
//! What a socket does not take at once waits in a buffer of that socket.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::Context;
use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};

use socket2::SockRef;

use super::frame;

/// Connections that wait to be accepted.
const MAX_UNACCEPTED: i32 = 4_096;
const VIEWERS: Token = Token(0);
const PUBLISHERS: Token = Token(1);
const FIRST_SOCKET: usize = 2;
const EVENTS: usize = 1_024;
/// Longest request of an upgrade, and most bytes of a publisher that wait for their line to end.
const SCRATCH: usize = 64 * 1024;

/// How to run it.
#[derive(Debug, Clone, clap::Args)]
pub struct BareArgs {
    /// Where viewers come.
    #[arg(long)]
    port: u16,
    /// Where the publisher comes.
    #[arg(long)]
    control_port: u16,
    /// Milliseconds between two writes; 0: every line is written at once.
    #[arg(long, default_value_t = 0)]
    tick_ms: u64,
}

struct Peer {
    stream: TcpStream,
    publishes: bool,
    upgraded: bool,
    inbox: Vec<u8>,
    /// What the socket did not take.
    outbox: Vec<u8>,
}

struct Hub {
    poll: Poll,
    viewers: TcpListener,
    publishers: TcpListener,
    /// By token; those that left leave a gap.
    peers: Vec<Option<Peer>>,
    tick: Duration,
    /// Frames that wait for the tick, and when it is.
    gathered: Vec<u8>,
    due: Option<Instant>,
}

/// Runs until it is killed.
pub fn run(args: &BareArgs) -> anyhow::Result<()> {
    let listen = |port| {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).context("cannot listen")?;
        // Asked again for more than the library asks for: whoever finds no place knocks again a second later.
        SockRef::from(&listener).listen(MAX_UNACCEPTED)?;
        anyhow::Ok(listener)
    };
    let mut hub = Hub {
        poll: Poll::new()?,
        viewers: listen(args.port)?,
        publishers: listen(args.control_port)?,
        peers: Vec::new(),
        tick: Duration::from_millis(args.tick_ms),
        gathered: Vec::new(),
        due: None,
    };
    hub.poll.registry().register(&mut hub.viewers, VIEWERS, Interest::READABLE)?;
    hub.poll.registry().register(&mut hub.publishers, PUBLISHERS, Interest::READABLE)?;
    let mut events = Events::with_capacity(EVENTS);
    loop {
        let nap = hub.due.map(|due| due.saturating_duration_since(Instant::now()));
        match hub.poll.poll(&mut events, nap) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            match event.token() {
                VIEWERS => hub.accept(false)?,
                PUBLISHERS => hub.accept(true)?,
                Token(number) => hub.ready(number - FIRST_SOCKET, event.is_writable()),
            }
        }
        if hub.due.is_some_and(|due| due <= Instant::now()) {
            hub.due = None;
            let frames = std::mem::take(&mut hub.gathered);
            hub.write_all(&frames);
        }
    }
}

impl Hub {
    fn accept(&mut self, publishes: bool) -> anyhow::Result<()> {
        loop {
            let listener = if publishes { &self.publishers } else { &self.viewers };
            let mut stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // The other side may be gone already.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error.into()),
            };
            stream.set_nodelay(true)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(self.peers.len() + FIRST_SOCKET), interest)?;
            let peer = Peer { stream, publishes, upgraded: false, inbox: Vec::new(), outbox: Vec::new() };
            self.peers.push(Some(peer));
        }
    }

    fn ready(&mut self, number: usize, writable: bool) {
        let Some(peer) = self.peers.get_mut(number).and_then(Option::as_mut) else { return };
        if writable && !peer.outbox.is_empty() {
            let waiting = std::mem::take(&mut peer.outbox);
            peer.write(&waiting);
        }
        let mut scratch = [0; SCRATCH];
        loop {
            match peer.stream.read(&mut scratch) {
                Ok(read @ 1..) if peer.publishes || !peer.upgraded => peer.inbox.extend_from_slice(&scratch[..read]),
                // What a viewer says after the upgrade is nothing to us.
                Ok(1..) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                _ => {
                    self.peers[number] = None;
                    return;
                }
            }
        }
        if peer.publishes {
            let mut inbox = std::mem::take(&mut peer.inbox);
            let used = self.publish(&inbox);
            inbox.drain(..used);
            if let Some(peer) = &mut self.peers[number] {
                peer.inbox = inbox;
            }
        } else if !peer.upgraded && peer.inbox.ends_with(b"\r\n\r\n") {
            peer.upgraded = true;
            peer.inbox = Vec::new();
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {}\r\n\r\n",
                frame::ACCEPT
            );
            peer.write(answer.as_bytes());
        }
    }

    /// Publishes every whole line; how many bytes those were.
    fn publish(&mut self, bytes: &[u8]) -> usize {
        let mut used = 0;
        while let Some(len) = bytes[used..].iter().position(|byte| *byte == b'\n') {
            let line = &bytes[used..used + len];
            used += len + 1;
            if self.tick.is_zero() {
                let mut finished = Vec::new();
                frame::push_plain(frame::TEXT, line, &mut finished);
                self.write_all(&finished);
            } else {
                frame::push_plain(frame::TEXT, line, &mut self.gathered);
                self.due.get_or_insert_with(|| Instant::now() + self.tick);
            }
        }
        used
    }

    fn write_all(&mut self, frames: &[u8]) {
        for peer in self.peers.iter_mut().flatten().filter(|peer| peer.upgraded) {
            peer.write(frames);
        }
    }
}

impl Peer {
    /// One write; the rest waits. A socket that is broken says so when it is read.
    fn write(&mut self, bytes: &[u8]) {
        if !self.outbox.is_empty() {
            self.outbox.extend_from_slice(bytes);
            return;
        }
        let written = self.stream.write(bytes).unwrap_or(0);
        self.outbox.extend_from_slice(&bytes[written..]);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, atomic::Ordering::Relaxed};

    use tokio::{io::AsyncWriteExt, net::TcpStream};

    use super::*;
    use crate::{
        hub::{
            crowd::{Crowd, Way},
            frame::Upgrade,
            story::{Epoch, Ledger, Tongue},
        },
        server::free_port,
    };

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_crowd_hears_everything_of_a_bare_hub() {
        for tick_ms in [0, 20] {
            let [port, control_port] = [0; 2].map(|_| free_port().expect("a port"));
            // It runs until the tests are over.
            std::thread::spawn(move || run(&BareArgs { port, control_port, tick_ms }));
            let mut control = loop {
                match TcpStream::connect((Ipv4Addr::LOCALHOST, control_port)).await {
                    Ok(control) => break control,
                    Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            };
            let ledger = Arc::new(Ledger::new(Epoch::begin()));
            let mut crowd = Crowd::new(2, &ledger).expect("threads");
            let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            let upgrade = Upgrade { host: to.to_string(), path: "/".to_owned(), ..Upgrade::default() };
            let ways = vec![Way { to, upgrade, tongue: Tongue::Plain }];
            for count in [7, 6] {
                crowd.enter(ways.clone(), count, 0, Duration::from_secs(10)).await.expect("they come in");
            }
            for t in 0..5 {
                let line = format!("{{\"t\":{t},\"pad\":\"{}\"}}\n", "x".repeat(t * 1_000));
                control.write_all(line.as_bytes()).await.expect("it takes a line");
            }
            crowd.until_quiet().await;
            let report = crowd.report().await.expect("the threads live");
            assert_eq!((crowd.counts.frames.load(Relaxed), crowd.size()), (5 * 13, 13), "{:?}", ledger.faults());
            assert!(report.ordered.percentile_ms(50.0).is_some() && ledger.faults().is_empty());
        }
    }
}
