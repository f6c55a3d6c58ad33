//! The two clocks of a turn, read once by whoever runs it. Reads no clock itself.

use book::Nanos;

/// One moment on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Nanoseconds of a clock that never jumps, from any beginning: drives every timer (heartbeats, pings, head time-outs,
    /// conflation, rates, closes).
    pub monotonic_ns: Nanos,
    /// Unix nanoseconds: written into frames, decides nothing.
    pub wall_ns: Nanos,
}

/// For tests and measurements whose only clock never jumps.
impl From<Nanos> for Now {
    fn from(ns: Nanos) -> Self {
        Self { monotonic_ns: ns, wall_ns: ns }
    }
}
