//! What comes back: the goods, the money, the credit, the documents; once, and to nobody else.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    both_databases,
    harness::{
        Actor, Database, Engine, House, PATIENCE, Plan, Process, Sale, add_brand, count, free_port, fresh_name, meddle,
        text, verify,
    },
};

/// A paid order of this many units.
async fn order(sale: &Sale, buyer: &Actor, qty: u32, method: &str) -> Value {
    let purchase = buyer.buy(&sale.offer, qty, Some(method)).await.expect(201);
    let paid = buyer.until(&purchase, "authorized").await;
    buyer.get(&format!("/v1/orders/{}", text(&paid, "order_id"))).await.expect(200)
}

async fn send(sale: &Sale, order: &Value) {
    sale.brand.post(&format!("/v1/orders/{}/fulfilment", text(order, "id")), json!({})).await.expect(200);
}

async fn give_back(by: &Actor, order: &Value, key: &str, body: Value) -> crate::harness::Answer {
    by.post_with_key(&format!("/v1/orders/{}/refunds", text(order, "id")), key, body).await
}

fn line(order: &Value, n: usize, qty: i64) -> Value {
    json!({ "order_line_id": order["lines"][n]["id"], "qty": qty })
}

/// Waits until a refund is in a state.
async fn until(by: &Actor, refund: &Value, state: &str) -> Value {
    let path = format!("/v1/refunds/{}", text(refund, "id"));
    let waiting = async {
        loop {
            let now = by.get(&path).await.expect(200);
            if now["state"] == state {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if let Ok(refund) = tokio::time::timeout(PATIENCE, waiting).await {
        return refund;
    }
    panic!("not {state}: {}", by.get(&path).await.body);
}

both_databases!(one_unit_comes_back_and_then_the_rest, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan { price: 999, limit: Some(3), ..Plan::default() }).await;
    let buyer = Actor::sign_up(&house.base(), "ゆい").await;
    let order = order(&sale, &buyer, 3, "sandbox_card").await;
    send(&sale, &order).await;
    assert_eq!(buyer.buy(&sale.offer, 1, None).await.refused(), "limit-reached");
    let body = json!({ "lines": [line(&order, 0, 1)], "restock": true, "reason": "割れていた" });
    let refund = give_back(&sale.brand, &order, "RMA-1", body).await.expect(201);
    assert_eq!((&refund["kind"], &refund["amount_minor"]), (&json!("refund"), &json!(999)));
    let refund = until(&buyer, &refund, "succeeded").await;
    assert!(refund["settled_at_ms"].is_i64() && refund["failure"].is_null(), "{refund}");
    assert_eq!(sale.available().await, 8, "7 were left, one is back");
    buyer.buy(&sale.offer, 1, None).await.expect(201);
    let now = buyer.get(&format!("/v1/orders/{}", text(&order, "id"))).await.expect(200);
    assert_eq!((&now["captured_minor"], &now["refunded_minor"]), (&json!(2_997), &json!(999)));
    assert_eq!((&now["lines"][0]["returned_qty"], &now["lines"][0]["refunded_minor"]), (&json!(1), &json!(999)));
    assert_eq!(now["state"], "fulfilled");
    let report = sale.brand.get(&format!("/v1/brands/{}/report", sale.brand_id)).await.expect(200);
    let totals = &report["totals"];
    assert_eq!((&totals["units"], &totals["gross_minor"]), (&json!(2), &json!(2_997)));
    assert_eq!((&totals["cancelled_minor"], &totals["net_minor"]), (&json!(-999), &json!(1_998)));
    assert_eq!(totals["commission_minor"], 299, "15 % of what is left, fractions dropped");
    let sales = sale.liver.get(&format!("/v1/lives/{}/sales", sale.live)).await.expect(200);
    assert_eq!((&sales["gross_minor"], &sales["refunded_minor"]), (&json!(1_998), &json!(999)), "{sales}");

    // The rest, without going back to the shelf.
    let rest = json!({ "restock": false, "reason": "全部返品" });
    let refund = give_back(&sale.operator, &order, "RMA-2", rest).await.expect(201);
    assert_eq!((&refund["amount_minor"], &refund["restocked"]), (&json!(1_998), &json!(false)));
    until(&sale.operator, &refund, "succeeded").await;
    assert_eq!(sale.available().await, 7, "one of the eight is held by the buyer; nothing came back");
    let now = buyer.get(&format!("/v1/orders/{}", text(&order, "id"))).await.expect(200);
    assert_eq!((&now["state"], &now["refunded_minor"]), (&json!("refunded"), &json!(2_997)));
    assert_eq!(now["refunds"].as_array().map(Vec::len), Some(2));
    let report = sale.brand.get(&format!("/v1/brands/{}/report", sale.brand_id)).await.expect(200);
    assert_eq!((&report["totals"]["net_minor"], &report["totals"]["commission_minor"]), (&json!(0), &json!(0)));
    assert_eq!(
        give_back(&sale.brand, &order, "RMA-3", json!({ "restock": false, "reason": "x" })).await.refused(),
        "conflict"
    );
    let purchases = buyer.get("/v1/purchases").await.expect(200);
    let mine = purchases["items"].as_array().expect("a list").iter().find(|p| p["order_id"] == order["id"]);
    assert_eq!(mine.expect("it is there")["refunded_minor"], 2_997);
    // Document and credit notes come to nothing, although 73, and then 148, were rounded.
    let invoice = buyer.get(&format!("/v1/orders/{}/invoice", text(&order, "id"))).await.expect(200);
    let document = &invoice["documents"][0];
    let taxes: Vec<i64> = document["credit_notes"]
        .as_array()
        .expect("credit notes")
        .iter()
        .map(|note| note["rates"][0]["tax_minor"].as_i64().expect("yen"))
        .collect();
    assert_eq!(document["rates"][0]["tax_minor"], 222);
    assert_eq!(taxes.iter().sum::<i64>(), 222);
    verify(&house.database.url).await;
});

both_databases!(what_is_called_off_before_the_money_is_taken_is_never_taken, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let buyer = Actor::sign_up(&house.base(), "はると").await;
    let order_ = order(&sale, &buyer, 3, "sandbox_card").await;
    let body = json!({ "lines": [line(&order_, 0, 1)], "restock": true, "reason": "在庫の傷" });
    let void = give_back(&sale.brand, &order_, "void", body).await.expect(201);
    assert_eq!((&void["kind"], &void["state"]), (&json!("void"), &json!("succeeded")));
    assert_eq!(sale.available().await, 8);
    send(&sale, &order_).await;
    let now = buyer.get(&format!("/v1/orders/{}", text(&order_, "id"))).await.expect(200);
    assert_eq!((&now["captured_minor"], &now["voided_minor"]), (&json!(2_160), &json!(1_080)));
    assert_eq!((&now["refunded_minor"], &now["tax"][0]["total_minor"]), (&json!(0), &json!(2_160)));
    let invoice = buyer.get(&format!("/v1/orders/{}/invoice", text(&order_, "id"))).await.expect(200);
    assert_eq!(
        (&invoice["documents"][0]["total_minor"], &invoice["documents"][0]["lines"][0]["qty"]),
        (&json!(2_160), &json!(2))
    );
    // All of another one: the purchase is over, and the reserved money is let go.
    let other = order(&sale, &buyer, 2, "sandbox_card").await;
    let all =
        give_back(&sale.brand, &other, "all", json!({ "restock": true, "reason": "注文の取消" })).await.expect(201);
    assert_eq!((&all["kind"], &all["amount_minor"]), (&json!("void"), &json!(2_160)));
    assert_eq!(sale.available().await, 8);
    let now = buyer.get(&format!("/v1/orders/{}", text(&other, "id"))).await.expect(200);
    assert_eq!((&now["state"], &now["captured_minor"]), (&json!("cancelled"), &json!(0)));
    assert_eq!(
        sale.brand.post(&format!("/v1/orders/{}/fulfilment", text(&other, "id")), json!({})).await.refused(),
        "conflict"
    );
    let purchase = buyer.get(&format!("/v1/purchases/{}", text(&other, "purchase_id"))).await.expect(200);
    assert_eq!((&purchase["reason"], &purchase["refunded_minor"]), (&json!("order-cancelled"), &json!(2_160)));
    let key = format!("pi:{}:1", text(&other, "purchase_id"));
    let gone = format!("SELECT COUNT(*) FROM sandbox_payments WHERE key = '{key}' AND state = 'cancelled'");
    let let_go = async {
        while count(&house.database.url, &gone).await == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, let_go).await.expect("the reserved money is let go");
    verify(&house.database.url).await;
});

