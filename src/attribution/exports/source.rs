//! Table: reads the ledger for a file, page by page, in one consistent picture.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sqlx::AssertSqlSafe;

use super::{
    super::{
        Asked, By, Filters, Window,
        rule::Channel,
        standing::{credit_standing, credit_standing_joins},
    },
    columns::LedgerRow,
};
use crate::{
    clock::Millis,
    ids::{AccountId, BrandId, CreditId, LiveId, LiverId, LocationId, ProductId, SkuId},
    on,
    store::{StoreError, Tx},
};

/// Rows that are in memory at once.
const PAGE: i64 = 2_000;
/// Where the table stands among what is stored of the filter.
const TABLE: &str = "table";

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
    /// Of one member of staff (an account), from the staff's pool.
    // Left out when it is not set: a version that does not know it can make all other files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staff_id: Option<AccountId>,
}

crate::stored_choice! {
    /// What the rows of a file are.
    ExportTable {
        /// The lines of the ledger.
        Lines = "lines",
        /// A report's rows, by live.
        Live = "live",
        /// By liver.
        Liver = "liver",
        /// By product.
        Product = "product",
        /// By what is counted.
        Sku = "sku",
        /// By day, in Japan.
        Day = "day",
        /// By the hour of the day, in Japan.
        Hour = "hour",
        /// By the store it was sold in.
        Store = "store",
        /// By channel.
        Channel = "channel",
        /// By campaign.
        Campaign = "campaign",
        /// By who served, of the staff pool.
        Staff = "staff",
    }
}

impl ExportTable {
    /// Which report has these rows; `None`: the ledger.
    fn by(self) -> Option<By> {
        Some(match self {
            Self::Lines => return None,
            Self::Live => By::Live,
            Self::Liver => By::Liver,
            Self::Product => By::Product,
            Self::Sku => By::Sku,
            Self::Day => By::Day,
            Self::Hour => By::Hour,
            Self::Store => By::Store,
            Self::Channel => By::Channel,
            Self::Campaign => By::Campaign,
            Self::Staff => By::Staff,
        })
    }
}

/// What a file is to have.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) table: ExportTable,
    pub(super) filter: ExportFilter,
}

impl Wanted {
    /// As it is stored: the filter, and a table that is not the ledger. Who does not know of tables, or not this one,
    /// cannot read it, so that nobody writes the ledger in its place.
    pub(super) fn to_text(&self) -> String {
        let mut stored = serde_json::to_value(&self.filter).expect("a filter is JSON");
        if self.table != ExportTable::Lines {
            stored[TABLE] = self.table.as_str().into();
        }
        stored.to_string()
    }

    /// As it was stored; `None`: this version cannot read it.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        let mut stored: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
        let table = stored.remove(TABLE).map_or(Ok(ExportTable::Lines), serde_json::from_value).ok()?;
        let filter = serde_json::from_value(stored.into()).ok()?;
        Some(Self { table, filter })
    }

    /// The report that has the rows; `None`: the ledger.
    pub(super) fn report(&self, brand: &BrandId) -> Option<Asked> {
        let filter = &self.filter;
        Some(Asked {
            brand: Some(brand.clone()),
            by: self.table.by()?,
            window: Window { from: filter.from_ms, to: filter.to_ms },
            filters: Filters {
                live: filter.live_id.clone(),
                liver: filter.liver_id.clone(),
                product: filter.product_id.clone(),
                sku: filter.sku_id.clone(),
                location: filter.location_id.clone(),
                channel: filter.channel.map(|channel| channel.as_str().to_owned()),
                campaign: filter.campaign.clone(),
                staff: filter.staff_id.clone(),
            },
        })
    }
}

/// The name of a file's table, as it was asked for, also by a newer version.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[serde(transparent)]
#[schema(value_type = ExportTable)]
pub struct TableName(String);

impl From<String> for TableName {
    /// From what is stored.
    fn from(stored: String) -> Self {
        let stored: serde_json::Value = serde_json::from_str(&stored).unwrap_or_default();
        Self(stored[TABLE].as_str().unwrap_or(ExportTable::Lines.as_str()).to_owned())
    }
}

impl ExportFilter {
    fn from(&self) -> Millis {
        self.from_ms.unwrap_or(Millis(i64::MIN))
    }

    fn to(&self) -> Millis {
        self.to_ms.unwrap_or(Millis(i64::MAX))
    }
}

/// Conditions on the ledger (`c`) besides brand and time, and what they are compared with, from parameter `$first` on. Only
/// those that are set: a planner that sees all of them thinks that hardly any row is left, and then reads the whole ledger
/// for each page.
fn conditions(filter: &ExportFilter, first: usize) -> (String, Vec<&str>) {
    let pool = if filter.staff_id.is_some() { "staff" } else { "liver" };
    let set = [
        ("party_id", filter.staff_id.as_ref().map(AccountId::as_str)),
        ("live_id", filter.live_id.as_ref().map(LiveId::as_str)),
        ("party_id", filter.liver_id.as_ref().map(LiverId::as_str)),
        ("product_id", filter.product_id.as_ref().map(ProductId::as_str)),
        ("sku_id", filter.sku_id.as_ref().map(SkuId::as_str)),
        ("location_id", filter.location_id.as_ref().map(LocationId::as_str)),
        ("channel", filter.channel.map(Channel::as_str)),
        ("campaign", filter.campaign.as_deref()),
    ];
    let (mut text, mut values) = (format!(" AND c.pool = '{pool}'"), Vec::new());
    for (column, value) in set.into_iter().filter_map(|(column, value)| Some((column, value?))) {
        // Writing to a String cannot fail.
        let _ = write!(text, " AND c.{column} = ${}", first + values.len());
        values.push(value);
    }
    (text, values)
}

