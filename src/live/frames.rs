//! Pure: WebSocket frames of a server (RFC 6455), and nothing of what they carry.
//!
//! [`finish`] makes a frame that is ready for any socket; [`Inbox`] reads what a client sends, however it was cut.
//! Invariant: whatever bytes come, an inbox holds at most one frame's header and one message's bytes more than the
//! limit of a message allows, and answers with messages or with the one [`Fault`] that ends the connection.

use bytes::{BufMut as _, Bytes, BytesMut};

/// Largest payload of a control frame (section 5.5).
const MAX_CONTROL_BYTES: usize = 125;
/// Longest header that a client can send: two bytes, eight of length, four of mask (section 5.2).
const MAX_HEADER_BYTES: usize = 14;

/// What a frame is (section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// UTF-8.
    Text,
    /// Anything.
    Binary,
    /// The end, with a code and a reason.
    Close,
    /// Are you there?
    Ping,
    /// I am.
    Pong,
}

impl Opcode {
    fn bits(self) -> u8 {
        match self {
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xA,
        }
    }
}

/// Bytes of the header that [`put_header`] writes for a payload of this length.
#[must_use]
pub fn header_len(payload_len: usize) -> usize {
    match payload_len {
        0..=125 => 2,
        126..=0xFFFF => 4,
        _ => 10,
    }
}

fn put_header(to: &mut BytesMut, opcode: Opcode, payload_len: usize) {
    to.put_u8(0x80 | opcode.bits());
    match u16::try_from(payload_len) {
        Ok(short @ 0..=125) => to.put_u8(u8::try_from(short).expect("it is at most 125")),
        Ok(middle) => {
            to.put_u8(126);
            to.put_u16(middle);
        }
        Err(_) => {
            to.put_u8(127);
            to.put_u64(payload_len as u64);
        }
    }
}

/// Appends a finished frame: servers do not mask.
pub fn put(to: &mut BytesMut, opcode: Opcode, payload: &[u8]) {
    to.reserve(header_len(payload.len()) + payload.len());
    put_header(to, opcode, payload.len());
    to.extend_from_slice(payload);
}

/// A finished frame of its own.
#[must_use]
pub fn finish(opcode: Opcode, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(header_len(payload.len()) + payload.len());
    put(&mut frame, opcode, payload);
    frame.freeze()
}

/// The payload of a frame that [`finish`] or [`put`] made.
#[must_use]
pub fn payload(frame: &Bytes) -> Bytes {
    let header = match frame[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    frame.slice(header..)
}

/// The frame that closes a connection.
#[must_use]
pub fn close(code: u16, reason: &str) -> Bytes {
    let mut cut = reason.len().min(MAX_CONTROL_BYTES - 2);
    while !reason.is_char_boundary(cut) {
        cut -= 1;
    }
    let mut payload = BytesMut::with_capacity(2 + cut);
    payload.put_u16(code);
    payload.extend_from_slice(&reason.as_bytes()[..cut]);
    finish(Opcode::Close, &payload)
}

/// What a client said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A whole message of UTF-8.
    Text(Vec<u8>),
    /// A whole message of anything.
    Binary(Vec<u8>),
    /// To be answered with a pong that carries the same.
    Ping(Vec<u8>),
    /// A sign of life.
    Pong,
    /// The client leaves. The code is what it said, or 1005 for nothing.
    Close(u16),
}

/// Why a connection has to end (section 7.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 1002: no client of this protocol does that.
    Protocol(&'static str),
    /// 1007: text that is no UTF-8.
    NotUtf8,
    /// 1009: longer than a message may be.
    TooBig,
}

impl Fault {
    /// What to close with.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::Protocol(_) => 1002,
            Self::NotUtf8 => 1007,
            Self::TooBig => 1009,
        }
    }

    /// In words.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Protocol(reason) => reason,
            Self::NotUtf8 => "text must be UTF-8",
            Self::TooBig => "a message may have 4 KiB",
        }
    }
}

#[derive(Debug, Default)]
struct Partial {
    /// The beginning of a frame that has not come whole.
    stash: Vec<u8>,
    /// The payloads so far of a message in fragments (section 5.4).
    message: Vec<u8>,
    /// Text or binary, while a fragmented message is under way.
    kind: Option<Opcode>,
}

/// Reads one client's frames. An idle one costs a pointer.
#[derive(Debug, Default)]
pub struct Inbox {
    partial: Option<Box<Partial>>,
}

/// A frame's header, as it was read.
struct Header {
    opcode: u8,
    last: bool,
    mask: [u8; 4],
    /// Where the payload begins.
    at: usize,
    len: usize,
}

impl Inbox {
    /// Takes what the socket gave, and appends to `heard` what became whole; messages have at most `max_bytes`.
    ///
    /// # Errors
    /// The fault that ends the connection; what was whole before it is in `heard`.
    pub fn take(&mut self, input: &[u8], max_bytes: usize, heard: &mut Vec<Heard>) -> Result<(), Fault> {
        let stashed = match &mut self.partial {
            Some(partial) if !partial.stash.is_empty() => {
                partial.stash.extend_from_slice(input);
                std::mem::take(&mut partial.stash)
            }
            _ => Vec::new(),
        };
        let mut rest = if stashed.is_empty() { input } else { &stashed };
        while let Some(header) = read_header(rest, max_bytes)? {
            let Some(payload) = rest.get(header.at..header.at + header.len) else { break };
            let mut payload = payload.to_vec();
            unmask(&mut payload, header.mask);
            self.take_frame(&header, payload, max_bytes, heard)?;
            rest = &rest[header.at + header.len..];
        }
        if rest.is_empty() {
            // Nothing is kept of who is between two messages.
            self.partial.take_if(|partial| partial.kind.is_none());
        } else {
            self.partial.get_or_insert_default().stash = rest.to_vec();
        }
        Ok(())
    }

