//! A month is closed: every credit is in one statement, once, and what comes back later is taken off the next one.

use hanamichi::clock::{Clock, Millis};
use serde_json::{Value, json};

use crate::{
    both_databases,
    harness::{
        Actor, Answer, Database, Engine, House, Plan, Sale, add_brand, add_liver, count, fresh_name, meddle, text,
        verify,
    },
    settlement_contracts::{agree, terms},
};

/// A moment of Japan.
fn at(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().expect("a time").as_millisecond()
}

async fn again(house: &House, who: &Actor) -> Actor {
    Actor::sign_in(&house.base(), &text(&who.me, "email")).await
}

/// Moves the clock, and signs everybody in anew: sessions end after a month.
pub async fn later(house: &House, sale: Sale, moment: &str) -> Sale {
    let ahead = at(moment) - house.clock.now().0;
    house.clock.advance(std::time::Duration::from_millis(u64::try_from(ahead).expect("later")));
    Sale {
        operator: house.operator().await,
        brand: again(house, &sale.brand).await,
        liver: again(house, &sale.liver).await,
        ..sale
    }
}

/// A paid order of so many units, which are sent or not.
pub async fn sell(house: &House, sale: &Sale, qty: u32, sent: bool) -> Value {
    let buyer = Actor::sign_up(&house.base(), "ゆい").await;
    let purchase = buyer.buy(&sale.offer, qty, Some("sandbox_card")).await.expect(201);
    let paid = buyer.until(&purchase, "authorized").await;
    let order = buyer.get(&format!("/v1/orders/{}", text(&paid, "order_id"))).await.expect(200);
    if sent {
        send(sale, &order).await;
    }
    order
}

async fn send(sale: &Sale, order: &Value) {
    sale.brand.post(&format!("/v1/orders/{}/fulfilment", text(order, "id")), json!({})).await.expect(200);
}

async fn give_back(sale: &Sale, order: &Value, qty: i64) {
    let body = json!({ "lines": [{ "order_line_id": order["lines"][0]["id"], "qty": qty }], "restock": true, "reason": "返品" });
    let path = format!("/v1/orders/{}/refunds", text(order, "id"));
    sale.brand.post_with_key(&path, &fresh_name(), body).await.expect(201);
}

pub async fn close(sale: &Sale, period: &str) -> Answer {
    let path = format!("/v1/brands/{}/statements", sale.brand_id);
    sale.brand.post(&path, json!({ "period": period })).await
}

pub async fn pay(sale: &Sale, statement: &Value) -> Value {
    let path = format!("/v1/statements/{}/paid", text(statement, "statement_id"));
    sale.brand.post(&path, json!({ "reference": "2027-03-10 振込" })).await.expect(200)
}

fn figures(statement: &Value) -> [i64; 6] {
    ["earned_minor", "reversed_minor", "carried_in_minor", "tax_minor", "payable_minor", "carried_out_minor"]
        .map(|field| statement[field].as_i64().unwrap_or_else(|| panic!("no {field} in {statement}")))
}

/// Where text is not sorted by its bytes, as on most people's servers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_whole_in_a_database_of_another_locale() {
    let words = "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C.UTF-8' ENCODING 'UTF8'";
    let database = Database::fresh_like(Engine::Postgres, words).await;
    let house = House::over(database, Clock::manual(Millis(1_800_000_000_000))).await;
    let sale = Sale::open(&house, Plan::default()).await;
    agree(&house, &sale, terms(&house, 1_500)).await;
    sell(&house, &sale, 1, true).await;
    let sale = later(&house, sale, "2027-02-01T00:00:00+09:00").await;
    assert_eq!(close(&sale, "2027-01").await.expect(201)["items"].as_array().map(Vec::len), Some(1));
    for (who, path) in [
        (&sale.brand, format!("/v1/brands/{}/statements", sale.brand_id)),
        (&sale.brand, format!("/v1/brands/{}/contracts", sale.brand_id)),
        (&sale.brand, format!("/v1/brands/{}/audit", sale.brand_id)),
        (&sale.brand, format!("/v1/brands/{}/report/lines", sale.brand_id)),
        (&sale.liver, "/v1/me/statements".to_owned()),
        (&sale.liver, "/v1/me/contracts".to_owned()),
        (&sale.liver, "/v1/me/earnings/lines".to_owned()),
        (&sale.liver, "/v1/livers/me/lives".to_owned()),
    ] {
        let items = who.get(&path).await.expect(200)["items"].clone();
        assert!(items.as_array().is_some_and(|items| !items.is_empty()), "{path} is empty");
    }
    let payouts = sale.brand.get(&format!("/v1/brands/{}/payouts/2027-01.csv", sale.brand_id)).await.expect(200);
    assert!(payouts.to_string().contains("さくら"), "{payouts}");
    verify(&house.database.url).await;
    house.server.stop().await;
}

