//! Pure: the log of a room's finished frames.
//!
//! An entry is one batch, encoded once per codec; a connection is a [`Cursor`] into it. Entries may carry ordered
//! events (then they move `seq` on) or only state and chat. The oldest entries fall out when the log has more than
//! [`MAX_ENTRIES`] or [`MAX_BYTES`].
//! Invariant: a cursor that is read again and again until it is behind sees every entry exactly once, in order; a
//! resumed cursor continues right after the entry that ended at its seq, or is refused.

use std::collections::VecDeque;

use bytes::Bytes;

/// Most entries kept: at 20 batches a second, about seven minutes of a busy room.
pub const MAX_ENTRIES: usize = 8_192;
/// Most bytes kept, over both codecs.
pub const MAX_BYTES: usize = 8 * 1024 * 1024;

/// The codecs a frame is finished in, by index into an entry.
pub const CODECS: usize = 2;

/// A place in the log: the number of the next entry to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor(u64);

#[derive(Debug)]
struct Entry {
    frames: [Bytes; CODECS],
    /// The seq of its last ordered event, when it has any.
    seq: Option<u64>,
}

impl Entry {
    fn size(&self) -> usize {
        self.frames.iter().map(Bytes::len).sum()
    }
}

/// What a cursor finds.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// Nothing new.
    UpToDate,
    /// Frames to be sent, and where to go on.
    Frames(Vec<Bytes>, Cursor),
    /// The entry has fallen out: only a snapshot helps.
    Behind,
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
    /// The seq before the first entry ever.
    base_seq: u64,
}

impl Default for Log {
    fn default() -> Self {
        Self::bounded(MAX_ENTRIES, MAX_BYTES)
    }
}

impl Log {
    /// An empty log with its own bounds.
    #[must_use]
    pub fn bounded(max_entries: usize, max_bytes: usize) -> Self {
        Self { entries: VecDeque::new(), first: 0, bytes: 0, max_entries: max_entries.max(1), max_bytes, base_seq: 0 }
    }

    /// The place after the newest entry.
    #[must_use]
    pub fn end(&self) -> Cursor {
        Cursor(self.first + self.entries.len() as u64)
    }

    /// Appends one batch; `seq` is that of its last ordered event, when it has any. The newest entry is always kept.
    pub fn append(&mut self, frames: [Bytes; CODECS], seq: Option<u64>) {
        let entry = Entry { frames, seq };
        self.bytes += entry.size();
        self.entries.push_back(entry);
        while self.entries.len() > self.max_entries || (self.bytes > self.max_bytes && self.entries.len() > 1) {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.bytes -= oldest.size();
            self.first += 1;
        }
    }

    /// What follows a cursor, up to about `max_bytes` and at least one frame.
    #[must_use]
    pub fn read(&self, cursor: Cursor, codec: usize, max_bytes: usize) -> Read {
        let Some(skip) = cursor.0.checked_sub(self.first) else { return Read::Behind };
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        if skip >= self.entries.len() {
            return Read::UpToDate;
        }
        let mut frames = Vec::new();
        let mut bytes = 0;
        for entry in self.entries.range(skip..) {
            let frame = &entry.frames[codec];
            if !frames.is_empty() && bytes + frame.len() > max_bytes {
                break;
            }
            bytes += frame.len();
            frames.push(frame.clone());
        }
        let next = Cursor(cursor.0 + frames.len() as u64);
        Read::Frames(frames, next)
    }

    /// How many entries follow a cursor; `None` when it is behind.
    #[must_use]
    pub fn distance(&self, cursor: Cursor) -> Option<u64> {
        (cursor.0 >= self.first).then(|| self.end().0.saturating_sub(cursor.0))
    }

