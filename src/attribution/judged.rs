//! Table: reads of a sold line everything that its credits were decided by: touches, rule, terms, lives that showed it.
//!
//! What was decided by is frozen on the credit: the rule's version, the terms' version and the touches that were looked at.

use std::collections::{BTreeSet, HashMap};

use serde::Deserialize;

use super::{
    rule::{self, Channel, Credit, Line, Pool, Rule, Step, Terms, Touch},
    shown, terms,
    touch::{self, Stored},
};
use crate::{
    clock::Millis,
    ids::{BrandId, ContractId, CustomerId, LiveId, LiverId, LocationId, OrderLineId, ProductId, SkuId, TouchId},
    money::Currency,
    store::{Kind, Rows, StoreError, Tx},
};

/// A touch that was written so long before a sale cannot have been on its way any more.
const ON_ITS_WAY_MS: i64 = 10_000;

/// A credit of a sale as it is stored.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct StoredCredit {
    pub(super) order_line_id: OrderLineId,
    pub(super) brand_id: BrandId,
    pub(super) customer_id: CustomerId,
    pub(super) product_id: ProductId,
    pub(super) sku_id: SkuId,
    pub(super) channel: Channel,
    pub(super) bought_in: LiveId,
    pub(super) amount_minor: i64,
    pub(super) line_qty: i32,
    pub(super) line_product_id: ProductId,
    pub(super) line_sku_id: SkuId,
    pub(super) line_brand_id: BrandId,
    pub(super) order_customer_id: CustomerId,
    pub(super) order_currency: Currency,
    pub(super) pool: Pool,
    pub(super) party_id: String,
    pub(super) live_id: Option<LiveId>,
    pub(super) location_id: Option<LocationId>,
    pub(super) campaign: Option<String>,
    pub(super) qty: i32,
    pub(super) base_minor: i64,
    pub(super) share_bp: i32,
    pub(super) commission_bp: i32,
    pub(super) commission_minor: i64,
    pub(super) currency: Currency,
    pub(super) rule: Step,
    pub(super) rule_version: i32,
    pub(super) contract_id: Option<ContractId>,
    pub(super) contract_version: Option<i32>,
    pub(super) evidence: String,
    pub(super) at_ms: Millis,
}

/// What a credit rests on.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Evidence {
    #[serde(default)]
    pub(super) touches: Vec<TouchId>,
    /// Absent in credits of before the rules had versions: then only what decided was noted.
    pub(super) considered: Option<Vec<TouchId>>,
}

impl StoredCredit {
    pub(super) fn evidence(&self) -> Evidence {
        serde_json::from_str(&self.evidence).unwrap_or_default()
    }

    /// Whether it is, field by field, what the rule makes.
    pub(super) fn is(&self, made: &Credit) -> bool {
        let evidence = self.evidence();
        let considered = evidence.considered.as_ref().is_none_or(|ids| *ids == made.considered);
        (self.pool, &self.party_id, &self.live_id, &self.location_id, &self.campaign)
            == (made.pool, &made.party, &made.live, &made.location, &made.campaign)
            && (self.share_bp, self.base_minor, self.commission_bp, self.commission_minor)
                == (made.share_bp, made.base_minor, made.commission_bp, made.commission_minor)
            && (self.rule, self.rule_version) == (made.rule, made.rule_version)
            && self.contract_id.clone().zip(self.contract_version) == made.contract
            && evidence.touches == made.evidence
            && considered
            && (self.qty, self.currency) == (self.line_qty, self.order_currency)
            && (&self.product_id, &self.sku_id, &self.brand_id, &self.customer_id)
                == (&self.line_product_id, &self.line_sku_id, &self.line_brand_id, &self.order_customer_id)
    }
}

/// A sold line with everything that decides.
#[derive(Debug)]
pub(super) struct Judged {
    /// At least one.
    pub(super) credits: Vec<StoredCredit>,
    /// What was there to be looked at, newest first.
    pub(super) touches: Vec<Stored>,
    pub(super) terms: Terms,
    pub(super) shown_in: BTreeSet<LiveId>,
}

impl Judged {
    pub(super) fn first(&self) -> &StoredCredit {
        &self.credits[0]
    }

    pub(super) fn line(&self) -> Line<'_> {
        let first = self.first();
        Line {
            channel: first.channel,
            bought_in: Some(&first.bought_in),
            product: &first.product_id,
            shown_in: &self.shown_in,
            coupon: None,
            amount_minor: first.amount_minor,
            paid_at: first.at_ms,
        }
    }

    fn looked_at(&self) -> BTreeSet<TouchId> {
        let of_one = |credit: &StoredCredit| {
            let evidence = credit.evidence();
            evidence.considered.unwrap_or(evidence.touches)
        };
        self.credits.iter().flat_map(of_one).collect()
    }

    /// The touches that the credit says it was decided by.
    pub(super) fn considered(&self) -> Vec<Touch> {
        let ids = self.looked_at();
        self.touches.iter().filter(|stored| ids.contains(&stored.touch.id)).map(|stored| stored.touch.clone()).collect()
    }

    /// Everything that was surely there to be looked at. `None` when there was more than is ever looked at.
    pub(super) fn present(&self) -> Option<Vec<Touch>> {
        let (ids, at) = (self.looked_at(), self.first().at_ms);
        let there = |stored: &&Stored| ids.contains(&stored.touch.id) || at.since(stored.stored_at) >= ON_ITS_WAY_MS;
        (self.touches.len() < touch::MAX_PER_CUSTOMER)
            .then(|| self.touches.iter().filter(there).map(|stored| stored.touch.clone()).collect())
    }

    /// What the rule makes of these touches.
    pub(super) fn decide(&self, touches: &[Touch]) -> Vec<Credit> {
        rule::credits(&self.line(), touches, &self.terms)
    }
}

