//! Table: what a liver earns, as sums over their own credits; reads only.
//!
//! Invariant: every query carries the liver's id; nothing of who bought is read.

use serde::Serialize;

use super::SettlementError;
use crate::{
    attribution::{Window, credit_standing, credit_standing_joins},
    clock::{Clock, Millis},
    ids::{BrandId, CreditId, LiveId, LiverId, ProductId, StatementId},
    money::Currency,
    on,
    store::Db,
};

/// Rows of a list by live or product: the newest lives, the best products.
const MAX_ROWS: i64 = 500;
const DAY_MS: i64 = 24 * 3_600_000;

/// How far a commission has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// The goods have not left, or may still come back.
    Estimated,
    /// They stay where they are.
    Confirmed,
    /// It is in a closed statement.
    Payable,
    /// That was paid.
    Paid,
}

impl Standing {
    /// Every standing.
    pub const ALL: &[Self] = &[Self::Estimated, Self::Confirmed, Self::Payable, Self::Paid];

    /// As sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Estimated => "estimated",
            Self::Confirmed => "confirmed",
            Self::Payable => "payable",
            Self::Paid => "paid",
        }
    }
}

crate::stored_as_text!(Standing);

/// Commission by how far it has come, without tax.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct StandingSums {
    /// The goods have not left, or may still come back.
    pub estimated_minor: i64,
    /// They stay where they are.
    pub confirmed_minor: i64,
    /// In closed statements.
    pub payable_minor: i64,
    /// Paid.
    pub paid_minor: i64,
}

/// One live's sales of one brand.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct LiveEarnings {
    /// The live.
    pub live_id: LiveId,
    /// Its title.
    pub title: String,
    /// Whose products.
    pub brand_id: BrandId,
    /// What people see.
    pub brand_name: String,
    /// Units sold, less those that came back.
    pub units: i64,
    /// Credited sales, tax included.
    pub gross_minor: i64,
    /// Less what was cancelled or came back.
    pub net_minor: i64,
    /// What is earned of it, without tax.
    pub commission_minor: i64,
    /// The same, by how far it has come.
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub sums: StandingSums,
}

/// One product's sales.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct ProductEarnings {
    /// The product.
    pub product_id: ProductId,
    /// As it is called.
    pub title: String,
    /// Whose it is.
    pub brand_id: BrandId,
    /// What people see.
    pub brand_name: String,
    /// Units sold, less those that came back.
    pub units: i64,
    /// Credited sales, tax included.
    pub gross_minor: i64,
    /// Less what was cancelled or came back.
    pub net_minor: i64,
    /// What is earned of it, without tax.
    pub commission_minor: i64,
    /// The same, by how far it has come.
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub sums: StandingSums,
}

/// What a liver earns.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct EarningsView {
    /// All of the period, by how far it has come.
    #[serde(flatten)]
    pub sums: StandingSums,
    /// Of the amounts.
    pub currency: Currency,
    /// Newest live first, at most 500.
    pub by_live: Vec<LiveEarnings>,
    /// By commission, at most 500.
    pub by_product: Vec<ProductEarnings>,
    /// When it was read.
    pub as_of_ms: Millis,
}

/// One row of the ledger, as its liver sees it.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct EarningsLine {
    /// The ledger row.
    pub credit_id: CreditId,
    /// When it was written.
    pub at_ms: Millis,
    /// `sale` or `reversal`.
    pub kind: String,
    /// In which live.
    pub live_id: LiveId,
    /// Its title.
    pub live_title: String,
    /// Whose product.
    pub brand_id: BrandId,
    /// What people see.
    pub brand_name: String,
    /// As it was called then.
    pub product_title: String,
    /// As it was called then.
    pub variant: String,
    /// Units; negative in a reversal, like its amounts.
    pub qty: i32,
    /// Credited amount, tax included.
    pub base_minor: i64,
    /// Rate, basis points, frozen.
    pub commission_bp: i32,
    /// What is earned, without tax.
    pub commission_minor: i64,
    /// How far it has come.
    pub state: Standing,
    /// The statement that it is in.
    pub statement_id: Option<StatementId>,
}

/// A liver's credits ($1) of a period ($2, $3) with their standing ($4).
macro_rules! own_credits {
    () => {
        concat!(
            " (SELECT c.*, sl.statement_id, ",
            credit_standing!("$4"),
            " AS standing
               FROM credits c ",
            credit_standing_joins!(),
            " WHERE c.party_id = $1 AND c.pool = 'liver' AND c.at_ms >= $2 AND c.at_ms < $3) "
        )
    };
}

macro_rules! standing_sums {
    () => {
        " CAST(COALESCE(SUM(CASE WHEN c.standing = 'estimated' THEN c.commission_minor ELSE 0 END), 0) AS BIGINT) AS estimated_minor,
          CAST(COALESCE(SUM(CASE WHEN c.standing = 'confirmed' THEN c.commission_minor ELSE 0 END), 0) AS BIGINT) AS confirmed_minor,
          CAST(COALESCE(SUM(CASE WHEN c.standing = 'payable' THEN c.commission_minor ELSE 0 END), 0) AS BIGINT) AS payable_minor,
          CAST(COALESCE(SUM(CASE WHEN c.standing = 'paid' THEN c.commission_minor ELSE 0 END), 0) AS BIGINT) AS paid_minor "
    };
}

