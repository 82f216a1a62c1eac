//! A Stripe that pretends, over a real socket: it keeps what Stripe keeps, in the shapes and with the errors that Stripe
//! has, and does to its callers what networks and providers do. README.md says where it differs.

#![allow(dead_code, unused_imports, reason = "each story uses what it needs")]
#![allow(clippy::disallowed_methods, reason = "a simulator has tasks of its own")]
#![allow(clippy::result_large_err, reason = "speed is not what it is for")]
#![allow(clippy::unused_self, reason = "every shape is shown by the books")]

mod audit;
mod books;
mod cards;
mod faults;
mod form;
mod intents;
mod keys;
pub mod openapi;
mod refunds;
mod refusal;
mod server;
mod setups;
mod shapes;
mod webhooks;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Instant,
};

use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::{net::TcpListener, task::JoinHandle};

pub use audit::Paid;
pub use books::Books;
pub use cards::{Bank, Kind};
pub use faults::{Fault, Op, Plan};
pub use form::Params;
pub use webhooks::{Target, hear, signature};

/// The key that it accepts unless told otherwise.
pub const SECRET_KEY: &str = "sk_test_s1mulat0r";

/// How it is set up.
#[derive(Clone)]
pub struct Settings {
    pub secret_key: String,
    /// Questions of one kind a second; 0: as many as come.
    pub per_endpoint_per_s: usize,
    /// Its clock, in Unix milliseconds.
    pub now: Arc<dyn Fn() -> i64 + Send + Sync>,
    pub plan: Plan,
    pub webhook: Option<Target>,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl Settings {
    /// By this clock; nothing goes wrong.
    pub fn by(now: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self {
            secret_key: SECRET_KEY.to_owned(),
            per_endpoint_per_s: 0,
            now: Arc::new(now),
            plan: Plan::default(),
            webhook: None,
        }
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Recorded {
    pub op: Op,
    pub method: String,
    /// Its path, with `{id}` for a name.
    pub template: &'static str,
    pub params: Params,
    pub body: String,
    pub key: Option<String>,
    pub version: Option<String>,
}

/// What connections share.
#[derive(Debug)]
pub struct Inner {
    settings: Settings,
    books: Mutex<Books>,
    keys: Mutex<keys::Keys>,
    faults: Mutex<faults::Faults>,
    recorded: Mutex<Vec<Recorded>>,
    lately: Mutex<BTreeMap<Op, VecDeque<Instant>>>,
    post: webhooks::PostOffice,
    http: reqwest::Client,
}

impl Inner {
    /// Something happens that nobody asked Stripe for; and it is told.
    fn change<T>(self: &Arc<Self>, what: impl FnOnce(&mut Books) -> T) -> T {
        let (answer, happened) = {
            let mut books = self.books.lock();
            books.now_ms = (self.settings.now)();
            let answer = what(&mut books);
            (answer, std::mem::take(&mut books.happened))
        };
        webhooks::tell(self, happened);
        answer
    }
}

/// The simulator; it ends when this is dropped.
#[derive(Debug)]
pub struct Simulator {
    /// `http://127.0.0.1:…`
    pub base: String,
    inner: Arc<Inner>,
    accepting: JoinHandle<()>,
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Simulator {
    /// Listens on a free port.
    pub async fn start(settings: Settings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("it is bound"));
        let http = reqwest::Client::builder().tls_certs_only([]).no_proxy().build().expect("a client");
        let inner = Arc::new(Inner {
            books: Mutex::new(Books::at(&base)),
            keys: Mutex::default(),
            faults: Mutex::new(faults::Faults::new(settings.plan)),
            recorded: Mutex::default(),
            lately: Mutex::default(),
            post: webhooks::PostOffice::to(settings.webhook.clone()),
            http,
            settings,
        });
        let serving = Arc::clone(&inner);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let inner = Arc::clone(&serving);
                let service = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                    server::serve(Arc::clone(&inner), request.map(axum::body::Body::new))
                });
                tokio::spawn(async move {
                    // A connection that breaks by plan ends with an error.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { base, inner, accepting }
    }

    /// The next question of this kind goes wrong so.
    pub fn next(&self, op: Op, fault: Fault) {
        self.inner.faults.lock().direct(op, fault);
    }

    /// From now on what goes wrong goes wrong by this plan.
    pub fn plan(&self, plan: Plan) {
        self.inner.faults.lock().follow(plan);
    }

    /// Where messages go from now on.
    pub fn tell(&self, target: Option<Target>) {
        *self.inner.post.target.lock() = target;
    }

    /// What went wrong, how often.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.inner.faults.lock().counts.clone()
    }

    /// Every request that came with the right key.
    pub fn recorded(&self) -> Vec<Recorded> {
        self.inner.recorded.lock().clone()
    }

    /// Looks into the books.
    pub fn books<T>(&self, look: impl FnOnce(&Books) -> T) -> T {
        look(&self.inner.books.lock())
    }

    /// The buyer, a bank or Stripe itself does something.
    pub fn change<T>(&self, what: impl FnOnce(&mut Books) -> T) -> T {
        self.inner.change(what)
    }

    /// Waits until every message is delivered or given up.
    pub async fn quiet(&self) {
        self.inner.post.quiet().await;
    }

    /// Sends again what was lost or not accepted; how many.
    pub fn redeliver(&self) -> usize {
        webhooks::redeliver(&self.inner)
    }

    /// Messages that were accepted.
    pub fn delivered(&self) -> usize {
        self.inner.post.delivered.load(std::sync::atomic::Ordering::SeqCst)
    }
}
