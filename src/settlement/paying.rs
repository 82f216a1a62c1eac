//! Shell: where money goes, and the files by which banks are told.
//!
//! Invariant: whoever is to be paid and cannot be is named, never left out in silence.

use jiff::civil::Date;

use super::{
    Refusal, SettlementError, Statements,
    closing::MAX_STATEMENTS,
    month::{Month, day_of},
    payee::{Payee, Payer},
    payees, sheets,
    statements::{self, Statement, StatementState},
    terms::invalid,
    zengin::{self, MAX_AMOUNT, MAX_PAYMENTS, Payment},
};
use crate::{
    ids::{AccountId, BrandId, CreditId, LiverId, StatementId},
    people::{AuditNote, Person, insert_note},
    store::Tx,
};

/// Lines read at once.
const PAGE: i64 = 1_000;
/// Lines of one file.
const MAX_LINES: usize = 200_000;
/// Livers that are named in a refusal.
const MAX_NAMED: usize = 10;

/// The day on which a bank is to pay.
#[derive(Debug, Clone, Copy)]
pub struct PayoutDay(Date);

impl PayoutDay {
    /// Reads `2026-12-10`.
    ///
    /// # Errors
    /// [`SettlementError::Invalid`] when it is no day.
    pub fn parse(text: &str) -> Result<Self, SettlementError> {
        match text.parse() {
            Ok(day) => Ok(Self(day)),
            Err(_) => invalid("on must be a day like 2026-12-10"),
        }
    }
}

/// Of whom no account is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// The file is not made.
    Refuse,
    /// The file is made without them; how many is told.
    LeaveOut,
}

impl Statements {
    /// Where a liver's money goes, when that is known.
    ///
    /// # Errors
    /// The database's.
    pub async fn payee(&self, liver: &LiverId) -> Result<Option<Payee>, SettlementError> {
        let mut tx = self.db.read("payee").await?;
        Ok(payees::payee(&mut tx, liver).await?)
    }

    /// Keeps where a liver's money goes. Statements that are closed keep the registration that they have.
    ///
    /// # Errors
    /// [`SettlementError::Invalid`] naming the field.
    pub async fn put_payee(&self, by: &AccountId, liver: &LiverId, payee: Payee) -> Result<Payee, SettlementError> {
        let payee = payee.checked()?;
        let now = self.clock.now();
        let mut tx = self.db.write("put payee").await?;
        payees::put_payee(&mut tx, liver, &payee, now).await?;
        // That it changed, and not to what: the log is no place for accounts.
        insert_note(&mut tx, &AuditNote::of(by, "payee.put", liver.as_str(), "", now)).await?;
        tx.commit().await?;
        Ok(payee)
    }

    /// From which account a brand pays, when that is known.
    ///
    /// # Errors
    /// The database's.
    pub async fn payer(&self, brand: &BrandId) -> Result<Option<Payer>, SettlementError> {
        let mut tx = self.db.read("payer").await?;
        Ok(payees::payer(&mut tx, brand).await?)
    }

    /// Keeps from which account a brand pays.
    ///
    /// # Errors
    /// [`SettlementError::Invalid`] naming the field.
    pub async fn put_payer(&self, by: &AccountId, brand: &BrandId, payer: Payer) -> Result<Payer, SettlementError> {
        let payer = payer.checked()?;
        let now = self.clock.now();
        let mut tx = self.db.write("put payer").await?;
        payees::put_payer(&mut tx, brand, &payer, now).await?;
        insert_note(&mut tx, &AuditNote::of(by, "payer.put", brand.as_str(), "", now)).await?;
        tx.commit().await?;
        Ok(payer)
    }

    /// The lines of a statement as CSV: UTF-8 with BOM, CRLF, text guarded against formulas.
    ///
    /// # Errors
    /// [`SettlementError::NotFound`] as for the statement; too many lines for one file.
    pub async fn lines_csv(&self, by: &Person, id: &StatementId) -> Result<Vec<u8>, SettlementError> {
        self.load(by, id).await?;
        let mut tx = self.db.read("statement as csv").await?;
        let mut sheet = sheets::Lines::new();
        let mut after: Option<CreditId> = None;
        let mut count = 0;
        loop {
            let page = statements::lines(&mut tx, id, after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(sheet.done()) };
            count += page.len();
            if count > MAX_LINES {
                return invalid(format!("the statement has more than {MAX_LINES} lines; read them page by page"));
            }
            after = Some(last.credit_id.clone());
            for line in &page {
                sheet.push(line);
            }
        }
    }

    /// What a month's payments are, as a file for a bank (総合振込). Gives how many livers were left out besides.
    ///
    /// # Errors
    /// [`Refusal::PayerMissing`]; [`SettlementError::PayeesMissing`] unless they are to be left out.
    pub async fn payout_file(
        &self,
        brand: &BrandId,
        month: Month,
        on: Option<PayoutDay>,
        unknown: Unknown,
    ) -> Result<(Vec<u8>, usize), SettlementError> {
        let mut tx = self.db.read("payout file").await?;
        let payer = payees::payer(&mut tx, brand).await?.ok_or(Refusal::PayerMissing)?;
        let due = due(&mut tx, brand, month).await?;
        let missing: Vec<&str> =
            due.iter().filter(|(_, payee)| payee.is_none()).map(|(statement, _)| &*statement.liver_name).collect();
        if !missing.is_empty() && unknown == Unknown::Refuse {
            let more = missing.len().saturating_sub(MAX_NAMED);
            let mut names = missing[..missing.len().min(MAX_NAMED)].join(", ");
            if more > 0 {
                names = format!("{names} and {more} more");
            }
            return Err(SettlementError::PayeesMissing(names));
        }
        if due.len() > MAX_PAYMENTS {
            return invalid(format!("a file bears {MAX_PAYMENTS} payments"));
        }
        if let Some((statement, _)) = due.iter().find(|(statement, _)| statement.payable_minor > MAX_AMOUNT) {
            return invalid(format!("{}: one payment bears {MAX_AMOUNT} yen", statement.statement_id));
        }
        let payments: Vec<Payment<'_>> = due
            .iter()
            .filter_map(|(statement, payee)| {
                payee.as_ref().map(|to| Payment { to, amount_minor: statement.payable_minor })
            })
            .collect();
        let on = on.map_or_else(|| day_of(self.clock.now()), |PayoutDay(day)| day);
        Ok((zengin::file(&payer, on, &payments), missing.len()))
    }

    /// What a month's payments are, as CSV; whoever cannot be paid stands there, and is marked.
    ///
    /// # Errors
    /// The database's.
    pub async fn payout_csv(&self, brand: &BrandId, month: Month) -> Result<Vec<u8>, SettlementError> {
        let mut tx = self.db.read("payouts as csv").await?;
        Ok(sheets::payouts(&due(&mut tx, brand, month).await?))
    }
}

/// What of a month is to be paid, and where.
async fn due(tx: &mut Tx, brand: &BrandId, month: Month) -> Result<Vec<(Statement, Option<Payee>)>, SettlementError> {
    let mut due = Vec::new();
    for statement in statements::of_brand(tx, brand, &month.to_string(), None, MAX_STATEMENTS).await? {
        if statement.state == StatementState::Payable {
            let payee = payees::payee(tx, &statement.liver_id).await?;
            due.push((statement, payee));
        }
    }
    // In the order in which they were closed.
    due.reverse();
    Ok(due)
}
