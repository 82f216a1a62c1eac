//! Pure: the state of a room, folded from facts.
//!
//! Owns what a snapshot shows: live, pins, questions, stock, chat ring, reactions, viewers. News goes in by
//! [`State::apply`], ordered facts by [`State::apply_ordered`]; what viewers must be told comes out.
//! Invariant: per object the newest version wins, so facts may come in any order and more than once; a snapshot
//! followed by the changes since equals the next snapshot. An ordered fact has a place, so it is always told: one that
//! is older than what is known here tells what is known, and no viewer goes backwards. No seq, no clock, no sockets.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use crate::bus::{Fact, StockEdge};
use crate::clock::Millis;
use crate::wire::{self, ordered::Event, state::Value};

/// Questions a snapshot shows: newest first choice, the one on air always.
pub const QUESTIONS_SHOWN: usize = 200;
/// Questions remembered, hidden ones included, so that a late fact cannot bring one back.
const QUESTIONS_KEPT: usize = 2 * QUESTIONS_SHOWN;
/// Chat messages a snapshot shows.
pub const CHAT_SHOWN: usize = 100;
/// Deleted messages remembered, in case the message comes after its deletion.
const DELETED_KEPT: usize = 500;
/// Stock numbers remembered of SKUs that are not shown (yet); when full, those are forgotten.
const STOCK_KEPT: usize = 2_048;

/// What can happen to a room.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// A question was asked or voted for.
    Question(wire::Question),
    /// A stock number, of a SKU that may be shown here.
    Stock(wire::Stock, StockEdge),
    /// What an offer with a quota may still sell.
    Left(wire::OfferLeft),
    /// Somebody said something.
    Chat(wire::ChatMessage),
    /// So many more reactions of a kind.
    Reactions(String, i64),
    /// So many watch.
    Viewers(wire::ViewerCount),
}

/// What viewers must be told.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A stock number crossed an edge: to be ordered by the bus, and told from there.
    Edge(Event),
    /// The newest value.
    State(Value),
    /// May be thinned.
    Chat(wire::ChatMessage),
}

#[derive(Debug, Clone, PartialEq)]
struct PinSlot {
    version: i64,
    /// `None`: unpinned; the version keeps a late fact from pinning it again.
    pin: Option<wire::Pin>,
}

/// What a room starts from.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// The live.
    pub live: wire::Live,
    /// What is pinned.
    pub pins: Vec<wire::Pin>,
    /// The stock of what is pinned.
    pub stock: Vec<wire::Stock>,
    /// Of the offers with a quota.
    pub left: Vec<wire::OfferLeft>,
    /// Newest questions that are shown.
    pub questions: Vec<wire::Question>,
    /// Newest messages, oldest first.
    pub chat: Vec<wire::ChatMessage>,
    /// Totals.
    pub reactions: Vec<wire::ReactionCount>,
    /// What holds for the chat.
    pub chat_rules: wire::ChatRules,
    /// The line on top of the chat.
    pub chat_pinned: wire::ChatPinned,
}

/// A room's folded state.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    live: wire::Live,
    pins: HashMap<String, PinSlot>,
    questions: BTreeMap<String, wire::Question>,
    stock: HashMap<String, wire::Stock>,
    left: HashMap<String, wire::OfferLeft>,
    shown_skus: HashSet<String>,
    chat: VecDeque<wire::ChatMessage>,
    deleted: VecDeque<String>,
    reactions: BTreeMap<String, i64>,
    viewers: wire::ViewerCount,
    chat_rules: wire::ChatRules,
    chat_pinned: wire::ChatPinned,
}

/// Whether viewers see a question: not when it was hidden, or another carries its votes.
fn is_shown(question: &wire::Question) -> bool {
    question.state != "hidden" && question.state != "merged"
}

