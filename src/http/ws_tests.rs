//! The hub over real sockets, in both codecs.

use std::{sync::Arc, time::Duration};

use axum::{Router, extract::Path, http::HeaderValue, routing::get};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{self, Message as Sent, client::IntoClientRequest as _},
};

use super::*;
use crate::{
    live::{Mirror, tests::House},
    wire::{ClientFrame, server_frame::Body},
};

type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

/// Serves the hub of a house; `?as=0` is its first viewer.
async fn serve(house: &Arc<House>) -> String {
    let served = Arc::clone(house);
    let handler = async move |Path(live): Path<LiveId>, uri: axum::http::Uri, upgrade: Result<Upgrade, Problem>| {
        let n = uri.query().and_then(|query| query.strip_prefix("as=")).and_then(|n| n.parse::<usize>().ok());
        let address = std::net::Ipv4Addr::UNSPECIFIED.into();
        let caller = Caller { visitor: n.map(|n| served.viewers[n].clone()), address, who: 1, sign_in: None };
        let desk = Desk { lives: served.lives.clone(), checkout: None, passes: None };
        admit(&desk, &desk.handler(), &live, caller, upgrade?).await
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let router = Router::new().route("/v1/lives/{live}/hub", get(handler));
    house.tasks.spawn("test server", async move {
        let _ = tokio::time::timeout(Duration::from_secs(60), axum::serve(listener, router)).await;
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
    for _ in 0..4 {
        let mut client = Client::connect(&format!("{url}?as=0"), Codec::Proto).await;
        for id in 1..=30 {
            client.say(id, Ask::React(wire::React { kind: "clap".into() })).await;
        }
        client.until("thirty replies", |c| c.replies.len() == 30).await;
        passed += client.replies.len() - client.replies.iter().filter(limited).count();
        open.push(client);
    }
    assert!((40..70).contains(&passed), "as many as by one connection, and not {passed}");
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
    let mut client = Client::connect(&url, Codec::Proto).await;
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
}
