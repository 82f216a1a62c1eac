//! Shell: cards that are saved ahead, so that a purchase is two taps and 3-D Secure is over when the drop begins.

use std::{num::NonZeroU32, sync::Arc};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use serde::Serialize;

use super::{
    CommerceError, Refusal,
    payment::{Action, Method, Payment, Setup, SetupState, Source},
    saved_cards::{self, SavedCard},
};
use crate::{
    clock::Clock,
    ids::{AuditId, CardId, CustomerId},
    store::Db,
};

/// Cards of one customer that are shown.
const MAX_CARDS: i64 = 50;

/// Cards that one customer may try, by saving or paying: so many at once …
const TRIES_AT_ONCE: NonZeroU32 = NonZeroU32::new(10).expect("not zero");
/// … and then so many a minute: nobody finds out here which stolen numbers still work. Not in the sandbox.
const TRIES_PER_MINUTE: NonZeroU32 = NonZeroU32::new(10).expect("not zero");
/// Customers that are remembered before those that did not try for a while are forgotten.
const MAX_TRIED: usize = 50_000;

/// A card that is being saved.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = CardSetup)]
pub struct SetupView {
    /// The provider's name of it.
    pub id: String,
    /// Where it stands.
    pub state: SetupState,
    /// What the buyer must do for it.
    pub action: Option<Action>,
    /// Once it is saved.
    pub card: Option<SavedCard>,
}

/// Saved cards. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Wallet {
    db: Db,
    clock: Clock,
    payment: Payment,
    tries: Arc<DefaultKeyedRateLimiter<String>>,
}

impl Wallet {
    /// Of this provider.
    #[must_use]
    pub fn new(db: Db, clock: Clock, payment: Payment) -> Self {
        let quota = Quota::per_minute(TRIES_PER_MINUTE).allow_burst(TRIES_AT_ONCE);
        Self { db, clock, payment, tries: Arc::new(RateLimiter::keyed(quota)) }
    }

    fn count_try(&self, customer: &CustomerId) -> Result<(), CommerceError> {
        if self.payment.is_sandbox() {
            return Ok(());
        }
        if self.tries.len() > MAX_TRIED {
            self.tries.retain_recent();
        }
        self.tries.check_key(&customer.to_string()).map_err(|_| CommerceError::TooOften)
    }

