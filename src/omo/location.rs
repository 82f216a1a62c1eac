//! Table: locations: warehouses and stores.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Hours, OmoError};
use crate::{
    clock::Millis,
    commerce::{PlaceKind, Point},
    ids::LocationId,
    on,
    store::{Kind, Rows, StoreError, Tx},
};

/// Locations of one house; enough for a chain, and one page.
const MAX_LOCATIONS: i64 = 5_000;
/// Characters of a name or address.
const MAX_TEXT_CHARS: usize = 200;
/// Characters of a telephone number.
const MAX_PHONE_CHARS: usize = 30;
/// Characters of a link.
const MAX_URL_CHARS: usize = 500;

/// What a store does for its visitors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// Orders can be picked up.
    Pickup,
    /// Goods can be tried on.
    TryOn,
    /// Orders go out from its shelf.
    ShipFromStore,
}

/// Each once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
pub struct Services(pub BTreeSet<Service>);

impl TryFrom<String> for Services {
    type Error = serde_json::Error;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        serde_json::from_str(&text)
    }
}

impl Services {
    /// What a store does of which nothing else is said.
    fn of(kind: PlaceKind) -> Self {
        match kind {
            PlaceKind::Store => Self(BTreeSet::from([Service::Pickup, Service::ShipFromStore])),
            PlaceKind::Warehouse => Self::default(),
        }
    }

    /// As stored.
    fn text(&self) -> String {
        serde_json::to_string(self).expect("names are JSON")
    }
}

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
    /// Its telephone number; empty when it tells none.
    pub phone: String,
    /// Where it is on a map; empty when it tells none.
    pub map_url: String,
    /// What it does for its visitors; nothing in a warehouse.
    #[sqlx(try_from = "String")]
    pub services: Services,
    /// When it is open.
    #[sqlx(try_from = "String")]
    pub hours: Hours,
    /// From where `near` says; absent where either is not known.
    #[sqlx(skip)]
    pub distance_m: Option<i64>,
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
    /// Up to 30 digits, spaces and signs.
    #[serde(default)]
    pub phone: String,
    /// `https://…`, up to 500 characters.
    #[serde(default)]
    pub map_url: String,
    /// Of a store; pickup and sending out when absent.
    pub services: Option<Services>,
    /// Of a store; not told when absent.
    #[serde(default)]
    pub hours: Hours,
}

/// What changes of a location; what is absent stays.
#[derive(Debug, Clone, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LocationChange {
    /// 1 to 200 characters.
    pub name: Option<String>,
    /// Up to 200 characters.
    pub address: Option<String>,
    /// -90 to 90; with `longitude`.
    pub latitude: Option<f64>,
    /// -180 to 180.
    pub longitude: Option<f64>,
    /// Up to 30 digits, spaces and signs; empty: none.
    pub phone: Option<String>,
    /// `https://…`, up to 500 characters; empty: none.
    pub map_url: Option<String>,
    /// All that it does from now on; orders that are to be picked up already still are.
    pub services: Option<Services>,
    /// All of them. Nothing weekly: not told.
    pub hours: Option<Hours>,
}

fn invalid<T>(text: impl Into<String>) -> Result<T, OmoError> {
    Err(OmoError::Invalid(text.into()))
}

fn check_name(name: &str) -> Result<String, OmoError> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > MAX_TEXT_CHARS {
        return invalid(format!("name must have 1 to {MAX_TEXT_CHARS} characters"));
    }
    Ok(name.to_owned())
}

fn check_address(address: &str) -> Result<(), OmoError> {
    if address.chars().count() > MAX_TEXT_CHARS {
        return invalid(format!("address must have at most {MAX_TEXT_CHARS} characters"));
    }
    Ok(())
}

fn check_phone(phone: &str) -> Result<(), OmoError> {
    let fine = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | ' ' | '(' | ')');
    let told = phone.is_empty() || phone.contains(|c: char| c.is_ascii_digit());
    if phone.len() > MAX_PHONE_CHARS || !phone.chars().all(fine) || !told {
        return invalid(format!("phone must be digits with +, -, spaces and brackets, at most {MAX_PHONE_CHARS}"));
    }
    Ok(())
}

fn check_url(url: &str) -> Result<(), OmoError> {
    // People are sent there, so it is the web and nothing else.
    let host = url.strip_prefix("https://").map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    let told = url.is_empty() || host.is_some_and(|host| !host.is_empty() && !host.contains('@'));
    if url.chars().count() > MAX_URL_CHARS || !told || url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return invalid(format!("map_url must be an https:// address of at most {MAX_URL_CHARS} characters"));
    }
    Ok(())
}

fn check_services(kind: PlaceKind, services: &Services) -> Result<(), OmoError> {
    if kind == PlaceKind::Warehouse && !services.0.is_empty() {
        return invalid("services are a store's: a warehouse has no visitors");
    }
    Ok(())
}

fn check_point(latitude: Option<f64>, longitude: Option<f64>) -> Result<Option<Point>, OmoError> {
    match (latitude, longitude) {
        (Some(latitude), Some(longitude)) => {
            Point::parse(latitude, longitude).map(Some).map_err(|field| OmoError::Invalid(field.to_owned()))
        }
        (None, None) => Ok(None),
        _ => invalid("latitude and longitude go together"),
    }
}

