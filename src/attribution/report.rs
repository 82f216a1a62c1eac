//! Table: sums over the credit ledger; reads all, writes none.
//!
//! Invariant: every figure of a report is a sum over [`CreditLine`]s that the same filter lists; the CSV is those lines.
//! Every query carries its brand's id.

use serde::Serialize;

use super::{
    AttributionError, Filters,
    rule::DAY_MS,
    standing::{credit_standing, credit_standing_joins},
};
use crate::{
    clock::{Clock, Millis},
    ids::{AccountId, BrandId, CreditId, LiveId, LiverId, LocationId, OrderId, OrderLineId, ProductId, SkuId},
    money::Currency,
    on,
    store::Db,
};

/// Lines of one page.
pub(super) const MAX_PAGE: i64 = 500;
/// Lines of one CSV file; beyond it the period must be narrowed.
const MAX_CSV_LINES: usize = 200_000;

/// From when (included) until when (not included); open where `None`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Window {
    /// First moment.
    pub from: Option<Millis>,
    /// First moment after.
    pub to: Option<Millis>,
}

/// A brand's report.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Report {
    /// Whose.
    pub brand_id: BrandId,
    /// Of every amount.
    pub currency: Currency,
    /// First moment.
    pub from_ms: Option<Millis>,
    /// First moment after.
    pub to_ms: Option<Millis>,
    /// Of all rows.
    pub totals: Totals,
    /// Per live and liver, newest live first.
    pub rows: Vec<ReportRow>,
    /// What the words mean.
    pub definitions: &'static [Definition],
    /// When it was read.
    pub as_of_ms: Millis,
}

/// Sums.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Totals {
    /// Orders that were paid.
    pub orders: i64,
    /// Units sold, less those that came back.
    pub units: i64,
    /// Credited sales, tax included.
    pub gross_minor: i64,
    /// Of those, reversed (zero or negative).
    pub cancelled_minor: i64,
    /// Gross and cancelled together.
    pub net_minor: i64,
    /// What the liver earns of it.
    pub commission_minor: i64,
}

/// One live and liver.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct ReportRow {
    /// The live.
    pub live_id: LiveId,
    /// Its title.
    pub live_title: String,
    /// Made by `hanamichi demo`.
    pub live_demo: bool,
    /// Who is credited.
    pub liver_id: LiverId,
    /// What people see.
    pub liver_name: String,
    /// Orders that were paid.
    pub orders: i64,
    /// Units sold, less those that came back.
    pub units: i64,
    /// Credited sales, tax included.
    pub gross_minor: i64,
    /// Of those, reversed.
    pub cancelled_minor: i64,
    /// Gross and cancelled together.
    pub net_minor: i64,
    /// What the liver earns of it.
    pub commission_minor: i64,
}

/// What a figure means.
#[derive(Debug, Clone, Copy, Serialize, utoipa::ToSchema)]
pub struct Definition {
    /// The figure's field name.
    pub name: &'static str,
    /// In Japanese.
    pub ja: &'static str,
    /// In English.
    pub en: &'static str,
}

/// What the words of a report mean, in the order of its columns.
#[must_use]
pub fn definitions() -> &'static [Definition] {
    &[
        Definition {
            name: "orders",
            ja: "支払いが承認された注文の数（この配信に帰属したもの）",
            en: "Orders whose payment was authorised, credited to this live",
        },
        Definition {
            name: "units",
            ja: "売れた点数（取消・返品を引いたもの）",
            en: "Units sold, less those cancelled or returned",
        },
        Definition {
            name: "gross_minor",
            ja: "帰属売上（税込・値引き後）。取消・返品を引く前の金額",
            en: "Credited sales, tax included, after discounts, before cancellations and returns",
        },
        Definition {
            name: "cancelled_minor",
            ja: "取消・返品による減額（0 以下）",
            en: "Cancellations and returns (zero or negative)",
        },
        Definition { name: "net_minor", ja: "帰属売上 ＋ 取消・返品", en: "Gross plus cancelled" },
        Definition {
            name: "commission_minor",
            ja: "ライバーの報酬（見込み）。明細ごとに料率を掛け、円未満切り捨て",
            en: "The liver's commission (estimated): per line, base times rate, fractions of a yen dropped",
        },
    ]
}

