//! Shell: group commit. Everybody in a live buys the same SKU in the same second; here they take turns together.
//!
//! One task takes every command that waits (at most [`MAX_BATCH`]), runs them as one transaction ([`super::settle`]) and
//! answers each after the commit. There is no timer while buyers wait: what queues up during one commit is the next batch.
//! Owns: the queue, the retry of a lost commit, the sold-out hint.
//! Invariant: an answer is durable. A lost COMMIT is looked up again by key before anybody is told anything; one bad
//! command never sinks its batch. The hint may delay a sale by [`HINT_TTL_MS`], never allow one.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{
    CommerceError,
    allocation::Delivery,
    attempt::Learned,
    facts::{FactAnswer, SafetyChange, ShelfAfter, StockFact},
    payment::{Method, Slow},
    purchase::Input,
    records::Purchase,
    refund::Asked,
    refund_book::Refund,
    settle::{self, Due, Stop},
    stock::Wish,
    waitlist::{self, Join, Wait},
};
use crate::{
    bus::{Fact, Relay},
    clock::{Clock, Millis},
    ids::{AccountId, CustomerId, LocationId, OrderId, PurchaseId, RefundId, SkuId, WaitId},
    store::{Db, StoreError},
    tasks::Tasks,
};

/// Commands of one transaction. Larger batches no longer sell more, but make everybody wait for their last one.
const MAX_BATCH: usize = 1_024;
/// Commands that may wait; more are refused with their place, at once.
const QUEUE: usize = 16_384;
/// A buyer who has waited so long is answered that too many are before them; nothing was done then.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// Looks for holds that ran out, when nobody buys.
const EXPIRY_TICK: Duration = Duration::from_millis(250);
/// Looks for units that somebody waits for this often: an offer may have begun or changed.
const LOOK_AT_WAITERS: Duration = Duration::from_secs(1);
/// Turns given to those who were answered before the next batch is taken.
const MAX_YIELDS: usize = 64;
/// Holds that are let go one by one when one of them spoils the batch.
const MAX_ALONE: usize = 1_024;
/// How long a sold-out SKU is refused without asking the database.
const HINT_TTL_MS: i64 = 1_000;
/// SKUs in the hint; more are simply not hinted.
const MAX_HINTS: usize = 10_000;
/// Tries of a batch whose answer was lost, or whose database was away …
const TRIES: u32 = 6;
/// … and the first pause between them, doubled each time (3 s in all).
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// A buyer's tap, checked.
#[derive(Debug, Clone)]
pub struct PlaceOrder {
    /// Of the purchase it may become.
    pub id: PurchaseId,
    /// Who buys.
    pub customer: CustomerId,
    /// The same tap under the same key has one answer.
    pub key: String,
    /// Digest of what was asked: another wish under the same key is refused.
    pub body_hash: String,
    /// What is wanted: 1 to 20 lines of different SKUs, all offers of one live.
    pub wishes: Vec<Wish>,
    /// Grant what there is, leave out the rest.
    pub partial: bool,
    /// How it gets to the buyer.
    pub delivery: Delivery,
    /// Digest of the sheet that was shown.
    pub sheet_hash: String,
    /// The sheet, as JSON.
    pub sheet: String,
    /// Pays at once; without it the units are held for a while.
    pub method: Option<Method>,
    /// Whether it may be paid by what takes days.
    pub slow: Slow,
    /// Made by `hanamichi demo`.
    pub demo: bool,
}

/// A return, checked: who asks may give back these lines.
#[derive(Debug, Clone)]
pub(super) struct ReturnOrder {
    /// Of the refund it may become.
    pub(super) id: RefundId,
    pub(super) order: OrderId,
    pub(super) purchase: PurchaseId,
    pub(super) by: AccountId,
    /// The return's name: within its order it counts once.
    pub(super) key: String,
    /// Digest of what was asked: another return under the same name is refused.
    pub(super) body_hash: String,
    /// Units by line; everything that is left when absent.
    pub(super) lines: Option<Asked>,
    /// Whether goods that had left are to be sold again.
    pub(super) restock: bool,
    /// Where to; where they came from when absent.
    pub(super) location: Option<LocationId>,
    pub(super) reason: String,
    /// Nothing is given back once the goods have left: it is called off because nobody came for them.
    pub(super) unless_left: bool,
}

