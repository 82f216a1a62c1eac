//! Rubbish, strangers, and the papers: what comes in at the edge gets a clear answer.

use serde_json::json;

use crate::{
    both_databases,
    harness::{Actor, Engine, House, PASSWORD, Plan, Sale, fresh_name},
};

both_databases!(rubbish_gets_a_problem_and_harms_nothing, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let viewer = Actor::sign_up(&house.base(), "ゆい").await;
    let raw = |body: &'static str, kind: &'static str| {
        let request = viewer
            .request(reqwest::Method::POST, "/v1/purchases")
            .header("idempotency-key", "k")
            .header("content-type", kind);
        viewer.send(request.body(body))
    };
    assert_eq!(raw("{", "application/json").await.refused(), "invalid-input");
    assert_eq!(raw("{}", "application/json").await.refused(), "invalid-input");
    assert_eq!(raw("{}", "text/plain").await.refused(), "unsupported-content-type");
    for (qty, offer) in
        [(0, sale.offer.as_str()), (100, sale.offer.as_str()), (1, "ofr_nothing"), (1, sale.live.as_str())]
    {
        let answer =
            viewer.post_with_key("/v1/purchases", &fresh_name(), json!({ "offer_id": offer, "qty": qty })).await;
        assert_eq!(answer.refused(), "invalid-input", "{qty} {offer}");
    }
    let unknown = json!({ "offer_id": sale.offer, "qty": 1, "quantity": 2 });
    assert_eq!(
        viewer.post_with_key("/v1/purchases", &fresh_name(), unknown).await.refused(),
        "invalid-input",
        "unknown field"
    );
    let long = "あ".repeat(200_000);
    assert_eq!(
        viewer.post(&format!("/v1/lives/{}/chat", sale.live), json!({ "text": long })).await.refused(),
        "too-large"
    );
    let polite = "あ".repeat(201);
    assert_eq!(
        viewer.post(&format!("/v1/lives/{}/chat", sale.live), json!({ "text": polite })).await.refused(),
        "invalid-input"
    );
    for path in
        ["/v1/lives/x", "/v1/lives/live_0", "/v1/nothing", "/nothing", "/v1/purchases/pur_1", "/v1/orders/ord_x"]
    {
        assert_eq!(viewer.get(path).await.refused(), "not-found", "{path}");
    }
    for body in [
        json!({ "title": "\u{0}", "skus": [{ "price_minor": 1, "tax_rate_bp": 1000 }] }),
        json!({ "title": "団子", "skus": [{ "price_minor": -1, "tax_rate_bp": 1000 }] }),
        json!({ "title": "団子", "skus": [] }),
    ] {
        let products = format!("/v1/brands/{}/products", sale.brand_id);
        assert_eq!(sale.brand.post(&products, body.clone()).await.refused(), "invalid-input", "{body}");
    }
    for at in [i64::MAX, -1, 0] {
        let new = json!({ "title": "いつ", "scheduled_at_ms": at });
        assert_eq!(sale.liver.post("/v1/lives", new).await.refused(), "invalid-input", "{at}");
    }
    let catalog = format!("/v1/lives/{}/catalog?q=%00", sale.live);
    assert_eq!(sale.liver.get(&catalog).await.refused(), "invalid-input");
    let backwards = json!({ "sku_id": sale.sku, "location_id": sale.warehouse, "delta": -5, "reason": "receive" });
    assert_eq!(sale.brand.post("/v1/stock/adjustments", backwards).await.refused(), "invalid-input");
    assert_eq!(viewer.post("/watch/x", json!({})).await.refused(), "method-not-allowed");
    assert_eq!(viewer.delete("/v1/me").await.refused(), "method-not-allowed");
    assert_eq!(viewer.get("/v1/purchases?cursor=rubbish").await.refused(), "invalid-input");
    assert_eq!(sale.available().await, 10);
});

