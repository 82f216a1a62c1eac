//! Edge: one peer's transport: SDP, ICE and DTLS by `str0m`; of a publisher SRTP and RTCP too.
//!
//! The engine sees the trait [`Leg`] only, so another library can stand behind it. Towards viewers `sealed.rs` stands
//! around the library and seals every packet itself.
//! Invariants: `now` is always a parameter; the library never takes the process down: whatever a peer sends, a panic
//! inside it ends that leg alone; no leg sends the transport-wide sequence extension to a viewer.

use std::{
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};

use str0m::{
    Candidate, Event, IceConnectionState, IceCreds, Input, Output, Rtc, RtcConfig,
    change::{SdpAnswer, SdpOffer, SdpPendingOffer},
    config::{CryptoProvider, DtlsCert, DtlsVersion},
    format::{Codec, CodecConfig, CodecSpec, FormatParams, PayloadParams},
    media::{Direction, Frequency, KeyframeRequestKind, MediaKind, Mid, Rid},
    net::{Protocol, Receive, TcpType},
    rtp::{Extension, ExtensionMap, RtpPacket, Ssrc},
};

use super::{
    fragment,
    gate::Gate,
    hall::Loss,
    keys::{self, KeyCell},
    ladder::Word,
    layers::Layers,
    meter::Ingest,
    numbering::Place,
    outbox::Outbox,
    packet::{Kind, Packet, VideoCodec, starts_keyframe},
    path::Path,
    picture,
    report::{PublisherFigures, ViewerFigures},
    restart::{Generation, Renamed, Restarts},
    sdp::Offer,
    sealed::SealedLeg,
    streams, stun,
};

/// The library sends nothing to viewers, so it need not keep anything to send again; less it does not take.
const VIEWER_RESEND_PACKETS: usize = 1;

/// Longer than any session.
const NEVER: std::time::Duration = std::time::Duration::from_secs(365 * 24 * 3_600);
/// Streams of a peer that are remembered; two are in use.
const MAX_PEER_STREAMS: usize = 32;

/// How often the library tells a publisher's round trip.
const STATS_EVERY: std::time::Duration = std::time::Duration::from_secs(1);

/// How often another server is asked whether it is there: well within its silence limit.
const RELAY_CHECK_EVERY: std::time::Duration = std::time::Duration::from_millis(400);

/// First bytes of STUN and of media (RFC 7983), second bytes of RTCP (RFC 5761, section 4).
const STUN: std::ops::RangeInclusive<u8> = 0..=3;
const MEDIA: std::ops::RangeInclusive<u8> = 128..=191;
const RTCP: std::ops::RangeInclusive<u8> = 192..=223;

/// Which way the media goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Publisher,
    Viewer,
    /// We are the viewer, of another server.
    Relay,
}

/// What a leg wants from its engine.
pub(super) enum Step {
    Send {
        to: SocketAddr,
        datagram: Vec<u8>,
    },
    Connected,
    Packet(Packet),
    KeyframeRequested,
    Lost(Loss),
    /// Of the network that leads to a viewer.
    Heard(Word),
    /// Nothing more until this time.
    Wait(Instant),
    /// The peer closed, or the transport failed.
    Over,
}

/// What a leg counted.
pub(super) enum Sample {
    Publisher(PublisherFigures),
    Viewer(ViewerFigures),
}

/// One peer's transport. After every call that changes it, [`Leg::step`] is called until it waits.
pub(super) trait Leg: Send {
    fn receive(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]);
    fn tick(&mut self, now: Instant);
    /// A packet for a viewer.
    fn deliver(&mut self, now: Instant, packet: &Packet, place: Place, out: &mut Outbox);
    /// One that it did not get, once more.
    fn resend(&mut self, packet: &Packet, place: Place, out: &mut Outbox);
    /// Of a layer of its picture.
    fn ask_keyframe(&mut self, layer: u8);
    fn add_candidate(&mut self, candidate: &str);
    /// Whether the peer is called so already.
    fn knows(&self, theirs: &IceCreds) -> bool;
    /// The peer's ICE begins anew, over whatever addresses; everything else goes on. `None` when it did so too often.
    fn restart(&mut self, theirs: IceCreds) -> Option<Renamed>;
    fn close(&mut self, now: Instant);
    fn step(&mut self) -> Step;
    /// The figures of this moment.
    fn sample(&self, now: Instant) -> Sample;
}

