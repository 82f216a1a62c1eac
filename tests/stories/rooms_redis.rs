//! Redis goes away beneath two nodes, and comes back with or without what it knew: nodes go on by themselves meanwhile,
//! and then all agree again.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::{
    flow::Flow,
    rooms_nodes::{PAUSE, Pair, UNITS},
    viewer::{Viewer, all_agree, assert_one_history},
};

/// Longer than a node waits before it goes on by itself.
const AWAY: Duration = Duration::from_secs(4);
/// From when Redis is back until all agree.
const AGREE_WITHIN: Duration = Duration::from_secs(5);

/// What Redis remembers when it is back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Back {
    Empty,
    WithItsData,
    /// It was never away, but forgot everything.
    Emptied,
}

/// Somebody talks and prices change at each node while Redis is away, and its viewers hear of it.
async fn goes_on_alone(pair: &Pair, flow: &Flow, viewers: &[Viewer]) {
    let price = || flow.price();
    let known =
        |viewer: &Viewer| viewer.look(|seen| seen.mirror.pins.values().map(|pin| pin.offers[0].price_minor).max());
    let gone_at = Instant::now();
    let lines = ["一番", "二番"];
    for (n, line) in lines.iter().enumerate() {
        let path = format!("/v1/lives/{}/chat", pair.sale.live);
        // The chat is never stopped, but what is said before a node goes on alone may be lost.
        tokio::time::sleep_until(gone_at + AWAY / 2).await;
        pair.sale.liver.at(&pair.bases[n]).post(&path, json!({ "text": line })).await.expect(201);
    }
    let after = price();
    for (n, viewer) in viewers.iter().enumerate() {
        viewer
            .until("a price of this time", |seen| {
                seen.mirror.pins.values().any(|pin| pin.offers[0].price_minor >= after)
            })
            .await;
        let line = lines[n % 2];
        viewer.until("the chat of its node", |seen| seen.mirror.chat.iter().any(|said| said.text == line)).await;
    }
    assert!(viewers.iter().all(|viewer| known(viewer).is_some()));
    tokio::time::sleep_until(gone_at + AWAY).await;
}

async fn redis_goes_and_comes(back: Back) {
    let mut pair = Pair::open().await;
    let viewers = pair.viewers(6).await;
    let flow = Flow::begin(&pair.sale, &pair.bases, PAUSE).await;
    flow.some_more(10).await;
    let before = viewers[0].mirror().epoch;
    match back {
        Back::Emptied => pair.redis.empty().await,
        Back::Empty | Back::WithItsData => {
            if back == Back::WithItsData {
                pair.redis.save().await;
            }
            pair.redis.kill();
            goes_on_alone(&pair, &flow, &viewers).await;
        }
    }
    let snapshots: Vec<_> = viewers.iter().map(|viewer| viewer.look(|seen| seen.mirror.snapshots)).collect();
    if back != Back::Emptied {
        pair.redis.start_again().await;
    }
    let is_back = Instant::now();
    flow.some_more(10).await;
    let done = flow.end().await;
    let left = (is_back + AGREE_WITHIN).saturating_duration_since(Instant::now());
    let truth = all_agree(left, &pair.sale.live, &pair.bases, &viewers).await;
    eprintln!("{back:?}: all agree after {} ms", is_back.elapsed().as_millis());
    assert_ne!(truth.epoch, before, "another history");
    done.assert_in(&truth, UNITS);
    assert_one_history(&viewers);
    for (viewer, before) in viewers.iter().zip(snapshots) {
        viewer.assert_whole(before + 1);
    }
    drop(viewers);
    pair.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_comes_back_empty_and_all_agree() {
    redis_goes_and_comes(Back::Empty).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_comes_back_with_its_data_and_all_agree() {
    redis_goes_and_comes(Back::WithItsData).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_emptied_and_all_agree() {
    redis_goes_and_comes(Back::Emptied).await;
}
