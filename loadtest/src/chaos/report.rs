//! Pure: what came of the chaos, as one JSON object and as a table of episodes.

use std::{collections::BTreeMap, fmt::Write};

use serde_json::{Value, json};

use super::plan::Kind;

/// Faults shown one by one.
const MAX_SHOWN: usize = 30;

/// What everybody had seen at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    pub ordered: u64,
    pub lost: u64,
    pub repeated: u64,
    pub back: u64,
    pub jumps: u64,
    pub excused: u64,
    pub behind: u64,
    pub resumed: u64,
    pub snapshots: u64,
}

impl Seen {
    /// What came since an earlier moment.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            ordered: self.ordered - earlier.ordered,
            lost: self.lost - earlier.lost,
            repeated: self.repeated - earlier.repeated,
            back: self.back - earlier.back,
            jumps: self.jumps - earlier.jumps,
            excused: self.excused - earlier.excused,
            behind: self.behind - earlier.behind,
            resumed: self.resumed - earlier.resumed,
            snapshots: self.snapshots.saturating_sub(earlier.snapshots),
        }
    }

    fn add(&mut self, other: Self) {
        self.ordered += other.ordered;
        self.lost += other.lost;
        self.repeated += other.repeated;
        self.back += other.back;
        self.jumps += other.jumps;
        self.excused += other.excused;
        self.behind += other.behind;
        self.resumed += other.resumed;
        self.snapshots += other.snapshots;
    }
}

/// All episodes of a kind.
#[derive(Debug, Clone, Default)]
pub struct Row {
    pub episodes: u64,
    pub acts: u64,
    pub kills: u64,
    pub seen: Seen,
    /// The longest that everybody needed to agree.
    pub calm_ms: u64,
    pub faults: u64,
}

impl Row {
    /// One more episode.
    pub fn add(&mut self, other: &Self) {
        self.episodes += other.episodes;
        self.acts += other.acts;
        self.kills += other.kills;
        self.seen.add(other.seen);
        self.calm_ms = self.calm_ms.max(other.calm_ms);
        self.faults += other.faults;
    }
}

/// What came of the whole run.
#[derive(Debug, Default)]
pub struct Results {
    pub seed: u64,
    pub viewers: usize,
    pub nodes: usize,
    pub engine: &'static str,
    pub seconds: u64,
    pub epochs: usize,
    pub rows: BTreeMap<Kind, Row>,
    pub deeds: Vec<(&'static str, u64)>,
    pub faults: Vec<String>,
}

impl Results {
    fn total(&self) -> Row {
        let mut total = Row::default();
        self.rows.values().for_each(|row| total.add(row));
        total
    }
}

fn row_json(name: &str, row: &Row) -> Value {
    let Seen { ordered, lost, repeated, back, jumps, excused, behind, resumed, snapshots } = row.seen;
    json!({
        "kind": name,
        "episodes": row.episodes,
        "acts": row.acts,
        "kills": row.kills,
        "ordered": ordered,
        "resumed": resumed,
        "snapshots": snapshots,
        "snapshots_for_the_slow": behind,
        "snapshots_of_killed_nodes": excused,
        "ordered_lost": lost,
        "ordered_repeated": repeated,
        "versions_back": back,
        "needless_snapshots": jumps,
        "agreed_within_ms": row.calm_ms,
        "faults": row.faults,
    })
}

/// Everything as one JSON object.
pub fn as_json(results: &Results) -> Value {
    let rows: Vec<_> = results.rows.iter().map(|(kind, row)| row_json(kind.name(), row)).collect();
    let deeds: BTreeMap<_, _> = results.deeds.iter().copied().collect();
    json!({
        "seed": results.seed,
        "viewers": results.viewers,
        "nodes": results.nodes,
        "engine": results.engine,
        "seconds": results.seconds,
        "epochs": results.epochs,
        "kinds": rows,
        "total": row_json("all", &results.total()),
        "deeds": deeds,
        "verdict": if results.faults.is_empty() { "ok" } else { "failed" },
        "reasons": results.faults,
    })
}

/// Everything as a table for people.
pub fn as_table(results: &Results) -> String {
    let mut text = format!(
        "{} viewers, {} nodes on {}, {} s, seed {}, {} epochs\n\n{:<11} {:>8} {:>6} {:>5} {:>9} {:>7} {:>9} {:>5} {:>6} {:>5} {:>8} {:>5} {:>6} {:>9} {:>6}\n",
        results.viewers,
        results.nodes,
        results.engine,
        results.seconds,
        results.seed,
        results.epochs,
        "kind",
        "episodes",
        "acts",
        "kills",
        "ordered",
        "resumed",
        "snapshots",
        "slow",
        "killed",
        "lost",
        "repeated",
        "back",
        "jumps",
        "agreed ms",
        "faults",
    );
    let total = results.total();
    let rows = results.rows.iter().map(|(kind, row)| (kind.name(), row)).chain([("all", &total)]);
    for (name, row) in rows {
        let Seen { ordered, lost, repeated, back, jumps, excused, behind, resumed, snapshots } = row.seen;
        // Writing into a text cannot fail.
        let _ = writeln!(
            text,
            "{name:<11} {:>8} {:>6} {:>5} {ordered:>9} {resumed:>7} {snapshots:>9} {behind:>5} {excused:>6} {lost:>5} {repeated:>8} {back:>5} {jumps:>6} {:>9} {:>6}",
            row.episodes, row.acts, row.kills, row.calm_ms, row.faults,
        );
    }
    let deeds: Vec<_> = results.deeds.iter().map(|(name, count)| format!("{count} {name}")).collect();
    let _ = writeln!(text, "\n{}", deeds.join(", "));
    let _ = writeln!(text, "verdict: {}", if results.faults.is_empty() { "ok" } else { "failed" });
    for fault in results.faults.iter().take(MAX_SHOWN) {
        let _ = writeln!(text, "  {fault}");
    }
    if results.faults.len() > MAX_SHOWN {
        let _ = writeln!(text, "  and {} more", results.faults.len() - MAX_SHOWN);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_add_up_and_a_fault_fails_the_run() {
        let seen = |ordered| Seen { ordered, ..Seen::default() };
        let row = |ordered| Row { episodes: 1, calm_ms: ordered, seen: seen(ordered), ..Row::default() };
        let mut results = Results { rows: BTreeMap::from([(Kind::Cuts, row(5))]), ..Results::default() };
        results.rows.entry(Kind::Storm).or_default().add(&row(7));
        let json = as_json(&results);
        assert_eq!((&json["total"]["ordered"], &json["total"]["agreed_within_ms"]), (&json!(12), &json!(7)));
        assert_eq!((&json["verdict"], &json["kinds"][1]["kind"]), (&json!("ok"), &json!("storm")));
        results.faults = (0..40).map(|n| format!("fault {n}")).collect();
        assert_eq!(as_json(&results)["verdict"], "failed");
        assert!(as_table(&results).contains("verdict: failed") && as_table(&results).contains("and 10 more"));
        assert_eq!(seen(7).since(seen(5)), seen(2));
    }
}
