//! Table: consents: what somebody allowed and took back, append-only. The newest answer counts.

use crate::{
    clock::Millis,
    ids::{ConsentId, CustomerId},
    on,
    store::{StoreError, Tx},
};

/// An answer; `None` before the first.
pub type Answer = Option<(bool, Millis)>;

/// The newest answer of a customer to whether touches may be noted.
pub(super) async fn newest(tx: &mut Tx, customer: &CustomerId) -> Result<Answer, StoreError> {
    const NEWEST: &str = "
        SELECT given, at_ms FROM consents
        WHERE customer_id = $1 AND purpose = 'touches'
        ORDER BY id DESC
        LIMIT 1";
    Ok(on!(tx, |conn| sqlx::query_as(NEWEST).bind(customer).fetch_optional(conn).await?))
}

/// Writes an answer.
pub(super) async fn insert(tx: &mut Tx, customer: &CustomerId, given: bool, now: Millis) -> Result<(), StoreError> {
    const INSERT: &str = "
        INSERT INTO consents (id, customer_id, purpose, given, at_ms)
        VALUES ($1, $2, 'touches', $3, $4)";
    on!(tx, |conn| sqlx::query(INSERT)
        .bind(ConsentId::fresh())
        .bind(customer)
        .bind(given)
        .bind(now)
        .execute(conn)
        .await
        .map(drop))?;
    Ok(())
}
