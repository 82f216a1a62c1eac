//! Edge: WHIP and WHEP (RFC 9725 and its mirror for playback).
//!
//! Owns the headers of the media routes: content types, `Location`, entity tags, CORS. Who may publish is decided by
//! the caller before these functions; a session's path is unguessable and is the right to change or end it.
//! Invariants: an answer is complete (all candidates, no trickle from us); other origins' players and publishers may
//! call, with a bearer key and never with a cookie of ours.

use std::net::IpAddr;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header},
    middleware::Next,
    response::IntoResponse,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    PathId,
    auth::{CallerAddress, Guest},
    live::visitor,
    problem::{Kind, Problem},
};
use crate::{
    app::App,
    ids::{LiveId, MediaSessionId},
    live::Phase,
    media::{Answer, Media, MediaError, Restarted, VideoCodec},
};

/// The media type of an offer and an answer.
pub const SDP: &str = "application/sdp";
/// The media type of trickled candidates.
pub const SDP_FRAGMENT: &str = "application/trickle-ice-sdpfrag";
/// After so many seconds a viewer asks again whether there is a picture.
pub const NO_PUBLISHER_RETRY_S: u64 = 2;

const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
/// A browser may remember a preflight for so long.
const PREFLIGHT_MAX_AGE_S: &str = "86400";
/// What a VP8 publisher is told (RFC 9110 deprecates `Warning`, but leaves it to be read by people).
const VP8_WARNING: &str = "299 - \"VP8 is carried live only: no HLS, no replay; send H.264 constrained baseline\"";

/// The media routes; [`cors`] opens them to other origins.
pub(super) fn router() -> OpenApiRouter<App> {
    let other_methods = axum::Router::new()
        .route("/internal/relay/{live}", axum::routing::post(relay))
        .route("/v1/lives/{live}/whip", axum::routing::get(empty).options(whip_options))
        .route("/v1/lives/{live}/whep", axum::routing::get(endpoint).options(whep_options))
        .route("/v1/whip/{session}", axum::routing::get(empty).options(session_options))
        .route("/v1/whep/{session}", axum::routing::get(empty).options(session_options));
    OpenApiRouter::new()
        .routes(routes!(whip))
        .routes(routes!(whep))
        .routes(routes!(whip_trickle, whip_end))
        .routes(routes!(whep_trickle, whep_end))
        .merge(OpenApiRouter::from(other_methods))
}

/// Who publishes: the live's stream key, or its liver's own session.
async fn publisher(app: &App, live: &LiveId, headers: &HeaderMap, guest: Guest) -> Result<String, Problem> {
    let found = app.lives.load(live).await?;
    if found.ended_at().is_some() {
        return Err(Problem::new(Kind::LiveEnded, "the live has ended"));
    }
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if let Some(key) = bearer.map(str::trim).filter(|key| !key.starts_with("hk_")) {
        if app.lives.verify_stream_key(live, key).await? {
            return Ok(crate::people::digest(key));
        }
        return Err(Problem::new(Kind::NotSignedIn, "this is not the live's stream key; make a new one in the studio"));
    }
    let person =
        guest.0.ok_or_else(|| Problem::new(Kind::NotSignedIn, "send the live's stream key as a bearer token"))?;
    match person.liver_id {
        Some(liver) if liver == found.liver_id => Ok(liver.to_string()),
        _ => Err(Problem::new(Kind::Forbidden, "this live is another liver's")),
    }
}

/// Who may watch: anybody once it is on air, its liver before.
async fn check_viewer(app: &App, live: &LiveId, guest: Guest, address: IpAddr) -> Result<(), Problem> {
    let found = app.lives.load(live).await?;
    let visitor = guest.0.map(visitor);
    app.lives.may_enter(live, visitor.as_ref(), address).await?;
    let own = visitor.and_then(|person| person.liver_id).is_some_and(|liver| liver == found.liver_id);
    match found.session.phase {
        Phase::Scheduled if !own => Err(Problem::new(Kind::LiveNotLive, "the live has not begun")),
        Phase::Ended { .. } => Err(Problem::new(Kind::LiveEnded, "the live has ended")),
        Phase::Scheduled | Phase::Live { .. } => Ok(()),
    }
}

