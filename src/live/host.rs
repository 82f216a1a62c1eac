//! Shell: what a liver does: schedule, edit, start, end, keys.
//!
//! Each verb loads and locks, lets the pure core decide, writes the row with its outbox fact in one transaction,
//! commits, then rings the relay.

use super::{
    Announcement, Edit, Figures, Live, LiveError, Lives, Session, SessionRefusal, Which, archive, secret,
    session::LabelChange,
};
use crate::{
    bus::{self, Fact},
    clock::Millis,
    ids::{LiveId, LiverId},
    store::Tx,
    wire::ordered::Event,
};

/// What a session becomes.
type Decided = Result<(Session, Vec<LabelChange>), SessionRefusal>;

impl Lives {
    /// Announces a live.
    ///
    /// # Errors
    /// [`LiveError::Session`] when title or label cannot be used, [`LiveError::NotFound`] for an unknown brand.
    pub async fn schedule(&self, liver: &LiverId, plan: Announcement, demo: bool) -> Result<Live, LiveError> {
        let now = self.0.clock.now();
        let session = Session::schedule(plan, now)?;
        let id = LiveId::fresh();
        let mut tx = self.0.db.write("schedule live").await?;
        if let Some(brand) = &session.tie_up
            && !archive::brand_exists(&mut tx, brand).await?
        {
            return Err(LiveError::NotFound("brand"));
        }
        archive::insert(&mut tx, &id, liver, &session, demo, now).await?;
        let live = archive::find(&mut tx, &id).await?.ok_or(LiveError::NotFound("live"))?;
        tx.commit().await?;
        Ok(live)
    }

    /// A live.
    ///
    /// # Errors
    /// [`LiveError::NotFound`].
    pub async fn load(&self, live: &LiveId) -> Result<Live, LiveError> {
        let mut tx = self.0.db.read("find live").await?;
        archive::find(&mut tx, live).await?.ok_or(LiveError::NotFound("live"))
    }

    /// A live of this liver.
    ///
    /// # Errors
    /// [`LiveError::NotFound`], or [`LiveError::NotYours`].
    pub async fn load_own(&self, liver: &LiverId, live: &LiveId) -> Result<Live, LiveError> {
        let found = self.load(live).await?;
        if found.liver_id == *liver { Ok(found) } else { Err(LiveError::NotYours) }
    }

    /// Lives, newest first, those made before `before`.
    ///
    /// # Errors
    /// The database's.
    pub async fn list(&self, which: &Which, before: Option<&LiveId>, limit: i64) -> Result<Vec<Live>, LiveError> {
        let mut tx = self.0.db.read("list lives").await?;
        Ok(archive::list(&mut tx, which, before, limit).await?)
    }

    /// Changes title, label or time.
    ///
    /// # Errors
    /// [`LiveError::Session`] when the live's state does not allow it.
    pub async fn edit(&self, liver: &LiverId, live: &LiveId, edit: Edit) -> Result<Live, LiveError> {
        self.change(liver, live, "edit live", |session, _| session.edit(edit)).await
    }

    /// Goes on air.
    ///
    /// # Errors
    /// [`LiveError::Session`] unless it is scheduled and labelled where it must be.
    pub async fn go_live(&self, liver: &LiverId, live: &LiveId) -> Result<Live, LiveError> {
        self.change(liver, live, "start live", Session::start).await
    }

    /// Ends it.
    ///
    /// # Errors
    /// [`LiveError::Session`] unless it is on air.
    pub async fn end(&self, liver: &LiverId, live: &LiveId) -> Result<Live, LiveError> {
        self.change(liver, live, "end live", Session::end).await
    }

    async fn change(
        &self,
        liver: &LiverId,
        id: &LiveId,
        name: &'static str,
        decide: impl FnOnce(Session, Millis) -> Decided,
    ) -> Result<Live, LiveError> {
        let now = self.0.clock.now();
        let mut tx = self.0.db.write(name).await?;
        let live = load_own_locked(&mut tx, liver, id).await?;
        let (session, labels) = decide(live.session.clone(), now)?;
        let live = Live { session, version: live.version + 1, ..live };
        archive::update(&mut tx, &live, &labels, now).await?;
        if live.ended_at().is_some() {
            (self.0.end)(&mut tx, id, now).await?;
        }
        let fact = Fact::Ordered { live: id.clone(), event: Event::LiveChanged(live.to_wire()) };
        let written = bus::append(&mut tx, fact, now).await?;
        tx.commit().await?;
        self.0.relay.tell(vec![written]);
        tracing::info!(live.id = %id, live.state = live.session.phase.word(), "{name}");
        Ok(live)
    }

    /// A new stream key, shown once; the old one stops working.
    ///
    /// # Errors
    /// [`LiveError::NotYours`], or [`LiveError::Ended`].
    pub async fn rotate_stream_key(&self, liver: &LiverId, live: &LiveId) -> Result<String, LiveError> {
        let key = secret::stream_key();
        let mut tx = self.0.db.write("rotate stream key").await?;
        let found = load_own_locked(&mut tx, liver, live).await?;
        if found.ended_at().is_some() {
            return Err(LiveError::Ended);
        }
        archive::put_stream_key(&mut tx, live, &secret::digest(&key)).await?;
        tx.commit().await?;
        Ok(key)
    }

    /// Whether this is the live's stream key.
    ///
    /// # Errors
    /// The database's.
    pub async fn verify_stream_key(&self, live: &LiveId, key: &str) -> Result<bool, LiveError> {
        let mut tx = self.0.db.read("verify stream key").await?;
        Ok(archive::is_stream_key(&mut tx, live, &secret::digest(key)).await?)
    }

    /// What was sold, and who watched.
    ///
    /// # Errors
    /// The database's.
    pub async fn sales(&self, live: &LiveId) -> Result<Figures, LiveError> {
        Ok((self.0.sales)(live.clone()).await?)
    }
}

async fn load_own_locked(tx: &mut Tx, liver: &LiverId, live: &LiveId) -> Result<Live, LiveError> {
    let found = archive::find_locked(tx, live).await?.ok_or(LiveError::NotFound("live"))?;
    if found.liver_id == *liver { Ok(found) } else { Err(LiveError::NotYours) }
}
