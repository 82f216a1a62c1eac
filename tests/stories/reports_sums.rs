//! Kept sums and the ledger say the same, whoever folds, in whatever order, and while it goes on.

use std::collections::BTreeSet;

use hanamichi::{
    attribution::{Asked, By, Figures, Filters, Reports, Window, check, fold_all, requeue},
    clock::{Clock, Millis},
    ids::{BrandId, LiveId, OrderId, ProductId, SkuId},
    store::Db,
};

use crate::{
    both_databases,
    harness::{Database, Engine, meddle},
};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// Midnight in Japan.
const MIDNIGHT: i64 = 20_000 * DAY - 9 * HOUR;
const FEWEST_PEOPLE: usize = 10;

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[usize::try_from(self.roll(of.len() as u64)).expect("small")]
    }
}

#[derive(Debug, Clone)]
struct Line {
    order: String,
    cause: String,
    brand: BrandId,
    live: LiveId,
    pool: &'static str,
    product: ProductId,
    sku: SkuId,
    customer: String,
    channel: &'static str,
    campaign: Option<&'static str>,
    qty: i64,
    base: i64,
    commission: i64,
    at: i64,
}

impl Line {
    fn is_sale(&self) -> bool {
        self.cause.is_empty()
    }

    fn key(&self, by: By) -> String {
        match by {
            By::Live => self.live.to_string(),
            By::Liver => "liver".to_owned(),
            By::Product => self.product.to_string(),
            By::Sku => self.sku.to_string(),
            By::Day => {
                let date = jiff::Timestamp::from_millisecond(self.at).expect("a time").in_tz("Asia/Tokyo");
                date.expect("a zone").strftime("%Y-%m-%d").to_string()
            }
            By::Hour => {
                let date = jiff::Timestamp::from_millisecond(self.at).expect("a time").in_tz("Asia/Tokyo");
                date.expect("a zone").strftime("%H").to_string()
            }
            By::Store => String::new(),
            By::Channel => self.channel.to_owned(),
            By::Campaign => self.campaign.unwrap_or_default().to_owned(),
            By::Staff => "clerk".to_owned(),
            By::Brand => self.brand.to_string(),
        }
    }

    fn write(&self, n: usize) -> String {
        let kind = if self.is_sale() { "sale" } else { "reversal" };
        let party = if self.pool == "staff" { "clerk" } else { "liver" };
        let campaign = self.campaign.map_or("NULL".to_owned(), |campaign| format!("'{campaign}'"));
        format!(
            "INSERT INTO credits (id, kind, cause_id, order_id, order_line_id, brand_id, live_id, pool, party_id, product_id,
                                  sku_id, customer_id, channel, campaign, qty, base_minor, share_bp, commission_bp,
                                  commission_minor, currency, rule, rule_version, evidence, at_ms)
             VALUES ('credit-{n}', '{kind}', '{}', '{}', 'line-{n}', '{}', '{}', '{}', '{party}', '{}', '{}', '{}', '{}',
                     {campaign}, {}, {}, 10000, 1000, {}, 'JPY', 'direct', 1, '', {})",
            self.cause,
            self.order,
            self.brand,
            self.live,
            self.pool,
            self.product,
            self.sku,
            self.customer,
            self.channel,
            self.qty,
            self.base,
            self.commission,
            self.at
        )
    }
}

/// What is sold, and to whom.
struct Market {
    brands: Vec<BrandId>,
    lives: Vec<LiveId>,
    skus: Vec<(ProductId, SkuId)>,
    dice: Dice,
    lines: Vec<Line>,
}

impl Market {
    fn open(seed: u64) -> Self {
        Self {
            brands: (0..2).map(|_| BrandId::fresh()).collect(),
            lives: (0..3).map(|_| LiveId::fresh()).collect(),
            skus: (0..5).map(|_| (ProductId::fresh(), SkuId::fresh())).collect(),
            dice: Dice(seed),
            lines: Vec::new(),
        }
    }

