//! Edge: what a brand reads of its sales.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::header,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Items, PathId,
    auth::{BrandMember, Operator},
    problem::Problem,
};
use crate::{
    app::App,
    attribution::{
        Asked, AssistRow, AudienceRow, By, CohortRow, CreditLine, Filters, LineFilter, LivesReport, Report,
        SplitReport, Timeline, Window,
    },
    clock::Millis,
    ids::{AccountId, BrandId, LiveId, LiverId, LocationId, ProductId, SkuId},
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(report))
        .routes(routes!(lines))
        .routes(routes!(csv))
        .routes(routes!(audience))
        .routes(routes!(ltv))
        .routes(routes!(assists))
        .routes(routes!(timeline))
        .routes(routes!(split))
        .routes(routes!(split_all))
}

/// From when until when.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Period {
    /// First moment, Unix milliseconds; open when absent.
    from_ms: Option<Millis>,
    /// First moment after; open when absent.
    to_ms: Option<Millis>,
}

impl Period {
    fn window(&self) -> Result<Window, Problem> {
        if self.from_ms.zip(self.to_ms).is_some_and(|(from, to)| from > to) {
            return Err(Problem::invalid("from_ms must not be after to_ms"));
        }
        Ok(Window { from: self.from_ms, to: self.to_ms })
    }
}

/// A brand's credited sales per live and liver.
#[utoipa::path(get, path = "/v1/brands/{brand}/report", tag = "reports", params(("brand" = String, Path), Period),
    responses((status = 200, body = Report), (status = "4XX", body = Problem)))]
async fn report(
    member: BrandMember,
    State(app): State<App>,
    PathId(brand): PathId<BrandId>,
    period: Result<Query<Period>, QueryRejection>,
) -> Result<Json<Report>, Problem> {
    member.of(&brand)?;
    let Query(period) = period?;
    Ok(Json(app.reports.report(&brand, period.window()?).await?))
}

/// Which sales; all where absent. (Not flattened into the others: numbers in a query would be read as texts.)
macro_rules! which {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Deserialize, utoipa::IntoParams)]
        #[into_params(parameter_in = Query)]
        struct $name {
            /// First moment, Unix milliseconds; open when absent.
            from_ms: Option<Millis>,
            /// First moment after; open when absent.
            to_ms: Option<Millis>,
            /// Credited to this live.
            live_id: Option<LiveId>,
            /// Credited to this liver.
            liver_id: Option<LiverId>,
            /// Of this product.
            product_id: Option<ProductId>,
            /// Of this SKU.
            sku_id: Option<SkuId>,
            /// Sold in this store.
            location_id: Option<LocationId>,
            /// Sold through `live`, `replay`, `shop` or `store`.
            channel: Option<String>,
            /// Of this campaign.
            campaign: Option<String>,
            /// Of this member of staff (an account), from the staff's pool.
            staff_id: Option<AccountId>,
            $($(#[$of])* $field: $kind,)*
        }

        impl $name {
            fn window(&self) -> Result<Window, Problem> {
                Period { from_ms: self.from_ms, to_ms: self.to_ms }.window()
            }

            fn filters(&self) -> Filters {
                Filters {
                    live: self.live_id.clone(),
                    liver: self.liver_id.clone(),
                    product: self.product_id.clone(),
                    sku: self.sku_id.clone(),
                    location: self.location_id.clone(),
                    channel: self.channel.clone(),
                    campaign: self.campaign.clone(),
                    staff: self.staff_id.clone(),
                }
            }
        }
    };
}

which! {
/// A report's question.
SplitQuery {
    /// `previous`: beside the figures of as long a time before.
    compare: Option<Compare>,
}}

/// With what a report is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
enum Compare {
    Previous,
}

/// A brand's sales of a period, split by live, liver, product, SKU, day, hour, store, channel, campaign or staff.
#[utoipa::path(get, path = "/v1/brands/{brand}/reports/{by}", tag = "reports",
    params(("brand" = String, Path), ("by" = By, Path), SplitQuery),
    responses((status = 200, body = SplitReport), (status = "4XX", body = Problem)))]
async fn split(
    member: BrandMember,
    State(app): State<App>,
    PathId((brand, by)): PathId<(BrandId, By)>,
    query: Result<Query<SplitQuery>, QueryRejection>,
) -> Result<Json<SplitReport>, Problem> {
    member.of(&brand)?;
    if by == By::Brand {
        return Err(Problem::not_found("report"));
    }
    let Query(query) = query?;
    let asked = Asked { brand: Some(brand), by, window: query.window()?, filters: query.filters() };
    Ok(Json(app.reports.split(&asked, query.compare.is_some()).await?))
}

/// The same over all brands, and by brand; for operators.
#[utoipa::path(get, path = "/v1/admin/reports/{by}", tag = "reports", params(("by" = By, Path), SplitQuery),
    responses((status = 200, body = SplitReport), (status = "4XX", body = Problem)))]
async fn split_all(
    _: Operator,
    State(app): State<App>,
    PathId(by): PathId<By>,
    query: Result<Query<SplitQuery>, QueryRejection>,
) -> Result<Json<SplitReport>, Problem> {
    let Query(query) = query?;
    let asked = Asked { brand: None, by, window: query.window()?, filters: query.filters() };
    Ok(Json(app.reports.split(&asked, query.compare.is_some()).await?))
}

