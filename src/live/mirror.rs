//! Pure: what a client makes of the frames it gets.
//!
//! The smallest correct client: tests and the load test fold a connection's frames with it and compare with the truth.
//! Invariant: it counts every ordered event that is missing or repeated; values never go back to an older version.

use std::collections::{BTreeMap, HashSet};

use crate::wire::{self, ordered::Event, server_frame::Body, state::Value};

/// One client's picture of a room.
#[derive(Debug, Default, Clone)]
pub struct Mirror {
    /// The history this position belongs to.
    pub epoch: String,
    /// The last ordered event seen.
    pub seq: u64,
    /// Ordered events that came twice or too early.
    pub faults: u64,
    /// Snapshots received.
    pub snapshots: u64,
    /// Ordered events received in batches.
    pub ordered: u64,
    /// The live.
    pub live: wire::Live,
    /// Pins by id.
    pub pins: BTreeMap<String, wire::Pin>,
    /// Questions that are shown, by id.
    pub questions: BTreeMap<String, wire::Question>,
    /// Stock by SKU.
    pub stock: BTreeMap<String, wire::Stock>,
    /// What offers with a quota may still sell, by offer.
    pub left: BTreeMap<String, wire::OfferLeft>,
    /// Totals by kind.
    pub reactions: BTreeMap<String, i64>,
    /// How many watch.
    pub viewers: u32,
    /// What holds for the chat.
    pub chat_rules: wire::ChatRules,
    /// The line on top of the chat.
    pub chat_pinned: Option<wire::ChatMessage>,
    /// Messages seen, each once, in order of arrival.
    pub chat: Vec<wire::ChatMessage>,
    seen_chat: HashSet<String>,
    deleted: HashSet<String>,
}

impl Mirror {
    /// Folds a frame; personal ones, replies and pongs change nothing here.
    pub fn fold(&mut self, frame: wire::ServerFrame) {
        match frame.body {
            Some(Body::Snapshot(snapshot)) => self.start_over(snapshot),
            Some(Body::Resumed(resumed)) if resumed.epoch != self.epoch || resumed.seq != self.seq => self.faults += 1,
            Some(Body::Batch(batch)) => self.fold_batch(batch),
            _ => {}
        }
    }

    fn start_over(&mut self, snapshot: wire::Snapshot) {
        let (faults, snapshots, ordered) = (self.faults, self.snapshots + 1, self.ordered);
        let kept = if snapshot.chat_omitted {
            let (chat, seen_chat) = (std::mem::take(&mut self.chat), std::mem::take(&mut self.seen_chat));
            Self { chat, seen_chat, deleted: std::mem::take(&mut self.deleted), ..Self::default() }
        } else {
            Self::default()
        };
        *self = Self { faults, snapshots, ordered, ..kept };
        for chat_id in snapshot.deleted_chat_ids {
            self.chat.retain(|message| message.id != chat_id);
            self.deleted.insert(chat_id);
        }
        self.epoch = snapshot.epoch;
        self.seq = snapshot.seq;
        self.live = snapshot.live.unwrap_or_default();
        self.pins = snapshot.pins.into_iter().map(|pin| (pin.id.clone(), pin)).collect();
        self.questions = snapshot.questions.into_iter().map(|q| (q.id.clone(), q)).collect();
        self.stock = snapshot.stock.into_iter().map(|s| (s.sku_id.clone(), s)).collect();
        self.left = snapshot.offers_left.into_iter().map(|left| (left.offer_id.clone(), left)).collect();
        self.reactions = snapshot.reactions.into_iter().map(|r| (r.kind, r.total)).collect();
        self.viewers = snapshot.viewers;
        self.chat_rules = snapshot.chat_rules.unwrap_or_default();
        self.chat_pinned = snapshot.chat_pinned.and_then(|pinned| pinned.message);
        for message in snapshot.chat {
            self.put_chat(message);
        }
    }

    fn fold_batch(&mut self, batch: wire::Batch) {
        if batch.epoch != self.epoch {
            self.faults += 1;
            return;
        }
        for ordered in batch.ordered {
            if ordered.seq != self.seq + 1 {
                self.faults += 1;
            }
            self.seq = ordered.seq;
            self.ordered += 1;
            if let Some(event) = ordered.event {
                self.fold_event(event);
            }
        }
        for state in batch.state {
            match state.value {
                Some(Value::Stock(stock)) => self.put_stock(stock),
                Some(Value::OfferLeft(left)) => self.put_left(left),
                Some(Value::Question(question)) => self.put_question(question),
                Some(Value::Viewers(count)) => self.viewers = count.viewers,
                Some(Value::Reactions(count)) => {
                    self.reactions.insert(count.kind, count.total);
                }
                None => {}
            }
        }
        for message in batch.chat {
            self.put_chat(message);
        }
    }

    fn fold_event(&mut self, event: Event) {
        match event {
            Event::LiveChanged(live) => self.live = live,
            Event::Pinned(pin) => {
                self.pins.insert(pin.id.clone(), pin);
            }
            Event::Unpinned(unpinned) => {
                self.pins.remove(&unpinned.pin_id);
            }
            Event::QuestionChanged(question) => self.put_question(question),
            Event::SoldOut(stock) | Event::Restocked(stock) => self.put_stock(stock),
            Event::ChatDeleted(deleted) => {
                self.chat.retain(|message| message.id != deleted.chat_id);
                self.deleted.insert(deleted.chat_id);
            }
            Event::ChatRulesChanged(rules) => self.chat_rules = rules,
            Event::ChatPinned(pinned) => self.chat_pinned = pinned.message,
        }
    }

    fn put_stock(&mut self, stock: wire::Stock) {
        let known = self.stock.get(&stock.sku_id);
        if known.is_none_or(|known| known.version < stock.version) {
            self.stock.insert(stock.sku_id.clone(), stock);
        }
    }

    fn put_left(&mut self, left: wire::OfferLeft) {
        if self.left.get(&left.offer_id).is_none_or(|known| known.version < left.version) {
            self.left.insert(left.offer_id.clone(), left);
        }
    }

    fn put_question(&mut self, question: wire::Question) {
        if question.state == "hidden" || question.state == "merged" {
            self.questions.remove(&question.id);
        } else if self.questions.get(&question.id).is_none_or(|known| known.version < question.version) {
            self.questions.insert(question.id.clone(), question);
        }
    }

    fn put_chat(&mut self, message: wire::ChatMessage) {
        if !self.deleted.contains(&message.id) && self.seen_chat.insert(message.id.clone()) {
            self.chat.push(message);
        }
    }
}
