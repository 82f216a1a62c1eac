//! Shell: the demo's liver: a client that goes live, publishes the clip, pins, answers and restocks.

use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use super::{
    client::{Client, roll},
    seed,
};
use crate::{ids::LiveId, tasks::Tasks};

/// A new product is shown this often.
const PIN_EVERY: Duration = Duration::from_secs(40);
/// A question is taken this often.
const ANSWER_EVERY: Duration = Duration::from_secs(16);
/// How long an answer takes.
const ANSWER_TAKES: Duration = Duration::from_secs(9);
/// Below this the warehouse gets more.
const LOW_STOCK: i64 = 8;
/// So many more.
const RESTOCK: i64 = 30;

/// The demo's live.
pub(super) struct Show {
    liver: Client,
    operator: Client,
    live: LiveId,
    whip_url: String,
    stream_key: String,
}

impl Show {
    /// Signs in and goes on air; goes on with the live of an earlier run when it is still on.
    pub(super) async fn open(base: &str) -> anyhow::Result<Self> {
        let liver = Client::sign_in(base, seed::LIVER.0).await?;
        let operator = Client::sign_in(base, seed::OPERATOR).await?;
        let mine = liver.get("/v1/livers/me/lives").await?;
        let on = mine["items"].as_array().into_iter().flatten().find(|live| live["state"] == "live");
        let live = match on {
            Some(live) => live.clone(),
            None => {
                let new = json!({ "title": "春の和菓子と藍染め 花道デモライブ" });
                let live = liver.post("/v1/lives", &new).await?;
                liver.post(&format!("/v1/lives/{}/start", text(&live, "id")?), &json!({})).await?
            }
        };
        let live = LiveId::parse(text(&live, "id")?)?;
        let key = liver.post(&format!("/v1/lives/{live}/stream-key"), &json!({})).await?;
        let show = Self {
            whip_url: text(&key, "whip_url")?.to_owned(),
            stream_key: text(&key, "stream_key")?.to_owned(),
            liver,
            operator,
            live,
        };
        show.schedule_tie_up(base).await?;
        show.pin_next(0).await?;
        show.pin_next(1).await?;
        Ok(show)
    }

    /// Which live it is.
    pub(super) fn live(&self) -> &LiveId {
        &self.live
    }

    /// Runs until the server stops.
    pub(super) fn start(&self, tasks: &Tasks) {
        let (http, url, key, stopping) =
            (self.liver.http(), self.whip_url.clone(), self.stream_key.clone(), tasks.stopping());
        tasks.spawn("demo clip", async move {
            if let Err(error) = crate::demo::liver::publish_clip(http, url, key, stopping).await {
                tracing::warn!(error = %error, "the demo's picture is gone");
            }
        });
        let (host, stopping) = (self.copy(), tasks.stopping());
        tasks.spawn("demo pins", async move {
            let mut turn = 2;
            while !wait(&stopping, PIN_EVERY).await {
                host.warn_if_bad(host.pin_next(turn).await, "pin");
                host.warn_if_bad(host.restock().await, "restock");
                turn += 1;
            }
        });
        let (host, stopping) = (self.copy(), tasks.stopping());
        tasks.spawn("demo answers", async move {
            while !wait(&stopping, ANSWER_EVERY).await {
                host.warn_if_bad(host.answer_one(&stopping).await, "answer");
            }
        });
    }

    fn copy(&self) -> Self {
        Self {
            liver: self.liver.clone(),
            operator: self.operator.clone(),
            live: self.live.clone(),
            whip_url: self.whip_url.clone(),
            stream_key: self.stream_key.clone(),
        }
    }

    fn warn_if_bad(&self, result: anyhow::Result<()>, what: &'static str) {
        if let Err(error) = result {
            tracing::debug!(live.id = %self.live, demo.step = what, error = %error, "the demo skipped a step");
        }
    }

    /// A tie-up live that waits, with its PR label.
    async fn schedule_tie_up(&self, base: &str) -> anyhow::Result<()> {
        let scheduled = self.liver.get("/v1/lives?state=scheduled").await?;
        if scheduled["items"].as_array().is_some_and(|lives| !lives.is_empty()) {
            return Ok(());
        }
        let brand = Client::sign_in(base, seed::BRAND_MEMBERS[1]).await?.get("/v1/me").await?;
        let brand = brand["brands"][0]["id"].as_str().context("a brand")?.to_owned();
        let new = json!({ "title": "藍屋の新作ストールを巻いてみる", "tie_up_brand_id": brand, "pr_label": "提供：藍屋 Aiya" });
        self.liver.post("/v1/lives", &new).await.map(drop)
    }

