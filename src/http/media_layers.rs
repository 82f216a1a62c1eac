//! Edge: which of its sizes a viewer sees the picture in. The unguessable path of its session is the right to choose.

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Body, PathId, problem::Problem};
use crate::{
    app::App,
    ids::MediaSessionId,
    media::{Choice, Choices},
};

pub(super) fn router() -> OpenApiRouter<App> {
    let preflight = axum::Router::new().route("/v1/whep/{session}/layer", axum::routing::options(super::media::empty));
    OpenApiRouter::new().routes(routes!(seen, choose)).merge(OpenApiRouter::from(preflight))
}

/// How large a viewer wants the picture.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
struct LayerChoice {
    layer: Choice,
}

/// The sizes that a viewer may choose from.
#[utoipa::path(get, path = "/v1/whep/{session}/layer", tag = "media", params(("session" = String, Path)),
    responses((status = 200, body = Choices), (status = "4XX", body = Problem)))]
async fn seen(State(app): State<App>, PathId(session): PathId<MediaSessionId>) -> Result<Json<Choices>, Problem> {
    Ok(Json(app.media.layers(&session, None).await?))
}

/// Choose how large the picture shall be; `auto`, as large as the viewer's network carries.
#[utoipa::path(put, path = "/v1/whep/{session}/layer", tag = "media", params(("session" = String, Path)),
    request_body = LayerChoice, responses((status = 204), (status = "4XX", body = Problem)))]
async fn choose(
    State(app): State<App>,
    PathId(session): PathId<MediaSessionId>,
    Body(LayerChoice { layer }): Body<LayerChoice>,
) -> Result<StatusCode, Problem> {
    app.media.layers(&session, Some(layer)).await?;
    Ok(StatusCode::NO_CONTENT)
}
