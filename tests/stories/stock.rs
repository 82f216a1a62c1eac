//! One stock for every live, the tills and the stores: baskets, quotas, waitlists, locations, physical facts.

use std::time::Duration;

use hanamichi::{
    clock::{Clock, Millis},
    config::Config,
    store::Db,
};
use serde_json::{Value, json};

use crate::{
    both_databases,
    harness::{Actor, Books, Database, Engine, House, PASSWORD, PATIENCE, Plan, Sale, config, fresh_name, text},
    hub::Socket,
};

async fn shelf(sale: &Sale, location: &str) -> Value {
    let stock = sale.operator.get(&format!("/v1/skus/{}/stock", sale.sku)).await.expect(200);
    let shelves = stock["locations"].as_array().expect("an operator sees the shelves");
    shelves.iter().find(|shelf| shelf["location_id"] == location).cloned().unwrap_or(Value::Null)
}

async fn add_location(sale: &Sale, kind: &str, name: &str, at: Option<(f64, f64)>) -> String {
    let mut new = json!({ "kind": kind, "name": name });
    if let Some((latitude, longitude)) = at {
        new["latitude"] = json!(latitude);
        new["longitude"] = json!(longitude);
    }
    text(&sale.operator.post("/v1/locations", new).await.expect(201), "id")
}

async fn receive(sale: &Sale, sku: &str, location: &str, units: i64) {
    let goods = json!({ "sku_id": sku, "location_id": location, "delta": units, "reason": "receive" });
    sale.brand.post("/v1/stock/adjustments", goods).await.expect(201);
}

/// Another product, pinned in the same live; its offer and SKU.
async fn pin_another(sale: &Sale, units: i64) -> (String, String) {
    let new = json!({ "title": "桜餅", "skus": [{ "price_minor": 540, "tax_rate_bp": 1000 }] });
    let product = sale.brand.post(&format!("/v1/brands/{}/products", sale.brand_id), new).await.expect(201);
    let sku = text(&product["skus"][0], "id");
    if units > 0 {
        receive(sale, &sku, &sale.warehouse, units).await;
    }
    let pin = json!({ "product_id": product["id"] });
    let pin = sale.liver.post(&format!("/v1/lives/{}/pins", sale.live), pin).await.expect(201);
    (text(&pin["offers"][0], "id"), sku)
}

async fn place(buyer: &Actor, wish: Value) -> crate::harness::Answer {
    buyer.post_with_key("/v1/purchases", &fresh_name(), wish).await
}

both_databases!(a_released_unit_goes_to_who_waits_in_order_of_arrival, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan { units: 1, ..Plan::default() }).await;
    let mut people = Vec::new();
    for name in ["先", "次", "三", "後"] {
        people.push(Actor::sign_up(&house.base(), name).await);
    }
    let held = people[0].buy(&sale.offer, 1, None).await.expect(201);
    let mut places = Vec::new();
    for person in &people[1..3] {
        let wait = person.post("/v1/waitlist", json!({ "offer_id": sale.offer })).await.expect(201);
        assert_eq!(wait["state"], "waiting");
        let again = person.post("/v1/waitlist", json!({ "offer_id": sale.offer })).await.expect(201);
        assert_eq!(again["id"], wait["id"], "joining twice is the same place");
        places.push(wait);
    }
    let mut told = Socket::join(&people[1], &sale.live, json!({})).await;
    told.until("a snapshot", |f| f["snapshot"].is_object().then_some(())).await;
    let give_back = format!("/v1/purchases/{}/cancel", text(&held, "id"));
    people[0].post(&give_back, json!({})).await.expect(200);
    // The one who waited longest is told, and has the unit; a newcomer has not.
    let turn = told.until("the turn", |f| {
        let purchase = &f["personal"]["purchase"];
        (purchase["waitId"] == places[0]["id"] && purchase["state"] == "held").then(|| purchase.clone())
    });
    let turn = turn.await;
    assert_eq!(people[3].buy(&sale.offer, 1, Some("sandbox_card")).await.refused(), "sold-out");
    let mine = people[1].get("/v1/waitlist").await.expect(200);
    assert_eq!((&mine["items"][0]["state"], &mine["items"][0]["purchase_id"]), (&json!("offered"), &turn["id"]));
    // Given up again, it is the next one's, who pays.
    let give_back = format!("/v1/purchases/{}/cancel", text(&turn, "id"));
    people[1].post(&give_back, json!({})).await.expect(200);
    let next = people[2].get("/v1/waitlist").await.expect(200)["items"][0].clone();
    assert_eq!(next["state"], "offered");
    let id = text(&next, "purchase_id");
    let sheet = people[2].get(&format!("/v1/purchases/{id}/confirmation")).await.expect(200);
    assert_eq!(sheet["total_minor"], 1_080, "the sheet that was agreed to is kept");
    let pay = json!({ "payment_method": "sandbox_card" });
    people[2].post(&format!("/v1/purchases/{id}/pay"), pay).await.expect(200);
    people[2].until(&json!({ "id": id }), "authorized").await;
    let books = Books::check(&house.database.url).await;
    assert_eq!((books.orders, books.held), (1, 0));
});

