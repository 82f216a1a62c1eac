//! Edge: the sandbox's refunds, and its books. Owns `sandbox_refunds` and `sandbox_entries`.
//!
//! It keeps what a real provider promises: a refund under a key is made once, nobody is given back more than was taken, and
//! every movement stands in books that can be read page by page. Cards behave as their names say: to one the first refund
//! fails, of another the first answer is lost, slow ones stay pending for a while.

use std::time::Duration;

use sqlx::AssertSqlSafe;

use super::{Entry, EntryKind, EntryPage, Method, RefundStatus, RefundWord, TestMethod, Trouble, sandbox::Sandbox};
use crate::{
    clock::Millis,
    ids::SandboxEntryId,
    money::{Money, share},
    on,
    store::{StoreError, Tx},
};

/// What the sandbox keeps of a charge: 3.6 %.
const FEE_BP: i32 = 360;
/// How long a slow method takes to give money back.
const SLOW_REFUND: Duration = Duration::from_secs(5);
/// Entries of one page.
const PAGE: i64 = 100;

/// Writes that money was taken; once for each payment.
pub(super) async fn enter_charge(tx: &mut Tx, key: &str, amount: Money, now: Millis) -> Result<(), StoreError> {
    enter(tx, "charge", amount.minor(), share(amount.minor(), FEE_BP), (key, key), now).await
}

