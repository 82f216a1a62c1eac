//! Root: command line of the load test, and its exit code.

mod books;
mod client;
mod flash;
mod live;
mod room;
mod server;
mod shop;
mod stock;
mod verdict;
mod viewer;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit code of a part that is not there, as for a wrong command line.
const NOT_BUILT: u8 = 2;

/// Puts a server under load, and checks that it stays correct.
///
/// Progress goes to standard error. Exit code 0: correct; 1: not correct, or the run could not be finished; 2: wrong
/// command line, or a part that this version does not have.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A whole live: a full room with chat and pins, and a flash sale in the middle.
    ///
    /// Starts the server as its own process, opens a shop by the public API, fills the room (half the viewers speak
    /// JSON, half protobuf; some cut their connection and resume), lets all buyers tap in the same moment (some tap
    /// twice), and compares the books and every viewer's picture with the truth. Viewers are on the hub only: media
    /// (WHIP and WHEP) is not part of this smoke size.
    Live(LiveArgs),
    /// Durable purchases of one SKU against naive SQL.
    ///
    /// Sets up a PostgreSQL cluster of its own and SQLite files, and measures by turns: what the disk can flush; shops
    /// that give every purchase a transaction; the sequencer in this process, under buyers who tap again at once, under
    /// arrivals at half that rate, and in a sell-out; whole purchases through the server's HTTP and hub doors, paid in
    /// the sandbox. After each, the books are compared with what buyers were told. Speed never fails the run.
    Stock(StockArgs),
    /// Not built in this version: the cost of one delivery against a bare socket.
    Hub(LaterArgs),
    /// Not built in this version: the cost of one forwarded packet against a bare socket.
    Media(LaterArgs),
    /// Not built in this version: a brand's month against a plain SQL sum.
    Reports(LaterArgs),
}

#[derive(Debug, Args)]
struct LiveArgs {
    /// Viewers on the hub; the first of them are the buyers, so there are at least as many viewers as buyers.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    viewers: u32,
    /// Customers who tap at once.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    buyers: u32,
    /// Units on the shelf.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    units: u32,
    /// How long the live goes on.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// `sqlite` (a throw-away file) or a database's address, `postgres://…`; the run leaves its rows in the latter.
    #[arg(long, visible_alias = "database", default_value = "sqlite", value_parser = server::Database::parse)]
    engine: server::Database,
    /// The server's binary; `hanamichi` beside this program when absent.
    #[arg(long)]
    server: Option<PathBuf>,
    /// One JSON object as the last line of standard output, instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct StockArgs {
    /// Buyers at the sequencer at once, one measurement each.
    #[arg(long, value_delimiter = ',', default_value = "256,2000,10000", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    buyers: Vec<u32>,
    /// How long each measurement lasts, after a second of warm-up.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// How often everything is measured; the run in the middle counts.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Which databases.
    #[arg(long, default_value = "both")]
    engine: Engines,
    /// Connections of the naive shops, one measurement each and design.
    #[arg(long, value_delimiter = ',', default_value = "1,8,64,256", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    naive_connections: Vec<u32>,
    /// Buyers at the server's doors.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    http_buyers: u32,
    /// Measures no whole purchases; needs no server.
    #[arg(long)]
    no_http: bool,
    /// The server's binary; `hanamichi` beside this program when absent.
    #[arg(long)]
    server: Option<PathBuf>,
    /// A PostgreSQL server to make databases in, `postgres://…`, instead of a cluster of our own.
    #[arg(long)]
    postgres: Option<String>,
    /// One JSON object as the last line of standard output, instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Engines {
    Both,
    Sqlite,
    Postgres,
}

/// Options of a part that is not there: all are taken, none is used.
#[derive(Debug, Args)]
struct LaterArgs {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _options: Vec<String>,
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Live(args) => run_live(args),
        Command::Stock(args) => run_stock(args),
        Command::Hub(_) => not_built("hub"),
        Command::Media(_) => not_built("media"),
        Command::Reports(_) => not_built("reports"),
    }
}

fn not_built(name: &str) -> ExitCode {
    eprintln!("loadtest: `{name}` is not built in this version; `live` and `stock` are");
    ExitCode::from(NOT_BUILT)
}

fn run_live(args: LiveArgs) -> ExitCode {
    let json = args.json;
    let size = live::Size {
        viewers: args.viewers.max(args.buyers) as usize,
        buyers: args.buyers as usize,
        units: i64::from(args.units),
        seconds: args.seconds,
        database: args.engine,
        server: args.server,
    };
    let result = finish(live::run(&size)).unwrap_or_else(|error| unfinished(&error));
    show(&if json { result.to_string() } else { verdict::as_table(&result) });
    if result["verdict"] == "ok" { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run_stock(args: StockArgs) -> ExitCode {
    use stock::Engine::{Postgres, Sqlite};
    let counts = |counts: Vec<u32>| counts.into_iter().map(|count| count as usize).collect();
    let size = stock::Size {
        buyers: counts(args.buyers),
        length: Duration::from_secs(args.seconds),
        rounds: args.rounds as usize,
        engines: match args.engine {
            Engines::Both => vec![Postgres, Sqlite],
            Engines::Sqlite => vec![Sqlite],
            Engines::Postgres => vec![Postgres],
        },
        naive_connections: counts(args.naive_connections),
        http_buyers: (!args.no_http).then_some(args.http_buyers as usize),
        server: args.server,
        postgres: args.postgres,
    };
    let (result, table) = match finish(stock::run(&size)) {
        Ok(results) => (stock::as_json(&results), stock::as_table(&results)),
        Err(error) => {
            let result = unfinished(&error);
            let table = verdict::as_table(&result);
            (result, table)
        }
    };
    show(&if args.json { result.to_string() } else { table });
    if result["verdict"] == "ok" { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs to the end, or until somebody stops it: then everything that was started goes, too.
fn finish<T>(run: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        tokio::select! {
            result = run => result,
            _ = interrupt.recv() => Err(anyhow::anyhow!("interrupted")),
            _ = terminate.recv() => Err(anyhow::anyhow!("told to stop")),
        }
    })
}

fn unfinished(error: &anyhow::Error) -> Value {
    json!({ "verdict": "failed", "reasons": [format!("the run could not be finished: {error:#}")] })
}

#[expect(clippy::print_stdout, reason = "the result is what this program is run for")]
fn show(result: &str) {
    println!("{result}");
}
