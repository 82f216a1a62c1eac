//! From the tap to "paid", and every way it can end.

use std::time::Duration;

use serde_json::json;

use crate::{
    both_databases,
    harness::{Actor, Books, Engine, House, PATIENCE, Plan, Sale, fresh_name},
};

both_databases!(a_viewer_buys_in_two_taps_and_the_stock_falls, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan { live_price: Some(900), ..Plan::default() }).await;
    let viewer = Actor::sign_up(&house.base(), "ゆい").await;
    let sheet = viewer.get(&format!("/v1/offers/{}/confirmation?qty=2", sale.offer)).await.expect(200);
    assert_eq!(sheet["total_minor"], 1_800);
    assert_eq!(sheet["tax"][0]["tax_minor"], 133, "8 % inside, one rounding");
    for item in ["delivery_ja", "cancellation_ja", "application_period_ja"] {
        assert!(!sheet[item].as_str().expect("text").is_empty(), "the final confirmation says {item}");
    }
    let purchase = viewer.buy(&sale.offer, 2, Some("sandbox_card")).await.expect(201);
    let paid = viewer.until(&purchase, "authorized").await;
    let order = viewer.get(&format!("/v1/orders/{}", paid["order_id"].as_str().expect("an order"))).await.expect(200);
    assert_eq!(order["total_minor"], 1_800);
    assert_eq!(order["lines"][0]["unit_price_minor"], 900);
    assert_eq!(sale.available().await, 8);
    let stranger = Actor::sign_up(&house.base(), "他人").await;
    assert_eq!(
        stranger.get(&format!("/v1/purchases/{}", paid["id"].as_str().expect("id"))).await.refused(),
        "not-found"
    );
    assert_eq!(stranger.get(&format!("/v1/orders/{}", order["id"].as_str().expect("id"))).await.refused(), "not-found");
    assert_eq!(Books::check(&house.database.url).await.orders, 1);
});

both_databases!(the_same_key_buys_once_and_another_wish_under_it_is_refused, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let viewer = Actor::sign_up(&house.base(), "はると").await;
    let wish = json!({ "offer_id": sale.offer, "qty": 1, "payment_method": "sandbox_card" });
    assert_eq!(viewer.post("/v1/purchases", wish.clone()).await.refused(), "idempotency-key-missing");
    let key = fresh_name();
    let mut taps = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (viewer, key, wish) = (viewer.clone(), key.clone(), wish.clone());
        taps.spawn(async move { viewer.post_with_key("/v1/purchases", &key, wish).await.expect(201)["id"].clone() });
    }
    let ids = taps.join_all().await;
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let other = json!({ "offer_id": sale.offer, "qty": 2, "payment_method": "sandbox_card" });
    assert_eq!(viewer.post_with_key("/v1/purchases", &key, other).await.refused(), "idempotency-key-reused");
    assert_eq!(sale.available().await, 9);
});

both_databases!(a_hold_runs_out_by_the_servers_clock_and_its_units_return, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let sale = Sale::open(&house, Plan { units: 1, limit: Some(1), ..Plan::default() }).await;
    let (first, second) = (Actor::sign_up(&house.base(), "一").await, Actor::sign_up(&house.base(), "二").await);
    let held = first.buy(&sale.offer, 1, None).await.expect(201);
    assert_eq!(held["state"], "held");
    assert_eq!(second.buy(&sale.offer, 1, None).await.refused(), "sold-out");
    house.clock.advance(Duration::from_secs(179));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(sale.available().await, 0, "one second is left");
    house.clock.advance(Duration::from_secs(2));
    first.until(&held, "expired").await;
    assert_eq!(sale.available().await, 1);
    let pay = format!("/v1/purchases/{}/pay", held["id"].as_str().expect("id"));
    assert_eq!(first.post(&pay, json!({ "payment_method": "sandbox_card" })).await.refused(), "hold-expired");
    let bought = second.buy(&sale.offer, 1, Some("sandbox_card")).await.expect(201);
    second.until(&bought, "authorized").await;
    assert_eq!(Books::check(&house.database.url).await.units_sold, 1);
});

both_databases!(held_units_can_be_paid_or_given_back_once, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan { units: 2, ..Plan::default() }).await;
    let viewer = Actor::sign_up(&house.base(), "めい").await;
    let (one, two) =
        (viewer.buy(&sale.offer, 1, None).await.expect(201), viewer.buy(&sale.offer, 1, None).await.expect(201));
    let path = |purchase: &serde_json::Value, verb: &str| {
        format!("/v1/purchases/{}/{verb}", purchase["id"].as_str().expect("id"))
    };
    let paying = viewer.post(&path(&one, "pay"), json!({ "payment_method": "sandbox_card" })).await.expect(200);
    assert!(["paying", "authorized"].contains(&paying["state"].as_str().expect("a state")));
    viewer.until(&one, "authorized").await;
    assert_eq!(viewer.post(&path(&one, "cancel"), json!({})).await.refused(), "conflict");
    viewer.post(&path(&two, "cancel"), json!({})).await.expect(200);
    viewer.post(&path(&two, "cancel"), json!({})).await.expect(200);
    assert_eq!(
        viewer.post(&path(&two, "pay"), json!({ "payment_method": "sandbox_card" })).await.refused(),
        "purchase-not-payable"
    );
    assert_eq!(sale.available().await, 1, "given back once");
});

