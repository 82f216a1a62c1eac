//! Edge: a provider that pretends. Owns `sandbox_payments` and `sandbox_setups`, which stand for the books of a real one.
//!
//! It keeps what a real provider promises: the first answer under a key is the answer for good, durably; what buyers do
//! on its own page is told by a signed message. A payment's name is its key. Requests that arrive while the books are
//! being written are written together, as the sequencer does it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use super::{
    Action, CardFace, Charge, Event, EventObject, Intent, Setup, SetupState, SignatureFault, Source, Status,
    TestMethod, Trouble, sandbox_books, signature,
};
use crate::{
    clock::{Clock, Millis},
    ids::AuditId,
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
/// Messages that may wait to be heard; more are lost, as webhooks may be: the reconciler asks.
const MAX_MESSAGES: usize = 4_096;
/// Test cards are good until then.
const GOOD_UNTIL: (i32, i32) = (12, 2_034);

/// A request to reserve money.
#[derive(Debug)]
struct Request {
    key: String,
    amount: Money,
    method: TestMethod,
    state: &'static str,
    /// What the books say, and whether this request wrote it.
    answer: oneshot::Sender<(Row, bool)>,
}

/// What the buyer did on the sandbox's page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// What a bank wants to see; or the money was paid at the counter.
    Approve,
    /// Not.
    Refuse,
}

/// A signed message, as it would come over HTTP.
#[derive(Debug, Clone)]
pub(in crate::commerce) struct Signed {
    pub(in crate::commerce) body: Vec<u8>,
    pub(in crate::commerce) signature: String,
}

/// A payment in the books.
#[derive(Debug, Clone, sqlx::FromRow)]
struct Row {
    key: String,
    method: String,
    amount_minor: i64,
    state: String,
    captured_minor: i64,
}

impl Row {
    fn intent(&self) -> Intent {
        let test = test_of(&self.method);
        let status = match self.state.as_str() {
            "requires_action" => Status::RequiresAction,
            "authorized" => Status::Authorized,
            "captured" => Status::Captured,
            "cancelled" => Status::Cancelled,
            _ => Status::Failed,
        };
        let decline = match test {
            TestMethod::Insufficient => "insufficient_funds",
            TestMethod::ThreeDs => "authentication_required",
            _ => "generic_decline",
        };
        Intent {
            id: self.key.clone(),
            status,
            amount_minor: self.amount_minor,
            captured_minor: self.captured_minor,
            attempt: Some(self.key.clone()),
            method: Some(kind_of(test).to_owned()),
            decline_code: (status == Status::Failed).then(|| decline.to_owned()),
            charge: Some(self.key.clone()),
            capture_before: None,
        }
    }
}

/// Of a method's name, or of a saved card's, which begins with it.
fn test_of(name: &str) -> TestMethod {
    let name = name.split(':').next().unwrap_or_default();
    TestMethod::ALL.iter().copied().find(|test| test.as_str() == name).unwrap_or(TestMethod::Card)
}

fn kind_of(test: TestMethod) -> &'static str {
    match test {
        TestMethod::PayPay => "paypay",
        TestMethod::Konbini => "konbini",
        _ => "card",
    }
}

/// The pretending provider.
#[derive(Debug, Clone)]
pub struct Sandbox {
    pub(super) db: Db,
    pub(super) clock: Clock,
    books: mpsc::Sender<Request>,
    /// Of the messages to ourselves; of this process.
    secret: Arc<str>,
    messages: mpsc::Sender<Signed>,
    heard: Arc<Mutex<Option<mpsc::Receiver<Signed>>>>,
}

impl Sandbox {
    pub(super) fn start(db: Db, clock: Clock, tasks: &Tasks) -> Self {
        let (books, requests) = mpsc::channel(QUEUE);
        let (messages, heard) = mpsc::channel(MAX_MESSAGES);
        let mut secret = [0; 24];
        getrandom::fill(&mut secret).expect("the system has randomness, or nothing here is safe to run");
        let secret = format!("whsec_{}", data_encoding::HEXLOWER.encode(&secret)).into();
        let heard = Arc::new(Mutex::new(Some(heard)));
        let sandbox = Self { db: db.clone(), clock: clock.clone(), books, secret, messages, heard };
        let stopping = tasks.stopping();
        tasks.spawn("sandbox books", async move { keep_books(db, clock, requests, stopping).await });
        sandbox
    }

    /// The messages that the sandbox sends; there is one who hears them.
    pub(in crate::commerce) fn messages(&self) -> Option<mpsc::Receiver<Signed>> {
        self.heard.lock().take()
    }

