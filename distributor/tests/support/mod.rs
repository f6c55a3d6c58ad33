//! A whole market in one thread: events in, a real book stage, a real fan-out over loopback, clients that are not ours.
//!
//! Time is a number that tests set. Waiting is for a state, with turns of the server in between.

#![allow(dead_code)] // each test file uses its part of it

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use book::market::{Limits, Market, OrderKey};
use book::metrics::{Sample, Value as MetricValue};
use book::order_interest::order_interest;
use book::ring::{Notifier, Producer, ring};
use book::slot::{
    Contract, Equilibrium, EquilibriumBest, Execution, LongName, OrderEvent, Slot, Stamp, State, Symbol, System, Terms,
    TickBand, rtype, system,
};
use book::worker::{BookWorker, Detail};
use book::{BookId, OrderId, Phase, Price, Side};
use distributor::admission::VerdictReceiver;
use distributor::{Config, FanOut, SlowPath};
use serde_json::Value;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{HandshakeError, Message, WebSocket};

pub mod client_book;
pub mod desk;

use desk::Desk;

/// 2026-11-23 10:00:00 in Istanbul.
pub const TEN: u64 = 1_795_417_200_000_000_000;
pub const MS: u64 = 1_000_000;
pub const SECOND: u64 = 1_000 * MS;

/// Turns without progress after which a wait has failed.
const TURNS_MAX: usize = 20_000;

pub struct World {
    events: Producer,
    pub stage: BookWorker,
    pub server: FanOut,
    pub now_ns: u64,
    /// How far the wall clock has jumped from it.
    pub wall_jump_ns: i64,
    /// The exchange's clock for the next events.
    pub exchange_ns: u64,
    /// Of the clients that connect from now on.
    pub receive_buffer_bytes: Option<usize>,
    match_id: u64,
}

pub fn config() -> Config {
    Config { listen: SocketAddr::from(([127, 0, 0, 1], 0)), ..Config::default() }
}

impl World {
    pub fn new() -> Self {
        Self::with(config(), 1 << 14, Arc::new(()))
    }

    /// With a ring of `slots` towards the fan-out.
    pub fn with(config: Config, slots: usize, slow_path: Arc<dyn SlowPath>) -> Self {
        Self::built(config, slots, slow_path, None)
    }

    /// A session of epoch 7 with THYAO, whose fan-out asks a desk about credentials.
    pub fn guarded(config: Config) -> (Self, Arc<Desk>) {
        let notifier = Notifier::new();
        let (desk, verdicts) = Desk::new(Arc::clone(&notifier));
        let doors = (notifier, Arc::clone(&desk), verdicts);
        let mut world = Self::built(config, 1 << 14, Arc::new(()), Some(doors));
        world.session(7);
        world.list(1, "THYAO.E");
        world.phase(1, Phase::Continuous);
        world.turn();
        (world, desk)
    }

    fn built(
        config: Config,
        slots: usize,
        slow_path: Arc<dyn SlowPath>,
        doors: Option<(Arc<Notifier>, Arc<Desk>, VerdictReceiver)>,
    ) -> Self {
        let notifier = doors.as_ref().map_or_else(Notifier::new, |(notifier, ..)| Arc::clone(notifier));
        let (events, consumer) = ring("events", 1 << 16, Notifier::new());
        let (updates, reader) = ring("fanout", slots, Arc::clone(&notifier));
        let limits = Limits {
            books_max: 64,
            orders_max: 50_000,
            levels_max: 20_000,
            ladder_slots: 0,
            queues: config.orders,
            key: OrderKey::BookSideId,
            seed: 1,
            ..Limits::default()
        };
        let mut stage = BookWorker::new(consumer, Market::new(limits));
        let (sender, receiver) = order_interest(64, Notifier::new());
        stage.add_reader(updates, Detail::OnRequest(receiver), 64);
        let server = FanOut::bind(config, reader, notifier, slow_path, || 0).expect("loopback can be listened on");
        let mut server = server.with_orders_on_request(sender);
        if let Some((_, desk, verdicts)) = doors {
            server = server.with_admission(desk, verdicts);
        }
        Self {
            events,
            stage,
            server,
            now_ns: TEN,
            wall_jump_ns: 0,
            exchange_ns: TEN,
            receive_buffer_bytes: None,
            match_id: 0,
        }
    }

    /// A session of epoch 7 with these shares, numbered 1, 2, …, in continuous trading.
    pub fn open(shares: &[&str]) -> Self {
        Self::open_with(config(), 1 << 14, shares)
    }

