//! Pure: asking, voting and answering.
//!
//! open → answering → answered, and hidden from anywhere. A question may be answered without being put on air first.
//! Invariant: at most one question of a live is being answered; hidden is final; nobody votes for their own.

use super::words::{LineRefusal, line};
use crate::{clock::Millis, ids::CustomerId};

/// Longest question, in characters.
pub const MAX_CHARS: usize = 200;
/// Time between two questions of one customer.
pub const MIN_GAP_MS: i64 = 10_000;
/// Questions of one customer that may wait at once.
pub const MAX_OPEN_PER_CUSTOMER: i64 = 5;

/// Where a question is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waits.
    Open,
    /// On air.
    Answering {
        /// Since when.
        answering_at: Millis,
    },
    /// Done: a chapter of the replay.
    Answered {
        /// When it went on air, if it did.
        answering_at: Option<Millis>,
        /// When it was finished.
        answered_at: Millis,
    },
    /// Taken away by the liver.
    Hidden,
}

impl State {
    /// The word of the contract.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Answering { .. } => "answering",
            Self::Answered { .. } => "answered",
            Self::Hidden => "hidden",
        }
    }
}

/// What the liver does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// Puts it on air.
    Answer,
    /// Finishes it.
    Finish,
    /// Takes it away.
    Hide,
}

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuestionRefusal {
    /// The text cannot be used.
    #[error("{0}")]
    Text(#[from] LineRefusal),
    /// Asked again too soon.
    #[error("one question per ten seconds")]
    TooFast {
        /// When the next one will be taken.
        retry_after_ms: i64,
    },
    /// Too many wait already.
    #[error("five of your questions are waiting already")]
    TooManyOpen,
    /// A vote for one's own question.
    #[error("nobody votes for their own question")]
    Own,
    /// It was taken away.
    #[error("the question is hidden")]
    Hidden,
    /// It was answered before.
    #[error("the question has been answered")]
    Answered,
}

/// What is known of a customer's earlier questions in this live.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked {
    /// How many wait.
    pub open: i64,
    /// When the last one was asked.
    pub last_at: Option<Millis>,
}

/// The text to be asked, or why not.
///
/// # Errors
/// When the text cannot be used, too soon after the last, or too many wait.
pub fn ask(text: &str, asked: Asked, now: Millis) -> Result<String, QuestionRefusal> {
    let text = line(text, MAX_CHARS)?;
    if let Some(last_at) = asked.last_at {
        let retry_after_ms = MIN_GAP_MS - now.since(last_at);
        if retry_after_ms > 0 {
            return Err(QuestionRefusal::TooFast { retry_after_ms });
        }
    }
    if asked.open >= MAX_OPEN_PER_CUSTOMER {
        return Err(QuestionRefusal::TooManyOpen);
    }
    Ok(text)
}

/// Whether a customer may vote for a question.
///
/// # Errors
/// When it is their own, or no longer waits.
pub fn vote(state: State, author: &CustomerId, voter: &CustomerId) -> Result<(), QuestionRefusal> {
    if author == voter {
        return Err(QuestionRefusal::Own);
    }
    match state {
        State::Open | State::Answering { .. } => Ok(()),
        State::Answered { .. } => Err(QuestionRefusal::Answered),
        State::Hidden => Err(QuestionRefusal::Hidden),
    }
}

impl State {
    /// The state after a move; `Ok(None)` when it is there already, so that a repeated tap is harmless.
    ///
    /// # Errors
    /// When the question is past that.
    pub fn after(self, step: Move, now: Millis) -> Result<Option<Self>, QuestionRefusal> {
        match (step, self) {
            (Move::Answer, Self::Open) => Ok(Some(Self::Answering { answering_at: now })),
            (Move::Answer, Self::Answering { .. })
            | (Move::Finish, Self::Answered { .. })
            | (Move::Hide, Self::Hidden) => Ok(None),
            (Move::Answer, Self::Answered { .. }) => Err(QuestionRefusal::Answered),
            (Move::Answer | Move::Finish, Self::Hidden) => Err(QuestionRefusal::Hidden),
            (Move::Finish, Self::Open) => Ok(Some(Self::Answered { answering_at: None, answered_at: now })),
            (Move::Finish, Self::Answering { answering_at }) => {
                Ok(Some(Self::Answered { answering_at: Some(answering_at), answered_at: now.max(answering_at) }))
            }
            (Move::Hide, _) => Ok(Some(Self::Hidden)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The shell's rule in miniature: putting one on air finishes the other.
    fn play(states: &mut [State], at: usize, step: Move, now: Millis) {
        if let Ok(Some(next)) = states[at].after(step, now) {
            if step == Move::Answer {
                for other in states.iter_mut().filter(|s| matches!(s, State::Answering { .. })) {
                    *other = other.after(Move::Finish, now).expect("it is on air").expect("and not finished");
                }
            }
            states[at] = next;
        }
    }

    proptest! {
        #[test]
        fn one_at_a_time_is_on_air_and_hidden_is_final(
            steps in prop::collection::vec((0usize..4, prop_oneof![Just(Move::Answer), Just(Move::Finish), Just(Move::Hide)]), 0..40),
        ) {
            let mut states = [State::Open; 4];
            for (n, (at, step)) in steps.into_iter().enumerate() {
                let before = states;
                play(&mut states, at, step, Millis(i64::try_from(n).expect("few")));
                let on_air = states.iter().filter(|s| matches!(s, State::Answering { .. })).count();
                prop_assert!(on_air <= 1);
                for (was, is) in before.iter().zip(&states) {
                    prop_assert!(*was != State::Hidden || *is == State::Hidden);
                    let was_answered = matches!(was, State::Answered { .. });
                    prop_assert!(!was_answered || was == is || *is == State::Hidden);
                }
            }
        }
    }

    #[test]
    fn asking_is_paced_and_bounded() {
        let now = Millis(20_000);
        assert!(ask("サイズ感は？", Asked::default(), now).is_ok());
        let soon = Asked { open: 0, last_at: Some(Millis(15_000)) };
        assert_eq!(ask("x", soon, now), Err(QuestionRefusal::TooFast { retry_after_ms: 5_000 }));
        assert_eq!(ask("x", Asked { open: 5, last_at: None }, now), Err(QuestionRefusal::TooManyOpen));
        assert!(ask(&"あ".repeat(201), Asked::default(), now).is_err());
    }

    #[test]
    fn nobody_votes_for_their_own() {
        let (a, b) = (CustomerId::fresh(), CustomerId::fresh());
        assert_eq!(vote(State::Open, &a, &a), Err(QuestionRefusal::Own));
        assert_eq!(vote(State::Open, &a, &b), Ok(()));
        assert_eq!(vote(State::Hidden, &a, &b), Err(QuestionRefusal::Hidden));
    }
}
