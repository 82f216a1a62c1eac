//! Table: a live minute by minute, for one brand; reads all, writes none.
//!
//! Sales, pins and their taps are the brand's own; how many watched, wrote and asked is the live's, and is told to whom has
//! a product in it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    figures::{FEWEST_PEOPLE, Figures},
    fold::{By, MINUTE_MS},
    kept, ledger_sums,
    query::{Asked, Filters},
};
use crate::{
    attribution::{AttributionError, Definition, Reports, Window},
    clock::Millis,
    ids::{BrandId, LiveId, PinId, ProductId},
    on,
    store::{StoreError, Tx},
};

/// Minutes that are listed although nothing happened in them: two days.
const MAX_QUIET: i64 = 2_880;

/// What happened in a live, for one brand.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Timeline {
    /// Which live.
    pub live_id: LiveId,
    /// Its title.
    pub title: String,
    /// When it went on air.
    pub started_at_ms: Option<Millis>,
    /// When it ended.
    pub ended_at_ms: Option<Millis>,
    /// Every minute on air, and others in which something was sold or came back.
    pub minutes: Vec<TimelineMinute>,
    /// The brand's products that were shown, in order of time.
    pub pins: Vec<TimelinePin>,
    /// Of the brand's sales that are credited to this live.
    pub totals: Figures,
    /// What the words mean.
    pub definitions: &'static [Definition],
}

/// One minute.
#[derive(Debug, Clone, Default, Serialize, utoipa::ToSchema)]
pub struct TimelineMinute {
    /// Its first moment.
    pub at_ms: Millis,
    /// The most that watched at once.
    pub viewers_peak: i64,
    /// Thousandths of viewers on average.
    pub viewers_average_milli: i64,
    /// Orders of the brand.
    pub orders: i64,
    /// Units sold, less those that came back.
    pub units: i64,
    /// Sales.
    pub gross_minor: i64,
    /// What came back in this minute (zero or negative).
    pub cancelled_minor: i64,
    /// Chat messages.
    pub chat: i64,
    /// Questions asked.
    pub questions: i64,
}

/// A product while it was shown.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct TimelinePin {
    /// Which pin.
    pub pin_id: PinId,
    /// What was shown.
    pub product_id: ProductId,
    /// Its title.
    pub title: String,
    /// From when.
    pub from_ms: Millis,
    /// Until when; `null`: it still is.
    pub to_ms: Option<Millis>,
    /// Different people who had it before them for a second or more; `null`: fewer than ten, or nobody counted.
    pub shown_to: Option<i64>,
    /// Different people who tapped it; `null`: fewer than ten.
    pub clickers: Option<i64>,
    /// The latter by the former, basis points.
    pub ctr_bp: Option<i64>,
    /// Orders of it meanwhile.
    pub orders: i64,
    /// Sales of it meanwhile.
    pub gross_minor: i64,
}

#[derive(sqlx::FromRow)]
struct Shown {
    pin_id: PinId,
    product_id: ProductId,
    title: String,
    from_ms: Millis,
    to_ms: Option<Millis>,
    shown_to: Option<i64>,
    tapped_by: Option<i64>,
    orders: i64,
    gross_minor: i64,
}

impl From<Shown> for TimelinePin {
    fn from(pin: Shown) -> Self {
        let told = |people: Option<i64>| people.filter(|people| *people >= FEWEST_PEOPLE);
        let (shown_to, clickers) = (told(pin.shown_to), told(pin.tapped_by));
        Self {
            pin_id: pin.pin_id,
            product_id: pin.product_id,
            title: pin.title,
            from_ms: pin.from_ms,
            to_ms: pin.to_ms,
            shown_to,
            clickers,
            // Both are estimates, so the smaller may come out larger.
            ctr_bp: shown_to.zip(clickers).map(|(shown, taps)| (taps * 10_000 / shown).min(10_000)),
            orders: pin.orders,
            gross_minor: pin.gross_minor,
        }
    }
}

const fn say(name: &'static str, ja: &'static str, en: &'static str) -> Definition {
    Definition { name, ja, en }
}