both_databases!(a_month_is_closed_once_and_is_the_sum_of_its_lines, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let first = sell(&house, &sale, 2, true).await;
    let second = sell(&house, &sale, 1, false).await;
    give_back(&sale, &first, 1).await;
    assert_eq!(close(&sale, "2027-01").await.refused(), "conflict", "it is not over");
    let preview = format!("/v1/brands/{}/statements/preview?period=2027-01", sale.brand_id);
    let before = sale.brand.get(&preview).await.expect(200);
    // 15 % of 2,160 less 15 % of 1,080; what was not sent yet is not in it. 10 % tax, fractions dropped.
    assert_eq!((figures(&before["items"][0]), &before["closable"]), ([324, -162, 0, 16, 178, 0], &json!(false)));

    let sale = later(&house, sale, "2027-02-01T00:00:00+09:00").await;
    let closed = close(&sale, "2027-01").await.expect(201);
    let statement = closed["items"][0].clone();
    assert_eq!(figures(&statement), [324, -162, 0, 16, 178, 0]);
    assert_eq!((&statement["state"], &statement["lines"]), (&json!("payable"), &json!(2)));
    assert_eq!((&statement["brand_name"], &statement["liver_name"]), (&json!("花見堂"), &json!("さくら")));
    // Streamed on 15 January, which is the first of 60 days.
    assert_eq!(statement["pay_by_ms"], at("2027-03-16T00:00:00+09:00") - 1);
    let kinds: Vec<&Value> = closed["warnings"].as_array().expect("a list").iter().map(|w| &w["kind"]).collect();
    assert_eq!(kinds, [&json!("payee_missing"), &json!("not_registered")]);
    assert_eq!(statement["deductible_bp"], 7_000, "of what is bought from who is not registered");
    let repeated = close(&sale, "2027-01").await.expect(200);
    assert_eq!((&repeated["items"], &repeated["closed_at_ms"]), (&closed["items"], &closed["closed_at_ms"]));
    assert_eq!(sale.brand.get(&preview).await.refused(), "conflict");

    let path = format!("/v1/statements/{}", text(&statement, "statement_id"));
    assert_eq!(sale.liver.get(&path).await.expect(200), statement);
    let page = sale.liver.get(&format!("{path}/lines?limit=1")).await.expect(200);
    let cursor = text(&page, "next_cursor");
    let rest = sale.liver.get(&format!("{path}/lines?limit=1&cursor={cursor}")).await.expect(200);
    let (sold, back) = (&page["items"][0], &rest["items"][0]);
    assert_eq!(
        (&sold["kind"], &sold["commission_minor"], &sold["commission_bp"]),
        (&json!("sale"), &json!(324), &json!(1_500))
    );
    assert_eq!(
        (&back["kind"], &back["commission_minor"], &rest["next_cursor"]),
        (&json!("reversal"), &json!(-162), &Value::Null)
    );
    assert!(back["refund_id"].is_string() && sold["refund_id"].is_null());
    let csv = sale.brand.get(&format!("{path}/lines.csv")).await.expect(200);
    let csv = csv.as_str().expect("text");
    assert!(csv.starts_with('\u{feff}') && csv.matches("\r\n").count() == 3, "{csv}");
    let header: Vec<&str> = csv.trim_start_matches('\u{feff}').lines().next().expect("a header").split(',').collect();
    let place = header.iter().position(|name| *name == "commission_jpy").expect("a column");
    let cells =
        csv.lines().skip(1).map(|line| line.split(',').nth(place).expect("a cell").parse::<i64>().expect("yen"));
    assert_eq!(cells.sum::<i64>(), 162);

    // What is captured later is in a later statement, although it was sold before.
    send(&sale, &second).await;
    verify(&house.database.url).await;
    let sale = later(&house, sale, "2027-03-01T00:00:00+09:00").await;
    let february = close(&sale, "2027-02").await.expect(201);
    assert_eq!(figures(&february["items"][0]), [162, 0, 0, 16, 178, 0]);
    assert_eq!(close(&sale, "2026-12").await.refused(), "conflict", "months are closed in their order");
    let list = sale.brand.get(&format!("/v1/brands/{}/statements?period=2027-02", sale.brand_id)).await.expect(200);
    assert_eq!(list["items"], february["items"]);
    assert_eq!(sale.liver.get("/v1/me/statements").await.expect(200)["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(close(&sale, "2027-2").await.refused(), "invalid-input");
    verify(&house.database.url).await;
    let notes = "SELECT COUNT(*) FROM audit_log WHERE action IN ('statement.close', 'statement.export')";
    assert_eq!(count(&house.database.url, notes).await, 3, "two months closed, one file read");
});

both_databases!(what_comes_back_after_the_payment_is_taken_off_the_next_statements, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let order = sell(&house, &sale, 3, true).await;
    let sale = later(&house, sale, "2027-02-01T00:00:00+09:00").await;
    let january = close(&sale, "2027-01").await.expect(201)["items"][0].clone();
    assert_eq!(figures(&january), [486, 0, 0, 48, 534, 0]);
    let path = format!("/v1/statements/{}/paid", text(&january, "statement_id"));
    let mut paying = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let (brand, path) = (sale.brand.clone(), path.clone());
        paying.spawn(async move { brand.post(&path, json!({ "reference": "振込 1" })).await.expect(200) });
    }
    let paid = paying.join_all().await;
    assert!(paid.iter().all(|one| one["state"] == "paid" && one["paid_at_ms"] == paid[0]["paid_at_ms"]), "{paid:?}");
    assert_eq!(sale.brand.post(&path, json!({ "reference": "振込 2" })).await.refused(), "conflict");
    assert_eq!(sale.brand.post(&path, json!({ "reference": "" })).await.refused(), "invalid-input");
    // Paid once: 486 owed are owed no more; of 48 yen tax, 33 can be deducted, and 15 make the liver cost more.
    let posted = |what: &str| {
        format!("SELECT CAST(SUM(amount_minor) AS BIGINT) FROM postings WHERE kind = 'commission_paid' AND {what}")
    };
    assert_eq!(count(&house.database.url, &posted("credit = 'bank'")).await, 534);
    assert_eq!(count(&house.database.url, &posted("debit = 'tax_payable'")).await, 33);
    assert_eq!(count(&house.database.url, &posted("debit = 'commission_expense'")).await, 15);
    verify(&house.database.url).await;

    // Two of three come back: nothing is paid in February, and the liver owes it to March.
    give_back(&sale, &order, 2).await;
    let sale = later(&house, sale, "2027-03-01T00:00:00+09:00").await;
    let closed = close(&sale, "2027-02").await.expect(201);
    let february = &closed["items"][0];
    assert_eq!((figures(february), &february["state"]), ([0, -324, 0, 0, 0, -324], &json!("carried")));
    assert_eq!((&february["pay_by_ms"], &closed["warnings"]), (&Value::Null, &json!([])), "nothing is paid");
    let path = format!("/v1/statements/{}/paid", text(february, "statement_id"));
    assert_eq!(sale.brand.post(&path, json!({ "reference": "x" })).await.refused(), "conflict");
    let earnings = sale.liver.get("/v1/me/earnings").await.expect(200);
    assert_eq!((&earnings["paid_minor"], &earnings["payable_minor"]), (&json!(486), &json!(-324)));

    // A month in which nothing happened has no statement; the sum stays where it is.
    let sale = later(&house, sale, "2027-04-01T00:00:00+09:00").await;
    assert_eq!(close(&sale, "2027-03").await.expect(201)["items"], json!([]));
    sell(&house, &sale, 1, true).await;
    let sale = later(&house, sale, "2027-05-01T00:00:00+09:00").await;
    let april = close(&sale, "2027-04").await.expect(201)["items"][0].clone();
    assert_eq!((figures(&april), &april["state"]), ([162, 0, -324, 0, 0, -162], &json!("carried")));
    sell(&house, &sale, 4, true).await;
    let sale = later(&house, sale, "2027-06-01T00:00:00+09:00").await;
    let may = close(&sale, "2027-05").await.expect(201);
    let (warning, may) = (may["warnings"][0]["kind"].clone(), may["items"][0].clone());
    assert_eq!(figures(&may), [648, 0, -162, 48, 534, 0]);
    // It was sold in a live of January, so its day was over before it was earned; the close says so.
    assert_eq!((warning, may["pay_by_ms"].as_i64()), (json!("pay_by_past"), Some(at("2027-03-16T00:00:00+09:00") - 1)));
    verify(&house.database.url).await;
    pay(&sale, &may).await;
    verify(&house.database.url).await;
    let earnings = sale.liver.get("/v1/me/earnings").await.expect(200);
    assert_eq!(
        (&earnings["paid_minor"], &earnings["payable_minor"]),
        (&json!(972), &json!(0)),
        "what was carried is paid off"
    );
    let owed = "SELECT CAST(SUM(CASE WHEN credit = 'commission_payable' THEN amount_minor WHEN debit = 'commission_payable' THEN -amount_minor ELSE 0 END) AS BIGINT) FROM postings";
    assert_eq!(count(&house.database.url, owed).await, 0);
    // The checks see what is wrong.
    for (wrong, right) in [
        (
            "UPDATE statements SET earned_minor = earned_minor + 1, reversed_minor = reversed_minor - 1 WHERE period = '2027-01'",
            "UPDATE statements SET earned_minor = earned_minor - 1, reversed_minor = reversed_minor + 1 WHERE period = '2027-01'",
        ),
        (
            "UPDATE statements SET carried_in_minor = carried_in_minor - 1, carried_out_minor = carried_out_minor - 1 WHERE period = '2027-04'",
            "UPDATE statements SET carried_in_minor = carried_in_minor + 1, carried_out_minor = carried_out_minor + 1 WHERE period = '2027-04'",
        ),
        (
            "UPDATE statements SET run = 9 WHERE period = '2027-05'",
            "UPDATE statements SET run = 2 WHERE period = '2027-05'",
        ),
        (
            "UPDATE statement_lines SET commission_minor = commission_minor + 1",
            "UPDATE statement_lines SET commission_minor = commission_minor - 1",
        ),
        (
            "UPDATE postings SET amount_minor = amount_minor + 1 WHERE kind = 'commission_paid' AND debit = 'commission_payable'",
            "UPDATE postings SET amount_minor = amount_minor - 1 WHERE kind = 'commission_paid' AND debit = 'commission_payable'",
        ),
    ] {
        meddle(&house.database.url, &[wrong.to_owned()]).await;
        assert!(!is_clean(&house.database.url).await, "not seen: {wrong}");
        meddle(&house.database.url, &[right.to_owned()]).await;
        assert!(is_clean(&house.database.url).await, "{right}");
    }
});

