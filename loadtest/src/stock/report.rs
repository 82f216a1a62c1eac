//! Pure: what came of the run, as one JSON object and as a table, beside the goals of the product.
//!
//! Invariant: the verdict is of correctness alone; a goal that is not met is said and fails nothing. A figure that was
//! taken several times is the run with the median rate; the others stand beside it.

use std::{collections::BTreeMap, fmt::Write};

use serde_json::{Value, json};

use super::{
    audit::Faults,
    doors::{Door, Passed},
    ground::Engine,
    naive::Design,
    sequenced::SoldOut,
    times::Figures,
};

/// The size at which product and peers are compared.
pub const COMPARED: usize = 256;
/// The crowd.
const CROWD: usize = 10_000;

/// Buyers at the sequencer.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Run {
    pub figures: Figures,
    pub refused: u64,
    pub connections: Option<i64>,
}

/// Everything that was measured; every list has an entry a round.
#[derive(Debug, Default)]
pub struct Results {
    pub seconds: f64,
    pub rounds: usize,
    pub fsync_per_s: Vec<f64>,
    pub naive: BTreeMap<(Design, usize), Vec<Figures>>,
    pub runs: BTreeMap<(Engine, usize), Vec<Run>>,
    pub half_load: BTreeMap<Engine, Vec<Figures>>,
    /// Engine → buyers, and what came of it.
    pub sold_out: BTreeMap<(Engine, usize), Vec<SoldOut>>,
    pub doors: BTreeMap<(Engine, Door, usize), Vec<Passed>>,
    pub faults: Faults,
}

/// What a figure should be.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// A goal, and where we stand: the figure, the peer's of the same run, and what a prototype without a product around
/// it reached on a machine with two cores.
#[derive(Debug, Clone, PartialEq)]
struct Goal {
    what: String,
    figure: Option<f64>,
    peer: Option<f64>,
    limit: Option<f64>,
    bound: Bound,
}

impl Goal {
    fn is_met(&self) -> Option<bool> {
        self.figure.map(|figure| match self.bound {
            Bound::AtLeast(least) => figure >= least,
            Bound::AtMost(most) => figure <= most,
        })
    }

    fn ratio(&self) -> Option<f64> {
        ratio(self.figure, self.peer)
    }

    fn bound(&self) -> String {
        match self.bound {
            Bound::AtLeast(least) => format!("≥ {}", number(Some(least))),
            Bound::AtMost(most) => format!("≤ {}", number(Some(most))),
        }
    }
}

/// The run in the middle; the slower one of two.
fn median<T: Clone>(all: &[T], rate: impl Fn(&T) -> f64) -> Option<T> {
    let mut sorted: Vec<&T> = all.iter().collect();
    sorted.sort_by(|a, b| rate(a).total_cmp(&rate(b)));
    sorted.get(all.len().checked_sub(1)? / 2).map(|middle| (*middle).clone())
}

fn ratio(figure: Option<f64>, peer: Option<f64>) -> Option<f64> {
    figure.zip(peer.filter(|peer| *peer > 0.0)).map(|(figure, peer)| figure / peer)
}

impl Results {
    fn naive(&self, design: Design, connections: usize) -> Option<Figures> {
        median(self.naive.get(&(design, connections))?, |figures| figures.per_s)
    }

    fn run(&self, engine: Engine, buyers: usize) -> Option<Run> {
        median(self.runs.get(&(engine, buyers))?, |run| run.figures.per_s)
    }

    fn door(&self, engine: Engine, door: Door) -> Option<Passed> {
        let (_, passed) = self.doors.iter().find(|((e, d, _), _)| (*e, *d) == (engine, door))?;
        median(passed, |passed| passed.purchases_per_s)
    }

    /// The better of the peers with so many connections.
    fn peer(&self, connections: usize) -> Option<Figures> {
        let both = Design::ALL.into_iter().filter_map(|design| self.naive(design, connections));
        both.max_by(|a, b| a.per_s.total_cmp(&b.per_s))
    }

