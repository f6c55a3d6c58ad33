//! One live partition: packets of its lines, brought into order, decoded, into the event ring.
//!
//! The live path never allocates, locks, blocks, formats or drops a slot after construction, and calls the system
//! only for its own sockets. A ring without room stops the reading; nothing is taken from a socket that has no place.

#![cfg_attr(not(test), deny(clippy::disallowed_types, clippy::disallowed_methods, clippy::disallowed_macros))]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use book::{Nanos, Now};

use super::event_writer::EventWriter;
use super::turn::{Finished, Turn};
use crate::decode::protocol::{BYTES_PER_SLOT_MIN, MessageDecoder};
use crate::decode::sink::{Received, Refused};
use crate::net::udp::UdpSource;
use crate::recovery::PACKETS_KEPT;
use crate::recovery::sequencer::{self, Sequenced, Sequencer};
use crate::wire::moldudp64::HEADER_BYTES;

/// Packets of one turn: at 1,400 bytes each about 60 µs of decoding, so that a stop request is seen soon.
const PACKETS_PER_TURN_MAX: usize = 64;
/// One turn in so many has its time recorded: reading the clock costs as much as decoding two messages.
const LATENCY_SAMPLE: u64 = 4;
/// Most bytes of a UDP payload over IPv4.
const DATAGRAM_BYTES_MAX: usize = 65_507;
/// Slots about the feed itself that one packet can add beside a gap before each packet it releases: a gap on leaving
/// the old session, the new session and how it was joined, a gap at the end, stale and alive, a refused message of each
/// session, and one to spare.
const SYSTEM_SLOTS_MAX: usize = 9;
/// Requests that one call of the sequencer can make: one when it settles.
const REQUESTS_MAX: usize = 4;

/// Bounds and habits of a live feed.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// Order, gaps and requests. Without a request server its `recovery` is taken as `None`.
    pub sequencer: sequencer::SequencerConfig,
    /// Silence on all lines, heartbeats included, after which the feed counts as stale; heartbeats come about once
    /// per second. `u64::MAX` = never.
    pub stale_ns: u64,
    /// Finish after the end of the first session instead of waiting for the next one.
    pub stop_at_end: bool,
    /// Partition, written into every order event.
    pub channel_id: u8,
    /// Our clock, to measure turns with; `None` = they are not measured.
    pub clock: Option<fn() -> Nanos>,
    /// Label `source` of the metrics: who sends on the line, `itch` or `sim`.
    pub source: &'static str,
    /// The midnight that times without a date count from, by our clock; read at each session. `None` = the decoder's.
    pub midnight_of: Option<fn(Nanos) -> Nanos>,
}

impl Default for LiveOptions {
    /// Stale after five seconds; waits for the next session.
    fn default() -> Self {
        Self {
            sequencer: sequencer::SequencerConfig::default(),
            stale_ns: 5_000_000_000,
            stop_at_end: false,
            channel_id: 0,
            clock: None,
            source: "itch",
            midnight_of: None,
        }
    }
}

/// One partition: its lines, its order, its decoder.
pub(super) struct Partition {
    udp: UdpSource,
    sequencer: Sequencer,
    decoder: MessageDecoder,
    slots_needed: usize,
    stale_ns: u64,
    stop_at_end: bool,
    channel_id: u8,
    clock: Option<fn() -> Nanos>,
    midnight_of: Option<fn(Nanos) -> Nanos>,
    /// Turns with packets.
    turns: u64,
    /// When the session last gave a sign of life.
    heard_ns: Nanos,
    /// When the last turn was.
    turn_ns: Nanos,
    stale: bool,
    first_session: bool,
    requests: Requests,
}

/// Requests of one call, to be sent after it.
#[derive(Default)]
struct Requests {
    datagrams: [[u8; HEADER_BYTES]; REQUESTS_MAX],
    count: usize,
}

