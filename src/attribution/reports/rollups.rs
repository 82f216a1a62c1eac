//! Table: the sums that reports read, by day and by minute, and what is not yet in them.
//!
//! A sale or reversal leaves a row in `sales_to_fold`, in its own transaction. A task takes such rows and adds their
//! credits to the sums in one transaction, so each is added once, on any number of nodes and whenever one dies. A report
//! reads the sums and whatever still waits in one picture of the database: it is exact at every moment.
//! Invariant: nothing but credits goes into a sum; [`requeue`] throws all sums away and has them made again.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use super::{
    fold::{By, DAY_MS, Entry, FIRST, Folded, Minute, Place, Sums, fold},
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
/// Sales that a report adds itself; when more wait, it is summed from the ledger.
const MAX_WAITING: i64 = 2_000;

/// Lines that the check reads at once.
const CHECKED_AT_ONCE: i64 = 50_000;

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
    if waiting(&mut looking, 1).await? == 0 {
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
struct Day {
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
    fn into_sums(self) -> Sums {
        Sums {
            orders: self.orders,
            units: self.units,
            gross_minor: self.gross_minor,
            cancelled_minor: self.cancelled_minor,
            commission_minor: self.commission_minor,
            people: People::from_text(&self.people),
        }
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
    let placed = |row: Day| {
        let (brand, key) = (row.brand_id.clone(), row.key.clone());
        (Place { brand, by: by_name(&row.by_what), day: row.day, key }, row.into_sums())
    };
    Ok(stored.into_iter().map(placed).collect())
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

/// How many sales wait, as far as `limit`.
async fn waiting(tx: &mut Tx, limit: i64) -> Result<i64, StoreError> {
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
    let placed = |row: Day| {
        let (brand, key) = (row.brand_id.clone(), row.key.clone());
        (Place { brand, by: by_name(&row.by_what), day: row.day, key }, row.into_sums())
    };
    Ok(stored.into_iter().map(placed).collect())
}

/// Compares the sums, and what waits, with the ledger. Gives how many rows were compared and what differs.
///
/// # Errors
/// The database's.
pub async fn check(tx: &mut Tx) -> Result<(i64, Vec<String>), StoreError> {
    const STORED: &str = "
        SELECT brand_id, by_what, day, key, orders, units, gross_minor, cancelled_minor, commission_minor, people
        FROM sales_days";
    const MINUTES: &str = "
        SELECT live_id, brand_id, minute, product_id, orders, units, gross_minor, cancelled_minor, commission_minor
        FROM sales_minutes";
    const WAITING: &str = entries!(
        "FROM sales_to_fold q CROSS JOIN credits c
         WHERE c.order_id = q.order_id AND c.cause_id = q.cause_id"
    );
    const NUMBERS: &str = "SELECT customer_id, n FROM buyer_numbers";
    const ORPHANS: &str = "
        SELECT q.order_id FROM sales_to_fold q
        WHERE NOT EXISTS (SELECT 1 FROM credits c WHERE c.order_id = q.order_id AND c.cause_id = q.cause_id)";
    let stored: Vec<Day> = on!(&mut *tx, |conn| sqlx::query_as(STORED).fetch_all(conn).await?);
    let minutes: Vec<StoredMinute> = on!(&mut *tx, |conn| sqlx::query_as(MINUTES).fetch_all(conn).await?);
    let waiting: Vec<Entry> = on!(&mut *tx, |conn| sqlx::query_as(WAITING).fetch_all(conn).await?);
    let known: Vec<(String, i64)> = on!(&mut *tx, |conn| sqlx::query_as(NUMBERS).fetch_all(conn).await?);
    let orphans: Vec<(String,)> = on!(&mut *tx, |conn| sqlx::query_as(ORPHANS).fetch_all(conn).await?);
    let mut numbers: HashMap<String, u32> =
        known.into_iter().map(|(id, n)| (id, u32::try_from(n).unwrap_or(u32::MAX))).collect();
    let mut expected = from_the_ledger(tx, &mut numbers).await?;
    let mut found = fold(&waiting, &numbers);
    for row in stored {
        let place =
            Place { brand: row.brand_id.clone(), by: by_name(&row.by_what), day: row.day, key: row.key.clone() };
        found.days.entry(place).or_default().add(&row.into_sums());
    }
    for row in minutes {
        let (minute, sums) = row.placed();
        found.minutes.entry(minute).or_default().add(&sums);
    }
    // Of those who wait the first order is not noted yet.
    let waiting_numbers: BTreeSet<u32> =
        waiting.iter().filter_map(|entry| numbers.get(&entry.customer_id).copied()).collect();
    for days in [&mut expected.days, &mut found.days] {
        days.iter_mut().filter(|(place, _)| place.by == FIRST).for_each(|(_, row)| {
            for number in &waiting_numbers {
                row.people.remove(*number);
            }
        });
        days.retain(|place, row| place.by != FIRST || row.people.len() > 0);
    }
    // People of a minute are not kept.
    expected.minutes.values_mut().chain(found.minutes.values_mut()).for_each(|row| row.people = People::default());
    let looked_at = expected.days.len() + expected.minutes.len();
    let mut faults: Vec<String> =
        orphans.into_iter().map(|(order,)| format!("{order} is to be summed and has no credit")).collect();
    faults.extend(differences(&expected.days, &found.days));
    faults.extend(differences(&expected.minutes, &found.minutes));
    Ok((i64::try_from(looked_at).unwrap_or(i64::MAX), faults))
}

/// What the sums must be. Reads the ledger order by order, so that memory holds the sums and a part of it.
async fn from_the_ledger(tx: &mut Tx, numbers: &mut HashMap<String, u32>) -> Result<Folded, StoreError> {
    const NEXT: &str = entries!("FROM credits c WHERE c.order_id > $1 ORDER BY c.order_id LIMIT $2");
    let mut expected = Folded::default();
    let mut firsts: BTreeMap<(String, String), i64> = BTreeMap::new();
    let (mut after, mut unnumbered) = (String::new(), u32::MAX);
    loop {
        let mut part: Vec<Entry> =
            on!(&mut *tx, |conn| sqlx::query_as(NEXT).bind(&after).bind(CHECKED_AT_ONCE).fetch_all(conn).await?);
        let last = i64::try_from(part.len()).is_ok_and(|len| len < CHECKED_AT_ONCE);
        if !last && let Some(cut) = part.last().map(|entry| entry.order_id.clone()) {
            // The rest of this order is in the next part.
            part.retain(|entry| entry.order_id != cut);
        }
        for entry in &part {
            if !numbers.contains_key(&entry.customer_id) {
                unnumbered -= 1;
                numbers.insert(entry.customer_id.clone(), unnumbered);
            }
        }
        let folded = fold(&part, numbers);
        folded.days.into_iter().for_each(|(place, sums)| expected.days.entry(place).or_default().add(&sums));
        folded.minutes.into_iter().for_each(|(place, sums)| expected.minutes.entry(place).or_default().add(&sums));
        for ((brand, customer), day) in first_days(&part) {
            let first = firsts.entry((brand.to_owned(), customer.to_owned())).or_insert(day);
            *first = day.min(*first);
        }
        let Some(end) = part.last().filter(|_| !last) else { break };
        after.clone_from(&end.order_id);
    }
    let mut by_day: BTreeMap<Place, Vec<u32>> = BTreeMap::new();
    for ((brand, customer), day) in firsts {
        let place = Place { brand, by: FIRST, day, key: String::new() };
        by_day.entry(place).or_default().extend(numbers.get(&customer));
    }
    let sums = |numbers| Sums { people: People::of(numbers), ..Sums::default() };
    expected.days.extend(by_day.into_iter().map(|(place, numbers)| (place, sums(numbers))));
    Ok(expected)
}

fn differences<P: Ord + std::fmt::Debug>(expected: &BTreeMap<P, Sums>, found: &BTreeMap<P, Sums>) -> Vec<String> {
    let places: BTreeSet<&P> = expected.keys().chain(found.keys()).collect();
    let differing = |place: &P| {
        let (expected, found) = (expected.get(place).cloned(), found.get(place).cloned());
        let (expected, found) = (expected.unwrap_or_default(), found.unwrap_or_default());
        (expected != found).then(|| format!("{place:?}: expected {expected:?}, found {found:?}"))
    };
    places.into_iter().filter_map(differing).collect()
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
    fn placed(self) -> (Minute, Sums) {
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
        let since = at.checked_add(super::fold::JAPAN_MS)?;
        (since.rem_euclid(DAY_MS) == 0).then(|| since.div_euclid(DAY_MS))
    };
    let from = from.map_or(Some(i64::MIN), day)?;
    Some((from, to.map_or(Some(i64::MAX), day)?))
}
