//! Table: sessions and API keys. Only digests of secrets are stored.

use std::time::Duration;

use serde::Serialize;

use super::PeopleError;
use crate::{
    clock::Millis,
    ids::{AccountId, ApiKeyId},
    on,
    store::{StoreError, Tx},
};

/// How long a sign-in lasts.
pub const SESSION_TTL: Duration = Duration::from_secs(30 * 24 * 3600);
/// Keys one account may hold; more are refused.
const MAX_API_KEYS: i64 = 20;

/// An API key without its text.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct ApiKey {
    /// Its public name.
    pub id: ApiKeyId,
    /// What the owner calls it.
    pub label: String,
    /// When it was made.
    pub created_at_ms: Millis,
}

pub(super) async fn open(tx: &mut Tx, digest: &str, account: &AccountId, now: Millis) -> Result<(), StoreError> {
    const OPEN: &str =
        "INSERT INTO sessions (token_hash, account_id, created_at_ms, expires_at_ms) VALUES ($1, $2, $3, $4)";
    on!(tx, |conn| sqlx::query(OPEN)
        .bind(digest)
        .bind(account)
        .bind(now)
        .bind(now.plus(SESSION_TTL))
        .execute(conn)
        .await
        .map(drop))?;
    Ok(())
}

pub(super) async fn find(tx: &mut Tx, digest: &str, now: Millis) -> Result<Option<AccountId>, StoreError> {
    const FIND: &str = "SELECT account_id FROM sessions WHERE token_hash = $1 AND expires_at_ms > $2";
    let row: Option<(AccountId,)> =
        on!(tx, |conn| sqlx::query_as(FIND).bind(digest).bind(now).fetch_optional(conn).await?);
    Ok(row.map(|(id,)| id))
}

pub(super) async fn close(tx: &mut Tx, digest: &str) -> Result<(), StoreError> {
    on!(tx, |conn| sqlx::query("DELETE FROM sessions WHERE token_hash = $1")
        .bind(digest)
        .execute(conn)
        .await
        .map(drop))?;
    Ok(())
}

pub(super) async fn sweep(tx: &mut Tx, now: Millis) -> Result<(), StoreError> {
    on!(tx, |conn| sqlx::query("DELETE FROM sessions WHERE expires_at_ms <= $1")
        .bind(now)
        .execute(conn)
        .await
        .map(drop))?;
    Ok(())
}

pub(super) async fn insert_api_key(
    tx: &mut Tx,
    account: &AccountId,
    key: &ApiKey,
    digest: &str,
) -> Result<(), PeopleError> {
    const INSERT: &str = "
        INSERT INTO api_keys (id, account_id, label, key_hash, created_at_ms)
        SELECT $1, $2, $3, $4, $5
        WHERE (SELECT COUNT(*) FROM api_keys WHERE account_id = $2 AND revoked_at_ms IS NULL) < $6";
    let inserted = on!(tx, |conn| sqlx::query(INSERT)
        .bind(&key.id)
        .bind(account)
        .bind(&key.label)
        .bind(digest)
        .bind(key.created_at_ms)
        .bind(MAX_API_KEYS)
        .execute(conn)
        .await
        .map_err(StoreError::from)?
        .rows_affected());
    if inserted == 0 {
        return Err(PeopleError::Invalid(format!("an account holds at most {MAX_API_KEYS} keys; revoke one first")));
    }
    Ok(())
}

pub(super) async fn find_api_key(tx: &mut Tx, digest: &str) -> Result<Option<AccountId>, StoreError> {
    const FIND: &str = "SELECT account_id FROM api_keys WHERE key_hash = $1 AND revoked_at_ms IS NULL";
    let row: Option<(AccountId,)> = on!(tx, |conn| sqlx::query_as(FIND).bind(digest).fetch_optional(conn).await?);
    Ok(row.map(|(id,)| id))
}

pub(super) async fn list_api_keys(tx: &mut Tx, account: &AccountId) -> Result<Vec<ApiKey>, StoreError> {
    const LIST: &str = "
        SELECT id, label, created_at_ms
        FROM api_keys
        WHERE account_id = $1 AND revoked_at_ms IS NULL
        ORDER BY id";
    Ok(on!(tx, |conn| sqlx::query_as::<_, ApiKey>(LIST).bind(account).fetch_all(conn).await?))
}

pub(super) async fn revoke_api_key(
    tx: &mut Tx,
    account: &AccountId,
    key: &ApiKeyId,
    now: Millis,
) -> Result<bool, StoreError> {
    const REVOKE: &str = "
        UPDATE api_keys SET revoked_at_ms = $3
        WHERE account_id = $1 AND id = $2 AND revoked_at_ms IS NULL";
    Ok(on!(tx, |conn| sqlx::query(REVOKE).bind(account).bind(key).bind(now).execute(conn).await?.rows_affected()) == 1)
}
