//! One harness: a real server on a free port, a fresh database, and actors that use the public API only.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use hanamichi::{
    app::Server,
    clock::{Clock, Millis},
    config::{Config, Operator},
    on,
    store::Db,
};
use serde_json::{Value, json};

/// Password of every actor.
pub const PASSWORD: &str = "correct horse";
const OPERATOR: &str = "operator@test.example";
/// Answers and news arrive within this, or the story fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Which engine a story runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// Runs a story on both engines, each as a test of its own.
#[macro_export]
macro_rules! both_databases {
    ($(#[$doc:meta])* $name:ident, $story:expr) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                ($story)($crate::harness::Engine::Sqlite).await;
            }
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                ($story)($crate::harness::Engine::Postgres).await;
            }
        }
    };
}

/// A database of its own, thrown away with the story.
pub struct Database {
    pub url: String,
    // Dropped last: the file goes with it.
    _folder: Option<Folder>,
}

/// A folder that goes when it is dropped.
pub struct Folder(pub PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn fresh_name() -> String {
    hanamichi::ids::BatchId::fresh().as_str().to_owned()
}

impl Database {
    pub async fn fresh(engine: Engine) -> Self {
        Self::fresh_like(engine, "").await
    }

    /// On PostgreSQL, with more words for `CREATE DATABASE`.
    pub async fn fresh_like(engine: Engine, words: &str) -> Self {
        match engine {
            Engine::Sqlite => {
                let folder = std::env::temp_dir().join(fresh_name());
                std::fs::create_dir_all(&folder).expect("a temporary folder");
                let url = format!("sqlite:{}", folder.join("story.db").display());
                Self { url, _folder: Some(Folder(folder)) }
            }
            Engine::Postgres => {
                // Set by pg_virtualenv, which `make test` runs the stories under.
                let var = |name: &str| {
                    std::env::var(name)
                        .unwrap_or_else(|_| panic!("{name} is not set: run the stories with `make test`"))
                };
                let server =
                    format!("postgres://{}:{}@{}:{}", var("PGUSER"), var("PGPASSWORD"), var("PGHOST"), var("PGPORT"));
                let name = fresh_name();
                let pool = sqlx::PgPool::connect(&format!("{server}/postgres")).await.expect("PostgreSQL answers");
                sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name} {words}")))
                    .execute(&pool)
                    .await
                    .expect("a fresh database");
                pool.close().await;
                Self { url: format!("{server}/{name}"), _folder: None }
            }
        }
    }
}

/// The configuration of a story's server.
pub fn config(database: &str) -> Config {
    Config {
        listen: ([127, 0, 0, 1], 0).into(),
        database: database.to_owned(),
        operator: Some(Operator { email: OPERATOR.to_owned(), password: PASSWORD.to_owned() }),
        media: hanamichi::config::MediaSection {
            listen: ([127, 0, 0, 1], 0).into(),
            advertise: vec![std::net::Ipv4Addr::LOCALHOST.into()],
            ..hanamichi::config::MediaSection::default()
        },
        metrics: hanamichi::config::MetricsSection { listen: "127.0.0.1:0".to_owned() },
        stop_timeout_s: 10,
        ..Config::default()
    }
}

/// A server in this process.
pub struct House {
    pub server: Server,
    pub clock: Clock,
    pub database: Database,
}

impl House {
    /// With the system's clock.
    pub async fn open(engine: Engine) -> Self {
        Self::open_with(engine, Clock::system()).await
    }

    /// With a clock that the story moves.
    pub async fn open_by_hand(engine: Engine) -> Self {
        Self::open_with(engine, Clock::manual(Millis(1_800_000_000_000))).await
    }

    async fn open_with(engine: Engine, clock: Clock) -> Self {
        Self::open_as(engine, clock, |config| config).await
    }

    /// With another configuration.
    pub async fn open_as(engine: Engine, clock: Clock, change: impl FnOnce(Config) -> Config) -> Self {
        let database = Database::fresh(engine).await;
        let server = Server::start(change(config(&database.url)), clock.clone()).await.expect("the server starts");
        Self { server, clock, database }
    }

