//! One live on several nodes: what is done on one is seen on all, under the same numbers; who changes nodes misses and
//! repeats nothing; nodes and Redis may go and come back.

use std::time::Duration;

use hanamichi::{
    app::Server,
    clock::Clock,
    config::{BusKind, Config},
    live::Codec,
};
use serde_json::json;

use crate::{
    flow::Flow,
    harness::{Actor, Database, Engine, PATIENCE, Plan, Process, Sale, config, free_port, text, verify},
    hub::Socket,
    redis::RedisServer,
    viewer::{Seen, Viewer, all_agree, assert_one_history},
};

/// More than anybody buys.
pub const UNITS: i64 = 10_000;
/// Between two steps of a live in full swing.
pub const PAUSE: Duration = Duration::from_millis(4);

fn plenty() -> Plan {
    Plan { units: UNITS, ..Plan::default() }
}

/// Two servers in this process, over one database and one Redis.
pub struct Pair {
    pub servers: Vec<Server>,
    pub bases: Vec<String>,
    database: Database,
    pub redis: RedisServer,
    pub sale: Sale,
}

pub fn node_config(database: &str, redis: &str) -> Config {
    Config { bus: BusKind::Redis, redis_url: redis.to_owned(), ..config(database) }
}

impl Pair {
    pub async fn open() -> Self {
        let (redis, database) = (RedisServer::start().await, Database::fresh(Engine::Postgres).await);
        let mut servers = Vec::new();
        for _ in 0..2 {
            let settings = node_config(&database.url, &redis.url());
            servers.push(Server::start(settings, Clock::system()).await.expect("the node starts"));
        }
        let bases: Vec<_> = servers.iter().map(Server::loopback_url).collect();
        let sale = Sale::open_at(&bases[0], plenty()).await;
        let pair = Self { servers, bases, database, redis, sale };
        // Until both are connected with Redis, they tell their own.
        all_agree(PATIENCE, &pair.sale.live, &pair.bases, &[]).await;
        pair
    }

    /// The other node first.
    fn bases_from(&self, n: usize) -> Vec<String> {
        vec![self.bases[n % 2].clone(), self.bases[(n + 1) % 2].clone()]
    }

    /// So many guests, every other one on the other node, in both codecs.
    pub async fn viewers(&self, count: usize) -> Vec<Viewer> {
        let mut viewers = Vec::new();
        for n in 0..count {
            let (guest, bases) = (Actor::guest(&self.bases[0]), self.bases_from(n));
            let codec = Codec::ALL[n / 2 % 2];
            viewers.push(Viewer::join(&guest, &self.sale.live, codec, &bases).await);
        }
        viewers
    }

