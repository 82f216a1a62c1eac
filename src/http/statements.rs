//! Edge: closing months, and what they came to.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Body, Items, Page, PathId,
    auth::{BrandMember, Liver, Signed},
    problem::Problem,
};
use crate::{
    app::App,
    ids::{BrandId, CreditId, StatementId},
    settlement::{ClosedMonth, Month, Preview, Statement, StatementLine},
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(close, of_brand))
        .routes(routes!(preview))
        .routes(routes!(of_liver))
        .routes(routes!(load))
        .routes(routes!(lines))
        .routes(routes!(csv))
        .routes(routes!(paid))
}

/// A file to keep.
pub(super) fn file(kind: &'static str, name: &str, bytes: Vec<u8>) -> Response {
    let name = format!("attachment; filename=\"{name}\"");
    ([(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_DISPOSITION, name)], bytes).into_response()
}

/// Which month is closed.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Close {
    /// Japan's month: `2026-11`.
    period: String,
}

/// Close a month for all livers of a brand: what was captured and is in no statement goes into one for each of them. A
/// month that is closed is given back as it is (200), so asking again is harmless; its warnings are of this moment.
#[utoipa::path(post, path = "/v1/brands/{brand}/statements", tag = "settlement", params(("brand" = String, Path)),
    request_body = Close,
    responses((status = 201, body = ClosedMonth), (status = 200, body = ClosedMonth), (status = "4XX", body = Problem)))]
async fn close(
    member: BrandMember,
    State(app): State<App>,
    PathId(brand): PathId<BrandId>,
    Body(wish): Body<Close>,
) -> Result<(StatusCode, Json<ClosedMonth>), Problem> {
    member.of(&brand)?;
    let month = Month::parse(&wish.period)?;
    let closed = app.statements.close(&member.person().account.id, &brand, month).await?;
    Ok((if closed.fresh { StatusCode::CREATED } else { StatusCode::OK }, Json(closed)))
}

/// Which month.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Period {
    /// Japan's month: `2026-11`.
    period: String,
}

/// Which statements.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Japan's month, `2026-11`; all when absent.
    period: Option<String>,
}

/// A brand's statements, newest first.
#[utoipa::path(get, path = "/v1/brands/{brand}/statements", tag = "settlement",
    params(("brand" = String, Path), Which, Page),
    responses((status = 200, body = Items<Statement>), (status = "4XX", body = Problem)))]
async fn of_brand(
    member: BrandMember,
    State(app): State<App>,
    PathId(brand): PathId<BrandId>,
    which: Result<Query<Which>, QueryRejection>,
    page: Page,
) -> Result<Json<Items<Statement>>, Problem> {
    member.of(&brand)?;
    let month = which?.0.period.as_deref().map(Month::parse).transpose()?;
    let before = page.cursor_id(StatementId::parse)?;
    let items = app.statements.of_brand(&brand, month, before.as_ref(), page.limit() + 1).await?;
    Ok(Json(Items::page(items, page.limit(), |statement| statement.statement_id.to_string())))
}

/// What a month would come to at this moment, with what should be looked at before it is closed.
#[utoipa::path(get, path = "/v1/brands/{brand}/statements/preview", tag = "settlement",
    params(("brand" = String, Path), Period),
    responses((status = 200, body = Preview), (status = "4XX", body = Problem)))]
async fn preview(
    member: BrandMember,
    State(app): State<App>,
    PathId(brand): PathId<BrandId>,
    period: Result<Query<Period>, QueryRejection>,
) -> Result<Json<Preview>, Problem> {
    member.of(&brand)?;
    Ok(Json(app.statements.preview(&brand, Month::parse(&period?.0.period)?).await?))
}

/// The liver's own statements, newest first.
#[utoipa::path(get, path = "/v1/me/statements", tag = "settlement", params(Page),
    responses((status = 200, body = Items<Statement>), (status = "4XX", body = Problem)))]
async fn of_liver(liver: Liver, State(app): State<App>, page: Page) -> Result<Json<Items<Statement>>, Problem> {
    let before = page.cursor_id(StatementId::parse)?;
    let items = app.statements.of_liver(&liver.liver_id, before.as_ref(), page.limit() + 1).await?;
    Ok(Json(Items::page(items, page.limit(), |statement| statement.statement_id.to_string())))
}

/// A statement; for its liver, members of its brand and operators.
#[utoipa::path(get, path = "/v1/statements/{statement}", tag = "settlement", params(("statement" = String, Path)),
    responses((status = 200, body = Statement), (status = 404, body = Problem)))]
async fn load(
    Signed(person): Signed,
    State(app): State<App>,
    PathId(id): PathId<StatementId>,
) -> Result<Json<Statement>, Problem> {
    Ok(Json(app.statements.load(&person, &id).await?))
}

/// The lines of a statement, oldest first: each with its rate, rule and terms, and what came back.
#[utoipa::path(get, path = "/v1/statements/{statement}/lines", tag = "settlement",
    params(("statement" = String, Path), Page),
    responses((status = 200, body = Items<StatementLine>), (status = "4XX", body = Problem)))]
async fn lines(
    Signed(person): Signed,
    State(app): State<App>,
    PathId(id): PathId<StatementId>,
    page: Page,
) -> Result<Json<Items<StatementLine>>, Problem> {
    let after = page.cursor_id(CreditId::parse)?;
    let items = app.statements.lines(&person, &id, after.as_ref(), page.limit() + 1).await?;
    Ok(Json(Items::page(items, page.limit(), |line| line.credit_id.to_string())))
}

/// The lines of a statement as CSV (UTF-8 with BOM, CRLF); their commissions are what it says was earned and came back.
#[utoipa::path(get, path = "/v1/statements/{statement}/lines.csv", tag = "settlement",
    params(("statement" = String, Path)),
    responses((status = 200, content_type = "text/csv"), (status = "4XX", body = Problem)))]
async fn csv(
    Signed(person): Signed,
    State(app): State<App>,
    PathId(id): PathId<StatementId>,
) -> Result<Response, Problem> {
    let bytes = app.statements.lines_csv(&person, &id).await?;
    app.people.note(&person.account.id, "statement.export", id.as_str(), "csv").await?;
    Ok(file("text/csv; charset=utf-8", &format!("hanamichi-{id}.csv"), bytes))
}

/// How a statement was paid.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Payment {
    /// What the payment is called: the bank's number, a day, …; 1 to 100 characters.
    reference: String,
}

/// Note that a statement was paid: by its brand or an operator. It is booked at once; saying it again in the same words
/// changes nothing.
#[utoipa::path(post, path = "/v1/statements/{statement}/paid", tag = "settlement", params(("statement" = String, Path)),
    request_body = Payment, responses((status = 200, body = Statement), (status = "4XX", body = Problem)))]
async fn paid(
    Signed(person): Signed,
    State(app): State<App>,
    PathId(id): PathId<StatementId>,
    Body(payment): Body<Payment>,
) -> Result<Json<Statement>, Problem> {
    Ok(Json(app.statements.pay(&person, &id, &payment.reference).await?))
}
