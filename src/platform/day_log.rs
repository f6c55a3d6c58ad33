//! The log tells the day: sessions, gaps, silence, full rings, wrong events, slow and refused clients.
//!
//! Reads the counters that the scrape reads, from the main thread, a few times a second. The hot threads only count: they
//! never log. Each counter gives at most one line a second, which says how much it moved since the last one, so that a
//! storm of anything is a line a second and not a full disk.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use book::metrics::{MetricSource, Sample, Value};

/// Shortest time between two looks, and so between two lines about one counter.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

/// How loud a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Info,
    Warn,
}

/// Counters that are news when they move, and what to say then.
const NEWS: [(&str, Level, &str); 18] = [
    ("bist_feed_sessions_total", Level::Info, "a session of the feed began: books are empty and numbers begin again"),
    ("bist_feed_gaps_total", Level::Warn, "messages were lost: books of the partition are marked maybe_bad"),
    ("bist_feed_lost_messages_total", Level::Warn, "messages lost in gaps"),
    (
        "bist_feed_line_mismatch_total",
        Level::Warn,
        "lines said different things under one number: books are marked maybe_bad until the next session; find out which \
         line is wrong and take it out of feed.lines",
    ),
    ("bist_feed_refused_total", Level::Warn, "the decoder refused messages"),
    ("bist_feed_damaged_packets_total", Level::Warn, "datagrams arrived that are no whole packet"),
    (
        "bist_feed_kernel_drops_total",
        Level::Warn,
        "the kernel dropped datagrams: raise feed.receive_buffer_bytes (`bist doctor`)",
    ),
    ("bist_feed_socket_errors_total", Level::Warn, "a socket of the feed failed"),
    ("bist_feed_ring_full_total", Level::Warn, "the event ring was full: the feed thread stopped reading for a while"),
    ("bist_feed_read_errors_total", Level::Warn, "the recording could not be read to its end"),
    ("bist_ring_full_total", Level::Warn, "a ring was full"),
    ("bist_book_anomalies_total", Level::Warn, "events contradicted a book or met a bound of [book]"),
    ("bist_book_reader_gaps_total", Level::Warn, "a reader fell behind and gets snapshots of the books it missed"),
    ("bist_ws_slow_readers_total", Level::Warn, "clients read too slowly; the policy of their subscriptions acted"),
    ("bist_ws_refused_total", Level::Warn, "the WebSocket server refused connections or requests"),
    (
        "bist_fanout_invariant_broken_total",
        Level::Warn,
        "an invariant of the fan-out broke; the client was closed or resynchronised",
    ),
    ("bist_http_rate_limited_total", Level::Info, "requests were refused by the rate limit"),
    ("bist_http_connections_refused_total", Level::Warn, "HTTP connections were refused for want of room"),
];

/// A counter whose latest cause another sample numbers: where to look.
const REFUSED: (&str, &str) = ("bist_feed_refused_total", "bist_feed_refused_message");

/// One line to be written.
#[derive(Clone, Debug, PartialEq)]
struct Line {
    level: Level,
    what: &'static str,
    labels: String,
    /// How much the counter moved; 0 for a state that changed.
    count: u64,
}

/// What was last seen.
pub struct DayLog {
    sources: Vec<Arc<dyn MetricSource>>,
    seen: BTreeMap<(&'static str, String), u64>,
    /// Whether the feed was stale at the last look; `None` before the first.
    stale: Option<bool>,
    looked: Option<Instant>,
    samples: Vec<Sample>,
}

impl DayLog {
    /// A log of what `sources` count from now on.
    pub fn new(sources: Vec<Arc<dyn MetricSource>>) -> Self {
        Self { sources, seen: BTreeMap::new(), stale: None, looked: None, samples: Vec::new() }
    }

    /// Looks, at most once a second, and writes what is new.
    pub fn look(&mut self, now: Instant) {
        if self.looked.is_some_and(|looked| now.duration_since(looked) < LOOK_PERIOD) {
            return;
        }
        self.looked = Some(now);
        for Line { level, what, labels, count } in self.news() {
            match level {
                Level::Info => tracing::info!(count, labels, "{what}"),
                Level::Warn => tracing::warn!(count, labels, "{what}"),
            }
        }
    }

    fn news(&mut self) -> Vec<Line> {
        let mut samples = std::mem::take(&mut self.samples);
        samples.clear();
        self.sources.iter().for_each(|source| source.collect(&mut samples));
        let mut lines = Vec::new();
        for sample in &samples {
            match sample.value {
                Value::Counter(value) => {
                    lines.extend(self.moved(sample, value).map(|line| located(line, sample, &samples)))
                }
                Value::Gauge(value) if sample.name == "bist_feed_stale" => {
                    lines.extend(self.state(sample, value > 0.5))
                }
                _ => {}
            }
        }
        self.samples = samples;
        lines
    }

