//! Edge: what the media of a live is like, for those who keep order in it.
//!
//! A live's picture is served by one node: the others know nothing of it and answer with state `none`.
//! Invariant: neither an address nor a session's id leaves here; a viewer is a tag that gives no right.

use std::time::Duration;

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Items, Page, PathId, auth::Signed, live::visitor, problem::Problem};
use crate::{
    app::App,
    clock::Millis,
    ids::LiveId,
    media::{
        Audience, LayerFigures, MediaReport, Network, PictureState, PublisherFigures, VideoCodec, ViewerFigures,
        ViewerTag,
    },
    people::Person,
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(media)).routes(routes!(viewers))
}

/// What the media of a live is like. Rates and fractions are those of about the last second.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct LiveMedia {
    /// `none`: no picture yet; `away`: the publisher is lost and viewers wait; `up`.
    state: PictureState,
    #[schema(value_type = Option<String>, examples("h264", "vp8"))]
    codec: Option<VideoCodec>,
    /// Who is on air, or connected and about to be.
    publisher: Option<Publisher>,
    viewers: Viewers,
}

/// What comes from the publisher.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Publisher {
    since_ms: Millis,
    video_bits_per_s: u64,
    audio_bits_per_s: u64,
    packets: u64,
    /// Packets of the picture that never came.
    video_lost: u64,
    /// Packets of the sound that never came.
    audio_lost: u64,
    /// Packets that came after later ones: sent again, or overtaken.
    late: u64,
    /// Of ten thousand packets of the picture, those that never came.
    loss_bp: u32,
    /// Of ten thousand packets of the picture, those that came late.
    late_bp: u32,
    jitter_ms: u64,
    /// Absent when the publisher does not tell.
    round_trip_ms: Option<u64>,
    frames_per_s: u32,
    width: Option<u16>,
    height: Option<u16>,
    keyframes: u64,
    /// Between the newest two.
    keyframe_interval_ms: Option<u64>,
    /// Since the newest.
    since_keyframe_ms: Option<u64>,
    /// Keyframes that the server asked for.
    keyframes_asked: u64,
    /// The sizes in which the picture is sent now, from the smallest; all else is said of the largest.
    layers: Vec<Layer>,
}

/// A picture in one of its sizes.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = PictureLayer)]
struct Layer {
    bits_per_s: u64,
    width: Option<u16>,
    height: Option<u16>,
    frames_per_s: u32,
}

impl From<&LayerFigures> for Layer {
    fn from(figures: &LayerFigures) -> Self {
        let &LayerFigures { bits_per_s, size, frames_per_s } = figures;
        let (width, height) = (size.map(|(width, _)| width), size.map(|(_, height)| height));
        Self { bits_per_s, width, height, frames_per_s }
    }
}

/// Everybody who watches. Percentiles are right to an eighth.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Viewers {
    count: u64,
    bits_per_s: u64,
    packets_sent: u64,
    packets_resent: u64,
    /// Keyframes that they asked for.
    keyframes_asked: u64,
    /// Of ten thousand packets of the picture, those that half of the viewers lose at most.
    loss_p50_bp: Option<u32>,
    loss_p95_bp: Option<u32>,
    round_trip_p50_ms: Option<u64>,
    round_trip_p95_ms: Option<u64>,
}

/// One viewer.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Viewer {
    /// Names the viewer as long as the session lasts, and gives no right.
    viewer: String,
    since_ms: Millis,
    network: Option<Network>,
    bits_per_s: u64,
    packets_sent: u64,
    packets_resent: u64,
    /// Of ten thousand packets of the picture, those lost; as the viewer reported it last.
    loss_bp: Option<u32>,
    /// Packets of the picture lost so far. What came twice makes it negative.
    lost: i64,
    jitter_ms: Option<u64>,
    round_trip_ms: Option<u64>,
    /// Packets that it asked for again.
    nacks: u64,
    /// Keyframes that it asked for.
    keyframes_asked: u64,
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A millisecond that has begun: nothing is there and back in none.
fn trip_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX)
}

fn since(now: Millis, open_for: Duration) -> Millis {
    Millis(now.0 - i64::try_from(ms(open_for)).unwrap_or(0))
}

impl LiveMedia {
    fn of(report: MediaReport, now: Millis) -> Self {
        let MediaReport { state, codec, publisher, viewers } = report;
        Self { state, codec, publisher: publisher.map(|figures| Publisher::of(&figures, now)), viewers: viewers.into() }
    }
}

