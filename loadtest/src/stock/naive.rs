//! Shell: the peers: a shop that gives every purchase a transaction of its own.
//!
//! Owns the peers' two tables, in a database of their own, and how such a shop buys. Every connection is a buyer who
//! taps again as soon as there is an answer. No limits, no ledger, no orders beyond one row: less than the product does.

use std::{
    str::FromStr,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use tokio::task::JoinSet;

use super::times::{Figures, Times, Window};
use crate::client::fresh_name;

/// Units on the shelf: more than anybody can sell in a run.
const UNITS: i64 = 1_000_000_000;
/// What one customer may have; counted by `ForUpdate`, reached by nobody.
const LIMIT: i64 = 1_000_000;
/// Customers whose purchases are spread over the taps, as in the product's runs.
const CUSTOMERS: usize = 20_000;
const SKU: &str = "sku_1";

/// How such a shop takes a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Design {
    /// `UPDATE … WHERE available >= 1`, then `INSERT`.
    Update,
    /// `SELECT … FOR UPDATE`, what the customer has, `UPDATE`, `INSERT`.
    ForUpdate,
}

impl Design {
    /// Every one, in the order of the table.
    pub const ALL: [Self; 2] = [Self::Update, Self::ForUpdate];

    /// Its name, as in the result.
    pub fn name(self) -> &'static str {
        match self {
            Self::Update => "update",
            Self::ForUpdate => "for_update",
        }
    }
}

/// Lets so many connections buy, in an empty database.
pub async fn sell(url: &str, design: Design, connections: usize, length: Duration) -> anyhow::Result<Figures> {
    let options = PgConnectOptions::from_str(url)?.application_name("hanamichi-load-naive");
    let mut books = options.connect().await.context("a peer cannot connect")?;
    stock_up(&mut books).await?;
    let mut buyers = Vec::with_capacity(connections);
    for _ in 0..connections {
        buyers.push(options.connect().await.context("a peer cannot connect")?);
    }
    let window = Window::after_warm_up(length);
    let mut buying = JoinSet::new();
    for (n, buyer) in buyers.into_iter().enumerate() {
        buying.spawn(go_on(buyer, design, n, connections, window));
    }
    let (mut times, mut bought) = (Times::default(), 0);
    while let Some(done) = buying.join_next().await {
        let (more, count) = done.context("a peer fell over")??;
        times.append(more);
        bought += count;
    }
    let (left, rows): (i64, i64) =
        sqlx::query_as("SELECT available, (SELECT COUNT(*) FROM purchases) FROM stock").fetch_one(&mut books).await?;
    ensure!(
        UNITS - left == bought && rows == bought,
        "the peer's own books are wrong: {bought} bought, {rows} rows, {left} of {UNITS} left"
    );
    books.close().await?;
    Ok(times.figures(window.seconds()))
}

async fn stock_up(books: &mut PgConnection) -> anyhow::Result<()> {
    const TABLES: &str = "
        CREATE TABLE stock (sku TEXT PRIMARY KEY, available BIGINT NOT NULL CHECK (available >= 0));
        CREATE TABLE purchases (
            id TEXT PRIMARY KEY,
            sku TEXT NOT NULL REFERENCES stock (sku),
            customer TEXT NOT NULL,
            qty BIGINT NOT NULL,
            price_minor BIGINT NOT NULL
        );
        CREATE INDEX purchases_by_customer ON purchases (customer, sku);";
    sqlx::raw_sql(TABLES).execute(&mut *books).await?;
    sqlx::query("INSERT INTO stock (sku, available) VALUES ($1, $2)").bind(SKU).bind(UNITS).execute(books).await?;
    Ok(())
}

/// Buys until the window is over; the times of what was measured, and the count of everything.
async fn go_on(
    mut connection: PgConnection,
    design: Design,
    n: usize,
    step: usize,
    window: Window,
) -> anyhow::Result<(Times, i64)> {
    let (mut times, mut bought) = (Times::default(), 0);
    let mut customer = n;
    let mut began = Instant::now();
    while began < window.to {
        buy(&mut connection, design, &format!("cus_{}", customer % CUSTOMERS)).await?;
        let now = Instant::now();
        if window.holds(now) {
            times.push(now - began);
        }
        bought += 1;
        customer += step;
        began = now;
    }
    connection.close().await?;
    Ok((times, bought))
}

async fn buy(connection: &mut PgConnection, design: Design, customer: &str) -> anyhow::Result<()> {
    let mut tx = connection.begin().await?;
    if design == Design::ForUpdate {
        const LOCK: &str = "SELECT available FROM stock WHERE sku = $1 FOR UPDATE";
        const HAS: &str =
            "SELECT CAST(COALESCE(SUM(qty), 0) AS BIGINT) FROM purchases WHERE customer = $1 AND sku = $2";
        let available: i64 = sqlx::query_scalar(LOCK).bind(SKU).fetch_one(&mut *tx).await?;
        let has: i64 = sqlx::query_scalar(HAS).bind(customer).bind(SKU).fetch_one(&mut *tx).await?;
        ensure!(available >= 1 && has < LIMIT, "the peer is sold out");
    }
    const TAKE: &str = "UPDATE stock SET available = available - 1 WHERE sku = $1 AND available >= 1";
    const KEEP: &str = "INSERT INTO purchases (id, sku, customer, qty, price_minor) VALUES ($1, $2, $3, 1, 1000)";
    let taken = sqlx::query(TAKE).bind(SKU).execute(&mut *tx).await?.rows_affected();
    ensure!(taken == 1, "the peer is sold out");
    sqlx::query(KEEP).bind(fresh_name()).bind(SKU).bind(customer).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(())
}
