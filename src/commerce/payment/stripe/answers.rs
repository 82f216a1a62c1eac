//! Value: what is read of Stripe's answers.
//!
//! Only the fields that somebody uses; others may come and go, and a word that is not known never breaks an answer:
//! unread, it would leave a payment in doubt.

use std::collections::HashMap;

use serde::Deserialize;

use super::super::words::{
    Action, CardFace, Entry, EntryKind, Intent, RefundStatus, RefundWord, Setup, SetupState, Status,
};
use crate::clock::Millis;

/// Where Stripe keeps [`super::Charge::key`] for us.
pub(super) const ATTEMPT: &str = "attempt";
/// Where it keeps a refund's key.
pub(super) const REFUND: &str = "refund";

/// Characters of a code that is kept.
const MAX_CODE: usize = 64;

/// An object, or only its name.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Named<T> {
    Name(String),
    Whole(T),
    /// Of a shape that is not known.
    Strange(serde::de::IgnoredAny),
}

impl<T> Named<T> {
    fn whole(&self) -> Option<&T> {
        match self {
            Self::Whole(whole) => Some(whole),
            _ => None,
        }
    }
}

/// A page of a list.
#[derive(Deserialize)]
pub(super) struct Page<T> {
    pub(super) data: Vec<T>,
    #[serde(default)]
    pub(super) has_more: bool,
}

/// An object of which only the name counts.
#[derive(Deserialize)]
pub(super) struct Called {
    pub(super) id: String,
}

/// A PaymentIntent. No `Debug`: it has a client secret.
#[derive(Deserialize)]
pub(super) struct PaymentIntent {
    pub(super) id: String,
    status: String,
    amount: i64,
    amount_received: Option<i64>,
    metadata: Option<HashMap<String, String>>,
    latest_charge: Option<Named<Charge>>,
    payment_method: Option<Named<PaymentMethod>>,
    payment_method_types: Option<Vec<String>>,
    last_payment_error: Option<Fault>,
    next_action: Option<NextAction>,
    client_secret: Option<String>,
}

#[derive(Deserialize)]
struct Charge {
    id: String,
    amount_captured: Option<i64>,
    payment_method_details: Option<MethodDetails>,
}

#[derive(Deserialize)]
struct MethodDetails {
    #[serde(rename = "type")]
    kind: Option<String>,
    card: Option<CardDetails>,
}

#[derive(Deserialize)]
struct CardDetails {
    capture_before: Option<i64>,
}

/// A way to pay.
#[derive(Deserialize)]
pub(super) struct PaymentMethod {
    id: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    card: Option<Card>,
    customer: Option<Named<Called>>,
}

#[derive(Deserialize)]
struct Card {
    brand: Option<String>,
    last4: Option<String>,
    exp_month: Option<i32>,
    exp_year: Option<i32>,
}

/// What Stripe says went wrong. Its `message` is for people, may name them, and is not read.
#[derive(Deserialize)]
pub(super) struct Fault {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) code: Option<String>,
    decline_code: Option<String>,
    payment_method: Option<PaymentMethod>,
    pub(super) payment_intent: Option<Box<PaymentIntent>>,
}

impl Fault {
    /// The most telling of its codes.
    pub(super) fn telling(&self) -> String {
        let known = [&self.decline_code, &self.code, &self.kind].into_iter().flatten().find(|code| is_code(code));
        known.map_or_else(|| "unknown".to_owned(), Clone::clone)
    }
}

/// The body of an answer that is an error.
#[derive(Deserialize)]
pub(super) struct ErrorBody {
    pub(super) error: Fault,
}

