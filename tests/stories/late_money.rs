//! Money that comes too late, in the moment in which it is called off, or behind the back of our books.

use std::{sync::Arc, time::Duration};

use hanamichi::clock::{Clock, Millis};
use serde_json::{Value, json};

use crate::{
    both_databases,
    harness::{Actor, Engine, House, PATIENCE, Plan, Sale, count, fresh_name, text, verify},
    payment_faults::{WEBHOOK_SECRET, paid_by},
    stripe::{Books, Fault, Kind, Op, Params, Settings, Simulator, Target, signature},
};

/// A shop that Stripe pays, with its clock by hand.
struct Shop {
    house: House,
    sim: Arc<Simulator>,
    sale: Sale,
}

impl Shop {
    async fn open(engine: Engine, units: i64) -> Self {
        let clock = Clock::manual(Millis(1_800_000_000_000));
        let hand = clock.clone();
        let sim = Arc::new(Simulator::start(Settings::by(move || hand.now().0)).await);
        let base = sim.base.clone();
        let house = House::open_as(engine, clock, move |config| paid_by(&base, config)).await;
        let sale = Sale::open(&house, Plan { units, ..Plan::default() }).await;
        Self { house, sim, sale }
    }

    fn webhook(&self) -> Target {
        let url = format!("{}/v1/webhooks/stripe", self.house.base());
        Target { url, secrets: vec![WEBHOOK_SECRET.to_owned()] }
    }

    async fn buyer(&self) -> Actor {
        Actor::sign_up(&self.house.base(), "花子").await
    }

    /// Buys by a fresh token of this kind; the purchase, and the provider's name of its payment.
    async fn buy(&self, buyer: &Actor, token: &str, state: &str) -> (Value, String) {
        let method = format!("ctoken_{token}__{}", fresh_name());
        let bought = buyer.buy(&self.sale.offer, 1, Some(&method)).await.expect(201);
        let now = buyer.until(&bought, state).await;
        let id = text(&bought, "id");
        let sales = self.sim.books(Books::sales);
        (now, sales[&id][0].intent.clone())
    }

