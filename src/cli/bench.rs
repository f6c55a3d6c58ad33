//! `bist bench`: the measurements, their inputs, runs and cores. Measures nothing itself.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::sim::Preset;
use crate::settings::Layout;

/// `bist bench`
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// The measurement.
    #[command(subcommand)]
    pub bench: Bench,
}

/// The measurements.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Decoding: bytes in memory to normalised events, with all book fields read; ns per message.
    #[command(after_help = "Examples:\n  bist bench decode                            4,000,000 generated ITCH 5.0 \
        messages\n  bist bench decode --format bistech           the same in BISTECH ITCH\n  bist bench decode \
        day.itch50.gz              a recording (length-prefixed, gzip or zstd too)")]
    Decode(BenchStream),

    /// Decoding and books: bytes in memory to the full market-by-order book; ns per message and resident memory.
    #[command(after_help = "Examples:\n  bist bench book --preset a                   500 symbols, 400,000 live \
        orders\n  bist bench book --preset a --levels-only     the same without queues\n  bist bench book --preset \
        day                 a day of Borsa Istanbul; needs 8 GB\n  bist bench book day.itch50.gz                a \
        recording, or a generated stream with its expected answer")]
    Book(BenchBook),

    /// Ring between two threads: million 64-byte slots per second, and the round trip.
    #[command(after_help = "Example:\n  bist bench ring --runs 9                     needs two free cores")]
    Ring(BenchCommon),

    /// Encoding: events of a book to JSON frames of channel `book`; ns per event and per frame.
    #[command(after_help = "Example:\n  bist bench encode --format bistech --messages 1000000")]
    Encode(BenchStream),

    /// Packets on loopback to WebSocket clients, at planned rates: latency by stage and end to end, up to saturation.
    #[command(
        after_help = "Examples:\n  bist bench pipeline --rates 1000             ten clients, everything on one core, \
        spinning\n  bist bench pipeline --out FOLDER             doubles the rate up to saturation\n  chrt -f 1 bist \
        bench pipeline --rates 1000   where other programs disturb"
    )]
    Pipeline(BenchPipeline),

    /// Update ring to WebSocket clients: most frames per second, and latency at fixed rates.
    #[command(after_help = "Examples:\n  bist bench fanout --clients 10,100 --rates 1000\n  bist bench fanout --url \
        ws://127.0.0.1:9001/ --feed tcp://127.0.0.1:9000 --core 0\n                                               another \
        server, measured by the same loops")]
    Fanout(BenchFanout),

    /// Any running WebSocket server, ours or another: messages and bytes per second, and the age of messages.
    #[command(
        after_help = "Examples:\n  bist bench load --url ws://127.0.0.1:8083/ws/v2 --time-field ts_out\n  bist bench \
        load --url ws://127.0.0.1:9001/ --subscribe '' --feed tcp://127.0.0.1:9000 --rate 1000\n                                 \
        a relay: lines of JSON in, each to all clients"
    )]
    Load(BenchLoad),

    /// A recording into books at full speed, reading included: ns per message, messages per second.
    #[command(after_help = "Examples:\n  bist bench replay morning.pcap.gz            any format that `bist inspect` \
        reads\n  bist bench replay                            a generated stream, from a temporary file")]
    Replay(BenchStream),

    /// Compare two results of one bench: differences with their 95 % intervals; exit code 3 when B is worse.
    #[command(after_help = "Example:\n  bist bench book --out before; (change something); bist bench book --out \
        after\n  bist bench compare before after --tolerance 3\n\nExit codes: 0 nothing got worse, 2 not comparable or not \
        readable, 3 something got worse by more\nthan the tolerance.")]
    Compare(BenchCompare),
}

/// Flags of every bench.
#[derive(Debug, Args)]
pub struct BenchCommon {
    /// Measured runs; the table shows their median and spread [default: 5].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub runs: Option<u32>,

    /// Unmeasured runs before the measured ones [default: 1].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub warm_up: Option<u32>,

    /// Core of the measured thread: a number, `none`, or `free` for the least busy one [default: free].
    #[arg(long, value_name = "CORE", value_parser = bench_core)]
    pub core: Option<benches::measure::Core>,

    /// Write result.json, report.html and the latency histograms into this folder.
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,

    /// A few seconds instead of minutes: checks that the bench works; its figures are no measurements.
    #[arg(long)]
    pub small: bool,
}

/// Flags of a bench that takes a stream of messages.
#[derive(Debug, Args)]
pub struct BenchStream {
    /// A recording, or a stream of `bist sim --generate` with its FILE.answer.json; a stream is generated when omitted.
    pub file: Option<PathBuf>,

    /// Preset of the generated stream; the flags below change single values of it.
    #[arg(long, value_enum, conflicts_with_all = ["file", "small"])]
    pub preset: Option<Preset>,

    /// Format of the generated stream [default: itch50].
    #[arg(long, value_enum, conflicts_with = "file")]
    pub format: Option<BenchFormat>,

    /// Messages of the generated stream [default: 4000000; of `encode` 1000000].
    #[arg(long, value_name = "COUNT", conflicts_with = "file", value_parser = clap::value_parser!(u64).range(1_000..=500_000_000))]
    pub messages: Option<u64>,

    /// Symbols of the generated stream [default: 500].
    #[arg(long, value_name = "COUNT", conflicts_with = "file", value_parser = clap::value_parser!(u64).range(1..=65_000))]
    pub symbols: Option<u64>,

    /// Resting orders that the stream grows to, at most about a quarter of the messages [default: 400000].
    #[arg(long, value_name = "COUNT", conflicts_with = "file", value_parser = clap::value_parser!(u64).range(1..=3_000_000))]
    pub live_orders: Option<u64>,

