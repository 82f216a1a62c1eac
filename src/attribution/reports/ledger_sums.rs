//! Table: plain sums over the credit ledger; reads all, writes none.
//!
//! What the kept sums do not know (part of a day, two filters at once) is summed from the lines themselves.

use std::collections::BTreeMap;

use sqlx::AssertSqlSafe;

use super::{
    fold::{By, JAPAN_MS, Sums},
    query::Asked,
};
use crate::{
    on,
    store::{StoreError, Tx},
};

/// Sums, buyers, and how many of those for the first time.
pub(super) type Counted = (Sums, i64, i64);

impl By {
    fn column(self) -> String {
        match self {
            Self::Live => "COALESCE(c.live_id, '')".to_owned(),
            Self::Liver | Self::Staff => "c.party_id".to_owned(),
            Self::Product => "c.product_id".to_owned(),
            Self::Sku => "c.sku_id".to_owned(),
            Self::Day => format!("CAST((c.at_ms + {JAPAN_MS}) / 86400000 AS TEXT)"),
            Self::Hour => format!("CAST((c.at_ms + {JAPAN_MS}) / 3600000 % 24 AS TEXT)"),
            Self::Store => "COALESCE(c.location_id, '')".to_owned(),
            Self::Channel => "c.channel".to_owned(),
            Self::Campaign => "COALESCE(c.campaign, '')".to_owned(),
            Self::Brand => "c.brand_id".to_owned(),
        }
    }

    /// As a row's key, from what the database made of it.
    fn key(self, text: String) -> String {
        match self {
            Self::Day => text.parse().map_or(text, super::fold::day_text),
            Self::Hour => format!("{text:0>2}"),
            _ => text,
        }
    }
}

/// The sums of what was asked for, by key; `None`: of all together.
pub(super) async fn sums(
    tx: &mut Tx,
    asked: &Asked,
    split: Option<By>,
) -> Result<BTreeMap<String, Counted>, StoreError> {
    let pool = asked.pool();
    let key = split.map_or_else(|| "''".to_owned(), By::column);
    let (conditions, texts) = asked.conditions();
    // A sale before the period, of the same brand (of all: with anybody), in either pool.
    let same_brand = if asked.brand.is_some() { "e.brand_id = c.brand_id AND " } else { "" };
    let text = format!(
        "SELECT {key} AS k, COUNT(DISTINCT CASE WHEN c.kind = 'sale' THEN c.order_id END),
                CAST(COALESCE(SUM(c.qty), 0) AS BIGINT),
                CAST(COALESCE(SUM(CASE WHEN c.kind = 'sale' THEN c.base_minor ELSE 0 END), 0) AS BIGINT),
                CAST(COALESCE(SUM(CASE WHEN c.kind = 'sale' THEN 0 ELSE c.base_minor END), 0) AS BIGINT),
                CAST(COALESCE(SUM(c.commission_minor), 0) AS BIGINT),
                COUNT(DISTINCT CASE WHEN c.kind = 'sale' THEN c.customer_id END),
                COUNT(DISTINCT CASE WHEN c.kind = 'sale' AND NOT EXISTS (
                    SELECT 1 FROM credits e
                    WHERE {same_brand}e.customer_id = c.customer_id AND e.kind = 'sale' AND e.at_ms < $1)
                    THEN c.customer_id END)
         FROM credits c
         WHERE c.at_ms >= $1 AND c.at_ms < $2 AND c.pool = '{pool}'{conditions}
         GROUP BY 1"
    );
    let (from, to) = asked.window.bounds();
    let found: Vec<Summed> = on!(tx, |conn| {
        let query = sqlx::query_as(AssertSqlSafe(text)).bind(from).bind(to);
        texts.iter().fold(query, |query, text| query.bind(*text)).fetch_all(conn).await?
    });
    let keyed = |row: Summed| {
        let sums = Sums {
            orders: row.1,
            units: row.2,
            gross_minor: row.3,
            cancelled_minor: row.4,
            commission_minor: row.5,
            ..Sums::default()
        };
        (split.map_or_else(String::new, |by| by.key(row.0)), (sums, row.6, row.7))
    };
    Ok(found.into_iter().map(keyed).collect())
}

type Summed = (String, i64, i64, i64, i64, i64, i64, i64);
