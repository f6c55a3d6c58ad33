//! Whether the market fits the bounds of `[book]`: told by health while the process runs, and once by the log.
//!
//! Reads counters alone; refuses nothing, and raises no bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use api::Verdict;
use book::anomaly::{Anomalies, Anomaly};
use feed_handler::feed::FeedMetrics;

/// Bounds of the books, by their keys.
const BOUNDS: [(&str, Anomaly); 3] = [
    ("book.books_max", Anomaly::BooksExhausted),
    ("book.orders_max", Anomaly::OrdersExhausted),
    ("book.levels_max", Anomaly::LevelsExhausted),
];

/// What was refused because a bound was reached.
#[derive(Clone)]
pub struct BookBounds {
    anomalies: Arc<Anomalies>,
    feed: Arc<FeedMetrics>,
    told: Arc<[AtomicBool; BOUNDS.len()]>,
}

impl BookBounds {
    /// Of the books and the feed with these counters.
    pub fn new(anomalies: Arc<Anomalies>, feed: Arc<FeedMetrics>) -> Self {
        Self { anomalies, feed, told: Arc::default() }
    }

    /// Events that a bound refused.
    fn refused(&self, bound: Anomaly) -> u64 {
        let by_decoder = if bound == Anomaly::BooksExhausted { self.feed.refused_books() } else { 0 };
        self.anomalies.get(bound) + by_decoder
    }

    /// For health: other books exist, and are not shown.
    pub fn missing_books(&self) -> Option<String> {
        let refused = self.refused(Anomaly::BooksExhausted);
        (refused > 0).then(|| {
            format!("there are more: {refused} messages about books beyond book.books_max were refused; raise it and start again")
        })
    }

    /// For health: a market that is shown in part is degraded.
    pub fn verdict(&self) -> Verdict {
        let reached: Vec<String> = BOUNDS
            .into_iter()
            .map(|(key, bound)| (key, self.refused(bound)))
            .filter(|&(_, refused)| refused > 0)
            .map(|(key, refused)| {
                format!("{key} is reached: {refused} events refused, a part of the market is not shown")
            })
            .collect();
        if reached.is_empty() {
            Verdict::Up("no bound was reached".to_owned())
        } else {
            Verdict::Degraded(reached.join("; "))
        }
    }

    /// For the log: each bound once. How many were told now.
    pub fn tell(&self) -> usize {
        let mut told = 0;
        for ((key, bound), was_told) in BOUNDS.into_iter().zip(self.told.iter()) {
            let refused = self.refused(bound);
            if refused > 0 && !was_told.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    key,
                    refused,
                    "a bound is reached: a part of the market is not shown; raise it and start again"
                );
                told += 1;
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::source;
    use crate::settings::Settings;

    #[test]
    fn every_bound_that_is_reached_is_told_once_and_stays_in_health() {
        let (producer, _consumer) = book::ring::ring("events", 1 << 16, book::ring::Notifier::silent());
        let (line, _) = source::open_own_line(&Settings::default(), producer).unwrap();
        let anomalies = Arc::new(Anomalies::default());
        let bounds = BookBounds::new(Arc::clone(&anomalies), line.feed.metrics());
        assert_eq!(bounds.missing_books(), None);
        assert_eq!((bounds.verdict(), bounds.tell()), (Verdict::Up("no bound was reached".to_owned()), 0));
        for (key, bound) in BOUNDS {
            anomalies.count(bound);
            let Verdict::Degraded(reason) = bounds.verdict() else { panic!("{key} is not said") };
            assert!(reason.contains(key) && reason.contains("1 events refused"), "{reason}");
            assert_eq!((bounds.tell(), bounds.tell()), (1, 0), "{key}");
            let missing = bounds.missing_books().expect("the first bound is that of the books");
            assert!(missing.contains("1 messages") && missing.contains("book.books_max"), "{missing}");
        }
    }
}
