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
/// How often it is looked whether a process has come or gone.
pub const LOOK_EVERY: Duration = Duration::from_millis(20);
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
    binary: PathBuf,
    environment: Vec<(String, String)>,
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

/// A process that is killed when it is dropped.
pub struct Killed(pub Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // The master of nginx takes its worker along when it is asked to stop, not when it is killed.
        let asked = Command::new("kill").arg(self.0.id().to_string()).status();
        let by = Instant::now() + Duration::from_secs(2);
        while asked.as_ref().is_ok_and(std::process::ExitStatus::success) && Instant::now() < by {
            if matches!(self.0.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
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
        Self::start_with(binary, database, &[], http).await
    }

    /// The same, with some more variables.
    pub async fn start_with(
        binary: &Path,
        database: &Database,
        more: &[(String, String)],
        http: &reqwest::Client,
    ) -> anyhow::Result<Self> {
        let folder = Folder::fresh()?;
        let url = match database {
            Database::Throwaway => format!("sqlite:{}", folder.0.join("load.db").display()),
            Database::Url(url) => url.clone(),
        };
        let operator = fresh_email();
        let (port, mut environment) = (free_port()?, more.to_vec());
        for (name, value) in [
            ("LISTEN", format!("127.0.0.1:{port}")),
            ("DATABASE", url),
            ("MEDIA__LISTEN", "127.0.0.1:0".to_owned()),
            ("OPERATOR__EMAIL", operator.clone()),
            ("OPERATOR__PASSWORD", PASSWORD.to_owned()),
            ("LOG_FILTER", "warn".to_owned()),
        ] {
            environment.push((format!("HANAMICHI_{name}"), value));
        }
        let child = spawn(binary, &environment)?;
        let base = format!("http://127.0.0.1:{port}");
        let mut process = Self { child, base, operator, binary: binary.to_owned(), environment, _folder: folder };
        process.until_ready(http).await?;
        Ok(process)
    }

    async fn until_ready(&mut self, http: &reqwest::Client) -> anyhow::Result<()> {
        tokio::time::timeout(START_TIMEOUT, self.ready(http)).await.context("the server did not become ready")?
    }

    /// Ends the process without a word, as a power cut does.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().context("cannot kill the server")?;
        self.child.wait().context("the server is not gone")?;
        Ok(())
    }

    /// Starts it again after a kill: same address, same database.
    pub async fn restart(&mut self, http: &reqwest::Client) -> anyhow::Result<()> {
        self.child = spawn(&self.binary, &self.environment)?;
        self.until_ready(http).await
    }

    /// Has it ended?
    pub fn has_ended(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// What it was started with under this name.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The process, as the system calls it.
    pub fn pid(&self) -> u32 {
        self.child.id()
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
        rss_kib(self.child.id())
    }
}

fn spawn(binary: &Path, environment: &[(String, String)]) -> anyhow::Result<Child> {
    let mut command = Command::new(binary);
    command.arg("serve").envs(environment.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.spawn().with_context(|| format!("cannot run {}", binary.display()))
}

/// A port that nobody listens on.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).context("no free port")?.port())
}

/// Resident memory of a process; 0 where the system does not tell.
pub fn rss_kib(pid: u32) -> u64 {
    rss_of(&std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default())
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
