//! Table: purchases, orders, order_lines, confirmations.
//!
//! Written inside the sequencer's transactions; read by whoever owns the purchase.

use std::collections::{BTreeSet, HashSet};

use serde::Serialize;

use super::{
    purchase::State,
    stock::{Line, OfferTerms},
};
use crate::{
    clock::Millis,
    ids::{BatchId, BrandId, CustomerId, LiveId, LocationId, OfferId, OrderId, ProductId, PurchaseId, SkuId, WaitId},
    money::Currency,
    on,
    store::{Kind, Rows, StoreError, Tx},
};

/// Shortages of one answer: more than an operator can look into at once.
const MAX_SHORTAGES: i64 = 1_000;

/// The lines of a purchase, stored as JSON text: one row a purchase, however many lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lines(pub Vec<Line>);

impl TryFrom<String> for Lines {
    type Error = serde_json::Error;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        serde_json::from_str(&text).map(Self)
    }
}

impl Lines {
    fn to_json(&self) -> String {
        serde_json::to_string(&self.0).expect("ids and numbers are JSON")
    }
}

/// One purchase, as stored.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Purchase {
    /// Its id.
    pub id: PurchaseId,
    /// Where it stands.
    pub state: State,
    /// A problem name when it was refused, expired or failed; `stock-short` when its goods were gone.
    pub reason: Option<String>,
    /// Why the bank said no, as far as the buyer may know: the provider's code.
    pub decline_code: Option<String>,
    /// Who buys.
    pub customer_id: CustomerId,
    /// Under which key.
    pub idempotency_key: String,
    /// Digest of what was asked.
    pub body_hash: String,
    /// In which live.
    pub live_id: LiveId,
    /// What; at least one line that is not left out.
    #[sqlx(try_from = "String")]
    pub lines: Lines,
    /// Tax included.
    pub total_minor: i64,
    /// Of the amounts.
    pub currency: Currency,
    /// What the buyer was shown.
    pub confirmation_hash: String,
    /// When an unpaid hold runs out.
    pub hold_expires_at_ms: Millis,
    /// When the units were reserved.
    pub placed_at_ms: Millis,
    /// The transaction that reserved them.
    pub batch_id: BatchId,
    /// The transaction that changed it last.
    pub last_batch_id: BatchId,
    /// Once it is paid.
    pub order_id: Option<OrderId>,
    /// When the goods left the shelf.
    pub left_at_ms: Option<Millis>,
    /// Units of a paid purchase that stand nowhere.
    pub short_units: i64,
    /// Picked up here; shipped otherwise.
    pub pickup_location_id: Option<LocationId>,
    /// The place on the waitlist that it was held for.
    pub wait_id: Option<WaitId>,
    /// Grows with every change.
    pub version: i64,
    /// Made by `hanamichi demo`.
    pub demo: bool,
}

impl Purchase {
    /// The lines that were granted.
    pub fn granted(&self) -> impl Iterator<Item = &Line> {
        self.lines.0.iter().filter(|line| line.left_out.is_none())
    }

    /// Whether units stand on a shelf for it.
    #[must_use]
    pub fn is_promised(&self) -> bool {
        self.left_at_ms.is_none() && (self.state.holds_units() || self.state.is_paid())
    }
}

