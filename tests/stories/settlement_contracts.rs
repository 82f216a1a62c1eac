//! What a brand and a liver agree on: both or nobody, and never changed.

use serde_json::{Value, json};

use crate::{
    both_databases,
    harness::{Actor, Engine, House, Plan, Sale, add_brand, add_liver, count, fresh_name, text},
};

/// Terms from this moment on.
pub fn terms(house: &House, rate_bp: i64) -> Value {
    json!({
        "rate_bp": rate_bp, "from_ms": house.clock.now().0, "pr_label": "PR", "pay_within_days": 30,
        "refund_rule": "reverse", "note": "2026年冬の企画"
    })
}

/// A contract of the sale's brand and liver that both have accepted.
pub async fn agree(house: &House, sale: &Sale, terms: Value) -> Value {
    let path = format!("/v1/brands/{}/contracts", sale.brand_id);
    let wish = json!({ "liver_id": sale.liver.me["liver_id"], "terms": terms });
    let offered = sale.brand.post(&path, wish).await.expect(201);
    let (id, version) = (text(&offered, "contract_id"), offered["proposed"]["version"].clone());
    let agreed = sale.liver.post(&format!("/v1/contracts/{id}/versions/{version}/accept"), json!({})).await.expect(200);
    assert_eq!(agreed["versions"][0]["state"], "agreed", "{agreed} at {}", house.clock.now().0);
    agreed
}

both_databases!(terms_count_when_both_have_accepted_them_and_until_others_do, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let path = format!("/v1/brands/{}/contracts", sale.brand_id);
    let mut first = terms(&house, 2_000);
    first["product_rates"] = json!([{ "product_id": sale.product["id"], "rate_bp": 2_500 }]);
    let wish = json!({ "liver_id": sale.liver.me["liver_id"], "terms": first });
    let key = fresh_name();
    let offered = sale.brand.post_with_key(&path, &key, wish.clone()).await.expect(201);
    assert_eq!((&offered["current"], &offered["proposed"]["version"]), (&Value::Null, &json!(1)));
    assert_eq!(offered["proposed"]["proposed_by"], "brand");
    assert_eq!(sale.brand.post_with_key(&path, &key, wish).await.expect(201), offered, "sent twice, offered once");
    let contract = format!("/v1/contracts/{}", text(&offered, "contract_id"));
    assert_eq!(sale.liver.get("/v1/me/contracts").await.expect(200)["items"][0], offered);

    // The liver wants more; the brand's own version is over, and cannot be accepted any more.
    let mut more = terms(&house, 3_000);
    more["pay_within_days"] = json!(60);
    let countered = sale.liver.post(&format!("{contract}/versions"), json!({ "terms": more })).await.expect(201);
    assert_eq!((&countered["proposed"]["version"], &countered["current"]), (&json!(2), &Value::Null));
    assert_eq!(countered["versions"][1]["state"], "ended");
    assert_eq!(sale.liver.post(&format!("{contract}/versions/1/accept"), json!({})).await.refused(), "conflict");
    // Saying yes to one's own words makes no agreement.
    let own = sale.liver.post(&format!("{contract}/versions/2/accept"), json!({})).await.expect(200);
    assert_eq!((&own["current"], &own["proposed"]["state"]), (&Value::Null, &json!("proposed")));
    let agreed = sale.brand.post(&format!("{contract}/versions/2/accept"), json!({})).await.expect(200);
    assert_eq!((&agreed["current"]["version"], &agreed["proposed"]), (&json!(2), &Value::Null));
    assert_eq!((&agreed["current"]["rate_bp"], &agreed["current"]["pay_within_days"]), (&json!(3_000), &json!(60)));
    assert_eq!(sale.brand.post(&format!("{contract}/versions/2/decline"), json!({})).await.refused(), "conflict");

    // A lower rate, proposed by one side, changes nothing.
    let less = terms(&house, 500);
    let lower = sale.brand.post(&format!("{contract}/versions"), json!({ "terms": less })).await.expect(201);
    assert_eq!((&lower["current"]["version"], &lower["proposed"]["version"]), (&json!(2), &json!(3)));
    let declined = sale.liver.post(&format!("{contract}/versions/3/decline"), json!({})).await.expect(200);
    assert_eq!((&declined["proposed"], &declined["versions"][0]["state"]), (&Value::Null, &json!("ended")));
    assert_eq!(declined["current"], agreed["current"], "what was agreed is as it was");

    // Later terms begin later.
    let mut later = terms(&house, 3_500);
    later["from_ms"] = json!(house.clock.now().0 + 1_000);
    sale.brand.post(&format!("{contract}/versions"), json!({ "terms": later })).await.expect(201);
    let soon = sale.liver.post(&format!("{contract}/versions/4/accept"), json!({})).await.expect(200);
    assert_eq!(soon["current"]["version"], 2);
    house.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(sale.liver.get(&contract).await.expect(200)["current"]["version"], 4);
    let notes = "SELECT COUNT(*) FROM audit_log WHERE action LIKE 'contract.%'";
    assert_eq!(count(&house.database.url, notes).await, 7, "four proposals, two that made an agreement, one no");
});