    /// Random orders of one to three lines around midnights, and what comes back of earlier ones. As statements.
    fn trade(&mut self, orders: usize) -> Vec<String> {
        let (before, dice) = (self.lines.len(), &mut self.dice);
        for _ in 0..orders {
            let order = OrderId::fresh();
            // Reversed, ids are in no order of time.
            let order: String = order.as_str().chars().rev().collect();
            let at = MIDNIGHT
                + i64::try_from(dice.roll(6)).expect("small") * DAY
                + match dice.roll(4) {
                    0 => 0,
                    1 => -1,
                    _ => i64::try_from(dice.roll(24 * 3_600_000)).expect("small"),
                };
            let (customer, channel) = (format!("customer-{}", dice.roll(60)), *dice.pick(&["live", "replay"]));
            let campaign = *dice.pick(&[None, None, Some("spring"), Some("summer")]);
            for _ in 0..=dice.roll(3) {
                let (product, sku) = dice.pick(&self.skus).clone();
                let base = i64::try_from(1 + dice.roll(20_000)).expect("small");
                let line = Line {
                    order: order.clone(),
                    cause: String::new(),
                    brand: dice.pick(&self.brands).clone(),
                    live: dice.pick(&self.lives).clone(),
                    pool: "liver",
                    product,
                    sku,
                    customer: customer.clone(),
                    channel,
                    campaign,
                    qty: i64::try_from(1 + dice.roll(3)).expect("small"),
                    base,
                    commission: base / 10,
                    at,
                };
                if dice.roll(4) == 0 {
                    self.lines.push(Line { pool: "staff", ..line.clone() });
                }
                self.lines.push(line);
            }
        }
        for _ in 0..orders / 4 {
            let sold = dice.pick(&self.lines).clone();
            if sold.is_sale() {
                let back = i64::try_from(dice.roll(sold.base.unsigned_abs())).expect("small") + 1;
                let later = i64::try_from(dice.roll(2 * 24 * 3_600_000)).expect("small");
                self.lines.push(Line {
                    cause: OrderId::fresh().to_string(),
                    qty: -1,
                    base: -back,
                    commission: -back / 10,
                    at: sold.at + later,
                    ..sold
                });
            }
        }
        let new = &self.lines[before..];
        let causes: BTreeSet<(&str, &str)> =
            new.iter().map(|line| (line.order.as_str(), line.cause.as_str())).collect();
        let mut statements: Vec<String> = new.iter().enumerate().map(|(n, line)| line.write(before + n)).collect();
        statements.extend(causes.into_iter().map(|(order, cause)| {
            format!("INSERT INTO sales_to_fold (order_id, cause_id) VALUES ('{order}', '{cause}')")
        }));
        statements
    }

    /// The figures by plain reckoning, without those that few people are hidden from.
    fn reckon(&self, asked: &Asked, key: Option<&str>) -> Figures {
        let (from, to) = (asked.window.from.map_or(i64::MIN, |at| at.0), asked.window.to.map_or(i64::MAX, |at| at.0));
        let pool = if asked.by == By::Staff { "staff" } else { "liver" };
        let of_brand = |line: &&Line| asked.brand.as_ref().is_none_or(|brand| *brand == line.brand);
        let lines: Vec<&Line> = self
            .lines
            .iter()
            .filter(of_brand)
            .filter(|line| line.pool == pool && line.at >= from && line.at < to)
            .filter(|line| key.is_none_or(|key| line.key(asked.by) == key))
            .filter(|line| asked.filters.live.as_ref().is_none_or(|live| *live == line.live))
            .collect();
        let sales: Vec<&&Line> = lines.iter().filter(|line| line.is_sale()).collect();
        let people: BTreeSet<&str> = sales.iter().map(|line| line.customer.as_str()).collect();
        let known: BTreeSet<&str> = self
            .lines
            .iter()
            .filter(of_brand)
            .filter(|line| line.is_sale() && line.at < from)
            .map(|line| line.customer.as_str())
            .collect();
        let new = people.difference(&known).count();
        let told = |count: usize, whether: bool| whether.then(|| i64::try_from(count).expect("small"));
        let (gross, net): (i64, i64) =
            (sales.iter().map(|line| line.base).sum(), lines.iter().map(|line| line.base).sum());
        let orders = sales.iter().map(|line| line.order.as_str()).collect::<BTreeSet<_>>().len();
        let orders = i64::try_from(orders).expect("small");
        let many = people.len() >= FEWEST_PEOPLE;
        let both = many && new >= FEWEST_PEOPLE && people.len() - new >= FEWEST_PEOPLE;
        Figures {
            orders,
            units: lines.iter().map(|line| line.qty).sum(),
            gross_minor: gross,
            cancelled_minor: net - gross,
            net_minor: net,
            commission_minor: lines.iter().map(|line| line.commission).sum(),
            aov_minor: if orders > 0 { net.div_euclid(orders) } else { 0 },
            buyers: told(people.len(), many),
            new_buyers: told(new, both),
            returning_buyers: told(people.len() - new, both),
            refund_rate_bp: if gross > 0 { (gross - net) * 10_000 / gross } else { 0 },
        }
    }

