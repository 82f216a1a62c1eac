//! Edge: the demo liver: a WHIP client that shows the embedded clip.
//!
//! Owns a publisher's side of the wire, on the `webrtc` crate: so the server always speaks with a stack that is not
//! its own. It uses the public API and a stream key, as OBS does.
//! Invariants: sends in real time and never runs ahead; asks for nothing when keyframes are requested (the clip has
//! one a second); takes its session down when it is told to stop.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use reqwest::{StatusCode, Url, header};
use rtc::{
    media::Sample,
    media_stream::MediaStreamTrack,
    peer_connection::configuration::media_engine::{MIME_TYPE_H264, MIME_TYPE_OPUS},
    rtp_transceiver::{
        RTCRtpTransceiverDirection, RTCRtpTransceiverInit,
        rtp_sender::{
            RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
        },
    },
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use webrtc::{
    media_stream::track_local::{TrackLocal, static_sample::TrackLocalStaticSample},
    peer_connection::{
        MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCPeerConnectionState,
        RTCSessionDescription, Registry, register_default_interceptors,
    },
    rtp_transceiver::RtpSender,
    runtime::TokioRuntime,
};

use super::clip::{Clip, FRAME_DURATION, SOUND_DURATION};

/// The first wait after a failure; it doubles up to [`MAX_BACK_OFF`].
const MIN_BACK_OFF: Duration = Duration::from_millis(500);
const MAX_BACK_OFF: Duration = Duration::from_secs(15);
/// A transport that does not stand by then has failed.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// A request that is not answered by then has failed.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// Why the liver is not on air.
#[derive(Debug, thiserror::Error)]
pub enum LiverError {
    /// The server cannot be reached.
    #[error("the server cannot be reached")]
    Http(#[from] reqwest::Error),
    /// The server refused the session.
    #[error("the server refused the session with {0}")]
    Refused(StatusCode),
    /// The server's answer lacks something.
    #[error("the server's answer has no {0}")]
    Incomplete(&'static str),
    /// The WebRTC stack failed.
    #[error("the peer connection failed")]
    Peer(#[from] webrtc::error::Error),
    /// The transport did not come up, or went down.
    #[error("the connection was lost")]
    Lost,
}

/// Shows the clip until it is stopped; comes back when the connection fails.
///
/// # Errors
/// [`LiverError::Refused`] when the server will never take it: the key is wrong or the live is over.
pub async fn publish_clip(
    http: reqwest::Client,
    whip_url: String,
    stream_key: String,
    stop: CancellationToken,
) -> Result<(), LiverError> {
    let clip = Clip::embedded();
    let mut back_off = MIN_BACK_OFF;
    while !stop.is_cancelled() {
        let since = Instant::now();
        // Boxed: the WebRTC stack's futures are large.
        let shown = Box::pin(show(&http, &whip_url, &stream_key, &clip, &stop)).await;
        match shown {
            Ok(()) => break,
            Err(LiverError::Refused(status)) if is_final(status) => return Err(LiverError::Refused(status)),
            Err(error) => tracing::info!(%error, "demo liver is off air"),
        }
        if since.elapsed() > MAX_BACK_OFF {
            back_off = MIN_BACK_OFF;
        }
        stop.run_until_cancelled(tokio::time::sleep(back_off)).await;
        back_off = (back_off * 2).min(MAX_BACK_OFF);
    }
    Ok(())
}

async fn show(
    http: &reqwest::Client,
    whip_url: &str,
    stream_key: &str,
    clip: &Clip,
    stop: &CancellationToken,
) -> Result<(), LiverError> {
    let start = Box::pin(Broadcast::start(http.clone(), whip_url, stream_key));
    let Some(broadcast) = stop.run_until_cancelled(start).await else {
        return Ok(());
    };
    let broadcast = broadcast?;
    let shown = broadcast.play(clip, stop).await;
    broadcast.end().await;
    shown
}

/// The key is wrong, or the live is over: trying again changes nothing. Too many requests and conflicts pass.
fn is_final(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::NOT_ACCEPTABLE
    )
}

/// One WHIP session.
pub struct Broadcast {
    http: reqwest::Client,
    stream_key: String,
    resource: Url,
    peer: Arc<dyn PeerConnection>,
    state: watch::Receiver<RTCPeerConnectionState>,
    picture: Sender,
    sound: Sender,
}

/// One track and how its packets are labelled.
struct Sender {
    track: Arc<TrackLocalStaticSample>,
    rtp: Arc<dyn RtpSender>,
    ssrc: u32,
}

struct StateWatch(watch::Sender<RTCPeerConnectionState>);

#[async_trait::async_trait]
impl PeerConnectionEventHandler for StateWatch {
    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.0.send_replace(state);
    }
}

impl Broadcast {
    /// The session's address, as the server named it.
    #[must_use]
    pub fn resource(&self) -> &Url {
        &self.resource
    }

    /// Opens the session and waits until its transport stands.
    ///
    /// # Errors
    /// When the server refuses, cannot be reached, or the transport does not come up in 10 s.
    pub async fn start(http: reqwest::Client, whip_url: &str, stream_key: &str) -> Result<Self, LiverError> {
        let (states, state) = watch::channel(RTCPeerConnectionState::New);
        let mut engine = MediaEngine::default();
        engine.register_codec(h264(), RtpCodecKind::Video)?;
        engine.register_codec(opus(), RtpCodecKind::Audio)?;
        let registry = register_default_interceptors(Registry::new(), &mut engine)?;
        let url = Url::parse(whip_url).map_err(|_| LiverError::Incomplete("valid WHIP address"))?;
        let peer = PeerConnectionBuilder::new()
            .with_media_engine(engine)
            .with_interceptor_registry(registry)
            .with_handler(Arc::new(StateWatch(states)))
            .with_runtime(Arc::new(TokioRuntime))
            .with_udp_addrs(vec![SocketAddr::new(own_address(&url).await, 0)])
            .build();
        // Boxed: the WebRTC stack's futures are large.
        let peer = Box::pin(peer).await?;
        let peer: Arc<dyn PeerConnection> = Arc::new(peer);
        let picture = Sender::add(&*peer, RtpCodecKind::Video, h264()).await?;
        let sound = Sender::add(&*peer, RtpCodecKind::Audio, opus()).await?;
        let resource = match Box::pin(offer(&http, &url, stream_key, &*peer)).await {
            Ok(resource) => resource,
            Err(error) => {
                close(&*peer).await;
                return Err(error);
            }
        };
        let mut broadcast = Self { http, stream_key: stream_key.to_owned(), resource, peer, state, picture, sound };
        if let Err(error) = broadcast.connected().await {
            broadcast.end().await;
            return Err(error);
        }
        Ok(broadcast)
    }

    async fn connected(&mut self) -> Result<(), LiverError> {
        let settled = |state: &RTCPeerConnectionState| is_over(*state) || *state == RTCPeerConnectionState::Connected;
        let state = tokio::time::timeout(CONNECT_LIMIT, self.state.wait_for(settled)).await;
        match state {
            Ok(Ok(state)) if *state == RTCPeerConnectionState::Connected => Ok(()),
            _ => Err(LiverError::Lost),
        }
    }

    /// Shows the clip in a loop until it is stopped.
    ///
    /// # Errors
    /// [`LiverError::Lost`] when the transport goes down.
    pub async fn play(&self, clip: &Clip, stop: &CancellationToken) -> Result<(), LiverError> {
        let mut state = self.state.clone();
        tokio::select! {
            () = stop.cancelled() => Ok(()),
            _ = state.wait_for(|state| is_over(*state)) => Err(LiverError::Lost),
            failed = self.picture.play(&clip.frames, FRAME_DURATION) => failed,
            failed = self.sound.play(&clip.sounds, SOUND_DURATION) => failed,
        }
    }

    /// Takes the session down.
    pub async fn end(self) {
        let deleted = self.http.delete(self.resource.clone()).bearer_auth(&self.stream_key).timeout(REQUEST_LIMIT);
        if let Err(error) = deleted.send().await {
            tracing::debug!(%error, "session was not taken down");
        }
        close(&*self.peer).await;
    }
}

impl Sender {
    async fn add(
        peer: &dyn PeerConnection,
        kind: RtpCodecKind,
        codec: RTCRtpCodecParameters,
    ) -> Result<Self, LiverError> {
        let ssrc = getrandom::u32().map_err(|_| LiverError::Incomplete("randomness"))?;
        let encoding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(ssrc), ..Default::default() },
            codec: codec.rtp_codec,
            ..Default::default()
        };
        let name = |what: &str| format!("hanamichi-demo-{what}-{kind}");
        let track = MediaStreamTrack::new("hanamichi-demo".into(), name("track"), name("label"), kind, vec![encoding]);
        let track = Arc::new(TrackLocalStaticSample::new(Instant::now(), track)?);
        let sends = RTCRtpTransceiverInit { direction: RTCRtpTransceiverDirection::Sendonly, ..Default::default() };
        let local = Arc::clone(&track) as Arc<dyn TrackLocal>;
        let transceiver = peer.add_transceiver_from_track(local, Some(sends)).await?;
        let rtp = transceiver.sender().await?.ok_or(LiverError::Incomplete("sender"))?;
        Ok(Self { track, rtp, ssrc })
    }

    /// Sends the samples in a loop, one each `duration`; returns only when it fails.
    async fn play(&self, samples: &[Bytes], duration: Duration) -> Result<(), LiverError> {
        let parameters = self.rtp.get_parameters().await?;
        let codec = parameters.rtp_parameters.codecs.first().ok_or(LiverError::Incomplete("codec"))?;
        let mut ticks = tokio::time::interval(duration);
        for data in samples.iter().cycle() {
            ticks.tick().await;
            let sample = Sample { data: data.clone(), duration, ..Sample::new(Instant::now()) };
            self.track.write_sample(self.ssrc, codec.payload_type, &sample, &[]).await?;
        }
        Ok(())
    }
}

