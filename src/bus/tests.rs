//! What every bus must do, and what the outbox promises over it.

use std::time::Duration;

use super::*;
use crate::{
    clock::Clock,
    ids::{AccountId, SkuId},
    store::Db,
    tasks::Tasks,
    wire::ordered::Event,
};

/// One list of promises for every bus: `first` and `second` are two nodes' handles of one bus.
async fn a_bus_keeps_its_promises(node: Bus, other: Bus) {
    what_is_published_is_heard(node.clone()).await;
    what_is_ordered_has_one_place(node.clone(), other.clone()).await;
    an_edge_is_told_once(&node, &other).await;
    a_history_stands_where_it_was_left(&node, &other).await;
}

async fn what_is_published_is_heard(bus: Bus) {
    let (mut first, mut second) = (bus.subscribe(), bus.subscribe());
    let facts: Vec<_> = (0..100).map(sold).collect();
    for fact in &facts {
        bus.publish(fact.clone()).await.expect("the bus is up");
    }
    for fact in &facts {
        assert_eq!(fact_of(first.next().await).as_deref(), Some(fact), "in order, without loss");
        assert_eq!(fact_of(second.next().await).as_deref(), Some(fact), "to everybody");
    }
    // Who is gone holds nobody up, and who is full misses only what was offered.
    drop(second);
    for n in 0..10_000 {
        bus.offer(sold(n));
    }
    assert_eq!(fact_of(first.next().await).as_deref(), Some(&sold(0)));
    let mut late = bus.subscribe();
    let published = bus.clone();
    let publishing = async move { published.publish(sold(-7)).await.expect("the bus is up") };
    let hearing = async { while fact_of(first.next().await).as_deref() != Some(&sold(-7)) {} };
    tokio::join!(publishing, hearing);
    while fact_of(late.next().await).as_deref() != Some(&sold(-7)) {}
}

fn title(live: &LiveId, version: i64) -> Fact {
    let changed = wire::Live { title: format!("{version}"), version, ..wire::Live::default() };
    Fact::Ordered { live: live.clone(), event: Event::LiveChanged(changed) }
}

/// The places that were given in a live, with what is there, until so many.
async fn places(heard: &mut Subscriber, live: &LiveId, count: usize) -> Vec<(u64, Fact)> {
    let mut places = Vec::new();
    while places.len() < count {
        let next = tokio::time::timeout(Duration::from_secs(10), heard.next()).await.expect("told soon");
        if let Some(Heard::Fact(fact, Some(place))) = next
            && fact.ordered_in() == Some(live)
        {
            places.push((place.seq, (*fact).clone()));
        }
    }
    places
}

async fn what_is_ordered_has_one_place(node: Bus, other: Bus) {
    const TITLES: i64 = 200;
    let (one, two) = (LiveId::fresh(), LiveId::fresh());
    let (mut here, mut there) = (node.subscribe(), other.subscribe());
    // Both nodes tell the same, as after a crash, and everything twice.
    let tell = async |bus: Bus, live: LiveId| {
        for version in 1..=TITLES {
            bus.publish_all(vec![title(&live, version), title(&live, version - 1)]).await.expect("the bus is up");
        }
    };
    tokio::join!(tell(node.clone(), one.clone()), tell(other.clone(), one.clone()), tell(node.clone(), two.clone()));
    node.publish(Fact::Media { live: one.clone(), media: "away".into() }).await.expect("the bus is up");
    let last = node.position(&one).await.expect("the bus is up");
    let count = usize::try_from(last.seq).expect("few");
    let (a, b) = (places(&mut here, &one, count).await, places(&mut there, &one, count).await);
    assert_eq!(a, b, "every node hears the same at the same places");
    assert!(a.iter().map(|(seq, _)| *seq).eq(1..=last.seq), "no holes");
    let versions = a.iter().filter_map(|(_, fact)| match fact {
        Fact::Ordered { event: Event::LiveChanged(live), .. } => Some(live.version),
        _ => None,
    });
    let versions: Vec<_> = versions.collect();
    assert!(versions.windows(2).all(|pair| pair[0] < pair[1]), "none twice, none backwards: {versions:?}");
    assert_eq!(versions.last(), Some(&TITLES));
    assert_eq!(last.media.as_deref(), Some("away"));
    let other_live = other.position(&two).await.expect("the bus is up");
    assert_eq!(other_live.seq, u64::try_from(TITLES).expect("positive"), "lives have places of their own");
}

