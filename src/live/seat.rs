//! Shell: one connection's place in a room: a cursor into the log and a small personal lane.
//!
//! A seat holds no frames: it reads them from the room's log when its connection can take them. Who falls behind the
//! log gets a snapshot and goes on, with back-off; nobody is cut for being slow.
//! Invariant: the personal lane is bounded by coalescing: the newest state per purchase, the newest sales figures.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::{
    Visitor,
    codec::Codec,
    hub::Hub,
    log::{Cursor, Read},
    moderation::Network,
    stage::Stage,
};
use crate::{
    ids::CustomerId,
    wire::{self, personal, server_frame::Body},
};

/// Purchases of one customer whose news wait at once; the oldest is dropped beyond, and can be asked for over HTTP.
const MAX_PURCHASES: usize = 64;
/// Pause after the first snapshot that was sent instead of a hole; doubles up to [`MAX_BACK_OFF`].
const BACK_OFF: Duration = Duration::from_secs(2);
/// Longest pause between such snapshots.
const MAX_BACK_OFF: Duration = Duration::from_secs(8);
/// Without falling behind for this long, all is forgiven.
const FORGIVEN_AFTER: Duration = Duration::from_secs(30);
/// A goodbye asks connections to come back after something between these, so that they do not come at once.
const RECONNECT_MIN_MS: i64 = 500;
const RECONNECT_SPREAD_MS: u64 = 4_500;

/// Why a connection has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dismissal {
    /// Its person, or where it comes from, was banned.
    Banned,
}

impl Dismissal {
    /// The word of the goodbye.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Banned => "banned",
        }
    }
}

/// What is only for this connection's person.
#[derive(Debug)]
pub(super) struct Lane {
    customer: Option<CustomerId>,
    liver: bool,
    news: Mutex<LaneNews>,
    /// What its person was told last of themselves.
    standing: Mutex<Option<wire::Standing>>,
    network: OnceLock<Network>,
    dismissed: OnceLock<Dismissal>,
    bell: Notify,
}

#[derive(Debug, Default)]
struct LaneNews {
    purchases: BTreeMap<String, wire::PurchaseStatus>,
    waits: BTreeMap<String, wire::Wait>,
    sales: Option<wire::Sales>,
    standing: Option<wire::Standing>,
}

impl Lane {
    pub(super) fn new(customer: Option<CustomerId>, liver: bool) -> Self {
        Self {
            customer,
            liver,
            news: Mutex::default(),
            standing: Mutex::default(),
            network: OnceLock::new(),
            dismissed: OnceLock::new(),
            bell: Notify::new(),
        }
    }

    /// Where it comes from, when that is known.
    pub(super) fn network(&self) -> Option<Network> {
        self.network.get().copied()
    }

    /// Tells its person how they stand, unless they know.
    pub(super) fn put_standing(&self, standing: wire::Standing) {
        let mut known = self.standing.lock();
        if known.as_ref() == Some(&standing) {
            return;
        }
        *known = Some(standing.clone());
        drop(known);
        self.news.lock().standing = Some(standing);
        self.bell.notify_one();
    }

    /// The connection has to end; the first reason stays.
    pub(super) fn dismiss(&self, why: Dismissal) {
        let _ = self.dismissed.set(why);
        self.bell.notify_one();
    }

    pub(super) fn is_liver(&self) -> bool {
        self.liver
    }

    pub(super) fn customer(&self) -> Option<&CustomerId> {
        self.customer.as_ref()
    }

    pub(super) fn put_purchase(&self, status: wire::PurchaseStatus) {
        let mut news = self.news.lock();
        let known = news.purchases.get(&status.id).map_or(0, |known| known.version);
        if status.version < known {
            return;
        }
        news.purchases.insert(status.id.clone(), status);
        if news.purchases.len() > MAX_PURCHASES {
            news.purchases.pop_first();
        }
        drop(news);
        self.bell.notify_one();
    }

    pub(super) fn put_wait(&self, wait: wire::Wait) {
        let mut news = self.news.lock();
        if news.waits.get(&wait.id).is_some_and(|known| wait.version < known.version) {
            return;
        }
        news.waits.insert(wait.id.clone(), wait);
        if news.waits.len() > MAX_PURCHASES {
            news.waits.pop_first();
        }
        drop(news);
        self.bell.notify_one();
    }

    pub(super) fn put_sales(&self, sales: wire::Sales) {
        self.news.lock().sales = Some(sales);
        self.bell.notify_one();
    }

    fn take(&self, codec: Codec) -> Vec<Bytes> {
        let news = std::mem::take(&mut *self.news.lock());
        let purchases = news.purchases.into_values().map(personal::Body::Purchase);
        let waits = news.waits.into_values().map(personal::Body::Wait);
        let standing = news.standing.map(personal::Body::Standing);
        let sales = news.sales.map(personal::Body::Sales);
        let bodies = standing.into_iter().chain(purchases).chain(waits).chain(sales);
        bodies.map(|body| codec.encode(&body.into())).collect()
    }
}

