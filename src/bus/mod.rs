//! Door: the bus: how news travels between rooms and nodes.
//!
//! A [`Fact`] is something that is already true. *Ordered*, *stock*, *purchase* and *sold* facts are written to the
//! outbox in the transaction that makes them true, and only the [`Relay`] publishes them; chat, reactions and the
//! picture's coming and going are offered directly and may be lost.
//! Invariant: every fact carries its object's version, so telling twice or late is harmless. The bus is a hint, the
//! database is the truth.

mod local;
mod outbox;

pub use outbox::{Relay, Written, append, append_many};

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    ids::{CustomerId, LiveId, LiverId},
    wire,
};

/// The edge a stock number crossed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StockEdge {
    /// Neither.
    None,
    /// It became 0.
    SoldOut,
    /// It rose from 0.
    Restocked,
}

/// Whose doing a question's news is: rooms remember it, viewers are not told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Voice {
    /// Who asked it.
    Asked(CustomerId),
    /// Who voted for it.
    Voted(CustomerId),
}

/// Something that is true and that others should hear.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    /// Of the ordered class of one live.
    Ordered {
        /// Where.
        live: LiveId,
        /// What, as it goes to viewers.
        #[serde(with = "event_json")]
        event: wire::ordered::Event,
    },
    /// A question was asked or voted for: of the state class of one live.
    Question {
        /// Where.
        live: LiveId,
        /// The newest question.
        question: wire::Question,
        /// Whose doing it is.
        #[serde(default)]
        by: Option<Voice>,
    },
    /// A liver's order has changed (moderators, mutes, bans, words): whoever has an older one reads it again.
    Moderation {
        /// Whose.
        liver: LiverId,
        /// Of the order.
        version: i64,
    },
    /// A person follows a liver, or does no more.
    Follow {
        /// Whom.
        liver: LiverId,
        /// Who.
        customer: CustomerId,
        /// Whether they do.
        following: bool,
        /// Grows with every change of the two.
        version: i64,
    },
    /// A SKU's stock: goes to every live that shows it.
    Stock {
        /// The newest number.
        stock: wire::Stock,
        /// The edge it crossed.
        edge: StockEdge,
    },
    /// What an offer with a quota may still sell: of the state class of one live.
    Left {
        /// Where.
        live: LiveId,
        /// The newest number.
        left: wire::OfferLeft,
    },
    /// A customer's place on a waitlist: goes to that person's connections.
    Wait {
        /// Whose.
        customer: CustomerId,
        /// The newest state.
        wait: wire::Wait,
    },
    /// The state of a customer's purchase: goes to that person's connections, in whichever room.
    Purchase {
        /// Whose.
        customer: CustomerId,
        /// The newest state.
        status: wire::PurchaseStatus,
    },
    /// Something was sold in a live (or given back, by negative numbers).
    Sold {
        /// Where.
        live: LiveId,
        /// How many units.
        units: i64,
        /// For how much.
        gross_minor: i64,
    },
    /// Somebody said something. Lossy.
    Chat {
        /// Where.
        live: LiveId,
        /// What.
        message: wire::ChatMessage,
    },
    /// Viewers reacted. Lossy.
    Reactions {
        /// Where.
        live: LiveId,
        /// How many more of which kind.
        more: Vec<wire::ReactionCount>,
    },
    /// The picture came or went. Not stored: who opens the room later asks the media room.
    Media {
        /// Where.
        live: LiveId,
        /// `up` or `away`.
        media: String,
    },
}

/// An event of a oneof travels inside its message, because proto JSON has no form for it alone.
mod event_json {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

    use crate::wire::{Ordered, ordered::Event};

    pub(super) fn serialize<S: Serializer>(event: &Event, to: S) -> Result<S::Ok, S::Error> {
        Ordered { seq: 0, at_ms: 0, event: Some(event.clone()) }.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Event, D::Error> {
        let ordered = Ordered::deserialize(from)?;
        ordered.event.ok_or_else(|| D::Error::custom("an ordered event this version does not know"))
    }
}

/// The bus does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bus is away")]
pub struct BusAway;

/// The bus of this process. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Bus {
    /// One process.
    Local(local::Local),
}

/// Hears every fact published since it subscribed.
#[derive(Debug)]
pub enum Subscriber {
    /// One process.
    Local(local::LocalSubscriber),
}

impl Bus {
    /// The bus of one process.
    #[must_use]
    pub fn local() -> Self {
        Self::Local(local::Local::default())
    }

    /// Tells every subscriber; waits while one of them is full.
    ///
    /// # Errors
    /// [`BusAway`] when it could not be told: try again.
    pub async fn publish(&self, fact: Fact) -> Result<(), BusAway> {
        match self {
            Self::Local(local) => local.publish(Arc::new(fact)).await,
        }
        Ok(())
    }

    /// Tells every subscriber that has room for it, at once: for facts that may be lost.
    pub fn offer(&self, fact: Fact) {
        match self {
            Self::Local(local) => local.offer(&Arc::new(fact)),
        }
    }

    /// From here on, every fact.
    #[must_use]
    pub fn subscribe(&self) -> Subscriber {
        match self {
            Self::Local(local) => Subscriber::Local(local.subscribe()),
        }
    }
}

impl Subscriber {
    /// The next fact; `None` when the bus is gone.
    pub async fn next(&mut self) -> Option<Arc<Fact>> {
        match self {
            Self::Local(local) => local.next().await,
        }
    }
}

#[cfg(test)]
mod tests;
