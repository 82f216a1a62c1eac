//! Shell: one connection's cursor, and what is read at it.
//!
//! A reader holds a place and no bytes. Policy of who is slow (the socket has not taken everything for
//! [`SLOW_AFTER`]): state and chat are passed over first, and come as one batch of newest values when the reader has
//! caught up; who cannot even take what is ordered gets a snapshot of everything but the chat and goes on from there, with
//! back-off. Nobody is cut for being slow.
//! Invariant: ordered events come once each and in order, or a snapshot says that it jumps; one who comes back within the
//! log's retention and takes what is sent does not jump.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    codec::Codec,
    log::{Cursor, Frames, Read},
    stage::{Chat, Resumption, Stage},
};
use crate::wire;

/// A socket that has not taken everything for so long is slow.
const SLOW_AFTER: Duration = Duration::from_secs(1);
/// Ordered bytes that a slow reader may be behind; with more a snapshot is the shorter way.
const SLOW_BYTES: u64 = 16 * 1024;
/// Bytes after which one who comes back is spared the state and chat in between.
const SPARED_BYTES: u64 = 64 * 1024;
/// Pause after the first snapshot that was sent instead of a hole; doubles up to [`MAX_BACK_OFF`].
const BACK_OFF: Duration = Duration::from_secs(2);
/// Longest pause between such snapshots.
const MAX_BACK_OFF: Duration = Duration::from_secs(8);
/// Without falling behind for this long, all is forgiven.
const FORGIVEN_AFTER: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy)]
struct At {
    cursor: Cursor,
    generation: u32,
}

/// Whether newest values are owed, because changes were passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owed {
    Nothing,
    States(Chat),
    /// Nothing was passed over here, but perhaps where the client was before: another node may have told what is ordered
    /// first and been lost before the rest, and whoever was slow there left with a debt.
    Besides,
}

/// A cursor into a room's log.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) codec: Codec,
    at: Option<At>,
    owed: Owed,
    /// Since coming back, until the end of the log was reached.
    catching_up: bool,
    /// When the socket first did not take everything.
    slow_since: Option<Instant>,
    behind_times: u8,
    snapshot_at: Option<Instant>,
}

/// What is to be sent.
#[derive(Debug)]
pub(super) enum Pull {
    /// Frames of the log; after each of them the reader may stop.
    Frames(Frames),
    /// A frame that is this reader's own from here on, and must be sent.
    Own(Bytes),
    /// Nothing, until the log grows or this moment has come.
    Wait(Option<Instant>),
}

impl Reader {
    pub(super) fn new(codec: Codec) -> Self {
        Self {
            codec,
            at: None,
            owed: Owed::Nothing,
            catching_up: false,
            slow_since: None,
            behind_times: 0,
            snapshot_at: None,
        }
    }

    pub(super) fn has_begun(&self) -> bool {
        self.at.is_some()
    }

    /// The first frames: the rest of what the client has, or a snapshot.
    pub(super) fn begin(&mut self, stage: &Stage, from: Option<&wire::Resume>, upvoted: &[String]) -> Vec<Bytes> {
        let resumed = from.and_then(|from| self.resume(stage, from, upvoted));
        resumed.unwrap_or_else(|| vec![self.snapshot(stage, Chat::With, upvoted, Instant::now())])
    }

    /// As [`Reader::begin`], or nothing yet: the client has been told on another node what this one is about to hear.
    pub(super) fn resume(&mut self, stage: &Stage, from: &wire::Resume, upvoted: &[String]) -> Option<Vec<Bytes>> {
        match stage.resume(from, self.codec) {
            Resumption::Rest(frames, generation) => {
                let cursor = frames.last().expect("resumed is always said").1;
                self.at = Some(At { cursor, generation });
                (self.catching_up, self.owed) = (true, Owed::Besides);
                Some(frames.into_iter().map(|(frame, _)| frame).collect())
            }
            Resumption::Ahead => None,
            Resumption::Lost => Some(vec![self.snapshot(stage, Chat::With, upvoted, Instant::now())]),
        }
    }

