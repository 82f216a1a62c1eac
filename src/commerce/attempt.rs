//! Pure: where a try to collect money stands, and what the provider's word means for its purchase.
//!
//! Invariant: states only rise ([`AttemptState::rank`]), so words of the provider may come late, twice and in any order;
//! the database keeps to it too, since the statement that writes a state compares ranks.

use super::{
    payment::{Intent, Status},
    purchase::{By, Input},
};
use crate::clock::Millis;

/// Where a try to collect money stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttemptState {
    /// Written down; the provider was asked, or will be.
    Created,
    /// Asked, and the answer did not arrive.
    Unknown,
    /// The buyer must do something.
    RequiresAction,
    /// The provider is at it.
    Processing,
    /// No; it may still have to be called off, so that it can never be paid.
    Failed,
    /// The money is reserved.
    Authorized,
    /// Called off: no money can come of it.
    Cancelled,
    /// The money was taken.
    Captured,
    /// … and given back, because it came too late.
    Returned,
}

impl AttemptState {
    const ALL: &[Self] = &[
        Self::Created,
        Self::Unknown,
        Self::RequiresAction,
        Self::Processing,
        Self::Failed,
        Self::Authorized,
        Self::Cancelled,
        Self::Captured,
        Self::Returned,
    ];

    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Unknown => "unknown",
            Self::RequiresAction => "requires_action",
            Self::Processing => "processing",
            Self::Failed => "failed",
            Self::Authorized => "authorized",
            Self::Cancelled => "cancelled",
            Self::Captured => "captured",
            Self::Returned => "returned",
        }
    }

    /// A state is never replaced by one of a lower rank.
    #[must_use]
    pub fn rank(self) -> i32 {
        match self {
            Self::Created => 0,
            Self::Unknown => 1,
            Self::RequiresAction | Self::Processing => 2,
            Self::Failed => 3,
            Self::Authorized => 4,
            Self::Cancelled => 5,
            Self::Captured => 6,
            Self::Returned => 7,
        }
    }
}

crate::stored_as_text!(AttemptState);

/// What was learned of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Learned {
    pub(super) state: AttemptState,
    /// The provider's name of it, and what its books call the money.
    pub(super) intent: Option<String>,
    pub(super) charge: Option<String>,
    pub(super) captured_minor: Option<i64>,
    pub(super) decline_code: Option<String>,
    pub(super) capture_before: Option<Millis>,
    /// Until when the buyer may do what is asked.
    pub(super) action_until: Option<Millis>,
    /// Called off because it was refused, not because somebody wanted it.
    declined: bool,
}

impl Learned {
    /// No more than a state.
    pub(super) fn state(state: AttemptState) -> Self {
        Self {
            state,
            intent: None,
            charge: None,
            captured_minor: None,
            decline_code: None,
            capture_before: None,
            action_until: None,
            declined: false,
        }
    }

    /// Refused before the provider made anything of it: no money can come of it.
    pub(super) fn refused(code: String) -> Self {
        Self { decline_code: Some(code), declined: true, ..Self::state(AttemptState::Cancelled) }
    }

    /// Nobody knows of it, although it was asked for; it is looked for a while longer.
    pub(super) fn lost() -> Self {
        Self { decline_code: Some("no_answer".to_owned()), ..Self::state(AttemptState::Failed) }
    }

    /// From the provider's word; what it asks of the buyer must be done by `deadline`.
    pub(super) fn of(intent: Intent, deadline: Millis) -> Self {
        Self {
            action_until: (intent.status == Status::RequiresAction).then_some(deadline),
            state: match intent.status {
                Status::RequiresAction => AttemptState::RequiresAction,
                Status::Processing => AttemptState::Processing,
                Status::Authorized => AttemptState::Authorized,
                Status::Captured => AttemptState::Captured,
                Status::Failed => AttemptState::Failed,
                Status::Cancelled => AttemptState::Cancelled,
            },
            intent: Some(intent.id),
            charge: intent.charge,
            captured_minor: Some(intent.captured_minor),
            decline_code: intent.decline_code,
            capture_before: intent.capture_before,
            declined: false,
        }
    }

    /// What it means for the purchase; `by`: who called it off, should it be called off.
    pub(super) fn input(&self, by: By) -> Option<Input> {
        match self.state {
            AttemptState::Created | AttemptState::Unknown | AttemptState::Processing | AttemptState::Returned => None,
            AttemptState::RequiresAction => Some(Input::ActionRequired),
            AttemptState::Failed => Some(Input::Declined),
            AttemptState::Cancelled if self.declined => Some(Input::Declined),
            AttemptState::Authorized => Some(Input::Authorized),
            AttemptState::Captured => Some(Input::Captured),
            AttemptState::Cancelled => Some(Input::CalledOff(by)),
        }
    }
}

/// The state of which an event of the provider tells, where it tells of one: what is known already need not be asked.
pub(super) fn told_by(event: &str) -> Option<AttemptState> {
    match event {
        "payment_intent.created" => Some(AttemptState::Created),
        "payment_intent.requires_action" => Some(AttemptState::RequiresAction),
        "payment_intent.processing" => Some(AttemptState::Processing),
        "payment_intent.payment_failed" => Some(AttemptState::Failed),
        "payment_intent.amount_capturable_updated" => Some(AttemptState::Authorized),
        "payment_intent.canceled" => Some(AttemptState::Cancelled),
        "payment_intent.succeeded" => Some(AttemptState::Captured),
        _ => None,
    }
}

/// Declines that the buyer may be told of; for all others (lost, stolen, suspected) the bank wants silence
/// (docs.stripe.com/declines/codes).
const TELLABLE: &[&str] = &[
    "authentication_required",
    "card_not_supported",
    "card_velocity_exceeded",
    "currency_not_supported",
    "expired_card",
    "incorrect_cvc",
    "incorrect_number",
    "insufficient_funds",
    "invalid_expiry_month",
    "invalid_expiry_year",
    "payment_intent_authentication_failure",
    "processing_error",
    "try_again_later",
];

/// The part of a decline's code that the buyer may be told.
pub(super) fn tellable(code: Option<&str>) -> Option<&'static str> {
    TELLABLE.iter().copied().find(|known| Some(*known) == code)
}

/// How long to wait before the provider is asked again about a try that was asked about so often.
pub(super) fn ask_again_after_ms(state: AttemptState, asks: i32) -> i64 {
    /// What a buyer does, and what takes days, comes by webhook; asking is for lost ones.
    const PATIENT_MS: i64 = 120_000;
    const FIRST_MS: i64 = 5_000;
    match state {
        AttemptState::RequiresAction | AttemptState::Processing => PATIENT_MS,
        _ => PATIENT_MS.min(FIRST_MS << asks.clamp(0, 8)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_bank_wants_hidden_is_hidden() {
        assert_eq!(tellable(Some("insufficient_funds")), Some("insufficient_funds"));
        assert_eq!(tellable(Some("stolen_card")), None);
        assert_eq!(tellable(None), None);
    }

    #[test]
    fn the_provider_is_asked_less_and_less_often() {
        let waits: Vec<i64> = (0..8).map(|asks| ask_again_after_ms(AttemptState::Unknown, asks) / 1_000).collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 120, 120, 120]);
    }

    #[test]
    fn money_outranks_its_absence() {
        let rank = AttemptState::rank;
        assert!(rank(AttemptState::Failed) < rank(AttemptState::Authorized));
        assert!(rank(AttemptState::Authorized) < rank(AttemptState::Captured));
        assert!(rank(AttemptState::Cancelled) < rank(AttemptState::Captured));
    }
}
