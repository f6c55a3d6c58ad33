//! The command line: what can be asked, with help that teaches. Never does anything itself.

use std::net::SocketAddr;
use std::path::PathBuf;

use benches::generate::Plan;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::settings::{Layout, LogFormat, Pin, Protocol, SimClock, SourceKind, Wait};

/// Market-data plant and trading platform for Borsa Istanbul.
///
/// `bist` alone starts everything on embedded defaults with a live simulated market: open http://localhost:8080.
#[derive(Debug, Parser)]
#[command(name = "bist", version, propagate_version = true, disable_help_subcommand = true)]
#[command(after_help = "Exit codes: 0 ok, 1 failure, 2 usage or configuration, 3 a check failed.\n\
    Configuration: defaults < --config FILE < BIST__SECTION__KEY < flags; `bist config --print` shows all of it.")]
pub struct Cli {
    /// What to do; `serve` when left out.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Configuration file (TOML), repeatable; later ones win. `bist.toml` in the working folder is read by itself.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Vec<PathBuf>,

    /// Form of log lines.
    #[arg(long, global = true, value_enum)]
    pub log_format: Option<LogFormat>,

    /// More log lines (-v debug, -vv trace).
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,

    /// Warnings and errors only.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the platform: feed, books, WebSocket, REST and web page in one process.
    #[command(after_help = "Examples:\n  bist serve                                   a live simulated market\n  \
        bist serve --rate 20000 --seed 7             a busier one, the same every time\n  \
        bist serve --source itch --listen 0.0.0.0:21001 --group 233.252.0.1\n                                               \
        a real MoldUDP64 multicast line\n\nThen open http://localhost:8080, or connect to ws://localhost:8083/ws/v2\n\
        (docs/protocols/websocket.md).")]
    Serve(Serve),

    /// Run the platform on a recorded file instead of a live line.
    #[command(after_help = "Examples:\n  bist replay morning.pcap.gz                  at the recorded pace\n  \
        bist replay morning.pcap.gz --speed 20       twenty times as fast\n  \
        bist replay day.itch50.gz --speed max        as fast as it goes\n\nFormats: BISTECH ITCH and ITCH 5.0 with \
        length prefixes, MoldUDP64 in pcap or pcapng,\nDBN, LOBSTER; gzip and zstd are recognised.")]
    Replay(ReplayArgs),

    /// Run the simulated exchange alone: it sends BISTECH ITCH in MoldUDP64, or writes a file.
    #[command(after_help = "Examples:\n  bist sim --destination 127.0.0.1:21001       to a platform started with\n  \
        bist serve --source itch --listen 127.0.0.1:21001\n  bist sim --destination 233.252.0.1:21001     to a multicast group on \
        loopback, read by\n                                               bist serve --source itch --listen 0.0.0.0:21001 \
        --group 233.252.0.1 --interface 127.0.0.1\n  bist sim --write day.bistech.gz --seed 7     a whole trading \
        day into a file\n  bist sim --write a.itch50 --generate --preset a\n                                               \
        a stream for measurements, its answer beside it\n  bist sim --write t.bistech.zst --generate --messages 5000000 \
        --symbols 100 --live-orders 50000")]
    Sim(SimArgs),

    /// Look into a recorded file: messages by type, instruments, gaps, errors; or one book, event by event.
    #[command(
        after_help = "Examples:\n  bist inspect day.itch50.gz\n  bist inspect day.bistech.gz --book GARAN --levels \
        10 --csv garan.csv\n\nThe CSV has one row per event applied to that symbol:\n\
        seq,ts_event,bid_px_00,bid_sz_00,bid_ct_00,ask_px_00,ask_sz_00,ask_ct_00,bid_px_01,…"
    )]
    Inspect(Inspect),

    /// Measure this machine: decoding, books, rings, frames; or compare two results.
    ///
    /// Every bench says its question, its input and the machine, checks its answer, and prints no figure when the answer
    /// is wrong (exit code 1).
    #[command(after_help = "Examples:\n  bist bench decode                            the fastest way to a first \
        figure\n  bist bench book --out before                 keep JSON and an HTML report\n  bist bench compare before \
        after            what changed by more than the spread\n\ndocs/benchmarking.md says how to read a report.")]
    Bench(BenchArgs),

    /// Show or check the configuration.
    Config(ConfigArgs),

    /// Can the platform run here? Cores, limits, ports, multicast, clock; says what to do about each finding.
    Doctor(DoctorArgs),

    /// Print a completion script for a shell.
    #[command(after_help = "Example:\n  bist completions bash > /etc/bash_completion.d/bist")]
    Completions {
        /// The shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },

    /// Print the manual page, or write one page per command into a folder.
    #[command(after_help = "Example:\n  bist man | man -l -")]
    Man {
        /// Folder for one page per command.
        #[arg(long, value_name = "FOLDER")]
        out: Option<PathBuf>,
    },
}

