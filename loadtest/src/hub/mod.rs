//! Shell: the cost of the hub against the least that a hub can do, and the hub's truth.
//!
//! Owns the order of measurements: in each round all contenders by turns, each as a process of its own with the same
//! viewers, payloads and rates; then one big room with a storm. What is measured goes through the public API only.

mod bare;
mod big;
mod contender;
pub mod cpu;
mod crowd;
pub mod figures;
pub mod frame;
mod measure;
pub mod picture;
mod report;
mod speak;
mod story;
mod thread;
mod viewer;

use std::path::PathBuf;

use anyhow::{Context, ensure};
use hanamichi::live::Codec;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::server::{self, Database};
use big::Traffic;
use contender::{Ground, Who};
use measure::Load;

pub use bare::{BareArgs, run as run_bare};
pub use report::{Results, as_json, as_table};

/// Events a second of a room where every event is a frame, and of a busy one.
const RATES: [u32; 2] = [10, 50];
/// What happens in the big room every second.
const BIG_ORDERED_PER_S: u32 = 50;
const BIG_CHAT_PER_S: u32 = 200;
/// Files that a process opens besides its viewers' sockets.
const OTHER_FILES: usize = 300;
/// A peer's payload before the product's is known.
const PAYLOAD_BYTES: usize = 400;

/// What to run.
#[derive(Debug, Clone)]
pub struct Size {
    pub viewers: usize,
    pub rounds: usize,
    pub seconds: u64,
    pub codecs: Vec<Codec>,
    pub threads: usize,
    pub bare: bool,
    pub nchan: bool,
    /// Viewers of the big room, when there is one.
    pub big: Option<usize>,
    pub storm: bool,
    pub database: Database,
    pub server: Option<PathBuf>,
}

fn say(what: &str) {
    eprintln!("loadtest: {what}");
}

/// Runs everything.
pub async fn run(size: &Size) -> anyhow::Result<Results> {
    allow_files(size.viewers.max(size.big.unwrap_or(0)) + OTHER_FILES)?;
    let ground = Ground { binary: server::find_binary(size.server.as_deref())?, database: size.database.clone() };
    let load = Load {
        viewers: size.viewers,
        codecs: size.codecs.clone(),
        seconds: size.seconds,
        threads: size.threads,
        rates: RATES.to_vec(),
    };
    let mut whom = vec![Who::Product];
    if size.bare {
        whom.extend([Who::Bare, Who::BareTick]);
    }
    if size.nchan && contender::has_nchan() {
        whom.push(Who::Nchan);
    } else if size.nchan {
        say("nginx with nchan is not installed: it is left out");
    }
    let mut results =
        Results { viewers: size.viewers, seconds: size.seconds, engine: size.database.engine(), ..Results::default() };
    let mut bytes = PAYLOAD_BYTES;
    for n in 1..=size.rounds {
        let mut round = Vec::new();
        for who in &whom {
            say(&format!("round {n} of {}: {} with {} viewers", size.rounds, who.name(), size.viewers));
            let passed = measure::measure(*who, &ground, &load, bytes).await?;
            for case in &passed.cases {
                say(&format!(
                    "  {} events/s: {:.2} us a delivery, {:.2} us an event, p99 {:.1} ms",
                    case.rate,
                    case.us_per_delivery(),
                    case.us_per_event(),
                    case.p99_ms.unwrap_or_default()
                ));
            }
            if *who == Who::Product
                && let Some(case) = passed.cases.first()
            {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a frame is small")]
                let mean = case.frame_bytes.round() as usize;
                bytes = mean;
            }
            round.push(passed);
        }
        results.rounds.push(round);
    }
    if let Some(viewers) = size.big {
        let traffic = Traffic { ordered_per_s: BIG_ORDERED_PER_S, chat_per_s: BIG_CHAT_PER_S, storm: size.storm };
        let storm = if size.storm { ", then a storm" } else { "" };
        say(&format!(
            "a room of {viewers}: {BIG_ORDERED_PER_S} ordered events and {BIG_CHAT_PER_S} lines a second{storm}"
        ));
        let room = big::run(&ground, &Load { viewers, ..load }, traffic).await.context("the big room")?;
        results.room = Some(room);
    }
    Ok(results)
}

/// Raises the limit on open files as far as is needed; the processes that are started inherit it.
pub fn allow_files(needed: usize) -> anyhow::Result<()> {
    let needed = needed as u64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if let Some(maximum) = maximum {
        ensure!(
            needed <= maximum,
            "a process may open {maximum} files here, and {needed} are needed: ask for fewer viewers"
        );
    }
    if current.is_some_and(|current| current < needed) {
        // As many as there may be: what a server needs besides is its own business.
        setrlimit(Resource::Nofile, Rlimit { current: maximum.or(Some(needed)), maximum })?;
    }
    Ok(())
}
