//! The program's own market-data path, started inside a measurement: feed, book and fan-out stages on loopback.
//!
//! Composed as `bist serve` composes it, without the view, REST and the simulated exchange, so that a figure is about the
//! path of a tick. Ends when dropped.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use book::market::{Limits, Market};
use book::metrics::MetricSource;
use book::order_interest::{OrderInterestSender, order_interest};
use book::ring::{Consumer, Notifier, ring};
use book::worker::{BookWorker, Detail};
use distributor::FanOut;
use feed_handler::decode::bistech;
use feed_handler::feed::{FeedMetrics, FeedWorker, LiveOptions};
use feed_handler::net::udp::{Line, UdpOptions, UdpSource};
use feed_handler::recovery::sequencer::{self, Start};

use super::now_ns;

/// Longest sleep of an idle thread: how soon it sees a request to stop.
const SLEEP_MAX: Duration = Duration::from_millis(20);
/// Slots of each ring, as in a default configuration.
const RING_SLOTS: usize = 65_536;
/// Receive buffer asked for, bytes: the system may cut it.
const RECEIVE_BUFFER_BYTES: usize = 32 << 20;

/// Which thread does what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Feed, book and fan-out in one loop of one thread.
    Single,
    /// A thread each.
    Split,
}

/// What an idle thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Looks again at once.
    Spin,
    /// Sleeps until woken.
    Park,
}

/// How to run the server.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which thread does what.
    pub layout: Layout,
    /// What an idle thread does.
    pub wait: Wait,
    /// Cores of its threads, in the order feed, book, fan-out; empty = not pinned.
    pub cores: Vec<usize>,
    /// Symbols that will come.
    pub symbols: usize,
    /// Clients that will come.
    pub clients: usize,
}

/// What the threads of a server are told.
#[derive(Debug, Default)]
struct Orders {
    stop: AtomicBool,
    rest: AtomicBool,
}

impl Orders {
    /// Whether to go on; sleeps here while the server is to rest.
    fn goes_on(&self) -> bool {
        while self.rest.load(Ordering::Acquire) && !self.stop.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(1));
        }
        !self.stop.load(Ordering::Acquire)
    }
}

/// A running server.
pub struct Server {
    /// Where WebSocket clients connect.
    pub address: SocketAddr,
    /// Where packets go; the unspecified address for a fan-out alone.
    pub line: SocketAddr,
    /// Its feed's counters; none for a fan-out alone.
    pub feed: Option<Arc<FeedMetrics>>,
    sources: Vec<Arc<dyn MetricSource>>,
    orders: Arc<Orders>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Starts all three stages.
    ///
    /// # Errors
    /// A socket or a thread cannot be had.
    pub fn start(options: &Options) -> Result<Self> {
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
        let udp = UdpSource::open(&UdpOptions {
            lines: vec![Line { address, interface: Ipv4Addr::LOCALHOST }],
            receive_buffer_bytes: RECEIVE_BUFFER_BYTES,
            request_server: None,
        })
        .context("opening a UDP line on loopback")?;
        let line = udp.addresses()[0];
        let book_notifier = Notifier::new();
        let (events, consumer) = ring("events", RING_SLOTS, Arc::clone(&book_notifier));
        let live = LiveOptions {
            sequencer: sequencer::SequencerConfig { start: Start::At(1), ..sequencer::SequencerConfig::default() },
            stale_ns: u64::MAX,
            clock: Some(now_ns),
            ..LiveOptions::default()
        };
        let decoder = bistech::Decoder::new(options.symbols + 1, None);
        let feed = FeedWorker::live(udp, decoder, events, now_ns() / 1_000_000_000, live)?;
        let mut book = BookWorker::new(consumer, Market::new(limits(options.symbols)));
        let fan_out_notifier = Notifier::new();
        let (updates, reader) = ring("fan-out", RING_SLOTS, Arc::clone(&fan_out_notifier));
        let (sender, receiver) = order_interest(options.symbols + 1, Arc::clone(&book_notifier));
        book.add_reader(updates, Detail::OnRequest(receiver), options.symbols + 1);
        let fan_out = fan_out(options, reader, fan_out_notifier, sender)?;
        let mut server = Self {
            address: fan_out.local_addr(),
            line,
            feed: Some(feed.metrics()),
            sources: vec![feed.metrics() as Arc<dyn MetricSource>, book.metrics(), fan_out.metrics()],
            orders: Arc::default(),
            threads: Vec::new(),
        };
        match options.layout {
            Layout::Single => {
                fan_out_watches(&fan_out, &feed)?;
                server.spawn("hot", options, 0, move |orders, wait| run_single(feed, book, fan_out, orders, wait))?;
            }
            Layout::Split => {
                server.spawn("fan-out", options, 2, move |orders, wait| run_fan_out(fan_out, orders, wait))?;
                server.spawn("book", options, 1, move |orders, wait| run_book(book, &book_notifier, orders, wait))?;
                server.spawn("feed", options, 0, move |orders, wait| run_feed(feed, orders, wait))?;
            }
        }
        Ok(server)
    }

