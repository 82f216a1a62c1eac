//! Table: a year of credited lines, written by SQL: brands with a live a day, two lines an order, one order in twenty given
//! back three days later.

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
    let mut from = 0;
    while from < orders {
        let to = (from + ORDERS).min(orders) - 1;
        let mut tx = db.write("a part of the year").await?;
        for (kind, sign, later_ms, which) in [("sale", 1, 0, "1 = 1"), ("reversal", -1, 3 * DAY_MS, "j % 20 = 7")] {
            // 7919 and 104729 are primes: minutes, products and customers are spread, and the same in each run.
            let statement = format!(
                "INSERT INTO credits (id, kind, cause_id, order_id, order_line_id, brand_id, live_id, pool, party_id,
                     product_id, sku_id, customer_id, channel, qty, base_minor, share_bp, commission_bp, commission_minor,
                     currency, rule, rule_version, evidence, at_ms)
                 WITH RECURSIVE n (j) AS (SELECT CAST({from} AS BIGINT) UNION ALL SELECT j + 1 FROM n WHERE j < {to}),
                      o AS (SELECT CAST(j AS BIGINT) AS j, j % {brands} AS brand,
                                   (j / {brands}) * {DAYS} / {each} AS day FROM n WHERE {which}),
                      l AS (SELECT o.j, o.brand, o.day, k.k, (o.j * 31 + k.k * 7) % 20 AS product
                            FROM o CROSS JOIN (SELECT 0 AS k UNION ALL SELECT 1) k)
                 SELECT 'crd_' || l.j || '_' || l.k || '_{kind}', '{kind}', '{}', 'ord_' || l.j, 'oln_' || l.j || '_' || l.k,
                        v.brand_id, v.live_id, 'liver', v.liver_id, 'prd_' || l.brand || '_' || l.product,
                        'sku_' || l.brand || '_' || l.product || '_' || (l.j % 3), 'cus_' || (l.j * 104729 % {customers}),
                        'live', {sign} * 1, {sign} * (1000 + l.j % 9000), 10000, 1000,
                        {sign} * ((1000 + l.j % 9000) / 10), 'JPY', 'direct', 1, '',
                        {FROM_MS} + l.day * {DAY_MS} + 72000000 + (l.j * 7919 % 3600) * 1000 + {later_ms}
                 FROM l JOIN load_lives v ON v.brand = l.brand AND v.day = CASE WHEN l.day < {DAYS} THEN l.day ELSE {DAYS} - 1 END",
                if kind == "sale" { "" } else { "refund" },
            );
            on!(&mut tx, |conn| sqlx::query(sqlx::AssertSqlSafe(statement)).execute(conn).await.map(drop)?);
        }
        tx.commit().await?;
        from = to + 1;
        eprint!("\r{from} of {orders} orders");
    }
    eprintln!();
    Ok(year)
}

/// The plain sum that a kept one is compared with: the same figures, by the same key, from the lines.
pub const PLAIN: &str = "
    SELECT {key}, COUNT(DISTINCT CASE WHEN kind = 'sale' THEN order_id END),
           CAST(SUM(CASE WHEN kind = 'sale' THEN base_minor ELSE 0 END) AS BIGINT), CAST(SUM(base_minor) AS BIGINT),
           CAST(SUM(commission_minor) AS BIGINT), COUNT(DISTINCT CASE WHEN kind = 'sale' THEN customer_id END)
    FROM credits
    WHERE brand_id = $1 AND pool = 'liver' AND at_ms >= $2 AND at_ms < $3 {more}
    GROUP BY 1";

/// The month in the middle of the year.
pub fn month() -> (Millis, Millis) {
    let from = FROM_MS + (DAYS / 2 - 15) * DAY_MS;
    (Millis(from), Millis(from + 30 * DAY_MS))
}
