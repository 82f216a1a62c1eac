//! What the liver, moderators and operators see of a live's media, against what really travelled.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    harness::{Actor, Engine, House, Plan, Sale, text},
    peer::{Publisher, Watcher},
};

fn number(value: &Value, path: &str) -> u64 {
    value.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("{path} is a number in {value}"))
}

/// Asks until it is so; fails after ten seconds.
async fn seen(actor: &Actor, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let since = Instant::now();
    loop {
        let told = actor.get(path).await.expect(200);
        if is_so(&told) {
            return told;
        }
        assert!(since.elapsed() < Duration::from_secs(10), "never seen in {told}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_liver_sees_what_comes_and_what_reaches_the_viewers() {
    let house = House::open(Engine::Sqlite).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let media = format!("/v1/lives/{}/media", sale.live);
    let before = sale.liver.get(&media).await.expect(200);
    assert_eq!(
        (&before["state"], &before["publisher"], &before["codec"]),
        (&json!("none"), &Value::Null, &Value::Null)
    );
    assert_eq!(number(&before, "/viewers/count"), 0);

    let key = sale.liver.post(&format!("/v1/lives/{}/stream-key", sale.live), json!({})).await.expect(201);
    let publisher = Publisher::start(&text(&key, "whip_url"), &text(&key, "stream_key")).await.expect("on air");
    seen(&sale.liver, &media, |told| told["state"] == "up").await;
    let whep = format!("{}/v1/lives/{}/whep", house.base(), sale.live);
    let mut watchers = Vec::new();
    for _ in 0..3 {
        watchers.push(Watcher::start(&whep).await.expect("a picture"));
    }
    for watcher in &watchers {
        watcher.until("three seconds of frames", |w| w.frames() >= 72).await;
    }

    // The demo clip: 540 by 960, 24 pictures and one keyframe a second.
    let told = seen(&sale.liver, &media, |told| !told["viewers"]["round_trip_p50_ms"].is_null()).await;
    let shown = &told["publisher"];
    assert_eq!((&told["codec"], &shown["width"], &shown["height"]), (&json!("h264"), &json!(540), &json!(960)));
    assert!((18..=30).contains(&number(shown, "/frames_per_s")), "{shown}");
    assert_eq!((number(shown, "/keyframe_interval_ms"), number(shown, "/loss_bp")), (1_000, 0));
    let came = number(shown, "/video_bits_per_s") + number(shown, "/audio_bits_per_s");
    let went = number(&told, "/viewers/bits_per_s");
    assert!(went.abs_diff(3 * came) < came, "{told}");
    assert_eq!((number(&told, "/viewers/count"), number(&told, "/viewers/loss_p95_bp")), (3, 0));
    assert!(number(&told, "/viewers/round_trip_p95_ms") < 500, "{told}");

    // One by one, in pages; nobody's session can be found in them.
    let mut path = format!("{media}/viewers?limit=2");
    let mut found = Vec::new();
    loop {
        let page = sale.liver.get(&path).await.expect(200);
        let items = page["items"].as_array().expect("a list").clone();
        assert!((1..=2).contains(&items.len()), "{page}");
        found.extend(items);
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("{media}/viewers?limit=2&cursor={cursor}");
    }
    let mut tags: Vec<&str> = found.iter().filter_map(|viewer| viewer["viewer"].as_str()).collect();
    tags.dedup();
    assert_eq!((tags.len(), found.len()), (3, 3));
    for viewer in &found {
        let sent = number(viewer, "/packets_sent");
        assert!(sent > 3 * 24 && viewer["network"] == "ipv4" && number(viewer, "/packets_resent") == 0, "{viewer}");
        assert!(
            watchers.iter().all(|watcher| !watcher.resource.path().contains(viewer["viewer"].as_str().expect("a tag")))
        );
    }
    assert!(!Value::from(found).to_string().contains("127.0.0.1"), "no addresses");
    assert_eq!(sale.liver.get(&format!("{media}/viewers?cursor=x")).await.refused(), "invalid-input");

    publisher.vanish();
    let away = seen(&sale.liver, &media, |told| told["state"] == "away").await;
    assert_eq!((&away["publisher"], number(&away, "/viewers/count")), (&Value::Null, 3));
    drop(watchers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_keeps_order_sees_it() {
    let house = House::open(Engine::Sqlite).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let paths = ["", "/viewers"].map(|rest| format!("/v1/lives/{}/media{rest}", sale.live));
    let operator = house.operator().await;
    let (guest, other) = (Actor::guest(&house.base()), Actor::sign_up(&house.base(), "ゆい").await);
    for path in &paths {
        assert_eq!(guest.get(path).await.refused(), "not-signed-in");
        assert_eq!(other.get(path).await.refused(), "forbidden");
        operator.get(path).await.expect(200);
    }
    let email = text(&other.get("/v1/me").await.expect(200), "email");
    sale.liver.post("/v1/me/moderators", json!({ "email": email })).await.expect(201);
    for path in &paths {
        other.get(path).await.expect(200);
        let nowhere = path.replace(&sale.live, "live_00000000000000000000000000");
        assert_eq!(operator.get(&nowhere).await.refused(), "not-found");
        assert_eq!(sale.liver.get(&nowhere).await.refused(), "not-found");
    }
}