/// Posts the offer and takes the answer; returns the session's address.
async fn offer(
    http: &reqwest::Client,
    url: &Url,
    stream_key: &str,
    peer: &dyn PeerConnection,
) -> Result<Url, LiverError> {
    let offer = peer.create_offer(None).await?;
    peer.set_local_description(offer.clone()).await?;
    let posted = http
        .post(url.clone())
        .bearer_auth(stream_key)
        .header(header::CONTENT_TYPE, "application/sdp")
        .timeout(REQUEST_LIMIT)
        .body(offer.sdp)
        .send()
        .await?;
    if posted.status() != StatusCode::CREATED {
        return Err(LiverError::Refused(posted.status()));
    }
    let location = posted.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
    let resource = location.and_then(|location| posted.url().join(location).ok());
    let resource = resource.ok_or(LiverError::Incomplete("Location"))?;
    let answer = RTCSessionDescription::answer(posted.text().await?)?;
    peer.set_remote_description(answer).await?;
    Ok(resource)
}

async fn close(peer: &dyn PeerConnection) {
    if let Err(error) = peer.close().await {
        tracing::debug!(%error, "peer connection did not close");
    }
}

fn is_over(state: RTCPeerConnectionState) -> bool {
    matches!(
        state,
        RTCPeerConnectionState::Disconnected | RTCPeerConnectionState::Failed | RTCPeerConnectionState::Closed
    )
}

