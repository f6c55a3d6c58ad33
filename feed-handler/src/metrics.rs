//! What the feed thread counts, and how a scrape sees it.
//!
//! Written by the feed thread alone, with plain stores; read by the scrape. The scrape itself may read the clock and
//! `/proc`, which the feed thread never does.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use book::Nanos;
use book::metrics::{Counter, Gauge, Latency, MetricSource, Sample};

use crate::sink::Refused;
use crate::source::udp::kernel_drops;

/// The reasons of [`Refused`], in the order of their counters.
const REASONS: [&str; 7] = ["unknown_type", "short", "empty", "bad_field", "no_time", "unknown_book", "too_many_books"];

/// Counters of one feed. Totals kept elsewhere are gauges here, set once per turn, and are told as the counters
/// they are.
#[derive(Debug)]
pub struct FeedMetrics {
    source: &'static str,
    addresses: Vec<SocketAddr>,
    pub(crate) by_kind: Box<[Counter; 256]>,
    pub(crate) decoded: Counter,
    refused: [Counter; REASONS.len()],
    pub(crate) gaps: Counter,
    pub(crate) lost: Counter,
    pub(crate) bytes: Counter,
    pub(crate) packets: Gauge,
    pub(crate) heartbeats: Gauge,
    pub(crate) repeats: Gauge,
    pub(crate) damaged: Gauge,
    pub(crate) parked: Gauge,
    pub(crate) parked_dropped: Gauge,
    pub(crate) requests: Gauge,
    pub(crate) socket_errors: Gauge,
    pub(crate) sessions: Counter,
    pub(crate) ring_full: Counter,
    pub(crate) stale: Gauge,
    pub(crate) received_ns: Gauge,
    pub(crate) read_errors: Counter,
    pub(crate) decode: Latency,
}

impl FeedMetrics {
    /// All zero. `source` is the label (`itch`, `replay`); `addresses` are sockets whose kernel drops are told.
    #[must_use]
    pub fn new(source: &'static str, addresses: Vec<SocketAddr>) -> Self {
        Self {
            source,
            addresses,
            by_kind: Box::new([const { Counter::new() }; 256]),
            decoded: Counter::new(),
            refused: Default::default(),
            gaps: Counter::new(),
            lost: Counter::new(),
            bytes: Counter::new(),
            packets: Gauge::new(),
            heartbeats: Gauge::new(),
            repeats: Gauge::new(),
            damaged: Gauge::new(),
            parked: Gauge::new(),
            parked_dropped: Gauge::new(),
            requests: Gauge::new(),
            socket_errors: Gauge::new(),
            sessions: Counter::new(),
            ring_full: Counter::new(),
            stale: Gauge::new(),
            received_ns: Gauge::new(),
            read_errors: Counter::new(),
            decode: Latency::default(),
        }
    }

    #[inline]
    pub(crate) fn on_message(&self, kind: u8, refused: Option<Refused>) {
        self.by_kind[usize::from(kind)].add(1);
        match refused {
            None => self.decoded.add(1),
            Some(refused) => self.on_refused(refused),
        }
    }

    #[cold]
    fn on_refused(&self, refused: Refused) {
        self.refused[reason_index(refused)].add(1);
    }

    /// Messages decoded.
    #[must_use]
    pub fn decoded(&self) -> u64 {
        self.decoded.get()
    }

    /// Messages refused, all reasons.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.iter().map(Counter::get).sum()
    }

    /// Gaps that were not repaired.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        self.gaps.get()
    }

    /// Times that reading stopped because the event ring had no room.
    #[must_use]
    pub fn ring_full(&self) -> u64 {
        self.ring_full.get()
    }

    /// Whether nothing came for too long.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.stale.get() != 0
    }

    /// When the last packet or message came, our clock; 0 = none yet.
    #[must_use]
    pub fn received_ns(&self) -> Nanos {
        self.received_ns.get()
    }
}

const fn reason_index(refused: Refused) -> usize {
    match refused {
        Refused::UnknownType(_) => 0,
        Refused::Short { .. } => 1,
        Refused::Empty => 2,
        Refused::BadField { .. } => 3,
        Refused::NoTime { .. } => 4,
        Refused::UnknownBook { .. } => 5,
        Refused::TooManyBooks { .. } => 6,
    }
}

