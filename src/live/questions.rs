//! Pure: asking, voting and answering.
//!
//! open → answering → answered, and hidden from anywhere. A question may be answered without being put on air first. An
//! open one may be merged into another of its live, which carries its votes from then on.
//! Invariant: at most one question of a live is being answered; hidden and merged are final, but a merged one follows
//! where its votes go; nobody votes for their own.

use super::words::{LineRefusal, line};
use crate::{
    clock::Millis,
    ids::{CustomerId, QuestionId},
};

/// Longest question, in characters.
pub const MAX_CHARS: usize = 200;
/// Time between two questions of one customer.
pub const MIN_GAP_MS: i64 = 10_000;
/// Questions of one customer that may wait at once.
pub const MAX_OPEN_PER_CUSTOMER: i64 = 5;

/// Where a question is.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Taken away by liver or moderators.
    Hidden,
    /// Another question carries its votes.
    Merged {
        /// Which.
        into: QuestionId,
    },
}

impl State {
    /// The word of the contract.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Answering { .. } => "answering",
            Self::Answered { .. } => "answered",
            Self::Hidden => "hidden",
            Self::Merged { .. } => "merged",
        }
    }
}

/// What liver or moderators do.
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
    /// Another carries its votes.
    #[error("the question was merged into another")]
    Merged,
    /// Not two open questions of one live.
    #[error("an open question can be merged into another one of its live")]
    NotMergeable,
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
pub fn vote(state: &State, author: &CustomerId, voter: &CustomerId) -> Result<(), QuestionRefusal> {
    if author == voter {
        return Err(QuestionRefusal::Own);
    }
    match state {
        State::Open | State::Answering { .. } => Ok(()),
        State::Answered { .. } => Err(QuestionRefusal::Answered),
        State::Hidden => Err(QuestionRefusal::Hidden),
        State::Merged { .. } => Err(QuestionRefusal::Merged),
    }
}

/// Whether an open question may give its votes to another of its live.
///
/// # Errors
/// When one of them is past that, or they are the same.
pub fn merge(from: (&QuestionId, &State), into: (&QuestionId, &State)) -> Result<(), QuestionRefusal> {
    if from.0 == into.0 {
        return Err(QuestionRefusal::NotMergeable);
    }
    match (from.1, into.1) {
        (State::Open, State::Open | State::Answering { .. } | State::Answered { .. }) => Ok(()),
        (State::Hidden, _) | (_, State::Hidden) => Err(QuestionRefusal::Hidden),
        (State::Merged { .. }, _) | (_, State::Merged { .. }) => Err(QuestionRefusal::Merged),
        (State::Answering { .. }, _) => Err(QuestionRefusal::NotMergeable),
        (State::Answered { .. }, _) => Err(QuestionRefusal::Answered),
    }
}

/// Where an answer begins in the replay: milliseconds since the live went on air, never 0, which means that there is none.
#[must_use]
pub fn chapter(started_at: Option<Millis>, answering_at: Millis) -> Option<i64> {
    started_at.map(|started_at| answering_at.since(started_at).max(1))
}

impl State {
    /// The state after a move; `Ok(None)` when it is there already, so that a repeated tap is harmless.
    ///
    /// # Errors
    /// When the question is past that.
    pub fn after(&self, step: Move, now: Millis) -> Result<Option<Self>, QuestionRefusal> {
        match (step, self.clone()) {
            (Move::Answer, Self::Open) => Ok(Some(Self::Answering { answering_at: now })),
            (Move::Answer, Self::Answering { .. })
            | (Move::Finish, Self::Answered { .. })
            | (Move::Hide, Self::Hidden) => Ok(None),
            (Move::Answer, Self::Answered { .. }) => Err(QuestionRefusal::Answered),
            (Move::Answer | Move::Finish, Self::Hidden) => Err(QuestionRefusal::Hidden),
            (_, Self::Merged { .. }) => Err(QuestionRefusal::Merged),
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
            let mut states = [const { State::Open }; 4];
            for (n, (at, step)) in steps.into_iter().enumerate() {
                let before = states.clone();
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
        assert_eq!(vote(&State::Open, &a, &a), Err(QuestionRefusal::Own));
        assert_eq!(vote(&State::Open, &a, &b), Ok(()));
        assert_eq!(vote(&State::Hidden, &a, &b), Err(QuestionRefusal::Hidden));
        let merged = State::Merged { into: QuestionId::fresh() };
        assert_eq!(vote(&merged, &a, &b), Err(QuestionRefusal::Merged));
    }

    #[test]
    fn only_an_open_question_gives_its_votes_away() {
        let (a, b) = (QuestionId::fresh(), QuestionId::fresh());
        let on_air = State::Answering { answering_at: Millis(1) };
        let answered = State::Answered { answering_at: None, answered_at: Millis(1) };
        let merged = State::Merged { into: a.clone() };
        for into in [&State::Open, &on_air, &answered] {
            assert_eq!(merge((&a, &State::Open), (&b, into)), Ok(()));
        }
        assert_eq!(merge((&a, &State::Open), (&a, &State::Open)), Err(QuestionRefusal::NotMergeable));
        for from in [&on_air, &answered, &State::Hidden, &merged] {
            assert!(merge((&a, from), (&b, &State::Open)).is_err());
        }
        for into in [&State::Hidden, &merged] {
            assert!(merge((&a, &State::Open), (&b, into)).is_err());
        }
        for step in [Move::Answer, Move::Finish, Move::Hide] {
            assert_eq!(merged.after(step, Millis(1)), Err(QuestionRefusal::Merged));
        }
    }

    #[test]
    fn a_chapter_begins_where_its_answer_does() {
        assert_eq!(chapter(Some(Millis(1_000)), Millis(61_000)), Some(60_000));
        assert_eq!(chapter(Some(Millis(1_000)), Millis(1_000)), Some(1), "0 is no chapter");
        assert_eq!(chapter(None, Millis(1_000)), None);
    }
}
