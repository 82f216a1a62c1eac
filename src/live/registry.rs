//! Value: what this room asks of the people's room inside its own transactions; given by the house.
//!
//! Grants and the audit log are the people's; naming a moderator, and every act of one, is this room's.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::{
    clock::Millis,
    ids::{AccountId, LiveId, LiverId},
    store::{StoreError, Tx},
};

/// A line of the audit log: who did what in whose house.
#[derive(Debug, Clone)]
pub struct Note {
    /// Who.
    pub by: AccountId,
    /// What.
    pub action: &'static str,
    /// To what: an id.
    pub subject: String,
    /// In whose lives.
    pub liver: LiverId,
    /// In which of them, when it concerns one.
    pub live: Option<LiveId>,
    /// About whom, and what else is worth knowing: a JSON object.
    pub detail: serde_json::Value,
    /// When.
    pub at: Millis,
}

/// Whether a moderator comes or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Moderates from here on.
    Named,
    /// Does no more.
    Removed,
}

/// A moderator comes or goes.
#[derive(Debug, Clone)]
pub struct Appointment {
    /// For whom.
    pub liver: LiverId,
    /// Who.
    pub account: AccountId,
    /// Which way.
    pub step: Step,
    /// When.
    pub at: Millis,
}

/// Writes a line of the audit log.
pub type AuditHook = Arc<dyn for<'a> Fn(&'a mut Tx, &'a Note) -> BoxFuture<'a, Result<(), StoreError>> + Send + Sync>;
/// Writes who moderates.
pub type AppointHook =
    Arc<dyn for<'a> Fn(&'a mut Tx, &'a Appointment) -> BoxFuture<'a, Result<(), StoreError>> + Send + Sync>;

/// What the people's room does for those who keep order. Cheap to clone.
#[derive(Clone)]
pub struct Registry {
    /// Writes a line of the audit log.
    pub note: AuditHook,
    /// Writes who moderates.
    pub appoint: AppointHook,
}
