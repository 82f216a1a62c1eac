//! Table: `outbox`, and the relay that tells what it holds.
//!
//! A fact is written in the transaction that makes it true; after the commit somebody hands it over, or rings, and the
//! relay publishes what has not been told, in id order, then marks it. It also looks at start (after a crash) and every
//! second.
//! Invariant: nothing stored is left untold; a crash between telling and marking tells twice, never not at all.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{Bus, BusAway, Fact};
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
/// Rows that may be handed over and not told yet; more are read back from the table.
const MAX_HANDED: usize = 1_024;
/// Told rows are marked together: so many …
const MARK_AT: usize = 256;
/// … or after so long. A crash in between tells them again.
const MARK_EVERY: Duration = Duration::from_millis(250);
/// The safety net under a bell that was not rung.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Longest pause while the database or the bus is away: a node that goes on alone tells its viewers at this pace.
const MAX_BACK_OFF: Duration = Duration::from_secs(1);
/// A row may be committed so long after it was written: while the bus is away, rows are read again for so long.
const COMMITTED_WITHIN_MS: i64 = 30 * 1_000;
/// Told rows are kept this long, to look into what was told.
const KEEP_TOLD_MS: i64 = 10 * 60 * 1_000;
/// Told rows are removed this often …
const SWEEP_EVERY_MS: i64 = 60 * 1_000;
/// … and this many at once, so that no removal holds the writer for long.
const SWEEP_PAGE: i64 = 2_000;

fn payload(fact: &Fact) -> String {
    serde_json::to_string(fact).expect("facts hold text, numbers and proto messages")
}

/// Writes a fact into the caller's transaction. After the commit, [`Relay::tell`] it, or ring.
///
/// # Errors
/// The database's.
pub async fn append(tx: &mut Tx, fact: Fact, now: Millis) -> Result<Written, StoreError> {
    let id = OutboxId::fresh();
    on!(tx, |conn| {
        sqlx::query(
            "INSERT INTO outbox (id, payload, created_at_ms)
             VALUES ($1, $2, $3)",
        )
        .bind(&id)
        .bind(payload(&fact))
        .bind(now)
        .execute(conn)
        .await?;
    });
    Ok(Written { id, facts: vec![fact] })
}

/// Facts that were written as one row.
#[derive(Debug)]
pub struct Written {
    id: OutboxId,
    facts: Vec<Fact>,
}

/// Writes many facts as few rows; they will be told in this order. After the commit, [`Relay::tell`] them, or ring.
///
/// # Errors
/// The database's.
pub async fn append_many(tx: &mut Tx, facts: Vec<Fact>, now: Millis) -> Result<Vec<Written>, StoreError> {
    const APPEND: &str = "INSERT INTO outbox (id, payload, created_at_ms) SELECT id, payload, at_ms FROM rows";
    let mut rows = Rows::new(&[("id", Kind::Text), ("payload", Kind::Text), ("at_ms", Kind::Number)]);
    let mut written = Vec::with_capacity(facts.len() / FACTS_PER_ROW + 1);
    let mut facts = facts.into_iter().peekable();
    while facts.peek().is_some() {
        let page: Vec<Fact> = facts.by_ref().take(FACTS_PER_ROW).collect();
        let (id, payload) =
            (OutboxId::fresh(), serde_json::to_string(&page).expect("facts hold text, numbers and proto messages"));
        rows.push([id.to_string().into(), payload.into(), now.into()]);
        written.push(Written { id, facts: page });
    }
    rows.execute(tx, APPEND).await?;
    Ok(written)
}

/// What a row holds: one fact, or several that became true together.
fn read(payload: &str) -> Result<Vec<Fact>, serde_json::Error> {
    if payload.starts_with('[') { serde_json::from_str(payload) } else { Ok(vec![serde_json::from_str(payload)?]) }
}

/// Written at this time or later, after this row.
async fn untold(tx: &mut Tx, since: Millis, after: &str) -> Result<Vec<(OutboxId, String)>, StoreError> {
    const UNTOLD: &str = "
        SELECT id, payload
        FROM outbox
        WHERE told_at_ms IS NULL AND id > $1 AND created_at_ms >= $2
        ORDER BY id
        LIMIT $3";
    Ok(on!(tx, |conn| sqlx::query_as(UNTOLD).bind(after).bind(since).bind(PAGE).fetch_all(conn).await?))
}

async fn mark_told(tx: &mut Tx, ids: &[OutboxId], now: Millis) -> Result<(), StoreError> {
    const MARK: &str = "UPDATE outbox SET told_at_ms = rows.at_ms FROM rows WHERE outbox.id = rows.id";
    let mut rows = Rows::new(&[("id", Kind::Text), ("at_ms", Kind::Number)]);
    for id in ids {
        rows.push([id.into(), now.into()]);
    }
    rows.execute(tx, MARK).await?;
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
    /// There may be rows that nobody has handed over.
    look: Arc<AtomicBool>,
    /// Committed rows that need not be read back.
    handed: Arc<Mutex<Vec<Written>>>,
}

/// The database or the bus is away.
struct Away;

/// While the bus is away: from when on rows may not have been told on this node.
type Alone = Option<Millis>;

impl Relay {
    /// A relay from this database to this bus; it begins with [`Relay::start`].
    #[must_use]
    pub fn new(db: Db, bus: Bus, clock: Clock) -> Self {
        let look = Arc::new(AtomicBool::new(true));
        Self { db, bus, clock, bell: Arc::new(Notify::new()), look, handed: Arc::default() }
    }

    /// There is something to tell. Costs nothing; many rings before a look are one.
    pub fn ring(&self) {
        self.look.store(true, Ordering::Release);
        self.bell.notify_one();
    }

