//! The hub: what one does, all see; what is missed, is caught up.

use std::{collections::BTreeSet, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest, http::HeaderValue};

use crate::{
    both_databases,
    harness::{Actor, Engine, House, PATIENCE, Plan, Sale, text},
    viewer::{self, Pipe},
};

/// A connection to the hub that speaks JSON.
pub struct Socket {
    stream: viewer::Socket,
    next_id: u64,
}

impl Socket {
    pub async fn join(actor: &Actor, live: &str, resume: Value) -> Self {
        Self::join_by(actor, live, resume, "hanamichi.v1.json").await
    }

    /// With the subprotocols that the client offers, a pass among them.
    pub async fn join_by(actor: &Actor, live: &str, resume: Value, protocols: &str) -> Self {
        let address = actor.base.strip_prefix("http://").expect("no TLS here");
        let stream = TcpStream::connect(address).await.expect("the server listens");
        Self::join_over(Box::new(stream), actor, live, resume, protocols).await
    }

    /// Over a connection that is there; the actor's address is only what it calls the server.
    pub async fn join_over(pipe: Box<dyn Pipe>, actor: &Actor, live: &str, resume: Value, protocols: &str) -> Self {
        let url = format!("{}/v1/lives/{live}/hub", actor.base.replacen("http", "ws", 1));
        let mut request = url.into_client_request().expect("an address");
        if !actor.cookie.is_empty() {
            request.headers_mut().insert("cookie", HeaderValue::from_str(&actor.cookie).expect("text"));
        }
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_str(protocols).expect("tokens"));
        let (stream, _) = tokio_tungstenite::client_async(request, pipe).await.expect("the hub answers");
        let mut socket = Self { stream, next_id: 1 };
        socket.send(json!({ "resume": resume })).await;
        socket
    }

    async fn send(&mut self, frame: Value) {
        self.stream.send(Message::text(frame.to_string())).await.expect("the hub listens");
    }

    /// The next frame; `None` when the connection is over.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.stream.next()).await.expect("the hub says something");
            match message? {
                Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).expect("JSON")),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The first frame for which `find` gives something.
    pub async fn until<T>(&mut self, what: &str, mut find: impl FnMut(&Value) -> Option<T>) -> T {
        let search = async {
            loop {
                let frame = self.next().await.unwrap_or_else(|| panic!("the hub closed before: {what}"));
                if let Some(found) = find(&frame) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, search).await.unwrap_or_else(|_| panic!("never heard: {what}"))
    }

    pub async fn ask(&mut self, body: Value) -> Value {
        let id = self.next_id.to_string();
        self.next_id += 1;
        let mut frame = body;
        frame["id"] = json!(id);
        self.send(frame).await;
        self.until("the reply", |frame| (frame["reply"]["id"] == json!(id)).then(|| frame["reply"].clone())).await
    }
}

fn ordered(frame: &Value) -> Vec<Value> {
    frame["batch"]["ordered"].as_array().cloned().unwrap_or_default()
}

fn states(frame: &Value) -> Vec<Value> {
    frame["batch"]["state"].as_array().cloned().unwrap_or_default()
}

both_databases!(a_question_is_asked_upvoted_and_answered_on_air, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let (asker, fan) = (Actor::sign_up(&house.base(), "ゆい").await, Actor::sign_up(&house.base(), "はると").await);
    let mut asking = Socket::join(&asker, &sale.live, json!({})).await;
    let mut watching = Socket::join(&fan, &sale.live, json!({})).await;
    watching.until("a snapshot", |f| f["snapshot"]["live"]["state"].as_str().map(|_| ())).await;
    let reply = asking.ask(json!({ "ask": { "text": "賞味期限は？" } })).await;
    let id = text(&reply["question"], "id");
    watching.until("the question", |f| states(f).iter().any(|s| s["question"]["id"] == json!(id)).then_some(())).await;
    let own = asking.ask(json!({ "upvote": { "questionId": id } })).await;
    assert_eq!(own["problem"]["status"], 409, "nobody votes for their own: {own}");
    assert_eq!(watching.ask(json!({ "upvote": { "questionId": id } })).await["question"]["votes"], 1);
    assert_eq!(watching.ask(json!({ "upvote": { "questionId": id } })).await["question"]["votes"], 1, "once");
    for (verb, state) in [("answering", "answering"), ("answered", "answered")] {
        sale.liver.post(&format!("/v1/questions/{id}/{verb}"), json!({})).await.expect(200);
        let heard = |f: &Value| {
            ordered(f)
                .iter()
                .any(|o| o["questionChanged"]["id"] == json!(id) && o["questionChanged"]["state"] == state)
                .then_some(())
        };
        watching.until(state, heard).await;
    }
    let mut guest = Socket::join(&Actor::guest(&house.base()), &sale.live, json!({})).await;
    assert_eq!(guest.ask(json!({ "sendChat": { "text": "hi" } })).await["problem"]["type"], "/problems/not-signed-in");
});

