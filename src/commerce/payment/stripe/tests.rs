//! Every question to Stripe, against a simulated one (tests/stripe): over a socket, with everything that can go wrong.

use std::{num::NonZeroU32, time::Duration};

use super::*;
use crate::{
    commerce::payment::words::{EntryKind, EventObject, RefundStatus, SetupState, Slow, Source},
    config::PayMethod,
    ids::PurchaseId,
};

#[path = "../../../../tests/stripe/mod.rs"]
pub(super) mod simulator;

use simulator::{Fault, Kind, Op, Settings, Simulator, openapi};

const START: Millis = Millis(1_790_000_000_000);
const WEBHOOK_SECRET: &str = "whsec_s1mulat0r";

struct Shop {
    sim: Simulator,
    stripe: Stripe,
    clock: Clock,
}

pub(super) fn config(base_url: &str) -> StripeConfig {
    let fast = NonZeroU32::new(10_000).expect("not zero");
    StripeConfig {
        secret_key: Secret::new(simulator::SECRET_KEY),
        publishable_key: "pk_test_s1mulat0r".to_owned(),
        webhook_secrets: vec![Secret::new(WEBHOOK_SECRET)],
        base_url: base_url.to_owned(),
        methods: vec![PayMethod::Card, PayMethod::Paypay, PayMethod::Konbini],
        per_endpoint_per_s: fast,
        per_account_per_s: fast,
        timeout_ms: 400,
    }
}

pub(super) fn yen(minor: i64) -> Money {
    Money::yen(minor).expect("an amount")
}

impl Shop {
    async fn open() -> Self {
        let clock = Clock::manual(START);
        let hand = clock.clone();
        let sim = Simulator::start(Settings::by(move || hand.now().0)).await;
        let stripe = Stripe::new(config(&sim.base), clock.clone()).expect("a way");
        Self { sim, stripe, clock }
    }

    async fn customer(&self) -> String {
        self.stripe.customer(&CustomerId::fresh()).await.expect("a customer")
    }

    async fn saved(&self, customer: &str, kind: Kind) -> Source {
        let setup = self.stripe.begin_setup(customer, &format!("setup:{}", CustomerId::fresh()), None).await;
        let setup = setup.expect("begun");
        assert!(self.sim.change(|books| books.confirm_setup(&setup.id, kind)));
        self.sim.change(|books| books.answer_setup(&setup.id, true));
        let saved = self.stripe.read_setup(&setup.id).await.expect("read");
        Source::Saved(saved.card.expect("it is saved").method)
    }

    fn token(&self, kind: Kind) -> Source {
        Source::Token(self.sim.change(|books| books.add_token(kind)))
    }

    fn intents(&self) -> usize {
        self.sim.books(|books| books.intents.len())
    }

    /// Everything that was asked and shown is as Stripe describes it, and every write had a key.
    fn close(&self) {
        for asked in self.sim.recorded() {
            assert_eq!(openapi::faults(&asked), Vec::<String>::new());
            assert_eq!(asked.version.as_deref(), Some(openapi::version()));
            assert_eq!(asked.key.is_some(), asked.method == "POST", "{asked:?}");
        }
        let wrong = self.sim.books(|books| {
            let intents = books.intents.values().map(|intent| books.show_intent(intent, &["latest_charge".to_owned()]));
            let refunds = books.refunds.values().map(|refund| books.show_refund(refund));
            let lines = books.lines.values().map(|line| books.show_line(line, &["source".to_owned()]));
            let setups = books.setups.values().map(|setup| books.show_setup(setup, &["payment_method".to_owned()]));
            let customers = books.customers.values().map(|customer| books.show_customer(customer));
            let shown = intents.chain(refunds).chain(lines).chain(setups).chain(customers);
            shown.flat_map(|object| openapi::object_faults(&object)).collect::<Vec<_>>()
        });
        assert_eq!(wrong, Vec::<String>::new());
        let (lines, explained) = self.sim.books(simulator::Books::balances);
        assert_eq!(lines, explained, "the simulator's own books balance");
    }
}

/// What one attempt says each time.
pub(super) struct Try {
    pub(super) purchase: PurchaseId,
    pub(super) key: String,
    pub(super) source: Source,
    pub(super) customer: String,
    pub(super) amount: Money,
    pub(super) slow: Slow,
    pub(super) created_at: Millis,
}

impl Try {
    fn of(shop: &Shop, customer: &str, source: Source) -> Self {
        Self::at(shop.clock.now(), customer, source)
    }

