//! Value: what people were told of their own purchases, places and pickups lately.
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

/// What was told, by what it is about, and when.
type Told<T> = BTreeMap<String, (Millis, T)>;

#[derive(Debug, Default)]
struct News {
    purchases: Told<wire::PurchaseStatus>,
    waits: Told<wire::Wait>,
    pickups: Told<wire::Pickup>,
}

impl News {
    /// Lets go of what is old; whether anything is left.
    fn keep_fresh(&mut self, now: Millis) -> bool {
        self.purchases.retain(|_, (at, _)| is_fresh(*at, now));
        self.waits.retain(|_, (at, _)| is_fresh(*at, now));
        self.pickups.retain(|_, (at, _)| is_fresh(*at, now));
        !self.purchases.is_empty() || !self.waits.is_empty() || !self.pickups.is_empty()
    }
}

fn is_fresh(at: Millis, now: Millis) -> bool {
    now.since(at) < KEPT_MS
}

/// Remembers the newest of one thing; beyond [`MAX_OF_ONE`] what was told first is forgotten.
fn remember<T: Clone>(told: &mut Told<T>, id: &str, news: &T, version: impl Fn(&T) -> i64, now: Millis) {
    if told.get(id).is_some_and(|(_, known)| version(known) > version(news)) {
        return;
    }
    told.insert(id.to_owned(), (now, news.clone()));
    if told.len() > MAX_OF_ONE
        && let Some(first) = told.iter().min_by_key(|(_, (at, _))| *at).map(|(id, _)| id.clone())
    {
        told.remove(&first);
    }
}

/// The newest news by person.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<HashMap<CustomerId, News>>);

impl Recent {
    fn put(&self, customer: &CustomerId, now: Millis, change: impl FnOnce(&mut News)) {
        let mut people = self.0.lock();
        if people.len() >= MAX_PEOPLE && !people.contains_key(customer) {
            people.retain(|_, news| news.keep_fresh(now));
            if people.len() >= MAX_PEOPLE {
                people.clear();
            }
        }
        change(people.entry(customer.clone()).or_default());
    }

    pub(super) fn put_purchase(&self, customer: &CustomerId, status: &wire::PurchaseStatus, now: Millis) {
        let version = |status: &wire::PurchaseStatus| status.version;
        self.put(customer, now, |news| remember(&mut news.purchases, &status.id, status, version, now));
    }

    pub(super) fn put_wait(&self, customer: &CustomerId, wait: &wire::Wait, now: Millis) {
        self.put(customer, now, |news| remember(&mut news.waits, &wait.id, wait, |wait| wait.version, now));
    }

    pub(super) fn put_pickup(&self, customer: &CustomerId, pickup: &wire::Pickup, now: Millis) {
        let version = |pickup: &wire::Pickup| pickup.version;
        self.put(customer, now, |news| remember(&mut news.pickups, &pickup.order_id, pickup, version, now));
    }

    /// Tells somebody who takes a seat.
    pub(super) fn tell(&self, lane: &Lane, now: Millis) {
        let Some(customer) = lane.customer() else { return };
        let people = self.0.lock();
        let Some(news) = people.get(customer) else { return };
        for (_, status) in news.purchases.values().filter(|(at, _)| is_fresh(*at, now)) {
            lane.put_purchase(status.clone());
        }
        for (_, wait) in news.waits.values().filter(|(at, _)| is_fresh(*at, now)) {
            lane.put_wait(wait.clone());
        }
        for (_, pickup) in news.pickups.values().filter(|(at, _)| is_fresh(*at, now)) {
            lane.put_pickup(pickup.clone());
        }
    }

