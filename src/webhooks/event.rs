//! Pure: what brands' systems are told, and the text of it.
//!
//! `{"type":…,"timestamp":…,"data":{…}}`, as Standard Webhooks recommends. What is told is a fact that is never changed
//! (a ledger line, a closed statement), so a message that comes late or twice is still true.

use serde_json::{Value, json};

use crate::{clock::Millis, ids::BrandId};

crate::stored_choice! {
    /// What a brand's systems are told of.
    EventKind {
        /// A line was written into the credit ledger: a sale, or what came back of one.
        #[serde(rename = "credit.created")]
        CreditCreated = "credit.created",
        /// A liver's statement of a month was closed.
        #[serde(rename = "statement.closed")]
        StatementClosed = "statement.closed",
        /// Somebody tries the address.
        #[serde(rename = "endpoint.test")]
        EndpointTest = "endpoint.test",
    }
}

impl EventKind {
    /// The one of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.as_str() == name)
    }
}

/// Something that a brand is told.
#[derive(Debug, Clone)]
pub struct News {
    /// Whom.
    pub brand: BrandId,
    /// About which credit or statement.
    pub subject: String,
    /// What of it.
    pub data: Value,
}

/// The text that is signed and sent.
pub(super) fn body(event: EventKind, at: Millis, data: &Value) -> String {
    let time = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default();
    json!({ "type": event.as_str(), "timestamp": format!("{time:.3}"), "data": data }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_what_when_and_about_what() {
        let text = body(EventKind::CreditCreated, Millis(1_800_000_000_000), &json!({ "qty": 1 }));
        let read: Value = serde_json::from_str(&text).expect("JSON");
        let expected = json!({
            "type": "credit.created", "timestamp": "2027-01-15T08:00:00.000Z", "data": { "qty": 1 },
        });
        assert_eq!(read, expected);
        assert_eq!(EventKind::named("statement.closed"), Some(EventKind::StatementClosed));
        assert_eq!(EventKind::named("statement.opened"), None);
    }
}
