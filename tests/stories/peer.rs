//! Edge: WebRTC peers of the stories: a publisher and a watcher that speak WHIP and WHEP like any other client.
//!
//! They stand on the `webrtc` crate, a second and independent stack, and use the public routes only.

#![allow(dead_code, reason = "each test binary uses its part of the actors")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hanamichi::demo::{
    clip::Clip,
    liver::{Broadcast, LiverError},
};
use parking_lot::Mutex;
use reqwest::{StatusCode, Url, header};
use rtc::{
    ice::network_type::NetworkType,
    peer_connection::{
        configuration::{
            RTCOfferOptions,
            setting_engine::{SettingEngine, SettingEngineBuilder},
        },
        transport::RTCIceCandidateInit,
    },
    rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication,
    rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit, rtp_sender::RtpCodecKind},
};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use webrtc::{
    media_stream::track_remote::{TrackRemote, TrackRemoteEvent},
    peer_connection::{
        MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCPeerConnectionState,
        RTCSessionDescription, Registry, register_default_interceptors,
    },
    runtime::{Runtime, TokioRuntime},
};

/// Shows the demo clip in a loop. It has a thread and a runtime of its own, so it can vanish without a word.
pub(crate) struct Publisher {
    runtime: Option<tokio::runtime::Runtime>,
    stop: CancellationToken,
    ended: oneshot::Receiver<Result<(), LiverError>>,
    /// The session's path.
    pub(crate) path: String,
}

impl Publisher {
    /// Opens the session; returns when its transport stands.
    pub(crate) async fn start(whip_url: &str, stream_key: &str) -> Result<Self, LiverError> {
        Self::show(whip_url, stream_key, Clip::embedded()).await
    }

    /// The same with a clip whose keyframes are four seconds apart; asking it for one is of no use.
    pub(crate) async fn start_with_rare_keyframes(whip_url: &str, stream_key: &str) -> Result<Self, LiverError> {
        let mut clip = Clip::embedded();
        let key = clip.frames[0].clone();
        let mut deltas: Vec<_> =
            clip.frames.iter().enumerate().filter(|(n, _)| n % 24 != 0).map(|(_, d)| d.clone()).collect();
        deltas.truncate(95);
        clip.frames = std::iter::once(key).chain(deltas).collect();
        Self::show(whip_url, stream_key, clip).await
    }

    async fn show(whip_url: &str, stream_key: &str, clip: Clip) -> Result<Self, LiverError> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let (started, start) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let stop = CancellationToken::new();
        let (url, key, token) = (whip_url.to_owned(), stream_key.to_owned(), stop.clone());
        // A task of a runtime that the test holds and drops.
        runtime.handle().spawn(async move {
            let broadcast = match Broadcast::start(reqwest::Client::new(), &url, &key).await {
                Ok(broadcast) => broadcast,
                Err(error) => return drop(started.send(Err(error))),
            };
            drop(started.send(Ok(broadcast.resource().path().to_owned())));
            let played = broadcast.play(&clip, &token).await;
            broadcast.end().await;
            drop(end.send(played));
        });
        // Made before the answer is known: dropping it is how the runtime ends outside of this one.
        let mut publisher = Self { runtime: Some(runtime), stop, ended, path: String::new() };
        publisher.path = start.await.expect("the publisher's task lives")?;
        Ok(publisher)
    }

    /// Takes the session down by DELETE.
    pub(crate) async fn end(mut self) {
        self.stop.cancel();
        (&mut self.ended).await.expect("the publisher's task lives").expect("it was on air until now");
    }

    /// Waits until the server has taken the session down.
    pub(crate) async fn dismissed(mut self) {
        let ended = tokio::time::timeout(Duration::from_secs(10), &mut self.ended).await;
        ended.expect("in time").expect("the publisher's task lives").expect_err("the server ended it");
    }

    /// Is gone from one moment to the next: no DELETE, no goodbye.
    pub(crate) fn vanish(self) {
        drop(self);
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// One video packet as it arrived.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) seq: u16,
    pub(crate) ts: u32,
    pub(crate) marker: bool,
    /// The packet begins a keyframe: parameter sets or the start of an IDR slice.
    pub(crate) is_key: bool,
    /// Of its payload.
    pub(crate) bytes: usize,
    /// Since the offer was posted.
    pub(crate) after: Duration,
    /// What it carries, in short, and when it came: the same packet is known again at another watcher.
    pub(crate) digest: u64,
    pub(crate) at: Instant,
}

