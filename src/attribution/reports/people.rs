//! Pure: who bought, as a set that can be stored, merged and counted exactly.
//!
//! People are numbers in the order in which they first bought anything. A set is its numbers in rising order, as
//! differences of seven bits a byte: a byte or two for each, so that a month of a brand is read and merged in a
//! millisecond, where different people cannot be counted by adding.

use data_encoding::BASE64_NOPAD;

/// Different people, in rising order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct People(Vec<u32>);

impl People {
    /// Whoever is in the list, once each.
    pub(super) fn of(mut people: Vec<u32>) -> Self {
        people.sort_unstable();
        people.dedup();
        Self(people)
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds them to a list.
    pub(super) fn append_to(mut self, people: &mut Vec<u32>) {
        people.append(&mut self.0);
    }

    /// Those of another set, too.
    pub(super) fn merge(&mut self, other: &Self) {
        if other.0.is_empty() {
            return;
        }
        let mut all = std::mem::take(&mut self.0);
        all.extend_from_slice(&other.0);
        *self = Self::of(all);
    }

    /// Without this one.
    pub(super) fn remove(&mut self, one: u32) {
        if let Ok(at) = self.0.binary_search(&one) {
            self.0.remove(at);
        }
    }

    /// How many are in both.
    pub(super) fn shared_with(&self, other: &Self) -> usize {
        self.0.iter().filter(|one| other.0.binary_search(one).is_ok()).count()
    }

    /// As it is stored.
    pub(super) fn to_text(&self) -> String {
        let mut bytes = Vec::with_capacity(self.0.len() * 2);
        let mut last = 0;
        for one in &self.0 {
            let mut gap = one - last;
            last = *one;
            while gap >= 0x80 {
                bytes.push(u8::try_from(gap & 0x7f).expect("seven bits") | 0x80);
                gap >>= 7;
            }
            bytes.push(u8::try_from(gap).expect("seven bits"));
        }
        BASE64_NOPAD.encode(&bytes)
    }

    /// Adds those of a stored set to a list; a text of another form adds nobody.
    pub(super) fn read_into(text: &str, people: &mut Vec<u32>) {
        let bytes = BASE64_NOPAD.decode(text.as_bytes()).unwrap_or_default();
        let (mut last, mut gap, mut shift) = (0u32, 0u32, 0u32);
        for byte in bytes {
            gap |= u32::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            shift += 7;
            if byte & 0x80 == 0 {
                last = last.saturating_add(gap);
                people.push(last);
                (gap, shift) = (0, 0);
            }
        }
    }

    /// As it was stored.
    pub(super) fn from_text(text: &str) -> Self {
        let mut people = Vec::new();
        Self::read_into(text, &mut people);
        Self::of(people)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_stored_set_is_the_set(
            a in prop::collection::vec(any::<u32>(), 0..200),
            b in prop::collection::vec(0u32..300, 0..200),
        ) {
            let (set_a, set_b): (BTreeSet<u32>, BTreeSet<u32>) = (a.iter().copied().collect(), b.iter().copied().collect());
            let (one, other) = (People::of(a), People::of(b));
            prop_assert_eq!(&People::from_text(&one.to_text()), &one);
            prop_assert_eq!(&People::from_text(&other.to_text()), &other);
            prop_assert_eq!(one.len(), set_a.len());
            prop_assert_eq!(one.shared_with(&other), set_a.intersection(&set_b).count());
            let mut both = one.clone();
            both.merge(&other);
            prop_assert_eq!(both.len(), set_a.union(&set_b).count());
        }
    }
}
