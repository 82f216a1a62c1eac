//! Table: purchases, payment_attempts, orders, order_lines, confirmations.
//!
//! Written inside the sequencer's transactions; read by whoever owns the purchase.

use serde::{Deserialize, Serialize};
use sqlx::QueryBuilder;

use super::{
    ledger::BULK_ROWS,
    purchase::State,
    stock::{Allocation, OfferTerms},
};
use crate::{
    clock::Millis,
    ids::{AttemptId, BrandId, CustomerId, LiveId, OfferId, OrderId, OrderLineId, ProductId, PurchaseId, SkuId},
    money::{Currency, tax_inside},
    on,
    store::{StoreError, Tx},
};

/// One purchase, as its buyer may see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Purchase {
    /// Its id.
    pub id: PurchaseId,
    /// Where it stands.
    pub state: State,
    /// A problem name when it was refused, expired or failed.
    pub reason: Option<String>,
    /// Who buys.
    #[serde(skip)]
    pub customer_id: CustomerId,
    /// Under which key.
    #[serde(skip)]
    pub idempotency_key: String,
    /// Digest of what was asked.
    #[serde(skip)]
    pub body_hash: String,
    /// In which live.
    pub live_id: LiveId,
    /// At which terms.
    pub offer_id: OfferId,
    /// What is shown.
    pub product_id: ProductId,
    /// What is counted.
    pub sku_id: SkuId,
    /// Where the units stand (JSON).
    #[serde(skip)]
    pub allocation: String,
    /// Units.
    pub qty: i32,
    /// Tax included.
    pub unit_price_minor: i64,
    /// Tax included.
    pub total_minor: i64,
    /// Basis points.
    pub tax_rate_bp: i32,
    /// Of the amounts.
    pub currency: Currency,
    /// What the buyer was shown.
    pub confirmation_hash: String,
    /// When an unpaid hold runs out.
    pub hold_expires_at_ms: Millis,
    /// When the units were reserved.
    pub placed_at_ms: Millis,
    /// The transaction that reserved them.
    #[serde(skip)]
    pub batch_id: String,
    /// Once it is paid.
    pub order_id: Option<OrderId>,
    /// Grows with every change.
    pub version: i64,
    /// Made by `hanamichi demo`.
    pub demo: bool,
}

impl Purchase {
    /// Where the units stand.
    #[must_use]
    pub(super) fn allocation(&self) -> Allocation {
        serde_json::from_str(&self.allocation).expect("we wrote this JSON ourselves")
    }
}

macro_rules! purchase_columns {
    () => {
        "id, state, reason, customer_id, idempotency_key, body_hash, live_id, offer_id, product_id, sku_id, allocation, qty, \
         unit_price_minor, total_minor, tax_rate_bp, currency, confirmation_hash, hold_expires_at_ms, placed_at_ms, batch_id, \
         order_id, version, demo"
    };
}

/// A purchase by id.
pub(super) async fn find(tx: &mut Tx, id: &PurchaseId) -> Result<Option<Purchase>, StoreError> {
    const FIND: &str = concat!("SELECT ", purchase_columns!(), " FROM purchases WHERE id = $1");
    Ok(on!(tx, |conn| sqlx::query_as::<_, Purchase>(FIND).bind(id).fetch_optional(conn).await?))
}

/// A purchase by its buyer's key.
pub(super) async fn find_by_key(tx: &mut Tx, customer: &CustomerId, key: &str) -> Result<Option<Purchase>, StoreError> {
    const FIND: &str =
        concat!("SELECT ", purchase_columns!(), " FROM purchases WHERE customer_id = $1 AND idempotency_key = $2");
    Ok(on!(tx, |conn| sqlx::query_as::<_, Purchase>(FIND).bind(customer).bind(key).fetch_optional(conn).await?))
}

/// Which of these (customer, key) pairs bought already.
pub(super) async fn find_by_keys(tx: &mut Tx, keys: &[(&CustomerId, &str)]) -> Result<Vec<Purchase>, StoreError> {
    const FIND: &str =
        concat!("SELECT ", purchase_columns!(), " FROM purchases WHERE (customer_id, idempotency_key) IN (");
    let mut found = Vec::new();
    for chunk in keys.chunks(BULK_ROWS) {
        let rows: Vec<Purchase> = on!(tx, |conn| {
            let mut query = QueryBuilder::new(FIND);
            query.push_values(chunk, |mut row, (customer, key)| {
                row.push_bind(*customer).push_bind(*key);
            });
            query.push(")");
            query.build_query_as().persistent(false).fetch_all(conn).await?
        });
        found.extend(rows);
    }
    Ok(found)
}

