//! Why a sale is whose: consent, links, staff codes, the brand's rule, words for people, and deciding again.

use std::{process::Command, time::Duration};

use hanamichi::{clock::Clock, store::Db};
use serde_json::{Value, json};

use crate::{
    both_databases,
    harness::{
        Actor, Books, Engine, House, PASSWORD, Plan, Sale, add_brand, add_liver, count, fresh_name, meddle, text,
        verify,
    },
};

/// Waits until so many touches of a kind are stored.
async fn touches(house: &House, kind: &str, wanted: i64) {
    let query = format!("SELECT COUNT(*) FROM touches WHERE kind = '{kind}'");
    for _ in 0..100 {
        if count(&house.database.url, &query).await == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{} touches of kind {kind}, not {wanted}", count(&house.database.url, &query).await);
}

async fn allow(viewer: &Actor) {
    viewer.put("/v1/me/consents/touches", json!({ "given": true })).await.expect(200);
}

async fn bought(viewer: &Actor, sale: &Sale, qty: u32) -> Value {
    let purchase = viewer.buy(&sale.offer, qty, Some("sandbox_card")).await.expect(201);
    viewer.until(&purchase, "authorized").await
}

/// The ledger's lines of a brand.
async fn lines(sale: &Sale) -> Vec<Value> {
    let page = sale.brand.get(&format!("/v1/brands/{}/report/lines", sale.brand_id)).await.expect(200);
    page["items"].as_array().expect("a list").clone()
}

async fn explained(sale: &Sale, line: &str) -> Value {
    sale.brand.get(&format!("/v1/brands/{}/order-lines/{line}/attribution", sale.brand_id)).await.expect(200)
}

pub async fn add_staff(operator: &Actor, name: &str) -> (Actor, String) {
    let store = operator.post("/v1/locations", json!({ "kind": "store", "name": "銀座店" })).await.expect(201);
    let store = text(&store, "id");
    let email = format!("{}@test.example", fresh_name());
    let member = json!({ "email": email, "password": PASSWORD, "display_name": name });
    operator.post(&format!("/v1/locations/{store}/staff"), member).await.expect(201);
    (Actor::sign_in(&operator.base, &email).await, store)
}

both_databases!(nothing_is_noted_of_who_did_not_allow_it, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let links = format!("/v1/lives/{}/links", sale.live);
    let link = sale.liver.post(&links, json!({ "campaign": "春のDM" })).await.expect(201);
    let follow = json!({ "kind": "link", "code": link["code"] });
    let yui = Actor::sign_up(&house.base(), "ゆい").await;
    let asked = yui.get("/v1/me/consents/touches").await.expect(200);
    assert_eq!((&asked["given"], &asked["at_ms"]), (&Value::Null, &Value::Null), "nobody has asked yet");
    yui.post("/v1/touches", follow.clone()).await.expect(200);
    allow(&yui).await;
    yui.post("/v1/touches", follow.clone()).await.expect(200);
    // The queue is in order: when the second is there, the first was left out; the same once a minute.
    yui.post("/v1/touches", follow.clone()).await.expect(200);
    touches(&house, "link", 1).await;
    yui.put("/v1/me/consents/touches", json!({ "given": false })).await.expect(200);
    house.clock.advance(Duration::from_secs(120));
    yui.post("/v1/touches", follow).await.expect(200);
    let haruto = Actor::sign_up(&house.base(), "はると").await;
    allow(&haruto).await;
    haruto.post("/v1/touches", json!({ "kind": "link", "code": link["code"] })).await.expect(200);
    touches(&house, "link", 2).await;
    assert_eq!(yui.get("/v1/me/consents/touches").await.expect(200)["given"], false);
    assert_eq!(count(&house.database.url, "SELECT COUNT(*) FROM consents").await, 3, "every answer is kept");
    assert_eq!(yui.post("/v1/touches", json!({ "kind": "link", "code": "NOSUCH" })).await.refused(), "not-found");
    assert_eq!(Actor::guest(&house.base()).get("/v1/me/consents/touches").await.refused(), "not-signed-in");
});

