//! Table: webhook_endpoints: whose systems are told, where, and how they fare.

use serde::{Deserialize, Serialize};
use sqlx::AssertSqlSafe;

use super::{event::EventKind, schedule::is_given_up};
use crate::{
    clock::Millis,
    ids::{BrandId, WebhookId},
    on,
    store::{Kind, Rows, StoreError, Tx},
};

/// Secrets of before that sign, too.
const MAX_OLD_SECRETS: usize = 3;

crate::stored_choice! {
    /// Whether an address is told.
    EndpointState {
        /// It is.
        Active = "active",
        /// Not for now: what happens is kept for it.
        Paused = "paused",
        /// Not any more, by itself; what happens is not kept.
        Disabled = "disabled",
    }
}

crate::stored_choice! {
    /// Why an address is told no more.
    DisabledBecause {
        /// It answered 410.
        Gone = "gone",
        /// Nothing came through for five days.
        Failing = "failing",
    }
}

/// An address of a brand's systems.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct WebhookEndpoint {
    /// Its id.
    pub endpoint_id: WebhookId,
    /// Whose.
    pub brand_id: BrandId,
    /// Where.
    pub url: String,
    /// What the brand calls it.
    pub description: String,
    /// Of what it is told.
    pub events: Vec<EventKind>,
    /// Whether it is told.
    pub state: EndpointState,
    /// Why it is `disabled`.
    pub disabled_because: Option<DisabledBecause>,
    /// Since when nothing has come through.
    pub failing_since_ms: Option<Millis>,
    /// Deliveries on their way; counted up to 10,000.
    pub waiting: i64,
    /// Deliveries that were given up; counted up to 10,000.
    pub failed: i64,
    /// When one last came through.
    pub delivered_at_ms: Option<Millis>,
    /// Until when a secret of before signs, too.
    pub old_secret_until_ms: Option<Millis>,
    /// When it was made.
    pub created_at_ms: Millis,
}

#[derive(sqlx::FromRow)]
struct EndpointRow {
    id: WebhookId,
    brand_id: BrandId,
    url: String,
    description: String,
    events: String,
    state: EndpointState,
    disabled_because: Option<DisabledBecause>,
    failing_since_ms: Option<Millis>,
    waiting: i64,
    failed: i64,
    delivered_at_ms: Option<Millis>,
    old_secrets: String,
    created_at_ms: Millis,
}

/// A secret of before, and until when it signs.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct OldSecret {
    secret: String,
    until_ms: Millis,
}

/// Those that sign now, the newest first.
fn in_force(stored: &str, now: Millis) -> Vec<OldSecret> {
    let stored: Vec<OldSecret> = serde_json::from_str(stored).unwrap_or_default();
    stored.into_iter().filter(|old| old.until_ms > now).collect()
}

impl EndpointRow {
    fn into_view(self, now: Millis) -> WebhookEndpoint {
        WebhookEndpoint {
            endpoint_id: self.id,
            brand_id: self.brand_id,
            url: self.url,
            description: self.description,
            events: self.events.split(',').filter_map(EventKind::named).collect(),
            state: self.state,
            disabled_because: self.disabled_because,
            failing_since_ms: self.failing_since_ms,
            waiting: self.waiting,
            failed: self.failed,
            delivered_at_ms: self.delivered_at_ms,
            old_secret_until_ms: in_force(&self.old_secrets, now).into_iter().map(|old| old.until_ms).max(),
            created_at_ms: self.created_at_ms,
        }
    }
}

macro_rules! views {
    ($rest:literal) => {
        concat!(
            "SELECT e.id, e.brand_id, e.url, e.description, e.events, e.state, e.disabled_because, e.failing_since_ms,
                    (SELECT COUNT(*) FROM (SELECT 1 FROM webhook_deliveries d
                                           WHERE d.endpoint_id = e.id AND d.state = 'waiting' LIMIT 10000) w) AS waiting,
                    (SELECT COUNT(*) FROM (SELECT 1 FROM webhook_deliveries d
                                           WHERE d.endpoint_id = e.id AND d.state = 'failed' LIMIT 10000) f) AS failed,
                    e.delivered_at_ms, e.old_secrets, e.created_at_ms
             FROM webhook_endpoints e ",
            $rest
        )
    };
}

pub(super) async fn find(tx: &mut Tx, id: &WebhookId, now: Millis) -> Result<Option<WebhookEndpoint>, StoreError> {
    const FIND: &str = views!("WHERE e.id = $1");
    let row: Option<EndpointRow> = on!(tx, |conn| sqlx::query_as(FIND).bind(id).fetch_optional(conn).await?);
    Ok(row.map(|row| row.into_view(now)))
}

