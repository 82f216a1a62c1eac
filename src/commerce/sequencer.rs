//! Shell: group commit. Everybody in a live buys the same SKU in the same second; here they take turns together.
//!
//! One task takes every command that waits (at most [`MAX_BATCH`]), runs them as one transaction ([`super::settle`]) and
//! answers each after the commit. There is no timer while buyers wait: what queues up during one commit is the next batch.
//! Owns: the queue, the retry of a lost commit, the sold-out hint.
//! Invariant: an answer is durable. A lost COMMIT is looked up again by key before anybody is told anything; one bad
//! command never sinks its batch. The hint may delay a sale by [`HINT_TTL_MS`], never allow one.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::{CommerceError, payment::Method, purchase::Input, records::Purchase, settle, stock::FactKind};
use crate::{
    bus::Relay,
    clock::{Clock, Millis},
    ids::{AccountId, CustomerId, LocationId, OfferId, PurchaseId, SkuId},
    store::{Db, StoreError},
    tasks::Tasks,
};

/// Commands of one transaction.
const MAX_BATCH: usize = 512;
/// Commands that may wait; more are refused with their place, at once.
const QUEUE: usize = 4_096;
/// Looks for holds that ran out, when nobody buys.
const EXPIRY_TICK: Duration = Duration::from_millis(250);
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
pub(super) struct PlaceOrder {
    pub(super) id: PurchaseId,
    pub(super) customer: CustomerId,
    pub(super) key: String,
    pub(super) body_hash: String,
    pub(super) offer: OfferId,
    pub(super) qty: u32,
    pub(super) seen_price_minor: i64,
    pub(super) sheet_hash: String,
    pub(super) sheet: String,
    pub(super) method: Option<Method>,
    pub(super) demo: bool,
}

/// A physical fact.
#[derive(Debug, Clone)]
pub struct Adjustment {
    /// Who says so.
    pub account: AccountId,
    /// The same fact under the same key counts once.
    pub key: String,
    /// Of what.
    pub sku: SkuId,
    /// Where.
    pub location: LocationId,
    /// How many more (or fewer).
    pub delta: i64,
    /// What happened.
    pub kind: FactKind,
}

/// What the sequencer does for somebody.
#[derive(Debug)]
pub(super) enum Command {
    Place(Box<PlaceOrder>),
    Step { purchase: PurchaseId, input: Input, method: Option<Method> },
    Adjust(Box<Adjustment>),
}

/// What came of it.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    Purchase(Box<Purchase>),
    Adjusted { on_hand: i64, held: i64, available: i64, version: i64 },
}

type Answer = Result<Outcome, CommerceError>;

struct Waiting {
    command: Command,
    answer: oneshot::Sender<Answer>,
}

/// The way into the queue. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sequencer {
    queue: mpsc::Sender<Waiting>,
    sold_out: Arc<Mutex<HashMap<SkuId, Millis>>>,
    clock: Clock,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.command.fmt(f)
    }
}

impl Sequencer {
    /// Starts the one task that changes stock and purchases.
    #[must_use]
    pub fn start(db: Db, clock: Clock, relay: Relay, hold_ttl: Duration, tasks: &Tasks) -> Self {
        let (queue, commands) = mpsc::channel(QUEUE);
        let sequencer = Self { queue, sold_out: Arc::default(), clock: clock.clone() };
        let engine = Engine { db, clock, relay, hold_ttl, sold_out: sequencer.sold_out.clone() };
        let stopping = tasks.stopping();
        tasks.spawn("sequencer", async move { engine.run(commands, stopping).await });
        sequencer
    }

    /// Whether this SKU was sold out a moment ago: ask nobody, refuse.
    pub(super) fn is_hinted_sold_out(&self, sku: &SkuId) -> bool {
        let now = self.clock.now();
        self.sold_out.lock().get(sku).is_some_and(|until| now < *until)
    }

    pub(super) async fn place(&self, order: PlaceOrder) -> Result<Purchase, CommerceError> {
        self.purchase(Command::Place(Box::new(order))).await
    }

    pub(super) async fn step(
        &self,
        purchase: &PurchaseId,
        input: Input,
        method: Option<Method>,
    ) -> Result<Purchase, CommerceError> {
        self.purchase(Command::Step { purchase: purchase.clone(), input, method }).await
    }

