//! Days of the simulated exchange that its tests share.

use book::Nanos;
use feed_handler::sim::{Clock, Compression, SimConfig};

pub const SECOND_NS: u64 = 1_000_000_000;
/// Monday, 23 November 2026, 12:00 in Istanbul.
pub const START_NS: Nanos = 1_795_424_400 * SECOND_NS;

/// A whole day in about 50 wall seconds, so that tests see all of it at an ordinary rate.
pub fn short_day() -> SimConfig {
    let clock = Clock::Compressed(Compression { speed: 600, auction_speed: 480, halt_divisor: 1 });
    SimConfig { clock, days: 1, ..SimConfig::default() }
}
