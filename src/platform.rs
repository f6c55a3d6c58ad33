//! The composition root: builds the rings, starts the threads in order, stops them in order.
//!
//! ```text
//! simulated exchange ─UDP─▶ feed ─event ring─▶ book ─update ring─▶ fan-out ─▶ WebSocket clients
//!                                                └──update ring──▶ view ───▶ REST, page (tokio)
//! ```
//!
//! Holds no logic of its own: what a thread does is in the crate that it belongs to.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use book::Price;
use book::market::{Market, OrderKey};
use book::metrics::MetricSource;
use book::order_interest::order_interest;
use book::ring::{Notifier, ring};
use book::worker::{BookWorker, Detail};
use distributor::{FanOut, HandedOver};
use feed_handler::decode::protocol::Protocol;
use feed_handler::decode::{bistech, itch50};
use feed_handler::feed::{FeedWorker, Finished, LiveOptions, ReplayOptions};
use feed_handler::net::udp::{Line, UdpOptions, UdpSource};
use feed_handler::recording::{Recording, RecordingOptions};
use feed_handler::recovery::sequencer::{self, Recovery, Start};
use feed_handler::sim;

use crate::settings::{self, Layout, Settings, SimClock, SourceKind};
use crate::threads::{Event, Idle, Plan, Stop, now_ns, spawn};

/// Longest sleep of an idle thread: how soon it sees a request to stop.
const SLEEP_MAX: Duration = Duration::from_millis(100);
/// How often the book thread looks again while a reader waits for room.
const RESYNC_PERIOD: Duration = Duration::from_millis(1);
/// All of a stop: drain, say goodbye, join.
const STOP_MAX: Duration = Duration::from_millis(1_800);

/// How far a recording has been read.
#[derive(Clone)]
pub struct Progress {
    read: Arc<AtomicU64>,
    total: u64,
}

