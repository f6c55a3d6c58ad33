//! What the fan-out thread counts; the scrape reads it from any thread.

use book::metrics::{Counter, Gauge, Latency, MetricSource, Sample};

use crate::topics::channel::Channel;

/// Reasons of refusals and ends that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Refused {
    /// A request head that cannot be read, or a bad handshake of the public socket.
    Handshake,
    /// More connections than allowed.
    Connections,
    /// RFC 6455 broken.
    Protocol,
    /// A request that could not be read.
    Malformed,
    /// A request that was read and refused.
    Request,
    /// Too many requests or pings.
    Rate,
    /// No request head or no sign of life in time.
    Silent,
    /// A new connection could not be taken over.
    Accept,
    /// An update whose number is not above the last one: repaired by a snapshot.
    Sequence,
    /// A connection for the slow path, which had no room for it.
    SlowPath,
}

impl Refused {
    const NAMES: [&'static str; 10] = [
        "handshake",
        "connections",
        "protocol",
        "malformed",
        "request",
        "rate",
        "silent",
        "accept",
        "sequence",
        "slow_path",
    ];
}

/// What happened to slow readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Slow {
    /// A subscription stopped.
    Skip,
    /// A warning was sent.
    Warn,
    /// Closed with 4490.
    Disconnect,
    /// A subscription that had stopped goes on.
    Recovered,
}

impl Slow {
    const NAMES: [&'static str; 4] = ["skip", "warn", "disconnect", "recovered"];
}

/// What became of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum DoorResult {
    /// It was found good.
    Admitted,
    /// It was not, or had not the form of one.
    Refused,
    /// It may not read market data.
    NotEntitled,
    /// It could not be checked.
    Unavailable,
    /// There was no room for the question.
    Full,
    /// No verdict came in time.
    Late,
    /// Its key or user has as many connections as allowed.
    Limit,
    /// It was good, and then revoked.
    Revoked,
    /// It was good, and came to its end.
    Expired,
    /// None was shown in time where one is required.
    Missing,
}

impl DoorResult {
    const NAMES: [&'static str; 10] = [
        "admitted",
        "refused",
        "not_entitled",
        "unavailable",
        "full",
        "late",
        "limit",
        "revoked",
        "expired",
        "missing",
    ];
}

/// Counters of one fan-out thread.
#[derive(Debug, Default)]
pub struct Metrics {
    pub(crate) name: &'static str,
    pub(crate) connections: Gauge,
    pub(crate) subscriptions: [Gauge; Channel::ALL.len()],
    pub(crate) order_books: Gauge,
    pub(crate) sent_bytes: Counter,
    pub(crate) sent_frames: Counter,
    pub(crate) encoded_frames: Counter,
    pub(crate) conflated: Counter,
    pub(crate) slow: [Counter; Slow::NAMES.len()],
    pub(crate) queue_bytes: Gauge,
    pub(crate) refused: [Counter; Refused::NAMES.len()],
    pub(crate) admission: [Counter; DoorResult::NAMES.len()],
    pub(crate) admission_waiting: Gauge,
    pub(crate) requests: Counter,
    pub(crate) delayed: Counter,
    pub(crate) handed_over: Counter,
    pub(crate) invariant_broken: Counter,
    pub(crate) gaps_upstream: Counter,
    pub(crate) gaps_slow: Counter,
    pub(crate) resumes_exact: Counter,
    pub(crate) resumes_refused: Counter,
    pub(crate) enqueue: Latency,
    pub(crate) encode: Latency,
    pub(crate) write: Latency,
    pub(crate) tick_to_wire: Latency,
}

impl Metrics {
    pub(crate) fn count(&self, what: Refused) {
        self.refused[what as usize].add(1);
    }

    pub(crate) fn count_door(&self, what: DoorResult) {
        self.admission[what as usize].add(1);
    }

    pub(crate) fn count_slow(&self, what: Slow) {
        self.slow[what as usize].add(1);
    }
}

