//! Table: saved_cards, card_setups, provider_customers: cards that can be bought with again, by names.

use serde::Serialize;

use super::payment::CardFace;
use crate::{
    clock::Millis,
    ids::{CardId, CustomerId},
    on,
    store::{StoreError, Tx},
};

/// A card that can be bought with again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct SavedCard {
    /// Give it as `payment_method`.
    pub id: CardId,
    /// `visa`, `jcb` …
    pub brand: String,
    /// The last four digits.
    pub last4: String,
    /// 1 to 12.
    pub exp_month: i32,
    /// With its century.
    pub exp_year: i32,
    /// When it was saved.
    #[sqlx(rename = "saved_at_ms")]
    pub created_at_ms: Millis,
}

/// A customer's cards, newest first.
pub(super) async fn list(tx: &mut Tx, customer: &CustomerId, limit: i64) -> Result<Vec<SavedCard>, StoreError> {
    const LIST: &str = "
        SELECT id, brand, last4, exp_month, exp_year, saved_at_ms
        FROM saved_cards
        WHERE customer_id = $1 AND removed_at_ms IS NULL
        ORDER BY id DESC
        LIMIT $2";
    Ok(on!(tx, |conn| sqlx::query_as(LIST).bind(customer).bind(limit).fetch_all(conn).await?))
}

/// What the provider calls a customer's card.
pub(super) async fn find_ref(
    tx: &mut Tx,
    customer: &CustomerId,
    provider: &str,
    card: &CardId,
) -> Result<Option<String>, StoreError> {
    const FIND: &str = "
        SELECT ref
        FROM saved_cards
        WHERE id = $1 AND customer_id = $2 AND provider = $3 AND removed_at_ms IS NULL";
    let row: Option<(String,)> =
        on!(tx, |conn| sqlx::query_as(FIND).bind(card).bind(customer).bind(provider).fetch_optional(conn).await?);
    Ok(row.map(|(name,)| name))
}

/// Keeps a card; one that was kept before stays what it is, removed or not.
pub(super) async fn keep(
    tx: &mut Tx,
    customer: &CustomerId,
    provider: &str,
    face: &CardFace,
    now: Millis,
) -> Result<SavedCard, StoreError> {
    const KEEP: &str = "
        INSERT INTO saved_cards (id, customer_id, provider, ref, brand, last4, exp_month, exp_year, saved_at_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT (provider, ref) DO UPDATE SET brand = excluded.brand
        RETURNING id, brand, last4, exp_month, exp_year, saved_at_ms";
    Ok(on!(tx, |conn| sqlx::query_as(KEEP)
        .bind(CardId::fresh())
        .bind(customer)
        .bind(provider)
        .bind(&face.method)
        .bind(&face.brand)
        .bind(&face.last4)
        .bind(face.exp_month)
        .bind(face.exp_year)
        .bind(now)
        .fetch_one(conn)
        .await?))
}

/// Removes a customer's card; what the provider called it. `None`: there is none.
pub(super) async fn remove(
    tx: &mut Tx,
    customer: &CustomerId,
    card: &CardId,
    now: Millis,
) -> Result<Option<String>, StoreError> {
    const REMOVE: &str = "
        UPDATE saved_cards SET removed_at_ms = COALESCE(removed_at_ms, $3)
        WHERE id = $1 AND customer_id = $2
        RETURNING ref";
    let row: Option<(String,)> =
        on!(tx, |conn| sqlx::query_as(REMOVE).bind(card).bind(customer).bind(now).fetch_optional(conn).await?);
    Ok(row.map(|(name,)| name))
}

/// Notes for whom a card is being saved.
pub(super) async fn begin(
    tx: &mut Tx,
    customer: &CustomerId,
    provider: &str,
    setup: &str,
    now: Millis,
) -> Result<(), StoreError> {
    const BEGIN: &str = "
        INSERT INTO card_setups (provider, ref, customer_id, begun_at_ms) VALUES ($1, $2, $3, $4)
        ON CONFLICT (provider, ref) DO NOTHING";
    on!(tx, |conn| sqlx::query(BEGIN)
        .bind(provider)
        .bind(setup)
        .bind(customer)
        .bind(now)
        .execute(conn)
        .await?
        .rows_affected());
    Ok(())
}

/// For whom a card is being saved.
pub(super) async fn whose_setup(tx: &mut Tx, provider: &str, setup: &str) -> Result<Option<CustomerId>, StoreError> {
    const FIND: &str = "SELECT customer_id FROM card_setups WHERE provider = $1 AND ref = $2";
    let row: Option<(CustomerId,)> =
        on!(tx, |conn| sqlx::query_as(FIND).bind(provider).bind(setup).fetch_optional(conn).await?);
    Ok(row.map(|(customer,)| customer))
}

/// What the provider calls a customer.
pub(super) async fn find_customer(
    tx: &mut Tx,
    provider: &str,
    customer: &CustomerId,
) -> Result<Option<String>, StoreError> {
    const FIND: &str = "SELECT ref FROM provider_customers WHERE provider = $1 AND customer_id = $2";
    let row: Option<(String,)> =
        on!(tx, |conn| sqlx::query_as(FIND).bind(provider).bind(customer).fetch_optional(conn).await?);
    Ok(row.map(|(name,)| name))
}

/// Keeps what the provider calls a customer; the first name is the name.
pub(super) async fn keep_customer(
    tx: &mut Tx,
    provider: &str,
    customer: &CustomerId,
    name: &str,
) -> Result<String, StoreError> {
    const KEEP: &str = "
        INSERT INTO provider_customers (provider, customer_id, ref) VALUES ($1, $2, $3)
        ON CONFLICT (provider, customer_id) DO UPDATE SET ref = provider_customers.ref
        RETURNING ref";
    let (kept,): (String,) =
        on!(tx, |conn| sqlx::query_as(KEEP).bind(provider).bind(customer).bind(name).fetch_one(conn).await?);
    Ok(kept)
}
