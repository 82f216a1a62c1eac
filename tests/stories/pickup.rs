//! From the live to the store: which one has it, when it is open, and what is picked up there.

use std::time::Duration;

use hanamichi::{
    app::Server,
    clock::{Clock, Millis},
    store::Db,
};
use serde_json::{Value, json};

use crate::{
    both_databases,
    harness::{
        Actor, Answer, Books, Engine, House, PASSWORD, PATIENCE, Plan, Sale, config, count, fresh_name, meddle, text,
        verify,
    },
    hub::Socket,
};

const GINZA: (f64, f64) = (35.671, 139.765);
const UMEDA: (f64, f64) = (34.702, 135.496);

async fn patch(by: &Actor, path: &str, body: Value) -> Answer {
    by.send(by.request(reqwest::Method::PATCH, path).json(&body)).await
}

/// A store with so many units of the sale's SKU.
async fn add_store(sale: &Sale, name: &str, at: Option<(f64, f64)>, units: i64) -> String {
    let mut new = json!({ "kind": "store", "name": name });
    if let Some((latitude, longitude)) = at {
        new["latitude"] = json!(latitude);
        new["longitude"] = json!(longitude);
    }
    let store = text(&sale.operator.post("/v1/locations", new).await.expect(201), "id");
    if units > 0 {
        let goods = json!({ "sku_id": sale.sku, "location_id": store, "delta": units, "reason": "receive" });
        sale.brand.post("/v1/stock/adjustments", goods).await.expect(201);
    }
    store
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().expect("a list").iter().map(|one| one["name"].as_str().expect("a name")).collect()
}

both_databases!(stores_are_told_nearest_first_with_hours_and_services, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let ginza = add_store(&sale, "銀座店", Some(GINZA), 0).await;
    let umeda = add_store(&sale, "梅田店", Some(UMEDA), 0).await;
    add_store(&sale, "移動店舗", None, 0).await;
    let guest = Actor::guest(&house.base());
    let all = guest.get("/v1/locations").await.expect(200);
    assert_eq!(names(&all), ["銀座店", "梅田店", "移動店舗"], "oldest first, and no warehouse");
    let near = guest.get("/v1/locations?near=34.7,135.5").await.expect(200);
    assert_eq!(names(&near), ["梅田店", "銀座店", "移動店舗"], "what is nowhere comes last");
    let metres = |n: usize| near["items"][n]["distance_m"].as_i64();
    assert!((300..600).contains(&metres(0).expect("a distance")), "{near}");
    assert!((395_000..410_000).contains(&metres(1).expect("a distance")) && metres(2).is_none(), "{near}");
    for wrong in ["x", "34.7", "91,0", "0,181", "NaN,0"] {
        assert_eq!(guest.get(&format!("/v1/locations?near={wrong}")).await.refused(), "invalid-input", "{wrong}");
    }
    assert!(names(&sale.brand.get("/v1/locations").await.expect(200)).contains(&"川口倉庫"), "brands see all");
    assert_eq!(guest.get(&format!("/v1/locations/{}", sale.warehouse)).await.refused(), "not-found");

    // What an operator says of it, and nobody else.
    let path = format!("/v1/locations/{ginza}");
    let hours = json!({ "weekly": [
        { "day": "tue", "opens": "10:00", "closes": "20:00" }, { "day": "mon", "opens": "10:00", "closes": "20:00" },
    ], "closed_dates": ["2027-01-01"] });
    let change = json!({ "hours": hours, "phone": "03-1234-5678", "map_url": "https://maps.example.jp/?q=1",
        "services": ["try_on", "pickup"] });
    let staff = add_staff(&sale, &ginza).await;
    for actor in [&sale.brand, &sale.liver, &staff] {
        assert_eq!(patch(actor, &path, change.clone()).await.refused(), "forbidden");
    }
    assert_eq!(patch(&guest, &path, change.clone()).await.refused(), "not-signed-in");
    patch(&sale.operator, &path, change).await.expect(200);
    // What is not said stays.
    patch(&sale.operator, &path, json!({ "address": "東京都中央区銀座" })).await.expect(200);
    let told = guest.get(&path).await.expect(200);
    assert_eq!((&told["phone"], &told["address"]), (&json!("03-1234-5678"), &json!("東京都中央区銀座")));
    assert_eq!(told["services"], json!(["pickup", "try_on"]));
    assert_eq!(told["hours"]["weekly"][0], json!({ "day": "mon", "opens": "10:00", "closes": "20:00" }));
    assert_eq!(told["hours"]["closed_dates"], json!(["2027-01-01"]));
    for (wrong, field) in [
        (json!({ "hours": { "weekly": [{ "day": "mon", "opens": "20:00", "closes": "10:00" }] } }), "hours"),
        (json!({ "hours": { "weekly": [{ "day": "mon", "opens": "10:00", "closes": "25:00" }] } }), "time of day"),
        (json!({ "hours": { "weekly": [], "closed_dates": ["2027-02-30"] } }), "a day"),
        (json!({ "map_url": "javascript:alert(1)" }), "map_url"),
        (json!({ "phone": "三越前" }), "phone"),
        (json!({ "services": ["party"] }), "party"),
        (json!({ "latitude": 3.0 }), "latitude"),
        (json!({ "name": " " }), "name"),
    ] {
        let answer = patch(&sale.operator, &path, wrong).await;
        assert!(answer.body["detail"].as_str().expect("a detail").contains(field), "{}", answer.body);
        assert_eq!(answer.refused(), "invalid-input");
    }
    let warehouse = format!("/v1/locations/{}", sale.warehouse);
    assert_eq!(patch(&sale.operator, &warehouse, json!({ "services": ["pickup"] })).await.refused(), "invalid-input");
    assert_eq!(guest.get(&path).await.expect(200), told, "a change that is refused changes nothing");
    assert_eq!(
        guest.get(&format!("/v1/locations/{umeda}")).await.expect(200)["services"],
        json!(["pickup", "ship_from_store"])
    );
});

