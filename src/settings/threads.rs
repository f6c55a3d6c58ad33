//! `[threads]`: layout, pinning and waiting. Starts no thread.

use serde::{Deserialize, Serialize};

/// Whether threads stay on one core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Pin {
    /// Yes from four cores on.
    #[default]
    Auto,
    /// Yes.
    Always,
    /// No.
    Never,
}

/// What a thread does when there is nothing to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Wait {
    /// Park below four cores, spin when pinned.
    #[default]
    Auto,
    /// Look again at once: lowest latency, a whole core each.
    Spin,
    /// Let others run, then look again.
    Yield,
    /// Sleep until woken: a quiet machine.
    Park,
}

/// Which thread does what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// A thread each for feed, books and fan-out.
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
    /// Threads of the slow path; 0 = as many as cores, at most 4.
    pub api_workers: usize,
}