both_databases!(a_place_is_left_and_lapses_with_its_offer, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let sale = Sale::open(&house, Plan { units: 1, limit: Some(1), ..Plan::default() }).await;
    let (owner, leaver, waiter) = (
        Actor::sign_up(&house.base(), "持ち主").await,
        Actor::sign_up(&house.base(), "去る人").await,
        Actor::sign_up(&house.base(), "待つ人").await,
    );
    owner.buy(&sale.offer, 1, None).await.expect(201);
    let at_limit = owner.post("/v1/waitlist", json!({ "offer_id": sale.offer })).await;
    assert_eq!(at_limit.refused(), "limit-reached", "who may not buy need not wait");
    let wait = leaver.post("/v1/waitlist", json!({ "offer_id": sale.offer })).await.expect(201);
    let path = format!("/v1/waitlist/{}", text(&wait, "id"));
    assert_eq!(waiter.delete(&path).await.refused(), "not-found", "nobody leaves for another");
    leaver.delete(&path).await.expect(204);
    leaver.delete(&path).await.expect(204);
    waiter.post("/v1/waitlist", json!({ "offer_id": sale.offer })).await.expect(201);
    // The hold runs out: the only one who still waits has the unit.
    let served = async {
        loop {
            house.clock.advance(Duration::from_secs(61));
            tokio::time::sleep(Duration::from_millis(40)).await;
            let mine = waiter.get("/v1/waitlist").await.expect(200)["items"][0].clone();
            if mine["state"] == "offered" {
                return mine;
            }
        }
    };
    tokio::time::timeout(PATIENCE, served).await.expect("the hold runs out and goes on");
    assert_eq!(leaver.get("/v1/waitlist").await.expect(200)["items"][0]["state"], "left");
    let late = Actor::sign_up(&house.base(), "遅い人").await;
    late.post("/v1/waitlist", json!({ "offer_id": sale.offer })).await.expect(201);
    sale.liver.post(&format!("/v1/lives/{}/end", sale.live), json!({})).await.expect(200);
    let lapsed = late.get("/v1/waitlist").await.expect(200)["items"][0].clone();
    assert_eq!((&lapsed["state"], &lapsed["reason"]), (&json!("lapsed"), &json!("offer-ended")));
    assert_eq!(late.post("/v1/waitlist", json!({ "offer_id": sale.offer })).await.refused(), "offer-ended");
    Books::check(&house.database.url).await;
});