impl Progress {
    /// Bytes read.
    pub fn position(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Bytes in all.
    pub fn total(&self) -> u64 {
        self.total
    }
}

/// The running platform.
pub struct Platform {
    plan: Plan,
    stop_feed: Stop,
    stop_readers: Stop,
    threads: Vec<(&'static str, JoinHandle<()>)>,
    server: Option<api::Server>,
    view: api::View,
    book_metrics: Arc<book::worker::BookMetrics>,
    feed_metrics: Arc<feed_handler::feed::FeedMetrics>,
    progress: Option<Progress>,
    source: String,
    market_data: SocketAddr,
}

/// A source that is open but does not run yet.
struct Source {
    stage: FeedWorker,
    sim: Option<sim::Server>,
    key: OrderKey,
    describe: String,
    references: Vec<(String, Price)>,
}

impl Platform {
    /// Opens everything that can fail, then starts the threads from the readers to the source, so that nothing is
    /// sent before somebody listens.
    ///
    /// # Errors
    /// A port that is taken, a file that cannot be read, a bad setting: each names what to change.
    pub fn start(settings: &Settings, events: &Sender<Event>) -> Result<Self> {
        let plan = Plan::new(&settings.threads)?;
        let (stop_feed, stop_readers) = (Stop::default(), Stop::default());

        // The view always sleeps; the others only where they are told to.
        let notifier = || if plan.idle == Idle::Park { Notifier::new() } else { Notifier::silent() };
        let book_notifier = notifier();
        let (event_producer, event_consumer) = ring("events", settings.rings.event_slots, Arc::clone(&book_notifier));
        let mut sources: Vec<Arc<dyn MetricSource>> = vec![event_producer.metrics()];
        let Source { stage: feed, sim, key, describe, references } = open_source(settings, event_producer)?;

        let mut market = Market::new(settings.book.limits(key));
        market.set_references(references);
        let mut book = BookWorker::new(event_consumer, market);

        let fan_out_notifier = notifier();
        let (fan_producer, fan_consumer) = ring("fan-out", settings.rings.update_slots, Arc::clone(&fan_out_notifier));
        let view_notifier = Notifier::new();
        let (view_producer, view_consumer) = ring("view", settings.rings.update_slots, Arc::clone(&view_notifier));
        sources.extend([fan_producer.metrics() as Arc<dyn MetricSource>, view_producer.metrics()]);
        let (interest_sender, interest_receiver) = order_interest(settings.book.books_max, Arc::clone(&book_notifier));
        book.add_reader(fan_producer, Detail::OnRequest(interest_receiver), settings.book.books_max);
        book.add_reader(view_producer, Detail::Levels, settings.book.books_max);

        let (mut view_worker, view) = api::ViewWorker::new(view_consumer, book::replica::Options::default());
        let health = api::Health::of_view(&view);
        // In the order of a tick's path: `/actuator/latency` shows the stages so.
        sources.push(feed.metrics());
        sources.extend([book.metrics() as Arc<dyn MetricSource>, Arc::clone(book.market().anomalies()) as _]);
        if let Some(sim) = &sim {
            sources.push(sim.metrics());
        }

        let slow_path = Arc::new(SlowPath::default());
        let fan_config = fan_config(settings);
        let fan_out = FanOut::bind(fan_config, fan_consumer, fan_out_notifier, Arc::clone(&slow_path) as _, now_ns)
            .with_context(|| {
                format!("listening on {} (market_data.listen, or --market-data-listen)", settings.market_data.listen)
            })?;
        let fan_out = fan_out.with_orders_on_request(interest_sender);
        let market_data = fan_out.local_addr();
        sources.push(fan_out.metrics());
        let parts = api::Parts {
            view: view.clone(),
            health: Arc::new(health),
            metrics: sources,
            build: build_info(),
            limits: limits_of(settings),
        };
        let state = api::State::new(api_config(settings, market_data), parts);
        let server = api::Server::start(state)?;
        slow_path.open(server.intake());

        let book_metrics = book.metrics();
        let feed_metrics = feed.metrics();
        let progress = feed.recording().map(|recording| {
            let (_, total) = recording.progress();
            Progress { read: Arc::default(), total }
        });

        let idle = plan.idle;
        let read = progress.clone();
        let mut threads = Vec::new();
        let mut start = |name: &'static str, core: Option<usize>, body: Box<dyn FnOnce() -> Result<()> + Send>| {
            let core = core.and_then(|core| plan.core(core));
            threads.push((name, spawn(name, core, events.clone(), body)?));
            anyhow::Ok(())
        };

        let stop = stop_readers.clone();
        start(
            "view",
            None,
            Box::new(move || {
                let thread = std::thread::current();
                view_notifier.set_waker(move || thread.unpark());
                loop {
                    if view_worker.do_work() > 0 {
                        continue;
                    }
                    if stop.asked() && view_worker.is_finished() {
                        return Ok(());
                    }
                    view_notifier.prepare_wait();
                    if !view_worker.has_work() {
                        std::thread::park_timeout(SLEEP_MAX);
                    }
                    view_notifier.cancel_wait();
                }
            }),
        )?;

        match plan.layout {
            Layout::Single => {
                #[cfg(unix)]
                feed.watch(fan_out.registry(), FanOut::OUTSIDE).context("watching the feed's sockets")?;
                let (feed_stop, stop, events) = (stop_feed.clone(), stop_readers.clone(), events.clone());
                let hot = Hot { feed: Some(feed), book, fan_out, update_slots: settings.rings.update_slots };
                start(
                    "hot",
                    Some(0),
                    Box::new(move || run_single(hot, [&feed_stop, &stop], idle, read.as_ref(), &events)),
                )?;
            }
            Layout::Split => {
                let stop = stop_readers.clone();
                start("fan-out", Some(2), Box::new(move || run_fan_out(fan_out, &stop, idle)))?;
                let stop = stop_feed.clone();
                start("book", Some(1), Box::new(move || run_book(book, &book_notifier, &stop, idle)))?;
                let stop = stop_feed.clone();
                start("feed", Some(0), Box::new(move || run_feed(feed, &stop, idle, read.as_ref())))?;
            }
        }

