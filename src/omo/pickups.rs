//! Table: pickups: orders that wait in a store for their customer.
//!
//! `waiting → preparing → ready → handed_over`, or `returned`. A pickup begins, is handed over and is called off in the
//! transaction in which its order is paid, leaves, and is given back whole ([`open_pickups`], [`follow_orders`]); what its store does
//! in between is written here alone.
//! Invariant: its code is made out of a token that no list reads.

use serde::Serialize;

use super::{code::Code, hours::pace_ms, location};
use crate::{
    clock::Millis,
    ids::{AccountId, CustomerId, LocationId, OrderId, SkuId},
    on,
    store::{Kind, Rows, StoreError, Tx},
    wire,
};

/// A store's pace is how long it needed for so many of its last pickups.
const PACE_OF: i64 = 20;
/// Who began to hand over and never ended may be followed by another after this.
const HANDING_MS: i64 = 60 * 1_000;

crate::stored_choice! {
    /// Where a pickup stands.
    PickupState {
        /// The store has not begun.
        Waiting = "waiting",
        /// The store is at it.
        Preparing = "preparing",
        /// The customer may come.
        Ready = "ready",
        /// The customer has it.
        HandedOver = "handed_over",
        /// Called off: nobody came, or the order was given back.
        Returned = "returned",
    }
}

/// A pickup, whole.
#[derive(Clone, sqlx::FromRow)]
pub(super) struct Pickup {
    pub(super) order_id: OrderId,
    pub(super) location_id: LocationId,
    pub(super) customer_id: CustomerId,
    pub(super) state: PickupState,
    pub(super) due_from_ms: Option<Millis>,
    pub(super) ready_by_ms: Millis,
    pub(super) preparing_at_ms: Option<Millis>,
    pub(super) ready_at_ms: Option<Millis>,
    pub(super) code_token: Option<String>,
    pub(super) collect_by_ms: Option<Millis>,
    pub(super) reminded_at_ms: Option<Millis>,
    pub(super) handed_by: Option<AccountId>,
    pub(super) handed_key: Option<String>,
    pub(super) handed_over_at_ms: Option<Millis>,
    pub(super) returned_at_ms: Option<Millis>,
    pub(super) version: i64,
}

macro_rules! columns {
    () => {
        "order_id, location_id, customer_id, state, due_from_ms, ready_by_ms, preparing_at_ms, ready_at_ms, code_token, \
         collect_by_ms, reminded_at_ms, handed_by, handed_key, handed_over_at_ms, returned_at_ms, version"
    };
}

impl Pickup {
    /// As its customer hears of it over the hub.
    pub(super) fn to_wire(&self) -> wire::Pickup {
        let or_none = |at: Option<Millis>| at.map_or(0, |at| at.0);
        wire::Pickup {
            order_id: self.order_id.to_string(),
            location_id: self.location_id.to_string(),
            state: self.state.as_str().to_owned(),
            ready_by_ms: self.ready_by_ms.0,
            ready_at_ms: or_none(self.ready_at_ms),
            collect_by_ms: or_none(self.collect_by_ms),
            reminded: self.reminded_at_ms.is_some(),
            version: self.version,
        }
    }

    /// What hands it over; only while it waits for that.
    fn code(&self) -> Option<Code> {
        let token = self.code_token.as_ref().filter(|_| self.state == PickupState::Ready)?;
        Some(Code::of(token, &self.order_id))
    }
}

/// A pickup as its customer sees it.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct OrderPickup {
    /// In which store.
    pub location_id: LocationId,
    /// What people call it.
    pub location_name: String,
    /// Where it stands.
    pub state: PickupState,
    /// Promised when it was ordered, by the store's own pace and its opening hours.
    pub ready_by_ms: Millis,
    /// Since when the store is at it.
    pub preparing_at_ms: Option<Millis>,
    /// Since when it can be had.
    pub ready_at_ms: Option<Millis>,
    /// Until when it is kept; then it is called off and the money goes back.
    pub collect_by_ms: Option<Millis>,
    /// When it was handed over.
    pub handed_over_at_ms: Option<Millis>,
    /// When it was called off.
    pub returned_at_ms: Option<Millis>,
    /// While it is ready: shown or read out in the store, it hands the order over, once.
    #[schema(example = "7K3M-9PXQ")]
    pub code: Option<String>,
    /// The same, as the text of a QR.
    pub qr: Option<String>,
}

