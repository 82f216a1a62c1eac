//! Value: how a buyer pays.
//!
//! No card number is in here or anywhere in this server: a saved card has a name of ours, a new one the name that the
//! provider's form in the page made of it.

use serde::{Deserialize, Serialize};

use crate::ids::CardId;

/// How a buyer pays: one of the sandbox's test methods (`sandbox_…`), a saved card (`card_…`), or what the provider's
/// form in the page made of the buyer's words (Stripe's ConfirmationToken, `ctoken_…`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Method {
    /// Of the sandbox: no money moves, and every page says so.
    Test(TestMethod),
    /// A saved card.
    Saved(CardId),
    /// Stripe's ConfirmationToken.
    Token(String),
}

/// A text that names no method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("payment_method must be a test method (sandbox_…), a saved card (card_…) or a confirmation token (ctoken_…)")]
pub struct UnknownMethod;

/// Characters of a token; Stripe's have about thirty.
const MAX_TOKEN: usize = 128;

impl Method {
    /// From the edge, or as stored.
    ///
    /// # Errors
    /// [`UnknownMethod`].
    pub fn parse(text: &str) -> Result<Self, UnknownMethod> {
        if let Some(test) = TestMethod::parse(text) {
            return Ok(Self::Test(test));
        }
        if let Ok(card) = CardId::parse(text) {
            return Ok(Self::Saved(card));
        }
        let plain = |rest: &str| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if text.len() <= MAX_TOKEN && text.strip_prefix("ctoken_").is_some_and(plain) {
            return Ok(Self::Token(text.to_owned()));
        }
        Err(UnknownMethod)
    }

    /// As stored and sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Test(test) => test.as_str(),
            Self::Saved(card) => card.as_str(),
            Self::Token(token) => token,
        }
    }
}

impl TryFrom<String> for Method {
    type Error = UnknownMethod;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Method> for String {
    fn from(method: Method) -> Self {
        method.as_str().to_owned()
    }
}

macro_rules! test_methods {
    ($($(#[$doc:meta])* $name:ident = $slug:literal, $number:literal, $ja:literal, $en:literal;)*) => {
        /// A test method of the sandbox.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum TestMethod {
            $($(#[$doc])* $name,)*
        }

        impl TestMethod {
            /// Every test method.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// As stored and sent.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $slug,)* }
            }

            /// The number that stands for it in the page; empty for what is no card. The page sends the name alone.
            #[must_use]
            pub fn number(self) -> &'static str {
                match self { $(Self::$name => $number,)* }
            }

            /// What the page says it does.
            #[must_use]
            pub fn label_ja(self) -> &'static str {
                match self { $(Self::$name => $ja,)* }
            }

            /// What the page says it does.
            #[must_use]
            pub fn label_en(self) -> &'static str {
                match self { $(Self::$name => $en,)* }
            }
        }
    };
}

// Numbers of Stripe's own test cards where it has one for the case (docs.stripe.com/testing).
test_methods! {
    /// A card that works.
    Card = "sandbox_card", "4242424242424242", "承認されるカード", "A card that works";
    /// A card that is declined.
    Declined = "sandbox_declined", "4000000000000002", "拒否されるカード", "A card that is declined";
    /// A card without funds.
    Insufficient = "sandbox_insufficient", "4000000000009995", "残高不足のカード", "A card without funds";
    /// A card whose bank asks the buyer first.
    ThreeDs = "sandbox_3ds", "4000002760003184", "本人認証（3Dセキュア）を求めるカード", "A card that asks for 3-D Secure";
    /// A card whose bank takes two seconds.
    Slow = "sandbox_slow", "4000000000000077", "返事が遅いカード", "A card whose bank is slow";
    /// A card whose first answer is lost: the money is reserved, but nobody is told.
    Lost = "sandbox_lost", "4000000000000119", "返事が失われるカード", "A card whose answer is lost";
    /// A card to which no money can be given back.
    RefundFails = "sandbox_refund_fails", "4000000000005126", "返金に失敗するカード", "A card to which refunds fail";
    /// A wallet that leads to its own page and takes the money at once.
    PayPay = "sandbox_paypay", "", "PayPay（テスト）", "PayPay (test)";
    /// Paid at a convenience store within days; the money is taken at once.
    Konbini = "sandbox_konbini", "", "コンビニ払い（テスト）", "Convenience store (test)";
}

impl TestMethod {
    fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|method| method.as_str() == text)
    }

    /// Whether it is a card, which can be saved and whose money is reserved first.
    #[must_use]
    pub fn is_card(self) -> bool {
        !self.number().is_empty()
    }

    /// Whether it takes days.
    #[must_use]
    pub fn is_slow(self) -> bool {
        self == Self::Konbini
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_what_they_are_called() {
        for test in TestMethod::ALL {
            assert_eq!(Method::parse(test.as_str()), Ok(Method::Test(*test)));
        }
        let card = CardId::fresh();
        assert_eq!(Method::parse(card.as_str()), Ok(Method::Saved(card)));
        assert_eq!(Method::parse("ctoken_1Nabc").map(String::from), Ok("ctoken_1Nabc".to_owned()));
        for wrong in ["", "4242424242424242", "pm_card_visa", "ctoken_", "ctoken_a b", "sandbox_gold", "card_1"] {
            assert_eq!(Method::parse(wrong), Err(UnknownMethod), "{wrong}");
        }
    }
}
