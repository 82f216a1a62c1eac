//! Table: findings, reconciliation_runs: what the provider's books and ours do not agree on, until somebody has dealt with
//! it.
//!
//! A finding is named by its kind and what it is about, so looking again finds the same one. Who has resolved it has
//! resolved it; one that went away by itself opens again when it comes back.

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::AssertSqlSafe;

use crate::{
    clock::Millis,
    ids::{AccountId, FindingId, OrderId, RefundId, RunId},
    on,
    store::{Kind, Rows, StoreError, Tx},
};

/// Findings that one run looks at of each kind: more than anybody can look into.
const MAX_FOUND: i64 = 1_000;

crate::stored_choice! {
    /// What does not agree.
    FindingKind {
        /// The provider took money for which there is no order.
        UnknownCharge = "unknown_charge",
        /// The provider gave money back that we did not.
        UnknownRefund = "unknown_refund",
        /// Both know of it, with different amounts.
        AmountDiffers = "amount_differs",
        /// We took money of which the provider's books know nothing after a day.
        MissingCharge = "missing_charge",
        /// We gave money back of which the provider's books know nothing after a day.
        MissingRefund = "missing_refund",
        /// A refund did not arrive.
        RefundFailed = "refund_failed",
        /// A buyer disputes a payment at their bank.
        Dispute = "dispute",
        /// A line that is none of these.
        OtherEntry = "other_entry",
        /// Money that is reserved for an order runs out within a day, and was not taken.
        CaptureDue = "capture_due",
    }
}

crate::stored_choice! {
    /// How a finding is resolved.
    How {
        /// By itself: it is so no more.
        Settled = "settled",
        /// The stray charge is given back.
        RefundCharge = "refund_charge",
        /// The difference is set aside, and the books agree again.
        BookToSuspense = "book_to_suspense",
        /// The provider is asked again; it may stay open.
        AskAgain = "ask_again",
        /// Nothing is done; the note says why.
        Accept = "accept",
    }
}

impl FindingKind {
    /// In which ways somebody may resolve it. Money of an order that is sold is not given back: it is taken for it.
    #[must_use]
    pub fn ways(self, order: Option<&OrderId>) -> &'static [How] {
        match self {
            Self::UnknownCharge if order.is_some() => &[How::BookToSuspense, How::Accept],
            Self::UnknownCharge => &[How::RefundCharge, How::BookToSuspense, How::Accept],
            Self::UnknownRefund | Self::AmountDiffers | Self::Dispute | Self::OtherEntry => {
                &[How::BookToSuspense, How::Accept]
            }
            Self::MissingCharge | Self::MissingRefund => &[How::AskAgain, How::BookToSuspense, How::Accept],
            Self::RefundFailed => &[How::AskAgain, How::Accept],
            Self::CaptureDue => &[How::Accept],
        }
    }
}

/// What does not agree.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Finding {
    /// Its id.
    pub id: FindingId,
    /// What kind.
    pub kind: FindingKind,
    /// `open` or `resolved`.
    pub state: String,
    /// A line of the provider's books, an order or a refund.
    pub subject: String,
    /// What our books say.
    pub ours_minor: i64,
    /// What the provider's say.
    pub theirs_minor: i64,
    /// The provider's name of the payment.
    pub intent: Option<String>,
    /// Our order.
    pub order_id: Option<OrderId>,
    /// Our refund.
    pub refund_id: Option<RefundId>,
    /// When it was found.
    pub found_at_ms: Millis,
    /// When it was resolved.
    pub resolved_at_ms: Option<Millis>,
    /// In which way.
    pub how: Option<How>,
    /// What whoever resolved it says.
    pub note: Option<String>,
    /// In which ways it can be resolved.
    pub ways: Vec<How>,
    #[serde(skip)]
    pub(super) entry_id: Option<String>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: FindingId,
    kind: FindingKind,
    state: String,
    subject: String,
    ours_minor: i64,
    theirs_minor: i64,
    entry_id: Option<String>,
    intent: Option<String>,
    order_id: Option<OrderId>,
    refund_id: Option<RefundId>,
    found_at_ms: Millis,
    resolved_at_ms: Option<Millis>,
    how: Option<How>,
    note: Option<String>,
}

