//! Table: limit_log. What each customer holds and owns of a product in a live, for the limits.
//!
//! A log: a batch appends one row a (live, product) with everybody's change, and [`Books`] remember the sums, so a
//! purchase costs a few bytes instead of a row of its own. Other nodes are heard of by reading on where we stood.
//! Invariant: books hold only what was committed; a row is written under the number after the last one that was read, and
//! only while there is no later one, so of two nodes that decide by the same sums one is told to decide again.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry},
    sync::Arc,
};

use super::stock::{ByLimit, LimitKey, Used};
use crate::{
    ids::{CustomerId, LiveId, ProductId},
    on,
    store::{Kind, Rows, StoreError, Tx},
};

/// Customers that all books together remember; when there are more, the books are forgotten, and those that are needed are
/// read again. A book itself is as long as it has customers.
const MAX_REMEMBERED: usize = 1_000_000;
/// A new base is written when so many changes stand after the last one, and twice as many as it has customers: what a
/// node reads when it starts stays in proportion to what is true.
const CHANGES_BEFORE_BASE: usize = 4_096;
/// Rows before a base that are kept: a node that is behind must meet them. (One that is farther behind meets later ones.)
const KEPT_BEFORE_BASE: i64 = 64;
/// A row weighs as much as so many changes, besides those in it.
const WEIGHT_OF_ROW: usize = 4;

/// The log of one (live, product), summed.
#[derive(Debug, Default)]
struct Book {
    /// Number of the last row in the sums; 0 = none.
    upto: i64,
    /// What stands in the log after its base.
    since_base: usize,
    used: Arc<Used>,
}

impl Book {
    fn fold(&mut self, n: i64, base: bool, changes: Used) {
        self.upto = n;
        if base {
            self.since_base = 0;
            self.used = Arc::new(changes);
            return;
        }
        self.since_base += WEIGHT_OF_ROW + changes.len();
        let used = Arc::make_mut(&mut self.used);
        for (customer, change) in changes {
            match used.entry(customer) {
                Entry::Occupied(sum) if *sum.get() + change == 0 => drop(sum.remove()),
                Entry::Occupied(mut sum) => *sum.get_mut() += change,
                Entry::Vacant(none) if change != 0 => drop(none.insert(change)),
                Entry::Vacant(_) => {}
            }
        }
    }

    fn is_due_for_base(&self) -> bool {
        self.since_base >= CHANGES_BEFORE_BASE && self.since_base >= 2 * self.used.len()
    }
}

/// What is remembered of the log.
#[derive(Debug, Default)]
pub(super) struct Books(HashMap<LimitKey, Book>);

/// Rows of the log that a batch has written; they count once it is committed.
#[derive(Debug, Default)]
pub(super) struct Entered(Vec<(LimitKey, i64, bool, Used)>);

impl Books {
    /// Forgets, when that is too much. Only between two batches: what a batch has read it writes by.
    pub(super) fn bound(&mut self) {
        if self.0.values().map(|book| book.used.len()).sum::<usize>() > MAX_REMEMBERED {
            self.0.clear();
        }
    }

    /// Reads on in the log of these, and gives their sums. Call it with their SKUs locked.
    pub(super) async fn catch_up(
        &mut self,
        tx: &mut Tx,
        keys: &BTreeSet<LimitKey>,
    ) -> Result<ByLimit<Arc<Used>>, StoreError> {
        const READ_ON: &str = "
            SELECT l.live_id, l.product_id, l.n, l.base, l.changes
            FROM rows CROSS JOIN limit_log l
            WHERE l.live_id = rows.live_id AND l.product_id = rows.product_id AND l.n > rows.upto
            ORDER BY l.live_id, l.product_id, l.n";
        let mut rows = Rows::new(&[("live_id", Kind::Text), ("product_id", Kind::Text), ("upto", Kind::Number)]);
        for key in keys {
            let upto = self.0.entry(key.clone()).or_default().upto;
            rows.push([(&key.0).into(), (&key.1).into(), upto.into()]);
        }
        let mut found: Vec<(LiveId, ProductId, i64, bool, String)> = rows.fetch(tx, READ_ON).await?;
        // A table of many keys is read in pieces.
        found.sort_by(|a, b| (&a.0, &a.1, a.2).cmp(&(&b.0, &b.1, b.2)));
        for (live, product, n, base, changes) in found {
            self.0.entry((live, product)).or_default().fold(n, base, of_json(&changes)?);
        }
        let mut sums: ByLimit<Arc<Used>> = BTreeMap::new();
        for key in keys {
            let used = self.0.get(key).map(|book| book.used.clone()).unwrap_or_default();
            sums.entry(key.0.clone()).or_default().insert(key.1.clone(), used);
        }
        Ok(sums)
    }

