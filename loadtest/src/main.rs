//! Root: command line of the load test, and its exit code.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use loadtest::{chaos, client, hub, live, media, reports, server, stock, verdict};
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    /// The hub's cost of one delivery against a bare socket, and its truth under a storm.
    ///
    /// In each round the server, a bare epoll-and-write hub, the same with a 50 ms tick, and nginx with nchan (when it
    /// is installed) get the same viewers, payloads and events: 10 a second, where each is a frame of its own, and 50 a
    /// second, where batching pays. CPU is the scheduler's count of the server's processes, everything included; ratios
    /// are taken within a round. Then a big room lives with 50 ordered events (pins over HTTP) and 200 lines of chat a
    /// second (190 by the liver over several connections, 10 by customers: none may be thinned), and everybody is cut at
    /// once and comes back. Every viewer's ordered events are checked by number and content, a sample's whole picture
    /// against a newcomer's. Speed never fails the run. Best run with as many open files as viewers and 300 more.
    Hub(HubArgs),
    /// Hours of scripted chaos: is everybody told the truth, whatever breaks?
    ///
    /// Episode after episode viewers of both codecs are cut, stop reading, leave connections lying about, read two
    /// kilobytes a second, or come back all at once, and the server is killed and started again on its database, while
    /// the liver pins and answers and buyers buy. At no time may an ordered event be lost, repeated or out of order
    /// within its epoch, or a version go back; after every episode everybody must have within five seconds what a
    /// newcomer is shown and REST tells. One seed repeats the script. Fails on any fault.
    Chaos(ChaosArgs),
    /// The least that a hub can do: a peer of `hub`, which starts it.
    #[command(hide = true)]
    BareHub(hub::BareArgs),
    /// The cost of one forwarded media packet against a loop that only seals and sends, and against Janus.
    ///
    /// In each round the server, a bare loop (AES-128-GCM, 64 packets a system call), the same with a frame's packets as
    /// one message (GSO), and Janus with two event loops (when it is installed) send the same stream to the same viewers:
    /// H.264 at 180 packets of 1,100 bytes a second and sound at 50, one UDP socket a viewer. CPU is the scheduler's count
    /// of the whole process; ratios are taken within a round. The publisher comes by WHIP, viewers by WHEP, 40 a second,
    /// and speak with a stack that is not the server's. All watch sequence and time of every packet, report and ask for
    /// what is missing; four open every packet, look at each byte and its age, and now and then ask for a packet again.
    /// Speed never fails the run; packets that are lost, repeated or damaged do.
    Media(MediaArgs),
    /// A live for hours, whose viewers come and go and whose publisher is killed and comes back.
    ///
    /// Every half second somebody leaves (by turns with DELETE, or without a word) and somebody comes; the publisher dies
    /// at intervals and is back after one second, or after eight. All watch sequence and time of every packet and look at
    /// its bytes. The server's memory is taken every five seconds; its slope is told, and growth after the first half
    /// fails the run, as do packets that are lost, repeated or damaged, viewers without a picture, and sessions that
    /// are still there 40 seconds after their viewer has vanished.
    Soak(SoakArgs),
    /// The least that a forwarder can do: a peer of `media`, which starts it.
    #[command(hide = true)]
    BareMedia(media::BareArgs),
    /// A brand's month, by live and product, and a live by the minute, against a plain SQL sum over the ledger; and files.
    ///
    /// A year of credited lines is written by SQL, and its sums are made. Then kept and plain sums are asked for by turns,
    /// and each pair of answers is compared: what differs fails the run. Then sales are written one by one with and without
    /// what keeping the sums costs them. At last the server, as its own process, makes files of a tenth of the lines: time,
    /// memory above idle, and whether they come to what the report says.
    Reports(ReportsArgs),
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

