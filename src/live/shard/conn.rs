//! Engine: one connection of a shard: its own bytes, what it hears, what it is owed.

use std::{collections::VecDeque, io, io::IoSlice, sync::Arc};

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    Asked, Codec, Dismissal, FIRST_WORD_WITHIN_S, GOODBYE_WITHIN_S, Handler, MAX_MESSAGE_BYTES, MAX_REST_BYTES, Member,
    Patience, Pull, READS_AT_ONCE, Shard, Wire,
};
use crate::{
    clock::Millis,
    live::{
        frames::{self, Fault, Heard, Opcode},
        lane::{MESSAGES_BURST, MESSAGES_PER_S},
        log::Frames,
        rate::Bucket,
        reader::Reader,
    },
    wire::{self, client_frame::Body as Ask, server_frame::Body},
};

/// Refused ones in one second with which a connection is over: reading each of them costs everybody else of the shard.
const MAX_REFUSED_PER_S: u32 = 256;
/// Slices of one write.
const MAX_SLICES: usize = 64;
/// A half-sent frame below this is copied, so that it does not keep its whole chunk of the log.
const COPIED_BYTES: usize = 8 * 1024;

const WRONG_KIND: u16 = 1003;
const FLOOD: u16 = 1008;
const LOST: u16 = 4408;

/// What is to be done about a connection.
pub(super) enum Care {
    None,
    Write,
    Gone,
}

/// What became of a write.
pub(super) enum Wrote {
    /// Everything is with the kernel.
    All,
    /// The socket says when it takes more.
    Blocked,
    /// The connection is over.
    Gone,
}

/// What the client's bytes are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ear {
    /// They are heard.
    Open,
    /// They cannot be read any more, and are thrown away until the client has taken why.
    Deaf,
    /// The client has left: the connection ends with its last byte.
    Left,
}

/// A connection.
pub(super) struct Conn {
    pub(super) wire: Wire,
    pub(super) reader: Reader,
    pub(super) room: u32,
    pub(super) room_at: u32,
    /// The socket does not take more at the moment.
    pub(super) blocked: bool,
    /// It is to end, after its own bytes, or at this second.
    closing_by_s: Option<u32>,
    ear: Ear,
    /// It is read on when it has taken its answers.
    unread: bool,
    /// A snapshot is due later.
    waits: bool,
    /// Where it goes on, when this node has heard as much as the client.
    ahead: Option<Box<wire::Resume>>,
    heard_s: u32,
    since_s: u32,
    /// The last second in which the socket took something, while blocked.
    took_s: u32,
    /// Own bytes that go before the log's: the rest of a half-sent frame, then personal ones.
    pub(super) rest: VecDeque<Bytes>,
    inbox: frames::Inbox,
    bucket: Bucket,
    /// How many the bucket refused in which second.
    refused: (u32, u32),
    pub(super) member: Arc<Member>,
    handler: Handler,
}

impl Conn {
    pub(super) fn new(wire: Wire, member: Arc<Member>, codec: Codec, handler: Handler, now_s: u32) -> Self {
        Self {
            wire,
            reader: Reader::new(codec),
            room: 0,
            room_at: 0,
            blocked: false,
            closing_by_s: None,
            ear: Ear::Open,
            unread: false,
            waits: false,
            ahead: None,
            heard_s: now_s,
            since_s: now_s,
            took_s: now_s,
            rest: VecDeque::new(),
            inbox: frames::Inbox::default(),
            bucket: Bucket::new(MESSAGES_PER_S, MESSAGES_BURST, Millis(0)),
            refused: (0, now_s),
            member,
            handler,
        }
    }

    fn rest_bytes(&self) -> usize {
        self.rest.iter().map(Bytes::len).sum()
    }

    /// Whether the log may be written to it.
    pub(super) fn is_open(&self) -> bool {
        !self.blocked && self.closing_by_s.is_none() && self.reader.has_begun()
    }

