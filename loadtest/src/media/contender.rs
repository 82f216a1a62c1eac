//! Shell: who is measured: the product, Janus, and two loops that only seal and send; each as a process of its own.
//!
//! Owns how each is started, how it gets its publisher and how a viewer comes in. All send the same stream to the same
//! crowd.
//! Invariant: a contender's processes and files go when it is dropped.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use reqwest::{StatusCode, header};

use super::{
    crowd::Seat,
    janus::Janus,
    sdp::{self, Own, Remote, Setup, Way},
    stun::Role,
    transport::Identity,
};
use crate::{
    client,
    server::{Database, Killed, Process},
    shop::Shop,
};

/// The goods of the shop; none are bought here.
const UNITS: i64 = 1;
const SDP: &str = "application/sdp";
/// A publisher is on air within this.
const ON_AIR_WITHIN: Duration = Duration::from_secs(10);
const ASK_EVERY: Duration = Duration::from_millis(50);
/// Janus tells nobody over HTTP that a publisher's first packets came.
const JANUS_ON_AIR: Duration = Duration::from_secs(3);
/// The publisher's picture and sound.
pub const STREAMS: (u32, u32) = (0x1111_1111, 0x2222_2222);

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Product,
    Janus,
    Bare,
    /// The bare loop that sends a frame at once.
    BareGso,
}

impl Who {
    /// Its name, as in every result.
    pub fn name(self) -> &'static str {
        match self {
            Self::Product => "hanamichi",
            Self::Janus => "janus",
            Self::Bare => "bare",
            Self::BareGso => "bare, GSO",
        }
    }
}

/// A viewer who was let in, but has sent nothing yet.
pub struct Entry {
    pub seat: Seat,
    pub own: Own,
    pub remote: Remote,
    /// When it asked.
    pub posted: Instant,
    /// The path of its session, where it has one.
    pub session: String,
}

/// The server with a live that is on.
pub struct Product {
    process: Process,
    http: reqwest::Client,
    shop: Shop,
}

impl Product {
    async fn start(binary: &Path) -> anyhow::Result<Self> {
        let http = client::http()?;
        let process = Process::start(binary, &Database::Throwaway, &http).await?;
        let shop = Shop::open(&http, &process, UNITS).await?;
        Ok(Self { process, http, shop })
    }

    /// Sends an offer; gives the answer and the session's path.
    async fn post(&self, what: &str, offer: String) -> anyhow::Result<Result<(String, String), StatusCode>> {
        let url = format!("{}/v1/lives/{}/{what}", self.process.base, self.shop.live);
        let mut request = self.http.post(url).header(header::CONTENT_TYPE, SDP);
        if what == "whip" {
            request = request.header(header::COOKIE, &self.shop.liver.cookie);
        }
        let answer = request.body(offer).send().await.with_context(|| what.to_owned())?;
        let status = answer.status();
        if status != StatusCode::CREATED {
            return Ok(Err(status));
        }
        let place = answer.headers().get(header::LOCATION).context("a session without a place")?;
        let place = place.to_str()?.to_owned();
        Ok(Ok((answer.text().await?, place)))
    }

    /// Ends a session; what the server says to it.
    pub async fn delete(&self, session: &str) -> anyhow::Result<StatusCode> {
        let url = if session.starts_with('/') { format!("{}{session}", self.process.base) } else { session.to_owned() };
        Ok(self.http.delete(url).send().await?.status())
    }

    /// Ends a session that is there.
    pub async fn end(&self, session: &str) -> anyhow::Result<()> {
        let status = self.delete(session).await?;
        if status.is_success() { Ok(()) } else { bail!("a session could not be ended: {status}") }
    }
}

/// A loop that only seals and sends.
pub struct Bare(Killed);

impl Bare {
    /// Starts it towards these ports.
    pub fn start(who: Who, ports: &[u16], spread: Duration) -> anyhow::Result<Self> {
        let ports = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["bare-media", "--ports", &ports, "--spread-us", &spread.as_micros().to_string()]);
        if who == Who::BareGso {
            command.arg("--gso");
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Ok(Self(Killed(command.spawn().context("cannot start the bare loop")?)))
    }

