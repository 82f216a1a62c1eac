//! Edge: a provider that pretends. Owns `sandbox_payments`, which stands for the books of a real one.
//!
//! It keeps what a real provider promises: the first answer under a key is the answer for good, durably. Requests that
//! arrive while the books are being written are written together, as the sequencer does it.

use std::{collections::HashMap, time::Duration};

use tokio::sync::{mpsc, oneshot};

use super::{Method, NoAnswer, TestMethod, Word, sandbox_books};
use crate::{
    clock::{Clock, Millis},
    money::Money,
    on,
    store::{Db, Kind, Rows, StoreError, Tx},
    tasks::Tasks,
};

/// How long the slow bank takes.
const SLOW: Duration = Duration::from_secs(2);
/// Requests that may wait; more get no answer, and ask again.
const QUEUE: usize = 4_096;
/// Requests of one transaction.
const MAX_BATCH: usize = 512;

/// A request to reserve money.
struct Request {
    key: String,
    amount: Money,
    state: &'static str,
    /// What the books say, and whether this request wrote it.
    answer: oneshot::Sender<(String, bool)>,
}

/// The pretending provider.
#[derive(Debug, Clone)]
pub struct Sandbox {
    pub(super) db: Db,
    pub(super) clock: Clock,
    books: mpsc::Sender<Request>,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.key)
    }
}

impl Sandbox {
    pub(super) fn start(db: Db, clock: Clock, tasks: &Tasks) -> Self {
        let (books, mut requests) = mpsc::channel(QUEUE);
        let sandbox = Self { db: db.clone(), clock: clock.clone(), books };
        let stopping = tasks.stopping();
        tasks.spawn("sandbox books", async move {
            let mut waiting = Vec::with_capacity(MAX_BATCH);
            loop {
                tokio::select! {
                    biased;
                    taken = requests.recv_many(&mut waiting, MAX_BATCH) => {
                        if taken == 0 {
                            return;
                        }
                    }
                    () = stopping.cancelled(), if !requests.is_closed() => {
                        requests.close();
                        continue;
                    }
                }
                match book(&db, &waiting, clock.now()).await {
                    Ok(answers) => {
                        for (request, answer) in waiting.drain(..).zip(answers) {
                            // Who no longer listens asks again under the same key.
                            let _ = request.answer.send(answer);
                        }
                    }
                    Err(error) => {
                        tracing::warn!(error = %error, "sandbox books are away");
                        waiting.clear();
                    }
                }
            }
        });
        sandbox
    }

    pub(super) async fn authorize(&self, key: &str, amount: Money, method: &Method) -> Result<Word, NoAnswer> {
        if *method == Method::Test(TestMethod::Slow) {
            self.clock.sleep(SLOW).await;
        }
        let state = if *method == Method::Test(TestMethod::Declined) { "declined" } else { "authorized" };
        let (answer, said) = oneshot::channel();
        let request = Request { key: key.to_owned(), amount, state, answer };
        self.books.try_send(request).map_err(|_| NoAnswer)?;
        let (state, first_time) = said.await.map_err(|_| NoAnswer)?;
        if *method == Method::Test(TestMethod::Lost) && first_time {
            return Err(NoAnswer);
        }
        Ok(if matches!(state.as_str(), "authorized" | "captured") { Word::Authorized } else { Word::Declined })
    }

    /// Takes money, and enters it into the books; taken already is fine.
    pub(super) async fn capture(&self, key: &str, amount: Money) -> Result<bool, NoAnswer> {
        const CAPTURE: &str = "
            UPDATE sandbox_payments SET state = 'captured'
            WHERE key = $1 AND state IN ('authorized', 'captured') AND amount_minor >= $2";
        let captured = async {
            let mut tx = self.db.write("sandbox capture").await?;
            let taken = on!(&mut tx, |conn| sqlx::query(CAPTURE)
                .bind(key)
                .bind(amount.minor())
                .execute(conn)
                .await?
                .rows_affected());
            if taken > 0 {
                sandbox_books::enter_charge(&mut tx, key, amount, self.clock.now()).await?;
            }
            tx.commit().await?;
            Ok(taken > 0)
        };
        captured.await.map_err(|error: StoreError| {
            tracing::warn!(error = %error, "sandbox books are away");
            NoAnswer
        })
    }

    pub(super) async fn cancel(&self, key: &str) -> Result<(), NoAnswer> {
        const CANCEL: &str = "UPDATE sandbox_payments SET state = 'cancelled' WHERE key = $1 AND state = 'authorized'";
        self.change(key, CANCEL).await.map(drop)
    }

    async fn change(&self, key: &str, statement: &'static str) -> Result<u64, NoAnswer> {
        let changed = async {
            let mut tx = self.db.write("sandbox books").await?;
            let rows = on!(&mut tx, |conn| sqlx::query(statement).bind(key).execute(conn).await?.rows_affected());
            tx.commit().await?;
            Ok(rows)
        };
        changed.await.map_err(|error: StoreError| {
            tracing::warn!(error = %error, "sandbox books are away");
            NoAnswer
        })
    }
}

/// Writes what is new, and reads what stands under every key.
async fn book(db: &Db, requests: &[Request], now: Millis) -> Result<Vec<(String, bool)>, StoreError> {
    const KNOWN: &str = "SELECT s.key, s.state FROM rows CROSS JOIN sandbox_payments s WHERE s.key = rows.key";
    const BOOK: &str = "
        INSERT INTO sandbox_payments (key, amount_minor, currency, state, created_at_ms)
        SELECT key, amount_minor, currency, state, at_ms FROM rows WHERE true
        ON CONFLICT (key) DO NOTHING";
    let mut tx: Tx = db.write("sandbox authorize").await?;
    let mut rows = Rows::new(&[
        ("key", Kind::Text),
        ("amount_minor", Kind::Number),
        ("currency", Kind::Text),
        ("state", Kind::Text),
        ("at_ms", Kind::Number),
    ]);
    for request in requests {
        rows.push([
            request.key.as_str().into(),
            request.amount.minor().into(),
            request.amount.currency().as_str().into(),
            request.state.into(),
            now.into(),
        ]);
    }
    let mut known: HashMap<String, String> =
        rows.fetch::<(String, String)>(&mut tx, KNOWN).await?.into_iter().collect();
    rows.execute(&mut tx, BOOK).await?;
    tx.commit().await?;
    Ok(requests
        .iter()
        .map(|request| match known.get(&request.key) {
            Some(state) => (state.clone(), false),
            None => {
                known.insert(request.key.clone(), request.state.to_owned());
                (request.state.to_owned(), true)
            }
        })
        .collect())
}
