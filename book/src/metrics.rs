//! Counters that a hot thread writes and a scrape reads.
//!
//! One writer each: a plain load and store, never a locked instruction. Reading never disturbs the writer.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows. One thread writes, any thread reads.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Zero.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Adds. Only the owning thread may call it: two writers would lose counts (not memory safety).
    #[inline]
    pub fn add(&self, amount: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
    }

    /// The value now.
    #[inline]
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down. One thread writes, any thread reads.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Zero.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Sets the value.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The value now.
    #[inline]
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper ends of the latency buckets in nanoseconds, 250 ns .. 100 ms.
pub const LATENCY_BOUNDS_NS: [u64; 18] = [
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
];

/// Fine buckets of each power of two: each is 1/16 of its lower end wide, so a percentile is right within 6.25 %.
const FINE_PER_OCTAVE: u64 = 16;
/// Longer durations count as this: 2^37 ns, 137 s.
const FINE_MAX_NS: u64 = (1 << 37) - 1;
/// 16 exact ones below 16 ns, and 16 for each of the 33 powers of two from 2^4 to 2^36: 544.
const FINE_BUCKETS: usize = fine_bucket(FINE_MAX_NS) + 1;

const _: () = assert!(FINE_BUCKETS == 544);

/// The fine bucket of a duration.
const fn fine_bucket(duration_ns: u64) -> usize {
    let ns = if duration_ns < FINE_MAX_NS { duration_ns } else { FINE_MAX_NS };
    if ns < FINE_PER_OCTAVE {
        return ns as usize;
    }
    let shift = ns.ilog2() - FINE_PER_OCTAVE.ilog2();
    ((shift as u64) * FINE_PER_OCTAVE + (ns >> shift)) as usize
}

/// The longest duration in a fine bucket, ns.
const fn fine_end_ns(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < FINE_PER_OCTAVE {
        return bucket;
    }
    let shift = bucket / FINE_PER_OCTAVE - 1;
    ((FINE_PER_OCTAVE + bucket % FINE_PER_OCTAVE + 1) << shift) - 1
}

/// A latency histogram. One thread writes, any thread reads; recording is three plain additions, about 4 ns.
///
/// The bounds of the exposition are counted exactly, and beside them fine buckets, from which percentiles are read.
#[derive(Debug)]
pub struct Latency {
    buckets: [Counter; LATENCY_BOUNDS_NS.len() + 1],
    fine: [Counter; FINE_BUCKETS],
    sum_ns: Counter,
}

impl Default for Latency {
    fn default() -> Self {
        Self { buckets: Default::default(), fine: [const { Counter::new() }; FINE_BUCKETS], sum_ns: Counter::new() }
    }
}

impl Latency {
    /// Records one duration.
    #[inline]
    pub fn record(&self, duration_ns: u64) {
        let bucket = LATENCY_BOUNDS_NS.partition_point(|&bound| bound < duration_ns);
        self.buckets[bucket].add(1);
        self.fine[fine_bucket(duration_ns)].add(1);
        self.sum_ns.add(duration_ns);
    }

    /// The duration that `parts` of `of` durations do not exceed, in ns and within 6.25 % (never too short; above 137 s:
    /// 137 s): `(1, 2)` is the median, `(9_999, 10_000)` the 99.99th percentile. `None` while nothing was recorded.
    ///
    /// Reads while the other thread writes: a duration recorded meanwhile may be missing.
    #[must_use]
    pub fn quantile_ns(&self, parts: u64, of: u64) -> Option<u64> {
        let counts: Vec<u64> = self.fine.iter().map(Counter::get).collect();
        let total: u64 = counts.iter().sum();
        let rank = (u128::from(total) * u128::from(parts)).div_ceil(u128::from(of.max(1))).max(1);
        let mut below = 0;
        for (bucket, count) in counts.iter().enumerate() {
            below += u128::from(*count);
            if below >= rank {
                return Some(fine_end_ns(bucket));
            }
        }
        None
    }

