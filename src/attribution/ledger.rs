//! Table: credits. Append-only; written in the transaction that settles the sale, or that gives it back.
//!
//! A reversal is a row of its own, with negative units and amounts and the refund as its cause, so every figure is a plain
//! sum over rows.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    reports,
    reversal::{Left, take_back},
    rule::{AllTerms, Channel, Credit, Line, Touch, credits},
    shown, terms,
    touch::{self, NewTouch, TouchKind},
};
use crate::{
    clock::Millis,
    ids::{
        BrandId, ContractId, CreditId, CustomerId, LiveId, LiverId, LocationId, OrderId, OrderLineId, ProductId,
        PurchaseId, RefundId, SkuId,
    },
    money::Currency,
    on,
    store::{Kind, Rows, StoreError, Tx},
    webhooks::{EventKind, News, announce},
};

/// A line that was just paid for.
#[derive(Debug, Clone)]
pub struct SoldLine {
    /// Its order.
    pub order_id: OrderId,
    /// The line.
    pub line_id: OrderLineId,
    /// Whose product it is.
    pub brand_id: BrandId,
    /// Where it was sold.
    pub channel: Channel,
    /// In which live, or its replay, it was bought.
    pub live_id: LiveId,
    /// By whom.
    pub customer_id: CustomerId,
    /// What.
    pub product_id: ProductId,
    /// What is counted.
    pub sku_id: SkuId,
    /// By which purchase.
    pub purchase_id: PurchaseId,
    /// Units.
    pub qty: i32,
    /// Tax included.
    pub amount_minor: i64,
    /// Of the amount.
    pub currency: Currency,
}

/// Writes the touches and the credits of lines that were just paid for.
///
/// # Errors
/// The database's; the caller's transaction is then rolled back with the sale.
pub async fn credit_sales(tx: &mut Tx, lines: &[SoldLine], now: Millis) -> Result<(), StoreError> {
    let bought: Vec<NewTouch> = lines.iter().filter_map(|line| own_touch(line, now)).collect();
    touch::insert(tx, &bought, now).await?;
    let wanted = lines.iter().map(|line| (&line.customer_id, now, &line.product_id)).collect();
    let mut touches: HashMap<(CustomerId, ProductId), Vec<Touch>> = HashMap::new();
    for ((customer, _, product), stored) in touch::before(tx, &wanted).await? {
        touches.insert((customer, product), stored.into_iter().map(|stored| stored.touch).collect());
    }
    let brands: BTreeSet<&BrandId> = lines.iter().map(|line| &line.brand_id).collect();
    let livers: BTreeSet<&LiverId> =
        touches.values().flatten().filter_map(|touch| touch.live.as_ref()).map(|(_, liver)| liver).collect();
    let terms: AllTerms = terms::of_sales(tx, &brands, &livers, now).await?;
    let shown = shown::of(tx, touches.values().flatten(), now).await?;
    let mut rows: Vec<Row> = Vec::with_capacity(lines.len());
    for line in lines {
        let key = (line.customer_id.clone(), line.product_id.clone());
        let of_customer = touches.get(&key).map_or(&[][..], Vec::as_slice);
        let asked = Line {
            channel: line.channel,
            bought_in: Some(&line.live_id),
            product: &line.product_id,
            shown_in: shown.get(&line.product_id).unwrap_or(shown::NOWHERE),
            coupon: None,
            amount_minor: line.amount_minor,
            paid_at: now,
        };
        let Some(terms) = terms.get(&line.brand_id) else { continue };
        rows.extend(credits(&asked, of_customer, terms).into_iter().map(|credit| sale(line, credit)));
    }
    insert(tx, &rows, now).await
}

/// A purchase in a live, or in a replay, is why its customer came.
fn own_touch(line: &SoldLine, now: Millis) -> Option<NewTouch> {
    let kind = match line.channel {
        Channel::Live => TouchKind::LivePurchase,
        Channel::Replay => TouchKind::ReplayPurchase,
        Channel::Shop | Channel::Store => return None,
    };
    Some(NewTouch {
        customer: line.customer_id.clone(),
        live: Some(line.live_id.clone()),
        kind,
        product: Some(line.product_id.clone()),
        code: None,
        campaign: None,
        at: now,
    })
}

