//! Edge: a provider that pretends. Owns `sandbox_payments`, which stands for the books of a real one.
//!
//! It keeps what a real provider promises: the first answer under a key is the answer for good, durably.

use std::time::Duration;

use super::{Method, NoAnswer, Word};
use crate::{
    clock::Clock,
    money::Money,
    on,
    store::{Db, StoreError, Tx},
};

/// How long the slow bank takes.
const SLOW: Duration = Duration::from_secs(2);

/// The pretending provider.
#[derive(Debug, Clone)]
pub struct Sandbox {
    db: Db,
    clock: Clock,
}

impl Sandbox {
    pub(super) fn new(db: Db, clock: Clock) -> Self {
        Self { db, clock }
    }

    pub(super) async fn authorize(&self, key: &str, amount: Money, method: Method) -> Result<Word, NoAnswer> {
        if method == Method::SandboxSlow {
            self.clock.sleep(SLOW).await;
        }
        let (word, first_time) = self.book(key, amount, method).await.map_err(|error| {
            tracing::warn!(error = %error, "sandbox books are away");
            NoAnswer
        })?;
        if method == Method::SandboxLost && first_time {
            return Err(NoAnswer);
        }
        Ok(word)
    }

    async fn book(&self, key: &str, amount: Money, method: Method) -> Result<(Word, bool), StoreError> {
        const BOOK: &str = "
            INSERT INTO sandbox_payments (key, amount_minor, currency, state, created_at_ms)
            VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (key) DO NOTHING";
        let wanted = if method == Method::SandboxDeclined { "declined" } else { "authorized" };
        let mut tx = self.db.write("sandbox authorize").await?;
        let booked = on!(&mut tx, |conn| sqlx::query(BOOK)
            .bind(key)
            .bind(amount.minor())
            .bind(amount.currency())
            .bind(wanted)
            .bind(self.clock.now())
            .execute(conn)
            .await?
            .rows_affected());
        let state = load_state(&mut tx, key).await?;
        tx.commit().await?;
        Ok((if state == "authorized" { Word::Authorized } else { Word::Declined }, booked == 1))
    }

    pub(super) async fn cancel(&self, key: &str) -> Result<(), NoAnswer> {
        const CANCEL: &str = "UPDATE sandbox_payments SET state = 'cancelled' WHERE key = $1 AND state = 'authorized'";
        let cancelled = async {
            let mut tx = self.db.write("sandbox cancel").await?;
            on!(&mut tx, |conn| sqlx::query(CANCEL).bind(key).execute(conn).await.map(drop))?;
            tx.commit().await
        };
        cancelled.await.map_err(|error: StoreError| {
            tracing::warn!(error = %error, "sandbox books are away");
            NoAnswer
        })
    }
}

async fn load_state(tx: &mut Tx, key: &str) -> Result<String, StoreError> {
    let (state,): (String,) = on!(tx, |conn| sqlx::query_as("SELECT state FROM sandbox_payments WHERE key = $1")
        .bind(key)
        .fetch_one(conn)
        .await?);
    Ok(state)
}
