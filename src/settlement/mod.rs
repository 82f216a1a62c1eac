//! Door: what brands and livers agree on, and what follows from it at the end of a month.
//!
//! A contract's terms are never changed, only followed by others that both accept. A statement takes every credit once, for
//! ever; what it says is never changed, and corrections stand in the next one.

mod close;
mod closing;
mod consumption;
mod contracting;
mod contracts;
mod earnings;
mod kana;
mod month;
mod payee;
mod payees;
mod paying;
mod sheets;
mod statements;
mod terms;
mod zengin;

pub use closing::{ClosedMonth, DraftView, Preview, Statements, Warning, WarningKind};
pub use contracting::{Contracts, Party};
pub use contracts::{ContractView, VersionState, VersionView};
pub use earnings::{Earnings, EarningsLine, EarningsView, LiveEarnings, ProductEarnings, Standing, StandingSums};
pub use month::Month;
pub use payee::{AccountType, Payee, Payer};
pub use paying::{PayoutDay, Unknown};
pub use statements::{Statement, StatementLine, StatementState};
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
    /// The month is still running.
    #[error("this month is not over in Japan; see its preview")]
    MonthNotOver,
    /// It is closed.
    #[error("this month is closed; see its statements")]
    MonthClosed,
    /// Months are closed in their order.
    #[error("a later month is closed, and has taken what was open in this one")]
    LaterMonthClosed,
    /// A statement that is carried over.
    #[error("nothing is to be paid of this statement")]
    NothingToPay,
    /// Another payment stands there.
    #[error("this statement was paid under another reference")]
    PaidOtherwise,
    /// The liver does not say that they were paid.
    #[error("the brand says that it has paid")]
    NotThePayer,
    /// The bank wants to know who pays.
    #[error("give the brand's own bank account first")]
    PayerMissing,
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
    /// Livers who are to be paid, and whose account is not known.
    #[error("no bank account is known of {0}; leave them out, or ask them to give one")]
    PayeesMissing(String),
    /// A rule says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}