/// Call it before [`page`]: PostgreSQL plans each page for what it asks. A plan for any brand and any time takes the rows to
/// be few and sorts them all: eighteen seconds a page of a million lines, where the index gives them in a few milliseconds.
pub(super) async fn begin(tx: &mut Tx) -> Result<(), StoreError> {
    if !tx.is_sqlite() {
        const PLAN: &str = "SET LOCAL plan_cache_mode = force_custom_plan";
        on!(tx, |conn| sqlx::query(PLAN).execute(conn).await.map(drop))?;
    }
    Ok(())
}

/// How many rows there are.
pub(super) async fn count(tx: &mut Tx, brand: &BrandId, filter: &ExportFilter) -> Result<i64, StoreError> {
    let (more, values) = conditions(filter, 4);
    let text = format!("SELECT COUNT(*) FROM credits c WHERE c.brand_id = $1 AND c.at_ms >= $2 AND c.at_ms < $3{more}");
    let (count,): (i64,) = on!(tx, |conn| {
        let query = sqlx::query_as(AssertSqlSafe(text)).bind(brand).bind(filter.from()).bind(filter.to());
        values.iter().fold(query, |query, value| query.bind(*value)).fetch_one(conn).await?
    });
    Ok(count)
}

/// The next rows, oldest first; none at the end.
pub(super) async fn page(
    tx: &mut Tx,
    brand: &BrandId,
    (filter, sent_before): (&ExportFilter, Millis),
    after: Option<&(Millis, CreditId)>,
) -> Result<Vec<LedgerRow>, StoreError> {
    const COLUMNS: &str = concat!(
        "SELECT c.id AS credit_id, c.at_ms, c.kind, c.order_id, o.number AS order_number, c.order_line_id, c.live_id,
                l.title AS live_title, v.id AS liver_id, v.display_name AS liver_name,
                CASE WHEN c.pool = 'staff' THEN c.party_id END AS staff_id,
                CASE WHEN c.pool = 'staff' THEN (SELECT MAX(f.display_name) FROM staff_codes f
                                                 WHERE f.account_id = c.party_id) END AS staff_name,
                c.product_id, n.product_title,
                n.variant, c.sku_id, c.channel, c.location_id, c.campaign, c.qty, c.base_minor, c.share_bp,
                c.commission_bp, c.commission_minor, c.rule, c.rule_version, c.contract_id, c.contract_version,",
        credit_standing!("$6"),
        "AS state "
    );
    const BESIDE: &str = concat!(
        " JOIN orders o ON o.id = c.order_id
         JOIN order_lines n ON n.id = c.order_line_id
         LEFT JOIN lives l ON l.id = c.live_id
         LEFT JOIN livers v ON v.id = c.party_id ",
        credit_standing_joins!(),
        "ORDER BY c.at_ms, c.id"
    );
    // From where the last page ended, by the index of brand and time; the rows of its last moment are told apart by id. The
    // page is chosen first, and what stands beside its lines is looked up for those alone.
    let (more, values) = conditions(filter, 7);
    let text = format!(
        "{COLUMNS} FROM (SELECT c.* FROM credits c
                         WHERE c.brand_id = $1 AND c.at_ms >= $2 AND c.at_ms < $3 AND (c.at_ms > $2 OR c.id > $4){more}
                         ORDER BY c.at_ms, c.id
                         LIMIT $5) c {BESIDE}"
    );
    let (from, id) = match after {
        Some((at, id)) => (*at, id.as_str()),
        None => (filter.from(), ""),
    };
    Ok(on!(tx, |conn| {
        let query = sqlx::query_as(AssertSqlSafe(text))
            .bind(brand)
            .bind(from)
            .bind(filter.to())
            .bind(id)
            .bind(PAGE)
            .bind(sent_before);
        values.iter().fold(query, |query, value| query.bind(*value)).fetch_all(conn).await?
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_know_what_is_wanted_cannot_read_it() {
        let ledger = Wanted { table: ExportTable::Lines, filter: ExportFilter::default() };
        // What versions without tables and staff read.
        assert!(serde_json::from_str::<ExportFilter>(&ledger.to_text()).is_ok());
        assert!(!ledger.to_text().contains("staff_id"), "{}", ledger.to_text());
        let report = Wanted { table: ExportTable::Sku, ..ledger };
        assert!(serde_json::from_str::<ExportFilter>(&report.to_text()).is_err());
        for known in ["{}", r#"{"table":"lines"}"#, &report.to_text()] {
            assert!(Wanted::from_text(known).is_some(), "{known}");
        }
        for unknown in [r#"{"table":"galaxy"}"#, r#"{"table":null}"#, r#"{"table":"sku","weather":"fine"}"#, "[]", "x"]
        {
            assert!(Wanted::from_text(unknown).is_none(), "{unknown}");
        }
        assert_eq!(Wanted::from_text(&report.to_text()).map(|wanted| wanted.table), Some(ExportTable::Sku));
    }
}
