//! Pure: the ICE credentials of a session while it changes to new ones.
//!
//! A restart is agreed on over HTTP, whose answer may be late or lost. So both generations are answered until the peer
//! has nominated a pair under the new one (RFC 8445, section 9); from then on the old one is nobody's.
//! Invariant: at most two generations are answered; one that was never used gives way to its successor.

use str0m::IceCreds;

/// What both sides are called by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Generation {
    pub(super) ours: IceCreds,
    pub(super) theirs: IceCreds,
}

/// The generations of one session.
#[derive(Debug)]
pub(super) struct Generations {
    current: Generation,
    next: Option<Generation>,
}

impl Generations {
    pub(super) fn new(current: Generation) -> Self {
        Self { current, next: None }
    }

    /// The newest that was agreed on.
    pub(super) fn newest(&self) -> &Generation {
        self.next.as_ref().unwrap_or(&self.current)
    }

    pub(super) fn is_restarting(&self) -> bool {
        self.next.is_some()
    }

    /// A new generation; the one that it takes the place of, when that was not used yet.
    pub(super) fn begin(&mut self, next: Generation) -> Option<Generation> {
        self.next.replace(next)
    }

    /// The generation in which we are called so.
    pub(super) fn named(&self, our_ufrag: &str) -> Option<&Generation> {
        let is_named = |generation: &&Generation| generation.ours.ufrag == our_ufrag;
        self.next.iter().chain([&self.current]).find(is_named)
    }

    /// Whether a check to this name is of the generation that is about to begin.
    pub(super) fn is_next(&self, our_ufrag: &str) -> bool {
        self.next.as_ref().is_some_and(|next| next.ours.ufrag == our_ufrag)
    }

    /// The peer uses the new one; the old one is over.
    pub(super) fn advance(&mut self) -> Option<Generation> {
        Some(std::mem::replace(&mut self.current, self.next.take()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generation(name: &str) -> Generation {
        let creds = |side: &str| IceCreds { ufrag: format!("{side}-{name}"), pass: name.into() };
        Generation { ours: creds("ours"), theirs: creds("theirs") }
    }

    #[test]
    fn two_generations_are_answered_until_the_new_one_is_used() {
        let [first, second, third] = ["1", "2", "3"].map(generation);
        let mut generations = Generations::new(first.clone());
        assert_eq!(generations.advance(), None);
        assert_eq!(generations.begin(second.clone()), None);
        assert_eq!(generations.begin(third.clone()), Some(second), "it was never used");
        assert_eq!(generations.named("ours-1"), Some(&first));
        assert_eq!(generations.named("ours-2"), None);
        assert!(generations.is_next("ours-3") && !generations.is_next("ours-1") && generations.is_restarting());
        assert_eq!(generations.newest(), &third);
        assert_eq!(generations.advance(), Some(first));
        assert_eq!((generations.named("ours-1"), generations.named("ours-3")), (None, Some(&third)));
        assert!(!generations.is_restarting());
    }
}
