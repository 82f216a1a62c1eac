//! Edge: a publisher that sends its picture in three sizes, and viewers who get what their network carries or they chose.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use hanamichi::media::{Choice, Choices};
use parking_lot::Mutex;
use str0m::{
    Candidate, Event, Input, Output, Rtc, RtcConfig,
    change::SdpAnswer,
    media::{Direction, MediaKind, Mid, Rid, Simulcast, SimulcastLayer},
    net::{Protocol, Receive},
    rtp::RtpWrite,
};
use tokio::net::UdpSocket;

use super::*;

const FRAME: Duration = Duration::from_millis(40);
/// By the bytes of a packet a viewer knows which size it sees.
const SIZES: [Size; 3] = [
    Size { name: "2", wide: 320, high: 180, packet_bytes: 300, packets: 1 },
    Size { name: "1", wide: 640, high: 360, packet_bytes: 600, packets: 3 },
    Size { name: "0", wide: 1_280, high: 720, packet_bytes: 1_100, packets: 8 },
];

#[derive(Clone, Copy)]
struct Size {
    name: &'static str,
    wide: u32,
    high: u32,
    packet_bytes: usize,
    packets: usize,
}

/// The `str0m` crate as a client: names its sizes as OBS does, from the largest, and makes a keyframe when it is asked.
struct Simulcaster {
    /// Sizes that it sends, from the smallest.
    sent: Arc<AtomicUsize>,
    /// Names of the sizes of which a keyframe was asked for.
    asked: Arc<Mutex<Vec<String>>>,
    _task: JoinSet<()>,
}

/// An Exp-Golomb number (ITU-T H.264, section 9.1).
fn number(bits: &mut Vec<bool>, value: u32) {
    let value = value + 1;
    bits.extend((0..value.ilog2()).map(|_| false));
    bits.extend((0..=value.ilog2()).rev().map(|bit| value & (1 << bit) != 0));
}

/// A parameter set of baseline (ITU-T H.264, section 7.3.2.1.1).
fn parameter_set(wide: u32, high: u32) -> Vec<u8> {
    let mut bits = Vec::new();
    // Its id, the frame number's bits, the order's kind, one reference frame.
    for value in [0, 0, 2, 1] {
        number(&mut bits, value);
    }
    bits.push(false);
    let below = high.next_multiple_of(16) - high;
    number(&mut bits, wide / 16 - 1);
    number(&mut bits, high.div_ceil(16) - 1);
    bits.extend([true, true, below > 0]);
    if below > 0 {
        for value in [0, 0, 0, below / 2] {
            number(&mut bits, value);
        }
    }
    bits.extend([false, true]);
    let byte = |bits: &[bool]| bits.iter().enumerate().fold(0, |byte, (at, bit)| byte | (u8::from(*bit) << (7 - at)));
    [0x67, 66, 0xe0, 31].into_iter().chain(bits.chunks(8).map(byte)).collect()
}

/// What the task of a [`Simulcaster`] owns.
struct Sender {
    rtc: Rtc,
    mid: Mid,
    socket: UdpSocket,
    sent: Arc<AtomicUsize>,
    asked: Arc<Mutex<Vec<String>>>,
    /// Of each size the next number, and whether the next frame is a keyframe.
    next: [(u64, bool); 3],
    frame: u32,
}

impl Simulcaster {
    async fn start(whip: &str) -> Self {
        let mut rtc = RtcConfig::new().set_rtp_mode(true).clear_codecs().enable_h264(true).build(Instant::now());
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = socket.local_addr().expect("bound");
        rtc.add_local_candidate(Candidate::host(address, "udp").expect("an address"));
        let mut sizes = Simulcast::new();
        SIZES.iter().rev().for_each(|size| sizes.add_send_layer(SimulcastLayer::new(size.name)));
        let mut changes = rtc.sdp_api();
        let mid = changes.add_media(MediaKind::Video, Direction::SendOnly, None, None, Some(sizes));
        let (offer, pending) = changes.apply().expect("something to offer");
        let request = reqwest::Client::new().post(whip).header(header::CONTENT_TYPE, "application/sdp");
        let response = request.bearer_auth("hana").body(offer.to_sdp_string()).send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::CREATED);
        let answer = response.text().await.expect("a body");
        assert!(answer.contains("a=simulcast:recv 0;1;2"), "{answer}");
        let answer = SdpAnswer::from_sdp_string(&answer).expect("an answer");
        rtc.sdp_api().accept_answer(pending, answer).expect("an answer to this offer");
        let (sent, asked) = (Arc::new(AtomicUsize::new(3)), Arc::default());
        let next = [(1_000, true), (30_000, true), (65_000, true)];
        let sender = Sender { rtc, mid, socket, sent: Arc::clone(&sent), asked: Arc::clone(&asked), next, frame: 0 };
        let mut task = JoinSet::new();
        task.spawn(sender.run());
        Self { sent, asked, _task: task }
    }

    /// Sends so many sizes from now on, from the smallest.
    fn send(&self, sizes: usize) {
        self.sent.store(sizes, Ordering::Relaxed);
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock())
    }
}

