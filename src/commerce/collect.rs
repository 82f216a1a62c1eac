//! Shell: asks the provider about payments, and has the sequencer settle its words.
//!
//! A purchase's money is asked for once it is reserved, in order of arrival and no faster than the provider takes it; after
//! a crash, and when an answer was lost, the reconciler asks again under the same key. The provider's own word (a webhook)
//! only makes us ask how the payment stands now, so all words come to one function, [`Collector::heard`].
//! Invariant: no key is used for a new payment once the provider may have forgotten it; what may have been made under it
//! is looked for instead. Money of a purchase that is over is let go, however late it comes.

use std::{
    collections::{HashMap, HashSet},
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::{
    CommerceError, Refusal,
    attempt::{self, AttemptState, Learned},
    attempts::{self, Attempt},
    payment::{Action, Charge, Intent, Method, Payment, Source, Status, Trouble},
    purchase::{By, State},
    records::{self, Purchase},
    sequencer::Sequencer,
    wallet::Wallet,
};
use crate::{
    clock::{Clock, Millis},
    ids::{CustomerId, PurchaseId},
    money::Money,
    store::Db,
    tasks::Tasks,
};

/// Payments under way at the same time, from the question to the settled answer; more wait their turn. (How often the
/// provider is asked is another matter: `payments_per_s`.)
const MAX_PAYING: usize = 1_024;
/// The reconciler looks this often …
const RECONCILE_EVERY: Duration = Duration::from_secs(1);
/// … and takes this many.
const RECONCILE_PAGE: i64 = 256;
/// Providers remember a key for a day (docs.stripe.com/api/idempotent_requests); an hour less, for clocks and queues.
const KEY_LIVES_MS: i64 = 23 * 60 * 60 * 1_000;
/// A payment that the provider does not list so long after its turn was never made, and is not asked for any more: nobody
/// is charged for a tap of long ago.
const GIVE_UP_MS: i64 = 5 * 60 * 1_000;
/// A payment may be listed so long after it was asked for.
const LISTED_AFTER_MS: i64 = 120_000;
/// Tries while the provider says that it is busy, before the question goes back to the reconciler …
const BUSY_TRIES: u32 = 5;
/// … and the first pause between them, doubled each time, unless the provider says how long.
const BUSY_PAUSE: Duration = Duration::from_millis(400);
const MAX_BUSY_PAUSE: Duration = Duration::from_secs(10);
/// How long a voucher of a convenience store can be paid, and then some.
const SLOW_ACTION: Duration = Duration::from_secs(4 * 24 * 60 * 60);

/// How payments are collected.
#[derive(Debug, Clone)]
pub struct CollectConfig {
    /// How often the provider is asked for money a second. `None`: no limit.
    pub payments_per_s: Option<NonZeroU32>,
    /// How long a buyer may take to do what their bank asks.
    pub action_ttl: Duration,
    /// Whether no other process sells over this database: then what is unsettled at the start is nobody else's.
    pub alone: bool,
    /// The address people use, without a slash at the end: methods that lead away come back there.
    pub public_url: String,
}

/// A place in the queue of payments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Payments before it.
    pub before: u64,
    /// About when it is its turn.
    pub estimate_ms: u64,
}

/// Questions of buyers that go on to the provider, about one purchase: so many at once, and then one a second. A page that
/// asks too often must not use up what the provider takes of us.
const QUESTIONS_AT_ONCE: NonZeroU32 = NonZeroU32::new(5).expect("not zero");
/// Purchases that are remembered before those that were not asked about for a while are forgotten.
const MAX_ASKED: usize = 50_000;

/// How often buyers may make us ask.
#[derive(Debug, Clone)]
pub(super) struct Questions(Arc<DefaultKeyedRateLimiter<String>>);

impl Questions {
    fn new() -> Self {
        let quota = Quota::per_second(NonZeroU32::MIN).allow_burst(QUESTIONS_AT_ONCE);
        Self(Arc::new(RateLimiter::keyed(quota)))
    }

    fn check(&self, about: &str) -> Result<(), CommerceError> {
        if self.0.len() > MAX_ASKED {
            self.0.retain_recent();
        }
        self.0.check_key(&about.to_owned()).map_err(|_| CommerceError::TooOften)
    }
}

/// What one try asks of the provider.
struct Question {
    key: String,
    return_url: String,
    source: Source,
    owner: String,
    amount: Money,
}

