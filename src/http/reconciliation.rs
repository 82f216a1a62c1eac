//! Edge: what the operator reads of the money, and how findings are resolved.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Body, Created, Items, Page, PathId, auth::Operator, problem::Problem};
use crate::{
    app::App,
    commerce::{Finding, How, ReconciliationReport},
    ids::FindingId,
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(report)).routes(routes!(items)).routes(routes!(resolve)).routes(routes!(run))
}

/// The accounts of the money ledger, what the provider's books say, and what is open.
#[utoipa::path(get, path = "/v1/reconciliation", tag = "money",
    responses((status = 200, body = ReconciliationReport), (status = "4XX", body = Problem)))]
async fn report(_: Operator, State(app): State<App>) -> Result<Json<ReconciliationReport>, Problem> {
    Ok(Json(app.reconciler.report().await?))
}

/// Which findings.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// `open` or `resolved`; all when absent.
    state: Option<FindingState>,
}

/// Where a finding stands.
#[derive(Debug, Clone, Copy, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
enum FindingState {
    Open,
    Resolved,
}

/// What the books did not agree on, newest first.
#[utoipa::path(get, path = "/v1/reconciliation/items", tag = "money", params(Which, Page),
    responses((status = 200, body = Items<Finding>), (status = "4XX", body = Problem)))]
async fn items(
    _: Operator,
    State(app): State<App>,
    which: Result<Query<Which>, QueryRejection>,
    page: Page,
) -> Result<Json<Items<Finding>>, Problem> {
    let Query(which) = which?;
    let state = which.state.map(|state| match state {
        FindingState::Open => "open",
        FindingState::Resolved => "resolved",
    });
    let before = page.cursor_id(FindingId::parse)?;
    let items = app.reconciler.findings(state, before.as_ref(), page.limit() + 1).await?;
    Ok(Json(Items::page(items, page.limit(), |finding| finding.id.to_string())))
}

/// How a finding is resolved.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Resolution {
    /// One of the finding's `ways`.
    how: How,
    /// At most 500 characters; needed when it is accepted.
    #[serde(default)]
    note: String,
}

/// Resolve a finding in one of its ways. Asking again leaves it open when the answer is the same.
#[utoipa::path(post, path = "/v1/reconciliation/items/{finding}/resolution", tag = "money",
    params(("finding" = String, Path)), request_body = Resolution,
    responses((status = 200, body = Finding), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
async fn resolve(
    Operator(by): Operator,
    State(app): State<App>,
    PathId(id): PathId<FindingId>,
    Body(resolution): Body<Resolution>,
) -> Result<Json<Finding>, Problem> {
    Ok(Json(app.reconciler.resolve(&by.account.id, &id, resolution.how, &resolution.note).await?))
}

/// Read the provider's books and compare them with ours now.
#[utoipa::path(post, path = "/v1/reconciliation/runs", tag = "money",
    responses((status = 201, body = ReconciliationReport), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
async fn run(Operator(by): Operator, State(app): State<App>) -> Result<Created<ReconciliationReport>, Problem> {
    let report = app.reconciler.run().await?;
    app.people.note(&by.account.id, "reconciliation.run", "", "").await?;
    Ok(Created(report))
}
