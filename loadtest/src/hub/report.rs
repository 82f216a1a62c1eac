//! Pure: what came of the run, as one JSON object and as a table.
//!
//! A ratio is the median, over the rounds, of the ratios within each round: the machine drifts, and a round is short.
//! Invariant: the verdict is of correctness alone; how fast anything is fails nothing.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{
    big::{Room, Storm},
    contender::Who,
    figures::{float, median, number, ratio},
    measure::{Case, Passed},
};

/// Everything that was measured.
#[derive(Debug, Default)]
pub struct Results {
    pub viewers: usize,
    pub seconds: u64,
    pub engine: &'static str,
    pub rounds: Vec<Vec<Passed>>,
    pub room: Option<Room>,
}

/// A goal of the product.
struct Goal {
    what: &'static str,
    figure: Option<f64>,
    most: f64,
}

fn passed(round: &[Passed], who: Who) -> Option<&Passed> {
    round.iter().find(|passed| passed.who == who)
}

/// One frame a flush: the first rate.
const SINGLE: usize = 0;
/// The busy room: the second rate.
const BUSY: usize = 1;

impl Results {
    fn median(&self, who: Who, figure: impl Fn(&Passed) -> Option<f64>) -> Option<f64> {
        median(self.rounds.iter().filter_map(|round| figure(passed(round, who)?)))
    }

    fn case(&self, who: Who, case: usize, figure: impl Fn(&Case) -> Option<f64>) -> Option<f64> {
        self.median(who, |passed| figure(passed.cases.get(case)?))
    }

    /// The product's figure over the peer's of the same round.
    fn ratio(&self, peer: Who, case: usize, ours: impl Fn(&Case) -> f64, theirs: impl Fn(&Case) -> f64) -> Option<f64> {
        let within = |round: &Vec<Passed>| {
            let (us, them) = (passed(round, Who::Product)?, passed(round, peer)?);
            ratio(ours(us.cases.get(case)?), theirs(them.cases.get(case)?))
        };
        median(self.rounds.iter().filter_map(within))
    }

    fn single_ratio(&self, peer: Who) -> Option<f64> {
        self.ratio(peer, SINGLE, Case::us_per_delivery, Case::us_per_delivery)
    }

    fn busy_ratio(&self, peer: Who) -> Option<f64> {
        self.ratio(peer, BUSY, Case::us_per_event, Case::us_per_event)
    }

    fn product_sum(&self, count: impl Fn(&Passed) -> u64) -> u64 {
        self.rounds.iter().filter_map(|round| passed(round, Who::Product)).map(count).sum()
    }

    fn lost(&self) -> u64 {
        let storm = |room: &Room| room.storm.as_ref().map_or(0, |storm| storm.lost);
        self.product_sum(|p| p.lost) + self.room.as_ref().map_or(0, |room| room.lost + storm(room))
    }

    fn repeated(&self) -> u64 {
        let storm = |room: &Room| room.storm.as_ref().map_or(0, |storm| storm.repeated);
        self.product_sum(|p| p.repeated) + self.room.as_ref().map_or(0, |room| room.repeated + storm(room))
    }

    fn jumps(&self) -> u64 {
        let storm = |room: &Room| room.storm.as_ref().map_or(0, |storm| storm.jumps);
        self.product_sum(|p| p.jumps) + self.room.as_ref().map_or(0, |room| room.jumps + storm(room))
    }

    /// Why the run is not correct.
    pub fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        for (count, what) in [
            (self.lost(), "ordered events were lost"),
            (self.repeated(), "ordered events came twice"),
            (self.jumps(), "snapshots came instead of what viewers still needed"),
        ] {
            if count > 0 {
                reasons.push(format!("{count} {what}"));
            }
        }
        for passed in self.rounds.iter().flatten() {
            reasons.extend(passed.faults.iter().map(|fault| format!("{}: {fault}", passed.who.name())));
        }
        if let Some(room) = &self.room {
            reasons.extend(room.faults.iter().map(|fault| format!("big room: {fault}")));
            if room.said.refused > 0 {
                reasons.push(format!("big room: {} lines of chat were refused", room.said.refused));
            }
        }
        reasons
    }

    fn goals(&self) -> Vec<Goal> {
        let room = self.room.as_ref();
        let storm = room.and_then(|room| room.storm.as_ref());
        let goal = |what, figure, most| Goal { what, figure, most };
        vec![
            goal("CPU a delivery, one frame a flush, over bare", self.single_ratio(Who::Bare), 1.15),
            goal("the same over nchan", self.single_ratio(Who::Nchan), 0.7),
            goal("CPU an event in a busy room, over bare", self.busy_ratio(Who::Bare), 0.35),
            goal("KiB of an idle connection", self.median(Who::Product, |p| Some(p.kib_idle)), 2.0),
            goal("p99 ms in the big room", room.and_then(|room| room.p99_ms), 150.0),
            goal("ms until the last is back after the storm", storm.and_then(|storm| storm.max_ms), 10_000.0),
        ]
    }
}

