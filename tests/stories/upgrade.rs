//! A database of the version before payments, with purchases in every state, is brought up to date and goes on.

use hanamichi::{
    clock::{Clock, Millis},
    ids::{
        AccountId, AttemptId, BatchId, BrandId, CreditId, CustomerId, LiveId, LiverId, LocationId, OfferId, OrderId,
        OrderLineId, ProductId, PurchaseId, SkuId, StockEntryId, TouchId,
    },
};
use serde_json::json;

use crate::{
    both_databases,
    harness::{Actor, Database, Engine, House, PATIENCE, count, meddle, verify},
};

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// The last migration of the version before.
const BEFORE: i64 = 5;
const UNITS: i64 = 100;
const NOW: Millis = Millis(1_800_000_000_000);

/// A purchase of then: its state, its try's state, and what the sandbox knew of it.
struct Old {
    state: &'static str,
    attempt: Option<&'static str>,
    sandbox: Option<&'static str>,
    /// What becomes of it.
    becomes: &'static str,
}

const fn old(
    state: &'static str,
    attempt: Option<&'static str>,
    sandbox: Option<&'static str>,
    becomes: &'static str,
) -> Old {
    Old { state, attempt, sandbox, becomes }
}

const PURCHASES: [Old; 12] = [
    old("held", None, None, "held"),
    old("paying", Some("created"), None, "authorized"),
    old("paying", Some("submitting"), Some("authorized"), "authorized"),
    old("paying", Some("unknown"), Some("authorized"), "authorized"),
    old("paying", Some("unknown"), Some("declined"), "failed"),
    old("authorized", Some("authorized"), Some("authorized"), "authorized"),
    old("captured", Some("captured"), Some("captured"), "captured"),
    old("fulfilled", Some("captured"), Some("captured"), "fulfilled"),
    old("failed", Some("failed"), Some("declined"), "failed"),
    old("expired", None, None, "expired"),
    old("cancelled", None, None, "cancelled"),
    // Its goods were gone while it was paid: the money was still to be let go.
    old("cancelled", Some("unknown"), Some("authorized"), "cancelled"),
];

async fn bring_to(url: &str, version: i64) {
    if url.starts_with("sqlite:") {
        let options = url.parse::<sqlx::sqlite::SqliteConnectOptions>().expect("an address").create_if_missing(true);
        let pool = sqlx::SqlitePool::connect_with(options).await.expect("the file opens");
        MIGRATIONS.run_to(version, &pool).await.expect("it is brought there");
        pool.close().await;
    } else {
        let pool = sqlx::PgPool::connect(url).await.expect("PostgreSQL answers");
        MIGRATIONS.run_to(version, &pool).await.expect("it is brought there");
        pool.close().await;
    }
}

