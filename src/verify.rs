//! Root: checks the books: `hanamichi verify`.
//!
//! Reads one consistent picture of the database, online, and recomputes from the lowest rows what the counters say: every
//! unit explained by the ledger, every promise backed by goods, every order by stock and money and credit.
//! Invariant: it writes nothing. A fault names the row; a note is something that a running server is about to do.

mod pickups;
mod settled;

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::{
    attribution,
    clock::Millis,
    commerce::{self, OpenPurchase},
    ids::{CustomerId, LiveId, LocationId, OfferId, ProductId, SkuId},
    on, people,
    store::{Db, StoreError, Tx},
};

/// Faulty rows that are named; the rest is counted.
const MAX_EXAMPLES: usize = 10;
/// A hold this much over its time is worth a note: a running server lets go within a second.
const OVERDUE_AFTER_MS: i64 = 5_000;
/// Money that was reserved this long ago and belongs to no order is a fault; before, it may be on its way back.
const MONEY_ON_ITS_WAY_MS: i64 = 5 * 60 * 1_000;

/// One thing that must be true.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// Rows that were looked at.
    pub looked_at: i64,
    /// Rows for which it is not true.
    pub faults: i64,
    /// The first of them.
    pub examples: Vec<String>,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// `clean` or `faulty`.
    pub verdict: &'static str,
    /// Everything that was checked.
    pub checks: Vec<Check>,
    /// What is not wrong, but worth knowing.
    pub notes: Vec<String>,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.checks.iter().all(|check| check.faults == 0)
    }

    /// As text for people.
    #[must_use]
    pub fn to_text(&self) -> String {
        use std::fmt::Write as _;
        // Writing to a String cannot fail.
        let mut text = String::new();
        for check in &self.checks {
            let mark = if check.faults == 0 { "ok    " } else { "FAULT " };
            let _ =
                writeln!(text, "{mark} {:<52} {:>9} looked at, {} faults", check.name, check.looked_at, check.faults);
            for example in &check.examples {
                let _ = writeln!(text, "         {example}");
            }
        }
        for note in &self.notes {
            let _ = writeln!(text, "note   {note}");
        }
        let _ = writeln!(text, "verdict: {}", self.verdict);
        text
    }
}

struct Finding {
    check: Check,
}

impl Finding {
    fn of(name: &'static str, looked_at: i64) -> Self {
        Self { check: Check { name, looked_at, faults: 0, examples: Vec::new() } }
    }

    fn fault(&mut self, text: String) {
        self.check.faults += 1;
        if self.check.examples.len() < MAX_EXAMPLES {
            self.check.examples.push(text);
        }
    }
}

/// Checks everything.
///
/// # Errors
/// The database's; then nothing is known.
pub async fn run(db: &Db, now: Millis) -> Result<Report, StoreError> {
    let mut tx = db.read("verify").await?;
    let mut notes = Vec::new();
    let open = Open::read(&mut tx, now, &mut notes).await?;
    let checks = vec![
        ledger(&mut tx).await?,
        promises(&mut tx, &open).await?,
        goods(&open),
        limits(&mut tx, &open).await?,
        quotas(&mut tx, &open).await?,
        orders(&mut tx).await?,
        totals(&mut tx).await?,
        shipped(&mut tx).await?,
        pickups::follow(&mut tx).await?,
        money(&mut tx).await?,
        stray_money(&mut tx, now, &mut notes).await?,
        payments(&mut tx).await?,
        credits(&mut tx).await?,
        decided(&mut tx).await?,
        sums(&mut tx).await?,
        documents(&mut tx).await?,
        postings(&mut tx).await?,
        refunds(&mut tx).await?,
        returned_credits(&mut tx).await?,
        payable(&mut tx).await?,
        settled::statements(&mut tx).await?,
        settled::carried(&mut tx).await?,
        settled::paid(&mut tx).await?,
        votes(&mut tx).await?,
        audit(&mut tx, now).await?,
    ];
    let clean = checks.iter().all(|check| check.faults == 0);
    Ok(Report { verdict: if clean { "clean" } else { "faulty" }, checks, notes })
}