/// A [`Handler`] of a live source's parts, which must not borrow its socket.
macro_rules! handler {
    ($live:expr, $out:expr, $wall_ns:expr) => {
        Handler {
            decoder: &mut $live.decoder,
            out: $out,
            requests: &mut $live.requests,
            wall_ns: $wall_ns,
            channel_id: $live.channel_id,
            midnight_of: $live.midnight_of,
            first_session: &mut $live.first_session,
            refused_said: false,
        }
    };
}

impl Partition {
    /// A partition whose messages come by `udp`. Takes the memory of its sequencer.
    pub fn new(udp: UdpSource, decoder: MessageDecoder, mut options: LiveOptions) -> Self {
        if !udp.can_request() {
            options.sequencer.recovery = None;
        }
        Self {
            udp,
            slots_needed: slots_of_call_max(&options.sequencer),
            sequencer: Sequencer::new(options.sequencer),
            decoder,
            stale_ns: options.stale_ns,
            stop_at_end: options.stop_at_end,
            channel_id: options.channel_id,
            clock: options.clock,
            midnight_of: options.midnight_of,
            turns: 0,
            heard_ns: 0,
            turn_ns: 0,
            stale: false,
            first_session: true,
            requests: Requests::default(),
        }
    }

    /// Most slots that one packet can make.
    pub fn slots_needed(&self) -> usize {
        self.slots_needed
    }