/// One purchase, as its buyer may see it.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = Purchase)]
pub struct PurchaseView {
    /// Its id.
    pub id: PurchaseId,
    /// Where it stands.
    pub state: State,
    /// A problem name when it was refused, expired or failed; `stock-short` when its goods were gone.
    pub reason: Option<String>,
    /// Why the bank said no, where that may be told: the provider's code, as `insufficient_funds`.
    pub decline_code: Option<String>,
    /// In which live.
    pub live_id: LiveId,
    /// What is bought.
    pub lines: Vec<LineView>,
    /// What a partial purchase goes without.
    pub left_out: Vec<LeftOut>,
    /// The first line's offer.
    pub offer_id: OfferId,
    /// The first line's product.
    pub product_id: ProductId,
    /// The first line's SKU.
    pub sku_id: SkuId,
    /// The first line's units.
    pub qty: i64,
    /// The first line's price, tax included.
    pub unit_price_minor: i64,
    /// The first line's rate in basis points.
    pub tax_rate_bp: i32,
    /// Of all lines, tax included.
    pub total_minor: i64,
    /// Of that, given back or called off.
    pub refunded_minor: i64,
    /// Of the amounts.
    pub currency: Currency,
    /// What the buyer was shown.
    pub confirmation_hash: String,
    /// When an unpaid hold runs out.
    pub hold_expires_at_ms: Millis,
    /// When the units were reserved.
    pub placed_at_ms: Millis,
    /// Once it is paid.
    pub order_id: Option<OrderId>,
    /// When the goods left.
    pub left_at_ms: Option<Millis>,
    /// Units of a paid purchase that cannot be delivered at the moment.
    pub short_units: i64,
    /// Picked up here; shipped otherwise.
    pub pickup_location_id: Option<LocationId>,
    /// The place on the waitlist that it was held for.
    pub wait_id: Option<WaitId>,
    /// Grows with every change.
    pub version: i64,
    /// Payments before it in the queue for the provider, while it waits there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payments_before: Option<u64>,
    /// About how long until it is its turn there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment_estimate_ms: Option<u64>,
    /// Made by `hanamichi demo`.
    pub demo: bool,
}

/// One line of a purchase.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = PurchaseLine)]
pub struct LineView {
    /// At which terms.
    pub offer_id: OfferId,
    /// What is shown.
    pub product_id: ProductId,
    /// What is counted.
    pub sku_id: SkuId,
    /// Units.
    pub qty: i64,
    /// Tax included.
    pub unit_price_minor: i64,
    /// Basis points.
    pub tax_rate_bp: i32,
}

impl From<Line> for LineView {
    fn from(line: Line) -> Self {
        Self {
            offer_id: line.offer_id,
            product_id: line.product_id,
            sku_id: line.sku_id,
            qty: line.qty,
            unit_price_minor: line.unit_price_minor,
            tax_rate_bp: line.tax_rate_bp,
        }
    }
}

/// A line that a partial purchase goes without.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct LeftOut {
    /// At which terms it was wanted.
    pub offer_id: OfferId,
    /// Units that were wanted.
    pub qty: i64,
    /// A problem's name.
    pub reason: String,
}

impl From<Purchase> for PurchaseView {
    fn from(purchase: Purchase) -> Self {
        let refunded_minor = purchase.lines.0.iter().map(|line| line.returned_minor).sum();
        let mut lines = Vec::with_capacity(purchase.lines.0.len());
        let mut left_out = Vec::new();
        for line in purchase.lines.0 {
            match line.left_out {
                Some(reason) => left_out.push(LeftOut { offer_id: line.offer_id, qty: line.qty, reason }),
                None => lines.push(line.into()),
            }
        }
        let first = lines.first().cloned().expect("a purchase has a line");
        Self {
            id: purchase.id,
            state: purchase.state,
            reason: purchase.reason,
            decline_code: purchase.decline_code,
            live_id: purchase.live_id,
            lines,
            left_out,
            offer_id: first.offer_id,
            product_id: first.product_id,
            sku_id: first.sku_id,
            qty: first.qty,
            unit_price_minor: first.unit_price_minor,
            tax_rate_bp: first.tax_rate_bp,
            total_minor: purchase.total_minor,
            refunded_minor,
            currency: purchase.currency,
            confirmation_hash: purchase.confirmation_hash,
            hold_expires_at_ms: purchase.hold_expires_at_ms,
            placed_at_ms: purchase.placed_at_ms,
            order_id: purchase.order_id,
            left_at_ms: purchase.left_at_ms,
            short_units: purchase.short_units,
            pickup_location_id: purchase.pickup_location_id,
            wait_id: purchase.wait_id,
            version: purchase.version,
            payments_before: None,
            payment_estimate_ms: None,
            demo: purchase.demo,
        }
    }
}