both_databases!(a_store_that_has_it_is_found_and_one_without_pickup_hands_nothing_over, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan { units: 5, ..Plan::default() }).await;
    let ginza = add_store(&sale, "銀座店", Some(GINZA), 3).await;
    let umeda = add_store(&sale, "梅田店", Some(UMEDA), 1).await;
    add_store(&sale, "空の店", Some(GINZA), 0).await;
    let safety = json!({ "sku_id": sale.sku, "location_id": ginza, "safety": 1 });
    sale.brand.put("/v1/stock/safety", safety).await.expect(200);
    let guest = Actor::guest(&house.base());
    let stores = async || guest.get(&format!("/v1/skus/{}/stores?near=35.67,139.76", sale.sku)).await.expect(200);
    let found = stores().await;
    assert_eq!(names(&found), ["銀座店", "梅田店"], "no warehouse, and no store that never had it");
    let of = |list: &Value, n: usize| (list["items"][n]["available"].as_i64(), list["items"][n]["pickup"].clone());
    assert_eq!(
        (of(&found, 0), of(&found, 1)),
        ((Some(2), json!(true)), (Some(1), json!(true))),
        "the counter keeps one"
    );
    assert!(found["items"][0]["distance_m"].as_i64().is_some_and(|metres| metres < 1_000));
    let buyer = Actor::sign_up(&house.base(), "ゆい").await;
    let pick = |store: &str| json!({ "offer_id": sale.offer, "qty": 1, "pickup_location_id": store });
    buyer.post_with_key("/v1/purchases", &fresh_name(), pick(&umeda)).await.expect(201);
    assert_eq!(of(&stores().await, 1), (Some(0), json!(false)), "at once: it is promised");
    let key = fresh_name();
    let first = buyer.post_with_key("/v1/purchases", &key, pick(&ginza)).await.expect(201);
    patch(&sale.operator, &format!("/v1/locations/{ginza}"), json!({ "services": ["try_on"] })).await.expect(200);
    for place in [&ginza, &sale.warehouse] {
        let answer = buyer.post_with_key("/v1/purchases", &fresh_name(), pick(place)).await;
        assert_eq!((answer.status, answer.refused().as_str()), (409, "pickup-unavailable"));
    }
    let again = buyer.post_with_key("/v1/purchases", &key, pick(&ginza)).await.expect(201);
    assert_eq!(again["id"], first["id"], "what was granted stays");
    assert_eq!(of(&stores().await, 0), (Some(1), json!(false)));
    let unknown = guest.get("/v1/skus/sku_01j00000000000000000000000/stores").await;
    assert_eq!(unknown.refused(), "not-found");
});

