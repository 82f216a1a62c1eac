//! Shell: who is measured: the product, the bare hub, nginx with nchan; each as a process of its own.
//!
//! Owns how each is started, how its viewers come in, and how one event is published. All are measured by the same
//! crowd and told to publish at the same moments.
//! Invariant: a contender's processes and files go when it is dropped.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use hanamichi::live::Codec;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpStream, tcp::OwnedWriteHalf},
    task::JoinSet,
};

use super::{
    crowd::Way,
    frame::Upgrade,
    story::{Ledger, Tongue},
};
use crate::{
    client,
    server::{Database, Folder, Killed, LOOK_EVERY, Process, free_port},
    shop::Shop,
};

/// The price of the first pin; each next one costs a yen more, so that it can be told from the others.
const FIRST_PRICE: i64 = 1_000;
/// The goods of the shop; none are bought here.
const UNITS: i64 = 1_000;
/// A peer listens within this.
const START_WITHIN: Duration = Duration::from_secs(10);
/// Where Debian puts the module.
const NCHAN_MODULE: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    Product,
    Bare,
    /// The bare hub that writes once in 50 ms.
    BareTick,
    Nchan,
}

impl Who {
    /// Its name, as in every result.
    pub fn name(self) -> &'static str {
        match self {
            Self::Product => "hanamichi",
            Self::Bare => "bare",
            Self::BareTick => "bare, 50 ms tick",
            Self::Nchan => "nchan",
        }
    }
}

/// Is nginx with nchan installed?
pub fn has_nchan() -> bool {
    let nginx = Command::new("nginx").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status();
    Path::new(NCHAN_MODULE).is_file() && nginx.is_ok_and(|status| status.success())
}

/// The server with a live that is on.
pub struct Product {
    pub process: Process,
    pub shop: Arc<Shop>,
    next_price: i64,
    asking: JoinSet<anyhow::Result<()>>,
}

impl Product {
    /// Starts it.
    pub async fn start(binary: &Path, database: &Database) -> anyhow::Result<Self> {
        let http = client::http()?;
        let process = Process::start(binary, database, &http).await?;
        let shop = Arc::new(Shop::open(&http, &process, UNITS).await?);
        Ok(Self { process, shop, next_price: FIRST_PRICE, asking: JoinSet::new() })
    }

    fn pin(&mut self, ledger: &Arc<Ledger>) -> anyhow::Result<()> {
        while let Some(pinned) = self.asking.try_join_next() {
            pinned??;
        }
        let (shop, ledger, price) = (Arc::clone(&self.shop), Arc::clone(ledger), self.next_price);
        self.next_price += 1;
        self.asking.spawn(async move {
            ledger.asks(price);
            shop.pin(&shop.show_product, price).await.map(drop)
        });
        Ok(())
    }

    async fn settle(&mut self) -> anyhow::Result<()> {
        while let Some(pinned) = self.asking.join_next().await {
            pinned??;
        }
        Ok(())
    }

    fn address(&self) -> anyhow::Result<SocketAddr> {
        let host = self.process.base.strip_prefix("http://").context("only plain HTTP is spoken here")?;
        Ok(host.parse()?)
    }

    /// How viewers come in, in each of these codecs.
    pub fn ways(&self, codecs: &[Codec]) -> anyhow::Result<Vec<Way>> {
        let to = self.address()?;
        let way = |codec: &Codec| Way {
            to,
            upgrade: Upgrade {
                host: to.to_string(),
                path: format!("/v1/lives/{}/hub", self.shop.live),
                protocol: codec.subprotocol().to_owned(),
                cookie: String::new(),
            },
            tongue: Tongue::Hub(*codec),
        };
        Ok(codecs.iter().map(way).collect())
    }
}

/// A bare hub.
pub struct Bare {
    child: Killed,
    port: u16,
    control: TcpStream,
}

impl Bare {
    async fn start(tick_ms: u64) -> anyhow::Result<Self> {
        let (port, control_port) = (free_port()?, free_port()?);
        let program = std::env::current_exe()?;
        let mut command = Command::new(program);
        command.args(["bare-hub", "--port", &port.to_string(), "--control-port", &control_port.to_string()]);
        command.args(["--tick-ms", &tick_ms.to_string()]).stdin(Stdio::null()).stdout(Stdio::null());
        let child = Killed(command.spawn().context("cannot start the bare hub")?);
        let control = connect(control_port).await?;
        control.set_nodelay(true)?;
        Ok(Self { child, port, control })
    }
}

/// nginx with nchan.
pub struct Nchan {
    child: Killed,
    port: u16,
    publisher: OwnedWriteHalf,
    _reading: JoinSet<std::io::Result<u64>>,
    /// Dropped last: nginx has its files there.
    _folder: Folder,
}

