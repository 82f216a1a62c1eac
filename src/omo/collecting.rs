//! Shell: what a store does with its pickups, and what happens to what nobody comes for.
//!
//! Handing over is fulfilling the order, as its seller would: the money is taken and the units leave, and in that transaction the
//! pickup is handed over. Who does it writes their name beside it first, so of several at once exactly one did.
//! Invariant: nothing is handed over before its money is taken.

use std::time::Duration;

use super::{
    OmoError,
    code::{Code, fresh_token},
    guesses::Guesses,
    location,
    pickups::{self, Pickup, PickupNews, PickupState, Prepared, StorePickup},
};
use crate::{
    bus::{self, Fact, Relay},
    clock::{Clock, Millis},
    commerce::{Checkout, CommerceError, Refunds},
    ids::{AccountId, LocationId, OrderId},
    store::{Db, Tx},
    tasks::Tasks,
};

/// The task looks this often for what is kept too long …
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// … and takes so many at once.
const PAGE: i64 = 100;
const DAY: Duration = Duration::from_secs(24 * 3600);
/// A code that is met already is made anew; each time the odds are one in 2⁴⁰ for every code of the store.
const TRIES: usize = 4;
/// Who meets another at the same order looks so often what came of it …
const LOOKS: u32 = 50;
/// … each time after this.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Characters of an Idempotency-Key.
const MAX_KEY_CHARS: usize = 255;

/// Picking up. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Pickups {
    db: Db,
    clock: Clock,
    relay: Relay,
    checkout: Checkout,
    refunds: Refunds,
    guesses: Guesses,
    kept: Duration,
}

/// Who hands over what.
#[derive(Debug)]
pub struct HandOver<'a> {
    /// Of whose store.
    pub by: &'a AccountId,
    /// Where.
    pub location: &'a LocationId,
    /// Under which the same request has one answer.
    pub key: &'a str,
    /// As it was typed or scanned.
    pub code: &'a str,
}

impl Pickups {
    /// Starts the task that reminds customers, and calls off what they do not come for.
    #[must_use]
    pub fn start(
        db: Db,
        clock: Clock,
        relay: Relay,
        (checkout, refunds): (Checkout, Refunds),
        kept_days: u32,
        tasks: &Tasks,
    ) -> Self {
        let pickups = Self { db, clock, relay, checkout, refunds, guesses: Guesses::default(), kept: DAY * kept_days };
        let (task, stopping) = (pickups.clone(), tasks.stopping());
        tasks.spawn("pickups", async move {
            while !stopping.is_cancelled() {
                if let Err(error) = task.look().await {
                    tracing::warn!(error = %error, "pickups cannot be looked at");
                }
                tokio::select! {
                    () = task.clock.sleep(LOOK_EVERY) => {}
                    () = stopping.cancelled() => {}
                }
            }
        });
        pickups
    }

    /// A store's pickups: what is still to be handed over, oldest first, or those of one state.
    ///
    /// # Errors
    /// The database's.
    pub async fn of_location(
        &self,
        location: &LocationId,
        state: Option<PickupState>,
        cursor: Option<&OrderId>,
        limit: i64,
    ) -> Result<Vec<StorePickup>, OmoError> {
        let mut tx = self.db.read("pickups of a store").await?;
        Ok(pickups::of_location(&mut tx, location, state, cursor, limit).await?)
    }

    /// The store begins with it. May be repeated.
    ///
    /// # Errors
    /// Not found; [`OmoError::Conflict`] when it is farther already.
    pub async fn prepare(&self, location: &LocationId, order: &OrderId) -> Result<StorePickup, OmoError> {
        let mut tx = self.db.write("prepare a pickup").await?;
        let pickup = here(&mut tx, location, order).await?;
        match pickups::begin(&mut tx, order, self.clock.now()).await? {
            Some(begun) => self.commit_and_tell(tx, vec![news(&begun)]).await?,
            None if pickup.state == PickupState::Preparing => {}
            None => return Err(farther(pickup.state)),
        }
        self.seen(location, order).await
    }

