//! Root: builds every room, owns the task tracker, wires the bus, starts and stops the server.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::Context;
use hyper_util::rt::TokioTimer;
use parking_lot::RwLock;

use crate::{
    attribution::{self, Attribution, Exports, Reports, Touches},
    bus::{Bus, Fact, Heard, Relay},
    cascade::Cascade,
    clock::Clock,
    commerce::{self, Checkout, CollectConfig, Imports, Payment, Reconciler, Refunds, Sequencer, SequencerConfig},
    config::{BusKind, Config, PaymentKind},
    http::{self, DemoView, rates::Rates},
    live::{self, Lives},
    media::{self, Media, MediaConfig},
    omo::{Omo, Pickups},
    people::{self, NewPerson, Passes, People, PeopleError},
    settlement::{Contracts, Earnings, Statements},
    showcase::{self, Showcase},
    store::Db,
    tasks::Tasks,
    timekeeping,
    webhooks::Webhooks,
    wire,
};

/// A request's headers must be there by then.
const HEADERS_WITHIN: Duration = Duration::from_secs(15);
/// A connection whose bytes nobody takes for so long is given up.
const TAKES_NOTHING_AFTER: Duration = Duration::from_secs(30);
/// Sessions that are over are removed this often.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);
/// Connections that wait to be accepted. Beyond it they are left to knock again, a second later.
const MAX_UNACCEPTED: i32 = 4_096;
/// At a stop, requests under way have one part in so many of the time.
const REQUESTS_SHARE: u32 = 4;

/// Every room, as handlers see them. Cheap to clone: each request and connection has one.
#[derive(Clone)]
pub struct App(Arc<Rooms>);

impl std::ops::Deref for App {
    type Target = Rooms;
    fn deref(&self) -> &Rooms {
        &self.0
    }
}

/// What an [`App`] is made of.
pub struct Rooms {
    /// Every knob.
    pub config: Arc<Config>,
    /// The one clock.
    pub clock: Clock,
    /// The store.
    pub db: Db,
    /// Every background task.
    pub tasks: Tasks,
    /// Fires before the listener waits for its requests: whoever streams without end must end.
    pub leaving: tokio_util::sync::CancellationToken,
    /// What answers the hub's clients: one for all connections.
    pub hub_handler: OnceLock<live::Handler>,
    /// Accounts, brands, livers, customers.
    pub people: People,
    /// Short-lived proofs of who somebody is.
    pub passes: Passes,
    /// Stock.
    pub sequencer: Sequencer,
    /// Buying.
    pub checkout: Checkout,
    /// Giving back.
    pub refunds: Refunds,
    /// The provider's books beside ours.
    pub reconciler: Reconciler,
    /// Merchants' files.
    pub imports: Imports,
    /// What brands read.
    pub reports: Reports,
    /// Rules, codes, links, and why a sale is whose.
    pub attribution: Attribution,
    /// Files of the ledger.
    pub exports: Exports,
    /// What brands and livers agree on.
    pub contracts: Contracts,
    /// What livers are owed by month.
    pub statements: Statements,
    /// What livers read.
    pub earnings: Earnings,
    /// What brands' systems are told.
    pub webhooks: Webhooks,
    /// Views and clicks.
    pub touches: Touches,
    /// Locations.
    pub omo: Omo,
    /// Orders that are picked up.
    pub pickups: Pickups,
    /// Lives, their rooms and their hub.
    pub lives: Lives,
    /// Pins and their offers.
    pub showcase: Showcase,
    /// The picture.
    pub media: Media,
    /// The picture of other nodes.
    pub cascade: Cascade,
    /// How fast one may ask.
    pub rates: Rates,
    demo: RwLock<Option<DemoView>>,
    /// Held while this process serves a SQLite file: with the in-process bus two servers would tell two stories.
    lock: Option<std::fs::File>,
}

