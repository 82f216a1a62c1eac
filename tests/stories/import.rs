//! A brand brings its goods and its stock as a file.

use hanamichi::{on, store::Db};
use serde_json::{Value, json};

use crate::{
    both_databases,
    harness::{Actor, Answer, Books, Engine, House, add_brand, text},
};

/// A brand with an empty catalogue, and a warehouse.
struct Shop {
    operator: Actor,
    brand: Actor,
    brand_id: String,
    warehouse: String,
}

impl Shop {
    async fn open(house: &House) -> Self {
        let operator = house.operator().await;
        let (brand, brand_id) = add_brand(&operator, "藍屋").await;
        let new = json!({ "kind": "warehouse", "name": "川口倉庫" });
        let warehouse = text(&operator.post("/v1/locations", new).await.expect(201), "id");
        Self { operator, brand, brand_id, warehouse }
    }

    fn path(&self, query: &str) -> String {
        format!("/v1/brands/{}/import?{query}", self.brand_id)
    }

    async fn send(&self, file: impl Into<reqwest::Body>, query: &str) -> Answer {
        let request = self.brand.request(reqwest::Method::POST, &self.path(query)).header("content-type", "text/csv");
        self.brand.send(request.body(file)).await
    }

    /// Imports a file with its stock in the warehouse.
    async fn import(&self, file: &'static str) -> Value {
        self.send(file, &format!("location_id={}", self.warehouse)).await.expect(200)
    }

    async fn products(&self) -> Vec<Value> {
        let page = self.brand.get(&format!("/v1/brands/{}/products", self.brand_id)).await.expect(200);
        page["items"].as_array().expect("a list").clone()
    }

    async fn product(&self, title: &str) -> Value {
        let products = self.products().await;
        products.iter().find(|product| product["title"] == title).unwrap_or_else(|| panic!("no {title}")).clone()
    }

    /// Units of a SKU in the warehouse.
    async fn on_hand(&self, sku: &Value) -> i64 {
        let stock = self.brand.get(&format!("/v1/skus/{}/stock", text(sku, "id"))).await.expect(200);
        assert_eq!(stock["locations"][0]["location_id"], self.warehouse.as_str());
        stock["locations"][0]["on_hand"].as_i64().expect("a number")
    }
}

/// Runs a statement behind the API's back.
async fn run(house: &House, statement: &'static str) {
    let db = Db::connect(&house.database.url).await.expect("the database opens");
    let mut tx = db.write("story").await.expect("a transaction");
    on!(&mut tx, |conn| sqlx::query(statement).execute(conn).await.map(drop)).expect("the statement runs");
    tx.commit().await.expect("it is written");
    db.close().await;
}

/// The numbers of a report: products created and updated, SKUs created and updated, stock counted.
fn numbers(report: &Value) -> [i64; 5] {
    ["products_created", "products_updated", "skus_created", "skus_updated", "stock_counted"]
        .map(|field| report[field].as_i64().unwrap_or_else(|| panic!("no {field} in {report}")))
}

const OWN: &str = "\u{feff}handle,title,description,variant,code,jan,price,tax_rate,stock\r\n\
    dango,花見団子,\"三色の団子。\n\"\"毎朝\"\"つく\",5本,D-5,4901234567894,\"1,080\",8,40\r\n\
    dango,,,3本,D-3,,６４８,８％,１２\r\n\
    cha,ほうじ茶,,,CHA,,1980.00,800,\r\n";