both_databases!(a_sale_tells_why_it_is_whose, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let sale = Sale::open(&house, Plan { price: 2_000, ..Plan::default() }).await;
    let product = text(&sale.product, "id");
    let links = format!("/v1/lives/{}/links", sale.live);
    let link = json!({ "campaign": "春のDM", "product_id": product });
    let link = sale.liver.post(&links, link).await.expect(201);
    let yui = Actor::sign_up(&house.base(), "ゆい").await;
    allow(&yui).await;
    yui.post("/v1/touches", json!({ "kind": "link", "code": text(&link, "code").to_lowercase() })).await.expect(200);
    touches(&house, "link", 1).await;
    house.clock.advance(Duration::from_secs(60));
    bought(&yui, &sale, 3).await;
    let line = text(&lines(&sale).await[0], "order_line_id");
    let told = explained(&sale, &line).await;
    assert_eq!(told["owner"]["liver_name"], "さくら");
    assert_eq!((&told["rule"], &told["rule_version"], &told["contract"]), (&json!("direct"), &json!(1), &Value::Null));
    assert_eq!((&told["amount_minor"], &told["commission_bp"]), (&json!(6_000), &json!(1_500)));
    let steps: Vec<(&str, bool, bool)> = told["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .map(|s| (s["rule"].as_str().expect("a rule"), s["matched"] == true, s["decided"] == true))
        .collect();
    assert_eq!(
        steps,
        [
            ("coupon", false, false),
            ("direct", true, true),
            ("replay", false, false),
            ("last_click", true, false),
            ("staff_code", false, false)
        ]
    );
    assert!(told["ja"].as_str().is_some_and(|ja| ja.contains("春の市") && ja.contains("15%")), "{}", told["ja"]);
    assert!(told["en"].as_str().is_some_and(|en| en.contains("bought in that live")), "{}", told["en"]);
    assert_eq!((&told["recomputed"], &told["credits"][0]["commission_minor"]), (&json!(true), &json!(900)));
    let whole = told.to_string();
    assert!(!whole.contains("ゆい") && !whole.contains("cus_"), "the buyer is not told: {whole}");

    // Another brand, another line, the liver, a stranger.
    let (rival, rival_id) = add_brand(&sale.operator, "藍屋").await;
    let theirs = format!("/v1/brands/{}/order-lines/{line}/attribution", sale.brand_id);
    assert_eq!(rival.get(&theirs).await.refused(), "not-found");
    assert_eq!(
        rival.get(&format!("/v1/brands/{rival_id}/order-lines/{line}/attribution")).await.refused(),
        "not-found"
    );
    assert_eq!(sale.liver.get(&theirs).await.refused(), "forbidden");
    let none = format!("/v1/brands/{}/order-lines/lin_rubbish/attribution", sale.brand_id);
    assert_eq!(sale.brand.get(&none).await.refused(), "not-found");

    // The command says the same.
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hanamichi"));
        let said = command.env("HANAMICHI_DATABASE", &house.database.url).args(args).output().expect("it runs");
        (said.status.success(), String::from_utf8_lossy(&said.stdout).into_owned())
    };
    let (fine, said) = run(&["attribution", "explain", &line]);
    assert!(fine && said.contains(told["ja"].as_str().expect("words")) && said.contains("the same"), "{said}");
    assert_eq!(run(&["attribution", "recompute"]), (true, "1 credited lines decided again, 0 differ\n".to_owned()));
    assert!(!run(&["attribution", "explain", "lin_rubbish"]).0);
});

