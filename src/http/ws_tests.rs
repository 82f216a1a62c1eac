//! The hub over real sockets, in both codecs.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, extract::Path, http::HeaderValue, routing::get};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{self, Message as Sent, client::IntoClientRequest as _},
};

use super::*;
use crate::{
    http::FirstWord,
    live::{Mirror, tests::House},
    wire::{ClientFrame, server_frame::Body},
};

type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

/// Takes connections as the server does.
struct Listener(tokio::net::TcpListener);

impl axum::serve::Listener for Listener {
    type Io = FirstWord<tokio::net::TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = self.0.accept().await.expect("the system gives it");
        (FirstWord::within(stream, Duration::from_secs(15)), address)
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

/// Serves the hub of a house; `?as=0` is its first viewer.
async fn serve(house: &Arc<House>) -> String {
    serve_by(house, answers_of(house)).await
}

fn answers_of(house: &House) -> Handler {
    Desk { lives: house.lives.clone(), checkout: None, passes: None }.handler()
}

async fn serve_by(house: &Arc<House>, answers: Handler) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    serve_at(house, answers, Listener(listener))
}

/// With its bytes copied by a task, as over TLS: it is not the socket that the server takes out.
async fn serve_copied(house: &Arc<House>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    serve_at(house, answers_of(house), listener)
}

fn serve_at(house: &Arc<House>, answers: Handler, listener: impl axum::serve::Listener<Addr = SocketAddr>) -> String {
    let served = Arc::clone(house);
    let handler = async move |Path(live): Path<LiveId>, uri: axum::http::Uri, upgrade: Result<Upgrade, Problem>| {
        let n = uri.query().and_then(|query| query.strip_prefix("as=")).and_then(|n| n.parse::<usize>().ok());
        let address = std::net::Ipv4Addr::UNSPECIFIED.into();
        let caller = Caller { visitor: n.map(|n| served.viewers[n].clone()), address, who: 1, sign_in: None };
        let desk = Desk { lives: served.lives.clone(), checkout: None, passes: None };
        admit(&desk, &answers, &live, caller, upgrade?).await
    };
    let address = listener.local_addr().expect("bound");
    let router = Router::new().route("/v1/lives/{live}/hub", get(handler));
    let stopping = house.tasks.stopping();
    house.tasks.spawn("test server", async move {
        tokio::select! {
            served = axum::serve(listener, router) => served.expect("it never ends"),
            () = stopping.cancelled() => {}
        }
    });
    format!("ws://{address}/v1/lives/{}/hub", house.live)
}

struct Client {
    socket: Socket,
    codec: Codec,
    mirror: Mirror,
    replies: Vec<wire::Reply>,
    goodbye: Option<wire::Goodbye>,
    closed: Option<u16>,
}

impl Client {
    async fn connect(url: &str, codec: Codec) -> Self {
        let socket = dial(url, Some(codec.subprotocol())).await.expect("it upgrades");
        Self { socket, codec, mirror: Mirror::default(), replies: Vec::new(), goodbye: None, closed: None }
    }

    async fn reconnect(&mut self, url: &str) {
        self.socket = dial(url, Some(self.codec.subprotocol())).await.expect("it upgrades");
        let (epoch, seq) = (self.mirror.epoch.clone(), self.mirror.seq);
        self.say(0, Ask::Resume(wire::Resume { epoch, seq })).await;
    }

    async fn say(&mut self, id: u64, body: Ask) {
        let bytes = self.codec.encode_client(&ClientFrame { id, body: Some(body) });
        let message = match self.codec {
            Codec::Json => Sent::text(String::from_utf8(bytes.to_vec()).expect("JSON")),
            Codec::Proto => Sent::binary(bytes),
        };
        self.socket.send(message).await.expect("it is open");
    }