impl From<Row> for Finding {
    fn from(row: Row) -> Self {
        let open = row.state == "open";
        let ways = if open { row.kind.ways(row.order_id.as_ref()).to_vec() } else { Vec::new() };
        Self {
            id: row.id,
            kind: row.kind,
            state: row.state,
            subject: row.subject,
            ours_minor: row.ours_minor,
            theirs_minor: row.theirs_minor,
            intent: row.intent,
            order_id: row.order_id,
            refund_id: row.refund_id,
            found_at_ms: row.found_at_ms,
            resolved_at_ms: row.resolved_at_ms,
            how: row.how,
            note: row.note,
            ways,
            entry_id: row.entry_id,
        }
    }
}

macro_rules! finding_columns {
    () => {
        "SELECT id, kind, state, subject, ours_minor, theirs_minor, entry_id, intent, order_id, refund_id, found_at_ms, \
         resolved_at_ms, how, note FROM findings "
    };
}

/// Something that does not agree at this moment.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct Found {
    pub(super) subject: String,
    pub(super) ours_minor: i64,
    pub(super) theirs_minor: i64,
    pub(super) entry_id: Option<String>,
    pub(super) intent: Option<String>,
    pub(super) order_id: Option<OrderId>,
    pub(super) refund_id: Option<RefundId>,
}

