//! Shell: a refund's talk with the provider.
//!
//! It is asked under the refund's own key, and its word settles the refund. A task asks again about every refund without a
//! last word, also after a crash between the commit and the question.
//! Invariant: each try at the provider has a key of its own; one that is not listed long after it was asked for was never
//! made, and only then there is another try.

use std::time::Duration;

use super::{
    CommerceError, Refusal, attempts, money_ledger,
    payment::{Payment, RefundWord, Trouble},
    refund::{self, RefundKind, RefundState},
    refund_book::{self, Refund},
    transfers::{self, About, Account, Cause},
};
use crate::{
    clock::Clock,
    ids::{PurchaseId, RefundId},
    money::Money,
    store::{Db, StoreError, Tx},
};

/// The task looks this often for refunds that are to be asked about …
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// … and takes this many.
const PAGE: i64 = 64;
/// A refund without a last word is asked about again after this, doubled each time …
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// … up to this.
const ASK_AT_LAST: Duration = Duration::from_secs(3600);
/// A try that is older is not asked for again under its key, which may have been forgotten, or have an error for its
/// answer: it is looked for, and what is not listed so long after it was asked for was never made.
const LISTED_AFTER_MS: i64 = 15 * 60 * 1000;

/// Asking about refunds. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Settling {
    db: Db,
    clock: Clock,
    payment: Payment,
}

impl Settling {
    pub(super) fn new(db: Db, clock: Clock, payment: Payment) -> Self {
        Self { db, clock, payment }
    }

    /// Until the next look.
    pub(super) async fn pause(&self) {
        self.clock.sleep(LOOK_EVERY).await;
    }