    /// Where the lines listen.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.udp.addresses()
    }

    /// Name of each line, in the order of their index.
    pub fn line_names(&self) -> Vec<&'static str> {
        self.udp.line_names()
    }

    /// Silence counts from now on.
    pub fn start(&mut self, now_ns: Nanos) {
        self.heard_ns = now_ns;
    }

    /// Blocks until something comes, at most `timeout`.
    pub fn wait(&mut self, timeout: Duration) {
        self.udp.wait(timeout);
    }

    /// How long nothing needs a turn; zero when something is there already.
    pub fn rest(&self) -> Duration {
        if !self.udp.is_drained() {
            return Duration::ZERO;
        }
        // A gap is asked for or given up on time even if nothing else comes.
        let deadline_ns = self.sequencer.deadline_ns().unwrap_or(Nanos::MAX);
        Duration::from_nanos(deadline_ns.saturating_sub(self.turn_ns))
    }

    /// Has another poll told, under `token`, that a socket has something.
    #[cfg(unix)]
    pub fn watch(&self, registry: &mio::Registry, token: mio::Token) -> std::io::Result<()> {
        self.udp.watch(registry, token)
    }

    /// Ends a [`Partition::wait`] from another thread.
    pub fn waker(&self) -> Arc<mio::Waker> {
        self.udp.waker()
    }

    /// One turn: the packets that are there, up to a bound, through order and decoder into the ring.
    #[inline]
    pub fn turn(&mut self, Now { monotonic_ns: now_ns, wall_ns }: Now, out: &mut EventWriter) -> (usize, Turn) {
        let mut packets = 0;
        let mut turn = Turn::Done;
        while packets < PACKETS_PER_TURN_MAX {
            // Room first, packet then: once taken from the socket it could not be put back.
            if !out.has_room(self.slots_needed) {
                turn = Turn::Full;
                break;
            }
            let Some(arrived) = self.udp.receive() else {
                if packets == 0 {
                    self.on_idle(now_ns, wall_ns, out);
                }
                break;
            };
            packets += 1;
            out.metrics.bytes.add(arrived.bytes.len() as u64);
            if self.stale && self.sequencer.would_hear(arrived.bytes) {
                // Before what it brings.
                self.stale = false;
                out.alive(wall_ns, now_ns.saturating_sub(self.heard_ns));
            }
            let mut handler = handler!(self, out, wall_ns);
            let line = arrived.line;
            let outcome =
                self.sequencer.on_packet(now_ns, arrived.bytes, &mut |sequenced| handler.on_sequenced(sequenced));
            out.metrics.on_line_packet(line, outcome);
            // The book thread has the packet while the next one is read; its notifier rings once for all of the turn.
            out.publish();
            self.after_call();
            self.note_life(now_ns, wall_ns, out);
        }
        if packets > 0 {
            self.on_packets(wall_ns, out);
        }
        self.turn_ns = now_ns;
        if self.sequencer.is_ended() && self.stop_at_end {
            turn = Turn::Finished(Finished::EndOfSession);
        }
        (packets, turn)
    }

    /// Packets came: shows what was counted, and how long it took.
    #[inline]
    fn on_packets(&mut self, wall_ns: Nanos, out: &EventWriter) {
        self.publish(out);
        if let Some(clock) = self.clock.filter(|_| self.turns.is_multiple_of(LATENCY_SAMPLE)) {
            out.metrics.decode.record(clock().saturating_sub(wall_ns));
        }
        self.turns += 1;
    }

    /// A message or a heartbeat of the session is life; nothing else is.
    #[inline]
    fn note_life(&mut self, now_ns: Nanos, wall_ns: Nanos, out: &mut EventWriter) {
        if self.sequencer.heard_ns() != Some(now_ns) {
            return;
        }
        if self.stale {
            self.stale = false;
            out.alive(wall_ns, now_ns.saturating_sub(self.heard_ns));
        }
        self.heard_ns = now_ns;
        out.metrics.received_ns.set(wall_ns);
    }

    /// Nothing came: what time alone brings about.
    fn on_idle(&mut self, now_ns: Nanos, wall_ns: Nanos, out: &mut EventWriter) {
        let due = self.sequencer.deadline_ns().is_some_and(|deadline_ns| deadline_ns <= now_ns);
        if due || self.sequencer.has_ready() {
            let mut handler = handler!(self, out, wall_ns);
            self.sequencer.on_idle(now_ns, &mut |sequenced| handler.on_sequenced(sequenced));
            self.after_call();
            self.publish(out);
        }
        let silence_ns = now_ns.saturating_sub(self.heard_ns);
        if !self.stale && !self.sequencer.is_ended() && silence_ns >= self.stale_ns {
            self.stale = true;
            out.stale(wall_ns, silence_ns);
        }
    }

    /// Sends the requests that the sequencer made.
    #[inline]
    fn after_call(&mut self) {
        if self.requests.count > 0 {
            for datagram in &self.requests.datagrams[..self.requests.count] {
                self.udp.request(datagram);
            }
            self.requests.count = 0;
        }
    }

    /// Shows the totals of sequencer and sockets to the scrape.
    #[inline]
    fn publish(&self, out: &EventWriter) {
        let (counters, metrics) = (&self.sequencer.counters, &out.metrics);
        metrics.packets.set(counters.packets);
        metrics.heartbeats.set(counters.heartbeats);
        metrics.repeats.set(counters.repeats);
        metrics.damaged.set(counters.damaged);
        metrics.foreign.set(counters.foreign);
        metrics.jumped.set(counters.jumped);
        metrics.source_refused.set(self.udp.source_refused());
        metrics.parked.set(counters.parked);
        metrics.parked_dropped.set(counters.parked_dropped);
        metrics.requests.set(counters.requests);
        metrics.socket_errors.set(self.udp.errors());
    }
}

/// What happens with each thing that the sequencer says.
struct Handler<'a> {
    decoder: &'a mut MessageDecoder,
    out: &'a mut EventWriter,
    requests: &'a mut Requests,
    wall_ns: Nanos,
    channel_id: u8,
    midnight_of: Option<fn(Nanos) -> Nanos>,
    first_session: &'a mut bool,
    /// Once a session and call: it is about all books, and a session that begins makes them right again.
    refused_said: bool,
}

impl Handler<'_> {
    #[inline]
    fn on_sequenced(&mut self, sequenced: Sequenced<'_>) {
        match sequenced {
            Sequenced::Message { sequence, message } => {
                let received = Received { received_ns: self.wall_ns, sequence, channel_id: self.channel_id };
                let out = &mut *self.out;
                let refused = self.decoder.decode(message, received, &mut |slot| out.push(slot)).err();
                out.metrics.on_message(message.first().copied().unwrap_or(0), sequence, refused);
                if refused.is_some_and(Refused::spoils_books) && !std::mem::replace(&mut self.refused_said, true) {
                    out.refused(self.wall_ns, sequence);
                }
            }
            Sequenced::Gap { from, to } => {
                // The second of BISTECH times stays the last one known: a time may be early by as much as the gap was
                // long, and the order is known.
                self.out.gap(self.wall_ns, from, to);
            }
            Sequenced::Request(request) => {
                if self.requests.count < REQUESTS_MAX {
                    self.requests.datagrams[self.requests.count] = request.encode();
                    self.requests.count += 1;
                }
            }
            Sequenced::Session { next, restarted, .. } => self.on_session(next, restarted),
            Sequenced::EndOfSession { .. } => {}
        }
    }
}

