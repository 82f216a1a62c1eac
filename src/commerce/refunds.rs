//! Shell: from "this comes back" to the money being back.
//!
//! The sequencer writes the refund with everything that it takes back; after the commit the provider is asked, under the
//! refund's own key, and its word settles the refund. A task asks again about every refund without a last word, also after
//! a crash between the commit and the question.
//! Invariant: one return, one refund; each try at the provider has a key of its own, and a key is never used again once the
//! provider may have forgotten it: then the refund is looked for.

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    Checkout, CommerceError, Refusal, attempts,
    checkout::check_key,
    invoices::{self, OrderInvoice},
    money_ledger,
    orders::{self, BrandOrder, Order},
    payment::{Payment, RefundWord, Trouble},
    refund::{self, Asked, RefundKind, RefundState},
    refund_book::{self, Refund},
    sequencer::{ReturnOrder, Sequencer},
    transfers::{self, About, Account, Cause},
};
use crate::{
    clock::Clock,
    ids::{AccountId, BrandId, LocationId, OrderId, OrderLineId, PurchaseId, RefundId},
    money::Money,
    people::{AuditNote, insert_note},
    store::Db,
    tasks::Tasks,
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
/// Lines of one return.
const MAX_LINES: usize = 20;
/// Characters of a reason.
const MAX_REASON_CHARS: usize = 500;

/// Units of one line.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReturnLine {
    /// Which line.
    pub order_line_id: OrderLineId,
    /// How many; at most what is left of it.
    pub qty: i64,
}

/// What is given back.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReturnRequest {
    /// Each line once; everything that is left when absent.
    #[serde(default)]
    pub lines: Option<Vec<ReturnLine>>,
    /// Whether goods that had left are to be sold again. Goods that never left are back in the pool in any case.
    pub restock: bool,
    /// Where they stand now; where they came from when absent.
    #[serde(default)]
    pub location_id: Option<LocationId>,
    /// Why; 1 to 500 characters.
    pub reason: String,
}

/// Who gives back: what they may.
#[derive(Debug, Clone)]
pub struct Giver {
    /// Who.
    pub account: AccountId,
    /// Their brands; all when absent.
    pub brands: Option<BTreeSet<BrandId>>,
}

impl Giver {
    fn may(&self, brand: &BrandId) -> bool {
        self.brands.as_ref().is_none_or(|brands| brands.contains(brand))
    }
}

/// Giving back. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Refunds {
    db: Db,
    clock: Clock,
    sequencer: Sequencer,
    payment: Payment,
    checkout: Checkout,
    tasks: Tasks,
}

impl Refunds {
    /// Starts the task that asks about refunds without a last word, also those of an earlier process.
    #[must_use]
    pub fn start(
        db: Db,
        clock: Clock,
        sequencer: Sequencer,
        payment: Payment,
        checkout: Checkout,
        tasks: &Tasks,
    ) -> Self {
        let refunds = Self { db, clock, sequencer, payment, checkout, tasks: tasks.clone() };
        let (asker, stopping) = (refunds.clone(), tasks.stopping());
        tasks.spawn("refunds", async move {
            while !stopping.is_cancelled() {
                if let Err(error) = asker.ask_about_due().await {
                    tracing::warn!(error = %error, "refunds cannot be looked at");
                }
                tokio::select! {
                    () = asker.clock.sleep(LOOK_EVERY) => {}
                    () = stopping.cancelled() => {}
                }
            }
        });
        refunds
    }

