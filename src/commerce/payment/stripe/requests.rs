//! Pure: what is asked of Stripe, in its typed parameters.
//!
//! The crate's maps have no order, so the same request would have another text each time; pairs are sorted, and a
//! request that is repeated under its key is the same to the byte.

use stripe_client_core::{RequestBuilder, StripeMethod, StripeRequest};
use stripe_core::{
    balance_transaction::ListBalanceTransaction,
    customer::CreateCustomer,
    payment_intent::{
        CancelPaymentIntent, CapturePaymentIntent, CreatePaymentIntent, CreatePaymentIntentPaymentMethodOptions,
        CreatePaymentIntentPaymentMethodOptionsCard, CreatePaymentIntentPaymentMethodOptionsCardCaptureMethod,
        ListPaymentIntent, RetrievePaymentIntent,
    },
    refund::{CreateRefund, ListRefund, RetrieveRefund},
    setup_intent::{CreateSetupIntent, RetrieveSetupIntent},
};
use stripe_types::{Currency, RangeBoundsTs, RangeQueryTs};

use super::{
    super::words::{Charge, Slow, Source, Trouble},
    answers::{ATTEMPT, REFUND},
};
use crate::{
    clock::Millis,
    config::PayMethod,
    ids::CustomerId,
    money::{self, Money},
};

/// Objects of a page; Stripe gives no more.
const PAGE: i64 = 100;
/// Our clock and Stripe's may differ by so much when a payment is looked for by its time.
const CLOCKS_DIFFER_S: i64 = 3_600;
/// Characters of a name that Stripe gave.
const MAX_NAME: usize = 255;

/// A name that goes into a path.
fn named(name: &str) -> Result<&str, Trouble> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(plain) {
        Ok(name)
    } else {
        Err(Trouble::Refused { code: "invalid_name".to_owned() })
    }
}