/// A leg whose offer was answered.
pub(super) struct Answered {
    pub(super) leg: Box<dyn Leg>,
    pub(super) sdp: String,
}

/// The library refused the offer, in its words.
#[derive(Debug)]
pub(super) struct Refused(pub(super) String);

/// What all legs of an engine share: the certificate and our addresses.
pub(super) struct LegMaker {
    crypto: Arc<CryptoProvider>,
    certificate: DtlsCert,
    candidates: Vec<SocketAddr>,
    tcp: bool,
}

impl LegMaker {
    /// `None` when no certificate could be made.
    pub(super) fn new(candidates: Vec<SocketAddr>, tcp: bool) -> Option<Self> {
        let crypto = Arc::new(keys::provider());
        let certificate = crypto.dtls_provider.generate_certificate()?;
        Some(Self { crypto, certificate, candidates, tcp })
    }

    /// Answers an offer; the answer holds our candidates.
    pub(super) fn answer(
        &self,
        role: Role,
        codec: VideoCodec,
        offer: &Offer,
        credentials: IceCreds,
        now: Instant,
    ) -> Result<Answered, Refused> {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.try_answer(role, codec, offer, credentials, now)));
        outcome.unwrap_or_else(|_| Err(Refused("the offer cannot be answered".into())))
    }

    fn try_answer(
        &self,
        role: Role,
        codec: VideoCodec,
        offer: &Offer,
        credentials: IceCreds,
        now: Instant,
    ) -> Result<Answered, Refused> {
        let refused = |error: &dyn std::fmt::Display| Refused(error.to_string());
        let parsed =
            SdpOffer::from_sdp_string(&offer.one_way(role == Role::Publisher)).map_err(|error| refused(&error))?;
        let candidates = (&self.candidates[..], self.tcp);
        let way = (role, offer.is_layered);
        let (mut rtc, cell) = self.build(way, &[codec], Some(credentials), candidates, now);
        let answer = rtc.sdp_api().accept_offer(parsed).map_err(|error| refused(&error))?;
        let ours = rtc.direct_api().local_ice_credentials();
        let theirs = fragment::offered(&offer.text).ok_or_else(|| Refused("it has no ice-ufrag and ice-pwd".into()))?;
        let gate = Gate::new(Arc::clone(&self.crypto), Arc::clone(&cell));
        let first = offer.mids.first().cloned().unwrap_or_default();
        let restarts = Restarts::new(Generation { ours, theirs }, first);
        let mut leg = StrLeg::new(rtc, codec, self.candidates.clone(), restarts, gate, now);
        leg.tcp = self.tcp;
        leg.takes_nacks = offer.takes_nacks();
        leg.layers = Layers::new(&offer.layers);
        leg.find_tracks(role, &offer.mids)?;
        let leg: Box<dyn Leg> = match role {
            Role::Publisher | Role::Relay => Box::new(leg),
            Role::Viewer => Box::new(SealedLeg::new(leg, Arc::clone(&self.crypto), cell, now)),
        };
        // RFC 9725, section 4.4.1, wants it said in answers, too.
        let sdp = answer.to_sdp_string().replace("a=rtcp-mux\r\n", "a=rtcp-mux\r\na=rtcp-mux-only\r\n");
        Ok(Answered { leg, sdp })
    }

    /// A leg that asks another server for its picture, as a viewer does, over a port of its own. It connects once it has
    /// accepted the answer.
    pub(super) fn offer(
        &self,
        candidates: Vec<SocketAddr>,
        codecs: &[VideoCodec],
        now: Instant,
    ) -> Result<Offered, Refused> {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.try_offer(candidates, codecs, now)));
        outcome.unwrap_or_else(|_| Err(Refused("no offer can be made".into())))
    }

    fn try_offer(&self, candidates: Vec<SocketAddr>, codecs: &[VideoCodec], now: Instant) -> Result<Offered, Refused> {
        let (mut rtc, cell) = self.build((Role::Relay, false), codecs, None, (&candidates, false), now);
        let mut change = rtc.sdp_api();
        let kinds = [(true, MediaKind::Video), (false, MediaKind::Audio)];
        let mids = kinds.map(|(is_video, kind)| {
            let mid = change.add_media(kind, Direction::RecvOnly, None, None, None);
            (is_video, mid.to_string())
        });
        let (offer, pending) = change.apply().ok_or_else(|| Refused("there is nothing to offer".into()))?;
        let ours = rtc.direct_api().local_ice_credentials();
        let theirs = IceCreds { ufrag: String::new(), pass: String::new() };
        let gate = Gate::new(Arc::clone(&self.crypto), cell);
        let restarts = Restarts::new(Generation { ours, theirs }, mids[0].clone());
        let mut leg = StrLeg::new(rtc, VideoCodec::H264, candidates, restarts, gate, now);
        leg.takes_nacks = true;
        leg.pending = Some(pending);
        Ok(Offered { leg: Pulling { leg, mids }, sdp: offer.to_sdp_string() })
    }

    fn build(
        &self,
        (role, is_layered): (Role, bool),
        video: &[VideoCodec],
        credentials: Option<IceCreds>,
        (candidates, tcp): (&[SocketAddr], bool),
        now: Instant,
    ) -> (Rtc, KeyCell) {
        let mut config = RtcConfig::new()
            .set_crypto_provider(Arc::clone(&self.crypto))
            .set_dtls_cert(self.certificate.clone())
            .set_dtls_version(dtls_version(role))
            .set_ice_lite(role != Role::Relay)
            .set_rtp_mode(true)
            .set_send_buffer_video(VIEWER_RESEND_PACKETS)
            .set_extension_map(extensions(role, is_layered));
        if let Some(credentials) = credentials {
            config = config.set_local_ice_credentials(credentials);
        }
        if role == Role::Viewer {
            // We report on what we send.
            config = config.set_rtcp_report_interval_audio(NEVER).set_rtcp_report_interval_video(NEVER);
        }
        if role == Role::Relay {
            // The other server is heard of by its answers while its publisher is silent.
            config.set_max_stun_rto(RELAY_CHECK_EVERY);
        }
        if role != Role::Viewer {
            config = config.set_stats_interval(Some(STATS_EVERY));
        }
        *config.codec_config() = codecs(role, is_layered, video);
        let cell = KeyCell::default();
        let mut rtc = keys::kept_in(&cell, || config.build(now));
        for candidate in host_candidates(candidates, tcp) {
            rtc.add_local_candidate(candidate);
        }
        (rtc, cell)
    }
}

