//! Table: what reports read of the kept sums, and what still waits to be added to them; reads all, writes none.

use std::collections::{BTreeMap, HashMap};

use super::{
    fold::{By, DAY_MS, Entry, JAPAN_MS, Minute, Place, Sums, fold},
    people::People,
    rollups::{Day, entries},
};
use crate::{
    on,
    store::{StoreError, Tx},
};

/// Sales that a report adds itself; when more wait, it is summed from the ledger.
const MAX_WAITING: i64 = 2_000;

/// How many sales wait, as far as `limit`.
pub(super) async fn waiting(tx: &mut Tx, limit: i64) -> Result<i64, StoreError> {
    const COUNT: &str = "SELECT COUNT(*) FROM (SELECT 1 FROM sales_to_fold LIMIT $1) q";
    let (count,): (i64,) = on!(tx, |conn| sqlx::query_as(COUNT).bind(limit).fetch_one(conn).await?);
    Ok(count)
}

/// The lines of one brand (`''`: of all) that wait, or `None` when so much waits that the ledger is read instead.
pub(super) async fn waiting_lines(tx: &mut Tx, brand: &str) -> Result<Option<Vec<Entry>>, StoreError> {
    const LINES: &str = entries!(
        "FROM sales_to_fold q CROSS JOIN credits c
         WHERE c.order_id = q.order_id AND c.cause_id = q.cause_id AND ($1 = '' OR c.brand_id = $1)"
    );
    match waiting(tx, MAX_WAITING + 1).await? {
        0 => return Ok(Some(Vec::new())),
        count if count > MAX_WAITING => return Ok(None),
        _ => {}
    }
    Ok(Some(on!(tx, |conn| sqlx::query_as(LINES).bind(brand).fetch_all(conn).await?)))
}

/// Rows of a brand (`''`: of all) from one day to before another: by this, the totals' and the first orders'.
pub(super) async fn days(
    tx: &mut Tx,
    brand: &str,
    by: By,
    (from, to): (i64, i64),
) -> Result<BTreeMap<Place, Sums>, StoreError> {
    // Whose people are counted is the rows asked for, which all lines of the pool are in.
    const DAYS: &str = "
        SELECT brand_id, by_what, day, key, orders, units, gross_minor, cancelled_minor, commission_minor,
               CASE WHEN by_what IN ($2, 'first') THEN people ELSE '' END AS people
        FROM sales_days
        WHERE brand_id = $1 AND by_what IN ($2, $3, 'first') AND day >= $4 AND day < $5";
    let stored: Vec<Day> = on!(tx, |conn| sqlx::query_as(DAYS)
        .bind(brand)
        .bind(by)
        .bind(by.totals())
        .bind(from)
        .bind(to)
        .fetch_all(conn)
        .await?);
    Ok(stored.into_iter().map(Day::placed).collect())
}

#[derive(Debug, sqlx::FromRow)]
pub(super) struct StoredMinute {
    pub(super) live_id: String,
    pub(super) brand_id: String,
    pub(super) minute: i64,
    pub(super) product_id: String,
    pub(super) orders: i64,
    pub(super) units: i64,
    pub(super) gross_minor: i64,
    pub(super) cancelled_minor: i64,
    pub(super) commission_minor: i64,
}

impl StoredMinute {
    pub(super) fn placed(self) -> (Minute, Sums) {
        let minute = Minute { live: self.live_id, brand: self.brand_id, minute: self.minute, product: self.product_id };
        let sums = Sums {
            orders: self.orders,
            units: self.units,
            gross_minor: self.gross_minor,
            cancelled_minor: self.cancelled_minor,
            commission_minor: self.commission_minor,
            people: People::default(),
        };
        (minute, sums)
    }
}

/// A live's minutes for one brand, or `None` when so much waits that the ledger is read instead.
pub(super) async fn minutes(tx: &mut Tx, brand: &str, live: &str) -> Result<Option<BTreeMap<i64, Sums>>, StoreError> {
    const STORED: &str = "
        SELECT live_id, brand_id, minute, product_id, orders, units, gross_minor, cancelled_minor, commission_minor
        FROM sales_minutes
        WHERE live_id = $1 AND brand_id = $2 AND product_id = ''";
    let Some(waiting) = waiting_lines(tx, brand).await? else { return Ok(None) };
    let stored: Vec<StoredMinute> =
        on!(tx, |conn| sqlx::query_as(STORED).bind(live).bind(brand).fetch_all(conn).await?);
    let mut minutes: BTreeMap<i64, Sums> = BTreeMap::new();
    let waiting = fold(&waiting, &HashMap::new()).minutes.into_iter();
    let waiting = waiting.filter(|(place, _)| place.live == live && place.brand == brand && place.product.is_empty());
    for (place, sums) in stored.into_iter().map(StoredMinute::placed).chain(waiting) {
        minutes.entry(place.minute).or_default().add(&sums);
    }
    Ok(Some(minutes))
}

/// From the first whole day to before the last, when both bounds are midnights in Japan or open.
pub(super) fn whole_days(from: Option<i64>, to: Option<i64>) -> Option<(i64, i64)> {
    let day = |at: i64| {
        let since = at.checked_add(JAPAN_MS)?;
        (since.rem_euclid(DAY_MS) == 0).then(|| since.div_euclid(DAY_MS))
    };
    let from = from.map_or(Some(i64::MIN), day)?;
    Some((from, to.map_or(Some(i64::MAX), day)?))
}