        if let Some(sim) = sim {
            let stop = stop_feed.flag();
            start(
                "sim",
                None,
                Box::new(move || {
                    sim.run(&stop);
                    Ok(())
                }),
            )?;
        }
        Ok(Self {
            plan,
            stop_feed,
            stop_readers,
            threads,
            server: Some(server),
            view,
            book_metrics,
            feed_metrics,
            progress,
            source: describe,
            market_data,
        })
    }

    /// Where everything is, for the person who started it.
    pub fn banner(&self) -> String {
        let server = self.server.as_ref();
        let web = server.map_or_else(String::new, |server| server.local_addr().to_string());
        let admin = server.and_then(api::Server::admin_addr).map_or_else(|| "off".to_owned(), |a| a.to_string());
        format!(
            "\nbist {version}\n  source      {source}\n  web page    http://{web}\n  REST        http://{web}/swagger-ui\n  \
             WebSocket   ws://{market_data}/ws/v2\n  metrics     http://{admin}/actuator/prometheus\n  threads     {plan}\n  \
             stop        Ctrl-C\n",
            version = env!("CARGO_PKG_VERSION"),
            source = self.source,
            market_data = self.market_data,
            plan = self.plan.describe(),
        )
    }

    /// How far the recording is, if there is one.
    pub fn progress(&self) -> Option<Progress> {
        self.progress.clone()
    }

    /// Waits until the readers have seen everything the feed sent, at most `limit`.
    pub fn settle(&self, limit: Duration) {
        let start = Instant::now();
        let mut seen = (0, 0);
        while start.elapsed() < limit {
            std::thread::sleep(Duration::from_millis(20));
            let now = (self.book_metrics.events(), self.view.summary().seq);
            if now == seen && self.view.waiting() == 0 {
                return;
            }
            seen = now;
        }
    }

    /// Stops from the source to the readers, so that everything received is still sent. True when all threads ended
    /// in time and none had failed.
    pub fn stop(mut self) -> bool {
        let deadline = Instant::now() + STOP_MAX;
        self.stop_feed.ask();
        // Of the last four stages either the first three have a thread each or `hot` has them all.
        let order = ["sim", "feed", "book", "fan-out", "hot", "view"];
        let mut clean = true;
        for name in order {
            if name == "fan-out" {
                self.stop_readers.ask();
            }
            for (_, thread) in self.threads.extract_if(.., |(thread, _)| *thread == name) {
                thread.thread().unpark();
                while !thread.is_finished() && Instant::now() < deadline {
                    std::thread::sleep(Duration::from_millis(1));
                }
                if thread.is_finished() {
                    clean &= thread.join().is_ok();
                } else {
                    tracing::error!(thread = name, "did not end in time");
                    clean = false;
                }
            }
        }
        if let Some(server) = self.server.take() {
            server.stop();
        }
        tracing::info!(
            messages = self.feed_metrics.decoded(),
            refused = self.feed_metrics.refused(),
            gaps = self.feed_metrics.gaps(),
            events = self.book_metrics.events(),
            "stopped"
        );
        clean
    }
}

/// Stages of the fast path that share one thread.
struct Hot {
    /// Gone once it has finished or was stopped.
    feed: Option<FeedWorker>,
    book: BookWorker,
    fan_out: FanOut,
    /// Slots of the ring towards the fan-out.
    update_slots: usize,
}

impl Hot {
    /// A bounded turn of each stage, so that none starves; a message that is alone runs through all three. Returns the
    /// work done.
    fn do_work(&mut self) -> usize {
        let mut now = now_ns();
        let mut work = self.feed.as_mut().map_or(0, |feed| feed.do_work(now));
        if work > 0 {
            now = now_ns();
        }
        // With half the ring waiting, the fan-out catches up first: the feed's ring and its socket are the buffers then,
        // and no reader has to be resynchronised.
        if self.fan_out.waiting() <= self.update_slots / 2 {
            work += self.book.do_work(now);
        }
        if work > 0 {
            now = now_ns();
        }
        work + self.fan_out.do_work(now)
    }

