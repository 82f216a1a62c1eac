//! Edge: WHIP and WHEP (RFC 9725 and its mirror for playback).
//!
//! Owns the headers of the media routes: content types, `Location`, entity tags, CORS. Who may publish is decided by
//! the caller before these functions; a session's path is unguessable and is the right to change or end it.
//! Invariants: an answer is complete (all candidates, no trickle from us); other origins' players and publishers may
//! call, with a bearer key and never with a cookie of ours.

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header},
    middleware::Next,
    response::IntoResponse,
};

use crate::{
    ids::{LiveId, MediaSessionId},
    media::{Answer, Media, MediaError, VideoCodec},
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

/// `PATCH /v1/whip/{session}` and `/v1/whep/{session}`: trickled candidates.
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
    media.trickle(session, tag, fragment).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
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

/// `OPTIONS` on a POST route: what it takes. The preflight headers come from [`cors`].
pub async fn post_options() -> Response<Body> {
    (StatusCode::NO_CONTENT, [(ACCEPT_POST, SDP)]).into_response()
}

/// `OPTIONS` on a session.
pub async fn session_options() -> Response<Body> {
    (StatusCode::NO_CONTENT, [(ACCEPT_PATCH, SDP_FRAGMENT)]).into_response()
}

/// Middleware of the media routes: lets other origins' pages call them, errors included.
pub async fn cors(request: Request, next: Next) -> Response<Body> {
    let is_preflight = request.method() == Method::OPTIONS;
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
    set(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    set(header::ACCESS_CONTROL_EXPOSE_HEADERS, "location, etag, link, retry-after, accept-post, accept-patch, warning");
    if is_preflight {
        set(header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PATCH, DELETE, OPTIONS");
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
