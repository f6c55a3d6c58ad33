//! How long does a message take from the wire to WebSocket clients, at planned rates?
//!
//! MoldUDP64 packets over loopback → feed, book and fan-out stages → N WebSocket clients, all of it real sockets. The
//! sender and the clients are one thread, the server has the other cores. Open loop: latency counts from the planned
//! send time. No figure without its answer: every message was shown to every client, no chain of `prev_seq` broke, and
//! one client's checksums and final books are proved afterwards.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use book::Nanos;
use hdrhistogram::Histogram;

use crate::environment::Environment;
use crate::load::client::{Arrived, Clients, Target};
use crate::load::follow::{Follow, Latencies};
use crate::load::sender::{Sender, Times, plan};
use crate::load::server::{Layout, Options as ServerOptions, Server, Wait, pin};
use crate::load::stream::{Choice, Message, Stream};
use crate::load::verify::{Proof, Transcript, verify};
use crate::load::{SUBSCRIBE_BOOKS, now_ns};
use crate::measure::{self, BenchError, Pin};
use crate::report::{Better, LatencySeries, Report, Row, grouped, sum};

/// The first rate of the ladder, messages per second.
const FIRST_RATE: u64 = 1_000;
/// The ladder ends here even if nothing gave way.
const LAST_RATE: u64 = 4_096_000;
/// A rate counts as reached when so much of it was delivered in time.
const ACHIEVED_MIN: f64 = 0.98;
/// A p99 above this many times the first rate's, and above 5 ms, ends the ladder: queues grow.
const P99_GROWTH_MAX: u64 = 50;
const P99_ENDS_NS: u64 = 5_000_000;
/// How long nothing may come before a run has failed.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// Between two runs, each of which has a server of its own: threads at real-time priority are cut off by the kernel when
/// they spin for most of a second, and would be in the middle of a run.
const PAUSE: Duration = Duration::from_millis(300);
/// Messages of one packet of the opening.
const OPENING_BURST: usize = 200;
/// Before the first planned message, so that the loop is warm when it is due.
const LEAD_NS: u64 = 20_000_000;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Rates in messages per second, ascending; empty = doubling from 1,000 until something gives way.
    pub rates: Vec<u64>,
    /// WebSocket clients, each following every symbol.
    pub clients: usize,
    /// Symbols.
    pub symbols: usize,
    /// Seed of the stream.
    pub seed: u64,
    /// Runs of each rate.
    pub runs: usize,
    /// Time at the rate before it is measured, ms.
    pub warm_up_ms: u64,
    /// Measured time, ms.
    pub measured_ms: u64,
    /// Which thread of the server does what.
    pub layout: Layout,
    /// What its idle threads do.
    pub wait: Wait,
    /// Cores of the server; empty = not pinned.
    pub server_cores: Vec<usize>,
    /// Core of the sender and the clients.
    pub client_core: Option<usize>,
    /// Sends from a thread of its own instead of the clients'.
    pub sender_apart: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            rates: Vec::new(),
            clients: 10,
            symbols: 50,
            seed: 1,
            runs: 5,
            warm_up_ms: 400,
            measured_ms: 700,
            layout: Layout::Single,
            wait: Wait::Spin,
            server_cores: Vec::new(),
            client_core: None,
            sender_apart: false,
        }
    }
}

/// One run at one rate.
#[derive(Clone, Debug)]
pub struct Run {
    /// Latencies of the measured part.
    pub latencies: Latencies,
    /// Messages per second from the first planned to the last received, measured part.
    pub achieved_per_s: f64,
    /// Messages sent, all shown to every client.
    pub messages: usize,
    /// Updates received by all clients.
    pub frames: u64,
    /// What the server's own stages took, warm-up and opening included: name, median and 99th percentile, ns.
    pub stages: Vec<(&'static str, u64, u64)>,
}

/// What a measurement found.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Figures for the report.
    pub rows: Vec<Row>,
    /// Distributions, by rate and stage.
    pub latencies: Vec<LatencySeries>,
    /// What was proved.
    pub checked: Vec<String>,
    /// Why the ladder ended where it did.
    pub ended: String,
}

/// The question, for the report.
const QUESTION: &str = "How long does a message take from the wire to WebSocket clients, by stage, at planned rates?";

/// What is not in the figures, for the report.
const EXCLUDED: [&str; 3] = [
    "the network: loopback only, software stamps",
    "recovery, other protocols, conflation, REST and the page's copy of the books",
    "load on other symbols than those that every client follows",
];

