//! Clients in another language: one with a WebSocket library of its own understands the hub, two with a WebRTC stack of
//! their own publish and play.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::json;

use crate::{
    flow::Flow,
    harness::{Engine, House, Plan, Sale, text},
};

/// Debian's, whose packages Debian installs: another one on the path need not have them.
const PYTHON: &str = "/usr/bin/python3";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_client_watches_resumes_and_is_understood() {
    let house = House::open(Engine::Sqlite).await;
    let sale = Sale::open(&house, Plan { units: 10_000, ..Plan::default() }).await;
    let flow = Flow::begin(&sale, &[house.base()], Duration::from_millis(20)).await;
    let mut client = Command::new(PYTHON);
    client.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/hub.py"));
    client.arg(format!("{}/v1/lives/{}/hub", house.base().replacen("http", "ws", 1), sale.live));
    let said = tokio::task::spawn_blocking(move || client.output()).await.expect("it is waited for");
    let said = said.expect("Python is installed: run `make test`");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    flow.end().await;
    house.server.stop().await;
}

/// One process publishes and another plays: all they share is the server.
async fn aiortc_publishes_and_plays(codec: &'static str) {
    let house = House::open(Engine::Sqlite).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let made = sale.liver.post(&format!("/v1/lives/{}/stream-key", sale.live), json!({})).await.expect(201);
    let script = |act: &str| {
        let mut python = Command::new(PYTHON);
        python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/rtc.py")).arg(act);
        python
    };
    let mut publisher = script("publish");
    publisher.args([&text(&made, "whip_url"), &text(&made, "stream_key"), codec]);
    let publisher = publisher.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut publisher = publisher.expect("Python is installed: run `make test`");
    let mut player = script("play");
    player.args([&format!("{}/v1/lives/{}/whep", house.base(), sale.live), codec]);
    let played = tokio::task::spawn_blocking(move || player.output()).await.expect("it is waited for");
    // Its input ends: that is how it is told to stop.
    drop(publisher.stdin.take());
    let published = tokio::task::spawn_blocking(move || publisher.wait_with_output()).await.expect("it is waited for");
    for (what, said) in [("publish", published), ("play", played)] {
        let said = said.expect("Python is installed: run `make test`");
        assert!(said.status.success(), "{what} {codec}: {}", String::from_utf8_lossy(&said.stderr));
    }
    assert_eq!(house.server.app.media.stats().await.sessions, 0, "both said goodbye");
    house.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_independent_stack_publishes_and_plays_h264() {
    aiortc_publishes_and_plays("H264").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_independent_stack_publishes_and_plays_vp8() {
    aiortc_publishes_and_plays("VP8").await;
}