    /// Lets the clock run by seconds until a purchase is so.
    async fn run_until(&self, buyer: &Actor, purchase: &Value, is: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/v1/purchases/{}", text(purchase, "id"));
        let running = async {
            loop {
                let now = buyer.get(&path).await.expect(200);
                if is(&now) {
                    return now;
                }
                self.house.clock.advance(Duration::from_secs(1));
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, running).await.expect("it becomes so")
    }

    /// Sends a message of the provider about the charge of a payment, and waits until it is handled.
    async fn mention_charge(&self, intent: &str, kind: &str) {
        const UNHANDLED: &str = "SELECT COUNT(*) FROM provider_events WHERE handled_at_ms IS NULL";
        let event = json!({
            "id": format!("evt_{}", fresh_name()), "type": kind, "created": 1_800_000_000,
            "data": { "object": { "id": "ch_1", "object": "charge", "payment_intent": intent } },
        });
        let (raw, Target { url, secrets }) = (event.to_string(), self.webhook());
        let header = signature(&secrets, raw.as_bytes(), self.house.clock.now().0 / 1_000);
        let request = reqwest::Client::new().post(url).header("stripe-signature", header).body(raw);
        assert_eq!(request.send().await.expect("the server answers").status().as_u16(), 200);
        let handled = async {
            while count(&self.house.database.url, UNHANDLED).await > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, handled).await.expect("it is handled");
    }

    /// A wallet's payment fails, and is paid after all while nobody listens.
    async fn fail_and_pay_late(&self, buyer: &Actor, between: impl AsyncFnOnce()) -> (Value, String) {
        let (bought, intent) = self.buy(buyer, "paypay", "requires_action").await;
        self.sim.change(|books| books.refuse(&intent));
        let path = format!("/v1/purchases/{}/refresh", text(&bought, "id"));
        assert_eq!(buyer.post(&path, json!({})).await.expect(200)["state"], "failed");
        between().await;
        assert!(self.sim.change(|books| books.pay_after_all(&intent, Kind::Paypay)), "nobody has called it off yet");
        (bought, intent)
    }
}

both_databases!(late_money_takes_goods_again_if_there_are_some, async |engine: Engine| {
    let shop = Shop::open(engine, 1).await;
    let buyer = shop.buyer().await;
    let (bought, _) = shop.fail_and_pay_late(&buyer, async || {}).await;
    let paid = shop.run_until(&buyer, &bought, |now| now["state"] == "captured").await;
    assert!(paid["order_id"].is_string() && paid["reason"].is_null(), "{paid}");
    assert_eq!(shop.sale.available().await, 0);
    verify(&shop.house.database.url).await;
});

both_databases!(money_that_went_back_buys_nothing_when_the_provider_speaks_of_it_again, async |engine: Engine| {
    let shop = Shop::open(engine, 1).await;
    let (late, quick) = (shop.buyer().await, shop.buyer().await);
    let mut sold = Value::Null;
    let (bought, intent) =
        shop.fail_and_pay_late(&late, async || sold = shop.buy(&quick, "card", "authorized").await.0).await;
    let told = shop.run_until(&late, &bought, |now| now["reason"] == "late-payment-returned").await;
    assert_eq!(told["state"], "failed", "the last unit is another's: {told}");
    let is_back = |sim: &Simulator| sim.books(Books::sales)[&text(&bought, "id")][0].refunded == 1_080;
    let given_back = async {
        while !is_back(&shop.sim) || count(&shop.house.database.url, "SELECT COUNT(*) FROM payments_to_end").await > 0 {
            shop.house.clock.advance(Duration::from_secs(1));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, given_back).await.expect("the money goes back");
    // There are goods again; the provider still calls the payment "succeeded".
    let void = json!({ "restock": true, "reason": "在庫の確認" });
    let path = format!("/v1/orders/{}/refunds", text(&sold, "order_id"));
    shop.sale.brand.post_with_key(&path, "void", void).await.expect(201);
    assert_eq!(shop.sale.available().await, 1);
    shop.mention_charge(&intent, "charge.refunded").await;
    let path = format!("/v1/purchases/{}", text(&bought, "id"));
    assert_eq!(late.get(&path).await.expect(200)["state"], "failed");
    assert_eq!(shop.sale.available().await, 1, "nothing is sold for money that went back");
    verify(&shop.house.database.url).await;
});

both_databases!(what_its_buyer_calls_off_while_the_bank_says_yes_is_not_sold, async |engine: Engine| {
    let shop = Shop::open(engine, 1).await;
    let buyer = shop.buyer().await;
    shop.sim.tell(Some(shop.webhook()));
    let (bought, intent) = shop.buy(&buyer, "card_threeDSecure", "requires_action").await;
    shop.sim.quiet().await;
    shop.sim.next(Op::Cancel, Fault::Slow(Duration::from_millis(700)));
    let path = format!("/v1/purchases/{}/cancel", text(&bought, "id"));
    let calling_off = tokio::spawn({
        let (buyer, path) = (buyer.clone(), path.clone());
        async move { buyer.post(&path, json!({})).await }
    });
    while !shop.sim.recorded().iter().any(|question| question.op == Op::Cancel) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(shop.sim.change(|books| books.approve(&intent)), "the bank says yes in the same moment");
    shop.sim.quiet().await;
    let end = calling_off.await.expect("no panic").expect(200);
    assert!(["cancelled", "failed"].contains(&text(&end, "state").as_str()), "{end}");
    let paid = shop.sim.books(Books::sales)[&text(&bought, "id")][0].clone();
    assert_eq!((paid.status, paid.holds_money()), ("canceled", false));
    assert_eq!(count(&shop.house.database.url, "SELECT COUNT(*) FROM orders").await, 0);
    assert_eq!(shop.sale.available().await, 1);
    verify(&shop.house.database.url).await;
});

both_databases!(the_charge_of_an_order_is_not_given_back_as_a_stray_one, async |engine: Engine| {
    let shop = Shop::open(engine, 1).await;
    let buyer = shop.buyer().await;
    let (paid, intent) = shop.buy(&buyer, "card", "authorized").await;
    // Somebody takes the money in the provider's own pages, and no message of it arrives.
    assert!(shop.sim.change(|books| books.capture(&intent, &Params(Vec::new())).is_ok()), "it is reserved");
    shop.house.clock.advance(Duration::from_secs(3_600));
    let run = async || shop.sale.operator.post("/v1/reconciliation/runs", json!({})).await.expect(201);
    let report = run().await;
    let found = &report["items"][0];
    assert_eq!((&report["open"], &found["kind"]), (&json!(1), &json!("unknown_charge")));
    assert_eq!((&found["order_id"], &found["ways"]), (&paid["order_id"], &json!(["book_to_suspense", "accept"])));
    let path = format!("/v1/reconciliation/items/{}/resolution", text(found, "id"));
    assert_eq!(shop.sale.operator.post(&path, json!({ "how": "refund_charge" })).await.refused(), "conflict");
    // Sending the goods finds the money taken.
    let path = format!("/v1/orders/{}/fulfilment", text(&paid, "order_id"));
    assert_eq!(shop.sale.brand.post(&path, json!({})).await.expect(200)["state"], "fulfilled");
    let report = run().await;
    assert_eq!((&report["open"], &report["difference_minor"]), (&json!(0), &json!(0)), "{}", report["items"]);
    verify(&shop.house.database.url).await;
});