/// Measures on the cores that `bench` chooses, and makes the report.
///
/// # Errors
/// The system lacks something, or an answer is wrong: then there is no figure.
pub fn run(bench: &measure::Options, options: Options) -> Result<Report, BenchError> {
    let pin = Pin::choose(bench.core)?;
    let environment = Environment::read(&bench.build, &pin);
    let server_cores = match options.layout {
        Layout::Single => pin.core.into_iter().collect(),
        // Three threads need three cores beside the clients' one; with fewer the scheduler knows better.
        Layout::Split if pin.allowed.len() >= 4 && pin.core.is_some() => {
            pin.allowed.iter().copied().filter(|&core| Some(core) != pin.partner).collect()
        }
        Layout::Split => Vec::new(),
    };
    let options = Options { server_cores, client_core: pin.partner, ..options };
    let outcome = measure(&options, &mut |line| (bench.tell)(line)).map_err(failed)?;
    let mut excluded: Vec<String> = EXCLUDED.map(str::to_owned).to_vec();
    excluded.push(format!("rates above: the ladder ended because of {}", outcome.ended));
    Ok(Report {
        name: "pipeline".to_owned(),
        question: QUESTION.to_owned(),
        input: format!(
            "BISTECH ITCH in MoldUDP64 over loopback, {} symbols, one level changed per message, seed {}; {} clients of all \
             books, depth 10; layout {:?}, {:?} when idle, {}",
            options.symbols,
            options.seed,
            options.clients,
            options.layout,
            options.wait,
            if options.sender_apart { "sender in a thread of its own" } else { "sender and clients in one thread" },
        ),
        command: bench.command.clone(),
        environment,
        checked: outcome.checked,
        excluded,
        rows: outcome.rows,
        latencies: outcome.latencies,
    })
}

/// What stopped a run, with what was being done.
pub(crate) fn failed(error: anyhow::Error) -> BenchError {
    BenchError::Io { doing: "measuring over loopback".to_owned(), source: std::io::Error::other(format!("{error:#}")) }
}

/// Measures every rate; `say` gets a line for a person after each.
///
/// # Errors
/// The server or a socket fails, or an answer is wrong: then there is no figure.
pub fn measure(options: &Options, say: &mut dyn FnMut(&str)) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut first_p99 = None;
    let mut rates: Box<dyn Iterator<Item = u64>> = if options.rates.is_empty() {
        Box::new(std::iter::successors(Some(FIRST_RATE), |rate| (*rate < LAST_RATE).then_some(rate * 2)))
    } else {
        Box::new(options.rates.clone().into_iter())
    };
    let (mut proof, mut messages) = (Proof::default(), 0);
    let ended = loop {
        let Some(rate) = rates.next() else { break "the last rate asked for".to_owned() };
        let mut runs = Vec::with_capacity(options.runs);
        for _ in 0..options.runs.max(1) {
            // Started here and not in the clients' thread, whose core its threads would inherit.
            let server = Server::start(&server_options(options))?;
            let ran = std::thread::scope(|scope| {
                let clients = scope.spawn(|| -> Result<Ran> {
                    let mut plant = Plant::start(server, options)?;
                    let ran = plant.run(rate, options)?;
                    if matches!(ran, Ran::Whole(_)) {
                        proof.add(plant.finish()?);
                    }
                    Ok(ran)
                });
                clients.join().unwrap_or_else(|_| bail!("the clients' thread panicked"))
            })?;
            match ran {
                Ran::Whole(run) => runs.push(*run),
                Ran::Lost(why) => {
                    say(&format!("{}/s: {why}", grouped(rate)));
                    break;
                }
            }
            std::thread::sleep(PAUSE);
        }
        if runs.len() < options.runs.max(1) {
            break format!("at {}/s messages were lost, told as gaps; no figure for it", grouped(rate));
        }
        messages += runs.iter().map(|run| run.messages).sum::<usize>();
        let series = series(rate, &runs);
        let p99 = series[0].corrected.value_at_quantile(0.99);
        let achieved = series[0].achieved_per_s.unwrap_or(0.0);
        say(&line(&series[0]));
        outcome.rows.extend(rows(rate, &runs));
        outcome.latencies.extend(series);
        let first = *first_p99.get_or_insert(p99);
        if !options.rates.is_empty() {
            continue;
        }
        if achieved < ACHIEVED_MIN * rate as f64 {
            break format!("at {}/s only {achieved:.0}/s were delivered in time", grouped(rate));
        }
        if p99 > P99_ENDS_NS && p99 > first * P99_GROWTH_MAX {
            break format!("at {}/s p99 grew to {} us", grouped(rate), p99 / 1_000);
        }
    };
    outcome.ended = ended;
    outcome.checked = vec![
        format!("{} messages, each shown to each of {} clients", grouped(messages as u64), options.clients),
        "no client's chain of prev_seq broke".to_owned(),
        format!("{} checksums of one client proved by a second implementation", grouped(proof.checksums)),
        format!("{} final books equal the generator's, prices, quantities and orders", proof.books),
    ];
    Ok(outcome)
}