/// A brand's, in the order in which they were made.
pub(super) async fn of_brand(tx: &mut Tx, brand: &BrandId, now: Millis) -> Result<Vec<WebhookEndpoint>, StoreError> {
    const LIST: &str = views!("WHERE e.brand_id = $1 ORDER BY e.id");
    let rows: Vec<EndpointRow> = on!(tx, |conn| sqlx::query_as(LIST).bind(brand).fetch_all(conn).await?);
    Ok(rows.into_iter().map(|row| row.into_view(now)).collect())
}

/// What an address is, as its brand says it.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) url: String,
    pub(super) description: String,
    pub(super) events: Vec<EventKind>,
}

impl Said {
    fn events(&self) -> String {
        self.events.iter().map(|event| event.as_str()).collect::<Vec<_>>().join(",")
    }
}

pub(super) async fn insert(
    tx: &mut Tx,
    (id, brand): (&WebhookId, &BrandId),
    said: &Said,
    secret: &str,
    now: Millis,
) -> Result<(), StoreError> {
    const INSERT: &str = "
        INSERT INTO webhook_endpoints (id, brand_id, url, description, events, secret, state, created_at_ms)
        VALUES ($1, $2, $3, $4, $5, $6, 'active', $7)";
    on!(tx, |conn| sqlx::query(INSERT)
        .bind(id)
        .bind(brand)
        .bind(&said.url)
        .bind(&said.description)
        .bind(said.events())
        .bind(secret)
        .bind(now)
        .execute(conn)
        .await
        .map(drop))?;
    Ok(())
}

/// Changes what its brand says of it; `state` as well when it is given, and then what it suffered is forgotten.
pub(super) async fn change(
    tx: &mut Tx,
    id: &WebhookId,
    said: &Said,
    state: Option<EndpointState>,
) -> Result<(), StoreError> {
    const SAY: &str = "UPDATE webhook_endpoints SET url = $2, description = $3, events = $4 WHERE id = $1";
    const STATE: &str = "
        UPDATE webhook_endpoints SET state = $2, disabled_because = NULL, failing_since_ms = NULL WHERE id = $1";
    on!(&mut *tx, |conn| sqlx::query(SAY)
        .bind(id)
        .bind(&said.url)
        .bind(&said.description)
        .bind(said.events())
        .execute(conn)
        .await
        .map(drop))?;
    if let Some(state) = state {
        on!(tx, |conn| sqlx::query(STATE).bind(id).bind(state.as_str()).execute(conn).await.map(drop))?;
    }
    Ok(())
}

/// Locks it until the commit: whoever changes it reads it first.
pub(super) async fn lock(tx: &mut Tx, id: &WebhookId) -> Result<(), StoreError> {
    let text = format!("SELECT id FROM webhook_endpoints WHERE id = $1{}", tx.locking("webhook_endpoints"));
    on!(tx, |conn| sqlx::query(AssertSqlSafe(text)).bind(id).execute(conn).await.map(drop))?;
    Ok(())
}

/// Locks a brand's until the commit, those that are not there yet, too.
pub(super) async fn lock_all(tx: &mut Tx, brand: &BrandId) -> Result<(), StoreError> {
    let text = format!("SELECT id FROM brands WHERE id = $1{}", tx.locking("brands"));
    on!(tx, |conn| sqlx::query(AssertSqlSafe(text)).bind(brand).execute(conn).await.map(drop))?;
    Ok(())
}

/// Gives it another secret; the one before signs until then, too, as do those that were replaced shortly before.
pub(super) async fn renew(
    tx: &mut Tx,
    id: &WebhookId,
    secret: &str,
    (now, until): (Millis, Millis),
) -> Result<(), StoreError> {
    const READ: &str = "SELECT secret, old_secrets FROM webhook_endpoints WHERE id = $1";
    const RENEW: &str = "UPDATE webhook_endpoints SET secret = $2, old_secrets = $3 WHERE id = $1";
    let (before, stored): (String, String) =
        on!(&mut *tx, |conn| sqlx::query_as(READ).bind(id).fetch_one(conn).await?);
    let mut old = in_force(&stored, now);
    old.insert(0, OldSecret { secret: before, until_ms: until });
    // Whoever presses again and again: the oldest one is what their receiver still has, so that one is kept, too.
    while old.len() > MAX_OLD_SECRETS {
        old.remove(old.len() - 2);
    }
    let old = serde_json::to_string(&old).expect("secrets are JSON");
    on!(tx, |conn| sqlx::query(RENEW).bind(id).bind(secret).bind(old).execute(conn).await.map(drop))?;
    Ok(())
}