    /// Starts a fan-out alone, which reads `reader`; `notifier` is its producer's.
    ///
    /// # Errors
    /// A socket or a thread cannot be had.
    pub fn fan_out_alone(
        options: &Options,
        reader: Consumer,
        notifier: Arc<Notifier>,
        sender: OrderInterestSender,
    ) -> Result<Self> {
        let fan_out = fan_out(options, reader, notifier, sender)?;
        let mut server = Self {
            address: fan_out.local_addr(),
            line: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            feed: None,
            sources: vec![fan_out.metrics()],
            orders: Arc::default(),
            threads: Vec::new(),
        };
        server.spawn("fan-out", options, 0, move |orders, wait| run_fan_out(fan_out, orders, wait))?;
        Ok(server)
    }

    /// A percentile of every stage so far, ns: name, median, 99th.
    #[must_use]
    pub fn stages(&self) -> Vec<(&'static str, u64, u64)> {
        let mut stages = Vec::new();
        for source in &self.sources {
            source.stages(&mut |stage, latency| {
                let median_and_99th = latency.quantile_ns(1, 2).zip(latency.quantile_ns(99, 100));
                stages.extend(median_and_99th.map(|(median, high)| (stage, median, high)));
            });
        }
        stages
    }

    /// Lets its threads and the calling one sleep for so long: a thread at real-time priority that has been spinning would
    /// soon have to give up its core, and that would be in the middle of a run.
    pub fn rest(&self, duration: Duration) {
        self.orders.rest.store(true, Ordering::Release);
        std::thread::sleep(duration);
        self.orders.rest.store(false, Ordering::Release);
    }

    fn spawn(
        &mut self,
        name: &'static str,
        options: &Options,
        thread: usize,
        body: impl FnOnce(&Orders, Wait) + Send + 'static,
    ) -> Result<()> {
        let (orders, wait) = (Arc::clone(&self.orders), options.wait);
        let core = (!options.cores.is_empty()).then(|| options.cores[thread % options.cores.len()]);
        let run = move || {
            pin(core);
            body(&orders, wait);
        };
        let handle = std::thread::Builder::new().name(name.to_owned()).spawn(run)?;
        self.threads.push(handle);
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.orders.stop.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            let _ = thread.join(); // OK because a panic of it was printed, and the run has no figure then
        }
    }
}

/// Keeps the calling thread on a core, if one is named and the system lets us.
pub fn pin(core: Option<usize>) {
    if let Some(id) = core {
        core_affinity::set_for_current(core_affinity::CoreId { id });
    }
}

fn limits(symbols: usize) -> Limits {
    Limits {
        books_max: symbols + 1,
        orders_max: symbols * 200 + 1_000,
        levels_max: symbols * 40 + 1_000,
        ladder_slots: symbols * 1_000,
        ..Limits::default()
    }
}

fn fan_out(
    options: &Options,
    reader: Consumer,
    notifier: Arc<Notifier>,
    sender: OrderInterestSender,
) -> Result<FanOut> {
    let config = distributor::Config {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        connections_max: options.clients + 8,
        queue_bytes: 16 << 20,
        queue_bytes_max: 64 << 20,
        ..distributor::Config::default()
    };
    let fan_out = FanOut::bind(config, reader, notifier, Arc::new(()), now_ns).context("listening on loopback")?;
    Ok(fan_out.with_orders_on_request(sender))
}

#[cfg(unix)]
fn fan_out_watches(fan_out: &FanOut, feed: &FeedWorker) -> Result<()> {
    feed.watch(fan_out.registry(), FanOut::OUTSIDE).context("watching the feed's socket")
}

#[cfg(not(unix))]
fn fan_out_watches(_: &FanOut, _: &FeedWorker) -> Result<()> {
    Ok(())
}

fn run_single(mut feed: FeedWorker, mut book: BookWorker, mut fan_out: FanOut, orders: &Orders, wait: Wait) {
    while orders.goes_on() {
        let mut now = now_ns();
        let mut work = feed.do_work(now);
        if work > 0 {
            now = now_ns();
        }
        if fan_out.waiting() <= RING_SLOTS / 2 {
            work += book.do_work(now);
        }
        if work > 0 {
            now = now_ns();
        }
        work += fan_out.do_work(now);
        if work == 0 {
            match wait {
                Wait::Spin => std::hint::spin_loop(),
                Wait::Park => fan_out.wait(SLEEP_MAX.min(feed.rest())),
            }
        }
    }
    fan_out.shutdown(now_ns());
}

fn run_feed(mut feed: FeedWorker, orders: &Orders, wait: Wait) {
    while orders.goes_on() {
        if feed.do_work(now_ns()) == 0 {
            match wait {
                Wait::Spin => std::hint::spin_loop(),
                Wait::Park => feed.wait(SLEEP_MAX),
            }
        }
    }
}

fn run_book(mut book: BookWorker, notifier: &Notifier, orders: &Orders, wait: Wait) {
    let thread = std::thread::current();
    notifier.set_waker(move || thread.unpark());
    while orders.goes_on() {
        if book.do_work(now_ns()) > 0 {
            continue;
        }
        match wait {
            Wait::Spin => std::hint::spin_loop(),
            Wait::Park => {
                notifier.prepare_wait();
                if !book.has_work() {
                    std::thread::park_timeout(SLEEP_MAX);
                }
                notifier.cancel_wait();
            }
        }
    }
}

fn run_fan_out(mut fan_out: FanOut, orders: &Orders, wait: Wait) {
    while orders.goes_on() {
        if fan_out.do_work(now_ns()) == 0 {
            match wait {
                Wait::Spin => std::hint::spin_loop(),
                Wait::Park => fan_out.wait(SLEEP_MAX),
            }
        }
    }
    fan_out.shutdown(now_ns());
}
