//! Root: joins two rooms: the pins of a live and the offers of the catalogue.
//!
//! Pinning is one transaction over both: the pin, its offers, and the outbox rows that tell of them. The live room is
//! given [`load_shown`] and [`close_offers`] from here, so it knows no product and the catalogue knows no pin.
//! Invariant: what is pinned is on offer, what is unpinned is not; a tie-up live shows its brand's products only.

use std::{collections::HashMap, time::Duration};

use futures_util::future::BoxFuture;

use crate::{
    bus::{self, Fact, Relay, StockEdge},
    clock::{Clock, Millis},
    commerce::{self, Offer, Product, Sku, StockLevel, Terms},
    ids::{LiveId, LiverId, PinId, ProductId, SkuId},
    live::{self, Live, LiveError, Pin, Shown},
    store::{Db, StoreError, Tx},
    wire::{self, ordered::Event},
};

/// Products pinned at once: more than a liver can show, and few enough for every snapshot to carry.
pub const MAX_PINS: usize = 30;
/// Longest countdown of a flash offer.
const MAX_ENDS_IN_S: i64 = 24 * 60 * 60;
/// Highest price of one unit.
const MAX_PRICE_MINOR: i64 = 100_000_000;

/// Largest quota of an offer.
const MAX_QUOTA: i64 = 1_000_000;

/// What a liver asks for when pinning.
#[derive(Debug, Clone, Default)]
pub struct PinTerms {
    /// For every SKU; the shop's price when absent.
    pub live_price_minor: Option<i64>,
    /// Over the live and product.
    pub limit_per_customer: Option<i32>,
    /// The offer ends so many seconds from now.
    pub ends_in_s: Option<i64>,
    /// Nothing can be bought before so many seconds from now.
    pub starts_in_s: Option<i64>,
    /// Units of the shared stock that each SKU may sell in this live.
    pub quota: Option<i64>,
}

impl PinTerms {
    fn check(&self, now: Millis) -> Result<Terms, LiveError> {
        if self.live_price_minor.is_some_and(|price| !(1..=MAX_PRICE_MINOR).contains(&price)) {
            return Err(LiveError::Terms("live_price_minor must be 1 to 100,000,000"));
        }
        if self.limit_per_customer.is_some_and(|limit| limit < 1) {
            return Err(LiveError::Terms("limit_per_customer must be at least 1"));
        }
        if self.ends_in_s.is_some_and(|seconds| !(1..=MAX_ENDS_IN_S).contains(&seconds)) {
            return Err(LiveError::Terms("ends_in_s must be 1 to 86,400"));
        }
        if self.starts_in_s.is_some_and(|seconds| !(0..=MAX_ENDS_IN_S).contains(&seconds)) {
            return Err(LiveError::Terms("starts_in_s must be 0 to 86,400"));
        }
        if self.starts_in_s.zip(self.ends_in_s).is_some_and(|(starts, ends)| starts >= ends) {
            return Err(LiveError::Terms("starts_in_s must be before ends_in_s"));
        }
        if self.quota.is_some_and(|quota| !(1..=MAX_QUOTA).contains(&quota)) {
            return Err(LiveError::Terms("quota must be 1 to 1,000,000"));
        }
        let starts_in = self.starts_in_s.and_then(|seconds| u64::try_from(seconds).ok());
        let seconds = self.ends_in_s.and_then(|seconds| u64::try_from(seconds).ok());
        Ok(Terms {
            live_price_minor: self.live_price_minor,
            limit_per_customer: self.limit_per_customer,
            starts_at_ms: starts_in.map(|seconds| now.plus(Duration::from_secs(seconds))),
            ends_at_ms: seconds.map(|seconds| now.plus(Duration::from_secs(seconds))),
            quota: self.quota,
        })
    }
}

/// A pin with all that is shown on its card.
#[derive(Debug, Clone)]
pub struct Card {
    /// The interval.
    pub pin: Pin,
    /// What is shown.
    pub product: Product,
    /// What it costs here.
    pub offers: Vec<Offer>,
    /// What is left, by SKU.
    pub stock: HashMap<SkuId, StockLevel>,
}

/// Whether pinning made a pin or changed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pinned {
    /// It was not shown before.
    Fresh,
    /// It was shown already; its offers were replaced.
    Again,
}

