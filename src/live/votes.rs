//! Pure: who voted for which question that a room shows, so that a joiner's own votes cost no query.
//!
//! Invariant: at most [`MAX_VOTES`] votes are remembered. Nothing is counted here: the database counts each vote once, and
//! what is forgotten only leaves a heart empty that was tapped before.

use std::collections::HashMap;

use crate::ids::CustomerId;

/// Votes remembered in one room. When full, those for questions that are not shown any more are forgotten; when that does
/// not help, a new vote is counted, but not remembered.
pub const MAX_VOTES: usize = 200_000;

/// The votes a room knows.
#[derive(Debug, Default)]
pub struct Votes {
    /// Questions by voter, in order of voting: one look-up for each joiner.
    by_voter: HashMap<CustomerId, Vec<String>>,
    /// Who asked: nobody votes for their own, also not by a merge.
    authors: HashMap<String, CustomerId>,
    count: usize,
}

impl Votes {
    /// Remembers who asked.
    pub fn asked(&mut self, question: String, author: CustomerId) {
        self.authors.insert(question, author);
    }

    /// Remembers a vote; `shown` says which questions are worth remembering when there is no room.
    pub fn put(&mut self, question: &str, voter: &CustomerId, shown: impl Fn(&str) -> bool) {
        if self.count >= MAX_VOTES {
            self.forget(shown);
        }
        if self.count >= MAX_VOTES {
            return;
        }
        let votes = self.by_voter.entry(voter.clone()).or_default();
        if !votes.iter().any(|known| known == question) {
            votes.push(question.to_owned());
            self.count += 1;
        }
    }

    /// The votes of one question are another's now.
    pub fn merge(&mut self, from: &str, into: &str) {
        self.authors.remove(from);
        let author = self.authors.get(into);
        for (voter, votes) in &mut self.by_voter {
            let Some(at) = votes.iter().position(|known| known == from) else { continue };
            if author == Some(voter) || votes.iter().any(|known| known == into) {
                votes.remove(at);
                self.count -= 1;
            } else {
                into.clone_into(&mut votes[at]);
            }
        }
        self.by_voter.retain(|_, votes| !votes.is_empty());
    }

    /// What this person voted for.
    pub fn of(&self, voter: &CustomerId) -> &[String] {
        self.by_voter.get(voter).map_or(&[], Vec::as_slice)
    }

    fn forget(&mut self, shown: impl Fn(&str) -> bool) {
        self.authors.retain(|question, _| shown(question));
        self.by_voter.retain(|_, votes| {
            votes.retain(|question| shown(question));
            !votes.is_empty()
        });
        self.count = self.by_voter.values().map(Vec::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A merge is the union of the voters without the author, whatever was voted before and after.
        #[test]
        fn a_merge_is_a_union(steps in prop::collection::vec((0usize..4, 0usize..5, 0usize..6), 0..60)) {
            let people: Vec<_> = (0..6).map(|_| CustomerId::fresh()).collect();
            let name = |n: usize| format!("qst{n}");
            let mut votes = Votes::default();
            let mut model: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
            let mut merged = BTreeSet::new();
            for n in 0..5 {
                // Question n is asked by person n.
                votes.asked(name(n), people[n].clone());
            }
            for (kind, a, b) in steps {
                if merged.contains(&a) {
                    continue;
                }
                if kind < 3 {
                    if a != b {
                        votes.put(&name(a), &people[b], |_| true);
                        model.entry(a).or_default().insert(b);
                    }
                } else if a != b && b < 5 && !merged.contains(&b) {
                    votes.merge(&name(a), &name(b));
                    let moved = model.remove(&a).unwrap_or_default();
                    model.entry(b).or_default().extend(moved.into_iter().filter(|voter| *voter != b));
                    merged.insert(a);
                }
            }
            for (n, person) in people.iter().enumerate() {
                let known: BTreeSet<String> = votes.of(person).iter().cloned().collect();
                let expected: BTreeSet<String> =
                    model.iter().filter(|(_, voters)| voters.contains(&n)).map(|(q, _)| name(*q)).collect();
                prop_assert_eq!(known, expected);
            }
            prop_assert_eq!(votes.count, model.values().map(BTreeSet::len).sum::<usize>());
        }
    }

    #[test]
    fn a_full_memory_forgets_what_is_not_shown() {
        let mut votes = Votes::default();
        let fan = CustomerId::fresh();
        votes.put("old", &fan, |_| true);
        for _ in 1..MAX_VOTES {
            votes.put("new", &CustomerId::fresh(), |_| true);
        }
        votes.put("new", &fan, |question| question == "new");
        assert_eq!(votes.of(&fan), ["new"]);
        votes.put("new", &CustomerId::fresh(), |_| true);
        assert_eq!(votes.count, MAX_VOTES, "counted elsewhere, not remembered here");
    }
}