impl State {
    /// Folds what was loaded.
    #[must_use]
    pub fn new(loaded: Loaded) -> Self {
        let mut state = Self { live: loaded.live, ..Self::default() };
        if state.live.media.is_empty() {
            "none".clone_into(&mut state.live.media);
        }
        for stock in loaded.stock {
            state.stock.insert(stock.sku_id.clone(), stock);
        }
        for left in loaded.left {
            state.left.insert(left.offer_id.clone(), left);
        }
        for pin in loaded.pins {
            state.pins.insert(pin.id.clone(), PinSlot { version: pin.version, pin: Some(pin) });
        }
        for question in loaded.questions {
            state.questions.insert(question.id.clone(), question);
        }
        state.chat = loaded.chat.into();
        state.chat_rules = loaded.chat_rules;
        state.chat_pinned = loaded.chat_pinned;
        state.reactions = loaded.reactions.into_iter().map(|count| (count.kind, count.total)).collect();
        state.note_shown();
        state
    }

    /// The live as it is shown.
    #[must_use]
    pub fn live(&self) -> &wire::Live {
        &self.live
    }

    /// How many watch.
    #[must_use]
    pub fn viewers(&self) -> u32 {
        self.viewers.viewers
    }

    /// The newest messages, oldest first.
    pub fn chat(&self) -> impl Iterator<Item = &wire::ChatMessage> {
        self.chat.iter()
    }

    /// What holds for the chat.
    #[must_use]
    pub fn chat_rules(&self) -> wire::ChatRules {
        self.chat_rules
    }

    /// Whether a question is shown.
    #[must_use]
    pub fn shows_question(&self, question: &str) -> bool {
        self.questions.get(question).is_some_and(is_shown)
    }

    /// Whether a product is pinned.
    #[must_use]
    pub fn shows_product(&self, product: &str) -> bool {
        let mut pinned = self.pins.values().filter_map(|slot| slot.pin.as_ref()?.product.as_ref());
        pinned.any(|pinned| pinned.id == product)
    }

    /// The pins that are shown, and since when.
    pub fn shown_pins(&self) -> impl Iterator<Item = (&str, Millis)> {
        self.pins.values().filter_map(|slot| slot.pin.as_ref()).map(|pin| (pin.id.as_str(), Millis(pin.pinned_at_ms)))
    }

    /// A pin that is shown.
    #[must_use]
    pub fn pin(&self, pin_id: &str) -> Option<&wire::Pin> {
        self.pins.get(pin_id)?.pin.as_ref()
    }

    /// Whether there is a picture, as the bus knows it.
    pub fn put_media(&mut self, media: &str) {
        media.clone_into(&mut self.live.media);
    }

    /// What another state of this room learns from this one, which was just loaded.
    #[must_use]
    pub fn as_news(&self) -> Vec<News> {
        let stock = self.stock.values().map(|stock| News::Stock(stock.clone(), StockEdge::None));
        let left = self.left.values().map(|left| News::Left(left.clone()));
        let questions = self.questions.values().map(|question| News::Question(question.clone()));
        stock.chain(left).chain(questions).collect()
    }

    /// Folds one piece of news; what is not newer than what is known changes nothing.
    pub fn apply(&mut self, news: News) -> Vec<Change> {
        match news {
            News::Question(question) => match self.put_question(&question) {
                true if !is_shown(&question) => Vec::new(),
                true => vec![Change::State(Value::Question(question))],
                false => Vec::new(),
            },
            News::Stock(stock, edge) => self.put_stock(stock, edge),
            News::Left(left) => self.put_left(left),
            News::Chat(message) => self.put_chat(message),
            News::Reactions(kind, more) => {
                let total = self.reactions.entry(kind.clone()).or_default();
                *total = total.saturating_add(more);
                vec![Change::State(Value::Reactions(wire::ReactionCount { kind, total: *total }))]
            }
            News::Viewers(count) => {
                if count.version <= self.viewers.version {
                    return Vec::new();
                }
                let told = count.viewers == self.viewers.viewers;
                self.viewers = count;
                if told { Vec::new() } else { vec![Change::State(Value::Viewers(count))] }
            }
        }
    }

