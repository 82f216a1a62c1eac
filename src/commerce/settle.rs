//! Shell: one batch of the sequencer: one transaction that reads, decides and writes for everybody who waits.
//!
//! Order inside: what has expired, then the commands as they came; released units go to paid orders that are short, then
//! to the waitlist, then to whoever comes. Locks: purchases by id, then SKUs by id; a shortage takes more of both, and
//! two nodes that meet there are told apart by the database, which lets one of them run again.
//! Invariant: an outcome is told only after the commit that made it true.

mod returning;
mod units;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use super::{
    CommerceError, Refusal,
    allocation::{Allocation, Delivery},
    attempt::{self, Learned},
    attempts::{self, NewAttempt},
    catalog,
    facts::{self, FactAnswer, Recorded, SafetyChange, ShelfAfter, StockFact},
    ledger,
    limits::{Books, Entered},
    orders::{self, NewLine, NewOrder},
    payment::{Method, Slow},
    purchase::{Effect, Input, State, transition},
    records::{self, Lines, Purchase},
    sequencer::{Answer, Command, Outcome, PlaceOrder, Step},
    shortage::{self, Promise, Verdict},
    stock::{Basket, Cause, Entries, Granted, LimitKey, Move, OfferTerms, Shelf, World},
    waitlist::{self, Join, Wait, WaitState},
};
use crate::{
    attribution::{self, SoldLine},
    bus::{self, Fact, StockEdge, Written},
    clock::Millis,
    ids::{BatchId, CustomerId, FactId, LiveId, LocationId, OfferId, OrderId, OrderLineId, PurchaseId, SkuId, WaitId},
    omo::{self, Became, NewPickup, PickupNews},
    store::{Db, StoreError, Tx},
    wire,
};

/// Holds that one batch lets go because their time is over; the next batch takes the rest.
const MAX_EXPIRED: i64 = 512;
/// Short orders that one batch looks at.
const MAX_SHORT: usize = 256;
/// Digests of sheets that are known to be stored; when full, they are forgotten and stored again.
const MAX_KEPT_SHEETS: usize = 10_000;

/// What a batch is judged by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) now: Millis,
    pub(super) hold_ttl: Duration,
    pub(super) payments_per_s: Option<u32>,
    pub(super) payments_waiting: usize,
    pub(super) provider: &'static str,
    /// Look every key up first, instead of trusting that nobody taps twice.
    pub(super) look_up: bool,
    /// Which holds are let go that are over their time.
    pub(super) due: Due,
}

/// Holds that are over their time, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// As many as one batch takes.
    All,
    /// None: one of them spoils the batch.
    None,
    /// The one at this place.
    One(i64),
}

/// Why a batch was not committed.
#[derive(Debug)]
pub(super) enum Stop {
    /// Somebody else was at the same rows: look everything up and decide again.
    Again,
    /// The database's word; at the commit it is not known whether it happened.
    Store(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What the sequencer remembers from batch to batch of what is committed; all of it can be read again.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Digests of sheets that are stored.
    sheets: HashSet<String>,
    books: Books,
}

/// What a batch did.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// One for each command, in order.
    pub(super) outcomes: Vec<Answer>,
    /// What can be bought of every SKU the batch touched.
    pub(super) available: Vec<(SkuId, i64)>,
    /// What is to be told, and is stored.
    pub(super) news: Vec<Written>,
    /// Holds that were over their time.
    pub(super) expired: usize,
    /// SKUs whose waitlist is longer than one batch looks at, and that still have units.
    pub(super) revisit: BTreeSet<SkuId>,
}

/// A fact, its answer and its part of the ledger.
struct Fresh<'a> {
    fact: &'a StockFact,
    answer: FactAnswer,
    entries: Entries,
}

/// The rows of one transaction, and what is to be written.
struct Batch<'a> {
    id: BatchId,
    terms: Terms,
    world: World,
    /// Shared with the answers: copied only when a later command of the batch changes one.
    purchases: HashMap<PurchaseId, Arc<Purchase>>,
    /// Taps of earlier batches that were looked up.
    known: HashMap<(CustomerId, String), Arc<Purchase>>,
    /// Taps of this batch.
    tapped: HashMap<(&'a CustomerId, &'a str), Arc<Purchase>>,
    placed: Vec<PurchaseId>,
    sheets: BTreeMap<&'a str, &'a str>,
    attempts: Vec<(PurchaseId, Method, Slow)>,
    /// What was learned of the payments of these purchases.
    learned: Vec<(PurchaseId, Learned)>,
    /// Purchases that are over, and whose payments may still bring money.
    ended: BTreeSet<PurchaseId>,
    /// Purchases whose payments are being called off or given back: nothing is sold for their money.
    being_let_go: HashSet<PurchaseId>,
    changed: BTreeSet<PurchaseId>,
    /// Purchases whose units stand elsewhere now.
    moved: HashSet<PurchaseId>,
    sold: Vec<PurchaseId>,
    /// Purchases whose money was taken, and is not in the books yet.
    captured: Vec<PurchaseId>,
    /// Purchases whose orders this batch makes, until it has.
    unwritten: HashSet<PurchaseId>,
    /// In which live so many units and so much money went back.
    given_back: Vec<(LiveId, i64, i64)>,
    /// Pickups that ended.
    pickups: Vec<PickupNews>,
    /// Paid purchases that are short, oldest first.
    shorts: Vec<PurchaseId>,
    /// SKUs that may have units for those who wait.
    risen: BTreeSet<SkuId>,
    waiters: BTreeMap<SkuId, Vec<WaitId>>,
    waits: HashMap<WaitId, Wait>,
    joined: Vec<WaitId>,
    changed_waits: BTreeSet<WaitId>,
    empty_shelves: HashMap<LocationId, Shelf>,
    fresh_shelves: Vec<(SkuId, LocationId)>,
    safety: Vec<(SkuId, LocationId, i64)>,
    known_facts: Vec<Recorded>,
    facts: Vec<Fresh<'a>>,
}

