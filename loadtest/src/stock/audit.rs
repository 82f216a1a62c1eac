//! Table: reads the books after a sale, and compares them with what the buyers were told.
//!
//! Reads stock, stock_entries and purchases as they stand; writes nothing. [`compare`] is pure.
//! Invariant: nothing in [`Books`] comes from what was told.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use anyhow::Context;
use futures_util::TryStreamExt;
use hanamichi::{on, store::Db};
use serde::Deserialize;

/// Units of a SKU at a location: on hand, held.
type Units = BTreeMap<(String, String), (i64, i64)>;

/// What the database holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Books {
    /// Rows of `stock`.
    pub shelves: Units,
    /// Sums of `stock_entries`.
    pub entries: Units,
    /// Where the units of the purchases stand that have not left: (SKU, location) → units.
    pub standing: BTreeMap<(String, String), i64>,
    /// SKU → units that are promised or sold.
    pub promised: BTreeMap<String, i64>,
    /// Purchases that have their units: id → paid?
    pub purchases: HashMap<String, bool>,
    /// Units of purchases whose places are not as many as their lines say.
    pub misplaced: i64,
}

/// What the buyers were told.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// Purchases that were promised.
    pub promised: Vec<String>,
    /// Purchases that were said to be paid.
    pub paid: Vec<String>,
    /// Taps without an answer: nobody knows.
    pub unknown: i64,
}

/// What is not as it must be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// Units promised beyond what was there.
    pub oversold: i64,
    /// Told to a buyer and not stored.
    pub lost: i64,
    /// Units, rows and promises that do not explain each other.
    pub unexplained: i64,
    pub reasons: Vec<String>,
}

impl Faults {
    /// Those of another run, too.
    pub fn add(&mut self, run: &str, other: Self) {
        self.oversold += other.oversold;
        self.lost += other.lost;
        self.unexplained += other.unexplained;
        self.reasons.extend(other.reasons.into_iter().map(|reason| format!("{run}: {reason}")));
    }

    /// Something that is only worth a sentence.
    pub fn unexplained(&mut self, count: i64, reason: String) {
        if count != 0 {
            self.unexplained += count;
            self.reasons.push(reason);
        }
    }
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    sku_id: std::borrow::Cow<'a, str>,
    qty: i64,
    #[serde(borrow)]
    allocation: BTreeMap<std::borrow::Cow<'a, str>, i64>,
}

/// Reads everything, in one consistent picture.
pub async fn read(db: &Db) -> anyhow::Result<Books> {
    const SHELVES: &str = "SELECT sku_id, location_id, on_hand, held FROM stock";
    const ENTRIES: &str = "SELECT sku_id, location_id,
            CAST(SUM(on_hand_delta) AS BIGINT), CAST(SUM(held_delta) AS BIGINT)
        FROM stock_entries GROUP BY sku_id, location_id";
    const PURCHASES: &str = "SELECT id, state, left_at_ms, lines FROM purchases
        WHERE state IN ('held', 'paying', 'requires_action', 'authorized', 'captured', 'fulfilled')";
    type Row = (String, String, i64, i64);
    let mut books = Books::default();
    let mut tx = db.read("audit").await?;
    let shelves: Vec<Row> = on!(&mut tx, |conn| sqlx::query_as(SHELVES).fetch_all(conn).await?);
    let entries: Vec<Row> = on!(&mut tx, |conn| sqlx::query_as(ENTRIES).fetch_all(conn).await?);
    let units = |rows: Vec<Row>| rows.into_iter().map(|(sku, place, on_hand, held)| ((sku, place), (on_hand, held)));
    books.shelves = units(shelves).collect();
    books.entries = units(entries).collect();
    on!(&mut tx, |conn| {
        let mut rows = sqlx::query_as::<_, (String, String, Option<i64>, String)>(PURCHASES).fetch(conn);
        while let Some((id, state, left, lines)) = rows.try_next().await? {
            books.enter(id, &state, left.is_some(), &lines)?;
        }
    });
    Ok(books)
}

impl Books {
    fn enter(&mut self, id: String, state: &str, has_left: bool, lines: &str) -> anyhow::Result<()> {
        let lines: Vec<Line<'_>> = serde_json::from_str(lines).with_context(|| format!("lines of {id}: {lines}"))?;
        for line in lines {
            *self.promised.entry(line.sku_id.clone().into_owned()).or_default() += line.qty;
            if has_left {
                continue;
            }
            let mut placed = 0;
            for (place, units) in line.allocation {
                *self.standing.entry((line.sku_id.clone().into_owned(), place.into_owned())).or_default() += units;
                placed += units;
            }
            self.misplaced += (line.qty - placed).abs();
        }
        self.purchases.insert(id, matches!(state, "authorized" | "captured" | "fulfilled"));
        Ok(())
    }
}

