//! Door: the live room: sessions, the hub, chat, questions, pins and presence.
//!
//! [`Lives`] is what the house calls. Facts that people pay by are stored with their outbox row and told by the relay;
//! chat is told first and archived in batches.
//! Not here: products and prices (`commerce`; `showcase` joins the two), packets (`media`), HTTP (`http`).

mod act;
mod answering;
mod archive;
mod audience;
mod chat;
mod codec;
mod doorkeeper;
mod followers;
mod follows;
mod frames;
mod host;
mod household;
mod hub;
mod inquiries;
mod lane;
mod log;
mod mirror;
mod moderating;
mod moderation;
mod opening;
mod orders;
mod pins;
mod podium;
mod presence;
mod questions;
mod rate;
mod reader;
mod recent;
mod registry;
mod room;
mod sanctions;
mod seat;
mod secret;
mod session;
mod shard;
mod shows;
mod stage;
mod steward;
mod talk;
mod thinning;
mod tidying;
mod uniques;
mod votes;
mod whereabouts;
mod wordlist;
mod words;

pub use archive::{Live, Which};
pub use audience::Picture;
pub use chat::ChatRefusal;
pub use codec::{Codec, CodecError};
pub use follows::Following;
pub use hub::HubLimits;
pub use inquiries::Question;
pub use lane::Dismissal;
pub use mirror::Mirror;
pub use moderating::{NewBan, NewMute, Target};
pub use moderation::ModerationRefusal;
pub use orders::Moderator;
pub use pins::{Pin, end as end_pin, put as put_pin, shown as shown_pins};
pub use questions::{Move, QuestionRefusal, State as QuestionState};
pub use rate::Bucket;
pub use registry::{Appointment, Note, Registry, Step};
pub use sanctions::{BanRow, MuteRow};
pub use seat::{Member, Seat};
pub use session::{Announcement, Edit, Phase, Session, SessionRefusal};
pub use shard::{Asked, DrainPace, Handler, MAX_MESSAGE_BYTES, Patience, Wire};
pub use wordlist::{Word, WordRefusal};
pub use words::LineRefusal;

use std::sync::Arc;

use crate::{
    bus::{Bus, Relay},
    clock::{Clock, Millis},
    ids::{AccountId, CustomerId, LiveId, LiverId, ProductId},
    store::{Db, StoreError, Tx},
    tasks::Tasks,
    wire,
};
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