impl Question {
    fn charge<'a>(&'a self, attempt: &'a Attempt) -> Charge<'a> {
        Charge {
            key: &self.key,
            purchase: &attempt.purchase_id,
            amount: self.amount,
            source: &self.source,
            customer: &self.owner,
            slow: attempt.slow(),
            return_url: &self.return_url,
            created_at: attempt.created_at_ms,
        }
    }
}

/// Collects money. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Collector {
    db: Db,
    clock: Clock,
    sequencer: Sequencer,
    payment: Payment,
    wallet: Wallet,
    tasks: Tasks,
    config: Arc<CollectConfig>,
    turns: Arc<Semaphore>,
    bucket: Option<Arc<DefaultDirectRateLimiter>>,
    /// Purchases that this process is at, and their tickets.
    under_way: Arc<Mutex<HashMap<PurchaseId, u64>>>,
    ending: Arc<Mutex<HashSet<PurchaseId>>>,
    questions: Questions,
    issued: Arc<AtomicU64>,
    begun: Arc<AtomicU64>,
}

impl Collector {
    /// Starts the reconciler, which also finishes what an earlier process left unpaid.
    pub(super) fn start(
        db: Db,
        clock: Clock,
        sequencer: Sequencer,
        payment: Payment,
        wallet: Wallet,
        config: CollectConfig,
        tasks: &Tasks,
    ) -> Self {
        let bucket = config.payments_per_s.map(|per_s| Arc::new(RateLimiter::direct(Quota::per_second(per_s))));
        let collector = Self {
            db,
            clock,
            sequencer,
            payment,
            wallet,
            tasks: tasks.clone(),
            config: Arc::new(config),
            turns: Arc::new(Semaphore::new(MAX_PAYING)),
            bucket,
            under_way: Arc::default(),
            ending: Arc::default(),
            questions: Questions::new(),
            issued: Arc::default(),
            begun: Arc::default(),
        };
        let (reconciler, stopping) = (collector.clone(), tasks.stopping());
        tasks.spawn("reconciler", async move {
            // Whatever is unsettled at the start has no other task to care for it.
            let mut due = (!reconciler.config.alone).then(|| reconciler.clock.now());
            while !stopping.is_cancelled() {
                reconciler.reconcile(due).await;
                tokio::select! {
                    () = reconciler.clock.sleep(RECONCILE_EVERY) => {}
                    () = stopping.cancelled() => {}
                }
                due = Some(reconciler.clock.now());
            }
        });
        collector
    }

    /// The provider.
    pub(super) fn payment(&self) -> &Payment {
        &self.payment
    }

    /// Begins to collect, unless somebody in this process is at it already. At most [`MAX_PAYING`] ask at once; when the
    /// server stops, who has not asked yet leaves it to the next start.
    pub(super) fn soon(&self, id: &PurchaseId, known: Option<(Attempt, CustomerId)>) {
        let ticket = {
            let mut under_way = self.under_way.lock();
            if under_way.contains_key(id) {
                return;
            }
            let ticket = self.issued.fetch_add(1, Ordering::Relaxed);
            under_way.insert(id.clone(), ticket);
            ticket
        };
        tracing::trace!(purchase.id = %id, ticket, "payment queued");
        self.sequencer.paying().fetch_add(1, Ordering::Relaxed);
        let (collector, id) = (self.clone(), id.clone());
        self.tasks.spawn("collect", async move {
            let stopping = collector.tasks.stopping();
            tokio::select! {
                biased;
                turn = collector.turns.acquire() => if turn.is_ok() {
                    if let Some(bucket) = &collector.bucket {
                        bucket.until_ready().await;
                    }
                    collector.begun.fetch_add(1, Ordering::Relaxed);
                    collector.collect(&id, known).await;
                },
                () = stopping.cancelled() => {}
            }
            collector.under_way.lock().remove(&id);
            collector.sequencer.paying().fetch_sub(1, Ordering::Relaxed);
        });
    }

    /// Where a purchase stands in the queue of payments, while it waits for its turn: as this process knows it, or as
    /// it was reckoned when its units were reserved.
    pub(super) fn place_of(&self, purchase: &Purchase) -> Option<Place> {
        let per_s = u64::from(self.config.payments_per_s?.get());
        if purchase.state != State::Paying {
            return None;
        }
        let ticket = self.under_way.lock().get(&purchase.id).copied();
        if let Some(ticket) = ticket {
            let before = ticket.checked_sub(self.begun.load(Ordering::Relaxed))?;
            return Some(Place { before, estimate_ms: (before + 1) * 1_000 / per_s });
        }
        let turn_at = self.sequencer.turn_of(purchase);
        let estimate_ms = u64::try_from(turn_at.since(self.clock.now())).ok().filter(|ms| *ms > 0)?;
        Some(Place { before: estimate_ms * per_s / 1_000, estimate_ms })
    }

