//! Table: `chat_rules` and `chat_pins`: what holds for a live's chat, and the line on top of it.
//!
//! Invariant: every change raises the row's version, which is told with it.

use crate::{
    ids::{ChatId, LiveId},
    on,
    store::{StoreError, Tx},
    wire,
};

/// The rules of a live's chat; none when nothing was ever said.
pub(super) async fn rules(tx: &mut Tx, live: &LiveId) -> Result<wire::ChatRules, StoreError> {
    let row = on!(tx, |conn| {
        sqlx::query_as::<_, (i32, bool, i64)>(
            "SELECT slow_mode_s, followers_only, version FROM chat_rules WHERE live_id = $1",
        )
        .bind(live)
        .fetch_optional(conn)
        .await?
    });
    let rules = |(slow_mode_s, followers_only, version)| wire::ChatRules { slow_mode_s, followers_only, version };
    Ok(row.map(rules).unwrap_or_default())
}

/// Writes the rules, and gives them back with their version.
pub(super) async fn put_rules(
    tx: &mut Tx,
    live: &LiveId,
    rules: wire::ChatRules,
) -> Result<wire::ChatRules, StoreError> {
    let (version,) = on!(tx, |conn| {
        sqlx::query_as::<_, (i64,)>(
            "INSERT INTO chat_rules (live_id, slow_mode_s, followers_only, version)
             VALUES ($1, $2, $3, 1)
             ON CONFLICT (live_id)
             DO UPDATE SET slow_mode_s = excluded.slow_mode_s, followers_only = excluded.followers_only,
                           version = chat_rules.version + 1
             RETURNING version",
        )
        .bind(live)
        .bind(rules.slow_mode_s)
        .bind(rules.followers_only)
        .fetch_one(conn)
        .await?
    });
    Ok(wire::ChatRules { version, ..rules })
}

/// Which line is on top, and the version of that.
pub(super) async fn pinned(tx: &mut Tx, live: &LiveId) -> Result<(Option<ChatId>, i64), StoreError> {
    let row = on!(tx, |conn| {
        sqlx::query_as::<_, (Option<ChatId>, i64)>("SELECT chat_id, version FROM chat_pins WHERE live_id = $1")
            .bind(live)
            .fetch_optional(conn)
            .await?
    });
    Ok(row.unwrap_or_default())
}

/// Puts a line on top, or takes down the one that is; the version of that.
pub(super) async fn pin(tx: &mut Tx, live: &LiveId, chat: Option<&ChatId>) -> Result<i64, StoreError> {
    let (version,) = on!(tx, |conn| {
        sqlx::query_as::<_, (i64,)>(
            "INSERT INTO chat_pins (live_id, chat_id, version)
             VALUES ($1, $2, 1)
             ON CONFLICT (live_id) DO UPDATE SET chat_id = excluded.chat_id, version = chat_pins.version + 1
             RETURNING version",
        )
        .bind(live)
        .bind(chat)
        .fetch_one(conn)
        .await?
    });
    Ok(version)
}
