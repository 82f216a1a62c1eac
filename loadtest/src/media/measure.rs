//! Shell: one contender with its viewers: what joining, watching and each packet cost.
//!
//! A packet counts when a viewer got it: picture or sound, each once, not what was sent again. Costs are those of the
//! whole process between two moments of a running stream; everybody has joined before.

use std::{
    net::{IpAddr, Ipv4Addr},
    ops::Range,
    path::PathBuf,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::task::JoinSet;

use super::{
    bare,
    contender::{Bare, Entry, Forwarder, STREAMS, Who},
    crowd::{Crowd, Seat},
    publisher::Stream,
    transport::Identity,
    viewer::{Depth, Seen},
};
use crate::{
    hub::{cpu::Cost, figures::float},
    server::rss_kib,
    verdict::percentile,
};

/// Everybody has a picture within this after the last has asked.
const PICTURE_WITHIN: Duration = Duration::from_secs(20);
/// What is kept for who asks again is full after this, and memory at rest.
const REST: Duration = Duration::from_millis(2_500);
/// Caches and branch predictors warm up.
const WARM_UP: Duration = Duration::from_secs(1);
/// Viewers who look at everything.
const FULL: usize = 4;
/// Offers for the measurement of answers, and how many at once.
const OFFERS: usize = 200;
const OFFERS_AT_ONCE: usize = 8;

/// What is measured with every contender.
#[derive(Debug, Clone)]
pub struct Load {
    pub viewers: usize,
    pub seconds: u64,
    /// From the first packet of a frame to the last.
    pub spread: Duration,
    pub slowed_by: u32,
    /// Viewers who come in a second.
    pub joins_per_s: u32,
    pub binary: PathBuf,
}

/// What was measured with one contender in one round.
#[derive(Debug, Clone)]
pub struct Passed {
    pub who: Who,
    pub viewers: usize,
    pub seconds: f64,
    /// Packets that viewers got while they were counted.
    pub packets: u64,
    pub cpu_us: f64,
    /// What the crowd cost, on the same processors.
    pub crowd_cpu_us: f64,
    pub kib_per_viewer: Option<f64>,
    pub answers_per_s: Option<f64>,
    pub us_per_answer: Option<f64>,
    pub first_ms: Vec<f64>,
    pub first_frame_ms: Vec<f64>,
    pub ages_us: Vec<u64>,
    /// How packets were sealed.
    pub profile: Option<&'static str>,
    pub holes: u64,
    pub lost: u64,
    pub repeated: u64,
    pub disordered: u64,
    pub shifted: u64,
    pub cut: u64,
    pub damaged: u64,
    pub opened: u64,
    pub pretended: u64,
    pub resent: u64,
    /// Datagrams that the crowd's own sockets had no room for.
    pub overflown: u64,
    pub faults: Vec<String>,
}

impl Passed {
    pub fn new(who: Who, viewers: usize) -> Self {
        Self {
            who,
            viewers,
            seconds: 0.0,
            packets: 0,
            cpu_us: 0.0,
            crowd_cpu_us: 0.0,
            kib_per_viewer: None,
            answers_per_s: None,
            us_per_answer: None,
            first_ms: Vec::new(),
            first_frame_ms: Vec::new(),
            ages_us: Vec::new(),
            profile: None,
            holes: 0,
            lost: 0,
            repeated: 0,
            disordered: 0,
            shifted: 0,
            cut: 0,
            damaged: 0,
            opened: 0,
            pretended: 0,
            resent: 0,
            overflown: 0,
            faults: Vec::new(),
        }
    }

    /// The whole process, a packet that a viewer got.
    pub fn us_per_packet(&self) -> f64 {
        self.cpu_us / float(self.packets.max(1))
    }

    /// How many viewers of this stream a whole processor would serve.
    pub fn viewers_per_core(&self) -> f64 {
        float(self.viewers as u64) * self.seconds * 1e6 / self.cpu_us.max(1.0)
    }

    /// The milliseconds that so many percent of the first packets took at most.
    pub fn first_ms(&self, percent: f64) -> Option<f64> {
        percentile(&self.first_ms, percent)
    }

    /// The same of the first whole keyframes.
    pub fn first_frame_ms(&self, percent: f64) -> Option<f64> {
        percentile(&self.first_frame_ms, percent)
    }

    /// The age in milliseconds that so many percent of the packets did not exceed.
    pub fn latency_ms(&self, percent: f64) -> Option<f64> {
        let ages: Vec<f64> = self.ages_us.iter().map(|us| float(*us) / 1_000.0).collect();
        percentile(&ages, percent)
    }

    /// Watches the running stream.
    async fn watch(&mut self, crowd: &Crowd, pid: u32, seconds: u64) -> anyhow::Result<()> {
        tokio::time::sleep(WARM_UP).await;
        crowd.counts.timed.store(true, Relaxed);
        let (cost, ours) = (Cost::of(&[pid])?, Cost::of(&[std::process::id()])?);
        let (began, before) = (Instant::now(), crowd.counts.packets.load(Relaxed));
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        self.packets = crowd.counts.packets.load(Relaxed) - before;
        (self.cpu_us, self.crowd_cpu_us, self.seconds) =
            (cost.spent_us()?, ours.spent_us()?, began.elapsed().as_secs_f64());
        crowd.counts.timed.store(false, Relaxed);
        self.note(crowd.settled().await?);
        self.overflown = crowd.overflown();
        Ok(())
    }

    fn note(&mut self, all: Vec<Seen>) {
        for seen in all {
            self.first_ms.extend(seen.first_ms);
            self.first_frame_ms.extend(seen.first_frame_ms);
            self.ages_us.extend(seen.ages_us);
            self.profile = self.profile.or(seen.profile);
            self.holes += seen.holes;
            self.lost += seen.lost + seen.hidden;
            self.repeated += seen.repeated;
            self.disordered += seen.disordered;
            self.shifted += seen.shifted;
            self.cut += seen.cut;
            self.damaged += seen.damaged;
            self.opened += seen.opened;
            self.pretended += seen.pretended;
            self.resent += seen.resent;
            self.faults.extend(seen.failure);
        }
        // Every viewer whose stream broke would say the same.
        self.faults.dedup();
        self.faults.truncate(10);
    }
}

/// Starts a contender, lets everybody in and measures it.
pub async fn measure(who: Who, load: &Load, identity: &Identity) -> anyhow::Result<Passed> {
    match who {
        Who::Product | Who::Janus => forwarder(who, load, identity).await,
        Who::Bare | Who::BareGso => loop_of(who, load).await,
    }
    .with_context(|| who.name())
}

async fn loop_of(who: Who, load: &Load) -> anyhow::Result<Passed> {
    let mut crowd = Crowd::new()?;
    let mut ports = Vec::with_capacity(load.viewers);
    for _ in 0..load.viewers {
        let seat = Seat::take(IpAddr::from(Ipv4Addr::LOCALHOST))?;
        ports.push(seat.address.port());
        crowd.take(seat, bare::TYPES)?;
    }
    let bare = Bare::start(who, &ports, load.spread)?;
    crowd.until_all_watch(PICTURE_WITHIN).await?;
    let mut passed = Passed::new(who, load.viewers);
    passed.watch(&crowd, bare.pid(), load.seconds).await?;
    passed.first_ms.clear();
    Ok(passed)
}

async fn forwarder(who: Who, load: &Load, identity: &Identity) -> anyhow::Result<Passed> {
    let server = Arc::new(Forwarder::start(who, &load.binary).await?);
    let mut crowd = Crowd::new()?;
    let (seat, own, remote) = server.publish(identity).await?;
    let stream = Stream { ssrcs: STREAMS, spread: load.spread, slowed_by: load.slowed_by };
    crowd.publish(seat, identity, (own, remote), stream)?;
    server.until_on_air(identity).await?;
    let mut passed = Passed::new(who, load.viewers);
    enter(&mut passed, &server, &mut crowd, load, identity).await?;
    passed.watch(&crowd, server.pid(), load.seconds).await?;
    // A slowed stream is not one whose cost anybody wants to know.
    if who == Who::Product && load.slowed_by == 1 {
        answers(&mut passed, &server, identity).await?;
    }
    Ok(passed)
}

/// Fills the room. Memory is taken three times: what a server has left from its start may hide what the first half
/// needs, but not what the second half does.
async fn enter(
    passed: &mut Passed,
    server: &Arc<Forwarder>,
    crowd: &mut Crowd,
    load: &Load,
    identity: &Identity,
) -> anyhow::Result<()> {
    let half = load.viewers / 2;
    let mut weights = vec![rss_kib(server.pid())];
    for places in [0..half, half..load.viewers] {
        join(server, crowd, places, load, identity).await?;
        crowd.until_all_watch(PICTURE_WITHIN).await?;
        tokio::time::sleep(REST).await;
        weights.push(rss_kib(server.pid()));
    }
    let grown = |from: u64, by: usize| float(weights[2].saturating_sub(from)) / float(by.max(1) as u64);
    let kib = grown(weights[0], load.viewers).max(grown(weights[1], load.viewers - half));
    passed.kib_per_viewer = Some(kib);
    Ok(())
}

/// Does the viewer at this place look at everything? Those who do are spread over all: some are served early, some late.
fn is_full(place: usize, viewers: usize) -> bool {
    let full = FULL.min(viewers);
    (0..full).any(|n| n * (viewers - 1) / (full - 1).max(1) == place)
}

/// Lets viewers in, one by one at a pace; nobody waits for the one before.
async fn join(
    server: &Arc<Forwarder>,
    crowd: &mut Crowd,
    mut places: Range<usize>,
    load: &Load,
    identity: &Identity,
) -> anyhow::Result<()> {
    let viewers = load.viewers;
    let mut pace = tokio::time::interval(Duration::from_secs(1) / load.joins_per_s);
    let mut asking: JoinSet<anyhow::Result<(usize, Entry)>> = JoinSet::new();
    let mut left = places.len();
    while left > 0 {
        tokio::select! {
            biased;
            Some(entered) = asking.join_next() => {
                let (place, entry) = entered??;
                // Janus was never seen to answer such requests, and what does not come again counts as lost.
                let pretends = matches!(server.as_ref(), Forwarder::Product(_));
                let depth = if is_full(place, viewers) { Depth::Full { pretends } } else { Depth::Sample };
                crowd.watch(entry.seat, identity, (entry.own, entry.remote), depth, entry.posted)?;
                left -= 1;
            }
            _ = pace.tick(), if !places.is_empty() => {
                let (server, identity) = (Arc::clone(server), identity.clone());
                if let Some(place) = places.next() {
                    asking.spawn(async move { Ok((place, server.watch(&identity).await?)) });
                }
            }
        }
    }
    Ok(())
}

/// How fast offers are answered, while the stream goes on.
async fn answers(passed: &mut Passed, server: &Arc<Forwarder>, identity: &Identity) -> anyhow::Result<()> {
    let Forwarder::Product(product) = server.as_ref() else { return Ok(()) };
    let stream = passed.cpu_us / passed.seconds.max(0.001);
    let cost = Cost::of(&[server.pid()])?;
    let began = Instant::now();
    let mut asking = JoinSet::new();
    let mut sessions = Vec::with_capacity(OFFERS);
    for _ in 0..OFFERS {
        if asking.len() == OFFERS_AT_ONCE
            && let Some(answered) = asking.join_next().await
        {
            sessions.push(answered?);
        }
        let (server, identity) = (Arc::clone(server), identity.clone());
        asking.spawn(async move { server.watch(&identity).await.map(|entry| entry.session) });
    }
    while let Some(answered) = asking.join_next().await {
        sessions.push(answered?);
    }
    let took = began.elapsed().as_secs_f64();
    let cpu_us = cost.spent_us()? - stream * took;
    passed.answers_per_s = Some(float(OFFERS as u64) / took.max(1e-6));
    passed.us_per_answer = Some(cpu_us.max(0.0) / float(OFFERS as u64));
    for session in sessions {
        product.end(&session?).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_look_at_everything_are_spread_over_the_room() {
        let full = |viewers| (0..viewers).filter(|place| is_full(*place, viewers)).collect::<Vec<_>>();
        assert_eq!(full(200), [0, 66, 132, 199]);
        assert_eq!((full(1), full(2), full(3)), (vec![0], vec![0, 1], vec![0, 1, 2]));
    }

    #[test]
    fn costs_are_those_of_a_packet_that_somebody_got() {
        let cost = Passed { packets: 46_000, cpu_us: 460_000.0, seconds: 1.0, ..Passed::new(Who::Product, 200) };
        assert!((cost.us_per_packet() - 10.0).abs() < 1e-9 && (cost.viewers_per_core() - 434.78).abs() < 0.01);
        assert_eq!((cost.first_ms(50.0), cost.latency_ms(99.0)), (None, None));
    }
}
