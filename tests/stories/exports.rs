//! Files of the ledger: made in the background, the same in every format, read by libraries that are not ours.

use std::{path::PathBuf, process::Command, time::Duration};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    attribution::add_staff,
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
fn read(format: &str, table: &str, bytes: &[u8]) -> Value {
    let path = std::env::temp_dir().join(format!("{}.{format}", fresh_name()));
    std::fs::write(&path, bytes).expect("written");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/read_export.py");
    let said = Command::new(readers()).arg(script).arg(format).arg(table).arg(&path).output();
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
        let mut found = read(format, "ledger", &bytes);
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

const TABLES: [&str; 10] = ["live", "liver", "product", "sku", "day", "hour", "store", "channel", "campaign", "staff"];

/// A report's row as a file tells it, all of it text.
fn as_cells(row: &Value) -> Value {
    let mut cells = json!({ "key": row["key"], "label": row["label"], "label_sub": row["label_sub"] });
    for (figure, value) in row["figures"].as_object().expect("figures") {
        let name = if figure == "units" { "qty".to_owned() } else { figure.replace("_minor", "_jpy") };
        cells[name] = json!(if value.is_null() { String::new() } else { value.to_string() });
    }
    cells
}

async fn made(sale: &Sale, wish: Value) -> (Value, Vec<u8>) {
    let exports = format!("/v1/brands/{}/exports", sale.brand_id);
    let asked = sale.brand.post(&exports, wish).await.expect(202);
    let done = until(&sale.brand, &asked, "done").await;
    let bytes = fetch(&sale.brand, &done).await;
    (done, bytes)
}

/// Somebody names a member of staff, buys twice as much as they keep. The member's account.
async fn helped(house: &House, sale: &Sale) -> String {
    let (mika, store) = add_staff(&sale.operator, "=みか").await;
    let code = mika.post("/v1/staff/codes", json!({ "location_id": store })).await.expect(201);
    let haruto = Actor::sign_up(&house.base(), "はると").await;
    let named = json!({ "kind": "staff_code", "code": code["code"], "live_id": sale.live });
    haruto.post("/v1/touches", named).await.expect(200);
    let purchase = haruto.buy(&sale.offer, 4, Some("sandbox_card")).await.expect(201);
    let order = text(&haruto.until(&purchase, "authorized").await, "order_id");
    let line = haruto.get(&format!("/v1/orders/{order}")).await.expect(200)["lines"][0]["id"].clone();
    let back = json!({ "lines": [{ "order_line_id": line, "qty": 2 }], "restock": true, "reason": "多すぎた" });
    sale.brand.post_with_key(&format!("/v1/orders/{order}/refunds"), "some", back).await.expect(201);
    let staff = sale.brand.get(&format!("/v1/brands/{}/reports/staff", sale.brand_id)).await.expect(200);
    text(&staff["rows"][0], "key")
}

both_databases!(the_rows_of_every_report_are_a_file, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let sale = sold(&house).await;
    let staff = helped(&house, &sale).await;
    let brand = format!("/v1/brands/{}", sale.brand_id);
    let lines = sale.brand.get(&format!("{brand}/report")).await.expect(200);
    let all = format!("from_ms={}&to_ms={}", house.clock.now().0 - 1, house.clock.now().0 + 1);
    let period = json!({ "from_ms": house.clock.now().0 - 1, "to_ms": house.clock.now().0 + 1 });
    for table in TABLES {
        let formats: &[&str] =
            if ["product", "staff"].contains(&table) { &["csv", "xlsx", "parquet", "json"] } else { &["csv"] };
        let report = sale.brand.get(&format!("{brand}/reports/{table}?{all}")).await.expect(200);
        let rows: Vec<Value> = report["rows"].as_array().expect("rows").iter().map(as_cells).collect();
        assert!(!rows.is_empty(), "{table}");
        for format in formats {
            let wish = json!({ "format": format, "table": table, "filter": period });
            let (done, bytes) = made(&sale, wish).await;
            assert_eq!(done["table"], table);
            let found = read(format, table, &bytes);
            assert_eq!(found["plain"], json!(rows), "{table} {format}");
            for figure in ["units", "net_minor", "commission_minor"] {
                assert_eq!(found[figure], report["totals"][figure], "{table} {format} {figure}");
                assert_eq!(done[figure], report["totals"][figure], "{table} {format} {figure}");
                if table != "staff" {
                    assert_eq!(done[figure], lines["totals"][figure], "{table} {format} {figure}: the ledger's");
                }
            }
            assert_eq!((&done["rows_done"], &done["rows_total"]), (&json!(rows.len()), &json!(rows.len())));
        }
    }
    // To the byte, where nothing in it is random: 15 % of 1,080, 4,602 and 2,160 that were kept.
    let (_, csv) = made(&sale, json!({ "format": "csv", "table": "channel" })).await;
    assert_eq!(
        String::from_utf8(csv).expect("UTF-8"),
        "\u{feff}key,label,label_sub,orders,qty,gross_jpy,cancelled_jpy,net_jpy,commission_jpy,aov_jpy,buyers,new_buyers,\
         returning_buyers,refund_rate_bp\r\nlive,live,,3,5,13383,-5541,7842,1176,2614,,,,4140\r\n"
    );
    let (_, csv) = made(&sale, json!({ "format": "csv", "table": "staff" })).await;
    assert!(String::from_utf8(csv).expect("UTF-8").contains(",'=みか,"), "a name is no formula");

    // The same filters.
    let product = text(&sale.product, "id");
    for (filter, query) in [
        (json!({ "product_id": product }), format!("product_id={product}")),
        (json!({ "staff_id": staff }), format!("staff_id={staff}")),
        (json!({ "channel": "replay" }), "channel=replay".to_owned()),
        (json!({ "to_ms": 1 }), "to_ms=1".to_owned()),
    ] {
        let report = sale.brand.get(&format!("{brand}/reports/sku?{query}")).await.expect(200);
        let rows: Vec<Value> = report["rows"].as_array().expect("rows").iter().map(as_cells).collect();
        let (done, bytes) = made(&sale, json!({ "format": "json", "table": "sku", "filter": filter })).await;
        assert_eq!(read("json", "sku", &bytes)["plain"], json!(rows), "{query}");
        assert_eq!(done["net_minor"], report["totals"]["net_minor"], "{query}");
    }

    // A member of staff's row is the sum of its lines, on the page and in a file.
    let row = &sale.brand.get(&format!("{brand}/reports/staff")).await.expect(200)["rows"][0];
    let page = sale.brand.get(&format!("{brand}/report/lines?staff_id={staff}")).await.expect(200);
    let page = page["items"].as_array().expect("lines");
    let net: i64 = page.iter().map(|line| line["base_minor"].as_i64().expect("yen")).sum();
    assert_eq!((page.len(), Some(net)), (2, row["figures"]["net_minor"].as_i64()));
    assert_eq!(net, 2 * 1_080);
    for line in page {
        assert_eq!((&line["staff_id"], &line["liver_id"]), (&json!(staff), &Value::Null));
        assert_eq!(line["liver_name"], "=みか");
    }
    for format in ["csv", "xlsx", "parquet", "json"] {
        let wish = json!({ "format": format, "filter": { "staff_id": staff } });
        let (done, bytes) = made(&sale, wish).await;
        let found = read(format, "ledger", &bytes);
        assert_eq!((&found["rows"], &found["net_minor"]), (&json!(2), &json!(net)), "{format}");
        assert_eq!((&done["table"], &done["net_minor"]), (&json!("lines"), &json!(net)), "{format}");
        assert_eq!((&found["plain"][0]["staff_id"], &found["plain"][0]["liver_id"]), (&json!(staff), &json!("")));
    }
    let others = sale.brand.get(&format!("{brand}/report/lines")).await.expect(200);
    assert_eq!(others["items"].as_array().map(Vec::len), Some(6), "the livers' pool is as it was");
});

