//! Edge: sign-in without a password, on a demo server only. Elsewhere these routes are not found.

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Body,
    people::{Me, WithCookie, signed_in},
    problem::Problem,
};
use crate::{
    app::App,
    ids::{BrandId, LiveId},
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(demo)).routes(routes!(demo_sign_in))
}

/// Who one can be on a demo server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DemoRole {
    /// A fresh customer each time.
    Viewer,
    /// A liver.
    Liver,
    /// A member of a brand.
    Brand,
    /// The operator.
    Operator,
}

/// What a newcomer can sign in as.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct DemoAccount {
    /// As whom.
    pub role: DemoRole,
    /// Sign-in name.
    pub email: String,
    /// In clear: it is a demo.
    pub password: String,
    /// What others see.
    pub display_name: String,
}

/// What a demo server tells newcomers.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct DemoView {
    /// Whom one can sign in as.
    pub accounts: Vec<DemoAccount>,
    /// The live that is on.
    pub live_id: Option<LiveId>,
    /// A brand with sales.
    pub brand_id: Option<BrandId>,
}

/// Whom one can sign in as, and where to look. 404 on a server that is no demo.
#[utoipa::path(get, path = "/v1/demo", tag = "demo", responses((status = 200, body = DemoView), (status = 404, body = Problem)))]
async fn demo(State(app): State<App>) -> Result<Json<DemoView>, Problem> {
    app.demo_view().map(Json).ok_or_else(|| Problem::not_found("demo"))
}

/// As whom.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct DemoSignIn {
    role: DemoRole,
}

/// Sign in without a password. 404 on a server that is no demo.
#[utoipa::path(post, path = "/v1/demo/sign-in", tag = "demo", request_body = DemoSignIn,
    responses((status = 200, body = Me), (status = 404, body = Problem)))]
async fn demo_sign_in(State(app): State<App>, Body(wish): Body<DemoSignIn>) -> Result<WithCookie<Me>, Problem> {
    let view = app.demo_view().ok_or_else(|| Problem::not_found("demo"))?;
    if wish.role == DemoRole::Viewer {
        let person = app.people.add_demo_viewer().await?;
        return signed_in(&app, person, StatusCode::OK).await;
    }
    let account =
        view.accounts.iter().find(|account| account.role == wish.role).ok_or_else(|| Problem::not_found("account"))?;
    let id = app.people.find_by_email(&account.email).await?.ok_or_else(|| Problem::not_found("account"))?;
    let person = app.people.load(&id).await?;
    signed_in(&app, person, StatusCode::OK).await
}