/// A leg that waits for the answer to its offer.
pub(super) struct Offered {
    pub(super) leg: Pulling,
    pub(super) sdp: String,
}

/// A leg without an answer yet.
pub(super) struct Pulling {
    leg: StrLeg,
    mids: [(bool, String); 2],
}

impl Pulling {
    /// The answer came: the leg, and the codec that it will bring.
    pub(super) fn accept(mut self, answer: &str, now: Instant) -> Result<(Box<dyn Leg>, VideoCodec), Refused> {
        let refused = |error: &dyn std::fmt::Display| Refused(error.to_string());
        let answer = SdpAnswer::from_sdp_string(answer).map_err(|error| refused(&error))?;
        let pending = self.leg.pending.take().ok_or_else(|| Refused("it was answered before".into()))?;
        let accepted = self.leg.guarded(|rtc| {
            let accepted = rtc.sdp_api().accept_answer(pending, answer);
            accepted.map(|()| rtc.codec_config().params().to_vec())
        });
        let params = accepted.ok_or_else(|| Refused("the answer does not fit the offer".into()))?;
        self.leg.find_tracks(Role::Relay, &self.mids)?;
        let pt = self.leg.video.as_ref().map(|track| track.pt);
        let agreed = params.iter().find(|param| Some(*param.pt()) == pt).map(|param| param.spec().codec);
        self.leg.codec = if agreed == Some(Codec::Vp8) { VideoCodec::Vp8 } else { VideoCodec::H264 };
        let codec = self.leg.codec;
        self.leg.meter = Ingest::new(codec, now);
        Ok((Box::new(self.leg), codec))
    }
}

