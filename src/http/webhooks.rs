//! Edge: where a brand's systems are told of what happens.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Body, Created, Items, Page, PathId, auth::BrandMember, problem::Problem};
use crate::{
    app::App,
    ids::{BrandId, MessageId, WebhookId},
    webhooks::{Delivery, DeliveryState, DeliveryWithBody, EndpointChange, NewEndpoint, NewSecret, WebhookEndpoint},
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(find, change, remove))
        .routes(routes!(deliveries))
        .routes(routes!(delivery))
        .routes(routes!(resend))
        .routes(routes!(resend_failed))
}

/// Creating requests whose answers are kept under their Idempotency-Key.
pub(super) fn creating_router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, add)).routes(routes!(renew)).routes(routes!(test))
}

/// A brand's webhook endpoints.
#[utoipa::path(get, path = "/v1/brands/{brand}/webhook-endpoints", tag = "webhooks", params(("brand" = String, Path)),
    responses((status = 200, body = Items<WebhookEndpoint>), (status = "4XX", body = Problem)))]
async fn list(
    member: BrandMember,
    State(app): State<App>,
    PathId(brand): PathId<BrandId>,
) -> Result<Json<Items<WebhookEndpoint>>, Problem> {
    member.of(&brand)?;
    Ok(Json(Items::all(app.webhooks.of_brand(&brand).await?)))
}

/// Add an address that is told of a brand's events as Standard Webhooks; its secret is in this answer only.
#[utoipa::path(post, path = "/v1/brands/{brand}/webhook-endpoints", tag = "webhooks", params(("brand" = String, Path)),
    request_body = NewEndpoint, responses((status = 201, body = NewSecret), (status = "4XX", body = Problem)))]
async fn add(
    member: BrandMember,
    State(app): State<App>,
    PathId(brand): PathId<BrandId>,
    Body(new): Body<NewEndpoint>,
) -> Result<Created<NewSecret>, Problem> {
    member.of(&brand)?;
    if !app.people.brand_exists(&brand).await? {
        return Err(Problem::not_found("brand"));
    }
    Ok(Created(app.webhooks.add(&member.person().account.id, &brand, new).await?))
}

async fn ours(member: &BrandMember, app: &App, id: &WebhookId) -> Result<WebhookEndpoint, Problem> {
    let endpoint = app.webhooks.find(id).await?;
    member.of(&endpoint.brand_id).map_err(|_| Problem::not_found("webhook endpoint"))?;
    Ok(endpoint)
}

/// An endpoint and how it fares.
#[utoipa::path(get, path = "/v1/webhook-endpoints/{endpoint}", tag = "webhooks", params(("endpoint" = String, Path)),
    responses((status = 200, body = WebhookEndpoint), (status = "4XX", body = Problem)))]
async fn find(
    member: BrandMember,
    State(app): State<App>,
    PathId(id): PathId<WebhookId>,
) -> Result<Json<WebhookEndpoint>, Problem> {
    Ok(Json(ours(&member, &app, &id).await?))
}

/// Change an endpoint, pause it, or let it go on; what is absent stays.
#[utoipa::path(patch, path = "/v1/webhook-endpoints/{endpoint}", tag = "webhooks", params(("endpoint" = String, Path)),
    request_body = EndpointChange, responses((status = 200, body = WebhookEndpoint), (status = "4XX", body = Problem)))]
async fn change(
    member: BrandMember,
    State(app): State<App>,
    PathId(id): PathId<WebhookId>,
    Body(change): Body<EndpointChange>,
) -> Result<Json<WebhookEndpoint>, Problem> {
    ours(&member, &app, &id).await?;
    Ok(Json(app.webhooks.change(&member.person().account.id, &id, change).await?))
}

/// Take an endpoint away; what waits for it is not sent.
#[utoipa::path(delete, path = "/v1/webhook-endpoints/{endpoint}", tag = "webhooks", params(("endpoint" = String, Path)),
    responses((status = 204), (status = "4XX", body = Problem)))]
