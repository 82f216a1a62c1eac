//! Livers and their lives.

use serde_json::json;

use crate::{
    both_databases,
    harness::{Actor, Engine, House, Plan, Sale, add_liver, text},
};

both_databases!(a_tie_up_live_cannot_start_without_its_pr_label, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let new = json!({ "title": "提供ライブ", "tie_up_brand_id": sale.brand_id });
    let live = sale.liver.post("/v1/lives", new).await.expect(201);
    let path = format!("/v1/lives/{}", text(&live, "id"));
    assert_eq!(sale.liver.post(&format!("{path}/start"), json!({})).await.refused(), "pr-label-missing");
    let patch = sale.liver.request(reqwest::Method::PATCH, &path).json(&json!({ "pr_label": "提供：花見堂" }));
    sale.liver.send(patch).await.expect(200);
    let started = sale.liver.post(&format!("{path}/start"), json!({})).await.expect(200);
    assert_eq!((started["state"].as_str(), started["pr_label"].as_str()), (Some("live"), Some("提供：花見堂")));
    let unlabel = sale.liver.request(reqwest::Method::PATCH, &path).json(&json!({ "pr_label": "" }));
    assert_eq!(sale.liver.send(unlabel).await.refused(), "pr-label-missing", "the label stays while it is on");
    let guest = Actor::guest(&house.base());
    assert_eq!(guest.get(&path).await.expect(200)["pr_label"], "提供：花見堂", "everybody sees it");
});

both_databases!(a_live_goes_one_way_and_belongs_to_its_liver, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let path = format!("/v1/lives/{}", sale.live);
    let rival = add_liver(&sale.operator, "蓮").await;
    assert_eq!(rival.post(&format!("{path}/end"), json!({})).await.refused(), "forbidden");
    assert_eq!(rival.post(&format!("{path}/stream-key"), json!({})).await.refused(), "forbidden");
    assert_eq!(
        rival.post(&format!("{path}/pins"), json!({ "product_id": sale.product["id"] })).await.refused(),
        "forbidden"
    );
    assert_eq!(sale.liver.post(&format!("{path}/start"), json!({})).await.refused(), "live-not-scheduled");
    sale.liver.post(&format!("{path}/end"), json!({})).await.expect(200);
    assert_eq!(sale.liver.post(&format!("{path}/end"), json!({})).await.refused(), "live-ended");
    let viewer = Actor::sign_up(&house.base(), "ゆい").await;
    assert_eq!(viewer.post(&format!("{path}/questions"), json!({ "text": "まだ？" })).await.refused(), "live-ended");
});

both_databases!(what_was_live_before_a_restart_is_live_after_it, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let viewer = Actor::sign_up(&house.base(), "ゆい").await;
    let asked =
        viewer.post(&format!("/v1/lives/{}/questions", sale.live), json!({ "text": "賞味期限は？" })).await.expect(201);
    sale.liver.post(&format!("/v1/questions/{}/answering", text(&asked, "id")), json!({})).await.expect(200);
    let (live, sku) = (sale.live.clone(), sale.sku.clone());
    let house = house.reopen().await;
    let guest = Actor::guest(&house.base());
    assert_eq!(guest.get(&format!("/v1/lives/{live}")).await.expect(200)["state"], "live");
    let pins = guest.get(&format!("/v1/lives/{live}/pins")).await.expect(200);
    assert_eq!(pins["items"][0]["offers"][0]["sku_id"], sku);
    let questions = guest.get(&format!("/v1/lives/{live}/questions")).await.expect(200);
    assert_eq!(questions["items"][0]["state"], "answering");
});
