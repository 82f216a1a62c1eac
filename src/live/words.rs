//! Pure: a line that a person typed.
//!
//! Invariant: an accepted line is trimmed, has at least one and at most the asked number of characters, and holds no
//! control character (so it cannot break a log, a terminal or a CSV row).

/// Why a line was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineRefusal {
    /// Nothing but blanks.
    #[error("the text is empty")]
    Empty,
    /// More than `max_chars` characters.
    #[error("the text has more than {max_chars} characters")]
    TooLong {
        /// What is allowed.
        max_chars: usize,
    },
    /// A newline, escape or other control character.
    #[error("the text contains control characters")]
    ControlCharacter,
}

/// Trims and checks one line of text.
///
/// # Errors
/// When it is empty, too long, or contains a control character.
pub(crate) fn line(text: &str, max_chars: usize) -> Result<String, LineRefusal> {
    let text = text.trim();
    if text.is_empty() {
        return Err(LineRefusal::Empty);
    }
    if text.chars().count() > max_chars {
        return Err(LineRefusal::TooLong { max_chars });
    }
    if text.chars().any(char::is_control) {
        return Err(LineRefusal::ControlCharacter);
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_trimmed_and_bounded() {
        assert_eq!(line("  素敵！ ", 3), Ok("素敵！".to_owned()));
        assert_eq!(line(" \u{3000} ", 3), Err(LineRefusal::Empty));
        assert_eq!(line("abcd", 3), Err(LineRefusal::TooLong { max_chars: 3 }));
        assert_eq!(line("a\u{1b}[0m", 30), Err(LineRefusal::ControlCharacter));
        assert_eq!(line("a\nb", 30), Err(LineRefusal::ControlCharacter));
    }

    proptest::proptest! {
        #[test]
        fn whatever_passes_is_clean(text in ".{0,40}") {
            if let Ok(clean) = line(&text, 20) {
                proptest::prop_assert!(!clean.is_empty() && clean.chars().count() <= 20);
                proptest::prop_assert_eq!(line(&clean, 20), Ok(clean.clone()));
            }
        }
    }
}