both_databases!(a_declined_card_gives_the_units_back, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan { units: 1, ..Plan::default() }).await;
    let viewer = Actor::sign_up(&house.base(), "そうた").await;
    let purchase = viewer.buy(&sale.offer, 1, Some("sandbox_declined")).await.expect(201);
    let failed = viewer.until(&purchase, "failed").await;
    assert_eq!(failed["reason"], "payment-declined");
    assert_eq!(sale.available().await, 1);
    assert_eq!(Books::check(&house.database.url).await.orders, 0);
});

both_databases!(a_lost_answer_of_the_provider_is_asked_for_again_and_charged_once, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let sale = Sale::open(&house, Plan { units: 1, ..Plan::default() }).await;
    let viewer = Actor::sign_up(&house.base(), "あおい").await;
    let purchase = viewer.buy(&sale.offer, 1, Some("sandbox_lost")).await.expect(201);
    // The clock stands, so the reconciler has not looked yet; the hold must survive any time in `paying`.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let id = purchase["id"].as_str().expect("id").to_owned();
    assert_eq!(viewer.get(&format!("/v1/purchases/{id}")).await.expect(200)["state"], "paying");
    let asked_again = async {
        loop {
            house.clock.advance(Duration::from_secs(3600));
            tokio::time::sleep(Duration::from_millis(50)).await;
            if viewer.get(&format!("/v1/purchases/{id}")).await.expect(200)["state"] == "authorized" {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, asked_again).await.expect("the reconciler asks again");
    let books = Books::check(&house.database.url).await;
    assert_eq!((books.orders, books.held), (1, 0));
});

both_databases!(limits_windows_and_prices_are_judged_by_the_server, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let sale = Sale::open(&house, Plan { limit: Some(2), ends_in_s: Some(60), ..Plan::default() }).await;
    let viewer = Actor::sign_up(&house.base(), "りく").await;
    assert_eq!(viewer.buy(&sale.offer, 3, None).await.refused(), "limit-reached");
    viewer.buy(&sale.offer, 2, None).await.expect(201);
    assert_eq!(viewer.buy(&sale.offer, 1, None).await.refused(), "limit-reached");
    let other = Actor::sign_up(&house.base(), "ほか").await;
    let old_sheet = other.get(&format!("/v1/offers/{}/confirmation?qty=1", sale.offer)).await.expect(200);
    let repin = json!({ "product_id": sale.product["id"], "live_price_minor": 500, "ends_in_s": 60 });
    sale.liver.post(&format!("/v1/lives/{}/pins", sale.live), repin).await.expect(200);
    let wish = json!({ "offer_id": sale.offer, "qty": 1, "confirmation_hash": old_sheet["hash"] });
    assert_eq!(other.post_with_key("/v1/purchases", &fresh_name(), wish).await.refused(), "price-changed");
    other.buy(&sale.offer, 1, None).await.expect(201);
    house.clock.advance(Duration::from_secs(61));
    assert_eq!(other.buy(&sale.offer, 1, None).await.refused(), "offer-ended");
});

both_databases!(a_till_sale_moves_the_same_stock_once_a_key, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan { units: 3, ..Plan::default() }).await;
    let fact = json!({ "sku_id": sale.sku, "location_id": sale.warehouse, "delta": -2, "reason": "till_sale" });
    let key = fresh_name();
    for _ in 0..2 {
        let shelf = sale.brand.post_with_key("/v1/stock/adjustments", &key, fact.clone()).await.expect(201);
        assert_eq!(shelf["available"], 1, "counted once");
    }
    let viewer = Actor::sign_up(&house.base(), "最後").await;
    let held = viewer.buy(&sale.offer, 1, None).await.expect(201);
    let gone = json!({ "sku_id": sale.sku, "location_id": sale.warehouse, "delta": -1, "reason": "till_sale" });
    let shelf = sale.brand.post("/v1/stock/adjustments", gone).await.expect(201);
    assert_eq!((&shelf["on_hand"], &shelf["held"]), (&json!(0), &json!(0)), "what the till sold is gone");
    assert_eq!(shelf["broken"], json!([held["id"]]));
    let told = viewer.until(&held, "cancelled").await;
    assert_eq!(told["reason"], "stock-short");
    Books::check(&house.database.url).await;
});

both_databases!(the_end_of_a_live_ends_its_offers, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let viewer = Actor::sign_up(&house.base(), "遅刻").await;
    sale.liver.post(&format!("/v1/lives/{}/end", sale.live), json!({})).await.expect(200);
    assert_eq!(viewer.buy(&sale.offer, 1, Some("sandbox_card")).await.refused(), "offer-ended");
});
