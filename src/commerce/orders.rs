//! Table: orders, order_lines.
//!
//! Written inside the sequencer's transactions, under the lock of the purchase. What was bought stays as it was; beside it
//! stands what of it was called off, taken and given back, and the database holds these to each other.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    purchase::State,
    records::Purchase,
    refund::RefundKind,
    refund_book::{self, Refund},
    stock::Line,
    tax::{self, TaxLine},
};
use crate::{
    clock::Millis,
    ids::{BrandId, CustomerId, LiveId, OrderId, OrderLineId, ProductId, PurchaseId, SkuId},
    money::Currency,
    omo::OrderPickup,
    on,
    store::{Kind, Rows, StoreError, Tx},
};

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
    /// Tax included, as ordered.
    pub total_minor: i64,
    /// Of that, called off before the money was taken.
    pub voided_minor: i64,
    /// Taken.
    pub captured_minor: i64,
    /// Of what was taken, given back or about to be.
    pub refunded_minor: i64,
    /// Of all that was not called off: the sum of what the sellers' documents say, each rounded once per rate (インボイス).
    pub tax: Vec<TaxLine>,
    /// Of the amounts.
    pub currency: Currency,
    /// What was given back or called off, oldest first.
    pub refunds: Vec<Refund>,
    /// Where and when it is picked up; nothing when it is sent.
    pub pickup: Option<OrderPickup>,
    #[serde(skip)]
    pub(super) customer_id: CustomerId,
}

impl Order {
    /// Whether this customer bought it.
    #[must_use]
    pub fn is_of(&self, customer: &CustomerId) -> bool {
        self.customer_id == *customer
    }
}

/// One SKU of an order.
#[derive(Debug, Clone, Serialize, Deserialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct OrderLine {
    /// Its id.
    pub id: OrderLineId,
    /// Who sells it.
    pub brand_id: BrandId,
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
    /// Units that came back, or will not be had.
    pub returned_qty: i32,
    /// What was given back or called off for them.
    pub refunded_minor: i64,
}

/// A new order.
#[derive(Debug, Clone)]
pub(super) struct NewOrder<'a> {
    pub(super) id: OrderId,
    pub(super) purchase: &'a Purchase,
    pub(super) lines: Vec<NewLine<'a>>,
}

/// One line of a new order: what the purchase says, and what the catalogue called it then.
#[derive(Debug, Clone)]
pub(super) struct NewLine<'a> {
    pub(super) id: OrderLineId,
    pub(super) line: &'a Line,
    pub(super) brand_id: BrandId,
    pub(super) product_title: String,
    pub(super) variant: String,
}

/// What the order line repeats of the catalogue, so that it stays as it was sold.
pub(super) async fn titles(
    tx: &mut Tx,
    skus: &BTreeSet<&SkuId>,
) -> Result<Vec<(SkuId, BrandId, String, String)>, StoreError> {
    const TITLES: &str = "
        SELECT k.id, k.brand_id, p.title, k.variant
        FROM rows CROSS JOIN skus k JOIN products p ON p.id = k.product_id
        WHERE k.id = rows.id";
    let mut rows = Rows::new(&[("id", Kind::Text)]);
    for sku in skus {
        rows.push([(*sku).into()]);
    }
    rows.fetch(tx, TITLES).await
}