    /// Appends what a batch changed, each under the number after the last that [`Self::catch_up`] read. `None` when another
    /// node was there first: then nothing of the batch may be committed.
    pub(super) async fn append(&mut self, tx: &mut Tx, changes: &ByLimit<Used>) -> Result<Option<Entered>, StoreError> {
        const APPEND: &str = "
            INSERT INTO limit_log (live_id, product_id, n, base, changes)
            SELECT live_id, product_id, n, base, changes
            FROM rows
            WHERE NOT EXISTS (SELECT 1 FROM limit_log l
                              WHERE l.live_id = rows.live_id AND l.product_id = rows.product_id AND l.n >= rows.n)
            ON CONFLICT (live_id, product_id, n) DO NOTHING";
        const FORGET: &str = "DELETE FROM limit_log WHERE live_id = $1 AND product_id = $2 AND n < $3";
        let mut rows = Rows::new(&[
            ("live_id", Kind::Text),
            ("product_id", Kind::Text),
            ("n", Kind::Number),
            ("base", Kind::Flag),
            ("changes", Kind::Text),
        ]);
        let mut entered = Vec::with_capacity(changes.len());
        let of_all = changes.iter().flat_map(|(live, of_live)| of_live.iter().map(move |(p, used)| ((live, p), used)));
        for (key, changes) in of_all {
            let key = (key.0.clone(), key.1.clone());
            let mut changes: Used = changes
                .iter()
                .filter(|(_, change)| **change != 0)
                .map(|(who, change)| (who.clone(), *change))
                .collect();
            if changes.is_empty() {
                continue;
            }
            let Some(book) = self.0.get(&key) else { return Ok(None) };
            let (n, base) = (book.upto + 1, book.is_due_for_base());
            if base {
                for (customer, used) in &*book.used {
                    *changes.entry(customer.clone()).or_default() += used;
                }
                changes.retain(|_, used| *used != 0);
            }
            rows.push([
                String::from(key.0.clone()).into(),
                String::from(key.1.clone()).into(),
                n.into(),
                base.into(),
                to_json(&changes).into(),
            ]);
            entered.push((key, n, base, changes));
        }
        if rows.execute(tx, APPEND).await? != entered.len() as u64 {
            return Ok(None);
        }
        for ((live, product), n, _, _) in entered.iter().filter(|(_, _, base, _)| *base) {
            let kept = n - KEPT_BEFORE_BASE;
            on!(&mut *tx, |conn| sqlx::query(FORGET)
                .bind(live)
                .bind(product)
                .bind(kept)
                .execute(conn)
                .await?
                .rows_affected());
        }
        Ok(Some(Entered(entered)))
    }

    /// What was appended is committed.
    pub(super) fn enter(&mut self, entered: Entered) {
        for (key, n, base, changes) in entered.0 {
            self.0.entry(key).or_default().fold(n, base, changes);
        }
    }
}

fn to_json(changes: &Used) -> String {
    serde_json::to_string(changes).expect("ids and numbers are JSON")
}

/// A row that cannot be read spoils what needs it, and nothing else.
fn of_json(text: &str) -> Result<Used, StoreError> {
    let unreadable = |error| sqlx::Error::ColumnDecode { index: "changes".to_owned(), source: Box::new(error) };
    Ok(serde_json::from_str(text).map_err(unreadable)?)
}

/// Every (live, product) that somebody bought in.
///
/// # Errors
/// The database's.
pub async fn limit_keys(tx: &mut Tx) -> Result<Vec<(LiveId, ProductId)>, StoreError> {
    const KEYS: &str = "
        SELECT live_id, product_id FROM limit_log
        UNION
        SELECT o.live_id, l.product_id FROM orders o JOIN order_lines l ON l.order_id = o.id
        ORDER BY 1, 2";
    Ok(on!(tx, |conn| sqlx::query_as(KEYS).fetch_all(conn).await?))
}

