//! Table: attribution_rules: the brands' rules, append-only; reads what brands and livers agreed on.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::{
    AttributionError,
    rule::{Agreed, AllTerms, Rule, Terms},
};
use crate::{
    clock::Millis,
    ids::{AccountId, BrandId, ContractId, LiverId, ProductId},
    on,
    store::{Kind, Rows, StoreError, Tx},
};

/// Versions of a rule that are listed: the newest.
const MAX_HISTORY: i64 = 100;
/// Characters of a note.
const MAX_NOTE_CHARS: usize = 500;
/// The house's rule.
const HOUSE: i32 = 1;

/// What a brand wants its rule to be.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
pub struct NewRule {
    /// Days that a click on a product, or a link to it, counts; 0 to 30.
    pub click_days: i32,
    /// Days that a replay counts; 0 to 90.
    pub replay_days: i32,
    /// Days that a staff code counts; 0 to 30.
    pub staff_days: i32,
    /// What staff earn of what they helped to sell, basis points; 0 as long as there are no statements for staff.
    pub staff_commission_bp: i32,
    /// Why, for those who read it later.
    #[serde(default)]
    pub note: String,
}

impl NewRule {
    /// Checks every field.
    ///
    /// # Errors
    /// [`AttributionError::Invalid`] naming the field.
    pub(super) fn check(&self) -> Result<(), AttributionError> {
        let within = |name: &str, value: i32, most: i32| {
            let fits = (0..=most).contains(&value);
            if fits { Ok(()) } else { Err(AttributionError::Invalid(format!("{name} must be 0 to {most}"))) }
        };
        within("click_days", self.click_days, 30)?;
        within("replay_days", self.replay_days, 90)?;
        within("staff_days", self.staff_days, 30)?;
        if self.staff_commission_bp != 0 {
            // It would be owed for ever.
            let detail = "staff_commission_bp must be 0: there are no statements by which staff could be paid yet";
            return Err(AttributionError::Invalid(detail.to_owned()));
        }
        if self.note.chars().count() > MAX_NOTE_CHARS {
            return Err(AttributionError::Invalid(format!("note must have at most {MAX_NOTE_CHARS} characters")));
        }
        Ok(())
    }
}

/// A version of a brand's rule.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct RuleVersion {
    /// 1 is the house's; credits bear the number.
    pub version: i32,
    /// Days that a click on a product, or a link to it, counts.
    pub click_days: i32,
    /// Days that a replay counts.
    pub replay_days: i32,
    /// Days that a staff code counts.
    pub staff_days: i32,
    /// What staff earn, basis points.
    pub staff_commission_bp: i32,
    /// Why.
    pub note: String,
    /// Sales from then on; `None` for the house's.
    pub from_ms: Option<Millis>,
}

impl RuleVersion {
    fn of_the_house() -> Self {
        let Rule { version, click_days, replay_days, staff_days, staff_commission_bp, .. } = Rule::of_the_house(0);
        Self { version, click_days, replay_days, staff_days, staff_commission_bp, note: String::new(), from_ms: None }
    }
}

/// A brand's rule, newest version first; the house's comes last.
pub(super) async fn history(tx: &mut Tx, brand: &BrandId) -> Result<Vec<RuleVersion>, StoreError> {
    const ALL: &str = "
        SELECT version, click_days, replay_days, staff_days, staff_commission_bp, note, from_ms
        FROM attribution_rules
        WHERE brand_id = $1
        ORDER BY version DESC
        LIMIT $2";
    let mut found: Vec<RuleVersion> =
        on!(tx, |conn| sqlx::query_as(ALL).bind(brand).bind(MAX_HISTORY).fetch_all(conn).await?);
    found.push(RuleVersion::of_the_house());
    Ok(found)
}

