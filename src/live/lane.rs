//! Value: what is only for one connection's person.
//!
//! Invariant: bounded by coalescing (the newest state per purchase, place and pickup, the newest figures, one standing, one
//! pass) and by the number of commands a connection may have under way (replies). An idle lane costs its few words.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{codec::Codec, moderation::Network, rate::Bucket, shard::Door};
use crate::{
    clock::Millis,
    ids::CustomerId,
    wire::{self, personal, server_frame::Body},
};

/// Messages of one person, and of one connection, per second …
pub(super) const MESSAGES_PER_S: u32 = 20;
/// … and at once.
pub(super) const MESSAGES_BURST: u32 = 40;
/// Purchases of one customer whose news wait at once; the oldest is dropped beyond, and can be asked for over HTTP.
const MAX_PURCHASES: usize = 64;
/// Replies that wait at once; no more is read from a client long before, and one that goes on asking is closed.
const MAX_REPLIES: usize = 1_024;
/// With so many, nothing more is read from the client until it has taken them.
const FULL_AT: usize = 32;

/// Why the server ends a connection that has done nothing wrong on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dismissal {
    /// The server stops; come back after so many milliseconds.
    Stopping(i64),
    /// The pass ran out and was not renewed.
    PassExpired,
    /// Its person, or where it comes from, was banned.
    Banned,
}

impl Dismissal {
    /// What the connection is closed with, and the frame that goes before it.
    pub(super) fn words(self) -> (u16, &'static str, wire::Goodbye) {
        let (code, reason, reconnect_after_ms) = match self {
            Self::Stopping(after_ms) => (1001, "the server stops", after_ms),
            Self::PassExpired => (4401, "pass-expired", 0),
            Self::Banned => (4403, "banned", -1),
        };
        (code, reason, wire::Goodbye { reason: reason.to_owned(), reconnect_after_ms })
    }
}

/// Whom a lane rings when there is something in it.
#[derive(Debug)]
pub(super) enum Bell {
    /// A task that waits.
    Task(Notify),
    /// The shard that has the connection, under the number it has there.
    Shard(Arc<Door>, AtomicU32),
}

/// How often one person may say something, over all their connections.
#[derive(Debug)]
pub(super) struct Pace(Mutex<Bucket>);

impl Pace {
    pub(super) fn full(now: Millis) -> Self {
        Self(Mutex::new(Bucket::new(MESSAGES_PER_S, MESSAGES_BURST, now)))
    }

    /// Takes one message, or says how many milliseconds to wait.
    pub(super) fn take(&self, now: Millis) -> Result<(), i64> {
        self.0.lock().take(now)
    }
}

/// The personal lane of one connection.
#[derive(Debug)]
pub(super) struct Lane {
    customer: Option<CustomerId>,
    liver: bool,
    pace: Option<Arc<Pace>>,
    news: Mutex<Option<Box<News>>>,
    /// What its person was told last of themselves.
    standing: Mutex<Option<Box<wire::Standing>>>,
    network: OnceLock<Network>,
    /// The digest of the sign-in that the connection rests on.
    sign_in: OnceLock<Box<str>>,
    /// When its pass runs out; 0: it has none.
    expires_at_ms: AtomicI64,
    bell: Bell,
    rung: AtomicBool,
}

#[derive(Debug, Default)]
struct News {
    replies: Vec<wire::Reply>,
    standing: Option<wire::Standing>,
    pass: Option<wire::Pass>,
    purchases: BTreeMap<String, wire::PurchaseStatus>,
    waits: BTreeMap<String, wire::Wait>,
    pickups: BTreeMap<String, wire::Pickup>,
    sales: Option<wire::Sales>,
    dismissal: Option<Dismissal>,
}

impl Lane {
    pub(super) fn new(customer: Option<CustomerId>, liver: bool, pace: Option<Arc<Pace>>, bell: Bell) -> Self {
        Self {
            customer,
            liver,
            pace,
            news: Mutex::default(),
            standing: Mutex::default(),
            network: OnceLock::new(),
            sign_in: OnceLock::new(),
            expires_at_ms: AtomicI64::new(0),
            bell,
            rung: AtomicBool::new(false),
        }
    }

    /// What limits the messages of its person, over all their connections to this node.
    pub(super) fn pace(&self) -> Option<&Arc<Pace>> {
        self.pace.as_ref()
    }

    /// Where it comes from, when that is known.
    pub(super) fn network(&self) -> Option<Network> {
        self.network.get().copied()
    }

    /// Where it comes from; the first word counts.
    pub(super) fn put_network(&self, network: Network) {
        let _ = self.network.set(network);
    }

    /// Tells its person how they stand, unless they know.
    pub(super) fn put_standing(&self, standing: wire::Standing) {
        let mut known = self.standing.lock();
        if known.as_deref() == Some(&standing) {
            return;
        }
        *known = Some(Box::new(standing.clone()));
        // Still locked: of two who tell at once, the one that is remembered is the one that goes out last.
        self.put(|news| {
            news.standing = Some(standing);
            true
        });
    }

    pub(super) fn is_liver(&self) -> bool {
        self.liver
    }

    pub(super) fn customer(&self) -> Option<&CustomerId> {
        self.customer.as_ref()
    }