impl App {
    /// Builds every room over an empty or known database and starts their tasks.
    ///
    /// # Errors
    /// When the database cannot be reached or brought up to date, or a port is taken.
    pub async fn start(config: Config, clock: Clock) -> anyhow::Result<Self> {
        let tasks = Tasks::new();
        let lock = lock_file(&config.database)?;
        let db = Db::connect(&config.database)
            .await
            .with_context(|| format!("cannot open the database {}", config.without_secrets().database))?;
        db.migrate().await.context("cannot bring the database up to date")?;
        timekeeping::keep(&db, &clock, &tasks).await;
        let bus = match config.bus {
            BusKind::Local => Bus::local(clock.clone()),
            BusKind::Redis => Bus::redis(&config.redis_url, clock.clone(), &tasks)
                .map_err(|error| anyhow::anyhow!("redis_url cannot be used: {error}"))?,
        };
        let relay = Relay::new(db.clone(), bus.clone(), clock.clone());
        let payments_per_s = std::num::NonZeroU32::new(config.commerce.payments_per_s);
        let payment = payment(&config, &db, &clock, &tasks)?;
        // What the operator says, else what the provider takes.
        let payments_per_s = payments_per_s.or(payment.per_s());
        let pace = SequencerConfig {
            hold_ttl: config.commerce.hold_ttl(),
            payments_per_s: payments_per_s.map(std::num::NonZeroU32::get),
            provider: payment.name(),
            ..SequencerConfig::default()
        };
        let sequencer = Sequencer::start(db.clone(), clock.clone(), relay.clone(), pace, &tasks);
        let days = config.commerce.delivery_days;
        let collect = CollectConfig {
            payments_per_s,
            alone: config.bus == BusKind::Local,
            action_ttl: config.commerce.action_ttl(),
            public_url: config.public_url.trim_end_matches('/').to_owned(),
        };
        let checkout =
            Checkout::start(db.clone(), clock.clone(), sequencer.clone(), payment.clone(), days, collect, &tasks);
        let reconciler = Reconciler::new(db.clone(), clock.clone(), payment.clone());
        reconciler.start(&tasks);
        let refunds = Refunds::start(db.clone(), clock.clone(), sequencer.clone(), payment, checkout.clone(), &tasks);
        let kept_days = config.omo.pickup_days;
        let selling = (checkout.clone(), refunds.clone());
        let pickups = Pickups::start(db.clone(), clock.clone(), relay.clone(), selling, kept_days, &tasks);
        let people = People::new(db.clone(), clock.clone());
        people.start_sealing(&tasks);
        let passes = people.passes().await.context("cannot load the key that passes are signed with")?;
        let leaving = tokio_util::sync::CancellationToken::new();
        let touches = Touches::start(db.clone(), clock.clone(), &tasks);
        let lives = Lives::start(live::Wiring {
            db: db.clone(),
            clock: clock.clone(),
            bus: bus.clone(),
            relay: relay.clone(),
            tasks: tasks.clone(),
            shown: Arc::new(showcase::load_shown),
            end: Arc::new(showcase::close_offers),
            registry: registry(),
            sales: sales_loader(db.clone()),
            touches: touch_sink(touches.clone()),
            passes: pass_renewer(people.clone(), passes.clone()),
            leaving: leaving.clone(),
            limits: hub_limits(&config),
        })
        .context("cannot start the hub's threads")?;
        let (media, media_events) = Media::start(MediaConfig {
            bind: config.media.listen,
            advertise: config.media.advertise.clone(),
            tcp: config.media.tcp,
            threads: config.media.threads,
            max_sessions: config.media.max_sessions,
            max_sessions_per_live: config.media.max_sessions_per_live,
        })
        .with_context(|| format!("cannot open the media port {}", config.media.listen))?;
        let (of_media, of_passes) = (media.clone(), passes.clone());
        let cascade =
            Cascade::start(of_media, media_events, bus.clone(), of_passes, lives.clone(), clock.clone(), &tasks)
                .context("cannot make an HTTP client for other nodes")?;
        let app = Self(Arc::new(Rooms {
            media,
            cascade,
            people,
            passes,
            reports: Reports::new(db.clone(), clock.clone(), config.settlement.return_days),
            exports: Exports::start(db.clone(), clock.clone(), config.settlement.return_days, &tasks),
            attribution: Attribution::new(db.clone(), clock.clone(), touches.clone()),
            contracts: Contracts::new(db.clone(), clock.clone()),
            statements: Statements::new(db.clone(), clock.clone()),
            earnings: Earnings::new(db.clone(), clock.clone(), config.settlement.return_days),
            webhooks: Webhooks::start(db.clone(), clock.clone(), &config.webhooks, &tasks),
            touches,
            lives,
            showcase: Showcase::new(db.clone(), clock.clone(), relay.clone()),
            omo: Omo::new(db.clone(), clock.clone()),
            pickups,
            rates: Rates::new(config.hub.joins_per_address_per_s),
            demo: RwLock::default(),
            lock,
            imports: Imports::new(db.clone(), clock.clone(), sequencer.clone()),
            config: Arc::new(config),
            leaving,
            hub_handler: OnceLock::new(),
            clock,
            db,
            tasks,
            sequencer,
            checkout,
            refunds,
            reconciler,
        }));
        app.follow_endings(&bus);
        relay.start(&app.tasks);
        app.add_first_operator().await?;
        app.reports.start(&app.tasks);
        app.start_sweeping();
        Ok(app)
    }

