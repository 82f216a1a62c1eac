//! Door: who collects the money.
//!
//! Every provider answers with the same few words; the key of a call is `pi:{purchase}:{attempt}`, so a call may be
//! repeated without a second charge.

mod method;
mod sandbox;
mod stripe;
mod words;

pub use method::{Method, TestMethod, UnknownMethod};
pub use words::{Action, SetupState, SignatureFault};

use crate::{clock::Clock, money::Money, store::Db, tasks::Tasks};

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
    pub(super) async fn capture(&self, key: &str) -> Result<bool, NoAnswer> {
        match self {
            Self::Sandbox(sandbox) => sandbox.capture(key).await,
        }
    }

    /// Lets reserved money go; unknown or let go already is fine.
    pub(super) async fn cancel(&self, key: &str) -> Result<(), NoAnswer> {
        match self {
            Self::Sandbox(sandbox) => sandbox.cancel(key).await,
        }
    }
}
