//! Everything from a wire to the event ring: layouts, decoding, sequencing, files, replay, the simulated exchange.
//!
//! Knows nothing of readers, JSON or an async runtime. Protocol logic is without I/O: bytes and time come in as
//! arguments, so that a socket, a capture file and a test drive the same code.

pub mod decode;
pub mod feed;
pub mod inspect;
pub mod net;
pub mod recording;
pub mod recovery;
pub mod sim;
pub mod wire;