/// One row of the ledger.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct CreditLine {
    /// The ledger row.
    pub credit_id: CreditId,
    /// When it was written.
    pub at_ms: Millis,
    /// `sale` or `reversal`.
    pub kind: String,
    /// Of which order.
    pub order_id: OrderId,
    /// What people read out.
    pub order_number: String,
    /// Of which line.
    pub order_line_id: OrderLineId,
    /// In which live; `null`: staff sold it without one.
    pub live_id: Option<LiveId>,
    /// Which liver is credited; `null`: a member of staff is.
    pub liver_id: Option<LiverId>,
    /// Which member of staff is credited (an account); `null`: a liver is.
    pub staff_id: Option<AccountId>,
    /// What people see of who is credited.
    pub liver_name: String,
    /// As it was called then.
    pub product_title: String,
    /// As it was called then.
    pub variant: String,
    /// What is counted.
    pub sku_id: SkuId,
    /// Units; negative in a reversal, like its amounts.
    pub qty: i32,
    /// Credited amount, tax included.
    pub base_minor: i64,
    /// Share of the line, basis points.
    pub share_bp: i32,
    /// Rate, basis points, frozen.
    pub commission_bp: i32,
    /// What the liver earns.
    pub commission_minor: i64,
    /// Which rule decided.
    pub rule: String,
    /// Its version, frozen.
    pub rule_version: i32,
    /// Ids of what it rests on (JSON).
    pub evidence: String,
    /// `estimated`, then `confirmed` when the goods left and the days for returns are over, `payable`, `paid`.
    pub state: String,
}

/// A page of the ledger.
#[derive(Debug, Clone, Serialize)]
pub struct LinePage {
    /// Oldest first.
    pub items: Vec<CreditLine>,
    /// Give it back for the next page.
    pub next_cursor: Option<String>,
}

/// The reading side. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reports {
    pub(super) db: Db,
    pub(super) clock: Clock,
    return_days: u32,
}

impl Reports {
    /// Over this database.
    #[must_use]
    pub fn new(db: Db, clock: Clock, return_days: u32) -> Self {
        Self { db, clock, return_days }
    }

    /// What left before that can come back no more.
    fn sent_before(&self) -> Millis {
        Millis(self.clock.now().0 - i64::from(self.return_days) * DAY_MS)
    }

    /// The report of one brand.
    ///
    /// # Errors
    /// The database's.
    pub async fn report(&self, brand: &BrandId, window: Window) -> Result<Report, AttributionError> {
        const ROWS: &str = "
            SELECT c.live_id, l.title AS live_title, l.demo AS live_demo, v.id AS liver_id, v.display_name AS liver_name,
                   COUNT(DISTINCT CASE WHEN c.kind = 'sale' THEN c.order_id END) AS orders,
                   CAST(COALESCE(SUM(c.qty), 0) AS BIGINT) AS units,
                   CAST(COALESCE(SUM(CASE WHEN c.kind = 'sale' THEN c.base_minor ELSE 0 END), 0) AS BIGINT) AS gross_minor,
                   CAST(COALESCE(SUM(CASE WHEN c.kind = 'sale' THEN 0 ELSE c.base_minor END), 0) AS BIGINT) AS cancelled_minor,
                   CAST(COALESCE(SUM(c.base_minor), 0) AS BIGINT) AS net_minor,
                   CAST(COALESCE(SUM(c.commission_minor), 0) AS BIGINT) AS commission_minor
            FROM credits c
            JOIN lives l ON l.id = c.live_id
            JOIN livers v ON v.id = c.party_id
            WHERE c.brand_id = $1 AND c.pool = 'liver' AND c.at_ms >= $2 AND c.at_ms < $3
            GROUP BY c.live_id, l.title, l.demo, v.id, v.display_name
            ORDER BY c.live_id DESC, v.id";
        // An order with lines of two lives counts in both rows, and once in the total.
        const ORDERS: &str = "
            SELECT COUNT(DISTINCT order_id)
            FROM credits
            WHERE brand_id = $1 AND pool = 'liver' AND kind = 'sale' AND at_ms >= $2 AND at_ms < $3";
        let (from, to) = window.bounds();
        let mut tx = self.db.read("brand report").await?;
        let rows = on!(&mut tx, |conn| sqlx::query_as::<_, ReportRow>(ROWS)
            .bind(brand)
            .bind(from)
            .bind(to)
            .fetch_all(conn)
            .await
            .map_err(crate::store::StoreError::from)?);
        let (orders,): (i64,) = on!(&mut tx, |conn| sqlx::query_as(ORDERS)
            .bind(brand)
            .bind(from)
            .bind(to)
            .fetch_one(conn)
            .await
            .map_err(crate::store::StoreError::from)?);
        let sum = |field: fn(&ReportRow) -> i64| rows.iter().map(field).sum();
        let totals = Totals {
            orders,
            units: sum(|r| r.units),
            gross_minor: sum(|r| r.gross_minor),
            cancelled_minor: sum(|r| r.cancelled_minor),
            net_minor: sum(|r| r.net_minor),
            commission_minor: sum(|r| r.commission_minor),
        };
        Ok(Report {
            brand_id: brand.clone(),
            currency: Currency::Jpy,
            from_ms: window.from,
            to_ms: window.to,
            totals,
            rows,
            definitions: definitions(),
            as_of_ms: self.clock.now(),
        })
    }