/// Writes the next version; it counts for sales from now on. Two at once: one of them is refused by the key.
pub(super) async fn insert(
    tx: &mut Tx,
    brand: &BrandId,
    version: i32,
    new: &NewRule,
    by: &AccountId,
    now: Millis,
) -> Result<(), StoreError> {
    const INSERT: &str = "
        INSERT INTO attribution_rules (brand_id, version, click_days, replay_days, staff_days, staff_commission_bp, note,
                                       from_ms, by_account_id, created_at_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $8)";
    on!(tx, |conn| sqlx::query(INSERT)
        .bind(brand)
        .bind(version)
        .bind(new.click_days)
        .bind(new.replay_days)
        .bind(new.staff_days)
        .bind(new.staff_commission_bp)
        .bind(&new.note)
        .bind(now)
        .bind(by)
        .execute(conn)
        .await
        .map(drop))?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct RuleRow {
    id: BrandId,
    commission_bp: i32,
    version: Option<i32>,
    click_days: Option<i32>,
    replay_days: Option<i32>,
    staff_days: Option<i32>,
    staff_commission_bp: Option<i32>,
}

impl RuleRow {
    fn rule(&self) -> Rule {
        let house = Rule::of_the_house(self.commission_bp);
        Rule {
            version: self.version.unwrap_or(house.version),
            click_days: self.click_days.unwrap_or(house.click_days),
            replay_days: self.replay_days.unwrap_or(house.replay_days),
            staff_days: self.staff_days.unwrap_or(house.staff_days),
            staff_commission_bp: self.staff_commission_bp.unwrap_or(house.staff_commission_bp),
            commission_bp: self.commission_bp,
        }
    }
}

/// The rules of brands as they count now.
pub(super) async fn rules(
    tx: &mut Tx,
    brands: &BTreeSet<&BrandId>,
    now: Millis,
) -> Result<HashMap<BrandId, Rule>, StoreError> {
    const RULES: &str = "
        SELECT b.id, b.commission_bp, r.version, r.click_days, r.replay_days, r.staff_days, r.staff_commission_bp
        FROM rows CROSS JOIN brands b
        LEFT JOIN attribution_rules r
          ON r.brand_id = b.id
         AND r.version = (SELECT MAX(n.version) FROM attribution_rules n WHERE n.brand_id = b.id AND n.from_ms <= rows.at_ms)
        WHERE b.id = rows.id";
    let mut rows = Rows::new(&[("id", Kind::Text), ("at_ms", Kind::Number)]);
    for brand in brands {
        rows.push([(*brand).into(), now.into()]);
    }
    let found: Vec<RuleRow> = rows.fetch(tx, RULES).await?;
    Ok(found.into_iter().map(|row| (row.id.clone(), row.rule())).collect())
}

/// The rules of brands in given versions.
pub(super) async fn rules_by_version(
    tx: &mut Tx,
    versions: &BTreeSet<(&BrandId, i32)>,
) -> Result<HashMap<(BrandId, i32), Rule>, StoreError> {
    const RULES: &str = "
        SELECT b.id, b.commission_bp, r.version, r.click_days, r.replay_days, r.staff_days, r.staff_commission_bp
        FROM rows CROSS JOIN brands b
        LEFT JOIN attribution_rules r ON r.brand_id = b.id AND r.version = rows.version
        WHERE b.id = rows.id";
    let mut rows = Rows::new(&[("id", Kind::Text), ("version", Kind::Number)]);
    for (brand, version) in versions {
        rows.push([(*brand).into(), (*version).into()]);
    }
    let found: Vec<RuleRow> = rows.fetch(tx, RULES).await?;
    let mut rules: HashMap<(BrandId, i32), Rule> = HashMap::new();
    for row in found {
        rules.insert((row.id.clone(), row.version.unwrap_or(HOUSE)), row.rule());
    }
    Ok(rules)
}

#[derive(sqlx::FromRow)]
struct AgreedRow {
    at_ms: Millis,
    brand_id: BrandId,
    liver_id: LiverId,
    contract_id: ContractId,
    version: i32,
    rate_bp: i32,
    click_days: Option<i32>,
    replay_days: Option<i32>,
    product_id: Option<ProductId>,
    product_rate_bp: Option<i32>,
}

/// Terms by brand, liver and moment.
pub(super) type ByPair = HashMap<(BrandId, LiverId, Millis), Agreed>;

fn by_pair(rows: Vec<AgreedRow>) -> ByPair {
    let mut found = ByPair::new();
    for row in rows {
        let agreed = found.entry((row.brand_id, row.liver_id, row.at_ms)).or_insert_with(|| Agreed {
            contract: row.contract_id,
            version: row.version,
            rate_bp: row.rate_bp,
            product_rates: HashMap::new(),
            click_days: row.click_days,
            replay_days: row.replay_days,
        });
        agreed.product_rates.extend(row.product_id.zip(row.product_rate_bp));
    }
    found
}

/// What these brands and livers had agreed on at a moment: the newest version that both had accepted by then and whose
/// period had begun and not ended.
pub(super) async fn agreed(tx: &mut Tx, pairs: &BTreeSet<(&BrandId, &LiverId, Millis)>) -> Result<ByPair, StoreError> {
    const AGREED: &str = "
        SELECT rows.at_ms, c.brand_id, c.liver_id, c.id AS contract_id, v.version, v.rate_bp, v.click_days, v.replay_days, p.product_id,
               p.rate_bp AS product_rate_bp
        FROM rows CROSS JOIN contracts c
        JOIN contract_versions v ON v.contract_id = c.id
        LEFT JOIN contract_rates p ON p.contract_id = v.contract_id AND p.version = v.version
        WHERE c.brand_id = rows.brand_id AND c.liver_id = rows.liver_id
          AND v.version = (SELECT MAX(n.version) FROM contract_versions n
                           WHERE n.contract_id = c.id AND n.brand_accepted_at_ms <= rows.at_ms
                             AND n.liver_accepted_at_ms <= rows.at_ms AND n.from_ms <= rows.at_ms
                             AND (n.to_ms IS NULL OR n.to_ms > rows.at_ms))";
    let mut rows = Rows::new(&[("brand_id", Kind::Text), ("liver_id", Kind::Text), ("at_ms", Kind::Number)]);
    for (brand, liver, at) in pairs {
        rows.push([(*brand).into(), (*liver).into(), (*at).into()]);
    }
    Ok(by_pair(rows.fetch(tx, AGREED).await?))
}

/// Terms in given versions.
pub(super) async fn agreed_by_version(
    tx: &mut Tx,
    versions: &BTreeSet<(&ContractId, i32)>,
) -> Result<HashMap<(ContractId, i32), (LiverId, Agreed)>, StoreError> {
    const AGREED: &str = "
        SELECT CAST(0 AS BIGINT) AS at_ms, c.brand_id, c.liver_id, c.id AS contract_id, v.version, v.rate_bp, v.click_days, v.replay_days, p.product_id,
               p.rate_bp AS product_rate_bp
        FROM rows CROSS JOIN contracts c
        JOIN contract_versions v ON v.contract_id = c.id AND v.version = rows.version
        LEFT JOIN contract_rates p ON p.contract_id = v.contract_id AND p.version = v.version
        WHERE c.id = rows.contract_id";
    let mut rows = Rows::new(&[("contract_id", Kind::Text), ("version", Kind::Number)]);
    for (contract, version) in versions {
        rows.push([(*contract).into(), (*version).into()]);
    }
    let mut by_version: HashMap<(ContractId, i32), Vec<AgreedRow>> = HashMap::new();
    for row in rows.fetch::<AgreedRow>(tx, AGREED).await? {
        by_version.entry((row.contract_id.clone(), row.version)).or_default().push(row);
    }
    let one = |(key, rows): (_, Vec<AgreedRow>)| {
        by_pair(rows).into_iter().next().map(|((_, liver, _), agreed)| (key, (liver, agreed)))
    };
    Ok(by_version.into_iter().filter_map(one).collect())
}

/// Everything that lines of these brands and livers are judged by now.
pub(super) async fn of_sales(
    tx: &mut Tx,
    brands: &BTreeSet<&BrandId>,
    livers: &BTreeSet<&LiverId>,
    now: Millis,
) -> Result<AllTerms, StoreError> {
    let rules = rules(tx, brands, now).await?;
    let pairs: BTreeSet<(&BrandId, &LiverId, Millis)> =
        brands.iter().flat_map(|brand| livers.iter().map(move |liver| (*brand, *liver, now))).collect();
    let mut terms: AllTerms =
        rules.into_iter().map(|(brand, rule)| (brand, Terms { rule, agreed: HashMap::new() })).collect();
    for ((brand, liver, _), agreed) in agreed(tx, &pairs).await? {
        if let Some(terms) = terms.get_mut(&brand) {
            terms.agreed.insert(liver, agreed);
        }
    }
    Ok(terms)
}
