//! Table: `mutes`, `bans` and `ban_networks`.
//!
//! SQL only; what may happen is decided in `moderation`. Rows are never deleted: what was lifted stays to be read.
//! Invariant: a person has at most one holding ban of a liver, and one holding mute of a place; writers hold the lock of
//! `orders::raise`.

use std::collections::HashMap;

use super::moderation::{Ban, MAX_BANS, MAX_MUTES, MAX_NETWORKS, Mute, Network};
use crate::{
    clock::Millis,
    ids::{AccountId, BanId, CustomerId, LiveId, LiverId, MuteId},
    on,
    store::{StoreError, Tx},
};

/// A mute with the names that moderators see.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct MuteRow {
    /// Its id.
    pub id: MuteId,
    /// Only there; in all of the liver's lives when absent.
    pub live_id: Option<LiveId>,
    /// Who.
    pub customer_id: CustomerId,
    /// What others see of them.
    pub display_name: String,
    /// Who did it.
    pub by_name: String,
    /// When.
    pub muted_at_ms: Millis,
    /// For good when absent.
    pub until_ms: Option<Millis>,
}

/// A ban with the names that moderators see.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct BanRow {
    /// Its id.
    pub id: BanId,
    /// Who.
    pub customer_id: CustomerId,
    /// What others see of them.
    pub display_name: String,
    /// Also whoever comes from where this person came from.
    pub with_address: bool,
    /// Who did it.
    pub by_name: String,
    /// When.
    pub banned_at_ms: Millis,
}

/// A new sanction.
#[derive(Debug)]
pub(super) struct NewSanction<'a> {
    pub(super) liver: &'a LiverId,
    pub(super) customer: &'a CustomerId,
    pub(super) by: &'a AccountId,
    pub(super) at: Millis,
}

/// The mutes of a liver that hold.
pub(super) async fn holding_mutes(tx: &mut Tx, liver: &LiverId, now: Millis) -> Result<Vec<Mute>, StoreError> {
    let rows = on!(tx, |conn| {
        sqlx::query_as::<_, (MuteId, Option<LiveId>, CustomerId, Option<Millis>)>(
            "SELECT id, live_id, customer_id, until_ms
             FROM mutes
             WHERE liver_id = $1 AND lifted_at_ms IS NULL AND (until_ms IS NULL OR until_ms > $2)
             ORDER BY id DESC
             LIMIT $3",
        )
        .bind(liver)
        .bind(now)
        .bind(MAX_MUTES)
        .fetch_all(conn)
        .await?
    });
    Ok(rows.into_iter().map(|(id, live, customer, until)| Mute { id, live, customer, until }).collect())
}

/// The bans of a liver that hold.
pub(super) async fn holding_bans(tx: &mut Tx, liver: &LiverId) -> Result<Vec<Ban>, StoreError> {
    let rows = on!(&mut *tx, |conn| {
        sqlx::query_as::<_, (BanId, CustomerId, bool)>(
            "SELECT id, customer_id, with_address
             FROM bans
             WHERE liver_id = $1 AND lifted_at_ms IS NULL
             ORDER BY id DESC
             LIMIT $2",
        )
        .bind(liver)
        .bind(MAX_BANS)
        .fetch_all(conn)
        .await?
    });
    let networks = on!(tx, |conn| {
        sqlx::query_as::<_, (BanId, String)>(
            "SELECT n.ban_id, n.network
             FROM bans b
             JOIN ban_networks n ON n.ban_id = b.id
             WHERE b.liver_id = $1 AND b.lifted_at_ms IS NULL",
        )
        .bind(liver)
        .fetch_all(conn)
        .await?
    });
    let mut by_ban: HashMap<BanId, Vec<Network>> = HashMap::new();
    for (ban, network) in networks {
        by_ban.entry(ban).or_default().extend(Network::parse(&network));
    }
    let ban = |(id, customer, with_address): (BanId, CustomerId, bool)| {
        let networks = by_ban.remove(&id).unwrap_or_default();
        Ban { id, customer, with_address, networks }
    };
    Ok(rows.into_iter().map(ban).collect())
}

