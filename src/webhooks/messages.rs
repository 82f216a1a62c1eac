//! Table: webhook_messages and webhook_deliveries: what is said, and how far it is on its way to each address.
//!
//! Invariant: a message is written in the transaction that makes it true, with a delivery for each address that listens. It
//! is delivered at least once while its address is active: whoever tries it moves its next try on before they do, so one who
//! dies costs a minute, and no two try it together.

use serde::Serialize;

use super::{
    endpoints,
    event::{EventKind, News, body},
    schedule::{DeliveryState, Fault, LEASE_MS},
};
use crate::{
    clock::Millis,
    ids::{BrandId, MessageId, WebhookId},
    on,
    store::{Kind, Rows, StoreError, Tx},
};

/// How long a message is kept.
const KEEP_MS: i64 = 30 * 24 * 3_600_000;
/// Messages that are sent again by one request.
const MAX_RESENT: i64 = 10_000;
/// Messages that are forgotten at once.
const MAX_FORGOTTEN: i64 = 1_000;

/// A message on its way to an address.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Delivery {
    /// The `webhook-id` of every try: a receiver that has it already may drop it.
    pub message_id: MessageId,
    /// To which address.
    pub endpoint_id: WebhookId,
    /// What happened.
    pub event: EventKind,
    /// To which credit or statement.
    pub subject_id: String,
    /// How far it is.
    pub state: DeliveryState,
    /// How often it was tried.
    pub tries: i32,
    /// When it is tried next, while it waits.
    pub next_at_ms: Option<Millis>,
    /// HTTP status of the last answer.
    pub status: Option<i32>,
    /// What was wrong at the last try.
    pub fault: Option<Fault>,
    /// When it happened.
    pub created_at_ms: Millis,
    /// When it was last tried.
    pub last_at_ms: Option<Millis>,
}

/// With the text that is sent.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct DeliveryWithBody {
    /// How it fares.
    #[serde(flatten)]
    pub delivery: Delivery,
    /// What is signed, byte for byte.
    pub body: String,
}

/// Tells brands of something, in the caller's transaction. `make` is given those who listen, and is asked only when
/// somebody does.
///
/// # Errors
/// The database's.
pub async fn announce<'a>(
    tx: &mut Tx,
    event: EventKind,
    brands: impl Iterator<Item = &'a BrandId>,
    now: Millis,
    make: impl FnOnce(&[BrandId]) -> Vec<News>,
) -> Result<(), StoreError> {
    let listening = endpoints::listening(tx, brands, event).await?;
    if listening.is_empty() {
        return Ok(());
    }
    write(tx, event, &make(&listening), now).await
}

async fn write(tx: &mut Tx, event: EventKind, news: &[News], now: Millis) -> Result<(), StoreError> {
    const SAY: &str = "
        INSERT INTO webhook_messages (id, event, subject_id, body, created_at_ms)
        SELECT id, event, subject_id, body, at_ms FROM rows";
    const ADDRESS: &str = "
        INSERT INTO webhook_deliveries (endpoint_id, message_id, state, tries, next_at_ms, created_at_ms)
        SELECT e.id, rows.id, 'waiting', 0, rows.at_ms, rows.at_ms
        FROM rows CROSS JOIN webhook_endpoints e
        WHERE e.brand_id = rows.brand_id AND e.state <> 'disabled' AND ',' || e.events || ',' LIKE rows.pattern";
    let pattern = endpoints::pattern(event);
    let mut says = Rows::new(&[
        ("id", Kind::Text),
        ("event", Kind::Text),
        ("subject_id", Kind::Text),
        ("body", Kind::Text),
        ("at_ms", Kind::Number),
    ]);
    let mut addresses =
        Rows::new(&[("id", Kind::Text), ("brand_id", Kind::Text), ("pattern", Kind::Text), ("at_ms", Kind::Number)]);
    for one in news {
        let id = String::from(MessageId::fresh());
        let text = body(event, now, &one.data);
        addresses.push([id.clone().into(), (&one.brand).into(), pattern.as_str().into(), now.into()]);
        says.push([id.into(), event.as_str().into(), one.subject.as_str().into(), text.into(), now.into()]);
    }
    says.execute(tx, SAY).await?;
    addresses.execute(tx, ADDRESS).await?;
    Ok(())
}