both_databases!(terms_that_the_law_would_not_take_are_refused_and_named, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let (rival, rival_id) = add_brand(&sale.operator, "藍屋").await;
    let new = json!({ "title": "藍染", "skus": [{ "price_minor": 1, "tax_rate_bp": 1_000 }] });
    let foreign = rival.post(&format!("/v1/brands/{rival_id}/products"), new).await.expect(201);
    let path = format!("/v1/brands/{}/contracts", sale.brand_id);
    for (field, value, said) in [
        ("pay_within_days", json!(61), "60 days of the stream"),
        ("rate_bp", json!(10_001), "rate_bp must be 0 to 10000"),
        ("pr_label", json!(""), "pr_label"),
        ("refund_rule", json!("keep"), "refund_rule"),
        ("from_ms", json!(0), "from_ms is in the past"),
        ("product_rates", json!([{ "product_id": foreign["id"], "rate_bp": 1 }]), "no product of this brand"),
        ("bonus", json!(1), "bonus"),
    ] {
        let mut terms = terms(&house, 1_000);
        terms[field] = value;
        let wish = json!({ "liver_id": sale.liver.me["liver_id"], "terms": terms });
        let answer = sale.brand.post(&path, wish).await;
        assert!(answer.body["detail"].as_str().is_some_and(|detail| detail.contains(said)), "{}", answer.body);
        assert_eq!(answer.refused(), "invalid-input");
    }
    let nobody = json!({ "liver_id": format!("lvr_{}", &sale.live[5..]), "terms": terms(&house, 1_000) });
    assert_eq!(sale.brand.post(&path, nobody).await.refused(), "not-found");
    assert_eq!(sale.brand.get(&path).await.expect(200)["items"], json!([]), "nothing was made");
});

both_databases!(a_contract_is_for_its_two_sides, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let agreed = agree(&house, &sale, terms(&house, 1_000)).await;
    let contract = format!("/v1/contracts/{}", text(&agreed, "contract_id"));
    sale.brand.post(&format!("{contract}/versions"), json!({ "terms": terms(&house, 900) })).await.expect(201);
    let (rival, _) = add_brand(&sale.operator, "藍屋").await;
    let other = add_liver(&sale.operator, "もみじ").await;
    let viewer = Actor::sign_up(&house.base(), "ゆい").await;
    for stranger in [&rival, &other, &viewer] {
        assert_eq!(stranger.get(&contract).await.refused(), "not-found");
        for tail in ["versions/2/accept", "versions/2/decline"] {
            assert_eq!(stranger.post(&format!("{contract}/{tail}"), json!({})).await.refused(), "not-found");
        }
        let wish = json!({ "terms": terms(&house, 1) });
        assert_eq!(stranger.post(&format!("{contract}/versions"), wish).await.refused(), "not-found");
    }
    let list = format!("/v1/brands/{}/contracts", sale.brand_id);
    assert_eq!(rival.get(&list).await.refused(), "not-found");
    let wish = json!({ "liver_id": sale.liver.me["liver_id"], "terms": terms(&house, 1) });
    assert_eq!(rival.post(&list, wish).await.refused(), "not-found");
    assert_eq!(other.get("/v1/me/contracts").await.expect(200)["items"], json!([]));
    assert_eq!(viewer.get("/v1/me/contracts").await.refused(), "forbidden");
    assert_eq!(Actor::guest(&house.base()).get(&contract).await.refused(), "not-signed-in");
    assert_eq!(sale.operator.get(&contract).await.expect(200)["proposed"]["version"], 2);
});

// One open proposal, whoever speaks at the same moment.
both_databases!(of_proposals_at_once_one_stays_open, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let agreed = agree(&house, &sale, terms(&house, 1_000)).await;
    let contract = format!("/v1/contracts/{}", text(&agreed, "contract_id"));
    let mut speaking = tokio::task::JoinSet::new();
    for n in 0..12 {
        let who = if n % 2 == 0 { sale.brand.clone() } else { sale.liver.clone() };
        let (path, terms) = (format!("{contract}/versions"), terms(&house, 1_000 + n));
        speaking.spawn(async move { who.post(&path, json!({ "terms": terms })).await.expect(201) });
    }
    speaking.join_all().await;
    let view = sale.brand.get(&contract).await.expect(200);
    let versions = view["versions"].as_array().expect("a list");
    let states = |state: &str| versions.iter().filter(|version| version["state"] == state).count();
    assert_eq!((versions.len(), states("proposed"), states("agreed")), (13, 1, 1), "{view}");
    assert_eq!((&view["proposed"]["version"], &view["current"]["version"]), (&json!(13), &json!(1)));
});
