//! What can be configured: one struct per section, each key with its unit and default.
//!
//! Layers, later ones win: defaults, files (`--config`, repeatable), environment (`BIST__SECTION__KEY`), flags.
//! Unknown keys are refused. Never holds a secret as plain text to print: there is none in this version.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use book::market::{Limits, OrderKey};
use config::{Config, Environment, File, FileFormat, Source, Value, ValueKind};
use serde::{Deserialize, Serialize};

/// Everything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where ticks come from.
    pub feed: Feed,
    /// The simulated exchange.
    pub sim: Sim,
    /// A recorded file as the source.
    pub replay: Replay,
    /// How much the books can hold.
    pub book: Book,
    /// Rings between the threads.
    pub rings: Rings,
    /// Pinning and waiting.
    pub threads: Threads,
    /// WebSocket market data.
    pub market_data: MarketData,
    /// REST and the web page.
    pub api: Api,
    /// Metrics and health for operators.
    pub admin: Admin,
    /// Logs.
    pub log: Log,
}

/// Where ticks come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// The simulated exchange, over a real loopback socket.
    #[default]
    Sim,
    /// BISTECH ITCH or NASDAQ ITCH 5.0 in MoldUDP64 from a UDP socket.
    Itch,
    /// A recorded file.
    Replay,
}

/// Message protocol of a live line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// BISTECH ITCH 2112.
    #[default]
    Bistech,
    /// NASDAQ TotalView-ITCH 5.0.
    Itch50,
}

/// `[feed]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Feed {
    /// `sim`, `itch` or `replay`.
    pub source: SourceKind,
    /// `bistech` or `itch50`, for a live line.
    pub protocol: Protocol,
    /// Address and port to receive on; port 0 picks a free one (source `sim`).
    pub listen: SocketAddr,
    /// Multicast group to join; empty = unicast.
    pub group: Option<Ipv4Addr>,
    /// Address of the interface to join the group on; 0.0.0.0 = the system's choice.
    pub interface: Ipv4Addr,
    /// Address of the retransmission server (MoldUDP64 requests); empty = gaps are final. Source `sim` brings its own.
    pub request_server: Option<SocketAddr>,
    /// CSV file `symbol,price` with the base prices of the day, which no ITCH feed carries; empty = changes are shown
    /// from the second day on. Source `sim` brings its own.
    pub references: Option<PathBuf>,
    /// Socket receive buffer, bytes (the kernel may give less: `bist doctor`).
    pub receive_buffer_bytes: usize,
    /// How long a hole may wait for its packets, milliseconds.
    pub gap_timeout_ms: u64,
    /// Silence after which the feed is called stale, milliseconds.
    pub stale_ms: u64,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            source: SourceKind::Sim,
            protocol: Protocol::Bistech,
            listen: loopback(0),
            group: None,
            interface: Ipv4Addr::UNSPECIFIED,
            request_server: None,
            references: None,
            receive_buffer_bytes: 4 << 20,
            gap_timeout_ms: 200,
            stale_ms: 5_000,
        }
    }
}

/// Clock of the simulated exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum SimClock {
    /// A trading day in about fifty minutes, day after day.
    #[default]
    Compressed,
    /// Istanbul's own time and schedule.
    Real,
}

/// `[sim]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sim {
    /// Same seed, same bytes.
    pub seed: u64,
    /// Messages per second on average in continuous trading, 1..=1000000 (tried up to 50,000).
    pub rate: u32,
    /// `compressed` or `real`.
    pub clock: SimClock,
    /// How much faster than Istanbul continuous trading runs on the compressed clock, 1..=100000.
    pub speed: u32,
    /// Shares, 1..=50.
    pub symbols: usize,
    /// Whether single shares are halted now and then.
    pub halts: bool,
}

impl Default for Sim {
    fn default() -> Self {
        Self { seed: 1, rate: 2_000, clock: SimClock::Compressed, speed: 10, symbols: 50, halts: true }
    }
}

/// `[replay]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Replay {
    /// The recording.
    pub file: Option<PathBuf>,
    /// `auto`, `bistech`, `itch50`, `dbn`, `lobster`, `mold-pcap`.
    pub format: String,
    /// `1` = as recorded, `10` = ten times as fast, `max` = as fast as it goes.
    pub speed: String,
    /// Start again at the end, as a new session.
    pub repeat: bool,
    /// Longest pause between two messages, milliseconds; longer ones are cut.
    pub gap_max_ms: u64,
}

impl Default for Replay {
    fn default() -> Self {
        Self { file: None, format: "auto".into(), speed: "1".into(), repeat: false, gap_max_ms: 1_000 }
    }
}