both_databases!(a_basket_is_had_whole_or_says_what_it_goes_without, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan { units: 3, ..Plan::default() }).await;
    let (other, _) = pin_another(&sale, 1).await;
    let buyer = Actor::sign_up(&house.base(), "まとめ買い").await;
    let lines = json!([{ "offer_id": sale.offer, "qty": 2 }, { "offer_id": other, "qty": 1 }]);
    let sheet = buyer.post("/v1/confirmations", json!({ "lines": lines })).await.expect(200);
    assert_eq!(sheet["total_minor"], 2 * 1_080 + 540);
    assert_eq!(sheet["tax"].as_array().map(Vec::len), Some(2), "one rounding a rate");
    let wish = json!({ "lines": lines, "confirmation_hash": sheet["hash"], "payment_method": "sandbox_card" });
    let bought = place(&buyer, wish).await.expect(201);
    let paid = buyer.until(&bought, "authorized").await;
    let order = buyer.get(&format!("/v1/orders/{}", text(&paid, "order_id"))).await.expect(200);
    assert_eq!((order["lines"].as_array().map(Vec::len), &order["total_minor"]), (Some(2), &json!(2_700)));
    // The second line is sold out now: nothing, or the rest.
    let lines = json!([{ "offer_id": sale.offer, "qty": 1 }, { "offer_id": other, "qty": 1 }]);
    assert_eq!(place(&buyer, json!({ "lines": lines })).await.refused(), "sold-out");
    assert_eq!(sale.available().await, 1, "a refused basket takes nothing");
    let rest = json!({ "lines": lines, "partial": true });
    let key = fresh_name();
    let partial = buyer.post_with_key("/v1/purchases", &key, rest.clone()).await.expect(201);
    assert_eq!((&partial["state"], &partial["total_minor"]), (&json!("held"), &json!(1_080)));
    assert_eq!(partial["left_out"][0]["reason"], "sold-out");
    assert_eq!(buyer.post_with_key("/v1/purchases", &key, rest).await.expect(201), partial, "its one answer");
    for (wish, field) in [
        (json!({ "lines": lines, "partial": true, "payment_method": "sandbox_card" }), "partial"),
        (json!({ "lines": [] }), "offer_id"),
        (json!({ "offer_id": sale.offer, "qty": 1, "lines": lines }), "lines"),
        (json!({ "lines": [{ "offer_id": other, "qty": 1 }, { "offer_id": other, "qty": 1 }] }), "lines"),
        (json!({ "offer_id": sale.offer, "qty": 1, "near": { "latitude": 91.0, "longitude": 0.0 } }), "near.latitude"),
    ] {
        let answer = place(&buyer, wish).await;
        assert!(answer.body["detail"].as_str().expect("a detail").contains(field), "{}", answer.body);
        assert_eq!(answer.refused(), "invalid-input");
    }
    Books::check(&house.database.url).await;
});

