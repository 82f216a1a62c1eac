//! Table: idempotency_keys: the first answer to a creating request, given again to a repetition.
//!
//! For creating requests whose room has no key of its own (purchases and adjustments have). The header is optional
//! here. Another request under the same key is 422; one that is still running is 409. Answers are kept for a day.
//! Invariant: a 5xx is not kept, so that it can be tried again.

use axum::{
    body::{Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};

use super::{
    MAX_BODY_BYTES,
    auth::Signed,
    problem::{Kind, Problem},
};
use crate::{
    app::App,
    clock::Millis,
    ids::AccountId,
    on,
    store::{StoreError, Tx},
};

/// How long an answer is kept.
const KEEP_MS: i64 = 24 * 3600 * 1000;
/// After this a request that never answered (its process died) may be taken over.
const ABANDONED_MS: i64 = 60 * 1000;
/// Characters of a key.
const MAX_KEY_CHARS: usize = 255;

enum Begun {
    /// Nobody was here before.
    New,
    /// Answer of then.
    Known(u16, String),
    /// It is still running.
    Running,
    /// Another request.
    Other,
}

/// Runs the request once per account and key.
pub(super) async fn keep(State(app): State<App>, signed: Option<Signed>, request: Request, next: Next) -> Response {
    let (Some(Signed(person)), Some(key)) = (signed, request.headers().get("idempotency-key")) else {
        return next.run(request).await;
    };
    let Some(key) = key.to_str().ok().filter(|key| !key.is_empty() && key.len() <= MAX_KEY_CHARS).map(str::to_owned)
    else {
        return Problem::invalid("Idempotency-Key must have 1 to 255 visible ASCII characters").into_response();
    };
    match run(&app, &person.account.id, &key, request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn run(app: &App, account: &AccountId, key: &str, request: Request, next: Next) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let body =
        to_bytes(body, MAX_BODY_BYTES).await.map_err(|_| Problem::new(Kind::TooLarge, "the body is too large"))?;
    let mut digest = Sha256::new();
    digest.update(format!("{} {}\n", parts.method, parts.uri.path()));
    digest.update(&body);
    let body_hash = data_encoding::HEXLOWER.encode(&digest.finalize());
    let now = app.clock.now();
    let mut tx = app.db.write("begin idempotent request").await?;
    let begun = begin(&mut tx, account, key, &body_hash, now).await?;
    tx.commit().await?;
    match begun {
        Begun::New => {}
        Begun::Known(status, answer) => return Ok(replay(status, answer)),
        Begun::Running => {
            return Err(
                Problem::new(Kind::Conflict, "the first request under this key is still running").retry_after_ms(1_000)
            );
        }
        Begun::Other => return Err(Problem::new(Kind::IdempotencyKeyReused, "use a new key for another request")),
    }
    let response = next.run(Request::from_parts(parts, body.into())).await;
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, MAX_BODY_BYTES * 4).await.unwrap_or_else(|_| Bytes::new());
    let mut tx = app.db.write("keep answer").await?;
    // Who was told to wait may ask again under the same key.
    if parts.status.is_server_error() || parts.status == StatusCode::TOO_MANY_REQUESTS {
        forget(&mut tx, account, key).await?;
    } else {
        finish(&mut tx, account, key, parts.status.as_u16(), &String::from_utf8_lossy(&bytes)).await?;
    }
    tx.commit().await?;
    Ok(Response::from_parts(parts, bytes.into()))
}

fn replay(status: u16, answer: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = if status.is_success() { "application/json" } else { "application/problem+json" };
    let mut response = (status, [(header::CONTENT_TYPE, kind)], answer).into_response();
    response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    response
}

async fn begin(tx: &mut Tx, account: &AccountId, key: &str, body_hash: &str, now: Millis) -> Result<Begun, StoreError> {
    const SWEEP: &str =
        "DELETE FROM idempotency_keys WHERE created_at_ms < $1 OR (status IS NULL AND created_at_ms < $2)";
    const BEGIN: &str = "
        INSERT INTO idempotency_keys (account_id, key, body_hash, created_at_ms)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT (account_id, key) DO NOTHING";
    const LOAD: &str = "SELECT body_hash, status, answer FROM idempotency_keys WHERE account_id = $1 AND key = $2";
    on!(&mut *tx, |conn| sqlx::query(SWEEP)
        .bind(now.0 - KEEP_MS)
        .bind(now.0 - ABANDONED_MS)
        .execute(conn)
        .await
        .map(drop))?;
    let begun = on!(&mut *tx, |conn| sqlx::query(BEGIN)
        .bind(account)
        .bind(key)
        .bind(body_hash)
        .bind(now)
        .execute(conn)
        .await?
        .rows_affected());
    if begun == 1 {
        return Ok(Begun::New);
    }
    let (known_hash, status, answer): (String, Option<i32>, Option<String>) =
        on!(&mut *tx, |conn| sqlx::query_as(LOAD).bind(account).bind(key).fetch_one(conn).await?);
    Ok(match (known_hash == body_hash, status, answer) {
        (false, ..) => Begun::Other,
        (true, Some(status), Some(answer)) => Begun::Known(u16::try_from(status).unwrap_or(500), answer),
        (true, ..) => Begun::Running,
    })
}

async fn finish(tx: &mut Tx, account: &AccountId, key: &str, status: u16, answer: &str) -> Result<(), StoreError> {
    const FINISH: &str = "UPDATE idempotency_keys SET status = $3, answer = $4 WHERE account_id = $1 AND key = $2";
    on!(tx, |conn| sqlx::query(FINISH)
        .bind(account)
        .bind(key)
        .bind(i32::from(status))
        .bind(answer)
        .execute(conn)
        .await
        .map(drop))?;
    Ok(())
}

async fn forget(tx: &mut Tx, account: &AccountId, key: &str) -> Result<(), StoreError> {
    const FORGET: &str = "DELETE FROM idempotency_keys WHERE account_id = $1 AND key = $2";
    on!(tx, |conn| sqlx::query(FORGET).bind(account).bind(key).execute(conn).await.map(drop))?;
    Ok(())
}