/// Somebody who works in a store.
pub async fn add_staff(sale: &Sale, store: &str) -> Actor {
    let email = format!("{}@test.example", fresh_name());
    let new = json!({ "email": email, "password": PASSWORD, "display_name": "店員" });
    sale.operator.post(&format!("/v1/locations/{store}/staff"), new).await.expect(201);
    Actor::sign_in(&sale.operator.base, &email).await
}

/// A paid order that is picked up.
async fn order(sale: &Sale, buyer: &Actor, store: &str, qty: i64) -> Value {
    let wish =
        json!({ "offer_id": sale.offer, "qty": qty, "pickup_location_id": store, "payment_method": "sandbox_card" });
    let purchase = buyer.post_with_key("/v1/purchases", &fresh_name(), wish).await.expect(201);
    let paid = buyer.until(&purchase, "authorized").await;
    read(buyer, &json!({ "id": paid["order_id"] })).await
}

async fn read(buyer: &Actor, order: &Value) -> Value {
    buyer.get(&format!("/v1/orders/{}", text(order, "id"))).await.expect(200)
}

fn path(store: &str, order: &Value, verb: &str) -> String {
    format!("/v1/locations/{store}/pickups/{}/{verb}", text(order, "id"))
}

/// Marks it ready; its code.
async fn make_ready(staff: &Actor, buyer: &Actor, store: &str, order: &Value) -> String {
    staff.post(&path(store, order, "ready"), json!({})).await.expect(200);
    text(&read(buyer, order).await["pickup"], "code")
}

async fn hand_over(staff: &Actor, store: &str, key: &str, code: &str) -> Answer {
    staff.post_with_key(&format!("/v1/locations/{store}/pickups/hand-over"), key, json!({ "code": code })).await
}

async fn on_hand(sale: &Sale, store: &str) -> (i64, i64) {
    let stock = sale.operator.get(&format!("/v1/skus/{}/stock", sale.sku)).await.expect(200);
    let shelves = stock["locations"].as_array().expect("shelves").clone();
    let shelf = shelves.into_iter().find(|shelf| shelf["location_id"] == store).expect("the store's shelf");
    (shelf["on_hand"].as_i64().expect("units"), shelf["held"].as_i64().expect("units"))
}