/// How many mutes and bans of a liver hold.
pub(super) async fn count(tx: &mut Tx, liver: &LiverId, now: Millis) -> Result<(i64, i64), StoreError> {
    Ok(on!(tx, |conn| {
        sqlx::query_as::<_, (i64, i64)>(
            "SELECT (SELECT COUNT(*) FROM mutes
                     WHERE liver_id = $1 AND lifted_at_ms IS NULL AND (until_ms IS NULL OR until_ms > $2)),
                    (SELECT COUNT(*) FROM bans WHERE liver_id = $1 AND lifted_at_ms IS NULL)",
        )
        .bind(liver)
        .bind(now)
        .fetch_one(conn)
        .await?
    }))
}

/// Mutes a person; an earlier mute of the same place gives way to the new one.
pub(super) async fn mute(
    tx: &mut Tx,
    new: &NewSanction<'_>,
    live: Option<&LiveId>,
    until: Option<Millis>,
) -> Result<MuteId, StoreError> {
    on!(&mut *tx, |conn| {
        sqlx::query(
            "UPDATE mutes
             SET lifted_at_ms = $4
             WHERE liver_id = $1 AND customer_id = $2 AND lifted_at_ms IS NULL AND COALESCE(live_id, '') = $3",
        )
        .bind(new.liver)
        .bind(new.customer)
        .bind(live.map_or("", LiveId::as_str))
        .bind(new.at)
        .execute(conn)
        .await?;
    });
    let id = MuteId::fresh();
    on!(tx, |conn| {
        sqlx::query(
            "INSERT INTO mutes (id, liver_id, live_id, customer_id, by_account_id, muted_at_ms, until_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(&id)
        .bind(new.liver)
        .bind(live)
        .bind(new.customer)
        .bind(new.by)
        .bind(new.at)
        .bind(until)
        .execute(conn)
        .await?;
    });
    Ok(id)
}

/// Ends a mute; `None` when it does not hold.
pub(super) async fn unmute(
    tx: &mut Tx,
    liver: &LiverId,
    mute: &MuteId,
    now: Millis,
) -> Result<Option<CustomerId>, StoreError> {
    let row = on!(tx, |conn| {
        sqlx::query_as::<_, (CustomerId,)>(
            "UPDATE mutes
             SET lifted_at_ms = $3
             WHERE id = $1 AND liver_id = $2 AND lifted_at_ms IS NULL
             RETURNING customer_id",
        )
        .bind(mute)
        .bind(liver)
        .bind(now)
        .fetch_optional(conn)
        .await?
    });
    Ok(row.map(|(customer,)| customer))
}

/// Bans a person; who is banned already stays so, with the address when it is asked for.
pub(super) async fn ban(tx: &mut Tx, new: &NewSanction<'_>, with_address: bool) -> Result<BanId, StoreError> {
    let (id,) = on!(tx, |conn| {
        sqlx::query_as::<_, (BanId,)>(
            "INSERT INTO bans (id, liver_id, customer_id, with_address, by_account_id, banned_at_ms)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (liver_id, customer_id) WHERE lifted_at_ms IS NULL
             DO UPDATE SET with_address = (bans.with_address OR excluded.with_address)
             RETURNING id",
        )
        .bind(BanId::fresh())
        .bind(new.liver)
        .bind(new.customer)
        .bind(with_address)
        .bind(new.by)
        .bind(new.at)
        .fetch_one(conn)
        .await?
    });
    Ok(id)
}

/// Adds a place to a ban that holds, while it has fewer than [`MAX_NETWORKS`].
pub(super) async fn add_network(tx: &mut Tx, ban: &BanId, network: Network) -> Result<(), StoreError> {
    on!(tx, |conn| {
        sqlx::query(
            "INSERT INTO ban_networks (ban_id, network)
             SELECT b.id, CAST($2 AS TEXT)
             FROM bans b
             WHERE b.id = $1 AND b.lifted_at_ms IS NULL
               AND (SELECT COUNT(*) FROM ban_networks n WHERE n.ban_id = b.id) < $3
             ON CONFLICT (ban_id, network) DO NOTHING",
        )
        .bind(ban)
        .bind(network.to_string())
        .bind(MAX_NETWORKS)
        .execute(conn)
        .await?;
    });
    Ok(())
}

/// Ends a ban; `None` when it does not hold.
pub(super) async fn unban(
    tx: &mut Tx,
    liver: &LiverId,
    ban: &BanId,
    now: Millis,
) -> Result<Option<CustomerId>, StoreError> {
    let row = on!(tx, |conn| {
        sqlx::query_as::<_, (CustomerId,)>(
            "UPDATE bans
             SET lifted_at_ms = $3
             WHERE id = $1 AND liver_id = $2 AND lifted_at_ms IS NULL
             RETURNING customer_id",
        )
        .bind(ban)
        .bind(liver)
        .bind(now)
        .fetch_optional(conn)
        .await?
    });
    Ok(row.map(|(customer,)| customer))
}

/// The person of a mute, whether it holds or not.
pub(super) async fn muted(tx: &mut Tx, liver: &LiverId, mute: &MuteId) -> Result<Option<CustomerId>, StoreError> {
    let row = on!(tx, |conn| {
        sqlx::query_as::<_, (CustomerId,)>("SELECT customer_id FROM mutes WHERE id = $1 AND liver_id = $2")
            .bind(mute)
            .bind(liver)
            .fetch_optional(conn)
            .await?
    });
    Ok(row.map(|(customer,)| customer))
}

/// Holding mutes that matter in a live, newest first, those made before `before`.
pub(super) async fn list_mutes(
    tx: &mut Tx,
    (liver, live): (&LiverId, &LiveId),
    before: Option<&MuteId>,
    limit: i64,
    now: Millis,
) -> Result<Vec<MuteRow>, StoreError> {
    Ok(on!(tx, |conn| {
        sqlx::query_as::<_, MuteRow>(
            "SELECT m.id, m.live_id, m.customer_id, c.display_name, a.display_name AS by_name, m.muted_at_ms, m.until_ms
             FROM mutes m
             JOIN customers c ON c.id = m.customer_id
             JOIN accounts a ON a.id = m.by_account_id
             WHERE m.liver_id = $1 AND (m.live_id IS NULL OR m.live_id = $2) AND m.lifted_at_ms IS NULL
               AND (m.until_ms IS NULL OR m.until_ms > $3) AND m.id < $4
             ORDER BY m.id DESC
             LIMIT $5",
        )
        .bind(liver)
        .bind(live)
        .bind(now)
        .bind(before.map_or("mut_zzzz", MuteId::as_str))
        .bind(limit)
        .fetch_all(conn)
        .await?
    }))
}

/// Holding bans of a liver, newest first, those made before `before`.
pub(super) async fn list_bans(
    tx: &mut Tx,
    liver: &LiverId,
    before: Option<&BanId>,
    limit: i64,
) -> Result<Vec<BanRow>, StoreError> {
    Ok(on!(tx, |conn| {
        sqlx::query_as::<_, BanRow>(
            "SELECT b.id, b.customer_id, c.display_name, b.with_address, a.display_name AS by_name, b.banned_at_ms
             FROM bans b
             JOIN customers c ON c.id = b.customer_id
             JOIN accounts a ON a.id = b.by_account_id
             WHERE b.liver_id = $1 AND b.lifted_at_ms IS NULL AND b.id < $2
             ORDER BY b.id DESC
             LIMIT $3",
        )
        .bind(liver)
        .bind(before.map_or("ban_zzzz", BanId::as_str))
        .bind(limit)
        .fetch_all(conn)
        .await?
    }))
}
