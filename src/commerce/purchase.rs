//! Pure: what may happen to a purchase, and what follows from it.
//!
//! `held → paying → (requires_action) → authorized → captured → fulfilled`; people see "paid" from `authorized` on.
//! Answers of the provider (its reply, a webhook, the reconciler) all become an [`Input`] of one monotone function:
//! order and duplicates do not matter. Money that comes after the units were given back takes units again if there are
//! some ([`Effect::Retake`]), else it is let go.
//! Invariant: a purchase in `paying` never expires; its units are promised from the hold until it is paid for and they
//! leave the shelf ([`Effect::Ship`]), or until they are given back, exactly once between two takings.

use serde::{Deserialize, Serialize};

use super::Refusal;
use crate::clock::Millis;

/// Where a purchase stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Units are reserved; not paid for yet.
    Held,
    /// The provider was asked; nobody knows its last word yet.
    Paying,
    /// The buyer must do something (3-D Secure).
    RequiresAction,
    /// The money is reserved: "paid" for people.
    Authorized,
    /// The money was taken.
    Captured,
    /// The goods have left.
    Fulfilled,
    /// Never had units.
    Refused,
    /// The hold ran out.
    Expired,
    /// The payment failed.
    Failed,
    /// Called off before any money was taken.
    Cancelled,
    /// The money was given back.
    Refunded,
}

impl State {
    const ALL: &[Self] = &[
        Self::Held,
        Self::Paying,
        Self::RequiresAction,
        Self::Authorized,
        Self::Captured,
        Self::Fulfilled,
        Self::Refused,
        Self::Expired,
        Self::Failed,
        Self::Cancelled,
        Self::Refunded,
    ];

    /// As stored and sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Paying => "paying",
            Self::RequiresAction => "requires_action",
            Self::Authorized => "authorized",
            Self::Captured => "captured",
            Self::Fulfilled => "fulfilled",
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Refunded => "refunded",
        }
    }

    /// Whether units are reserved for it and it is not paid for.
    #[must_use]
    pub fn holds_units(self) -> bool {
        matches!(self, Self::Held | Self::Paying | Self::RequiresAction)
    }

    /// Whether the money is reserved or taken.
    #[must_use]
    pub fn is_paid(self) -> bool {
        matches!(self, Self::Authorized | Self::Captured | Self::Fulfilled)
    }
}

crate::stored_as_text!(State);

/// What happened to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Input {
    /// The buyer wants to pay.
    StartPaying,
    /// The buyer calls it off.
    Cancel,
    /// Its time is over.
    HoldOver,
    /// Provider: the buyer must act.
    ActionRequired,
    /// Provider: the money is reserved.
    Authorized,
    /// Provider: the money was taken.
    Captured,
    /// Provider: no.
    Declined,
    /// Provider: it was called off, for this reason, and can never be paid.
    CalledOff(By),
    /// The goods have left.
    Shipped,
    /// A physical fact took the goods.
    GoodsGone,
    /// Nothing is left of the order: it came back, or will not be had.
    GivenBack,
}

/// Who called a payment off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum By {
    /// The buyer, instead of doing what their bank asked.
    Buyer,
    /// The clock: the buyer did not do it in time.
    Time,
    /// The provider.
    Provider,
}

impl By {
    /// Why the purchase is over, as stored and sent.
    #[must_use]
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Self::Buyer => None,
            Self::Time => Some("action-timed-out"),
            Self::Provider => Some("payment-cancelled"),
        }
    }
}

/// What follows, in the same transaction unless it says "after".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The units leave the shelf.
    Ship,
    /// The money came late: the units are taken again if there are some. If not, nothing else follows: the purchase stays
    /// as it is, and the money is let go.
    Retake,
    /// The units go back to the pool.
    Release,
    /// The units go back to the pool because time ran out.
    Expire,
    /// The promise is broken: its units are not there.
    Break,
    /// Order, lines and credits are written.
    WriteOrder,
    /// After: ask the provider for the money.
    AskProvider,
    /// After: the money came too late; let it go.
    LetMoneyGo,
}

