//! Table: exports and export_chunks: files that were asked for, how far they are, and what is in them.

use serde::Serialize;

use super::{
    source::{TableName, Wanted},
    writers::Format,
};
use crate::{
    clock::Millis,
    ids::{AccountId, BrandId, ExportId},
    on,
    store::{StoreError, Tx},
};

/// A node that says nothing for so long has lost its work.
const LOST_AFTER_MS: i64 = 30_000;
/// Nodes that may try.
const MAX_TRIES: i32 = 3;
/// How long a file is kept.
const KEEP_MS: i64 = 24 * 3600 * 1000;
/// Files that are forgotten at once.
const MAX_FORGOTTEN: i64 = 20;

/// How far a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExportState {
    /// It waits for a node.
    Queued,
    /// It is being made.
    Running,
    /// It can be fetched.
    Done,
    /// It cannot be made; `failure` says why.
    Failed,
    /// It was kept for a day, and is gone.
    Expired,
}

impl ExportState {
    const ALL: &[Self] = &[Self::Queued, Self::Running, Self::Done, Self::Failed, Self::Expired];

    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Expired => "expired",
        }
    }
}

crate::stored_as_text!(ExportState);

/// A file, or how far it is.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Export {
    /// Its id.
    pub export_id: ExportId,
    /// Whose ledger.
    pub brand_id: BrandId,
    /// What kind of file.
    pub format: Format,
    /// What its rows are.
    #[sqlx(rename = "filter", try_from = "String")]
    pub table: TableName,
    /// How far it is.
    pub state: ExportState,
    /// Rows that it will have, once they were counted.
    pub rows_total: Option<i64>,
    /// Rows that are written.
    pub rows_done: i64,
    /// Sum over its rows.
    pub units: i64,
    /// Sum over its rows: what the report calls net.
    pub net_minor: i64,
    /// Sum over its rows.
    pub commission_minor: i64,
    /// Of the whole file.
    pub bytes: i64,
    /// SHA-256 of the whole file, hexadecimal.
    pub sha256: Option<String>,
    /// Why it cannot be made.
    pub failure: Option<String>,
    /// When it was asked for.
    pub created_at_ms: Millis,
    /// When it was done.
    pub done_at_ms: Option<Millis>,
    /// Until when it can be fetched.
    pub expires_at_ms: Option<Millis>,
}

/// What a file comes to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sums {
    pub(super) rows: i64,
    pub(super) units: i64,
    pub(super) net_minor: i64,
    pub(super) commission_minor: i64,
}

/// A file that this node makes.
#[derive(Debug)]
pub(super) struct Claimed {
    pub(super) id: ExportId,
    pub(super) brand_id: BrandId,
    pub(super) format: Format,
    /// `None`: this version cannot read it.
    pub(super) wanted: Option<Wanted>,
    pub(super) tries: i32,
}

macro_rules! columns {
    () => {
        "SELECT id AS export_id, brand_id, format, filter, state, rows_total, rows_done, units, net_minor, commission_minor, bytes,
                sha256, failure, created_at_ms, done_at_ms, expires_at_ms
         FROM exports "
    };
}

pub(super) async fn find(tx: &mut Tx, id: &ExportId) -> Result<Option<Export>, StoreError> {
    const FIND: &str = concat!(columns!(), "WHERE id = $1");
    Ok(on!(tx, |conn| sqlx::query_as(FIND).bind(id).fetch_optional(conn).await?))
}

pub(super) async fn list(tx: &mut Tx, brand: &BrandId, limit: i64) -> Result<Vec<Export>, StoreError> {
    const LIST: &str = concat!(columns!(), "WHERE brand_id = $1 ORDER BY id DESC LIMIT $2");
    Ok(on!(tx, |conn| sqlx::query_as(LIST).bind(brand).bind(limit).fetch_all(conn).await?))
}

pub(super) async fn waiting(tx: &mut Tx, brand: &BrandId) -> Result<i64, StoreError> {
    const COUNT: &str = "SELECT COUNT(*) FROM exports WHERE brand_id = $1 AND state IN ('queued', 'running')";
    let (count,): (i64,) = on!(tx, |conn| sqlx::query_as(COUNT).bind(brand).fetch_one(conn).await?);
    Ok(count)
}