/// What purchases say that have units on shelves, summed.
struct Open {
    purchases: i64,
    shelves: BTreeMap<(SkuId, LocationId), i64>,
    unpaid_by_limit: HashMap<(LiveId, ProductId, CustomerId), i64>,
    unpaid_by_offer: HashMap<OfferId, i64>,
    uneven: Vec<String>,
}

impl Open {
    async fn read(tx: &mut Tx, now: Millis, notes: &mut Vec<String>) -> Result<Self, StoreError> {
        let mut open = Self {
            purchases: 0,
            shelves: BTreeMap::new(),
            unpaid_by_limit: HashMap::new(),
            unpaid_by_offer: HashMap::new(),
            uneven: Vec::new(),
        };
        let mut overdue = 0;
        let mut after = None;
        loop {
            let page = commerce::open_purchases(tx, after.as_ref()).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id.clone());
            for purchase in page {
                if purchase.state == commerce::PurchaseState::Held
                    && now.since(purchase.hold_expires_at_ms) > OVERDUE_AFTER_MS
                {
                    overdue += 1;
                }
                open.add(purchase);
            }
        }
        if overdue > 0 {
            notes.push(format!("{overdue} holds are over their time; a running server lets them go within a second"));
        }
        Ok(open)
    }

    fn add(&mut self, purchase: OpenPurchase) {
        self.purchases += 1;
        let mut standing = 0;
        let mut wanted = 0;
        for line in purchase.lines.0.into_iter().filter(|line| line.left_out.is_none()) {
            wanted += line.left();
            standing += line.allocation.units();
            if purchase.state.holds_units() {
                let key = (purchase.live_id.clone(), line.product_id, purchase.customer_id.clone());
                *self.unpaid_by_limit.entry(key).or_default() += line.qty;
                *self.unpaid_by_offer.entry(line.offer_id).or_default() += line.qty;
            }
            for (location, units) in line.allocation.0 {
                *self.shelves.entry((line.sku_id.clone(), location)).or_default() += units;
            }
        }
        if standing + purchase.short_units != wanted {
            self.uneven.push(format!(
                "{}: {wanted} units, {standing} on shelves, {} short",
                purchase.id, purchase.short_units
            ));
        }
    }
}

async fn count(tx: &mut Tx, sql: &'static str) -> Result<i64, StoreError> {
    let (n,): (i64,) = on!(tx, |conn| sqlx::query_as(sql).fetch_one(conn).await?);
    Ok(n)
}

/// A check that is one query for the faulty rows: their name, what was expected, what is there.
async fn by_query(
    tx: &mut Tx,
    name: &'static str,
    all: &'static str,
    faulty: &'static str,
) -> Result<Check, StoreError> {
    let mut finding = Finding::of(name, count(tx, all).await?);
    let rows: Vec<(String, i64, i64)> = on!(tx, |conn| sqlx::query_as(faulty).fetch_all(conn).await?);
    for (row, expected, found) in rows {
        finding.fault(format!("{row}: expected {expected}, found {found}"));
    }
    Ok(finding.check)
}

async fn ledger(tx: &mut Tx) -> Result<Check, StoreError> {
    const ALL: &str = "SELECT COUNT(*) FROM stock";
    // Both ways: a shelf that its entries do not explain, and entries without a shelf.
    const FAULTY: &str = "
        SELECT s.sku_id || ' at ' || s.location_id || ' on hand', CAST(COALESCE(e.on_hand, 0) AS BIGINT), s.on_hand
        FROM stock s
        LEFT JOIN (SELECT sku_id, location_id, SUM(on_hand_delta) AS on_hand FROM stock_entries
                   GROUP BY sku_id, location_id) e ON e.sku_id = s.sku_id AND e.location_id = s.location_id
        WHERE s.on_hand <> COALESCE(e.on_hand, 0)
        UNION ALL
        SELECT s.sku_id || ' at ' || s.location_id || ' held', CAST(COALESCE(e.held, 0) AS BIGINT), s.held
        FROM stock s
        LEFT JOIN (SELECT sku_id, location_id, SUM(held_delta) AS held FROM stock_entries
                   GROUP BY sku_id, location_id) e ON e.sku_id = s.sku_id AND e.location_id = s.location_id
        WHERE s.held <> COALESCE(e.held, 0)
        UNION ALL
        SELECT e.sku_id || ' at ' || e.location_id || ' has no shelf', COUNT(*), CAST(0 AS BIGINT)
        FROM stock_entries e
        LEFT JOIN stock s ON s.sku_id = e.sku_id AND s.location_id = e.location_id
        WHERE s.sku_id IS NULL
        GROUP BY e.sku_id, e.location_id";
    by_query(tx, "every unit is explained by the ledger", ALL, FAULTY).await
}

