//! The time of accounts: wall time of the start, moved on by the monotonic clock.
//!
//! A step of the wall clock while the process runs ends no session and unlocks nothing. Tests turn it by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A clock; cloning shares it.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System { start: Instant, start_ms: i64 },
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's.
    #[must_use]
    pub fn system() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let start_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        Self(Source::System { start: Instant::now(), start_ms })
    }

    /// One that stands at `now_ms` until [`Clock::advance_ms`].
    #[must_use]
    pub fn manual(now_ms: i64) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(now_ms))))
    }

    /// Now, milliseconds of Unix time.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        match &self.0 {
            Source::System { start, start_ms } => {
                start_ms.saturating_add(i64::try_from(start.elapsed().as_millis()).unwrap_or(i64::MAX))
            }
            Source::Manual(now_ms) => now_ms.load(Ordering::SeqCst),
        }
    }

    /// Moves a manual clock on; the machine's is not moved.
    pub fn advance_ms(&self, ms: i64) {
        if let Source::Manual(now_ms) = &self.0 {
            now_ms.fetch_add(ms, Ordering::SeqCst);
        }
    }
}

/// `ms` of Unix time as RFC 3339, UTC.
#[must_use]
pub fn rfc3339(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map(|time| time.to_string()).unwrap_or_default()
}
