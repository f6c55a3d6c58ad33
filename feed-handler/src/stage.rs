//! One turn of the feed thread: packets or recorded messages in, slots into the event ring.
//!
//! The live path never allocates, locks, blocks, formats or drops a slot after construction, and calls the system
//! only for its own sockets. A book that misses one event is wrong for ever, so a ring without room is never "drop
//! one": the stage stops reading, and the socket's buffer (then the other line, then a request) is what gives way.
//! How to wait between turns belongs to the caller.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use book::ring::Producer;
use book::slot::{System, system};
use book::{Nanos, Slot};

use crate::metrics::FeedMetrics;
use crate::moldudp64::HEADER_BYTES;
use crate::sequencer::{self, Outcome, Sequencer};
use crate::sink::Received;
use crate::source::ReadError;
use crate::source::pacing::{Pacer, Speed};
use crate::source::protocol::{BYTES_PER_SLOT_MIN, Decoder};
use crate::source::recording::{self, OpenError, Recording, Step};
use crate::source::udp::UdpSource;

/// Packets of one turn: at 1,400 bytes each about 60 µs of decoding, so that a stop request is seen soon.
const PACKETS_PER_TURN_MAX: usize = 64;
/// One turn in so many has its time recorded: reading the clock costs as much as decoding two messages.
const LATENCY_SAMPLE: u64 = 4;
/// Recorded messages of one turn.
const MESSAGES_PER_TURN_MAX: usize = 256;
/// Most bytes of a UDP payload over IPv4.
const DATAGRAM_BYTES_MAX: usize = 65_507;
/// Slots about the feed itself that one packet can add beside a gap before each packet it releases: a gap on leaving
/// the old session, the new session, a gap at the end, stale and alive, and three to spare.
const SYSTEM_SLOTS_MAX: usize = 8;
/// Requests that one call of the sequencer can make: one when it settles.
const REQUESTS_MAX: usize = 4;
/// How long to wait for room in the event ring before looking again. Its reader does not ring back, and it takes
/// several of these to empty a full ring.
const RING_FULL_WAIT: Duration = Duration::from_micros(50);

/// One feed: a source, and what brings its messages into the event ring.
pub struct FeedWorker {
    source: Source,
    out: Out,
    finished: Option<Finished>,
    started: bool,
    /// The last turn stopped for want of room in the ring.
    blocked: bool,
}

enum Source {
    Live(Box<Live>),
    Replay(Box<Replay>),
}

/// The writing side, apart from the source so that both can be borrowed at once.
struct Out {
    producer: Producer,
    metrics: Arc<FeedMetrics>,
    epoch: u64,
    /// Our own bound was wrong: a slot found no room after room was made sure of.
    overrun: bool,
}

/// Why there is no more to do.
#[derive(Debug)]
pub enum Finished {
    /// The session ended and everything of it was delivered ([`LiveOptions::stop_at_end`]).
    EndOfSession,
    /// The recording was read to its end, as many laps as asked for. The error is the last lap's, if it was cut or
    /// damaged: everything before that point was delivered.
    EndOfRecording(Option<ReadError>),
    /// The recording could not be opened again for the next lap.
    NotReopened(OpenError),
    /// Nobody reads the event ring any more.
    ReaderGone,
    /// A slot found no room that should have had some: our own error, after which no book can be right.
    Overrun,
}

/// Bounds and habits of a live feed.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// Order, gaps and requests. Without a request server its `recovery` is taken as `None`.
    pub sequencer: sequencer::Config,
    /// Silence on all lines, heartbeats included, after which the feed counts as stale; heartbeats come about once
    /// per second. `u64::MAX` = never.
    pub stale_ns: u64,
    /// Finish after the end of the first session instead of waiting for the next one.
    pub stop_at_end: bool,
    /// Partition, written into every order event.
    pub channel_id: u8,
    /// Our clock, to measure turns with; `None` = they are not measured.
    pub clock: Option<fn() -> Nanos>,
}

