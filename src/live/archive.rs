//! Table: `lives` and `pr_label_intervals`.
//!
//! SQL of the sessions and nothing that decides: what may happen is in `session`. Questions, pins and talk have their
//! own files beside this one.
//! Invariant: every change of a live raises its version by one.

use super::session::{LabelChange, Phase, Session};
use crate::{
    clock::Millis,
    ids::{BrandId, LiveId, LiverId},
    on,
    store::{StoreError, Tx},
    wire,
};

/// A live with the names a viewer sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Its id.
    pub id: LiveId,
    /// Whose it is.
    pub liver_id: LiverId,
    /// What the liver is called.
    pub liver_name: String,
    /// What the tie-up's brand is called.
    pub tie_up_brand_name: Option<String>,
    /// Where it is, and what it shows.
    pub session: Session,
    /// Most who watched at once.
    pub peak_viewers: i64,
    /// Grows with every change.
    pub version: i64,
    /// Made by `hanamichi demo`.
    pub demo: bool,
}

#[derive(sqlx::FromRow)]
struct LiveRow {
    id: LiveId,
    liver_id: LiverId,
    liver_name: String,
    title: String,
    state: String,
    tie_up_brand_id: Option<BrandId>,
    tie_up_brand_name: Option<String>,
    pr_label: Option<String>,
    scheduled_at_ms: Millis,
    started_at_ms: Option<Millis>,
    ended_at_ms: Option<Millis>,
    peak_viewers: i64,
    version: i64,
    demo: bool,
}

impl From<LiveRow> for Live {
    fn from(row: LiveRow) -> Self {
        let started_at = row.started_at_ms.unwrap_or(row.scheduled_at_ms);
        let phase = match row.state.as_str() {
            "scheduled" => Phase::Scheduled,
            "live" => Phase::Live { started_at },
            // The CHECK of the column allows one more word.
            _ => Phase::Ended { started_at, ended_at: row.ended_at_ms.unwrap_or(started_at) },
        };
        let session = Session {
            title: row.title,
            tie_up: row.tie_up_brand_id,
            pr_label: row.pr_label,
            scheduled_at: row.scheduled_at_ms,
            phase,
        };
        Self {
            id: row.id,
            liver_id: row.liver_id,
            liver_name: row.liver_name,
            tie_up_brand_name: row.tie_up_brand_name,
            session,
            peak_viewers: row.peak_viewers,
            version: row.version,
            demo: row.demo,
        }
    }
}

impl Live {
    /// When it began.
    #[must_use]
    pub fn started_at(&self) -> Option<Millis> {
        match self.session.phase {
            Phase::Scheduled => None,
            Phase::Live { started_at } | Phase::Ended { started_at, .. } => Some(started_at),
        }
    }

    /// When it was over.
    #[must_use]
    pub fn ended_at(&self) -> Option<Millis> {
        match self.session.phase {
            Phase::Scheduled | Phase::Live { .. } => None,
            Phase::Ended { ended_at, .. } => Some(ended_at),
        }
    }

    /// As it goes to viewers; whether there is a picture is not stored, the room knows.
    #[must_use]
    pub fn to_wire(&self) -> wire::Live {
        wire::Live {
            id: self.id.to_string(),
            title: self.session.title.clone(),
            state: self.session.phase.word().to_owned(),
            liver_id: self.liver_id.to_string(),
            liver_name: self.liver_name.clone(),
            tie_up_brand_id: self.session.tie_up.as_ref().map(BrandId::to_string).unwrap_or_default(),
            tie_up_brand_name: self.tie_up_brand_name.clone().unwrap_or_default(),
            pr_label: self.session.pr_label.clone().unwrap_or_default(),
            media: String::new(),
            scheduled_at_ms: self.session.scheduled_at.0,
            started_at_ms: self.started_at().unwrap_or_default().0,
            ended_at_ms: self.ended_at().unwrap_or_default().0,
            version: self.version,
            demo: self.demo,
        }
    }
}

/// One text for every way to find lives, so that their columns cannot drift.
macro_rules! select_lives {
    ($rest:literal) => {
        concat!(
            "SELECT l.id, l.liver_id, r.display_name AS liver_name, l.title, l.state, l.tie_up_brand_id,
                    b.name AS tie_up_brand_name, l.pr_label, l.scheduled_at_ms, l.started_at_ms, l.ended_at_ms,
                    l.peak_viewers, l.version, l.demo
             FROM lives l
             JOIN livers r ON r.id = l.liver_id
             LEFT JOIN brands b ON b.id = l.tie_up_brand_id ",
            $rest
        )
    };
}

pub(super) async fn find(tx: &mut Tx, live: &LiveId) -> Result<Option<Live>, StoreError> {
    let row = on!(tx, |conn| {
        sqlx::query_as::<_, LiveRow>(select_lives!("WHERE l.id = $1")).bind(live).fetch_optional(conn).await?
    });
    Ok(row.map(Live::from))
}

/// Locks the row until the transaction ends, and reads it.
pub(super) async fn find_locked(tx: &mut Tx, live: &LiveId) -> Result<Option<Live>, StoreError> {
    on!(&mut *tx, |conn| {
        sqlx::query("UPDATE lives SET version = version WHERE id = $1").bind(live).execute(conn).await?;
    });
    find(tx, live).await
}

