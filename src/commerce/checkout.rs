//! Shell: from the tap to "paid".
//!
//! Checks the tap, has the sequencer reserve, then asks the provider and has the sequencer settle its word. After a
//! crash, and when an answer was lost, the reconciler asks again under the same key.
//! Invariant: paid once, sold once, credited once, or none of them.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::{
    CommerceError, Refusal,
    allocation::{Delivery, Point},
    attempts::{self, Attempt},
    catalog,
    collect::{CollectConfig, Collector},
    confirmation::{self, Ask, Confirmation, Goods, PaymentText},
    ledger::{self, ShelfView},
    orders::{self, Order},
    payment::{Action, Method, Payment, SandboxOutcome, Slow},
    purchase::{By, Input, State},
    records::{self, Purchase, PurchaseView, Shortage},
    sequencer::{PlaceOrder, Sequencer},
    settle,
    stock::Wish,
    waitlist::{self, Join, Wait},
    wallet::Wallet,
    webhooks::Webhooks,
};
use crate::{
    clock::{Clock, Millis},
    ids::{BrandId, CustomerId, LocationId, OfferId, OrderId, ProductId, PurchaseId, SkuId, WaitId},
    money::Money,
    omo,
    people::find_brand,
    store::Db,
    tasks::Tasks,
    wire,
};

/// Units of one tap.
const MAX_QTY: u32 = 99;
/// Characters of an idempotency key.
const MAX_KEY_CHARS: usize = 255;
/// Orders whose money is being taken are looked at this often, so many at a time …
const LOOK_AT_TAKING: Duration = Duration::from_secs(2);
const TAKING_PAGE: i64 = 256;
/// … and finished by whoever sees them when nobody did so for so long.
const TAKEN_WITHIN_MS: i64 = 10_000;
/// Lines of one basket.
const MAX_LINES: usize = 20;
/// A sheet is answered from memory for so long. The sequencer judges the price itself, so an older sheet can only be
/// refused, never sell at its price.
const SHEET_TTL: Duration = Duration::from_millis(250);
/// Sheets in memory; when full, all are made anew.
const MAX_SHEETS: usize = 1_024;
/// Units of one place on a waitlist.
const MAX_WAIT_QTY: u32 = 10;

/// One line of a tap.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LineRequest {
    /// At which terms.
    pub offer_id: OfferId,
    /// 1 to 99.
    pub qty: u32,
}

/// Where the buyer is.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Near {
    /// -90 to 90.
    pub latitude: f64,
    /// -180 to 180.
    pub longitude: f64,
}

/// The buyer's tap: one offer, or up to 20 `lines` of one live.
#[derive(Debug, Clone, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PlaceRequest {
    /// At which terms; not together with `lines`.
    pub offer_id: Option<OfferId>,
    /// 1 to 99; with `offer_id`.
    pub qty: Option<u32>,
    /// A basket: different offers of one live. All or nothing, unless `partial`.
    pub lines: Vec<LineRequest>,
    /// Hold what there is and leave out the rest. Not together with `payment_method`: first look at what it came to.
    pub partial: bool,
    /// Of the sheet that was shown; another sheet now is refused with `price-changed`.
    pub confirmation_hash: Option<String>,
    /// Pays at once; without it the units are held for a while.
    #[schema(value_type = Option<String>, example = "sandbox_card")]
    pub payment_method: Option<Method>,
    /// Picked up in this store: units come from its shelf alone.
    pub pickup_location_id: Option<LocationId>,
    /// Among equals, the nearest location sends.
    pub near: Option<Near>,
}

impl PlaceRequest {
    /// The lines that are asked for.
    ///
    /// # Errors
    /// [`CommerceError::Invalid`] names the field.
    fn lines(&self) -> Result<Vec<LineRequest>, CommerceError> {
        let lines = match (&self.offer_id, self.lines.is_empty()) {
            (Some(offer), true) => {
                vec![LineRequest { offer_id: offer.clone(), qty: self.qty.ok_or_else(|| invalid("qty is missing"))? }]
            }
            (None, false) if self.qty.is_none() => self.lines.clone(),
            (None, false) => return Err(invalid("qty goes with offer_id; each of `lines` has its own")),
            (Some(_), false) => return Err(invalid("give either offer_id or lines")),
            (None, true) => return Err(invalid("offer_id is missing")),
        };
        check_lines(&lines)?;
        if self.partial && self.payment_method.is_some() {
            return Err(invalid("partial and payment_method do not go together: look at what is held, then pay"));
        }
        Ok(lines)
    }