impl Default for LiveOptions {
    /// Stale after five seconds; waits for the next session.
    fn default() -> Self {
        Self {
            sequencer: sequencer::Config::default(),
            stale_ns: 5_000_000_000,
            stop_at_end: false,
            channel_id: 0,
            clock: None,
        }
    }
}

/// How a recording is replayed.
#[derive(Clone, Debug)]
pub struct ReplayOptions {
    /// The file; opened by [`FeedWorker::replay`] and again for each further lap.
    pub path: PathBuf,
    /// How to open it.
    pub recording: recording::Options,
    /// How fast.
    pub speed: Speed,
    /// Longest wait between two messages, our time; `u64::MAX` = as recorded.
    pub gap_max_ns: u64,
    /// How often; `None` = for ever. Each lap is a session of its own.
    pub laps: Option<NonZeroU32>,
}

impl ReplayOptions {
    /// Once, at recorded pace.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            recording: recording::Options::default(),
            speed: Speed::RECORDED,
            gap_max_ns: u64::MAX,
            laps: NonZeroU32::new(1),
        }
    }
}

/// The event ring has fewer slots than one packet can need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event ring has {free} slots free; one packet can need {needed}")]
pub struct RingTooSmall {
    /// Slots free at construction.
    pub free: usize,
    /// Most slots that one packet can need, with the parked ones it releases.
    pub needed: usize,
}

struct Live {
    udp: UdpSource,
    sequencer: Sequencer,
    decoder: Decoder,
    slots_needed: usize,
    stale_ns: u64,
    stop_at_end: bool,
    channel_id: u8,
    clock: Option<fn() -> Nanos>,
    /// Turns with packets.
    turns: u64,
    last_packet_ns: Nanos,
    /// When the last turn was.
    turn_ns: Nanos,
    stale: bool,
    /// The session is over and none has followed yet: silence is as it should be.
    ended: bool,
    first_session: bool,
    requests: Requests,
}

struct Replay {
    options: ReplayOptions,
    recording: Recording,
    pacer: Pacer,
    /// Slots of the message that is due next. Its memory is kept from message to message.
    pending: Vec<Slot>,
    pending_ns: Option<Nanos>,
    lap: u32,
    /// Wait that the last turn found.
    wait_ns: u64,
    error: Option<ReadError>,
}

/// Requests of one call, to be sent after it.
#[derive(Default)]
struct Requests {
    datagrams: [[u8; HEADER_BYTES]; REQUESTS_MAX],
    count: usize,
}

impl FeedWorker {
    /// One turn at `now_ns` (Unix nanoseconds): takes what is there, up to a bound, and pushes it into the ring.
    ///
    /// Returns the packets or messages handled; the caller waits only on zero. Does nothing once
    /// [`FeedWorker::finished`].
    pub fn do_work(&mut self, now_ns: Nanos) -> usize {
        if self.finished.is_some() {
            return 0;
        }
        if !self.started && !self.start(now_ns) {
            return 0;
        }
        let (work, turn) = match &mut self.source {
            Source::Live(live) => live.turn(now_ns, &mut self.out),
            Source::Replay(replay) => replay.turn(now_ns, &mut self.out),
        };
        self.out.producer.commit();
        let blocked = matches!(turn, Turn::Full);
        if blocked && !self.blocked {
            self.out.metrics.ring_full.add(1);
        }
        self.blocked = blocked;
        if let Turn::Finished(finished) = turn {
            self.finished = Some(finished);
        } else if self.out.overrun {
            self.finished = Some(Finished::Overrun);
        } else if work == 0 && self.out.producer.is_abandoned() {
            self.finished = Some(Finished::ReaderGone);
        }
        work
    }

