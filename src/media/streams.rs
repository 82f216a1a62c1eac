//! Edge: ICE over TCP, for networks that let no UDP through: passive candidates (RFC 6544), one datagram a frame (RFC 4571).
//!
//! Owns the listener beside the UDP socket, under the same port number, and its connections. For everything else a
//! connection is an address like any other, marked so that it cannot be taken for one of UDP.
//! Invariants: nothing blocks; a peer that reads slowly loses packets, as on any network, and its connection when it reads
//! nothing; who is not answered soon after it came is a stranger and goes; number and buffers of connections have bounds.

use std::{
    collections::{HashMap, VecDeque},
    io::{self, Read, Write},
    net::{IpAddr, SocketAddr, SocketAddrV6},
    time::{Duration, Instant},
};

use mio::{Events, Interest, Registry, Token, event::Event, net::TcpListener, net::TcpStream};
use slab::Slab;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Connections at once; more are closed as they come.
const MAX_STREAMS: usize = 2_048;
/// Connections taken in before the datagrams get their turn.
const ACCEPT_BATCH: usize = 64;
/// Connections that wait in the kernel.
const BACKLOG: i32 = 256;
/// The longest frame; no datagram of WebRTC is longer.
const MAX_FRAME_BYTES: usize = 2_046;
const LENGTH_BYTES: usize = 2;
/// Bytes of one connection that wait to be read as frames: the longest, and some of the next.
const READ_BYTES: usize = 2 * (MAX_FRAME_BYTES + LENGTH_BYTES);
/// Bytes of one connection that wait for the kernel, which holds [`KERNEL_BYTES`] besides: half a second of picture. What
/// comes then is dropped.
const WRITE_BYTES: usize = 96 * 1024;
const KERNEL_BYTES: usize = 64 * 1024;
/// Who was not sent anything by then has not named a session that we know.
const STRANGER_LIMIT: Duration = Duration::from_secs(5);
/// A peer from whom nothing came for so long is gone; checks come every few seconds.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);
/// A peer that reads nothing for so long is cut off.
const STUCK_LIMIT: Duration = Duration::from_secs(5);
/// How often they are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Marks the address of a connection: UDP's are never mapped, and have no flow.
const MARK: u32 = 0x7463_7000;
/// The engine's own tokens are below.
const LISTENER: usize = 16;
const FIRST_STREAM: usize = 17;

/// The name that the rest of the engine has for a connection from there.
pub(super) fn marked(peer: SocketAddr) -> SocketAddr {
    let ip = match peer.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    SocketAddr::V6(SocketAddrV6::new(ip, peer.port(), MARK, 0))
}

/// Where a connection comes from; nothing when that is an address of UDP.
pub(super) fn unmarked(address: SocketAddr) -> Option<SocketAddr> {
    match address {
        SocketAddr::V6(v6) if v6.flowinfo() == MARK => Some(SocketAddr::new(v6.ip().to_canonical(), v6.port())),
        _ => None,
    }
}

/// One connection.
struct Stream {
    socket: TcpStream,
    /// Its marked address.
    name: SocketAddr,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    since: Instant,
    heard: Instant,
    /// When the kernel last took something, or there was nothing to take.
    took: Instant,
    is_answered: bool,
    /// Whether it is among those that may have something to read.
    is_readable: bool,
    /// Whether it is among those that have something to write.
    is_dirty: bool,
}

/// The listener and its connections.
pub(super) struct Streams {
    registry: Registry,
    listener: TcpListener,
    streams: Slab<Stream>,
    by_name: HashMap<SocketAddr, usize>,
    /// Connections that may have something to read.
    readable: VecDeque<usize>,
    dirty: Vec<usize>,
    next_sweep: Option<Instant>,
    now: Option<Instant>,
    /// Packets that a peer was too slow for.
    pub(super) unsent: u64,
}