/// Writes orders and their lines.
pub(super) async fn insert_orders(tx: &mut Tx, orders: &[NewOrder<'_>], now: Millis) -> Result<(), StoreError> {
    let mut rows = Rows::new(&[
        ("id", Kind::Text),
        ("number", Kind::Text),
        ("purchase_id", Kind::Text),
        ("customer_id", Kind::Text),
        ("live_id", Kind::Text),
        ("total_minor", Kind::Number),
        ("currency", Kind::Text),
        ("placed_at_ms", Kind::Number),
        ("demo", Kind::Flag),
    ]);
    let mut lines = Rows::new(&[
        ("id", Kind::Text),
        ("order_id", Kind::Text),
        ("brand_id", Kind::Text),
        ("product_id", Kind::Text),
        ("sku_id", Kind::Text),
        ("product_title", Kind::Text),
        ("variant", Kind::Text),
        ("qty", Kind::Number),
        ("unit_price_minor", Kind::Number),
        ("amount_minor", Kind::Number),
        ("tax_rate_bp", Kind::Number),
    ]);
    for order in orders {
        rows.push([
            (&order.id).into(),
            number(&order.id).into(),
            (&order.purchase.id).into(),
            (&order.purchase.customer_id).into(),
            (&order.purchase.live_id).into(),
            order.purchase.total_minor.into(),
            order.purchase.currency.as_str().into(),
            now.into(),
            order.purchase.demo.into(),
        ]);
        for new in &order.lines {
            lines.push([
                (&new.id).into(),
                (&order.id).into(),
                (&new.brand_id).into(),
                (&new.line.product_id).into(),
                (&new.line.sku_id).into(),
                new.product_title.as_str().into(),
                new.variant.as_str().into(),
                new.line.qty.into(),
                new.line.unit_price_minor.into(),
                (new.line.unit_price_minor * new.line.qty).into(),
                new.line.tax_rate_bp.into(),
            ]);
        }
    }
    rows.append(tx, "orders").await?;
    lines.append(tx, "order_lines").await
}

/// What people read out: the random tail of the id, in groups.
fn number(id: &OrderId) -> String {
    let body = id.as_str().to_uppercase();
    let tail = &body[body.len() - 12..];
    format!("H{}-{}-{}", &tail[..4], &tail[4..8], &tail[8..])
}

/// What an order's sellers and rates came to, without what was called off.
fn tax_of(lines: &[OrderLine], refunds: &[Refund]) -> Vec<TaxLine> {
    let voided = |line: &OrderLine| -> i64 {
        let voids = refunds.iter().filter(|refund| refund.kind == RefundKind::Void).flat_map(|refund| &refund.lines);
        voids.filter(|back| back.order_line_id == line.id).map(|back| back.amount_minor).sum()
    };
    tax::of_documents(lines.iter().map(|line| (&line.brand_id, line.tax_rate_bp, line.amount_minor - voided(line))))
}

macro_rules! line_columns {
    () => {
        "l.id, l.brand_id, l.product_title, l.variant, l.sku_id, l.qty, l.unit_price_minor, l.tax_rate_bp, \
         l.amount_minor, l.returned_qty, l.refunded_minor"
    };
}

#[derive(sqlx::FromRow)]
struct Head {
    id: OrderId,
    number: String,
    purchase_id: PurchaseId,
    customer_id: CustomerId,
    live_id: LiveId,
    state: State,
    placed_at_ms: Millis,
    total_minor: i64,
    voided_minor: i64,
    captured_minor: i64,
    refunded_minor: i64,
    currency: Currency,
}

macro_rules! head_columns {
    () => {
        "o.id, o.number, o.purchase_id, o.customer_id, o.live_id, p.state, o.placed_at_ms, o.total_minor, \
         o.voided_minor, o.captured_minor, o.refunded_minor, o.currency"
    };
}

fn put_together(head: Head, lines: Vec<OrderLine>, refunds: Vec<Refund>) -> Order {
    let tax = tax_of(&lines, &refunds);
    Order {
        id: head.id,
        number: head.number,
        purchase_id: head.purchase_id,
        live_id: head.live_id,
        state: head.state,
        placed_at_ms: head.placed_at_ms,
        lines,
        total_minor: head.total_minor,
        voided_minor: head.voided_minor,
        captured_minor: head.captured_minor,
        refunded_minor: head.refunded_minor,
        tax,
        currency: head.currency,
        refunds,
        pickup: None,
        customer_id: head.customer_id,
    }
}

/// An order with its lines and what was given back of it.
pub(super) async fn find_order(tx: &mut Tx, id: &OrderId) -> Result<Option<Order>, StoreError> {
    const ORDER: &str =
        concat!("SELECT ", head_columns!(), " FROM orders o JOIN purchases p ON p.id = o.purchase_id WHERE o.id = $1");
    const LINES: &str = concat!("SELECT ", line_columns!(), " FROM order_lines l WHERE l.order_id = $1 ORDER BY l.id");
    let head = on!(tx, |conn| sqlx::query_as::<_, Head>(ORDER).bind(id).fetch_optional(conn).await?);
    let Some(head) = head else { return Ok(None) };
    let lines = on!(tx, |conn| sqlx::query_as::<_, OrderLine>(LINES).bind(id).fetch_all(conn).await?);
    let refunds = refund_book::of_order(tx, id).await?;
    Ok(Some(put_together(head, lines, refunds)))
}

/// A brand's orders, newest first, older than a cursor; only its own lines, and what was given back of them.
pub(super) async fn of_brand(
    tx: &mut Tx,
    brand: &BrandId,
    before: Option<&OrderId>,
    limit: i64,
) -> Result<Vec<BrandOrder>, StoreError> {
    const PAGE: &str = concat!(
        "SELECT ",
        head_columns!(),
        " FROM orders o JOIN purchases p ON p.id = o.purchase_id
         WHERE o.id IN (SELECT DISTINCT l.order_id FROM order_lines l
                        WHERE l.brand_id = $1 AND ($2 = '' OR l.order_id < $2)
                        ORDER BY l.order_id DESC LIMIT $3)
         ORDER BY o.id DESC"
    );
    const LINES: &str = concat!(
        "SELECT ",
        line_columns!(),
        " FROM order_lines l WHERE l.order_id = $1 AND l.brand_id = $2 ORDER BY l.id"
    );
    let before = before.map_or("", OrderId::as_str);
    let heads =
        on!(tx, |conn| sqlx::query_as::<_, Head>(PAGE).bind(brand).bind(before).bind(limit).fetch_all(conn).await?);
    let mut orders = Vec::with_capacity(heads.len());
    for head in heads {
        let lines =
            on!(tx, |conn| sqlx::query_as::<_, OrderLine>(LINES).bind(&head.id).bind(brand).fetch_all(conn).await?);
        orders.push(BrandOrder {
            id: head.id,
            number: head.number,
            live_id: head.live_id,
            state: head.state,
            placed_at_ms: head.placed_at_ms,
            total_minor: lines.iter().map(|line| line.amount_minor).sum(),
            refunded_minor: lines.iter().map(|line| line.refunded_minor).sum(),
            lines,
            currency: head.currency,
        });
    }
    Ok(orders)
}

/// An order as one of its sellers sees it.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct BrandOrder {
    /// Its id.
    pub id: OrderId,
    /// What people read out.
    pub number: String,
    /// In which live.
    pub live_id: LiveId,
    /// The purchase's state.
    pub state: State,
    /// When it was paid.
    pub placed_at_ms: Millis,
    /// What was bought of this seller.
    pub lines: Vec<OrderLine>,
    /// Of these lines, tax included.
    pub total_minor: i64,
    /// Of that, given back or called off.
    pub refunded_minor: i64,
    /// Of the amounts.
    pub currency: Currency,
}