    /// Gives back a part of an order, or everything that is left of it. The same return under its name counts once.
    ///
    /// # Errors
    /// [`Refusal::NotReturnable`], [`CommerceError::KeyReused`], [`CommerceError::NotYours`]; not found when nothing of the
    /// order is this person's to give back; [`CommerceError::Unknown`]: then ask again under the same name.
    pub async fn give_back(
        &self,
        by: &Giver,
        order: &OrderId,
        key: &str,
        request: &ReturnRequest,
    ) -> Result<Refund, CommerceError> {
        check_key(key)?;
        let lines = asked(request)?;
        let purchase = self.check_rights(by, order, lines.as_ref()).await?;
        let wish = ReturnOrder {
            id: RefundId::fresh(),
            order: order.clone(),
            purchase: purchase.clone(),
            by: by.account.clone(),
            key: key.to_owned(),
            body_hash: body_hash(lines.as_ref(), request),
            lines,
            restock: request.restock,
            location: request.location_id.clone(),
            reason: request.reason.trim().to_owned(),
        };
        let made = match self.sequencer.give_back(wish.clone()).await {
            // The money is being taken: let that end, then it can be given back.
            Err(CommerceError::Refused(Refusal::MoneyBeingTaken)) => {
                self.checkout.finish_taking(&purchase).await?;
                self.sequencer.give_back(wish.clone()).await
            }
            made => made,
        };
        let refund = made?;
        if refund.id == wish.id {
            self.note(&by.account, "order.refund", &refund).await?;
            self.ask_soon(&refund);
        }
        Ok(refund)
    }

    async fn check_rights(
        &self,
        by: &Giver,
        order: &OrderId,
        asked: Option<&Asked>,
    ) -> Result<PurchaseId, CommerceError> {
        let mut tx = self.db.read("order to give back").await?;
        let found = orders::kept(&mut tx, &BTreeSet::from([order])).await?.pop();
        let found = found.filter(|order| order.lines.iter().any(|line| by.may(&line.brand_id)));
        let found = found.ok_or(CommerceError::NotFound("order"))?;
        let wanted = |id| asked.is_none_or(|asked| asked.contains_key(id));
        if found.lines.iter().any(|line| wanted(&line.id) && !by.may(&line.brand_id)) {
            return Err(CommerceError::NotYours("a line of another brand"));
        }
        Ok(found.purchase_id)
    }

    async fn note(&self, by: &AccountId, action: &'static str, refund: &Refund) -> Result<(), CommerceError> {
        let detail = format!("{} {} {}", refund.order_id, refund.kind.as_str(), refund.amount_minor);
        let mut tx = self.db.write("audit of a refund").await?;
        let subject = refund.id.as_str();
        let at = self.clock.now();
        insert_note(&mut tx, &AuditNote { by, action, subject, liver: None, live: None, detail: &detail, at }).await?;
        Ok(tx.commit().await?)
    }

    /// Tries a refund again that did not arrive.
    ///
    /// # Errors
    /// [`Refusal::NotFailed`] in another state; not found.
    pub async fn retry(&self, by: &AccountId, id: &RefundId) -> Result<Refund, CommerceError> {
        let mut tx = self.db.write("try a refund anew").await?;
        let refund = refund_book::find(&mut tx, id).await?.ok_or(CommerceError::NotFound("refund"))?;
        let failed = refund.state == RefundState::Failed;
        if !failed || !refund_book::try_anew(&mut tx, &refund, self.clock.now()).await? {
            return Err(Refusal::NotFailed.into());
        }
        let anew = refund_book::find(&mut tx, id).await?.ok_or(CommerceError::NotFound("refund"))?;
        tx.commit().await?;
        self.note(by, "refund.retry", &anew).await?;
        self.ask_soon(&anew);
        Ok(anew)
    }

    /// A refund, for whoever sells something of it or bought it.
    ///
    /// # Errors
    /// Not found.
    pub async fn load(&self, id: &RefundId) -> Result<Refund, CommerceError> {
        let mut tx = self.db.read("load refund").await?;
        refund_book::find(&mut tx, id).await?.ok_or(CommerceError::NotFound("refund"))
    }

