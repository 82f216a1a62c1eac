//! Table: who watched, who came back, and which lives helped others to sell; reads all, writes none.

use serde::Serialize;

use super::{figures::FEWEST_PEOPLE, fold::DAY_MS};
use crate::{
    attribution::{AttributionError, Definition, Reports, Window},
    clock::Millis,
    ids::{BrandId, LiveId},
    on,
    store::StoreError,
};

/// Lives of one report: the newest.
const MAX_LIVES: i64 = 1_000;

/// Something of several lives.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct LivesReport<T> {
    /// Whose.
    pub brand_id: BrandId,
    /// First moment.
    pub from_ms: Option<Millis>,
    /// First moment after.
    pub to_ms: Option<Millis>,
    /// When it was read.
    pub as_of_ms: Millis,
    /// A live each; at most 1,000.
    pub rows: Vec<T>,
    /// What the words mean.
    pub definitions: &'static [Definition],
}

/// Who watched a live, and who of them bought of the brand.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct AudienceRow {
    /// Which live.
    pub live_id: LiveId,
    /// Its title.
    pub title: String,
    /// When it went on air.
    pub started_at_ms: Option<Millis>,
    /// When it ended.
    pub ended_at_ms: Option<Millis>,
    /// The most at once.
    pub peak_viewers: i64,
    /// Thousandths of viewers on average while it was on.
    pub average_viewers_milli: i64,
    /// Different people.
    pub unique_viewers: i64,
    /// Of them, those who watched for three seconds or more; 0: nobody did, or nobody counted.
    pub watchers: i64,
    /// Over all viewers.
    pub watched_ms: i64,
    /// Different people who bought of the brand; `null`: fewer than ten.
    pub buyers: Option<i64>,
    /// Buyers by those who watched for three seconds or more, basis points; `null`: too few bought, or nobody counted.
    pub conversion_bp: Option<i64>,
    /// Sales credited to it.
    pub gross_minor: i64,
    /// Less what came back.
    pub net_minor: i64,
}

/// Who bought of the brand for the first time through a live, and what they have bought since.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct CohortRow {
    /// The live that is credited with their first order.
    pub live_id: LiveId,
    /// Its title.
    pub title: String,
    /// How many they are; `null`: fewer than ten.
    pub customers: Option<i64>,
    /// Net sales by customer in the first 90 days.
    pub ltv_90_minor: Option<i64>,
    /// In the first 180 days.
    pub ltv_180_minor: Option<i64>,
    /// In the first 365 days.
    pub ltv_365_minor: Option<i64>,
    /// Whether 90 days have passed for all of them.
    pub complete_90: bool,
    /// Whether 180 have.
    pub complete_180: bool,
    /// Whether 365 have.
    pub complete_365: bool,
}

/// What a live helped others to sell.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct AssistRow {
    /// Which live.
    pub live_id: LiveId,
    /// Its title.
    pub title: String,
    /// Orders that are another live's.
    pub influenced_orders: i64,
    /// Their sales, before anything came back.
    pub influenced_minor: i64,
}

const fn say(name: &'static str, ja: &'static str, en: &'static str) -> Definition {
    Definition { name, ja, en }
}

const AUDIENCE: &[Definition] = &[
    say("peak_viewers", "最大同時視聴者数", "The most viewers at once"),
    say(
        "average_viewers_milli",
        "総視聴時間 ÷ 配信時間（1000分の1人）",
        "Time watched by time on air, in thousandths of a viewer",
    ),
    say(
        "unique_viewers",
        "視聴した人数（重複なし・推定誤差約2%）",
        "Different people who watched (an estimate, about 2 % off)",
    ),
    say("watched_ms", "全員の視聴時間の合計", "Time watched, over all viewers"),
    say(
        "buyers",
        "この配信に帰属する購入者の人数。10人未満は表示しない",
        "Different buyers credited to this live; fewer than ten are not told",
    ),
    say(
        "watchers",
        "そのうち、3秒以上続けて視聴した人数（重複なし・推定誤差約2%）",
        "Of them, those who watched for three seconds or more at a stretch (an estimate, about 2 % off)",
    ),
    say(
        "conversion_bp",
        "購入者 ÷ 3秒以上続けて視聴した人数（重複なし、1万分率）",
        "Buyers by different people who watched for three seconds or more at a stretch, basis points",
    ),
    say("gross_minor", "この配信に帰属する売上（税込）", "Sales credited to this live, tax included"),
    say("net_minor", "帰属売上から取消・返品を引いたもの", "The same, less what came back"),
];
const LTV: &[Definition] = &[
    say(
        "customers",
        "期間内にこのブランドで初めて注文した人を、その注文が帰属する配信で分けた人数。10人未満は表示しない",
        "People whose first order with the brand is of the period, by the live that is credited with it; fewer than ten are not told",
    ),
    say(
        "ltv_90_minor",
        "初回注文から90日間の純売上 ÷ 人数（実績）",
        "Net sales in 90 days from the first order, by customer; realised",
    ),
    say("ltv_180_minor", "同じく180日間", "The same in 180 days"),
    say("ltv_365_minor", "同じく365日間", "The same in 365 days"),
    say(
        "complete_90",
        "全員の90日が過ぎているか（過ぎていなければ途中の値）",
        "Whether the days of all have passed; else it still grows",
    ),
    say("complete_180", "同じく180日", "The same of 180 days"),
    say("complete_365", "同じく365日", "The same of 365 days"),
];
const ASSISTS: &[Definition] = &[
    say(
        "influenced_orders",
        "他の配信に帰属した注文のうち、購入者が前7日以内にこの配信を視聴・タップしていたもの（同意した人のみ）。報酬の対象ではない",
        "Orders of another live whose buyer had watched or tapped in this one within 7 days before (of those who consented); nothing is earned of them",
    ),
    say("influenced_minor", "その売上（税込・取消前）", "Their sales, tax included, before anything came back"),
];

