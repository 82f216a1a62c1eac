//! Table: payment_attempts, payments_to_end: tries to collect money, and those whose money is to be let go.
//!
//! A try's state is written under its purchase's lock or alone; either way only upwards ([`AttemptState::rank`]).

use std::collections::{BTreeSet, HashSet};

use super::{
    attempt::{AttemptState, Learned, ask_again_after_ms},
    payment::{Method, Slow},
    purchase::State,
    records::{self, Purchase},
};
use crate::{
    clock::Millis,
    ids::{AttemptId, PurchaseId},
    money::Currency,
    on,
    store::{Kind, Rows, StoreError, Tx},
};

/// One try to collect money.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct Attempt {
    pub(super) purchase_id: PurchaseId,
    pub(super) n: i32,
    pub(super) method: String,
    pub(super) slow: bool,
    pub(super) amount_minor: i64,
    pub(super) currency: Currency,
    pub(super) state: AttemptState,
    pub(super) intent_id: Option<String>,
    pub(super) created_at_ms: Millis,
    pub(super) turn_at_ms: Millis,
    pub(super) let_go_at_ms: Option<Millis>,
    pub(super) asks: i32,
}

/// Columns of [`Attempt`].
macro_rules! attempt_columns {
    () => {
        "a.purchase_id, a.n, a.method, a.slow, a.amount_minor, a.currency, a.state, a.intent_id, \
         a.created_at_ms, a.turn_at_ms, a.let_go_at_ms, a.asks"
    };
}

impl Attempt {
    /// The first try to collect a purchase, as [`insert`] writes it; its turn with the provider is reckoned to come then.
    pub(super) fn first(purchase: &Purchase, method: &Method, slow: Slow, turn_at: Millis) -> Self {
        Self {
            purchase_id: purchase.id.clone(),
            n: 1,
            method: method.as_str().to_owned(),
            slow: slow == Slow::Allowed,
            amount_minor: purchase.total_minor,
            currency: purchase.currency,
            state: AttemptState::Created,
            intent_id: None,
            created_at_ms: purchase.placed_at_ms,
            turn_at_ms: turn_at,
            let_go_at_ms: None,
            asks: 0,
        }
    }

    /// Under which the provider is asked: the same try has the same answer.
    pub(super) fn key(&self) -> String {
        format!("pi:{}:{}", self.purchase_id, self.n)
    }

    pub(super) fn slow(&self) -> Slow {
        if self.slow { Slow::Allowed } else { Slow::Refused }
    }
}

/// Whose try this key names, and which.
pub(super) fn parse_key(key: &str) -> Option<(PurchaseId, i32)> {
    let (purchase, n) = key.strip_prefix("pi:")?.rsplit_once(':')?;
    Some((PurchaseId::parse(purchase).ok()?, n.parse().ok()?))
}

/// A try that is to be written.
#[derive(Debug)]
pub(super) struct NewAttempt<'a> {
    pub(super) purchase: &'a Purchase,
    pub(super) method: &'a Method,
    pub(super) slow: Slow,
    /// When its turn with the provider is reckoned to come …
    pub(super) turn_at: Millis,
    /// … and from when on others than who wrote it may ask.
    pub(super) ask_at: Millis,
}