    pub(super) fn at(created_at: Millis, customer: &str, source: Source) -> Self {
        let purchase = PurchaseId::fresh();
        Self {
            key: format!("pi:{purchase}:1"),
            purchase,
            source,
            customer: customer.to_owned(),
            amount: yen(1_980),
            slow: Slow::Allowed,
            created_at,
        }
    }

    pub(super) fn charge(&self) -> Charge<'_> {
        Charge {
            key: &self.key,
            purchase: &self.purchase,
            amount: self.amount,
            source: &self.source,
            customer: &self.customer,
            slow: self.slow,
            return_url: "https://live.example.jp/back",
            created_at: self.created_at,
        }
    }
}

fn refused(code: &str) -> Trouble {
    Trouble::Refused { code: code.to_owned() }
}

#[tokio::test]
async fn a_card_is_saved_reserved_and_taken() {
    let shop = Shop::open().await;
    let customer = shop.customer().await;
    let setup = shop.stripe.begin_setup(&customer, "setup:1", None).await.expect("begun");
    assert_eq!((setup.state, setup.card.clone()), (SetupState::RequiresAction, None));
    let Some(Action::Stripe { client_secret, publishable_key }) = setup.action.clone() else { panic!("{setup:?}") };
    assert!(client_secret.starts_with(&setup.id) && publishable_key == "pk_test_s1mulat0r");
    // Asked again, it is the same one.
    assert_eq!(shop.stripe.begin_setup(&customer, "setup:1", None).await.expect("begun"), setup);
    assert!(shop.sim.change(|books| books.confirm_setup(&setup.id, Kind::THREE_DS)));
    let asked = shop.stripe.read_setup(&setup.id).await.expect("read");
    assert_eq!((asked.state, asked.card), (SetupState::RequiresAction, None));
    assert!(shop.sim.change(|books| books.answer_setup(&setup.id, true)));
    let saved = shop.stripe.read_setup(&setup.id).await.expect("read");
    let card = saved.card.expect("it is saved");
    assert_eq!((saved.state, saved.action), (SetupState::Saved, None));
    assert_eq!((card.customer.as_str(), card.last4.as_str(), card.brand.as_str()), (&*customer, "3184", "visa"));
    assert_eq!((card.exp_month, card.exp_year), (12, 2034));

    // Its bank saw the buyer, and does not ask again.
    let one = Try::of(&shop, &customer, Source::Saved(card.method));
    let made = shop.stripe.charge(&one.charge()).await.expect("made");
    assert_eq!((made.status, made.amount_minor, made.captured_minor), (Status::Authorized, 1_980, 0));
    assert_eq!((made.method.as_deref(), made.attempt.as_deref()), (Some("card"), Some(&*one.key)));
    assert_eq!(made.capture_before, Some(START.plus(Duration::from_secs(30 * 86_400))));
    assert!(made.charge.as_ref().is_some_and(|charge| charge.starts_with("ch_")) && made.decline_code.is_none());
    assert_eq!(shop.stripe.charge(&one.charge()).await.expect("again"), made);
    assert_eq!(shop.stripe.read(&made.id).await.expect("read"), made);
    assert_eq!(shop.stripe.find(&one.charge()).await.expect("found"), Some(made.clone()));
    assert_eq!(shop.stripe.action(&made.id).await.expect("nothing to do"), None);
    assert_eq!(shop.intents(), 1);

    // More than was reserved cannot be taken; less can, and then no more.
    assert_eq!(shop.stripe.capture(&made.id, yen(1_981)).await, Err(refused("amount_too_large")));
    let taken = shop.stripe.capture(&made.id, yen(1_500)).await.expect("taken");
    assert_eq!((taken.status, taken.captured_minor), (Status::Captured, 1_500));
    assert_eq!(shop.stripe.capture(&made.id, yen(1_500)).await.expect("again").captured_minor, 1_500);
    assert_eq!(shop.stripe.capture(&made.id, yen(1_980)).await.expect("its state").captured_minor, 1_500);
    assert_eq!(shop.stripe.cancel(&made.id).await.expect("its state").status, Status::Captured);
    shop.close();
}