both_databases!(a_brands_own_file_makes_goods_and_counts_their_stock, async |engine: Engine| {
    let house = House::open(engine).await;
    let shop = Shop::open(&house).await;
    let tried = shop.send(OWN, &format!("location_id={}&dry_run=true", shop.warehouse)).await.expect(200);
    assert_eq!(shop.products().await, Vec::<Value>::new(), "a dry run writes nothing");
    let mut report = shop.import(OWN).await;
    assert_eq!((&report["rows"], &report["errors"]), (&json!(3), &json!([])));
    assert_eq!(numbers(&report), [2, 0, 3, 0, 2]);
    report["dry_run"] = json!(true);
    assert_eq!(tried, report, "a dry run says what would happen");

    let dango = shop.product("花見団子").await;
    assert_eq!(dango["description"], "三色の団子。\n\"毎朝\"つく");
    let [five, three] = &dango["skus"].as_array().expect("SKUs")[..] else { panic!("two SKUs: {dango}") };
    assert_eq!(
        (&five["variant"], &five["price_minor"], &five["jan"]),
        (&json!("5本"), &json!(1_080), &json!("4901234567894"))
    );
    assert_eq!((&three["tax_rate_bp"], &three["available"]), (&json!(800), &json!(12)));
    assert_eq!(shop.on_hand(five).await, 40);
    Books::check(&house.database.url).await;
});

both_databases!(the_same_file_again_changes_nothing_and_another_changes_what_it_says, async |engine: Engine| {
    let house = House::open(engine).await;
    let shop = Shop::open(&house).await;
    shop.import(OWN).await;
    let before = shop.product("花見団子").await;
    assert_eq!(numbers(&shop.import(OWN).await), [0, 0, 0, 0, 2]);
    let after = shop.product("花見団子").await;
    assert_eq!((&before["id"], &before["description"]), (&after["id"], &after["description"]));
    assert_eq!(shop.on_hand(&after["skus"][0]).await, 40);

    let report = shop
        .import(
            "handle,title,variant,code,price,stock\n\
             dango,花見団子 春,5本入り,D-5,1100,7\n\
             dango,,10本,D-10,2000,3\n",
        )
        .await;
    assert_eq!(numbers(&report), [0, 1, 1, 1, 2]);
    let dango = shop.product("花見団子 春").await;
    assert_eq!(
        (&dango["id"], &dango["description"]),
        (&before["id"], &before["description"]),
        "what is not said stays"
    );
    let five = &dango["skus"][0];
    assert_eq!(
        (&five["id"], &five["variant"], &five["price_minor"]),
        (&before["skus"][0]["id"], &json!("5本入り"), &json!(1_100))
    );
    assert_eq!((&five["jan"], shop.on_hand(five).await), (&json!("4901234567894"), 7));
    let skus: Vec<_> = dango["skus"].as_array().expect("SKUs").iter().map(|sku| &sku["variant"]).collect();
    assert_eq!(skus, ["5本入り", "3本", "10本"], "nothing is deleted");
    assert_eq!(shop.on_hand(&dango["skus"][1]).await, 12);
    Books::check(&house.database.url).await;
});

both_databases!(shopifys_files_are_taken_as_they_are, async |engine: Engine| {
    let house = House::open(engine).await;
    let shop = Shop::open(&house).await;
    let report = shop.import(include_str!("fixtures/shopify_classic.csv")).await;
    assert_eq!((&report["errors"], &report["rows"], &report["skipped"]), (&json!([]), &json!(5), &json!(1)));
    assert_eq!(numbers(&report), [2, 0, 3, 0, 3]);
    let shirt = shop.product("藍染めリネンシャツ").await;
    assert_eq!(shirt["description"], "徳島の藍で十二回染め。\n麻100% & 日本製");
    let small = &shirt["skus"][0];
    assert_eq!(
        (&small["variant"], &small["jan"], &small["tax_rate_bp"]),
        (&json!("S / 藍"), &json!("4520000000016"), &json!(1_000))
    );
    assert_eq!(shop.on_hand(small).await, 12);
    let towel = &shop.product("青海波の手ぬぐい").await["skus"][0];
    assert_eq!(
        (&towel["variant"], &towel["price_minor"], &towel["tax_rate_bp"]),
        (&json!(""), &json!(1_650), &json!(0))
    );

    let report = shop.import(include_str!("fixtures/shopify_newer.csv")).await;
    assert_eq!((&report["errors"], &report["skipped"]), (&json!([]), &json!(1)));
    assert_eq!(numbers(&report), [2, 0, 3, 0, 3]);
    let tote = shop.product("刺し子トートバッグ").await;
    assert_eq!(tote["description"], "厚手の帆布に刺し子。\nA4と水筒が入ります。");
    assert_eq!(shop.on_hand(&tote["skus"][0]).await, 25);
    let stole = shop.product("藍のストール").await;
    assert_eq!((&stole["skus"][1]["variant"], shop.on_hand(&stole["skus"][1]).await), (&json!("紺"), 9));
    for file in [include_str!("fixtures/shopify_classic.csv"), include_str!("fixtures/shopify_newer.csv")] {
        assert_eq!(numbers(&shop.import(file).await), [0, 0, 0, 0, 3]);
    }
    Books::check(&house.database.url).await;
});

