//! Figures about people: told from ten of them on, and not of nine.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hanamichi::live::Codec;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    both_databases,
    harness::{Actor, Engine, House, PATIENCE, Plan, Sale, count, text, verify},
    viewer::{self, Pace, Viewer},
};

const PRICE: i64 = 1_080;

/// People who came to a live, and watch.
struct Audience {
    people: Vec<(Actor, Viewer)>,
}

async fn until(what: &str, true_yet: impl AsyncFn() -> bool) {
    let waiting = async {
        while !true_yet().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

async fn watching(house: &House, sale: &Sale, wanted: usize) {
    let guest = Actor::guest(&house.base());
    let live = format!("/v1/lives/{}", sale.live);
    until("so many watch", async || guest.get(&live).await.expect(200)["viewers"] == wanted).await;
}

async fn come(house: &House, sale: &Sale, number: usize) -> Audience {
    let mut people = Vec::new();
    for n in 0..number {
        let actor = Actor::sign_up(&house.base(), &format!("客{n}")).await;
        let viewer = Viewer::join(&actor, &sale.live, Codec::Json, &[house.base()]).await;
        people.push((actor, viewer));
    }
    Audience { people }
}

/// Opens the card of the pinned product, on a connection of its own, as a second window does.
async fn tap(actor: &Actor, sale: &Sale, pin: &str) {
    let pace = watch::channel(Pace::Free).0;
    let mut socket = viewer::open(actor, &sale.live, Codec::Json, &pace).await.expect("a connection");
    for frame in [json!({ "resume": {} }), json!({ "id": 7, "click": { "pin_id": pin } })] {
        socket.send(tokio_tungstenite::tungstenite::Message::text(frame.to_string())).await.expect("sent");
    }
    let answered = async {
        while let Some(Ok(message)) = socket.next().await {
            let Ok(text) = message.to_text() else { continue };
            let frame: Value = serde_json::from_str(text).unwrap_or_default();
            if frame["reply"]["id"].as_u64() == Some(7) || frame["reply"]["id"] == "7" {
                assert!(frame["reply"].get("problem").is_none(), "{frame}");
                return;
            }
        }
        panic!("no answer to the tap");
    };
    tokio::time::timeout(PATIENCE, answered).await.expect("an answer");
}

async fn buy(actor: &Actor, sale: &Sale, qty: u32) {
    let purchase = actor.buy(&sale.offer, qty, Some("sandbox_card")).await.expect(201);
    actor.until(&purchase, "authorized").await;
}

/// What the brand reads of this live: its row of the audience, of the cohorts, and its pin.
async fn told(sale: &Sale) -> (Value, Value, Value) {
    let of = async |tail: &str| sale.brand.get(&format!("/v1/brands/{}/{tail}", sale.brand_id)).await.expect(200);
    let row = |report: Value| {
        let rows = report["rows"].as_array().expect("rows");
        rows.iter().find(|row| row["live_id"] == sale.live).expect("the live").clone()
    };
    let timeline = of(&format!("lives/{}/timeline", sale.live)).await;
    (row(of("reports/audience").await), row(of("reports/ltv").await), timeline["pins"][0].clone())
}

both_databases!(figures_about_people_are_told_from_ten_on, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let sale = Sale::open(&house, Plan { units: 500, price: PRICE, ..Plan::default() }).await;
    let url = &house.database.url;
    let stored = async |figure: &str, table: &str, least: i64| {
        let query = format!("SELECT COALESCE(MAX({figure}), 0) FROM {table}");
        until(figure, async || count(url, &query).await >= least).await;
    };
    // Ten who go before a second is over: they came, and have not watched.
    drop(come(&house, &sale, 10).await);
    watching(&house, &sale, 0).await;

    let nine = come(&house, &sale, 9).await;
    house.clock.advance(Duration::from_secs(4));
    let timeline = format!("/v1/brands/{}/lives/{}/timeline", sale.brand_id, sale.live);
    let pin = text(&sale.brand.get(&timeline).await.expect(200)["pins"][0], "pin_id");
    // (Estimates: two of nine may fall together.)
    stored("watchers", "audiences", 7).await;
    for (actor, _) in &nine.people {
        tap(actor, &sale, &pin).await;
        buy(actor, &sale, 1).await;
    }
    stored("tapped_by", "pin_audiences", 7).await;
    let (audience, cohort, shown) = told(&sale).await;
    assert_eq!((&audience["buyers"], &audience["conversion_bp"]), (&Value::Null, &Value::Null), "{audience}");
    assert_eq!((&cohort["customers"], &cohort["ltv_90_minor"]), (&Value::Null, &Value::Null), "{cohort}");
    assert_eq!((&shown["shown_to"], &shown["clickers"], &shown["ctr_bp"]), (&Value::Null, &Value::Null, &Value::Null));
    assert_eq!((&shown["orders"], &audience["gross_minor"]), (&json!(9), &json!(9 * PRICE)), "money is told");
    let lives = format!("/v1/brands/{}/reports/live", sale.brand_id);
    let totals = sale.brand.get(&lives).await.expect(200)["totals"].clone();
    assert_eq!((&totals["orders"], &totals["buyers"]), (&json!(9), &Value::Null));

    // Three more buyers who tap, and three more who only watch.
    let six = come(&house, &sale, 6).await;
    house.clock.advance(Duration::from_secs(4));
    for (actor, _) in &six.people[..3] {
        tap(actor, &sale, &pin).await;
        buy(actor, &sale, 2).await;
    }
    stored("tapped_by", "pin_audiences", 10).await;
    stored("watchers", "audiences", 13).await;
    let (audience, cohort, shown) = told(&sale).await;
    let number = |of: &Value, field: &str| of[field].as_i64().unwrap_or_else(|| panic!("no {field}: {of}"));
    let (watchers, came) = (number(&audience, "watchers"), number(&audience, "unique_viewers"));
    assert!((13..=15).contains(&watchers), "fifteen watched: {audience}");
    assert!(came >= watchers + 7, "ten more came: {audience}");
    assert_eq!((number(&audience, "buyers"), number(&audience, "net_minor")), (12, 15 * PRICE));
    assert_eq!(number(&audience, "conversion_bp"), 12 * 10_000 / watchers, "of who watched, not of who came");
    assert_eq!((number(&cohort, "customers"), number(&cohort, "ltv_90_minor")), (12, 15 * PRICE / 12));
    assert_eq!((&cohort["ltv_365_minor"], &cohort["complete_90"]), (&json!(15 * PRICE / 12), &json!(false)));
    let (shown_to, clickers) = (number(&shown, "shown_to"), number(&shown, "clickers"));
    assert!((13..=15).contains(&shown_to) && (10..=12).contains(&clickers), "{shown}");
    assert_eq!(number(&shown, "ctr_bp"), clickers * 10_000 / shown_to);
    let definitions = sale.brand.get(&format!("/v1/brands/{}/reports/audience", sale.brand_id)).await.expect(200);
    let said = definitions["definitions"].as_array().expect("definitions").iter();
    let mut said = said.filter(|d| d["name"] == "conversion_bp").map(|d| (text(d, "ja"), text(d, "en")));
    let (ja, en) = said.next().expect("it is defined");
    assert!(ja.contains("3秒") && en.contains("three seconds"), "{ja} {en}");

    // A day later: twelve come back, and nine buy for the first time.
    house.clock.advance(Duration::from_secs(24 * 3600));
    let since = house.clock.now().0;
    for (actor, _) in nine.people.iter().chain(&six.people[..3]) {
        buy(actor, &sale, 1).await;
    }
    let newcomer = async || buy(&Actor::sign_up(&house.base(), "はじめて").await, &sale, 1).await;
    for _ in 0..9 {
        newcomer().await;
    }
    let split = async || sale.brand.get(&format!("{lives}?from_ms={since}")).await.expect(200)["totals"].clone();
    let totals = split().await;
    assert_eq!(totals["buyers"], 21);
    assert_eq!((&totals["new_buyers"], &totals["returning_buyers"]), (&Value::Null, &Value::Null), "nine are new");
    newcomer().await;
    let totals = split().await;
    assert_eq!(
        (&totals["buyers"], &totals["new_buyers"], &totals["returning_buyers"]),
        (&json!(22), &json!(10), &json!(12))
    );
    // What they have bought since is theirs; those who came first today are of the same live.
    let (_, cohort, _) = told(&sale).await;
    assert_eq!((number(&cohort, "customers"), number(&cohort, "ltv_90_minor")), (22, (15 + 22) * PRICE / 22));
    verify(url).await;
});
