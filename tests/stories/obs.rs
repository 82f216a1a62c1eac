//! Edge: a publisher that behaves as OBS does, and one whose ICE can be restarted.
//!
//! What makes OBS different, read from its `whip-output.cpp` and the issues that its users wrote: no candidates in the
//! offer, no RTX, no answer to requests for keyframes, the same packet once more for a NACK, and a beginning that never
//! arrives (its encoders run before its transport stands). It stands on the `webrtc` crate, without its answers to NACKs.

#![allow(dead_code, reason = "each test binary uses its part of the actors")]

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use hanamichi::demo::clip::{Clip, FRAME_DURATION, SOUND_DURATION};
use parking_lot::Mutex;
use reqwest::StatusCode;
use rtc::{
    interceptor::{Attribute, Interceptor, Slot, StreamInfo, TaggedPacket},
    media_stream::MediaStreamTrack,
    peer_connection::configuration::{
        interceptor_registry::configure_rtcp_reports,
        media_engine::{MIME_TYPE_H264, MIME_TYPE_OPUS},
        setting_engine::SettingEngineBuilder,
    },
    rtcp::{
        payload_feedbacks::picture_loss_indication::PictureLossIndication,
        transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack},
    },
    rtp::{Packet, codec::h264::H264Payloader, header::Header, packetizer::Payloader},
    rtp_transceiver::{
        RTCRtpTransceiverDirection, RTCRtpTransceiverInit,
        rtp_sender::{
            RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters,
            RtpCodecKind,
        },
    },
    sansio::Protocol,
};
use tokio::{sync::watch, task::JoinSet};
use webrtc::{
    media_stream::track_local::{TrackLocal, TrackLocalEvent, static_rtp::TrackLocalStaticRTP},
    peer_connection::{
        MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCPeerConnectionState,
        Registry,
    },
    runtime::TokioRuntime,
};

use crate::peer::{Session, only_tcp, post_offer, without_udp};

/// As OBS cuts its frames.
const FRAGMENT_BYTES: usize = 1_200;
/// Packets that can be sent again.
const KEPT: usize = 4_000;
/// Frames between two keyframes: 2 s, OBS's own choice.
const GROUP_FRAMES: usize = 48;
const FRAME_TICKS: u32 = 3_750;
const SOUND_TICKS: u32 = 960;
const VIDEO_PT: u8 = 96;
const AUDIO_PT: u8 = 111;

/// What it was asked, and what it did.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) keyframes: usize,
    pub(crate) nacks: usize,
    pub(crate) resent: usize,
    pub(crate) dropped: usize,
    /// When the newest keyframe was sent.
    pub(crate) keyframe_at: Option<Instant>,
}

/// On air until dropped or ended.
pub(crate) struct Obs {
    pub(crate) session: Session,
    state: watch::Receiver<RTCPeerConnectionState>,
    asked: Arc<Mutex<Asked>>,
    tasks: JoinSet<()>,
}

/// Lets the publisher hear what it is asked; by itself the crate keeps that from applications.
#[derive(Default)]
struct HandOver {
    inward: VecDeque<TaggedPacket>,
    outward: VecDeque<TaggedPacket>,
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for HandOver {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = rtc::shared::error::Error;
    type Time = Instant;

    fn handle_read(&mut self, mut packet: TaggedPacket) -> Result<(), Self::Error> {
        packet.message.add(Attribute::DeliverToApplication);
        self.inward.push_back(packet);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.inward.pop_front()
    }

    fn handle_write(&mut self, packet: TaggedPacket) -> Result<(), Self::Error> {
        self.outward.push_back(packet);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.outward.pop_front()
    }
}

impl Interceptor for HandOver {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}

struct StateWatch(watch::Sender<RTCPeerConnectionState>);

#[async_trait::async_trait]
impl PeerConnectionEventHandler for StateWatch {
    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.0.send_replace(state);
    }
}

impl Obs {
    /// Goes on air; its first `unsent` video packets get lost on the way.
    pub(crate) async fn start(whip_url: &str, stream_key: &str, unsent: usize) -> Result<Self, StatusCode> {
        Self::open(whip_url, stream_key, unsent, true).await
    }

