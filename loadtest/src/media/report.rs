//! Pure: what came of the run, as one JSON object and as a table.
//!
//! A ratio is the median, over the rounds, of the ratios within each round: the machine drifts, and a round is short.
//! Invariant: the verdict is of correctness alone; how fast anything is fails nothing.

use std::{fmt::Write, time::Duration};

use serde_json::{Value, json};

use super::{clip, contender::Who, measure::Passed};
use crate::hub::figures::{float, median, number, ratio};

/// A crowd that gets less of the stream than this was not there.
const LEAST_SHARE: f64 = 0.9;

/// Everything that was measured.
#[derive(Debug, Default)]
pub struct Results {
    pub viewers: usize,
    pub seconds: u64,
    pub spread: Duration,
    pub slowed_by: u32,
    pub rounds: Vec<Vec<Passed>>,
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

impl Results {
    fn median(&self, who: Who, figure: impl Fn(&Passed) -> Option<f64>) -> Option<f64> {
        median(self.rounds.iter().filter_map(|round| figure(passed(round, who)?)))
    }

    fn us(&self, who: Who) -> Option<f64> {
        self.median(who, |passed| Some(passed.us_per_packet()))
    }

    /// The product's cost over the peer's of the same round.
    fn ratio(&self, peer: Who) -> Option<f64> {
        let within = |round: &Vec<Passed>| {
            ratio(passed(round, Who::Product)?.us_per_packet(), passed(round, peer)?.us_per_packet())
        };
        median(self.rounds.iter().filter_map(within))
    }

    fn product_sum(&self, count: impl Fn(&Passed) -> u64) -> u64 {
        self.rounds.iter().filter_map(|round| passed(round, Who::Product)).map(count).sum()
    }

    /// Why the run is not correct. What our own sockets had no room for was not lost by the server.
    pub fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        for (count, what) in [
            (self.product_sum(|p| p.lost.saturating_sub(p.overflown)), "packets were lost"),
            (self.product_sum(|p| p.repeated), "packets came twice"),
            (self.product_sum(|p| p.damaged), "packets were not as they were sent"),
            (self.product_sum(|p| p.disordered), "packets had a time that did not go on"),
            (self.product_sum(|p| p.shifted), "packets had another time than they were sent with"),
        ] {
            if count > 0 {
                reasons.push(format!("{count} {what}"));
            }
        }
        for product in self.rounds.iter().filter_map(|round| passed(round, Who::Product)) {
            reasons.extend(product.faults.iter().cloned());
            let expected = float(product.viewers as u64 * clip::PACKETS_PER_S) * product.seconds
                / float(self.slowed_by.max(1).into());
            let share = float(product.packets) / expected.max(1.0);
            if share < LEAST_SHARE && product.overflown == 0 {
                reasons.push(format!("viewers got {:.1} % of the stream", share * 100.0));
            }
        }
        reasons
    }

    fn goals(&self) -> Vec<Goal> {
        let goal = |what, figure, most| Goal { what, figure, most };
        let first = self.median(Who::Product, |p| p.first_ms(99.0));
        let frame = self.median(Who::Product, |p| p.first_frame_ms(99.0));
        let latency = self.median(Who::Product, |p| p.latency_ms(99.0));
        vec![
            goal("CPU a packet, over the bare loop", self.ratio(Who::Bare), 1.35),
            goal("CPU a packet, over the bare loop with GSO", self.ratio(Who::BareGso), 2.0),
            goal("CPU a packet, over Janus", self.ratio(Who::Janus), 0.25),
            goal("KiB of a viewer", self.median(Who::Product, |p| p.kib_per_viewer), 90.0),
            goal("ms from WHEP to the first picture's packet, p99", first, 35.0),
            goal("ms from WHEP to the first whole keyframe, p99", frame, 50.0),
            goal("ms from publisher to viewer, p99", latency, 3.0),
        ]
    }
}

fn rounded(value: Option<f64>) -> Value {
    value.map_or(Value::Null, |value| json!((value * 1_000.0).round() / 1_000.0))
}