both_databases!(staff_who_helped_are_credited_apart, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let sale = Sale::open(&house, Plan { price: 1_999, ..Plan::default() }).await;
    let rule = json!({ "click_days": 7, "replay_days": 30, "staff_days": 3, "staff_commission_bp": 0 });
    let path = format!("/v1/brands/{}/rule", sale.brand_id);
    let set = sale.brand.put(&path, rule).await.expect(200);
    assert_eq!((&set["version"], &set["staff_days"]), (&json!(2), &json!(3)));
    // Nobody closes statements for staff yet: a rate would be owed for ever.
    let paid = json!({ "click_days": 7, "replay_days": 30, "staff_days": 3, "staff_commission_bp": 500 });
    assert_eq!(sale.brand.put(&path, paid).await.refused(), "invalid-input");
    let (mika, store) = add_staff(&sale.operator, "みか").await;
    assert_eq!(mika.post("/v1/staff/codes", json!({ "location_id": sale.warehouse })).await.refused(), "forbidden");
    let code = mika.post("/v1/staff/codes", json!({ "location_id": store })).await.expect(201);
    let again = mika.post("/v1/staff/codes", json!({ "location_id": store })).await.expect(201);
    assert_eq!(code["code"], again["code"], "one code a store");
    let named = json!({ "kind": "staff_code", "code": code["code"] });
    assert_eq!(mika.post("/v1/touches", named.clone()).await.refused(), "invalid-input", "not one's own");
    let yui = Actor::sign_up(&house.base(), "ゆい").await;
    let sota = Actor::sign_up(&house.base(), "そうた").await;
    for n in 0..31 {
        house.clock.advance(Duration::from_secs(61));
        let answer = sota.post("/v1/touches", named.clone()).await;
        assert_eq!(answer.status, if n < 30 { 200 } else { 400 }, "{n}: {answer:?}");
    }
    // Naming somebody is the buyer's own act: it needs no consent.
    assert_eq!(yui.post("/v1/touches", named.clone()).await.expect(200)["name"], "みか");
    let purchase = bought(&yui, &sale, 2).await;
    let told = explained(&sale, &text(&lines(&sale).await[0], "order_line_id")).await;
    assert_eq!((&told["staff"]["name"], &told["staff"]["location"]), (&json!("みか"), &json!("銀座店")));
    assert_eq!(told["owner"]["liver_name"], "さくら", "each in a pool of its own");
    assert_eq!(told["rule_version"], 2);
    let credits = told["credits"].as_array().expect("credits");
    let of = |pool: &str| {
        let one = credits.iter().find(|c| c["pool"] == pool).expect("a credit");
        (one["base_minor"].as_i64(), one["commission_minor"].as_i64())
    };
    assert_eq!((of("liver"), of("staff")), ((Some(3_998), Some(599)), (Some(3_998), Some(0))));
    // Too late.
    house.clock.advance(Duration::from_secs(4 * 24 * 3600));
    let haruto = Actor::sign_up(&house.base(), "はると").await;
    bought(&haruto, &sale, 1).await;
    assert_eq!(lines(&sale).await.len(), 2);
    // What comes back is taken back in both pools.
    let order = text(&purchase, "order_id");
    sale.brand
        .post_with_key(
            &format!("/v1/orders/{order}/refunds"),
            "back",
            json!({ "reason": "割れていた", "restock": true }),
        )
        .await
        .expect(201);
    let sums =
        "SELECT CAST(SUM(base_minor) AS BIGINT) + CAST(SUM(commission_minor) AS BIGINT) FROM credits WHERE order_id = ";
    assert_eq!(count(&house.database.url, &format!("{sums}'{order}'")).await, 0);
    verify(&house.database.url).await;
});