#[derive(Default)]
struct Log {
    /// From the first keyframe on, as a decoder sees it.
    video: Vec<Seen>,
    /// Video packets before the first keyframe.
    undecodable: usize,
    audio_packets: usize,
    state: Option<RTCPeerConnectionState>,
}

/// A peer's session on the server.
pub(crate) struct Session {
    http: reqwest::Client,
    key: Option<String>,
    pub(crate) peer: Arc<dyn PeerConnection>,
    /// The session's address and tag.
    pub(crate) resource: Url,
    pub(crate) etag: String,
    /// The server's answer.
    pub(crate) answer: String,
}

/// Settings of a peer that has no UDP.
pub(crate) fn only_tcp() -> SettingEngine {
    SettingEngineBuilder::new().with_network_types(vec![NetworkType::Tcp4]).build()
}

/// An answer without its UDP candidates.
pub(crate) fn without_udp(answer: &str) -> String {
    let is_udp = |line: &&str| line.starts_with("a=candidate:") && line.contains(" udp ");
    answer.lines().filter(|line| !is_udp(line)).collect::<Vec<_>>().join("\r\n") + "\r\n"
}

/// Posts a peer's offer and takes the answer as `rewrite` has it; the status when the server refuses.
pub(crate) async fn post_offer(
    url: &str,
    key: Option<&str>,
    peer: Arc<dyn PeerConnection>,
    rewrite: impl FnOnce(String) -> String,
) -> Result<Session, StatusCode> {
    let offer = peer.create_offer(None).await.expect("an offer");
    peer.set_local_description(offer.clone()).await.expect("its own offer");
    let http = reqwest::Client::new();
    let request = http.post(url).header(header::CONTENT_TYPE, "application/sdp").body(offer.sdp);
    let request = key.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth);
    let response = request.send().await.expect("the server answers");
    if response.status() != StatusCode::CREATED {
        let _ = peer.close().await;
        return Err(response.status());
    }
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).expect("a header");
    let resource = response.url().join(text(header::LOCATION)).expect("a path");
    let etag = text(header::ETAG).to_owned();
    let answer = rewrite(response.text().await.expect("a body"));
    let described = RTCSessionDescription::answer(answer.clone()).expect("an answer");
    peer.set_remote_description(described).await.expect("a good answer");
    // This stack dials passive candidates only when they are handed to it one by one.
    for candidate in answer.lines().filter(|line| line.contains("tcptype passive") && !answer.contains(" udp ")) {
        let candidate = candidate.trim_start_matches("a=").to_owned();
        let candidate = RTCIceCandidateInit { candidate, ..Default::default() };
        peer.add_ice_candidate(candidate).await.expect("a candidate");
    }
    Ok(Session { http, key: key.map(str::to_owned), peer, resource, etag, answer })
}

impl Session {
    /// A request to the session, with its key.
    pub(crate) fn request(&self, method: reqwest::Method) -> reqwest::RequestBuilder {
        let request = self.http.request(method, self.resource.clone());
        self.key.iter().fold(request, reqwest::RequestBuilder::bearer_auth)
    }