/// Everything that does not agree at this moment. A line is judged when it is older than `judged`; what we have and the
/// provider not, when it is older than `missed`; reserved money, when it runs out before `lapsing`.
pub(super) async fn look(
    tx: &mut Tx,
    judged: Millis,
    missed: Millis,
    lapsing: Millis,
) -> Result<BTreeMap<FindingKind, Vec<Found>>, StoreError> {
    // A stray charge that the provider has given back by itself (late money) is even: nothing is left to do. Of a purchase
    // that is sold it names the order: our books only have not heard yet that its money was taken.
    const UNKNOWN_CHARGE: &str = "
        SELECT e.id AS subject, CAST(0 AS BIGINT) AS ours_minor, e.amount_minor AS theirs_minor, e.id AS entry_id, e.intent,
               CASE WHEN p.state IN ('authorized', 'captured', 'fulfilled') THEN o.id END AS order_id, NULL AS refund_id
        FROM provider_entries e
        LEFT JOIN orders o ON o.purchase_id = e.purchase_id
        LEFT JOIN purchases p ON p.id = e.purchase_id
        WHERE e.kind = 'charge' AND e.at_ms <= $1 AND (o.id IS NULL OR o.captured_minor = 0)
          AND (SELECT SUM(s.amount_minor) FROM provider_entries s
               WHERE s.intent = e.intent AND s.kind IN ('charge', 'refund', 'refund_failure')) <> 0";
    const UNKNOWN_REFUND: &str = "
        SELECT e.id AS subject, CAST(0 AS BIGINT) AS ours_minor, e.amount_minor AS theirs_minor, e.id AS entry_id, e.intent,
               o.id AS order_id, NULL AS refund_id
        FROM provider_entries e
        LEFT JOIN orders o ON o.purchase_id = e.purchase_id
        WHERE e.kind = 'refund' AND e.at_ms <= $1 AND e.refund_id IS NULL
          AND ((o.id IS NOT NULL AND o.captured_minor > 0) OR e.intent IS NULL
               OR (SELECT SUM(s.amount_minor) FROM provider_entries s
                   WHERE s.intent = e.intent AND s.kind IN ('charge', 'refund', 'refund_failure')) <> 0)";
    const AMOUNT_DIFFERS: &str = "
        SELECT e.id AS subject, o.captured_minor AS ours_minor, e.amount_minor AS theirs_minor, e.id AS entry_id, e.intent,
               o.id AS order_id, NULL AS refund_id
        FROM provider_entries e
        JOIN orders o ON o.purchase_id = e.purchase_id
        WHERE e.kind = 'charge' AND e.at_ms <= $1 AND o.captured_minor > 0 AND o.captured_minor <> e.amount_minor
        UNION ALL
        SELECT e.id, -f.amount_minor, e.amount_minor, e.id, e.intent, f.order_id, f.id
        FROM provider_entries e
        JOIN refunds f ON f.id = e.refund_id
        WHERE e.kind = 'refund' AND e.at_ms <= $1 AND -f.amount_minor <> e.amount_minor";
    const MISSING_CHARGE: &str = "
        SELECT o.id AS subject, o.captured_minor AS ours_minor, CAST(0 AS BIGINT) AS theirs_minor, NULL AS entry_id,
               NULL AS intent, o.id AS order_id, NULL AS refund_id
        FROM orders o
        WHERE o.captured_minor > 0
          AND EXISTS (SELECT 1 FROM invoices i WHERE i.order_id = o.id AND i.issued_at_ms <= $1)
          AND NOT EXISTS (SELECT 1 FROM provider_entries e WHERE e.purchase_id = o.purchase_id AND e.kind = 'charge')";
    const MISSING_REFUND: &str = "
        SELECT f.id AS subject, -f.amount_minor AS ours_minor, CAST(0 AS BIGINT) AS theirs_minor, NULL AS entry_id,
               NULL AS intent, f.order_id, f.id AS refund_id
        FROM refunds f
        WHERE f.kind = 'refund' AND f.state = 'succeeded' AND f.amount_minor > 0 AND f.settled_at_ms <= $1
          AND NOT EXISTS (SELECT 1 FROM provider_entries e WHERE e.refund_id = f.id AND e.kind = 'refund')";
    const REFUND_FAILED: &str = "
        SELECT f.id AS subject, -f.amount_minor AS ours_minor, CAST(0 AS BIGINT) AS theirs_minor, NULL AS entry_id,
               NULL AS intent, f.order_id, f.id AS refund_id
        FROM refunds f
        WHERE f.state = 'failed' AND f.created_at_ms <= $1";
    const DISPUTE: &str = "
        SELECT e.id AS subject, CAST(0 AS BIGINT) AS ours_minor, e.amount_minor AS theirs_minor, e.id AS entry_id, e.intent,
               o.id AS order_id, NULL AS refund_id
        FROM provider_entries e
        LEFT JOIN orders o ON o.purchase_id = e.purchase_id
        WHERE e.kind = 'dispute' AND e.at_ms <= $1";
    const OTHER: &str = "
        SELECT e.id AS subject, CAST(0 AS BIGINT) AS ours_minor, e.amount_minor AS theirs_minor, e.id AS entry_id, e.intent,
               NULL AS order_id, NULL AS refund_id
        FROM provider_entries e
        WHERE e.kind = 'other' AND e.amount_minor <> 0 AND e.at_ms <= $1";
    const CAPTURE_DUE: &str = "
        SELECT o.id AS subject, o.total_minor - o.voided_minor AS ours_minor, CAST(0 AS BIGINT) AS theirs_minor,
               NULL AS entry_id, a.intent_id AS intent, o.id AS order_id, NULL AS refund_id
        FROM payment_attempts a
        JOIN purchases p ON p.id = a.purchase_id
        JOIN orders o ON o.purchase_id = p.id
        WHERE p.state = 'authorized' AND a.capture_before_ms <= $1";
    let mut found = BTreeMap::new();
    for (kind, sql, before) in [
        (FindingKind::UnknownCharge, UNKNOWN_CHARGE, judged),
        (FindingKind::UnknownRefund, UNKNOWN_REFUND, judged),
        (FindingKind::AmountDiffers, AMOUNT_DIFFERS, judged),
        (FindingKind::MissingCharge, MISSING_CHARGE, missed),
        (FindingKind::MissingRefund, MISSING_REFUND, missed),
        (FindingKind::RefundFailed, REFUND_FAILED, Millis(i64::MAX)),
        (FindingKind::Dispute, DISPUTE, judged),
        (FindingKind::OtherEntry, OTHER, judged),
        (FindingKind::CaptureDue, CAPTURE_DUE, lapsing),
    ] {
        // Whoever has resolved one hides no other.
        let open = format!(
            "SELECT f.* FROM ({sql}) f
             WHERE NOT EXISTS (SELECT 1 FROM findings k
                               WHERE k.kind = $3 AND k.subject = f.subject AND k.state = 'resolved' AND k.how <> 'settled')
             ORDER BY f.subject
             LIMIT $2"
        );
        let rows: Vec<Found> = on!(tx, |conn| sqlx::query_as(AssertSqlSafe(open))
            .bind(before)
            .bind(MAX_FOUND)
            .bind(kind.as_str())
            .fetch_all(conn)
            .await?);
        found.insert(kind, rows);
    }
    Ok(found)
}