macro_rules! purchase_columns {
    () => {
        "p.id, p.state, p.reason, p.decline_code, p.customer_id, p.idempotency_key, p.body_hash, p.live_id, p.lines, p.total_minor, \
         p.currency, p.confirmation_hash, p.hold_expires_at_ms, p.placed_at_ms, p.batch_id, p.last_batch_id, p.order_id, \
         p.left_at_ms, p.short_units, p.pickup_location_id, p.wait_id, p.version, p.demo"
    };
}

/// A purchase by id.
pub(super) async fn find(tx: &mut Tx, id: &PurchaseId) -> Result<Option<Purchase>, StoreError> {
    const FIND: &str = concat!("SELECT ", purchase_columns!(), " FROM purchases p WHERE p.id = $1");
    Ok(on!(tx, |conn| sqlx::query_as::<_, Purchase>(FIND).bind(id).fetch_optional(conn).await?))
}

/// A purchase by its buyer's key.
pub(super) async fn find_by_key(tx: &mut Tx, customer: &CustomerId, key: &str) -> Result<Option<Purchase>, StoreError> {
    const FIND: &str = concat!(
        "SELECT ",
        purchase_columns!(),
        " FROM purchases p WHERE p.customer_id = $1 AND p.idempotency_key = $2"
    );
    Ok(on!(tx, |conn| sqlx::query_as::<_, Purchase>(FIND).bind(customer).bind(key).fetch_optional(conn).await?))
}

/// Which of these (customer, key) pairs bought already.
pub(super) async fn find_by_keys(tx: &mut Tx, keys: &[(&CustomerId, &str)]) -> Result<Vec<Purchase>, StoreError> {
    const FIND: &str = concat!(
        "SELECT ",
        purchase_columns!(),
        " FROM rows CROSS JOIN purchases p WHERE p.customer_id = rows.customer_id AND p.idempotency_key = rows.key"
    );
    let mut rows = Rows::new(&[("customer_id", Kind::Text), ("key", Kind::Text)]);
    for (customer, key) in keys {
        rows.push([(*customer).into(), (*key).into()]);
    }
    rows.fetch(tx, FIND).await
}

/// Locks these purchases, in the order of their ids, and reads them.
pub(super) async fn lock(tx: &mut Tx, ids: &BTreeSet<&PurchaseId>) -> Result<Vec<Purchase>, StoreError> {
    const LOCK: &str =
        concat!("SELECT ", purchase_columns!(), " FROM rows CROSS JOIN purchases p WHERE p.id = rows.id ORDER BY p.id");
    let mut rows = Rows::new(&[("id", Kind::Text)]);
    for id in ids {
        rows.push([(*id).into()]);
    }
    let locking = tx.locking("p");
    rows.fetch(tx, &format!("{LOCK}{locking}")).await
}

