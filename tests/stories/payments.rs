//! Paying: what a bank asks, cards that are saved, ways that are refused, and the provider's messages.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    both_databases,
    harness::{Actor, Books, Engine, House, Plan, Sale, text},
};

/// What the sandbox's page names in its address.
fn intent_of(action: &Value) -> String {
    let url = text(action, "url");
    url.rsplit_once("intent=").map(|(_, intent)| intent.to_owned()).expect("the address names what it is about")
}

impl Actor {
    async fn action_of(&self, purchase: &Value) -> String {
        let action = self.get(&format!("/v1/purchases/{}/action", text(purchase, "id"))).await.expect(200);
        assert_eq!(action["kind"], "redirect");
        intent_of(&action)
    }

    async fn act(&self, intent: &str, outcome: &str) -> u16 {
        self.post("/v1/sandbox/actions", json!({ "intent": intent, "outcome": outcome })).await.status
    }

    async fn save(&self, test: &str) -> Value {
        self.post("/v1/payment-methods/setup", json!({ "test_method": test })).await.expect(201)
    }
}

both_databases!(a_bank_asks_first_and_its_word_settles_the_purchase, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let viewer = Actor::sign_up(&house.base(), "ゆい").await;
    let bought = viewer.buy(&sale.offer, 1, Some("sandbox_3ds")).await.expect(201);
    let asked = viewer.until(&bought, "requires_action").await;
    let intent = viewer.action_of(&asked).await;
    assert_eq!(viewer.act(&intent, "approve").await, 204);
    // The provider's message alone settles it: nobody asked.
    let paid = viewer.until(&bought, "authorized").await;
    assert!(paid["order_id"].is_string());
    assert_eq!(viewer.act(&intent, "refuse").await, 409, "what was done is done");
    let nothing = viewer.get(&format!("/v1/purchases/{}/action", text(&bought, "id"))).await;
    assert_eq!(nothing.refused(), "conflict");

    let bought = viewer.buy(&sale.offer, 1, Some("sandbox_3ds")).await.expect(201);
    let asked = viewer.until(&bought, "requires_action").await;
    let stranger = Actor::sign_up(&house.base(), "他人").await;
    let path = format!("/v1/purchases/{}/action", text(&bought, "id"));
    assert_eq!(stranger.get(&path).await.refused(), "not-found");
    assert_eq!(viewer.act(&viewer.action_of(&asked).await, "refuse").await, 204);
    let failed = viewer.until(&bought, "failed").await;
    assert_eq!(
        (&failed["reason"], &failed["decline_code"]),
        (&json!("payment-declined"), &json!("authentication_required"))
    );
    assert_eq!(sale.available().await, 9, "what was not paid goes back");
    assert_eq!(Books::check(&house.database.url).await.orders, 1);
});

both_databases!(who_does_not_do_in_time_what_the_bank_asks_gives_the_units_back, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let sale = Sale::open(&house, Plan { units: 2, ..Plan::default() }).await;
    let viewer = Actor::sign_up(&house.base(), "はると").await;
    let slow = viewer.buy(&sale.offer, 1, Some("sandbox_3ds")).await.expect(201);
    let asked = viewer.until(&slow, "requires_action").await;
    let intent = viewer.action_of(&asked).await;
    house.clock.advance(Duration::from_secs(590));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(viewer.until(&slow, "requires_action").await["reason"], Value::Null, "ten seconds are left");
    house.clock.advance(Duration::from_secs(20));
    assert_eq!(viewer.until(&slow, "failed").await["reason"], "action-timed-out");
    assert_eq!(sale.available().await, 2);
    assert_eq!(viewer.act(&intent, "approve").await, 409, "a payment that was called off cannot be approved any more");

    // Who changes their mind need not wait for that.
    let other = viewer.buy(&sale.offer, 2, Some("sandbox_3ds")).await.expect(201);
    viewer.until(&other, "requires_action").await;
    let path = format!("/v1/purchases/{}/cancel", text(&other, "id"));
    assert_eq!(viewer.post(&path, json!({})).await.expect(200)["state"], "cancelled");
    assert_eq!(sale.available().await, 2);
    assert_eq!(Books::check(&house.database.url).await.held, 0);
});

both_databases!(
    a_wallet_takes_the_money_at_once_and_what_takes_days_is_not_for_flash_offers,
    async |engine: Engine| {
        let house = House::open(engine).await;
        let sale = Sale::open(&house, Plan::default()).await;
        let viewer = Actor::sign_up(&house.base(), "めい").await;
        for method in ["sandbox_paypay", "sandbox_konbini"] {
            let bought = viewer.buy(&sale.offer, 1, Some(method)).await.expect(201);
            let asked = viewer.until(&bought, "requires_action").await;
            assert_eq!(viewer.act(&viewer.action_of(&asked).await, "approve").await, 204);
            let path = format!("/v1/purchases/{}/refresh", text(&bought, "id"));
            assert_eq!(viewer.post(&path, json!({})).await.expect(200)["state"], "captured");
        }
        let flash = Sale::open(&house, Plan { ends_in_s: Some(60), ..Plan::default() }).await;
        let refused = viewer.buy(&flash.offer, 1, Some("sandbox_konbini")).await;
        assert_eq!(refused.refused(), "payment-method-unavailable");
        let held = viewer.buy(&flash.offer, 1, None).await.expect(201);
        let pay = format!("/v1/purchases/{}/pay", text(&held, "id"));
        let refused = viewer.post(&pay, json!({ "payment_method": "sandbox_konbini" })).await;
        assert_eq!(refused.refused(), "payment-method-unavailable");
        viewer.post(&pay, json!({ "payment_method": "sandbox_card" })).await.expect(200);
        viewer.until(&held, "authorized").await;
        assert_eq!(Books::check(&house.database.url).await.orders, 3);
    }
);

