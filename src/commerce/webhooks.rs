//! Shell: what the provider says of its own accord.
//!
//! A message is checked, kept, and only then answered; it is handled afterwards, by asking how the thing it names stands
//! now. So messages may come late, twice, in any order or not at all.
//! Invariant: what was not kept is never answered with success.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;

use super::{
    CommerceError,
    collect::Collector,
    payment::{EventObject, Payment, SignatureFault},
    provider_events::{self, Kept},
    settling::Settling,
    wallet::Wallet,
};
use crate::{
    clock::{Clock, Millis},
    store::{Db, StoreError},
    tasks::Tasks,
};

/// Bytes of a message; Stripe's events have a few thousand.
pub const MAX_WEBHOOK_BYTES: usize = 256 * 1024;
/// Events of one look.
const PAGE: i64 = 64;
/// Looks for events that other nodes kept, and those that are to be tried again.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The first pause before an event is tried again, doubled each time …
const FIRST_PAUSE_MS: i64 = 1_000;
/// … up to this many times.
const MAX_DOUBLINGS: i32 = 10;
/// An event that could not be handled so often is said loudly; it is tried on.
const MANY_TRIES: i32 = 8;
/// Handled events are kept so long: the provider repeats for three days at most.
const KEEP_MS: i64 = 30 * 24 * 60 * 60 * 1_000;
/// Old ones are looked for this often …
const FORGET_EVERY_MS: i64 = 60_000;
/// … and so many go at a time.
const FORGET: i64 = 1_000;

/// A message that is not taken.
#[derive(Debug, thiserror::Error)]
pub enum WebhookFault {
    /// It is not from the provider.
    #[error(transparent)]
    Signature(#[from] SignatureFault),
    /// It could not be kept; the provider must send it again.
    #[error("it could not be kept: {0}")]
    Store(#[from] StoreError),
}

/// Takes messages and handles them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Webhooks {
    db: Db,
    clock: Clock,
    payment: Payment,
    collector: Collector,
    wallet: Wallet,
    settling: Settling,
    news: Arc<Notify>,
}

impl Webhooks {
    /// Starts the task that handles what is kept.
    pub(super) fn start(
        db: Db,
        clock: Clock,
        payment: Payment,
        collector: Collector,
        wallet: Wallet,
        tasks: &Tasks,
    ) -> Self {
        let settling = Settling::new(db.clone(), clock.clone(), payment.clone());
        let webhooks = Self { db, clock, payment, collector, wallet, settling, news: Arc::default() };
        let (handler, stopping) = (webhooks.clone(), tasks.stopping());
        tasks.spawn("webhooks", async move {
            let mut forgot_at = handler.clock.now();
            while !stopping.is_cancelled() {
                let more = match handler.handle_page().await {
                    Ok(handled) => handled >= PAGE,
                    Err(error) => {
                        tracing::warn!(error = %error, "webhooks cannot be handled now");
                        false
                    }
                };
                if more {
                    continue;
                }
                if handler.clock.now().since(forgot_at) > FORGET_EVERY_MS {
                    forgot_at = handler.clock.now();
                    if let Err(error) = handler.forget_old().await {
                        tracing::warn!(error = %error, "old webhooks cannot be forgotten now");
                    }
                }
                tokio::select! {
                    () = handler.news.notified() => {}
                    () = handler.clock.sleep(LOOK_EVERY) => {}
                    () = stopping.cancelled() => {}
                }
            }
        });
        webhooks.hear_the_sandbox(tasks);
        webhooks
    }

    /// The sandbox's messages come the same way, without a network between.
    fn hear_the_sandbox(&self, tasks: &Tasks) {
        let Some(mut messages) = self.payment.messages() else { return };
        let (webhooks, stopping) = (self.clone(), tasks.stopping());
        tasks.spawn("sandbox messages", async move {
            loop {
                let message = tokio::select! {
                    message = messages.recv() => message,
                    () = stopping.cancelled() => None,
                };
                let Some(message) = message else { return };
                if let Err(error) = webhooks.take(&message.body, &message.signature).await {
                    // As with a real one that is down: the payment is asked about later.
                    tracing::warn!(error = %error, "a message of the sandbox was not taken");
                }
            }
        });
    }

    /// The provider whose messages these are.
    #[must_use]
    pub fn provider(&self) -> &'static str {
        self.payment.name()
    }

    /// Checks a message and keeps what it says. Durable when it answers.
    ///
    /// # Errors
    /// [`WebhookFault`].
    pub async fn take(&self, raw: &[u8], signature: &str) -> Result<(), WebhookFault> {
        let now = self.clock.now();
        let event = self.payment.event(raw, signature, now)?;
        let mut tx = self.db.write("keep webhook").await?;
        let fresh = provider_events::keep(&mut tx, self.payment.name(), &event, now).await?;
        tx.commit().await?;
        tracing::debug!(event.id = %event.id, event.kind = %event.kind, fresh, "webhook kept");
        self.news.notify_one();
        Ok(())
    }

    async fn handle_page(&self) -> Result<i64, CommerceError> {
        let provider = self.payment.name();
        let mut tx = self.db.read("open webhooks").await?;
        let open = provider_events::open(&mut tx, provider, self.clock.now(), PAGE).await?;
        drop(tx);
        for event in &open {
            let done = self.handle(event).await;
            let now = self.clock.now();
            let mut tx = self.db.write("webhook handled").await?;
            match done {
                Ok(()) => provider_events::handled(&mut tx, provider, &event.id, now).await?,
                Err(error) => {
                    if event.tries >= MANY_TRIES {
                        tracing::error!(event.id = %event.id, event.kind = %event.kind, error = %error, "webhook cannot be handled");
                    }
                    let pause_ms = FIRST_PAUSE_MS << event.tries.clamp(0, MAX_DOUBLINGS);
                    provider_events::later(&mut tx, provider, &event.id, Millis(now.0 + pause_ms)).await?;
                }
            }
            tx.commit().await?;
        }
        Ok(i64::try_from(open.len()).unwrap_or(PAGE))
    }

    /// Forgets what was handled long ago.
    async fn forget_old(&self) -> Result<(), CommerceError> {
        let before = Millis(self.clock.now().0 - KEEP_MS);
        let mut tx = self.db.write("old webhooks").await?;
        provider_events::forget(&mut tx, before, FORGET).await?;
        Ok(tx.commit().await?)
    }

    async fn handle(&self, event: &Kept) -> Result<(), CommerceError> {
        match event.object() {
            EventObject::Intent(id) => self.collector.heard_of(&id, &event.kind).await,
            EventObject::Setup(id) => self.wallet.heard_of(&id).await,
            EventObject::Refund(id) => self.settling.heard(&id).await,
            EventObject::Other(_) => Ok(()),
        }
    }
}