/// Runs the batch to its commit.
pub(super) async fn run(
    db: &Db,
    commands: &[Command],
    revisit: &BTreeSet<SkuId>,
    terms: Terms,
    memory: &mut Memory,
) -> Result<Done, Stop> {
    memory.books.bound();
    let mut tx = db.sequence().await?;
    let due = match terms.due {
        Due::All => records::due(&mut tx, terms.now, MAX_EXPIRED, 0).await?,
        Due::None => Vec::new(),
        Due::One(place) => records::due(&mut tx, terms.now, 1, place).await?,
    };
    if due.is_empty() && commands.is_empty() && revisit.is_empty() {
        return Ok(Done::default());
    }
    let mut batch = load(&mut tx, commands, &due, revisit, terms, &mut memory.books).await?;
    for id in &due {
        // Another node may have been faster: then it is no hold any more and stays as it is.
        let _ = batch.step(id, Input::HoldOver, None);
    }
    batch.pass_on();
    let mut outcomes: Vec<Answer> = Vec::with_capacity(commands.len());
    for command in commands {
        let outcome = match command {
            Command::Place(order) => {
                batch.pass_on();
                batch.place(order).map(Outcome::Purchase)
            }
            Command::Step(step) => batch.take_step(step).map(Outcome::Purchase),
            Command::Record(fact) => {
                batch.record(&mut tx, fact).await?.map(|answer| Outcome::Recorded(Box::new(answer)))
            }
            Command::Safety(change) => batch.set_safety(change).map(|shelf| Outcome::Shelf(Box::new(shelf))),
            Command::Join(join) => {
                batch.pass_on();
                batch.join(join).map(|wait| Outcome::Wait(Box::new(wait)))
            }
            Command::Leave { wait, customer } => batch.leave(wait, customer).map(|wait| Outcome::Wait(Box::new(wait))),
            Command::Return(wish) => {
                batch.give_back(&mut tx, wish).await?.map(|refund| Outcome::Refund(Box::new(refund)))
            }
            Command::BeginTaking(purchase) => batch.begin_taking(&mut tx, purchase).await?.map(Outcome::Minor),
            Command::EndTaking(purchase) => batch.end_taking(&mut tx, purchase).await?.map(Outcome::Minor),
        };
        outcomes.push(outcome);
    }
    batch.pass_on();
    if !terms.look_up {
        batch.answer_repeated(&mut tx, commands, &mut outcomes).await?;
    }
    let sheets = batch.new_sheets(&memory.sheets);
    let (news, entered) = batch.write(&mut tx, &sheets, &mut memory.books).await?;
    let available = batch.world.pools.iter().map(|(sku, pool)| (sku.clone(), pool.available())).collect();
    let revisit = batch.unserved();
    tx.commit().await?;
    // The sums are the books' own again, so they need not be copied to change.
    drop(batch);
    memory.books.enter(entered);
    if memory.sheets.len() + sheets.len() > MAX_KEPT_SHEETS {
        memory.sheets.clear();
    }
    memory.sheets.extend(sheets.into_iter().map(|(hash, _)| hash.to_owned()));
    Ok(Done { outcomes, available, news, expired: due.len(), revisit })
}

/// Whether a step may move units.
fn moves_units(input: Input) -> bool {
    matches!(
        input,
        Input::Cancel | Input::HoldOver | Input::Declined | Input::CalledOff(_) | Input::Shipped | Input::GoodsGone
    )
}

