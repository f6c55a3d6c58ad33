//! `[sim]`: the simulated exchange. Makes no market.

use serde::{Deserialize, Serialize};

/// Clock of the simulated exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum SimClock {
    /// A trading day in about fifty minutes, day after day.
    #[default]
    Compressed,
    /// Istanbul time and the exchange's schedule.
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
    /// Speed of the compressed clock relative to real time in continuous trading, 1..=100000.
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
