//! PaymentIntents: made and confirmed in one call, captured, called off; and what the buyer does meanwhile.

use super::{
    books::{Books, Charge, Intent, LastError, Next},
    cards::{Bank, Kind},
    form::Params,
    refusal::Refusal,
};
use serde_json::Value;

/// Japanese cards keep money reserved so long.
const CAPTURE_WITHIN_MS: i64 = 30 * 86_400_000;
/// A voucher's life.
const VOUCHER_MS: i64 = 3 * 86_400_000;
/// The least and the most that can be asked for in yen.
const AMOUNTS: std::ops::RangeInclusive<i64> = 50..=99_999_999;

const CREATE: &[&str] = &[
    "amount",
    "capture_method",
    "confirm",
    "confirmation_token",
    "currency",
    "customer",
    "expand",
    "metadata",
    "payment_method",
    "payment_method_options",
    "payment_method_types",
    "return_url",
    "use_stripe_sdk",
];

impl Books {
    pub fn create_intent(&mut self, params: &Params) -> Result<Value, Refusal> {
        params.only(CREATE)?;
        let amount = params.whole("amount")?.ok_or_else(|| Refusal::missing("amount"))?;
        if !AMOUNTS.contains(&amount) {
            let code = if amount < 50 { "amount_too_small" } else { "amount_too_large" };
            return Err(Refusal { code: Some(code), ..Refusal::invalid("amount", "Amount out of range") });
        }
        let currency = params.must("currency")?;
        if currency != "jpy" {
            return Err(Refusal::invalid("currency", "Invalid currency"));
        }
        let customer = self.known_customer(params.text("customer"))?;
        let kinds: Vec<String> = params.list("payment_method_types").into_iter().map(str::to_owned).collect();
        let manual = params.text("capture_method") == Some("manual");
        if manual && kinds.iter().any(|kind| kind != "card") {
            return Err(Refusal::invalid("capture_method", "Not all of the payment methods can be captured later"));
        }
        let method = self.method_of(params, customer.as_deref())?;
        let kind = method.as_ref().map(|id| self.methods[id].kind);
        if let Some(kind) = kind.filter(|kind| !kinds.iter().any(|allowed| allowed == kind.name())) {
            let text = format!("The PaymentMethod provided ({}) is not allowed for this PaymentIntent", kind.name());
            return Err(Refusal::state(None, text));
        }
        let return_url = params.text("return_url").map(str::to_owned);
        let leads_away = matches!(kind, Some(Kind::Paypay));
        if leads_away && return_url.as_ref().is_none_or(|url| !url.starts_with("http")) {
            return Err(Refusal::missing("return_url"));
        }
        let intent = Intent {
            id: self.name("pi"),
            nth: self.nth(),
            created_ms: self.now_ms,
            amount,
            currency: currency.to_owned(),
            customer,
            method,
            kinds,
            manual,
            manual_card: params.text("payment_method_options[card][capture_method]") == Some("manual"),
            metadata: params.map("metadata"),
            status: "requires_payment_method",
            next: None,
            return_url,
            error: None,
            charge: None,
            cancelled_ms: None,
            cancellation_reason: None,
        };
        let id = intent.id.clone();
        self.intents.insert(id.clone(), intent);
        self.happen_to_intent("payment_intent.created", &id);
        if params.text("confirm") == Some("true") {
            let by_script = params.text("confirmation_token").is_some() || params.text("return_url").is_none();
            self.confirm(&id, by_script)?;
        }
        let expand = params.expand("");
        Ok(self.show_intent(&self.intents[&id], &expand))
    }

    /// A saved card by its name, a test card by Stripe's name of it, or a token, which is used up.
    fn method_of(&mut self, params: &Params, customer: Option<&str>) -> Result<Option<String>, Refusal> {
        if let Some(token) = params.text("confirmation_token") {
            let kind = match self.tokens.get(token) {
                Some(None) => {
                    return Err(Refusal::state(None, format!("The ConfirmationToken '{token}' was already used")));
                }
                Some(Some(kind)) => *kind,
                None => Kind::parse(token).ok_or_else(|| Refusal::no_such(400, "confirmation_token", token))?,
            };
            self.tokens.insert(token.to_owned(), None);
            return Ok(Some(self.add_method(kind, None)));
        }
        let Some(id) = params.text("payment_method") else { return Ok(None) };
        if let Some(kind) = Kind::parse(id) {
            return Ok(Some(self.add_method(kind, None)));
        }
        let method = self.methods.get(id).ok_or_else(|| Refusal::no_such(400, "PaymentMethod", id))?;
        if method.customer.as_deref() != customer || customer.is_none() {
            return Err(Refusal::state(None, "The provided PaymentMethod does not belong to this Customer"));
        }
        Ok(Some(id.to_owned()))
    }

