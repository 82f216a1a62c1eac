//! Table: statement_books, statement_closes, statements, statement_lines.
//!
//! Invariant: a credit is in one statement for ever; what a statement says is the sum of its lines and of what was carried
//! over, and is never changed, but that it is paid. A brand's months are closed one by one, under the lock of its book.

use std::collections::HashMap;

use serde::Serialize;

use super::{
    close::{Draft, Part},
    consumption::Tax,
    month::Month,
};
use crate::{
    clock::Millis,
    ids::{AccountId, BrandId, ContractId, CreditId, LiveId, LiverId, OrderLineId, StatementId},
    money::Currency,
    on,
    store::{Kind, Rows, StoreError, Tx},
    webhooks::{EventKind, News, announce},
};

/// Credits of a brand (`$brand`) from before a moment (`$end`) that are in no statement, and whose money was taken. What was
/// not taken yet is for a later statement; what was called off before comes to nothing and is in none.
macro_rules! open_credits {
    ($brand:literal, $end:literal) => {
        concat!(
            " credits c
              JOIN orders o ON o.id = c.order_id
              WHERE c.brand_id = ",
            $brand,
            " AND c.pool = 'liver' AND c.at_ms < ",
            $end,
            " AND o.captured_minor > 0
                AND NOT EXISTS (SELECT 1 FROM statement_lines t WHERE t.credit_id = c.id) "
        )
    };
}

/// What [`Part`]s are made of; stands before `FROM`, over `c`, `o`, `l` and `n`.
macro_rules! part_columns {
    () => {
        " COALESCE(l.started_at_ms, l.scheduled_at_ms) AS streamed_at, n.pay_within_days,
          COUNT(*) AS lines,
          CAST(SUM(CASE WHEN c.kind = 'sale' THEN c.commission_minor ELSE 0 END) AS BIGINT) AS earned_minor,
          CAST(SUM(CASE WHEN c.kind = 'sale' THEN 0 ELSE c.commission_minor END) AS BIGINT) AS reversed_minor,
          CAST(MAX(CASE WHEN o.demo THEN 1 ELSE 0 END) AS BIGINT) AS demo "
    };
}

#[derive(sqlx::FromRow)]
struct PartRow {
    /// A liver's id or a statement's.
    whose: String,
    streamed_at: Millis,
    pay_within_days: Option<i32>,
    lines: i64,
    earned_minor: i64,
    reversed_minor: i64,
    demo: i64,
}

fn parts(rows: Vec<PartRow>) -> HashMap<String, Vec<Part>> {
    let mut found: HashMap<String, Vec<Part>> = HashMap::new();
    for row in rows {
        found.entry(row.whose).or_default().push(Part {
            streamed_at: row.streamed_at,
            pay_within_days: row.pay_within_days,
            lines: row.lines,
            earned_minor: row.earned_minor,
            reversed_minor: row.reversed_minor,
            demo: row.demo != 0,
        });
    }
    found
}

/// A month that is closed: when.
pub(super) async fn closed_at(tx: &mut Tx, brand: &BrandId, month: Month) -> Result<Option<Millis>, StoreError> {
    const FIND: &str = "SELECT closed_at_ms FROM statement_closes WHERE brand_id = $1 AND period = $2";
    let found: Option<(Millis,)> =
        on!(tx, |conn| sqlx::query_as(FIND).bind(brand).bind(month.to_string()).fetch_optional(conn).await?);
    Ok(found.map(|(at,)| at))
}

/// The last month that a brand has closed; '' when none.
pub(super) async fn last_period(tx: &mut Tx, brand: &BrandId) -> Result<String, StoreError> {
    const FIND: &str = "SELECT last_period FROM statement_books WHERE brand_id = $1";
    let found: Option<(String,)> = on!(tx, |conn| sqlx::query_as(FIND).bind(brand).fetch_optional(conn).await?);
    Ok(found.map(|(period,)| period).unwrap_or_default())
}

/// Locks a brand's book until the commit; gives the last month that is closed, '' when none.
pub(super) async fn lock(tx: &mut Tx, brand: &BrandId) -> Result<String, StoreError> {
    const LOCK: &str = "
        INSERT INTO statement_books (brand_id, last_period, closes)
        VALUES ($1, '', 0)
        ON CONFLICT (brand_id) DO UPDATE SET closes = statement_books.closes
        RETURNING last_period";
    let (period,): (String,) = on!(tx, |conn| sqlx::query_as(LOCK).bind(brand).fetch_one(conn).await?);
    Ok(period)
}

