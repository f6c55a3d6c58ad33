//! Everything from a wire to the event ring: layouts, decoding, sequencing, files, replay, the simulated exchange.
//!
//! Knows nothing of readers, JSON or an async runtime. Protocol logic is without I/O: bytes and time come in as
//! arguments, so that a socket, a capture file and a test drive the same code.

pub mod bistech;
pub mod inspect;
pub mod itch50;
pub mod layout;
pub mod metrics;
pub mod moldudp64;
mod record;
pub mod sequencer;
mod shape;
pub mod sim;
pub mod sink;
pub mod source;
pub mod stage;
