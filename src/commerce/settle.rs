//! Shell: one batch of the sequencer: one transaction that reads, decides and writes for everybody who waits.
//!
//! Order inside: what has expired, then the commands as they came. Locks: purchases by id, then SKUs by id.
//! Invariant: an outcome is told only after the commit that made it true.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use sha2::{Digest, Sha256};

use super::{
    CommerceError, Refusal, ledger,
    payment::Method,
    purchase::{Effect, Input, State, transition},
    records::{self, NewOrder, Purchase},
    sequencer::{Adjustment, Command, Outcome, PlaceOrder},
    stock::{Cause, Shelf, UsageKey, Want, World},
};
use crate::{
    attribution::{self, SoldLine},
    bus::{self, Fact, StockEdge},
    clock::Millis,
    ids::{OrderId, OrderLineId, PurchaseId, SkuId},
    money::Money,
    store::{Db, StoreError, Tx},
    wire,
};

/// Holds that one batch lets go because their time is over; the next batch takes the rest.
const MAX_EXPIRED: i64 = 512;

/// What a batch did, besides its outcomes.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// One for each command, in order.
    pub(super) outcomes: Vec<Result<Outcome, CommerceError>>,
    /// What can be bought of every SKU the batch touched.
    pub(super) available: Vec<(SkuId, i64)>,
    /// Holds that ran out.
    pub(super) expired: usize,
}

/// The rows of one transaction, and what is to be written.
struct Batch<'a> {
    id: String,
    now: Millis,
    hold_ttl: Duration,
    world: World,
    purchases: HashMap<PurchaseId, Purchase>,
    by_key: HashMap<(String, String), Purchase>,
    placed: Vec<Purchase>,
    sheets: BTreeMap<&'a str, &'a str>,
    attempts: Vec<(PurchaseId, &'static str)>,
    /// How the payment attempts of these purchases ended.
    marks: Vec<(PurchaseId, &'static str)>,
    changed: BTreeSet<PurchaseId>,
    sold: Vec<Purchase>,
    adjusted: Vec<(String, World)>,
}

/// Runs the batch to its commit.
///
/// # Errors
/// The database's; then nothing was decided, or (at the commit) it is not known.
pub(super) async fn run(db: &Db, commands: &[Command], hold_ttl: Duration, now: Millis) -> Result<Done, StoreError> {
    let mut tx = db.write("stock batch").await?;
    let due = records::due(&mut tx, now, MAX_EXPIRED).await?;
    if due.is_empty() && commands.is_empty() {
        return Ok(Done::default());
    }
    let mut batch = load(&mut tx, commands, &due, hold_ttl, now).await?;
    let mut done = Done::default();
    for id in &due {
        if batch.step(id, Input::HoldOver, None).is_ok_and(|p| p.state == State::Expired) {
            done.expired += 1;
        }
    }
    for command in commands {
        let outcome = match command {
            Command::Place(order) => batch.place(order).map(|purchase| Outcome::Purchase(Box::new(purchase))),
            Command::Step { purchase, input, method } => {
                batch.step_outcome(purchase, *input, method.map(Method::as_str))
            }
            Command::Adjust(adjustment) => batch.adjust(&mut tx, adjustment).await?,
        };
        done.outcomes.push(outcome);
    }
    batch.write(&mut tx).await?;
    done.available = batch.world.pools.iter().map(|(sku, pool)| (sku.clone(), pool.available())).collect();
    tx.commit().await?;
    Ok(done)
}

async fn load<'a>(
    tx: &mut Tx,
    commands: &'a [Command],
    due: &[PurchaseId],
    hold_ttl: Duration,
    now: Millis,
) -> Result<Batch<'a>, StoreError> {
    let (mut keys, mut offers, mut steps, mut skus) = (Vec::new(), BTreeSet::new(), Vec::new(), BTreeSet::new());
    steps.extend(due);
    for command in commands {
        match command {
            Command::Place(order) => {
                keys.push((&order.customer, order.key.as_str()));
                offers.insert(&order.offer);
            }
            Command::Step { purchase, .. } => steps.push(purchase),
            Command::Adjust(adjustment) => {
                skus.insert(adjustment.sku.clone());
            }
        }
    }
    let by_key = records::find_by_keys(tx, &keys).await?;
    let locked = records::lock(tx, &steps).await?;
    let terms = records::terms(tx, &offers.into_iter().collect::<Vec<_>>()).await?;
    skus.extend(terms.iter().map(|t| t.sku_id.clone()));
    skus.extend(locked.iter().map(|p| p.sku_id.clone()));
    let pools = ledger::lock_pools(tx, skus).await?;
    let terms: HashMap<_, _> = terms.into_iter().map(|t| (t.id.clone(), t)).collect();
    let usage_keys: BTreeSet<UsageKey> = commands
        .iter()
        .filter_map(|command| match command {
            Command::Place(order) => {
                let t = terms.get(&order.offer)?;
                Some(UsageKey {
                    live: t.live_id.clone(),
                    product: t.product_id.clone(),
                    customer: order.customer.clone(),
                })
            }
            Command::Step { .. } | Command::Adjust(_) => None,
        })
        .collect();
    let usage = ledger::read_usage(tx, &usage_keys.into_iter().collect::<Vec<_>>()).await?;
    Ok(Batch {
        id: ledger::fresh_batch(),
        now,
        hold_ttl,
        world: World { offers: terms, pools, usage, entries: BTreeMap::new() },
        purchases: locked.into_iter().map(|p| (p.id.clone(), p)).collect(),
        by_key: by_key.into_iter().map(|p| ((p.customer_id.to_string(), p.idempotency_key.clone()), p)).collect(),
        placed: Vec::new(),
        sheets: BTreeMap::new(),
        attempts: Vec::new(),
        marks: Vec::new(),
        changed: BTreeSet::new(),
        sold: Vec::new(),
        adjusted: Vec::new(),
    })
}