    /// The ledger lines behind a report, oldest first.
    ///
    /// # Errors
    /// [`AttributionError::Invalid`] for a cursor that is not ours.
    pub async fn lines(&self, brand: &BrandId, filter: &LineFilter, limit: i64) -> Result<LinePage, AttributionError> {
        const LINES: &str = concat!(
            "
            SELECT c.id AS credit_id, c.at_ms, c.kind, c.order_id, o.number AS order_number, c.order_line_id, c.live_id,
                   v.id AS liver_id, CASE WHEN c.pool = 'staff' THEN c.party_id END AS staff_id,
                   COALESCE(v.display_name, (SELECT MAX(f.display_name) FROM staff_codes f WHERE f.account_id = c.party_id),
                            '') AS liver_name, n.product_title, n.variant, n.sku_id, c.qty, c.base_minor,
                   c.share_bp, c.commission_bp, c.commission_minor, c.rule, c.rule_version, c.evidence,
                   ",
            credit_standing!("$14"),
            " AS state
            FROM (SELECT c.* FROM credits c
                  WHERE c.brand_id = $1 AND c.pool = CASE WHEN $15 = '' THEN 'liver' ELSE 'staff' END
                    AND ($15 = '' OR c.party_id = $15) AND c.at_ms >= $2 AND c.at_ms < $3
                    AND ($4 = '' OR c.live_id = $4) AND ($5 = '' OR c.party_id = $5) AND c.id > $6
                    AND ($8 = '' OR c.product_id = $8) AND ($9 = '' OR c.sku_id = $9)
                    AND ($10 = '' OR c.location_id = $10) AND ($11 = '' OR c.channel = $11)
                    AND ($12 = '' OR c.campaign = $12) AND ($13 < 0 OR (c.at_ms + 32400000) / 3600000 % 24 = $13)
                  ORDER BY c.id
                  LIMIT $7) c
            JOIN orders o ON o.id = c.order_id
            JOIN order_lines n ON n.id = c.order_line_id
            LEFT JOIN livers v ON v.id = c.party_id ",
            credit_standing_joins!(),
            "ORDER BY c.id"
        );
        let more = &filter.more;
        let (from, to) = filter.window.bounds();
        let limit = limit.clamp(1, MAX_PAGE);
        let after = match &filter.after {
            Some(cursor) => {
                CreditId::parse(cursor).map_err(|e| AttributionError::Invalid(format!("cursor: {e}")))?.to_string()
            }
            None => String::new(),
        };
        let mut tx = self.db.read("ledger lines").await?;
        let mut items = on!(&mut tx, |conn| sqlx::query_as::<_, CreditLine>(LINES)
            .bind(brand)
            .bind(from)
            .bind(to)
            .bind(more.live.as_ref().map_or("", LiveId::as_str))
            .bind(more.liver.as_ref().map_or("", LiverId::as_str))
            .bind(after)
            .bind(limit + 1)
            .bind(more.product.as_ref().map_or("", ProductId::as_str))
            .bind(more.sku.as_ref().map_or("", SkuId::as_str))
            .bind(more.location.as_ref().map_or("", LocationId::as_str))
            .bind(more.channel.as_deref().unwrap_or_default())
            .bind(more.campaign.as_deref().unwrap_or_default())
            .bind(filter.hour.map_or(-1, i64::from))
            .bind(self.sent_before())
            .bind(more.staff.as_ref().map_or("", AccountId::as_str))
            .fetch_all(conn)
            .await
            .map_err(crate::store::StoreError::from)?);
        let is_more = i64::try_from(items.len()).is_ok_and(|len| len > limit);
        if is_more {
            items.pop();
        }
        let next_cursor = is_more.then(|| items.last().map(|line| line.credit_id.to_string())).flatten();
        Ok(LinePage { items, next_cursor })
    }

