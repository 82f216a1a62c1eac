//! Files of the ledger: made in the background, the same in every format, read by libraries that are not ours.

use std::{path::PathBuf, process::Command, time::Duration};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    both_databases,
    harness::{Actor, Engine, House, PATIENCE, Plan, Sale, add_brand, count, fresh_name, meddle, text},
};

/// Where `make setup-test` puts the readers.
fn readers() -> PathBuf {
    let home = std::env::var("HOME").expect("a home");
    PathBuf::from(home).join(".cache/hanamichi/readers-1/bin/python")
}

async fn until(member: &Actor, export: &Value, state: &str) -> Value {
    let path = format!("/v1/exports/{}", text(export, "export_id"));
    let waiting = async {
        loop {
            let now = member.get(&path).await.expect(200);
            if now["state"] == state {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("the export is never {state}"))
}

async fn fetch(member: &Actor, export: &Value) -> Vec<u8> {
    let path = format!("/v1/exports/{}/file", text(export, "export_id"));
    let answer = member.request(reqwest::Method::GET, &path).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let disposition = answer.headers()["content-disposition"].to_str().expect("text").to_owned();
    assert!(disposition.starts_with("attachment"), "{disposition}");
    answer.bytes().await.expect("the whole file").to_vec()
}

/// What an independent library finds in a file.
fn read(format: &str, bytes: &[u8]) -> Value {
    let path = std::env::temp_dir().join(format!("{}.{format}", fresh_name()));
    std::fs::write(&path, bytes).expect("written");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/read_export.py");
    let said = Command::new(readers()).arg(script).arg(format).arg(&path).output();
    let said = said.expect("the readers are installed: run `make test`");
    std::fs::remove_file(&path).expect("removed");
    assert!(said.status.success(), "{format}: {}", String::from_utf8_lossy(&said.stderr));
    serde_json::from_slice(&said.stdout).expect("JSON")
}

/// A sale of a product with a name that a spreadsheet would run, and a part of it given back.
async fn sold(house: &House) -> Sale {
    let sale = Sale::open(house, Plan { units: 100, ..Plan::default() }).await;
    let new = json!({ "title": "=HYPERLINK(\"http://evil.example\",\"羊羹\"), 一本", "skus": [{ "price_minor": 2_301, "tax_rate_bp": 800 }] });
    let product = sale.brand.post(&format!("/v1/brands/{}/products", sale.brand_id), new).await.expect(201);
    let receive =
        json!({ "sku_id": product["skus"][0]["id"], "location_id": sale.warehouse, "delta": 50, "reason": "receive" });
    sale.brand.post("/v1/stock/adjustments", receive).await.expect(201);
    let pin = json!({ "product_id": product["id"] });
    let pin = sale.liver.post(&format!("/v1/lives/{}/pins", sale.live), pin).await.expect(201);
    for (offer, qty) in [(&sale.offer, 2), (&text(&pin["offers"][0], "id"), 3)] {
        let yui = Actor::sign_up(&house.base(), "ゆい").await;
        let purchase = yui.buy(offer, qty, Some("sandbox_card")).await.expect(201);
        let paid = yui.until(&purchase, "authorized").await;
        let order = text(&paid, "order_id");
        let lines = sale.brand.get(&format!("/v1/brands/{}/report/lines", sale.brand_id)).await.expect(200);
        let line = lines["items"].as_array().expect("a list").last().expect("a line")["order_line_id"].clone();
        let back = json!({ "lines": [{ "order_line_id": line, "qty": 1 }], "restock": true, "reason": "割れていた" });
        sale.brand.post_with_key(&format!("/v1/orders/{order}/refunds"), "back", back).await.expect(201);
    }
    sale
}

both_databases!(every_format_says_the_same_and_adds_up, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = sold(&house).await;
    let report = sale.brand.get(&format!("/v1/brands/{}/report", sale.brand_id)).await.expect(200);
    let exports = format!("/v1/brands/{}/exports", sale.brand_id);
    let mut first: Option<Value> = None;
    for format in ["csv", "xlsx", "parquet", "json"] {
        let asked = sale.brand.post(&exports, json!({ "format": format })).await.expect(202);
        let done = until(&sale.brand, &asked, "done").await;
        let bytes = fetch(&sale.brand, &done).await;
        assert_eq!(done["bytes"], bytes.len());
        assert_eq!(done["sha256"], data_encoding::HEXLOWER.encode(&Sha256::digest(&bytes)));
        let mut found = read(format, &bytes);
        for (figure, of_report) in
            [("units", "units"), ("net_minor", "net_minor"), ("commission_minor", "commission_minor")]
        {
            assert_eq!(found[figure], report["totals"][of_report], "{format} {figure}");
            assert_eq!(found[figure], done[figure], "{format} {figure}");
        }
        assert_eq!((&found["rows"], &done["rows_done"], &done["rows_total"]), (&json!(4), &json!(4), &json!(4)));
        // To the second: what a spreadsheet's and a text's time keep.
        for row in found["plain"].as_array_mut().expect("rows") {
            let at: i64 = row["at_ms"].as_str().and_then(|at| at.parse().ok()).expect("a time");
            row["at_ms"] = json!(at / 1_000);
        }
        assert!(found["plain"].to_string().contains("=HYPERLINK"), "{format}: the name is as it was written");
        assert!(!found["plain"].to_string().contains("cus_"), "{format}: no buyer");
        match &first {
            Some(first) => assert_eq!(first["plain"], found["plain"], "{format} is another file"),
            None => first = Some(found),
        }
    }
    let listed = sale.brand.get(&exports).await.expect(200);
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(4));
    assert_eq!(count(&house.database.url, "SELECT COUNT(*) FROM audit_log WHERE action = 'report.export'").await, 4);
    assert_eq!(count(&house.database.url, "SELECT COUNT(*) FROM audit_log WHERE action = 'report.download'").await, 4);
});