/// A row of the ledger.
struct Row {
    kind: &'static str,
    cause: String,
    order: OrderId,
    line: OrderLineId,
    brand: BrandId,
    live: Option<LiveId>,
    product: ProductId,
    sku: SkuId,
    customer: CustomerId,
    channel: Channel,
    location: Option<LocationId>,
    campaign: Option<String>,
    pool: &'static str,
    party: String,
    qty: i64,
    base_minor: i64,
    share_bp: i32,
    commission_bp: i32,
    commission_minor: i64,
    currency: Currency,
    rule: String,
    rule_version: i32,
    contract: Option<(ContractId, i32)>,
    evidence: String,
}

fn sale(line: &SoldLine, credit: Credit) -> Row {
    let evidence = serde_json::json!({
        "purchase": line.purchase_id, "touches": credit.evidence, "considered": credit.considered,
    });
    Row {
        kind: "sale",
        cause: String::new(),
        order: line.order_id.clone(),
        line: line.line_id.clone(),
        brand: line.brand_id.clone(),
        live: credit.live,
        product: line.product_id.clone(),
        sku: line.sku_id.clone(),
        customer: line.customer_id.clone(),
        channel: line.channel,
        location: credit.location,
        campaign: credit.campaign,
        pool: credit.pool.as_str(),
        party: credit.party,
        qty: line.qty.into(),
        base_minor: credit.base_minor,
        share_bp: credit.share_bp,
        commission_bp: credit.commission_bp,
        commission_minor: credit.commission_minor,
        currency: line.currency,
        rule: credit.rule.as_str().to_owned(),
        rule_version: credit.rule_version,
        contract: credit.contract,
        evidence: evidence.to_string(),
    }
}

impl Row {
    /// What the brand's systems are told of it: the line as a file of the ledger has it, without whoever bought.
    fn news(&self, id: &CreditId, now: Millis) -> News {
        let data = serde_json::json!({
            "credit_id": id, "at_ms": now, "kind": self.kind, "order_id": self.order, "order_line_id": self.line,
            "brand_id": self.brand, "live_id": self.live, "pool": self.pool, "party_id": self.party,
            "product_id": self.product, "sku_id": self.sku, "channel": self.channel.as_str(),
            "location_id": self.location, "campaign": self.campaign, "qty": self.qty, "base_minor": self.base_minor,
            "share_bp": self.share_bp, "commission_bp": self.commission_bp, "commission_minor": self.commission_minor,
            "currency": self.currency, "rule": self.rule, "rule_version": self.rule_version,
            "contract_id": self.contract.as_ref().map(|(contract, _)| contract),
            "contract_version": self.contract.as_ref().map(|(_, version)| version),
        });
        News { brand: self.brand.clone(), subject: id.to_string(), data }
    }
}