async fn load<'a>(
    tx: &mut Tx,
    commands: &'a [Command],
    due: &[PurchaseId],
    revisit: &BTreeSet<SkuId>,
    terms: Terms,
    books: &mut Books,
) -> Result<Batch<'a>, StoreError> {
    let mut steps: BTreeSet<&PurchaseId> = due.iter().collect();
    let mut moving: BTreeSet<&PurchaseId> = steps.clone();
    let mut paid: BTreeSet<&PurchaseId> = BTreeSet::new();
    let mut safety = false;
    let (mut skus, mut offers): (BTreeSet<SkuId>, BTreeSet<OfferId>) = (revisit.clone(), BTreeSet::new());
    let (mut keys, mut places, mut pairs) = (Vec::new(), Vec::new(), Vec::new());
    let (mut facts_, mut locations) = (Vec::new(), BTreeSet::new());
    for command in commands {
        match command {
            Command::Place(order) => {
                keys.push((&order.customer, order.key.as_str()));
                for wish in &order.wishes {
                    if !offers.contains(&wish.offer) {
                        offers.insert(wish.offer.clone());
                        skus.insert(wish.sku.clone());
                    }
                }
            }
            Command::Step(step) => {
                steps.insert(&step.purchase);
                match step.input {
                    Input::Authorized | Input::Captured => drop(paid.insert(&step.purchase)),
                    input if moves_units(input) => drop(moving.insert(&step.purchase)),
                    _ => {}
                }
            }
            Command::Record(fact) => {
                facts_.push(&**fact);
                locations.insert(&fact.location);
                skus.extend(fact.moves.iter().map(|(sku, _)| sku.clone()));
            }
            Command::Safety(change) => {
                safety = true;
                locations.insert(&change.location);
                skus.insert(change.sku.clone());
            }
            Command::Join(join) => {
                pairs.push((&join.wish.offer, &join.customer));
                offers.insert(join.wish.offer.clone());
                skus.insert(join.wish.sku.clone());
                if terms.look_up {
                    places.push(&join.id);
                }
            }
            Command::Leave { wait, .. } => places.push(wait),
            Command::Return(wish) => {
                steps.insert(&wish.purchase);
                moving.insert(&wish.purchase);
                locations.extend(&wish.location);
            }
            Command::BeginTaking(purchase) | Command::EndTaking(purchase) => drop(steps.insert(purchase)),
        }
    }
    if terms.look_up {
        // Who met another node at a limit meets it at the lock this time, instead of losing to it again.
        skus.extend(records::of_the_same_products(tx, &offers).await?);
    }
    let mut locked = records::lock(tx, &steps).await?;
    // Money that came late takes units again.
    let late: Vec<PurchaseId> = locked
        .iter()
        .filter(|p| paid.contains(&p.id) && matches!(p.state, State::Expired | State::Failed))
        .map(|p| p.id.clone())
        .collect();
    moving.extend(&late);
    // Whoever lets money go writes so under the purchase's lock, too, before the provider is asked.
    let endable = |state| matches!(state, State::RequiresAction | State::Expired | State::Failed);
    let endable: Vec<PurchaseId> =
        locked.iter().filter(|p| paid.contains(&p.id) && endable(p.state)).map(|p| p.id.clone()).collect();
    let being_let_go = attempts::being_let_go(tx, &endable).await?;
    for purchase in locked.iter().filter(|purchase| moving.contains(&purchase.id)) {
        skus.extend(purchase.lines.0.iter().map(|line| line.sku_id.clone()));
        offers.extend(purchase.lines.0.iter().map(|line| line.offer_id.clone()));
    }
    let may_rise = !moving.is_empty() || !facts_.is_empty() || safety || !revisit.is_empty();
    let shorts = if may_rise { records::short(tx, &skus, MAX_SHORT).await? } else { Vec::new() };
    locked.extend(records::lock(tx, &shorts.iter().filter(|id| !steps.contains(id)).collect()).await?);
    let (pools, waited_for) = ledger::lock_pools(tx, &skus).await?;
    let touched: Vec<SkuId> = pools.keys().cloned().collect();
    // Who wants more than there can be at the end of this batch is not looked at, and hides nobody behind.
    let reachable = |sku: SkuId| {
        let units =
            pools.get(&sku).map_or(0, |pool| pool.available() + pool.shelves.iter().map(|s| s.safety).sum::<i64>());
        let lines = locked.iter().filter(|p| moving.contains(&p.id)).flat_map(|p| &p.lines.0);
        let released: i64 = lines.filter(|line| line.sku_id == sku).map(|line| line.qty).sum();
        let moves = facts_.iter().flat_map(|fact| &fact.moves).filter(|(moved, _)| *moved == sku);
        let more: i64 = moves
            .map(|(_, change)| match change {
                Move::By { delta, .. } => (*delta).max(0),
                Move::To { counted } => *counted,
            })
            .sum();
        (sku, units + released + more)
    };
    let waited_for: Vec<(SkuId, i64)> = waited_for.into_iter().map(reachable).collect();
    let waiting = waitlist::waiting(tx, &waited_for).await?;
    offers.extend(waiting.iter().map(|wait| wait.offer_id.clone()));
    let found = records::terms(tx, &offers.iter().collect()).await?;
    let offers: HashMap<OfferId, Arc<OfferTerms>> =
        found.into_iter().map(|terms: OfferTerms| (terms.id.clone(), Arc::new(terms))).collect();
    let limits = offers.values().map(|terms| (terms.live_id.clone(), terms.product_id.clone())).collect();
    let used = books.catch_up(tx, &limits).await?;
    let known = if terms.look_up { records::find_by_keys(tx, &keys).await? } else { Vec::new() };
    let mut waits = waiting.clone();
    waits.extend(waitlist::waiting_of(tx, &pairs).await?);
    waits.extend(waitlist::lock(tx, &places).await?);
    let mut waiters: BTreeMap<SkuId, Vec<WaitId>> = BTreeMap::new();
    for wait in waiting {
        waiters.entry(wait.sku_id).or_default().push(wait.id);
    }
    let purchases: HashMap<PurchaseId, Arc<Purchase>> =
        locked.into_iter().map(|purchase| (purchase.id.clone(), Arc::new(purchase))).collect();
    // Not locked, so never among those that the batch may change.
    let known = known.into_iter().map(|p| ((p.customer_id.clone(), p.idempotency_key.clone()), Arc::new(p))).collect();
    Ok(Batch {
        id: BatchId::fresh(),
        terms,
        world: World { offers, pools, used, ..World::default() },
        purchases,
        known,
        tapped: HashMap::new(),
        placed: Vec::new(),
        sheets: BTreeMap::new(),
        attempts: Vec::new(),
        learned: Vec::new(),
        ended: BTreeSet::new(),
        being_let_go,
        changed: BTreeSet::new(),
        moved: HashSet::new(),
        sold: Vec::new(),
        captured: Vec::new(),
        unwritten: HashSet::new(),
        given_back: Vec::new(),
        pickups: Vec::new(),
        risen: waiters.keys().cloned().chain(if shorts.is_empty() { Vec::new() } else { touched }).collect(),
        shorts,
        waiters,
        waits: waits.into_iter().map(|wait| (wait.id.clone(), wait)).collect(),
        joined: Vec::new(),
        changed_waits: BTreeSet::new(),
        empty_shelves: ledger::empty_shelves(tx, &locations).await?,
        fresh_shelves: Vec::new(),
        safety: Vec::new(),
        known_facts: facts::find(tx, &facts_).await?,
        facts: Vec::new(),
    })
}

/// What a new purchase is, besides what was granted.
struct Tap<'a> {
    id: PurchaseId,
    customer: &'a CustomerId,
    key: String,
    body_hash: String,
    sheet_hash: &'a str,
    method: Option<(&'a Method, Slow)>,
    pickup: Option<&'a LocationId>,
    wait: Option<&'a WaitId>,
    demo: bool,
}

impl<'a> Batch<'a> {
    fn place(&mut self, order: &'a PlaceOrder) -> Result<Arc<Purchase>, CommerceError> {
        let key = (&order.customer, order.key.as_str());
        let known = match self.tapped.get(&key) {
            None if self.known.is_empty() => None,
            None => self.known.get(&(order.customer.clone(), order.key.clone())),
            tapped => tapped,
        };
        if let Some(known) = known {
            // The same tap again: its one answer. Another wish under the same key: refused.
            return if known.body_hash == order.body_hash { Ok(known.clone()) } else { Err(CommerceError::KeyReused) };
        }
        let basket = Basket {
            customer: &order.customer,
            wishes: &order.wishes,
            partial: order.partial,
            delivery: &order.delivery,
        };
        let granted = self.world.hold(&basket, self.terms.now)?;
        let tap = Tap {
            id: order.id.clone(),
            customer: &order.customer,
            key: order.key.clone(),
            body_hash: order.body_hash.clone(),
            sheet_hash: &order.sheet_hash,
            method: order.method.as_ref().map(|method| (method, order.slow)),
            pickup: order.delivery.pickup.as_ref(),
            wait: None,
            demo: order.demo,
        };
        self.sheets.insert(&order.sheet_hash, &order.sheet);
        let purchase = self.put(tap, granted);
        self.tapped.insert(key, purchase.clone());
        Ok(purchase)
    }

