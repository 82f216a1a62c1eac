//! The other side of one leg for tests below the engine: `str0m` as a client, in the time that the test tells.
//!
//! Datagrams go from hand to hand, so that a test can come between; only what a leg puts into an outbox passes the kernel.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    time::{Duration, Instant},
};

use str0m::{
    Candidate, Event, Input, Output, Rtc, RtcConfig,
    change::SdpAnswer,
    media::{Direction, MediaKind, Mid, Pt},
    net::{Protocol, Receive},
    rtp::RtpWrite,
};

use super::{
    hall::Loss,
    keys::{self, KeyCell},
    leg::{Answered, Leg, LegMaker, Role, Step},
    numbering::Place,
    outbox::Outbox,
    packet::{Kind, Packet, VideoCodec},
    sdp::Offer,
    srtp::{RTP_HEADER_BYTES, Sealer},
};

/// Time between two looks at both sides.
pub(super) const TICK: Duration = Duration::from_millis(5);
/// A leg that has more to say than this to one datagram never ends.
const MAX_STEPS: usize = 1_000;
const PAYLOAD_BYTES: usize = 1_000;

/// A client.
pub(super) struct Client {
    rtc: Rtc,
    keys: KeyCell,
    /// Seals what the client itself would not send.
    sealer: Option<Sealer>,
    socket: UdpSocket,
    pub(super) address: SocketAddr,
    mid: Mid,
    next_seq: u64,
    /// A handshake among liars may fail on the client's side; then there is no client any more.
    pub(super) is_broken: bool,
    /// Sequence numbers of the media that came.
    pub(super) came: Vec<u64>,
}

/// A client and its leg.
pub(super) struct Pair {
    pub(super) leg: Box<dyn Leg>,
    pub(super) client: Client,
    pub(super) now: Instant,
    server: SocketAddr,
    outbox: Outbox,
    /// The outbox points into it.
    _socket: UdpSocket,
    pub(super) is_connected: bool,
    pub(super) is_over: bool,
    pub(super) packets: Vec<Packet>,
    pub(super) asked: usize,
    pub(super) lost: Vec<Loss>,
    /// Where datagrams of the leg went.
    answered: Vec<SocketAddr>,
}

fn bound() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_nonblocking(true).expect("a socket");
    let address = socket.local_addr().expect("bound");
    (socket, address)
}

/// A packet of a picture.
pub(super) fn picture(seq: u64, ts: u64, marker: bool) -> Packet {
    let payload = vec![0x61; PAYLOAD_BYTES].into();
    Packet { kind: Kind::Video, layer: 0, ssrc: 7, seq, ts, marker, starts_keyframe: false, payload }
}

impl Client {
    fn datagrams(&mut self) -> Vec<Vec<u8>> {
        let mut datagrams = Vec::new();
        for _ in 0..MAX_STEPS {
            if self.is_broken {
                return datagrams;
            }
            match self.rtc.poll_output() {
                Ok(Output::Timeout(_)) => return datagrams,
                Ok(Output::Transmit(transmit)) => datagrams.push(transmit.contents.to_vec()),
                Ok(Output::Event(Event::RtpPacket(packet))) => self.came.push(*packet.seq_no),
                Ok(Output::Event(_)) => {}
                Err(_) => self.is_broken = true,
            }
        }
        panic!("the client never ends");
    }

    fn hear(&mut self, now: Instant, server: SocketAddr, datagram: &[u8]) {
        let receive = Receive::new(Protocol::Udp, server, self.address, datagram).expect("what a server sends");
        self.take(Input::Receive(now, receive));
    }

    fn take(&mut self, input: Input) {
        self.is_broken = self.is_broken || self.rtc.handle_input(input).is_err();
    }

    /// Its side of the connection stands.
    pub(super) fn is_connected(&self) -> bool {
        !self.is_broken && self.rtc.is_connected()
    }

    fn sealer(&mut self) -> &mut Sealer {
        self.sealer.get_or_insert_with(|| {
            let keys = self.keys.get().expect("the handshake is over");
            Sealer::new(&keys::provider(), keys).expect("keys")
        })
    }

