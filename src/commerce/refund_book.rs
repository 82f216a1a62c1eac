//! Table: refunds, refund_lines.
//!
//! A refund is written in the sequencer's transaction that gives the goods back; what the provider says of it later is
//! written here by one statement that also says what it must have been before, so that a word counts once.

use std::collections::HashMap;

use serde::Serialize;
use sqlx::FromRow;

use super::{
    refund::{Goods, RefundKind, RefundState},
    tax::TaxLine,
};
use crate::{
    clock::Millis,
    ids::{AccountId, OrderId, OrderLineId, PurchaseId, RefundId},
    money::Currency,
    on,
    store::{Kind, Rows, StoreError, Tx},
};

/// Money given back, or not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Refund {
    /// Its id.
    pub id: RefundId,
    /// Of which order.
    pub order_id: OrderId,
    /// `failed`: the operator tries again.
    pub state: RefundState,
    /// `void`: before the money was taken; nothing is paid back, less was or will be taken.
    pub kind: RefundKind,
    /// Tax included.
    pub amount_minor: i64,
    /// Of the amounts.
    pub currency: Currency,
    /// Which units.
    pub lines: Vec<RefundLine>,
    /// What the credit notes say, by rate; none for a `void`, which has no invoice to take back from.
    pub tax: Vec<TaxLine>,
    /// Whether the units can be sold again.
    pub restocked: bool,
    /// Why.
    pub reason: String,
    /// When it was written.
    pub created_at_ms: Millis,
    /// When the provider said its last word.
    pub settled_at_ms: Option<Millis>,
    /// Why it failed: the provider's code.
    pub failure: Option<String>,
    #[serde(skip)]
    pub(super) purchase_id: PurchaseId,
    #[serde(skip)]
    pub(super) key: String,
    #[serde(skip)]
    pub(super) body_hash: String,
    #[serde(skip)]
    pub(super) goods: Goods,
    #[serde(skip)]
    pub(super) by: AccountId,
    #[serde(skip)]
    pub(super) provider_ref: Option<String>,
    #[serde(skip)]
    pub(super) tries: i32,
    #[serde(skip)]
    pub(super) tried_at_ms: Millis,
    #[serde(skip)]
    pub(super) asks: i32,
    #[serde(skip)]
    pub(super) ask_at_ms: Millis,
}

impl Refund {
    /// Under which the provider is asked: the same try has the same answer.
    pub(super) fn provider_key(&self) -> String {
        match self.tries {
            1 => format!("refund:{}", self.id),
            n => format!("refund:{}:{n}", self.id),
        }
    }
}

/// Units of one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct RefundLine {
    /// Which line.
    pub order_line_id: OrderLineId,
    /// How many units.
    pub qty: i64,
    /// Tax included.
    pub amount_minor: i64,
}

#[derive(FromRow)]
struct Row {
    id: RefundId,
    order_id: OrderId,
    purchase_id: PurchaseId,
    key: String,
    body_hash: String,
    kind: RefundKind,
    state: RefundState,
    amount_minor: i64,
    currency: Currency,
    goods: Goods,
    reason: String,
    by_account_id: AccountId,
    created_at_ms: Millis,
    settled_at_ms: Option<Millis>,
    failure: Option<String>,
    provider_ref: Option<String>,
    tries: i32,
    tried_at_ms: Millis,
    asks: i32,
    ask_at_ms: Millis,
}

macro_rules! refund_columns {
    () => {
        "SELECT f.id, f.order_id, f.purchase_id, f.key, f.body_hash, f.kind, f.state, f.amount_minor, f.currency, \
         f.goods, f.reason, f.by_account_id, f.created_at_ms, f.settled_at_ms, f.failure, f.provider_ref, f.tries, \
         f.tried_at_ms, f.asks, f.ask_at_ms "
    };
}