    /// Sleeps until a packet, a client or a timer asks for a turn.
    fn wait(&mut self) {
        let mut limit = if cfg!(unix) { SLEEP_MAX } else { RESYNC_PERIOD };
        if self.book.has_waiting_readers() || self.book.has_work() {
            limit = RESYNC_PERIOD;
        }
        if let Some(feed) = &self.feed {
            limit = limit.min(feed.rest());
        }
        self.fan_out.wait(limit);
    }
}

/// Feed, books and fan-out in one thread. `stops` are asked in order: the feed's, then the readers'.
fn run_single(
    mut hot: Hot,
    stops: [&Stop; 2],
    idle: Idle,
    progress: Option<&Progress>,
    events: &Sender<Event>,
) -> Result<()> {
    loop {
        if hot.feed.is_some() && stops[0].asked() {
            hot.feed = None;
        }
        if hot.do_work() > 0 {
            continue;
        }
        if let Some(feed) = &hot.feed
            && is_over(feed, progress)?
        {
            hot.feed = None;
            // OK because without a listener the program is ending anyway.
            let _ = events.send(Event::Ended { thread: "feed", failure: None });
        }
        if stops[1].asked() && hot.feed.is_none() && hot.book.is_finished() {
            break;
        }
        match idle {
            Idle::Spin => std::hint::spin_loop(),
            Idle::Yield => std::thread::yield_now(),
            Idle::Park => hot.wait(),
        }
    }
    hot.fan_out.shutdown(now_ns());
    Ok(())
}

fn run_fan_out(mut fan_out: FanOut, stop: &Stop, idle: Idle) -> Result<()> {
    loop {
        if fan_out.do_work(now_ns()) == 0 {
            if stop.asked() {
                break;
            }
            match idle {
                Idle::Spin => std::hint::spin_loop(),
                Idle::Yield => std::thread::yield_now(),
                Idle::Park => fan_out.wait(SLEEP_MAX),
            }
        }
    }
    fan_out.shutdown(now_ns());
    Ok(())
}

fn run_book(mut book: BookWorker, notifier: &Notifier, stop: &Stop, idle: Idle) -> Result<()> {
    let thread = std::thread::current();
    notifier.set_waker(move || thread.unpark());
    loop {
        if book.do_work(now_ns()) > 0 {
            continue;
        }
        if stop.asked() && book.is_finished() {
            return Ok(());
        }
        match idle {
            Idle::Spin => std::hint::spin_loop(),
            Idle::Yield => std::thread::yield_now(),
            Idle::Park => {
                notifier.prepare_wait();
                if !book.has_work() {
                    let waiting = book.has_waiting_readers();
                    std::thread::park_timeout(if waiting { RESYNC_PERIOD } else { SLEEP_MAX });
                }
                notifier.cancel_wait();
            }
        }
    }
}

fn run_feed(mut feed: FeedWorker, stop: &Stop, idle: Idle, progress: Option<&Progress>) -> Result<()> {
    while !stop.asked() {
        if feed.do_work(now_ns()) > 0 {
            continue;
        }
        if is_over(&feed, progress)? {
            return Ok(());
        }
        match idle {
            Idle::Spin => std::hint::spin_loop(),
            Idle::Yield => std::thread::yield_now(),
            Idle::Park => feed.wait(SLEEP_MAX),
        }
    }
    Ok(())
}

/// Notes how far a recording is, and says whether the feed came to its end.
///
/// # Errors
/// It cannot go on.
fn is_over(feed: &FeedWorker, progress: Option<&Progress>) -> Result<bool> {
    if let (Some(progress), Some(recording)) = (progress, feed.recording()) {
        progress.read.store(recording.progress().0, Ordering::Relaxed);
    }
    match feed.finished() {
        None => Ok(false),
        Some(Finished::EndOfSession | Finished::EndOfRecording(None)) => Ok(true),
        Some(Finished::EndOfRecording(Some(error))) => {
            tracing::warn!(%error, "the recording is damaged; everything before that point was replayed");
            Ok(true)
        }
        Some(Finished::NotReopened(error)) => bail!("opening the recording again: {error}"),
        Some(Finished::ReaderGone) => bail!("the book thread is gone"),
        Some(Finished::Overrun) => bail!("a slot found no room in the event ring: the books cannot be right any more"),
    }
}

/// Epochs grow over restarts, so that a client never takes an old number for a new one: seconds since the Unix epoch.
fn first_epoch() -> u64 {
    now_ns() / 1_000_000_000
}

fn open_source(settings: &Settings, producer: book::ring::Producer) -> Result<Source> {
    match settings.feed.source {
        SourceKind::Sim => open_sim(settings, producer),
        SourceKind::Itch => open_line(settings, producer),
        SourceKind::Replay => open_replay(settings, producer),
    }
}

fn open_sim(settings: &Settings, producer: book::ring::Producer) -> Result<Source> {
    // The exchange's request socket must be known before the feed is opened, and the feed's line before the exchange
    // can send: the line's port is found first, the exchange bound second, the line opened third.
    let line = free_line(settings)?;
    let config = sim::SimConfig { destination: SocketAddr::V4(line), ..sim_config(&settings.sim) };
    let server = sim::Server::bind(&config, now_ns()).context("starting the simulated exchange ([sim])")?;
    let SocketAddr::V4(requests) = server.local_addr()? else { bail!("the simulated exchange has no IPv4 address") };
    let udp = open_udp(settings, line, Some(requests))?;
    let decoder = bistech::Decoder::new(settings.book.books_max, None);
    let stage = FeedWorker::live(udp, decoder, producer, first_epoch(), live_options(settings, true))?;
    let sim = &settings.sim;
    let describe = format!(
        "simulated exchange, {} shares, {} messages/s, seed {} (BISTECH ITCH over UDP {line})",
        sim.symbols, sim.rate, sim.seed
    );
    Ok(Source { stage, references: server.base_prices(), sim: Some(server), key: OrderKey::BookSideId, describe })
}

/// A free loopback port, unless one was configured.
fn free_line(settings: &Settings) -> Result<SocketAddrV4> {
    let SocketAddr::V4(line) = settings.feed.listen else { bail!("feed.listen must be an IPv4 address") };
    if line.port() != 0 {
        return Ok(line);
    }
    let probe = std::net::UdpSocket::bind(line).context("finding a free UDP port for the simulated line")?;
    match probe.local_addr()? {
        SocketAddr::V4(address) => Ok(address),
        SocketAddr::V6(_) => bail!("the simulated line has no IPv4 address"),
    }
}

/// The simulated exchange as the settings want it.
pub fn sim_config(settings: &settings::Sim) -> sim::SimConfig {
    let clock = match settings.clock {
        SimClock::Real => sim::Clock::Real,
        SimClock::Compressed => {
            sim::Clock::Compressed(sim::Compression { speed: settings.speed, ..sim::Compression::default() })
        }
    };
    sim::SimConfig {
        seed: settings.seed,
        rate: settings.rate,
        clock,
        symbols_max: settings.symbols,
        halts: settings.halts,
        ..sim::SimConfig::default()
    }
}

fn open_line(settings: &Settings, producer: book::ring::Producer) -> Result<Source> {
    let feed = &settings.feed;
    let SocketAddr::V4(listen) = feed.listen else { bail!("feed.listen must be an IPv4 address") };
    if listen.port() == 0 {
        bail!("feed.listen needs a port for a real line (--listen ADDR:PORT)");
    }
    let address = SocketAddrV4::new(feed.group.unwrap_or(*listen.ip()), listen.port());
    let requests = match feed.request_server {
        Some(SocketAddr::V4(address)) => Some(address),
        Some(SocketAddr::V6(_)) => bail!("feed.request_server must be an IPv4 address"),
        None => None,
    };
    let udp = open_udp(settings, address, requests)?;
    let options = live_options(settings, false);
    let (stage, key, protocol) = match feed.protocol {
        settings::Protocol::Bistech => {
            let decoder = bistech::Decoder::new(settings.book.books_max, None);
            let stage = FeedWorker::live(udp, decoder, producer, first_epoch(), options)?;
            (stage, OrderKey::BookSideId, "BISTECH ITCH")
        }
        settings::Protocol::Itch50 => {
            let decoder = itch50::Decoder::new(new_york_midnight_ns(now_ns()), settings.book.books_max);
            let stage = FeedWorker::live(udp, decoder, producer, first_epoch(), options)?;
            (stage, OrderKey::Id, "NASDAQ ITCH 5.0")
        }
    };
    let describe = format!("{protocol} in MoldUDP64 on {address}");
    Ok(Source { stage, sim: None, key, describe, references: references(settings)? })
}

fn open_udp(settings: &Settings, address: SocketAddrV4, requests: Option<SocketAddrV4>) -> Result<UdpSource> {
    let options = UdpOptions {
        lines: vec![Line { address, interface: settings.feed.interface }],
        receive_buffer_bytes: settings.feed.receive_buffer_bytes,
        request_server: requests,
    };
    UdpSource::open(&options).context("opening the line (feed.listen, feed.group, feed.interface; `bist doctor` looks)")
}

fn live_options(settings: &Settings, from_the_start: bool) -> LiveOptions {
    let config = sequencer::SequencerConfig::default();
    LiveOptions {
        sequencer: sequencer::SequencerConfig {
            // The simulated exchange begins after us; a real line has usually begun long before.
            start: if from_the_start { Start::At(1) } else { Start::Join },
            gap_timeout_ns: settings.feed.gap_timeout_ms * 1_000_000,
            recovery: Some(Recovery { delay_ns: 1_000_000, interval_ns: 5_000_000, messages_max: 1_000 }),
            ..config
        },
        stale_ns: settings.feed.stale_ms * 1_000_000,
        clock: Some(now_ns),
        ..LiveOptions::default()
    }
}

fn open_replay(settings: &Settings, producer: book::ring::Producer) -> Result<Source> {
    let replay = &settings.replay;
    let path = replay.file.clone().context("source replay needs a recording: `bist replay FILE`, or replay.file")?;
    let options = ReplayOptions {
        recording: RecordingOptions { format: replay.format.parse()?, ..RecordingOptions::default() },
        speed: replay.speed.parse()?,
        gap_max_ns: replay.gap_max_ms.saturating_mul(1_000_000),
        laps: if replay.repeat { None } else { std::num::NonZeroU32::new(1) },
        ..ReplayOptions::new(path.clone())
    };
    let stage =
        FeedWorker::replay(options, producer, first_epoch()).map_err(|error| anyhow!("{} {error}", show(&path)))?;
    let key = match stage.recording().and_then(Recording::protocol) {
        Some(Protocol::Itch50) => OrderKey::Id,
        _ => OrderKey::BookSideId,
    };
    let describe = format!("recording {} at speed {}", show(&path), replay.speed);
    Ok(Source { stage, sim: None, key, describe, references: references(settings)? })
}

/// The base prices of the day from `feed.references`, a CSV file `symbol,price` without a head line.
fn references(settings: &Settings) -> Result<Vec<(String, Price)>> {
    let Some(path) = &settings.feed.references else { return Ok(Vec::new()) };
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_path(path)
        .with_context(|| format!("reading {} (feed.references)", show(path)))?;
    let mut prices = Vec::new();
    for (at, row) in reader.records().enumerate() {
        let row = row.with_context(|| format!("{} line {}", show(path), at + 1))?;
        let (Some(symbol), Some(price)) = (row.get(0), row.get(1).and_then(parse_price)) else {
            bail!("{} line {}: expected symbol,price such as GARAN,143.20", show(path), at + 1);
        };
        prices.push((symbol.trim().to_owned(), price));
    }
    Ok(prices)
}

/// A base price, which has no sign.
fn parse_price(text: &str) -> Option<Price> {
    Some(text.trim()).filter(|text| !text.starts_with('-'))?.parse().ok()
}

fn show(path: &Path) -> String {
    path.display().to_string()
}

/// Midnight in New York before `now_ns`: what the timestamps of ITCH 5.0 count from.
fn new_york_midnight_ns(now_ns: u64) -> u64 {
    let moment = jiff::Timestamp::from_nanosecond(i128::from(now_ns)).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let midnight = moment.in_tz("America/New_York").and_then(|zoned| zoned.start_of_day());
    midnight.map_or(0, |zoned| zoned.timestamp().as_nanosecond().max(0) as u64)
}

fn fan_config(settings: &Settings) -> distributor::Config {
    let market_data = &settings.market_data;
    distributor::Config {
        listen: market_data.listen,
        connections_max: market_data.connections_max,
        subscriptions_max: market_data.subscriptions_max,
        queue_bytes: market_data.queue_bytes_max,
        queue_bytes_max: market_data.queue_bytes_max.saturating_mul(8),
        orders: settings.book.queues,
        ..distributor::Config::default()
    }
}

fn api_config(settings: &Settings, market_data: SocketAddr) -> api::Config {
    let workers = match settings.threads.api_workers {
        0 => std::thread::available_parallelism().map_or(2, |cores| cores.get().min(4)),
        workers => workers,
    };
    // A server that listens everywhere is reached on the loopback address.
    let reach = if market_data.ip().is_unspecified() {
        SocketAddr::from((Ipv4Addr::LOCALHOST, market_data.port()))
    } else {
        market_data
    };
    api::Config {
        main: api::Listen { address: settings.api.listen, key: "api.listen" },
        admin: Some(api::Listen { address: settings.admin.listen, key: "admin.listen" }),
        market_data: reach,
        worker_threads: workers,
        requests_per_second: settings.api.requests_per_second,
        requests_burst: settings.api.requests_per_second.saturating_mul(2),
        ..api::Config::default()
    }
}

/// Bounds of the other parts that a caller can hit, for `GET /api/v1/limits`.
fn limits_of(settings: &Settings) -> Vec<api::Limit> {
    let market_data = &settings.market_data;
    let limit = |name, value: usize, unit, meaning| api::Limit { name, value: Some(value as u64), unit, meaning };
    vec![
        limit("ws_connections", market_data.connections_max, "connections", "WebSocket connections at the same time"),
        limit("ws_subscriptions", market_data.subscriptions_max, "subscriptions", "Subscriptions of one connection"),
        limit("ws_queue", market_data.queue_bytes_max, "bytes", "Unsent bytes before the slow-reader policy acts"),
    ]
}

fn build_info() -> api::BuildInfo {
    api::BuildInfo { version: env!("CARGO_PKG_VERSION"), revision: env!("BIST_REVISION"), rustc: env!("BIST_RUSTC") }
}

/// Where the market-data port hands what is not its WebSocket; the slow path starts after that port is open.
#[derive(Default)]
struct SlowPath(std::sync::OnceLock<api::Intake>);

impl SlowPath {
    fn open(&self, intake: api::Intake) {
        // OK because it is set once, right after it is made.
        let _ = self.0.set(intake);
    }
}

impl distributor::SlowPath for SlowPath {
    fn hand_over(&self, connection: HandedOver) -> Result<(), HandedOver> {
        let Some(intake) = self.0.get() else { return Err(connection) };
        let HandedOver { stream, peer, read } = connection;
        intake.offer(stream, peer, read).map_err(|(stream, peer, read)| HandedOver { stream, peer, read })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_read_without_a_float() {
        assert_eq!(parse_price("143.20"), Price::from_decimal(14_320, 2));
        assert_eq!(parse_price(" 7 "), Price::from_decimal(7, 0));
        for bad in ["", ".5", "-1", "-0", "1,5", "1.0000000001", "99999999999999999999"] {
            assert_eq!(parse_price(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn midnight_in_new_york_knows_summer_time() {
        // 2026-07-01 12:00 UTC is 08:00 EDT; 2026-01-05 03:00 UTC is still the 4th in New York.
        assert_eq!(new_york_midnight_ns(1_782_907_200_000_000_000), 1_782_878_400_000_000_000);
        assert_eq!(new_york_midnight_ns(1_767_582_000_000_000_000), 1_767_502_800_000_000_000);
    }
}
