//! Shell: whole purchases through the server's public doors, each paid in the sandbox.
//!
//! Owns how a buyer buys there: a session, a connection to the hub where payments are told, and, at the HTTP door,
//! a kept-alive connection for the taps. A buyer taps again when the purchase is told to be paid. A server that asks to
//! wait is obeyed, and the wait is part of the purchase's time.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use futures_util::{SinkExt, StreamExt};
use hanamichi::wire::{self, client_frame, personal, reply, server_frame::Body};
use prost::Message as _;
use serde::Deserialize;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;

use super::{
    audit::Told,
    keepalive::KeepAlive,
    times::{Times, Window, float},
    watcher::{self, Socket, Watcher},
};
use crate::{
    client::{Actor, fresh_name, text},
    server::{Database, Process},
    shop::{self, Shop},
};

/// Units on the shelf: as many as one delivery may bring.
const UNITS: i64 = 1_000_000;
/// How the purchases are paid.
const METHOD: &str = "sandbox_card";
/// The wait when the server names none, and the longest one.
const RETRY: Duration = Duration::from_millis(50);
const MAX_RETRY: Duration = Duration::from_secs(2);
/// A tap has its answer within this, waits included.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);
/// A payment that was not told within this is looked up …
const TOLD_WITHIN: Duration = Duration::from_secs(5);
/// … and must have happened within this.
const PAID_WITHIN: Duration = Duration::from_secs(30);

/// Through which door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Door {
    Http,
    Hub,
}

impl Door {
    /// Every one, in the order of the table.
    pub const ALL: [Self; 2] = [Self::Http, Self::Hub];

    /// Its name, as in the result.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Hub => "hub",
        }
    }
}

/// How fast a door was.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Passed {
    /// Reserved and paid, from the first tap that counts until the last of them is paid.
    pub purchases_per_s: f64,
    pub reserve_p50_ms: Option<f64>,
    pub reserve_p99_ms: Option<f64>,
    pub paid_p50_ms: Option<f64>,
    pub paid_p99_ms: Option<f64>,
    /// Answers that asked to wait.
    pub delayed: u64,
    /// Payments that the hub did not tell in time.
    pub untold: u64,
    /// From a buyer's answer until another live that shows the SKU has the new number.
    pub seen_p50_ms: Option<f64>,
    pub seen_p99_ms: Option<f64>,
}

/// A server with a shop and its buyers.
pub struct Market {
    process: Process,
    shop: Shop,
    /// A live of somebody else that shows the same goods.
    elsewhere: String,
    buyers: Vec<Actor>,
    sheet: String,
}

/// What is for sale, for the books: SKU and units.
pub struct ForSale {
    pub sku: String,
    pub units: i64,
}

impl Market {
    /// Starts the server on an empty database, opens a shop, and signs up the buyers.
    pub async fn open(binary: &Path, url: &str, buyers: usize) -> anyhow::Result<Self> {
        let http = crate::client::http()?;
        let process = Process::start(binary, &Database::Url(url.to_owned()), &http).await?;
        let shop = Shop::open(&http, &process, UNITS).await?;
        let elsewhere = shop.show_elsewhere(&http, &process).await?;
        let buyers = shop::sign_up(&http, &process.base, buyers).await?;
        let first = buyers.first().context("somebody must buy")?;
        let shown = first.get(&format!("/v1/offers/{}/confirmation?qty=1", shop.offer)).await?;
        let sheet = text(&shown, "hash")?;
        Ok(Self { process, shop, elsewhere, buyers, sheet })
    }

    /// Stops the server, so that its books can be read.
    pub async fn close(self) -> anyhow::Result<ForSale> {
        self.process.stop().await?;
        Ok(ForSale { sku: self.shop.sku, units: UNITS })
    }

