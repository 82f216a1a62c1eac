//! Value: who was here a moment ago.
//!
//! A buyer in a flash sale sends many requests with one token. Who that is is remembered for [`FAMILIAR_MS`]; a sign-out,
//! a revoked key or a new role on this node is known at once, on other nodes after that time.
//! Invariant: bounded; never older than that; keyed by the token's digest, never by the token.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use super::Person;
use crate::clock::Millis;

/// How long somebody is remembered.
const FAMILIAR_MS: i64 = 1_000;
/// People remembered; when full, all are forgotten.
const MAX_FAMILIAR: usize = 20_000;

/// People by the digests of their tokens. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Familiar(Arc<Mutex<HashMap<String, (Millis, Person)>>>);

impl Familiar {
    /// Who this is, if it was asked a moment ago.
    pub(super) fn get(&self, digest: &str, now: Millis) -> Option<Person> {
        let people = self.0.lock();
        let (seen_at, person) = people.get(digest)?;
        (0..FAMILIAR_MS).contains(&now.since(*seen_at)).then(|| person.clone())
    }

    /// Remembers somebody.
    pub(super) fn put(&self, digest: String, person: &Person, now: Millis) {
        let mut people = self.0.lock();
        if people.len() >= MAX_FAMILIAR {
            people.clear();
        }
        people.insert(digest, (now, person.clone()));
    }

    /// Somebody's rights have changed.
    pub(super) fn forget_all(&self) {
        self.0.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::{AccountId, CustomerId},
        people::Account,
    };

    #[test]
    fn people_are_remembered_for_a_moment_only() {
        let account =
            Account { id: AccountId::fresh(), email: "a@b.example".into(), display_name: "a".into(), demo: false };
        let person = Person {
            account,
            customer_id: CustomerId::fresh(),
            liver_id: None,
            brands: Vec::new(),
            locations: Vec::new(),
            operator: false,
        };
        let familiar = Familiar::default();
        familiar.put("digest".into(), &person, Millis(10));
        assert!(familiar.get("digest", Millis(10 + FAMILIAR_MS - 1)).is_some());
        assert!(familiar.get("digest", Millis(10 + FAMILIAR_MS)).is_none());
        assert!(familiar.get("another", Millis(10)).is_none());
        familiar.forget_all();
        assert!(familiar.get("digest", Millis(10)).is_none());
    }
}
