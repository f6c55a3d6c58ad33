//! From the update ring outwards: the WebSocket market-data server `/ws/v2`.
//!
//! [`FanOut`] is one thread's worth of it: a ring's reading end, a replica of the market, a listener and the
//! connections, on mio and without an async runtime. It owns no thread and reads no wall clock: whoever runs it calls
//! [`FanOut::do_work`] and [`FanOut::wait`] in turn.
//!
//! Read in this order: [`config`] (every bound), `fanout` (one turn), `market` (what changed), `fanout/publish` (from
//! the ring to frames), `topic` (one stream of frames), `encode` (its text), `book_chain`, `digest` and `line` (the same for
//! the frames that are made most often), `outlet` (what a client has not taken yet), `round` (whom to write
//! to next),
//! `fanout/clients` and `session` (clients), `fanout/answers` and `request` (what they ask), `frame` and `handshake`
//! (RFC 6455), [`slow_path`] (where connections go that are not ours). [`BookFrames`] makes the frames of one channel without a server.

mod book_chain;
mod book_frames;
pub mod config;
mod digest;
mod encode;
mod fanout;
pub mod frame;
pub mod handshake;
mod json;
mod line;
mod market;
mod metrics;
mod outlet;
pub mod request;
mod round;
mod session;
pub mod slow_path;
mod topic;

pub use book_frames::BookFrames;
pub use config::Config;
pub use fanout::FanOut;
pub use slow_path::{HandedOver, SlowPath};