/// Opens what was found, and closes what is so no more.
pub(super) async fn put(tx: &mut Tx, found: &BTreeMap<FindingKind, Vec<Found>>, now: Millis) -> Result<(), StoreError> {
    const PUT: &str = "
        INSERT INTO findings (id, kind, subject, state, ours_minor, theirs_minor, entry_id, intent, order_id, refund_id,
                              found_at_ms)
        SELECT id, kind, subject, 'open', ours_minor, theirs_minor, entry_id, intent, order_id, refund_id, found_at_ms
        FROM rows
        WHERE true
        ON CONFLICT (kind, subject) DO UPDATE SET state = 'open', how = NULL, resolved_at_ms = NULL,
            ours_minor = excluded.ours_minor, theirs_minor = excluded.theirs_minor
        WHERE findings.how = 'settled'";
    const OPEN: &str = "SELECT id, kind, subject FROM findings WHERE state = 'open'";
    const SETTLE: &str = "
        UPDATE findings SET state = 'resolved', how = 'settled', resolved_at_ms = rows.at_ms
        FROM rows
        WHERE findings.id = rows.id AND findings.state = 'open'";
    let mut rows = Rows::new(&[
        ("id", Kind::Text),
        ("kind", Kind::Text),
        ("subject", Kind::Text),
        ("ours_minor", Kind::Number),
        ("theirs_minor", Kind::Number),
        ("entry_id", Kind::Text),
        ("intent", Kind::Text),
        ("order_id", Kind::Text),
        ("refund_id", Kind::Text),
        ("found_at_ms", Kind::Number),
    ]);
    for (kind, one) in found.iter().flat_map(|(kind, found)| found.iter().map(move |one| (kind, one))) {
        rows.push([
            String::from(FindingId::fresh()).into(),
            kind.as_str().into(),
            one.subject.as_str().into(),
            one.ours_minor.into(),
            one.theirs_minor.into(),
            one.entry_id.as_deref().into(),
            one.intent.as_deref().into(),
            one.order_id.as_ref().into(),
            one.refund_id.as_ref().into(),
            now.into(),
        ]);
    }
    rows.execute(tx, PUT).await?;
    let open: Vec<(FindingId, FindingKind, String)> = on!(tx, |conn| sqlx::query_as(OPEN).fetch_all(conn).await?);
    let mut gone = Rows::new(&[("id", Kind::Text), ("at_ms", Kind::Number)]);
    // Where there are more than are looked at, one that was not seen may still be so.
    let all = |kind: &FindingKind| found.get(kind).is_some_and(|f| i64::try_from(f.len()).is_ok_and(|n| n < MAX_FOUND));
    let is_so = |kind: &FindingKind, subject: &str| found[kind].iter().any(|one| one.subject == subject);
    for (id, _, _) in open.iter().filter(|(_, kind, subject)| all(kind) && !is_so(kind, subject)) {
        gone.push([id.into(), now.into()]);
    }
    gone.execute(tx, SETTLE).await?;
    Ok(())
}