    /// Over a database that is there.
    pub async fn over(database: Database, clock: Clock) -> Self {
        let server = Server::start(config(&database.url), clock.clone()).await.expect("the server starts");
        Self { server, clock, database }
    }

    pub fn base(&self) -> String {
        self.server.loopback_url()
    }

    pub async fn operator(&self) -> Actor {
        Actor::sign_in(&self.base(), OPERATOR).await
    }

    /// Stops the server and opens it again over the same database.
    pub async fn reopen(self) -> Self {
        let Self { server, clock, database } = self;
        server.stop().await;
        let server = Server::start(config(&database.url), clock.clone()).await.expect("the server starts again");
        Self { server, clock, database }
    }
}

/// A server in a process of its own, that can be killed.
pub struct Process {
    child: Child,
    pub base: String,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Process {
    pub async fn start(database: &str, port: u16) -> Self {
        Self::start_with(database, port, &[]).await
    }

    /// With more of the configuration, as variables.
    pub async fn start_with(database: &str, port: u16, more: &[(&str, &str)]) -> Self {
        let child = Self::command(database)
            .envs(more.iter().copied())
            .arg("serve")
            .env("HANAMICHI_LISTEN", format!("127.0.0.1:{port}"))
            .env("HANAMICHI_MEDIA__LISTEN", "127.0.0.1:0")
            .env("HANAMICHI_OPERATOR__EMAIL", OPERATOR)
            .env("HANAMICHI_OPERATOR__PASSWORD", PASSWORD)
            // What the stories do to it makes it complain; they look at what it answers.
            .env("HANAMICHI_LOG_FILTER", std::env::var("HANAMICHI_STORY_LOG").unwrap_or_else(|_| "off".to_owned()))
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary runs");
        let process = Self { child, base: format!("http://127.0.0.1:{port}") };
        let ready = async {
            let url = format!("{}/readyz", process.base);
            while !reqwest::get(&url).await.is_ok_and(|answer| answer.status().is_success()) {
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        };
        tokio::time::timeout(PATIENCE, ready).await.expect("the server is ready");
        process
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGSTOP: it is there, and does nothing.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "it takes {signal}");
    }

    /// SIGTERM, and waits until it has left.
    pub async fn stop(&mut self) {
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(asked.is_ok_and(|status| status.success()), "it can be asked to stop");
        let leaving = async {
            while self.child.try_wait().expect("it can be asked").is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, leaving).await.expect("it stops");
    }

    /// `hanamichi verify --json` beside whatever else uses the database.
    pub fn verify(database: &str) -> Value {
        let said = Self::command(database).args(["verify", "--json"]).output().expect("the binary runs");
        assert!(said.status.success(), "the books are faulty: {}", String::from_utf8_lossy(&said.stdout));
        serde_json::from_slice(&said.stdout).expect("JSON")
    }

    /// `hanamichi reconcile --json`: whether nothing is open, and what it says.
    pub fn reconcile(database: &str) -> (bool, Value) {
        let said = Self::command(database).args(["reconcile", "--json"]).output().expect("the binary runs");
        let report = serde_json::from_slice(&said.stdout).unwrap_or_else(|_| panic!("{said:?}"));
        (said.status.success(), report)
    }

    fn command(database: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hanamichi"));
        // Variables of the stories are no knobs of the server, which refuses what it does not know.
        for name in KNOBS {
            command.env_remove(name);
        }
        command.env("HANAMICHI_DATABASE", database).stdin(Stdio::null());
        command
    }
}

/// What the stories themselves are told by variables.
const KNOBS: [&str; 5] =
    [KILLS, "HANAMICHI_STORY_LOG", "HANAMICHI_FAULT_SEED", "HANAMICHI_PURCHASES", "HANAMICHI_DROP"];

/// How often a story of faults lets something break.
const KILLS: &str = "HANAMICHI_KILLS";
/// … when nothing is said.
const FEW: usize = 3;

/// How often something breaks: few times in `make test`, many in `make faults`.
pub fn kills() -> usize {
    std::env::var(KILLS).map_or(FEW, |text| text.parse().expect("HANAMICHI_KILLS is a number"))
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port()
}

/// Writes behind the API's back: what a provider's own books say, or what an earlier version or a crash left behind.
pub async fn meddle(url: &str, statements: &[String]) {
    let db = Db::connect(url).await.expect("the database opens");
    let mut tx = db.write("meddling").await.expect("a transaction");
    for statement in statements {
        on!(&mut tx, |conn| sqlx::query(sqlx::AssertSqlSafe(statement.clone())).execute(conn).await.map(drop))
            .expect("it is written");
    }
    tx.commit().await.expect("committed");
    db.close().await;
}

/// A number, read behind the API's back.
pub async fn count(url: &str, query: &str) -> i64 {
    let db = Db::connect(url).await.expect("the database opens");
    let mut tx = db.read("counting").await.expect("a transaction");
    let query = sqlx::AssertSqlSafe(query.to_owned());
    let (n,): (i64,) = on!(&mut tx, |conn| sqlx::query_as(query).fetch_one(conn).await.expect("a number"));
    drop(tx);
    db.close().await;
    n
}

/// Checks the books, whether a server runs or not.
pub async fn verify(url: &str) {
    let db = Db::connect(url).await.expect("the database opens");
    let report = hanamichi::verify::run(&db, Clock::system().now()).await.expect("the books can be read");
    db.close().await;
    assert!(report.is_clean(), "{}", report.to_text());
}

/// Somebody with a session, or a guest.
#[derive(Debug, Clone)]
pub struct Actor {
    http: reqwest::Client,
    pub base: String,
    pub cookie: String,
    pub me: Value,
}

/// Status and body of an answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Answer {
    /// The body of an answer that must be this.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    /// The problem's name, of an answer that must be one.
    #[track_caller]
    pub fn refused(self) -> String {
        assert!(self.status >= 400, "not refused: {}", self.body);
        let kind = self.body["type"].as_str().expect("a problem has a type");
        assert_eq!(self.body["status"], self.status, "the problem repeats its status");
        kind.strip_prefix("/problems/").expect("types are relative").to_owned()
    }
}

