//! Bounds and times of a sequencer. Values only.

use book::Nanos;

/// Which number a session is expected to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The first session goes on at this number (1 = its beginning), later ones begin at 1: whatever is missing
    /// from there on is a gap.
    At(u64),
    /// Whatever comes first, in every session; what was before is nobody's loss.
    Join,
}

/// How lost messages are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// How long the other line may take to fill a gap before the first request.
    pub delay_ns: Nanos,
    /// Least time between two requests of this partition. Doubles up to one second while nothing that was asked for
    /// comes.
    pub interval_ns: Nanos,
    /// Most messages of one request.
    pub messages_max: u16,
}

/// Bounds and times of a [`Sequencer`](super::Sequencer).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequencerConfig {
    /// Where a session begins.
    pub start: Start,
    /// Packets kept while a number before them is missing (at least 1). When all places are taken: with `recovery`
    /// the packet farthest ahead is dropped, to be asked for later; without it the gap is given up at once, because
    /// waiting on would only lose more.
    pub packets_parked_max: usize,
    /// Bytes kept per parked packet; a longer one that comes too early is dropped and counted.
    pub datagram_bytes_max: usize,
    /// How long a missing number is waited for, from the arrival of what comes after it; with `recovery`, anew
    /// whenever something that was missing came.
    pub gap_timeout_ns: Nanos,
    /// A session whose numbers are all below the expected one for this long was started over by the exchange.
    /// Must be several heartbeats (1 s each) long, or a lagging line looks like one.
    pub restart_after_ns: Nanos,
    /// Most parked packets delivered by one call, so that one call cannot fill the ring behind it (at least 1).
    pub packets_released_max: usize,
    /// Most numbers that a session can leap ahead; farther ahead it counts as begun anew.
    pub jump_max: u64,
    /// Whether and how lost messages are asked for.
    pub recovery: Option<Recovery>,
    /// Whether the contents of repeats are compared with what was taken first: for partitions with several lines. Takes
    /// half a megabyte and one small hash for each message.
    pub compares_lines: bool,
}

impl Default for SequencerConfig {
    /// 1,024 parked packets of 1,500 bytes (1.5 MB), a gap is given up after 200 ms, nothing is asked for.
    fn default() -> Self {
        Self {
            start: Start::At(1),
            packets_parked_max: 1_024,
            datagram_bytes_max: 1_500,
            gap_timeout_ns: 200_000_000,
            restart_after_ns: 5_000_000_000,
            packets_released_max: 16,
            jump_max: 1_000_000,
            recovery: None,
            compares_lines: false,
        }
    }
}
