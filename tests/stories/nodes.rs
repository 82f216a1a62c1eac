//! Several servers over one database sell the same goods. They hear of each other through the rows alone.

use std::{collections::HashMap, time::Duration};

use hanamichi::{
    app::Server,
    clock::{Clock, Millis},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    crowd::Crowd,
    harness::{Actor, Answer, Books, Database, Engine, PATIENCE, Plan, Sale, config, fresh_name, text, verify},
};

struct Nodes {
    servers: Vec<Server>,
    clock: Clock,
    database: Database,
}

impl Nodes {
    async fn open(count: usize, clock: Clock) -> Self {
        Self::open_by(&vec![clock; count]).await
    }

    /// A node for each clock; the first is everybody's where one is asked for.
    async fn open_by(clocks: &[Clock]) -> Self {
        let database = Database::fresh(Engine::Postgres).await;
        let mut servers = Vec::new();
        for clock in clocks {
            servers.push(Server::start(config(&database.url), clock.clone()).await.expect("the node starts"));
        }
        Self { servers, clock: clocks[0].clone(), database }
    }

    /// Where the n-th person goes.
    fn base(&self, n: usize) -> String {
        self.servers[n % self.servers.len()].loopback_url()
    }

    async fn arrive(&self, people: usize) -> Vec<Actor> {
        let mut arriving = JoinSet::new();
        for n in 0..people {
            let base = self.base(n);
            arriving.spawn(async move { Actor::sign_up(&base, &format!("客{n}")).await });
        }
        arriving.join_all().await
    }

    async fn close(self) -> Books {
        verify(&self.database.url).await;
        for server in self.servers {
            server.stop().await;
        }
        Books::check(&self.database.url).await
    }
}

fn by_hand() -> Clock {
    Clock::manual(Millis(1_800_000_000_000))
}

/// One tap at a node, asked again while nobody knows.
async fn tap(buyer: &Actor, base: &str, key: &str, wish: &Value) -> Answer {
    let there = buyer.at(base);
    there.insist(there.keyed("/v1/purchases", key, wish)).await.0
}

fn path(purchase: &Value, verb: &str) -> String {
    format!("/v1/purchases/{}/{verb}", text(purchase, "id"))
}