/// A line as the books of its order know it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(super) struct KeptLine {
    pub(super) id: OrderLineId,
    pub(super) order_id: OrderId,
    pub(super) brand_id: BrandId,
    pub(super) sku_id: SkuId,
    pub(super) qty: i64,
    pub(super) amount_minor: i64,
    pub(super) tax_rate_bp: i32,
    pub(super) returned_qty: i64,
    pub(super) refunded_minor: i64,
}

/// The money of an order and its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) id: OrderId,
    pub(super) purchase_id: PurchaseId,
    pub(super) total_minor: i64,
    pub(super) voided_minor: i64,
    /// What the provider is being asked for at this moment.
    pub(super) taking_minor: Option<i64>,
    pub(super) captured_minor: i64,
    pub(super) refunded_minor: i64,
    pub(super) currency: Currency,
    pub(super) demo: bool,
    pub(super) lines: Vec<KeptLine>,
}

/// The money of these orders. Call it with their purchases locked when you mean to change it.
pub(super) async fn kept(tx: &mut Tx, orders: &BTreeSet<&OrderId>) -> Result<Vec<Kept>, StoreError> {
    const HEADS: &str = "
        SELECT o.id, o.purchase_id, o.total_minor, o.voided_minor, o.taking_minor, o.captured_minor, o.refunded_minor,
               o.currency, o.demo
        FROM rows CROSS JOIN orders o
        WHERE o.id = rows.id";
    const LINES: &str = "
        SELECT l.id, l.order_id, l.brand_id, l.sku_id, CAST(l.qty AS BIGINT) AS qty, l.amount_minor, l.tax_rate_bp,
               CAST(l.returned_qty AS BIGINT) AS returned_qty, l.refunded_minor
        FROM rows CROSS JOIN order_lines l
        WHERE l.order_id = rows.id";
    type Row = (OrderId, PurchaseId, i64, i64, Option<i64>, i64, i64, Currency, bool);
    let mut rows = Rows::new(&[("id", Kind::Text)]);
    for order in orders {
        rows.push([(*order).into()]);
    }
    let heads: Vec<Row> = rows.fetch(tx, HEADS).await?;
    let mut lines: Vec<KeptLine> = rows.fetch(tx, LINES).await?;
    lines.sort_by(|a, b| a.id.cmp(&b.id));
    let kept = |(
        id,
        purchase_id,
        total_minor,
        voided_minor,
        taking_minor,
        captured_minor,
        refunded_minor,
        currency,
        demo,
    ): Row| {
        let lines = lines.iter().filter(|line| line.order_id == id).cloned().collect();
        Kept {
            id,
            purchase_id,
            total_minor,
            voided_minor,
            taking_minor,
            captured_minor,
            refunded_minor,
            currency,
            demo,
            lines,
        }
    };
    Ok(heads.into_iter().map(kept).collect())
}

