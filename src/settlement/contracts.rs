//! Table: contracts, contract_versions, contract_rates.
//!
//! Invariant: a version's terms are never changed. Of one contract at most one version waits for an answer; every change is
//! made under the lock of the contract's row.

use std::collections::HashMap;

use serde::Serialize;

use super::terms::{ProductRate, RefundRule, Terms};
use crate::{
    clock::Millis,
    ids::{AccountId, BrandId, ContractId, LiverId, ProductId},
    on,
    store::{Kind, Rows, StoreError, Tx},
};

/// Who is who in a contract.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct Head {
    pub(super) id: ContractId,
    pub(super) brand_id: BrandId,
    pub(super) brand_name: String,
    pub(super) liver_id: LiverId,
    pub(super) liver_name: String,
}

/// Where a version stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VersionState {
    /// One side has accepted it.
    Proposed,
    /// Both have.
    Agreed,
    /// Withdrawn, declined, or followed by another proposal.
    Ended,
}

/// One version of a contract's terms.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct VersionView {
    /// 1, 2, 3, …
    pub version: i32,
    /// The terms.
    #[serde(flatten)]
    pub terms: Terms,
    /// `brand` or `liver`.
    pub proposed_by: String,
    /// When.
    pub proposed_at_ms: Millis,
    /// When the brand did.
    pub brand_accepted_at_ms: Option<Millis>,
    /// When the liver did.
    pub liver_accepted_at_ms: Option<Millis>,
    /// When it was withdrawn, declined or followed by another proposal.
    pub ended_at_ms: Option<Millis>,
    /// Where it stands.
    pub state: VersionState,
}

impl VersionView {
    /// When both had accepted it.
    fn agreed_at(&self) -> Option<Millis> {
        self.brand_accepted_at_ms.zip(self.liver_accepted_at_ms).map(|(brand, liver)| brand.max(liver))
    }

    fn counts_at(&self, now: Millis) -> bool {
        self.agreed_at().is_some_and(|at| at <= now)
            && self.terms.from_ms <= now
            && self.terms.to_ms.is_none_or(|to| to > now)
    }
}

/// A contract with all its versions.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct ContractView {
    /// The contract.
    pub contract_id: ContractId,
    /// Who pays.
    pub brand_id: BrandId,
    /// What people see.
    pub brand_name: String,
    /// Who streams.
    pub liver_id: LiverId,
    /// What people see.
    pub liver_name: String,
    /// What counts for a sale at this moment; the brand's own rate counts where there is none.
    pub current: Option<VersionView>,
    /// What waits for an answer.
    pub proposed: Option<VersionView>,
    /// Newest first.
    pub versions: Vec<VersionView>,
}

#[derive(sqlx::FromRow)]
struct VersionRow {
    contract_id: ContractId,
    version: i32,
    rate_bp: i32,
    from_ms: Millis,
    to_ms: Option<Millis>,
    click_days: Option<i32>,
    replay_days: Option<i32>,
    pr_label: String,
    refund_rule: RefundRule,
    pay_within_days: i32,
    note: String,
    proposed_by: String,
    proposed_at_ms: Millis,
    brand_accepted_at_ms: Option<Millis>,
    liver_accepted_at_ms: Option<Millis>,
    ended_at_ms: Option<Millis>,
}

impl VersionRow {
    fn view(self, product_rates: Vec<ProductRate>) -> VersionView {
        let state = if self.ended_at_ms.is_some() {
            VersionState::Ended
        } else if self.brand_accepted_at_ms.is_some() && self.liver_accepted_at_ms.is_some() {
            VersionState::Agreed
        } else {
            VersionState::Proposed
        };
        VersionView {
            version: self.version,
            terms: Terms {
                rate_bp: self.rate_bp,
                product_rates,
                from_ms: self.from_ms,
                to_ms: self.to_ms,
                click_days: self.click_days,
                replay_days: self.replay_days,
                pr_label: self.pr_label,
                pay_within_days: self.pay_within_days,
                refund_rule: self.refund_rule,
                note: self.note,
            },
            proposed_by: self.proposed_by,
            proposed_at_ms: self.proposed_at_ms,
            brand_accepted_at_ms: self.brand_accepted_at_ms,
            liver_accepted_at_ms: self.liver_accepted_at_ms,
            ended_at_ms: self.ended_at_ms,
            state,
        }
    }
}

