//! Door: where online and offline meet: locations, and later coupons, pickups, visits.

mod location;

pub use location::{Location, NewLocation};

use crate::{
    clock::Clock,
    store::{Db, StoreError},
};

/// What can go wrong here.
#[derive(Debug, thiserror::Error)]
pub enum OmoError {
    /// A field is wrong.
    #[error("{0}")]
    Invalid(String),
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

    /// Every location, oldest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn locations(&self) -> Result<Vec<Location>, OmoError> {
        let mut tx = self.db.read("list locations").await?;
        Ok(location::list(&mut tx).await?)
    }
}
