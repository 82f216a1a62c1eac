//! Table: credits. Append-only; written in the transaction that settles the sale.

use std::collections::{BTreeSet, HashMap};

use super::{
    rule::{Credit, Line, RULE_VERSION, credits},
    touch::{self, NewTouch, TouchKind},
};
use crate::{
    clock::Millis,
    ids::{BrandId, CreditId, CustomerId, LiveId, OrderId, OrderLineId, ProductId, PurchaseId},
    money::Currency,
    store::{Kind, Rows, StoreError, Tx},
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
    const RATES: &str = "SELECT b.id, b.commission_bp FROM rows CROSS JOIN brands b WHERE b.id = rows.id";
    let brands: BTreeSet<&BrandId> = lines.iter().map(|line| &line.brand_id).collect();
    let mut rows = Rows::new(&[("id", Kind::Text)]);
    for brand in brands {
        rows.push([brand.into()]);
    }
    Ok(rows.fetch::<(BrandId, i32)>(tx, RATES).await?.into_iter().collect())
}

async fn insert(tx: &mut Tx, rows: &[(&SoldLine, Credit)], now: Millis) -> Result<(), StoreError> {
    const INSERT: &str = "
        INSERT INTO credits (id, kind, order_id, order_line_id, brand_id, live_id, pool, party_id, qty, base_minor, share_bp,
                             commission_bp, commission_minor, currency, rule, rule_version, evidence, at_ms)
        SELECT id, 'sale', order_id, order_line_id, brand_id, live_id, pool, party_id, qty, base_minor, share_bp,
               commission_bp, commission_minor, currency, rule, rule_version, evidence, at_ms
        FROM rows";
    let mut table = Rows::new(&[
        ("id", Kind::Text),
        ("order_id", Kind::Text),
        ("order_line_id", Kind::Text),
        ("brand_id", Kind::Text),
        ("live_id", Kind::Text),
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
        ("evidence", Kind::Text),
        ("at_ms", Kind::Number),
    ]);
    for (line, credit) in rows {
        let evidence = serde_json::json!({ "purchase": line.purchase_id, "touches": credit.evidence });
        table.push([
            String::from(CreditId::fresh()).into(),
            (&line.order_id).into(),
            (&line.line_id).into(),
            (&line.brand_id).into(),
            (&credit.live).into(),
            credit.pool.as_str().into(),
            credit.party.as_str().into(),
            line.qty.into(),
            credit.base_minor.into(),
            credit.share_bp.into(),
            credit.commission_bp.into(),
            credit.commission_minor.into(),
            line.currency.as_str().into(),
            credit.rule.into(),
            RULE_VERSION.into(),
            evidence.to_string().into(),
            now.into(),
        ]);
    }
    table.execute(tx, INSERT).await?;
    Ok(())
}