    /// It can be had: there is a code now, and its customer is told. May be repeated.
    ///
    /// # Errors
    /// Not found; [`OmoError::Conflict`] when it is over, or goods of it are missing.
    pub async fn ready(&self, location: &LocationId, order: &OrderId) -> Result<StorePickup, OmoError> {
        let seen = self.seen(location, order).await?;
        if seen.short_units > 0 {
            return Err(OmoError::Conflict("goods of this order are missing, so nobody can pick it up yet"));
        }
        let now = self.clock.now();
        let mut tx = self.db.write("a pickup is ready").await?;
        let pickup = here(&mut tx, location, order).await?;
        let hours = location::find(&mut tx, location).await?.map(|location| location.hours).unwrap_or_default();
        let (token, digest) = free_code(&mut tx, location, order).await?;
        let collect_by = now.plus(self.kept);
        let prepared = Prepared {
            at: now,
            prepared_ms: pickup.due_from_ms.map(|from| hours.open_between(from.min(now), now)),
            token: &token,
            digest: &digest,
            collect_by,
            // Who is kept for a day has just been told.
            remind_at: (self.kept > DAY).then(|| Millis(now.plus(self.kept.saturating_sub(DAY)).0)),
        };
        match pickups::finish(&mut tx, order, &prepared).await? {
            Some(finished) => self.commit_and_tell(tx, vec![news(&finished)]).await?,
            None if pickup.state == PickupState::Ready => {}
            None => return Err(farther(pickup.state)),
        }
        self.seen(location, order).await
    }

    /// Hands over what a code is for: its money is taken, its units leave.
    ///
    /// # Errors
    /// [`OmoError::WrongCode`], [`OmoError::TooManyGuesses`], [`OmoError::HandedOver`], [`OmoError::KeyReused`];
    /// [`OmoError::NotHandedOver`] when the money cannot be taken.
    pub async fn hand_over(&self, what: HandOver<'_>) -> Result<StorePickup, OmoError> {
        if what.key.is_empty() || what.key.len() > MAX_KEY_CHARS {
            return Err(OmoError::Invalid(format!("Idempotency-Key must have 1 to {MAX_KEY_CHARS} characters")));
        }
        let code = Code::read(what.code);
        let code =
            code.ok_or_else(|| OmoError::Invalid("code must be the 8 characters that the customer has".to_owned()))?;
        let digest = code.digest(what.location);
        let wait = |retry_after_ms| OmoError::TooManyGuesses { retry_after_ms };
        self.guesses.take(what.location, self.clock.now()).map_err(wait)?;
        let mut tx = self.db.read("pickup by its code").await?;
        let known = pickups::find_by_key(&mut tx, what.by, what.key).await?;
        let found = pickups::find_by_code(&mut tx, what.location, &digest).await?;
        drop(tx);
        let pickup = found.ok_or(OmoError::WrongCode)?;
        self.guesses.give_back(what.location);
        if known.is_some_and(|known| known.order_id != pickup.order_id) {
            return Err(OmoError::KeyReused);
        }
        if pickup.state != PickupState::Ready {
            return self.outcome(&what, &pickup.order_id).await;
        }
        self.take_and_leave(&what, &pickup.order_id).await?;
        self.outcome(&what, &pickup.order_id).await
    }

    async fn take_and_leave(&self, what: &HandOver<'_>, order: &OrderId) -> Result<(), OmoError> {
        let mut tx = self.db.write("hand over a pickup").await?;
        let claimed = match pickups::claim(&mut tx, order, (what.by, what.key), self.clock.now()).await {
            Err(error) if error.is_unique_violation() => return Err(OmoError::KeyReused),
            claimed => claimed?,
        };
        tx.commit().await?;
        if !claimed {
            return self.wait_for_another(order).await;
        }
        match self.checkout.fulfil(order).await {
            Ok(_) => Ok(()),
            Err(error @ CommerceError::Refused(_)) => {
                let mut tx = self.db.write("a pickup is not handed over").await?;
                pickups::unclaim(&mut tx, order, what.by, what.key).await?;
                let now = pickups::find(&mut tx, order).await?;
                tx.commit().await?;
                // Called off meanwhile.
                if now.is_some_and(|now| now.state != PickupState::Ready) {
                    return Ok(());
                }
                Err(OmoError::NotHandedOver(error))
            }
            // Nobody knows: the claim stays, and the same key asks again.
            Err(error) => Err(OmoError::NotHandedOver(error)),
        }
    }