async fn promises(tx: &mut Tx, open: &Open) -> Result<Check, StoreError> {
    let rows: Vec<(SkuId, LocationId, i64, i64)> =
        on!(tx, |conn| sqlx::query_as("SELECT sku_id, location_id, on_hand, held FROM stock").fetch_all(conn).await?);
    let mut finding =
        Finding::of("what is held is promised to somebody", i64::try_from(rows.len()).unwrap_or(i64::MAX));
    let mut promised = open.shelves.clone();
    for (sku, location, on_hand, held) in rows {
        let wanted = promised.remove(&(sku.clone(), location.clone())).unwrap_or(0);
        if wanted != held || held > on_hand || held < 0 {
            finding.fault(format!("{sku} at {location}: {wanted} promised, {held} held, {on_hand} on hand"));
        }
    }
    for ((sku, location), units) in promised.into_iter().filter(|(_, units)| *units != 0) {
        finding.fault(format!("{sku} at {location}: {units} promised, but there is no shelf"));
    }
    Ok(finding.check)
}

fn goods(open: &Open) -> Check {
    let mut finding = Finding::of("every promise stands on a shelf or is marked short", open.purchases);
    for uneven in &open.uneven {
        finding.fault(uneven.clone());
    }
    finding.check
}

async fn limits(tx: &mut Tx, open: &Open) -> Result<Check, StoreError> {
    const BOUGHT: &str = "
        SELECT o.customer_id, CAST(SUM(l.qty - COALESCE(b.qty, 0)) AS BIGINT)
        FROM orders o
        JOIN order_lines l ON l.order_id = o.id
        LEFT JOIN (SELECT r.order_line_id, SUM(r.qty) AS qty
                   FROM refund_lines r
                   JOIN refunds f ON f.id = r.refund_id
                   WHERE f.goods <> 'gone'
                   GROUP BY r.order_line_id) b ON b.order_line_id = l.id
        WHERE o.live_id = $1 AND l.product_id = $2
        GROUP BY o.customer_id";
    let mut unpaid: BTreeMap<(LiveId, ProductId), HashMap<CustomerId, i64>> = BTreeMap::new();
    for ((live, product, customer), held) in &open.unpaid_by_limit {
        unpaid.entry((live.clone(), product.clone())).or_default().insert(customer.clone(), *held);
    }
    for key in commerce::limit_keys(tx).await? {
        unpaid.entry(key).or_default();
    }
    let mut finding = Finding::of("limits count what is held and owned", 0);
    // A live and product at a time, so that memory holds one of them.
    for ((live, product), mut expected) in unpaid {
        let bought: Vec<(CustomerId, i64)> =
            on!(tx, |conn| sqlx::query_as(BOUGHT).bind(&live).bind(&product).fetch_all(conn).await?);
        for (customer, units) in bought {
            *expected.entry(customer).or_default() += units;
        }
        let mut used = commerce::limits_used(tx, &live, &product).await?;
        finding.check.looked_at += i64::try_from(used.len()).unwrap_or(i64::MAX);
        for (customer, wanted) in expected {
            let found = used.remove(&customer).unwrap_or(0);
            if found != wanted {
                finding.fault(format!("{customer}, {product} in {live}: {wanted} held and owned, {found} counted"));
            }
        }
        for (customer, found) in used.into_iter().filter(|(_, found)| *found != 0) {
            finding.fault(format!("{customer}, {product} in {live}: nothing held or owned, {found} counted"));
        }
    }
    Ok(finding.check)
}

