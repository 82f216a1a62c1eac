//! A live whose picture comes in at one node and is watched at others, while nodes and publishers come and go.

use std::time::Duration;

use hanamichi::{app::Server, clock::Clock};
use reqwest::StatusCode;
use serde_json::json;
use tokio::time::Instant;

use crate::{
    harness::{Actor, Database, Engine, Plan, Process, Sale, free_port, text},
    peer::{Publisher, Watcher},
    redis::RedisServer,
    rooms_nodes::node_config,
};

/// From when there is a picture again until viewers at every node see it. It takes a sixth of a second; a busy machine adds
/// its own.
const BACK_WITHIN: Duration = Duration::from_secs(5);

pub fn whep(base: &str, sale: &Sale) -> String {
    format!("{base}/v1/lives/{}/whep", sale.live)
}

pub fn whip(base: &str, sale: &Sale) -> String {
    format!("{base}/v1/lives/{}/whip", sale.live)
}

pub async fn stream_key(sale: &Sale) -> String {
    let key = sale.liver.post(&format!("/v1/lives/{}/stream-key", sale.live), json!({})).await.expect(201);
    text(&key, "stream_key")
}

/// A viewer as the player is one: it asks until there is a picture.
pub async fn watch(base: &str, sale: &Sale) -> Watcher {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        match Watcher::start(&whep(base, sale)).await {
            Ok(watcher) => return watcher,
            Err(status) => assert!(Instant::now() < until, "no picture at {base}: {status}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// How long it takes until all of them see the picture go on; a second of it is awaited.
async fn back(watchers: &[&Watcher]) -> Duration {
    let began = Instant::now();
    let seen: Vec<usize> = watchers.iter().map(|watcher| watcher.frames()).collect();
    for (watcher, seen) in watchers.iter().zip(&seen) {
        watcher.until("the picture goes on", |w| w.frames() > *seen).await;
    }
    let took = began.elapsed();
    for (watcher, seen) in watchers.iter().zip(&seen) {
        watcher.until("and on", |w| w.frames() >= seen + 24).await;
    }
    took
}

/// A node in a process of its own, to be killed.
pub async fn node(database: &Database, redis: &RedisServer) -> Process {
    let bus = [("HANAMICHI_BUS", "redis"), ("HANAMICHI_REDIS_URL", &redis.url())];
    Process::start_with(&database.url, free_port(), &bus).await
}

pub async fn stop(servers: Vec<Server>) {
    for server in servers {
        server.stop().await;
    }
}

/// How much later packets come to one watcher than to another: half of them, and all but one of a hundred.
fn lag(near: &Watcher, far: &Watcher) -> (Duration, Duration) {
    let near = near.video();
    let mut lags: Vec<Duration> = Vec::new();
    for seen in far.video() {
        let same = near.iter().filter(|one| one.digest == seen.digest && one.at <= seen.at);
        // The clip begins anew every few seconds.
        lags.extend(same.map(|one| seen.at - one.at).filter(|lag| *lag < Duration::from_secs(1)).min());
    }
    lags.sort_unstable();
    assert!(lags.len() > 50, "{} packets came to both", lags.len());
    (lags[lags.len() / 2], lags[lags.len() * 99 / 100])
}

pub async fn servers(count: usize, database: &Database, redis: &RedisServer) -> Vec<Server> {
    let mut servers = Vec::new();
    for _ in 0..count {
        let settings = node_config(&database.url, &redis.url());
        servers.push(Server::start(settings, Clock::system()).await.expect("the node starts"));
    }
    servers
}

pub async fn sources(server: &Server, sale: &Sale) -> (bool, bool, usize) {
    let stats = server.app.media.stats().await;
    let live = stats.lives.into_iter().find(|live| live.live.as_str() == sale.live);
    live.map_or((false, false, 0), |live| (live.publisher.is_some(), live.pulled, live.viewers))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_is_pulled_once_and_followed_to_wherever_its_publisher_goes() {
    let (redis, database) = (RedisServer::start().await, Database::fresh(Engine::Postgres).await);
    let servers = servers(3, &database, &redis).await;
    let bases: Vec<String> = servers.iter().map(Server::loopback_url).collect();
    let sale = Sale::open_at(&bases[0], Plan::default()).await;
    let key = stream_key(&sale).await;
    assert_eq!(Watcher::start(&whep(&bases[1], &sale)).await.err(), Some(StatusCode::CONFLICT), "nowhere a picture");

    let publisher = Publisher::start(&whip(&bases[0], &sale), &key).await.expect("on air");
    let near = watch(&bases[0], &sale).await;
    let asked = Instant::now();
    let far = watch(&bases[1], &sale).await;
    far.until("a picture from the other node", |w| w.frames() > 0).await;
    eprintln!("the first viewer of the other node sees it after {:?}", asked.elapsed());
    let (second, third) = (watch(&bases[1], &sale).await, watch(&bases[2], &sale).await);
    for watcher in [&near, &far, &second, &third] {
        watcher.until("two seconds, with sound", |w| w.frames() >= 48 && w.audio_packets() >= 50).await;
        assert_eq!(watcher.gaps_and_repeats(), (0, 0));
    }
    let (median, slowest) = lag(&near, &far);
    eprintln!("a node more costs {median:?}, for one packet of a hundred {slowest:?}");
    assert_eq!(sources(&servers[0], &sale).await, (true, false, 3), "one viewer, and the two other nodes");
    assert_eq!(sources(&servers[1], &sale).await, (false, true, 2));

    // Nobody else may take the live while it is on air elsewhere; who is not a node is given no relay.
    let offer = sale.liver.at(&bases[2]);
    let offer = offer.request(reqwest::Method::POST, &format!("/v1/lives/{}/whip", sale.live));
    let other = sale.liver.send(offer.header("content-type", "application/sdp").body("v=0")).await;
    assert_eq!(other.refused(), "publisher-exists", "the liver's page while the key is on air");
    let guest = Actor::guest(&bases[0]);
    for proof in ["", "Bearer 9999999999999.AAAA"] {
        let relay = guest.request(reqwest::Method::POST, &format!("/internal/relay/{}", sale.live));
        let relay = relay.header("content-type", "application/sdp").header("authorization", proof).body("v=0");
        assert_eq!(guest.send(relay).await.refused(), "forbidden");
    }

    // The publisher loses its node's way and comes back at another one.
    publisher.vanish();
    let publisher = Publisher::start(&whip(&bases[1], &sale), &key).await.expect("on air at the other node");
    let all = [&near, &far, &second, &third];
    let took = back(&all).await;
    eprintln!("all are back after {took:?}");
    assert!(took < BACK_WITHIN, "{took:?}");
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!(sources(&servers[0], &sale).await, (false, true, 1), "it is let go, and pulls itself");
    assert_eq!(sources(&servers[1], &sale).await, (true, false, 4));
    let live = sale.liver.get(&format!("/v1/lives/{}", sale.live)).await.expect(200);
    assert_eq!(live["media"], "up");

    // Redis goes: what is seen is seen on, and a newcomer of a node that has the picture sees it too.
    drop(redis);
    back(&all).await;
    watch(&bases[2], &sale).await.until("the picture", |w| w.frames() >= 24).await;
    publisher.end().await;
    stop(servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_origin_costs_its_viewers_a_moment() {
    let (redis, database) = (RedisServer::start().await, Database::fresh(Engine::Postgres).await);
    let edge = servers(1, &database, &redis).await.remove(0);
    let mut origin = node(&database, &redis).await;
    let sale = Sale::open_at(&edge.loopback_url(), Plan::default()).await;
    let key = stream_key(&sale).await;
    let publisher = Publisher::start(&whip(&origin.base, &sale), &key).await.expect("on air");
    let (far, near) = (watch(&edge.loopback_url(), &sale).await, watch(&origin.base, &sale).await);
    for watcher in [&far, &near] {
        watcher.until("a picture", |w| w.frames() >= 24).await;
    }

    origin.kill();
    let killed = Instant::now();
    // Its publisher and its viewers find another node; those of the edge wait there.
    publisher.vanish();
    let publisher = Publisher::start(&whip(&edge.loopback_url(), &sale), &key).await.expect("back on air");
    let moved = watch(&edge.loopback_url(), &sale).await;
    moved.until("a picture", |w| w.frames() > 0).await;
    let took = killed.elapsed() + back(&[&far]).await;
    eprintln!("all are back {took:?} after the origin was killed");
    publisher.vanish();

    // An origin that nobody follows: its viewers elsewhere are told that the picture is away.
    let mut origin = node(&database, &redis).await;
    let _publisher = Publisher::start(&whip(&origin.base, &sale), &key).await.expect("on air");
    back(&[&far, &moved]).await;
    origin.kill();
    let until = Instant::now() + Duration::from_secs(15);
    loop {
        let live = sale.liver.get(&format!("/v1/lives/{}", sale.live)).await.expect(200);
        if live["media"] == "away" {
            break;
        }
        assert!(Instant::now() < until, "still {}", live["media"]);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    drop((far, moved));
    edge.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_edge_costs_its_viewers_a_moment_and_others_nothing() {
    let (redis, database) = (RedisServer::start().await, Database::fresh(Engine::Postgres).await);
    let servers = servers(2, &database, &redis).await;
    let bases: Vec<String> = servers.iter().map(Server::loopback_url).collect();
    let mut edge = node(&database, &redis).await;
    let sale = Sale::open_at(&bases[0], Plan::default()).await;
    let key = stream_key(&sale).await;
    let publisher = Publisher::start(&whip(&bases[0], &sale), &key).await.expect("on air");
    let (near, far) = (watch(&bases[0], &sale).await, watch(&edge.base, &sale).await);
    for watcher in [&near, &far] {
        watcher.until("a picture", |w| w.frames() >= 24).await;
    }

    edge.kill();
    let killed = Instant::now();
    // As the player does: it asks again, and is led to a node that did not have the picture yet.
    let moved = watch(&bases[1], &sale).await;
    moved.until("a picture", |w| w.frames() > 0).await;
    let took = killed.elapsed();
    eprintln!("a viewer is back {took:?} after its edge was killed");
    assert!(took < BACK_WITHIN, "{took:?}");
    moved.until("a second of it", |w| w.frames() >= 24).await;
    assert_eq!((moved.gaps_and_repeats(), near.gaps_and_repeats()), ((0, 0), (0, 0)));
    publisher.end().await;
    stop(servers).await;
}
