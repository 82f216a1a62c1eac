//! Shell: a big room in full swing, and the storm in it: everybody is cut at once and comes back at once.
//!
//! Events and chat go on while people return. Invariant: everybody who was in the room comes back to their position and
//! is given what they missed, each ordered event once; nobody is given a snapshot instead.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{
    contender::{Contender, Ground, Product},
    cpu::Cost,
    crowd::{Crowd, Report},
    figures::float,
    measure::{ENTER_WITHIN, Load, SAMPLE},
    picture,
    speak::{self, Said},
    story::{Epoch, Ledger},
};
use crate::{client, shop};

/// Everybody is back within this, or the run fails.
const BACK_WITHIN: Duration = Duration::from_secs(60);
/// The room warms up.
const WARM_UP: Duration = Duration::from_secs(2);
/// After a storm the room goes on for a while.
const AFTERWARDS: Duration = Duration::from_secs(2);
/// Viewers that are not cut, so that the newest event is known all the time.
const STEADY: usize = 2;

/// How much happens.
#[derive(Debug, Clone, Copy)]
pub struct Traffic {
    pub ordered_per_s: u32,
    pub chat_per_s: u32,
    pub storm: bool,
}

/// What came of the room.
#[derive(Debug, Clone, Default)]
pub struct Room {
    pub viewers: u64,
    pub traffic: Option<Traffic>,
    pub published: u64,
    pub said: Said,
    pub frames: u64,
    pub events: u64,
    pub seconds: f64,
    pub cpu_us: f64,
    /// What the crowd and who talks cost, on the same processors.
    pub crowd_cpu_us: f64,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub asked_p99_ms: Option<f64>,
    pub chat_p50_ms: Option<f64>,
    pub chat_p99_ms: Option<f64>,
    pub lost: u64,
    pub repeated: u64,
    pub jumps: u64,
    pub storm: Option<Storm>,
    pub faults: Vec<String>,
}

/// What came of the storm.
#[derive(Debug, Clone, Default)]
pub struct Storm {
    pub viewers: u64,
    pub seconds: f64,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub max_ms: Option<f64>,
    pub failures: u64,
    pub us_per_return: f64,
    pub lost: u64,
    pub repeated: u64,
    pub jumps: u64,
}

/// Fills a big room, lets it live, and cuts it.
pub async fn run(ground: &Ground, load: &Load, traffic: Traffic) -> anyhow::Result<Room> {
    let product = Product::start(&ground.binary, &ground.database).await?;
    let customers = shop::sign_up(&client::http()?, &product.process.base, speak::CUSTOMERS).await?;
    let customers = customers.iter().map(|customer| picture::plan(&product, &customer.cookie)).collect();
    let liver = picture::plan(&product, &product.shop.liver.cookie);
    let pids = vec![product.process.pid()];

    let ledger = Arc::new(Ledger::new(Epoch::begin()));
    let (mut steady, mut crowd) = (Crowd::new(1, &ledger)?, Crowd::new(load.threads, &ledger)?);
    let ways = product.ways(&load.codecs)?;
    steady.enter(ways.clone(), STEADY, 0, ENTER_WITHIN).await?;
    crowd.enter(ways, load.viewers, SAMPLE.min(load.viewers), ENTER_WITHIN).await?;

    let (stop, stopped) = watch::channel(false);
    let mut contender = Contender::Product(Box::new(product));
    let script = async {
        let result = live(&crowd, &pids, load, traffic).await;
        // Whoever waits for the end learns of it also when something failed.
        stop.send_replace(true);
        result
    };
    let (mut room, published, said) = tokio::try_join!(
        script,
        publish(&mut contender, &ledger, traffic.ordered_per_s, stopped.clone()),
        speak::talk(liver, customers, traffic.chat_per_s, stopped),
    )?;
    (room.published, room.said) = (published, said);
    crowd.until_quiet().await;
    let seen = crowd.report().await?;
    room.note(&seen);
    room.faults = ledger.faults();
    if let Contender::Product(product) = &contender {
        room.faults.extend(picture::check(product, &seen, ledger.head()).await?);
    }
    Ok(room)
}

async fn publish(
    contender: &mut Contender,
    ledger: &Arc<Ledger>,
    per_s: u32,
    mut stop: watch::Receiver<bool>,
) -> anyhow::Result<u64> {
    let mut tick = tokio::time::interval(Duration::from_secs(1) / per_s.max(1));
    let mut published = 0;
    loop {
        tokio::select! {
            _ = tick.tick() => {
                contender.publish(0, ledger).await?;
                published += 1;
            }
            _ = stop.changed() => break,
        }
    }
    contender.settle().await?;
    Ok(published)
}

async fn live(crowd: &Crowd, pids: &[u32], load: &Load, traffic: Traffic) -> anyhow::Result<Room> {
    use std::sync::atomic::Ordering::Relaxed;
    let mut room = Room { viewers: crowd.size(), traffic: Some(traffic), ..Room::default() };
    tokio::time::sleep(WARM_UP).await;
    room.note(&crowd.report().await?);
    let counts = &crowd.counts;
    let (frames, events) = (counts.frames.load(Relaxed), counts.events.load(Relaxed));
    let (cost, ours, began) = (Cost::of(pids)?, Cost::of(&[std::process::id()])?, Instant::now());
    tokio::time::sleep(Duration::from_secs(load.seconds)).await;
    (room.cpu_us, room.crowd_cpu_us, room.seconds) =
        (cost.spent_us()?, ours.spent_us()?, began.elapsed().as_secs_f64());
    room.frames = counts.frames.load(Relaxed) - frames;
    room.events = counts.events.load(Relaxed) - events;
    let seen = crowd.report().await?;
    room.note(&seen);
    (room.p50_ms, room.p99_ms) = (seen.ordered.percentile_ms(50.0), seen.ordered.percentile_ms(99.0));
    (room.chat_p50_ms, room.chat_p99_ms) = (seen.chat.percentile_ms(50.0), seen.chat.percentile_ms(99.0));
    room.asked_p99_ms = seen.asked.percentile_ms(99.0);
    if traffic.storm {
        let failures = counts.failures.load(Relaxed);
        let cost = Cost::of(pids)?;
        let took = crowd.storm(BACK_WITHIN).await?;
        let cpu_us = cost.spent_us()?;
        tokio::time::sleep(AFTERWARDS).await;
        let seen = crowd.report().await?;
        room.storm = Some(Storm {
            viewers: crowd.size(),
            seconds: took.as_secs_f64(),
            p50_ms: seen.recovered.percentile_ms(50.0),
            p99_ms: seen.recovered.percentile_ms(99.0),
            max_ms: seen.recovered.percentile_ms(100.0),
            failures: counts.failures.load(Relaxed) - failures,
            us_per_return: cpu_us / float(crowd.size().max(1)),
            lost: seen.lost,
            repeated: seen.repeated,
            jumps: seen.jumps,
        });
    }
    Ok(room)
}

impl Room {
    fn note(&mut self, seen: &Report) {
        self.lost += seen.lost;
        self.repeated += seen.repeated;
        self.jumps += seen.jumps;
    }
}
