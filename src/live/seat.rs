//! Shell: one connection's place in a room.
//!
//! A [`Seat`] is a [`Reader`] at the room's log and a personal lane. Connections over WebSocket are seated in a shard,
//! which writes to many of them in one go; a task that reads by itself (server-sent events, tests) calls [`Seat::next`].
//! Dropping a seat leaves the room.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use parking_lot::RwLock;
use tokio::{sync::watch, time::Instant};

use super::{
    Visitor,
    codec::Codec,
    frames,
    hub::Hub,
    lane::{Dismissal, Lane},
    reader::{Pull, Reader},
    stage::Stage,
};
use crate::{
    clock::Millis,
    wire::{self, reply, server_frame::Body},
};

/// Commands of one connection that may be under way; more are refused.
const MAX_UNDER_WAY: u32 = 16;

/// Who sits where: what a command's handler is given. Whoever holds it keeps the seat.
#[derive(Debug)]
pub struct Member {
    pub(super) hub: Hub,
    pub(super) stage: Arc<Stage>,
    pub(super) id: u64,
    pub(super) lane: Arc<Lane>,
    visitor: RwLock<Option<Arc<Visitor>>>,
    under_way: AtomicU32,
}

impl Member {
    pub(super) fn new(hub: Hub, stage: Arc<Stage>, id: u64, visitor: Option<Visitor>, lane: Arc<Lane>) -> Self {
        let visitor = RwLock::new(visitor.map(Arc::new));
        Self { hub, stage, id, lane, visitor, under_way: AtomicU32::new(0) }
    }

    /// Who sits here; nobody that is known, for guests.
    #[must_use]
    pub fn visitor(&self) -> Option<Arc<Visitor>> {
        self.visitor.read().clone()
    }

    /// In which live.
    #[must_use]
    pub fn live(&self) -> &crate::ids::LiveId {
        &self.stage.live
    }

    /// Answers a command; one without an id wants no answer.
    pub fn reply(&self, id: u64, result: reply::Result) {
        if id != 0 {
            self.lane.put_reply(wire::Reply { id, result: Some(result) });
        }
    }

    /// Answers what had no number that could be read.
    pub fn reply_unasked(&self, result: reply::Result) {
        self.lane.put_reply(wire::Reply { id: 0, result: Some(result) });
    }

    /// On which sign-in the connection rests, by its digest, and until when that was looked at.
    pub fn rest_on(&self, sign_in: &str, expires_at: Millis) {
        self.lane.rest_on(sign_in, expires_at);
    }

    /// The digest of the sign-in that the connection rests on.
    #[must_use]
    pub fn sign_in(&self) -> Option<&str> {
        self.lane.sign_in().map(|(sign_in, _)| sign_in)
    }

    /// Tells the person the pass to come back with.
    pub fn put_pass(&self, pass: wire::Pass) {
        self.lane.put_pass(pass);
    }

    /// Ends the connection, after what waits in its lane.
    pub fn dismiss(&self, why: Dismissal) {
        self.lane.dismiss(why);
    }

    /// Counts a command that takes its time; `false` when too many are under way. Each that was counted must be
    /// [`Member::done`].
    #[must_use]
    pub fn begin(&self) -> bool {
        let free = |count: u32| (count < MAX_UNDER_WAY).then_some(count + 1);
        self.under_way.fetch_update(Ordering::AcqRel, Ordering::Acquire, free).is_ok()
    }

    /// A command that took its time is answered.
    pub fn done(&self) {
        self.under_way.fetch_sub(1, Ordering::AcqRel);
    }

    /// Where the connection comes from; who is banned by address has to leave again.
    pub fn came_from(&self, address: IpAddr) {
        let visitor = self.visitor();
        if let Some(network) = self.hub.note_place(visitor.as_deref(), address) {
            self.lane.put_network(network);
            self.stage.settle(&self.lane);
        }
    }

    /// The questions this person has voted for.
    pub(super) fn upvoted(&self) -> Vec<String> {
        self.visitor.read().as_ref().map_or_else(Vec::new, |visitor| self.stage.upvoted(&visitor.customer_id))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.stage.leave(self.id);
        self.hub.forget(self.id, &self.lane);
    }
}

/// One connection's place, for a task of its own.
#[derive(Debug)]
pub struct Seat {
    pub(super) member: Arc<Member>,
    reader: Reader,
    head: watch::Receiver<()>,
}

impl Seat {
    pub(super) fn new(member: Arc<Member>, codec: Codec, head: watch::Receiver<()>) -> Self {
        Self { member, reader: Reader::new(codec), head }
    }

    /// Who sits here.
    #[must_use]
    pub fn member(&self) -> &Arc<Member> {
        &self.member
    }

    /// How messages are written here.
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.reader.codec
    }

    /// The first messages: the rest of what the client has, or a snapshot.
    pub fn begin(&mut self, from: Option<&wire::Resume>) -> Vec<Bytes> {
        let upvoted = self.member.upvoted();
        self.reader.begin(&self.member.stage, from, &upvoted).iter().map(frames::payload).collect()
    }

    /// Messages to be written, as soon as there are any; the last ones before the end bear a goodbye. May be dropped and
    /// called again without loss.
    pub async fn next(&mut self) -> (Vec<Bytes>, Option<Dismissal>) {
        let codec = self.codec();
        loop {
            self.head.mark_unchanged();
            // Personal news goes ahead of the room's.
            let (mut messages, dismissal) = self.member.lane.take(codec);
            let member = &self.member;
            let wait_until = match self.reader.pull(&member.stage, || member.upvoted(), Instant::now()) {
                Pull::Frames(frames) => {
                    if let Some((_, cursor)) = frames.last() {
                        self.reader.go_to(*cursor);
                    }
                    messages.extend(frames.into_iter().map(|(frame, _)| frame));
                    None
                }
                Pull::Own(frame) => {
                    messages.push(frame);
                    None
                }
                Pull::Wait(until) => until,
            };
            if let Some(why) = dismissal {
                messages.push(codec.finish(&Body::Goodbye(why.words().2).into()));
            }
            if !messages.is_empty() {
                return (messages.iter().map(frames::payload).collect(), dismissal);
            }
            tokio::select! {
                changed = self.head.changed() => {
                    if changed.is_err() {
                        // The stage lives as long as this seat, so its bell cannot be gone.
                        std::future::pending::<()>().await;
                    }
                }
                () = self.member.lane.rung() => {}
                () = tokio::time::sleep_until(wait_until.unwrap_or_else(Instant::now)), if wait_until.is_some() => {}
            }
        }
    }
}
