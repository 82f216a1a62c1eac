//! Table: `outbox`, and the relay that tells what it holds.
//!
//! A fact is written in the transaction that makes it true; after the commit somebody rings, and the relay publishes
//! what has not been told, in id order, then marks it. It also looks at start (after a crash) and every second.
//! Invariant: nothing stored is left untold; a crash between telling and marking tells twice, never not at all.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Bus, Fact};
use crate::{
    clock::{Clock, Millis},
    ids::OutboxId,
    on,
    store::{Db, Kind, Rows, StoreError, Tx},
    tasks::Tasks,
};

/// Rows told per page: one page is one read, one mark.
const PAGE: i64 = 64;
/// Facts of one row. A batch of sales is told as a few rows: a row costs the database more than its text.
const FACTS_PER_ROW: usize = 200;
/// The safety net under a bell that was not rung.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Longest pause while the database or the bus is away.
const MAX_BACK_OFF: Duration = Duration::from_secs(5);
/// Told rows are kept this long, to look into what was told.
const KEEP_TOLD_MS: i64 = 10 * 60 * 1_000;
/// Told rows are removed this often …
const SWEEP_EVERY_MS: i64 = 60 * 1_000;
/// … and this many at once, so that no removal holds the writer for long.
const SWEEP_PAGE: i64 = 2_000;

fn payload(fact: &Fact) -> String {
    serde_json::to_string(fact).expect("facts hold text, numbers and proto messages")
}

/// Writes a fact into the caller's transaction. After the commit, ring.
///
/// # Errors
/// The database's.
pub async fn append(tx: &mut Tx, fact: &Fact, now: Millis) -> Result<OutboxId, StoreError> {
    let id = OutboxId::fresh();
    on!(tx, |conn| {
        sqlx::query(
            "INSERT INTO outbox (id, payload, created_at_ms)
             VALUES ($1, $2, $3)",
        )
        .bind(&id)
        .bind(payload(fact))
        .bind(now)
        .execute(conn)
        .await?;
    });
    Ok(id)
}

/// Writes many facts as few rows; they will be told in this order.
///
/// # Errors
/// The database's.
pub async fn append_many(tx: &mut Tx, facts: &[Fact], now: Millis) -> Result<(), StoreError> {
    const APPEND: &str = "INSERT INTO outbox (id, payload, created_at_ms) SELECT id, payload, at_ms FROM rows";
    let mut rows = Rows::new(&[("id", Kind::Text), ("payload", Kind::Text), ("at_ms", Kind::Number)]);
    for page in facts.chunks(FACTS_PER_ROW) {
        let payload = serde_json::to_string(page).expect("facts hold text, numbers and proto messages");
        rows.push([String::from(OutboxId::fresh()).into(), payload.into(), now.into()]);
    }
    rows.execute(tx, APPEND).await?;
    Ok(())
}

/// What a row holds: one fact, or several that became true together.
fn read(payload: &str) -> Result<Vec<Fact>, serde_json::Error> {
    if payload.starts_with('[') { serde_json::from_str(payload) } else { Ok(vec![serde_json::from_str(payload)?]) }
}

async fn untold(tx: &mut Tx) -> Result<Vec<(String, String)>, StoreError> {
    Ok(on!(tx, |conn| {
        sqlx::query_as::<_, (String, String)>(
            "SELECT id, payload
             FROM outbox
             WHERE told_at_ms IS NULL
             ORDER BY id
             LIMIT $1",
        )
        .bind(PAGE)
        .fetch_all(conn)
        .await?
    }))
}

async fn mark_told(tx: &mut Tx, ids: &[&str], now: Millis) -> Result<(), StoreError> {
    let ids = serde_json::to_string(ids).expect("ids are text");
    // As in `append_many`: the list travels as one JSON text, which each engine opens in its own way.
    let text = if tx.is_sqlite() {
        "UPDATE outbox
         SET told_at_ms = $2
         WHERE id IN (SELECT value FROM json_each($1))"
    } else {
        "UPDATE outbox
         SET told_at_ms = $2
         WHERE id IN (SELECT json_array_elements_text(CAST($1 AS json)))"
    };
    on!(tx, |conn| {
        sqlx::query(text).bind(ids).bind(now).execute(conn).await?;
    });
    Ok(())
}

async fn sweep(tx: &mut Tx, before: Millis) -> Result<u64, StoreError> {
    Ok(on!(tx, |conn| {
        sqlx::query(
            "DELETE FROM outbox
             WHERE id IN (SELECT id FROM outbox WHERE told_at_ms < $1 ORDER BY id LIMIT $2)",
        )
        .bind(before)
        .bind(SWEEP_PAGE)
        .execute(conn)
        .await?
        .rows_affected()
    }))
}