/// The columns of a contract's head.
macro_rules! heads {
    () => {
        "SELECT c.id, c.brand_id, b.name AS brand_name, c.liver_id, v.display_name AS liver_name
         FROM contracts c
         JOIN brands b ON b.id = c.brand_id
         JOIN livers v ON v.id = c.liver_id "
    };
}

/// Who is who, if there is such a contract.
pub(super) async fn head(tx: &mut Tx, id: &ContractId) -> Result<Option<Head>, StoreError> {
    const FIND: &str = concat!(heads!(), "WHERE c.id = $1");
    Ok(on!(tx, |conn| sqlx::query_as(FIND).bind(id).fetch_optional(conn).await?))
}

/// A brand's contracts, newest first, older than a cursor.
pub(super) async fn of_brand(
    tx: &mut Tx,
    brand: &BrandId,
    before: Option<&ContractId>,
    limit: i64,
) -> Result<Vec<Head>, StoreError> {
    const LIST: &str = concat!(heads!(), "WHERE c.brand_id = $1 AND c.id < $2 ORDER BY c.id DESC LIMIT $3");
    let before = before.map_or("con_zzzz", ContractId::as_str);
    Ok(on!(tx, |conn| sqlx::query_as(LIST).bind(brand).bind(before).bind(limit).fetch_all(conn).await?))
}

/// A liver's contracts, newest first, older than a cursor.
pub(super) async fn of_liver(
    tx: &mut Tx,
    liver: &LiverId,
    before: Option<&ContractId>,
    limit: i64,
) -> Result<Vec<Head>, StoreError> {
    const LIST: &str = concat!(heads!(), "WHERE c.liver_id = $1 AND c.id < $2 ORDER BY c.id DESC LIMIT $3");
    let before = before.map_or("con_zzzz", ContractId::as_str);
    Ok(on!(tx, |conn| sqlx::query_as(LIST).bind(liver).bind(before).bind(limit).fetch_all(conn).await?))
}

/// These contracts with their versions.
pub(super) async fn views(tx: &mut Tx, heads: Vec<Head>, now: Millis) -> Result<Vec<ContractView>, StoreError> {
    const VERSIONS: &str = "
        SELECT v.contract_id, v.version, v.rate_bp, v.from_ms, v.to_ms, v.click_days, v.replay_days, v.pr_label,
               v.refund_rule, v.pay_within_days, v.note, v.proposed_by, v.proposed_at_ms, v.brand_accepted_at_ms,
               v.liver_accepted_at_ms, v.ended_at_ms
        FROM rows CROSS JOIN contract_versions v
        WHERE v.contract_id = rows.id";
    const RATES: &str = "
        SELECT r.contract_id, r.version, r.product_id, r.rate_bp
        FROM rows CROSS JOIN contract_rates r
        WHERE r.contract_id = rows.id";
    let mut ids = Rows::new(&[("id", Kind::Text)]);
    for head in &heads {
        ids.push([(&head.id).into()]);
    }
    let mut rates: HashMap<(ContractId, i32), Vec<ProductRate>> = HashMap::new();
    for (contract, version, product_id, rate_bp) in ids.fetch::<(ContractId, i32, ProductId, i32)>(tx, RATES).await? {
        rates.entry((contract, version)).or_default().push(ProductRate { product_id, rate_bp });
    }
    let mut versions: HashMap<ContractId, Vec<VersionView>> = HashMap::new();
    for row in ids.fetch::<VersionRow>(tx, VERSIONS).await? {
        let mut own = rates.remove(&(row.contract_id.clone(), row.version)).unwrap_or_default();
        own.sort_by(|a, b| a.product_id.cmp(&b.product_id));
        versions.entry(row.contract_id.clone()).or_default().push(row.view(own));
    }
    drop(ids);
    let view = |head: Head| {
        let mut versions = versions.remove(&head.id).unwrap_or_default();
        versions.sort_by_key(|version| std::cmp::Reverse(version.version));
        ContractView {
            // As the sale's own transaction looks them up.
            current: versions.iter().find(|version| version.counts_at(now)).cloned(),
            proposed: versions.iter().find(|version| version.state == VersionState::Proposed).cloned(),
            versions,
            contract_id: head.id,
            brand_id: head.brand_id,
            brand_name: head.brand_name,
            liver_id: head.liver_id,
            liver_name: head.liver_name,
        }
    };
    Ok(heads.into_iter().map(view).collect())
}

