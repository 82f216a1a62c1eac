//! Pure: what came of hours: whether every viewer's stream was whole, whether the server grew, and who was left over.

use std::{fmt::Write, time::Duration};

use serde_json::{Value, json};

use super::viewer::Seen;
use crate::{
    hub::figures::{float, median, number},
    verdict::percentile,
};

/// Weights that are kept; then every second of them goes, and the rest stands for twice as long.
const MAX_WEIGHTS: usize = 2_000;
/// A server that has grown by more than this from the second quarter of the time to the last one has a leak: caches fill
/// in the first.
const MAX_GROWTH_KIB: f64 = 4_096.0;
const MAX_GROWTH_SHARE: f64 = 0.05;
const MAX_FAULTS: usize = 10;

/// What was found.
#[derive(Debug, Default)]
pub struct Endurance {
    pub viewers: usize,
    pub length: Duration,
    pub joined: u64,
    pub left: u64,
    pub vanished: u64,
    pub publishers: u64,
    /// Sessions that were to be ended and were not there.
    pub refused: u64,
    /// Sessions of those who vanished that were still there long after.
    pub left_over: u64,
    packets: u64,
    lost: u64,
    repeated: u64,
    damaged: u64,
    disordered: u64,
    /// Viewers that never saw a picture.
    blind: u64,
    first_ms: Vec<f64>,
    first_frame_ms: Vec<f64>,
    /// Seconds since the beginning, KiB; every so manieth of those that were taken.
    weights: Vec<(f64, f64)>,
    every: usize,
    taken: usize,
    pub faults: Vec<String>,
}

impl Endurance {
    /// Nothing yet.
    pub fn new(viewers: usize) -> Self {
        Self { viewers, every: 1, ..Self::default() }
    }

    /// A viewer has gone.
    pub fn note(&mut self, seen: Seen) {
        self.left += 1;
        self.packets += seen.packets;
        self.lost += seen.lost;
        self.repeated += seen.repeated;
        self.damaged += seen.damaged;
        self.disordered += seen.disordered;
        self.blind += u64::from(seen.first_frame_ms.is_none());
        self.first_ms.extend(seen.first_ms);
        self.first_frame_ms.extend(seen.first_frame_ms);
        if self.faults.len() < MAX_FAULTS {
            self.faults.extend(seen.failure);
        }
    }

    /// The server weighs so much.
    pub fn weigh(&mut self, since: Duration, kib: u64) {
        if self.taken.is_multiple_of(self.every) {
            self.weights.push((since.as_secs_f64(), float(kib)));
        }
        self.taken += 1;
        if self.weights.len() > MAX_WEIGHTS {
            let mut nth = 0;
            self.weights.retain(|_| {
                nth += 1;
                nth % 2 == 1
            });
            self.every *= 2;
        }
    }

    /// The median weight of a quarter of the time.
    fn quarter(&self, nth: usize) -> Option<f64> {
        let len = self.weights.len();
        median(self.weights[len * nth / 4..len * (nth + 1) / 4].iter().map(|(_, kib)| *kib))
    }

    /// From the second quarter to the last.
    fn growth_kib(&self) -> Option<f64> {
        Some(self.quarter(3)? - self.quarter(1)?)
    }

    /// How much it grows, by the straight line nearest to all weights but those of the first quarter.
    fn slope_kib_per_minute(&self) -> Option<f64> {
        let weights = &self.weights[self.weights.len() / 4..];
        let count = float(weights.len() as u64);
        let mean = |value: &dyn Fn(&(f64, f64)) -> f64| weights.iter().map(value).sum::<f64>() / count;
        let (at, kib) = (mean(&|(at, _)| *at), mean(&|(_, kib)| *kib));
        let spread = mean(&|(t, _)| (t - at).powi(2));
        (weights.len() > 2 && spread > 0.0).then(|| mean(&|(t, k)| (t - at) * (k - kib)) / spread * 60.0)
    }

    /// Why it was not well.
    pub fn reasons(&self) -> Vec<String> {
        let mut reasons = self.faults.clone();
        for (count, what) in [
            (self.lost, "packets were lost"),
            (self.repeated, "packets came twice"),
            (self.damaged, "packets were not as they were sent"),
            (self.disordered, "packets had a time that did not go on"),
            (self.blind, "viewers never saw a whole picture"),
            (self.refused, "sessions were gone before they were ended"),
            (self.left_over, "sessions were left over"),
        ] {
            if count > 0 {
                reasons.push(format!("{count} {what}"));
            }
        }
        let limit = MAX_GROWTH_KIB.max(MAX_GROWTH_SHARE * self.quarter(1).unwrap_or(0.0));
        if let Some(growth) = self.growth_kib().filter(|growth| *growth > limit) {
            reasons.push(format!("the server has grown by {growth:.0} KiB"));
        }
        reasons
    }

    /// One line on the way.
    pub fn in_short(&self) -> String {
        let kib = self.weights.last().map_or(0.0, |(_, kib)| *kib);
        format!(
            "{} came, {} left ({} vanished), {} publishers; {} packets, {} lost, {} twice, {} damaged; {kib:.0} KiB",
            self.joined,
            self.left,
            self.vanished,
            self.publishers,
            self.packets,
            self.lost,
            self.repeated,
            self.damaged
        )
    }
}