/// What the sequencer does for somebody.
#[derive(Debug)]
pub(super) enum Command {
    Place(Box<PlaceOrder>),
    Step(Box<Step>),
    Record(Box<StockFact>),
    Safety(SafetyChange),
    Join(Box<Join>),
    Leave {
        wait: WaitId,
        customer: CustomerId,
    },
    Return(Box<ReturnOrder>),
    /// The provider is about to be asked for what is left of a reserved order.
    BeginTaking(PurchaseId),
    /// It will not take it.
    EndTaking(PurchaseId),
}

/// Something that happened to a purchase.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) purchase: PurchaseId,
    pub(super) input: Input,
    /// With [`Input::StartPaying`]: how.
    pub(super) method: Option<(Method, Slow)>,
    /// What was learned of its payment, written with it.
    pub(super) learned: Option<Learned>,
}

/// What came of it.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    Purchase(Arc<Purchase>),
    Recorded(Box<FactAnswer>),
    Shelf(Box<ShelfAfter>),
    Wait(Box<Wait>),
    Refund(Box<Refund>),
    Minor(i64),
}

pub(super) type Answer = Result<Outcome, CommerceError>;

struct Waiting {
    command: Command,
    since: Instant,
    answer: oneshot::Sender<Answer>,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.command.fmt(f)
    }
}

/// How the sequencer works.
#[derive(Debug, Clone, Copy)]
pub struct SequencerConfig {
    /// How long an unpaid hold lives at least.
    pub hold_ttl: Duration,
    /// Payments that the provider takes a second; a hold lives longer by its place in that queue. `None`: no limit.
    pub payments_per_s: Option<u32>,
    /// Commands that may wait.
    pub queue: usize,
    /// Commands of one transaction.
    pub max_batch: usize,
    /// Who collects the money, as stored with every try.
    pub provider: &'static str,
}

impl Default for SequencerConfig {
    fn default() -> Self {
        Self {
            hold_ttl: Duration::from_secs(180),
            payments_per_s: None,
            queue: QUEUE,
            max_batch: MAX_BATCH,
            provider: "sandbox",
        }
    }
}

/// The way into the queue. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sequencer {
    queue: mpsc::Sender<Waiting>,
    sold_out: Arc<Mutex<HashMap<SkuId, Millis>>>,
    paying: Arc<AtomicUsize>,
    config: SequencerConfig,
    clock: Clock,
    relay: Relay,
}

impl Sequencer {
    /// Starts the one task that changes stock and purchases.
    #[must_use]
    pub fn start(db: Db, clock: Clock, relay: Relay, config: SequencerConfig, tasks: &Tasks) -> Self {
        let (queue, commands) = mpsc::channel(config.queue);
        let sequencer = Self {
            queue,
            sold_out: Arc::default(),
            paying: Arc::default(),
            config,
            clock: clock.clone(),
            relay: relay.clone(),
        };
        let engine = Engine {
            db,
            clock,
            relay,
            config,
            sold_out: sequencer.sold_out.clone(),
            paying: sequencer.paying.clone(),
            memory: settle::Memory::default(),
        };
        let stopping = tasks.stopping();
        tasks.spawn("sequencer", async move { engine.run(commands, stopping).await });
        sequencer
    }

    /// Whether this SKU was sold out a moment ago: ask nobody, refuse.
    pub(super) fn is_hinted_sold_out(&self, sku: &SkuId) -> bool {
        let now = self.clock.now();
        self.sold_out.lock().get(sku).is_some_and(|until| now < *until)
    }

    /// When a purchase's turn with the provider was reckoned to come: its hold lives longer by that.
    pub(super) fn turn_of(&self, purchase: &Purchase) -> Millis {
        let ttl_ms = i64::try_from(self.config.hold_ttl.as_millis()).unwrap_or(i64::MAX);
        Millis(purchase.hold_expires_at_ms.0 - ttl_ms)
    }

    /// How many payments wait for the provider or are with it: holds live longer by it.
    pub(super) fn paying(&self) -> &AtomicUsize {
        &self.paying
    }