/// How an order's pickup stands, for its customer alone: it has the code.
///
/// # Errors
/// The database's.
pub async fn pickup_of(tx: &mut Tx, order: &OrderId) -> Result<Option<OrderPickup>, StoreError> {
    let Some(pickup) = find(tx, order).await? else { return Ok(None) };
    let location = location::find(tx, &pickup.location_id).await?;
    let code = pickup.code();
    Ok(Some(OrderPickup {
        location_id: pickup.location_id,
        location_name: location.map(|location| location.name).unwrap_or_default(),
        state: pickup.state,
        ready_by_ms: pickup.ready_by_ms,
        preparing_at_ms: pickup.preparing_at_ms,
        ready_at_ms: pickup.ready_at_ms,
        collect_by_ms: pickup.collect_by_ms,
        handed_over_at_ms: pickup.handed_over_at_ms,
        returned_at_ms: pickup.returned_at_ms,
        code: code.as_ref().map(Code::spoken),
        qr: code.as_ref().map(Code::qr),
    }))
}

/// An order that was just paid and is to be picked up.
#[derive(Debug)]
pub struct NewPickup<'a> {
    /// The order, written in this transaction.
    pub order: &'a OrderId,
    /// Where.
    pub location: &'a LocationId,
    /// By whom.
    pub customer: &'a CustomerId,
    /// Made by `hanamichi demo`.
    pub demo: bool,
}

/// Begins the pickups of orders, each with the time that its store's pace and hours promise.
///
/// # Errors
/// The database's.
pub async fn open_pickups(tx: &mut Tx, new: &[NewPickup<'_>], now: Millis) -> Result<(), StoreError> {
    let mut rows = Rows::new(&[
        ("order_id", Kind::Text),
        ("location_id", Kind::Text),
        ("customer_id", Kind::Text),
        ("state", Kind::Text),
        ("placed_at_ms", Kind::Number),
        ("due_from_ms", Kind::Number),
        ("ready_by_ms", Kind::Number),
        ("version", Kind::Number),
        ("demo", Kind::Flag),
    ]);
    let mut known: Vec<(&LocationId, Millis, Millis)> = Vec::new();
    for pickup in new {
        let promise = match known.iter().find(|(location, ..)| *location == pickup.location) {
            Some((_, due_from, ready_by)) => (*due_from, *ready_by),
            None => {
                let hours =
                    location::find(tx, pickup.location).await?.map(|location| location.hours).unwrap_or_default();
                let pace = pace_ms(last_prepared(tx, pickup.location).await?);
                let promise = (hours.after(now, 0), hours.after(now, pace));
                known.push((pickup.location, promise.0, promise.1));
                promise
            }
        };
        rows.push([
            pickup.order.into(),
            pickup.location.into(),
            pickup.customer.into(),
            PickupState::Waiting.as_str().into(),
            now.into(),
            promise.0.into(),
            promise.1.into(),
            1_i64.into(),
            pickup.demo.into(),
        ]);
    }
    rows.append(tx, "pickups").await
}

async fn last_prepared(tx: &mut Tx, location: &LocationId) -> Result<Vec<i64>, StoreError> {
    const LAST: &str = "
        SELECT prepared_ms
        FROM pickups
        WHERE location_id = $1 AND prepared_ms IS NOT NULL
        ORDER BY ready_at_ms DESC
        LIMIT $2";
    let rows: Vec<(i64,)> = on!(tx, |conn| sqlx::query_as(LAST).bind(location).bind(PACE_OF).fetch_all(conn).await?);
    Ok(rows.into_iter().map(|(ms,)| ms).collect())
}

/// What became of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Became {
    /// Its goods have left.
    Left,
    /// Nothing is left of it.
    CalledOff,
}

/// Whose pickup changed, and how it stands.
pub type PickupNews = (CustomerId, wire::Pickup);

