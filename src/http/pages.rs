//! Edge: the web app, embedded in the binary.
//!
//! Every page path answers with the same document; its assets have hashed names and are cached for good.

use axum::{
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use rust_embed::RustEmbed;

use super::problem::{Kind, Problem};
use crate::app::App;

#[derive(RustEmbed)]
#[folder = "web/dist"]
struct Dist;

/// What our own pages may load: nothing from elsewhere.
const PAGE_POLICY: &str = "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; style-src 'self' 'unsafe-inline'; \
                           connect-src 'self' ws: wss:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'";

/// The same where Stripe is paid: its script from its own host (it must not come from anywhere else), its frames for what
/// the buyer types and for what banks ask, and its interface. Nothing else of the page is opened.
const STRIPE_POLICY: &str = "default-src 'self'; script-src 'self' https://js.stripe.com https://*.js.stripe.com; \
                             frame-src https://js.stripe.com https://*.js.stripe.com https://hooks.stripe.com; \
                             img-src 'self' data: blob: https://*.stripe.com; media-src 'self' blob:; style-src 'self' 'unsafe-inline'; \
                             connect-src 'self' ws: wss: https://api.stripe.com; object-src 'none'; base-uri 'none'; frame-ancestors 'none'";

/// The first parts of paths that are pages.
const PAGES: [&str; 16] = [
    "",
    "watch",
    "studio",
    "brand",
    "sign-in",
    "docs",
    "orders",
    "purchases",
    "cards",
    "sandbox",
    "admin",
    "contracts",
    "statements",
    "earnings",
    "staff",
    "consents",
];

/// A page or one of its assets; anything else is a problem.
pub(super) async fn page(State(app): State<App>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    if !matches!(method, Method::GET | Method::HEAD) && !path.starts_with("v1/") {
        return Problem::new(Kind::MethodNotAllowed, "pages are read").into_response();
    }
    if let Some(file) = Dist::get(path).filter(|_| path != "index.html") {
        return asset(path, &file, &headers);
    }
    if PAGES.contains(&path.split('/').next().unwrap_or("")) {
        return match Dist::get("index.html") {
            Some(file) => document(&file, policy(app.checkout.payment().name())),
            None => (
                StatusCode::SERVICE_UNAVAILABLE,
                "The web app is not built into this binary: run `make web` and build again.\n",
            )
                .into_response(),
        };
    }
    Problem::not_found("page").into_response()
}

/// What pages may load where this provider is paid.
fn policy(provider: &str) -> &'static str {
    if provider == "stripe" { STRIPE_POLICY } else { PAGE_POLICY }
}

fn document(file: &rust_embed::EmbeddedFile, policy: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::REFERRER_POLICY, "same-origin"),
    ];
    (headers, file.data.clone()).into_response()
}

fn asset(path: &str, file: &rust_embed::EmbeddedFile, headers: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", data_encoding::HEXLOWER.encode(&file.metadata.sha256_hash()[..12]));
    if headers.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == tag.as_bytes()) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let age = if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let kind = file.metadata.mimetype();
    let answer = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, age), (header::ETAG, tag.as_str())];
    (answer, file.data.clone()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_paid_by_stripe_lets_it_in() {
        assert!(!policy("sandbox").contains("https:"), "nothing comes from elsewhere");
        let stripe = policy("stripe");
        for directive in ["script-src", "frame-src", "connect-src", "img-src"] {
            let rest = stripe.split("; ").find_map(|part| part.strip_prefix(directive)).expect(directive);
            let hosts = rest.split_whitespace().filter(|source| source.starts_with("https:"));
            let (ours, others): (Vec<&str>, Vec<&str>) = hosts.partition(|source| source.ends_with(".stripe.com"));
            assert!(!ours.is_empty() && others.is_empty(), "{directive}{rest}");
        }
        assert!(stripe.contains("script-src 'self' https://js.stripe.com"));
    }
}