/// Publish (WHIP, RFC 9725). Authorised by the live's stream key or its liver's session.
#[utoipa::path(post, path = "/v1/lives/{live}/whip", tag = "media", params(("live" = String, Path)),
    request_body(content = String, content_type = "application/sdp"),
    responses((status = 201, body = String, content_type = "application/sdp"), (status = "4XX", body = Problem)))]
async fn whip(
    State(app): State<App>,
    PathId(live): PathId<LiveId>,
    guest: Guest,
    headers: HeaderMap,
    offer: String,
) -> Result<Response<Body>, Problem> {
    let publisher = publisher(&app, &live, &headers, guest).await?;
    app.cascade.check_publisher(&live, &publisher).await?;
    let links = links(&app, &live);
    Ok(with_links(whip_post(&app.media, live, publisher, &headers, offer).await?, links))
}

/// Watch (WHEP).
#[utoipa::path(post, path = "/v1/lives/{live}/whep", tag = "media", params(("live" = String, Path)),
    request_body(content = String, content_type = "application/sdp"),
    responses((status = 201, body = String, content_type = "application/sdp"), (status = "4XX", body = Problem)))]
async fn whep(
    State(app): State<App>,
    PathId(live): PathId<LiveId>,
    guest: Guest,
    CallerAddress(address): CallerAddress,
    headers: HeaderMap,
    offer: String,
) -> Result<Response<Body>, Problem> {
    check_viewer(&app, &live, guest, address).await?;
    let links = links(&app, &live);
    let answered = match whep_post(&app.media, live.clone(), &headers, offer.clone()).await {
        Err(MediaError::NoPublisher) => {
            app.cascade.fetch(&live).await?;
            whep_post(&app.media, live, &headers, offer).await
        }
        answered => answered,
    };
    Ok(with_links(answered?, links))
}

/// Another node's offer, for the viewers that it has. Authorised by a proof that only nodes can make.
async fn relay(
    State(app): State<App>,
    PathId(live): PathId<LiveId>,
    headers: HeaderMap,
    offer: String,
) -> Result<Response<Body>, Problem> {
    let proof = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if !proof.is_some_and(|proof| app.cascade.may_relay(&live, proof)) {
        return Err(Problem::new(Kind::Forbidden, "only nodes that share this one's database may ask for this"));
    }
    expect_type(&headers, SDP)?;
    Ok(created("/v1/whep/", app.media.relay(live, offer).await?))
}

/// `OPTIONS` on the WHIP route: who may publish is told of the STUN and TURN servers before, too (RFC 9725, section 4.6).
async fn whip_options(
    State(app): State<App>,
    PathId(live): PathId<LiveId>,
    guest: Guest,
    headers: HeaderMap,
) -> Response<Body> {
    let told = !is_preflight(&headers) && publisher(&app, &live, &headers, guest).await.is_ok();
    with_links(takes_offers(), if told { links(&app, &live) } else { Vec::new() })
}

/// `OPTIONS` on the WHEP route, likewise.
async fn whep_options(
    State(app): State<App>,
    PathId(live): PathId<LiveId>,
    guest: Guest,
    CallerAddress(address): CallerAddress,
    headers: HeaderMap,
) -> Response<Body> {
    let told = !is_preflight(&headers) && check_viewer(&app, &live, guest, address).await.is_ok();
    with_links(takes_offers(), if told { links(&app, &live) } else { Vec::new() })
}

