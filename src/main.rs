//! Root: command line, configuration, tracing, run.

#![expect(clippy::print_stdout, reason = "the command line answers on standard output")]

use std::{future::Future, io::IsTerminal, path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Parser, Subcommand};
use hanamichi::{
    app::Server,
    clock::Clock,
    commerce::Reconciler,
    config::{Config, LogFormat},
    ids::{BrandId, OrderLineId},
    store::{Db, StoreError},
    tasks::Tasks,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Live-commerce streaming backend with in-stream checkout.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    /// Configuration file (TOML); `HANAMICHI_…` variables override it.
    #[arg(long, global = true, env = "HANAMICHI_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve,
    /// Run the server with a Japanese demo: brands, livers, a live that is on, viewers that buy.
    Demo {
        /// HTTP port on this machine.
        #[arg(long, env = "HANAMICHI_PORT", default_value_t = 8080)]
        port: u16,
        /// Where the demo keeps its database.
        #[arg(long, env = "HANAMICHI_DATA_DIR", default_value = "demo-data")]
        data_dir: PathBuf,
    },
    /// Bring the database up to date and stop.
    Migrate,
    /// Check the books, online: every unit explained, every promise backed, every order with stock, money and credit.
    /// Exits with 1 when something is wrong.
    Verify {
        /// One JSON object instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Read the provider's books, compare them with ours and tell what is open. Exits with 1 when something is.
    Reconcile {
        /// One JSON object instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Whose a sale is, and why.
    Attribution {
        #[command(subcommand)]
        about: AttributionCommand,
    },
    /// What reports are read from: who of a brand's own tools may read them in the database (PostgreSQL), and the sums.
    Reporting {
        #[command(subcommand)]
        about: ReportingCommand,
    },
    /// Print the OpenAPI 3.1 description.
    Openapi,
    /// Check the configuration, print it without secrets, and stop.
    CheckConfig,
}

#[derive(Debug, Subcommand)]
enum ReportingCommand {
    /// Let a role of the database read a brand's views (schema `reporting`).
    Allow {
        /// The role, which exists already.
        role: String,
        /// The brand (`brd_…`).
        brand: String,
    },
    /// Let it read them no longer.
    Deny {
        /// The role.
        role: String,
        /// The brand (`brd_…`).
        brand: String,
    },
    /// Throw the kept sums away and make them again from the credits, while servers run; reports stay exact meanwhile.
    Rebuild,
}

#[derive(Debug, Subcommand)]
enum AttributionCommand {
    /// Tell in words why a sold line is whose.
    Explain {
        /// The line's id (`lin_…`), as reports and exports name it.
        order_line: String,
        /// One JSON object instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Decide every credited line again from touches, terms and orders; exits with 1 when one comes to something else.
    Recompute,
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = runtime.context("cannot start the runtime").and_then(|runtime| runtime.block_on(run(Cli::parse())));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hanamichi: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Serve => {
            let config = Config::load(cli.config.as_deref())?;
            start_tracing(&config);
            let stopped = until_stopped();
            let server = Server::start(config, Clock::system()).await?;
            println!("hanamichi {}", server.url());
            stopped.await;
            server.stop().await;
        }
        Command::Demo { port, data_dir } => {
            let stopped = until_stopped();
            let config = hanamichi::demo::config(Config::load(cli.config.as_deref())?, port, &data_dir)?;
            start_tracing(&config);
            hanamichi::demo::run(config, &data_dir, stopped).await?;
        }
        Command::Migrate => {
            let config = Config::load(cli.config.as_deref())?;
            let db = Db::connect(&config.database).await.context("cannot open the database")?;
            db.migrate().await?;
            db.close().await;
            println!("the database is up to date");
        }
        Command::Verify { json } => {
            let config = Config::load(cli.config.as_deref())?;
            let db = Db::connect(&config.database).await.context("cannot open the database")?;
            let report = hanamichi::verify::run(&db, Clock::system().now()).await.context("cannot check the books")?;
            db.close().await;
            if json {
                println!("{}", serde_json::to_string(&report)?);
            } else {
                print!("{}", report.to_text());
            }
            anyhow::ensure!(report.is_clean(), "the books are faulty");
        }
        Command::Reconcile { json } => {
            let config = Config::load(cli.config.as_deref())?;
            let db = Db::connect(&config.database).await.context("cannot open the database")?;
            let (tasks, clock) = (Tasks::new(), Clock::system());
            let payment = hanamichi::app::payment(&config, &db, &clock, &tasks)?;
            let report = Reconciler::new(db.clone(), clock, payment).run().await.context("cannot compare the books")?;
            tasks.stop().await;
            db.close().await;
            if json {
                println!("{}", serde_json::to_string(&report)?);
            } else {
                print!("{}", report.to_text());
            }
            anyhow::ensure!(report.open == 0, "the provider's books and ours do not agree");
        }
        Command::Attribution { about } => {
            let config = Config::load(cli.config.as_deref())?;
            let db = Db::connect(&config.database).await.context("cannot open the database")?;
            let told = attribution(&db, about).await;
            db.close().await;
            told?;
        }
        Command::Reporting { about } => {
            let config = Config::load(cli.config.as_deref())?;
            let db = Db::connect(&config.database).await.context("cannot open the database")?;
            let done = match &about {
                ReportingCommand::Allow { role, brand } => {
                    db.let_read(role, &brand_id(brand)?, Clock::system().now()).await
                }
                ReportingCommand::Deny { role, brand } => {
                    db.let_read_no_longer(role, &brand_id(brand)?, Clock::system().now()).await
                }
                ReportingCommand::Rebuild => rebuild(&db).await.map_err(Into::into),
            };
            db.close().await;
            done?;
        }
        Command::Openapi => print!("{}", hanamichi::http::openapi()),
        Command::CheckConfig => {
            let config = Config::load(cli.config.as_deref())?;
            println!("{:#?}\nthe configuration is valid", config.without_secrets());
        }
    }
    Ok(())
}

async fn rebuild(db: &Db) -> Result<(), StoreError> {
    hanamichi::attribution::requeue(db).await?;
    let summed = hanamichi::attribution::fold_all(db).await?;
    println!("{summed} sales and returns are summed");
    Ok(())
}

fn brand_id(text: &str) -> anyhow::Result<BrandId> {
    BrandId::parse(text).context("the id of a brand looks like brd_…")
}

async fn attribution(db: &Db, about: AttributionCommand) -> anyhow::Result<()> {
    match about {
        AttributionCommand::Explain { order_line, json } => {
            let line = OrderLineId::parse(&order_line).context("the id of a sold line looks like lin_…")?;
            let found = hanamichi::attribution::explanation(db, &line).await?;
            let found = found.with_context(|| format!("nobody is credited with {line}"))?;
            if json {
                println!("{}", serde_json::to_string(&found)?);
            } else {
                print!("{}", found.to_text());
            }
        }
        AttributionCommand::Recompute => {
            let mut tx = db.read("recompute credits").await?;
            let found = hanamichi::attribution::recompute(&mut tx, usize::MAX).await?;
            for (line, expected, stored) in &found.faults {
                println!("{line}: commission by the rule {expected}, stored {stored}");
            }
            println!("{} credited lines decided again, {} differ", found.lines, found.faults.len());
            anyhow::ensure!(found.faults.is_empty(), "credits are not what their rules make");
        }
    }
    Ok(())
}

fn start_tracing(config: &Config) {
    let filter = tracing_subscriber::EnvFilter::new(&config.log_filter);
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let lines = lines.with_ansi(std::io::stderr().is_terminal());
    match config.log_format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
}

/// Ctrl-C, or the service manager's word. Listens from the call on, not only once it is waited for.
fn until_stopped() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let heard = signal(SignalKind::interrupt()).and_then(|interrupt| Ok((interrupt, signal(SignalKind::terminate())?)));
    async move {
        match heard {
            Ok((mut interrupt, mut terminate)) => tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            },
            // Without handlers the signals end the process by themselves.
            Err(_) => std::future::pending().await,
        }
    }
}
