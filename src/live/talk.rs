//! Table: `chat`, `reactions`, `audiences`, `audience_minutes`, `pin_audiences`, and the peak of viewers: what is told first and stored in batches.
//!
//! A room never waits for these rows. The writer takes what has queued up, at most [`LINGER`] old, and writes it in one
//! transaction; at stop it writes what is left.
//! Invariant: the queue is bounded; when it is full (the database has been away for long) the newest lines are not
//! archived, and that is logged. Nothing people pay by goes this way.

use std::{collections::BTreeMap, time::Duration};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{presence::MinuteWatched, shows::Shown, uniques::Uniques};
use crate::{
    clock::Millis,
    ids::{AccountId, ChatId, CustomerId, LiveId},
    on,
    store::{Db, Kind, Rows, StoreError, Tx},
    tasks::Tasks,
    wire,
};

/// Entries that may wait: a minute of ten busy rooms.
const QUEUE: usize = 24_000;
/// Entries of one transaction.
const BATCH: usize = 1_000;
/// How long the first entry of a batch waits for company.
const LINGER: Duration = Duration::from_millis(250);
/// Pause after a failure; the batch is kept.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// Longest wait for what was said a moment ago.
const FLUSH_WITHIN: Duration = Duration::from_secs(2);
/// Tries at stop, so that a database that is away does not hold the stop for ever.
const TRIES_AT_STOP: u32 = 3;

/// One thing to be stored.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    /// Somebody said this.
    Chat { live: LiveId, author: AccountId, message: wire::ChatMessage },
    /// So many more reactions.
    Reactions { live: LiveId, kind: String, more: i64 },
    /// So many watched at once.
    Peak { live: LiveId, viewers: i64 },
    /// So much more was watched; these came, and these of them stayed long enough to have watched, at least.
    Audience { live: LiveId, watched_ms: i64, uniques: Uniques, watchers: Uniques },
    /// So many watched at once, and for so long, minute by minute.
    Minutes { live: LiveId, minutes: BTreeMap<i64, MinuteWatched> },
    /// These at least had a pin before them, and tapped it.
    Shown(Shown),
    /// Whoever waits at the other end hears when everything before this is stored: the sender is dropped with the batch.
    Flush {
        #[expect(dead_code, reason = "its drop is the answer")]
        waiting: mpsc::Sender<()>,
    },
}

/// Where entries go in. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Scribe {
    queue: mpsc::Sender<Entry>,
}

impl Scribe {
    pub(super) fn start(db: Db, tasks: &Tasks) -> Self {
        let (queue, entries) = mpsc::channel(QUEUE);
        let stopping = tasks.stopping();
        tasks.spawn("chat archive", async move { write_all(db, entries, stopping).await });
        Self { queue }
    }

    pub(super) fn note(&self, entry: Entry) {
        if self.queue.try_send(entry).is_err() {
            tracing::error!("chat archive is full or stopped; an entry is not stored");
        }
    }

    /// Waits, not for long, until what was said on this node before is stored.
    pub(super) async fn flush(&self) {
        let (waiting, mut done) = mpsc::channel(1);
        if self.queue.try_send(Entry::Flush { waiting }).is_ok() {
            let _ = tokio::time::timeout(FLUSH_WITHIN, done.recv()).await;
        }
    }
}

async fn write_all(db: Db, mut entries: mpsc::Receiver<Entry>, stopping: CancellationToken) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            got = entries.recv_many(&mut batch, BATCH) => if got == 0 { return },
            () = stopping.cancelled() => break,
        }
        tokio::select! {
            () = tokio::time::sleep(LINGER) => {}
            () = stopping.cancelled() => {}
        }
        while batch.len() < BATCH {
            let Ok(entry) = entries.try_recv() else { break };
            batch.push(entry);
        }
        while !batch.is_empty() && !stopping.is_cancelled() {
            match write(&db, &batch).await {
                Ok(()) => batch.clear(),
                Err(error) => {
                    tracing::warn!(%error, entries = batch.len(), "chat archive cannot write; trying again");
                    tokio::select! {
                        () = tokio::time::sleep(RETRY_EVERY) => {}
                        () = stopping.cancelled() => {}
                    }
                }
            }
        }
        if stopping.is_cancelled() {
            break;
        }
    }
    finish(&db, batch, entries).await;
}