/// Parts of the platform that one process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// Everything.
    All,
}

/// `bist serve`
#[derive(Debug, Default, Args)]
pub struct Serve {
    /// Parts to run (repeatable).
    #[arg(long, value_enum, value_name = "PART")]
    pub target: Vec<Target>,

    /// Where ticks come from.
    #[arg(long, value_enum)]
    pub source: Option<SourceKind>,

    /// Message protocol of a live line.
    #[arg(long, value_enum)]
    pub protocol: Option<Protocol>,

    /// Address and port to receive MoldUDP64 on.
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,

    /// Multicast group to join.
    #[arg(long, value_name = "ADDR")]
    pub group: Option<std::net::Ipv4Addr>,

    /// Address of the interface to join the group on; the system chooses when left out.
    #[arg(long, value_name = "ADDR", requires = "group")]
    pub interface: Option<std::net::Ipv4Addr>,

    /// Retransmission server for MoldUDP64 requests.
    #[arg(long, value_name = "ADDR:PORT")]
    pub request_server: Option<SocketAddr>,

    #[command(flatten)]
    pub sim: SimFlags,

    #[command(flatten)]
    pub common: Common,
}

/// Flags of every command that runs the platform.
#[derive(Debug, Default, Args)]
pub struct Common {
    /// Keep the hot threads on their own cores.
    #[arg(long, value_enum)]
    pub pin: Option<Pin>,

    /// What a thread does when there is nothing to do.
    #[arg(long, value_enum)]
    pub wait: Option<Wait>,

    /// A thread for each hot stage, or one for all of them.
    #[arg(long, value_enum)]
    pub layout: Option<Layout>,

    /// Address and port of REST and the web page [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDR:PORT")]
    pub api_listen: Option<SocketAddr>,

    /// Address and port of the WebSocket server [default: 127.0.0.1:8083].
    #[arg(long, value_name = "ADDR:PORT")]
    pub market_data_listen: Option<SocketAddr>,

    /// Address and port of metrics and health [default: 127.0.0.1:9464].
    #[arg(long, value_name = "ADDR:PORT")]
    pub admin_listen: Option<SocketAddr>,
}

/// Flags of the simulated exchange.
#[derive(Debug, Default, Args)]
pub struct SimFlags {
    /// Seed of the simulated market: same seed, same bytes.
    #[arg(long)]
    pub seed: Option<u64>,

    /// Messages per second on average in continuous trading, 1 to 1000000 (tried up to 50000) [default: 2000].
    #[arg(long, value_name = "PER_SECOND")]
    pub rate: Option<u32>,

    /// Clock of the simulated market.
    #[arg(long, value_enum)]
    pub clock: Option<SimClock>,

    /// How much faster than Istanbul the compressed clock runs [default: 10].
    #[arg(long, value_name = "FACTOR")]
    pub clock_speed: Option<u32>,

    /// Shares, 1 to 50 [default: 50]; of `bist sim --generate` 1 to 65000 [default: 500].
    #[arg(long)]
    pub symbols: Option<usize>,

    /// No volatility halts.
    #[arg(long)]
    pub no_halts: bool,
}

/// `bist replay`
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The recording.
    pub file: PathBuf,

    /// 1 = as recorded, 10 = ten times as fast, max = as fast as it goes.
    #[arg(long, value_name = "FACTOR")]
    pub speed: Option<String>,

    /// Format of the file; found out by itself when left out.
    #[arg(long)]
    pub format: Option<String>,

    /// Start again at the end, as a new session.
    #[arg(long = "loop")]
    pub repeat: bool,

    /// Longest pause between two messages; longer ones are cut.
    #[arg(long, value_name = "MILLISECONDS")]
    pub gap_max_ms: Option<u64>,

    /// Exit at the end of the recording instead of going on to serve its last state.
    #[arg(long)]
    pub exit: bool,

    #[command(flatten)]
    pub common: Common,
}

/// `bist sim`
#[derive(Debug, Args)]
pub struct SimArgs {
    /// Where to send MoldUDP64 packets.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:21001")]
    pub destination: SocketAddr,

    /// Where to answer retransmission requests; port 0 picks a free one and prints it.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:0")]
    pub requests: SocketAddr,

    /// Write one trading day into a file instead: .bistech or .itch (length-prefixed), .pcap; add .gz to compress
    /// (with --generate also .itch50, and .zst).
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,

