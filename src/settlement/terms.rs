//! Pure: what a brand and a liver may agree on.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::SettlementError;
use crate::{clock::Millis, ids::ProductId, money::WHOLE_BP};

/// Products with a rate of their own.
const MAX_PRODUCT_RATES: usize = 200;
/// Characters of the label of a tie-up live; as a live takes it.
const MAX_PR_LABEL_CHARS: usize = 40;
/// Characters of a note.
const MAX_NOTE_CHARS: usize = 2_000;
/// Freelance Act, Article 4: paid within 60 days of the day of the service, that day counted.
pub(super) const MAX_PAY_DAYS: i32 = 60;
/// How late terms may be proposed from their first day on: the day is chosen in Japan, and may have begun.
const MAX_LATE_MS: i64 = 24 * 3_600_000;
/// How far ahead they may begin, and how long they may last.
const MAX_AHEAD_MS: i64 = 10 * 366 * 24 * 3_600_000;

/// A product's own rate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProductRate {
    /// One of the brand's.
    pub product_id: ProductId,
    /// Basis points.
    pub rate_bp: i32,
}

/// What becomes of a commission when goods come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefundRule {
    /// It is not earned, and is taken off the next statement when it was paid.
    Reverse,
}

impl RefundRule {
    /// Every rule.
    pub const ALL: &[Self] = &[Self::Reverse];

    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reverse => "reverse",
        }
    }
}

crate::stored_as_text!(RefundRule);

/// Terms of a contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Of every product without a rate of its own, basis points; of sales with tax, the commission itself without tax.
    pub rate_bp: i32,
    /// Products with rates of their own, each once.
    #[serde(default)]
    pub product_rates: Vec<ProductRate>,
    /// Sales from then on, but not before both have accepted.
    pub from_ms: Millis,
    /// First moment after; open when absent.
    #[serde(default)]
    pub to_ms: Option<Millis>,
    /// Days that a click counts, 0 to 30; the brand's rule when absent.
    #[serde(default)]
    pub click_days: Option<i32>,
    /// Days that a replay counts, 0 to 90; the brand's rule when absent.
    #[serde(default)]
    pub replay_days: Option<i32>,
    /// What a tie-up live must bear (ステマ規制); 1 to 40 characters.
    pub pr_label: String,
    /// Paid within so many days of the stream, its day counted; 1 to 60 (Freelance Act).
    pub pay_within_days: i32,
    /// What becomes of a commission when goods come back.
    pub refund_rule: RefundRule,
    /// At most 2,000 characters.
    #[serde(default)]
    pub note: String,
}

impl Terms {
    /// The terms as they are kept.
    ///
    /// # Errors
    /// [`SettlementError::Invalid`] naming the field.
    pub(super) fn checked(mut self, now: Millis) -> Result<Self, SettlementError> {
        within("rate_bp", self.rate_bp, 0, i32::try_from(WHOLE_BP).unwrap_or(i32::MAX))?;
        if self.product_rates.len() > MAX_PRODUCT_RATES {
            return invalid(format!("product_rates: at most {MAX_PRODUCT_RATES} products have a rate of their own"));
        }
        let mut products = BTreeSet::new();
        for rate in &self.product_rates {
            within("product_rates: rate_bp", rate.rate_bp, 0, i32::try_from(WHOLE_BP).unwrap_or(i32::MAX))?;
            if !products.insert(&rate.product_id) {
                return invalid(format!("product_rates: {} is there twice", rate.product_id));
            }
        }
        if now.since(self.from_ms) > MAX_LATE_MS {
            return invalid("from_ms is in the past: what was sold under other terms stays under them");
        }
        let last = self.to_ms.unwrap_or(self.from_ms);
        if last.since(now) > MAX_AHEAD_MS {
            return invalid("from_ms and to_ms must be within ten years");
        }
        if self.to_ms.is_some_and(|to| to <= self.from_ms || to <= now) {
            return invalid("to_ms must be after from_ms, and not in the past");
        }
        if let Some(days) = self.click_days {
            within("click_days", days, 0, 30)?;
        }
        if let Some(days) = self.replay_days {
            within("replay_days", days, 0, 90)?;
        }
        within("pay_within_days", self.pay_within_days, 1, MAX_PAY_DAYS).map_err(|_| {
            SettlementError::Invalid(format!(
                "pay_within_days must be 1 to {MAX_PAY_DAYS}: a liver is paid within 60 days of the stream, its day counted"
            ))
        })?;
        self.pr_label = text("pr_label", &self.pr_label, 1, MAX_PR_LABEL_CHARS)?;
        let note = self.note.trim().to_owned();
        self.note = note;
        if self.note.chars().count() > MAX_NOTE_CHARS {
            return invalid(format!("note must have at most {MAX_NOTE_CHARS} characters"));
        }
        Ok(self)
    }
}

pub(super) fn invalid<T>(text: impl Into<String>) -> Result<T, SettlementError> {
    Err(SettlementError::Invalid(text.into()))
}

fn within(name: &str, value: i32, least: i32, most: i32) -> Result<(), SettlementError> {
    if (least..=most).contains(&value) { Ok(()) } else { invalid(format!("{name} must be {least} to {most}")) }
}

/// One line of text: trimmed, of so many characters.
pub(super) fn text(name: &str, value: &str, least: usize, most: usize) -> Result<String, SettlementError> {
    let value = value.trim();
    if !(least..=most).contains(&value.chars().count()) || value.chars().any(char::is_control) {
        return invalid(format!("{name} must have {least} to {most} characters in one line"));
    }
    Ok(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_800_000_000_000);

    fn terms() -> Terms {
        Terms {
            rate_bp: 1_500,
            product_rates: Vec::new(),
            from_ms: NOW,
            to_ms: None,
            click_days: None,
            replay_days: Some(90),
            pr_label: " PR ".to_owned(),
            pay_within_days: 60,
            refund_rule: RefundRule::Reverse,
            note: String::new(),
        }
    }

    fn fault(terms: Terms) -> String {
        terms.checked(NOW).expect_err("it is refused").to_string()
    }

    #[test]
    fn terms_that_the_law_or_the_table_would_not_take_are_named() {
        assert_eq!(terms().checked(NOW).expect("good").pr_label, "PR");
        assert!(fault(Terms { rate_bp: 10_001, ..terms() }).contains("rate_bp must be 0 to 10000"));
        assert!(fault(Terms { pay_within_days: 61, ..terms() }).contains("60 days of the stream"));
        assert!(fault(Terms { pr_label: " ".to_owned(), ..terms() }).contains("pr_label"));
        assert!(fault(Terms { from_ms: Millis(NOW.0 - MAX_LATE_MS - 1), ..terms() }).contains("in the past"));
        assert!(fault(Terms { to_ms: Some(NOW), ..terms() }).contains("to_ms"));
        assert!(fault(Terms { click_days: Some(31), ..terms() }).contains("click_days must be 0 to 30"));
        assert!(fault(Terms { note: "長".repeat(2_001), ..terms() }).contains("note"));
        let twice = ProductRate { product_id: ProductId::fresh(), rate_bp: 1 };
        assert!(fault(Terms { product_rates: vec![twice.clone(), twice], ..terms() }).contains("twice"));
    }
}