/// One line for the terminal: rate, achieved rate, percentiles in us.
#[must_use]
pub fn line(series: &LatencySeries) -> String {
    let of = |histogram: &Histogram<u64>| {
        let at = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1_000.0;
        format!(
            "p50 {:.1} p99 {:.1} p99.9 {:.1} p99.99 {:.1} max {:.1} us",
            at(0.5),
            at(0.99),
            at(0.999),
            at(0.9999),
            histogram.max() as f64 / 1_000.0
        )
    };
    let rate = series.rate_per_s.map_or_else(String::new, |rate| format!("{}/s: ", grouped(rate)));
    let uncorrected = series.uncorrected.as_ref().map_or_else(String::new, |all| format!("; uncorrected {}", of(all)));
    format!("{rate}{}{uncorrected}", of(&series.corrected))
}

fn series(rate: u64, runs: &[Run]) -> Vec<LatencySeries> {
    type Pick = fn(&Latencies) -> &Histogram<u64>;
    let stages: [(&str, Pick); 4] = [
        ("end to end", |all| &all.corrected),
        ("receive", |all| &all.receive),
        ("decode, ring, apply", |all| &all.process),
        ("encode, write, client", |all| &all.deliver),
    ];
    let achieved = runs.iter().map(|run| run.achieved_per_s).sum::<f64>() / runs.len() as f64;
    let of = |(name, pick): (&str, Pick)| {
        let runs_of: Vec<Histogram<u64>> = runs.iter().map(|run| pick(&run.latencies).clone()).collect();
        let uncorrected: Vec<Histogram<u64>> = runs.iter().map(|run| run.latencies.uncorrected.clone()).collect();
        LatencySeries {
            name: name.to_owned(),
            rate_per_s: Some(rate),
            achieved_per_s: Some(achieved),
            corrected: sum(&runs_of),
            uncorrected: (name == "end to end").then(|| sum(&uncorrected)),
            runs: runs_of,
        }
    };
    stages.into_iter().map(of).collect()
}

fn rows(rate: u64, runs: &[Run]) -> Vec<Row> {
    let at = |quantile: f64| -> Vec<f64> {
        runs.iter().map(|run| run.latencies.corrected.value_at_quantile(quantile) as f64 / 1_000.0).collect()
    };
    let rate_text = grouped(rate);
    let mut rows = vec![
        Row::new(format!("wire to client p50 at {rate_text}/s"), "us", Better::Lower, at(0.5)),
        Row::new(format!("wire to client p99 at {rate_text}/s"), "us", Better::Lower, at(0.99)),
        Row::new(
            format!("delivered at {rate_text}/s"),
            "messages/s",
            Better::Higher,
            runs.iter().map(|run| run.achieved_per_s).collect(),
        ),
    ];
    for (at, (stage, ..)) in runs.first().map(|run| run.stages.as_slice()).unwrap_or_default().iter().enumerate() {
        let of = |pick: fn(&(&str, u64, u64)) -> u64| {
            runs.iter().filter_map(|run| run.stages.get(at)).map(|stage| pick(stage) as f64 / 1_000.0).collect()
        };
        rows.push(Row::new(format!("stage {stage} p50 at {rate_text}/s"), "us", Better::Lower, of(|stage| stage.1)));
        rows.push(Row::new(format!("stage {stage} p99 at {rate_text}/s"), "us", Better::Lower, of(|stage| stage.2)));
    }
    if rate == FIRST_RATE {
        for (row, target_us) in rows.iter_mut().zip([50.0, 100.0]) {
            row.target = Some(target_us);
        }
    }
    rows
}

fn server_options(options: &Options) -> ServerOptions {
    ServerOptions {
        layout: options.layout,
        wait: options.wait,
        cores: options.server_cores.clone(),
        symbols: options.symbols,
        clients: options.clients,
    }
}

