//! What is kept from whom: the audit log against change, and a brand's rows against other brands' tools.

use std::{process::Command, time::Duration};

use hanamichi::{clock::Clock, store::Db};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::{
    both_databases,
    harness::{Actor, Engine, House, Plan, Sale, add_brand, count, fresh_name, meddle, text},
};

/// What `verify` finds wrong with the audit log.
async fn faults(url: &str) -> String {
    let db = Db::connect(url).await.expect("the database opens");
    // Two minutes on, when everything that was written has been sealed.
    let later = Clock::system().now().plus(Duration::from_secs(120));
    let report = hanamichi::verify::run(&db, later).await.expect("the books can be read");
    db.close().await;
    let check = report.checks.into_iter().find(|check| check.name.contains("audit")).expect("it is checked");
    assert!(check.looked_at > 0, "lines are sealed");
    check.examples.join("\n")
}

both_databases!(what_was_noted_is_sealed_and_cannot_be_changed_unseen, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let rule = json!({ "click_days": 3, "replay_days": 30, "staff_days": 7, "staff_commission_bp": 0, "note": "夏" });
    sale.brand.put(&format!("/v1/brands/{}/rule", sale.brand_id), rule).await.expect(200);
    let url = &house.database.url;
    let sealed = async {
        while count(url, "SELECT COUNT(*) FROM audit_unsealed").await > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), sealed).await.expect("it is sealed in a moment");
    assert_eq!(faults(url).await, "");
    let of_brand = sale.brand.get(&format!("/v1/brands/{}/audit", sale.brand_id)).await.expect(200);
    assert_eq!(of_brand["items"][0]["action"], "attribution_rule.set");
    let lines = count(url, "SELECT COUNT(*) FROM audit_log").await;
    assert_eq!(of_brand["seal"]["n"], lines, "the newest seal vouches for all of it");
    let all = sale.operator.get("/v1/admin/audit?limit=1").await.expect(200);
    assert_eq!((all["items"].as_array().map(Vec::len), all["next_cursor"].is_string()), (Some(1), true));
    let (rival, _) = add_brand(&sale.operator, "藍屋").await;
    assert_eq!(rival.get(&format!("/v1/brands/{}/audit", sale.brand_id)).await.refused(), "not-found");
    assert_eq!(sale.brand.get("/v1/admin/audit").await.refused(), "forbidden");

    let set = "action = 'attribution_rule.set'";
    meddle(
        url,
        &[format!("UPDATE audit_log SET detail = REPLACE(detail, '\"click_days\":3', '\"click_days\":4') WHERE {set}")],
    )
    .await;
    assert!(faults(url).await.contains("is not what was sealed"), "{}", faults(url).await);
    meddle(
        url,
        &[format!("UPDATE audit_log SET detail = REPLACE(detail, '\"click_days\":4', '\"click_days\":3') WHERE {set}")],
    )
    .await;
    assert_eq!(faults(url).await, "");
    // Written past the server, long ago as it says.
    let forged = "INSERT INTO audit_log (id, at_ms, account_id, action, subject_id, detail)
                  VALUES ('aud_01j00000000000000000000000', 1, NULL, 'rule.set', 'x', '')";
    meddle(url, &[forged.to_owned()]).await;
    assert!(faults(url).await.contains("was never sealed"));
    meddle(url, &["DELETE FROM audit_log WHERE at_ms = 1".to_owned()]).await;
    // A line that is taken out, with its seal or without.
    meddle(url, &[format!("DELETE FROM audit_log WHERE {set}")]).await;
    assert!(faults(url).await.contains("is gone"));
    let gone = format!("DELETE FROM audit_seals WHERE audit_id NOT IN (SELECT id FROM audit_log) OR n = {}", lines - 1);
    meddle(url, &[gone]).await;
    assert_ne!(faults(url).await, "");
});

