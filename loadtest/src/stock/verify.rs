//! Edge: the server's own judgement of a database: `hanamichi verify --json`.

use std::path::Path;

use anyhow::Context;
use serde_json::Value;
use tokio::process::Command;

use super::audit::Faults;

/// Faults that are quoted; the others are counted.
const QUOTED: usize = 5;

/// Lets the server's binary check a database that nobody uses any more.
pub async fn verify(binary: &Path, url: &str) -> anyhow::Result<Faults> {
    let mut command = Command::new(binary);
    command.args(["verify", "--json"]).env("HANAMICHI_DATABASE", url).env("HANAMICHI_LOG_FILTER", "warn");
    let output = command.kill_on_drop(true).output().await.context("cannot run the server's verify")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    let verdict: Value = serde_json::from_str(last).with_context(|| {
        let words = String::from_utf8_lossy(&output.stderr);
        format!("the server's verify gave no verdict: {}", words.lines().next().unwrap_or("it said nothing"))
    })?;
    Ok(faults_of(&verdict))
}

fn faults_of(verdict: &Value) -> Faults {
    let mut faults = Faults::default();
    if verdict["verdict"] == "clean" {
        return faults;
    }
    let listed = verdict["faults"].as_array().map_or(&[][..], Vec::as_slice);
    let count = i64::try_from(listed.len()).unwrap_or(i64::MAX).max(verdict["faults"].as_i64().unwrap_or_default());
    faults.unexplained = count.max(1);
    faults.reasons.extend(listed.iter().take(QUOTED).map(|fault| format!("verify: {fault}")));
    if listed.is_empty() {
        faults.reasons.push(format!("verify: {verdict}"));
    } else if listed.len() > QUOTED {
        faults.reasons.push(format!("verify: and {} more", listed.len() - QUOTED));
    }
    faults
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_clean_verdict_has_no_faults() {
        assert_eq!(faults_of(&json!({ "verdict": "clean" })), Faults::default());
        assert_eq!(faults_of(&json!({ "verdict": "faulty", "faults": ["a", "b"] })).unexplained, 2);
        assert_eq!(faults_of(&json!({ "verdict": "faulty" })).unexplained, 1);
        let many: Vec<usize> = (0..20).collect();
        let faults = faults_of(&json!({ "verdict": "faulty", "faults": many }));
        assert_eq!((faults.unexplained, faults.reasons.len()), (20, QUOTED + 1));
    }
}
