//! Shell: what a brand does with its addresses.
//!
//! Invariant: a secret is told when it is made (and again to who repeats that request under its Idempotency-Key), never
//! later; each change is noted in the audit log, in its transaction.

use std::{collections::BTreeSet, sync::Arc};

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Notify;

use super::{
    address,
    endpoints::{self, EndpointState, Said, WebhookEndpoint},
    event::EventKind,
    messages::{self, Delivery, DeliveryWithBody},
    postman::Postman,
    schedule::DeliveryState,
    sender::Sender,
    signature::{SECRET_BYTES, shown},
};
use crate::{
    clock::{Clock, Millis},
    config::WebhooksSection,
    ids::{AccountId, BrandId, MessageId, WebhookId},
    people::{AuditNote, insert_note},
    store::{Db, StoreError, Tx},
    tasks::Tasks,
};

/// Addresses of one brand.
const MAX_ENDPOINTS: usize = 5;
/// Characters of what a brand calls one.
const MAX_DESCRIPTION: usize = 200;
/// How long the secret before signs, too.
const OLD_SECRET_MS: i64 = 24 * 3_600_000;

/// What can go wrong here.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// A field is wrong.
    #[error("{0}")]
    Invalid(String),
    /// No such thing.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// It is not in a state for that.
    #[error("{0}")]
    Conflict(String),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An address that is to be told.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEndpoint {
    /// `https://…`, at most 500 characters, leading to a public address.
    pub url: String,
    /// What the brand calls it; at most 200 characters.
    #[serde(default)]
    pub description: String,
    /// Of what it is told: `credit.created`, `statement.closed`.
    pub events: Vec<EventKind>,
}

/// What is to be different; what is absent stays.
#[derive(Debug, Clone, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EndpointChange {
    /// Where.
    pub url: Option<String>,
    /// What the brand calls it.
    pub description: Option<String>,
    /// Of what it is told.
    pub events: Option<Vec<EventKind>>,
    /// `active` or `paused`; `active` also after it was disabled.
    pub state: Option<EndpointState>,
}

/// An address and the secret that signs for it.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct NewSecret {
    /// The address.
    pub endpoint: WebhookEndpoint,
    /// `whsec_…`; told only here.
    pub secret: String,
}

/// The addresses of brands. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Webhooks {
    db: Db,
    clock: Clock,
    wake: Arc<Notify>,
    private: bool,
}

impl Webhooks {
    /// Over this database; starts the task that delivers.
    #[must_use]
    pub fn start(db: Db, clock: Clock, config: &WebhooksSection, tasks: &Tasks) -> Self {
        let wake = Arc::new(Notify::new());
        let private = config.allow_private;
        Postman::start(db.clone(), clock.clone(), Sender::new(private), Arc::clone(&wake), tasks);
        Self { db, clock, wake, private }
    }

    /// A brand's addresses.
    ///
    /// # Errors
    /// The database's.
    pub async fn of_brand(&self, brand: &BrandId) -> Result<Vec<WebhookEndpoint>, WebhookError> {
        let mut tx = self.db.read("webhook endpoints").await?;
        Ok(endpoints::of_brand(&mut tx, brand, self.clock.now()).await?)
    }

    /// An address.
    ///
    /// # Errors
    /// [`WebhookError::NotFound`].
    pub async fn find(&self, id: &WebhookId) -> Result<WebhookEndpoint, WebhookError> {
        let mut tx = self.db.read("webhook endpoint").await?;
        self.found(&mut tx, id).await
    }

    async fn found(&self, tx: &mut Tx, id: &WebhookId) -> Result<WebhookEndpoint, WebhookError> {
        endpoints::find(tx, id, self.clock.now()).await?.ok_or(WebhookError::NotFound("webhook endpoint"))
    }