both_databases!(who_may_not_is_told_so, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let (guest, viewer) = (Actor::guest(&house.base()), Actor::sign_up(&house.base(), "ゆい").await);
    let chat = format!("/v1/lives/{}/chat", sale.live);
    assert_eq!(guest.post(&chat, json!({ "text": "こんにちは" })).await.refused(), "not-signed-in");
    assert_eq!(guest.get("/v1/me").await.refused(), "not-signed-in");
    assert_eq!(viewer.post("/v1/lives", json!({ "title": "勝手に" })).await.refused(), "forbidden");
    assert_eq!(viewer.post("/v1/brands", json!({ "name": "偽", "commission_bp": 1 })).await.refused(), "forbidden");
    assert_eq!(sale.brand.post("/v1/locations", json!({ "kind": "store", "name": "偽" })).await.refused(), "forbidden");
    let wrong = json!({ "email": viewer.me["email"], "password": "not this one" });
    assert_eq!(guest.post("/v1/sign-in", wrong).await.refused(), "wrong-credentials");
    let again = json!({ "email": viewer.me["email"], "password": PASSWORD, "display_name": "二人目" });
    assert_eq!(guest.post("/v1/sign-up", again).await.refused(), "email-taken");
    assert_eq!(guest.get("/v1/demo").await.refused(), "not-found", "no demo sign-in on a real server");
    assert_eq!(guest.post("/v1/demo/sign-in", json!({ "role": "operator" })).await.refused(), "not-found");

    let foreign = viewer.request(reqwest::Method::POST, &chat).header("origin", "https://evil.example");
    assert_eq!(
        viewer.send(foreign.json(&json!({ "text": "x" }))).await.refused(),
        "forbidden",
        "a page of another site"
    );
    let own = viewer.request(reqwest::Method::POST, &chat).header("origin", house.base());
    viewer.send(own.json(&json!({ "text": "こんにちは" }))).await.expect(201);

    let key = viewer.post("/v1/api-keys", json!({ "label": "till" })).await.expect(201);
    let bearer =
        |key: &str| guest.request(reqwest::Method::GET, "/v1/me").header("authorization", format!("Bearer {key}"));
    let text = key["key"].as_str().expect("shown once");
    assert_eq!(guest.send(bearer(text)).await.expect(200)["account_id"], viewer.me["account_id"]);
    viewer.delete(&format!("/v1/api-keys/{}", key["id"].as_str().expect("id"))).await.expect(204);
    assert_eq!(guest.send(bearer(text)).await.refused(), "not-signed-in");
    viewer.post("/v1/sign-out", json!({})).await.expect(204);
    assert_eq!(viewer.get("/v1/me").await.refused(), "not-signed-in");
});

both_databases!(a_repeated_creating_request_makes_one_thing, async |engine: Engine| {
    let house = House::open(engine).await;
    let operator = house.operator().await;
    let (key, new) = (fresh_name(), json!({ "name": "花見堂", "commission_bp": 1_000 }));
    let first = operator.post_with_key("/v1/brands", &key, new.clone()).await.expect(201);
    let again = operator.post_with_key("/v1/brands", &key, new).await.expect(201);
    assert_eq!(first, again);
    let other = json!({ "name": "別の店", "commission_bp": 1_000 });
    assert_eq!(operator.post_with_key("/v1/brands", &key, other).await.refused(), "idempotency-key-reused");
});

#[tokio::test]
async fn a_second_server_on_the_same_file_is_refused() {
    let house = House::open(Engine::Sqlite).await;
    let second =
        hanamichi::app::Server::start(crate::harness::config(&house.database.url), hanamichi::clock::Clock::system());
    let error = second.await.err().expect("one server a file");
    assert!(error.to_string().contains("another server"), "{error:#}");
}

#[test]
fn the_committed_description_is_the_servers() {
    let committed = include_str!("../../proto/openapi.json");
    assert_eq!(committed, hanamichi::http::openapi(), "run `make openapi`");
    let document: serde_json::Value = serde_json::from_str(committed).expect("JSON");
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    let operations = document["paths"]
        .as_object()
        .expect("paths")
        .values()
        .flat_map(|path| path.as_object().expect("operations").values());
    for response in operations.flat_map(|operation| operation["responses"].as_object().expect("responses").values()) {
        assert!(response["description"].as_str().is_some_and(|words| !words.is_empty()), "{response}");
    }
}

#[test]
fn sign_in_tries_for_one_address_are_bounded() {
    let rates = hanamichi::http::rates::Rates::new(2_000);
    let refused = (0..100).filter(|_| rates.check_sign_in("a@b.example").is_err()).count();
    assert!((60..=70).contains(&refused), "{refused} of 100 refused");
    assert!(rates.check_sign_in("other@b.example").is_ok());
}
