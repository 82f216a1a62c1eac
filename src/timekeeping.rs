//! Root: keeps this node's clock by the database's.
//!
//! Several nodes sell the same offers, and what has begun or run out must be one answer. So every node tells PostgreSQL's
//! time: it measures its own offset, follows, and sells nothing while its own clock is farther off than any well-kept
//! one. SQLite is the same machine: nothing is measured. A clock that tests move is not measured either.

use std::time::{Duration, Instant};

use crate::{
    clock::Clock,
    store::{Db, StoreError},
    tasks::Tasks,
};

/// Between two measurements.
const MEASURED_EVERY: Duration = Duration::from_secs(10);
/// Questions of one measurement; the quickest answer tells best.
const SAMPLES: usize = 5;
/// An answer that took longer says too little: the true time may be off by half of it.
const MAX_ROUND_TRIP: Duration = Duration::from_millis(100);

/// Measures once, so that nothing is sold before, and then until the server stops.
pub async fn keep(db: &Db, clock: &Clock, tasks: &Tasks) {
    if !clock.is_real() || db.engine() == "sqlite" {
        return;
    }
    measure(db, clock).await;
    let (db, clock, stopping) = (db.clone(), clock.clone(), tasks.stopping());
    tasks.spawn("timekeeping", async move {
        loop {
            tokio::select! {
                () = tokio::time::sleep(MEASURED_EVERY) => measure(&db, &clock).await,
                () = stopping.cancelled() => return,
            }
        }
    });
}

async fn measure(db: &Db, clock: &Clock) {
    let was = clock.excess_ms();
    match quickest(db, clock).await {
        Ok(true) => {}
        Ok(false) => tracing::warn!("the database answers too slowly to keep time by it"),
        Err(error) => tracing::warn!(%error, "the database's clock cannot be read"),
    }
    match (was, clock.excess_ms()) {
        (None, Some(offset)) => {
            tracing::error!(clock.offset_ms = offset, "this node's clock is wrong; it sells nothing");
        }
        (Some(_), None) => tracing::info!("this node's clock is right again"),
        _ => {}
    }
}

/// Whether an answer was quick enough to be followed.
async fn quickest(db: &Db, clock: &Clock) -> Result<bool, StoreError> {
    let mut tx = db.read("clock").await?;
    let mut best = None;
    for _ in 0..SAMPLES {
        let asked = Instant::now();
        let Some(theirs) = tx.clock().await? else { return Ok(false) };
        let took = asked.elapsed();
        if took <= MAX_ROUND_TRIP && best.is_none_or(|(quickest, _, _)| took < quickest) {
            best = Some((took, theirs, asked));
        }
    }
    if let Some((took, theirs, asked)) = best {
        // It was read somewhere between question and answer.
        clock.follow(theirs, asked + took / 2);
    }
    Ok(best.is_some())
}