both_databases!(an_order_is_prepared_and_handed_over_by_its_code_once, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan { units: 1, ..Plan::default() }).await;
    let (ginza, umeda) = (add_store(&sale, "銀座店", None, 5).await, add_store(&sale, "梅田店", None, 0).await);
    let (staff, elsewhere) = (add_staff(&sale, &ginza).await, add_staff(&sale, &umeda).await);
    let buyer = Actor::sign_up(&house.base(), "ゆい").await;
    let mut hub = Socket::join(&buyer, &sale.live, json!({})).await;
    hub.until("a snapshot", |f| f["snapshot"].is_object().then_some(())).await;
    let bought = order(&sale, &buyer, &ginza, 2).await;
    let pickup = &bought["pickup"];
    assert_eq!((&pickup["state"], &pickup["location_name"]), (&json!("waiting"), &json!("銀座店")), "{pickup}");
    assert!(pickup["code"].is_null() && pickup["qr"].is_null(), "nothing can be had yet: {pickup}");

    // Its store sees it, and nobody else.
    let list = format!("/v1/locations/{ginza}/pickups");
    let open = staff.get(&list).await.expect(200);
    let seen = &open["items"][0];
    assert_eq!(
        (&seen["order_id"], &seen["order_number"], &seen["state"]),
        (&bought["id"], &bought["number"], &json!("waiting"))
    );
    assert_eq!((&seen["lines"][0]["product_title"], &seen["lines"][0]["qty"]), (&json!("花見団子"), &json!(2)));
    let prepare = path(&ginza, &bought, "preparing");
    for stranger in [&elsewhere, &sale.brand, &sale.liver, &buyer] {
        assert_eq!(stranger.get(&list).await.refused(), "forbidden");
        assert_eq!(stranger.post(&prepare, json!({})).await.refused(), "forbidden");
        assert_eq!(hand_over(stranger, &ginza, &fresh_name(), "0000-0000").await.refused(), "forbidden");
    }
    assert_eq!(elsewhere.post(&path(&umeda, &bought, "ready"), json!({})).await.refused(), "not-found");
    assert_eq!(elsewhere.get(&format!("/v1/locations/{umeda}/pickups")).await.expect(200)["items"], json!([]));

    // Prepared, and told; each may be repeated, and nothing goes back.
    for _ in 0..2 {
        assert_eq!(staff.post(&prepare, json!({})).await.expect(200)["state"], "preparing");
    }
    let code = make_ready(&staff, &buyer, &ginza, &bought).await;
    assert_eq!(make_ready(&staff, &buyer, &ginza, &bought).await, code, "one code");
    assert_eq!(staff.post(&prepare, json!({})).await.refused(), "conflict");
    let told = |f: &Value, state: &str| {
        let pickup = &f["personal"]["pickup"];
        (pickup["orderId"] == bought["id"] && pickup["state"] == state).then(|| pickup.clone())
    };
    let ready = hub.until("that it is ready", |f| told(f, "ready")).await;
    assert!(!ready.to_string().contains(&code) && ready["collectByMs"].is_string(), "{ready}");
    let now = read(&buyer, &bought).await["pickup"].clone();
    assert_eq!(now["qr"], json!(format!("HANAMICHI:PICKUP:{}", code.replace('-', ""))));
    assert_eq!(code.len(), 9, "eight characters in two groups");
    for path in [list.clone(), format!("{list}?state=ready")] {
        let said = staff.get(&path).await.expect(200).to_string();
        assert!(
            said.contains(&text(&bought, "id")) && !said.contains(&code) && !said.contains(&code.replace('-', "")),
            "{said}"
        );
    }

    // Handed over, once.
    assert_eq!(hand_over(&staff, &ginza, &fresh_name(), "ZZZZ-ZZZZ").await.refused(), "pickup-code-wrong");
    assert_eq!(hand_over(&staff, &ginza, &fresh_name(), "U").await.refused(), "invalid-input");
    assert_eq!(hand_over(&elsewhere, &umeda, &fresh_name(), &code).await.refused(), "pickup-code-wrong");
    let no_key = staff.post(&format!("{list}/hand-over"), json!({ "code": code })).await;
    assert_eq!(no_key.refused(), "idempotency-key-missing");
    assert_eq!(on_hand(&sale, &ginza).await, (5, 2), "so far it is only promised");
    let key = fresh_name();
    let typed = code.to_lowercase().replace('-', " ");
    let handed = hand_over(&staff, &ginza, &key, &typed).await.expect(200);
    assert_eq!((&handed["state"], &handed["order_id"]), (&json!("handed_over"), &bought["id"]));
    assert_eq!(hand_over(&staff, &ginza, &key, &code).await.expect(200), handed, "its one answer");
    let again = hand_over(&staff, &ginza, &fresh_name(), &text(&now, "qr")).await;
    assert_eq!((again.status, &again.body["happened_at_ms"]), (409, &handed["handed_over_at_ms"]), "{}", again.body);
    assert_eq!(again.refused(), "pickup-handed-over");
    let after = read(&buyer, &bought).await;
    assert_eq!((&after["state"], &after["captured_minor"]), (&json!("fulfilled"), &json!(2_160)));
    assert_eq!((&after["pickup"]["state"], &after["pickup"]["code"]), (&json!("handed_over"), &json!(null)));
    assert_eq!(on_hand(&sale, &ginza).await, (3, 0), "the units have left");
    hub.until("that it was handed over", |f| told(f, "handed_over")).await;
    assert_eq!(staff.get(&list).await.expect(200)["items"], json!([]), "nothing is left to do");
    let over = staff.get(&format!("{list}?state=handed_over")).await.expect(200);
    assert_eq!(over["items"][0]["order_id"], bought["id"]);

    // A key is for one order; what its seller sends instead is handed over, and what its seller gives back is not.
    let (second, third) = (order(&sale, &buyer, &ginza, 1).await, order(&sale, &buyer, &ginza, 1).await);
    let other = make_ready(&staff, &buyer, &ginza, &second).await;
    assert_eq!(hand_over(&staff, &ginza, &key, &other).await.refused(), "idempotency-key-reused");
    let page = staff.get(&format!("{list}?limit=1")).await.expect(200);
    assert_eq!(page["items"][0]["order_id"], second["id"], "the oldest first");
    let rest = staff.get(&format!("{list}?cursor={}", text(&page, "next_cursor"))).await.expect(200);
    assert_eq!((&rest["items"][0]["order_id"], &rest["next_cursor"]), (&third["id"], &json!(null)));
    sale.brand.post(&format!("/v1/orders/{}/fulfilment", text(&second, "id")), json!({})).await.expect(200);
    assert_eq!(hand_over(&staff, &ginza, &fresh_name(), &other).await.refused(), "pickup-handed-over");
    let called_off = make_ready(&staff, &buyer, &ginza, &third).await;
    let back = json!({ "restock": true, "reason": "取りやめ" });
    sale.brand.post_with_key(&format!("/v1/orders/{}/refunds", text(&third, "id")), "back", back).await.expect(201);
    assert_eq!(read(&buyer, &third).await["pickup"]["state"], "returned");
    assert_eq!(hand_over(&staff, &ginza, &fresh_name(), &called_off).await.refused(), "conflict");
    assert_eq!(on_hand(&sale, &ginza).await, (2, 0));
    verify(&house.database.url).await;
});

