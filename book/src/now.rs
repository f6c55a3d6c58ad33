//! The two clocks of a turn, read once by the caller of the turn. Reads no clock itself.

use crate::Nanos;

/// One moment on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Nanoseconds of a clock that never goes back, from any beginning: every timer runs on it (silence, gaps, pace,
    /// heartbeats, pings, head time-outs, conflation, rates, closes).
    pub monotonic_ns: Nanos,
    /// Unix nanoseconds: written into slots and frames, decides nothing.
    pub wall_ns: Nanos,
}

/// For tests and measurements whose only clock never goes back.
impl From<Nanos> for Now {
    fn from(ns: Nanos) -> Self {
        Self { monotonic_ns: ns, wall_ns: ns }
    }
}