    fn delivery(&self) -> Result<Delivery, CommerceError> {
        let near = self.near.map(|near| Point::parse(near.latitude, near.longitude));
        let near = near.transpose().map_err(|field| CommerceError::Invalid(format!("near.{field}")))?;
        Ok(Delivery { pickup: self.pickup_location_id.clone(), near })
    }
}

fn invalid(text: &str) -> CommerceError {
    CommerceError::Invalid(text.to_owned())
}

fn check_lines(lines: &[LineRequest]) -> Result<(), CommerceError> {
    if lines.is_empty() || lines.len() > MAX_LINES {
        return Err(CommerceError::Invalid(format!("lines must be 1 to {MAX_LINES}")));
    }
    if lines.iter().any(|line| !(1..=MAX_QTY).contains(&line.qty)) {
        return Err(CommerceError::Invalid(format!("qty must be between 1 and {MAX_QTY}")));
    }
    if lines.iter().map(|line| &line.offer_id).collect::<HashSet<_>>().len() < lines.len() {
        return Err(invalid("lines must be of different offers"));
    }
    Ok(())
}

pub(super) fn check_key(key: &str) -> Result<(), CommerceError> {
    // Visible ASCII, as in an HTTP header: keys of our own may contain what no client's can.
    let visible = key.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if key.is_empty() || key.len() > MAX_KEY_CHARS || !visible {
        return Err(CommerceError::Invalid(format!(
            "Idempotency-Key must have 1 to {MAX_KEY_CHARS} visible ASCII characters"
        )));
    }
    Ok(())
}

/// A sheet and what the sequencer needs of it.
#[derive(Debug)]
struct Shown {
    wishes: Vec<Wish>,
    confirmation: Confirmation,
    text: String,
    slow: Slow,
    made_at: Instant,
}

impl Shown {
    /// Whether it may be paid by what takes days: not while a clock runs.
    fn slow(&self) -> Slow {
        self.slow
    }
}

fn slow(ends: impl Iterator<Item = Option<Millis>>) -> Slow {
    let mut ends = ends;
    if ends.any(|end| end.is_some()) { Slow::Refused } else { Slow::Allowed }
}

type Sheets = HashMap<Vec<LineRequest>, Arc<Shown>>;

/// Buying. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Checkout {
    db: Db,
    clock: Clock,
    sequencer: Sequencer,
    collector: Collector,
    wallet: Wallet,
    webhooks: Webhooks,
    sheets: Arc<Mutex<Sheets>>,
    delivery_days: u32,
}

impl Checkout {
    /// Starts the reconciler, which also finishes what an earlier process left unpaid, and the handling of webhooks.
    #[must_use]
    pub fn start(
        db: Db,
        clock: Clock,
        sequencer: Sequencer,
        payment: Payment,
        delivery_days: u32,
        collect: CollectConfig,
        tasks: &Tasks,
    ) -> Self {
        let wallet = Wallet::new(db.clone(), clock.clone(), payment.clone());
        let collector = Collector::start(
            db.clone(),
            clock.clone(),
            sequencer.clone(),
            payment.clone(),
            wallet.clone(),
            collect,
            tasks,
        );
        let webhooks = Webhooks::start(db.clone(), clock.clone(), payment, collector.clone(), wallet.clone(), tasks);
        let checkout =
            Self { db, clock, sequencer, collector, wallet, webhooks, sheets: Arc::default(), delivery_days };
        checkout.finish_what_was_begun(tasks);
        checkout
    }

    /// Looks for orders whose money was asked for by somebody who is gone, and finishes that.
    fn finish_what_was_begun(&self, tasks: &Tasks) {
        let (checkout, stopping) = (self.clone(), tasks.stopping());
        tasks.spawn("money being taken", async move {
            // Since when each of them is known; nobody needs so long for one question.
            let mut known: HashMap<PurchaseId, Millis> = HashMap::new();
            while !stopping.is_cancelled() {
                if let Err(error) = checkout.finish_taking_of(&mut known).await {
                    tracing::warn!(error = %error, "money that is being taken cannot be looked at");
                }
                tokio::select! {
                    () = checkout.clock.sleep(LOOK_AT_TAKING) => {}
                    () = stopping.cancelled() => {}
                }
            }
        });
    }