#[derive(Debug, Args)]
struct HubArgs {
    /// Viewers of the room in which deliveries are measured.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    viewers: u32,
    /// How often everything is measured; medians count.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// How long each measurement lasts, after a second of warm-up.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// Viewers of the big room.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    big_viewers: u32,
    /// What viewers speak; with `both` every second one speaks JSON.
    #[arg(long, default_value = "both")]
    codec: Codecs,
    /// Threads that the viewers live on.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    client_threads: u32,
    /// Leaves nginx with nchan out.
    #[arg(long)]
    no_nchan: bool,
    /// Leaves the bare hubs out.
    #[arg(long)]
    no_bare: bool,
    /// Leaves the storm out.
    #[arg(long)]
    no_storm: bool,
    /// Leaves the big room out, and with it the storm.
    #[arg(long)]
    no_big: bool,
    /// `sqlite` (a throw-away file) or a database's address, `postgres://…`; the run leaves its rows in the latter.
    #[arg(long, default_value = "sqlite", value_parser = server::Database::parse)]
    database: server::Database,
    /// The server's binary; `hanamichi` beside this program when absent.
    #[arg(long)]
    server: Option<PathBuf>,
    /// One JSON object as the last line of standard output, instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct MediaArgs {
    /// Who watches.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_500))]
    viewers: u32,
    /// How often everything is measured; medians count.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// How long each measurement lasts, after everybody has joined and a second of warm-up.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// Milliseconds from the first packet of a frame to its last: 0 as OBS sends, about 12 as a browser paces.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=30))]
    spread_ms: u64,
    /// Sends everything so many times more rarely, for machines and builds that are slow; compares with nobody then.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=60))]
    slowed_by: u32,
    /// Viewers who come in a second.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    joins_per_s: u32,
    /// Leaves Janus out.
    #[arg(long)]
    no_janus: bool,
    /// Leaves the bare loops out.
    #[arg(long)]
    no_bare: bool,
    /// The server's binary; `hanamichi` beside this program when absent.
    #[arg(long)]
    server: Option<PathBuf>,
    /// One JSON object as the last line of standard output, instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct SoakArgs {
    /// How long it goes on.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=10_080))]
    minutes: u64,
    /// The same in seconds.
    #[arg(long, conflicts_with = "minutes", value_parser = clap::value_parser!(u64).range(1..=604_800))]
    seconds: Option<u64>,
    /// Who watches at a time.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    viewers: u32,
    /// Seconds that a publisher lives.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    publisher_seconds: u64,
    /// Of so many viewers that leave one vanishes without a word; 0: none does.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(0..=1_000))]
    vanish_every: u64,
    /// The server's binary; `hanamichi` beside this program when absent.
    #[arg(long)]
    server: Option<PathBuf>,
    /// One JSON object as the last line of standard output, instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ChaosArgs {
    /// How long it goes on; the episode under way is finished.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    seconds: u64,
    /// Of the script; another one each time when absent.
    #[arg(long)]
    seed: Option<u64>,
    /// Who watches.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    viewers: u32,
    /// Who buys and asks.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=200))]
    buyers: u32,
    /// Several share a PostgreSQL database and a Redis.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=8))]
    nodes: u32,
    /// The Redis of several nodes, `redis://…`; one of our own when absent.
    #[arg(long)]
    redis: Option<String>,
    /// `sqlite` (a throw-away file; of several nodes a PostgreSQL cluster) or a database's address.
    #[arg(long, default_value = "sqlite", value_parser = server::Database::parse)]
    database: server::Database,
    /// The server's binary; `hanamichi` beside this program when absent.
    #[arg(long)]
    server: Option<PathBuf>,
    /// One JSON object as the last line of standard output, instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Codecs {
    Both,
    Json,
    Proto,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Engines {
    Both,
    Sqlite,
    Postgres,
}

#[derive(Debug, Args)]
struct ReportsArgs {
    /// Lines of the ledger's year.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1_000..=100_000_000))]
    lines: u32,
    /// Brands that share them.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    brands: u32,
    /// How often everything is measured.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Which databases.
    #[arg(long, value_enum, default_value_t = Engines::Both)]
    engine: Engines,
    /// A PostgreSQL server, `postgres://…`, in which databases are made and thrown away; one of our own when absent.
    #[arg(long)]
    postgres: Option<String>,
    /// The server's binary; `hanamichi` beside this program when absent.
    #[arg(long)]
    server: Option<PathBuf>,
    /// One JSON object as the last line of standard output, instead of a table.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Live(args) => run_live(args),
        Command::Stock(args) => run_stock(args),
        Command::Hub(args) => run_hub(args),
        Command::Chaos(args) => run_chaos(args),
        Command::Media(args) => run_media(args),
        Command::Soak(args) => run_soak(args),
        Command::BareHub(args) => endless("hub", hub::run_bare(&args)),
        Command::BareMedia(args) => endless("forwarder", media::run_bare(&args)),
        Command::Reports(args) => run_reports(args),
    }
}

