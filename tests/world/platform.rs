//! The production stages of market data in the calling thread: UDP socket, sequencer, decoder, books, fan-out.
//!
//! Time is [`clock`](super::clock). The order of turns depends on what was delivered alone, never on how fast the kernel is.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::client::Client;
use super::clock::now_ns;
use super::imports::{
    BookWorker, Decoder, Detail, FanOut, FanOutConfig, FeedWorker, Limits, LiveOptions, Market, MetricSource, Notifier,
    OrderKey, Price, Sample, UdpLine, UdpOptions, UdpSource, Value, order_interest, ring,
};

const LOOPBACK: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
/// Datagrams that one turn takes. Few, so that clients get many small frames, as they do live.
const DATAGRAMS_PER_TURN: usize = 4;
const BOOKS_MAX: usize = 64;
const EVENT_SLOTS: usize = 1 << 16;
const UPDATE_SLOTS: usize = 1 << 16;
/// Wall time after which a wait for loopback has failed.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Market data from the line to the sockets of clients.
pub struct Platform {
    sender: UdpSocket,
    line: SocketAddr,
    feed: FeedWorker,
    book: BookWorker,
    fan_out: FanOut,
    metrics: Arc<dyn MetricSource>,
    samples: Vec<Sample>,
}

impl Platform {
    /// Opens everything on loopback. `epoch` is the first session's.
    pub fn start(references: Vec<(String, Price)>, epoch: u64) -> Self {
        let (event_producer, event_consumer) = ring("events", EVENT_SLOTS, Notifier::silent());
        let (fan_producer, fan_consumer) = ring("fan-out", UPDATE_SLOTS, Notifier::silent());
        let (interest_sender, interest_receiver) = order_interest(BOOKS_MAX, Notifier::silent());

        let udp = UdpOptions {
            lines: vec![UdpLine { address: LOOPBACK, interface: Ipv4Addr::UNSPECIFIED }],
            receive_buffer_bytes: 1 << 20,
            request_server: None,
            sources: Vec::new(),
        };
        let udp = UdpSource::open(&udp).expect("loopback can be listened on");
        let line = udp.addresses()[0];
        let options = LiveOptions { clock: Some(now_ns), ..LiveOptions::default() };
        let decoder = Decoder::new(BOOKS_MAX, None);
        let feed = FeedWorker::live(udp, decoder, event_producer, epoch, options).expect("a ring that is large enough");

        let mut market = Market::new(limits());
        market.set_references(references);
        let mut book = BookWorker::new(event_consumer, market);
        book.add_reader(fan_producer, Detail::OnRequest(interest_receiver), BOOKS_MAX);

        let config = FanOutConfig {
            listen: LOOPBACK.into(),
            // No release may change the golden bytes.
            version: "0",
            source: "sim",
            simulated: true,
            ..FanOutConfig::default()
        };
        let fan_out = FanOut::bind(config, fan_consumer, Notifier::silent(), Arc::new(()), now_ns);
        let fan_out = fan_out.expect("loopback can be listened on").with_orders_on_request(interest_sender);
        let metrics = fan_out.metrics();
        let sender = UdpSocket::bind(LOOPBACK).expect("a socket to send from");
        Self { sender, line, feed, book, fan_out, metrics, samples: Vec::new() }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.fan_out.local_addr()
    }

    /// Sends datagrams to the feed, with a whole turn behind every few of them.
    pub fn deliver(&mut self, datagrams: &[Vec<u8>]) {
        for part in datagrams.chunks(DATAGRAMS_PER_TURN) {
            for datagram in part {
                self.sender.send_to(datagram, self.line).expect("loopback takes a datagram");
            }
            let begin = Instant::now();
            let mut taken = 0;
            while taken < part.len() {
                assert!(begin.elapsed() < WAIT_MAX, "the feed got {taken} of {} datagrams", part.len());
                // Not a turn before something is there: an idle one may act on time.
                self.feed.wait(Duration::from_millis(100));
                taken += self.feed.do_work(now_ns());
            }
            self.turn();
        }
    }

    /// Turns of all stages until none has work.
    pub fn turn(&mut self) {
        while self.feed.do_work(now_ns()) > 0 {}
        loop {
            while self.book.do_work(now_ns()) > 0 {}
            let mut idle = 0;
            while idle < 3 {
                idle = if self.fan_out.do_work(now_ns()) == 0 { idle + 1 } else { 0 };
            }
            if !self.book.has_work() && !self.book.has_waiting_readers() {
                return;
            }
        }
    }

    /// Connects a client, head to head.
    pub fn connect(&mut self, name: &'static str, target: &str) -> Client {
        let mut client = Client::connect(name, self.address(), target);
        self.until(&mut [&mut client], |_, clients| clients[0].is_open());
        client
    }

    /// Sends a request and waits for its first reply; what else it brings comes with [`Platform::drain`].
    pub fn ask(&mut self, client: &mut Client, request: &str) {
        let replies = client.replies();
        client.send_text(request);
        self.until(&mut [client], |_, clients| clients[0].replies() > replies);
    }

    /// Turns until the clients, who must be all there are, have read every byte that was written to anybody.
    pub fn drain(&mut self, clients: &mut [Client]) {
        let mut all: Vec<&mut Client> = clients.iter_mut().collect();
        self.until(&mut all, |platform, clients| {
            let read: u64 = clients.iter().map(|client| client.read_bytes()).sum();
            platform.metric("bist_ws_send_queue_bytes") == 0 && platform.metric("bist_ws_sent_bytes_total") == read
        });
    }

    /// Tells every client to come back later, and ends.
    pub fn shutdown(mut self, clients: &mut [Client]) {
        self.fan_out.shutdown(now_ns());
        let begin = Instant::now();
        while clients.iter().any(|client| !client.is_closed()) {
            assert!(begin.elapsed() < WAIT_MAX, "a client was not told of the end");
            clients.iter_mut().for_each(Client::read);
        }
    }

    /// Turns and reads until `done`.
    fn until(&mut self, clients: &mut [&mut Client], mut done: impl FnMut(&mut Self, &[&mut Client]) -> bool) {
        let begin = Instant::now();
        loop {
            self.turn();
            clients.iter_mut().for_each(|client| client.read());
            if done(self, clients) {
                return;
            }
            assert!(begin.elapsed() < WAIT_MAX, "waited in vain at {}; last of {}", now_ns(), clients[0].last());
        }
    }

    /// The sum of a counter or gauge over its labels.
    fn metric(&mut self, name: &str) -> u64 {
        self.samples.clear();
        self.metrics.collect(&mut self.samples);
        let value = |sample: &Sample| match sample.value {
            Value::Counter(value) => value,
            Value::Gauge(value) => value as u64,
            Value::Latency(..) => 0,
        };
        self.samples.iter().filter(|sample| sample.name == name).map(value).sum()
    }
}

/// Room for a small market, and a fixed key for its index.
fn limits() -> Limits {
    Limits {
        books_max: BOOKS_MAX,
        orders_max: 100_000,
        levels_max: 50_000,
        ladder_slots: 100_000,
        key: OrderKey::BookSideId,
        seed: 1,
        ..Limits::default()
    }
}