    /// Somebody else is at it: waits for what comes of that, for a while.
    async fn wait_for_another(&self, order: &OrderId) -> Result<(), OmoError> {
        for _ in 0..LOOKS {
            // Real time on purpose: whoever is at it does not live by a test's clock.
            tokio::time::sleep(LOOK_AGAIN).await;
            let mut tx = self.db.read("pickup that another hands over").await?;
            let now = pickups::find(&mut tx, order).await?;
            if !now.is_some_and(|now| now.state == PickupState::Ready && now.handed_by.is_some()) {
                return Ok(());
            }
        }
        Err(OmoError::Conflict("somebody else is handing this order over at this moment: try again"))
    }

    /// What is to be said about a code that is used up.
    async fn outcome(&self, what: &HandOver<'_>, order: &OrderId) -> Result<StorePickup, OmoError> {
        let mut tx = self.db.read("pickup handed over").await?;
        let pickup = here(&mut tx, what.location, order).await?;
        match (pickup.state, pickup.handed_over_at_ms) {
            (PickupState::HandedOver, Some(at)) => {
                if pickup.handed_by.as_ref() == Some(what.by) && pickup.handed_key.as_deref() == Some(what.key) {
                    return pickups::seen(&mut tx, what.location, order).await?.ok_or(OmoError::NotFound("pickup"));
                }
                Err(OmoError::HandedOver { at })
            }
            (PickupState::Returned, _) => Err(OmoError::Conflict("this order was called off: hand nothing over")),
            _ => Err(OmoError::Conflict("this order was not handed over: try again")),
        }
    }

    async fn seen(&self, location: &LocationId, order: &OrderId) -> Result<StorePickup, OmoError> {
        let mut tx = self.db.read("pickup of a store").await?;
        pickups::seen(&mut tx, location, order).await?.ok_or(OmoError::NotFound("pickup"))
    }

    async fn commit_and_tell(&self, mut tx: Tx, news: Vec<PickupNews>) -> Result<(), OmoError> {
        let facts = news.into_iter().map(|(customer, pickup)| Fact::Pickup { customer, pickup }).collect();
        let written = bus::append_many(&mut tx, facts, self.clock.now()).await?;
        tx.commit().await?;
        self.relay.tell(written);
        Ok(())
    }

    /// Reminds, and calls off. Any node may, each thing is done once: a reminder is a row's change, a return has a name.
    async fn look(&self) -> Result<(), OmoError> {
        let now = self.clock.now();
        let mut tx = self.db.read("pickups that nobody came for").await?;
        let remind = pickups::is_reminder_due(&mut tx, now).await?;
        let overdue = pickups::overdue(&mut tx, now, PAGE).await?;
        drop(tx);
        if remind {
            let mut tx = self.db.write("remind of pickups").await?;
            let reminded = pickups::remind_due(&mut tx, now, PAGE).await?;
            self.commit_and_tell(tx, reminded).await?;
        }
        for order in overdue {
            if let Err(error) = self.refunds.nobody_came(&order).await {
                tracing::warn!(order.id = %order, error = %error, "a pickup that nobody came for is not called off yet");
            }
        }
        Ok(())
    }
}

fn news(pickup: &Pickup) -> PickupNews {
    (pickup.customer_id.clone(), pickup.to_wire())
}

fn farther(state: PickupState) -> OmoError {
    OmoError::Conflict(match state {
        PickupState::Waiting | PickupState::Preparing => "this pickup is being changed at this moment: try again",
        PickupState::Ready => "this order is ready already",
        PickupState::HandedOver => "this order was handed over already",
        PickupState::Returned => "this order was called off",
    })
}

/// A pickup of this store.
async fn here(tx: &mut Tx, location: &LocationId, order: &OrderId) -> Result<Pickup, OmoError> {
    let found = pickups::find(tx, order).await?;
    found.filter(|pickup| pickup.location_id == *location).ok_or(OmoError::NotFound("pickup"))
}

/// A token whose code no other pickup of the store has or had.
async fn free_code(tx: &mut Tx, location: &LocationId, order: &OrderId) -> Result<(String, String), OmoError> {
    for _ in 0..TRIES {
        let token = fresh_token();
        let digest = Code::of(&token, order).digest(location);
        if pickups::find_by_code(tx, location, &digest).await?.is_none() {
            return Ok((token, digest));
        }
    }
    Err(OmoError::Conflict("no code could be made: try again"))
}
