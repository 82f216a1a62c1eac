//! Engine: views for a brand's own tools on PostgreSQL, and who may read them.
//!
//! A role reads its brands' rows and no others: the views ask who signed in, and row-level security stands behind them on
//! the tables. Views hang on tables that a migration may make anew, so they are dropped before and made again after.

use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, PgPool};

use super::{Db, MIGRATIONS, StoreError};
use crate::{clock::Millis, ids::BrandId};

const VIEWS: &str = include_str!("reporting.sql");
/// Characters of a role's name (PostgreSQL keeps 63 bytes).
const MAX_ROLE_CHARS: usize = 63;

/// Why a role was not let in.
#[derive(Debug, thiserror::Error)]
pub enum ReportingError {
    /// SQLite has no roles.
    #[error("reporting views are PostgreSQL's; on SQLite, use exports")]
    NoRoles,
    /// It is no name we would put into a statement.
    #[error("a role is named by small letters, digits and underscores, beginning with a letter")]
    Name,
    /// There is no such role.
    #[error("there is no role {0}; make it first: CREATE ROLE {0} LOGIN PASSWORD '…'")]
    NoRole(String),
    /// There is nothing to take back.
    #[error("{0} was never let in to {1}")]
    NotLetIn(String, BrandId),
    /// There is no such brand.
    #[error("there is no brand {0}")]
    NoBrand(BrandId),
    /// The database's.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the views were made from.
fn tag() -> String {
    let newest = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0);
    format!("hanamichi {newest} {}", data_encoding::HEXLOWER.encode(&Sha256::digest(VIEWS)))
}

/// Drops the views unless they are of this version, or the database is of a newer one. Whether they are to be made.
pub(super) async fn drop_old(pool: &PgPool) -> Result<bool, StoreError> {
    const FRESH: &str = "SELECT to_regclass('_sqlx_migrations') IS NULL";
    const APPLIED: &str = "SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations";
    let (fresh,): (bool,) = sqlx::query_as(FRESH).fetch_one(pool).await?;
    if fresh {
        return Ok(true);
    }
    let (applied,): (i64,) = sqlx::query_as(APPLIED).fetch_one(pool).await?;
    if MIGRATIONS.iter().all(|migration| migration.version < applied) {
        return Ok(false);
    }
    const FIND: &str = "
        SELECT to_regnamespace('reporting') IS NOT NULL, obj_description(to_regnamespace('reporting'), 'pg_namespace')";
    // The policies go with the schema: a table that is held by none would show its rows to its owner alone.
    const DROP: &str = "
        ALTER TABLE IF EXISTS credits DISABLE ROW LEVEL SECURITY;
        ALTER TABLE IF EXISTS order_lines DISABLE ROW LEVEL SECURITY;
        DROP SCHEMA reporting CASCADE";
    let (standing, made_from): (bool, Option<String>) = sqlx::query_as(FIND).fetch_one(pool).await?;
    if made_from == Some(tag()) {
        return Ok(false);
    }
    if standing {
        sqlx::raw_sql(DROP).execute(pool).await?;
    }
    Ok(true)
}

