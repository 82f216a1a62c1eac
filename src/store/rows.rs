//! Engine: many rows by one statement.
//!
//! A statement reads them as the table `rows`. The two engines make that table in their own way (one array a column on
//! PostgreSQL, a list of values on SQLite); the statement after it is the same text on both. Statements are prepared
//! once a connection: their text depends on the columns only, on SQLite also on one of a few chunk sizes.

use std::borrow::Cow;

use sqlx::{AssertSqlSafe, FromRow, Postgres, Sqlite, postgres::PgRow, sqlite::SqliteRow};

use super::{StoreError, Tx};
use crate::clock::Millis;

/// Rows of one statement on SQLite: each size is a prepared statement of its own, so there are few. The widest table
/// here has 24 columns: 6,144 binds of the 32,766 that SQLite takes.
const CHUNKS: [usize; 4] = [256, 32, 4, 1];
/// Rows of one statement on PostgreSQL: bounds the size of one message.
const MAX_ROWS: usize = 10_000;

/// Rows that are worth a COPY, which asks the server twice.
const MIN_COPIED: usize = 16;

/// Rows of one message of a COPY.
const COPIED_AT_ONCE: usize = 128;
/// Signature, no flags, no extension …
const COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// … and a row that says that there are no more.
const COPY_END: &[u8] = &(-1_i16).to_be_bytes();

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `TEXT`.
    Text,
    /// `BIGINT`, or `INTEGER` where the table says so.
    Number,
    /// `INTEGER`, in a table that rows are [appended](Rows::append) to. Its cells are [`Cell::Number`].
    Small,
    /// `BOOLEAN`.
    Flag,
}

