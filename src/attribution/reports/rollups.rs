//! Table: the sums that reports read, by day and by minute, and what is not yet in them.
//!
//! A sale or reversal leaves a row in `sales_to_fold`, in its own transaction. A task takes such rows and adds their
//! credits to the sums in one transaction, so each is added once, on any number of nodes and whenever one dies. A report
//! reads the sums and whatever still waits in one picture of the database: it is exact at every moment.
//! Invariant: nothing but credits goes into a sum; [`requeue`] throws all sums away and has them made again. They are
//! read in `kept.rs` and compared with the ledger in `rollups_check.rs`.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use super::{
    fold::{By, Entry, FIRST, Folded, Minute, Place, Sums, fold},
    kept,
    people::People,
};
use crate::{
    on,
    store::{Db, Kind, Rows, StoreError, Tx},
    tasks::Tasks,
};

/// Sales and reversals that are folded in one transaction: on SQLite, buyers wait meanwhile.
const BATCH: i64 = 400;
/// The same when all sums are made again: most sales of so many are of the same rows.
const ANEW: i64 = 5_000;
/// How often the task looks. Reports do not wait for it: they read what waits.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// After a batch the task leaves the database to others for so many times as long as it took.
const REST: u32 = 2;
/// Notes that credits of these orders and causes were written, in the same transaction.
pub(in crate::attribution) async fn enqueue(tx: &mut Tx, written: &BTreeSet<(&str, &str)>) -> Result<(), StoreError> {
    let mut rows = Rows::new(&[("order_id", Kind::Text), ("cause_id", Kind::Text)]);
    for (order, cause) in written {
        rows.push([(*order).into(), (*cause).into()]);
    }
    rows.execute(tx, "INSERT INTO sales_to_fold (order_id, cause_id) SELECT order_id, cause_id FROM rows").await?;
    Ok(())
}

