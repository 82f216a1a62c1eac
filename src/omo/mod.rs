//! Door: where online and offline meet: locations and pickups, and later coupons, visits.

mod code;
mod collecting;
mod guesses;
mod hours;
mod location;
mod nearby;
mod pickups;

pub use collecting::{HandOver, Pickups};
pub use hours::{Day, Hours, Opening, TimeOfDay, Weekday};
pub use location::{Location, LocationChange, NewLocation, Service, Services};
pub use nearby::{StoreStock, parse_near};
pub use pickups::{
    Became, NewPickup, OrderPickup, PickupLine, PickupNews, PickupState, StorePickup, follow_orders, open_pickups,
    pickup_of,
};

use std::collections::HashMap;

use crate::{
    clock::{Clock, Millis},
    commerce::{self, CommerceError, PlaceKind, Point},
    ids::{LocationId, SkuId},
    store::{Db, StoreError, Tx},
};

/// What can go wrong here.
#[derive(Debug, thiserror::Error)]
pub enum OmoError {
    /// A field is wrong.
    #[error("{0}")]
    Invalid(String),
    /// No such thing.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// Its state does not allow it.
    #[error("{0}")]
    Conflict(&'static str),
    /// No pickup of this store has this code.
    #[error("no order here has this code; check the store and type it again")]
    WrongCode,
    /// Too many codes of this store were wrong.
    #[error("too many codes were wrong")]
    TooManyGuesses {
        /// How long to wait.
        retry_after_ms: i64,
    },
    /// It was handed over before.
    #[error("this order was handed over already")]
    HandedOver {
        /// When.
        at: Millis,
    },
    /// Another pickup is handed over under this key.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The order cannot be fulfilled.
    #[error("not handed over: {0}")]
    NotHandedOver(CommerceError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The room. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Omo {
    db: Db,
    clock: Clock,
}

/// Whether orders can be picked up at this place.
///
/// # Errors
/// The database's.
pub async fn offers_pickup(tx: &mut Tx, location: &LocationId) -> Result<bool, StoreError> {
    Ok(location::find(tx, location).await?.is_some_and(|location| location.has_pickup()))
}

impl Omo {
    /// Over this database.
    #[must_use]
    pub fn new(db: Db, clock: Clock) -> Self {
        Self { db, clock }
    }

    /// Makes a warehouse or store.
    ///
    /// # Errors
    /// [`OmoError::Invalid`] names the field.
    pub async fn add_location(&self, new: NewLocation) -> Result<Location, OmoError> {
        let location = Location::parse(new)?;
        let mut tx = self.db.write("add location").await?;
        location::insert(&mut tx, &location, self.clock.now()).await?;
        tx.commit().await?;
        Ok(location)
    }

    /// Changes a location.
    ///
    /// # Errors
    /// [`OmoError::Invalid`] names the field; not found.
    pub async fn change_location(&self, id: &LocationId, change: LocationChange) -> Result<Location, OmoError> {
        let mut tx = self.db.write("change location").await?;
        let changed = location::change(&mut tx, id, change).await?.ok_or(OmoError::NotFound("location"))?;
        tx.commit().await?;
        Ok(changed)
    }

    /// Every location, the nearest first, or the oldest where nobody says where they are.
    ///
    /// # Errors
    /// The database's.
    pub async fn locations(&self, near: Option<Point>) -> Result<Vec<Location>, OmoError> {
        let mut tx = self.db.read("list locations").await?;
        Ok(nearby::by_distance(location::list(&mut tx).await?, near))
    }

    /// One of them.
    ///
    /// # Errors
    /// Not found.
    pub async fn location(&self, id: &LocationId) -> Result<Location, OmoError> {
        let mut tx = self.db.read("load location").await?;
        location::find(&mut tx, id).await?.ok_or(OmoError::NotFound("location"))
    }

    /// The stores that have, or had, a SKU; the nearest first. Read from the shelves themselves, so it is of this moment.
    ///
    /// # Errors
    /// Not found.
    pub async fn stores_of(&self, sku: &SkuId, near: Option<Point>) -> Result<Vec<StoreStock>, OmoError> {
        let mut tx = self.db.read("stores of a sku").await?;
        if commerce::stock_of(&mut tx, std::slice::from_ref(sku)).await?.is_empty() {
            return Err(OmoError::NotFound("SKU"));
        }
        let shelves = commerce::shelves(&mut tx, sku).await?;
        let shelves: HashMap<LocationId, i64> =
            shelves.into_iter().map(|shelf| (shelf.location_id.clone(), shelf.available())).collect();
        let stores = location::these(&mut tx, shelves.keys()).await?;
        let stores = stores.into_iter().filter(|store| store.kind == PlaceKind::Store);
        let with = |store: Location| {
            let available = *shelves.get(&store.id)?;
            Some(StoreStock {
                available,
                pickup: available > 0 && store.has_pickup(),
                location_id: store.id,
                name: store.name,
                address: store.address,
                distance_m: store.distance_m,
            })
        };
        Ok(nearby::by_distance(stores.collect(), near).into_iter().filter_map(with).collect())
    }
}
