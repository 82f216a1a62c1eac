//! Edge: how fast one caller may ask.
//!
//! Three buckets (GCRA): per credential, per address for callers without one, and per email address for sign-ins, so
//! that a password cannot be guessed by trying. The hub limits its own messages.

use std::{net::SocketAddr, num::NonZeroU32, sync::Arc};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::header,
    middleware::Next,
    response::{IntoResponse, Response},
};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::{
    auth,
    problem::{Kind, Problem},
};
use crate::app::App;

/// Requests of one credential: so many a second …
const PER_CREDENTIAL: u32 = 100;
/// … after a burst of so many.
const CREDENTIAL_BURST: u32 = 400;
/// Requests of one address without credential. Generous: a company or a mobile network shares one.
const PER_ADDRESS: u32 = 500;
/// Its burst.
const ADDRESS_BURST: u32 = 2_000;
/// Sign-ins for one email address a minute, and at once.
const SIGN_INS_PER_MINUTE: u32 = 30;
/// The hub's connections are limited by address alone, and after a burst of so many seconds' worth: when a node is
/// restarted all its viewers come at once.
const JOINS_BURST: u32 = 10;
/// Buckets kept before the unused ones are thrown away.
const MAX_BUCKETS: usize = 50_000;

/// The buckets. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Rates {
    credentials: Arc<DefaultKeyedRateLimiter<String>>,
    addresses: Arc<DefaultKeyedRateLimiter<std::net::IpAddr>>,
    sign_ins: Arc<DefaultKeyedRateLimiter<String>>,
    joins: Arc<DefaultKeyedRateLimiter<std::net::IpAddr>>,
}

fn quota(per_second: u32, burst: u32) -> Quota {
    let some = |n: u32| NonZeroU32::new(n).expect("the constants are not zero");
    Quota::per_second(some(per_second)).allow_burst(some(burst))
}

impl Rates {
    /// With so many new hub connections of one address a second.
    #[must_use]
    pub fn new(joins_per_s: u32) -> Self {
        let per_minute = Quota::per_minute(NonZeroU32::new(SIGN_INS_PER_MINUTE).expect("not zero"));
        Self {
            credentials: Arc::new(RateLimiter::keyed(quota(PER_CREDENTIAL, CREDENTIAL_BURST))),
            addresses: Arc::new(RateLimiter::keyed(quota(PER_ADDRESS, ADDRESS_BURST))),
            sign_ins: Arc::new(RateLimiter::keyed(per_minute)),
            joins: Arc::new(RateLimiter::keyed(quota(
                joins_per_s.max(1),
                joins_per_s.max(1).saturating_mul(JOINS_BURST),
            ))),
        }
    }
}

fn too_fast() -> Problem {
    Problem::new(Kind::RateLimited, "wait a moment and try again").retry_after_ms(1_000)
}

impl Rates {
    /// One try to sign in as this address.
    ///
    /// # Errors
    /// `rate-limited`.
    pub fn check_sign_in(&self, email: &str) -> Result<(), Problem> {
        if self.sign_ins.len() > MAX_BUCKETS {
            self.sign_ins.retain_recent();
        }
        let key = crate::people::digest(&email.trim().to_lowercase());
        self.sign_ins.check_key(&key).map_err(|_| {
            Problem::new(Kind::RateLimited, "too many sign-ins for this email address; wait a minute")
                .retry_after_ms(60_000)
        })
    }

    fn check(&self, request: &Request, trusted_proxies: &[std::net::IpAddr]) -> Result<(), Problem> {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip());
        let address = peer.map(|peer| auth::through_proxies(peer, request.headers(), trusted_proxies));
        if request.uri().path().starts_with("/v1/lives/") && request.uri().path().ends_with("/hub") {
            let Some(address) = address else { return Ok(()) };
            if self.joins.len() > MAX_BUCKETS {
                self.joins.retain_recent();
            }
            return self.joins.check_key(&address).map_err(|_| too_fast());
        }
        let key = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
        if let Some(key) = key.or_else(|| auth::cookie(request.headers())) {
            if self.credentials.len() > MAX_BUCKETS {
                self.credentials.retain_recent();
            }
            // A digest: credentials are not kept in memory longer than a request.
            return self.credentials.check_key(&crate::people::digest(&key)).map_err(|_| too_fast());
        }
        let Some(address) = address else { return Ok(()) };
        if self.addresses.len() > MAX_BUCKETS {
            self.addresses.retain_recent();
        }
        self.addresses.check_key(&address).map_err(|_| too_fast())
    }
}

/// Lets a request through, or says when to come back.
pub(super) async fn limit(State(app): State<App>, request: Request, next: Next) -> Response {
    match app.rates.check(&request, &app.config.trusted_proxies) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}
