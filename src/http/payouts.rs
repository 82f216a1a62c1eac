//! Edge: bank accounts, and the files by which banks are told whom to pay.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::HeaderValue,
    response::Response,
};
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Body, PathId,
    auth::{BrandMember, Signed},
    problem::{Kind, Problem},
    statements::file,
};
use crate::{
    app::App,
    ids::{BrandId, LiverId},
    people::Person,
    settlement::{Month, Payee, Payer, PayoutDay, Unknown},
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(payee, put_payee)).routes(routes!(payer, put_payer)).routes(routes!(payouts))
}

fn liver(person: &Person) -> Result<&LiverId, Problem> {
    person.liver_id.as_ref().ok_or_else(|| Problem::new(Kind::Forbidden, "only a liver may do this"))
}

/// The liver's own account and registration; `null` when none was given.
#[utoipa::path(get, path = "/v1/me/payee", tag = "settlement",
    responses((status = 200, body = Option<Payee>), (status = "4XX", body = Problem)))]
async fn payee(Signed(person): Signed, State(app): State<App>) -> Result<Json<Option<Payee>>, Problem> {
    Ok(Json(app.statements.payee(liver(&person)?).await?))
}

/// Give the account that the liver is paid to, and their registration for invoices (T-number).
#[utoipa::path(put, path = "/v1/me/payee", tag = "settlement", request_body = Payee,
    responses((status = 200, body = Payee), (status = "4XX", body = Problem)))]
async fn put_payee(
    Signed(person): Signed,
    State(app): State<App>,
    Body(payee): Body<Payee>,
) -> Result<Json<Payee>, Problem> {
    Ok(Json(app.statements.put_payee(&person.account.id, liver(&person)?, payee).await?))
}

/// The account that a brand pays from; `null` when none was given.
#[utoipa::path(get, path = "/v1/brands/{brand}/payer", tag = "settlement", params(("brand" = String, Path)),
    responses((status = 200, body = Option<Payer>), (status = "4XX", body = Problem)))]
async fn payer(
    member: BrandMember,
    State(app): State<App>,
    PathId(brand): PathId<BrandId>,
) -> Result<Json<Option<Payer>>, Problem> {
    member.of(&brand)?;
    Ok(Json(app.statements.payer(&brand).await?))
}

/// Give the account that a brand pays from.
#[utoipa::path(put, path = "/v1/brands/{brand}/payer", tag = "settlement", params(("brand" = String, Path)),
    request_body = Payer, responses((status = 200, body = Payer), (status = "4XX", body = Problem)))]
async fn put_payer(
    member: BrandMember,
    State(app): State<App>,
    PathId(brand): PathId<BrandId>,
    Body(payer): Body<Payer>,
) -> Result<Json<Payer>, Problem> {
    member.of(&brand)?;
    Ok(Json(app.statements.put_payer(&member.person().account.id, &brand, payer).await?))
}

/// How the file is made.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct How {
    /// The day on which the bank is to pay, `2026-12-10`; today when absent.
    on: Option<String>,
    /// Make the file without livers whose account is not known. How many they are is told in `Hanamichi-Left-Out`.
    #[serde(default)]
    leave_out_missing: bool,
}

/// What of a month is still to be paid. `{period}.txt` is a bank's file (全銀協規定形式 総合振込, Shift_JIS, 120 bytes a record,
/// CRLF): a liver whose account is not known is named in a problem, unless they are to be left out. `{period}.csv` is UTF-8
/// with BOM and CRLF: whoever cannot be paid yet stands there, and is marked.
#[utoipa::path(get, path = "/v1/brands/{brand}/payouts/{file}", tag = "settlement",
    params(("brand" = String, Path), ("file" = String, Path, description = "`2026-11.txt` or `2026-11.csv`"), How),
    responses((status = 200, content_type = "text/plain"), (status = "4XX", body = Problem)))]
async fn payouts(
    member: BrandMember,
    State(app): State<App>,
    PathId((brand, name)): PathId<(BrandId, String)>,
    how: Result<Query<How>, QueryRejection>,
) -> Result<Response, Problem> {
    member.of(&brand)?;
    let (period, form) = name.rsplit_once('.').ok_or_else(|| Problem::not_found("file"))?;
    let (month, how) = (Month::parse(period)?, how?.0);
    let by = &member.person().account.id;
    match form {
        "txt" => {
            let on = how.on.as_deref().map(PayoutDay::parse).transpose()?;
            let unknown = if how.leave_out_missing { Unknown::LeaveOut } else { Unknown::Refuse };
            let (bytes, left_out) = app.statements.payout_file(&brand, month, on, unknown).await?;
            app.people.note(by, "payout.export", brand.as_str(), &format!("{month} zengin")).await?;
            let mut answer = file("text/plain; charset=shift_jis", &format!("payouts-{month}.txt"), bytes);
            answer.headers_mut().insert("hanamichi-left-out", HeaderValue::from(left_out));
            Ok(answer)
        }
        "csv" => {
            let bytes = app.statements.payout_csv(&brand, month).await?;
            app.people.note(by, "payout.export", brand.as_str(), &format!("{month} csv")).await?;
            Ok(file("text/csv; charset=utf-8", &format!("payouts-{month}.csv"), bytes))
        }
        _ => Err(Problem::not_found("file")),
    }
}
