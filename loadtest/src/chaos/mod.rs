//! Shell: hours of scripted chaos, and whether everybody was told the truth all the time.
//!
//! Owns the order: an episode in which things go wrong while people pin, ask and buy; then everybody rests, and within
//! five seconds every viewer must have the picture that a newcomer is shown and that REST tells.

mod actors;
mod nodes;
mod plan;
mod report;
mod truth;
mod viewer;
mod witness;

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::Context;
use hanamichi::live::Codec;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{
    client,
    server::{self, Database},
    shop::{self, Shop},
};
use actors::Cast;
use nodes::{Ground, Nodes};
use plan::{Act, Dice, Episode, Manner, Plan};
use report::{Row, Seen};
use viewer::{Memory, Person, Told, remember};

pub use report::{Results, as_json, as_table};

/// Everybody agrees within this after an episode.
const CALM: Duration = Duration::from_secs(5);
/// How often it is looked whether they do.
const LOOK_EVERY: Duration = Duration::from_millis(150);
/// Everybody is in the room for the first time within this.
const ENTER_WITHIN: Duration = Duration::from_secs(60);
/// Units on the shelf at first: few, so that the goods are sold out again and again.
const UNITS: i64 = 20;
/// Faults of one look kept one by one.
const MAX_FAULTS: usize = 8;

/// What to run.
#[derive(Debug, Clone)]
pub struct Size {
    pub seconds: u64,
    pub seed: u64,
    pub viewers: usize,
    pub buyers: usize,
    pub nodes: usize,
    pub redis: Option<String>,
    pub database: Database,
    pub server: Option<PathBuf>,
}

fn say(what: &str) {
    eprintln!("loadtest: {what}");
}

/// The whole scene.
struct Scene {
    nodes: Nodes,
    shop: Arc<Shop>,
    cast: Cast,
    memories: Vec<Memory>,
    tell: Vec<watch::Sender<Told>>,
    _viewers: JoinSet<()>,
    /// Orders that were given to viewers.
    told: u64,
    kills: u64,
}

/// Runs until the time is over; at least one episode.
pub async fn run(size: &Size) -> anyhow::Result<Results> {
    let mut dice = Dice::new(size.seed);
    let mut plan = Plan::new(dice.split(), size.viewers, size.nodes);
    say(&format!("{} nodes, {} viewers, seed {}", size.nodes, size.viewers, size.seed));
    let mut scene = Scene::set(size, &mut dice).await?;
    let mut results = Results {
        seed: size.seed,
        viewers: size.viewers,
        nodes: size.nodes,
        engine: if size.nodes > 1 { "postgres" } else { size.database.engine() },
        ..Results::default()
    };
    let began = Instant::now();
    while results.rows.is_empty() || began.elapsed() < Duration::from_secs(size.seconds) {
        let episode = plan.draw();
        let (row, faults) = scene.play(&episode).await.with_context(|| episode.kind.name())?;
        say(&format!(
            "{:>6} s  {:<11} {} acts, {} kills, agreed in {} ms, {} faults",
            began.elapsed().as_secs(),
            episode.kind.name(),
            row.acts,
            row.kills,
            row.calm_ms,
            row.faults
        ));
        results.rows.entry(episode.kind).or_default().add(&row);
        results.faults.extend(faults.into_iter().map(|fault| format!("{}: {fault}", episode.kind.name())));
    }
    results.seconds = began.elapsed().as_secs();
    scene.conclude(&mut results)?;
    Ok(results)
}

impl Scene {
    async fn set(size: &Size, dice: &mut Dice) -> anyhow::Result<Self> {
        let http = client::http()?;
        let ground = Ground {
            binary: server::find_binary(size.server.as_deref())?,
            database: size.database.clone(),
            nodes: size.nodes,
            redis: size.redis.clone(),
        };
        let nodes = Nodes::start(&ground, &http).await?;
        let shop = Arc::new(Shop::open(&http, nodes.first(), UNITS).await?);
        let buyers = shop::sign_up(&http, &nodes.first().base, size.buyers).await?;
        let cast = Cast::new(&shop, nodes.bases(), buyers, dice);
        let addresses = nodes.addresses()?;
        let (mut memories, mut tell, mut viewers) = (Vec::new(), Vec::new(), JoinSet::new());
        for n in 0..size.viewers {
            let (sender, told) = watch::channel(Told { number: 0, manner: None });
            let person = Person {
                nodes: Arc::clone(&addresses),
                live: shop.live.clone(),
                codec: Codec::ALL[n % Codec::ALL.len()],
                node: (n / Codec::ALL.len()) % size.nodes,
                killed: Arc::clone(&nodes.killed),
            };
            let memory = Memory::default();
            viewers.spawn(viewer::watch(person, Arc::clone(&memory), told, dice.split()));
            memories.push(memory);
            tell.push(sender);
        }
        let mut scene = Self { nodes, shop, cast, memories, tell, _viewers: viewers, told: 0, kills: 0 };
        scene.until_inside().await?;
        Ok(scene)
    }