impl<'a> Batch<'a> {
    fn place(&mut self, order: &'a PlaceOrder) -> Result<Purchase, CommerceError> {
        let key = (order.customer.to_string(), order.key.clone());
        if let Some(known) = self.by_key.get(&key) {
            // The same tap again: its one answer. Another wish under the same key: refused.
            return if known.body_hash == order.body_hash { Ok(known.clone()) } else { Err(CommerceError::KeyReused) };
        }
        let want = Want {
            offer: order.offer.clone(),
            customer: order.customer.clone(),
            qty: i64::from(order.qty),
            seen_price_minor: order.seen_price_minor,
        };
        let held = self.world.hold(&want, self.now)?;
        let total = Money::yen(held.terms.price_minor).and_then(|price| price.times(order.qty));
        let total = total.map_err(|_| CommerceError::Invalid("the total is too large".to_owned()))?;
        let purchase = Purchase {
            id: order.id.clone(),
            state: if order.method.is_some() { State::Paying } else { State::Held },
            reason: None,
            customer_id: order.customer.clone(),
            idempotency_key: order.key.clone(),
            body_hash: order.body_hash.clone(),
            live_id: held.terms.live_id.clone(),
            offer_id: held.terms.id.clone(),
            product_id: held.terms.product_id.clone(),
            sku_id: held.terms.sku_id.clone(),
            allocation: serde_json::to_string(&held.allocation).expect("a map of text to numbers is JSON"),
            qty: i32::try_from(order.qty).expect("checked at the edge"),
            unit_price_minor: held.terms.price_minor,
            total_minor: total.minor(),
            tax_rate_bp: held.terms.tax_rate_bp,
            currency: held.terms.currency,
            confirmation_hash: order.sheet_hash.clone(),
            hold_expires_at_ms: self.now.plus(self.hold_ttl),
            placed_at_ms: self.now,
            batch_id: self.id.clone(),
            order_id: None,
            version: 1,
            demo: order.demo,
        };
        if let Some(method) = order.method {
            self.attempts.push((purchase.id.clone(), method.as_str()));
        }
        self.sheets.insert(&order.sheet_hash, &order.sheet);
        self.by_key.insert(key, purchase.clone());
        self.placed.push(purchase.clone());
        Ok(purchase)
    }