/// Notes that a month is closed. Call it with the book locked.
pub(super) async fn note_closed(
    tx: &mut Tx,
    brand: &BrandId,
    month: Month,
    by: &AccountId,
    now: Millis,
) -> Result<(), StoreError> {
    const BOOK: &str = "UPDATE statement_books SET last_period = $2, closes = closes + 1 WHERE brand_id = $1";
    const CLOSE: &str = "
        INSERT INTO statement_closes (brand_id, period, closed_at_ms, by_account_id) VALUES ($1, $2, $3, $4)";
    let period = month.to_string();
    on!(&mut *tx, |conn| sqlx::query(BOOK).bind(brand).bind(&period).execute(conn).await.map(drop))?;
    on!(tx, |conn| sqlx::query(CLOSE).bind(brand).bind(&period).bind(now).bind(by).execute(conn).await.map(drop))?;
    Ok(())
}

/// A liver who has something open, and what was carried over from their last statement.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct Owed {
    pub(super) liver_id: LiverId,
    pub(super) liver_name: String,
    pub(super) registration: Option<String>,
    carried_out_minor: Option<i64>,
    run: Option<i32>,
    state: Option<String>,
    /// Where to pay is known.
    pub(super) payee: bool,
}

impl Owed {
    pub(super) fn carried_in_minor(&self) -> i64 {
        self.carried_out_minor.unwrap_or(0)
    }

    /// What is carried over belongs to the statement that pays it off.
    fn run(&self) -> i32 {
        let run = self.run.unwrap_or(1);
        if self.state.as_deref().is_some_and(|state| state != "carried") { run + 1 } else { run }
    }
}

/// Who has open credits from before a moment, by id.
pub(super) async fn owed(tx: &mut Tx, brand: &BrandId, end: Millis) -> Result<Vec<Owed>, StoreError> {
    const OWED: &str = concat!(
        "SELECT v.id AS liver_id, v.display_name AS liver_name, p.registration, s.carried_out_minor, s.run, s.state,
                (p.liver_id IS NOT NULL) AS payee
         FROM (SELECT DISTINCT c.party_id FROM ",
        open_credits!("$1", "$2"),
        ") w
         JOIN livers v ON v.id = w.party_id
         LEFT JOIN payees p ON p.liver_id = v.id
         LEFT JOIN statements s ON s.brand_id = $1 AND s.liver_id = v.id
              AND s.period = (SELECT MAX(m.period) FROM statements m WHERE m.brand_id = $1 AND m.liver_id = v.id)
         ORDER BY v.id"
    );
    Ok(on!(tx, |conn| sqlx::query_as(OWED).bind(brand).bind(end).fetch_all(conn).await?))
}

/// What is open, by liver's id; nothing is written.
pub(super) async fn open_parts(
    tx: &mut Tx,
    brand: &BrandId,
    end: Millis,
) -> Result<HashMap<String, Vec<Part>>, StoreError> {
    const PARTS: &str = concat!(
        "SELECT c.party_id AS whose, ",
        part_columns!(),
        " FROM (SELECT c.* FROM ",
        open_credits!("$1", "$2"),
        ") c
         JOIN orders o ON o.id = c.order_id
         JOIN lives l ON l.id = c.live_id
         LEFT JOIN contract_versions n ON n.contract_id = c.contract_id AND n.version = c.contract_version
         GROUP BY c.party_id, COALESCE(l.started_at_ms, l.scheduled_at_ms), n.pay_within_days"
    );
    let rows = on!(tx, |conn| sqlx::query_as::<_, PartRow>(PARTS).bind(brand).bind(end).fetch_all(conn).await?);
    Ok(parts(rows))
}

/// Puts every open credit of these livers into their statements; gives what came in, by statement's id. Call it with the
/// book locked. What is committed meanwhile is in one statement's picture of the database or not, and never in both.
pub(super) async fn take(
    tx: &mut Tx,
    brand: &BrandId,
    end: Millis,
    of: &[(StatementId, LiverId)],
) -> Result<HashMap<String, Vec<Part>>, StoreError> {
    const TAKE: &str = concat!(
        "INSERT INTO statement_lines (credit_id, statement_id, commission_minor)
         SELECT c.id, rows.statement_id, c.commission_minor
         FROM rows CROSS JOIN ",
        open_credits!("rows.brand_id", "rows.end_ms"),
        " AND c.party_id = rows.liver_id"
    );
    // Read back from the lines themselves: what is summed is what is in them.
    const PARTS: &str = concat!(
        "SELECT t.statement_id AS whose, ",
        part_columns!(),
        " FROM rows CROSS JOIN statement_lines t
         JOIN credits c ON c.id = t.credit_id
         JOIN orders o ON o.id = c.order_id
         JOIN lives l ON l.id = c.live_id
         LEFT JOIN contract_versions n ON n.contract_id = c.contract_id AND n.version = c.contract_version
         WHERE t.statement_id = rows.id
         GROUP BY t.statement_id, COALESCE(l.started_at_ms, l.scheduled_at_ms), n.pay_within_days"
    );
    let mut rows = Rows::new(&[
        ("statement_id", Kind::Text),
        ("liver_id", Kind::Text),
        ("brand_id", Kind::Text),
        ("end_ms", Kind::Number),
    ]);
    let mut ids = Rows::new(&[("id", Kind::Text)]);
    for (statement, liver) in of {
        rows.push([statement.into(), liver.into(), brand.into(), end.into()]);
        ids.push([statement.into()]);
    }
    rows.execute(tx, TAKE).await?;
    Ok(parts(ids.fetch(tx, PARTS).await?))
}

/// Who closes, what and when.
pub(super) struct Closing<'a> {
    pub(super) brand: &'a BrandId,
    pub(super) month: Month,
    pub(super) now: Millis,
}