/// Rooms may still close and leave their last words, so the end of the queue is awaited for a moment.
async fn finish(db: &Db, mut batch: Vec<Entry>, mut entries: mpsc::Receiver<Entry>) {
    while let Ok(Some(entry)) = tokio::time::timeout(LINGER, entries.recv()).await {
        batch.push(entry);
    }
    if batch.is_empty() {
        return;
    }
    for _ in 0..TRIES_AT_STOP {
        match write(db, &batch).await {
            Ok(()) => return,
            Err(error) => tracing::warn!(%error, "chat archive cannot write its last entries"),
        }
        tokio::time::sleep(RETRY_EVERY).await;
    }
    tracing::error!(entries = batch.len(), "chat archive gives up its last entries");
}

async fn write(db: &Db, batch: &[Entry]) -> Result<(), StoreError> {
    let mut lines = Vec::new();
    let mut reactions: BTreeMap<(&LiveId, &str), i64> = BTreeMap::new();
    let mut peaks: BTreeMap<&LiveId, i64> = BTreeMap::new();
    let mut audiences: BTreeMap<&LiveId, (i64, Uniques, Uniques)> = BTreeMap::new();
    let mut minutes: BTreeMap<(&LiveId, i64), MinuteWatched> = BTreeMap::new();
    let mut shown: BTreeMap<&str, &Shown> = BTreeMap::new();
    for entry in batch {
        match entry {
            Entry::Chat { live, author, message } => lines.push(serde_json::json!({
                "id": message.id, "live_id": live, "account_id": author, "author_name": message.author_name,
                "author_role": message.author_role, "text": message.text, "at_ms": message.at_ms, "demo": message.demo,
            })),
            Entry::Reactions { live, kind, more } => *reactions.entry((live, kind)).or_default() += more,
            Entry::Peak { live, viewers } => {
                let peak = peaks.entry(live).or_default();
                *peak = (*peak).max(*viewers);
            }
            Entry::Audience { live, watched_ms, uniques, watchers } => {
                let audience = audiences.entry(live).or_default();
                audience.0 += watched_ms;
                audience.1.merge(uniques);
                audience.2.merge(watchers);
            }
            Entry::Minutes { live, minutes: more } => {
                for (minute, more) in more {
                    let of: &mut MinuteWatched = minutes.entry((live, *minute)).or_default();
                    of.peak = of.peak.max(more.peak);
                    of.watched_ms += more.watched_ms;
                }
            }
            // Registers only grow: the newest of this node has the others.
            Entry::Shown(of) => drop(shown.insert(&of.pin, of)),
            Entry::Flush { .. } => {}
        }
    }
    let mut tx = db.write("chat archive").await?;
    if !lines.is_empty() {
        insert_chat(&mut tx, &serde_json::Value::Array(lines).to_string()).await?;
    }
    for ((live, kind), more) in reactions {
        add_reactions(&mut tx, live, kind, more).await?;
    }
    for (live, viewers) in peaks {
        super::archive::raise_peak(&mut tx, live, viewers).await?;
    }
    for (live, (watched_ms, uniques, watchers)) in audiences {
        add_audience(&mut tx, live, watched_ms, (uniques, watchers)).await?;
    }
    add_minutes(&mut tx, &minutes).await?;
    for shown in shown.into_values() {
        add_shown(&mut tx, shown).await?;
    }
    tx.commit().await
}

/// Nodes merge what each has counted: the row is locked by the first statement.
async fn add_audience(
    tx: &mut Tx,
    live: &LiveId,
    watched_ms: i64,
    (mut uniques, mut watchers): (Uniques, Uniques),
) -> Result<(), StoreError> {
    let (came, stayed) = on!(&mut *tx, |conn| {
        sqlx::query_as::<_, (String, String)>(
            "INSERT INTO audiences (live_id, watched_ms, unique_viewers, uniques)
             VALUES ($1, $2, 0, '')
             ON CONFLICT (live_id) DO UPDATE SET watched_ms = audiences.watched_ms + excluded.watched_ms
             RETURNING uniques, watcher_registers",
        )
        .bind(live)
        .bind(watched_ms)
        .fetch_one(conn)
        .await?
    });
    uniques.merge(&Uniques::from_text(&came));
    watchers.merge(&Uniques::from_text(&stayed));
    on!(tx, |conn| {
        sqlx::query(
            "UPDATE audiences SET uniques = $2, unique_viewers = $3, watcher_registers = $4, watchers = $5
             WHERE live_id = $1",
        )
        .bind(live)
        .bind(uniques.to_text())
        .bind(i64::from(uniques.count()))
        .bind(watchers.to_text())
        .bind(i64::from(watchers.count()))
        .execute(conn)
        .await?;
    });
    Ok(())
}