/// The contract of a brand and a liver; made when there is none.
pub(super) async fn open(tx: &mut Tx, brand: &BrandId, liver: &LiverId, now: Millis) -> Result<ContractId, StoreError> {
    const OPEN: &str = "
        INSERT INTO contracts (id, brand_id, liver_id, created_at_ms)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT (brand_id, liver_id) DO NOTHING";
    const FIND: &str = "SELECT id FROM contracts WHERE brand_id = $1 AND liver_id = $2";
    on!(&mut *tx, |conn| sqlx::query(OPEN)
        .bind(ContractId::fresh())
        .bind(brand)
        .bind(liver)
        .bind(now)
        .execute(conn)
        .await
        .map(drop))?;
    let (id,): (ContractId,) = on!(tx, |conn| sqlx::query_as(FIND).bind(brand).bind(liver).fetch_one(conn).await?);
    Ok(id)
}

/// Locks a contract until the commit; gives its newest version, 0 when it has none.
pub(super) async fn lock(tx: &mut Tx, id: &ContractId) -> Result<i32, StoreError> {
    const NEWEST: &str = "SELECT COALESCE(MAX(version), 0) FROM contract_versions WHERE contract_id = $1";
    let lock = format!("SELECT c.id FROM contracts c WHERE c.id = $1{}", tx.locking("c"));
    let lock = sqlx::AssertSqlSafe(lock);
    on!(&mut *tx, |conn| sqlx::query(lock).bind(id).fetch_one(conn).await.map(drop))?;
    let (newest,): (i32,) = on!(tx, |conn| sqlx::query_as(NEWEST).bind(id).fetch_one(conn).await?);
    Ok(newest)
}

/// A side of a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Brand,
    Liver,
}

impl Side {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Brand => "brand",
            Self::Liver => "liver",
        }
    }
}

