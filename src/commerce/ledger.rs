//! Table: stock, stock_entries, limit_usage.
//!
//! Read and written inside the sequencer's transactions only (but for the views at the end).
//! Invariant: a SKU's shelves are read after its row in `skus` was locked; Σ entries = rows at every commit.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use sqlx::QueryBuilder;

use super::stock::{Cause, Delta, PlaceKind, Pool, Shelf, UsageKey};
use crate::{
    clock::Millis,
    ids::{BatchId, LocationId, SkuId, StockEntryId},
    on,
    store::{StoreError, Tx},
};

/// Rows of one bulk statement: keeps the number of binds far below both engines' limits.
pub(super) const BULK_ROWS: usize = 500;

#[derive(sqlx::FromRow)]
struct ShelfRow {
    location_id: LocationId,
    kind: PlaceKind,
    on_hand: i64,
    held: i64,
    safety: i64,
}

/// Locks these SKUs in their order and reads their shelves. A SKU that does not exist is missing in the answer.
pub(super) async fn lock_pools(
    tx: &mut Tx,
    skus: impl IntoIterator<Item = SkuId>,
) -> Result<BTreeMap<SkuId, Pool>, StoreError> {
    // The portable lock-and-read; one statement a SKU, so two nodes lock in the same order.
    const LOCK: &str = "UPDATE skus SET stock_version = stock_version + 1 WHERE id = $1 RETURNING stock_version";
    const SHELVES: &str = "
        SELECT s.location_id, l.kind, s.on_hand, s.held, s.safety
        FROM stock s
        JOIN locations l ON l.id = s.location_id
        WHERE s.sku_id = $1
        ORDER BY s.location_id";
    let sorted: std::collections::BTreeSet<SkuId> = skus.into_iter().collect();
    let mut pools = BTreeMap::new();
    for sku in sorted {
        let version: Option<(i64,)> = on!(tx, |conn| sqlx::query_as(LOCK).bind(&sku).fetch_optional(conn).await?);
        let Some((version,)) = version else { continue };
        let rows = on!(tx, |conn| sqlx::query_as::<_, ShelfRow>(SHELVES).bind(&sku).fetch_all(conn).await?);
        let shelves = rows
            .into_iter()
            .map(|row| Shelf {
                location: row.location_id,
                kind: row.kind,
                on_hand: row.on_hand,
                held: row.held,
                safety: row.safety,
            })
            .collect();
        pools.insert(sku, Pool::new(version, shelves));
    }
    Ok(pools)
}

/// What these customers have used of these limits.
pub(super) async fn read_usage(tx: &mut Tx, keys: &[UsageKey]) -> Result<HashMap<UsageKey, (i64, i64)>, StoreError> {
    let mut usage = HashMap::new();
    for chunk in keys.chunks(BULK_ROWS) {
        type Row = (crate::ids::LiveId, crate::ids::ProductId, crate::ids::CustomerId, i64);
        let rows: Vec<Row> = on!(tx, |conn| {
            let mut query = QueryBuilder::new(
                "SELECT live_id, product_id, customer_id, used FROM limit_usage WHERE (live_id, product_id, customer_id) IN (",
            );
            query.push_values(chunk, |mut row, key| {
                row.push_bind(&key.live).push_bind(&key.product).push_bind(&key.customer);
            });
            query.push(")");
            query.build_query_as().persistent(false).fetch_all(conn).await?
        });
        for (live, product, customer, used) in rows {
            usage.insert(UsageKey { live, product, customer }, (used, 0));
        }
    }
    Ok(usage)
}

/// Writes the shelves that the batch moved, and why.
pub(super) async fn write_entries(
    tx: &mut Tx,
    entries: &BTreeMap<(SkuId, LocationId, Cause), Delta>,
    batch: &str,
    now: Millis,
) -> Result<(), StoreError> {
    const MOVE: &str = "
        INSERT INTO stock (sku_id, location_id, on_hand, held, safety)
        VALUES ($1, $2, $3, $4, 0)
        ON CONFLICT (sku_id, location_id) DO UPDATE SET
            on_hand = stock.on_hand + excluded.on_hand,
            held = stock.held + excluded.held";
    const UPDATE: &str = "
        UPDATE stock SET on_hand = on_hand + $3, held = held + $4
        WHERE sku_id = $1 AND location_id = $2";
    let mut moves: BTreeMap<(&SkuId, &LocationId), Delta> = BTreeMap::new();
    for ((sku, location, _), delta) in entries {
        let sum = moves.entry((sku, location)).or_default();
        sum.on_hand += delta.on_hand;
        sum.held += delta.held;
    }
    for ((sku, location), delta) in &moves {
        let updated = on!(tx, |conn| sqlx::query(UPDATE)
            .bind(*sku)
            .bind(*location)
            .bind(delta.on_hand)
            .bind(delta.held)
            .execute(conn)
            .await?
            .rows_affected());
        // The first goods of a SKU at a location make its shelf. (Not an upsert from the start: its proposed row would
        // be checked by the CHECK even where the update is what counts.)
        if updated == 0 {
            on!(tx, |conn| sqlx::query(MOVE)
                .bind(*sku)
                .bind(*location)
                .bind(delta.on_hand)
                .bind(delta.held)
                .execute(conn)
                .await
                .map(drop))?;
        }
    }
    let rows: Vec<_> = entries.iter().collect();
    for chunk in rows.chunks(BULK_ROWS) {
        on!(tx, |conn| {
            let mut query = QueryBuilder::new(
                "INSERT INTO stock_entries (id, sku_id, location_id, kind, on_hand_delta, held_delta, batch_id, at_ms) ",
            );
            query.push_values(chunk, |mut row, ((sku, location, cause), delta)| {
                row.push_bind(StockEntryId::fresh())
                    .push_bind(sku)
                    .push_bind(location)
                    .push_bind(cause.as_str())
                    .push_bind(delta.on_hand)
                    .push_bind(delta.held)
                    .push_bind(batch)
                    .push_bind(now);
            });
            query.build().persistent(false).execute(conn).await.map(drop)
        })?;
    }
    Ok(())
}