/// The shop of then: rows as that version wrote them. The names of the purchases, in their order.
async fn write_old_shop(url: &str) -> Vec<PurchaseId> {
    let (account, customer, brand, liver) =
        (AccountId::fresh(), CustomerId::fresh(), BrandId::fresh(), LiverId::fresh());
    let (live, location, product, sku, offer) =
        (LiveId::fresh(), LocationId::fresh(), ProductId::fresh(), SkuId::fresh(), OfferId::fresh());
    let (batch, now) = (BatchId::fresh(), NOW.0);
    let has_units = |state: &str| matches!(state, "held" | "paying" | "authorized" | "captured");
    let is_sold = |state: &str| matches!(state, "authorized" | "captured" | "fulfilled");
    let count = |is: &dyn Fn(&str) -> bool| PURCHASES.iter().filter(|old| is(old.state)).count();
    let (held, sent) = (count(&has_units), count(&|state| state == "fulfilled"));
    let taken = held + sent;
    let on_hand = UNITS - i64::try_from(sent).expect("few");
    let entry = |kind: &str, on_hand: i64, held: i64| {
        let id = StockEntryId::fresh();
        format!(
            "INSERT INTO stock_entries (id, sku_id, location_id, kind, on_hand_delta, held_delta, batch_id, at_ms)
             VALUES ('{id}', '{sku}', '{location}', '{kind}', {on_hand}, {held}, '{batch}', {now})"
        )
    };
    let sent_units = i64::try_from(sent).expect("few");
    let mut rows = vec![
        format!(
            "INSERT INTO accounts (id, email, display_name, password_hash, demo, created_at_ms) VALUES ('{account}', 'old@test.example', '昔', 'x', false, {now})"
        ),
        format!(
            "INSERT INTO customers (id, display_name, demo, created_at_ms) VALUES ('{customer}', '昔', false, {now})"
        ),
        format!(
            "INSERT INTO brands (id, name, invoice_number, commission_bp, created_at_ms) VALUES ('{brand}', '花見堂', 'T1234567890123', 1500, {now})"
        ),
        format!(
            "INSERT INTO livers (id, account_id, display_name, created_at_ms) VALUES ('{liver}', '{account}', '昔', {now})"
        ),
        format!(
            "INSERT INTO lives (id, liver_id, title, state, scheduled_at_ms, started_at_ms, ended_at_ms, version, demo, created_at_ms) VALUES ('{live}', '{liver}', '春', 'ended', {now}, {now}, {now}, 3, false, {now})"
        ),
        format!(
            "INSERT INTO locations (id, kind, name, address, created_at_ms) VALUES ('{location}', 'warehouse', '倉庫', '', {now})"
        ),
        format!(
            "INSERT INTO products (id, brand_id, title, description, created_at_ms) VALUES ('{product}', '{brand}', '団子', '', {now})"
        ),
        format!(
            "INSERT INTO skus (id, product_id, brand_id, variant, price_minor, currency, tax_rate_bp, stock_version, created_at_ms) VALUES ('{sku}', '{product}', '{brand}', '', 1080, 'JPY', 800, 9, {now})"
        ),
        format!(
            "INSERT INTO offers (id, live_id, product_id, sku_id, price_minor, starts_at_ms, version, taken) VALUES ('{offer}', '{live}', '{product}', '{sku}', 1080, {now}, 1, {taken})"
        ),
        format!(
            "INSERT INTO stock (sku_id, location_id, on_hand, held) VALUES ('{sku}', '{location}', {on_hand}, {held})"
        ),
        entry("receive", UNITS, 0),
        entry("hold", 0, i64::try_from(held).expect("few") + sent_units),
        entry("ship", -sent_units, -sent_units),
        format!(
            "INSERT INTO limit_log (live_id, product_id, n, base, changes) VALUES ('{live}', '{product}', 1, true, '{{\"{customer}\":{taken}}}')"
        ),
    ];
    let mut names = Vec::new();
    for old in &PURCHASES {
        let (id, order, line) = (PurchaseId::fresh(), OrderId::fresh(), OrderLineId::fresh());
        let state = old.state;
        let lines = json!([{
            "offer_id": offer, "product_id": product, "sku_id": sku, "qty": 1, "unit_price_minor": 1_080, "tax_rate_bp": 800,
            "allocation": { location.as_str(): 1 },
        }]);
        let (order_of, left) = (
            if is_sold(state) { format!("'{order}'") } else { "NULL".to_owned() },
            if state == "fulfilled" { now.to_string() } else { "NULL".to_owned() },
        );
        rows.push(format!(
            "INSERT INTO purchases (id, customer_id, idempotency_key, body_hash, live_id, total_minor, currency, confirmation_hash,
                                    state, hold_expires_at_ms, placed_at_ms, batch_id, order_id, version, demo, lines, left_at_ms,
                                    last_batch_id)
             VALUES ('{id}', '{customer}', '{id}', '', '{live}', 1080, 'JPY', '', '{state}', {now} + 180000, {now}, '{batch}',
                     {order_of}, 1, false, '{lines}', {left}, '{batch}')"
        ));
        if let Some(attempt) = old.attempt {
            let name = AttemptId::fresh();
            rows.push(format!(
                "INSERT INTO payment_attempts (id, purchase_id, n, provider, method, amount_minor, currency, state, updated_at_ms)
                 VALUES ('{name}', '{id}', 1, 'sandbox', 'sandbox_card', 1080, 'JPY', '{attempt}', {now})"
            ));
        }
        if let Some(sandbox) = old.sandbox {
            rows.push(format!(
                "INSERT INTO sandbox_payments (key, amount_minor, currency, state, created_at_ms)
                 VALUES ('pi:{id}:1', 1080, 'JPY', '{sandbox}', {now})"
            ));
        }
        if is_sold(state) {
            let (credit, touch) = (CreditId::fresh(), TouchId::fresh());
            rows.push(format!(
                "INSERT INTO touches (id, customer_id, live_id, kind, product_id, at_ms)
                 VALUES ('{touch}', '{customer}', '{live}', 'live_purchase', '{product}', {now})"
            ));
            rows.push(format!(
                "INSERT INTO orders (id, number, purchase_id, customer_id, live_id, total_minor, currency, placed_at_ms, demo)
                 VALUES ('{order}', '{order}', '{id}', '{customer}', '{live}', 1080, 'JPY', {now}, false)"
            ));
            rows.push(format!(
                "INSERT INTO order_lines (id, order_id, brand_id, product_id, sku_id, product_title, variant, qty,
                                          unit_price_minor, amount_minor, tax_rate_bp)
                 VALUES ('{line}', '{order}', '{brand}', '{product}', '{sku}', '団子', '', 1, 1080, 1080, 800)"
            ));
            rows.push(format!(
                "INSERT INTO credits (id, kind, order_id, order_line_id, brand_id, live_id, pool, party_id, qty, base_minor,
                                      share_bp, commission_bp, commission_minor, currency, rule, rule_version, evidence, at_ms)
                 VALUES ('{credit}', 'sale', '{order}', '{line}', '{brand}', '{live}', 'liver', '{liver}', 1, 1080, 10000, 1500,
                         162, 'JPY', 'direct', 1, '{{\"touches\":[\"{touch}\"]}}', {now})"
            ));
        }
        names.push(id);
    }
    meddle(url, &rows).await;
    names
}

