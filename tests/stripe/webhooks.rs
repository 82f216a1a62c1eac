//! Messages to the shop: signed, tried again, and by plan doubled, late, out of order or lost.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use parking_lot::Mutex;
use serde_json::json;

use super::{Inner, books::Happening, faults::Post};

/// Waits before each further try. (Stripe tries for three days.)
const AGAIN: [Duration; 4] =
    [Duration::from_millis(50), Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(3)];
const LATE: Duration = Duration::from_millis(1_500);
const BEHIND_THE_NEXT: Duration = Duration::from_millis(250);
/// The shop must answer within.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where messages go.
#[derive(Debug, Clone)]
pub struct Target {
    pub url: String,
    /// Signed by each of them.
    pub secrets: Vec<String>,
}

/// The post office.
#[derive(Debug, Default)]
pub struct PostOffice {
    pub target: Mutex<Option<Target>>,
    under_way: AtomicUsize,
    /// Nobody accepted them yet.
    pub undelivered: Mutex<Vec<Happening>>,
    pub delivered: AtomicUsize,
}

/// The header for these bytes.
pub fn signature(secrets: &[String], raw: &[u8], at_s: i64) -> String {
    let message = [at_s.to_string().as_bytes(), b".", raw].concat();
    let mut header = format!("t={at_s}");
    for secret in secrets {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), &message);
        header.push_str(",v1=");
        header.push_str(&HEXLOWER.encode(tag.as_ref()));
    }
    header + ",v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39"
}

fn envelope(happening: &Happening) -> String {
    json!({
        "id": happening.id, "object": "event", "api_version": "2026-07-29.dahlia",
        "created": happening.created_ms.div_euclid(1_000), "data": { "object": happening.object },
        "livemode": false, "pending_webhooks": 1, "request": { "id": null, "idempotency_key": null },
        "type": happening.kind,
    })
    .to_string()
}

impl PostOffice {
    pub fn to(target: Option<Target>) -> Self {
        Self { target: Mutex::new(target), ..Self::default() }
    }

    /// Waits until nothing is under way. What is lost is not under way.
    pub async fn quiet(&self) {
        while self.under_way.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Sends what happened.
pub fn tell(inner: &Arc<Inner>, happened: Vec<Happening>) {
    if inner.post.target.lock().is_none() {
        return;
    }
    for happening in happened {
        let post = inner.faults.lock().of_message();
        if post == Post::Lost {
            inner.post.undelivered.lock().push(happening);
            continue;
        }
        send(inner, happening, post);
    }
}

/// Sends again what nobody accepted.
pub fn redeliver(inner: &Arc<Inner>) -> usize {
    let undelivered = std::mem::take(&mut *inner.post.undelivered.lock());
    let count = undelivered.len();
    for happening in undelivered {
        send(inner, happening, Post::Once);
    }
    count
}

fn send(inner: &Arc<Inner>, happening: Happening, post: Post) {
    let inner = Arc::clone(inner);
    inner.post.under_way.fetch_add(1, Ordering::SeqCst);
    tokio::spawn(async move {
        match post {
            Post::Late => tokio::time::sleep(LATE).await,
            Post::Reordered => tokio::time::sleep(BEHIND_THE_NEXT).await,
            _ => {}
        }
        let mut accepted = deliver(&inner, &happening).await;
        if post == Post::Twice {
            accepted |= deliver(&inner, &happening).await;
        }
        for wait in AGAIN {
            if accepted {
                break;
            }
            tokio::time::sleep(wait).await;
            accepted = deliver(&inner, &happening).await;
        }
        if accepted {
            inner.post.delivered.fetch_add(1, Ordering::SeqCst);
        } else {
            inner.post.undelivered.lock().push(happening);
        }
        inner.post.under_way.fetch_sub(1, Ordering::SeqCst);
    });
}

async fn deliver(inner: &Inner, happening: &Happening) -> bool {
    let Some(target) = inner.post.target.lock().clone() else { return false };
    let raw = envelope(happening);
    let header = signature(&target.secrets, raw.as_bytes(), (inner.settings.now)().div_euclid(1_000));
    let request = inner.http.post(target.url).header("content-type", "application/json; charset=utf-8");
    let sent = request.header("stripe-signature", header).timeout(PATIENCE).body(raw).send().await;
    sent.is_ok_and(|answer| answer.status().is_success())
}

/// Where messages can be heard: header and raw body of each.
pub async fn hear(heard: tokio::sync::mpsc::UnboundedSender<(String, Vec<u8>)>) -> String {
    let hear = move |headers: axum::http::HeaderMap, body: axum::body::Bytes| {
        let heard = heard.clone();
        async move {
            let header = headers.get("stripe-signature").and_then(|value| value.to_str().ok()).unwrap_or_default();
            // Who no longer listens has heard enough.
            let _ = heard.send((header.to_owned(), body.to_vec()));
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/hook", listener.local_addr().expect("bound"));
    let server = axum::Router::new().route("/hook", axum::routing::post(hear));
    tokio::spawn(async move { axum::serve(listener, server).await });
    url
}
