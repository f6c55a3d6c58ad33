//! The core of the platform: prices, events, order books, auctions, statistics, candles, checksums.
//!
//! Nothing here opens a socket, reads a clock, starts a thread or knows an async runtime: bytes and time
//! come in as arguments. After set-up nothing on the path of an event allocates.
//!
//! Read in this order: [`slot`] (what travels through the rings), [`market`] (all books of a feed),
//! [`market::Book`] (one book), [`worker`] (one turn of the book thread), [`replica`] (the reader's copy).

pub mod anomaly;
pub mod candle;
pub mod checksum;
pub mod doubt;
pub mod exchange;
pub mod market;
mod memory;
pub mod metrics;
pub mod names;
mod now;
pub mod order_interest;
pub mod phase;
pub mod reference;
pub mod replica;
pub mod ring;
pub mod slot;
pub mod statistics;
pub mod tick;
pub mod types;
pub mod worker;

pub use market::Market;
pub use now::Now;
pub use phase::Phase;
pub use slot::{Slot, View};
pub use types::{BookId, BookIndex, Nanos, OrderId, Price, Side};