async fn whole(tx: &mut Tx, rows: Vec<Row>) -> Result<Vec<Refund>, StoreError> {
    const LINES: &str = "
        SELECT l.refund_id, l.order_line_id, CAST(l.qty AS BIGINT), l.amount_minor
        FROM rows CROSS JOIN refund_lines l
        WHERE l.refund_id = rows.id";
    let mut ids = Rows::new(&[("id", Kind::Text)]);
    for row in &rows {
        ids.push([(&row.id).into()]);
    }
    let mut lines: HashMap<RefundId, Vec<RefundLine>> = HashMap::new();
    for (refund, order_line_id, qty, amount_minor) in ids.fetch::<(RefundId, OrderLineId, i64, i64)>(tx, LINES).await? {
        lines.entry(refund).or_default().push(RefundLine { order_line_id, qty, amount_minor });
    }
    let mut taxes = super::invoices::of_refunds(tx, &ids).await?;
    let refund = |row: Row| {
        let mut lines = lines.remove(&row.id).unwrap_or_default();
        lines.sort_by(|a, b| a.order_line_id.cmp(&b.order_line_id));
        Refund {
            tax: taxes.remove(&row.id).unwrap_or_default(),
            id: row.id,
            order_id: row.order_id,
            state: row.state,
            kind: row.kind,
            amount_minor: row.amount_minor,
            currency: row.currency,
            lines,
            restocked: row.goods != Goods::Gone,
            reason: row.reason,
            created_at_ms: row.created_at_ms,
            settled_at_ms: row.settled_at_ms,
            failure: row.failure,
            purchase_id: row.purchase_id,
            key: row.key,
            body_hash: row.body_hash,
            goods: row.goods,
            by: row.by_account_id,
            provider_ref: row.provider_ref,
            tries: row.tries,
            tried_at_ms: row.tried_at_ms,
            asks: row.asks,
            ask_at_ms: row.ask_at_ms,
        }
    };
    Ok(rows.into_iter().map(refund).collect())
}

/// A refund by its id.
pub(super) async fn find(tx: &mut Tx, id: &RefundId) -> Result<Option<Refund>, StoreError> {
    const FIND: &str = concat!(refund_columns!(), "FROM refunds f WHERE f.id = $1");
    let rows = on!(tx, |conn| sqlx::query_as::<_, Row>(FIND).bind(id).fetch_all(conn).await?);
    Ok(whole(tx, rows).await?.pop())
}

/// A refund by the return's name within its order.
pub(super) async fn find_by_key(tx: &mut Tx, order: &OrderId, key: &str) -> Result<Option<Refund>, StoreError> {
    const FIND: &str = concat!(refund_columns!(), "FROM refunds f WHERE f.order_id = $1 AND f.key = $2");
    let rows = on!(tx, |conn| sqlx::query_as::<_, Row>(FIND).bind(order).bind(key).fetch_all(conn).await?);
    Ok(whole(tx, rows).await?.pop())
}

/// A refund by what the provider calls it.
pub(super) async fn find_by_provider_ref(tx: &mut Tx, name: &str) -> Result<Option<Refund>, StoreError> {
    const FIND: &str = concat!(refund_columns!(), "FROM refunds f WHERE f.provider_ref = $1");
    let rows = on!(tx, |conn| sqlx::query_as::<_, Row>(FIND).bind(name).fetch_all(conn).await?);
    Ok(whole(tx, rows).await?.pop())
}

/// Everything that was given back of an order, oldest first.
pub(super) async fn of_order(tx: &mut Tx, order: &OrderId) -> Result<Vec<Refund>, StoreError> {
    const LIST: &str = concat!(refund_columns!(), "FROM refunds f WHERE f.order_id = $1 ORDER BY f.id");
    let rows = on!(tx, |conn| sqlx::query_as::<_, Row>(LIST).bind(order).fetch_all(conn).await?);
    whole(tx, rows).await
}

/// Refunds without a last word that are to be asked about now.
pub(super) async fn due(tx: &mut Tx, now: Millis, limit: i64) -> Result<Vec<Refund>, StoreError> {
    const LIST: &str = concat!(
        refund_columns!(),
        "FROM refunds f WHERE f.state = 'pending' AND f.ask_at_ms <= $1 ORDER BY f.ask_at_ms LIMIT $2"
    );
    let rows = on!(tx, |conn| sqlx::query_as::<_, Row>(LIST).bind(now).bind(limit).fetch_all(conn).await?);
    whole(tx, rows).await
}