    pub fn open_with(config: Config, slots: usize, shares: &[&str]) -> Self {
        let mut world = Self::with(config, slots, Arc::new(()));
        world.session(7);
        for (n, share) in shares.iter().enumerate() {
            world.list(n as u32 + 1, share);
            world.phase(n as u32 + 1, Phase::Continuous);
        }
        world.turn();
        world
    }

    pub fn event(&mut self, event: impl Into<Slot>) {
        self.events.push(event.into()).expect("the event ring of a test has room");
    }

    pub fn stamp(&self, book: u32) -> Stamp {
        Stamp {
            book_id: BookId(book),
            exchange_ns: self.exchange_ns,
            received_ns: self.exchange_ns + 100,
            ..Stamp::default()
        }
    }

    pub fn system(&mut self, code: u8, from: u64, to: u64, epoch: u64) {
        self.event(System::new(code, self.exchange_ns, self.exchange_ns + 100, from, to, epoch));
    }

    pub fn session(&mut self, epoch: u64) {
        self.system(system::SESSION, 0, 0, epoch);
    }

    /// A definition of two decimals with a band of 1.00..=9999.99.
    pub fn list(&mut self, book: u32, symbol: &str) {
        self.list_as(book, symbol, 2);
    }

    pub fn list_as(&mut self, book: u32, symbol: &str, price_decimals: u8) {
        let (exchange_ns, received_ns) = (self.exchange_ns, self.exchange_ns + 100);
        let mut padded = [b' '; 32];
        padded[..symbol.len()].copy_from_slice(symbol.as_bytes());
        macro_rules! part {
            ($kind:ident, $rtype:ident, { $($field:ident : $value:expr),* }) => {
                self.event($kind {
                    length: 16,
                    rtype: rtype::$rtype,
                    flags: 0,
                    side: b'N',
                    book_id: book,
                    exchange_ns,
                    seq: 0,
                    received_ns,
                    $($field: $value),*
                })
            };
        }
        part!(Symbol, SYMBOL, { symbol: padded });
        part!(LongName, LONG_NAME, { name: *b"A SHARE \"OF\" A COMPANY          " });
        part!(Terms, TERMS, {
            isin: *b"TRATHYAO91M5",
            currency: *b"TRY",
            product: 5,
            price_decimals: price_decimals,
            legs: 0,
            option_type: 0,
            ranking_type: 1,
            round_lot: 1,
            expiration: 0,
            underlying_book_id: 0
        });
        part!(Contract, CONTRACT, {
            strike: Price::NONE.0,
            nominal: 0,
            odd_lot: 0,
            block_lot: 0,
            nominal_decimals: 0,
            reserved: [0; 6]
        });
        part!(TickBand, TICK_BAND, {
            tick: Price::SCALE / 100,
            from: Price::SCALE,
            to: 9_999 * Price::SCALE + Price::SCALE / 100 * 99,
            reference: 100 * Price::SCALE
        });
    }

    pub fn phase(&mut self, book: u32, phase: Phase) {
        let state = State::new(self.stamp(book), phase, b"P_STATE");
        self.event(state);
    }

    pub fn equilibrium(&mut self, book: u32, cents: i64, quantity: u64) {
        let (exchange_ns, received_ns) = (self.exchange_ns, self.exchange_ns + 100);
        self.event(Equilibrium {
            length: 16,
            rtype: rtype::EQUILIBRIUM,
            flags: 0,
            side: b'N',
            book_id: book,
            exchange_ns,
            seq: 0,
            received_ns,
            price: price(cents).0,
            bid_quantity: quantity,
            ask_quantity: quantity + 1,
            far_price: Price::NONE.0,
        });
        self.event(EquilibriumBest {
            length: 16,
            rtype: rtype::EQUILIBRIUM_BEST,
            flags: 0,
            side: b'N',
            book_id: book,
            exchange_ns,
            seq: 0,
            received_ns,
            bid_price: price(cents - 1).0,
            ask_price: Price::NONE.0,
            bid_quantity: 3,
            ask_quantity: 0,
        });
    }

    pub fn add(&mut self, book: u32, side: Side, order: u64, cents: i64, quantity: u64) {
        let event = OrderEvent::add(self.stamp(book), side, OrderId(order), price(cents), quantity, 0);
        self.event(event);
    }

    pub fn cancel(&mut self, book: u32, side: Side, order: u64, quantity: u64) {
        let event = OrderEvent::cancel(self.stamp(book), side, OrderId(order), quantity);
        self.event(event);
    }