both_databases!(a_rule_has_versions_and_its_limits, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let path = format!("/v1/brands/{}/rule", sale.brand_id);
    let house_rule = sale.brand.get(&path).await.expect(200);
    assert_eq!((&house_rule["version"], &house_rule["click_days"]), (&json!(1), &json!(7)));
    let rule = |click_days: i64| json!({ "click_days": click_days, "replay_days": 30, "staff_days": 7, "staff_commission_bp": 0, "note": "夏" });
    for wrong in [-1, 31] {
        let refused = sale.brand.put(&path, rule(wrong)).await;
        assert!(refused.body.to_string().contains("click_days"), "{refused:?}");
        assert_eq!(refused.refused(), "invalid-input");
    }
    sale.brand.put(&path, rule(0)).await.expect(200);
    let now = sale.brand.put(&path, rule(14)).await.expect(200);
    let versions: Vec<_> = now["history"].as_array().expect("a list").iter().map(|r| r["click_days"].clone()).collect();
    assert_eq!((&now["version"], versions), (&json!(3), vec![json!(14), json!(0), json!(7)]));
    let (rival, _) = add_brand(&sale.operator, "藍屋").await;
    assert_eq!(rival.get(&path).await.refused(), "not-found");
    assert_eq!(rival.put(&path, rule(1)).await.refused(), "not-found");
    assert_eq!(sale.liver.put(&path, rule(1)).await.refused(), "forbidden");
    let noted = "SELECT COUNT(*) FROM audit_log WHERE action = 'attribution_rule.set'";
    assert_eq!(count(&house.database.url, noted).await, 2, "who changed it is kept");
    // Links are made by those whose live and goods they are.
    let links = format!("/v1/lives/{}/links", sale.live);
    let stranger = add_liver(&sale.operator, "蓮").await;
    assert_eq!(stranger.post(&links, json!({})).await.refused(), "forbidden");
    let long = json!({ "campaign": "あ".repeat(61) });
    assert_eq!(sale.liver.post(&links, long).await.refused(), "invalid-input");
    // A brand's is about its own goods, so that its campaign stands in no other brand's report.
    let (rival, _) = add_brand(&sale.operator, "緑屋").await;
    let about = json!({ "campaign": "メルマガ", "product_id": sale.product["id"] });
    assert_eq!(rival.post(&links, about.clone()).await.refused(), "invalid-input");
    assert_eq!(sale.brand.post(&links, json!({ "campaign": "メルマガ" })).await.refused(), "invalid-input");
    sale.brand.post(&links, about).await.expect(201);
    assert_eq!(sale.brand.get(&links).await.expect(200)["items"][0]["campaign"], "メルマガ");
    assert_eq!(sale.liver.get(&links).await.expect(200)["items"], json!([]), "each sees their own");
});

both_databases!(a_credit_that_its_rule_does_not_make_is_found, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let yui = Actor::sign_up(&house.base(), "ゆい").await;
    bought(&yui, &sale, 1).await;
    Books::check(&house.database.url).await;
    let faulty = async || {
        let db = Db::connect(&house.database.url).await.expect("the database opens");
        let report = hanamichi::verify::run(&db, Clock::system().now()).await.expect("the books can be read");
        db.close().await;
        let faulty = report.checks.iter().filter(|check| check.name.contains("their rule makes"));
        faulty.flat_map(|check| check.examples.clone()).collect::<String>()
    };
    for (change, back, why) in [
        ("rule = 'replay'", "rule = 'direct'", "otherwise by its rule"),
        ("rule_version = 2", "rule_version = 1", "otherwise by its rule"),
        ("campaign = 'x'", "campaign = NULL", "otherwise by its rule"),
        ("channel = 'replay'", "channel = 'live'", "otherwise by its rule"),
    ] {
        meddle(&house.database.url, &[format!("UPDATE credits SET {change}")]).await;
        let said = faulty().await;
        assert!(said.contains(why), "{change}: {said}");
        meddle(&house.database.url, &[format!("UPDATE credits SET {back}")]).await;
        assert_eq!(faulty().await, "", "{back}");
    }
    // A code that had been named long before, and was not looked at.
    let (mika, store) = add_staff(&sale.operator, "みか").await;
    let code = mika.post("/v1/staff/codes", json!({ "location_id": store })).await.expect(201);
    let insert = format!(
        "INSERT INTO touches (id, customer_id, kind, code, at_ms, stored_at_ms)
         SELECT 'tch_01j00000000000000000000000', customer_id, 'staff_code', '{}', at_ms - 60000, at_ms - 60000 FROM credits",
        text(&code, "code")
    );
    meddle(&house.database.url, &[insert]).await;
    let said = faulty().await;
    assert!(said.contains("overlooked"), "{said}");
    // Written a moment before the sale, it may have been on its way: then it is no fault.
    meddle(
        &house.database.url,
        &["UPDATE touches SET stored_at_ms = stored_at_ms + 55000 WHERE kind = 'staff_code'".to_owned()],
    )
    .await;
    assert_eq!(faulty().await, "");
});