/// Ends the pickups of orders that have left or were called off. What is over stays as it is.
///
/// # Errors
/// The database's.
pub async fn follow_orders(
    tx: &mut Tx,
    orders: &[(&OrderId, Became)],
    now: Millis,
) -> Result<Vec<PickupNews>, StoreError> {
    const FOLLOW: &str = concat!(
        "UPDATE pickups SET state = rows.became, version = version + 1,
             handed_over_at_ms = CASE WHEN rows.became = 'handed_over' THEN rows.at_ms END,
             returned_at_ms = CASE WHEN rows.became = 'returned' THEN rows.at_ms END
         FROM rows
         WHERE pickups.order_id = rows.id AND pickups.state IN ('waiting', 'preparing', 'ready')
         RETURNING ",
        columns!()
    );
    let mut rows = Rows::new(&[("id", Kind::Text), ("became", Kind::Text), ("at_ms", Kind::Number)]);
    for (order, became) in orders {
        let became = match became {
            Became::Left => PickupState::HandedOver,
            Became::CalledOff => PickupState::Returned,
        };
        rows.push([(*order).into(), became.as_str().into(), now.into()]);
    }
    let ended: Vec<Pickup> = rows.fetch(tx, FOLLOW).await?;
    Ok(ended.into_iter().map(|pickup| (pickup.customer_id.clone(), pickup.to_wire())).collect())
}

pub(super) async fn find(tx: &mut Tx, order: &OrderId) -> Result<Option<Pickup>, StoreError> {
    const FIND: &str = concat!("SELECT ", columns!(), " FROM pickups WHERE order_id = $1");
    Ok(on!(tx, |conn| sqlx::query_as::<_, Pickup>(FIND).bind(order).fetch_optional(conn).await?))
}

/// By the digest of its code in this store.
pub(super) async fn find_by_code(
    tx: &mut Tx,
    location: &LocationId,
    digest: &str,
) -> Result<Option<Pickup>, StoreError> {
    const FIND: &str = concat!("SELECT ", columns!(), " FROM pickups WHERE location_id = $1 AND code_digest = $2");
    Ok(on!(tx, |conn| sqlx::query_as::<_, Pickup>(FIND).bind(location).bind(digest).fetch_optional(conn).await?))
}

/// By the key under which this person hands, or handed it over.
pub(super) async fn find_by_key(tx: &mut Tx, by: &AccountId, key: &str) -> Result<Option<Pickup>, StoreError> {
    const FIND: &str = concat!("SELECT ", columns!(), " FROM pickups WHERE handed_by = $1 AND handed_key = $2");
    Ok(on!(tx, |conn| sqlx::query_as::<_, Pickup>(FIND).bind(by).bind(key).fetch_optional(conn).await?))
}

/// The store begins with it; nothing when it is not waiting.
pub(super) async fn begin(tx: &mut Tx, order: &OrderId, now: Millis) -> Result<Option<Pickup>, StoreError> {
    const BEGIN: &str = concat!(
        "UPDATE pickups SET state = 'preparing', preparing_at_ms = $2, version = version + 1
         WHERE order_id = $1 AND state = 'waiting'
         RETURNING ",
        columns!()
    );
    Ok(on!(tx, |conn| sqlx::query_as::<_, Pickup>(BEGIN).bind(order).bind(now).fetch_optional(conn).await?))
}

/// What is known of a pickup that can be had.
pub(super) struct Prepared<'a> {
    pub(super) at: Millis,
    pub(super) prepared_ms: Option<i64>,
    pub(super) token: &'a str,
    pub(super) digest: &'a str,
    pub(super) collect_by: Millis,
    pub(super) remind_at: Option<Millis>,
}

/// It can be had; nothing when it is not being prepared.
pub(super) async fn finish(
    tx: &mut Tx,
    order: &OrderId,
    prepared: &Prepared<'_>,
) -> Result<Option<Pickup>, StoreError> {
    const FINISH: &str = concat!(
        "UPDATE pickups SET state = 'ready', ready_at_ms = $2, prepared_ms = $3, code_token = $4, code_digest = $5,
             collect_by_ms = $6, remind_at_ms = $7, version = version + 1
         WHERE order_id = $1 AND state IN ('waiting', 'preparing')
         RETURNING ",
        columns!()
    );
    Ok(on!(tx, |conn| sqlx::query_as::<_, Pickup>(FINISH)
        .bind(order)
        .bind(prepared.at)
        .bind(prepared.prepared_ms)
        .bind(prepared.token)
        .bind(prepared.digest)
        .bind(prepared.collect_by)
        .bind(prepared.remind_at)
        .fetch_optional(conn)
        .await?))
}

