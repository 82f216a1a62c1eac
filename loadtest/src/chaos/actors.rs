//! Shell: the liver, the brand and the buyers, who go on whatever breaks.
//!
//! They ask what people ask, at random, and take every answer but one: an internal error is a fault of the server. When
//! told to rest they finish what they are at, and say so.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context, bail};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet, time::Instant};

use super::plan::Dice;
use crate::{
    client::{Actor, fresh_name, text},
    shop::Shop,
};

/// What the liver does at once.
const HANDS: usize = 3;
/// Between two acts of each hand.
const LIVER_MS: (u64, u64) = (25, 90);
/// Between two purchases of one buyer.
const BUYER_MS: (u64, u64) = (150, 900);
/// Between two deliveries to the warehouse.
const BRAND_MS: (u64, u64) = (700, 2_500);
/// Units that come with one.
const UNITS: usize = 12;
/// A customer may ask again after this.
const ASK_EVERY: Duration = Duration::from_millis(10_500);
/// Everybody has finished within this.
const REST_WITHIN: Duration = Duration::from_secs(40);
/// Prices of the product that is pinned again and again.
const LEAST_PRICE: usize = 500;
const PRICES: usize = 3_000;
/// Faults told one by one.
const MAX_FAULTS: usize = 20;
/// The sandbox pays at once.
const METHOD: &str = "sandbox_card";

/// What was done.
#[derive(Debug, Default)]
pub struct Deeds {
    pub pins: AtomicU64,
    pub unpins: AtomicU64,
    pub questions: AtomicU64,
    pub moves: AtomicU64,
    pub lines: AtomicU64,
    pub bought: AtomicU64,
    pub deliveries: AtomicU64,
    pub refused: AtomicU64,
    /// Requests without an answer: the server was gone.
    pub unanswered: AtomicU64,
    faults: Mutex<Vec<String>>,
}

impl Deeds {
    /// What must not have been answered.
    pub fn faults(&self) -> Vec<String> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes an answer; gives it when it is a yes.
    fn judge(&self, path: &str, answer: anyhow::Result<crate::client::Answer>, deed: &AtomicU64) -> Option<Value> {
        let Ok(answer) = answer else {
            self.unanswered.fetch_add(1, Relaxed);
            return None;
        };
        match answer.status {
            200..300 => {
                deed.fetch_add(1, Relaxed);
                return Some(answer.body);
            }
            status @ 500.. if status != 503 => {
                let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
                if faults.len() < MAX_FAULTS {
                    faults.push(format!("{path} was answered {status}: {}", answer.body));
                }
            }
            _ => drop(self.refused.fetch_add(1, Relaxed)),
        }
        None
    }
}

/// Everybody who acts.
pub struct Cast {
    pub deeds: Arc<Deeds>,
    busy: watch::Sender<bool>,
    at_work: Arc<AtomicUsize>,
    tasks: JoinSet<()>,
}

/// What an actor needs.
#[derive(Clone)]
struct Part {
    shop: Arc<Shop>,
    bases: Arc<[String]>,
    deeds: Arc<Deeds>,
    busy: watch::Receiver<bool>,
    at_work: Arc<AtomicUsize>,
    dice: Dice,
}