async fn insert(tx: &mut Tx, rows: &[Row], now: Millis) -> Result<(), StoreError> {
    const INSERT: &str = "
        INSERT INTO credits (id, kind, cause_id, order_id, order_line_id, brand_id, live_id, product_id, sku_id,
                             customer_id, channel, location_id, campaign, pool, party_id, qty, base_minor, share_bp,
                             commission_bp, commission_minor, currency, rule, rule_version, contract_id, contract_version,
                             evidence, at_ms)
        SELECT id, kind, cause_id, order_id, order_line_id, brand_id, live_id, product_id, sku_id, customer_id, channel,
               location_id, campaign, pool, party_id, qty, base_minor, share_bp, commission_bp, commission_minor, currency,
               rule, rule_version, contract_id, contract_version, evidence, at_ms
        FROM rows";
    let mut table = Rows::new(&[
        ("id", Kind::Text),
        ("kind", Kind::Text),
        ("cause_id", Kind::Text),
        ("order_id", Kind::Text),
        ("order_line_id", Kind::Text),
        ("brand_id", Kind::Text),
        ("live_id", Kind::Text),
        ("product_id", Kind::Text),
        ("sku_id", Kind::Text),
        ("customer_id", Kind::Text),
        ("channel", Kind::Text),
        ("location_id", Kind::Text),
        ("campaign", Kind::Text),
        ("pool", Kind::Text),
        ("party_id", Kind::Text),
        ("qty", Kind::Number),
        ("base_minor", Kind::Number),
        ("share_bp", Kind::Number),
        ("commission_bp", Kind::Number),
        ("commission_minor", Kind::Number),
        ("currency", Kind::Text),
        ("rule", Kind::Text),
        ("rule_version", Kind::Number),
        ("contract_id", Kind::Text),
        ("contract_version", Kind::Number),
        ("evidence", Kind::Text),
        ("at_ms", Kind::Number),
    ]);
    let ids: Vec<CreditId> = rows.iter().map(|_| CreditId::fresh()).collect();
    for (row, id) in rows.iter().zip(&ids) {
        table.push([
            id.into(),
            row.kind.into(),
            row.cause.as_str().into(),
            (&row.order).into(),
            (&row.line).into(),
            (&row.brand).into(),
            row.live.as_ref().into(),
            (&row.product).into(),
            (&row.sku).into(),
            (&row.customer).into(),
            row.channel.as_str().into(),
            row.location.as_ref().into(),
            row.campaign.as_deref().into(),
            row.pool.into(),
            row.party.as_str().into(),
            row.qty.into(),
            row.base_minor.into(),
            row.share_bp.into(),
            row.commission_bp.into(),
            row.commission_minor.into(),
            row.currency.as_str().into(),
            row.rule.as_str().into(),
            row.rule_version.into(),
            row.contract.as_ref().map(|(contract, _)| contract).into(),
            row.contract.as_ref().map(|(_, version)| i64::from(*version)).into(),
            row.evidence.as_str().into(),
            now.into(),
        ]);
    }
    table.execute(tx, INSERT).await?;
    let written = rows.iter().map(|row| (row.order.as_str(), row.cause.as_str())).collect();
    reports::enqueue(tx, &written).await?;
    let brands: BTreeSet<&BrandId> = rows.iter().map(|row| &row.brand).collect();
    let news = |listening: &[BrandId]| {
        let told = rows.iter().zip(&ids).filter(|(row, _)| listening.contains(&row.brand));
        told.map(|(row, id)| row.news(id, now)).collect()
    };
    announce(tx, EventKind::CreditCreated, brands.into_iter(), now, news).await
}

/// A part of a line that comes back, or will not be had.
#[derive(Debug, Clone)]
pub struct ReturnedLine {
    /// The line.
    pub line_id: OrderLineId,
    /// Units.
    pub qty: i64,
    /// What is given back for them.
    pub amount_minor: i64,
    /// What was left of the line before.
    pub left_minor: i64,
}

#[derive(sqlx::FromRow)]
struct Credited {
    order_line_id: OrderLineId,
    brand_id: BrandId,
    live_id: Option<LiveId>,
    product_id: ProductId,
    sku_id: SkuId,
    customer_id: CustomerId,
    channel: Channel,
    location_id: Option<LocationId>,
    campaign: Option<String>,
    pool: String,
    party_id: String,
    share_bp: i32,
    commission_bp: i32,
    currency: Currency,
    rule: String,
    rule_version: i32,
    contract_id: Option<ContractId>,
    contract_version: Option<i32>,
    base_minor: i64,
    commission_minor: i64,
}

