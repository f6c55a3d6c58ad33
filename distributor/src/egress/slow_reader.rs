//! When a client reads too slowly, and what it wanted to be done then.
//!
//! Values only: who is slow is seen where frames are handed out.

/// What to do when a client does not read fast enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Stop, then a gap and a snapshot.
    Skip,
    /// Warn, go on to the hard limit, then as `skip`.
    Warn,
    /// Close.
    Disconnect,
}

impl Policy {
    /// The name outside.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Warn => "warn",
            Self::Disconnect => "disconnect",
        }
    }
}

/// Bounds of what clients have not taken yet, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of a client, at which its policy acts.
    pub queue_bytes: usize,
    /// Of a client, at which nothing more is queued.
    pub queue_bytes_max: usize,
    /// Of all clients together; above it both limits shrink.
    pub queue_bytes_total: usize,
}

impl Limits {
    /// Unsent bytes at which the policy acts, and at which nothing more is queued. Both shrink while all queues together
    /// are over budget.
    #[inline]
    #[must_use]
    pub const fn thresholds(&self, over_budget: bool) -> (usize, usize) {
        let Self { queue_bytes, queue_bytes_max, .. } = *self;
        if over_budget { (queue_bytes / 16, queue_bytes) } else { (queue_bytes, queue_bytes_max) }
    }
}