const DEFINITIONS: &[Definition] = &[
    say(
        "viewers_peak",
        "その1分間の最大同時視聴者数（配信全体）",
        "The most viewers at once in the minute, of the whole live",
    ),
    say(
        "viewers_average_milli",
        "その1分間の視聴時間の合計 ÷ 60秒（1000分の1人）",
        "Time watched in the minute by 60 seconds, in thousandths of a viewer",
    ),
    say("chat", "その1分間のコメント数（削除されたものも含む）", "Chat messages of the minute, deleted ones included"),
    say("questions", "その1分間の質問数", "Questions asked in the minute"),
    say(
        "shown_to",
        "商品が表示されている間に1秒以上視聴していた人数（重複なし・推定誤差約2%）。10人未満は表示しない",
        "Different people who watched for a second or more while it was pinned (an estimate, about 2 % off); fewer than ten are not told",
    ),
    say(
        "clickers",
        "その間に商品をタップした人数（重複なし・推定）。10人未満は表示しない",
        "Different people who tapped it meanwhile (an estimate); fewer than ten are not told",
    ),
    say("ctr_bp", "タップした人数 ÷ 表示された人数（1万分率）", "Clickers by people it was shown to, basis points"),
    say(
        "cancelled_minor",
        "その1分間に成立した取消・返品（0 以下）",
        "What was cancelled or came back in the minute (zero or negative)",
    ),
];

impl Reports {
    /// A live minute by minute, for a brand that has a product in it.
    ///
    /// # Errors
    /// [`AttributionError::NotFound`] where it has none.
    pub async fn timeline(&self, brand: &BrandId, live: &LiveId) -> Result<Timeline, AttributionError> {
        const LIVE: &str = "
            SELECT l.title, l.started_at_ms, l.ended_at_ms
            FROM lives l
            WHERE l.id = $1 AND (
                EXISTS (SELECT 1 FROM pins p JOIN products d ON d.id = p.product_id WHERE p.live_id = l.id AND d.brand_id = $2)
                OR EXISTS (SELECT 1 FROM credits c WHERE c.live_id = l.id AND c.brand_id = $2))";
        let mut tx = self.db.read("timeline").await?;
        let found: Option<(String, Option<Millis>, Option<Millis>)> = on!(&mut tx, |conn| sqlx::query_as(LIVE)
            .bind(live)
            .bind(brand)
            .fetch_optional(conn)
            .await
            .map_err(StoreError::from)?);
        let (title, started_at, ended_at) = found.ok_or(AttributionError::NotFound("live"))?;
        let now = self.clock.now();
        let mut minutes: BTreeMap<i64, TimelineMinute> = BTreeMap::new();
        if let Some(started) = started_at {
            let (first, last) = (started.0 / MINUTE_MS, ended_at.unwrap_or(now).0 / MINUTE_MS);
            minutes.extend((first..=last.min(first + MAX_QUIET)).map(|minute| (minute, TimelineMinute::default())));
        }
        add_sales(&mut tx, brand, live, &mut minutes).await?;
        add_audience(&mut tx, live, &mut minutes).await?;
        let pins = pins(&mut tx, brand, live).await?;
        let asked = Asked {
            brand: Some(brand.clone()),
            by: By::Live,
            window: Window::default(),
            filters: Filters { live: Some(live.clone()), ..Filters::default() },
        };
        let (sums, buyers, new) = ledger_sums::sums(&mut tx, &asked, None).await?.remove("").unwrap_or_default();
        let minutes =
            minutes.into_iter().map(|(minute, of)| TimelineMinute { at_ms: Millis(minute * MINUTE_MS), ..of });
        Ok(Timeline {
            live_id: live.clone(),
            title,
            started_at_ms: started_at,
            ended_at_ms: ended_at,
            minutes: minutes.collect(),
            pins,
            totals: Figures::of(&sums, buyers, new),
            definitions: DEFINITIONS,
        })
    }
}

