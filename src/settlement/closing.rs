//! Shell: closing a month, paying what it comes to, reading both.
//!
//! Invariant: a month is closed once, months in their order, each by one transaction under the lock of the brand's book; a
//! statement is paid once, and the money ledger is posted in the same transaction.

use serde::Serialize;

use super::{
    Refusal, SettlementError,
    close::{Draft, draft},
    consumption::deductible,
    month::Month,
    statements::{self, Closing, Owed, Statement, StatementLine, StatementState},
    terms::text,
};
use crate::{
    clock::{Clock, Millis},
    commerce::{CommissionPaid, post_commission_paid},
    ids::{AccountId, BrandId, CreditId, LiverId, StatementId},
    people::{AuditNote, Person, find_brand, insert_note},
    store::{Db, StoreError, Tx},
};

/// Statements of one month.
pub(super) const MAX_STATEMENTS: i64 = 100_000;
/// Characters of what a payment is called.
const MAX_REFERENCE_CHARS: usize = 100;

/// Something that somebody should look at before they pay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WarningKind {
    /// The day by which it was to be paid is over.
    PayByPast,
    /// Where to pay is not known.
    PayeeMissing,
    /// The liver is not registered: not all of the tax can be deducted.
    NotRegistered,
}

/// A warning about one liver's month.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Warning {
    /// What.
    pub kind: WarningKind,
    /// Which statement; none in a preview.
    pub statement_id: Option<StatementId>,
    /// Whose.
    pub liver_id: LiverId,
    /// What people see.
    pub liver_name: String,
    /// In Japanese.
    pub ja: String,
    /// In English.
    pub en: String,
}

/// A closed month.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct ClosedMonth {
    /// Whose.
    pub brand_id: BrandId,
    /// Japan's month.
    pub period: String,
    /// When it was closed.
    pub closed_at_ms: Millis,
    /// One statement for each liver who had something open; none when nobody had.
    pub items: Vec<Statement>,
    /// What somebody should look at, as of this moment.
    pub warnings: Vec<Warning>,
    /// Whether this request closed it.
    #[serde(skip)]
    pub fresh: bool,
}

/// What a month would come to for a liver.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct DraftView {
    /// Whose.
    pub liver_id: LiverId,
    /// What people see.
    pub liver_name: String,
    /// `payable` or `carried`.
    pub state: StatementState,
    /// How many lines.
    pub lines: i64,
    /// Commission on sales, without tax.
    pub earned_minor: i64,
    /// Of what came back; zero or negative.
    pub reversed_minor: i64,
    /// From the statement before; zero or negative.
    pub carried_in_minor: i64,
    /// What would be paid, with tax.
    pub payable_minor: i64,
    /// To the next statement; zero or negative.
    pub carried_out_minor: i64,
    /// Consumption tax.
    pub tax_minor: i64,
    /// Basis points.
    pub tax_rate_bp: i32,
    /// The liver's T + 13 digits.
    pub registration: Option<String>,
    /// Basis points of the tax that the brand may deduct.
    pub deductible_bp: i32,
    /// By when it is to be paid; absent where nothing is.
    pub pay_by_ms: Option<Millis>,
}

/// What a month would come to at this moment.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Preview {
    /// Whose.
    pub brand_id: BrandId,
    /// Japan's month.
    pub period: String,
    /// When it was read.
    pub as_of_ms: Millis,
    /// Whether the month is over, so that it can be closed.
    pub closable: bool,
    /// One for each liver who has something open.
    pub items: Vec<DraftView>,
    /// What somebody should look at.
    pub warnings: Vec<Warning>,
}

/// What a warning is about.
struct About<'a> {
    statement: Option<&'a StatementId>,
    liver: &'a LiverId,
    name: &'a str,
    registered: bool,
    deductible_bp: i32,
    payee: bool,
    pay_by: Option<Millis>,
}