    /// A live feed. `epoch` is the first session's; every further session has the next one.
    ///
    /// # Errors
    /// The ring cannot hold what one packet can make.
    pub fn live(
        udp: UdpSource,
        decoder: impl Into<Decoder>,
        producer: Producer,
        epoch: u64,
        mut options: LiveOptions,
    ) -> Result<Self, RingTooSmall> {
        if !udp.can_request() {
            options.sequencer.recovery = None;
        }
        let slots_needed = slots_of_call_max(&options.sequencer);
        if producer.free() < slots_needed {
            return Err(RingTooSmall { free: producer.free(), needed: slots_needed });
        }
        let metrics = Arc::new(FeedMetrics::new("itch", udp.addresses()));
        let live = Live {
            udp,
            sequencer: Sequencer::new(options.sequencer),
            decoder: decoder.into(),
            slots_needed,
            stale_ns: options.stale_ns,
            stop_at_end: options.stop_at_end,
            channel_id: options.channel_id,
            clock: options.clock,
            turns: 0,
            last_packet_ns: 0,
            turn_ns: 0,
            stale: false,
            ended: false,
            first_session: true,
            requests: Requests::default(),
        };
        Ok(Self::new(Source::Live(Box::new(live)), producer, metrics, epoch))
    }

    /// A recording. `epoch` is the first lap's; every further lap or session has the next one.
    ///
    /// # Errors
    /// The recording cannot be opened.
    pub fn replay(options: ReplayOptions, producer: Producer, epoch: u64) -> Result<Self, OpenError> {
        let recording = Recording::open(&options.path, &options.recording)?;
        let metrics = Arc::new(FeedMetrics::new("replay", Vec::new()));
        let replay = Replay {
            recording,
            pacer: Pacer::new(options.speed, options.gap_max_ns),
            options,
            pending: Vec::with_capacity(64),
            pending_ns: None,
            lap: 1,
            wait_ns: 0,
            error: None,
        };
        Ok(Self::new(Source::Replay(Box::new(replay)), producer, metrics, epoch))
    }

    fn new(source: Source, producer: Producer, metrics: Arc<FeedMetrics>, epoch: u64) -> Self {
        let out = Out { producer, metrics, epoch, overrun: false };
        Self { source, out, finished: None, started: false, blocked: false }
    }

    /// Says that the first session begins, as soon as there is room to say so.
    #[cold]
    fn start(&mut self, now_ns: Nanos) -> bool {
        if !self.out.producer.has_room(1) {
            self.blocked = true;
            return false;
        }
        self.out.begin_session(now_ns);
        if let Source::Live(live) = &mut self.source {
            live.last_packet_ns = now_ns;
        }
        self.started = true;
        true
    }

    /// Blocks the calling thread until there may be work, at most `timeout`. For callers that park; who spins never
    /// calls it.
    pub fn wait(&mut self, timeout: Duration) {
        if self.finished.is_some() {
            return;
        }
        let timeout = timeout.min(self.rest());
        match &mut self.source {
            Source::Live(live) if !self.blocked => live.udp.wait(timeout),
            _ => std::thread::park_timeout(timeout),
        }
    }

    /// How long nothing of our own needs a turn; zero when something is there already. For who waits elsewhere, with the
    /// sockets watched by [`FeedWorker::watch`].
    #[must_use]
    pub fn rest(&self) -> Duration {
        if self.finished.is_some() {
            return Duration::MAX;
        }
        if self.blocked {
            return RING_FULL_WAIT;
        }
        match &self.source {
            Source::Live(live) if !live.udp.is_drained() => Duration::ZERO,
            Source::Live(live) => {
                // A gap is asked for or given up on time even if nothing else comes.
                let deadline_ns = live.sequencer.deadline_ns().unwrap_or(Nanos::MAX);
                Duration::from_nanos(deadline_ns.saturating_sub(live.turn_ns))
            }
            Source::Replay(replay) => Duration::from_nanos(replay.wait_ns),
        }
    }