async fn is_clean(url: &str) -> bool {
    let db = hanamichi::store::Db::connect(url).await.expect("the database opens");
    let report =
        hanamichi::verify::run(&db, hanamichi::clock::Clock::system().now()).await.expect("the books can be read");
    db.close().await;
    report.is_clean()
}

both_databases!(a_contract_says_by_when_it_is_paid_and_the_close_when_that_is_over, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let agreed = agree(&house, &sale, terms(&house, 1_500)).await;
    sell(&house, &sale, 1, true).await;
    let contract = text(&agreed, "contract_id");
    let named = format!("UPDATE credits SET contract_id = '{contract}', contract_version = 1");
    meddle(&house.database.url, &[named]).await;
    let sale = later(&house, sale, "2027-02-01T00:00:00+09:00").await;
    let preview = format!("/v1/brands/{}/statements/preview?period=2027-01", sale.brand_id);
    let soon = sale.brand.get(&preview).await.expect(200);
    // 30 days, 15 January counted.
    let day = at("2027-02-14T00:00:00+09:00") - 1;
    assert_eq!(
        (&soon["items"][0]["pay_by_ms"], soon["warnings"][0]["kind"].as_str()),
        (&json!(day), Some("payee_missing"))
    );
    let sale = later(&house, sale, "2027-02-14T00:00:00+09:00").await;
    let closed = close(&sale, "2027-01").await.expect(201);
    assert_eq!(
        (&closed["items"][0]["pay_by_ms"], &closed["warnings"][0]["kind"]),
        (&json!(day), &json!("pay_by_past"))
    );
    assert!(closed["warnings"][0]["ja"].as_str().is_some_and(|text| text.contains("2027-02-13")), "{closed}");
    let line = format!("/v1/statements/{}/lines", text(&closed["items"][0], "statement_id"));
    let line = sale.liver.get(&line).await.expect(200)["items"][0].clone();
    assert_eq!((&line["contract_id"], &line["contract_version"]), (&json!(contract), &json!(1)));
    verify(&house.database.url).await;
});

