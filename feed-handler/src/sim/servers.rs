//! The simulated exchange on real sockets.
//!
//! Sends and answers; what happens on the exchange is decided in [`exchange`](super::exchange).

mod history;
pub mod mold;

pub use mold::{Server, ServerHandle, SimMetrics};
