//! One fan-out thread: take what the ring has, encode each topic once, one write per client for all that waits for it.
//!
//! A turn writes to a part of the clients that have something, then looks at the ring again: with a thousand clients what
//! comes meanwhile need not wait for the last of them. A turn never blocks and, once clients have subscribed, does not
//! allocate for a frame or for a client that gets it; text is formatted by hand. Requests, handshakes and closes may
//! allocate: they are rare and rate-limited.

mod answers;
mod clients;
mod orders;
mod publish;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use book::Nanos;
use book::Slot;
use book::metrics::MetricSource;
use book::order_interest::OrderInterestSender;
use book::ring::{Consumer, Notifier};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token, Waker};

use crate::config::Config;
use crate::market::Market;
use crate::metrics::{Metrics, Refused};
use crate::outlet::Outlet;
use crate::round::Round;
use crate::session::Session;
use crate::slow_path::SlowPath;
use crate::topic::{Key, Scratch, Topic};
use orders::OrderInterests;

const LISTENER: Token = Token(0);
const WAKER: Token = Token(1);
const FIRST_CLIENT: usize = 2;

/// Shared bytes after which everybody is written to before anything is added: keeps them in the cache, and bounds by how
/// much a queue can pass its limit.
const TURN_BYTES: usize = 256 * 1024;

/// Between two looks at every connection's clocks.
const TICK_NS: u64 = 100_000_000;

/// While slots keep coming, sockets are looked at this often.
const POLL_NS: u64 = 50_000;

/// Older updates come from a recording, whose receive time says nothing about us.
const LIVE_MAX_NS: u64 = 60_000_000_000;

/// A closing client has this long to answer, and to take what is queued.
const FAREWELL_NS: u64 = 2_000_000_000;

/// The longest that [`FanOut::shutdown`] takes.
const SHUTDOWN: Duration = Duration::from_secs(1);

/// New connections per turn.
const ACCEPTS_PER_TURN_MAX: usize = 64;

/// Connections above the limit that are still handed over, or a WebSocket closed with 4409.
const SURPLUS_MAX: usize = 128;

/// Bytes read from a client per turn; the rest waits for the next one.
const READ_BYTES_MAX: usize = 256 * 1024;

/// Due snapshots looked at per turn.
const DUE_PER_TURN_MAX: usize = 2_048;

/// Events of a book that may not be shown which are kept until it may; beyond it they become a gap.
const FRESH_MAX: usize = 10_000;

/// Malformed requests of a connection before it is closed with 4400.
const MALFORMED_MAX: u32 = 10;

/// Pings of a client: per second, and at once.
const PINGS: (u32, u32) = (10, 50);

/// The WebSocket server of one thread.
pub struct FanOut {
    consumer: Consumer,
    notifier: Arc<Notifier>,
    poll: Poll,
    events: Events,
    /// `events` were filled by [`FanOut::wait`] and not looked at.
    polled: bool,
    polled_ns: Nanos,
    listener: Option<TcpListener>,
    address: SocketAddr,
    core: Core,
}

impl FanOut {
    /// Token of sockets that are not ours, see [`FanOut::registry`].
    pub const OUTSIDE: Token = Token(usize::MAX);

    /// Listens on `config.listen` and reads `consumer`, whose producer rings `notifier`.
    ///
    /// `slow_path` gets every connection that asks for anything but the public socket. `clock` is only used to measure stages; the time that frames carry is handed to
    /// [`FanOut::do_work`].
    ///
    /// # Errors
    /// The address cannot be listened on, or the system has no more descriptors.
    pub fn bind(
        config: Config,
        consumer: Consumer,
        notifier: Arc<Notifier>,
        slow_path: Arc<dyn SlowPath>,
        clock: fn() -> Nanos,
    ) -> io::Result<Self> {
        let mut listener = listen(&config)?;
        let address = listener.local_addr()?;
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let registry = poll.registry().try_clone()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        notifier.set_waker(move || {
            let _ = waker.wake(); // OK because a wake that fails costs one tick of delay, not an update
        });
        Ok(Self {
            consumer,
            notifier,
            poll,
            events: Events::with_capacity(1_024),
            polled: false,
            polled_ns: 0,
            listener: Some(listener),
            address,
            core: Core::new(config, slow_path, registry, clock),
        })
    }

    /// Keeps the orders of those books alone that somebody follows order by order, and asks the book thread for them; without it
    /// every order is expected to come unasked. To be called before the first turn, with the other end of the reader's
    /// [`Detail::OnRequest`](book::worker::Detail::OnRequest). Where the books have no queues it changes nothing.
    #[must_use]
    pub fn with_orders_on_request(mut self, sender: OrderInterestSender) -> Self {
        if self.core.config.orders {
            self.core.keep_orders_on_request(sender);
        }
        self
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The poll that [`FanOut::wait`] sleeps on: whoever also does other work in this thread registers its sockets there
    /// under [`FanOut::OUTSIDE`]. An event of theirs ends the wait and counts as work of the next turn.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// Slots that wait in the ring.
    #[inline]
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.consumer.waiting()
    }