async fn ninety_buyers_race_for_forty_units(count: usize) {
    let nodes = Nodes::open(count, Clock::system()).await;
    let sale = Sale::open_at(&nodes.base(0), Plan { units: 40, ..Plan::default() }).await;
    let mut race = JoinSet::new();
    for (n, buyer) in nodes.arrive(90).await.into_iter().enumerate() {
        let (here, there, offer) = (nodes.base(n), nodes.base(n + 1), sale.offer.clone());
        race.spawn(async move {
            let wish = json!({ "offer_id": offer, "qty": 1, "payment_method": "sandbox_card" });
            let key = fresh_name();
            let answer = tap(&buyer, &here, &key, &wish).await;
            if answer.status != 201 {
                return (n, answer.refused());
            }
            let again = tap(&buyer, &there, &key, &wish).await.expect(201);
            assert_eq!(again["id"], answer.body["id"], "the same tap has the same answer on another node");
            buyer.at(&there).until(&again, "authorized").await;
            (n, "sold".to_owned())
        });
    }
    let mut told: HashMap<String, usize> = HashMap::new();
    let mut sold_by = vec![0; count];
    for (n, answer) in race.join_all().await {
        sold_by[n % count] += usize::from(answer == "sold");
        *told.entry(answer).or_default() += 1;
    }
    assert_eq!(told, HashMap::from([("sold".to_owned(), 40), ("sold-out".to_owned(), 50)]), "{sold_by:?}");
    assert_eq!(sale.available().await, 0);
    let books = nodes.close().await;
    assert_eq!((books.orders, books.units_sold, books.held), (40, 40, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_sell_forty_units_to_ninety_buyers_once() {
    ninety_buyers_race_for_forty_units(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_sell_forty_units_to_ninety_buyers_once() {
    ninety_buyers_race_for_forty_units(3).await;
}

/// Shelves that nobody can write to: a batch has read and judged everything when it waits for them.
struct Barrier {
    pool: sqlx::PgPool,
}

impl Barrier {
    /// Runs `taps` so that the batches of `nodes` nodes have all decided before the first of them may write.
    async fn meet<T>(&self, skus: [&str; 2], nodes: i64, taps: impl Future<Output = T>) -> T {
        const CLOSE: &str = "SELECT sku_id FROM stock WHERE sku_id IN ($1, $2) FOR UPDATE";
        const WAITING: &str = "
            SELECT COUNT(*)
            FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'hanamichi-sequencer' AND wait_event_type = 'Lock'";
        let mut shelves = self.pool.begin().await.expect("a transaction");
        sqlx::query(CLOSE).bind(skus[0]).bind(skus[1]).execute(&mut *shelves).await.expect("the shelves");
        let open = async {
            let all_there = async {
                while sqlx::query_scalar::<_, i64>(WAITING).fetch_one(&self.pool).await.expect("a number") < nodes {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            };
            tokio::time::timeout(PATIENCE, all_there).await.expect("every node has decided");
            shelves.rollback().await.expect("the shelves are free");
        };
        tokio::join!(taps, open).0
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_holds_for_who_taps_two_variants_on_two_nodes_at_once() {
    let nodes = Nodes::open(2, Clock::system()).await;
    let sale = Sale::open_at(&nodes.base(0), Plan::default()).await;
    let variants = sale.add(2, 100, Some(1)).await;
    let [one, two] = [0, 1].map(|v| json!({ "offer_id": variants[v].1, "qty": 1 }));
    let barrier = Barrier { pool: sqlx::PgPool::connect(&nodes.database.url).await.expect("PostgreSQL answers") };
    for (n, buyer) in nodes.arrive(30).await.into_iter().enumerate() {
        let (here, there) = (nodes.base(n), nodes.base(n + 1));
        let (first, second) = (fresh_name(), fresh_name());
        // The variants are different SKUs, so their locks do not keep the nodes apart: each finds the limit unused.
        let taps = async { tokio::join!(tap(&buyer, &here, &first, &one), tap(&buyer, &there, &second, &two)) };
        let (a, b) = barrier.meet([&variants[0].0, &variants[1].0], 2, taps).await;
        let (granted, refused) = if a.status == 201 { (a, b) } else { (b, a) };
        assert_eq!(refused.refused(), "limit-reached");
        granted.expect(201);
    }
    let (a, b) = (sale.available_of(&variants[0].0).await, sale.available_of(&variants[1].0).await);
    assert_eq!(200 - a - b, 30, "one each");
    barrier.pool.close().await;
    assert_eq!(nodes.close().await.held, 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_tap_that_reaches_two_nodes_at_once_buys_once() {
    let nodes = Nodes::open(2, Clock::system()).await;
    // As many as there are buyers: a second purchase would be somebody else's only one.
    let sale = Sale::open_at(&nodes.base(0), Plan { units: 25, ..Plan::default() }).await;
    let mut tapping = JoinSet::new();
    for buyer in nodes.arrive(25).await {
        let (here, there, offer) = (nodes.base(0), nodes.base(1), sale.offer.clone());
        tapping.spawn(async move {
            let wish = json!({ "offer_id": offer, "qty": 1, "payment_method": "sandbox_card" });
            let key = fresh_name();
            let (a, b) = tokio::join!(tap(&buyer, &here, &key, &wish), tap(&buyer, &there, &key, &wish));
            let (a, b) = (a.expect(201), b.expect(201));
            assert_eq!(a["id"], b["id"]);
            buyer.until(&a, "authorized").await;
            let other = json!({ "offer_id": wish["offer_id"], "qty": 2, "payment_method": "sandbox_card" });
            assert_eq!(tap(&buyer, &there, &key, &other).await.refused(), "idempotency-key-reused");
        });
    }
    tapping.join_all().await;
    assert_eq!(sale.available().await, 0);
    let books = nodes.close().await;
    assert_eq!((books.orders, books.units_sold, books.held), (25, 25, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_of_one_node_is_paid_on_another_and_runs_out_on_either() {
    let mut nodes = Nodes::open(2, by_hand()).await;
    let sale = Sale::open_at(&nodes.base(1), Plan { units: 6, ..Plan::default() }).await;
    let buyer = Actor::sign_up(&nodes.base(1), "みお").await;
    let (there, here) = (buyer.at(&nodes.base(0)), buyer);
    let paid = there.buy(&sale.offer, 1, None).await.expect(201);
    here.post(&path(&paid, "pay"), json!({ "payment_method": "sandbox_card" })).await.expect(200);
    there.until(&paid, "authorized").await;

    // Both look for holds that are over; each hold is given back once.
    let mut held = Vec::new();
    for buyer in [&there, &here, &there, &here] {
        held.push(buyer.buy(&sale.offer, 1, None).await.expect(201));
    }
    assert_eq!(sale.available().await, 1);
    nodes.clock.advance(Duration::from_secs(181));
    for purchase in &held {
        assert_eq!(here.until(purchase, "expired").await["version"], 2, "it expired once");
    }
    assert_eq!(sale.available().await, 5);

    // The node that made the hold is gone.
    let orphan = there.buy(&sale.offer, 1, None).await.expect(201);
    nodes.servers.remove(0).stop().await;
    assert_eq!(sale.available().await, 4);
    nodes.clock.advance(Duration::from_secs(181));
    here.until(&orphan, "expired").await;
    assert_eq!(sale.available().await, 5);
    let books = nodes.close().await;
    assert_eq!((books.orders, books.held), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_in_line_on_one_node_is_served_by_a_release_on_another() {
    let nodes = Nodes::open(2, by_hand()).await;
    let (a, b) = (nodes.base(0), nodes.base(1));
    let sale = Sale::open_at(&a, Plan { units: 1, ..Plan::default() }).await;
    let holder = Actor::sign_up(&a, "先客").await;
    let waiter = Actor::sign_up(&a, "次の人").await;
    let held = holder.buy(&sale.offer, 1, None).await.expect(201);
    // Joining on both nodes at once is one place.
    let wish = json!({ "offer_id": sale.offer, "qty": 1 });
    let elsewhere = waiter.at(&b);
    let (here, there) = tokio::join!(waiter.post("/v1/waitlist", wish.clone()), elsewhere.post("/v1/waitlist", wish));
    let (here, there) = (here.expect(201), there.expect(201));
    assert_eq!((&here["id"], &here["state"]), (&there["id"], &json!("waiting")));

    holder.at(&b).post(&path(&held, "cancel"), json!({})).await.expect(200);
    let served = async {
        loop {
            let list = waiter.get("/v1/waitlist").await.expect(200);
            let items = list["items"].as_array().expect("a list");
            assert_eq!(items.len(), 1);
            if items[0]["state"] == "offered" {
                return items[0].clone();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let offered = tokio::time::timeout(PATIENCE, served).await.expect("it is served");
    let purchase = json!({ "id": offered["purchase_id"] });
    for node in [&a, &b] {
        assert_eq!(holder.at(node).buy(&sale.offer, 1, None).await.refused(), "sold-out", "it is the waiter's");
    }
    waiter.post(&path(&purchase, "pay"), json!({ "payment_method": "sandbox_card" })).await.expect(200);
    elsewhere.until(&purchase, "authorized").await;
    let books = nodes.close().await;
    assert_eq!((books.orders, books.units_sold, books.held), (1, 1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_crowd_over_three_nodes_is_told_the_truth() {
    let nodes = Nodes::open(3, Clock::system()).await;
    let bases: Vec<String> = (0..3).map(|n| nodes.base(n)).collect();
    let (mut crowd, people) = Crowd::gather(&bases).await;
    crowd.begin(people);
    crowd.some_more(400).await;
    let outcome = crowd.check(&nodes.database.url).await;
    eprintln!("three nodes: {outcome:?}");
    nodes.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_a_wrong_clock_sells_by_the_databases_time_or_not_at_all() {
    let nodes = Nodes::open_by(&[Clock::system(), Clock::wrong_by(240), Clock::wrong_by(-5_000)]).await;
    let sale = Sale::open_at(&nodes.base(0), Plan { units: 5, ..Plan::default() }).await;
    let buyer = Actor::sign_up(&nodes.base(0), "りん").await;
    let held = buyer.at(&nodes.base(1)).buy(&sale.offer, 1, None).await.expect(201);
    let now = Clock::system().now().0;
    let placed = held["placed_at_ms"].as_i64().expect("a time");
    assert!(placed <= now + 60, "placed {} ms from now, by a clock that is 240 ms ahead", placed - now);

    let refused = buyer.at(&nodes.base(2)).buy(&sale.offer, 1, None).await;
    assert_eq!((refused.status, refused.body["type"].as_str()), (503, Some("/problems/unavailable")));
    assert!(text(&refused.body, "detail").contains("clock"), "{}", refused.body);
    assert_eq!(sale.available().await, 4);
    // What has happened is written by any clock.
    let given_back = buyer.at(&nodes.base(2)).post(&path(&held, "cancel"), json!({})).await.expect(200);
    assert_eq!(given_back["state"], "cancelled");
    assert_eq!(sale.available().await, 5);
    nodes.close().await;
}
