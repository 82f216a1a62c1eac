//! The provider's books beside ours: they agree, or somebody is told and can do something about it.

use std::time::Duration;

use hanamichi::clock::Clock;
use serde_json::{Value, json};

use crate::{
    both_databases,
    harness::{Actor, Engine, House, PATIENCE, Plan, Process, Sale, fresh_name, meddle, text, verify},
};

async fn sent(sale: &Sale, buyer: &Actor, qty: u32) -> Value {
    let purchase = buyer.buy(&sale.offer, qty, Some("sandbox_card")).await.expect(201);
    let paid = buyer.until(&purchase, "authorized").await;
    let id = text(&paid, "order_id");
    sale.operator.post(&format!("/v1/orders/{id}/fulfilment"), json!({})).await.expect(200);
    buyer.get(&format!("/v1/orders/{id}")).await.expect(200)
}

async fn give_back(sale: &Sale, order: &Value, qty: i64) -> Value {
    let path = format!("/v1/orders/{}/refunds", text(order, "id"));
    let lines = json!([{ "order_line_id": order["lines"][0]["id"], "qty": qty }]);
    let body = json!({ "lines": lines, "restock": true, "reason": "返品" });
    let refund = sale.brand.post_with_key(&path, &fresh_name(), body).await.expect(201);
    let path = format!("/v1/refunds/{}", text(&refund, "id"));
    let settled = async {
        while sale.operator.get(&path).await.expect(200)["state"] == "pending" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, settled).await.expect("it settles");
    sale.operator.get(&path).await.expect(200)
}

async fn run(sale: &Sale) -> Value {
    sale.operator.post("/v1/reconciliation/runs", json!({})).await.expect(201)
}

fn account(report: &Value, name: &str) -> i64 {
    let accounts = report["accounts"].as_array().expect("a list");
    let found = accounts.iter().find(|account| account["account"] == name).expect("every account is there");
    found["balance_minor"].as_i64().expect("yen")
}

fn open(report: &Value) -> Vec<String> {
    report["items"].as_array().expect("a list").iter().map(|item| text(item, "kind")).collect()
}

both_databases!(the_books_agree_and_the_accounts_say_what_happened, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let buyer = Actor::sign_up(&house.base(), "ゆい").await;
    let order = sent(&sale, &buyer, 3).await;
    give_back(&sale, &order, 1).await;
    house.clock.advance(Duration::from_secs(3600));
    let report = run(&sale).await;
    assert_eq!((&report["open"], &report["difference_minor"]), (&json!(0), &json!(0)), "{report}");
    // 3,240 taken with 240 of tax; 1,080 given back with 80; the provider keeps 3.6 % of what it took.
    assert_eq!(account(&report, "sales"), -3_000);
    assert_eq!(account(&report, "returns"), 1_000);
    assert_eq!(account(&report, "tax_payable"), -160);
    assert_eq!(account(&report, "fees"), 116);
    assert_eq!(account(&report, "refunds_payable"), 0);
    assert_eq!(account(&report, "provider_clearing"), 3_240 - 1_080 - 116);
    assert_eq!(account(&report, "commission_payable"), -324, "15 % of 2,160");
    let sum: i64 =
        report["accounts"].as_array().expect("a list").iter().map(|a| a["balance_minor"].as_i64().expect("yen")).sum();
    assert_eq!(sum, 0, "debits are credits");
    let again = run(&sale).await;
    assert_eq!(again["accounts"], report["accounts"], "read twice, posted once");
    for who in [&sale.brand, &buyer] {
        assert_eq!(who.get("/v1/reconciliation").await.refused(), "forbidden");
        assert_eq!(who.post("/v1/reconciliation/runs", json!({})).await.refused(), "forbidden");
    }
    verify(&house.database.url).await;
});