both_databases!(a_purchase_is_told_to_its_buyer_and_its_stock_to_all, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan { units: 1, ..Plan::default() }).await;
    let buyer = Actor::sign_up(&house.base(), "ゆい").await;
    let mut own = Socket::join(&buyer, &sale.live, json!({})).await;
    let mut other = Socket::join(&Actor::guest(&house.base()), &sale.live, json!({})).await;
    let mut studio = Socket::join(&sale.liver, &sale.live, json!({})).await;
    other.until("the stock", |f| (f["snapshot"]["stock"][0]["available"] == "1").then_some(())).await;
    let purchase = buyer.buy(&sale.offer, 1, Some("sandbox_card")).await.expect(201);
    let id = text(&purchase, "id");
    let mut versions = Vec::new();
    own.until("paid", |f| {
        let told = &f["personal"]["purchase"];
        if told["id"] == json!(id) {
            versions.push(told["version"].as_str().expect("a version").parse::<i64>().expect("a number"));
        }
        (told["state"] == "authorized").then_some(())
    })
    .await;
    assert!(versions.is_sorted(), "{versions:?}");
    other
        .until("sold out", |f| {
            assert!(f["personal"]["purchase"].is_null(), "another's purchase is not told");
            ordered(f).iter().any(|o| o["soldOut"]["skuId"] == json!(sale.sku)).then_some(())
        })
        .await;
    studio.until("the sale", |f| (f["personal"]["sales"]["orders"] == "1").then_some(())).await;
});

both_databases!(a_cut_connection_resumes_and_misses_and_repeats_nothing, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let watcher = Actor::sign_up(&house.base(), "ゆい").await;
    let mut socket = Socket::join(&watcher, &sale.live, json!({})).await;
    let snapshot = socket.until("a snapshot", |f| f["snapshot"]["epoch"].as_str().map(|_| f["snapshot"].clone())).await;
    let epoch = text(&snapshot, "epoch");
    let number = |v: &Value| v.as_str().and_then(|s| s.parse::<u64>().ok()).unwrap_or(0);
    let from = number(&snapshot["seq"]);
    // Pins change forty times while the watcher is cut off again and again.
    const CHANGES: usize = 40;
    let (liver, live, product) = (sale.liver.clone(), sale.live.clone(), sale.product["id"].clone());
    let changing = tokio::spawn(async move {
        for n in 0..CHANGES {
            let wish = json!({ "product_id": product, "live_price_minor": 500 + n });
            liver.post(&format!("/v1/lives/{live}/pins"), wish).await.expect(200);
        }
    });
    let mut seen: Vec<u64> = Vec::new();
    let mut prices = BTreeSet::new();
    while prices.len() < CHANGES {
        let frame = socket.next().await.expect("the hub goes on");
        assert!(
            frame["snapshot"].is_null() || seen.is_empty() && frame["snapshot"]["seq"] == json!(from.to_string()),
            "no jump"
        );
        let brought = ordered(&frame);
        for event in &brought {
            seen.push(number(&event["seq"]));
            if let Some(price) = event["pinned"]["offers"][0]["priceMinor"].as_str() {
                prices.insert(price.to_owned());
            }
        }
        if !brought.is_empty() && seen.len() % 3 == 1 {
            // Cut without a word.
            let at = json!({ "epoch": epoch, "seq": seen.last().expect("some").to_string() });
            drop(socket);
            tokio::time::sleep(Duration::from_millis(15)).await;
            socket = Socket::join(&watcher, &sale.live, at).await;
            socket.until("resumed", |f| (f["resumed"]["epoch"] == json!(epoch)).then_some(())).await;
        }
    }
    changing.await.expect("the liver is done");
    let expected: Vec<u64> = (from + 1..=*seen.last().expect("some")).collect();
    assert_eq!(seen, expected, "each once, in order, none missing");
});

both_databases!(a_new_epoch_begins_with_a_snapshot_of_everything, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let watcher = Actor::sign_up(&house.base(), "ゆい").await;
    let mut socket = Socket::join(&watcher, &sale.live, json!({})).await;
    let before = socket.until("a snapshot", |f| f["snapshot"]["epoch"].as_str().map(|_| f["snapshot"].clone())).await;
    let stopping = tokio::spawn(async move {
        let mut goodbye = None;
        while let Some(frame) = socket.next().await {
            if frame["goodbye"].is_object() {
                goodbye = Some(frame["goodbye"].clone());
            }
        }
        goodbye
    });
    let house = house.reopen().await;
    let goodbye = stopping.await.expect("told").expect("a goodbye before the end");
    assert!(goodbye["reconnectAfterMs"].as_str().is_some(), "{goodbye}");
    let back = Actor::sign_in(&house.base(), watcher.me["email"].as_str().expect("email")).await;
    let mut socket = Socket::join(&back, &sale.live, json!({ "epoch": before["epoch"], "seq": before["seq"] })).await;
    let after = socket.until("a snapshot", |f| f["snapshot"]["epoch"].as_str().map(|_| f["snapshot"].clone())).await;
    assert_ne!(before["epoch"], after["epoch"]);
    assert_eq!(before["pins"][0]["id"], after["pins"][0]["id"]);
    assert_eq!(before["stock"], after["stock"]);
});