    fn confirm(&mut self, id: &str, by_script: bool) -> Result<(), Refusal> {
        let method = self.intents[id].method.clone().ok_or_else(|| Refusal::missing("payment_method"))?;
        let kind = self.methods[&method].kind;
        // A card that was seen by its bank when it was saved is not seen again.
        let saved = self.methods[&method].customer.is_some();
        let next = match kind {
            Kind::Paypay => Some(Next::Redirect),
            Kind::Konbini => Some(Next::Voucher { until_ms: self.now_ms + VOUCHER_MS }),
            Kind::Card { bank: Bank::Asks | Bank::AsksThenDeclines, .. } if !saved => {
                Some(if by_script { Next::Script } else { Next::Redirect })
            }
            Kind::Card { .. } => None,
        };
        if next.is_none() {
            return self.pay(id);
        }
        let intent = self.intents.get_mut(id).expect("it was made");
        intent.next = next;
        intent.status = "requires_action";
        self.happen_to_intent("payment_intent.requires_action", id);
        Ok(())
    }

    /// The bank is asked for the money.
    fn pay(&mut self, id: &str) -> Result<(), Refusal> {
        let method = self.intents[id].method.clone().expect("it has one");
        let kind = self.methods[&method].kind;
        let charge = self.name("ch");
        let declined = match kind.bank() {
            Bank::Declines(code) => Some(code),
            Bank::AsksThenDeclines => Some("generic_decline"),
            _ => None,
        };
        let intent = self.intents.get_mut(id).expect("it was made");
        intent.next = None;
        intent.charge = Some(charge.clone());
        let waits = intent.manual || (intent.manual_card && kind.name() == "card");
        let amount = intent.amount;
        intent.status = match (declined, waits) {
            (Some(_), _) => "requires_payment_method",
            (None, true) => "requires_capture",
            (None, false) => "succeeded",
        };
        let captured = if declined.is_none() && !waits { amount } else { 0 };
        let failure = declined.map(|code| ("card_declined", Some(code)));
        let made = Charge {
            id: charge.clone(),
            created_ms: self.now_ms,
            intent: id.to_owned(),
            method: method.clone(),
            kind,
            amount,
            captured,
            refunded: 0,
            status: if declined.is_some() { "failed" } else { "succeeded" },
            capture_before_ms: self.now_ms + CAPTURE_WITHIN_MS,
            failure,
            line: None,
        };
        self.charges.insert(charge.clone(), made);
        if let Some(decline_code) = declined {
            let fault = ("card_error", "card_declined", Some(decline_code));
            self.fail(id, fault);
            let shown = self.show_intent(&self.intents[id], &[]);
            return Err(Refusal { intent: Some(shown), ..Refusal::card("card_declined", Some(decline_code)) });
        }
        let shown = self.show_charge(&self.charges[&charge], &[]);
        self.happen("charge.succeeded", shown);
        if captured > 0 {
            self.enter(&charge, captured);
            self.happen_to_intent("payment_intent.succeeded", id);
        } else {
            self.happen_to_intent("payment_intent.amount_capturable_updated", id);
        }
        Ok(())
    }