/// Says that somebody is at work for as long as it lives.
struct AtWork(Arc<AtomicUsize>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Cast {
    /// Everybody is ready and rests.
    pub fn new(shop: &Arc<Shop>, bases: Arc<[String]>, buyers: Vec<Actor>, dice: &mut Dice) -> Self {
        let (busy, hear) = watch::channel(false);
        let (deeds, at_work) = (Arc::new(Deeds::default()), Arc::new(AtomicUsize::new(0)));
        let mut cast = Self { deeds, busy, at_work, tasks: JoinSet::new() };
        let mut part = || Part {
            shop: Arc::clone(shop),
            bases: Arc::clone(&bases),
            deeds: Arc::clone(&cast.deeds),
            busy: hear.clone(),
            at_work: Arc::clone(&cast.at_work),
            dice: dice.split(),
        };
        for _ in 0..HANDS {
            cast.tasks.spawn(part().liver());
        }
        cast.tasks.spawn(part().brand());
        for buyer in buyers {
            cast.tasks.spawn(part().buyer(buyer));
        }
        cast
    }

    /// Everybody begins.
    pub fn begin(&self) {
        self.busy.send_replace(true);
    }

    /// Everybody finishes.
    pub async fn rest(&self) -> anyhow::Result<()> {
        self.busy.send_replace(false);
        let by = Instant::now() + REST_WITHIN;
        while self.at_work.load(Relaxed) > 0 {
            if Instant::now() > by {
                bail!("somebody waits for an answer for {} s", REST_WITHIN.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

impl Part {
    /// Waits for the next moment to act; nothing when the run is over.
    async fn turn(&mut self, (least, most): (u64, u64)) -> Option<AtWork> {
        tokio::time::sleep(self.dice.between(least, most)).await;
        loop {
            // Counted before it is looked whether there is rest, so that nobody begins unseen.
            self.at_work.fetch_add(1, Relaxed);
            let working = AtWork(Arc::clone(&self.at_work));
            if *self.busy.borrow_and_update() {
                return Some(working);
            }
            drop(working);
            self.busy.changed().await.ok()?;
        }
    }

    fn base(&mut self) -> String {
        self.bases[self.dice.below(self.bases.len())].clone()
    }

    async fn post(&mut self, who: &Actor, path: &str, body: &Value, deed: fn(&Deeds) -> &AtomicU64) -> Option<Value> {
        let at = who.at(&self.base());
        let answer = at.attempt(Method::POST, path, Some(body)).await;
        self.deeds.judge(path, answer, deed(&self.deeds))
    }

    async fn liver(mut self) {
        let mut show = None;
        while let Some(_working) = self.turn(LIVER_MS).await {
            let (shop, live) = (Arc::clone(&self.shop), format!("/v1/lives/{}", self.shop.live));
            match self.dice.below(100) {
                0..70 => {
                    let price = LEAST_PRICE + self.dice.below(PRICES);
                    let wish = json!({ "product_id": shop.show_product, "live_price_minor": price });
                    let pinned = self.post(&shop.liver, &format!("{live}/pins"), &wish, |deeds| &deeds.pins).await;
                    show = pinned.and_then(|pin| text(&pin, "id").ok()).or(show);
                }
                70..76 => {
                    if let Some(pin) = show.take() {
                        let path = format!("{live}/pins/{pin}");
                        let answer = shop.liver.at(&self.base()).attempt(Method::DELETE, &path, None).await;
                        self.deeds.judge(&path, answer, &self.deeds.unpins);
                    }
                }
                76..86 => {
                    let line = json!({ "text": "ただいま値下げ中です" });
                    self.post(&shop.liver, &format!("{live}/chat"), &line, |deeds| &deeds.lines).await;
                }
                _ => self.move_question(&shop.liver, &live).await,
            }
        }
    }

    async fn move_question(&mut self, liver: &Actor, live: &str) {
        let state = ["open", "answering", "answered"][self.dice.below(3)];
        let path = format!("{live}/questions?state={state}");
        let answer = liver.at(&self.base()).attempt(Method::GET, &path, None).await;
        // Looking is no deed.
        let Some(listed) = self.deeds.judge(&path, answer, &AtomicU64::new(0)) else { return };
        let questions = listed["items"].as_array().map_or(&[][..], Vec::as_slice);
        let Some(id) = questions.get(self.dice.below(questions.len())).and_then(|question| question["id"].as_str())
        else {
            return;
        };
        let verb = match (state, self.dice.below(3)) {
            ("open", 0) => "hide",
            ("open", _) => "answering",
            ("answering", _) => "answered",
            _ => "hide",
        };
        self.post(liver, &format!("/v1/questions/{id}/{verb}"), &json!({}), |deeds| &deeds.moves).await;
    }

    async fn brand(mut self) {
        while let Some(_working) = self.turn(BRAND_MS).await {
            let shop = Arc::clone(&self.shop);
            let delta = 1 + self.dice.below(UNITS);
            let receive =
                json!({ "sku_id": shop.sku, "location_id": shop.warehouse, "delta": delta, "reason": "receive" });
            self.post(&shop.brand, "/v1/stock/adjustments", &receive, |deeds| &deeds.deliveries).await;
        }
    }

    async fn buyer(mut self, me: Actor) {
        let live = format!("/v1/lives/{}", self.shop.live);
        let mut ask_at = Instant::now() + self.dice.between(0, 5_000);
        while let Some(_working) = self.turn(BUYER_MS).await {
            if Instant::now() >= ask_at {
                ask_at = Instant::now() + ASK_EVERY;
                let question = json!({ "text": "洗濯機で洗えますか" });
                self.post(&me, &format!("{live}/questions"), &question, |deeds| &deeds.questions).await;
            } else if self.dice.percent(15) {
                self.upvote(&me, &live).await;
            } else if self.buy(&me).await.is_err() {
                self.deeds.unanswered.fetch_add(1, Relaxed);
            }
        }
    }

    async fn upvote(&mut self, me: &Actor, live: &str) {
        let path = format!("{live}/questions?state=open");
        let answer = me.at(&self.base()).attempt(Method::GET, &path, None).await;
        let Some(listed) = self.deeds.judge(&path, answer, &AtomicU64::new(0)) else { return };
        let questions = listed["items"].as_array().map_or(&[][..], Vec::as_slice);
        if let Some(id) = questions.get(self.dice.below(questions.len())).and_then(|question| question["id"].as_str()) {
            self.post(me, &format!("/v1/questions/{id}/upvote"), &json!({}), |deeds| &deeds.moves).await;
        }
    }

    async fn buy(&mut self, me: &Actor) -> anyhow::Result<()> {
        let (offer, me) = (self.shop.offer.clone(), me.at(&self.base()));
        let path = format!("/v1/offers/{offer}/confirmation?qty=1");
        let sheet = me.attempt(Method::GET, &path, None).await;
        let Some(sheet) = self.deeds.judge(&path, sheet, &AtomicU64::new(0)) else { return Ok(()) };
        let hash = sheet["hash"].as_str().context("a sheet has a hash")?;
        let wish = json!({ "offer_id": offer, "qty": 1, "confirmation_hash": hash, "payment_method": METHOD });
        let answer = me.post_with_key("/v1/purchases", &fresh_name(), &wish).await;
        self.deeds.judge("/v1/purchases", answer, &self.deeds.bought);
        Ok(())
    }
}