    async fn finish_taking_of(&self, known: &mut HashMap<PurchaseId, Millis>) -> Result<(), CommerceError> {
        let mut tx = self.db.read("money that is being taken").await?;
        let taking = orders::being_taken(&mut tx, TAKING_PAGE).await?;
        drop(tx);
        let now = self.clock.now();
        known.retain(|purchase, _| taking.contains(purchase));
        for purchase in taking {
            let since = *known.entry(purchase.clone()).or_insert(now);
            if now.since(since) < TAKEN_WITHIN_MS {
                continue;
            }
            known.insert(purchase.clone(), now);
            if let Err(error) = self.finish_taking(&purchase).await {
                tracing::warn!(purchase.id = %purchase, error = %error, "money is still being taken");
            }
        }
        Ok(())
    }

    /// Saved cards.
    #[must_use]
    pub fn wallet(&self) -> &Wallet {
        &self.wallet
    }

    /// What the provider says of its own accord.
    #[must_use]
    pub fn webhooks(&self) -> &Webhooks {
        &self.webhooks
    }

    /// Who collects the money.
    #[must_use]
    pub fn payment(&self) -> &Payment {
        self.collector.payment()
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
        let lines = request.lines()?;
        let delivery = request.delivery()?;
        check_key(key)?;
        let body_hash = body_hash(&lines, request);
        let (shown, mut fresh) = match self.shown(&lines).await {
            Ok(found) => found,
            Err(error) => return self.known_or(customer, key, &body_hash, error).await,
        };
        let mut shown = shown;
        let agrees =
            |shown: &Shown| request.confirmation_hash.as_ref().is_none_or(|seen| *seen == shown.confirmation.hash);
        if !agrees(&shown) && !fresh {
            (shown, fresh) = (self.make_sheet(&lines).await?, true);
        }
        if !agrees(&shown) {
            return self.known_or(customer, key, &body_hash, Refusal::PriceChanged.into()).await;
        }
        if !request.partial && shown.wishes.iter().any(|wish| self.sequencer.is_hinted_sold_out(&wish.sku)) {
            return self.known_or(customer, key, &body_hash, Refusal::SoldOut.into()).await;
        }
        if let Some(method) = &request.payment_method
            && let Err(error) = self.check_method(customer, method, shown.slow()).await
        {
            return self.known_or(customer, key, &body_hash, error).await;
        }
        if let Some(store) = &delivery.pickup
            && !self.has_pickup(store).await?
        {
            return self.known_or(customer, key, &body_hash, Refusal::NoPickup.into()).await;
        }
        let order = |shown: &Shown| PlaceOrder {
            id: PurchaseId::fresh(),
            customer: customer.clone(),
            key: key.to_owned(),
            body_hash: body_hash.clone(),
            wishes: shown.wishes.clone(),
            partial: request.partial,
            delivery: delivery.clone(),
            sheet_hash: shown.confirmation.hash.clone(),
            sheet: shown.text.clone(),
            method: request.payment_method.clone(),
            slow: shown.slow(),
            demo,
        };
        let mut placed = self.sequencer.place(order(&shown)).await;
        if matches!(placed, Err(CommerceError::Refused(Refusal::PriceChanged))) && !fresh {
            // The sheet was older than the offer; who was shown one (its hash) is asked again, who was not is not.
            let now = self.make_sheet(&lines).await?;
            if agrees(&now) {
                placed = self.sequencer.place(order(&now)).await;
            }
        }
        let purchase = placed?;
        if purchase.state == State::Paying {
            let (slow, turn_at) = (shown.slow(), self.sequencer.turn_of(&purchase));
            let known = request.payment_method.as_ref().map(|method| Attempt::first(&purchase, method, slow, turn_at));
            self.collector.soon(&purchase.id, known.map(|attempt| (attempt, customer.clone())));
        }
        Ok(purchase)
    }