    fn fail(&mut self, id: &str, (kind, code, decline_code): (&'static str, &'static str, Option<&'static str>)) {
        let intent = self.intents.get_mut(id).expect("it was made");
        intent.status = "requires_payment_method";
        intent.next = None;
        intent.error = Some(LastError { kind, code, decline_code, method: intent.method.take() });
        self.happen_to_intent("payment_intent.payment_failed", id);
    }

    fn enter(&mut self, charge: &str, captured: i64) {
        let kind = if self.charges[charge].kind.name() == "card" { "charge" } else { "payment" };
        let line = self.add_line(kind, "charge", captured, charge);
        self.charges.get_mut(charge).expect("it was made").line = Some(line);
    }

    /// The buyer said yes, or paid at the store. `false`: nobody asked.
    pub fn approve(&mut self, id: &str) -> bool {
        if self.intents.get(id).is_none_or(|intent| intent.status != "requires_action") {
            return false;
        }
        // A refusal of the bank is told by the event; nobody waits for an answer here.
        let _ = self.pay(id);
        true
    }

    /// A page that knows a failed payment confirms it once more, and it is paid. `false`: it cannot be any more.
    pub fn pay_after_all(&mut self, id: &str, kind: Kind) -> bool {
        if self.intents.get(id).is_none_or(|intent| intent.status != "requires_payment_method") {
            return false;
        }
        let method = self.add_method(kind, None);
        self.intents.get_mut(id).expect("it was made").method = Some(method);
        self.pay(id).is_ok()
    }

    /// The buyer said no, or let the voucher run out. `false`: nobody asked.
    pub fn refuse(&mut self, id: &str) -> bool {
        let Some(intent) = self.intents.get(id).filter(|intent| intent.status == "requires_action") else {
            return false;
        };
        let fault = match intent.next {
            Some(Next::Voucher { .. }) => ("invalid_request_error", "payment_intent_payment_attempt_expired", None),
            _ if intent.method.as_ref().is_some_and(|method| self.methods[method].kind == Kind::Paypay) => {
                ("invalid_request_error", "payment_intent_payment_attempt_failed", None)
            }
            _ => ("invalid_request_error", "payment_intent_authentication_failure", None),
        };
        self.fail(id, fault);
        true
    }

    /// What time alone does: reserved money goes back, vouchers run out.
    pub fn lapse(&mut self) {
        let now_ms = self.now_ms;
        let over: Vec<(String, bool)> = self
            .intents
            .values()
            .filter_map(|intent| match (intent.status, intent.next, &intent.charge) {
                ("requires_capture", _, Some(charge)) => {
                    (self.charges[charge].capture_before_ms <= now_ms).then(|| (intent.id.clone(), true))
                }
                (_, Some(Next::Voucher { until_ms }), _) => (until_ms <= now_ms).then(|| (intent.id.clone(), false)),
                _ => None,
            })
            .collect();
        for (id, reserved) in over {
            if reserved {
                self.end(&id, "automatic");
            } else {
                self.refuse(&id);
            }
        }
    }

    fn end(&mut self, id: &str, reason: &'static str) {
        let now_ms = self.now_ms;
        let intent = self.intents.get_mut(id).expect("it was made");
        intent.status = "canceled";
        intent.next = None;
        intent.cancelled_ms = Some(now_ms);
        intent.cancellation_reason = Some(reason);
        self.happen_to_intent("payment_intent.canceled", id);
    }

    pub fn read_intent(&self, id: &str, params: &Params) -> Result<Value, Refusal> {
        params.only(&["expand"])?;
        let intent = self.intents.get(id).ok_or_else(|| Refusal::no_such(404, "payment_intent", id))?;
        Ok(self.show_intent(intent, &params.expand("")))
    }

    pub fn list_intents(&self, params: &Params) -> Result<Value, Refusal> {
        params.only(&["created", "customer", "expand", "limit", "starting_after"])?;
        let since_ms = params.whole("created[gte]")?.unwrap_or(0) * 1_000;
        let customer = params.text("customer");
        let expand = params.expand("data.");
        let fits = |intent: &&Intent| {
            // Stripe keeps whole seconds.
            intent.created_ms / 1_000 * 1_000 >= since_ms
                && customer.is_none_or(|id| intent.customer.as_deref() == Some(id))
        };
        let all = self.intents.values().filter(fits);
        let all = all.map(|intent| (intent.nth, intent.id.clone(), self.show_intent(intent, &expand))).collect();
        let limit = params.whole("limit")?.unwrap_or(10);
        Self::page("/v1/payment_intents", all, limit, params.text("starting_after"))
    }

    fn out_of_turn(&self, id: &str, verb: &str) -> Refusal {
        let intent = &self.intents[id];
        let text = format!("This PaymentIntent could not be {verb} because it has a status of {}.", intent.status);
        let shown = self.show_intent(intent, &[]);
        Refusal { intent: Some(shown), ..Refusal::state(Some("payment_intent_unexpected_state"), text) }
    }

    pub fn capture(&mut self, id: &str, params: &Params) -> Result<Value, Refusal> {
        params.only(&["amount_to_capture", "expand"])?;
        let intent = self.intents.get(id).ok_or_else(|| Refusal::no_such(404, "payment_intent", id))?;
        if intent.status != "requires_capture" {
            return Err(self.out_of_turn(id, "captured"));
        }
        let amount = params.whole("amount_to_capture")?.unwrap_or(intent.amount);
        if !(1..=intent.amount).contains(&amount) {
            let code = if amount > 0 { "amount_too_large" } else { "amount_too_small" };
            return Err(Refusal { code: Some(code), ..Refusal::invalid("amount_to_capture", "Out of range") });
        }
        let charge = intent.charge.clone().expect("money is reserved");
        self.intents.get_mut(id).expect("it is there").status = "succeeded";
        self.charges.get_mut(&charge).expect("it is there").captured = amount;
        self.enter(&charge, amount);
        let shown = self.show_charge(&self.charges[&charge], &[]);
        self.happen("charge.captured", shown);
        self.happen_to_intent("payment_intent.succeeded", id);
        Ok(self.show_intent(&self.intents[id], &params.expand("")))
    }

    pub fn cancel(&mut self, id: &str, params: &Params) -> Result<Value, Refusal> {
        params.only(&["cancellation_reason", "expand"])?;
        let intent = self.intents.get(id).ok_or_else(|| Refusal::no_such(404, "payment_intent", id))?;
        if matches!(intent.status, "succeeded" | "canceled" | "processing") {
            return Err(self.out_of_turn(id, "canceled"));
        }
        self.end(id, "requested_by_customer");
        Ok(self.show_intent(&self.intents[id], &params.expand("")))
    }
}