/// `[book]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Book {
    /// Books, 1..=65534.
    pub books_max: usize,
    /// Resting orders of all books.
    pub orders_max: usize,
    /// Price levels outside dense ladders.
    pub levels_max: usize,
    /// Places of all dense ladders.
    pub ladder_slots: usize,
    /// Whether readers are told the places of orders in their queues.
    pub queues: bool,
}

impl Default for Book {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            books_max: limits.books_max,
            orders_max: limits.orders_max,
            levels_max: limits.levels_max,
            ladder_slots: limits.ladder_slots,
            queues: limits.queues,
        }
    }
}

impl Book {
    /// The bounds of the books of a feed that names its orders by `key`.
    pub fn limits(&self, key: OrderKey) -> Limits {
        Limits {
            books_max: self.books_max,
            orders_max: self.orders_max,
            levels_max: self.levels_max,
            ladder_slots: self.ladder_slots,
            queues: self.queues,
            key,
            ..Limits::default()
        }
    }
}

/// `[rings]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rings {
    /// Slots (64 bytes) between the feed and the book thread.
    pub event_slots: usize,
    /// Slots (64 bytes) between the book thread and each reader.
    pub update_slots: usize,
}

impl Default for Rings {
    fn default() -> Self {
        Self { event_slots: 1 << 16, update_slots: 1 << 16 }
    }
}

/// Whether threads stay on one core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Pin {
    /// Yes from four cores on.
    #[default]
    Auto,
    /// Yes.
    Always,
    /// No.
    Never,
}

/// What a thread does when there is nothing to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Wait {
    /// Park below four cores, spin when pinned.
    #[default]
    Auto,
    /// Look again at once: lowest latency, a whole core each.
    Spin,
    /// Let others run, then look again.
    Yield,
    /// Sleep until woken: a quiet machine.
    Park,
}

/// Which thread does what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// A thread each for feed, books and fan-out.
    #[default]
    Split,
    /// Feed, books and fan-out in one loop of one thread: one core is enough, and no message changes cores.
    Single,
}

/// `[threads]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Threads {
    /// `split` or `single`.
    pub layout: Layout,
    /// `auto`, `always` or `never`.
    pub pin: Pin,
    /// Cores for the feed, book and fan-out threads, in this order; empty = the last ones of the machine.
    pub cores: Vec<usize>,
    /// `auto`, `spin`, `yield` or `park`.
    pub wait: Wait,
    /// Threads of the slow path; 0 = as many as cores, at most 4.
    pub api_workers: usize,
}

/// `[market_data]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MarketData {
    /// Address and port of the WebSocket server.
    pub listen: SocketAddr,
    /// Connections at the same time.
    pub connections_max: usize,
    /// Subscriptions of one connection.
    pub subscriptions_max: usize,
    /// Bytes that may wait for one reader before its slow-reader policy applies.
    pub queue_bytes_max: usize,
}

impl Default for MarketData {
    fn default() -> Self {
        Self { listen: loopback(8083), connections_max: 10_000, subscriptions_max: 1_024, queue_bytes_max: 1 << 20 }
    }
}

/// `[api]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Api {
    /// Address and port of REST, the web page and the WebSocket passage.
    pub listen: SocketAddr,
    /// Requests per second and client address.
    pub requests_per_second: u32,
}

impl Default for Api {
    fn default() -> Self {
        Self { listen: loopback(8080), requests_per_second: 200 }
    }
}

/// `[admin]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// Address and port of metrics and health.
    pub listen: SocketAddr,
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: loopback(9464) }
    }
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `text` or `json`.
    pub format: LogFormat,
    /// Filter as in `RUST_LOG` (which wins): `info`, `distributor=debug`.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".into() }
    }
}

/// Keys that have no value by default, and so do not show among the defaults.
pub const OPTIONAL: [&str; 4] = ["feed.group", "feed.references", "feed.request_server", "replay.file"];

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// Settings and where each value came from.
pub struct Loaded {
    /// The values in force.
    pub settings: Settings,
    /// `section.key` → the value as TOML and its source.
    pub origins: BTreeMap<String, (String, String)>,
}

/// Reads all layers. `flags` are `section.key` → value.
///
/// # Errors
/// A file that cannot be read, an unknown key, a value that does not fit; the message names the key and its source.
pub fn load(files: &[PathBuf], flags: &[(&str, String)]) -> Result<Loaded> {
    let environment = Environment::with_prefix("BIST")
        .prefix_separator("__")
        .separator("__")
        .list_separator(",")
        .with_list_parse_key("threads.cores")
        .try_parsing(true);
    let named = |file: &PathBuf| {
        let name = format!("file {}", file.display());
        let text = std::fs::read_to_string(file).with_context(|| format!("reading {name}"))?;
        Ok((name, text))
    };
    load_from(&files.iter().map(named).collect::<Result<Vec<_>>>()?, &environment, flags)
}

