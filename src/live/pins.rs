//! Table: `pins`: the intervals in which products are shown.
//!
//! Knows product ids and nothing of products; `showcase` joins the two rooms.
//! Invariant: a product is shown at most once at a time in a live; a pin's version grows with every change.

use crate::{
    clock::Millis,
    ids::{LiveId, PinId, ProductId},
    on,
    store::{StoreError, Tx},
};

/// An interval in which a product is shown.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Pin {
    /// Its id.
    pub id: PinId,
    /// What is shown.
    pub product_id: ProductId,
    /// Since when.
    pub pinned_at_ms: Millis,
    /// Grows with every change of the pin or of an offer under it.
    pub version: i64,
}

/// What is shown now, oldest pin first.
///
/// # Errors
/// The database's.
pub async fn shown(tx: &mut Tx, live: &LiveId) -> Result<Vec<Pin>, StoreError> {
    Ok(on!(tx, |conn| {
        sqlx::query_as::<_, Pin>(
            "SELECT id, product_id, pinned_at_ms, version
             FROM pins
             WHERE live_id = $1 AND unpinned_at_ms IS NULL
             ORDER BY pinned_at_ms, id",
        )
        .bind(live)
        .fetch_all(conn)
        .await?
    }))
}

/// Whether a product is shown in a live, or was.
pub(super) async fn was_shown(tx: &mut Tx, live: &LiveId, product: &ProductId) -> Result<bool, StoreError> {
    let row = on!(tx, |conn| {
        sqlx::query_as::<_, (i64,)>("SELECT CAST(1 AS BIGINT) FROM pins WHERE live_id = $1 AND product_id = $2 LIMIT 1")
            .bind(live)
            .bind(product)
            .fetch_optional(conn)
            .await?
    });
    Ok(row.is_some())
}

/// Shows a product, or raises the version of the pin that shows it already.
///
/// # Errors
/// The database's.
pub async fn put(tx: &mut Tx, live: &LiveId, product: &ProductId, now: Millis) -> Result<Pin, StoreError> {
    Ok(on!(tx, |conn| {
        sqlx::query_as::<_, Pin>(
            "INSERT INTO pins (id, live_id, product_id, pinned_at_ms, version)
             VALUES ($1, $2, $3, $4, 1)
             ON CONFLICT (live_id, product_id) WHERE unpinned_at_ms IS NULL
             DO UPDATE SET version = pins.version + 1
             RETURNING id, product_id, pinned_at_ms, version",
        )
        .bind(PinId::fresh())
        .bind(live)
        .bind(product)
        .bind(now)
        .fetch_one(conn)
        .await?
    }))
}

/// Shows it no longer; `None` when it was not shown.
///
/// # Errors
/// The database's.
pub async fn end(tx: &mut Tx, live: &LiveId, pin: &PinId, now: Millis) -> Result<Option<Pin>, StoreError> {
    Ok(on!(tx, |conn| {
        sqlx::query_as::<_, Pin>(
            "UPDATE pins
             SET unpinned_at_ms = $3, version = version + 1
             WHERE id = $1 AND live_id = $2 AND unpinned_at_ms IS NULL
             RETURNING id, product_id, pinned_at_ms, version",
        )
        .bind(pin)
        .bind(live)
        .bind(now)
        .fetch_optional(conn)
        .await?
    }))
}
