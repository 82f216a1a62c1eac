//! What a brand reads of a live, and that it is the money ledger's.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    both_databases,
    harness::{Actor, Engine, House, PATIENCE, Plan, Sale, add_brand, count, text, verify},
};

const BYS: [&str; 9] = ["live", "liver", "product", "sku", "day", "hour", "store", "channel", "campaign"];

/// Waits until a report says this.
async fn until(by: &Actor, path: &str, what: impl Fn(&Value) -> bool) -> Value {
    let waiting = async {
        loop {
            let now = by.get(path).await.expect(200);
            if what(&now) {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    if let Ok(found) = tokio::time::timeout(PATIENCE, waiting).await {
        return found;
    }
    panic!("not so: {}", by.get(path).await.body);
}

both_databases!(reports_are_the_money_ledgers_and_a_return_counts_when_it_happens, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan { units: 30, price: 999, ..Plan::default() }).await;
    let others = sale.add(2, 10, None).await;
    let mut orders = Vec::new();
    for (name, offer, qty) in [("ゆい", &sale.offer, 2), ("はると", &others[0].1, 1), ("そうた", &others[1].1, 3)]
    {
        let buyer = Actor::sign_up(&house.base(), name).await;
        let purchase = buyer.buy(offer, qty, Some("sandbox_card")).await.expect(201);
        let paid = buyer.until(&purchase, "authorized").await;
        let order = text(&paid, "order_id");
        sale.brand.post(&format!("/v1/orders/{order}/fulfilment"), json!({})).await.expect(200);
        orders.push(order);
    }
    let brand = format!("/v1/brands/{}", sale.brand_id);
    let gross = 2 * 999 + 4 * 2_160;
    // On the next read, by whatever it is split.
    for by in BYS {
        let report = sale.brand.get(&format!("{brand}/reports/{by}")).await.expect(200);
        assert_eq!((&report["totals"]["orders"], &report["totals"]["gross_minor"]), (&json!(3), &json!(gross)), "{by}");
        assert!(report["totals"]["buyers"].is_null(), "three people are too few to be told");
        let net: i64 = report["rows"]
            .as_array()
            .expect("rows")
            .iter()
            .map(|r| r["figures"]["net_minor"].as_i64().expect("yen"))
            .sum();
        assert_eq!(net, gross, "{by}");
    }
    let refund = json!({ "restock": true, "reason": "色違い" });
    sale.brand.post_with_key(&format!("/v1/orders/{}/refunds", orders[2]), "R-1", refund).await.expect(201);
    let lives = format!("{brand}/reports/live");
    let report = sale.brand.get(&lives).await.expect(200);
    let totals = &report["totals"];
    assert_eq!((&totals["orders"], &totals["cancelled_minor"]), (&json!(3), &json!(-3 * 2_160)));
    assert_eq!(report["rows"][0]["label"], "春の市");
    // Both ways of reckoning, and the lines, and the money.
    for path in [format!("{lives}?from_ms=1"), format!("{lives}?live_id={}", sale.live)] {
        assert_eq!(&sale.brand.get(&path).await.expect(200)["totals"], totals, "{path}");
    }
    let lines =
        sale.brand.get(&format!("{brand}/report/lines?product_id={}", text(&sale.product, "id"))).await.expect(200);
    assert_eq!(lines["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(lines["items"][0]["base_minor"], 2 * 999);
    const POSTED: &str = "SELECT CAST(SUM(CASE kind WHEN 'sale' THEN amount_minor WHEN 'refund' THEN -amount_minor ELSE 0 END) AS BIGINT) FROM postings";
    assert_eq!(totals["net_minor"].as_i64(), Some(count(&house.database.url, POSTED).await));

    let timeline = sale.brand.get(&format!("{brand}/lives/{}/timeline", sale.live)).await.expect(200);
    let sum = |field: &str| -> i64 {
        timeline["minutes"].as_array().expect("minutes").iter().map(|m| m[field].as_i64().expect("a number")).sum()
    };
    assert_eq!((sum("orders"), sum("gross_minor"), sum("cancelled_minor")), (3, gross, -3 * 2_160));
    assert_eq!(sum("units"), 3);
    assert_eq!(&timeline["totals"], totals);
    let pins = timeline["pins"].as_array().expect("pins");
    assert_eq!(pins.iter().map(|pin| pin["gross_minor"].as_i64().expect("yen")).sum::<i64>(), gross);
    assert_eq!(pins.len(), 2);

    // Whom it is not for.
    let (rival, rival_id) = add_brand(&sale.operator, "藍屋").await;
    for tail in ["reports/live", "reports/audience", "reports/ltv", "reports/assists"] {
        assert_eq!(rival.get(&format!("{brand}/{tail}")).await.refused(), "not-found", "{tail}");
        assert_eq!(rival.get(&format!("/v1/brands/{rival_id}/{tail}")).await.expect(200)["rows"], json!([]), "{tail}");
    }
    let timeline = format!("lives/{}/timeline", sale.live);
    assert_eq!(rival.get(&format!("{brand}/{timeline}")).await.refused(), "not-found");
    assert_eq!(rival.get(&format!("/v1/brands/{rival_id}/{timeline}")).await.refused(), "not-found");
    assert_eq!(rival.get("/v1/admin/reports/brand").await.refused(), "forbidden");
    assert_eq!(sale.brand.get(&format!("{brand}/reports/brand")).await.refused(), "not-found");
    let all = sale.operator.get("/v1/admin/reports/brand").await.expect(200);
    assert_eq!((&all["totals"], &all["rows"][0]["label"]), (totals, &json!("花見堂")));
    let cohorts = sale.brand.get(&format!("{brand}/reports/ltv")).await.expect(200);
    assert_eq!((&cohorts["rows"][0]["live_id"], &cohorts["rows"][0]["customers"]), (&json!(sale.live), &Value::Null));
    let audience = sale.brand.get(&format!("{brand}/reports/audience")).await.expect(200);
    assert_eq!((&audience["rows"][0]["gross_minor"], &audience["rows"][0]["buyers"]), (&json!(gross), &Value::Null));
    // When it is folded, too.
    until(&sale.brand, &lives, |now| &now["totals"] == totals).await;
    verify(&house.database.url).await;
});
