//! Table: provider_events: what the provider said, each once, kept before it is answered.

use super::payment::{Event, EventObject};
use crate::{
    clock::Millis,
    on,
    store::{StoreError, Tx},
};

/// An event that is to be handled.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct Kept {
    pub(super) id: String,
    pub(super) kind: String,
    object_kind: String,
    object_id: String,
    pub(super) tries: i32,
}

impl Kept {
    /// To what it happened.
    pub(super) fn object(&self) -> EventObject {
        let id = self.object_id.clone();
        match self.object_kind.as_str() {
            "intent" => EventObject::Intent(id),
            "refund" => EventObject::Refund(id),
            "setup" => EventObject::Setup(id),
            _ => EventObject::Other(id),
        }
    }
}

/// Keeps an event; `false`: it was kept before.
pub(super) async fn keep(tx: &mut Tx, provider: &str, event: &Event, now: Millis) -> Result<bool, StoreError> {
    const KEEP: &str = "
        INSERT INTO provider_events (provider, id, kind, object_kind, object_id, created_at_ms, received_at_ms, try_at_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
        ON CONFLICT (provider, id) DO NOTHING";
    let (object_kind, object_id) = match &event.object {
        EventObject::Intent(id) => ("intent", id),
        EventObject::Refund(id) => ("refund", id),
        EventObject::Setup(id) => ("setup", id),
        EventObject::Other(id) => ("other", id),
    };
    let rows = on!(tx, |conn| sqlx::query(KEEP)
        .bind(provider)
        .bind(&event.id)
        .bind(&event.kind)
        .bind(object_kind)
        .bind(object_id)
        .bind(event.created)
        .bind(now)
        .execute(conn)
        .await?
        .rows_affected());
    Ok(rows > 0)
}

/// Events that are due, oldest first.
pub(super) async fn open(tx: &mut Tx, provider: &str, due: Millis, limit: i64) -> Result<Vec<Kept>, StoreError> {
    const LIST: &str = "
        SELECT id, kind, object_kind, object_id, tries
        FROM provider_events
        WHERE provider = $1 AND handled_at_ms IS NULL AND try_at_ms <= $2
        ORDER BY try_at_ms, id
        LIMIT $3";
    Ok(on!(tx, |conn| sqlx::query_as(LIST).bind(provider).bind(due).bind(limit).fetch_all(conn).await?))
}

/// It is handled.
pub(super) async fn handled(tx: &mut Tx, provider: &str, id: &str, now: Millis) -> Result<(), StoreError> {
    const DONE: &str = "UPDATE provider_events SET handled_at_ms = $3 WHERE provider = $1 AND id = $2";
    on!(tx, |conn| sqlx::query(DONE).bind(provider).bind(id).bind(now).execute(conn).await?.rows_affected());
    Ok(())
}

/// It could not be handled; it is tried again at `at`.
pub(super) async fn later(tx: &mut Tx, provider: &str, id: &str, at: Millis) -> Result<(), StoreError> {
    const LATER: &str = "
        UPDATE provider_events SET tries = tries + 1, try_at_ms = $3
        WHERE provider = $1 AND id = $2 AND handled_at_ms IS NULL";
    on!(tx, |conn| sqlx::query(LATER).bind(provider).bind(id).bind(at).execute(conn).await?.rows_affected());
    Ok(())
}

/// Forgets what was handled long ago: the provider does not repeat it any more.
pub(super) async fn forget(tx: &mut Tx, before: Millis, limit: i64) -> Result<u64, StoreError> {
    const FORGET: &str = "
        DELETE FROM provider_events WHERE (provider, id) IN (
            SELECT provider, id FROM provider_events WHERE handled_at_ms < $1 LIMIT $2)";
    Ok(on!(tx, |conn| sqlx::query(FORGET).bind(before).bind(limit).execute(conn).await?.rows_affected()))
}
