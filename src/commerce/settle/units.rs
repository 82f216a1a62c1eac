//! Pure: units of an allocation, put together and taken apart.

use crate::{commerce::allocation::Allocation, ids::LocationId};

/// Puts more units to those that are there.
pub(super) fn add(to: &mut Allocation, more: Allocation) {
    for (location, units) in more.0 {
        *to.0.entry(location).or_default() += units;
    }
}

/// Takes so many units out, location by location; fewer when there are fewer.
pub(super) fn take(from: &mut Allocation, mut units: i64) -> Allocation {
    let mut taken = Allocation::default();
    from.0.retain(|location, standing| {
        let part = units.min(*standing);
        if part > 0 {
            taken.0.insert(location.clone(), part);
            *standing -= part;
            units -= part;
        }
        *standing > 0
    });
    taken
}

/// All units at one location.
pub(super) fn all_at(location: &LocationId, units: i64) -> Allocation {
    let mut all = Allocation::default();
    all.0.insert(location.clone(), units);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_gone_and_what_is_not_there_is_not_taken() {
        let (a, b) = (LocationId::fresh(), LocationId::fresh());
        let mut standing = all_at(&a, 2);
        add(&mut standing, all_at(&b, 3));
        let taken = take(&mut standing, 4);
        assert_eq!((taken.units(), standing.units()), (4, 1));
        assert_eq!(standing.0.len(), 1, "an empty place is none");
        assert_eq!(take(&mut standing, 9).units(), 1);
        assert_eq!(standing, Allocation::default());
    }
}