fn passed_json(passed: &Passed) -> Value {
    json!({
        "who": passed.who.name(),
        "us_per_packet": rounded(Some(passed.us_per_packet())),
        "viewers_per_core": rounded(Some(passed.viewers_per_core())),
        "packets": passed.packets,
        "seconds": rounded(Some(passed.seconds)),
        "cpu_cores": rounded(Some(passed.cpu_us / 1e6 / passed.seconds.max(0.001))),
        "crowd_cpu_cores": rounded(Some(passed.crowd_cpu_us / 1e6 / passed.seconds.max(0.001))),
        "srtp": passed.profile,
        "kib_per_viewer": rounded(passed.kib_per_viewer),
        "answers_per_s": rounded(passed.answers_per_s),
        "us_per_answer": rounded(passed.us_per_answer),
        "first_packet_ms_p50": rounded(passed.first_ms(50.0)),
        "first_packet_ms_p99": rounded(passed.first_ms(99.0)),
        "first_frame_ms_p50": rounded(passed.first_frame_ms(50.0)),
        "first_frame_ms_p99": rounded(passed.first_frame_ms(99.0)),
        "latency_ms_p50": rounded(passed.latency_ms(50.0)),
        "latency_ms_p99": rounded(passed.latency_ms(99.0)),
        "packets_opened": passed.opened,
        "packets_missing_at_first": passed.holes,
        "packets_lost": passed.lost,
        "packets_repeated": passed.repeated,
        "packets_damaged": passed.damaged,
        "times_disordered": passed.disordered,
        "times_shifted": passed.shifted,
        "frames_cut": passed.cut,
        "asked_again": passed.pretended,
        "came_again": passed.resent,
        "crowd_overflown": passed.overflown,
        "faults": passed.faults,
    })
}

/// Everything as one JSON object.
pub fn as_json(results: &Results) -> Value {
    let reasons = results.reasons();
    let ours = |figure: &dyn Fn(&Passed) -> Option<f64>| rounded(results.median(Who::Product, figure));
    let janus = |figure: &dyn Fn(&Passed) -> Option<f64>| rounded(results.median(Who::Janus, figure));
    json!({
        "viewers": results.viewers,
        "seconds": results.seconds,
        "slowed_by": results.slowed_by,
        "spread_ms": u64::try_from(results.spread.as_millis()).unwrap_or(0),
        "us_per_packet": rounded(results.us(Who::Product)),
        "bare_us_per_packet": rounded(results.us(Who::Bare)),
        "bare_gso_us_per_packet": rounded(results.us(Who::BareGso)),
        "ratio_to_bare": rounded(results.ratio(Who::Bare)),
        "ratio_to_bare_gso": rounded(results.ratio(Who::BareGso)),
        "janus_us_per_packet": rounded(results.us(Who::Janus)),
        "ratio_to_janus": rounded(results.ratio(Who::Janus)),
        "kib_per_viewer": ours(&|p| p.kib_per_viewer),
        "janus_kib_per_viewer": janus(&|p| p.kib_per_viewer),
        "viewers_per_core": ours(&|p| Some(p.viewers_per_core())),
        "answers_per_s": ours(&|p| p.answers_per_s),
        "us_per_answer": ours(&|p| p.us_per_answer),
        "first_packet_ms_p50": ours(&|p| p.first_ms(50.0)),
        "first_packet_ms_p99": ours(&|p| p.first_ms(99.0)),
        "first_frame_ms_p50": ours(&|p| p.first_frame_ms(50.0)),
        "first_frame_ms_p99": ours(&|p| p.first_frame_ms(99.0)),
        "janus_first_packet_ms_p50": janus(&|p| p.first_ms(50.0)),
        "janus_first_packet_ms_p99": janus(&|p| p.first_ms(99.0)),
        "latency_ms_p50": ours(&|p| p.latency_ms(50.0)),
        "latency_ms_p99": ours(&|p| p.latency_ms(99.0)),
        "janus_first_frame_ms_p50": janus(&|p| p.first_frame_ms(50.0)),
        "janus_first_frame_ms_p99": janus(&|p| p.first_frame_ms(99.0)),
        "janus_latency_ms_p50": janus(&|p| p.latency_ms(50.0)),
        "janus_latency_ms_p99": janus(&|p| p.latency_ms(99.0)),
        "packets_lost": results.product_sum(|p| p.lost),
        "packets_missing_at_first": results.product_sum(|p| p.holes),
        "times_shifted": results.product_sum(|p| p.shifted),
        "packets_repeated": results.product_sum(|p| p.repeated),
        "packets_damaged": results.product_sum(|p| p.damaged),
        "asked_again": results.product_sum(|p| p.pretended),
        "came_again": results.product_sum(|p| p.resent),
        "crowd_overflown": results.product_sum(|p| p.overflown),
        "rounds": results.rounds.iter().map(|r| r.iter().map(passed_json).collect()).collect::<Vec<Value>>(),
        "verdict": if reasons.is_empty() { "ok" } else { "failed" },
        "reasons": reasons,
    })
}