both_databases!(a_quota_is_a_part_of_the_pool_that_two_lives_share, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let sale = Sale::open(&house, Plan { units: 10, ..Plan::default() }).await;
    // A second live shows the same goods: two of them, from a minute from now.
    let liver = crate::harness::add_liver(&sale.operator, "すみれ").await;
    let live = text(&liver.post("/v1/lives", json!({ "title": "夜の市" })).await.expect(201), "id");
    liver.post(&format!("/v1/lives/{live}/start"), json!({})).await.expect(200);
    let pin = json!({ "product_id": sale.product["id"], "quota": 2, "starts_in_s": 60 });
    let pin = liver.post(&format!("/v1/lives/{live}/pins"), pin).await.expect(201);
    let offer = text(&pin["offers"][0], "id");
    assert_eq!((&pin["offers"][0]["quota"], &pin["offers"][0]["left"]), (&json!(2), &json!(2)));
    let viewer = Actor::sign_up(&house.base(), "はやい").await;
    assert_eq!(viewer.buy(&offer, 1, None).await.refused(), "offer-not-started");
    let mut here = Socket::join(&viewer, &live, json!({})).await;
    let mut there = Socket::join(&viewer, &sale.live, json!({})).await;
    let snapshot = here.until("a snapshot", |f| f["snapshot"].is_object().then(|| f["snapshot"].clone())).await;
    assert_eq!(snapshot["offersLeft"][0]["left"], "2");
    there.until("a snapshot", |f| f["snapshot"].is_object().then_some(())).await;
    house.clock.advance(Duration::from_secs(60));
    assert_eq!(viewer.buy(&offer, 3, None).await.refused(), "sold-out", "three are more than the quota");
    let held = viewer.buy(&offer, 2, None).await.expect(201);
    let state = |f: &Value, of: &str, field: &str, is: &str| {
        let states = f["batch"]["state"].as_array().cloned().unwrap_or_default();
        states.iter().any(|s| s[of][field] == is).then_some(())
    };
    here.until("nothing left of the quota", |f| {
        let states = f["batch"]["state"].as_array().cloned().unwrap_or_default();
        states
            .iter()
            .any(|s| s["offerLeft"]["offerId"] == json!(offer) && s["offerLeft"]["left"].is_null())
            .then_some(())
    })
    .await;
    there.until("the number in the other live", |f| state(f, "stock", "available", "8")).await;
    assert_eq!(viewer.buy(&offer, 1, None).await.refused(), "sold-out");
    viewer.buy(&sale.offer, 1, None).await.expect(201);
    viewer.post(&format!("/v1/purchases/{}/cancel", text(&held, "id")), json!({})).await.expect(200);
    viewer.buy(&offer, 1, None).await.expect(201);
    for (wish, field) in
        [(json!({ "quota": 0 }), "quota"), (json!({ "starts_in_s": 9, "ends_in_s": 9 }), "starts_in_s")]
    {
        let mut pin = wish;
        pin["product_id"] = sale.product["id"].clone();
        let answer = liver.post(&format!("/v1/lives/{live}/pins"), pin).await;
        assert!(answer.body["detail"].as_str().expect("a detail").contains(field), "{}", answer.body);
    }
    Books::check(&house.database.url).await;
});

both_databases!(units_come_from_the_right_place, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan { units: 3, ..Plan::default() }).await;
    let ginza = add_location(&sale, "store", "銀座店", Some((35.671, 139.765))).await;
    let umeda = add_location(&sale, "store", "梅田店", Some((34.702, 135.496))).await;
    receive(&sale, &sale.sku, &ginza, 4).await;
    receive(&sale, &sale.sku, &umeda, 4).await;
    let safety = json!({ "sku_id": sale.sku, "location_id": ginza, "safety": 1 });
    let after = sale.brand.put("/v1/stock/safety", safety).await.expect(200);
    assert_eq!(after["available"], 3 + 3 + 4, "the counter keeps one");
    let buyer = Actor::sign_up(&house.base(), "大阪の人").await;
    let held = |location: &str| {
        let (sale, location) = (&sale, location.to_owned());
        async move { shelf(sale, &location).await["held"].clone() }
    };
    let near = json!({ "offer_id": sale.offer, "qty": 1, "near": { "latitude": 34.7, "longitude": 135.5 } });
    place(&buyer, near).await.expect(201);
    assert_eq!((held(&umeda).await, held(&sale.warehouse).await), (json!(1), json!(0)), "the nearest sends");
    place(&buyer, json!({ "offer_id": sale.offer, "qty": 1 })).await.expect(201);
    assert_eq!(held(&sale.warehouse).await, 1, "warehouses before stores");
    let pickup = |qty: i64| json!({ "offer_id": sale.offer, "qty": qty, "pickup_location_id": ginza });
    assert_eq!(place(&buyer, pickup(4)).await.refused(), "sold-out", "the last one is the counter's");
    let picked = place(&buyer, pickup(3)).await.expect(201);
    assert_eq!((held(&ginza).await, &picked["pickup_location_id"]), (json!(3), &json!(ginza)));
    // Five are left in two places: split.
    place(&buyer, json!({ "offer_id": sale.offer, "qty": 5 })).await.expect(201);
    assert_eq!(sale.available().await, 0);
    Books::check(&house.database.url).await;
});