/// Unpaid purchases whose time is over, oldest first.
pub(super) async fn due(tx: &mut Tx, now: Millis, limit: i64, offset: i64) -> Result<Vec<PurchaseId>, StoreError> {
    const DUE: &str = "
        SELECT id
        FROM purchases
        WHERE state = 'held' AND hold_expires_at_ms <= $1
        ORDER BY hold_expires_at_ms, id
        LIMIT $2 OFFSET $3";
    let rows: Vec<(PurchaseId,)> =
        on!(tx, |conn| sqlx::query_as(DUE).bind(now).bind(limit).bind(offset).fetch_all(conn).await?);
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Purchases that may have units of this SKU on a shelf; newest first. Not locked.
pub(super) async fn promised_of(tx: &mut Tx, sku: &SkuId) -> Result<Vec<PurchaseId>, StoreError> {
    // Unpaid ones by the two indexes of their states, paid ones by their orders: one more index would cost every
    // purchase something, and this is rare.
    const LIST: &str = "
        SELECT id FROM (
            SELECT p.id, p.placed_at_ms FROM purchases p WHERE p.state = 'held' AND p.lines LIKE $2
            UNION ALL
            SELECT p.id, p.placed_at_ms
            FROM purchases p
            WHERE p.state IN ('paying', 'requires_action') AND p.lines LIKE $2
            UNION ALL
            SELECT p.id, p.placed_at_ms
            FROM orders o
            JOIN purchases p ON p.id = o.purchase_id
            WHERE o.live_id IN (SELECT f.live_id FROM offers f WHERE f.sku_id = $1)
              AND p.state IN ('authorized', 'captured') AND p.left_at_ms IS NULL AND p.lines LIKE $2) promised
        ORDER BY placed_at_ms DESC, id DESC";
    let pattern = format!("%\"{sku}\"%");
    let rows: Vec<(PurchaseId,)> =
        on!(tx, |conn| sqlx::query_as(LIST).bind(sku).bind(&pattern).fetch_all(conn).await?);
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// A purchase that has units on shelves, as the check of the books needs it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct OpenPurchase {
    /// Its id.
    pub id: PurchaseId,
    /// Where it stands.
    pub state: State,
    /// Who buys.
    pub customer_id: CustomerId,
    /// In which live.
    pub live_id: LiveId,
    /// What.
    #[sqlx(try_from = "String")]
    pub lines: Lines,
    /// Units of it that stand nowhere.
    pub short_units: i64,
    /// When an unpaid hold runs out.
    pub hold_expires_at_ms: Millis,
}

/// A page of the purchases that have units on shelves, in the order of their ids.
///
/// # Errors
/// The database's.
pub async fn open_purchases(tx: &mut Tx, after: Option<&PurchaseId>) -> Result<Vec<OpenPurchase>, StoreError> {
    const PAGE: &str = "
        SELECT id, state, customer_id, live_id, lines, short_units, hold_expires_at_ms
        FROM purchases
        WHERE state IN ('held', 'paying', 'requires_action', 'authorized', 'captured') AND left_at_ms IS NULL AND id > $1
        ORDER BY id
        LIMIT 5000";
    let after = after.map_or("", PurchaseId::as_str);
    Ok(on!(tx, |conn| sqlx::query_as::<_, OpenPurchase>(PAGE).bind(after).fetch_all(conn).await?))
}

/// Paid purchases that are short of one of these SKUs, oldest first.
pub(super) async fn short(tx: &mut Tx, skus: &BTreeSet<SkuId>, limit: usize) -> Result<Vec<PurchaseId>, StoreError> {
    const LIST: &str = "
        SELECT DISTINCT p.id
        FROM rows CROSS JOIN purchases p
        WHERE p.short_units > 0 AND p.lines LIKE rows.pattern
        ORDER BY p.id";
    let mut rows = Rows::new(&[("pattern", Kind::Text)]);
    for sku in skus {
        rows.push([format!("%\"{sku}\"%").into()]);
    }
    let mut found: Vec<PurchaseId> = rows.fetch::<(PurchaseId,)>(tx, LIST).await?.into_iter().map(|(id,)| id).collect();
    found.sort();
    found.dedup();
    found.truncate(limit);
    Ok(found)
}

/// The terms of these offers, with what the SKU says of tax.
pub(super) async fn terms(tx: &mut Tx, offers: &BTreeSet<&OfferId>) -> Result<Vec<OfferTerms>, StoreError> {
    const TERMS: &str = "
        SELECT o.id, o.live_id, o.product_id, o.sku_id, o.price_minor, k.currency, k.tax_rate_bp, o.limit_per_customer,
               o.quota, o.taken, o.starts_at_ms, o.ends_at_ms
        FROM rows CROSS JOIN offers o JOIN skus k ON k.id = o.sku_id
        WHERE o.id = rows.id";
    let mut rows = Rows::new(&[("id", Kind::Text)]);
    for offer in offers {
        rows.push([(*offer).into()]);
    }
    rows.fetch(tx, TERMS).await
}

/// Every SKU that is offered where these offers are, of the same products.
pub(super) async fn of_the_same_products(tx: &mut Tx, offers: &BTreeSet<OfferId>) -> Result<Vec<SkuId>, StoreError> {
    const SIBLINGS: &str = "
        SELECT DISTINCT other.sku_id
        FROM rows CROSS JOIN offers o JOIN offers other ON other.live_id = o.live_id AND other.product_id = o.product_id
        WHERE o.id = rows.id";
    let mut rows = Rows::new(&[("id", Kind::Text)]);
    for offer in offers {
        rows.push([offer.into()]);
    }
    Ok(rows.fetch::<(SkuId,)>(tx, SIBLINGS).await?.into_iter().map(|(sku,)| sku).collect())
}

/// Writes new purchases. A unique violation says that one of them is not new under its key.
pub(super) async fn insert<'a>(tx: &mut Tx, purchases: impl Iterator<Item = &'a Purchase>) -> Result<(), StoreError> {
    let mut rows = Rows::new(&[
        ("id", Kind::Text),
        ("state", Kind::Text),
        ("reason", Kind::Text),
        ("decline_code", Kind::Text),
        ("customer_id", Kind::Text),
        ("idempotency_key", Kind::Text),
        ("body_hash", Kind::Text),
        ("live_id", Kind::Text),
        ("lines", Kind::Text),
        ("total_minor", Kind::Number),
        ("currency", Kind::Text),
        ("confirmation_hash", Kind::Text),
        ("hold_expires_at_ms", Kind::Number),
        ("placed_at_ms", Kind::Number),
        ("batch_id", Kind::Text),
        ("last_batch_id", Kind::Text),
        ("order_id", Kind::Text),
        ("left_at_ms", Kind::Number),
        ("short_units", Kind::Number),
        ("pickup_location_id", Kind::Text),
        ("wait_id", Kind::Text),
        ("version", Kind::Number),
        ("demo", Kind::Flag),
    ]);
    for p in purchases {
        rows.push([
            (&p.id).into(),
            p.state.as_str().into(),
            p.reason.as_deref().into(),
            p.decline_code.as_deref().into(),
            (&p.customer_id).into(),
            p.idempotency_key.as_str().into(),
            p.body_hash.as_str().into(),
            (&p.live_id).into(),
            p.lines.to_json().into(),
            p.total_minor.into(),
            p.currency.as_str().into(),
            p.confirmation_hash.as_str().into(),
            p.hold_expires_at_ms.into(),
            p.placed_at_ms.into(),
            (&p.batch_id).into(),
            (&p.last_batch_id).into(),
            p.order_id.as_ref().into(),
            p.left_at_ms.into(),
            p.short_units.into(),
            p.pickup_location_id.as_ref().into(),
            p.wait_id.as_ref().into(),
            p.version.into(),
            p.demo.into(),
        ]);
    }
    rows.append(tx, "purchases").await
}