    /// Reserves units. Durable when it answers.
    ///
    /// # Errors
    /// A [`super::Refusal`], [`CommerceError::KeyReused`], [`CommerceError::QueueFull`] or
    /// [`CommerceError::WrongClock`] (nothing was done), or [`CommerceError::Unknown`]: then ask again under the same key.
    pub async fn place(&self, order: PlaceOrder) -> Result<Purchase, CommerceError> {
        self.can_tell_time()?;
        let purchase = self.purchase(Command::Place(Box::new(order))).await?;
        // Other devices of the buyer; here, because the batch has thousands of these to tell while others wait.
        self.relay.offer(placed(&purchase));
        Ok(purchase)
    }

    pub(super) async fn step(&self, purchase: &PurchaseId, input: Input) -> Result<Purchase, CommerceError> {
        let step = Step { purchase: purchase.clone(), input, method: None, learned: None };
        self.purchase(Command::Step(Box::new(step))).await
    }

    /// Begins to pay held units.
    pub(super) async fn start_paying(
        &self,
        purchase: &PurchaseId,
        method: (Method, Slow),
    ) -> Result<Purchase, CommerceError> {
        let (purchase, input) = (purchase.clone(), Input::StartPaying);
        self.purchase(Command::Step(Box::new(Step { purchase, input, method: Some(method), learned: None }))).await
    }

    /// The provider's word.
    pub(super) async fn learn(
        &self,
        purchase: &PurchaseId,
        input: Input,
        learned: Learned,
    ) -> Result<Purchase, CommerceError> {
        let (purchase, learned) = (purchase.clone(), Some(learned));
        self.purchase(Command::Step(Box::new(Step { purchase, input, method: None, learned }))).await
    }

    /// Records a physical fact; the same one under the same key counts once and has one answer.
    ///
    /// # Errors
    /// [`super::Refusal::UnknownSku`], no such location, or [`CommerceError::KeyReused`].
    pub async fn record(&self, fact: StockFact) -> Result<FactAnswer, CommerceError> {
        match self.send(Command::Record(Box::new(fact))).await? {
            Outcome::Recorded(answer) => Ok(*answer),
            _ => Err(CommerceError::Unknown),
        }
    }

    /// Sets the units that a location keeps for its counter.
    ///
    /// # Errors
    /// [`super::Refusal::UnknownSku`], no such location.
    pub async fn set_safety(&self, change: SafetyChange) -> Result<ShelfAfter, CommerceError> {
        match self.send(Command::Safety(change)).await? {
            Outcome::Shelf(shelf) => Ok(*shelf),
            _ => Err(CommerceError::Unknown),
        }
    }

    /// Gives back a part of an order, or all that is left of it; the same return under its name counts once.
    pub(super) async fn give_back(&self, wish: ReturnOrder) -> Result<Refund, CommerceError> {
        match self.send(Command::Return(Box::new(wish))).await? {
            Outcome::Refund(refund) => Ok(*refund),
            _ => Err(CommerceError::Unknown),
        }
    }

    /// How much the provider is to be asked for; from now on nothing of the order is called off.
    pub(super) async fn begin_taking(&self, purchase: &PurchaseId) -> Result<i64, CommerceError> {
        match self.send(Command::BeginTaking(purchase.clone())).await? {
            Outcome::Minor(minor) => Ok(minor),
            _ => Err(CommerceError::Unknown),
        }
    }

    /// The provider will not take it.
    pub(super) async fn end_taking(&self, purchase: &PurchaseId) -> Result<(), CommerceError> {
        self.send(Command::EndTaking(purchase.clone())).await.map(drop)
    }

    /// Whether offers can be judged by this node's clock. What has happened already is written by any clock.
    fn can_tell_time(&self) -> Result<(), CommerceError> {
        self.clock.excess_ms().map_or(Ok(()), |offset_ms| Err(CommerceError::WrongClock { offset_ms }))
    }

    pub(super) async fn join(&self, wish: Join) -> Result<Wait, CommerceError> {
        self.can_tell_time()?;
        self.wait(Command::Join(Box::new(wish))).await
    }