    /// The process, as the system calls it.
    pub fn pid(&self) -> u32 {
        self.0.0.id()
    }
}

/// A server that forwards.
pub enum Forwarder {
    Product(Box<Product>),
    Janus(Box<Janus>),
}

impl Forwarder {
    /// Starts it.
    pub async fn start(who: Who, binary: &Path) -> anyhow::Result<Self> {
        Ok(match who {
            Who::Product => Self::Product(Box::new(Product::start(binary).await?)),
            Who::Janus => Self::Janus(Box::new(Janus::start().await?)),
            Who::Bare | Who::BareGso => bail!("{} forwards nothing", who.name()),
        })
    }

    /// The process, as the system calls it.
    pub fn pid(&self) -> u32 {
        match self {
            Self::Product(product) => product.process.pid(),
            Self::Janus(janus) => janus.pid(),
        }
    }

    /// A place to be reached at. Janus has to be told of it; the product finds us by our checks, as it does with browsers
    /// that do not wait for their candidates.
    fn seat(&self, identity: &Identity, way: Way) -> anyhow::Result<(Seat, Own)> {
        let ip = match self {
            Self::Product(_) => IpAddr::from(Ipv4Addr::LOCALHOST),
            Self::Janus(janus) => janus.ip,
        };
        let seat = Seat::take(ip)?;
        let candidate = matches!(self, Self::Janus(_)).then_some(seat.address);
        Ok((seat, Own { candidate, ..identity.own(way) }))
    }

    /// Lets the publisher in.
    pub async fn publish(&self, identity: &Identity) -> anyhow::Result<(Seat, Own, Remote)> {
        let (seat, own) = self.seat(identity, Way::Send { video: STREAMS.0, sound: STREAMS.1 })?;
        let answer = match self {
            Self::Product(product) => match product.post("whip", sdp::offer(&own, Setup::Either)).await? {
                Ok((answer, _)) => answer,
                Err(status) => bail!("the publisher was refused with {status}"),
            },
            Self::Janus(janus) => janus.enter().await?.publish(&sdp::offer(&own, Setup::Ours)).await?,
        };
        Ok((seat, own, Remote::read(&answer)?))
    }

    /// Waits until the publisher is on air.
    pub async fn until_on_air(&self, identity: &Identity) -> anyhow::Result<()> {
        let Self::Product(product) = self else {
            tokio::time::sleep(JANUS_ON_AIR).await;
            return Ok(());
        };
        let by = Instant::now() + ON_AIR_WITHIN;
        loop {
            let offer = sdp::offer(&identity.own(Way::Receive), Setup::Either);
            match product.post("whep", offer).await? {
                Ok((_, session)) => return product.end(&session).await,
                Err(StatusCode::CONFLICT) if Instant::now() < by => tokio::time::sleep(ASK_EVERY).await,
                Err(status) => bail!("the publisher is not on air: {status}"),
            }
        }
    }

    /// Lets a viewer in. Of Janus the time counts from its second request, as if the first two were one before.
    pub async fn watch(&self, identity: &Identity) -> anyhow::Result<Entry> {
        let (seat, own) = self.seat(identity, Way::Receive)?;
        match self {
            Self::Product(product) => {
                let offer = sdp::offer(&own, Setup::Either);
                let posted = Instant::now();
                match product.post("whep", offer).await? {
                    Ok((answer, session)) => Ok(Entry { seat, own, remote: Remote::read(&answer)?, posted, session }),
                    Err(status) => bail!("a viewer was refused with {status}"),
                }
            }
            Self::Janus(janus) => {
                // It offers, so it controls.
                let own = Own { role: Role::Obeys, ..own };
                let handle = janus.enter().await?;
                let posted = Instant::now();
                let remote = Remote::read(&handle.watch().await?)?;
                handle.answer(&sdp::answer(&own, &remote)).await?;
                Ok(Entry { seat, own, remote, posted, session: String::new() })
            }
        }
    }
}
