//! Table: credits. Append-only; written in the transaction that settles the sale.

use std::collections::{BTreeSet, HashMap};

use sqlx::QueryBuilder;

use super::{
    rule::{Credit, Line, RULE_VERSION, credits},
    touch::{self, NewTouch, TouchKind},
};
use crate::{
    clock::Millis,
    ids::{BrandId, CreditId, CustomerId, LiveId, OrderId, OrderLineId, ProductId, PurchaseId},
    money::Currency,
    on,
    store::{StoreError, Tx},
};

/// Rows of one statement.
const BULK_ROWS: usize = 500;

/// A line that was just paid for.
#[derive(Debug, Clone)]
pub struct SoldLine {
    /// Its order.
    pub order_id: OrderId,
    /// The line.
    pub line_id: OrderLineId,
    /// Whose product it is.
    pub brand_id: BrandId,
    /// In which live it was bought.
    pub live_id: LiveId,
    /// By whom.
    pub customer_id: CustomerId,
    /// What.
    pub product_id: ProductId,
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
    let bought: Vec<NewTouch> = lines
        .iter()
        .map(|line| NewTouch {
            customer: line.customer_id.clone(),
            live: line.live_id.clone(),
            kind: TouchKind::LivePurchase,
            product: Some(line.product_id.clone()),
            at: now,
        })
        .collect();
    touch::insert(tx, &bought).await?;
    let customers: BTreeSet<CustomerId> = lines.iter().map(|line| line.customer_id.clone()).collect();
    let touches = touch::of_customers(tx, &customers.into_iter().collect::<Vec<_>>(), now).await?;
    let rates = commission_rates(tx, lines).await?;
    let mut rows: Vec<(&SoldLine, Credit)> = Vec::with_capacity(lines.len());
    for line in lines {
        let of_customer = touches.get(&line.customer_id).map_or(&[][..], Vec::as_slice);
        let asked = Line {
            bought_in: &line.live_id,
            product: &line.product_id,
            amount_minor: line.amount_minor,
            commission_bp: rates.get(&line.brand_id).copied().unwrap_or(0),
            paid_at: now,
        };
        rows.extend(credits(&asked, of_customer).into_iter().map(|credit| (line, credit)));
    }
    insert(tx, &rows, now).await
}

async fn commission_rates(tx: &mut Tx, lines: &[SoldLine]) -> Result<HashMap<BrandId, i32>, StoreError> {
    let brands: BTreeSet<&BrandId> = lines.iter().map(|line| &line.brand_id).collect();
    let rows: Vec<(BrandId, i32)> = on!(tx, |conn| {
        let mut query = QueryBuilder::new("SELECT id, commission_bp FROM brands WHERE id IN (");
        let mut ids = query.separated(", ");
        for brand in &brands {
            ids.push_bind(*brand);
        }
        query.push(")");
        query.build_query_as().persistent(false).fetch_all(conn).await?
    });
    Ok(rows.into_iter().collect())
}

async fn insert(tx: &mut Tx, rows: &[(&SoldLine, Credit)], now: Millis) -> Result<(), StoreError> {
    for chunk in rows.chunks(BULK_ROWS) {
        on!(tx, |conn| {
            let mut query = QueryBuilder::new(
                "INSERT INTO credits (id, kind, order_id, order_line_id, brand_id, live_id, pool, party_id, qty, base_minor, \
                 share_bp, commission_bp, commission_minor, currency, rule, rule_version, evidence, at_ms) ",
            );
            query.push_values(chunk, |mut row, (line, credit)| {
                let evidence = serde_json::json!({ "purchase": line.purchase_id, "touches": credit.evidence });
                row.push_bind(CreditId::fresh())
                    .push_bind("sale")
                    .push_bind(&line.order_id)
                    .push_bind(&line.line_id)
                    .push_bind(&line.brand_id)
                    .push_bind(&credit.live)
                    .push_bind(credit.pool.as_str())
                    .push_bind(&credit.party)
                    .push_bind(line.qty)
                    .push_bind(credit.base_minor)
                    .push_bind(credit.share_bp)
                    .push_bind(credit.commission_bp)
                    .push_bind(credit.commission_minor)
                    .push_bind(line.currency)
                    .push_bind(credit.rule)
                    .push_bind(RULE_VERSION)
                    .push_bind(evidence.to_string())
                    .push_bind(now);
            });
            query.build().persistent(false).execute(conn).await.map(drop)
        })?;
    }
    Ok(())
}
