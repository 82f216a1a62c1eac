//! Edge: a small client of the public API, as anybody could write it.

use anyhow::{Context, bail};
use reqwest::header;
use serde_json::Value;

use super::PASSWORD;

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    cookie: String,
}

/// An answer that is a problem.
#[derive(Debug, thiserror::Error)]
#[error("{kind}: {detail}")]
pub(super) struct Refused {
    pub(super) kind: String,
    pub(super) detail: String,
}

impl Client {
    /// Signs in with a password, like the page does.
    pub(super) async fn sign_in(base: &str, email: &str) -> anyhow::Result<Self> {
        // To this process, by plain HTTP: also on a machine that has no list of certificate authorities.
        let http = reqwest::Client::builder().tls_certs_only([]).build().expect("a client without roots can be built");
        let body = serde_json::json!({ "email": email, "password": PASSWORD });
        let answer = http.post(format!("{base}/v1/sign-in")).json(&body).send().await?;
        if !answer.status().is_success() {
            bail!("{email} cannot sign in: {}", answer.text().await?);
        }
        let cookie = answer.headers().get(header::SET_COOKIE).context("a session cookie")?.to_str()?;
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        Ok(Self { http, base: base.to_owned(), cookie })
    }

    /// Where the server is.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// The session, as a Cookie header.
    pub(super) fn cookie(&self) -> &str {
        &self.cookie
    }

    /// The connection pool, for WHIP.
    pub(super) fn http(&self) -> reqwest::Client {
        self.http.clone()
    }

    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.answer(self.http.get(format!("{}{path}", self.base))).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.answer(self.http.post(format!("{}{path}", self.base)).json(body)).await
    }

    pub(super) async fn post_with_key(&self, path: &str, key: &str, body: &Value) -> anyhow::Result<Value> {
        self.answer(self.http.post(format!("{}{path}", self.base)).header("idempotency-key", key).json(body)).await
    }

    pub(super) async fn put(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.answer(self.http.put(format!("{}{path}", self.base)).json(body)).await
    }

    pub(super) async fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.answer(self.http.delete(format!("{}{path}", self.base))).await
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
        let answer = request.header(header::COOKIE, &self.cookie).send().await?;
        let ok = answer.status().is_success();
        let text = answer.text().await?;
        let body: Value = if text.is_empty() { Value::Null } else { serde_json::from_str(&text)? };
        if ok {
            return Ok(body);
        }
        let field = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        Err(Refused { kind: field("type"), detail: field("detail") }.into())
    }
}

/// A number below `n`, from the system's randomness: the demo need not repeat itself.
pub(super) fn roll(n: usize) -> usize {
    let mut bytes = [0u8; 8];
    getrandom::fill(&mut bytes).expect("the operating system has randomness");
    usize::try_from(u64::from_le_bytes(bytes) % (n.max(1) as u64)).unwrap_or(0)
}
