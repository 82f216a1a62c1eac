//! Edge: how a leg comes to be: offers that are answered, and one of our own.
//!
//! Owns what is agreed on: codecs, header extensions, versions of DTLS, candidates. Invariant: whatever an offer holds, it is
//! answered or refused; a panic of the library is a refusal.

use std::{
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use str0m::{
    IceCreds, Rtc, RtcConfig,
    change::{SdpAnswer, SdpOffer},
    config::{CryptoProvider, DtlsCert, DtlsVersion},
    format::{Codec, CodecConfig, CodecSpec, FormatParams, PayloadParams},
    media::{Direction, Frequency, MediaKind},
    rtp::{Extension, ExtensionMap},
};

use super::{Leg, Refused, Role, StrLeg, host_candidates};
use crate::media::{
    fragment,
    gate::Gate,
    keys::{self, KeyCell},
    layers::Layers,
    meter::Ingest,
    packet::VideoCodec,
    restart::{Generation, Restarts},
    sdp::Offer,
    sealed::SealedLeg,
};

/// The library sends nothing to viewers, so it need not keep anything to send again; less it does not take.
const VIEWER_RESEND_PACKETS: usize = 1;

/// Longer than any session.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3_600);

/// How often the library tells a publisher's round trip.
const STATS_EVERY: Duration = Duration::from_secs(1);

/// How often another server is asked whether it is there: well within its silence limit.
const RELAY_CHECK_EVERY: Duration = Duration::from_millis(400);

/// A leg whose offer was answered.
pub(in crate::media) struct Answered {
    pub(in crate::media) leg: Box<dyn Leg>,
    pub(in crate::media) sdp: String,
}

/// What all legs of an engine share: the certificate and our addresses.
pub(in crate::media) struct LegMaker {
    crypto: Arc<CryptoProvider>,
    certificate: DtlsCert,
    candidates: Vec<SocketAddr>,
    tcp: bool,
}

impl LegMaker {
    /// `None` when no certificate could be made.
    pub(in crate::media) fn new(candidates: Vec<SocketAddr>, tcp: bool) -> Option<Self> {
        let crypto = Arc::new(keys::provider());
        let certificate = crypto.dtls_provider.generate_certificate()?;
        Some(Self { crypto, certificate, candidates, tcp })
    }

    /// Answers an offer; the answer holds our candidates.
    pub(in crate::media) fn answer(
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
        let mut leg = StrLeg::new(rtc, codec, self.candidates.clone(), restarts, gate);
        leg.tcp = self.tcp;
        leg.takes_nacks = offer.takes_nacks();
        leg.layers = Layers::new(&offer.layers);
        leg.meter = (role == Role::Publisher).then(|| Box::new(Ingest::new(codec, now)));
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
    pub(in crate::media) fn offer(
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
        let mut leg = StrLeg::new(rtc, VideoCodec::H264, candidates, restarts, gate);
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
pub(in crate::media) struct Offered {
    pub(in crate::media) leg: Pulling,
    pub(in crate::media) sdp: String,
}

/// A leg without an answer yet.
pub(in crate::media) struct Pulling {
    leg: StrLeg,
    mids: [(bool, String); 2],
}

impl Pulling {
    /// The answer came: the leg, and the codec that it will bring.
    pub(in crate::media) fn accept(
        mut self,
        answer: &str,
        now: Instant,
    ) -> Result<(Box<dyn Leg>, VideoCodec), Refused> {
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
        self.leg.meter = Some(Box::new(Ingest::new(codec, now)));
        Ok((Box::new(self.leg), codec))
    }
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