    /// What the scrape reads.
    #[must_use]
    pub fn metrics(&self) -> Arc<dyn MetricSource> {
        self.core.metrics.clone()
    }

    /// One turn; `now_ns` is our clock. Returns the work done: idle only on 0.
    pub fn do_work(&mut self, now_ns: Nanos) -> usize {
        let core = &mut self.core;
        core.now_ns = now_ns;
        let mut newest_ns = 0;
        let slots = self.consumer.drain_runs(core.config.slots_per_turn_max, |run| {
            for (at, slot) in run.iter().enumerate() {
                core.market.look_ahead(run, at);
                core.on_slot(slot);
            }
            newest_ns = run.last().map_or(newest_ns, received_ns);
        });
        if slots > 0 {
            core.fed_ns = Some(now_ns);
            let enqueued_ns = now_ns.saturating_sub(newest_ns);
            if enqueued_ns < LIVE_MAX_NS {
                core.metrics.enqueue.record(enqueued_ns);
            }
        }
        // A tick of the clock and the event behind it have one number: they go out as one frame. Whatever comes, the
        // next turn does not wait for it.
        let held = slots > 0 && core.market.ends_in_time;
        if !held && (slots > 0 || core.held) {
            core.measured(|core| core.publish(), |metrics| &metrics.encode);
        }
        core.held = held;
        core.send_part();
        let mut work = slots;
        let idle = slots == 0 && core.round.is_empty();
        if idle || self.polled || now_ns.saturating_sub(self.polled_ns) >= POLL_NS {
            work += self.look_at_sockets(now_ns);
        }
        let core = &mut self.core;
        if now_ns.saturating_sub(core.tick_ns) >= TICK_NS {
            core.on_tick();
        }
        core.release_conflated();
        if !held {
            work += core.emit_due();
        }
        if idle {
            core.send_part();
        }
        core.settle();
        work + core.round.len()
    }

    /// Sleeps until a slot, a socket or a timer asks for a turn, or for `timeout`.
    pub fn wait(&mut self, timeout: Duration) {
        self.notifier.prepare_wait();
        if self.consumer.is_empty() && !self.polled {
            let timeout = timeout.min(self.core.rest());
            // OK because an interrupted or failed poll only means an early turn.
            self.polled = self.poll.poll(&mut self.events, Some(timeout)).is_ok();
        }
        self.notifier.cancel_wait();
    }

    /// Tells every client to come back later, closes with 1012 and waits at most a second until all is out.
    pub fn shutdown(&mut self, now_ns: Nanos) {
        self.listener = None;
        self.core.now_ns = now_ns;
        self.core.say_goodbye();
        let begin = Instant::now();
        loop {
            self.core.send_all();
            self.core.settle();
            if self.core.queued() == 0 || begin.elapsed() >= SHUTDOWN {
                break;
            }
            if self.poll.poll(&mut self.events, Some(Duration::from_millis(20))).is_ok() {
                for event in &self.events {
                    if event.is_writable() && event.token() != Self::OUTSIDE && event.token().0 >= FIRST_CLIENT {
                        self.core.on_writable(event.token().0 - FIRST_CLIENT);
                    }
                }
            }
        }
        self.core.metrics.connections.set(0);
    }

    fn look_at_sockets(&mut self, now_ns: Nanos) -> usize {
        if !self.polled && self.poll.poll(&mut self.events, Some(Duration::ZERO)).is_err() {
            return 0;
        }
        self.polled = false;
        self.polled_ns = now_ns;
        let mut work = 0;
        let again = std::mem::take(&mut self.core.readable);
        for &at in &again {
            self.core.on_readable(at as usize);
            work += 1;
        }
        for event in &self.events {
            match event.token() {
                LISTENER => self.core.accept_more = true,
                WAKER => {}
                // Something may have come since its owner last looked, and this poll has now forgotten it.
                Self::OUTSIDE => work += 1,
                Token(token) => {
                    work += 1;
                    let at = token - FIRST_CLIENT;
                    if event.is_writable() {
                        self.core.on_writable(at);
                    }
                    if event.is_readable() {
                        self.core.on_readable(at);
                    }
                }
            }
        }
        self.events.clear();
        if self.core.accept_more {
            work += self.accept();
        }
        work
    }

