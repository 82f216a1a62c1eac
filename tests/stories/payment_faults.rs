//! Many purchases with Stripe (the simulated one), while everything goes wrong that can: lost answers, errors before and
//! after the deed, unreadable ones, a provider that is busy, messages twice, late, out of order and not at all, cards that
//! are declined, banks that ask and buyers who do not answer, refunds that fail. In the end each paid purchase has one
//! order and one charge, whoever has none of the one has none of the other, and nobody was given anything back twice.
//!
//! `make payment-faults PURCHASES=100000` does it for long.

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use hanamichi::{
    clock::{Clock, Millis},
    config::{Config, PayMethod, PaymentKind, Secret, StripeConfig},
    on,
    store::Db,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    both_databases,
    harness::{Actor, Database, Engine, House, PATIENCE, Plan, Process, Sale, free_port, fresh_name, text, verify},
    stripe::{Fault, Op, Plan as Faults, SECRET_KEY, Settings, Simulator, Target},
};

pub const WEBHOOK_SECRET: &str = "whsec_s1mulat0r";
/// How many purchases when nothing is said.
const FEW: usize = 120;
/// How often each kind of fault, of a thousand questions or messages.
const EACH: u32 = 15;
/// Purchases of one buyer; more would look like somebody who tries stolen numbers.
const PER_BUYER: usize = 12;
/// Buyers at the same time.
const AT_ONCE: usize = 24;
/// The clock of the story runs so much faster than ours.
const PUMP: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(400));

/// What somebody pays by, and what they do when they are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Card,
    Declined,
    NoFunds,
    Asked,
    AskedAndRefuses,
    AskedAndLeaves,
    AskedAndChangesTheirMind,
    PayPay,
    PayPayAndLeaves,
    Konbini,
}

impl Way {
    fn of(roll: u64) -> Self {
        match roll % 100 {
            0..60 => Self::Card,
            60..66 => Self::Declined,
            66..70 => Self::NoFunds,
            70..78 => Self::Asked,
            78..81 => Self::AskedAndRefuses,
            81..83 => Self::AskedAndLeaves,
            83..86 => Self::AskedAndChangesTheirMind,
            86..93 => Self::PayPay,
            93..95 => Self::PayPayAndLeaves,
            _ => Self::Konbini,
        }
    }

    fn token(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Declined => "card_chargeDeclined",
            Self::NoFunds => "card_visa_chargeDeclinedInsufficientFunds",
            Self::Asked | Self::AskedAndRefuses | Self::AskedAndLeaves | Self::AskedAndChangesTheirMind => {
                "card_threeDSecure"
            }
            Self::PayPay | Self::PayPayAndLeaves => "paypay",
            Self::Konbini => "konbini",
        }
    }
}

