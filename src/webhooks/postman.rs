//! Shell: delivers what waits, on every node.
//!
//! One task: takes what is due at each address, tries it, and writes what came of all tries that ended meanwhile by one
//! transaction. A slow address has a few tries on their way at once, and keeps no other one waiting.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    endpoints::{self, Due, Fared},
    messages::{self, Claimed, Tried},
    schedule::{Outcome, after},
    sender::{Letter, Sender},
    signature::sign,
};
use crate::{
    clock::{Clock, Millis},
    ids::WebhookId,
    store::{Db, StoreError},
    tasks::Tasks,
};

/// Tries of this node on their way at once, and of those to one address.
const MAX_FLIGHTS: usize = 64;
const MAX_FLIGHTS_EACH: usize = 8;
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
    claimed: Claimed,
    outcome: Outcome,
}

/// The task's own.
pub(super) struct Postman {
    db: Db,
    clock: Clock,
    sender: Sender,
    flights: FuturesUnordered<BoxFuture<'static, Landed>>,
    /// How many are on their way to each address.
    busy: HashMap<WebhookId, usize>,
    /// What came of tries and is not written yet.
    landed: Vec<Landed>,
    /// The address after which the next turn begins, so that all have theirs.
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
            flights: FuturesUnordered::new(),
            busy: HashMap::new(),
            landed: Vec::new(),
            after: String::new(),
            forgotten_at: Millis(0),
        };
        tasks.spawn("webhooks out", postman.run(wake, stopping));
    }

    async fn run(mut self, wake: Arc<Notify>, stopping: CancellationToken) {
        while !stopping.is_cancelled() {
            // What cannot be written is written later, and nothing is begun meanwhile.
            if let Err(error) = self.turn().await {
                tracing::warn!(%error, "webhooks are not delivered right now");
            }
            let idle = self.flights.is_empty();
            tokio::select! {
                () = stopping.cancelled() => {}
                () = wake.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
                Some(landed) = self.flights.next(), if !idle => {
                    self.land(landed);
                    // Those that ended meanwhile are written by the same transaction.
                    while let Some(Some(landed)) = self.flights.next().now_or_never() {
                        self.land(landed);
                    }
                }
            }
        }
        let last = async {
            while let Some(landed) = self.flights.next().await {
                self.land(landed);
            }
        };
        // Those that are not back have a lease, and are tried again after it.
        let _ = tokio::time::timeout(LAST_WAIT, last).await;
        if let Err(error) = self.write().await {
            tracing::warn!(%error, "what came of some webhooks is not known");
        }
    }

    fn land(&mut self, landed: Landed) {
        if let Some(flying) = self.busy.get_mut(&landed.endpoint) {
            *flying -= 1;
            if *flying == 0 {
                self.busy.remove(&landed.endpoint);
            }
        }
        self.landed.push(landed);
    }

    async fn turn(&mut self) -> Result<(), StoreError> {
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
        let due = endpoints::due(&mut tx, &self.after, now, MAX_DUE).await?;
        drop(tx);
        // The last turn of a round: the next one begins anew.
        let whole = i64::try_from(due.len()).unwrap_or(0) < MAX_DUE;
        self.after = due.last().filter(|_| !whole).map(|last| last.id.to_string()).unwrap_or_default();
        for endpoint in due {
            let flying = self.busy.get(&endpoint.id).copied().unwrap_or(0);
            let free = MAX_FLIGHTS_EACH.saturating_sub(flying).min(MAX_FLIGHTS.saturating_sub(self.flights.len()));
            if free == 0 {
                continue;
            }
            let mut tx = self.db.write("claim webhooks").await?;
            let claimed = messages::claim(&mut tx, &endpoint.id, now, i64::try_from(free).unwrap_or(0)).await?;
            tx.commit().await?;
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
        let (sender, endpoint) = (self.sender.clone(), to.id.clone());
        *self.busy.entry(endpoint.clone()).or_default() += 1;
        self.flights.push(Box::pin(async move {
            let outcome = sender.send(letter).await;
            Landed { endpoint, claimed, outcome }
        }));
    }

    /// Writes what came of the tries that ended.
    async fn write(&mut self) -> Result<(), StoreError> {
        if self.landed.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let mut fared: BTreeMap<&WebhookId, Fared> = BTreeMap::new();
        let mut tried = Vec::with_capacity(self.landed.len());
        for Landed { endpoint, claimed, outcome } in &self.landed {
            let one = fared.entry(endpoint).or_default();
            one.delivered |= outcome.fault.is_none();
            one.gone |= outcome.is_gone();
            let spread =
                claimed.message_id.as_str().bytes().fold(0u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
            let (state, next_at) = after(*outcome, claimed.tries, now, spread);
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
        let mut tx = self.db.write("webhooks tried").await?;
        messages::note(&mut tx, &tried).await?;
        for (endpoint, fared) in fared {
            if let Some(because) = endpoints::note(&mut tx, endpoint, fared, now).await? {
                tracing::warn!(webhook.id = %endpoint, because = because.as_str(), "a webhook endpoint is told no more");
            }
        }
        tx.commit().await?;
        self.landed.clear();
        Ok(())
    }
}