// The server died after it had asked for the money, or before it heard the answer.
both_databases!(money_that_is_being_taken_is_taken_first_and_then_given_back, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let buyer = Actor::sign_up(&house.base(), "あおい").await;
    let order = order(&sale, &buyer, 2, "sandbox_card").await;
    let taking = format!("UPDATE orders SET taking_minor = total_minor WHERE id = '{}'", text(&order, "id"));
    meddle(&house.database.url, &[taking]).await;
    let body = json!({ "lines": [line(&order, 0, 1)], "restock": true, "reason": "返品" });
    let refund = give_back(&sale.brand, &order, "r", body).await.expect(201);
    assert_eq!((&refund["kind"], &refund["amount_minor"]), (&json!("refund"), &json!(1_080)));
    until(&buyer, &refund, "succeeded").await;
    let now = buyer.get(&format!("/v1/orders/{}", text(&order, "id"))).await.expect(200);
    assert_eq!((&now["captured_minor"], &now["voided_minor"]), (&json!(2_160), &json!(0)));
    // The other unit still stands on its shelf, and is sent.
    assert_eq!((sale.available().await, &now["state"]), (9, &json!("captured")));
    send(&sale, &order).await;
    assert_eq!(sale.available().await, 9);
    verify(&house.database.url).await;
});