/// The only publisher of outbox rows. Cheap to clone; [`Relay::ring`] it after each commit that appended.
#[derive(Debug, Clone)]
pub struct Relay {
    db: Db,
    bus: Bus,
    clock: Clock,
    bell: Arc<Notify>,
}

enum Page {
    /// Nothing was left to tell.
    Empty,
    /// A page was told; there may be more.
    Told,
    /// Database or bus is away.
    Away,
}

impl Relay {
    /// A relay from this database to this bus; it begins with [`Relay::start`].
    #[must_use]
    pub fn new(db: Db, bus: Bus, clock: Clock) -> Self {
        Self { db, bus, clock, bell: Arc::new(Notify::new()) }
    }

    /// There is something to tell. Costs nothing; many rings before a look are one.
    pub fn ring(&self) {
        self.bell.notify_one();
    }

    /// Begins to tell, with what an earlier process left untold.
    pub fn start(&self, tasks: &Tasks) {
        let (relay, stopping) = (self.clone(), tasks.stopping());
        tasks.spawn("outbox relay", async move { relay.run(stopping).await });
    }

    async fn run(self, stopping: CancellationToken) {
        let mut back_off = Duration::ZERO;
        let mut swept_at = self.clock.now();
        loop {
            match self.tell_page().await {
                Page::Told => {
                    back_off = Duration::ZERO;
                    continue;
                }
                Page::Empty => back_off = Duration::ZERO,
                Page::Away => back_off = (back_off * 2).clamp(Duration::from_millis(100), MAX_BACK_OFF),
            }
            if stopping.is_cancelled() {
                return;
            }
            let now = self.clock.now();
            if back_off.is_zero() && now.since(swept_at) >= SWEEP_EVERY_MS {
                swept_at = now;
                self.sweep(now).await;
            }
            if back_off.is_zero() {
                tokio::select! {
                    () = self.bell.notified() => {}
                    () = self.clock.sleep(LOOK_EVERY) => {}
                    // Once more, for what was committed while stopping.
                    () = stopping.cancelled() => {}
                }
            } else {
                tokio::select! {
                    () = tokio::time::sleep(back_off) => {}
                    () = stopping.cancelled() => return,
                }
            }
        }
    }

    async fn tell_page(&self) -> Page {
        let rows = match self.read_untold().await {
            Ok(rows) => rows,
            Err(error) => {
                tracing::warn!(%error, "outbox cannot be read; trying again");
                return Page::Away;
            }
        };
        if rows.is_empty() {
            return Page::Empty;
        }
        let mut told = Vec::with_capacity(rows.len());
        for (id, payload) in &rows {
            match read(payload) {
                Ok(facts) => {
                    let mut away = false;
                    for fact in facts {
                        away = away || self.bus.publish(fact).await.is_err();
                    }
                    if away {
                        break;
                    }
                }
                // A row of a newer version: nobody here could understand it, and waiting would block the rest.
                Err(error) => tracing::error!(outbox.id = id, %error, "outbox row is not understood; passed over"),
            }
            told.push(id.as_str());
        }
        match self.mark(&told).await {
            Ok(()) if told.len() == rows.len() => Page::Told,
            Ok(()) => Page::Away,
            Err(error) => {
                tracing::warn!(%error, "told rows cannot be marked; they will be told again");
                Page::Away
            }
        }
    }

    async fn read_untold(&self) -> Result<Vec<(String, String)>, StoreError> {
        let mut tx = self.db.read("outbox untold").await?;
        untold(&mut tx).await
    }

    async fn mark(&self, told: &[&str]) -> Result<(), StoreError> {
        if told.is_empty() {
            return Ok(());
        }
        let mut tx = self.db.write("outbox told").await?;
        mark_told(&mut tx, told, self.clock.now()).await?;
        tx.commit().await
    }

    async fn sweep(&self, now: Millis) {
        let swept = async {
            let mut tx = self.db.write("outbox sweep").await?;
            let rows = sweep(&mut tx, Millis(now.0 - KEEP_TOLD_MS)).await?;
            tx.commit().await?;
            Ok::<_, StoreError>(rows)
        };
        match swept.await {
            Ok(rows) => tracing::debug!(rows, "outbox swept"),
            Err(error) => tracing::warn!(%error, "outbox cannot be swept; trying again later"),
        }
    }
}