/// Writes the new state of purchases that this transaction has locked; their lines only where they are in `moved`.
pub(super) async fn update(
    tx: &mut Tx,
    purchases: &[&Purchase],
    moved: &HashSet<PurchaseId>,
) -> Result<(), StoreError> {
    const UPDATE: &str = "
        UPDATE purchases SET state = rows.state, reason = rows.reason, decline_code = rows.decline_code, order_id = rows.order_id,
            left_at_ms = rows.left_at_ms, version = rows.version, last_batch_id = rows.last_batch_id
        FROM rows
        WHERE purchases.id = rows.id";
    const MOVE: &str = "
        UPDATE purchases SET lines = rows.lines, short_units = rows.short_units FROM rows WHERE purchases.id = rows.id";
    let mut rows = Rows::new(&[
        ("id", Kind::Text),
        ("state", Kind::Text),
        ("reason", Kind::Text),
        ("decline_code", Kind::Text),
        ("order_id", Kind::Text),
        ("left_at_ms", Kind::Number),
        ("version", Kind::Number),
        ("last_batch_id", Kind::Text),
    ]);
    let mut lines = Rows::new(&[("id", Kind::Text), ("lines", Kind::Text), ("short_units", Kind::Number)]);
    for p in purchases {
        rows.push([
            (&p.id).into(),
            p.state.as_str().into(),
            p.reason.as_deref().into(),
            p.decline_code.as_deref().into(),
            p.order_id.as_ref().into(),
            p.left_at_ms.into(),
            p.version.into(),
            (&p.last_batch_id).into(),
        ]);
        if moved.contains(&p.id) {
            lines.push([(&p.id).into(), p.lines.to_json().into(), p.short_units.into()]);
        }
    }
    rows.execute(tx, UPDATE).await?;
    lines.execute(tx, MOVE).await?;
    Ok(())
}

