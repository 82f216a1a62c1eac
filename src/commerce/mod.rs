//! Door: catalogue, offers, stock and buying.
//!
//! The database is the only truth of stock and money. Everything that changes stock or a purchase goes through the
//! [`Sequencer`]'s batches; everything else here reads.

mod allocation;
mod attempt;
mod attempts;
mod booking;
mod cards;
mod catalog;
mod checkout;
mod collect;
mod commission_paid;
mod confirmation;
mod facts;
mod findings;
mod import;
mod invoices;
mod ledger;
mod limits;
mod money_ledger;
mod orders;
mod payment;
mod provider_books;
mod provider_events;
mod purchase;
mod reconcile;
mod records;
mod refund;
mod refund_book;
mod refunds;
mod saved_cards;
mod sequencer;
mod settle;
mod settling;
mod shortage;
mod stock;
mod tax;
mod transfers;
mod waitlist;
mod wallet;
mod webhooks;

pub use allocation::{Delivery, Point};
pub use catalog::{
    NewProduct, NewSku, Offer, Product, Sku, StockLevel, Terms, end_all_offers, end_offers, find_product,
    list_products, offers_of_live, put_offers, stock_of,
};
pub use checkout::{Checkout, LineRequest, PlaceRequest};
pub use collect::CollectConfig;
pub use commission_paid::{CommissionPaid, post_commission_paid};
pub use confirmation::Confirmation;
pub use facts::{FactAnswer, FactClass, SafetyChange, ShelfAfter, StockFact};
pub use findings::{Finding, FindingKind, How, Run};
pub use import::{ImportError, ImportFile, ImportReport, Imports, MAX_IMPORT_BYTES, RowError};
pub use invoices::{CreditNote, DocumentKind, DocumentLine, DocumentRate, Invoice, OrderInvoice};
pub use ledger::{ShelfView, shelves};
pub use limits::{limit_keys, limits_used};
pub use money_ledger::Balance;
pub use orders::{BrandOrder, LiveSales, Order, OrderLine, ProductSales, live_sales};
pub use payment::{Action, Method, Payment, SandboxOutcome, SetupState, SignatureFault, Slow, TestMethod};
pub use purchase::State as PurchaseState;
pub use reconcile::{Reconciler, ReconciliationReport};
pub use records::{LeftOut, LineView, OpenPurchase, Purchase, PurchaseView, Shortage, open_purchases};
pub use refund::{RefundKind, RefundState};
pub use refund_book::{Refund, RefundLine};
pub use refunds::{Giver, Refunds, ReturnLine, ReturnRequest};
pub use saved_cards::SavedCard;
pub use sequencer::{PlaceOrder, Sequencer, SequencerConfig};
pub use stock::{FactKind, Move, PlaceKind, Wish};
pub use tax::TaxLine;
pub use waitlist::{Wait, WaitState};
pub use wallet::{SetupView, Wallet};
pub use webhooks::{MAX_WEBHOOK_BYTES, WebhookFault, Webhooks};

use crate::store::StoreError;

/// Why a buyer, or a till, is told no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing left.
    #[error("fewer are left than you want")]
    SoldOut,
    /// The limit per customer is used up.
    #[error("that is more than one customer may buy")]
    LimitReached,
    /// The offer begins later.
    #[error("the offer has not started yet")]
    OfferNotStarted,
    /// The offer, the pin or the live is over.
    #[error("the offer is over")]
    OfferEnded,
    /// There is no such offer.
    #[error("there is no such offer")]
    UnknownOffer,
    /// The buyer saw another price or other terms.
    #[error("the price or the terms have changed since they were shown")]
    PriceChanged,
    /// Not in a state that can be paid.
    #[error("this purchase is not waiting for payment")]
    NotPayable,
    /// The units went back.
    #[error("the reservation has run out")]
    HoldExpired,
    /// The provider said no.
    #[error("the payment was declined; nothing was charged")]
    PaymentDeclined,
    /// There is no such SKU.
    #[error("there is no such SKU")]
    UnknownSku,
    /// This place hands nothing over.
    #[error("orders cannot be picked up there")]
    NoPickup,
    /// Not in a state in which goods may leave.
    #[error("this order is not waiting to be sent")]
    NotShippable,
    /// Not this way: the shop does not take it, or not for these goods, or the card is not there.
    #[error("this cannot be paid in that way")]
    MethodUnavailable,
    /// The reserved money has run out.
    #[error("the reserved money has run out; nothing can be taken for this order")]
    PaymentLapsed,
    /// Too late to call it off.
    #[error("this purchase can no longer be cancelled here")]
    NotCancellable,
    /// Not that much is left of the order.
    #[error("that is more than is left of the order, or no line of it")]
    NotReturnable,
    /// The provider is taking the money at this moment.
    #[error("the money of this order is being taken at this moment; try again")]
    MoneyBeingTaken,
    /// This cannot be resolved in this way, or is resolved.
    #[error("this finding is resolved, or cannot be resolved in this way")]
    NotResolvable,
    /// Only a refund that did not arrive is tried again.
    #[error("this refund has not failed")]
    NotFailed,
}

impl Refusal {
    /// The stable name, as stored in `purchases.reason` and sent to the buyer.
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Self::SoldOut => "sold-out",
            Self::LimitReached => "limit-reached",
            Self::OfferNotStarted => "offer-not-started",
            Self::OfferEnded => "offer-ended",
            Self::UnknownOffer => "not-found",
            Self::PriceChanged => "price-changed",
            Self::NotPayable => "purchase-not-payable",
            Self::HoldExpired => "hold-expired",
            Self::PaymentDeclined => "payment-declined",
            Self::UnknownSku => "unknown-sku",
            Self::NoPickup => "pickup-unavailable",
            Self::MethodUnavailable => "payment-method-unavailable",
            Self::PaymentLapsed => "payment-lapsed",
            Self::NotShippable
            | Self::NotCancellable
            | Self::NotReturnable
            | Self::MoneyBeingTaken
            | Self::NotFailed
            | Self::NotResolvable => "conflict",
        }
    }
}

/// What can go wrong here.
#[derive(Debug, thiserror::Error)]
pub enum CommerceError {
    /// A rule says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A field is wrong.
    #[error("{0}")]
    Invalid(String),
    /// No such thing, or not yours.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// Not for this person to do.
    #[error("{0} is not yours")]
    NotYours(&'static str),
    /// Another request came under this key.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The queue of buyers is full.
    #[error("{waiting} buyers are waiting")]
    QueueFull {
        /// How many are before you.
        waiting: usize,
    },
    /// This node's clock is too far from the database's to sell by it.
    #[error("this node's clock is wrong by {offset_ms} ms")]
    WrongClock {
        /// What is to be added to it.
        offset_ms: i64,
    },
    /// The payment provider does not answer, or refuses.
    #[error("the payment provider: {0}")]
    Provider(String),
    /// The answer of the database was lost; a retry by key tells what happened.
    #[error("it is not known yet whether this happened")]
    Unknown,
    /// Asked more often than anybody needs to.
    #[error("that was asked too often")]
    TooOften,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}
