//! Every route that is about somebody's own things, asked by everybody whose things they are not.
//!
//! The routes come from the OpenAPI description, so a new one is asked as soon as it is described; bodies are made from its
//! schema. What is public is listed here by name.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::{
    both_databases,
    harness::{Actor, Engine, House, Plan, Sale, add_brand, add_liver, fresh_name, text},
    settlement_contracts::{agree, terms},
    settlement_statements::{close, later, sell},
};

/// About a brand, and for everybody.
const PUBLIC: [(&str, &str); 1] = [("get", "/v1/brands/{brand}/products")];
/// Parts of a path that name somebody's own things.
const OWNED: [&str; 10] =
    ["brand", "order", "refund", "contract", "statement", "export", "line", "purchase", "finding", "endpoint"];

/// A route that is somebody's own.
struct Route {
    method: String,
    path: String,
    body: Option<Value>,
    /// What else it takes than JSON.
    takes: Option<String>,
}

/// A value that a schema allows. `ids` has what an id of a kind may be.
fn example(api: &Value, schema: &Value, name: &str, ids: &BTreeMap<&str, String>) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        let named = reference.rsplit('/').next().expect("a name");
        return example(api, &api["components"]["schemas"][named], name, ids);
    }
    for several in ["oneOf", "anyOf", "allOf"] {
        if let Some(first) = schema[several].as_array().and_then(|all| all.iter().find(|one| one["type"] != "null")) {
            return example(api, first, name, ids);
        }
    }
    if let Some(first) = schema["enum"].as_array().and_then(|all| all.first()) {
        return first.clone();
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().find(|kind| *kind != "null").cloned().unwrap_or_default(),
        kind => kind.clone(),
    };
    match kind.as_str() {
        Some("integer" | "number") => json!(if name == "from_ms" { 1_900_000_000_000i64 } else { 1 }),
        Some("boolean") => json!(true),
        Some("array") => json!([example(api, &schema["items"], name, ids)]),
        Some("string") => match (name.strip_suffix("_id").and_then(|kind| ids.get(kind)), name) {
            (Some(id), _) => json!(id),
            (None, "period") => json!("2027-02"),
            (None, "refund_rule") => json!("reverse"),
            (None, "payment_method") => json!("sandbox_card"),
            (None, _) => json!("x"),
        },
        _ => {
            let required: BTreeSet<&str> =
                schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let properties = schema["properties"].as_object().cloned().unwrap_or_default();
            let wanted = properties.into_iter().filter(|(name, _)| required.contains(name.as_str()));
            Value::Object(wanted.map(|(name, of)| (name.clone(), example(api, &of, &name, ids))).collect::<Map<_, _>>())
        }
    }
}

/// Every route that names somebody's own things, with a body that fits.
fn routes(ids: &BTreeMap<&str, String>) -> Vec<Route> {
    let api: Value = serde_json::from_str(&hanamichi::http::openapi()).expect("JSON");
    let mut routes = Vec::new();
    for (path, methods) in api["paths"].as_object().expect("paths") {
        let named: Vec<&str> = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        let operators = path.starts_with("/v1/admin/") || path.starts_with("/v1/reconciliation");
        if !operators && !named.iter().any(|name| OWNED.contains(name)) {
            continue;
        }
        for (method, route) in methods.as_object().expect("methods") {
            let is_public = PUBLIC.contains(&(method.as_str(), path.as_str()));
            if is_public || !["get", "post", "put", "patch", "delete"].contains(&method.as_str()) {
                continue;
            }
            let mut filled = path.clone();
            for name in &named {
                let id = ids.get(name).unwrap_or_else(|| panic!("{path}: what is a {name}?"));
                filled = filled.replace(&format!("{{{name}}}"), id);
            }
            // A query that has to be there.
            let required = route["parameters"].as_array().into_iter().flatten();
            let required = required.filter(|p| p["in"] == "query" && p["required"] == true);
            let query: Vec<String> = required
                .map(|p| {
                    let name = p["name"].as_str().expect("a name");
                    format!("{name}={}", example(&api, &p["schema"], name, ids).to_string().trim_matches('"'))
                })
                .collect();
            if !query.is_empty() {
                filled = format!("{filled}?{}", query.join("&"));
            }
            let content = route["requestBody"]["content"].as_object().cloned().unwrap_or_default();
            let body = content.get("application/json").map(|of| example(&api, &of["schema"], "", ids));
            let takes = content.keys().find(|kind| *kind != "application/json").cloned();
            routes.push(Route { method: method.clone(), path: filled, body, takes });
        }
    }
    routes
}