macro_rules! figures {
    () => {
        concat!(
            " CAST(SUM(c.qty) AS BIGINT) AS units,
              CAST(SUM(CASE WHEN c.kind = 'sale' THEN c.base_minor ELSE 0 END) AS BIGINT) AS gross_minor,
              CAST(SUM(c.base_minor) AS BIGINT) AS net_minor,
              CAST(SUM(c.commission_minor) AS BIGINT) AS commission_minor, ",
            standing_sums!()
        )
    };
}

/// What livers earn. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Earnings {
    db: Db,
    clock: Clock,
    return_days: u32,
}

impl Earnings {
    /// Over this database.
    #[must_use]
    pub fn new(db: Db, clock: Clock, return_days: u32) -> Self {
        Self { db, clock, return_days }
    }

    /// Goods that left before that do not come back.
    fn before(&self, now: Millis) -> Millis {
        Millis(now.0.saturating_sub(i64::from(self.return_days) * DAY_MS))
    }

    /// What a liver earns of a period.
    ///
    /// # Errors
    /// The database's.
    pub async fn of(&self, liver: &LiverId, window: Window) -> Result<EarningsView, SettlementError> {
        const ALL: &str = concat!("SELECT ", standing_sums!(), " FROM ", own_credits!(), " c");
        const BY_LIVE: &str = concat!(
            "SELECT c.live_id, l.title, c.brand_id, b.name AS brand_name, ",
            figures!(),
            " FROM ",
            own_credits!(),
            " c
             JOIN lives l ON l.id = c.live_id
             JOIN brands b ON b.id = c.brand_id
             GROUP BY c.live_id, l.title, c.brand_id, b.name
             ORDER BY c.live_id DESC, c.brand_id
             LIMIT $5"
        );
        const BY_PRODUCT: &str = concat!(
            "SELECT c.product_id, p.title, c.brand_id, b.name AS brand_name, ",
            figures!(),
            " FROM ",
            own_credits!(),
            " c
             JOIN products p ON p.id = c.product_id
             JOIN brands b ON b.id = c.brand_id
             GROUP BY c.product_id, p.title, c.brand_id, b.name
             ORDER BY commission_minor DESC, c.product_id
             LIMIT $5"
        );
        let now = self.clock.now();
        let before = self.before(now);
        let (from, to) = (window.from.unwrap_or(Millis(i64::MIN)), window.to.unwrap_or(Millis(i64::MAX)));
        let mut tx = self.db.read("earnings").await?;
        let sums = on!(&mut tx, |conn| sqlx::query_as::<_, StandingSums>(ALL)
            .bind(liver)
            .bind(from)
            .bind(to)
            .bind(before)
            .fetch_one(conn)
            .await
            .map_err(crate::store::StoreError::from)?);
        let by_live = on!(&mut tx, |conn| sqlx::query_as::<_, LiveEarnings>(BY_LIVE)
            .bind(liver)
            .bind(from)
            .bind(to)
            .bind(before)
            .bind(MAX_ROWS)
            .fetch_all(conn)
            .await
            .map_err(crate::store::StoreError::from)?);
        let by_product = on!(&mut tx, |conn| sqlx::query_as::<_, ProductEarnings>(BY_PRODUCT)
            .bind(liver)
            .bind(from)
            .bind(to)
            .bind(before)
            .bind(MAX_ROWS)
            .fetch_all(conn)
            .await
            .map_err(crate::store::StoreError::from)?);
        Ok(EarningsView { sums, currency: Currency::Jpy, by_live, by_product, as_of_ms: now })
    }

    /// A liver's ledger, newest first, before a cursor; of one live or of all.
    ///
    /// # Errors
    /// The database's.
    pub async fn lines(
        &self,
        liver: &LiverId,
        live: Option<&LiveId>,
        before: Option<&CreditId>,
        limit: i64,
    ) -> Result<Vec<EarningsLine>, SettlementError> {
        const LINES: &str = concat!(
            "SELECT c.id AS credit_id, c.at_ms, c.kind, c.live_id, l.title AS live_title, c.brand_id, b.name AS brand_name,
                    n.product_title, n.variant, c.qty, c.base_minor, c.commission_bp, c.commission_minor,
                    c.standing AS state, c.statement_id
             FROM ",
            own_credits!(),
            " c
             JOIN lives l ON l.id = c.live_id
             JOIN brands b ON b.id = c.brand_id
             JOIN order_lines n ON n.id = c.order_line_id
             WHERE ($5 = '' OR c.live_id = $5) AND c.id < $6
             ORDER BY c.id DESC
             LIMIT $7"
        );
        let now = self.clock.now();
        let mut tx = self.db.read("earnings lines").await?;
        Ok(on!(&mut tx, |conn| sqlx::query_as(LINES)
            .bind(liver)
            .bind(Millis(i64::MIN))
            .bind(Millis(i64::MAX))
            .bind(self.before(now))
            .bind(live.map_or("", LiveId::as_str))
            .bind(before.map_or("crd_zzzz", CreditId::as_str))
            .bind(limit)
            .fetch_all(conn)
            .await
            .map_err(crate::store::StoreError::from)?))
    }
}