/// How a run ended.
enum Ran {
    Whole(Box<Run>),
    /// Messages were lost on the way in, which the server told.
    Lost(String),
}

/// A server with its sender and its clients, opened and subscribed.
struct Plant {
    server: Server,
    sender: Sender,
    clients: Clients,
    follow: Follow,
    stream: Stream,
    transcript: Transcript,
}

impl Plant {
    fn start(server: Server, options: &Options) -> Result<Self> {
        pin(options.client_core);
        let mut stream = Stream::new(options.symbols, Choice::Random, options.seed);
        let mut sender = Sender::open(server.line).context("opening the sender's socket")?;
        let feed = server.feed.clone().context("a server without a feed")?;
        let mut opening = stream.opening();
        let mut sent = 0;
        for burst in opening.chunks_mut(OPENING_BURST) {
            for message in burst.iter_mut() {
                while !sender.push(message, now_ns())? {
                    sender.flush()?;
                }
            }
            sender.flush()?;
            sent += burst.len() as u64;
            wait_for("the server to read the opening", || feed.decoded() >= sent)?;
        }
        let target = Target::parse(&format!("ws://{}/ws/v2", server.address), false)?;
        let mut clients = Clients::connect(&target, options.clients)?;
        let mut follow = Follow::new(options.clients, options.symbols);
        let mut transcript = Transcript::default();
        let times = Times::default();
        for client in 0..options.clients {
            clients.send(client, SUBSCRIBE_BOOKS)?;
        }
        let mut turns = Silence::default();
        while follow.snapshots.iter().any(|&snapshots| snapshots < options.symbols) {
            let frames = clients.turn(Duration::from_millis(1), now_ns, &mut |arrived| {
                on_frame(arrived, &mut follow, &times, &mut transcript);
            })?;
            turns.check(frames > 0, "the snapshots of the subscriptions")?;
        }
        Ok(Self { server, sender, clients, follow, stream, transcript })
    }

    fn run(&mut self, rate: u64, options: &Options) -> Result<Ran> {
        let of = |ms: u64| (rate * ms / 1_000) as usize;
        let (warm_up, measured) = (of(options.warm_up_ms), of(options.measured_ms).max(1));
        let mut messages: Vec<Message> = (0..warm_up + measured).map(|_| self.stream.next_message()).collect();
        self.follow.begin(messages.iter().map(|message| usize::from(message.symbol)));
        self.follow.measured_from = warm_up;
        let mut transcript = std::mem::take(&mut self.transcript);
        transcript.reserve(messages.len());
        let (frames_before, gaps_before) = (self.follow.updates, self.follow.gaps);
        let start_ns = now_ns() + LEAD_NS;
        let mut times =
            Times { planned_ns: plan(start_ns, rate, messages.len()), sent_ns: Vec::with_capacity(messages.len()) };
        let end_ns = if options.sender_apart {
            let sender = &mut self.sender;
            // The sender's stamps are its own: what clients count from is the plan.
            let planned = times.clone();
            let (clients, follow) = (&mut self.clients, &mut self.follow);
            std::thread::scope(|scope| -> Result<Nanos> {
                let sending = scope.spawn(|| send_all(sender, &mut messages, planned));
                let end_ns = receive_all(clients, follow, &times, &mut transcript, |_| Ok(false))?;
                times.sent_ns = match sending.join() {
                    Ok(sent) => sent?,
                    Err(_) => bail!("the sending thread panicked"),
                };
                Ok(end_ns)
            })?
        } else {
            self.send_and_receive(&mut messages, &mut times, &mut transcript)?
        };
        self.transcript = transcript;
        if self.follow.gaps > gaps_before {
            return Ok(Ran::Lost(format!("{} gap frames: the line or a client lost messages", self.follow.gaps)));
        }
        ensure!(self.follow.broken == 0, "{} frames did not go on from the one before", self.follow.broken);
        if self.follow.slowest() < messages.len() as u64 {
            let lost = messages.len() as u64 - self.follow.slowest();
            return Ok(Ran::Lost(format!("{lost} of {} messages never came", messages.len())));
        }
        let first_ns = times.planned_ns[warm_up];
        let plan_ns = measured as u64 * 1_000_000_000 / rate;
        let took_ns = (end_ns - first_ns).max(plan_ns);
        Ok(Ran::Whole(Box::new(Run {
            latencies: std::mem::take(&mut self.follow.latencies),
            achieved_per_s: measured as f64 * 1e9 / took_ns as f64,
            messages: messages.len(),
            frames: self.follow.updates - frames_before,
            stages: self.server.stages(),
        })))
    }

