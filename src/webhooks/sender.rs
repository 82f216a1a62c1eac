//! Edge: carries one message to one address.
//!
//! Invariant: a connection is made to a public address only, judged at the moment it is made, so a name that leads elsewhere
//! the second time gains nothing; redirects are not followed, proxies not used, and of an answer only its status is kept.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use reqwest::{
    Client, Response,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT},
};

use super::{
    address::{is_public, parse},
    schedule::{Fault, Outcome, TIMEOUT_MS},
};

/// Bytes of an answer that are taken so that its connection can be used again.
const MAX_ANSWER: usize = 64 * 1024;
/// A connection that nobody used for so long is closed.
const IDLE: Duration = Duration::from_secs(30);

/// What is carried.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    pub(super) url: String,
    pub(super) id: String,
    /// Seconds; what is signed.
    pub(super) at_s: i64,
    pub(super) signature: String,
    pub(super) body: String,
}

/// The way out. Cheap to clone; opened when it is first used.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    http: Arc<OnceLock<Option<Client>>>,
    /// Addresses inside, and plain HTTP, are allowed, too.
    private: bool,
}

/// A name that leads to no public address.
#[derive(Debug, thiserror::Error)]
#[error("the name leads to no public address")]
struct NotPublic;

/// Looks a name up, and forgets what must not be reached.
struct Outside;

impl Resolve for Outside {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let outside: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if outside.is_empty() {
                return Err(NotPublic.into());
            }
            Ok(Box::new(outside.into_iter()) as Addrs)
        })
    }
}

impl Sender {
    pub(super) fn new(private: bool) -> Self {
        Self { http: Arc::default(), private }
    }

    fn http(&self) -> Option<&Client> {
        let open = || {
            let mut builder = Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .https_only(!self.private)
                .timeout(Duration::from_millis(TIMEOUT_MS))
                .pool_idle_timeout(IDLE)
                .pool_max_idle_per_host(4);
            if !self.private {
                builder = builder.dns_resolver(Outside);
            }
            // E.g. this machine has no list of certificate authorities.
            builder.build().inspect_err(|error| tracing::error!(%error, "no webhook can be sent from here")).ok()
        };
        self.http.get_or_init(open).as_ref()
    }

    /// Carries a message, once.
    pub(super) async fn send(&self, letter: Letter) -> Outcome {
        // Again, as a number in the address is looked up by nobody.
        let Ok(url) = parse(&letter.url, self.private) else { return Outcome::without_answer(Fault::Address) };
        let Some(http) = self.http() else { return Outcome::without_answer(Fault::Tls) };
        let request = http
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("hanamichi/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", letter.id)
            .header("webhook-timestamp", letter.at_s)
            .header("webhook-signature", letter.signature)
            .body(letter.body);
        match request.send().await {
            Ok(answer) => {
                let asked = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
                let asked = asked.and_then(|text| text.trim().parse::<i64>().ok()?.checked_mul(1_000));
                let outcome = Outcome::of_status(answer.status().as_u16(), asked);
                finish(answer).await;
                outcome
            }
            Err(error) => {
                let fault = fault_of(&error);
                tracing::debug!(error = %error.without_url(), ?fault, "a webhook was not taken");
                Outcome::without_answer(fault)
            }
        }
    }
}

/// Reads a short answer to its end; a long one is hung up on.
async fn finish(mut answer: Response) {
    let mut read = 0;
    while read < MAX_ANSWER {
        match answer.chunk().await {
            Ok(Some(chunk)) => read += chunk.len(),
            _ => return,
        }
    }
}

fn fault_of(error: &reqwest::Error) -> Fault {
    if error.is_timeout() {
        return Fault::Timeout;
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(one) = cause {
        // An I/O error holds what it was made of, and does not call it its source.
        let inner = one.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if one.is::<NotPublic>() || inner.is_some_and(<dyn std::error::Error + Send + Sync>::is::<NotPublic>) {
            return Fault::Address;
        }
        if one.is::<rustls::Error>() || inner.is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>) {
            return Fault::Tls;
        }
        cause = one.source();
    }
    Fault::Unreachable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_followed() {
        let found = Outside.resolve("localhost".parse().expect("a name")).await;
        assert!(found.is_err_and(|error| error.is::<NotPublic>()));
    }

    #[tokio::test]
    async fn what_leads_inside_is_not_sent_to() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let letter = |host: &str| Letter {
            url: format!("https://{host}:{port}/"),
            id: "evt_1".to_owned(),
            at_s: 0,
            signature: String::new(),
            body: "{}".to_owned(),
        };
        let sender = Sender::new(false);
        // As numbers, and by a name that only the resolver can judge (RFC 6761: it is this machine).
        for host in ["127.0.0.1", "[::1]", "localhost"] {
            assert_eq!(sender.send(letter(host)).await, Outcome::without_answer(Fault::Address), "{host}");
        }
        let came = tokio::time::timeout(Duration::from_millis(200), listener.accept()).await;
        assert!(came.is_err(), "nobody has connected");
    }
}