    /// The same over TCP alone.
    pub(crate) async fn start_by_tcp(whip_url: &str, stream_key: &str) -> Result<Self, StatusCode> {
        Self::open(whip_url, stream_key, 0, false).await
    }

    async fn open(whip_url: &str, stream_key: &str, unsent: usize, udp: bool) -> Result<Self, StatusCode> {
        let (states, mut state) = watch::channel(RTCPeerConnectionState::New);
        let mut engine = MediaEngine::default();
        for (kind, codec) in [(RtpCodecKind::Video, h264()), (RtpCodecKind::Audio, opus())] {
            let payload_type = if kind == RtpCodecKind::Video { VIDEO_PT } else { AUDIO_PT };
            engine.register_codec(RTCRtpCodecParameters { rtp_codec: codec, payload_type }, kind).expect("a codec");
        }
        // A restart moves to other sockets, as it does when a phone leaves its Wi-Fi.
        let settings = SettingEngineBuilder::new().with_discard_local_candidates_during_ice_restart(true).build();
        let here = vec!["127.0.0.1:0"];
        let (udp_addrs, tcp_addrs) = if udp { (here, vec![]) } else { (vec![], here) };
        let peer = PeerConnectionBuilder::new()
            .with_media_engine(engine)
            .with_interceptor_registry(
                configure_rtcp_reports(Registry::new()).with(Slot::NackResponder, HandOver::default()),
            )
            .with_setting_engine(if udp { settings } else { only_tcp() })
            .with_handler(Arc::new(StateWatch(states)))
            .with_runtime(Arc::new(TokioRuntime))
            .with_udp_addrs(udp_addrs)
            .with_tcp_addrs(tcp_addrs)
            .build();
        // Boxed: the WebRTC stack's futures are large.
        let peer = Box::pin(peer).await.expect("a peer");
        let peer: Arc<dyn PeerConnection> = Arc::new(peer);
        let audio = Track::add(&*peer, RtpCodecKind::Audio, opus(), AUDIO_PT).await;
        let video = Track::add(&*peer, RtpCodecKind::Video, h264(), VIDEO_PT).await;
        let rewrite = |answer: String| if udp { answer } else { without_udp(&answer) };
        let session = Box::pin(post_offer(whip_url, Some(stream_key), Arc::clone(&peer), rewrite)).await?;
        let connected = state.wait_for(|state| *state == RTCPeerConnectionState::Connected);
        let connected = tokio::time::timeout(Duration::from_secs(10), connected).await;
        drop(connected.expect("it connects in time").expect("the peer lives"));
        let asked = Arc::new(Mutex::new(Asked::default()));
        let sent = Arc::new(Mutex::new(VecDeque::with_capacity(KEPT)));
        let mut tasks = JoinSet::new();
        tasks.spawn(listen(Arc::clone(&video.local), Arc::clone(&sent), Arc::clone(&asked)));
        tasks.spawn(video.show(unsent, sent, Arc::clone(&asked)));
        tasks.spawn(audio.sound());
        Ok(Self { session, state, asked, tasks })
    }

    pub(crate) fn state(&self) -> RTCPeerConnectionState {
        *self.state.borrow()
    }

    /// What it was asked so far.
    pub(crate) fn asked<T>(&self, read: impl FnOnce(&Asked) -> T) -> T {
        read(&self.asked.lock())
    }

    /// Takes the session down by DELETE.
    pub(crate) async fn end(mut self) -> StatusCode {
        self.tasks.abort_all();
        self.session.end().await
    }
}

/// Answers NACKs with the same packet, and nothing else with anything.
async fn listen(track: Arc<TrackLocalStaticRTP>, sent: Arc<Mutex<VecDeque<Packet>>>, asked: Arc<Mutex<Asked>>) {
    while let Some(TrackLocalEvent::OnRtcpPacket(packets)) = track.poll().await {
        for packet in packets {
            if packet.as_any().is::<PictureLossIndication>() {
                asked.lock().keyframes += 1;
            }
            let Some(nack) = packet.as_any().downcast_ref::<TransportLayerNack>() else { continue };
            asked.lock().nacks += 1;
            for lost in nack.nacks.iter().flat_map(NackPair::packet_list) {
                let again = sent.lock().iter().find(|packet| packet.header.sequence_number == lost).cloned();
                if let Some(again) = again
                    && track.write_rtp(again).await.is_ok()
                {
                    asked.lock().resent += 1;
                }
            }
        }
    }
}

