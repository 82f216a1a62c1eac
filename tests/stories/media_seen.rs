//! What the liver, moderators and operators see of a live's media, against what really travelled.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

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
            watchers.iter().all(|watcher| !watcher
                .session
                .resource
                .path()
                .contains(viewer["viewer"].as_str().expect("a tag")))
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

/// Reads OpenMetrics: every line must be one that a collector understands.
fn figures(text: &str) -> HashMap<String, u64> {
    let is_name = |name: &str| {
        let fits = |c: char| c == '_' || c.is_ascii_lowercase() || c.is_ascii_digit();
        name.starts_with("hanamichi_") && name.chars().all(fits)
    };
    let (mut described, mut found, mut is_over) = (HashMap::new(), HashMap::new(), false);
    for line in text.lines() {
        assert!(!is_over, "nothing follows the end: {line}");
        if line == "# EOF" {
            is_over = true;
        } else if let Some(about) = line.strip_prefix("# ") {
            let [word, name, what] = about.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            assert!(matches!(word, "HELP" | "TYPE" | "UNIT") && is_name(name) && !what.is_empty(), "{line}");
            if word == "TYPE" {
                assert!(described.insert(name, what).is_none() && matches!(what, "counter" | "gauge"), "{line}");
            }
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a series and its value");
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let kind = described.get(name).or_else(|| described.get(name.strip_suffix("_total")?));
            assert!(kind.is_some_and(|kind| (*kind == "counter") == name.ends_with("_total")), "{line}");
            assert!(matches!(labels, "}" | "role=\"publisher\"}" | "role=\"viewer\"}"), "{line}");
            let value = value.parse().expect("a whole number");
            assert_eq!(found.insert(series.to_owned(), value), None, "{line}");
        }
    }
    assert!(is_over, "it has an end: {text}");
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_reads_every_line_of_the_figures() {
    let house = House::open(Engine::Sqlite).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let url = format!("http://{}/metrics", house.server.metrics.expect("figures are told"));
    let scrape = async || {
        let answer = reqwest::get(&url).await.expect("it answers");
        assert!(answer.headers()["content-type"].to_str().expect("text").starts_with("application/openmetrics-text"));
        answer.text().await.expect("a body")
    };
    let before = figures(&scrape().await);
    assert_eq!((before["hanamichi_media_lives_up"], before["hanamichi_media_sessions{role=\"viewer\"}"]), (0, 0));
    let key = sale.liver.post(&format!("/v1/lives/{}/stream-key", sale.live), json!({})).await.expect(201);
    let publisher = Publisher::start(&text(&key, "whip_url"), &text(&key, "stream_key")).await.expect("on air");
    seen(&sale.liver, &format!("/v1/lives/{}/media", sale.live), |told| told["state"] == "up").await;
    let watcher = Watcher::start(&format!("{}/v1/lives/{}/whep", house.base(), sale.live)).await.expect("a picture");
    watcher.until("a second of frames", |w| w.frames() >= 24).await;
    let came = watcher.video().len() + watcher.audio_packets();
    let text = scrape().await;
    let now = figures(&text);
    assert_eq!(now["hanamichi_media_lives_up"], 1);
    for role in ["publisher", "viewer"] {
        assert_eq!(now[&format!("hanamichi_media_sessions{{role=\"{role}\"}}")], 1);
    }
    let came = came as u64;
    let forwarded = now["hanamichi_media_packets_forwarded_total"];
    assert!(forwarded >= came && forwarded < came + 200, "{came} came: {text}");
    assert!(now["hanamichi_media_forwarded_bytes_total"] > 50 * forwarded, "{text}");
    assert!(now["hanamichi_media_received_bytes_total"] > 0 && now["hanamichi_hub_rooms"] >= 1, "{text}");
    assert!(!text.contains(&sale.live) && !text.contains("live_"), "no ids: {text}");
    let main = Actor::guest(&house.base());
    assert_eq!(main.get("/metrics").await.refused(), "not-found", "only where the operator wants it");
    publisher.end().await;
}