/// This person is about to hand it over, under this key; `false`: somebody else is.
pub(super) async fn claim(
    tx: &mut Tx,
    order: &OrderId,
    (by, key): (&AccountId, &str),
    now: Millis,
) -> Result<bool, StoreError> {
    const CLAIM: &str = "
        UPDATE pickups SET handed_by = $2, handed_key = $3, handing_at_ms = $4
        WHERE order_id = $1 AND state = 'ready'
          AND (handed_by IS NULL OR handed_by = $2 AND handed_key = $3 OR handing_at_ms <= $5)";
    let claimed = on!(tx, |conn| sqlx::query(CLAIM)
        .bind(order)
        .bind(by)
        .bind(key)
        .bind(now)
        .bind(now.0 - HANDING_MS)
        .execute(conn)
        .await?
        .rows_affected());
    Ok(claimed == 1)
}

/// This person did not hand it over after all.
pub(super) async fn unclaim(tx: &mut Tx, order: &OrderId, by: &AccountId, key: &str) -> Result<(), StoreError> {
    const UNCLAIM: &str = "
        UPDATE pickups SET handed_by = NULL, handed_key = NULL, handing_at_ms = NULL
        WHERE order_id = $1 AND state <> 'handed_over' AND handed_by = $2 AND handed_key = $3";
    on!(tx, |conn| sqlx::query(UNCLAIM).bind(order).bind(by).bind(key).execute(conn).await.map(drop)?);
    Ok(())
}

/// Reminds customers of what is kept for a day more, each once.
pub(super) async fn remind_due(tx: &mut Tx, now: Millis, limit: i64) -> Result<Vec<PickupNews>, StoreError> {
    const REMIND: &str = concat!(
        "UPDATE pickups SET reminded_at_ms = $1, version = version + 1
         WHERE state = 'ready' AND reminded_at_ms IS NULL AND order_id IN (
             SELECT d.order_id
             FROM pickups d
             WHERE d.state = 'ready' AND d.reminded_at_ms IS NULL AND d.remind_at_ms <= $1
               AND d.collect_by_ms > $1
             ORDER BY d.remind_at_ms
             LIMIT $2)
         RETURNING ",
        columns!()
    );
    let due = on!(tx, |conn| sqlx::query_as::<_, Pickup>(REMIND).bind(now).bind(limit).fetch_all(conn).await?);
    Ok(due.into_iter().map(|pickup| (pickup.customer_id.clone(), pickup.to_wire())).collect())
}

/// Whether there is somebody to remind: looking is cheaper than trying.
pub(super) async fn is_reminder_due(tx: &mut Tx, now: Millis) -> Result<bool, StoreError> {
    const DUE: &str = "
        SELECT COUNT(*) FROM (
            SELECT order_id
            FROM pickups
            WHERE state = 'ready' AND reminded_at_ms IS NULL AND remind_at_ms <= $1 AND collect_by_ms > $1
            LIMIT 1) due";
    let (due,): (i64,) = on!(tx, |conn| sqlx::query_as(DUE).bind(now).fetch_one(conn).await?);
    Ok(due > 0)
}

/// What nobody came for in time.
pub(super) async fn overdue(tx: &mut Tx, now: Millis, limit: i64) -> Result<Vec<OrderId>, StoreError> {
    const LIST: &str = "
        SELECT order_id FROM pickups WHERE state = 'ready' AND collect_by_ms <= $1 ORDER BY collect_by_ms LIMIT $2";
    let rows: Vec<(OrderId,)> = on!(tx, |conn| sqlx::query_as(LIST).bind(now).bind(limit).fetch_all(conn).await?);
    Ok(rows.into_iter().map(|(order,)| order).collect())
}

/// Units of one line that are picked up.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct PickupLine {
    /// What is counted.
    pub sku_id: SkuId,
    /// As it was called then.
    pub product_title: String,
    /// As it was called then.
    pub variant: String,
    /// Units, less what was given back.
    pub qty: i64,
}