both_databases!(a_statement_is_for_its_brand_and_its_liver, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    sell(&house, &sale, 1, true).await;
    let sale = later(&house, sale, "2027-02-01T00:00:00+09:00").await;
    let statement = close(&sale, "2027-01").await.expect(201)["items"][0].clone();
    let path = format!("/v1/statements/{}", text(&statement, "statement_id"));
    let (rival, rival_id) = add_brand(&sale.operator, "藍屋").await;
    let other = add_liver(&sale.operator, "もみじ").await;
    let viewer = Actor::sign_up(&house.base(), "ゆい").await;
    let of_brand = format!("/v1/brands/{}", sale.brand_id);
    for stranger in [&rival, &other, &viewer] {
        for tail in ["", "/lines", "/lines.csv"] {
            assert_eq!(stranger.get(&format!("{path}{tail}")).await.refused(), "not-found", "{tail}");
        }
        let paid = stranger.post(&format!("{path}/paid"), json!({ "reference": "x" })).await;
        assert_eq!(paid.refused(), "not-found");
    }
    for tail in
        ["statements", "statements/preview?period=2027-02", "payouts/2027-01.txt", "payouts/2027-01.csv", "payer"]
    {
        assert_eq!(rival.get(&format!("{of_brand}/{tail}")).await.refused(), "not-found", "{tail}");
        assert_eq!(sale.liver.get(&format!("{of_brand}/{tail}")).await.refused(), "forbidden", "{tail}");
    }
    let closing = rival.post(&format!("{of_brand}/statements"), json!({ "period": "2027-01" })).await;
    assert_eq!(closing.refused(), "not-found");
    // The liver reads it, and does not say that it was paid.
    assert_eq!(sale.liver.post(&format!("{path}/paid"), json!({ "reference": "x" })).await.refused(), "forbidden");
    assert_eq!(other.get("/v1/me/statements").await.expect(200)["items"], json!([]));
    assert_eq!(Actor::guest(&house.base()).get(&path).await.refused(), "not-signed-in");
    let mine =
        rival.post(&format!("/v1/brands/{rival_id}/statements"), json!({ "period": "2027-01" })).await.expect(201);
    assert_eq!(mine["items"], json!([]), "another brand's credits are none of theirs");
    assert_eq!(rival.get(&format!("/v1/brands/{rival_id}/statements")).await.expect(200)["items"], json!([]));
});