both_databases!(of_many_who_hand_over_at_once_exactly_one_does, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan { units: 1, ..Plan::default() }).await;
    let ginza = add_store(&sale, "銀座店", None, 5).await;
    let people = [add_staff(&sale, &ginza).await, add_staff(&sale, &ginza).await];
    let buyer = Actor::sign_up(&house.base(), "ゆい").await;
    for _ in 0..5 {
        let bought = order(&sale, &buyer, &ginza, 1).await;
        let code = make_ready(&people[0], &buyer, &ginza, &bought).await;
        let mut tries = tokio::task::JoinSet::new();
        for n in 0..6 {
            let (staff, ginza, code) = (people[n % 2].clone(), ginza.clone(), code.clone());
            tries.spawn(async move { hand_over(&staff, &ginza, &fresh_name(), &code).await });
        }
        let answers = tries.join_all().await;
        let (handed, told): (Vec<Answer>, Vec<Answer>) = answers.into_iter().partition(|answer| answer.status == 200);
        assert_eq!(handed.len(), 1, "{handed:?} {told:?}");
        for answer in told {
            assert_eq!(answer.body["happened_at_ms"], handed[0].body["handed_over_at_ms"], "{}", answer.body);
            assert_eq!(answer.refused(), "pickup-handed-over");
        }
        assert_eq!(read(&buyer, &bought).await["captured_minor"], 1_080);
    }
    assert_eq!(on_hand(&sale, &ginza).await, (0, 0));
    Books::check(&house.database.url).await;
});

both_databases!(a_store_may_not_try_codes_without_end, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let sale = Sale::open(&house, Plan { units: 1, ..Plan::default() }).await;
    let (ginza, umeda) = (add_store(&sale, "銀座店", None, 1).await, add_store(&sale, "梅田店", None, 0).await);
    let staff = add_staff(&sale, &ginza).await;
    let buyer = Actor::sign_up(&house.base(), "ゆい").await;
    let bought = order(&sale, &buyer, &ginza, 1).await;
    let code = make_ready(&staff, &buyer, &ginza, &bought).await;
    for n in 0..20 {
        let guess = format!("ZZZZ-ZZ{n:02}");
        assert_eq!(hand_over(&staff, &ginza, &fresh_name(), &guess).await.refused(), "pickup-code-wrong");
    }
    let refused = hand_over(&staff, &ginza, "one", &code).await;
    assert_eq!(refused.body["retry_after_ms"], 60_000, "{}", refused.body);
    assert_eq!(refused.refused(), "rate-limited", "also with the right one");
    let elsewhere = add_staff(&sale, &umeda).await;
    assert_eq!(hand_over(&elsewhere, &umeda, &fresh_name(), "ZZZZ-ZZZZ").await.refused(), "pickup-code-wrong");
    house.clock.advance(Duration::from_secs(60));
    hand_over(&staff, &ginza, "one", &code).await.expect(200);
    Books::check(&house.database.url).await;
});

