//! The simulated exchange on real sockets: one thread that sends packets when they are due and answers requests.
//!
//! Open loop: what is due is sent whether or not somebody listens. When late it catches up in bounded batches, with
//! several instants in one packet; it never skips a message. It never allocates per packet and never spins.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use book::Nanos;
use book::metrics::{Counter, Latency, MetricSource, Sample};
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Protocol, Socket, Type};

use super::history::{HISTORY_BYTES, HISTORY_MESSAGES, History};
use crate::sim::exchange::config::{BadConfig, SimConfig};
use crate::sim::exchange::{DAY_GAP_NS, Exchange, Output};
use crate::wire::layout::moldudp64::Session;
use crate::wire::moldudp64::{DATAGRAM_BYTES_MAX, HEADER_BYTES, PacketWriter, PushError, Request};

const MILLISECOND_NS: u64 = 1_000_000;
/// A quiet line sends a heartbeat this often (MoldUDP64: about one per second).
const HEARTBEAT_NS: u64 = 1_000 * MILLISECOND_NS;
/// An ended session says so this often until the next one begins.
const END_OF_SESSION_NS: u64 = 200 * MILLISECOND_NS;
/// Longest sleep: a stop waits no longer than this. A request ends it at once.
const SLEEP_MAX_NS: u64 = 20 * MILLISECOND_NS;
/// Shortest sleep. Every packet wakes four threads behind it, so that fewer wake-ups keep a laptop quiet (6.9 % of a
/// core with 1 ms, 5.8 % with 4 ms, at 2,000 messages a second); messages carry their own time.
const SLEEP_MIN_NS: u64 = 4 * MILLISECOND_NS;
/// Wait for room: in the budget, or in the socket's send buffer.
const ROOM_WAIT: Duration = Duration::from_micros(50);
/// Later than this, packets carry several instants.
const LATE_NS: u64 = MILLISECOND_NS;
/// Bytes per wall millisecond at most, at moderate rates: half a million adds a second. When all books are shown
/// again after an auction, a receiver with the system's default buffer (208 KiB) still gets them all.
const BYTES_PER_MS: u64 = 24 * 1024;
/// What may be sent at once after a pause.
const BURST_BYTES: u64 = 48 * 1024;
/// What a datagram costs a receiver's buffer beyond its bytes.
const DATAGRAM_OVERHEAD_BYTES: u64 = 300;
/// Requests answered per turn.
const REQUESTS_PER_TURN_MAX: usize = 64;
/// A full send buffer is tried again so often, at [`ROOM_WAIT`] intervals, before the packet counts as lost; the
/// other packets of that turn get one try each, so that a turn stays short.
const SEND_TRIES: usize = 40;

/// Message types that are counted one by one.
const KINDS: [u8; 13] = *b"TRLVSOAECDYPZ";

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A number of the configuration; trying again does not help.
    #[error(transparent)]
    Config(#[from] BadConfig),
    /// The socket; another address or port may help.
    #[error("simulated exchange: cannot open a socket on {bind}: {source}")]
    Socket {
        /// Address it was to be bound to.
        bind: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// Packets cannot be sent to port 0.
    #[error("simulated exchange: the destination {0} has no port")]
    NoPort(SocketAddr),
    /// The thread.
    #[error("simulated exchange: cannot start a thread: {0}")]
    Thread(io::Error),
}

/// What the server counts. Its thread writes, the scrape reads.
#[derive(Debug, Default)]
pub struct SimMetrics {
    messages: [Counter; KINDS.len()],
    packets: Counter,
    bytes: Counter,
    lost: Counter,
    requests: Counter,
    requests_refused: Counter,
    resent: Counter,
    sessions: Counter,
    halts: Counter,
    late: Latency,
}

impl SimMetrics {
    /// Messages sent since the start, all types.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.messages.iter().map(Counter::get).sum()
    }
}