/// Everything as one JSON object.
pub fn as_json(found: &Endurance) -> Value {
    let reasons = found.reasons();
    let ms = |values: &[f64], percent| percentile(values, percent).map(|ms| (ms * 1_000.0).round() / 1_000.0);
    json!({
        "viewers": found.viewers,
        "seconds": found.length.as_secs(),
        "joined": found.joined,
        "left": found.left,
        "vanished": found.vanished,
        "publishers": found.publishers,
        "packets": found.packets,
        "packets_lost": found.lost,
        "packets_repeated": found.repeated,
        "packets_damaged": found.damaged,
        "times_disordered": found.disordered,
        "viewers_without_picture": found.blind,
        "sessions_refused": found.refused,
        "sessions_left_over": found.left_over,
        "first_packet_ms_p50": ms(&found.first_ms, 50.0),
        "first_packet_ms_p99": ms(&found.first_ms, 99.0),
        "first_frame_ms_p50": ms(&found.first_frame_ms, 50.0),
        "first_frame_ms_p99": ms(&found.first_frame_ms, 99.0),
        "memory_kib": found.weights.iter().map(|(at, kib)| json!([at.round(), kib])).collect::<Vec<_>>(),
        "memory_growth_kib": found.growth_kib(),
        "memory_slope_kib_per_minute": found.slope_kib_per_minute(),
        "verdict": if reasons.is_empty() { "ok" } else { "failed" },
        "reasons": reasons,
    })
}

/// Everything as a table for people.
pub fn as_table(found: &Endurance) -> String {
    let mut text = format!("{} s with {} viewers\n\n", found.length.as_secs(), found.viewers);
    let ms = |values: &[f64], percent| number(percentile(values, percent));
    let quarters = [0, 1, 2, 3].map(|nth| number(found.quarter(nth))).join(" ");
    for (what, figure) in [
        ("viewers that came", found.joined.to_string()),
        ("of these vanished", found.vanished.to_string()),
        ("publishers", found.publishers.to_string()),
        ("packets", found.packets.to_string()),
        ("lost, twice, damaged", format!("{} {} {}", found.lost, found.repeated, found.damaged)),
        ("first packet, ms", format!("{} {}", ms(&found.first_ms, 50.0), ms(&found.first_ms, 99.0))),
        (
            "first whole keyframe, ms",
            format!("{} {}", ms(&found.first_frame_ms, 50.0), ms(&found.first_frame_ms, 99.0)),
        ),
        ("KiB by quarters of the time", quarters),
        ("KiB a minute", number(found.slope_kib_per_minute())),
        ("sessions left over", found.left_over.to_string()),
    ] {
        // Writing into a text cannot fail.
        let _ = writeln!(text, "{what:<30} {figure}");
    }
    let reasons = found.reasons();
    let _ = writeln!(text, "\nverdict: {}", if reasons.is_empty() { "ok" } else { "failed" });
    for reason in reasons {
        let _ = writeln!(text, "  {reason}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weighed(kib: impl Fn(u64) -> u64) -> Endurance {
        let mut found = Endurance::new(10);
        (0..400).for_each(|n| found.weigh(Duration::from_secs(n * 5), kib(n)));
        found
    }

    #[test]
    fn a_server_that_grows_is_told_from_one_that_fills_its_caches() {
        let settled = weighed(|n| 50_000 + 200 * n.min(90));
        assert!(settled.reasons().is_empty(), "{:?}", settled.reasons());
        assert!(settled.slope_kib_per_minute().is_some_and(|slope| slope.abs() < 1e-6));
        let leaking = weighed(|n| 50_000 + 30 * n);
        assert_eq!(leaking.reasons(), ["the server has grown by 6000 KiB"]);
        assert!(leaking.slope_kib_per_minute().is_some_and(|slope| (slope - 360.0).abs() < 1e-6));
        assert_eq!(as_json(&leaking)["verdict"], "failed");
        assert_eq!((weighed(|_| 1).growth_kib(), Endurance::new(1).growth_kib()), (Some(0.0), None));
    }

    #[test]
    fn weights_are_thinned_and_not_forgotten() {
        let mut found = Endurance::new(10);
        (0..10_000).for_each(|n| found.weigh(Duration::from_secs(n), 1_000 + n));
        assert!(found.weights.len() <= MAX_WEIGHTS && found.weights.len() > MAX_WEIGHTS / 4);
        assert!(found.slope_kib_per_minute().is_some_and(|slope| (slope - 60.0).abs() < 1e-3));
    }

    #[test]
    fn every_kind_of_fault_fails_the_run() {
        let whole = || Seen { first_frame_ms: Some(1.0), ..Seen::default() };
        let fails = |seen: Seen| {
            let mut found = Endurance::new(1);
            found.note(seen);
            found.reasons().len()
        };
        assert_eq!(fails(whole()), 0);
        assert_eq!(fails(Seen::default()), 1, "never a picture");
        for broken in [
            Seen { lost: 1, ..whole() },
            Seen { repeated: 1, ..whole() },
            Seen { damaged: 1, ..whole() },
            Seen { disordered: 1, ..whole() },
            Seen { failure: Some("the handshake".to_owned()), ..whole() },
        ] {
            assert_eq!(fails(broken), 1);
        }
        let left_over = Endurance { left_over: 1, ..Endurance::new(1) };
        assert_eq!(left_over.reasons(), ["1 sessions were left over"]);
    }
}