    pub(super) async fn charge(&self, charge: &Charge<'_>) -> Result<Intent, Trouble> {
        let (method, saved) = match charge.source {
            Source::Test(test) => (*test, false),
            Source::Saved(name) => (test_of(name), true),
            Source::Token(_) => return Err(Trouble::Refused { code: "sandbox_takes_no_token".to_owned() }),
        };
        if method == TestMethod::Slow {
            self.clock.sleep(SLOW).await;
        }
        let state = match method {
            TestMethod::Declined | TestMethod::Insufficient => "declined",
            // A card that was saved was asked then, and is not asked again.
            TestMethod::ThreeDs if !saved => "requires_action",
            TestMethod::PayPay | TestMethod::Konbini => "requires_action",
            _ => "authorized",
        };
        let (answer, said) = oneshot::channel();
        let request = Request { key: charge.key.to_owned(), amount: charge.amount, method, state, answer };
        self.books.try_send(request).map_err(|_| Trouble::NoAnswer)?;
        let (row, first_time) = said.await.map_err(|_| Trouble::NoAnswer)?;
        if method == TestMethod::Lost && first_time {
            return Err(Trouble::NoAnswer);
        }
        Ok(row.intent())
    }

    pub(super) async fn find(&self, charge: &Charge<'_>) -> Result<Option<Intent>, Trouble> {
        Ok(self.row(charge.key).await?.map(|row| row.intent()))
    }

    pub(super) async fn read(&self, intent: &str) -> Result<Intent, Trouble> {
        let row = self.row(intent).await?.ok_or_else(|| Trouble::Refused { code: "resource_missing".to_owned() })?;
        Ok(row.intent())
    }

    pub(super) async fn action(&self, intent: &str) -> Result<Option<Action>, Trouble> {
        let asked = self.read(intent).await?.status == Status::RequiresAction;
        Ok(asked.then(|| page(intent)))
    }

    pub(super) async fn capture(&self, intent: &str, amount: Money) -> Result<Intent, Trouble> {
        const CAPTURE: &str = "
            UPDATE sandbox_payments SET state = 'captured', captured_minor = $2
            WHERE key = $1 AND state = 'authorized' AND amount_minor >= $2";
        let now = self.clock.now();
        self.change(|mut tx| async move {
            let taken = on!(&mut tx, |conn| sqlx::query(CAPTURE)
                .bind(intent)
                .bind(amount.minor())
                .execute(conn)
                .await?
                .rows_affected());
            if taken > 0 {
                sandbox_books::enter_charge(&mut tx, intent, amount, now).await?;
            }
            Ok((tx, ()))
        })
        .await?;
        self.read(intent).await
    }

    pub(super) async fn cancel(&self, intent: &str) -> Result<Intent, Trouble> {
        const CANCEL: &str = "
            UPDATE sandbox_payments SET state = 'cancelled'
            WHERE key = $1 AND state IN ('authorized', 'requires_action', 'declined')";
        self.change(|mut tx| async move {
            on!(&mut tx, |conn| sqlx::query(CANCEL).bind(intent).execute(conn).await?.rows_affected());
            Ok((tx, ()))
        })
        .await?;
        self.read(intent).await
    }

    pub(super) async fn begin_setup(
        &self,
        customer: &str,
        _: &str,
        test: Option<TestMethod>,
    ) -> Result<Setup, Trouble> {
        const BEGIN: &str = "
            INSERT INTO sandbox_setups (id, customer_id, method, state, created_at_ms) VALUES ($1, $2, $3, $4, $5)";
        let test = test.unwrap_or(TestMethod::Card);
        let state = match test {
            TestMethod::Declined => "failed",
            TestMethod::ThreeDs => "requires_action",
            _ => "saved",
        };
        // Setups have no id of their own kind outside of the sandbox.
        let id = format!("seti_sandbox_{}", AuditId::fresh().as_str().rsplit('_').next().unwrap_or_default());
        let now = self.clock.now();
        self.change(|mut tx| {
            let id = &id;
            async move {
                on!(&mut tx, |conn| sqlx::query(BEGIN)
                    .bind(id)
                    .bind(customer)
                    .bind(test.as_str())
                    .bind(state)
                    .bind(now)
                    .execute(conn)
                    .await?
                    .rows_affected());
                Ok((tx, ()))
            }
        })
        .await?;
        self.read_setup(&id).await
    }