both_databases!(what_the_till_sold_is_gone_and_promises_follow, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan { units: 4, ..Plan::default() }).await;
    let store = add_location(&sale, "store", "銀座店", None).await;
    let staff =
        json!({ "email": format!("{}@test.example", fresh_name()), "password": PASSWORD, "display_name": "店員" });
    sale.operator.post(&format!("/v1/locations/{}/staff", sale.warehouse), staff.clone()).await.expect(201);
    let clerk = Actor::sign_in(&house.base(), staff["email"].as_str().expect("text")).await;
    let till = clerk.with_api_key().await;
    let (payer, holder) =
        (Actor::sign_up(&house.base(), "払った人").await, Actor::sign_up(&house.base(), "迷う人").await);
    let paid = payer.buy(&sale.offer, 2, Some("sandbox_card")).await.expect(201);
    payer.until(&paid, "authorized").await;
    let held = holder.buy(&sale.offer, 1, None).await.expect(201);
    let sold = |qty: i64| json!({ "location_id": sale.warehouse, "lines": [{ "sku_id": sale.sku, "qty": qty }] });
    // One free unit: nobody loses anything. The answer is the same however often it is asked.
    let key = fresh_name();
    let first = till.post_with_key("/v1/stock/sales", &key, &sold(1)).await.expect(201);
    assert_eq!((&first["lines"][0]["on_hand"], &first["lines"][0]["available"]), (&json!(3), &json!(0)));
    assert_eq!(till.post_with_key("/v1/stock/sales", &key, &sold(1)).await.expect(201), first);
    assert_eq!(till.post_with_key("/v1/stock/sales", &key, &sold(2)).await.refused(), "idempotency-key-reused");
    // Another: the unpaid hold is broken.
    let second = till.post_with_key("/v1/stock/sales", &fresh_name(), &sold(1)).await.expect(201);
    assert_eq!(second["broken"], json!([held["id"]]));
    assert_eq!(holder.until(&held, "cancelled").await["reason"], "stock-short");
    // Another, with one unit in the store: the paid order gets that one.
    receive(&sale, &sale.sku, &store, 1).await;
    let third = till.post_with_key("/v1/stock/sales", &fresh_name(), &sold(1)).await.expect(201);
    assert_eq!((&third["broken"], &third["short"]), (&json!([]), &json!([])));
    assert_eq!(shelf(&sale, &store).await["held"], 1);
    // The last, and one more that the books never knew: the paid order is short.
    let fourth = till.post_with_key("/v1/stock/sales", &fresh_name(), &sold(2)).await.expect(201);
    assert_eq!(fourth["lines"][0]["found"], 1);
    let order = payer.get(&format!("/v1/purchases/{}", text(&paid, "id"))).await.expect(200);
    assert_eq!((&fourth["short"], &order["short_units"]), (&json!([order["order_id"]]), &json!(1)));
    let listed = sale.brand.get("/v1/stock/shortages").await.expect(200);
    assert_eq!(listed["items"][0]["order_id"], order["order_id"]);
    let ship = format!("/v1/orders/{}/fulfilment", text(&order, "order_id"));
    assert_eq!(sale.brand.post(&ship, json!({})).await.refused(), "conflict", "what is not there cannot leave");
    Books::check(&house.database.url).await;
    // New goods go to the order that waits for them, not to the shop.
    receive(&sale, &sale.sku, &sale.warehouse, 1).await;
    assert_eq!(sale.available().await, 0);
    assert_eq!(payer.get(&format!("/v1/purchases/{}", text(&paid, "id"))).await.expect(200)["short_units"], 0);
    let sent = sale.brand.post(&ship, json!({})).await.expect(200);
    assert_eq!(sent["state"], "fulfilled");
    assert_eq!(sale.brand.post(&ship, json!({})).await.expect(200)["version"], sent["version"], "sent once");
    assert_eq!(shelf(&sale, &store).await["on_hand"], 0);
    let books = Books::check(&house.database.url).await;
    assert_eq!((books.orders, books.held), (1, 0));
});

