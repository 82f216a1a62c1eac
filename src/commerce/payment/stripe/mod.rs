//! Edge: Stripe.
//!
//! `requests.rs` says what is asked, `wire.rs` carries it, `faults.rs` and `answers.rs` say what was answered,
//! `events.rs` reads Stripe's messages. Nothing here remembers anything: Stripe's own books are the truth.

mod answers;
mod events;
mod faults;
#[cfg(test)]
mod localstripe_tests;
mod rates;
#[cfg(test)]
mod real_tests;
mod requests;
#[cfg(test)]
mod tests;
mod wire;

use std::{sync::Arc, time::Duration};

pub use wire::WireError;

use self::{
    answers::{BalanceTransaction, Called, Page, PaymentIntent, PaymentMethod, Refund, SetupIntent},
    faults::Failure,
    rates::Endpoint,
    wire::Wire,
};
use super::{
    TestMethod,
    words::{Action, Charge, EntryPage, Event, Intent, RefundWord, Setup, SignatureFault, Status, Trouble},
};
use crate::{
    clock::{Clock, Millis},
    config::{Secret, StripeConfig},
    ids::CustomerId,
    money::Money,
};

/// Stripe keeps a key for a day at least; an hour is left for clocks and for the call itself.
const KEY_LIFE: Duration = Duration::from_secs(23 * 3_600);
/// Pages that are looked through for one payment or refund.
const MAX_PAGES: usize = 20;
/// What Stripe says when a payment cannot do that any more, or not yet.
const UNEXPECTED_STATE: &str = "payment_intent_unexpected_state";

/// Stripe, by one account's keys. Clones share its connections and its pace.
#[derive(Debug, Clone)]
pub struct Stripe {
    wire: Arc<Wire>,
    clock: Clock,
    config: Arc<StripeConfig>,
}

impl Stripe {
    /// Opens a way; asks nothing.
    pub(super) fn new(config: StripeConfig, clock: Clock) -> Result<Self, WireError> {
        Ok(Self { wire: Arc::new(Wire::new(&config)?), clock, config: Arc::new(config) })
    }

    /// What the page may offer, and its key.
    pub(in crate::commerce) fn config(&self) -> &StripeConfig {
        &self.config
    }

    /// Makes and confirms a payment. One that is too old for its key is only looked for.
    pub(in crate::commerce) async fn charge(&self, charge: &Charge<'_>) -> Result<Intent, Trouble> {
        let request = requests::charge(charge, &self.config.methods)?;
        if self.clock.now() > charge.created_at.plus(KEY_LIFE) {
            let found = self.find(charge).await?;
            return found.ok_or(Trouble::Refused { code: "attempt_too_old".to_owned() });
        }
        match self.wire.ask::<PaymentIntent>(Endpoint::CreateIntent, request, Some(charge.key)).await {
            Ok(made) => Ok(made.into_intent()),
            Err(Failure { intent: Some(made), .. }) => Ok(made.into_intent()),
            Err(failure) => Err(failure.trouble),
        }
    }

