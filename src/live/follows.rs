//! Table: `follows`: who follows which liver.
//!
//! Invariant: a person has one row a liver, whose version grows with every change.

use super::followers::{Follow, MAX_FOLLOWERS};
use crate::{
    clock::Millis,
    ids::{CustomerId, LiverId},
    on,
    store::{StoreError, Tx},
};

/// What a person wants to be to a liver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Following {
    /// A follower.
    Yes,
    /// None, or none any more.
    No,
}

/// Writes that a person follows, or does no more.
pub(super) async fn put(
    tx: &mut Tx,
    liver: &LiverId,
    customer: &CustomerId,
    following: Following,
    now: Millis,
) -> Result<Follow, StoreError> {
    let following = following == Following::Yes;
    let (version,) = on!(tx, |conn| {
        sqlx::query_as::<_, (i64,)>(
            "INSERT INTO follows (liver_id, customer_id, following, version, changed_at_ms)
             VALUES ($1, $2, $3, 1, $4)
             ON CONFLICT (liver_id, customer_id)
             DO UPDATE SET following = excluded.following, version = follows.version + 1,
                           changed_at_ms = excluded.changed_at_ms
             RETURNING version",
        )
        .bind(liver)
        .bind(customer)
        .bind(following)
        .bind(now)
        .fetch_one(conn)
        .await?
    });
    Ok(Follow { customer: customer.clone(), following, version })
}

/// Who follows a liver or has followed, the newest ones.
pub(super) async fn newest(tx: &mut Tx, liver: &LiverId) -> Result<Vec<Follow>, StoreError> {
    let limit = i64::try_from(MAX_FOLLOWERS).unwrap_or(i64::MAX);
    let rows = on!(tx, |conn| {
        sqlx::query_as::<_, (CustomerId, bool, i64)>(
            "SELECT customer_id, following, version
             FROM follows
             WHERE liver_id = $1
             ORDER BY changed_at_ms DESC
             LIMIT $2",
        )
        .bind(liver)
        .bind(limit)
        .fetch_all(conn)
        .await?
    });
    Ok(rows.into_iter().map(|(customer, following, version)| Follow { customer, following, version }).collect())
}
