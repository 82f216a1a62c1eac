//! Table: locations: warehouses and stores.

use serde::{Deserialize, Serialize};

use super::OmoError;
use crate::{
    clock::Millis,
    commerce::{PlaceKind, Point},
    ids::LocationId,
    on,
    store::{StoreError, Tx},
};

/// Locations of one house; enough for a chain, and one page.
const MAX_LOCATIONS: i64 = 5_000;
/// Characters of a name or address.
const MAX_TEXT_CHARS: usize = 200;

/// A warehouse or store.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Location {
    /// Its id.
    pub id: LocationId,
    /// Warehouse or store.
    pub kind: PlaceKind,
    /// What people call it.
    pub name: String,
    /// Where it is.
    pub address: String,
    /// Degrees × 10⁶, north is positive.
    pub latitude_e6: Option<i64>,
    /// Degrees × 10⁶, east is positive.
    pub longitude_e6: Option<i64>,
}

/// What a new location needs.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLocation {
    /// Warehouse or store.
    pub kind: PlaceKind,
    /// 1 to 200 characters.
    pub name: String,
    /// Up to 200 characters.
    #[serde(default)]
    pub address: String,
    /// -90 to 90; with `longitude`. Orders go out from the nearest location among equals.
    pub latitude: Option<f64>,
    /// -180 to 180.
    pub longitude: Option<f64>,
}

impl Location {
    pub(super) fn parse(new: NewLocation) -> Result<Self, OmoError> {
        let name = new.name.trim().to_owned();
        if name.is_empty() || name.chars().count() > MAX_TEXT_CHARS || new.address.chars().count() > MAX_TEXT_CHARS {
            return Err(OmoError::Invalid(format!(
                "name must have 1 to {MAX_TEXT_CHARS} characters, address at most as many"
            )));
        }
        let point = match (new.latitude, new.longitude) {
            (Some(latitude), Some(longitude)) => {
                Some(Point::parse(latitude, longitude).map_err(|field| OmoError::Invalid(field.to_owned()))?)
            }
            (None, None) => None,
            _ => return Err(OmoError::Invalid("latitude and longitude go together".to_owned())),
        };
        Ok(Self {
            id: LocationId::fresh(),
            kind: new.kind,
            name,
            address: new.address,
            latitude_e6: point.map(|point| point.latitude_e6),
            longitude_e6: point.map(|point| point.longitude_e6),
        })
    }
}

pub(super) async fn insert(tx: &mut Tx, location: &Location, now: Millis) -> Result<(), StoreError> {
    const INSERT: &str = "
        INSERT INTO locations (id, kind, name, address, created_at_ms, latitude_e6, longitude_e6)
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
    on!(tx, |conn| sqlx::query(INSERT)
        .bind(&location.id)
        .bind(location.kind)
        .bind(&location.name)
        .bind(&location.address)
        .bind(now)
        .bind(location.latitude_e6)
        .bind(location.longitude_e6)
        .execute(conn)
        .await
        .map(drop))?;
    Ok(())
}

pub(super) async fn list(tx: &mut Tx) -> Result<Vec<Location>, StoreError> {
    const LIST: &str = "
        SELECT id, kind, name, address, latitude_e6, longitude_e6 FROM locations ORDER BY id LIMIT $1";
    Ok(on!(tx, |conn| sqlx::query_as::<_, Location>(LIST).bind(MAX_LOCATIONS).fetch_all(conn).await?))
}