/// splitmix64, of a number.
fn mix(n: u64) -> u64 {
    let mut mixed = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// A shop that is paid by Stripe.
pub fn paid_by(sim: &str, config: Config) -> Config {
    let fast = NonZeroU32::new(100_000).expect("not zero");
    let mut config = Config { public_url: "http://shop.test".to_owned(), ..config };
    config.commerce.payment = PaymentKind::Stripe;
    config.commerce.stripe = StripeConfig {
        secret_key: Secret::new(SECRET_KEY),
        publishable_key: "pk_test_s1mulat0r".to_owned(),
        webhook_secrets: vec![Secret::new(WEBHOOK_SECRET)],
        base_url: sim.to_owned(),
        methods: vec![PayMethod::Card, PayMethod::Paypay, PayMethod::Konbini],
        per_endpoint_per_s: fast,
        per_account_per_s: fast,
        timeout_ms: 1_000,
    };
    config
}

/// A tap, until there is an answer; the clock runs meanwhile.
async fn tap(buyer: &Actor, offer: &str, method: &str) -> Value {
    let sheet = buyer.insist(buyer.request(reqwest::Method::GET, &format!("/v1/offers/{offer}/confirmation?qty=1")));
    let sheet = sheet.await.0.expect(200);
    let wish = json!({ "offer_id": offer, "qty": 1, "confirmation_hash": sheet["hash"], "payment_method": method });
    let (answer, _) = buyer.insist(buyer.keyed("/v1/purchases", &fresh_name(), &wish)).await;
    answer.expect(201)
}

async fn load(buyer: &Actor, id: &str) -> Value {
    buyer.insist(buyer.request(reqwest::Method::GET, &format!("/v1/purchases/{id}"))).await.0.expect(200)
}

/// What the provider calls a payment that waits for its buyer.
async fn asked(buyer: &Actor, id: &str) -> Option<String> {
    let path = format!("/v1/purchases/{id}/action");
    let (answer, _) = buyer.insist(buyer.request(reqwest::Method::GET, &path)).await;
    if answer.status != 200 {
        return None;
    }
    let named = match answer.body["kind"].as_str() {
        Some("stripe") => text(&answer.body, "client_secret").split("_secret").next()?.to_owned(),
        _ => text(&answer.body, "url").split(['/', '?']).find(|part| part.starts_with("pi_"))?.to_owned(),
    };
    Some(named)
}

/// One purchase, and what its buyer does while it is paid. Nobody waits for the end.
async fn buy(buyer: &Actor, sim: &Simulator, offer: &str, way: Way, n: usize) -> String {
    let bought = tap(buyer, offer, &format!("ctoken_{}__{n}", way.token())).await;
    let id = text(&bought, "id");
    if matches!(way, Way::Card | Way::Declined | Way::NoFunds) {
        return id;
    }
    let patience = Instant::now() + Duration::from_secs(5);
    let intent = loop {
        let now = load(buyer, &id).await;
        if now["state"] == "requires_action" {
            break asked(buyer, &id).await;
        }
        if now["state"] != "paying" || Instant::now() > patience {
            break None;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let Some(intent) = intent else { return id };
    match way {
        Way::Asked | Way::PayPay | Way::Konbini => drop(sim.change(|books| books.approve(&intent))),
        Way::AskedAndRefuses => drop(sim.change(|books| books.refuse(&intent))),
        Way::AskedAndChangesTheirMind => {
            let path = format!("/v1/purchases/{id}/cancel");
            // It may be over by now, or the provider away: then it ends by itself.
            let _ = buyer.request(reqwest::Method::POST, &path).json(&json!({})).send().await;
        }
        _ => {}
    }
    if n.is_multiple_of(3) {
        // The page comes back and asks.
        let path = format!("/v1/purchases/{id}/refresh");
        let _ = buyer.request(reqwest::Method::POST, &path).json(&json!({})).send().await;
    }
    id
}

async fn number(url: &str, sql: &'static str) -> i64 {
    let db = Db::connect(url).await.expect("the database opens");
    let mut tx = db.read("count").await.expect("a transaction");
    let (n,): (i64,) = on!(&mut tx, |conn| sqlx::query_as(sql).fetch_one(conn).await.expect("a number"));
    drop(tx);
    db.close().await;
    n
}

/// What has no last word yet.
pub const OPEN: &str = "
    SELECT (SELECT COUNT(*) FROM purchases WHERE state IN ('held', 'paying', 'requires_action'))
         + (SELECT COUNT(*) FROM payments_to_end)
         + (SELECT COUNT(*) FROM provider_events WHERE handled_at_ms IS NULL)
         + (SELECT COUNT(*) FROM refunds WHERE state = 'pending')
         + (SELECT COUNT(*) FROM orders WHERE taking_minor IS NOT NULL)";

/// What they are, for who wants to know why.
async fn left_over(url: &str) -> String {
    const LIST: [&str; 4] = [
        "SELECT 'purchase ' || p.id || ' ' || p.state || ' attempt ' || a.state || ' ' || COALESCE(a.intent_id, 'unnamed')
                || ' asks ' || a.asks || ' at ' || a.ask_at_ms || ' by ' || a.method
         FROM purchases p LEFT JOIN payment_attempts a ON a.purchase_id = p.id
         WHERE p.state IN ('held', 'paying', 'requires_action')",
        "SELECT 'to end ' || e.purchase_id || ' tries ' || e.tries || ' attempt ' || a.state || ' ' || COALESCE(a.intent_id, '')
         FROM payments_to_end e JOIN payment_attempts a ON a.purchase_id = e.purchase_id",
        "SELECT 'event ' || id || ' ' || kind || ' ' || object_id || ' tries ' || tries FROM provider_events WHERE handled_at_ms IS NULL",
        "SELECT 'refund ' || id || ' asks ' || asks || ' tries ' || tries || ' ' || COALESCE(provider_ref, '') FROM refunds WHERE state = 'pending'",
    ];
    let db = Db::connect(url).await.expect("the database opens");
    let mut tx = db.read("left over").await.expect("a transaction");
    let mut lines = Vec::new();
    for sql in LIST {
        let rows: Vec<(String,)> = on!(&mut tx, |conn| sqlx::query_as(sql).fetch_all(conn).await.expect("rows"));
        lines.extend(rows.into_iter().map(|(line,)| line));
    }
    drop(tx);
    db.close().await;
    lines.join("\n")
}

/// Lets the clock run until everything has its last word.
async fn settle(url: &str, clock: &Clock, sim: &Simulator) {
    let patience = Instant::now() + Duration::from_secs(180).max(Duration::from_millis(60 * purchases() as u64));
    let mut step = Duration::from_secs(5);
    loop {
        for _ in 0..20 {
            clock.advance(step);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        sim.change(|books| {
            books.lapse();
            books.settle_refunds()
        });
        sim.redeliver();
        sim.quiet().await;
        let open = number(url, OPEN).await;
        if open == 0 {
            return;
        }
        // What nobody knows of is looked for a whole day; nothing else may wait so long, nor reserved money run out.
        let only_lost = number(url, "SELECT COUNT(*) FROM payments_to_end").await == open;
        step = Duration::from_secs(if only_lost { 1_800 } else { 10 });
        let late = Instant::now() > patience;
        assert!(!late, "{open} payments, refunds or messages have no last word:\n{}", left_over(url).await);
    }
}

/// What the provider and the shop say of the same purchases.
#[derive(Debug, Default)]
pub struct Verdict {
    pub states: BTreeMap<String, usize>,
    pub charged: usize,
}

/// Compares the provider's books with the shop's.
pub async fn compare(url: &str, sim: &Simulator) -> Verdict {
    // What of refunds did not arrive is with us again.
    const SOLD: &str = "
        SELECT p.id, p.state, CAST(COALESCE(o.captured_minor, 0) AS BIGINT), CAST(COALESCE(o.refunded_minor, 0) AS BIGINT),
               CAST(COALESCE((SELECT SUM(f.amount_minor) FROM refunds f
                              WHERE f.order_id = o.id AND f.kind = 'refund' AND f.state = 'failed'), 0) AS BIGINT)
        FROM purchases p
        LEFT JOIN orders o ON o.purchase_id = p.id";
    let db = Db::connect(url).await.expect("the database opens");
    let mut tx = db.read("purchases").await.expect("a transaction");
    let rows: Vec<(String, String, i64, i64, i64)> =
        on!(&mut tx, |conn| sqlx::query_as(SOLD).fetch_all(conn).await.expect("rows"));
    drop(tx);
    db.close().await;
    let (sales, charges, attempts, refunds) =
        sim.books(|books| (books.sales(), books.double_charges(), books.double_attempts(), books.double_refunds()));
    assert_eq!((charges, attempts, refunds), (vec![], vec![], vec![]), "nobody pays or is paid back twice");
    let mut verdict = Verdict::default();
    for (id, state, captured, refunded, failed) in rows {
        let paid = sales.get(&id).into_iter().flatten().find(|paid| paid.holds_money());
        match state.as_str() {
            "authorized" => {
                let paid = paid.unwrap_or_else(|| panic!("{id} is sold and nobody paid"));
                assert_eq!((paid.status, paid.captured), ("requires_capture", 0), "{id}");
            }
            "captured" | "fulfilled" => {
                let taken: i64 = sales[&id].iter().map(|paid| paid.captured).sum();
                assert_eq!(taken, captured, "{id}: as much as was said is taken");
            }
            "refunded" => assert!(paid.is_none(), "{id} was given back, and its money was kept: {paid:?}"),
            _ => assert!(paid.is_none(), "{id} is {state}, and its money was kept: {paid:?}"),
        }
        let back: i64 = sales.get(&id).into_iter().flatten().map(|paid| paid.refunded).sum();
        if captured > 0 {
            assert_eq!(back, refunded - failed, "{id}: as much as was said is given back");
        }
        verdict.charged += usize::from(paid.is_some());
        *verdict.states.entry(state).or_default() += 1;
    }
    verdict
}

/// Sends a third of what was sold; gives back some of it, and some of what was not sent.
async fn ship_and_give_back(sale: &Sale, house: &House) -> BTreeMap<&'static str, usize> {
    let mut done: BTreeMap<&'static str, usize> = BTreeMap::new();
    let db = Db::connect(&house.database.url).await.expect("the database opens");
    let mut tx = db.read("orders").await.expect("a transaction");
    let orders: Vec<(String,)> =
        on!(&mut tx, |conn| sqlx::query_as("SELECT id FROM orders ORDER BY id").fetch_all(conn).await.expect("rows"));
    drop(tx);
    db.close().await;
    for (n, (order,)) in orders.iter().enumerate() {
        if n.is_multiple_of(3) {
            let path = format!("/v1/orders/{order}/fulfilment");
            let sent = sale.brand.insist(sale.brand.request(reqwest::Method::POST, &path)).await.0;
            *done.entry(if sent.status == 200 { "sent" } else { "cannot be sent" }).or_default() += 1;
        }
        if n.is_multiple_of(4) {
            let back = json!({ "restock": true, "reason": "サイズ違い" });
            let path = format!("/v1/orders/{order}/refunds");
            let given = sale.brand.insist(sale.brand.keyed(&path, &format!("return {n}"), &back)).await.0;
            *done.entry(if given.status == 201 { "given back" } else { "cannot be given back" }).or_default() += 1;
        }
    }
    done
}

async fn everything_goes_wrong(engine: Engine, purchases: usize) {
    let clock = Clock::manual(Millis(1_800_000_000_000));
    let hand = clock.clone();
    let sim = Arc::new(Simulator::start(Settings::by(move || hand.now().0)).await);
    let base = sim.base.clone();
    let house = House::open_as(engine, clock.clone(), move |config| paid_by(&base, config)).await;
    let url = format!("{}/v1/webhooks/stripe", house.base());
    sim.tell(Some(Target { url, secrets: vec![WEBHOOK_SECRET.to_owned()] }));
    let units = i64::try_from(purchases).expect("not that many");
    let sale = Sale::open(&house, Plan { units, ..Plan::default() }).await;
    let seed = std::env::var("HANAMICHI_FAULT_SEED").map_or_else(
        |_| u64::from(getrandom::u32().expect("randomness")),
        |text| text.parse().expect("HANAMICHI_FAULT_SEED is a number"),
    );
    eprintln!("HANAMICHI_FAULT_SEED={seed} does this again");
    sim.plan(Faults::everything(seed, EACH));
    let over = Arc::new(AtomicBool::new(false));
    let pump = tokio::spawn({
        let (clock, over) = (clock.clone(), Arc::clone(&over));
        async move {
            while !over.load(Ordering::Relaxed) {
                tokio::time::sleep(PUMP.0).await;
                clock.advance(PUMP.1);
            }
        }
    });
    let began = Instant::now();
    let mut buyers: JoinSet<Vec<(Way, String)>> = JoinSet::new();
    let mut made: Vec<(Way, String)> = Vec::with_capacity(purchases);
    for first in (0..purchases).step_by(PER_BUYER) {
        if buyers.len() >= AT_ONCE {
            made.extend(buyers.join_next().await.expect("there are some").expect("no buyer fails"));
        }
        let (sim, base, offer) = (Arc::clone(&sim), house.base(), sale.offer.clone());
        let last = (first + PER_BUYER).min(purchases);
        buyers.spawn(async move {
            let buyer = Actor::sign_up(&base, "花子").await;
            let mut made = Vec::new();
            for n in first..last {
                let way = Way::of(mix(seed ^ n as u64));
                made.push((way, buy(&buyer, &sim, &offer, way, n).await));
            }
            made
        });
    }
    while let Some(more) = buyers.join_next().await {
        made.extend(more.expect("no buyer fails"));
    }
    let took = began.elapsed();
    settle(&house.database.url, &clock, &sim).await;
    let bought = compare(&house.database.url, &sim).await;
    let done = ship_and_give_back(&sale, &house).await;
    settle(&house.database.url, &clock, &sim).await;
    // Two days later the provider's books have every line, and whatever is missing would be told.
    clock.advance(Duration::from_secs(2 * 24 * 3_600));
    sim.plan(Faults::default());
    let run = sale.operator.request(reqwest::Method::POST, "/v1/reconciliation/runs");
    let report = sale.operator.insist(run).await.0;
    assert!((200..300).contains(&report.status), "{}", report.body);
    let (open, difference) = (&report.body["open"], &report.body["difference_minor"]);
    assert_eq!((open, difference), (&json!(0), &json!(0)), "the first of them: {}", report.body["items"][0]);
    over.store(true, Ordering::Relaxed);
    pump.await.expect("the clock ran");
    verify(&house.database.url).await;
    let end = compare(&house.database.url, &sim).await;
    let held = number(&house.database.url, "SELECT CAST(COALESCE(SUM(held), 0) AS BIGINT) FROM stock").await;
    let unsent = number(
        &house.database.url,
        "SELECT COUNT(*) FROM purchases WHERE state IN ('authorized', 'captured') AND left_at_ms IS NULL",
    )
    .await;
    assert_eq!(held, unsent, "nothing is held but what is sold and not sent");
    assert_eq!(made.len(), purchases);
    let paid_ways = made.iter().filter(|(way, _)| matches!(way, Way::Card)).count();
    assert!(bought.charged * 10 >= paid_ways * 9, "most of those who could pay have paid: {bought:?}");
    print(engine, &made, took, &sim, &[("bought", &bought), ("in the end", &end)], &done);
}

fn print(
    engine: Engine,
    made: &[(Way, String)],
    took: Duration,
    sim: &Simulator,
    verdicts: &[(&str, &Verdict)],
    done: &BTreeMap<&'static str, usize>,
) {
    let mut ways: BTreeMap<Way, usize> = BTreeMap::new();
    for (way, _) in made {
        *ways.entry(*way).or_default() += 1;
    }
    eprintln!("{engine:?}: {} purchases in {:.1} s", made.len(), took.as_secs_f64());
    for (way, count) in ways {
        eprintln!("  {count:>7}  {way:?}");
    }
    for (fault, count) in sim.counts() {
        eprintln!("  {count:>7}  fault: {fault}");
    }
    for (when, verdict) in verdicts {
        for (state, count) in &verdict.states {
            eprintln!("  {count:>7}  {when}: {state}");
        }
    }
    for (what, count) in done {
        eprintln!("  {count:>7}  {what}");
    }
    eprintln!("        0  charged or given back twice, paid without an order, ordered without money, stranded");
}

both_databases!(whatever_goes_wrong_everybody_pays_once_or_not_at_all, async |engine: Engine| {
    everything_goes_wrong(engine, purchases()).await;
});

fn purchases() -> usize {
    std::env::var("HANAMICHI_PURCHASES").map_or(FEW, |text| text.parse().expect("HANAMICHI_PURCHASES is a number"))
}

/// At which question of the shop to the provider its process is killed, and what the provider does with the question.
const DEATHS: [(Op, Fault); 8] = [
    (Op::CreateCustomer, Fault::Silence),
    (Op::CreateIntent, Fault::Unavailable),
    (Op::CreateIntent, Fault::Silence),
    (Op::CreateIntent, Fault::ErrorAfter),
    (Op::ReadIntent, Fault::Silence),
    (Op::Capture, Fault::Silence),
    (Op::Cancel, Fault::Silence),
    (Op::CreateRefund, Fault::Silence),
];

/// The shop's process dies at a question to the provider, and another one goes on: whatever the provider did is known in
/// the end, and was done once.
async fn killed_at_every_question(engine: Engine) {
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis();
    let sim = Arc::new(Simulator::start(Settings::by(move || i64::try_from(now()).expect("small"))).await);
    let database = Database::fresh(engine).await;
    let port = free_port();
    let keys = [
        ("HANAMICHI_PUBLIC_URL", "http://shop.test".to_owned()),
        ("HANAMICHI_COMMERCE__PAYMENT", "stripe".to_owned()),
        ("HANAMICHI_COMMERCE__STRIPE__SECRET_KEY", SECRET_KEY.to_owned()),
        ("HANAMICHI_COMMERCE__STRIPE__PUBLISHABLE_KEY", "pk_test_s1mulat0r".to_owned()),
        ("HANAMICHI_COMMERCE__STRIPE__WEBHOOK_SECRETS", format!("[\"{WEBHOOK_SECRET}\"]")),
        ("HANAMICHI_COMMERCE__STRIPE__BASE_URL", sim.base.clone()),
        ("HANAMICHI_COMMERCE__STRIPE__TIMEOUT_MS", "1000".to_owned()),
    ];
    let keys: Vec<(&str, &str)> = keys.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut server = Process::start_with(&database.url, port, &keys).await;
    let url = format!("{}/v1/webhooks/stripe", server.base);
    let sale = Sale::open_at(&server.base, Plan { units: 100, ..Plan::default() }).await;
    for (n, (op, fault)) in DEATHS.into_iter().enumerate() {
        // Without the provider's messages every second time: then asking alone must find out.
        let secrets = vec![WEBHOOK_SECRET.to_owned()];
        sim.tell(n.is_multiple_of(2).then(|| Target { url: url.clone(), secrets }));
        let buyer = Actor::sign_up(&server.base, "花子").await;
        let seen = sim.recorded().len();
        let happened = |op: Op| sim.recorded()[seen..].iter().any(|question| question.op == op);
        let begun = begin(op, fault, &sim, &buyer, &sale, n).await;
        let asked = async {
            while !happened(op) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| panic!("{op:?} is asked"));
        server.kill();
        begun.abort();
        verify(&database.url).await;
        server = Process::start_with(&database.url, port, &keys).await;
        let quiet = async {
            while number(&database.url, OPEN).await > 0 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let late = tokio::time::timeout(PATIENCE * 3, quiet).await.is_err();
        assert!(!late, "killed at {op:?} ({}): {}", fault.name(), left_over(&database.url).await);
        verify(&database.url).await;
        compare(&database.url, &sim).await;
    }
    let end = compare(&database.url, &sim).await;
    eprintln!("{engine:?}: killed at {} questions; {end:?}", DEATHS.len());
}

/// Does what makes the shop ask this, in a task that dies with the shop.
async fn begin(
    op: Op,
    fault: Fault,
    sim: &Simulator,
    buyer: &Actor,
    sale: &Sale,
    n: usize,
) -> tokio::task::JoinHandle<()> {
    let (card, asks) = (format!("ctoken_card__k{n}"), format!("ctoken_card_threeDSecure__k{n}"));
    let (buyer, brand, offer) = (buyer.clone(), sale.brand.clone(), sale.offer.clone());
    let mut request = None;
    match op {
        Op::Capture => {
            let paid = buyer.until(&tap(&buyer, &offer, &card).await, "authorized").await;
            let path = format!("/v1/orders/{}/fulfilment", text(&paid, "order_id"));
            request = Some(brand.request(reqwest::Method::POST, &path));
        }
        Op::CreateRefund => {
            let paid = buyer.until(&tap(&buyer, &offer, &card).await, "authorized").await;
            let order = text(&paid, "order_id");
            brand.post(&format!("/v1/orders/{order}/fulfilment"), json!({})).await.expect(200);
            let back = json!({ "restock": true, "reason": "サイズ違い" });
            request = Some(brand.keyed(&format!("/v1/orders/{order}/refunds"), "return", &back));
        }
        Op::Cancel | Op::ReadIntent => {
            let asked = buyer.until(&tap(&buyer, &offer, &asks).await, "requires_action").await;
            let path =
                format!("/v1/purchases/{}/{}", text(&asked, "id"), if op == Op::Cancel { "cancel" } else { "refresh" });
            if op == Op::ReadIntent {
                let intent = sim.books(|books| books.intents.keys().next_back().cloned()).expect("it was made");
                sim.change(|books| books.approve(&intent));
            }
            request = Some(buyer.request(reqwest::Method::POST, &path).json(&json!({})));
        }
        _ => {}
    }
    sim.next(op, fault);
    tokio::spawn(async move {
        match request {
            // No answer is awaited: who asked dies too.
            Some(request) => drop(request.send().await),
            None => drop(tap(&buyer, &offer, &card).await),
        }
    })
}

both_databases!(killed_at_any_question_to_the_provider_it_does_nothing_twice, async |engine: Engine| {
    killed_at_every_question(engine).await;
});

both_databases!(a_buyer_whom_the_provider_could_not_be_told_of_pays_a_minute_later, async |engine: Engine| {
    let clock = Clock::manual(Millis(1_800_000_000_000));
    let hand = clock.clone();
    let sim = Simulator::start(Settings::by(move || hand.now().0)).await;
    let base = sim.base.clone();
    let house = House::open_as(engine, clock.clone(), move |config| paid_by(&base, config)).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let buyer = Actor::sign_up(&house.base(), "花子").await;
    // The error stays the answer of its key for a day.
    sim.next(Op::CreateCustomer, Fault::Error);
    let bought = tap(&buyer, &sale.offer, "ctoken_card__late").await;
    let patience = Instant::now() + PATIENCE;
    while load(&buyer, &text(&bought, "id")).await["state"] == "paying" && Instant::now() < patience {
        clock.advance(Duration::from_secs(2));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    buyer.until(&bought, "authorized").await;
    assert_eq!(sim.counts().get("500 before commit"), Some(&1));
    verify(&house.database.url).await;
});