    /// Asks the provider and settles its word. May run twice for one purchase without harm.
    async fn collect(&self, id: &PurchaseId, known: Option<(Attempt, CustomerId)>) {
        if let Err(error) = self.try_collect(id, known).await {
            // The reconciler asks again.
            tracing::warn!(purchase.id = %id, error = %error, "payment has no last word yet");
        }
    }

    async fn try_collect(&self, id: &PurchaseId, known: Option<(Attempt, CustomerId)>) -> Result<(), CommerceError> {
        let (attempt, customer) = match known {
            // The sandbox lets go of what was called off meanwhile, so it need not be asked first.
            Some(known) if self.payment.is_sandbox() => known,
            _ => {
                let (purchase, attempt) = self.load(id).await?;
                if !purchase.state.holds_units() {
                    return Ok(());
                }
                if attempt.let_go_at_ms.is_some() {
                    // Who began to call it off did not come to the end.
                    return self.call_off(&attempt, By::Provider).await.map(drop);
                }
                (attempt, purchase.customer_id)
            }
        };
        tracing::debug!(purchase.id = %id, attempt.n, "asking the provider");
        let mut pause = BUSY_PAUSE;
        for _ in 0..BUSY_TRIES {
            match self.word(&attempt, &customer).await? {
                Ok(Some(intent)) => return self.heard(&attempt, intent, By::Provider).await.map(drop),
                Ok(None) => return self.never_made(&attempt).await,
                Err(Trouble::Busy { retry_after }) => {
                    self.clock.sleep(retry_after.unwrap_or(pause).min(MAX_BUSY_PAUSE)).await;
                    pause *= 2;
                }
                Err(Trouble::Refused { code }) => {
                    self.settle(&attempt, Learned::refused(code), By::Provider).await?;
                    return Ok(());
                }
                Err(trouble) => return self.in_vain(&attempt, &trouble).await,
            }
        }
        self.in_vain(&attempt, &Trouble::Busy { retry_after: None }).await
    }

    /// How the payment of this try stands, made if it was not made yet. `None`: it was not made, and must not be any more.
    async fn word(
        &self,
        attempt: &Attempt,
        customer: &CustomerId,
    ) -> Result<Result<Option<Intent>, Trouble>, CommerceError> {
        if let Some(name) = self.intent_of(attempt) {
            return Ok(self.payment.read(&name).await.map(Some));
        }
        let method = Method::parse(&attempt.method).map_err(|_| CommerceError::NotFound("payment method"))?;
        let given_up = self.clock.now().since(attempt.turn_at_ms) > GIVE_UP_MS;
        let (source, owner) = match self.wallet.source(customer, &method).await {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(Err(Trouble::Refused { code: "card_removed".to_owned() })),
            // The provider does not even know the buyer yet, so nothing was asked of it for this purchase.
            Err(CommerceError::Provider(_)) if given_up => return Ok(Ok(None)),
            Err(CommerceError::Provider(_)) => return Ok(Err(Trouble::Busy { retry_after: None })),
            Err(error) => return Err(error),
        };
        let question = self.question(attempt, source, owner)?;
        let charge = question.charge(attempt);
        let asked_before = attempt.state == AttemptState::Unknown;
        if (asked_before && !self.payment.is_sandbox()) || given_up {
            match self.payment.find(&charge).await {
                Ok(None) if given_up => return Ok(Ok(None)),
                Ok(None) => {}
                found => return Ok(found),
            }
        }
        match self.payment.charge(&charge).await {
            Err(Trouble::KeyMet) => match self.payment.find(&charge).await {
                Ok(None) => Ok(Err(Trouble::NoAnswer)),
                found => Ok(found),
            },
            answer => Ok(answer.map(Some)),
        }
    }

    fn question(&self, attempt: &Attempt, source: Source, owner: String) -> Result<Question, CommerceError> {
        let amount = Money::yen(attempt.amount_minor).map_err(|_| CommerceError::Invalid("amount".to_owned()))?;
        debug_assert_eq!(amount.currency(), attempt.currency);
        let return_url = format!("{}/purchases/{}", self.config.public_url, attempt.purchase_id);
        Ok(Question { key: attempt.key(), return_url, source, owner, amount })
    }

