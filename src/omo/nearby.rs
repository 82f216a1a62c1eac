//! Value: where somebody is, and which store is near.

use serde::Serialize;

use super::{Location, OmoError};
use crate::{commerce::Point, ids::LocationId};

/// Reads `35.671,139.765`.
///
/// # Errors
/// [`OmoError::Invalid`].
pub fn parse_near(text: &str) -> Result<Point, OmoError> {
    let numbers = text
        .split_once(',')
        .and_then(|(latitude, longitude)| Some((latitude.trim().parse().ok()?, longitude.trim().parse().ok()?)));
    let (latitude, longitude) =
        numbers.ok_or_else(|| OmoError::Invalid("near must be latitude,longitude in degrees".to_owned()))?;
    Point::parse(latitude, longitude).map_err(|fault| OmoError::Invalid(format!("near: {fault}")))
}

/// Says how far each is, and puts the nearest first; those of which that is not known keep their order behind.
pub(super) fn by_distance(mut locations: Vec<Location>, here: Option<Point>) -> Vec<Location> {
    let Some(here) = here else { return locations };
    for location in &mut locations {
        location.distance_m = location.metres_from(here);
    }
    locations.sort_by_key(|location| (location.distance_m.is_none(), location.distance_m));
    locations
}

/// What a store has of a SKU.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct StoreStock {
    /// Which store.
    pub location_id: LocationId,
    /// What people call it.
    pub name: String,
    /// Where it is.
    pub address: String,
    /// What can be bought there now: what is promised and what is kept for the counter is not counted.
    pub available: i64,
    /// Whether an order of one can be picked up there now.
    pub pickup: bool,
    /// From where `near` says; absent where either is not known.
    pub distance_m: Option<i64>,
}
