//! Table: `moderation` and `refused_words`, and what a liver's whole order is read from.
//!
//! SQL only; what may happen is decided in `moderation`. Moderators are grants, which the people's room writes.
//! Invariant: whoever changes mutes, bans, words or moderators has raised the version in the same transaction, and so holds
//! the lock of all of them; one version is one order.

use super::{
    chat::Role,
    moderation::Orders,
    sanctions,
    wordlist::{MAX_WORDS, Word},
};
use crate::{
    clock::Millis,
    ids::{AccountId, CustomerId, LiverId, WordId},
    on,
    store::{StoreError, Tx},
};

/// Locks a liver's order until the transaction ends; the version it will have.
pub(super) async fn raise(tx: &mut Tx, liver: &LiverId) -> Result<i64, StoreError> {
    let (version,) = on!(tx, |conn| {
        sqlx::query_as::<_, (i64,)>(
            "INSERT INTO moderation (liver_id, version)
             VALUES ($1, 1)
             ON CONFLICT (liver_id) DO UPDATE SET version = moderation.version + 1
             RETURNING version",
        )
        .bind(liver)
        .fetch_one(conn)
        .await?
    });
    Ok(version)
}

/// A liver's whole order.
pub(super) async fn load(tx: &mut Tx, liver: &LiverId, now: Millis) -> Result<Orders, StoreError> {
    let version = on!(&mut *tx, |conn| {
        sqlx::query_as::<_, (i64,)>("SELECT version FROM moderation WHERE liver_id = $1")
            .bind(liver)
            .fetch_optional(conn)
            .await?
    });
    // Without a version nothing was ever ordered.
    let Some((version,)) = version else { return Ok(Orders::default()) };
    Ok(Orders {
        version,
        moderators: moderators(tx, liver).await?.into_iter().map(|moderator| moderator.customer_id).collect(),
        mutes: sanctions::holding_mutes(tx, liver, now).await?,
        bans: sanctions::holding_bans(tx, liver).await?,
        words: words(tx, liver).await?.into_iter().map(|word| word.folded).collect(),
    })
}

/// Who moderates for a liver.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Moderator {
    /// The sign-in.
    pub account_id: AccountId,
    /// The person.
    pub customer_id: CustomerId,
    /// What others see.
    pub display_name: String,
    /// By which the liver named them.
    pub email: String,
    /// Since when.
    pub named_at_ms: Millis,
}

/// All of a liver's moderators, in order of naming.
pub(super) async fn moderators(tx: &mut Tx, liver: &LiverId) -> Result<Vec<Moderator>, StoreError> {
    Ok(on!(tx, |conn| {
        sqlx::query_as::<_, Moderator>(
            "SELECT a.id AS account_id, i.customer_id, a.display_name, a.email, g.granted_at_ms AS named_at_ms
             FROM grants g
             JOIN accounts a ON a.id = g.account_id
             JOIN identities i ON i.kind = 'account' AND i.value = a.id
             WHERE g.role = 'moderator' AND g.subject_id = $1
             ORDER BY g.granted_at_ms, a.id",
        )
        .bind(liver)
        .fetch_all(conn)
        .await?
    }))
}

/// Whether an account moderates for a liver.
pub(super) async fn is_moderator(tx: &mut Tx, liver: &LiverId, account: &AccountId) -> Result<bool, StoreError> {
    let row = on!(tx, |conn| {
        sqlx::query_as::<_, (i64,)>(
            "SELECT CAST(1 AS BIGINT)
             FROM grants
             WHERE account_id = $1 AND role = 'moderator' AND subject_id = $2",
        )
        .bind(account)
        .bind(liver)
        .fetch_optional(conn)
        .await?
    });
    Ok(row.is_some())
}

/// A person as moderation knows them.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(super) struct Subject {
    pub(super) account_id: AccountId,
    pub(super) customer_id: CustomerId,
    pub(super) display_name: String,
}

/// The text up to the condition, in one place.
macro_rules! select_subject {
    ($rest:literal) => {
        concat!(
            "SELECT a.id AS account_id, i.customer_id, a.display_name
             FROM accounts a
             JOIN identities i ON i.kind = 'account' AND i.value = a.id ",
            $rest
        )
    };
}