/// Makes the views, and lets in who was let in before.
pub(super) async fn make(pool: &PgPool) -> Result<(), StoreError> {
    // Several nodes may start at once: one of them makes it.
    const LOCK: &str = "SELECT pg_advisory_xact_lock(4726109)";
    const STANDING: &str = "SELECT to_regnamespace('reporting') IS NOT NULL";
    const READERS: &str = "
        SELECT DISTINCT r.role FROM reporting_readers r JOIN pg_roles p ON p.rolname = r.role WHERE r.ended_at_ms IS NULL";
    let mut tx = pool.begin().await?;
    sqlx::query(LOCK).execute(&mut *tx).await?;
    let (standing,): (bool,) = sqlx::query_as(STANDING).fetch_one(&mut *tx).await?;
    if standing {
        return Ok(());
    }
    sqlx::raw_sql(VIEWS).execute(&mut *tx).await?;
    sqlx::raw_sql(AssertSqlSafe(format!("COMMENT ON SCHEMA reporting IS '{}'", tag()))).execute(&mut *tx).await?;
    let readers: Vec<(String,)> = sqlx::query_as(READERS).fetch_all(&mut *tx).await?;
    for (role,) in readers.iter().filter(|(role,)| is_name(role)) {
        sqlx::raw_sql(AssertSqlSafe(grant(role))).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(())
}

fn is_name(role: &str) -> bool {
    role.len() <= MAX_ROLE_CHARS
        && role.starts_with(|c: char| c.is_ascii_lowercase())
        && role.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn grant(role: &str) -> String {
    format!("GRANT SELECT ON ALL TABLES IN SCHEMA reporting TO \"{role}\"")
}

impl Db {
    /// Lets a role of the database read a brand's reporting views. It is to be made before, with its password, by whoever
    /// runs the database.
    ///
    /// # Errors
    /// [`ReportingError`] for an engine without roles, and for a role or brand that is none.
    pub async fn let_read(&self, role: &str, brand: &BrandId, now: Millis) -> Result<(), ReportingError> {
        const ROLE: &str = "SELECT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = $1)";
        const BRAND: &str = "SELECT EXISTS (SELECT 1 FROM brands WHERE id = $1)";
        const INSERT: &str = "
            INSERT INTO reporting_readers (role, brand_id, allowed_at_ms) VALUES ($1, $2, $3)
            ON CONFLICT (role, brand_id) DO UPDATE SET ended_at_ms = NULL";
        let Self::Postgres { pool, .. } = self else { return Err(ReportingError::NoRoles) };
        if !is_name(role) {
            return Err(ReportingError::Name);
        }
        let mut tx = pool.begin().await.map_err(StoreError::from)?;
        let (known,): (bool,) = sqlx::query_as(ROLE).bind(role).fetch_one(&mut *tx).await.map_err(StoreError::from)?;
        if !known {
            return Err(ReportingError::NoRole(role.to_owned()));
        }
        let (known,): (bool,) =
            sqlx::query_as(BRAND).bind(brand).fetch_one(&mut *tx).await.map_err(StoreError::from)?;
        if !known {
            return Err(ReportingError::NoBrand(brand.clone()));
        }
        sqlx::query(INSERT).bind(role).bind(brand).bind(now).execute(&mut *tx).await.map_err(StoreError::from)?;
        sqlx::raw_sql(AssertSqlSafe(grant(role))).execute(&mut *tx).await.map_err(StoreError::from)?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Lets a role read a brand's views no longer.
    ///
    /// # Errors
    /// [`ReportingError::NoRoles`], or the database's.
    pub async fn let_read_no_longer(&self, role: &str, brand: &BrandId, now: Millis) -> Result<(), ReportingError> {
        const END: &str = "UPDATE reporting_readers SET ended_at_ms = $3 WHERE role = $1 AND brand_id = $2";
        let Self::Postgres { pool, .. } = self else { return Err(ReportingError::NoRoles) };
        const LEFT: &str = "SELECT EXISTS (SELECT 1 FROM reporting_readers WHERE role = $1 AND ended_at_ms IS NULL)";
        let mut tx = pool.begin().await.map_err(StoreError::from)?;
        let ended =
            sqlx::query(END).bind(role).bind(brand).bind(now).execute(&mut *tx).await.map_err(StoreError::from)?;
        if ended.rows_affected() == 0 {
            return Err(ReportingError::NotLetIn(role.to_owned(), brand.clone()));
        }
        let (reads,): (bool,) = sqlx::query_as(LEFT).bind(role).fetch_one(&mut *tx).await.map_err(StoreError::from)?;
        if !reads && is_name(role) {
            let revoke = format!("REVOKE ALL ON ALL TABLES IN SCHEMA reporting FROM \"{role}\"");
            sqlx::raw_sql(AssertSqlSafe(revoke)).execute(&mut *tx).await.map_err(StoreError::from)?;
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_go_into_a_statement() {
        for name in ["bi", "bi_hanamido_2"] {
            assert!(is_name(name));
        }
        for name in ["", "2bi", "Bi", "bi\"; DROP TABLE credits; --", "bi-1", &"a".repeat(64)] {
            assert!(!is_name(name), "{name}");
        }
    }
}
