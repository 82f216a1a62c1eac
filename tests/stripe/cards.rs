//! What Stripe's test cards do (docs.stripe.com/testing), and what a buyer typed into the form.

/// What the bank behind a way to pay does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bank {
    Pays,
    Declines(&'static str),
    /// Wants to see the buyer first.
    Asks,
    /// Wants to see the buyer, and then declines.
    AsksThenDeclines,
    /// Takes a refund, and sends it back later.
    RefundFails,
    /// A refund takes its time.
    RefundPends,
}

/// A way to pay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Card { bank: Bank, last4: &'static str },
    Paypay,
    Konbini,
}

impl Kind {
    pub const CARD: Self = Self::Card { bank: Bank::Pays, last4: "4242" };
    pub const DECLINED: Self = Self::Card { bank: Bank::Declines("generic_decline"), last4: "0002" };
    pub const INSUFFICIENT: Self = Self::Card { bank: Bank::Declines("insufficient_funds"), last4: "9995" };
    pub const THREE_DS: Self = Self::Card { bank: Bank::Asks, last4: "3184" };
    pub const THREE_DS_DECLINED: Self = Self::Card { bank: Bank::AsksThenDeclines, last4: "1629" };
    pub const REFUND_FAILS: Self = Self::Card { bank: Bank::RefundFails, last4: "5126" };
    pub const REFUND_PENDS: Self = Self::Card { bank: Bank::RefundPends, last4: "7726" };

    pub fn name(self) -> &'static str {
        match self {
            Self::Card { .. } => "card",
            Self::Paypay => "paypay",
            Self::Konbini => "konbini",
        }
    }

    pub fn bank(self) -> Bank {
        match self {
            Self::Card { bank, .. } => bank,
            // Both give money back in their own time.
            Self::Paypay | Self::Konbini => Bank::RefundPends,
        }
    }

    /// By Stripe's names of test methods; after `pm_` or, here, after `ctoken_` (with anything behind a further `__`).
    pub fn parse(name: &str) -> Option<Self> {
        let bare = name.strip_prefix("pm_").or_else(|| name.strip_prefix("ctoken_"))?;
        match bare.split("__").next()? {
            "card_visa" | "card" => Some(Self::CARD),
            "card_visa_chargeDeclined" | "card_chargeDeclined" => Some(Self::DECLINED),
            "card_visa_chargeDeclinedInsufficientFunds" => Some(Self::INSUFFICIENT),
            "card_authenticationRequired" | "card_threeDSecure" | "card_threeDSecure2Required" => Some(Self::THREE_DS),
            "card_threeDSecureRequiredChargeDeclined" => Some(Self::THREE_DS_DECLINED),
            "card_refundFail" => Some(Self::REFUND_FAILS),
            "card_pendingRefund" => Some(Self::REFUND_PENDS),
            "paypay" => Some(Self::Paypay),
            "konbini" => Some(Self::Konbini),
            _ => None,
        }
    }
}