    /// Reports that the client itself would not send.
    pub(super) fn sealed_reports(&mut self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = Vec::new();
        self.sealer().seal_rtcp(plain, &mut sealed).ok()?;
        Some(sealed)
    }

    /// Media that the client itself would not send.
    pub(super) fn sealed_media(&mut self, header: &[u8; RTP_HEADER_BYTES], payload: &[u8]) -> Option<Vec<u8>> {
        let (mut sealed, seq) = (Vec::new(), u64::from(u16::from_be_bytes([header[2], header[3]])));
        self.sealer().seal_rtp(header, seq, payload, &mut sealed).ok()?;
        Some(sealed)
    }

    /// A sealed packet of the video stream, without extensions.
    fn sealed(&mut self, seq: u64) -> Vec<u8> {
        let pt: Pt = self.rtc.media(self.mid).and_then(|media| media.remote_pts().first().copied()).expect("agreed on");
        let mut api = self.rtc.direct_api();
        let own = *api.stream_tx_by_mid(self.mid, None).expect("a publisher has a stream").ssrc();
        let mut header = [0; RTP_HEADER_BYTES];
        (header[0], header[1]) = (0x80, *pt | 0x80);
        header[2..4].copy_from_slice(&seq.to_be_bytes()[6..]);
        header[8..].copy_from_slice(&own.to_be_bytes());
        let mut sealed = Vec::new();
        self.sealer().seal_rtp(&header, seq, &[0x61; PAYLOAD_BYTES], &mut sealed).expect("sealed");
        sealed
    }

    /// A publisher's next packet.
    pub(super) fn send_picture(&mut self, now: Instant, payload: &[u8]) {
        let pt: Pt = self.rtc.media(self.mid).and_then(|media| media.remote_pts().first().copied()).expect("agreed on");
        let seq = self.next_seq;
        self.next_seq += 1;
        let ts = u32::try_from(seq * 3_000 % (1 << 31)).expect("31 bits");
        let mut api = self.rtc.direct_api();
        let stream = api.stream_tx_by_mid(self.mid, None).expect("a publisher has a stream");
        stream.write_rtp(RtpWrite::new(pt, seq.into(), ts, now, payload).marker(true));
    }
}

impl Pair {
    /// The offer is answered; nothing was sent yet.
    pub(super) fn open(maker: &mut Option<(LegMaker, UdpSocket)>, role: Role) -> Self {
        let now = Instant::now();
        let (maker, socket) = maker.get_or_insert_with(|| {
            let (socket, address) = bound();
            (LegMaker::new(vec![address], false).expect("a certificate"), socket)
        });
        let (server, socket) =
            (socket.local_addr().expect("bound"), socket.try_clone().expect("another name of the socket"));
        let config = RtcConfig::new()
            .set_crypto_provider(Arc::new(keys::provider()))
            .set_rtp_mode(true)
            .clear_codecs()
            .enable_h264(true);
        let keys = KeyCell::default();
        let mut rtc = keys::kept_in(&keys, || config.build(now));
        let (ours, address) = bound();
        rtc.add_local_candidate(Candidate::host(address, "udp").expect("an address"));
        let direction = if role == Role::Publisher { Direction::SendOnly } else { Direction::RecvOnly };
        let mut changes = rtc.sdp_api();
        let mid = changes.add_media(MediaKind::Video, direction, None, None, None);
        let (offer, pending) = changes.apply().expect("something to offer");
        let offer = Offer::parse(&offer.to_sdp_string()).expect("an offer");
        let Answered { leg, sdp, .. } =
            maker.answer(role, VideoCodec::H264, &offer, str0m::IceCreds::new(), now).expect("an answer");
        let answer = SdpAnswer::from_sdp_string(&sdp).expect("an answer");
        rtc.sdp_api().accept_answer(pending, answer).expect("an answer to this offer");
        Self {
            leg,
            client: Client {
                rtc,
                keys,
                sealer: None,
                socket: ours,
                address,
                mid,
                next_seq: 1,
                is_broken: false,
                came: Vec::new(),
            },
            now,
            server,
            outbox: Outbox::new(&socket, false),
            _socket: socket,
            is_connected: false,
            is_over: false,
            packets: Vec::new(),
            asked: 0,
            lost: Vec::new(),
            answered: Vec::new(),
        }
    }

