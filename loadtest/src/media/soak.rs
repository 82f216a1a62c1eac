//! Shell: a live for hours: viewers come and go, some without a word, and the publisher is killed and comes back.
//!
//! Owns the order of things; what is said of them in the end is `endurance.rs`. Everybody goes through WHIP and WHEP only.
//! Invariant: whoever vanished is gone from the server after [`FORGOTTEN_AFTER`].

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use reqwest::StatusCode;

use super::{
    contender::{Forwarder, Product, STREAMS, Who},
    crowd::{Crowd, Name},
    endurance::Endurance,
    publisher::Stream,
    say,
    transport::Identity,
    viewer::Depth,
};
use crate::{hub, server};

/// How often somebody comes, goes, and is looked after.
const STEP: Duration = Duration::from_millis(500);
/// Viewers who come in a step while there are too few.
const JOINS: usize = 4;
/// Everybody opens every packet for as long as there are few.
const MAX_FULL: usize = 50;
/// A viewer is silent for 30 s before the server takes it for gone.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(40);
/// A publisher that is killed is back after these, by turns: before the server notices, and long after.
const AWAY: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(8)];
/// Memory is looked at so often, at most so many times.
const WEIGHED_EVERY: Duration = Duration::from_secs(5);
const PICTURE_WITHIN: Duration = Duration::from_secs(20);
const SETTLE: Duration = Duration::from_millis(1_500);
const OTHER_FILES: usize = 2_000;

/// What to run.
#[derive(Debug, Clone)]
pub struct Size {
    pub length: Duration,
    pub viewers: usize,
    /// A publisher lives so long.
    pub publisher_lives: Duration,
    /// Every so manieth viewer that goes vanishes; 0 for none.
    pub vanish_every: u64,
    pub server: Option<PathBuf>,
}

struct Guest {
    name: Name,
    session: String,
}

struct Live {
    server: Arc<Forwarder>,
    identity: Identity,
    crowd: Crowd,
    guests: VecDeque<Guest>,
    /// Sessions of those who vanished, and when.
    vanished: VecDeque<(Instant, String)>,
    publisher: Option<Name>,
    /// When the publisher dies, or comes back.
    turn: Instant,
    found: Endurance,
}

/// Runs it.
pub async fn run(size: &Size) -> anyhow::Result<Endurance> {
    hub::allow_files(size.viewers + OTHER_FILES)?;
    let binary = server::find_binary(size.server.as_deref())?;
    let server = Arc::new(Forwarder::start(Who::Product, &binary).await?);
    let now = Instant::now();
    let mut live = Live {
        server,
        identity: Identity::fresh()?,
        crowd: Crowd::new()?,
        guests: VecDeque::new(),
        vanished: VecDeque::new(),
        publisher: None,
        turn: now + size.publisher_lives,
        found: Endurance::new(size.viewers),
    };
    live.publish().await?;
    live.server.until_on_air(&live.identity).await?;
    say(&format!("{} viewers for {:?}, a publisher for {:?}", size.viewers, size.length, size.publisher_lives));
    let (began, mut next_weight, mut next_word) = (Instant::now(), now, now + Duration::from_secs(60));
    while began.elapsed() < size.length {
        tokio::time::sleep(STEP).await;
        live.step(size).await?;
        if Instant::now() >= next_weight {
            next_weight += WEIGHED_EVERY;
            live.found.weigh(began.elapsed(), server::rss_kib(live.server.pid()));
        }
        if Instant::now() >= next_word {
            next_word += Duration::from_secs(60);
            say(&format!("  {}", live.found.in_short()));
        }
    }
    live.found.length = began.elapsed();
    live.end().await?;
    Ok(live.found)
}

impl Live {
    fn product(&self) -> anyhow::Result<&Product> {
        let Forwarder::Product(product) = self.server.as_ref() else { bail!("only the product is soaked") };
        Ok(product)
    }

    async fn step(&mut self, size: &Size) -> anyhow::Result<()> {
        if Instant::now() >= self.turn {
            self.turn_publisher(size).await?;
        }
        for _ in 0..JOINS.min(size.viewers.saturating_sub(self.guests.len())) {
            self.join().await?;
        }
        if self.guests.len() >= size.viewers {
            let is_silent = size.vanish_every > 0 && self.found.left.is_multiple_of(size.vanish_every);
            self.leave(is_silent).await?;
        }
        self.look_after_vanished().await
    }

    async fn publish(&mut self) -> anyhow::Result<()> {
        let (seat, own, remote) = self.server.publish(&self.identity).await?;
        let stream = Stream { ssrcs: STREAMS, spread: Duration::ZERO, slowed_by: 1 };
        self.publisher = Some(self.crowd.publish(seat, &self.identity, (own, remote), stream)?);
        self.found.publishers += 1;
        Ok(())
    }

    /// Dies without a word, or comes back.
    async fn turn_publisher(&mut self, size: &Size) -> anyhow::Result<()> {
        match self.publisher.take() {
            Some(publisher) => {
                self.crowd.leave(publisher).await?;
                self.turn = Instant::now() + AWAY[usize::from(self.found.publishers.is_multiple_of(2))];
            }
            None => {
                self.publish().await?;
                self.turn = Instant::now() + size.publisher_lives;
            }
        }
        Ok(())
    }

    async fn join(&mut self) -> anyhow::Result<()> {
        let entry = self.server.watch(&self.identity).await?;
        let depth = if self.guests.len() < MAX_FULL { Depth::Full { pretends: false } } else { Depth::Sample };
        let name = self.crowd.watch(entry.seat, &self.identity, (entry.own, entry.remote), depth, entry.posted)?;
        self.guests.push_back(Guest { name, session: entry.session });
        self.found.joined += 1;
        Ok(())
    }

    /// Whoever is here longest goes.
    async fn leave(&mut self, is_silent: bool) -> anyhow::Result<()> {
        let Some(Guest { name, session }) = self.guests.pop_front() else { return Ok(()) };
        let seen = self.crowd.leave(name).await?.context("a viewer that was never there")?;
        self.found.note(seen);
        if is_silent {
            self.found.vanished += 1;
            self.vanished.push_back((Instant::now(), session));
        } else {
            let status = self.product()?.delete(&session).await?;
            self.found.refused += u64::from(!status.is_success());
        }
        Ok(())
    }

    /// The server has forgotten who vanished long ago.
    async fn look_after_vanished(&mut self) -> anyhow::Result<()> {
        while self.vanished.front().is_some_and(|(at, _)| at.elapsed() > FORGOTTEN_AFTER) {
            let Some((_, session)) = self.vanished.pop_front() else { break };
            let status = self.product()?.delete(&session).await?;
            self.found.left_over += u64::from(status != StatusCode::NOT_FOUND);
        }
        Ok(())
    }

    /// Everybody goes, and nobody is left.
    async fn end(&mut self) -> anyhow::Result<()> {
        if self.publisher.is_none() {
            self.publish().await?;
        }
        self.crowd.until_all_watch(PICTURE_WITHIN).await.or_else(|error| {
            self.found.faults.push(format!("{error:#}"));
            anyhow::Ok(())
        })?;
        tokio::time::sleep(SETTLE).await;
        while !self.guests.is_empty() {
            self.leave(false).await?;
        }
        while !self.vanished.is_empty() {
            tokio::time::sleep(STEP).await;
            self.look_after_vanished().await?;
        }
        Ok(())
    }
}
