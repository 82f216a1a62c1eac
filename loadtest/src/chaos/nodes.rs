//! Shell: the nodes under test, and what they share.
//!
//! One node keeps its data in a throw-away SQLite file or where it is told. Several share a PostgreSQL database and a
//! Redis; of both, one of our own is started when none is named.
//! Invariant: everything that was started goes when [`Nodes`] is dropped.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};

use crate::{
    server::{Database, Folder, Process, free_port},
    stock::cluster::Cluster,
};

/// Redis listens within this.
const REDIS_WITHIN: Duration = Duration::from_secs(10);

/// What to start.
#[derive(Debug, Clone)]
pub struct Ground {
    pub binary: PathBuf,
    pub database: Database,
    pub nodes: usize,
    /// Where the bus is, when there are several nodes.
    pub redis: Option<String>,
}

/// The nodes.
pub struct Nodes {
    processes: Vec<Process>,
    /// Which of them were ever killed.
    pub killed: Arc<[AtomicBool]>,
    http: reqwest::Client,
    binary: PathBuf,
    /// Dropped after the nodes: they speak to them.
    _redis: Option<Redis>,
    _cluster: Option<Cluster>,
    _folder: Folder,
}

impl Nodes {
    /// Starts all of them.
    pub async fn start(ground: &Ground, http: &reqwest::Client) -> anyhow::Result<Self> {
        let folder = Folder::fresh()?;
        let mut nodes = Self {
            processes: Vec::new(),
            killed: (0..ground.nodes).map(|_| AtomicBool::new(false)).collect(),
            http: http.clone(),
            binary: ground.binary.clone(),
            _redis: None,
            _cluster: None,
            _folder: folder,
        };
        let mut database = ground.database.clone();
        let mut variables = Vec::new();
        if ground.nodes > 1 {
            if database == Database::Throwaway {
                let cluster = Cluster::start(nodes._folder.path()).await?;
                database = Database::Url(cluster.url());
                nodes._cluster = Some(cluster);
            }
            ensure!(database.engine() == "postgres", "several nodes share a PostgreSQL database");
            let url = match &ground.redis {
                Some(url) => url.clone(),
                None => {
                    let redis = Redis::start(nodes._folder.path())?;
                    let url = redis.url();
                    nodes._redis = Some(redis);
                    url
                }
            };
            variables.push(("HANAMICHI_BUS".to_owned(), "redis".to_owned()));
            variables.push(("HANAMICHI_REDIS_URL".to_owned(), url));
        }
        for _ in 0..ground.nodes {
            nodes.processes.push(Process::start_with(&ground.binary, &database, &variables, http).await?);
        }
        Ok(nodes)
    }

    /// The one where the shop is opened.
    pub fn first(&self) -> &Process {
        &self.processes[0]
    }

    /// Where they are.
    pub fn bases(&self) -> Arc<[String]> {
        self.processes.iter().map(|process| process.base.clone()).collect()
    }

    /// The same, as addresses.
    pub fn addresses(&self) -> anyhow::Result<Arc<[SocketAddr]>> {
        let address = |process: &Process| {
            let host = process.base.strip_prefix("http://").context("only plain HTTP is spoken here")?;
            anyhow::Ok(host.parse()?)
        };
        self.processes.iter().map(address).collect()
    }

    /// Kills one, and starts it again on the same database after a while.
    pub async fn kill(&mut self, node: usize, down: Duration) -> anyhow::Result<()> {
        let process = self.processes.get_mut(node).context("a node")?;
        self.killed[node].store(true, Relaxed);
        process.kill()?;
        tokio::time::sleep(down).await;
        process.restart(&self.http).await
    }

    /// Does any node look dead, though nobody killed it?
    pub fn fallen(&mut self) -> anyhow::Result<Option<usize>> {
        for (n, process) in self.processes.iter_mut().enumerate() {
            if process.has_ended()? {
                return Ok(Some(n));
            }
        }
        Ok(None)
    }

    /// Checks the books of purchases and stock, as the operator does.
    pub fn verify(&self) -> anyhow::Result<Vec<String>> {
        let url = self.first().variable("HANAMICHI_DATABASE").context("a node has a database")?;
        let mut command = Command::new(&self.binary);
        let said = command.args(["verify", "--json"]).env("HANAMICHI_DATABASE", url).output()?;
        if said.status.success() {
            return Ok(Vec::new());
        }
        Ok(vec![format!("the books are faulty: {}", String::from_utf8_lossy(&said.stdout))])
    }
}

/// A Redis of our own.
struct Redis {
    child: Child,
    port: u16,
}

impl Redis {
    fn start(folder: &Path) -> anyhow::Result<Self> {
        let port = free_port()?;
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.arg("--dir").arg(folder).stdin(Stdio::null()).stdout(Stdio::null());
        let redis = Self { child: command.spawn().context("cannot run redis-server")?, port };
        let by = Instant::now() + REDIS_WITHIN;
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > by {
                bail!("Redis does not listen");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(redis)
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
