//! A drop: more buyers than the provider takes payments a second. Everybody hears their place and about how long it takes,
//! nobody's units are let go meanwhile, and the provider is never asked faster than it allows.

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use hanamichi::clock::Clock;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    harness::{Actor, Engine, House, PATIENCE, Plan, Sale, fresh_name, text, verify},
    payment_faults::{WEBHOOK_SECRET, compare, paid_by},
    stripe::{Settings, Simulator, Target},
};

/// Units and buyers when nothing is said.
const FEW: usize = 100;
/// What Stripe takes of one account a second.
const PER_S: u32 = 25;

/// What one buyer saw.
struct Seen {
    /// The greatest place in the queue, and the estimate that was said with it.
    place: u64,
    estimate: Duration,
    took: Duration,
    end: Value,
}

async fn wait_for(buyer: Actor, offer: String, n: usize) -> Seen {
    let began = Instant::now();
    let method = format!("ctoken_card__d{n}");
    let wish = json!({ "offer_id": offer, "qty": 1, "payment_method": method });
    let bought = buyer.insist(buyer.keyed("/v1/purchases", &fresh_name(), &wish)).await.0.expect(201);
    let path = format!("/v1/purchases/{}", text(&bought, "id"));
    let (mut now, mut place, mut estimate) = (bought, 0, Duration::ZERO);
    loop {
        if let (Some(before), Some(ms)) = (now["payments_before"].as_u64(), now["payment_estimate_ms"].as_u64())
            && before > place
        {
            (place, estimate) = (before, Duration::from_millis(ms));
        }
        if now["state"] != "paying" {
            return Seen { place, estimate, took: began.elapsed(), end: now };
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        now = buyer.insist(buyer.request(reqwest::Method::GET, &path)).await.0.expect(200);
    }
}

/// `HANAMICHI_DROP=1000` has a thousand of them, which takes forty seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_in_a_drop_hears_their_place_and_nobody_is_lost() {
    let buyers = std::env::var("HANAMICHI_DROP").map_or(FEW, |text| text.parse().expect("HANAMICHI_DROP is a number"));
    let clock = Clock::system();
    let hand = clock.clone();
    let settings = Settings { per_endpoint_per_s: 25, ..Settings::by(move || hand.now().0) };
    let sim = Simulator::start(settings).await;
    let base = sim.base.clone();
    let house = House::open_as(Engine::Postgres, clock, move |config| {
        let mut config = paid_by(&base, config);
        let per_s = NonZeroU32::new(PER_S).expect("not zero");
        config.commerce.stripe.per_endpoint_per_s = per_s;
        config.commerce.hold_ttl_s = 10;
        config
    })
    .await;
    sim.tell(Some(Target {
        url: format!("{}/v1/webhooks/stripe", house.base()),
        secrets: vec![WEBHOOK_SECRET.to_owned()],
    }));
    let units = i64::try_from(buyers).expect("not that many");
    let sale = Sale::open(&house, Plan { units, ..Plan::default() }).await;
    let mut signing_up = JoinSet::new();
    for _ in 0..buyers {
        let base = house.base();
        signing_up.spawn(async move { Actor::sign_up(&base, "花子").await });
    }
    let people = signing_up.join_all().await;
    let began = Instant::now();
    let mut queue = JoinSet::new();
    for (n, buyer) in people.into_iter().enumerate() {
        queue.spawn(wait_for(buyer, sale.offer.clone(), n));
    }
    let patience = PATIENCE + Duration::from_millis(1_000 * buyers as u64 / u64::from(PER_S)) * 2;
    let seen: Vec<Seen> = tokio::time::timeout(patience, queue.join_all()).await.expect("everybody has an answer");
    let took = began.elapsed();
    let paid = seen.iter().filter(|one| one.end["state"] == "authorized").count();
    assert_eq!(paid, buyers, "as many units as buyers, so everybody has one");
    let waited = seen.iter().filter(|one| one.place > 0).count();
    // Who comes first need not wait.
    let must_wait = buyers - usize::try_from(PER_S).expect("small");
    assert!(waited * 10 >= must_wait * 8, "whoever waits hears their place: {waited} of {buyers}");
    let furthest = seen.iter().max_by_key(|one| one.place).expect("there are some");
    assert!(usize::try_from(furthest.place).expect("small") >= buyers / 2, "places are counted: {}", furthest.place);
    // Nobody is promised half of what it takes, nor ten times as much.
    assert!(
        furthest.estimate * 2 >= furthest.took / 2 && furthest.estimate <= furthest.took * 10,
        "estimates are about right"
    );
    let longest = seen.iter().map(|one| one.took).max().expect("there are some");
    verify(&house.database.url).await;
    let verdict = compare(&house.database.url, &sim).await;
    assert_eq!(verdict.charged, buyers);
    let refused = sim.counts().get("429").copied().unwrap_or(0);
    eprintln!(
        "{buyers} units, {buyers} buyers, {PER_S} payments/s: all paid in {:.1} s (longest wait {:.1} s, holds of 10 s by themselves); \
         {waited} heard a place, the last one {} before them and {:.1} s; the provider said {refused} times that it is too much",
        took.as_secs_f64(),
        longest.as_secs_f64(),
        furthest.place,
        furthest.estimate.as_secs_f64(),
    );
}