/// The browser asks before it lets another origin's page ask.
fn is_preflight(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

fn links(app: &App, live: &LiveId) -> Vec<HeaderValue> {
    let now = app.clock.now();
    let links = app.config.media.ice_servers.iter().flat_map(|server| server.links(live.as_str(), now));
    // The configuration was checked, so all of them are header values.
    links.filter_map(|link| HeaderValue::from_str(&link).ok()).collect()
}

fn with_links(mut response: Response<Body>, links: Vec<HeaderValue>) -> Response<Body> {
    for link in links {
        response.headers_mut().append(header::LINK, link);
    }
    response
}

// Formatted by hand: rustfmt moves the attributes inside the macro further right each time.
#[rustfmt::skip]
/// Trickle a publisher's ICE candidates, or restart its ICE.
#[utoipa::path(patch, path = "/v1/whip/{session}", tag = "media", params(("session" = String, Path)),
    request_body(content = String, content_type = "application/trickle-ice-sdpfrag"),
    responses((status = 204), (status = 200, body = String, content_type = "application/trickle-ice-sdpfrag"),
        (status = "4XX", body = Problem)))]
async fn whip_trickle(
    State(app): State<App>,
    PathId(session): PathId<MediaSessionId>,
    guest: Guest,
    headers: HeaderMap,
    fragment: String,
) -> Result<Response<Body>, Problem> {
    publisher(&app, &app.media.live_of(&session).await?, &headers, guest).await?;
    Ok(session_patch(&app.media, &session, &headers, fragment).await?)
}

/// End a publisher's session. Authorised like its beginning.
#[utoipa::path(delete, path = "/v1/whip/{session}", tag = "media", params(("session" = String, Path)),
    responses((status = 200), (status = "4XX", body = Problem)))]
async fn whip_end(
    State(app): State<App>,
    PathId(session): PathId<MediaSessionId>,
    guest: Guest,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    publisher(&app, &app.media.live_of(&session).await?, &headers, guest).await?;
    Ok(session_delete(&app.media, &session).await?)
}

/// Trickle a viewer's ICE candidates, or restart its ICE. The unguessable path is the right to it: guests watch, too.
#[utoipa::path(patch, path = "/v1/whep/{session}", tag = "media", params(("session" = String, Path)),
    request_body(content = String, content_type = "application/trickle-ice-sdpfrag"),
    responses((status = 204), (status = 200, body = String, content_type = "application/trickle-ice-sdpfrag"),
        (status = "4XX", body = Problem)))]
async fn whep_trickle(
    State(app): State<App>,
    PathId(session): PathId<MediaSessionId>,
    headers: HeaderMap,
    fragment: String,
) -> Result<Response<Body>, Problem> {
    Ok(session_patch(&app.media, &session, &headers, fragment).await?)
}

/// End a viewer's session. The unguessable path is the right to it: guests watch, too.
#[utoipa::path(delete, path = "/v1/whep/{session}", tag = "media", params(("session" = String, Path)),
    responses((status = 200), (status = 404, body = Problem)))]
async fn whep_end(State(app): State<App>, PathId(session): PathId<MediaSessionId>) -> Result<Response<Body>, Problem> {
    Ok(session_delete(&app.media, &session).await?)
}

/// `POST /v1/lives/{live}/whip`: a publisher's offer. `publisher` says who it is; the same one may take over.
///
/// # Errors
/// The media room's refusals.
pub async fn whip_post(
    media: &Media,
    live: LiveId,
    publisher: String,
    headers: &HeaderMap,
    offer: String,
) -> Result<Response<Body>, MediaError> {
    expect_type(headers, SDP)?;
    let answer = media.publish(live, publisher, offer).await?;
    let codec = answer.codec;
    let mut response = created("/v1/whip/", answer);
    if codec == VideoCodec::Vp8 {
        response.headers_mut().insert(header::WARNING, HeaderValue::from_static(VP8_WARNING));
    }
    Ok(response)
}

/// `POST /v1/lives/{live}/whep`: a viewer's offer.
///
/// # Errors
/// The media room's refusals.
pub async fn whep_post(
    media: &Media,
    live: LiveId,
    headers: &HeaderMap,
    offer: String,
) -> Result<Response<Body>, MediaError> {
    expect_type(headers, SDP)?;
    Ok(created("/v1/whep/", media.watch(live, offer).await?))
}