/// Locks these purchases and reads them.
pub(super) async fn lock(tx: &mut Tx, ids: &[&PurchaseId]) -> Result<Vec<Purchase>, StoreError> {
    // The portable lock-and-read, one at a time in id order: two nodes cannot wait for each other.
    const LOCK: &str =
        concat!("UPDATE purchases SET version = version + 1 WHERE id = $1 RETURNING ", purchase_columns!());
    let sorted: std::collections::BTreeSet<&PurchaseId> = ids.iter().copied().collect();
    let mut locked = Vec::with_capacity(sorted.len());
    for id in sorted {
        let row = on!(tx, |conn| sqlx::query_as::<_, Purchase>(LOCK).bind(id).fetch_optional(conn).await?);
        locked.extend(row);
    }
    Ok(locked)
}

/// Unpaid purchases whose time is over, oldest first.
pub(super) async fn due(tx: &mut Tx, now: Millis, limit: i64) -> Result<Vec<PurchaseId>, StoreError> {
    const DUE: &str = "
        SELECT id
        FROM purchases
        WHERE state = 'held' AND hold_expires_at_ms <= $1
        ORDER BY hold_expires_at_ms
        LIMIT $2";
    let rows: Vec<(PurchaseId,)> = on!(tx, |conn| sqlx::query_as(DUE).bind(now).bind(limit).fetch_all(conn).await?);
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// The terms of these offers, with what the SKU says of tax.
pub(super) async fn terms(tx: &mut Tx, offers: &[&OfferId]) -> Result<Vec<OfferTerms>, StoreError> {
    const TERMS: &str = "
        SELECT o.id, o.live_id, o.product_id, o.sku_id, o.price_minor, k.currency, k.tax_rate_bp, o.limit_per_customer,
               o.starts_at_ms, o.ends_at_ms
        FROM offers o
        JOIN skus k ON k.id = o.sku_id
        WHERE o.id IN (";
    if offers.is_empty() {
        return Ok(Vec::new());
    }
    Ok(on!(tx, |conn| {
        let mut query = QueryBuilder::new(TERMS);
        let mut ids = query.separated(", ");
        for offer in offers {
            ids.push_bind(*offer);
        }
        query.push(")");
        query.build_query_as().persistent(false).fetch_all(conn).await?
    }))
}

/// Writes new purchases.
pub(super) async fn insert(tx: &mut Tx, purchases: &[&Purchase]) -> Result<(), StoreError> {
    const INSERT: &str = concat!("INSERT INTO purchases (", purchase_columns!(), ") ");
    for chunk in purchases.chunks(BULK_ROWS) {
        on!(tx, |conn| {
            let mut query = QueryBuilder::new(INSERT);
            query.push_values(chunk, |mut row, p| {
                row.push_bind(&p.id)
                    .push_bind(p.state)
                    .push_bind(&p.reason)
                    .push_bind(&p.customer_id)
                    .push_bind(&p.idempotency_key)
                    .push_bind(&p.body_hash)
                    .push_bind(&p.live_id)
                    .push_bind(&p.offer_id)
                    .push_bind(&p.product_id)
                    .push_bind(&p.sku_id)
                    .push_bind(&p.allocation)
                    .push_bind(p.qty)
                    .push_bind(p.unit_price_minor)
                    .push_bind(p.total_minor)
                    .push_bind(p.tax_rate_bp)
                    .push_bind(p.currency)
                    .push_bind(&p.confirmation_hash)
                    .push_bind(p.hold_expires_at_ms)
                    .push_bind(p.placed_at_ms)
                    .push_bind(&p.batch_id)
                    .push_bind(&p.order_id)
                    .push_bind(p.version)
                    .push_bind(p.demo);
            });
            query.build().persistent(false).execute(conn).await.map(drop)
        })?;
    }
    Ok(())
}

/// Writes the new state of a purchase that this transaction has locked.
pub(super) async fn update(tx: &mut Tx, purchase: &Purchase) -> Result<(), StoreError> {
    const UPDATE: &str = "UPDATE purchases SET state = $2, reason = $3, order_id = $4 WHERE id = $1";
    on!(tx, |conn| sqlx::query(UPDATE)
        .bind(&purchase.id)
        .bind(purchase.state)
        .bind(&purchase.reason)
        .bind(&purchase.order_id)
        .execute(conn)
        .await
        .map(drop))?;
    Ok(())
}

/// Keeps what a buyer was shown; the same sheet is kept once.
pub(super) async fn keep_confirmation(tx: &mut Tx, hash: &str, shown: &str, now: Millis) -> Result<(), StoreError> {
    const KEEP: &str = "
        INSERT INTO confirmations (hash, shown, created_at_ms)
        VALUES ($1, $2, $3)
        ON CONFLICT (hash) DO NOTHING";
    on!(tx, |conn| sqlx::query(KEEP).bind(hash).bind(shown).bind(now).execute(conn).await.map(drop))?;
    Ok(())
}

/// One try to collect money.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct Attempt {
    pub(super) id: AttemptId,
    pub(super) purchase_id: PurchaseId,
    pub(super) n: i32,
    pub(super) method: String,
    pub(super) amount_minor: i64,
    pub(super) currency: Currency,
}

/// Writes the first try of a purchase; a second call changes nothing.
pub(super) async fn insert_attempt(
    tx: &mut Tx,
    purchase: &Purchase,
    method: &str,
    now: Millis,
) -> Result<(), StoreError> {
    const INSERT: &str = "
        INSERT INTO payment_attempts (id, purchase_id, n, provider, method, amount_minor, currency, state, updated_at_ms)
        VALUES ($1, $2, 1, 'sandbox', $3, $4, $5, 'created', $6)
        ON CONFLICT (purchase_id, n) DO NOTHING";
    on!(tx, |conn| sqlx::query(INSERT)
        .bind(AttemptId::fresh())
        .bind(&purchase.id)
        .bind(method)
        .bind(purchase.total_minor)
        .bind(purchase.currency)
        .bind(now)
        .execute(conn)
        .await
        .map(drop))?;
    Ok(())
}

/// The newest try of a purchase.
pub(super) async fn find_attempt(tx: &mut Tx, purchase: &PurchaseId) -> Result<Option<Attempt>, StoreError> {
    const FIND: &str = "
        SELECT id, purchase_id, n, method, amount_minor, currency
        FROM payment_attempts
        WHERE purchase_id = $1
        ORDER BY n DESC
        LIMIT 1";
    Ok(on!(tx, |conn| sqlx::query_as::<_, Attempt>(FIND).bind(purchase).fetch_optional(conn).await?))
}

/// Notes how the newest try of a purchase stands.
pub(super) async fn mark_attempt(
    tx: &mut Tx,
    purchase: &PurchaseId,
    state: &'static str,
    now: Millis,
) -> Result<(), StoreError> {
    const MARK: &str = "
        UPDATE payment_attempts SET state = $2, updated_at_ms = $3
        WHERE purchase_id = $1 AND n = (SELECT MAX(n) FROM payment_attempts WHERE purchase_id = $1)";
    on!(tx, |conn| sqlx::query(MARK).bind(purchase).bind(state).bind(now).execute(conn).await.map(drop))?;
    Ok(())
}

/// Purchases whose payment has no last word and was last asked about before `before`.
pub(super) async fn unsettled(tx: &mut Tx, before: Millis, limit: i64) -> Result<Vec<PurchaseId>, StoreError> {
    const LIST: &str = "
        SELECT p.id
        FROM purchases p
        JOIN payment_attempts a ON a.purchase_id = p.id
        WHERE p.state IN ('paying', 'requires_action') AND a.updated_at_ms <= $1
        ORDER BY p.placed_at_ms
        LIMIT $2";
    let rows: Vec<(PurchaseId,)> =
        on!(tx, |conn| sqlx::query_as(LIST).bind(before).bind(limit).fetch_all(conn).await?);
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// What was bought.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Order {
    /// Its id.
    pub id: OrderId,
    /// What people read out.
    pub number: String,
    /// The purchase behind it.
    pub purchase_id: PurchaseId,
    /// In which live.
    pub live_id: LiveId,
    /// The purchase's state.
    pub state: State,
    /// When it was paid.
    pub placed_at_ms: Millis,
    /// What was bought.
    pub lines: Vec<OrderLine>,
    /// Tax included.
    pub total_minor: i64,
    /// One rounding per rate (インボイス).
    pub tax: Vec<TaxLine>,
    /// Of the amounts.
    pub currency: Currency,
    #[serde(skip)]
    pub(super) customer_id: CustomerId,
}

/// One SKU of an order.
#[derive(Debug, Clone, Serialize, Deserialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct OrderLine {
    /// Its id.
    pub id: OrderLineId,
    /// As it was called then.
    pub product_title: String,
    /// As it was called then.
    pub variant: String,
    /// What is counted.
    pub sku_id: SkuId,
    /// Units.
    pub qty: i32,
    /// Tax included.
    pub unit_price_minor: i64,
    /// Basis points.
    pub tax_rate_bp: i32,
    /// Tax included.
    pub amount_minor: i64,
}

