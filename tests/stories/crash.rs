//! The server is killed in the middle of selling, and comes back.

use std::{
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::{
    both_databases,
    harness::{Actor, Books, Database, Engine, PASSWORD, PATIENCE, Plan, Sale, fresh_name},
};

const BUYERS: usize = 12;
const UNITS: i64 = 400;
/// Kills in one story.
const KILLS: usize = 3;

struct Process {
    child: Child,
    base: String,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn start(database: &str, port: u16) -> Process {
    let child = Command::new(env!("CARGO_BIN_EXE_hanamichi"))
        .arg("serve")
        .env("HANAMICHI_LISTEN", format!("127.0.0.1:{port}"))
        .env("HANAMICHI_DATABASE", database)
        .env("HANAMICHI_MEDIA__LISTEN", "127.0.0.1:0")
        .env("HANAMICHI_OPERATOR__EMAIL", "operator@test.example")
        .env("HANAMICHI_OPERATOR__PASSWORD", PASSWORD)
        .env("HANAMICHI_LOG_FILTER", "warn")
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let process = Process { child, base: format!("http://127.0.0.1:{port}") };
    let ready = async {
        while !reqwest::get(format!("{}/readyz", process.base)).await.is_ok_and(|answer| answer.status().is_success()) {
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ready).await.expect("the server is ready");
    process
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port()
}

/// One tap that is repeated under its key until it has its answer, whatever happens to the server.
async fn tap(buyer: &Actor, key: &str, wish: &Value) -> Value {
    let tapping = async {
        loop {
            let request =
                buyer.request(reqwest::Method::POST, "/v1/purchases").header("idempotency-key", key).json(wish);
            match request.send().await {
                Ok(answer) if answer.status() == 201 => return answer.json().await.unwrap_or(Value::Null),
                Ok(answer) if answer.status().is_client_error() => {
                    panic!("refused: {}", answer.text().await.unwrap_or_default())
                }
                _ => tokio::time::sleep(Duration::from_millis(40)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE * 3, tapping).await.expect("an answer in the end")
}

both_databases!(killed_while_selling_it_forgets_no_answer_and_sells_nothing_twice, async |engine: Engine| {
    let database = Database::fresh(engine).await;
    let port = free_port();
    let mut server = start(&database.url, port).await;
    let sale = Sale::open_at(&server.base, Plan { units: UNITS, ..Plan::default() }).await;
    let mut buyers = Vec::new();
    for n in 0..BUYERS {
        buyers.push(Actor::sign_up(&server.base, &format!("買い手{n}")).await);
    }
    let answered = Arc::new(Mutex::new(Vec::new()));
    let going_on = Arc::new(AtomicUsize::new(1));
    let mut selling = tokio::task::JoinSet::new();
    for buyer in buyers {
        let (answered, going_on, offer) = (answered.clone(), going_on.clone(), sale.offer.clone());
        selling.spawn(async move {
            while going_on.load(Ordering::Relaxed) == 1
                && answered.lock().len() < usize::try_from(UNITS).expect("positive") - BUYERS
            {
                let key = fresh_name();
                let wish = json!({ "offer_id": offer, "qty": 1, "payment_method": "sandbox_card" });
                let purchase = tap(&buyer, &key, &wish).await;
                answered.lock().push((buyer.clone(), key, wish, purchase["id"].clone()));
            }
        });
    }
    for _ in 0..KILLS {
        let before = answered.lock().len();
        let some_more = async {
            while answered.lock().len() < before + 15 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, some_more).await.expect("it sells");
        server.child.kill().expect("SIGKILL");
        let _ = server.child.wait();
        server = start(&database.url, port).await;
    }
    going_on.store(0, Ordering::Relaxed);
    while let Some(done) = selling.join_next().await {
        done.expect("no buyer was refused or left without an answer");
    }
    let answered = std::mem::take(&mut *answered.lock());
    for (buyer, key, wish, id) in &answered {
        let again = tap(buyer, key, wish).await;
        assert_eq!(again["id"], *id, "a retried key has its one answer");
        buyer.until(&again, "authorized").await;
    }
    let sold = i64::try_from(answered.len()).expect("few");
    let left = sale.available().await;
    drop(server);
    let books = Books::check(&database.url).await;
    assert_eq!((books.orders, books.held), (sold, 0), "every tap has one order; nothing is stranded");
    assert_eq!(left, UNITS - sold);
});
