//! Door: who caused a sale, and what brands may read of it.
//!
//! Touches say why a customer came; credits are an append-only ledger; reports are sums over it.

mod codes;
mod explain;
mod exports;
mod judged;
mod ledger;
mod recompute;
mod report;
mod reports;
mod reversal;
mod rule;
mod service;
mod shown;
mod standing;
mod terms;
mod touch;

pub use codes::{NewLink, ShareLink, StaffCode};
pub use explain::{Assist, ExplainedStep, ExplainedTouch, Explanation, Owner};
pub use exports::{Export, ExportFilter, ExportState, ExportTable, Exports, Format, TableName};
pub use ledger::{ReturnedLine, SoldLine, commissions, credit_sales, reverse};
pub use recompute::{Recomputed, recompute};
pub use report::{
    CreditLine, Definition, LineFilter, LinePage, Report, ReportRow, Reports, Totals, Window, definitions,
};
pub(crate) use report::{civil, guard};
pub use reports::{
    Asked, AssistRow, AudienceRow, By, CohortRow, Figures, Filters, LivesReport, SplitReport, SplitRow, Timeline,
    TimelineMinute, TimelinePin, check, fold_all, requeue,
};
pub use rule::{Channel, Pool, Step};
pub use service::{Attribution, BrandRule, CodeKind, NamedCode, explanation};
pub(crate) use standing::{credit_standing, credit_standing_joins};
pub use terms::{NewRule, RuleVersion};
pub use touch::{NewTouch, TouchKind, Touches};

use crate::store::StoreError;

/// What can go wrong here.
#[derive(Debug, thiserror::Error)]
pub enum AttributionError {
    /// A parameter is wrong.
    #[error("{0}")]
    Invalid(String),
    /// There is none, or it is another's.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}
