//! Shell: what people do about attribution: set a brand's rule, make links and codes, name one, ask why.

use serde::{Deserialize, Serialize};

use super::{
    AttributionError,
    codes::{self, MAX_CODE_CHARS, NewLink, ShareLink, StaffCode},
    explain::{self, Explanation},
    terms::{self, NewRule, RuleVersion},
    touch::{self, NewTouch, TouchKind, Touches},
};
use crate::{
    clock::{Clock, Millis},
    ids::{AccountId, BrandId, CustomerId, LiveId, LocationId, OrderLineId, ProductId},
    on,
    people::{AuditNote, insert_note},
    store::{Db, StoreError, Tx},
};

/// Links that one person may make to one live.
const MAX_LINKS: i64 = 200;
/// Staff codes that one customer names in an hour: each purchase reads what its buyer named.
const MAX_NAMED_AN_HOUR: i64 = 30;
/// Characters of a campaign's name.
const MAX_CAMPAIGN_CHARS: usize = 60;

const HOUR_MS: i64 = 3_600_000;

/// What a code is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CodeKind {
    /// A link that was followed.
    Link,
    /// A member of staff's.
    StaffCode,
}

/// A code that somebody followed or named.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
pub struct NamedCode {
    /// What it is.
    pub kind: CodeKind,
    /// As it was read; capitals or not.
    pub code: String,
    /// In which live it was named, for a staff code.
    pub live_id: Option<LiveId>,
    /// For which product, for a staff code; absent: whatever is bought.
    pub product_id: Option<ProductId>,
}

/// A brand's rule, with what it was before.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct BrandRule {
    /// What counts for sales from now on.
    #[serde(flatten)]
    pub current: RuleVersion,
    /// Every version, newest first; the house's is the last.
    pub history: Vec<RuleVersion>,
}

/// The room's acts. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Attribution {
    db: Db,
    clock: Clock,
    touches: Touches,
}

impl Attribution {
    /// Over this database.
    #[must_use]
    pub fn new(db: Db, clock: Clock, touches: Touches) -> Self {
        Self { db, clock, touches }
    }

    /// A brand's rule.
    ///
    /// # Errors
    /// The database's.
    pub async fn rule(&self, brand: &BrandId) -> Result<BrandRule, AttributionError> {
        let mut tx = self.db.read("brand rule").await?;
        let history = terms::history(&mut tx, brand).await?;
        Ok(BrandRule { current: history[0].clone(), history })
    }

    /// Sets a brand's rule for sales from now on. Who asks for what counts already changes nothing.
    ///
    /// # Errors
    /// [`AttributionError::Invalid`] naming the field; the database's, also when two people do it at once.
    pub async fn set_rule(
        &self,
        brand: &BrandId,
        new: &NewRule,
        by: &AccountId,
    ) -> Result<BrandRule, AttributionError> {
        new.check()?;
        let mut tx = self.db.write("set brand rule").await?;
        let before = terms::history(&mut tx, brand).await?;
        let now = self.clock.now();
        let version = before[0].version + 1;
        terms::insert(&mut tx, brand, version, new, by, now).await?;
        let detail = serde_json::json!({
            "version": version, "click_days": new.click_days, "replay_days": new.replay_days, "staff_days": new.staff_days,
            "staff_commission_bp": new.staff_commission_bp, "note": new.note,
        });
        let detail = detail.to_string();
        insert_note(&mut tx, &AuditNote::of(by, "attribution_rule.set", brand.as_str(), &detail, now)).await?;
        let history = terms::history(&mut tx, brand).await?;
        tx.commit().await?;
        Ok(BrandRule { current: history[0].clone(), history })
    }

    /// Somebody followed a link or named a member of staff. Gives the name that is to be shown for a staff code.
    ///
    /// # Errors
    /// [`AttributionError::NotFound`] when there is no such code; [`AttributionError::Invalid`] for one's own.
    pub async fn name_code(
        &self,
        (account, customer): (&AccountId, &CustomerId),
        named: &NamedCode,
    ) -> Result<Option<String>, AttributionError> {
        let code = named.code.trim().to_uppercase();
        if code.is_empty() || code.chars().count() > MAX_CODE_CHARS {
            return Err(AttributionError::Invalid(format!("code must have 1 to {MAX_CODE_CHARS} characters")));
        }
        let now = self.clock.now();
        let touch = |kind, live, product, campaign| NewTouch {
            customer: customer.clone(),
            live,
            kind,
            product,
            code: Some(code.clone()),
            campaign,
            at: now,
        };
        match named.kind {
            CodeKind::Link => {
                let mut tx = self.db.read("find link").await?;
                let link = codes::find_link(&mut tx, &code).await?.ok_or(AttributionError::NotFound("link"))?;
                self.touches.record(touch(TouchKind::Link, Some(link.live_id), link.product_id, link.campaign));
                Ok(None)
            }
            CodeKind::StaffCode => {
                let mut tx = self.db.write("name staff").await?;
                let found = codes::find_staff(&mut tx, &code).await?;
                let (whose, name) = found.ok_or(AttributionError::NotFound("staff code"))?;
                if whose == *account {
                    return Err(AttributionError::Invalid("this code is your own".to_owned()));
                }
                let touch = touch(TouchKind::StaffCode, named.live_id.clone(), named.product_id.clone(), None);
                if let Some(live) = &touch.live
                    && !live_exists(&mut tx, live).await?
                {
                    return Err(AttributionError::NotFound("live"));
                }
                if touch::named_since(&mut tx, customer, Millis(now.0 - HOUR_MS)).await? >= MAX_NAMED_AN_HOUR {
                    let detail = format!("{MAX_NAMED_AN_HOUR} codes in an hour are enough; what you named counts");
                    return Err(AttributionError::Invalid(detail));
                }
                touch::insert(&mut tx, &[touch], now).await?;
                tx.commit().await?;
                Ok(Some(name))
            }
        }
    }

