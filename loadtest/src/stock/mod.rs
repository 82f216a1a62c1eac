//! Shell: durable purchases of one SKU against naive SQL, from the sequencer alone to whole purchases.
//!
//! Owns the order of the run: product and peers take turns, so that a machine that drifts hits all alike; every
//! measurement has an empty database of its own, whose books are read afterwards. Does not judge speed.

mod audit;
pub mod cluster;
mod disk;
mod doors;
mod ground;
mod keepalive;
mod naive;
mod report;
mod sequenced;
mod shelf;
pub(crate) mod times;
mod verify;
mod watcher;

use std::{
    fmt::Write,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context;
use hanamichi::store::Db;

pub use ground::{Engine, Ground};
pub use report::{Results, as_json, as_table};

use audit::Told;
use doors::{Door, Market};
use ground::Fresh;
use naive::Design;
use report::{COMPARED, Run, number};
use sequenced::House;

/// Units on the shelf where there is enough for everybody.
const AMPLE: i64 = 1_000_000_000;
/// Units on the shelf for each buyer where there is not.
const SCARCE: usize = 5;
/// How long the disk is measured.
const FLUSHING: Duration = Duration::from_secs(1);
/// The share of the measured rate at which arrivals come by the clock.
const HALF: f64 = 0.5;
/// Who wants the last unit, when there is such a figure among the asked ones.
const SELL_OUT_BUYERS: usize = 2_000;

/// What is asked of the run.
#[derive(Debug)]
pub struct Size {
    pub buyers: Vec<usize>,
    pub length: Duration,
    pub rounds: usize,
    pub engines: Vec<Engine>,
    pub naive_connections: Vec<usize>,
    /// Buyers at the server's doors; nobody when absent.
    pub http_buyers: Option<usize>,
    /// The server's binary; `hanamichi` beside this program when absent.
    pub server: Option<PathBuf>,
    /// A PostgreSQL server to use instead of one of our own.
    pub postgres: Option<String>,
}

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Disk,
    Naive(Design, usize),
    Closed(Engine, usize),
    Half(Engine),
    SellOut(Engine, usize),
    Doors(Engine, usize),
}

/// A round: product and peers by turns, then what builds on their figures.
fn round(size: &Size) -> Vec<Case> {
    let peers = if size.engines.contains(&Engine::Postgres) { &size.naive_connections[..] } else { &[] };
    let naive = peers.iter().flat_map(|count| Design::ALL.map(|design| Case::Naive(design, *count)));
    let ours = size.buyers.iter().flat_map(|buyers| size.engines.iter().map(|engine| Case::Closed(*engine, *buyers)));
    let mut cases = vec![Case::Disk];
    cases.extend(by_turns(naive.collect(), ours.collect()));
    cases.extend(size.engines.iter().map(|engine| Case::Half(*engine)));
    if let Some(buyers) = sell_out_buyers(&size.buyers) {
        cases.extend(size.engines.iter().map(|engine| Case::SellOut(*engine, buyers)));
    }
    if let Some(buyers) = size.http_buyers {
        cases.extend(size.engines.iter().map(|engine| Case::Doors(*engine, buyers)));
    }
    cases
}

/// Both lists in their order, spread over each other.
fn by_turns<T>(first: Vec<T>, second: Vec<T>) -> Vec<T> {
    let (many, few) = (first.len(), second.len());
    let placed = |n: usize, of: usize, later: usize| (2 * n + 1) * many.max(1) * few.max(1) / of.max(1) * 2 + later;
    let mut all: Vec<(usize, T)> = first.into_iter().enumerate().map(|(n, one)| (placed(n, many, 0), one)).collect();
    all.extend(second.into_iter().enumerate().map(|(n, one)| (placed(n, few, 1), one)));
    all.sort_by_key(|(place, _)| *place);
    all.into_iter().map(|(_, one)| one).collect()
}

