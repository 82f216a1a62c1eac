//! A PostgreSQL cluster of a story's own, to be broken. It goes when it is dropped.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::harness::{Folder, free_port, fresh_name};

/// Where distributions keep the server's programs, one folder a version.
const INSTALLED: &str = "/usr/lib/postgresql";
/// Whom it runs as when we are root, which it refuses to be.
const USER: &str = "postgres";

pub struct Cluster {
    programs: PathBuf,
    folder: Folder,
    port: u16,
    root: bool,
}

impl Cluster {
    pub fn start() -> Self {
        let folder = Folder(std::env::temp_dir().join(fresh_name()));
        fs::create_dir(&folder.0).expect("a temporary folder");
        let root = said(Command::new("id").arg("-u")) == "0";
        if root {
            run(Command::new("chown").arg(format!("{USER}:")).arg(&folder.0));
        }
        let cluster = Self { programs: programs(), folder, port: free_port(), root };
        run(cluster
            .program("initdb")
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(cluster.data()));
        let settings = format!(
            "port = {}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\nmax_connections = 100\n",
            cluster.port
        );
        fs::write(cluster.data().join("postgresql.auto.conf"), settings).expect("the cluster's settings");
        run(&mut cluster.control(&["start"]));
        cluster
    }

    /// `immediate` is a crash: it recovers from its log. `fast` says goodbye to whoever is connected.
    pub async fn restart(&self, mode: &'static str) {
        let mut restart = self.control(&["restart", "-m", mode]);
        tokio::task::spawn_blocking(move || run(&mut restart)).await.expect("it restarts");
    }

    pub fn url(&self) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/postgres", self.port)
    }

    fn data(&self) -> PathBuf {
        self.folder.0.join("data")
    }

    fn control(&self, what: &[&str]) -> Command {
        let mut command = self.program("pg_ctl");
        command.args(what).args(["--wait", "--timeout=60", "-D"]).arg(self.data());
        command.arg("-l").arg(self.folder.0.join("log"));
        command
    }

    fn program(&self, name: &str) -> Command {
        let path = self.programs.join(name);
        let mut command = if self.root {
            let mut command = Command::new("runuser");
            command.args(["-u", USER, "--"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        command.current_dir(&self.folder.0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.control(&["stop", "-m", "immediate"]).status();
    }
}

fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}

fn said(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

/// Of the newest version.
fn programs() -> PathBuf {
    let version = |path: &Path| path.file_name().and_then(OsStr::to_str).and_then(|name| name.parse::<u32>().ok());
    let installed = fs::read_dir(INSTALLED).into_iter().flatten().flatten().map(|entry| entry.path());
    let newest = installed.filter(|path| path.join("bin/initdb").is_file()).max_by_key(|path| version(path));
    newest.expect("PostgreSQL is installed: run the stories with `make test`").join("bin")
}