    fn step_outcome(
        &mut self,
        id: &PurchaseId,
        input: Input,
        method: Option<&'static str>,
    ) -> Result<Outcome, CommerceError> {
        self.step(id, input, method).map(|purchase| Outcome::Purchase(Box::new(purchase)))
    }

    fn step(&mut self, id: &PurchaseId, input: Input, method: Option<&'static str>) -> Result<Purchase, CommerceError> {
        let purchase = self.purchases.get_mut(id).ok_or(CommerceError::NotFound("purchase"))?;
        let (state, effects) = transition(purchase.state, input, purchase.hold_expires_at_ms, self.now)?;
        let key = UsageKey {
            live: purchase.live_id.clone(),
            product: purchase.product_id.clone(),
            customer: purchase.customer_id.clone(),
        };
        purchase.state = state;
        match state {
            State::Expired => purchase.reason = Some(Refusal::HoldExpired.slug().to_owned()),
            State::Failed => {
                purchase.reason = Some(Refusal::PaymentDeclined.slug().to_owned());
                self.marks.push((id.clone(), "failed"));
            }
            State::Authorized => self.marks.push((id.clone(), "authorized")),
            _ => {}
        }
        for effect in effects {
            let allocation = purchase.allocation();
            match effect {
                Effect::Sell => self.world.sell(&purchase.sku_id, &allocation),
                Effect::Release => self.world.release(&purchase.sku_id, &allocation, key.clone(), Cause::Release),
                Effect::Expire => self.world.release(&purchase.sku_id, &allocation, key.clone(), Cause::Expire),
                Effect::WriteOrder => {
                    purchase.order_id = Some(OrderId::fresh());
                    self.sold.push(purchase.clone());
                }
                Effect::AskProvider => self.attempts.extend(method.map(|method| (purchase.id.clone(), method))),
                // Told to the provider by who asked it, after the commit.
                Effect::LetMoneyGo => {}
            }
        }
        self.changed.insert(id.clone());
        Ok(purchase.clone())
    }

    async fn adjust(&mut self, tx: &mut Tx, wish: &Adjustment) -> Result<Result<Outcome, CommerceError>, StoreError> {
        let name = adjustment_batch(wish);
        let Some(kind) = ledger::place_kind(tx, &wish.location).await? else {
            return Ok(Err(CommerceError::NotFound("location")));
        };
        let repeated = ledger::batch_exists(tx, &name).await? || self.adjusted.iter().any(|(known, _)| *known == name);
        if !repeated {
            let shelf = Shelf { location: wish.location.clone(), kind, on_hand: 0, held: 0, safety: 0 };
            // Its entries bear the caller's key instead of the batch's name: that is how a repetition is recognised.
            let mut aside = World { entries: BTreeMap::new(), ..World::default() };
            std::mem::swap(&mut self.world.entries, &mut aside.entries);
            let decided = self.world.adjust(&wish.sku, &shelf, wish.delta, wish.kind);
            std::mem::swap(&mut self.world.entries, &mut aside.entries);
            if let Err(refusal) = decided {
                return Ok(Err(refusal.into()));
            }
            self.adjusted.push((name, aside));
        }
        let Some(pool) = self.world.pools.get(&wish.sku) else { return Ok(Err(Refusal::UnknownSku.into())) };
        let shelf = pool.shelves.iter().find(|shelf| shelf.location == wish.location);
        let (on_hand, held) = shelf.map_or((0, 0), |shelf| (shelf.on_hand, shelf.held));
        Ok(Ok(Outcome::Adjusted { on_hand, held, available: pool.available(), version: pool.version }))
    }

    async fn write(&mut self, tx: &mut Tx) -> Result<(), StoreError> {
        ledger::write_entries(tx, &self.world.entries, &self.id, self.now).await?;
        for (name, world) in &self.adjusted {
            ledger::write_entries(tx, &world.entries, name, self.now).await?;
        }
        ledger::write_usage(tx, &self.world.usage).await?;
        for (hash, sheet) in &self.sheets {
            records::keep_confirmation(tx, hash, sheet, self.now).await?;
        }
        records::insert(tx, &self.placed.iter().collect::<Vec<_>>()).await?;
        for id in &self.changed {
            records::update(tx, &self.purchases[id]).await?;
        }
        for (id, method) in &self.attempts {
            let placed = self.placed.iter().find(|p| &p.id == id);
            let purchase = placed.or_else(|| self.purchases.get(id)).expect("attempts are of this batch's purchases");
            records::insert_attempt(tx, purchase, method, self.now).await?;
        }
        for (id, state) in &self.marks {
            records::mark_attempt(tx, id, state, self.now).await?;
        }
        self.write_orders(tx).await?;
        bus::append_many(tx, &self.facts(), self.now).await
    }

