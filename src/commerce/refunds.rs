//! Shell: from "this comes back" to the money being back.
//!
//! The sequencer writes the refund with everything that it takes back; after the commit the provider is asked
//! ([`super::settling`]), and its word settles the refund.
//! Invariant: one return, one refund.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    Checkout, CommerceError, Refusal, booking,
    checkout::check_key,
    invoices::{self, OrderInvoice},
    orders::{self, BrandOrder, Order},
    payment::Payment,
    records,
    refund::{Asked, RefundState},
    refund_book::{self, Refund},
    sequencer::{ReturnOrder, Sequencer},
    settling::Settling,
};
use crate::{
    clock::Clock,
    ids::{AccountId, BrandId, LocationId, OrderId, OrderLineId, PurchaseId, RefundId},
    people::{AuditNote, insert_note},
    store::Db,
    tasks::Tasks,
};

/// Orders of before the books that are booked in one transaction.
const OLD_PAGE: i64 = 200;
/// Lines of one return.
const MAX_LINES: usize = 20;
/// Characters of a reason.
const MAX_REASON_CHARS: usize = 500;

/// The name of the return of what nobody came for: no caller's own can be like it.
const UNCOLLECTED: &str = "未受取";
/// As its customer reads it.
const UNCOLLECTED_REASON: &str = "受取期限を過ぎたため / not picked up in time";

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
    settling: Settling,
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
        let settling = Settling::new(db.clone(), clock.clone(), payment);
        let refunds = Self { db, clock, sequencer, settling, checkout, tasks: tasks.clone() };
        let (asker, stopping) = (refunds.settling.clone(), tasks.stopping());
        let old = refunds.clone();
        tasks.spawn("refunds", async move {
            if let Err(error) = old.book_old().await {
                tracing::error!(error = %error, "orders of before the books are not booked");
            }
            while !stopping.is_cancelled() {
                if let Err(error) = asker.ask_about_due().await {
                    tracing::warn!(error = %error, "refunds cannot be looked at");
                }
                tokio::select! {
                    () = asker.pause() => {}
                    () = stopping.cancelled() => {}
                }
            }
        });
        refunds
    }

    /// Books what was taken before there were books. Nothing is left to do after the first start of this version.
    ///
    /// # Errors
    /// The database's.
    async fn book_old(&self) -> Result<(), CommerceError> {
        loop {
            let mut tx = self.db.write("orders of before the books").await?;
            let found = orders::unbooked(&mut tx, OLD_PAGE).await?;
            if found.is_empty() {
                return Ok(());
            }
            records::lock(&mut tx, &found.iter().map(|(_, purchase)| purchase).collect()).await?;
            booking::captured(&mut tx, &found.iter().map(|(order, _)| order).collect(), self.clock.now()).await?;
            tx.commit().await?;
            tracing::info!(orders = found.len(), "booked what was taken before there were books");
        }
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
        self.give_back_as(by, order, key, request, false).await
    }

    /// Gives back all that is left of an order whose goods nobody came for, and puts them back into the pool. However often,
    /// once; not when they have left after all.
    ///
    /// # Errors
    /// See [`Refunds::give_back`].
    pub async fn nobody_came(&self, order: &OrderId) -> Result<Refund, CommerceError> {
        let by = Giver { account: AccountId::house(), brands: None };
        let request =
            ReturnRequest { lines: None, restock: true, location_id: None, reason: UNCOLLECTED_REASON.to_owned() };
        self.give_back_as(&by, order, UNCOLLECTED, &request, true).await
    }

    async fn give_back_as(
        &self,
        by: &Giver,
        order: &OrderId,
        key: &str,
        request: &ReturnRequest,
        unless_left: bool,
    ) -> Result<Refund, CommerceError> {
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
            unless_left,
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
        insert_note(&mut tx, &AuditNote::of(by, action, subject, &detail, at)).await?;
        Ok(tx.commit().await?)
    }

    /// Tries a refund again that did not arrive.
    ///
    /// # Errors
    /// [`Refusal::NotFailed`] in another state; not found.
    pub async fn retry(&self, by: &AccountId, id: &RefundId) -> Result<Refund, CommerceError> {
        let anew = self.settling.try_anew(id).await?;
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

    fn ask_soon(&self, refund: &Refund) {
        if refund.state != RefundState::Pending {
            return;
        }
        let (settling, refund) = (self.settling.clone(), refund.clone());
        self.tasks.spawn("refund", async move {
            if let Err(error) = settling.ask(&refund).await {
                // The task asks again.
                tracing::warn!(refund.id = %refund.id, error = %error, "refund has no last word yet");
            }
        });
    }
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