#[tokio::test]
async fn a_card_that_is_not_saved_is_said_not_to_be() {
    let shop = Shop::open().await;
    let customer = shop.customer().await;
    for (kind, yes) in [(Kind::DECLINED, true), (Kind::THREE_DS, false)] {
        let setup = shop.stripe.begin_setup(&customer, &format!("setup:{kind:?}"), None).await.expect("begun");
        shop.sim.change(|books| books.confirm_setup(&setup.id, kind));
        shop.sim.change(|books| books.answer_setup(&setup.id, yes));
        let over = shop.stripe.read_setup(&setup.id).await.expect("read");
        assert_eq!((over.state, over.card, over.action), (SetupState::Failed, None, None));
    }
    assert_eq!(shop.stripe.read_setup("seti_none").await.err(), Some(refused("resource_missing")));
    let test = shop.stripe.begin_setup(&customer, "setup:t", Some(TestMethod::Card)).await;
    assert_eq!(test.err(), Some(refused("test_method")));
    shop.close();
}

#[tokio::test]
async fn a_card_is_forgotten_once_or_twice() {
    let shop = Shop::open().await;
    let customer = shop.customer().await;
    let Source::Saved(card) = shop.saved(&customer, Kind::CARD).await else { panic!("saved") };
    assert_eq!(shop.stripe.forget_card(&card).await, Ok(()));
    assert_eq!(shop.stripe.forget_card(&card).await, Ok(()));
    // Also when the key's day is over, and when there is none.
    shop.clock.advance(Duration::from_secs(25 * 3_600));
    assert_eq!(shop.stripe.forget_card(&card).await, Ok(()));
    assert_eq!(shop.stripe.forget_card("pm_none").await, Ok(()));
    let late = Try::of(&shop, &customer, Source::Saved(card));
    assert!(matches!(shop.stripe.charge(&late.charge()).await, Err(Trouble::Refused { .. })));
    shop.close();
}

#[tokio::test]
async fn a_declined_card_is_told_and_its_payment_called_off() {
    let shop = Shop::open().await;
    let customer = shop.customer().await;
    for (kind, code) in [(Kind::DECLINED, "generic_decline"), (Kind::INSUFFICIENT, "insufficient_funds")] {
        for source in [shop.token(kind), shop.saved_declining(&customer, kind).await] {
            let one = Try::of(&shop, &customer, source);
            let made = shop.stripe.charge(&one.charge()).await.expect("it exists");
            assert_eq!((made.status, made.decline_code.as_deref()), (Status::Failed, Some(code)));
            assert_eq!((made.method.as_deref(), made.attempt.as_deref()), (Some("card"), Some(&*one.key)));
            // The same word the second time, and from the payment itself.
            assert_eq!(shop.stripe.charge(&one.charge()).await.expect("again").status, Status::Failed);
            let read = shop.stripe.read(&made.id).await.expect("read");
            assert_eq!((read.status, read.decline_code.as_deref()), (Status::Failed, Some(code)));
            let off = shop.stripe.cancel(&made.id).await.expect("off");
            assert_eq!(off.status, Status::Cancelled);
            assert_eq!(shop.stripe.cancel(&made.id).await.expect("again").status, Status::Cancelled);
        }
    }
    shop.close();
}

impl Shop {
    /// A card that was saved when it still worked.
    async fn saved_declining(&self, customer: &str, kind: Kind) -> Source {
        let Source::Saved(card) = self.saved(customer, Kind::CARD).await else { panic!("saved") };
        self.sim.change(|books| books.methods.get_mut(&card).expect("it is there").kind = kind);
        Source::Saved(card)
    }
}

#[tokio::test]
async fn the_bank_asks_the_buyer_in_the_page() {
    let shop = Shop::open().await;
    let customer = shop.customer().await;
    for (yes, after) in [(true, Status::Authorized), (false, Status::Failed)] {
        let one = Try::of(&shop, &customer, shop.token(Kind::THREE_DS));
        let made = shop.stripe.charge(&one.charge()).await.expect("made");
        assert_eq!(made.status, Status::RequiresAction);
        let action = shop.stripe.action(&made.id).await.expect("asked");
        let Some(Action::Stripe { client_secret, .. }) = action else { panic!("{action:?}") };
        assert!(client_secret.starts_with(&made.id));
        assert!(shop.sim.change(|books| if yes { books.approve(&made.id) } else { books.refuse(&made.id) }));
        let read = shop.stripe.read(&made.id).await.expect("read");
        assert_eq!(read.status, after);
        assert_eq!(shop.stripe.action(&made.id).await.expect("nothing"), None);
        let code = read.decline_code.as_deref();
        assert_eq!(code, (!yes).then_some("payment_intent_authentication_failure"));
    }
    // A bank may see the buyer and then say no.
    let one = Try::of(&shop, &customer, shop.token(Kind::THREE_DS_DECLINED));
    let made = shop.stripe.charge(&one.charge()).await.expect("made");
    shop.sim.change(|books| books.approve(&made.id));
    let read = shop.stripe.read(&made.id).await.expect("read");
    assert_eq!((read.status, read.decline_code.as_deref()), (Status::Failed, Some("generic_decline")));
    // Called off while the buyer is asked, it can never be paid.
    let one = Try::of(&shop, &customer, shop.token(Kind::THREE_DS));
    let made = shop.stripe.charge(&one.charge()).await.expect("made");
    assert_eq!(shop.stripe.cancel(&made.id).await.expect("off").status, Status::Cancelled);
    assert!(!shop.sim.change(|books| books.approve(&made.id)));
    shop.close();
}