both_databases!(a_count_is_right_and_rubbish_is_refused, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan { units: 5, ..Plan::default() }).await;
    let new = json!({ "title": "柏餅", "skus": [{ "price_minor": 300, "tax_rate_bp": 800, "jan": "4901234567894" }] });
    let product = sale.brand.post(&format!("/v1/brands/{}/products", sale.brand_id), new).await.expect(201);
    let counted = async |body: Value| sale.brand.post_with_key("/v1/stock/counts", &fresh_name(), body).await;
    let both = json!({ "location_id": sale.warehouse,
        "lines": [{ "sku_id": sale.sku, "counted": 7 }, { "jan": "4901234567894", "counted": 2 }] });
    let answer = counted(both).await.expect(201);
    assert_eq!(answer["lines"][0]["on_hand"], 7);
    assert_eq!(answer["lines"][1]["sku_id"], product["skus"][0]["id"]);
    assert_eq!(sale.available().await, 7);
    let stranger = Actor::sign_up(&house.base(), "よその人").await;
    let (location, sku) = (&sale.warehouse, &sale.sku);
    let cases = [
        (json!({ "location_id": location, "lines": [] }), "invalid-input", "lines"),
        (json!({ "location_id": location, "lines": [{ "sku_id": sku, "counted": -1 }] }), "invalid-input", "counted"),
        (json!({ "location_id": location, "lines": [{ "counted": 1 }] }), "invalid-input", "sku_id"),
        (json!({ "location_id": location, "lines": [{ "jan": "4901234567887", "counted": 1 }] }), "unknown-sku", "jan"),
        (
            json!({ "location_id": location, "lines": [{ "sku_id": sku, "counted": 1 }, { "sku_id": sku, "counted": 2 }] }),
            "invalid-input",
            "twice",
        ),
        (json!({ "location_id": "loc_x", "lines": [] }), "invalid-input", "loc_"),
    ];
    for (body, problem, names) in cases {
        let answer = counted(body).await;
        assert!(answer.body["detail"].as_str().expect("a detail").contains(names), "{}", answer.body);
        assert_eq!(answer.refused(), problem);
    }
    let fair = json!({ "location_id": location, "lines": [{ "sku_id": sku, "counted": 1 }] });
    assert_eq!(sale.brand.post("/v1/stock/counts", fair.clone()).await.refused(), "idempotency-key-missing");
    assert_eq!(stranger.post_with_key("/v1/stock/counts", "k", fair).await.refused(), "forbidden");
    assert_eq!(sale.available().await, 7);
    Books::check(&house.database.url).await;
});