/// Ours: each address for UDP, and for TCP when we listen there (RFC 6544).
fn host_candidates(addresses: &[SocketAddr], tcp: bool) -> impl Iterator<Item = Candidate> {
    let udp = addresses.iter().map(|address| Candidate::host(*address, "udp"));
    let passive = |address: &SocketAddr| Candidate::builder().tcp().host(*address).tcptype(TcpType::Passive).build();
    let tcp = addresses.iter().filter(move |_| tcp).map(passive);
    udp.chain(tcp).filter_map(Result::ok)
}

/// Towards viewers DTLS 1.2, where the library as server prefers AES-GCM; with 1.3 it takes the browser's first, which
/// is AES-CM with SHA-1 and costs a microsecond more for every packet.
fn dtls_version(role: Role) -> DtlsVersion {
    match role {
        Role::Viewer | Role::Relay => DtlsVersion::Dtls12,
        Role::Publisher => DtlsVersion::Auto,
    }
}

/// Header extensions: transport-wide congestion control for the ingest only, for a browser without its feedback stays
/// at its start rate; a viewer of one layer would only cost us feedback to read. Names of streams only where there are
/// several: what was not offered as simulcast would be lost if it had one.
fn extensions(role: Role, is_layered: bool) -> ExtensionMap {
    let mut map = ExtensionMap::empty();
    map.set(4, Extension::RtpMid);
    if role == Role::Publisher {
        map.set(3, Extension::TransportSequenceNumber);
    }
    if role == Role::Publisher && is_layered {
        map.set(10, Extension::RtpStreamId);
        map.set(11, Extension::RepairedRtpStreamId);
    }
    map
}

fn codecs(role: Role, is_layered: bool, video: &[VideoCodec]) -> CodecConfig {
    let spec = |codec, clock_rate, channels, format| CodecSpec { codec, clock_rate, channels, format };
    let opus = FormatParams { min_p_time: Some(10), use_inband_fec: Some(true), ..FormatParams::default() };
    let opus = spec(Codec::Opus, Frequency::FORTY_EIGHT_KHZ, Some(2), opus);
    let h264 = |profile| {
        let format = FormatParams {
            level_asymmetry_allowed: Some(true),
            packetization_mode: Some(1),
            profile_level_id: Some(profile),
            ..FormatParams::default()
        };
        spec(Codec::H264, Frequency::NINETY_KHZ, None, format)
    };
    let vp8 = || spec(Codec::Vp8, Frequency::NINETY_KHZ, None, FormatParams::default());
    let mut params = vec![PayloadParams::new(111.into(), None, opus)];
    for codec in video {
        match codec {
            VideoCodec::H264 => {
                params.push(PayloadParams::new(108.into(), Some(109.into()), h264(0x0042_e01f)));
                params.push(PayloadParams::new(127.into(), Some(121.into()), h264(0x0042_001f)));
            }
            VideoCodec::Vp8 => params.push(PayloadParams::new(96.into(), Some(97.into()), vp8())),
        }
    }
    for param in &mut params {
        // What a viewer's network carries matters where there is a choice.
        param.set_fb_remb(role == Role::Viewer && is_layered);
        param.set_fb_transport_cc(role == Role::Publisher);
    }
    CodecConfig::new_from_payload_params(params)
}