/// 2,000, or the middle of the asked figures.
fn sell_out_buyers(asked: &[usize]) -> Option<usize> {
    if asked.contains(&SELL_OUT_BUYERS) {
        return Some(SELL_OUT_BUYERS);
    }
    let mut sorted = asked.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

fn say(what: &str) {
    eprintln!("loadtest: {what}");
}

/// Measures everything that is asked for. What cannot be measured ends the run and is among its reasons, beside what
/// was measured before it.
pub async fn run(size: &Size) -> anyhow::Result<Results> {
    let server = match size.http_buyers {
        Some(_) => Some(crate::server::find_binary(size.server.as_deref())?),
        None => None,
    };
    say("preparing the databases");
    let peers = size.naive_connections.iter().max().copied().unwrap_or_default();
    let ground = Ground::prepare(&size.engines, size.postgres.as_deref(), peers).await?;
    let mut bench = Bench {
        size,
        ground,
        server,
        results: Results { seconds: size.length.as_secs_f64(), rounds: size.rounds, ..Results::default() },
    };
    for n in 1..=size.rounds {
        for case in round(size) {
            let began = Instant::now();
            let said = match bench.measure(case).await {
                Ok(said) => said,
                Err(error) => {
                    bench.results.faults.reasons.push(format!("the run could not be finished: {case:?}: {error:#}"));
                    return Ok(bench.results);
                }
            };
            say(&format!("{n}/{}  {said}  ({:.1} s)", size.rounds, began.elapsed().as_secs_f64()));
        }
    }
    Ok(bench.results)
}

/// The run as far as it is.
struct Bench<'a> {
    size: &'a Size,
    ground: Ground,
    server: Option<PathBuf>,
    results: Results,
}

