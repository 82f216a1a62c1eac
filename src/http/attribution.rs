//! Edge: why a sale is whose: consent, codes, links, the brand's rule, and the explanation of a line.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Body, Created, Items, PathId,
    auth::{BrandMember, Customer, Signed},
    problem::{Kind, Problem},
};
use crate::{
    app::App,
    attribution::{BrandRule, Explanation, NamedCode, NewLink, NewRule, ShareLink, StaffCode},
    clock::Millis,
    ids::{BrandId, LiveId, LocationId, OrderLineId},
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(consent, put_consent))
        .routes(routes!(name_code))
        .routes(routes!(rule, put_rule))
        .routes(routes!(explain))
}

/// Creating requests whose answers are kept under their Idempotency-Key.
pub(super) fn creating_router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(links, make_link)).routes(routes!(staff_codes, make_staff_code))
}

/// Whether somebody lets us note how they came to what they buy.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Consent {
    /// Absent: not asked yet, which is no.
    given: Option<bool>,
    /// When it was answered.
    at_ms: Option<Millis>,
}

/// An answer.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct NewConsent {
    given: bool,
}

/// Whether views, clicks and links may be noted for attribution.
#[utoipa::path(get, path = "/v1/me/consents/touches", tag = "attribution",
    responses((status = 200, body = Consent), (status = "4XX", body = Problem)))]
async fn consent(customer: Customer, State(app): State<App>) -> Result<Json<Consent>, Problem> {
    let (given, at_ms) = app.people.touches_allowed(&customer.customer_id).await?.unzip();
    Ok(Json(Consent { given, at_ms }))
}

/// Allow it, or take it back: from then on nothing more is noted.
#[utoipa::path(put, path = "/v1/me/consents/touches", tag = "attribution", request_body = NewConsent,
    responses((status = 200, body = Consent), (status = "4XX", body = Problem)))]
async fn put_consent(
    customer: Customer,
    State(app): State<App>,
    Body(new): Body<NewConsent>,
) -> Result<Json<Consent>, Problem> {
    let at = app.people.allow_touches(&customer.customer_id, new.given).await?;
    Ok(Json(Consent { given: Some(new.given), at_ms: Some(at) }))
}

/// Whose code it was.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Named {
    /// The member of staff's name, for a staff code.
    name: Option<String>,
}

/// Tell that a shared link was followed (noted only with consent), or which member of staff helped.
#[utoipa::path(post, path = "/v1/touches", tag = "attribution", request_body = NamedCode,
    responses((status = 200, body = Named), (status = "4XX", body = Problem)))]
async fn name_code(
    customer: Customer,
    State(app): State<App>,
    Body(named): Body<NamedCode>,
) -> Result<Json<Named>, Problem> {
    let name = app.attribution.name_code((&customer.account_id, &customer.customer_id), &named).await?;
    Ok(Json(Named { name }))
}

/// A brand's attribution rule and what it was before.
#[utoipa::path(get, path = "/v1/brands/{brand}/rule", tag = "attribution", params(("brand" = String, Path)),
    responses((status = 200, body = BrandRule), (status = "4XX", body = Problem)))]
async fn rule(
    member: BrandMember,
    State(app): State<App>,
    PathId(brand): PathId<BrandId>,
) -> Result<Json<BrandRule>, Problem> {
    member.of(&brand)?;
    Ok(Json(app.attribution.rule(&brand).await?))
}

/// Set a brand's attribution rule for sales from now on; what is credited stays as it is.
#[utoipa::path(put, path = "/v1/brands/{brand}/rule", tag = "attribution", params(("brand" = String, Path)),
    request_body = NewRule, responses((status = 200, body = BrandRule), (status = "4XX", body = Problem)))]
async fn put_rule(
    member: BrandMember,
    State(app): State<App>,
    PathId(brand): PathId<BrandId>,
    Body(new): Body<NewRule>,
) -> Result<Json<BrandRule>, Problem> {
    member.of(&brand)?;
    if !app.people.brand_exists(&brand).await? {
        return Err(Problem::not_found("brand"));
    }
    Ok(Json(app.attribution.set_rule(&brand, &new, &member.person().account.id).await?))
}