async fn an_edge_is_told_once(node: &Bus, other: &Bus) {
    let live = LiveId::fresh();
    let mut heard = other.subscribe();
    let sku = SkuId::fresh();
    let edge = |version, sold_out: bool| {
        let stock = wire::Stock { sku_id: sku.to_string(), available: i64::from(!sold_out), version };
        let event = if sold_out { Event::SoldOut(stock) } else { Event::Restocked(stock) };
        Fact::Ordered { live: live.clone(), event }
    };
    for (version, sold_out) in [(5, true), (6, true), (4, false), (7, false), (8, true)] {
        node.publish(edge(version, sold_out)).await.expect("the bus is up");
        other.publish(edge(version, sold_out)).await.expect("the bus is up");
    }
    let told: Vec<_> = places(&mut heard, &live, 3).await.into_iter().map(|(_, fact)| fact).collect();
    assert_eq!(told, [edge(5, true), edge(7, false), edge(8, true)]);
    assert_eq!(node.position(&live).await.expect("the bus is up").seq, 3);
}

async fn a_history_stands_where_it_was_left(node: &Bus, other: &Bus) {
    let live = LiveId::fresh();
    let before = node.position(&live).await.expect("the bus is up");
    assert_eq!((before.seq, &before.media), (0, &None));
    for version in 1..=40 {
        node.publish(title(&live, version)).await.expect("the bus is up");
    }
    let after = other.position(&live).await.expect("the bus is up");
    assert_eq!((after.seq, &after.epoch), (40, &before.epoch));
    let place = Place { epoch: before.epoch, seq: 30, at: Millis(0) };
    let history = other.history(&live, &place).await.expect("the bus is up");
    if node.is_shared() {
        let told: Vec<_> = history.iter().map(|(fact, place)| (place.seq, (**fact).clone())).collect();
        let expected: Vec<_> = (31..=40).map(|n| (n, title(&live, i64::try_from(n).expect("few")))).collect();
        assert_eq!(told, expected, "who has a hole fetches what is in it");
        let foreign = Place { epoch: "another".into(), ..place };
        assert!(other.history(&live, &foreign).await.expect("the bus is up").is_empty());
    }
}

fn fact_of(heard: Option<Heard>) -> Option<Arc<Fact>> {
    match heard? {
        Heard::Fact(fact, _) => Some(fact),
        Heard::Missed => None,
    }
}

fn sold(n: i64) -> Fact {
    static LIVE: std::sync::LazyLock<LiveId> = std::sync::LazyLock::new(LiveId::fresh);
    Fact::Sold { live: LIVE.clone(), units: n, gross_minor: n * 1_000 }
}

#[tokio::test]
async fn the_local_bus_keeps_its_promises() {
    let bus = Bus::local(Clock::system());
    a_bus_keeps_its_promises(bus.clone(), bus).await;
}

/// A Redis of this test's own; it goes when it is dropped.
struct Server {
    process: std::process::Child,
    port: u16,
}

impl Server {
    fn start() -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
        Self { process: Self::spawn(port), port }
    }

    fn spawn(port: u16) -> std::process::Child {
        std::process::Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("redis-server is installed: run `make test`")
    }

    fn bus(&self, tasks: &Tasks) -> Bus {
        Bus::redis(&format!("redis://127.0.0.1:{}", self.port), Clock::system(), tasks).expect("an address")
    }

    fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

