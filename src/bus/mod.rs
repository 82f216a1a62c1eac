//! Door: the bus: how news travels between rooms and nodes.
//!
//! A [`Fact`] is something that is already true. *Ordered*, *stock*, *purchase* and *sold* facts are written to the
//! outbox in the transaction that makes them true, and only the [`Relay`] publishes them; chat, reactions and the
//! picture's coming and going are offered directly and may be lost.
//! Invariant: every fact carries its object's version, so telling twice or late is harmless. The bus is a hint, the
//! database is the truth.
//!
//! Facts of the ordered class get their place, `(epoch, seq)`, from the bus: once, whichever node publishes and however
//! often; so every node tells its viewers the same events under the same numbers. Who cannot go on from its place
//! begins again at [`Bus::position`].

mod local;
mod origin;
mod outbox;
mod redis;
mod sequence;

pub use origin::Origin;
pub use outbox::{Relay, Written, append, append_many};
pub use sequence::{Order, Sequence};

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    clock::{Clock, Millis},
    ids::{AccountId, CustomerId, LiveId, LiverId},
    tasks::Tasks,
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
    /// A customer's order that is picked up: goes to that person's connections.
    Pickup {
        /// Whose.
        customer: CustomerId,
        /// The newest state.
        pickup: wire::Pickup,
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
        /// Who; absent from nodes that do not say it yet.
        #[serde(default)]
        author: Option<AccountId>,
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
    /// So many watch on a node. Lossy, repeated every second.
    Presence {
        /// Where.
        live: LiveId,
        /// Which process.
        node: String,
        /// Its own viewers.
        viewers: u32,
        /// Who came so far, as registers to be merged; not every time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uniques: Option<String>,
    },
    /// The picture came or went: in order, like what is stored, but known to the bus alone.
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

impl Fact {
    /// The live that this is ordered in, when it is of the ordered class.
    #[must_use]
    pub fn ordered_in(&self) -> Option<&LiveId> {
        match self {
            Self::Ordered { live, .. } | Self::Media { live, .. } => Some(live),
            _ => None,
        }
    }
}

/// The place of an ordered fact in its live's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Of which history.
    pub epoch: Arc<str>,
    /// From 1, without holes.
    pub seq: u64,
    /// When it got its place.
    pub at: Millis,
}

/// What a subscriber hears.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// A fact; with its place when it is ordered.
    Fact(Arc<Fact>, Option<Place>),
    /// Something may have been missed, or histories have begun anew: whoever keeps a state looks at
    /// [`Bus::position`] and at the database.
    Missed,
}

impl Heard {
    /// The fact, when it is one.
    #[must_use]
    pub fn fact(&self) -> Option<&Fact> {
        match self {
            Self::Fact(fact, _) => Some(fact),
            Self::Missed => None,
        }
    }
}

/// Where a live's history stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The history.
    pub epoch: Arc<str>,
    /// Its last place.
    pub seq: u64,
    /// Whether there is a picture: the last [`Fact::Media`], if any.
    pub media: Option<String>,
}

/// A picture's origin that is not said again within this time has none: its node is gone.
pub const ORIGIN_TTL: Duration = Duration::from_secs(2);

/// Bytes of an epoch's name: never the same twice.
const EPOCH_BYTES: usize = 10;

/// A name for a history.
fn fresh_epoch() -> String {
    let mut bytes = [0u8; EPOCH_BYTES];
    getrandom::fill(&mut bytes).expect("the system has randomness, or nothing here is safe to run");
    data_encoding::BASE32_NOPAD.encode(&bytes).to_lowercase()
}

/// The bus does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BusAway {
    /// It does not answer at this moment, and some may have been told: try all again.
    #[error("the bus does not answer")]
    Silent,
    /// It has been away for long: this node was told, and all are to be told when it is back.
    #[error("the bus is away")]
    OnlyHere,
}

/// The bus of this process. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Bus {
    /// One process.
    Local(local::Local),
    /// Several nodes.
    Redis(redis::Redis),
}

/// Hears every fact published since it subscribed.
#[derive(Debug)]
pub struct Subscriber(local::LocalSubscriber);

impl Bus {
    /// The bus of one process.
    #[must_use]
    pub fn local(clock: Clock) -> Self {
        Self::Local(local::Local::new(clock))
    }