async fn quotas(tx: &mut Tx, open: &Open) -> Result<Check, StoreError> {
    const REST: &str = "
        SELECT f.id, CAST(f.taken - COALESCE(b.bought, 0) AS BIGINT), f.taken, COALESCE(f.quota, f.taken)
        FROM offers f
        LEFT JOIN (SELECT o.live_id, l.sku_id, SUM(l.qty - COALESCE(g.qty, 0)) AS bought
                   FROM order_lines l
                   JOIN orders o ON o.id = l.order_id
                   LEFT JOIN (SELECT r.order_line_id, SUM(r.qty) AS qty
                              FROM refund_lines r
                              JOIN refunds f ON f.id = r.refund_id
                              WHERE f.goods <> 'gone'
                              GROUP BY r.order_line_id) g ON g.order_line_id = l.id
                   GROUP BY o.live_id, l.sku_id) b ON b.live_id = f.live_id AND b.sku_id = f.sku_id";
    let rows: Vec<(OfferId, i64, i64, i64)> = on!(tx, |conn| sqlx::query_as(REST).fetch_all(conn).await?);
    let mut finding = Finding::of("quotas count what is held and sold", i64::try_from(rows.len()).unwrap_or(i64::MAX));
    for (offer, rest, _, _) in rows {
        let held = open.unpaid_by_offer.get(&offer).copied().unwrap_or(0);
        if held != rest {
            finding.fault(format!("{offer}: expected {held} besides what is sold, found {rest}"));
        }
    }
    Ok(finding.check)
}

async fn orders(tx: &mut Tx) -> Result<Check, StoreError> {
    const ALL: &str = "SELECT COUNT(*) FROM orders";
    const FAULTY: &str = "
        SELECT p.id || ' is paid and has no order', CAST(1 AS BIGINT), CAST(0 AS BIGINT)
        FROM purchases p
        LEFT JOIN orders o ON o.purchase_id = p.id
        WHERE p.state IN ('authorized', 'captured', 'fulfilled') AND (o.id IS NULL OR p.order_id IS NULL OR p.order_id <> o.id)
        UNION ALL
        SELECT o.id || ' is of a purchase that is not paid', CAST(0 AS BIGINT), CAST(1 AS BIGINT)
        FROM orders o
        JOIN purchases p ON p.id = o.purchase_id
        WHERE p.state NOT IN ('authorized', 'captured', 'fulfilled', 'refunded')
          AND NOT (p.state = 'cancelled' AND o.voided_minor = o.total_minor)";
    by_query(tx, "each paid purchase has its one order", ALL, FAULTY).await
}

async fn totals(tx: &mut Tx) -> Result<Check, StoreError> {
    const ALL: &str = "SELECT COUNT(*) FROM order_lines";
    const FAULTY: &str = "
        SELECT o.id || ' and its lines', o.total_minor, CAST(COALESCE(SUM(l.amount_minor), 0) AS BIGINT)
        FROM orders o
        LEFT JOIN order_lines l ON l.order_id = o.id
        GROUP BY o.id, o.total_minor
        HAVING o.total_minor <> COALESCE(SUM(l.amount_minor), 0)
        UNION ALL
        SELECT o.id || ' and its purchase', p.total_minor, o.total_minor
        FROM orders o
        JOIN purchases p ON p.id = o.purchase_id
        WHERE p.total_minor <> o.total_minor";
    by_query(tx, "orders add up", ALL, FAULTY).await
}

async fn shipped(tx: &mut Tx) -> Result<Check, StoreError> {
    const ALL: &str = "SELECT COUNT(*) FROM purchases WHERE left_at_ms IS NOT NULL";
    const FAULTY: &str = "
        SELECT k.id || ' left the shelf', CAST(COALESCE(b.units, 0) AS BIGINT), CAST(COALESCE(e.units, 0) AS BIGINT)
        FROM skus k
        LEFT JOIN (SELECT l.sku_id, SUM(l.qty - COALESCE(u.qty, 0)) AS units
                   FROM order_lines l
                   JOIN orders o ON o.id = l.order_id
                   JOIN purchases p ON p.id = o.purchase_id
                   LEFT JOIN (SELECT r.order_line_id, SUM(r.qty) AS qty
                              FROM refund_lines r
                              JOIN refunds f ON f.id = r.refund_id
                              WHERE f.goods = 'unsent'
                              GROUP BY r.order_line_id) u ON u.order_line_id = l.id
                   WHERE p.left_at_ms IS NOT NULL
                   GROUP BY l.sku_id) b ON b.sku_id = k.id
        LEFT JOIN (SELECT sku_id, -SUM(on_hand_delta) AS units FROM stock_entries WHERE kind IN ('sell', 'ship')
                   GROUP BY sku_id) e ON e.sku_id = k.id
        WHERE COALESCE(b.units, 0) <> COALESCE(e.units, 0)";
    by_query(tx, "what left the shelves was ordered", ALL, FAULTY).await
}

