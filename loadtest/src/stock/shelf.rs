//! Table: the rows that a sale needs, written by SQL: a shop with one SKU, a live, an offer with a limit, customers.
//!
//! Only for runs without a server; with one, the public API makes them.

use std::fmt::Write;

use hanamichi::{
    clock::Millis,
    ids::{
        AccountId, BatchId, BrandId, CustomerId, LiveId, LiverId, LocationId, OfferId, ProductId, SkuId, StockEntryId,
    },
    on,
    store::Db,
};
use sqlx::AssertSqlSafe;

/// What the goods cost.
pub const PRICE: i64 = 1_000;
/// What one customer may have: counted with every tap, reached by nobody.
const LIMIT: i64 = 1_000_000;
/// Rows of one statement.
const ROWS: usize = 1_000;

/// What is for sale, and to whom.
pub struct Shelf {
    pub sku: SkuId,
    pub offer: OfferId,
    pub customers: Vec<CustomerId>,
}

/// Puts so many units on the shelf of an empty shop that knows so many customers.
pub async fn stock_up(db: &Db, now: Millis, units: i64, customers: usize) -> anyhow::Result<Shelf> {
    let shelf = Shelf {
        sku: SkuId::fresh(),
        offer: OfferId::fresh(),
        customers: (0..customers).map(|_| CustomerId::fresh()).collect(),
    };
    let script = script(&shelf, now, units);
    let mut tx = db.write("stock up").await?;
    on!(&mut tx, |conn| {
        sqlx::raw_sql(AssertSqlSafe(script)).execute(conn).await?;
    });
    tx.commit().await?;
    Ok(shelf)
}

/// Every value is a number or an id that we made.
fn script(shelf: &Shelf, Millis(now): Millis, units: i64) -> String {
    let Shelf { sku, offer, customers } = shelf;
    let (account, liver, brand) = (AccountId::fresh(), LiverId::fresh(), BrandId::fresh());
    let (location, live, product) = (LocationId::fresh(), LiveId::fresh(), ProductId::fresh());
    let (entry, batch) = (StockEntryId::fresh(), BatchId::fresh());
    let mut script = format!(
        "INSERT INTO accounts (id, email, display_name, password_hash, demo, created_at_ms)
         VALUES ('{account}', '{account}@load.example', 'liver', '', FALSE, {now});
         INSERT INTO livers (id, account_id, display_name, created_at_ms) VALUES ('{liver}', '{account}', 'liver', {now});
         INSERT INTO brands (id, name, commission_bp, created_at_ms) VALUES ('{brand}', 'brand', 1500, {now});
         INSERT INTO locations (id, kind, name, address, created_at_ms)
         VALUES ('{location}', 'warehouse', 'warehouse', '', {now});
         INSERT INTO lives (id, liver_id, title, state, scheduled_at_ms, started_at_ms, version, demo, created_at_ms)
         VALUES ('{live}', '{liver}', 'live', 'live', {now}, {now}, 1, FALSE, {now});
         INSERT INTO products (id, brand_id, title, description, created_at_ms)
         VALUES ('{product}', '{brand}', 'product', '', {now});
         INSERT INTO skus (id, product_id, brand_id, variant, price_minor, currency, tax_rate_bp, stock_version, created_at_ms)
         VALUES ('{sku}', '{product}', '{brand}', '', {PRICE}, 'JPY', 1000, 1, {now});
         INSERT INTO stock (sku_id, location_id, on_hand, held) VALUES ('{sku}', '{location}', {units}, 0);
         INSERT INTO stock_entries (id, sku_id, location_id, kind, on_hand_delta, held_delta, batch_id, at_ms)
         VALUES ('{entry}', '{sku}', '{location}', 'receive', {units}, 0, '{batch}', {now});
         INSERT INTO offers (id, live_id, product_id, sku_id, price_minor, limit_per_customer, starts_at_ms, version)
         VALUES ('{offer}', '{live}', '{product}', '{sku}', {PRICE}, {LIMIT}, 0, 1);\n"
    );
    for some in customers.chunks(ROWS) {
        script.push_str("INSERT INTO customers (id, display_name, demo, created_at_ms) VALUES ");
        for (n, customer) in some.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            // Writing to a text cannot fail.
            let _ = write!(script, "{comma}('{customer}', 'buyer', FALSE, {now})");
        }
        script.push_str(";\n");
    }
    script
}
