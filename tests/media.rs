//! The media room, seen by its peers: real UDP, real DTLS, a second WebRTC stack on the other side.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, Response, StatusCode, header},
    middleware,
    routing::{delete, post},
};
use hanamichi::{
    http::{media as routes, problem::Problem},
    ids::{LiveId, MediaSessionId},
    media::{MAX_SDP_BYTES, Media, MediaConfig, MediaError, MediaEvent, Network, PictureState, VideoCodec},
};
use tokio::{sync::mpsc, task::JoinSet};

#[path = "stories/impair.rs"]
mod impair;
#[path = "stories/obs.rs"]
mod obs;
#[path = "media/obs_offers.rs"]
mod obs_offers;
#[path = "stories/peer.rs"]
mod peer;
#[path = "media/restart.rs"]
mod restart;
#[path = "media/simulcast.rs"]
mod simulcast;
#[path = "media/tcp.rs"]
mod tcp;
#[path = "media/whip.rs"]
mod whip_rules;
use impair::{Impair, Weather};
use peer::{Publisher, Watcher};

/// The least server that can stand around the media room. Its key is the publisher's identity.
struct Server {
    media: Media,
    events: mpsc::Receiver<MediaEvent>,
    live: LiveId,
    origin: String,
    _tasks: JoinSet<()>,
}

type Answered = Result<Response<axum::body::Body>, Problem>;

fn parse<T>(id: Result<T, hanamichi::ids::InvalidId>) -> Result<T, Problem> {
    id.map_err(|_| MediaError::NoSuchSession.into())
}

async fn whip(State(media): State<Media>, Path(live): Path<String>, headers: HeaderMap, offer: String) -> Answered {
    let key = headers.get(header::AUTHORIZATION).and_then(|key| key.to_str().ok()).unwrap_or("nobody").to_owned();
    Ok(routes::whip_post(&media, parse(LiveId::parse(&live))?, key, &headers, offer).await?)
}

async fn whep(State(media): State<Media>, Path(live): Path<String>, headers: HeaderMap, offer: String) -> Answered {
    Ok(routes::whep_post(&media, parse(LiveId::parse(&live))?, &headers, offer).await?)
}

/// The offer goes to the server; its answer names the bad network's port for the server's.
async fn via(media: &Media, port: u16, answered: Answered) -> Answered {
    let (head, body) = answered?.into_parts();
    let answer = axum::body::to_bytes(body, MAX_SDP_BYTES).await.expect("an answer");
    let answer = String::from_utf8(answer.into()).expect("SDP is text");
    let rewritten = media.addresses().iter().fold(answer, |answer, ours| {
        let (ip, theirs) = (ours.ip(), ours.port());
        answer.replace(&format!(" {ip} {theirs} typ"), &format!(" {ip} {port} typ"))
    });
    Ok(Response::from_parts(head, rewritten.into()))
}

async fn whip_via(
    State(media): State<Media>,
    Path((port, live)): Path<(u16, String)>,
    headers: HeaderMap,
    offer: String,
) -> Answered {
    let answered = whip(State(media.clone()), Path(live), headers, offer).await;
    via(&media, port, answered).await
}

async fn whep_via(
    State(media): State<Media>,
    Path((port, live)): Path<(u16, String)>,
    headers: HeaderMap,
    offer: String,
) -> Answered {
    let answered = whep(State(media.clone()), Path(live), headers, offer).await;
    via(&media, port, answered).await
}

async fn patch(State(media): State<Media>, Path(id): Path<String>, headers: HeaderMap, body: String) -> Answered {
    Ok(routes::session_patch(&media, &parse(MediaSessionId::parse(&id))?, &headers, body).await?)
}

async fn remove(State(media): State<Media>, Path(id): Path<String>) -> Answered {
    Ok(routes::session_delete(&media, &parse(MediaSessionId::parse(&id))?).await?)
}

impl Server {
    async fn start() -> Self {
        Self::with(MediaConfig::default()).await
    }

