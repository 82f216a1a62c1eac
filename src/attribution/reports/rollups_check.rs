//! Table: whether the kept sums are the ledger's; reads all, writes none.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    fold::{Entry, FIRST, Folded, Place, Sums, fold},
    kept::StoredMinute,
    people::People,
    rollups::{Day, entries, first_days},
};
use crate::{
    on,
    store::{StoreError, Tx},
};

/// Lines that the check reads at once.
const CHECKED_AT_ONCE: i64 = 50_000;

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
        let (place, sums) = row.placed();
        found.days.entry(place).or_default().add(&sums);
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