/// Everything as a table for people.
pub fn as_table(results: &Results) -> String {
    let mut text = format!(
        "{} viewers, {} rounds of {} s, a frame's packets within {} ms; microseconds of the server's CPU\n\n\
         {:<5} {:<11} {:>9} {:>9} {:>8} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>6} {:>6}  {}\n",
        results.viewers,
        results.rounds.len(),
        results.seconds,
        results.spread.as_millis(),
        "round",
        "who",
        "a packet",
        "a core",
        "KiB",
        "first p50",
        "first p99",
        "frame p50",
        "frame p99",
        "late p50",
        "late p99",
        "lost",
        "twice",
        "SRTP",
    );
    // Writing into a text cannot fail.
    for (n, passed) in results.rounds.iter().enumerate().flat_map(|(n, round)| round.iter().map(move |p| (n + 1, p))) {
        let _ = writeln!(
            text,
            "{n:<5} {:<11} {:>9} {:>9} {:>8} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>6} {:>6}  {}",
            passed.who.name(),
            number(Some(passed.us_per_packet())),
            number(Some(passed.viewers_per_core())),
            number(passed.kib_per_viewer),
            number(passed.first_ms(50.0)),
            number(passed.first_ms(99.0)),
            number(passed.first_frame_ms(50.0)),
            number(passed.first_frame_ms(99.0)),
            number(passed.latency_ms(50.0)),
            number(passed.latency_ms(99.0)),
            passed.lost,
            passed.repeated,
            passed.profile.unwrap_or("-"),
        );
    }
    text.push('\n');
    for Goal { what, figure, most } in results.goals() {
        let met = figure.map_or("not measured", |figure| if figure <= most { "met" } else { "not met" });
        let _ = writeln!(text, "{what}: {} (goal: at most {most}; {met})", number(figure));
    }
    let again = (results.product_sum(|p| p.pretended), results.product_sum(|p| p.resent));
    let answers = number(results.median(Who::Product, |p| p.answers_per_s));
    let _ = writeln!(text, "answers a second: {answers}; asked again: {}, came again: {}", again.0, again.1);
    let reasons = results.reasons();
    let _ = writeln!(text, "verdict: {}", if reasons.is_empty() { "ok" } else { "failed" });
    for reason in reasons {
        let _ = writeln!(text, "  {reason}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a(who: Who, us: f64) -> Passed {
        let packets = 10 * clip::PACKETS_PER_S;
        let cpu_us = us * float(packets);
        Passed {
            packets,
            cpu_us,
            seconds: 1.0,
            ages_us: vec![300, 500],
            first_ms: vec![12.0],
            first_frame_ms: vec![14.0],
            ..Passed::new(who, 10)
        }
    }

    fn results() -> Results {
        let round = |factor: f64| vec![a(Who::Product, 8.0 * factor), a(Who::Bare, 4.0), a(Who::BareGso, 2.0)];
        Results { viewers: 10, rounds: vec![round(1.0), round(10.0), round(1.1)], ..Results::default() }
    }

    #[test]
    fn a_ratio_is_the_median_of_the_rounds() {
        let json = as_json(&results());
        assert_eq!((&json["ratio_to_bare"], &json["ratio_to_bare_gso"]), (&json!(2.2), &json!(4.4)));
        assert_eq!((&json["janus_us_per_packet"], &json["ratio_to_janus"]), (&Value::Null, &Value::Null));
        assert_eq!((&json["latency_ms_p50"], &json["latency_ms_p99"]), (&json!(0.3), &json!(0.5)));
        assert_eq!((&json["verdict"], &json["first_packet_ms_p99"]), (&json!("ok"), &json!(12.0)));
        assert_eq!((&json["first_frame_ms_p50"], &json["first_frame_ms_p99"]), (&json!(14.0), &json!(14.0)));
        assert_eq!(json["rounds"][1][0]["us_per_packet"], json!(80.0));
        assert_eq!(json["viewers_per_core"], json!(494.071));
        assert!(as_table(&results()).contains("over the bare loop: 2.20 (goal: at most 1.35; not met)"));
    }

    #[test]
    fn every_kind_of_fault_fails_the_run() {
        let fails = |change: &dyn Fn(&mut Passed), verdict: &str| {
            let mut results = results();
            change(&mut results.rounds[0][0]);
            assert_eq!(as_json(&results)["verdict"], verdict);
        };
        fails(&|product| product.lost = 1, "failed");
        fails(&|product| product.repeated = 1, "failed");
        fails(&|product| product.damaged = 1, "failed");
        fails(&|product| product.disordered = 1, "failed");
        fails(&|product| product.shifted = 1, "failed");
        fails(&|product| product.packets /= 2, "failed");
        fails(&|product| product.faults.push("the handshake".to_owned()), "failed");
        fails(&|product| (product.lost, product.overflown) = (1, 2), "ok");
        let mut peer = results();
        peer.rounds[0][1].lost = 5;
        assert_eq!(as_json(&peer)["verdict"], "ok", "a peer's faults are its own");
    }
}
