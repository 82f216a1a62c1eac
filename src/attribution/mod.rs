//! Door: who caused a sale, and what brands may read of it.
//!
//! Touches say why a customer came; credits are an append-only ledger; reports are sums over it.

mod ledger;
mod report;
mod reversal;
mod rule;
mod standing;
mod touch;

pub use ledger::{ReturnedLine, SoldLine, commissions, credit_sales, reverse};
pub use report::{
    CreditLine, Definition, LineFilter, LinePage, Report, ReportRow, Reports, Totals, Window, definitions,
};
pub(crate) use report::{civil, guard};
pub use rule::Pool;
pub(crate) use standing::{credit_standing, credit_standing_joins};
pub use touch::{NewTouch, TouchKind, Touches};

use crate::store::StoreError;

/// What can go wrong here.
#[derive(Debug, thiserror::Error)]
pub enum AttributionError {
    /// A parameter is wrong.
    #[error("{0}")]
    Invalid(String),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}
