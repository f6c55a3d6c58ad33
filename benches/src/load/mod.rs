//! Load for servers: messages at planned times, and WebSocket clients that count, check and time every frame.
//!
//! Open loop: every message has its time beforehand, and latency counts from there, so that a stall of the server counts
//! against everything that was due meanwhile. Sending and receiving are turns of one thread or of two: nothing here
//! starts a thread or sleeps.
//!
//! Read in this order: [`stream`] (what is sent), [`sender`] (when), [`client`] (sockets and frames of RFC 6455),
//! [`follow`] (what our own frames say of it), [`verify`] (whether that was right); [`lines`] (the same for a server that
//! is not ours and passes on what it is sent).

pub mod client;
pub mod follow;
pub mod least;
pub mod limits;
pub mod lines;
pub mod sender;
pub mod stream;
pub mod turns;
pub mod verify;

use std::time::{SystemTime, UNIX_EPOCH};

use book::Nanos;

/// What a client of ours asks for: the best ten levels of every symbol; falling behind ends a run at once.
pub const SUBSCRIBE_BOOKS: &str =
    r#"{"method":"subscribe","params":{"channel":"book","symbol":["*"],"slow_reader":"disconnect"}}"#;

/// The clock of all stamps: Unix nanoseconds, as the server's.
#[must_use]
pub fn now_ns() -> Nanos {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}
