//! Root: the demo.

use std::{future::Future, path::Path};

use crate::config::Config;

/// The demo's configuration.
///
/// # Errors
/// When the folder cannot be made.
pub fn config(mut config: Config, port: u16, data_dir: &Path) -> anyhow::Result<Config> {
    std::fs::create_dir_all(data_dir)?;
    config.listen = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    config.database = format!("sqlite:{}", data_dir.join("hanamichi.db").display());
    Ok(config)
}

/// Runs.
///
/// # Errors
/// When it cannot start.
pub async fn run(config: Config, stopped: impl Future<Output = ()>) -> anyhow::Result<()> {
    let server = crate::app::Server::start(config, crate::clock::Clock::system()).await?;
    stopped.await;
    server.stop().await;
    Ok(())
}
