//! From the update ring outwards: the WebSocket market-data server `/ws/v2`.
//!
//! [`FanOut`] is one thread's worth of it: a ring's reading end, a replica of the market, a listener and the
//! connections, on mio and without an async runtime. It owns no thread; both clocks are handed in as [`book::Now`]: whoever runs it calls
//! [`FanOut::do_work`] and [`FanOut::wait`] in turn.
//!
//! The way of one update: `websocket/shard` (a turn), `market` (what changed), `websocket/publish` (which topics),
//! `encode/json/frames` and `book_chain` (the text), `egress` (to every follower, and to the socket). Beside it:
//! `topics` (who follows what), the rest of `websocket` (connections, requests, snapshots), [`config`] (every bound),
//! [`slow_path`] (where connections go that are not ours), [`admission`] (where credentials go). [`BookFrames`] makes the frames of one channel without a server.

pub mod admission;
mod book_frames;
pub mod config;
mod egress;
mod encode;
mod ids;
mod market;
mod metrics;
pub mod slow_path;
mod topics;
mod websocket;

pub use admission::Admission;
pub use book_frames::BookFrames;
pub use config::Config;
pub use slow_path::{HandedOver, SlowPath};
pub use websocket::shard::FanOut;
pub use websocket::{frame, handshake, requests};
