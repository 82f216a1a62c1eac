//! Table: touches: why a customer came. Append-only.
//!
//! Views, clicks, links and replays are noted only of those who let us (`customers.touches_allowed`), and once a minute of
//! the same person, live and product. They are many and worth little alone: they pass a bounded queue and are written in
//! batches. When the queue is full the touch is dropped and counted. A purchase writes its own touch in its own
//! transaction; so does who names a code, which is an act of their own.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use tokio::sync::mpsc;

use super::rule;
use crate::{
    clock::{Clock, Millis},
    ids::{AccountId, CustomerId, LiveId, LiverId, LocationId, ProductId, TouchId},
    on,
    store::{Db, Kind, Rows, StoreError, Tx},
    tasks::Tasks,
};

/// Touches that may wait to be written.
const QUEUE: usize = 8_192;
/// Touches of one statement.
const MAX_BATCH: usize = 500;
/// Touches of one customer the rule looks at: the newest that could decide.
pub(super) const MAX_PER_CUSTOMER: usize = 64;
/// The longest window that a rule or terms can have.
pub(super) const LOOK_BACK_MS: i64 = 90 * rule::DAY_MS;

/// Why a customer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TouchKind {
    /// Watched a live.
    View,
    /// Opened the card of a product in a live.
    Click,
    /// Bought in a live.
    LivePurchase,
    /// Watched the replay.
    Replay,
    /// Bought in the replay.
    ReplayPurchase,
    /// Followed a link.
    Link,
    /// Redeemed a live's coupon in a store.
    Coupon,
    /// Named a member of staff.
    StaffCode,
}

impl TouchKind {
    pub(super) const ALL: &[Self] = &[
        Self::View,
        Self::Click,
        Self::LivePurchase,
        Self::Replay,
        Self::ReplayPurchase,
        Self::Link,
        Self::Coupon,
        Self::StaffCode,
    ];

    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Click => "click",
            Self::LivePurchase => "live_purchase",
            Self::Replay => "replay",
            Self::ReplayPurchase => "replay_purchase",
            Self::Link => "link",
            Self::Coupon => "coupon",
            Self::StaffCode => "staff_code",
        }
    }
}

crate::stored_as_text!(TouchKind);

/// A touch to be written.
#[derive(Debug, Clone)]
pub struct NewTouch {
    /// Who.
    pub customer: CustomerId,
    /// Through which live; a staff code may be named without one.
    pub live: Option<LiveId>,
    /// How.
    pub kind: TouchKind,
    /// To which product.
    pub product: Option<ProductId>,
    /// The code that was followed or named, or the coupon.
    pub code: Option<String>,
    /// The link's or coupon's.
    pub campaign: Option<String>,
    /// When.
    pub at: Millis,
}

/// Where views and clicks go. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Touches {
    queue: mpsc::Sender<NewTouch>,
}

