//! Table: stock, stock_entries.
//!
//! Read and written inside the sequencer's transactions only (but for the views at the end).
//! Invariant: a SKU's shelves are read after its row in `skus` was locked; Σ entries = rows at every commit.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use super::{
    allocation::Point,
    stock::{Delta, Entries, PlaceKind, Pool, Shelf},
};
use crate::{
    clock::Millis,
    ids::{LocationId, SkuId, StockEntryId},
    on,
    store::{Kind, Rows, StoreError, Tx},
};

#[derive(sqlx::FromRow)]
struct ShelfRow {
    sku_id: SkuId,
    location_id: LocationId,
    kind: PlaceKind,
    on_hand: i64,
    held: i64,
    safety: i64,
    latitude_e6: Option<i64>,
    longitude_e6: Option<i64>,
    waited_for: bool,
}

fn point(latitude_e6: Option<i64>, longitude_e6: Option<i64>) -> Option<Point> {
    Some(Point { latitude_e6: latitude_e6?, longitude_e6: longitude_e6? })
}

/// SKUs that are locked, and those of them that somebody waits for.
pub(super) type Locked = (BTreeMap<SkuId, Pool>, Vec<SkuId>);

/// Locks these SKUs in their order and reads their shelves. A SKU that does not exist is missing in the answer.
pub(super) async fn lock_pools(tx: &mut Tx, skus: &BTreeSet<SkuId>) -> Result<Locked, StoreError> {
    const LOCK: &str =
        "SELECT k.id, k.stock_version FROM rows CROSS JOIN skus k WHERE k.id = rows.sku_id ORDER BY k.id";
    // Read after the lock was had, so they are what the last holder left.
    const SHELVES: &str = "
        SELECT s.sku_id, s.location_id, l.kind, s.on_hand, s.held, s.safety, l.latitude_e6, l.longitude_e6,
               EXISTS (SELECT 1 FROM waitlist w WHERE w.sku_id = s.sku_id AND w.state = 'waiting') AS waited_for
        FROM rows CROSS JOIN stock s JOIN locations l ON l.id = s.location_id
        WHERE s.sku_id = rows.sku_id
        ORDER BY s.sku_id, s.location_id";
    let mut rows = Rows::new(&[("sku_id", Kind::Text)]);
    for sku in skus {
        rows.push([sku.into()]);
    }
    let locking = tx.locking("k");
    let versions: Vec<(SkuId, i64)> = rows.fetch(tx, &format!("{LOCK}{locking}")).await?;
    let mut shelves: HashMap<SkuId, Vec<Shelf>> = HashMap::new();
    let mut waited_for: Vec<SkuId> = Vec::new();
    for row in rows.fetch::<ShelfRow>(tx, SHELVES).await? {
        if row.waited_for && waited_for.last() != Some(&row.sku_id) {
            waited_for.push(row.sku_id.clone());
        }
        shelves.entry(row.sku_id).or_default().push(Shelf {
            location: row.location_id,
            kind: row.kind,
            on_hand: row.on_hand,
            held: row.held,
            safety: row.safety,
            point: point(row.latitude_e6, row.longitude_e6),
        });
    }
    let pool = |(sku, version): (SkuId, i64)| {
        let shelves = shelves.remove(&sku).unwrap_or_default();
        (sku, Pool::new(version + 1, shelves))
    };
    Ok((versions.into_iter().map(pool).collect(), waited_for))
}

/// Shelves that a batch changed.
#[derive(Debug, Default)]
pub(super) struct Moves<'a> {
    /// Why, by the name under which the ledger keeps it.
    pub(super) entries: Vec<(&'a str, &'a Entries)>,
    /// Shelves that there were not.
    pub(super) fresh: &'a [(SkuId, LocationId)],
    /// New safety stock.
    pub(super) safety: &'a [(SkuId, LocationId, i64)],
    /// New versions.
    pub(super) versions: Vec<(&'a SkuId, i64)>,
}