async fn add_minutes(tx: &mut Tx, minutes: &BTreeMap<(&LiveId, i64), MinuteWatched>) -> Result<(), StoreError> {
    // (SQLite's MAX of two is PostgreSQL's GREATEST.)
    const ADD: &str = "
        INSERT INTO audience_minutes (live_id, minute, peak, watched_ms)
        SELECT live_id, minute, peak, watched_ms FROM rows WHERE true
        ON CONFLICT (live_id, minute) DO UPDATE SET
            peak = CASE WHEN excluded.peak > audience_minutes.peak THEN excluded.peak ELSE audience_minutes.peak END,
            watched_ms = audience_minutes.watched_ms + excluded.watched_ms";
    let mut rows = Rows::new(&[
        ("live_id", Kind::Text),
        ("minute", Kind::Number),
        ("peak", Kind::Number),
        ("watched_ms", Kind::Number),
    ]);
    for ((live, minute), of) in minutes {
        rows.push([(*live).into(), (*minute).into(), i64::from(of.peak).into(), of.watched_ms.into()]);
    }
    rows.execute(tx, ADD).await?;
    Ok(())
}

/// As with audiences, nodes merge what each has counted.
async fn add_shown(tx: &mut Tx, of: &Shown) -> Result<(), StoreError> {
    let (stored_shown, stored_tapped) = on!(&mut *tx, |conn| {
        sqlx::query_as::<_, (String, String)>(
            "INSERT INTO pin_audiences (pin_id, shown_to, shown, tapped_by, tapped)
             VALUES ($1, 0, '', 0, '')
             ON CONFLICT (pin_id) DO UPDATE SET shown_to = pin_audiences.shown_to
             RETURNING shown, tapped",
        )
        .bind(&of.pin)
        .fetch_one(conn)
        .await?
    });
    let (mut shown, mut tapped) = (of.shown.clone(), of.tapped.clone());
    shown.merge(&Uniques::from_text(&stored_shown));
    tapped.merge(&Uniques::from_text(&stored_tapped));
    on!(tx, |conn| {
        sqlx::query(
            "UPDATE pin_audiences SET shown_to = $2, shown = $3, tapped_by = $4, tapped = $5 WHERE pin_id = $1",
        )
        .bind(&of.pin)
        .bind(i64::from(shown.count()))
        .bind(shown.to_text())
        .bind(i64::from(tapped.count()))
        .bind(tapped.to_text())
        .execute(conn)
        .await?;
    });
    Ok(())
}

/// Viewer milliseconds of a live, and who came, as it is stored.
pub(super) async fn audience(tx: &mut Tx, live: &LiveId) -> Result<(i64, String), StoreError> {
    let found = on!(tx, |conn| {
        sqlx::query_as::<_, (i64, String)>("SELECT watched_ms, uniques FROM audiences WHERE live_id = $1")
            .bind(live)
            .fetch_optional(conn)
            .await?
    });
    Ok(found.unwrap_or_default())
}

async fn insert_chat(tx: &mut Tx, lines: &str) -> Result<(), StoreError> {
    // Each engine has its own way to make rows from one JSON text; by either the batch costs one round trip.
    let text = if tx.is_sqlite() {
        "INSERT INTO chat (id, live_id, account_id, author_name, author_role, text, at_ms, demo)
         SELECT value ->> 'id', value ->> 'live_id', value ->> 'account_id', value ->> 'author_name',
                value ->> 'author_role', value ->> 'text', value ->> 'at_ms', value ->> 'demo'
         FROM json_each($1)
         WHERE true
         ON CONFLICT (id) DO NOTHING"
    } else {
        "INSERT INTO chat (id, live_id, account_id, author_name, author_role, text, at_ms, demo)
         SELECT id, live_id, account_id, author_name, author_role, text, at_ms, demo
         FROM json_to_recordset(CAST($1 AS json)) AS r (id TEXT, live_id TEXT, account_id TEXT, author_name TEXT,
              author_role TEXT, text TEXT, at_ms BIGINT, demo BOOLEAN)
         ON CONFLICT (id) DO NOTHING"
    };
    on!(tx, |conn| {
        sqlx::query(text).bind(lines).execute(conn).await?;
    });
    Ok(())
}