    pub fn modify(&mut self, book: u32, side: Side, order: u64, cents: i64, quantity: u64) {
        let action = book::slot::action::MODIFY;
        let event = OrderEvent::new(self.stamp(book), action, side, OrderId(order), price(cents), quantity);
        self.event(event);
    }

    pub fn clear(&mut self, book: u32) {
        let event = OrderEvent::clear(self.stamp(book));
        self.event(event);
    }

    /// A resting order trades.
    pub fn execute(&mut self, book: u32, side: Side, order: u64, quantity: u64) {
        self.match_id += 1;
        let (stamp, id) = (self.stamp(book), self.match_id);
        self.event(Execution::new(rtype::EXECUTION, stamp, side, OrderId(order), id, Price::NONE, quantity, 0));
    }

    /// A trade that touches no visible order.
    pub fn trade(&mut self, book: u32, cents: i64, quantity: u64, conditions: u8) {
        self.match_id += 1;
        let (stamp, id) = (self.stamp(book), self.match_id);
        let side = Side::Ask;
        self.event(Execution::new(rtype::TRADE, stamp, side, OrderId(0), id, price(cents), quantity, conditions));
    }

    /// Turns of the book thread and of the fan-out while either has work, what the fan-out asks the book thread included.
    pub fn turn(&mut self) {
        self.stage_only();
        self.serve();
        while self.stage.has_work() {
            self.stage_only();
            self.serve();
        }
    }

    pub fn stage_only(&mut self) {
        while self.stage.do_work(self.now_ns) > 0 {}
    }

    pub fn serve(&mut self) {
        let mut idle = 0;
        let wall_ns = self.now_ns.saturating_add_signed(self.wall_jump_ns);
        let now = book::Now { monotonic_ns: self.now_ns, wall_ns };
        while idle < 3 {
            idle = if self.server.do_work(now) == 0 { idle + 1 } else { 0 };
        }
    }

    /// Time passes; nothing else does.
    pub fn pass(&mut self, ns: u64) {
        self.now_ns += ns;
        self.turn();
    }

    /// Connects a client of `tungstenite`.
    pub fn connect(&mut self) -> Client {
        self.connect_to("/ws/v2")
    }

    pub fn connect_to(&mut self, target: &str) -> Client {
        let request = format!("ws://{}{target}", self.server.local_addr());
        self.try_connect(request).expect("the handshake succeeds")
    }

    pub fn try_connect(
        &mut self,
        request: impl tungstenite::client::IntoClientRequest,
    ) -> Result<Client, tungstenite::Error> {
        let stream = self.raw();
        let config = WebSocketConfig::default();
        let mut attempt = tungstenite::client::client_with_config(request, stream, Some(config));
        for _ in 0..TURNS_MAX {
            match attempt {
                Ok((socket, _)) => return Ok(self.greeted(Client { socket, closed: None, hello: Value::Null })),
                Err(HandshakeError::Failure(error)) => return Err(error),
                Err(HandshakeError::Interrupted(middle)) => {
                    self.turn();
                    attempt = middle.handshake();
                }
            }
        }
        panic!("the handshake never ended");
    }

    /// The client with its `hello`, which comes first, or with the close code that it got instead.
    fn greeted(&mut self, mut client: Client) -> Client {
        for _ in 0..TURNS_MAX {
            if let Some(text) = client.next_text() {
                client.hello = serde_json::from_str(&text).expect("a frame is JSON");
                assert_eq!(client.hello["type"], "hello", "the first frame");
                return client;
            }
            if client.closed.is_some() {
                return client;
            }
            self.turn();
        }
        panic!("no hello came");
    }

    /// A plain TCP connection, or one whose kernel takes little before it is full.
    pub fn raw(&mut self) -> TcpStream {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        if let Some(bytes) = self.receive_buffer_bytes {
            socket.set_recv_buffer_size(bytes).expect("a socket can be set so");
        }
        socket.connect(&self.server.local_addr().into()).expect("the server listens");
        let stream = TcpStream::from(socket);
        stream.set_nonblocking(true).expect("a socket can be set so");
        stream.set_nodelay(true).expect("a socket can be set so");
        stream
    }

