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

/// A latency histogram with fixed bounds. One thread writes, any thread reads.
#[derive(Debug, Default)]
pub struct Latency {
    buckets: [Counter; LATENCY_BOUNDS_NS.len() + 1],
    sum_ns: Counter,
}

impl Latency {
    /// Records one duration.
    #[inline]
    pub fn record(&self, duration_ns: u64) {
        let bucket = LATENCY_BOUNDS_NS.partition_point(|&bound| bound < duration_ns);
        self.buckets[bucket].add(1);
        self.sum_ns.add(duration_ns);
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
}