    /// The end: what is owed, then this code. Nothing is owed from the log any more.
    pub(super) fn close(&mut self, code: u16, reason: &str, now_s: u32) {
        if self.closing_by_s.is_none() {
            self.rest.push_back(frames::close(code, reason));
            self.closing_by_s = Some(now_s + GOODBYE_WITHIN_S);
        }
    }

    pub(super) fn look_after(&mut self, at: u32, now_s: u32, now: Instant, patience: Patience) -> Care {
        if let Some(by_s) = self.closing_by_s {
            return if now_s >= by_s { Care::Gone } else { Care::None };
        }
        if self.blocked {
            self.reader.is_stuck(now);
            if self.member.lane.is_dismissed() {
                // Who takes nothing is not told why it has to leave.
                return Care::Gone;
            }
            return if now_s.saturating_sub(self.took_s) >= patience.stuck_after_s { Care::Gone } else { Care::None };
        }
        if now_s.saturating_sub(self.heard_s) >= patience.silent_after_s {
            self.close(LOST, "no sign of life", now_s);
            return Care::Write;
        }
        if !self.reader.has_begun() && now_s.saturating_sub(self.since_s) >= FIRST_WORD_WITHIN_S {
            // Nobody has told this node what the client has: it is of no history that goes on here.
            self.ahead = None;
            self.begin(None);
            return Care::Write;
        }
        if now_s.wrapping_add(at).is_multiple_of(patience.ping_every_s) && now_s > self.since_s {
            self.rest.push_back(Bytes::from_static(&PING));
            return Care::Write;
        }
        if self.waits { Care::Write } else { Care::None }
    }

    pub(super) fn begin(&mut self, from: Option<&wire::Resume>) {
        if self.reader.has_begun() || self.ahead.is_some() {
            return;
        }
        match from {
            Some(from) => {
                self.ahead = Some(Box::new(from.clone()));
                self.go_on();
            }
            None => {
                let first = self.reader.begin(&self.member.stage, None, &self.member.upvoted());
                self.rest.extend(first);
            }
        }
    }

    /// Whether it waits for this node to hear what the client has been told on another.
    pub(super) fn is_ahead(&self) -> bool {
        self.ahead.is_some()
    }

    /// Goes on from where the client is, if this node has come so far.
    fn go_on(&mut self) {
        let Some(from) = self.ahead.take() else { return };
        match self.reader.resume(&self.member.stage, &from, &self.member.upvoted()) {
            Some(first) => self.rest.extend(first),
            None => self.ahead = Some(from),
        }
    }

    /// The last word, and the end.
    pub(super) fn dismiss(&mut self, why: Dismissal, now_s: u32) {
        let (code, reason, goodbye) = why.words();
        self.rest.push_back(self.reader.codec.finish(&Body::Goodbye(goodbye).into()));
        self.close(code, reason, now_s);
    }

    /// Hands over its own bytes and then these frames of the log, by one write.
    pub(super) fn write(&mut self, from_log: &Frames, now: Instant, now_s: u32) -> Wrote {
        let own = self.rest.iter().chain(from_log.iter().map(|(frame, _)| frame));
        let slices: Vec<IoSlice<'_>> = own.take(MAX_SLICES).map(|bytes| IoSlice::new(bytes)).collect();
        let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
        let written = loop {
            match self.wire.write_vectored(&slices) {
                Ok(0) if wanted > 0 => return Wrote::Gone,
                Ok(written) => break written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break 0,
                Err(_) => return Wrote::Gone,
            }
        };
        self.took(written, from_log);
        self.after_write(written, written == wanted, now, now_s)
    }

    pub(super) fn after_write(&mut self, written: usize, all: bool, now: Instant, now_s: u32) -> Wrote {
        if written > 0 || !self.blocked {
            self.took_s = now_s;
        }
        if all {
            return Wrote::All;
        }
        self.blocked = true;
        self.reader.is_stuck(now);
        Wrote::Blocked
    }

    /// So many bytes are with the kernel.
    fn took(&mut self, mut written: usize, from_log: &Frames) {
        while let Some(first) = self.rest.front_mut() {
            if written < first.len() {
                if written > 0 {
                    *first = left_of(first, written);
                }
                return;
            }
            written -= first.len();
            self.rest.pop_front();
        }
        if self.rest.capacity() > 8 {
            self.rest = VecDeque::new();
        }
        self.took_of_log(written, from_log);
    }