both_databases!(nobody_reaches_what_is_anothers, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let sale = Sale::open(&house, Plan { units: 50, ..Plan::default() }).await;
    agree(&house, &sale, terms(&house, 2_000)).await;
    let order = sell(&house, &sale, 2, true).await;
    let back =
        json!({ "lines": [{ "order_line_id": order["lines"][0]["id"], "qty": 1 }], "restock": true, "reason": "返品" });
    let refunds = format!("/v1/orders/{}/refunds", text(&order, "id"));
    let refund = sale.brand.post_with_key(&refunds, "back", back).await.expect(201);
    let sale = later(&house, sale, "2027-03-01T00:00:00+09:00").await;
    let closed = close(&sale, "2027-01").await.expect(201);
    let exports = format!("/v1/brands/{}/exports", sale.brand_id);
    let export = sale.brand.post(&exports, json!({ "format": "json" })).await.expect(202);
    let hooks = format!("/v1/brands/{}/webhook-endpoints", sale.brand_id);
    let hook = json!({ "url": "https://shop.example/", "description": "花見堂", "events": ["credit.created"] });
    let endpoint = text(&sale.brand.post(&hooks, hook).await.expect(201)["endpoint"], "endpoint_id");
    let test = sale.brand.post(&format!("/v1/webhook-endpoints/{endpoint}/test"), json!({})).await.expect(202);
    let contracts = sale.brand.get(&format!("/v1/brands/{}/contracts", sale.brand_id)).await.expect(200);
    let ids = BTreeMap::from([
        ("brand", sale.brand_id.clone()),
        ("order", text(&order, "id")),
        ("line", text(&order["lines"][0], "id")),
        ("order_line", text(&order["lines"][0], "id")),
        ("purchase", text(&order, "purchase_id")),
        ("refund", text(&refund, "id")),
        ("contract", text(&contracts["items"][0], "contract_id")),
        ("version", "1".to_owned()),
        ("statement", text(&closed["items"][0], "statement_id")),
        ("export", text(&export, "export_id")),
        ("endpoint", endpoint),
        ("message", text(&test, "message_id")),
        ("live", sale.live.clone()),
        ("liver", text(&sale.liver.me, "liver_id")),
        ("product", text(&sale.product, "id")),
        ("location", sale.warehouse.clone()),
        ("finding", "fnd_01j00000000000000000000000".to_owned()),
        ("by", "live".to_owned()),
        ("file", "2027-01.csv".to_owned()),
        ("period", "2027-01".to_owned()),
    ]);
    let (rival, _) = add_brand(&sale.operator, "藍屋").await;
    let strangers = [
        ("a guest", Actor::guest(&house.base())),
        ("another brand", rival),
        ("another liver", add_liver(&sale.operator, "蓮").await),
        ("a customer", Actor::sign_up(&house.base(), "はると").await),
    ];
    let routes = routes(&ids);
    assert!(routes.len() > 25, "{} routes were found", routes.len());
    let mut reached = Vec::new();
    let before = sale.operator.get("/v1/admin/audit?limit=1").await.expect(200);
    for route in &routes {
        for (who, actor) in &strangers {
            let method = route.method.to_uppercase().parse().expect("a method");
            let mut request = actor.request(method, &route.path).header("idempotency-key", fresh_name());
            if let Some(body) = &route.body {
                request = request.json(body);
            }
            if let Some(kind) = &route.takes {
                request = request.header("content-type", kind).body("sku,quantity\nx,1\n");
            }
            let answer = actor.send(request).await;
            let what = format!("{who}: {} {} {:?}", route.method, route.path, route.body);
            if ![401, 403, 404].contains(&answer.status) {
                reached.push(format!("{what}: {} {}", answer.status, answer.body));
            }
            let said = answer.body.to_string();
            for secret in ["花見堂", "花見団子", "ゆい", "さくら"] {
                assert!(!said.contains(secret), "{what} tells {secret}: {said}");
            }
        }
    }
    assert!(reached.is_empty(), "{}", reached.join("\n"));
    let after = sale.operator.get("/v1/admin/audit?limit=1").await.expect(200);
    assert_eq!(before["items"], after["items"], "nothing was done");
    // Lists of one's own are of one's own.
    for path in ["contracts", "statements", "earnings", "earnings/lines", "payee"] {
        for (who, actor) in &strangers {
            let answer = actor.get(&format!("/v1/me/{path}")).await;
            let said = answer.body.to_string();
            for id in ids.values().filter(|id| id.len() > 20 && !id.starts_with("fnd_")) {
                assert!(!said.contains(id.as_str()), "{who} reads {id} in /v1/me/{path}: {said}");
            }
        }
    }
});