impl Touches {
    /// Starts the task that writes them.
    #[must_use]
    pub fn start(db: Db, clock: Clock, tasks: &Tasks) -> Self {
        let (queue, mut waiting) = mpsc::channel::<NewTouch>(QUEUE);
        let stopping = tasks.stopping();
        tasks.spawn("touches", async move {
            let mut batch = Vec::with_capacity(MAX_BATCH);
            loop {
                tokio::select! {
                    biased;
                    taken = waiting.recv_many(&mut batch, MAX_BATCH) => {
                        if taken == 0 {
                            return;
                        }
                    }
                    () = stopping.cancelled(), if !waiting.is_closed() => {
                        waiting.close();
                        continue;
                    }
                }
                if let Err(error) = write(&db, &batch, clock.now()).await {
                    tracing::warn!(error = %error, touches.lost = batch.len(), "touches not written");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                batch.clear();
            }
        });
        Self { queue }
    }

    /// Notes a view or click; dropped when too many wait.
    pub fn record(&self, touch: NewTouch) {
        if self.queue.try_send(touch).is_err() {
            tracing::debug!("touch dropped: the queue is full");
        }
    }
}

async fn write(db: &Db, touches: &[NewTouch], now: Millis) -> Result<(), StoreError> {
    let mut tx = db.write("write touches").await?;
    insert(&mut tx, touches, now).await?;
    tx.commit().await
}

/// Staff codes that somebody has named since a moment.
pub(super) async fn named_since(tx: &mut Tx, customer: &CustomerId, since: Millis) -> Result<i64, StoreError> {
    const COUNT: &str = "SELECT COUNT(*) FROM touches WHERE customer_id = $1 AND at_ms >= $2 AND kind = 'staff_code'";
    let (count,): (i64,) = on!(tx, |conn| sqlx::query_as(COUNT).bind(customer).bind(since).fetch_one(conn).await?);
    Ok(count)
}

/// Writes touches. Those that need leave are left out where it was not given, or when the same was noted this minute.
pub(super) async fn insert(tx: &mut Tx, touches: &[NewTouch], now: Millis) -> Result<(), StoreError> {
    const INSERT: &str = "
        INSERT INTO touches (id, customer_id, live_id, kind, product_id, code, campaign, at_ms, stored_at_ms)
        SELECT rows.id, rows.customer_id, rows.live_id, rows.kind, rows.product_id, rows.code, rows.campaign, rows.at_ms,
               rows.stored_at_ms
        FROM rows CROSS JOIN customers c
        WHERE c.id = rows.customer_id
          AND (rows.kind IN ('live_purchase', 'replay_purchase', 'coupon', 'staff_code') OR c.touches_allowed)
        ON CONFLICT DO NOTHING";
    let mut rows = Rows::new(&[
        ("id", Kind::Text),
        ("customer_id", Kind::Text),
        ("live_id", Kind::Text),
        ("kind", Kind::Text),
        ("product_id", Kind::Text),
        ("code", Kind::Text),
        ("campaign", Kind::Text),
        ("at_ms", Kind::Number),
        ("stored_at_ms", Kind::Number),
    ]);
    for touch in touches {
        rows.push([
            String::from(TouchId::fresh()).into(),
            (&touch.customer).into(),
            touch.live.as_ref().into(),
            touch.kind.as_str().into(),
            touch.product.as_ref().into(),
            touch.code.as_deref().into(),
            touch.campaign.as_deref().into(),
            touch.at.into(),
            now.into(),
        ]);
    }
    rows.execute(tx, INSERT).await?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Row {
    until_ms: Millis,
    for_product_id: ProductId,
    id: TouchId,
    customer_id: CustomerId,
    kind: TouchKind,
    live_id: Option<LiveId>,
    liver_id: Option<LiverId>,
    product_id: Option<ProductId>,
    code: Option<String>,
    staff_account_id: Option<AccountId>,
    staff_location_id: Option<LocationId>,
    campaign: Option<String>,
    at_ms: Millis,
    stored_at_ms: Millis,
}

/// A touch, and when it was written.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) touch: rule::Touch,
    pub(super) stored_at: Millis,
}

/// Touches by customer, moment and product.
pub(super) type Before = HashMap<(CustomerId, Millis, ProductId), Vec<Stored>>;

/// The newest touches of each customer up to a moment that some rule may look at then for a product, newest first: those of
/// the product and those of none. What was tapped besides, however much, hides nothing.
pub(super) async fn before(
    tx: &mut Tx,
    wanted: &BTreeSet<(&CustomerId, Millis, &ProductId)>,
) -> Result<Before, StoreError> {
    // Views never decide; there are many of them.
    const NEWEST: &str = "
        SELECT rows.until_ms, rows.product_id AS for_product_id, t.id, t.customer_id, t.kind, t.live_id, l.liver_id,
               t.product_id, t.code, s.account_id AS staff_account_id, s.location_id AS staff_location_id, t.campaign,
               t.at_ms, t.stored_at_ms
        FROM rows CROSS JOIN touches t
        LEFT JOIN lives l ON l.id = t.live_id
        LEFT JOIN staff_codes s ON t.kind = 'staff_code' AND s.code = t.code
        WHERE t.customer_id = rows.customer_id AND t.at_ms >= rows.since_ms AND t.at_ms <= rows.until_ms AND t.kind <> 'view'
          AND (t.product_id IS NULL OR t.product_id = rows.product_id)
        ORDER BY t.at_ms DESC, t.id DESC";
    let mut rows = Rows::new(&[
        ("customer_id", Kind::Text),
        ("since_ms", Kind::Number),
        ("until_ms", Kind::Number),
        ("product_id", Kind::Text),
    ]);
    for (customer, until, product) in wanted {
        rows.push([(*customer).into(), Millis(until.0 - LOOK_BACK_MS).into(), (*until).into(), (*product).into()]);
    }
    let mut found = Before::new();
    for row in rows.fetch::<Row>(tx, NEWEST).await? {
        let of_one = found.entry((row.customer_id, row.until_ms, row.for_product_id)).or_default();
        if of_one.len() < MAX_PER_CUSTOMER {
            let touch = rule::Touch {
                id: row.id,
                kind: row.kind,
                live: row.live_id.zip(row.liver_id),
                product: row.product_id,
                code: row.code,
                staff: row.staff_account_id.zip(row.staff_location_id),
                campaign: row.campaign,
                at: row.at_ms,
            };
            of_one.push(Stored { touch, stored_at: row.stored_at_ms });
        }
    }
    Ok(found)
}