impl Streams {
    /// Listens under the address of the UDP socket.
    pub(super) fn listen(address: SocketAddr, only_v6: bool, registry: Registry) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(only_v6)?;
        }
        // Connections of a server that was there a moment ago do not keep the port.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let mut listener = TcpListener::from_std(socket.into());
        registry.register(&mut listener, Token(LISTENER), Interest::READABLE)?;
        Ok(Self {
            registry,
            listener,
            streams: Slab::new(),
            by_name: HashMap::new(),
            readable: VecDeque::new(),
            dirty: Vec::new(),
            next_sweep: None,
            now: None,
            unsent: 0,
        })
    }

    /// What the poll said: newcomers, and who has something to read or room to write.
    pub(super) fn hear(&mut self, events: &Events, now: Instant) {
        self.now = Some(now);
        for event in events {
            match event.token().0 {
                LISTENER => self.accept(now),
                token if token >= FIRST_STREAM => self.note(token - FIRST_STREAM, event, now),
                _ => {}
            }
        }
        if self.next_sweep.is_none_or(|at| at <= now) {
            self.next_sweep = Some(now + SWEEP_INTERVAL);
            self.sweep(now);
        }
    }

    fn note(&mut self, key: usize, event: &Event, now: Instant) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        if event.is_readable() && !std::mem::replace(&mut stream.is_readable, true) {
            self.readable.push_back(key);
        }
        if event.is_writable() {
            self.write(key, now);
        }
    }

    fn accept(&mut self, now: Instant) {
        for _ in 0..ACCEPT_BATCH {
            match self.listener.accept() {
                Ok((socket, peer)) if self.streams.len() < MAX_STREAMS => {
                    if let Err(error) = self.take_in(socket, peer, now) {
                        tracing::debug!(%error, "a connection cannot be kept");
                    }
                }
                // Closed by being dropped.
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Out of file descriptors, perhaps: the sweep tries again.
                Err(error) => {
                    tracing::debug!(%error, "accept");
                    return;
                }
            }
        }
        // There may be more, and the poll tells of them once only: asked for again, it tells again.
        let again = self.registry.reregister(&mut self.listener, Token(LISTENER), Interest::READABLE);
        if let Err(error) = again {
            tracing::error!(%error, "no more connections can be taken in");
        }
    }

    fn take_in(&mut self, mut socket: TcpStream, peer: SocketAddr, now: Instant) -> io::Result<()> {
        socket.set_nodelay(true)?;
        let options = SockRef::from(&socket);
        // What waits in the kernel only grows older.
        options.set_send_buffer_size(KERNEL_BYTES)?;
        options.set_recv_buffer_size(KERNEL_BYTES)?;
        let name = marked(SocketAddr::new(peer.ip().to_canonical(), peer.port()));
        let entry = self.streams.vacant_entry();
        let (key, token) = (entry.key(), Token(FIRST_STREAM + entry.key()));
        self.registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        entry.insert(Stream {
            socket,
            name,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            since: now,
            heard: now,
            took: now,
            is_answered: false,
            is_readable: true,
            is_dirty: false,
        });
        // An older one from the same port is dead: a port has one connection to us.
        if let Some(older) = self.by_name.insert(name, key) {
            self.close(older);
        }
        self.readable.push_back(key);
        Ok(())
    }

    /// The next frame, and whose; `None` when there is none. Everybody gets a turn.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        let now = self.now?;
        while let Some(key) = self.readable.pop_front() {
            let Some(stream) = self.streams.get_mut(key) else { continue };
            match stream.next_frame(buffer, now) {
                Ok(Some(len)) => {
                    let name = stream.name;
                    self.readable.push_back(key);
                    return Some((len, name));
                }
                Ok(None) => stream.is_readable = false,
                Err(error) => {
                    tracing::trace!(%error, "a connection ends");
                    self.close(key);
                }
            }
        }
        None
    }

    /// Takes a datagram for a connection; it leaves with [`Streams::flush`].
    pub(super) fn send(&mut self, name: SocketAddr, datagram: &[u8]) {
        let Some((key, stream)) = self.by_name.get(&name).and_then(|key| Some((*key, self.streams.get_mut(*key)?)))
        else {
            self.unsent += 1;
            return;
        };
        let len = u16::try_from(datagram.len()).unwrap_or(u16::MAX);
        if stream.outgoing.len() + LENGTH_BYTES + datagram.len() > WRITE_BYTES || len == u16::MAX {
            self.unsent += 1;
            return;
        }
        if stream.outgoing.is_empty() {
            stream.took = self.now.unwrap_or(stream.took);
        }
        stream.is_answered = true;
        stream.outgoing.extend_from_slice(&len.to_be_bytes());
        stream.outgoing.extend_from_slice(datagram);
        if !std::mem::replace(&mut stream.is_dirty, true) {
            self.dirty.push(key);
        }
    }

    /// Hands to the kernel what it takes.
    pub(super) fn flush(&mut self, now: Instant) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for key in dirty.drain(..) {
            if let Some(stream) = self.streams.get_mut(key) {
                stream.is_dirty = false;
                self.write(key, now);
            }
        }
        self.dirty = dirty;
    }

    fn write(&mut self, key: usize, now: Instant) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        if let Err(error) = stream.write(now) {
            tracing::trace!(%error, "a connection ends");
            self.close(key);
        }
    }

    fn sweep(&mut self, now: Instant) {
        let gone: Vec<usize> = self.streams.iter().filter(|(_, s)| s.is_gone(now)).map(|(key, _)| key).collect();
        for key in gone {
            self.close(key);
        }
        self.accept(now);
    }

    fn close(&mut self, key: usize) {
        let Some(mut stream) = self.streams.try_remove(key) else { return };
        if self.by_name.get(&stream.name) == Some(&key) {
            self.by_name.remove(&stream.name);
        }
        // Its key may be somebody else's next.
        self.readable.retain(|readable| *readable != key);
        self.dirty.retain(|dirty| *dirty != key);
        let _ = self.registry.deregister(&mut stream.socket);
    }
}