/// One track and the numbering of its packets.
struct Track {
    local: Arc<TrackLocalStaticRTP>,
    header: Header,
}

impl Track {
    async fn add(peer: &dyn PeerConnection, kind: RtpCodecKind, codec: RTCRtpCodec, payload_type: u8) -> Self {
        let ssrc = getrandom::u32().expect("randomness");
        let encoding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(ssrc), ..Default::default() },
            codec,
            ..Default::default()
        };
        let track = MediaStreamTrack::new("obs".into(), format!("obs-{kind}"), kind.to_string(), kind, vec![encoding]);
        let local = Arc::new(TrackLocalStaticRTP::new(track));
        let sends = RTCRtpTransceiverInit { direction: RTCRtpTransceiverDirection::Sendonly, ..Default::default() };
        let added = Arc::clone(&local) as Arc<dyn TrackLocal>;
        peer.add_transceiver_from_track(added, Some(sends)).await.expect("a track");
        // Near the end of the numbers, so that every session sees them wrap.
        let header = Header { version: 2, payload_type, ssrc, sequence_number: 65_400, ..Default::default() };
        Self { local, header }
    }

    fn next(&mut self, payload: Bytes, marker: bool) -> Packet {
        let header = Header { marker, ..self.header.clone() };
        self.header.sequence_number = self.header.sequence_number.wrapping_add(1);
        Packet { header, payload }
    }

    async fn show(mut self, unsent: usize, sent: Arc<Mutex<VecDeque<Packet>>>, asked: Arc<Mutex<Asked>>) {
        let clip = Clip::embedded();
        let deltas = clip.frames.iter().enumerate().filter(|(n, _)| n % 24 != 0).map(|(_, frame)| frame);
        let group: Vec<&Bytes> = std::iter::once(&clip.frames[0]).chain(deltas.take(GROUP_FRAMES - 1)).collect();
        let mut payloader = H264Payloader::default();
        let mut ticks = tokio::time::interval(FRAME_DURATION);
        for (n, frame) in group.iter().cycle().enumerate() {
            ticks.tick().await;
            if n % GROUP_FRAMES == 0 {
                asked.lock().keyframe_at = Some(Instant::now());
            }
            let payloads = payloader.payload(FRAGMENT_BYTES, frame).expect("a frame");
            let last = payloads.len().saturating_sub(1);
            for (at, payload) in payloads.into_iter().enumerate() {
                let packet = self.next(payload, at == last);
                if asked.lock().dropped < unsent {
                    asked.lock().dropped += 1;
                    continue;
                }
                {
                    let mut sent = sent.lock();
                    if sent.len() == KEPT {
                        sent.pop_front();
                    }
                    sent.push_back(packet.clone());
                }
                // Between two transports there is nothing to write to; the next frame tries again.
                let _ = self.local.write_rtp(packet).await;
            }
            self.header.timestamp = self.header.timestamp.wrapping_add(FRAME_TICKS);
        }
    }

    async fn sound(mut self) {
        let clip = Clip::embedded();
        let mut ticks = tokio::time::interval(SOUND_DURATION);
        for sound in clip.sounds.iter().cycle() {
            ticks.tick().await;
            let packet = self.next(sound.clone(), false);
            let _ = self.local.write_rtp(packet).await;
            self.header.timestamp = self.header.timestamp.wrapping_add(SOUND_TICKS);
        }
    }
}

fn h264() -> RTCRtpCodec {
    let feedback = |parameter: &str| RTCPFeedback { typ: "nack".into(), parameter: parameter.into() };
    RTCRtpCodec {
        mime_type: MIME_TYPE_H264.to_owned(),
        clock_rate: 90_000,
        channels: 0,
        sdp_fmtp_line: "profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1".to_owned(),
        rtcp_feedback: vec![feedback(""), feedback("pli")],
    }
}

fn opus() -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: MIME_TYPE_OPUS.to_owned(),
        clock_rate: 48_000,
        channels: 2,
        sdp_fmtp_line: "minptime=10;maxaveragebitrate=96000;stereo=1;sprop-stereo=1;useinbandfec=1".to_owned(),
        rtcp_feedback: vec![],
    }
}