    fn accept(&mut self) -> usize {
        let Some(listener) = &self.listener else { return 0 };
        self.core.accept_more = false;
        for accepted in 0..ACCEPTS_PER_TURN_MAX {
            match listener.accept() {
                Ok((socket, peer)) => self.core.on_accept(socket, peer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return accepted,
                Err(_) => {
                    // Out of descriptors, or the client is gone already: the next tick tries again.
                    self.core.metrics.count(Refused::Accept);
                    self.core.accept_more_at_tick = true;
                    return accepted;
                }
            }
        }
        self.core.accept_more = true;
        ACCEPTS_PER_TURN_MAX
    }
}

/// Our clock in an update: every update is a record.
fn received_ns(update: &Slot) -> Nanos {
    update.record().received_ns
}

fn listen(config: &Config) -> io::Result<TcpListener> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(config.listen), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(config.reuse_port)?;
    socket.set_nonblocking(true)?;
    if let Some(bytes) = config.send_buffer_bytes {
        socket.set_send_buffer_size(bytes)?; // accepted sockets inherit it
    }
    socket.bind(&config.listen.into())?;
    socket.listen(1_024)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// Everything but the ring's end and the poll.
struct Core {
    config: Config,
    slow_path: Arc<dyn SlowPath>,
    /// Where the sockets are registered.
    registry: Registry,
    clock: fn() -> Nanos,
    metrics: Arc<Metrics>,
    now_ns: Nanos,
    tick_ns: Nanos,
    /// When the ring last gave anything.
    fed_ns: Option<Nanos>,
    market: Market,
    /// The epoch that clients know.
    epoch: u64,
    /// The last turn published nothing, because its last slot was a tick of the clock.
    held: bool,
    /// The slot at hand begins a session.
    session_began: bool,
    topics: Vec<Option<Topic>>,
    free_topics: Vec<u32>,
    keys: HashMap<Key, u32>,
    /// Conflated topics with something waiting.
    conflated: Vec<u32>,
    next_release_ns: Nanos,
    sessions: Vec<Option<Box<Session>>>,
    /// Beside `sessions`, place by place; apart from them because every write touches it.
    sockets: Vec<Option<TcpStream>>,
    /// The same, because every frame touches it.
    outlets: Vec<Outlet>,
    free_sessions: Vec<u32>,
    sessions_count: usize,
    sockets_open: usize,
    wildcards_count: usize,
    interests: OrderInterests,
    /// The bytes of all frames since everybody was last written to; places in it are handed to outlets.
    turn: Vec<u8>,
    /// How often it was emptied.
    turn_number: u64,
    /// Clients to write to.
    round: Round,
    /// Clients with snapshots due.
    due: VecDeque<u32>,
    /// Clients whose subscriptions are to be removed.
    leaving: Vec<u32>,
    /// Clients to be forgotten.
    doomed: Vec<u32>,
    /// Clients that may have more to read.
    readable: Vec<u32>,
    /// Clients with requests that wait for the rate limit.
    limited: Vec<u32>,
    /// Books that may be subscribed since this turn.
    joined: Vec<usize>,
    queued_bytes: usize,
    /// All queues together were too long and are not short again.
    tight: bool,
    accept_more: bool,
    accept_more_at_tick: bool,
    scratch: Scratch,
    pieces: Vec<u8>,
    input: Vec<u8>,
}

impl Core {
    fn new(config: Config, slow_path: Arc<dyn SlowPath>, registry: Registry, clock: fn() -> Nanos) -> Self {
        let metrics = Arc::new(Metrics { name: config.name, ..Metrics::default() });
        Self {
            slow_path,
            registry,
            clock,
            metrics,
            now_ns: 0,
            tick_ns: 0,
            fed_ns: None,
            market: if config.orders { Market::new() } else { Market::without_orders() },
            epoch: 0,
            held: false,
            session_began: false,
            topics: Vec::new(),
            free_topics: Vec::new(),
            keys: HashMap::new(),
            conflated: Vec::new(),
            next_release_ns: u64::MAX,
            sessions: Vec::new(),
            sockets: Vec::new(),
            outlets: Vec::new(),
            free_sessions: Vec::new(),
            sessions_count: 0,
            sockets_open: 0,
            wildcards_count: 0,
            interests: OrderInterests::default(),
            turn: Vec::with_capacity(4 * TURN_BYTES),
            turn_number: 0,
            round: Round::new(config.connections_max.min(65_536)),
            due: VecDeque::new(),
            leaving: Vec::new(),
            doomed: Vec::new(),
            readable: Vec::new(),
            limited: Vec::new(),
            joined: Vec::new(),
            queued_bytes: 0,
            tight: false,
            accept_more: false,
            accept_more_at_tick: false,
            scratch: Scratch::new(),
            pieces: Vec::with_capacity(TURN_BYTES),
            input: vec![0; 64 * 1024],
            config,
        }
    }

    fn measured(&mut self, stage: impl FnOnce(&mut Self), of: impl FnOnce(&Metrics) -> &book::metrics::Latency) {
        let begin_ns = (self.clock)();
        stage(self);
        let end_ns = (self.clock)();
        of(&self.metrics).record(end_ns.saturating_sub(begin_ns));
    }

    fn queued(&self) -> usize {
        self.queued_bytes
    }

    /// How long nothing of our own needs a turn.
    fn rest(&self) -> Duration {
        if self.accept_more || !self.readable.is_empty() || !self.round.is_empty() {
            return Duration::ZERO;
        }
        let ticks = self.sockets_open > 0 || self.accept_more_at_tick || self.interests.has_timers();
        let tick_ns = if ticks { TICK_NS } else { u64::MAX };
        Duration::from_nanos(tick_ns.min(self.next_release_ns.saturating_sub(self.now_ns)))
    }
}