    /// Seed of the generated stream: same seed, same bytes [default: 1].
    #[arg(long, conflicts_with = "file")]
    pub seed: Option<u64>,

    #[command(flatten)]
    pub common: BenchCommon,
}

/// `bist bench pipeline`
#[derive(Debug, Args)]
pub struct BenchPipeline {
    /// Rates in messages per second [default: 1000, doubled up to saturation, then three rates in between].
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub rates: Vec<u64>,

    /// WebSocket clients [default: 10].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=5_000))]
    pub clients: Option<u64>,

    /// Symbols [default: 50].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=5_000))]
    pub symbols: Option<u64>,

    /// One thread for all stages of the server, or one thread per stage [default: single].
    #[arg(long, value_enum)]
    pub layout: Option<Layout>,

    /// How idle server threads wait: `spin` or `park` [default: spin].
    #[arg(long, value_enum, value_name = "WAIT")]
    pub wait: Option<BenchWait>,

    /// Send from a separate thread instead of the clients' thread.
    #[arg(long)]
    pub sender_apart: bool,

    #[command(flatten)]
    pub common: BenchCommon,
}

/// `bist bench fanout`
#[derive(Debug, Args)]
pub struct BenchFanout {
    /// Numbers of WebSocket clients [default: 10,100,1000].
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..=5_000))]
    pub clients: Vec<u64>,

    /// Rates for latency, messages per second [default: 100,1000,10000, up to a million frames per second].
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub rates: Vec<u64>,

    /// How the idle server waits: `spin` or `park` [default: spin].
    #[arg(long, value_enum, value_name = "WAIT")]
    pub wait: Option<BenchWait>,

    /// `ws://host:port/path` of a running server to measure instead of ours; --core is then the clients' core.
    #[arg(long, value_name = "URL", requires = "feed", conflicts_with = "wait")]
    pub url: Option<String>,

    /// `tcp://host:port` where that server accepts lines of JSON and relays each to all of its clients.
    #[arg(long, value_name = "URL", requires = "url")]
    pub feed: Option<String>,

    /// First message of each client of that server [default: nothing].
    #[arg(long, value_name = "TEXT", requires = "url")]
    pub subscribe: Option<String>,

    /// Allow load on another machine; use it only on a machine of yours.
    #[arg(long, requires = "url")]
    pub allow_remote: bool,

    #[command(flatten)]
    pub common: BenchCommon,
}

/// `bist bench load`
#[derive(Debug, Args)]
pub struct BenchLoad {
    /// `ws://host:port/path` of the server.
    #[arg(long, value_name = "URL")]
    pub url: String,

    /// First message of each client; empty for none [default: subscribe to the books of all symbols of `bist`].
    #[arg(long, value_name = "TEXT")]
    pub subscribe: Option<String>,

    /// WebSocket clients.
    #[arg(long, value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=5_000))]
    pub clients: u64,

    /// Member of a message that holds its creation time, as a number or in quotes, such as ts_out.
    #[arg(long, value_name = "NAME", conflicts_with = "feed")]
    pub time_field: Option<String>,

    /// Unit of that member: s, ms, us, ns [default: by its size].
    #[arg(long, value_name = "UNIT", value_parser = bench_unit, requires = "time_field")]
    pub time_unit: Option<u64>,

    /// `tcp://host:port` of the server's feed: lines of JSON that the server relays to its clients.
    #[arg(long, value_name = "URL")]
    pub feed: Option<String>,

    /// Lines per second into the feed.
    #[arg(long, value_name = "RATE", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub rate: u64,

    /// Measured time of each run, ms.
    #[arg(long, value_name = "MS", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub measured_ms: u64,

    /// Allow load on another machine; use it only on a machine of yours.
    #[arg(long)]
    pub allow_remote: bool,

    #[command(flatten)]
    pub common: BenchCommon,
}

fn bench_unit(text: &str) -> Result<u64, String> {
    match text {
        "ns" => Ok(1),
        "us" => Ok(1_000),
        "ms" => Ok(1_000_000),
        "s" => Ok(1_000_000_000),
        _ => Err("s, ms, us or ns".to_owned()),
    }
}

/// How an idle thread of a measured server waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BenchWait {
    /// Polls without pause.
    Spin,
    /// Sleeps until woken.
    Park,
}

/// `bist bench book`
#[derive(Debug, Args)]
pub struct BenchBook {
    /// Levels with totals and counts, without the queues of their orders (`book.queues = false`).
    #[arg(long)]
    pub levels_only: bool,

    #[command(flatten)]
    pub stream: BenchStream,
}

/// Message format of a generated stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BenchFormat {
    /// NASDAQ TotalView-ITCH 5.0.
    Itch50,
    /// BISTECH ITCH 2112, order ids of 64 bits.
    Bistech,
}

/// `bist bench compare`
#[derive(Debug, Args)]
pub struct BenchCompare {
    /// The earlier result: a folder made with --out, or its result.json.
    pub a: PathBuf,

    /// The later result.
    pub b: PathBuf,

    /// Tolerance in percent: a median that is worse by more counts as a regression.
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0, value_parser = bench_tolerance)]
    pub tolerance: f64,
}

fn bench_core(text: &str) -> Result<benches::measure::Core, String> {
    use benches::measure::Core;
    match text {
        "free" => Ok(Core::Free),
        "none" => Ok(Core::Unpinned),
        _ => text.parse().map(Core::Number).map_err(|_| "not a core number, `free` or `none`".to_owned()),
    }
}

fn bench_tolerance(text: &str) -> Result<f64, String> {
    let percent = text.parse().ok().filter(|percent: &f64| percent.is_finite() && *percent >= 0.0);
    percent.ok_or_else(|| "not a percentage of 0 or more".to_owned())
}
