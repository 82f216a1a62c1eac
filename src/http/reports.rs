//! Edge: what a brand reads of its sales.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::header,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Items, PathId, auth::BrandMember, problem::Problem};
use crate::{
    app::App,
    attribution::{CreditLine, LineFilter, Report, Window},
    clock::Millis,
    ids::{BrandId, LiveId, LiverId},
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(report)).routes(routes!(lines)).routes(routes!(csv))
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

/// Which ledger lines.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct LineQuery {
    from_ms: Option<Millis>,
    to_ms: Option<Millis>,
    live_id: Option<LiveId>,
    liver_id: Option<LiverId>,
    cursor: Option<String>,
    /// 1 to 500; 100 when absent.
    limit: Option<i64>,
}

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
    let window = Period { from_ms: query.from_ms, to_ms: query.to_ms }.window()?;
    let filter = LineFilter { window, live: query.live_id, liver: query.liver_id, after: query.cursor };
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