/// A pickup as its store sees it: never its code.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct StorePickup {
    /// The order.
    pub order_id: OrderId,
    /// What people read out.
    pub order_number: String,
    /// Where it stands.
    pub state: PickupState,
    /// When it was paid.
    pub placed_at_ms: Millis,
    /// Promised to the customer.
    pub ready_by_ms: Millis,
    /// Since when the store is at it.
    pub preparing_at_ms: Option<Millis>,
    /// Since when it can be had.
    pub ready_at_ms: Option<Millis>,
    /// Until when it is kept.
    pub collect_by_ms: Option<Millis>,
    /// When it was handed over.
    pub handed_over_at_ms: Option<Millis>,
    /// When it was called off.
    pub returned_at_ms: Option<Millis>,
    /// Units that are not there although they were sold: it cannot be handed over before there are others.
    pub short_units: i64,
    /// What is to be handed over.
    #[sqlx(skip)]
    pub lines: Vec<PickupLine>,
}

macro_rules! seen {
    () => {
        "SELECT k.order_id, o.number AS order_number, k.state, k.placed_at_ms, k.ready_by_ms, k.preparing_at_ms, \
         k.ready_at_ms, k.collect_by_ms, k.handed_over_at_ms, k.returned_at_ms, p.short_units \
         FROM pickups k JOIN orders o ON o.id = k.order_id JOIN purchases p ON p.id = o.purchase_id WHERE k.location_id = $1 "
    };
}

/// A store's pickups: what is still to be handed over, oldest first; or those of one state, of which what is over comes newest
/// first. One more than the page when there is more.
pub(super) async fn of_location(
    tx: &mut Tx,
    location: &LocationId,
    state: Option<PickupState>,
    cursor: Option<&OrderId>,
    limit: i64,
) -> Result<Vec<StorePickup>, StoreError> {
    const OPEN: &str = concat!(
        seen!(),
        "AND k.state IN ('waiting', 'preparing', 'ready') AND $2 = '' AND k.order_id > $3 ORDER BY k.order_id LIMIT $4"
    );
    const OF_STATE: &str = concat!(seen!(), "AND k.state = $2 AND k.order_id > $3 ORDER BY k.order_id LIMIT $4");
    const OVER: &str =
        concat!(seen!(), "AND k.state = $2 AND ($3 = '' OR k.order_id < $3) ORDER BY k.order_id DESC LIMIT $4");
    let list = match state {
        None => OPEN,
        Some(PickupState::Waiting | PickupState::Preparing | PickupState::Ready) => OF_STATE,
        Some(PickupState::HandedOver | PickupState::Returned) => OVER,
    };
    let pickups = on!(&mut *tx, |conn| sqlx::query_as::<_, StorePickup>(list)
        .bind(location)
        .bind(state.map_or("", PickupState::as_str))
        .bind(cursor.map_or("", OrderId::as_str))
        .bind(limit)
        .fetch_all(conn)
        .await?);
    with_lines(tx, pickups).await
}

/// One of a store's pickups.
pub(super) async fn seen(
    tx: &mut Tx,
    location: &LocationId,
    order: &OrderId,
) -> Result<Option<StorePickup>, StoreError> {
    const SEE: &str = concat!(seen!(), "AND k.order_id = $2");
    let found =
        on!(&mut *tx, |conn| sqlx::query_as::<_, StorePickup>(SEE).bind(location).bind(order).fetch_all(conn).await?);
    Ok(with_lines(tx, found).await?.pop())
}

async fn with_lines(tx: &mut Tx, mut pickups: Vec<StorePickup>) -> Result<Vec<StorePickup>, StoreError> {
    const LINES: &str = "
        SELECT l.order_id, l.sku_id, l.product_title, l.variant, CAST(l.qty - l.returned_qty AS BIGINT)
        FROM rows CROSS JOIN order_lines l
        WHERE l.order_id = rows.id
        ORDER BY l.id";
    let mut rows = Rows::new(&[("id", Kind::Text)]);
    for pickup in &pickups {
        rows.push([pickup.order_id.to_string().into()]);
    }
    let lines: Vec<(OrderId, SkuId, String, String, i64)> = rows.fetch(tx, LINES).await?;
    for (order, sku_id, product_title, variant, qty) in lines {
        if let Some(pickup) = pickups.iter_mut().find(|pickup| pickup.order_id == order) {
            pickup.lines.push(PickupLine { sku_id, product_title, variant, qty });
        }
    }
    Ok(pickups)
}