    #[command(flatten)]
    pub generate: Generate,

    /// Overwrite an existing file.
    #[arg(long)]
    pub force: bool,

    #[command(flatten)]
    pub sim: SimFlags,
}

/// `bist sim --generate`
#[derive(Debug, Args)]
pub struct Generate {
    /// Write a stream for measurements instead of a simulated day: any size, correct in every message, the same for
    /// the same seed. What it leaves in the books goes into FILE.answer.json.
    #[arg(long, requires = "write", conflicts_with_all = ["destination", "requests", "rate", "clock", "clock_speed",
        "no_halts"])]
    pub generate: bool,

    /// What the stream is like; the flags below change single numbers of it.
    #[arg(long, value_enum, requires = "generate")]
    pub preset: Option<Preset>,

    /// Message format [default: by the name of FILE].
    #[arg(long, value_enum, requires = "generate")]
    pub format: Option<Protocol>,

    /// Messages [default: 2000000].
    #[arg(long, value_name = "COUNT", requires = "generate")]
    pub messages: Option<usize>,

    /// Resting orders to grow to, at most about a quarter of the messages [default: 100000].
    #[arg(long, value_name = "COUNT", requires = "generate")]
    pub live_orders: Option<usize>,
}

/// Streams that figures are published for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// 16,000,000 ITCH 5.0 messages, 500 symbols, 400,000 live orders (493 MB).
    A,
    /// 20,000,000 ITCH 5.0 messages, 8,000 symbols, 750,000 live orders (620 MB).
    Wide,
    /// A day of Borsa Istanbul's shares: 113,000,000 BISTECH messages, 600 symbols, 400,000 live orders (4 GB).
    Day,
}

impl Preset {
    /// Its numbers.
    pub const fn plan(self) -> Plan {
        match self {
            Self::A => Plan::A,
            Self::Wide => Plan::WIDE,
            Self::Day => Plan::DAY,
        }
    }
}

/// `bist inspect`
#[derive(Debug, Args)]
pub struct Inspect {
    /// The recording.
    pub file: PathBuf,

    /// auto, bistech, itch50, dbn, lobster or mold-pcap.
    #[arg(long, default_value = "auto")]
    pub format: String,

    /// Follow the book of this symbol.
    #[arg(long, value_name = "SYMBOL")]
    pub book: Option<String>,

    /// Levels of each side in the CSV.
    #[arg(long, default_value_t = 10, requires = "book")]
    pub levels: usize,

    /// Write the book after each event into this file (- for standard output).
    #[arg(long, value_name = "OUT", requires = "book")]
    pub csv: Option<PathBuf>,
}

/// `bist bench`
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// What to measure.
    #[command(subcommand)]
    pub bench: Bench,
}

/// What to measure.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// From bytes in memory to normalised events, all book fields read: ns per message.
    #[command(after_help = "Examples:\n  bist bench decode                            4,000,000 generated ITCH 5.0 \
        messages\n  bist bench decode --format bistech           the same in BISTECH ITCH\n  bist bench decode \
        day.itch50.gz              a recording (length-prefixed, gzip or zstd too)")]
    Decode(BenchStream),

    /// From bytes in memory to the full market-by-order book: ns per message, and resident memory.
    #[command(after_help = "Examples:\n  bist bench book --preset a                   500 symbols, 400,000 live \
        orders\n  bist bench book --preset a --levels-only     the same without queues\n  bist bench book --preset \
        day                 a day of Borsa Istanbul; wants 8 GB\n  bist bench book day.itch50.gz                a \
        recording, or a generated stream with its answer beside it")]
    Book(BenchBook),

    /// From thread to thread through our ring: million 64-byte slots per second, and the round trip.
    #[command(after_help = "Example:\n  bist bench ring --runs 9                     wants two free cores")]
    Ring(BenchCommon),

    /// From the events of a book to the JSON frame of channel `book`: ns per event and per frame.
    #[command(after_help = "Example:\n  bist bench encode --format bistech --messages 1000000")]
    Encode(BenchStream),

    /// From packets on loopback to WebSocket clients, at planned rates: latency by stage and end to end, up to saturation.
    #[command(
        after_help = "Examples:\n  bist bench pipeline --rates 1000             ten clients, everything on one core, \
        spinning\n  bist bench pipeline --out FOLDER             doubles the rate until something gives way\n  chrt -f 1 bist \
        bench pipeline --rates 1000   where other programs disturb"
    )]
    Pipeline(BenchPipeline),

    /// From the update ring to WebSocket clients: most frames per second, and latency at fixed rates.
    #[command(after_help = "Examples:\n  bist bench fanout --clients 10,100 --rates 1000\n  bist bench fanout --url \
        ws://127.0.0.1:9001/ --feed tcp://127.0.0.1:9000 --core 0\n                                               a server that is \
        not ours, by the same loops")]
    Fanout(BenchFanout),

    /// Any WebSocket server that runs already, ours or another: messages and bytes per second, and how old they are.
    #[command(
        after_help = "Examples:\n  bist bench load --url ws://127.0.0.1:8083/ws/v2 --time-field ts_out\n  bist bench \
        load --url ws://127.0.0.1:9001/ --subscribe '' --feed tcp://127.0.0.1:9000 --rate 1000\n                                 \
        a relay: lines of JSON in, each to all clients"
    )]
    Load(BenchLoad),

    /// A recording flat out into books, reading included: ns per message, messages per second.
    #[command(after_help = "Examples:\n  bist bench replay morning.pcap.gz            any format that `bist inspect` \
        reads\n  bist bench replay                            a generated stream, from a temporary file")]
    Replay(BenchStream),

    /// Two results of one bench: differences with their 95 % intervals; exit code 3 when B is worse.
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

    /// Runs before them that are thrown away [default: 1].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub warm_up: Option<u32>,

    /// Core of the measured thread: a number, `none`, or `free` for the least busy one [default: free].
    #[arg(long, value_name = "CORE", value_parser = bench_core)]
    pub core: Option<benches::measure::Core>,

    /// Write result.json, report.html and the latency histograms into this folder.
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,

    /// A few seconds instead of minutes: shows that it works; its figures say nothing about speed.
    #[arg(long)]
    pub small: bool,
}

