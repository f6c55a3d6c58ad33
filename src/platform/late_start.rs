//! Whether the feed knows its session from the beginning: told by health while it does not, and once by the log.
//!
//! Reads a counter alone; asks nobody for what is missing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use api::Verdict;
use feed_handler::feed::FeedMetrics;

/// What an operator can do.
const REMEDY: &str = "set feed.request_server to catch up from message 1, or start before the session begins";

/// The session in force, if it was joined after its beginning.
#[derive(Clone)]
pub struct LateStart {
    feed: Arc<FeedMetrics>,
    told: Arc<AtomicU64>,
}

impl LateStart {
    /// Of the feed with these counters.
    pub fn new(feed: Arc<FeedMetrics>) -> Self {
        Self { feed, told: Arc::default() }
    }

    /// For health: books that may be wrong are shown, and marked.
    pub fn verdict(&self) -> Verdict {
        verdict(self.feed.joined_midway())
    }

    /// For the log: once for each session that was joined midway. Whether it was told now.
    pub fn tell(&self) -> bool {
        let from = self.feed.joined_midway();
        let news = from > 0 && self.told.swap(from, Ordering::Relaxed) != from;
        if news {
            tracing::warn!(
                first_message = from,
                "the session was joined midway: orders before are unknown, every book is marked maybe_bad; {REMEDY}"
            );
        }
        news
    }
}

fn verdict(from: u64) -> Verdict {
    match from {
        0 => Verdict::Up("the session is known from its beginning".to_owned()),
        from => Verdict::Degraded(format!(
            "the session was joined at message {from}: what came before is unknown, and every book may be wrong; {REMEDY}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_start_names_the_key_that_helps() {
        assert!(matches!(verdict(0), Verdict::Up(_)));
        let Verdict::Degraded(words) = verdict(7_000) else { panic!("a late start is not a good one") };
        assert!(words.contains("message 7000") && words.contains("feed.request_server"), "{words}");
    }
}