    fn put(&self, change: impl FnOnce(&mut News) -> bool) {
        let mut news = self.news.lock();
        if !change(news.get_or_insert_default()) {
            return;
        }
        drop(news);
        if self.rung.swap(true, Ordering::AcqRel) {
            return;
        }
        match &self.bell {
            Bell::Task(bell) => bell.notify_one(),
            Bell::Shard(door, token) => door.ring_lane(token.load(Ordering::Acquire)),
        }
    }

    pub(super) fn put_purchase(&self, status: wire::PurchaseStatus) {
        self.put(|news| {
            if news.purchases.get(&status.id).is_some_and(|known| status.version < known.version) {
                return false;
            }
            news.purchases.insert(status.id.clone(), status);
            if news.purchases.len() > MAX_PURCHASES {
                news.purchases.pop_first();
            }
            true
        });
    }

    pub(super) fn put_wait(&self, wait: wire::Wait) {
        self.put(|news| {
            if news.waits.get(&wait.id).is_some_and(|known| wait.version < known.version) {
                return false;
            }
            news.waits.insert(wait.id.clone(), wait);
            if news.waits.len() > MAX_PURCHASES {
                news.waits.pop_first();
            }
            true
        });
    }

    pub(super) fn put_pickup(&self, pickup: wire::Pickup) {
        self.put(|news| {
            if news.pickups.get(&pickup.order_id).is_some_and(|known| pickup.version < known.version) {
                return false;
            }
            news.pickups.insert(pickup.order_id.clone(), pickup);
            if news.pickups.len() > MAX_PURCHASES {
                news.pickups.pop_first();
            }
            true
        });
    }

    pub(super) fn put_sales(&self, sales: wire::Sales) {
        self.put(|news| {
            news.sales = Some(sales);
            true
        });
    }

    /// On which sign-in the connection rests; the first word counts.
    pub(super) fn rest_on(&self, sign_in: &str, expires_at: Millis) {
        let _ = self.sign_in.set(sign_in.into());
        self.expires_at_ms.store(expires_at.0, Ordering::Relaxed);
    }

    /// The sign-in, and when its pass runs out.
    pub(super) fn sign_in(&self) -> Option<(&str, Millis)> {
        let sign_in = self.sign_in.get()?;
        Some((sign_in, Millis(self.expires_at_ms.load(Ordering::Relaxed))))
    }

    pub(super) fn put_pass(&self, pass: wire::Pass) {
        self.expires_at_ms.store(pass.expires_at_ms, Ordering::Relaxed);
        self.put(|news| {
            news.pass = Some(pass);
            true
        });
    }

    pub(super) fn put_reply(&self, reply: wire::Reply) {
        self.put(|news| {
            let has_room = news.replies.len() < MAX_REPLIES;
            if has_room {
                news.replies.push(reply);
            }
            has_room
        });
    }

    /// Whether the client should take its answers first.
    pub(super) fn is_full(&self) -> bool {
        self.news.lock().as_ref().is_some_and(|news| news.replies.len() >= FULL_AT)
    }

    /// Whether the connection has to end.
    pub(super) fn is_dismissed(&self) -> bool {
        self.news.lock().as_ref().is_some_and(|news| news.dismissal.is_some())
    }

    /// Ends the connection after what is in the lane.
    pub(super) fn dismiss(&self, why: Dismissal) {
        self.put(|news| {
            news.dismissal.get_or_insert(why);
            true
        });
    }

    /// Whether there is anything; from here on the bell rings again.
    pub(super) fn look(&self) -> bool {
        self.rung.store(false, Ordering::Release);
        self.news.lock().is_some()
    }

    /// Finished frames of all that waits, and whether the connection ends after them.
    pub(super) fn take(&self, codec: Codec) -> (Vec<Bytes>, Option<Dismissal>) {
        self.rung.store(false, Ordering::Release);
        let Some(news) = self.news.lock().take() else { return (Vec::new(), None) };
        let replies = news.replies.into_iter().map(|reply| wire::ServerFrame::from(Body::Reply(reply)));
        let standing = news.standing.map(personal::Body::Standing);
        let purchases = news.purchases.into_values().map(personal::Body::Purchase);
        let waits = news.waits.into_values().map(personal::Body::Wait);
        let bodies = standing.into_iter().chain(news.pass.map(personal::Body::Pass)).chain(purchases).chain(waits);
        let bodies = bodies.chain(news.pickups.into_values().map(personal::Body::Pickup));
        let bodies = bodies.chain(news.sales.map(personal::Body::Sales));
        let frames = replies.chain(bodies.map(wire::ServerFrame::from)).map(|frame| codec.finish(&frame));
        (frames.collect(), news.dismissal)
    }

    /// Waits until the bell rings; only of a lane that rings a task.
    pub(super) async fn rung(&self) {
        match &self.bell {
            Bell::Task(bell) => bell.notified().await,
            Bell::Shard(..) => std::future::pending().await,
        }
    }

    /// The door of the shard that serves the connection; none when a task does.
    pub(super) fn door(&self) -> Option<&Arc<Door>> {
        match &self.bell {
            Bell::Task(_) => None,
            Bell::Shard(door, _) => Some(door),
        }
    }

    /// The number under which the shard has the connection.
    pub(super) fn settle(&self, at: u32) {
        if let Bell::Shard(_, token) = &self.bell {
            token.store(at, Ordering::Release);
        }
    }
}