/// The person behind an email address.
pub(super) async fn find_by_email(tx: &mut Tx, email: &str) -> Result<Option<Subject>, StoreError> {
    Ok(on!(tx, |conn| {
        sqlx::query_as::<_, Subject>(select_subject!("WHERE a.email = $1")).bind(email).fetch_optional(conn).await?
    }))
}

/// The person behind a sign-in.
pub(super) async fn find_by_account(tx: &mut Tx, account: &AccountId) -> Result<Option<Subject>, StoreError> {
    Ok(on!(tx, |conn| {
        sqlx::query_as::<_, Subject>(select_subject!("WHERE a.id = $1")).bind(account).fetch_optional(conn).await?
    }))
}

/// A sign-in of a person.
pub(super) async fn find_by_customer(tx: &mut Tx, customer: &CustomerId) -> Result<Option<Subject>, StoreError> {
    Ok(on!(tx, |conn| {
        sqlx::query_as::<_, Subject>(select_subject!("WHERE i.customer_id = $1 ORDER BY a.id LIMIT 1"))
            .bind(customer)
            .fetch_optional(conn)
            .await?
    }))
}

/// Who a person is to a liver's rooms.
pub(super) async fn role_of(tx: &mut Tx, liver: &LiverId, customer: &CustomerId) -> Result<Role, StoreError> {
    let is_liver = on!(&mut *tx, |conn| {
        sqlx::query_as::<_, (i64,)>(
            "SELECT CAST(1 AS BIGINT)
             FROM livers l
             JOIN identities i ON i.kind = 'account' AND i.value = l.account_id
             WHERE l.id = $1 AND i.customer_id = $2",
        )
        .bind(liver)
        .bind(customer)
        .fetch_optional(conn)
        .await?
        .is_some()
    });
    if is_liver {
        return Ok(Role::Liver);
    }
    let moderates = moderators(tx, liver).await?.iter().any(|moderator| moderator.customer_id == *customer);
    Ok(if moderates { Role::Moderator } else { Role::Viewer })
}

/// Whether there is such a liver.
pub(super) async fn liver_exists(tx: &mut Tx, liver: &LiverId) -> Result<bool, StoreError> {
    let row = on!(tx, |conn| {
        sqlx::query_as::<_, (i64,)>("SELECT CAST(1 AS BIGINT) FROM livers WHERE id = $1")
            .bind(liver)
            .fetch_optional(conn)
            .await?
    });
    Ok(row.is_some())
}

/// All refused words of a liver, oldest first.
pub(super) async fn words(tx: &mut Tx, liver: &LiverId) -> Result<Vec<Word>, StoreError> {
    let limit = i64::try_from(MAX_WORDS).unwrap_or(i64::MAX);
    let rows = on!(tx, |conn| {
        sqlx::query_as::<_, (WordId, String, String)>(
            "SELECT id, word, folded
             FROM refused_words
             WHERE liver_id = $1
             ORDER BY id
             LIMIT $2",
        )
        .bind(liver)
        .bind(limit)
        .fetch_all(conn)
        .await?
    });
    Ok(rows.into_iter().map(|(id, word, folded)| Word { id, word, folded }).collect())
}

/// Adds a word; one that is compared alike stays as it is.
pub(super) async fn add_word(tx: &mut Tx, liver: &LiverId, word: &Word, now: Millis) -> Result<(), StoreError> {
    on!(tx, |conn| {
        sqlx::query(
            "INSERT INTO refused_words (id, liver_id, word, folded, added_at_ms)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (liver_id, folded) DO NOTHING",
        )
        .bind(&word.id)
        .bind(liver)
        .bind(&word.word)
        .bind(&word.folded)
        .bind(now)
        .execute(conn)
        .await?;
    });
    Ok(())
}

/// Removes a word; `None` when it is not on the list.
pub(super) async fn remove_word(tx: &mut Tx, liver: &LiverId, word: &WordId) -> Result<Option<String>, StoreError> {
    let row = on!(tx, |conn| {
        sqlx::query_as::<_, (String,)>("DELETE FROM refused_words WHERE liver_id = $1 AND id = $2 RETURNING word")
            .bind(liver)
            .bind(word)
            .fetch_optional(conn)
            .await?
    });
    Ok(row.map(|(word,)| word))
}