    /// The best of the peers with any.
    fn best_peer(&self) -> Option<Figures> {
        let all = self.naive.keys().filter_map(|(design, connections)| self.naive(*design, *connections));
        all.max_by(|a, b| a.per_s.total_cmp(&b.per_s))
    }

    fn ratio_to_naive(&self) -> Option<f64> {
        let ours = self.run(Engine::Postgres, COMPARED).map(|run| run.figures.per_s);
        ratio(ours, self.peer(COMPARED).map(|peer| peer.per_s))
    }

    fn ratio_to_best_naive(&self) -> Option<f64> {
        let ours = self.run(Engine::Postgres, COMPARED).map(|run| run.figures.per_s);
        ratio(ours, self.best_peer().map(|peer| peer.per_s))
    }

    fn is_ok(&self) -> bool {
        let Faults { oversold, lost, unexplained, reasons } = &self.faults;
        (*oversold, *lost, *unexplained) == (0, 0, 0) && reasons.is_empty()
    }

    fn goals(&self) -> Vec<Goal> {
        use Bound::{AtLeast, AtMost};
        use Engine::{Postgres, Sqlite};
        let run = |engine, buyers| self.run(engine, buyers).map(|run| run.figures);
        let per_s = |engine, buyers| run(engine, buyers).map(|figures| figures.per_s);
        let p99 = |engine, buyers| run(engine, buyers).and_then(|figures| figures.p99_ms);
        let peer = self.peer(COMPARED);
        let (peer_per_s, peer_p99) = (peer.map(|peer| peer.per_s), peer.and_then(|peer| peer.p99_ms));
        let best = self.best_peer().map(|peer| peer.per_s);
        let goal = |what: &str, figure, peer, limit, bound| Goal { what: what.to_owned(), figure, peer, limit, bound };
        let paid = self.door(Postgres, Door::Http).map(|passed| passed.purchases_per_s);
        let mut goals = vec![
            goal(
                "reservations/s, 256 buyers, PostgreSQL",
                per_s(Postgres, COMPARED),
                peer_per_s,
                Some(60_000.0),
                AtLeast(20_000.0),
            ),
            goal("· times the naive peer at 256", self.ratio_to_naive(), None, None, AtLeast(40.0)),
            goal("· times the best naive peer", self.ratio_to_best_naive(), None, None, AtLeast(5.0)),
            goal("· p99 ms", p99(Postgres, COMPARED), peer_p99, Some(6.0), AtMost(15.0)),
            goal(
                "reservations/s, 256 buyers, SQLite",
                per_s(Sqlite, COMPARED),
                peer_per_s,
                Some(50_000.0),
                AtLeast(12_000.0),
            ),
        ];
        for (engine, name) in [(Postgres, "PostgreSQL"), (Sqlite, "SQLite")] {
            let what = format!("reservations/s, 10,000 buyers, {name}");
            goals.push(goal(&what, per_s(engine, CROWD), best, Some(86_000.0), AtLeast(20_000.0)));
            goals.push(goal("· p99 ms", p99(engine, CROWD), None, None, AtMost(800.0)));
            let sold_out = self.sold_out.iter().find(|((e, _), _)| *e == engine);
            let refused =
                sold_out.and_then(|(_, all)| median(all, |s| s.p99_ms.unwrap_or_default())).and_then(|s| s.p99_ms);
            goals.push(goal(&format!("refused after the sell-out, p99 ms, {name}"), refused, None, None, AtMost(20.0)));
        }
        goals.push(goal("whole purchases/s over HTTP, PostgreSQL", paid, best, None, AtLeast(5_000.0)));
        goals
    }
}

fn rounded(value: Option<f64>) -> Value {
    value.map_or(Value::Null, |value| json!((value * 100.0).round() / 100.0))
}

fn all_rounded<T>(all: &[T], figure: impl Fn(&T) -> f64) -> Vec<Value> {
    all.iter().map(|one| rounded(Some(figure(one)))).collect()
}

