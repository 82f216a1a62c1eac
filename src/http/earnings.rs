//! Edge: what a liver reads of their own earnings.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Items, Page, auth::Liver, problem::Problem};
use crate::{
    app::App,
    attribution::Window,
    clock::Millis,
    ids::{CreditId, LiveId},
    settlement::{EarningsLine, EarningsView},
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(earnings)).routes(routes!(lines))
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

/// What the liver earns: estimated until the goods have left and the days for returns are over, confirmed, payable once it
/// is in a closed statement, paid; all of it, by live and by product.
#[utoipa::path(get, path = "/v1/me/earnings", tag = "settlement", params(Period),
    responses((status = 200, body = EarningsView), (status = "4XX", body = Problem)))]
async fn earnings(
    liver: Liver,
    State(app): State<App>,
    period: Result<Query<Period>, QueryRejection>,
) -> Result<Json<EarningsView>, Problem> {
    let Query(period) = period?;
    if period.from_ms.zip(period.to_ms).is_some_and(|(from, to)| from > to) {
        return Err(Problem::invalid("from_ms must not be after to_ms"));
    }
    let window = Window { from: period.from_ms, to: period.to_ms };
    Ok(Json(app.earnings.of(&liver.liver_id, window).await?))
}

/// Which lines.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Of one live; of all when absent.
    live_id: Option<LiveId>,
}

/// The liver's ledger, newest first: every sale and what came back.
#[utoipa::path(get, path = "/v1/me/earnings/lines", tag = "settlement", params(Which, Page),
    responses((status = 200, body = Items<EarningsLine>), (status = "4XX", body = Problem)))]
async fn lines(
    liver: Liver,
    State(app): State<App>,
    which: Result<Query<Which>, QueryRejection>,
    page: Page,
) -> Result<Json<Items<EarningsLine>>, Problem> {
    let before = page.cursor_id(CreditId::parse)?;
    let live = which?.0.live_id;
    let items = app.earnings.lines(&liver.liver_id, live.as_ref(), before.as_ref(), page.limit() + 1).await?;
    Ok(Json(Items::page(items, page.limit(), |line| line.credit_id.to_string())))
}
