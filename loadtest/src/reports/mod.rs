//! Shell: a month's report of a brand, and of all of them, against a plain SQL sum over the ledger; what keeping the sums
//! costs a sale; a million lines as a file.
//!
//! Kept and plain sums take turns, brand by brand, so that a machine that drifts hits both alike; each pair of answers is
//! compared. Does not judge speed: only an answer that differs fails the run.

mod files;
mod ledger;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context;
use hanamichi::{
    attribution::{Asked, By, Filters, Reports, Window, fold_all, requeue},
    clock::{Clock, Millis},
    ids::BrandId,
    on,
    store::{Db, Kind, Rows},
};
use serde_json::{Value, json};

use crate::{
    server::find_binary,
    stock::{Engine, Ground, times::Times},
};

/// Turns of the largest brand and of all brands in a round.
const LARGE_TURNS: usize = 3;
/// Sales by which the upkeep is measured, on each side.
const SALES: usize = 500;

/// What is asked of the run.
#[derive(Debug)]
pub struct Size {
    pub lines: i64,
    pub brands: i64,
    pub rounds: usize,
    pub engines: Vec<Engine>,
    /// A PostgreSQL server; one of our own when absent.
    pub postgres: Option<String>,
    /// The server's binary, which makes the files; the one beside this program when absent.
    pub server: Option<PathBuf>,
}

/// One kind of report on one engine: milliseconds of each pair.
#[derive(Debug, Default)]
struct Pairs {
    kept: Vec<f64>,
    plain: Vec<f64>,
    mismatches: u64,
}

/// Everything that was measured on one engine.
#[derive(Debug)]
pub struct Measured {
    engine: Engine,
    lines: i64,
    pairs: BTreeMap<&'static str, Pairs>,
    fill_s: f64,
    fold_s: f64,
    /// Microseconds a sale: written without and with its row in the queue, and then folded.
    without_us: Vec<f64>,
    with_us: Vec<f64>,
    fold_us: Vec<f64>,
    files: Vec<files::Made>,
}

/// Runs it.
///
/// # Errors
/// Whatever keeps it from being finished.
pub async fn run(size: &Size) -> anyhow::Result<Vec<Measured>> {
    let binary = find_binary(size.server.as_deref())?;
    let ground = Ground::prepare(&size.engines, size.postgres.as_deref(), 0).await?;
    let mut all = Vec::new();
    for engine in &size.engines {
        let fresh = ground.fresh(*engine).await?;
        let db = Db::connect(&fresh.url).await?;
        db.migrate().await?;
        let (mut measured, largest, expected) = measure(&db, *engine, size).await?;
        db.close().await;
        // Before the next part can fail: what is measured is said.
        eprint!("{}", as_table(std::slice::from_ref(&measured)));
        measured.files = files::make(&binary, &fresh.url, &largest, expected).await?;
        all.push(measured);
        ground.discard(fresh).await?;
    }
    Ok(all)
}

/// Measures what is asked of the database; gives the brand with the most lines, and what its file must come to.
async fn measure(db: &Db, engine: Engine, size: &Size) -> anyhow::Result<(Measured, BrandId, [i64; 2])> {
    let began = Instant::now();
    let year = ledger::write(db, size.brands, size.lines).await?;
    let fill_s = began.elapsed().as_secs_f64();
    eprintln!("{}: {} lines in {fill_s:.0} s; now the sums", engine.name(), year.lines);
    let began = Instant::now();
    requeue(db).await?;
    fold_all(db).await?;
    let fold_s = began.elapsed().as_secs_f64();
    let mut tx = db.write("statistics").await?;
    on!(&mut tx, |conn| sqlx::query("ANALYZE").execute(conn).await.map(drop)?);
    tx.commit().await?;
    let reports = Reports::new(db.clone(), Clock::system(), 14);
    let mut measured = Measured {
        engine,
        lines: year.lines,
        pairs: BTreeMap::new(),
        fill_s,
        fold_s,
        without_us: Vec::new(),
        with_us: Vec::new(),
        fold_us: Vec::new(),
        files: Vec::new(),
    };
    let largest = year.brands.first().context("no brand")?;
    for round in 0..size.rounds {
        for (n, brand) in year.brands.iter().enumerate().skip(1 + round % 5).step_by(5) {
            for (name, by, key) in [("live", By::Live, "live_id"), ("product", By::Product, "product_id")] {
                month(db, &reports, Some(brand), by, key, measured.pairs.entry(name).or_default()).await?;
            }
            minutes(db, &reports, brand, &year.lives[n], measured.pairs.entry("minute").or_default()).await?;
        }
        for _ in 0..LARGE_TURNS {
            for (name, by, key) in
                [("live, largest brand", By::Live, "live_id"), ("product, largest brand", By::Product, "product_id")]
            {
                month(db, &reports, Some(largest), by, key, measured.pairs.entry(name).or_default()).await?;
            }
            let pairs = measured.pairs.entry("minute, largest brand").or_default();
            minutes(db, &reports, largest, &year.lives[0], pairs).await?;
            month(db, &reports, None, By::Brand, "brand_id", measured.pairs.entry("brand, all").or_default()).await?;
        }
        upkeep(db, &year.brands, round, &mut measured).await?;
    }
    let expected = files::expected(&reports, largest).await?;
    Ok((measured, largest.clone(), expected))
}