fn is_code(code: &str) -> bool {
    (1..=MAX_CODE).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

#[derive(Deserialize)]
struct NextAction {
    #[serde(rename = "type")]
    kind: String,
    redirect_to_url: Option<Link>,
    konbini_display_details: Option<Voucher>,
}

#[derive(Deserialize)]
struct Link {
    url: Option<String>,
}

#[derive(Deserialize)]
struct Voucher {
    hosted_voucher_url: Option<String>,
}

impl NextAction {
    fn link(self) -> Option<String> {
        match self.kind.as_str() {
            "redirect_to_url" => self.redirect_to_url?.url,
            "konbini_display_details" => self.konbini_display_details?.hosted_voucher_url,
            _ => None,
        }
    }
}

impl PaymentIntent {
    fn status(&self) -> Status {
        match self.status.as_str() {
            "requires_payment_method" => Status::Failed,
            "requires_action" | "requires_confirmation" => Status::RequiresAction,
            "requires_capture" => Status::Authorized,
            "succeeded" => Status::Captured,
            "canceled" => Status::Cancelled,
            // A word of tomorrow decides nothing: the payment is asked for again.
            _ => Status::Processing,
        }
    }

    /// Whether it is the one of this attempt.
    pub(super) fn is_of(&self, attempt: &str) -> bool {
        self.metadata.as_ref().and_then(|metadata| metadata.get(ATTEMPT)).is_some_and(|key| key == attempt)
    }

    /// In our words.
    pub(super) fn into_intent(self) -> Intent {
        let charge = self.latest_charge.as_ref().and_then(Named::whole);
        let details = charge.and_then(|charge| charge.payment_method_details.as_ref());
        let used = self.payment_method.as_ref().and_then(Named::whole);
        let refused = self.last_payment_error.as_ref().and_then(|fault| fault.payment_method.as_ref());
        let only = self.payment_method_types.as_deref().filter(|kinds| kinds.len() == 1).map(|kinds| &kinds[0]);
        let method = details
            .and_then(|details| details.kind.as_ref())
            .or_else(|| used.or(refused).and_then(|method| method.kind.as_ref()))
            .or(only)
            .cloned();
        let status = self.status();
        let received = self.amount_received.or_else(|| charge.and_then(|charge| charge.amount_captured));
        let until = details.and_then(|details| details.card.as_ref()).and_then(|card| card.capture_before);
        let decline_code = match status {
            Status::Failed => self.last_payment_error.as_ref().map(Fault::telling),
            _ => None,
        };
        Intent {
            status,
            amount_minor: self.amount,
            captured_minor: received.unwrap_or(0),
            method,
            decline_code,
            capture_before: until.map(seconds),
            charge: self.latest_charge.and_then(|charge| match charge {
                Named::Name(id) => Some(id),
                Named::Whole(charge) => Some(charge.id),
                Named::Strange(_) => None,
            }),
            attempt: self.metadata.and_then(|mut metadata| metadata.remove(ATTEMPT)),
            id: self.id,
        }
    }

    /// What the buyer must do.
    pub(super) fn into_action(self, publishable_key: &str) -> Option<Action> {
        if self.status() != Status::RequiresAction {
            return None;
        }
        match self.next_action.and_then(NextAction::link) {
            Some(url) => Some(Action::Redirect { url }),
            None => script(self.client_secret, publishable_key),
        }
    }
}

/// Stripe's script in the page does the rest.
fn script(client_secret: Option<String>, publishable_key: &str) -> Option<Action> {
    client_secret.map(|client_secret| Action::Stripe { client_secret, publishable_key: publishable_key.to_owned() })
}

fn seconds(at_s: i64) -> Millis {
    Millis(at_s.saturating_mul(1_000))
}

impl PaymentMethod {
    /// Whether somebody can still pay with it.
    pub(super) fn is_kept(&self) -> bool {
        self.customer.is_some()
    }

    fn into_face(self, customer: String) -> Option<CardFace> {
        let card = self.card?;
        Some(CardFace {
            method: self.id?,
            customer,
            brand: card.brand.unwrap_or_default(),
            last4: card.last4.unwrap_or_default(),
            exp_month: card.exp_month?,
            exp_year: card.exp_year?,
        })
    }
}

/// A SetupIntent. No `Debug`: it has a client secret.
#[derive(Deserialize)]
pub(super) struct SetupIntent {
    id: String,
    status: String,
    customer: Option<Named<Called>>,
    payment_method: Option<Named<PaymentMethod>>,
    last_setup_error: Option<serde::de::IgnoredAny>,
    next_action: Option<NextAction>,
    client_secret: Option<String>,
}

impl SetupIntent {
    /// In our words.
    pub(super) fn into_setup(self, publishable_key: &str) -> Setup {
        let customer = match self.customer {
            Some(Named::Name(id) | Named::Whole(Called { id })) => id,
            _ => String::new(),
        };
        let card = match self.payment_method {
            Some(Named::Whole(method)) if self.status == "succeeded" => method.into_face(customer),
            _ => None,
        };
        let state = match self.status.as_str() {
            "succeeded" => SetupState::Saved,
            "canceled" => SetupState::Failed,
            "requires_payment_method" if self.last_setup_error.is_some() => SetupState::Failed,
            _ => SetupState::RequiresAction,
        };
        let action = match state {
            SetupState::RequiresAction => match self.next_action.and_then(NextAction::link) {
                Some(url) => Some(Action::Redirect { url }),
                None => script(self.client_secret, publishable_key),
            },
            _ => None,
        };
        Setup { id: self.id, state, action, card }
    }
}

/// A refund.
#[derive(Deserialize)]
pub(super) struct Refund {
    pub(super) id: String,
    status: Option<String>,
    amount: i64,
    failure_reason: Option<String>,
    metadata: Option<HashMap<String, String>>,
}

impl Refund {
    /// Whether it is the one of this key.
    pub(super) fn is_of(&self, key: &str) -> bool {
        self.metadata.as_ref().and_then(|metadata| metadata.get(REFUND)).is_some_and(|kept| kept == key)
    }

    /// In our words.
    pub(super) fn into_word(self) -> RefundWord {
        let status = match self.status.as_deref() {
            Some("requires_action") => RefundStatus::RequiresAction,
            Some("succeeded") => RefundStatus::Succeeded,
            Some("failed") => RefundStatus::Failed,
            Some("canceled") => RefundStatus::Cancelled,
            _ => RefundStatus::Pending,
        };
        RefundWord {
            id: self.id,
            status,
            amount_minor: self.amount,
            failure: self.failure_reason.filter(|reason| is_code(reason)),
        }
    }
}

/// A line of Stripe's books.
#[derive(Deserialize)]
pub(super) struct BalanceTransaction {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    reporting_category: Option<String>,
    amount: i64,
    fee: i64,
    net: i64,
    created: i64,
    source: Option<Named<Source>>,
}

#[derive(Deserialize)]
struct Source {
    id: String,
    payment_intent: Option<Named<Called>>,
}

impl BalanceTransaction {
    fn kind(&self) -> EntryKind {
        match (self.kind.as_str(), self.reporting_category.as_deref()) {
            (_, Some("dispute" | "dispute_reversal")) => EntryKind::Dispute,
            ("charge" | "payment", _) => EntryKind::Charge,
            ("refund" | "payment_refund", _) => EntryKind::Refund,
            ("refund_failure" | "payment_refund_failure", _) | (_, Some("refund_failure")) => EntryKind::RefundFailure,
            ("payout" | "payout_cancel" | "payout_failure", _) => EntryKind::Payout,
            ("stripe_fee" | "tax_fee" | "network_cost" | "stripe_fx_fee", _) | (_, Some("fee")) => EntryKind::Fee,
            _ => EntryKind::Other,
        }
    }

    /// In our words.
    pub(super) fn into_entry(self) -> Entry {
        let kind = self.kind();
        let (source, intent) = match self.source {
            Some(Named::Name(id)) => (Some(id), None),
            Some(Named::Whole(source)) => {
                let intent = match source.payment_intent {
                    Some(Named::Name(id) | Named::Whole(Called { id })) => Some(id),
                    _ => None,
                };
                (Some(source.id), intent)
            }
            _ => (None, None),
        };
        Entry {
            id: self.id,
            kind,
            amount_minor: self.amount,
            fee_minor: self.fee,
            net_minor: self.net,
            source,
            intent,
            at: seconds(self.created),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn intent(change: impl FnOnce(&mut Value)) -> PaymentIntent {
        let mut shown = json!({ "id": "pi_1", "object": "payment_intent", "status": "succeeded", "amount": 1000 });
        change(&mut shown);
        serde_json::from_value(shown).expect("it is read")
    }

    #[test]
    fn every_word_of_stripe_is_one_of_ours_and_a_new_one_decides_nothing() {
        let words = [
            ("requires_payment_method", Status::Failed),
            ("requires_confirmation", Status::RequiresAction),
            ("requires_action", Status::RequiresAction),
            ("processing", Status::Processing),
            ("requires_capture", Status::Authorized),
            ("canceled", Status::Cancelled),
            ("succeeded", Status::Captured),
            ("requires_moon_phase", Status::Processing),
        ];
        for (word, status) in words {
            assert_eq!(intent(|shown| shown["status"] = json!(word)).into_intent().status, status, "{word}");
        }
    }

    #[test]
    fn what_is_strange_or_missing_does_not_break_the_rest() {
        let bare = intent(|_| {}).into_intent();
        assert_eq!((bare.captured_minor, bare.charge, bare.method, bare.attempt), (0, None, None, None));
        let strange = intent(|shown| {
            shown["latest_charge"] = json!([1, 2]);
            shown["payment_method"] = json!(7);
            shown["metadata"] = Value::Null;
            shown["next_action"] = json!({ "type": "dance", "dance": {} });
            shown["new_field"] = json!({ "of": "tomorrow" });
        });
        assert_eq!(strange.into_intent().charge, None);
        let named = intent(|shown| {
            shown["latest_charge"] = json!("ch_1");
            shown["payment_method"] = json!("pm_1");
            shown["payment_method_types"] = json!(["paypay"]);
        });
        let named = named.into_intent();
        assert_eq!((named.charge.as_deref(), named.method.as_deref()), (Some("ch_1"), Some("paypay")));
    }

    #[test]
    fn a_code_is_a_code_and_never_a_sentence() {
        let code = |error: Value| {
            let failed = intent(|shown| {
                shown["status"] = json!("requires_payment_method");
                shown["last_payment_error"] = error;
            });
            failed.into_intent().decline_code
        };
        let said = json!({ "type": "card_error", "code": "card_declined", "decline_code": "do_not_honor" });
        assert_eq!(code(said).as_deref(), Some("do_not_honor"));
        let said = json!({ "type": "card_error", "code": "card_declined", "decline_code": "Ask Hanako" });
        assert_eq!(code(said).as_deref(), Some("card_declined"));
        assert_eq!(code(json!({ "message": "Hanako", "code": "x".repeat(65) })).as_deref(), Some("unknown"));
        assert_eq!(code(Value::Null), None);
    }

    #[test]
    fn lines_of_the_books_are_what_stripe_calls_them() {
        let kind = |kind: &str, category: &str| {
            let line: BalanceTransaction = serde_json::from_value(json!({
                "id": "txn_1", "type": kind, "reporting_category": category, "amount": -5, "fee": 0, "net": -5,
                "created": 1, "source": null,
            }))
            .expect("it is read");
            line.into_entry().kind
        };
        assert_eq!(kind("charge", "charge"), EntryKind::Charge);
        assert_eq!(kind("payment", "charge"), EntryKind::Charge);
        assert_eq!(kind("refund", "refund"), EntryKind::Refund);
        assert_eq!(kind("payment_refund", "refund"), EntryKind::Refund);
        assert_eq!(kind("refund_failure", "refund_failure"), EntryKind::RefundFailure);
        assert_eq!(kind("payment_failure_refund", "refund_failure"), EntryKind::RefundFailure);
        assert_eq!(kind("stripe_fee", "fee"), EntryKind::Fee);
        assert_eq!(kind("adjustment", "dispute"), EntryKind::Dispute);
        assert_eq!(kind("adjustment", "dispute_reversal"), EntryKind::Dispute);
        assert_eq!(kind("payout", "payout"), EntryKind::Payout);
        assert_eq!(kind("payout_failure", "payout_reversal"), EntryKind::Payout);
        assert_eq!(kind("obligation", "other_adjustment"), EntryKind::Other);
    }
}
