//! Edge: one peer's transport: SDP, ICE and DTLS by `str0m`; of a publisher SRTP and RTCP too.
//!
//! The engine sees the trait [`Leg`] only, so another library can stand behind it. Towards viewers `sealed.rs` stands
//! around the library and seals every packet itself.
//! Invariants: `now` is always a parameter; the library never takes the process down: whatever a peer sends, a panic
//! inside it ends that leg alone; no leg sends the transport-wide sequence extension to a viewer.

use std::{
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

use str0m::{
    Candidate, Event, IceConnectionState, IceCreds, Input, Output, Rtc,
    change::SdpPendingOffer,
    media::{KeyframeRequestKind, Mid, Rid},
    net::{Protocol, Receive, TcpType},
    rtp::{RtpPacket, Ssrc},
};

use super::{
    gate::Gate,
    hall::Loss,
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
    streams, stun,
};

/// Streams of a peer that are remembered; two are in use.
const MAX_PEER_STREAMS: usize = 32;

/// First bytes of STUN and of media (RFC 7983), second bytes of RTCP (RFC 5761, section 4).
const STUN: std::ops::RangeInclusive<u8> = 0..=3;
const MEDIA: std::ops::RangeInclusive<u8> = 128..=191;
const RTCP: std::ops::RangeInclusive<u8> = 192..=223;

mod maker;
pub(super) use maker::{Answered, LegMaker, Offered, Pulling};

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

/// The library refused the offer, in its words.
#[derive(Debug)]
pub(super) struct Refused(pub(super) String);

/// Ours: each address for UDP, and for TCP when we listen there (RFC 6544).
fn host_candidates(addresses: &[SocketAddr], tcp: bool) -> impl Iterator<Item = Candidate> {
    let udp = addresses.iter().map(|address| Candidate::host(*address, "udp"));
    let passive = |address: &SocketAddr| Candidate::builder().tcp().host(*address).tcptype(TcpType::Passive).build();
    let tcp = addresses.iter().filter(move |_| tcp).map(passive);
    udp.chain(tcp).filter_map(Result::ok)
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
    /// What comes; nothing does from a viewer.
    meter: Option<Box<Ingest>>,
    over: bool,
    /// Our own offer, until it is answered.
    pending: Option<SdpPendingOffer>,
}

impl StrLeg {
    fn new(rtc: Rtc, codec: VideoCodec, candidates: Vec<SocketAddr>, restarts: Restarts, gate: Gate) -> Self {
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
            meter: None,
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
            self.with_meter(|meter| meter.forget_pictures(came));
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
        self.with_meter(|meter| meter.note(&packet, came));
        Some(packet)
    }

    fn with_meter(&mut self, run: impl FnOnce(&mut Ingest)) {
        if let Some(meter) = &mut self.meter {
            run(meter);
        }
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
                self.with_meter(|meter| meter.round_trip = stats.rtt.or(meter.round_trip));
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
        self.with_meter(Ingest::ask);
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
        Sample::Publisher(self.meter.as_ref().map(|meter| meter.figures(now)).unwrap_or_default())
    }
}