/// What is to be looked at in what is still to be paid.
fn warnings(about: &About<'_>, now: Millis) -> Vec<Warning> {
    let Some(pay_by) = about.pay_by else { return Vec::new() };
    let mut found = Vec::new();
    let mut warn = |kind, ja: String, en: String| {
        found.push(Warning {
            kind,
            statement_id: about.statement.cloned(),
            liver_id: about.liver.clone(),
            liver_name: about.name.to_owned(),
            ja,
            en,
        });
    };
    if pay_by < now {
        let day = super::month::day_of(pay_by);
        warn(
            WarningKind::PayByPast,
            format!("支払期限（{day}）を過ぎています。すぐにお支払いください。"),
            format!("The pay date ({day}) is over. Pay at once."),
        );
    }
    if !about.payee {
        warn(
            WarningKind::PayeeMissing,
            "振込先が登録されていません。ライバーに登録を依頼してください。".to_owned(),
            "No bank account is known. Ask the liver to give one.".to_owned(),
        );
    }
    if !about.registered {
        let percent = about.deductible_bp / 100;
        warn(
            WarningKind::NotRegistered,
            format!("適格請求書発行事業者ではないため、仕入税額控除は消費税額の{percent}%までです。"),
            format!("The liver is not registered for qualified invoices: {percent} % of the tax can be deducted."),
        );
    }
    found
}

fn view((owed, draft): (&Owed, &Draft)) -> DraftView {
    DraftView {
        liver_id: owed.liver_id.clone(),
        liver_name: owed.liver_name.clone(),
        state: if draft.is_carried() { StatementState::Carried } else { StatementState::Payable },
        lines: draft.lines,
        earned_minor: draft.earned_minor,
        reversed_minor: draft.reversed_minor,
        carried_in_minor: draft.carried_in_minor,
        payable_minor: draft.payable_minor,
        carried_out_minor: draft.carried_out_minor,
        tax_minor: draft.tax.minor,
        tax_rate_bp: draft.tax.rate_bp,
        registration: owed.registration.clone(),
        deductible_bp: draft.tax.deductible_bp,
        pay_by_ms: draft.pay_by,
    }
}

/// Statements. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Statements {
    pub(super) db: Db,
    pub(super) clock: Clock,
}

impl Statements {
    /// Over this database.
    #[must_use]
    pub fn new(db: Db, clock: Clock) -> Self {
        Self { db, clock }
    }

    /// Closes a month of a brand for all its livers. A month that is closed is given back as it is.
    ///
    /// # Errors
    /// [`Refusal::MonthNotOver`], [`Refusal::LaterMonthClosed`].
    pub async fn close(&self, by: &AccountId, brand: &BrandId, month: Month) -> Result<ClosedMonth, SettlementError> {
        let now = self.clock.now();
        let mut tx = self.db.write("close a month").await?;
        if find_brand(&mut tx, brand).await?.is_none() {
            return Err(SettlementError::NotFound("brand"));
        }
        let last = statements::lock(&mut tx, brand).await?;
        if statements::closed_at(&mut tx, brand, month).await?.is_some() {
            return closed(&mut tx, brand, month, now).await;
        }
        if now < month.end() {
            return Err(Refusal::MonthNotOver.into());
        }
        if month.to_string() < last {
            return Err(Refusal::LaterMonthClosed.into());
        }
        let made = make(&mut tx, brand, month).await?;
        statements::insert(&mut tx, &Closing { brand, month, now }, &made).await?;
        statements::note_closed(&mut tx, brand, month, by, now).await?;
        let detail = serde_json::json!({ "period": month.to_string(), "statements": made.len() }).to_string();
        note(&mut tx, by, "statement.close", brand.as_str(), &detail, now).await?;
        let closed = closed(&mut tx, brand, month, now).await?;
        tx.commit().await?;
        Ok(ClosedMonth { fresh: true, ..closed })
    }

