//! Table: staff_codes and share_links: short codes that lead somebody here, and whose they are.

use serde::{Deserialize, Serialize};

use crate::{
    clock::Millis,
    ids::{AccountId, LiveId, LocationId, ProductId},
    on,
    store::{StoreError, Tx},
};

/// What codes are made of: capitals and digits that nobody takes for one another when they are read out.
const LETTERS: &[u8] = b"23456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters of a staff code: 30^6, told apart by hand.
const STAFF_CHARS: usize = 6;
/// Characters of a link's code.
const LINK_CHARS: usize = 10;
/// The longest code that is looked for.
pub(super) const MAX_CODE_CHARS: usize = 32;

fn fresh(chars: usize) -> String {
    let mut code = String::with_capacity(chars);
    while code.len() < chars {
        let mut bytes = [0u8; 32];
        getrandom::fill(&mut bytes).expect("the operating system has randomness");
        // Bytes beyond the last whole turn of the letters would make some of them likelier.
        let fair = bytes.into_iter().map(usize::from).filter(|byte| *byte < 256 / LETTERS.len() * LETTERS.len());
        code.extend(fair.take(chars - code.len()).map(|byte| char::from(LETTERS[byte % LETTERS.len()])));
    }
    code
}

/// A member of staff's code at one store.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct StaffCode {
    /// What customers name, or a QR or link carries.
    pub code: String,
    /// Of which store.
    pub location_id: LocationId,
    /// What it is called.
    pub location_name: String,
    /// What customers see.
    pub display_name: String,
    /// When it was made.
    pub created_at_ms: Millis,
}

/// The codes of somebody.
pub(super) async fn of_staff(tx: &mut Tx, account: &AccountId) -> Result<Vec<StaffCode>, StoreError> {
    const CODES: &str = "
        SELECT s.code, s.location_id, l.name AS location_name, s.display_name, s.created_at_ms
        FROM staff_codes s
        JOIN locations l ON l.id = s.location_id
        WHERE s.account_id = $1 AND s.ended_at_ms IS NULL
        ORDER BY l.name, s.code";
    Ok(on!(tx, |conn| sqlx::query_as(CODES).bind(account).fetch_all(conn).await?))
}

/// Makes a member of staff's code at a store, unless there is one: then that stays.
pub(super) async fn insert_staff(
    tx: &mut Tx,
    (account, display_name): (&AccountId, &str),
    location: &LocationId,
    now: Millis,
) -> Result<(), StoreError> {
    const INSERT: &str = "
        INSERT INTO staff_codes (code, account_id, location_id, display_name, created_at_ms)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (account_id, location_id) DO UPDATE SET ended_at_ms = NULL";
    on!(tx, |conn| sqlx::query(INSERT)
        .bind(fresh(STAFF_CHARS))
        .bind(account)
        .bind(location)
        .bind(display_name)
        .bind(now)
        .execute(conn)
        .await
        .map(drop))?;
    Ok(())
}

/// Whose code it is, while it counts, and the name that customers see.
pub(super) async fn find_staff(tx: &mut Tx, code: &str) -> Result<Option<(AccountId, String)>, StoreError> {
    const FIND: &str = "SELECT account_id, display_name FROM staff_codes WHERE code = $1 AND ended_at_ms IS NULL";
    Ok(on!(tx, |conn| sqlx::query_as(FIND).bind(code).fetch_optional(conn).await?))
}

/// A link that is to be made.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
pub struct NewLink {
    /// To one product of the live; absent: to the live.
    pub product_id: Option<ProductId>,
    /// What it is for, for the report; at most 60 characters.
    pub campaign: Option<String>,
}

/// A link that somebody shares.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct ShareLink {
    /// What its address carries: `?via=…`.
    pub code: String,
    /// To which live.
    pub live_id: LiveId,
    /// To which product of it.
    pub product_id: Option<ProductId>,
    /// What it is for.
    pub campaign: Option<String>,
    /// When it was made.
    pub created_at_ms: Millis,
}

/// Makes a link.
pub(super) async fn insert_link(
    tx: &mut Tx,
    live: &LiveId,
    new: &NewLink,
    by: &AccountId,
    now: Millis,
) -> Result<ShareLink, StoreError> {
    const INSERT: &str = "
        INSERT INTO share_links (code, live_id, product_id, campaign, created_by, created_at_ms)
        VALUES ($1, $2, $3, $4, $5, $6)";
    let link = ShareLink {
        code: fresh(LINK_CHARS),
        live_id: live.clone(),
        product_id: new.product_id.clone(),
        campaign: new.campaign.clone(),
        created_at_ms: now,
    };
    on!(tx, |conn| sqlx::query(INSERT)
        .bind(&link.code)
        .bind(live)
        .bind(&link.product_id)
        .bind(&link.campaign)
        .bind(by)
        .bind(now)
        .execute(conn)
        .await
        .map(drop))?;
    Ok(link)
}

const LINK: &str = "SELECT code, live_id, product_id, campaign, created_at_ms FROM share_links WHERE code = $1";

/// Where a link leads.
pub(super) async fn find_link(tx: &mut Tx, code: &str) -> Result<Option<ShareLink>, StoreError> {
    Ok(on!(tx, |conn| sqlx::query_as(LINK).bind(code).fetch_optional(conn).await?))
}

/// The newest links that somebody made to a live.
pub(super) async fn links_of(
    tx: &mut Tx,
    live: &LiveId,
    by: &AccountId,
    limit: i64,
) -> Result<Vec<ShareLink>, StoreError> {
    const LINKS: &str = "
        SELECT code, live_id, product_id, campaign, created_at_ms
        FROM share_links
        WHERE live_id = $1 AND created_by = $2
        ORDER BY created_at_ms DESC, code
        LIMIT $3";
    Ok(on!(tx, |conn| sqlx::query_as(LINKS).bind(live).bind(by).bind(limit).fetch_all(conn).await?))
}

/// Links that somebody made to a live.
pub(super) async fn count_links(tx: &mut Tx, live: &LiveId, by: &AccountId) -> Result<i64, StoreError> {
    const COUNT: &str = "SELECT COUNT(*) FROM share_links WHERE live_id = $1 AND created_by = $2";
    let (count,): (i64,) = on!(tx, |conn| sqlx::query_as(COUNT).bind(live).bind(by).fetch_one(conn).await?);
    Ok(count)
}
