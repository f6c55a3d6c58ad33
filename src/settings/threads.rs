//! `[threads]`: layout, pinning and waiting. Starts no thread.

use serde::{Deserialize, Serialize};

/// Whether threads stay on one core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Pin {
    /// Pin on machines with four cores or more.
    #[default]
    Auto,
    /// Pin.
    Always,
    /// Do not pin.
    Never,
}

/// How an idle thread waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Wait {
    /// Park below four cores, spin when pinned.
    #[default]
    Auto,
    /// Poll without pause: lowest latency, a whole core per thread.
    Spin,
    /// Yield the core, then poll again.
    Yield,
    /// Sleep until notified: lowest load.
    Park,
}

/// How the hot stages share threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// One thread each for feed, books and fan-out.
    #[default]
    Split,
    /// Feed, books and fan-out in one loop of one thread: one core is enough, and no message changes cores.
    Single,
}

/// `[threads]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Threads {
    /// `split` or `single`.
    pub layout: Layout,
    /// `auto`, `always` or `never`.
    pub pin: Pin,
    /// Cores for the feed, book and fan-out threads, in this order; empty = the last ones of the machine.
    pub cores: Vec<usize>,
    /// `auto`, `spin`, `yield` or `park`.
    pub wait: Wait,
    /// Threads of the slow path; 0 = one per core, at most 4.
    pub api_workers: usize,
}
