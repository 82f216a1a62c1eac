//! The same questions to localstripe, which is not ours: an independent server that keeps customers, cards and payments.
//! Where it differs from Stripe is listed in tests/stripe/README.md; the tests say so where they meet it.

use std::process::{Child, Command, Stdio};

use super::{
    tests::{Try, config, simulator::hear, yen},
    *,
};
use crate::commerce::payment::words::{EventObject, RefundStatus, SetupState, Source};

/// `make setup-test` puts it there.
const BINARY: &str = ".cache/hanamichi/localstripe-1.15.10/bin/localstripe";

/// A process of it; killed when dropped.
struct Localstripe {
    process: Child,
    base: String,
    http: reqwest::Client,
}

impl Drop for Localstripe {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Localstripe {
    #[expect(clippy::disallowed_methods, reason = "a test finds what was installed for it")]
    async fn start() -> Self {
        let home = std::env::var("HOME").expect("a home");
        let binary = std::path::Path::new(&home).join(BINARY);
        assert!(binary.is_file(), "localstripe is missing: `make setup-test` installs {}", binary.display());
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("bound").port();
        drop(free);
        let process = Command::new(binary)
            .args(["--from-scratch", "--port", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let http = reqwest::Client::builder().tls_certs_only([]).build().expect("a client");
        let started = Self { process, base: format!("http://127.0.0.1:{port}"), http };
        for _ in 0..200 {
            if started.http.get(&started.base).send().await.is_ok() {
                return started;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("localstripe does not answer");
    }

    fn stripe(&self) -> Stripe {
        let config = StripeConfig { timeout_ms: 5_000, ..config(&self.base) };
        Stripe::new(config, Clock::system()).expect("a way")
    }

    /// What the page does with Stripe's script.
    async fn post(&self, path: &str, form: &str) -> reqwest::StatusCode {
        let request = self.http.post(format!("{}{path}", self.base)).bearer_auth("sk_test_page");
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form.to_owned());
        request.send().await.expect("it answers").status()
    }

    async fn saved(&self, stripe: &Stripe, customer: &str, number: &str) -> Source {
        let setup = stripe.begin_setup(customer, "setup", None).await.expect("begun");
        let Some(Action::Stripe { client_secret, .. }) = setup.action else { panic!("the page does it") };
        assert_eq!(setup.state, SetupState::RequiresAction);
        let card = format!(
            "client_secret={client_secret}&payment_method_data[type]=card&payment_method_data[card][number]={number}\
             &payment_method_data[card][exp_month]=12&payment_method_data[card][exp_year]=2034\
             &payment_method_data[card][cvc]=123"
        );
        assert!(self.post(&format!("/v1/setup_intents/{}/confirm", setup.id), &card).await.is_success());
        let saved = stripe.read_setup(&setup.id).await.expect("read");
        let method = match saved.card {
            Some(card) => {
                assert_eq!((saved.state, card.customer.as_str()), (SetupState::Saved, customer));
                assert_eq!((card.last4.as_str(), card.exp_year), (&number[12..], 2034));
                card.method
            }
            // It has no end for a card whose bank asks; the payment is what we are after.
            None => self.method_of(&setup.id).await,
        };
        assert!(
            self.post(&format!("/v1/payment_methods/{method}/attach"), &format!("customer={customer}"))
                .await
                .is_success()
        );
        Source::Saved(method)
    }

    async fn method_of(&self, setup: &str) -> String {
        let request = self.http.get(format!("{}/v1/setup_intents/{setup}", self.base)).bearer_auth("sk_test_page");
        let shown: serde_json::Value = request.send().await.expect("it answers").json().await.expect("JSON");
        shown["payment_method"].as_str().expect("a card").to_owned()
    }
}

#[tokio::test]
async fn a_payment_is_reserved_taken_given_back_and_told() {
    let there = Localstripe::start().await;
    let stripe = there.stripe();
    let (heard, mut hearing) = tokio::sync::mpsc::unbounded_channel();
    let url = hear(heard).await;
    let hook = format!("url={url}&secret=whsec_s1mulat0r");
    assert!(there.post("/_config/webhooks/ours", &hook).await.is_success());

    let customer = stripe.customer(&CustomerId::fresh()).await.expect("a customer");
    let card = there.saved(&stripe, &customer, "4242424242424242").await;
    let one = Try::at(Clock::system().now(), &customer, card.clone());
    let made = stripe.charge(&one.charge()).await.expect("made");
    assert_eq!((made.status, made.amount_minor, made.captured_minor), (Status::Authorized, 1_980, 0));
    assert_eq!((made.attempt.as_deref(), made.method.as_deref()), (Some(&*one.key), Some("card")));
    assert!(made.charge.as_ref().is_some_and(|charge| charge.starts_with("ch_")));
    assert_eq!(stripe.read(&made.id).await.expect("read"), made);
    assert_eq!(stripe.action(&made.id).await.expect("asked"), None);

    let taken = stripe.capture(&made.id, yen(1_980)).await.expect("taken");
    assert_eq!(taken.status, Status::Captured);
    // Taken twice, or called off too late: its state.
    assert_eq!(stripe.capture(&made.id, yen(1_980)).await.expect("its state").status, Status::Captured);
    assert_eq!(stripe.cancel(&made.id).await.expect("its state").status, Status::Captured);

    let back = stripe.refund(&made.id, yen(980), "refund:1").await.expect("given back");
    assert_eq!((back.status, back.amount_minor), (RefundStatus::Succeeded, 980));
    assert_eq!(stripe.read_refund(&back.id).await.expect("read"), back);
    assert_eq!(stripe.find_refund(&made.id, "refund:1").await.expect("found"), Some(back));
    assert_eq!(stripe.find_refund(&made.id, "refund:2").await.expect("looked"), None);

    let other = stripe.charge(&Try::at(Clock::system().now(), &customer, card.clone()).charge()).await.expect("made");
    assert_eq!(stripe.cancel(&other.id).await.expect("off").status, Status::Cancelled);
    assert_eq!(stripe.cancel(&other.id).await.expect("again").status, Status::Cancelled);

    let Source::Saved(method) = card else { panic!("it is saved") };
    assert_eq!(stripe.forget_card(&method).await, Ok(()));
    assert_eq!(stripe.forget_card(&method).await, Ok(()));

    // Signed by code that is not ours.
    let told = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let (header, raw): (String, Vec<u8>) = hearing.recv().await.expect("it is heard");
            let event = stripe.event(&raw, &header, Clock::system().now()).expect("it is signed");
            if event.kind == "payment_intent.succeeded" {
                return event;
            }
        }
    });
    let told = told.await.expect("it is told");
    assert_eq!(told.object, EventObject::Intent(made.id));
}

#[tokio::test]
async fn a_bank_may_ask_or_refuse() {
    let there = Localstripe::start().await;
    let stripe = there.stripe();
    let customer = stripe.customer(&CustomerId::fresh()).await.expect("a customer");
    for (yes, after) in [("true", Status::Authorized), ("false", Status::Failed)] {
        let card = there.saved(&stripe, &customer, "4000002500003155").await;
        let made = stripe.charge(&Try::at(Clock::system().now(), &customer, card).charge()).await.expect("made");
        assert_eq!(made.status, Status::RequiresAction);
        let Some(Action::Stripe { client_secret, .. }) = stripe.action(&made.id).await.expect("asked") else {
            panic!("the page does it")
        };
        let answer = format!("client_secret={client_secret}&success={yes}");
        assert!(there.post(&format!("/v1/payment_intents/{}/_authenticate", made.id), &answer).await.is_success());
        let read = stripe.read(&made.id).await.expect("read");
        assert_eq!(read.status, after);
        let code = read.decline_code.as_deref();
        assert_eq!(code, (yes == "false").then_some("payment_intent_authentication_failure"));
    }
    // Stripe shows the payment in its error; localstripe does not, so what is known is that it was refused.
    let declined = there.saved(&stripe, &customer, "4000000000000341").await;
    let refused = stripe.charge(&Try::at(Clock::system().now(), &customer, declined).charge()).await;
    assert_eq!(refused, Err(Trouble::Refused { code: "card_declined".to_owned() }));
}

#[tokio::test]
async fn what_localstripe_does_not_know_is_refused_and_not_misread() {
    let there = Localstripe::start().await;
    let stripe = there.stripe();
    let customer = stripe.customer(&CustomerId::fresh()).await.expect("a customer");
    let one = Try::at(Clock::system().now(), &customer, Source::Token("ctoken_1".to_owned()));
    let refused = |answer: Option<Trouble>| matches!(answer, Some(Trouble::Refused { .. }));
    assert!(refused(stripe.find(&one.charge()).await.err()), "lists are not filtered by customer");
    assert!(refused(stripe.charge(&one.charge()).await.err()), "there are no confirmation tokens");
    assert!(refused(stripe.entries(Millis(0), Clock::system().now(), None).await.err()), "nor times of lines");
    assert!(refused(stripe.read("pi_none").await.err()));
}