/// Takes back the credits of what comes back of an order. Gives what livers and staff do not earn after all, by brand.
///
/// # Errors
/// The database's.
pub async fn reverse(
    tx: &mut Tx,
    order: &OrderId,
    refund: &RefundId,
    returned: &[ReturnedLine],
    now: Millis,
) -> Result<BTreeMap<BrandId, i64>, StoreError> {
    // What each party still has: the sale, less what was taken back before.
    const LEFT: &str = "
        SELECT c.order_line_id, c.brand_id, c.live_id, c.product_id, c.sku_id, c.customer_id, c.channel, c.location_id,
               c.campaign, c.pool, c.party_id, c.share_bp, c.commission_bp, c.currency, c.rule, c.rule_version,
               c.contract_id, c.contract_version, s.base_minor, s.commission_minor
        FROM credits c
        JOIN (SELECT order_line_id, pool, party_id, CAST(SUM(base_minor) AS BIGINT) AS base_minor,
                     CAST(SUM(commission_minor) AS BIGINT) AS commission_minor
              FROM credits
              WHERE order_id = $1
              GROUP BY order_line_id, pool, party_id) s
          ON s.order_line_id = c.order_line_id AND s.pool = c.pool AND s.party_id = c.party_id
        WHERE c.order_id = $1 AND c.kind = 'sale'
        ORDER BY c.order_line_id, c.pool, c.party_id";
    let credited = on!(tx, |conn| sqlx::query_as::<_, Credited>(LEFT).bind(order).fetch_all(conn).await?);
    let (mut rows, mut by_brand) = (Vec::new(), BTreeMap::new());
    for back in returned {
        for pool in ["liver", "staff"] {
            let parties: Vec<&Credited> =
                credited.iter().filter(|c| c.order_line_id == back.line_id && c.pool == pool).collect();
            let left = |party: &&Credited| Left {
                base_minor: party.base_minor,
                commission_minor: party.commission_minor,
                commission_bp: party.commission_bp,
            };
            let left: Vec<Left> = parties.iter().map(left).collect();
            for (party, (base, commission)) in
                parties.into_iter().zip(take_back(&left, back.left_minor, back.amount_minor))
            {
                *by_brand.entry(party.brand_id.clone()).or_default() += commission;
                rows.push(Row {
                    kind: "reversal",
                    cause: refund.to_string(),
                    order: order.clone(),
                    line: back.line_id.clone(),
                    brand: party.brand_id.clone(),
                    live: party.live_id.clone(),
                    product: party.product_id.clone(),
                    sku: party.sku_id.clone(),
                    customer: party.customer_id.clone(),
                    channel: party.channel,
                    location: party.location_id.clone(),
                    campaign: party.campaign.clone(),
                    pool,
                    party: party.party_id.clone(),
                    qty: -back.qty,
                    base_minor: -base,
                    share_bp: party.share_bp,
                    commission_bp: party.commission_bp,
                    commission_minor: -commission,
                    currency: party.currency,
                    rule: party.rule.clone(),
                    rule_version: party.rule_version,
                    contract: party.contract_id.clone().zip(party.contract_version),
                    evidence: serde_json::json!({ "refund": refund }).to_string(),
                });
            }
        }
    }
    insert(tx, &rows, now).await?;
    Ok(by_brand)
}

/// What livers and staff earn of these orders as they stand, by brand.
///
/// # Errors
/// The database's.
pub async fn commissions(
    tx: &mut Tx,
    orders: &BTreeSet<&OrderId>,
) -> Result<HashMap<OrderId, BTreeMap<BrandId, i64>>, StoreError> {
    const SUMS: &str = "
        SELECT c.order_id, c.brand_id, CAST(SUM(c.commission_minor) AS BIGINT)
        FROM rows CROSS JOIN credits c
        WHERE c.order_id = rows.id
        GROUP BY c.order_id, c.brand_id";
    let mut rows = Rows::new(&[("id", Kind::Text)]);
    for order in orders {
        rows.push([(*order).into()]);
    }
    let mut found: HashMap<OrderId, BTreeMap<BrandId, i64>> = HashMap::new();
    for (order, brand, sum) in rows.fetch::<(OrderId, BrandId, i64)>(tx, SUMS).await? {
        found.entry(order).or_default().insert(brand, sum);
    }
    Ok(found)
}