#[tokio::test]
async fn the_redis_bus_keeps_its_promises() {
    let (server, tasks) = (Server::start(), Tasks::new());
    let (node, other) = (server.bus(&tasks), server.bus(&tasks));
    // Until they are connected they go on alone.
    let live = LiveId::fresh();
    while node.position(&live).await.expect("it answers").epoch
        != other.position(&live).await.expect("it answers").epoch
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    a_bus_keeps_its_promises(node, other).await;
    tasks.stop().await;
}

#[tokio::test]
async fn without_redis_a_node_goes_on_alone_and_then_begins_anew() {
    let (mut server, tasks) = (Server::start(), Tasks::new());
    let bus = server.bus(&tasks);
    let live = LiveId::fresh();
    // A node that is alone answers at once: whoever asks in a loop must let the one that connects have its turn.
    while bus.publish(title(&live, 1)).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let first = bus.position(&live).await.expect("it answers");
    let mut heard = bus.subscribe();
    server.kill();
    // Not told to everybody, so the relay will come back with it; but told here.
    while bus.publish(title(&live, 2)).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let alone = async {
        loop {
            let _ = bus.publish(title(&live, 2)).await;
            let position = bus.position(&live).await;
            if position.is_ok_and(|position| position.epoch != first.epoch && position.seq > 0) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), alone).await.expect("it goes on alone");
    let told = places(&mut heard, &live, 1).await;
    assert_eq!(told, [(1, title(&live, 2))]);
    server.process = Server::spawn(server.port);
    let back = async { while heard.next().await != Some(Heard::Missed) {} };
    tokio::time::timeout(Duration::from_secs(5), back).await.expect("everybody is told to look again");
    let renewed = bus.position(&live).await.expect("it answers");
    assert!(renewed.epoch != first.epoch && renewed.seq == 0);
    bus.publish(title(&live, 2)).await.expect("it is back");
    assert_eq!(bus.position(&live).await.expect("it answers").seq, 1);
    // Emptied under our hands.
    let client = ::redis::Client::open(format!("redis://127.0.0.1:{}", server.port)).expect("an address");
    let mut commands = client.get_multiplexed_async_connection().await.expect("it is up");
    let () = ::redis::cmd("FLUSHALL").query_async(&mut commands).await.expect("it is emptied");
    let again = async { while heard.next().await != Some(Heard::Missed) {} };
    tokio::time::timeout(Duration::from_secs(5), again).await.expect("it is noticed");
    assert_ne!(bus.position(&live).await.expect("it answers").epoch, renewed.epoch);
    tasks.stop().await;
}

#[test]
fn every_fact_survives_its_json() {
    let live = LiveId::fresh();
    let stock = wire::Stock { sku_id: SkuId::fresh().to_string(), available: 3, version: i64::MAX };
    let facts = [
        Fact::Ordered { live: live.clone(), event: Event::SoldOut(stock.clone()) },
        Fact::Ordered { live: live.clone(), event: Event::Unpinned(wire::Unpinned { pin_id: "p".into(), version: 2 }) },
        Fact::Question {
            live: live.clone(),
            question: wire::Question { text: "色は？".into(), ..Default::default() },
            by: Some(Voice::Voted(CustomerId::fresh())),
        },
        Fact::Moderation { liver: LiverId::fresh(), version: 3 },
        Fact::Follow { liver: LiverId::fresh(), customer: CustomerId::fresh(), following: true, version: 1 },
        Fact::Stock { stock, edge: StockEdge::Restocked },
        Fact::Purchase {
            customer: CustomerId::fresh(),
            status: wire::PurchaseStatus { state: "authorized".into(), total_minor: 1, ..Default::default() },
        },
        Fact::Left { live: live.clone(), left: wire::OfferLeft { offer_id: "ofr".into(), left: 3, version: 4 } },
        Fact::Wait {
            customer: CustomerId::fresh(),
            wait: wire::Wait { state: "waiting".into(), qty: 1, ..Default::default() },
        },
        Fact::Pickup {
            customer: CustomerId::fresh(),
            pickup: wire::Pickup { state: "ready".into(), version: 2, ..Default::default() },
        },
        Fact::Sold { live: live.clone(), units: 1, gross_minor: 1 },
        Fact::Chat {
            live: live.clone(),
            author: Some(AccountId::fresh()),
            message: wire::ChatMessage { text: "👏".into(), ..Default::default() },
        },
        Fact::Reactions { live: live.clone(), more: vec![wire::ReactionCount { kind: "heart".into(), total: 3 }] },
        Fact::Presence { live: live.clone(), node: "n".into(), viewers: 3, uniques: None },
        Fact::Media { live, media: "up".into() },
    ];
    for fact in facts {
        let text = serde_json::to_string(&fact).expect("it writes");
        assert_eq!(serde_json::from_str::<Fact>(&text).expect("it reads"), fact, "{text}");
    }
}

