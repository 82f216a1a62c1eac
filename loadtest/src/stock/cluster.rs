//! Engine: a PostgreSQL cluster of our own, as durable as PostgreSQL is by default.
//!
//! Owns the server's process and its files; speaks on a Unix socket in the run's folder only.
//! Invariant: process and files go when [`Cluster`] is dropped.

use std::{
    fs::{self, File},
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};

/// Connections that the cluster allows: the naive peers take up to 256 of them, the product a few dozen.
const MAX_CONNECTIONS: u32 = 400;
/// Where distributions keep the server's programs, one folder a version.
const INSTALLED: &str = "/usr/lib/postgresql";
/// The cluster is up within this.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How often we look.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A Unix socket's path has room for so many bytes.
const MAX_SOCKET_PATH: usize = 107;
/// The socket's name in its folder, and the port in it.
const SOCKET: &str = ".s.PGSQL.5432";
const PORT: &str = "5432";

/// A running cluster.
pub struct Cluster {
    postgres: Child,
    programs: PathBuf,
    /// Files of the cluster, its socket among them.
    files: PathBuf,
    user: Option<User>,
}

/// Whom the server runs as when we are root, which it refuses to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct User {
    id: u32,
    group: u32,
}

impl Cluster {
    /// Makes a cluster in this folder and starts it.
    pub async fn start(folder: &Path) -> anyhow::Result<Self> {
        let programs = find_programs()?;
        let files = folder.join("postgres");
        ensure!(
            files.join(SOCKET).as_os_str().len() <= MAX_SOCKET_PATH,
            "{} is too long for a socket: set TMPDIR to a shorter folder",
            files.display()
        );
        fs::create_dir(&files).context("cannot make a folder for PostgreSQL")?;
        fs::set_permissions(&files, fs::Permissions::from_mode(0o700))?;
        let user = who_runs_it()?;
        if let Some(user) = user {
            chown(&files, Some(user.id), Some(user.group)).context("cannot give the folder to PostgreSQL's user")?;
            // That user passes through, to its own folder.
            fs::set_permissions(folder, fs::Permissions::from_mode(0o711))?;
        }
        let made = program(&programs, "initdb", &files, user)
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(files.join("data"))
            .output()
            .context("cannot run initdb")?;
        ensure!(made.status.success(), "initdb failed: {}", String::from_utf8_lossy(&made.stderr).trim());
        let log = File::create(folder.join("postgres.log"))?;
        let postgres = program(&programs, "postgres", &files, user)
            .arg("-D")
            .arg(files.join("data"))
            .arg("-k")
            .arg(&files)
            .args(["-p", PORT, "-c", "listen_addresses=", "-c", &format!("max_connections={MAX_CONNECTIONS}")])
            // An interrupt of the terminal is for us; we stop it when we go.
            .process_group(0)
            .stderr(log)
            .spawn()
            .context("cannot run postgres")?;
        let mut cluster = Self { postgres, programs, files, user };
        cluster.is_up(folder).await?;
        Ok(cluster)
    }

    async fn is_up(&mut self, folder: &Path) -> anyhow::Result<()> {
        let by = Instant::now() + START_TIMEOUT;
        while !self.answers()? {
            let stopped = self.postgres.try_wait()?;
            if stopped.is_some() || Instant::now() > by {
                let log = fs::read_to_string(folder.join("postgres.log")).unwrap_or_default();
                bail!("PostgreSQL did not start: {}", log.lines().last().unwrap_or("it said nothing"));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    fn answers(&self) -> anyhow::Result<bool> {
        let asked = program(&self.programs, "pg_isready", &self.files, None)
            .args(["--quiet", "-p", PORT, "-h"])
            .arg(&self.files)
            .status()
            .context("cannot run pg_isready")?;
        Ok(asked.success())
    }

    /// The address of its first database.
    pub fn url(&self) -> String {
        let host = self.files.display().to_string().replace('%', "%25").replace('/', "%2F").replace(' ', "%20");
        format!("postgres:///postgres?host={host}&port={PORT}&user=postgres")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let stopped = program(&self.programs, "pg_ctl", &self.files, self.user)
            .args(["stop", "--silent", "--mode=immediate", "-D"])
            .arg(self.files.join("data"))
            .status();
        if !stopped.is_ok_and(|status| status.success()) {
            let _ = self.postgres.kill();
        }
        let _ = self.postgres.wait();
        let _ = fs::remove_dir_all(&self.files);
    }
}

fn program(programs: &Path, name: &str, folder: &Path, user: Option<User>) -> Command {
    let mut command = Command::new(programs.join(name));
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null());
    if let Some(user) = user {
        command.uid(user.id).gid(user.group);
    }
    command
}

/// The newest installed version, or the one that `pg_config` names.
fn find_programs() -> anyhow::Result<PathBuf> {
    let installed = fs::read_dir(INSTALLED).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    if let Some(newest) = newest_of(installed.filter(|path| path.join("bin/initdb").is_file())) {
        return Ok(newest.join("bin"));
    }
    let named = Command::new("pg_config").arg("--bindir").output().ok();
    let named = named.and_then(|output| String::from_utf8(output.stdout).ok()).map(|text| PathBuf::from(text.trim()));
    named.filter(|folder| folder.join("initdb").is_file()).context(
        "PostgreSQL's server is not installed: install it (`apt-get install postgresql`), name a server with \
         `--postgres URL`, or measure `--engine sqlite` alone",
    )
}

fn newest_of(folders: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    let version = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    folders.filter(|path| version(path).is_some()).max_by_key(version)
}

/// Nobody else unless we are root; then PostgreSQL's own user.
fn who_runs_it() -> anyhow::Result<Option<User>> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if !is_root(&status) {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").context("cannot read who there is")?;
    let user = user_of(&users, "postgres").or_else(|| user_of(&users, "nobody"));
    Ok(Some(user.context("PostgreSQL does not run as root, and there is no user `postgres`")?))
}

fn is_root(status: &str) -> bool {
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    ids.and_then(|ids| ids.split_whitespace().nth(1)) == Some("0")
}

fn user_of(users: &str, name: &str) -> Option<User> {
    let mut fields =
        users.lines().map(|line| line.split(':')).find_map(|mut f| (f.next() == Some(name)).then_some(f))?;
    let id = fields.nth(1)?.parse().ok()?;
    Some(User { id, group: fields.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_a_number() {
        let folders = ["/p/9", "/p/15", "/p/latest"].into_iter().map(PathBuf::from);
        assert_eq!(newest_of(folders), Some(PathBuf::from("/p/15")));
        assert_eq!(newest_of(std::iter::empty()), None);
    }

    #[test]
    fn root_is_told_by_the_effective_id() {
        assert!(is_root("Name:\tx\nUid:\t1000\t0\t0\t0\n"));
        assert!(!is_root("Uid:\t0\t1000\t0\t0\n") && !is_root(""));
    }

    #[test]
    fn a_user_is_read_from_its_line() {
        let users = "root:x:0:0:root:/root:/bin/sh\npostgres:x:105:113::/var/lib/postgresql:/bin/bash\n";
        assert_eq!(user_of(users, "postgres"), Some(User { id: 105, group: 113 }));
        assert_eq!(user_of(users, "post"), None);
    }
}
