//! What a test asks of Stripe's side.

use std::collections::BTreeMap;

use super::books::Books;

/// One payment, as the one who holds the money sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paid {
    pub intent: String,
    pub purchase: String,
    pub attempt: String,
    pub status: &'static str,
    pub amount: i64,
    pub captured: i64,
    pub refunded: i64,
}

impl Paid {
    /// Whether somebody's money is reserved or taken.
    pub fn holds_money(&self) -> bool {
        self.status == "requires_capture" || self.captured > self.refunded
    }
}

impl Books {
    /// Every payment by the purchase that it is of.
    pub fn sales(&self) -> BTreeMap<String, Vec<Paid>> {
        let mut sales: BTreeMap<String, Vec<Paid>> = BTreeMap::new();
        for intent in self.intents.values() {
            let charge = intent.charge.as_ref().map(|charge| &self.charges[charge]);
            let word = |name: &str| intent.metadata.get(name).cloned().unwrap_or_default();
            let paid = Paid {
                intent: intent.id.clone(),
                purchase: word("purchase"),
                attempt: word("attempt"),
                status: intent.status,
                amount: intent.amount,
                captured: charge.map_or(0, |charge| charge.captured),
                refunded: charge.map_or(0, |charge| charge.refunded),
            };
            sales.entry(paid.purchase.clone()).or_default().push(paid);
        }
        sales
    }

    /// Purchases whose buyer's money is reserved or taken more than once.
    pub fn double_charges(&self) -> Vec<String> {
        let twice = |paid: &Vec<Paid>| paid.iter().filter(|paid| paid.holds_money()).count() > 1;
        self.sales().into_iter().filter(|(_, paid)| twice(paid)).map(|(purchase, _)| purchase).collect()
    }

    /// Attempts for which more than one payment was made, whatever became of them.
    pub fn double_attempts(&self) -> Vec<String> {
        let mut attempts: BTreeMap<String, usize> = BTreeMap::new();
        for paid in self.sales().into_values().flatten() {
            *attempts.entry(paid.attempt).or_default() += 1;
        }
        attempts.into_iter().filter(|(_, made)| *made > 1).map(|(attempt, _)| attempt).collect()
    }

    /// Keys under which money was given back more than once.
    pub fn double_refunds(&self) -> Vec<String> {
        let mut keys: BTreeMap<String, usize> = BTreeMap::new();
        for refund in self.refunds.values().filter(|refund| !matches!(refund.status, "failed" | "canceled")) {
            *keys.entry(refund.metadata.get("refund").cloned().unwrap_or_default()).or_default() += 1;
        }
        keys.into_iter().filter(|(_, made)| *made > 1).map(|(key, _)| key).collect()
    }

    /// The balance that the lines explain, and the one that charges, refunds and payouts explain.
    pub fn balances(&self) -> (i64, i64) {
        let lines: i64 = self.lines.values().map(|line| line.amount).sum();
        let charges: i64 = self.charges.values().map(|charge| charge.captured - charge.refunded).sum();
        let paid_out: i64 = self.paid_out.values().sum();
        let billed: i64 = self.lines.values().filter(|line| line.category == "fee").map(|line| line.amount).sum();
        (lines, charges - paid_out + billed)
    }
}