both_databases!(a_stray_charge_is_found_and_given_back_by_one_click, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let buyer = Actor::sign_up(&house.base(), "はると").await;
    sent(&sale, &buyer, 1).await;
    let now = house.clock.now().0;
    let stray = "pi_stray";
    meddle(
        &house.database.url,
        &[format!(
            "INSERT INTO sandbox_entries (id, kind, amount_minor, fee_minor, source, intent, at_ms)
                 VALUES ('txn_stray', 'charge', 5000, 180, '{stray}', '{stray}', {now})"
        )],
    )
    .await;
    // Money that came too late and was given back by itself is nobody's business.
    let late = |id: &str, kind: &str, amount: i64| {
        format!(
            "INSERT INTO sandbox_entries (id, kind, amount_minor, fee_minor, source, intent, at_ms)
             VALUES ('{id}', '{kind}', {amount}, 0, '{id}', 'pi_late', {now})"
        )
    };
    meddle(&house.database.url, &[late("txn_late_1", "charge", 700), late("txn_late_2", "refund", -700)]).await;
    assert_eq!(run(&sale).await["open"], 0, "what is new may be on its way into our books");
    house.clock.advance(Duration::from_secs(3600));
    let report = run(&sale).await;
    assert_eq!(open(&report), ["unknown_charge"]);
    assert_eq!(report["difference_minor"], -5_000);
    let found = report["items"][0].clone();
    assert_eq!(
        (&found["theirs_minor"], &found["ways"]),
        (&json!(5_000), &json!(["refund_charge", "book_to_suspense", "accept"]))
    );
    let path = format!("/v1/reconciliation/items/{}/resolution", text(&found, "id"));
    assert_eq!(sale.operator.post(&path, json!({ "how": "ask_again" })).await.refused(), "conflict");
    assert_eq!(sale.operator.post(&path, json!({ "how": "accept" })).await.refused(), "invalid-input");
    assert_eq!(sale.brand.post(&path, json!({ "how": "refund_charge" })).await.refused(), "forbidden");
    let resolved = sale.operator.post(&path, json!({ "how": "refund_charge" })).await.expect(200);
    assert_eq!((&resolved["state"], &resolved["how"]), (&json!("resolved"), &json!("refund_charge")));
    assert_eq!(sale.operator.post(&path, json!({ "how": "refund_charge" })).await.refused(), "conflict");
    house.clock.advance(Duration::from_secs(3600));
    let report = run(&sale).await;
    assert_eq!((&report["open"], &report["difference_minor"]), (&json!(0), &json!(0)), "{report}");
    let resolved = sale.operator.get("/v1/reconciliation/items?state=resolved").await.expect(200);
    assert_eq!(resolved["items"].as_array().map(Vec::len), Some(1));
    verify(&house.database.url).await;
});

both_databases!(
    what_the_provider_does_not_know_after_a_day_is_found_and_settles_when_it_does,
    async |engine: Engine| {
        let house = House::open_by_hand(engine).await;
        let sale = Sale::open(&house, Plan::default()).await;
        let buyer = Actor::sign_up(&house.base(), "めい").await;
        let (first, second) = (sent(&sale, &buyer, 1).await, sent(&sale, &buyer, 2).await);
        let refund = give_back(&sale, &second, 1).await;
        let key = |order: &Value| format!("pi:{}:1", text(order, "purchase_id"));
        // Kept aside, to be found again later.
        meddle(
            &house.database.url,
            &[
                "CREATE TABLE aside AS SELECT * FROM sandbox_entries".to_owned(),
                format!("DELETE FROM sandbox_entries WHERE source = '{}'", key(&first)),
                format!("DELETE FROM sandbox_entries WHERE source = 'refund:{}'", text(&refund, "id")),
                format!("UPDATE sandbox_entries SET amount_minor = 2000 WHERE source = '{}'", key(&second)),
            ],
        )
        .await;
        house.clock.advance(Duration::from_secs(3600));
        assert_eq!(open(&run(&sale).await), ["amount_differs"], "a day is not over yet");
        house.clock.advance(Duration::from_secs(25 * 3600));
        let report = run(&sale).await;
        let mut kinds = open(&report);
        kinds.sort();
        assert_eq!(kinds, ["amount_differs", "missing_charge", "missing_refund"]);
        let item = |kind: &str| {
            let items = report["items"].as_array().expect("a list");
            items.iter().find(|item| item["kind"] == kind).cloned().expect("it is there")
        };
        assert_eq!(item("missing_charge")["order_id"], first["id"]);
        assert_eq!(item("missing_refund")["refund_id"], refund["id"]);
        assert_eq!(
            (&item("amount_differs")["ours_minor"], &item("amount_differs")["theirs_minor"]),
            (&json!(2_160), &json!(2_000))
        );
        let resolve = |kind: &str| format!("/v1/reconciliation/items/{}/resolution", text(&item(kind), "id"));
        // The difference is set aside.
        let way = json!({ "how": "book_to_suspense", "note": "端数" });
        sale.operator.post(&resolve("amount_differs"), way).await.expect(200);
        // Asked again, the provider's books have the charge; the refund stays away.
        meddle(
            &house.database.url,
            &[format!("INSERT INTO sandbox_entries SELECT * FROM aside WHERE source = '{}'", key(&first))],
        )
        .await;
        let found = sale.operator.post(&resolve("missing_charge"), json!({ "how": "ask_again" })).await.expect(200);
        assert_eq!((&found["state"], &found["how"]), (&json!("resolved"), &json!("settled")));
        let found = sale.operator.post(&resolve("missing_refund"), json!({ "how": "ask_again" })).await.expect(200);
        assert_eq!(found["state"], "open");
        let way = json!({ "how": "book_to_suspense", "note": "返金の行が無い" });
        sale.operator.post(&resolve("missing_refund"), way).await.expect(200);
        let report = run(&sale).await;
        assert_eq!((&report["open"], &report["difference_minor"]), (&json!(0), &json!(0)), "{report}");
        assert_eq!(account(&report, "suspense"), 160 - 1_080);
        verify(&house.database.url).await;
    }
);