type Plain = (String, i64, i64, i64, i64, i64);

async fn plain(
    db: &Db,
    key: &str,
    more: &str,
    brand: Option<&BrandId>,
    (from, to): (Millis, Millis),
) -> anyhow::Result<Vec<Plain>> {
    let of = if brand.is_some() { "brand_id = $1" } else { "$1 IS NULL" };
    let text = ledger::PLAIN.replace("{key}", key).replace("{more}", more).replace("{of}", of);
    let mut tx = db.read("plain sum").await?;
    Ok(on!(&mut tx, |conn| sqlx::query_as(sqlx::AssertSqlSafe(text))
        .bind(brand)
        .bind(from)
        .bind(to)
        .fetch_all(conn)
        .await?))
}

async fn month(
    db: &Db,
    reports: &Reports,
    brand: Option<&BrandId>,
    by: By,
    key: &str,
    pairs: &mut Pairs,
) -> anyhow::Result<()> {
    let (from, to) = ledger::month();
    let window = Window { from: Some(from), to: Some(to) };
    let asked = Asked { brand: brand.cloned(), by, window, filters: Filters::default() };
    let began = Instant::now();
    let report = reports.split(&asked, false).await.context("a report")?;
    pairs.kept.push(ms(began.elapsed()));
    let began = Instant::now();
    let rows = plain(db, key, "", brand, (from, to)).await?;
    pairs.plain.push(ms(began.elapsed()));
    let mut expected: BTreeMap<String, (i64, i64, i64, i64)> =
        rows.into_iter().map(|row| (row.0, (row.1, row.2, row.3, row.4))).collect();
    for row in report.rows {
        let figures = row.figures;
        let found = (figures.orders, figures.gross_minor, figures.net_minor, figures.commission_minor);
        if expected.remove(&row.key) != Some(found) {
            pairs.mismatches += 1;
        }
    }
    pairs.mismatches += expected.len() as u64;
    Ok(())
}

async fn minutes(
    db: &Db,
    reports: &Reports,
    brand: &BrandId,
    live: &hanamichi::ids::LiveId,
    pairs: &mut Pairs,
) -> anyhow::Result<()> {
    let began = Instant::now();
    let timeline = reports.timeline(brand, live).await.context("a timeline")?;
    pairs.kept.push(ms(began.elapsed()));
    let more = format!("AND live_id = '{live}'");
    let began = Instant::now();
    let rows = plain(db, "CAST(at_ms / 60000 AS TEXT)", &more, Some(brand), (Millis(0), Millis(i64::MAX))).await?;
    pairs.plain.push(ms(began.elapsed()));
    let expected: BTreeMap<i64, (i64, i64, i64)> =
        rows.into_iter().map(|row| (row.0.parse().unwrap_or(-1), (row.1, row.2, row.3 - row.2))).collect();
    for minute in timeline.minutes {
        let found = (minute.orders, minute.gross_minor, minute.cancelled_minor);
        if expected.get(&(minute.at_ms.0 / 60_000)).copied().unwrap_or_default() != found {
            pairs.mismatches += 1;
        }
    }
    Ok(())
}

/// Sales one by one, with and without their row in the queue; then they are folded, and that is measured, too.
async fn upkeep(db: &Db, brands: &[BrandId], round: usize, measured: &mut Measured) -> anyhow::Result<()> {
    let at = ledger::FROM_MS + 364 * 24 * 3_600_000;
    for queued in [false, true] {
        let began = Instant::now();
        for n in 0..SALES {
            let id = format!("{}-{round}-{queued}-{n}", if queued { "with" } else { "without" });
            let brand = &brands[n % brands.len()];
            let statement = format!(
                "INSERT INTO credits (id, kind, cause_id, order_id, order_line_id, brand_id, live_id, pool, party_id,
                     product_id, sku_id, customer_id, channel, qty, base_minor, share_bp, commission_bp, commission_minor,
                     currency, rule, rule_version, evidence, at_ms)
                 SELECT id, 'sale', '', id, id, '{brand}', live_id, 'liver', liver_id, 'prd_0', 'sku_0', id, 'live', 1, 1000,
                        10000, 1000, 100, 'JPY', 'direct', 1, '', {at}
                 FROM rows CROSS JOIN load_lives WHERE brand = {} AND day = 364",
                n % brands.len()
            );
            let mut rows = Rows::new(&[("id", Kind::Text)]);
            rows.push([id.as_str().into()]);
            let mut tx = db.write("a sale").await?;
            rows.execute(&mut tx, &statement).await?;
            if queued {
                rows.execute(&mut tx, "INSERT INTO sales_to_fold (order_id, cause_id) SELECT id, '' FROM rows").await?;
            }
            tx.commit().await?;
        }
        let us = ms(began.elapsed()) * 1_000.0 / 500.0;
        if queued { measured.with_us.push(us) } else { measured.without_us.push(us) }
    }
    let began = Instant::now();
    fold_all(db).await?;
    measured.fold_us.push(ms(began.elapsed()) * 1_000.0 / 500.0);
    Ok(())
}