#[tokio::test]
async fn paypay_leads_away_and_takes_the_money_at_once() {
    let shop = Shop::open().await;
    let customer = shop.customer().await;
    let one = Try::of(&shop, &customer, shop.token(Kind::Paypay));
    let made = shop.stripe.charge(&one.charge()).await.expect("made");
    assert_eq!((made.status, made.method.as_deref()), (Status::RequiresAction, Some("paypay")));
    let action = shop.stripe.action(&made.id).await.expect("asked");
    assert!(matches!(&action, Some(Action::Redirect { url }) if url.starts_with("http")), "{action:?}");
    assert!(shop.sim.change(|books| books.approve(&made.id)));
    let paid = shop.stripe.read(&made.id).await.expect("read");
    assert_eq!((paid.status, paid.captured_minor, paid.method.as_deref()), (Status::Captured, 1_980, Some("paypay")));
    assert_eq!(paid.capture_before, None);
    // Too late to call it off; nothing more to take.
    assert_eq!(shop.stripe.cancel(&made.id).await.expect("its state").status, Status::Captured);
    assert_eq!(shop.stripe.capture(&made.id, yen(1_980)).await.expect("its state").captured_minor, 1_980);
    // A refund takes its time.
    let back = shop.stripe.refund(&made.id, yen(980), "refund:p").await.expect("begun");
    assert_eq!(back.status, RefundStatus::Pending);
    shop.sim.change(simulator::Books::settle_refunds);
    assert_eq!(shop.stripe.read_refund(&back.id).await.expect("read").status, RefundStatus::Succeeded);
    shop.close();
}

#[tokio::test]
async fn konbini_is_paid_within_days_or_never() {
    let shop = Shop::open().await;
    let customer = shop.customer().await;
    let flash = Try { slow: Slow::Refused, ..Try::of(&shop, &customer, shop.token(Kind::Konbini)) };
    assert!(matches!(shop.stripe.charge(&flash.charge()).await, Err(Trouble::Refused { .. })));
    let paid = Try::of(&shop, &customer, shop.token(Kind::Konbini));
    let paid = shop.stripe.charge(&paid.charge()).await.expect("made");
    assert_eq!((paid.status, paid.method.as_deref()), (Status::RequiresAction, Some("konbini")));
    let action = shop.stripe.action(&paid.id).await.expect("a voucher");
    assert!(matches!(&action, Some(Action::Redirect { url }) if url.contains("voucher")), "{action:?}");
    let never = Try::of(&shop, &customer, shop.token(Kind::Konbini));
    let never = shop.stripe.charge(&never.charge()).await.expect("made");
    shop.clock.advance(Duration::from_secs(2 * 86_400));
    assert!(shop.sim.change(|books| books.approve(&paid.id)));
    assert_eq!(shop.stripe.read(&paid.id).await.expect("read").status, Status::Captured);
    shop.clock.advance(Duration::from_secs(2 * 86_400));
    let never = shop.stripe.read(&never.id).await.expect("read");
    let code = never.decline_code.as_deref();
    assert_eq!((never.status, code), (Status::Failed, Some("payment_intent_payment_attempt_expired")));
    // Stripe must first learn where the money goes.
    let back = shop.stripe.refund(&paid.id, yen(1_980), "refund:k").await.expect("begun");
    assert_eq!(back.status, RefundStatus::RequiresAction);
    shop.close();
}

/// What a fault says, whether the same key then tells what happened, and whether it happened.
const FAULTS: [(Fault, Trouble, bool, bool); 8] = [
    (Fault::Error, Trouble::NoAnswer, false, false),
    (Fault::ErrorAfter, Trouble::NoAnswer, false, true),
    (Fault::Silence, Trouble::NoAnswer, true, true),
    (Fault::Drop, Trouble::NoAnswer, true, true),
    (Fault::Garbage, Trouble::NoAnswer, true, true),
    (Fault::Huge, Trouble::NoAnswer, true, true),
    (Fault::Unavailable, Trouble::NoAnswer, true, false),
    (Fault::Busy, Trouble::Busy { retry_after: Some(Duration::from_secs(2)) }, true, false),
];