/// The same from the texts of files, each with a name for messages.
///
/// # Errors
/// An unknown key, a value that does not fit; the message names the key and its source.
pub fn load_from(files: &[(String, String)], environment: &Environment, flags: &[(&str, String)]) -> Result<Loaded> {
    let mut origins = BTreeMap::new();
    let mut builder = Config::builder();
    let defaults = toml::to_string(&Settings::default()).context("writing the defaults")?;
    let defaults = File::from_str(&defaults, FileFormat::Toml);
    note(&defaults, "default", &mut origins)?;
    builder = builder.add_source(defaults);
    for (name, text) in files {
        let source = File::from_str(text, FileFormat::Toml);
        note(&source, name, &mut origins).with_context(|| format!("reading {name}"))?;
        check(&source, name)?;
        builder = builder.add_source(source);
    }
    note(environment, "environment", &mut origins).context("reading BIST__… from the environment")?;
    check(environment, "the environment (BIST__SECTION__KEY)")?;
    builder = builder.add_source(environment.clone());
    for (key, value) in flags {
        origins.insert((*key).to_owned(), (flag_text(value), "flag".to_owned()));
        builder = builder.set_override(*key, value.as_str())?;
    }
    let config = builder.build()?;
    let settings: Settings = config.try_deserialize().map_err(|error| anyhow!("configuration: {error}"))?;
    settings.book.limits(OrderKey::Id).check().map_err(|wrong| anyhow!("configuration: book.{wrong}"))?;
    Ok(Loaded { settings, origins })
}

/// Each layer must make sense by itself, so that the message can name it.
fn check(source: &(impl Source + Clone + Send + Sync + 'static), name: &str) -> Result<()> {
    let config = Config::builder().add_source(source.clone()).build().with_context(|| format!("reading {name}"))?;
    config
        .try_deserialize::<Settings>()
        .map(|_| ())
        .map_err(|error| anyhow!("{name}: {error}\n  `bist config --print` lists every key with its value and source"))
}

fn note(source: &impl Source, name: &str, origins: &mut BTreeMap<String, (String, String)>) -> Result<()> {
    let table = source.collect()?;
    for (key, value) in table {
        flatten(&key, &value, name, origins);
    }
    Ok(())
}

fn flatten(key: &str, value: &Value, name: &str, origins: &mut BTreeMap<String, (String, String)>) {
    match &value.kind {
        ValueKind::Table(table) => {
            for (inner, value) in table {
                flatten(&format!("{key}.{inner}"), value, name, origins);
            }
        }
        _ => {
            origins.insert(key.to_owned(), (toml_text(value), name.to_owned()));
        }
    }
}

impl Loaded {
    /// The values in force as TOML, each with its source behind it: read again they are the same.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = "# values in force; later layers win: default < file < environment < flag\n".to_owned();
        let mut section = "";
        for (key, (value, origin)) in &self.origins {
            let (of, name) = key.split_once('.').unwrap_or(("", key));
            if of != section {
                text += &format!("\n[{of}]\n");
                section = of;
            }
            text += &format!("{:<44} # {origin}\n", format!("{name} = {value}"));
        }
        let unset: Vec<&str> = OPTIONAL.into_iter().filter(|key| !self.origins.contains_key(*key)).collect();
        if !unset.is_empty() {
            text += &format!("\n# not set: {}\n", unset.join(", "));
        }
        text
    }
}

/// The same of a flag, whose kind only its key knows: a number or a truth value if it reads as one.
fn flag_text(value: &str) -> String {
    let is_number = value.parse::<i64>().is_ok_and(|number| number.to_string() == value);
    if is_number || matches!(value, "true" | "false") { value.to_owned() } else { toml_text(&value.into()) }
}

/// A value as it stands in a TOML file.
fn toml_text(value: &Value) -> String {
    match &value.kind {
        ValueKind::Array(items) => format!("[{}]", items.iter().map(toml_text).collect::<Vec<_>>().join(", ")),
        ValueKind::String(text) => toml::Value::String(text.clone()).to_string(),
        ValueKind::Float(number) => toml::Value::Float(*number).to_string(),
        _ => value.to_string(),
    }
}