/// One direction of one kind of media.
#[derive(Debug)]
pub(super) struct Track {
    mid: Mid,
    /// Ours, towards a viewer.
    pub(super) ssrc: Option<u32>,
    pub(super) pt: u8,
    /// Where what is sent again goes, when that was agreed on.
    pub(super) rtx: Option<(u32, u8)>,
}

pub(super) struct StrLeg {
    rtc: Rtc,
    codec: VideoCodec,
    candidates: Vec<SocketAddr>,
    tcp: bool,
    pub(super) video: Option<Track>,
    pub(super) audio: Option<Track>,
    /// What the peer's streams carry, and in which of its sizes.
    kinds: Vec<(Ssrc, Option<(Kind, usize)>)>,
    layers: Layers,
    gate: Gate,
    takes_nacks: bool,
    restarts: Restarts,
    /// Where the newest datagram came from, and when.
    source: Option<(SocketAddr, Instant)>,
    /// Where the library sends to: the pair that was nominated.
    sends_to: Option<SocketAddr>,
    /// Where the peer is: a publisher's media tells, a viewer's reports.
    path: Path,
    /// What comes from a publisher.
    meter: Ingest,
    over: bool,
    /// Our own offer, until it is answered.
    pending: Option<SdpPendingOffer>,
}

impl StrLeg {
    fn new(
        rtc: Rtc,
        codec: VideoCodec,
        candidates: Vec<SocketAddr>,
        restarts: Restarts,
        gate: Gate,
        now: Instant,
    ) -> Self {
        Self {
            rtc,
            codec,
            candidates,
            tcp: false,
            video: None,
            audio: None,
            kinds: Vec::new(),
            layers: Layers::default(),
            gate,
            takes_nacks: false,
            restarts,
            source: None,
            sends_to: None,
            path: Path::default(),
            meter: Ingest::new(codec, now),
            over: false,
            pending: None,
        }
    }

    /// Learns from the library what was agreed for the first video and the first audio of the offer.
    fn find_tracks(&mut self, role: Role, mids: &[(bool, String)]) -> Result<(), Refused> {
        for (is_video, mid) in mids {
            let track = self.track(Mid::from(mid.as_str()), role);
            let place = if *is_video { &mut self.video } else { &mut self.audio };
            if place.is_none() {
                *place = track;
            }
        }
        if self.video.is_some() { Ok(()) } else { Err(Refused("no video was agreed on".into())) }
    }

    fn track(&mut self, mid: Mid, role: Role) -> Option<Track> {
        let media = self.rtc.media(mid)?;
        let fits = match role {
            Role::Publisher | Role::Relay => media.direction().is_receiving(),
            Role::Viewer => media.direction().is_sending(),
        };
        let agreed = media.remote_pts().to_vec();
        let ours = self.rtc.codec_config().params().iter().map(|param| (param.pt(), param.resend()));
        let (pt, resend) = ours.into_iter().find(|(pt, _)| fits && agreed.contains(pt))?;
        let mut api = self.rtc.direct_api();
        let stream = api.stream_tx_by_mid(mid, None);
        let ssrc = stream.as_ref().map(|stream| *stream.ssrc());
        let rtx = stream.and_then(|stream| stream.rtx()).zip(resend).map(|(ssrc, pt)| (*ssrc, *pt));
        Some(Track { mid, ssrc, pt: *pt, rtx })
    }

    /// Something that only the peer can have sealed came from there.
    pub(super) fn hear_from(&mut self, source: SocketAddr, now: Instant) {
        self.path.hear(source, now);
    }

    /// The peer nominated this address.
    pub(super) fn nominate(&mut self, to: SocketAddr) {
        self.path.choose(to);
    }

