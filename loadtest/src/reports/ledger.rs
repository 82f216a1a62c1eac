//! Table: a year of credited lines, written by SQL: brands with a live a day, two lines an order, one order in twenty-one given
//! back three days later. The first brand has an eighth of all orders besides its share, and is the one whose orders and
//! goods are there as well, so that its ledger can be written to a file.

use hanamichi::{
    clock::Millis,
    ids::{AccountId, BrandId, LiveId, LiverId},
    on,
    store::{Db, Kind, Rows},
};

const DAY_MS: i64 = 24 * 3_600_000;
/// Days of the ledger.
pub const DAYS: i64 = 365;
/// The first midnight in Japan.
pub const FROM_MS: i64 = 20_000 * DAY_MS - 9 * 3_600_000;
/// Orders of one statement.
const ORDERS: i64 = 50_000;

/// SQL of an id that reads back: a prefix and the number that `number` gives, in 26 digits, whose last one stands for two
/// bits only.
fn id(prefix: &str, number: &str) -> String {
    format!(
        "'{prefix}_' || substr('0000000000000000000000000' || ({number}), length(CAST(({number}) AS TEXT)) + 1) || '0'"
    )
}

/// Who sells.
pub struct Year {
    pub brands: Vec<BrandId>,
    /// The live of each brand in the middle of the year.
    pub lives: Vec<LiveId>,
    pub lines: i64,
}

/// Writes it.
pub async fn write(db: &Db, brands: i64, lines: i64) -> anyhow::Result<Year> {
    let mut year = Year { brands: Vec::new(), lives: Vec::new(), lines };
    let mut tx = db.write("a year's lives").await?;
    on!(&mut tx, |conn| sqlx::query(
        "CREATE TABLE load_lives (brand BIGINT, day BIGINT, brand_id TEXT, live_id TEXT, liver_id TEXT,
                                  PRIMARY KEY (brand, day))"
    )
    .execute(conn)
    .await
    .map(drop)?);
    let mut on_air = Rows::new(&[
        ("brand", Kind::Number),
        ("day", Kind::Number),
        ("brand_id", Kind::Text),
        ("live_id", Kind::Text),
        ("liver_id", Kind::Text),
    ]);
    for n in 0..brands {
        let (brand, liver, account) = (BrandId::fresh(), LiverId::fresh(), AccountId::fresh());
        let people = format!(
            "INSERT INTO accounts (id, email, display_name, password_hash, demo, created_at_ms)
             VALUES ('{account}', '{account}', 'liver {n}', '', FALSE, 0)"
        );
        let livers = format!(
            "INSERT INTO livers (id, account_id, display_name, created_at_ms) VALUES ('{liver}', '{account}', 'liver {n}', 0)"
        );
        let seller = format!(
            "INSERT INTO brands (id, name, commission_bp, created_at_ms) VALUES ('{brand}', 'brand {n}', 1000, 0)"
        );
        for statement in [people, livers, seller] {
            on!(&mut tx, |conn| sqlx::query(sqlx::AssertSqlSafe(statement)).execute(conn).await.map(drop)?);
        }
        for day in 0..DAYS {
            let live = LiveId::fresh();
            if day == DAYS / 2 {
                year.lives.push(live.clone());
            }
            let brand = String::from(brand.clone());
            on_air.push([n.into(), day.into(), brand.into(), String::from(live).into(), liver.to_string().into()]);
        }
        year.brands.push(brand);
    }
    on_air.append(&mut tx, "load_lives").await?;
    let lives = format!(
        "INSERT INTO lives (id, liver_id, title, state, scheduled_at_ms, started_at_ms, ended_at_ms, version, demo,
                            created_at_ms)
         SELECT live_id, liver_id, 'live', 'ended', {FROM_MS}, {FROM_MS} + day * {DAY_MS} + 72000000,
                {FROM_MS} + day * {DAY_MS} + 75600000, 1, FALSE, 0
         FROM load_lives"
    );
    on!(&mut tx, |conn| sqlx::query(sqlx::AssertSqlSafe(lives)).execute(conn).await.map(drop)?);
    tx.commit().await?;

    let orders = lines / 2;
    let each = (orders / brands).max(1);
    let customers = (orders / 5).max(100);
    let mut tx = db.write("who buys").await?;
    let buyer = format!(
        "INSERT INTO customers (id, display_name, demo, created_at_ms) VALUES ({}, 'buyer', FALSE, 0)",
        id("cus", "0")
    );
    on!(&mut tx, |conn| sqlx::query(sqlx::AssertSqlSafe(buyer)).execute(conn).await.map(drop)?);
    tx.commit().await?;
    let mut from = 0;
    while from < orders {
        let to = (from + ORDERS).min(orders) - 1;
        let part = Part { from, to, brands, each, customers };
        let mut tx = db.write("a part of the year").await?;
        for statement in [part.credits("sale"), part.credits("reversal"), part.purchases(), part.orders(), part.lines()]
        {
            on!(&mut tx, |conn| sqlx::query(sqlx::AssertSqlSafe(statement)).execute(conn).await.map(drop)?);
        }
        tx.commit().await?;
        from = to + 1;
        eprint!("\r{from} of {orders} orders");
    }
    eprintln!();
    let mut tx = db.read("count").await?;
    (year.lines,) = on!(&mut tx, |conn| sqlx::query_as("SELECT COUNT(*) FROM credits").fetch_one(conn).await?);
    Ok(year)
}