    fn snapshot(&mut self, stage: &Stage, chat: Chat, upvoted: &[String], now: Instant) -> Bytes {
        let (frame, cursor, generation) = stage.snapshot(self.codec, chat, upvoted);
        self.at = Some(At { cursor, generation });
        self.snapshot_at = Some(now);
        self.owed = Owed::Nothing;
        frame
    }

    /// The socket did not take everything.
    pub(super) fn is_stuck(&mut self, now: Instant) {
        self.slow_since.get_or_insert(now);
    }

    /// Where every reader that is in step stands, if this one is: then what follows is the same for all of them.
    pub(super) fn in_step(&self) -> Option<(Cursor, u32)> {
        let at = self.at?;
        let plain = self.owed == Owed::Nothing && self.slow_since.is_none() && !self.catching_up;
        plain.then_some((at.cursor, at.generation))
    }

    /// The frames up to here were handed to the socket.
    pub(super) fn go_to(&mut self, cursor: Cursor) {
        if let Some(at) = &mut self.at {
            at.cursor = cursor;
        }
    }

    /// What comes next. It counts as sent when [`Reader::go_to`] says so.
    pub(super) fn pull(&mut self, stage: &Stage, upvoted: impl Fn() -> Vec<String>, now: Instant) -> Pull {
        let Some(at) = self.at else { return Pull::Wait(None) };
        if stage.generation() != at.generation {
            // Another history: the one jump that everybody makes.
            return self.jump(stage, Chat::With, &upvoted(), now);
        }
        let slow = self.slow_since.is_some_and(|since| now.duration_since(since) >= SLOW_AFTER);
        let Some((lag, ordered_lag)) = stage.lag(at.cursor, self.codec) else {
            return self.jump_when_due(stage, slow, upvoted, now);
        };
        if slow && ordered_lag > SLOW_BYTES && !self.catching_up && now >= self.due(now) {
            return self.jump_when_due(stage, slow, upvoted, now);
        }
        let spared = self.catching_up && lag > SPARED_BYTES;
        if (slow || spared) && lag > ordered_lag {
            self.owed = Owed::States(if slow { Chat::Without } else { Chat::With });
        }
        let ordered_only = matches!(self.owed, Owed::States(_));
        match stage.read(at.generation, at.cursor, self.codec, ordered_only) {
            Read::Behind => self.jump_when_due(stage, slow, upvoted, now),
            Read::Frames(frames, next) if frames.is_empty() => {
                self.go_to(next);
                self.caught_up(stage, next)
            }
            Read::Frames(frames, _) => Pull::Frames(frames),
            Read::UpToDate => self.caught_up(stage, at.cursor),
        }
    }

    fn caught_up(&mut self, stage: &Stage, here: Cursor) -> Pull {
        (self.catching_up, self.slow_since) = (false, None);
        match std::mem::replace(&mut self.owed, Owed::Nothing) {
            Owed::Nothing => Pull::Wait(None),
            Owed::States(chat) => Pull::Own(stage.states(self.codec, chat, here)),
            Owed::Besides => Pull::Own(stage.states(self.codec, Chat::Without, here)),
        }
    }

    fn jump_when_due(&mut self, stage: &Stage, slow: bool, upvoted: impl Fn() -> Vec<String>, now: Instant) -> Pull {
        let due = self.due(now);
        if now < due {
            return Pull::Wait(Some(due));
        }
        self.behind_times = self.behind_times.saturating_add(1);
        self.jump(stage, if slow { Chat::Without } else { Chat::With }, &upvoted(), now)
    }

    fn jump(&mut self, stage: &Stage, chat: Chat, upvoted: &[String], now: Instant) -> Pull {
        self.catching_up = false;
        Pull::Own(self.snapshot(stage, chat, upvoted, now))
    }

    fn due(&mut self, now: Instant) -> Instant {
        let Some(last) = self.snapshot_at else { return now };
        if now.duration_since(last) >= FORGIVEN_AFTER {
            self.behind_times = 0;
        }
        let factor = 1u32 << self.behind_times.min(2);
        last + (BACK_OFF * factor).min(MAX_BACK_OFF)
    }
}