both_databases!(a_database_of_before_payments_goes_on_with_every_purchase, async |engine: Engine| {
    let database = Database::fresh(engine).await;
    bring_to(&database.url, BEFORE).await;
    let names = write_old_shop(&database.url).await;
    let house = House::over(database, Clock::manual(NOW)).await;
    let url = &house.database.url;
    for (old, id) in PURCHASES.iter().zip(&names) {
        let so = format!("SELECT COUNT(*) FROM purchases WHERE id = '{id}' AND state = '{}'", old.becomes);
        let becoming = async {
            while count(url, &so).await == 0 {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        let was = format!("{} with {:?} and {:?} becomes {}", old.state, old.attempt, old.sandbox, old.becomes);
        tokio::time::timeout(PATIENCE, becoming).await.unwrap_or_else(|_| panic!("{was}"));
    }
    let settled = async {
        while count(url, "SELECT COUNT(*) FROM payments_to_end").await > 0 {
            house.clock.advance(std::time::Duration::from_secs(1));
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, settled).await.expect("money is let go");
    let kept = "SELECT COUNT(*) FROM sandbox_payments WHERE state IN ('authorized', 'captured')";
    assert_eq!(count(url, kept).await, count(url, "SELECT COUNT(*) FROM orders").await, "no money without an order");
    assert_eq!(count(url, "SELECT COUNT(*) FROM invoices").await, 2, "what was taken has its document");
    verify(url).await;
    // What was sent then can be given back today.
    let sent = names.get(7).expect("the fulfilled one");
    let operator = house.operator().await;
    let found = operator.get("/v1/reconciliation").await.expect(200);
    assert_eq!(found["open"], 0);
    let order = order_of(url, sent).await;
    let back = json!({ "restock": true, "reason": "サイズ違い" });
    operator.post_with_key(&format!("/v1/orders/{order}/refunds"), "old", back).await.expect(201);
    let refunded = format!("SELECT COUNT(*) FROM purchases WHERE id = '{sent}' AND state = 'refunded'");
    assert_eq!(count(url, &refunded).await, 1);
    verify(url).await;
    // And somebody new buys.
    let buyer = Actor::sign_up(&house.base(), "新").await;
    assert_eq!(buyer.get("/v1/purchases").await.expect(200)["items"], json!([]));
});

async fn order_of(url: &str, purchase: &PurchaseId) -> String {
    let db = hanamichi::store::Db::connect(url).await.expect("the database opens");
    let mut tx = db.read("order").await.expect("a transaction");
    let (order,): (String,) =
        hanamichi::on!(&mut tx, |conn| sqlx::query_as("SELECT order_id FROM purchases WHERE id = $1")
            .bind(purchase)
            .fetch_one(conn)
            .await
            .expect("it is there"));
    drop(tx);
    db.close().await;
    order
}