both_databases!(a_faulty_row_is_left_out_and_named_and_a_faulty_file_is_refused, async |engine: Engine| {
    let house = House::open(engine).await;
    let shop = Shop::open(&house).await;
    let report = shop
        .import(
            "handle,title,variant,code,jan,price,stock\n\
             a,A,1,A-1,,100,1\n\
             a,,2,A-2,4901234567890,100,1\n\
             \n\
             a,,3,A-1,,19.80,1\n\
             a,,4,A-1,,100,1\n\
             b,,,,,100,1\n\
             ,C,,,,100,1\n",
        )
        .await;
    assert_eq!(numbers(&report), [1, 0, 1, 0, 1]);
    let errors: Vec<_> =
        report["errors"].as_array().expect("a list").iter().map(|e| (&e["row"], &e["column"])).collect();
    let expected = [(3, "jan"), (5, "price"), (6, "code"), (7, "title"), (8, "handle")];
    assert_eq!(
        errors,
        expected.map(|(row, column)| (json!(row), json!(column))).iter().map(|(r, c)| (r, c)).collect::<Vec<_>>()
    );
    assert_eq!(report["errors_left_off"], 0);
    let code_elsewhere = shop.import("handle,title,code,price\nother,B,A-1,1\n").await;
    assert_eq!(code_elsewhere["errors"][0]["message"], "belongs to another product");

    let no_price = shop.send("handle,title\na,A\n", "").await;
    assert!(no_price.body["detail"].as_str().is_some_and(|detail| detail.contains("`price`")), "{}", no_price.body);
    assert_eq!(no_price.refused(), "invalid-input");
    // "花" as Shift_JIS has it.
    let shift_jis = shop.send(&b"handle,title,price\na,\x89\xd4,1\n"[..], "").await;
    assert!(shift_jis.body["detail"].as_str().is_some_and(|detail| detail.contains("UTF-8")), "{}", shift_jis.body);
    assert_eq!(shift_jis.refused(), "invalid-input");
    let rows = shop.send(format!("handle,title,price\n{}", "a,b,1\n".repeat(50_001)), "").await;
    assert!(rows.body["detail"].as_str().is_some_and(|detail| detail.contains("50000")), "{}", rows.body);
    assert_eq!(rows.refused(), "invalid-input");
    let wrong = format!("handle,title,price\n{}", "a,A,19.80\n".repeat(1_200));
    let report = shop.send(wrong, "dry_run=true").await.expect(200);
    assert_eq!(report["errors"].as_array().map(Vec::len), Some(1_000));
    assert_eq!(report["errors_left_off"], 200);
    assert_eq!(shop.send("x".repeat(8 * 1024 * 1024 + 1), "").await.refused(), "too-large");
});

