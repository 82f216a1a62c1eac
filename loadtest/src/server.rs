//! Shell: the server under test, as its own process with a throw-away database.
//!
//! Invariant: the process and its files go when [`Process`] is dropped.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

use crate::client::{PASSWORD, fresh_email, fresh_name};

/// The server is ready within this, or the run fails.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// A stop that was asked for takes no longer than this.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// How often it is asked whether it is ready.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// Where the run keeps its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// A SQLite file that goes with the run.
    Throwaway,
    /// A database that somebody made for the run; the run leaves its rows there.
    Url(String),
}

impl Database {
    /// Reads the option of the command line.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "sqlite" => Ok(Self::Throwaway),
            url if ["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) => {
                Ok(Self::Url(url.to_owned()))
            }
            _ => Err("expected `sqlite`, or a database's address: sqlite:… or postgres://…".to_owned()),
        }
    }

    /// The engine's name.
    pub fn engine(&self) -> &'static str {
        match self {
            Self::Url(url) if url.starts_with("postgres") => "postgres",
            _ => "sqlite",
        }
    }
}

/// A running server.
pub struct Process {
    child: Child,
    /// Its address.
    pub base: String,
    /// The operator's sign-in name.
    pub operator: String,
    // Dropped after the child is gone: it may still be writing there.
    _folder: Folder,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder that goes when it is dropped.
pub struct Folder(PathBuf);

impl Folder {
    /// An empty one, among the system's temporary files.
    pub fn fresh() -> anyhow::Result<Self> {
        let folder = Self(std::env::temp_dir().join(format!("hanamichi-load-{}", fresh_name())));
        std::fs::create_dir_all(&folder.0).context("cannot make a folder for the run")?;
        Ok(folder)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The binary to run: the one that is named, or the one beside this program.
pub fn find_binary(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => std::env::current_exe()?.with_file_name("hanamichi"),
    };
    if path.is_file() {
        return Ok(path);
    }
    bail!(
        "no server at {}: build it with `cargo build --release --bin hanamichi` (without --release for a debug run), \
         or name one with --server PATH",
        path.display()
    )
}

impl Process {
    /// Starts the server and waits until it is ready.
    pub async fn start(binary: &Path, database: &Database, http: &reqwest::Client) -> anyhow::Result<Self> {
        let folder = Folder::fresh()?;
        let url = match database {
            Database::Throwaway => format!("sqlite:{}", folder.0.join("load.db").display()),
            Database::Url(url) => url.clone(),
        };
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).context("no free port")?.port();
        let operator = fresh_email();
        let child = Command::new(binary)
            .arg("serve")
            .env("HANAMICHI_LISTEN", format!("127.0.0.1:{port}"))
            .env("HANAMICHI_DATABASE", url)
            .env("HANAMICHI_MEDIA__LISTEN", "127.0.0.1:0")
            .env("HANAMICHI_OPERATOR__EMAIL", &operator)
            .env("HANAMICHI_OPERATOR__PASSWORD", PASSWORD)
            .env("HANAMICHI_LOG_FILTER", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot run {}", binary.display()))?;
        let mut process = Self { child, base: format!("http://127.0.0.1:{port}"), operator, _folder: folder };
        tokio::time::timeout(START_TIMEOUT, process.ready(http)).await.context("the server did not become ready")??;
        Ok(process)
    }

    async fn ready(&mut self, http: &reqwest::Client) -> anyhow::Result<()> {
        let url = format!("{}/readyz", self.base);
        loop {
            if http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the server stopped at its start: {status}");
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// Asks it to stop, and waits until it has.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status().context("cannot run kill")?;
        if !asked.success() {
            bail!("the server was gone before it was asked to stop");
        }
        let by = Instant::now() + STOP_TIMEOUT;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return if status.success() { Ok(()) } else { bail!("the server stopped badly: {status}") };
            }
            if Instant::now() > by {
                bail!("the server did not stop in {} s", STOP_TIMEOUT.as_secs());
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// Resident memory; 0 where the system does not tell.
    pub fn rss_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        rss_of(&status)
    }
}

fn rss_of(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_a_word_or_an_address() {
        assert_eq!(Database::parse("sqlite"), Ok(Database::Throwaway));
        assert_eq!(Database::parse("postgres://a@b/c").map(|d| d.engine()), Ok("postgres"));
        assert_eq!(Database::parse("sqlite:x.db").map(|d| d.engine()), Ok("sqlite"));
        assert!(Database::parse("mysql://a@b/c").is_err());
    }

    #[test]
    fn resident_memory_is_read_from_its_line() {
        assert_eq!(rss_of("VmHWM:\t  900 kB\nVmRSS:\t  812 kB\n"), 812);
        assert_eq!(rss_of(""), 0);
    }
}