impl Publisher {
    fn of(figures: &PublisherFigures, now: Millis) -> Self {
        Self {
            since_ms: since(now, figures.open_for),
            video_bits_per_s: figures.video_bits_per_s,
            audio_bits_per_s: figures.audio_bits_per_s,
            packets: figures.video_packets + figures.audio_packets,
            video_lost: figures.video_lost,
            audio_lost: figures.audio_lost,
            late: figures.late,
            loss_bp: figures.loss_bp,
            late_bp: figures.late_bp,
            jitter_ms: ms(figures.jitter),
            round_trip_ms: figures.round_trip.map(trip_ms),
            frames_per_s: figures.frames_per_s,
            width: figures.size.map(|(width, _)| width),
            height: figures.size.map(|(_, height)| height),
            keyframes: figures.keyframes,
            keyframe_interval_ms: figures.keyframe_interval.map(ms),
            since_keyframe_ms: figures.since_keyframe.map(ms),
            keyframes_asked: figures.keyframes_asked,
            layers: figures.layers.iter().map(Layer::from).collect(),
        }
    }
}

impl From<Audience> for Viewers {
    fn from(audience: Audience) -> Self {
        let trip = |of_hundred| audience.round_trip_us.percentile(of_hundred).map(|us| u64::from(us).div_ceil(1_000));
        Self {
            count: audience.count,
            bits_per_s: audience.bits_per_s,
            packets_sent: audience.packets_sent,
            packets_resent: audience.packets_resent,
            keyframes_asked: audience.keyframes_asked,
            loss_p50_bp: audience.loss_bp.percentile(50),
            loss_p95_bp: audience.loss_bp.percentile(95),
            round_trip_p50_ms: trip(50),
            round_trip_p95_ms: trip(95),
        }
    }
}

impl Viewer {
    fn of(tag: ViewerTag, figures: &ViewerFigures, now: Millis) -> Self {
        Self {
            viewer: tag.to_string(),
            since_ms: since(now, figures.open_for),
            network: figures.network,
            bits_per_s: figures.bits_per_s,
            packets_sent: figures.packets_sent,
            packets_resent: figures.packets_resent,
            loss_bp: figures.loss_bp,
            lost: figures.lost,
            jitter_ms: figures.jitter.map(ms),
            round_trip_ms: figures.round_trip.map(trip_ms),
            nacks: figures.nacks,
            keyframes_asked: figures.keyframes_asked,
        }
    }
}

/// Who keeps order in the live, and who runs the house.
async fn check(app: &App, person: Person, live: &LiveId) -> Result<(), Problem> {
    if person.operator {
        app.lives.load(live).await?;
    } else {
        app.lives.load_moderated(&visitor(person), live).await?;
    }
    Ok(())
}

/// How the picture comes and how it reaches the viewers. For liver, moderators and operators.
#[utoipa::path(get, path = "/v1/lives/{live}/media", tag = "media", params(("live" = String, Path)),
    responses((status = 200, body = LiveMedia), (status = "4XX", body = Problem)))]
async fn media(
    Signed(person): Signed,
    State(app): State<App>,
    PathId(live): PathId<LiveId>,
) -> Result<Json<LiveMedia>, Problem> {
    check(&app, person, &live).await?;
    let report = app.media.report(&live).await?;
    Ok(Json(LiveMedia::of(report, app.clock.now())))
}

/// The connected viewers one by one, in no order that means anything. For liver, moderators and operators.
#[utoipa::path(get, path = "/v1/lives/{live}/media/viewers", tag = "media", params(("live" = String, Path), Page),
    responses((status = 200, body = Items<Viewer>), (status = "4XX", body = Problem)))]
async fn viewers(
    Signed(person): Signed,
    State(app): State<App>,
    PathId(live): PathId<LiveId>,
    page: Page,
) -> Result<Json<Items<Viewer>>, Problem> {
    check(&app, person, &live).await?;
    let after = page.cursor(ViewerTag::parse)?;
    let one_more = usize::try_from(page.limit() + 1).unwrap_or(1);
    let found = app.media.viewers(&live, one_more, after).await?;
    let now = app.clock.now();
    let items = found.iter().map(|(tag, figures)| Viewer::of(*tag, figures, now)).collect();
    Ok(Json(Items::page(items, page.limit(), |viewer: &Viewer| viewer.viewer.clone())))
}