    async fn with(config: MediaConfig) -> Self {
        let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (media, events) = Media::start(MediaConfig { bind, ..config }).expect("a free port");
        let session = || delete(remove).patch(patch).get(routes::empty).options(routes::session_options);
        let router = Router::new()
            .route("/v1/lives/{live}/whip", post(whip).get(routes::empty).options(routes::post_options))
            .route("/v1/lives/{live}/whep", post(whep).get(routes::endpoint).options(routes::post_options))
            .route("/via/{port}/{live}/whip", post(whip_via))
            .route("/via/{port}/{live}/whep", post(whep_via))
            .route("/v1/whip/{session}", session())
            .route("/v1/whep/{session}", session())
            .layer(middleware::from_fn(routes::cors))
            .with_state(media.clone());
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let origin = format!("http://{}", listener.local_addr().expect("bound"));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, router).await.expect("serves until dropped") });
        Self { media, events, live: LiveId::fresh(), origin, _tasks: tasks }
    }

    fn whip(&self) -> String {
        format!("{}/v1/lives/{}/whip", self.origin, self.live)
    }

    fn whep(&self) -> String {
        format!("{}/v1/lives/{}/whep", self.origin, self.live)
    }

    /// A publisher on air.
    async fn publisher(&mut self) -> Publisher {
        let publisher = Publisher::start(&self.whip(), "hana").await.expect("on air");
        self.expect(MediaEvent::Up(self.live.clone())).await;
        publisher
    }

    async fn watcher(&self) -> Watcher {
        Watcher::start(&self.whep()).await.expect("a picture")
    }

    /// A bad network before the server.
    async fn behind(&self, seed: u64, weather: Weather) -> Impair {
        Impair::start(self.media.addresses()[0], seed, weather).await
    }

    async fn publisher_via(&mut self, network: &Impair) -> Publisher {
        let whip = format!("{}/via/{}/{}/whip", self.origin, network.address().port(), self.live);
        let publisher = Publisher::start(&whip, "hana").await.expect("on air");
        self.expect(MediaEvent::Up(self.live.clone())).await;
        publisher
    }

    async fn watcher_via(&self, network: &Impair) -> Watcher {
        let whep = format!("{}/via/{}/{}/whep", self.origin, network.address().port(), self.live);
        Watcher::start(&whep).await.expect("a picture")
    }

    async fn expect(&mut self, expected: MediaEvent) {
        let event = tokio::time::timeout(Duration::from_secs(10), self.events.recv()).await;
        assert_eq!(event.expect("in time"), Some(expected));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_viewers_see_and_hear_what_is_published() {
    let mut server = Server::start().await;
    assert_eq!(Watcher::start(&server.whep()).await.err(), Some(StatusCode::CONFLICT), "nothing to see yet");
    let publisher = server.publisher().await;
    let (one, two) = (server.watcher().await, server.watcher().await);
    for watcher in [&one, &two] {
        watcher.until("three seconds of picture", |w| w.frames() > 72).await;
        watcher.until("sound", |w| w.audio_packets() > 50).await;
        assert_eq!(watcher.gaps_and_repeats(), (0, 0));
        eprintln!("first packet {:?} after the offer, {} before it", watcher.video()[0].after, watcher.undecodable());
    }
    let stats = server.media.stats().await;
    assert_eq!((stats.sessions, stats.lives[0].viewers, stats.lives[0].up), (3, 2, true));
    let report = server.media.report(&server.live).await.expect("it runs");
    let shown = report.publisher.as_ref().expect("on air");
    // The demo clip: 24 pictures a second, a keyframe each second, 20 ms of sound a packet.
    assert_eq!((report.state, report.codec), (PictureState::Up, Some(VideoCodec::H264)));
    assert_eq!((shown.size, shown.video_lost + shown.audio_lost, shown.loss_bp), (Some((540, 960)), 0, 0), "{shown:?}");
    assert!((18..=30).contains(&shown.frames_per_s) && shown.keyframes >= 3, "{shown:?}");
    assert_eq!(shown.keyframe_interval, Some(Duration::from_secs(1)));
    assert!(shown.since_keyframe.is_some_and(|since| since < Duration::from_secs(3)), "{shown:?}");
    let per_viewer = shown.video_bits_per_s + shown.audio_bits_per_s;
    assert_eq!((report.viewers.count, report.viewers.packets_resent), (2, 0));
    // Each counts over seconds of its own, and one with a keyframe has twice the bits.
    assert!((per_viewer / 2..=per_viewer * 2).contains(&(report.viewers.bits_per_s / 2)), "{report:?}");
    let came: usize = [&one, &two].iter().map(|watcher| watcher.video().len() + watcher.audio_packets()).sum();
    assert!(report.viewers.packets_sent <= stats.packets_forwarded + 100, "{report:?} {stats:?}");
    assert!(report.viewers.packets_sent.abs_diff(came as u64) < 100, "{came} of {report:?} came");
    let one_by_one = server.media.viewers(&server.live, 10, None).await.expect("it runs");
    let [(first, figures), (second, _)] = &one_by_one[..] else { panic!("two viewers: {one_by_one:?}") };
    assert_eq!(figures.network, Some(Network::Ipv4));
    let after = server.media.viewers(&server.live, 1, Some(*first)).await.expect("it runs");
    assert_eq!(after.iter().map(|(tag, _)| *tag).collect::<Vec<_>>(), [*second]);
    assert_eq!(server.media.viewers(&server.live, 10, Some(*second)).await.expect("it runs"), []);
    assert_eq!(one.end().await, StatusCode::OK);
    let frames = two.frames();
    two.until("the other one goes on", |w| w.frames() > frames + 24).await;
    publisher.end().await;
    server.expect(MediaEvent::Away(server.live.clone())).await;
    server.media.stop().await;
}

/// Keyframes come every four seconds, and the publisher answers no request.
#[tokio::test(flavor = "multi_thread")]
async fn who_joins_mid_group_sees_a_keyframe_at_once() {
    let mut server = Server::start().await;
    let publisher = Publisher::start_with_rare_keyframes(&server.whip(), "hana").await.expect("on air");
    server.expect(MediaEvent::Up(server.live.clone())).await;
    let early = server.watcher().await;
    let keys = |watcher: &Watcher| watcher.video().iter().filter(|seen| seen.is_key).count();
    early.until("a picture", |w| w.frames() > 5).await;
    for wait_ms in [1_000, 1_500] {
        let before = keys(&early);
        early.until("the start of a group", |w| keys(w) > before).await;
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        let (group, late) = (keys(&early), server.watcher().await);
        late.until("its first frame", |w| w.frames() >= 1).await;
        let (first, lost) = (late.video()[0].after, late.undecodable());
        eprintln!("joined {wait_ms} ms after a keyframe, first packet {first:?} after the offer ({lost} before it)");
        late.until("the present", |w| w.frames() >= 24).await;
        assert_eq!(keys(&early), group, "all of this happened before the next keyframe");
        assert_eq!(late.gaps_and_repeats(), (0, 0));
        late.end().await;
    }
    publisher.end().await;
    server.media.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_that_vanishes_and_returns_keeps_its_viewers() {
    let mut server = Server::start().await;
    let publisher = server.publisher().await;
    let watcher = server.watcher().await;
    watcher.until("a picture", |w| w.frames() > 24).await;
    publisher.vanish();
    server.expect(MediaEvent::Away(server.live.clone())).await;
    let (frames, packets) = (watcher.frames(), watcher.video().len());
    let another = Watcher::start(&server.whep()).await.expect("the last picture");
    another.until("the last picture", |w| w.frames() >= 1).await;
    let publisher = server.publisher().await;
    watcher.until("the picture again", |w| w.frames() > frames + 24).await;
    assert_eq!(watcher.gaps_and_repeats(), (0, 0), "no hole, no renegotiation");
    let video = watcher.video();
    assert!(video[packets].is_key, "it goes on with a keyframe");
    let away = video[packets].ts.wrapping_sub(video[packets - 1].ts) / 90;
    let waited = video[packets].after.saturating_sub(video[packets - 1].after).as_millis();
    assert!(u128::from(away).abs_diff(waited) < 500, "media time went on by {away} ms in {waited} ms");
    publisher.end().await;
    server.media.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_takes_over_and_another_is_refused() {
    let mut server = Server::start().await;
    let first = server.publisher().await;
    let watcher = server.watcher().await;
    watcher.until("a picture", |w| w.frames() > 12).await;
    let refused = Publisher::start(&server.whip(), "another").await.err();
    assert!(matches!(refused, Some(hanamichi::demo::liver::LiverError::Refused(StatusCode::CONFLICT))));
    let second = Publisher::start(&server.whip(), "hana").await.expect("the same key");
    first.dismissed().await;
    let frames = watcher.frames();
    watcher.until("the successor", |w| w.frames() > frames + 24).await;
    assert_eq!(watcher.gaps_and_repeats(), (0, 0));
    assert!(server.events.try_recv().is_err(), "the live was never away");
    second.end().await;
    server.media.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_nobody_holds_any_more_gives_its_port_back() {
    let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let (media, _events) = Media::start(MediaConfig { bind, ..MediaConfig::default() }).expect("a free port");
    let port = media.addresses()[0];
    assert!(std::net::UdpSocket::bind(port).is_err(), "it is taken");
    drop(media);
    let until = Instant::now() + Duration::from_secs(10);
    while std::net::UdpSocket::bind(port).is_err() {
        assert!(Instant::now() < until, "the engine runs on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rubbish_harms_nobody() {
    let mut server = Server::start().await;
    let http = reqwest::Client::new();
    let sdp = |body: String| http.post(server.whip()).header("content-type", "application/sdp").body(body).send();
    let status = |response: Result<reqwest::Response, reqwest::Error>| response.expect("an answer").status();
    assert_eq!(status(sdp("hello".into()).await), StatusCode::BAD_REQUEST);
    assert_eq!(status(sdp("v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n".into()).await), StatusCode::NOT_ACCEPTABLE);
    let half = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 VP8/90000\r\n";
    assert_eq!(status(sdp(half.into()).await), StatusCode::BAD_REQUEST);
    assert_eq!(status(sdp("v=0".repeat(30_000)).await), StatusCode::PAYLOAD_TOO_LARGE);
    let json = http.post(server.whip()).header("content-type", "application/json").body("{}").send();
    assert_eq!(status(json.await), StatusCode::UNSUPPORTED_MEDIA_TYPE);

    let publisher = server.publisher().await;
    let watcher = server.watcher().await;
    let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let target = server.media.addresses()[0];
    for n in 0..5_000u32 {
        let mut rubbish = vec![0u8; usize::try_from(n % 1_500).expect("small")];
        getrandom::fill(&mut rubbish).expect("randomness");
        if let Some(first) = rubbish.first_mut() {
            *first = [0, 1, 22, 128, 200, 255][usize::try_from(n % 6).expect("small")];
        }
        socket.send_to(&rubbish, target).expect("sent");
    }
    let frames = watcher.frames();
    watcher.until("the picture goes on", |w| w.frames() > frames + 24).await;
    assert!(server.media.stats().await.datagrams_unknown > 0);
    publisher.end().await;
    server.media.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_follow_the_whip_rules() {
    let mut server = Server::start().await;
    let publisher = server.publisher().await;
    let watcher = server.watcher().await;
    let http = reqwest::Client::new();
    let patch = |tag: Option<&str>, kind: &str| {
        let request = http.patch(watcher.session.resource.clone()).header("content-type", kind);
        let request = tag.map_or(request.try_clone(), |tag| Some(request.header("if-match", tag)));
        request.expect("no stream").body("a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n").send()
    };
    let fragment = "application/trickle-ice-sdpfrag";
    for (tag, kind, status) in [
        (None, fragment, 428),
        (Some("\"stale\""), fragment, 412),
        (Some(watcher.session.etag.as_str()), fragment, 204),
        (Some("*"), fragment, 400),
        (Some(watcher.session.etag.as_str()), "application/sdp", 415),
    ] {
        assert_eq!(patch(tag, kind).await.expect("an answer").status(), status, "{tag:?} {kind}");
    }
    assert!(watcher.session.etag.starts_with('"') && watcher.session.etag.ends_with('"'));
    assert!(http.get(watcher.session.resource.clone()).send().await.expect("an answer").status().is_success());
    let options = http.request(reqwest::Method::OPTIONS, server.whep()).send().await.expect("an answer");
    assert_eq!(options.headers()["accept-post"], "application/sdp");
    assert_eq!(options.headers()["access-control-allow-origin"], "*");
    watcher.until("a picture", |w| w.frames() > 5).await;
    let resource = watcher.session.resource.clone();
    assert_eq!(watcher.end().await, StatusCode::OK);
    assert_eq!(http.delete(resource).send().await.expect("an answer").status(), StatusCode::NOT_FOUND);
    publisher.end().await;
    server.media.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_live_says_so_and_its_end_ends_everyone() {
    let mut server = Server::with(MediaConfig { max_sessions_per_live: 2, ..MediaConfig::default() }).await;
    let publisher = server.publisher().await;
    let watcher = server.watcher().await;
    assert_eq!(Watcher::start(&server.whep()).await.err(), Some(StatusCode::SERVICE_UNAVAILABLE));
    watcher.until("a picture", |w| w.frames() > 5).await;
    server.media.end_live(&server.live).await;
    server.expect(MediaEvent::Ended(server.live.clone())).await;
    publisher.dismissed().await;
    assert_eq!(server.media.stats().await.sessions, 0);
    assert_eq!(Watcher::start(&server.whep()).await.err(), Some(StatusCode::CONFLICT), "the picture is forgotten");
    server.media.stop().await;
    assert!(matches!(server.media.watch(server.live.clone(), "v=0".into()).await, Err(MediaError::Stopped)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_comes_back_to_a_full_live() {
    let mut server =
        Server::with(MediaConfig { max_sessions_per_live: 2, max_sessions: 2, ..MediaConfig::default() }).await;
    let publisher = server.publisher().await;
    let watcher = server.watcher().await;
    publisher.end().await;
    server.expect(MediaEvent::Away(server.live.clone())).await;
    let another = server.watcher().await;
    assert_eq!(Watcher::start(&server.whep()).await.err(), Some(StatusCode::SERVICE_UNAVAILABLE));
    let publisher = server.publisher().await;
    for watcher in [&watcher, &another] {
        let seen = watcher.frames();
        watcher.until("the picture goes on", |w| w.frames() > seen + 24).await;
    }
    publisher.end().await;
    server.media.stop().await;
}

/// A pull has a port of its own; nobody speaks to it over the port of all, whose names would be guessed.
#[tokio::test(flavor = "multi_thread")]
async fn a_pull_is_nobody_on_the_port_of_all_and_asks_only_for_what_can_be_shown() {
    let mut server = Server::start().await;
    let first = server.media.pull(server.live.clone()).await.expect("an offer");
    assert!(first.sdp.contains("H264") && first.sdp.contains("VP8"), "{}", first.sdp);
    let stats = server.media.stats().await;
    assert_eq!((stats.sessions, stats.publishers), (1, 0));
    let mut check = vec![0u8; 20];
    let name = b"pull-0:abc\0\0";
    check[1] = 1;
    check.extend([0, 6, 0, 10]);
    check.extend(name);
    check[3] = 16;
    check[4..8].copy_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
    let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    socket.send_to(&check, server.media.addresses()[0]).expect("it is sent");
    let until = Instant::now() + Duration::from_secs(5);
    while server.media.stats().await.datagrams_unknown == 0 {
        assert!(Instant::now() < until, "the pull took it");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.publisher().await.end().await;
    server.expect(MediaEvent::Away(server.live.clone())).await;
    let second = server.media.pull(server.live.clone()).await.expect("an offer");
    assert!(second.sdp.contains("H264") && !second.sdp.contains("VP8"), "viewers here have H.264: {}", second.sdp);
    server.media.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewers_request_reaches_the_publisher_once() {
    let mut server = Server::start().await;
    let publisher = server.publisher().await;
    let watcher = server.watcher().await;
    watcher.until("a picture", |w| w.frames() > 30).await;
    for _ in 0..20 {
        watcher.ask_keyframe().await;
    }
    let frames = watcher.frames();
    watcher.until("a second", |w| w.frames() > frames + 30).await;
    let asked = server.media.stats().await.keyframes_asked;
    assert!((1..=4).contains(&asked), "merged: {asked}");
    publisher.end().await;
    server.media.stop().await;
}

/// Long enough for what is lost to be a share, not luck.
const SHOWN: Duration = Duration::from_secs(10);
/// What is asked for again at the end has come by then.
const RECOVERY: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn what_a_viewer_loses_on_the_way_is_sent_again() {
    let mut server = Server::start().await;
    let _publisher = server.publisher().await;
    let delayed = Weather { delay: Duration::from_millis(40), ..Weather::FAIR };
    let network = server.behind(1, Weather { lost_to_server: 50, lost_to_client: 50, ..delayed }).await;
    let watcher = server.watcher_via(&network).await;
    watcher.until("a picture", |w| w.frames() >= 1).await;
    // Every second the viewer's newest report is another.
    let mut told = Vec::new();
    for _ in 0..SHOWN.as_secs() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let report = server.media.report(&server.live).await.expect("it runs");
        told.extend(report.viewers.loss_bp.percentile(50));
    }
    let report = server.media.report(&server.live).await.expect("it runs");
    network.change(delayed);
    tokio::time::sleep(RECOVERY).await;
    let (gaps, repeats) = watcher.gaps_and_repeats();
    let seen = watcher.video().len() - repeats;
    let ((whole, broken), counted) = (watcher.whole_and_broken(), network.counted());
    let stats = server.media.stats().await;
    let (sent, resent) = (stats.packets_forwarded, stats.packets_resent);
    eprintln!("{seen} packets, {gaps} missing, {repeats} twice; {whole} frames whole, {broken} not");
    eprintln!("{counted:?}; {sent} sent, {resent} again");
    assert!(counted.lost_to_client > 20 && counted.lost_to_server > 0, "the weather was bad");
    assert!(gaps * 200 <= seen + gaps, "99.5 % came in the end");
    assert!(broken * 50 <= whole && whole > 200, "the picture can be decoded");
    assert!(resent > 20 && resent * 5 <= sent);
    // What the server knew of this all the while, from the viewer's own words.
    eprintln!("{told:?} {report:?}");
    let viewers = &report.viewers;
    assert!(viewers.packets_resent > 20 && viewers.packets_resent <= resent && viewers.nacks >= viewers.packets_resent);
    let trip = viewers.round_trip_us.percentile(50).expect("reported");
    assert!((80_000..200_000).contains(&trip), "40 ms each way");
    let loss = told.iter().sum::<u32>() / u32::try_from(told.len()).expect("few");
    assert!((50..=1_500).contains(&loss), "a twentieth, more or less");
    server.media.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_overtakes_on_the_way_is_not_lost() {
    let mut server = Server::start().await;
    let rough = Weather { jitter: Duration::from_millis(30), ..Weather::FAIR };
    let (up, down) = (server.behind(2, rough).await, server.behind(3, rough).await);
    let _publisher = server.publisher_via(&up).await;
    let watcher = server.watcher_via(&down).await;
    // What overtook the first keyframe is not written down.
    watcher.until("a picture", |w| w.frames() > 24).await;
    let earliest = watcher.video().len();
    tokio::time::sleep(SHOWN / 2).await;
    let latest = watcher.video().len();
    tokio::time::sleep(RECOVERY / 2).await;
    let video = watcher.video();
    let overtaken = video.windows(2).filter(|two| two[1].seq.wrapping_sub(two[0].seq).cast_signed() < 0).count();
    let came: std::collections::HashSet<u16> = video.iter().map(|seen| seen.seq).collect();
    let gone = |seen: &&peer::Seen| !came.contains(&seen.seq.wrapping_sub(1));
    let gone = video[earliest..latest].iter().filter(gone).count();
    let stats = server.media.stats().await;
    eprintln!("{} packets, {overtaken} overtaken, {gone} missing; {stats:?}", video.len());
    assert!(overtaken > 50, "the weather was rough");
    assert_eq!(gone, 0);
    assert!(stats.packets_resent * 10 <= stats.packets_forwarded, "what is only late is seldom sent again");
    server.media.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_whose_address_changes_goes_on_watching() {
    let mut server = Server::start().await;
    let _publisher = server.publisher().await;
    let network = server.behind(4, Weather::FAIR).await;
    let watcher = server.watcher_via(&network).await;
    watcher.until("a picture", |w| w.frames() > 48).await;
    network.rebind();
    let (since, seen) = (Instant::now(), watcher.video().len());
    watcher.until("the picture again", |w| w.video().len() > seen + 10).await;
    let away = since.elapsed();
    // The library forgets the pair that was nominated when no check came over it for fifteen seconds.
    tokio::time::sleep(Duration::from_secs(18)).await;
    let frames = watcher.frames();
    watcher.until("two seconds more", |w| w.frames() > frames + 48).await;
    let stats = server.media.stats().await;
    eprintln!("the picture went on after {away:?}; {:?} missing, twice; {stats:?}", watcher.gaps_and_repeats());
    assert_eq!((stats.sessions, stats.lives[0].viewers), (2, 1));
    assert_eq!(watcher.end().await, StatusCode::OK, "the same session");
    server.media.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_whose_address_changes_stays_on_air() {
    let mut server = Server::start().await;
    let network = server.behind(5, Weather::FAIR).await;
    let publisher = server.publisher_via(&network).await;
    let watcher = server.watcher().await;
    watcher.until("a picture", |w| w.frames() > 48).await;
    network.rebind();
    let (since, seen) = (Instant::now(), watcher.video().len());
    watcher.until("the picture again", |w| w.video().len() > seen + 10).await;
    let away = since.elapsed();
    tokio::time::sleep(Duration::from_secs(3)).await;
    // What the server asks for again reaches the publisher where it is.
    let lost = watcher.gaps_and_repeats().0;
    network.change(Weather { lost_to_server: 30, ..Weather::FAIR });
    tokio::time::sleep(SHOWN / 2).await;
    network.change(Weather::FAIR);
    tokio::time::sleep(RECOVERY).await;
    let (counted, lost_since) = (network.counted(), watcher.gaps_and_repeats().0 - lost);
    eprintln!("the picture went on after {away:?}, {lost} missing, {lost_since} since; {counted:?}");
    assert!(counted.lost_to_server > 5 && lost_since <= 1);
    assert!(server.events.try_recv().is_err(), "it was never away");
    publisher.end().await;
    server.media.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_publisher_loses_on_the_way_is_asked_for_again() {
    let mut server = Server::start().await;
    let network = server.behind(6, Weather { lost_to_server: 30, ..Weather::FAIR }).await;
    let _publisher = server.publisher_via(&network).await;
    let watcher = server.watcher().await;
    watcher.until("a picture", |w| w.frames() >= 1).await;
    tokio::time::sleep(SHOWN).await;
    network.change(Weather::FAIR);
    tokio::time::sleep(RECOVERY).await;
    let ((whole, broken), (gaps, repeats)) = (watcher.whole_and_broken(), watcher.gaps_and_repeats());
    let counted = network.counted();
    let shown = server.media.report(&server.live).await.expect("it runs").publisher.expect("on air");
    eprintln!("{shown:?}");
    assert!(shown.late > 5 && shown.late <= counted.lost_to_server, "what was sent again came late");
    assert!(shown.video_lost * 100 <= shown.video_packets, "and little never");
    let lost = shown.late + shown.video_lost + shown.audio_lost;
    assert!(shown.audio_lost > 0 && lost * 2 > counted.lost_to_server, "sound is not sent again: {counted:?}");
    eprintln!("{whole} frames whole, {broken} not, {gaps} packets missing, {repeats} twice; {counted:?}");
    assert!(counted.lost_to_server > 20, "the weather was bad");
    assert!(whole > 200 && broken * 100 <= whole + broken, "99 % of the frames came in the end");
    server.media.stop().await;
}
