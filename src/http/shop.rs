//! Edge: buying: confirmation, purchase, order.

use axum::{
    Json,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Body, Created, Items, Page, PathId,
    auth::{BrandMember, Customer},
    problem::{Kind, Problem},
};
use crate::{
    app::App,
    commerce::{Confirmation, LineRequest, Method, Order, PlaceRequest, PurchaseView, Wait},
    ids::{OfferId, OrderId, PurchaseId, WaitId},
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(confirmation))
        .routes(routes!(place, list))
        .routes(routes!(load))
        .routes(routes!(pay))
        .routes(routes!(cancel))
        .routes(routes!(order))
        .routes(routes!(confirm_lines))
        .routes(routes!(kept_confirmation))
        .routes(routes!(join_waitlist, waits))
        .routes(routes!(leave_waitlist))
        .routes(routes!(fulfil))
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
    let line = LineRequest { offer_id: offer, qty: quantity.qty };
    Ok(Json(app.checkout.confirmation(&[line]).await?))
}

/// What a basket holds.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Basket {
    /// 1 to 20, different offers of one live.
    lines: Vec<LineRequest>,
}

/// The final confirmation of several lines.
#[utoipa::path(post, path = "/v1/confirmations", tag = "shop", request_body = Basket,
    responses((status = 200, body = Confirmation), (status = "4XX", body = Problem)))]
async fn confirm_lines(State(app): State<App>, Body(basket): Body<Basket>) -> Result<Json<Confirmation>, Problem> {
    Ok(Json(app.checkout.confirmation(&basket.lines).await?))
}

/// The final confirmation that was shown for a purchase, as it was kept.
#[utoipa::path(get, path = "/v1/purchases/{purchase}/confirmation", tag = "shop", params(("purchase" = String, Path)),
    responses((status = 200, body = Confirmation), (status = 404, body = Problem)))]
async fn kept_confirmation(
    customer: Customer,
    State(app): State<App>,
    PathId(id): PathId<PurchaseId>,
) -> Result<Response, Problem> {
    let shown = app.checkout.kept_confirmation(&customer.customer_id, &id).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], shown).into_response())
}

/// A place on a waitlist.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct JoinWaitlist {
    offer_id: OfferId,
    /// 1 to 10; 1 when absent.
    #[serde(default = "one")]
    qty: u32,
    /// Of the sheet that was shown; another one is refused with `price-changed`.
    confirmation_hash: Option<String>,
}

