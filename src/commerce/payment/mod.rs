//! Door: who collects the money.
//!
//! Every provider answers with the same few words; the key of a call is `pi:{purchase}:{attempt}`, so a call may be
//! repeated without a second charge.

mod method;
mod sandbox;
mod sandbox_books;
mod words;

pub use method::{Method, TestMethod, UnknownMethod};
pub use words::{Action, SetupState, SignatureFault};
pub(in crate::commerce) use words::{Entry, EntryKind, EntryPage, RefundStatus, RefundWord, Trouble};

use crate::{
    clock::{Clock, Millis},
    money::Money,
    store::Db,
    tasks::Tasks,
};

/// The provider's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// The money is reserved.
    Authorized,
    /// No.
    Declined,
}

/// The provider's answer did not arrive; whether it acted is not known. Ask again under the same key.
#[derive(Debug, thiserror::Error)]
#[error("the provider's answer did not arrive")]
pub(super) struct NoAnswer;

/// A provider.
#[derive(Debug, Clone)]
pub enum Payment {
    /// Pretends, with a memory of its own.
    Sandbox(sandbox::Sandbox),
}

impl Payment {
    /// The sandbox over this database.
    #[must_use]
    pub fn sandbox(db: Db, clock: Clock, tasks: &Tasks) -> Self {
        Self::Sandbox(sandbox::Sandbox::start(db, clock, tasks))
    }

    /// Reserves the money under a key; the same key has the same answer.
    pub(super) async fn authorize(&self, key: &str, amount: Money, method: &Method) -> Result<Word, NoAnswer> {
        match self {
            Self::Sandbox(sandbox) => sandbox.authorize(key, amount, method).await,
        }
    }

    /// Takes reserved money; taken already is fine. `false`: there is none to take.
    pub(super) async fn capture(&self, key: &str, amount: Money) -> Result<bool, NoAnswer> {
        match self {
            Self::Sandbox(sandbox) => sandbox.capture(key, amount).await,
        }
    }

    /// Lets reserved money go; unknown or let go already is fine.
    pub(super) async fn cancel(&self, key: &str) -> Result<(), NoAnswer> {
        match self {
            Self::Sandbox(sandbox) => sandbox.cancel(key).await,
        }
    }

    /// Gives back a part of what a payment took; the same key gives back once.
    pub(super) async fn refund(&self, intent: &str, amount: Money, key: &str) -> Result<RefundWord, Trouble> {
        match self {
            Self::Sandbox(sandbox) => sandbox.refund(intent, amount, key).await,
        }
    }

    /// Where a refund stands.
    pub(super) async fn read_refund(&self, id: &str) -> Result<RefundWord, Trouble> {
        match self {
            Self::Sandbox(sandbox) => sandbox.read_refund(id).await,
        }
    }

    /// The refund of a payment that was asked for under a key, also when the provider has forgotten the key itself.
    pub(super) async fn find_refund(&self, intent: &str, key: &str) -> Result<Option<RefundWord>, Trouble> {
        match self {
            Self::Sandbox(sandbox) => sandbox.find_refund(intent, key).await,
        }
    }

    /// A page of the provider's books of this time, after the entry of that name.
    pub(super) async fn entries(&self, from: Millis, to: Millis, after: Option<&str>) -> Result<EntryPage, Trouble> {
        match self {
            Self::Sandbox(sandbox) => sandbox.entries(from, to, after).await,
        }
    }
}