    async fn write_orders(&self, tx: &mut Tx) -> Result<(), StoreError> {
        if self.sold.is_empty() {
            return Ok(());
        }
        let skus: BTreeSet<SkuId> = self.sold.iter().map(|p| p.sku_id.clone()).collect();
        let titles = records::titles(tx, &skus.into_iter().collect::<Vec<_>>()).await?;
        let titles: HashMap<SkuId, _> =
            titles.into_iter().map(|(sku, brand, title, variant)| (sku, (brand, title, variant))).collect();
        let orders: Vec<NewOrder> = self
            .sold
            .iter()
            .map(|purchase| {
                let (brand_id, product_title, variant) = titles[&purchase.sku_id].clone();
                let id = purchase.order_id.clone().expect("set when it was sold");
                NewOrder {
                    id,
                    line_id: OrderLineId::fresh(),
                    purchase: purchase.clone(),
                    brand_id,
                    product_title,
                    variant,
                }
            })
            .collect();
        records::insert_orders(tx, &orders, self.now).await?;
        let lines: Vec<SoldLine> = orders
            .into_iter()
            .map(|order| SoldLine {
                order_id: order.id,
                line_id: order.line_id,
                brand_id: order.brand_id,
                live_id: order.purchase.live_id,
                customer_id: order.purchase.customer_id,
                product_id: order.purchase.product_id,
                purchase_id: order.purchase.id,
                qty: order.purchase.qty,
                amount_minor: order.purchase.total_minor,
                currency: order.purchase.currency,
            })
            .collect();
        attribution::credit_sales(tx, &lines, self.now).await
    }

    /// What others should hear of this batch.
    fn facts(&self) -> Vec<Fact> {
        let mut facts = Vec::new();
        for (sku, pool) in &self.world.pools {
            let available = pool.available();
            let edge = match (pool.available_before, available) {
                (1.., ..=0) => StockEdge::SoldOut,
                (..=0, 1..) => StockEdge::Restocked,
                _ => StockEdge::None,
            };
            if available != pool.available_before {
                let stock = wire::Stock { sku_id: sku.to_string(), available, version: pool.version };
                facts.push(Fact::Stock { stock, edge });
            }
        }
        let changed = self.changed.iter().map(|id| &self.purchases[id]);
        for purchase in self.placed.iter().chain(changed) {
            facts.push(Fact::Purchase { customer: purchase.customer_id.clone(), status: status(purchase) });
        }
        for purchase in &self.sold {
            facts.push(Fact::Sold {
                live: purchase.live_id.clone(),
                units: i64::from(purchase.qty),
                gross_minor: purchase.total_minor,
            });
        }
        facts
    }
}

/// A purchase as its buyer hears of it.
pub(super) fn status(purchase: &Purchase) -> wire::PurchaseStatus {
    wire::PurchaseStatus {
        id: purchase.id.to_string(),
        state: purchase.state.as_str().to_owned(),
        sku_id: purchase.sku_id.to_string(),
        qty: purchase.qty,
        total_minor: purchase.total_minor,
        currency: purchase.currency.as_str().to_owned(),
        order_id: purchase.order_id.as_ref().map(ToString::to_string).unwrap_or_default(),
        hold_expires_at_ms: purchase.hold_expires_at_ms.0,
        reason: purchase.reason.clone().unwrap_or_default(),
        version: purchase.version,
    }
}

/// The ledger's name for one adjustment: the same wish under the same key has the same name.
fn adjustment_batch(wish: &Adjustment) -> String {
    let digest = Sha256::digest(format!("{}\n{}", wish.account, wish.key).as_bytes());
    format!("adj_{}", &data_encoding::HEXLOWER.encode(&digest)[..32])
}
