//! Shell: the product's sequencer in this process, and buyers who tap without a network between.
//!
//! Owns how such buyers behave: each taps again as soon as there is an answer ([`sell`]), or they arrive by the clock
//! ([`arrive`]), or all want what is too little ([`sell_out`]). Every tap has a key of its own; a full queue is asked
//! again under the same key. Does not judge what they were told.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use hanamichi::{
    bus::{Bus, Relay},
    clock::Clock,
    commerce::{CommerceError, Delivery, PlaceOrder, Refusal, Sequencer, SequencerConfig, Slow, Wish},
    ids::{CustomerId, PurchaseId},
    store::Db,
    tasks::Tasks,
};
use tokio::task::JoinSet;

use super::{
    audit::{self, Faults, Told},
    shelf::{self, PRICE, Shelf},
    times::{Figures, Times, Window},
};

/// Customers of a run; buyers tap for them in turn.
const CUSTOMERS: usize = 20_000;
/// Nothing expires during a run.
const HOLD_TTL: Duration = Duration::from_secs(24 * 3_600);
/// Who found the queue full comes back after this.
const QUEUE_PAUSE: Duration = Duration::from_millis(20);
/// A buyer gives up after so many taps that came to nothing in a row.
const MAX_FAILURES: u32 = 20;
/// A digest as text.
const DIGEST_CHARS: usize = 64;
/// Who arrives by the clock is sent in at such a tick.
const TICK: Duration = Duration::from_millis(1);
/// Taps under way when arrivals come faster than answers; more are not sent.
const MAX_UNDER_WAY: usize = 100_000;
/// After the sell-out everybody tries so many times more, with such a pause before each.
const TRIES_AFTER: u32 = 4;
const PAUSE_AFTER: Duration = Duration::from_millis(50);

/// A sequencer over a database of its own.
pub struct House {
    db: Db,
    tasks: Tasks,
    sequencer: Sequencer,
    shelf: Shelf,
    units: i64,
}

/// What some buyers did, together.
#[derive(Debug, Default)]
struct Tally {
    times: Times,
    told: Told,
    /// Taps that found the queue full, or nothing left.
    refused: u64,
    /// Taps that found nothing left, and the times of those that began when their buyer knew.
    refusals: usize,
    refusal_times: Times,
    /// When the last unit was promised, and when the last buyer first heard that nothing is left.
    last_sale: Option<Instant>,
    last_told: Option<Instant>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.times.append(other.times);
        self.told.promised.extend(other.told.promised);
        self.told.unknown += other.told.unknown;
        self.refused += other.refused;
        self.refusals += other.refusals;
        self.refusal_times.append(other.refusal_times);
        self.last_sale = self.last_sale.max(other.last_sale);
        self.last_told = self.last_told.max(other.last_told);
    }
}

/// A measured run and what it leaves to compare with the books.
#[derive(Debug)]
pub struct Sold {
    pub figures: Figures,
    pub refused: u64,
    pub told: Told,
}

/// A sell-out.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SoldOut {
    pub refusals: usize,
    /// Of the taps that began after the sell-out.
    pub p99_ms: Option<f64>,
    /// From the promise of the last unit until everybody has heard.
    pub told_all_ms: Option<f64>,
}

/// What one tap came to.
enum Answer {
    Promised(PurchaseId),
    SoldOut,
    /// The answer was lost; the words say why.
    Unknown(String),
}

impl House {
    /// Opens it in an empty database with so many units on the shelf.
    pub async fn open(url: &str, units: i64) -> anyhow::Result<Arc<Self>> {
        let db = Db::connect(url).await?;
        db.migrate().await?;
        let (clock, tasks) = (Clock::system(), Tasks::new());
        let shelf = shelf::stock_up(&db, clock.now(), units, CUSTOMERS).await?;
        let relay = Relay::new(db.clone(), Bus::local(clock.clone()), clock.clone());
        relay.start(&tasks);
        let config = SequencerConfig { hold_ttl: HOLD_TTL, ..SequencerConfig::default() };
        let sequencer = Sequencer::start(db.clone(), clock, relay, config, &tasks);
        Ok(Arc::new(Self { db, tasks, sequencer, shelf, units }))
    }

    /// Stops it and compares its books with what the buyers were told.
    pub async fn close(self: Arc<Self>, told: &Told) -> anyhow::Result<Faults> {
        self.tasks.stop().await;
        let books = audit::read(&self.db).await?;
        self.db.close().await;
        Ok(audit::compare(&books, told, self.shelf.sku.as_str(), self.units))
    }

    fn order(&self, id: &PurchaseId, customer: &CustomerId) -> PlaceOrder {
        let Shelf { offer, sku, .. } = &self.shelf;
        PlaceOrder {
            id: id.clone(),
            customer: customer.clone(),
            key: id.as_str().to_owned(),
            body_hash: "0".repeat(DIGEST_CHARS),
            wishes: vec![Wish { offer: offer.clone(), sku: sku.clone(), qty: 1, seen_price_minor: PRICE }],
            partial: false,
            delivery: Delivery::default(),
            sheet_hash: "0".repeat(DIGEST_CHARS),
            sheet: "{}".to_owned(),
            method: None,
            slow: Slow::Refused,
            demo: false,
        }
    }

    fn customer(&self, n: usize) -> CustomerId {
        self.shelf.customers[n % self.shelf.customers.len()].clone()
    }