impl MetricSource for FeedMetrics {
    fn stages(&self, each: &mut dyn FnMut(&'static str, &Latency)) {
        each("decode", &self.decode);
    }

    fn collect(&self, samples: &mut Vec<Sample>) {
        let source = [("source", self.source)];
        samples.push(Sample::counter(
            "market_ticks_processed_total",
            "Messages decoded and handed to the books.",
            &[],
            self.decoded.get(),
        ));
        for (kind, count) in self.by_kind.iter().enumerate().filter(|(_, count)| count.get() > 0) {
            let kind = kind as u8;
            let name = if kind.is_ascii_graphic() { char::from(kind).to_string() } else { format!("0x{kind:02x}") };
            samples.push(Sample::counter(
                "bist_feed_messages_total",
                "Messages by their type, refused ones included.",
                &[("source", self.source), ("type", &name)],
                count.get(),
            ));
        }
        for (reason, count) in REASONS.iter().zip(&self.refused) {
            samples.push(Sample::counter(
                "bist_feed_refused_total",
                "Messages that could not be decoded.",
                &[("source", self.source), ("reason", reason)],
                count.get(),
            ));
        }
        samples.push(Sample::counter(
            "bist_feed_gaps_total",
            "Gaps in the numbers that were not repaired.",
            &[("source", self.source), ("reason", "lost")],
            self.gaps.get(),
        ));
        if let Ok(now) = SystemTime::now().duration_since(UNIX_EPOCH)
            && self.received_ns.get() > 0
        {
            let age_ns = (now.as_nanos() as u64).saturating_sub(self.received_ns.get());
            samples.push(Sample::gauge(
                "bist_feed_age_seconds",
                "Time since the last packet or recorded message.",
                &source,
                age_ns as f64 / 1e9,
            ));
        }
        let stale = self.stale.get() as f64;
        samples.push(Sample::gauge("bist_feed_stale", "1 when nothing came for too long.", &source, stale));
        for (name, help, value) in [
            ("bist_feed_lost_messages_total", "Messages in gaps that were not repaired.", self.lost.get()),
            ("bist_feed_bytes_total", "Bytes of packets received.", self.bytes.get()),
            ("bist_feed_packets_total", "Packets received on all lines.", self.packets.get()),
            ("bist_feed_heartbeats_total", "Packets that only say that the sender lives.", self.heartbeats.get()),
            ("bist_feed_repeats_total", "Messages that had come before, as from the other line.", self.repeats.get()),
            ("bist_feed_damaged_packets_total", "Datagrams that are no whole packet.", self.damaged.get()),
            ("bist_feed_parked_packets_total", "Packets that came too early and were kept.", self.parked.get()),
            ("bist_feed_parked_dropped_total", "Packets that came too early, not kept.", self.parked_dropped.get()),
            ("bist_feed_requests_total", "Requests for lost messages.", self.requests.get()),
            ("bist_feed_socket_errors_total", "Errors of the feed's sockets.", self.socket_errors.get()),
            ("bist_feed_sessions_total", "Sessions begun, laps of a replay included.", self.sessions.get()),
            (
                "bist_feed_ring_full_total",
                "Times that reading stopped because the event ring had no room.",
                self.ring_full.get(),
            ),
            ("bist_feed_read_errors_total", "Recordings that could not be read to their end.", self.read_errors.get()),
        ] {
            samples.push(Sample::counter(name, help, &source, value));
        }
        samples.push(Sample::latency(
            "bist_stage_latency_seconds",
            "Time of one turn of a live feed that brought packets, reading the socket included (one turn in 4).",
            &[("stage", "decode")],
            &self.decode,
        ));
        for &address in &self.addresses {
            if let Some(drops) = kernel_drops(address) {
                let address = address.to_string();
                samples.push(Sample::counter(
                    "bist_feed_kernel_drops_total",
                    "Datagrams that the kernel dropped because the receive buffer was full.",
                    &[("source", self.source), ("address", &address)],
                    drops,
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_counted_under_its_own_name() {
        for refused in [
            Refused::UnknownType(1),
            Refused::Short { kind: 1, got: 0, need: 1 },
            Refused::Empty,
            Refused::BadField { kind: 1, field: "side" },
            Refused::NoTime { kind: 1 },
            Refused::UnknownBook { book_id: 1 },
            Refused::TooManyBooks { book_id: 1 },
        ] {
            assert_eq!(REASONS[reason_index(refused)], refused.reason());
        }
    }

    #[test]
    fn samples_of_one_name_stand_together_and_have_help() {
        let metrics = FeedMetrics::new("itch", Vec::new());
        metrics.on_message(b'A', None);
        metrics.on_message(7, Some(Refused::UnknownType(7)));
        let mut samples = Vec::new();
        metrics.collect(&mut samples);
        let mut names: Vec<_> = samples.iter().map(|sample| sample.name).collect();
        names.dedup();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(samples.iter().all(|sample| sample.help.ends_with('.')));
        assert_eq!((metrics.decoded(), metrics.refused()), (1, 1));
    }
}