impl Location {
    pub(super) fn parse(new: NewLocation) -> Result<Self, OmoError> {
        let name = check_name(&new.name)?;
        check_address(&new.address)?;
        check_phone(&new.phone)?;
        check_url(&new.map_url)?;
        let point = check_point(new.latitude, new.longitude)?;
        let services = new.services.unwrap_or_else(|| Services::of(new.kind));
        check_services(new.kind, &services)?;
        Ok(Self {
            id: LocationId::fresh(),
            kind: new.kind,
            name,
            address: new.address,
            latitude_e6: point.map(|point| point.latitude_e6),
            longitude_e6: point.map(|point| point.longitude_e6),
            phone: new.phone,
            map_url: new.map_url,
            services,
            hours: new.hours.check().map_err(OmoError::Invalid)?,
            distance_m: None,
        })
    }

    /// How far it is.
    pub(super) fn metres_from(&self, here: Point) -> Option<i64> {
        let point = Point { latitude_e6: self.latitude_e6?, longitude_e6: self.longitude_e6? };
        Some(here.metres_to(point))
    }

    /// Whether an order can be picked up here.
    #[must_use]
    pub fn has_pickup(&self) -> bool {
        self.kind == PlaceKind::Store && self.services.0.contains(&Service::Pickup)
    }
}

macro_rules! columns {
    () => {
        "id, kind, name, address, latitude_e6, longitude_e6, phone, map_url, services, hours"
    };
}

pub(super) async fn insert(tx: &mut Tx, location: &Location, now: Millis) -> Result<(), StoreError> {
    const INSERT: &str = concat!(
        "INSERT INTO locations (",
        columns!(),
        ", created_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
    );
    on!(tx, |conn| sqlx::query(INSERT)
        .bind(&location.id)
        .bind(location.kind)
        .bind(&location.name)
        .bind(&location.address)
        .bind(location.latitude_e6)
        .bind(location.longitude_e6)
        .bind(&location.phone)
        .bind(&location.map_url)
        .bind(location.services.text())
        .bind(location.hours.to_string())
        .bind(now)
        .execute(conn)
        .await
        .map(drop))?;
    Ok(())
}

/// Changes what is said, by one statement: who changes something else at the same time loses nothing.
pub(super) async fn change(tx: &mut Tx, id: &LocationId, change: LocationChange) -> Result<Option<Location>, OmoError> {
    const CHANGE: &str = concat!(
        "UPDATE locations SET name = COALESCE($2, name), address = COALESCE($3, address), phone = COALESCE($4, phone),
             map_url = COALESCE($5, map_url), services = COALESCE($6, services), hours = COALESCE($7, hours),
             latitude_e6 = COALESCE($8, latitude_e6), longitude_e6 = COALESCE($9, longitude_e6)
         WHERE id = $1
         RETURNING ",
        columns!()
    );
    let name = change.name.as_deref().map(check_name).transpose()?;
    change.address.as_deref().map_or(Ok(()), check_address)?;
    change.phone.as_deref().map_or(Ok(()), check_phone)?;
    change.map_url.as_deref().map_or(Ok(()), check_url)?;
    let point = check_point(change.latitude, change.longitude)?;
    let hours = change.hours.map(Hours::check).transpose().map_err(OmoError::Invalid)?;
    let Some(known) = find(tx, id).await? else { return Ok(None) };
    change.services.as_ref().map_or(Ok(()), |services| check_services(known.kind, services))?;
    Ok(on!(tx, |conn| sqlx::query_as::<_, Location>(CHANGE)
        .bind(id)
        .bind(name)
        .bind(change.address)
        .bind(change.phone)
        .bind(change.map_url)
        .bind(change.services.as_ref().map(Services::text))
        .bind(hours.map(|hours| hours.to_string()))
        .bind(point.map(|point| point.latitude_e6))
        .bind(point.map(|point| point.longitude_e6))
        .fetch_optional(conn)
        .await
        .map_err(StoreError::from)?))
}

pub(super) async fn list(tx: &mut Tx) -> Result<Vec<Location>, StoreError> {
    const LIST: &str = concat!("SELECT ", columns!(), " FROM locations ORDER BY id LIMIT $1");
    Ok(on!(tx, |conn| sqlx::query_as::<_, Location>(LIST).bind(MAX_LOCATIONS).fetch_all(conn).await?))
}

/// Those of these that there are, the oldest first.
pub(super) async fn these(tx: &mut Tx, ids: impl Iterator<Item = &LocationId>) -> Result<Vec<Location>, StoreError> {
    const LIST: &str =
        concat!("SELECT ", columns!(), " FROM rows CROSS JOIN locations WHERE id = rows.place ORDER BY id");
    let mut rows = Rows::new(&[("place", Kind::Text)]);
    for id in ids {
        rows.push([id.into()]);
    }
    rows.fetch(tx, LIST).await
}

pub(super) async fn find(tx: &mut Tx, id: &LocationId) -> Result<Option<Location>, StoreError> {
    const FIND: &str = concat!("SELECT ", columns!(), " FROM locations WHERE id = $1");
    Ok(on!(tx, |conn| sqlx::query_as::<_, Location>(FIND).bind(id).fetch_optional(conn).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_are_sent_to_is_the_web_and_a_telephone() {
        for url in ["", "https://maps.example.jp/?q=銀座", "https://maps.example.jp"] {
            assert!(check_url(url).is_ok(), "{url}");
        }
        for url in
            ["http://a.jp", "javascript:alert(1)", "https://", "https:///x", "https://a@b.jp/", "https://a.jp/ b"]
        {
            assert!(check_url(url).is_err(), "{url}");
        }
        assert!(check_phone("+81 (3) 1234-5678").is_ok() && check_phone("").is_ok());
        for phone in ["03-1234-5678;ext=1", "--", "三"] {
            assert!(check_phone(phone).is_err(), "{phone}");
        }
    }
}