/// Writes the shelves that the batch moved, and why.
pub(super) async fn write_moves(tx: &mut Tx, moves: &Moves<'_>, now: Millis) -> Result<(), StoreError> {
    const MAKE: &str = "
        INSERT INTO stock (sku_id, location_id, on_hand, held, safety)
        SELECT sku_id, location_id, 0, 0, 0 FROM rows WHERE true
        ON CONFLICT (sku_id, location_id) DO NOTHING";
    const MOVE: &str = "
        UPDATE stock SET on_hand = stock.on_hand + rows.on_hand, held = stock.held + rows.held
        FROM rows
        WHERE stock.sku_id = rows.sku_id AND stock.location_id = rows.location_id";
    const SAFETY: &str = "
        UPDATE stock SET safety = rows.safety
        FROM rows
        WHERE stock.sku_id = rows.sku_id AND stock.location_id = rows.location_id";
    const VERSIONS: &str = "UPDATE skus SET stock_version = rows.version FROM rows WHERE skus.id = rows.sku_id";
    let mut fresh = Rows::new(&[("sku_id", Kind::Text), ("location_id", Kind::Text)]);
    for (sku, location) in moves.fresh {
        fresh.push([sku.into(), location.into()]);
    }
    fresh.execute(tx, MAKE).await?;
    let mut sums: BTreeMap<(&SkuId, &LocationId), Delta> = BTreeMap::new();
    let mut entries = Rows::new(&[
        ("id", Kind::Text),
        ("sku_id", Kind::Text),
        ("location_id", Kind::Text),
        ("kind", Kind::Text),
        ("on_hand_delta", Kind::Number),
        ("held_delta", Kind::Number),
        ("batch_id", Kind::Text),
        ("at_ms", Kind::Number),
    ]);
    for (name, of_one) in &moves.entries {
        for ((sku, location, cause), delta) in *of_one {
            let sum = sums.entry((sku, location)).or_default();
            sum.on_hand += delta.on_hand;
            sum.held += delta.held;
            entries.push([
                String::from(StockEntryId::fresh()).into(),
                sku.into(),
                location.into(),
                cause.as_str().into(),
                delta.on_hand.into(),
                delta.held.into(),
                (*name).into(),
                now.into(),
            ]);
        }
    }
    // One update a shelf, with the sum of all that happened: the CHECK under it judges the outcome of the batch.
    let mut shelves = Rows::new(&[
        ("sku_id", Kind::Text),
        ("location_id", Kind::Text),
        ("on_hand", Kind::Number),
        ("held", Kind::Number),
    ]);
    for ((sku, location), delta) in sums {
        shelves.push([sku.into(), location.into(), delta.on_hand.into(), delta.held.into()]);
    }
    shelves.execute(tx, MOVE).await?;
    let mut safety = Rows::new(&[("sku_id", Kind::Text), ("location_id", Kind::Text), ("safety", Kind::Number)]);
    for (sku, location, units) in moves.safety {
        safety.push([sku.into(), location.into(), (*units).into()]);
    }
    safety.execute(tx, SAFETY).await?;
    let mut versions = Rows::new(&[("sku_id", Kind::Text), ("version", Kind::Number)]);
    for (sku, version) in &moves.versions {
        versions.push([(*sku).into(), (*version).into()]);
    }
    versions.execute(tx, VERSIONS).await?;
    entries.append(tx, "stock_entries").await
}

/// These locations, as shelves with nothing on them.
pub(super) async fn empty_shelves(
    tx: &mut Tx,
    locations: &BTreeSet<&LocationId>,
) -> Result<HashMap<LocationId, Shelf>, StoreError> {
    const FIND: &str = "
        SELECT l.id, l.kind, l.latitude_e6, l.longitude_e6
        FROM rows CROSS JOIN locations l
        WHERE l.id = rows.id";
    let mut rows = Rows::new(&[("id", Kind::Text)]);
    for location in locations {
        rows.push([(*location).into()]);
    }
    let found: Vec<(LocationId, PlaceKind, Option<i64>, Option<i64>)> = rows.fetch(tx, FIND).await?;
    let shelf = |(location, kind, latitude, longitude): (LocationId, PlaceKind, Option<i64>, Option<i64>)| {
        let point = point(latitude, longitude);
        (location.clone(), Shelf { location, kind, on_hand: 0, held: 0, safety: 0, point })
    };
    Ok(found.into_iter().map(shelf).collect())
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

impl ShelfView {
    /// Units that can be promised online.
    #[must_use]
    pub fn available(&self) -> i64 {
        (self.on_hand - self.held - self.safety).max(0)
    }
}

/// The shelves of a SKU.
///
/// # Errors
/// The database's.
pub async fn shelves(tx: &mut Tx, sku: &SkuId) -> Result<Vec<ShelfView>, StoreError> {
    const LIST: &str = "
        SELECT s.location_id, l.name, l.kind, s.on_hand, s.held, s.safety
        FROM stock s
        JOIN locations l ON l.id = s.location_id
        WHERE s.sku_id = $1
        ORDER BY s.location_id";
    Ok(on!(tx, |conn| sqlx::query_as::<_, ShelfView>(LIST).bind(sku).fetch_all(conn).await?))
}
