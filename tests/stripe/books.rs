//! What the simulator remembers: Stripe's side of every payment.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{cards::Kind, refusal::Refusal};

/// 3.6 %, as for Japanese cards.
const FEE_PER_MILLE: i64 = 36;

#[derive(Debug, Clone)]
pub struct Customer {
    pub id: String,
    pub created_ms: i64,
    pub metadata: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
pub struct Method {
    pub id: String,
    pub kind: Kind,
    pub customer: Option<String>,
    pub created_ms: i64,
}

/// What the buyer is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// In the page, by Stripe's script.
    Script,
    /// Elsewhere.
    Redirect,
    /// At a convenience store, until then.
    Voucher { until_ms: i64 },
}

#[derive(Debug, Clone)]
pub struct LastError {
    pub kind: &'static str,
    pub code: &'static str,
    pub decline_code: Option<&'static str>,
    pub method: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Intent {
    pub id: String,
    pub nth: u64,
    pub created_ms: i64,
    pub amount: i64,
    pub currency: String,
    pub customer: Option<String>,
    pub method: Option<String>,
    pub kinds: Vec<String>,
    /// Asked of the whole payment, and of cards only.
    pub manual: bool,
    pub manual_card: bool,
    pub metadata: BTreeMap<String, String>,
    pub status: &'static str,
    pub next: Option<Next>,
    pub return_url: Option<String>,
    pub error: Option<LastError>,
    pub charge: Option<String>,
    pub cancelled_ms: Option<i64>,
    pub cancellation_reason: Option<&'static str>,
}

#[derive(Debug, Clone)]
pub struct Charge {
    pub id: String,
    pub created_ms: i64,
    pub intent: String,
    pub method: String,
    pub kind: Kind,
    pub amount: i64,
    pub captured: i64,
    pub refunded: i64,
    pub status: &'static str,
    pub capture_before_ms: i64,
    pub failure: Option<(&'static str, Option<&'static str>)>,
    pub line: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Refund {
    pub id: String,
    pub nth: u64,
    pub created_ms: i64,
    pub intent: String,
    pub charge: String,
    pub amount: i64,
    pub status: &'static str,
    pub failure: Option<&'static str>,
    pub metadata: BTreeMap<String, String>,
    pub line: String,
}

#[derive(Debug, Clone)]
pub struct Setup {
    pub id: String,
    pub created_ms: i64,
    pub customer: Option<String>,
    pub kinds: Vec<String>,
    pub usage: String,
    pub metadata: BTreeMap<String, String>,
    pub status: &'static str,
    pub method: Option<String>,
    /// Not yet saved: the bank is asked.
    pub trying: Option<String>,
    pub error: Option<(&'static str, Option<&'static str>)>,
}

/// A balance transaction.
#[derive(Debug, Clone)]
pub struct Line {
    pub id: String,
    pub nth: u64,
    pub created_ms: i64,
    pub kind: &'static str,
    pub category: &'static str,
    pub amount: i64,
    pub fee: i64,
    pub source: Option<String>,
}

/// What is told of by webhooks, with the object as it was then.
#[derive(Debug, Clone)]
pub struct Happening {
    pub id: String,
    pub kind: &'static str,
    pub created_ms: i64,
    pub object: Value,
}

/// Everything.
#[derive(Debug, Default)]
pub struct Books {
    pub now_ms: i64,
    /// Where its pages are.
    pub base: String,
    counter: u64,
    pub customers: BTreeMap<String, Customer>,
    pub methods: BTreeMap<String, Method>,
    /// What a buyer typed into the form, until it is used.
    pub tokens: BTreeMap<String, Option<Kind>>,
    pub intents: BTreeMap<String, Intent>,
    pub charges: BTreeMap<String, Charge>,
    pub refunds: BTreeMap<String, Refund>,
    pub setups: BTreeMap<String, Setup>,
    pub lines: BTreeMap<String, Line>,
    pub paid_out: BTreeMap<String, i64>,
    pub happened: Vec<Happening>,
}

impl Books {
    pub fn at(base: &str) -> Self {
        Self { base: base.to_owned(), ..Self::default() }
    }