pub(super) async fn insert(
    tx: &mut Tx,
    id: &ExportId,
    (brand, by): (&BrandId, &AccountId),
    format: Format,
    wanted: &Wanted,
    now: Millis,
) -> Result<(), StoreError> {
    const INSERT: &str = "
        INSERT INTO exports (id, brand_id, account_id, format, filter, state, created_at_ms)
        VALUES ($1, $2, $3, $4, $5, 'queued', $6)";
    on!(tx, |conn| sqlx::query(INSERT)
        .bind(id)
        .bind(brand)
        .bind(by)
        .bind(format.as_str())
        .bind(wanted.to_text())
        .bind(now)
        .execute(conn)
        .await
        .map(drop))?;
    Ok(())
}

/// Takes the oldest file that waits, or that another node has lost.
pub(super) async fn claim(tx: &mut Tx, node: &str, now: Millis) -> Result<Option<Claimed>, StoreError> {
    // Asked twice, so that of two nodes that saw the same one only the first has it.
    const CLAIM: &str = "
        UPDATE exports SET state = 'running', node = $1, beat_at_ms = $2, tries = tries + 1, rows_done = 0
        WHERE id = (SELECT id FROM exports
                    WHERE state = 'queued' OR (state = 'running' AND beat_at_ms < $3)
                    ORDER BY id
                    LIMIT 1)
          AND (state = 'queued' OR (state = 'running' AND beat_at_ms < $3))
        RETURNING id, brand_id, format, filter, tries";
    const CLEAR: &str = "DELETE FROM export_chunks WHERE export_id = $1";
    // A file that whoever tried died of is not tried for ever.
    const GIVE_UP: &str = "
        UPDATE exports SET state = 'failed', failure = 'it was tried several times and never ended', done_at_ms = $1
        WHERE state = 'running' AND beat_at_ms < $2 AND tries >= $3";
    let lost = Millis(now.0 - LOST_AFTER_MS);
    on!(&mut *tx, |conn| sqlx::query(GIVE_UP).bind(now).bind(lost).bind(MAX_TRIES).execute(conn).await.map(drop))?;
    let found: Option<(ExportId, BrandId, Format, String, i32)> =
        on!(&mut *tx, |conn| sqlx::query_as(CLAIM).bind(node).bind(now).bind(lost).fetch_optional(conn).await?);
    let Some((id, brand_id, format, filter, tries)) = found else { return Ok(None) };
    on!(tx, |conn| sqlx::query(CLEAR).bind(&id).execute(conn).await.map(drop))?;
    // Written by a newer version, it may ask for what this one does not know: never for everything instead.
    let wanted = Wanted::from_text(&filter);
    Ok(Some(Claimed { id, brand_id, format, wanted, tries }))
}

pub(super) async fn begin(tx: &mut Tx, id: &ExportId, node: &str, total: i64) -> Result<(), StoreError> {
    const BEGIN: &str = "UPDATE exports SET rows_total = $3 WHERE id = $1 AND node = $2 AND state = 'running'";
    on!(tx, |conn| sqlx::query(BEGIN).bind(id).bind(node).bind(total).execute(conn).await.map(drop))?;
    Ok(())
}

/// The work goes on; whether it is still this node's.
pub(super) async fn beat(tx: &mut Tx, id: &ExportId, node: &str, now: Millis) -> Result<bool, StoreError> {
    const BEAT: &str = "UPDATE exports SET beat_at_ms = $3 WHERE id = $1 AND node = $2 AND state = 'running'";
    let beaten = on!(tx, |conn| sqlx::query(BEAT).bind(id).bind(node).bind(now).execute(conn).await?.rows_affected());
    Ok(beaten == 1)
}

/// So many rows are written; whether it is still this node's work.
pub(super) async fn progress(tx: &mut Tx, id: &ExportId, node: &str, rows: i64) -> Result<bool, StoreError> {
    const TELL: &str = "UPDATE exports SET rows_done = $3 WHERE id = $1 AND node = $2 AND state = 'running'";
    let told = on!(tx, |conn| sqlx::query(TELL).bind(id).bind(node).bind(rows).execute(conn).await?.rows_affected());
    Ok(told == 1)
}