    /// Where the peer is.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.path.to()
    }

    /// Runs the library; its panic or error is this leg's end.
    fn guarded<T>(&mut self, run: impl FnOnce(&mut Rtc) -> Result<T, str0m::RtcError>) -> Option<T> {
        if self.over {
            return None;
        }
        match catch_unwind(AssertUnwindSafe(|| run(&mut self.rtc))) {
            Ok(Ok(value)) => Some(value),
            Ok(Err(error)) => {
                tracing::debug!(%error, "peer transport failed");
                self.over = true;
                None
            }
            Err(_) => {
                tracing::error!("peer transport panicked");
                self.over = true;
                None
            }
        }
    }

    /// Whether the library gets to see a datagram.
    fn admits(&mut self, source: SocketAddr, datagram: &[u8], input: &Input) -> bool {
        let [first, second] = [0, 1].map(|at| datagram.get(at).copied().unwrap_or_default());
        if STUN.contains(&first) {
            let verify = || catch_unwind(AssertUnwindSafe(|| self.rtc.accepts(input))).unwrap_or(false);
            return self.gate.admits_check(source, verify);
        }
        !MEDIA.contains(&first) || RTCP.contains(&second) || self.gate.admits_media(datagram)
    }

    fn kind_of(&mut self, ssrc: Ssrc) -> Option<(Kind, usize)> {
        if let Some((_, kind)) = self.kinds.iter().find(|(known, _)| *known == ssrc) {
            return *kind;
        }
        let (mid, rid) = self.rtc.direct_api().stream_rx(&ssrc).map(|stream| (stream.mid(), stream.rid()))?;
        let size = rid.and_then(|rid| self.layers.find(&rid)).unwrap_or(0);
        let is = |track: &Option<Track>| track.as_ref().is_some_and(|track| track.mid == mid);
        let kind = match () {
            () if is(&self.video) => Some(Kind::Video),
            () if is(&self.audio) => Some(Kind::Audio),
            () => None,
        };
        if self.takes_nacks && kind == Some(Kind::Video) {
            // The library asks only those again that send again by RTX; OBS sends the same packet once more.
            if let Some(stream) = self.rtc.direct_api().stream_rx(&ssrc) {
                stream.suppress_nack(false);
            }
        }
        if self.kinds.len() == MAX_PEER_STREAMS {
            self.kinds.clear();
        }
        let kind = kind.map(|kind| (kind, size));
        self.kinds.push((ssrc, kind));
        kind
    }

    fn packet(&mut self, packet: RtpPacket) -> Option<Packet> {
        let (kind, size) = self.kind_of(packet.header.ssrc)?;
        let starts_keyframe = kind == Kind::Video && starts_keyframe(self.codec, &packet.payload);
        let came = packet.timestamp;
        if starts_keyframe
            && let Some(pixels) = picture::size(self.codec, &packet.payload)
            && self.layers.note(size, pixels)
        {
            self.meter.forget_pictures(came);
        }
        let packet = Packet {
            kind,
            layer: if kind == Kind::Video { self.layers.layer(size)? } else { 0 },
            ssrc: *packet.header.ssrc,
            seq: *packet.seq_no,
            ts: packet.time.numer(),
            marker: packet.header.marker,
            starts_keyframe,
            payload: packet.payload,
        };
        self.meter.note(&packet, came);
        Some(packet)
    }

    /// The library stays with the pair that was nominated; everything but answers to checks goes to where the peer is.
    fn destination(&mut self, to: SocketAddr, datagram: &[u8]) -> SocketAddr {
        if datagram.first().is_some_and(|first| STUN.contains(first)) {
            if stun::is_success(datagram) && self.restarts.answered(to) {
                self.path.choose(to);
            }
            return to;
        }
        if self.sends_to.replace(to) != Some(to) {
            self.path.choose(to);
        }
        self.path.to().unwrap_or(to)
    }

    fn event(&mut self, event: Event) -> Option<Step> {
        match event {
            Event::Connected => Some(Step::Connected),
            Event::RtpPacket(packet) => {
                if let Some((from, now)) = self.source {
                    self.path.hear(from, now);
                }
                self.packet(packet).map(Step::Packet)
            }
            Event::KeyframeRequest(_) => Some(Step::KeyframeRequested),
            Event::MediaIngressStats(stats) => {
                self.meter.round_trip = stats.rtt.or(self.meter.round_trip);
                None
            }
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) | Event::Closed => {
                self.over = true;
                Some(Step::Over)
            }
            _ => None,
        }
    }
}