/// The tax of one rate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TaxLine {
    /// Basis points.
    pub rate_bp: i32,
    /// Tax included.
    pub total_minor: i64,
    /// Without tax.
    pub base_minor: i64,
    /// The tax.
    pub tax_minor: i64,
}

/// Tax-included amounts summed per rate, then rounded once.
#[must_use]
pub(super) fn tax_lines(amounts: impl IntoIterator<Item = (i32, i64)>) -> Vec<TaxLine> {
    let mut per_rate = std::collections::BTreeMap::<i32, i64>::new();
    for (rate, amount) in amounts {
        *per_rate.entry(rate).or_default() += amount;
    }
    per_rate
        .into_iter()
        .map(|(rate_bp, total_minor)| {
            let tax_minor = tax_inside(total_minor, rate_bp);
            TaxLine { rate_bp, total_minor, base_minor: total_minor - tax_minor, tax_minor }
        })
        .collect()
}

/// What a new order needs besides its purchase.
#[derive(Debug, Clone)]
pub(super) struct NewOrder {
    pub(super) id: OrderId,
    pub(super) line_id: OrderLineId,
    pub(super) purchase: Purchase,
    pub(super) brand_id: BrandId,
    pub(super) product_title: String,
    pub(super) variant: String,
}

/// What the order line repeats of the catalogue, so that it stays as it was sold.
pub(super) async fn titles(tx: &mut Tx, skus: &[SkuId]) -> Result<Vec<(SkuId, BrandId, String, String)>, StoreError> {
    Ok(on!(tx, |conn| {
        let mut query = QueryBuilder::new(
            "SELECT k.id, k.brand_id, p.title, k.variant FROM skus k JOIN products p ON p.id = k.product_id WHERE k.id IN (",
        );
        let mut ids = query.separated(", ");
        for sku in skus {
            ids.push_bind(sku);
        }
        query.push(")");
        query.build_query_as().persistent(false).fetch_all(conn).await?
    }))
}