both_databases!(a_tap_over_the_hub_is_the_same_tap, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan { units: 1, ..Plan::default() }).await;
    let buyer = Actor::sign_up(&house.base(), "ゆび").await;
    let mut hub = Socket::join(&buyer, &sale.live, json!({})).await;
    let tap = json!({ "buy": { "key": "one tap", "offerId": sale.offer, "qty": 1, "paymentMethod": "sandbox_card" } });
    let bought = hub.ask(tap.clone()).await["purchase"].clone();
    let again = hub.ask(tap).await["purchase"].clone();
    assert_eq!(again["id"], bought["id"]);
    let over_http = json!({ "offer_id": sale.offer, "qty": 1, "payment_method": "sandbox_card" });
    let over_http = buyer.post_with_key("/v1/purchases", "one tap", over_http).await.expect(201);
    assert_eq!(over_http["id"], bought["id"], "one key, one purchase, by either door");
    buyer.until(&over_http, "authorized").await;
    let refused = hub.ask(json!({ "buy": { "key": "two", "offerId": sale.offer, "qty": 1 } })).await;
    assert_eq!(refused["problem"]["type"], "/problems/sold-out");
    let odd = hub.ask(json!({ "buy": { "key": "", "offerId": sale.offer, "qty": 1 } })).await;
    assert_eq!(odd["problem"]["status"], 400);
    let mut guest = Socket::join(&Actor::guest(&house.base()), &sale.live, json!({})).await;
    let guest = guest.ask(json!({ "buy": { "key": "k", "offerId": sale.offer, "qty": 1 } })).await;
    assert_eq!(guest["problem"]["type"], "/problems/not-signed-in");
    Books::check(&house.database.url).await;
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holds_live_longer_by_their_place_in_the_queue_of_payments() {
    let database = Database::fresh(Engine::Sqlite).await;
    let clock = Clock::manual(Millis(1_800_000_000_000));
    let slow = hanamichi::config::Commerce { payments_per_s: 1, ..Config::default().commerce };
    let config = Config { commerce: slow, ..config(&database.url) };
    let server = hanamichi::app::Server::start(config, clock.clone()).await.expect("the server starts");
    let house = House { server, clock, database };
    let sale = Sale::open(&house, Plan { units: 50, ..Plan::default() }).await;
    let buyer = Actor::sign_up(&house.base(), "列の人").await;
    let first = buyer.buy(&sale.offer, 1, None).await.expect(201);
    let wait =
        |p: &Value| p["hold_expires_at_ms"].as_i64().expect("a time") - p["placed_at_ms"].as_i64().expect("a time");
    assert_eq!(wait(&first), 180_000);
    for _ in 0..12 {
        buyer.buy(&sale.offer, 1, Some("sandbox_card")).await.expect(201);
    }
    let later = buyer.buy(&sale.offer, 1, None).await.expect(201);
    assert!(wait(&later) > 185_000, "ten payments are before it, one a second: {}", wait(&later));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_finds_the_queue_full_is_told_the_place_and_nothing_is_lost() {
    use hanamichi::{
        bus::{Bus, Relay},
        commerce::{CommerceError, PlaceOrder, Sequencer, SequencerConfig, Wish},
        ids::{CustomerId, OfferId, PurchaseId, SkuId},
        tasks::Tasks,
    };
    let house = House::open(Engine::Sqlite).await;
    let sale = Sale::open(&house, Plan { units: 10, ..Plan::default() }).await;
    let buyer = Actor::sign_up(&house.base(), "押す人").await;
    let customer = buyer.get("/v1/me").await.expect(200);
    let customer = CustomerId::parse(customer["customer_id"].as_str().expect("an id")).expect("an id");
    let House { server, database, .. } = house;
    server.stop().await;
    let db = Db::connect(&database.url).await.expect("the file opens");
    let tasks = Tasks::new();
    let relay = Relay::new(db.clone(), Bus::local(Clock::system()), Clock::system());
    let config = SequencerConfig { queue: 3, ..SequencerConfig::default() };
    let sequencer = Sequencer::start(db.clone(), Clock::system(), relay, config, &tasks);
    let order = |n: usize| PlaceOrder {
        id: PurchaseId::fresh(),
        customer: customer.clone(),
        key: format!("tap {n}"),
        body_hash: String::new(),
        wishes: vec![Wish {
            offer: OfferId::parse(&sale.offer).expect("an id"),
            sku: SkuId::parse(&sale.sku).expect("an id"),
            qty: 1,
            seen_price_minor: 1_080,
        }],
        partial: false,
        delivery: hanamichi::commerce::Delivery::default(),
        sheet_hash: "sheet".into(),
        sheet: "{}".into(),
        method: None,
        slow: hanamichi::commerce::Slow::Refused,
        demo: false,
    };
    // The one writer is taken, so the first batch waits and the queue fills behind it.
    let writer = db.write("somebody else").await.expect("a connection");
    let mut taps = tokio::task::JoinSet::new();
    for n in 0..8 {
        let (sequencer, order) = (sequencer.clone(), order(n));
        taps.spawn(async move { sequencer.place(order).await });
        // One at a time into the queue: the first of them is the batch that waits.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let full = sequencer.place(order(8)).await;
    assert!(matches!(full, Err(CommerceError::QueueFull { waiting: 3 })), "{full:?}");
    drop(writer);
    let answers = taps.join_all().await;
    let placed = answers.iter().filter(|answer| answer.is_ok()).count();
    let refused = answers.iter().filter(|a| matches!(a, Err(CommerceError::QueueFull { .. }))).count();
    assert_eq!((placed, placed + refused), (4, 8), "{answers:?}");
    // Who was refused has used up nothing: the same key again is served.
    sequencer.place(order(8)).await.expect("there is room again");
    tasks.stop().await;
    db.close().await;
    let books = Books::check(&database.url).await;
    assert_eq!(books.held, 5);
}

both_databases!(goods_of_a_broken_hold_go_to_the_paid_order_that_lost_its_own, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan { units: 2, ..Plan::default() }).await;
    let store = add_location(&sale, "store", "銀座店", None).await;
    receive(&sale, &sale.sku, &store, 1).await;
    let (payer, holder) =
        (Actor::sign_up(&house.base(), "払った人").await, Actor::sign_up(&house.base(), "迷う人").await);
    let paid = payer.buy(&sale.offer, 1, Some("sandbox_card")).await.expect(201);
    payer.until(&paid, "authorized").await;
    // Held in two places: one unit beside the paid one, one in the store.
    let held = holder.buy(&sale.offer, 2, None).await.expect(201);
    let sold = json!({ "location_id": sale.warehouse, "lines": [{ "sku_id": sale.sku, "qty": 2 }] });
    let answer = sale.brand.post_with_key("/v1/stock/sales", &fresh_name(), sold).await.expect(201);
    assert_eq!(answer["broken"], json!([held["id"]]));
    let after = payer.get(&format!("/v1/purchases/{}", text(&paid, "id"))).await.expect(200);
    assert_eq!(after["short_units"], 0, "the store's unit is the payer's now");
    assert_eq!((sale.available().await, shelf(&sale, &store).await["held"].clone()), (0, json!(1)));
    Books::check(&house.database.url).await;
});