/// Keeps what buyers were shown; the same sheet is kept once.
pub(super) async fn keep_confirmations(tx: &mut Tx, sheets: &[(&str, &str)], now: Millis) -> Result<(), StoreError> {
    const KEEP: &str = "
        INSERT INTO confirmations (hash, shown, created_at_ms)
        SELECT hash, shown, at_ms FROM rows WHERE true
        ON CONFLICT (hash) DO NOTHING";
    let mut rows = Rows::new(&[("hash", Kind::Text), ("shown", Kind::Text), ("at_ms", Kind::Number)]);
    for (hash, shown) in sheets {
        rows.push([(*hash).into(), (*shown).into(), now.into()]);
    }
    rows.execute(tx, KEEP).await?;
    Ok(())
}

/// What was shown under this digest.
pub(super) async fn find_confirmation(tx: &mut Tx, hash: &str) -> Result<Option<String>, StoreError> {
    let row: Option<(String,)> = on!(tx, |conn| sqlx::query_as("SELECT shown FROM confirmations WHERE hash = $1")
        .bind(hash)
        .fetch_optional(conn)
        .await?);
    Ok(row.map(|(shown,)| shown))
}

/// A paid order that is short of goods.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Shortage {
    /// The purchase.
    pub purchase_id: PurchaseId,
    /// Its order.
    pub order_id: OrderId,
    /// What people read out.
    pub order_number: String,
    /// Units that stand nowhere.
    pub short_units: i64,
    /// When it was placed.
    pub placed_at_ms: Millis,
    /// What was bought.
    pub lines: Vec<LineView>,
}

/// Paid orders that are short of goods, oldest first; of these brands (and then only their lines), or of all.
pub(super) async fn shortages(tx: &mut Tx, brands: Option<&BTreeSet<BrandId>>) -> Result<Vec<Shortage>, StoreError> {
    const LIST: &str = "
        SELECT p.id, o.id, o.number, p.short_units, p.placed_at_ms, p.lines
        FROM purchases p
        JOIN orders o ON o.purchase_id = p.id
        WHERE p.short_units > 0
          AND ($1 = '' OR EXISTS (SELECT 1 FROM order_lines l WHERE l.order_id = o.id AND $1 LIKE '%' || l.brand_id || '%'))
        ORDER BY p.id
        LIMIT $2";
    // Ids hold neither spaces nor wildcards but the underscore, which stands for itself too.
    let mine = brands.map_or_else(String::new, |brands| {
        brands.iter().map(BrandId::as_str).chain(["none"]).collect::<Vec<_>>().join(" ")
    });
    type Row = (PurchaseId, OrderId, String, i64, Millis, String);
    let rows: Vec<Row> = on!(tx, |conn| sqlx::query_as(LIST).bind(&mine).bind(MAX_SHORTAGES).fetch_all(conn).await?);
    let mut found = Vec::with_capacity(rows.len());
    for (purchase_id, order_id, order_number, short_units, placed_at_ms, lines) in rows {
        let mut lines = Lines::try_from(lines).expect("we wrote this JSON ourselves").0;
        lines.retain(|line| line.left_out.is_none());
        if let Some(brands) = brands {
            let skus = lines.iter().map(|line| &line.sku_id).collect();
            let owners = super::orders::titles(tx, &skus).await?;
            let mine: HashSet<SkuId> =
                owners.into_iter().filter(|(_, brand, _, _)| brands.contains(brand)).map(|(sku, ..)| sku).collect();
            lines.retain(|line| mine.contains(&line.sku_id));
        }
        let lines = lines.into_iter().map(LineView::from).collect();
        found.push(Shortage { purchase_id, order_id, order_number, short_units, placed_at_ms, lines });
    }
    Ok(found)
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
        " FROM purchases p WHERE p.customer_id = $1 AND ($2 = '' OR p.id < $2) ORDER BY p.id DESC LIMIT $3"
    );
    let before = before.map_or("", PurchaseId::as_str);
    Ok(on!(tx, |conn| sqlx::query_as::<_, Purchase>(LIST)
        .bind(customer)
        .bind(before)
        .bind(limit)
        .fetch_all(conn)
        .await?))
}