    pub fn nth(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// A name in Stripe's style.
    pub fn name(&mut self, prefix: &str) -> String {
        format!("{prefix}_3Sim{:016}", self.nth())
    }

    pub fn happen(&mut self, kind: &'static str, object: Value) {
        let id = self.name("evt");
        self.happened.push(Happening { id, kind, created_ms: self.now_ms, object });
    }

    pub fn happen_to_intent(&mut self, kind: &'static str, id: &str) {
        let object = self.show_intent(&self.intents[id], &[]);
        self.happen(kind, object);
    }

    pub fn add_method(&mut self, kind: Kind, customer: Option<String>) -> String {
        let id = self.name("pm");
        let created_ms = self.now_ms;
        self.methods.insert(id.clone(), Method { id: id.clone(), kind, customer, created_ms });
        id
    }

    /// What the form in the page makes of what the buyer typed.
    pub fn add_token(&mut self, kind: Kind) -> String {
        let id = self.name("ctoken");
        self.tokens.insert(id.clone(), Some(kind));
        id
    }

    pub fn add_line(&mut self, kind: &'static str, category: &'static str, amount: i64, source: &str) -> String {
        let id = self.name("txn");
        let fee = if category == "charge" { amount * FEE_PER_MILLE / 1_000 } else { 0 };
        let line = Line {
            id: id.clone(),
            nth: self.nth(),
            created_ms: self.now_ms,
            kind,
            category,
            amount,
            fee,
            source: Some(source.to_owned()),
        };
        self.lines.insert(id.clone(), line);
        id
    }

    /// Sends what is there to the bank.
    pub fn pay_out(&mut self) -> i64 {
        let balance: i64 = self.lines.values().map(|line| line.amount - line.fee).sum();
        if balance > 0 {
            let payout = self.name("po");
            self.add_line("payout", "payout", -balance, &payout);
            self.paid_out.insert(payout, balance);
        }
        balance
    }

    /// A fee of Stripe's own.
    pub fn bill(&mut self, amount: i64) {
        let source = self.name("fee");
        self.add_line("stripe_fee", "fee", -amount, &source);
    }

    pub fn customer(&mut self, metadata: BTreeMap<String, String>) -> Value {
        let id = self.name("cus");
        let customer = Customer { id: id.clone(), created_ms: self.now_ms, metadata };
        self.customers.insert(id, customer.clone());
        let shown = self.show_customer(&customer);
        self.happen("customer.created", shown.clone());
        shown
    }

    pub fn known_customer(&self, id: Option<&str>) -> Result<Option<String>, Refusal> {
        match id {
            Some(id) if !self.customers.contains_key(id) => Err(Refusal::no_such(400, "customer", id)),
            id => Ok(id.map(str::to_owned)),
        }
    }

    pub fn read_method(&self, id: &str) -> Result<Value, Refusal> {
        let method = self.methods.get(id).ok_or_else(|| Refusal::no_such(404, "PaymentMethod", id))?;
        Ok(self.show_method(method))
    }

    pub fn detach(&mut self, id: &str) -> Result<Value, Refusal> {
        let method = self.methods.get_mut(id).ok_or_else(|| Refusal::no_such(404, "PaymentMethod", id))?;
        if method.customer.take().is_none() {
            return Err(Refusal::state(
                None,
                "The payment method you provided is not attached to a customer so detachment is impossible.",
            ));
        }
        let shown = self.read_method(id)?;
        self.happen("payment_method.detached", shown.clone());
        Ok(shown)
    }

    /// A page of a list, newest first.
    pub fn page(url: &str, all: Vec<(u64, String, Value)>, limit: i64, after: Option<&str>) -> Result<Value, Refusal> {
        let mut all = all;
        all.sort_by_key(|(nth, _, _)| std::cmp::Reverse(*nth));
        let skip = match after {
            None => 0,
            Some(after) => {
                let at = all.iter().position(|(_, id, _)| id == after);
                at.ok_or_else(|| Refusal::no_such(400, "object", after))? + 1
            }
        };
        let limit = usize::try_from(limit.clamp(1, 100)).expect("small");
        let more = all.len() > skip + limit;
        let data: Vec<Value> = all.into_iter().skip(skip).take(limit).map(|(_, _, shown)| shown).collect();
        Ok(json!({ "object": "list", "url": url, "has_more": more, "data": data }))
    }
}
