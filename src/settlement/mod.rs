//! Door: what brands and livers agree on, and what follows from it at the end of a month.
//!
//! A contract's terms are never changed, only followed by others that both accept. A statement takes every credit once, for
//! ever; what it says is never changed, and corrections stand in the next one.

mod contracting;
mod contracts;
mod terms;

pub use contracting::{Contracts, Party};
pub use contracts::{ContractView, VersionState, VersionView};
pub use terms::{ProductRate, RefundRule, Terms};

use crate::store::StoreError;

/// Why somebody is told no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Agreed on, withdrawn or declined.
    #[error("this version is not waiting for an answer; propose a new one")]
    NotOpen,
    /// Its time was over before both had accepted it.
    #[error("the period of this version is over; propose a new one")]
    PeriodOver,
    /// More than anybody reads.
    #[error("this contract has too many versions")]
    TooManyVersions,
}

/// What can go wrong here.
#[derive(Debug, thiserror::Error)]
pub enum SettlementError {
    /// A field is wrong.
    #[error("{0}")]
    Invalid(String),
    /// No such thing, or not yours.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// A rule says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}