    /// Whether cookies may travel over TLS only.
    #[must_use]
    pub fn secure_cookies(&self) -> bool {
        self.config.tls.is_some() || self.config.public_url.starts_with("https://")
    }

    /// What a demo server tells newcomers; `None` elsewhere.
    #[must_use]
    pub fn demo_view(&self) -> Option<DemoView> {
        self.demo.read().clone()
    }

    /// Makes this a demo server.
    pub fn set_demo(&self, view: DemoView) {
        *self.demo.write() = Some(view);
    }

    /// Tells every room to finish what it has, waits for it, closes the store.
    pub async fn stop(&self) {
        self.tasks.stop().await;
        self.media.stop().await;
        self.db.close().await;
        if let Some(lock) = &self.lock {
            // Clones of the app may outlive it for a moment; the next server need not wait for them.
            let _ = lock.unlock();
        }
    }

    async fn add_first_operator(&self) -> anyhow::Result<()> {
        let Some(operator) = &self.config.operator else { return Ok(()) };
        let email = operator.email.to_lowercase();
        let account = match self.people.find_by_email(&email).await? {
            Some(account) => account,
            None => {
                let new = NewPerson {
                    email: operator.email.clone(),
                    password: operator.password.clone(),
                    display_name: "Operator".to_owned(),
                    demo: false,
                };
                match self.people.sign_up(new).await {
                    Ok(person) => person.account.id,
                    // Another node that starts at this moment was first.
                    Err(PeopleError::EmailTaken) => {
                        self.people.find_by_email(&email).await?.context("the first operator is there and is not")?
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        };
        Ok(self.people.add_operator(&account).await?)
    }

    /// The media room closes the sessions of a live that has ended.
    fn follow_endings(&self, bus: &Bus) {
        let (app, stopping, mut news) = (self.clone(), self.tasks.stopping(), bus.subscribe());
        self.tasks.spawn("endings", async move {
            loop {
                let heard = tokio::select! {
                    heard = news.next() => heard,
                    () = stopping.cancelled() => return,
                };
                let Some(heard) = heard else { return };
                if heard == Heard::Missed {
                    app.end_what_has_ended().await;
                }
                if let Some(Fact::Ordered { live, event: wire::ordered::Event::LiveChanged(changed) }) = heard.fact()
                    && changed.state == "ended"
                {
                    app.media.end_live(live).await;
                }
            }
        });
    }

    /// What nobody told this node is looked up.
    async fn end_what_has_ended(&self) {
        for stats in self.media.stats().await.lives {
            match self.lives.load(&stats.live).await {
                Ok(found) if found.ended_at().is_some() => self.media.end_live(&stats.live).await,
                Ok(_) => {}
                Err(error) => tracing::warn!(live.id = %stats.live, %error, "cannot see whether a live has ended"),
            }
        }
    }

    fn start_sweeping(&self) {
        let (app, stopping) = (self.clone(), self.tasks.stopping());
        self.tasks.spawn("sweep", async move {
            loop {
                if let Err(error) = app.people.sweep().await {
                    tracing::warn!(error = %error, "sessions not swept");
                }
                tokio::select! {
                    () = app.clock.sleep(SWEEP_EVERY) => {}
                    () = stopping.cancelled() => return,
                }
            }
        });
    }
}

/// A connection's sign-in is looked at again, and its person gets the next pass.
fn pass_renewer(people: People, passes: Passes) -> live::PassRenewer {
    Arc::new(move |sign_in| {
        let (people, passes) = (people.clone(), passes.clone());
        Box::pin(async move {
            let person = people.find_by_digest(&sign_in).await?;
            let pass = person.map(|person| passes.issue(&person, &sign_in));
            Ok(pass.map(|(token, expires_at)| wire::Pass { token, expires_at_ms: expires_at.0 }))
        })
    })
}

/// Where other nodes reach this one.
fn node_url(config: &Config, address: SocketAddr) -> String {
    if !config.node_url.is_empty() {
        return config.node_url.clone();
    }
    let ip = if address.ip().is_unspecified() { media::own_address(address.ip()) } else { address.ip() };
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{}", SocketAddr::new(ip, address.port()))
}

fn hub_limits(config: &Config) -> live::HubLimits {
    live::HubLimits {
        shards: config.hub.shards,
        connections: config.hub.max_connections,
        log_bytes: config.hub.log_mib.saturating_mul(1024 * 1024),
        drain: live::DrainPace {
            per_s: config.hub.drain_per_s,
            at_most: Duration::from_millis(config.stop_timeout_s.saturating_mul(500)),
        },
        patience: live::Patience {
            ping_every_s: config.hub.ping_every_s,
            silent_after_s: config.hub.silent_after_s,
            stuck_after_s: config.hub.stuck_after_s,
        },
    }
}

/// The provider that the configuration names.
///
/// # Errors
/// Keys that cannot be sent.
pub fn payment(config: &Config, db: &Db, clock: &Clock, tasks: &Tasks) -> anyhow::Result<Payment> {
    Ok(match config.commerce.payment {
        PaymentKind::Sandbox => Payment::sandbox(db.clone(), clock.clone(), tasks),
        PaymentKind::Stripe => Payment::stripe(config.commerce.stripe.clone(), clock.clone())
            .context("cannot speak with the payment provider")?,
    })
}

/// What the live room shows its liver, from the orders themselves.
fn sales_loader(db: Db) -> live::SalesLoader {
    Arc::new(move |id| {
        let db = db.clone();
        Box::pin(async move {
            let mut tx = db.read("sales of a live").await?;
            let sales = commerce::live_sales(&mut tx, &id).await?;
            let product = |sold: commerce::ProductSales| live::ProductFigures {
                product_id: sold.product_id,
                title: sold.title,
                units: sold.units,
                gross_minor: sold.gross_minor,
            };
            Ok(live::Figures {
                orders: sales.orders,
                units: sales.units,
                gross_minor: sales.gross_minor,
                refunded_minor: sales.refunded_minor,
                products: sales.products.into_iter().map(product).collect(),
            })
        })
    })
}

/// The people's room writes grants and the audit log, in the live room's transactions.
pub(crate) fn registry() -> live::Registry {
    live::Registry {
        note: Arc::new(|tx, note| {
            Box::pin(async move {
                let live::Note { by, action, subject, liver, live, detail, at } = note;
                let (liver, live, detail) = (Some(liver), live.as_ref(), detail.to_string());
                let note = people::AuditNote { by, action, subject, liver, live, detail: &detail, at: *at };
                people::insert_note(tx, &note).await
            })
        }),
        appoint: Arc::new(|tx, appointment| {
            Box::pin(async move {
                let live::Appointment { liver, account, step, at } = appointment;
                match step {
                    live::Step::Named => people::add_moderator(tx, liver, account, *at).await,
                    live::Step::Removed => people::remove_moderator(tx, liver, account).await,
                }
            })
        }),
    }
}

/// Views and clicks go to the attribution room.
fn touch_sink(touches: Touches) -> live::TouchSink {
    Arc::new(move |touch| {
        let kind = match touch.kind {
            live::TouchKind::View => attribution::TouchKind::View,
            live::TouchKind::Click => attribution::TouchKind::Click,
        };
        let live::NewTouch { customer, live, product, at, .. } = touch;
        touches.record(attribution::NewTouch {
            customer,
            live: Some(live),
            kind,
            product,
            code: None,
            campaign: None,
            at,
        });
    })
}

/// Takes the lock beside a SQLite file.
fn lock_file(database: &str) -> anyhow::Result<Option<std::fs::File>> {
    let Some(path) = database.strip_prefix("sqlite:").filter(|path| !path.contains(":memory:")) else {
        return Ok(None);
    };
    let path = format!("{}.lock", path.trim_start_matches("//").split('?').next().unwrap_or_default());
    let file = std::fs::File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(|| format!("cannot open {path}"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => {
            anyhow::bail!("another server uses the database {database}; stop it first")
        }
        Err(std::fs::TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {path}")),
    }
}

/// Takes connections as another acceptor does, but those that say nothing would hold their descriptors for ever.
#[derive(Clone)]
struct Patient<A> {
    inner: A,
    within: Duration,
}

impl<A, I, S> axum_server::accept::Accept<I, S> for Patient<A>
where
    A: axum_server::accept::Accept<I, S>,
    A::Future: Send + 'static,
{
    type Stream = http::FirstWord<A::Stream>;
    type Service = A::Service;
    type Future = futures_util::future::BoxFuture<'static, std::io::Result<(Self::Stream, A::Service)>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let (accepting, within) = (self.inner.accept(stream, service), self.within);
        Box::pin(async move {
            let (stream, service) = accepting.await?;
            Ok((http::FirstWord::within(stream, within), service))
        })
    }
}

fn figures_listener(listen: SocketAddr) -> anyhow::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(listen);
    let listener = listener.with_context(|| format!("cannot listen on {listen}, the address of the figures"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Tells this node's figures to who collects them, until the server stops.
fn tell_figures(app: &App, listener: std::net::TcpListener, headers: Duration) -> anyhow::Result<SocketAddr> {
    let address = listener.local_addr()?;
    let mut server = axum_server::from_tcp(listener)?;
    server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(headers);
    let acceptor = Patient { inner: axum_server::accept::DefaultAcceptor::new(), within: headers };
    let (service, stopping) = (http::metrics::router(app.clone()).into_make_service(), app.tasks.stopping());
    app.tasks.spawn("figures", async move {
        tokio::select! {
            // Who collects asks again: nothing is lost that is cut here.
            ended = server.acceptor(acceptor).serve(service) => if let Err(error) = ended {
                tracing::error!(%error, "figures are not told any more");
            },
            () = stopping.cancelled() => {}
        }
    });
    tracing::info!(listen = %address, "figures for Prometheus");
    Ok(address)
}

/// A server that listens.
pub struct Server {
    /// Its rooms.
    pub app: App,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where its figures are read, when they are.
    pub metrics: Option<SocketAddr>,
    handle: axum_server::Handle<SocketAddr>,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Server {
    /// Builds the rooms and listens.
    ///
    /// # Errors
    /// As [`App::start`]; or the address is taken, or the certificate cannot be read.
    pub async fn start(config: Config, clock: Clock) -> anyhow::Result<Self> {
        // Every room is built in it, so it is large.
        Box::pin(Self::start_within(config, clock, HEADERS_WITHIN)).await
    }

    /// With so much patience for the headers of a request.
    async fn start_within(config: Config, clock: Clock, headers: Duration) -> anyhow::Result<Self> {
        let listen = config.listen;
        let tls = config.tls.clone();
        let listener = std::net::TcpListener::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
        // The standard library asks for 128, which a room that comes back at once overruns: each SYN beyond it is sent again
        // after a second. Asked again, the system takes the new number, cut to its own limit.
        socket2::SockRef::from(&listener).listen(MAX_UNACCEPTED)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let figures = config.metrics.address()?.map(figures_listener).transpose()?;
        let app = App::start(config, clock).await?;
        app.cascade.open(&node_url(&app.config, address));
        let metrics = figures.map(|figures| tell_figures(&app, figures, headers)).transpose()?;
        let service = http::router(app.clone()).into_make_service_with_connect_info::<SocketAddr>();
        let handle = axum_server::Handle::new();
        // Who takes no byte for so long is gone: also streams over HTTP, which nobody else looks after. Inherited by connections.
        socket2::SockRef::from(&listener).set_tcp_user_timeout(Some(TAKES_NOTHING_AFTER))?;
        let mut plain = axum_server::from_tcp(listener)?.handle(handle.clone());
        plain.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(headers);
        // Who opens HTTP/2 and then says nothing does not answer either.
        plain.http_builder().http2().timer(TokioTimer::new()).keep_alive_interval(headers).keep_alive_timeout(headers);
        let acceptor = axum_server::accept::NoDelayAcceptor::new();
        // The one task outside the tracker: it is stopped first and by its own handle.
        #[expect(clippy::disallowed_methods, reason = "the listener must stop before the rooms do")]
        let serving = match tls {
            Some(tls) => {
                // Two providers are linked (the media stacks bring their own), so TLS must be told which is ours; a second
                // call finds it installed.
                let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
                let rustls = axum_server::tls_rustls::RustlsConfig::from_pem_file(&tls.cert_file, &tls.key_file)
                    .await
                    .context("cannot read the certificate or its key")?;
                let inner = axum_server::tls_rustls::RustlsAcceptor::new(rustls).handshake_timeout(headers);
                let acceptor = Patient { inner: inner.acceptor(acceptor), within: headers };
                tokio::spawn(plain.acceptor(acceptor).serve(service))
            }
            None => tokio::spawn(plain.acceptor(Patient { inner: acceptor, within: headers }).serve(service)),
        };
        tracing::info!(listen = %address, store = app.db.engine(), "listening");
        Ok(Self { app, address, metrics, handle, serving })
    }

    /// The address people open.
    #[must_use]
    pub fn url(&self) -> String {
        if !self.app.config.public_url.is_empty() {
            return self.app.config.public_url.trim_end_matches('/').to_owned();
        }
        let scheme = if self.app.config.tls.is_some() { "https" } else { "http" };
        let host =
            if self.address.ip().is_unspecified() { "localhost".to_owned() } else { self.address.ip().to_string() };
        format!("{scheme}://{host}:{}", self.address.port())
    }

    /// The address of the server's own clients.
    #[must_use]
    pub fn loopback_url(&self) -> String {
        let scheme = if self.app.config.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.address.port())
    }

    /// Stops gently: takes nothing new, finishes what it has, closes the store; hard after the configured time.
    pub async fn stop(self) {
        let limit = Duration::from_secs(self.app.config.stop_timeout_s);
        let gently = async {
            // Requests have a part of the time: one that never ends must not keep the rooms from leading their viewers out.
            self.handle.graceful_shutdown(Some(limit / REQUESTS_SHARE));
            self.app.leaving.cancel();
            // Who leaves later is served until then: rooms and relay go on.
            self.app.lives.led_out().await;
            let _ = self.serving.await;
            self.app.stop().await;
        };
        if tokio::time::timeout(limit, gently).await.is_err() {
            tracing::warn!("stopped hard: some requests did not finish in time");
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
        net::TcpStream,
        time::Instant,
    };
    use tokio_rustls::{
        TlsConnector,
        rustls::{ClientConfig, RootCertStore, pki_types::ServerName},
    };

    use super::*;
    use crate::config::{MediaSection, Tls};

    /// What the server is told to wait, instead of [`HEADERS_WITHIN`].
    const HEADERS: Duration = Duration::from_millis(500);
    /// Well before [`HEADERS_WITHIN`], and long after [`HEADERS`], twice.
    const AT_MOST: Duration = Duration::from_secs(8);

    fn pem(kind: &str, der: &[u8]) -> String {
        format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", data_encoding::BASE64.encode(der))
    }

    /// A server, and how its TLS is checked.
    async fn serve(over_tls: bool) -> (Server, TlsConnector) {
        let folder = std::env::temp_dir().join(crate::ids::BatchId::fresh().as_str());
        std::fs::create_dir_all(&folder).expect("a folder");
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        let (cert_file, key_file) = (folder.join("cert.pem"), folder.join("key.pem"));
        std::fs::write(&cert_file, pem("CERTIFICATE", made.cert.der())).expect("written");
        std::fs::write(&key_file, pem("PRIVATE KEY", &made.signing_key.serialize_der())).expect("written");
        let here = ([127, 0, 0, 1], 0).into();
        let config = Config {
            listen: here,
            database: format!("sqlite:{}", folder.join("test.db").display()),
            media: MediaSection {
                listen: here,
                advertise: vec![std::net::Ipv4Addr::LOCALHOST.into()],
                ..MediaSection::default()
            },
            tls: over_tls.then_some(Tls { cert_file, key_file }),
            ..Config::default()
        };
        let starting = Box::pin(Server::start_within(config, Clock::system(), HEADERS));
        let server = starting.await.expect("it starts");
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).expect("our own root");
        let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        (server, TlsConnector::from(Arc::new(client)))
    }

    /// Says this and nothing more, and is closed after the server's patience is over.
    async fn is_closed(mut stream: impl AsyncRead + AsyncWrite + Unpin, said: &[u8]) {
        let began = Instant::now();
        stream.write_all(said).await.expect("sent");
        // A reset, or a TLS connection without its end, is an end as well.
        let reading = async { while let Ok(1..) = stream.read(&mut [0; 1_024]).await {} };
        let said = String::from_utf8_lossy(said);
        tokio::time::timeout(AT_MOST, reading).await.unwrap_or_else(|_| panic!("left open after {said:?}"));
        assert!(began.elapsed() >= HEADERS, "not even waited for after {said:?}");
    }

    /// Says a request in two parts, and is answered.
    async fn is_served(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        for part in ["GET /healthz HT", "TP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"] {
            stream.write_all(part.as_bytes()).await.expect("sent");
            stream.flush().await.expect("sent");
            tokio::time::sleep(HEADERS / 20).await;
        }
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
    }

    /// Nothing; the first letter of three methods and of HTTP/2; half a header; HTTP/2, and then nothing.
    const SILENT: [&[u8]; 5] = [
        b"",
        b"P",
        b"GET /healthz HTTP/1.1\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nuser-agent: sl",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    ];

    #[tokio::test]
    async fn a_connection_that_says_nothing_or_half_a_request_is_closed() {
        let (server, _) = serve(false).await;
        let connect = async || TcpStream::connect(server.address).await.expect("it listens");
        let silent = SILENT.map(async |said| is_closed(connect().await, said).await);
        futures_util::future::join_all(silent).await;
        is_served(connect().await).await;
        server.stop().await;
    }

    #[tokio::test]
    async fn over_tls_it_is_closed_before_and_after_the_handshake() {
        let (server, connector) = serve(true).await;
        let connect = async || TcpStream::connect(server.address).await.expect("it listens");
        let shake = async || {
            let name = ServerName::try_from("localhost").expect("a name");
            connector.connect(name, connect().await).await.expect("a handshake")
        };
        let no_handshake = [&b""[..], b"\x16\x03\x01"].map(async |said| is_closed(connect().await, said).await);
        let silent = SILENT.map(async |said| is_closed(shake().await, said).await);
        tokio::join!(futures_util::future::join_all(no_handshake), futures_util::future::join_all(silent));
        is_served(shake().await).await;
        server.stop().await;
    }
}