/// The next state and what follows.
///
/// # Errors
/// What the buyer asked for is not possible in this state. Provider inputs are never refused.
pub fn transition(
    state: State,
    input: Input,
    hold_expires_at: Millis,
    now: Millis,
) -> Result<(State, Vec<Effect>), Refusal> {
    use Effect::{AskProvider, Break, Expire, LetMoneyGo, Release, Retake, Ship, WriteOrder};
    let stay = Ok((state, vec![]));
    match (state, input) {
        (State::Held, Input::StartPaying) if now >= hold_expires_at => Err(Refusal::HoldExpired),
        (State::Held, Input::StartPaying) => Ok((State::Paying, vec![AskProvider])),
        (State::Paying | State::RequiresAction, Input::StartPaying) => stay,
        (State::Expired, Input::StartPaying) => Err(Refusal::HoldExpired),
        (_, Input::StartPaying) => Err(Refusal::NotPayable),

        (State::Held, Input::Cancel) => Ok((State::Cancelled, vec![Release])),
        (State::Cancelled, Input::Cancel) => stay,
        (_, Input::Cancel) => Err(Refusal::NotCancellable),

        (State::Held, Input::HoldOver) if now >= hold_expires_at => Ok((State::Expired, vec![Expire])),
        (_, Input::HoldOver) => stay,

        (State::Held | State::Paying, Input::ActionRequired) => Ok((State::RequiresAction, vec![])),
        (_, Input::ActionRequired) => stay,

        (State::Held | State::Paying | State::RequiresAction, Input::Authorized) => {
            Ok((State::Authorized, vec![WriteOrder]))
        }
        (State::Held | State::Paying | State::RequiresAction, Input::Captured) => {
            Ok((State::Captured, vec![WriteOrder]))
        }
        (State::Authorized, Input::Captured) => Ok((State::Captured, vec![])),
        // Who called it off, or was told that the goods are gone, is not surprised by them after all.
        (State::Refused | State::Cancelled, Input::Authorized | Input::Captured) => Ok((state, vec![LetMoneyGo])),
        (State::Expired | State::Failed, Input::Authorized) => Ok((State::Authorized, vec![Retake, WriteOrder])),
        (State::Expired | State::Failed, Input::Captured) => Ok((State::Captured, vec![Retake, WriteOrder])),
        (_, Input::Authorized | Input::Captured) => stay,

        (State::Held | State::Paying | State::RequiresAction, Input::Declined) => Ok((State::Failed, vec![Release])),
        (State::Held | State::Paying | State::RequiresAction, Input::CalledOff(By::Buyer)) => {
            Ok((State::Cancelled, vec![Release]))
        }
        (State::Held | State::Paying | State::RequiresAction, Input::CalledOff(By::Time | By::Provider)) => {
            Ok((State::Failed, vec![Release]))
        }
        (_, Input::Declined | Input::CalledOff(_)) => stay,

        (State::Captured, Input::Shipped) => Ok((State::Fulfilled, vec![Ship])),
        (State::Fulfilled, Input::Shipped) => stay,
        (_, Input::Shipped) => Err(Refusal::NotShippable),

        (State::Held | State::Paying | State::RequiresAction, Input::GoodsGone) => Ok((State::Cancelled, vec![Break])),
        (_, Input::GoodsGone) => stay,

        (State::Authorized, Input::GivenBack) => Ok((State::Cancelled, vec![LetMoneyGo])),
        (State::Captured | State::Fulfilled, Input::GivenBack) => Ok((State::Refunded, vec![])),
        (_, Input::GivenBack) => stay,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_input() -> impl Strategy<Value = Input> {
        prop::sample::select(vec![
            Input::StartPaying,
            Input::Cancel,
            Input::HoldOver,
            Input::ActionRequired,
            Input::Authorized,
            Input::Captured,
            Input::Declined,
            Input::CalledOff(By::Buyer),
            Input::CalledOff(By::Time),
            Input::CalledOff(By::Provider),
            Input::Shipped,
            Input::GoodsGone,
        ])
    }

    #[test]
    fn a_paying_purchase_never_expires() {
        let late = Millis(1_000_000);
        assert_eq!(transition(State::Paying, Input::HoldOver, Millis(0), late), Ok((State::Paying, vec![])));
    }

    #[test]
    fn an_order_that_comes_back_whole_is_cancelled_or_refunded_once() {
        let back = |state| transition(state, Input::GivenBack, Millis(0), Millis(1)).expect("never refused");
        assert_eq!(back(State::Authorized), (State::Cancelled, vec![Effect::LetMoneyGo]));
        for taken in [State::Captured, State::Fulfilled] {
            assert_eq!(back(taken), (State::Refunded, vec![]));
        }
        for over in [State::Cancelled, State::Refunded, State::Held, State::Paying] {
            assert_eq!(back(over), (over, vec![]));
        }
    }

    #[test]
    fn late_money_takes_units_again_but_not_for_who_called_it_off() {
        let late = |state| {
            transition(state, Input::Authorized, Millis(0), Millis(1)).expect("provider inputs are never refused")
        };
        assert_eq!(late(State::Expired), (State::Authorized, vec![Effect::Retake, Effect::WriteOrder]));
        assert_eq!(late(State::Cancelled), (State::Cancelled, vec![Effect::LetMoneyGo]));
    }

    proptest! {
        #[test]
        fn units_are_settled_exactly_once(
            inputs in prop::collection::vec((any_input(), 0i64..200, prop::bool::ANY), 0..40),
        ) {
            let mut state = State::Held;
            let (mut taken, mut settled, mut orders) = (1, 0, 0);
            for (input, at, there_are_some) in inputs {
                let before = state;
                let Ok((next, effects)) = transition(state, input, Millis(100), Millis(at)) else { continue };
                let retakes = effects.contains(&Effect::Retake);
                if retakes && !there_are_some {
                    continue;
                }
                for effect in effects {
                    match effect {
                        Effect::Ship | Effect::Release | Effect::Expire | Effect::Break => settled += 1,
                        Effect::Retake => taken += 1,
                        Effect::WriteOrder => orders += 1,
                        Effect::AskProvider | Effect::LetMoneyGo => {}
                    }
                }
                prop_assert!(before.holds_units() || !next.holds_units(), "no way back to {next:?}");
                state = next;
            }
            let promised = state.holds_units() || matches!(state, State::Authorized | State::Captured);
            prop_assert_eq!(taken - settled, i32::from(promised));
            prop_assert_eq!(orders, i32::from(state.is_paid()));
        }

        #[test]
        fn the_providers_words_may_come_twice(input in any_input(), at in 0i64..200) {
            let (hold, now) = (Millis(100), Millis(at));
            for state in [State::Held, State::Paying, State::RequiresAction, State::Authorized, State::Expired] {
                if let Ok((next, _)) = transition(state, input, hold, now) {
                    let again = transition(next, input, hold, now);
                    prop_assert!(again.is_err() || again.is_ok_and(|(same, effects)|
                        same == next && effects.iter().all(|e| *e == Effect::LetMoneyGo)));
                }
            }
        }
    }
}