    pub(super) async fn leave(&self, wait: &WaitId, customer: &CustomerId) -> Result<Wait, CommerceError> {
        self.wait(Command::Leave { wait: wait.clone(), customer: customer.clone() }).await
    }

    async fn wait(&self, command: Command) -> Result<Wait, CommerceError> {
        match self.send(command).await? {
            Outcome::Wait(wait) => Ok(*wait),
            _ => Err(CommerceError::Unknown),
        }
    }

    async fn purchase(&self, command: Command) -> Result<Purchase, CommerceError> {
        match self.send(command).await? {
            Outcome::Purchase(purchase) => Ok(Arc::unwrap_or_clone(purchase)),
            _ => Err(CommerceError::Unknown),
        }
    }

    async fn send(&self, command: Command) -> Answer {
        let (answer, result) = oneshot::channel();
        match self.queue.try_send(Waiting { command, since: Instant::now(), answer }) {
            Ok(()) => result.await.unwrap_or(Err(CommerceError::Unknown)),
            Err(mpsc::error::TrySendError::Full(_)) => Err(CommerceError::QueueFull { waiting: self.config.queue }),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(CommerceError::Unknown),
        }
    }
}

struct Engine {
    db: Db,
    clock: Clock,
    relay: Relay,
    config: SequencerConfig,
    sold_out: Arc<Mutex<HashMap<SkuId, Millis>>>,
    paying: Arc<AtomicUsize>,
    memory: settle::Memory,
}

impl Engine {
    async fn run(mut self, mut queue: mpsc::Receiver<Waiting>, stopping: tokio_util::sync::CancellationToken) {
        let mut waiting = Vec::with_capacity(self.config.max_batch);
        let mut revisit = BTreeSet::new();
        let mut looked_at = Instant::now();
        loop {
            if looked_at.elapsed() >= LOOK_AT_WAITERS {
                revisit.extend(self.servable().await);
                looked_at = Instant::now();
            }
            tokio::select! {
                biased;
                taken = queue.recv_many(&mut waiting, self.config.max_batch) => {
                    if taken == 0 {
                        return;
                    }
                }
                () = std::future::ready(()), if !revisit.is_empty() => {}
                () = self.clock.sleep(EXPIRY_TICK) => {}
                () = stopping.cancelled(), if !queue.is_closed() => {
                    // Takes nothing new, but answers everybody who is in already.
                    queue.close();
                    continue;
                }
            }
            let (mut commands, mut answers) = (Vec::with_capacity(waiting.len()), Vec::with_capacity(waiting.len()));
            for (place, one) in waiting.drain(..).enumerate() {
                // Only taps give up: what tills and the provider say must be written, however late.
                if matches!(one.command, Command::Place(_)) && one.since.elapsed() > MAX_WAIT {
                    let _ = one.answer.send(Err(CommerceError::QueueFull { waiting: place + queue.len() }));
                } else {
                    commands.push(one.command);
                    answers.push(one.answer);
                }
            }
            let outcomes = self.settle(&commands, &mut revisit).await;
            for (answer, outcome) in answers.into_iter().zip(outcomes) {
                // Who no longer listens asks again by key, and their other devices hear of it now.
                if let Err(Ok(Outcome::Purchase(purchase))) = answer.send(outcome) {
                    self.relay.offer(placed(&purchase));
                }
            }
            // Whoever was just answered and wants more goes first; else the next batch would be only the quickest of
            // them, and cost as much as all. A yield lets some dozens of them run, so: while more of them come.
            for _ in 0..MAX_YIELDS {
                let came = queue.len();
                tokio::task::yield_now().await;
                if queue.len() == came || queue.len() >= self.config.max_batch {
                    break;
                }
            }
        }
    }