    /// Counts per bucket (the last one: above all bounds) and the sum in nanoseconds.
    #[must_use]
    pub fn read(&self) -> ([u64; LATENCY_BOUNDS_NS.len() + 1], u64) {
        let mut counts = [0; LATENCY_BOUNDS_NS.len() + 1];
        for (count, bucket) in counts.iter_mut().zip(&self.buckets) {
            *count = bucket.get();
        }
        (counts, self.sum_ns.get())
    }
}

/// What a sample is, for the exposition.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Grows only.
    Counter(u64),
    /// Any number.
    Gauge(f64),
    /// Counts per bucket of [`LATENCY_BOUNDS_NS`] and one above, and the sum in nanoseconds.
    Latency([u64; LATENCY_BOUNDS_NS.len() + 1], u64),
}

/// One value of one metric at the time of a scrape.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Full name as scraped, `bist_ring_full_total` (counters end in `_total`).
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// Label pairs; never a symbol, user or order id.
    pub labels: Vec<(&'static str, String)>,
    /// The value.
    pub value: Value,
}

impl Sample {
    /// A counter's sample.
    #[must_use]
    pub fn counter(name: &'static str, help: &'static str, labels: &[(&'static str, &str)], value: u64) -> Self {
        Self::new(name, help, labels, Value::Counter(value))
    }

    /// A gauge's sample.
    #[must_use]
    pub fn gauge(name: &'static str, help: &'static str, labels: &[(&'static str, &str)], value: f64) -> Self {
        Self::new(name, help, labels, Value::Gauge(value))
    }

    /// A latency histogram's sample.
    #[must_use]
    pub fn latency(name: &'static str, help: &'static str, labels: &[(&'static str, &str)], value: &Latency) -> Self {
        let (counts, sum_ns) = value.read();
        Self::new(name, help, labels, Value::Latency(counts, sum_ns))
    }

    fn new(name: &'static str, help: &'static str, labels: &[(&'static str, &str)], value: Value) -> Self {
        Self { name, help, labels: labels.iter().map(|&(key, text)| (key, text.to_owned())).collect(), value }
    }
}

/// Something that can be scraped. Called on the slow path, from any thread.
pub trait MetricSource: Send + Sync {
    /// Appends the current samples; samples of one name stand together.
    fn collect(&self, samples: &mut Vec<Sample>);

    /// Hands out the latencies of its stages by their names in `bist_stage_latency_seconds`, for who reads percentiles.
    fn stages(&self, _each: &mut dyn FnMut(&'static str, &Latency)) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_falls_into_the_first_bucket_that_holds_it() {
        let latency = Latency::default();
        for ns in [0, 250, 251, 100_000_000, 100_000_001] {
            latency.record(ns);
        }
        let (counts, sum) = latency.read();
        assert_eq!((counts[0], counts[1], counts[17], counts[18]), (2, 1, 1, 1));
        assert_eq!(sum, 200_000_502);
    }

    #[test]
    fn percentiles_are_right_within_a_sixteenth_and_never_too_short() {
        assert_eq!(Latency::default().quantile_ns(1, 2), None);
        let mut bucket = 0;
        for ns in (0..5_000).chain((5_000..40_000_000).step_by(977)).chain([FINE_MAX_NS]) {
            let at = fine_bucket(ns);
            assert!(at >= bucket && fine_end_ns(at) >= ns && fine_end_ns(at) - ns <= ns / 16, "{ns} ns in bucket {at}");
            assert!(at == 0 || fine_end_ns(at - 1) < ns, "{ns} ns");
            bucket = at;
        }
        let latency = Latency::default();
        (1..=10_000).for_each(|us| latency.record(us * 1_000));
        latency.record(u64::MAX);
        for (parts, of, expected_ns) in [(1, 2, 5_000_000), (99, 100, 9_900_000), (9_999, 10_000, 10_000_000)] {
            let quantile_ns = latency.quantile_ns(parts, of).unwrap();
            assert!((expected_ns..=expected_ns * 17 / 16).contains(&quantile_ns), "{parts}/{of}: {quantile_ns}");
        }
        assert_eq!(latency.quantile_ns(1, 1), Some(FINE_MAX_NS));
    }
}