/// Writes the statements of a month, whose lines are there. Call it with the book locked. This is where a month becomes
/// true: whoever is to be told of it is told in this transaction.
pub(super) async fn insert(
    tx: &mut Tx,
    closing: &Closing<'_>,
    statements: &[(StatementId, Owed, Draft)],
) -> Result<(), StoreError> {
    const INSERT: &str = "
        INSERT INTO statements (id, brand_id, liver_id, period, run, state, brand_name, brand_registration, liver_name,
                                registration, lines, earned_minor, reversed_minor, carried_in_minor, carried_out_minor,
                                tax_rate_bp, tax_minor, deductible_bp, payable_minor, currency, closed_at_ms, pay_by_ms, demo)
        SELECT rows.id, b.id, rows.liver_id, rows.period, rows.run, rows.state, b.name, b.invoice_number, rows.liver_name,
               rows.registration, rows.lines, rows.earned_minor, rows.reversed_minor, rows.carried_in_minor,
               rows.carried_out_minor, rows.tax_rate_bp, rows.tax_minor, rows.deductible_bp, rows.payable_minor,
               rows.currency, rows.closed_at_ms, rows.pay_by_ms, rows.demo
        FROM rows CROSS JOIN brands b
        WHERE b.id = rows.brand_id";
    let mut rows = Rows::new(&[
        ("id", Kind::Text),
        ("brand_id", Kind::Text),
        ("liver_id", Kind::Text),
        ("period", Kind::Text),
        ("run", Kind::Number),
        ("state", Kind::Text),
        ("liver_name", Kind::Text),
        ("registration", Kind::Text),
        ("lines", Kind::Number),
        ("earned_minor", Kind::Number),
        ("reversed_minor", Kind::Number),
        ("carried_in_minor", Kind::Number),
        ("carried_out_minor", Kind::Number),
        ("tax_rate_bp", Kind::Number),
        ("tax_minor", Kind::Number),
        ("deductible_bp", Kind::Number),
        ("payable_minor", Kind::Number),
        ("currency", Kind::Text),
        ("closed_at_ms", Kind::Number),
        ("pay_by_ms", Kind::Number),
        ("demo", Kind::Flag),
    ]);
    for (id, owed, draft) in statements {
        rows.push([
            id.into(),
            closing.brand.into(),
            (&owed.liver_id).into(),
            closing.month.to_string().into(),
            owed.run().into(),
            if draft.is_carried() { "carried" } else { "payable" }.into(),
            owed.liver_name.as_str().into(),
            owed.registration.as_deref().into(),
            draft.lines.into(),
            draft.earned_minor.into(),
            draft.reversed_minor.into(),
            draft.carried_in_minor.into(),
            draft.carried_out_minor.into(),
            draft.tax.rate_bp.into(),
            draft.tax.minor.into(),
            draft.tax.deductible_bp.into(),
            draft.payable_minor.into(),
            Currency::Jpy.as_str().into(),
            closing.now.into(),
            draft.pay_by.into(),
            draft.demo.into(),
        ]);
    }
    rows.execute(tx, INSERT).await?;
    let news = |_: &[BrandId]| statements.iter().map(|closed| news(closing, closed)).collect();
    announce(tx, EventKind::StatementClosed, std::iter::once(closing.brand), closing.now, news).await
}