pub(super) async fn store_part(tx: &mut Tx, id: &ExportId, n: i32, bytes: &[u8]) -> Result<(), StoreError> {
    const STORE: &str = "INSERT INTO export_chunks (export_id, n, bytes) VALUES ($1, $2, $3)";
    on!(tx, |conn| sqlx::query(STORE).bind(id).bind(n).bind(bytes).execute(conn).await.map(drop))?;
    Ok(())
}

pub(super) async fn part(tx: &mut Tx, id: &ExportId, n: i32) -> Result<Option<Vec<u8>>, StoreError> {
    const PART: &str = "SELECT bytes FROM export_chunks WHERE export_id = $1 AND n = $2";
    let found: Option<(Vec<u8>,)> = on!(tx, |conn| sqlx::query_as(PART).bind(id).bind(n).fetch_optional(conn).await?);
    Ok(found.map(|(bytes,)| bytes))
}

/// It is whole.
pub(super) async fn end(
    tx: &mut Tx,
    id: &ExportId,
    node: &str,
    sums: &Sums,
    bytes: i64,
    sha256: &str,
    now: Millis,
) -> Result<(), StoreError> {
    const END: &str = "
        UPDATE exports SET state = 'done', rows_total = $3, rows_done = $3, units = $4, net_minor = $5,
                           commission_minor = $6, bytes = $7, sha256 = $8, done_at_ms = $9, expires_at_ms = $10
        WHERE id = $1 AND node = $2 AND state = 'running'";
    on!(tx, |conn| sqlx::query(END)
        .bind(id)
        .bind(node)
        .bind(sums.rows)
        .bind(sums.units)
        .bind(sums.net_minor)
        .bind(sums.commission_minor)
        .bind(bytes)
        .bind(sha256)
        .bind(now)
        .bind(Millis(now.0 + KEEP_MS))
        .execute(conn)
        .await
        .map(drop))?;
    Ok(())
}

/// This node makes it no longer: whoever is free does.
pub(super) async fn give_up_claim(tx: &mut Tx, id: &ExportId, node: &str) -> Result<(), StoreError> {
    const GIVE_UP: &str = "
        UPDATE exports SET state = 'queued', node = NULL, tries = tries - 1
        WHERE id = $1 AND node = $2 AND state = 'running'";
    on!(tx, |conn| sqlx::query(GIVE_UP).bind(id).bind(node).execute(conn).await.map(drop))?;
    Ok(())
}

/// It failed; it is tried again unless it cannot be made at all, or was tried often.
pub(super) async fn fail(
    tx: &mut Tx,
    job: &Claimed,
    node: &str,
    why: &str,
    cannot: bool,
    now: Millis,
) -> Result<(), StoreError> {
    const FAIL: &str = "
        UPDATE exports SET state = $3, failure = $4, done_at_ms = $5 WHERE id = $1 AND node = $2 AND state = 'running'";
    let (state, done) = if cannot || job.tries >= MAX_TRIES { ("failed", Some(now)) } else { ("queued", None) };
    on!(tx, |conn| sqlx::query(FAIL)
        .bind(&job.id)
        .bind(node)
        .bind(state)
        .bind(why)
        .bind(done)
        .execute(conn)
        .await
        .map(drop))?;
    Ok(())
}

/// Forgets files whose day is over.
pub(super) async fn forget_old(tx: &mut Tx, now: Millis) -> Result<(), StoreError> {
    const OLD: &str =
        "SELECT id FROM exports WHERE state = 'done' AND expires_at_ms <= $1 ORDER BY expires_at_ms LIMIT $2";
    const CLEAR: &str = "DELETE FROM export_chunks WHERE export_id = $1";
    const EXPIRE: &str = "UPDATE exports SET state = 'expired' WHERE id = $1";
    let old: Vec<(ExportId,)> =
        on!(&mut *tx, |conn| sqlx::query_as(OLD).bind(now).bind(MAX_FORGOTTEN).fetch_all(conn).await?);
    for (id,) in old {
        on!(&mut *tx, |conn| sqlx::query(CLEAR).bind(&id).execute(conn).await.map(drop))?;
        on!(&mut *tx, |conn| sqlx::query(EXPIRE).bind(&id).execute(conn).await.map(drop))?;
    }
    Ok(())
}
