//! A Redis of a story's own, to be stopped, emptied and started again. It goes when it is dropped.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::harness::{Folder, PATIENCE, free_port, fresh_name};

pub struct RedisServer {
    child: Child,
    folder: Folder,
    port: u16,
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

impl RedisServer {
    pub async fn start() -> Self {
        let folder = Folder(std::env::temp_dir().join(fresh_name()));
        std::fs::create_dir_all(&folder.0).expect("a temporary folder");
        let port = free_port();
        let server = Self { child: spawn(&folder, port), folder, port };
        server.ready().await;
        server
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again with whatever is in its folder.
    pub async fn start_again(&mut self) {
        self.child = spawn(&self.folder, self.port);
        self.ready().await;
    }

    pub async fn empty(&self) {
        self.tell("FLUSHALL").await.expect("it is emptied");
    }

    /// Writes everything to its folder.
    pub async fn save(&self) {
        self.tell("SAVE").await.expect("it saves");
    }

    async fn tell(&self, command: &str) -> redis::RedisResult<()> {
        let client = redis::Client::open(self.url())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        redis::cmd(command).query_async(&mut connection).await
    }

    async fn ready(&self) {
        let asking = async {
            while self.tell("PING").await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.expect("Redis answers");
    }
}

fn spawn(folder: &Folder, port: u16) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"])
        .arg(&folder.0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed: run `make test`")
}
