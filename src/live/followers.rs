//! Pure: who follows the liver of a room.
//!
//! Invariant: of one person the newest version wins, so a late word changes nothing; at most [`MAX_FOLLOWERS`] people are
//! remembered.

use std::collections::HashMap;

use crate::ids::CustomerId;

/// People remembered in one room, the newest ones when it opens. When full, somebody else is forgotten for a new one: where
/// only followers may talk, whoever was forgotten follows again with one tap.
pub const MAX_FOLLOWERS: usize = 200_000;

/// What is stored of a person who follows, or has followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Follow {
    /// Who.
    pub customer: CustomerId,
    /// Whether they do.
    pub following: bool,
    /// Grows with every change.
    pub version: i64,
}

/// The followers a room knows.
#[derive(Debug, Default)]
pub struct Followers {
    known: HashMap<CustomerId, (i64, bool)>,
}

impl Followers {
    /// From what was stored.
    #[must_use]
    pub fn new(follows: Vec<Follow>) -> Self {
        let known = follows.into_iter().take(MAX_FOLLOWERS).map(|f| (f.customer, (f.version, f.following)));
        Self { known: known.collect() }
    }

    /// Folds a change; what is not newer changes nothing.
    pub fn put(&mut self, follow: &Follow) {
        if self.known.get(&follow.customer).is_some_and(|(version, _)| follow.version <= *version) {
            return;
        }
        if self.known.len() >= MAX_FOLLOWERS && !self.known.contains_key(&follow.customer) {
            let gone = self.known.iter().find(|(_, (_, following))| !following).or_else(|| self.known.iter().next());
            if let Some(gone) = gone.map(|(customer, _)| customer.clone()) {
                self.known.remove(&gone);
            }
        }
        self.known.insert(follow.customer.clone(), (follow.version, follow.following));
    }

    /// Folds what another memory of the same liver's followers knows better.
    pub fn keep_newer(&mut self, other: Self) {
        for (customer, word) in other.known {
            let is_full = self.known.len() >= MAX_FOLLOWERS;
            match self.known.get_mut(&customer) {
                Some(known) if known.0 < word.0 => *known = word,
                None if !is_full => drop(self.known.insert(customer, word)),
                Some(_) | None => {}
            }
        }
    }

    /// Whether this person follows.
    #[must_use]
    pub fn has(&self, customer: &CustomerId) -> bool {
        self.known.get(customer).is_some_and(|(_, following)| *following)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_word_wins() {
        let customer = CustomerId::fresh();
        let follow = |following, version| Follow { customer: customer.clone(), following, version };
        let mut followers = Followers::new(vec![follow(true, 1)]);
        assert!(followers.has(&customer));
        followers.put(&follow(false, 4));
        followers.put(&follow(true, 3));
        assert!(!followers.has(&customer), "a late word");
        followers.put(&follow(true, 5));
        assert!(followers.has(&customer) && !followers.has(&CustomerId::fresh()));
        followers.keep_newer(Followers::new(vec![follow(false, 4)]));
        assert!(followers.has(&customer), "an older memory");
        let another = Follow { customer: CustomerId::fresh(), following: true, version: 1 };
        followers.keep_newer(Followers::new(vec![follow(false, 6), another.clone()]));
        assert!(!followers.has(&customer) && followers.has(&another.customer), "a newer one");
    }
}