#[tokio::test]
async fn whatever_becomes_of_the_answer_a_payment_is_made_once() {
    let shop = Shop::open().await;
    let customer = shop.customer().await;
    for (fault, says, answers, done) in FAULTS {
        let one = Try::of(&shop, &customer, shop.saved(&customer, Kind::CARD).await);
        let before = shop.intents();
        shop.sim.next(Op::CreateIntent, fault);
        assert_eq!(shop.stripe.charge(&one.charge()).await, Err(says), "{fault:?}");
        assert_eq!(shop.intents() - before, usize::from(done), "{fault:?}");
        // The list says what happened, whatever the key says.
        let found = shop.stripe.find(&one.charge()).await.expect("the list answers");
        assert_eq!(found.as_ref().map(|intent| intent.status), done.then_some(Status::Authorized), "{fault:?}");
        let again = shop.stripe.charge(&one.charge()).await;
        if answers {
            let made = again.expect("the key answers");
            assert!(found.is_none_or(|found| found == made), "{fault:?}");
            assert_eq!(shop.intents() - before, 1, "{fault:?}");
        } else {
            // Stripe repeats its 500 for a day.
            assert_eq!(again, Err(Trouble::NoAnswer), "{fault:?}");
            assert_eq!(shop.intents() - before, usize::from(done), "{fault:?}");
        }
    }
    assert_eq!(shop.sim.books(simulator::Books::double_attempts), Vec::<String>::new());
    shop.close();
}

#[tokio::test]
async fn a_step_that_went_wrong_is_taken_all_the_same_and_once() {
    let shop = Shop::open().await;
    let customer = shop.customer().await;
    for (fault, says, _, _) in FAULTS {
        for op in [Op::Capture, Op::Cancel] {
            let one = Try::of(&shop, &customer, shop.saved(&customer, Kind::CARD).await);
            let made = shop.stripe.charge(&one.charge()).await.expect("made");
            shop.sim.next(op, fault);
            let step = async || match op {
                Op::Capture => shop.stripe.capture(&made.id, yen(1_980)).await,
                _ => shop.stripe.cancel(&made.id).await,
            };
            assert_eq!(step().await, Err(says.clone()), "{op:?} {fault:?}");
            // Also where the key keeps a 500: what the payment can do only once needs no key.
            let after = step().await.expect("its state");
            let expected = if op == Op::Capture { Status::Captured } else { Status::Cancelled };
            assert_eq!(after.status, expected, "{op:?} {fault:?}");
        }
    }
    let taken = shop.sim.books(|books| books.lines.values().filter(|line| line.category == "charge").count());
    assert_eq!(taken, FAULTS.len());
    shop.close();
}

#[tokio::test]
async fn a_refusal_of_yesterday_does_not_hold_today() {
    let shop = Shop::open().await;
    let customer = shop.customer().await;
    let one = Try::of(&shop, &customer, shop.saved(&customer, Kind::CARD).await);
    let made = shop.stripe.charge(&one.charge()).await.expect("made");
    let set = |status| shop.sim.change(|books| books.intents.get_mut(&made.id).expect("it is there").status = status);
    set("processing");
    assert_eq!(shop.stripe.cancel(&made.id).await.expect("its state").status, Status::Processing);
    set("requires_capture");
    assert_eq!(shop.stripe.cancel(&made.id).await.expect("off").status, Status::Cancelled);
    shop.close();
}

