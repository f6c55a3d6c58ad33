//! What to simulate, how fast, and where to send it.
//!
//! Checks numbers; opens nothing.

use std::net::{Ipv4Addr, SocketAddr};

use super::shares;

/// How the exchange's clock runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The exchange's clock is the wall clock. Joins the schedule at the time of Istanbul when the market is open;
    /// otherwise a session day begins at once, its auctions compressed by [`Compression::default`] and continuous
    /// trading at speed 1.
    Real,
    /// The exchange's clock runs faster than the wall clock.
    Compressed(Compression),
}

impl Clock {
    /// The compression of a day that does not follow the wall clock.
    #[must_use]
    pub fn compression(self) -> Compression {
        match self {
            Self::Real => Compression { speed: 1, halt_divisor: 30, ..Compression::default() },
            Self::Compressed(compression) => compression,
        }
    }
}

/// Exchange seconds per wall second, in the parts of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression {
    /// Continuous trading; 1..=[`SPEED_MAX`].
    pub speed: u32,
    /// Opening auction; the closing phases run half as fast. 1..=[`SPEED_MAX`].
    pub auction_speed: u32,
    /// Volatility halts happen inside continuous trading, whose clock cannot hurry for one share: their 10 + 2 minutes
    /// are divided by this instead. 1..=60.
    pub halt_divisor: u32,
}

impl Default for Compression {
    /// 10, 480, 6: trading begins 2.6 s after the start, a halt lasts 12 s, a day 48 minutes of wall time.
    fn default() -> Self {
        Self { speed: 10, auction_speed: 480, halt_divisor: 6 }
    }
}

/// Highest [`Compression`] factor.
pub const SPEED_MAX: u32 = 100_000;
/// Highest [`SimConfig::rate`].
pub const RATE_MAX: u32 = 1_000_000;

/// What to simulate and where to send it.
#[derive(Clone, Debug, PartialEq)]
pub struct SimConfig {
    /// Decides every random choice.
    pub seed: u64,
    /// Messages per wall second in continuous trading, all shares together, on average; 1..=[`RATE_MAX`].
    pub rate: u32,
    /// How time passes.
    pub clock: Clock,
    /// Where the packets go: a unicast or multicast address.
    pub destination: SocketAddr,
    /// A second line that gets every packet as well.
    pub secondary: Option<SocketAddr>,
    /// Local address that packets are sent from and retransmission requests come to; port 0 = any free one.
    pub bind: SocketAddr,
    /// How many of the shares to list, busiest first; 1..=50.
    pub symbols_max: usize,
    /// Whether volatility halts happen.
    pub halts: bool,
    /// Trading days to simulate, 0 = endless.
    pub days: u32,
    /// Told apart in the session name, so that a receiver sees a restart on the same day as a new session. Has no
    /// influence on messages; 0..=46,655.
    pub run: u32,
}

impl Default for SimConfig {
    fn default() -> Self {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            seed: 1,
            rate: 2_000,
            clock: Clock::Compressed(Compression::default()),
            destination: loopback,
            secondary: None,
            bind: loopback,
            symbols_max: shares::SHARES.len(),
            halts: true,
            days: 0,
            run: 0,
        }
    }
}

/// A configuration that cannot be simulated; trying again does not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("simulated exchange: {field} is {got}, must be {range}")]
pub struct BadConfig {
    /// Field of [`SimConfig`].
    pub field: &'static str,
    /// Its value.
    pub got: u64,
    /// What it may be.
    pub range: &'static str,
}

impl SimConfig {
    /// Checks every number.
    ///
    /// # Errors
    /// The first field that is out of its range.
    pub fn check(&self) -> Result<(), BadConfig> {
        let compression = self.clock.compression();
        let within = |field, got: u64, low: u64, high: u64, range| {
            if (low..=high).contains(&got) { Ok(()) } else { Err(BadConfig { field, got, range }) }
        };
        within("rate", self.rate.into(), 1, RATE_MAX.into(), "1..=1000000")?;
        within("speed", compression.speed.into(), 1, SPEED_MAX.into(), "1..=100000")?;
        within("auction_speed", compression.auction_speed.into(), 1, SPEED_MAX.into(), "1..=100000")?;
        within("halt_divisor", compression.halt_divisor.into(), 1, 60, "1..=60")?;
        within("symbols_max", self.symbols_max as u64, 1, shares::SHARES.len() as u64, "1..=50")?;
        within("run", self.run.into(), 0, 46_655, "0..=46655")
    }
}