impl Card {
    /// As it goes to viewers.
    #[must_use]
    pub fn to_wire(&self) -> wire::Pin {
        let product = &self.product;
        wire::Pin {
            id: self.pin.id.to_string(),
            product: Some(wire::Product {
                id: product.id.to_string(),
                brand_id: product.brand_id.to_string(),
                brand_name: product.brand_name.clone(),
                title: product.title.clone(),
                description: product.description.clone(),
                image_path: product.image_path.clone(),
            }),
            offers: self.offers.iter().map(offer_to_wire).collect(),
            pinned_at_ms: self.pin.pinned_at_ms.0,
            version: self.pin.version,
        }
    }
}

fn offer_to_wire(offer: &Offer) -> wire::Offer {
    wire::Offer {
        id: offer.id.to_string(),
        sku_id: offer.sku_id.to_string(),
        variant: offer.variant.clone(),
        price_minor: offer.price_minor,
        regular_price_minor: offer.regular_price_minor,
        currency: offer.currency.as_str().to_owned(),
        tax_rate_bp: offer.tax_rate_bp,
        limit_per_customer: offer.limit_per_customer.unwrap_or(0),
        ends_at_ms: offer.ends_at_ms.unwrap_or_default().0,
        version: offer.version,
        starts_at_ms: offer.starts_at_ms.0,
        quota: offer.quota.unwrap_or(0),
    }
}

impl Card {
    /// What the offers with a quota may still sell, as it goes to viewers.
    fn left(&self) -> impl Iterator<Item = wire::OfferLeft> {
        self.offers.iter().filter_map(|offer| {
            let version = self.stock.get(&offer.sku_id).map_or(0, |level| level.version);
            Some(wire::OfferLeft { offer_id: offer.id.to_string(), left: offer.left?, version })
        })
    }
}

fn level_to_wire(level: &StockLevel) -> wire::Stock {
    wire::Stock { sku_id: level.sku_id.to_string(), available: level.available, version: level.version }
}

/// Of the SKUs that are offered, as they were read with their product.
fn stock_by_sku(product: &Product, offers: &[Offer]) -> HashMap<SkuId, StockLevel> {
    let offered = product.skus.iter().filter(|sku| offers.iter().any(|offer| offer.sku_id == sku.id));
    let level = |sku: &Sku| StockLevel { sku_id: sku.id.clone(), available: sku.available, version: sku.stock_version };
    offered.map(|sku| (sku.id.clone(), level(sku))).collect()
}

/// The cards shown in a live, oldest pin first.
async fn load_cards(tx: &mut Tx, live: &LiveId) -> Result<Vec<Card>, StoreError> {
    let pins = live::shown_pins(tx, live).await?;
    if pins.is_empty() {
        return Ok(Vec::new());
    }
    let offers = commerce::offers_of_live(tx, live).await?;
    let mut cards = Vec::with_capacity(pins.len());
    for pin in pins {
        let Some(product) = commerce::find_product(tx, &pin.product_id).await? else { continue };
        let offers: Vec<_> = offers.iter().filter(|offer| offer.product_id == product.id).cloned().collect();
        let stock = stock_by_sku(&product, &offers);
        cards.push(Card { pin, product, offers, stock });
    }
    Ok(cards)
}

/// What the live room shows when it opens.
pub fn load_shown<'a>(tx: &'a mut Tx, live: &'a LiveId) -> BoxFuture<'a, Result<Shown, StoreError>> {
    Box::pin(async move {
        let cards = load_cards(tx, live).await?;
        let stock = cards.iter().flat_map(|card| card.stock.values().map(level_to_wire)).collect();
        let left = cards.iter().flat_map(Card::left).collect();
        Ok(Shown { pins: cards.iter().map(Card::to_wire).collect(), stock, left })
    })
}

/// What else is true when a live ends: nothing can be bought in it any more.
pub fn close_offers<'a>(tx: &'a mut Tx, live: &'a LiveId, now: Millis) -> BoxFuture<'a, Result<(), StoreError>> {
    Box::pin(commerce::end_all_offers(tx, live, now))
}

/// Pins and their offers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Showcase {
    db: Db,
    clock: Clock,
    relay: Relay,
}

impl Showcase {
    /// Over this database; the relay tells what is pinned.
    #[must_use]
    pub fn new(db: Db, clock: Clock, relay: Relay) -> Self {
        Self { db, clock, relay }
    }