fn rounded(value: Option<f64>) -> Value {
    value.map_or(Value::Null, |value| json!((value * 1_000.0).round() / 1_000.0))
}

fn case_json(case: &Case) -> Value {
    json!({
        "events_per_s": case.rate,
        "published": case.published,
        "frames": case.frames,
        "frame_bytes": rounded(Some(case.frame_bytes)),
        "seconds": rounded(Some(case.seconds)),
        "cpu_cores": rounded(Some(case.cpu_us / 1e6 / case.seconds.max(0.001))),
        "crowd_cpu_cores": rounded(Some(case.crowd_cpu_us / 1e6 / case.seconds.max(0.001))),
        "us_per_delivery": rounded(Some(case.us_per_delivery())),
        "us_per_event": rounded(Some(case.us_per_event())),
        "fan_out_us_per_delivery": rounded(Some(case.fan_out_us_per_delivery())),
        "fan_out_us_per_event": rounded(Some(case.fan_out_us_per_event())),
        "making_us_per_event": rounded(ratio(case.making_us, float(case.published))),
        "p50_ms": rounded(case.p50_ms),
        "p99_ms": rounded(case.p99_ms),
        "asked_p50_ms": rounded(case.asked_p50_ms),
        "asked_p99_ms": rounded(case.asked_p99_ms),
    })
}

fn passed_json(passed: &Passed) -> Value {
    json!({
        "who": passed.who.name(),
        "upgrades_per_s": rounded(Some(passed.upgrades_per_s)),
        "us_per_upgrade": rounded(Some(passed.us_per_upgrade)),
        "kib_per_idle_connection": rounded(Some(passed.kib_idle)),
        "kib_after_traffic": rounded(Some(passed.kib_after)),
        "cases": passed.cases.iter().map(case_json).collect::<Vec<_>>(),
        "ordered_lost": passed.lost,
        "ordered_repeated": passed.repeated,
        "snapshots": passed.jumps,
        "faults": passed.faults,
    })
}

fn storm_json(storm: &Storm) -> Value {
    json!({
        "viewers": storm.viewers,
        "seconds": rounded(Some(storm.seconds)),
        "recovered_ms_p50": rounded(storm.p50_ms),
        "recovered_ms_p99": rounded(storm.p99_ms),
        "recovered_ms_max": rounded(storm.max_ms),
        "failed_connections": storm.failures,
        "us_per_return": rounded(Some(storm.us_per_return)),
        "lost": storm.lost,
        "repeated": storm.repeated,
        "snapshots": storm.jumps,
    })
}

fn room_json(room: &Room) -> Value {
    json!({
        "viewers": room.viewers,
        "ordered_per_s": room.traffic.map(|traffic| traffic.ordered_per_s),
        "chat_per_s": room.traffic.map(|traffic| traffic.chat_per_s),
        "published": room.published,
        "chat_by_liver": room.said.by_liver,
        "chat_by_customers": room.said.by_customers,
        "chat_refused": room.said.refused,
        "deliveries_per_s": rounded(ratio(float(room.frames), room.seconds)),
        "events_delivered_per_s": rounded(ratio(float(room.events), room.seconds)),
        "cpu_cores": rounded(ratio(room.cpu_us / 1e6, room.seconds)),
        "crowd_cpu_cores": rounded(ratio(room.crowd_cpu_us / 1e6, room.seconds)),
        "us_per_delivery": rounded(ratio(room.cpu_us, float(room.frames))),
        "us_per_event": rounded(ratio(room.cpu_us, float(room.events))),
        "p50_ms": rounded(room.p50_ms),
        "p99_ms": rounded(room.p99_ms),
        "asked_p99_ms": rounded(room.asked_p99_ms),
        "chat_p50_ms": rounded(room.chat_p50_ms),
        "chat_p99_ms": rounded(room.chat_p99_ms),
        "ordered_lost": room.lost,
        "ordered_repeated": room.repeated,
        "snapshots": room.jumps,
    })
}