/// Writes the next version, accepted by who proposes it; what was open is over. Call it with the contract locked.
pub(super) async fn propose(
    tx: &mut Tx,
    (id, version): (&ContractId, i32),
    terms: &Terms,
    (side, by): (Side, &AccountId),
    now: Millis,
) -> Result<(), StoreError> {
    const END: &str = "
        UPDATE contract_versions SET ended_at_ms = $2
        WHERE contract_id = $1 AND ended_at_ms IS NULL
          AND (brand_accepted_at_ms IS NULL OR liver_accepted_at_ms IS NULL)";
    const PROPOSE: &str = "
        INSERT INTO contract_versions (contract_id, version, rate_bp, from_ms, to_ms, click_days, replay_days, pr_label,
                                       refund_rule, pay_within_days, note, proposed_by, proposed_by_account_id,
                                       proposed_at_ms, brand_accepted_at_ms, brand_accepted_by, liver_accepted_at_ms,
                                       liver_accepted_by)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)";
    const RATES: &str = "
        INSERT INTO contract_rates (contract_id, version, product_id, rate_bp)
        SELECT contract_id, version, product_id, rate_bp FROM rows";
    let accepted = |of: Side| (side == of).then_some(now);
    let accepter = |of: Side| (side == of).then_some(by);
    on!(&mut *tx, |conn| sqlx::query(END).bind(id).bind(now).execute(conn).await.map(drop))?;
    on!(&mut *tx, |conn| sqlx::query(PROPOSE)
        .bind(id)
        .bind(version)
        .bind(terms.rate_bp)
        .bind(terms.from_ms)
        .bind(terms.to_ms)
        .bind(terms.click_days)
        .bind(terms.replay_days)
        .bind(&terms.pr_label)
        .bind(terms.refund_rule)
        .bind(terms.pay_within_days)
        .bind(&terms.note)
        .bind(side.as_str())
        .bind(by)
        .bind(now)
        .bind(accepted(Side::Brand))
        .bind(accepter(Side::Brand))
        .bind(accepted(Side::Liver))
        .bind(accepter(Side::Liver))
        .execute(conn)
        .await
        .map(drop))?;
    let mut rows = Rows::new(&[
        ("contract_id", Kind::Text),
        ("version", Kind::Number),
        ("product_id", Kind::Text),
        ("rate_bp", Kind::Number),
    ]);
    for rate in &terms.product_rates {
        rows.push([id.into(), version.into(), (&rate.product_id).into(), rate.rate_bp.into()]);
    }
    rows.execute(tx, RATES).await?;
    Ok(())
}

/// The brand's or the liver's yes. Call it with the contract locked, for a version that waits for it.
pub(super) async fn accept(
    tx: &mut Tx,
    (id, version): (&ContractId, i32),
    (side, by): (Side, &AccountId),
    now: Millis,
) -> Result<(), StoreError> {
    const BRAND: &str = "
        UPDATE contract_versions SET brand_accepted_at_ms = $3, brand_accepted_by = $4
        WHERE contract_id = $1 AND version = $2 AND ended_at_ms IS NULL AND brand_accepted_at_ms IS NULL";
    const LIVER: &str = "
        UPDATE contract_versions SET liver_accepted_at_ms = $3, liver_accepted_by = $4
        WHERE contract_id = $1 AND version = $2 AND ended_at_ms IS NULL AND liver_accepted_at_ms IS NULL";
    let accept = match side {
        Side::Brand => BRAND,
        Side::Liver => LIVER,
    };
    on!(tx, |conn| sqlx::query(accept).bind(id).bind(version).bind(now).bind(by).execute(conn).await.map(drop))?;
    Ok(())
}

/// Withdrawn or declined. Call it with the contract locked, for a version that is open.
pub(super) async fn end(tx: &mut Tx, id: &ContractId, version: i32, now: Millis) -> Result<(), StoreError> {
    const END: &str = "
        UPDATE contract_versions SET ended_at_ms = $3
        WHERE contract_id = $1 AND version = $2 AND ended_at_ms IS NULL
          AND (brand_accepted_at_ms IS NULL OR liver_accepted_at_ms IS NULL)";
    on!(tx, |conn| sqlx::query(END).bind(id).bind(version).bind(now).execute(conn).await.map(drop))?;
    Ok(())
}

/// One of these products that is not the brand's, if there is one.
pub(super) async fn foreign_product(
    tx: &mut Tx,
    brand: &BrandId,
    rates: &[ProductRate],
) -> Result<Option<ProductId>, StoreError> {
    const OWN: &str = "SELECT p.id FROM rows CROSS JOIN products p WHERE p.id = rows.id AND p.brand_id = rows.brand_id";
    let mut rows = Rows::new(&[("id", Kind::Text), ("brand_id", Kind::Text)]);
    for rate in rates {
        rows.push([(&rate.product_id).into(), brand.into()]);
    }
    let own: Vec<(ProductId,)> = rows.fetch(tx, OWN).await?;
    Ok(rates.iter().map(|rate| &rate.product_id).find(|id| !own.iter().any(|(own,)| own == *id)).cloned())
}