impl Bench<'_> {
    /// Measures one case; what came of it, in words.
    async fn measure(&mut self, case: Case) -> anyhow::Result<String> {
        let fresh = match case {
            Case::Disk => return self.flush(),
            Case::Naive(..) => self.ground.fresh(Engine::Postgres).await?,
            Case::Closed(engine, _) | Case::Half(engine) | Case::SellOut(engine, _) | Case::Doors(engine, _) => {
                self.ground.fresh(engine).await?
            }
        };
        let said = match case {
            Case::Disk => String::new(),
            Case::Naive(design, connections) => self.naive(&fresh, design, connections).await?,
            Case::Closed(engine, buyers) => self.closed(&fresh, engine, buyers).await?,
            Case::Half(engine) => self.half(&fresh, engine).await?,
            Case::SellOut(engine, buyers) => self.sell_out(&fresh, engine, buyers).await?,
            Case::Doors(engine, buyers) => self.doors(&fresh, engine, buyers).await?,
        };
        self.ground.discard(fresh).await?;
        Ok(said)
    }

    fn flush(&mut self) -> anyhow::Result<String> {
        let rate = disk::flushes_per_s(self.ground.folder(), FLUSHING)?;
        self.results.fsync_per_s.push(rate);
        Ok(format!("disk: {rate:.0} flushes/s"))
    }

    async fn naive(&mut self, fresh: &Fresh, design: Design, connections: usize) -> anyhow::Result<String> {
        let figures = naive::sell(&fresh.url, design, connections, self.size.length).await?;
        self.results.naive.entry((design, connections)).or_default().push(figures);
        Ok(format!("naive {}, {connections} connections: {:.0}/s", design.name(), figures.per_s))
    }

    async fn closed(&mut self, fresh: &Fresh, engine: Engine, buyers: usize) -> anyhow::Result<String> {
        let house = House::open(&fresh.url, AMPLE).await?;
        let selling = sequenced::sell(&house, buyers, self.size.length);
        let (sold, connections) = self.ground.counting(fresh, selling).await?;
        let (figures, refused) = (sold.figures, sold.refused);
        self.close(house, &sold.told, &format!("{}, {buyers} buyers", engine.name())).await?;
        self.results.runs.entry((engine, buyers)).or_default().push(Run { figures, refused, connections });
        Ok(format!(
            "{}, {buyers} buyers: {}/s, p99 {} ms",
            engine.name(),
            number(Some(figures.per_s)),
            number(figures.p99_ms)
        ))
    }

    async fn half(&mut self, fresh: &Fresh, engine: Engine) -> anyhow::Result<String> {
        let compared = if self.size.buyers.contains(&COMPARED) { Some(&COMPARED) } else { self.size.buyers.first() };
        let measured = compared.and_then(|buyers| self.results.runs.get(&(engine, *buyers))?.last());
        let full = measured.context("no rate was measured before")?.figures.per_s;
        let house = House::open(&fresh.url, AMPLE).await?;
        let sold = sequenced::arrive(&house, full * HALF, self.size.length).await?;
        let figures = sold.figures;
        self.close(house, &sold.told, &format!("{}, half load", engine.name())).await?;
        self.results.half_load.entry(engine).or_default().push(figures);
        Ok(format!(
            "{}, arrivals at half of it: {}/s, p99 {} ms",
            engine.name(),
            number(Some(figures.per_s)),
            number(figures.p99_ms)
        ))
    }

    async fn sell_out(&mut self, fresh: &Fresh, engine: Engine, buyers: usize) -> anyhow::Result<String> {
        let units = i64::try_from(buyers * SCARCE)?;
        let house = House::open(&fresh.url, units).await?;
        let (sold_out, told) = sequenced::sell_out(&house, buyers).await?;
        self.close(house, &told, &format!("{}, sell-out", engine.name())).await?;
        let promised = i64::try_from(told.promised.len())?;
        if promised + told.unknown < units {
            let reason = format!("{}: sold out after {promised} of {units} units", engine.name());
            self.results.faults.unexplained(units - promised - told.unknown, reason);
        }
        self.results.sold_out.entry((engine, buyers)).or_default().push(sold_out);
        Ok(format!(
            "{}, sold out under {buyers} buyers: {} refusals, p99 {} ms, all told after {} ms",
            engine.name(),
            sold_out.refusals,
            number(sold_out.p99_ms),
            number(sold_out.told_all_ms)
        ))
    }

    async fn close(&mut self, house: std::sync::Arc<House>, told: &Told, run: &str) -> anyhow::Result<()> {
        let faults = house.close(told).await?;
        self.results.faults.add(run, faults);
        Ok(())
    }

    async fn doors(&mut self, fresh: &Fresh, engine: Engine, buyers: usize) -> anyhow::Result<String> {
        let binary = self.server.as_deref().context("no server to measure")?;
        let market = Market::open(binary, &fresh.url, buyers).await?;
        let (mut told, mut said) = (Told::default(), format!("{}, {buyers} buyers pay:", engine.name()));
        for door in Door::ALL {
            let passed = market.sell(door, self.size.length, &mut told).await.with_context(|| door.name())?;
            self.results.doors.entry((engine, door, buyers)).or_default().push(passed);
            let (per_s, p99_ms) = (number(Some(passed.purchases_per_s)), number(passed.paid_p99_ms));
            // Writing to a text cannot fail.
            let _ = write!(said, " {} {per_s}/s, p99 {p99_ms} ms;", door.name());
        }
        let sale = market.close().await?;
        let run = format!("{}, whole purchases", engine.name());
        match verify::verify(binary, &fresh.url).await {
            Ok(faults) => self.results.faults.add(&run, faults),
            // Not a clean bill, and no reason to lose what was measured.
            Err(error) => self.results.faults.reasons.push(format!("{run}: not verified: {error:#}")),
        }
        let db = Db::connect(&fresh.url).await?;
        let books = audit::read(&db).await?;
        db.close().await;
        self.results.faults.add(&run, audit::compare(&books, &told, &sale.sku, sale.units));
        Ok(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(engines: Vec<Engine>) -> Size {
        Size {
            buyers: vec![256, 2_000],
            length: Duration::from_secs(1),
            rounds: 1,
            engines,
            naive_connections: vec![1, 256],
            http_buyers: Some(64),
            server: None,
            postgres: None,
        }
    }

    #[test]
    fn product_and_peers_take_turns() {
        let cases = round(&size(vec![Engine::Postgres, Engine::Sqlite]));
        let is_peer: Vec<bool> = cases.iter().skip(1).take(8).map(|case| matches!(case, Case::Naive(..))).collect();
        assert_eq!(is_peer, [true, false, true, false, true, false, true, false]);
        assert_eq!(cases[0], Case::Disk);
        assert!(cases.contains(&Case::SellOut(Engine::Sqlite, 2_000)));
        assert_eq!(cases.last(), Some(&Case::Doors(Engine::Sqlite, 64)));
    }

    #[test]
    fn peers_need_postgres() {
        let cases = round(&size(vec![Engine::Sqlite]));
        assert!(!cases.iter().any(|case| matches!(case, Case::Naive(..) | Case::Closed(Engine::Postgres, _))));
    }

    #[test]
    fn lists_of_unequal_length_are_spread() {
        assert_eq!(by_turns(vec![1, 2, 3, 4], vec![10, 20]), [1, 10, 2, 3, 20, 4]);
        assert_eq!(by_turns(vec![], vec![1, 2]), [1, 2]);
    }

    #[test]
    fn the_sell_out_has_the_middle_figure() {
        assert_eq!(sell_out_buyers(&[256, 2_000, 10_000]), Some(2_000));
        assert_eq!(sell_out_buyers(&[32, 8, 16]), Some(16));
        assert_eq!(sell_out_buyers(&[]), None);
    }
}