/// What the brand's systems are told of a statement.
fn news(closing: &Closing<'_>, (id, owed, draft): &(StatementId, Owed, Draft)) -> News {
    let state = if draft.is_carried() { StatementState::Carried } else { StatementState::Payable };
    let data = serde_json::json!({
        "statement_id": id, "brand_id": closing.brand, "liver_id": owed.liver_id, "liver_name": owed.liver_name,
        "period": closing.month.to_string(), "state": state, "lines": draft.lines, "earned_minor": draft.earned_minor,
        "reversed_minor": draft.reversed_minor, "carried_in_minor": draft.carried_in_minor,
        "carried_out_minor": draft.carried_out_minor, "tax_rate_bp": draft.tax.rate_bp, "tax_minor": draft.tax.minor,
        "payable_minor": draft.payable_minor, "currency": Currency::Jpy, "closed_at_ms": closing.now,
        "pay_by_ms": draft.pay_by,
    });
    News { brand: closing.brand.clone(), subject: id.to_string(), data }
}

/// Where a statement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StatementState {
    /// To be paid.
    Payable,
    /// Paid.
    Paid,
    /// Not more than nothing: carried over.
    Carried,
}

impl StatementState {
    /// Every state.
    pub const ALL: &[Self] = &[Self::Payable, Self::Paid, Self::Carried];

    /// As stored and sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Payable => "payable",
            Self::Paid => "paid",
            Self::Carried => "carried",
        }
    }
}

crate::stored_as_text!(StatementState);

/// What a brand owes a liver at the end of a month (支払通知書).
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Statement {
    /// The statement.
    pub statement_id: StatementId,
    /// Who pays.
    pub brand_id: BrandId,
    /// As it was called then.
    pub brand_name: String,
    /// T + 13 digits, as it was then.
    pub brand_registration: Option<String>,
    /// Who is paid.
    pub liver_id: LiverId,
    /// As they were called then.
    pub liver_name: String,
    /// Japan's month: `2026-11`.
    pub period: String,
    /// Where it stands.
    pub state: StatementState,
    /// Commission on sales, without tax.
    pub earned_minor: i64,
    /// Of what came back; zero or negative.
    pub reversed_minor: i64,
    /// From the statement before; zero or negative.
    pub carried_in_minor: i64,
    /// What is paid, with tax.
    pub payable_minor: i64,
    /// To the next statement; zero or negative.
    pub carried_out_minor: i64,
    /// Consumption tax, added once: one rounding a statement.
    pub tax_minor: i64,
    /// Basis points.
    pub tax_rate_bp: i32,
    /// The liver's T + 13 digits, as it was then; without it this is no document for the deduction of tax.
    pub registration: Option<String>,
    /// Basis points of the tax that the brand may deduct: all with a registration, else by the transition rates.
    pub deductible_bp: i32,
    /// Of the amounts.
    pub currency: Currency,
    /// How many lines it has.
    pub lines: i64,
    /// When it was closed.
    pub closed_at_ms: Millis,
    /// The last moment of the day by which it is to be paid (JST); absent where nothing is paid.
    pub pay_by_ms: Option<Millis>,
    /// When it was paid.
    pub paid_at_ms: Option<Millis>,
    /// What the payment is called.
    pub payment_reference: Option<String>,
    /// Made by `hanamichi demo`.
    pub demo: bool,
}

macro_rules! statement {
    () => {
        "SELECT s.id AS statement_id, s.brand_id, s.brand_name, s.brand_registration, s.liver_id, s.liver_name, s.period,
                s.state, s.earned_minor, s.reversed_minor, s.carried_in_minor, s.payable_minor, s.carried_out_minor,
                s.tax_minor, s.tax_rate_bp, s.registration, s.deductible_bp, s.currency, s.lines, s.closed_at_ms,
                s.pay_by_ms, s.paid_at_ms, s.payment_reference, s.demo
         FROM statements s "
    };
}

/// A statement.
pub(super) async fn find(tx: &mut Tx, id: &StatementId) -> Result<Option<Statement>, StoreError> {
    const FIND: &str = concat!(statement!(), "WHERE s.id = $1");
    Ok(on!(tx, |conn| sqlx::query_as(FIND).bind(id).fetch_optional(conn).await?))
}