both_databases!(who_waits_is_served_when_a_quota_grows_and_may_leave_and_come_again, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan { units: 5, ..Plan::default() }).await;
    let pin = async |quota: i64| {
        let pin = json!({ "product_id": sale.product["id"], "quota": quota });
        sale.liver.post(&format!("/v1/lives/{}/pins", sale.live), pin).await.expect(200);
    };
    pin(1).await;
    let (first, waiter) = (Actor::sign_up(&house.base(), "先").await, Actor::sign_up(&house.base(), "次").await);
    first.buy(&sale.offer, 1, None).await.expect(201);
    let join = json!({ "offer_id": sale.offer });
    // Leaving and coming again, many at once: whatever falls into one batch, nobody's command is lost.
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let (waiter, join) = (waiter.clone(), join.clone());
        crowd.spawn(async move {
            let wait = waiter.post("/v1/waitlist", join).await.expect(201);
            waiter.delete(&format!("/v1/waitlist/{}", text(&wait, "id"))).await.expect(204);
        });
    }
    crowd.join_all().await;
    assert_eq!(waiter.post("/v1/waitlist", join).await.expect(201)["state"], "waiting");
    pin(2).await;
    let served = async {
        while waiter.get("/v1/waitlist").await.expect(200)["items"][0]["state"] != "offered" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, served).await.expect("the quota has grown");
    Books::check(&house.database.url).await;
});
