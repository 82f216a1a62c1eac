//! Shell: an act of somebody who keeps order: allowed, done, noted in the audit log and told, in one transaction.
//!
//! Rule of the locks in the database: a liver's order (`orders::raise`) before a live's row before a question's.

use super::{
    Live, LiveError, Lives, Note, Visitor, archive,
    chat::Role,
    orders::{self, Subject},
};
use crate::{
    bus::{self, Fact},
    clock::Millis,
    ids::{LiveId, LiverId},
    store::Tx,
};

/// Where somebody acts.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'a> {
    /// In one live.
    Live(&'a LiveId),
    /// In all of a liver's.
    House(&'a LiverId),
}

/// An act that has begun; nothing is true before [`Act::finish`].
pub(super) struct Act<'a> {
    lives: &'a Lives,
    pub(super) tx: Tx,
    pub(super) by: &'a Visitor,
    /// Liver or moderator.
    pub(super) role: Role,
    pub(super) liver: LiverId,
    /// Locked, when it is in one.
    pub(super) live: Option<Live>,
    pub(super) now: Millis,
    facts: Vec<Fact>,
    changes_order: bool,
}

/// Liver or moderator, or nobody who keeps order.
async fn authorise(tx: &mut Tx, by: &Visitor, liver: &LiverId) -> Result<Role, LiveError> {
    if by.liver_id.as_ref() == Some(liver) {
        return Ok(Role::Liver);
    }
    if orders::is_moderator(tx, liver, &by.account_id).await? {
        Ok(Role::Moderator)
    } else {
        Err(LiveError::NotModerator)
    }
}

impl Lives {
    /// A live in which this person keeps order.
    ///
    /// # Errors
    /// [`LiveError::NotFound`], or [`LiveError::NotModerator`].
    pub async fn load_moderated(&self, by: &Visitor, live: &LiveId) -> Result<Live, LiveError> {
        let mut tx = self.0.db.read("check moderator").await?;
        let found = archive::find(&mut tx, live).await?.ok_or(LiveError::NotFound("live"))?;
        authorise(&mut tx, by, &found.liver_id).await?;
        Ok(found)
    }

    /// Begins an act that leaves the liver's order as it is.
    pub(super) async fn begin_act<'a>(
        &'a self,
        name: &'static str,
        by: &'a Visitor,
        live: &LiveId,
    ) -> Result<Act<'a>, LiveError> {
        let tx = self.0.db.write(name).await?;
        self.begin_in(tx, by, Place::Live(live), None).await
    }

    /// Begins an act that changes the liver's order: moderators, mutes, bans or words.
    pub(super) async fn begin_ordering<'a>(
        &'a self,
        name: &'static str,
        by: &'a Visitor,
        place: Place<'_>,
    ) -> Result<Act<'a>, LiveError> {
        let mut tx = self.0.db.write(name).await?;
        let liver = match place {
            Place::House(liver) if orders::liver_exists(&mut tx, liver).await? => liver.clone(),
            Place::House(_) => return Err(LiveError::NotFound("liver")),
            Place::Live(live) => archive::find(&mut tx, live).await?.ok_or(LiveError::NotFound("live"))?.liver_id,
        };
        let version = orders::raise(&mut tx, &liver).await?;
        self.begin_in(tx, by, place, Some(Fact::Moderation { liver, version })).await
    }

    async fn begin_in<'a>(
        &'a self,
        mut tx: Tx,
        by: &'a Visitor,
        place: Place<'_>,
        order: Option<Fact>,
    ) -> Result<Act<'a>, LiveError> {
        let (live, liver) = match place {
            Place::House(liver) => (None, liver.clone()),
            Place::Live(live) => {
                let live = archive::find_locked(&mut tx, live).await?.ok_or(LiveError::NotFound("live"))?;
                let liver = live.liver_id.clone();
                (Some(live), liver)
            }
        };
        let role = authorise(&mut tx, by, &liver).await?;
        let (now, changes_order) = (self.0.clock.now(), order.is_some());
        Ok(Act { lives: self, tx, by, role, liver, live, now, facts: order.into_iter().collect(), changes_order })
    }
}

impl Act<'_> {
    /// Writes what was done into the audit log.
    pub(super) async fn note(
        &mut self,
        action: &'static str,
        subject: &str,
        detail: serde_json::Value,
    ) -> Result<(), LiveError> {
        let note = Note {
            by: self.by.account_id.clone(),
            action,
            subject: subject.to_owned(),
            liver: self.liver.clone(),
            live: self.live.as_ref().map(|live| live.id.clone()),
            detail,
            at: self.now,
        };
        Ok((self.lives.0.registry.note)(&mut self.tx, &note).await?)
    }

    /// What others will hear after the commit.
    pub(super) fn tell(&mut self, fact: Fact) {
        self.facts.push(fact);
    }

    /// Makes it true and tells it. This node's rooms have a changed order before this returns.
    pub(super) async fn finish(mut self) -> Result<(), LiveError> {
        let written = bus::append_many(&mut self.tx, self.facts, self.now).await?;
        self.tx.commit().await?;
        self.lives.0.relay.tell(written);
        if self.changes_order
            && let Err(error) = self.lives.0.hub.bring_order(&self.liver).await
        {
            tracing::warn!(%error, "a changed order reaches the rooms by its fact");
        }
        Ok(())
    }
}

/// How a person is written into the audit log.
pub(super) fn about(who: &Subject) -> serde_json::Value {
    serde_json::json!({ "customer_id": who.customer_id, "name": who.display_name })
}