both_databases!(only_the_brand_imports_and_only_to_places_that_are_there, async |engine: Engine| {
    let house = House::open(engine).await;
    let shop = Shop::open(&house).await;
    let (other, _) = add_brand(&shop.operator, "花見堂").await;
    let stranger = Actor::sign_up(&house.base(), "ゆい").await;
    let ask = async |who: &Actor, kind: &'static str, query: &str| {
        let request = who.request(reqwest::Method::POST, &shop.path(query)).header("content-type", kind).body(OWN);
        who.send(request).await
    };
    assert_eq!(ask(&other, "text/csv", "").await.refused(), "not-found", "a foreign brand is not told about");
    assert_eq!(ask(&stranger, "text/csv", "").await.refused(), "forbidden");
    assert_eq!(ask(&Actor::guest(&house.base()), "text/csv", "").await.refused(), "not-signed-in");
    assert_eq!(ask(&shop.brand, "application/json", "").await.refused(), "unsupported-content-type");
    assert_eq!(ask(&shop.brand, "text/csv", "location_id=nowhere").await.refused(), "invalid-input");
    let nowhere = hanamichi::ids::LocationId::fresh();
    assert_eq!(ask(&shop.brand, "text/csv", &format!("location_id={nowhere}")).await.refused(), "not-found");
    assert_eq!(ask(&shop.brand, "text/csv", "dry_run=perhaps").await.refused(), "invalid-input");
    assert_eq!(shop.products().await, Vec::<Value>::new());

    let key = shop.brand.post("/v1/api-keys", json!({ "label": "goods" })).await.expect(201);
    let guest = Actor::guest(&house.base());
    let request = guest
        .request(reqwest::Method::POST, &shop.path(""))
        .header("authorization", format!("Bearer {}", text(&key, "key")))
        .header("content-type", "text/csv; charset=utf-8");
    let report = guest.send(request.body(OWN)).await.expect(200);
    assert_eq!(numbers(&report), [2, 0, 3, 0, 0], "without a location no stock is counted");
});

/// 500 products of 3 SKUs each.
fn large() -> String {
    let rows: Vec<String> =
        (0..1_500).map(|n| format!("p-{},P {},{n},C-{n},{},{}\n", n / 3, n / 3, 100 + n, n % 7)).collect();
    format!("handle,title,variant,code,price,stock\n{}", rows.concat())
}

both_databases!(a_large_file_goes_in_by_pieces, async |engine: Engine| {
    let house = House::open(engine).await;
    let shop = Shop::open(&house).await;
    let query = format!("location_id={}", shop.warehouse);
    let report = shop.send(large(), &query).await.expect(200);
    assert_eq!((numbers(&report), &report["errors"]), ([500, 0, 1_500, 0, 1_500], &json!([])));
    let page = shop.brand.get(&format!("/v1/brands/{}/products?limit=100", shop.brand_id)).await.expect(200);
    let last = &page["items"][99];
    assert_eq!((&last["title"], &last["skus"][2]["variant"]), (&json!("P 99"), &json!("299")));
    assert_eq!(shop.on_hand(&last["skus"][2]).await, 299 % 7);
    let again = shop.send(large(), &query).await.expect(200);
    assert_eq!(numbers(&again), [0, 0, 0, 0, 1_500]);
    Books::check(&house.database.url).await;
});

both_databases!(an_import_that_breaks_off_says_how_far_it_came_and_can_be_repeated, async |engine: Engine| {
    let house = House::open(engine).await;
    let shop = Shop::open(&house).await;
    let query = format!("location_id={}", shop.warehouse);
    // Two SKUs of the second piece cannot both be written, as if somebody else had been faster.
    run(&house, "CREATE UNIQUE INDEX in_the_way ON skus (brand_id) WHERE code IN ('C-900', 'C-901')").await;
    let broken = shop.send(large(), &query).await;
    let detail = broken.body["detail"].as_str().expect("a detail");
    assert!(detail.contains("600 of 1500 rows are imported"), "{detail}");
    assert_eq!(broken.refused(), "conflict");
    assert_eq!(shop.on_hand(&shop.product("P 0").await["skus"][2]).await, 2);
    run(&house, "DROP INDEX in_the_way").await;
    let repeated = shop.send(large(), &query).await.expect(200);
    assert_eq!(numbers(&repeated), [300, 0, 900, 0, 1_500]);
    Books::check(&house.database.url).await;
});
