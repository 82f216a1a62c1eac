//! The load test itself, at the smallest size: it must find the server correct.
//!
//! Needs the server's binary beside the load test's, which `cargo test --workspace` builds.

use std::process::Command;

fn run(arguments: &[&str]) -> serde_json::Value {
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest")).args(arguments).arg("--json").output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let result = said.lines().last().and_then(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let result = result.unwrap_or_else(|| panic!("no JSON: {said}{}", String::from_utf8_lossy(&output.stderr)));
    assert!(output.status.success(), "{result:#}");
    assert_eq!(result["verdict"], "ok", "{result:#}");
    result
}

#[test]
fn a_small_hub_is_measured_and_tells_the_truth() {
    let size = ["--viewers", "40", "--rounds", "1", "--seconds", "1", "--big-viewers", "60", "--no-nchan"];
    let result = run(&[&["hub"][..], &size].concat());
    for figure in ["us_per_delivery", "bare_us_per_delivery", "ratio_to_bare", "batched_ratio_to_bare", "p99_ms"] {
        assert!(result[figure].as_f64().is_some_and(|figure| figure > 0.0), "{figure}: {result:#}");
    }
    assert_eq!((&result["ordered_lost"], &result["ordered_repeated"]), (&0.into(), &0.into()));
    assert_eq!((&result["storm"]["viewers"], &result["storm"]["snapshots"]), (&60.into(), &0.into()));
}

#[test]
fn twenty_seconds_of_chaos_find_no_fault() {
    let result = run(&["chaos", "--seconds", "20", "--seed", "1", "--viewers", "20"]);
    assert!(result["total"]["ordered"].as_u64().is_some_and(|ordered| ordered > 0), "{result:#}");
    assert_eq!((&result["total"]["faults"], &result["total"]["ordered_lost"]), (&0.into(), &0.into()));
}

#[test]
fn a_small_audience_gets_every_packet_of_a_picture() {
    let size = ["--viewers", "8", "--rounds", "1", "--seconds", "2", "--no-janus"];
    let result = run(&[&["media"][..], &size].concat());
    for figure in
        ["us_per_packet", "bare_us_per_packet", "bare_gso_us_per_packet", "ratio_to_bare", "ratio_to_bare_gso"]
    {
        assert!(result[figure].as_f64().is_some_and(|figure| figure > 0.0), "{figure}: {result:#}");
    }
    for figure in ["viewers_per_core", "first_packet_ms_p50", "first_packet_ms_p99", "latency_ms_p50", "latency_ms_p99"]
    {
        assert!(result[figure].as_f64().is_some_and(|figure| figure > 0.0), "{figure}: {result:#}");
    }
    let ms = |name: &str| result[name].as_f64().unwrap_or(0.0);
    assert!(ms("first_frame_ms_p50") >= ms("first_packet_ms_p50"), "{result:#}");
    assert!(ms("first_frame_ms_p99") >= ms("first_packet_ms_p99"), "{result:#}");
    assert_eq!((&result["packets_lost"], &result["packets_repeated"]), (&0.into(), &0.into()));
    assert_eq!((&result["asked_again"], &result["janus_us_per_packet"]), (&result["came_again"], &().into()));
    assert!(result["asked_again"].as_u64().is_some_and(|asked| asked > 0), "{result:#}");
}

#[test]
fn viewers_that_come_and_go_see_a_whole_picture_of_publishers_that_die() {
    let size = ["--seconds", "15", "--viewers", "6", "--publisher-seconds", "4", "--vanish-every", "0"];
    let result = run(&[&["soak"][..], &size].concat());
    let number = |name: &str| result[name].as_u64().unwrap_or(u64::MAX);
    assert!(number("publishers") >= 3 && number("left") > 15 && number("left") == number("joined"), "{result:#}");
    let faults = ["packets_lost", "packets_repeated", "packets_damaged", "sessions_left_over"];
    assert_eq!(faults.map(number), [0; 4], "{result:#}");
}