/// Writes the first try of purchases; a second call changes nothing.
pub(super) async fn insert(
    tx: &mut Tx,
    attempts: &[NewAttempt<'_>],
    provider: &'static str,
    now: Millis,
) -> Result<(), StoreError> {
    const INSERT: &str = "
        INSERT INTO payment_attempts (id, purchase_id, n, provider, method, slow, amount_minor, currency, state, rank,
                                      created_at_ms, turn_at_ms, updated_at_ms, ask_at_ms)
        SELECT id, purchase_id, 1, provider, method, slow, amount_minor, currency, 'created', 0, at_ms, turn_at_ms, at_ms,
               ask_at_ms
        FROM rows WHERE true
        ON CONFLICT (purchase_id, n) DO NOTHING";
    let mut rows = Rows::new(&[
        ("id", Kind::Text),
        ("purchase_id", Kind::Text),
        ("provider", Kind::Text),
        ("method", Kind::Text),
        ("slow", Kind::Flag),
        ("amount_minor", Kind::Number),
        ("currency", Kind::Text),
        ("at_ms", Kind::Number),
        ("turn_at_ms", Kind::Number),
        ("ask_at_ms", Kind::Number),
    ]);
    for attempt in attempts {
        rows.push([
            String::from(AttemptId::fresh()).into(),
            (&attempt.purchase.id).into(),
            provider.into(),
            attempt.method.as_str().into(),
            (attempt.slow == Slow::Allowed).into(),
            attempt.purchase.total_minor.into(),
            attempt.purchase.currency.as_str().into(),
            now.into(),
            attempt.turn_at.into(),
            attempt.ask_at.into(),
        ]);
    }
    rows.execute(tx, INSERT).await?;
    Ok(())
}

/// The newest try of a purchase.
pub(super) async fn find(tx: &mut Tx, purchase: &PurchaseId) -> Result<Option<Attempt>, StoreError> {
    const FIND: &str = concat!(
        "SELECT ",
        attempt_columns!(),
        " FROM payment_attempts a WHERE a.purchase_id = $1 ORDER BY a.n DESC LIMIT 1"
    );
    Ok(on!(tx, |conn| sqlx::query_as::<_, Attempt>(FIND).bind(purchase).fetch_optional(conn).await?))
}

/// The try that the provider calls so.
pub(super) async fn find_by_intent(tx: &mut Tx, intent: &str) -> Result<Option<Attempt>, StoreError> {
    const FIND: &str = concat!("SELECT ", attempt_columns!(), " FROM payment_attempts a WHERE a.intent_id = $1");
    const BY_KEY: &str =
        concat!("SELECT ", attempt_columns!(), " FROM payment_attempts a WHERE a.purchase_id = $1 AND a.n = $2");
    if let Some((purchase, n)) = parse_key(intent) {
        return Ok(on!(tx, |conn| sqlx::query_as::<_, Attempt>(BY_KEY)
            .bind(&purchase)
            .bind(n)
            .fetch_optional(conn)
            .await?));
    }
    Ok(on!(tx, |conn| sqlx::query_as::<_, Attempt>(FIND).bind(intent).fetch_optional(conn).await?))
}

/// Writes what was learned of the newest tries of purchases: states only upwards, and a name once.
pub(super) async fn learn(tx: &mut Tx, marks: &[(PurchaseId, Learned)], now: Millis) -> Result<(), StoreError> {
    const LEARN: &str = "
        UPDATE payment_attempts SET
            state = rows.state, rank = rows.rank, updated_at_ms = rows.at_ms,
            intent_id = COALESCE(payment_attempts.intent_id, rows.intent_id),
            charge_id = COALESCE(rows.charge_id, payment_attempts.charge_id),
            captured_minor = COALESCE(rows.captured_minor, payment_attempts.captured_minor),
            decline_code = COALESCE(rows.decline_code, payment_attempts.decline_code),
            capture_before_ms = COALESCE(rows.capture_before_ms, payment_attempts.capture_before_ms),
            action_until_ms = COALESCE(payment_attempts.action_until_ms, rows.action_until_ms),
            asks = payment_attempts.asks + 1,
            ask_at_ms = rows.ask_at_ms
        FROM rows
        WHERE payment_attempts.purchase_id = rows.purchase_id
          AND payment_attempts.n = (SELECT MAX(a.n) FROM payment_attempts a WHERE a.purchase_id = rows.purchase_id)
          AND payment_attempts.rank <= rows.rank";
    let mut rows = Rows::new(&[
        ("purchase_id", Kind::Text),
        ("state", Kind::Text),
        ("rank", Kind::Number),
        ("intent_id", Kind::Text),
        ("charge_id", Kind::Text),
        ("captured_minor", Kind::Number),
        ("decline_code", Kind::Text),
        ("capture_before_ms", Kind::Number),
        ("action_until_ms", Kind::Number),
        ("at_ms", Kind::Number),
        ("ask_at_ms", Kind::Number),
    ]);
    for (purchase, learned) in marks {
        // Where our key is the provider's name too, it need not be kept twice.
        let intent = learned.intent.as_deref().filter(|name| parse_key(name).is_none());
        rows.push([
            purchase.into(),
            learned.state.as_str().into(),
            i64::from(learned.state.rank()).into(),
            intent.into(),
            learned.charge.as_deref().into(),
            learned.captured_minor.into(),
            learned.decline_code.as_deref().into(),
            learned.capture_before.into(),
            learned.action_until.into(),
            now.into(),
            Millis(now.0 + ask_again_after_ms(learned.state, 0)).into(),
        ]);
    }
    rows.execute(tx, LEARN).await?;
    Ok(())
}

/// Notes that a try was asked about and nothing was learned; the next time is later.
pub(super) async fn asked_in_vain(
    tx: &mut Tx,
    attempt: &Attempt,
    state: AttemptState,
    now: Millis,
) -> Result<(), StoreError> {
    const NOTE: &str = "
        UPDATE payment_attempts SET
            state = CASE WHEN rank < $3 THEN $4 ELSE state END, rank = CASE WHEN rank < $3 THEN $3 ELSE rank END,
            asks = asks + 1, ask_at_ms = $5, updated_at_ms = $6
        WHERE purchase_id = $1 AND n = $2";
    let next = Millis(now.0 + ask_again_after_ms(state, attempt.asks));
    on!(tx, |conn| sqlx::query(NOTE)
        .bind(&attempt.purchase_id)
        .bind(attempt.n)
        .bind(state.rank())
        .bind(state)
        .bind(next)
        .bind(now)
        .execute(conn)
        .await?
        .rows_affected());
    Ok(())
}

/// Unpaid purchases whose payment has no last word: those that are due to be asked about, or all.
pub(super) async fn unsettled(tx: &mut Tx, due: Option<Millis>, limit: i64) -> Result<Vec<PurchaseId>, StoreError> {
    const LIST: &str = "
        SELECT p.id
        FROM purchases p
        JOIN payment_attempts a ON a.purchase_id = p.id
        WHERE p.state IN ('paying', 'requires_action') AND a.ask_at_ms <= $1
        ORDER BY a.ask_at_ms
        LIMIT $2";
    let rows: Vec<(PurchaseId,)> =
        on!(tx, |conn| sqlx::query_as(LIST).bind(due.unwrap_or(Millis(i64::MAX))).bind(limit).fetch_all(conn).await?);
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Purchases whose buyers did not do in time what their bank asked.
pub(super) async fn acted_too_late(tx: &mut Tx, now: Millis, limit: i64) -> Result<Vec<Attempt>, StoreError> {
    const LIST: &str = concat!(
        "SELECT ",
        attempt_columns!(),
        " FROM purchases p JOIN payment_attempts a ON a.purchase_id = p.id
          WHERE p.state IN ('paying', 'requires_action') AND a.state = 'requires_action' AND a.action_until_ms <= $1
          ORDER BY a.action_until_ms LIMIT $2"
    );
    Ok(on!(tx, |conn| sqlx::query_as::<_, Attempt>(LIST).bind(now).bind(limit).fetch_all(conn).await?))
}

/// Decides that nothing is sold for a purchase's money any more, under the purchase's lock; money words that are under way
/// find it. `false`: that cannot be, as the purchase stands now.
pub(super) async fn begin_to_let_go(
    tx: &mut Tx,
    purchase: &PurchaseId,
    may: impl Fn(State) -> bool,
    now: Millis,
) -> Result<bool, StoreError> {
    const MARK: &str = "
        UPDATE payment_attempts SET let_go_at_ms = COALESCE(let_go_at_ms, $2) WHERE purchase_id = $1";
    let locked = records::lock(tx, &BTreeSet::from([purchase])).await?;
    if !locked.iter().all(|purchase| may(purchase.state)) {
        return Ok(false);
    }
    on!(tx, |conn| sqlx::query(MARK).bind(purchase).bind(now).execute(conn).await?.rows_affected());
    Ok(true)
}

/// Those of these purchases, which this transaction has locked, whose money is being let go.
pub(super) async fn being_let_go(tx: &mut Tx, purchases: &[PurchaseId]) -> Result<HashSet<PurchaseId>, StoreError> {
    const LIST: &str = "
        SELECT a.purchase_id
        FROM rows CROSS JOIN payment_attempts a
        WHERE a.purchase_id = rows.purchase_id AND a.let_go_at_ms IS NOT NULL";
    let mut rows = Rows::new(&[("purchase_id", Kind::Text)]);
    for purchase in purchases {
        rows.push([purchase.into()]);
    }
    Ok(rows.fetch::<(PurchaseId,)>(tx, LIST).await?.into_iter().map(|(id,)| id).collect())
}

/// Notes that whatever money the tries of these purchases may still bring is to be let go.
pub(super) async fn end(tx: &mut Tx, purchases: &BTreeSet<PurchaseId>, now: Millis) -> Result<(), StoreError> {
    const NOTE: &str = "
        INSERT INTO payments_to_end (purchase_id, n, tries, try_at_ms)
        SELECT a.purchase_id, a.n, 0, rows.at_ms
        FROM rows CROSS JOIN payment_attempts a
        WHERE a.purchase_id = rows.purchase_id AND a.state NOT IN ('cancelled', 'returned')
        ON CONFLICT (purchase_id, n) DO NOTHING";
    let mut rows = Rows::new(&[("purchase_id", Kind::Text), ("at_ms", Kind::Number)]);
    for purchase in purchases {
        rows.push([purchase.into(), now.into()]);
    }
    rows.execute(tx, NOTE).await?;
    Ok(())
}

/// Tries whose money is to be let go and that are due, with how often that was tried.
pub(super) async fn to_end(tx: &mut Tx, due: Millis, limit: i64) -> Result<Vec<(Attempt, i32)>, StoreError> {
    const LIST: &str = concat!(
        "SELECT ",
        attempt_columns!(),
        ", e.tries
          FROM payments_to_end e
          JOIN payment_attempts a ON a.purchase_id = e.purchase_id AND a.n = e.n
          WHERE e.try_at_ms <= $1 ORDER BY e.try_at_ms LIMIT $2"
    );
    #[derive(sqlx::FromRow)]
    struct Row {
        #[sqlx(flatten)]
        attempt: Attempt,
        tries: i32,
    }
    let rows: Vec<Row> = on!(tx, |conn| sqlx::query_as(LIST).bind(due).bind(limit).fetch_all(conn).await?);
    Ok(rows.into_iter().map(|row| (row.attempt, row.tries)).collect())
}

/// The money of this try was let go, or it has an order after all.
pub(super) async fn ended(tx: &mut Tx, attempt: &Attempt) -> Result<(), StoreError> {
    const DONE: &str = "DELETE FROM payments_to_end WHERE purchase_id = $1 AND n = $2";
    on!(tx, |conn| sqlx::query(DONE).bind(&attempt.purchase_id).bind(attempt.n).execute(conn).await?.rows_affected());
    Ok(())
}

/// It could not be let go; it is tried again later.
pub(super) async fn end_later(tx: &mut Tx, attempt: &Attempt, at: Millis) -> Result<(), StoreError> {
    const LATER: &str =
        "UPDATE payments_to_end SET tries = tries + 1, try_at_ms = $3 WHERE purchase_id = $1 AND n = $2";
    on!(tx, |conn| sqlx::query(LATER)
        .bind(&attempt.purchase_id)
        .bind(attempt.n)
        .bind(at)
        .execute(conn)
        .await?
        .rows_affected());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_its_try() {
        let purchase = PurchaseId::fresh();
        assert_eq!(parse_key(&format!("pi:{purchase}:3")), Some((purchase, 3)));
        assert_eq!(parse_key("pi_3Nabc"), None);
        assert_eq!(parse_key("pi:pur_1:1"), None);
    }
}