async fn money(tx: &mut Tx) -> Result<Check, StoreError> {
    const ALL: &str = "SELECT COUNT(*) FROM orders";
    const FAULTY: &str = "
        SELECT o.id || ' has no money', o.total_minor, CAST(0 AS BIGINT)
        FROM orders o
        WHERE o.voided_minor < o.total_minor AND NOT EXISTS (
            SELECT 1
            FROM payment_attempts a
            LEFT JOIN sandbox_payments s ON s.key = 'pi:' || a.purchase_id || ':' || a.n
            WHERE a.purchase_id = o.purchase_id AND a.amount_minor = o.total_minor
              AND a.state IN ('authorized', 'captured')
              AND (a.provider <> 'sandbox' OR s.state IN ('authorized', 'captured') AND s.amount_minor = o.total_minor))";
    by_query(tx, "each order has its money", ALL, FAULTY).await
}

async fn stray_money(tx: &mut Tx, now: Millis, notes: &mut Vec<String>) -> Result<Check, StoreError> {
    const STRAY: &str = "
        SELECT s.key, s.created_at_ms
        FROM sandbox_payments s
        JOIN payment_attempts a ON s.key = 'pi:' || a.purchase_id || ':' || a.n
        JOIN purchases p ON p.id = a.purchase_id
        WHERE s.state IN ('authorized', 'captured')
          AND p.state NOT IN ('paying', 'requires_action', 'authorized', 'captured', 'fulfilled', 'refunded')";
    let all = count(tx, "SELECT COUNT(*) FROM sandbox_payments WHERE state IN ('authorized', 'captured')").await?;
    let mut finding = Finding::of("no money is kept without an order", all);
    let rows: Vec<(String, Millis)> = on!(tx, |conn| sqlx::query_as(STRAY).fetch_all(conn).await?);
    let mut on_its_way = 0;
    for (key, created_at) in rows {
        if now.since(created_at) > MONEY_ON_ITS_WAY_MS {
            finding.fault(format!("{key}: reserved, and nothing was ordered"));
        } else {
            on_its_way += 1;
        }
    }
    if on_its_way > 0 {
        notes.push(format!("{on_its_way} payments are on their way back to who made them"));
    }
    Ok(finding.check)
}

async fn payments(tx: &mut Tx) -> Result<Check, StoreError> {
    const ALL: &str = "SELECT COUNT(*) FROM purchases WHERE state IN ('paying', 'requires_action')";
    const FAULTY: &str = "
        SELECT p.id || ' waits for a payment that nobody asks for', CAST(1 AS BIGINT), CAST(0 AS BIGINT)
        FROM purchases p
        LEFT JOIN payment_attempts a ON a.purchase_id = p.id
        WHERE p.state IN ('paying', 'requires_action') AND a.id IS NULL";
    by_query(tx, "no hold is stranded in a payment", ALL, FAULTY).await
}

async fn votes(tx: &mut Tx) -> Result<Check, StoreError> {
    const ALL: &str = "SELECT COUNT(*) FROM questions";
    const FAULTY: &str = "
        SELECT q.id || ' has votes', COUNT(v.customer_id), CAST(q.votes AS BIGINT)
        FROM questions q
        LEFT JOIN question_votes v ON v.question_id = q.id
        GROUP BY q.id, q.votes
        HAVING q.votes <> COUNT(v.customer_id)";
    by_query(tx, "a question has the votes that were given", ALL, FAULTY).await
}

async fn credits(tx: &mut Tx) -> Result<Check, StoreError> {
    const ALL: &str = "SELECT COUNT(*) FROM credits";
    const FAULTY: &str = "
        SELECT l.id || ' is credited', l.amount_minor, CAST(COALESCE(SUM(c.base_minor), 0) AS BIGINT)
        FROM order_lines l
        LEFT JOIN credits c ON c.order_line_id = l.id AND c.kind = 'sale' AND c.pool = 'liver'
        GROUP BY l.id, l.amount_minor
        HAVING l.amount_minor <> COALESCE(SUM(c.base_minor), 0)";
    by_query(tx, "each line sold is credited", ALL, FAULTY).await
}

