//! One fan-out thread: take what the ring has, encode each topic once, one write per client for all that waits for it.
//!
//! A turn writes to a part of the clients that have something, then looks at the ring again: with a thousand clients what
//! comes meanwhile need not wait for the last of them. A turn never blocks and, once clients have subscribed, does not
//! allocate for a frame or for a client that gets it. Requests, handshakes and closes may allocate: they are rare and
//! rate-limited. No request is answered here but the handshake of the public socket.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use book::metrics::{Latency, MetricSource};
use book::order_interest::OrderInterestSender;
use book::ring::{Consumer, Notifier};
use book::{BookIndex, Nanos, Now, Slot};
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Registry, Token, Waker};

use crate::admission::{Admission, VerdictReceiver};
use crate::config::Config;
use crate::egress::slow_reader::Limits;
use crate::egress::{Egress, SHARED_BYTES};
use crate::encode::Moment;
use crate::encode::json::frames::{Frames, Scratch};
use crate::ids::{ClientId, TopicId};
use crate::market::Market;
use crate::metrics::{Metrics, Refused};
use crate::slow_path::SlowPath;
use crate::topics::Topics;
use crate::websocket::clients::Clients;
use crate::websocket::door::{Doors, Guard};
use crate::websocket::frame::close;
use crate::websocket::wanted_orders::OrderInterests;

const LISTENER: Token = Token(0);
const WAKER: Token = Token(1);
const FIRST_CLIENT: usize = 2;

/// Between two looks at every connection's clocks.
const TICK_NS: u64 = 100_000_000;

/// While slots keep coming, sockets are looked at this often.
const POLL_NS: u64 = 50_000;

/// Older updates come from a recording, whose receive time says nothing about us.
const LIVE_MAX_NS: u64 = 60_000_000_000;

/// The longest that [`FanOut::shutdown`] takes.
const SHUTDOWN: Duration = Duration::from_secs(1);

/// New connections per turn.
const ACCEPTS_PER_TURN_MAX: usize = 64;

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
    shard: Shard,
}

impl FanOut {
    /// Token of sockets that are not ours, see [`FanOut::registry`].
    pub const OUTSIDE: Token = Token(usize::MAX);