both_databases!(a_refund_that_failed_is_a_finding_until_it_arrives, async |engine: Engine| {
    let house = House::open_as(engine, Clock::system(), |config| config).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let buyer = Actor::sign_up(&house.base(), "そうた").await;
    let purchase = buyer.buy(&sale.offer, 1, Some("sandbox_refund_fails")).await.expect(201);
    let paid = buyer.until(&purchase, "authorized").await;
    let id = text(&paid, "order_id");
    sale.operator.post(&format!("/v1/orders/{id}/fulfilment"), json!({})).await.expect(200);
    let order = buyer.get(&format!("/v1/orders/{id}")).await.expect(200);
    assert_eq!(give_back(&sale, &order, 1).await["state"], "failed");
    let report = run(&sale).await;
    assert_eq!(open(&report), ["refund_failed"]);
    assert_eq!(account(&report, "refunds_payable"), -1_080);
    let (clean, said) = Process::reconcile(&house.database.url);
    assert!(!clean && open(&said) == ["refund_failed"], "the command says so, also by its exit code: {said}");
    let path = format!("/v1/reconciliation/items/{}/resolution", text(&report["items"][0], "id"));
    sale.operator.post(&path, json!({ "how": "ask_again" })).await.expect(200);
    let settled = async {
        while run(&sale).await["open"] != 0 || account(&run(&sale).await, "refunds_payable") != 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, settled).await.expect("it arrives at the second try");
    verify(&house.database.url).await;
    assert!(Process::reconcile(&house.database.url).0, "nothing is open");
    // The account was closed: what had arrived is with the provider again, so the same finding opens again.
    let key = format!("refund:{}:2", text(&report["items"][0], "refund_id"));
    let now = house.clock.now().0;
    meddle(
        &house.database.url,
        &[
            format!("UPDATE sandbox_refunds SET state = 'failed', failure = 'unknown' WHERE key = '{key}'"),
            format!(
                "INSERT INTO sandbox_entries (id, kind, amount_minor, fee_minor, source, intent, at_ms)
                 VALUES ('txn_zback', 'refund_failure', 1080, 0, '{key}', 'pi:{}:1', {now})",
                text(&order, "purchase_id")
            ),
        ],
    )
    .await;
    let again = run(&sale).await;
    assert_eq!((open(&again), &again["items"][0]["id"]), (vec!["refund_failed".to_owned()], &report["items"][0]["id"]));
    assert_eq!((account(&again, "refunds_payable"), &again["difference_minor"]), (-1_080, &json!(0)));
    verify(&house.database.url).await;
});

both_databases!(payouts_and_fees_are_posted_and_a_dispute_is_shown, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let buyer = Actor::sign_up(&house.base(), "すず").await;
    let order = sent(&sale, &buyer, 1).await;
    let now = house.clock.now().0;
    let intent = format!("pi:{}:1", text(&order, "purchase_id"));
    let entry = |kind: &str, amount: i64, fee: i64, intent: &str| {
        format!(
            "INSERT INTO sandbox_entries (id, kind, amount_minor, fee_minor, source, intent, at_ms)
             VALUES ('txn_{kind}', '{kind}', {amount}, {fee}, '{kind}', '{intent}', {now})"
        )
    };
    let lines = [entry("payout", -1_000, 0, ""), entry("fee", -7, 0, ""), entry("dispute", -1_080, 1_300, &intent)];
    meddle(&house.database.url, &lines).await;
    house.clock.advance(Duration::from_secs(3600));
    let report = run(&sale).await;
    assert_eq!(open(&report), ["dispute"]);
    assert_eq!(report["items"][0]["order_id"], order["id"]);
    assert_eq!((account(&report, "bank"), account(&report, "fees")), (1_000, 38 + 7 + 1_300));
    assert_eq!(report["difference_minor"], 1_080, "what is disputed is gone at the provider");
    let path = format!("/v1/reconciliation/items/{}/resolution", text(&report["items"][0], "id"));
    let way = json!({ "how": "book_to_suspense", "note": "カード会社の調査中" });
    sale.operator.post(&path, way).await.expect(200);
    let report = run(&sale).await;
    assert_eq!((&report["open"], &report["difference_minor"]), (&json!(0), &json!(0)), "{report}");
    assert_eq!(account(&report, "suspense"), 1_080);
    verify(&house.database.url).await;
});

both_databases!(what_was_accepted_hides_nothing_that_comes_after_it, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let now = house.clock.now().0;
    // More than one run looks at.
    let many = format!(
        "INSERT INTO sandbox_entries (id, kind, amount_minor, fee_minor, source, intent, at_ms)
         WITH RECURSIVE n (i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 2004)
         SELECT 'txn_' || i, 'dispute', -100, 0, 'dp_' || i, 'pi_' || i, {now} FROM n"
    );
    meddle(&house.database.url, &[many]).await;
    house.clock.advance(Duration::from_secs(3600));
    assert_eq!(run(&sale).await["open"], 1_000);
    let accept = "UPDATE findings SET state = 'resolved', how = 'accept', resolved_at_ms = 1".to_owned();
    meddle(&house.database.url, &[accept]).await;
    let report = run(&sale).await;
    assert_eq!(report["open"], 5, "the last ones are seen too");
    assert_eq!(open(&report), ["dispute"; 5]);
});
