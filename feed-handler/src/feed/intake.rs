//! What one partition makes of its datagrams: order, decoding, signs of life, slots for the event ring. Without sockets.
//!
//! Bytes and time are passed in, so that a socket and a simulated world drive the same code. Never allocates, locks, blocks,
//! formats or drops a slot after construction.

#![cfg_attr(not(test), deny(clippy::disallowed_types, clippy::disallowed_methods, clippy::disallowed_macros))]

use book::{Nanos, Now};

use super::event_writer::EventWriter;
use super::live_options::LiveOptions;
use crate::decode::protocol::{BYTES_PER_SLOT_MIN, MessageDecoder};
use crate::decode::sink::{Received, Refused, Spoils};
use crate::net::udp::LineIndex;
use crate::recovery::PACKETS_KEPT;
use crate::recovery::sequencer::{self, Sequenced, Sequencer};
use crate::wire::moldudp64::HEADER_BYTES;

/// Most bytes of a UDP payload over IPv4.
const DATAGRAM_BYTES_MAX: usize = 65_507;
/// Slots about the feed itself that one packet can add beside a gap before each packet it releases: a gap on leaving
/// the old session, the new session and how it was joined, a gap at the end, stale and alive, a refused message and a line
/// mismatch of each session, and one to spare.
const SYSTEM_SLOTS_MAX: usize = 11;
/// Requests that one call of the sequencer can make: one when it settles.
const REQUESTS_MAX: usize = 4;

/// One partition without its sockets: its order, its decoder, and whether it is alive.
pub struct Intake {
    sequencer: Sequencer,
    decoder: MessageDecoder,
    slots_needed: usize,
    stale_ns: u64,
    channel_id: u8,
    midnight_of: Option<fn(Nanos) -> Nanos>,
    /// When the session last gave a sign of life.
    heard_ns: Nanos,
    stale: bool,
    first_session: bool,
    /// Of the sequencer's mismatches those that were counted under their line.
    mismatches: u64,
    requests: Requests,
}

/// Requests of one call, to be sent after it.
#[derive(Default)]
struct Requests {
    datagrams: [[u8; HEADER_BYTES]; REQUESTS_MAX],
    count: usize,
}

/// A [`Handler`] of the parts of an intake that its sequencer does not need.
macro_rules! handler {
    ($intake:expr, $out:expr, $wall_ns:expr) => {
        Handler {
            decoder: &mut $intake.decoder,
            out: $out,
            requests: &mut $intake.requests,
            wall_ns: $wall_ns,
            channel_id: $intake.channel_id,
            midnight_of: $intake.midnight_of,
            first_session: &mut $intake.first_session,
            refused_said: false,
            mismatch_said: false,
        }
    };
}

impl Intake {
    /// An intake before its first packet. Takes the memory of its sequencer. Requests are made where
    /// `options.sequencer.recovery` says how.
    pub fn new(decoder: impl Into<MessageDecoder>, options: &LiveOptions) -> Self {
        Self {
            slots_needed: slots_of_call_max(&options.sequencer),
            sequencer: Sequencer::new(options.sequencer),
            decoder: decoder.into(),
            stale_ns: options.stale_ns,
            channel_id: options.channel_id,
            midnight_of: options.midnight_of,
            heard_ns: 0,
            stale: false,
            first_session: true,
            mismatches: 0,
            requests: Requests::default(),
        }
    }

    /// Most slots that one call can make: so many must be free in the ring before each.
    #[must_use]
    pub fn slots_needed(&self) -> usize {
        self.slots_needed
    }

    /// The order of the partition.
    #[must_use]
    pub fn sequencer(&self) -> &Sequencer {
        &self.sequencer
    }

    /// The first session begins, and silence counts from now on.
    #[cold]
    pub fn start(&mut self, now: Now, out: &mut EventWriter) {
        out.begin_session(now.wall_ns);
        self.heard_ns = now.monotonic_ns;
    }

    /// Takes the datagram `bytes` that came on `line`.
    #[inline]
    pub fn on_datagram(&mut self, now: Now, line: LineIndex, bytes: &[u8], out: &mut EventWriter) {
        let Now { monotonic_ns: now_ns, wall_ns } = now;
        out.metrics.bytes.add(bytes.len() as u64);
        if self.stale && self.sequencer.would_hear(bytes) {
            // Before what it brings.
            self.stale = false;
            out.alive(wall_ns, now_ns.saturating_sub(self.heard_ns));
        }
        let mut handler = handler!(self, out, wall_ns);
        let outcome = self.sequencer.on_packet(now_ns, bytes, &mut |sequenced| handler.on_sequenced(sequenced));
        out.metrics.on_line_packet(line, outcome);
        let mismatches = self.sequencer.counters.mismatches;
        if mismatches != self.mismatches {
            out.metrics.on_line_mismatch(line, mismatches - self.mismatches);
            self.mismatches = mismatches;
        }
        self.note_life(now, out);
    }