    /// The codes of a member of staff.
    ///
    /// # Errors
    /// The database's.
    pub async fn staff_codes(&self, account: &AccountId) -> Result<Vec<StaffCode>, AttributionError> {
        let mut tx = self.db.read("staff codes").await?;
        Ok(codes::of_staff(&mut tx, account).await?)
    }

    /// A member of staff's code at a store; the same each time. The caller knows that they work there.
    ///
    /// # Errors
    /// The database's.
    pub async fn make_staff_code(
        &self,
        (account, name): (&AccountId, &str),
        location: &LocationId,
    ) -> Result<StaffCode, AttributionError> {
        let mut tx = self.db.write("make staff code").await?;
        codes::insert_staff(&mut tx, (account, name), location, self.clock.now()).await?;
        let found = codes::of_staff(&mut tx, account).await?;
        tx.commit().await?;
        let found = found.into_iter().find(|code| code.location_id == *location);
        found.ok_or(AttributionError::NotFound("location"))
    }

    /// Makes a link to a live. The caller knows that there is one. `only_of`: brands whose products it may be about, and
    /// must be about one of; `None` for the live's liver. So no brand writes its campaigns into another's report.
    ///
    /// # Errors
    /// [`AttributionError::Invalid`] for a campaign's name that is too long, or too many links.
    pub async fn make_link(
        &self,
        live: &LiveId,
        new: &NewLink,
        by: &AccountId,
        only_of: Option<&[BrandId]>,
    ) -> Result<ShareLink, AttributionError> {
        let campaign = new.campaign.as_deref().map(str::trim).filter(|campaign| !campaign.is_empty());
        if campaign.is_some_and(|name| name.chars().count() > MAX_CAMPAIGN_CHARS || name.chars().any(char::is_control))
        {
            let detail = format!("campaign must have 1 to {MAX_CAMPAIGN_CHARS} characters");
            return Err(AttributionError::Invalid(detail));
        }
        let new = NewLink { product_id: new.product_id.clone(), campaign: campaign.map(str::to_owned) };
        let mut tx = self.db.write("make link").await?;
        let brand = match &new.product_id {
            None => None,
            Some(product) => {
                let brand = brand_of_shown(&mut tx, live, product).await?;
                Some(brand.ok_or(AttributionError::NotFound("product in this live; pin it first"))?)
            }
        };
        if only_of.is_some_and(|own| brand.as_ref().is_none_or(|brand| !own.contains(brand))) {
            return Err(AttributionError::Invalid("product_id must be one of your brand's products".to_owned()));
        }
        if codes::count_links(&mut tx, live, by).await? >= MAX_LINKS {
            return Err(AttributionError::Invalid(format!("{MAX_LINKS} links to one live are enough; use one again")));
        }
        let link = codes::insert_link(&mut tx, live, &new, by, self.clock.now()).await?;
        tx.commit().await?;
        Ok(link)
    }

    /// The links that somebody made to a live, newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn links(&self, live: &LiveId, by: &AccountId) -> Result<Vec<ShareLink>, AttributionError> {
        let mut tx = self.db.read("links").await?;
        Ok(codes::links_of(&mut tx, live, by, MAX_LINKS).await?)
    }

    /// Why a brand's line is whose. `None` for the brand: whoever runs the house asks.
    ///
    /// # Errors
    /// [`AttributionError::NotFound`] for a line that is none, or another brand's.
    pub async fn explain(&self, brand: Option<&BrandId>, line: &OrderLineId) -> Result<Explanation, AttributionError> {
        let mut tx = self.db.read("explain attribution").await?;
        let found = explain::explain(&mut tx, line).await?;
        let ours = found.filter(|found| brand.is_none_or(|brand| *brand == found.brand_id));
        ours.ok_or(AttributionError::NotFound("order line"))
    }
}

/// Why a line is whose, for who has the database at hand; `None` when nobody is credited with it.
///
/// # Errors
/// The database's.
pub async fn explanation(db: &Db, line: &OrderLineId) -> Result<Option<Explanation>, StoreError> {
    let mut tx = db.read("explain attribution").await?;
    explain::explain(&mut tx, line).await
}

async fn live_exists(tx: &mut Tx, live: &LiveId) -> Result<bool, StoreError> {
    const FIND: &str = "SELECT 1 FROM lives WHERE id = $1";
    let found: Option<(i32,)> = on!(tx, |conn| sqlx::query_as(FIND).bind(live).fetch_optional(conn).await?);
    Ok(found.is_some())
}

/// Whose product it is, when the live showed it.
async fn brand_of_shown(tx: &mut Tx, live: &LiveId, product: &ProductId) -> Result<Option<BrandId>, StoreError> {
    const FIND: &str = "
        SELECT d.brand_id
        FROM pins p
        JOIN products d ON d.id = p.product_id
        WHERE p.live_id = $1 AND p.product_id = $2
        LIMIT 1";
    let found: Option<(BrandId,)> =
        on!(tx, |conn| sqlx::query_as(FIND).bind(live).bind(product).fetch_optional(conn).await?);
    Ok(found.map(|(brand,)| brand))
}