/// Starts the task that keeps the sums.
pub(super) fn start(db: Db, tasks: &Tasks) {
    let stopping = tasks.stopping();
    tasks.spawn("sales sums", async move {
        loop {
            let began = tokio::time::Instant::now();
            let pause = match fold_some(&db, BATCH).await {
                Ok(taken) if taken == BATCH => began.elapsed() * REST,
                Ok(_) => LOOK_EVERY,
                Err(error) => {
                    tracing::warn!(%error, "sales are not added to their sums; trying again");
                    LOOK_EVERY
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stopping.cancelled() => return,
            }
        }
    });
}

/// Adds what waits, to the end. Gives how many sales and reversals that were.
///
/// # Errors
/// The database's.
pub async fn fold_all(db: &Db) -> Result<i64, StoreError> {
    let mut all = 0;
    loop {
        match fold_some(db, ANEW).await? {
            0 => return Ok(all),
            some => all += some,
        }
    }
}

/// Throws all sums away and has them made from the ledger. Reports stay exact meanwhile, if slower.
///
/// # Errors
/// The database's.
pub async fn requeue(db: &Db) -> Result<(), StoreError> {
    let mut tx = db.write("sums anew").await?;
    lock(&mut tx).await?;
    for statement in [
        "DELETE FROM sales_days",
        "DELETE FROM sales_minutes",
        "DELETE FROM first_orders",
        "DELETE FROM sales_to_fold",
        "INSERT INTO sales_to_fold (order_id, cause_id) SELECT DISTINCT order_id, cause_id FROM credits WHERE true
         ON CONFLICT DO NOTHING",
    ] {
        on!(&mut tx, |conn| sqlx::query(statement).execute(conn).await.map(drop)?);
    }
    tx.commit().await
}

/// Whoever adds to the sums holds this row until the commit.
async fn lock(tx: &mut Tx) -> Result<u32, StoreError> {
    const TURN: &str = "UPDATE folding SET turns = turns + 1 WHERE id = 1 RETURNING next_buyer";
    let (next,): (i64,) = on!(tx, |conn| sqlx::query_as(TURN).fetch_one(conn).await?);
    Ok(u32::try_from(next).unwrap_or(u32::MAX))
}

async fn fold_some(db: &Db, batch: i64) -> Result<i64, StoreError> {
    const CLAIM: &str = "
        DELETE FROM sales_to_fold
        WHERE (order_id, cause_id) IN (SELECT order_id, cause_id FROM sales_to_fold ORDER BY order_id, cause_id LIMIT $1)
        RETURNING order_id, cause_id";
    let mut looking = db.read("are sales to be summed").await?;
    if kept::waiting(&mut looking, 1).await? == 0 {
        return Ok(0);
    }
    drop(looking);
    let mut tx = db.write("sum sales").await?;
    let next_buyer = lock(&mut tx).await?;
    let claimed: Vec<(String, String)> = on!(&mut tx, |conn| sqlx::query_as(CLAIM).bind(batch).fetch_all(conn).await?);
    let entries = of_causes(&mut tx, &claimed).await?;
    let numbers = number(&mut tx, &entries, next_buyer).await?;
    let Folded { mut days, minutes } = fold(&entries, &numbers);
    firsts(&mut tx, &entries, &numbers, &mut days).await?;
    add_days(&mut tx, days).await?;
    add_minutes(&mut tx, &minutes).await?;
    tx.commit().await?;
    Ok(i64::try_from(claimed.len()).unwrap_or(i64::MAX))
}

/// A line of the ledger as it is folded. `$from` gives the table `c`.
macro_rules! entries {
    ($from:literal) => {
        concat!(
            "SELECT c.order_id, c.brand_id, c.kind, c.pool, c.party_id, COALESCE(c.live_id, '') AS live_id, c.product_id,
                    c.sku_id, c.channel, COALESCE(c.location_id, '') AS location_id, COALESCE(c.campaign, '') AS campaign,
                    c.customer_id, c.qty, c.base_minor, c.commission_minor, c.at_ms ",
            $from
        )
    };
}

pub(super) use entries;

async fn of_causes(tx: &mut Tx, causes: &[(String, String)]) -> Result<Vec<Entry>, StoreError> {
    const LINES: &str =
        entries!("FROM rows CROSS JOIN credits c WHERE c.order_id = rows.order_id AND c.cause_id = rows.cause_id");
    let mut rows = Rows::new(&[("order_id", Kind::Text), ("cause_id", Kind::Text)]);
    for (order, cause) in causes {
        rows.push([order.as_str().into(), cause.as_str().into()]);
    }
    rows.fetch(tx, LINES).await
}

/// The numbers of who bought; who has none gets the next.
async fn number(tx: &mut Tx, entries: &[Entry], mut next: u32) -> Result<HashMap<String, u32>, StoreError> {
    let buyers: BTreeSet<&str> =
        entries.iter().filter(|entry| entry.is_sale()).map(|entry| entry.customer_id.as_str()).collect();
    let mut numbers = numbers_of(tx, &buyers).await?;
    let mut fresh = Rows::new(&[("customer_id", Kind::Text), ("n", Kind::Number)]);
    for buyer in buyers {
        if !numbers.contains_key(buyer) {
            numbers.insert(buyer.to_owned(), next);
            fresh.push([buyer.into(), i64::from(next).into()]);
            next += 1;
        }
    }
    if !fresh.is_empty() {
        fresh.append(tx, "buyer_numbers").await?;
        let next = i64::from(next);
        on!(tx, |conn| sqlx::query("UPDATE folding SET next_buyer = $1 WHERE id = 1")
            .bind(next)
            .execute(conn)
            .await
            .map(drop)?);
    }
    Ok(numbers)
}

pub(super) async fn numbers_of(tx: &mut Tx, buyers: &BTreeSet<&str>) -> Result<HashMap<String, u32>, StoreError> {
    const KNOWN: &str = "
        SELECT b.customer_id, b.n FROM rows CROSS JOIN buyer_numbers b WHERE b.customer_id = rows.customer_id";
    let mut rows = Rows::new(&[("customer_id", Kind::Text)]);
    for buyer in buyers {
        rows.push([(*buyer).into()]);
    }
    let known: Vec<(String, i64)> = rows.fetch(tx, KNOWN).await?;
    Ok(known.into_iter().map(|(id, n)| (id, u32::try_from(n).unwrap_or(u32::MAX))).collect())
}

/// The first day on which somebody bought of a brand, and of anybody, in these lines.
pub(super) fn first_days(entries: &[Entry]) -> BTreeMap<(&str, &str), i64> {
    let mut firsts: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.is_sale()) {
        for brand in [entry.brand_id.as_str(), ""] {
            let day = firsts.entry((brand, &entry.customer_id)).or_insert(i64::MAX);
            *day = entry.day().min(*day);
        }
    }
    firsts
}