    /// So many bytes of the log's are with the kernel. What is left of a half-sent frame becomes its own.
    pub(super) fn took_of_log(&mut self, mut written: usize, from_log: &Frames) {
        for (frame, after) in from_log {
            if written == 0 {
                return;
            }
            self.reader.go_to(*after);
            if written < frame.len() {
                self.rest.push_back(left_of(frame, written));
                return;
            }
            written -= frame.len();
        }
    }
}

/// An empty ping: one for everybody.
const PING: [u8; 2] = [0x89, 0];

fn left_of(frame: &Bytes, written: usize) -> Bytes {
    let left = &frame[written..];
    if left.len() <= COPIED_BYTES { Bytes::copy_from_slice(left) } else { frame.slice(written..) }
}

impl Shard {
    /// The socket takes bytes again.
    pub(super) fn writable(&mut self, at: u32) {
        if let Some(conn) = self.conns.get_mut(at as usize)
            && conn.blocked
        {
            conn.blocked = false;
            let unread = std::mem::take(&mut conn.unread);
            self.write_out(at);
            if unread {
                self.hear(at);
            }
        }
    }

    /// Writes what a connection is owed, personal news first, until nothing is left or the socket is full.
    pub(super) fn write_out(&mut self, at: u32) {
        let (now, now_s) = (self.now, self.now_s);
        loop {
            let Some(conn) = self.conns.get_mut(at as usize) else { return };
            if conn.blocked {
                return;
            }
            conn.go_on();
            if conn.reader.has_begun() && conn.closing_by_s.is_none() && conn.member.lane.look() {
                let codec = conn.reader.codec;
                let (frames, dismissal) = conn.member.lane.take(codec);
                conn.rest.extend(frames);
                if let Some(why) = dismissal {
                    conn.dismiss(why, now_s);
                }
            }
            conn.waits = false;
            let mut from_log = Frames::new();
            if conn.is_open() {
                let member = &conn.member;
                match conn.reader.pull(&member.stage, || member.upvoted(), now) {
                    Pull::Frames(frames) => from_log = frames,
                    Pull::Own(frame) => conn.rest.push_back(frame),
                    Pull::Wait(until) => conn.waits = until.is_some(),
                }
            }
            if from_log.is_empty() && conn.rest.is_empty() {
                if conn.ear == Ear::Left {
                    self.remove(at);
                }
                return;
            }
            match conn.write(&from_log, now, now_s) {
                Wrote::All => {}
                Wrote::Blocked => return,
                Wrote::Gone => return self.remove(at),
            }
        }
    }

    /// Reads what the client sent.
    pub(super) fn hear(&mut self, at: u32) {
        for _ in 0..READS_AT_ONCE {
            let Some(conn) = self.conns.get_mut(at as usize) else { return };
            if conn.rest_bytes() > MAX_REST_BYTES || conn.blocked && conn.member.lane.is_full() {
                // Who does not take its answers is not asked for more questions.
                self.write_out(at);
                let Some(conn) = self.conns.get_mut(at as usize) else { return };
                conn.unread = conn.blocked;
                if conn.unread {
                    return;
                }
                continue;
            }
            let mut scratch = std::mem::take(&mut self.scratch);
            let outcome = conn.wire.read(&mut scratch);
            let over = match outcome {
                Ok(0) => true,
                Ok(read) => {
                    self.take_bytes(at, &scratch[..read]);
                    false
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.scratch = scratch;
                    return self.write_out(at);
                }
                Err(error) => error.kind() != io::ErrorKind::Interrupted,
            };
            self.scratch = scratch;
            if over {
                return self.remove(at);
            }
        }
        self.write_out(at);
        if self.conns.contains(at as usize) {
            self.again.push(at);
        }
    }