    async fn step(&mut self) {
        let bytes = match self.socket.next().await {
            Some(Ok(Sent::Text(text))) => text.as_bytes().to_vec(),
            Some(Ok(Sent::Binary(bytes))) => bytes.to_vec(),
            Some(Ok(Sent::Close(frame))) => {
                self.closed = frame.map(|frame| frame.code.into());
                return;
            }
            Some(Ok(_)) => return,
            other => panic!("the connection broke: {other:?}"),
        };
        let frame = self.codec.decode_server(&bytes).expect("our own frame");
        match &frame.body {
            Some(Body::Reply(reply)) => self.replies.push(reply.clone()),
            Some(Body::Goodbye(goodbye)) => self.goodbye = Some(goodbye.clone()),
            _ => {}
        }
        self.mirror.fold(frame);
    }

    async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let waited = tokio::time::timeout(Duration::from_secs(20), async {
            while !done(self) {
                self.step().await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
    }
}

async fn dial(url: &str, subprotocol: Option<&str>) -> Result<Socket, tungstenite::Error> {
    let mut request = url.into_client_request().expect("an address");
    if let Some(name) = subprotocol {
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_str(name).expect("a token"));
    }
    Ok(connect_async(request).await?.0)
}

async fn live_house() -> (Arc<House>, String) {
    let house = Arc::new(House::new().await);
    house.start().await;
    let url = serve(&house).await;
    (house, url)
}

#[tokio::test]
async fn a_cut_socket_resumes_with_nothing_missed_or_repeated() {
    let (house, url) = live_house().await;
    for codec in Codec::ALL {
        let mut client = Client::connect(&url, codec).await;
        client.say(0, Ask::Resume(wire::Resume::default())).await;
        client.until("a snapshot", |c| c.mirror.snapshots == 1).await;
        let base = client.mirror.live.version;
        let telling = async {
            for n in 1..=200 {
                house.tell_title(base + n, 30).await;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let watching = async {
            let mut cuts = 0;
            while client.mirror.live.version < base + 200 {
                client.step().await;
                if client.mirror.ordered % 7 == 3 && cuts < 40 {
                    cuts += 1;
                    client.reconnect(&url).await;
                }
            }
            cuts
        };
        let ((), cuts) = tokio::join!(telling, watching);
        assert!(cuts > 0, "it was cut");
        assert_eq!((client.mirror.faults, client.mirror.snapshots, client.mirror.ordered), (0, 1, 200), "{codec:?}");
    }
}

#[tokio::test]
async fn a_slow_reader_gets_a_snapshot_and_is_not_cut() {
    let (house, url) = live_house().await;
    let mut client = Client::connect(&url, Codec::Proto).await;
    client.say(0, Ask::Resume(wire::Resume::default())).await;
    client.until("a snapshot", |c| c.mirror.snapshots == 1).await;
    // Far more than the kernel's buffers and the log hold together, while nothing is read.
    for version in 100..180 {
        house.tell_title(version, 512 * 1024).await;
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    client.until("the newest", |c| c.mirror.live.version == 179).await;
    assert_eq!(client.mirror.faults, 0);
    assert!(client.mirror.snapshots >= 2 && client.mirror.ordered < 80, "it jumped");
    house.tell_title(500, 30).await;
    client.until("what follows", |c| c.mirror.live.version == 500).await;
}

#[tokio::test]
async fn replies_refusals_and_the_first_word() {
    let (_house, url) = live_house().await;
    let mut guest = Client::connect(&url, Codec::Json).await;
    guest.say(7, Ask::SendChat(wire::SendChat { text: "hi".into() })).await;
    guest.until("the reply", |c| !c.replies.is_empty()).await;
    assert_eq!(guest.mirror.snapshots, 1, "a snapshot came before it");
    let Some(reply::Result::Problem(problem)) = guest.replies[0].result.clone() else { panic!("a problem") };
    assert_eq!((guest.replies[0].id, problem.r#type.as_str(), problem.status), (7, "/problems/not-signed-in", 401));

    let mut viewer = Client::connect(&format!("{url}?as=0"), Codec::Proto).await;
    viewer.say(0, Ask::Resume(wire::Resume::default())).await;
    viewer.say(1, Ask::SendChat(wire::SendChat { text: " こんにちは ".into() })).await;
    viewer.say(2, Ask::Ask(wire::Ask { text: "色は？".into(), ..wire::Ask::default() })).await;
    viewer.say(3, Ask::React(wire::React { kind: "heart".into() })).await;
    viewer.say(4, Ask::React(wire::React { kind: "boo".into() })).await;
    viewer.until("four replies", |c| c.replies.len() == 4).await;
    // What needs the database answers when it can; the number says which is which.
    viewer.replies.sort_by_key(|reply| reply.id);
    let results: Vec<_> = viewer.replies.iter().map(|reply| reply.result.clone().expect("a result")).collect();
    assert!(matches!(&results[0], reply::Result::Chat(chat) if chat.text == "こんにちは"));
    assert!(matches!(&results[1], reply::Result::Question(question) if question.state == "open"));
    assert!(matches!(&results[2], reply::Result::Done(_)));
    assert!(matches!(&results[3], reply::Result::Problem(problem) if problem.r#type == "/problems/invalid-input"));
    let all = |c: &Client| c.mirror.chat.len() == 1 && c.mirror.questions.len() == 1 && c.mirror.reactions.len() == 1;
    guest.until("what the viewer did", all).await;

    for id in 1..=60 {
        guest.say(100 + id, Ask::React(wire::React { kind: "clap".into() })).await;
    }
    guest.until("sixty replies", |c| c.replies.len() == 61).await;
    let limited = |r: &&wire::Reply| matches!(&r.result, Some(reply::Result::Problem(p)) if p.r#type == "/problems/rate-limited" && p.retry_after_ms > 0);
    assert!((10..=25).contains(&guest.replies.iter().filter(limited).count()));
}

#[tokio::test]
async fn more_connections_do_not_let_a_person_say_more() {
    let (_house, url) = live_house().await;
    let limited = |r: &&wire::Reply| matches!(&r.result, Some(reply::Result::Problem(p)) if p.r#type == "/problems/rate-limited" && p.retry_after_ms > 0);
    let (mut passed, mut open) = (0, Vec::new());
    let began = std::time::Instant::now();
    for _ in 0..4 {
        let mut client = Client::connect(&format!("{url}?as=0"), Codec::Proto).await;
        for id in 1..=30 {
            client.say(id, Ask::React(wire::React { kind: "clap".into() })).await;
        }
        client.until("thirty replies", |c| c.replies.len() == 30).await;
        passed += client.replies.len() - client.replies.iter().filter(limited).count();
        open.push(client);
    }
    // The burst, and what a slow machine gave it time to refill.
    let at_most = 40 + 20 * (usize::try_from(began.elapsed().as_secs()).expect("a short test") + 1);
    assert!((40..=at_most).contains(&passed) && passed < 120, "as many as by one connection, and not {passed}");
    let mut other = Client::connect(&format!("{url}?as=1"), Codec::Proto).await;
    other.say(1, Ask::React(wire::React { kind: "clap".into() })).await;
    other.until("a reply", |c| c.replies.len() == 1).await;
    assert_eq!(other.replies.iter().filter(limited).count(), 0, "others are not held back");
}

#[tokio::test]
async fn what_is_not_spoken_here_is_refused() {
    let (house, url) = live_house().await;
    let refused = dial(&url, Some("soap")).await;
    assert!(matches!(refused, Err(tungstenite::Error::Http(answer)) if answer.status() == 400));
    let unknown = url.replace(house.live.as_str(), LiveId::fresh().as_str());
    assert!(matches!(dial(&unknown, None).await, Err(tungstenite::Error::Http(answer)) if answer.status() == 404));
    assert!(dial(&url, None).await.is_ok(), "JSON when nothing is asked for");

    let mut client = Client::connect(&url, Codec::Json).await;
    client.socket.send(Sent::text("x".repeat(5_000))).await.expect("it is open");
    client.until("the close", |c| c.closed.is_some()).await;
    assert_eq!(client.closed, Some(1009));
    let mut client = Client::connect(&url, Codec::Json).await;
    client.socket.send(Sent::binary(vec![8, 1])).await.expect("it is open");
    client.until("the close", |c| c.closed.is_some()).await;
    assert_eq!(client.closed, Some(1003));
    let mut client = Client::connect(&url, Codec::Json).await;
    for _ in 0..1_000 {
        client.socket.feed(Sent::text("")).await.expect("it is open");
    }
    client.socket.flush().await.expect("it is open");
    client.until("the close", |c| c.closed.is_some()).await;
    assert_eq!(client.closed, Some(1008));
}

#[tokio::test]
async fn a_stop_says_goodbye_and_when_to_return() {
    let (house, url) = live_house().await;
    let mut clients = Vec::new();
    for codec in Codec::ALL {
        let mut client = Client::connect(&url, codec).await;
        client.say(0, Ask::Resume(wire::Resume::default())).await;
        client.until("a snapshot", |c| c.mirror.snapshots == 1).await;
        clients.push(client);
    }
    let stopping = house.tasks.stopping();
    stopping.cancel();
    for client in &mut clients {
        client.until("the close", |c| c.closed.is_some()).await;
        assert_eq!(client.closed, Some(1001));
        let goodbye = client.goodbye.as_ref().expect("it came first");
        assert!((500..=5_000).contains(&goodbye.reconnect_after_ms));
    }
    assert_ne!(clients[0].goodbye, clients[1].goodbye, "spread");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_who_takes_nothing() {
    let (house, url) = live_house().await;
    is_led_out_though_it_reads_nothing(&house, &url).await;
}

#[tokio::test]
async fn nor_does_the_task_that_copies_for_a_connection_over_tls() {
    let house = Arc::new(House::new().await);
    house.start().await;
    let url = serve_copied(&house).await;
    let _client = is_led_out_though_it_reads_nothing(&house, &url).await;
    tokio::time::timeout(Duration::from_secs(20), house.tasks.stop()).await.expect("the task is over as well");
}

/// The client is there still.
async fn is_led_out_though_it_reads_nothing(house: &House, url: &str) -> Client {
    let mut client = Client::connect(url, Codec::Proto).await;
    client.say(0, Ask::Resume(wire::Resume::default())).await;
    client.until("a snapshot", |c| c.mirror.snapshots == 1).await;
    // More than the kernel's buffers hold, while nothing is read.
    for version in 100..130 {
        house.tell_title(version, 512 * 1024).await;
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    assert_eq!(house.lives.audience(&house.live).0, 1);
    house.tasks.stopping().cancel();
    let left = async {
        while house.lives.audience(&house.live).0 > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), left).await.expect("it is led out, though it reads nothing");
    client
}

#[tokio::test]
async fn who_asks_on_and_takes_no_answers_is_not_heard_until_they_do() {
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
    /// Answers that wait before nothing more is read.
    const FULL_AT: u64 = 32;
    /// More, but not so many that reading them in one go were a flood.
    const ASKED: u64 = 240;
    let house = Arc::new(House::new().await);
    house.start().await;
    let (heard, answers) = (Arc::new(AtomicU64::new(0)), answers_of(&house));
    let counted = Arc::clone(&heard);
    let counting: Handler = Arc::new(move |member, asked| {
        // Who only looks on asks with a number beyond.
        if matches!(&asked, Asked::Frame(ClientFrame { id, .. }) | Asked::TooFast { id, .. } if *id <= ASKED) {
            counted.fetch_add(1, SeqCst);
        }
        answers(member, asked);
    });
    let url = serve_by(&house, counting).await;
    let mut bystander = Client::watch(&url).await;
    let mut client = Client::through_a_small_window(&url).await;
    client.say(0, Ask::Resume(wire::Resume::default())).await;
    client.until("a snapshot", |c| c.mirror.snapshots == 1).await;
    // From here on it reads nothing. In small pieces, so that little of a half-sent one is its own.
    for version in 100..140 {
        house.tell_title(version, 16 * 1024).await;
        bystander.until("the title", |c| c.mirror.live.version == version).await;
    }
    let ask = || Ask::React(wire::React { kind: "heart".into() });
    for id in 1..=FULL_AT {
        client.say(id, ask()).await;
        eventually("it is heard", || heard.load(SeqCst) == id).await;
    }
    for id in FULL_AT + 1..=ASKED {
        client.say(id, ask()).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(heard.load(SeqCst), FULL_AT, "it has {FULL_AT} answers to take first");
    bystander.say(ASKED + 1, ask()).await;
    bystander.until("an answer", |c| c.replies.len() == 1).await;

    client.until("all answers", |c| c.replies.len() as u64 == ASKED).await;
    assert!(client.replies.iter().map(|reply| reply.id).eq(1..=ASKED), "each once, in their order");
    client.say(ASKED + 1, ask()).await;
    client.until("one more", |c| c.replies.last().is_some_and(|reply| reply.id == ASKED + 1)).await;
    client.until("what it was told meanwhile", |c| c.mirror.live.version == 139).await;
    assert_eq!(client.mirror.faults, 0);
}

/// A house with so many shards, each of which dies of a line that says so.
async fn mortal_house(shards: usize) -> (Arc<House>, String) {
    let house = Arc::new(House::over_with(crate::live::tests::sqlite().await, shards).await);
    house.start().await;
    let answers = answers_of(&house);
    let mortal: Handler = Arc::new(move |member, asked| {
        let fatal = |frame: &ClientFrame| matches!(&frame.body, Some(Ask::SendChat(chat)) if chat.text == "die");
        assert!(!matches!(&asked, Asked::Frame(frame) if fatal(frame)), "a fault of the handler");
        answers(member, asked);
    });
    let url = serve_by(&house, mortal).await;
    (house, url)
}

async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let looking = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), looking).await.unwrap_or_else(|_| panic!("never: {what}"));
}

impl Client {
    /// The kernel keeps little for it.
    async fn through_a_small_window(url: &str) -> Self {
        let mut request = url.into_client_request().expect("an address");
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4 * 1024).expect("a small window");
        let address = request.uri().authority().expect("an address").as_str().parse().expect("an address");
        let codec = Codec::Json;
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(codec.subprotocol()));
        let stream = MaybeTlsStream::Plain(socket.connect(address).await.expect("it listens"));
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await.expect("it upgrades");
        Self { socket, codec, mirror: Mirror::default(), replies: Vec::new(), goodbye: None, closed: None }
    }

    async fn watch(url: &str) -> Self {
        let mut client = Self::connect(url, Codec::Json).await;
        client.say(0, Ask::Resume(wire::Resume::default())).await;
        client.until("a snapshot", |c| c.mirror.snapshots == 1).await;
        client
    }

    /// Kills its shard, and sees its connection end without a word.
    async fn kill(&mut self) {
        self.say(1, Ask::SendChat(wire::SendChat { text: "die".into() })).await;
        let ending = async { while let Some(Ok(_)) = self.socket.next().await {} };
        tokio::time::timeout(Duration::from_secs(20), ending).await.expect("it is not left open unheard");
    }

    async fn is_answered(&mut self) {
        let before = self.replies.len();
        self.say(9, Ask::React(wire::React { kind: "heart".into() })).await;
        self.until("an answer", |c| c.replies.len() > before).await;
    }
}

#[tokio::test]
async fn when_a_shard_dies_its_people_and_newcomers_are_served_by_the_others() {
    let (house, url) = mortal_house(2).await;
    let audience = || house.lives.audience(&house.live).0;
    let (mut first, mut second) = (Client::watch(&url).await, Client::watch(&url).await);
    // Connections are dealt out in turn: the second is another shard's.
    first.kill().await;
    eventually("its seat is left", || audience() == 1).await;
    house.tell_title(100, 30).await;
    second.until("the news", |c| c.mirror.live.version == 100).await;
    first.reconnect(&url).await;
    first.until("what it missed", |c| c.mirror.live.version == 100).await;
    let mut newcomers = Vec::new();
    for _ in 0..4 {
        newcomers.push(Client::watch(&url).await);
    }
    house.tell_title(101, 30).await;
    for client in newcomers.iter_mut().chain([&mut first, &mut second]) {
        client.until("the news", |c| c.mirror.live.version == 101).await;
        client.is_answered().await;
        assert_eq!((client.mirror.faults, client.mirror.snapshots), (0, 1));
    }
    assert_eq!(audience(), 6);
    // A stop leads the living out and waits for no dead.
    house.tasks.stopping().cancel();
    for client in newcomers.iter_mut().chain([&mut first, &mut second]) {
        client.until("the close", |c| c.closed.is_some()).await;
        assert!(client.goodbye.is_some());
    }
    tokio::time::timeout(Duration::from_secs(20), house.lives.led_out()).await.expect("nobody is waited for");
}

#[tokio::test]
async fn when_every_shard_is_dead_newcomers_are_refused() {
    let (house, url) = mortal_house(1).await;
    let mut client = Client::watch(&url).await;
    client.kill().await;
    eventually("its seat is left", || house.lives.audience(&house.live).0 == 0).await;
    for _ in 0..3 {
        let refused = dial(&url, None).await;
        let refused = matches!(refused, Err(tungstenite::Error::Http(answer)) if answer.status() == 503);
        assert!(refused, "sent away, not taken in and never heard");
    }
    assert_eq!(house.lives.audience(&house.live).0, 0, "nobody keeps a seat");
    // The rest of the process goes on: what needs no shard is served.
    let mut seat = house.lives.join(&house.live, None, Codec::Proto, 1).await.expect("a seat");
    assert!(!seat.begin(None).is_empty());
    drop(seat);
    house.tasks.stopping().cancel();
    tokio::time::timeout(Duration::from_secs(20), house.lives.led_out()).await.expect("nobody is waited for");
}

#[tokio::test]
async fn who_was_on_the_way_to_a_shard_that_died_is_cut_and_keeps_no_seat() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (house, url) = mortal_house(2).await;
    let board = async || house.lives.board(&house.live, None, 1).await.expect("a seat");
    // Connections are dealt out in turn: the third seat is of the shard that dies.
    let (one, mut mortal) = (board().await, Client::watch(&url).await);
    let (two, three) = (board().await, board().await);
    mortal.kill().await;
    eventually("one seat is left", || house.lives.audience(&house.live).0 == 3).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let nobody: Handler = Arc::new(|_, _| {});
    let mut ends = Vec::new();
    for member in [one, two, three] {
        let (near, far) = tokio::join!(tokio::net::TcpStream::connect(address), listener.accept());
        let far = far.expect("accepted").0.into_std().expect("a socket");
        let wire = crate::live::Wire::tcp(far).expect("a socket");
        house.lives.connect(member, wire, bytes::Bytes::new(), Codec::Proto, Arc::clone(&nobody));
        ends.push(near.expect("connected"));
    }
    eventually("the seat of the dead shard's is left", || house.lives.audience(&house.live).0 == 2).await;
    let mut rest = Vec::new();
    let ended = ends[2].read_to_end(&mut rest);
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("it is not left open unheard").expect("the end");
    // Who was on the way to the living is served.
    for end in &mut ends[..2] {
        end.write_all(&[0x89, 0x80, 0, 0, 0, 0]).await.expect("a ping goes out");
        let mut pong = [0; 2];
        let heard = tokio::time::timeout(Duration::from_secs(20), end.read_exact(&mut pong));
        heard.await.expect("in time").expect("a frame");
        assert_eq!(pong, [0x8A, 0]);
    }
}