/// One value of a row.
#[derive(Debug, Clone)]
pub enum Cell<'a> {
    /// Of a [`Kind::Text`] column.
    Text(Option<Cow<'a, str>>),
    /// Of a [`Kind::Number`] or [`Kind::Small`] column.
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
            Kind::Number | Kind::Small => Column::Number(Vec::new()),
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
        for (from, to) in self.chunks(tx) {
            let text = self.text(tx, to - from, statement);
            changed += match tx {
                Tx::Sqlite(inner) => {
                    let mut query = sqlx::query::<Sqlite>(AssertSqlSafe(text));
                    for row in from..to {
                        for column in &self.columns {
                            query = match column {
                                Column::Text(cells) => query.bind(cells[row].as_deref()),
                                Column::Number(cells) => query.bind(cells[row]),
                                Column::Flag(cells) => query.bind(cells[row]),
                            };
                        }
                    }
                    query.execute(&mut **inner).await?.rows_affected()
                }
                Tx::Postgres(inner) => {
                    let mut query = sqlx::query::<Postgres>(AssertSqlSafe(text));
                    for column in &self.columns {
                        query = match column {
                            Column::Text(cells) => query.bind(texts(&cells[from..to])),
                            Column::Number(cells) => query.bind(&cells[from..to]),
                            Column::Flag(cells) => query.bind(&cells[from..to]),
                        };
                    }
                    query.execute(&mut **inner).await?.rows_affected()
                }
            };
        }
        Ok(changed)
    }

    /// Inserts the rows into a table. On PostgreSQL they are copied in its binary form, which costs half of what the same
    /// rows cost as arrays (<https://www.postgresql.org/docs/current/sql-copy.html>, "Binary Format").
    ///
    /// # Errors
    /// The database's; [`StoreError::is_unique_violation`] when one of them was there. Then the transaction is over.
    pub async fn append(&self, tx: &mut Tx, table: &str) -> Result<(), StoreError> {
        if self.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = self.names.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        match tx {
            Tx::Postgres(inner) if self.len >= MIN_COPIED => {
                let statement = format!("COPY {table} ({names}) FROM STDIN (FORMAT binary)");
                let mut copy = inner.copy_in_raw(&statement).await?;
                copy.send(COPY_HEADER).await?;
                // In pieces: the server writes one while we make the next.
                for from in (0..self.len).step_by(COPIED_AT_ONCE) {
                    copy.send(self.to_binary(from..self.len.min(from + COPIED_AT_ONCE))).await?;
                }
                copy.send(COPY_END).await?;
                copy.finish().await?;
            }
            _ => {
                self.execute(tx, &format!("INSERT INTO {table} ({names}) SELECT {names} FROM rows")).await?;
            }
        }
        Ok(())
    }

    fn to_binary(&self, rows: std::ops::Range<usize>) -> Vec<u8> {
        const NULL: [u8; 4] = (-1_i32).to_be_bytes();
        fn put(bytes: &mut Vec<u8>, value: &[u8]) {
            let len = i32::try_from(value.len()).expect("what we write is far shorter");
            bytes.extend_from_slice(&len.to_be_bytes());
            bytes.extend_from_slice(value);
        }
        let width = i16::try_from(self.columns.len()).expect("a table has a few dozen columns").to_be_bytes();
        let mut bytes = Vec::with_capacity(rows.len() * self.columns.len() * 48);
        for row in rows {
            bytes.extend_from_slice(&width);
            for (column, (name, kind)) in self.columns.iter().zip(self.names) {
                match column {
                    Column::Text(cells) => match &cells[row] {
                        Some(text) => put(&mut bytes, text.as_bytes()),
                        None => bytes.extend_from_slice(&NULL),
                    },
                    Column::Number(cells) => match cells[row] {
                        Some(number) if *kind == Kind::Small => {
                            let small = i32::try_from(number);
                            let small = small.unwrap_or_else(|_| panic!("{number} is not for {name}"));
                            put(&mut bytes, &small.to_be_bytes());
                        }
                        Some(number) => put(&mut bytes, &number.to_be_bytes()),
                        None => bytes.extend_from_slice(&NULL),
                    },
                    Column::Flag(cells) => put(&mut bytes, &[u8::from(cells[row])]),
                }
            }
        }
        bytes
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
        for (from, to) in self.chunks(tx) {
            let text = self.text(tx, to - from, statement);
            found.extend(match tx {
                Tx::Sqlite(inner) => {
                    let mut query = sqlx::query_as::<Sqlite, T>(AssertSqlSafe(text));
                    for row in from..to {
                        for column in &self.columns {
                            query = match column {
                                Column::Text(cells) => query.bind(cells[row].as_deref()),
                                Column::Number(cells) => query.bind(cells[row]),
                                Column::Flag(cells) => query.bind(cells[row]),
                            };
                        }
                    }
                    query.fetch_all(&mut **inner).await?
                }
                Tx::Postgres(inner) => {
                    let mut query = sqlx::query_as::<Postgres, T>(AssertSqlSafe(text));
                    for column in &self.columns {
                        query = match column {
                            Column::Text(cells) => query.bind(texts(&cells[from..to])),
                            Column::Number(cells) => query.bind(&cells[from..to]),
                            Column::Flag(cells) => query.bind(&cells[from..to]),
                        };
                    }
                    query.fetch_all(&mut **inner).await?
                }
            });
        }
        Ok(found)
    }

    fn chunks(&self, tx: &Tx) -> Vec<(usize, usize)> {
        let sizes: &[usize] = if tx.is_sqlite() { &CHUNKS } else { &[MAX_ROWS] };
        let mut chunks = Vec::new();
        let mut from = 0;
        while from < self.len {
            let left = self.len - from;
            let fits = sizes.iter().copied().find(|size| *size <= left).unwrap_or(left);
            chunks.push((from, from + fits));
            from += fits;
        }
        chunks
    }

    fn text(&self, tx: &Tx, len: usize, statement: &str) -> String {
        use std::fmt::Write as _;
        let mut text = String::with_capacity(statement.len() + 64 + len * self.names.len() * 2);
        text.push_str("WITH rows (");
        for (n, (name, _)) in self.names.iter().enumerate() {
            text.push_str(if n == 0 { "" } else { ", " });
            text.push_str(name);
        }
        text.push_str(") AS (");
        if tx.is_sqlite() {
            text.push_str("VALUES ");
            for row in 0..len {
                text.push_str(if row == 0 { "(" } else { ", (" });
                for n in 0..self.names.len() {
                    text.push_str(if n == 0 { "?" } else { ",?" });
                }
                text.push(')');
            }
        } else {
            text.push_str("SELECT * FROM UNNEST(");
            for (n, (_, kind)) in self.names.iter().enumerate() {
                let of = match kind {
                    Kind::Text => "text",
                    Kind::Number | Kind::Small => "bigint",
                    Kind::Flag => "boolean",
                };
                let comma = if n == 0 { "" } else { ", " };
                let _ = write!(text, "{comma}${}::{of}[]", n + 1);
            }
            text.push(')');
        }
        text.push_str(") ");
        text.push_str(statement);
        text
    }
}

fn texts<'c>(cells: &'c [Option<Cow<'_, str>>]) -> Vec<Option<&'c str>> {
    cells.iter().map(Option::as_deref).collect()
}