    /// Sends a fragment under a tag.
    pub(crate) async fn patch(&self, tag: &str, fragment: &str) -> reqwest::Response {
        let request = self.request(reqwest::Method::PATCH).header(header::IF_MATCH, tag);
        let request = request.header(header::CONTENT_TYPE, "application/trickle-ice-sdpfrag");
        request.body(fragment.to_owned()).send().await.expect("the server answers")
    }

    /// Restarts ICE (RFC 9725, section 4.3.3) from new sockets. `rewrite` stands for the way back.
    pub(crate) async fn restart(&mut self, rewrite: impl FnOnce(String) -> String) {
        let options = RTCOfferOptions { ice_restart: true };
        let offer = self.peer.create_offer(Some(options)).await.expect("an offer");
        self.peer.set_local_description(offer.clone()).await.expect("its own offer");
        let starts = ["m=", "a=mid:", "a=ice-ufrag:", "a=ice-pwd:"];
        // The first media's: what is bundled has the same.
        let lines = starts.map(|start| offer.sdp.lines().find(|line| line.starts_with(start)).expect("a line"));
        let response = self.patch("*", &(lines.join("\r\n") + "\r\n")).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/trickle-ice-sdpfrag");
        let etag = response.headers()[header::ETAG].to_str().expect("text").to_owned();
        assert_ne!(self.etag, etag, "a new ICE session has a new tag");
        self.etag = etag;
        let fragment = response.text().await.expect("a body");
        self.answer = rewrite(renewed(&self.answer, &fragment));
        let answer = RTCSessionDescription::answer(self.answer.clone()).expect("an answer");
        self.peer.set_remote_description(answer).await.expect("a good answer");
    }

    /// Takes the session down by DELETE.
    pub(crate) async fn end(self) -> StatusCode {
        let status = self.request(reqwest::Method::DELETE).send().await.expect("the server answers").status();
        let _ = self.peer.close().await;
        status
    }
}

/// An answer as it is after a restart: nothing but ICE is new.
fn renewed(answer: &str, fragment: &str) -> String {
    let fresh = |start: &str| fragment.lines().filter(|line| line.starts_with(start)).collect::<Vec<_>>().join("\r\n");
    let (ufrag, password, candidates) = (fresh("a=ice-ufrag:"), fresh("a=ice-pwd:"), fresh("a=candidate:"));
    assert!(!ufrag.is_empty() && !password.is_empty() && !candidates.is_empty(), "{fragment}");
    let mut placed = false;
    let lines = answer.lines().filter_map(|line| match line {
        _ if line.starts_with("a=ice-ufrag:") => Some(ufrag.as_str()),
        _ if line.starts_with("a=ice-pwd:") => Some(password.as_str()),
        _ if line.starts_with("a=candidate:") => (!std::mem::replace(&mut placed, true)).then_some(candidates.as_str()),
        line => Some(line),
    });
    lines.collect::<Vec<_>>().join("\r\n") + "\r\n"
}

/// Watches a live by WHEP and writes down what arrives.
pub(crate) struct Watcher {
    pub(crate) session: Session,
    log: Arc<Mutex<Log>>,
    track: Arc<Mutex<Option<Arc<dyn TrackRemote>>>>,
    posted: Instant,
}

struct Ear {
    runtime: TokioRuntime,
    log: Arc<Mutex<Log>>,
    track: Arc<Mutex<Option<Arc<dyn TrackRemote>>>>,
    posted: Instant,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Ear {
    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.log.lock().state = Some(state);
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let (log, posted) = (Arc::clone(&self.log), self.posted);
        let is_video = track.kind().await == RtpCodecKind::Video;
        if is_video {
            *self.track.lock() = Some(Arc::clone(&track));
        }
        let listen = async move {
            while let Some(event) = track.poll().await {
                let TrackRemoteEvent::OnRtpPacket(packet) = event else { continue };
                if !is_video {
                    log.lock().audio_packets += 1;
                    continue;
                }
                let seen = Seen {
                    seq: packet.header.sequence_number,
                    ts: packet.header.timestamp,
                    marker: packet.header.marker,
                    is_key: begins_keyframe(&packet.payload),
                    bytes: packet.payload.len(),
                    after: posted.elapsed(),
                    digest: digest(&packet.payload),
                    at: Instant::now(),
                };
                if log.lock().take(seen) {
                    ask_keyframe(&*track).await;
                }
            }
        };
        drop(self.runtime.spawn(Box::pin(listen)));
    }
}