    async fn has_pickup(&self, location: &LocationId) -> Result<bool, CommerceError> {
        let mut tx = self.db.read("place to pick up at").await?;
        Ok(omo::offers_pickup(&mut tx, location).await?)
    }

    /// The purchase that this tap made before, if it did; the error otherwise.
    async fn known_or(
        &self,
        customer: &CustomerId,
        key: &str,
        body_hash: &str,
        error: CommerceError,
    ) -> Result<Purchase, CommerceError> {
        let mut tx = self.db.read("known tap").await?;
        match records::find_by_key(&mut tx, customer, key).await? {
            Some(known) if known.body_hash == body_hash => Ok(known),
            Some(_) => Err(CommerceError::KeyReused),
            None => Err(error),
        }
    }

    /// Waits in line for the next released units of an offer. Joining twice is the same place.
    ///
    /// # Errors
    /// A [`Refusal`] of the offer; an invalid quantity.
    pub async fn join_waitlist(
        &self,
        customer: &CustomerId,
        demo: bool,
        offer: &OfferId,
        qty: u32,
        confirmation_hash: Option<&str>,
    ) -> Result<Wait, CommerceError> {
        if !(1..=MAX_WAIT_QTY).contains(&qty) {
            return Err(CommerceError::Invalid(format!("qty must be between 1 and {MAX_WAIT_QTY}")));
        }
        let shown = self.make_sheet(&[LineRequest { offer_id: offer.clone(), qty }]).await?;
        if confirmation_hash.is_some_and(|seen| *seen != shown.confirmation.hash) {
            return Err(Refusal::PriceChanged.into());
        }
        let wish = shown.wishes.first().cloned().ok_or(Refusal::UnknownOffer)?;
        let join = Join {
            id: WaitId::fresh(),
            customer: customer.clone(),
            wish,
            sheet_hash: shown.confirmation.hash.clone(),
            sheet: shown.text.clone(),
            demo,
        };
        self.sequencer.join(join).await
    }

    /// Gives up a place; one that was served already stays as it is.
    ///
    /// # Errors
    /// Not found, also when it is another's.
    pub async fn leave_waitlist(&self, customer: &CustomerId, wait: &WaitId) -> Result<Wait, CommerceError> {
        self.sequencer.leave(wait, customer).await
    }