/// Who watched the lives of a period, and who of them bought.
#[utoipa::path(get, path = "/v1/brands/{brand}/reports/audience", tag = "reports",
    params(("brand" = String, Path), Period),
    responses((status = 200, body = LivesReport<AudienceRow>), (status = "4XX", body = Problem)))]
async fn audience(
    member: BrandMember,
    State(app): State<App>,
    PathId(brand): PathId<BrandId>,
    period: Result<Query<Period>, QueryRejection>,
) -> Result<Json<LivesReport<AudienceRow>>, Problem> {
    member.of(&brand)?;
    let Query(period) = period?;
    Ok(Json(app.reports.audience(&brand, period.window()?).await?))
}

/// What those have bought since whose first order is of the period, by the live that brought them.
#[utoipa::path(get, path = "/v1/brands/{brand}/reports/ltv", tag = "reports",
    params(("brand" = String, Path), Period),
    responses((status = 200, body = LivesReport<CohortRow>), (status = "4XX", body = Problem)))]
async fn ltv(
    member: BrandMember,
    State(app): State<App>,
    PathId(brand): PathId<BrandId>,
    period: Result<Query<Period>, QueryRejection>,
) -> Result<Json<LivesReport<CohortRow>>, Problem> {
    member.of(&brand)?;
    let Query(period) = period?;
    Ok(Json(app.reports.ltv(&brand, period.window()?).await?))
}

/// Which lives had been watched before another one sold.
#[utoipa::path(get, path = "/v1/brands/{brand}/reports/assists", tag = "reports",
    params(("brand" = String, Path), Period),
    responses((status = 200, body = LivesReport<AssistRow>), (status = "4XX", body = Problem)))]
async fn assists(
    member: BrandMember,
    State(app): State<App>,
    PathId(brand): PathId<BrandId>,
    period: Result<Query<Period>, QueryRejection>,
) -> Result<Json<LivesReport<AssistRow>>, Problem> {
    member.of(&brand)?;
    let Query(period) = period?;
    Ok(Json(app.reports.assists(&brand, period.window()?).await?))
}

/// A live minute by minute: the brand's sales, who watched, chat, questions, and its products while they were shown.
#[utoipa::path(get, path = "/v1/brands/{brand}/lives/{live}/timeline", tag = "reports",
    params(("brand" = String, Path), ("live" = String, Path)),
    responses((status = 200, body = Timeline), (status = "4XX", body = Problem)))]
async fn timeline(
    member: BrandMember,
    State(app): State<App>,
    PathId((brand, live)): PathId<(BrandId, LiveId)>,
) -> Result<Json<Timeline>, Problem> {
    member.of(&brand)?;
    Ok(Json(app.reports.timeline(&brand, &live).await?))
}

which! {
/// Which ledger lines.
LineQuery {
    /// Hour of the day in Japan, 0 to 23.
    hour: Option<u8>,
    /// Where the page before ended.
    cursor: Option<String>,
    /// 1 to 500; 100 when absent.
    limit: Option<i64>,
}}

/// The ledger lines behind a report, oldest first.
#[utoipa::path(get, path = "/v1/brands/{brand}/report/lines", tag = "reports", params(("brand" = String, Path), LineQuery),
    responses((status = 200, body = Items<CreditLine>), (status = "4XX", body = Problem)))]
async fn lines(
    member: BrandMember,
    State(app): State<App>,
    PathId(brand): PathId<BrandId>,
    query: Result<Query<LineQuery>, QueryRejection>,
) -> Result<Json<Items<CreditLine>>, Problem> {
    member.of(&brand)?;
    let Query(query) = query?;
    let (window, more) = (query.window()?, query.filters());
    if query.hour.is_some_and(|hour| hour > 23) {
        return Err(Problem::invalid("hour is 0 to 23"));
    }
    let filter = LineFilter { window, more, hour: query.hour, after: query.cursor };
    let page = app.reports.lines(&brand, &filter, query.limit.unwrap_or(100)).await?;
    Ok(Json(Items { items: page.items, next_cursor: page.next_cursor }))
}

/// The ledger lines of a report as CSV (UTF-8 with BOM, CRLF); their sums are the report's totals.
#[utoipa::path(get, path = "/v1/brands/{brand}/report.csv", tag = "reports", params(("brand" = String, Path), Period),
    responses((status = 200, content_type = "text/csv"), (status = "4XX", body = Problem)))]
async fn csv(
    member: BrandMember,
    State(app): State<App>,
    PathId(brand): PathId<BrandId>,
    period: Result<Query<Period>, QueryRejection>,
) -> Result<Response, Problem> {
    member.of(&brand)?;
    let Query(period) = period?;
    app.people.note(&member.person().account.id, "report.export", brand.as_str(), "csv").await?;
    let file = app.reports.csv(&brand, period.window()?).await?;
    let name = format!("attachment; filename=\"hanamichi-{brand}.csv\"");
    Ok(([(header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, name)], file)
        .into_response())
}