    async fn agrees(&self, reports: &Reports) {
        let whole = Window { from: Some(Millis(MIDNIGHT + DAY)), to: Some(Millis(MIDNIGHT + 4 * DAY)) };
        let part = Window { from: Some(Millis(MIDNIGHT + DAY + 1)), to: Some(Millis(MIDNIGHT + 3 * DAY + HOUR)) };
        let one_live = Filters { live: Some(self.lives[0].clone()), ..Filters::default() };
        let each = [By::Live, By::Liver, By::Product, By::Sku, By::Day, By::Hour, By::Store, By::Channel, By::Campaign];
        for by in each.into_iter().chain([By::Staff, By::Brand]) {
            for brand in [Some(self.brands[0].clone()), None] {
                if by == By::Brand && brand.is_some() {
                    continue;
                }
                for (window, filters) in [
                    (Window::default(), Filters::default()),
                    (whole, Filters::default()),
                    (part, Filters::default()),
                    (whole, one_live.clone()),
                ] {
                    let asked = Asked { brand: brand.clone(), by, window, filters };
                    let report = reports.split(&asked, true).await.expect("a report");
                    assert_eq!(report.totals, self.reckon(&asked, None), "{asked:?}");
                    let keys: BTreeSet<String> = report.rows.iter().map(|row| row.key.clone()).collect();
                    assert_eq!(keys.len(), report.rows.len(), "each key has one row");
                    for row in &report.rows {
                        let expected = self.reckon(&asked, Some(&row.key));
                        // What is hidden so that another row cannot be worked out is not reckoned here.
                        let seen = Figures {
                            buyers: row.figures.buyers.or(expected.buyers),
                            new_buyers: row.figures.new_buyers.or(expected.new_buyers),
                            returning_buyers: row.figures.returning_buyers.or(expected.returning_buyers),
                            ..row.figures.clone()
                        };
                        assert_eq!(seen, expected, "{asked:?} {}", row.key);
                    }
                    let net: i64 = report.rows.iter().map(|row| row.figures.net_minor).sum();
                    assert_eq!(net, report.totals.net_minor, "rows add up: {asked:?}");
                    if let (Some(from), Some(to)) = (window.from, window.to) {
                        let before = Window { from: Some(Millis(2 * from.0 - to.0)), to: Some(from) };
                        let before = Asked { window: before, ..asked.clone() };
                        assert_eq!(report.previous, Some(self.reckon(&before, None)), "{before:?}");
                    }
                }
            }
        }
    }
}

async fn faults(db: &Db) -> Vec<String> {
    let mut tx = db.read("check").await.expect("a transaction");
    check(&mut tx).await.expect("checked").1
}

async fn rows(db: &Db) -> Vec<String> {
    let mut tx = db.read("rows").await.expect("a transaction");
    const DAYS: &str = "
        SELECT brand_id || ' ' || by_what || ' ' || day || ' ' || key || ' ' || orders || ' ' || units || ' ' ||
               gross_minor || ' ' || cancelled_minor || ' ' || commission_minor || ' ' || people
        FROM sales_days WHERE by_what <> 'first' OR people <> ''
        UNION ALL
        SELECT live_id || ' ' || brand_id || ' ' || minute || ' ' || product_id || ' ' || orders || ' ' || units || ' ' ||
               gross_minor || ' ' || cancelled_minor || ' ' || commission_minor
        FROM sales_minutes";
    let mut rows: Vec<(String,)> =
        hanamichi::on!(&mut tx, |conn| sqlx::query_as(DAYS).fetch_all(conn).await.expect("rows"));
    rows.sort();
    rows.into_iter().map(|(row,)| row).collect()
}

both_databases!(sums_are_the_ledgers_whatever_is_folded_yet, async |engine: Engine| {
    let database = Database::fresh(engine).await;
    let db = Db::connect(&database.url).await.expect("it opens");
    db.migrate().await.expect("migrated");
    let reports = Reports::new(db.clone(), Clock::system(), 14);
    let seed = Clock::system().now().0.unsigned_abs();
    eprintln!("seed {seed}");
    let mut market = Market::open(seed);
    meddle(&database.url, &market.trade(150)).await;
    // Nothing is folded; then all; then some; then the rest, by several at once.
    market.agrees(&reports).await;
    assert!(fold_all(&db).await.expect("folded") > 150);
    assert_eq!(faults(&db).await, Vec::<String>::new());
    market.agrees(&reports).await;
    meddle(&database.url, &market.trade(120)).await;
    market.agrees(&reports).await;
    assert_eq!(faults(&db).await, Vec::<String>::new(), "what waits is counted");
    let again = market.trade(100);
    let (one, other, third, fourth) =
        tokio::join!(fold_all(&db), meddle(&database.url, &again), fold_all(&db), fold_all(&db));
    let () = other;
    for folded in [one, third, fourth] {
        folded.expect("folded");
    }
    fold_all(&db).await.expect("folded");
    market.agrees(&reports).await;
    assert_eq!(faults(&db).await, Vec::<String>::new());

    let before = rows(&db).await;
    requeue(&db).await.expect("thrown away");
    market.agrees(&reports).await;
    fold_all(&db).await.expect("made again");
    assert_eq!(rows(&db).await, before, "bit for bit");

    // The check sees a row that is off by one, and a sale that was never noted.
    let spoil =
        ["UPDATE sales_days SET gross_minor = gross_minor + 1 WHERE by_what = 'hour' AND brand_id <> ''".to_owned()];
    meddle(&database.url, &spoil).await;
    assert!(!faults(&db).await.is_empty(), "a wrong sum is found");
    requeue(&db).await.expect("thrown away");
    meddle(&database.url, &["DELETE FROM sales_to_fold WHERE cause_id = ''".to_owned()]).await;
    fold_all(&db).await.expect("made again");
    assert!(!faults(&db).await.is_empty(), "a forgotten sale is found");
    db.close().await;
});
