//! Table: reads the ledger for a file, page by page, in one consistent picture.

use serde::{Deserialize, Serialize};

use super::{
    super::rule::Channel,
    super::standing::{credit_standing, credit_standing_joins},
    columns::LedgerRow,
};
use crate::{
    clock::Millis,
    ids::{BrandId, CreditId, LiveId, LiverId, LocationId, ProductId, SkuId},
    on,
    store::{StoreError, Tx},
};

/// Rows that are in memory at once.
const PAGE: i64 = 2_000;

/// Which rows of a brand's ledger.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportFilter {
    /// First moment, Unix milliseconds; open when absent.
    pub from_ms: Option<Millis>,
    /// First moment after; open when absent.
    pub to_ms: Option<Millis>,
    /// Of one live.
    pub live_id: Option<LiveId>,
    /// Of one liver.
    pub liver_id: Option<LiverId>,
    /// Of one product.
    pub product_id: Option<ProductId>,
    /// Of one SKU.
    pub sku_id: Option<SkuId>,
    /// Of one store.
    pub location_id: Option<LocationId>,
    /// Of one channel.
    pub channel: Option<Channel>,
    /// Of one campaign.
    pub campaign: Option<String>,
}

impl ExportFilter {
    fn from(&self) -> Millis {
        self.from_ms.unwrap_or(Millis(i64::MIN))
    }

    fn to(&self) -> Millis {
        self.to_ms.unwrap_or(Millis(i64::MAX))
    }
}

macro_rules! chosen {
    () => {
        "c.brand_id = $1 AND c.pool = 'liver' AND c.at_ms >= $2 AND c.at_ms < $3 AND ($4 = '' OR c.live_id = $4)
         AND ($5 = '' OR c.party_id = $5) AND ($6 = '' OR c.product_id = $6) AND ($7 = '' OR c.sku_id = $7)
         AND ($8 = '' OR c.location_id = $8) AND ($9 = '' OR c.channel = $9) AND ($10 = '' OR c.campaign = $10)"
    };
}

/// How many rows there are.
pub(super) async fn count(tx: &mut Tx, brand: &BrandId, filter: &ExportFilter) -> Result<i64, StoreError> {
    const COUNT: &str = concat!("SELECT COUNT(*) FROM credits c WHERE ", chosen!());
    let (count,): (i64,) = on!(tx, |conn| sqlx::query_as(COUNT)
        .bind(brand)
        .bind(filter.from())
        .bind(filter.to())
        .bind(filter.live_id.as_ref().map_or("", LiveId::as_str))
        .bind(filter.liver_id.as_ref().map_or("", LiverId::as_str))
        .bind(filter.product_id.as_ref().map_or("", ProductId::as_str))
        .bind(filter.sku_id.as_ref().map_or("", SkuId::as_str))
        .bind(filter.location_id.as_ref().map_or("", LocationId::as_str))
        .bind(filter.channel.map_or("", Channel::as_str))
        .bind(filter.campaign.as_deref().unwrap_or_default())
        .fetch_one(conn)
        .await?);
    Ok(count)
}

/// The next rows, oldest first; none at the end.
pub(super) async fn page(
    tx: &mut Tx,
    brand: &BrandId,
    (filter, sent_before): (&ExportFilter, Millis),
    after: Option<&(Millis, CreditId)>,
) -> Result<Vec<LedgerRow>, StoreError> {
    // From where the last page ended, by the index of brand and time; the rows of its last moment are told apart by id.
    const PAGE_OF: &str = concat!(
        "SELECT c.id AS credit_id, c.at_ms, c.kind, c.order_id, o.number AS order_number, c.order_line_id, c.live_id,
                l.title AS live_title, v.id AS liver_id, v.display_name AS liver_name, c.product_id, n.product_title,
                n.variant, c.sku_id, c.channel, c.location_id, c.campaign, c.qty, c.base_minor, c.share_bp,
                c.commission_bp, c.commission_minor, c.rule, c.rule_version, c.contract_id, c.contract_version,",
        credit_standing!("$13"),
        "AS state
         FROM credits c
         JOIN orders o ON o.id = c.order_id
         JOIN order_lines n ON n.id = c.order_line_id
         JOIN lives l ON l.id = c.live_id
         JOIN livers v ON v.id = c.party_id ",
        credit_standing_joins!(),
        "WHERE ",
        chosen!(),
        " AND (c.at_ms > $2 OR c.id > $11)
         ORDER BY c.at_ms, c.id
         LIMIT $12"
    );
    let (from, id) = match after {
        Some((at, id)) => (*at, id.as_str()),
        None => (filter.from(), ""),
    };
    Ok(on!(tx, |conn| sqlx::query_as(PAGE_OF)
        .bind(brand)
        .bind(from)
        .bind(filter.to())
        .bind(filter.live_id.as_ref().map_or("", LiveId::as_str))
        .bind(filter.liver_id.as_ref().map_or("", LiverId::as_str))
        .bind(filter.product_id.as_ref().map_or("", ProductId::as_str))
        .bind(filter.sku_id.as_ref().map_or("", SkuId::as_str))
        .bind(filter.location_id.as_ref().map_or("", LocationId::as_str))
        .bind(filter.channel.map_or("", Channel::as_str))
        .bind(filter.campaign.as_deref().unwrap_or_default())
        .bind(id)
        .bind(PAGE)
        .bind(sent_before)
        .fetch_all(conn)
        .await?))
}