    /// Makes the purchase of what was granted.
    fn put(&mut self, tap: Tap<'_>, granted: Granted) -> Arc<Purchase> {
        // Everybody before this buyer in the queue of payments may be served first, so the hold lives that much longer.
        let queue = queue_time(self.terms.payments_per_s, self.terms.payments_waiting + self.placed.len());
        let total: i64 = granted
            .lines
            .iter()
            .filter(|line| line.left_out.is_none())
            .map(|line| line.unit_price_minor * line.qty)
            .sum();
        let purchase = Arc::new(Purchase {
            id: tap.id,
            state: if tap.method.is_some() { State::Paying } else { State::Held },
            reason: None,
            decline_code: None,
            customer_id: tap.customer.clone(),
            idempotency_key: tap.key,
            body_hash: tap.body_hash,
            live_id: granted.live,
            lines: Lines(granted.lines),
            total_minor: total,
            currency: granted.currency,
            confirmation_hash: tap.sheet_hash.to_owned(),
            hold_expires_at_ms: self.terms.now.plus(self.terms.hold_ttl + queue),
            placed_at_ms: self.terms.now,
            batch_id: self.id.clone(),
            last_batch_id: self.id.clone(),
            order_id: None,
            left_at_ms: None,
            short_units: 0,
            pickup_location_id: tap.pickup.cloned(),
            wait_id: tap.wait.cloned(),
            version: 1,
            demo: tap.demo,
        });
        if let Some((method, slow)) = tap.method {
            self.attempts.push((purchase.id.clone(), method.clone(), slow));
        }
        self.placed.push(purchase.id.clone());
        self.purchases.insert(purchase.id.clone(), purchase.clone());
        purchase
    }

    /// A step, with what was learned of its payment.
    fn take_step(&mut self, step: &Step) -> Result<Arc<Purchase>, CommerceError> {
        let before = self.purchases.get(&step.purchase).map(|purchase| purchase.state);
        if self.is_in_vain(step) {
            self.learned.extend(step.learned.iter().map(|learned| (step.purchase.clone(), learned.clone())));
            return self.purchases.get(&step.purchase).cloned().ok_or(CommerceError::NotFound("purchase"));
        }
        let after = self.step(&step.purchase, step.input, step.method.as_ref())?;
        let Some(learned) = &step.learned else { return Ok(after) };
        self.learned.push((after.id.clone(), learned.clone()));
        let told = attempt::tellable(learned.decline_code.as_deref());
        if told.is_some() && after.state == State::Failed && before != Some(State::Failed) {
            let purchase = self.purchases.get_mut(&after.id).map(Arc::make_mut);
            if let Some(purchase) = purchase {
                purchase.decline_code = told.map(str::to_owned);
            }
        }
        Ok(self.purchases[&after.id].clone())
    }

    /// Whether a step is of money that is being let go: reserved money is being called off, and what was taken is being
    /// given back. Only what was taken in the moment in which its buyer or the clock wanted to call it off stays: it could not be.
    fn is_in_vain(&self, step: &Step) -> bool {
        if !self.being_let_go.contains(&step.purchase) {
            return false;
        }
        let holds = self.purchases.get(&step.purchase).is_some_and(|purchase| purchase.state.holds_units());
        match step.input {
            Input::Authorized => true,
            Input::Captured => !holds,
            _ => false,
        }
    }

    fn step(
        &mut self,
        id: &PurchaseId,
        input: Input,
        method: Option<&(Method, Slow)>,
    ) -> Result<Arc<Purchase>, CommerceError> {
        let shared = self.purchases.get_mut(id).ok_or(CommerceError::NotFound("purchase"))?;
        if input == Input::Shipped && shared.short_units > 0 {
            return Err(Refusal::NotShippable.into());
        }
        let before = shared.state;
        let (state, effects) = transition(before, input, shared.hold_expires_at_ms, self.terms.now)?;
        if effects.contains(&Effect::LetMoneyGo) {
            self.ended.insert(id.clone());
        }
        if state == shared.state {
            return Ok(shared.clone());
        }
        let purchase = Arc::make_mut(shared);
        if effects.contains(&Effect::Retake) {
            let delivery = Delivery { pickup: purchase.pickup_location_id.clone(), near: None };
            let lines = &mut purchase.lines.0;
            if self.world.retake(&purchase.live_id, &purchase.customer_id, lines, &delivery) {
                purchase.decline_code = None;
                purchase.reason = None;
                self.moved.insert(id.clone());
            } else {
                self.ended.insert(id.clone());
                if purchase.reason.as_deref() != Some(LATE) {
                    purchase.reason = Some(LATE.to_owned());
                    purchase.version += 1;
                    purchase.last_batch_id = self.id.clone();
                    self.changed.insert(id.clone());
                }
                return Ok(shared.clone());
            }
        }
        purchase.state = state;
        purchase.version += 1;
        purchase.last_batch_id = self.id.clone();
        match state {
            State::Expired => purchase.reason = Some(Refusal::HoldExpired.slug().to_owned()),
            State::Failed => {
                let reason = match input {
                    Input::CalledOff(by) => by.reason(),
                    _ => Some(Refusal::PaymentDeclined.slug()),
                };
                purchase.reason = reason.map(str::to_owned);
            }
            State::Captured => self.captured.push(id.clone()),
            State::Cancelled if input == Input::GoodsGone => purchase.reason = Some(SHORT.to_owned()),
            _ => {}
        }
        let was_asked = matches!(before, State::Paying | State::RequiresAction);
        if was_asked && !state.holds_units() && !state.is_paid() {
            self.ended.insert(id.clone());
        }
        for effect in effects {
            let given_back = match effect {
                Effect::Release => Some(Cause::Release),
                Effect::Expire => Some(Cause::Expire),
                Effect::Break => Some(Cause::Break),
                Effect::Ship => {
                    // Orders of the first version left the shelf when they were paid for.
                    if purchase.left_at_ms.is_none() {
                        self.world.ship(&purchase.lines.0);
                        purchase.left_at_ms = Some(self.terms.now);
                    }
                    None
                }
                Effect::WriteOrder => {
                    purchase.order_id = Some(OrderId::fresh());
                    self.sold.push(id.clone());
                    self.unwritten.insert(id.clone());
                    None
                }
                Effect::AskProvider => {
                    self.attempts.extend(method.map(|(method, slow)| (id.clone(), method.clone(), *slow)));
                    None
                }
                // Done above: it decides whether there is a step at all.
                Effect::Retake | Effect::LetMoneyGo => None,
            };
            if let Some(cause) = given_back {
                self.world.release(&purchase.live_id, &purchase.customer_id, &purchase.lines.0, cause);
                self.risen.extend(purchase.lines.0.iter().map(|line| line.sku_id.clone()));
            }
        }
        let after = shared.clone();
        self.changed.insert(id.clone());
        Ok(after)
    }

    /// Units that came free go to paid orders that are short, then to who waits, in order of arrival.
    fn pass_on(&mut self) {
        while let Some(sku) = self.risen.pop_first() {
            self.fill_shorts(&sku);
            self.serve_waiters(&sku);
        }
    }