fn ms(took: Duration) -> f64 {
    took.as_secs_f64() * 1_000.0
}

fn percentile(all: &[f64], percent: f64) -> f64 {
    let mut times = Times::default();
    all.iter().for_each(|ms| times.push(Duration::from_secs_f64(ms / 1_000.0)));
    times.percentile_ms(percent).unwrap_or_default()
}

/// The result of the run.
pub fn as_json(all: &[Measured]) -> Value {
    let pairs = all.iter().flat_map(|one| one.pairs.values()).map(|pairs| pairs.mismatches);
    let mismatches: u64 = pairs.chain(all.iter().flat_map(|one| &one.files).map(|made| made.mismatches)).sum();
    let engines: Vec<Value> = all
        .iter()
        .map(|one| {
            let kinds: BTreeMap<&str, Value> = one
                .pairs
                .iter()
                .map(|(name, pairs)| {
                    let (kept, plain) = (percentile(&pairs.kept, 50.0), percentile(&pairs.plain, 50.0));
                    let figures = json!({
                        "report_ms_p50": kept, "report_ms_p95": percentile(&pairs.kept, 95.0), "plain_sum_ms": plain,
                        "plain_sum_ms_p95": percentile(&pairs.plain, 95.0), "ratio": kept / plain,
                        "mismatches": pairs.mismatches, "report_ms": pairs.kept, "plain_ms": pairs.plain,
                    });
                    (*name, figures)
                })
                .collect();
            json!({
                "engine": one.engine.name(), "lines": one.lines, "fill_s": one.fill_s, "fold_all_s": one.fold_s,
                "by": kinds, "files": one.files.iter().map(files::Made::as_json).collect::<Vec<_>>(),
                "sale_without_us": one.without_us, "sale_with_us": one.with_us, "fold_us_a_sale": one.fold_us,
            })
        })
        .collect();
    let verdict = if mismatches == 0 { "ok" } else { "failed" };
    // The figures of the contract, of the first engine: the month by live of a brand with the ordinary share.
    let first = all.first();
    let month = first.and_then(|one| one.pairs.get("live"));
    let rows_per_s =
        first.and_then(|one| one.files.iter().find(|made| made.format == "csv")).map(files::Made::rows_per_s);
    json!({
        "lines": first.map(|one| one.lines),
        "report_ms_p95": month.map(|pairs| percentile(&pairs.kept, 95.0)),
        "plain_sum_ms": month.map(|pairs| percentile(&pairs.plain, 50.0)),
        "ratio": month.map(|pairs| percentile(&pairs.kept, 50.0) / percentile(&pairs.plain, 50.0)),
        "export_rows_per_s": rows_per_s,
        "verdict": verdict, "mismatches": mismatches, "engines": engines,
    })
}

/// The same for people.
pub fn as_table(all: &[Measured]) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    for one in all {
        let _ = writeln!(
            text,
            "{}: {} lines, filled in {:.0} s, all sums made in {:.0} s",
            one.engine.name(),
            one.lines,
            one.fill_s,
            one.fold_s
        );
        for (name, pairs) in &one.pairs {
            let (kept, plain) = (percentile(&pairs.kept, 50.0), percentile(&pairs.plain, 50.0));
            let _ = writeln!(
                text,
                "  by {name:<22} {kept:>8.2} ms (p95 {:.2}), plain sum {plain:>9.2} ms (p95 {:.2}), ratio {:.3}, {} pairs, {} differ",
                percentile(&pairs.kept, 95.0),
                percentile(&pairs.plain, 95.0),
                kept / plain,
                pairs.kept.len(),
                pairs.mismatches
            );
        }
        for made in &one.files {
            let _ = writeln!(
                text,
                "  {} of {} rows: {:.1} s ({:.0} rows/s), {:.0} MB, {:.1} MiB above the {:.1} of the idle server, {} differ",
                made.format,
                made.rows,
                made.seconds,
                made.rows_per_s(),
                made.bytes as f64 / 1e6,
                made.above_kib as f64 / 1024.0,
                made.idle_kib as f64 / 1024.0,
                made.mismatches
            );
        }
        for (round, ((without, with), fold)) in one.without_us.iter().zip(&one.with_us).zip(&one.fold_us).enumerate() {
            let _ = writeln!(
                text,
                "  round {round}: a sale {without:.0} us without and {with:.0} us with its row in the queue; folding it {fold:.0} us"
            );
        }
    }
    text
}