both_databases!(nothing_is_handed_over_whose_money_cannot_be_taken, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan { units: 1, ..Plan::default() }).await;
    let ginza = add_store(&sale, "銀座店", None, 1).await;
    let staff = add_staff(&sale, &ginza).await;
    let buyer = Actor::sign_up(&house.base(), "ゆい").await;
    let bought = order(&sale, &buyer, &ginza, 1).await;
    let code = make_ready(&staff, &buyer, &ginza, &bought).await;
    // The bank let go of it.
    let lapsed = "UPDATE sandbox_payments SET state = 'cancelled' WHERE state = 'authorized'".to_owned();
    meddle(&house.database.url, &[lapsed]).await;
    for key in ["one", "two", "one"] {
        let refused = hand_over(&staff, &ginza, key, &code).await;
        assert!(refused.body["detail"].as_str().expect("a detail").starts_with("not handed over"), "{}", refused.body);
        assert_eq!(refused.refused(), "payment-lapsed");
    }
    assert_eq!(on_hand(&sale, &ginza).await, (1, 1), "it stands there");
    let after = read(&buyer, &bought).await;
    assert_eq!((&after["pickup"]["state"], &after["captured_minor"]), (&json!("ready"), &json!(0)));
    let back = json!({ "restock": true, "reason": "支払いの失効" });
    sale.brand.post_with_key(&format!("/v1/orders/{}/refunds", text(&bought, "id")), "back", back).await.expect(201);
    assert_eq!(hand_over(&staff, &ginza, "three", &code).await.refused(), "conflict");
    verify(&house.database.url).await;
    // Whoever says otherwise behind the server's back is found out.
    let lie = "UPDATE pickups SET state = 'handed_over', handed_over_at_ms = 1, returned_at_ms = NULL".to_owned();
    meddle(&house.database.url, &[lie]).await;
    let db = Db::connect(&house.database.url).await.expect("the database opens");
    let report = hanamichi::verify::run(&db, Clock::system().now()).await.expect("the books can be read");
    db.close().await;
    let faults = report.checks.iter().filter(|check| check.faults > 0).map(|check| check.name).collect::<Vec<_>>();
    assert_eq!(faults, ["each pickup stands as its order does"]);
});

fn at(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().expect("a time").as_millisecond()
}

both_databases!(what_is_promised_is_the_stores_own_pace_in_its_hours, async |engine: Engine| {
    let start = at("2027-01-15T17:00:00+09:00");
    let house = House::open_as(engine, Clock::manual(Millis(start)), |config| config).await;
    let sale = Sale::open(&house, Plan { units: 1, ..Plan::default() }).await;
    let ginza = add_store(&sale, "銀座店", None, 9).await;
    let staff = add_staff(&sale, &ginza).await;
    // A Friday; on Saturdays it is closed once.
    let day = |day: &str| json!({ "day": day, "opens": "10:00", "closes": "18:00" });
    let hours = json!({ "weekly": [day("fri"), day("sat"), day("sun")], "closed_dates": ["2027-01-16"] });
    patch(&sale.operator, &format!("/v1/locations/{ginza}"), json!({ "hours": hours })).await.expect(200);
    let buyer = Actor::sign_up(&house.base(), "ゆい").await;
    let promised = async || {
        let bought = order(&sale, &buyer, &ginza, 1).await;
        (bought["pickup"]["ready_by_ms"].as_i64().expect("a promise"), bought)
    };
    let minutes = |n: i64| n * 60_000;
    let pass = |n: i64| house.clock.advance(Duration::from_millis(u64::try_from(minutes(n)).expect("later")));
    let (by, first) = promised().await;
    assert_eq!(by - start, minutes(30), "nothing is known of its pace");
    let (_, second) = promised().await;
    pass(2);
    make_ready(&staff, &buyer, &ginza, &first).await;
    let (by, third) = promised().await;
    assert_eq!(by - start, minutes(2 + 10), "nobody is as fast as that");
    pass(38);
    make_ready(&staff, &buyer, &ginza, &second).await;
    make_ready(&staff, &buyer, &ginza, &third).await;
    // 2, 38 and 40 minutes: the one in the middle, of which 20 are left today.
    let (by, _) = promised().await;
    assert_eq!(by, at("2027-01-17T10:18:00+09:00"), "the rest on the next day on which it is open");
    pass(60);
    let (by, _) = promised().await;
    assert_eq!(by, at("2027-01-17T10:38:00+09:00"), "it begins when it opens");
    verify(&house.database.url).await;
});