/// Which lives a list shows.
#[derive(Debug, Clone)]
pub enum Which {
    /// Everybody's, of one state, or of any.
    State(Option<&'static str>),
    /// One liver's, whatever their state.
    Of(LiverId),
}

/// Newest first, those made before `before`.
pub(super) async fn list(
    tx: &mut Tx,
    which: &Which,
    before: Option<&LiveId>,
    limit: i64,
) -> Result<Vec<Live>, StoreError> {
    // Every id sorts before this.
    let before = before.map_or("live_zzzz", LiveId::as_str);
    let rows = match which {
        Which::State(state) => on!(tx, |conn| {
            sqlx::query_as::<_, LiveRow>(select_lives!(
                "WHERE ($1 = '' OR l.state = $1) AND l.id < $2 ORDER BY l.id DESC LIMIT $3"
            ))
            .bind(state.unwrap_or(""))
            .bind(before)
            .bind(limit)
            .fetch_all(conn)
            .await?
        }),
        Which::Of(liver) => on!(tx, |conn| {
            sqlx::query_as::<_, LiveRow>(select_lives!(
                "WHERE l.liver_id = $1 AND l.id < $2 ORDER BY l.id DESC LIMIT $3"
            ))
            .bind(liver)
            .bind(before)
            .bind(limit)
            .fetch_all(conn)
            .await?
        }),
    };
    Ok(rows.into_iter().map(Live::from).collect())
}

pub(super) async fn insert(
    tx: &mut Tx,
    live: &LiveId,
    liver: &LiverId,
    session: &Session,
    demo: bool,
    now: Millis,
) -> Result<(), StoreError> {
    on!(tx, |conn| {
        sqlx::query(
            "INSERT INTO lives (id, liver_id, title, state, tie_up_brand_id, pr_label, scheduled_at_ms, version, demo,
                                created_at_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, $9)",
        )
        .bind(live)
        .bind(liver)
        .bind(&session.title)
        .bind(session.phase.word())
        .bind(&session.tie_up)
        .bind(&session.pr_label)
        .bind(session.scheduled_at)
        .bind(demo)
        .bind(now)
        .execute(conn)
        .await?;
    });
    Ok(())
}

/// Writes what was decided for a live that this transaction has locked.
pub(super) async fn update(tx: &mut Tx, live: &Live, labels: &[LabelChange], now: Millis) -> Result<(), StoreError> {
    on!(&mut *tx, |conn| {
        sqlx::query(
            "UPDATE lives
             SET title = $2, state = $3, pr_label = $4, scheduled_at_ms = $5, started_at_ms = $6, ended_at_ms = $7,
                 version = $8
             WHERE id = $1",
        )
        .bind(&live.id)
        .bind(&live.session.title)
        .bind(live.session.phase.word())
        .bind(&live.session.pr_label)
        .bind(live.session.scheduled_at)
        .bind(live.started_at())
        .bind(live.ended_at())
        .bind(live.version)
        .execute(conn)
        .await?;
    });
    for label in labels {
        match label {
            LabelChange::Closed => close_label(tx, &live.id, now).await?,
            LabelChange::Opened(label) => open_label(tx, &live.id, label, now).await?,
        }
    }
    Ok(())
}

async fn close_label(tx: &mut Tx, live: &LiveId, now: Millis) -> Result<(), StoreError> {
    on!(tx, |conn| {
        sqlx::query(
            "UPDATE pr_label_intervals
             SET to_ms = $2
             WHERE live_id = $1 AND to_ms IS NULL",
        )
        .bind(live)
        .bind(now)
        .execute(conn)
        .await?;
    });
    Ok(())
}

async fn open_label(tx: &mut Tx, live: &LiveId, label: &str, now: Millis) -> Result<(), StoreError> {
    on!(tx, |conn| {
        // Two changes within a millisecond: the later label is the one that was shown.
        sqlx::query(
            "INSERT INTO pr_label_intervals (live_id, label, from_ms)
             VALUES ($1, $2, $3)
             ON CONFLICT (live_id, from_ms) DO UPDATE SET label = excluded.label, to_ms = NULL",
        )
        .bind(live)
        .bind(label)
        .bind(now)
        .execute(conn)
        .await?;
    });
    Ok(())
}

pub(super) async fn put_stream_key(tx: &mut Tx, live: &LiveId, hash: &str) -> Result<(), StoreError> {
    on!(tx, |conn| {
        sqlx::query("UPDATE lives SET stream_key_hash = $2 WHERE id = $1").bind(live).bind(hash).execute(conn).await?;
    });
    Ok(())
}

pub(super) async fn is_stream_key(tx: &mut Tx, live: &LiveId, hash: &str) -> Result<bool, StoreError> {
    let row = on!(tx, |conn| {
        sqlx::query_as::<_, (i64,)>("SELECT CAST(1 AS BIGINT) FROM lives WHERE id = $1 AND stream_key_hash = $2")
            .bind(live)
            .bind(hash)
            .fetch_optional(conn)
            .await?
    });
    Ok(row.is_some())
}

pub(super) async fn brand_exists(tx: &mut Tx, brand: &BrandId) -> Result<bool, StoreError> {
    let row = on!(tx, |conn| {
        sqlx::query_as::<_, (i64,)>("SELECT CAST(1 AS BIGINT) FROM brands WHERE id = $1")
            .bind(brand)
            .fetch_optional(conn)
            .await?
    });
    Ok(row.is_some())
}

/// Keeps the most who ever watched at once.
pub(super) async fn raise_peak(tx: &mut Tx, live: &LiveId, viewers: i64) -> Result<(), StoreError> {
    on!(tx, |conn| {
        sqlx::query("UPDATE lives SET peak_viewers = $2 WHERE id = $1 AND peak_viewers < $2")
            .bind(live)
            .bind(viewers)
            .execute(conn)
            .await?;
    });
    Ok(())
}