/// A bare peer runs until it is killed.
fn endless(what: &str, result: anyhow::Result<()>) -> ExitCode {
    if let Err(error) = result {
        eprintln!("loadtest: the bare {what}: {error:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn run_reports(args: ReportsArgs) -> ExitCode {
    use stock::Engine::{Postgres, Sqlite};
    let size = reports::Size {
        lines: args.lines.into(),
        brands: args.brands.into(),
        rounds: args.rounds as usize,
        engines: match args.engine {
            Engines::Both => vec![Postgres, Sqlite],
            Engines::Sqlite => vec![Sqlite],
            Engines::Postgres => vec![Postgres],
        },
        postgres: args.postgres,
        server: args.server,
    };
    let results = finish(reports::run(&size)).map(|results| (reports::as_json(&results), reports::as_table(&results)));
    conclude(results, args.json)
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
    let results = finish(stock::run(&size)).map(|results| (stock::as_json(&results), stock::as_table(&results)));
    conclude(results, args.json)
}

fn run_hub(args: HubArgs) -> ExitCode {
    use hanamichi::live::Codec::{Json, Proto};
    let size = hub::Size {
        viewers: args.viewers as usize,
        rounds: args.rounds as usize,
        seconds: args.seconds,
        codecs: match args.codec {
            Codecs::Both => vec![Json, Proto],
            Codecs::Json => vec![Json],
            Codecs::Proto => vec![Proto],
        },
        threads: args.client_threads as usize,
        bare: !args.no_bare,
        nchan: !args.no_nchan,
        big: (!args.no_big).then_some(args.big_viewers as usize),
        storm: !args.no_storm,
        database: args.database,
        server: args.server,
    };
    let results = finish(hub::run(&size)).map(|results| (hub::as_json(&results), hub::as_table(&results)));
    conclude(results, args.json)
}

fn run_media(args: MediaArgs) -> ExitCode {
    let size = media::Size {
        viewers: args.viewers as usize,
        rounds: args.rounds as usize,
        seconds: args.seconds,
        spread: Duration::from_millis(args.spread_ms),
        slowed_by: args.slowed_by,
        joins_per_s: args.joins_per_s,
        // What is compared sends the whole stream.
        janus: !args.no_janus && args.slowed_by == 1,
        bare: !args.no_bare && args.slowed_by == 1,
        server: args.server,
    };
    let results = finish(media::run(&size)).map(|results| (media::as_json(&results), media::as_table(&results)));
    conclude(results, args.json)
}

fn run_soak(args: SoakArgs) -> ExitCode {
    let size = media::soak::Size {
        length: Duration::from_secs(args.seconds.unwrap_or(args.minutes * 60)),
        viewers: args.viewers as usize,
        publisher_lives: Duration::from_secs(args.publisher_seconds),
        vanish_every: args.vanish_every,
        server: args.server,
    };
    let results = finish(media::soak::run(&size));
    let results = results.map(|found| (media::endurance::as_json(&found), media::endurance::as_table(&found)));
    conclude(results, args.json)
}

fn run_chaos(args: ChaosArgs) -> ExitCode {
    let size = chaos::Size {
        seconds: args.seconds,
        // A script that was not asked for by its seed is told by it, so that it can be asked for.
        seed: args.seed.unwrap_or_else(client::fresh_number),
        viewers: args.viewers as usize,
        buyers: args.buyers as usize,
        nodes: args.nodes as usize,
        redis: args.redis,
        database: args.database,
        server: args.server,
    };
    let results = finish(chaos::run(&size)).map(|results| (chaos::as_json(&results), chaos::as_table(&results)));
    conclude(results, args.json)
}

/// Shows the result, as JSON or as a table, and makes the exit code of its verdict.
fn conclude(results: anyhow::Result<(Value, String)>, json: bool) -> ExitCode {
    let (result, table) = results.unwrap_or_else(|error| {
        let result = unfinished(&error);
        let table = verdict::as_table(&result);
        (result, table)
    });
    show(&if json { result.to_string() } else { table });
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
