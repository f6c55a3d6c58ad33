//! `bist sim`: the simulated exchange alone, and streams for measurements.

use std::net::SocketAddr;
use std::path::PathBuf;

use benches::generate::Plan;
use clap::{Args, ValueEnum};

use super::{name, put};
use crate::settings::{Protocol, SimClock};

/// `bist sim`
#[derive(Debug, Args)]
pub struct SimArgs {
    /// Destination of MoldUDP64 packets.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:21001")]
    pub destination: SocketAddr,

    /// Address for retransmission requests; port 0 picks a free port and prints it.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:0")]
    pub requests: SocketAddr,

    /// Write one trading day into a file instead: .bistech or .itch (length-prefixed) or .pcap. Append .gz to compress.
    /// With --generate also .itch50 and .zst.
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
    /// Write a stream for measurements instead of a simulated day: any size, every message correct, same seed same
    /// bytes. FILE.answer.json holds the final books.
    #[arg(long, requires = "write", conflicts_with_all = ["destination", "requests", "rate", "clock", "clock_speed",
        "no_halts"])]
    pub generate: bool,

    /// Preset of the stream; the flags below change single values of it.
    #[arg(long, value_enum, requires = "generate")]
    pub preset: Option<Preset>,

    /// Message format [default: from the name of FILE].
    #[arg(long, value_enum, requires = "generate")]
    pub format: Option<Protocol>,

    /// Messages [default: 2000000].
    #[arg(long, value_name = "COUNT", requires = "generate")]
    pub messages: Option<usize>,

    /// Resting orders that the stream grows to, at most about a quarter of the messages [default: 100000].
    #[arg(long, value_name = "COUNT", requires = "generate")]
    pub live_orders: Option<usize>,
}

/// Presets with published figures.
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
    /// The values of the preset.
    pub const fn plan(self) -> Plan {
        match self {
            Self::A => Plan::A,
            Self::Wide => Plan::WIDE,
            Self::Day => Plan::DAY,
        }
    }
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

    /// Speed of the compressed clock relative to real time in continuous trading [default: 10].
    #[arg(long, value_name = "FACTOR")]
    pub clock_speed: Option<u32>,

    /// Shares, 1 to 50 [default: 50]; of `bist sim --generate` 1 to 65000 [default: 500].
    #[arg(long)]
    pub symbols: Option<usize>,

    /// No volatility halts.
    #[arg(long)]
    pub no_halts: bool,
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