#[derive(sqlx::FromRow)]
struct Watched {
    live_id: LiveId,
    title: String,
    started_at_ms: Option<Millis>,
    ended_at_ms: Option<Millis>,
    peak_viewers: i64,
    unique_viewers: i64,
    watchers: i64,
    watched_ms: i64,
    buyers: i64,
    gross_minor: i64,
    net_minor: i64,
}

#[derive(sqlx::FromRow)]
struct Cohort {
    live_id: LiveId,
    title: String,
    customers: i64,
    net_90: i64,
    net_180: i64,
    net_365: i64,
    newest_ms: Millis,
}

impl Reports {
    /// Who watched the lives that began in a period and showed or sold a product of the brand.
    ///
    /// # Errors
    /// The database's.
    pub async fn audience(
        &self,
        brand: &BrandId,
        window: Window,
    ) -> Result<LivesReport<AudienceRow>, AttributionError> {
        const LIVES: &str = "
            SELECT l.id AS live_id, l.title, l.started_at_ms, l.ended_at_ms, l.peak_viewers,
                   COALESCE(a.unique_viewers, 0) AS unique_viewers, COALESCE(a.watchers, 0) AS watchers,
                   COALESCE(a.watched_ms, 0) AS watched_ms,
                   COALESCE(s.buyers, 0) AS buyers, COALESCE(s.gross_minor, 0) AS gross_minor,
                   COALESCE(s.net_minor, 0) AS net_minor
            FROM lives l
            LEFT JOIN audiences a ON a.live_id = l.id
            LEFT JOIN (SELECT live_id, COUNT(DISTINCT CASE WHEN kind = 'sale' THEN customer_id END) AS buyers,
                              CAST(SUM(CASE WHEN kind = 'sale' THEN base_minor ELSE 0 END) AS BIGINT) AS gross_minor,
                              CAST(SUM(base_minor) AS BIGINT) AS net_minor
                       FROM credits
                       WHERE brand_id = $1 AND pool = 'liver'
                       GROUP BY live_id) s ON s.live_id = l.id
            WHERE l.started_at_ms >= $2 AND l.started_at_ms < $3 AND (s.live_id IS NOT NULL OR EXISTS (
                SELECT 1 FROM pins p JOIN products d ON d.id = p.product_id WHERE p.live_id = l.id AND d.brand_id = $1))
            ORDER BY l.started_at_ms DESC, l.id
            LIMIT $4";
        let (from, to) = window.bounds();
        let mut tx = self.db.read("audience report").await?;
        let found: Vec<Watched> = on!(&mut tx, |conn| sqlx::query_as(LIVES)
            .bind(brand)
            .bind(from)
            .bind(to)
            .bind(MAX_LIVES)
            .fetch_all(conn)
            .await
            .map_err(StoreError::from)?);
        let now = self.clock.now();
        let row = |live: Watched| {
            let on_air = live.started_at_ms.map_or(0, |from| live.ended_at_ms.unwrap_or(now).since(from));
            let buyers = Some(live.buyers).filter(|buyers| *buyers >= FEWEST_PEOPLE);
            AudienceRow {
                live_id: live.live_id,
                title: live.title,
                started_at_ms: live.started_at_ms,
                ended_at_ms: live.ended_at_ms,
                peak_viewers: live.peak_viewers,
                average_viewers_milli: if on_air > 0 { live.watched_ms.saturating_mul(1_000) / on_air } else { 0 },
                unique_viewers: live.unique_viewers,
                watchers: live.watchers,
                watched_ms: live.watched_ms,
                buyers,
                conversion_bp: buyers.filter(|_| live.watchers > 0).map(|b| b * 10_000 / live.watchers),
                gross_minor: live.gross_minor,
                net_minor: live.net_minor,
            }
        };
        let rows = found.into_iter().map(row).collect();
        Ok(self.of_lives(brand, window, rows, AUDIENCE))
    }

