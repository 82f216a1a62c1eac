//! Edge: what is on its way to viewers: sealed side by side, handed to the kernel in few calls.
//!
//! Packets that follow each other to one viewer, all of one size but the last, are one message that the kernel cuts up
//! (UDP_SEGMENT, Linux `udp(7)`); up to [`MESSAGES`] messages are one `sendmmsg(2)`. Where the kernel will not cut, because
//! of a path's narrow MTU or of the network card, they go one by one, and for a while nothing is cut for that viewer.
//! Nothing waits: what the kernel does not take is dropped and counted, as on any network.
//! Invariant: no allocation once the buffers have grown to a fan-out's size.

use std::{
    collections::VecDeque,
    io::IoSlice,
    net::{IpAddr, SocketAddr},
    os::fd::{AsRawFd, RawFd},
};

use nix::{
    errno::Errno,
    sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg},
};

use super::streams;

/// Messages of one call.
const MESSAGES: usize = 64;
/// Packets of one message: the kernel's limit.
const MAX_SEGMENTS: u16 = 64;
/// Bytes of one message: an IPv4 datagram's.
const MAX_MESSAGE_BYTES: usize = 65_000;
/// Addresses for which nothing is cut; when full the oldest is tried again.
const MAX_UNCUT: usize = 256;
/// Bytes that wait before they are handed over; a processor's cache holds them.
const FLUSH_BYTES: usize = 256 * 1024;
/// Bytes for connections that wait for the loop's end.
const STREAMED_BYTES: usize = 8 * 1024 * 1024;

#[derive(Debug, Clone, Copy)]
struct Message {
    to: SocketAddr,
    start: usize,
    end: usize,
    /// Bytes of every packet but the last.
    segment: usize,
    segments: u16,
    /// Nothing can follow a shorter packet.
    is_open: bool,
}

impl Message {
    /// What the kernel is told to cut at; nothing for a lone packet.
    fn cut(&self) -> Option<u16> {
        (self.segments > 1).then(|| u16::try_from(self.segment).unwrap_or(u16::MAX))
    }
}

/// Packets on their way. It belongs to one thread: the headers point into it.
pub(super) struct Outbox {
    fd: RawFd,
    is_ipv6: bool,
    slab: Vec<u8>,
    messages: Vec<Message>,
    whole: MultiHeaders<SockaddrStorage>,
    cut: MultiHeaders<SockaddrStorage>,
    /// For whom the kernel refused to cut. A path's MTU says nothing about other paths.
    uncut: VecDeque<SocketAddr>,
    /// What goes over connections, apart: for whom, and where it ends.
    streamed: Vec<u8>,
    streamed_to: Vec<(SocketAddr, usize)>,
    /// Packets that the kernel did not take.
    pub(super) unsent: u64,
}

impl Outbox {
    /// For this socket, which must outlive it.
    pub(super) fn new(socket: &impl AsRawFd, is_ipv6: bool) -> Self {
        Self {
            fd: socket.as_raw_fd(),
            is_ipv6,
            slab: Vec::with_capacity(2 * FLUSH_BYTES),
            messages: Vec::with_capacity(MESSAGES),
            whole: MultiHeaders::preallocate(MESSAGES, None),
            cut: MultiHeaders::preallocate(MESSAGES, Some(nix::cmsg_space!(u16))),
            uncut: VecDeque::new(),
            streamed: Vec::new(),
            streamed_to: Vec::new(),
            unsent: 0,
        }
    }

    /// Adds a packet that `seal` appends; nothing is sent when it fails.
    pub(super) fn push<E>(
        &mut self,
        to: SocketAddr,
        seal: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        if streams::unmarked(to).is_some() {
            return self.push_streamed(to, seal);
        }
        let start = self.slab.len();
        if let Err(error) = seal(&mut self.slab) {
            self.slab.truncate(start);
            return Err(error);
        }
        let end = self.slab.len();
        let len = end - start;
        if let Some(last) = self.messages.last_mut()
            && last.is_open
            && last.end == start
            && last.to == to
            && len <= last.segment
            && last.segments < MAX_SEGMENTS
            && end - last.start <= MAX_MESSAGE_BYTES
            && !self.uncut.contains(&to)
        {
            (last.end, last.segments, last.is_open) = (end, last.segments + 1, len == last.segment);
            return Ok(());
        }
        self.messages.push(Message { to, start, end, segment: len, segments: 1, is_open: true });
        if self.messages.len() > MESSAGES || self.slab.len() > FLUSH_BYTES {
            self.flush_but_last();
        }
        Ok(())
    }

    #[cold]
    fn push_streamed<E>(&mut self, to: SocketAddr, seal: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let start = self.streamed.len();
        if let Err(error) = seal(&mut self.streamed) {
            self.streamed.truncate(start);
            return Err(error);
        }
        if self.streamed.len() > STREAMED_BYTES {
            self.streamed.truncate(start);
            self.unsent += 1;
        } else {
            self.streamed_to.push((to, self.streamed.len()));
        }
        Ok(())
    }