    /// Folds a fact of the ordered class: what is told at its place, and what follows from it. Nothing is told only of
    /// what this version does not know.
    pub fn apply_ordered(&mut self, fact: &Fact) -> (Option<Event>, Vec<Change>) {
        let event = match fact {
            Fact::Ordered { event, .. } => event.clone(),
            Fact::Media { media, .. } => {
                self.live.media.clone_from(media);
                return (Some(Event::LiveChanged(self.live.clone())), Vec::new());
            }
            _ => return (None, Vec::new()),
        };
        let changes = self.apply_event(&event);
        (Some(self.newest(event)), changes)
    }

    /// What is told of an ordered fact that is folded in already.
    #[must_use]
    pub fn as_told(&self, fact: &Fact) -> Option<Event> {
        match fact {
            Fact::Ordered { event, .. } => Some(self.newest(event.clone())),
            Fact::Media { .. } => Some(Event::LiveChanged(self.live.clone())),
            _ => None,
        }
    }

    fn apply_event(&mut self, event: &Event) -> Vec<Change> {
        match event {
            Event::LiveChanged(live) if live.version > self.live.version => {
                // Whether there is a picture is not stored: the room knows it better than the row.
                let media = std::mem::take(&mut self.live.media);
                self.live = wire::Live { media, ..live.clone() };
            }
            Event::Pinned(pin) => return self.put_pin(pin),
            Event::Unpinned(unpinned) => {
                let slot = self.pins.entry(unpinned.pin_id.clone()).or_insert(PinSlot { version: 0, pin: None });
                if unpinned.version > slot.version {
                    *slot = PinSlot { version: unpinned.version, pin: None };
                    self.note_shown();
                }
            }
            Event::QuestionChanged(question) => {
                self.put_question(question);
            }
            Event::SoldOut(stock) | Event::Restocked(stock) => self.note_stock(stock),
            Event::ChatDeleted(deleted) => self.delete_chat(&deleted.chat_id),
            Event::ChatRulesChanged(rules) if rules.version > self.chat_rules.version => self.chat_rules = *rules,
            Event::ChatPinned(pinned) if pinned.version > self.chat_pinned.version => {
                self.chat_pinned = pinned.clone();
            }
            Event::LiveChanged(_) | Event::ChatRulesChanged(_) | Event::ChatPinned(_) => {}
        }
        Vec::new()
    }

    /// The event with what is known now of its object.
    fn newest(&self, event: Event) -> Event {
        match &event {
            Event::LiveChanged(_) => Event::LiveChanged(self.live.clone()),
            Event::Pinned(wire::Pin { id, .. }) | Event::Unpinned(wire::Unpinned { pin_id: id, .. }) => {
                match self.pins.get(id) {
                    Some(PinSlot { pin: Some(pin), .. }) => Event::Pinned(pin.clone()),
                    Some(PinSlot { version, pin: None }) => {
                        Event::Unpinned(wire::Unpinned { pin_id: id.clone(), version: *version })
                    }
                    None => event,
                }
            }
            Event::QuestionChanged(question) => {
                self.questions.get(&question.id).map_or(event.clone(), |known| Event::QuestionChanged(known.clone()))
            }
            Event::ChatRulesChanged(_) => Event::ChatRulesChanged(self.chat_rules),
            Event::ChatPinned(_) => Event::ChatPinned(self.chat_pinned.clone()),
            Event::SoldOut(_) | Event::Restocked(_) | Event::ChatDeleted(_) => event,
        }
    }

    fn delete_chat(&mut self, chat_id: &str) {
        self.chat.retain(|message| message.id != chat_id);
        if !self.deleted.iter().any(|known| known == chat_id) {
            if self.deleted.len() == DELETED_KEPT {
                self.deleted.pop_front();
            }
            self.deleted.push_back(chat_id.to_owned());
        }
    }

