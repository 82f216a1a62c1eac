//! Edge: the audit log, for operators whole and for a brand its own.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use serde::{Deserialize, Serialize};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Items, Page, PathId,
    auth::{BrandMember, Operator},
    problem::Problem,
};
use crate::{
    app::App,
    ids::{AuditId, BrandId},
    people::{AuditLine, Seal},
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(all)).routes(routes!(of_brand))
}

/// Which lines.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// About one brand, order, live …; all when absent.
    subject_id: Option<String>,
}

/// A page of the log, and what vouches for it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct AuditPage {
    #[serde(flatten)]
    page: Items<AuditLine>,
    /// The newest seal. Noted elsewhere, it proves that no line before it was changed or taken out.
    seal: Option<Seal>,
}

async fn page(app: &App, subject: Option<&str>, page: &Page) -> Result<Json<AuditPage>, Problem> {
    let before = page.cursor_id(AuditId::parse)?;
    let (items, seal) = app.people.audit(subject, before.as_ref(), page.limit() + 1).await?;
    Ok(Json(AuditPage { page: Items::page(items, page.limit(), |line| line.id.to_string()), seal }))
}

/// Every money, rule and export action, newest first.
#[utoipa::path(get, path = "/v1/admin/audit", tag = "operator", params(Which, Page),
    responses((status = 200, body = AuditPage), (status = "4XX", body = Problem)))]
async fn all(
    _: Operator,
    State(app): State<App>,
    which: Result<Query<Which>, QueryRejection>,
    asked: Page,
) -> Result<Json<AuditPage>, Problem> {
    let Query(which) = which?;
    page(&app, which.subject_id.as_deref(), &asked).await
}

/// Who changed a brand's rules and fetched its figures, newest first.
#[utoipa::path(get, path = "/v1/brands/{brand}/audit", tag = "reports", params(("brand" = String, Path), Page),
    responses((status = 200, body = AuditPage), (status = "4XX", body = Problem)))]
async fn of_brand(
    member: BrandMember,
    State(app): State<App>,
    PathId(brand): PathId<BrandId>,
    asked: Page,
) -> Result<Json<AuditPage>, Problem> {
    member.of(&brand)?;
    page(&app, Some(brand.as_str()), &asked).await
}