    /// Adds an address.
    ///
    /// # Errors
    /// [`WebhookError::Invalid`] naming the field; [`WebhookError::Conflict`] beyond five.
    pub async fn add(&self, by: &AccountId, brand: &BrandId, new: NewEndpoint) -> Result<NewSecret, WebhookError> {
        let said =
            self.checked(Said { url: new.url, description: new.description.trim().to_owned(), events: new.events })?;
        let (id, secret, now) = (WebhookId::fresh(), fresh_secret(), self.clock.now());
        let mut tx = self.db.write("add webhook endpoint").await?;
        endpoints::lock_all(&mut tx, brand).await?;
        if endpoints::of_brand(&mut tx, brand, now).await?.len() >= MAX_ENDPOINTS {
            return Err(WebhookError::Conflict(format!("a brand has at most {MAX_ENDPOINTS} webhook endpoints")));
        }
        endpoints::insert(&mut tx, (&id, brand), &said, &secret, now).await?;
        insert_note(&mut tx, &AuditNote::of(by, "webhook.add", brand.as_str(), id.as_str(), now)).await?;
        let endpoint = self.found(&mut tx, &id).await?;
        tx.commit().await?;
        Ok(NewSecret { endpoint, secret: shown(&secret) })
    }

    /// Changes an address, or pauses it, or lets it go on.
    ///
    /// # Errors
    /// [`WebhookError::Invalid`] naming the field; [`WebhookError::NotFound`].
    pub async fn change(
        &self,
        by: &AccountId,
        id: &WebhookId,
        change: EndpointChange,
    ) -> Result<WebhookEndpoint, WebhookError> {
        if change.state == Some(EndpointState::Disabled) {
            return Err(WebhookError::Invalid("state must be active or paused".to_owned()));
        }
        let now = self.clock.now();
        let mut tx = self.db.write("change webhook endpoint").await?;
        endpoints::lock(&mut tx, id).await?;
        let old = self.found(&mut tx, id).await?;
        let said = Said {
            url: change.url.unwrap_or(old.url),
            description: change.description.map_or(old.description, |text| text.trim().to_owned()),
            events: change.events.unwrap_or(old.events),
        };
        endpoints::change(&mut tx, id, &self.checked(said)?, change.state).await?;
        insert_note(&mut tx, &AuditNote::of(by, "webhook.change", old.brand_id.as_str(), id.as_str(), now)).await?;
        let endpoint = self.found(&mut tx, id).await?;
        tx.commit().await?;
        self.wake.notify_one();
        Ok(endpoint)
    }