async fn enter(
    tx: &mut Tx,
    kind: &'static str,
    amount_minor: i64,
    fee_minor: i64,
    (source, intent): (&str, &str),
    now: Millis,
) -> Result<(), StoreError> {
    const ENTER: &str = "
        INSERT INTO sandbox_entries (id, kind, amount_minor, fee_minor, source, intent, at_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (kind, source) DO NOTHING";
    on!(tx, |conn| sqlx::query(ENTER)
        .bind(SandboxEntryId::fresh())
        .bind(kind)
        .bind(amount_minor)
        .bind(fee_minor)
        .bind(source)
        .bind(intent)
        .bind(now)
        .execute(conn)
        .await
        .map(drop)?);
    Ok(())
}

/// By which card a payment was made.
async fn method_of(tx: &mut Tx, intent: &str) -> Result<Option<TestMethod>, StoreError> {
    const FIND: &str = "SELECT method FROM sandbox_payments WHERE key = $1";
    let found: Option<(String,)> = on!(tx, |conn| sqlx::query_as(FIND).bind(intent).fetch_optional(conn).await?);
    Ok(found.and_then(|(method,)| match Method::parse(&method) {
        Ok(Method::Test(test)) => Some(test),
        _ => None,
    }))
}

/// What was taken by a payment; its row is locked.
async fn taken(tx: &mut Tx, intent: &str) -> Result<Option<i64>, StoreError> {
    let lock = format!("SELECT s.state FROM sandbox_payments s WHERE s.key = $1{}", tx.locking("s"));
    const TAKEN: &str = "SELECT amount_minor FROM sandbox_entries WHERE kind = 'charge' AND source = $1";
    let _: Option<(String,)> =
        on!(tx, |conn| sqlx::query_as(AssertSqlSafe(lock)).bind(intent).fetch_optional(conn).await?);
    let found: Option<(i64,)> = on!(tx, |conn| sqlx::query_as(TAKEN).bind(intent).fetch_optional(conn).await?);
    Ok(found.map(|(minor,)| minor))
}

#[derive(sqlx::FromRow)]
struct Row {
    key: String,
    intent: String,
    amount_minor: i64,
    state: String,
    failure: Option<String>,
    created_at_ms: Millis,
}

impl Row {
    fn word(self) -> RefundWord {
        let status = match self.state.as_str() {
            "succeeded" => RefundStatus::Succeeded,
            "failed" => RefundStatus::Failed,
            _ => RefundStatus::Pending,
        };
        RefundWord { id: self.key, status, amount_minor: self.amount_minor, failure: self.failure }
    }
}

async fn find(tx: &mut Tx, key: &str) -> Result<Option<Row>, StoreError> {
    const FIND: &str =
        "SELECT key, intent, amount_minor, state, failure, created_at_ms FROM sandbox_refunds WHERE key = $1";
    Ok(on!(tx, |conn| sqlx::query_as::<_, Row>(FIND).bind(key).fetch_optional(conn).await?))
}

/// What the sandbox says, and whether it says so for the first time.
type Said = Result<(Row, bool), Trouble>;

async fn give_back(tx: &mut Tx, intent: &str, amount: Money, key: &str, now: Millis) -> Result<Said, StoreError> {
    const GIVEN: &str = "
        SELECT COUNT(*), CAST(COALESCE(SUM(CASE WHEN state = 'failed' THEN 0 ELSE amount_minor END), 0) AS BIGINT)
        FROM sandbox_refunds
        WHERE intent = $1";
    const WRITE: &str = "
        INSERT INTO sandbox_refunds (key, intent, amount_minor, state, failure, created_at_ms)
        VALUES ($1, $2, $3, $4, $5, $6)";
    let refused = |code: &str| Ok(Err(Trouble::Refused { code: code.to_owned() }));
    let Some(taken) = taken(tx, intent).await? else { return refused("charge_not_captured") };
    if let Some(known) = find(tx, key).await? {
        let same = known.intent == intent && known.amount_minor == amount.minor();
        return Ok(if same { Ok((known, false)) } else { Err(Trouble::KeyMet) });
    }
    let (times, given): (i64, i64) = on!(tx, |conn| sqlx::query_as(GIVEN).bind(intent).fetch_one(conn).await?);
    if given + amount.minor() > taken {
        return refused("charge_already_refunded");
    }
    let (state, failure) = match method_of(tx, intent).await? {
        Some(TestMethod::RefundFails) if times == 0 => ("failed", Some("lost_or_stolen_card")),
        Some(TestMethod::Slow | TestMethod::Konbini) => ("pending", None),
        _ => ("succeeded", None),
    };
    on!(tx, |conn| sqlx::query(WRITE)
        .bind(key)
        .bind(intent)
        .bind(amount.minor())
        .bind(state)
        .bind(failure)
        .bind(now)
        .execute(conn)
        .await
        .map(drop)?);
    if state == "succeeded" {
        enter(tx, "refund", -amount.minor(), 0, (key, intent), now).await?;
    }
    Ok(find(tx, key).await?.map(|row| (row, true)).ok_or(Trouble::NoAnswer))
}

fn away(error: &StoreError) -> Trouble {
    tracing::warn!(error = %error, "sandbox books are away");
    Trouble::NoAnswer
}

impl Sandbox {
    pub(super) async fn refund(&self, intent: &str, amount: Money, key: &str) -> Result<RefundWord, Trouble> {
        let done = async {
            let mut tx = self.db.write("sandbox refund").await?;
            let lost = method_of(&mut tx, intent).await? == Some(TestMethod::Lost);
            let said = give_back(&mut tx, intent, amount, key, self.clock.now()).await?;
            tx.commit().await?;
            Ok(said.and_then(|(row, first)| if lost && first { Err(Trouble::NoAnswer) } else { Ok(row.word()) }))
        };
        done.await.map_err(|error: StoreError| away(&error))?
    }

    pub(super) async fn read_refund(&self, id: &str) -> Result<RefundWord, Trouble> {
        const ARRIVE: &str = "UPDATE sandbox_refunds SET state = 'succeeded' WHERE key = $1 AND state = 'pending'";
        let read = async {
            let mut tx = self.db.write("sandbox refund").await?;
            let now = self.clock.now();
            if let Some(row) = find(&mut tx, id).await?
                && row.state == "pending"
                && now >= row.created_at_ms.plus(SLOW_REFUND)
            {
                on!(&mut tx, |conn| sqlx::query(ARRIVE).bind(id).execute(conn).await.map(drop)?);
                enter(&mut tx, "refund", -row.amount_minor, 0, (id, &row.intent), now).await?;
            }
            let row = find(&mut tx, id).await?;
            tx.commit().await?;
            Ok(row.map(Row::word).ok_or_else(|| Trouble::Refused { code: "resource_missing".to_owned() }))
        };
        read.await.map_err(|error: StoreError| away(&error))?
    }

    pub(super) async fn find_refund(&self, intent: &str, key: &str) -> Result<Option<RefundWord>, Trouble> {
        let found = async {
            let mut tx = self.db.read("sandbox refund").await?;
            find(&mut tx, key).await
        };
        Ok(found.await.map_err(|error: StoreError| away(&error))?.filter(|row| row.intent == intent).map(Row::word))
    }

    pub(super) async fn entries(&self, from: Millis, to: Millis, after: Option<&str>) -> Result<EntryPage, Trouble> {
        type Row = (String, String, i64, i64, String, String, Millis);
        const READ: &str = "
            SELECT id, kind, amount_minor, fee_minor, source, intent, at_ms
            FROM sandbox_entries
            WHERE at_ms >= $1 AND at_ms < $2 AND id > $3
            ORDER BY id
            LIMIT $4";
        let read = async {
            let mut tx = self.db.read("sandbox books").await?;
            Ok(on!(&mut tx, |conn| sqlx::query_as::<_, Row>(READ)
                .bind(from)
                .bind(to)
                .bind(after.unwrap_or_default())
                .bind(PAGE + 1)
                .fetch_all(conn)
                .await?))
        };
        let mut rows: Vec<Row> = read.await.map_err(|error: StoreError| away(&error))?;
        let page = usize::try_from(PAGE).unwrap_or(usize::MAX);
        let more = rows.len() > page;
        rows.truncate(page);
        let entry = |(id, kind, amount_minor, fee_minor, source, intent, at): Row| Entry {
            id,
            kind: match kind.as_str() {
                "charge" => EntryKind::Charge,
                "refund" => EntryKind::Refund,
                "refund_failure" => EntryKind::RefundFailure,
                "fee" => EntryKind::Fee,
                "payout" => EntryKind::Payout,
                "dispute" => EntryKind::Dispute,
                _ => EntryKind::Other,
            },
            amount_minor,
            fee_minor,
            net_minor: amount_minor - fee_minor,
            source: Some(source),
            intent: Some(intent),
            at,
        };
        Ok(EntryPage { entries: rows.into_iter().map(entry).collect(), more })
    }
}
