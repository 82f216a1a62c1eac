//! Shell: reads a liver's order, and brings it to every open room when it has changed.
//!
//! A fact says only that there is a newer order; the database says which. Whoever changed it on this node has it brought
//! before the answer; rooms of other nodes hear the fact.
//! Invariant: an order that is newer than a room's is read until it could be read.

use std::{net::IpAddr, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{
    Visitor,
    followers::Follow,
    hub::Hub,
    moderation::{Moderation, Network},
    orders, sanctions,
    stage::Stage,
};
use crate::{
    bus::{self, Fact},
    clock::Millis,
    ids::{BanId, CustomerId, LiverId},
    store::StoreError,
};

/// Pause after an order could not be read.
const RETRY_EVERY: Duration = Duration::from_millis(500);

impl Hub {
    /// The open rooms of a liver.
    fn rooms_of(&self, liver: &LiverId) -> Vec<Arc<Stage>> {
        let rooms: Vec<_> = self.0.rooms.lock().values().cloned().collect();
        rooms.iter().filter_map(|slot| slot.stage()).filter(|stage| stage.liver == *liver).collect()
    }

    /// A liver has a newer order, told by a fact.
    pub(super) fn heard_of_order(&self, liver: &LiverId, version: i64) {
        if self.rooms_of(liver).iter().any(|stage| stage.order().version() < version) {
            self.ask_order(liver);
        }
    }

    /// The order of a liver is to be read again.
    pub(super) fn ask_order(&self, liver: &LiverId) {
        self.0.orders.lock().insert(liver.clone());
        self.0.orders_bell.notify_one();
    }

    /// Reads orders that have changed, until the end.
    pub(super) async fn follow_orders(self, stopping: CancellationToken) {
        loop {
            tokio::select! {
                () = self.0.orders_bell.notified() => {}
                () = stopping.cancelled() => return,
            }
            let livers = std::mem::take(&mut *self.0.orders.lock());
            for liver in livers {
                if let Err(error) = self.bring_order(&liver).await {
                    tracing::warn!(%error, "a liver's order cannot be read; trying again");
                    self.ask_order(&liver);
                    tokio::select! {
                        () = tokio::time::sleep(RETRY_EVERY) => {}
                        () = stopping.cancelled() => return,
                    }
                }
            }
        }
    }

    /// Reads a liver's order and gives it to the open rooms; an older one changes nothing there.
    pub(super) async fn bring_order(&self, liver: &LiverId) -> Result<(), StoreError> {
        let rooms = self.rooms_of(liver);
        if rooms.is_empty() {
            return Ok(());
        }
        let now = self.0.clock.now();
        let mut tx = self.0.db.read("read order").await?;
        let order = Arc::new(Moderation::new(orders::load(&mut tx, liver, now).await?));
        drop(tx);
        for stage in rooms {
            stage.put_order(&order);
        }
        let places = order.places_to_learn(|customer| self.0.whereabouts.of(customer));
        if !places.is_empty() {
            self.learn(liver, places, now).await?;
        }
        Ok(())
    }

    /// A ban by address was made elsewhere, and its person was here: the ban learns the address.
    async fn learn(&self, liver: &LiverId, places: Vec<(BanId, Network)>, now: Millis) -> Result<(), StoreError> {
        let mut tx = self.0.db.write("learn addresses").await?;
        let version = orders::raise(&mut tx, liver).await?;
        for (ban, network) in places {
            sanctions::add_network(&mut tx, &ban, network).await?;
        }
        bus::append(&mut tx, Fact::Moderation { liver: liver.clone(), version }, now).await?;
        tx.commit().await?;
        // The relay looks by itself within a second; this node need not wait for it.
        self.ask_order(liver);
        Ok(())
    }

    /// Somebody comes from there.
    pub(super) fn note_place(&self, visitor: Option<&Visitor>, address: IpAddr) -> Option<Network> {
        let network = Network::of(address)?;
        if let Some(visitor) = visitor {
            self.0.whereabouts.note(&visitor.customer_id, network);
        }
        Some(network)
    }

    /// Where a person was seen to come from.
    pub(super) fn places_of(&self, customer: &CustomerId) -> Vec<Network> {
        self.0.whereabouts.of(customer)
    }

    /// A person follows a liver, or does no more: their connections in the liver's rooms are told.
    pub(super) fn heard_of_follow(&self, liver: &LiverId, follow: &Follow) {
        let rooms = self.rooms_of(liver);
        if rooms.is_empty() {
            return;
        }
        for stage in &rooms {
            stage.put_follow(follow);
        }
        let lanes = self.0.people.lock().get(&follow.customer).cloned().unwrap_or_default();
        for (id, lane) in lanes {
            if let Some(stage) = rooms.iter().find(|stage| stage.has_seat(id)) {
                stage.settle(&lane);
            }
        }
    }
}