    /// A customer's cards, newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn cards(&self, customer: &CustomerId) -> Result<Vec<SavedCard>, CommerceError> {
        let mut tx = self.db.read("saved cards").await?;
        Ok(saved_cards::list(&mut tx, customer, MAX_CARDS).await?)
    }

    /// Begins to save a card. In the sandbox `test` says which.
    ///
    /// # Errors
    /// [`CommerceError::Provider`]; an invalid test method.
    pub async fn begin(&self, customer: &CustomerId, test: Option<&Method>) -> Result<SetupView, CommerceError> {
        let test = match test {
            None => None,
            Some(Method::Test(test)) if self.payment.is_sandbox() && test.is_card() => Some(*test),
            Some(_) => return Err(CommerceError::Invalid("test_method must be a test card of the sandbox".to_owned())),
        };
        self.count_try(customer)?;
        let owner = self.owner(customer).await?;
        // One try, one setup: an unused one costs nothing, and its answer bears a secret that is not to be kept.
        let setup = self.payment.begin_setup(&owner, &format!("seti:{}", AuditId::fresh()), test).await?;
        let mut tx = self.db.write("begin card setup").await?;
        saved_cards::begin(&mut tx, customer, self.payment.name(), &setup.id, self.clock.now()).await?;
        tx.commit().await?;
        self.settle(customer, setup).await
    }

    /// How the saving of a card stands, asked of the provider.
    ///
    /// # Errors
    /// Not found, also when it is another's; [`CommerceError::Provider`].
    pub async fn setup(&self, customer: &CustomerId, id: &str) -> Result<SetupView, CommerceError> {
        let mut tx = self.db.read("card setup").await?;
        let whose = saved_cards::whose_setup(&mut tx, self.payment.name(), id).await?;
        drop(tx);
        if whose.as_ref() != Some(customer) {
            return Err(CommerceError::NotFound("card setup"));
        }
        let setup = self.payment.read_setup(id).await?;
        self.settle(customer, setup).await
    }

    /// The provider says that something happened to a setup.
    pub(super) async fn heard_of(&self, id: &str) -> Result<(), CommerceError> {
        let mut tx = self.db.read("card setup").await?;
        let whose = saved_cards::whose_setup(&mut tx, self.payment.name(), id).await?;
        drop(tx);
        match whose {
            Some(customer) => self.setup(&customer, id).await.map(drop),
            // Of another shop of the same account.
            None => Ok(()),
        }
    }

    /// Removes a card, here and at the provider. Purchases that are under way with it go on.
    ///
    /// # Errors
    /// Not found, also when it is another's.
    pub async fn remove(&self, customer: &CustomerId, card: &CardId) -> Result<(), CommerceError> {
        let mut tx = self.db.write("remove card").await?;
        let name = saved_cards::remove(&mut tx, customer, card, self.clock.now()).await?;
        let name = name.ok_or(CommerceError::NotFound("card"))?;
        tx.commit().await?;
        if let Err(error) = self.payment.forget_card(&name).await {
            // It cannot be bought with here any more, and that is what was asked for.
            tracing::warn!(error = %error, "the provider still remembers a removed card");
        }
        Ok(())
    }

    /// Whether a customer may pay so.
    pub(super) async fn check(&self, customer: &CustomerId, method: &Method) -> Result<(), CommerceError> {
        if !self.payment.takes(method) {
            return Err(Refusal::MethodUnavailable.into());
        }
        self.count_try(customer)?;
        if let Method::Saved(card) = method {
            let mut tx = self.db.read("saved card").await?;
            let found = saved_cards::find_ref(&mut tx, customer, self.payment.name(), card).await?;
            found.ok_or(Refusal::MethodUnavailable)?;
        }
        Ok(())
    }

    /// What the provider is to take the money from, and what it calls its owner. `None`: the card is not there any more.
    pub(super) async fn source(
        &self,
        customer: &CustomerId,
        method: &Method,
    ) -> Result<Option<(Source, String)>, CommerceError> {
        let source = match method {
            Method::Test(test) => return Ok(Some((Source::Test(*test), customer.to_string()))),
            Method::Token(token) => Source::Token(token.clone()),
            Method::Saved(card) => {
                let mut tx = self.db.read("saved card").await?;
                match saved_cards::find_ref(&mut tx, customer, self.payment.name(), card).await? {
                    Some(name) => Source::Saved(name),
                    None => return Ok(None),
                }
            }
        };
        Ok(Some((source, self.owner(customer).await?)))
    }

    /// What the provider calls a customer, who is made there when there is none.
    pub(super) async fn owner(&self, customer: &CustomerId) -> Result<String, CommerceError> {
        let provider = self.payment.name();
        let mut tx = self.db.read("provider's customer").await?;
        let known = saved_cards::find_customer(&mut tx, provider, customer).await?;
        drop(tx);
        if let Some(name) = known {
            return Ok(name);
        }
        let name = self.payment.customer(customer).await?;
        let mut tx = self.db.write("provider's customer").await?;
        let name = saved_cards::keep_customer(&mut tx, provider, customer, &name).await?;
        tx.commit().await?;
        Ok(name)
    }

    async fn settle(&self, customer: &CustomerId, setup: Setup) -> Result<SetupView, CommerceError> {
        let card = match &setup.card {
            Some(face) if setup.state == SetupState::Saved => {
                let mut tx = self.db.write("save card").await?;
                let card = saved_cards::keep(&mut tx, customer, self.payment.name(), face, self.clock.now()).await?;
                tx.commit().await?;
                Some(card)
            }
            _ => None,
        };
        Ok(SetupView { id: setup.id, state: setup.state, action: setup.action, card })
    }
}