    /// What a month would come to at this moment; nothing is written.
    ///
    /// # Errors
    /// [`Refusal::MonthClosed`].
    pub async fn preview(&self, brand: &BrandId, month: Month) -> Result<Preview, SettlementError> {
        let now = self.clock.now();
        let mut tx = self.db.read("preview a month").await?;
        if statements::closed_at(&mut tx, brand, month).await?.is_some() {
            return Err(Refusal::MonthClosed.into());
        }
        if month.to_string() < statements::last_period(&mut tx, brand).await? {
            return Err(Refusal::LaterMonthClosed.into());
        }
        let owed = statements::owed(&mut tx, brand, month.end()).await?;
        let mut parts = statements::open_parts(&mut tx, brand, month.end()).await?;
        let (mut items, mut found) = (Vec::with_capacity(owed.len()), Vec::new());
        for owed in owed {
            let own = parts.remove(owed.liver_id.as_str()).unwrap_or_default();
            let draft = draft(&own, owed.carried_in_minor(), owed.registration.is_some(), month);
            let about = About {
                statement: None,
                liver: &owed.liver_id,
                name: &owed.liver_name,
                registered: owed.registration.is_some(),
                deductible_bp: draft.tax.deductible_bp,
                payee: owed.payee,
                pay_by: draft.pay_by,
            };
            found.extend(warnings(&about, now));
            items.push(view((&owed, &draft)));
        }
        Ok(Preview {
            brand_id: brand.clone(),
            period: month.to_string(),
            as_of_ms: now,
            closable: now >= month.end(),
            items,
            warnings: found,
        })
    }

    /// A brand's statements, newest first; of one month or of all.
    ///
    /// # Errors
    /// The database's.
    pub async fn of_brand(
        &self,
        brand: &BrandId,
        month: Option<Month>,
        before: Option<&StatementId>,
        limit: i64,
    ) -> Result<Vec<Statement>, SettlementError> {
        let period = month.map(|month| month.to_string()).unwrap_or_default();
        let mut tx = self.db.read("statements of a brand").await?;
        Ok(statements::of_brand(&mut tx, brand, &period, before, limit).await?)
    }

    /// A liver's statements, newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn of_liver(
        &self,
        liver: &LiverId,
        before: Option<&StatementId>,
        limit: i64,
    ) -> Result<Vec<Statement>, SettlementError> {
        let mut tx = self.db.read("statements of a liver").await?;
        Ok(statements::of_liver(&mut tx, liver, before, limit).await?)
    }

    /// A statement, for its liver, members of its brand and operators.
    ///
    /// # Errors
    /// [`SettlementError::NotFound`] also for everybody else.
    pub async fn load(&self, by: &Person, id: &StatementId) -> Result<Statement, SettlementError> {
        let mut tx = self.db.read("statement").await?;
        let found = statements::find(&mut tx, id).await?;
        found
            .filter(|found| is_paid_by(by, found) || is_paid_to(by, found))
            .ok_or(SettlementError::NotFound("statement"))
    }

    /// The lines of a statement, oldest first.
    ///
    /// # Errors
    /// [`SettlementError::NotFound`] as for the statement.
    pub async fn lines(
        &self,
        by: &Person,
        id: &StatementId,
        after: Option<&CreditId>,
        limit: i64,
    ) -> Result<Vec<StatementLine>, SettlementError> {
        self.load(by, id).await?;
        let mut tx = self.db.read("statement lines").await?;
        Ok(statements::lines(&mut tx, id, after, limit).await?)
    }

    /// Notes that a statement was paid, and books it. Saying it again in the same words changes nothing.
    ///
    /// # Errors
    /// [`Refusal::NothingToPay`], [`Refusal::PaidOtherwise`]; [`SettlementError::NotFound`] for who does not pay it.
    pub async fn pay(&self, by: &Person, id: &StatementId, reference: &str) -> Result<Statement, SettlementError> {
        let reference = text("reference", reference, 1, MAX_REFERENCE_CHARS)?;
        let now = self.clock.now();
        let mut tx = self.db.write("pay a statement").await?;
        let found = statements::find(&mut tx, id).await?.filter(|found| is_paid_by(by, found) || is_paid_to(by, found));
        let found = found.ok_or(SettlementError::NotFound("statement"))?;
        if !is_paid_by(by, &found) {
            return Err(Refusal::NotThePayer.into());
        }
        if !statements::note_paid(&mut tx, id, &reference, &by.account.id, now).await? {
            // Read again: somebody else may have paid it since.
            let found = statements::find(&mut tx, id).await?.ok_or(SettlementError::NotFound("statement"))?;
            return match found.state {
                StatementState::Paid if found.payment_reference.as_deref() == Some(&reference) => Ok(found),
                StatementState::Paid => Err(Refusal::PaidOtherwise.into()),
                StatementState::Carried | StatementState::Payable => Err(Refusal::NothingToPay.into()),
            };
        }
        let tax = statements::tax_of(&found);
        let paid = CommissionPaid {
            statement: found.statement_id.clone(),
            brand: found.brand_id.clone(),
            commission_minor: found.payable_minor - tax.minor,
            deductible_minor: deductible(tax.minor, tax.deductible_bp),
            tax_minor: tax.minor,
            tax_rate_bp: tax.rate_bp,
            demo: found.demo,
        };
        post_commission_paid(&mut tx, &paid, now).await?;
        let detail = serde_json::json!({ "reference": reference, "paid_minor": found.payable_minor }).to_string();
        note(&mut tx, &by.account.id, "statement.paid", id.as_str(), &detail, now).await?;
        let found = statements::find(&mut tx, id).await?.ok_or(SettlementError::NotFound("statement"))?;
        tx.commit().await?;
        Ok(found)
    }
}

