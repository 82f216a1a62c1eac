//! Table: audit_log. Append-only.

use super::seals;
use crate::{
    clock::Millis,
    ids::{AccountId, AuditId, LiveId, LiverId},
    on,
    store::{StoreError, Tx},
};

/// A line: who did what to what.
#[derive(Debug, Clone)]
pub struct AuditNote<'a> {
    /// Who.
    pub by: &'a AccountId,
    /// What.
    pub action: &'a str,
    /// To what.
    pub subject: &'a str,
    /// In whose lives, when it concerns a liver's house.
    pub liver: Option<&'a LiverId>,
    /// In which of them, when it concerns one.
    pub live: Option<&'a LiveId>,
    /// What else is worth knowing.
    pub detail: &'a str,
    /// When.
    pub at: Millis,
}

impl<'a> AuditNote<'a> {
    /// A line about nobody's lives.
    #[must_use]
    pub fn of(by: &'a AccountId, action: &'a str, subject: &'a str, detail: &'a str, at: Millis) -> Self {
        Self { by, action, subject, liver: None, live: None, detail, at }
    }
}

/// Writes a line into the caller's transaction.
///
/// # Errors
/// The database's.
pub async fn insert_note(tx: &mut Tx, note: &AuditNote<'_>) -> Result<(), StoreError> {
    const INSERT: &str = "
        INSERT INTO audit_log (id, at_ms, account_id, action, subject_id, detail, liver_id, live_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let id = AuditId::fresh();
    on!(&mut *tx, |conn| sqlx::query(INSERT)
        .bind(&id)
        .bind(note.at)
        .bind(note.by)
        .bind(note.action)
        .bind(note.subject)
        .bind(note.detail)
        .bind(note.liver)
        .bind(note.live)
        .execute(conn)
        .await
        .map(drop))?;
    seals::insert_unsealed(tx, &id).await
}

/// A line as it is read.
#[derive(Debug, Clone, serde::Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct AuditLine {
    /// Its id.
    pub id: AuditId,
    /// When.
    pub at_ms: Millis,
    /// Who.
    pub account_id: Option<AccountId>,
    /// What others see of who did it.
    pub by_name: Option<String>,
    /// What.
    pub action: String,
    /// To what.
    pub subject_id: String,
    /// In which live; in all of the liver's when absent.
    pub live_id: Option<LiveId>,
    /// About whom, and what else is worth knowing.
    pub detail: String,
}

/// What was done in a live, and in all of its liver's; newest first, before `before`.
pub(super) async fn of_live(
    tx: &mut Tx,
    (liver, live): (&LiverId, &LiveId),
    before: Option<&AuditId>,
    limit: i64,
) -> Result<Vec<AuditLine>, StoreError> {
    const LIST: &str = "
        SELECT l.id, l.at_ms, l.account_id, a.display_name AS by_name, l.action, l.subject_id, l.live_id, l.detail
        FROM audit_log l
        LEFT JOIN accounts a ON a.id = l.account_id
        WHERE l.liver_id = $1 AND (l.live_id IS NULL OR l.live_id = $2) AND l.id < $3
        ORDER BY l.id DESC
        LIMIT $4";
    Ok(on!(tx, |conn| sqlx::query_as(LIST)
        .bind(liver)
        .bind(live)
        .bind(before.map_or("aud_zzzz", AuditId::as_str))
        .bind(limit)
        .fetch_all(conn)
        .await?))
}

/// Lines about one subject, or all of them; newest first, before `before`.
pub(super) async fn list(
    tx: &mut Tx,
    subject: Option<&str>,
    before: Option<&AuditId>,
    limit: i64,
) -> Result<Vec<AuditLine>, StoreError> {
    const LIST: &str = "
        SELECT l.id, l.at_ms, l.account_id, a.display_name AS by_name, l.action, l.subject_id, l.live_id, l.detail
        FROM audit_log l
        LEFT JOIN accounts a ON a.id = l.account_id
        WHERE ($1 = '' OR l.subject_id = $1) AND l.id < $2
        ORDER BY l.id DESC
        LIMIT $3";
    Ok(on!(tx, |conn| sqlx::query_as(LIST)
        .bind(subject.unwrap_or(""))
        .bind(before.map_or("aud_zzzz", AuditId::as_str))
        .bind(limit)
        .fetch_all(conn)
        .await?))
}