    /// All buyers buy through one door; adds what they were told.
    pub async fn sell(&self, door: Door, length: Duration, told: &mut Told) -> anyhow::Result<Passed> {
        let mut ready = Vec::with_capacity(self.buyers.len());
        for buyer in &self.buyers {
            ready.push(Buyer::enter(self, buyer).await?);
        }
        let watcher = Watcher::enter(&self.buyers[0], &self.elsewhere, &self.shop.sku).await?;
        let window = Window::after_warm_up(length);
        let mut buying = JoinSet::new();
        for buyer in ready {
            buying.spawn(buyer.go_on(door, window));
        }
        let mut all = Tally::default();
        while let Some(done) = buying.join_next().await {
            all.add(done.context("a buyer fell over")??);
        }
        told.promised.append(&mut all.told.promised);
        told.paid.append(&mut all.told.paid);
        let mut seen = watcher.delays(std::mem::take(&mut all.answered)).await?;
        let took = all.last_paid.map_or(0.0, |last| last.saturating_duration_since(window.from).as_secs_f64());
        Ok(Passed {
            purchases_per_s: if took > 0.0 { float(all.paid.len()) / took } else { 0.0 },
            reserve_p50_ms: all.reserved.percentile_ms(50.0),
            reserve_p99_ms: all.reserved.percentile_ms(99.0),
            paid_p50_ms: all.paid.percentile_ms(50.0),
            paid_p99_ms: all.paid.percentile_ms(99.0),
            delayed: all.delayed,
            untold: all.untold,
            seen_p50_ms: seen.percentile_ms(50.0),
            seen_p99_ms: seen.percentile_ms(99.0),
        })
    }
}

/// What some buyers did, together.
#[derive(Debug, Default)]
struct Tally {
    /// When each tap had its answer, also those of the warm-up.
    answered: Vec<Instant>,
    reserved: Times,
    paid: Times,
    last_paid: Option<Instant>,
    told: Told,
    delayed: u64,
    untold: u64,
}

impl Tally {
    fn add(&mut self, mut other: Self) {
        self.answered.append(&mut other.answered);
        self.reserved.append(other.reserved);
        self.paid.append(other.paid);
        self.last_paid = self.last_paid.max(other.last_paid);
        self.told.promised.append(&mut other.told.promised);
        self.told.paid.append(&mut other.told.paid);
        self.delayed += other.delayed;
        self.untold += other.untold;
    }
}

/// A purchase as it was answered.
struct Reserved {
    id: String,
    paid: bool,
}

/// What a tap may come to: a purchase, or the wish to be asked later.
type Tapped = Result<Reserved, Duration>;

#[derive(Deserialize)]
struct Purchase {
    id: String,
    state: String,
}

#[derive(Deserialize)]
struct Busy {
    retry_after_ms: Option<u64>,
}

/// Somebody who buys again and again.
struct Buyer {
    http: KeepAlive,
    hub: Socket,
    offer: String,
    sheet: String,
    /// Of the last frame that was sent.
    frame: u64,
    /// The purchase that was told to be paid last: the word may come before the tap's own answer.
    heard_paid: String,
    tally: Tally,
}

impl Buyer {
    async fn enter(market: &Market, actor: &Actor) -> anyhow::Result<Self> {
        let hub = watcher::connect(actor, &market.shop.live).await?;
        let mut buyer = Self {
            http: KeepAlive::connect(&actor.base, &actor.cookie).await?,
            hub,
            offer: market.shop.offer.clone(),
            sheet: market.sheet.clone(),
            frame: 0,
            heard_paid: String::new(),
            tally: Tally::default(),
        };
        buyer.send(0, client_frame::Body::Resume(wire::Resume::default())).await?;
        while !matches!(buyer.hear().await?, Some(Body::Snapshot(_))) {}
        Ok(buyer)
    }

    async fn go_on(mut self, door: Door, window: Window) -> anyhow::Result<Tally> {
        let mut began = Instant::now();
        while began < window.to {
            let reserved = tokio::time::timeout(ANSWERED_WITHIN, self.reserve(door)).await;
            let reserved = reserved.with_context(|| format!("no answer in {} s", ANSWERED_WITHIN.as_secs()))??;
            let answered = Instant::now();
            self.tally.answered.push(answered);
            self.tally.told.promised.push(reserved.id.clone());
            if !reserved.paid {
                self.until_paid(&reserved.id).await?;
            }
            let paid = Instant::now();
            if began >= window.from {
                self.tally.reserved.push(answered - began);
                self.tally.paid.push(paid - began);
                self.tally.last_paid = Some(paid);
            }
            self.tally.told.paid.push(reserved.id);
            began = paid;
        }
        // Whoever leaves says so; that it arrives matters to nobody.
        let _ = self.hub.close(None).await;
        Ok(self.tally)
    }

    /// Taps until there is a purchase, always under the same key.
    async fn reserve(&mut self, door: Door) -> anyhow::Result<Reserved> {
        let key = fresh_name();
        loop {
            let tapped = match door {
                Door::Http => self.post(&key).await?,
                Door::Hub => self.ask(&key).await?,
            };
            match tapped {
                Ok(reserved) => return Ok(reserved),
                Err(wait) => {
                    self.tally.delayed += 1;
                    tokio::time::sleep(wait.clamp(Duration::from_millis(1), MAX_RETRY)).await;
                }
            }
        }
    }

