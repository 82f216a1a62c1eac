//! Value: every knob of the server, on one page.
//!
//! Read from one TOML file and then from the environment (`HANAMICHI_…`, two underscores between section and key, as
//! in `HANAMICHI_TLS__CERT_FILE`). Unknown keys are refused. Rooms get their section by value and never read the
//! environment themselves. `config.example.toml` shows every key with its default.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use figment::{
    Figment,
    providers::{Env, Format, Serialized, Toml},
};
use serde::{Deserialize, Serialize};

use crate::ice::{IceServer, MAX_SERVERS};

mod stripe;

pub use stripe::{PayMethod, Secret, StripeConfig};

/// The whole configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What this server is for: in `production` nothing may pretend. `HANAMICHI_ENVIRONMENT`.
    pub environment: Environment,
    /// Address and port of HTTP: REST, pages, WebSocket, WHIP and WHEP. `HANAMICHI_LISTEN`.
    pub listen: SocketAddr,
    /// `sqlite:path/to/file.db` or `postgres://…`. `HANAMICHI_DATABASE`.
    pub database: String,
    /// The address people use, e.g. `https://live.example.jp`; used in the WHIP address and for the origin check.
    /// Empty: taken from each request's Host. `HANAMICHI_PUBLIC_URL`.
    pub public_url: String,
    /// Proxies whose `X-Forwarded-For` is believed: rates and bans by address then go by whom they speak for.
    pub trusted_proxies: Vec<IpAddr>,
    /// The bus between nodes: `local` is one process, `redis` any number of them over one PostgreSQL.
    pub bus: BusKind,
    /// With `bus = "redis"`: `redis://…` or `rediss://…` (TLS), Redis 7 or newer. `HANAMICHI_REDIS_URL`.
    pub redis_url: String,
    /// With `bus = "redis"`: where other nodes reach this one's HTTP, to pull the pictures that come in here, e.g.
    /// `http://10.0.0.5:8080`. Empty: this host's address and the port of `listen`.
    pub node_url: String,
    /// The WebSocket hub.
    pub hub: HubSection,
    /// TLS in this process; without it a proxy in front should do it.
    pub tls: Option<Tls>,
    /// WebRTC.
    pub media: MediaSection,
    /// Figures for Prometheus.
    pub metrics: MetricsSection,
    /// Buying.
    pub commerce: Commerce,
    /// Stores.
    pub omo: OmoSection,
    /// What livers earn and are paid.
    pub settlement: SettlementSection,
    /// What brands' systems are told.
    pub webhooks: WebhooksSection,
    /// The first operator; made at start when missing.
    pub operator: Option<Operator>,
    /// Log lines: `text` or `json`.
    pub log_format: LogFormat,
    /// Which log lines, in the form of `RUST_LOG`.
    pub log_filter: String,
    /// How long a stop may take before it turns hard, in seconds.
    pub stop_timeout_s: u64,
}

/// What a server is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// To try things.
    Development,
    /// Real people and real money.
    Production,
}

/// How nodes hear of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BusKind {
    /// One process.
    Local,
    /// Several nodes.
    Redis,
}

/// The WebSocket hub.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HubSection {
    /// Threads that write to the sockets; 0: one for each core.
    pub shards: usize,
    /// Connections of this node at once; beyond, newcomers are told to try later.
    pub max_connections: u64,
    /// Mebibytes of all rooms' logs together: what returning viewers are caught up from. Beyond, the largest logs lose
    /// their oldest entries.
    pub log_mib: usize,
    /// At a stop, connections asked to leave per second; a stop is over in half of `stop_timeout_s` all the same.
    pub drain_per_s: u32,
    /// Seconds between two pings to every connection.
    pub ping_every_s: u32,
    /// A connection that says nothing for so many seconds is over; clients answer pings, so more than `ping_every_s`.
    pub silent_after_s: u32,
    /// A connection that accepts no byte for so many seconds is over.
    pub stuck_after_s: u32,
    /// New connections of one address a second, after a burst of ten times as many. A mobile network is one address.
    pub joins_per_address_per_s: u32,
}

/// Shape of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For collectors.
    Json,
}

/// Certificate and key, PEM files. Cookies are `Secure` when set.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Chain, leaf first.
    pub cert_file: PathBuf,
    /// Private key.
    pub key_file: PathBuf,
}