/// Orders whose money was taken and of which the books say nothing: those of the version before the books.
pub(super) async fn unbooked(tx: &mut Tx, limit: i64) -> Result<Vec<(OrderId, PurchaseId)>, StoreError> {
    const LIST: &str = "
        SELECT o.id, o.purchase_id
        FROM orders o
        JOIN purchases p ON p.id = o.purchase_id
        WHERE o.captured_minor = 0 AND o.total_minor > o.voided_minor AND p.state IN ('captured', 'fulfilled')
          AND NOT EXISTS (SELECT 1 FROM invoices i WHERE i.order_id = o.id)
        ORDER BY o.id
        LIMIT $1";
    Ok(on!(tx, |conn| sqlx::query_as(LIST).bind(limit).fetch_all(conn).await?))
}

/// Purchases whose money is being taken: the provider was asked, or is about to be.
pub(super) async fn being_taken(tx: &mut Tx, limit: i64) -> Result<Vec<PurchaseId>, StoreError> {
    const LIST: &str = "SELECT purchase_id FROM orders WHERE taking_minor IS NOT NULL ORDER BY id LIMIT $1";
    let rows: Vec<(PurchaseId,)> = on!(tx, |conn| sqlx::query_as(LIST).bind(limit).fetch_all(conn).await?);
    Ok(rows.into_iter().map(|(purchase,)| purchase).collect())
}

/// Notes that the provider is being asked for what is left of an order (or is not any more).
pub(super) async fn note_taking(tx: &mut Tx, order: &OrderId, minor: Option<i64>) -> Result<(), StoreError> {
    on!(tx, |conn| sqlx::query("UPDATE orders SET taking_minor = $1 WHERE id = $2")
        .bind(minor)
        .bind(order)
        .execute(conn)
        .await
        .map(drop)?);
    Ok(())
}