    /// Has another poll told, under `token`, that a live feed's socket has something; a replay has no sockets.
    ///
    /// # Errors
    /// The system takes no more registrations.
    #[cfg(unix)]
    pub fn watch(&self, registry: &mio::Registry, token: mio::Token) -> std::io::Result<()> {
        match &self.source {
            Source::Live(live) => live.udp.watch(registry, token),
            Source::Replay(_) => Ok(()),
        }
    }

    /// Why there is nothing more to do; `None` while there is.
    #[must_use]
    pub fn finished(&self) -> Option<&Finished> {
        self.finished.as_ref()
    }

    /// What the scrape reads.
    #[must_use]
    pub fn metrics(&self) -> Arc<FeedMetrics> {
        Arc::clone(&self.out.metrics)
    }

    /// Ends a [`FeedWorker::wait`] of a live feed from another thread; a replay's ends by unparking its thread.
    #[must_use]
    pub fn waker(&self) -> Option<Arc<mio::Waker>> {
        match &self.source {
            Source::Live(live) => Some(live.udp.waker()),
            Source::Replay(_) => None,
        }
    }

    /// Epoch of the session in force.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.out.epoch
    }

    /// The recording being replayed: its counts, its format, how far it is.
    #[must_use]
    pub fn recording(&self) -> Option<&Recording> {
        match &self.source {
            Source::Live(_) => None,
            Source::Replay(replay) => Some(&replay.recording),
        }
    }
}

enum Turn {
    Done,
    /// The ring had no room.
    Full,
    Finished(Finished),
}

/// A [`Handler`] of a live source's parts, which must not borrow its socket.
macro_rules! handler {
    ($live:expr, $out:expr, $now_ns:expr) => {
        Handler {
            decoder: &mut $live.decoder,
            out: $out,
            requests: &mut $live.requests,
            now_ns: $now_ns,
            channel_id: $live.channel_id,
            ended: &mut $live.ended,
            first_session: &mut $live.first_session,
        }
    };
}

impl Live {
    #[inline]
    fn turn(&mut self, now_ns: Nanos, out: &mut Out) -> (usize, Turn) {
        let mut packets = 0;
        let mut turn = Turn::Done;
        while packets < PACKETS_PER_TURN_MAX {
            // Room first, packet then: once taken from the socket it could not be put back.
            if !out.producer.has_room(self.slots_needed) {
                turn = Turn::Full;
                break;
            }
            let Some(arrived) = self.udp.receive() else {
                if packets == 0 {
                    self.on_idle(now_ns, out);
                }
                break;
            };
            packets += 1;
            out.metrics.bytes.add(arrived.bytes.len() as u64);
            if self.stale {
                self.stale = false;
                out.alive(now_ns, now_ns.saturating_sub(self.last_packet_ns));
            }
            self.last_packet_ns = now_ns;
            let mut handler = handler!(self, out, now_ns);
            // A damaged packet is counted by the sequencer, and nothing else can be done about it.
            let _ = self.sequencer.on_packet(now_ns, arrived.bytes, &mut |outcome| handler.on_outcome(outcome));
            // The book thread has the packet while the next one is read; its notifier rings once for all of the turn.
            out.producer.publish();
            self.after_call();
        }
        if packets > 0 {
            out.metrics.received_ns.set(now_ns);
            self.publish(out);
            if let Some(clock) = self.clock.filter(|_| self.turns.is_multiple_of(LATENCY_SAMPLE)) {
                out.metrics.decode.record(clock().saturating_sub(now_ns));
            }
            self.turns += 1;
        }
        self.turn_ns = now_ns;
        if self.ended && self.stop_at_end {
            turn = Turn::Finished(Finished::EndOfSession);
        }
        (packets, turn)
    }