/// A brand's statements, newest first, before a cursor; of one month, or of all where it is ''.
pub(super) async fn of_brand(
    tx: &mut Tx,
    brand: &BrandId,
    period: &str,
    before: Option<&StatementId>,
    limit: i64,
) -> Result<Vec<Statement>, StoreError> {
    const LIST: &str = concat!(
        statement!(),
        "WHERE s.brand_id = $1 AND ($2 = '' OR s.period = $2) AND s.id < $3 ORDER BY s.id DESC LIMIT $4"
    );
    let before = before.map_or("stm_zzzz", StatementId::as_str);
    Ok(on!(tx, |conn| sqlx::query_as(LIST).bind(brand).bind(period).bind(before).bind(limit).fetch_all(conn).await?))
}

/// A liver's statements, newest first, before a cursor.
pub(super) async fn of_liver(
    tx: &mut Tx,
    liver: &LiverId,
    before: Option<&StatementId>,
    limit: i64,
) -> Result<Vec<Statement>, StoreError> {
    const LIST: &str = concat!(statement!(), "WHERE s.liver_id = $1 AND s.id < $2 ORDER BY s.id DESC LIMIT $3");
    let before = before.map_or("stm_zzzz", StatementId::as_str);
    Ok(on!(tx, |conn| sqlx::query_as(LIST).bind(liver).bind(before).bind(limit).fetch_all(conn).await?))
}

/// One credit of a statement.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct StatementLine {
    /// The ledger row.
    pub credit_id: CreditId,
    /// When it was written.
    pub at_ms: Millis,
    /// `sale` or `reversal`.
    pub kind: String,
    /// What came back, in a reversal.
    pub refund_id: Option<String>,
    /// What people read out.
    pub order_number: String,
    /// Of which line.
    pub order_line_id: OrderLineId,
    /// In which live.
    pub live_id: LiveId,
    /// Its title.
    pub live_title: String,
    /// As it was called then.
    pub product_title: String,
    /// As it was called then.
    pub variant: String,
    /// Units; negative in a reversal, like its amounts.
    pub qty: i32,
    /// Credited amount, tax included.
    pub base_minor: i64,
    /// Share of the line, basis points.
    pub share_bp: i32,
    /// Rate, basis points, frozen.
    pub commission_bp: i32,
    /// Without tax.
    pub commission_minor: i64,
    /// Which rule decided.
    pub rule: String,
    /// Its version, frozen.
    pub rule_version: i32,
    /// By which terms; the brand's own rate where absent.
    pub contract_id: Option<ContractId>,
    /// Their version.
    pub contract_version: Option<i32>,
}

/// The lines of a statement, oldest first, after a cursor.
pub(super) async fn lines(
    tx: &mut Tx,
    id: &StatementId,
    after: Option<&CreditId>,
    limit: i64,
) -> Result<Vec<StatementLine>, StoreError> {
    const LINES: &str = "
        SELECT c.id AS credit_id, c.at_ms, c.kind, NULLIF(c.cause_id, '') AS refund_id, o.number AS order_number,
               c.order_line_id, c.live_id, l.title AS live_title, n.product_title, n.variant, c.qty, c.base_minor, c.share_bp,
               c.commission_bp, t.commission_minor, c.rule, c.rule_version, c.contract_id, c.contract_version
        FROM statement_lines t
        JOIN credits c ON c.id = t.credit_id
        JOIN orders o ON o.id = c.order_id
        JOIN order_lines n ON n.id = c.order_line_id
        JOIN lives l ON l.id = c.live_id
        WHERE t.statement_id = $1 AND t.credit_id > $2
        ORDER BY t.credit_id
        LIMIT $3";
    let after = after.map_or("", CreditId::as_str);
    Ok(on!(tx, |conn| sqlx::query_as(LINES).bind(id).bind(after).bind(limit).fetch_all(conn).await?))
}

/// Notes that a statement was paid; nothing when it does not wait for it.
pub(super) async fn note_paid(
    tx: &mut Tx,
    id: &StatementId,
    reference: &str,
    by: &AccountId,
    now: Millis,
) -> Result<bool, StoreError> {
    const PAID: &str = "
        UPDATE statements SET state = 'paid', paid_at_ms = $2, payment_reference = $3, paid_by_account_id = $4
        WHERE id = $1 AND state = 'payable'";
    let changed = on!(tx, |conn| sqlx::query(PAID)
        .bind(id)
        .bind(now)
        .bind(reference)
        .bind(by)
        .execute(conn)
        .await?
        .rows_affected());
    Ok(changed == 1)
}

/// The tax of a statement, as it was closed.
pub(super) fn tax_of(statement: &Statement) -> Tax {
    Tax { rate_bp: statement.tax_rate_bp, minor: statement.tax_minor, deductible_bp: statement.deductible_bp }
}
