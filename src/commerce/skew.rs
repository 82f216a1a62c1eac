//! Shell: how far this node's clock is from the database's.
//!
//! Several nodes sell the same offers, and what has begun or run out must be one answer. So the sequencer judges by
//! PostgreSQL's clock: each node measures its own offset to it, corrects by it, and sells nothing when it is larger than
//! any well-kept clock's. SQLite is the same machine: nothing is measured. A clock that tests move is not measured either.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use crate::{
    clock::{Clock, Millis},
    store::{Db, StoreError},
};

/// A larger offset is a broken clock.
const MAX_SKEW_MS: i64 = 250;
/// Between two measurements.
const MEASURED_EVERY: Duration = Duration::from_secs(10);
/// Questions of one measurement; the quickest answer tells best.
const SAMPLES: usize = 5;
/// An answer that took longer says too little: the true offset may be off by half of it.
const MAX_ROUND_TRIP_MS: i64 = 100;

/// What is to be added to this node's time. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Skew(Arc<AtomicI64>);

impl Skew {
    /// The database's time, as far as it is known.
    pub(super) fn correct(&self, now: Millis) -> Millis {
        Millis(now.0 + self.0.load(Ordering::Relaxed))
    }

    /// By how many milliseconds this node's clock is wrong, when that is too much to sell by it.
    pub(super) fn excess(&self) -> Option<i64> {
        let offset = self.0.load(Ordering::Relaxed);
        (offset.abs() > MAX_SKEW_MS).then_some(offset)
    }

    /// Measures until the server stops.
    pub(super) async fn follow(self, db: Db, clock: Clock, stopping: CancellationToken) {
        if !clock.is_real() {
            return;
        }
        loop {
            match measure(&db, &clock).await {
                Ok(Some(offset)) => self.note(offset),
                Ok(None) if db.engine() == "sqlite" => return,
                Ok(None) => tracing::debug!("the database answers too slowly to compare clocks"),
                Err(error) => tracing::warn!(%error, "the database's clock cannot be read"),
            }
            tokio::select! {
                () = tokio::time::sleep(MEASURED_EVERY) => {}
                () = stopping.cancelled() => return,
            }
        }
    }

    fn note(&self, offset: i64) {
        let was = self.excess().is_some();
        self.0.store(offset, Ordering::Relaxed);
        match self.excess() {
            Some(_) if !was => {
                tracing::error!(clock.offset_ms = offset, "this node's clock is wrong; it sells nothing");
            }
            None if was => tracing::info!(clock.offset_ms = offset, "this node's clock is right again"),
            _ => {}
        }
    }
}

/// What the database's clock is ahead by. `None` when it has none of its own, or every answer took too long.
async fn measure(db: &Db, clock: &Clock) -> Result<Option<i64>, StoreError> {
    let mut tx = db.read("clock").await?;
    let mut best: Option<(i64, i64)> = None;
    for _ in 0..SAMPLES {
        let asked = clock.now();
        let Some(theirs) = tx.clock().await? else { return Ok(None) };
        let took = clock.now().0 - asked.0;
        // It was read somewhere between question and answer.
        let offset = theirs.0 - asked.0 - took / 2;
        if took <= MAX_ROUND_TRIP_MS && best.is_none_or(|(quickest, _)| took < quickest) {
            best = Some((took, offset));
        }
    }
    Ok(best.map(|(_, offset)| offset))
}