    fn take_frame(
        &mut self,
        header: &Header,
        payload: Vec<u8>,
        max_bytes: usize,
        heard: &mut Vec<Heard>,
    ) -> Result<(), Fault> {
        match header.opcode {
            0x0 => self.take_fragment(header.last, &payload, max_bytes, heard),
            0x1 | 0x2 => {
                if self.partial.as_ref().is_some_and(|partial| partial.kind.is_some()) {
                    return Err(Fault::Protocol("a new message inside a fragmented one"));
                }
                let kind = if header.opcode == 0x1 { Opcode::Text } else { Opcode::Binary };
                if header.last {
                    heard.push(whole(kind, payload)?);
                } else {
                    let partial = self.partial.get_or_insert_default();
                    partial.kind = Some(kind);
                    partial.message = payload;
                }
                Ok(())
            }
            0x8 => {
                heard.push(Heard::Close(close_code(&payload)?));
                Ok(())
            }
            0x9 => {
                heard.push(Heard::Ping(payload));
                Ok(())
            }
            // The header was checked: nothing else is left.
            _ => {
                heard.push(Heard::Pong);
                Ok(())
            }
        }
    }

    fn take_fragment(
        &mut self,
        last: bool,
        payload: &[u8],
        max_bytes: usize,
        heard: &mut Vec<Heard>,
    ) -> Result<(), Fault> {
        let Some(partial) = self.partial.as_mut().filter(|partial| partial.kind.is_some()) else {
            return Err(Fault::Protocol("a continuation of nothing"));
        };
        if partial.message.len() + payload.len() > max_bytes {
            return Err(Fault::TooBig);
        }
        partial.message.extend_from_slice(payload);
        if last && let Some(kind) = partial.kind.take() {
            heard.push(whole(kind, std::mem::take(&mut partial.message))?);
        }
        Ok(())
    }
}

/// The header at the beginning of `bytes`, when it is there whole; refused before its payload is waited for.
fn read_header(bytes: &[u8], max_bytes: usize) -> Result<Option<Header>, Fault> {
    let [first, second, ..] = *bytes else { return Ok(None) };
    let (opcode, last) = (first & 0x0F, first & 0x80 != 0);
    if first & 0x70 != 0 {
        return Err(Fault::Protocol("a reserved bit without an extension"));
    }
    if !matches!(opcode, 0x0..=0x2 | 0x8..=0xA) {
        return Err(Fault::Protocol("an unknown kind of frame"));
    }
    if second & 0x80 == 0 {
        return Err(Fault::Protocol("a client's frame must be masked"));
    }
    let short = usize::from(second & 0x7F);
    if opcode >= 0x8 && (!last || short > MAX_CONTROL_BYTES) {
        return Err(Fault::Protocol("a control frame is whole and has at most 125 bytes"));
    }
    let (len, after) = match short {
        126 => match bytes.get(2..4) {
            Some(&[a, b]) => (u64::from(u16::from_be_bytes([a, b])), 4),
            _ => return Ok(None),
        },
        127 => match bytes.get(2..10).and_then(|len| <[u8; 8]>::try_from(len).ok()) {
            Some(len) => (u64::from_be_bytes(len), 10),
            None => return Ok(None),
        },
        short => (short as u64, 2),
    };
    let len = usize::try_from(len).ok().filter(|len| *len <= max_bytes.max(MAX_CONTROL_BYTES)).ok_or(Fault::TooBig)?;
    if opcode < 0x8 && len > max_bytes {
        return Err(Fault::TooBig);
    }
    debug_assert!(after + 4 <= MAX_HEADER_BYTES, "the longest header");
    let Some(mask) = bytes.get(after..after + 4).and_then(|mask| <[u8; 4]>::try_from(mask).ok()) else {
        return Ok(None);
    };
    Ok(Some(Header { opcode, last, mask, at: after + 4, len }))
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    for (byte, mask) in payload.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= mask;
    }
}

fn whole(kind: Opcode, message: Vec<u8>) -> Result<Heard, Fault> {
    match kind {
        Opcode::Text if std::str::from_utf8(&message).is_err() => Err(Fault::NotUtf8),
        Opcode::Text => Ok(Heard::Text(message)),
        _ => Ok(Heard::Binary(message)),
    }
}

/// Section 7.4: codes that may stand in a frame.
fn close_code(payload: &[u8]) -> Result<u16, Fault> {
    match payload {
        [] => Ok(1005),
        [_] => Err(Fault::Protocol("half a close code")),
        [a, b, reason @ ..] => {
            let code = u16::from_be_bytes([*a, *b]);
            if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return Err(Fault::Protocol("a close code that may not be sent"));
            }
            std::str::from_utf8(reason).map(|_| code).map_err(|_| Fault::NotUtf8)
        }
    }
}

#[cfg(test)]
#[path = "frames_fuzz_tests.rs"]
mod fuzz;
#[cfg(test)]
#[path = "frames_tests.rs"]
mod tests;