impl MetricSource for Metrics {
    fn stages(&self, each: &mut dyn FnMut(&'static str, &Latency)) {
        for (stage, latency) in [("enqueue", &self.enqueue), ("encode", &self.encode), ("write", &self.write)] {
            each(stage, latency);
        }
    }

    fn collect(&self, samples: &mut Vec<Sample>) {
        let socket = [("socket", self.name)]; // `channel` is what is subscribed
        samples.push(Sample::gauge(
            "bist_ws_connections",
            "Open WebSocket connections, by socket.",
            &socket,
            self.connections.get() as f64,
        ));
        for (channel, count) in Channel::ALL.iter().zip(&self.subscriptions) {
            samples.push(Sample::gauge(
                "bist_ws_subscriptions",
                "Subscriptions by channel.",
                &[("channel", channel.name())],
                count.get() as f64,
            ));
        }
        samples.push(Sample::gauge(
            "bist_ws_order_books",
            "Books whose orders are kept: a client follows them order by order, or did so within the last ten seconds.",
            &[],
            self.order_books.get() as f64,
        ));
        self.collect_counters(samples);
        self.collect_readers(samples);
        self.collect_refusals(samples);
        self.collect_doors(samples);
        for (stage, latency) in [("enqueue", &self.enqueue), ("encode", &self.encode), ("write", &self.write)] {
            samples.push(Sample::latency(
                "bist_stage_latency_seconds",
                "Duration of one turn of a stage; enqueue: from the receipt of the newest packet to the turn that reads it.",
                &[("stage", stage)],
                latency,
            ));
        }
        samples.push(Sample::latency(
            "bist_tick_to_wire_seconds",
            "Time from the reception of a book's newest event to the write to the last client that follows it.",
            &[],
            &self.tick_to_wire,
        ));
    }
}

impl Metrics {
    fn collect_counters(&self, samples: &mut Vec<Sample>) {
        let counters: [(&'static str, &'static str, &Counter); 8] = [
            ("bist_ws_sent_bytes_total", "Bytes accepted by client sockets.", &self.sent_bytes),
            ("bist_ws_sent_frames_total", "Data frames put into send queues of clients.", &self.sent_frames),
            (
                "bist_ws_encoded_frames_total",
                "Data frames encoded, each once for all its clients.",
                &self.encoded_frames,
            ),
            ("bist_ws_conflated_messages_total", "Publications merged into a later frame.", &self.conflated),
            ("bist_ws_requests_total", "Client requests received.", &self.requests),
            ("bist_ws_delayed_requests_total", "Client requests delayed by the rate limit.", &self.delayed),
            (
                "bist_ws_handed_over_total",
                "Connections handed to the slow path because they requested anything but the public WebSocket.",
                &self.handed_over,
            ),
            (
                "bist_fanout_invariant_broken_total",
                "Broken invariants of a fan-out thread, a fault of the server; the affected clients are closed with 1011.",
                &self.invariant_broken,
            ),
        ];
        for (name, help, counter) in counters {
            samples.push(Sample::counter(name, help, &[], counter.get()));
        }
    }

    fn collect_readers(&self, samples: &mut Vec<Sample>) {
        for (action, count) in Slow::NAMES.iter().zip(&self.slow) {
            samples.push(Sample::counter(
                "bist_ws_slow_readers_total",
                "Actions taken on clients that do not read fast enough, by action.",
                &[("action", action)],
                count.get(),
            ));
        }
        samples.push(Sample::gauge(
            "bist_ws_send_queue_bytes",
            "Bytes waiting in the send queues of all connections.",
            &[],
            self.queue_bytes.get() as f64,
        ));
    }

    fn collect_doors(&self, samples: &mut Vec<Sample>) {
        for (result, count) in DoorResult::NAMES.iter().zip(&self.admission) {
            samples.push(Sample::counter(
                "bist_ws_admission_total",
                "What became of the credentials that connections showed, by result.",
                &[("result", result)],
                count.get(),
            ));
        }
        samples.push(Sample::gauge(
            "bist_ws_admission_waiting",
            "Credentials whose verdict is awaited.",
            &[],
            self.admission_waiting.get() as f64,
        ));
    }

    fn collect_refusals(&self, samples: &mut Vec<Sample>) {
        for (reason, count) in Refused::NAMES.iter().zip(&self.refused) {
            samples.push(Sample::counter(
                "bist_ws_refused_total",
                "Refused input and requests, by reason.",
                &[("reason", reason)],
                count.get(),
            ));
        }
        for (reason, count) in [("upstream", &self.gaps_upstream), ("slow_reader", &self.gaps_slow)] {
            samples.push(Sample::counter(
                "bist_ws_gaps_total",
                "Gap frames sent, by reason.",
                &[("reason", reason)],
                count.get(),
            ));
        }
        for (result, count) in [("exact", &self.resumes_exact), ("aged_out", &self.resumes_refused)] {
            samples.push(Sample::counter(
                "bist_ws_resumes_total",
                "Subscriptions that resume with `from`, by result.",
                &[("result", result)],
                count.get(),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_name_stand_together() {
        let mut samples = Vec::new();
        Metrics { name: "market", ..Metrics::default() }.collect(&mut samples);
        let mut names: Vec<_> = samples.iter().map(|sample| sample.name).collect();
        names.dedup();
        let runs = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), runs);
    }
}
