//! Bounds and habits of a live feed. Values only.

use book::Nanos;

use crate::recovery::sequencer;

/// Bounds and habits of a live feed.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// Order, gaps and requests. Without a request server its `recovery` is taken as `None`.
    pub sequencer: sequencer::SequencerConfig,
    /// Silence on all lines, heartbeats included, after which the feed counts as stale; heartbeats come about once
    /// per second. `u64::MAX` = never.
    pub stale_ns: u64,
    /// Finish after the end of the first session instead of waiting for the next one.
    pub stop_at_end: bool,
    /// Partition, written into every order event.
    pub channel_id: u8,
    /// Our clock, to measure turns with; `None` = they are not measured.
    pub clock: Option<fn() -> Nanos>,
    /// Label `source` of the metrics: who sends on the line, `itch` or `sim`.
    pub source: &'static str,
    /// The midnight that times without a date count from, by our clock; read at each session. `None` = the decoder's.
    pub midnight_of: Option<fn(Nanos) -> Nanos>,
}

impl Default for LiveOptions {
    /// Stale after five seconds; waits for the next session.
    fn default() -> Self {
        Self {
            sequencer: sequencer::SequencerConfig::default(),
            stale_ns: 5_000_000_000,
            stop_at_end: false,
            channel_id: 0,
            clock: None,
            source: "itch",
            midnight_of: None,
        }
    }
}
