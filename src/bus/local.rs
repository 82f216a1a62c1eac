//! Edge: the bus inside one process.
//!
//! Invariant: a subscriber hears published facts in order and without loss; offered ones it may miss when it is full.
//! A live's history begins with the process, or when it is first asked for after a long time: then its epoch is new.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::{Fact, Heard, Order, Place, Position, Sequence};
use crate::{
    clock::{Clock, Millis},
    ids::LiveId,
};

/// Facts a subscriber may be behind: then `publish` waits for it (the relay, and nobody who holds a lock or a
/// transaction), and `offer` passes it over.
const BACKLOG: usize = 4_096;
/// Histories kept; beyond, those that nothing was added to for [`FORGOTTEN_AFTER_MS`] go.
const MAX_HISTORIES: usize = 20_000;
/// Longer than any room outlives its last visitor.
const FORGOTTEN_AFTER_MS: i64 = 60 * 60 * 1_000;

#[derive(Debug)]
struct History {
    epoch: Arc<str>,
    sequence: Sequence,
    media: Option<String>,
    used_at: Millis,
}

impl History {
    fn begin() -> Self {
        Self { epoch: super::fresh_epoch().into(), sequence: Sequence::default(), media: None, used_at: Millis(0) }
    }
}

/// Everybody who listens, and where every live's history stands. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Local {
    clock: Clock,
    /// Rule: `told` before `subscribers`; both locked only to look and change, never across an await.
    subscribers: Arc<Mutex<Vec<mpsc::Sender<Heard>>>>,
    histories: Arc<Mutex<HashMap<LiveId, History>>>,
    /// Held while a fact gets its place and is handed to everybody: places are heard in their order.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// One who listens.
#[derive(Debug)]
pub struct LocalSubscriber {
    heard: mpsc::Receiver<Heard>,
}

impl Local {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, subscribers: Arc::default(), histories: Arc::default(), turn: Arc::default() }
    }

    pub(super) async fn publish(&self, fact: Arc<Fact>) {
        let _turn = self.turn.lock().await;
        let place = match Order::of(&fact).zip(fact.ordered_in()) {
            None => None,
            Some((order, live)) => match self.place(live, &fact, order) {
                // It was told before.
                None => return,
                place => place,
            },
        };
        self.tell(Heard::Fact(fact, place)).await;
    }

    /// Hands over what has its place already, or needs none.
    pub(super) async fn tell(&self, heard: Heard) {
        let subscribers = self.subscribers.lock().clone();
        let mut gone = false;
        for subscriber in subscribers {
            gone |= subscriber.send(heard.clone()).await.is_err();
        }
        if gone {
            self.subscribers.lock().retain(|subscriber| !subscriber.is_closed());
        }
    }

    fn place(&self, live: &LiveId, fact: &Fact, order: Order) -> Option<Place> {
        let now = self.clock.now();
        let mut histories = self.histories.lock();
        let history = touch(&mut histories, live, now);
        let seq = history.sequence.place(order)?;
        if let Fact::Media { media, .. } = fact {
            history.media = Some(media.clone());
        }
        Some(Place { epoch: Arc::clone(&history.epoch), seq, at: now })
    }

    pub(super) fn offer(&self, fact: &Arc<Fact>) {
        for subscriber in self.subscribers.lock().iter() {
            // Full or gone: this class may be lost.
            let _ = subscriber.try_send(Heard::Fact(Arc::clone(fact), None));
        }
    }

    pub(super) fn subscribe(&self) -> LocalSubscriber {
        let (tell, heard) = mpsc::channel(BACKLOG);
        self.subscribers.lock().push(tell);
        LocalSubscriber { heard }
    }

    pub(super) fn position(&self, live: &LiveId) -> Position {
        let mut histories = self.histories.lock();
        let history = touch(&mut histories, live, self.clock.now());
        let (epoch, media) = (Arc::clone(&history.epoch), history.media.clone());
        Position { epoch, seq: history.sequence.seq(), media }
    }

    /// Every history begins anew.
    pub(super) fn forget(&self) {
        self.histories.lock().clear();
    }
}

fn touch<'a>(histories: &'a mut HashMap<LiveId, History>, live: &LiveId, now: Millis) -> &'a mut History {
    if histories.len() >= MAX_HISTORIES && !histories.contains_key(live) {
        histories.retain(|_, history| now.since(history.used_at) < FORGOTTEN_AFTER_MS);
    }
    let history = histories.entry(live.clone()).or_insert_with(History::begin);
    history.used_at = now;
    history
}

impl LocalSubscriber {
    pub(super) async fn next(&mut self) -> Option<Heard> {
        self.heard.recv().await
    }
}
