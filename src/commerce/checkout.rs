//! Shell: from the tap to "paid".
//!
//! Checks the tap, has the sequencer reserve, then asks the provider and has the sequencer settle its word. After a
//! crash, and when an answer was lost, the reconciler asks again under the same key.
//! Invariant: paid once, sold once, credited once, or none of them.

use std::{collections::HashSet, sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::{
    CommerceError, Refusal, catalog,
    confirmation::{self, Confirmation, Goods},
    ledger::{self, ShelfView},
    payment::{Method, Payment, Word},
    purchase::{Input, State},
    records::{self, Order, Purchase},
    sequencer::{PlaceOrder, Sequencer},
    stock::OfferTerms,
};
use crate::{
    clock::{Clock, Millis},
    ids::{BrandId, CustomerId, OfferId, OrderId, ProductId, PurchaseId, SkuId},
    money::Money,
    people::find_brand,
    store::{Db, Tx},
    tasks::Tasks,
};

/// Units of one tap.
const MAX_QTY: u32 = 99;
/// Characters of an idempotency key.
const MAX_KEY_CHARS: usize = 255;
/// Calls to the provider at the same time; more wait their turn.
const MAX_PAYING: usize = 64;
/// The reconciler looks this often …
const RECONCILE_EVERY: Duration = Duration::from_secs(1);
/// … for payments nobody has heard of for so long …
const RECONCILE_AFTER_MS: i64 = 5_000;
/// … and takes this many.
const RECONCILE_PAGE: i64 = 256;

/// The buyer's tap.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaceRequest {
    /// At which terms.
    pub offer_id: OfferId,
    /// 1 to 99.
    pub qty: u32,
    /// Of the sheet that was shown; another sheet now is refused with `price-changed`.
    pub confirmation_hash: Option<String>,
    /// Pays at once; without it the units are held for a while.
    pub payment_method: Option<Method>,
}

/// Buying. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Checkout {
    db: Db,
    clock: Clock,
    sequencer: Sequencer,
    payment: Payment,
    tasks: Tasks,
    paying: Arc<Semaphore>,
    collecting: Arc<Mutex<HashSet<PurchaseId>>>,
    delivery_days: u32,
}

impl Checkout {
    /// Starts the reconciler, which also finishes what an earlier process left unpaid.
    #[must_use]
    pub fn start(
        db: Db,
        clock: Clock,
        sequencer: Sequencer,
        payment: Payment,
        delivery_days: u32,
        tasks: &Tasks,
    ) -> Self {
        let paying = Arc::new(Semaphore::new(MAX_PAYING));
        let checkout = Self {
            db,
            clock,
            sequencer,
            payment,
            tasks: tasks.clone(),
            paying,
            collecting: Arc::default(),
            delivery_days,
        };
        let (reconciler, stopping) = (checkout.clone(), tasks.stopping());
        tasks.spawn("reconciler", async move {
            // Whatever is unsettled at the start has no other task to care for it.
            let mut wait_ms = 0;
            while !stopping.is_cancelled() {
                reconciler.reconcile(wait_ms).await;
                wait_ms = RECONCILE_AFTER_MS;
                tokio::select! {
                    () = reconciler.clock.sleep(RECONCILE_EVERY) => {}
                    () = stopping.cancelled() => {}
                }
            }
        });
        checkout
    }

    /// Reserves the units and, when a method is given, begins to pay.
    ///
    /// # Errors
    /// A [`Refusal`], [`CommerceError::KeyReused`], or [`CommerceError::Unknown`]: then ask again under the same key.
    pub async fn place(
        &self,
        customer: &CustomerId,
        demo: bool,
        key: &str,
        request: &PlaceRequest,
    ) -> Result<Purchase, CommerceError> {
        if !(1..=MAX_QTY).contains(&request.qty) {
            return Err(CommerceError::Invalid(format!("qty must be between 1 and {MAX_QTY}")));
        }
        if key.is_empty() || key.chars().count() > MAX_KEY_CHARS {
            return Err(CommerceError::Invalid(format!("Idempotency-Key must have 1 to {MAX_KEY_CHARS} characters")));
        }
        let body_hash = body_hash(request);
        let mut tx = self.db.read("look at the offer").await?;
        // The same tap again is answered from what is stored, whatever the offer has become since.
        if let Some(known) = records::find_by_key(&mut tx, customer, key).await? {
            return if known.body_hash == body_hash { Ok(known) } else { Err(CommerceError::KeyReused) };
        }
        let (terms, sheet) = self.sheet(&mut tx, &request.offer_id, request.qty).await?;
        drop(tx);
        if request.confirmation_hash.as_ref().is_some_and(|seen| *seen != sheet.hash) {
            return Err(Refusal::PriceChanged.into());
        }
        if self.sequencer.is_hinted_sold_out(&terms.sku_id) {
            return Err(Refusal::SoldOut.into());
        }
        let order = PlaceOrder {
            id: PurchaseId::fresh(),
            customer: customer.clone(),
            key: key.to_owned(),
            body_hash,
            offer: request.offer_id.clone(),
            qty: request.qty,
            seen_price_minor: terms.price_minor,
            sheet_hash: sheet.hash,
            sheet: confirmation::text(&sheet.sheet),
            method: request.payment_method,
            demo,
        };
        let purchase = self.sequencer.place(order).await?;
        if purchase.state == State::Paying {
            self.collect_soon(&purchase.id);
        }
        Ok(purchase)
    }