fn currency(money: Money) -> Currency {
    match money.currency() {
        money::Currency::Jpy => Currency::JPY,
    }
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

fn sorted(mut request: RequestBuilder) -> RequestBuilder {
    let sort = |text: String| {
        let mut pairs: Vec<&str> = text.split('&').collect();
        pairs.sort_unstable();
        pairs.join("&")
    };
    request.body = request.body.map(sort);
    request.query = request.query.map(sort);
    request
}

fn whole_intent() -> Vec<String> {
    vec!["latest_charge".to_owned(), "payment_method".to_owned()]
}

/// Makes and confirms a payment in one call.
pub(super) fn charge(charge: &Charge<'_>, methods: &[PayMethod]) -> Result<RequestBuilder, Trouble> {
    let asked = CreatePaymentIntent::new(charge.amount.minor(), currency(charge.amount))
        .confirm(true)
        .customer(charge.customer)
        .metadata(
            [pair("purchase", charge.purchase.as_str()), pair(ATTEMPT, charge.key)]
                .into_iter()
                .collect::<std::collections::HashMap<_, _>>(),
        )
        .expand(whole_intent());
    let card = PayMethod::Card.as_str().to_owned();
    let asked = match charge.source {
        // Without an address to come back to, a bank that wants to see the buyer is shown by Stripe's script in the
        // page, and the live goes on behind it.
        Source::Saved(method) => asked
            .payment_method(method.as_str())
            .payment_method_types(vec![card])
            .capture_method(stripe_core::PaymentIntentCaptureMethod::Manual),
        Source::Token(token) => {
            let offered =
                methods.iter().filter(|method| charge.slow == Slow::Allowed || **method != PayMethod::Konbini);
            let offered: Vec<String> = offered.map(|method| method.as_str().to_owned()).collect();
            // Of the card only: the others take the money at once, and refuse to be asked for anything else.
            let reserve = CreatePaymentIntentPaymentMethodOptionsCard {
                capture_method: Some(CreatePaymentIntentPaymentMethodOptionsCardCaptureMethod::Manual),
                ..CreatePaymentIntentPaymentMethodOptionsCard::new()
            };
            let options = CreatePaymentIntentPaymentMethodOptions {
                card: offered.contains(&card).then_some(reserve),
                ..CreatePaymentIntentPaymentMethodOptions::new()
            };
            asked
                .confirmation_token(token.as_str())
                .payment_method_types(offered)
                .payment_method_options(options)
                .return_url(charge.return_url)
        }
        Source::Test(_) => return Err(Trouble::Refused { code: "test_method".to_owned() }),
    };
    Ok(sorted(asked.build()))
}

/// A page of a customer's payments, newest first.
pub(super) fn payments(customer: &str, since: Millis, after: Option<&str>) -> RequestBuilder {
    let since_s = since.0.div_euclid(1_000).saturating_sub(CLOCKS_DIFFER_S);
    let mut asked = ListPaymentIntent::new().customer(customer).created(RangeQueryTs::gte(since_s)).limit(PAGE);
    if let Some(after) = after {
        asked = asked.starting_after(after);
    }
    sorted(asked.build())
}

pub(super) fn read(intent: &str) -> Result<RequestBuilder, Trouble> {
    Ok(sorted(RetrievePaymentIntent::new(named(intent)?).expand(whole_intent()).build()))
}

pub(super) fn capture(intent: &str, amount: Money) -> Result<RequestBuilder, Trouble> {
    let asked = CapturePaymentIntent::new(named(intent)?).amount_to_capture(amount.minor()).expand(whole_intent());
    Ok(sorted(asked.build()))
}

pub(super) fn cancel(intent: &str) -> Result<RequestBuilder, Trouble> {
    Ok(sorted(CancelPaymentIntent::new(named(intent)?).expand(whole_intent()).build()))
}

pub(super) fn refund(intent: &str, amount: Money, key: &str) -> RequestBuilder {
    let metadata: std::collections::HashMap<_, _> = [pair(REFUND, key)].into_iter().collect();
    sorted(CreateRefund::new().payment_intent(intent).amount(amount.minor()).metadata(metadata).build())
}

pub(super) fn read_refund(id: &str) -> Result<RequestBuilder, Trouble> {
    Ok(sorted(RetrieveRefund::new(named(id)?).build()))
}

/// A page of a payment's refunds.
pub(super) fn refunds(intent: &str, after: Option<&str>) -> RequestBuilder {
    let mut asked = ListRefund::new().payment_intent(intent).limit(PAGE);
    if let Some(after) = after {
        asked = asked.starting_after(after);
    }
    sorted(asked.build())
}

/// Nothing of the person: neither name nor address is needed to pay.
pub(super) fn customer(id: &CustomerId) -> RequestBuilder {
    let metadata: std::collections::HashMap<_, _> = [pair("customer", id.as_str())].into_iter().collect();
    sorted(CreateCustomer::new().metadata(metadata).build())
}

/// The bank is asked here, so that a later tap is one tap.
pub(super) fn begin_setup(customer: &str) -> RequestBuilder {
    let card = vec![PayMethod::Card.as_str().to_owned()];
    sorted(CreateSetupIntent::new().customer(customer).payment_method_types(card).build())
}

pub(super) fn read_setup(id: &str) -> Result<RequestBuilder, Trouble> {
    let expand = vec!["payment_method".to_owned()];
    Ok(sorted(RetrieveSetupIntent::new(named(id)?).expand(expand).build()))
}

/// Has no parameters, which spares a crate of 40,000 lines that would only write this path.
pub(super) fn detach(method: &str) -> Result<RequestBuilder, Trouble> {
    Ok(RequestBuilder::new(StripeMethod::Post, format!("/payment_methods/{}/detach", named(method)?)))
}

/// Likewise.
pub(super) fn read_method(method: &str) -> Result<RequestBuilder, Trouble> {
    Ok(RequestBuilder::new(StripeMethod::Get, format!("/payment_methods/{}", named(method)?)))
}

/// A page of the books, newest first: from the second of `from` to the last one that begins before `to`.
pub(super) fn entries(from: Millis, to: Millis, after: Option<&str>) -> RequestBuilder {
    let from_s = from.0.div_euclid(1_000);
    let to_s = to.0.saturating_add(999).div_euclid(1_000);
    let times = RangeBoundsTs { gte: Some(from_s), lt: Some(to_s), ..RangeBoundsTs::default() };
    let expand = vec!["data.source".to_owned()];
    let mut asked = ListBalanceTransaction::new().created(RangeQueryTs::Bounds(times)).limit(PAGE).expand(expand);
    if let Some(after) = after {
        asked = asked.starting_after(after);
    }
    sorted(asked.build())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::PurchaseId;

    fn form(request: &RequestBuilder) -> Vec<String> {
        let text = request.body.as_deref().or(request.query.as_deref()).unwrap_or_default();
        let plain = text.replace("%5B", "[").replace("%5D", "]").replace("%3A", ":").replace("%2F", "/");
        plain.split('&').map(str::to_owned).collect()
    }

    fn asked(source: &Source, slow: Slow) -> (PurchaseId, RequestBuilder) {
        let purchase = PurchaseId::fresh();
        let one = Charge {
            key: "pi:pur_1:1",
            purchase: &purchase,
            amount: Money::yen(1_980).expect("an amount"),
            source,
            customer: "cus_1",
            slow,
            return_url: "https://live.example.jp/back",
            created_at: Millis(0),
        };
        let request = charge(&one, &[PayMethod::Card, PayMethod::Paypay, PayMethod::Konbini]).expect("a request");
        (purchase, request)
    }

    #[test]
    fn a_saved_card_is_reserved_and_taken_later() {
        let (purchase, request) = asked(&Source::Saved("pm_1".to_owned()), Slow::Refused);
        assert_eq!(request.path, "/payment_intents");
        let mut expected = vec![
            "amount=1980".to_owned(),
            "capture_method=manual".to_owned(),
            "confirm=true".to_owned(),
            "currency=jpy".to_owned(),
            "customer=cus_1".to_owned(),
            "expand[0]=latest_charge".to_owned(),
            "expand[1]=payment_method".to_owned(),
            "metadata[attempt]=pi:pur_1:1".to_owned(),
            format!("metadata[purchase]={purchase}"),
            "payment_method=pm_1".to_owned(),
            "payment_method_types[0]=card".to_owned(),
        ];
        expected.sort();
        let mut sent = form(&request);
        sent.sort();
        assert_eq!(sent, expected);
    }

    #[test]
    fn konbini_is_offered_only_where_days_do_not_matter() {
        let token = Source::Token("ctoken_1".to_owned());
        let kinds = |slow| {
            let (_, request) = asked(&token, slow);
            let sent = form(&request);
            assert!(sent.contains(&"payment_method_options[card][capture_method]=manual".to_owned()), "{sent:?}");
            assert!(sent.contains(&"return_url=https://live.example.jp/back".to_owned()), "{sent:?}");
            assert!(!sent.iter().any(|pair| pair.starts_with("capture_method")), "PayPay and konbini cannot wait");
            let kinds = sent.iter().filter_map(|pair| pair.strip_prefix("payment_method_types["));
            kinds.filter_map(|pair| pair.split_once('=').map(|(_, kind)| kind.to_owned())).collect::<Vec<_>>()
        };
        assert_eq!(kinds(Slow::Refused), ["card", "paypay"]);
        assert_eq!(kinds(Slow::Allowed), ["card", "paypay", "konbini"]);
    }

    #[test]
    fn a_request_is_the_same_to_the_byte_each_time() {
        let purchase = PurchaseId::fresh();
        let source = Source::Saved("pm_1".to_owned());
        let one = || Charge {
            key: "pi:pur_1:1",
            purchase: &purchase,
            amount: Money::yen(1).expect("an amount"),
            source: &source,
            customer: "cus_1",
            slow: Slow::Refused,
            return_url: "",
            created_at: Millis(0),
        };
        let bodies: std::collections::BTreeSet<_> =
            (0..64).map(|_| charge(&one(), &[PayMethod::Card]).expect("a request").body).collect();
        assert_eq!(bodies.len(), 1);
    }

    #[test]
    fn a_name_cannot_lead_elsewhere() {
        for name in ["", "pi_1/capture", "../v1", "pi_1?x", "pi_1#", "pi 1", &"p".repeat(256)] {
            assert!(read(name).is_err() && detach(name).is_err(), "{name}");
        }
        assert_eq!(read("pi_3Nabc").expect("a name").path, "/payment_intents/pi_3Nabc");
    }

    #[test]
    fn the_pinned_version_is_the_one_the_parameters_are_of() {
        assert_eq!(super::super::wire::VERSION, stripe_client_core::VERSION.as_str());
    }
}
