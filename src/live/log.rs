//! Pure: the log of a room's finished frames.
//!
//! An entry is one batch, finished once per codec as a frame that any socket takes as it is; a connection is a
//! [`Cursor`] into it and holds no bytes. Entries are of two classes: *ordered* ones move `seq` on and are never passed
//! over, *loose* ones (state and chat) are passed over by whoever is too slow for them.
//! Frames lie side by side in chunks of [`CHUNK_BYTES`], so a small batch costs no allocation of its own.
//! Invariant: a cursor that is read again and again until it is behind sees every entry exactly once, in order; a
//! resumed cursor continues right after its seq, or is refused. The oldest entries fall out by number, bytes or age,
//! and never the newest one.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::frames::{self, Opcode};
use crate::clock::Millis;

/// Most entries kept: at 20 batches a second, two entries each, about ten minutes.
pub const MAX_ENTRIES: usize = 32_768;
/// Most bytes kept of one room, over both codecs. All rooms together have a budget besides: see `budget`.
pub const MAX_BYTES: usize = 32 * 1024 * 1024;
/// Who comes back within this gets everything that was ordered.
pub const RETENTION_MS: i64 = 10 * 60 * 1_000;
/// Frames of one codec share an allocation of this size.
const CHUNK_BYTES: usize = 16 * 1024;

/// The codecs a frame is finished in, by index into an entry.
pub const CODECS: usize = 2;

/// A place in the log: the number of the next entry to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor(u64);

/// Whether an entry may be passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Never. It bears the seqs from `first` on.
    Ordered {
        /// Of its first event.
        first: u64,
        /// Of its last event.
        last: u64,
    },
    /// By who is slow.
    Loose,
}

#[derive(Debug)]
struct Entry {
    frames: [Bytes; CODECS],
    class: Class,
    /// The last seq up to here.
    seq: u64,
    at: Millis,
    /// Bytes of all entries up to and with this one, by codec …
    end: [u64; CODECS],
    /// … and of the ordered ones among them.
    ordered_end: [u64; CODECS],
}

impl Entry {
    fn size(&self) -> usize {
        self.frames.iter().map(Bytes::len).sum()
    }
}

/// Frames to be sent, and the place after each of them.
pub type Frames = Vec<(Bytes, Cursor)>;

/// What a cursor finds.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// Nothing new.
    UpToDate,
    /// Frames to be sent, and where to go on; it may be farther than the last frame when entries were passed over.
    Frames(Frames, Cursor),
    /// The entry has fallen out: only a snapshot helps.
    Behind,
}

/// What to read.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// By index.
    pub codec: usize,
    /// About so many, and at least one frame.
    pub max_bytes: usize,
    /// Pass over what may be passed over.
    pub ordered_only: bool,
}

/// Where a returning client goes on.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    /// At an entry.
    At(Cursor),
    /// After the rest of an entry whose first part the client has: another node cut its batches elsewhere. The frame is
    /// the entry's; the events after the client's seq have to be sent before going on.
    Within {
        /// The whole entry, finished, by codec.
        entry: [Bytes; CODECS],
        /// What follows it.
        then: Cursor,
    },
}

/// The log of one room and epoch.
#[derive(Debug)]
pub struct Log {
    entries: VecDeque<Entry>,
    /// Number of the oldest entry kept.
    first: u64,
    bytes: usize,
    max_entries: usize,
    max_bytes: usize,
    /// The last seq before the oldest entry kept.
    base_seq: u64,
    /// Bytes before the oldest entry kept, all and ordered.
    base_end: ([u64; CODECS], [u64; CODECS]),
    chunks: [BytesMut; CODECS],
}

impl Log {
    /// An empty log after `base_seq`.
    #[must_use]
    pub fn after(base_seq: u64) -> Self {
        Self::bounded(base_seq, MAX_ENTRIES, MAX_BYTES)
    }

