//! Edge: locations, and which store has what.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Body, Created, Items, PathId,
    auth::{Guest, Operator},
    problem::Problem,
};
use crate::{
    app::App,
    commerce::{PlaceKind, Point},
    ids::{LocationId, SkuId},
    omo::{Location, LocationChange, NewLocation, StoreStock, parse_near},
    people::Person,
};

/// Creating requests; answers are kept under their Idempotency-Key.
pub(super) fn creating_router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(add))
}

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(load, change)).routes(routes!(stock))
}

/// Where the caller is.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Near {
    /// `latitude,longitude` in degrees: the nearest first, with the distance.
    near: Option<String>,
}

impl Near {
    fn point(self) -> Result<Option<Point>, Problem> {
        Ok(self.near.as_deref().map(parse_near).transpose()?)
    }
}

/// Make a warehouse or store.
#[utoipa::path(post, path = "/v1/locations", tag = "stores", request_body = NewLocation,
    responses((status = 201, body = Location), (status = "4XX", body = Problem)))]
async fn add(
    Operator(by): Operator,
    State(app): State<App>,
    Body(new): Body<NewLocation>,
) -> Result<Created<Location>, Problem> {
    let location = app.omo.add_location(new).await?;
    app.people.note(&by.account.id, "location.add", location.id.as_str(), "").await?;
    Ok(Created(location))
}

/// Change a location; what is absent stays.
#[utoipa::path(patch, path = "/v1/locations/{location}", tag = "stores", params(("location" = String, Path)),
    request_body = LocationChange, responses((status = 200, body = Location), (status = "4XX", body = Problem)))]
async fn change(
    Operator(by): Operator,
    State(app): State<App>,
    PathId(id): PathId<LocationId>,
    Body(change): Body<LocationChange>,
) -> Result<Json<Location>, Problem> {
    let location = app.omo.change_location(&id, change).await?;
    app.people.note(&by.account.id, "location.change", id.as_str(), "").await?;
    Ok(Json(location))
}

/// Whether this person is told of places that no customer comes to.
fn sees_warehouses(person: Option<&Person>) -> bool {
    person.is_some_and(|person| person.operator || !person.brands.is_empty() || !person.locations.is_empty())
}

/// Every store; warehouses too, for members of brands, staff and operators. Oldest first, or the nearest.
#[utoipa::path(get, path = "/v1/locations", tag = "stores", params(Near),
    responses((status = 200, body = Items<Location>), (status = "4XX", body = Problem)))]
async fn list(
    Guest(person): Guest,
    State(app): State<App>,
    near: Result<Query<Near>, QueryRejection>,
) -> Result<Json<Items<Location>>, Problem> {
    let Query(near) = near?;
    let mut items = app.omo.locations(near.point()?).await?;
    if !sees_warehouses(person.as_ref()) {
        items.retain(|location| location.kind == PlaceKind::Store);
    }
    Ok(Json(Items::all(items)))
}

/// One of them.
#[utoipa::path(get, path = "/v1/locations/{location}", tag = "stores", params(("location" = String, Path)),
    responses((status = 200, body = Location), (status = 404, body = Problem)))]
async fn load(
    Guest(person): Guest,
    State(app): State<App>,
    PathId(id): PathId<LocationId>,
) -> Result<Json<Location>, Problem> {
    let location = app.omo.location(&id).await?;
    if location.kind == PlaceKind::Warehouse && !sees_warehouses(person.as_ref()) {
        return Err(Problem::not_found("location"));
    }
    Ok(Json(location))
}

/// Which stores have a SKU, at this moment; those that are out of it too. The nearest first, or the oldest.
#[utoipa::path(get, path = "/v1/skus/{sku}/stores", tag = "stores", params(("sku" = String, Path), Near),
    responses((status = 200, body = Items<StoreStock>), (status = "4XX", body = Problem)))]
async fn stock(
    State(app): State<App>,
    PathId(sku): PathId<SkuId>,
    near: Result<Query<Near>, QueryRejection>,
) -> Result<Json<Items<StoreStock>>, Problem> {
    let Query(near) = near?;
    Ok(Json(Items::all(app.omo.stores_of(&sku, near.point()?).await?)))
}