    /// Hands out what goes over connections.
    pub(super) fn drain_streamed(&mut self, mut send: impl FnMut(SocketAddr, &[u8])) {
        let mut start = 0;
        for (to, end) in self.streamed_to.drain(..) {
            send(to, &self.streamed[start..end]);
            start = end;
        }
        self.streamed.clear();
    }

    /// The newest message may grow yet.
    fn flush_but_last(&mut self) {
        let Some(mut last) = self.messages.pop() else { return };
        let at = last.start;
        self.send_all();
        self.slab.copy_within(at..last.end, 0);
        self.slab.truncate(last.end - at);
        (last.start, last.end) = (0, last.end - at);
        self.messages.push(last);
    }

    /// Hands over everything.
    pub(super) fn flush(&mut self) {
        self.send_all();
        self.slab.clear();
    }

    fn send_all(&mut self) {
        let mut messages = std::mem::take(&mut self.messages);
        // Those that are cut alike go together, but none overtakes another to the same viewer.
        let mut rest = &mut messages[..];
        while let Some(first) = rest.first() {
            let cut = first.cut();
            let mut alike = 1;
            for at in 1..rest.len() {
                if rest[at].cut() == cut && rest[alike..at].iter().all(|message| message.to != rest[at].to) {
                    rest[alike..=at].rotate_right(1);
                    alike += 1;
                }
            }
            let (group, others) = rest.split_at_mut(alike);
            for part in group.chunks(MESSAGES) {
                self.send(part, cut);
            }
            rest = others;
        }
        messages.clear();
        self.messages = messages;
    }

    fn send(&mut self, mut group: &[Message], cut: Option<u16>) {
        while !group.is_empty() {
            match self.send_some(group, cut) {
                Ok(sent) => group = &group[sent.clamp(1, group.len())..],
                Err(Errno::EINTR) => {}
                // Only the first was refused.
                Err(error @ (Errno::EIO | Errno::EINVAL | Errno::EMSGSIZE)) if cut.is_some() => {
                    tracing::debug!(%error, to = %group[0].to, "the kernel does not cut up messages to there");
                    if self.uncut.len() == MAX_UNCUT {
                        self.uncut.pop_front();
                    }
                    self.uncut.push_back(group[0].to);
                    self.send_apart(&group[..1]);
                    group = &group[1..];
                }
                Err(error) => {
                    // The first was refused (its address, or no room): the others may fare better, unless there is no room.
                    tracing::trace!(%error, "send");
                    let lost = if error == Errno::EAGAIN { group.len() } else { 1 };
                    self.unsent += group[..lost].iter().map(|message| u64::from(message.segments)).sum::<u64>();
                    group = &group[lost..];
                }
            }
        }
    }

    fn send_apart(&mut self, group: &[Message]) {
        for message in group {
            let mut start = message.start;
            while start < message.end {
                let end = (start + message.segment).min(message.end);
                let packet = Message { start, end, segments: 1, ..*message };
                if self.send_some(&[packet], None).is_err() {
                    self.unsent += 1;
                }
                start = end;
            }
        }
    }

    /// How many of them the kernel took.
    fn send_some(&mut self, group: &[Message], cut: Option<u16>) -> Result<usize, Errno> {
        let mut slices = [[IoSlice::new(&[])]; MESSAGES];
        let mut addresses = [None; MESSAGES];
        for ((message, slice), address) in group.iter().zip(&mut slices).zip(&mut addresses) {
            *slice = [IoSlice::new(&self.slab[message.start..message.end])];
            *address = Some(SockaddrStorage::from(self.outward(message.to)));
        }
        let (slices, addresses) = (&slices[..group.len()], &addresses[..group.len()]);
        let results = match &cut {
            Some(size) => sendmmsg(
                self.fd,
                &mut self.cut,
                slices,
                addresses,
                [ControlMessage::UdpGsoSegments(size)],
                MsgFlags::MSG_DONTWAIT,
            )?,
            None => sendmmsg(self.fd, &mut self.whole, slices, addresses, [], MsgFlags::MSG_DONTWAIT)?,
        };
        Ok(results.count())
    }