    /// Listens on `config.listen` and reads `consumer`, whose producer rings `notifier`.
    ///
    /// `slow_path` gets every connection that asks for anything but the public socket. `clock` measures stages and writes
    /// `time_out` of replies; the time that frames carry is handed to [`FanOut::do_work`].
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
            shard: Shard::new(config, slow_path, registry, clock),
        })
    }

    /// Keeps the orders of those books alone that somebody follows order by order, and asks the book thread for them; without it
    /// every order is expected to come unasked. To be called before the first turn, with the other end of the reader's
    /// [`Detail::OnRequest`](book::worker::Detail::OnRequest). Where the books have no queues it changes nothing.
    #[must_use]
    pub fn with_orders_on_request(mut self, sender: OrderInterestSender) -> Self {
        if self.shard.config.orders {
            self.shard.keep_orders_on_request(sender);
        }
        self
    }

    /// Asks `admission` about the credentials that connections show, and takes its verdicts from `verdicts`, whose notifier
    /// must be this fan-out's. Without it credentials count for nothing: nobody is asked, and where [`Config::auth_required`]
    /// nobody gets in.
    #[must_use]
    pub fn with_admission(mut self, admission: Arc<dyn Admission>, verdicts: VerdictReceiver) -> Self {
        self.shard.doors.guard = Some(Guard { admission, verdicts });
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
        self.shard.metrics.clone()
    }

    /// One turn at `now`. Timers follow its monotonic clock alone. Returns the work done: idle only on 0.
    pub fn do_work(&mut self, now: impl Into<Now>) -> usize {
        let now = now.into();
        let now_ns = now.monotonic_ns;
        let slots = self.take_updates(now);
        let shard = &mut self.shard;
        // A tick of the clock and the event behind it have one number: they go out as one frame. Whatever comes, the
        // next turn does not wait for it.
        let mid_event = slots > 0 && shard.market.ends_in_time;
        if !mid_event && (slots > 0 || shard.mid_event) {
            shard.measured(|shard| shard.publish(), |metrics| &metrics.encode);
        }
        shard.mid_event = mid_event;
        shard.send_part();
        let mut work = slots;
        let idle = slots == 0 && shard.egress.is_idle();
        if idle || self.polled || now_ns.saturating_sub(self.polled_ns) >= POLL_NS {
            work += self.look_at_sockets(now_ns) + self.shard.take_verdicts();
        }
        let shard = &mut self.shard;
        if now_ns.saturating_sub(shard.tick_ns) >= TICK_NS {
            shard.on_tick();
        }
        shard.release_conflated();
        if !mid_event {
            work += shard.emit_due();
        }
        if idle {
            shard.send_part();
        }
        shard.settle();
        work + shard.egress.waiting()
    }

    /// Takes what the ring has into the reader's copy, a turn's worth at most.
    fn take_updates(&mut self, now: Now) -> usize {
        let shard = &mut self.shard;
        (shard.now_ns, shard.wall_ns) = (now.monotonic_ns, now.wall_ns);
        let mut newest_ns = 0;
        let slots = self.consumer.drain_runs(shard.config.slots_per_turn_max, |run| {
            for (at, slot) in run.iter().enumerate() {
                shard.market.look_ahead(run, at);
                shard.on_slot(slot);
            }
            newest_ns = run.last().map_or(newest_ns, received_ns);
        });
        if slots > 0 {
            shard.last_update_ns = Some(now.monotonic_ns);
            let enqueued_ns = now.wall_ns.saturating_sub(newest_ns);
            if enqueued_ns < LIVE_MAX_NS {
                shard.metrics.enqueue.record(enqueued_ns);
            }
        }
        slots
    }

    /// Sleeps until a slot, a socket or a timer asks for a turn, or for `timeout`.
    pub fn wait(&mut self, timeout: Duration) {
        self.notifier.prepare_wait();
        if self.consumer.is_empty() && !self.polled {
            let timeout = timeout.min(self.shard.rest());
            // OK because an interrupted or failed poll only means an early turn.
            self.polled = self.poll.poll(&mut self.events, Some(timeout)).is_ok();
        }
        self.notifier.cancel_wait();
    }

    /// Tells every client to come back later, closes with 1012 and waits at most a second until all is out.
    pub fn shutdown(&mut self, now: impl Into<Now>) {
        let now = now.into();
        self.listener = None;
        (self.shard.now_ns, self.shard.wall_ns) = (now.monotonic_ns, now.wall_ns);
        self.shard.say_goodbye();
        let begin = Instant::now();
        loop {
            self.shard.send_all();
            self.shard.settle();
            if self.shard.egress.queued_bytes() == 0 || begin.elapsed() >= SHUTDOWN {
                break;
            }
            if self.poll.poll(&mut self.events, Some(Duration::from_millis(20))).is_ok() {
                for event in &self.events {
                    if event.is_writable() && event.token() != Self::OUTSIDE && event.token().0 >= FIRST_CLIENT {
                        self.shard.on_writable(client_of(event.token().0));
                    }
                }
            }
        }
        self.shard.metrics.connections.set(0);
    }

    fn look_at_sockets(&mut self, now_ns: Nanos) -> usize {
        if !self.polled && self.poll.poll(&mut self.events, Some(Duration::ZERO)).is_err() {
            return 0;
        }
        self.polled = false;
        self.polled_ns = now_ns;
        let mut work = 0;
        let again = std::mem::take(&mut self.shard.clients.readable);
        for client in again {
            self.shard.on_readable(client);
            work += 1;
        }
        for event in &self.events {
            match event.token() {
                LISTENER => self.shard.accept_more = true,
                WAKER => {}
                // Something may have come since its owner last looked, and this poll has now forgotten it.
                Self::OUTSIDE => work += 1,
                Token(token) => {
                    work += 1;
                    let client = client_of(token);
                    if event.is_writable() {
                        self.shard.on_writable(client);
                    }
                    if event.is_readable() {
                        self.shard.on_readable(client);
                    }
                }
            }
        }
        self.events.clear();
        if self.shard.accept_more {
            work += self.accept();
        }
        work
    }

    fn accept(&mut self) -> usize {
        let Some(listener) = &self.listener else { return 0 };
        self.shard.accept_more = false;
        for accepted in 0..ACCEPTS_PER_TURN_MAX {
            match listener.accept() {
                Ok((socket, peer)) => self.shard.on_accept(socket, peer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return accepted,
                Err(_) => {
                    // Out of descriptors, or the client is gone already: the next tick tries again.
                    self.shard.metrics.count(Refused::Accept);
                    self.shard.accept_more_at_tick = true;
                    return accepted;
                }
            }
        }
        self.shard.accept_more = true;
        ACCEPTS_PER_TURN_MAX
    }
}

/// The client of a socket's token.
const fn client_of(token: usize) -> ClientId {
    ClientId::from_index(token - FIRST_CLIENT)
}

