//! Root: `hanamichi demo`: the server on the embedded default, with a Japanese demo.
//!
//! The goods, people and stock are seeded once ([`seed`]); everything that moves afterwards is done by real clients of
//! the public API over loopback ([`viewers`], [`host`]), labelled as demo. No figure is seeded.

mod client;
pub mod clip;
mod host;
pub mod liver;
mod pictures;
mod seed;
mod viewers;

use std::{future::Future, net::SocketAddr, path::Path};

use anyhow::Context;

use crate::{
    app::{App, Server},
    clock::Clock,
    config::{Config, Operator},
    http::{DemoAccount, DemoRole, DemoView},
};

/// Everybody's password in the demo.
pub const PASSWORD: &str = "hanamichi";

/// The demo's configuration: loopback, a database of its own, the sandbox.
///
/// # Errors
/// When the folder cannot be made.
pub fn config(mut config: Config, port: u16, data_dir: &Path) -> anyhow::Result<Config> {
    std::fs::create_dir_all(data_dir).with_context(|| format!("cannot make the folder {}", data_dir.display()))?;
    start_over_if_unfinished(data_dir)?;
    config.listen = SocketAddr::from(([127, 0, 0, 1], port));
    config.database = format!("sqlite:{}", data_dir.join("hanamichi.db").display());
    config.media.listen.set_port(0);
    config.tls = None;
    config.operator = Some(Operator { email: seed::OPERATOR.to_owned(), password: PASSWORD.to_owned() });
    if config.log_filter == Config::default().log_filter {
        // The demo's own lines are what a newcomer should see.
        "warn,str0m=error,webrtc=error,rtc=error,sqlx=warn".clone_into(&mut config.log_filter);
    }
    Ok(config)
}

/// Stands beside the database once it is filled to the end.
const FILLED: &str = "filled";

/// A demo that was stopped while it was being filled begins anew: half a shop helps nobody.
fn start_over_if_unfinished(data_dir: &Path) -> anyhow::Result<()> {
    let lock =
        std::fs::File::options().create(true).truncate(false).write(true).open(data_dir.join("hanamichi.db.lock"))?;
    // Whoever holds it is filling right now; the start of the server will say so.
    if data_dir.join(FILLED).exists() || lock.try_lock().is_err() {
        return Ok(());
    }
    for name in ["hanamichi.db", "hanamichi.db-wal", "hanamichi.db-shm"] {
        match std::fs::remove_file(data_dir.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove the unfinished {name}"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Starts the server, fills it when it is empty, goes live, and prints where to look; runs until `stopped`.
///
/// # Errors
/// When the server cannot start or the demo cannot be filled.
pub async fn run(config: Config, data_dir: &Path, stopped: impl Future<Output = ()>) -> anyhow::Result<()> {
    tokio::pin!(stopped);
    say("starting the server (SQLite, in-process bus, sandbox payments) …");
    let server = Server::start(config, Clock::system()).await?;
    tokio::select! {
        opened = open(&server, data_dir) => {
            opened?;
            (&mut stopped).await;
        }
        () = &mut stopped => {}
    }
    say("stopping …");
    server.stop().await;
    say("stopped; `make demo` goes on where it was, `make demo-reset` starts anew");
    Ok(())
}

/// Fills it, goes live, lets the viewers in.
async fn open(server: &Server, data_dir: &Path) -> anyhow::Result<()> {
    let app = &server.app;
    let house = seed::fill(app, say).await.context("cannot fill the demo")?;
    std::fs::write(data_dir.join(FILLED), "").context("cannot write into the data folder")?;
    app.set_demo(DemoView { accounts: accounts(&house), live_id: None, brand_id: Some(house.brands[0].id.clone()) });
    say("going live …");
    let base = server.loopback_url();
    let show = host::Show::open(&base).await.context("the demo liver cannot go live")?;
    app.set_demo(DemoView {
        accounts: accounts(&house),
        live_id: Some(show.live().clone()),
        brand_id: Some(house.brands[0].id.clone()),
    });
    show.start(&app.tasks);
    viewers::start(&base, show.live(), &app.tasks);
    announce(app, &server.url(), &house, show.live());
    Ok(())
}

fn accounts(house: &seed::House) -> Vec<DemoAccount> {
    let account = |role, email: &str, name: &str| DemoAccount {
        role,
        email: email.to_owned(),
        password: PASSWORD.to_owned(),
        display_name: name.to_owned(),
    };
    vec![
        account(DemoRole::Viewer, seed::VIEWERS[0].0, seed::VIEWERS[0].1),
        account(DemoRole::Liver, seed::LIVER.0, seed::LIVER.1),
        account(DemoRole::Brand, seed::BRAND_MEMBERS[0], &house.brands[0].name),
        account(DemoRole::Operator, seed::OPERATOR, "Operator"),
    ]
}

/// Progress for the person who waits.
#[expect(clippy::print_stderr, reason = "the demo talks to the person who started it")]
fn say(text: &str) {
    eprintln!("  {text}");
}

#[expect(clippy::print_stdout, reason = "the demo prints where to look, one address a line")]
fn announce(app: &App, url: &str, house: &seed::House, live: &crate::ids::LiveId) {
    println!();
    println!("watch  {url}/watch/{live}");
    println!("studio {url}/studio");
    println!("brand  {url}/brand/{}", house.brands[0].id);
    println!();
    println!("demo accounts (password of all: {PASSWORD})");
    for account in app.demo_view().map(|view| view.accounts).unwrap_or_default() {
        println!(
            "  {:<9} {:<24} {}",
            format!("{:?}", account.role).to_lowercase(),
            account.email,
            account.display_name
        );
    }
    println!();
    println!("API reference {url}/docs   Ctrl-C stops");
}
