//! Edge: carries requests to Stripe and its answers back.
//!
//! Ours, and not the crate's: an idempotency key that the caller chose, kept connections, time-outs, the headers of an
//! answer, and a body that is read as far as we need it.
//! Invariant: the secret key is in one header that marks itself as secret, and in no error and no log line.

use std::time::Duration;

use reqwest::{
    StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT},
};
use serde::de::DeserializeOwned;
use stripe_client_core::{RequestBuilder, StripeMethod};

use super::{
    super::words::Trouble,
    faults::{Failure, Head, judge},
    rates::{Endpoint, Rates},
};
use crate::config::StripeConfig;

/// The version of Stripe's interface that the request's types were made of; answers come in the same one, whatever the
/// account is set to.
pub(super) const VERSION: &str = "2026-07-29.dahlia";
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection that nobody used for so long is closed, before Stripe does it.
const IDLE: Duration = Duration::from_secs(50);
/// Connections that are kept for the next call.
const MAX_IDLE: usize = 64;
/// Bytes of an answer; a page of a hundred lines of the books with their charges has about half.
const MAX_BODY: usize = 1024 * 1024;

/// The way to Stripe.
#[derive(Debug)]
pub(super) struct Wire {
    http: reqwest::Client,
    base: String,
    rates: Rates,
}

/// The answer of Stripe.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A way to Stripe that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// It holds a character that no header may have.
    #[error("commerce.stripe.secret_key cannot be sent")]
    Key,
    /// E.g. this machine has no list of certificate authorities.
    #[error("cannot open a way to Stripe: {0}")]
    Http(reqwest::Error),
}

impl Wire {
    pub(super) fn new(config: &StripeConfig) -> Result<Self, WireError> {
        let mut bearer =
            HeaderValue::from_str(&format!("Bearer {}", config.secret_key.reveal())).map_err(|_| WireError::Key)?;
        bearer.set_sensitive(true);
        let headers = HeaderMap::from_iter([
            (AUTHORIZATION, bearer),
            (USER_AGENT, HeaderValue::from_static(concat!("hanamichi/", env!("CARGO_PKG_VERSION")))),
            (reqwest::header::HeaderName::from_static("stripe-version"), HeaderValue::from_static(VERSION)),
        ]);
        let http = reqwest::Client::builder()
            .default_headers(headers)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(Duration::from_millis(config.timeout_ms))
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MAX_IDLE)
            .tcp_nodelay(true)
            .build()
            .map_err(WireError::Http)?;
        let rates = Rates::new(config.per_endpoint_per_s, config.per_account_per_s);
        Ok(Self { http, base: config.base_url.clone(), rates })
    }

    /// Asks, once. `key`: under which Stripe acts once, however often it is asked.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        endpoint: Endpoint,
        request: RequestBuilder,
        key: Option<&str>,
    ) -> Result<T, Failure> {
        self.rates.pass(endpoint).await?;
        let answer = self.carry(request, key).await.map_err(|error| {
            tracing::warn!(?endpoint, error = %error.without_url(), "stripe gave no answer");
            Failure::silent()
        })?;
        let request_id = answer.header("request-id").unwrap_or_default();
        if answer.status.is_success() {
            return serde_json::from_slice(&answer.body).map_err(|_| {
                // What was read is not told: it may hold a client secret.
                tracing::warn!(?endpoint, request.id = request_id, "stripe's answer cannot be read");
                Failure::silent()
            });
        }
        let head = Head {
            status: answer.status.as_u16(),
            retry_after: answer.header(RETRY_AFTER.as_str()),
            replayed: answer.header("idempotent-replayed") == Some("true"),
        };
        let failure = judge(&head, &answer.body);
        // A card that is declined is no fault of anybody here.
        if failure.intent.is_none() {
            let (status, trouble) = (head.status, &failure.trouble);
            if matches!(trouble, Trouble::Misconfigured) {
                tracing::error!(?endpoint, status, request.id = request_id, "stripe does not accept our key");
            } else {
                tracing::warn!(?endpoint, status, request.id = request_id, trouble = %trouble, "stripe did not do it");
            }
        }
        Err(failure)
    }

    async fn carry(&self, request: RequestBuilder, key: Option<&str>) -> Result<Answer, reqwest::Error> {
        let mut url = format!("{}/v1{}", self.base, request.path);
        if let Some(query) = request.query.filter(|query| !query.is_empty()) {
            url.push('?');
            url.push_str(&query);
        }
        let mut asked = match request.method {
            StripeMethod::Get => self.http.get(url),
            StripeMethod::Delete => self.http.delete(url),
            StripeMethod::Post => self
                .http
                .post(url)
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(request.body.unwrap_or_default()),
        };
        if let Some(key) = key {
            asked = asked.header("Idempotency-Key", key);
        }
        let mut answer = asked.send().await?;
        let (status, headers) = (answer.status(), std::mem::take(answer.headers_mut()));
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await? {
            body.extend_from_slice(&part);
            if body.len() > MAX_BODY {
                // What is left of it cannot be read, and is then no answer.
                body.clear();
                break;
            }
        }
        Ok(Answer { status, headers, body })
    }
}
