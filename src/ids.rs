//! Value: prefixed ids.
//!
//! Owns the shape of every id: a short prefix that says what it names, and a UUIDv7 in lower-case Crockford-like
//! base32 (26 characters), so ids sort by creation time. Text to serde and sqlx; inline, because a purchase bears ten.
//! Invariant: a parsed id has its own prefix and 26 characters of the alphabet; nothing else can be built.

use std::fmt;

use data_encoding::{Encoding, Specification};

/// Crockford's alphabet in lower case: no i, l, o, u, so an id can be read aloud.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

static BASE32: std::sync::LazyLock<Encoding> = std::sync::LazyLock::new(|| {
    let mut spec = Specification::new();
    spec.symbols.push_str(std::str::from_utf8(ALPHABET).expect("ASCII"));
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

/// Writes a fresh body after the prefix.
fn put_fresh_body(to: &mut [u8]) {
    BASE32.encode_mut(uuid::Uuid::now_v7().as_bytes(), to);
}

/// What each byte stands for in a body; 255 = nothing.
static VALUES: [u8; 256] = {
    let mut values = [u8::MAX; 256];
    let mut value = 0;
    while value < ALPHABET.len() {
        #[expect(clippy::cast_possible_truncation, reason = "below 32")]
        {
            values[ALPHABET[value] as usize] = value as u8;
        }
        value += 1;
    }
    values
};

fn is_body(text: &str) -> bool {
    let value = |byte: u8| VALUES[usize::from(byte)];
    // 26 characters are 130 bits: the last two stand for nothing.
    text.len() == BODY_LEN
        && text.bytes().all(|byte| value(byte) != u8::MAX)
        && text.bytes().last().is_some_and(|byte| value(byte) % 4 == 0)
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, utoipa::ToSchema)]
        #[schema(value_type = String)]
        pub struct $name([u8; $prefix.len() + 1 + BODY_LEN]);

        impl $name {
            /// The text before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// A new id; later ones sort after earlier ones.
            #[must_use]
            pub fn fresh() -> Self {
                let mut text = [b'_'; $prefix.len() + 1 + BODY_LEN];
                text[..$prefix.len()].copy_from_slice($prefix.as_bytes());
                put_fresh_body(&mut text[$prefix.len() + 1..]);
                Self(text)
            }

            /// Reads an id from the edge.
            ///
            /// # Errors
            /// [`InvalidId`] when prefix or body is wrong.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                let body = text.strip_prefix($prefix).and_then(|rest| rest.strip_prefix('_'));
                let id = body.filter(|body| is_body(body)).and_then(|_| text.as_bytes().try_into().ok());
                id.map(Self).ok_or(InvalidId { prefix: $prefix })
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                std::str::from_utf8(&self.0).expect("an id is ASCII")
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }

        impl<D: sqlx::Database> sqlx::Type<D> for $name
        where
            String: sqlx::Type<D>,
        {
            fn type_info() -> D::TypeInfo {
                <String as sqlx::Type<D>>::type_info()
            }

            fn compatible(found: &D::TypeInfo) -> bool {
                <String as sqlx::Type<D>>::compatible(found)
            }
        }

        impl<'q, D: sqlx::Database> sqlx::Encode<'q, D> for $name
        where
            String: sqlx::Encode<'q, D>,
        {
            fn encode_by_ref(
                &self,
                buffer: &mut <D as sqlx::Database>::ArgumentBuffer,
            ) -> Result<sqlx::encode::IsNull, sqlx::error::BoxDynError> {
                <String as sqlx::Encode<'q, D>>::encode(self.as_str().to_owned(), buffer)
            }
        }

        impl<'r, D: sqlx::Database> sqlx::Decode<'r, D> for $name
        where
            &'r str: sqlx::Decode<'r, D>,
        {
            fn decode(value: <D as sqlx::Database>::ValueRef<'r>) -> Result<Self, sqlx::error::BoxDynError> {
                Ok(Self::parse(<&'r str as sqlx::Decode<'r, D>>::decode(value)?)?)
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
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
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
                id.as_str().to_owned()
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
    /// A person who may not talk.
    MuteId = "mut";
    /// A person who may not enter.
    BanId = "ban";
    /// A word that a liver refuses.
    WordId = "wrd";
    /// The state machine of buying.
    PurchaseId = "pur";
    /// One try to collect money.
    AttemptId = "pay";
    /// A saved card.
    CardId = "card";
    /// Money given back, or not taken.
    RefundId = "rfd";
    /// A line of the money ledger.
    PostingId = "pst";
    /// Something that the provider's books and ours do not agree on.
    FindingId = "fnd";
    /// One seller's document for one order.
    InvoiceId = "inv";
    /// What a refund takes back of an invoice.
    CreditNoteId = "crn";
    /// A line of the sandbox's books.
    SandboxEntryId = "txn";
    /// One comparison of the provider's books with ours.
    RunId = "run";
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
    /// An event that must leave the database.
    OutboxId = "out";
    /// A WHIP or WHEP session.
    MediaSessionId = "med";
    /// A row of the audit log.
    AuditId = "aud";
    /// An answer to whether something may be noted.
    ConsentId = "cns";
    /// What a brand and a liver agreed on.
    ContractId = "con";
    /// What a liver is owed by a brand for a month.
    StatementId = "stm";
    /// A file that is being made.
    ExportId = "exp";
    /// An address of a brand's systems that is told of events.
    WebhookId = "whk";
    /// What is said to such addresses.
    MessageId = "evt";
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
