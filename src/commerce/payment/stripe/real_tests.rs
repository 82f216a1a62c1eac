//! The same questions to Stripe itself, in its sandbox: only when `HANAMICHI_STRIPE_TEST_KEY` is set to a test key of an
//! account that takes yen. No money moves.

use std::io::Write as _;

use super::{
    tests::{Try, config, yen},
    *,
};
use crate::commerce::payment::words::{EntryKind, RefundStatus, SetupState, Source};

#[expect(clippy::disallowed_methods, reason = "only who has a key can run this")]
fn stripe() -> Option<Stripe> {
    let Ok(key) = std::env::var("HANAMICHI_STRIPE_TEST_KEY") else {
        // Past the test runner, which keeps to itself what a test that passes prints.
        let said = b"\nNOT RUN against Stripe itself: HANAMICHI_STRIPE_TEST_KEY is not set\n";
        std::io::stderr().write_all(said).expect("standard error is open");
        return None;
    };
    assert!(key.starts_with("sk_test_") || key.starts_with("rk_test_"), "only a test key");
    let config = StripeConfig {
        secret_key: Secret::new(key),
        timeout_ms: 30_000,
        per_endpoint_per_s: std::num::NonZeroU32::MIN,
        ..config("https://api.stripe.com")
    };
    Some(Stripe::new(config, Clock::system()).expect("a way"))
}

#[tokio::test]
async fn stripe_itself_reserves_takes_and_gives_back() {
    let Some(stripe) = stripe() else { return };
    let began = Clock::system().now();
    let customer = stripe.customer(&CustomerId::fresh()).await.expect("a customer");
    let setup = stripe.begin_setup(&customer, &format!("setup:{customer}"), None).await.expect("begun");
    assert_eq!(setup.state, SetupState::RequiresAction);
    assert!(matches!(setup.action, Some(Action::Stripe { .. })));

    let card = Source::Saved("pm_card_jp".to_owned());
    let one = Try::at(began, &customer, card.clone());
    let made = stripe.charge(&one.charge()).await.expect("made");
    assert_eq!((made.status, made.attempt.as_deref()), (Status::Authorized, Some(&*one.key)));
    assert!(made.capture_before.is_some() && made.charge.is_some());
    assert_eq!(stripe.charge(&one.charge()).await.expect("the same").id, made.id);
    assert_eq!(stripe.find(&one.charge()).await.expect("found").map(|found| found.id), Some(made.id.clone()));
    let dearer = Try { amount: yen(2_000), ..Try::at(began, &customer, card.clone()) };
    let dearer = Try { key: one.key.clone(), purchase: one.purchase.clone(), ..dearer };
    assert_eq!(stripe.charge(&dearer.charge()).await, Err(Trouble::KeyMet));

    let taken = stripe.capture(&made.id, yen(1_500)).await.expect("taken");
    assert_eq!((taken.status, taken.captured_minor), (Status::Captured, 1_500));
    assert_eq!(stripe.cancel(&made.id).await.expect("its state").status, Status::Captured);
    let key = format!("refund:{}", made.id);
    let back = stripe.refund(&made.id, yen(500), &key).await.expect("given back");
    assert_eq!((back.status, back.amount_minor), (RefundStatus::Succeeded, 500));
    assert_eq!(stripe.find_refund(&made.id, &key).await.expect("found").map(|found| found.id), Some(back.id));
    assert!(stripe.refund(&made.id, yen(1_001), &format!("{key}:more")).await.is_err());

    let declined = Try::at(began, &customer, Source::Saved("pm_card_visa_chargeDeclined".to_owned()));
    let declined = stripe.charge(&declined.charge()).await.expect("it exists");
    assert_eq!((declined.status, declined.decline_code.as_deref()), (Status::Failed, Some("generic_decline")));
    assert_eq!(stripe.cancel(&declined.id).await.expect("off").status, Status::Cancelled);
    let asks = Try::at(began, &customer, Source::Saved("pm_card_authenticationRequired".to_owned()));
    let asks = stripe.charge(&asks.charge()).await.expect("made");
    assert_eq!(asks.status, Status::RequiresAction);
    assert!(matches!(stripe.action(&asks.id).await, Ok(Some(Action::Stripe { .. }))));

    let until = Clock::system().now().plus(Duration::from_secs(60));
    let page = stripe.entries(Millis(began.0 - 60_000), until, None).await.expect("the books");
    let ours = page.entries.iter().find(|entry| entry.intent.as_deref() == Some(&*made.id));
    assert!(ours.is_some_and(|entry| matches!(entry.kind, EntryKind::Charge | EntryKind::Refund)));
}