    /// Shows a product, or replaces the offers of one that is shown.
    ///
    /// # Errors
    /// [`LiveError::TooManyPins`], [`LiveError::ForeignProduct`], [`LiveError::Ended`], or terms that cannot be.
    pub async fn pin(
        &self,
        liver: &LiverId,
        live: &LiveId,
        product: &ProductId,
        terms: &PinTerms,
    ) -> Result<(Card, Pinned), LiveError> {
        let now = self.clock.now();
        let terms = terms.check(now)?;
        let mut tx = self.db.write("pin product").await?;
        let host = load_open(&mut tx, liver, live).await?;
        let product = commerce::find_product(&mut tx, product).await?.ok_or(LiveError::NotFound("product"))?;
        if host.session.tie_up.as_ref().is_some_and(|brand| *brand != product.brand_id) {
            return Err(LiveError::ForeignProduct);
        }
        let shown = live::shown_pins(&mut tx, live).await?;
        let again = shown.iter().any(|pin| pin.product_id == product.id);
        if !again && shown.len() >= MAX_PINS {
            return Err(LiveError::TooManyPins { max: MAX_PINS });
        }
        let pin = live::put_pin(&mut tx, live, &product.id, now).await?;
        let offers = commerce::put_offers(&mut tx, live, &product, &terms, now).await?;
        let stock = stock_by_sku(&product, &offers);
        let card = Card { pin, product, offers, stock };
        // The numbers follow their pin, so that whoever sees the card sees what is left of it.
        let mut facts = vec![Fact::Ordered { live: live.clone(), event: Event::Pinned(card.to_wire()) }];
        facts.extend(
            card.stock.values().map(|level| Fact::Stock { stock: level_to_wire(level), edge: StockEdge::None }),
        );
        facts.extend(card.left().map(|left| Fact::Left { live: live.clone(), left }));
        let written = bus::append_many(&mut tx, facts, now).await?;
        tx.commit().await?;
        self.relay.tell(written);
        Ok((card, if again { Pinned::Again } else { Pinned::Fresh }))
    }

    /// Shows it no longer; its offers end at this moment.
    ///
    /// # Errors
    /// [`LiveError::NotFound`] when it is not pinned here.
    pub async fn unpin(&self, liver: &LiverId, live: &LiveId, pin: &PinId) -> Result<(), LiveError> {
        let now = self.clock.now();
        let mut tx = self.db.write("unpin product").await?;
        load_open(&mut tx, liver, live).await?;
        let ended = live::end_pin(&mut tx, live, pin, now).await?.ok_or(LiveError::NotFound("pin"))?;
        commerce::end_offers(&mut tx, live, &ended.product_id, now).await?;
        let unpinned = wire::Unpinned { pin_id: ended.id.to_string(), version: ended.version };
        let fact = Fact::Ordered { live: live.clone(), event: Event::Unpinned(unpinned) };
        let written = bus::append(&mut tx, fact, now).await?;
        tx.commit().await?;
        self.relay.tell(vec![written]);
        Ok(())
    }

    /// What is shown, oldest pin first.
    ///
    /// # Errors
    /// The database's.
    pub async fn pins(&self, live: &LiveId) -> Result<Vec<Card>, LiveError> {
        let mut tx = self.db.read("list pins").await?;
        Ok(load_cards(&mut tx, live).await?)
    }

    /// Products that a liver may pin: the brand's of a tie-up, everybody's otherwise.
    ///
    /// # Errors
    /// The database's.
    pub async fn products(
        &self,
        live: &Live,
        query: Option<&str>,
        after: Option<&ProductId>,
        limit: i64,
    ) -> Result<Vec<Product>, LiveError> {
        let mut tx = self.db.read("list products to pin").await?;
        Ok(commerce::list_products(&mut tx, live.session.tie_up.as_ref(), query, after, limit).await?)
    }
}

/// The liver's own live, locked; it must not be over.
async fn load_open(tx: &mut Tx, liver: &LiverId, live: &LiveId) -> Result<Live, LiveError> {
    let host = live::find_locked(tx, live).await?.ok_or(LiveError::NotFound("live"))?;
    if host.liver_id != *liver {
        return Err(LiveError::NotYours);
    }
    if host.ended_at().is_some() {
        return Err(LiveError::Ended);
    }
    Ok(host)
}
