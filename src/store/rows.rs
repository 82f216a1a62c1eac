//! Engine: many rows by one statement.
//!
//! A statement reads them as the table `rows`. The two engines make that table in their own way (one array a column on
//! PostgreSQL, a list of values on SQLite); the statement after it is the same text on both. Statements are prepared
//! once a connection: their text depends on the columns only, on SQLite also on one of a few chunk sizes.

use std::{borrow::Cow, fmt::Write as _, ops::Range};

use sqlx::{AssertSqlSafe, FromRow, Postgres, Sqlite, postgres::PgRow, sqlite::SqliteRow};

use super::{StoreError, Tx};
use crate::clock::Millis;

/// Rows of one statement on SQLite: each size is a prepared statement of its own, so there are few. The widest table
/// here has 24 columns: 6,144 binds of the 32,766 that SQLite takes.
const CHUNKS: [usize; 4] = [256, 32, 4, 1];
/// Rows of one statement on PostgreSQL: bounds the size of one message.
const MAX_ROWS: usize = 10_000;

/// From so many rows on, what is the same in all of them is sent once. Each choice of such columns is a statement of its
/// own; fewer rows would be alike by chance, and make too many of those.
const MIN_ALIKE: usize = 64;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `TEXT`.
    Text,
    /// `BIGINT`, or `INTEGER` where the table says so.
    Number,
    /// `BOOLEAN`.
    Flag,
}

/// One value of a row.
#[derive(Debug, Clone)]
pub enum Cell<'a> {
    /// Of a [`Kind::Text`] column.
    Text(Option<Cow<'a, str>>),
    /// Of a [`Kind::Number`] column.
    Number(Option<i64>),
    /// Of a [`Kind::Flag`] column.
    Flag(bool),
}

impl<'a> From<&'a str> for Cell<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Some(Cow::Borrowed(text)))
    }
}

impl<'a> From<Option<&'a str>> for Cell<'a> {
    fn from(text: Option<&'a str>) -> Self {
        Self::Text(text.map(Cow::Borrowed))
    }
}

impl From<String> for Cell<'_> {
    fn from(text: String) -> Self {
        Self::Text(Some(Cow::Owned(text)))
    }
}

impl From<i64> for Cell<'_> {
    fn from(number: i64) -> Self {
        Self::Number(Some(number))
    }
}

impl From<Option<i64>> for Cell<'_> {
    fn from(number: Option<i64>) -> Self {
        Self::Number(number)
    }
}

impl From<i32> for Cell<'_> {
    fn from(number: i32) -> Self {
        Self::Number(Some(i64::from(number)))
    }
}

impl From<Millis> for Cell<'_> {
    fn from(time: Millis) -> Self {
        Self::Number(Some(time.0))
    }
}

impl From<Option<Millis>> for Cell<'_> {
    fn from(time: Option<Millis>) -> Self {
        Self::Number(time.map(|time| time.0))
    }
}

impl From<bool> for Cell<'_> {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

#[derive(Debug)]
enum Column<'a> {
    Text(Vec<Option<Cow<'a, str>>>),
    Number(Vec<Option<i64>>),
    Flag(Vec<bool>),
}

/// The rows of a statement, column by column.
#[derive(Debug)]
pub struct Rows<'a> {
    names: &'static [(&'static str, Kind)],
    columns: Vec<Column<'a>>,
    len: usize,
}