impl Stream {
    /// Reads at most as much as there is room for; `None` when there is nothing more.
    fn next_frame(&mut self, buffer: &mut [u8], now: Instant) -> io::Result<Option<usize>> {
        loop {
            if let Some(len) = take_frame(&mut self.incoming, buffer)? {
                self.heard = now;
                return Ok(Some(len));
            }
            let start = self.incoming.len();
            self.incoming.resize(READ_BYTES, 0);
            let read = self.socket.read(&mut self.incoming[start..]);
            self.incoming.truncate(start + read.as_ref().copied().unwrap_or(0));
            match read {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn write(&mut self, now: Instant) -> io::Result<()> {
        let mut written = 0;
        let mut outcome = Ok(());
        while written < self.outgoing.len() {
            match self.socket.write(&self.outgoing[written..]) {
                Ok(0) => outcome = Err(io::ErrorKind::WriteZero.into()),
                Ok(some) => written += some,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => outcome = Err(error),
            }
            if outcome.is_err() {
                break;
            }
        }
        if written > 0 {
            self.took = now;
        }
        self.outgoing.drain(..written);
        outcome
    }

    fn is_gone(&self, now: Instant) -> bool {
        let is_longer = |since: Instant, limit: Duration| now.saturating_duration_since(since) > limit;
        (!self.is_answered && is_longer(self.since, STRANGER_LIMIT))
            || is_longer(self.heard, SILENCE_LIMIT)
            || (!self.outgoing.is_empty() && is_longer(self.took, STUCK_LIMIT))
    }
}

/// Takes the first frame out of what came, when all of it is there.
fn take_frame(incoming: &mut Vec<u8>, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    let Some((length, rest)) = incoming.split_first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let len = usize::from(u16::from_be_bytes(*length));
    if len > MAX_FRAME_BYTES.min(buffer.len()) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let Some(frame) = rest.get(..len) else { return Ok(None) };
    buffer[..len].copy_from_slice(frame);
    incoming.drain(..LENGTH_BYTES + len);
    Ok(Some(len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_no_address_of_udp() {
        for peer in ["192.0.2.1:9", "[2001:db8::1]:9"] {
            let peer: SocketAddr = peer.parse().expect("an address");
            assert_eq!(unmarked(marked(peer)), Some(peer));
            assert_eq!(unmarked(peer), None);
            assert_ne!(marked(peer), peer);
        }
    }

    #[test]
    fn what_is_longer_than_any_datagram_is_the_end() {
        let mut buffer = [0; 2_048];
        let mut incoming = vec![0x08, 0];
        assert!(take_frame(&mut incoming, &mut buffer).is_err());
        let longest = u16::try_from(MAX_FRAME_BYTES).expect("short").to_be_bytes();
        let mut incoming = [longest.to_vec(), vec![7; MAX_FRAME_BYTES]].concat();
        assert!(incoming.len() <= READ_BYTES, "it has room");
        assert_eq!(take_frame(&mut incoming, &mut buffer).expect("a frame"), Some(MAX_FRAME_BYTES));
        assert!(incoming.is_empty());
    }

    proptest::proptest! {
        #[test]
        fn frames_come_whole_wherever_the_stream_is_cut(
            frames in proptest::collection::vec(proptest::collection::vec(0u8..=255, 0..300), 0..8),
            cuts in proptest::collection::vec(1usize..200, 1..40),
        ) {
            let frame = |frame: &Vec<u8>| [&u16::try_from(frame.len()).expect("short").to_be_bytes()[..], frame].concat();
            let sent: Vec<u8> = frames.iter().flat_map(frame).collect();
            let (mut incoming, mut buffer, mut came, mut rest) = (Vec::new(), [0; 2_048], Vec::new(), &sent[..]);
            for cut in cuts.iter().cycle().take(sent.len()) {
                let (some, others) = rest.split_at((*cut).min(rest.len()));
                incoming.extend_from_slice(some);
                rest = others;
                while let Some(len) = take_frame(&mut incoming, &mut buffer).expect("frames") {
                    came.push(buffer[..len].to_vec());
                }
            }
            proptest::prop_assert_eq!(came, frames);
        }
    }
}