pub(super) async fn known_firsts(
    tx: &mut Tx,
    firsts: &BTreeMap<(&str, &str), i64>,
) -> Result<HashMap<(String, String), i64>, StoreError> {
    const KNOWN: &str = "
        SELECT f.brand_id, f.customer_id, f.day
        FROM rows CROSS JOIN first_orders f
        WHERE f.brand_id = rows.brand_id AND f.customer_id = rows.customer_id";
    let mut rows = Rows::new(&[("brand_id", Kind::Text), ("customer_id", Kind::Text)]);
    for (brand, customer) in firsts.keys() {
        rows.push([(*brand).into(), (*customer).into()]);
    }
    let known: Vec<(String, String, i64)> = rows.fetch(tx, KNOWN).await?;
    Ok(known.into_iter().map(|(brand, customer, day)| ((brand, customer), day)).collect())
}

/// Notes whose first orders these are. Nodes may fold out of order: then a later first is taken back.
async fn firsts(
    tx: &mut Tx,
    entries: &[Entry],
    numbers: &HashMap<String, u32>,
    days: &mut BTreeMap<Place, Sums>,
) -> Result<(), StoreError> {
    const KEEP: &str = "
        INSERT INTO first_orders (brand_id, customer_id, day)
        SELECT brand_id, customer_id, day FROM rows WHERE true
        ON CONFLICT (brand_id, customer_id) DO UPDATE SET day = excluded.day";
    let found = first_days(entries);
    let known = known_firsts(tx, &found).await?;
    let mut kept = Rows::new(&[("brand_id", Kind::Text), ("customer_id", Kind::Text), ("day", Kind::Number)]);
    let mut taken_back: BTreeMap<Place, Vec<u32>> = BTreeMap::new();
    let mut put: BTreeMap<Place, Vec<u32>> = BTreeMap::new();
    for ((brand, customer), day) in found {
        let Some(number) = numbers.get(customer).copied() else { continue };
        let place = |day| Place { brand: brand.to_owned(), by: FIRST, day, key: String::new() };
        match known.get(&(brand.to_owned(), customer.to_owned())).copied() {
            Some(before) if before <= day => continue,
            Some(after) => taken_back.entry(place(after)).or_default().push(number),
            None => {}
        }
        put.entry(place(day)).or_default().push(number);
        kept.push([brand.into(), customer.into(), day.into()]);
    }
    kept.execute(tx, KEEP).await?;
    if !taken_back.is_empty() {
        let mut rows = load(tx, taken_back.keys()).await?;
        for (place, numbers) in taken_back {
            if let Some(row) = rows.get_mut(&place) {
                for number in numbers {
                    row.people.remove(number);
                }
            }
        }
        store(tx, &rows).await?;
    }
    days.extend(put.into_iter().map(|(place, numbers)| {
        let people = People::of(numbers);
        (place, Sums { people, ..Sums::default() })
    }));
    Ok(())
}

#[derive(sqlx::FromRow)]
pub(super) struct Day {
    brand_id: String,
    by_what: String,
    day: i64,
    key: String,
    orders: i64,
    units: i64,
    gross_minor: i64,
    cancelled_minor: i64,
    commission_minor: i64,
    people: String,
}

impl Day {
    /// Which row, and what it says.
    pub(super) fn placed(self) -> (Place, Sums) {
        let place = Place { brand: self.brand_id, by: by_name(&self.by_what), day: self.day, key: self.key };
        let sums = Sums {
            orders: self.orders,
            units: self.units,
            gross_minor: self.gross_minor,
            cancelled_minor: self.cancelled_minor,
            commission_minor: self.commission_minor,
            people: People::from_text(&self.people),
        };
        (place, sums)
    }
}

/// As it stands in a [`Place`].
fn by_name(text: &str) -> &'static str {
    let each = By::EACH.iter().map(|by| by.as_str()).chain([super::fold::STAFF_DAY, FIRST]);
    each.into_iter().find(|name| *name == text).unwrap_or(FIRST)
}

