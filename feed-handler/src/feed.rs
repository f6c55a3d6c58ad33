//! One turn of the feed thread: packets or recorded messages in, slots into the event ring.
//!
//! The live path never allocates, locks, blocks, formats or drops a slot after construction, and calls the system
//! only for its own sockets. A book that misses one event is wrong for ever, so a ring without room is never "drop
//! one": the feed thread stops reading, and the socket's buffer (then the other line, then a request) is what gives
//! way. How to wait between turns belongs to the caller.

mod event_writer;
mod intake;
mod live_options;
mod metrics;
mod partition;
mod replay;
mod turn;

pub use event_writer::EventWriter;
pub use intake::Intake;
pub use live_options::LiveOptions;
pub use metrics::FeedMetrics;
pub use replay::ReplayOptions;
pub use turn::Finished;

use std::sync::Arc;
use std::time::Duration;

use book::ring::Producer;
use book::{Nanos, Now};

use crate::decode::protocol::MessageDecoder;
use crate::net::udp::UdpSource;
use crate::recording::{OpenError, Recording};
use partition::Partition;
use replay::Replay;
use turn::Turn;

/// How long to wait for room in the event ring before looking again. Its reader does not ring back, and it takes
/// several of these to empty a full ring.
const RING_FULL_WAIT: Duration = Duration::from_micros(50);

/// One feed: a source, and what brings its messages into the event ring.
pub struct FeedWorker {
    source: Source,
    out: EventWriter,
    finished: Option<Finished>,
    started: bool,
    /// The last turn stopped for want of room in the ring.
    blocked: bool,
}

enum Source {
    Live(Box<Partition>),
    Replay(Box<Replay>),
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

impl FeedWorker {
    /// One turn at `now_ns` (Unix nanoseconds): takes what is there, up to a bound, and pushes it into the ring.
    ///
    /// Returns the packets or messages handled; the caller waits only on zero. Does nothing once
    /// [`FeedWorker::finished`].
    pub fn do_work(&mut self, now_ns: Nanos) -> usize {
        self.do_work_at(now_ns.into())
    }

    /// The same with the two clocks apart: timers and pace run on the monotonic one, slots carry the other.
    pub fn do_work_at(&mut self, now: Now) -> usize {
        if self.finished.is_some() {
            return 0;
        }
        if !self.started && !self.start(now) {
            return 0;
        }
        let (work, turn) = match &mut self.source {
            Source::Live(live) => live.turn(now, &mut self.out),
            Source::Replay(replay) => replay.turn(now, &mut self.out),
        };
        self.out.commit();
        let blocked = matches!(turn, Turn::Full);
        if blocked && !self.blocked {
            self.out.on_ring_full();
        }
        self.blocked = blocked;
        if let Turn::Finished(finished) = turn {
            self.finished = Some(finished);
        } else if self.out.has_overrun() {
            self.finished = Some(Finished::Overrun);
        } else if work == 0 && self.out.is_abandoned() {
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
        decoder: impl Into<MessageDecoder>,
        producer: Producer,
        epoch: u64,
        options: LiveOptions,
    ) -> Result<Self, RingTooSmall> {
        let source = options.source;
        let live = Partition::new(udp, decoder.into(), options);
        let (free, needed) = (producer.free(), live.slots_needed());
        if free < needed {
            return Err(RingTooSmall { free, needed });
        }
        let metrics = Arc::new(FeedMetrics::new(source, live.addresses(), &live.line_names()));
        Ok(Self::new(Source::Live(Box::new(live)), producer, metrics, epoch))
    }

    /// A recording. `epoch` is the first lap's; every further lap or session has the next one.
    ///
    /// # Errors
    /// The recording cannot be opened.
    pub fn replay(options: ReplayOptions, producer: Producer, epoch: u64) -> Result<Self, OpenError> {
        let replay = Replay::open(options)?;
        let metrics = Arc::new(FeedMetrics::new("replay", Vec::new(), &[]));
        Ok(Self::new(Source::Replay(Box::new(replay)), producer, metrics, epoch))
    }

    fn new(source: Source, producer: Producer, metrics: Arc<FeedMetrics>, epoch: u64) -> Self {
        let out = EventWriter::new(producer, metrics, epoch);
        Self { source, out, finished: None, started: false, blocked: false }
    }

    /// Says that the first session begins, as soon as there is room to say so.
    #[cold]
    fn start(&mut self, now: Now) -> bool {
        if !self.out.has_room(1) {
            self.blocked = true;
            return false;
        }
        match &mut self.source {
            Source::Live(live) => live.start(now, &mut self.out),
            Source::Replay(_) => self.out.begin_session(now.wall_ns),
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
            Source::Live(live) if !self.blocked => live.wait(timeout),
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
            Source::Live(live) => live.rest(),
            Source::Replay(replay) => Duration::from_nanos(replay.wait_ns()),
        }
    }

    /// Has another poll told, under `token`, that a live feed's socket has something; a replay has no sockets.
    ///
    /// # Errors
    /// The system takes no more registrations.
    #[cfg(unix)]
    pub fn watch(&self, registry: &mio::Registry, token: mio::Token) -> std::io::Result<()> {
        match &self.source {
            Source::Live(live) => live.watch(registry, token),
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
        self.out.metrics()
    }

    /// Ends a [`FeedWorker::wait`] of a live feed from another thread; a replay's ends by unparking its thread.
    #[must_use]
    pub fn waker(&self) -> Option<Arc<mio::Waker>> {
        match &self.source {
            Source::Live(live) => Some(live.waker()),
            Source::Replay(_) => None,
        }
    }

    /// Epoch of the session in force.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.out.epoch()
    }

    /// The recording being replayed: its counts, its format, how far it is.
    #[must_use]
    pub fn recording(&self) -> Option<&Recording> {
        match &self.source {
            Source::Live(_) => None,
            Source::Replay(replay) => Some(replay.recording()),
        }
    }
}
