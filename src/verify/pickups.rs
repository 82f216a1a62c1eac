//! Root: checks of what is picked up.

use super::{Check, by_query};
use crate::store::{StoreError, Tx};

/// A pickup is of its order: handed over when the goods have left, called off when nothing is left of it, else still to come.
pub(super) async fn follow(tx: &mut Tx) -> Result<Check, StoreError> {
    const ALL: &str = "SELECT COUNT(*) FROM pickups";
    const FAULTY: &str = "
        SELECT o.id || ' is to be picked up where it was bought for', CAST(1 AS BIGINT), CAST(0 AS BIGINT)
        FROM purchases p
        JOIN orders o ON o.purchase_id = p.id
        LEFT JOIN pickups k ON k.order_id = o.id
        WHERE p.pickup_location_id IS NOT NULL AND (k.order_id IS NULL OR k.location_id <> p.pickup_location_id)
        UNION ALL
        SELECT k.order_id || ' is picked up and is no such order', CAST(0 AS BIGINT), CAST(1 AS BIGINT)
        FROM pickups k
        LEFT JOIN orders o ON o.id = k.order_id
        LEFT JOIN purchases p ON p.id = o.purchase_id
        WHERE p.pickup_location_id IS NULL
        UNION ALL
        SELECT k.order_id || ' is ' || k.state, CAST(1 AS BIGINT), CAST(0 AS BIGINT)
        FROM pickups k
        JOIN orders o ON o.id = k.order_id
        JOIN purchases p ON p.id = o.purchase_id
        WHERE k.state <> CASE WHEN p.left_at_ms IS NOT NULL THEN 'handed_over'
                              WHEN p.state IN ('cancelled', 'refunded') THEN 'returned'
                              ELSE CASE WHEN k.state IN ('waiting', 'preparing', 'ready') THEN k.state ELSE 'open' END END";
    by_query(tx, "each pickup stands as its order does", ALL, FAULTY).await
}