    /// The provider's name of a payment that it is known to have.
    fn intent_of(&self, attempt: &Attempt) -> Option<String> {
        let made = !matches!(attempt.state, AttemptState::Created | AttemptState::Unknown);
        attempt.intent_id.clone().or_else(|| (made && self.payment.is_sandbox()).then(|| attempt.key()))
    }

    /// The provider's word about a payment, whichever way it came.
    pub(super) async fn heard(
        &self,
        attempt: &Attempt,
        intent: Intent,
        by: By,
    ) -> Result<Option<Purchase>, CommerceError> {
        let ttl = if intent.method.as_deref() == Some("konbini") { SLOW_ACTION } else { self.config.action_ttl };
        let learned = Learned::of(intent, self.clock.now().plus(ttl));
        self.settle(attempt, learned, by).await
    }

    async fn settle(&self, attempt: &Attempt, learned: Learned, by: By) -> Result<Option<Purchase>, CommerceError> {
        let id = &attempt.purchase_id;
        if let Some(input) = learned.input(by) {
            return self.sequencer.learn(id, input, learned).await.map(Some);
        }
        let mut tx = self.db.write("payment learned").await?;
        attempts::learn(&mut tx, &[(id.clone(), learned)], self.clock.now()).await?;
        tx.commit().await?;
        Ok(None)
    }

    async fn never_made(&self, attempt: &Attempt) -> Result<(), CommerceError> {
        tracing::warn!(purchase.id = %attempt.purchase_id, "the provider knows of no payment; it is given up");
        self.settle(attempt, Learned::lost(), By::Provider).await.map(drop)
    }

    async fn in_vain(&self, attempt: &Attempt, trouble: &Trouble) -> Result<(), CommerceError> {
        let id = &attempt.purchase_id;
        let state = match trouble {
            Trouble::NoAnswer | Trouble::KeyMet => AttemptState::Unknown,
            Trouble::Busy { .. } | Trouble::Misconfigured | Trouble::Refused { .. } => AttemptState::Created,
        };
        if *trouble == Trouble::Misconfigured {
            tracing::error!(purchase.id = %id, "the payment provider does not accept our key: nobody can pay");
        } else {
            tracing::warn!(purchase.id = %id, error = %trouble, "payment unknown");
        }
        let mut tx = self.db.write("payment unknown").await?;
        attempts::asked_in_vain(&mut tx, attempt, state, self.clock.now()).await?;
        Ok(tx.commit().await?)
    }

    async fn load(&self, id: &PurchaseId) -> Result<(Purchase, Attempt), CommerceError> {
        let mut tx = self.db.read("payment attempt").await?;
        let purchase = records::find(&mut tx, id).await?.ok_or(CommerceError::NotFound("purchase"))?;
        let attempt = attempts::find(&mut tx, id).await?.ok_or(CommerceError::NotFound("payment attempt"))?;
        Ok((purchase, attempt))
    }

    /// Asks how a payment stands now, and settles the answer; not more often than a page needs.
    pub(super) async fn refresh(&self, id: &PurchaseId) -> Result<(), CommerceError> {
        let (_, attempt) = self.load(id).await?;
        let Some(name) = self.intent_of(&attempt) else { return Ok(()) };
        if self.questions.check(id.as_str()).is_err() {
            return Ok(());
        }
        let intent = self.payment.read(&name).await?;
        self.heard(&attempt, intent, By::Provider).await.map(drop)
    }

    /// What the buyer must do for a payment.
    pub(super) async fn action(&self, id: &PurchaseId) -> Result<Option<Action>, CommerceError> {
        let (purchase, attempt) = self.load(id).await?;
        let name = self.intent_of(&attempt).filter(|_| purchase.state == State::RequiresAction);
        match name {
            Some(name) => {
                self.questions.check(id.as_str())?;
                Ok(self.payment.action(&name).await?)
            }
            None => Ok(None),
        }
    }

    /// Calls a payment off that waits for its buyer; if its money was taken in the same moment, it is paid. Money that is
    /// reserved meanwhile is called off with it.
    pub(super) async fn call_off(&self, attempt: &Attempt, by: By) -> Result<Option<Purchase>, CommerceError> {
        let name = self.intent_of(attempt).ok_or(Refusal::NotCancellable)?;
        if !self.begin_to_let_go(&attempt.purchase_id, |state| state == State::RequiresAction).await? {
            return Ok(None);
        }
        let intent = match self.payment.cancel(&name).await {
            Err(Trouble::Refused { .. }) => self.payment.read(&name).await?,
            answer => answer?,
        };
        self.heard(attempt, intent, by).await
    }

