//! What the feed thread counts, and how a scrape sees it.
//!
//! Written by the feed thread alone, with plain stores; read by the scrape. The scrape itself may read the clock and
//! `/proc`, which the feed thread never does.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use book::Nanos;
use book::metrics::{Counter, Gauge, Latency, MetricSource, Sample};

use crate::decode::sink::Refused;
use crate::net::kernel_drops::kernel_drops;
use crate::net::udp::LineIndex;
use crate::recovery::sequencer::PacketOutcome;
use crate::wire::moldudp64::BadPacket;

/// The reasons of [`Refused`], in the order of their counters.
const REASONS: [&str; 7] = ["unknown_type", "short", "empty", "bad_field", "no_time", "unknown_book", "too_many_books"];

/// What became of the packets of a line, in the order of their counters. Together they are all that the line brought.
const OUTCOMES: [&str; 8] = ["first", "duplicate", "heartbeat", "stale", "dropped", "damaged", "foreign", "jumped"];

/// Packets of one line, by what became of them.
#[derive(Debug)]
struct LineMetrics {
    name: &'static str,
    packets: [Counter; OUTCOMES.len()],
    mismatches: Counter,
}

/// Counters of one feed. Totals kept elsewhere are gauges here, set once per turn, and are told as the counters
/// they are.
#[derive(Debug)]
pub struct FeedMetrics {
    source: &'static str,
    addresses: Vec<SocketAddr>,
    lines: Box<[LineMetrics]>,
    pub(crate) by_kind: Box<[Counter; 256]>,
    pub(crate) decoded: Counter,
    refused: [Counter; REASONS.len()],
    refused_message: Gauge,
    pub(crate) gaps: Counter,
    pub(crate) lost: Counter,
    pub(crate) bytes: Counter,
    pub(crate) packets: Gauge,
    pub(crate) heartbeats: Gauge,
    pub(crate) repeats: Gauge,
    pub(crate) damaged: Gauge,
    pub(crate) foreign: Gauge,
    pub(crate) jumped: Gauge,
    pub(crate) source_refused: Gauge,
    pub(crate) joined_midway: Gauge,
    pub(crate) session_mismatches: Gauge,
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
    /// All zero. `source` is the label (`itch`, `replay`); `addresses` are sockets whose kernel drops are told;
    /// `lines` are the names of the lines, in the order of their index.
    #[must_use]
    pub fn new(source: &'static str, addresses: Vec<SocketAddr>, lines: &[&'static str]) -> Self {
        Self {
            source,
            addresses,
            lines: lines
                .iter()
                .map(|&name| LineMetrics { name, packets: Default::default(), mismatches: Counter::new() })
                .collect(),
            by_kind: Box::new([const { Counter::new() }; 256]),
            decoded: Counter::new(),
            refused: Default::default(),
            refused_message: Gauge::new(),
            gaps: Counter::new(),
            lost: Counter::new(),
            bytes: Counter::new(),
            packets: Gauge::new(),
            heartbeats: Gauge::new(),
            repeats: Gauge::new(),
            damaged: Gauge::new(),
            foreign: Gauge::new(),
            jumped: Gauge::new(),
            source_refused: Gauge::new(),
            joined_midway: Gauge::new(),
            session_mismatches: Gauge::new(),
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
    pub(crate) fn on_message(&self, kind: u8, number: u64, refused: Option<Refused>) {
        self.by_kind[usize::from(kind)].add(1);
        match refused {
            None => self.decoded.add(1),
            Some(refused) => self.on_refused(number, refused),
        }
    }

    /// Counts a packet under its line. A line that is not among those named is not counted.
    #[inline]
    pub(crate) fn on_line_packet(&self, line: LineIndex, outcome: Result<PacketOutcome, BadPacket>) {
        if let Some(line) = self.lines.get(line.index()) {
            line.packets[outcome_index(outcome)].add(1);
        }
    }

    /// Counts messages that `line` told otherwise than another line.
    #[cold]
    pub(crate) fn on_line_mismatch(&self, line: LineIndex, messages: u64) {
        self.session_mismatches.set(self.session_mismatches.get() + messages);
        if let Some(line) = self.lines.get(line.index()) {
            line.mismatches.add(messages);
        }
    }

    #[cold]
    fn on_refused(&self, number: u64, refused: Refused) {
        self.refused_message.set(number);
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

    /// Number of the latest refused message: the transport's, or its place in a recording, from 1; 0 = none.
    #[must_use]
    pub fn refused_message(&self) -> u64 {
        self.refused_message.get()
    }

    /// Messages refused because the decoder knows as many books as it may.
    #[must_use]
    pub fn refused_books(&self) -> u64 {
        self.refused[reason_index(Refused::TooManyBooks { book_id: 0 })].get()
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

    /// Sessions begun, the first one included.
    #[must_use]
    pub fn sessions(&self) -> u64 {
        self.sessions.get()
    }

    /// Number of the first message of a session that was joined midway; 0 = it is known from its beginning.
    #[must_use]
    pub fn joined_midway(&self) -> u64 {
        self.joined_midway.get()
    }

    /// Messages of the session in force of which two lines said different things.
    #[must_use]
    pub fn line_mismatches(&self) -> u64 {
        self.session_mismatches.get()
    }

    /// Whether nothing came for too long.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.stale.get() != 0
    }

    /// When the last message or heartbeat of the session came, our clock; 0 = none yet.
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

#[inline]
const fn outcome_index(outcome: Result<PacketOutcome, BadPacket>) -> usize {
    match outcome {
        Ok(PacketOutcome::First) => 0,
        Ok(PacketOutcome::Duplicate) => 1,
        Ok(PacketOutcome::Heartbeat) => 2,
        Ok(PacketOutcome::Stale) => 3,
        Ok(PacketOutcome::Dropped) => 4,
        Err(_) => 5,
        Ok(PacketOutcome::Foreign) => 6,
        Ok(PacketOutcome::Jumped) => 7,
    }
}

impl MetricSource for FeedMetrics {
    fn stages(&self, each: &mut dyn FnMut(&'static str, &Latency)) {
        each("decode", &self.decode);
    }

    fn collect(&self, samples: &mut Vec<Sample>) {
        self.collect_messages(samples);
        self.collect_health(samples);
        self.collect_totals(samples);
        self.collect_lines(samples);
        samples.push(Sample::latency(
            "bist_stage_latency_seconds",
            "Duration of a feed thread turn that received packets, socket reads included; one turn in 4 is measured.",
            &[("stage", "decode")],
            &self.decode,
        ));
        self.collect_kernel_drops(samples);
    }
}

impl FeedMetrics {
    fn collect_messages(&self, samples: &mut Vec<Sample>) {
        samples.push(Sample::counter(
            "market_ticks_processed_total",
            "Messages decoded and passed to the books.",
            &[],
            self.decoded.get(),
        ));
        for (kind, count) in self.by_kind.iter().enumerate().filter(|(_, count)| count.get() > 0) {
            let kind = kind as u8;
            let name = if kind.is_ascii_graphic() { char::from(kind).to_string() } else { format!("0x{kind:02x}") };
            samples.push(Sample::counter(
                "bist_feed_messages_total",
                "Messages received, by type, refused ones included.",
                &[("source", self.source), ("type", &name)],
                count.get(),
            ));
        }
        for (reason, count) in REASONS.iter().zip(&self.refused) {
            samples.push(Sample::counter(
                "bist_feed_refused_total",
                "Messages that the decoder refused, by reason.",
                &[("source", self.source), ("reason", reason)],
                count.get(),
            ));
        }
        samples.push(Sample::counter(
            "bist_feed_gaps_total",
            "Gaps in sequence numbers that were not recovered.",
            &[("source", self.source), ("reason", "lost")],
            self.gaps.get(),
        ));
    }

    fn collect_health(&self, samples: &mut Vec<Sample>) {
        let source = [("source", self.source)];
        samples.push(Sample::gauge(
            "bist_feed_refused_message",
            "Number of the latest message that the decoder refused: the session's, or its place in the recording.",
            &source,
            self.refused_message.get() as f64,
        ));
        samples.push(Sample::gauge(
            "bist_feed_joined_midway",
            "Sequence number of the first message received in a session joined midway; 0 for a complete session.",
            &source,
            self.joined_midway.get() as f64,
        ));
        if let Ok(now) = SystemTime::now().duration_since(UNIX_EPOCH)
            && self.received_ns.get() > 0
        {
            let age_ns = (now.as_nanos() as u64).saturating_sub(self.received_ns.get());
            samples.push(Sample::gauge(
                "bist_feed_age_seconds",
                "Seconds since the last message or heartbeat of the session; of a replay, since the last recorded message.",
                &source,
                age_ns as f64 / 1e9,
            ));
        }
        let stale = self.stale.get() as f64;
        let help = "1 while all lines have been silent for longer than the limit, else 0.";
        samples.push(Sample::gauge("bist_feed_stale", help, &source, stale));
    }

    fn collect_totals(&self, samples: &mut Vec<Sample>) {
        for (name, help, value) in [
            ("bist_feed_lost_messages_total", "Messages lost in gaps that were not recovered.", self.lost.get()),
            ("bist_feed_bytes_total", "Payload bytes received on all lines.", self.bytes.get()),
            ("bist_feed_packets_total", "Packets received on all lines.", self.packets.get()),
            ("bist_feed_heartbeats_total", "Heartbeat and end-of-session packets received.", self.heartbeats.get()),
            (
                "bist_feed_repeats_total",
                "Duplicate messages dropped, such as copies from the other line.",
                self.repeats.get(),
            ),
            ("bist_feed_damaged_packets_total", "Datagrams that do not hold a complete packet.", self.damaged.get()),
            (
                "bist_feed_foreign_packets_total",
                "Packets of another session, received before that session was accepted.",
                self.foreign.get(),
            ),
            (
                "bist_feed_jumped_packets_total",
                "Packets with numbers far ahead, received before the jump was accepted.",
                self.jumped.get(),
            ),
            (
                "bist_feed_source_refused_total",
                "Datagrams from senders that feed.sources does not name.",
                self.source_refused.get(),
            ),
            ("bist_feed_parked_packets_total", "Packets received ahead of a gap and parked.", self.parked.get()),
            (
                "bist_feed_parked_dropped_total",
                "Packets received ahead of a gap and dropped: too long, or no free parking place.",
                self.parked_dropped.get(),
            ),
            ("bist_feed_requests_total", "Retransmission requests sent.", self.requests.get()),
            ("bist_feed_socket_errors_total", "Socket errors of the feed.", self.socket_errors.get()),
            ("bist_feed_sessions_total", "Sessions begun; each lap of a replay is one.", self.sessions.get()),
            (
                "bist_feed_ring_full_total",
                "Times the feed thread stopped reading because the event ring was full.",
                self.ring_full.get(),
            ),
            ("bist_feed_read_errors_total", "Recordings that could not be read to the end.", self.read_errors.get()),
        ] {
            samples.push(Sample::counter(name, help, &[("source", self.source)], value));
        }
    }

    fn collect_lines(&self, samples: &mut Vec<Sample>) {
        for line in &self.lines {
            for (outcome, count) in OUTCOMES.iter().zip(&line.packets) {
                samples.push(Sample::counter(
                    "bist_feed_line_packets_total",
                    "Packets received, by line and outcome: first = with a new message, duplicate = every message was known.",
                    &[("source", self.source), ("line", line.name), ("outcome", outcome)],
                    count.get(),
                ));
            }
        }
        for line in &self.lines {
            samples.push(Sample::counter(
                "bist_feed_line_mismatch_total",
                "Messages whose contents on this line were not those that came first under their number.",
                &[("source", self.source), ("line", line.name)],
                line.mismatches.get(),
            ));
        }
    }

    fn collect_kernel_drops(&self, samples: &mut Vec<Sample>) {
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
        let metrics = FeedMetrics::new("itch", Vec::new(), &["a", "b"]);
        metrics.on_message(b'A', 4, None);
        metrics.on_message(7, 5, Some(Refused::UnknownType(7)));
        metrics.on_message(b'A', 6, None);
        let mut samples = Vec::new();
        metrics.collect(&mut samples);
        let mut names: Vec<_> = samples.iter().map(|sample| sample.name).collect();
        names.dedup();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(samples.iter().all(|sample| sample.help.ends_with('.')));
        assert_eq!((metrics.decoded(), metrics.refused(), metrics.refused_message()), (2, 1, 5));
    }
}