impl Handler<'_> {
    /// A session begins, of which the first message that we can have is `next`.
    #[cold]
    fn on_session(&mut self, next: u64, restarted: bool) {
        self.decoder.reset(self.midnight_of.map(|midnight_of| midnight_of(self.wall_ns)));
        // Before the session is counted: of the new one nothing is said that was true of the old one.
        self.out.metrics.joined_midway.set(0);
        // The first session was announced at the start, so that readers know the epoch before the market opens.
        if !std::mem::take(self.first_session) {
            self.out.next_epoch();
            self.out.begin_session(self.wall_ns);
        }
        self.refused_said = false;
        if next > 1 {
            self.out.joined_midway(self.wall_ns, next, restarted);
        }
    }
}

/// Most slots of a datagram of `bytes`.
const fn slots_of_datagram_max(bytes: usize) -> usize {
    bytes.saturating_sub(HEADER_BYTES) / BYTES_PER_SLOT_MIN
}

/// Most slots that one call of the sequencer can make: the packet that came; the parked packets that it releases, two
/// of them to make room for itself; those kept of a session that is believed now; a gap before each of them.
const fn slots_of_call_max(config: &sequencer::SequencerConfig) -> usize {
    let released = config.packets_released_max.saturating_add(3 + PACKETS_KEPT);
    slots_of_datagram_max(DATAGRAM_BYTES_MAX)
        + released * (slots_of_datagram_max(config.datagram_bytes_max) + 1)
        + SYSTEM_SLOTS_MAX
}

#[cfg(test)]
mod tests {
    use book::slot::system::{REFUSED, SESSION};

    use super::*;

    #[test]
    fn a_refusal_is_said_again_of_a_session_that_began_in_the_same_call() {
        let (producer, mut ring) = book::ring::ring("events", 64, book::ring::Notifier::new());
        let metrics = Arc::new(crate::feed::FeedMetrics::new("itch", Vec::new(), &[]));
        let mut out = EventWriter::new(producer, metrics, 40);
        let mut decoder = crate::decode::bistech::Decoder::new(16, None).into();
        let mut handler = Handler {
            decoder: &mut decoder,
            out: &mut out,
            requests: &mut Requests::default(),
            wall_ns: 1,
            channel_id: 0,
            midnight_of: None,
            first_session: &mut false,
            refused_said: false,
        };
        let cut = |sequence| Sequenced::Message { sequence, message: b"A" };
        let session = *b"SESSION002";
        handler.on_sequenced(cut(7));
        handler.on_sequenced(cut(8));
        handler.on_sequenced(Sequenced::Session { session, next: 1, restarted: false });
        handler.on_sequenced(cut(1));
        handler.on_sequenced(cut(2));
        out.commit();
        let mut said = Vec::new();
        ring.drain(usize::MAX, |slot| {
            if let book::View::System(record) = slot.view() {
                said.push((record.code, record.epoch, record.from));
            }
        });
        assert_eq!(said, [(REFUSED, 40, 7), (SESSION, 41, 0), (REFUSED, 41, 1)]);
    }

    #[test]
    fn the_default_bounds_fit_the_event_ring() {
        // 65,487 / 7 for the packet itself, (1,480 / 7 + 1) for each parked one
        assert_eq!(slots_of_call_max(&sequencer::SequencerConfig::default()), 9_355 + 27 * 212 + 9);
        assert!(slots_of_call_max(&sequencer::SequencerConfig::default()) < 65_536 / 4);
    }
}