/// Writes orders and their lines.
pub(super) async fn insert_orders(tx: &mut Tx, orders: &[NewOrder], now: Millis) -> Result<(), StoreError> {
    for chunk in orders.chunks(BULK_ROWS) {
        on!(tx, |conn| {
            let mut query = QueryBuilder::new(
                "INSERT INTO orders (id, number, purchase_id, customer_id, live_id, total_minor, currency, placed_at_ms, demo) ",
            );
            query.push_values(chunk, |mut row, order| {
                row.push_bind(&order.id)
                    .push_bind(number(&order.id))
                    .push_bind(&order.purchase.id)
                    .push_bind(&order.purchase.customer_id)
                    .push_bind(&order.purchase.live_id)
                    .push_bind(order.purchase.total_minor)
                    .push_bind(order.purchase.currency)
                    .push_bind(now)
                    .push_bind(order.purchase.demo);
            });
            query.build().persistent(false).execute(conn).await.map(drop)
        })?;
        on!(tx, |conn| {
            let mut query = QueryBuilder::new(
                "INSERT INTO order_lines (id, order_id, brand_id, product_id, sku_id, product_title, variant, qty, \
                 unit_price_minor, amount_minor, tax_rate_bp) ",
            );
            query.push_values(chunk, |mut row, order| {
                row.push_bind(&order.line_id)
                    .push_bind(&order.id)
                    .push_bind(&order.brand_id)
                    .push_bind(&order.purchase.product_id)
                    .push_bind(&order.purchase.sku_id)
                    .push_bind(&order.product_title)
                    .push_bind(&order.variant)
                    .push_bind(order.purchase.qty)
                    .push_bind(order.purchase.unit_price_minor)
                    .push_bind(order.purchase.total_minor)
                    .push_bind(order.purchase.tax_rate_bp);
            });
            query.build().persistent(false).execute(conn).await.map(drop)
        })?;
    }
    Ok(())
}