impl Sender {
    async fn run(mut self) {
        let mut buffer = [0; 2_048];
        let here = self.socket.local_addr().expect("bound");
        let mut next_frame = Instant::now();
        loop {
            let due = self.drain().await;
            let now = Instant::now();
            if self.rtc.is_connected() && next_frame <= now {
                next_frame += FRAME;
                self.show(now).await;
                continue;
            }
            let until = if self.rtc.is_connected() { due.min(next_frame) } else { due };
            let heard = tokio::time::timeout(until.saturating_duration_since(now), self.socket.recv_from(&mut buffer));
            let input = match heard.await {
                Ok(Ok((len, from))) => {
                    let Ok(receive) = Receive::new(Protocol::Udp, from, here, &buffer[..len]) else { continue };
                    Input::Receive(Instant::now(), receive)
                }
                Ok(Err(_)) => continue,
                Err(_) => Input::Timeout(Instant::now()),
            };
            self.rtc.handle_input(input).expect("a server that speaks properly");
        }
    }

    /// Until the library waits, and for how long.
    async fn drain(&mut self) -> Instant {
        loop {
            match self.rtc.poll_output().expect("a connection") {
                Output::Timeout(at) => return at,
                Output::Transmit(transmit) => {
                    let _ = self.socket.send_to(&transmit.contents, transmit.destination).await;
                }
                Output::Event(Event::KeyframeRequest(request)) => {
                    let name = request.rid.expect("of one size").to_string();
                    let at = SIZES.iter().position(|size| size.name == name).expect("of ours");
                    self.next[at].1 = true;
                    self.asked.lock().push(name);
                }
                Output::Event(_) => {}
            }
        }
    }

    /// The next frame in every size.
    async fn show(&mut self, now: Instant) {
        self.frame += 1;
        let pt = self.rtc.media(self.mid).and_then(|media| media.remote_pts().first().copied()).expect("agreed on");
        for (at, size) in SIZES.into_iter().enumerate().take(self.sent.load(Ordering::Relaxed)) {
            let is_key = std::mem::take(&mut self.next[at].1);
            let set = is_key.then(|| parameter_set(size.wide, size.high));
            let slice = |packet| {
                let mut payload = vec![7; size.packet_bytes];
                payload[0] = if is_key { 0x65 } else { 0x61 };
                (payload, packet + 1 == size.packets)
            };
            let packets = set.into_iter().map(|set| (set, false)).chain((0..size.packets).map(slice));
            for (payload, marker) in packets {
                let seq = self.next[at].0;
                self.next[at].0 += 1;
                let mut api = self.rtc.direct_api();
                let stream = api.stream_tx_by_mid(self.mid, Some(Rid::from(size.name))).expect("agreed on");
                let ts = self.frame * 3_600;
                stream.write_rtp(RtpWrite::new(pt, seq.into(), ts, now, payload).marker(marker));
                self.drain().await;
            }
        }
    }
}

/// Of each frame the size that the viewer saw, frames of a parameter set alone left out.
fn seen(watcher: &Watcher) -> Vec<usize> {
    let size = |bytes: usize| SIZES.iter().position(|size| size.packet_bytes == bytes);
    watcher.video().iter().filter(|seen| seen.marker).filter_map(|seen| size(seen.bytes)).collect()
}

fn last_seen(watcher: &Watcher) -> Option<usize> {
    seen(watcher).last().copied()
}

fn session(watcher: &Watcher) -> MediaSessionId {
    let name = watcher.session.resource.path_segments().and_then(Iterator::last).expect("a session");
    MediaSessionId::parse(name).expect("its id")
}

