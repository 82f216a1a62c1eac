//! Engine: the two databases behind one SQL.
//!
//! Owns connections, transactions and migrations; knows no room. [`Db`] is SQLite or PostgreSQL; every query takes
//! [`Tx`] and is written once inside [`on!`]. On SQLite one connection writes (a write is `BEGIN IMMEDIATE` on it, so
//! `SQLITE_BUSY` cannot happen between our own writers) and several read from the WAL.
//! Invariant: no network await other than the database's own while a [`Tx`] is open.

mod reporting;
mod rows;

pub use reporting::ReportingError;
pub use rows::{Cell, Kind, Rows};

use std::{str::FromStr, time::Duration};

use sqlx::{
    Postgres, Sqlite, Transaction,
    pool::PoolOptions,
    postgres::PgConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use crate::clock::Millis;

/// Readers of the SQLite file. Reads are short; more would only queue on two cores.
const SQLITE_READERS: u32 = 8;
/// Connections of one node to PostgreSQL, besides the sequencer's.
const POSTGRES_CONNECTIONS: u32 = 22;
/// Connections of one node's sequencer: one works; a second replaces one whose COMMIT never answered.
const SEQUENCER_CONNECTIONS: u32 = 2;
/// Prepared statements kept a connection: the sequencer's bulk statements come in several sizes on SQLite.
const STATEMENTS: usize = 400;
/// Rows that SQLite's thread may be ahead of their reader: each time it has to wait costs more than reading a row.
const SQLITE_ROWS: usize = 1_024;
/// How long a caller waits for a connection before the answer is "unavailable".
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// What went wrong below the rooms.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database said no, or is away.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("migration: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// Other nodes changed the same rows again and again; trying once more may well work.
    #[error("the rows are contended")]
    Contended,
    /// The address names no engine we speak.
    #[error("unknown database address; expected sqlite:… or postgres://…")]
    UnknownEngine,
}

impl StoreError {
    /// The name of the unique or check constraint that refused, if one did.
    #[must_use]
    pub fn is_unique_violation(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(e)) if e.is_unique_violation())
    }

    /// Whether the same transaction may well succeed when run again at once (serialization failure, deadlock).
    #[must_use]
    pub fn is_transient(&self) -> bool {
        // PostgreSQL: 40001 serialization_failure, 40P01 deadlock_detected.
        self.has_code(&["40001", "40P01"])
    }

    fn has_code(&self, codes: &[&str]) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(e)) if e.code().is_some_and(|code| codes.contains(&code.as_ref())))
    }

    /// Whether the database itself is away (as opposed to: it answered, and refused).
    #[must_use]
    pub fn is_away(&self) -> bool {
        // PostgreSQL: admin_shutdown, crash_shutdown, cannot_connect_now. Its last words before it goes are no refusal.
        if self.has_code(&["57P01", "57P02", "57P03"]) {
            return true;
        }
        match self {
            Self::Database(e) => {
                !matches!(e, sqlx::Error::Database(_) | sqlx::Error::RowNotFound | sqlx::Error::ColumnDecode { .. })
            }
            Self::Contended => true,
            Self::Migration(_) | Self::UnknownEngine => false,
        }
    }
}

/// One of the two engines.
#[derive(Debug, Clone)]
pub enum Db {
    /// A file, or memory in tests.
    Sqlite {
        /// The one writing connection.
        writer: sqlx::Pool<Sqlite>,
        /// Reading connections.
        readers: sqlx::Pool<Sqlite>,
    },
    /// A server.
    Postgres {
        /// For everybody.
        pool: sqlx::Pool<Postgres>,
        /// For the sequencer alone: buyers never wait behind readers.
        sequencer: sqlx::Pool<Postgres>,
    },
}