/// What people read out: the random tail of the id, in groups.
fn number(id: &OrderId) -> String {
    let body = id.as_str().to_uppercase();
    let tail = &body[body.len() - 12..];
    format!("H{}-{}-{}", &tail[..4], &tail[4..8], &tail[8..])
}

/// An order with its lines.
pub(super) async fn find_order(tx: &mut Tx, id: &OrderId) -> Result<Option<Order>, StoreError> {
    const ORDER: &str = "
        SELECT o.number, o.purchase_id, o.customer_id, o.live_id, p.state, o.placed_at_ms, o.total_minor, o.currency
        FROM orders o
        JOIN purchases p ON p.id = o.purchase_id
        WHERE o.id = $1";
    const LINES: &str = "
        SELECT id, product_title, variant, sku_id, qty, unit_price_minor, tax_rate_bp, amount_minor
        FROM order_lines
        WHERE order_id = $1
        ORDER BY id";
    type Row = (String, PurchaseId, CustomerId, LiveId, State, Millis, i64, Currency);
    let row: Option<Row> = on!(tx, |conn| sqlx::query_as(ORDER).bind(id).fetch_optional(conn).await?);
    let Some((number, purchase_id, customer_id, live_id, state, placed_at_ms, total_minor, currency)) = row else {
        return Ok(None);
    };
    let lines = on!(tx, |conn| sqlx::query_as::<_, OrderLine>(LINES).bind(id).fetch_all(conn).await?);
    let tax = tax_lines(lines.iter().map(|line| (line.tax_rate_bp, line.amount_minor)));
    let id = id.clone();
    Ok(Some(Order {
        id,
        number,
        purchase_id,
        live_id,
        state,
        placed_at_ms,
        lines,
        total_minor,
        tax,
        currency,
        customer_id,
    }))
}

/// A customer's purchases, newest first, older than a cursor.
pub(super) async fn list(
    tx: &mut Tx,
    customer: &CustomerId,
    before: Option<&PurchaseId>,
    limit: i64,
) -> Result<Vec<Purchase>, StoreError> {
    const LIST: &str = concat!(
        "SELECT ",
        purchase_columns!(),
        " FROM purchases WHERE customer_id = $1 AND ($2 = '' OR id < $2) ORDER BY id DESC LIMIT $3"
    );
    let before = before.map_or("", PurchaseId::as_str);
    Ok(on!(tx, |conn| sqlx::query_as::<_, Purchase>(LIST)
        .bind(customer)
        .bind(before)
        .bind(limit)
        .fetch_all(conn)
        .await?))
}

/// What a live has sold.
#[derive(Debug, Clone, Default, Serialize, utoipa::ToSchema)]
pub struct LiveSales {
    /// Orders that were paid.
    pub orders: i64,
    /// Units in them.
    pub units: i64,
    /// Their sum, tax included.
    pub gross_minor: i64,
    /// Per product, most sold first.
    pub products: Vec<ProductSales>,
}

/// What a live has sold of one product.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct ProductSales {
    /// What is shown.
    pub product_id: ProductId,
    /// As it was called.
    pub title: String,
    /// Units.
    pub units: i64,
    /// Tax included.
    pub gross_minor: i64,
}

/// What a live has sold so far, from the orders themselves.
///
/// # Errors
/// The database's.
pub async fn live_sales(tx: &mut Tx, live: &LiveId) -> Result<LiveSales, StoreError> {
    const ORDERS: &str =
        "SELECT COUNT(*), CAST(COALESCE(SUM(total_minor), 0) AS BIGINT) FROM orders WHERE live_id = $1";
    const PRODUCTS: &str = "
        SELECT l.product_id, MAX(l.product_title) AS title, CAST(SUM(l.qty) AS BIGINT) AS units,
               CAST(SUM(l.amount_minor) AS BIGINT) AS gross_minor
        FROM order_lines l
        JOIN orders o ON o.id = l.order_id
        WHERE o.live_id = $1
        GROUP BY l.product_id
        ORDER BY 4 DESC, 1";
    let (orders, gross_minor): (i64, i64) = on!(tx, |conn| sqlx::query_as(ORDERS).bind(live).fetch_one(conn).await?);
    let products = on!(tx, |conn| sqlx::query_as::<_, ProductSales>(PRODUCTS).bind(live).fetch_all(conn).await?);
    let units = products.iter().map(|product| product.units).sum();
    Ok(LiveSales { orders, units, gross_minor, products })
}