    fn fill_shorts(&mut self, sku: &SkuId) {
        for id in &self.shorts {
            let Some(shared) = self.purchases.get_mut(id).filter(|p| p.is_promised() && p.short_units > 0) else {
                continue;
            };
            let purchase = Arc::make_mut(shared);
            let pickup = purchase.pickup_location_id.clone();
            for line in purchase.lines.0.iter_mut().filter(|line| line.left_out.is_none() && line.sku_id == *sku) {
                let filled =
                    shortage::fill(&mut self.world, sku, line.left() - line.allocation.units(), pickup.as_ref());
                if filled.units() > 0 {
                    purchase.short_units -= filled.units();
                    units::add(&mut line.allocation, filled);
                    self.moved.insert(id.clone());
                }
            }
            if self.moved.contains(id) && self.changed.insert(id.clone()) {
                purchase.version += 1;
                purchase.last_batch_id = self.id.clone();
            }
        }
    }

    fn serve_waiters(&mut self, sku: &SkuId) {
        for id in self.waiters.get(sku).cloned().unwrap_or_default() {
            if self.world.pools.get(sku).is_none_or(|pool| pool.available() == 0) {
                return;
            }
            let wait = self.waits[&id].clone();
            if wait.state != WaitState::Waiting {
                continue;
            }
            let after = self.try_serve(wait);
            if after.state != WaitState::Waiting {
                self.changed_waits.insert(id.clone());
            }
            self.waits.insert(id, after);
        }
    }

    /// Holds units for a place if there are enough; the place lapses when its offer is no more what it was.
    fn try_serve(&mut self, mut wait: Wait) -> Wait {
        let (delivery, wishes) = (Delivery::default(), [wait.wish()]);
        let basket = Basket { customer: &wait.customer_id, wishes: &wishes, partial: false, delivery: &delivery };
        match self.world.hold(&basket, self.terms.now) {
            Ok(granted) => {
                let tap = Tap {
                    id: PurchaseId::fresh(),
                    customer: &wait.customer_id,
                    // Keys of clients never meet this one: they may not contain a line break.
                    key: format!("waitlist\n{}", wait.id),
                    body_hash: String::new(),
                    sheet_hash: &wait.confirmation_hash,
                    method: None,
                    pickup: None,
                    wait: Some(&wait.id),
                    demo: wait.demo,
                };
                wait.purchase_id = Some(self.put(tap, granted).id.clone());
                wait.state = WaitState::Offered;
            }
            Err(Refusal::SoldOut | Refusal::OfferNotStarted) => return wait,
            Err(refusal) => {
                wait.state = WaitState::Lapsed;
                wait.reason = Some(refusal.slug().to_owned());
            }
        }
        wait.version += 1;
        wait
    }

    fn join(&mut self, join: &'a Join) -> Result<Wait, CommerceError> {
        let same = |wait: &&Wait| {
            wait.state == WaitState::Waiting && wait.offer_id == join.wish.offer && wait.customer_id == join.customer
        };
        // Taken when the answer to the COMMIT was lost, and perhaps served at once; or a place of theirs in this line.
        if let Some(known) = self.waits.get(&join.id).or_else(|| self.waits.values().find(same)) {
            return Ok(known.clone());
        }
        let offer = self.world.offers.get(&join.wish.offer).ok_or(Refusal::UnknownOffer)?;
        let wait = Wait {
            id: join.id.clone(),
            offer_id: offer.id.clone(),
            product_id: offer.product_id.clone(),
            sku_id: offer.sku_id.clone(),
            live_id: offer.live_id.clone(),
            customer_id: join.customer.clone(),
            qty: join.wish.qty,
            price_minor: join.wish.seen_price_minor,
            confirmation_hash: join.sheet_hash.clone(),
            state: WaitState::Waiting,
            reason: None,
            purchase_id: None,
            joined_at_ms: self.terms.now,
            version: 1,
            demo: join.demo,
        };
        let wait = self.try_serve(wait);
        if let (WaitState::Lapsed, Some(reason)) = (wait.state, &wait.reason) {
            let refusals = [Refusal::LimitReached, Refusal::OfferEnded, Refusal::PriceChanged, Refusal::UnknownOffer];
            let refusal = refusals.into_iter().find(|refusal| refusal.slug() == reason);
            return Err(refusal.unwrap_or(Refusal::OfferEnded).into());
        }
        self.sheets.insert(&join.sheet_hash, &join.sheet);
        self.waiters.entry(wait.sku_id.clone()).or_default().push(wait.id.clone());
        self.joined.push(wait.id.clone());
        self.waits.insert(wait.id.clone(), wait.clone());
        Ok(wait)
    }

    fn leave(&mut self, id: &WaitId, customer: &CustomerId) -> Result<Wait, CommerceError> {
        let found = self.waits.get_mut(id).filter(|wait| wait.customer_id == *customer);
        let wait = found.ok_or(CommerceError::NotFound("place on a waitlist"))?;
        // What is offered already is given back by cancelling its purchase.
        if wait.state == WaitState::Waiting {
            wait.state = WaitState::Left;
            wait.version += 1;
            self.changed_waits.insert(id.clone());
        }
        Ok(wait.clone())
    }

    async fn record(
        &mut self,
        tx: &mut Tx,
        fact: &'a StockFact,
    ) -> Result<Result<FactAnswer, CommerceError>, StoreError> {
        let known = self.known_facts.iter().find(|k| k.account == fact.account && k.key == fact.key);
        let known = known.map(|known| (&known.body_hash, &known.answer)).or_else(|| {
            let fresh = self.facts.iter().find(|f| f.fact.account == fact.account && f.fact.key == fact.key);
            fresh.map(|fresh| (&fresh.fact.body_hash, &fresh.answer))
        });
        if let Some((body_hash, answer)) = known {
            let same = *body_hash == fact.body_hash;
            return Ok(if same { Ok(answer.clone()) } else { Err(CommerceError::KeyReused) });
        }
        let Some(empty) = self.empty_shelves.get(&fact.location).cloned() else {
            return Ok(Err(CommerceError::NotFound("location")));
        };
        if fact.moves.iter().any(|(sku, _)| !self.world.pools.contains_key(sku)) {
            return Ok(Err(Refusal::UnknownSku.into()));
        }
        // Its entries bear its own name instead of the batch's.
        let of_batch = std::mem::take(&mut self.world.entries);
        let mut answer = FactAnswer {
            id: FactId::fresh(),
            location_id: fact.location.clone(),
            lines: Vec::with_capacity(fact.moves.len()),
            broken: Vec::new(),
            short: Vec::new(),
        };
        for (sku, change) in &fact.moves {
            if self.world.pools[sku].shelf(&fact.location).is_none() {
                self.fresh_shelves.push((sku.clone(), fact.location.clone()));
            }
            let moved = match self.world.fact(sku, &empty, *change) {
                Ok(moved) => moved,
                Err(refusal) => {
                    self.world.entries = of_batch;
                    return Ok(Err(refusal.into()));
                }
            };
            if moved.missing > 0 {
                self.break_promises(tx, sku, &fact.location, moved.missing, &mut answer).await?;
            }
            self.risen.insert(sku.clone());
            answer.lines.push(self.shelf_after(sku, &fact.location, moved.found));
        }
        let entries = std::mem::replace(&mut self.world.entries, of_batch);
        self.facts.push(Fresh { fact, answer: answer.clone(), entries });
        Ok(Ok(answer))
    }

