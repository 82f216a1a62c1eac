//! Edge: figures of this node for Prometheus, on an address of their own.
//!
//! They are asked of the rooms when they are read; nothing counts for them alone.
//! Invariant: no id is a label, so their number does not grow with what happens.

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::{
    encoding::{EncodeLabelSet, LabelSetEncoder, text::encode},
    metrics::{
        counter::ConstCounter,
        family::Family,
        gauge::{ConstGauge, Gauge},
    },
    registry::{Registry, Unit},
};

use crate::{app::App, media::MediaStats};

/// What [`encode`] writes.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Who has a session.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Role(&'static str);

impl EncodeLabelSet for Role {
    fn encode(&self, encoder: &mut LabelSetEncoder) -> Result<(), std::fmt::Error> {
        [("role", self.0)].encode(encoder)
    }
}

/// `GET /metrics`, and nothing else.
pub(crate) fn router(app: App) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(app)
}

async fn metrics(State(app): State<App>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &registry(&app.media.stats().await, app.lives.size())) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "figures not written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn registry(media: &MediaStats, (connections, rooms): (u64, usize)) -> Registry {
    let mut all = Registry::with_prefix("hanamichi");
    let sessions = Family::<Role, Gauge>::default();
    let small = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    sessions.get_or_create(&Role("publisher")).set(small(media.publishers));
    sessions.get_or_create(&Role("viewer")).set(small(media.sessions - media.publishers));
    all.register("media_sessions", "Open WebRTC sessions", sessions);
    let up = media.lives.iter().filter(|live| live.up).count();
    for (name, help, value) in [
        ("media_lives_up", "Lives with a publisher on air", small(up)),
        ("hub_connections", "WebSockets and event streams", i64::try_from(connections).unwrap_or(i64::MAX)),
        ("hub_rooms", "Rooms of lives in memory", small(rooms)),
    ] {
        all.register(name, help, ConstGauge::new(value));
    }
    for (name, help, value) in [
        ("media_packets_received", "Media packets that publishers sent", media.packets_received),
        ("media_packets_forwarded", "Media packets forwarded to viewers", media.packets_forwarded),
        ("media_packets_resent", "Media packets sent once more to viewers that lost them", media.packets_resent),
        ("media_keyframes_asked", "Keyframes asked of publishers", media.keyframes_asked),
        ("media_datagrams_unsent", "Datagrams that the kernel did not take", media.datagrams_unsent),
        ("media_datagrams_unknown", "Datagrams of strangers", media.datagrams_unknown),
    ] {
        all.register(name, help, ConstCounter::new(value));
    }
    for (name, help, value) in [
        ("media_received", "Payload of media packets that publishers sent", media.bytes_received),
        ("media_forwarded", "Payload of media packets forwarded to viewers", media.bytes_forwarded),
    ] {
        all.register_with_unit(name, help, Unit::Bytes, ConstCounter::new(value));
    }
    all
}