impl Actor {
    pub fn guest(base: &str) -> Self {
        Self { http: reqwest::Client::new(), base: base.to_owned(), cookie: String::new(), me: Value::Null }
    }

    async fn enter(base: &str, path: &str, body: Value) -> Self {
        let http = reqwest::Client::new();
        let mut tries = 0;
        let answer = loop {
            let answer = http.post(format!("{base}{path}")).json(&body).send().await.expect("the server answers");
            // "One moment please" is an answer that a client waits for.
            if answer.status() != 503 || tries == 20 {
                break answer;
            }
            tries += 1;
            tokio::time::sleep(Duration::from_millis(500)).await;
        };
        if tries > 0 && answer.status() == 409 {
            // It had happened after all.
            let known = json!({ "email": body["email"], "password": body["password"] });
            return Box::pin(Self::enter(base, "/v1/sign-in", known)).await;
        }
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap_or_default());
        let cookie =
            answer.headers()["set-cookie"].to_str().expect("text").split(';').next().expect("a pair").to_owned();
        let me = answer.json().await.expect("JSON");
        Self { http, base: base.to_owned(), cookie, me }
    }

    pub async fn sign_up(base: &str, name: &str) -> Self {
        let email = format!("{}@test.example", fresh_name());
        Self::enter(base, "/v1/sign-up", json!({ "email": email, "password": PASSWORD, "display_name": name })).await
    }

    pub async fn sign_in(base: &str, email: &str) -> Self {
        Self::enter(base, "/v1/sign-in", json!({ "email": email, "password": PASSWORD })).await
    }

    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).header("cookie", &self.cookie)
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let answer = request.send().await.expect("the server answers");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("a body");
        let body =
            if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::String(text)) };
        Answer { status, body }
    }

    /// One try: nothing when there is no answer, or the server says that it does not know or cannot now.
    pub async fn ask(&self, request: reqwest::RequestBuilder) -> Option<Answer> {
        let answer = request.timeout(PATIENCE).send().await.ok()?;
        let status = answer.status().as_u16();
        let text = answer.text().await.ok()?;
        let body =
            if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::String(text)) };
        assert_ne!(status, 500, "whatever breaks below, the answer is that nobody knows yet: {body}");
        (status != 503 && status != 429).then_some(Answer { status, body })
    }

    /// Asks again until there is an answer, and says how many tries had none. The request must bear repeating.
    pub async fn insist(&self, request: reqwest::RequestBuilder) -> (Answer, usize) {
        let mut lost = 0;
        let asking = async {
            loop {
                match self.ask(request.try_clone().expect("the body is in memory")).await {
                    Some(answer) => return answer,
                    None => lost += 1,
                }
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
        };
        let answer = tokio::time::timeout(PATIENCE * 6, asking).await.expect("an answer in the end");
        (answer, lost)
    }

    /// The same person at another node.
    pub fn at(&self, base: &str) -> Self {
        Self { base: base.to_owned(), ..self.clone() }
    }

    pub fn keyed(&self, path: &str, key: &str, body: &Value) -> reqwest::RequestBuilder {
        self.request(reqwest::Method::POST, path).header("idempotency-key", key).json(body)
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(reqwest::Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(reqwest::Method::POST, path).json(&body)).await
    }

    pub async fn post_with_key(&self, path: &str, key: &str, body: Value) -> Answer {
        self.send(self.request(reqwest::Method::POST, path).header("idempotency-key", key).json(&body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(reqwest::Method::PUT, path).json(&body)).await
    }

    /// The same person by an API key instead of the session.
    pub async fn with_api_key(&self) -> ApiClient {
        let made = self.post("/v1/api-keys", json!({ "label": "till" })).await.expect(201);
        ApiClient { http: reqwest::Client::new(), base: self.base.clone(), key: text(&made, "key") }
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(reqwest::Method::DELETE, path)).await
    }

    /// Two taps: the sheet, then the order.
    pub async fn buy(&self, offer: &str, qty: u32, method: Option<&str>) -> Answer {
        let sheet = self.get(&format!("/v1/offers/{offer}/confirmation?qty={qty}")).await.expect(200);
        let mut wish = json!({ "offer_id": offer, "qty": qty, "confirmation_hash": sheet["hash"] });
        if let Some(method) = method {
            wish["payment_method"] = json!(method);
        }
        self.post_with_key("/v1/purchases", &fresh_name(), wish).await
    }

    /// Waits until a purchase of this actor is in a state.
    pub async fn until(&self, purchase: &Value, state: &str) -> Value {
        let id = purchase["id"].as_str().expect("a purchase has an id");
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let now = self.get(&format!("/v1/purchases/{id}")).await.expect(200);
                if now["state"] == state {
                    return now;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        if let Ok(purchase) = waited.await {
            return purchase;
        }
        panic!("{id} did not become {state}: {}", self.get(&format!("/v1/purchases/{id}")).await.body);
    }
}

/// A till: it has an API key and no session.
pub struct ApiClient {
    http: reqwest::Client,
    base: String,
    key: String,
}

impl ApiClient {
    pub async fn post_with_key(&self, path: &str, key: &str, body: &Value) -> Answer {
        let request = self.http.post(format!("{}{path}", self.base)).bearer_auth(&self.key);
        let answer = request.header("idempotency-key", key).json(body).send().await.expect("the server answers");
        let status = answer.status().as_u16();
        Answer { status, body: answer.json().await.expect("JSON") }
    }
}

/// A live that is on, with one product pinned.
pub struct Sale {
    pub operator: Actor,
    pub brand: Actor,
    pub brand_id: String,
    pub liver: Actor,
    pub live: String,
    pub product: Value,
    pub sku: String,
    pub warehouse: String,
    pub offer: String,
}

/// What a sale is about.
pub struct Plan {
    pub units: i64,
    pub price: i64,
    pub live_price: Option<i64>,
    pub limit: Option<i64>,
    pub ends_in_s: Option<i64>,
}

impl Default for Plan {
    fn default() -> Self {
        Self { units: 10, price: 1_080, live_price: None, limit: None, ends_in_s: None }
    }
}

impl Sale {
    /// Opens a shop from nothing, by the public API.
    pub async fn open(house: &House, plan: Plan) -> Self {
        Self::open_at(&house.base(), plan).await
    }

    pub async fn open_at(base: &str, plan: Plan) -> Self {
        let operator = Actor::sign_in(base, OPERATOR).await;
        let (brand, brand_id) = add_brand(&operator, "花見堂").await;
        let liver = add_liver(&operator, "さくら").await;
        let warehouse =
            operator.post("/v1/locations", json!({ "kind": "warehouse", "name": "川口倉庫" })).await.expect(201);
        let warehouse = text(&warehouse, "id");
        let new = json!({ "title": "花見団子", "skus": [{ "price_minor": plan.price, "tax_rate_bp": 800 }] });
        let product = brand.post(&format!("/v1/brands/{brand_id}/products"), new).await.expect(201);
        let sku = text(&product["skus"][0], "id");
        let receive = json!({ "sku_id": sku, "location_id": warehouse, "delta": plan.units, "reason": "receive" });
        brand.post("/v1/stock/adjustments", receive).await.expect(201);
        let live = liver.post("/v1/lives", json!({ "title": "春の市" })).await.expect(201);
        let live = text(&live, "id");
        liver.post(&format!("/v1/lives/{live}/start"), json!({})).await.expect(200);
        let mut wish = json!({ "product_id": product["id"] });
        for (field, value) in
            [("live_price_minor", plan.live_price), ("limit_per_customer", plan.limit), ("ends_in_s", plan.ends_in_s)]
        {
            if let Some(value) = value {
                wish[field] = json!(value);
            }
        }
        let pin = liver.post(&format!("/v1/lives/{live}/pins"), wish).await.expect(201);
        let offer = text(&pin["offers"][0], "id");
        Self { operator, brand, brand_id, liver, live, product, sku, warehouse, offer }
    }

    pub async fn available(&self) -> i64 {
        self.available_of(&self.sku).await
    }

    pub async fn available_of(&self, sku: &str) -> i64 {
        let stock = self.operator.get(&format!("/v1/skus/{sku}/stock")).await.expect(200);
        stock["available"].as_i64().expect("a number")
    }

    /// Makes a product with so many variants, puts `units` of each on the shelf, and pins it. Its SKUs and offers.
    pub async fn add(&self, variants: usize, units: i64, limit: Option<i64>) -> Vec<(String, String)> {
        let skus: Vec<Value> = (0..variants)
            .map(|n| json!({ "variant": format!("{n}色"), "price_minor": 2_160, "tax_rate_bp": 800 }))
            .collect();
        let new = json!({ "title": "三色団子", "skus": skus });
        let product = self.brand.post(&format!("/v1/brands/{}/products", self.brand_id), new).await.expect(201);
        for sku in product["skus"].as_array().expect("a list") {
            let receive =
                json!({ "sku_id": sku["id"], "location_id": self.warehouse, "delta": units, "reason": "receive" });
            self.brand.post("/v1/stock/adjustments", receive).await.expect(201);
        }
        let mut wish = json!({ "product_id": product["id"] });
        if let Some(limit) = limit {
            wish["limit_per_customer"] = json!(limit);
        }
        let pin = self.liver.post(&format!("/v1/lives/{}/pins", self.live), wish).await.expect(201);
        let offers = pin["offers"].as_array().expect("a list");
        offers.iter().map(|offer| (text(offer, "sku_id"), text(offer, "id"))).collect()
    }
}

pub fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("no {field} in {value}")).to_owned()
}