impl Log {
    /// Whether the watcher must ask for a keyframe: it sees pictures, and none that it can begin with.
    fn take(&mut self, seen: Seen) -> bool {
        if self.video.is_empty() && !seen.is_key {
            self.undecodable += 1;
            return seen.marker;
        }
        self.video.push(seen);
        false
    }
}

async fn ask_keyframe(track: &dyn TrackRemote) {
    let media_ssrc = track.ssrcs().await[0];
    let request = PictureLossIndication { sender_ssrc: 0, media_ssrc };
    // A watcher that is being closed has nobody to ask.
    let _ = track.write_rtcp(vec![Box::new(request)]).await;
}

fn digest(payload: &[u8]) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    std::hash::Hasher::write(&mut hasher, payload);
    std::hash::Hasher::finish(&hasher)
}

/// A second reading of RFC 6184, independent of the server's.
fn begins_keyframe(payload: &[u8]) -> bool {
    match payload {
        [first, ..] if matches!(first & 31, 5 | 7) => true,
        [first, _, _, inner, ..] if first & 31 == 24 => matches!(inner & 31, 5 | 7),
        [first, header, ..] if first & 31 == 28 => header & 0x80 != 0 && header & 31 == 5,
        _ => false,
    }
}

impl Watcher {
    /// Posts an offer; the status when the server refuses it.
    pub(crate) async fn start(whep_url: &str) -> Result<Self, StatusCode> {
        Self::open(whep_url, true, |answer| answer).await
    }

    /// The same over TCP alone.
    pub(crate) async fn start_by_tcp(whep_url: &str) -> Result<Self, StatusCode> {
        Self::start_by_tcp_with(whep_url, |answer| answer).await
    }

    /// The same with the answer as `rewrite` has it.
    pub(crate) async fn start_by_tcp_with(
        whep_url: &str,
        rewrite: impl FnOnce(String) -> String,
    ) -> Result<Self, StatusCode> {
        Self::open(whep_url, false, |answer| rewrite(without_udp(&answer))).await
    }

    async fn open(whep_url: &str, udp: bool, rewrite: impl FnOnce(String) -> String) -> Result<Self, StatusCode> {
        let (log, track) = (Arc::new(Mutex::new(Log::default())), Arc::new(Mutex::new(None)));
        let posted = Instant::now();
        let ear = Ear { runtime: TokioRuntime, log: Arc::clone(&log), track: Arc::clone(&track), posted };
        let mut engine = MediaEngine::default();
        engine.register_default_codecs().expect("codecs");
        let registry = register_default_interceptors(Registry::new(), &mut engine).expect("interceptors");
        // A restart moves to other sockets, as it does when a phone leaves its Wi-Fi.
        let settings = SettingEngineBuilder::new().with_discard_local_candidates_during_ice_restart(true).build();
        let here = vec!["127.0.0.1:0"];
        let (udp_addrs, tcp_addrs) = if udp { (here, vec![]) } else { (vec![], here) };
        let peer = PeerConnectionBuilder::new()
            .with_media_engine(engine)
            .with_setting_engine(if udp { settings } else { only_tcp() })
            .with_interceptor_registry(registry)
            .with_handler(Arc::new(ear))
            .with_runtime(Arc::new(TokioRuntime))
            .with_udp_addrs(udp_addrs)
            .with_tcp_addrs(tcp_addrs)
            .build();
        // Boxed: the WebRTC stack's futures are large.
        let peer = Box::pin(peer).await.expect("a peer");
        let peer: Arc<dyn PeerConnection> = Arc::new(peer);
        for kind in [RtpCodecKind::Video, RtpCodecKind::Audio] {
            let receive =
                RTCRtpTransceiverInit { direction: RTCRtpTransceiverDirection::Recvonly, ..Default::default() };
            peer.add_transceiver_from_kind(kind, Some(receive)).await.expect("a transceiver");
        }
        let session = Box::pin(post_offer(whep_url, None, peer, rewrite)).await?;
        Ok(Self { session, log, track, posted })
    }