    /// A message or a heartbeat of the session is life; nothing else is.
    #[inline]
    fn note_life(&mut self, now: Now, out: &mut EventWriter) {
        let Now { monotonic_ns: now_ns, wall_ns } = now;
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

    /// Nothing came: what time alone brings about. Returns whether the sequencer had something to do.
    pub fn on_idle(&mut self, now: Now, out: &mut EventWriter) -> bool {
        let Now { monotonic_ns: now_ns, wall_ns } = now;
        let due = self.sequencer.deadline_ns().is_some_and(|deadline_ns| deadline_ns <= now_ns);
        let has_work = due || self.sequencer.has_ready();
        if has_work {
            let mut handler = handler!(self, out, wall_ns);
            self.sequencer.on_idle(now_ns, &mut |sequenced| handler.on_sequenced(sequenced));
        }
        let silence_ns = now_ns.saturating_sub(self.heard_ns);
        if !self.stale && !self.sequencer.is_ended() && silence_ns >= self.stale_ns {
            self.stale = true;
            out.stale(wall_ns, silence_ns);
        }
        has_work
    }

    /// Gives out the requests that the last call made.
    #[inline]
    pub fn take_requests(&mut self, mut send: impl FnMut(&[u8])) {
        if self.requests.count > 0 {
            self.requests.datagrams[..self.requests.count].iter().for_each(|datagram| send(datagram));
            self.requests.count = 0;
        }
    }

    /// Shows the totals of the sequencer to the scrape.
    #[inline]
    pub fn publish(&self, out: &EventWriter) {
        let (counters, metrics) = (&self.sequencer.counters, &out.metrics);
        metrics.packets.set(counters.packets);
        metrics.heartbeats.set(counters.heartbeats);
        metrics.repeats.set(counters.repeats);
        metrics.damaged.set(counters.damaged);
        metrics.foreign.set(counters.foreign);
        metrics.jumped.set(counters.jumped);
        metrics.parked.set(counters.parked);
        metrics.parked_dropped.set(counters.parked_dropped);
        metrics.requests.set(counters.requests);
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
    /// All books were marked in this call: there is room for one slot that does it beside those of the messages. Once a session
    /// and call, because a session that begins makes the books right again.
    refused_said: bool,
    /// The same of lines that contradict each other.
    mismatch_said: bool,
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
                if let Some(refused) = refused {
                    self.on_refused(sequence, refused);
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
            Sequenced::LineMismatch { sequence } => {
                if !std::mem::replace(&mut self.mismatch_said, true) {
                    self.out.line_mismatch(self.wall_ns, sequence);
                }
            }
            Sequenced::EndOfSession { .. } => {}
        }
    }
}

impl Handler<'_> {
    /// A message was refused: the books that may be wrong without it are marked.
    #[cold]
    fn on_refused(&mut self, sequence: u64, refused: Refused) {
        let spoils = refused.spoils();
        if spoils == Spoils::Any && std::mem::replace(&mut self.refused_said, true) {
            return;
        }
        if let Some(slot) = self.out.refused(self.wall_ns, sequence, spoils) {
            self.out.push(slot);
        }
    }

    /// A session begins, of which the first message that we can have is `next`.
    #[cold]
    fn on_session(&mut self, next: u64, restarted: bool) {
        self.decoder.reset(self.midnight_of.map(|midnight_of| midnight_of(self.wall_ns)));
        // Before the session is counted: of the new one nothing is said that was true of the old one.
        self.out.metrics.joined_midway.set(0);
        self.out.metrics.session_mismatches.set(0);
        // The first session was announced at the start, so that readers know the epoch before the market opens.
        if !std::mem::take(self.first_session) {
            self.out.next_epoch();
            self.out.begin_session(self.wall_ns);
        }
        (self.refused_said, self.mismatch_said) = (false, false);
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
    use std::sync::Arc;

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
            mismatch_said: false,
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
        assert_eq!(slots_of_call_max(&sequencer::SequencerConfig::default()), 9_355 + 27 * 212 + 11);
        assert!(slots_of_call_max(&sequencer::SequencerConfig::default()) < 65_536 / 4);
    }
}