    /// The payment of an attempt, by what Stripe itself wrote down.
    pub(in crate::commerce) async fn find(&self, charge: &Charge<'_>) -> Result<Option<Intent>, Trouble> {
        let mut after: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let request = requests::payments(charge.customer, charge.created_at, after.as_deref());
            let page: Page<PaymentIntent> = self.wire.ask(Endpoint::ListIntents, request, None).await?;
            let last = page.data.last().map(|intent| intent.id.clone());
            if let Some(found) = page.data.into_iter().find(|intent| intent.is_of(charge.key)) {
                // A list leaves out what is expanded.
                return self.read(&found.id).await.map(Some);
            }
            if !page.has_more || last.is_none() {
                return Ok(None);
            }
            after = last;
        }
        // There are more, so it is not known that there is none.
        tracing::error!(customer = charge.customer, "too many payments of one customer to find one of them");
        Err(Trouble::NoAnswer)
    }

    /// A payment as it is.
    pub(in crate::commerce) async fn read(&self, intent: &str) -> Result<Intent, Trouble> {
        Ok(self.load(intent).await?.into_intent())
    }

    /// What the buyer must do for it. The client secret is asked for each time and kept nowhere.
    pub(in crate::commerce) async fn action(&self, intent: &str) -> Result<Option<Action>, Trouble> {
        Ok(self.load(intent).await?.into_action(&self.config.publishable_key))
    }

    async fn load(&self, intent: &str) -> Result<PaymentIntent, Trouble> {
        Ok(self.wire.ask(Endpoint::ReadIntent, requests::read(intent)?, None).await?)
    }

    /// Takes reserved money, all of it or less; the rest is let go.
    pub(in crate::commerce) async fn capture(&self, intent: &str, amount: Money) -> Result<Intent, Trouble> {
        let request = || requests::capture(intent, amount);
        self.change(Endpoint::Capture, intent, &format!("cap:{intent}"), request).await
    }

    /// Calls a payment off.
    pub(in crate::commerce) async fn cancel(&self, intent: &str) -> Result<Intent, Trouble> {
        let request = || requests::cancel(intent);
        self.change(Endpoint::Cancel, intent, &format!("cancel:{intent}"), request).await
    }

    /// A step that a payment takes once, whoever asks for it and how often. Where it cannot take it, its state is read.
    async fn change(
        &self,
        endpoint: Endpoint,
        intent: &str,
        key: &str,
        request: impl Fn() -> Result<stripe_client_core::RequestBuilder, Trouble>,
    ) -> Result<Intent, Trouble> {
        let mut changed = self.wire.ask::<PaymentIntent>(endpoint, request()?, Some(key)).await;
        if changed.as_ref().is_err_and(|failure| failure.replayed || failure.trouble == Trouble::KeyMet) {
            // What Stripe answered once it repeats for a day, although the payment may have moved on since, or another amount
            // be left to take. The payment itself takes the step only once, so another key is safe.
            let fresh = format!("{key}:{}", self.clock.now().0);
            changed = self.wire.ask(endpoint, request()?, Some(&fresh)).await;
        }
        let trouble = match changed {
            Ok(changed) => return Ok(changed.into_intent()),
            Err(failure) => failure.trouble,
        };
        match &trouble {
            Trouble::Refused { code } => {
                let is = self.read(intent).await?;
                let over = matches!(is.status, Status::Captured | Status::Cancelled);
                if over || code == UNEXPECTED_STATE { Ok(is) } else { Err(trouble) }
            }
            _ => Err(trouble),
        }
    }

    /// Gives money back.
    pub(in crate::commerce) async fn refund(
        &self,
        intent: &str,
        amount: Money,
        key: &str,
    ) -> Result<RefundWord, Trouble> {
        let request = requests::refund(intent, amount, key);
        match self.wire.ask::<Refund>(Endpoint::CreateRefund, request, Some(key)).await {
            Ok(made) => Ok(made.into_word()),
            Err(Failure { trouble: Trouble::KeyMet, .. }) => {
                self.find_refund(intent, key).await?.ok_or(Trouble::KeyMet)
            }
            Err(failure) => Err(failure.trouble),
        }
    }

    /// A refund as it is.
    pub(in crate::commerce) async fn read_refund(&self, id: &str) -> Result<RefundWord, Trouble> {
        let refund: Refund = self.wire.ask(Endpoint::ReadRefund, requests::read_refund(id)?, None).await?;
        Ok(refund.into_word())
    }

    /// The refund of a key, by what Stripe itself wrote down.
    pub(in crate::commerce) async fn find_refund(
        &self,
        intent: &str,
        key: &str,
    ) -> Result<Option<RefundWord>, Trouble> {
        let mut after: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let request = requests::refunds(intent, after.as_deref());
            let page: Page<Refund> = self.wire.ask(Endpoint::ListRefunds, request, None).await?;
            let last = page.data.last().map(|refund| refund.id.clone());
            if let Some(found) = page.data.into_iter().find(|refund| refund.is_of(key)) {
                return Ok(Some(found.into_word()));
            }
            if !page.has_more || last.is_none() {
                return Ok(None);
            }
            after = last;
        }
        tracing::error!(intent, "too many refunds of one payment to find one of them");
        Err(Trouble::NoAnswer)
    }

    /// Makes the buyer known. Asked again after a minute it makes another one, which does no harm: who is kept is ours to
    /// say. A key that had an error for its answer would have it for a day, and that buyer could not pay.
    pub(in crate::commerce) async fn customer(&self, id: &CustomerId) -> Result<String, Trouble> {
        let key = format!("cus:{id}:{}", self.clock.now().0.div_euclid(60_000));
        let made: Called = self.wire.ask(Endpoint::CreateCustomer, requests::customer(id), Some(&key)).await?;
        Ok(made.id)
    }

    /// Begins to save a card; the page does the rest with Stripe.
    pub(in crate::commerce) async fn begin_setup(
        &self,
        customer: &str,
        key: &str,
        test: Option<TestMethod>,
    ) -> Result<Setup, Trouble> {
        if test.is_some() {
            return Err(Trouble::Refused { code: "test_method".to_owned() });
        }
        let request = requests::begin_setup(customer);
        let begun: SetupIntent = self.wire.ask(Endpoint::CreateSetup, request, Some(key)).await?;
        Ok(begun.into_setup(&self.config.publishable_key))
    }

    /// Whether the card is saved.
    pub(in crate::commerce) async fn read_setup(&self, id: &str) -> Result<Setup, Trouble> {
        let setup: SetupIntent = self.wire.ask(Endpoint::ReadSetup, requests::read_setup(id)?, None).await?;
        Ok(setup.into_setup(&self.config.publishable_key))
    }

    /// Has Stripe forget a card; forgotten already is fine.
    pub(in crate::commerce) async fn forget_card(&self, method: &str) -> Result<(), Trouble> {
        let key = format!("detach:{method}");
        let asked = self.wire.ask::<Called>(Endpoint::Detach, requests::detach(method)?, Some(&key)).await;
        let Err(Failure { trouble: Trouble::Refused { code }, .. }) = asked else {
            return asked.map(drop).map_err(Trouble::from);
        };
        // Stripe has no code for a card that is nobody's any more.
        let request = requests::read_method(method)?;
        match self.wire.ask::<PaymentMethod>(Endpoint::ReadMethod, request, None).await.map_err(Trouble::from) {
            Ok(card) if card.is_kept() => Err(Trouble::Refused { code }),
            Ok(_) | Err(Trouble::Refused { .. }) => Ok(()),
            Err(trouble) => Err(trouble),
        }
    }

    /// A page of Stripe's books, newest first.
    pub(in crate::commerce) async fn entries(
        &self,
        from: Millis,
        to: Millis,
        after: Option<&str>,
    ) -> Result<EntryPage, Trouble> {
        let request = requests::entries(from, to, after);
        let page: Page<BalanceTransaction> = self.wire.ask(Endpoint::ListEntries, request, None).await?;
        let entries = page.data.into_iter().map(BalanceTransaction::into_entry).collect();
        Ok(EntryPage { entries, more: page.has_more })
    }

    /// Reads a message of Stripe.
    pub(in crate::commerce) fn event(&self, raw: &[u8], signature: &str, now: Millis) -> Result<Event, SignatureFault> {
        let secrets: &[Secret] = &self.config.webhook_secrets;
        events::event(secrets, raw, signature, now)
    }
}