pub async fn add_brand(operator: &Actor, name: &str) -> (Actor, String) {
    let brand = operator.post("/v1/brands", json!({ "name": name, "commission_bp": 1_500 })).await.expect(201);
    let id = text(&brand, "id");
    let email = format!("{}@test.example", fresh_name());
    let member = json!({ "email": email, "password": PASSWORD, "display_name": name });
    operator.post(&format!("/v1/brands/{id}/members"), member).await.expect(201);
    (Actor::sign_in(&operator.base, &email).await, id)
}

pub async fn add_liver(operator: &Actor, name: &str) -> Actor {
    let email = format!("{}@test.example", fresh_name());
    operator
        .post("/v1/livers", json!({ "email": email, "password": PASSWORD, "display_name": name }))
        .await
        .expect(201);
    Actor::sign_in(&operator.base, &email).await
}

/// Reads the books behind the API's back: every unit explained, every order backed, every sale credited.
pub struct Books {
    pub orders: i64,
    pub units_sold: i64,
    pub held: i64,
}

impl Books {
    pub async fn check(url: &str) -> Self {
        const UNEXPLAINED: &str = "
            SELECT COUNT(*)
            FROM stock s
            WHERE s.on_hand <> (SELECT COALESCE(CAST(SUM(e.on_hand_delta) AS BIGINT), 0) FROM stock_entries e
                                WHERE e.sku_id = s.sku_id AND e.location_id = s.location_id)
               OR s.held <> (SELECT COALESCE(CAST(SUM(e.held_delta) AS BIGINT), 0) FROM stock_entries e
                             WHERE e.sku_id = s.sku_id AND e.location_id = s.location_id)";
        const HELD: &str = "SELECT CAST(COALESCE(SUM(held), 0) AS BIGINT) FROM stock";
        const UNSENT: &str = "
            SELECT CAST(COALESCE(SUM(l.qty), 0) AS BIGINT)
            FROM order_lines l
            JOIN orders o ON o.id = l.order_id
            JOIN purchases p ON p.id = o.purchase_id
            WHERE p.left_at_ms IS NULL";
        const SHORT: &str = "SELECT CAST(COALESCE(SUM(short_units), 0) AS BIGINT) FROM purchases";
        const PAID: &str = "SELECT COUNT(*) FROM purchases WHERE state IN ('authorized', 'captured', 'fulfilled')";
        const ORDERS: &str = "SELECT COUNT(*) FROM orders";
        const ORDER_LINES: &str = "SELECT COUNT(*) FROM order_lines";
        const CREDITS: &str = "SELECT COUNT(*) FROM credits WHERE pool = 'liver'";
        const LINES: &str = "SELECT CAST(COALESCE(SUM(amount_minor), 0) AS BIGINT) FROM order_lines";
        const BASE: &str = "SELECT CAST(COALESCE(SUM(base_minor), 0) AS BIGINT) FROM credits WHERE pool = 'liver'";
        const SOLD: &str = "SELECT CAST(COALESCE(SUM(qty), 0) AS BIGINT) FROM order_lines";
        const MONEY: &str = "SELECT COUNT(*) FROM sandbox_payments WHERE state IN ('authorized', 'captured')";
        let db = Db::connect(url).await.expect("the database opens");
        let report = hanamichi::verify::run(&db, Clock::system().now()).await.expect("the books can be read");
        assert!(report.is_clean(), "{}", report.to_text());
        // And by other queries than the checker's own.
        let mut tx = db.read("books").await.expect("a transaction");
        let mut numbers = Vec::new();
        for sql in [UNEXPLAINED, HELD, UNSENT, SHORT, PAID, ORDERS, ORDER_LINES, CREDITS, LINES, BASE, SOLD, MONEY] {
            let (n,): (i64,) = on!(&mut tx, |conn| sqlx::query_as(sql).fetch_one(conn).await.expect("a number"));
            numbers.push(n);
        }
        drop(tx);
        db.close().await;
        let [unexplained, held, unsent, short, paid, orders, order_lines, credits, lines, base, sold, money] =
            numbers[..]
        else {
            unreachable!("one number a query")
        };
        assert_eq!(unexplained, 0, "every unit is explained by the ledger");
        assert_eq!((paid, credits), (orders, order_lines), "each paid purchase has one order, each line a credit");
        assert_eq!(lines, base, "credits add up to the order lines");
        assert!(money >= orders, "each order has its money");
        // Paid goods stand on their shelves until they are sent; the rest of what is held is not paid for.
        let held = held - (unsent - short);
        Self { orders, units_sold: sold, held }
    }
}