/// Compares the books with themselves, with what was told, and with the units of the SKU that were there at first.
pub fn compare(books: &Books, told: &Told, sku: &str, units: i64) -> Faults {
    let mut faults = Faults::default();
    let promised = books.promised.get(sku).copied().unwrap_or_default();
    if promised > units {
        faults.oversold = promised - units;
        faults.reasons.push(format!("{promised} units promised of {units}"));
    }
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let lost = count(told.promised.iter().filter(|id| !books.purchases.contains_key(*id)).count());
    let unpaid = count(told.paid.iter().filter(|id| books.purchases.get(*id) != Some(&true)).count());
    for (lost, what) in [(lost, "promised"), (unpaid, "told to be paid")] {
        if lost > 0 {
            faults.lost += lost;
            faults.reasons.push(format!("{lost} purchases were {what} and are not so in the database"));
        }
    }
    let different: HashSet<&String> = told.promised.iter().collect();
    let surplus = count(books.purchases.len()) - count(different.len()) - told.unknown;
    faults.unexplained(surplus.max(0), format!("{surplus} purchases are stored that nobody was told of"));
    let places: BTreeSet<_> = books.shelves.keys().chain(books.entries.keys()).chain(books.standing.keys()).collect();
    for place in places {
        let (on_hand, held) = books.shelves.get(place).copied().unwrap_or_default();
        let (received, kept) = books.entries.get(place).copied().unwrap_or_default();
        let standing = books.standing.get(place).copied().unwrap_or_default();
        faults.unexplained(
            (on_hand - received).abs() + (held - kept).abs(),
            format!("{} has {on_hand} on hand and {held} held, its entries say {received} and {kept}", place.0),
        );
        faults.unexplained(
            (held - standing).abs(),
            format!("{} has {held} held, and its purchases hold {standing}", place.0),
        );
    }
    faults.unexplained(books.misplaced, format!("{} units of purchases stand nowhere", books.misplaced));
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    const SKU: &str = "sku_1";

    /// Two units of five are promised, one of them paid.
    fn a_good_sale() -> (Books, Told) {
        let mut books = Books::default();
        let place = (SKU.to_owned(), "loc_1".to_owned());
        books.shelves.insert(place.clone(), (5, 2));
        books.entries.insert(place, (5, 2));
        let lines = r#"[{"offer_id":"ofr_1","sku_id":"sku_1","qty":1,"allocation":{"loc_1":1}}]"#;
        books.enter("pur_1".to_owned(), "held", false, lines).expect("lines");
        books.enter("pur_2".to_owned(), "authorized", false, lines).expect("lines");
        let told =
            Told { promised: vec!["pur_1".to_owned(), "pur_2".to_owned()], paid: vec!["pur_2".to_owned()], unknown: 0 };
        (books, told)
    }

    #[test]
    fn good_books_have_no_faults() {
        let (books, told) = a_good_sale();
        assert_eq!(compare(&books, &told, SKU, 5), Faults::default());
    }

    #[test]
    fn goods_that_have_left_are_sold_and_stand_nowhere() {
        let (mut books, mut told) = a_good_sale();
        books
            .enter("pur_3".to_owned(), "captured", true, r#"[{"sku_id":"sku_1","qty":2,"allocation":{}}]"#)
            .expect("lines");
        told.promised.push("pur_3".to_owned());
        assert_eq!(compare(&books, &told, SKU, 5), Faults::default());
    }

    #[test]
    fn every_kind_of_fault_is_counted() {
        let (books, told) = a_good_sale();
        let counts = |faults: Faults| (faults.oversold, faults.lost, faults.unexplained);
        assert_eq!(counts(compare(&books, &told, SKU, 1)), (1, 0, 0));
        let mut more = told.clone();
        more.promised.push("pur_9".to_owned());
        more.paid.push("pur_1".to_owned());
        assert_eq!(counts(compare(&books, &more, SKU, 5)), (0, 2, 0));
        let fewer = Told { promised: vec!["pur_1".to_owned()], ..Told::default() };
        assert_eq!(counts(compare(&books, &fewer, SKU, 5)), (0, 0, 1));
        assert_eq!(counts(compare(&books, &Told { unknown: 1, ..fewer }, SKU, 5)), (0, 0, 0), "nobody knew");
        let mut held = books.clone();
        held.shelves.values_mut().for_each(|units| units.1 = 3);
        assert_eq!(counts(compare(&held, &told, SKU, 5)), (0, 0, 2), "neither entries nor purchases explain it");
        let misplaced = Books { misplaced: 2, ..books };
        assert_eq!(counts(compare(&misplaced, &told, SKU, 5)), (0, 0, 2));
    }
}