    /// The bus between nodes, at `redis://…` or `rediss://…`. It connects by itself.
    ///
    /// # Errors
    /// When the address cannot be understood.
    pub fn redis(url: &str, clock: Clock, tasks: &Tasks) -> Result<Self, String> {
        redis::Redis::start(url, clock, tasks).map(Self::Redis).map_err(|error| error.to_string())
    }

    /// Tells every subscriber; waits while one of them is full.
    ///
    /// # Errors
    /// [`BusAway`] when it could not be told: try again.
    pub async fn publish(&self, fact: Fact) -> Result<(), BusAway> {
        self.publish_all(vec![fact]).await
    }

    /// Tells many, in order.
    ///
    /// # Errors
    /// [`BusAway`] when some could not be told: try all again.
    pub async fn publish_all(&self, facts: Vec<Fact>) -> Result<(), BusAway> {
        match self {
            Self::Local(local) => {
                for fact in facts {
                    local.publish(Arc::new(fact)).await;
                }
                Ok(())
            }
            Self::Redis(redis) => redis.publish_all(&facts).await,
        }
    }

    /// Tells every subscriber that has room for it, at once: for facts that may be lost.
    pub fn offer(&self, fact: Fact) {
        debug_assert!(fact.ordered_in().is_none(), "what is ordered is published");
        match self {
            Self::Local(local) => local.offer(&Arc::new(fact)),
            Self::Redis(redis) => redis.offer(fact),
        }
    }

    /// Whether other nodes hear what is told.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        match self {
            Self::Local(_) => false,
            Self::Redis(_) => true,
        }
    }

    /// From here on, every fact.
    #[must_use]
    pub fn subscribe(&self) -> Subscriber {
        match self {
            Self::Local(local) => Subscriber(local.subscribe()),
            Self::Redis(redis) => Subscriber(redis.here().subscribe()),
        }
    }

    /// The picture of this live comes in at this node from now on, and nowhere else. One process need not be told.
    ///
    /// # Errors
    /// [`BusAway`].
    pub async fn claim(&self, live: &LiveId, origin: &Origin) -> Result<(), BusAway> {
        match self {
            Self::Local(_) => Ok(()),
            Self::Redis(redis) => redis.claim(live, origin).await,
        }
    }

    /// It still does, unless another node has claimed it since: where it comes in now.
    ///
    /// # Errors
    /// [`BusAway`].
    pub async fn keep_claim(&self, live: &LiveId, origin: &Origin) -> Result<Option<Origin>, BusAway> {
        match self {
            Self::Local(_) => Ok(Some(origin.clone())),
            Self::Redis(redis) => redis.keep_claim(live, origin).await,
        }
    }

    /// It does no more.
    ///
    /// # Errors
    /// [`BusAway`]: it is forgotten by itself, later.
    pub async fn leave_claim(&self, live: &LiveId, origin: &Origin) -> Result<(), BusAway> {
        match self {
            Self::Local(_) => Ok(()),
            Self::Redis(redis) => redis.leave_claim(live, origin).await,
        }
    }

    /// Where the picture of this live comes in, when another node may know.
    ///
    /// # Errors
    /// [`BusAway`].
    pub async fn origin(&self, live: &LiveId) -> Result<Option<Origin>, BusAway> {
        match self {
            Self::Local(_) => Ok(None),
            Self::Redis(redis) => redis.origin(live).await,
        }
    }

    /// Where a live's history stands; it begins when it is first asked for.
    ///
    /// # Errors
    /// [`BusAway`].
    pub async fn position(&self, live: &LiveId) -> Result<Position, BusAway> {
        match self {
            Self::Local(local) => Ok(local.position(live)),
            Self::Redis(redis) => redis.position(live).await,
        }
    }

    /// What was ordered after a place, as far as the bus keeps it, oldest first.
    ///
    /// # Errors
    /// [`BusAway`].
    pub async fn history(&self, live: &LiveId, after: &Place) -> Result<Vec<(Arc<Fact>, Place)>, BusAway> {
        match self {
            // One process: its rooms keep their own.
            Self::Local(_) => Ok(Vec::new()),
            Self::Redis(redis) => redis.history(live, after).await,
        }
    }
}

impl Subscriber {
    /// What comes next; `None` when the bus is gone.
    pub async fn next(&mut self) -> Option<Heard> {
        self.0.next().await
    }
}

#[cfg(test)]
mod tests;
