//! Table: audit_unsealed and audit_seals: the audit log's lines in a chain of digests.
//!
//! A seal's digest is SHA-256 over the digest before it and the line's own fields, so the newest digest vouches for
//! everything before. Whoever notes it elsewhere can prove that nothing was changed since, and that nothing was cut off.
//! Lines are sealed by a task right after their commit: a chain written inside every transaction would make them all wait
//! for one another.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    clock::Millis,
    ids::AuditId,
    on,
    store::{Kind, Rows, StoreError, Tx},
};

/// Lines of one transaction.
const MAX_BATCH: i64 = 500;
/// Lines that are checked at once.
const PAGE: i64 = 1_000;
/// A line that is not sealed so long after it was written has been forgotten, or was written by somebody else.
const SEALED_WITHIN_MS: i64 = 60_000;

/// The digest before the first.
const BEFORE: &str = "";

#[derive(Debug, Clone, sqlx::FromRow)]
struct Line {
    id: AuditId,
    at_ms: Millis,
    account_id: Option<String>,
    action: String,
    subject_id: String,
    detail: String,
    liver_id: Option<String>,
    live_id: Option<String>,
}

impl Line {
    /// Every field with its length before it, so that no two lines have one text.
    fn digest(&self, before: &str) -> String {
        let mut digest = Sha256::new();
        let mut part = |text: Option<&str>| {
            let length = text.map_or(u64::MAX, |text| u64::try_from(text.len()).unwrap_or(u64::MAX - 1));
            digest.update(length.to_be_bytes());
            digest.update(text.unwrap_or_default());
        };
        part(Some(before));
        part(Some(self.id.as_str()));
        part(Some(&self.at_ms.0.to_string()));
        part(self.account_id.as_deref());
        part(Some(&self.action));
        part(Some(&self.subject_id));
        part(Some(&self.detail));
        part(self.liver_id.as_deref());
        part(self.live_id.as_deref());
        data_encoding::HEXLOWER.encode(&digest.finalize())
    }
}

/// The end of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Seal {
    /// How many lines it vouches for.
    pub n: i64,
    /// SHA-256, hexadecimal.
    pub digest: String,
}

/// A line was written: it is to be sealed.
pub(super) async fn insert_unsealed(tx: &mut Tx, id: &AuditId) -> Result<(), StoreError> {
    const INSERT: &str = "INSERT INTO audit_unsealed (audit_id) VALUES ($1)";
    on!(tx, |conn| sqlx::query(INSERT).bind(id).execute(conn).await.map(drop))?;
    Ok(())
}

/// The newest seal; `None` before the first.
pub(super) async fn newest(tx: &mut Tx) -> Result<Option<Seal>, StoreError> {
    const NEWEST: &str = "SELECT n, digest FROM audit_seals ORDER BY n DESC LIMIT 1";
    Ok(on!(tx, |conn| sqlx::query_as(NEWEST).fetch_optional(conn).await?))
}

/// Seals lines that are not yet; how many. Two nodes at once: the key of `n` lets one of them try again.
pub(super) async fn seal(tx: &mut Tx, now: Millis) -> Result<usize, StoreError> {
    const UNSEALED: &str = "
        SELECT l.id, l.at_ms, l.account_id, l.action, l.subject_id, l.detail, l.liver_id, l.live_id
        FROM audit_unsealed u
        JOIN audit_log l ON l.id = u.audit_id
        ORDER BY l.id
        LIMIT $1";
    const INSERT: &str = "
        INSERT INTO audit_seals (n, audit_id, digest, sealed_at_ms)
        SELECT n, audit_id, digest, sealed_at_ms FROM rows";
    const DELETE: &str = "DELETE FROM audit_unsealed WHERE audit_id IN (SELECT audit_id FROM rows)";
    let lines: Vec<Line> = on!(&mut *tx, |conn| sqlx::query_as(UNSEALED).bind(MAX_BATCH).fetch_all(conn).await?);
    if lines.is_empty() {
        return Ok(0);
    }
    let (mut n, mut digest) = newest(tx).await?.map_or((0, BEFORE.to_owned()), |seal| (seal.n, seal.digest));
    let mut seals = Rows::new(&[
        ("n", Kind::Number),
        ("audit_id", Kind::Text),
        ("digest", Kind::Text),
        ("sealed_at_ms", Kind::Number),
    ]);
    let mut sealed = Rows::new(&[("audit_id", Kind::Text)]);
    for line in &lines {
        n += 1;
        digest = line.digest(&digest);
        seals.push([n.into(), (&line.id).into(), digest.clone().into(), now.into()]);
        sealed.push([(&line.id).into()]);
    }
    seals.execute(tx, INSERT).await?;
    sealed.execute(tx, DELETE).await?;
    Ok(lines.len())
}