/// Flags of a bench that takes a stream of messages.
#[derive(Debug, Args)]
pub struct BenchStream {
    /// A recording, or a stream of `bist sim --generate` with its answer beside it; one is generated when left out.
    pub file: Option<PathBuf>,

    /// What the generated stream is like; the flags below change single numbers of it.
    #[arg(long, value_enum, conflicts_with_all = ["file", "small"])]
    pub preset: Option<Preset>,

    /// Format of the generated stream [default: itch50].
    #[arg(long, value_enum, conflicts_with = "file")]
    pub format: Option<BenchFormat>,

    /// Messages of the generated stream [default: 4000000; of `encode` 1000000].
    #[arg(long, value_name = "COUNT", conflicts_with = "file", value_parser = clap::value_parser!(u64).range(1_000..=500_000_000))]
    pub messages: Option<u64>,

    /// Its symbols [default: 500].
    #[arg(long, value_name = "COUNT", conflicts_with = "file", value_parser = clap::value_parser!(u64).range(1..=65_000))]
    pub symbols: Option<u64>,

    /// Resting orders that it grows to, at most about a quarter of the messages [default: 400000].
    #[arg(long, value_name = "COUNT", conflicts_with = "file", value_parser = clap::value_parser!(u64).range(1..=3_000_000))]
    pub live_orders: Option<u64>,

    /// Its seed: same seed, same bytes [default: 1].
    #[arg(long, conflicts_with = "file")]
    pub seed: Option<u64>,

    #[command(flatten)]
    pub common: BenchCommon,
}

/// `bist bench pipeline`
#[derive(Debug, Args)]
pub struct BenchPipeline {
    /// Rates in messages per second [default: 1000 and doubling until one is too much, then in between].
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub rates: Vec<u64>,

    /// WebSocket clients [default: 10].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=5_000))]
    pub clients: Option<u64>,

    /// Symbols [default: 50].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=5_000))]
    pub symbols: Option<u64>,

    /// One thread for all stages of the server, or one for each [default: single].
    #[arg(long, value_enum)]
    pub layout: Option<Layout>,

    /// What its idle threads do: `spin` or `park` [default: spin].
    #[arg(long, value_enum, value_name = "WAIT")]
    pub wait: Option<BenchWait>,

    /// Send from a thread of its own instead of the clients'.
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

    /// What the idle server does: `spin` or `park` [default: spin].
    #[arg(long, value_enum, value_name = "WAIT")]
    pub wait: Option<BenchWait>,

    /// `ws://host:port/path` of a server that runs already, to be measured instead of ours; --core is then the clients' core.
    #[arg(long, value_name = "URL", requires = "feed", conflicts_with = "wait")]
    pub url: Option<String>,

    /// `tcp://host:port` where that server takes lines of JSON, each to be passed on to all of its clients.
    #[arg(long, value_name = "URL", requires = "url")]
    pub feed: Option<String>,