#[tokio::test]
async fn a_key_is_of_one_request_for_a_day() {
    let shop = Shop::open().await;
    let customer = shop.customer().await;
    let card = shop.saved(&customer, Kind::CARD).await;
    let one = Try::of(&shop, &customer, card.clone());
    let made = shop.stripe.charge(&one.charge()).await.expect("made");
    let other = Try {
        amount: yen(2_000),
        purchase: one.purchase.clone(),
        key: one.key.clone(),
        ..Try::of(&shop, &customer, card.clone())
    };
    assert_eq!(shop.stripe.charge(&other.charge()).await, Err(Trouble::KeyMet));
    assert_eq!(shop.stripe.find(&other.charge()).await.expect("found"), Some(made.clone()));

    // Two at once: one is answered, one is told to wait.
    let both = Try::of(&shop, &customer, card.clone());
    shop.sim.next(Op::CreateIntent, Fault::Slow(Duration::from_millis(150)));
    let second = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        shop.stripe.charge(&both.charge()).await
    };
    let charge = both.charge();
    let (first, second) = tokio::join!(shop.stripe.charge(&charge), second);
    assert_eq!(first.expect("made").status, Status::Authorized);
    assert_eq!(second, Err(Trouble::Busy { retry_after: None }));
    assert_eq!(shop.intents(), 2);

    // After 23 hours nothing is made under a key that may be forgotten: it is looked for.
    shop.clock.advance(Duration::from_secs(25 * 3_600));
    assert_eq!(shop.stripe.charge(&one.charge()).await.expect("found"), made);
    let never = Try { created_at: START, ..Try::of(&shop, &customer, card) };
    assert_eq!(shop.stripe.charge(&never.charge()).await, Err(refused("attempt_too_old")));
    assert_eq!(shop.intents(), 2);
    shop.close();
}

#[tokio::test]
async fn one_payment_is_found_among_many() {
    let shop = Shop::open().await;
    let customer = shop.customer().await;
    let card = shop.saved(&customer, Kind::CARD).await;
    let first = Try::of(&shop, &customer, card.clone());
    let made = shop.stripe.charge(&first.charge()).await.expect("made");
    for _ in 0..220 {
        shop.stripe.charge(&Try::of(&shop, &customer, card.clone()).charge()).await.expect("made");
    }
    assert_eq!(shop.stripe.find(&first.charge()).await.expect("found"), Some(made));
    let pages = shop.sim.recorded().iter().filter(|asked| asked.op == Op::ListIntents).count();
    assert_eq!(pages, 3, "the oldest is on the third page");
    let stranger = Try { created_at: START, ..Try::of(&shop, &shop.customer().await, card) };
    assert_eq!(shop.stripe.find(&stranger.charge()).await.expect("looked"), None);
    shop.close();
}

#[tokio::test]
async fn money_goes_back_once_for_each_key_and_never_more_than_was_taken() {
    let shop = Shop::open().await;
    let customer = shop.customer().await;
    let one = Try::of(&shop, &customer, shop.saved(&customer, Kind::CARD).await);
    let made = shop.stripe.charge(&one.charge()).await.expect("made");
    assert!(matches!(shop.stripe.refund(&made.id, yen(100), "refund:0").await, Err(Trouble::Refused { .. })));
    shop.stripe.capture(&made.id, yen(1_980)).await.expect("taken");
    let back = shop.stripe.refund(&made.id, yen(980), "refund:1").await.expect("given back");
    assert_eq!((back.status, back.amount_minor, back.failure.clone()), (RefundStatus::Succeeded, 980, None));
    assert_eq!(shop.stripe.refund(&made.id, yen(980), "refund:1").await.expect("again"), back);
    assert_eq!(shop.stripe.read_refund(&back.id).await.expect("read"), back);
    // Another amount under the key is what was given back under it.
    assert_eq!(shop.stripe.refund(&made.id, yen(500), "refund:1").await.expect("found"), back);
    assert_eq!(shop.stripe.refund(&made.id, yen(1_001), "refund:2").await, Err(refused("amount_too_large")));
    shop.stripe.refund(&made.id, yen(1_000), "refund:3").await.expect("given back");
    assert_eq!(shop.stripe.refund(&made.id, yen(1), "refund:4").await, Err(refused("charge_already_refunded")));
    assert_eq!(shop.stripe.find_refund(&made.id, "refund:1").await.expect("found"), Some(back));
    assert_eq!(shop.stripe.find_refund(&made.id, "refund:2").await.expect("looked"), None);
    shop.close();
}

#[tokio::test]
async fn whatever_becomes_of_the_answer_money_goes_back_once() {
    let shop = Shop::open().await;
    let customer = shop.customer().await;
    for (at, (fault, says, answers, done)) in FAULTS.into_iter().enumerate() {
        let one = Try::of(&shop, &customer, shop.saved(&customer, Kind::CARD).await);
        let made = shop.stripe.charge(&one.charge()).await.expect("made");
        shop.stripe.capture(&made.id, yen(1_980)).await.expect("taken");
        let key = format!("refund:{at}");
        shop.sim.next(Op::CreateRefund, fault);
        assert_eq!(shop.stripe.refund(&made.id, yen(500), &key).await, Err(says), "{fault:?}");
        let found = shop.stripe.find_refund(&made.id, &key).await.expect("the list answers");
        assert_eq!(found.is_some(), done, "{fault:?}");
        let again = shop.stripe.refund(&made.id, yen(500), &key).await;
        assert_eq!(again.is_ok(), answers, "{fault:?}");
        let back = shop.sim.books(|books| books.refunds.values().filter(|refund| refund.intent == made.id).count());
        assert_eq!(back, usize::from(done || answers), "{fault:?}");
    }
    assert_eq!(shop.sim.books(simulator::Books::double_refunds), Vec::<String>::new());
    shop.close();
}