/// What the chain says of the log: how many lines were looked at, and what is wrong.
///
/// # Errors
/// The database's.
pub async fn verify_audit(tx: &mut Tx, now: Millis) -> Result<(i64, Vec<String>), StoreError> {
    const CHAIN: &str = "
        SELECT s.n, s.digest, s.audit_id, l.id, l.at_ms, l.account_id, l.action, l.subject_id, l.detail, l.liver_id,
               l.live_id
        FROM audit_seals s
        LEFT JOIN audit_log l ON l.id = s.audit_id
        WHERE s.n > $1
        ORDER BY s.n
        LIMIT $2";
    const LOOSE: &str = "
        SELECT l.id
        FROM audit_log l
        LEFT JOIN audit_seals s ON s.audit_id = l.id
        WHERE s.audit_id IS NULL AND l.at_ms < $1
          AND NOT EXISTS (SELECT 1 FROM audit_unsealed u WHERE u.audit_id = l.id)
        ORDER BY l.id
        LIMIT 100";
    let (mut before, mut n, mut faults) = (BEFORE.to_owned(), 0i64, Vec::new());
    loop {
        let page: Vec<Link> = on!(&mut *tx, |conn| sqlx::query_as(CHAIN).bind(n).bind(PAGE).fetch_all(conn).await?);
        if page.is_empty() {
            break;
        }
        for link in page {
            if link.n != n + 1 {
                faults.push(format!("seals {} to {} are gone", n + 1, link.n - 1));
            }
            let (number, digest, id) = (link.n, link.digest.clone(), link.audit_id.clone());
            match link.line() {
                Some(line) if line.digest(&before) == digest => {}
                Some(_) => faults.push(format!("{id} is not what was sealed as line {number}")),
                None => faults.push(format!("{id}, sealed as line {number}, is gone")),
            }
            (before, n) = (digest, number);
        }
    }
    let since = Millis(now.0 - SEALED_WITHIN_MS);
    let loose: Vec<(AuditId,)> = on!(tx, |conn| sqlx::query_as(LOOSE).bind(since).fetch_all(conn).await?);
    faults.extend(loose.into_iter().map(|(id,)| format!("{id} was never sealed")));
    Ok((n, faults))
}

/// A seal with its line, if that is there.
#[derive(sqlx::FromRow)]
struct Link {
    n: i64,
    digest: String,
    audit_id: String,
    id: Option<AuditId>,
    at_ms: Option<Millis>,
    account_id: Option<String>,
    action: Option<String>,
    subject_id: Option<String>,
    detail: Option<String>,
    liver_id: Option<String>,
    live_id: Option<String>,
}

impl Link {
    fn line(self) -> Option<Line> {
        Some(Line {
            id: self.id?,
            at_ms: self.at_ms?,
            account_id: self.account_id,
            action: self.action?,
            subject_id: self.subject_id?,
            detail: self.detail?,
            liver_id: self.liver_id,
            live_id: self.live_id,
        })
    }
}
