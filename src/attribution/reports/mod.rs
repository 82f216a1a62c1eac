//! Door: what brands and operators read of the credit ledger, split in every way that a question may be asked.

mod figures;
mod fold;
mod labels;
mod ledger_sums;
mod people;
mod query;
mod rollups;

pub use figures::{Figures, SplitReport, SplitRow};
pub use fold::By;
pub use query::{Asked, Filters};
pub(super) use rollups::enqueue;
pub use rollups::{check, fold_all, requeue};
