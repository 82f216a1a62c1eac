//! A crowd at a flash sale, while something breaks beneath it. Everybody asks again under the same key until there is an
//! answer, and notes it; in the end every answer must still be true, and nothing else may have happened.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use hanamichi::{on, store::Db};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{Actor, Answer, Books, PATIENCE, Plan, Sale, fresh_name, text};

/// Units of what everybody gets.
const PLENTY: i64 = 1_000_000;
/// Units of what people hold, give back and wait for.
const SCARCE: i64 = 3;
/// People who pay at once; every fifth card is declined.
const PAYERS: usize = 6;
/// People who hold what is scarce, and give it back or pay.
const HOLDERS: usize = 4;
/// People who stand in line for it.
const WAITERS: usize = 4;
/// People at tills and goods-in.
const CLERKS: usize = 2;

/// What one tap of somebody came to.
struct Tap {
    key: String,
    wish: Value,
    purchase: String,
    end: &'static str,
}

/// What somebody said about goods, and the one answer.
struct Said {
    path: &'static str,
    key: String,
    fact: Value,
    answer: Value,
}

/// What one person was told.
struct Notes {
    actor: Actor,
    taps: Vec<Tap>,
    facts: Vec<Said>,
    /// Places on the waitlist.
    places: HashSet<String>,
    /// Purchases that were held for a place, and how they end.
    served: Vec<(String, &'static str)>,
}

#[derive(Default)]
struct Pulse {
    over: AtomicBool,
    answers: AtomicUsize,
    lost: AtomicUsize,
}

/// What is sold.
struct Goods {
    plenty: String,
    plenty_offer: String,
    scarce: String,
    scarce_offer: String,
    warehouse: String,
}

struct Person {
    goods: Arc<Goods>,
    pulse: Arc<Pulse>,
    notes: Notes,
}

/// Everybody.
pub struct Crowd {
    sale: Sale,
    goods: Arc<Goods>,
    pulse: Arc<Pulse>,
    people: JoinSet<Notes>,
}

impl Crowd {
    /// Opens the shop at the first node and sends people to all of them. They begin with [`Crowd::begin`].
    pub async fn gather(bases: &[String]) -> (Self, Vec<Actor>) {
        let sale = Sale::open_at(&bases[0], Plan { units: PLENTY, ..Plan::default() }).await;
        let (scarce, scarce_offer) = sale.add(1, SCARCE, None).await.remove(0);
        let goods = Goods {
            plenty: sale.sku.clone(),
            plenty_offer: sale.offer.clone(),
            scarce,
            scarce_offer,
            warehouse: sale.warehouse.clone(),
        };
        let mut actors = Vec::new();
        for n in 0..PAYERS + HOLDERS + WAITERS {
            actors.push(Actor::sign_up(&bases[n % bases.len()], &format!("客{n}")).await);
        }
        for n in 0..CLERKS {
            actors.push(sale.brand.at(&bases[n % bases.len()]));
        }
        (Self { sale, goods: Arc::new(goods), pulse: Arc::default(), people: JoinSet::new() }, actors)
    }

    pub fn begin(&mut self, actors: Vec<Actor>) {
        for (n, actor) in actors.into_iter().enumerate() {
            let notes =
                Notes { actor, taps: Vec::new(), facts: Vec::new(), places: HashSet::new(), served: Vec::new() };
            let person = Person { goods: self.goods.clone(), pulse: self.pulse.clone(), notes };
            match n {
                ..PAYERS => self.people.spawn(person.pays_at_once()),
                _ if n < PAYERS + HOLDERS => self.people.spawn(person.holds()),
                _ if n < PAYERS + HOLDERS + WAITERS => self.people.spawn(person.stands_in_line()),
                _ => self.people.spawn(person.moves_goods()),
            };
        }
    }

