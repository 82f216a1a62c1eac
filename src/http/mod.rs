//! Door: all routes and layers, embedded pages.
//!
//! One router a room, in one visible list. Invariant: what a handler does not answer is answered as problem+json.

mod attribution;
mod audit;
pub(crate) mod auth;
mod contracts;
mod demo;
mod description;
mod earnings;
mod events;
mod exports;
mod first_word;
mod goods;
mod idempotency;
mod import;
mod live;
pub mod media;
mod media_layers;
mod media_report;
pub(crate) mod metrics;
mod moderation;
mod pages;
mod payments;
mod payouts;
mod people;
pub mod problem;
mod questions;
pub mod rates;
mod reconciliation;
mod refunds;
mod reports;
mod shop;
mod statements;
mod upgrade;
mod webhooks;
mod ws;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Path, Query, Request, State, rejection::JsonRejection},
    http::{HeaderValue, StatusCode, header, request::Parts},
    middleware,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use tower_http::{
    catch_panic::CatchPanicLayer, compression::CompressionLayer, set_header::SetResponseHeaderLayer, trace::TraceLayer,
};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

pub use demo::{DemoAccount, DemoRole, DemoView};
pub(crate) use first_word::FirstWord;

use crate::app::App;
use problem::{Kind, Problem};

/// Bytes of a request's body; a product with its picture is the largest.
const MAX_BODY_BYTES: usize = 256 * 1024;
/// Items of a page.
const MAX_PAGE: i64 = 100;
/// Items of a page when nothing is said.
const DEFAULT_PAGE: i64 = 50;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Hanamichi",
        description = "Live commerce: lives, the hub, shared stock, purchases, credits. Errors are problem+json; \
                       times are Unix milliseconds; money is integers in minor units.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(Problem))
)]
struct ApiDoc;

/// Creating requests without a key of their own: answers are kept under their Idempotency-Key.
fn creating() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(people::operator_router())
        .merge(goods::creating_router())
        .merge(live::creating_router())
        .merge(questions::creating_router())
        .merge(moderation::creating_router())
        .merge(attribution::creating_router())
        .merge(exports::creating_router())
        .merge(contracts::creating_router())
        .merge(webhooks::creating_router())
}

fn rooms() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(ApiDoc::openapi())
        .merge(people::router())
        .merge(goods::router())
        .merge(import::router())
        .merge(shop::router())
        .merge(payments::router())
        .merge(refunds::router())
        .merge(reconciliation::router())
        .merge(reports::router())
        .merge(attribution::router())
        .merge(exports::router())
        .merge(audit::router())
        .merge(contracts::router())
        .merge(statements::router())
        .merge(payouts::router())
        .merge(earnings::router())
        .merge(webhooks::router())
        .merge(live::router())
        .merge(questions::router())
        .merge(moderation::router())
        .merge(ws::router())
        .merge(events::router())
        .merge(media::router())
        .merge(media_layers::router())
        .merge(media_report::router())
        .merge(demo::router())
}

/// The OpenAPI 3.1 description, as JSON text.
#[must_use]
pub fn openapi() -> String {
    let (_, document) = rooms().merge(creating()).split_for_parts();
    serde_json::to_string_pretty(&description::finish(&document)).expect("the document is JSON") + "\n"
}

/// Everything this server answers over HTTP.
pub fn router(app: App) -> Router {
    let creating = creating().route_layer(middleware::from_fn_with_state(app.clone(), idempotency::keep));
    let (api, document) = rooms().merge(creating).split_for_parts();
    let description = description::finish(&document).to_string();
    api.route(
        "/v1/openapi.json",
        axum::routing::get(move || async move { ([(header::CONTENT_TYPE, "application/json")], description) }),
    )
    .route("/healthz", axum::routing::get(async || "ok\n"))
    .route("/readyz", axum::routing::get(ready))
    .fallback(pages::page)
    .method_not_allowed_fallback(async || Problem::new(Kind::MethodNotAllowed, "see /v1/openapi.json"))
    .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
    .layer(middleware::from_fn_with_state(app.clone(), rates::limit))
    .layer(CompressionLayer::new())
    .layer(SetResponseHeaderLayer::if_not_present(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")))
    .layer(CatchPanicLayer::custom(|_| {
        Problem::new(Kind::Internal, "please try again; if it stays, tell the operator").into_response()
    }))
    .layer(middleware::from_fn(media::cors))
    .layer(TraceLayer::new_for_http())
    .with_state(app)
}

/// Whether this node should get new work.
async fn ready(State(app): State<App>) -> Result<&'static str, Problem> {
    if app.leaving.is_cancelled() || app.tasks.stopping().is_cancelled() {
        return Err(Problem::new(Kind::Unavailable, "this node is stopping"));
    }
    app.db.read("ready").await?;
    Ok("ready\n")
}

/// A JSON body; what cannot be read is a problem that says why.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        // Read as raw JSON first: U+0000 is no text for PostgreSQL, so it is nowhere.
        let raw: Result<Json<Box<RawValue>>, JsonRejection> = Json::from_request(request, state).await;
        let raw = raw?.0;
        if raw.get().contains("\\u0000") {
            return Err(Problem::invalid("texts must not contain U+0000"));
        }
        let read: Result<Json<T>, JsonRejection> = Json::from_bytes(raw.get().as_bytes());
        Ok(Self(read?.0))
    }
}

/// The id in the path; a malformed one names nothing.
#[derive(Debug)]
pub(crate) struct PathId<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for PathId<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Ok(Self(Path::<T>::from_request_parts(parts, state).await?.0))
    }
}

/// 201 with what was made.
#[derive(Debug)]
pub(crate) struct Created<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, Json(self.0)).into_response()
    }
}

/// A page of a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Items<T> {
    /// This page.
    pub(crate) items: Vec<T>,
    /// Give it back as `cursor` for the next page; absent at the end.
    pub(crate) next_cursor: Option<String>,
}

impl<T> Items<T> {
    /// All there is.
    pub(crate) fn all(items: Vec<T>) -> Self {
        Self { items, next_cursor: None }
    }

    /// A page from `limit + 1` items that were read.
    pub(crate) fn page(mut items: Vec<T>, limit: i64, cursor: impl Fn(&T) -> String) -> Self {
        let limit = usize::try_from(limit).unwrap_or(0);
        let more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = more.then(|| items.last().map(cursor)).flatten();
        Self { items, next_cursor }
    }
}

/// Which page.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1 to 100; 50 when absent.
    limit: Option<i64>,
}

impl Page {
    /// How many are asked for, within bounds.
    pub(crate) fn limit(&self) -> i64 {
        self.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE)
    }

    /// The cursor as an id.
    pub(crate) fn cursor_id<T>(
        &self,
        parse: impl Fn(&str) -> Result<T, crate::ids::InvalidId>,
    ) -> Result<Option<T>, Problem> {
        self.cursor(|text| parse(text).ok())
    }

    /// The cursor as whatever this list goes by.
    pub(crate) fn cursor<T>(&self, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Problem> {
        let no_cursor = || Problem::invalid("cursor must be the next_cursor of a page of this list");
        self.cursor.as_deref().map(|text| parse(text).ok_or_else(no_cursor)).transpose()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Page {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Ok(Query::<Self>::from_request_parts(parts, state).await?.0)
    }
}
