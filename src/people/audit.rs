//! Table: audit_log. Append-only.

use crate::{
    clock::Millis,
    ids::{AccountId, AuditId},
    on,
    store::{StoreError, Tx},
};

pub(super) async fn insert(
    tx: &mut Tx,
    by: &AccountId,
    action: &'static str,
    subject: &str,
    detail: &str,
    now: Millis,
) -> Result<(), StoreError> {
    const INSERT: &str = "
        INSERT INTO audit_log (id, at_ms, account_id, action, subject_id, detail)
        VALUES ($1, $2, $3, $4, $5, $6)";
    on!(tx, |conn| sqlx::query(INSERT)
        .bind(AuditId::fresh())
        .bind(now)
        .bind(by)
        .bind(action)
        .bind(subject)
        .bind(detail)
        .execute(conn)
        .await
        .map(drop))?;
    Ok(())
}