/// Everything as one JSON object.
pub fn as_json(results: &Results) -> Value {
    let naive = results.naive.iter().filter_map(|((design, connections), all)| {
        let Figures { per_s, p50_ms, p99_ms } = results.naive(*design, *connections)?;
        Some(json!({
            "design": design.name(), "connections": connections, "buyers": connections, "per_s": rounded(Some(per_s)),
            "p50_ms": rounded(p50_ms), "p99_ms": rounded(p99_ms), "all_per_s": all_rounded(all, |one| one.per_s),
        }))
    });
    let runs = results.runs.iter().filter_map(|((engine, buyers), all)| {
        let Run { figures: Figures { per_s, p50_ms, p99_ms }, refused, connections } = results.run(*engine, *buyers)?;
        Some(json!({
            "engine": engine.name(), "buyers": buyers, "per_s": rounded(Some(per_s)), "p50_ms": rounded(p50_ms),
            "p99_ms": rounded(p99_ms), "refused": refused, "connections": connections,
            "all_per_s": all_rounded(all, |one| one.figures.per_s),
        }))
    });
    let half_load = results.half_load.iter().filter_map(|(engine, all)| {
        let Figures { per_s, p50_ms, p99_ms } = median(all, |one| one.per_s)?;
        Some(json!({
            "engine": engine.name(), "per_s": rounded(Some(per_s)), "p50_ms": rounded(p50_ms), "p99_ms": rounded(p99_ms),
        }))
    });
    let sold_out = results.sold_out.iter().filter_map(|((engine, buyers), all)| {
        let SoldOut { refusals, p99_ms, told_all_ms } = median(all, |one| one.p99_ms.unwrap_or_default())?;
        Some(json!({
            "engine": engine.name(), "buyers": buyers, "refusals": refusals, "p99_ms": rounded(p99_ms),
            "told_all_ms": rounded(told_all_ms),
        }))
    });
    let http = results.doors.iter().filter_map(|((engine, door, buyers), all)| {
        let passed = results.door(*engine, *door)?;
        Some(json!({
            "engine": engine.name(), "door": door.name(), "buyers": buyers,
            "purchases_per_s": rounded(Some(passed.purchases_per_s)),
            "reserve_p50_ms": rounded(passed.reserve_p50_ms), "reserve_p99_ms": rounded(passed.reserve_p99_ms),
            "paid_p50_ms": rounded(passed.paid_p50_ms), "paid_p99_ms": rounded(passed.paid_p99_ms),
            "delayed": passed.delayed, "untold": passed.untold,
            "seen_p50_ms": rounded(passed.seen_p50_ms), "seen_p99_ms": rounded(passed.seen_p99_ms),
            "all_per_s": all_rounded(all, |one| one.purchases_per_s),
        }))
    });
    let goals = results.goals().into_iter().map(|goal| {
        json!({
            "what": goal.what.trim_start_matches("· "), "figure": rounded(goal.figure), "peer": rounded(goal.peer),
            "ratio": rounded(goal.ratio()), "limit": rounded(goal.limit), "goal": goal.bound(), "met": goal.is_met(),
        })
    });
    json!({
        "seconds": results.seconds,
        "rounds": results.rounds,
        "fsync_per_s": rounded(median(&results.fsync_per_s, |rate| *rate)),
        "naive": naive.collect::<Vec<_>>(),
        "runs": runs.collect::<Vec<_>>(),
        "half_load": half_load.collect::<Vec<_>>(),
        "sold_out": sold_out.collect::<Vec<_>>(),
        "http": http.collect::<Vec<_>>(),
        "http_purchases_per_s": rounded(results.door(Engine::Postgres, Door::Http).map(|passed| passed.purchases_per_s)),
        "ratio_to_naive": rounded(results.ratio_to_naive()),
        "ratio_to_best_naive": rounded(results.ratio_to_best_naive()),
        "goals": goals.collect::<Vec<_>>(),
        "oversold": results.faults.oversold,
        "lost": results.faults.lost,
        "unexplained": results.faults.unexplained,
        "verdict": if results.is_ok() { "ok" } else { "failed" },
        "reasons": results.faults.reasons,
    })
}