    /// The same, with a handshake that nobody disturbs.
    pub(super) fn connected(maker: &mut Option<(LegMaker, UdpSocket)>, role: Role) -> Self {
        let mut pair = Self::open(maker, role);
        for _ in 0..200 {
            pair.exchange(|datagram| vec![datagram]);
            if pair.is_connected && pair.client.is_connected() {
                return pair;
            }
        }
        panic!("no connection");
    }

    /// What came of the datagram until the leg waits again.
    pub(super) fn drain(&mut self) {
        for _ in 0..MAX_STEPS {
            match self.leg.step() {
                Step::Send { to, datagram } => {
                    self.answered.push(to);
                    // What goes elsewhere (a forger's address) is none of the client's.
                    if to == self.client.address {
                        self.client.hear(self.now, self.server, &datagram);
                    }
                }
                Step::Connected => self.is_connected = true,
                Step::Packet(packet) => self.packets.push(packet),
                Step::KeyframeRequested => self.asked += 1,
                Step::Lost(loss) => self.lost.push(loss),
                Step::Heard(_) => {}
                Step::Wait(_) => return,
                Step::Over => {
                    self.is_over = true;
                    return;
                }
            }
        }
        panic!("the leg never ends");
    }

    /// Something comes from the client's address, whoever sent it.
    pub(super) fn receive(&mut self, datagram: &[u8]) {
        self.receive_from(self.client.address, datagram);
    }

    pub(super) fn receive_from(&mut self, source: SocketAddr, datagram: &[u8]) {
        self.leg.receive(self.now, source, datagram);
        self.drain();
    }

    /// Time goes on by a [`TICK`]; `on_the_way` says what arrives of each of the client's datagrams.
    pub(super) fn exchange(&mut self, mut on_the_way: impl FnMut(Vec<u8>) -> Vec<Vec<u8>>) {
        self.now += TICK;
        self.leg.tick(self.now);
        self.drain();
        self.client.take(Input::Timeout(self.now));
        for _ in 0..20 {
            let datagrams = self.client.datagrams();
            if datagrams.is_empty() {
                break;
            }
            for datagram in datagrams {
                for arrives in on_the_way(datagram) {
                    self.receive(&arrives);
                }
            }
        }
    }

    /// A packet for the viewer; whether it came.
    pub(super) fn show(&mut self, seq: u64) -> bool {
        let place = Place { seq, ts: u32::try_from(seq * 3_000 % (1 << 31)).expect("31 bits") };
        let packet = picture(seq, seq * 3_000, true);
        self.leg.deliver(self.now, &packet, place, &mut self.outbox);
        self.outbox.flush();
        let before = self.client.came.len();
        let mut buffer = [0; 2_048];
        while let Ok(len) = self.client.socket.recv(&mut buffer) {
            self.client.hear(self.now, self.server, &buffer[..len]);
        }
        // Its reports go their way, too.
        for datagram in self.client.datagrams() {
            self.receive(&datagram);
        }
        self.client.came[before..] == [seq]
    }

    /// A packet of the publisher; whether it came.
    pub(super) fn publish(&mut self) -> bool {
        let before = self.packets.len();
        self.client.send_picture(self.now, &[0x61; PAYLOAD_BYTES]);
        self.exchange(|datagram| vec![datagram]);
        self.packets.len() == before + 1
    }

    /// The publisher's next packet, as a browser sends it after the first: without the name of its medium. Whether it
    /// came.
    pub(super) fn seal_unnamed(&mut self) -> bool {
        let (before, seq) = (self.packets.len(), self.client.next_seq);
        self.client.next_seq += 1;
        let sealed = self.client.sealed(seq);
        self.receive(&sealed);
        self.packets.len() == before + 1
    }

    /// Whether something that came from there was answered there.
    pub(super) fn is_answered(&mut self, source: SocketAddr, datagram: &[u8]) -> bool {
        self.answered.clear();
        self.receive_from(source, datagram);
        self.answered.contains(&source)
    }
}