    /// One tap of one customer, until it has its answer; counts how often the queue was full.
    async fn tap(&self, n: usize, refused: &mut u64) -> anyhow::Result<Answer> {
        let (id, customer) = (PurchaseId::fresh(), self.customer(n));
        loop {
            match self.sequencer.place(self.order(&id, &customer)).await {
                Ok(purchase) => return Ok(Answer::Promised(purchase.id)),
                Err(CommerceError::QueueFull { .. }) => {
                    *refused += 1;
                    tokio::time::sleep(QUEUE_PAUSE).await;
                }
                Err(CommerceError::Refused(Refusal::SoldOut)) => return Ok(Answer::SoldOut),
                Err(error @ (CommerceError::Unknown | CommerceError::Store(_))) => {
                    return Ok(Answer::Unknown(error.to_string()));
                }
                Err(error) => return Err(error).context("a tap was refused that must not be"),
            }
        }
    }
}

async fn joined(mut buying: JoinSet<anyhow::Result<Tally>>) -> anyhow::Result<Tally> {
    let mut all = Tally::default();
    while let Some(done) = buying.join_next().await {
        all.add(done.context("a buyer fell over")??);
    }
    Ok(all)
}

/// So many buyers, each taps again as soon as there is an answer.
pub async fn sell(house: &Arc<House>, buyers: usize, length: Duration) -> anyhow::Result<Sold> {
    let window = Window::after_warm_up(length);
    let mut buying = JoinSet::new();
    for n in 0..buyers {
        buying.spawn(go_on(house.clone(), n, buyers, window));
    }
    let all = joined(buying).await?;
    ensure!(all.times.len() > 0, "no buyer had an answer");
    Ok(Sold { figures: all.times.figures(window.seconds()), refused: all.refused, told: all.told })
}

async fn go_on(house: Arc<House>, mut n: usize, step: usize, window: Window) -> anyhow::Result<Tally> {
    let (mut tally, mut failures) = (Tally::default(), 0);
    let mut began = Instant::now();
    while began < window.to {
        let answer = house.tap(n, &mut tally.refused).await?;
        let now = Instant::now();
        match answer {
            Answer::Promised(purchase) => {
                failures = 0;
                tally.told.promised.push(purchase.into());
                if window.holds(now) {
                    tally.times.push(now - began);
                }
            }
            Answer::SoldOut => tally.refused += 1,
            Answer::Unknown(error) => {
                tally.told.unknown += 1;
                failures += 1;
                ensure!(failures < MAX_FAILURES, "{failures} taps in a row had no answer: {error}");
            }
        }
        n += step;
        began = now;
    }
    Ok(tally)
}

/// So many arrivals a second, whether there are answers or not. Latency counts from when each should have arrived, so
/// waiting for the tick is in it.
pub async fn arrive(house: &Arc<House>, per_s: f64, length: Duration) -> anyhow::Result<Sold> {
    let began = Instant::now();
    let window = Window::after_warm_up(length);
    let mut ticks = tokio::time::interval(TICK);
    let (mut buying, mut all, mut sent) = (JoinSet::new(), Tally::default(), 0_u32);
    while Instant::now() < window.to {
        ticks.tick().await;
        while let Some(done) = buying.try_join_next() {
            all.add(done.context("a buyer fell over")??);
        }
        loop {
            let due = began + Duration::from_secs_f64(f64::from(sent) / per_s);
            if due > Instant::now() || buying.len() >= MAX_UNDER_WAY {
                break;
            }
            buying.spawn(once(house.clone(), sent as usize, due, window));
            sent += 1;
        }
    }
    all.add(joined(buying).await?);
    ensure!(all.times.len() > 0, "no buyer had an answer");
    Ok(Sold { figures: all.times.figures(window.seconds()), refused: all.refused, told: all.told })
}

async fn once(house: Arc<House>, n: usize, due: Instant, window: Window) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    match house.tap(n, &mut tally.refused).await? {
        Answer::Promised(purchase) => {
            tally.told.promised.push(purchase.into());
            // By arrival: what is late must not drop out because the window closed before it.
            if window.holds(due) {
                tally.times.push(due.elapsed());
            }
        }
        Answer::SoldOut => tally.refused += 1,
        Answer::Unknown(_) => tally.told.unknown += 1,
    }
    Ok(tally)
}

/// So many buyers take what there is, and all hear that nothing is left.
pub async fn sell_out(house: &Arc<House>, buyers: usize) -> anyhow::Result<(SoldOut, Told)> {
    let mut buying = JoinSet::new();
    for n in 0..buyers {
        buying.spawn(until_sold_out(house.clone(), n, buyers));
    }
    let mut all = joined(buying).await?;
    let took = all.last_sale.zip(all.last_told).map(|(sold, told)| told.saturating_duration_since(sold));
    let sold_out = SoldOut {
        refusals: all.refusals,
        p99_ms: all.refusal_times.percentile_ms(99.0),
        told_all_ms: took.map(|took| took.as_secs_f64() * 1_000.0),
    };
    Ok((sold_out, all.told))
}

async fn until_sold_out(house: Arc<House>, mut n: usize, step: usize) -> anyhow::Result<Tally> {
    let (mut tally, mut failures, mut after) = (Tally::default(), 0, 0);
    loop {
        let began = Instant::now();
        let answer = house.tap(n, &mut tally.refused).await?;
        let now = Instant::now();
        n += step;
        match answer {
            Answer::Promised(purchase) => {
                tally.told.promised.push(purchase.into());
                tally.last_sale = Some(now);
            }
            Answer::SoldOut => {
                tally.refusals += 1;
                if after > 0 {
                    tally.refusal_times.push(now - began);
                }
                tally.last_told.get_or_insert(now);
                if after == TRIES_AFTER {
                    return Ok(tally);
                }
                after += 1;
                tokio::time::sleep(PAUSE_AFTER).await;
            }
            Answer::Unknown(error) => {
                tally.told.unknown += 1;
                failures += 1;
                ensure!(failures < MAX_FAILURES, "{failures} taps had no answer: {error}");
            }
        }
    }
}