/// The token of a client's socket.
pub(super) const fn token_of(client: ClientId) -> Token {
    Token(client.index() + FIRST_CLIENT)
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

/// Everything but the ring's end and the poll, each subject with its own state.
pub(super) struct Shard {
    pub config: Config,
    pub slow_path: Arc<dyn SlowPath>,
    /// Where the sockets are registered.
    pub registry: Registry,
    pub clock: fn() -> Nanos,
    pub metrics: Arc<Metrics>,
    /// The monotonic clock at this turn: for timers.
    pub now_ns: Nanos,
    /// The wall clock at this turn: for frames.
    pub wall_ns: Nanos,
    pub tick_ns: Nanos,
    /// When the ring last gave anything.
    pub last_update_ns: Option<Nanos>,
    /// The epoch that clients know.
    pub epoch: u64,
    /// The last turn published nothing, because its last slot was a tick of the clock.
    mid_event: bool,
    /// The slot at hand begins a session.
    pub session_began: bool,
    /// Books that may be subscribed since this turn.
    pub joined: Vec<BookIndex>,
    pub market: Market,
    pub topics: Topics<Frames>,
    pub clients: Clients,
    pub egress: Egress,
    pub interests: OrderInterests,
    pub doors: Doors,
    pub accept_more: bool,
    pub accept_more_at_tick: bool,
    pub scratch: Scratch,
    /// Conflated topics whose time has come, kept for its memory.
    pub released: Vec<TopicId>,
    /// What was just read of a socket.
    pub input: Vec<u8>,
}

impl Shard {
    fn new(config: Config, slow_path: Arc<dyn SlowPath>, registry: Registry, clock: fn() -> Nanos) -> Self {
        let metrics = Arc::new(Metrics { name: config.name, ..Metrics::default() });
        let Config { queue_bytes, queue_bytes_max, queue_bytes_total, .. } = config;
        let limits = Limits { queue_bytes, queue_bytes_max, queue_bytes_total };
        Self {
            slow_path,
            registry,
            clock,
            metrics,
            now_ns: 0,
            wall_ns: 0,
            tick_ns: 0,
            last_update_ns: None,
            epoch: 0,
            mid_event: false,
            session_began: false,
            joined: Vec::new(),
            market: if config.orders { Market::new() } else { Market::without_orders() },
            topics: Topics::new(),
            clients: Clients::default(),
            egress: Egress::new(limits, config.connections_max),
            interests: OrderInterests::default(),
            doors: Doors::default(),
            accept_more: false,
            accept_more_at_tick: false,
            scratch: Scratch::new(),
            released: Vec::new(),
            input: vec![0; 64 * 1024],
            config,
        }
    }

    pub(super) fn moment(&self) -> Moment {
        Moment { now_ns: self.wall_ns, epoch: self.epoch }
    }

    fn measured(&mut self, stage: impl FnOnce(&mut Self), of: impl FnOnce(&Metrics) -> &Latency) {
        let begin_ns = (self.clock)();
        stage(self);
        let end_ns = (self.clock)();
        of(&self.metrics).record(end_ns.saturating_sub(begin_ns));
    }

    /// Two tables contradict each other, which no input can cause: counted, and the client whose frames cannot be right any
    /// more is closed with 1011, so that it begins anew.
    #[cold]
    pub(super) fn broken(&mut self, client: ClientId) {
        self.metrics.invariant_broken.add(1);
        if self.clients.get(client).is_some() {
            self.close(client, close::INTERNAL, "a fault of the server: connect again");
        }
    }

    /// The same where the table of topics contradicts the books: every book of it is begun anew.
    #[cold]
    pub(super) fn broken_topic(&mut self, id: TopicId) {
        self.metrics.invariant_broken.add(1);
        for at in self.market.indices() {
            self.market.book_mut(at).topics.retain(|&have| have != id);
        }
        let lost: Vec<ClientId> = self.clients.ids().filter(|&client| self.follows(client, id)).collect();
        for client in lost {
            self.close(client, close::INTERNAL, "a fault of the server: connect again");
        }
    }

    fn follows(&self, client: ClientId, id: TopicId) -> bool {
        self.clients.get(client).is_some_and(|session| session.subscriptions.iter().any(|one| one.topic == id))
    }

    /// One write to each of the next clients; what comes meanwhile joins them.
    pub(super) fn send_part(&mut self) {
        self.send(self.egress.part());
    }

    /// The same to all of them: the place in the shared bytes is needed, or they must be out.
    pub(super) fn send_all(&mut self) {
        self.send(usize::MAX);
    }

    /// The same, if the shared bytes are many.
    #[inline]
    pub(super) fn send_if_large(&mut self) {
        if self.egress.shared.len() > SHARED_BYTES {
            self.send_all();
        }
    }

    fn send(&mut self, clients_max: usize) {
        if !self.egress.is_idle() {
            self.write(clients_max);
        }
        self.egress.end_turn();
    }

    fn write(&mut self, clients_max: usize) {
        let begin_ns = (self.clock)();
        let Clients { sockets, to_close, .. } = &mut self.clients;
        let bytes = self.egress.write(sockets, clients_max, self.now_ns, to_close);
        let end_ns = (self.clock)();
        self.metrics.write.record(end_ns.saturating_sub(begin_ns));
        while let Some(received_ns) = self.egress.next_out() {
            self.metrics.tick_to_wire.record(end_ns.saturating_sub(received_ns));
        }
        self.metrics.sent_bytes.add(bytes as u64);
        self.metrics.queue_bytes.set(self.egress.queued_bytes() as u64);
    }

    /// How long nothing of our own needs a turn.
    fn rest(&self) -> Duration {
        if self.accept_more || !self.clients.readable.is_empty() || !self.egress.is_idle() || self.doors.has_verdicts()
        {
            return Duration::ZERO;
        }
        let ticks = self.clients.open() > 0 || self.accept_more_at_tick || self.interests.has_timers();
        let tick_ns = if ticks { TICK_NS } else { u64::MAX };
        Duration::from_nanos(tick_ns.min(self.topics.next_release_ns().saturating_sub(self.now_ns)))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use book::ring::ring;

    use super::*;
    use crate::egress::slow_reader::Policy;
    use crate::ids::SubscriptionId;
    use crate::topics::channel::Channel;
    use crate::websocket::subscriptions::Subscription;

    fn connected(clock: fn() -> Nanos) -> (FanOut, TcpStream) {
        let notifier = Notifier::new();
        let (_, reader) = ring("fan-out", 8, Arc::clone(&notifier));
        let config = Config { listen: SocketAddr::from(([127, 0, 0, 1], 0)), ..Config::default() };
        let mut fan_out = FanOut::bind(config, reader, notifier, Arc::new(()), clock).unwrap();
        let mut stream = TcpStream::connect(fan_out.local_addr()).unwrap();
        let key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        write!(stream, "GET /ws/v2 HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{key}").unwrap();
        while fan_out.shard.clients.websockets == 0 {
            fan_out.do_work(1);
        }
        (fan_out, stream)
    }

    /// A subscription to a topic that does not exist: no request can make one.
    fn torn() -> Subscription {
        Subscription {
            sub_id: 1,
            topic: TopicId(7),
            position: 0,
            channel: Channel::Book,
            book: BookIndex(0),
            snapshot: true,
            once: false,
            policy: Policy::Skip,
            gap_from: None,
            due: true,
        }
    }

    #[test]
    fn a_reply_and_a_refusal_say_when_they_were_written_not_when_the_turn_began() {
        let (mut fan_out, mut stream) = connected(|| 9);
        for request in [r#"{"method":"ping"}"#, r#"{"method":"unheard_of"}"#] {
            fan_out.shard.on_request(ClientId(0), request, 1);
        }
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut text = String::new();
        while text.matches(r#""time_in":"1","time_out":"9""#).count() < 2 {
            fan_out.do_work(2);
            let mut some = [0; 512];
            let read = stream.read(&mut some).unwrap();
            assert!(read > 0, "{text}");
            text += &String::from_utf8_lossy(&some[..read]);
        }
    }

    #[test]
    fn a_contradiction_between_tables_is_counted_and_closes_the_client_with_1011() {
        let detections: [fn(&mut Shard, ClientId); 5] = [
            |shard, client| shard.set_due(client, SubscriptionId(0), TopicId(7), 0),
            |shard, client| shard.push_snapshot(client, TopicId(7)),
            |shard, client| shard.on_request(client, r#"{"method":"list_subscriptions"}"#, 1),
            |shard, client| assert!(shard.remove_subscription(client, SubscriptionId(0)).is_some()),
            |shard, _| shard.broken_topic(TopicId(7)),
        ];
        for detect in detections {
            let (mut fan_out, mut stream) = connected(|| 0);
            let client = ClientId(0);
            fan_out.shard.clients.get_mut(client).unwrap().subscriptions.insert(torn());
            detect(&mut fan_out.shard, client);
            assert!(fan_out.shard.metrics.invariant_broken.get() >= 1);
            let mut bytes = Vec::new();
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            while !bytes.windows(4).any(|window| window == [0x88, 2 + 36, 0x03, 0xF3]) {
                fan_out.do_work(2);
                let mut some = [0; 512];
                let read = stream.read(&mut some).unwrap();
                assert!(read > 0, "{}", String::from_utf8_lossy(&bytes));
                bytes.extend_from_slice(&some[..read]);
            }
        }
    }
}