    /// Nothing came: what time alone brings about.
    fn on_idle(&mut self, now_ns: Nanos, out: &mut Out) {
        let due = self.sequencer.deadline_ns().is_some_and(|deadline_ns| deadline_ns <= now_ns);
        if due || self.sequencer.has_ready() {
            let mut handler = handler!(self, out, now_ns);
            self.sequencer.on_idle(now_ns, &mut |outcome| handler.on_outcome(outcome));
            self.after_call();
            self.publish(out);
        }
        let silence_ns = now_ns.saturating_sub(self.last_packet_ns);
        if !self.stale && !self.ended && silence_ns >= self.stale_ns {
            self.stale = true;
            out.stale(now_ns, silence_ns);
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
    fn publish(&self, out: &Out) {
        let (counters, metrics) = (&self.sequencer.counters, &out.metrics);
        metrics.packets.set(counters.packets);
        metrics.heartbeats.set(counters.heartbeats);
        metrics.repeats.set(counters.repeats);
        metrics.damaged.set(counters.damaged);
        metrics.parked.set(counters.parked);
        metrics.parked_dropped.set(counters.parked_dropped);
        metrics.requests.set(counters.requests);
        metrics.socket_errors.set(self.udp.errors());
    }
}

/// What happens with each thing that the sequencer says.
struct Handler<'a> {
    decoder: &'a mut Decoder,
    out: &'a mut Out,
    requests: &'a mut Requests,
    now_ns: Nanos,
    channel_id: u8,
    ended: &'a mut bool,
    first_session: &'a mut bool,
}

impl Handler<'_> {
    #[inline]
    fn on_outcome(&mut self, outcome: Outcome<'_>) {
        match outcome {
            Outcome::Message { sequence, message } => {
                let received = Received { received_ns: self.now_ns, sequence, channel_id: self.channel_id };
                let out = &mut *self.out;
                let refused = self.decoder.decode(message, received, &mut |slot| out.push(slot)).err();
                out.metrics.on_message(message.first().copied().unwrap_or(0), refused);
            }
            Outcome::Gap { from, to } => {
                self.decoder.forget_time();
                self.out.gap(self.now_ns, from, to);
            }
            Outcome::Request(request) => {
                if self.requests.count < REQUESTS_MAX {
                    self.requests.datagrams[self.requests.count] = request.encode();
                    self.requests.count += 1;
                }
            }
            Outcome::Session { .. } => {
                *self.ended = false;
                // The first session was announced at the start, so that readers know the epoch before the market
                // opens.
                if !std::mem::take(self.first_session) {
                    self.decoder.reset();
                    self.out.epoch += 1;
                    self.out.begin_session(self.now_ns);
                }
            }
            Outcome::EndOfSession { .. } => *self.ended = true,
        }
    }
}

impl Replay {
    fn turn(&mut self, now_ns: Nanos, out: &mut Out) -> (usize, Turn) {
        let mut messages = 0;
        self.wait_ns = 0;
        let turn = loop {
            if let Some(recorded_ns) = self.pending_ns {
                self.wait_ns = self.pacer.due(now_ns, recorded_ns);
                if self.wait_ns > 0 {
                    break Turn::Done;
                }
                if !out.producer.has_room(self.pending.len()) {
                    break Turn::Full;
                }
                out.push_all(&self.pending);
                self.pending_ns = None;
                self.pending.clear();
                messages += 1;
            }
            if messages >= MESSAGES_PER_TURN_MAX {
                break Turn::Done;
            }
            let pending = &mut self.pending;
            match self.recording.next(&mut |slot| pending.push(slot)) {
                Ok(Step::Message(taken)) => {
                    self.pending_ns = Some(taken.recorded_ns);
                    out.metrics.on_message(taken.kind, taken.refused);
                }
                Ok(Step::Gap { from, to }) => {
                    // The slot of the gap goes out with the next message's.
                    out.metrics.gaps.add(1);
                    out.metrics.lost.add((to - from).saturating_add(1));
                    self.pending_ns = Some(0);
                }
                Ok(Step::Session) => {
                    out.epoch += 1;
                    self.pending.push(out.session(now_ns));
                    self.pending_ns = Some(0);
                }
                Ok(Step::End) => match self.next_lap(now_ns, out) {
                    Some(finished) => break Turn::Finished(finished),
                    None => messages += 1,
                },
                Err(error) => {
                    out.metrics.read_errors.add(1);
                    self.error = Some(error);
                }
            }
        };
        if messages > 0 {
            out.metrics.received_ns.set(now_ns);
            let counts = self.recording.counts();
            out.metrics.packets.set(counts.packets);
            out.metrics.heartbeats.set(counts.heartbeats);
            out.metrics.repeats.set(counts.repeats);
            out.metrics.damaged.set(counts.damaged_packets);
        }
        (messages, turn)
    }