    async fn post(&mut self, key: &str) -> anyhow::Result<Tapped> {
        let Self { offer, sheet, .. } = self;
        let wish = json!({ "offer_id": offer, "qty": 1, "confirmation_hash": sheet, "payment_method": METHOD });
        let (status, body) = self.http.post("/v1/purchases", key, &wish.to_string()).await?;
        match status {
            200..300 => {
                let Purchase { id, state } = serde_json::from_slice(body).context("an answer that is no purchase")?;
                Ok(Ok(Reserved { paid: is_paid(&state), id }))
            }
            429 | 503 => {
                let busy: Busy = serde_json::from_slice(body)?;
                Ok(Err(busy.retry_after_ms.map_or(RETRY, Duration::from_millis)))
            }
            _ => bail!("a purchase was answered {status}: {}", String::from_utf8_lossy(body)),
        }
    }

    async fn ask(&mut self, key: &str) -> anyhow::Result<Tapped> {
        self.frame += 1;
        let buy = wire::Buy {
            key: key.to_owned(),
            offer_id: self.offer.clone(),
            qty: 1,
            confirmation_hash: self.sheet.clone(),
            payment_method: METHOD.to_owned(),
        };
        self.send(self.frame, client_frame::Body::Buy(buy)).await?;
        loop {
            let Some(Body::Reply(wire::Reply { id, result: Some(result) })) = self.hear().await? else { continue };
            if id != self.frame {
                continue;
            }
            match result {
                reply::Result::Purchase(purchase) => {
                    return Ok(Ok(Reserved { paid: is_paid(&purchase.state), id: purchase.id }));
                }
                reply::Result::Problem(problem) if matches!(problem.status, 429 | 503) => {
                    let named = u64::try_from(problem.retry_after_ms).ok().filter(|ms| *ms > 0);
                    return Ok(Err(named.map_or(RETRY, Duration::from_millis)));
                }
                other => bail!("a purchase was answered {other:?}"),
            }
        }
    }

    /// Listens until the purchase is paid; looks it up when nobody says so.
    async fn until_paid(&mut self, id: &str) -> anyhow::Result<()> {
        let by = Instant::now() + PAID_WITHIN;
        loop {
            if let Ok(told) = tokio::time::timeout(TOLD_WITHIN, self.hear_of(id)).await {
                return told;
            }
            let (status, body) = self.http.get(&format!("/v1/purchases/{id}")).await?;
            if status == 200 && serde_json::from_slice::<Purchase>(body).is_ok_and(|purchase| is_paid(&purchase.state))
            {
                self.tally.untold += 1;
                return Ok(());
            }
            if Instant::now() > by {
                bail!("{id} was not paid in {} s: {}", PAID_WITHIN.as_secs(), String::from_utf8_lossy(body));
            }
        }
    }

    async fn hear_of(&mut self, id: &str) -> anyhow::Result<()> {
        while self.heard_paid != id {
            let Some(Body::Personal(wire::Personal { body: Some(personal::Body::Purchase(purchase)) })) =
                self.hear().await?
            else {
                continue;
            };
            let under_way = matches!(purchase.state.as_str(), "held" | "paying" | "requires_action");
            if purchase.id == id && !under_way && !is_paid(&purchase.state) {
                bail!("{id} ended {}: {}", purchase.state, purchase.reason);
            }
        }
        Ok(())
    }

    async fn send(&mut self, id: u64, body: client_frame::Body) -> anyhow::Result<()> {
        Ok(self.hub.send(watcher::frame(id, body)).await?)
    }

    /// The next frame; remembers what it says of a payment.
    async fn hear(&mut self) -> anyhow::Result<Option<Body>> {
        let Message::Binary(bytes) = self.hub.next().await.context("the hub closed the connection")?? else {
            return Ok(None);
        };
        let body = wire::ServerFrame::decode(bytes)?.body;
        if let Some(Body::Personal(wire::Personal { body: Some(personal::Body::Purchase(purchase)) })) = &body
            && is_paid(&purchase.state)
        {
            self.heard_paid.clone_from(&purchase.id);
        }
        Ok(body)
    }
}

fn is_paid(state: &str) -> bool {
    matches!(state, "authorized" | "captured" | "fulfilled")
}
