//! Pure: who may say what in the chat.
//!
//! Invariant: a viewer says at most [`ALLOWED`] lines per [`PER`]; the liver and the moderators are free. What a busy room
//! shows of it is `thinning`'s.

use std::time::Duration;

use super::{
    rate::Window,
    words::{LineRefusal, line},
};
use crate::{clock::Millis, ids::AccountId};

/// Longest message, in characters.
pub const MAX_CHARS: usize = 200;
/// Messages of one viewer per [`PER`].
pub const ALLOWED: usize = 5;
/// The window of [`ALLOWED`].
pub const PER: Duration = Duration::from_secs(10);
/// Longest slow mode: so long a viewer's last line is remembered.
const SLOWEST: Duration = Duration::from_secs(120);

/// Whose word it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Anybody who is signed in.
    Viewer,
    /// The liver of this live.
    Liver,
    /// Who moderates for the liver.
    Moderator,
}

impl Role {
    /// The word of the contract.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Liver => "liver",
            Self::Moderator => "moderator",
        }
    }
}

/// Why a message is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChatRefusal {
    /// The text cannot be used.
    #[error("{0}")]
    Text(#[from] LineRefusal),
    /// Too many in a short time.
    #[error("too many messages in a short time")]
    TooFast {
        /// When the next one will be taken.
        retry_after_ms: i64,
    },
    /// The chat is in slow mode.
    #[error("the chat is in slow mode")]
    SlowMode {
        /// When the next one will be taken.
        retry_after_ms: i64,
    },
}

/// The rates of one room's chat.
#[derive(Debug)]
pub(crate) struct Floor {
    authors: Window<AccountId>,
    /// One line of an author, for slow mode.
    last_lines: Window<AccountId>,
}

impl Floor {
    pub(crate) fn new() -> Self {
        Self { authors: Window::new(ALLOWED, PER), last_lines: Window::new(1, SLOWEST) }
    }

    /// The text to be said, or why not.
    pub(crate) fn admit(
        &mut self,
        author: &AccountId,
        role: Role,
        slow_mode: Duration,
        text: &str,
        now: Millis,
    ) -> Result<String, ChatRefusal> {
        let text = line(text, MAX_CHARS)?;
        if role == Role::Viewer {
            if let Some(retry_after_ms) = self.last_lines.wait(author, slow_mode, now) {
                return Err(ChatRefusal::SlowMode { retry_after_ms });
            }
            self.authors.admit(author, now).map_err(|retry_after_ms| ChatRefusal::TooFast { retry_after_ms })?;
            self.last_lines.note(author, now);
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_viewer_is_slowed_down_and_a_liver_is_not() {
        let mut floor = Floor::new();
        let (viewer, liver) = (AccountId::fresh(), AccountId::fresh());
        for _ in 0..ALLOWED {
            assert!(floor.admit(&viewer, Role::Viewer, Duration::ZERO, "hi", Millis(0)).is_ok());
            assert!(floor.admit(&liver, Role::Liver, Duration::ZERO, "hi", Millis(0)).is_ok());
        }
        assert_eq!(
            floor.admit(&viewer, Role::Viewer, Duration::ZERO, "hi", Millis(4_000)),
            Err(ChatRefusal::TooFast { retry_after_ms: 6_000 })
        );
        assert!(floor.admit(&liver, Role::Liver, Duration::ZERO, "hi", Millis(0)).is_ok());
        assert!(floor.admit(&viewer, Role::Viewer, Duration::ZERO, "hi", Millis(10_000)).is_ok());
    }

    #[test]
    fn slow_mode_spaces_a_viewers_lines_from_its_first_moment() {
        let (mut floor, slow) = (Floor::new(), Duration::from_secs(30));
        let (viewer, moderator) = (AccountId::fresh(), AccountId::fresh());
        assert!(floor.admit(&viewer, Role::Viewer, Duration::ZERO, "hi", Millis(0)).is_ok());
        let early = floor.admit(&viewer, Role::Viewer, slow, "hi", Millis(10_000));
        assert_eq!(early, Err(ChatRefusal::SlowMode { retry_after_ms: 20_000 }), "also after a line from before it");
        for _ in 0..2 * ALLOWED {
            assert!(floor.admit(&moderator, Role::Moderator, slow, "hi", Millis(10_000)).is_ok());
        }
        assert!(floor.admit(&viewer, Role::Viewer, slow, "hi", Millis(30_000)).is_ok());
        assert!(floor.admit(&viewer, Role::Viewer, Duration::ZERO, "hi", Millis(30_001)).is_ok(), "it was ended");
    }

    #[test]
    fn a_refused_text_costs_nothing() {
        let mut floor = Floor::new();
        let viewer = AccountId::fresh();
        for _ in 0..100 {
            assert_eq!(
                floor.admit(&viewer, Role::Viewer, Duration::ZERO, " ", Millis(0)),
                Err(LineRefusal::Empty.into())
            );
        }
        assert!(floor.admit(&viewer, Role::Viewer, Duration::ZERO, "hi", Millis(0)).is_ok());
    }
}