    pub(super) async fn read_setup(&self, id: &str) -> Result<Setup, Trouble> {
        const FIND: &str = "SELECT customer_id, method, state FROM sandbox_setups WHERE id = $1";
        let found: Option<(String, String, String)> = self
            .change(|mut tx| async move {
                let row = on!(&mut tx, |conn| sqlx::query_as(FIND).bind(id).fetch_optional(conn).await?);
                Ok((tx, row))
            })
            .await?;
        let (customer, method, state) =
            found.ok_or_else(|| Trouble::Refused { code: "resource_missing".to_owned() })?;
        let test = test_of(&method);
        let state = match state.as_str() {
            "saved" => SetupState::Saved,
            "failed" => SetupState::Failed,
            _ => SetupState::RequiresAction,
        };
        let card = || CardFace {
            // One name a saving: the same number saved twice is two cards, which may be removed apart.
            method: format!("{method}:{}", id.rsplit('_').next().unwrap_or_default()),
            customer,
            brand: "visa".to_owned(),
            last4: test.number().chars().skip(12).collect(),
            exp_month: GOOD_UNTIL.0,
            exp_year: GOOD_UNTIL.1,
        };
        Ok(Setup {
            id: id.to_owned(),
            state,
            action: (state == SetupState::RequiresAction).then(|| page(id)),
            card: (state == SetupState::Saved).then(card),
        })
    }

    /// What the buyer did on the sandbox's page. `false`: nothing is asked there, or not any more.
    pub(in crate::commerce) async fn act(&self, id: &str, outcome: Outcome) -> Result<bool, Trouble> {
        const PAYMENT: &str = "
            UPDATE sandbox_payments SET
                state = CASE WHEN $2 = 'refuse' THEN 'declined'
                             WHEN method IN ('sandbox_paypay', 'sandbox_konbini') THEN 'captured'
                             ELSE 'authorized' END,
                captured_minor = CASE WHEN $2 <> 'refuse' AND method IN ('sandbox_paypay', 'sandbox_konbini')
                                      THEN amount_minor ELSE 0 END
            WHERE key = $1 AND state = 'requires_action'";
        const SETUP: &str = "
            UPDATE sandbox_setups SET state = CASE WHEN $2 = 'refuse' THEN 'failed' ELSE 'saved' END
            WHERE id = $1 AND state = 'requires_action'";
        let word = if outcome == Outcome::Refuse { "refuse" } else { "approve" };
        let is_setup = id.starts_with("seti_");
        let now = self.clock.now();
        let statement = if is_setup { SETUP } else { PAYMENT };
        let changed = self
            .change(|mut tx| async move {
                let rows = on!(&mut tx, |conn| sqlx::query(statement)
                    .bind(id)
                    .bind(word)
                    .execute(conn)
                    .await?
                    .rows_affected());
                if rows > 0 && !is_setup {
                    enter_if_taken(&mut tx, id, now).await?;
                }
                Ok((tx, rows))
            })
            .await?;
        if changed > 0 {
            let kind = match (is_setup, outcome) {
                (true, Outcome::Approve) => "setup_intent.succeeded",
                (true, Outcome::Refuse) => "setup_intent.setup_failed",
                (false, Outcome::Approve) => "payment_intent.amount_capturable_updated",
                (false, Outcome::Refuse) => "payment_intent.payment_failed",
            };
            self.say(kind, if is_setup { "setup_intent" } else { "payment_intent" }, id);
        }
        Ok(changed > 0)
    }

    /// Sends a signed message.
    fn say(&self, kind: &str, object: &str, id: &str) {
        let now = self.clock.now();
        let event = AuditId::fresh();
        let event = format!("evt_sandbox_{}", event.as_str().rsplit('_').next().unwrap_or_default());
        let body = json!({
            "id": event, "object": "event", "type": kind, "created": now.0 / 1_000,
            "data": { "object": { "id": id, "object": object } },
        });
        let body = body.to_string().into_bytes();
        let signature = signature::sign(&body, &self.secret, now);
        if self.messages.try_send(Signed { body, signature }).is_err() {
            tracing::warn!("a message of the sandbox was lost; the payment is asked about later");
        }
    }

    pub(super) fn event(&self, raw: &[u8], header: &str, now: Millis) -> Result<Event, SignatureFault> {
        #[derive(Deserialize)]
        struct Body {
            id: String,
            #[serde(rename = "type")]
            kind: String,
            created: i64,
            data: Data,
        }
        #[derive(Deserialize)]
        struct Data {
            object: Object,
        }
        #[derive(Deserialize)]
        struct Object {
            id: String,
            object: String,
        }
        signature::verify(raw, header, &[&*self.secret], now)?;
        let body: Body = serde_json::from_slice(raw).map_err(|_| SignatureFault::NoEvent)?;
        let id = body.data.object.id;
        let object = match body.data.object.object.as_str() {
            "payment_intent" => EventObject::Intent(id),
            "refund" => EventObject::Refund(id),
            "setup_intent" => EventObject::Setup(id),
            _ => EventObject::Other(id),
        };
        Ok(Event { id: body.id, kind: body.kind, object, created: Millis(body.created.saturating_mul(1_000)) })
    }