    /// Pays for held units.
    ///
    /// # Errors
    /// [`Refusal::HoldExpired`], [`Refusal::NotPayable`]; not found when it is another's.
    pub async fn pay(&self, customer: &CustomerId, id: &PurchaseId, method: Method) -> Result<Purchase, CommerceError> {
        self.load(customer, id).await?;
        let purchase = self.sequencer.step(id, Input::StartPaying, Some(method)).await?;
        self.collect_soon(id);
        Ok(purchase)
    }

    /// Gives held units back.
    ///
    /// # Errors
    /// [`Refusal::NotCancellable`] once the payment has begun; not found when it is another's.
    pub async fn cancel(&self, customer: &CustomerId, id: &PurchaseId) -> Result<Purchase, CommerceError> {
        self.load(customer, id).await?;
        self.sequencer.step(id, Input::Cancel, None).await
    }

    /// A customer's own purchase.
    ///
    /// # Errors
    /// Not found, also when it is another's.
    pub async fn load(&self, customer: &CustomerId, id: &PurchaseId) -> Result<Purchase, CommerceError> {
        let mut tx = self.db.read("load purchase").await?;
        let found = records::find(&mut tx, id).await?;
        found.filter(|purchase| &purchase.customer_id == customer).ok_or(CommerceError::NotFound("purchase"))
    }