both_databases!(a_file_is_of_its_brand_its_filter_and_its_day, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let sale = sold(&house).await;
    let exports = format!("/v1/brands/{}/exports", sale.brand_id);
    let (rival, rival_id) = add_brand(&sale.operator, "藍屋").await;
    assert_eq!(rival.post(&exports, json!({ "format": "csv" })).await.refused(), "not-found");
    assert_eq!(rival.get(&exports).await.refused(), "not-found");
    let theirs = rival.post(&format!("/v1/brands/{rival_id}/exports"), json!({ "format": "json" })).await.expect(202);
    assert_eq!(until(&rival, &theirs, "done").await["rows_done"], 0);
    let of_product = json!({ "format": "json", "filter": { "product_id": sale.product["id"] } });
    let asked = sale.brand.post(&exports, of_product).await.expect(202);
    let done = until(&sale.brand, &asked, "done").await;
    assert_eq!((&done["rows_done"], &done["net_minor"]), (&json!(2), &json!(1_080)));
    for (filter, rows) in
        [(json!({ "channel": "live" }), 4), (json!({ "channel": "store" }), 0), (json!({ "campaign": "x" }), 0)]
    {
        let asked = sale.brand.post(&exports, json!({ "format": "json", "filter": filter })).await.expect(202);
        assert_eq!(until(&sale.brand, &asked, "done").await["rows_done"], rows, "{filter}");
    }
    for path in ["", "/file"] {
        let path = format!("/v1/exports/{}{path}", text(&done, "export_id"));
        assert_eq!(rival.get(&path).await.refused(), "not-found");
        assert_eq!(sale.liver.get(&path).await.refused(), "forbidden");
        assert_eq!(Actor::guest(&house.base()).get(&path).await.refused(), "not-signed-in");
    }
    for wrong in [
        json!({ "format": "pdf" }),
        json!({ "format": "csv", "filter": { "from_ms": 2, "to_ms": 1 } }),
        json!({ "format": "csv", "filter": { "brand_id": rival_id } }),
        json!({ "format": "csv", "filter": { "live_id": "' OR 1=1" } }),
    ] {
        assert_eq!(sale.brand.post(&exports, wrong).await.refused(), "invalid-input");
    }
    house.clock.advance(Duration::from_secs(25 * 3600));
    let gone = until(&sale.brand, &done, "expired").await;
    let path = format!("/v1/exports/{}/file", text(&gone, "export_id"));
    assert_eq!(sale.brand.get(&path).await.refused(), "not-found");
    assert_eq!(count(&house.database.url, "SELECT COUNT(*) FROM export_chunks").await, 0, "its bytes are gone");
});

both_databases!(what_a_dead_node_was_making_is_made_by_another, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let sale = sold(&house).await;
    let exports = format!("/v1/brands/{}/exports", sale.brand_id);
    let asked = sale.brand.post(&exports, json!({ "format": "csv" })).await.expect(202);
    let done = until(&sale.brand, &asked, "done").await;
    let whole = fetch(&sale.brand, &done).await;
    // As a node leaves it that died with half of the file stored.
    let id = text(&done, "export_id");
    let half = format!(
        "UPDATE exports SET state = 'running', node = 'gone', sha256 = NULL, rows_done = 1, beat_at_ms = {} WHERE id = '{id}'",
        house.clock.now().0
    );
    meddle(&house.database.url, &[half]).await;
    assert_eq!(sale.brand.get(&format!("/v1/exports/{id}/file")).await.refused(), "conflict", "it is not whole");
    house.clock.advance(Duration::from_secs(31));
    let again = until(&sale.brand, &asked, "done").await;
    assert_eq!(fetch(&sale.brand, &again).await, whole);
});