/// An open transaction; rolled back when dropped without [`Tx::commit`].
#[derive(Debug)]
pub enum Tx {
    /// On SQLite.
    Sqlite(Transaction<'static, Sqlite>),
    /// On PostgreSQL.
    Postgres(Transaction<'static, Postgres>),
}

/// Runs the same sqlx expression on whichever engine `$tx` is.
///
/// `on!(tx, |conn| sqlx::query(HOLD).bind(sku).execute(conn).await?.rows_affected())`
#[macro_export]
macro_rules! on {
    ($tx:expr, |$conn:ident| $body:expr) => {
        match $tx {
            $crate::store::Tx::Sqlite(inner) => {
                let $conn = &mut **inner;
                $body
            }
            $crate::store::Tx::Postgres(inner) => {
                let $conn = &mut **inner;
                $body
            }
        }
    };
}

/// Foreign keys of the rows that every sale writes. PostgreSQL checks them row by row and locks the row that is referred
/// to, which costs nearly as much as writing the row itself. Both sides are written by the sequencer, or are never
/// deleted; `hanamichi verify` compares them. SQLite, where they cost little, keeps them.
const UNCHECKED: [(&str, &str); 7] = [
    ("purchases", "purchases_customer_id_fkey"),
    ("payment_attempts", "payment_attempts_purchase_id_fkey"),
    ("orders", "orders_purchase_id_fkey"),
    ("orders", "orders_customer_id_fkey"),
    ("order_lines", "order_lines_order_id_fkey"),
    ("touches", "touches_customer_id_fkey"),
    // As the table was called when it was made anew.
    ("touches", "touches_2_customer_id_fkey"),
];

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

impl Db {
    /// Connects by address: `sqlite:path/to/file` or `postgres://…`.
    ///
    /// # Errors
    /// When the address is unknown or the engine cannot be reached.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        if url.starts_with("sqlite:") {
            Self::connect_sqlite(url).await
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            let options = PgConnectOptions::from_str(url)?;
            let pool = PoolOptions::new()
                .max_connections(POSTGRES_CONNECTIONS)
                .acquire_timeout(ACQUIRE_TIMEOUT)
                .connect_with(options.clone().application_name("hanamichi"))
                .await?;
            // A plan that was made while a table was empty would read all of it for good; every statement of the
            // sequencer is a look-up by index.
            // And one plan for good: planning anew for every length of an array costs more than the statement.
            let by_index = [
                ("enable_seqscan", "off"),
                ("enable_hashjoin", "off"),
                ("enable_mergejoin", "off"),
                ("plan_cache_mode", "force_generic_plan"),
            ];
            let sequencer = PoolOptions::new()
                .max_connections(SEQUENCER_CONNECTIONS)
                .acquire_timeout(ACQUIRE_TIMEOUT)
                // A dead connection is noticed by BEGIN, and the batch is run again: no question before each batch.
                .test_before_acquire(false)
                .connect_lazy_with(
                    options
                        .application_name("hanamichi-sequencer")
                        .statement_cache_capacity(STATEMENTS)
                        .options(by_index),
                );
            Ok(Self::Postgres { pool, sequencer })
        } else {
            Err(StoreError::UnknownEngine)
        }
    }

    async fn connect_sqlite(url: &str) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::from_str(url)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // FULL: a commit that was acknowledged survives the loss of power.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(ACQUIRE_TIMEOUT)
            .statement_cache_capacity(STATEMENTS)
            .row_buffer_size(SQLITE_ROWS)
            .pragma("cache_size", "-16000")
            .pragma("temp_store", "memory");
        let writer = PoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options.clone())
            .await?;
        let readers = PoolOptions::new()
            .max_connections(SQLITE_READERS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options.pragma("query_only", "true"))
            .await?;
        Ok(Self::Sqlite { writer, readers })
    }

    /// Which engine this is, for logs.
    #[must_use]
    pub fn engine(&self) -> &'static str {
        match self {
            Self::Sqlite { .. } => "sqlite",
            Self::Postgres { .. } => "postgres",
        }
    }

    /// Brings the schema up to date; nodes that start together take turns (advisory lock on PostgreSQL).
    ///
    /// # Errors
    /// When a migration fails, or the database holds one this binary does not know.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite { writer, .. } => MIGRATIONS.run(writer).await?,
            Self::Postgres { pool, .. } => {
                let make = reporting::drop_old(pool).await?;
                MIGRATIONS.run(pool).await?;
                loosen(pool).await?;
                if make && let Err(error) = reporting::make(pool).await {
                    // Everything else works without them; who may not make a schema is told how to have them.
                    tracing::warn!(error = %error, "the reporting views were not made: this role may not create a schema?");
                }
            }
        }
        Ok(())
    }

    /// A transaction that only reads: one consistent picture.
    ///
    /// # Errors
    /// When no connection can be had.
    pub async fn read(&self, name: &'static str) -> Result<Tx, StoreError> {
        tracing::trace!(tx.name = name, "read");
        Ok(match self {
            Self::Sqlite { readers, .. } => Tx::Sqlite(readers.begin().await?),
            Self::Postgres { pool, .. } => {
                Tx::Postgres(pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?)
            }
        })
    }

    /// A transaction that writes.
    ///
    /// # Errors
    /// When no connection can be had.
    pub async fn write(&self, name: &'static str) -> Result<Tx, StoreError> {
        tracing::trace!(tx.name = name, "write");
        Ok(match self {
            // IMMEDIATE: a deferred transaction that turns into a write is refused at once, whatever the timeout.
            Self::Sqlite { writer, .. } => Tx::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres { pool, .. } => Tx::Postgres(pool.begin().await?),
        })
    }

    /// A transaction of the sequencer, on its own connection.
    ///
    /// # Errors
    /// When no connection can be had.
    pub async fn sequence(&self) -> Result<Tx, StoreError> {
        match self {
            Self::Sqlite { .. } => self.write("stock batch").await,
            Self::Postgres { sequencer, .. } => Ok(Tx::Postgres(sequencer.begin().await?)),
        }
    }

    /// Closes every connection; on SQLite this also folds the WAL into the file.
    pub async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres { pool, sequencer } => {
                sequencer.close().await;
                pool.close().await;
            }
        }
    }
}