impl Leg for StrLeg {
    fn receive(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) {
        // The library pairs a peer with one of our candidates; behind one socket any of its family will do.
        let (protocol, from) = match streams::unmarked(source) {
            Some(from) => (Protocol::Tcp, from),
            None => (Protocol::Udp, source),
        };
        let same_family = |ours: &&SocketAddr| ours.is_ipv4() == from.is_ipv4();
        let Some(destination) = self.candidates.iter().find(same_family).copied() else {
            return;
        };
        let Ok(receive) = Receive::new(protocol, from, destination, datagram) else {
            return;
        };
        if let Some(Generation { ours, theirs }) = self.restarts.check(source, datagram).cloned() {
            self.guarded(|rtc| {
                rtc.direct_api().set_local_ice_credentials(ours);
                rtc.direct_api().set_remote_ice_credentials(theirs);
                Ok(())
            });
        }
        let input = Input::Receive(now, receive);
        if !self.admits(source, datagram, &input) {
            return;
        }
        self.source = Some((source, now));
        self.guarded(|rtc| rtc.handle_input(input));
    }

    fn tick(&mut self, now: Instant) {
        self.guarded(|rtc| rtc.handle_input(Input::Timeout(now)));
    }

    /// A publisher is sent nothing.
    fn deliver(&mut self, _: Instant, _: &Packet, _: Place, _: &mut Outbox) {}

    fn resend(&mut self, _: &Packet, _: Place, _: &mut Outbox) {}

    fn ask_keyframe(&mut self, layer: u8) {
        let Some(mid) = self.video.as_ref().map(|track| track.mid) else {
            return;
        };
        self.meter.ask();
        let rid = self.layers.name(layer).map(Rid::from);
        self.guarded(|rtc| {
            if let Some(stream) = rtc.direct_api().stream_rx_by_mid(mid, rid) {
                stream.request_keyframe(KeyframeRequestKind::Pli);
            }
            Ok(())
        });
    }

    fn add_candidate(&mut self, candidate: &str) {
        // What does not parse (a browser's `.local` name) is not needed: the browser's own checks reach us.
        if let Ok(candidate) = Candidate::from_sdp_string(candidate) {
            self.guarded(|rtc| {
                rtc.add_remote_candidate(candidate);
                Ok(())
            });
        }
    }

    fn knows(&self, theirs: &IceCreds) -> bool {
        self.restarts.knows(theirs)
    }

    fn restart(&mut self, theirs: IceCreds) -> Option<Renamed> {
        let candidates: Vec<Candidate> = host_candidates(&self.candidates, self.tcp).collect();
        self.restarts.begin(Generation { ours: IceCreds::new(), theirs }, &candidates)
    }

    fn close(&mut self, now: Instant) {
        self.guarded(|rtc| {
            rtc.close()?;
            rtc.handle_input(Input::Timeout(now))
        });
    }

    fn step(&mut self) -> Step {
        loop {
            match self.guarded(Rtc::poll_output) {
                None => return Step::Over,
                Some(Output::Timeout(at)) => return Step::Wait(at),
                Some(Output::Transmit(transmit)) => {
                    let by_tcp = transmit.proto == Protocol::Tcp;
                    let to = if by_tcp { streams::marked(transmit.destination) } else { transmit.destination };
                    let to = self.destination(to, &transmit.contents);
                    return Step::Send { to, datagram: transmit.contents.into() };
                }
                Some(Output::Event(event)) => {
                    if let Some(step) = self.event(event) {
                        return step;
                    }
                }
            }
        }
    }
    fn sample(&self, now: Instant) -> Sample {
        Sample::Publisher(self.meter.figures(now))
    }
}