    pub async fn close(self) {
        verify(&self.database.url).await;
        for server in self.servers {
            server.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_changes_nodes_again_and_again_misses_and_repeats_nothing() {
    const MOVES: usize = 25;
    let pair = Pair::open().await;
    // Four who stay, and four who move.
    let (staying, moving) = (pair.viewers(4).await, pair.viewers(4).await);
    let flow = Flow::begin(&pair.sale, &pair.bases, PAUSE).await;
    for _ in 0..MOVES {
        flow.some_more(1).await;
        for viewer in &moving {
            viewer.move_on().await;
        }
    }
    let done = flow.end().await;
    let viewers: Vec<_> = staying.into_iter().chain(moving).collect();
    let truth = all_agree(PATIENCE, &pair.sale.live, &pair.bases, &viewers).await;
    done.assert_in(&truth, UNITS);
    assert_one_history(&viewers);
    for viewer in &viewers {
        viewer.assert_whole(1);
        done.assert_told(viewer);
    }
    drop(viewers);
    pair.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_killed_leaves_its_viewers_to_the_other() {
    let (redis, database) = (RedisServer::start().await, Database::fresh(Engine::Postgres).await);
    let bus = [("HANAMICHI_BUS", "redis"), ("HANAMICHI_REDIS_URL", &redis.url())];
    let (mut first, second) = tokio::join!(
        Process::start_with(&database.url, free_port(), &bus),
        Process::start_with(&database.url, free_port(), &bus)
    );
    let bases = [first.base.clone(), second.base.clone()];
    let sale = Sale::open_at(&second.base, plenty()).await;
    all_agree(PATIENCE, &sale.live, &bases, &[]).await;
    let mut viewers = Vec::new();
    for n in 0..12 {
        let from = if n % 3 == 0 { [bases[1].clone(), bases[0].clone()] } else { bases.clone() };
        viewers.push(Viewer::join(&Actor::guest(&bases[0]), &sale.live, Codec::ALL[n % 2], &from).await);
    }
    let flow = Flow::begin(&sale, &bases, PAUSE).await;
    flow.some_more(20).await;
    first.kill();
    flow.some_more(40).await;
    let done = flow.end().await;
    let truth = all_agree(PATIENCE, &sale.live, &bases[1..], &viewers).await;
    done.assert_in(&truth, UNITS);
    assert_one_history(&viewers);
    for viewer in &viewers {
        viewer.assert_whole(1);
        done.assert_told(viewer);
    }
    verify(&database.url).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_opens_late_knows_what_was_told_and_shares_all_that_is() {
    let mut pair = Pair::open().await;
    let mut settings = node_config(&pair.database.url, &pair.redis.url());
    settings.listen.set_port(free_port());
    let late = format!("http://{}", settings.listen);
    let bases = [pair.bases[0].clone(), late.clone()];
    let mut viewers = Vec::new();
    for n in 0..4 {
        viewers.push(Viewer::join(&Actor::guest(&late), &pair.sale.live, Codec::ALL[n % 2], &bases).await);
    }
    let flow = Flow::begin(&pair.sale, &pair.bases, PAUSE).await;
    flow.some_more(15).await;
    // They are away when it opens, and while more happens.
    pair.servers.push(Server::start(settings, Clock::system()).await.expect("the node starts"));
    for viewer in &viewers {
        viewer.move_on().await;
        flow.some_more(3).await;
    }
    let done = flow.end().await;
    let nodes = [pair.bases[0].clone(), pair.bases[1].clone(), late.clone()];
    let truth = all_agree(PATIENCE, &pair.sale.live, &nodes, &viewers).await;
    done.assert_in(&truth, UNITS);
    assert_one_history(&viewers);
    for viewer in &viewers {
        viewer.assert_whole(1);
        done.assert_told(viewer);
        assert_eq!(viewer.base(), late);
    }

    // Who watches is counted over all nodes.
    let here = pair.viewers(6).await;
    for viewer in viewers.iter().chain(&here) {
        viewer.until("everybody is counted", |seen| seen.mirror.viewers == 10).await;
    }
    drop(here);
    for viewer in &viewers {
        viewer.until("who left is not", |seen| seen.mirror.viewers == 4).await;
    }
    // What is said on one node is heard on another, and who keeps order does so everywhere.
    let noisy = Actor::sign_up(&pair.bases[1], "うるさい人").await;
    let path = format!("/v1/lives/{}", pair.sale.live);
    let said = noisy.post(&format!("{path}/chat"), json!({ "text": "聞こえますか" })).await.expect(201);
    let heard = |id: String| move |seen: &Seen| seen.mirror.chat.iter().any(|line| line.id == id);
    for viewer in &viewers {
        viewer.until("the line", heard(text(&said, "id"))).await;
    }
    let mut sits = Socket::join(&noisy.at(&late), &pair.sale.live, json!({})).await;
    let ban = json!({ "chat_id": said["id"], "delete_lines": true });
    pair.sale.liver.post(&format!("{path}/bans"), ban).await.expect(201);
    let mut goodbye = None;
    while let Some(frame) = sits.next().await {
        goodbye = frame["goodbye"]["reason"].as_str().map(str::to_owned).or(goodbye);
    }
    assert_eq!(goodbye.as_deref(), Some("banned"), "on the other node too");
    for viewer in &viewers {
        let id = text(&said, "id");
        viewer.until("the line is gone", move |seen| seen.mirror.chat.iter().all(|line| line.id != id)).await;
        viewer.assert_whole(1);
    }
    drop(viewers);
    pair.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_restart_one_after_the_other_lose_no_viewer_and_no_event() {
    let (redis, database) = (RedisServer::start().await, Database::fresh(Engine::Postgres).await);
    let url = redis.url();
    let bus = [("HANAMICHI_BUS", "redis"), ("HANAMICHI_REDIS_URL", &*url)];
    let ports = [free_port(), free_port()];
    let mut nodes = Vec::new();
    for port in ports {
        nodes.push(Process::start_with(&database.url, port, &bus).await);
    }
    let bases = [nodes[0].base.clone(), nodes[1].base.clone()];
    let sale = Sale::open_at(&bases[0], plenty()).await;
    all_agree(PATIENCE, &sale.live, &bases, &[]).await;
    let mut viewers = Vec::new();
    for n in 0..20 {
        let from = [bases[n % 2].clone(), bases[(n + 1) % 2].clone()];
        viewers.push(Viewer::join(&Actor::guest(&bases[0]), &sale.live, Codec::ALL[n / 2 % 2], &from).await);
    }
    let flow = Flow::begin(&sale, &bases, PAUSE).await;
    for n in 0..2 {
        flow.some_more(10).await;
        let sent = |viewer: &Viewer| viewer.look(|seen| seen.goodbyes.len());
        let there: Vec<_> = viewers.iter().filter(|viewer| viewer.base() == bases[n]).collect();
        let before: Vec<_> = there.iter().map(|viewer| sent(viewer)).collect();
        nodes[n].stop().await;
        for (viewer, before) in there.iter().zip(before) {
            assert_eq!(sent(viewer), before + 1, "each is told");
            viewer.until("back", |seen| seen.arrivals > seen.goodbyes.len()).await;
        }
        flow.some_more(10).await;
        nodes[n] = Process::start_with(&database.url, ports[n], &bus).await;
    }
    let done = flow.end().await;
    let truth = all_agree(PATIENCE, &sale.live, &bases, &viewers).await;
    done.assert_in(&truth, UNITS);
    assert_one_history(&viewers);
    for viewer in &viewers {
        viewer.assert_whole(1);
        done.assert_told(viewer);
        viewer.look(|seen| {
            assert!(seen.goodbyes.iter().all(|ms| (500..=2_000).contains(ms)), "{:?}", seen.goodbyes);
            assert_eq!(seen.closes, vec![1001; seen.goodbyes.len()]);
            assert_eq!(seen.arrivals, 1 + seen.goodbyes.len(), "nobody was cut without a word");
        });
    }
    verify(&database.url).await;
}