async fn remove(
    member: BrandMember,
    State(app): State<App>,
    PathId(id): PathId<WebhookId>,
) -> Result<StatusCode, Problem> {
    ours(&member, &app, &id).await?;
    app.webhooks.remove(&member.person().account.id, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Another secret; the one before signs for 24 hours, too.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{endpoint}/secret", tag = "webhooks",
    params(("endpoint" = String, Path)),
    responses((status = 201, body = NewSecret), (status = "4XX", body = Problem)))]
async fn renew(
    member: BrandMember,
    State(app): State<App>,
    PathId(id): PathId<WebhookId>,
) -> Result<Created<NewSecret>, Problem> {
    ours(&member, &app, &id).await?;
    Ok(Created(app.webhooks.renew(&member.person().account.id, &id).await?))
}

/// Send an `endpoint.test`.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{endpoint}/test", tag = "webhooks",
    params(("endpoint" = String, Path)),
    responses((status = 202, body = Delivery), (status = "4XX", body = Problem)))]
async fn test(
    member: BrandMember,
    State(app): State<App>,
    PathId(id): PathId<WebhookId>,
) -> Result<(StatusCode, Json<Delivery>), Problem> {
    ours(&member, &app, &id).await?;
    Ok((StatusCode::ACCEPTED, Json(app.webhooks.test(&id).await?)))
}

/// Which deliveries.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// `waiting`, `delivered` or `failed`; all when absent.
    state: Option<DeliveryState>,
}

/// What is on its way to an endpoint, or was within 30 days; newest first.
#[utoipa::path(get, path = "/v1/webhook-endpoints/{endpoint}/deliveries", tag = "webhooks",
    params(("endpoint" = String, Path), Which, Page),
    responses((status = 200, body = Items<Delivery>), (status = "4XX", body = Problem)))]
async fn deliveries(
    member: BrandMember,
    State(app): State<App>,
    PathId(id): PathId<WebhookId>,
    which: Result<Query<Which>, QueryRejection>,
    page: Page,
) -> Result<Json<Items<Delivery>>, Problem> {
    ours(&member, &app, &id).await?;
    let Query(which) = which?;
    let before = page.cursor_id(MessageId::parse)?;
    let items = app.webhooks.deliveries(&id, which.state, before.as_ref(), page.limit() + 1).await?;
    Ok(Json(Items::page(items, page.limit(), |delivery| delivery.message_id.to_string())))
}

/// One delivery, with the text that is signed.
#[utoipa::path(get, path = "/v1/webhook-endpoints/{endpoint}/deliveries/{message}", tag = "webhooks",
    params(("endpoint" = String, Path), ("message" = String, Path)),
    responses((status = 200, body = DeliveryWithBody), (status = "4XX", body = Problem)))]
async fn delivery(
    member: BrandMember,
    State(app): State<App>,
    PathId((id, message)): PathId<(WebhookId, MessageId)>,
) -> Result<Json<DeliveryWithBody>, Problem> {
    ours(&member, &app, &id).await?;
    Ok(Json(app.webhooks.delivery(&id, &message).await?))
}

/// Send one again, whatever became of it.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{endpoint}/deliveries/{message}/resend", tag = "webhooks",
    params(("endpoint" = String, Path), ("message" = String, Path)),
    responses((status = 202, body = Delivery), (status = "4XX", body = Problem)))]
async fn resend(
    member: BrandMember,
    State(app): State<App>,
    PathId((id, message)): PathId<(WebhookId, MessageId)>,
) -> Result<(StatusCode, Json<Delivery>), Problem> {
    ours(&member, &app, &id).await?;
    Ok((StatusCode::ACCEPTED, Json(app.webhooks.resend(&id, &message).await?)))
}

/// How many are sent again.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Resent {
    resent: u64,
}

/// Send all again that were given up.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{endpoint}/resend", tag = "webhooks",
    params(("endpoint" = String, Path)),
    responses((status = 200, body = Resent), (status = "4XX", body = Problem)))]
async fn resend_failed(
    member: BrandMember,
    State(app): State<App>,
    PathId(id): PathId<WebhookId>,
) -> Result<Json<Resent>, Problem> {
    ours(&member, &app, &id).await?;
    Ok(Json(Resent { resent: app.webhooks.resend_failed(&id).await? }))
}