    /// Waits until there are so many more answers. Fails when the crowd has stopped getting any.
    pub async fn some_more(&mut self, answers: usize) {
        let goal = self.pulse.answers.load(Ordering::Relaxed) + answers;
        let waiting = async {
            while self.pulse.answers.load(Ordering::Relaxed) < goal {
                if let Some(gone) = self.people.try_join_next() {
                    gone.expect("nobody was told what cannot be");
                    panic!("somebody went home early");
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE * 3, waiting).await.expect("it sells");
    }

    /// Sends everybody home, then holds them to what they were told, down to the books at `database`.
    pub async fn check(mut self, database: &str) -> Outcome {
        self.pulse.over.store(true, Ordering::Relaxed);
        let mut checking = JoinSet::new();
        while let Some(notes) = self.people.join_next().await {
            checking.spawn(notes.expect("nobody was told what cannot be").check());
        }
        let mut all = Sums::default();
        while let Some(sums) = checking.join_next().await {
            all.add(&sums.expect("every answer holds"));
        }
        let (plenty, scarce) =
            (self.sale.available_of(&self.goods.plenty).await, self.sale.available_of(&self.goods.scarce).await);
        assert_eq!(plenty, PLENTY - all.paid_plenty - all.till_sales, "what was sold is gone, and no more");
        assert_eq!(scarce, SCARCE + all.received - all.paid_scarce, "what was given back is there");
        let books = Books::check(database).await;
        assert_eq!((books.orders, books.held), (all.paid_plenty + all.paid_scarce, 0), "sold is what was answered");
        let db = Db::connect(database).await.expect("the database opens");
        let mut tx = db.read("count").await.expect("a transaction");
        let mut counted = Vec::new();
        for sql in [
            "SELECT COUNT(*) FROM purchases WHERE wait_id IS NULL",
            "SELECT COUNT(*) FROM purchases WHERE wait_id IS NOT NULL",
            "SELECT COUNT(*) FROM stock_facts WHERE kind = 'sale'",
        ] {
            let (n,): (i64,) = on!(&mut tx, |conn| sqlx::query_as(sql).fetch_one(conn).await.expect("a number"));
            counted.push(n);
        }
        drop(tx);
        db.close().await;
        assert_eq!(counted, [all.taps, all.served, all.till_sales], "each key has one purchase, each place, each fact");
        Outcome {
            purchases: all.taps + all.served,
            orders: books.orders,
            facts: all.till_sales + all.received,
            lost: self.pulse.lost.load(Ordering::Relaxed),
        }
    }
}

/// What the crowd came to.
#[derive(Debug)]
#[expect(dead_code, reason = "printed for people")]
pub struct Outcome {
    purchases: i64,
    orders: i64,
    facts: i64,
    /// Tries without an answer.
    lost: usize,
}

#[derive(Default)]
struct Sums {
    taps: i64,
    served: i64,
    paid_plenty: i64,
    paid_scarce: i64,
    till_sales: i64,
    received: i64,
}

impl Sums {
    fn add(&mut self, more: &Self) {
        self.taps += more.taps;
        self.served += more.served;
        self.paid_plenty += more.paid_plenty;
        self.paid_scarce += more.paid_scarce;
        self.till_sales += more.till_sales;
        self.received += more.received;
    }
}

impl Person {
    fn over(&self) -> bool {
        self.pulse.over.load(Ordering::Relaxed)
    }

    async fn pause(&self) {
        let ms = 5 + getrandom::u32().expect("randomness") % 20;
        tokio::time::sleep(Duration::from_millis(ms.into())).await;
    }

    /// Asks until there is an answer; whether a try had none.
    async fn insist(&self, request: reqwest::RequestBuilder) -> (Answer, bool) {
        let (answer, lost) = self.notes.actor.insist(request).await;
        self.pulse.lost.fetch_add(lost, Ordering::Relaxed);
        self.pulse.answers.fetch_add(1, Ordering::Relaxed);
        (answer, lost > 0)
    }

    async fn tap(&mut self, wish: Value, end: &'static str) -> Option<String> {
        let key = fresh_name();
        let (answer, _) = self.insist(self.notes.actor.keyed("/v1/purchases", &key, &wish)).await;
        if answer.status != 201 {
            assert_eq!(answer.refused(), "sold-out");
            return None;
        }
        let purchase = text(&answer.body, "id");
        self.notes.taps.push(Tap { key, wish, purchase: purchase.clone(), end });
        Some(purchase)
    }

    async fn pays_at_once(mut self) -> Notes {
        let mut n = 0;
        while !self.over() {
            n += 1;
            let (method, end) =
                if n % 5 == 0 { ("sandbox_declined", "failed") } else { ("sandbox_card", "authorized") };
            let wish = json!({ "offer_id": self.goods.plenty_offer, "qty": 1, "payment_method": method });
            self.tap(wish, end).await.expect("there is plenty");
            self.pause().await;
        }
        self.notes
    }

    async fn holds(mut self) -> Notes {
        let mut n = 0;
        while !self.over() {
            let end = if n % 4 == 3 { "authorized" } else { "cancelled" };
            let wish = json!({ "offer_id": self.goods.scarce_offer, "qty": 1 });
            if let Some(purchase) = self.tap(wish, end).await {
                n += 1;
                self.pause().await;
                self.settle(&purchase, end).await;
            }
            self.pause().await;
        }
        self.notes
    }

    /// Pays for a hold, or gives it back.
    async fn settle(&self, purchase: &str, end: &str) {
        let post = |verb: &str, body: Value| {
            self.notes.actor.request(reqwest::Method::POST, &format!("/v1/purchases/{purchase}/{verb}")).json(&body)
        };
        if end == "cancelled" {
            let (answer, _) = self.insist(post("cancel", json!({}))).await;
            assert_eq!(answer.expect(200)["state"], "cancelled");
            return;
        }
        let (answer, lost) = self.insist(post("pay", json!({ "payment_method": "sandbox_card" }))).await;
        // Who asks again after it was paid is told that there is nothing to pay.
        if answer.status != 200 && lost {
            assert_eq!(answer.refused(), "purchase-not-payable");
        } else {
            answer.expect(200);
        }
    }

    /// Places that are not settled yet.
    async fn open_places(&self) -> Vec<Value> {
        let (places, lost) =
            self.notes.actor.insist(self.notes.actor.request(reqwest::Method::GET, "/v1/waitlist?limit=100")).await;
        self.pulse.lost.fetch_add(lost, Ordering::Relaxed);
        let mut places = places.expect(200)["items"].as_array().expect("a list").clone();
        places.retain(|place| {
            let settled = || self.notes.served.iter().any(|(purchase, _)| place["purchase_id"] == **purchase);
            place["state"] == "waiting" || (place["state"] == "offered" && !settled())
        });
        places
    }

    async fn stands_in_line(mut self) -> Notes {
        loop {
            let open = self.open_places().await;
            assert!(open.len() <= 1, "one place a join: {open:?}");
            match open.first() {
                None if self.over() => return self.notes,
                None => {
                    // A place has no key: whoever does not know looks before joining again.
                    let wish = json!({ "offer_id": self.goods.scarce_offer, "qty": 1 });
                    let join = self.notes.actor.request(reqwest::Method::POST, "/v1/waitlist").json(&wish);
                    match self.notes.actor.ask(join).await {
                        Some(place) => {
                            self.notes.places.insert(text(&place.expect(201), "id"));
                            self.pulse.answers.fetch_add(1, Ordering::Relaxed);
                        }
                        None => {
                            self.pulse.lost.fetch_add(1, Ordering::Relaxed);
                            self.pause().await;
                        }
                    }
                }
                Some(place) if place["state"] == "waiting" => {
                    if self.over() {
                        let path = format!("/v1/waitlist/{}", text(place, "id"));
                        let (answer, _) = self.insist(self.notes.actor.request(reqwest::Method::DELETE, &path)).await;
                        answer.expect(204);
                    }
                    self.pause().await;
                }
                Some(place) => {
                    let purchase = text(place, "purchase_id");
                    let end = if self.notes.served.len() % 3 == 2 { "authorized" } else { "cancelled" };
                    self.settle(&purchase, end).await;
                    self.notes.served.push((purchase, end));
                }
            }
        }
    }

    async fn moves_goods(mut self) -> Notes {
        let mut n = 0;
        while !self.over() {
            n += 1;
            let (path, fact) = if n % 2 == 0 {
                let line = json!({ "sku_id": self.goods.plenty, "qty": 1 });
                ("/v1/stock/sales", json!({ "location_id": self.goods.warehouse, "lines": [line] }))
            } else {
                let (sku, location) = (&self.goods.scarce, &self.goods.warehouse);
                let receive = json!({ "sku_id": sku, "location_id": location, "delta": 1, "reason": "receive" });
                ("/v1/stock/adjustments", receive)
            };
            let key = fresh_name();
            let (answer, _) = self.insist(self.notes.actor.keyed(path, &key, &fact)).await;
            let answer = answer.expect(201);
            self.notes.facts.push(Said { path, key, fact, answer });
            for _ in 0..3 {
                self.pause().await;
            }
        }
        self.notes
    }
}

impl Notes {
    /// Asks everything again.
    async fn check(self) -> Sums {
        let mut sums = Sums::default();
        for tap in &self.taps {
            let (again, _) = self.actor.insist(self.actor.keyed("/v1/purchases", &tap.key, &tap.wish)).await;
            let again = again.expect(201);
            assert_eq!(again["id"], *tap.purchase, "a key has its one answer");
            self.ends(&again, tap.end).await;
            let paid = i64::from(tap.end == "authorized");
            let at_once = tap.wish["payment_method"].is_string();
            *(if at_once { &mut sums.paid_plenty } else { &mut sums.paid_scarce }) += paid;
            sums.taps += 1;
        }
        for (purchase, end) in &self.served {
            self.ends(&json!({ "id": purchase }), end).await;
            sums.paid_scarce += i64::from(*end == "authorized");
            sums.served += 1;
        }
        for said in &self.facts {
            let (again, _) = self.actor.insist(self.actor.keyed(said.path, &said.key, &said.fact)).await;
            assert_eq!(again.expect(201), said.answer, "a fact counts once and has one answer");
            let sale = said.path.ends_with("sales");
            *(if sale { &mut sums.till_sales } else { &mut sums.received }) += 1;
        }
        let known = self.all_places().await;
        assert!(self.places.is_subset(&known), "a place that was given is there: {:?}, {known:?}", self.places);
        sums
    }

    async fn ends(&self, purchase: &Value, state: &str) {
        if purchase["state"] != state {
            self.actor.until(purchase, state).await;
        }
    }

    async fn all_places(&self) -> HashSet<String> {
        let mut known = HashSet::new();
        let mut cursor = String::new();
        loop {
            let page = self.actor.get(&format!("/v1/waitlist?limit=100{cursor}")).await.expect(200);
            known.extend(page["items"].as_array().expect("a list").iter().map(|place| text(place, "id")));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return known,
            }
        }
    }
}