/// What customers hold and own of a product in a live, as the log says.
///
/// # Errors
/// The database's.
pub async fn limits_used(
    tx: &mut Tx,
    live: &LiveId,
    product: &ProductId,
) -> Result<HashMap<CustomerId, i64>, StoreError> {
    const LOG: &str = "SELECT n, base, changes FROM limit_log WHERE live_id = $1 AND product_id = $2 ORDER BY n";
    let rows: Vec<(i64, bool, String)> =
        on!(tx, |conn| sqlx::query_as(LOG).bind(live).bind(product).fetch_all(conn).await?);
    let mut book = Book::default();
    for (n, base, changes) in rows {
        book.fold(n, base, of_json(&changes)?);
    }
    Ok(Arc::unwrap_or_clone(book.used))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::store::Db;

    async fn db() -> Db {
        static N: AtomicU32 = AtomicU32::new(0);
        let name = format!("limits-{}-{}", std::process::id(), N.fetch_add(1, Ordering::Relaxed));
        let file = std::env::temp_dir().join(name);
        let db = Db::connect(&format!("sqlite:{}", file.display())).await.expect("a file can be made");
        db.migrate().await.expect("the migrations are right");
        db
    }

    fn key() -> LimitKey {
        (LiveId::fresh(), ProductId::fresh())
    }

    fn change(key: &LimitKey, customer: &CustomerId, units: i64) -> ByLimit<Used> {
        let used = Used::from([(customer.clone(), units)]);
        BTreeMap::from([(key.0.clone(), BTreeMap::from([(key.1.clone(), used)]))])
    }

    async fn commit(db: &Db, books: &mut Books, key: &LimitKey, customer: &CustomerId, units: i64) {
        let mut tx = db.write("test").await.expect("it opens");
        books.catch_up(&mut tx, &BTreeSet::from([key.clone()])).await.expect("the log can be read");
        let entered = books.append(&mut tx, &change(key, customer, units)).await.expect("it is written");
        tx.commit().await.expect("it commits");
        books.enter(entered.expect("nobody was faster"));
    }

    async fn used(db: &Db, books: &mut Books, key: &LimitKey, customer: &CustomerId) -> Option<i64> {
        let mut tx = db.read("test").await.expect("it opens");
        let sums = books.catch_up(&mut tx, &BTreeSet::from([key.clone()])).await.expect("the log can be read");
        sums[&key.0][&key.1].get(customer).copied()
    }

    #[tokio::test]
    async fn another_node_hears_of_what_was_committed() {
        let (db, key, buyer) = (db().await, key(), CustomerId::fresh());
        let (mut here, mut there) = (Books::default(), Books::default());
        commit(&db, &mut here, &key, &buyer, 2).await;
        assert_eq!(used(&db, &mut there, &key, &buyer).await, Some(2));
        commit(&db, &mut there, &key, &buyer, -1).await;
        assert_eq!(used(&db, &mut here, &key, &buyer).await, Some(1));
    }

    #[tokio::test]
    async fn what_was_rolled_back_is_not_remembered() {
        let (db, key, buyer) = (db().await, key(), CustomerId::fresh());
        let mut books = Books::default();
        let mut tx = db.write("test").await.expect("it opens");
        books.catch_up(&mut tx, &BTreeSet::from([key.clone()])).await.expect("the log can be read");
        let entered = books.append(&mut tx, &change(&key, &buyer, 1)).await.expect("it is written");
        assert!(entered.is_some());
        drop((tx, entered));
        assert_eq!(used(&db, &mut books, &key, &buyer).await, None);
    }

    #[tokio::test]
    async fn who_decided_by_old_sums_is_told_so() {
        let (db, key, buyer) = (db().await, key(), CustomerId::fresh());
        let (mut here, mut there) = (Books::default(), Books::default());
        let keys = BTreeSet::from([key.clone()]);
        let mut tx = db.read("test").await.expect("it opens");
        there.catch_up(&mut tx, &keys).await.expect("the log can be read");
        drop(tx);
        // One row, and so many that there is a base and the first ones are gone.
        for rows in [1, CHANGES_BEFORE_BASE / (WEIGHT_OF_ROW + 1) + 100] {
            for _ in 0..rows {
                commit(&db, &mut here, &key, &buyer, 1).await;
            }
            let mut tx = db.write("test").await.expect("it opens");
            let entered = there.append(&mut tx, &change(&key, &buyer, 1)).await.expect("it is asked");
            assert!(entered.is_none(), "it wrote below {rows} rows");
        }
        // Who has read nothing at all may not write either.
        let mut tx = db.write("test").await.expect("it opens");
        assert!(Books::default().append(&mut tx, &change(&key, &buyer, 1)).await.expect("it is asked").is_none());
    }

    #[tokio::test]
    async fn a_row_that_cannot_be_read_is_an_answer_and_no_outage() {
        const SPOIL: &str =
            "INSERT INTO limit_log (live_id, product_id, n, base, changes) VALUES ($1, $2, 1, false, 'x')";
        let (db, key) = (db().await, key());
        let mut tx = db.write("test").await.expect("it opens");
        on!(&mut tx, |conn| sqlx::query(SPOIL)
            .bind(&key.0)
            .bind(&key.1)
            .execute(conn)
            .await
            .expect("it is written")
            .rows_affected());
        let read = Books::default().catch_up(&mut tx, &BTreeSet::from([key.clone()])).await;
        assert!(!read.expect_err("it cannot be read").is_away());
    }

    #[tokio::test]
    async fn a_long_log_is_replaced_by_its_sums() {
        let (db, key) = (db().await, key());
        let mut books = Books::default();
        let buyers: Vec<CustomerId> = (0..10).map(|_| CustomerId::fresh()).collect();
        let rounds = CHANGES_BEFORE_BASE / (WEIGHT_OF_ROW + 1) + 90;
        for n in 0..rounds {
            commit(&db, &mut books, &key, &buyers[n % buyers.len()], 1).await;
        }
        let mut tx = db.read("test").await.expect("it opens");
        let (rows,): (i64,) = on!(&mut tx, |conn| sqlx::query_as("SELECT COUNT(*) FROM limit_log")
            .fetch_one(conn)
            .await
            .expect("it counts"));
        assert!(rows < KEPT_BEFORE_BASE + 100, "{rows} rows are left of {rounds}");
        let sums = limits_used(&mut tx, &key.0, &key.1).await.expect("the log can be read");
        assert_eq!(sums.values().sum::<i64>(), i64::try_from(rounds).expect("small"));
        let mut late = Books::default();
        assert_eq!(
            late.catch_up(&mut tx, &BTreeSet::from([key.clone()])).await.expect("read")[&key.0][&key.1].as_ref(),
            &sums
        );
    }
}