/// Why a sold line is whose: every step of the rule, the terms, the assists and the ledger's rows.
#[utoipa::path(get, path = "/v1/brands/{brand}/order-lines/{line}/attribution", tag = "attribution",
    params(("brand" = String, Path), ("line" = String, Path)),
    responses((status = 200, body = Explanation), (status = "4XX", body = Problem)))]
async fn explain(
    member: BrandMember,
    State(app): State<App>,
    axum::extract::Path((brand, line)): axum::extract::Path<(String, String)>,
) -> Result<Json<Explanation>, Problem> {
    let brand = BrandId::parse(&brand).map_err(|_| Problem::not_found("brand"))?;
    member.of(&brand)?;
    let line = OrderLineId::parse(&line).map_err(|_| Problem::not_found("order line"))?;
    Ok(Json(app.attribution.explain(Some(&brand), &line).await?))
}

/// The brands whose products somebody's links may be about; `None`: whatever the live shows.
async fn may_share(Signed(person): &Signed, app: &App, live: &LiveId) -> Result<Option<Vec<BrandId>>, Problem> {
    let liver = app.lives.load(live).await?.liver_id;
    if person.operator || person.liver_id.as_ref() == Some(&liver) {
        return Ok(None);
    }
    if !person.brands.is_empty() {
        return Ok(Some(person.brands.iter().map(|(brand, _)| brand.clone()).collect()));
    }
    Err(Problem::new(Kind::Forbidden, "only the live's liver and brands make links that are counted"))
}

/// The links that you made to a live.
#[utoipa::path(get, path = "/v1/lives/{live}/links", tag = "attribution", params(("live" = String, Path)),
    responses((status = 200, body = Items<ShareLink>), (status = "4XX", body = Problem)))]
async fn links(
    signed: Signed,
    State(app): State<App>,
    PathId(live): PathId<LiveId>,
) -> Result<Json<Items<ShareLink>>, Problem> {
    may_share(&signed, &app, &live).await?;
    Ok(Json(Items::all(app.attribution.links(&live, &signed.0.account.id).await?)))
}

/// Make a link to a live, or to a product of it, whose followers are counted.
#[utoipa::path(post, path = "/v1/lives/{live}/links", tag = "attribution", params(("live" = String, Path)),
    request_body = NewLink, responses((status = 201, body = ShareLink), (status = "4XX", body = Problem)))]
async fn make_link(
    signed: Signed,
    State(app): State<App>,
    PathId(live): PathId<LiveId>,
    Body(new): Body<NewLink>,
) -> Result<Created<ShareLink>, Problem> {
    let only_of = may_share(&signed, &app, &live).await?;
    Ok(Created(app.attribution.make_link(&live, &new, &signed.0.account.id, only_of.as_deref()).await?))
}

/// At which store.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct NewStaffCode {
    location_id: LocationId,
}

/// Your codes, by store.
#[utoipa::path(get, path = "/v1/staff/codes", tag = "attribution",
    responses((status = 200, body = Items<StaffCode>), (status = "4XX", body = Problem)))]
async fn staff_codes(Signed(person): Signed, State(app): State<App>) -> Result<Json<Items<StaffCode>>, Problem> {
    Ok(Json(Items::all(app.attribution.staff_codes(&person.account.id).await?)))
}

/// Your code at a store; the same each time.
#[utoipa::path(post, path = "/v1/staff/codes", tag = "attribution", request_body = NewStaffCode,
    responses((status = 201, body = StaffCode), (status = "4XX", body = Problem)))]
async fn make_staff_code(
    Signed(person): Signed,
    State(app): State<App>,
    Body(new): Body<NewStaffCode>,
) -> Result<Created<StaffCode>, Problem> {
    if !person.locations.contains(&new.location_id) {
        return Err(Problem::new(Kind::Forbidden, "you are not staff of this store"));
    }
    let whose = (&person.account.id, person.account.display_name.as_str());
    Ok(Created(app.attribution.make_staff_code(whose, &new.location_id).await?))
}