    /// Records a physical fact; the same one under the same key counts once.
    ///
    /// # Errors
    /// [`Refusal::UnknownSku`], [`Refusal::StockTooLow`], or no such location.
    pub async fn adjust(&self, adjustment: Adjustment) -> Result<(i64, i64, i64, i64), CommerceError> {
        match self.send(Command::Adjust(Box::new(adjustment))).await? {
            Outcome::Adjusted { on_hand, held, available, version } => Ok((on_hand, held, available, version)),
            Outcome::Purchase(_) => Err(CommerceError::Unknown),
        }
    }

    async fn purchase(&self, command: Command) -> Result<Purchase, CommerceError> {
        match self.send(command).await? {
            Outcome::Purchase(purchase) => Ok(*purchase),
            Outcome::Adjusted { .. } => Err(CommerceError::Unknown),
        }
    }

    async fn send(&self, command: Command) -> Answer {
        let (answer, result) = oneshot::channel();
        match self.queue.try_send(Waiting { command, answer }) {
            Ok(()) => result.await.unwrap_or(Err(CommerceError::Unknown)),
            Err(mpsc::error::TrySendError::Full(_)) => Err(CommerceError::QueueFull { waiting: QUEUE }),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(CommerceError::Unknown),
        }
    }
}

struct Engine {
    db: Db,
    clock: Clock,
    relay: Relay,
    hold_ttl: Duration,
    sold_out: Arc<Mutex<HashMap<SkuId, Millis>>>,
}

impl Engine {
    async fn run(self, mut queue: mpsc::Receiver<Waiting>, stopping: tokio_util::sync::CancellationToken) {
        let mut waiting = Vec::with_capacity(MAX_BATCH);
        loop {
            tokio::select! {
                biased;
                taken = queue.recv_many(&mut waiting, MAX_BATCH) => {
                    if taken == 0 {
                        return;
                    }
                }
                () = self.clock.sleep(EXPIRY_TICK) => {}
                () = stopping.cancelled(), if !queue.is_closed() => {
                    // Takes nothing new, but answers everybody who is in already.
                    queue.close();
                    continue;
                }
            }
            let (commands, answers): (Vec<_>, Vec<_>) = waiting.drain(..).map(|w| (w.command, w.answer)).unzip();
            for (answer, outcome) in answers.into_iter().zip(self.settle(commands).await) {
                // Who no longer listens asks again by key.
                let _ = answer.send(outcome);
            }
        }
    }

    async fn settle(&self, commands: Vec<Command>) -> Vec<Answer> {
        match self.try_batch(&commands).await {
            Ok(outcomes) => outcomes,
            Err(error) if commands.len() > 1 && !error.is_away() => {
                // One of them is bad: each alone, so that only that one hears of it.
                tracing::warn!(error = %error, batch.commands = commands.len(), "batch refused, running its commands alone");
                let mut outcomes = Vec::with_capacity(commands.len());
                for command in commands {
                    let alone = [command];
                    let outcome = self.try_batch(&alone).await;
                    outcomes.push(outcome.map_or_else(
                        |e| Err(unanswered(e)),
                        |mut one| one.pop().unwrap_or(Err(CommerceError::Unknown)),
                    ));
                }
                outcomes
            }
            Err(error) => {
                if !commands.is_empty() {
                    tracing::error!(error = %error, batch.commands = commands.len(), "batch not settled");
                }
                commands.iter().map(|_| Err(CommerceError::Unknown)).collect()
            }
        }
    }

    /// Runs one batch; again while the database is away or the answer to its COMMIT was lost. Running it again is the
    /// look-up by key: what was committed is found and not done twice.
    async fn try_batch(&self, commands: &[Command]) -> Result<Vec<Answer>, StoreError> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..TRIES {
            match settle::run(&self.db, commands, self.hold_ttl, self.clock.now()).await {
                Ok(done) => return Ok(self.tell(done)),
                Err(error) if error.is_away() || error.is_transient() => {
                    tracing::warn!(error = %error, "batch has no answer, trying again");
                    // Real time on purpose: the database does not live by a test's clock.
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                Err(error) => return Err(error),
            }
        }
        settle::run(&self.db, commands, self.hold_ttl, self.clock.now()).await.map(|done| self.tell(done))
    }

    fn tell(&self, done: settle::Done) -> Vec<Answer> {
        if !done.outcomes.is_empty() || done.expired > 0 {
            self.relay.ring();
        }
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

fn unanswered(error: StoreError) -> CommerceError {
    if error.is_away() { CommerceError::Unknown } else { CommerceError::Store(error) }
}