/// Says something to one address, whatever else it listens to.
pub(super) async fn say_to(
    tx: &mut Tx,
    endpoint: &WebhookId,
    event: EventKind,
    data: &serde_json::Value,
    now: Millis,
) -> Result<MessageId, StoreError> {
    const SAY: &str = "
        INSERT INTO webhook_messages (id, event, subject_id, body, created_at_ms) VALUES ($1, $2, $3, $4, $5)";
    const ADDRESS: &str = "
        INSERT INTO webhook_deliveries (endpoint_id, message_id, state, tries, next_at_ms, created_at_ms)
        VALUES ($1, $2, 'waiting', 0, $3, $3)";
    let id = MessageId::fresh();
    on!(&mut *tx, |conn| sqlx::query(SAY)
        .bind(&id)
        .bind(event.as_str())
        .bind(endpoint)
        .bind(body(event, now, data))
        .bind(now)
        .execute(conn)
        .await
        .map(drop))?;
    on!(tx, |conn| sqlx::query(ADDRESS).bind(endpoint).bind(&id).bind(now).execute(conn).await.map(drop))?;
    Ok(id)
}

macro_rules! views {
    ($rest:literal) => {
        concat!(
            "SELECT d.message_id, d.endpoint_id, m.event, m.subject_id, d.state, d.tries,
                    CASE WHEN d.state = 'waiting' THEN d.next_at_ms END AS next_at_ms, d.status, d.fault, d.created_at_ms,
                    d.last_at_ms
             FROM webhook_deliveries d
             JOIN webhook_messages m ON m.id = d.message_id ",
            $rest
        )
    };
}

/// Deliveries of an address, newest first, before a cursor; of one state when it is given.
pub(super) async fn list(
    tx: &mut Tx,
    endpoint: &WebhookId,
    state: Option<DeliveryState>,
    before: Option<&MessageId>,
    limit: i64,
) -> Result<Vec<Delivery>, StoreError> {
    const LIST: &str = views!(
        "WHERE d.endpoint_id = $1 AND ($2 = '' OR d.state = $2) AND d.message_id < $3 ORDER BY d.message_id DESC LIMIT $4"
    );
    Ok(on!(tx, |conn| sqlx::query_as(LIST)
        .bind(endpoint)
        .bind(state.map_or("", DeliveryState::as_str))
        .bind(before.map_or("evt_zzzz", MessageId::as_str))
        .bind(limit)
        .fetch_all(conn)
        .await?))
}

pub(super) async fn find(
    tx: &mut Tx,
    endpoint: &WebhookId,
    message: &MessageId,
) -> Result<Option<DeliveryWithBody>, StoreError> {
    const FIND: &str = views!("WHERE d.endpoint_id = $1 AND d.message_id = $2");
    const BODY: &str = "SELECT body FROM webhook_messages WHERE id = $1";
    let found: Option<Delivery> =
        on!(&mut *tx, |conn| sqlx::query_as(FIND).bind(endpoint).bind(message).fetch_optional(conn).await?);
    let Some(delivery) = found else { return Ok(None) };
    let (body,): (String,) = on!(tx, |conn| sqlx::query_as(BODY).bind(message).fetch_one(conn).await?);
    Ok(Some(DeliveryWithBody { delivery, body }))
}

/// Sends again what an address did not take (the oldest of very many), or one of it; how many.
pub(super) async fn resend(
    tx: &mut Tx,
    endpoint: &WebhookId,
    only: Option<&MessageId>,
    now: Millis,
) -> Result<u64, StoreError> {
    const ALL: &str = "
        UPDATE webhook_deliveries SET state = 'waiting', tries = 0, next_at_ms = $2
        WHERE endpoint_id = $1 AND state = 'failed'
          AND message_id IN (SELECT message_id FROM webhook_deliveries
                             WHERE endpoint_id = $1 AND state = 'failed' ORDER BY message_id LIMIT $3)";
    // Also one that was taken: whoever lost it asks for it. One that waits is tried at once, unless it is being tried.
    const ONE: &str = "
        UPDATE webhook_deliveries
        SET state = 'waiting', tries = CASE WHEN state = 'waiting' THEN tries ELSE 0 END, next_at_ms = $2
        WHERE endpoint_id = $1 AND message_id = $3
          AND NOT (state = 'waiting' AND tries > 0 AND next_at_ms = last_at_ms + $4)";
    Ok(match only {
        None => on!(tx, |conn| sqlx::query(ALL)
            .bind(endpoint)
            .bind(now)
            .bind(MAX_RESENT)
            .execute(conn)
            .await?
            .rows_affected()),
        Some(message) => {
            on!(tx, |conn| sqlx::query(ONE)
                .bind(endpoint)
                .bind(now)
                .bind(message)
                .bind(LEASE_MS)
                .execute(conn)
                .await?
                .rows_affected())
        }
    })
}

/// A delivery that this node tries now.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct Claimed {
    pub(super) message_id: MessageId,
    pub(super) tries: i32,
    pub(super) body: String,
}