async fn add_sales(
    tx: &mut Tx,
    brand: &BrandId,
    live: &LiveId,
    minutes: &mut BTreeMap<i64, TimelineMinute>,
) -> Result<(), StoreError> {
    const LEDGER: &str = "
        SELECT at_ms / 60000, COUNT(DISTINCT CASE WHEN kind = 'sale' THEN order_id END), CAST(SUM(qty) AS BIGINT),
               CAST(SUM(CASE WHEN kind = 'sale' THEN base_minor ELSE 0 END) AS BIGINT),
               CAST(SUM(CASE WHEN kind = 'sale' THEN 0 ELSE base_minor END) AS BIGINT)
        FROM credits
        WHERE live_id = $1 AND brand_id = $2 AND pool = 'liver'
        GROUP BY 1";
    let sums: Vec<(i64, i64, i64, i64, i64)> = match kept::minutes(tx, brand.as_str(), live.as_str()).await? {
        Some(kept) => {
            let sums = |(minute, of): (i64, super::fold::Sums)| {
                (minute, of.orders, of.units, of.gross_minor, of.cancelled_minor)
            };
            kept.into_iter().map(sums).collect()
        }
        None => on!(tx, |conn| sqlx::query_as(LEDGER).bind(live).bind(brand).fetch_all(conn).await?),
    };
    for (minute, orders, units, gross_minor, cancelled_minor) in sums {
        let of = minutes.entry(minute).or_default();
        (of.orders, of.units, of.gross_minor, of.cancelled_minor) = (orders, units, gross_minor, cancelled_minor);
    }
    Ok(())
}

async fn add_audience(
    tx: &mut Tx,
    live: &LiveId,
    minutes: &mut BTreeMap<i64, TimelineMinute>,
) -> Result<(), StoreError> {
    const WATCHED: &str = "SELECT minute, peak, watched_ms FROM audience_minutes WHERE live_id = $1";
    const CHAT: &str = "SELECT at_ms / 60000, COUNT(*) FROM chat WHERE live_id = $1 GROUP BY 1";
    const QUESTIONS: &str = "SELECT asked_at_ms / 60000, COUNT(*) FROM questions WHERE live_id = $1 GROUP BY 1";
    let watched: Vec<(i64, i64, i64)> =
        on!(&mut *tx, |conn| sqlx::query_as(WATCHED).bind(live).fetch_all(conn).await?);
    let chat: Vec<(i64, i64)> = on!(&mut *tx, |conn| sqlx::query_as(CHAT).bind(live).fetch_all(conn).await?);
    let asked: Vec<(i64, i64)> = on!(&mut *tx, |conn| sqlx::query_as(QUESTIONS).bind(live).fetch_all(conn).await?);
    for (minute, peak, watched_ms) in watched {
        let of = minutes.entry(minute).or_default();
        (of.viewers_peak, of.viewers_average_milli) = (peak, watched_ms * 1_000 / MINUTE_MS);
    }
    for (minute, count) in chat {
        minutes.entry(minute).or_default().chat = count;
    }
    for (minute, count) in asked {
        minutes.entry(minute).or_default().questions = count;
    }
    Ok(())
}

async fn pins(tx: &mut Tx, brand: &BrandId, live: &LiveId) -> Result<Vec<TimelinePin>, StoreError> {
    const PINS: &str = "
        SELECT p.id AS pin_id, p.product_id, MAX(d.title) AS title, MAX(p.pinned_at_ms) AS from_ms,
               MAX(p.unpinned_at_ms) AS to_ms, MAX(a.shown_to) AS shown_to, MAX(a.tapped_by) AS tapped_by,
               COUNT(DISTINCT c.order_id) AS orders, CAST(COALESCE(SUM(c.base_minor), 0) AS BIGINT) AS gross_minor
        FROM pins p
        JOIN products d ON d.id = p.product_id
        LEFT JOIN pin_audiences a ON a.pin_id = p.id
        LEFT JOIN credits c ON c.live_id = p.live_id AND c.brand_id = $2 AND c.product_id = p.product_id
              AND c.pool = 'liver' AND c.kind = 'sale' AND c.at_ms >= p.pinned_at_ms
              AND (p.unpinned_at_ms IS NULL OR c.at_ms < p.unpinned_at_ms)
        WHERE p.live_id = $1 AND d.brand_id = $2
        GROUP BY p.id, p.product_id
        ORDER BY 4, p.id";
    let shown: Vec<Shown> = on!(tx, |conn| sqlx::query_as(PINS).bind(live).bind(brand).fetch_all(conn).await?);
    Ok(shown.into_iter().map(TimelinePin::from).collect())
}
