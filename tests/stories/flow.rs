//! A live in full swing: prices change, lines are taken away, questions come up, things are sold, people talk. Whoever
//! does it asks again at the next node while there is no answer, and notes what was answered.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use hanamichi::live::Mirror;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{
    harness::{Actor, Answer, PATIENCE, Sale, fresh_name, text},
    viewer::Viewer,
};

/// A question is asked, put on air and answered, once in so many steps …
const QUESTION_EVERY: usize = 8;
/// … while there is somebody who has not asked yet: one may ask every ten seconds.
const FANS: usize = 6;
/// Something is sold.
const SALE_EVERY: usize = 8;
/// The first price; each step raises it by one.
const FIRST_PRICE: usize = 500;

/// What is done, and where.
pub struct Flow {
    over: Arc<AtomicBool>,
    steps: Arc<AtomicUsize>,
    task: JoinHandle<Done>,
}

/// The price that is set in a step.
fn price_of(step: usize) -> i64 {
    i64::try_from(FIRST_PRICE + step).expect("it is small")
}

/// What was answered.
#[derive(Debug, Default, Clone)]
pub struct Done {
    /// Lines that were taken away: one event each, whatever else happens.
    pub deleted: Vec<String>,
    /// Questions that were answered on air.
    pub answered: Vec<String>,
    pub price: i64,
    pub sold: i64,
}

impl Done {
    /// Everything that was answered is in this picture.
    #[track_caller]
    pub fn assert_in(&self, mirror: &Mirror, units: i64) {
        let pin = mirror.pins.values().next().expect("a pin");
        assert_eq!(pin.offers[0].price_minor, self.price, "the last price");
        let sku = &pin.offers[0].sku_id;
        assert_eq!(mirror.stock[sku].available, units - self.sold, "what is left");
        for id in &self.answered {
            assert_eq!(mirror.questions.get(id).map(|question| &*question.state), Some("answered"), "{id}");
        }
    }

    /// This viewer was told of every line that was taken away, once.
    #[track_caller]
    pub fn assert_told(&self, viewer: &Viewer) {
        use hanamichi::wire::ordered::Event;
        let mut told = viewer.look(|seen| {
            let gone = seen.history.iter().filter_map(|(_, ordered)| match &ordered.event {
                Some(Event::ChatDeleted(deleted)) => Some(deleted.chat_id.clone()),
                _ => None,
            });
            gone.collect::<Vec<_>>()
        });
        let mut deleted = self.deleted.clone();
        told.sort();
        deleted.sort();
        assert_eq!(told, deleted, "each event once");
    }
}

struct Hands {
    liver: Actor,
    fans: Vec<Actor>,
    bases: Vec<String>,
    at: usize,
    path: String,
    product: Value,
    offer: String,
}

impl Flow {
    /// Begins, taking turns at these nodes.
    pub async fn begin(sale: &Sale, bases: &[String], pause: Duration) -> Self {
        let mut fans = Vec::new();
        for n in 0..FANS {
            fans.push(Actor::sign_up(&bases[0], &format!("ファン{n}")).await);
        }
        let hands = Hands {
            liver: sale.liver.clone(),
            fans,
            bases: bases.to_vec(),
            at: 0,
            path: format!("/v1/lives/{}", sale.live),
            product: sale.product["id"].clone(),
            offer: sale.offer.clone(),
        };
        let (over, steps) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let task = tokio::spawn(hands.work(Arc::clone(&over), Arc::clone(&steps), pause));
        Self { over, steps, task }
    }

    /// Waits until so many more steps are done.
    pub async fn some_more(&self, steps: usize) {
        let goal = self.steps.load(Ordering::Relaxed) + steps;
        let waiting = async {
            while self.steps.load(Ordering::Relaxed) < goal && !self.task.is_finished() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE * 2, waiting).await.expect("it goes on");
        assert!(!self.task.is_finished(), "it goes on");
    }

    /// The price of the next step.
    pub fn price(&self) -> i64 {
        price_of(self.steps.load(Ordering::Relaxed))
    }

    /// Ends it; everything in what it gives was answered.
    pub async fn end(self) -> Done {
        self.over.store(true, Ordering::Relaxed);
        self.task.await.expect("nobody was refused")
    }
}

impl Hands {
    async fn work(mut self, over: Arc<AtomicBool>, steps: Arc<AtomicUsize>, pause: Duration) -> Done {
        let mut done = Done::default();
        let mut askers = self.fans.clone().into_iter();
        let mut n = 0;
        while !over.load(Ordering::Relaxed) {
            let price = price_of(n);
            let pins = format!("{}/pins", self.path);
            let wish = json!({ "product_id": self.product, "live_price_minor": price });
            self.insist(&self.liver.clone(), &pins, wish).await.expect(200);
            done.price = price;
            let line =
                self.insist(&self.liver.clone(), &format!("{}/chat", self.path), json!({ "text": "ようこそ" })).await;
            done.deleted.push(self.take_away(text(&line.expect(201), "id")).await);
            let fan = self.fans[n % self.fans.len()].clone();
            if n % QUESTION_EVERY == 0
                && let Some(asker) = askers.next()
            {
                done.answered.push(self.answer(&asker, n).await);
            }
            if n % SALE_EVERY == 0 {
                self.sell(&fan).await;
                done.sold += 1;
            }
            n += 1;
            steps.store(n, Ordering::Relaxed);
            tokio::time::sleep(pause).await;
        }
        done
    }

    async fn insist_by(&mut self, request: impl Fn(&str) -> reqwest::RequestBuilder, who: &Actor) -> Answer {
        let asking = async {
            loop {
                self.at += 1;
                let asked = who.ask(request(&self.bases[self.at % self.bases.len()])).await;
                match asked {
                    Some(answer) => return answer,
                    None => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        tokio::time::timeout(PATIENCE * 2, asking).await.expect("an answer in the end")
    }

    async fn insist(&mut self, who: &Actor, path: &str, body: Value) -> Answer {
        self.insist_by(|base| who.at(base).request(reqwest::Method::POST, path).json(&body), who).await
    }

    /// The chat is stored in batches, so that a line may not be there yet; after a lost answer it is gone already.
    async fn take_away(&mut self, id: String) -> String {
        let (liver, path) = (self.liver.clone(), format!("{}/chat/{id}", self.path));
        let answer = self.insist_by(|base| liver.at(base).request(reqwest::Method::DELETE, &path), &liver).await;
        assert!(matches!(answer.status, 204 | 404), "{}", answer.body);
        id
    }

    async fn answer(&mut self, fan: &Actor, n: usize) -> String {
        let path = format!("{}/questions", self.path);
        let key = fresh_name();
        let body = json!({ "text": format!("{n}番目ですか？") });
        let asked = self.insist_by(|base| fan.at(base).keyed(&path, &key, &body), fan).await.expect(201);
        let id = text(&asked, "id");
        for verb in ["answering", "answered"] {
            let answer = self.insist(&self.liver.clone(), &format!("/v1/questions/{id}/{verb}"), json!({})).await;
            assert!(matches!(answer.status, 200 | 409), "{}", answer.body);
        }
        id
    }

    async fn sell(&mut self, fan: &Actor) {
        let wish = json!({ "offer_id": self.offer, "qty": 1, "payment_method": "sandbox_card" });
        let key = fresh_name();
        self.insist_by(|base| fan.at(base).keyed("/v1/purchases", &key, &wish), fan).await.expect(201);
    }
}
