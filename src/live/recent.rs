//! Value: what people were told of their own purchases and places lately.
//!
//! News of a purchase may come while its buyer changes connections. Whoever takes a seat is told the newest of the last
//! minutes again; versions make that harmless. All nodes hear all of it, so it works on any.
//! Invariant: bounded; nothing older than [`KEPT_MS`].

use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;

use super::lane::Lane;
use crate::{clock::Millis, ids::CustomerId, wire};

/// How long news is kept: longer than any reconnection takes.
const KEPT_MS: i64 = 10 * 60 * 1_000;
/// People whose news is kept; when full, old news goes, and if all is fresh everything does: it can be asked for over HTTP.
const MAX_PEOPLE: usize = 100_000;
/// Purchases, and places, of one person.
const MAX_OF_ONE: usize = 16;

#[derive(Debug, Default)]
struct News {
    at: Millis,
    purchases: BTreeMap<String, wire::PurchaseStatus>,
    waits: BTreeMap<String, wire::Wait>,
}

/// The newest news by person.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<HashMap<CustomerId, News>>);

impl Recent {
    fn put(&self, customer: &CustomerId, now: Millis, change: impl FnOnce(&mut News)) {
        let mut people = self.0.lock();
        if people.len() >= MAX_PEOPLE && !people.contains_key(customer) {
            people.retain(|_, news| now.since(news.at) < KEPT_MS);
            if people.len() >= MAX_PEOPLE {
                people.clear();
            }
        }
        let news = people.entry(customer.clone()).or_default();
        news.at = now;
        change(news);
    }

    pub(super) fn put_purchase(&self, customer: &CustomerId, status: &wire::PurchaseStatus, now: Millis) {
        self.put(customer, now, |news| {
            if news.purchases.get(&status.id).is_none_or(|known| known.version <= status.version) {
                news.purchases.insert(status.id.clone(), status.clone());
            }
            if news.purchases.len() > MAX_OF_ONE {
                // Ids sort by time.
                news.purchases.pop_first();
            }
        });
    }

    pub(super) fn put_wait(&self, customer: &CustomerId, wait: &wire::Wait, now: Millis) {
        self.put(customer, now, |news| {
            if news.waits.get(&wait.id).is_none_or(|known| known.version <= wait.version) {
                news.waits.insert(wait.id.clone(), wait.clone());
            }
            if news.waits.len() > MAX_OF_ONE {
                news.waits.pop_first();
            }
        });
    }

    /// Tells somebody who takes a seat.
    pub(super) fn tell(&self, lane: &Lane, now: Millis) {
        let Some(customer) = lane.customer() else { return };
        let people = self.0.lock();
        let Some(news) = people.get(customer).filter(|news| now.since(news.at) < KEPT_MS) else { return };
        for status in news.purchases.values() {
            lane.put_purchase(status.clone());
        }
        for wait in news.waits.values() {
            lane.put_wait(wait.clone());
        }
    }

    /// Lets go of what is old.
    pub(super) fn sweep(&self, now: Millis) {
        self.0.lock().retain(|_, news| now.since(news.at) < KEPT_MS);
    }
}