    async fn settle(&mut self, commands: &[Command], revisit: &mut BTreeSet<SkuId>) -> Vec<Answer> {
        match self.try_batch(commands, revisit, Due::All).await {
            Ok((outcomes, _)) => outcomes,
            Err(error) if !error.is_away() || matches!(error, StoreError::Contended) => {
                revisit.clear();
                // One of them is bad: each alone, so that only that one hears of it. It may be a hold whose time is over.
                tracing::warn!(error = %error, batch.commands = commands.len(), "batch refused, running its parts alone");
                self.expire_alone().await;
                let mut outcomes = Vec::with_capacity(commands.len());
                for command in commands {
                    let outcome = self.try_batch(std::slice::from_ref(command), revisit, Due::None).await;
                    outcomes.push(outcome.map_or_else(
                        |e| Err(unanswered(e)),
                        |(mut one, _)| one.pop().unwrap_or(Err(CommerceError::Unknown)),
                    ));
                }
                outcomes
            }
            Err(error) => {
                revisit.clear();
                if !commands.is_empty() {
                    tracing::error!(error = %error, batch.commands = commands.len(), "batch not settled");
                }
                commands.iter().map(|_| Err(CommerceError::Unknown)).collect()
            }
        }
    }

    /// Lets go each hold that is over its time by itself, and passes over those that cannot be.
    async fn expire_alone(&mut self) {
        let mut bad = 0;
        for _ in 0..MAX_ALONE {
            match self.try_batch(&[], &mut BTreeSet::new(), Due::One(bad)).await {
                Ok((_, 0)) => return,
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(error = %error, "a hold that is over its time cannot be let go");
                    bad += 1;
                }
            }
        }
    }

    /// Runs one batch; again while the database is away or the answer to its COMMIT was lost. Running it again is the
    /// look-up by key: what was committed is found and not done twice. Gives the answers, and how many holds were over.
    async fn try_batch(
        &mut self,
        commands: &[Command],
        revisit: &mut BTreeSet<SkuId>,
        due: Due,
    ) -> Result<(Vec<Answer>, usize), StoreError> {
        let mut pause = FIRST_PAUSE;
        // The first run trusts that nobody taps twice and that no other node serves the same customers; the database's
        // unique keys say so when it is not true, and then everything is looked up.
        let mut look_up = false;
        let mut tries = 1;
        loop {
            let terms = settle::Terms {
                now: self.clock.now(),
                hold_ttl: self.config.hold_ttl,
                payments_per_s: self.config.payments_per_s,
                payments_waiting: self.paying.load(Ordering::Relaxed),
                provider: self.config.provider,
                look_up,
                due,
            };
            match settle::run(&self.db, commands, revisit, terms, &mut self.memory).await {
                Ok(mut done) => {
                    *revisit = std::mem::take(&mut done.revisit);
                    let expired = done.expired;
                    return Ok((self.tell(done), expired));
                }
                Err(Stop::Again) if tries < TRIES => tracing::debug!("batch met another one, running it again"),
                Err(Stop::Again) => return Err(StoreError::Contended),
                Err(Stop::Store(error)) if tries < TRIES && (error.is_away() || error.is_transient()) => {
                    // Who answers next may be another server, or this one from its last backup.
                    self.memory = settle::Memory::default();
                    tracing::warn!(error = %error, "batch has no answer, trying again");
                    // Real time on purpose: the database does not live by a test's clock.
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                Err(Stop::Store(error)) => return Err(error),
            }
            look_up = true;
            tries += 1;
        }
    }

    /// SKUs that somebody waits for and that have units.
    async fn servable(&self) -> Vec<SkuId> {
        let found = async {
            let mut tx = self.db.read("who waits").await?;
            waitlist::servable(&mut tx).await
        };
        found.await.unwrap_or_else(|error: StoreError| {
            tracing::warn!(error = %error, "the waitlist cannot be read");
            Vec::new()
        })
    }

    fn tell(&self, done: settle::Done) -> Vec<Answer> {
        self.relay.tell(done.news);
        let until = Millis(self.clock.now().0 + HINT_TTL_MS);
        let mut hints = self.sold_out.lock();
        for (sku, available) in done.available {
            if available > 0 {
                hints.remove(&sku);
            } else if hints.len() < MAX_HINTS || hints.contains_key(&sku) {
                hints.insert(sku, until);
            }
        }
        done.outcomes
    }
}

fn placed(purchase: &Purchase) -> Fact {
    Fact::Purchase { customer: purchase.customer_id.clone(), status: settle::status(purchase) }
}

fn unanswered(error: StoreError) -> CommerceError {
    if error.is_away() { CommerceError::Unknown } else { CommerceError::Store(error) }
}