/// A number for people: whole with commas from a hundred on, two decimals below.
pub fn number(value: Option<f64>) -> String {
    let Some(value) = value else { return "–".to_owned() };
    if value.abs() < 100.0 {
        let text = format!("{value:.2}");
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Everything as lines for people: what was measured, then the goals, then the verdict.
pub fn as_table(results: &Results) -> String {
    let mut table = String::new();
    let mut line = |cells: [&str; 6]| {
        let [what, rate, median, tail, to_peer, to_best] = cells;
        // Writing to a text cannot fail.
        let _ = writeln!(table, "{what:<46}{rate:>11}{median:>11}{tail:>11}{to_peer:>11}{to_best:>13}");
    };
    line(["durable purchases of one SKU", "per s", "p50 ms", "p99 ms", "× naive", "× best naive"]);
    let disk = median(&results.fsync_per_s, |rate| *rate);
    line(["8 KiB append + fdatasync (the disk's limit)", &number(disk), "", "", "", ""]);
    let (peer, best) = (results.peer(COMPARED).map(|p| p.per_s), results.best_peer().map(|p| p.per_s));
    let mut rated = |what: &str, per_s: f64, p50_ms, p99_ms| {
        let per_s = Some(per_s);
        let (to_peer, to_best) = (number(ratio(per_s, peer)), number(ratio(per_s, best)));
        line([what, &number(per_s), &number(p50_ms), &number(p99_ms), &to_peer, &to_best]);
    };
    for (design, connections) in results.naive.keys() {
        if let Some(Figures { per_s, p50_ms, p99_ms }) = results.naive(*design, *connections) {
            rated(&format!("naive {}, {connections} connections", design.name()), per_s, p50_ms, p99_ms);
        }
    }
    for (engine, buyers) in results.runs.keys() {
        if let Some(Run { figures, connections, .. }) = results.run(*engine, *buyers) {
            let used = connections.map(|count| format!(" ({count} connections)")).unwrap_or_default();
            let what = format!("{}, {buyers} buyers{used}", engine.name());
            rated(&what, figures.per_s, figures.p50_ms, figures.p99_ms);
        }
    }
    for (engine, all) in &results.half_load {
        if let Some(Figures { per_s, p50_ms, p99_ms }) = median(all, |one| one.per_s) {
            rated(&format!("{}, arrivals at half of that", engine.name()), per_s, p50_ms, p99_ms);
        }
    }
    for (engine, door, buyers) in results.doors.keys() {
        if let Some(passed) = results.door(*engine, *door) {
            let waits = if passed.delayed > 0 { format!(", {} waits", passed.delayed) } else { String::new() };
            let what = format!("{}, paid through {}, {buyers} buyers{waits}", engine.name(), door.name());
            rated(&what, passed.purchases_per_s, passed.paid_p50_ms, passed.paid_p99_ms);
        }
    }
    for (engine, door, _) in results.doors.keys() {
        if let Some(Passed { seen_p50_ms, seen_p99_ms, .. }) = results.door(*engine, *door) {
            let (p50, p99) = (number(seen_p50_ms), number(seen_p99_ms));
            let (engine, door) = (engine.name(), door.name());
            let _ = writeln!(
                table,
                "{engine}, sold through {door}: another live shows the new stock {p50} ms (p99 {p99} ms) after the answer"
            );
        }
    }
    for ((engine, buyers), all) in &results.sold_out {
        if let Some(out) = median(all, |one| one.p99_ms.unwrap_or_default()) {
            let _ = writeln!(
                table,
                "{}, sold out under {buyers} buyers: {} refusals, p99 {} ms; all had heard after {} ms",
                engine.name(),
                out.refusals,
                number(out.p99_ms),
                number(out.told_all_ms)
            );
        }
    }
    let _ = writeln!(
        table,
        "\n{:<46}{:>11}{:>11}{:>11}{:>11}{:>13}",
        "against the goals", "measured", "peer", "ratio", "prototype", "goal"
    );
    let goals = results.goals();
    for goal in goals.iter().filter(|goal| goal.figure.is_some()) {
        let missed = if goal.is_met() == Some(true) { "" } else { "  missed" };
        let _ = writeln!(
            table,
            "{:<46}{:>11}{:>11}{:>11}{:>11}{:>13}{missed}",
            goal.what,
            number(goal.figure),
            number(goal.peer),
            number(goal.ratio()),
            number(goal.limit),
            goal.bound()
        );
    }
    let met = goals.iter().filter(|goal| goal.is_met() == Some(true)).count();
    let judged = goals.iter().filter(|goal| goal.figure.is_some()).count();
    let Faults { oversold, lost, unexplained, reasons } = &results.faults;
    let verdict = if results.is_ok() { "ok" } else { "failed" };
    let _ = write!(
        table,
        "\nverdict: {verdict} ({oversold} oversold, {lost} lost, {unexplained} unexplained); {met} of {judged} goals met"
    );
    for reason in reasons {
        let _ = write!(table, "\n  - {reason}");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(per_s: f64) -> Figures {
        Figures { per_s, p50_ms: Some(1.0), p99_ms: Some(4.0) }
    }

    fn results() -> Results {
        let run = |per_s| Run { figures: figures(per_s), refused: 0, connections: Some(2) };
        Results {
            seconds: 4.0,
            rounds: 3,
            fsync_per_s: vec![7_000.0, 6_000.0, 8_000.0],
            naive: BTreeMap::from([
                ((Design::Update, 1), vec![figures(4_000.0)]),
                ((Design::Update, 256), vec![figures(500.0)]),
                ((Design::ForUpdate, 256), vec![figures(400.0)]),
            ]),
            runs: BTreeMap::from([
                ((Engine::Postgres, 256), vec![run(20_000.0), run(30_000.0), run(10_000.0)]),
                ((Engine::Sqlite, 256), vec![run(9_000.0)]),
            ]),
            ..Results::default()
        }
    }

    #[test]
    fn the_run_in_the_middle_stands_for_all() {
        assert_eq!(median(&[3.0, 1.0, 2.0], |x| *x), Some(2.0));
        assert_eq!(median(&[4.0, 1.0], |x| *x), Some(1.0));
        assert_eq!(median::<f64>(&[], |x| *x), None);
    }

    #[test]
    fn ratios_name_their_peer() {
        let json = as_json(&results());
        assert_eq!((&json["ratio_to_naive"], &json["ratio_to_best_naive"]), (&json!(40.0), &json!(5.0)));
        assert_eq!(json["runs"][0]["all_per_s"], json!([20_000.0, 30_000.0, 10_000.0]));
        assert_eq!(json["naive"][0]["design"], "update");
        assert_eq!(json["http_purchases_per_s"], Value::Null);
    }

    #[test]
    fn speed_never_fails_a_run_and_faults_do() {
        let mut results = results();
        let missed = results.goals().into_iter().find(|goal| goal.what.ends_with("SQLite")).expect("a goal");
        assert_eq!(missed.is_met(), Some(false));
        assert_eq!(as_json(&results)["verdict"], "ok");
        results.faults.lost = 1;
        assert_eq!(as_json(&results)["verdict"], "failed");
    }

    #[test]
    fn the_table_shows_ratio_peer_and_goal_in_one_line() {
        let mut results = results();
        results.faults.reasons.push("a purchase was lost".to_owned());
        let table = as_table(&results);
        let goal =
            table.lines().find(|line| line.starts_with("reservations/s, 256 buyers, PostgreSQL")).expect("a line");
        let cells: Vec<&str> = goal.split_whitespace().collect();
        assert_eq!(cells[cells.len() - 6..], ["20,000", "500", "40", "60,000", "≥", "20,000"]);
        assert!(table.lines().any(|line| line.contains("256 buyers, SQLite") && line.ends_with("missed")));
        assert!(table.contains("verdict: failed") && table.ends_with("  - a purchase was lost"));
    }

    #[test]
    fn numbers_are_short() {
        let all = [None, Some(0.5), Some(12.0), Some(99.994), Some(1_234.5), Some(1_234_567.0)];
        assert_eq!(all.map(number), ["–", "0.5", "12", "99.99", "1,234", "1,234,567"]);
    }
}