/// Wait for the next released units: they are held for you when it is your turn, and you are told over the hub.
/// Joining twice is the same place.
#[utoipa::path(post, path = "/v1/waitlist", tag = "shop", request_body = JoinWaitlist,
    responses((status = 201, body = Wait), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
async fn join_waitlist(
    customer: Customer,
    State(app): State<App>,
    Body(join): Body<JoinWaitlist>,
) -> Result<Created<Wait>, Problem> {
    let seen = join.confirmation_hash.as_deref();
    let wait = app.checkout.join_waitlist(&customer.customer_id, customer.demo, &join.offer_id, join.qty, seen).await?;
    Ok(Created(wait))
}

/// Your places on waitlists, newest first.
#[utoipa::path(get, path = "/v1/waitlist", tag = "shop", params(Page), responses((status = 200, body = Items<Wait>)))]
async fn waits(customer: Customer, State(app): State<App>, page: Page) -> Result<Json<Items<Wait>>, Problem> {
    let before = page.cursor_id(WaitId::parse)?;
    let items = app.checkout.waits(&customer.customer_id, before.as_ref(), page.limit() + 1).await?;
    Ok(Json(Items::page(items, page.limit(), |wait| wait.id.to_string())))
}

/// Give up a place. What was offered already is given back by cancelling its purchase.
#[utoipa::path(delete, path = "/v1/waitlist/{wait}", tag = "shop", params(("wait" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
async fn leave_waitlist(
    customer: Customer,
    State(app): State<App>,
    PathId(id): PathId<WaitId>,
) -> Result<StatusCode, Problem> {
    app.checkout.leave_waitlist(&customer.customer_id, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The goods of an order have left: the money is taken and the units leave the shelf. May be repeated.
#[utoipa::path(post, path = "/v1/orders/{order}/fulfilment", tag = "shop", params(("order" = String, Path)),
    responses((status = 200, body = PurchaseView), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
async fn fulfil(
    member: BrandMember,
    State(app): State<App>,
    PathId(id): PathId<OrderId>,
) -> Result<Json<PurchaseView>, Problem> {
    for brand in app.checkout.brands_of(&id).await? {
        member.of(&brand).map_err(|_| Problem::not_found("order"))?;
    }
    let purchase = app.checkout.fulfil(&id).await?;
    app.people.note(&member.person().account.id, "order.fulfil", id.as_str(), "").await?;
    Ok(Json(app.checkout.view(purchase)))
}

/// Buy: reserves the units and, with a payment method, pays. The same Idempotency-Key has the same purchase; a refusal
/// makes none and uses up no key, so a later try under it may succeed.
#[utoipa::path(post, path = "/v1/purchases", tag = "shop", request_body = PlaceRequest,
    params(("Idempotency-Key" = String, Header, description = "Made by the client for one tap; 1 to 255 characters")),
    responses((status = 201, body = PurchaseView), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
async fn place(
    customer: Customer,
    State(app): State<App>,
    headers: HeaderMap,
    Body(request): Body<PlaceRequest>,
) -> Result<Created<PurchaseView>, Problem> {
    let key = headers.get("idempotency-key").ok_or_else(|| {
        Problem::new(Kind::IdempotencyKeyMissing, "send a key of your own making, so that a repeated tap buys once")
    })?;
    let key = key.to_str().map_err(|_| Problem::invalid("Idempotency-Key must be visible ASCII"))?;
    let purchase = app.checkout.place(&customer.customer_id, customer.demo, key, &request).await?;
    Ok(Created(app.checkout.view(purchase)))
}

/// Your purchases, newest first.
#[utoipa::path(get, path = "/v1/purchases", tag = "shop", params(Page), responses((status = 200, body = Items<PurchaseView>)))]
async fn list(customer: Customer, State(app): State<App>, page: Page) -> Result<Json<Items<PurchaseView>>, Problem> {
    let before = page.cursor_id(PurchaseId::parse)?;
    let items = app.checkout.list(&customer.customer_id, before.as_ref(), page.limit() + 1).await?;
    let items: Vec<PurchaseView> = items.into_iter().map(|purchase| app.checkout.view(purchase)).collect();
    Ok(Json(Items::page(items, page.limit(), |purchase| purchase.id.to_string())))
}

/// One of your purchases.
#[utoipa::path(get, path = "/v1/purchases/{purchase}", tag = "shop", params(("purchase" = String, Path)),
    responses((status = 200, body = PurchaseView), (status = 404, body = Problem)))]
async fn load(
    customer: Customer,
    State(app): State<App>,
    PathId(id): PathId<PurchaseId>,
) -> Result<Json<PurchaseView>, Problem> {
    let purchase = app.checkout.load(&customer.customer_id, &id).await?;
    Ok(Json(app.checkout.view(purchase)))
}

/// How a held purchase is paid.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Pay {
    /// See `payment_method` of a purchase.
    #[schema(value_type = String, example = "sandbox_card")]
    payment_method: Method,
    /// Of the sheet that was shown; another one is refused with `price-changed`.
    confirmation_hash: Option<String>,
}

/// Pay for held units.
#[utoipa::path(post, path = "/v1/purchases/{purchase}/pay", tag = "shop", params(("purchase" = String, Path)), request_body = Pay,
    responses((status = 200, body = PurchaseView), (status = "4XX", body = Problem)))]
async fn pay(
    customer: Customer,
    State(app): State<App>,
    PathId(id): PathId<PurchaseId>,
    Body(pay): Body<Pay>,
) -> Result<Json<PurchaseView>, Problem> {
    let seen = pay.confirmation_hash.as_deref();
    let purchase = app.checkout.pay(&customer.customer_id, &id, pay.payment_method, seen).await?;
    Ok(Json(app.checkout.view(purchase)))
}

/// Give held units back.
#[utoipa::path(post, path = "/v1/purchases/{purchase}/cancel", tag = "shop", params(("purchase" = String, Path)),
    responses((status = 200, body = PurchaseView), (status = "4XX", body = Problem)))]
async fn cancel(
    customer: Customer,
    State(app): State<App>,
    PathId(id): PathId<PurchaseId>,
) -> Result<Json<PurchaseView>, Problem> {
    let purchase = app.checkout.cancel(&customer.customer_id, &id).await?;
    Ok(Json(app.checkout.view(purchase)))
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
