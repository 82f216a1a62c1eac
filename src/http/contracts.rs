//! Edge: what brands and livers agree on.

use axum::{Json, extract::State};
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Body, Created, Items, Page, PathId,
    auth::{BrandMember, Liver, Signed},
    problem::Problem,
};
use crate::{
    app::App,
    ids::{BrandId, ContractId, LiverId},
    settlement::{ContractView, Party, Terms},
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(of_brand))
        .routes(routes!(of_liver))
        .routes(routes!(load))
        .routes(routes!(accept))
        .routes(routes!(decline))
}

pub(super) fn creating_router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(offer)).routes(routes!(counter))
}

/// Terms for a liver.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Offered {
    /// For whom.
    liver_id: LiverId,
    /// What is proposed.
    terms: Terms,
}

/// Other terms.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Countered {
    /// What is proposed.
    terms: Terms,
}

/// A brand's contracts, newest first.
#[utoipa::path(get, path = "/v1/brands/{brand}/contracts", tag = "settlement", params(("brand" = String, Path), Page),
    responses((status = 200, body = Items<ContractView>), (status = "4XX", body = Problem)))]
async fn of_brand(
    member: BrandMember,
    State(app): State<App>,
    PathId(brand): PathId<BrandId>,
    page: Page,
) -> Result<Json<Items<ContractView>>, Problem> {
    member.of(&brand)?;
    let before = page.cursor_id(ContractId::parse)?;
    let items = app.contracts.of_brand(&brand, before.as_ref(), page.limit() + 1).await?;
    Ok(Json(Items::page(items, page.limit(), |contract| contract.contract_id.to_string())))
}

/// Propose terms to a liver: the next version of their contract, accepted by the brand thereby.
#[utoipa::path(post, path = "/v1/brands/{brand}/contracts", tag = "settlement", params(("brand" = String, Path)),
    request_body = Offered, responses((status = 201, body = ContractView), (status = "4XX", body = Problem)))]
async fn offer(
    member: BrandMember,
    State(app): State<App>,
    PathId(brand): PathId<BrandId>,
    Body(new): Body<Offered>,
) -> Result<Created<ContractView>, Problem> {
    member.of(&brand)?;
    let by = &member.person().account.id;
    Ok(Created(app.contracts.offer(by, &brand, &new.liver_id, new.terms).await?))
}

/// The liver's own contracts, newest first.
#[utoipa::path(get, path = "/v1/me/contracts", tag = "settlement", params(Page),
    responses((status = 200, body = Items<ContractView>), (status = "4XX", body = Problem)))]
async fn of_liver(liver: Liver, State(app): State<App>, page: Page) -> Result<Json<Items<ContractView>>, Problem> {
    let before = page.cursor_id(ContractId::parse)?;
    let items = app.contracts.of_liver(&liver.liver_id, before.as_ref(), page.limit() + 1).await?;
    Ok(Json(Items::page(items, page.limit(), |contract| contract.contract_id.to_string())))
}

/// A contract with all its versions; for its liver, members of its brand and operators.
#[utoipa::path(get, path = "/v1/contracts/{contract}", tag = "settlement", params(("contract" = String, Path)),
    responses((status = 200, body = ContractView), (status = 404, body = Problem)))]
async fn load(
    Signed(person): Signed,
    State(app): State<App>,
    PathId(id): PathId<ContractId>,
) -> Result<Json<ContractView>, Problem> {
    Ok(Json(app.contracts.load(&Party(&person), &id).await?))
}

/// Propose other terms, accepted by who proposes them thereby; a proposal that was open is over.
#[utoipa::path(post, path = "/v1/contracts/{contract}/versions", tag = "settlement", params(("contract" = String, Path)),
    request_body = Countered, responses((status = 201, body = ContractView), (status = "4XX", body = Problem)))]
async fn counter(
    Signed(person): Signed,
    State(app): State<App>,
    PathId(id): PathId<ContractId>,
    Body(new): Body<Countered>,
) -> Result<Created<ContractView>, Problem> {
    Ok(Created(app.contracts.counter(&Party(&person), &id, new.terms).await?))
}

/// Accept a version. When both have, it counts from its first moment on.
#[utoipa::path(post, path = "/v1/contracts/{contract}/versions/{version}/accept", tag = "settlement",
    params(("contract" = String, Path), ("version" = i32, Path)),
    responses((status = 200, body = ContractView), (status = "4XX", body = Problem)))]
async fn accept(
    Signed(person): Signed,
    State(app): State<App>,
    PathId((id, version)): PathId<(ContractId, i32)>,
) -> Result<Json<ContractView>, Problem> {
    Ok(Json(app.contracts.accept(&Party(&person), &id, version).await?))
}

/// Decline a version, or take one's own proposal back. What both accepted stays.
#[utoipa::path(post, path = "/v1/contracts/{contract}/versions/{version}/decline", tag = "settlement",
    params(("contract" = String, Path), ("version" = i32, Path)),
    responses((status = 200, body = ContractView), (status = "4XX", body = Problem)))]
async fn decline(
    Signed(person): Signed,
    State(app): State<App>,
    PathId((id, version)): PathId<(ContractId, i32)>,
) -> Result<Json<ContractView>, Problem> {
    Ok(Json(app.contracts.decline(&Party(&person), &id, version).await?))
}