    /// A customer's purchases, newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn list(
        &self,
        customer: &CustomerId,
        before: Option<&PurchaseId>,
        limit: i64,
    ) -> Result<Vec<Purchase>, CommerceError> {
        let mut tx = self.db.read("list purchases").await?;
        Ok(records::list(&mut tx, customer, before, limit).await?)
    }

    /// A customer's own order.
    ///
    /// # Errors
    /// Not found, also when it is another's.
    pub async fn load_order(&self, customer: &CustomerId, id: &OrderId) -> Result<Order, CommerceError> {
        let mut tx = self.db.read("load order").await?;
        let found = records::find_order(&mut tx, id).await?;
        found.filter(|order| &order.customer_id == customer).ok_or(CommerceError::NotFound("order"))
    }

    /// The sheet beside the buy button.
    ///
    /// # Errors
    /// Not found; a quantity that is out of range.
    pub async fn confirmation(&self, offer: &OfferId, qty: u32) -> Result<Confirmation, CommerceError> {
        if !(1..=MAX_QTY).contains(&qty) {
            return Err(CommerceError::Invalid(format!("qty must be between 1 and {MAX_QTY}")));
        }
        let mut tx = self.db.read("final confirmation").await?;
        Ok(self.sheet(&mut tx, offer, qty).await?.1)
    }

    /// A product's picture.
    ///
    /// # Errors
    /// Not found.
    pub async fn image(&self, product: &ProductId) -> Result<String, CommerceError> {
        let mut tx = self.db.read("product picture").await?;
        catalog::find_image(&mut tx, product).await?.ok_or(CommerceError::NotFound("picture"))
    }

    /// Makes a product.
    ///
    /// # Errors
    /// [`CommerceError::Invalid`] names the field.
    pub async fn add_product(
        &self,
        brand: &BrandId,
        new: &catalog::NewProduct,
    ) -> Result<catalog::Product, CommerceError> {
        let mut tx = self.db.write("add product").await?;
        let id = catalog::insert(&mut tx, brand, new, self.clock.now()).await?;
        let product = catalog::find_product(&mut tx, &id).await?.ok_or(CommerceError::NotFound("product"))?;
        tx.commit().await?;
        Ok(product)
    }

    /// What can be bought of a SKU, and where it stands.
    ///
    /// # Errors
    /// [`Refusal::UnknownSku`].
    pub async fn stock(&self, sku: &SkuId) -> Result<(catalog::StockLevel, Vec<ShelfView>), CommerceError> {
        let mut tx = self.db.read("stock of sku").await?;
        let level = catalog::stock_of(&mut tx, std::slice::from_ref(sku)).await?.pop().ok_or(Refusal::UnknownSku)?;
        Ok((level, ledger::shelves(&mut tx, sku).await?))
    }

    /// Whose a SKU is.
    ///
    /// # Errors
    /// [`Refusal::UnknownSku`].
    pub async fn brand_of(&self, sku: &SkuId) -> Result<BrandId, CommerceError> {
        let mut tx = self.db.read("brand of sku").await?;
        let found = records::titles(&mut tx, std::slice::from_ref(sku)).await?.pop();
        Ok(found.ok_or(Refusal::UnknownSku)?.1)
    }

    async fn sheet(&self, tx: &mut Tx, offer: &OfferId, qty: u32) -> Result<(OfferTerms, Confirmation), CommerceError> {
        let terms = records::terms(tx, &[offer]).await?.pop().ok_or(Refusal::UnknownOffer)?;
        let product = catalog::find_product(tx, &terms.product_id).await?.ok_or(CommerceError::NotFound("product"))?;
        let brand = find_brand(tx, &product.brand_id).await?;
        let variant = product.skus.iter().find(|sku| sku.id == terms.sku_id).map(|sku| sku.variant.clone());
        let goods = Goods {
            product_title: product.title,
            variant: variant.unwrap_or_default(),
            brand_name: product.brand_name,
            invoice_number: brand.and_then(|brand| brand.invoice_number),
        };
        let sheet = confirmation::confirm(&terms, goods, qty, self.delivery_days)
            .map_err(|_| CommerceError::Invalid("the total is too large".to_owned()))?;
        Ok((terms, sheet))
    }

    /// Begins to collect, unless somebody in this process is at it already. At most [`MAX_PAYING`] ask at once; when the
    /// server stops, who has not asked yet leaves it to the next start.
    fn collect_soon(&self, id: &PurchaseId) {
        if !self.collecting.lock().insert(id.clone()) {
            return;
        }
        let (checkout, id) = (self.clone(), id.clone());
        self.tasks.spawn("collect", async move {
            let stopping = checkout.tasks.stopping();
            tokio::select! {
                biased;
                place = checkout.paying.acquire() => if place.is_ok() {
                    checkout.collect(&id).await;
                },
                () = stopping.cancelled() => {}
            }
            checkout.collecting.lock().remove(&id);
        });
    }

    /// Asks the provider and settles its word. May run twice for one purchase without harm.
    async fn collect(&self, id: &PurchaseId) {
        if let Err(error) = self.try_collect(id).await {
            // The reconciler asks again.
            tracing::warn!(purchase.id = %id, error = %error, "payment has no last word yet");
        }
    }

    async fn try_collect(&self, id: &PurchaseId) -> Result<(), CommerceError> {
        let mut tx = self.db.read("payment attempt").await?;
        let attempt = records::find_attempt(&mut tx, id).await?.ok_or(CommerceError::NotFound("payment attempt"))?;
        drop(tx);
        let method = Method::parse(&attempt.method).ok_or(CommerceError::NotFound("payment method"))?;
        let amount = Money::yen(attempt.amount_minor).map_err(|_| CommerceError::Invalid("amount".to_owned()))?;
        debug_assert_eq!(amount.currency(), attempt.currency);
        let key = format!("pi:{}:{}", attempt.purchase_id, attempt.n);
        tracing::debug!(purchase.id = %id, attempt.id = %attempt.id, "asking the provider");
        let word = match self.payment.authorize(&key, amount, method).await {
            Ok(word) => word,
            Err(error) => {
                self.mark(id, "unknown").await?;
                tracing::warn!(purchase.id = %id, error = %error, "payment unknown");
                return Ok(());
            }
        };
        let input = match word {
            Word::Authorized => Input::Authorized,
            Word::Declined => Input::Declined,
        };
        let purchase = self.sequencer.step(id, input, None).await?;
        if word == Word::Authorized && purchase.order_id.is_none() && self.payment.cancel(&key).await.is_ok() {
            self.mark(id, "cancelled").await?;
        }
        Ok(())
    }

    async fn mark(&self, id: &PurchaseId, state: &'static str) -> Result<(), CommerceError> {
        let mut tx = self.db.write("mark attempt").await?;
        records::mark_attempt(&mut tx, id, state, self.clock.now()).await?;
        Ok(tx.commit().await?)
    }

    async fn reconcile(&self, older_than_ms: i64) {
        let before = Millis(self.clock.now().0 - older_than_ms);
        let found = async {
            let mut tx = self.db.read("unsettled payments").await?;
            records::unsettled(&mut tx, before, RECONCILE_PAGE).await
        };
        match found.await {
            Ok(ids) => {
                for id in ids {
                    tracing::info!(purchase.id = %id, "asking again about a payment");
                    self.collect_soon(&id);
                }
            }
            Err(error) => tracing::warn!(error = %error, "reconciler cannot look"),
        }
    }
}

/// What was asked, so that another wish under the same key is noticed.
fn body_hash(request: &PlaceRequest) -> String {
    let method = request.payment_method.map_or("", Method::as_str);
    let asked = format!(
        "{}\n{}\n{}\n{}",
        request.offer_id,
        request.qty,
        request.confirmation_hash.as_deref().unwrap_or(""),
        method
    );
    data_encoding::HEXLOWER.encode(&Sha256::digest(asked.as_bytes()))
}
