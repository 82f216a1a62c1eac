//! What goes wrong between an origin and an edge: answers that nobody waits for, pulls that bring nothing, a bus that is
//! away in the wrong moment. Whatever it is, the next viewer sees the picture.

use std::time::Duration;

use hanamichi::{
    app::Server,
    ids::LiveId,
    live::Picture,
    media::{MediaError, Sources},
};
use serde_json::json;
use tokio::{task::JoinSet, time::Instant};

use crate::{
    harness::{Actor, Database, Engine, PATIENCE, Plan, Sale},
    hub::Socket,
    media::is_media,
    peer::{Publisher, Watcher},
    redis::RedisServer,
    relay::{node, servers, sources, stop, stream_key, watch, whip},
};

fn id(sale: &Sale) -> LiveId {
    LiveId::parse(&sale.live).expect("an id")
}

/// A picture at the first of two nodes, watched there.
struct OnAir {
    redis: RedisServer,
    servers: Vec<Server>,
    bases: Vec<String>,
    sale: Sale,
    key: String,
    publisher: Publisher,
    near: Watcher,
    _database: Database,
}

impl OnAir {
    async fn open() -> Self {
        let (redis, database) = (RedisServer::start().await, Database::fresh(Engine::Postgres).await);
        let servers = servers(2, &database, &redis).await;
        let bases: Vec<String> = servers.iter().map(Server::loopback_url).collect();
        let sale = Sale::open_at(&bases[0], Plan::default()).await;
        let key = stream_key(&sale).await;
        let publisher = Publisher::start(&whip(&bases[0], &sale), &key).await.expect("on air");
        let near = watch(&bases[0], &sale).await;
        near.until("a picture", |w| w.frames() >= 24).await;
        Self { redis, servers, bases, sale, key, publisher, near, _database: database }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_that_leaves_while_the_origin_is_asked_costs_the_next_one_nothing() {
    let (redis, database) = (RedisServer::start().await, Database::fresh(Engine::Postgres).await);
    let edge = servers(1, &database, &redis).await.remove(0);
    let origin = node(&database, &redis).await;
    let sale = Sale::open_at(&edge.loopback_url(), Plan::default()).await;
    let key = stream_key(&sale).await;
    let publisher = Publisher::start(&whip(&origin.base, &sale), &key).await.expect("on air");
    watch(&origin.base, &sale).await.until("a picture", |w| w.frames() >= 24).await;

    origin.freeze();
    let live = id(&sale);
    let impatient = tokio::time::timeout(Duration::from_millis(500), edge.app.cascade.fetch(&live)).await;
    assert!(impatient.is_err(), "the origin is frozen: {impatient:?}");
    origin.thaw();
    watch(&edge.loopback_url(), &sale).await.until("the picture", |w| w.frames() >= 24).await;
    publisher.end().await;
    edge.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_that_was_answered_and_brought_nothing_is_made_again() {
    let OnAir { servers, bases, sale, publisher, _database, redis: _redis, .. } = OnAir::open().await;
    let (live, edge) = (id(&sale), &servers[1].app);
    let spoiling = async {
        loop {
            // Nothing is dropped before the origin has answered.
            edge.media.drop_sources(&live, Sources::Pulls).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let fetched = tokio::select! {
        fetched = edge.cascade.fetch(&live) => fetched,
        () = spoiling => unreachable!("it goes on for ever"),
    };
    assert!(matches!(fetched, Err(MediaError::NoPublisher)), "{fetched:?}");
    watch(&bases[1], &sale).await.until("the picture", |w| w.frames() >= 24).await;
    publisher.end().await;
    stop(servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_viewers_at_an_edge_finds_the_picture() {
    let OnAir { servers, sale, publisher, _database, redis: _redis, .. } = OnAir::open().await;
    let (live, mut asking) = (id(&sale), JoinSet::new());
    for _ in 0..5_000 {
        let (live, app) = (live.clone(), servers[1].app.clone());
        asking.spawn(async move { app.cascade.fetch(&live).await });
    }
    let failed = asking.join_all().await.into_iter().filter(Result::is_err).count();
    assert_eq!(failed, 0);
    publisher.end().await;
    stop(servers).await;
}

/// The bus forgets nothing, and is away in the very moment when the publisher arrives elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_that_moves_while_the_bus_is_away_stays_where_it_is() {
    let OnAir { mut redis, servers, bases, sale, key, publisher, near, _database } = OnAir::open().await;
    redis.save().await;
    redis.kill();
    publisher.vanish();
    let publisher = Publisher::start(&whip(&bases[1], &sale), &key).await.expect("on air at the other node");
    watch(&bases[1], &sale).await.until("a picture", |w| w.frames() > 0).await;
    redis.start_again().await;
    let until = Instant::now() + PATIENCE;
    while sources(&servers[0], &sale).await != (false, true, 1) {
        assert!(Instant::now() < until, "{:?}", sources(&servers[0], &sale).await);
        assert!(sources(&servers[1], &sale).await.0, "the newer one was dropped for the older one");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let seen = near.frames();
    near.until("the picture goes on", |w| w.frames() >= seen + 24).await;
    publisher.end().await;
    stop(servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_that_was_called_away_by_mistake_is_told_of_again() {
    let OnAir { servers, bases, sale, publisher, _database, redis: _redis, .. } = OnAir::open().await;
    let live = id(&sale);
    let mut room = Socket::join(&Actor::guest(&bases[1]), &sale.live, json!({})).await;
    // As a node does that finds no origin in the moment when the next one comes.
    servers[1].app.lives.media_changed(&live, Picture::Away).await;
    room.until("the picture is away", |frame| is_media(frame, "away")).await;
    let until = Instant::now() + PATIENCE;
    while servers[1].app.lives.media(&live) != "up" {
        assert!(Instant::now() < until, "never up again at {}", bases[1]);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    publisher.end().await;
    stop(servers).await;
}

/// A publisher that is silent for some seconds is shown as it was left, at its node and at others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_seen_is_not_shown_again_while_a_publisher_is_silent() {
    let OnAir { servers, bases, sale, publisher, near, _database, redis: _redis, .. } = OnAir::open().await;
    let far = watch(&bases[1], &sale).await;
    far.until("a picture", |w| w.frames() >= 48).await;
    publisher.vanish();
    // What is on its way arrives; what is asked for again too.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (seen_near, seen_far) = (near.frames(), far.frames());
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    assert_eq!((near.frames() - seen_near, far.frames() - seen_far), (0, 0));
    assert_eq!(sources(&servers[1], &sale).await, (false, true, 1));
    stop(servers).await;
}

/// Who watched it was where it came in, so no other node has lost anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_that_went_with_its_node_is_away_once_somebody_asks_for_it() {
    let (redis, database) = (RedisServer::start().await, Database::fresh(Engine::Postgres).await);
    let edge = servers(1, &database, &redis).await.remove(0);
    let mut origin = node(&database, &redis).await;
    let sale = Sale::open_at(&edge.loopback_url(), Plan::default()).await;
    let key = stream_key(&sale).await;
    let _publisher = Publisher::start(&whip(&origin.base, &sale), &key).await.expect("on air");
    let live = id(&sale);
    let told = async |media: &str| {
        let until = Instant::now() + PATIENCE;
        while edge.app.lives.media(&live) != media {
            assert!(Instant::now() < until, "never {media}");
            let _ = edge.app.cascade.fetch(&live).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    told("up").await;
    edge.app.media.drop_sources(&live, Sources::Pulls).await;
    origin.kill();
    told("away").await;
    edge.stop().await;
}

/// The bus went, and with it what was on its way, while the node was not looking.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_that_ended_unheard_ends_at_every_node() {
    let (mut redis, database) = (RedisServer::start().await, Database::fresh(Engine::Postgres).await);
    let other = servers(1, &database, &redis).await.remove(0);
    let origin = node(&database, &redis).await;
    let sale = Sale::open_at(&other.loopback_url(), Plan::default()).await;
    let key = stream_key(&sale).await;
    let publisher = Publisher::start(&whip(&origin.base, &sale), &key).await.expect("on air");
    watch(&origin.base, &sale).await.until("a picture", |w| w.frames() >= 24).await;
    origin.freeze();
    redis.kill();
    sale.liver.post(&format!("/v1/lives/{}/end", sale.live), json!({})).await.expect(200);
    redis.start_again().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    origin.thaw();
    publisher.dismissed().await;
    other.stop().await;
}
