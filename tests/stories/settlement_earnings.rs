//! What a liver reads of their own earnings.

use serde_json::{Value, json};

use crate::{
    both_databases,
    harness::{Engine, House, Plan, Sale, add_liver, text, verify},
    settlement_statements::{close, later, pay, sell},
};

fn sums(view: &Value) -> [i64; 4] {
    ["estimated_minor", "confirmed_minor", "payable_minor", "paid_minor"]
        .map(|field| view[field].as_i64().unwrap_or_else(|| panic!("no {field} in {view}")))
}

both_databases!(a_commission_is_estimated_confirmed_payable_and_paid, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    sell(&house, &sale, 2, true).await;
    sell(&house, &sale, 1, false).await;
    let view = sale.liver.get("/v1/me/earnings").await.expect(200);
    assert_eq!(sums(&view), [486, 0, 0, 0]);
    // Fourteen days after one of them was sent.
    let almost = house.clock.now().0 + 14 * 24 * 3_600_000 - 1;
    let almost = jiff::Timestamp::from_millisecond(almost).expect("a time").to_string();
    let sale = later(&house, sale, &almost).await;
    assert_eq!(sums(&sale.liver.get("/v1/me/earnings").await.expect(200)), [486, 0, 0, 0]);
    house.clock.advance(std::time::Duration::from_millis(1));
    assert_eq!(sums(&sale.liver.get("/v1/me/earnings").await.expect(200)), [162, 324, 0, 0]);
    let sale = later(&house, sale, "2027-02-01T00:00:00+09:00").await;
    let statement = close(&sale, "2027-01").await.expect(201)["items"][0].clone();
    assert_eq!(sums(&sale.liver.get("/v1/me/earnings").await.expect(200)), [162, 0, 324, 0]);
    pay(&sale, &statement).await;
    let view = sale.liver.get("/v1/me/earnings").await.expect(200);
    assert_eq!(sums(&view), [162, 0, 0, 324]);
    let (live, product) = (&view["by_live"][0], &view["by_product"][0]);
    assert_eq!(
        (&live["live_id"], &live["title"], &live["brand_name"]),
        (&json!(sale.live), &json!("春の市"), &json!("花見堂"))
    );
    assert_eq!((&live["units"], &live["gross_minor"], &live["net_minor"]), (&json!(3), &json!(3_240), &json!(3_240)));
    assert_eq!((sums(live), &live["commission_minor"]), ([162, 0, 0, 324], &json!(486)));
    assert_eq!((&product["product_id"], sums(product)), (&sale.product["id"], [162, 0, 0, 324]));
    let lines = sale.liver.get(&format!("/v1/me/earnings/lines?live_id={}&limit=1", sale.live)).await.expect(200);
    assert_eq!((&lines["items"][0]["state"], &lines["items"][0]["statement_id"]), (&json!("estimated"), &Value::Null));
    let cursor = text(&lines, "next_cursor");
    let rest = sale.liver.get(&format!("/v1/me/earnings/lines?limit=1&cursor={cursor}")).await.expect(200);
    assert_eq!(
        (&rest["items"][0]["state"], &rest["items"][0]["statement_id"]),
        (&json!("paid"), &statement["statement_id"])
    );
    assert!(rest["next_cursor"].is_null());
    // Who bought it is nobody's to read here.
    let all = format!("{view}{lines}{rest}");
    assert!(!all.contains("cus_") && !all.contains("ord_") && !all.contains("ゆい"), "{all}");
    let none = sale.liver.get(&format!("/v1/me/earnings?from_ms={}", house.clock.now().0)).await.expect(200);
    assert_eq!((sums(&none), &none["by_live"]), ([0; 4], &json!([])));
    assert_eq!(sale.liver.get("/v1/me/earnings?from_ms=2&to_ms=1").await.refused(), "invalid-input");

    let other = add_liver(&sale.operator, "もみじ").await;
    let theirs = other.get("/v1/me/earnings").await.expect(200);
    assert_eq!((sums(&theirs), &theirs["by_live"], &theirs["by_product"]), ([0; 4], &json!([]), &json!([])));
    let lines = other.get(&format!("/v1/me/earnings/lines?live_id={}", sale.live)).await.expect(200);
    assert_eq!(lines["items"], json!([]));
    assert_eq!(sale.brand.get("/v1/me/earnings").await.refused(), "forbidden");
    verify(&house.database.url).await;
});