const CREDITS: &str = "
    SELECT c.order_line_id, c.brand_id, c.customer_id, c.product_id, c.sku_id, c.channel,
           o.live_id AS bought_in, n.amount_minor, n.qty AS line_qty, n.product_id AS line_product_id,
           n.sku_id AS line_sku_id, n.brand_id AS line_brand_id, o.customer_id AS order_customer_id,
           o.currency AS order_currency, c.pool, c.party_id, c.live_id, c.location_id, c.campaign, c.qty, c.base_minor,
           c.share_bp, c.commission_bp, c.commission_minor, c.currency, c.rule, c.rule_version, c.contract_id,
           c.contract_version, c.evidence, c.at_ms
    FROM rows CROSS JOIN order_lines n
    JOIN orders o ON o.id = n.order_id
    JOIN credits c ON c.order_id = n.order_id AND c.order_line_id = n.id AND c.kind = 'sale'
    WHERE n.id = rows.id
    ORDER BY n.id, c.pool, c.party_id";

/// These lines, by id; those that nobody is credited with are left out.
pub(super) async fn load(tx: &mut Tx, lines: &[OrderLineId]) -> Result<Vec<Judged>, StoreError> {
    let mut rows = Rows::new(&[("id", Kind::Text)]);
    for line in lines {
        rows.push([line.into()]);
    }
    let credits: Vec<StoredCredit> = rows.fetch(tx, CREDITS).await?;
    let moments = credits.iter().map(|credit| (&credit.customer_id, credit.at_ms, &credit.product_id)).collect();
    let touches = touch::before(tx, &moments).await?;
    let rules = rules(tx, &credits).await?;
    let versions = credits.iter().filter_map(|c| c.contract_id.as_ref().zip(c.contract_version)).collect();
    let frozen = terms::agreed_by_version(tx, &versions).await?;
    let agreed = terms::agreed(tx, &pairs(&credits, &touches)).await?;
    let mut judged: Vec<Judged> = Vec::new();
    for credit in credits {
        match judged.last_mut() {
            Some(last) if last.first().order_line_id == credit.order_line_id => last.credits.push(credit),
            _ => {
                let key = (credit.customer_id.clone(), credit.at_ms, credit.product_id.clone());
                let touches = touches.get(&key).cloned().unwrap_or_default();
                let rule = rules.get(&(credit.brand_id.clone(), credit.rule_version)).copied();
                let rule = rule.unwrap_or_else(|| Rule::of_the_house(credit.commission_bp));
                let terms = Terms { rule, agreed: HashMap::new() };
                judged.push(Judged { credits: vec![credit], touches, terms, shown_in: BTreeSet::new() });
            }
        }
    }
    for one in &mut judged {
        let (brand, at) = (one.first().brand_id.clone(), one.first().at_ms);
        let livers: BTreeSet<LiverId> = livers(&one.touches).cloned().collect();
        let of_then = livers.into_iter().filter_map(|liver| {
            let agreed = agreed.get(&(brand.clone(), liver.clone(), at))?;
            Some((liver, agreed.clone()))
        });
        one.terms.agreed = of_then.collect();
        for credit in one.credits.iter().filter(|credit| credit.pool == Pool::Liver) {
            // What the credit says counts, whatever is found for that moment now.
            if let Ok(liver) = LiverId::parse(&credit.party_id) {
                one.terms.agreed.remove(&liver);
            }
            if let Some(key) = credit.contract_id.clone().zip(credit.contract_version)
                && let Some((liver, agreed)) = frozen.get(&key)
            {
                one.terms.agreed.insert(liver.clone(), agreed.clone());
            }
        }
        let mut shown = shown::of(tx, one.touches.iter().map(|stored| &stored.touch), at).await?;
        one.shown_in = shown.remove(&one.first().product_id).unwrap_or_default();
    }
    Ok(judged)
}

fn livers(touches: &[Stored]) -> impl Iterator<Item = &LiverId> {
    touches.iter().filter_map(|stored| stored.touch.live.as_ref()).map(|(_, liver)| liver)
}

fn pairs<'a>(credits: &'a [StoredCredit], touches: &'a touch::Before) -> BTreeSet<(&'a BrandId, &'a LiverId, Millis)> {
    let mut pairs = BTreeSet::new();
    for credit in credits {
        let key = (credit.customer_id.clone(), credit.at_ms, credit.product_id.clone());
        let of_then = touches.get(&key).map_or(&[][..], Vec::as_slice);
        pairs.extend(livers(of_then).map(|liver| (&credit.brand_id, liver, credit.at_ms)));
    }
    pairs
}

async fn rules(tx: &mut Tx, credits: &[StoredCredit]) -> Result<HashMap<(BrandId, i32), Rule>, StoreError> {
    let versions = credits.iter().map(|credit| (&credit.brand_id, credit.rule_version)).collect();
    terms::rules_by_version(tx, &versions).await
}
