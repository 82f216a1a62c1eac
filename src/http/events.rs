//! Edge: the hub as server-sent events, for networks that let no WebSocket through.
//!
//! The same messages from the same log, as canonical proto JSON in `data:`; `id:` is `epoch:seq` wherever the position
//! moves on, so the browser's own `Last-Event-ID` resumes without a hole (WHATWG HTML, 9.2). One way: commands go over REST.
//! A comment every [`KEEP_ALIVE`] keeps proxies from ending it.

use std::{convert::Infallible, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use futures_util::stream;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    PathId,
    auth::{self, CallerAddress, Guest},
    live::visitor,
    problem::Problem,
    ws::Caller,
};
use crate::{
    app::App,
    ids::LiveId,
    live::{Codec, Dismissal, Seat},
    people::PASS_TTL,
    wire::{self, server_frame::Body as Frame},
};

/// Between two signs of life.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// The browser comes back after this when the stream breaks.
const RETRY_MS: u32 = 2_000;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(events))
}

/// Where to go on.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct From {
    /// `epoch:seq`, as in the header `Last-Event-ID`, which wins.
    last_event_id: Option<String>,
}

/// The live's events as `text/event-stream`: what the WebSocket says, one way. See proto/hanamichi/v1/hub.proto.
#[utoipa::path(get, path = "/v1/lives/{live}/events", tag = "lives",
    params(("live" = String, Path), From, ("Last-Event-ID" = Option<String>, Header, description = "epoch:seq")),
    responses((status = 200, content_type = "text/event-stream", body = String), (status = "4XX", body = Problem),
        (status = 503, body = Problem)))]
async fn events(
    Guest(person): Guest,
    State(app): State<App>,
    PathId(live): PathId<LiveId>,
    CallerAddress(address): CallerAddress,
    headers: HeaderMap,
    from: Result<Query<From>, QueryRejection>,
) -> Result<Response, Problem> {
    let asked = from?.0.last_event_id;
    let header = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let from = header.or(asked.as_deref()).and_then(position);
    let sign_in = person.as_ref().and_then(|_| auth::sign_in_digest(&headers));
    let caller = Caller::new(person.map(visitor), address, &headers);
    app.lives.may_enter(&live, caller.visitor.as_ref(), caller.address).await?;
    let mut seat = app.lives.join(&live, caller.visitor, Codec::Json, caller.who).await?;
    seat.member().came_from(caller.address);
    if let Some(sign_in) = sign_in {
        // Looked at again after a while, as on the WebSocket: after a sign-out nobody reads on.
        seat.member().rest_on(&sign_in, app.lives.clock().now().plus(PASS_TTL));
    }
    let first = seat.begin(from.as_ref());
    let start = format!("retry: {RETRY_MS}\n\n");
    let reading = Reading {
        epoch: String::new(),
        pending: Some(first),
        seat: Some(seat),
        stopping: app.leaving.clone(),
        start: Some(start),
    };
    let body = Body::from_stream(stream::unfold(reading, next));
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx would hold events back until its buffer is full.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

fn position(text: &str) -> Option<wire::Resume> {
    let (epoch, seq) = text.rsplit_once(':')?;
    Some(wire::Resume { epoch: epoch.to_owned(), seq: seq.parse().ok()? })
}

/// A stream under way.
struct Reading {
    epoch: String,
    pending: Option<Vec<Bytes>>,
    /// None: the last message is out.
    seat: Option<Seat>,
    stopping: CancellationToken,
    start: Option<String>,
}

async fn next(mut reading: Reading) -> Option<(Result<Bytes, Infallible>, Reading)> {
    let mut text = reading.start.take().unwrap_or_default();
    let mut seat = reading.seat.take()?;
    let mut dismissal = None;
    let messages = match reading.pending.take() {
        Some(messages) => messages,
        None => tokio::select! {
            (messages, why) = seat.next() => {
                dismissal = why;
                messages
            }
            () = tokio::time::sleep(KEEP_ALIVE) => {
                text.push_str(": still here\n\n");
                Vec::new()
            }
            () = reading.stopping.cancelled() => {
                dismissal = Some(Dismissal::Stopping(i64::from(RETRY_MS)));
                let goodbye = wire::Goodbye { reason: "the server stops".to_owned(), reconnect_after_ms: RETRY_MS.into() };
                vec![Codec::Json.encode(&Frame::Goodbye(goodbye).into())]
            }
        },
    };
    for message in messages {
        put_event(&mut text, &mut reading.epoch, &message);
    }
    // Dropping the seat after the goodbye ends the stream.
    reading.seat = dismissal.is_none().then_some(seat);
    Some((Ok(text.into()), reading))
}

/// One event; with an id where the position moves on.
fn put_event(to: &mut String, epoch: &mut String, message: &[u8]) {
    if let Some(seq) = moves_to(epoch, message) {
        to.push_str("id: ");
        to.push_str(epoch);
        to.push(':');
        to.push_str(&seq.to_string());
        to.push('\n');
    }
    to.push_str("data: ");
    // Our JSON has no line breaks.
    to.push_str(&String::from_utf8_lossy(message));
    to.push_str("\n\n");
}

/// Bytes in which a batch says that it has ordered events, if it has.
const HEAD_BYTES: usize = 120;

fn moves_to(epoch: &mut String, message: &[u8]) -> Option<u64> {
    let head = &message[..message.len().min(HEAD_BYTES)];
    let has = |word: &[u8]| head.windows(word.len()).any(|part| part == word);
    if !has(b"\"snapshot\"") && !has(b"\"resumed\"") && !has(b"\"ordered\"") {
        return None;
    }
    match Codec::Json.decode_server(message).ok()?.body? {
        Frame::Snapshot(snapshot) => {
            *epoch = snapshot.epoch;
            Some(snapshot.seq)
        }
        Frame::Resumed(resumed) => {
            *epoch = resumed.epoch;
            Some(resumed.seq)
        }
        Frame::Batch(batch) => batch.ordered.last().map(|ordered| ordered.seq),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_bears_its_position_where_that_moves() {
        let (mut text, mut epoch) = (String::new(), String::new());
        let snapshot = wire::Snapshot { epoch: "e:1".into(), seq: 4, ..wire::Snapshot::default() };
        put_event(&mut text, &mut epoch, &Codec::Json.encode(&Frame::Snapshot(snapshot).into()));
        assert!(text.starts_with("id: e:1:4\ndata: {\"snapshot\":") && text.ends_with("}\n\n"), "{text}");
        assert_eq!(position("e:1:4"), Some(wire::Resume { epoch: "e:1".into(), seq: 4 }));
        let (ordered, state) = (vec![wire::Ordered { seq: 5, ..wire::Ordered::default() }], Vec::new());
        let batch = wire::Batch { epoch: "e:1".into(), ordered, state, chat: Vec::new() };
        text.clear();
        put_event(&mut text, &mut epoch, &Codec::Json.encode(&Frame::Batch(batch).into()));
        assert!(text.starts_with("id: e:1:5\n"), "{text}");
        text.clear();
        put_event(&mut text, &mut epoch, &Codec::Json.encode(&Frame::Pong(wire::Pong::default()).into()));
        assert!(text.starts_with("data: "), "{text}");
        assert_eq!((position("e"), position("e:x")), (None, None));
    }
}