    /// The ledger lines of a report as CSV: UTF-8 with BOM, CRLF, text guarded against formulas.
    ///
    /// # Errors
    /// [`AttributionError::Invalid`] when there are too many lines for one file.
    pub async fn csv(&self, brand: &BrandId, window: Window) -> Result<Vec<u8>, AttributionError> {
        const HEADER: [&str; 17] = [
            "credit_id",
            "at",
            "kind",
            "order_number",
            "order_line_id",
            "live_id",
            "liver_id",
            "liver",
            "product",
            "variant",
            "sku_id",
            "qty",
            "credited_sales_jpy",
            "share_bp",
            "commission_bp",
            "commission_jpy",
            "rule",
        ];
        let mut csv = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(b"\xef\xbb\xbf".to_vec());
        let written = |result: Result<(), csv::Error>| result.expect("writing to memory does not fail");
        written(csv.write_record(HEADER));
        let mut filter = LineFilter { window, ..LineFilter::default() };
        let mut count = 0;
        loop {
            let page = self.lines(brand, &filter, MAX_PAGE).await?;
            count += page.items.len();
            if count > MAX_CSV_LINES {
                return Err(AttributionError::Invalid(format!(
                    "the period has more than {MAX_CSV_LINES} lines; choose a shorter one"
                )));
            }
            for line in &page.items {
                written(csv.write_record(csv_row(line)));
            }
            match page.next_cursor {
                Some(cursor) => filter.after = Some(cursor),
                None => break,
            }
        }
        Ok(csv.into_inner().expect("flushing to memory does not fail"))
    }
}

/// Which lines.
#[derive(Debug, Clone, Default)]
pub struct LineFilter {
    /// When.
    pub window: Window,
    /// Of one live, product, store and so on.
    pub more: Filters,
    /// Of this hour of the day, in Japan.
    pub hour: Option<u8>,
    /// After this cursor.
    pub after: Option<String>,
}

impl Window {
    pub(super) fn bounds(self) -> (Millis, Millis) {
        (self.from.unwrap_or(Millis(i64::MIN)), self.to.unwrap_or(Millis(i64::MAX)))
    }
}

fn csv_row(line: &CreditLine) -> [String; 17] {
    [
        line.credit_id.to_string(),
        civil(line.at_ms),
        line.kind.clone(),
        line.order_number.clone(),
        line.order_line_id.to_string(),
        line.live_id.as_ref().map(ToString::to_string).unwrap_or_default(),
        line.liver_id.as_ref().map(ToString::to_string).unwrap_or_default(),
        guard(&line.liver_name),
        guard(&line.product_title),
        guard(&line.variant),
        line.sku_id.to_string(),
        line.qty.to_string(),
        line.base_minor.to_string(),
        line.share_bp.to_string(),
        line.commission_bp.to_string(),
        line.commission_minor.to_string(),
        format!("{}/{}", line.rule, line.rule_version),
    ]
}

/// Japan's civil time with its offset (RFC 3339).
pub(crate) fn civil(at: Millis) -> String {
    let instant = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default();
    match instant.in_tz("Asia/Tokyo") {
        Ok(zoned) => zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        Err(_) => instant.to_string(),
    }
}

/// A text that a spreadsheet would run as a formula gets an apostrophe in front (OWASP: CSV injection).
pub(crate) fn guard(text: &str) -> String {
    // A Japanese spreadsheet reads full-width signs as the narrow ones.
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_guarded_and_times_are_japans() {
        assert_eq!(guard("=HYPERLINK(1)"), "'=HYPERLINK(1)");
        assert_eq!(guard("＝1+1"), "'＝1+1");
        assert_eq!(guard("羊羹"), "羊羹");
        assert_eq!(civil(Millis(0)), "1970-01-01T09:00:00+09:00");
    }
}
