//! Shell: opens a shop from nothing, by the public API.
//!
//! Owns the order of the set-up: operator, brand, goods, stock, liver, live, pins.

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use crate::{
    client::{Actor, PASSWORD, fresh_email, text},
    server::Process,
};

/// The shop's price of the goods.
const PRICE: i64 = 1_080;
/// Sign-ups at once: each costs the server a password hash.
const SIGN_UPS_AT_ONCE: usize = 4;

/// A live that is on, with two products pinned: one for sale, one that the liver keeps showing.
pub struct Shop {
    pub brand: Actor,
    pub brand_id: String,
    pub liver: Actor,
    pub live: String,
    /// The product of the flash sale.
    pub sale_product: String,
    /// The product that is pinned again and again.
    pub show_product: String,
    pub sku: String,
    pub offer: String,
    /// Where the goods lie.
    pub warehouse: String,
}

impl Shop {
    /// Opens it with so many units on the shelf.
    pub async fn open(http: &reqwest::Client, process: &Process, units: i64) -> anyhow::Result<Self> {
        let operator = Actor::sign_in(http, &process.base, &process.operator).await?;
        let new = json!({ "name": "花見堂", "commission_bp": 1_500 });
        let brand_id = text(&operator.post("/v1/brands", &new).await?, "id")?;
        let brand = add(http, &operator, &format!("/v1/brands/{brand_id}/members"), "花見堂").await?;
        let liver = add(http, &operator, "/v1/livers", "さくら").await?;
        let warehouse = operator.post("/v1/locations", &json!({ "kind": "warehouse", "name": "川口倉庫" })).await?;
        let sale = add_product(&brand, &brand_id, "花見団子").await?;
        let show = add_product(&brand, &brand_id, "桜餅").await?;
        let sku = text(&sale["skus"][0], "id")?;
        for (sku, delta) in [(&sale["skus"][0]["id"], units), (&show["skus"][0]["id"], 1)] {
            let receive = json!({ "sku_id": sku, "location_id": warehouse["id"], "delta": delta, "reason": "receive" });
            brand.post("/v1/stock/adjustments", &receive).await?;
        }
        let live = text(&liver.post("/v1/lives", &json!({ "title": "春の市" })).await?, "id")?;
        liver.post(&format!("/v1/lives/{live}/start"), &json!({})).await?;
        let (sale_product, show_product) = (text(&sale, "id")?, text(&show, "id")?);
        let warehouse = text(&warehouse, "id")?;
        let offer = String::new();
        let mut shop = Self { brand, brand_id, liver, live, sale_product, show_product, sku, offer, warehouse };
        let pin = shop.pin(&shop.sale_product, PRICE).await?;
        shop.offer = text(&pin["offers"][0], "id")?;
        Ok(shop)
    }

    /// Another liver shows the same goods; gives their live.
    pub async fn show_elsewhere(&self, http: &reqwest::Client, process: &Process) -> anyhow::Result<String> {
        let operator = Actor::sign_in(http, &process.base, &process.operator).await?;
        let liver = add(http, &operator, "/v1/livers", "すみれ").await?;
        let live = text(&liver.post("/v1/lives", &json!({ "title": "隣の市" })).await?, "id")?;
        liver.post(&format!("/v1/lives/{live}/start"), &json!({})).await?;
        let wish = json!({ "product_id": self.sale_product, "live_price_minor": PRICE });
        liver.post(&format!("/v1/lives/{live}/pins"), &wish).await.context("the other liver cannot pin")?;
        Ok(live)
    }

    /// The liver pins a product at a price, or changes the price of its pin.
    pub async fn pin(&self, product: &str, price: i64) -> anyhow::Result<Value> {
        let wish = json!({ "product_id": product, "live_price_minor": price });
        self.liver.post(&format!("/v1/lives/{}/pins", self.live), &wish).await.context("the liver cannot pin")
    }
}

async fn add(http: &reqwest::Client, operator: &Actor, path: &str, name: &str) -> anyhow::Result<Actor> {
    let email = fresh_email();
    operator.post(path, &json!({ "email": email, "password": PASSWORD, "display_name": name })).await?;
    Actor::sign_in(http, &operator.base, &email).await
}

async fn add_product(brand: &Actor, brand_id: &str, title: &str) -> anyhow::Result<Value> {
    let new = json!({ "title": title, "skus": [{ "price_minor": PRICE, "tax_rate_bp": 800 }] });
    brand.post(&format!("/v1/brands/{brand_id}/products"), &new).await
}

/// Signs up so many customers.
pub async fn sign_up(http: &reqwest::Client, base: &str, count: usize) -> anyhow::Result<Vec<Actor>> {
    let arriving = (0..count).map(|n| async move { Actor::sign_up(http, base, &format!("買い手{n}")).await });
    stream::iter(arriving).buffered(SIGN_UPS_AT_ONCE).try_collect().await
}