async fn audit(tx: &mut Tx, now: Millis) -> Result<Check, StoreError> {
    let (lines, faults) = people::verify_audit(tx, now).await?;
    let mut finding = Finding::of("the audit log is what was sealed", lines);
    for fault in faults {
        finding.fault(fault);
    }
    Ok(finding.check)
}

async fn decided(tx: &mut Tx) -> Result<Check, StoreError> {
    let found = attribution::recompute(tx, MAX_EXAMPLES).await?;
    let mut finding = Finding::of("credits are what their rule makes of touches and terms", found.lines);
    for (row, expected, found) in found.faults {
        finding.fault(format!("{row}: expected {expected}, found {found}"));
    }
    Ok(finding.check)
}

async fn sums(tx: &mut Tx) -> Result<Check, StoreError> {
    let (looked_at, faults) = attribution::check(tx).await?;
    let mut finding = Finding::of("kept sums are the ledger's", looked_at);
    for fault in faults {
        finding.fault(fault);
    }
    Ok(finding.check)
}

/// What of a line is on the invoices: all that was not called off before the money was taken.
macro_rules! invoiced {
    () => {
        "SELECT l.order_id, l.brand_id, l.tax_rate_bp, SUM(l.amount_minor - COALESCE(v.amount, 0)) AS total
         FROM order_lines l
         JOIN orders o ON o.id = l.order_id
         JOIN purchases p ON p.id = o.purchase_id
         LEFT JOIN (SELECT r.order_line_id, SUM(r.amount_minor) AS amount
                    FROM refund_lines r
                    JOIN refunds f ON f.id = r.refund_id
                    WHERE f.kind = 'void'
                    GROUP BY r.order_line_id) v ON v.order_line_id = l.id
         WHERE p.state IN ('captured', 'fulfilled', 'refunded')
         GROUP BY l.order_id, l.brand_id, l.tax_rate_bp"
    };
}