    async fn row(&self, key: &str) -> Result<Option<Row>, Trouble> {
        const FIND: &str =
            "SELECT key, method, amount_minor, state, captured_minor FROM sandbox_payments WHERE key = $1";
        let found = async {
            let mut tx = self.db.read("sandbox books").await?;
            Ok(on!(&mut tx, |conn| sqlx::query_as(FIND).bind(key).fetch_optional(conn).await?))
        };
        found.await.map_err(|error| away(&error))
    }

    async fn change<T, F>(&self, work: impl FnOnce(Tx) -> F) -> Result<T, Trouble>
    where
        F: Future<Output = Result<(Tx, T), StoreError>>,
    {
        let done = async {
            let tx = self.db.write("sandbox books").await?;
            let (tx, value) = work(tx).await?;
            tx.commit().await?;
            Ok(value)
        };
        done.await.map_err(|error| away(&error))
    }
}

/// Enters what a wallet or a shop took at once into the books.
async fn enter_if_taken(tx: &mut Tx, key: &str, now: Millis) -> Result<(), StoreError> {
    const TAKEN: &str = "SELECT captured_minor FROM sandbox_payments WHERE key = $1 AND state = 'captured'";
    let taken: Option<(i64,)> = on!(tx, |conn| sqlx::query_as(TAKEN).bind(key).fetch_optional(conn).await?);
    match taken.map(|(minor,)| Money::yen(minor)) {
        Some(Ok(amount)) => sandbox_books::enter_charge(tx, key, amount, now).await,
        _ => Ok(()),
    }
}

/// The sandbox's own page, where a bank or a shop would be.
fn page(id: &str) -> Action {
    Action::Redirect { url: format!("/sandbox/action?intent={id}") }
}

fn away(error: &StoreError) -> Trouble {
    tracing::warn!(error = %error, "sandbox books are away");
    Trouble::NoAnswer
}

async fn keep_books(
    db: Db,
    clock: Clock,
    mut requests: mpsc::Receiver<Request>,
    stopping: tokio_util::sync::CancellationToken,
) {
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
}

/// Writes what is new, and reads what stands under every key.
async fn book(db: &Db, requests: &[Request], now: Millis) -> Result<Vec<(Row, bool)>, StoreError> {
    const KNOWN: &str = "
        SELECT s.key, s.method, s.amount_minor, s.state, s.captured_minor
        FROM rows CROSS JOIN sandbox_payments s
        WHERE s.key = rows.key";
    const BOOK: &str = "
        INSERT INTO sandbox_payments (key, method, amount_minor, currency, state, captured_minor, created_at_ms)
        SELECT key, method, amount_minor, currency, state, 0, at_ms FROM rows WHERE true
        ON CONFLICT (key) DO NOTHING";
    let mut tx: Tx = db.write("sandbox charge").await?;
    let mut rows = Rows::new(&[
        ("key", Kind::Text),
        ("method", Kind::Text),
        ("amount_minor", Kind::Number),
        ("currency", Kind::Text),
        ("state", Kind::Text),
        ("at_ms", Kind::Number),
    ]);
    for request in requests {
        rows.push([
            request.key.as_str().into(),
            request.method.as_str().into(),
            request.amount.minor().into(),
            request.amount.currency().as_str().into(),
            request.state.into(),
            now.into(),
        ]);
    }
    let known: Vec<Row> = rows.fetch(&mut tx, KNOWN).await?;
    let mut known: HashMap<String, Row> = known.into_iter().map(|row| (row.key.clone(), row)).collect();
    rows.execute(&mut tx, BOOK).await?;
    tx.commit().await?;
    Ok(requests
        .iter()
        .map(|request| match known.get(&request.key) {
            Some(row) => (row.clone(), false),
            None => {
                let row = Row {
                    key: request.key.clone(),
                    method: request.method.as_str().to_owned(),
                    amount_minor: request.amount.minor(),
                    state: request.state.to_owned(),
                    captured_minor: 0,
                };
                known.insert(request.key.clone(), row.clone());
                (row, true)
            }
        })
        .collect())
}