    /// Sends bytes over a plain connection and returns all that comes back until the server closes, or until nothing
    /// more comes.
    pub fn exchange(&mut self, stream: &mut TcpStream, bytes: &[u8]) -> Vec<u8> {
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let mut quiet = 0;
        while quiet < 20 {
            self.turn();
            let mut buffer = [0; 4_096];
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => {
                    answer.extend_from_slice(&buffer[..read]);
                    quiet = 0;
                }
                Err(_) => quiet += 1,
            }
        }
        answer
    }

    /// Takes turns until the client has what `enough` waits for.
    #[track_caller]
    pub fn until(&mut self, client: &mut Client, mut enough: impl FnMut(&[Value]) -> bool) -> Vec<Value> {
        let mut seen = Vec::new();
        for _ in 0..TURNS_MAX {
            self.turn();
            client.read_into(&mut seen);
            if enough(&seen) {
                return seen;
            }
        }
        panic!("waited in vain; last messages: {:#?}", &seen[seen.len().saturating_sub(5)..]);
    }

    /// Sends a request and returns everything up to its `replies`-th reply.
    #[track_caller]
    pub fn ask(&mut self, client: &mut Client, request: &str, replies: usize) -> Vec<Value> {
        client.send(request);
        self.until(client, |seen| seen.iter().filter(|message| message.get("method").is_some()).count() >= replies)
    }

    /// Subscribes to one symbol and returns everything up to the snapshot.
    #[track_caller]
    pub fn subscribe(&mut self, client: &mut Client, channel: &str, symbol: &str, more: &str) -> Vec<Value> {
        client.send(&format!(
            r#"{{"method":"subscribe","params":{{"channel":"{channel}","symbol":["{symbol}"]{more}}},"req_id":1}}"#
        ));
        self.until(client, |seen| seen.iter().any(|message| message["type"] == "snapshot"))
    }

    /// Takes turns and reads until `done`; for tests in which the kernel's own timers have a part.
    #[track_caller]
    pub fn read_until(
        &mut self,
        client: &mut Client,
        mut done: impl FnMut(&Self, &Client, &[Value]) -> bool,
    ) -> Vec<Value> {
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut seen = Vec::new();
        while !done(self, client, &seen) {
            assert!(Instant::now() < deadline, "waited in vain; last: {:#?}", &seen[seen.len().saturating_sub(3)..]);
            self.turn();
            client.read_into(&mut seen);
        }
        seen
    }

    /// Everything that has come by now, after a few turns.
    pub fn drain(&mut self, client: &mut Client) -> Vec<Value> {
        let mut seen = Vec::new();
        for _ in 0..5 {
            self.turn();
            client.read_into(&mut seen);
        }
        seen
    }

    /// The value of a counter or gauge, summed over its labels that contain `label`.
    pub fn metric(&self, name: &str, label: &str) -> u64 {
        let mut samples: Vec<Sample> = Vec::new();
        self.server.metrics().collect(&mut samples);
        let wanted = |sample: &&Sample| {
            sample.name == name && (label.is_empty() || sample.labels.iter().any(|(_, value)| value == label))
        };
        samples
            .iter()
            .filter(wanted)
            .map(|sample| match sample.value {
                MetricValue::Counter(value) => value,
                MetricValue::Gauge(value) => value as u64,
                MetricValue::Latency(counts, _) => counts.iter().sum::<u64>(),
            })
            .sum()
    }
}

pub struct Client {
    pub socket: WebSocket<TcpStream>,
    /// Close code, once the server closed (0: without one).
    pub closed: Option<u16>,
    /// The first frame; null for who was closed at once.
    pub hello: Value,
}

impl Client {
    pub fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).expect("the request can be sent");
    }

    /// Reads the next text message that has come.
    pub fn next_text(&mut self) -> Option<String> {
        while self.closed.is_none() {
            match self.socket.read() {
                Ok(Message::Text(text)) => return Some(text.as_str().to_owned()),
                Ok(Message::Close(close)) => self.closed = Some(close.map_or(0, |close| close.code.into())),
                Ok(_) => {}
                Err(tungstenite::Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(_) => self.closed = Some(0),
            }
        }
        None
    }

    pub fn read_into(&mut self, seen: &mut Vec<Value>) {
        while let Some(text) = self.next_text() {
            seen.push(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}")));
        }
        let _ = self.socket.flush(); // answers to pings and closes
    }
}

pub fn price(cents: i64) -> Price {
    Price::from_decimal(cents, 2).expect("a price of a test fits")
}

/// The data frames of a channel.
pub fn frames<'a>(seen: &'a [Value], channel: &str) -> Vec<&'a Value> {
    seen.iter().filter(|message| message["channel"] == channel).collect()
}
