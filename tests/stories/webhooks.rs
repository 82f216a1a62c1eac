//! A brand's systems are told: signed, once each, again until they have it, and nobody else's.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use hanamichi::{
    clock::{Clock, Millis},
    config::{Config, WebhooksSection},
};
use parking_lot::Mutex;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    both_databases,
    harness::{Actor, Answer, Engine, House, Plan, Process, Sale, add_brand, count, free_port, fresh_name, text},
    settlement_contracts::{agree, terms},
    settlement_statements::{close, later, sell},
};

/// What came to a receiver.
#[derive(Clone)]
struct Came {
    headers: HeaderMap,
    body: String,
}

impl Came {
    fn id(&self) -> &str {
        self.headers["webhook-id"].to_str().expect("text")
    }

    fn read(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// By another implementation than ours. Its own check asks the system's clock, so it is given the moment that was signed.
    fn is_signed_with(&self, secret: &str) -> bool {
        let header = |name: &str| self.headers[name].to_str().expect("text");
        let at = header("webhook-timestamp").parse().expect("seconds");
        let signature = verifier(secret).sign(self.id(), at, self.body.as_bytes()).expect("text");
        header("webhook-signature").split(' ').any(|one| one == signature)
    }
}

fn verifier(secret: &str) -> standardwebhooks::Webhook {
    standardwebhooks::Webhook::new(secret).expect("a secret")
}

/// Added to a status: it is answered after a second and a half.
const SLOWLY: u16 = 1_000;

/// A brand's system.
#[derive(Clone)]
struct Receiver {
    url: String,
    came: Arc<Mutex<Vec<Came>>>,
    /// What the next ones are answered; 204 when nothing is planned.
    answers: Arc<Mutex<VecDeque<(u16, &'static str)>>>,
}

impl Receiver {
    async fn open() -> Self {
        Self::open_at(0).await
    }

    async fn open_at(port: u16) -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("a port");
        let url = format!("http://{}/hooks", listener.local_addr().expect("an address"));
        let receiver = Self { url, came: Arc::default(), answers: Arc::default() };
        let router = Router::new().fallback(take).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        receiver
    }

    fn answer(&self, status: u16, retry_after: &'static str) {
        self.answers.lock().push_back((status, retry_after));
    }