    /// The provider has news of a refund of ours (by its own name for it): ask what is true now.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn heard(&self, provider_ref: &str) -> Result<(), CommerceError> {
        let mut tx = self.db.read("refund by the provider's name").await?;
        let found = refund_book::find_by_provider_ref(&mut tx, provider_ref).await?;
        drop(tx);
        let Some(refund) = found else { return Ok(()) };
        match self.payment.read_refund(provider_ref).await {
            Ok(word) => self.settle(&refund, &word).await,
            // The event is handled again later.
            Err(trouble) => Err(trouble.into()),
        }
    }

    pub(super) async fn ask_about_due(&self) -> Result<(), CommerceError> {
        let mut tx = self.db.read("refunds to ask about").await?;
        let due = refund_book::due(&mut tx, self.clock.now(), PAGE).await?;
        drop(tx);
        for refund in due {
            self.ask(&refund).await?;
        }
        Ok(())
    }

    /// Tries a refund again that did not arrive.
    ///
    /// # Errors
    /// [`Refusal::NotFailed`] in another state; not found.
    pub(super) async fn try_anew(&self, id: &RefundId) -> Result<Refund, CommerceError> {
        let mut tx = self.db.write("try a refund anew").await?;
        let refund = refund_book::find(&mut tx, id).await?.ok_or(CommerceError::NotFound("refund"))?;
        let failed = refund.state == RefundState::Failed;
        if !failed || !refund_book::try_anew(&mut tx, &refund, self.clock.now()).await? {
            return Err(Refusal::NotFailed.into());
        }
        let anew = refund_book::find(&mut tx, id).await?.ok_or(CommerceError::NotFound("refund"))?;
        tx.commit().await?;
        Ok(anew)
    }

    /// Asks the provider about a refund, unless somebody else has just done so.
    pub(super) async fn ask(&self, refund: &Refund) -> Result<(), CommerceError> {
        let doubled = ASK_AGAIN.saturating_mul(2_u32.saturating_pow(refund.asks.unsigned_abs()));
        let next = self.clock.now().plus(doubled.min(ASK_AT_LAST));
        let mut tx = self.db.write("ask about a refund").await?;
        let mine = refund_book::claim(&mut tx, refund, next).await?;
        let intent = intent_of(&mut tx, &refund.purchase_id).await?;
        tx.commit().await?;
        if !mine {
            return Ok(());
        }
        let Some(intent) = intent else {
            tracing::error!(refund.id = %refund.id, "a refund of a payment that is not known");
            return Ok(());
        };
        let word = match self.word(refund, &intent).await {
            Ok(Some(word)) => word,
            Ok(None) => {
                // Nothing came of the try: the next one has a key of its own.
                let mut tx = self.db.write("try a refund anew").await?;
                refund_book::try_anew(&mut tx, refund, self.clock.now()).await?;
                return Ok(tx.commit().await?);
            }
            Err(Trouble::Refused { code }) => {
                return self.advance(refund, RefundState::Failed, Some(&code)).await;
            }
            Err(trouble @ Trouble::Misconfigured) => {
                tracing::error!(refund.id = %refund.id, error = %trouble, "a refund cannot be asked for");
                return Ok(());
            }
            Err(trouble) => {
                tracing::warn!(refund.id = %refund.id, error = %trouble, "refund has no last word yet");
                return Ok(());
            }
        };
        self.settle(refund, &word).await
    }

    /// The provider's word about the newest try; nothing when the try was never made and is too old to be made.
    async fn word(&self, refund: &Refund, intent: &str) -> Result<Option<RefundWord>, Trouble> {
        if let Some(name) = &refund.provider_ref {
            return self.payment.read_refund(name).await.map(Some);
        }
        let key = refund.provider_key();
        if self.clock.now().since(refund.tried_at_ms) > LISTED_AFTER_MS {
            return self.payment.find_refund(intent, &key).await;
        }
        let amount = Money::yen(refund.amount_minor).map_err(|_| Trouble::Refused { code: "amount".to_owned() })?;
        match self.payment.refund(intent, amount, &key).await {
            Err(Trouble::KeyMet) => match self.payment.find_refund(intent, &key).await? {
                Some(word) => Ok(Some(word)),
                None => Err(Trouble::KeyMet),
            },
            answer => answer.map(Some),
        }
    }

    /// Settles the provider's word. Words may come twice and late.
    async fn settle(&self, refund: &Refund, word: &RefundWord) -> Result<(), CommerceError> {
        if word.amount_minor != refund.amount_minor {
            tracing::error!(refund.id = %refund.id, word.amount_minor, "the provider gives back another amount");
        }
        if refund.provider_ref.is_none() {
            let mut tx = self.db.write("the provider's name of a refund").await?;
            refund_book::note_provider_ref(&mut tx, refund, &word.id).await?;
            tx.commit().await?;
        }
        match refund::settle(refund.state, word.status) {
            Some(state) => {
                let failure = (state == RefundState::Failed).then(|| word.failure.as_deref().unwrap_or("unknown"));
                self.advance(refund, state, failure).await
            }
            None => Ok(()),
        }
    }

    async fn advance(&self, refund: &Refund, to: RefundState, failure: Option<&str>) -> Result<(), CommerceError> {
        let now = self.clock.now();
        let mut tx = self.db.write("settle a refund").await?;
        if !refund_book::advance(&mut tx, refund, to, failure, now).await? {
            return Ok(());
        }
        let about = About {
            order: Some(refund.order_id.clone()),
            purchase: Some(refund.purchase_id.clone()),
            refund: Some(refund.id.clone()),
            ..About::default()
        };
        let paid = (Account::RefundsPayable, Account::ProviderClearing);
        let pair =
            |cause, pair| transfers::one((cause, refund.id.as_str(), refund.tries), pair, refund.amount_minor, &about);
        let pairs = match (refund.state, to) {
            (_, RefundState::Succeeded) => pair(Cause::RefundPaid, paid),
            // It had arrived, and came back.
            (RefundState::Succeeded, RefundState::Failed) => pair(Cause::RefundReturned, (paid.1, paid.0)),
            _ => Vec::new(),
        };
        money_ledger::post(&mut tx, &pairs, now).await?;
        tx.commit().await?;
        if to == RefundState::Failed {
            tracing::error!(refund.id = %refund.id, refund.failure = failure, "a refund did not arrive: try it again");
        }
        debug_assert_eq!(refund.kind, RefundKind::Refund);
        Ok(())
    }
}

/// What the provider calls the payment behind a purchase. The sandbox calls it by our key.
pub(super) async fn intent_of(tx: &mut Tx, purchase: &PurchaseId) -> Result<Option<String>, StoreError> {
    let attempt = attempts::find(tx, purchase).await?;
    Ok(attempt.map(|attempt| attempt.intent_id.clone().unwrap_or_else(|| attempt.key())))
}