/// Notes what was taken for orders.
pub(super) async fn note_captured(tx: &mut Tx, orders: &[(&OrderId, i64)]) -> Result<(), StoreError> {
    const NOTE: &str = "
        UPDATE orders SET captured_minor = rows.captured_minor, taking_minor = NULL FROM rows WHERE orders.id = rows.id";
    let mut rows = Rows::new(&[("id", Kind::Text), ("captured_minor", Kind::Number)]);
    for (order, captured) in orders {
        rows.push([(*order).into(), (*captured).into()]);
    }
    rows.execute(tx, NOTE).await?;
    Ok(())
}

/// Notes what is given back (or, before anything was taken, called off) of an order and its lines. The database refuses
/// more than there is.
pub(super) async fn note_given_back(tx: &mut Tx, refund: &Refund) -> Result<(), StoreError> {
    const VOID: &str = "UPDATE orders SET voided_minor = voided_minor + $1 WHERE id = $2";
    const REFUND: &str = "UPDATE orders SET refunded_minor = refunded_minor + $1 WHERE id = $2";
    const LINES: &str = "
        UPDATE order_lines SET returned_qty = order_lines.returned_qty + rows.qty,
            refunded_minor = order_lines.refunded_minor + rows.amount_minor
        FROM rows
        WHERE order_lines.id = rows.id";
    let sum = match refund.kind {
        RefundKind::Void => VOID,
        RefundKind::Refund => REFUND,
    };
    on!(tx, |conn| sqlx::query(sum).bind(refund.amount_minor).bind(&refund.order_id).execute(conn).await.map(drop)?);
    let mut rows = Rows::new(&[("id", Kind::Text), ("qty", Kind::Number), ("amount_minor", Kind::Number)]);
    for line in &refund.lines {
        rows.push([(&line.order_line_id).into(), line.qty.into(), line.amount_minor.into()]);
    }
    rows.execute(tx, LINES).await?;
    Ok(())
}

/// Whose the lines of an order are.
pub(super) async fn brands_of(tx: &mut Tx, order: &OrderId) -> Result<BTreeSet<BrandId>, StoreError> {
    let rows: Vec<(BrandId,)> =
        on!(tx, |conn| sqlx::query_as("SELECT DISTINCT brand_id FROM order_lines WHERE order_id = $1")
            .bind(order)
            .fetch_all(conn)
            .await?);
    Ok(rows.into_iter().map(|(brand,)| brand).collect())
}

/// What a live has sold.
#[derive(Debug, Clone, Default, Serialize, utoipa::ToSchema)]
pub struct LiveSales {
    /// Orders that were paid.
    pub orders: i64,
    /// Units in them, less what came back.
    pub units: i64,
    /// Their sum, tax included, less what was given back.
    pub gross_minor: i64,
    /// What was given back or called off.
    pub refunded_minor: i64,
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
    const ORDERS: &str = "
        SELECT COUNT(*), CAST(COALESCE(SUM(total_minor), 0) AS BIGINT),
               CAST(COALESCE(SUM(voided_minor + refunded_minor), 0) AS BIGINT)
        FROM orders
        WHERE live_id = $1";
    const PRODUCTS: &str = "
        SELECT l.product_id, MAX(l.product_title) AS title, CAST(SUM(l.qty - l.returned_qty) AS BIGINT) AS units,
               CAST(SUM(l.amount_minor - l.refunded_minor) AS BIGINT) AS gross_minor
        FROM order_lines l
        JOIN orders o ON o.id = l.order_id
        WHERE o.live_id = $1
        GROUP BY l.product_id
        ORDER BY 4 DESC, 1";
    let (orders, sold_minor, refunded_minor): (i64, i64, i64) =
        on!(tx, |conn| sqlx::query_as(ORDERS).bind(live).fetch_one(conn).await?);
    let products = on!(tx, |conn| sqlx::query_as::<_, ProductSales>(PRODUCTS).bind(live).fetch_all(conn).await?);
    let units = products.iter().map(|product| product.units).sum();
    Ok(LiveSales { orders, units, gross_minor: sold_minor - refunded_minor, refunded_minor, products })
}
