//! Shell: delivers what waits, on every node.
//!
//! One task: takes what is due at each address, tries it, and writes what came of all tries that ended meanwhile by one
//! transaction. A slow address has a few tries on their way at once, and keeps no other one waiting.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::Notify,
    task::{Id, JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;

use super::{
    endpoints::{self, Due, Fared},
    messages::{self, Claimed, Tried},
    schedule::{DeliveryState, Outcome, after},
    sender::{Letter, Sender},
    signature::sign,
};
use crate::{
    clock::{Clock, Millis},
    ids::WebhookId,
    store::{Db, StoreError},
    tasks::Tasks,
};

/// Tries of this node on their way at once.
const MAX_FLIGHTS: usize = 128;
/// Those to an address that answered quickly the last time, and to any other: many that do not answer leave room.
const MAX_FLIGHTS_QUICK: usize = 8;
const MAX_FLIGHTS_EACH: usize = 2;
/// A try that takes longer is slow.
const SLOW: Duration = Duration::from_secs(3);
/// Addresses that are remembered as quick.
const MAX_QUICK: usize = 10_000;
/// Addresses that are looked at in one turn.
const MAX_DUE: i64 = 100;
/// How often it is looked whether something is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often old messages are forgotten.
const FORGET_EVERY_MS: i64 = 3_600_000;
/// At a stop, how long those on their way are waited for; others take up what is not answered until then.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// A try that ended.
struct Landed {
    endpoint: WebhookId,
    url: String,
    took: Duration,
    claimed: Claimed,
    outcome: Outcome,
}

/// The task's own.
pub(super) struct Postman {
    db: Db,
    clock: Clock,
    sender: Sender,
    flights: JoinSet<Landed>,
    /// To which address each of them is.
    bound_for: HashMap<Id, WebhookId>,
    /// Those whose last try was answered quickly.
    quick: HashSet<WebhookId>,
    /// What came of tries and is not written yet.
    landed: Vec<Landed>,
    /// The address that was given room last: the next turn begins after it, so that all have theirs.
    after: String,
    forgotten_at: Millis,
}

impl Postman {
    /// Starts it.
    pub(super) fn start(db: Db, clock: Clock, sender: Sender, wake: Arc<Notify>, tasks: &Tasks) {
        let stopping = tasks.stopping();
        let postman = Self {
            db,
            clock,
            sender,
            flights: JoinSet::new(),
            bound_for: HashMap::new(),
            quick: HashSet::new(),
            landed: Vec::new(),
            after: String::new(),
            forgotten_at: Millis(0),
        };
        tasks.spawn("webhooks out", postman.run(wake, stopping));
    }

    async fn run(mut self, wake: Arc<Notify>, stopping: CancellationToken) {
        while !stopping.is_cancelled() {
            // What cannot be written is written later, and nothing is begun meanwhile.
            if let Err(error) = self.turn(&stopping).await {
                tracing::warn!(%error, "webhooks are not delivered right now");
            }
            let idle = self.flights.is_empty();
            tokio::select! {
                () = stopping.cancelled() => {}
                () = wake.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
                Some(landed) = self.flights.join_next_with_id(), if !idle => {
                    self.land(landed);
                    // Those that ended meanwhile are written by the same transaction.
                    while let Some(landed) = self.flights.try_join_next_with_id() {
                        self.land(landed);
                    }
                }
            }
        }
        let last = async {
            while let Some(landed) = self.flights.join_next_with_id().await {
                self.land(landed);
            }
        };
        // Those that are not back have a lease, and are tried again after it.
        let _ = tokio::time::timeout(LAST_WAIT, last).await;
        if let Err(error) = self.write().await {
            tracing::warn!(%error, "what came of some webhooks is not known");
        }
    }

    fn land(&mut self, landed: Result<(Id, Landed), JoinError>) {
        let landed = match landed {
            Ok((id, landed)) => {
                self.bound_for.remove(&id);
                landed
            }
            // It is not known what came of it, so it is tried again after its lease, like one whose node died.
            Err(error) => {
                let endpoint = self.bound_for.remove(&error.id());
                tracing::error!(%error, ?endpoint, "a webhook's try broke off");
                return;
            }
        };
        if landed.outcome.status.is_none() || landed.took > SLOW {
            self.quick.remove(&landed.endpoint);
        } else if self.quick.len() < MAX_QUICK {
            self.quick.insert(landed.endpoint.clone());
        }
        self.landed.push(landed);
    }

    /// How many more tries may be begun to an address.
    fn room(&self, endpoint: &WebhookId) -> usize {
        let flying = self.bound_for.values().filter(|other| *other == endpoint).count();
        let most = if self.quick.contains(endpoint) { MAX_FLIGHTS_QUICK } else { MAX_FLIGHTS_EACH };
        most.saturating_sub(flying).min(MAX_FLIGHTS.saturating_sub(self.flights.len()))
    }

    async fn turn(&mut self, stopping: &CancellationToken) -> Result<(), StoreError> {
        self.write().await?;
        let now = self.clock.now();
        if now.0 - self.forgotten_at.0 >= FORGET_EVERY_MS {
            let mut tx = self.db.write("forget webhooks").await?;
            let more = messages::forget_old(&mut tx, now).await?;
            tx.commit().await?;
            if !more {
                self.forgotten_at = now;
            }
        }
        if self.flights.len() >= MAX_FLIGHTS {
            return Ok(());
        }
        let mut tx = self.db.read("webhooks due").await?;
        let mut due = endpoints::due(&mut tx, &self.after, now, MAX_DUE).await?;
        let left = MAX_DUE - i64::try_from(due.len()).unwrap_or(MAX_DUE);
        if left > 0 && !self.after.is_empty() {
            // Round the corner.
            let before = endpoints::due(&mut tx, "", now, left).await?;
            due.extend(before.into_iter().filter(|one| one.id.as_str() <= self.after.as_str()));
        }
        drop(tx);
        for endpoint in due {
            let room = self.room(&endpoint.id);
            if stopping.is_cancelled() || self.flights.len() >= MAX_FLIGHTS {
                break;
            }
            if room == 0 {
                continue;
            }
            let now = self.clock.now();
            let mut tx = self.db.write("claim webhooks").await?;
            let claimed = messages::claim(&mut tx, &endpoint.id, now, i64::try_from(room).unwrap_or(0)).await?;
            tx.commit().await?;
            self.after = endpoint.id.to_string();
            for one in claimed {
                self.send(&endpoint, one, now);
            }
        }
        Ok(())
    }

    fn send(&mut self, to: &Due, claimed: Claimed, now: Millis) {
        let id = claimed.message_id.to_string();
        let letter = Letter {
            url: to.url.clone(),
            signature: sign(&to.secrets(now), &id, now, &claimed.body),
            id,
            at_s: now.0.div_euclid(1_000),
            body: claimed.body.clone(),
        };
        let (sender, endpoint, url) = (self.sender.clone(), to.id.clone(), to.url.clone());
        let bound_for = endpoint.clone();
        let flight = self.flights.spawn(async move {
            let began = Instant::now();
            let outcome = sender.send(letter).await;
            Landed { endpoint, url, took: began.elapsed(), claimed, outcome }
        });
        self.bound_for.insert(flight.id(), bound_for);
    }

    /// Writes what came of the tries that ended.
    async fn write(&mut self) -> Result<(), StoreError> {
        if self.landed.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let mut fared: BTreeMap<(&WebhookId, &str), Fared> = BTreeMap::new();
        let mut tried = Vec::with_capacity(self.landed.len());
        for Landed { endpoint, url, claimed, outcome, .. } in &self.landed {
            let spread =
                claimed.message_id.as_str().bytes().fold(0u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
            let (state, next_at) = after(*outcome, claimed.tries, now, spread);
            let one =
                fared.entry((endpoint, url.as_str())).or_insert_with(|| Fared { url: url.clone(), ..Fared::default() });
            one.delivered |= outcome.fault.is_none();
            one.gone |= outcome.is_gone();
            one.given_up |= state == DeliveryState::Failed;
            tried.push(Tried {
                endpoint: endpoint.clone(),
                message: claimed.message_id.clone(),
                tries: claimed.tries,
                state,
                next_at,
                status: outcome.status,
                fault: outcome.fault,
            });
        }
        // Always in the same order, so that two nodes do not wait for one another.
        tried.sort_by(|a, b| (&a.endpoint, &a.message).cmp(&(&b.endpoint, &b.message)));
        let mut tx = self.db.write("webhooks tried").await?;
        messages::note(&mut tx, &tried).await?;
        for ((endpoint, _), fared) in &fared {
            if let Some(because) = endpoints::note(&mut tx, endpoint, fared, now).await? {
                tracing::warn!(webhook.id = %endpoint, because = because.as_str(), "a webhook endpoint is told no more");
            }
        }
        tx.commit().await?;
        self.landed.clear();
        Ok(())
    }
}