/// WebRTC.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MediaSection {
    /// Address and port of every WebRTC session, UDP and TCP. Port 0 takes any free one.
    pub listen: SocketAddr,
    /// Addresses put into the answers; empty: this host's own.
    pub advertise: Vec<IpAddr>,
    /// Threads that serve viewers; 0: one for each core.
    pub threads: usize,
    /// Publishers and viewers of this node at once; beyond, newcomers are told to come later.
    pub max_sessions: usize,
    /// Of one live on this node.
    pub max_sessions_per_live: usize,
    /// Whether the port is open for TCP too, for peers whose network lets no UDP through.
    pub tcp: bool,
    /// STUN and TURN servers that peers are told of; this server itself needs none.
    pub ice_servers: Vec<IceServer>,
}

/// Figures for Prometheus.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsSection {
    /// Address and port of `GET /metrics`, over plain HTTP and without sign-in; empty: off. `HANAMICHI_METRICS__LISTEN`.
    pub listen: String,
}

impl MetricsSection {
    /// The address, when there is one.
    ///
    /// # Errors
    /// [`ConfigError`] when it is none.
    pub fn address(&self) -> Result<Option<SocketAddr>, ConfigError> {
        if self.listen.is_empty() {
            return Ok(None);
        }
        let wrong = |_| ConfigError::Contradiction("metrics.listen must be an address and port, or empty".to_owned());
        self.listen.parse().map(Some).map_err(wrong)
    }
}

/// Buying.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Commerce {
    /// How long a hold without payment lives, in seconds.
    pub hold_ttl_s: u64,
    /// Who collects the money: `sandbox` (no money moves and every page says so) or `stripe`.
    pub payment: PaymentKind,
    /// Said on the final confirmation: shipped within so many days of the order.
    pub delivery_days: u32,
    /// How long a buyer may take to do what their bank asks (3-D Secure), in seconds; then the payment is called off.
    pub action_ttl_s: u64,
    /// Payments that the provider takes a second: more wait their turn, and holds live longer by their place in that
    /// queue. 0: no limit.
    pub payments_per_s: u32,
    /// With `payment = "stripe"`.
    pub stripe: StripeConfig,
}

/// Stores.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OmoSection {
    /// Days that a store keeps an order that is ready to be picked up; then it is called off and the money goes back. Cards at
    /// Stripe are reserved for about 7 days from the purchase on, so the default leaves two to prepare it.
    pub pickup_days: u32,
}

impl Default for OmoSection {
    fn default() -> Self {
        Self { pickup_days: 5 }
    }
}

/// What livers earn and are paid.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SettlementSection {
    /// Days after the goods have left in which they may come back; a commission is estimated until then.
    pub return_days: u32,
}

/// What brands' systems are told.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhooksSection {
    /// Whether webhooks may go to addresses inside this network, also over plain HTTP: for trying things, and where every
    /// brand is trusted. Otherwise only HTTPS to public addresses.
    pub allow_private: bool,
}

impl Default for SettlementSection {
    fn default() -> Self {
        Self { return_days: 14 }
    }
}

/// Who collects the money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PaymentKind {
    /// Pretends; labelled on every page.
    Sandbox,
    /// Stripe.
    Stripe,
}

/// The first operator.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    /// Sign-in name.
    pub email: String,
    /// At least 8 characters.
    pub password: String,
}

impl std::fmt::Debug for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operator").field("email", &self.email).finish_non_exhaustive()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            environment: Environment::Development,
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            database: "sqlite:hanamichi.db".to_owned(),
            public_url: String::new(),
            trusted_proxies: Vec::new(),
            bus: BusKind::Local,
            redis_url: String::new(),
            node_url: String::new(),
            hub: HubSection::default(),
            tls: None,
            media: MediaSection::default(),
            metrics: MetricsSection::default(),
            commerce: Commerce::default(),
            omo: OmoSection::default(),
            settlement: SettlementSection::default(),
            webhooks: WebhooksSection::default(),
            operator: None,
            log_format: LogFormat::Text,
            log_filter: "info,str0m=warn,webrtc=warn,rtc=warn,sqlx=warn".to_owned(),
            stop_timeout_s: 20,
        }
    }
}

impl Default for MediaSection {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 8189)),
            advertise: Vec::new(),
            threads: 0,
            max_sessions: 5_000,
            max_sessions_per_live: 2_000,
            tcp: true,
            ice_servers: Vec::new(),
        }
    }
}