/// The address of ours from which the server is reached; no other is worth a candidate.
async fn own_address(url: &Url) -> IpAddr {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return loopback;
    };
    let Ok(mut servers) = tokio::net::lookup_host((host, port)).await else {
        return loopback;
    };
    let Some(server) = servers.find(SocketAddr::is_ipv4) else {
        return loopback;
    };
    let way = async {
        let probe = tokio::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
        probe.connect(server).await?;
        probe.local_addr()
    };
    way.await.map_or(loopback, |address| address.ip())
}

fn h264() -> RTCRtpCodecParameters {
    let fmtp = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f";
    codec(MIME_TYPE_H264, 90_000, 0, fmtp, 102)
}

fn opus() -> RTCRtpCodecParameters {
    codec(MIME_TYPE_OPUS, 48_000, 2, "minptime=10;useinbandfec=1", 111)
}

fn codec(mime: &str, clock_rate: u32, channels: u16, fmtp: &str, payload_type: u8) -> RTCRtpCodecParameters {
    let rtp_codec = RTCRtpCodec {
        mime_type: mime.to_owned(),
        clock_rate,
        channels,
        sdp_fmtp_line: fmtp.to_owned(),
        rtcp_feedback: vec![],
    };
    RTCRtpCodecParameters { rtp_codec, payload_type }
}
