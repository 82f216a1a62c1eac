//! Viewers who read slowly, or not at all, or never left properly, or come back all at once: nobody else is held up by
//! them, and they are in step again soon.

use std::time::Duration;

use hanamichi::{app::Server, clock::Clock, live::Codec};
use serde_json::json;
use tokio::{io::AsyncReadExt, time::Instant};

use crate::{
    flow::Flow,
    harness::{Actor, Database, Engine, House, PATIENCE, Plan, Sale, config},
    raw::Raw,
    viewer::{Pace, Viewer, all_agree, assert_one_history, difference, newcomer},
};

/// More than anybody buys.
const UNITS: i64 = 10_000;
/// Between two steps of two ordered events each: some 50 a second.
const BUSY: Duration = Duration::from_millis(10);
/// Who was slow is in step again within this.
const IN_STEP_WITHIN: Duration = Duration::from_secs(10);
/// Bytes that fill what the kernels keep between the server and who does not read, twice over.
const FULL: usize = 160 * 1024;

async fn sale(house: &House) -> Sale {
    Sale::open(house, Plan { units: UNITS, ..Plan::default() }).await
}

async fn crowd(sale: &Sale, base: &str, count: usize, pace: Pace) -> Vec<Viewer> {
    let mut viewers = Vec::new();
    for n in 0..count {
        let codec = Codec::ALL[n % 2];
        viewers.push(Viewer::join_at(&Actor::guest(base), &sale.live, codec, &[base.to_owned()], pace).await);
    }
    viewers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stops_reading_and_who_reads_slowly_hold_nobody_up_and_are_soon_in_step() {
    let house = House::open(Engine::Sqlite).await;
    let (sale, base) = (sale(&house).await, house.base());
    let bases = [base.clone()];
    let healthy = crowd(&sale, &base, 16, Pace::Free).await;
    let slow = crowd(&sale, &base, 4, Pace::BytesPerS(64 * 1024)).await;
    let flow = Flow::begin(&sale, &bases, BUSY).await;
    let began = Instant::now();
    for (n, viewer) in slow.iter().enumerate() {
        viewer.read_at(if n < 2 { Pace::BytesPerS(2 * 1024) } else { Pace::Stopped });
    }
    // Until what was told would fill every buffer between.
    let told = || healthy[0].look(|seen| seen.bytes);
    let filling = async {
        // The liver may talk as fast as a credential may ask; the changes go on beside it.
        let (path, text) = (format!("/v1/lives/{}/chat", sale.live), "よく通る声で".repeat(30));
        while told() < FULL {
            let _ = sale.liver.post(&path, json!({ "text": text })).await;
        }
        flow.some_more(20).await;
    };
    tokio::time::timeout(PATIENCE * 3, filling).await.expect("enough is told");
    let truth = newcomer(&base, &sale.live).await;
    for viewer in &healthy {
        viewer.until("what a newcomer knows", |seen| seen.mirror.seq >= truth.seq).await;
    }
    for viewer in &slow {
        assert!(viewer.mirror().seq < truth.seq, "they are behind");
    }
    eprintln!("read slowly or not at all for {} ms", began.elapsed().as_millis());
    let done = flow.end().await;
    let healthy_again = Instant::now();
    all_agree(PATIENCE, &sale.live, &bases, &healthy).await;
    eprintln!("the healthy ones agree after {} ms", healthy_again.elapsed().as_millis());
    for viewer in &slow {
        viewer.read_at(Pace::Free);
    }
    let truth = all_agree(IN_STEP_WITHIN, &sale.live, &bases, &slow).await;
    done.assert_in(&truth, UNITS);
    for viewer in &healthy {
        viewer.assert_whole(1);
        done.assert_told(viewer);
    }
    assert_one_history(healthy.iter().chain(&slow));
    for viewer in &slow {
        let (arrivals, faults) = viewer.look(|seen| (seen.arrivals, seen.mirror.faults));
        assert_eq!((arrivals, faults), (1, 0), "nobody is cut for being slow");
        let (read, all) = (viewer.look(|seen| seen.bytes), told());
        assert!(read < all, "they are spared what is old: {read} of {all} bytes");
    }
    house.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_who_are_cut_at_once_come_back_and_miss_nothing() {
    const CROWD: usize = 300;
    let house = House::open(Engine::Sqlite).await;
    let (sale, base) = (sale(&house).await, house.base());
    let bases = [base.clone()];
    let mut viewers = Vec::new();
    for _ in 0..CROWD {
        viewers.push(Viewer::join(&Actor::guest(&base), &sale.live, Codec::Proto, &bases).await);
    }
    let flow = Flow::begin(&sale, &bases, BUSY * 9).await;
    flow.some_more(3).await;
    for viewer in &viewers {
        viewer.cut();
    }
    flow.some_more(10).await;
    for viewer in &viewers {
        viewer.until("back", |seen| seen.arrivals == 2).await;
    }
    let done = flow.end().await;
    let truth = newcomer(&base, &sale.live).await;
    for viewer in &viewers {
        viewer.until("the end", |seen| seen.mirror.seq >= truth.seq).await;
        viewer.assert_whole(1);
        done.assert_told(viewer);
        assert_eq!(difference(&viewer.mirror(), &truth), None);
    }
    assert_one_history(&viewers);
    house.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_vanishes_or_takes_nothing_is_given_up() {
    let database = Database::fresh(Engine::Sqlite).await;
    let mut settings = config(&database.url);
    (settings.hub.ping_every_s, settings.hub.silent_after_s, settings.hub.stuck_after_s) = (1, 4, 3);
    let server = Server::start(settings, Clock::system()).await.expect("the server starts");
    let base = server.loopback_url();
    let sale = Sale::open_at(&base, Plan { units: UNITS, ..Plan::default() }).await;
    let bases = [base.clone()];
    // One reads and answers nothing; one does not even read; one lives.
    let mut mute = Raw::join(&base, &sale.live, "hanamichi.v1.json").await;
    let mut deaf = Raw::join(&base, &sale.live, "hanamichi.v1.json").await;
    let alive = Viewer::join(&Actor::guest(&base), &sale.live, Codec::Json, &bases).await;
    let flow = Flow::begin(&sale, &bases, Duration::ZERO).await;
    assert_eq!(mute.closed_with().await, Some(4408), "no sign of life");
    let count = |viewers: u32| move |seen: &crate::viewer::Seen| seen.mirror.viewers == viewers;
    // What the one who does not read is owed fills all buffers; then it has some seconds.
    tokio::time::timeout(PATIENCE * 2, async {
        while alive.look(|seen| seen.mirror.viewers) != 1 {
            flow.some_more(1).await;
        }
    })
    .await
    .expect("both are given up");
    alive.until("alone", count(1)).await;
    let done = flow.end().await;
    let truth = all_agree(PATIENCE, &sale.live, &bases, std::slice::from_ref(&alive)).await;
    done.assert_in(&truth, UNITS);
    alive.assert_whole(1);
    // Its socket is closed at last: there is an end, or a reset.
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, deaf.stream.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "it is cut");
    server.stop().await;
}