async fn on_air(server: &mut Server) -> Simulcaster {
    let publisher = Simulcaster::start(&server.whip()).await;
    server.expect(MediaEvent::Up(server.live.clone())).await;
    publisher
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_begins_in_the_middle_and_sees_what_it_chooses_without_a_hole() {
    let mut server = Server::start().await;
    let publisher = on_air(&mut server).await;
    tokio::time::sleep(FRAME * 5).await;
    let watcher = server.watcher().await;
    watcher.until("a picture", |w| w.frames() > 5).await;
    assert_eq!(seen(&watcher)[0], 1, "the middle first");
    let id = session(&watcher);
    for (choice, size) in [(Choice::Low, 0), (Choice::High, 2), (Choice::Middle, 1), (Choice::High, 2)] {
        publisher.asked();
        let before = watcher.frames();
        server.media.layers(&id, Some(choice)).await.expect("a viewer");
        watcher.until("what it chose", |w| w.frames() > before && last_seen(w) == Some(size)).await;
        let found = server.media.layers(&id, None).await.expect("a viewer");
        assert_eq!(found, Choices { layers: 3, current: Some(choice), chosen: choice });
        assert_eq!(publisher.asked(), [SIZES[size].name], "of the size that is wanted, and of no other");
    }
    let figures = server.media.report(&server.live).await.expect("it runs").publisher.expect("on air");
    let sizes: Vec<_> = figures.layers.iter().map(|layer| layer.size).collect();
    assert_eq!(
        sizes,
        [Some((320, 180)), Some((640, 360)), Some((1_280, 720))],
        "from the smallest, whatever they are called"
    );
    assert_eq!((figures.size, figures.video_lost), (Some((1_280, 720)), 0), "the figures are the largest one's");
    let rates: Vec<u64> = figures.layers.iter().map(|layer| layer.bits_per_s).collect();
    assert!(rates.is_sorted() && rates[2] > 1_200_000, "{rates:?}");
    publisher.send(1);
    watcher.until("the only one that is left", |w| last_seen(w) == Some(0)).await;
    let found = server.media.layers(&id, None).await.expect("a viewer");
    assert_eq!(found, Choices { layers: 1, current: Some(Choice::High), chosen: Choice::High });
    assert_eq!(watcher.gaps_and_repeats(), (0, 0));
    assert_eq!(watcher.end().await, StatusCode::OK);
    let gone = server.media.layers(&id, Some(Choice::Low)).await;
    assert!(matches!(gone, Err(MediaError::NoSuchSession)), "{gone:?}");
    server.media.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_whose_road_narrows_goes_down_and_comes_up_again() {
    let mut server = Server::start().await;
    let _publisher = on_air(&mut server).await;
    let network = server.behind(21, Weather::FAIR).await;
    let (narrow, wide) = (server.watcher_via(&network).await, server.watcher().await);
    narrow.until("the largest, in a while", |w| last_seen(w) == Some(2)).await;
    wide.until("the largest, in a while", |w| last_seen(w) == Some(2)).await;
    assert_eq!(narrow.gaps_and_repeats(), (0, 0), "going up leaves no hole");
    let wide_before = wide.frames();
    // The smallest with its overhead, and not the next.
    network.change(Weather { carried_to_client: Some(200_000), ..Weather::FAIR });
    let squeezed = Instant::now();
    narrow.until("the smallest", |w| last_seen(w) == Some(0)).await;
    let down_after = squeezed.elapsed();
    // What was lost on the large one's road is asked for until it is too late.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let settled = narrow.video().len();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let calm = &narrow.video()[settled..];
    let is_whole = |calm: &[peer::Seen]| {
        let mut seqs: Vec<u16> = calm.iter().map(|seen| seen.seq.wrapping_sub(calm[0].seq)).collect();
        seqs.sort_unstable();
        seqs.windows(2).all(|two| two[1] == two[0] + 1)
    };
    assert!(calm.len() > 60 && is_whole(calm), "the smallest fits: {} packets, {:?}", calm.len(), seen(&narrow));
    network.change(Weather::FAIR);
    let widened = Instant::now();
    let until = widened + Duration::from_secs(40);
    while last_seen(&narrow) != Some(2) && Instant::now() < until {
        tokio::time::sleep(FRAME).await;
    }
    let up_after = widened.elapsed();
    eprintln!("down after {down_after:?}, up after {up_after:?}; {:?}", network.counted());
    assert!(down_after < Duration::from_secs(8) && up_after < Duration::from_secs(40));
    assert!(is_whole(&narrow.video()[settled..]), "going up leaves no hole");
    assert!(seen(&wide)[wide_before..].iter().all(|size| *size == 2), "it is nobody else's road");
    assert_eq!(wide.gaps_and_repeats(), (0, 0));
    server.media.stop().await;
}
