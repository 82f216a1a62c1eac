//! The picture over the product's own routes: who may publish, who may watch, and what viewers are told. How the packets
//! travel is in `tests/media.rs`.

use serde_json::{Value, json};

use crate::{
    harness::{Actor, Engine, House, Plan, Sale, text},
    hub::Socket,
    peer::{Publisher, Watcher},
};

pub fn is_media(frame: &Value, media: &str) -> Option<()> {
    let events = frame["batch"]["ordered"].as_array().cloned().unwrap_or_default();
    let told = events.iter().any(|event| event["liveChanged"]["media"] == media);
    (told || frame["snapshot"]["live"]["media"] == media).then_some(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_liver_publishes_with_the_stream_key_and_everybody_sees_it() {
    let house = House::open(Engine::Sqlite).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let key = sale.liver.post(&format!("/v1/lives/{}/stream-key", sale.live), json!({})).await.expect(201);
    let (whip, stream_key) = (text(&key, "whip_url"), text(&key, "stream_key"));
    let whep = format!("{}/v1/lives/{}/whep", house.base(), sale.live);
    let mut room = Socket::join(&Actor::guest(&house.base()), &sale.live, json!({})).await;
    let before = Watcher::start(&whep).await.err().expect("there is no picture yet");
    assert_eq!(before.as_u16(), 409);

    let publisher = Publisher::start(&whip, &stream_key).await.expect("on air");
    room.until("the picture is up", |frame| is_media(frame, "up")).await;
    let watcher = Watcher::start(&whep).await.expect("a picture");
    watcher.until("a second of frames", |w| w.frames() >= 24 && w.audio_packets() >= 40).await;
    assert_eq!(watcher.gaps_and_repeats(), (0, 0));

    let guest = Actor::guest(&house.base());
    let layer = format!("{}/layer", watcher.session.resource.path());
    let found = guest.get(&layer).await.expect(200);
    assert_eq!(found, json!({"layers": 1, "current": "high", "chosen": "auto"}), "who knows the session may choose");
    guest.put(&layer, json!({"layer": "low"})).await.expect(204);
    assert_eq!(guest.get(&layer).await.expect(200)["chosen"], "low");
    assert_eq!(guest.put(&layer, json!({"layer": "huge"})).await.refused(), "invalid-input");
    assert_eq!(
        guest
            .put(&format!("{}/layer", publisher.path.replace("whip", "whep")), json!({"layer": "low"}))
            .await
            .refused(),
        "not-found"
    );
    let preflight = guest.request(reqwest::Method::OPTIONS, &layer).header("access-control-request-method", "PUT");
    let preflight = preflight.send().await.expect("an answer");
    let allowed = preflight.headers()["access-control-allow-methods"].to_str().expect("text").to_owned();
    assert!(preflight.status().is_success() && allowed.contains("PUT"), "players of other origins choose, too");
    assert_eq!(guest.delete(&publisher.path).await.refused(), "not-signed-in", "nobody else ends it");
    publisher.vanish();
    room.until("the picture is away", |frame| is_media(frame, "away")).await;
    let frames = watcher.frames();
    let publisher = Publisher::start(&whip, &stream_key).await.expect("back on air");
    room.until("the picture is up again", |frame| is_media(frame, "up")).await;
    watcher.until("the same viewer sees more", |w| w.frames() >= frames + 24).await;

    sale.liver.post(&format!("/v1/lives/{}/end", sale.live), json!({})).await.expect(200);
    publisher.dismissed().await;
    assert_eq!(Watcher::start(&whep).await.err().expect("it is over").as_u16(), 409);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_publishes_nothing() {
    let house = House::open(Engine::Sqlite).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let path = format!("/v1/lives/{}/whip", sale.live);
    let offer = |actor: &Actor| {
        actor.request(reqwest::Method::POST, &path).header("content-type", "application/sdp").body("v=0")
    };
    let (guest, viewer) = (Actor::guest(&house.base()), Actor::sign_up(&house.base(), "ゆい").await);
    assert_eq!(guest.send(offer(&guest)).await.refused(), "not-signed-in");
    assert_eq!(viewer.send(offer(&viewer)).await.refused(), "forbidden");
    let wrong = offer(&guest).header("authorization", "Bearer sk_wrong");
    assert_eq!(guest.send(wrong).await.refused(), "not-signed-in");
    assert_eq!(sale.liver.send(offer(&sale.liver)).await.refused(), "invalid-input", "rubbish is no offer");
    let untyped = sale.liver.request(reqwest::Method::POST, &path).header("content-type", "text/plain").body("v=0");
    assert_eq!(sale.liver.send(untyped).await.refused(), "unsupported-content-type");
    let first = sale.liver.post(&format!("/v1/lives/{}/stream-key", sale.live), json!({})).await.expect(201);
    sale.liver.post(&format!("/v1/lives/{}/stream-key", sale.live), json!({})).await.expect(201);
    let old = offer(&guest).header("authorization", format!("Bearer {}", text(&first, "stream_key")));
    assert_eq!(guest.send(old).await.refused(), "not-signed-in", "an old key stops working");
}