    fn shelf_after(&self, sku: &SkuId, location: &LocationId, found: i64) -> ShelfAfter {
        let pool = &self.world.pools[sku];
        let shelf = pool.shelf(location);
        ShelfAfter {
            sku_id: sku.clone(),
            on_hand: shelf.map_or(0, |shelf| shelf.on_hand),
            held: shelf.map_or(0, |shelf| shelf.held),
            available: pool.available(),
            stock_version: pool.version,
            found,
        }
    }

    /// The shortage rule: see [`super::shortage`].
    async fn break_promises(
        &mut self,
        tx: &mut Tx,
        sku: &SkuId,
        location: &LocationId,
        missing: i64,
        answer: &mut FactAnswer,
    ) -> Result<(), StoreError> {
        let promised = records::promised_of(tx, sku).await?;
        let unread: BTreeSet<&PurchaseId> = promised.iter().filter(|id| !self.purchases.contains_key(*id)).collect();
        for purchase in records::lock(tx, &unread).await? {
            self.purchases.insert(purchase.id.clone(), Arc::new(purchase));
        }
        // Whoever is broken gives back all lines, so their SKUs are needed too.
        let others: BTreeSet<SkuId> = self
            .purchases
            .values()
            .flat_map(|purchase| purchase.lines.0.iter().map(|line| &line.sku_id))
            .filter(|other| !self.world.pools.contains_key(*other))
            .cloned()
            .collect();
        self.world.pools.extend(ledger::lock_pools(tx, &others).await?.0);
        let units_here = |purchase: &Purchase| -> i64 {
            let lines = purchase.granted().filter(|line| line.sku_id == *sku);
            lines.filter_map(|line| line.allocation.0.get(location)).sum()
        };
        let mut holders: Vec<&Arc<Purchase>> =
            self.purchases.values().filter(|p| p.is_promised() && units_here(p) > 0).collect();
        holders.sort_by_key(|p| std::cmp::Reverse((p.placed_at_ms, p.id.clone())));
        let promises: Vec<Promise> = holders
            .into_iter()
            .map(|p| Promise {
                purchase: p.id.clone(),
                paid: p.state.is_paid(),
                pickup: p.pickup_location_id.is_some(),
                units: units_here(p),
            })
            .collect();
        for (id, verdict) in shortage::decide(&mut self.world, sku, location, missing, &promises) {
            match verdict {
                Verdict::Broken => {
                    // A provider's input is never refused.
                    let _ = self.step(&id, Input::GoodsGone, None);
                    answer.broken.push(id);
                }
                Verdict::Moved(moved) => self.relocate(&id, sku, location, moved, 0),
                Verdict::Short { moved, short } => {
                    self.relocate(&id, sku, location, moved, short);
                    answer.short.extend(self.purchases[&id].order_id.clone());
                }
            }
        }
        Ok(())
    }

    fn relocate(&mut self, id: &PurchaseId, sku: &SkuId, from: &LocationId, to: Allocation, short: i64) {
        let Some(purchase) = self.purchases.get_mut(id).map(Arc::make_mut) else { return };
        // Lines are of different SKUs, so there is one.
        let mut lines = purchase.lines.0.iter_mut();
        if let Some(line) = lines.find(|line| line.left_out.is_none() && line.sku_id == *sku) {
            let gone = to.units() + short;
            if let Some(units) = line.allocation.0.get_mut(from) {
                *units -= gone;
                if *units == 0 {
                    line.allocation.0.remove(from);
                }
            }
            units::add(&mut line.allocation, to);
        }
        purchase.short_units += short;
        if short > 0 && !self.shorts.contains(id) {
            self.shorts.push(id.clone());
            self.shorts.sort();
        }
        purchase.version += 1;
        purchase.last_batch_id = self.id.clone();
        self.moved.insert(id.clone());
        self.changed.insert(id.clone());
    }

    fn set_safety(&mut self, change: &SafetyChange) -> Result<ShelfAfter, CommerceError> {
        let empty = self.empty_shelves.get(&change.location).ok_or(CommerceError::NotFound("location"))?;
        let pool = self.world.pools.get_mut(&change.sku).ok_or(Refusal::UnknownSku)?;
        if pool.shelf(&change.location).is_none() {
            pool.shelves.push(empty.clone());
            self.fresh_shelves.push((change.sku.clone(), change.location.clone()));
        }
        for shelf in pool.shelves.iter_mut().filter(|shelf| shelf.location == change.location) {
            shelf.safety = change.safety;
        }
        self.safety.push((change.sku.clone(), change.location.clone(), change.safety));
        self.risen.insert(change.sku.clone());
        Ok(self.shelf_after(&change.sku, &change.location, 0))
    }

    /// A refused tap may be a repeated one that was granted: then that is its answer.
    async fn answer_repeated(
        &self,
        tx: &mut Tx,
        commands: &[Command],
        outcomes: &mut [Answer],
    ) -> Result<(), StoreError> {
        let refused: Vec<(usize, &PlaceOrder)> = commands
            .iter()
            .enumerate()
            .filter_map(|(n, command)| match (command, &outcomes[n]) {
                (Command::Place(order), Err(CommerceError::Refused(_))) => Some((n, &**order)),
                _ => None,
            })
            .collect();
        let keys: Vec<_> = refused.iter().map(|(_, order)| (&order.customer, order.key.as_str())).collect();
        for known in records::find_by_keys(tx, &keys).await? {
            for (n, order) in &refused {
                if order.customer == known.customer_id && order.key == known.idempotency_key {
                    let same = order.body_hash == known.body_hash;
                    outcomes[*n] = if same {
                        Ok(Outcome::Purchase(Arc::new(known.clone())))
                    } else {
                        Err(CommerceError::KeyReused)
                    };
                }
            }
        }
        Ok(())
    }