fn is_paid_by(person: &Person, statement: &Statement) -> bool {
    person.operator || person.brands.iter().any(|(id, _)| *id == statement.brand_id)
}

fn is_paid_to(person: &Person, statement: &Statement) -> bool {
    person.liver_id.as_ref() == Some(&statement.liver_id)
}

async fn note(
    tx: &mut Tx,
    by: &AccountId,
    action: &'static str,
    subject: &str,
    detail: &str,
    at: Millis,
) -> Result<(), StoreError> {
    insert_note(tx, &AuditNote::of(by, action, subject, detail, at)).await
}

/// The statements of a month: their lines are written, they themselves are not yet.
async fn make(tx: &mut Tx, brand: &BrandId, month: Month) -> Result<Vec<(StatementId, Owed, Draft)>, SettlementError> {
    let owed = statements::owed(tx, brand, month.end()).await?;
    let of: Vec<(StatementId, LiverId)> =
        owed.iter().map(|owed| (StatementId::fresh(), owed.liver_id.clone())).collect();
    let mut parts = statements::take(tx, brand, month.end(), &of).await?;
    let mut made = Vec::with_capacity(owed.len());
    for ((id, _), owed) in of.into_iter().zip(owed) {
        let Some(own) = parts.remove(id.as_str()) else { continue };
        let draft = draft(&own, owed.carried_in_minor(), owed.registration.is_some(), month);
        made.push((id, owed, draft));
    }
    Ok(made)
}

/// A month that is closed, as it stands.
async fn closed(tx: &mut Tx, brand: &BrandId, month: Month, now: Millis) -> Result<ClosedMonth, SettlementError> {
    let closed_at = statements::closed_at(tx, brand, month).await?;
    let items = statements::of_brand(tx, brand, &month.to_string(), None, MAX_STATEMENTS).await?;
    let known = super::payees::known(tx, items.iter().map(|item| &item.liver_id)).await?;
    let about = |item: &Statement| {
        let about = About {
            statement: Some(&item.statement_id),
            liver: &item.liver_id,
            name: &item.liver_name,
            registered: item.registration.is_some(),
            deductible_bp: item.deductible_bp,
            payee: known.contains(&item.liver_id),
            // What is paid needs no warning.
            pay_by: item.pay_by_ms.filter(|_| item.state == StatementState::Payable),
        };
        warnings(&about, now)
    };
    Ok(ClosedMonth {
        brand_id: brand.clone(),
        period: month.to_string(),
        closed_at_ms: closed_at.unwrap_or(now),
        warnings: items.iter().flat_map(about).collect(),
        items,
        fresh: false,
    })
}