    /// Takes the money of a paid purchase.
    ///
    /// # Errors
    /// [`Refusal::PaymentLapsed`] when there is none any more; [`CommerceError::Provider`].
    pub(super) async fn capture(&self, id: &PurchaseId, amount: Money) -> Result<(), CommerceError> {
        let (_, attempt) = self.load(id).await?;
        let name = self.intent_of(&attempt).ok_or(CommerceError::NotFound("payment"))?;
        let intent = self.payment.capture(&name, amount).await.map_err(|trouble| match trouble {
            Trouble::Refused { .. } => CommerceError::Refused(Refusal::PaymentLapsed),
            other => other.into(),
        })?;
        let taken = intent.status == Status::Captured;
        self.heard(&attempt, intent, By::Provider).await?;
        if taken { Ok(()) } else { Err(Refusal::PaymentLapsed.into()) }
    }

    /// The provider says that something happened to a payment: asks how it stands.
    pub(super) async fn heard_of(&self, intent: &str, event: &str) -> Result<(), CommerceError> {
        let mut tx = self.db.read("payment by its name").await?;
        let known = attempts::find_by_intent(&mut tx, intent).await?;
        drop(tx);
        if known.as_ref().is_some_and(|known| known.state == AttemptState::Returned) {
            // The provider calls money "taken" that it has given back.
            return Ok(());
        }
        let told = attempt::told_by(event).map(AttemptState::rank);
        if known.as_ref().is_some_and(|known| told.is_some_and(|told| told <= known.state.rank())) {
            return Ok(());
        }
        let intent = self.payment.read(intent).await?;
        let attempt = match known {
            Some(attempt) => attempt,
            None => {
                // Its answer was lost; it says itself whose it is.
                let key = intent.attempt.as_deref().and_then(attempts::parse_key);
                let Some((purchase, _)) = key else { return Ok(()) };
                match self.load(&purchase).await {
                    Ok((_, attempt)) => attempt,
                    // Of another shop of the same account.
                    Err(CommerceError::NotFound(_)) => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
        };
        self.heard(&attempt, intent, By::Provider).await.map(drop)
    }

    /// Looks after what has no last word: all of it when `due` is absent.
    async fn reconcile(&self, due: Option<Millis>) {
        let now = self.clock.now();
        let found = async {
            let mut tx = self.db.read("unsettled payments").await?;
            let unsettled = attempts::unsettled(&mut tx, due, RECONCILE_PAGE).await?;
            let too_late = attempts::acted_too_late(&mut tx, now, RECONCILE_PAGE).await?;
            let to_end = attempts::to_end(&mut tx, now, RECONCILE_PAGE).await?;
            Ok::<_, CommerceError>((unsettled, too_late, to_end))
        };
        let (unsettled, too_late, to_end) = match found.await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(error = %error, "reconciler cannot look");
                return;
            }
        };
        for id in unsettled {
            tracing::info!(purchase.id = %id, "asking again about a payment");
            self.soon(&id, None);
        }
        for attempt in too_late {
            let collector = self.clone();
            self.alone(&attempt.purchase_id.clone(), "call off", async move {
                collector.call_off(&attempt, By::Time).await.map(drop)
            });
        }
        for (attempt, tries) in to_end {
            if self.under_way.lock().contains_key(&attempt.purchase_id) {
                continue;
            }
            let collector = self.clone();
            self.alone(
                &attempt.purchase_id.clone(),
                "let money go",
                async move { collector.let_go(&attempt, tries).await },
            );
        }
    }

    /// Runs something about a purchase in a task, unless one is at it already.
    fn alone(
        &self,
        id: &PurchaseId,
        name: &'static str,
        work: impl Future<Output = Result<(), CommerceError>> + Send + 'static,
    ) {
        if !self.ending.lock().insert(id.clone()) {
            return;
        }
        let (collector, id) = (self.clone(), id.clone());
        self.tasks.spawn(name, async move {
            if let Ok(_turn) = collector.turns.acquire().await
                && let Err(error) = work.await
            {
                tracing::warn!(purchase.id = %id, error = %error, task = name, "is tried again");
            }
            collector.ending.lock().remove(&id);
        });
    }