/// Everything as one JSON object.
pub fn as_json(results: &Results) -> Value {
    let reasons = results.reasons();
    let us = |who| rounded(results.case(who, SINGLE, |case| Some(case.us_per_delivery())));
    let storm = results.room.as_ref().and_then(|room| room.storm.as_ref());
    let fan_out = |case, figure: fn(&Case) -> f64, theirs: fn(&Case) -> f64| {
        rounded(results.ratio(Who::Bare, case, figure, theirs))
    };
    json!({
        "viewers": results.viewers,
        "engine": results.engine,
        "seconds": results.seconds,
        "us_per_delivery": us(Who::Product),
        "bare_us_per_delivery": us(Who::Bare),
        "ratio_to_bare": rounded(results.single_ratio(Who::Bare)),
        "fan_out_ratio_to_bare": fan_out(SINGLE, Case::fan_out_us_per_delivery, Case::us_per_delivery),
        "batched_ratio_to_bare": rounded(results.busy_ratio(Who::Bare)),
        "batched_fan_out_ratio_to_bare": fan_out(BUSY, Case::fan_out_us_per_event, Case::us_per_event),
        "batched_ratio_to_bare_tick": rounded(results.ratio(Who::BareTick, BUSY, Case::us_per_event, Case::us_per_event)),
        "nchan_us_per_delivery": us(Who::Nchan),
        "ratio_to_nchan": rounded(results.single_ratio(Who::Nchan)),
        "batched_ratio_to_nchan": rounded(results.busy_ratio(Who::Nchan)),
        "kib_per_idle_connection": rounded(results.median(Who::Product, |p| Some(p.kib_idle))),
        "kib_after_traffic": rounded(results.median(Who::Product, |p| Some(p.kib_after))),
        "upgrades_per_s": rounded(results.median(Who::Product, |p| Some(p.upgrades_per_s))),
        "us_per_upgrade": rounded(results.median(Who::Product, |p| Some(p.us_per_upgrade))),
        "p50_ms": rounded(results.case(Who::Product, SINGLE, |case| case.p50_ms)),
        "p99_ms": rounded(results.case(Who::Product, SINGLE, |case| case.p99_ms)),
        "bare_p99_ms": rounded(results.case(Who::Bare, SINGLE, |case| case.p99_ms)),
        "batched_p99_ms": rounded(results.case(Who::Product, BUSY, |case| case.p99_ms)),
        "times_from": "an ordered event's at_ms (when it got its number), of peers the sending; asked_*: the request",
        "ordered_lost": results.lost(),
        "ordered_repeated": results.repeated(),
        "snapshots": results.jumps(),
        "storm": storm.map_or(Value::Null, storm_json),
        "big_room": results.room.as_ref().map_or(Value::Null, room_json),
        "rounds": results.rounds.iter().map(|r| r.iter().map(passed_json).collect()).collect::<Vec<Value>>(),
        "verdict": if reasons.is_empty() { "ok" } else { "failed" },
        "reasons": reasons,
    })
}