    fn put_pin(&mut self, pin: &wire::Pin) -> Vec<Change> {
        let known = self.pins.get(&pin.id).map_or(0, |slot| slot.version);
        if pin.version <= known {
            return Vec::new();
        }
        self.pins.insert(pin.id.clone(), PinSlot { version: pin.version, pin: Some(pin.clone()) });
        let before = std::mem::take(&mut self.shown_skus);
        self.note_shown();
        // What was learned of these SKUs before they were shown has not been told to anybody.
        let stock = pin.offers.iter().filter(|offer| !before.contains(&offer.sku_id));
        let stock = stock.filter_map(|offer| self.stock.get(&offer.sku_id));
        stock.map(|stock| Change::State(Value::Stock(stock.clone()))).collect()
    }

    fn note_shown(&mut self) {
        let pins = self.pins.values().filter_map(|slot| slot.pin.as_ref());
        self.shown_skus = pins.flat_map(|pin| pin.offers.iter().map(|offer| offer.sku_id.clone())).collect();
    }

    /// A number that was told with its edge.
    fn note_stock(&mut self, stock: &wire::Stock) {
        if self.stock.get(&stock.sku_id).is_none_or(|known| stock.version > known.version) {
            self.stock.insert(stock.sku_id.clone(), stock.clone());
        }
    }

    fn put_stock(&mut self, stock: wire::Stock, edge: StockEdge) -> Vec<Change> {
        let known = self.stock.get(&stock.sku_id);
        if known.is_some_and(|known| stock.version <= known.version) {
            return Vec::new();
        }
        // From what was known here, if anything was: a version may have been skipped, or come late.
        let edge = match known.map(|known| known.available > 0) {
            Some(true) if stock.available <= 0 => StockEdge::SoldOut,
            Some(false) if stock.available > 0 => StockEdge::Restocked,
            Some(_) => StockEdge::None,
            None => edge,
        };
        if self.stock.len() >= STOCK_KEPT && known.is_none() {
            self.stock.retain(|sku_id, _| self.shown_skus.contains(sku_id));
        }
        self.stock.insert(stock.sku_id.clone(), stock.clone());
        if !self.shown_skus.contains(&stock.sku_id) {
            return Vec::new();
        }
        let event = match edge {
            StockEdge::None => None,
            StockEdge::SoldOut => Some(Event::SoldOut(stock.clone())),
            StockEdge::Restocked => Some(Event::Restocked(stock.clone())),
        };
        event.map(Change::Edge).into_iter().chain([Change::State(Value::Stock(stock))]).collect()
    }

    fn put_left(&mut self, left: wire::OfferLeft) -> Vec<Change> {
        if self.left.get(&left.offer_id).is_some_and(|known| left.version <= known.version) {
            return Vec::new();
        }
        if self.left.len() >= STOCK_KEPT && !self.left.contains_key(&left.offer_id) {
            let pins = self.pins.values().filter_map(|slot| slot.pin.as_ref());
            let shown: HashSet<_> = pins.flat_map(|pin| pin.offers.iter().map(|offer| offer.id.clone())).collect();
            self.left.retain(|offer, _| shown.contains(offer));
        }
        self.left.insert(left.offer_id.clone(), left.clone());
        vec![Change::State(Value::OfferLeft(left))]
    }

    /// Whether the question was news.
    fn put_question(&mut self, question: &wire::Question) -> bool {
        if self.questions.get(&question.id).is_some_and(|known| question.version <= known.version) {
            return false;
        }
        self.questions.insert(question.id.clone(), question.clone());
        while self.questions.len() > QUESTIONS_KEPT {
            // Ids sort by time: the oldest goes, but never the one on air.
            let oldest = self.questions.values().find(|q| q.state != "answering").map(|q| q.id.clone());
            let Some(oldest) = oldest else { break };
            self.questions.remove(&oldest);
        }
        self.questions.contains_key(&question.id)
    }

    fn put_chat(&mut self, message: wire::ChatMessage) -> Vec<Change> {
        let known = self.deleted.contains(&message.id) || self.chat.iter().rev().any(|m| m.id == message.id);
        if known {
            return Vec::new();
        }
        if self.chat.len() == CHAT_SHOWN {
            self.chat.pop_front();
        }
        self.chat.push_back(message.clone());
        vec![Change::Chat(message)]
    }

