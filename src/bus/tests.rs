//! What every bus must do, and what the outbox promises over it.

use std::time::Duration;

use super::*;
use crate::{clock::Clock, ids::SkuId, store::Db, tasks::Tasks, wire::ordered::Event};

/// One list of promises; another adapter is another call with its own constructor.
async fn a_bus_keeps_its_promises(bus: Bus) {
    let (mut first, mut second) = (bus.subscribe(), bus.subscribe());
    let facts: Vec<_> = (0..100).map(sold).collect();
    for fact in &facts {
        bus.publish(fact.clone()).await.expect("the bus is up");
    }
    for fact in &facts {
        assert_eq!(first.next().await.as_deref(), Some(fact), "in order, without loss");
        assert_eq!(second.next().await.as_deref(), Some(fact), "to everybody");
    }
    // Who is gone holds nobody up, and who is full misses only what was offered.
    drop(second);
    for n in 0..10_000 {
        bus.offer(sold(n));
    }
    assert_eq!(first.next().await.as_deref(), Some(&sold(0)));
    let mut late = bus.subscribe();
    let published = bus.clone();
    let publishing = async move { published.publish(sold(7)).await.expect("the bus is up") };
    let hearing = async { while first.next().await.as_deref() != Some(&sold(7)) {} };
    tokio::join!(publishing, hearing);
    assert_eq!(late.next().await.as_deref(), Some(&sold(7)), "a subscriber hears what follows");
}

fn sold(n: i64) -> Fact {
    static LIVE: std::sync::LazyLock<LiveId> = std::sync::LazyLock::new(LiveId::fresh);
    Fact::Sold { live: LIVE.clone(), units: n, gross_minor: n * 1_000 }
}

#[tokio::test]
async fn the_local_bus_keeps_its_promises() {
    a_bus_keeps_its_promises(Bus::local()).await;
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
        Fact::Sold { live: live.clone(), units: 1, gross_minor: 1 },
        Fact::Chat { live: live.clone(), message: wire::ChatMessage { text: "👏".into(), ..Default::default() } },
        Fact::Reactions { live: live.clone(), more: vec![wire::ReactionCount { kind: "heart".into(), total: 3 }] },
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
    let (db, bus, clock) = (database().await, Bus::local(), Clock::system());
    let mut heard = bus.subscribe();
    // Left by a process that was killed before it told.
    let mut tx = db.write("before the crash").await.expect("a connection");
    append(&mut tx, &sold(0), clock.now()).await.expect("it appends");
    tx.commit().await.expect("it commits");

    let (relay, tasks) = (Relay::new(db.clone(), bus, clock.clone()), Tasks::new());
    relay.start(&tasks);
    assert_eq!(heard.next().await.as_deref(), Some(&sold(0)));

    let mut tx = db.write("rolled back").await.expect("a connection");
    append(&mut tx, &sold(666), clock.now()).await.expect("it appends");
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
        assert_eq!(next.as_deref(), Some(fact));
    }
    relay.tell(written);
    let mut last = heard.next().await.expect("told");
    while *last != sold(900) {
        last = tokio::time::timeout(Duration::from_secs(5), heard.next()).await.expect("told soon").expect("told");
    }
    tasks.stop().await;
    assert_eq!(untold_rows(&db).await, 0);
}