    /// An empty log with its own bounds.
    #[must_use]
    pub fn bounded(base_seq: u64, max_entries: usize, max_bytes: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            first: 0,
            bytes: 0,
            max_entries: max_entries.max(1),
            max_bytes,
            base_seq,
            base_end: ([0; CODECS], [0; CODECS]),
            chunks: [BytesMut::new(), BytesMut::new()],
        }
    }

    /// The place after the newest entry.
    #[must_use]
    pub fn end(&self) -> Cursor {
        Cursor(self.first + self.entries.len() as u64)
    }

    /// Bytes kept.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends one batch, given unframed, and lets the oldest fall out.
    pub fn append(&mut self, payloads: [(Opcode, &[u8]); CODECS], class: Class, at: Millis) {
        let mut codec = 0;
        let frames = payloads.map(|(opcode, payload)| {
            let frame = finish_in(&mut self.chunks[codec], opcode, payload);
            codec += 1;
            frame
        });
        let (mut end, mut ordered_end) =
            self.entries.back().map_or(self.base_end, |entry| (entry.end, entry.ordered_end));
        let before = self.entries.back().map_or(self.base_seq, |entry| entry.seq);
        let (seq, is_ordered) = match class {
            Class::Ordered { last, .. } => (last, true),
            Class::Loose => (before, false),
        };
        for (codec, frame) in frames.iter().enumerate() {
            end[codec] += frame.len() as u64;
            ordered_end[codec] += if is_ordered { frame.len() as u64 } else { 0 };
        }
        let entry = Entry { frames, class, seq, at, end, ordered_end };
        self.bytes += entry.size();
        self.entries.push_back(entry);
        self.trim(self.max_bytes, Millis(at.0 - RETENTION_MS));
    }

    /// Lets entries fall out until at most `max_bytes` are left and none is older than `since`; the newest stays.
    pub fn trim(&mut self, max_bytes: usize, since: Millis) {
        while self.entries.len() > 1 {
            let Some(oldest) = self.entries.front() else { break };
            if self.entries.len() <= self.max_entries && self.bytes <= max_bytes && oldest.at >= since {
                break;
            }
            self.bytes -= oldest.size();
            self.base_seq = oldest.seq;
            self.base_end = (oldest.end, oldest.ordered_end);
            self.entries.pop_front();
            self.first += 1;
        }
    }

    /// What follows a cursor.
    #[must_use]
    pub fn read(&self, cursor: Cursor, wish: Wish) -> Read {
        let Some(skip) = cursor.0.checked_sub(self.first) else { return Read::Behind };
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        if skip >= self.entries.len() {
            return Read::UpToDate;
        }
        let mut frames = Frames::new();
        let (mut bytes, mut next) = (0, cursor);
        for entry in self.entries.range(skip..) {
            let after = Cursor(next.0 + 1);
            if wish.ordered_only && entry.class == Class::Loose {
                next = after;
                continue;
            }
            let frame = &entry.frames[wish.codec];
            if !frames.is_empty() && bytes + frame.len() > wish.max_bytes {
                break;
            }
            bytes += frame.len();
            frames.push((frame.clone(), after));
            next = after;
        }
        Read::Frames(frames, next)
    }

    /// Bytes that follow a cursor in a codec: all of them, and the ordered ones. `None` when it is behind.
    #[must_use]
    pub fn lag(&self, cursor: Cursor, codec: usize) -> Option<(u64, u64)> {
        let skip = usize::try_from(cursor.0.checked_sub(self.first)?).unwrap_or(usize::MAX);
        let Some(newest) = self.entries.back() else { return Some((0, 0)) };
        let (end, ordered_end) = match skip {
            0 => self.base_end,
            _ => self.entries.get(skip - 1).map_or((newest.end, newest.ordered_end), |e| (e.end, e.ordered_end)),
        };
        Some((newest.end[codec] - end[codec], newest.ordered_end[codec] - ordered_end[codec]))
    }

    /// Where to go on after `seq`, when everything since is still here; a seq ahead of the log belongs to another
    /// history.
    #[must_use]
    pub fn resume(&self, seq: u64) -> Option<Place> {
        let newest = self.entries.back().map_or(self.base_seq, |entry| entry.seq);
        if seq < self.base_seq || seq > newest {
            return None;
        }
        if seq == self.base_seq {
            return Some(Place::At(Cursor(self.first)));
        }
        // The entry that brings `seq`: the first whose seq is not below it, since seqs never fall.
        let at = self.entries.partition_point(|entry| entry.seq < seq);
        let entry = self.entries.get(at)?;
        let then = Cursor(self.first + at as u64 + 1);
        if entry.seq == seq {
            return Some(Place::At(then));
        }
        Some(Place::Within { entry: entry.frames.clone(), then })
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// Finishes a frame at the end of the chunk, or of a new one when it does not fit.
fn finish_in(chunk: &mut BytesMut, opcode: Opcode, payload: &[u8]) -> Bytes {
    let len = frames::header_len(payload.len()) + payload.len();
    if len > CHUNK_BYTES / 2 {
        return frames::finish(opcode, payload);
    }
    if chunk.capacity() < len {
        *chunk = BytesMut::with_capacity(CHUNK_BYTES);
    }
    frames::put(chunk, opcode, payload);
    chunk.split().freeze()
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