    /// The place right after the entry that ended at `seq`, when everything since is still here.
    ///
    /// A seq in the middle of a batch was never a client's position, and one ahead of the log belongs to another
    /// history: both are refused, and the client gets a snapshot.
    #[must_use]
    pub fn resume(&self, seq: u64) -> Option<Cursor> {
        // Newest first: who reconnects was here a moment ago.
        for (at, entry) in self.entries.iter().enumerate().rev() {
            match entry.seq {
                Some(at_seq) if at_seq == seq => return Some(Cursor(self.first + at as u64 + 1)),
                Some(at_seq) if at_seq < seq => return None,
                _ => {}
            }
        }
        (self.first == 0 && seq == self.base_seq).then_some(Cursor(0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Act {
        Append(u8),
        Read(usize),
        Reconnect,
    }

    fn frames(n: u64, size: usize) -> [Bytes; CODECS] {
        let text = format!("{n:>size$}");
        [Bytes::from(text.clone()), Bytes::from(text)]
    }

    fn number(frame: &Bytes) -> u64 {
        std::str::from_utf8(frame).expect("we wrote it").trim().parse().expect("a number")
    }

    proptest! {
        /// One reader that reads, is cut and resumes in any interleaving sees each ordered event once, in order; it
        /// jumps only when the log has dropped what it needs.
        #[test]
        fn every_ordered_event_is_seen_once_and_in_order(
            max_entries in 1usize..12,
            acts in prop::collection::vec(
                prop_oneof![(0u8..3).prop_map(Act::Append), (1usize..200).prop_map(Act::Read), Just(Act::Reconnect)], 1..200),
        ) {
            let mut log = Log::bounded(max_entries, 400);
            let (mut appended, mut seq) = (0u64, 0u64);
            let mut entries: Vec<Option<u64>> = Vec::new();
            let (mut cursor, mut seen) = (log.end(), 0u64);
            for act in acts {
                match act {
                    Act::Append(ordered) => {
                        seq += u64::from(ordered);
                        let last = (ordered > 0).then_some(seq);
                        log.append(frames(appended, 20), last);
                        entries.push(last);
                        appended += 1;
                    }
                    Act::Read(max_bytes) => match log.read(cursor, 0, max_bytes) {
                        Read::UpToDate => prop_assert_eq!(seen, seq),
                        Read::Behind => {
                            // A snapshot at the head.
                            prop_assert!(appended > max_entries as u64 || appended * 40 > 400);
                            (cursor, seen) = (log.end(), seq);
                        }
                        Read::Frames(read, next) => {
                            prop_assert!(!read.is_empty());
                            for (frame, at) in read.iter().zip(cursor.0..) {
                                prop_assert_eq!(number(frame), at);
                                if let Some(last) = entries[usize::try_from(at).expect("small")] {
                                    prop_assert!(last > seen);
                                    seen = last;
                                }
                            }
                            prop_assert_eq!(next.0, cursor.0 + read.len() as u64);
                            cursor = next;
                        }
                    },
                    Act::Reconnect => match log.resume(seen) {
                        Some(place) => {
                            // Nothing ordered lies between what was seen and the new place, and none after is missed.
                            let place_at = usize::try_from(place.0).expect("small");
                            let before = entries[..place_at].iter().flatten().max().copied().unwrap_or(0);
                            prop_assert_eq!(before, seen);
                            prop_assert!(place <= cursor);
                            cursor = place;
                        }
                        None => (cursor, seen) = (log.end(), seq),
                    },
                }
            }
        }
    }

    #[test]
    fn a_foreign_position_is_refused() {
        let mut log = Log::bounded(10, 10_000);
        assert_eq!(log.resume(0), Some(Cursor(0)));
        log.append(frames(0, 5), Some(3));
        assert_eq!(log.resume(3), Some(Cursor(1)));
        assert_eq!(log.resume(2), None, "the middle of a batch");
        assert_eq!(log.resume(4), None, "ahead of the log");
        assert_eq!(log.resume(0), Some(Cursor(0)));
    }

    #[test]
    fn an_entry_larger_than_the_log_is_kept_alone() {
        let mut log = Log::bounded(10, 100);
        log.append(frames(0, 5), None);
        log.append(frames(1, 500), Some(1));
        assert_eq!(log.entries.len(), 1);
        assert_eq!(log.read(Cursor(0), 0, 1), Read::Behind);
        assert!(matches!(log.read(Cursor(1), 1, 1), Read::Frames(f, Cursor(2)) if f.len() == 1));
    }
}