    /// Both in this thread: a packet of what is due, then a look at every socket.
    fn send_and_receive(
        &mut self,
        messages: &mut [Message],
        times: &mut Times,
        transcript: &mut Transcript,
    ) -> Result<Nanos> {
        let all = messages.len();
        let (sender, clients, follow) = (&mut self.sender, &mut self.clients, &mut self.follow);
        let mut silence = Silence::default();
        let mut sent = 0;
        while follow.slowest() < all as u64 {
            let now = now_ns();
            if sent < all {
                sent += sender.send_due(messages, times, now)?;
            }
            let frames = clients.turn(Duration::ZERO, now_ns, &mut |arrived| {
                on_frame(arrived, follow, times, transcript);
            })?;
            if silence.is_over(frames > 0 || sent < all) {
                break;
            }
        }
        Ok(now_ns())
    }

    /// Proves what the first client got.
    fn finish(self) -> Result<Proof> {
        let Self { server, clients, transcript, stream, .. } = self;
        drop(clients);
        drop(server);
        verify(&transcript, &stream)
    }
}

/// From another thread than the clients': sends everything at its time and gives the real times.
fn send_all(sender: &mut Sender, messages: &mut [Message], mut times: Times) -> Result<Vec<Nanos>> {
    while times.sent_ns.len() < messages.len() {
        if sender.send_due(messages, &mut times, now_ns())? == 0 {
            std::hint::spin_loop();
        }
    }
    Ok(times.sent_ns)
}

fn receive_all(
    clients: &mut Clients,
    follow: &mut Follow,
    times: &Times,
    transcript: &mut Transcript,
    mut between: impl FnMut(Nanos) -> Result<bool>,
) -> Result<Nanos> {
    let all = times.planned_ns.len() as u64;
    let last_ns = times.planned_ns.last().copied().unwrap_or(0);
    let mut silence = Silence::default();
    while follow.slowest() < all {
        let now = now_ns();
        let worked = between(now)?;
        let frames =
            clients.turn(Duration::ZERO, now_ns, &mut |arrived| on_frame(arrived, follow, times, transcript))?;
        if silence.is_over(worked || frames > 0 || now < last_ns) {
            break;
        }
    }
    Ok(now_ns())
}

#[inline]
pub(crate) fn on_frame(arrived: Arrived<'_>, follow: &mut Follow, times: &Times, transcript: &mut Transcript) {
    if follow.on_frame(arrived, times) && arrived.client == 0 {
        transcript.push(arrived.payload);
    }
}

/// How long nothing has happened.
pub(crate) struct Silence(Instant);

impl Default for Silence {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Silence {
    pub(crate) fn is_over(&mut self, something: bool) -> bool {
        if something {
            self.0 = Instant::now();
        }
        !something && self.0.elapsed() > SILENCE_MAX
    }

    pub(crate) fn check(&mut self, something: bool, what: &str) -> Result<()> {
        ensure!(!self.is_over(something), "waited {} s in vain for {what}", SILENCE_MAX.as_secs());
        Ok(())
    }
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) -> Result<()> {
    let begin = Instant::now();
    while !done() {
        ensure!(begin.elapsed() < SILENCE_MAX, "waited {} s in vain for {what}", SILENCE_MAX.as_secs());
        std::thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The small mode: same code, same checks, both layouts, one thread and two.
    #[test]
    fn every_message_reaches_every_client_and_the_books_are_right() {
        for (layout, wait, sender_apart) in [
            (Layout::Single, Wait::Park, false),
            (Layout::Split, Wait::Park, true),
            (Layout::Single, Wait::Spin, false),
        ] {
            let options = Options {
                rates: vec![2_000],
                clients: 3,
                symbols: 5,
                runs: 2,
                warm_up_ms: 20,
                measured_ms: 100,
                layout,
                wait,
                sender_apart,
                ..Options::default()
            };
            let mut lines = Vec::new();
            let outcome = measure(&options, &mut |line| lines.push(line.to_owned())).unwrap();
            assert_eq!(outcome.latencies.len(), 4, "{layout:?}: {lines:?} {}", outcome.ended);
            let end_to_end = &outcome.latencies[0];
            assert_eq!(end_to_end.corrected.len(), 2 * 200 * 3, "every message, client and run");
            assert!(outcome.checked[3].starts_with("10 final books"), "{:?}", outcome.checked);
        }
    }
}