    /// What those have bought whose first order with the brand is of the period, by the live that brought them.
    ///
    /// # Errors
    /// The database's.
    pub async fn ltv(&self, brand: &BrandId, window: Window) -> Result<LivesReport<CohortRow>, AttributionError> {
        const COHORTS: &str = "
            WITH firsts AS (
                SELECT customer_id, MIN(at_ms) AS first_ms
                FROM credits
                WHERE brand_id = $1 AND pool = 'liver' AND kind = 'sale'
                GROUP BY customer_id
                HAVING MIN(at_ms) >= $2 AND MIN(at_ms) < $3
            ), cohort AS (
                SELECT f.customer_id, f.first_ms, MIN(c.live_id) AS live_id
                FROM firsts f
                JOIN credits c ON c.customer_id = f.customer_id AND c.brand_id = $1 AND c.pool = 'liver'
                     AND c.kind = 'sale' AND c.at_ms = f.first_ms
                GROUP BY f.customer_id, f.first_ms
            )
            SELECT h.live_id, MAX(l.title) AS title, COUNT(DISTINCT h.customer_id) AS customers,
                   CAST(SUM(CASE WHEN c.at_ms < h.first_ms + 90 * $5 THEN c.base_minor ELSE 0 END) AS BIGINT) AS net_90,
                   CAST(SUM(CASE WHEN c.at_ms < h.first_ms + 180 * $5 THEN c.base_minor ELSE 0 END) AS BIGINT) AS net_180,
                   CAST(SUM(CASE WHEN c.at_ms < h.first_ms + 365 * $5 THEN c.base_minor ELSE 0 END) AS BIGINT) AS net_365,
                   MAX(h.first_ms) AS newest_ms
            FROM cohort h
            JOIN lives l ON l.id = h.live_id
            JOIN credits c ON c.customer_id = h.customer_id AND c.brand_id = $1 AND c.pool = 'liver'
            GROUP BY h.live_id
            ORDER BY h.live_id DESC
            LIMIT $4";
        let (from, to) = window.bounds();
        let mut tx = self.db.read("cohorts").await?;
        let found: Vec<Cohort> = on!(&mut tx, |conn| sqlx::query_as(COHORTS)
            .bind(brand)
            .bind(from)
            .bind(to)
            .bind(MAX_LIVES)
            .bind(DAY_MS)
            .fetch_all(conn)
            .await
            .map_err(StoreError::from)?);
        let now = self.clock.now();
        let row = |cohort: Cohort| {
            let customers = Some(cohort.customers).filter(|customers| *customers >= FEWEST_PEOPLE);
            let complete = |days: i64| now.since(cohort.newest_ms) >= days * DAY_MS;
            CohortRow {
                ltv_90_minor: customers.map(|customers| cohort.net_90.div_euclid(customers)),
                ltv_180_minor: customers.map(|customers| cohort.net_180.div_euclid(customers)),
                ltv_365_minor: customers.map(|customers| cohort.net_365.div_euclid(customers)),
                complete_90: complete(90),
                complete_180: complete(180),
                complete_365: complete(365),
                live_id: cohort.live_id,
                title: cohort.title,
                customers,
            }
        };
        let rows = found.into_iter().map(row).collect();
        Ok(self.of_lives(brand, window, rows, LTV))
    }

    /// Which lives that showed a product of the brand had been watched before another live sold.
    ///
    /// # Errors
    /// The database's.
    pub async fn assists(&self, brand: &BrandId, window: Window) -> Result<LivesReport<AssistRow>, AttributionError> {
        const ASSISTED: &str = "
            SELECT q.live_id, MAX(l.title) AS title, COUNT(DISTINCT q.order_id) AS influenced_orders,
                   CAST(SUM(q.base_minor) AS BIGINT) AS influenced_minor
            FROM (SELECT DISTINCT t.live_id, c.id, c.order_id, c.base_minor
                  FROM credits c
                  JOIN touches t ON t.customer_id = c.customer_id AND t.at_ms <= c.at_ms AND t.at_ms > c.at_ms - 7 * $5
                       AND t.kind IN ('view', 'click') AND t.live_id <> c.live_id
                  WHERE c.brand_id = $1 AND c.pool = 'liver' AND c.kind = 'sale' AND c.at_ms >= $2 AND c.at_ms < $3) q
            JOIN lives l ON l.id = q.live_id
            WHERE EXISTS (SELECT 1 FROM pins p JOIN products d ON d.id = p.product_id
                          WHERE p.live_id = q.live_id AND d.brand_id = $1)
            GROUP BY q.live_id
            ORDER BY 4 DESC, q.live_id
            LIMIT $4";
        let (from, to) = window.bounds();
        let mut tx = self.db.read("assists").await?;
        let rows: Vec<AssistRow> = on!(&mut tx, |conn| sqlx::query_as(ASSISTED)
            .bind(brand)
            .bind(from)
            .bind(to)
            .bind(MAX_LIVES)
            .bind(DAY_MS)
            .fetch_all(conn)
            .await
            .map_err(StoreError::from)?);
        Ok(self.of_lives(brand, window, rows, ASSISTS))
    }

    fn of_lives<T>(
        &self,
        brand: &BrandId,
        window: Window,
        rows: Vec<T>,
        definitions: &'static [Definition],
    ) -> LivesReport<T> {
        LivesReport {
            brand_id: brand.clone(),
            from_ms: window.from,
            to_ms: window.to,
            as_of_ms: self.clock.now(),
            rows,
            definitions,
        }
    }
}
