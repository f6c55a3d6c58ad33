//! A simulated exchange: 50 shares, a whole trading day, BISTECH ITCH 2112 over MoldUDP64.
//!
//! Read in this order: [`exchange::config`], [`exchange`] (the market without I/O: [`Exchange::advance`] takes a time and gives
//! messages), [`servers`] (a thread and its sockets) and [`mod@file`] (the same messages in a file). Same seed, same
//! configuration, same start: same bytes, however the time is cut into steps.
//!
//! Uses neither the decoder nor the order books of the platform, so that it can be the truth they are tested with.

pub mod exchange;
pub mod file;
pub mod servers;

pub use exchange::config::{BadConfig, Clock, Compression, RATE_MAX, SPEED_MAX, SimConfig};
pub use exchange::{Exchange, Output};
pub use file::write_file;
pub use servers::{Server, ServerHandle, SimMetrics};