impl MetricSource for SimMetrics {
    fn collect(&self, samples: &mut Vec<Sample>) {
        for (kind, counter) in KINDS.iter().zip(&self.messages) {
            let kind = char::from(*kind).to_string();
            samples.push(Sample::counter(
                "bist_sim_messages_total",
                "Messages that the simulated exchange sent, by type.",
                &[("type", &kind)],
                counter.get(),
            ));
        }
        for (name, help, value) in [
            ("bist_sim_packets_total", "Packets that the simulated exchange sent on its first line.", &self.packets),
            ("bist_sim_bytes_total", "Bytes of these packets.", &self.bytes),
            ("bist_sim_lost_packets_total", "Packets that the system refused to send.", &self.lost),
            ("bist_sim_requests_total", "Retransmission requests received.", &self.requests),
            (
                "bist_sim_requests_refused_total",
                "Requests without an answer: damaged, of another session, or for messages that are not kept.",
                &self.requests_refused,
            ),
            ("bist_sim_resent_messages_total", "Messages retransmitted on request.", &self.resent),
            ("bist_sim_sessions_total", "Trading days begun.", &self.sessions),
            ("bist_sim_halts_total", "Volatility halts.", &self.halts),
        ] {
            samples.push(Sample::counter(name, help, &[], value.get()));
        }
        samples.push(Sample::latency(
            "bist_sim_late_seconds",
            "Time from the planned to the actual sending of a packet.",
            &[],
            &self.late,
        ));
    }
}

/// A simulated exchange with its socket, not yet running.
pub struct Server {
    exchange: Exchange,
    line: Line,
    /// Sleeps until a request comes.
    poll: Poll,
    start_ns: Nanos,
}

impl Server {
    /// Binds the socket. `start_ns`: the wall clock now (Unix nanoseconds); decides the trading day and is the planned
    /// time of the first message, so [`Server::run`] is to be called soon.
    ///
    /// # Errors
    /// The configuration, the socket, or a destination without a port.
    pub fn bind(config: &SimConfig, start_ns: Nanos) -> Result<Self, StartError> {
        let exchange = Exchange::new(config, start_ns)?;
        let destinations = [Some(config.destination), config.secondary].into_iter().flatten();
        if let Some(destination) = destinations.into_iter().find(|destination| destination.port() == 0) {
            return Err(StartError::NoPort(destination));
        }
        let (socket, poll) = open(config).map_err(|source| StartError::Socket { bind: config.bind, source })?;
        let session = exchange.session();
        Ok(Self {
            exchange,
            line: Line {
                socket,
                destination: config.destination,
                secondary: config.secondary,
                writer: PacketWriter::new(session, 1, DATAGRAM_BYTES_MAX),
                history: History::new(HISTORY_BYTES, HISTORY_MESSAGES),
                metrics: Arc::default(),
                packet_ns: 0,
                coalesce: false,
                sent: 0,
                stuck: false,
                ended: false,
            },
            poll,
            start_ns,
        })
    }