/// Writes a new refund and its lines.
pub(super) async fn insert(tx: &mut Tx, refund: &Refund) -> Result<(), StoreError> {
    const INSERT: &str = "
        INSERT INTO refunds (id, order_id, purchase_id, key, body_hash, kind, state, amount_minor, currency, goods, reason,
                             by_account_id, created_at_ms, settled_at_ms, tries, tried_at_ms, asks, ask_at_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)";
    const LINES: &str = "
        INSERT INTO refund_lines (refund_id, order_line_id, qty, amount_minor)
        SELECT refund_id, order_line_id, qty, amount_minor FROM rows";
    on!(tx, |conn| sqlx::query(INSERT)
        .bind(&refund.id)
        .bind(&refund.order_id)
        .bind(&refund.purchase_id)
        .bind(&refund.key)
        .bind(&refund.body_hash)
        .bind(refund.kind)
        .bind(refund.state)
        .bind(refund.amount_minor)
        .bind(refund.currency)
        .bind(refund.goods)
        .bind(&refund.reason)
        .bind(&refund.by)
        .bind(refund.created_at_ms)
        .bind(refund.settled_at_ms)
        .bind(refund.tries)
        .bind(refund.tried_at_ms)
        .bind(refund.asks)
        .bind(refund.ask_at_ms)
        .execute(conn)
        .await
        .map(drop)?);
    let mut rows = Rows::new(&[
        ("refund_id", Kind::Text),
        ("order_line_id", Kind::Text),
        ("qty", Kind::Number),
        ("amount_minor", Kind::Number),
    ]);
    for line in &refund.lines {
        rows.push([(&refund.id).into(), (&line.order_line_id).into(), line.qty.into(), line.amount_minor.into()]);
    }
    rows.execute(tx, LINES).await?;
    Ok(())
}

/// Takes a turn at asking about a refund: whether it is ours (nobody else took it meanwhile).
pub(super) async fn claim(tx: &mut Tx, refund: &Refund, next: Millis) -> Result<bool, StoreError> {
    const CLAIM: &str = "
        UPDATE refunds SET asks = asks + 1, ask_at_ms = $1
        WHERE id = $2 AND state = 'pending' AND tries = $3 AND asks = $4";
    let claimed = on!(tx, |conn| sqlx::query(CLAIM)
        .bind(next)
        .bind(&refund.id)
        .bind(refund.tries)
        .bind(refund.asks)
        .execute(conn)
        .await?
        .rows_affected());
    Ok(claimed == 1)
}

/// What the provider calls the newest try.
pub(super) async fn note_provider_ref(tx: &mut Tx, refund: &Refund, name: &str) -> Result<(), StoreError> {
    const NOTE: &str = "UPDATE refunds SET provider_ref = $1 WHERE id = $2 AND tries = $3";
    on!(tx, |conn| sqlx::query(NOTE).bind(name).bind(&refund.id).bind(refund.tries).execute(conn).await.map(drop)?);
    Ok(())
}

/// Moves a refund on; whether it was still where `refund` says.
pub(super) async fn advance(
    tx: &mut Tx,
    refund: &Refund,
    to: RefundState,
    failure: Option<&str>,
    now: Millis,
) -> Result<bool, StoreError> {
    const ADVANCE: &str = "
        UPDATE refunds SET state = $1, failure = $2, settled_at_ms = $3
        WHERE id = $4 AND tries = $5 AND state = $6";
    let moved = on!(tx, |conn| sqlx::query(ADVANCE)
        .bind(to)
        .bind(failure)
        .bind(now)
        .bind(&refund.id)
        .bind(refund.tries)
        .bind(refund.state)
        .execute(conn)
        .await?
        .rows_affected());
    Ok(moved == 1)
}

/// Begins a new try, under a key of its own; whether the refund was still where `refund` says.
pub(super) async fn try_anew(tx: &mut Tx, refund: &Refund, now: Millis) -> Result<bool, StoreError> {
    const ANEW: &str = "
        UPDATE refunds SET state = 'pending', failure = NULL, settled_at_ms = NULL, provider_ref = NULL, tries = tries + 1,
            tried_at_ms = $1, asks = 0, ask_at_ms = $1
        WHERE id = $2 AND tries = $3 AND state = $4";
    let moved = on!(tx, |conn| sqlx::query(ANEW)
        .bind(now)
        .bind(&refund.id)
        .bind(refund.tries)
        .bind(refund.state)
        .execute(conn)
        .await?
        .rows_affected());
    Ok(moved == 1)
}
