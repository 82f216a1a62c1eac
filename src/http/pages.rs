//! Edge: the web app, embedded in the binary.
//!
//! Every page path answers with the same document; its assets have hashed names and are cached for good.

use axum::{
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use rust_embed::RustEmbed;

use super::problem::{Kind, Problem};

#[derive(RustEmbed)]
#[folder = "web/dist"]
struct Dist;

/// What our own pages may load: nothing from elsewhere.
const PAGE_POLICY: &str = "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; style-src 'self' 'unsafe-inline'; \
                           connect-src 'self' ws: wss:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'";

/// The first parts of paths that are pages.
const PAGES: [&str; 6] = ["", "watch", "studio", "brand", "sign-in", "docs"];

/// A page or one of its assets; anything else is a problem.
pub(super) async fn page(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    if !matches!(method, Method::GET | Method::HEAD) && !path.starts_with("v1/") {
        return Problem::new(Kind::MethodNotAllowed, "pages are read").into_response();
    }
    if let Some(file) = Dist::get(path).filter(|_| path != "index.html") {
        return asset(path, &file, &headers);
    }
    if PAGES.contains(&path.split('/').next().unwrap_or("")) {
        return match Dist::get("index.html") {
            Some(file) => document(&file),
            None => (
                StatusCode::SERVICE_UNAVAILABLE,
                "The web app is not built into this binary: run `make web` and build again.\n",
            )
                .into_response(),
        };
    }
    Problem::not_found("page").into_response()
}

fn document(file: &rust_embed::EmbeddedFile) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, PAGE_POLICY),
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