impl<'a> Rows<'a> {
    /// An empty table of these columns.
    #[must_use]
    pub fn new(names: &'static [(&'static str, Kind)]) -> Self {
        let columns = names.iter().map(|(_, kind)| match kind {
            Kind::Text => Column::Text(Vec::new()),
            Kind::Number => Column::Number(Vec::new()),
            Kind::Flag => Column::Flag(Vec::new()),
        });
        Self { names, columns: columns.collect(), len: 0 }
    }

    /// Adds a row; its cells are of the columns' kinds, in their order.
    ///
    /// # Panics
    /// When they are not: the statement is wrong, whatever the data.
    pub fn push<const N: usize>(&mut self, cells: [Cell<'a>; N]) {
        assert_eq!(N, self.columns.len(), "a cell for each column");
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            match (column, cell) {
                (Column::Text(column), Cell::Text(text)) => column.push(text),
                (Column::Number(column), Cell::Number(number)) => column.push(number),
                (Column::Flag(column), Cell::Flag(flag)) => column.push(flag),
                (column, cell) => panic!("{cell:?} is not for {column:?}"),
            }
        }
        self.len += 1;
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Runs a statement over `rows`; gives how many rows it changed. Nothing is run when there are no rows.
    ///
    /// # Errors
    /// The database's.
    pub async fn execute(&self, tx: &mut Tx, statement: &str) -> Result<u64, StoreError> {
        let mut changed = 0;
        for rows in self.chunks(tx) {
            let alike = self.alike(&rows);
            let text = if tx.is_sqlite() { self.values(rows.len(), statement) } else { self.arrays(&alike, statement) };
            changed += match tx {
                Tx::Sqlite(inner) => {
                    let mut query = sqlx::query::<Sqlite>(AssertSqlSafe(text));
                    for (row, column) in rows.flat_map(|row| self.columns.iter().map(move |column| (row, column))) {
                        query = match column {
                            Column::Text(cells) => query.bind(cells[row].as_deref()),
                            Column::Number(cells) => query.bind(cells[row]),
                            Column::Flag(cells) => query.bind(cells[row]),
                        };
                    }
                    query.execute(&mut **inner).await?.rows_affected()
                }
                Tx::Postgres(inner) => {
                    let mut query = sqlx::query::<Postgres>(AssertSqlSafe(text));
                    for (column, alike) in self.columns.iter().zip(&alike) {
                        query = match (column, alike) {
                            (Column::Text(cells), true) => query.bind(cells[rows.start].as_deref()),
                            (Column::Number(cells), true) => query.bind(cells[rows.start]),
                            (Column::Flag(cells), true) => query.bind(cells[rows.start]),
                            (Column::Text(cells), false) => query.bind(texts(&cells[rows.clone()])),
                            (Column::Number(cells), false) => query.bind(&cells[rows.clone()]),
                            (Column::Flag(cells), false) => query.bind(&cells[rows.clone()]),
                        };
                    }
                    query.execute(&mut **inner).await?.rows_affected()
                }
            };
        }
        Ok(changed)
    }

    /// Inserts the rows into a table.
    ///
    /// # Errors
    /// The database's; [`StoreError::is_unique_violation`] when one of them was there. Then the transaction is over.
    pub async fn append(&self, tx: &mut Tx, table: &str) -> Result<(), StoreError> {
        let names: Vec<&str> = self.names.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        self.execute(tx, &format!("INSERT INTO {table} ({names}) SELECT {names} FROM rows")).await?;
        Ok(())
    }

    /// Runs a query over `rows`. On SQLite an `ORDER BY` holds within a chunk only.
    ///
    /// # Errors
    /// The database's.
    pub async fn fetch<T>(&self, tx: &mut Tx, statement: &str) -> Result<Vec<T>, StoreError>
    where
        T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let mut found = Vec::new();
        for rows in self.chunks(tx) {
            let alike = self.alike(&rows);
            let text = if tx.is_sqlite() { self.values(rows.len(), statement) } else { self.arrays(&alike, statement) };
            found.extend(match tx {
                Tx::Sqlite(inner) => {
                    let mut query = sqlx::query_as::<Sqlite, T>(AssertSqlSafe(text));
                    for (row, column) in rows.flat_map(|row| self.columns.iter().map(move |column| (row, column))) {
                        query = match column {
                            Column::Text(cells) => query.bind(cells[row].as_deref()),
                            Column::Number(cells) => query.bind(cells[row]),
                            Column::Flag(cells) => query.bind(cells[row]),
                        };
                    }
                    query.fetch_all(&mut **inner).await?
                }
                Tx::Postgres(inner) => {
                    let mut query = sqlx::query_as::<Postgres, T>(AssertSqlSafe(text));
                    for (column, alike) in self.columns.iter().zip(&alike) {
                        query = match (column, alike) {
                            (Column::Text(cells), true) => query.bind(cells[rows.start].as_deref()),
                            (Column::Number(cells), true) => query.bind(cells[rows.start]),
                            (Column::Flag(cells), true) => query.bind(cells[rows.start]),
                            (Column::Text(cells), false) => query.bind(texts(&cells[rows.clone()])),
                            (Column::Number(cells), false) => query.bind(&cells[rows.clone()]),
                            (Column::Flag(cells), false) => query.bind(&cells[rows.clone()]),
                        };
                    }
                    query.fetch_all(&mut **inner).await?
                }
            });
        }
        Ok(found)
    }

    fn chunks(&self, tx: &Tx) -> Vec<Range<usize>> {
        let sizes: &[usize] = if tx.is_sqlite() { &CHUNKS } else { &[MAX_ROWS] };
        let mut chunks = Vec::new();
        let mut from = 0;
        while from < self.len {
            let left = self.len - from;
            let fits = sizes.iter().copied().find(|size| *size <= left).unwrap_or(left);
            chunks.push(from..from + fits);
            from += fits;
        }
        chunks
    }

    /// Which columns say the same in all of these rows; never the first. Asked on PostgreSQL only.
    fn alike(&self, rows: &Range<usize>) -> Vec<bool> {
        fn are_alike<T: PartialEq>(cells: &[T]) -> bool {
            cells.iter().all(|cell| *cell == cells[0])
        }
        let is_alike = |(n, column): (usize, &Column<'_>)| {
            n > 0
                && rows.len() >= MIN_ALIKE
                && match column {
                    Column::Text(cells) => are_alike(&cells[rows.clone()]),
                    Column::Number(cells) => are_alike(&cells[rows.clone()]),
                    Column::Flag(cells) => are_alike(&cells[rows.clone()]),
                }
        };
        self.columns.iter().enumerate().map(is_alike).collect()
    }

    /// The statement over values, row by row: SQLite's. (Columns that are alike apart from the rest make it a hundred
    /// times slower there.)
    fn values(&self, len: usize, statement: &str) -> String {
        let mut text = String::with_capacity(statement.len() + 128 + len * self.names.len() * 2);
        text.push_str("WITH rows (");
        for (n, (name, _)) in self.names.iter().enumerate() {
            text.push_str(if n == 0 { "" } else { ", " });
            text.push_str(name);
        }
        text.push_str(") AS (VALUES ");
        for row in 0..len {
            text.push_str(if row == 0 { "(" } else { ", (" });
            for n in 0..self.names.len() {
                text.push_str(if n == 0 { "?" } else { ",?" });
            }
            text.push(')');
        }
        text.push_str(") ");
        text.push_str(statement);
        text
    }

    /// The statement over arrays, one a column: PostgreSQL's. It reads each into a store of its own, so what is alike is
    /// none.
    fn arrays(&self, alike: &[bool], statement: &str) -> String {
        let (mut selected, mut arrays, mut names) = (String::new(), String::new(), String::new());
        for (n, ((name, kind), alike)) in self.names.iter().zip(alike).enumerate() {
            let of = match kind {
                Kind::Text => "text",
                Kind::Number => "bigint",
                Kind::Flag => "boolean",
            };
            let (place, comma) = (n + 1, if n == 0 { "" } else { ", " });
            // Writing to a String cannot fail.
            let _ = if *alike {
                write!(selected, "{comma}${place}::{of} AS {name}")
            } else {
                let _ = write!(arrays, "{comma}${place}::{of}[]");
                let _ = write!(names, "{comma}{name}");
                write!(selected, "{comma}u.{name}")
            };
        }
        format!("WITH rows AS (SELECT {selected} FROM UNNEST({arrays}) AS u ({names})) {statement}")
    }
}

fn texts<'c>(cells: &'c [Option<Cow<'_, str>>]) -> Vec<Option<&'c str>> {
    cells.iter().map(Option::as_deref).collect()
}