/// What can be refused here.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// There is no such thing, or not for this caller.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// It is another liver's live.
    #[error("this live is another liver's")]
    NotYours,
    /// Of the session.
    #[error(transparent)]
    Session(#[from] SessionRefusal),
    /// Of the chat.
    #[error(transparent)]
    Chat(#[from] ChatRefusal),
    /// Of a question.
    #[error(transparent)]
    Question(#[from] QuestionRefusal),
    /// Of who keeps order.
    #[error(transparent)]
    Moderation(#[from] ModerationRefusal),
    /// Neither the liver nor a moderator.
    #[error("only the liver and moderators may do this")]
    NotModerator,
    /// The live is over.
    #[error("the live has ended")]
    Ended,
    /// No such reaction.
    #[error("a reaction is one of heart, clap, laugh, wow, flower")]
    UnknownReaction,
    /// The rail is full.
    #[error("at most {max} products can be pinned at once; unpin one first")]
    TooManyPins {
        /// What is allowed.
        max: usize,
    },
    /// A product that this live may not show.
    #[error("a tie-up live shows its brand's products only")]
    ForeignProduct,
    /// Terms of an offer that cannot be.
    #[error("{0}")]
    Terms(&'static str),
    /// Too many lives are on.
    #[error("too many rooms are open")]
    Busy,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Who is signed in at a connection or call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visitor {
    /// The sign-in.
    pub account_id: AccountId,
    /// The person.
    pub customer_id: CustomerId,
    /// What others see.
    pub display_name: String,
    /// Also a liver?
    pub liver_id: Option<LiverId>,
    /// Made by `hanamichi demo`.
    pub demo: bool,
}

/// Why a customer came, for the attribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTouch {
    /// Who.
    pub customer: CustomerId,
    /// Through which live.
    pub live: LiveId,
    /// How.
    pub kind: TouchKind,
    /// To which product, when there is one.
    pub product: Option<ProductId>,
    /// When.
    pub at: Millis,
}

/// How a customer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TouchKind {
    /// Watched.
    View,
    /// Opened the card of a pinned product.
    Click,
}

/// What is shown in a live: the pins, and the stock of their SKUs.
#[derive(Debug, Clone, Default)]
pub struct Shown {
    /// Oldest pin first.
    pub pins: Vec<wire::Pin>,
    /// Of every SKU under a pin.
    pub stock: Vec<wire::Stock>,
    /// Of every offer with a quota under a pin.
    pub left: Vec<wire::OfferLeft>,
}

/// What was sold in a live.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// Paid orders.
    pub orders: i64,
    /// Units in them.
    pub units: i64,
    /// Their sum, tax included, less what was given back.
    pub gross_minor: i64,
    /// What was given back or called off.
    pub refunded_minor: i64,
    /// The same by product.
    pub products: Vec<ProductFigures>,
}

/// What was sold of one product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductFigures {
    /// Which.
    pub product_id: ProductId,
    /// What it is called.
    pub title: String,
    /// Units.
    pub units: i64,
    /// Their sum, tax included.
    pub gross_minor: i64,
}

/// Loads what a live shows; given by the house, because products are another room's.
pub type ShownLoader =
    Arc<dyn for<'a> Fn(&'a mut Tx, &'a LiveId) -> BoxFuture<'a, Result<Shown, StoreError>> + Send + Sync>;
/// Takes a touch without waiting; given by the house.
pub type TouchSink = Arc<dyn Fn(NewTouch) + Send + Sync>;
/// What else becomes true in the transaction that ends a live; given by the house.
pub type EndHook =
    Arc<dyn for<'a> Fn(&'a mut Tx, &'a LiveId, Millis) -> BoxFuture<'a, Result<(), StoreError>> + Send + Sync>;
/// Loads what was sold in a live; given by the house.
pub type SalesLoader = Arc<dyn Fn(LiveId) -> BoxFuture<'static, Result<Figures, StoreError>> + Send + Sync>;

/// Looks whether a sign-in still holds, by its digest, and gives its person's next pass; given by the house.
pub type PassRenewer = Arc<dyn Fn(String) -> BoxFuture<'static, Result<Option<wire::Pass>, StoreError>> + Send + Sync>;

/// What the room is given.
pub struct Wiring {
    /// Where everything is stored.
    pub db: Db,
    /// The one clock.
    pub clock: Clock,
    /// How news travels.
    pub bus: Bus,
    /// Who tells what was stored.
    pub relay: Relay,
    /// Where tasks start.
    pub tasks: Tasks,
    /// What a live shows.
    pub shown: ShownLoader,
    /// What else happens when a live ends.
    pub end: EndHook,
    /// What the people's room does for those who keep order.
    pub registry: Registry,
    /// What was sold in a live.
    pub sales: SalesLoader,
    /// Where touches go; it takes them at once, or drops them.
    pub touches: TouchSink,
    /// Where connections' passes are renewed.
    pub passes: PassRenewer,
    /// Fires when the hub is to lead its connections out; its rooms go on meanwhile.
    pub leaving: CancellationToken,
    /// How much the hub takes on.
    pub limits: HubLimits,
}

struct Inner {
    db: Db,
    clock: Clock,
    bus: Bus,
    relay: Relay,
    tasks: Tasks,
    end: EndHook,
    registry: Registry,
    sales: SalesLoader,
    scribe: talk::Scribe,
    hub: hub::Hub,
}

/// The live room. Cheap to clone.
#[derive(Clone)]
pub struct Lives(Arc<Inner>);

impl std::fmt::Debug for Lives {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Lives").field(&self.0.hub).finish()
    }
}

impl Lives {
    /// Opens the room: from here on it hears the bus.
    ///
    /// # Errors
    /// When the system gives no threads for the hub.
    pub fn start(wiring: Wiring) -> std::io::Result<Self> {
        let scribe = talk::Scribe::start(wiring.db.clone(), &wiring.tasks);
        let hub = hub::Hub::start(hub::HubParts {
            db: wiring.db.clone(),
            clock: wiring.clock.clone(),
            bus: wiring.bus.clone(),
            tasks: wiring.tasks.clone(),
            scribe: scribe.clone(),
            shown: wiring.shown,
            sales: Arc::clone(&wiring.sales),
            touches: wiring.touches,
            passes: wiring.passes,
            leaving: wiring.leaving,
            limits: wiring.limits,
        })?;
        Ok(Self(Arc::new(Inner {
            db: wiring.db,
            clock: wiring.clock,
            bus: wiring.bus,
            relay: wiring.relay,
            tasks: wiring.tasks,
            end: wiring.end,
            registry: wiring.registry,
            sales: wiring.sales,
            scribe,
            hub,
        })))
    }

    /// Where this room's tasks start; connections run among them.
    #[must_use]
    pub fn tasks(&self) -> &Tasks {
        &self.0.tasks
    }

    /// The hub's connections and open rooms on this node.
    #[must_use]
    pub fn size(&self) -> (u64, usize) {
        self.0.hub.size()
    }

    /// Waits until every connection has been led out, after the word to leave.
    pub async fn led_out(&self) {
        self.0.hub.led_out().await;
    }

    /// The one clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }
}

/// Locks a live until the transaction ends and reads it, for whoever joins this room with another.
///
/// # Errors
/// The database's.
pub async fn find_locked(tx: &mut Tx, live: &LiveId) -> Result<Option<Live>, StoreError> {
    archive::find_locked(tx, live).await
}

#[cfg(test)]
mod nodes_tests;
#[cfg(test)]
pub(crate) mod tests;