    fn outward(&self, to: SocketAddr) -> SocketAddr {
        match to.ip() {
            IpAddr::V4(ip) if self.is_ipv6 => SocketAddr::new(ip.to_ipv6_mapped().into(), to.port()),
            _ => to,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, net::UdpSocket, time::Duration};

    use super::*;

    fn pair() -> (UdpSocket, UdpSocket) {
        let [a, b] = [0; 2].map(|_| UdpSocket::bind("127.0.0.1:0").expect("a port"));
        b.set_read_timeout(Some(Duration::from_secs(5))).expect("a socket");
        (a, b)
    }

    fn push(outbox: &mut Outbox, to: &UdpSocket, packet: &[u8]) {
        let to = to.local_addr().expect("bound");
        let seal = |slab: &mut Vec<u8>| {
            slab.extend_from_slice(packet);
            Ok::<_, Infallible>(())
        };
        let Ok(()) = outbox.push(to, seal);
    }

    fn heard(socket: &UdpSocket, count: usize) -> Vec<Vec<u8>> {
        let mut buffer = [0; 2_048];
        let mut hear = || socket.recv(&mut buffer).map(|len| buffer[..len].to_vec()).expect("a packet");
        (0..count).map(|_| hear()).collect()
    }

    #[test]
    fn packets_come_as_they_were_sealed_and_in_order() {
        let (ours, one) = pair();
        let (_, two) = pair();
        let mut outbox = Outbox::new(&ours, false);
        let sizes = [700, 700, 650, 900, 900, 900, 20, 20, 1_100];
        let packets: Vec<Vec<u8>> = (0u8..).zip(sizes).map(|(n, size)| vec![n; size]).collect();
        for viewer in [&one, &two] {
            for packet in &packets {
                push(&mut outbox, viewer, packet);
            }
        }
        assert_eq!(
            outbox.messages.len(),
            2 * 4,
            "700 700 650, then 900 900 900 20, then 20, then 1,100, which is longer"
        );
        outbox.flush();
        assert_eq!(outbox.unsent, 0);
        for viewer in [&one, &two] {
            assert_eq!(heard(viewer, packets.len()), packets);
        }
    }

    #[test]
    fn a_lone_packet_before_a_frame_does_not_turn_it_round() {
        let (ours, one) = pair();
        let (_, two) = pair();
        let mut outbox = Outbox::new(&ours, false);
        let frame: Vec<Vec<u8>> = [1_000, 1_000, 1_001].map(|size| vec![7; size]).into();
        push(&mut outbox, &one, b"sound");
        for viewer in [&one, &two] {
            for packet in &frame {
                push(&mut outbox, viewer, packet);
            }
        }
        outbox.flush();
        assert_eq!(heard(&one, 1), [b"sound"]);
        for viewer in [&one, &two] {
            assert_eq!(heard(viewer, 3), frame);
        }
    }

    #[test]
    fn much_is_sent_on_the_way() {
        let (ours, viewer) = pair();
        socket2::SockRef::from(&viewer).set_recv_buffer_size(8 << 20).expect("a socket");
        let mut outbox = Outbox::new(&ours, false);
        // Every second is longer than the one before, so that none joins another.
        for n in 0..300u32 {
            push(&mut outbox, &viewer, &vec![u8::try_from(n % 251).expect("small"); 10 + n as usize]);
        }
        assert!(outbox.messages.len() <= MESSAGES, "the first are gone");
        outbox.flush();
        let came = heard(&viewer, 300);
        assert!(came.iter().enumerate().all(|(n, packet)| packet.len() == 10 + n), "in order");
    }

    #[test]
    fn where_the_kernel_does_not_cut_packets_go_one_by_one() {
        let (ours, viewer) = pair();
        let mut outbox = Outbox::new(&ours, false);
        let to = viewer.local_addr().expect("bound");
        for n in 0..3u8 {
            push(&mut outbox, &viewer, &[n; 100]);
        }
        let message = outbox.messages[0];
        assert_eq!((message.segments, message.to), (3, to));
        outbox.send_apart(&[message]);
        assert_eq!(heard(&viewer, 3), [[0; 100], [1; 100], [2; 100]]);
        outbox.flush();
        outbox.uncut.push_back(to);
        heard(&viewer, 3);
        for n in 0..3u8 {
            push(&mut outbox, &viewer, &[n; 100]);
        }
        assert_eq!(outbox.messages.len(), 3, "nothing is joined that must not be cut");
    }

    #[test]
    fn what_cannot_be_sealed_or_sent_harms_nobody() {
        let (ours, viewer) = pair();
        let mut outbox = Outbox::new(&ours, false);
        let to = viewer.local_addr().expect("bound");
        let half = |slab: &mut Vec<u8>| {
            slab.extend_from_slice(b"half");
            Err("no key")
        };
        assert_eq!(outbox.push(to, half), Err("no key"));
        // Nothing can be sent to port 0.
        let nowhere: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        let seal = |slab: &mut Vec<u8>| {
            slab.extend_from_slice(b"lost");
            Ok::<_, Infallible>(())
        };
        let Ok(()) = outbox.push(nowhere, seal);
        push(&mut outbox, &viewer, b"whole");
        outbox.flush();
        assert_eq!((heard(&viewer, 1), outbox.unsent), (vec![b"whole".to_vec()], 1));
    }
}