    /// The video packets so far, from the first keyframe on, in the order of their arrival.
    pub(crate) fn video(&self) -> Vec<Seen> {
        self.log.lock().video.clone()
    }

    /// Video packets that came before the first keyframe.
    pub(crate) fn undecodable(&self) -> usize {
        self.log.lock().undecodable
    }

    pub(crate) fn audio_packets(&self) -> usize {
        self.log.lock().audio_packets
    }

    pub(crate) fn state(&self) -> Option<RTCPeerConnectionState> {
        self.log.lock().state
    }

    /// Whole frames so far.
    pub(crate) fn frames(&self) -> usize {
        self.log.lock().video.iter().filter(|seen| seen.marker).count()
    }

    /// Sequence numbers that never came, and those that came twice.
    pub(crate) fn gaps_and_repeats(&self) -> (usize, usize) {
        let log = self.log.lock();
        let Some(first) = log.video.first() else { return (0, 0) };
        let mut seqs: Vec<i32> =
            log.video.iter().map(|seen| i32::from(seen.seq.wrapping_sub(first.seq).cast_signed())).collect();
        seqs.sort_unstable();
        let span = usize::try_from(seqs[seqs.len() - 1] - seqs[0] + 1).expect("sorted");
        let total = seqs.len();
        seqs.dedup();
        (span - seqs.len(), total - seqs.len())
    }

    /// Frames of which everything came, and those with holes in or before them.
    pub(crate) fn whole_and_broken(&self) -> (usize, usize) {
        let log = self.log.lock();
        let Some(first) = log.video.first() else { return (0, 0) };
        let number = |seen: &Seen| seen.seq.wrapping_sub(first.seq).cast_signed();
        let mut packets: Vec<(i16, &Seen)> = log.video.iter().map(|seen| (number(seen), seen)).collect();
        packets.sort_unstable_by_key(|(number, _)| *number);
        packets.dedup_by_key(|(number, _)| *number);
        let (mut whole, mut broken, mut expected) = (0, 0, packets[0].0);
        for frame in packets.chunk_by(|(_, one), (_, other)| one.ts == other.ts) {
            let (_, last) = frame[frame.len() - 1];
            let mut numbers = (expected..).zip(frame);
            let is_whole = last.marker && numbers.all(|(expected, (number, _))| expected == *number);
            *(if is_whole { &mut whole } else { &mut broken }) += 1;
            expected = frame[frame.len() - 1].0.wrapping_add(1);
        }
        (whole, broken)
    }

    /// Waits until the watcher has seen something; fails after ten seconds.
    pub(crate) async fn until(&self, what: &str, is_seen: impl Fn(&Self) -> bool) {
        let since = Instant::now();
        while !is_seen(self) {
            assert!(since.elapsed() < Duration::from_secs(10), "never seen: {what}; {} packets", self.video().len());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Time since the offer was posted.
    pub(crate) fn elapsed(&self) -> Duration {
        self.posted.elapsed()
    }

    /// Sends a picture loss indication.
    pub(crate) async fn ask_keyframe(&self) {
        let track = self.track.lock().clone().expect("a video track");
        ask_keyframe(&*track).await;
    }

    /// Takes the session down by DELETE.
    pub(crate) async fn end(self) -> StatusCode {
        self.session.end().await
    }
}