/// Whether a configuration file exists where nobody named one: `bist.toml` in the working folder.
pub fn default_files() -> Vec<PathBuf> {
    let file = Path::new("bist.toml");
    if file.is_file() { vec![file.to_owned()] } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        let map = pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        Environment::with_prefix("BIST")
            .prefix_separator("__")
            .separator("__")
            .list_separator(",")
            .with_list_parse_key("threads.cores")
            .try_parsing(true)
            .source(Some(map))
    }

    fn file(text: &str) -> (String, String) {
        ("file test.toml".to_owned(), text.to_owned())
    }

    #[test]
    fn later_layers_win_and_say_so() {
        let file = file("[sim]\nrate = 5000\nseed = 3\n");
        let environment = environment(&[("BIST__SIM__SEED", "4"), ("BIST__THREADS__CORES", "2,3")]);
        let flags = [("sim.symbols", "7".to_owned())];
        let loaded = load_from(&[file], &environment, &flags).unwrap();
        let sim = &loaded.settings.sim;
        assert_eq!((sim.rate, sim.seed, sim.symbols), (5_000, 4, 7));
        assert_eq!(loaded.settings.threads.cores, [2, 3]);
        assert_eq!(loaded.origins["sim.seed"], ("4".into(), "environment".into()));
        assert_eq!(loaded.origins["sim.symbols"].1, "flag");
        assert!(loaded.origins["sim.rate"].1.starts_with("file "));
        assert_eq!(loaded.origins["sim.halts"], ("true".into(), "default".into()));
    }

    #[test]
    fn the_bounds_of_the_books_are_those_of_the_settings() {
        let changed = "[book]\nbooks_max = 2\norders_max = 3\nlevels_max = 4\nladder_slots = 5\nqueues = false\n";
        let loaded = load_from(&[file(changed)], &environment(&[]), &[]).unwrap();
        let limits = loaded.settings.book.limits(OrderKey::Id);
        assert_eq!((limits.books_max, limits.orders_max, limits.levels_max, limits.ladder_slots), (2, 3, 4, 5));
        assert_eq!((limits.queues, limits.key), (false, OrderKey::Id));
        assert!(Book::default().queues);
        let off = environment(&[("BIST__BOOK__QUEUES", "false")]);
        assert!(!load_from(&[], &off, &[]).unwrap().settings.book.queues);
    }

    #[test]
    fn a_bound_that_no_market_can_have_is_refused_by_name() {
        let bad = [("books_max = 0", "books_max"), ("orders_max = 600000000", "orders_max")];
        for (bound, named) in bad.into_iter().chain([("ladder_slots = 500000000", "levels_max")]) {
            let file = file(&format!("[book]\n{bound}\n"));
            let error = load_from(&[file], &environment(&[]), &[]).err().unwrap();
            assert!(error.to_string().contains(named), "{bound}: {error}");
        }
    }

    #[test]
    fn what_is_printed_is_read_as_the_same() {
        let nasty = "[replay]\nspeed = \"09\"\nfile = \"[a]\\u0001\\\"\\\\.gz\"\n[log]\nlevel = \"true\"\n[threads]\ncores = [2, 3]\n";
        let flags = [("replay.format", "dbn".to_owned()), ("sim.symbols", "7".to_owned())];
        let loaded = load_from(&[file(nasty)], &environment(&[("BIST__SIM__HALTS", "false")]), &flags).unwrap();
        let printed = loaded.to_toml();
        let again = load_from(&[file(&printed)], &environment(&[]), &[]).unwrap();
        assert_eq!(again.settings, loaded.settings, "{printed}");
        assert_eq!((again.settings.replay.speed.as_str(), again.settings.sim.symbols), ("09", 7));
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let file = file("[sim]\nrat = 5000\n");
        let error = load_from(&[file], &environment(&[]), &[]).err().unwrap().to_string();
        assert!(error.contains("rat"), "{error}");
        let error = load_from(&[], &environment(&[("BIST__SIMM__RATE", "1")]), &[]).err().unwrap().to_string();
        assert!(error.contains("simm") && error.contains("environment"), "{error}");
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_refused_by_name() {
        let file = file("[api]\nlisten = \"nowhere\"\n");
        let error = load_from(&[file], &environment(&[]), &[]).err().unwrap().to_string();
        assert!(error.contains("api.listen"), "{error}");
    }

    #[test]
    fn every_key_is_documented() {
        let page = include_str!("../docs/configuration.md");
        let loaded = load_from(&[], &environment(&[]), &[]).unwrap();
        for key in loaded.origins.keys().map(String::as_str).chain(OPTIONAL) {
            assert!(page.contains(&format!("`{key}`")), "docs/configuration.md does not name `{key}`");
        }
    }
}