    /// Shows the next product; at most four at a time.
    async fn pin_next(&self, turn: usize) -> anyhow::Result<()> {
        let catalog = self.liver.get(&format!("/v1/lives/{}/catalog?limit=100", self.live)).await?;
        let products = catalog["items"].as_array().context("products")?;
        let Some(product) = products.get(turn % products.len().max(1)) else { return Ok(()) };
        let pins = self.liver.get(&format!("/v1/lives/{}/pins", self.live)).await?;
        let shown = pins["items"].as_array().cloned().unwrap_or_default();
        if shown.len() >= 4
            && let Some(oldest) = shown.first()
        {
            self.liver.delete(&format!("/v1/lives/{}/pins/{}", self.live, text(oldest, "id")?)).await?;
        }
        let regular = product["skus"][0]["price_minor"].as_i64().unwrap_or(1_000);
        // 10 to 20 % off, in tens of yen.
        let price = regular * (80 + i64::try_from(roll(3)).unwrap_or(0) * 5) / 100 / 10 * 10;
        let mut wish = json!({ "product_id": product["id"] });
        // One live price stands for every variant, so only goods of one price get one.
        if product["skus"].as_array().is_some_and(|skus| skus.iter().all(|sku| sku["price_minor"] == regular)) {
            wish["live_price_minor"] = json!(price.max(10));
        }
        if turn % 3 == 1 {
            wish["ends_in_s"] = json!(600);
        }
        if turn % 4 == 2 {
            wish["limit_per_customer"] = json!(5);
        }
        self.liver.post(&format!("/v1/lives/{}/pins", self.live), &wish).await.map(drop)
    }

    /// Takes the question most people want answered.
    async fn answer_one(&self, stopping: &tokio_util::sync::CancellationToken) -> anyhow::Result<()> {
        let open = self.liver.get(&format!("/v1/lives/{}/questions?state=open&limit=100", self.live)).await?;
        let most = open["items"].as_array().into_iter().flatten().max_by_key(|q| q["votes"].as_i64()).cloned();
        let Some(question) = most else { return Ok(()) };
        let id = text(&question, "id")?;
        self.liver.post(&format!("/v1/questions/{id}/answering"), &json!({})).await?;
        wait(stopping, ANSWER_TAKES).await;
        self.liver.post(&format!("/v1/questions/{id}/answered"), &json!({})).await.map(drop)
    }

    /// The warehouse gets goods before the demo runs dry.
    async fn restock(&self) -> anyhow::Result<()> {
        let places = self.operator.get("/v1/locations").await?;
        let warehouse =
            places["items"].as_array().into_iter().flatten().find(|place| place["kind"] == "warehouse").cloned();
        let warehouse = warehouse.context("a warehouse")?;
        let catalog = self.liver.get(&format!("/v1/lives/{}/catalog?limit=100", self.live)).await?;
        // Only the demo's own goods: what a visitor sells out stays sold out.
        let own = |product: &&Value| seed::BRANDS.iter().any(|(name, ..)| product["brand_name"] == *name);
        let goods = catalog["items"].as_array().into_iter().flatten().filter(own);
        let skus = goods.flat_map(|p| p["skus"].as_array().into_iter().flatten());
        for sku in skus.filter(|sku| sku["available"].as_i64().is_some_and(|units| units < LOW_STOCK)) {
            let fact =
                json!({ "sku_id": sku["id"], "location_id": warehouse["id"], "delta": RESTOCK, "reason": "receive" });
            self.operator.post("/v1/stock/adjustments", &fact).await?;
        }
        Ok(())
    }
}

fn text<'a>(value: &'a Value, field: &'static str) -> anyhow::Result<&'a str> {
    value[field].as_str().with_context(|| format!("the answer has no {field}"))
}

/// Waits; true when the server stops meanwhile.
pub(super) async fn wait(stopping: &tokio_util::sync::CancellationToken, time: Duration) -> bool {
    tokio::select! {
        () = tokio::time::sleep(time) => false,
        () = stopping.cancelled() => true,
    }
}
