//! Edge: somebody who speaks the public HTTP API.
//!
//! Owns a session and how an answer is read. Knows nothing of what is being tested.

use std::time::Duration;

use anyhow::{Context, bail};
use hanamichi::ids::BatchId;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

/// Password of everybody in the run.
pub const PASSWORD: &str = "correct horse";
/// One request may take this long; a server that needs more counts as not answering.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A name that nobody had before.
pub fn fresh_name() -> String {
    BatchId::fresh().as_str().to_owned()
}

/// A number that is hardly drawn twice.
pub fn fresh_number() -> u64 {
    fresh_name().bytes().fold(0, |number, byte| number.wrapping_mul(31).wrapping_add(byte.into()))
}

/// An address that nobody had before.
pub fn fresh_email() -> String {
    format!("{}@load.example", fresh_name())
}

/// The HTTP client that everybody shares.
pub fn http() -> anyhow::Result<reqwest::Client> {
    reqwest::Client::builder().tls_certs_only([]).timeout(REQUEST_TIMEOUT).build().context("cannot make an HTTP client")
}

/// Somebody with a session, or a guest.
#[derive(Debug, Clone)]
pub struct Actor {
    http: reqwest::Client,
    /// Address of the server.
    pub base: String,
    /// The session; empty for a guest.
    pub cookie: String,
}

/// Status and body of an answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Answer {
    /// The body of an answer that succeeded.
    pub fn ok(self) -> anyhow::Result<Value> {
        if (200..300).contains(&self.status) {
            return Ok(self.body);
        }
        bail!("answered {}: {}", self.status, self.body)
    }

    /// The problem's name, when this is one.
    pub fn problem(&self) -> Option<&str> {
        self.body["type"].as_str()?.strip_prefix("/problems/")
    }
}

impl Actor {
    /// Signs up a new customer.
    pub async fn sign_up(http: &reqwest::Client, base: &str, name: &str) -> anyhow::Result<Self> {
        let body = json!({ "email": fresh_email(), "password": PASSWORD, "display_name": name });
        Self::enter(http, base, "/v1/sign-up", &body).await
    }

    /// Signs in somebody who has an account.
    pub async fn sign_in(http: &reqwest::Client, base: &str, email: &str) -> anyhow::Result<Self> {
        Self::enter(http, base, "/v1/sign-in", &json!({ "email": email, "password": PASSWORD })).await
    }

    async fn enter(http: &reqwest::Client, base: &str, path: &str, body: &Value) -> anyhow::Result<Self> {
        let answer = http.post(format!("{base}{path}")).json(body).send().await.context(path.to_owned())?;
        if !answer.status().is_success() {
            bail!("{path} answered {}: {}", answer.status(), answer.text().await.unwrap_or_default());
        }
        let cookie = answer.headers().get("set-cookie").context("a session without a cookie")?;
        let cookie = cookie.to_str()?.split(';').next().unwrap_or_default().to_owned();
        Ok(Self { http: http.clone(), base: base.to_owned(), cookie })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).header("cookie", &self.cookie)
    }

    async fn send(request: RequestBuilder) -> anyhow::Result<Answer> {
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let text = answer.text().await?;
        let body =
            if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::String(text)) };
        Ok(Answer { status, body })
    }

    /// Reads something that must be there.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let answer = Self::send(self.request(Method::GET, path)).await.with_context(|| format!("GET {path}"))?;
        answer.ok().with_context(|| format!("GET {path}"))
    }

    /// Does something that must succeed.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.request(Method::POST, path).json(body);
        let answer = Self::send(request).await.with_context(|| format!("POST {path}"))?;
        answer.ok().with_context(|| format!("POST {path}"))
    }

    /// Tries something that may be refused.
    pub async fn post_with_key(&self, path: &str, key: &str, body: &Value) -> anyhow::Result<Answer> {
        let request = self.request(Method::POST, path).header("idempotency-key", key).json(body);
        Self::send(request).await.with_context(|| format!("POST {path}"))
    }

    /// Tries something that may be refused, or come to nothing when the server is gone.
    pub async fn attempt(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Answer> {
        let request = self.request(method, path);
        Self::send(body.into_iter().fold(request, RequestBuilder::json)).await
    }

    /// The same person at another node.
    pub fn at(&self, base: &str) -> Self {
        Self { base: base.to_owned(), ..self.clone() }
    }

    /// Everything on a list, page by page.
    pub async fn list(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let after = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
            let mut page = self.get(&format!("{path}?limit=100{after}")).await?;
            if let Some(some) = page["items"].as_array_mut() {
                items.append(some);
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return Ok(items),
            }
        }
    }
}

/// A text that an answer must have.
pub fn text(value: &Value, field: &str) -> anyhow::Result<String> {
    Ok(value[field].as_str().with_context(|| format!("no {field} in {value}"))?.to_owned())
}

/// A number that an answer must have.
pub fn number(value: &Value, field: &str) -> anyhow::Result<i64> {
    value[field].as_i64().with_context(|| format!("no {field} in {value}"))
}