pub(super) async fn remove(tx: &mut Tx, id: &WebhookId) -> Result<(), StoreError> {
    const REMOVE: &str = "DELETE FROM webhook_endpoints WHERE id = $1";
    on!(tx, |conn| sqlx::query(REMOVE).bind(id).execute(conn).await.map(drop))?;
    Ok(())
}

/// An address at which something waits to be tried.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct Due {
    pub(super) id: WebhookId,
    pub(super) url: String,
    secret: String,
    old_secrets: String,
}

impl Due {
    /// The secrets that sign now, the newest first.
    pub(super) fn secrets(&self, now: Millis) -> Vec<String> {
        let old = in_force(&self.old_secrets, now).into_iter().map(|old| old.secret);
        std::iter::once(self.secret.clone()).chain(old).collect()
    }
}

/// Active addresses after this one at which something is due, by id.
pub(super) async fn due(tx: &mut Tx, after: &str, now: Millis, limit: i64) -> Result<Vec<Due>, StoreError> {
    const DUE: &str = "
        SELECT e.id, e.url, e.secret, e.old_secrets
        FROM webhook_endpoints e
        WHERE e.state = 'active' AND e.id > $1
          AND EXISTS (SELECT 1 FROM webhook_deliveries d
                      WHERE d.endpoint_id = e.id AND d.state = 'waiting' AND d.next_at_ms <= $2)
        ORDER BY e.id
        LIMIT $3";
    Ok(on!(tx, |conn| sqlx::query_as(DUE).bind(after).bind(now).bind(limit).fetch_all(conn).await?))
}

/// What the list of an address's events is like that has this one.
pub(super) fn pattern(event: EventKind) -> String {
    format!("%,{},%", event.as_str())
}

/// Which of these brands are told of an event.
pub(super) async fn listening<'a>(
    tx: &mut Tx,
    brands: impl Iterator<Item = &'a BrandId>,
    event: EventKind,
) -> Result<Vec<BrandId>, StoreError> {
    const LISTENING: &str = "
        SELECT DISTINCT e.brand_id
        FROM rows CROSS JOIN webhook_endpoints e
        WHERE e.brand_id = rows.brand_id AND e.state <> 'disabled' AND ',' || e.events || ',' LIKE rows.event";
    let event = pattern(event);
    let mut rows = Rows::new(&[("brand_id", Kind::Text), ("event", Kind::Text)]);
    for brand in brands {
        rows.push([brand.into(), event.as_str().into()]);
    }
    let found: Vec<(BrandId,)> = rows.fetch(tx, LISTENING).await?;
    Ok(found.into_iter().map(|(brand,)| brand).collect())
}

/// How an address fared in some tries.
#[derive(Debug, Clone, Default)]
pub(super) struct Fared {
    /// What it was then: one that was changed meanwhile has nothing to do with it.
    pub(super) url: String,
    pub(super) delivered: bool,
    pub(super) gone: bool,
    /// A message was tried for the last time.
    pub(super) given_up: bool,
}

/// Notes it; gives why it is told no more from now on, when that is so. One try that fails after a quiet time ends nothing:
/// only a message that could not be brought at all does, when nothing has come through for days.
pub(super) async fn note(
    tx: &mut Tx,
    id: &WebhookId,
    fared: &Fared,
    now: Millis,
) -> Result<Option<DisabledBecause>, StoreError> {
    const TAKEN: &str = "
        UPDATE webhook_endpoints SET delivered_at_ms = $3, failing_since_ms = NULL WHERE id = $1 AND url = $2";
    const FAILING: &str = "
        UPDATE webhook_endpoints SET failing_since_ms = COALESCE(failing_since_ms, $3)
        WHERE id = $1 AND url = $2 AND state = 'active'
        RETURNING failing_since_ms";
    const DISABLE: &str = "
        UPDATE webhook_endpoints SET state = 'disabled', disabled_because = $3
        WHERE id = $1 AND url = $2 AND state = 'active'";
    let because = if fared.gone {
        DisabledBecause::Gone
    } else if fared.delivered {
        on!(tx, |conn| sqlx::query(TAKEN).bind(id).bind(&fared.url).bind(now).execute(conn).await.map(drop))?;
        return Ok(None);
    } else {
        let since: Option<(Millis,)> = on!(&mut *tx, |conn| sqlx::query_as(FAILING)
            .bind(id)
            .bind(&fared.url)
            .bind(now)
            .fetch_optional(conn)
            .await?);
        if !(fared.given_up && since.is_some_and(|(since,)| is_given_up(since, now))) {
            return Ok(None);
        }
        DisabledBecause::Failing
    };
    let disabled = on!(tx, |conn| sqlx::query(DISABLE)
        .bind(id)
        .bind(&fared.url)
        .bind(because.as_str())
        .execute(conn)
        .await?
        .rows_affected());
    Ok((disabled > 0).then_some(because))
}