    /// Hands over what was just committed, so that it need not be read back. When too much waits, it is read after all.
    pub fn tell(&self, written: Vec<Written>) {
        let mut handed = self.handed.lock();
        if handed.len() + written.len() > MAX_HANDED {
            drop(handed);
            self.ring();
        } else if !written.is_empty() {
            handed.extend(written);
            drop(handed);
            self.bell.notify_one();
        }
    }

    /// Tells facts that are lost with the process, at once.
    pub fn offer(&self, fact: Fact) {
        self.bus.offer(fact);
    }

    /// Begins to tell, with what an earlier process left untold.
    pub fn start(&self, tasks: &Tasks) {
        let (relay, stopping) = (self.clone(), tasks.stopping());
        tasks.spawn("outbox relay", async move { relay.run(stopping).await });
    }

    async fn run(self, stopping: CancellationToken) {
        let mut back_off = Duration::ZERO;
        let mut swept_at = self.clock.now();
        // Told, and not marked yet: one mark for many rows, since a mark is a commit of its own.
        let mut told: Vec<OutboxId> = Vec::new();
        let mut marked_at = Instant::now();
        let mut alone: Alone = None;
        loop {
            let last_time = stopping.is_cancelled();
            let mut outcome = self.tell_handed(&mut told).await;
            let looks = self.look.swap(false, Ordering::AcqRel) || last_time;
            let due = told.len() >= MARK_AT || marked_at.elapsed() >= MARK_EVERY;
            if outcome.is_ok() && !told.is_empty() && (looks || due) {
                outcome = self.mark(&mut told).await;
                marked_at = Instant::now();
            }
            if outcome.is_ok() && looks {
                outcome = self.tell_pages(&mut alone).await;
            }
            if outcome.is_err() {
                self.look.store(true, Ordering::Release);
            }
            if last_time {
                return;
            }
            let now = self.clock.now();
            match outcome {
                Ok(()) => back_off = Duration::ZERO,
                Err(Away) => {
                    back_off = (back_off * 2).clamp(Duration::from_millis(100), MAX_BACK_OFF);
                    tokio::select! {
                        () = tokio::time::sleep(back_off) => {}
                        () = stopping.cancelled() => {}
                    }
                    continue;
                }
            }
            if now.since(swept_at) >= SWEEP_EVERY_MS {
                swept_at = now;
                self.sweep(now).await;
            }
            tokio::select! {
                () = self.bell.notified() => {}
                () = self.clock.sleep(LOOK_EVERY) => self.look.store(true, Ordering::Release),
                () = tokio::time::sleep_until(marked_at + MARK_EVERY), if !told.is_empty() => {}
                // Once more, for what was committed while stopping.
                () = stopping.cancelled() => {}
            }
        }
    }

    async fn tell_handed(&self, told: &mut Vec<OutboxId>) -> Result<(), Away> {
        let handed = std::mem::take(&mut *self.handed.lock());
        let mut outcome = Ok(());
        for written in handed {
            match self.bus.publish_all(written.facts).await {
                Ok(()) => told.push(written.id),
                Err(BusAway::OnlyHere) => outcome = Err(Away),
                // What is not told now is read again later, with everything that was handed over after it.
                Err(BusAway::Silent) => return Err(Away),
            }
        }
        outcome
    }

    /// Tells what is stored and was not handed over. While the bus is away this node is told of every row, those of
    /// other nodes too, and no row is marked: all are told to everybody when it is back.
    async fn tell_pages(&self, alone: &mut Alone) -> Result<(), Away> {
        let (began, since) = (self.clock.now(), alone.unwrap_or(Millis(0)));
        let mut after = String::new();
        let mut only_here = false;
        loop {
            let rows = self.read_untold(since, &after).await.map_err(|error| {
                tracing::warn!(%error, "outbox cannot be read; trying again");
                Away
            })?;
            // What is handed over at this moment is told by this page too: twice, which is harmless.
            let Some((last, _)) = rows.last() else { break };
            after = last.to_string();
            let mut told = Vec::with_capacity(rows.len());
            for (id, payload) in rows {
                match read(&payload) {
                    Ok(facts) => match self.bus.publish_all(facts).await {
                        Ok(()) => {}
                        Err(BusAway::OnlyHere) => {
                            only_here = true;
                            continue;
                        }
                        Err(BusAway::Silent) => {
                            *alone = None;
                            self.mark(&mut told).await?;
                            return Err(Away);
                        }
                    },
                    // A row of a newer version: nobody here could understand it, and waiting would block the rest.
                    Err(error) => tracing::error!(outbox.id = %id, %error, "outbox row is not understood; passed over"),
                }
                told.push(id);
            }
            self.mark(&mut told).await?;
        }
        if only_here {
            *alone = Some(Millis(began.0 - COMMITTED_WITHIN_MS));
            return Err(Away);
        }
        // With rows from before that time left out, or the bus back in between, everything is looked at once more.
        let whole = since == Millis(0);
        *alone = None;
        if whole { Ok(()) } else { Err(Away) }
    }

    async fn read_untold(&self, since: Millis, after: &str) -> Result<Vec<(OutboxId, String)>, StoreError> {
        let mut tx = self.db.read("outbox untold").await?;
        untold(&mut tx, since, after).await
    }

    async fn mark(&self, told: &mut Vec<OutboxId>) -> Result<(), Away> {
        if told.is_empty() {
            return Ok(());
        }
        let marked = async {
            let mut tx = self.db.write("outbox told").await?;
            mark_told(&mut tx, told, self.clock.now()).await?;
            tx.commit().await
        };
        let marked: Result<(), StoreError> = marked.await;
        marked.map_err(|error| {
            tracing::warn!(%error, "told rows cannot be marked; they will be told again");
            Away
        })?;
        told.clear();
        Ok(())
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
