//! Table: postings: the money ledger. Append-only.
//!
//! A row is a pair ([`super::transfers`]): debits equal credits in each row, so at every commit. A cause that is posted
//! twice is posted once, by the unique name of its rows.

use std::collections::BTreeMap;

use serde::Serialize;

use super::transfers::{Account, Transfer};
use crate::{
    clock::Millis,
    ids::PostingId,
    money::Currency,
    on,
    store::{Kind, Rows, StoreError, Tx},
};

/// Writes transfers; those whose cause is posted already change nothing.
pub(super) async fn post(tx: &mut Tx, transfers: &[Transfer], now: Millis) -> Result<(), StoreError> {
    const POST: &str = "
        INSERT INTO postings (id, kind, ref, n, debit, credit, amount_minor, currency, tax_rate_bp, brand_id, order_id,
                              purchase_id, refund_id, entry_id, at_ms, demo)
        SELECT id, kind, ref, n, debit, credit, amount_minor, currency, tax_rate_bp, brand_id, order_id,
               purchase_id, refund_id, entry_id, at_ms, demo
        FROM rows
        WHERE true
        ON CONFLICT (kind, ref, n) DO NOTHING";
    let mut rows = Rows::new(&[
        ("id", Kind::Text),
        ("kind", Kind::Text),
        ("ref", Kind::Text),
        ("n", Kind::Number),
        ("debit", Kind::Text),
        ("credit", Kind::Text),
        ("amount_minor", Kind::Number),
        ("currency", Kind::Text),
        ("tax_rate_bp", Kind::Number),
        ("brand_id", Kind::Text),
        ("order_id", Kind::Text),
        ("purchase_id", Kind::Text),
        ("refund_id", Kind::Text),
        ("entry_id", Kind::Text),
        ("at_ms", Kind::Number),
        ("demo", Kind::Flag),
    ]);
    for transfer in transfers {
        rows.push([
            String::from(PostingId::fresh()).into(),
            transfer.cause.as_str().into(),
            transfer.name.as_str().into(),
            transfer.n.into(),
            transfer.debit.as_str().into(),
            transfer.credit.as_str().into(),
            transfer.amount_minor.into(),
            Currency::Jpy.as_str().into(),
            transfer.rate_bp.map(i64::from).into(),
            transfer.brand.as_ref().into(),
            transfer.about.order.as_ref().into(),
            transfer.about.purchase.as_ref().into(),
            transfer.about.refund.as_ref().into(),
            transfer.about.entry.as_deref().into(),
            now.into(),
            transfer.about.demo.into(),
        ]);
    }
    rows.execute(tx, POST).await?;
    Ok(())
}

/// What an account holds.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Balance {
    /// Its name.
    pub account: &'static str,
    /// Everything to its debit.
    pub debit_minor: i64,
    /// Everything to its credit.
    pub credit_minor: i64,
    /// Debits less credits.
    pub balance_minor: i64,
}

/// What every account holds.
pub(super) async fn balances(tx: &mut Tx) -> Result<Vec<Balance>, StoreError> {
    const DEBITS: &str = "SELECT debit, CAST(SUM(amount_minor) AS BIGINT) FROM postings GROUP BY debit";
    const CREDITS: &str = "SELECT credit, CAST(SUM(amount_minor) AS BIGINT) FROM postings GROUP BY credit";
    let debits: Vec<(Account, i64)> = on!(tx, |conn| sqlx::query_as(DEBITS).fetch_all(conn).await?);
    let credits: Vec<(Account, i64)> = on!(tx, |conn| sqlx::query_as(CREDITS).fetch_all(conn).await?);
    let (debits, credits): (BTreeMap<_, _>, BTreeMap<_, _>) =
        (debits.into_iter().collect(), credits.into_iter().collect());
    let of = |sums: &BTreeMap<Account, i64>, account| sums.get(&account).copied().unwrap_or(0);
    Ok(Account::ALL
        .iter()
        .map(|account| {
            let (debit_minor, credit_minor) = (of(&debits, *account), of(&credits, *account));
            Balance { account: account.as_str(), debit_minor, credit_minor, balance_minor: debit_minor - credit_minor }
        })
        .collect())
}