both_databases!(what_nobody_comes_for_is_reminded_of_and_given_back, async |engine: Engine| {
    let house = House::open_as(engine, Clock::manual(Millis(1_800_000_000_000)), |mut config| {
        config.omo.pickup_days = 3;
        config
    });
    let house = house.await;
    let sale = Sale::open(&house, Plan { units: 1, limit: Some(2), ..Plan::default() }).await;
    let ginza = add_store(&sale, "銀座店", None, 2).await;
    let staff = add_staff(&sale, &ginza).await;
    let (buyer, punctual) =
        (Actor::sign_up(&house.base(), "ゆい").await, Actor::sign_up(&house.base(), "はると").await);
    let (left, taken) = (order(&sale, &buyer, &ginza, 1).await, order(&sale, &punctual, &ginza, 1).await);
    make_ready(&staff, &buyer, &ginza, &left).await;
    let code = make_ready(&staff, &punctual, &ginza, &taken).await;
    hand_over(&staff, &ginza, &fresh_name(), &code).await.expect(200);
    let reminded = "SELECT COUNT(*) FROM pickups WHERE reminded_at_ms IS NOT NULL";
    let url = &house.database.url;
    house.clock.advance(Duration::from_secs(2 * 24 * 3600 - 60));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(count(url, reminded).await, 0, "not before the last day");
    house.clock.advance(Duration::from_secs(120));
    let told = async {
        while count(url, reminded).await != 1 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            house.clock.advance(Duration::from_secs(31));
        }
    };
    tokio::time::timeout(PATIENCE, told).await.expect("a reminder");
    let mut hub = Socket::join(&buyer, &sale.live, json!({})).await;
    let heard = hub.until("the reminder", |f| {
        let pickup = &f["personal"]["pickup"];
        (pickup["orderId"] == left["id"] && pickup["reminded"] == true).then(|| pickup.clone())
    });
    assert_eq!(heard.await["state"], "ready");
    assert_eq!(on_hand(&sale, &ginza).await, (1, 1));

    // On PostgreSQL another node looks too, at the same moments.
    let beside = match engine {
        Engine::Sqlite => None,
        Engine::Postgres => {
            let mut config = config(&house.database.url);
            config.omo.pickup_days = 3;
            Some(Server::start(config, house.clock.clone()).await.expect("another node"))
        }
    };
    house.clock.advance(Duration::from_secs(24 * 3600));
    let returned = async {
        loop {
            let now = read(&buyer, &left).await;
            if now["pickup"]["state"] == "returned" {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            house.clock.advance(Duration::from_secs(31));
        }
    };
    let after = tokio::time::timeout(PATIENCE, returned).await.expect("it is called off");
    assert_eq!((&after["state"], &after["voided_minor"]), (&json!("cancelled"), &after["total_minor"]));
    assert_eq!(after["refunds"].as_array().map(Vec::len), Some(1), "{}", after["refunds"]);
    assert_eq!((&after["refunds"][0]["kind"], &after["pickup"]["code"]), (&json!("void"), &json!(null)));
    assert_eq!(on_hand(&sale, &ginza).await, (1, 0), "it can be sold again");
    assert_eq!(read(&punctual, &taken).await["pickup"]["state"], "handed_over");
    let over = staff.get(&format!("/v1/locations/{ginza}/pickups?state=returned")).await.expect(200);
    assert_eq!(over["items"][0]["order_id"], left["id"]);
    let released = async {
        while count(url, "SELECT COUNT(*) FROM sandbox_payments WHERE state = 'authorized'").await > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            house.clock.advance(Duration::from_secs(31));
        }
    };
    tokio::time::timeout(PATIENCE, released).await.expect("the money is let go");
    if let Some(beside) = beside {
        beside.stop().await;
    }
    verify(url).await;
});