    /// Takes an address away; what waits for it is not sent.
    ///
    /// # Errors
    /// [`WebhookError::NotFound`].
    pub async fn remove(&self, by: &AccountId, id: &WebhookId) -> Result<(), WebhookError> {
        let mut tx = self.db.write("remove webhook endpoint").await?;
        let old = self.found(&mut tx, id).await?;
        endpoints::remove(&mut tx, id).await?;
        let note = AuditNote::of(by, "webhook.remove", old.brand_id.as_str(), id.as_str(), self.clock.now());
        insert_note(&mut tx, &note).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Gives an address another secret; the one before signs for a day, too.
    ///
    /// # Errors
    /// [`WebhookError::NotFound`].
    pub async fn renew(&self, by: &AccountId, id: &WebhookId) -> Result<NewSecret, WebhookError> {
        let (secret, now) = (fresh_secret(), self.clock.now());
        let mut tx = self.db.write("renew webhook secret").await?;
        endpoints::lock(&mut tx, id).await?;
        let old = self.found(&mut tx, id).await?;
        endpoints::renew(&mut tx, id, &secret, (now, Millis(now.0 + OLD_SECRET_MS))).await?;
        insert_note(&mut tx, &AuditNote::of(by, "webhook.secret", old.brand_id.as_str(), id.as_str(), now)).await?;
        let endpoint = self.found(&mut tx, id).await?;
        tx.commit().await?;
        Ok(NewSecret { endpoint, secret: shown(&secret) })
    }

    /// Sends a message that says nothing but that it came.
    ///
    /// # Errors
    /// [`WebhookError::Conflict`] while the address is told nothing.
    pub async fn test(&self, id: &WebhookId) -> Result<Delivery, WebhookError> {
        let now = self.clock.now();
        let mut tx = self.db.write("test webhook endpoint").await?;
        let endpoint = self.active(&mut tx, id).await?;
        let data = json!({ "endpoint_id": id, "brand_id": endpoint.brand_id });
        let message = messages::say_to(&mut tx, id, EventKind::EndpointTest, &data, now).await?;
        let delivery = messages::find(&mut tx, id, &message).await?.ok_or(WebhookError::NotFound("delivery"))?;
        tx.commit().await?;
        self.wake.notify_one();
        Ok(delivery.delivery)
    }

    /// What is on its way to an address, or was, within a month; newest first, before a cursor.
    ///
    /// # Errors
    /// The database's.
    pub async fn deliveries(
        &self,
        id: &WebhookId,
        state: Option<DeliveryState>,
        before: Option<&MessageId>,
        limit: i64,
    ) -> Result<Vec<Delivery>, WebhookError> {
        let mut tx = self.db.read("webhook deliveries").await?;
        Ok(messages::list(&mut tx, id, state, before, limit).await?)
    }

    /// One of them, with its text.
    ///
    /// # Errors
    /// [`WebhookError::NotFound`].
    pub async fn delivery(&self, id: &WebhookId, message: &MessageId) -> Result<DeliveryWithBody, WebhookError> {
        let mut tx = self.db.read("webhook delivery").await?;
        messages::find(&mut tx, id, message).await?.ok_or(WebhookError::NotFound("delivery"))
    }

    /// Sends one again, whatever became of it.
    ///
    /// # Errors
    /// [`WebhookError::NotFound`]; [`WebhookError::Conflict`] while the address is told nothing.
    pub async fn resend(&self, id: &WebhookId, message: &MessageId) -> Result<Delivery, WebhookError> {
        let mut tx = self.db.write("resend webhook").await?;
        self.active(&mut tx, id).await?;
        messages::resend(&mut tx, id, Some(message), self.clock.now()).await?;
        let delivery = messages::find(&mut tx, id, message).await?.ok_or(WebhookError::NotFound("delivery"))?;
        tx.commit().await?;
        self.wake.notify_one();
        Ok(delivery.delivery)
    }

    /// Sends all again that were given up; how many.
    ///
    /// # Errors
    /// [`WebhookError::Conflict`] while the address is told nothing.
    pub async fn resend_failed(&self, id: &WebhookId) -> Result<u64, WebhookError> {
        let mut tx = self.db.write("resend webhooks").await?;
        self.active(&mut tx, id).await?;
        let resent = messages::resend(&mut tx, id, None, self.clock.now()).await?;
        tx.commit().await?;
        self.wake.notify_one();
        Ok(resent)
    }

    async fn active(&self, tx: &mut Tx, id: &WebhookId) -> Result<WebhookEndpoint, WebhookError> {
        let endpoint = self.found(tx, id).await?;
        if endpoint.state != EndpointState::Active {
            return Err(WebhookError::Conflict("this endpoint is told nothing now; make it active first".to_owned()));
        }
        Ok(endpoint)
    }

    fn checked(&self, mut said: Said) -> Result<Said, WebhookError> {
        let invalid = |text: &str| Err(WebhookError::Invalid(text.to_owned()));
        said.url = address::parse(said.url.trim(), self.private).map_err(WebhookError::Invalid)?.into();
        if said.description.chars().count() > MAX_DESCRIPTION {
            return Err(WebhookError::Invalid(format!("description: at most {MAX_DESCRIPTION} characters")));
        }
        let events: BTreeSet<EventKind> = said.events.iter().copied().collect();
        if events.is_empty() {
            return invalid("events must name at least one");
        }
        if events.contains(&EventKind::EndpointTest) {
            return invalid("endpoint.test is sent when it is asked for; it cannot be listened to");
        }
        said.events = events.into_iter().collect();
        Ok(said)
    }
}

fn fresh_secret() -> String {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    BASE64.encode(&bytes)
}