both_databases!(what_was_taken_before_there_were_books_is_booked_at_the_start, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let buyer = Actor::sign_up(&house.base(), "すず").await;
    let order = order(&sale, &buyer, 2, "sandbox_card").await;
    send(&sale, &order).await;
    let unbooked = [
        "DELETE FROM postings",
        "DELETE FROM invoice_rates",
        "DELETE FROM invoices",
        "UPDATE orders SET captured_minor = 0",
    ];
    meddle(&house.database.url, &unbooked.map(str::to_owned)).await;
    let house = house.reopen().await;
    let (sale, buyer) = (Sale { brand: sale.brand.at(&house.base()), ..sale }, buyer.at(&house.base()));
    let booked = async {
        while count(&house.database.url, "SELECT COUNT(*) FROM invoices").await == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, booked).await.expect("it is booked");
    verify(&house.database.url).await;
    let refund = give_back(&sale.brand, &order, "r", json!({ "restock": true, "reason": "返品" })).await.expect(201);
    until(&buyer, &refund, "succeeded").await;
    verify(&house.database.url).await;
});

both_databases!(a_refund_that_does_not_arrive_is_tried_again, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let buyer = Actor::sign_up(&house.base(), "そうた").await;
    let order = order(&sale, &buyer, 1, "sandbox_refund_fails").await;
    send(&sale, &order).await;
    let refund = give_back(&sale.brand, &order, "r", json!({ "restock": true, "reason": "返品" })).await.expect(201);
    let failed = until(&sale.operator, &refund, "failed").await;
    assert_eq!(failed["failure"], "lost_or_stolen_card");
    verify(&house.database.url).await;
    let retry = format!("/v1/refunds/{}/retry", text(&refund, "id"));
    assert_eq!(sale.brand.post(&retry, json!({})).await.refused(), "forbidden");
    sale.operator.post(&retry, json!({})).await.expect(200);
    until(&sale.operator, &refund, "succeeded").await;
    assert_eq!(sale.operator.post(&retry, json!({})).await.refused(), "conflict");
    verify(&house.database.url).await;
});

both_databases!(the_same_return_counts_once_and_another_under_its_name_is_refused, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let buyer = Actor::sign_up(&house.base(), "めい").await;
    // Its first answer is lost: the refund is made once all the same.
    let order = order(&sale, &buyer, 4, "sandbox_lost").await;
    send(&sale, &order).await;
    let body = json!({ "lines": [line(&order, 0, 2)], "restock": true, "reason": "返品" });
    let path = format!("/v1/orders/{}/refunds", text(&order, "id"));
    assert_eq!(sale.brand.post(&path, body.clone()).await.refused(), "idempotency-key-missing");
    let mut returns = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (brand, order, body) = (sale.brand.clone(), order.clone(), body.clone());
        returns.spawn(async move { give_back(&brand, &order, "same", body).await.expect(201)["id"].clone() });
    }
    let ids = returns.join_all().await;
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let other = json!({ "lines": [line(&order, 0, 1)], "restock": true, "reason": "返品" });
    assert_eq!(give_back(&sale.brand, &order, "same", other).await.refused(), "idempotency-key-reused");
    for wrong in [
        json!({ "lines": [line(&order, 0, 3)], "restock": true, "reason": "多すぎる" }),
        json!({ "lines": [{ "order_line_id": format!("lin_{}", &text(&order, "id")[4..]), "qty": 1 }], "restock": true, "reason": "他の明細" }),
    ] {
        assert_eq!(give_back(&sale.brand, &order, &fresh_name(), wrong).await.refused(), "conflict");
    }
    for wrong in [
        json!({ "lines": [line(&order, 0, 0)], "restock": true, "reason": "x" }),
        json!({ "lines": [line(&order, 0, 1), line(&order, 0, 1)], "restock": true, "reason": "x" }),
        json!({ "lines": [], "restock": true, "reason": "x" }),
        json!({ "restock": true, "reason": " " }),
    ] {
        assert_eq!(give_back(&sale.brand, &order, &fresh_name(), wrong).await.refused(), "invalid-input");
    }
    until(&sale.operator, &json!({ "id": ids[0] }), "succeeded").await;
    let now = buyer.get(&format!("/v1/orders/{}", text(&order, "id"))).await.expect(200);
    assert_eq!(now["refunded_minor"], 2_160);
    verify(&house.database.url).await;
});