    /// All that came, once there are so many.
    async fn until(&self, count: usize) -> Vec<Came> {
        let by = Instant::now() + Duration::from_secs(15);
        while self.came.lock().len() < count {
            assert!(Instant::now() < by, "{} of {count} came", self.came.lock().len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.came.lock().clone()
    }

    /// All that came, when two turns of the sender have brought no more.
    async fn at_rest(&self) -> Vec<Came> {
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        self.came.lock().clone()
    }
}

async fn take(State(receiver): State<Receiver>, headers: HeaderMap, body: String) -> Response {
    receiver.came.lock().push(Came { headers, body });
    let (status, retry_after) = receiver.answers.lock().pop_front().unwrap_or((204, ""));
    if status == 0 {
        std::future::pending::<()>().await;
    }
    if status >= SLOWLY {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
    }
    let status = StatusCode::from_u16(status % SLOWLY).expect("a status");
    let mut answer = (status, [("location", "http://127.0.0.1:1/")]).into_response();
    if !retry_after.is_empty() {
        answer.headers_mut().insert("retry-after", retry_after.parse().expect("text"));
    }
    answer
}

fn inside(config: Config) -> Config {
    Config { webhooks: WebhooksSection { allow_private: true }, ..config }
}

async fn open(engine: Engine) -> House {
    House::open_as(engine, Clock::manual(Millis(1_800_000_000_000)), inside).await
}

async fn listen(brand: &Actor, brand_id: &str, url: &str, events: &[&str]) -> (String, String) {
    let body = json!({ "url": url, "description": "会計", "events": events });
    let made = brand.post(&format!("/v1/brands/{brand_id}/webhook-endpoints"), body).await.expect(201);
    (text(&made["endpoint"], "endpoint_id"), text(&made, "secret"))
}

async fn patch(who: &Actor, endpoint: &str, body: Value) -> Answer {
    who.send(who.request(Method::PATCH, &format!("/v1/webhook-endpoints/{endpoint}")).json(&body)).await
}

/// The newest delivery, once it is in this state.
async fn newest(brand: &Actor, endpoint: &str, state: &str) -> Value {
    let by = Instant::now() + Duration::from_secs(15);
    loop {
        let list = brand.get(&format!("/v1/webhook-endpoints/{endpoint}/deliveries?limit=1")).await.expect(200);
        if list["items"][0]["state"] == state {
            return list["items"][0].clone();
        }
        assert!(Instant::now() < by, "not {state}: {list}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The newest delivery, once it was tried so often and that is written.
async fn tried(brand: &Actor, endpoint: &str, tries: i64) -> Value {
    let by = Instant::now() + Duration::from_secs(15);
    loop {
        let list = brand.get(&format!("/v1/webhook-endpoints/{endpoint}/deliveries?limit=1")).await.expect(200);
        let one = &list["items"][0];
        if one["tries"] == tries
            && !one["fault"].is_null()
            && one["next_at_ms"].as_i64() != one["last_at_ms"].as_i64().map(|at| at + 60_000)
        {
            return one.clone();
        }
        assert!(Instant::now() < by, "not tried {tries} times: {list}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

both_databases!(what_a_brand_earns_for_its_livers_is_told_it_signed_and_once, async |engine: Engine| {
    let house = open(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    agree(&house, &sale, terms(&house, 2_000)).await;
    let (ours, theirs) = (Receiver::open().await, Receiver::open().await);
    let both = ["credit.created", "statement.closed"];
    let (endpoint, secret) = listen(&sale.brand, &sale.brand_id, &ours.url, &both).await;
    let (rival, rival_id) = add_brand(&sale.operator, "藍屋").await;
    let (_, other_secret) = listen(&rival, &rival_id, &theirs.url, &both).await;

    let order = sell(&house, &sale, 2, true).await;
    let sold = ours.until(1).await.remove(0);
    assert!(sold.is_signed_with(&secret), "{:?}", sold.headers);
    assert!(!sold.is_signed_with(&other_secret), "another's secret is no use");
    let told = sold.read();
    let lines = sale.brand.get(&format!("/v1/brands/{}/report/lines", sale.brand_id)).await.expect(200);
    assert_eq!(told["type"], "credit.created");
    assert_eq!(
        (told["data"]["kind"].as_str(), told["data"]["order_id"].as_str()),
        (Some("sale"), order["id"].as_str())
    );
    assert_eq!((&told["data"]["product_id"], &told["data"]["sku_id"]), (&sale.product["id"], &json!(sale.sku)));
    for field in ["order_line_id", "live_id", "base_minor", "commission_minor", "qty"] {
        assert_eq!(told["data"][field], lines["items"][0][field], "{field}: {told}");
    }
    assert_eq!(told["data"]["commission_minor"], 432, "20 % of 2,160");
    assert!(!sold.body.contains("ゆい") && !sold.body.contains("cus_"), "who bought is nobody's: {}", sold.body);

    let back =
        json!({ "lines": [{ "order_line_id": order["lines"][0]["id"], "qty": 1 }], "restock": true, "reason": "返品" });
    sale.brand
        .post_with_key(&format!("/v1/orders/{}/refunds", text(&order, "id")), &fresh_name(), back)
        .await
        .expect(201);
    let reversal = ours.until(2).await.remove(1).read();
    assert_eq!(
        (reversal["data"]["kind"].as_str(), reversal["data"]["commission_minor"].as_i64()),
        (Some("reversal"), Some(-216))
    );

    newest(&sale.brand, &endpoint, "delivered").await;
    let list = sale.brand.get(&format!("/v1/webhook-endpoints/{endpoint}/deliveries")).await.expect(200);
    let items = list["items"].as_array().expect("a list");
    let states: Vec<_> = items.iter().map(|one| (&one["state"], &one["tries"], &one["status"])).collect();
    assert_eq!(states, vec![(&json!("delivered"), &json!(1), &json!(204)); 2]);
    let page = sale.brand.get(&format!("/v1/webhook-endpoints/{endpoint}/deliveries?limit=1")).await.expect(200);
    let next = format!("/v1/webhook-endpoints/{endpoint}/deliveries?limit=1&cursor={}", text(&page, "next_cursor"));
    assert_eq!(sale.brand.get(&next).await.expect(200)["items"], json!([items[1]]));

    let sale = later(&house, sale, "2027-03-01T00:00:00+09:00").await;
    let closed = close(&sale, "2027-01").await.expect(201);
    let statement = ours.until(3).await.remove(2).read();
    assert_eq!(statement["type"], "statement.closed");
    for field in ["statement_id", "liver_id", "period", "earned_minor", "reversed_minor", "tax_minor", "payable_minor"]
    {
        assert_eq!(statement["data"][field], closed["items"][0][field], "{field}: {statement}");
    }
    let came = ours.at_rest().await;
    let ids: std::collections::BTreeSet<&str> = came.iter().map(Came::id).collect();
    assert_eq!((came.len(), ids.len()), (3, 3), "each came once");
    assert_eq!(theirs.came.lock().len(), 0, "nobody else is told");

    let list = sale.brand.get(&format!("/v1/webhook-endpoints/{endpoint}/deliveries")).await.expect(200);
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "a month is kept");
    let newest = text(&list["items"][0], "message_id");
    let one = sale.brand.get(&format!("/v1/webhook-endpoints/{endpoint}/deliveries/{newest}")).await.expect(200);
    assert_eq!(one["body"].as_str(), Some(came[2].body.as_str()), "what was sent can be read");
});

both_databases!(what_is_not_taken_is_tried_again_until_it_is, async |engine: Engine| {
    let house = open(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let receiver = Receiver::open().await;
    let (endpoint, secret) = listen(&sale.brand, &sale.brand_id, &receiver.url, &["credit.created"]).await;
    // It fails, it leads elsewhere, it asks for time.
    for (status, retry_after) in [(500, ""), (302, ""), (429, "3600")] {
        receiver.answer(status, retry_after);
    }
    sell(&house, &sale, 1, false).await;
    let first = tried(&sale.brand, &endpoint, 1).await;
    assert_eq!((&first["status"], &first["fault"]), (&json!(500), &json!("status")));
    let waits = |one: &Value| one["next_at_ms"].as_i64().expect("a time") - house.clock.now().0;
    assert!((5_000..=5_500).contains(&waits(&first)), "{first}");
    house.clock.advance(Duration::from_secs(6));
    let second = tried(&sale.brand, &endpoint, 2).await;
    assert_eq!((&second["status"], &second["fault"]), (&json!(302), &json!("redirect")), "it is not followed");
    house.clock.advance(Duration::from_secs(340));
    let third = tried(&sale.brand, &endpoint, 3).await;
    assert_eq!(&third["status"], 429);
    assert!((3_600_000..=3_600_500).contains(&waits(&third)), "it gets the time that it asks for: {third}");
    let since = sale.brand.get(&format!("/v1/webhook-endpoints/{endpoint}")).await.expect(200);
    assert_eq!((since["waiting"].as_i64(), since["failing_since_ms"].is_number()), (Some(1), true));
    house.clock.advance(Duration::from_secs(3_601));
    let taken = newest(&sale.brand, &endpoint, "delivered").await;
    assert_eq!((&taken["tries"], &taken["status"]), (&json!(4), &json!(204)));
    let after = sale.brand.get(&format!("/v1/webhook-endpoints/{endpoint}")).await.expect(200);
    assert_eq!((after["waiting"].as_i64(), after["failing_since_ms"].is_null()), (Some(0), true));
    let came = receiver.at_rest().await;
    assert_eq!(came.len(), 4);
    for one in &came {
        assert_eq!((one.id(), &one.body), (came[0].id(), &came[0].body), "every try says the same");
        assert!(one.is_signed_with(&secret));
    }
    assert_ne!(came[0].headers["webhook-timestamp"], came[3].headers["webhook-timestamp"], "each is signed anew");
});

both_databases!(what_is_given_up_is_sent_again_when_it_is_asked_for, async |engine: Engine| {
    let house = open(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let receiver = Receiver::open().await;
    let (endpoint, _) = listen(&sale.brand, &sale.brand_id, &receiver.url, &["credit.created"]).await;
    let path = format!("/v1/webhook-endpoints/{endpoint}");
    for _ in 0..20 {
        receiver.answer(503, "");
    }
    sell(&house, &sale, 1, false).await;
    for tries in 1..10 {
        let next = tried(&sale.brand, &endpoint, tries).await["next_at_ms"].as_i64().expect("a time");
        house.clock.advance(Duration::from_millis(u64::try_from(next - house.clock.now().0).expect("later")));
    }
    let given_up = newest(&sale.brand, &endpoint, "failed").await;
    assert_eq!((&given_up["tries"], &given_up["next_at_ms"]), (&json!(10), &Value::Null));
    let state = sale.brand.get(&path).await.expect(200);
    assert_eq!((&state["state"], &state["failed"]), (&json!("active"), &json!(1)), "three days are not five");
    // A quiet time, and another that cannot be brought at all: five days without anything, so it is told no more.
    house.clock.advance(Duration::from_secs(2 * 24 * 3_600));
    sell(&house, &sale, 1, false).await;
    for tries in 1..10 {
        let next = tried(&sale.brand, &endpoint, tries).await["next_at_ms"].as_i64().expect("a time");
        let state = sale.brand.get(&path).await.expect(200);
        assert_eq!(state["state"], "active", "a try that fails after a quiet time ends nothing");
        house.clock.advance(Duration::from_millis(u64::try_from(next - house.clock.now().0).expect("later")));
    }
    newest(&sale.brand, &endpoint, "failed").await;
    let state = sale.brand.get(&path).await.expect(200);
    assert_eq!((&state["state"], &state["disabled_because"]), (&json!("disabled"), &json!("failing")));
    assert_eq!((&state["failed"], &state["waiting"]), (&json!(2), &json!(0)));
    let message = text(&given_up, "message_id");
    let resend = format!("{path}/deliveries/{message}/resend");
    assert_eq!(sale.brand.post(&resend, json!({})).await.refused(), "conflict");
    assert_eq!(sale.brand.post(&format!("{path}/resend"), json!({})).await.refused(), "conflict");
    assert_eq!(sale.brand.post(&format!("{path}/test"), json!({})).await.refused(), "conflict");
    sell(&house, &sale, 1, false).await;

    assert_eq!(sale.brand.get(&path).await.expect(200)["waiting"], 0, "what happens while it is disabled is not kept");

    let again = patch(&sale.brand, &endpoint, json!({ "state": "active" })).await.expect(200);
    assert_eq!((&again["state"], &again["failing_since_ms"]), (&json!("active"), &Value::Null));
    assert_eq!(sale.brand.post(&format!("{path}/resend"), json!({})).await.expect(200), json!({ "resent": 2 }));
    // Ten tries of each; now they are taken.
    receiver.until(22).await;
    newest(&sale.brand, &endpoint, "delivered").await;
    // Also one that came: whoever lost it asks for it.
    sale.brand.post(&resend, json!({})).await.expect(202);
    let came = receiver.until(23).await;
    assert_eq!(came[22].id(), message);
    let ids: std::collections::BTreeSet<&str> = came.iter().map(Came::id).collect();
    assert_eq!(ids.len(), 2, "what happened while it was disabled is not told");

    // 410 is the end.
    receiver.answer(410, "");
    sale.brand.post(&format!("{path}/test"), json!({})).await.expect(202);
    assert_eq!(newest(&sale.brand, &endpoint, "failed").await["event"], "endpoint.test");
    assert_eq!(sale.brand.get(&path).await.expect(200)["disabled_because"], "gone");
    // A month later nothing is left of it.
    house.clock.advance(Duration::from_secs(31 * 24 * 3_600));
    let by = Instant::now() + Duration::from_secs(15);
    while count(&house.database.url, "SELECT COUNT(*) FROM webhook_messages").await > 0
        || count(&house.database.url, "SELECT COUNT(*) FROM webhook_deliveries").await > 0
    {
        assert!(Instant::now() < by, "messages are kept for ever");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
});

both_databases!(a_secret_is_renewed_without_a_gap, async |engine: Engine| {
    let house = open(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let receiver = Receiver::open().await;
    let (endpoint, old) = listen(&sale.brand, &sale.brand_id, &receiver.url, &["credit.created"]).await;
    let path = format!("/v1/webhook-endpoints/{endpoint}");
    let renewed = sale.brand.post(&format!("{path}/secret"), json!({})).await.expect(201);
    let new = text(&renewed, "secret");
    assert_ne!(old, new);
    assert!(renewed["endpoint"]["old_secret_until_ms"].is_number());
    for read in [
        sale.brand.get(&path).await.expect(200),
        sale.brand.get(&format!("/v1/brands/{}/webhook-endpoints", sale.brand_id)).await.expect(200),
    ] {
        assert!(!read.to_string().contains("whsec_") && !read.to_string().contains(&new[6..]), "it is told once");
    }
    sale.brand.post(&format!("{path}/test"), json!({})).await.expect(202);
    let both = receiver.until(1).await.remove(0);
    assert!(both.is_signed_with(&old) && both.is_signed_with(&new), "a receiver may change in its own time");
    // The answer was lost, or closed too soon: once more.
    let again = text(&sale.brand.post(&format!("{path}/secret"), json!({})).await.expect(201), "secret");
    sale.brand.post(&format!("{path}/test"), json!({})).await.expect(202);
    let all = receiver.until(2).await.remove(1);
    for secret in [&old, &new, &again] {
        assert!(all.is_signed_with(secret), "nobody is cut off by a second renewal");
    }
    house.clock.advance(Duration::from_secs(24 * 3_600 + 1));
    sale.brand.post(&format!("{path}/test"), json!({})).await.expect(202);
    let one = receiver.until(3).await.remove(2);
    assert!(!one.is_signed_with(&old) && !one.is_signed_with(&new) && one.is_signed_with(&again));

    // Paused: kept for later.
    patch(&sale.brand, &endpoint, json!({ "state": "paused" })).await.expect(200);
    sell(&house, &sale, 1, false).await;
    assert_eq!(receiver.at_rest().await.len(), 3);
    assert_eq!(sale.brand.get(&path).await.expect(200)["waiting"], 1);
    patch(&sale.brand, &endpoint, json!({ "state": "active" })).await.expect(200);
    assert_eq!(receiver.until(4).await[3].read()["type"], "credit.created");
    // Gone: told nothing, and a sale goes on without it.
    assert_eq!(sale.brand.delete(&path).await.status, 204);
    assert_eq!(sale.brand.get(&path).await.refused(), "not-found");
    sell(&house, &sale, 1, false).await;
    assert_eq!(receiver.at_rest().await.len(), 4);
    let audit = sale.brand.get(&format!("/v1/brands/{}/audit", sale.brand_id)).await.expect(200);
    let acts: Vec<&str> =
        audit["items"].as_array().expect("a list").iter().filter_map(|one| one["action"].as_str()).collect();
    for act in ["webhook.add", "webhook.secret", "webhook.change", "webhook.remove"] {
        assert!(acts.contains(&act), "{act} is not among {acts:?}");
    }
});

both_databases!(what_an_old_address_answers_is_not_held_against_the_new_one, async |engine: Engine| {
    let house = open(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let (old, new) = (Receiver::open().await, Receiver::open().await);
    let (endpoint, _) = listen(&sale.brand, &sale.brand_id, &old.url, &["credit.created"]).await;
    let path = format!("/v1/webhook-endpoints/{endpoint}");
    old.answer(SLOWLY + 410, "");
    sale.brand.post(&format!("{path}/test"), json!({})).await.expect(202);
    old.until(1).await;
    patch(&sale.brand, &endpoint, json!({ "url": new.url })).await.expect(200);
    newest(&sale.brand, &endpoint, "failed").await;
    assert_eq!(sale.brand.get(&path).await.expect(200)["state"], "active", "the old one is gone, and not this one");
    sale.brand.post(&format!("{path}/test"), json!({})).await.expect(202);
    new.until(1).await;
    newest(&sale.brand, &endpoint, "delivered").await;
});

/// Several members of a brand press at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_press_at_once_make_no_sixth_and_lose_no_secret() {
    let house = open(Engine::Postgres).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let path = format!("/v1/brands/{}/webhook-endpoints", sale.brand_id);
    let receiver = Receiver::open().await;
    let new = json!({ "url": receiver.url, "events": ["credit.created"] });
    let made = futures_util::future::join_all((0..12).map(|_| sale.brand.post(&path, new.clone()))).await;
    assert_eq!(made.iter().filter(|answer| answer.status == 201).count(), 5);
    let endpoint = text(&sale.brand.get(&path).await.expect(200)["items"][0], "endpoint_id");
    let path = format!("/v1/webhook-endpoints/{endpoint}");
    let renew = (0..3).map(|_| async { sale.brand.post(&format!("{path}/secret"), json!({})).await.expect(201) });
    let renewed = futures_util::future::join_all(renew).await;
    sale.brand.post(&format!("{path}/test"), json!({})).await.expect(202);
    let came = receiver.until(1).await.remove(0);
    for one in &renewed {
        assert!(came.is_signed_with(&text(one, "secret")), "each that was told signs");
    }
}

both_databases!(an_address_leads_outside_and_there_are_few, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let path = format!("/v1/brands/{}/webhook-endpoints", sale.brand_id);
    let new = |url: &str, events: Value| json!({ "url": url, "events": events });
    let credit = json!(["credit.created"]);
    for url in [
        "http://shop.example/",
        "https://127.0.0.1/",
        "https://localhost:5432/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://0x7f000001/",
        "https://user:pass@shop.example/",
        "shop.example",
        "",
    ] {
        assert_eq!(sale.brand.post(&path, new(url, credit.clone())).await.refused(), "invalid-input", "{url}");
    }
    let good = "https://shop.example/hooks";
    for events in [json!([]), json!(["endpoint.test"]), json!(["credit.changed"]), json!("credit.created")] {
        assert_eq!(sale.brand.post(&path, new(good, events.clone())).await.refused(), "invalid-input", "{events}");
    }
    let mut last = String::new();
    for _ in 0..5 {
        let made = sale.brand.post(&path, new(good, credit.clone())).await.expect(201);
        last = text(&made["endpoint"], "endpoint_id");
    }
    assert_eq!(sale.brand.post(&path, new(good, credit)).await.refused(), "conflict");
    for change in [
        json!({ "url": "https://10.0.0.1/" }),
        json!({ "events": [] }),
        json!({ "state": "disabled" }),
        json!({ "description": "字".repeat(201) }),
    ] {
        assert_eq!(patch(&sale.brand, &last, change.clone()).await.refused(), "invalid-input", "{change}");
    }
    let kept = patch(&sale.brand, &last, json!({ "description": "会計" })).await.expect(200);
    assert_eq!((kept["description"].as_str(), kept["url"].as_str()), (Some("会計"), Some(good)));
});

both_databases!(whoever_does_not_answer_keeps_nobody_waiting, async |engine: Engine| {
    let house = open(engine).await;
    let sale = Sale::open(&house, Plan { units: 60, ..Plan::default() }).await;
    let (silent, quick) = (Receiver::open().await, Receiver::open().await);
    for _ in 0..200 {
        silent.answer(0, "");
    }
    let mut stuck = Vec::new();
    for _ in 0..4 {
        stuck.push(listen(&sale.brand, &sale.brand_id, &silent.url, &["credit.created"]).await.0);
    }
    // Made last, so it is last in every list.
    let (fine, _) = listen(&sale.brand, &sale.brand_id, &quick.url, &["credit.created"]).await;
    let path = |endpoint: &str| format!("/v1/webhook-endpoints/{endpoint}/test");
    for endpoint in stuck.iter().cycle().take(40) {
        sale.brand.post(&path(endpoint), json!({})).await.expect(202);
    }
    silent.until(8).await;
    let began = Instant::now();
    for _ in 0..20 {
        sale.brand.post(&path(&fine), json!({})).await.expect(202);
    }
    quick.until(20).await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}: it waited for the others", began.elapsed());
    assert_eq!(silent.came.lock().len(), 8, "no more than two are on their way to one that does not answer");
});

/// What is acknowledged is told, whatever happens to the server meanwhile.
async fn a_sale_is_told_after_a_kill(engine: Engine) {
    let house = House::open(engine).await;
    let url = house.database.url.clone();
    let House { server, database, .. } = house;
    server.stop().await;
    let port = free_port();
    let inside = [("HANAMICHI_WEBHOOKS__ALLOW_PRIVATE", "true")];
    let mut process = Process::start_with(&url, port, &inside).await;
    let sale = Sale::open_at(&process.base, Plan::default()).await;
    let hooks = free_port();
    let (_, secret) =
        listen(&sale.brand, &sale.brand_id, &format!("http://127.0.0.1:{hooks}/hooks"), &["credit.created"]).await;
    let buyer = Actor::sign_up(&process.base, "ゆい").await;
    let purchase = buyer.buy(&sale.offer, 1, Some("sandbox_card")).await.expect(201);
    buyer.until(&purchase, "authorized").await;
    process.kill();
    let receiver = Receiver::open_at(hooks).await;
    drop(process);
    let process = Process::start_with(&url, free_port(), &inside).await;
    // Either it was not tried yet, or it is tried again after five seconds.
    let came = receiver.until(1).await.remove(0);
    verifier(&secret).verify(came.body.as_bytes(), &came.headers).expect("signed, and now");
    assert_eq!(came.read()["data"]["base_minor"], 1_080);
    drop(process);
    drop(database);
}

both_databases!(a_sale_that_was_acknowledged_is_told_after_a_kill, async |engine: Engine| {
    a_sale_is_told_after_a_kill(engine).await;
});
