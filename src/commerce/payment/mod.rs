//! Door: who collects the money.
//!
//! Every provider is asked and answers in the same words ([`words`]); the key of a charge is `pi:{purchase}:{attempt}`, so
//! asking again charges nobody twice.

mod method;
mod sandbox;
mod sandbox_books;
mod signature;
mod stripe;
mod words;

pub use method::{Method, TestMethod};
pub use sandbox::Outcome as SandboxOutcome;
pub(super) use sandbox::Signed;
pub use stripe::WireError;
pub use words::{Action, SetupState, SignatureFault, Slow};
pub(super) use words::{
    CardFace, Charge, Entry, EntryKind, EntryPage, Event, EventObject, Intent, RefundStatus, RefundWord, Setup, Source,
    Status, Trouble,
};

use std::num::NonZeroU32;

use crate::{
    clock::{Clock, Millis},
    config::StripeConfig,
    ids::CustomerId,
    money::Money,
    store::Db,
    tasks::Tasks,
};

/// A provider. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Payment {
    /// Pretends, with books of its own.
    Sandbox(sandbox::Sandbox),
    /// Stripe.
    Stripe(stripe::Stripe),
}

/// The same call of whichever provider there is.
macro_rules! ask {
    ($payment:expr, $provider:ident => $call:expr) => {
        match $payment {
            Self::Sandbox($provider) => $call,
            Self::Stripe($provider) => $call,
        }
    };
}

impl Payment {
    /// The sandbox over this database.
    #[must_use]
    pub fn sandbox(db: Db, clock: Clock, tasks: &Tasks) -> Self {
        Self::Sandbox(sandbox::Sandbox::start(db, clock, tasks))
    }

    /// Stripe, by this account.
    ///
    /// # Errors
    /// Keys that cannot be sent.
    pub fn stripe(config: StripeConfig, clock: Clock) -> Result<Self, WireError> {
        Ok(Self::Stripe(stripe::Stripe::new(config, clock)?))
    }

    /// The signed messages that the sandbox sends itself, for the one who hears them.
    pub(super) fn messages(&self) -> Option<tokio::sync::mpsc::Receiver<Signed>> {
        match self {
            Self::Sandbox(sandbox) => sandbox.messages(),
            Self::Stripe(_) => None,
        }
    }

