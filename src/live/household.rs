//! Pure: what a room remembers of people: its liver's order, followers, and who voted for what.
//!
//! Loaded once when the room opens, then kept by facts, so that no line and no connection costs a query.

use std::sync::Arc;

use super::{followers::Followers, moderation::Moderation, votes::Votes};

/// A room's people.
#[derive(Debug, Default)]
pub(super) struct Household {
    /// Replaced as a whole when its version grows.
    pub(super) order: Arc<Moderation>,
    /// Who follows the liver.
    pub(super) followers: Followers,
    /// For the questions that are shown.
    pub(super) votes: Votes,
}

impl Household {
    /// Takes what was read again, but for what is newer here: it was heard meanwhile.
    pub(super) fn renew(&mut self, read: Self) {
        let known = std::mem::replace(self, read);
        if known.order.version() > self.order.version() {
            self.order = known.order;
        }
        self.followers.keep_newer(known.followers);
    }
}