/// A finding.
pub(super) async fn find(tx: &mut Tx, id: &FindingId) -> Result<Option<Finding>, StoreError> {
    const FIND: &str = concat!(finding_columns!(), "WHERE id = $1");
    Ok(on!(tx, |conn| sqlx::query_as::<_, Row>(FIND).bind(id).fetch_optional(conn).await?).map(Into::into))
}

/// Findings in a state (or in any), newest first, older than a cursor.
pub(super) async fn list(
    tx: &mut Tx,
    state: Option<&str>,
    before: Option<&FindingId>,
    limit: i64,
) -> Result<Vec<Finding>, StoreError> {
    const LIST: &str =
        concat!(finding_columns!(), "WHERE ($1 = '' OR state = $1) AND ($2 = '' OR id < $2) ORDER BY id DESC LIMIT $3");
    let rows = on!(tx, |conn| sqlx::query_as::<_, Row>(LIST)
        .bind(state.unwrap_or_default())
        .bind(before.map_or("", FindingId::as_str))
        .bind(limit)
        .fetch_all(conn)
        .await?);
    Ok(rows.into_iter().map(Into::into).collect())
}

/// How many are open.
pub(super) async fn open(tx: &mut Tx) -> Result<i64, StoreError> {
    let (open,): (i64,) =
        on!(tx, |conn| sqlx::query_as("SELECT COUNT(*) FROM findings WHERE state = 'open'").fetch_one(conn).await?);
    Ok(open)
}

/// Notes how somebody resolved a finding; whether it was still open.
pub(super) async fn resolve(
    tx: &mut Tx,
    id: &FindingId,
    (how, note): (How, &str),
    by: &AccountId,
    now: Millis,
) -> Result<bool, StoreError> {
    const RESOLVE: &str = "
        UPDATE findings SET state = 'resolved', how = $1, note = $2, by_account_id = $3, resolved_at_ms = $4
        WHERE id = $5 AND state = 'open'";
    let resolved = on!(tx, |conn| sqlx::query(RESOLVE)
        .bind(how)
        .bind(note)
        .bind(by)
        .bind(now)
        .bind(id)
        .execute(conn)
        .await?
        .rows_affected());
    Ok(resolved == 1)
}

/// One comparison of the books.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// When it began.
    pub began_at_ms: Millis,
    /// When it ended.
    pub ended_at_ms: Millis,
    /// Lines of this time were read: from here …
    pub from_ms: Millis,
    /// … to here.
    pub to_ms: Millis,
    /// How many.
    pub entries: i64,
    /// Findings that were open after it.
    pub open: i64,
}

/// The last one.
pub(super) async fn last_run(tx: &mut Tx) -> Result<Option<Run>, StoreError> {
    const LAST: &str = "
        SELECT id, began_at_ms, ended_at_ms, from_ms, to_ms, entries, open
        FROM reconciliation_runs
        ORDER BY ended_at_ms DESC, id DESC
        LIMIT 1";
    Ok(on!(tx, |conn| sqlx::query_as::<_, Run>(LAST).fetch_optional(conn).await?))
}

/// Notes one.
pub(super) async fn note_run(tx: &mut Tx, run: &Run) -> Result<(), StoreError> {
    const NOTE: &str = "
        INSERT INTO reconciliation_runs (id, began_at_ms, ended_at_ms, from_ms, to_ms, entries, open)
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
    on!(tx, |conn| sqlx::query(NOTE)
        .bind(&run.id)
        .bind(run.began_at_ms)
        .bind(run.ended_at_ms)
        .bind(run.from_ms)
        .bind(run.to_ms)
        .bind(run.entries)
        .bind(run.open)
        .execute(conn)
        .await
        .map(drop)?);
    Ok(())
}