    /// Lets go of what is old.
    pub(super) fn sweep(&self, now: Millis) {
        self.0.lock().retain(|_, news| news.keep_fresh(now));
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Notify;

    use super::*;
    use crate::{
        live::{Codec, lane::Bell},
        wire::{personal, server_frame::Body},
    };

    const START: Millis = Millis(1_800_000_000_000);

    fn later(ms: i64) -> Millis {
        Millis(START.0 + ms)
    }

    fn purchase(id: &str, version: i64) -> wire::PurchaseStatus {
        wire::PurchaseStatus { id: id.to_owned(), version, ..wire::PurchaseStatus::default() }
    }

    fn wait(id: &str, version: i64) -> wire::Wait {
        wire::Wait { id: id.to_owned(), version, ..wire::Wait::default() }
    }

    /// What somebody is told who takes a seat: ids and versions.
    fn told(recent: &Recent, customer: Option<&CustomerId>, now: Millis) -> Vec<(String, i64)> {
        let lane = Lane::new(customer.cloned(), false, None, Bell::Task(Notify::new()));
        recent.tell(&lane, now);
        let (frames, _) = lane.take(Codec::Proto);
        let bodies = frames.iter().map(|frame| {
            let frame = Codec::Proto.decode_server(&crate::live::frames::payload(frame)).expect("our own frame");
            let Some(Body::Personal(wire::Personal { body: Some(body) })) = frame.body else { panic!("personal news") };
            match body {
                personal::Body::Purchase(status) => (status.id, status.version),
                personal::Body::Wait(wait) => (wait.id, wait.version),
                other => panic!("not kept here: {other:?}"),
            }
        });
        bodies.collect()
    }

    #[test]
    fn the_newest_version_is_told_to_its_person_and_to_nobody_else() {
        let (recent, yui, haru) = (Recent::default(), CustomerId::fresh(), CustomerId::fresh());
        for version in [1, 3, 2] {
            recent.put_purchase(&yui, &purchase("pur_1", version), START);
            recent.put_wait(&yui, &wait("wai_1", version + 10), START);
        }
        recent.put_purchase(&haru, &purchase("pur_2", 7), START);
        let of_yui = [("pur_1".to_owned(), 3), ("wai_1".to_owned(), 13)];
        assert_eq!(told(&recent, Some(&yui), START), of_yui);
        assert_eq!(told(&recent, Some(&yui), START), of_yui, "every connection is told");
        assert_eq!(told(&recent, Some(&haru), START), [("pur_2".to_owned(), 7)]);
        assert_eq!(told(&recent, Some(&CustomerId::fresh()), START), []);
        assert_eq!(told(&recent, None, START), [], "guests have bought nothing");
    }

    #[test]
    fn what_was_told_long_ago_is_not_told_again_though_its_person_has_newer_news() {
        let (recent, yui) = (Recent::default(), CustomerId::fresh());
        recent.put_purchase(&yui, &purchase("pur_1", 1), START);
        recent.put_wait(&yui, &wait("wai_1", 1), START);
        recent.put_purchase(&yui, &purchase("pur_2", 1), later(KEPT_MS - 1));
        assert_eq!(told(&recent, Some(&yui), later(KEPT_MS - 1)).len(), 3);
        assert_eq!(told(&recent, Some(&yui), later(KEPT_MS)), [("pur_2".to_owned(), 1)]);
        assert_eq!(told(&recent, Some(&yui), later(2 * KEPT_MS)), []);
    }

    #[test]
    fn of_one_person_the_news_that_was_told_last_is_kept() {
        let (recent, yui) = (Recent::default(), CustomerId::fresh());
        // The ids run backwards: when it was told counts, not when it was bought.
        for n in 0..40 {
            recent.put_purchase(&yui, &purchase(&format!("pur_{:02}", 99 - n), 1), later(n));
            recent.put_wait(&yui, &wait(&format!("wai_{:02}", 99 - n), 1), later(n));
        }
        let told = told(&recent, Some(&yui), later(40));
        let of = |kind: &str| told.iter().filter(|(id, _)| id.starts_with(kind)).count();
        assert_eq!((of("pur"), of("wai")), (MAX_OF_ONE, MAX_OF_ONE));
        assert!(told.contains(&("pur_60".to_owned(), 1)), "the last: {told:?}");
    }

    #[test]
    fn when_there_are_too_many_people_old_news_goes_first_and_then_all() {
        let (recent, first) = (Recent::default(), CustomerId::fresh());
        let people = || recent.0.lock().len();
        for _ in 0..MAX_PEOPLE / 2 {
            recent.put_purchase(&CustomerId::fresh(), &purchase("pur_1", 1), START);
        }
        recent.put_purchase(&first, &purchase("pur_1", 1), later(KEPT_MS));
        for _ in 0..MAX_PEOPLE / 2 {
            recent.put_wait(&CustomerId::fresh(), &wait("wai_1", 1), later(KEPT_MS));
        }
        assert_eq!(people(), MAX_PEOPLE / 2 + 1, "the old half has gone");
        assert_eq!(told(&recent, Some(&first), later(KEPT_MS)).len(), 1);
        while people() < MAX_PEOPLE {
            recent.put_wait(&CustomerId::fresh(), &wait("wai_1", 1), later(KEPT_MS));
        }
        recent.put_purchase(&first, &purchase("pur_1", 2), later(KEPT_MS));
        assert_eq!(people(), MAX_PEOPLE, "who is known needs no room");
        let last = CustomerId::fresh();
        recent.put_purchase(&last, &purchase("pur_9", 1), later(KEPT_MS));
        assert_eq!(people(), 1, "all of it was fresh");
        assert_eq!(told(&recent, Some(&last), later(KEPT_MS)), [("pur_9".to_owned(), 1)]);
    }

    #[test]
    fn a_sweep_lets_go_of_what_is_old_and_of_nothing_else() {
        let (recent, gone, here) = (Recent::default(), CustomerId::fresh(), CustomerId::fresh());
        recent.put_purchase(&gone, &purchase("pur_1", 1), START);
        recent.put_purchase(&here, &purchase("pur_2", 1), START);
        recent.put_wait(&here, &wait("wai_1", 1), later(1));
        recent.sweep(later(KEPT_MS));
        let people = recent.0.lock();
        assert!(!people.contains_key(&gone));
        assert_eq!((people[&here].purchases.len(), people[&here].waits.len()), (0, 1));
    }
}