both_databases!(a_saved_card_is_asked_about_once_and_is_its_owners_alone, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let viewer = Actor::sign_up(&house.base(), "そら").await;
    let plain = viewer.save("sandbox_card").await;
    assert_eq!((&plain["state"], &plain["card"]["last4"]), (&json!("saved"), &json!("4242")));
    let asked = viewer.save("sandbox_3ds").await;
    assert_eq!(asked["state"], "requires_action");
    assert_eq!(viewer.act(&intent_of(&asked["action"]), "approve").await, 204);
    let path = format!("/v1/payment-methods/setup/{}", text(&asked, "id"));
    let saved = viewer.get(&path).await.expect(200);
    assert_eq!(saved["state"], "saved");
    let stranger = Actor::sign_up(&house.base(), "他人").await;
    assert_eq!(stranger.get(&path).await.refused(), "not-found");
    assert_eq!(viewer.save("sandbox_declined").await["state"], "failed");
    let cards = viewer.get("/v1/payment-methods").await.expect(200);
    assert_eq!(cards["items"].as_array().map(Vec::len), Some(2), "{cards}");

    // What was asked when it was saved is not asked again.
    let card = text(&saved["card"], "id");
    let bought = viewer.buy(&sale.offer, 1, Some(&card)).await.expect(201);
    viewer.until(&bought, "authorized").await;
    assert_eq!(stranger.buy(&sale.offer, 1, Some(&card)).await.refused(), "payment-method-unavailable");
    assert_eq!(stranger.delete(&format!("/v1/payment-methods/{card}")).await.refused(), "not-found");
    assert_eq!(viewer.delete(&format!("/v1/payment-methods/{card}")).await.status, 204);
    assert_eq!(viewer.buy(&sale.offer, 1, Some(&card)).await.refused(), "payment-method-unavailable");
    // The provider says again that it was saved; removed it stays.
    viewer.get(&path).await.expect(200);
    let cards = viewer.get("/v1/payment-methods").await.expect(200);
    assert_eq!(cards["items"].as_array().map(Vec::len), Some(1), "{cards}");
    assert_eq!(sale.available().await, 9);
});

both_databases!(what_is_no_way_to_pay_here_is_refused_before_anything_is_held, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let viewer = Actor::sign_up(&house.base(), "れん").await;
    for (method, why) in [
        ("ctoken_1NnQUf2eZvKYlo2CIObdtbnb", "payment-method-unavailable"),
        ("card_01k0000000000000000000000g", "payment-method-unavailable"),
        ("4242424242424242", "invalid-input"),
        ("sandbox_gold", "invalid-input"),
    ] {
        assert_eq!(viewer.buy(&sale.offer, 1, Some(method)).await.refused(), why, "{method}");
    }
    assert_eq!(sale.available().await, 10);
    let declined = viewer.buy(&sale.offer, 1, Some("sandbox_insufficient")).await.expect(201);
    assert_eq!(viewer.until(&declined, "failed").await["decline_code"], "insufficient_funds");
    let declined = viewer.buy(&sale.offer, 1, Some("sandbox_declined")).await.expect(201);
    assert_eq!(viewer.until(&declined, "failed").await["decline_code"], Value::Null, "the bank wants silence");
    let options = viewer.get("/v1/payment-options").await.expect(200);
    assert_eq!((&options["provider"], &options["sandbox"]), (&json!("sandbox"), &json!(true)));
    assert!(options["test_methods"].as_array().is_some_and(|tests| tests.len() > 5), "{options}");
});

both_databases!(messages_that_are_not_the_providers_are_refused_and_not_kept, async |engine: Engine| {
    let house = House::open(engine).await;
    let http = reqwest::Client::new();
    let body = json!({
        "id": "evt_1", "type": "payment_intent.succeeded", "created": 1,
        "data": { "object": { "id": "pi_1", "object": "payment_intent" } },
    });
    let send = async |path: &str, signature: Option<&str>, body: String| {
        let mut request = http.post(format!("{}/v1/webhooks/{path}", house.base())).body(body);
        if let Some(signature) = signature {
            request = request.header("stripe-signature", signature);
        }
        let answer = request.send().await.expect("the server answers");
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap_or_default()["type"].clone())
    };
    let forged = format!("t=1800000000,v1={}", "0".repeat(64));
    for signature in [None, Some(""), Some("t=1"), Some(forged.as_str())] {
        let (status, kind) = send("sandbox", signature, body.to_string()).await;
        assert_eq!((status, kind), (400, json!("/problems/signature-invalid")), "{signature:?}");
    }
    assert_eq!(send("stripe", Some(&forged), body.to_string()).await.0, 404, "no such provider here");
    assert_eq!(send("sandbox", Some(&forged), "x".repeat(300_000)).await.0, 413);
    let db = hanamichi::store::Db::connect(&house.database.url).await.expect("the database opens");
    let mut tx = db.read("events").await.expect("a transaction");
    let (kept,): (i64,) = hanamichi::on!(&mut tx, |conn| sqlx::query_as("SELECT COUNT(*) FROM provider_events")
        .fetch_one(conn)
        .await
        .expect("a number"));
    assert_eq!(kept, 0);
});