async fn documents(tx: &mut Tx) -> Result<Check, StoreError> {
    const ALL: &str = "SELECT COUNT(*) FROM invoices";
    // Per seller and rate: what was taken; and the tax that one rounding makes of it.
    const FAULTY: &str = concat!(
        "SELECT w.order_id || ' of ' || w.brand_id || ' at ' || w.tax_rate_bp || ' is invoiced',
                CAST(w.total AS BIGINT), CAST(COALESCE(i.total, 0) AS BIGINT)
         FROM (",
        invoiced!(),
        ") w
         LEFT JOIN (SELECT i.order_id, i.brand_id, r.tax_rate_bp, SUM(r.total_minor) AS total
                    FROM invoices i
                    JOIN invoice_rates r ON r.invoice_id = i.id
                    GROUP BY i.order_id, i.brand_id, r.tax_rate_bp) i
           ON i.order_id = w.order_id AND i.brand_id = w.brand_id AND i.tax_rate_bp = w.tax_rate_bp
         WHERE w.total <> COALESCE(i.total, 0)
         UNION ALL
         SELECT i.number || ' rounds at ' || r.tax_rate_bp,
                CAST(r.total_minor * r.tax_rate_bp / (10000 + r.tax_rate_bp) AS BIGINT), r.tax_minor
         FROM invoices i
         JOIN invoice_rates r ON r.invoice_id = i.id
         WHERE r.tax_minor <> r.total_minor * r.tax_rate_bp / (10000 + r.tax_rate_bp)
         UNION ALL
         SELECT i.number || ' is left with tax at ' || r.tax_rate_bp,
                CAST((r.total_minor - n.total) * r.tax_rate_bp / (10000 + r.tax_rate_bp) AS BIGINT),
                CAST(r.tax_minor - n.tax AS BIGINT)
         FROM invoices i
         JOIN invoice_rates r ON r.invoice_id = i.id
         JOIN (SELECT c.invoice_id, t.tax_rate_bp, SUM(t.total_minor) AS total, SUM(t.tax_minor) AS tax
               FROM credit_notes c
               JOIN credit_note_rates t ON t.credit_note_id = c.id
               GROUP BY c.invoice_id, t.tax_rate_bp) n ON n.invoice_id = i.id AND n.tax_rate_bp = r.tax_rate_bp
         WHERE r.tax_minor - n.tax <> (r.total_minor - n.total) * r.tax_rate_bp / (10000 + r.tax_rate_bp)"
    );
    by_query(tx, "invoices and credit notes say what was taken", ALL, FAULTY).await
}

async fn postings(tx: &mut Tx) -> Result<Check, StoreError> {
    const ALL: &str = "SELECT COUNT(*) FROM postings";
    const FAULTY: &str = "
        SELECT o.id || ' is taken and posted', o.captured_minor, CAST(COALESCE(s.amount, 0) AS BIGINT)
        FROM orders o
        JOIN purchases p ON p.id = o.purchase_id
        LEFT JOIN (SELECT order_id, SUM(amount_minor) AS amount FROM postings WHERE kind = 'sale' GROUP BY order_id) s
          ON s.order_id = o.id
        WHERE p.state IN ('captured', 'fulfilled', 'refunded') AND o.captured_minor <> COALESCE(s.amount, 0)
        UNION ALL
        SELECT o.id || ' is taken whole', o.total_minor - o.voided_minor, o.captured_minor
        FROM orders o
        JOIN purchases p ON p.id = o.purchase_id
        WHERE p.state IN ('captured', 'fulfilled', 'refunded') AND o.captured_minor <> o.total_minor - o.voided_minor
        UNION ALL
        SELECT i.number || ' and its postings of tax', CAST(SUM(r.tax_minor) AS BIGINT), CAST(COALESCE(MAX(t.amount), 0) AS BIGINT)
        FROM invoices i
        JOIN invoice_rates r ON r.invoice_id = i.id
        LEFT JOIN (SELECT order_id, brand_id, SUM(amount_minor) AS amount FROM postings
                   WHERE kind = 'sale' AND credit = 'tax_payable' GROUP BY order_id, brand_id) t
          ON t.order_id = i.order_id AND t.brand_id = i.brand_id
        GROUP BY i.id, i.number
        HAVING SUM(r.tax_minor) <> COALESCE(MAX(t.amount), 0)
        UNION ALL
        SELECT f.id || ' is posted', f.amount_minor, CAST(COALESCE(SUM(s.amount_minor), 0) AS BIGINT)
        FROM refunds f
        LEFT JOIN postings s ON s.kind = 'refund' AND s.ref = f.id
        WHERE f.kind = 'refund'
        GROUP BY f.id, f.amount_minor
        HAVING f.amount_minor <> COALESCE(SUM(s.amount_minor), 0)";
    by_query(tx, "money taken and given back is in the ledger", ALL, FAULTY).await
}

async fn refunds(tx: &mut Tx) -> Result<Check, StoreError> {
    const ALL: &str = "SELECT COUNT(*) FROM refunds";
    const FAULTY: &str = "
        SELECT l.id || ' came back', CAST(COALESCE(SUM(r.qty), 0) AS BIGINT), CAST(l.returned_qty AS BIGINT)
        FROM order_lines l
        LEFT JOIN refund_lines r ON r.order_line_id = l.id
        GROUP BY l.id, l.returned_qty
        HAVING l.returned_qty <> COALESCE(SUM(r.qty), 0)
        UNION ALL
        SELECT l.id || ' is given back', CAST(COALESCE(SUM(r.amount_minor), 0) AS BIGINT), l.refunded_minor
        FROM order_lines l
        LEFT JOIN refund_lines r ON r.order_line_id = l.id
        GROUP BY l.id, l.refunded_minor
        HAVING l.refunded_minor <> COALESCE(SUM(r.amount_minor), 0)
        UNION ALL
        SELECT o.id || ' is given back', CAST(COALESCE(SUM(f.amount_minor), 0) AS BIGINT), o.refunded_minor + o.voided_minor
        FROM orders o
        LEFT JOIN refunds f ON f.order_id = o.id
        GROUP BY o.id, o.refunded_minor, o.voided_minor
        HAVING o.refunded_minor + o.voided_minor <> COALESCE(SUM(f.amount_minor), 0)
        UNION ALL
        SELECT id || ' is given back more than was taken', captured_minor, refunded_minor
        FROM orders
        WHERE refunded_minor > captured_minor
        UNION ALL
        SELECT l.order_id || ' has nothing left and is not over', CAST(0 AS BIGINT), CAST(1 AS BIGINT)
        FROM order_lines l
        JOIN orders o ON o.id = l.order_id
        JOIN purchases p ON p.id = o.purchase_id
        WHERE p.state IN ('authorized', 'captured', 'fulfilled')
        GROUP BY l.order_id
        HAVING SUM(l.qty - l.returned_qty) = 0
        UNION ALL
        SELECT l.order_id || ' is over and has units left', CAST(0 AS BIGINT), CAST(SUM(l.qty - l.returned_qty) AS BIGINT)
        FROM order_lines l
        JOIN orders o ON o.id = l.order_id
        JOIN purchases p ON p.id = o.purchase_id
        WHERE p.state IN ('refunded', 'cancelled')
        GROUP BY l.order_id
        HAVING SUM(l.qty - l.returned_qty) <> 0";
    by_query(tx, "nothing is given back twice, or more than was taken", ALL, FAULTY).await
}

async fn returned_credits(tx: &mut Tx) -> Result<Check, StoreError> {
    const ALL: &str = "SELECT COUNT(*) FROM credits WHERE kind = 'reversal'";
    const FAULTY: &str = "
        SELECT l.id || ' is credited after returns', l.amount_minor - l.refunded_minor,
               CAST(COALESCE(SUM(c.base_minor), 0) AS BIGINT)
        FROM order_lines l
        LEFT JOIN credits c ON c.order_line_id = l.id AND c.pool = 'liver'
        GROUP BY l.id, l.amount_minor, l.refunded_minor
        HAVING l.amount_minor - l.refunded_minor <> COALESCE(SUM(c.base_minor), 0)
        UNION ALL
        SELECT c.order_line_id || ' earns ' || c.party_id, CAST(SUM(c.base_minor) * MAX(c.commission_bp) / 10000 AS BIGINT),
               CAST(SUM(c.commission_minor) AS BIGINT)
        FROM credits c
        GROUP BY c.order_line_id, c.pool, c.party_id
        HAVING SUM(c.commission_minor) <> CAST(SUM(c.base_minor) AS BIGINT) * MAX(c.commission_bp) / 10000";
    by_query(tx, "what came back is credited to nobody", ALL, FAULTY).await
}

async fn payable(tx: &mut Tx) -> Result<Check, StoreError> {
    const ALL: &str = "SELECT COUNT(*) FROM refunds WHERE kind = 'refund' AND state <> 'succeeded'";
    const FAULTY: &str = "
        SELECT 'refunds payable', w.amount, b.amount
        FROM (SELECT CAST(COALESCE(SUM(amount_minor), 0) AS BIGINT) AS amount FROM refunds
              WHERE kind = 'refund' AND state <> 'succeeded') w
        CROSS JOIN (SELECT CAST(COALESCE(SUM(CASE WHEN credit = 'refunds_payable' THEN amount_minor
                                                  WHEN debit = 'refunds_payable' THEN -amount_minor ELSE 0 END), 0) AS BIGINT)
                           AS amount
                    FROM postings) b
        WHERE w.amount <> b.amount
        UNION ALL
        SELECT 'commission payable', w.amount, b.amount
        FROM (SELECT CAST(e.amount - d.amount AS BIGINT) AS amount
              FROM (SELECT COALESCE(SUM(c.commission_minor), 0) AS amount
                    FROM credits c
                    JOIN orders o ON o.id = c.order_id
                    JOIN purchases p ON p.id = o.purchase_id
                    WHERE p.state IN ('captured', 'fulfilled', 'refunded')) e
              CROSS JOIN (SELECT COALESCE(SUM(payable_minor - tax_minor), 0) AS amount
                          FROM statements
                          WHERE state = 'paid') d) w
        CROSS JOIN (SELECT CAST(COALESCE(SUM(CASE WHEN credit = 'commission_payable' THEN amount_minor
                                                  WHEN debit = 'commission_payable' THEN -amount_minor ELSE 0 END), 0) AS BIGINT)
                           AS amount
                    FROM postings) b
        WHERE w.amount <> b.amount";
    by_query(tx, "what is owed to buyers and livers is on its accounts", ALL, FAULTY).await
}