/// One connection's place. Dropping it leaves the room.
#[derive(Debug)]
pub struct Seat {
    pub(super) hub: Hub,
    pub(super) stage: Arc<Stage>,
    pub(super) id: u64,
    pub(super) codec: Codec,
    pub(super) visitor: Option<Visitor>,
    pub(super) lane: Arc<Lane>,
    pub(super) head: watch::Receiver<()>,
    cursor: Option<Cursor>,
    behind_times: u32,
    snapshot_at: Instant,
}

impl Seat {
    pub(super) fn new(
        hub: Hub,
        stage: Arc<Stage>,
        id: u64,
        codec: Codec,
        visitor: Option<Visitor>,
        lane: Arc<Lane>,
        head: watch::Receiver<()>,
    ) -> Self {
        let snapshot_at = Instant::now();
        Self { hub, stage, id, codec, visitor, lane, head, cursor: None, behind_times: 0, snapshot_at }
    }

    /// Whether [`Seat::begin`] has been answered.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.cursor.is_some()
    }

    /// The first frame: the rest of what the client has, or a snapshot.
    pub fn begin(&mut self, from: Option<&wire::Resume>) -> Bytes {
        if let Some((resumed, cursor)) = from.and_then(|from| self.stage.resume(from)) {
            self.cursor = Some(cursor);
            return self.codec.encode(&resumed.into());
        }
        self.snapshot()
    }

    fn snapshot(&mut self) -> Bytes {
        let voter = self.visitor.as_ref().map(|visitor| &visitor.customer_id);
        let upvoted = voter.map(|voter| self.stage.upvoted(voter)).unwrap_or_default();
        let (bytes, cursor, _) = self.stage.snapshot(self.codec);
        self.cursor = Some(cursor);
        self.snapshot_at = Instant::now();
        bytes.frame(&upvoted)
    }

    /// Where the connection comes from; who is banned by address has to leave again.
    pub fn came_from(&self, address: IpAddr) {
        if let Some(network) = self.hub.note_place(self.visitor.as_ref(), address) {
            let _ = self.lane.network.set(network);
            self.stage.settle(&self.lane);
        }
    }

    /// Whether the connection has to end, and why.
    #[must_use]
    pub fn dismissed(&self) -> Option<Dismissal> {
        self.lane.dismissed.get().copied()
    }

    /// The last frame of a connection that is not to come back.
    #[must_use]
    pub fn farewell(&self, why: Dismissal) -> Bytes {
        let goodbye = wire::Goodbye { reason: why.reason().to_owned(), reconnect_after_ms: -1 };
        self.codec.encode(&Body::Goodbye(goodbye).into())
    }

    /// Finished frames to be written, as soon as there are any; none when the connection was dismissed. May be dropped and
    /// called again without loss.
    pub async fn next(&mut self) -> Vec<Bytes> {
        loop {
            if self.dismissed().is_some() {
                return Vec::new();
            }
            let mut wait_until = None;
            let mut from_log = Vec::new();
            if let Some(cursor) = self.cursor {
                match self.stage.read(cursor, self.codec) {
                    Read::UpToDate => {}
                    Read::Frames(frames, next) => {
                        self.cursor = Some(next);
                        from_log = frames;
                    }
                    Read::Behind => {
                        let due = self.next_snapshot_due();
                        if Instant::now() >= due {
                            from_log.push(self.snapshot());
                            self.behind_times += 1;
                        } else {
                            wait_until = Some(due);
                        }
                    }
                }
            }
            // Personal news goes ahead of the room's.
            let mut frames = self.lane.take(self.codec);
            frames.append(&mut from_log);
            if !frames.is_empty() {
                return frames;
            }
            tokio::select! {
                changed = self.head.changed() => {
                    if changed.is_err() {
                        // The stage lives as long as this seat, so its bell cannot be gone.
                        std::future::pending::<()>().await;
                    }
                }
                () = self.lane.bell.notified() => {}
                () = tokio::time::sleep_until(wait_until.unwrap_or_else(Instant::now)), if wait_until.is_some() => {}
            }
        }
    }

    fn next_snapshot_due(&mut self) -> Instant {
        if self.snapshot_at.elapsed() >= FORGIVEN_AFTER {
            self.behind_times = 0;
        }
        let factor = 1u32 << self.behind_times.min(2);
        self.snapshot_at + (BACK_OFF * factor).min(MAX_BACK_OFF)
    }

    /// The frame before the server closes the connection.
    #[must_use]
    pub fn goodbye(&self, reason: &str) -> Bytes {
        // Consecutive seats are spread evenly (Knuth's multiplicative hash).
        let spread = self.id.wrapping_mul(2_654_435_761) % RECONNECT_SPREAD_MS;
        let reconnect_after_ms = RECONNECT_MIN_MS + i64::try_from(spread).unwrap_or(0);
        let goodbye = wire::Goodbye { reason: reason.to_owned(), reconnect_after_ms };
        self.codec.encode(&Body::Goodbye(goodbye).into())
    }

    /// Who sits here.
    #[must_use]
    pub fn visitor(&self) -> Option<&Visitor> {
        self.visitor.as_ref()
    }

    /// How frames are written here.
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// In which live.
    #[must_use]
    pub fn live(&self) -> &crate::ids::LiveId {
        &self.stage.live
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.stage.leave(self.id);
        self.hub.forget(self.id, &self.lane);
    }
}
