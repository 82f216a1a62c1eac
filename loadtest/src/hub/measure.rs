//! Shell: one contender with its viewers: what joining, sitting there and each delivery cost.
//!
//! A delivery is one frame that one viewer received. Costs are counted from silence to silence: from before the first
//! event until the last viewer has the last frame, so that nothing is left out or counted to the wrong case.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use anyhow::Context;
use hanamichi::live::Codec;

use super::{
    contender::{Contender, Ground, Who},
    cpu::Cost,
    crowd::{Crowd, Report},
    figures::float,
    picture,
    story::{Epoch, Ledger},
};
use crate::server::rss_kib;

/// Caches and branch predictors warm up.
const WARM_UP: Duration = Duration::from_secs(1);
/// A crowd has come in within this.
pub const ENTER_WITHIN: Duration = Duration::from_secs(120);
/// A room that nobody joins any more is at rest after this: counts are told once a second.
const REST: Duration = Duration::from_millis(1_500);
/// Threads that the server needed for its start (passwords are hashed there) end when they were idle for ten seconds, and
/// give back so much memory that a room of thousands would not show.
const GIVEN_BACK: Duration = Duration::from_secs(13);
/// Viewers that keep a whole picture, to be compared with the truth.
pub const SAMPLE: usize = 100;
/// How long the making of events is measured.
const MAKING: Duration = Duration::from_secs(2);

/// What is measured with every contender.
#[derive(Debug, Clone)]
pub struct Load {
    pub viewers: usize,
    pub codecs: Vec<Codec>,
    pub seconds: u64,
    pub threads: usize,
    /// Events a second, one case each.
    pub rates: Vec<u32>,
}

/// What one rate cost.
#[derive(Debug, Clone, Default)]
pub struct Case {
    pub rate: u32,
    /// Events that were published.
    pub published: u64,
    pub viewers: u64,
    /// Frames that were received, over all viewers.
    pub frames: u64,
    /// Mean payload of a frame.
    pub frame_bytes: f64,
    pub seconds: f64,
    pub cpu_us: f64,
    /// What the crowd cost, on the same processors.
    pub crowd_cpu_us: f64,
    /// Of the server's, what the same events cost with one viewer: SQL, HTTP, encoding. Nothing for peers.
    pub making_us: f64,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub asked_p50_ms: Option<f64>,
    pub asked_p99_ms: Option<f64>,
}

impl Case {
    /// The whole process, a frame that a viewer received.
    pub fn us_per_delivery(&self) -> f64 {
        self.cpu_us / float(self.frames.max(1))
    }

    /// The whole process, an event that a viewer received.
    pub fn us_per_event(&self) -> f64 {
        self.cpu_us / float((self.published * self.viewers).max(1))
    }

    /// Without the making of the events.
    pub fn fan_out_us_per_delivery(&self) -> f64 {
        (self.cpu_us - self.making_us).max(0.0) / float(self.frames.max(1))
    }

    /// Without the making of the events, an event that a viewer received.
    pub fn fan_out_us_per_event(&self) -> f64 {
        (self.cpu_us - self.making_us).max(0.0) / float((self.published * self.viewers).max(1))
    }
}

/// What was measured with one contender in one round.
#[derive(Debug, Clone)]
pub struct Passed {
    pub who: Who,
    pub upgrades_per_s: f64,
    pub us_per_upgrade: f64,
    pub kib_idle: f64,
    pub kib_after: f64,
    pub cases: Vec<Case>,
    pub lost: u64,
    pub repeated: u64,
    pub jumps: u64,
    pub faults: Vec<String>,
}

/// One contender, measured.
pub struct Ring<'a> {
    contender: &'a mut Contender,
    crowd: &'a Crowd,
    ledger: &'a Arc<Ledger>,
    /// Payload of a peer's message.
    bytes: usize,
}

impl Ring<'_> {
    /// Publishes at a rate; gives how many events those were.
    async fn publish(&mut self, rate: u32, length: Duration) -> anyhow::Result<u64> {
        let every = Duration::from_secs(1) / rate.max(1);
        let mut tick = tokio::time::interval(every);
        let events = length.as_nanos() / every.as_nanos();
        for _ in 0..events {
            tick.tick().await;
            self.contender.publish(self.bytes, self.ledger).await?;
        }
        self.contender.settle().await?;
        self.crowd.until_quiet().await;
        Ok(u64::try_from(events)?)
    }

    /// Measures one rate.
    async fn case(&mut self, rate: u32, length: Duration) -> anyhow::Result<(Case, Report)> {
        let counts = &self.crowd.counts;
        let before = (counts.frames.load(Relaxed), counts.bytes.load(Relaxed));
        let (cost, ours) = (Cost::of(&self.contender.pids())?, Cost::of(&[std::process::id()])?);
        let began = Instant::now();
        let published = self.publish(rate, length).await?;
        let (cpu_us, crowd_cpu_us, seconds) = (cost.spent_us()?, ours.spent_us()?, began.elapsed().as_secs_f64());
        let frames = self.crowd.counts.frames.load(Relaxed) - before.0;
        let bytes = self.crowd.counts.bytes.load(Relaxed) - before.1;
        let seen = self.crowd.report().await?;
        let case = Case {
            rate,
            published,
            viewers: self.crowd.size(),
            frames,
            frame_bytes: float(bytes) / float(frames.max(1)),
            seconds,
            cpu_us,
            crowd_cpu_us,
            making_us: 0.0,
            p50_ms: seen.ordered.percentile_ms(50.0),
            p99_ms: seen.ordered.percentile_ms(99.0),
            asked_p50_ms: seen.asked.percentile_ms(50.0),
            asked_p99_ms: seen.asked.percentile_ms(99.0),
        };
        Ok((case, seen))
    }
}

