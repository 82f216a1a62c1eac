//! Shell: reads the truth after the sale, by the public API: purchases, orders, report, shelf.
//!
//! Invariant: nothing here comes from what the taps were told; the two are compared by the verdict.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use crate::{
    client::{Actor, number, text},
    room::Pins,
    shop::Shop,
};

/// Purchases settle within this.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How often they are read until then.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// Requests at once while reading the books.
const READ_AT_ONCE: usize = 4;

/// A purchase that a customer has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purchase {
    pub id: String,
    pub state: String,
    pub qty: i64,
    pub total_minor: i64,
    /// Sum of its order's lines, when there is an order that names this purchase.
    pub ordered_minor: Option<i64>,
}

impl Purchase {
    /// Is it paid for?
    pub fn is_paid(&self) -> bool {
        matches!(self.state.as_str(), "authorized" | "captured" | "fulfilled")
    }
}

/// What the server says about the sale.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Books {
    pub purchases: Vec<Purchase>,
    pub report_orders: i64,
    pub report_units: i64,
    pub report_gross_minor: i64,
    pub report_net_minor: i64,
    pub lines_minor: i64,
    pub on_hand: i64,
    pub held: i64,
    pub available: i64,
    pub stock_version: i64,
}

/// Reads everything, after all purchases are settled.
pub async fn read(shop: &Shop, buyers: &[Actor]) -> anyhow::Result<Books> {
    let reading = buyers.iter().map(purchases_of);
    let purchases: Vec<Vec<Purchase>> = stream::iter(reading).buffered(READ_AT_ONCE).try_collect().await?;
    let path = format!("/v1/brands/{}/report", shop.brand_id);
    let report = shop.brand.get(&path).await?;
    let totals = &report["totals"];
    let lines = shop.brand.list(&format!("{path}/lines")).await?;
    let mut lines_minor = 0;
    for line in &lines {
        lines_minor += number(line, "base_minor")?;
    }
    let stock = shop.brand.get(&format!("/v1/skus/{}/stock", shop.sku)).await?;
    let shelves = stock["locations"].as_array().context("the brand sees its locations")?;
    let (mut on_hand, mut held) = (0, 0);
    for shelf in shelves {
        on_hand += number(shelf, "on_hand")?;
        held += number(shelf, "held")?;
    }
    Ok(Books {
        purchases: purchases.into_iter().flatten().collect(),
        report_orders: number(totals, "orders")?,
        report_units: number(totals, "units")?,
        report_gross_minor: number(totals, "gross_minor")?,
        report_net_minor: number(totals, "net_minor")?,
        lines_minor,
        on_hand,
        held,
        available: number(&stock, "available")?,
        stock_version: number(&stock, "stock_version")?,
    })
}

/// All that a customer bought, once nothing of it is under way.
async fn purchases_of(buyer: &Actor) -> anyhow::Result<Vec<Purchase>> {
    let by = Instant::now() + SETTLE_TIMEOUT;
    let listed = loop {
        let listed = buyer.list("/v1/purchases").await?;
        let under_way =
            listed.iter().any(|p| matches!(p["state"].as_str(), Some("held" | "paying" | "requires_action")));
        if !under_way || Instant::now() > by {
            break listed;
        }
        tokio::time::sleep(ASK_EVERY).await;
    };
    let mut purchases = Vec::with_capacity(listed.len());
    for purchase in &listed {
        purchases.push(Purchase {
            id: text(purchase, "id")?,
            state: text(purchase, "state")?,
            qty: number(purchase, "qty")?,
            total_minor: number(purchase, "total_minor")?,
            ordered_minor: ordered(buyer, purchase).await?,
        });
    }
    Ok(purchases)
}

/// The pins of the live as they are.
pub async fn pins(shop: &Shop) -> anyhow::Result<Pins> {
    let listed = shop.liver.get(&format!("/v1/lives/{}/pins", shop.live)).await?;
    let mut pins = Pins::new();
    for pin in listed["items"].as_array().into_iter().flatten() {
        pins.insert(text(pin, "id")?, (number(pin, "version")?, number(&pin["offers"][0], "price_minor")?));
    }
    Ok(pins)
}

async fn ordered(buyer: &Actor, purchase: &Value) -> anyhow::Result<Option<i64>> {
    let Some(id) = purchase["order_id"].as_str() else { return Ok(None) };
    let order = buyer.get(&format!("/v1/orders/{id}")).await?;
    if order["purchase_id"] != purchase["id"] {
        bail!("order {id} is of another purchase than {}", purchase["id"]);
    }
    let mut sum = 0;
    for line in order["lines"].as_array().context("an order has lines")? {
        sum += number(line, "amount_minor")?;
    }
    Ok(Some(sum))
}