both_databases!(two_sellers_have_a_document_each_and_see_no_others, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan { price: 105, ..Plan::default() }).await;
    let registered = json!({ "name": "酒井商店", "commission_bp": 1_000, "invoice_number": "T1234567890123" });
    let second = text(&sale.operator.post("/v1/brands", registered).await.expect(201), "id");
    let email = format!("{}@test.example", fresh_name());
    let member = json!({ "email": email, "password": crate::harness::PASSWORD, "display_name": "酒井" });
    sale.operator.post(&format!("/v1/brands/{second}/members"), member).await.expect(201);
    let rival = Actor::sign_in(&house.base(), &email).await;
    let new = json!({ "title": "酒器", "skus": [{ "price_minor": 105, "tax_rate_bp": 1_000 }, { "variant": "甘酒", "price_minor": 105, "tax_rate_bp": 800 }] });
    let product = rival.post(&format!("/v1/brands/{second}/products"), new).await.expect(201);
    for sku in product["skus"].as_array().expect("a list") {
        let goods = json!({ "sku_id": sku["id"], "location_id": sale.warehouse, "delta": 9, "reason": "receive" });
        rival.post("/v1/stock/adjustments", goods).await.expect(201);
    }
    let pin = json!({ "product_id": product["id"] });
    let pin = sale.liver.post(&format!("/v1/lives/{}/pins", sale.live), pin).await.expect(201);
    let buyer = Actor::sign_up(&house.base(), "あおい").await;
    let lines = json!([{ "offer_id": sale.offer, "qty": 1 }, { "offer_id": pin["offers"][0]["id"], "qty": 1 }, { "offer_id": pin["offers"][1]["id"], "qty": 1 }]);
    let sheet = buyer.post("/v1/confirmations", json!({ "lines": lines })).await.expect(200);
    // Two sellers at 8 %: 7.77… each rounds to 7, together 14, where one rounding of 210 would say 15.
    assert_eq!(sheet["tax"][0], json!({ "rate_bp": 800, "total_minor": 210, "base_minor": 196, "tax_minor": 14 }));
    let wish = json!({ "lines": lines, "payment_method": "sandbox_card" });
    let purchase = buyer.post_with_key("/v1/purchases", &fresh_name(), wish).await.expect(201);
    let paid = buyer.until(&purchase, "authorized").await;
    let id = text(&paid, "order_id");
    let order = buyer.get(&format!("/v1/orders/{id}")).await.expect(200);
    assert_eq!(order["tax"], sheet["tax"]);
    let invoice = buyer.get(&format!("/v1/orders/{id}/invoice")).await.expect(200);
    assert_eq!(invoice["documents"], json!([]), "nothing was taken yet");
    sale.operator.post(&format!("/v1/orders/{id}/fulfilment"), json!({})).await.expect(200);
    let invoice = buyer.get(&format!("/v1/orders/{id}/invoice")).await.expect(200);
    assert_eq!(invoice["documents"].as_array().map(Vec::len), Some(2));
    assert_eq!(invoice["buyer_name"], "あおい");
    let of = |invoice: &Value, brand: &str| {
        let documents = invoice["documents"].as_array().expect("a list");
        documents.iter().find(|d| d["brand_id"] == brand).cloned().unwrap_or_default()
    };
    let (plain, qualified) = (of(&invoice, &sale.brand_id), of(&invoice, &second));
    assert_eq!((&plain["kind"], &plain["title_ja"]), (&json!("receipt"), &json!("領収書（適格請求書ではありません）")));
    assert_eq!((&qualified["title_ja"], &qualified["registration"]), (&json!("適格請求書"), &json!("T1234567890123")));
    let rates = |document: &Value| -> Vec<(i64, i64, bool)> {
        let rates = document["rates"].as_array().expect("a list").iter();
        rates
            .map(|r| {
                (
                    r["rate_bp"].as_i64().expect("yen"),
                    r["tax_minor"].as_i64().expect("yen"),
                    r["reduced"].as_bool().expect("yes or no"),
                )
            })
            .collect()
    };
    assert_eq!(rates(&qualified), [(800, 7, true), (1_000, 9, false)]);
    assert_eq!(rates(&plain), [(800, 7, true)]);
    // Each seller sees its own part; another one nothing.
    let mine = rival.get(&format!("/v1/orders/{id}/invoice")).await.expect(200);
    assert_eq!(mine["documents"].as_array().map(Vec::len), Some(1));
    let (stranger, stranger_id) = add_brand(&sale.operator, "藍屋").await;
    for path in [format!("/v1/orders/{id}/invoice"), format!("/v1/orders/{id}/refunds")] {
        assert_eq!(stranger.get(&path).await.refused(), "not-found");
        assert_eq!(Actor::sign_up(&house.base(), "他人").await.get(&path).await.refused(), "not-found");
    }
    assert_eq!(
        give_back(&stranger, &order, "x", json!({ "restock": true, "reason": "x" })).await.refused(),
        "not-found"
    );
    assert_eq!(give_back(&rival, &order, "x", json!({ "restock": true, "reason": "x" })).await.refused(), "forbidden");
    assert_eq!(give_back(&buyer, &order, "x", json!({ "restock": true, "reason": "x" })).await.refused(), "forbidden");
    let orders = rival.get(&format!("/v1/brands/{second}/orders")).await.expect(200);
    assert_eq!((&orders["items"][0]["id"], &orders["items"][0]["total_minor"]), (&json!(id), &json!(210)));
    assert_eq!(rival.get(&format!("/v1/brands/{}/orders", sale.brand_id)).await.refused(), "not-found");
    assert_eq!(stranger.get(&format!("/v1/brands/{stranger_id}/orders")).await.expect(200)["items"], json!([]));
    // One of its own lines comes back.
    let own = order["lines"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|l| l["brand_id"] == second && l["tax_rate_bp"] == 1_000)
        .expect("it is there");
    let body = json!({ "lines": [{ "order_line_id": own["id"], "qty": 1 }], "restock": true, "reason": "返品" });
    let refund = give_back(&rival, &order, "one", body).await.expect(201);
    assert_eq!(refund["tax"], json!([{ "rate_bp": 1_000, "total_minor": 105, "base_minor": 96, "tax_minor": 9 }]));
    let invoice = buyer.get(&format!("/v1/orders/{id}/invoice")).await.expect(200);
    let note = of(&invoice, &second)["credit_notes"][0].clone();
    assert_eq!((&note["title_ja"], &note["refund_id"]), (&json!("適格返還請求書"), &refund["id"]));
    // What came back stands on it, and nothing else of the order.
    let lines = note["lines"].as_array().expect("a list");
    assert_eq!((lines.len(), &lines[0]["qty"], &lines[0]["amount_minor"]), (1, &json!(1), &json!(105)));
    assert_eq!((&lines[0]["product_title"], &lines[0]["reduced"]), (&own["product_title"], &json!(false)));
    assert_eq!(invoice["placed_at_ms"], order["placed_at_ms"]);
    // The other seller does not learn of it.
    assert_eq!(sale.brand.get(&format!("/v1/refunds/{}", text(&refund, "id"))).await.refused(), "not-found");
    assert_eq!(sale.brand.get(&format!("/v1/orders/{id}/refunds")).await.expect(200)["items"], json!([]));
    verify(&house.database.url).await;
});