    /// SKUs that have more waiters than were looked at, and units left for them.
    fn unserved(&self) -> BTreeSet<SkuId> {
        let full = |waiters: &Vec<WaitId>| {
            let served = waiters.iter().filter(|id| self.changed_waits.contains(*id)).count();
            served > 0 && i64::try_from(waiters.len()).is_ok_and(|n| n >= waitlist::MAX_LOOKED_AT)
        };
        let has_units = |sku: &SkuId| self.world.pools.get(sku).is_some_and(|pool| pool.available() > 0);
        self.waiters.iter().filter(|(sku, w)| full(w) && has_units(sku)).map(|(sku, _)| sku.clone()).collect()
    }

    /// The sheets of this batch that are not known to be stored.
    fn new_sheets(&self, kept: &HashSet<String>) -> Vec<(&'a str, &'a str)> {
        self.sheets.iter().filter(|(hash, _)| !kept.contains(**hash)).map(|(hash, sheet)| (*hash, *sheet)).collect()
    }

    async fn write(
        &mut self,
        tx: &mut Tx,
        sheets: &[(&str, &str)],
        books: &mut Books,
    ) -> Result<(Vec<Written>, Entered), Stop> {
        let now = self.terms.now;
        let mut entries = vec![(self.id.as_str(), &self.world.entries)];
        entries.extend(self.facts.iter().map(|fact| (fact.answer.id.as_str(), &fact.entries)));
        let mut changed: BTreeSet<&SkuId> = self.safety.iter().map(|(sku, _, _)| sku).collect();
        changed.extend(entries.iter().flat_map(|(_, entries)| entries.keys().map(|(sku, _, _)| sku)));
        let versions = changed.iter().map(|sku| (*sku, self.world.pools[*sku].version)).collect();
        let moves = ledger::Moves { entries, fresh: &self.fresh_shelves, safety: &self.safety, versions };
        ledger::write_moves(tx, &moves, now).await?;
        catalog::write_taken(tx, &self.world.taken).await?;
        records::keep_confirmations(tx, sheets, now).await?;
        let placed = self.placed.iter().map(|id| &*self.purchases[id]);
        match records::insert(tx, placed).await {
            Err(error) if error.is_unique_violation() => return Err(Stop::Again),
            done => done?,
        }
        let of_this_batch: HashSet<&PurchaseId> = self.placed.iter().collect();
        let changed: Vec<&Purchase> =
            self.changed.iter().filter(|id| !of_this_batch.contains(id)).map(|id| &*self.purchases[id]).collect();
        records::update(tx, &changed, &self.moved).await?;
        // Places that were given up first: the same customer may have taken a new one in this batch.
        let new: HashSet<&WaitId> = self.joined.iter().collect();
        let waits: Vec<&Wait> =
            self.changed_waits.iter().filter(|id| !new.contains(id)).map(|id| &self.waits[id]).collect();
        if waitlist::update(tx, &waits).await? != waits.len() as u64 {
            return Err(Stop::Again);
        }
        let joined: Vec<&Wait> = self.joined.iter().map(|id| &self.waits[id]).collect();
        if waitlist::insert(tx, &joined).await? != joined.len() as u64 {
            return Err(Stop::Again);
        }
        self.write_attempts(tx).await?;
        let recorded: Vec<_> = self.facts.iter().map(|fact| (fact.fact, &fact.answer)).collect();
        if facts::insert(tx, &recorded, now).await? != recorded.len() as u64 {
            return Err(Stop::Again);
        }
        self.write_orders(tx).await?;
        self.unwritten.clear();
        self.book_captured(tx).await?;
        self.end_pickups(tx).await?;
        // Last, since who sells another SKU of the same product waits here for our commit.
        // A shortage may break promises of lives that nobody here bought in.
        let changed =
            self.world.used_changes.iter().flat_map(|(live, used)| used.keys().map(move |product| (live, product)));
        let read =
            |(live, product): &(_, _)| self.world.used.get(*live).is_some_and(|used| used.contains_key(*product));
        let unread: BTreeSet<LimitKey> =
            changed.filter(|key| !read(key)).map(|(live, product)| (live.clone(), product.clone())).collect();
        books.catch_up(tx, &unread).await?;
        let Some(entered) = books.append(tx, &self.world.used_changes).await? else {
            return Err(Stop::Again);
        };
        Ok((bus::append_many(tx, self.news(), now).await?, entered))
    }

    /// Pickups of orders that have left, or of which nothing is left.
    async fn end_pickups(&mut self, tx: &mut Tx) -> Result<(), StoreError> {
        let ended = self.changed.iter().filter_map(|id| {
            let purchase = self.purchases.get(id).filter(|purchase| purchase.pickup_location_id.is_some())?;
            let became = match purchase.state {
                State::Fulfilled => Became::Left,
                State::Cancelled | State::Refunded => Became::CalledOff,
                _ => return None,
            };
            Some((purchase.order_id.as_ref()?, became))
        });
        let ended: Vec<_> = ended.collect();
        if !ended.is_empty() {
            self.pickups = omo::follow_orders(tx, &ended, self.terms.now).await?;
        }
        Ok(())
    }

    async fn write_attempts(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let now = self.terms.now;
        let per_s = self.terms.payments_per_s;
        let new: Vec<NewAttempt<'_>> = self
            .attempts
            .iter()
            .enumerate()
            .map(|(n, (id, method, slow))| {
                let turn_at = now.plus(queue_time(per_s, self.terms.payments_waiting + n));
                // Who wrote it asks first, when it is its turn; others only if that process died.
                let ask_at = turn_at.plus(ASK_AFTER);
                NewAttempt { purchase: &self.purchases[id], method, slow: *slow, turn_at, ask_at }
            })
            .collect();
        attempts::insert(tx, &new, self.terms.provider, now).await?;
        attempts::learn(tx, &self.learned, now).await?;
        attempts::end(tx, &self.ended, now).await
    }