both_databases!(a_table_that_is_not_known_is_nobodys_ledger, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let sale = sold(&house).await;
    let exports = format!("/v1/brands/{}/exports", sale.brand_id);
    let (rival, _) = add_brand(&sale.operator, "藍屋").await;
    let wish = json!({ "format": "csv", "table": "product" });
    assert_eq!(rival.post(&exports, wish.clone()).await.refused(), "not-found");
    for wrong in ["brand", "buyers", ""] {
        let wish = json!({ "format": "csv", "table": wrong });
        assert_eq!(sale.brand.post(&exports, wish).await.refused(), "invalid-input", "{wrong}");
    }
    let (done, _) = made(&sale, wish).await;
    let id = text(&done, "export_id");
    let noted =
        format!("SELECT COUNT(*) FROM audit_log WHERE action = 'report.export' AND detail LIKE '%{id}%product%'");
    assert_eq!(count(&house.database.url, &noted).await, 1);
    // As a newer version leaves it, that knows a table which this one does not.
    let newer = format!(
        r#"UPDATE exports SET state = 'queued', node = NULL, tries = 0, filter = '{{"table":"galaxy"}}' WHERE id = '{id}'"#
    );
    meddle(&house.database.url, &[newer]).await;
    let failed = until(&sale.brand, &done, "failed").await;
    assert!(text(&failed, "failure").contains("another version"), "{failed}");
    assert_eq!(failed["table"], "galaxy");
    assert_eq!(sale.brand.get(&format!("/v1/exports/{id}/file")).await.refused(), "not-found");
});