both_databases!(a_server_killed_before_it_could_ask_the_provider_asks_when_it_is_back, async |engine: Engine| {
    let database = Database::fresh(engine).await;
    let port = free_port();
    let mut server = Process::start(&database.url, port).await;
    let sale = Sale::open_at(&server.base, Plan::default()).await;
    let buyer = Actor::sign_up(&server.base, "りく").await;
    // Its bank takes its time with refunds, so the kill comes before the last word.
    let purchase = buyer.buy(&sale.offer, 2, Some("sandbox_slow")).await.expect(201);
    let paid = buyer.until(&purchase, "authorized").await;
    let order = buyer.get(&format!("/v1/orders/{}", text(&paid, "order_id"))).await.expect(200);
    send(&sale, &order).await;
    let refund = give_back(&sale.brand, &order, "r", json!({ "restock": true, "reason": "返品" })).await.expect(201);
    server.kill();
    verify(&database.url).await;
    server = Process::start(&database.url, port).await;
    let again = give_back(&sale.brand, &order, "r", json!({ "restock": true, "reason": "返品" })).await.expect(201);
    assert_eq!(again["id"], refund["id"]);
    until(&sale.operator, &refund, "succeeded").await;
    assert_eq!(Process::verify(&database.url)["verdict"], "clean");
    drop(server);
});
