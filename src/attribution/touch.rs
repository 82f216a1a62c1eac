//! Table: touches: why a customer came. Append-only.
//!
//! Views and clicks are many and worth little alone: they pass a bounded queue and are written in batches. When the
//! queue is full the touch is dropped and counted; a purchase in a live writes its own touch in its own transaction.

use std::{collections::HashMap, time::Duration};

use tokio::sync::mpsc;

use super::rule;
use crate::{
    clock::Millis,
    ids::{CustomerId, LiveId, LiverId, ProductId, TouchId},
    store::{Db, Kind, Rows, StoreError, Tx},
    tasks::Tasks,
};

/// Touches that may wait to be written.
const QUEUE: usize = 8_192;
/// Touches of one statement.
const MAX_BATCH: usize = 500;
/// Touches of one customer the rule looks at: the newest.
const MAX_PER_CUSTOMER: usize = 64;
/// The longest window of any rule.
const LOOK_BACK_MS: i64 = 30 * 24 * 3600 * 1000;

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
    /// Followed a link.
    Link,
    /// Redeemed a live's coupon in a store.
    Coupon,
    /// Named a member of staff.
    StaffCode,
}

impl TouchKind {
    const ALL: &[Self] =
        &[Self::View, Self::Click, Self::LivePurchase, Self::Replay, Self::Link, Self::Coupon, Self::StaffCode];

    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Click => "click",
            Self::LivePurchase => "live_purchase",
            Self::Replay => "replay",
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
    /// Through which live.
    pub live: LiveId,
    /// How.
    pub kind: TouchKind,
    /// To which product.
    pub product: Option<ProductId>,
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
    pub fn start(db: Db, tasks: &Tasks) -> Self {
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
                if let Err(error) = write(&db, &batch).await {
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

async fn write(db: &Db, touches: &[NewTouch]) -> Result<(), StoreError> {
    let mut tx = db.write("write touches").await?;
    insert(&mut tx, touches).await?;
    tx.commit().await
}

/// Writes touches.
pub(super) async fn insert(tx: &mut Tx, touches: &[NewTouch]) -> Result<(), StoreError> {
    const INSERT: &str = "
        INSERT INTO touches (id, customer_id, live_id, kind, product_id, at_ms, stored_at_ms)
        SELECT id, customer_id, live_id, kind, product_id, at_ms, at_ms FROM rows";
    let mut rows = Rows::new(&[
        ("id", Kind::Text),
        ("customer_id", Kind::Text),
        ("live_id", Kind::Text),
        ("kind", Kind::Text),
        ("product_id", Kind::Text),
        ("at_ms", Kind::Number),
    ]);
    for touch in touches {
        rows.push([
            String::from(TouchId::fresh()).into(),
            (&touch.customer).into(),
            (&touch.live).into(),
            touch.kind.as_str().into(),
            touch.product.as_ref().into(),
            touch.at.into(),
        ]);
    }
    rows.execute(tx, INSERT).await?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Row {
    id: TouchId,
    customer_id: CustomerId,
    kind: TouchKind,
    live_id: LiveId,
    liver_id: LiverId,
    product_id: Option<ProductId>,
    at_ms: Millis,
}

/// The newest touches of these customers that some rule may still look at.
pub(super) async fn of_customers(
    tx: &mut Tx,
    customers: &[CustomerId],
    now: Millis,
) -> Result<HashMap<CustomerId, Vec<rule::Touch>>, StoreError> {
    const NEWEST: &str = "
        SELECT t.id, t.customer_id, t.kind, t.live_id, l.liver_id, t.product_id, t.at_ms
        FROM rows CROSS JOIN touches t JOIN lives l ON l.id = t.live_id
        WHERE t.customer_id = rows.customer_id AND t.at_ms >= rows.since_ms
        ORDER BY t.at_ms DESC";
    let since = Millis(now.0 - LOOK_BACK_MS);
    let mut wanted = Rows::new(&[("customer_id", Kind::Text), ("since_ms", Kind::Number)]);
    for customer in customers {
        wanted.push([customer.into(), since.into()]);
    }
    let rows: Vec<Row> = wanted.fetch(tx, NEWEST).await?;
    let mut found: HashMap<CustomerId, Vec<rule::Touch>> = HashMap::new();
    for row in rows {
        let of_one = found.entry(row.customer_id).or_default();
        if of_one.len() < MAX_PER_CUSTOMER {
            of_one.push(rule::Touch {
                id: row.id,
                kind: row.kind,
                live: row.live_id,
                liver: row.liver_id,
                product: row.product_id,
                at: row.at_ms,
            });
        }
    }
    Ok(found)
}