/// Writes the limits that the batch used or gave back.
pub(super) async fn write_usage(tx: &mut Tx, usage: &HashMap<UsageKey, (i64, i64)>) -> Result<(), StoreError> {
    let mut changed: Vec<(&UsageKey, i64)> =
        usage.iter().filter(|(_, (_, d))| *d != 0).map(|(k, (_, d))| (k, *d)).collect();
    // One order for every node, so two batches cannot wait for each other.
    changed.sort();
    let (used, returned): (Vec<_>, Vec<_>) = changed.into_iter().partition(|(_, delta)| *delta > 0);
    for chunk in used.chunks(BULK_ROWS) {
        on!(tx, |conn| {
            let mut query = QueryBuilder::new("INSERT INTO limit_usage (live_id, product_id, customer_id, used) ");
            query.push_values(chunk, |mut row, (key, delta)| {
                row.push_bind(&key.live).push_bind(&key.product).push_bind(&key.customer).push_bind(*delta);
            });
            query.push(
                " ON CONFLICT (live_id, product_id, customer_id) DO UPDATE SET used = limit_usage.used + excluded.used",
            );
            query.build().persistent(false).execute(conn).await.map(drop)
        })?;
    }
    const GIVE_BACK: &str = "
        UPDATE limit_usage SET used = used + $4
        WHERE live_id = $1 AND product_id = $2 AND customer_id = $3";
    for (key, delta) in returned {
        on!(tx, |conn| sqlx::query(GIVE_BACK)
            .bind(&key.live)
            .bind(&key.product)
            .bind(&key.customer)
            .bind(delta)
            .execute(conn)
            .await
            .map(drop))?;
    }
    Ok(())
}

/// Whether a batch of this name was written: how a repeated adjustment is recognised.
pub(super) async fn batch_exists(tx: &mut Tx, batch: &str) -> Result<bool, StoreError> {
    const FIND: &str = "SELECT COUNT(*) FROM stock_entries WHERE batch_id = $1";
    let (count,): (i64,) = on!(tx, |conn| sqlx::query_as(FIND).bind(batch).fetch_one(conn).await?);
    Ok(count > 0)
}

/// What kind of place a location is; `None` when there is none.
pub(super) async fn place_kind(tx: &mut Tx, location: &LocationId) -> Result<Option<PlaceKind>, StoreError> {
    let row: Option<(PlaceKind,)> = on!(tx, |conn| sqlx::query_as("SELECT kind FROM locations WHERE id = $1")
        .bind(location)
        .fetch_optional(conn)
        .await?);
    Ok(row.map(|(kind,)| kind))
}

/// One location's part of a SKU's stock.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct ShelfView {
    /// Where.
    pub location_id: LocationId,
    /// What people call it.
    pub name: String,
    /// Warehouse or store.
    pub kind: PlaceKind,
    /// Units that are there.
    pub on_hand: i64,
    /// Of those, promised.
    pub held: i64,
    /// Kept for the counter.
    pub safety: i64,
}

/// The shelves of a SKU.
pub(super) async fn shelves(tx: &mut Tx, sku: &SkuId) -> Result<Vec<ShelfView>, StoreError> {
    const LIST: &str = "
        SELECT s.location_id, l.name, l.kind, s.on_hand, s.held, s.safety
        FROM stock s
        JOIN locations l ON l.id = s.location_id
        WHERE s.sku_id = $1
        ORDER BY s.location_id";
    Ok(on!(tx, |conn| sqlx::query_as::<_, ShelfView>(LIST).bind(sku).fetch_all(conn).await?))
}

/// A fresh name for a batch.
pub(super) fn fresh_batch() -> String {
    BatchId::fresh().to_string()
}
