//! Engine: where the run keeps its databases.
//!
//! Owns the run's folder, the cluster in it when there is one, and the making of fresh databases.
//! Invariant: every measurement has a database that nobody used before, and no leftovers of the one before it.

use std::{path::Path, str::FromStr, time::Duration};

use anyhow::{Context, ensure};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};

use super::cluster::Cluster;
use crate::{client::fresh_name, server::Folder};

/// Connections that are not the peers': ours, the product's, the server's reserve.
const OTHER_CONNECTIONS: i64 = 60;
/// How often the sequencer's connections are counted.
const COUNT_EVERY: Duration = Duration::from_millis(100);
/// Databases bear this name and a fresh ending.
const PREFIX: &str = "hanamichi_load";
/// A new database starts when the disk has rested.
const REST: Duration = Duration::from_millis(200);

/// Which database keeps the stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Engine {
    Postgres,
    Sqlite,
}

impl Engine {
    /// Its name, as in every result.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Sqlite => "sqlite",
        }
    }
}

/// The place of the whole run.
pub struct Ground {
    /// Dropped first: it has its files in the folder.
    _cluster: Option<Cluster>,
    /// A database of the PostgreSQL server, to make others from.
    postgres: Option<String>,
    folder: Folder,
}

impl Ground {
    /// Prepares what these engines need; a PostgreSQL server of our own when none is named.
    pub async fn prepare(engines: &[Engine], named: Option<&str>, peers: usize) -> anyhow::Result<Self> {
        let folder = Folder::fresh()?;
        let (cluster, postgres) = match (engines.contains(&Engine::Postgres), named) {
            (false, _) => (None, None),
            (true, Some(url)) => (None, Some(url.to_owned())),
            (true, None) => {
                let cluster = Cluster::start(folder.path()).await?;
                let url = cluster.url();
                (Some(cluster), Some(url))
            }
        };
        let ground = Self { _cluster: cluster, postgres, folder };
        if ground.postgres.is_some() {
            let mut connection = ground.connect().await?;
            let room: String = sqlx::query_scalar("SHOW max_connections").fetch_one(&mut connection).await?;
            let room: i64 = room.parse()?;
            ensure!(
                i64::try_from(peers)? + OTHER_CONNECTIONS <= room,
                "PostgreSQL allows {room} connections; {peers} peers need {}: ask for fewer with --naive-connections",
                i64::try_from(peers)? + OTHER_CONNECTIONS
            );
            connection.close().await?;
        }
        Ok(ground)
    }

    /// Where the files are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// An empty database.
    pub async fn fresh(&self, engine: Engine) -> anyhow::Result<Fresh> {
        let name = format!("{PREFIX}_{}", fresh_name());
        let url = match engine {
            Engine::Sqlite => format!("sqlite:{}", self.folder().join(format!("{name}.db")).display()),
            Engine::Postgres => {
                let mut connection = self.connect().await?;
                sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await?;
                // So that nobody pays for what an earlier one left in memory; not everybody may ask for it.
                let _ = sqlx::query("CHECKPOINT").execute(&mut connection).await;
                connection.close().await?;
                other_database(self.postgres()?, &name)?
            }
        };
        tokio::time::sleep(REST).await;
        Ok(Fresh { engine, url, name })
    }

    /// Throws a database away.
    pub async fn discard(&self, fresh: Fresh) -> anyhow::Result<()> {
        match fresh.engine {
            Engine::Sqlite => {
                for ending in ["db", "db-wal", "db-shm"] {
                    // What is not there need not go.
                    let _ = std::fs::remove_file(self.folder().join(format!("{}.{ending}", fresh.name)));
                }
            }
            Engine::Postgres => {
                let mut connection = self.connect().await?;
                let drop = format!("DROP DATABASE {} WITH (FORCE)", fresh.name);
                sqlx::query(AssertSqlSafe(drop)).execute(&mut connection).await?;
                connection.close().await?;
            }
        }
        Ok(())
    }

    /// Does something, and counts meanwhile how many connections the sequencer has at most; nothing on SQLite.
    pub async fn counting<T>(
        &self,
        fresh: &Fresh,
        doing: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<(T, Option<i64>)> {
        if fresh.engine == Engine::Sqlite {
            return Ok((doing.await?, None));
        }
        let mut connection = self.connect().await?;
        let mut most = 0;
        let counting = async {
            const COUNT: &str = "SELECT COUNT(*) FROM pg_stat_activity
                WHERE datname = $1 AND application_name = 'hanamichi-sequencer'";
            loop {
                let now: i64 = sqlx::query_scalar(COUNT).bind(&fresh.name).fetch_one(&mut connection).await?;
                most = most.max(now);
                tokio::time::sleep(COUNT_EVERY).await;
            }
        };
        let done = tokio::select! {
            done = doing => done,
            failed = counting => failed,
        };
        Ok((done?, Some(most)))
    }

    async fn connect(&self) -> anyhow::Result<PgConnection> {
        let options = PgConnectOptions::from_str(self.postgres()?)?;
        options.connect().await.context("PostgreSQL does not answer")
    }

    fn postgres(&self) -> anyhow::Result<&str> {
        self.postgres.as_deref().context("this run has no PostgreSQL")
    }
}

/// A database that nobody used before.
#[derive(Debug)]
pub struct Fresh {
    pub engine: Engine,
    pub url: String,
    name: String,
}

/// The same server's address with another database.
fn other_database(url: &str, name: &str) -> anyhow::Result<String> {
    let (scheme, rest) = url.split_once("://").context("an address has a scheme")?;
    let (path, query) = rest.split_once('?').map_or((rest, String::new()), |(path, query)| (path, format!("?{query}")));
    let server = path.split_once('/').map_or(path, |(server, _)| server);
    Ok(format!("{scheme}://{server}/{name}{query}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_everything_but_its_database() {
        let other = |url| other_database(url, "x").expect("an address");
        assert_eq!(other("postgres://a:b@host:5433/db?sslmode=disable"), "postgres://a:b@host:5433/x?sslmode=disable");
        assert_eq!(other("postgres://host"), "postgres://host/x");
        assert_eq!(other("postgres:///db?host=%2Ftmp"), "postgres:///x?host=%2Ftmp");
        assert!(other_database("host/db", "x").is_err());
    }
}