async fn database() -> Db {
    let name = OutboxName::fresh();
    let db = Db::connect(&format!("sqlite:{}", name.0)).await.expect("a file in the temporary directory");
    db.migrate().await.expect("a fresh schema");
    db
}

struct OutboxName(String);

impl OutboxName {
    fn fresh() -> Self {
        let id = crate::ids::OutboxId::fresh();
        Self(std::env::temp_dir().join(format!("{id}.db")).display().to_string())
    }
}

async fn untold_rows(db: &Db) -> i64 {
    let mut tx = db.read("count").await.expect("a connection");
    let (count,) = crate::on!(&mut tx, |conn| {
        sqlx::query_as::<_, (i64,)>("SELECT COUNT(*) FROM outbox WHERE told_at_ms IS NULL")
            .fetch_one(conn)
            .await
            .expect("it counts")
    });
    count
}

#[tokio::test]
async fn what_is_committed_is_told_in_order_and_what_is_rolled_back_is_not() {
    let (db, bus, clock) = (database().await, Bus::local(Clock::system()), Clock::system());
    let mut heard = bus.subscribe();
    // Left by a process that was killed before it told.
    let mut tx = db.write("before the crash").await.expect("a connection");
    append(&mut tx, sold(0), clock.now()).await.expect("it appends");
    tx.commit().await.expect("it commits");

    let (relay, tasks) = (Relay::new(db.clone(), bus, clock.clone()), Tasks::new());
    relay.start(&tasks);
    assert_eq!(fact_of(heard.next().await).as_deref(), Some(&sold(0)));

    let mut tx = db.write("rolled back").await.expect("a connection");
    append(&mut tx, sold(666), clock.now()).await.expect("it appends");
    drop(tx);
    let mut tx = db.write("many").await.expect("a connection");
    let facts: Vec<_> = (1..=600).map(sold).collect();
    append_many(&mut tx, facts.clone(), clock.now()).await.expect("it appends");
    tx.commit().await.expect("it commits");
    relay.ring();
    let mut tx = db.write("handed over").await.expect("a connection");
    let more: Vec<_> = (601..=900).map(sold).collect();
    let written = append_many(&mut tx, more.clone(), clock.now()).await.expect("it appends");
    tx.commit().await.expect("it commits");
    for fact in &facts {
        let next = tokio::time::timeout(Duration::from_secs(5), heard.next()).await.expect("told soon");
        assert_eq!(fact_of(next).as_deref(), Some(fact));
    }
    relay.tell(written);
    let mut last = fact_of(heard.next().await);
    while last.as_deref() != Some(&sold(900)) {
        last = fact_of(tokio::time::timeout(Duration::from_secs(5), heard.next()).await.expect("told soon"));
    }
    tasks.stop().await;
    assert_eq!(untold_rows(&db).await, 0);
}
