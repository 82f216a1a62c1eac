//! Table: provider_entries: lines of the provider's books, each once, as the provider wrote them.
//!
//! A line is claimed by the purchase or refund that it is about; what nobody claims is a finding.

use super::{
    attempts,
    payment::{Entry, EntryKind},
};
use crate::{
    clock::Millis,
    ids::{PurchaseId, RefundId},
    on,
    store::{Kind, Rows, StoreError, Tx},
};

/// As stored.
fn kind(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Charge => "charge",
        EntryKind::Refund => "refund",
        EntryKind::RefundFailure => "refund_failure",
        EntryKind::Fee => "fee",
        EntryKind::Payout => "payout",
        EntryKind::Dispute => "dispute",
        EntryKind::Other => "other",
    }
}

/// Stores lines; those that are known change nothing.
pub(super) async fn keep(tx: &mut Tx, entries: &[Entry], now: Millis) -> Result<(), StoreError> {
    const KEEP: &str = "
        INSERT INTO provider_entries (id, kind, amount_minor, fee_minor, net_minor, source, intent, at_ms, read_at_ms)
        SELECT id, kind, amount_minor, fee_minor, net_minor, source, intent, at_ms, read_at_ms FROM rows WHERE true
        ON CONFLICT (id) DO NOTHING";
    let mut rows = Rows::new(&[
        ("id", Kind::Text),
        ("kind", Kind::Text),
        ("amount_minor", Kind::Number),
        ("fee_minor", Kind::Number),
        ("net_minor", Kind::Number),
        ("source", Kind::Text),
        ("intent", Kind::Text),
        ("at_ms", Kind::Number),
        ("read_at_ms", Kind::Number),
    ]);
    for entry in entries {
        rows.push([
            entry.id.as_str().into(),
            kind(entry.kind).into(),
            entry.amount_minor.into(),
            entry.fee_minor.into(),
            entry.net_minor.into(),
            entry.source.as_deref().into(),
            entry.intent.as_deref().into(),
            entry.at.into(),
            now.into(),
        ]);
    }
    rows.execute(tx, KEEP).await?;
    Ok(())
}

/// Notes what of ours a line is about.
pub(super) async fn claim(
    tx: &mut Tx,
    entry: &str,
    purchase: Option<&PurchaseId>,
    refund: Option<&RefundId>,
) -> Result<(), StoreError> {
    const CLAIM: &str = "UPDATE provider_entries SET purchase_id = $1, refund_id = $2 WHERE id = $3";
    on!(tx, |conn| sqlx::query(CLAIM).bind(purchase).bind(refund).bind(entry).execute(conn).await.map(drop)?);
    Ok(())
}

/// The purchase behind a payment of the provider, when it is one of ours.
pub(super) async fn purchase_of(tx: &mut Tx, intent: &str) -> Result<Option<PurchaseId>, StoreError> {
    Ok(attempts::find_by_intent(tx, intent).await?.map(|attempt| attempt.purchase_id))
}

/// What the provider owes us by its books: everything that it noted, less what it kept and paid out.
pub(super) async fn balance(tx: &mut Tx) -> Result<i64, StoreError> {
    const SUM: &str = "SELECT CAST(COALESCE(SUM(net_minor), 0) AS BIGINT) FROM provider_entries";
    let (sum,): (i64,) = on!(tx, |conn| sqlx::query_as(SUM).fetch_one(conn).await?);
    Ok(sum)
}

/// A line that nothing of ours has claimed yet.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct Unclaimed {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) source: Option<String>,
    pub(super) intent: Option<String>,
}

/// Lines about payments and refunds that nothing of ours has claimed, after this one.
pub(super) async fn unclaimed(tx: &mut Tx, after: &str, limit: i64) -> Result<Vec<Unclaimed>, StoreError> {
    const LIST: &str = "
        SELECT id, kind, source, intent
        FROM provider_entries
        WHERE id > $1
          AND ((kind IN ('charge', 'dispute') AND purchase_id IS NULL)
               OR (kind IN ('refund', 'refund_failure') AND refund_id IS NULL))
        ORDER BY id
        LIMIT $2";
    Ok(on!(tx, |conn| sqlx::query_as::<_, Unclaimed>(LIST).bind(after).bind(limit).fetch_all(conn).await?))
}