/// Takes what has waited longest at an address.
pub(super) async fn claim(
    tx: &mut Tx,
    endpoint: &WebhookId,
    now: Millis,
    limit: i64,
) -> Result<Vec<Claimed>, StoreError> {
    // Asked twice, so that of two nodes that saw the same one only the first has it.
    const CLAIM: &str = "
        UPDATE webhook_deliveries SET next_at_ms = $2, tries = tries + 1, last_at_ms = $3
        WHERE endpoint_id = $1 AND state = 'waiting' AND next_at_ms <= $3
          AND message_id IN (SELECT message_id FROM webhook_deliveries
                             WHERE endpoint_id = $1 AND state = 'waiting' AND next_at_ms <= $3
                             ORDER BY next_at_ms, message_id
                             LIMIT $4)
        RETURNING message_id, tries";
    const BODIES: &str = "
        SELECT rows.id AS message_id, CAST(rows.tries AS INTEGER) AS tries, m.body
        FROM rows CROSS JOIN webhook_messages m
        WHERE m.id = rows.id
        ORDER BY rows.id";
    let lease = Millis(now.0 + LEASE_MS);
    let taken: Vec<(String, i32)> = on!(&mut *tx, |conn| sqlx::query_as(CLAIM)
        .bind(endpoint)
        .bind(lease)
        .bind(now)
        .bind(limit)
        .fetch_all(conn)
        .await?);
    if taken.is_empty() {
        return Ok(Vec::new());
    }
    let mut rows = Rows::new(&[("id", Kind::Text), ("tries", Kind::Number)]);
    for (message, tries) in &taken {
        rows.push([message.as_str().into(), (*tries).into()]);
    }
    rows.fetch(tx, BODIES).await
}

/// What came of a try.
#[derive(Debug, Clone)]
pub(super) struct Tried {
    pub(super) endpoint: WebhookId,
    pub(super) message: MessageId,
    pub(super) tries: i32,
    pub(super) state: DeliveryState,
    pub(super) next_at: Millis,
    pub(super) status: Option<u16>,
    pub(super) fault: Option<Fault>,
}

/// Writes what came of some tries. One that is not the newest any more says something only when it was taken.
pub(super) async fn note(tx: &mut Tx, tried: &[Tried]) -> Result<(), StoreError> {
    const NOTE: &str = "
        UPDATE webhook_deliveries SET state = rows.state, next_at_ms = rows.next_at_ms, status = rows.status, fault = rows.fault
        FROM rows
        WHERE webhook_deliveries.endpoint_id = rows.endpoint_id AND webhook_deliveries.message_id = rows.message_id
          AND webhook_deliveries.state = 'waiting'
          AND (webhook_deliveries.tries = rows.tries OR rows.state = 'delivered')";
    let mut rows = Rows::new(&[
        ("endpoint_id", Kind::Text),
        ("message_id", Kind::Text),
        ("tries", Kind::Number),
        ("state", Kind::Text),
        ("next_at_ms", Kind::Number),
        ("status", Kind::Number),
        ("fault", Kind::Text),
    ]);
    for one in tried {
        rows.push([
            (&one.endpoint).into(),
            (&one.message).into(),
            one.tries.into(),
            one.state.as_str().into(),
            one.next_at.into(),
            one.status.map(i64::from).into(),
            one.fault.map(Fault::as_str).into(),
        ]);
    }
    rows.execute(tx, NOTE).await?;
    Ok(())
}

/// Forgets some of what is older than a month; whether there may be more.
pub(super) async fn forget_old(tx: &mut Tx, now: Millis) -> Result<bool, StoreError> {
    const DELIVERIES: &str = "
        DELETE FROM webhook_deliveries
        WHERE (endpoint_id, message_id) IN (SELECT endpoint_id, message_id FROM webhook_deliveries
                                            WHERE created_at_ms < $1 ORDER BY created_at_ms LIMIT $2)";
    const MESSAGES: &str = "
        DELETE FROM webhook_messages
        WHERE id IN (SELECT m.id FROM webhook_messages m WHERE m.created_at_ms < $1 ORDER BY m.created_at_ms LIMIT $2)";
    let before = Millis(now.0 - KEEP_MS);
    let mut most = 0;
    for statement in [DELIVERIES, MESSAGES] {
        let gone = on!(&mut *tx, |conn| sqlx::query(statement)
            .bind(before)
            .bind(MAX_FORGOTTEN)
            .execute(conn)
            .await?
            .rows_affected());
        most = most.max(gone);
    }
    Ok(most >= u64::try_from(MAX_FORGOTTEN).unwrap_or(u64::MAX))
}