    /// What each client of that server sends first [default: nothing].
    #[arg(long, value_name = "TEXT", requires = "url")]
    pub subscribe: Option<String>,

    /// Load a server on another machine; only one that is yours.
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

    /// What each client sends first; empty for nothing [default: ours, the books of all symbols].
    #[arg(long, value_name = "TEXT")]
    pub subscribe: Option<String>,

    /// WebSocket clients.
    #[arg(long, value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=5_000))]
    pub clients: u64,

    /// Member of a message that says when it was made, as a number or in quotes, such as ts_out.
    #[arg(long, value_name = "NAME", conflicts_with = "feed")]
    pub time_field: Option<String>,

    /// Unit of that member: s, ms, us, ns [default: by its size].
    #[arg(long, value_name = "UNIT", value_parser = bench_unit, requires = "time_field")]
    pub time_unit: Option<u64>,

    /// `tcp://host:port` to send lines of JSON to, which the server passes on to its clients.
    #[arg(long, value_name = "URL")]
    pub feed: Option<String>,

    /// Lines per second into the feed.
    #[arg(long, value_name = "RATE", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub rate: u64,

    /// Measured time of each run, ms.
    #[arg(long, value_name = "MS", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub measured_ms: u64,

    /// Load a server on another machine; only one that is yours.
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

/// What an idle thread of a measured server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BenchWait {
    /// Looks again at once.
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

    /// How much worse a median may get, in percent, before it counts as a regression.
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

/// `bist config`
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Print every value with its source.
    #[arg(long)]
    pub print: bool,

    /// Check only: exit 0 when the configuration is good, 2 when not.
    #[arg(long, conflicts_with = "print")]
    pub check: bool,
}

/// `bist doctor`
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// One JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

impl SimFlags {
    /// As configuration overrides.
    pub fn overrides(&self) -> Vec<(&'static str, String)> {
        let mut flags = Vec::new();
        put(&mut flags, "sim.seed", self.seed.as_ref());
        put(&mut flags, "sim.rate", self.rate.as_ref());
        put(&mut flags, "sim.clock", self.clock.map(name).as_ref());
        put(&mut flags, "sim.speed", self.clock_speed.as_ref());
        put(&mut flags, "sim.symbols", self.symbols.as_ref());
        put(&mut flags, "sim.halts", self.no_halts.then_some(false).as_ref());
        flags
    }
}

impl Common {
    /// As configuration overrides.
    pub fn overrides(&self) -> Vec<(&'static str, String)> {
        let mut flags = Vec::new();
        put(&mut flags, "threads.pin", self.pin.map(name).as_ref());
        put(&mut flags, "threads.wait", self.wait.map(name).as_ref());
        put(&mut flags, "threads.layout", self.layout.map(name).as_ref());
        put(&mut flags, "api.listen", self.api_listen.as_ref());
        put(&mut flags, "market_data.listen", self.market_data_listen.as_ref());
        put(&mut flags, "admin.listen", self.admin_listen.as_ref());
        flags
    }
}

impl Serve {
    /// As configuration overrides.
    pub fn overrides(&self) -> Vec<(&'static str, String)> {
        let mut flags = self.common.overrides();
        flags.extend(self.sim.overrides());
        put(&mut flags, "feed.source", self.source.map(name).as_ref());
        put(&mut flags, "feed.protocol", self.protocol.map(name).as_ref());
        put(&mut flags, "feed.listen", self.listen.as_ref());
        put(&mut flags, "feed.group", self.group.as_ref());
        put(&mut flags, "feed.interface", self.interface.as_ref());
        put(&mut flags, "feed.request_server", self.request_server.as_ref());
        flags
    }
}

impl ReplayArgs {
    /// As configuration overrides.
    pub fn overrides(&self) -> Vec<(&'static str, String)> {
        let mut flags = self.common.overrides();
        put(&mut flags, "feed.source", Some(&"replay"));
        put(&mut flags, "replay.file", Some(&self.file.display()));
        put(&mut flags, "replay.speed", self.speed.as_ref());
        put(&mut flags, "replay.format", self.format.as_ref());
        put(&mut flags, "replay.repeat", self.repeat.then_some(true).as_ref());
        put(&mut flags, "replay.gap_max_ms", self.gap_max_ms.as_ref());
        flags
    }
}

fn put(flags: &mut Vec<(&'static str, String)>, key: &'static str, value: Option<&impl ToString>) {
    flags.extend(value.map(|value| (key, value.to_string())));
}

fn name(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_help_and_no_command_means_serve() {
        for command in Cli::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
        }
        assert!(Cli::parse_from(["bist"]).command.is_none());
    }
}
