//! Shell: what the books say when a liver is paid.

use super::{
    money_ledger,
    transfers::{self, About},
};
use crate::{
    clock::Millis,
    ids::{BrandId, StatementId},
    store::{StoreError, Tx},
};

/// A statement that was paid.
#[derive(Debug, Clone)]
pub struct CommissionPaid {
    /// Which; it is the cause, and is posted once.
    pub statement: StatementId,
    /// Who pays.
    pub brand: BrandId,
    /// Without tax: what the liver was owed.
    pub commission_minor: i64,
    /// The tax on it.
    pub tax_minor: i64,
    /// What of the tax can be deducted; the rest makes the liver cost more.
    pub deductible_minor: i64,
    /// Basis points.
    pub tax_rate_bp: i32,
    /// Of the demo.
    pub demo: bool,
}

/// Posts that a liver was paid, in the caller's transaction.
///
/// # Errors
/// The database's.
pub async fn post_commission_paid(tx: &mut Tx, paid: &CommissionPaid, now: Millis) -> Result<(), StoreError> {
    let about = About { demo: paid.demo, ..About::default() };
    money_ledger::post(tx, &transfers::of_commission_paid(paid, &about), now).await
}