    fn moved(&mut self, sample: &Sample, value: u64) -> Option<Line> {
        let &(_, level, what) = NEWS.iter().find(|(name, ..)| *name == sample.name)?;
        let labels = labels(sample);
        let before = self.seen.insert((sample.name, labels.clone()), value).unwrap_or(0);
        let count = value.saturating_sub(before);
        (count > 0).then_some(Line { level, what, labels, count })
    }

    fn state(&mut self, sample: &Sample, stale: bool) -> Option<Line> {
        let before = self.stale.replace(stale);
        let (level, what) = match (before, stale) {
            (Some(true), false) => (Level::Info, "the feed is alive again"),
            (Some(false) | None, true) => {
                (Level::Warn, "the feed is stale: nothing came for longer than feed.stale_ms")
            }
            _ => return None,
        };
        Some(Line { level, what, labels: labels(sample), count: 0 })
    }
}

/// The line with the number of the message that it tells of last, where that is known.
fn located(mut line: Line, of: &Sample, samples: &[Sample]) -> Line {
    let place = samples.iter().find(|sample| of.name == REFUSED.0 && sample.name == REFUSED.1);
    if let Some(Value::Gauge(message)) = place.map(|sample| &sample.value) {
        line.labels.push_str(&format!(" latest_message={message}"));
    }
    line
}

/// `reason=lost source=sim`, without what a reader of the log knows.
fn labels(sample: &Sample) -> String {
    let pairs: Vec<String> = sample.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use book::metrics::{Counter, Gauge};

    #[derive(Default)]
    struct Feed {
        gaps: Counter,
        bytes: Counter,
        refused: Counter,
        refused_message: Gauge,
        stale: Gauge,
    }

    impl MetricSource for Feed {
        fn collect(&self, samples: &mut Vec<Sample>) {
            let reason = [("reason", "lost")];
            samples.push(Sample::counter("bist_feed_gaps_total", "", &reason, self.gaps.get()));
            samples.push(Sample::counter("bist_feed_bytes_total", "", &[], self.bytes.get()));
            let reason = [("reason", "short")];
            samples.push(Sample::counter("bist_feed_refused_total", "", &reason, self.refused.get()));
            let message = self.refused_message.get() as f64;
            samples.push(Sample::gauge("bist_feed_refused_message", "", &[], message));
            samples.push(Sample::gauge("bist_feed_stale", "", &[], self.stale.get() as f64));
        }
    }

    fn told(log: &mut DayLog) -> Vec<(&'static str, String, u64)> {
        log.news().into_iter().map(|line| (line.what, line.labels, line.count)).collect()
    }

    #[test]
    fn a_counter_is_news_once_with_how_much_it_moved() {
        let feed = Arc::new(Feed::default());
        let mut log = DayLog::new(vec![Arc::clone(&feed) as _]);
        feed.bytes.add(1_000);
        assert_eq!(told(&mut log), [], "traffic is no news");
        feed.gaps.add(3);
        assert_eq!(told(&mut log), [(NEWS[1].2, "reason=lost".to_owned(), 3)]);
        assert_eq!(told(&mut log), []);
        feed.gaps.add(1);
        assert_eq!(told(&mut log), [(NEWS[1].2, "reason=lost".to_owned(), 1)]);
    }

    #[test]
    fn a_refusal_is_told_with_the_number_of_its_message() {
        let feed = Arc::new(Feed::default());
        let mut log = DayLog::new(vec![Arc::clone(&feed) as _]);
        feed.refused.add(2);
        feed.refused_message.set(88_120);
        assert_eq!(told(&mut log), [(NEWS[4].2, "reason=short latest_message=88120".to_owned(), 2)]);
        feed.refused.add(1);
        assert_eq!(told(&mut log)[0].2, 1, "the same counter, wherever its latest message stands");
    }

    #[test]
    fn silence_and_its_end_are_told_once_each() {
        let feed = Arc::new(Feed::default());
        let mut log = DayLog::new(vec![Arc::clone(&feed) as _]);
        assert_eq!(told(&mut log), []);
        feed.stale.set(1);
        assert_eq!(told(&mut log).len(), 1);
        assert_eq!(told(&mut log), [], "still stale");
        feed.stale.set(0);
        assert_eq!(told(&mut log)[0].0, "the feed is alive again");
    }

    #[test]
    fn a_storm_is_one_line_a_second() {
        let feed = Arc::new(Feed::default());
        let mut log = DayLog::new(vec![Arc::clone(&feed) as _]);
        let begin = Instant::now();
        log.look(begin);
        feed.gaps.add(1);
        log.look(begin + Duration::from_millis(999));
        assert_eq!(log.seen.values().max(), Some(&0), "not looked yet");
        log.look(begin + LOOK_PERIOD);
        assert_eq!(log.seen.values().max(), Some(&1));
    }
}
