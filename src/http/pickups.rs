//! Edge: what a store's staff do with orders that are picked up there.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::HeaderMap,
};
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Body, Items, Page, PathId,
    auth::Staff,
    problem::{Kind, Problem},
};
use crate::{
    app::App,
    ids::{LocationId, OrderId},
    omo::{HandOver, PickupState, StorePickup},
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(preparing))
        .routes(routes!(ready))
        .routes(routes!(hand_over))
}

/// Which pickups.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Those of one state; all that is still to be handed over when absent.
    state: Option<PickupState>,
}

/// A store's pickups, for its staff: oldest first; what is handed over or called off, newest first. No code is told here.
#[utoipa::path(get, path = "/v1/locations/{location}/pickups", tag = "stores",
    params(("location" = String, Path), Which, Page),
    responses((status = 200, body = Items<StorePickup>), (status = "4XX", body = Problem)))]
async fn list(
    staff: Staff,
    State(app): State<App>,
    PathId(location): PathId<LocationId>,
    which: Result<Query<Which>, QueryRejection>,
    page: Page,
) -> Result<Json<Items<StorePickup>>, Problem> {
    staff.of(&location)?;
    let Query(which) = which?;
    let cursor = page.cursor_id(OrderId::parse)?;
    let items = app.pickups.of_location(&location, which.state, cursor.as_ref(), page.limit() + 1).await?;
    Ok(Json(Items::page(items, page.limit(), |pickup| pickup.order_id.to_string())))
}

/// The store begins with an order; its customer sees it. May be repeated.
#[utoipa::path(post, path = "/v1/locations/{location}/pickups/{order}/preparing", tag = "stores",
    params(("location" = String, Path), ("order" = String, Path)),
    responses((status = 200, body = StorePickup), (status = "4XX", body = Problem)))]
async fn preparing(
    staff: Staff,
    State(app): State<App>,
    PathId((location, order)): PathId<(LocationId, OrderId)>,
) -> Result<Json<StorePickup>, Problem> {
    let by = staff.of(&location)?;
    let pickup = app.pickups.prepare(&location, &order).await?;
    app.people.note(&by.account.id, "pickup.prepare", order.as_str(), location.as_str()).await?;
    Ok(Json(pickup))
}

/// An order can be picked up: its customer is told, and has the code. May be repeated.
#[utoipa::path(post, path = "/v1/locations/{location}/pickups/{order}/ready", tag = "stores",
    params(("location" = String, Path), ("order" = String, Path)),
    responses((status = 200, body = StorePickup), (status = "4XX", body = Problem)))]
async fn ready(
    staff: Staff,
    State(app): State<App>,
    PathId((location, order)): PathId<(LocationId, OrderId)>,
) -> Result<Json<StorePickup>, Problem> {
    let by = staff.of(&location)?;
    let pickup = app.pickups.ready(&location, &order).await?;
    app.people.note(&by.account.id, "pickup.ready", order.as_str(), location.as_str()).await?;
    Ok(Json(pickup))
}

/// What the customer shows.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Shown {
    /// The 8 characters, in any case, with or without hyphen; or the text of the QR.
    code: String,
}

/// Hand over what the customer's code is for: its money is taken and its units leave the shelf. The same Idempotency-Key has one
/// answer. A code that was used is `pickup-handed-over`; after 20 wrong ones within a minute the store has to wait.
#[utoipa::path(post, path = "/v1/locations/{location}/pickups/hand-over", tag = "stores", request_body = Shown,
    params(("location" = String, Path),
        ("Idempotency-Key" = String, Header, description = "Made by the client for one hand-over; 1 to 255 characters")),
    responses((status = 200, body = StorePickup), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
async fn hand_over(
    staff: Staff,
    State(app): State<App>,
    PathId(location): PathId<LocationId>,
    headers: HeaderMap,
    Body(shown): Body<Shown>,
) -> Result<Json<StorePickup>, Problem> {
    let by = &staff.of(&location)?.account.id;
    let key = headers.get("idempotency-key").ok_or_else(|| {
        Problem::new(
            Kind::IdempotencyKeyMissing,
            "send a key of your own making, so that a repeated request counts once",
        )
    })?;
    let key = key.to_str().map_err(|_| Problem::invalid("Idempotency-Key must be visible ASCII"))?;
    let what = HandOver { by, location: &location, key, code: &shown.code };
    let pickup = app.pickups.hand_over(what).await?;
    app.people.note(by, "pickup.hand_over", pickup.order_id.as_str(), location.as_str()).await?;
    Ok(Json(pickup))
}