    async fn write_orders(&self, tx: &mut Tx) -> Result<(), StoreError> {
        if self.sold.is_empty() {
            return Ok(());
        }
        let sold: Vec<&Purchase> = self.sold.iter().map(|id| &*self.purchases[id]).collect();
        let skus: BTreeSet<&SkuId> = sold.iter().flat_map(|p| p.granted().map(|line| &line.sku_id)).collect();
        let titles = orders::titles(tx, &skus).await?;
        let titles: HashMap<SkuId, _> =
            titles.into_iter().map(|(sku, brand, title, variant)| (sku, (brand, title, variant))).collect();
        let order = |purchase: &'_ Purchase| purchase.order_id.clone().expect("set when it was sold");
        let written: Vec<NewOrder<'_>> = sold
            .iter()
            .map(|purchase| NewOrder {
                id: order(purchase),
                purchase,
                lines: purchase
                    .granted()
                    .map(|line| {
                        let (brand_id, product_title, variant) = titles[&line.sku_id].clone();
                        NewLine { id: OrderLineId::fresh(), line, brand_id, product_title, variant }
                    })
                    .collect(),
            })
            .collect();
        orders::insert_orders(tx, &written, self.terms.now).await?;
        let picked_up = written.iter().filter_map(|order| {
            let (location, customer) = (order.purchase.pickup_location_id.as_ref()?, &order.purchase.customer_id);
            Some(NewPickup { order: &order.id, location, customer, demo: order.purchase.demo })
        });
        omo::open_pickups(tx, &picked_up.collect::<Vec<_>>(), self.terms.now).await?;
        let mut lines = Vec::with_capacity(written.len());
        for order in written {
            for new in order.lines {
                lines.push(SoldLine {
                    order_id: order.id.clone(),
                    line_id: new.id,
                    brand_id: new.brand_id,
                    // A live's offers end with it: so far everything is bought while it is on.
                    channel: attribution::Channel::Live,
                    live_id: order.purchase.live_id.clone(),
                    customer_id: order.purchase.customer_id.clone(),
                    product_id: new.line.product_id.clone(),
                    sku_id: new.line.sku_id.clone(),
                    purchase_id: order.purchase.id.clone(),
                    qty: i32::try_from(new.line.qty).unwrap_or(i32::MAX),
                    amount_minor: new.line.unit_price_minor * new.line.qty,
                    currency: order.purchase.currency,
                });
            }
        }
        attribution::credit_sales(tx, &lines, self.terms.now).await
    }

    /// What others should hear of this batch.
    fn news(&self) -> Vec<Fact> {
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
        for offer in self.world.taken.iter().filter(|(_, change)| **change != 0).map(|(offer, _)| offer) {
            if let (Some(left), Some(terms)) = (self.world.left(offer), self.world.offers.get(offer)) {
                let version = self.world.pools.get(&terms.sku_id).map_or(0, |pool| pool.version);
                let left = wire::OfferLeft { offer_id: offer.to_string(), left, version };
                facts.push(Fact::Left { live: terms.live_id.clone(), left });
            }
        }
        for id in self.joined.iter().chain(self.changed_waits.iter().filter(|id| !self.joined.contains(id))) {
            let wait = &self.waits[id];
            facts.push(Fact::Wait { customer: wait.customer_id.clone(), wait: wait.to_wire() });
        }
        let of_this_batch: HashSet<&PurchaseId> = self.placed.iter().collect();
        let changed = self.changed.iter().filter(|id| !of_this_batch.contains(id));
        // Nobody asked at this moment for what was held for a waitlist, so it must be told.
        let served = self.placed.iter().filter(|id| self.purchases[*id].wait_id.is_some());
        for purchase in served.chain(changed).map(|id| &self.purchases[id]) {
            facts.push(Fact::Purchase { customer: purchase.customer_id.clone(), status: status(purchase) });
        }
        for (customer, pickup) in &self.pickups {
            facts.push(Fact::Pickup { customer: customer.clone(), pickup: pickup.clone() });
        }
        let mut sold: BTreeMap<&LiveId, (i64, i64)> = BTreeMap::new();
        for purchase in self.sold.iter().map(|id| &self.purchases[id]) {
            let sum = sold.entry(&purchase.live_id).or_default();
            sum.0 += purchase.granted().map(|line| line.qty).sum::<i64>();
            sum.1 += purchase.total_minor;
        }
        for (live, units, minor) in &self.given_back {
            let sum = sold.entry(live).or_default();
            sum.0 -= units;
            sum.1 -= minor;
        }
        facts.extend(sold.into_iter().map(|(live, (units, gross_minor))| Fact::Sold {
            live: live.clone(),
            units,
            gross_minor,
        }));
        facts
    }
}

/// Why a purchase was called off whose goods are gone.
const SHORT: &str = "stock-short";
/// Why a purchase stays as it is although it was paid: too late, and there are no goods any more. The money goes back.
const LATE: &str = "late-payment-returned";
/// A payment that nobody has heard of for so long is asked about, by whoever lives.
const ASK_AFTER: Duration = Duration::from_secs(5);

/// How long so many payments take when the provider takes only so many a second.
fn queue_time(per_s: Option<u32>, before: usize) -> Duration {
    Duration::from_secs(per_s.map_or(0, |per_s| before as u64 / u64::from(per_s.max(1))))
}

/// A purchase as its buyer hears of it.
#[must_use]
pub fn status(purchase: &Purchase) -> wire::PurchaseStatus {
    let small = |units: i64| i32::try_from(units).unwrap_or(i32::MAX);
    let first = purchase.granted().next();
    wire::PurchaseStatus {
        id: purchase.id.to_string(),
        state: purchase.state.as_str().to_owned(),
        sku_id: first.map(|line| line.sku_id.to_string()).unwrap_or_default(),
        qty: first.map_or(0, |line| small(line.qty)),
        total_minor: purchase.total_minor,
        currency: purchase.currency.as_str().to_owned(),
        order_id: purchase.order_id.as_ref().map(ToString::to_string).unwrap_or_default(),
        hold_expires_at_ms: purchase.hold_expires_at_ms.0,
        reason: purchase.reason.clone().unwrap_or_default(),
        version: purchase.version,
        lines: purchase
            .granted()
            .map(|line| wire::PurchaseLine {
                offer_id: line.offer_id.to_string(),
                sku_id: line.sku_id.to_string(),
                qty: small(line.qty),
                unit_price_minor: line.unit_price_minor,
            })
            .collect(),
        wait_id: purchase.wait_id.as_ref().map(ToString::to_string).unwrap_or_default(),
        short_units: small(purchase.short_units),
        decline_code: purchase.decline_code.clone().unwrap_or_default(),
        // Known where it is asked, by the queue.
        payment_estimate_ms: 0,
        payments_before: 0,
    }
}
