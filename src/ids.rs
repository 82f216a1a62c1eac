//! Value: prefixed ids.
//!
//! Owns the shape of every id: a short prefix that says what it names, and a UUIDv7 in lower-case Crockford-like
//! base32 (26 characters), so ids sort by creation time. Transparent to serde and sqlx.
//! Invariant: a parsed id has its own prefix and 26 characters of the alphabet; nothing else can be built.

use std::fmt;

use data_encoding::{Encoding, Specification};

/// Crockford's alphabet in lower case: no i, l, o, u, so an id can be read aloud.
static BASE32: std::sync::LazyLock<Encoding> = std::sync::LazyLock::new(|| {
    let mut spec = Specification::new();
    spec.symbols.push_str("0123456789abcdefghjkmnpqrstvwxyz");
    spec.encoding().expect("the alphabet has 32 distinct symbols")
});

/// Characters after the prefix: 16 bytes in base32 without padding.
const BODY_LEN: usize = 26;

/// A text that is not an id of the asked kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an id that begins with `{prefix}_`")]
pub struct InvalidId {
    /// The prefix that was asked for.
    pub prefix: &'static str,
}

fn fresh_body() -> String {
    BASE32.encode(uuid::Uuid::now_v7().as_bytes())
}

fn is_body(text: &str) -> bool {
    text.len() == BODY_LEN && BASE32.decode(text.as_bytes()).is_ok()
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize, sqlx::Type, utoipa::ToSchema)]
        #[serde(try_from = "String", into = "String")]
        #[sqlx(transparent)]
        #[schema(value_type = String)]
        pub struct $name(String);

        impl $name {
            /// The text before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// A new id; later ones sort after earlier ones.
            #[must_use]
            pub fn fresh() -> Self {
                Self(format!("{}_{}", $prefix, fresh_body()))
            }

            /// Reads an id from the edge.
            ///
            /// # Errors
            /// [`InvalidId`] when prefix or body is wrong.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                match text.strip_prefix($prefix).and_then(|rest| rest.strip_prefix('_')) {
                    Some(body) if is_body(body) => Ok(Self(text.to_owned())),
                    _ => Err(InvalidId { prefix: $prefix }),
                }
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl<'a> From<&'a $name> for crate::store::Cell<'a> {
            fn from(id: &'a $name) -> Self {
                id.as_str().into()
            }
        }

        impl<'a> From<Option<&'a $name>> for crate::store::Cell<'a> {
            fn from(id: Option<&'a $name>) -> Self {
                id.map($name::as_str).into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    )*};
}

ids! {
    /// A person's sign-in.
    AccountId = "acc";
    /// An API key's public name.
    ApiKeyId = "key";
    /// One person, in every channel.
    CustomerId = "cus";
    /// A streamer.
    LiverId = "lvr";
    /// A brand partner.
    BrandId = "brd";
    /// A warehouse or store.
    LocationId = "loc";
    /// What is shown.
    ProductId = "prd";
    /// What is counted.
    SkuId = "sku";
    /// One import of a merchant's file.
    ImportId = "imp";
    /// A live session.
    LiveId = "live";
    /// An interval in which a product is shown.
    PinId = "pin";
    /// Price and rules of a SKU in a live.
    OfferId = "ofr";
    /// A viewer's question.
    QuestionId = "qst";
    /// A chat message.
    ChatId = "msg";
    /// The state machine of buying.
    PurchaseId = "pur";
    /// One try to collect money.
    AttemptId = "pay";
    /// What was bought.
    OrderId = "ord";
    /// One SKU of an order.
    OrderLineId = "lin";
    /// A row of the stock ledger.
    StockEntryId = "ste";
    /// One transaction of the sequencer.
    BatchId = "bat";
    /// What a till, a count or goods-in said of the stock.
    FactId = "fct";
    /// A place on a waitlist.
    WaitId = "wait";
    /// Why a customer came.
    TouchId = "tch";
    /// An attributed amount, a ledger row.
    CreditId = "crd";
    /// A row of the money ledger.
    MoneyEntryId = "mny";
    /// An event that must leave the database.
    OutboxId = "out";
    /// A WHIP or WHEP session.
    MediaSessionId = "med";
    /// A row of the audit log.
    AuditId = "aud";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_and_a_foreign_one_does_not() {
        let id = LiveId::fresh();
        assert_eq!(LiveId::parse(id.as_str()), Ok(id.clone()));
        assert!(OrderId::parse(id.as_str()).is_err());
        assert!(LiveId::parse("live_").is_err());
        assert!(LiveId::parse("live_01j00000000000000000000000x").is_err());
    }

    #[test]
    fn later_ids_sort_later() {
        let ids: Vec<_> = (0..1000).map(|_| PurchaseId::fresh()).collect();
        assert!(ids.is_sorted());
    }
}
