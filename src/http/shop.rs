//! Edge: buying: confirmation, purchase, order.

use axum::{
    Json,
    extract::{Query, State},
    http::HeaderMap,
};
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Body, Created, Items, Page, PathId,
    auth::Customer,
    problem::{Kind, Problem},
};
use crate::{
    app::App,
    commerce::{Confirmation, Method, Order, PlaceRequest, Purchase},
    ids::{OfferId, OrderId, PurchaseId},
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(confirmation))
        .routes(routes!(place, list))
        .routes(routes!(load))
        .routes(routes!(pay))
        .routes(routes!(cancel))
        .routes(routes!(order))
}

/// How many.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Quantity {
    /// 1 to 99; 1 when absent.
    #[serde(default = "one")]
    qty: u32,
}

fn one() -> u32 {
    1
}

/// The final confirmation that must stand beside the buy button.
#[utoipa::path(get, path = "/v1/offers/{offer}/confirmation", tag = "shop", params(("offer" = String, Path), Quantity),
    responses((status = 200, body = Confirmation), (status = "4XX", body = Problem)))]
async fn confirmation(
    State(app): State<App>,
    PathId(offer): PathId<OfferId>,
    quantity: Result<Query<Quantity>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Confirmation>, Problem> {
    let Query(quantity) = quantity?;
    Ok(Json(app.checkout.confirmation(&offer, quantity.qty).await?))
}

/// Buy: reserves the units and, with a payment method, pays. The same Idempotency-Key has the same purchase; a refusal
/// makes none and uses up no key, so a later try under it may succeed.
#[utoipa::path(post, path = "/v1/purchases", tag = "shop", request_body = PlaceRequest,
    params(("Idempotency-Key" = String, Header, description = "Made by the client for one tap; 1 to 255 characters")),
    responses((status = 201, body = Purchase), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
async fn place(
    customer: Customer,
    State(app): State<App>,
    headers: HeaderMap,
    Body(request): Body<PlaceRequest>,
) -> Result<Created<Purchase>, Problem> {
    let key = headers.get("idempotency-key").ok_or_else(|| {
        Problem::new(Kind::IdempotencyKeyMissing, "send a key of your own making, so that a repeated tap buys once")
    })?;
    let key = key.to_str().map_err(|_| Problem::invalid("Idempotency-Key must be visible ASCII"))?;
    let purchase = app.checkout.place(&customer.customer_id, customer.demo, key, &request).await?;
    Ok(Created(purchase))
}

/// Your purchases, newest first.
#[utoipa::path(get, path = "/v1/purchases", tag = "shop", params(Page), responses((status = 200, body = Items<Purchase>)))]
async fn list(customer: Customer, State(app): State<App>, page: Page) -> Result<Json<Items<Purchase>>, Problem> {
    let before = page.cursor_id(PurchaseId::parse)?;
    let items = app.checkout.list(&customer.customer_id, before.as_ref(), page.limit() + 1).await?;
    Ok(Json(Items::page(items, page.limit(), |purchase| purchase.id.to_string())))
}

/// One of your purchases.
#[utoipa::path(get, path = "/v1/purchases/{purchase}", tag = "shop", params(("purchase" = String, Path)),
    responses((status = 200, body = Purchase), (status = 404, body = Problem)))]
async fn load(
    customer: Customer,
    State(app): State<App>,
    PathId(id): PathId<PurchaseId>,
) -> Result<Json<Purchase>, Problem> {
    Ok(Json(app.checkout.load(&customer.customer_id, &id).await?))
}

/// How a held purchase is paid.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Pay {
    payment_method: Method,
}

/// Pay for held units.
#[utoipa::path(post, path = "/v1/purchases/{purchase}/pay", tag = "shop", params(("purchase" = String, Path)), request_body = Pay,
    responses((status = 200, body = Purchase), (status = "4XX", body = Problem)))]
async fn pay(
    customer: Customer,
    State(app): State<App>,
    PathId(id): PathId<PurchaseId>,
    Body(pay): Body<Pay>,
) -> Result<Json<Purchase>, Problem> {
    Ok(Json(app.checkout.pay(&customer.customer_id, &id, pay.payment_method).await?))
}

/// Give held units back.
#[utoipa::path(post, path = "/v1/purchases/{purchase}/cancel", tag = "shop", params(("purchase" = String, Path)),
    responses((status = 200, body = Purchase), (status = "4XX", body = Problem)))]
async fn cancel(
    customer: Customer,
    State(app): State<App>,
    PathId(id): PathId<PurchaseId>,
) -> Result<Json<Purchase>, Problem> {
    Ok(Json(app.checkout.cancel(&customer.customer_id, &id).await?))
}

/// One of your orders.
#[utoipa::path(get, path = "/v1/orders/{order}", tag = "shop", params(("order" = String, Path)),
    responses((status = 200, body = Order), (status = 404, body = Problem)))]
async fn order(
    customer: Customer,
    State(app): State<App>,
    PathId(id): PathId<OrderId>,
) -> Result<Json<Order>, Problem> {
    Ok(Json(app.checkout.load_order(&customer.customer_id, &id).await?))
}