/// What an event costs at each rate when there is one viewer.
async fn making(contender: &mut Contender, load: &Load) -> anyhow::Result<Vec<f64>> {
    let ledger = Arc::new(Ledger::new(Epoch::begin()));
    let mut crowd = Crowd::new(1, &ledger)?;
    crowd.enter(contender.ways(&load.codecs)?, 1, 0, ENTER_WITHIN).await?;
    let mut ring = Ring { contender, crowd: &crowd, ledger: &ledger, bytes: 0 };
    ring.publish(10, WARM_UP).await?;
    let mut costs = Vec::new();
    for rate in &load.rates {
        let (case, _) = ring.case(*rate, MAKING).await?;
        costs.push(case.cpu_us / float(case.published.max(1)));
    }
    Ok(costs)
}

/// What coming in cost.
struct Entered {
    per_s: f64,
    us_each: f64,
    kib_each: f64,
    rss_idle: u64,
}

fn rss(contender: &Contender) -> u64 {
    contender.pids().into_iter().map(rss_kib).sum()
}

/// Fills the room. Memory is taken three times: what a server has left from its start may hide what the first half
/// needs, but not what the second half does.
async fn enter(contender: &Contender, crowd: &mut Crowd, load: &Load, sample: usize) -> anyhow::Result<Entered> {
    tokio::time::sleep(REST).await;
    let ways = contender.ways(&load.codecs)?;
    let half = load.viewers / 2;
    let rss_before = rss(contender);
    let (mut took, mut cpu_us, mut rss_half) = (Duration::ZERO, 0.0, rss_before);
    for (count, sample) in [(half, sample / 2), (load.viewers - half, sample - sample / 2)] {
        rss_half = rss(contender);
        let cost = Cost::of(&contender.pids())?;
        took += crowd.enter(ways.clone(), count, sample.min(count), ENTER_WITHIN).await?;
        cpu_us += cost.spent_us()?;
        tokio::time::sleep(REST).await;
    }
    let grown = |from: u64, by: usize| float(rss(contender).saturating_sub(from)) / float(by.max(1) as u64);
    Ok(Entered {
        per_s: float(crowd.size()) / took.as_secs_f64().max(1e-6),
        us_each: cpu_us / float(crowd.size()),
        kib_each: grown(rss_before, load.viewers).max(grown(rss_half, load.viewers - half)),
        rss_idle: rss(contender),
    })
}

/// Starts a contender, fills it and measures it.
pub async fn measure(who: Who, ground: &Ground, load: &Load, bytes: usize) -> anyhow::Result<Passed> {
    let mut contender =
        Contender::start(who, ground).await.with_context(|| format!("{} does not start", who.name()))?;
    let started = Instant::now();
    let making = if who == Who::Product { making(&mut contender, load).await? } else { vec![0.0; load.rates.len()] };
    if who == Who::Product {
        tokio::time::sleep_until((started + GIVEN_BACK).into()).await;
    }
    let ledger = Arc::new(Ledger::new(Epoch::begin()));
    let mut crowd = Crowd::new(load.threads, &ledger)?;
    let sample = if who == Who::Product { SAMPLE.min(load.viewers) } else { 0 };
    let entered = enter(&contender, &mut crowd, load, sample).await.with_context(|| who.name())?;
    let mut passed = Passed {
        who,
        upgrades_per_s: entered.per_s,
        us_per_upgrade: entered.us_each,
        kib_idle: entered.kib_each,
        kib_after: entered.kib_each,
        cases: Vec::new(),
        lost: 0,
        repeated: 0,
        jumps: 0,
        faults: Vec::new(),
    };
    let mut ring = Ring { contender: &mut contender, crowd: &crowd, ledger: &ledger, bytes };
    let mut seen = Report::default();
    for (rate, making_us) in load.rates.iter().zip(making) {
        ring.publish(*rate, WARM_UP).await?;
        passed.note(&crowd.report().await?);
        let (case, report) = ring.case(*rate, Duration::from_secs(load.seconds)).await?;
        passed.note(&report);
        passed.cases.push(Case { making_us: making_us * float(case.published), ..case });
        seen = report;
    }
    passed.kib_after += float(rss(&contender).saturating_sub(entered.rss_idle)) / float(crowd.size());
    passed.check(&contender, &crowd, &ledger, &seen).await?;
    Ok(passed)
}

impl Passed {
    fn note(&mut self, seen: &Report) {
        self.lost += seen.lost;
        self.repeated += seen.repeated;
        self.jumps += seen.jumps;
    }

    async fn check(
        &mut self,
        contender: &Contender,
        crowd: &Crowd,
        ledger: &Ledger,
        seen: &Report,
    ) -> anyhow::Result<()> {
        self.faults = ledger.faults();
        let failures = crowd.counts.failures.load(Relaxed);
        if failures > 0 {
            self.faults.push(format!("{failures} connections failed"));
        }
        match contender {
            Contender::Product(product) => {
                self.faults.extend(picture::check(product, seen, ledger.head()).await?);
            }
            _ => {
                for case in &self.cases {
                    let expected = case.published * case.viewers;
                    if case.frames != expected {
                        self.faults.push(format!("{} deliveries instead of {expected}", case.frames));
                    }
                }
            }
        }
        Ok(())
    }
}
