//! Five hundred viewers, and every packet of each: its number, its time, and of a part its bytes.
//!
//! In a binary of its own, so that nothing else runs beside it: who is held up for seconds loses packets. The stream is
//! slowed down, because neither the server nor the crowd is an optimised build here.

use std::process::Command;

const VIEWERS: u64 = 500;
const SECONDS: u64 = 8;
const SLOWED_BY: u64 = 2;
/// Packets a second of a whole stream.
const PACKETS_PER_S: u64 = 30 * 6 + 50;

#[test]
fn five_hundred_viewers_get_every_packet_as_it_was_sent() {
    let [viewers, seconds, slowed_by] = [VIEWERS, SECONDS, SLOWED_BY].map(|number| number.to_string());
    let size = ["--viewers", &viewers, "--seconds", &seconds, "--slowed-by", &slowed_by];
    let pace = ["--rounds", "1", "--joins-per-s", "80", "--no-janus", "--no-bare", "--json"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    let output = command.arg("media").args(size).args(pace).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let result = said.lines().last().and_then(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let result = result.unwrap_or_else(|| panic!("no JSON: {said}{}", String::from_utf8_lossy(&output.stderr)));
    assert!(output.status.success() && result["verdict"] == "ok", "{result:#}");
    let faults = [
        "packets_missing_at_first",
        "packets_lost",
        "packets_repeated",
        "packets_damaged",
        "times_shifted",
        "times_disordered",
        "frames_cut",
    ];
    for fault in faults {
        assert_eq!(result["rounds"][0][0][fault], 0, "{fault}: {result:#}");
    }
    let number = |name: &str| result["rounds"][0][0][name].as_u64().unwrap_or(0);
    let expected = VIEWERS * SECONDS * PACKETS_PER_S / SLOWED_BY;
    assert!(number("packets") * 100 > expected * 95, "{expected} packets: {result:#}");
    assert!(number("packets_opened") * 20 > number("packets"), "{result:#}");
    assert!(number("asked_again") > 0 && number("asked_again") == number("came_again"), "{result:#}");
}
