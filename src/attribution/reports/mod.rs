//! Door: what brands and operators read of the credit ledger, split in every way that a question may be asked.

mod figures;
mod fold;
mod kept;
mod labels;
mod ledger_sums;
mod people;
mod query;
mod reach;
mod rollups;
mod rollups_check;
mod timeline;

pub use figures::{Figures, SplitReport, SplitRow};
pub use fold::By;
pub use query::{Asked, Filters};
pub use reach::{AssistRow, AudienceRow, CohortRow, LivesReport};
pub(super) use rollups::enqueue;
pub use rollups::{fold_all, requeue};
pub use rollups_check::check;
pub use timeline::{Timeline, TimelineMinute, TimelinePin};