    pub(super) fn take_bytes(&mut self, at: u32, bytes: &[u8]) {
        let (now_s, now) = (self.now_s, self.now);
        let now_ms = Millis(i64::try_from(now.duration_since(self.began).as_millis()).unwrap_or(i64::MAX));
        let server_at_ms = self.clock.now().0;
        let Some(conn) = self.conns.get_mut(at as usize) else { return };
        conn.heard_s = now_s;
        if conn.ear != Ear::Open {
            return;
        }
        let mut heard = Vec::new();
        let outcome = conn.inbox.take(bytes, MAX_MESSAGE_BYTES, &mut heard);
        for heard in heard {
            if conn.ear != Ear::Open {
                return;
            }
            match heard {
                Heard::Pong => {}
                Heard::Ping(payload) => {
                    // One pong for all pings that have not been answered would do; the bucket bounds them as well.
                    if conn.bucket.take(now_ms).is_ok() {
                        conn.rest.push_back(frames::finish(Opcode::Pong, &payload));
                    }
                }
                Heard::Close(code) => {
                    conn.close(if code == 1005 { 1000 } else { code }, "", now_s);
                    conn.ear = Ear::Left;
                }
                Heard::Text(text) if conn.reader.codec == Codec::Json => conn.hear_message(&text, now_ms, server_at_ms),
                Heard::Binary(bytes) if conn.reader.codec == Codec::Proto => {
                    conn.hear_message(&bytes, now_ms, server_at_ms);
                }
                Heard::Text(_) | Heard::Binary(_) => {
                    conn.close(WRONG_KIND, "not the kind of frame of this subprotocol", now_s);
                }
            }
        }
        if let Err(fault) = outcome {
            conn.fault(fault, now_s);
        }
    }
}

impl Conn {
    fn fault(&mut self, fault: Fault, now_s: u32) {
        self.inbox = frames::Inbox::default();
        self.close(fault.code(), fault.reason(), now_s);
        // It is read on and thrown away: closing with unread bytes would reset the connection and lose the reason.
        self.ear = Ear::Deaf;
    }

    /// By the connection's own measure, and by its person's over all their connections: opening more of them does not let
    /// anybody say more. The liver is free of the second; their room is theirs.
    fn admit(&mut self, now_ms: Millis, server_at_ms: i64) -> Result<(), i64> {
        self.bucket.take(now_ms)?;
        match self.member.lane.pace().filter(|_| !self.member.lane.is_liver()) {
            Some(pace) => pace.take(Millis(server_at_ms)),
            None => Ok(()),
        }
    }

    /// Counts a message that was refused.
    fn floods(&mut self) -> bool {
        let (count, second) = self.refused;
        let count = if second == self.heard_s { count + 1 } else { 1 };
        self.refused = (count, self.heard_s);
        count > MAX_REFUSED_PER_S
    }

    fn hear_message(&mut self, bytes: &[u8], now_ms: Millis, server_at_ms: i64) {
        if self.closing_by_s.is_some() {
            return;
        }
        let asked = self.reader.codec.decode(bytes);
        if let Ok(wire::ClientFrame { body: Some(Ask::Resume(from)), .. }) = &asked
            && !self.reader.has_begun()
        {
            return self.begin(Some(from));
        }
        // Whoever begins with anything else gets a snapshot before the reply.
        self.begin(None);
        let id = asked.as_ref().map_or(0, |frame| frame.id);
        if let Err(wait_ms) = self.admit(now_ms, server_at_ms) {
            if self.floods() {
                self.close(FLOOD, "far too many messages", self.heard_s);
                self.ear = Ear::Deaf;
                return;
            }
            return (self.handler)(&self.member, Asked::TooFast { id, wait_ms });
        }
        match asked {
            Ok(wire::ClientFrame { body: Some(Ask::Ping(ping)), .. }) => {
                let pong = wire::Pong { client_at_ms: ping.client_at_ms, server_at_ms };
                self.rest.push_back(self.reader.codec.finish(&Body::Pong(pong).into()));
            }
            Ok(frame) => (self.handler)(&self.member, Asked::Frame(frame)),
            Err(error) => (self.handler)(&self.member, Asked::Unreadable(error)),
        }
    }
}