impl Nchan {
    async fn start() -> anyhow::Result<Self> {
        let (port, folder) = (free_port()?, Folder::fresh()?);
        let path = folder.path().join("nginx.conf");
        std::fs::write(&path, nginx_conf(folder.path(), port))?;
        let mut command = Command::new("nginx");
        command.arg("-c").arg(&path).arg("-p").arg(folder.path()).stdin(Stdio::null());
        let child = Killed(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("cannot start nginx")?);
        let stream = connect(port).await?;
        stream.set_nodelay(true)?;
        // Events come at their time, whether the last one was answered or not; that they were taken shows at the viewers.
        let (mut answers, publisher) = stream.into_split();
        let mut reading = JoinSet::new();
        reading.spawn(async move { tokio::io::copy(&mut answers, &mut tokio::io::sink()).await });
        Ok(Self { child, port, publisher, _reading: reading, _folder: folder })
    }

    /// The master and its worker.
    fn pids(&self) -> Vec<u32> {
        let master = self.child.0.id();
        let children = std::fs::read_to_string(format!("/proc/{master}/task/{master}/children")).unwrap_or_default();
        std::iter::once(master).chain(children.split_whitespace().filter_map(|pid| pid.parse().ok())).collect()
    }
}

fn nginx_conf(folder: &Path, port: u16) -> String {
    let folder = folder.display();
    format!(
        "daemon off;
load_module {NCHAN_MODULE};
worker_processes 1;
worker_rlimit_nofile 20000;
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
events {{ worker_connections 19900; use epoll; }}
http {{
  access_log off;
  tcp_nodelay on;
  keepalive_requests 1000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  nchan_shared_memory_size 128M;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /pub {{
      nchan_publisher;
      nchan_channel_id room;
      nchan_message_buffer_length 100;
      nchan_message_timeout 1m;
    }}
    location = /sub {{
      nchan_subscriber websocket;
      nchan_channel_id room;
      nchan_subscriber_first_message newest;
    }}
  }}
}}
"
    )
}

async fn connect(port: u16) -> anyhow::Result<TcpStream> {
    let by = Instant::now() + START_WITHIN;
    loop {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused && Instant::now() < by => {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            Err(error) => return Err(error).context("a peer does not listen"),
        }
    }
}

/// One of them, running.
pub enum Contender {
    Product(Box<Product>),
    Bare(Bare),
    Nchan(Nchan),
}

/// What is needed to start any of them.
#[derive(Debug, Clone)]
pub struct Ground {
    pub binary: PathBuf,
    pub database: Database,
}

impl Contender {
    /// Starts it.
    pub async fn start(who: Who, ground: &Ground) -> anyhow::Result<Self> {
        Ok(match who {
            Who::Product => Self::Product(Box::new(Product::start(&ground.binary, &ground.database).await?)),
            Who::Bare => Self::Bare(Bare::start(0).await?),
            Who::BareTick => Self::Bare(Bare::start(50).await?),
            Who::Nchan => Self::Nchan(Nchan::start().await?),
        })
    }

    /// Its processes.
    pub fn pids(&self) -> Vec<u32> {
        match self {
            Self::Product(product) => vec![product.process.pid()],
            Self::Bare(bare) => vec![bare.child.0.id()],
            Self::Nchan(nchan) => nchan.pids(),
        }
    }

    /// How viewers come in.
    pub fn ways(&self, codecs: &[Codec]) -> anyhow::Result<Vec<Way>> {
        let plain = |port: u16| {
            let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            let upgrade = Upgrade { host: to.to_string(), path: "/sub".to_owned(), ..Upgrade::default() };
            vec![Way { to, upgrade, tongue: Tongue::Plain }]
        };
        match self {
            Self::Product(product) => product.ways(codecs),
            Self::Bare(bare) => Ok(plain(bare.port)),
            Self::Nchan(nchan) => Ok(plain(nchan.port)),
        }
    }

    /// Publishes one event; of a peer, a message of so many bytes.
    pub async fn publish(&mut self, bytes: usize, ledger: &Arc<Ledger>) -> anyhow::Result<()> {
        match self {
            Self::Product(product) => product.pin(ledger),
            Self::Bare(bare) => {
                let mut line = message(bytes, ledger);
                line.push('\n');
                Ok(bare.control.write_all(line.as_bytes()).await?)
            }
            Self::Nchan(nchan) => {
                let text = message(bytes, ledger);
                let (host, len) = (nchan.port, text.len());
                let head = format!("POST /pub HTTP/1.1\r\nHost: 127.0.0.1:{host}\r\nContent-Length: {len}\r\n\r\n");
                Ok(nchan.publisher.write_all((head + &text).as_bytes()).await?)
            }
        }
    }

    /// Waits until everything that was published has been taken.
    pub async fn settle(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Product(product) => product.settle().await,
            Self::Bare(_) | Self::Nchan(_) => Ok(()),
        }
    }
}

/// A peer's message: when it was sent, and padding to the size.
fn message(bytes: usize, ledger: &Ledger) -> String {
    let mut text = format!(r#"{{"t":{},"pad":""#, ledger.epoch.micros(Instant::now()));
    let pad = bytes.saturating_sub(text.len() + 2);
    text.extend(std::iter::repeat_n('x', pad));
    text.push_str("\"}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::story::Epoch;

    #[test]
    fn a_message_has_its_size_and_is_json() {
        let ledger = Ledger::new(Epoch::begin());
        let text = message(300, &ledger);
        assert_eq!(text.len(), 300);
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert!(value["t"].is_i64());
    }
}