    /// As stored with what is the provider's.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sandbox(_) => "sandbox",
            Self::Stripe(_) => "stripe",
        }
    }

    /// Whether no money moves.
    #[must_use]
    pub fn is_sandbox(&self) -> bool {
        matches!(self, Self::Sandbox(_))
    }

    /// Payments that may be asked of it a second, if there is a limit.
    #[must_use]
    pub fn per_s(&self) -> Option<NonZeroU32> {
        match self {
            Self::Sandbox(_) => None,
            Self::Stripe(stripe) => Some(stripe.config().per_endpoint_per_s),
        }
    }

    /// The shop's public key, for the page.
    #[must_use]
    pub fn publishable_key(&self) -> Option<&str> {
        match self {
            Self::Sandbox(_) => None,
            Self::Stripe(stripe) => Some(&stripe.config().publishable_key),
        }
    }

    /// What buyers may pay by: `card`, `paypay`, `konbini`.
    #[must_use]
    pub fn methods(&self) -> Vec<String> {
        match self {
            Self::Sandbox(_) => ["card", "paypay", "konbini"].map(str::to_owned).to_vec(),
            Self::Stripe(stripe) => stripe.config().methods.iter().map(|method| method.as_str().to_owned()).collect(),
        }
    }

    /// Whether buyers may pay by this here.
    #[must_use]
    pub fn takes(&self, method: &Method) -> bool {
        match (self, method) {
            (_, Method::Saved(_)) | (Self::Sandbox(_), Method::Test(_)) | (Self::Stripe(_), Method::Token(_)) => true,
            (Self::Sandbox(_), Method::Token(_)) | (Self::Stripe(_), Method::Test(_)) => false,
        }
    }

    /// Asks for money: makes the payment and confirms it. The same key has the same payment.
    pub(super) async fn charge(&self, charge: &Charge<'_>) -> Result<Intent, Trouble> {
        ask!(self, provider => provider.charge(charge).await)
    }

    /// The payment that was made under this key, without making one.
    pub(super) async fn find(&self, charge: &Charge<'_>) -> Result<Option<Intent>, Trouble> {
        ask!(self, provider => provider.find(charge).await)
    }

    /// How a payment stands.
    pub(super) async fn read(&self, intent: &str) -> Result<Intent, Trouble> {
        ask!(self, provider => provider.read(intent).await)
    }

    /// What the buyer must do for a payment, if anything.
    pub(super) async fn action(&self, intent: &str) -> Result<Option<Action>, Trouble> {
        ask!(self, provider => provider.action(intent).await)
    }

    /// Takes reserved money, all of it or less. Taken already is fine.
    pub(super) async fn capture(&self, intent: &str, amount: Money) -> Result<Intent, Trouble> {
        ask!(self, provider => provider.capture(intent, amount).await)
    }

    /// Calls a payment off; what was taken already stays taken, and the answer says so.
    pub(super) async fn cancel(&self, intent: &str) -> Result<Intent, Trouble> {
        ask!(self, provider => provider.cancel(intent).await)
    }

    /// The provider's name of a customer, made when there is none.
    pub(super) async fn customer(&self, id: &CustomerId) -> Result<String, Trouble> {
        match self {
            // The sandbox calls customers as we do.
            Self::Sandbox(_) => Ok(id.to_string()),
            Self::Stripe(stripe) => stripe.customer(id).await,
        }
    }

    /// Begins to save a card.
    pub(super) async fn begin_setup(
        &self,
        customer: &str,
        key: &str,
        test: Option<TestMethod>,
    ) -> Result<Setup, Trouble> {
        ask!(self, provider => provider.begin_setup(customer, key, test).await)
    }

    /// How the saving of a card stands.
    pub(super) async fn read_setup(&self, id: &str) -> Result<Setup, Trouble> {
        ask!(self, provider => provider.read_setup(id).await)
    }

    /// Forgets a card.
    pub(super) async fn forget_card(&self, method: &str) -> Result<(), Trouble> {
        match self {
            // There is nothing to forget: nobody knows the card's name any more.
            Self::Sandbox(_) => {
                tracing::trace!(method, "forgotten");
                Ok(())
            }
            Self::Stripe(stripe) => stripe.forget_card(method).await,
        }
    }

    /// Gives back a part of what a payment took; the same key gives back once.
    pub(super) async fn refund(&self, intent: &str, amount: Money, key: &str) -> Result<RefundWord, Trouble> {
        ask!(self, provider => provider.refund(intent, amount, key).await)
    }

    /// Where a refund stands.
    pub(super) async fn read_refund(&self, id: &str) -> Result<RefundWord, Trouble> {
        ask!(self, provider => provider.read_refund(id).await)
    }

    /// The refund of a payment that was asked for under a key, also when the provider has forgotten the key itself.
    pub(super) async fn find_refund(&self, intent: &str, key: &str) -> Result<Option<RefundWord>, Trouble> {
        ask!(self, provider => provider.find_refund(intent, key).await)
    }

    /// A page of the provider's books of this time, after the entry of that name.
    pub(super) async fn entries(&self, from: Millis, to: Millis, after: Option<&str>) -> Result<EntryPage, Trouble> {
        ask!(self, provider => provider.entries(from, to, after).await)
    }

    /// What a message of the provider says, once its signature is right.
    pub(super) fn event(&self, raw: &[u8], signature: &str, now: Millis) -> Result<Event, SignatureFault> {
        ask!(self, provider => provider.event(raw, signature, now))
    }
}