impl Default for HubSection {
    fn default() -> Self {
        Self {
            shards: 0,
            max_connections: 200_000,
            log_mib: 512,
            drain_per_s: 2_000,
            ping_every_s: 25,
            silent_after_s: 60,
            stuck_after_s: 30,
            joins_per_address_per_s: 2_000,
        }
    }
}

impl Default for Commerce {
    fn default() -> Self {
        Self {
            hold_ttl_s: 180,
            payment: PaymentKind::Sandbox,
            delivery_days: 5,
            action_ttl_s: 600,
            payments_per_s: 0,
            stripe: StripeConfig::default(),
        }
    }
}

impl Commerce {
    /// As a duration.
    #[must_use]
    pub fn hold_ttl(&self) -> Duration {
        Duration::from_secs(self.hold_ttl_s)
    }

    /// As a duration.
    #[must_use]
    pub fn action_ttl(&self) -> Duration {
        Duration::from_secs(self.action_ttl_s)
    }
}

/// A configuration that cannot be used, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A key is unknown, has the wrong type, or the file cannot be read.
    #[error("configuration: {0}")]
    Read(Box<figment::Error>),
    /// The values do not go together.
    #[error("configuration: {0}")]
    Contradiction(String),
}

impl Config {
    /// Defaults, then the file (when given), then the environment.
    ///
    /// # Errors
    /// [`ConfigError`] names the key at fault.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(path) = file {
            figment = figment.merge(Toml::file_exact(path));
        }
        // HANAMICHI_CONFIG and the makefile's HANAMICHI_PORT are read by the command line.
        let environment = Env::prefixed("HANAMICHI_").ignore(&["config", "port", "data_dir"]).split("__");
        let config: Self = figment.merge(environment).extract().map_err(|error| ConfigError::Read(Box::new(error)))?;
        config.check()?;
        Ok(config)
    }

    /// As it may be shown: the database's user and password are left out, and every [`Secret`] hides itself.
    #[must_use]
    pub fn without_secrets(&self) -> Self {
        let mut shown = self.clone();
        if let (Some((scheme, _)), Some((_, host))) = (self.database.split_once("://"), self.database.rsplit_once('@'))
        {
            shown.database = format!("{scheme}://…@{host}");
        }
        if let (Some((scheme, _)), Some((_, host))) =
            (self.redis_url.split_once("://"), self.redis_url.rsplit_once('@'))
        {
            shown.redis_url = format!("{scheme}://…@{host}");
        }
        shown.media.ice_servers.iter_mut().for_each(IceServer::hide_secrets);
        shown
    }

    fn check(&self) -> Result<(), ConfigError> {
        let contradiction = |text: &str| Err(ConfigError::Contradiction(text.to_owned()));
        self.metrics.address()?;
        if !(10..=3600).contains(&self.commerce.hold_ttl_s) {
            return contradiction("commerce.hold_ttl_s must be between 10 and 3600");
        }
        if !(60..=3600).contains(&self.commerce.action_ttl_s) {
            return contradiction("commerce.action_ttl_s must be between 60 and 3600");
        }
        if !(1..=90).contains(&self.omo.pickup_days) {
            return contradiction("omo.pickup_days must be between 1 and 90");
        }
        if self.settlement.return_days > 365 {
            return contradiction("settlement.return_days must be at most 365");
        }
        self.check_payment()?;
        if self.hub.ping_every_s == 0 || self.hub.silent_after_s <= self.hub.ping_every_s {
            return contradiction("hub.silent_after_s must be greater than hub.ping_every_s, which must not be 0");
        }
        if let Some(tls) = &self.tls {
            for file in [&tls.cert_file, &tls.key_file] {
                if !file.is_file() {
                    return Err(ConfigError::Contradiction(format!("tls: there is no file {}", file.display())));
                }
            }
        }
        if !self.public_url.is_empty()
            && !self.public_url.starts_with("http://")
            && !self.public_url.starts_with("https://")
        {
            return contradiction("public_url must begin with http:// or https://");
        }
        if self.bus == BusKind::Redis {
            if !self.redis_url.starts_with("redis://") && !self.redis_url.starts_with("rediss://") {
                return contradiction("redis_url must begin with redis:// or rediss:// when bus is \"redis\"");
            }
            if self.database.starts_with("sqlite:") {
                return contradiction("bus = \"redis\" is for several nodes, which need one PostgreSQL");
            }
        }
        if self.hub.max_connections == 0 || self.hub.drain_per_s == 0 || self.hub.joins_per_address_per_s == 0 {
            return contradiction("hub: max_connections, drain_per_s and joins_per_address_per_s must be positive");
        }
        if self.media.ice_servers.len() > MAX_SERVERS {
            return Err(ConfigError::Contradiction(format!("media.ice_servers: at most {MAX_SERVERS}")));
        }
        if let Some(fault) = self.media.ice_servers.iter().find_map(IceServer::fault) {
            return Err(ConfigError::Contradiction(format!("media.ice_servers: {fault}")));
        }
        if let Some(operator) = &self.operator
            && (operator.password.chars().count() < 8 || !operator.email.contains('@'))
        {
            return contradiction("operator: give an email address and a password of at least 8 characters");
        }
        Ok(())
    }

    fn check_payment(&self) -> Result<(), ConfigError> {
        let contradiction = |text: String| Err(ConfigError::Contradiction(text));
        if self.commerce.payment == PaymentKind::Sandbox {
            if self.environment == Environment::Production {
                return contradiction(
                    "environment = \"production\" takes no commerce.payment = \"sandbox\": goods would be sent and \
                     nobody would have paid"
                        .to_owned(),
                );
            }
            return Ok(());
        }
        if let Some(fault) = self.commerce.stripe.fault() {
            return contradiction(format!("commerce.stripe: {fault}"));
        }
        // A bank leads the buyer back to it, so it must not come from whoever sent the request.
        if self.public_url.is_empty() {
            return contradiction("commerce.payment = \"stripe\" needs public_url".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_toml(text: &str) -> Result<Config, Box<figment::Error>> {
        Ok(Figment::from(Serialized::defaults(Config::default())).merge(Toml::string(text)).extract()?)
    }

    #[test]
    fn an_unknown_key_is_refused_and_named() {
        let error = from_toml("lissten = '127.0.0.1:1'").expect_err("the key is misspelt");
        assert!(error.to_string().contains("lissten"), "{error}");
        assert!(from_toml("[commerce]\nhold = 3").is_err());
    }

    #[test]
    fn figures_are_off_or_have_an_address() {
        let address = |listen: &str| MetricsSection { listen: listen.to_owned() }.address();
        assert_eq!(address("").expect("off"), None);
        assert_eq!(address("127.0.0.1:9464").expect("an address").map(|address| address.port()), Some(9_464));
        assert!(address("9464").expect_err("no address").to_string().contains("metrics.listen"));
    }

    #[test]
    fn servers_for_ice_are_checked_and_their_secrets_not_shown() {
        let turn = |rest: &str| {
            from_toml(&format!("[media]\nice_servers = [{{ urls = ['turn:192.0.2.1'], {rest} }}]")).expect("it is read")
        };
        let good = turn("username = 'hana', credential = 's3cret'");
        assert!(good.check().is_ok());
        assert!(!format!("{good:?} {:#?}", good.without_secrets()).contains("s3cret"));
        let refused = turn("username = 'hana'").check().expect_err("half of it");
        assert!(refused.to_string().contains("media.ice_servers"), "{refused}");
    }

    #[test]
    fn production_pretends_nothing_and_stripe_is_given_its_keys() {
        let check = |text: &str| from_toml(text).expect("it is read").check().map_err(|error| error.to_string());
        let refused = check("environment = 'production'").expect_err("the sandbox");
        assert!(refused.contains("nobody would have paid"), "{refused}");
        let refused = check("[commerce]\npayment = 'stripe'").expect_err("no keys");
        assert!(refused.contains("commerce.stripe: secret_key"), "{refused}");
        let keys = "[commerce]\npayment = 'stripe'\n[commerce.stripe]\nsecret_key = 'sk_test_s3cret'\n\
                    publishable_key = 'pk_test_1'\nwebhook_secrets = ['whsec_s3cret']\nmethods = ['card', 'konbini']";
        let refused = check(keys).expect_err("no address to come back to");
        assert!(refused.contains("public_url"), "{refused}");
        let whole = format!("environment = 'production'\npublic_url = 'https://live.example.jp'\n{keys}");
        assert_eq!(check(&whole), Ok(()));
        let config = from_toml(&whole).expect("it is read");
        assert!(!format!("{config:?} {:#?}", config.without_secrets()).contains("s3cret"));
    }

    #[test]
    fn the_example_file_is_the_defaults() {
        let example = from_toml(include_str!("../config.example.toml")).expect("the example is valid");
        assert_eq!(format!("{example:?}"), format!("{:?}", Config::default()));
    }
}