/// Some orders of the year.
struct Part {
    from: i64,
    to: i64,
    brands: i64,
    each: i64,
    customers: i64,
}

impl Part {
    /// The orders (`o`: number, brand, day, product of each of their two lines).
    // 7919 and 104729 are primes: minutes, products and customers are spread, and the same in each run.
    fn some(&self, which: &str) -> String {
        let Self { from, to, brands, each, .. } = self;
        format!(
            "WITH RECURSIVE n (j) AS (SELECT CAST({from} AS BIGINT) UNION ALL SELECT j + 1 FROM n WHERE j < {to}),
                  o AS (SELECT CAST(j AS BIGINT) AS j, CASE WHEN j % 8 = 0 THEN 0 ELSE j % {brands} END AS brand,
                               (j / {brands}) * {DAYS} / {each} AS day FROM n WHERE {which}),
                  l AS (SELECT o.j, o.brand, o.day, k.k, (o.j * 31 + k.k * 7) % 20 AS product
                        FROM o CROSS JOIN (SELECT 0 AS k UNION ALL SELECT 1) k) "
        )
    }

    fn credits(&self, kind: &str) -> String {
        let (sign, later_ms, which, cause) = match kind {
            "sale" => (1, 0, "1 = 1", "''".to_owned()),
            _ => (-1, 3 * DAY_MS, "j % 21 = 7", "'refund'".to_owned()),
        };
        let lines = self.some(which);
        let number = format!("l.j * 4 + l.k * 2 + {}", i64::from(sign < 0));
        let (credit, order, line) = (id("crd", &number), id("ord", "l.j"), id("lin", "l.j * 2 + l.k"));
        let (product, sku) =
            (id("prd", "l.brand * 100 + l.product"), id("sku", "l.brand * 1000 + l.product * 10 + l.j % 3"));
        let customer = id("cus", &format!("l.j * 104729 % {}", self.customers));
        format!(
            "INSERT INTO credits (id, kind, cause_id, order_id, order_line_id, brand_id, live_id, pool, party_id,
                 product_id, sku_id, customer_id, channel, qty, base_minor, share_bp, commission_bp, commission_minor,
                 currency, rule, rule_version, evidence, at_ms)
             {lines}
             SELECT {credit}, '{kind}', {cause}, {order}, {line}, v.brand_id, v.live_id, 'liver', v.liver_id, {product}, {sku},
                    {customer}, 'live', {sign}, {sign} * (1000 + l.j % 9000), 10000, 1000,
                    {sign} * ((1000 + l.j % 9000) / 10), 'JPY', 'direct', 1, '',
                    {FROM_MS} + l.day * {DAY_MS} + 72000000 + (l.j * 7919 % 3600) * 1000 + {later_ms}
             FROM l JOIN load_lives v ON v.brand = l.brand AND v.day = CASE WHEN l.day < {DAYS} THEN l.day ELSE {DAYS} - 1 END"
        )
    }

    /// The first brand's: what a file says of an order beside its credit.
    fn purchases(&self) -> String {
        let (lines, purchase, order, customer) =
            (self.some("1 = 1"), id("pur", "o.j"), id("ord", "o.j"), id("cus", "0"));
        format!(
            "INSERT INTO purchases (id, customer_id, idempotency_key, body_hash, live_id, total_minor, currency,
                 confirmation_hash, state, hold_expires_at_ms, placed_at_ms, batch_id, order_id, version, demo, left_at_ms)
             {lines}
             SELECT {purchase}, {customer}, 'key' || o.j, '', '', 2 * (1000 + o.j % 9000), 'JPY', '', 'fulfilled', 0, {FROM_MS},
                    '', {order}, 1, FALSE, {FROM_MS}
             FROM o WHERE o.brand = 0"
        )
    }

    fn orders(&self) -> String {
        let (lines, purchase, order, customer) =
            (self.some("1 = 1"), id("pur", "o.j"), id("ord", "o.j"), id("cus", "0"));
        format!(
            "INSERT INTO orders (id, number, purchase_id, customer_id, live_id, total_minor, currency, placed_at_ms, demo,
                 captured_minor)
             {lines}
             SELECT {order}, 'N' || o.j, {purchase}, {customer}, '', 2 * (1000 + o.j % 9000), 'JPY', {FROM_MS}, FALSE,
                    2 * (1000 + o.j % 9000)
             FROM o WHERE o.brand = 0"
        )
    }

    fn lines(&self) -> String {
        let (lines, order, line) = (self.some("1 = 1"), id("ord", "l.j"), id("lin", "l.j * 2 + l.k"));
        let (product, sku) = (id("prd", "l.product"), id("sku", "l.product * 10 + l.j % 3"));
        format!(
            "INSERT INTO order_lines (id, order_id, brand_id, product_id, sku_id, product_title, variant, qty,
                 unit_price_minor, amount_minor, tax_rate_bp)
             {lines}
             SELECT {line}, {order}, v.brand_id, {product}, {sku}, '春の花見だんご', '三色', 1, 1000 + l.j % 9000, 1000 + l.j % 9000, 800
             FROM l JOIN load_lives v ON v.brand = 0 AND v.day = 0 WHERE l.brand = 0"
        )
    }
}

/// The plain sum that a kept one is compared with: the same figures, by the same key, from the lines.
pub const PLAIN: &str = "
    SELECT {key}, COUNT(DISTINCT CASE WHEN kind = 'sale' THEN order_id END),
           CAST(SUM(CASE WHEN kind = 'sale' THEN base_minor ELSE 0 END) AS BIGINT), CAST(SUM(base_minor) AS BIGINT),
           CAST(SUM(commission_minor) AS BIGINT), COUNT(DISTINCT CASE WHEN kind = 'sale' THEN customer_id END)
    FROM credits
    WHERE {of} AND pool = 'liver' AND at_ms >= $2 AND at_ms < $3 {more}
    GROUP BY 1";

/// The month in the middle of the year.
pub fn month() -> (Millis, Millis) {
    let from = FROM_MS + (DAYS / 2 - 15) * DAY_MS;
    (Millis(from), Millis(from + 30 * DAY_MS))
}

/// Of the first brand's lines two thirds: of the ten million of the largest run, a million.
pub fn to_file() -> (Millis, Millis) {
    (Millis(FROM_MS), Millis(FROM_MS + 244 * DAY_MS))
}