    /// Lets the money go of a purchase that is over; tried again and again until the provider says that it is gone.
    async fn let_go(&self, attempt: &Attempt, tries: i32) -> Result<(), CommerceError> {
        let (purchase, attempt_now) = self.load(&attempt.purchase_id).await?;
        let done = purchase.state.is_paid() || purchase.state == State::Refunded || {
            match self.try_let_go(&purchase, &attempt_now).await {
                Ok(done) => done,
                Err(error) => {
                    tracing::warn!(purchase.id = %purchase.id, error = %error, "money cannot be let go yet");
                    false
                }
            }
        };
        let mut tx = self.db.write("money let go").await?;
        if done {
            attempts::ended(&mut tx, attempt).await?;
        } else {
            let pause_ms = 5_000_i64 << tries.clamp(0, 10);
            attempts::end_later(&mut tx, attempt, Millis(self.clock.now().0 + pause_ms)).await?;
        }
        Ok(tx.commit().await?)
    }

    async fn try_let_go(&self, purchase: &Purchase, attempt: &Attempt) -> Result<bool, CommerceError> {
        let name = match self.intent_of(attempt) {
            Some(name) => name,
            None => match self.look_for(purchase, attempt).await? {
                Some(intent) => {
                    self.heard(attempt, intent.clone(), By::Provider).await?;
                    intent.id
                }
                // Not listed, and too old to be under way.
                None => {
                    let key_lives_ms = if self.payment.is_sandbox() { 0 } else { KEY_LIVES_MS };
                    return Ok(self.clock.now().since(attempt.created_at_ms) > key_lives_ms + LISTED_AFTER_MS);
                }
            },
        };
        // Paid after all: there may be goods again, and then an order.
        let is = self.payment.read(&name).await?;
        if matches!(is.status, Status::Authorized | Status::Captured) {
            let after = self.heard(attempt, is, By::Provider).await?;
            if after.is_some_and(|after| after.state.is_paid()) {
                return Ok(true);
            }
        }
        if !self.begin_to_let_go(&attempt.purchase_id, |state| !state.is_paid()).await? {
            return Ok(true);
        }
        let intent = match self.payment.cancel(&name).await {
            Err(Trouble::Refused { .. }) => self.payment.read(&name).await?,
            answer => answer?,
        };
        match intent.status {
            Status::Cancelled => {
                self.mark(attempt, Learned::of(intent, Millis(0))).await?;
                Ok(true)
            }
            Status::Captured => self.pay_back(attempt, &name, intent.captured_minor).await,
            _ => Ok(false),
        }
    }

    /// See [`attempts::begin_to_let_go`].
    async fn begin_to_let_go(&self, purchase: &PurchaseId, may: impl Fn(State) -> bool) -> Result<bool, CommerceError> {
        let mut tx = self.db.write("let money go").await?;
        let begun = attempts::begin_to_let_go(&mut tx, purchase, may, self.clock.now()).await?;
        tx.commit().await?;
        Ok(begun)
    }

    /// Looks for a payment whose name never arrived.
    async fn look_for(&self, purchase: &Purchase, attempt: &Attempt) -> Result<Option<Intent>, CommerceError> {
        // Only whose it is and its key are looked for: the card may be gone.
        let (source, owner) = (Source::Saved(String::new()), self.wallet.owner(&purchase.customer_id).await?);
        let question = self.question(attempt, source, owner)?;
        Ok(self.payment.find(&question.charge(attempt)).await?)
    }

    /// Pays money back that was taken for a purchase that is over: all of it, once, whoever asks how often.
    async fn pay_back(&self, attempt: &Attempt, intent: &str, captured_minor: i64) -> Result<bool, CommerceError> {
        let amount = Money::yen(captured_minor).map_err(|_| CommerceError::Invalid("amount".to_owned()))?;
        let key = format!("refund:{}:late", attempt.purchase_id);
        let forgotten = self.clock.now().since(attempt.created_at_ms) > KEY_LIVES_MS;
        let known = if forgotten { self.payment.find_refund(intent, &key).await? } else { None };
        if known.is_none() {
            self.payment.refund(intent, amount, &key).await?;
        }
        self.mark(attempt, Learned::state(AttemptState::Returned)).await?;
        Ok(true)
    }

    async fn mark(&self, attempt: &Attempt, learned: Learned) -> Result<(), CommerceError> {
        let mut tx = self.db.write("payment learned").await?;
        attempts::learn(&mut tx, &[(attempt.purchase_id.clone(), learned)], self.clock.now()).await?;
        Ok(tx.commit().await?)
    }
}