async fn add_reactions(tx: &mut Tx, live: &LiveId, kind: &str, more: i64) -> Result<(), StoreError> {
    on!(tx, |conn| {
        sqlx::query(
            "INSERT INTO reactions (live_id, kind, total)
             VALUES ($1, $2, $3)
             ON CONFLICT (live_id, kind) DO UPDATE SET total = reactions.total + excluded.total",
        )
        .bind(live)
        .bind(kind)
        .bind(more)
        .execute(conn)
        .await?;
    });
    Ok(())
}

#[derive(sqlx::FromRow)]
struct ChatRow {
    id: String,
    author_name: String,
    author_role: String,
    text: String,
    at_ms: Millis,
    demo: bool,
}

/// The newest messages that were not deleted, oldest first.
pub(super) async fn newest(tx: &mut Tx, live: &LiveId, limit: i64) -> Result<Vec<wire::ChatMessage>, StoreError> {
    let rows = on!(tx, |conn| {
        sqlx::query_as::<_, ChatRow>(
            "SELECT id, author_name, author_role, text, at_ms, demo
             FROM chat
             WHERE live_id = $1 AND deleted_at_ms IS NULL
             ORDER BY id DESC
             LIMIT $2",
        )
        .bind(live)
        .bind(limit)
        .fetch_all(conn)
        .await?
    });
    let message = |row: ChatRow| wire::ChatMessage {
        id: row.id,
        author_name: row.author_name,
        author_role: row.author_role,
        text: row.text,
        at_ms: row.at_ms.0,
        demo: row.demo,
    };
    Ok(rows.into_iter().rev().map(message).collect())
}

/// A line as it is stored.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) live: LiveId,
    pub(super) account: AccountId,
    pub(super) deleted: bool,
    pub(super) message: wire::ChatMessage,
}

/// A line, deleted or not.
pub(super) async fn find_line(tx: &mut Tx, chat: &ChatId) -> Result<Option<Line>, StoreError> {
    type Row = (LiveId, AccountId, Option<Millis>, String, String, String, Millis, bool);
    let row = on!(tx, |conn| {
        sqlx::query_as::<_, Row>(
            "SELECT live_id, account_id, deleted_at_ms, author_name, author_role, text, at_ms, demo
             FROM chat
             WHERE id = $1",
        )
        .bind(chat)
        .fetch_optional(conn)
        .await?
    });
    let line = |(live, account, deleted_at, author_name, author_role, text, at, demo): Row| {
        let message = wire::ChatMessage { id: chat.to_string(), author_name, author_role, text, at_ms: at.0, demo };
        Line { live, account, deleted: deleted_at.is_some(), message }
    };
    Ok(row.map(line))
}

/// Takes a line away; whether it was there.
pub(super) async fn delete(tx: &mut Tx, chat: &ChatId, now: Millis) -> Result<bool, StoreError> {
    let rows = on!(tx, |conn| {
        sqlx::query("UPDATE chat SET deleted_at_ms = $2 WHERE id = $1 AND deleted_at_ms IS NULL")
            .bind(chat)
            .bind(now)
            .execute(conn)
            .await?
            .rows_affected()
    });
    Ok(rows > 0)
}

/// Takes away what a person said in a live since a line; which lines those were.
pub(super) async fn delete_since(
    tx: &mut Tx,
    live: &LiveId,
    customer: &CustomerId,
    since: &str,
    now: Millis,
) -> Result<Vec<ChatId>, StoreError> {
    let rows = on!(tx, |conn| {
        sqlx::query_as::<_, (ChatId,)>(
            "UPDATE chat
             SET deleted_at_ms = $4
             WHERE live_id = $1 AND id >= $3 AND deleted_at_ms IS NULL
               AND account_id IN (SELECT value FROM identities WHERE kind = 'account' AND customer_id = $2)
             RETURNING id",
        )
        .bind(live)
        .bind(customer)
        .bind(since)
        .bind(now)
        .fetch_all(conn)
        .await?
    });
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// The totals of a live.
pub(super) async fn reactions(tx: &mut Tx, live: &LiveId) -> Result<Vec<wire::ReactionCount>, StoreError> {
    let rows = on!(tx, |conn| {
        sqlx::query_as::<_, (String, i64)>("SELECT kind, total FROM reactions WHERE live_id = $1 ORDER BY kind")
            .bind(live)
            .fetch_all(conn)
            .await?
    });
    Ok(rows.into_iter().map(|(kind, total)| wire::ReactionCount { kind, total }).collect())
}