    /// The address that packets come from and that retransmission requests go to.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.line.socket.local_addr()
    }

    /// Ticker and base price of every share on the first day: what a real exchange publishes in a file of its own,
    /// because the feed does not carry it.
    #[must_use]
    pub fn base_prices(&self) -> Vec<(String, book::Price)> {
        let price = |milli| book::Price::from_decimal(i64::from(milli), 3).unwrap_or_default();
        self.exchange.books().map(|(_, ticker, base, _)| (ticker.to_owned(), price(base))).collect()
    }

    /// What it counts.
    #[must_use]
    pub fn metrics(&self) -> Arc<SimMetrics> {
        Arc::clone(&self.line.metrics)
    }

    /// Runs on the calling thread until `stop` is set (then it returns within a fiftieth of a second) or the last day
    /// is over.
    pub fn run(mut self, stop: &AtomicBool) {
        let began = Instant::now();
        let now_ns = || self.start_ns + u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX >> 1);
        let rate = u64::from(self.exchange.config().rate);
        // At high rates the limit grows with them: twice the bytes of the average.
        let bytes_per_ms = BYTES_PER_MS.max(rate * (47 + DATAGRAM_OVERHEAD_BYTES) * 2 / 1_000);
        let mut budget = Budget { bytes: BURST_BYTES, burst: BURST_BYTES.max(bytes_per_ms), at_ns: self.start_ns };
        let mut quiet_since_ns = self.start_ns;
        let mut over_at_ns: Option<Nanos> = None;
        let mut events = Events::with_capacity(1);
        while !stop.load(Ordering::Relaxed) {
            let now = now_ns();
            let line = &mut self.line;
            let before = line.sent;
            line.stuck = false;
            budget.refill(now, bytes_per_ms);
            let mut over = false;
            while let Some(next_ns) = self.exchange.next_ns() {
                let planned_ns = self.exchange.timeline().planned_ns(next_ns);
                if planned_ns > now || budget.is_empty(line.sent - before) {
                    break;
                }
                line.metrics.late.record(now - planned_ns);
                line.coalesce = now - planned_ns > LATE_NS;
                if !self.exchange.step(line) {
                    over = self.exchange.next_ns().is_none();
                    break;
                }
            }
            line.flush();
            line.metrics.halts.add(self.exchange.halts().saturating_sub(line.metrics.halts.get()));
            budget.spend(line.sent - before);
            if over {
                over_at_ns = Some(now + DAY_GAP_NS);
            }
            let answered = line.answer_requests();
            if line.sent != before {
                quiet_since_ns = now;
            }
            let interval_ns = if line.ended { END_OF_SESSION_NS } else { HEARTBEAT_NS };
            if now - quiet_since_ns >= interval_ns {
                quiet_since_ns = now;
                line.send_alive();
            }
            if over_at_ns.is_some_and(|over_at_ns| now >= over_at_ns) {
                return;
            }
            let next_ns = self.exchange.next_ns().map(|next_ns| self.exchange.timeline().planned_ns(next_ns));
            if answered == REQUESTS_PER_TURN_MAX {
                continue;
            }
            if next_ns.is_some() && budget.is_empty(0) {
                std::thread::sleep(4 * ROOM_WAIT);
                continue;
            }
            let wait_ns = next_ns.map_or(SLEEP_MAX_NS, |next_ns| next_ns.saturating_sub(now_ns()));
            // Whole milliseconds: a poll knows no shorter ones, and rounds up.
            let wait_ms = wait_ns.clamp(SLEEP_MIN_NS, SLEEP_MAX_NS) / MILLISECOND_NS;
            // OK because an interrupted poll only means an early turn.
            let _ = self.poll.poll(&mut events, Some(Duration::from_millis(wait_ms)));
        }
    }

    /// Runs on a thread of its own, named `sim`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn spawn(self) -> Result<ServerHandle, StartError> {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("sim".to_owned()).spawn(move || self.run(&seen));
        Ok(ServerHandle { stop, thread: Some(thread.map_err(StartError::Thread)?) })
    }
}

/// A running server; stops it when dropped.
pub struct ServerHandle {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ServerHandle {
    /// Stops the thread and waits for it: a fiftieth of a second at most.
    pub fn stop(mut self) {
        self.end();
    }

    /// Whether the thread is over (its last day, or a panic).
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic was already reported by the thread itself.
            let _ = thread.join();
        }
    }
}

impl Drop for ServerHandle {
    fn drop(&mut self) {
        self.end();
    }
}

fn open(config: &SimConfig) -> io::Result<(UdpSocket, Poll)> {
    let socket = Socket::new(Domain::for_address(config.bind), Type::DGRAM, Some(Protocol::UDP))?;
    let _ = socket.set_send_buffer_size(1 << 20);
    for destination in [Some(config.destination), config.secondary].into_iter().flatten() {
        if let (true, SocketAddr::V4(bind)) = (destination.ip().is_multicast(), config.bind) {
            socket.set_multicast_loop_v4(true)?;
            socket.set_multicast_if_v4(bind.ip())?;
        }
    }
    socket.bind(&config.bind.into())?;
    socket.set_nonblocking(true)?;
    let mut socket = UdpSocket::from_std(socket.into());
    let poll = Poll::new()?;
    poll.registry().register(&mut socket, Token(0), Interest::READABLE)?;
    Ok((socket, poll))
}

/// Bytes that may be sent: a bucket that fills with time.
struct Budget {
    bytes: u64,
    burst: u64,
    at_ns: Nanos,
}

impl Budget {
    fn refill(&mut self, now_ns: Nanos, bytes_per_ms: u64) {
        let elapsed_ns = now_ns.saturating_sub(self.at_ns).min(1_000 * MILLISECOND_NS);
        self.at_ns = now_ns;
        self.bytes = (self.bytes + elapsed_ns * bytes_per_ms / MILLISECOND_NS).min(self.burst);
    }