#[tokio::test]
async fn a_refund_may_fail_days_later() {
    let shop = Shop::open().await;
    let customer = shop.customer().await;
    let one = Try::of(&shop, &customer, shop.saved(&customer, Kind::REFUND_FAILS).await);
    let made = shop.stripe.charge(&one.charge()).await.expect("made");
    shop.stripe.capture(&made.id, yen(1_980)).await.expect("taken");
    let back = shop.stripe.refund(&made.id, yen(1_980), "refund:f").await.expect("given back");
    assert_eq!(back.status, RefundStatus::Succeeded);
    shop.clock.advance(Duration::from_secs(86_400));
    shop.sim.change(simulator::Books::settle_refunds);
    let failed = shop.stripe.read_refund(&back.id).await.expect("read");
    assert_eq!((failed.status, failed.failure.as_deref()), (RefundStatus::Failed, Some("lost_or_stolen_card")));
    let page =
        shop.stripe.entries(START, shop.clock.now().plus(Duration::from_secs(1)), None).await.expect("the books");
    let kinds: Vec<_> = page.entries.iter().map(|entry| (entry.kind, entry.amount_minor)).collect();
    assert_eq!(kinds, [(EntryKind::RefundFailure, 1_980), (EntryKind::Refund, -1_980), (EntryKind::Charge, 1_980)]);
    shop.close();
}

#[tokio::test]
async fn the_books_are_read_to_the_last_line() {
    let shop = Shop::open().await;
    let customer = shop.customer().await;
    let card = shop.saved(&customer, Kind::CARD).await;
    let mut last = String::new();
    for _ in 0..130 {
        let made = shop.stripe.charge(&Try::of(&shop, &customer, card.clone()).charge()).await.expect("made");
        shop.stripe.capture(&made.id, yen(1_980)).await.expect("taken");
        last = made.id;
    }
    let back = shop.stripe.refund(&last, yen(980), "refund:1").await.expect("given back");
    shop.sim.change(|books| books.bill(300));
    let paid_out = shop.sim.change(simulator::Books::pay_out);
    shop.clock.advance(Duration::from_secs(3_600));
    let tomorrow = shop.stripe.charge(&Try::of(&shop, &customer, card).charge()).await.expect("made");
    shop.stripe.capture(&tomorrow.id, yen(1_980)).await.expect("taken");

    let to = START.plus(Duration::from_secs(3_600));
    let mut entries = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = shop.stripe.entries(START, to, after.as_deref()).await.expect("a page");
        after = page.entries.last().map(|entry| entry.id.clone());
        entries.extend(page.entries);
        if !page.more {
            break;
        }
    }
    assert_eq!(entries.len(), 133);
    assert_eq!((entries[0].kind, entries[0].net_minor), (EntryKind::Payout, -paid_out));
    assert_eq!((entries[1].kind, entries[1].amount_minor), (EntryKind::Fee, -300));
    let refund = &entries[2];
    assert_eq!((refund.kind, refund.amount_minor, refund.fee_minor), (EntryKind::Refund, -980, 0));
    assert_eq!((refund.source.as_deref(), refund.intent.as_deref()), (Some(&*back.id), Some(&*last)));
    let charge = &entries[3];
    assert_eq!(
        (charge.kind, charge.amount_minor, charge.fee_minor, charge.net_minor),
        (EntryKind::Charge, 1_980, 71, 1_909)
    );
    assert_eq!((charge.intent.as_deref(), charge.at), (Some(&*last), START));
    assert!(charge.source.as_ref().is_some_and(|source| source.starts_with("ch_")));
    shop.close();
}

