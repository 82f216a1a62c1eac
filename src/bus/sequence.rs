//! Pure: which ordered facts get a place, and which one.
//!
//! Publishing is repeated after crashes and by several nodes at once, so what has a place already gets no second one:
//! facts carry their object's key and version, and a version that is not newer is passed over. The edges of a stock
//! number are worked out by every node that shows it; the first to say so counts.
//! Invariant: seqs of one history have no holes; a fact that was given a place never gets another.

use std::collections::HashMap;

use super::Fact;
use crate::wire::ordered::Event;

/// Objects remembered of one live. A live shows some hundred; when full, all are forgotten, and what is then told
/// twice is told to the viewers twice, which their versions make harmless.
pub const MAX_OBJECTS: usize = 16_384;

/// What says whether a fact is new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Always new.
    Always,
    /// When its version is newer than the last one under this key.
    Newer {
        /// The object.
        key: String,
        /// Of the object.
        version: i64,
    },
    /// When its version is newer and it is the other edge than the last one.
    Edge {
        /// The SKU.
        key: String,
        /// Of the SKU's stock.
        version: i64,
        /// Sold out, or there again.
        sold_out: bool,
    },
}

impl Order {
    /// Of an ordered fact; `None` for others.
    #[must_use]
    pub fn of(fact: &Fact) -> Option<Self> {
        let Fact::Ordered { event, .. } = fact else {
            return fact.ordered_in().map(|_| Self::Always);
        };
        let newer = |key: &str, version| Self::Newer { key: key.to_owned(), version };
        let edge = |stock: &crate::wire::Stock, sold_out| Self::Edge {
            key: format!("edge {}", stock.sku_id),
            version: stock.version,
            sold_out,
        };
        Some(match event {
            Event::LiveChanged(live) => newer("live", live.version),
            Event::Pinned(pin) => newer(&pin.id, pin.version),
            Event::Unpinned(unpinned) => newer(&unpinned.pin_id, unpinned.version),
            Event::QuestionChanged(question) => newer(&question.id, question.version),
            Event::SoldOut(stock) => edge(stock, true),
            Event::Restocked(stock) => edge(stock, false),
            Event::ChatDeleted(deleted) => newer(&deleted.chat_id, 1),
            Event::ChatRulesChanged(rules) => newer("chat rules", rules.version),
            Event::ChatPinned(pinned) => newer("chat pin", pinned.version),
        })
    }
}

/// One live's history: its last place, and the versions that have one.
#[derive(Debug, Clone, Default)]
pub struct Sequence {
    seq: u64,
    /// Version, and for edges which one.
    told: HashMap<String, (i64, bool)>,
}

impl Sequence {
    /// The last place given.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The place of a fact, or none when it has one already.
    pub fn place(&mut self, order: Order) -> Option<u64> {
        let (key, version, edge) = match order {
            Order::Always => {
                self.seq += 1;
                return Some(self.seq);
            }
            Order::Newer { key, version } => (key, version, None),
            Order::Edge { key, version, sold_out } => (key, version, Some(sold_out)),
        };
        if let Some((known, last_edge)) = self.told.get_mut(&key) {
            if version <= *known {
                return None;
            }
            *known = version;
            if edge.is_some_and(|edge| edge == *last_edge) {
                return None;
            }
            *last_edge = edge.unwrap_or(false);
        } else {
            if self.told.len() >= MAX_OBJECTS {
                self.told.clear();
            }
            self.told.insert(key, (version, edge.unwrap_or(false)));
        }
        self.seq += 1;
        Some(self.seq)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn newer(key: u8, version: i64) -> Order {
        Order::Newer { key: key.to_string(), version }
    }

    proptest! {
        #[test]
        fn told_in_any_order_and_often_each_version_has_one_place(
            facts in prop::collection::vec((0u8..4, 1i64..6), 0..60),
        ) {
            let mut sequence = Sequence::default();
            let mut placed: HashMap<u8, i64> = HashMap::new();
            let mut seq = 0;
            for (key, version) in facts {
                let place = sequence.place(newer(key, version));
                let is_new = placed.get(&key).is_none_or(|known| version > *known);
                prop_assert_eq!(place.is_some(), is_new);
                if let Some(place) = place {
                    seq += 1;
                    prop_assert_eq!(place, seq);
                    placed.insert(key, version);
                }
            }
            prop_assert_eq!(sequence.seq(), seq);
        }
    }

    #[test]
    fn an_edge_is_told_when_it_is_the_other_one() {
        let mut sequence = Sequence::default();
        let mut edge = |version, sold_out| sequence.place(Order::Edge { key: "edge".into(), version, sold_out });
        assert_eq!(edge(5, true), Some(1));
        assert_eq!(edge(5, true), None, "another node says so too");
        assert_eq!(edge(6, true), None, "it is sold out already");
        assert_eq!(edge(4, false), None, "late");
        assert_eq!(edge(7, false), Some(2));
        assert_eq!(edge(8, true), Some(3));
    }
}