    fn spend(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    fn is_empty(&self, spent: u64) -> bool {
        self.bytes <= spent
    }
}

/// The packets of a session and where they go.
struct Line {
    socket: UdpSocket,
    destination: SocketAddr,
    secondary: Option<SocketAddr>,
    writer: PacketWriter,
    history: History,
    metrics: Arc<SimMetrics>,
    /// Exchange time of the packet being filled.
    packet_ns: Nanos,
    coalesce: bool,
    /// Bytes sent, with the overhead that a receiver's buffer has.
    sent: u64,
    /// The send buffer stayed full in this turn.
    stuck: bool,
    /// Between two sessions.
    ended: bool,
}

impl Output for Line {
    fn session_begins(&mut self, session: Session) {
        self.flush();
        self.history.clear();
        self.writer = PacketWriter::new(session, 1, DATAGRAM_BYTES_MAX);
        self.metrics.sessions.add(1);
        self.ended = false;
    }

    fn message(&mut self, exchange_ns: Nanos, message: &[u8]) {
        if exchange_ns != self.packet_ns {
            if !self.coalesce {
                self.flush();
            }
            self.packet_ns = exchange_ns;
        }
        let mut pushed = self.writer.push(message);
        if pushed == Err(PushError::Full) {
            self.flush();
            pushed = self.writer.push(message);
        }
        if pushed.is_ok() {
            self.history.push(message);
            if let Some(kind) = message.first().and_then(|kind| KINDS.iter().position(|known| known == kind)) {
                self.metrics.messages[kind].add(1);
            }
        }
    }

    fn session_ends(&mut self) {
        self.flush();
        self.ended = true;
        self.send_alive();
    }
}

impl Line {
    fn flush(&mut self) {
        let Some(datagram) = self.writer.take() else { return };
        let mut sent = false;
        for destination in [Some(self.destination), self.secondary].into_iter().flatten() {
            let tries = if self.stuck { 1 } else { SEND_TRIES };
            if send(&self.socket, datagram, destination, tries) {
                sent = true;
            } else {
                self.stuck = true;
                self.metrics.lost.add(1);
            }
        }
        if sent {
            self.metrics.packets.add(1);
            self.metrics.bytes.add(datagram.len() as u64);
        }
        self.sent += datagram.len() as u64 + DATAGRAM_OVERHEAD_BYTES;
    }

    /// A heartbeat, or the end of the session.
    fn send_alive(&mut self) {
        let datagram = if self.ended { self.writer.end_of_session() } else { self.writer.heartbeat() };
        for destination in [Some(self.destination), self.secondary].into_iter().flatten() {
            send(&self.socket, &datagram, destination, 1);
        }
    }

    /// Answers what has come, at most [`REQUESTS_PER_TURN_MAX`]; returns how many it looked at.
    fn answer_requests(&mut self) -> usize {
        for looked_at in 0..REQUESTS_PER_TURN_MAX {
            let mut datagram = [0; HEADER_BYTES + 1];
            let Ok((length, from)) = self.socket.recv_from(&mut datagram) else { return looked_at };
            self.metrics.requests.add(1);
            let answered = Request::decode(datagram.get(..length).unwrap_or(&[]))
                .filter(|request| request.session == self.writer.session())
                .is_some_and(|request| self.answer(request, from));
            if !answered {
                self.metrics.requests_refused.add(1);
            }
        }
        REQUESTS_PER_TURN_MAX
    }

    /// One datagram with as many of the wanted messages as fit; the receiver asks again for the rest.
    fn answer(&mut self, request: Request, to: SocketAddr) -> bool {
        let mut answer = PacketWriter::new(request.session, request.from, DATAGRAM_BYTES_MAX);
        let numbers = (0..u64::from(request.count)).map_while(|place| request.from.checked_add(place));
        for number in numbers.take_while(|&number| number < self.writer.next_sequence()) {
            let Some(message) = self.history.get(number) else { break };
            if answer.push(message).is_err() {
                break;
            }
        }
        let count = u64::from(answer.pending());
        match answer.take() {
            Some(datagram) if send(&self.socket, datagram, to, 1) => {
                self.metrics.resent.add(count);
                true
            }
            _ => false,
        }
    }
}

/// Sends one datagram; waits a little for room in the send buffer between `tries`. `false` when it was not sent.
fn send(socket: &UdpSocket, datagram: &[u8], to: SocketAddr, tries: usize) -> bool {
    for tried in 1..=tries {
        match socket.send_to(datagram, to) {
            Ok(_) => return true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && tried < tries => {
                std::thread::sleep(ROOM_WAIT);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
    false
}
