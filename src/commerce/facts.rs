//! Table: stock_facts: what tills, counts and goods-in said, each once.
//!
//! A fact is a list of moves at one location under its caller's key. Its id names the ledger entries it caused.
//! Written inside the sequencer's transactions.

use serde::{Deserialize, Serialize};

use super::stock::Move;
use crate::{
    clock::Millis,
    ids::{AccountId, FactId, LocationId, OrderId, PurchaseId, SkuId},
    store::{Kind, Rows, StoreError, Tx},
};

/// What kind of fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactClass {
    /// Goods came, went or were found.
    Adjustment,
    /// Sold over the counter or in another shop.
    Sale,
    /// Somebody counted.
    Count,
}

impl FactClass {
    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Adjustment => "adjustment",
            Self::Sale => "sale",
            Self::Count => "count",
        }
    }
}

/// A physical fact.
#[derive(Debug, Clone)]
pub struct StockFact {
    /// Who says so.
    pub account: AccountId,
    /// The same fact under the same key counts once.
    pub key: String,
    /// Digest of what was said: another fact under the same key is refused.
    pub body_hash: String,
    /// Where.
    pub location: LocationId,
    /// What kind.
    pub kind: FactClass,
    /// What happened to which SKU.
    pub moves: Vec<(SkuId, Move)>,
}

/// Units that a location keeps for its counter.
#[derive(Debug, Clone)]
pub struct SafetyChange {
    /// Of what.
    pub sku: SkuId,
    /// Where.
    pub location: LocationId,
    /// How many, not negative.
    pub safety: i64,
}

/// A shelf after a fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ShelfAfter {
    /// Of what.
    pub sku_id: SkuId,
    /// Units that are there.
    pub on_hand: i64,
    /// Of those, promised.
    pub held: i64,
    /// Units that can be bought online, over all locations.
    pub available: i64,
    /// Grows with every change.
    pub stock_version: i64,
    /// Units that left although the books did not know of them; they were written up first.
    pub found: i64,
}

/// The one answer to a fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FactAnswer {
    /// Names its entries in the ledger.
    pub id: FactId,
    /// Where.
    pub location_id: LocationId,
    /// The shelves after it, in the order of the moves.
    pub lines: Vec<ShelfAfter>,
    /// Unpaid purchases that were called off because their goods are gone.
    pub broken: Vec<PurchaseId>,
    /// Paid orders whose goods are gone and stand nowhere else.
    pub short: Vec<OrderId>,
}

#[derive(sqlx::FromRow)]
struct Known {
    account_id: AccountId,
    key: String,
    body_hash: String,
    answer: String,
}

/// A fact that was recorded before.
#[derive(Debug, Clone)]
pub(super) struct Recorded {
    pub(super) account: AccountId,
    pub(super) key: String,
    pub(super) body_hash: String,
    pub(super) answer: FactAnswer,
}

/// Which of these facts were recorded before.
pub(super) async fn find(tx: &mut Tx, facts: &[&StockFact]) -> Result<Vec<Recorded>, StoreError> {
    const FIND: &str = "
        SELECT f.account_id, f.key, f.body_hash, f.answer
        FROM rows CROSS JOIN stock_facts f
        WHERE f.account_id = rows.account_id AND f.key = rows.key";
    let mut rows = Rows::new(&[("account_id", Kind::Text), ("key", Kind::Text)]);
    for fact in facts {
        rows.push([(&fact.account).into(), fact.key.as_str().into()]);
    }
    let found: Vec<Known> = rows.fetch(tx, FIND).await?;
    Ok(found
        .into_iter()
        .map(|known| Recorded {
            account: known.account_id,
            key: known.key,
            body_hash: known.body_hash,
            answer: serde_json::from_str(&known.answer).expect("we wrote this JSON ourselves"),
        })
        .collect())
}

/// Writes facts; how many were new under their keys.
pub(super) async fn insert(tx: &mut Tx, facts: &[(&StockFact, &FactAnswer)], now: Millis) -> Result<u64, StoreError> {
    const INSERT: &str = "
        INSERT INTO stock_facts (id, account_id, key, body_hash, kind, location_id, answer, at_ms)
        SELECT id, account_id, key, body_hash, kind, location_id, answer, at_ms FROM rows WHERE true
        ON CONFLICT (account_id, key) DO NOTHING";
    let mut rows = Rows::new(&[
        ("id", Kind::Text),
        ("account_id", Kind::Text),
        ("key", Kind::Text),
        ("body_hash", Kind::Text),
        ("kind", Kind::Text),
        ("location_id", Kind::Text),
        ("answer", Kind::Text),
        ("at_ms", Kind::Number),
    ]);
    for (fact, answer) in facts {
        rows.push([
            (&answer.id).into(),
            (&fact.account).into(),
            fact.key.as_str().into(),
            fact.body_hash.as_str().into(),
            fact.kind.as_str().into(),
            (&fact.location).into(),
            serde_json::to_string(answer).expect("ids and numbers are JSON").into(),
            now.into(),
        ]);
    }
    rows.execute(tx, INSERT).await
}
