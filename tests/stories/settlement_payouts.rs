//! Where the money goes: accounts, and the file that a bank takes.

use serde_json::{Value, json};

use crate::{
    both_databases,
    harness::{Actor, Engine, House, Plan, Sale, count, meddle},
    settlement_statements::{close, later, pay, sell},
};

fn payee() -> Value {
    json!({
        "name_kana": "やまだ さくら", "bank_code": "0033", "branch_code": "002", "account_type": "ordinary",
        "account_number": "4567", "holder_kana": "ﾔﾏﾀﾞ ｻｸﾗ", "registration": "T1234567890123"
    })
}

async fn bytes(who: &Actor, path: &str) -> (Vec<u8>, String) {
    let answer = who.request(reqwest::Method::GET, path).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let left_out = answer.headers().get("hanamichi-left-out").map(|value| value.to_str().expect("text").to_owned());
    (answer.bytes().await.expect("a body").to_vec(), left_out.unwrap_or_default())
}

both_databases!(a_bank_is_told_whom_to_pay_and_nobody_is_dropped_in_silence, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    sell(&house, &sale, 2, true).await;
    let sale = later(&house, sale, "2027-02-01T00:00:00+09:00").await;
    let statement = close(&sale, "2027-01").await.expect(201)["items"][0].clone();
    let of_brand = format!("/v1/brands/{}", sale.brand_id);
    let file = format!("{of_brand}/payouts/2027-01.txt?on=2027-02-10");
    assert_eq!(sale.brand.get(&file).await.refused(), "conflict", "who pays?");
    let payer = json!({
        "consignor_code": "12345", "name_kana": "カ）ハナミドウ", "bank_code": "0005", "branch_code": "001",
        "account_type": "current", "account_number": "777"
    });
    let kept = sale.brand.put(&format!("{of_brand}/payer"), payer).await.expect(200);
    assert_eq!((&kept["consignor_code"], &kept["name_kana"]), (&json!("0000012345"), &json!("カ)ハナミドウ")));
    assert_eq!(sale.brand.get(&format!("{of_brand}/payer")).await.expect(200), kept);

    let missing = sale.brand.get(&file).await;
    assert!(missing.body["detail"].as_str().is_some_and(|detail| detail.contains("さくら")), "{}", missing.body);
    assert_eq!(missing.refused(), "payee-missing");
    let (empty, left_out) = bytes(&sale.brand, &format!("{file}&leave_out_missing=true")).await;
    assert_eq!((empty.len(), &*left_out), (3 * 122, "1"));
    assert!(empty[244..].starts_with(b"9") && empty[122..].starts_with(b"8000000000000000000"));
    let csv = sale.brand.get(&format!("{of_brand}/payouts/2027-01.csv")).await.expect(200);
    assert!(csv.as_str().is_some_and(|csv| csv.starts_with('\u{feff}') && csv.contains("payee_missing")), "{csv}");

    assert_eq!(sale.liver.get("/v1/me/payee").await.expect(200), Value::Null);
    for (field, wrong) in
        [("bank_code", "33"), ("holder_kana", "山田"), ("registration", "1234"), ("account_type", "gold")]
    {
        let mut payee = payee();
        payee[field] = json!(wrong);
        let answer = sale.liver.put("/v1/me/payee", payee).await;
        assert!(answer.body["detail"].as_str().is_some_and(|detail| detail.contains(field)), "{}", answer.body);
        assert_eq!(answer.refused(), "invalid-input");
    }
    let kept = sale.liver.put("/v1/me/payee", payee()).await.expect(200);
    assert_eq!((&kept["holder_kana"], &kept["account_number"]), (&json!("ヤマダ サクラ"), &json!("0004567")));
    assert_eq!(sale.liver.get("/v1/me/payee").await.expect(200), kept);
    assert_eq!(sale.brand.get("/v1/me/payee").await.refused(), "forbidden");
    let (file_, left_out) = bytes(&sale.brand, &file).await;
    assert_eq!((file_.len(), &*left_out), (4 * 122, "0"));
    let record = |n: usize| &file_[n * 122..(n + 1) * 122];
    assert_eq!(&record(0)[..14], b"12100000012345");
    assert_eq!(&record(0)[54..58], b"0210");
    assert_eq!(
        (&record(1)[1..5], &record(1)[20..23], &record(1)[42..50]),
        (&b"0033"[..], &b"002"[..], &b"10004567"[..])
    );
    assert_eq!(&record(1)[50..58], b"\xD4\xCF\xC0\xDE \xBB\xB8\xD7");
    // 324 and 32 yen tax.
    assert_eq!((&record(1)[80..90], &record(2)[..19]), (&b"0000000356"[..], &b"8000001000000000356"[..]));
    assert!((0..4).all(|n| record(n).ends_with(b"\r\n")));
    let csv = sale.brand.get(&format!("{of_brand}/payouts/2027-01.csv")).await.expect(200);
    assert!(csv.as_str().is_some_and(|csv| csv.contains("ready") && csv.contains(",356,32,")), "{csv}");
    // A closed statement keeps what it said of the registration; the next one says it anew.
    let path = format!("/v1/statements/{}", statement["statement_id"].as_str().expect("an id"));
    assert_eq!(sale.brand.get(&path).await.expect(200)["registration"], Value::Null);
    pay(&sale, &statement).await;
    let (paid, _) = bytes(&sale.brand, &file).await;
    assert_eq!(paid.len(), 3 * 122, "what is paid is not paid again");
    sell(&house, &sale, 1, true).await;
    let sale = later(&house, sale, "2027-03-01T00:00:00+09:00").await;
    let next = close(&sale, "2027-02").await.expect(201);
    assert_eq!((&next["items"][0]["registration"], &next["warnings"]), (&json!("T1234567890123"), &json!([])));
    assert_eq!(next["items"][0]["deductible_bp"], 10_000);
    for wrong in ["2027-01.pdf", "2027-01"] {
        assert_eq!(sale.brand.get(&format!("{of_brand}/payouts/{wrong}")).await.refused(), "not-found");
    }
    assert_eq!(sale.brand.get(&format!("{of_brand}/payouts/2027-02.txt?on=morgen")).await.refused(), "invalid-input");
    let notes = "SELECT COUNT(*) FROM audit_log WHERE action IN ('payout.export', 'payee.put', 'payer.put')";
    assert_eq!(count(&house.database.url, notes).await, 7, "five files, an account of each side");
    let secrets = "SELECT COUNT(*) FROM audit_log WHERE detail LIKE '%4567%'";
    assert_eq!(count(&house.database.url, secrets).await, 0, "the log knows no accounts");
});

// A title that a spreadsheet would run.
both_databases!(a_formula_in_a_title_is_no_formula_in_the_file, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    sell(&house, &sale, 1, true).await;
    meddle(&house.database.url, &["UPDATE order_lines SET product_title = '=HYPERLINK(1)'".to_owned()]).await;
    let sale = later(&house, sale, "2027-02-01T00:00:00+09:00").await;
    let statement = close(&sale, "2027-01").await.expect(201)["items"][0].clone();
    let path = format!("/v1/statements/{}/lines.csv", statement["statement_id"].as_str().expect("an id"));
    let csv = sale.brand.get(&path).await.expect(200);
    assert!(csv.as_str().is_some_and(|csv| csv.contains(",'=HYPERLINK(1),")), "{csv}");
});
