//! What a brand reads, and what it may not.

use serde_json::json;

use crate::{
    both_databases,
    harness::{Actor, Engine, House, Plan, Sale, add_brand},
};

both_databases!(a_brand_reads_its_credits_down_to_the_line, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan { live_price: Some(999), ..Plan::default() }).await;
    for (name, qty) in [("ゆい", 1), ("はると", 3)] {
        let viewer = Actor::sign_up(&house.base(), name).await;
        let purchase = viewer.buy(&sale.offer, qty, Some("sandbox_card")).await.expect(201);
        viewer.until(&purchase, "authorized").await;
    }
    let path = format!("/v1/brands/{}/report", sale.brand_id);
    let report = sale.brand.get(&path).await.expect(200);
    let totals = &report["totals"];
    assert_eq!(totals["orders"], 2);
    assert_eq!(totals["units"], 4);
    assert_eq!((totals["gross_minor"].as_i64(), totals["net_minor"].as_i64()), (Some(3_996), Some(3_996)));
    // 15 % of each line, fractions dropped: 149 + 449.
    assert_eq!(totals["commission_minor"], 598);
    assert_eq!(report["rows"][0]["live_id"], sale.live);
    assert_eq!(report["rows"][0]["liver_name"], "さくら");
    let fields: Vec<_> =
        report["definitions"].as_array().expect("definitions").iter().map(|d| d["name"].clone()).collect();
    assert!(
        totals.as_object().expect("totals").keys().all(|key| fields.contains(&json!(key))),
        "every figure is defined"
    );

    let first = sale.brand.get(&format!("{path}/lines?limit=1")).await.expect(200);
    let cursor = first["next_cursor"].as_str().expect("there is more");
    let second = sale.brand.get(&format!("{path}/lines?limit=1&cursor={cursor}")).await.expect(200);
    assert!(second["next_cursor"].is_null());
    let sum: i64 = [&first, &second].iter().map(|page| page["items"][0]["base_minor"].as_i64().expect("yen")).sum();
    assert_eq!(sum, 3_996, "the lines add up to the report");
    assert_eq!(first["items"][0]["rule"], "direct");

    let csv = sale.brand.get(&format!("{path}.csv")).await.expect(200);
    let csv = csv.as_str().expect("text");
    assert!(csv.starts_with('\u{feff}') && csv.contains("\r\n"), "a spreadsheet reads it as UTF-8");
    let column = |name: &str| {
        csv.trim_start_matches('\u{feff}').lines().next().expect("a header").split(',').position(|c| c == name)
    };
    let sales = column("credited_sales_jpy").expect("a column");
    let csv_sum: i64 =
        csv.lines().skip(1).map(|l| l.split(',').nth(sales).expect("a cell").parse::<i64>().expect("yen")).sum();
    assert_eq!(csv_sum, 3_996);

    let past = sale.brand.get(&format!("{path}?to_ms=1000")).await.expect(200);
    assert_eq!(past["totals"]["orders"], 0);
});

both_databases!(a_brand_sees_no_other_brand, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let (rival, rival_id) = add_brand(&sale.operator, "藍屋").await;
    for tail in ["report", "report/lines", "report.csv"] {
        let path = format!("/v1/brands/{}/{tail}", sale.brand_id);
        assert_eq!(rival.get(&path).await.refused(), "not-found", "{tail}");
        assert_eq!(sale.liver.get(&path).await.refused(), "forbidden", "{tail}");
        assert_eq!(Actor::guest(&house.base()).get(&path).await.refused(), "not-signed-in", "{tail}");
    }
    let shelves = rival.get(&format!("/v1/skus/{}/stock", sale.sku)).await.expect(200);
    assert_eq!(shelves["locations"], json!([]), "where it stands is not told");
    let fact = json!({ "sku_id": sale.sku, "location_id": sale.warehouse, "delta": 1, "reason": "receive" });
    assert_eq!(rival.post("/v1/stock/adjustments", fact).await.refused(), "unknown-sku");
    let new = json!({ "title": "横取り", "skus": [{ "price_minor": 1, "tax_rate_bp": 1000 }] });
    assert_eq!(rival.post(&format!("/v1/brands/{}/products", sale.brand_id), new).await.refused(), "not-found");
    assert_eq!(rival.get(&format!("/v1/brands/{rival_id}/report")).await.expect(200)["rows"], json!([]));
});