async fn rows(role: &mut PgConnection, query: &str) -> Result<i64, sqlx::Error> {
    let query = sqlx::AssertSqlSafe(query.to_owned());
    sqlx::query_as::<_, (i64,)>(query).fetch_one(role).await.map(|(n,)| n)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_brands_tools_read_its_own_rows_in_the_database_and_no_others() {
    let house = House::open(Engine::Postgres).await;
    let mut sales = Vec::new();
    let url = house.database.url.clone();
    let sale = Sale::open(&house, Plan::default()).await;
    let (rival, rival_id) = add_brand(&sale.operator, "藍屋").await;
    let new = json!({ "title": "藍染", "skus": [{ "price_minor": 5_000, "tax_rate_bp": 1_000 }] });
    let product = rival.post(&format!("/v1/brands/{rival_id}/products"), new).await.expect(201);
    let receive =
        json!({ "sku_id": product["skus"][0]["id"], "location_id": sale.warehouse, "delta": 5, "reason": "receive" });
    rival.post("/v1/stock/adjustments", receive).await.expect(201);
    let pin = json!({ "product_id": product["id"] });
    let pin = sale.liver.post(&format!("/v1/lives/{}/pins", sale.live), pin).await.expect(201);
    for (offer, qty) in [(sale.offer.clone(), 2), (text(&pin["offers"][0], "id"), 1)] {
        let yui = Actor::sign_up(&house.base(), "ゆい").await;
        let purchase = yui.buy(&offer, qty, Some("sandbox_card")).await.expect(201);
        sales.push(yui.until(&purchase, "authorized").await);
    }
    let role = format!("bi_{}", fresh_name().to_lowercase().replace('-', "_"));
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hanamichi"));
        let said = command.env("HANAMICHI_DATABASE", &url).args(args).output().expect("it runs");
        (said.status.success(), String::from_utf8_lossy(&said.stderr).into_owned())
    };
    let (fine, said) = run(&["reporting", "allow", &role, &sale.brand_id]);
    assert!(!fine && said.contains("CREATE ROLE"), "{said}");
    meddle(&url, &[format!("CREATE ROLE {role} LOGIN PASSWORD 'read only'")]).await;
    assert_eq!(run(&["reporting", "allow", &role, &sale.brand_id]), (true, String::new()));
    let mut address = reqwest::Url::parse(&url).expect("an address");
    address.set_username(&role).expect("a name");
    address.set_password(Some("read only")).expect("a password");
    let mut bi = PgConnection::connect(address.as_str()).await.expect("the role signs in");

    let ours = "SELECT CAST(COALESCE(SUM(net_jpy), 0) AS BIGINT) FROM reporting.credits";
    assert_eq!(rows(&mut bi, ours).await.expect("a sum"), 2_160);
    let theirs = format!("SELECT COUNT(*) FROM reporting.credits WHERE brand_id = '{rival_id}'");
    assert_eq!(rows(&mut bi, &theirs).await.expect("a count"), 0);
    // A function of one's own in the condition is not shown other rows before the view's own condition.
    let leak = "SELECT COUNT(*) FROM reporting.products WHERE CAST(tax_rate_bp AS TEXT) = '1000'";
    assert_eq!(rows(&mut bi, leak).await.expect("a count"), 0);
    assert_eq!(rows(&mut bi, "SELECT COUNT(*) FROM reporting.lives").await.expect("a count"), 1);
    for secret in ["credits", "customers", "orders", "accounts", "reporting_readers", "sessions"] {
        let refused = rows(&mut bi, &format!("SELECT COUNT(*) FROM {secret}")).await.expect_err(secret);
        assert!(refused.to_string().contains("permission denied"), "{refused}");
    }
    // The table itself, given by mistake.
    meddle(&url, &[format!("GRANT SELECT ON credits TO {role}")]).await;
    let sum = "SELECT CAST(SUM(base_minor) AS BIGINT) FROM credits";
    assert_eq!(rows(&mut bi, sum).await.expect("a sum"), 2_160, "row-level security stands behind");
    // A server that signs in as another role than the tables' owner is nobody's tool: it sees and writes all of them.
    let server = format!("app_{role}");
    meddle(
        &url,
        &[
            format!("CREATE ROLE {server} LOGIN PASSWORD 'read only'"),
            format!("GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO {server}"),
        ],
    )
    .await;
    let mut as_server = address.clone();
    as_server.set_username(&server).expect("a name");
    let mut app = PgConnection::connect(as_server.as_str()).await.expect("the role signs in");
    assert_eq!(rows(&mut app, sum).await.expect("a sum"), 2_160 + 5_000);
    let touched = sqlx::query("UPDATE order_lines SET variant = variant").execute(&mut app).await.expect("written");
    assert_eq!(touched.rows_affected(), 2);
    app.close().await.expect("closed");
    // The views hang on tables that a new version may make anew: who was let in stays in.
    drop(bi);
    meddle(&url, &["COMMENT ON SCHEMA reporting IS 'of an older version'".to_owned()]).await;
    let house = house.reopen().await;
    let mut bi = PgConnection::connect(address.as_str()).await.expect("the role signs in");
    assert_eq!(rows(&mut bi, ours).await.expect("a sum"), 2_160);
    assert!(run(&["reporting", "deny", &role, &sale.brand_id]).0);
    let refused = rows(&mut bi, ours).await.expect_err("nothing is left to read");
    assert!(refused.to_string().contains("permission denied"), "{refused}");
    assert_eq!(rows(&mut bi, "SELECT COUNT(*) FROM credits").await.expect("a count"), 0, "nor of the table itself");
    bi.close().await.expect("closed");
    for role in [&role, &server] {
        meddle(&url, &[format!("DROP OWNED BY {role}"), format!("DROP ROLE {role}")]).await;
    }
    let report = sale.brand.at(&house.base()).get(&format!("/v1/brands/{}/report", sale.brand_id)).await.expect(200);
    assert_eq!(report["totals"]["net_minor"], Value::from(2_160), "the server itself reads as before");
    house.server.stop().await;
}