/// Everything as a table for people.
pub fn as_table(results: &Results) -> String {
    let mut text = format!(
        "{} viewers, {} rounds of {} s, {}; microseconds of the server's CPU\n\n{:<5} {:<18} {:>4} {:>9} {:>9} {:>9} {:>9} {:>8} {:>8} {:>8}\n",
        results.viewers,
        results.rounds.len(),
        results.seconds,
        results.engine,
        "round",
        "who",
        "ev/s",
        "a frame",
        "an event",
        "p50 ms",
        "p99 ms",
        "join us",
        "KiB idle",
        "KiB then",
    );
    // Writing into a text cannot fail.
    for (n, passed) in results.rounds.iter().enumerate().flat_map(|(n, round)| round.iter().map(move |p| (n + 1, p))) {
        for case in &passed.cases {
            let _ = writeln!(
                text,
                "{n:<5} {:<18} {:>4} {:>9} {:>9} {:>9} {:>9} {:>8} {:>8} {:>8}",
                passed.who.name(),
                case.rate,
                number(Some(case.us_per_delivery())),
                number(Some(case.us_per_event())),
                number(case.p50_ms),
                number(case.p99_ms),
                number(Some(passed.us_per_upgrade)),
                number(Some(passed.kib_idle)),
                number(Some(passed.kib_after)),
            );
        }
    }
    if let Some(room) = &results.room {
        let _ = writeln!(text, "\nbig room: {}", flat(&room_json(room)));
        if let Some(storm) = &room.storm {
            let _ = writeln!(text, "storm: {}", flat(&storm_json(storm)));
        }
    }
    text.push('\n');
    for Goal { what, figure, most } in results.goals() {
        let met = figure.map_or("not measured", |figure| if figure <= most { "met" } else { "not met" });
        let _ = writeln!(text, "{what}: {} (goal: at most {most}; {met})", number(figure));
    }
    let _ = writeln!(text, "ordered events lost: {}, repeated: {}", results.lost(), results.repeated());
    let reasons = results.reasons();
    let _ = writeln!(text, "verdict: {}", if reasons.is_empty() { "ok" } else { "failed" });
    for reason in reasons {
        let _ = writeln!(text, "  {reason}");
    }
    text
}

fn flat(value: &Value) -> String {
    let members = value.as_object().into_iter().flatten();
    members.map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a(who: Who, us: [f64; 2]) -> Passed {
        let case = |rate, us: f64| Case {
            rate,
            published: 10,
            viewers: 10,
            frames: 100,
            cpu_us: us * 100.0,
            making_us: 50.0,
            seconds: 1.0,
            ..Case::default()
        };
        Passed {
            who,
            upgrades_per_s: 1_000.0,
            us_per_upgrade: 50.0,
            kib_idle: 1.5,
            kib_after: 1.6,
            cases: vec![case(10, us[0]), case(50, us[1])],
            lost: 0,
            repeated: 0,
            jumps: 0,
            faults: Vec::new(),
        }
    }

    fn results() -> Results {
        let round = |factor: f64| vec![a(Who::Product, [6.0 * factor, 2.0]), a(Who::Bare, [5.0, 4.0])];
        Results { viewers: 10, rounds: vec![round(1.0), round(10.0), round(1.1)], ..Results::default() }
    }

    #[test]
    fn a_ratio_is_the_median_of_the_rounds() {
        let json = as_json(&results());
        assert_eq!((&json["ratio_to_bare"], &json["batched_ratio_to_bare"]), (&json!(1.32), &json!(0.5)));
        assert_eq!(json["fan_out_ratio_to_bare"], json!(1.22));
        assert_eq!((&json["nchan_us_per_delivery"], &json["ratio_to_nchan"]), (&Value::Null, &Value::Null));
        assert_eq!((&json["verdict"], &json["kib_per_idle_connection"]), (&json!("ok"), &json!(1.5)));
        assert_eq!(json["rounds"][1][0]["cases"][0]["us_per_delivery"], json!(60.0));
        assert!(as_table(&results()).contains("over bare: 1.32 (goal: at most 1.15; not met)"));
    }

    #[test]
    fn every_kind_of_fault_fails_the_run() {
        let fails = |change: &dyn Fn(&mut Results)| {
            let mut results = results();
            change(&mut results);
            assert_eq!(as_json(&results)["verdict"], "failed");
            assert!(as_table(&results).contains("verdict: failed"));
        };
        fails(&|results| results.rounds[0][0].lost = 1);
        fails(&|results| results.rounds[0][0].repeated = 1);
        fails(&|results| results.rounds[0][0].jumps = 1);
        fails(&|results| results.rounds[1][1].faults.push("deliveries".to_owned()));
        let storm = Storm { lost: 1, ..Storm::default() };
        fails(&|results| results.room = Some(Room { storm: Some(storm.clone()), ..Room::default() }));
        fails(&|results| results.room = Some(Room { faults: vec!["x".to_owned()], ..Room::default() }));
    }
}