    /// The lines that were taken away last, for whoever keeps the chat it has.
    #[must_use]
    pub fn deleted_lately(&self) -> Vec<String> {
        self.deleted.iter().rev().take(CHAT_SHOWN).cloned().collect()
    }

    /// Every value of the state class, and the newest chat.
    #[must_use]
    pub fn states(&self) -> wire::Batch {
        let snapshot = self.snapshot();
        let stock = snapshot.stock.into_iter().map(Value::Stock);
        let left = snapshot.offers_left.into_iter().map(Value::OfferLeft);
        let questions = snapshot.questions.into_iter().map(Value::Question);
        let reactions = snapshot.reactions.into_iter().map(Value::Reactions);
        let values = stock.chain(left).chain(questions).chain(reactions).chain([Value::Viewers(self.viewers)]);
        let state = values.map(|value| wire::State { value: Some(value) }).collect();
        wire::Batch { state, chat: snapshot.chat, ..wire::Batch::default() }
    }

    /// This state, just loaded, with what only the old one knows: who watches, talk that is not stored yet, and numbers
    /// and questions that changed while this one was read. They are told once and would stay wrong here.
    #[must_use]
    pub fn with_talk_of(mut self, old: &Self) -> Self {
        for stock in old.stock.values() {
            self.note_stock(stock);
        }
        for left in old.left.values() {
            if self.left.get(&left.offer_id).is_none_or(|known| left.version > known.version) {
                self.left.insert(left.offer_id.clone(), left.clone());
            }
        }
        for question in old.questions.values() {
            self.put_question(question);
        }
        self.viewers = old.viewers;
        if self.live.media == "none" {
            self.live.media.clone_from(&old.live.media);
        }
        self.deleted.clone_from(&old.deleted);
        for message in &old.chat {
            if !self.chat.iter().any(|known| known.id == message.id) {
                self.chat.push_back(message.clone());
            }
        }
        self.chat.make_contiguous().sort_by(|a, b| a.id.cmp(&b.id));
        self.chat.retain(|message| !old.deleted.contains(&message.id));
        while self.chat.len() > CHAT_SHOWN {
            self.chat.pop_front();
        }
        for (kind, total) in &old.reactions {
            let known = self.reactions.entry(kind.clone()).or_default();
            *known = (*known).max(*total);
        }
        self
    }

    /// The state as a client gets it; epoch, seq and time are the room's to fill in.
    #[must_use]
    pub fn snapshot(&self) -> wire::Snapshot {
        let mut pins: Vec<_> = self.pins.values().filter_map(|slot| slot.pin.clone()).collect();
        pins.sort_by(|a, b| (a.pinned_at_ms, &a.id).cmp(&(b.pinned_at_ms, &b.id)));
        let shown = self.questions.values().rev().filter(|q| is_shown(q));
        let mut questions: Vec<_> = shown
            .enumerate()
            .filter(|(n, q)| *n < QUESTIONS_SHOWN || q.state == "answering")
            .map(|(_, q)| q.clone())
            .collect();
        questions.reverse();
        let mut stock: Vec<_> = self.shown_skus.iter().filter_map(|sku_id| self.stock.get(sku_id).cloned()).collect();
        stock.sort_by(|a, b| a.sku_id.cmp(&b.sku_id));
        let offers = pins.iter().flat_map(|pin| &pin.offers).filter(|offer| offer.quota > 0);
        let offers_left = offers.filter_map(|offer| self.left.get(&offer.id).cloned()).collect();
        let reactions =
            self.reactions.iter().map(|(kind, total)| wire::ReactionCount { kind: kind.clone(), total: *total });
        wire::Snapshot {
            live: Some(self.live.clone()),
            pins,
            questions,
            stock,
            viewers: self.viewers.viewers,
            chat: self.chat.iter().cloned().collect(),
            reactions: reactions.collect(),
            offers_left,
            chat_rules: Some(self.chat_rules),
            chat_pinned: self.chat_pinned.message.is_some().then(|| self.chat_pinned.clone()),
            ..wire::Snapshot::default()
        }
    }
}

#[cfg(test)]
#[path = "room_tests.rs"]
mod tests;
