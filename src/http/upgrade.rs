//! Edge: from an HTTP request to a WebSocket (RFC 6455, section 4.2), and out of the HTTP stack.
//!
//! The library answers the request; then the socket leaves it whole, with everything the library kept for it. Over TLS
//! the bytes cannot leave: a task copies between them and one end of a socket pair, whose other end is served like any
//! other connection.

use std::{os::unix::net::UnixStream, time::Duration};

use axum::{
    body::Body,
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version, header, request::Parts},
    response::IntoResponse as _,
};
use bytes::Bytes;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::{rt::TokioIo, server::conn::auto::upgrade::downcast};
use tokio::{
    io::{AsyncWriteExt as _, BufReader, copy_buf},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::{
    first_word::FirstWord,
    problem::{Kind, Problem},
};
use crate::{live::Wire, tasks::Tasks};

/// How long a client has, at a stop, to take what its shard said last: longer than the shard itself waits for it.
const LAST_WORD_WITHIN: Duration = Duration::from_secs(3);

/// A request that asks for a WebSocket, and may be answered with 101.
pub(super) struct Upgrade {
    accept: String,
    /// What the client can speak, in its order.
    pub(super) protocols: Vec<String>,
    on_upgrade: OnUpgrade,
}

fn has_token(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(','))
        .any(|part| part.trim().eq_ignore_ascii_case(token))
}

impl<S: Send + Sync> FromRequestParts<S> for Upgrade {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let headers = &parts.headers;
        let asks = parts.method == Method::GET
            && parts.version == Version::HTTP_11
            && has_token(headers, header::CONNECTION, "upgrade")
            && has_token(headers, header::UPGRADE, "websocket");
        let not_websocket =
            || Problem::invalid("this address speaks WebSocket (RFC 6455); see proto/hanamichi/v1/hub.proto");
        if !asks {
            return Err(not_websocket());
        }
        if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
            return Err(Problem::new(Kind::UpgradeRequired, "Sec-WebSocket-Version must be 13"));
        }
        let key = headers
            .get(header::SEC_WEBSOCKET_KEY)
            .filter(|key| data_encoding::BASE64.decode(key.as_bytes()).is_ok_and(|nonce| nonce.len() == 16));
        let key = key.ok_or_else(|| Problem::invalid("Sec-WebSocket-Key must be 16 bytes in Base64"))?;
        let accept = derive_accept_key(key.as_bytes());
        let protocols = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
        let protocols = protocols.filter_map(|value| value.to_str().ok()).flat_map(|line| line.split(','));
        let protocols = protocols.map(|name| name.trim().to_owned()).collect();
        let on_upgrade = parts.extensions.remove::<OnUpgrade>().ok_or_else(not_websocket)?;
        Ok(Self { accept, protocols, on_upgrade })
    }
}

impl Upgrade {
    /// Answers 101; `then` is given the socket, and what came with the request, when the answer is out.
    pub(super) fn answer<F>(self, protocol: Option<&'static str>, tasks: &Tasks, then: F) -> axum::response::Response
    where
        F: FnOnce(Wire, Bytes) + Send + 'static,
    {
        let (on_upgrade, stopping) = (self.on_upgrade, tasks.stopping());
        let pumps = tasks.clone();
        tasks.spawn("upgrade", async move {
            let upgraded = tokio::select! {
                upgraded = on_upgrade => upgraded,
                () = stopping.cancelled() => return,
            };
            // A client that left before the answer was out needs nothing more.
            let Ok(upgraded) = upgraded else { return };
            match take_out(upgraded, &pumps) {
                Ok((wire, early)) => then(wire, early),
                Err(error) => tracing::warn!(%error, "an upgraded connection cannot be taken over"),
            }
        });
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        let accept = HeaderValue::from_str(&self.accept).expect("Base64 is header text");
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        if let Some(protocol) = protocol {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
        }
        response.into_response()
    }
}

fn take_out(upgraded: Upgraded, tasks: &Tasks) -> std::io::Result<(Wire, Bytes)> {
    match downcast::<TokioIo<FirstWord<TcpStream>>>(upgraded) {
        Ok(parts) => Ok((Wire::tcp(parts.io.into_inner().into_inner().into_std()?)?, parts.read_buf)),
        Err(upgraded) => {
            let (near, far) = UnixStream::pair()?;
            far.set_nonblocking(true)?;
            let mut far = tokio::net::UnixStream::from_std(far)?;
            let (from_client, mut to_client) = tokio::io::split(TokioIo::new(upgraded));
            let stopping = tasks.stopping();
            tasks.spawn("hub connection over TLS", async move {
                let (from_shard, mut to_shard) = far.split();
                let up = async {
                    let _ = copy_buf(&mut BufReader::with_capacity(4 * 1024, from_client), &mut to_shard).await;
                    let _ = to_shard.shutdown().await;
                };
                let down = async {
                    let _ = copy_buf(&mut BufReader::with_capacity(16 * 1024, from_shard), &mut to_client).await;
                    let _ = to_client.shutdown().await;
                };
                let copying = async {
                    tokio::pin!(down);
                    // The shard has the last word: when it has closed its end, a client that does not close is not waited for.
                    tokio::select! {
                        () = &mut down => {}
                        () = up => down.await,
                    }
                };
                // Nor is one that does not take it, at a stop.
                let given_up = async {
                    stopping.cancelled().await;
                    tokio::time::sleep(LAST_WORD_WITHIN).await;
                };
                tokio::select! {
                    () = copying => {}
                    () = given_up => {}
                }
            });
            Ok((Wire::pair(near)?, Bytes::new()))
        }
    }
}