#[tokio::test]
async fn a_key_that_is_not_accepted_is_the_operators_to_mend_and_shown_to_nobody() {
    let shop = Shop::open().await;
    let wrong = StripeConfig { secret_key: Secret::new("sk_test_wr0ngkey"), ..config(&shop.sim.base) };
    let stripe = Stripe::new(wrong, shop.clock.clone()).expect("a way");
    assert_eq!(stripe.read("pi_1").await, Err(Trouble::Misconfigured));
    assert_eq!(stripe.customer(&CustomerId::fresh()).await, Err(Trouble::Misconfigured));
    assert!(!format!("{stripe:?} {stripe:#?}").contains("wr0ngkey"));
    // Nobody there: no answer, and no word of the key either.
    let nobody = Stripe::new(config("http://127.0.0.1:9"), shop.clock.clone()).expect("a way");
    let error = nobody.read("pi_1").await.expect_err("nobody is there");
    assert_eq!(error, Trouble::NoAnswer);
    let cannot = StripeConfig { secret_key: Secret::new("sk_test_wr0ng\nkey"), ..config("http://127.0.0.1:9") };
    let error = Stripe::new(cannot, shop.clock.clone()).expect_err("no header");
    assert!(!format!("{error} {error:?}").contains("wr0ng"));
}

#[tokio::test]
async fn stripes_limit_is_kept_by_us() {
    let clock = Clock::system();
    let sim = Simulator::start(Settings { per_endpoint_per_s: 25, ..Settings::by(|| START.0) }).await;
    let per_s = |calls| NonZeroU32::new(calls).expect("not zero");
    let paced = StripeConfig { per_endpoint_per_s: per_s(25), timeout_ms: 5_000, ..config(&sim.base) };
    let stripe = Stripe::new(paced, clock.clone()).expect("a way");
    let asked = (0..60).map(|_| stripe.customer(Box::leak(Box::new(CustomerId::fresh()))));
    let answers = futures_util::future::join_all(asked).await;
    let busy = |answers: &[Trouble]| answers.iter().filter(|trouble| matches!(trouble, Trouble::Busy { .. })).count();
    let troubles: Vec<Trouble> = answers.into_iter().filter_map(Result::err).collect();
    // What left evenly may arrive a little closer.
    assert!(troubles.len() == busy(&troubles) && troubles.len() <= 3, "{troubles:?}");
    // Who does not keep it is told to wait.
    let hasty = Stripe::new(config(&sim.base), clock).expect("a way");
    let asked = (0..60).map(|_| hasty.read("pi_none"));
    let answers = futures_util::future::join_all(asked).await;
    let troubles: Vec<Trouble> = answers.into_iter().filter_map(Result::err).collect();
    assert!(busy(&troubles) >= 30, "{troubles:?}");
}

#[tokio::test]
async fn messages_are_stripes_however_they_come() {
    let shop = Shop::open().await;
    let customer = shop.customer().await;
    let (heard, mut hearing) = tokio::sync::mpsc::unbounded_channel();
    let url = simulator::hear(heard).await;
    let secrets = vec!["whsec_older".to_owned(), WEBHOOK_SECRET.to_owned()];
    shop.sim.tell(Some(simulator::Target { url, secrets }));
    shop.sim.plan(simulator::Plan { seed: 7, twice: 250, lost: 250, reordered: 250, ..simulator::Plan::default() });

    let card = shop.saved(&customer, Kind::CARD).await;
    let mut intents = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let made = shop.stripe.charge(&Try::of(&shop, &customer, card.clone()).charge()).await.expect("made");
        shop.stripe.capture(&made.id, yen(1_980)).await.expect("taken");
        let back = shop.stripe.refund(&made.id, yen(1_980), &format!("refund:{}", made.id)).await.expect("given back");
        intents.extend([made.id, back.id]);
    }
    shop.sim.quiet().await;
    assert!(shop.sim.redeliver() > 0, "the plan lost some");
    shop.sim.quiet().await;
    hearing.close();
    let (mut times, mut told) = (0, std::collections::BTreeMap::new());
    while let Some((header, raw)) = hearing.recv().await {
        let event = shop.stripe.event(&raw, &header, shop.clock.now()).expect("it is Stripe's");
        assert!(event.id.starts_with("evt_") && event.created == START);
        times += 1;
        told.insert(event.id, event.object);
        let mut forged = raw.clone();
        forged[10] ^= 1;
        assert_eq!(shop.stripe.event(&forged, &header, shop.clock.now()), Err(SignatureFault::Wrong));
    }
    assert!(times > told.len(), "some came twice: {times} {}", told.len());
    let named = told.into_values().filter_map(|object| match object {
        EventObject::Intent(id) | EventObject::Refund(id) => Some(id),
        _ => None,
    });
    assert_eq!(named.collect::<std::collections::BTreeSet<_>>(), intents);
    shop.close();
}