async fn load<'a>(tx: &mut Tx, places: impl Iterator<Item = &'a Place>) -> Result<BTreeMap<Place, Sums>, StoreError> {
    const STORED: &str = "
        SELECT d.brand_id, d.by_what, d.day, d.key, d.orders, d.units, d.gross_minor, d.cancelled_minor,
               d.commission_minor, d.people
        FROM rows CROSS JOIN sales_days d
        WHERE d.brand_id = rows.brand_id AND d.by_what = rows.by_what AND d.day = rows.day AND d.key = rows.key";
    let mut rows =
        Rows::new(&[("brand_id", Kind::Text), ("by_what", Kind::Text), ("day", Kind::Number), ("key", Kind::Text)]);
    for place in places {
        rows.push([place.brand.as_str().into(), place.by.into(), place.day.into(), place.key.as_str().into()]);
    }
    let stored: Vec<Day> = rows.fetch(tx, STORED).await?;
    Ok(stored.into_iter().map(Day::placed).collect())
}

async fn add_days(tx: &mut Tx, days: BTreeMap<Place, Sums>) -> Result<(), StoreError> {
    let mut stored = load(tx, days.keys()).await?;
    let grown: BTreeMap<Place, Sums> = days
        .into_iter()
        .map(|(place, more)| {
            let mut sums = stored.remove(&place).unwrap_or_default();
            sums.add(&more);
            (place, sums)
        })
        .collect();
    store(tx, &grown).await
}

/// Writes rows as they stand now; the caller holds the lock and has read them.
async fn store(tx: &mut Tx, days: &BTreeMap<Place, Sums>) -> Result<(), StoreError> {
    const STORE: &str = "
        INSERT INTO sales_days (brand_id, by_what, day, key, orders, units, gross_minor, cancelled_minor, commission_minor,
                                people)
        SELECT brand_id, by_what, day, key, orders, units, gross_minor, cancelled_minor, commission_minor, people
        FROM rows WHERE true
        ON CONFLICT (brand_id, by_what, day, key) DO UPDATE SET
            orders = excluded.orders, units = excluded.units, gross_minor = excluded.gross_minor,
            cancelled_minor = excluded.cancelled_minor, commission_minor = excluded.commission_minor,
            people = excluded.people";
    let mut rows = Rows::new(&[
        ("brand_id", Kind::Text),
        ("by_what", Kind::Text),
        ("day", Kind::Number),
        ("key", Kind::Text),
        ("orders", Kind::Number),
        ("units", Kind::Number),
        ("gross_minor", Kind::Number),
        ("cancelled_minor", Kind::Number),
        ("commission_minor", Kind::Number),
        ("people", Kind::Text),
    ]);
    for (place, sums) in days {
        rows.push([
            place.brand.as_str().into(),
            place.by.into(),
            place.day.into(),
            place.key.as_str().into(),
            sums.orders.into(),
            sums.units.into(),
            sums.gross_minor.into(),
            sums.cancelled_minor.into(),
            sums.commission_minor.into(),
            sums.people.to_text().into(),
        ]);
    }
    rows.execute(tx, STORE).await?;
    Ok(())
}

async fn add_minutes(tx: &mut Tx, minutes: &BTreeMap<Minute, Sums>) -> Result<(), StoreError> {
    const ADD: &str = "
        INSERT INTO sales_minutes (live_id, brand_id, minute, product_id, orders, units, gross_minor, cancelled_minor,
                                   commission_minor)
        SELECT live_id, brand_id, minute, product_id, orders, units, gross_minor, cancelled_minor, commission_minor
        FROM rows WHERE true
        ON CONFLICT (live_id, brand_id, minute, product_id) DO UPDATE SET
            orders = sales_minutes.orders + excluded.orders, units = sales_minutes.units + excluded.units,
            gross_minor = sales_minutes.gross_minor + excluded.gross_minor,
            cancelled_minor = sales_minutes.cancelled_minor + excluded.cancelled_minor,
            commission_minor = sales_minutes.commission_minor + excluded.commission_minor";
    let mut rows = Rows::new(&[
        ("live_id", Kind::Text),
        ("brand_id", Kind::Text),
        ("minute", Kind::Number),
        ("product_id", Kind::Text),
        ("orders", Kind::Number),
        ("units", Kind::Number),
        ("gross_minor", Kind::Number),
        ("cancelled_minor", Kind::Number),
        ("commission_minor", Kind::Number),
    ]);
    for (minute, sums) in minutes {
        rows.push([
            minute.live.as_str().into(),
            minute.brand.as_str().into(),
            minute.minute.into(),
            minute.product.as_str().into(),
            sums.orders.into(),
            sums.units.into(),
            sums.gross_minor.into(),
            sums.cancelled_minor.into(),
            sums.commission_minor.into(),
        ]);
    }
    rows.execute(tx, ADD).await?;
    Ok(())
}