    /// Opens the recording again, or says why not.
    #[cold]
    fn next_lap(&mut self, now_ns: Nanos, out: &mut Out) -> Option<Finished> {
        if self.options.laps.is_some_and(|laps| self.lap >= laps.get()) {
            return Some(Finished::EndOfRecording(self.error.take()));
        }
        match Recording::open(&self.options.path, &self.options.recording) {
            Ok(recording) => self.recording = recording,
            Err(error) => return Some(Finished::NotReopened(error)),
        }
        self.lap = self.lap.saturating_add(1);
        self.error = None;
        self.pacer.restart();
        out.epoch += 1;
        self.pending.push(out.session(now_ns));
        self.pending_ns = Some(0);
        None
    }
}

impl Out {
    /// Takes one slot, which goes out with its packet.
    #[inline]
    fn push(&mut self, slot: Slot) {
        if self.producer.write(slot).is_err() {
            self.overrun = true;
        }
    }

    /// Takes the slots of one message, for which there is room.
    fn push_all(&mut self, slots: &[Slot]) {
        slots.iter().for_each(|&slot| self.push(slot));
    }

    fn session(&self, now_ns: Nanos) -> Slot {
        self.metrics.sessions.add(1);
        System::new(system::SESSION, 0, now_ns, 0, 0, self.epoch).into()
    }

    #[cold]
    fn begin_session(&mut self, now_ns: Nanos) {
        let slot = self.session(now_ns);
        self.push(slot);
    }

    #[cold]
    fn stale(&mut self, now_ns: Nanos, silence_ns: u64) {
        self.metrics.stale.set(1);
        self.push(System::new(system::STALE, 0, now_ns, silence_ns, 0, self.epoch).into());
    }

    #[cold]
    fn alive(&mut self, now_ns: Nanos, silence_ns: u64) {
        self.metrics.stale.set(0);
        self.push(System::new(system::ALIVE, 0, now_ns, silence_ns, 0, self.epoch).into());
    }

    #[cold]
    fn gap(&mut self, now_ns: Nanos, from: u64, to: u64) {
        self.metrics.gaps.add(1);
        self.metrics.lost.add((to - from).saturating_add(1));
        self.push(System::new(system::GAP, 0, now_ns, from, to, self.epoch).into());
    }
}

/// Most slots of a datagram of `bytes`.
const fn slots_of_datagram_max(bytes: usize) -> usize {
    bytes.saturating_sub(HEADER_BYTES) / BYTES_PER_SLOT_MIN
}

/// Most slots that one call of the sequencer can make: the packet that came; the parked packets that it releases, two
/// of them to make room for itself; a gap before each of them.
const fn slots_of_call_max(config: &sequencer::Config) -> usize {
    let released = config.packets_released_max.saturating_add(3);
    slots_of_datagram_max(DATAGRAM_BYTES_MAX)
        + released * (slots_of_datagram_max(config.datagram_bytes_max) + 1)
        + SYSTEM_SLOTS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_bounds_fit_the_event_ring() {
        // 65,487 / 7 for the packet itself, (1,480 / 7 + 1) for each parked one
        assert_eq!(slots_of_call_max(&sequencer::Config::default()), 9_355 + 19 * 212 + 8);
        assert!(slots_of_call_max(&sequencer::Config::default()) < 65_536 / 4);
    }
}