    /// Everything that was given back of an order, oldest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn of_order(&self, order: &OrderId) -> Result<Vec<Refund>, CommerceError> {
        let mut tx = self.db.read("refunds of an order").await?;
        Ok(refund_book::of_order(&mut tx, order).await?)
    }

    /// An order, whoever asks: the caller decides who may.
    ///
    /// # Errors
    /// Not found.
    pub async fn order(&self, id: &OrderId) -> Result<Order, CommerceError> {
        let mut tx = self.db.read("load order").await?;
        orders::find_order(&mut tx, id).await?.ok_or(CommerceError::NotFound("order"))
    }

    /// A brand's orders, newest first; only its own lines.
    ///
    /// # Errors
    /// The database's.
    pub async fn orders_of_brand(
        &self,
        brand: &BrandId,
        before: Option<&OrderId>,
        limit: i64,
    ) -> Result<Vec<BrandOrder>, CommerceError> {
        let mut tx = self.db.read("orders of a brand").await?;
        Ok(orders::of_brand(&mut tx, brand, before, limit).await?)
    }

    /// The documents of an order.
    ///
    /// # Errors
    /// Not found.
    pub async fn invoice(&self, order: &OrderId) -> Result<OrderInvoice, CommerceError> {
        let mut tx = self.db.read("invoice").await?;
        invoices::of_order(&mut tx, order).await?.ok_or(CommerceError::NotFound("order"))
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

    fn ask_soon(&self, refund: &Refund) {
        if refund.state != RefundState::Pending {
            return;
        }
        let (refunds, refund) = (self.clone(), refund.clone());
        self.tasks.spawn("refund", async move {
            if let Err(error) = refunds.ask(&refund).await {
                // The task asks again.
                tracing::warn!(refund.id = %refund.id, error = %error, "refund has no last word yet");
            }
        });
    }

    async fn ask_about_due(&self) -> Result<(), CommerceError> {
        let mut tx = self.db.read("refunds to ask about").await?;
        let due = refund_book::due(&mut tx, self.clock.now(), PAGE).await?;
        drop(tx);
        for refund in due {
            self.ask(&refund).await?;
        }
        Ok(())
    }

    /// Asks the provider about a refund, unless somebody else has just done so.
    async fn ask(&self, refund: &Refund) -> Result<(), CommerceError> {
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
pub(super) async fn intent_of(
    tx: &mut crate::store::Tx,
    purchase: &PurchaseId,
) -> Result<Option<String>, crate::store::StoreError> {
    let attempt = attempts::find(tx, purchase).await?;
    Ok(attempt.map(|attempt| attempt.intent_id.clone().unwrap_or_else(|| attempt.key())))
}

fn asked(request: &ReturnRequest) -> Result<Option<Asked>, CommerceError> {
    let reason = request.reason.trim();
    if reason.is_empty() || reason.chars().count() > MAX_REASON_CHARS {
        return Err(CommerceError::Invalid(format!("reason must have 1 to {MAX_REASON_CHARS} characters")));
    }
    let Some(lines) = &request.lines else { return Ok(None) };
    if lines.is_empty() || lines.len() > MAX_LINES {
        return Err(CommerceError::Invalid(format!("lines must be 1 to {MAX_LINES}, or absent")));
    }
    if lines.iter().any(|line| line.qty < 1) {
        return Err(CommerceError::Invalid("lines.qty must be at least 1".to_owned()));
    }
    let asked: Asked = lines.iter().map(|line| (line.order_line_id.clone(), line.qty)).collect();
    if asked.len() < lines.len() {
        return Err(CommerceError::Invalid("lines must name each line once".to_owned()));
    }
    Ok(Some(asked))
}

/// What was asked, so that another return under the same name is noticed.
fn body_hash(lines: Option<&Asked>, request: &ReturnRequest) -> String {
    let lines = lines.map(|lines| lines.iter().map(|(id, qty)| (id.as_str(), *qty)).collect::<Vec<_>>());
    let asked = (lines, request.restock, &request.location_id, request.reason.trim());
    let text = serde_json::to_string(&asked).expect("ids, numbers and texts are JSON");
    data_encoding::HEXLOWER.encode(&Sha256::digest(text.as_bytes()))
}
