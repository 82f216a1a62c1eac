//! Value: the words in which every provider is asked and answers.

use std::time::Duration;

use serde::Serialize;

use super::TestMethod;
use crate::{clock::Millis, ids::PurchaseId, money::Money};

/// What a purchase asks of the provider.
#[derive(Debug, Clone, Copy)]
pub(in crate::commerce) struct Charge<'a> {
    /// `pi:{purchase}:{n}`: asked twice under it, the provider acts once. Also written into the payment itself.
    pub(in crate::commerce) key: &'a str,
    /// Written into the payment, so that it is found without our books.
    pub(in crate::commerce) purchase: &'a PurchaseId,
    /// How much.
    pub(in crate::commerce) amount: Money,
    /// From where.
    pub(in crate::commerce) source: &'a Source,
    /// The provider's name of the buyer.
    pub(in crate::commerce) customer: &'a str,
    /// Whether methods may be used that take days.
    pub(in crate::commerce) slow: Slow,
    /// Where a method that leads away comes back to.
    pub(in crate::commerce) return_url: &'a str,
    /// When the attempt was made: providers forget keys after a day.
    pub(in crate::commerce) created_at: Millis,
}

/// Where the money comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::commerce) enum Source {
    /// One of the sandbox's test methods.
    Test(TestMethod),
    /// A saved card, by the provider's name of it.
    Saved(String),
    /// What the provider's own form in the page made of what the buyer typed.
    Token(String),
}

/// Whether methods may be used that take days (konbini): not for what sells out in a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slow {
    /// They may.
    Allowed,
    /// They may not.
    Refused,
}

/// A payment as the provider sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::commerce) struct Intent {
    /// The provider's name of it.
    pub(in crate::commerce) id: String,
    pub(in crate::commerce) status: Status,
    pub(in crate::commerce) amount_minor: i64,
    /// Taken so far.
    pub(in crate::commerce) captured_minor: i64,
    /// [`Charge::key`], as the provider kept it.
    pub(in crate::commerce) attempt: Option<String>,
    /// `card`, `paypay`, `konbini` …
    pub(in crate::commerce) method: Option<String>,
    /// Why it failed: the provider's code, no sentence (sentences may name people).
    pub(in crate::commerce) decline_code: Option<String>,
    /// What the provider's books call the money.
    pub(in crate::commerce) charge: Option<String>,
    /// Until when reserved money can be taken.
    pub(in crate::commerce) capture_before: Option<Millis>,
}

/// Where a payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commerce) enum Status {
    /// The buyer must do something.
    RequiresAction,
    /// The provider is at it.
    Processing,
    /// The money is reserved.
    Authorized,
    /// The money was taken.
    Captured,
    /// No.
    Failed,
    /// Called off; it can never be paid.
    Cancelled,
}

/// Why there is no word.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::commerce) enum Trouble {
    /// Whether the provider acted is not known. Ask again under the same key.
    #[error("the provider's answer did not arrive")]
    NoAnswer,
    /// Too many questions; this one did nothing.
    #[error("the provider is busy")]
    Busy {
        /// When to ask again, if it said so.
        retry_after: Option<Duration>,
    },
    /// The request itself is refused: it did nothing, and will never do anything.
    #[error("the provider refuses the request: {code}")]
    Refused {
        /// The provider's code.
        code: String,
    },
    /// Our key is not accepted: the operator must act. Nothing was done.
    #[error("the provider does not accept our key")]
    Misconfigured,
    /// The key was used with another request: look for what it made.
    #[error("the provider knows this key with another request")]
    KeyMet,
}

/// What the buyer must do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Action {
    /// Go there, and come back.
    Redirect {
        /// Absolute, or a path of this server.
        url: String,
    },
    /// Let Stripe's script do it.
    Stripe {
        /// Of the one payment or card; never stored.
        client_secret: String,
        /// The shop's public key.
        publishable_key: String,
    },
}

/// Where a refund stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commerce) enum RefundStatus {
    Pending,
    /// The buyer must say where the money goes (konbini).
    RequiresAction,
    Succeeded,
    Failed,
    Cancelled,
}

/// A refund as the provider sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::commerce) struct RefundWord {
    /// The provider's name of it.
    pub(in crate::commerce) id: String,
    pub(in crate::commerce) status: RefundStatus,
    pub(in crate::commerce) amount_minor: i64,
    /// The provider's code.
    pub(in crate::commerce) failure: Option<String>,
}

/// A card that is being saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::commerce) struct Setup {
    /// The provider's name of it.
    pub(in crate::commerce) id: String,
    pub(in crate::commerce) state: SetupState,
    /// What the buyer must do for it.
    pub(in crate::commerce) action: Option<Action>,
    /// Once it is saved.
    pub(in crate::commerce) card: Option<CardFace>,
}

/// Where the saving of a card stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SetupState {
    /// The buyer must do something.
    RequiresAction,
    /// It can be bought with.
    Saved,
    /// No.
    Failed,
}

/// What may be shown of a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::commerce) struct CardFace {
    /// The provider's name of it.
    pub(in crate::commerce) method: String,
    /// The provider's name of its owner.
    pub(in crate::commerce) customer: String,
    pub(in crate::commerce) brand: String,
    pub(in crate::commerce) last4: String,
    pub(in crate::commerce) exp_month: i32,
    pub(in crate::commerce) exp_year: i32,
}

/// One line of the provider's books, signed as our balance with it moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::commerce) struct Entry {
    /// The provider's name of it.
    pub(in crate::commerce) id: String,
    pub(in crate::commerce) kind: EntryKind,
    pub(in crate::commerce) amount_minor: i64,
    /// Part of the amount that the provider keeps.
    pub(in crate::commerce) fee_minor: i64,
    pub(in crate::commerce) net_minor: i64,
    /// What it is about: a charge, a refund, a payout.
    pub(in crate::commerce) source: Option<String>,
    /// The payment behind it, where the provider says so.
    pub(in crate::commerce) intent: Option<String>,
    pub(in crate::commerce) at: Millis,
}

/// What a line of the provider's books is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commerce) enum EntryKind {
    Charge,
    Refund,
    /// A refund that did not arrive came back.
    RefundFailure,
    Fee,
    Payout,
    Dispute,
    Other,
}

/// A page of the provider's books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::commerce) struct EntryPage {
    pub(in crate::commerce) entries: Vec<Entry>,
    /// Whether there are more after the last one.
    pub(in crate::commerce) more: bool,
}

/// What the provider says happened. Only names: what is true now is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::commerce) struct Event {
    /// The provider's name of it: told twice, it counts once.
    pub(in crate::commerce) id: String,
    /// The provider's word for what happened.
    pub(in crate::commerce) kind: String,
    pub(in crate::commerce) object: EventObject,
    pub(in crate::commerce) created: Millis,
}

/// To what it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::commerce) enum EventObject {
    Intent(String),
    Refund(String),
    Setup(String),
    /// Something else, by the provider's name of it.
    Other(String),
}

/// A message that does not come from the provider, or too late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    /// There is none, or it cannot be read.
    #[error("the signature header is missing or cannot be read")]
    Unreadable,
    /// It is of other bytes or of another secret.
    #[error("no signature in the header is right")]
    Wrong,
    /// It was made too long ago, or in the future.
    #[error("the signature is too old")]
    Stale,
    /// It is right, but what it signs is no event.
    #[error("the signed body is no event")]
    NoEvent,
}
