//! Who somebody is on the hub: by cookie, by a pass that needs no look-up, and until when. And the hub without WebSocket.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::{
    both_databases,
    harness::{Actor, Engine, House, PATIENCE, Plan, Sale},
    hub::Socket,
};

async fn pass_of(socket: &mut Socket) -> String {
    socket.until("a pass", |f| f["personal"]["pass"]["token"].as_str().map(str::to_owned)).await
}

async fn goodbye_of(socket: &mut Socket) -> Value {
    socket.until("a goodbye", |f| f["goodbye"].is_object().then(|| f["goodbye"].clone())).await
}

both_databases!(a_pass_brings_its_person_back_without_a_cookie, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let viewer = Actor::sign_up(&house.base(), "ゆい").await;
    let mut first = Socket::join(&viewer, &sale.live, json!({})).await;
    let pass = pass_of(&mut first).await;
    drop(first);
    let nobody = Actor::guest(&house.base());
    let protocols = format!("pass.{pass}, hanamichi.v1.json");
    let mut back = Socket::join_by(&nobody, &sale.live, json!({}), &protocols).await;
    back.until("who they are", |f| (f["personal"]["standing"]["role"] == "viewer").then_some(())).await;
    let said = back.ask(json!({ "sendChat": { "text": "ただいま" } })).await;
    assert_eq!(said["chat"]["authorName"], "ゆい", "{said}");
    // What was changed is nobody's.
    let forged = format!("pass.{}x, hanamichi.v1.json", &pass[..pass.len() - 1]);
    let mut guest = Socket::join_by(&nobody, &sale.live, json!({}), &forged).await;
    let refused = guest.ask(json!({ "sendChat": { "text": "誰？" } })).await;
    assert_eq!(refused["problem"]["type"], "/problems/not-signed-in");
    // Another's pass does not change who a connection is.
    let other = Actor::sign_up(&house.base(), "はると").await;
    let mut others = Socket::join(&other, &sale.live, json!({})).await;
    let refused = others.ask(json!({ "refresh": { "pass": pass } })).await;
    assert_eq!(refused["problem"]["type"], "/problems/conflict", "{refused}");
    let refreshed = back.ask(json!({ "refresh": {} })).await;
    assert!(refreshed["done"].is_object(), "{refreshed}");
});

both_databases!(a_sign_in_that_is_over_ends_its_connections, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let (stays, leaves) = (Actor::sign_up(&house.base(), "ゆい").await, Actor::sign_up(&house.base(), "はると").await);
    let mut stayed = Socket::join(&stays, &sale.live, json!({})).await;
    let mut left = Socket::join(&leaves, &sale.live, json!({})).await;
    let old = pass_of(&mut stayed).await;
    pass_of(&mut left).await;
    leaves.post("/v1/sign-out", json!({})).await.expect(204);
    house.clock.advance(Duration::from_secs(7 * 60));
    let new = pass_of(&mut stayed).await;
    assert_ne!(old, new, "renewed before it runs out, and nobody had to ask");
    let goodbye = goodbye_of(&mut left).await;
    assert_eq!(goodbye["reason"], "pass-expired");
    assert!(left.next().await.is_none());
    house.clock.advance(Duration::from_secs(4 * 60));
    let nobody = Actor::guest(&house.base());
    let mut expired = Socket::join_by(&nobody, &sale.live, json!({}), &format!("hanamichi.v1.json, pass.{old}")).await;
    let refused = expired.ask(json!({ "sendChat": { "text": "まだ？" } })).await;
    assert_eq!(refused["problem"]["type"], "/problems/not-signed-in", "an old pass is nobody's");
});

/// An event stream, as a browser reads it.
struct Stream {
    answer: reqwest::Response,
    unread: String,
}

impl Stream {
    async fn open(base: &str, live: &str, last: Option<&str>) -> Self {
        let mut request = reqwest::Client::new().get(format!("{base}/v1/lives/{live}/events"));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let answer = request.send().await.expect("the server answers");
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self { answer, unread: String::new() }
    }

    /// The id and the message of the next event that has one.
    async fn next(&mut self) -> (Option<String>, Value) {
        let reading = async {
            loop {
                if let Some((event, rest)) = self.unread.split_once("\n\n") {
                    let (event, rest) = (event.to_owned(), rest.to_owned());
                    self.unread = rest;
                    let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                    if let Some(data) = field("data: ") {
                        return (field("id: "), serde_json::from_str(&data).expect("JSON"));
                    }
                    continue;
                }
                let chunk = self.answer.chunk().await.expect("it goes on").expect("it goes on");
                self.unread.push_str(std::str::from_utf8(&chunk).expect("our events are cut at their ends"));
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("an event")
    }
}

both_databases!(without_a_websocket_the_same_events_come_as_a_stream, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let mut stream = Stream::open(&house.base(), &sale.live, None).await;
    let (id, first) = stream.next().await;
    assert_eq!(first["snapshot"]["pins"][0]["product"]["title"], "花見団子");
    assert!(id.is_some(), "a snapshot has its place");
    let reprice = async |price: i64| {
        let wish = json!({ "product_id": sale.product["id"], "live_price_minor": price });
        sale.liver.post(&format!("/v1/lives/{}/pins", sale.live), wish).await.expect(200);
    };
    let number = |seq: &Value| seq.as_str().and_then(|seq| seq.parse::<u64>().ok()).expect("a number");
    let mut seqs = vec![number(&first["snapshot"]["seq"])];
    // What was ordered before the stream began may come in one batch with it.
    let mut tells = |event: &Value, price: i64| {
        let ordered = event["batch"]["ordered"].as_array().cloned().unwrap_or_default();
        seqs.extend(ordered.iter().map(|ordered| number(&ordered["seq"])));
        ordered.iter().any(|ordered| ordered["pinned"]["offers"][0]["priceMinor"] == json!(price.to_string()))
    };
    for price in [900, 901, 902] {
        reprice(price).await;
        let last = loop {
            let (id, event) = stream.next().await;
            if tells(&event, price) {
                break id.expect("it moves on");
            }
        };
        // Cut, and back with the id, as a browser does.
        drop(stream);
        reprice(price + 50).await;
        stream = Stream::open(&house.base(), &sale.live, Some(&last)).await;
        let (_, resumed) = stream.next().await;
        assert!(resumed["resumed"].is_object(), "{resumed}");
        while !tells(&stream.next().await.1, price + 50) {}
    }
    assert!(seqs.len() > 6 && seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), "a hole or a repetition: {seqs:?}");
    let unknown = reqwest::get(format!("{}/v1/lives/live_0/events", house.base())).await.expect("an answer");
    assert_eq!(unknown.status().as_u16(), 404);
    // A stop says when to come back, and does not wait for the stream.
    let stopping = tokio::spawn(house.server.stop());
    loop {
        let (_, event) = stream.next().await;
        if event["goodbye"].is_object() {
            break;
        }
    }
    assert!(stream.answer.bytes_stream().next().await.is_none(), "it ends");
    tokio::time::timeout(PATIENCE, stopping).await.expect("it stops").expect("it has stopped");
});