/// Drops the checks of [`UNCHECKED`] that still stand. Looks first: taking the table's lock for nothing would make a node
/// that starts wait for everybody who sells.
async fn loosen(pool: &sqlx::Pool<Postgres>) -> Result<(), StoreError> {
    const STANDING: &str = "SELECT COUNT(*) FROM pg_constraint WHERE conname = $1 AND conrelid = to_regclass($2)";
    for (table, check) in UNCHECKED {
        let (standing,): (i64,) = sqlx::query_as(STANDING).bind(check).bind(table).fetch_one(pool).await?;
        if standing > 0 {
            let drop = format!("ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {check}");
            sqlx::query(sqlx::AssertSqlSafe(drop)).execute(pool).await?;
        }
    }
    Ok(())
}

impl Tx {
    /// Makes it durable.
    ///
    /// # Errors
    /// When the answer is no, or is lost: then whether it happened is unknown.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }

    /// The database's own time at this moment; `None` on SQLite, whose time is ours.
    ///
    /// # Errors
    /// The database's.
    pub async fn clock(&mut self) -> Result<Option<Millis>, StoreError> {
        const NOW: &str = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)";
        let Self::Postgres(inner) = self else { return Ok(None) };
        let (now,): (i64,) = sqlx::query_as(NOW).fetch_one(&mut **inner).await?;
        Ok(Some(Millis(now)))
    }

    /// What a `SELECT` of the rows of `table` ends with so that they are locked until the commit. Nothing on SQLite,
    /// where the transaction is the only writer. Others may still refer to the rows.
    #[must_use]
    pub fn locking(&self, table: &str) -> String {
        match self {
            Self::Sqlite(_) => String::new(),
            Self::Postgres(_) => format!(" FOR NO KEY UPDATE OF {table}"),
        }
    }

    /// Whether rows are bound for SQLite: for the handful of statements whose text must differ.
    #[must_use]
    pub fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }
}

/// Stores a closed choice as `TEXT` on both engines. The type brings `fn as_str(self) -> &'static str` and
/// `const ALL: &[Self]`; a text that is none of them is a decode error.
#[macro_export]
macro_rules! stored_as_text {
    ($name:ty) => {
        impl<DB: sqlx::Database> sqlx::Type<DB> for $name
        where
            str: sqlx::Type<DB>,
        {
            fn type_info() -> DB::TypeInfo {
                <str as sqlx::Type<DB>>::type_info()
            }
            fn compatible(ty: &DB::TypeInfo) -> bool {
                <str as sqlx::Type<DB>>::compatible(ty)
            }
        }

        impl<'q, DB: sqlx::Database> sqlx::Encode<'q, DB> for $name
        where
            &'static str: sqlx::Encode<'q, DB>,
        {
            fn encode_by_ref(
                &self,
                buf: &mut <DB as sqlx::Database>::ArgumentBuffer,
            ) -> Result<sqlx::encode::IsNull, sqlx::error::BoxDynError> {
                <&'static str as sqlx::Encode<'q, DB>>::encode_by_ref(&self.as_str(), buf)
            }
        }

        impl<'r, DB: sqlx::Database> sqlx::Decode<'r, DB> for $name
        where
            &'r str: sqlx::Decode<'r, DB>,
        {
            fn decode(value: <DB as sqlx::Database>::ValueRef<'r>) -> Result<Self, sqlx::error::BoxDynError> {
                let text = <&'r str as sqlx::Decode<'r, DB>>::decode(value)?;
                let known = Self::ALL.iter().copied().find(|one| one.as_str() == text);
                known.ok_or_else(|| format!("`{text}` is not a {}", stringify!($name)).into())
            }
        }
    };
}

/// A closed choice with the names under which it is stored and sent; see [`stored_as_text!`].
#[macro_export]
macro_rules! stored_choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$of_one:meta])* $one:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(
            Debug,
            Clone,
            Copy,
            PartialEq,
            Eq,
            PartialOrd,
            Ord,
            Hash,
            serde::Serialize,
            serde::Deserialize,
            utoipa::ToSchema,
        )]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$of_one])* $one,)* }

        impl $name {
            const ALL: &[Self] = &[$(Self::$one),*];

            /// As stored and sent.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$one => $text,)* }
            }
        }

        $crate::stored_as_text!($name);
    };
}
