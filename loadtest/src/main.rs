//! Root: command line of the load test, and its exit code.

mod books;
mod client;
mod flash;
mod live;
mod room;
mod server;
mod shop;
mod verdict;
mod viewer;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use serde_json::json;

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
    /// Not built in this version: reservations on one SKU against naive SQL.
    Stock(LaterArgs),
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

/// Options of a part that is not there: all are taken, none is used.
#[derive(Debug, Args)]
struct LaterArgs {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _options: Vec<String>,
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Live(args) => run_live(args),
        Command::Stock(_) => not_built("stock"),
        Command::Hub(_) => not_built("hub"),
        Command::Media(_) => not_built("media"),
        Command::Reports(_) => not_built("reports"),
    }
}

fn not_built(name: &str) -> ExitCode {
    eprintln!("loadtest: `{name}` is not built in this version; only `live` is");
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
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(live::run(&size)));
    let result = result.unwrap_or_else(
        |error| json!({ "verdict": "failed", "reasons": [format!("the run could not be finished: {error:#}")] }),
    );
    show(&if json { result.to_string() } else { verdict::as_table(&result) });
    if result["verdict"] == "ok" { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[expect(clippy::print_stdout, reason = "the result is what this program is run for")]
fn show(result: &str) {
    println!("{result}");
}
