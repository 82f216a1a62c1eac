//! Refunds, and what becomes of them.

use serde_json::Value;

use super::{
    books::{Books, Line, Refund},
    cards::{Bank, Kind},
    form::Params,
    refusal::Refusal,
};

impl Books {
    pub fn create_refund(&mut self, params: &Params) -> Result<Value, Refusal> {
        params.only(&["amount", "expand", "metadata", "payment_intent", "reason"])?;
        let id = params.must("payment_intent")?;
        let intent = self.intents.get(id).ok_or_else(|| Refusal::no_such(400, "payment_intent", id))?;
        let none = || Refusal::state(None, "This PaymentIntent does not have a successful charge to refund.");
        let charge = intent.charge.clone().ok_or_else(none)?;
        if intent.status != "succeeded" {
            return Err(none());
        }
        let taken = &self.charges[&charge];
        let left = taken.captured - taken.refunded;
        let amount = params.whole("amount")?.unwrap_or(left);
        if left == 0 {
            return Err(Refusal::state(
                Some("charge_already_refunded"),
                format!("Charge {charge} has already been refunded."),
            ));
        }
        if !(1..=left).contains(&amount) {
            let text = format!("Refund amount (¥{amount}) is greater than unrefunded amount on charge (¥{left})");
            return Err(Refusal { param: Some("amount".to_owned()), ..Refusal::state(Some("amount_too_large"), text) });
        }
        let status = match (taken.kind, taken.kind.bank()) {
            (Kind::Konbini, _) => "requires_action",
            (_, Bank::RefundPends) => "pending",
            _ => "succeeded",
        };
        let card = taken.kind.name() == "card";
        let refund = self.name("re");
        let line = self.add_line(if card { "refund" } else { "payment_refund" }, "refund", -amount, &refund);
        self.charges.get_mut(&charge).expect("it is there").refunded += amount;
        let made = Refund {
            id: refund.clone(),
            nth: self.nth(),
            created_ms: self.now_ms,
            intent: id.to_owned(),
            charge: charge.clone(),
            amount,
            status,
            failure: None,
            metadata: params.map("metadata"),
            line,
        };
        let shown = self.show_refund(&made);
        self.refunds.insert(refund, made);
        self.happen("refund.created", shown.clone());
        let charge = self.show_charge(&self.charges[&charge], &[]);
        self.happen("charge.refunded", charge);
        Ok(shown)
    }

    /// The banks have had their time: what was under way arrives, what fails comes back.
    pub fn settle_refunds(&mut self) -> usize {
        let waiting = |refund: &&Refund| {
            let fails = self.charges[&refund.charge].kind.bank() == Bank::RefundFails;
            matches!(refund.status, "pending" | "requires_action") || (fails && refund.status == "succeeded")
        };
        let waiting: Vec<Refund> = self.refunds.values().filter(waiting).cloned().collect();
        for refund in &waiting {
            let fails = self.charges[&refund.charge].kind.bank() == Bank::RefundFails;
            if fails {
                self.charges.get_mut(&refund.charge).expect("it is there").refunded -= refund.amount;
                self.add_line("refund_failure", "refund_failure", refund.amount, &refund.id);
            }
            let kept = self.refunds.get_mut(&refund.id).expect("it is there");
            kept.status = if fails { "failed" } else { "succeeded" };
            kept.failure = fails.then_some("lost_or_stolen_card");
            let shown = self.show_refund(&self.refunds[&refund.id]);
            self.happen(if fails { "refund.failed" } else { "refund.updated" }, shown);
        }
        waiting.len()
    }

    pub fn read_refund(&self, id: &str, params: &Params) -> Result<Value, Refusal> {
        params.only(&["expand"])?;
        self.refunds.get(id).map(|refund| self.show_refund(refund)).ok_or_else(|| Refusal::no_such(404, "refund", id))
    }

    pub fn list_refunds(&self, params: &Params) -> Result<Value, Refusal> {
        params.only(&["created", "expand", "limit", "payment_intent", "starting_after"])?;
        let intent = params.text("payment_intent");
        let all = self.refunds.values().filter(|refund| intent.is_none_or(|id| refund.intent == id));
        let all = all.map(|refund| (refund.nth, refund.id.clone(), self.show_refund(refund))).collect();
        Self::page("/v1/refunds", all, params.whole("limit")?.unwrap_or(10), params.text("starting_after"))
    }

    pub fn list_lines(&self, params: &Params) -> Result<Value, Refusal> {
        params.only(&["created", "expand", "limit", "payout", "source", "starting_after", "type"])?;
        let from_s = params.whole("created[gte]")?.unwrap_or(0);
        let to_s = params.whole("created[lt]")?.unwrap_or(i64::MAX);
        let expand = params.expand("data.");
        let fits = |line: &&Line| (from_s..to_s).contains(&line.created_ms.div_euclid(1_000));
        let all = self.lines.values().filter(fits);
        let all = all.map(|line| (line.nth, line.id.clone(), self.show_line(line, &expand))).collect();
        Self::page("/v1/balance_transactions", all, params.whole("limit")?.unwrap_or(10), params.text("starting_after"))
    }
}