    async fn until_inside(&mut self) -> anyhow::Result<()> {
        let all = async {
            while !self.memories.iter().all(|memory| remember(memory, |witness| witness.is_inside())) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(ENTER_WITHIN, all).await.context("not everybody could come in")
    }

    fn seen(&self) -> (Seen, u64) {
        let (mut seen, mut faults) = (Seen::default(), 0);
        for memory in &self.memories {
            remember(memory, |witness| {
                seen.ordered += witness.ordered;
                seen.lost += witness.lost;
                seen.repeated += witness.repeated;
                seen.back += witness.back;
                seen.jumps += witness.jumps;
                seen.excused += witness.excused;
                seen.behind += witness.behind;
                seen.resumed += witness.resumed;
                seen.snapshots += witness.mirror.snapshots;
                faults += witness.fault_count();
            });
        }
        (seen, faults)
    }

    /// One episode, and the calm after it.
    async fn play(&mut self, episode: &Episode) -> anyhow::Result<(Row, Vec<String>)> {
        let ((before, faults_before), kills_before) = (self.seen(), self.kills);
        self.cast.begin();
        self.perform(episode).await?;
        self.cast.rest().await?;
        let began = Instant::now();
        let wrong = self.agree().await?;
        let (after, faults_after) = self.seen();
        let mut faults: Vec<String> = wrong;
        for memory in &self.memories {
            faults.extend(remember(memory, |witness| std::mem::take(&mut witness.faults)));
        }
        if let Some(node) = self.nodes.fallen()? {
            faults.push(format!("node {node} ended by itself"));
        }
        let counted = faults_after - faults_before;
        if counted > 0 && faults.is_empty() {
            faults.push(format!("{counted} events were lost or came twice"));
        }
        let row = Row {
            episodes: 1,
            acts: episode.acts.len() as u64,
            kills: self.kills - kills_before,
            seen: after.since(before),
            calm_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            faults: counted.max(faults.len() as u64),
        };
        Ok((row, faults))
    }

    /// Lets everything happen at its time, and waits until nobody misbehaves any more.
    async fn perform(&mut self, episode: &Episode) -> anyhow::Result<()> {
        let began = Instant::now();
        let mut over = began + episode.length;
        // A viewer that reads nothing hears of the next order when it is done with the last.
        let mut free = vec![began; self.tell.len()];
        let Self { nodes, tell, told, kills, .. } = self;
        let telling = async {
            for (at, act) in &episode.acts {
                let Act::Tell { viewer, manner } = *act else { continue };
                sleep_until(began + *at).await;
                *told += 1;
                tell[viewer].send_replace(Told { number: *told, manner: Some(manner) });
                if let Manner::Pause { length } | Manner::Drip { length } = manner {
                    free[viewer] = free[viewer].max(began + *at) + length;
                    over = over.max(free[viewer]);
                }
            }
        };
        let killing = async {
            for (at, act) in &episode.acts {
                let Act::Kill { node, down } = *act else { continue };
                sleep_until(began + *at).await;
                *kills += 1;
                nodes.kill(node, down).await?;
            }
            anyhow::Ok(())
        };
        let ((), killed) = tokio::join!(telling, killing);
        killed?;
        sleep_until(over).await;
        Ok(())
    }

    /// Waits until everybody agrees; what is wrong when they do not in time.
    async fn agree(&self) -> anyhow::Result<Vec<String>> {
        let by = Instant::now() + CALM;
        let bases = self.nodes.bases();
        loop {
            let mut wrong = truth::compare(&self.shop, &bases, &self.memories).await?;
            if wrong.is_empty() || Instant::now() >= by {
                if wrong.len() > MAX_FAULTS {
                    let more = wrong.len() - MAX_FAULTS;
                    wrong.truncate(MAX_FAULTS);
                    wrong.push(format!("and {more} more beliefs"));
                }
                return Ok(wrong);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn conclude(&self, results: &mut Results) -> anyhow::Result<()> {
        let deeds = &self.cast.deeds;
        results.deeds = [
            ("pins", &deeds.pins),
            ("unpins", &deeds.unpins),
            ("questions", &deeds.questions),
            ("votes and answers", &deeds.moves),
            ("lines", &deeds.lines),
            ("purchases", &deeds.bought),
            ("deliveries", &deeds.deliveries),
            ("refusals", &deeds.refused),
            ("requests unanswered", &deeds.unanswered),
        ]
        .map(|(name, count)| (name, count.load(Relaxed)))
        .to_vec();
        results.faults.extend(deeds.faults());
        let epochs = self.memories.iter().map(|memory| remember(memory, |witness| witness.epochs.clone()));
        results.epochs = epochs.flatten().collect::<BTreeSet<_>>().len();
        // A room that a bus keeps outlives its nodes; one that a node keeps does not.
        let most = if results.nodes > 1 { 1 } else { 1 + self.kills };
        if results.epochs as u64 > most {
            results.faults.push(format!("{} epochs, where {most} have a reason", results.epochs));
        }
        results.faults.extend(self.nodes.verify()?);
        Ok(())
    }
}