// Goods leave, and come back, while months are closed from several sides.
both_databases!(no_credit_is_lost_or_counted_twice_whatever_happens_at_once, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let sale = Sale::open(&house, Plan { units: 40, ..Plan::default() }).await;
    let mut orders = Vec::new();
    for n in 0..12 {
        orders.push(sell(&house, &sale, 2, n < 2).await);
    }
    let mut sale = later(&house, sale, "2027-02-01T00:00:00+09:00").await;
    for (round, period, next) in [
        (0, "2027-01", "2027-03-01T00:00:00+09:00"),
        (1, "2027-02", "2027-04-01T00:00:00+09:00"),
        (2, "2027-03", "2027-05-01T00:00:00+09:00"),
    ] {
        let mut acts = tokio::task::JoinSet::new();
        for (n, order) in orders.iter().enumerate() {
            let (brand, id, line) = (sale.brand.clone(), text(order, "id"), order["lines"][0]["id"].clone());
            acts.spawn(async move {
                if round == 0 && n >= 2 {
                    brand.post(&format!("/v1/orders/{id}/fulfilment"), json!({})).await.expect(200);
                }
                if round > 0 && n % 2 == 0 {
                    let body =
                        json!({ "lines": [{ "order_line_id": line, "qty": 1 }], "restock": true, "reason": "返品" });
                    brand.post_with_key(&format!("/v1/orders/{id}/refunds"), &fresh_name(), body).await.expect(201);
                }
            });
            if n % 2 == 0 {
                let (brand, path) = (sale.brand.clone(), format!("/v1/brands/{}/statements", sale.brand_id));
                acts.spawn(async move {
                    let answer = brand.post(&path, json!({ "period": period })).await;
                    assert!(matches!(answer.status, 200 | 201), "{}", answer.body);
                });
            }
        }
        acts.join_all().await;
        verify(&house.database.url).await;
        sale = later(&house, sale, next).await;
    }
    close(&sale, "2027-04").await.expect(201);
    let url = &house.database.url;
    let open =
        "SELECT COUNT(*) FROM credits c WHERE NOT EXISTS (SELECT 1 FROM statement_lines t WHERE t.credit_id = c.id)";
    assert_eq!(count(url, open).await, 0, "everything is in a statement");
    let ledger = count(url, "SELECT CAST(SUM(commission_minor) AS BIGINT) FROM credits").await;
    let stated = "SELECT CAST(SUM(payable_minor - tax_minor) AS BIGINT) FROM statements";
    let carried = "SELECT carried_out_minor FROM statements ORDER BY period DESC LIMIT 1";
    assert_eq!(count(url, stated).await + count(url, carried).await, ledger);
    // Six of twelve orders came back whole, unit by unit.
    assert_eq!(ledger, 6 * 324);
    verify(url).await;
});
