//! Shell: a million lines of a ledger as a file, in each format, by the server as its own process: how long, and how much
//! memory. What a file comes to must be what the report says.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use hanamichi::{
    attribution::{Asked, By, Filters, Reports, Window},
    ids::BrandId,
};
use serde_json::{Value, json};

use super::{ledger, ms};
use crate::{
    client::{Actor, http, number, text},
    server::{Database, Process},
};

/// Formats, in this order.
const FORMATS: [&str; 4] = ["csv", "json", "parquet", "xlsx"];
/// How often memory and progress are read.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A server that has started has done what it does at a start.
const SETTLE: Duration = Duration::from_secs(3);

/// A file that was made.
#[derive(Debug)]
pub struct Made {
    pub format: &'static str,
    pub rows: i64,
    pub bytes: i64,
    pub seconds: f64,
    /// The server's memory before the first file, and how much more it had at most while this one was made and fetched.
    pub idle_kib: u64,
    pub above_kib: u64,
    pub mismatches: u64,
}

impl Made {
    pub fn rows_per_s(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let rows = self.rows as f64;
        rows / self.seconds
    }

    pub fn as_json(&self) -> Value {
        json!({
            "format": self.format, "rows": self.rows, "bytes": self.bytes, "seconds": self.seconds,
            "rows_per_s": self.rows_per_s(), "idle_kib": self.idle_kib, "above_idle_kib": self.above_kib,
            "mismatches": self.mismatches,
        })
    }
}

/// What the files must come to: units, net and commission.
pub async fn expected(reports: &Reports, brand: &BrandId) -> anyhow::Result<[i64; 2]> {
    let (from, to) = ledger::to_file();
    let window = Window { from: Some(from), to: Some(to) };
    let asked = Asked { brand: Some(brand.clone()), by: By::Day, window, filters: Filters::default() };
    let totals = reports.split(&asked, false).await.context("a report")?.totals;
    Ok([totals.net_minor, totals.commission_minor])
}

/// Makes them, one after the other.
pub async fn make(binary: &Path, database: &str, brand: &BrandId, expected: [i64; 2]) -> anyhow::Result<Vec<Made>> {
    let http = http()?;
    let server = Process::start(binary, &Database::Url(database.to_owned()), &http).await?;
    let operator = Actor::sign_in(&http, &server.base, &server.operator).await?;
    tokio::time::sleep(SETTLE).await;
    let idle_kib = server.rss_kib();
    let (from, to) = ledger::to_file();
    let mut all = Vec::new();
    for format in FORMATS {
        let began = Instant::now();
        let body = json!({ "format": format, "filter": { "from_ms": from, "to_ms": to } });
        let asked = operator.post_with_key(&format!("/v1/brands/{brand}/exports"), format, &body).await?.ok()?;
        let path = format!("/v1/exports/{}", text(&asked, "export_id")?);
        let mut most = 0;
        let (done, seconds) = loop {
            most = most.max(server.rss_kib());
            let export = operator.get(&path).await?;
            match export["state"].as_str() {
                Some("done") => break (export, ms(began.elapsed()) / 1_000.0),
                Some("queued" | "running") => {}
                _ => anyhow::bail!("{format} failed: {export}"),
            }
            eprint!("\r{format}: {} of {} rows ", export["rows_done"], export["rows_total"]);
            tokio::time::sleep(LOOK_EVERY).await;
        };
        eprintln!();
        let fetch = http.get(format!("{}{path}/file", server.base)).header("cookie", &operator.cookie);
        let fetch = fetch.timeout(Duration::from_secs(600));
        let mut answer = fetch.send().await.context("the file")?;
        ensure!(answer.status().is_success(), "the file answered {}", answer.status());
        let mut bytes = 0i64;
        while let Some(chunk) = answer.chunk().await.context("a part of the file")? {
            bytes += i64::try_from(chunk.len())?;
            most = most.max(server.rss_kib());
        }
        let sums = [number(&done, "net_minor")?, number(&done, "commission_minor")?];
        let whole = sums == expected && bytes == number(&done, "bytes")?;
        all.push(Made {
            format,
            rows: number(&done, "rows_done")?,
            bytes,
            seconds,
            idle_kib,
            above_kib: most.saturating_sub(idle_kib),
            mismatches: u64::from(!whole),
        });
    }
    server.stop().await?;
    Ok(all)
}