    /// A customer's places, newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn waits(
        &self,
        customer: &CustomerId,
        before: Option<&WaitId>,
        limit: i64,
    ) -> Result<Vec<Wait>, CommerceError> {
        let mut tx = self.db.read("list waits").await?;
        Ok(waitlist::list(&mut tx, customer, before, limit).await?)
    }

    /// Pays for held units.
    ///
    /// # Errors
    /// [`Refusal::HoldExpired`], [`Refusal::NotPayable`]; not found when it is another's.
    pub async fn pay(
        &self,
        customer: &CustomerId,
        id: &PurchaseId,
        method: Method,
        confirmation_hash: Option<&str>,
    ) -> Result<Purchase, CommerceError> {
        let held = self.load(customer, id).await?;
        if let Some(seen) = confirmation_hash.filter(|seen| **seen != held.confirmation_hash) {
            // What was shown just now instead of then is as good, when it is for the same price.
            let lines: Vec<LineRequest> = held
                .granted()
                .map(|line| LineRequest {
                    offer_id: line.offer_id.clone(),
                    qty: u32::try_from(line.qty).unwrap_or(u32::MAX),
                })
                .collect();
            let now = self.make_sheet(&lines).await?;
            if now.confirmation.hash != *seen || now.confirmation.sheet.total_minor != held.total_minor {
                return Err(Refusal::PriceChanged.into());
            }
        }
        let slow = self.slow_for(&held).await?;
        self.check_method(customer, &method, slow).await?;
        let purchase = self.sequencer.start_paying(id, (method, slow)).await?;
        self.collector.soon(id, None);
        Ok(purchase)
    }

    /// Whether a customer may pay so, for goods that may or may not be paid by what takes days.
    async fn check_method(&self, customer: &CustomerId, method: &Method, slow: Slow) -> Result<(), CommerceError> {
        if matches!(method, Method::Test(test) if test.is_slow()) && slow == Slow::Refused {
            return Err(Refusal::MethodUnavailable.into());
        }
        self.wallet.check(customer, method).await
    }

    async fn slow_for(&self, held: &Purchase) -> Result<Slow, CommerceError> {
        let mut tx = self.db.read("offers of a hold").await?;
        let terms = records::terms(&mut tx, &held.granted().map(|line| &line.offer_id).collect()).await?;
        Ok(slow(terms.iter().map(|terms| terms.ends_at_ms)))
    }

    /// Gives held units back, also while the bank waits for the buyer: then the payment is called off first.
    ///
    /// # Errors
    /// [`Refusal::NotCancellable`] while the provider is asked, and once it is paid; not found when it is another's.
    pub async fn cancel(&self, customer: &CustomerId, id: &PurchaseId) -> Result<Purchase, CommerceError> {
        let purchase = self.load(customer, id).await?;
        if purchase.state != State::RequiresAction {
            return self.sequencer.step(id, Input::Cancel).await;
        }
        let mut tx = self.db.read("payment to call off").await?;
        let attempt = attempts::find(&mut tx, id).await?.ok_or(CommerceError::NotFound("payment"))?;
        drop(tx);
        self.collector.call_off(&attempt, By::Buyer).await?;
        // The provider's own message may have been faster.
        let after = self.load(customer, id).await?;
        match after.state {
            State::Cancelled | State::Failed => Ok(after),
            _ => Err(Refusal::NotCancellable.into()),
        }
    }

    /// What the bank of a purchase's buyer asks of them. `None`: nothing.
    ///
    /// # Errors
    /// Not found, also when it is another's; [`CommerceError::Provider`].
    pub async fn action(&self, customer: &CustomerId, id: &PurchaseId) -> Result<Option<Action>, CommerceError> {
        self.load(customer, id).await?;
        self.collector.action(id).await
    }

    /// The purchase, after the provider was asked how its payment stands.
    ///
    /// # Errors
    /// Not found, also when it is another's; [`CommerceError::Provider`].
    pub async fn refresh(&self, customer: &CustomerId, id: &PurchaseId) -> Result<Purchase, CommerceError> {
        let purchase = self.load(customer, id).await?;
        if purchase.state.holds_units() && purchase.state != State::Held {
            self.collector.refresh(id).await?;
        }
        self.load(customer, id).await
    }

    /// A purchase as its buyer sees it, with its place in this node's queue of payments while it waits there.
    #[must_use]
    pub fn view(&self, purchase: Purchase) -> PurchaseView {
        let place = self.collector.place_of(&purchase);
        PurchaseView {
            payments_before: place.map(|place| place.before),
            payment_estimate_ms: place.map(|place| place.estimate_ms),
            ..purchase.into()
        }
    }

    /// A purchase as its buyer hears of it over the hub, with its place in the queue of payments.
    #[must_use]
    pub fn status(&self, purchase: &Purchase) -> wire::PurchaseStatus {
        let place = self.collector.place_of(purchase);
        let small = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        wire::PurchaseStatus {
            payments_before: place.map_or(0, |place| small(place.before)),
            payment_estimate_ms: place.map_or(0, |place| small(place.estimate_ms)),
            ..settle::status(purchase)
        }
    }

    /// What a buyer did on the sandbox's own page. `false`: nothing is asked there.
    ///
    /// # Errors
    /// [`CommerceError::NotFound`] when there is no sandbox.
    pub async fn act_in_sandbox(&self, id: &str, outcome: SandboxOutcome) -> Result<bool, CommerceError> {
        match self.payment() {
            Payment::Sandbox(sandbox) => Ok(sandbox.act(id, outcome).await?),
            Payment::Stripe(_) => Err(CommerceError::NotFound("sandbox")),
        }
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
        let found = orders::find_order(&mut tx, id).await?.filter(|order| &order.customer_id == customer);
        let mut order = found.ok_or(CommerceError::NotFound("order"))?;
        // For nobody else: it has the code that hands it over.
        order.pickup = omo::pickup_of(&mut tx, id).await?;
        Ok(order)
    }

    /// The sheet beside the buy button.
    ///
    /// # Errors
    /// Not found; a quantity that is out of range.
    pub async fn confirmation(&self, lines: &[LineRequest]) -> Result<Confirmation, CommerceError> {
        check_lines(lines)?;
        Ok(self.make_sheet(lines).await?.confirmation.clone())
    }

    /// The sheet that was shown for a purchase, as it was kept (JSON).
    ///
    /// # Errors
    /// Not found, also when the purchase is another's.
    pub async fn kept_confirmation(&self, customer: &CustomerId, id: &PurchaseId) -> Result<String, CommerceError> {
        let purchase = self.load(customer, id).await?;
        let mut tx = self.db.read("kept confirmation").await?;
        let kept = records::find_confirmation(&mut tx, &purchase.confirmation_hash).await?;
        kept.ok_or(CommerceError::NotFound("confirmation"))
    }

    /// Takes the money of a paid order and notes that its goods have left the shelf. May be repeated.
    ///
    /// # Errors
    /// [`Refusal::NotShippable`] when it is not paid or short of goods; not found; [`CommerceError::Unknown`] when the
    /// provider does not answer: then nothing has left.
    pub async fn fulfil(&self, order: &OrderId) -> Result<Purchase, CommerceError> {
        let mut tx = self.db.read("order to fulfil").await?;
        let found = orders::find_order(&mut tx, order).await?.ok_or(CommerceError::NotFound("order"))?;
        let purchase = records::find(&mut tx, &found.purchase_id).await?.ok_or(CommerceError::NotFound("order"))?;
        drop(tx);
        if purchase.short_units > 0 || !purchase.state.is_paid() {
            return Err(Refusal::NotShippable.into());
        }
        if purchase.state == State::Authorized
            && let Err(error) = self.take_money(&purchase.id).await
        {
            // Somebody else may have taken it in the same moment: then it is taken.
            let mut tx = self.db.read("order to fulfil").await?;
            let now = records::find(&mut tx, &purchase.id).await?;
            if !now.is_some_and(|now| matches!(now.state, State::Captured | State::Fulfilled)) {
                return Err(error);
            }
        }
        self.sequencer.step(&purchase.id, Input::Shipped).await
    }

    /// Takes what is left of an order's reserved money. May be repeated, also after a crash in the middle.
    async fn take_money(&self, purchase: &PurchaseId) -> Result<(), CommerceError> {
        let left = self.sequencer.begin_taking(purchase).await?;
        let amount = Money::yen(left).map_err(|_| invalid("amount"))?;
        let taken = self.collector.capture(purchase, amount).await;
        if matches!(taken, Err(CommerceError::Refused(_))) {
            self.sequencer.end_taking(purchase).await?;
        }
        taken
    }

    /// Finishes the taking of an order's money that was begun and never ended: then it can be given back.
    pub(super) async fn finish_taking(&self, purchase: &PurchaseId) -> Result<(), CommerceError> {
        match self.take_money(purchase).await {
            // Somebody else was faster.
            Err(CommerceError::Refused(_)) | Ok(()) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whose the lines of an order are.
    ///
    /// # Errors
    /// Not found.
    pub async fn brands_of(&self, order: &OrderId) -> Result<BTreeSet<BrandId>, CommerceError> {
        let mut tx = self.db.read("brands of order").await?;
        let brands = orders::brands_of(&mut tx, order).await?;
        if brands.is_empty() { Err(CommerceError::NotFound("order")) } else { Ok(brands) }
    }

    /// Paid orders that are short of goods, oldest first; of these brands, or of all.
    ///
    /// # Errors
    /// The database's.
    pub async fn shortages(&self, brands: Option<&BTreeSet<BrandId>>) -> Result<Vec<Shortage>, CommerceError> {
        let mut tx = self.db.read("shortages").await?;
        Ok(records::shortages(&mut tx, brands).await?)
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

    /// Whose these SKUs are; those that do not exist are missing.
    ///
    /// # Errors
    /// The database's.
    pub async fn brands_of_skus(&self, skus: &BTreeSet<&SkuId>) -> Result<HashMap<SkuId, BrandId>, CommerceError> {
        let mut tx = self.db.read("brands of skus").await?;
        let found = orders::titles(&mut tx, skus).await?;
        Ok(found.into_iter().map(|(sku, brand, _, _)| (sku, brand)).collect())
    }

    /// The SKUs with these JANs.
    ///
    /// # Errors
    /// The database's.
    pub async fn skus_by_jan(&self, jans: &BTreeSet<&str>) -> Result<Vec<(String, SkuId, BrandId)>, CommerceError> {
        let mut tx = self.db.read("skus by jan").await?;
        Ok(catalog::find_by_jan(&mut tx, jans).await?)
    }

    /// The sheet for these lines, from memory when it is young enough (then `false`).
    async fn shown(&self, lines: &[LineRequest]) -> Result<(Arc<Shown>, bool), CommerceError> {
        let kept = self.sheets.lock().get(lines).cloned();
        match kept.filter(|shown| shown.made_at.elapsed() < SHEET_TTL) {
            Some(shown) => Ok((shown, false)),
            None => Ok((self.make_sheet(lines).await?, true)),
        }
    }

    fn payment_text(&self, slow: Slow) -> PaymentText {
        let payment = self.payment();
        if payment.is_sandbox() {
            return confirmation::payment_text(None);
        }
        let mut methods = payment.methods();
        methods.retain(|method| slow == Slow::Allowed || method != "konbini");
        confirmation::payment_text(Some(&methods))
    }

    async fn make_sheet(&self, lines: &[LineRequest]) -> Result<Arc<Shown>, CommerceError> {
        let made_at = Instant::now();
        let mut tx = self.db.read("final confirmation").await?;
        let terms = records::terms(&mut tx, &lines.iter().map(|line| &line.offer_id).collect()).await?;
        let (mut asked, mut wishes) = (Vec::with_capacity(lines.len()), Vec::with_capacity(lines.len()));
        for line in lines {
            let terms = terms.iter().find(|terms| terms.id == line.offer_id).ok_or(Refusal::UnknownOffer)?.clone();
            let product = catalog::find_product(&mut tx, &terms.product_id).await?;
            let product = product.ok_or(CommerceError::NotFound("product"))?;
            let brand = find_brand(&mut tx, &product.brand_id).await?;
            let variant = product.skus.iter().find(|sku| sku.id == terms.sku_id).map(|sku| sku.variant.clone());
            let goods = Goods {
                product_title: product.title,
                variant: variant.unwrap_or_default(),
                brand_id: product.brand_id,
                brand_name: product.brand_name,
                invoice_number: brand.and_then(|brand| brand.invoice_number),
            };
            wishes.push(Wish {
                offer: terms.id.clone(),
                sku: terms.sku_id.clone(),
                qty: i64::from(line.qty),
                seen_price_minor: terms.price_minor,
            });
            asked.push(Ask { terms, goods, qty: line.qty });
        }
        drop(tx);
        if asked.iter().any(|ask| ask.terms.live_id != asked[0].terms.live_id) {
            return Err(invalid("lines must be offers of one live"));
        }
        let slow = slow(asked.iter().map(|ask| ask.terms.ends_at_ms));
        let confirmation = confirmation::confirm(asked, self.delivery_days, self.payment_text(slow))
            .map_err(|_| invalid("the total is too large"))?;
        let text = confirmation::text(&confirmation.sheet);
        let shown = Arc::new(Shown { wishes, confirmation, text, slow, made_at });
        let mut sheets = self.sheets.lock();
        if sheets.len() >= MAX_SHEETS {
            sheets.clear();
        }
        sheets.insert(lines.to_vec(), Arc::clone(&shown));
        Ok(shown)
    }
}

/// What was asked, so that another wish under the same key is noticed.
fn body_hash(lines: &[LineRequest], request: &PlaceRequest) -> String {
    let mut asked = String::new();
    for line in lines {
        asked.extend([line.offer_id.as_str(), "\n", &line.qty.to_string(), "\n"]);
    }
    asked.push_str(request.confirmation_hash.as_deref().unwrap_or(""));
    asked.push('\n');
    asked.push_str(request.payment_method.as_ref().map_or("", Method::as_str));
    if request.partial {
        asked.push_str("\npartial");
    }
    if let Some(store) = &request.pickup_location_id {
        asked.extend(["\npickup ", store.as_str()]);
    }
    data_encoding::HEXLOWER.encode(&Sha256::digest(asked.as_bytes()))
}