/// `PATCH /v1/whip/{session}` and `/v1/whep/{session}`: trickled candidates, or an ICE restart.
///
/// # Errors
/// The media room's refusals.
pub async fn session_patch(
    media: &Media,
    session: &MediaSessionId,
    headers: &HeaderMap,
    fragment: String,
) -> Result<Response<Body>, MediaError> {
    expect_type(headers, SDP_FRAGMENT)?;
    let tag = headers.get(header::IF_MATCH).and_then(|tag| tag.to_str().ok());
    let Some(Restarted { etag, fragment }) = media.trickle(session, tag, fragment).await? else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let headers = [(header::CONTENT_TYPE, SDP_FRAGMENT.to_owned()), (header::ETAG, etag)];
    Ok((StatusCode::OK, headers, fragment).into_response())
}

/// `DELETE /v1/whip/{session}` and `/v1/whep/{session}`: the end of a session. Entity tags are ignored.
///
/// # Errors
/// [`MediaError::NoSuchSession`].
pub async fn session_delete(media: &Media, session: &MediaSessionId) -> Result<Response<Body>, MediaError> {
    media.close(session).await?;
    Ok(StatusCode::OK.into_response())
}

/// `GET` on a media route: nothing to see, and not an error (RFC 9725, section 4.1).
pub async fn empty() -> Response<Body> {
    StatusCode::NO_CONTENT.into_response()
}

/// `GET` and `HEAD` on a WHEP route: by the type a player knows that the address is one (WHEP, section 4.2).
pub async fn endpoint() -> Response<Body> {
    (StatusCode::OK, [(header::CONTENT_TYPE, SDP)]).into_response()
}

/// `OPTIONS` on a POST route: what it takes. The preflight headers come from [`cors`].
#[expect(clippy::unused_async, reason = "a handler is one")]
pub async fn post_options() -> Response<Body> {
    takes_offers()
}

fn takes_offers() -> Response<Body> {
    (StatusCode::OK, [(ACCEPT_POST, SDP)]).into_response()
}

/// `OPTIONS` on a session.
pub async fn session_options() -> Response<Body> {
    (StatusCode::OK, [(ACCEPT_PATCH, SDP_FRAGMENT)]).into_response()
}

/// Middleware around everything, refusals of other layers included, that concerns the media routes only: lets other origins' pages call them, errors included, and tells strangers by which
/// scheme to sign in (RFC 9110, section 11.6.1).
pub async fn cors(request: Request, next: Next) -> Response<Body> {
    let path = request.uri().path();
    let is_media = ["/whip", "/whep"].iter().any(|end| path.ends_with(end))
        || ["/v1/whip/", "/v1/whep/"].iter().any(|start| path.starts_with(start));
    if !is_media {
        return next.run(request).await;
    }
    let is_preflight = request.method() == Method::OPTIONS;
    let mut response = next.run(request).await;
    let is_stranger = response.status() == StatusCode::UNAUTHORIZED;
    let headers = response.headers_mut();
    let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
    set(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    set(header::ACCESS_CONTROL_EXPOSE_HEADERS, "location, etag, link, retry-after, accept-post, accept-patch, warning");
    if is_stranger {
        set(header::WWW_AUTHENTICATE, "Bearer");
    }
    if is_preflight {
        set(header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT, PATCH, DELETE, OPTIONS");
        set(header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type, if-match");
        set(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_MAX_AGE_S);
    }
    response
}

fn created(path: &str, answer: Answer) -> Response<Body> {
    let location = format!("{path}{}", answer.session);
    let headers = [
        (header::CONTENT_TYPE, SDP.to_owned()),
        (header::LOCATION, location),
        (header::ETAG, answer.etag),
        (ACCEPT_PATCH, SDP_FRAGMENT.to_owned()),
    ];
    (StatusCode::CREATED, headers, answer.sdp).into_response()
}

/// Parameters of the media type do not matter, its letter case neither.
fn expect_type(headers: &HeaderMap, wanted: &'static str) -> Result<(), MediaError> {
    let found = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = found.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(wanted) { Ok(()) } else { Err(MediaError::WrongContentType(wanted)) }
}
