//! How many frames a second does the fan-out deliver, and how late are they at fixed rates?
//!
//! The fan-out stage alone, fed from its ring by the book stage in the client's thread → N WebSocket clients over
//! loopback. Closed loop for the maximum: at most so many messages are under way that the slowest client has not got.
//! Open loop for latency. Symbols take turns, so that every message is a frame of its own for every client. Answers are
//! checked as those of the pipeline.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use book::market::{Limits, Market};
use book::ring::{Bell, Producer, ring};
use book::slot::{System, system};
use book::stage::BookStage;
use feed_handler::bistech;
use feed_handler::sink::Received;

use crate::environment::Environment;
use crate::load::client::{Clients, Target};
use crate::load::follow::Follow;
use crate::load::now_ns;
use crate::load::sender::{Times, plan};
use crate::load::server::{Layout, Options as ServerOptions, Server, Wait, pin};
use crate::load::stream::{Choice, Message, Stream};
use crate::load::verify::{Proof, Transcript, verify};
use crate::measure::{self, BenchError, Pin};
use crate::pipeline::{Silence, failed, on_frame};
use crate::report::{Better, LatencySeries, Report, Row, grouped, sum};

/// Messages not yet received by the slowest client, in the closed loop.
const WINDOW: usize = 256;
/// The same from 1,000 clients on.
const WINDOW_MANY: usize = 64;
/// Messages offered at once, so that the fan-out finds something to batch.
const OFFERED_AT_ONCE: usize = 64;
/// Between two runs, see the pipeline.
const PAUSE: Duration = Duration::from_millis(300);
/// Slots of each ring.
const RING_SLOTS: usize = 65_536;
/// Before the first planned message.
const LEAD_NS: u64 = 20_000_000;

/// The question, for the report.
const QUESTION: &str = "How many frames a second reach WebSocket clients, and how late are they at fixed rates?";

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Numbers of clients.
    pub clients: Vec<usize>,
    /// Rates for latency, messages per second; each is measured with every number of clients for which it makes at most
    /// a million frames a second.
    pub rates: Vec<u64>,
    /// Runs of each.
    pub runs: usize,
    /// Warm-up of each run, ms.
    pub warm_up_ms: u64,
    /// Measured time of each run, ms.
    pub measured_ms: u64,
    /// What the server does when idle.
    pub wait: Wait,
    /// Core of the server.
    pub server_core: Option<usize>,
    /// Core of the clients.
    pub client_core: Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clients: vec![10, 100, 1_000],
            rates: vec![100, 1_000, 10_000],
            runs: 5,
            warm_up_ms: 400,
            measured_ms: 700,
            wait: Wait::Spin,
            server_core: None,
            client_core: None,
        }
    }
}

/// What a measurement found.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Figures for the report.
    pub rows: Vec<Row>,
    /// Latencies at fixed rates.
    pub latencies: Vec<LatencySeries>,
    /// What was proved.
    pub checked: Vec<String>,
}

/// Measures on the cores that `bench` chooses, and makes the report.
///
/// # Errors
/// The system lacks something, or an answer is wrong: then there is no figure.
pub fn run(bench: &measure::Options, options: Options) -> Result<Report, BenchError> {
    let pin = Pin::choose(bench.core)?;
    let environment = Environment::read(&bench.build, &pin);
    let options = Options { server_core: pin.core, client_core: pin.partner, ..options };
    let outcome = measure(&options, &mut |line| (bench.tell)(line)).map_err(failed)?;
    Ok(Report {
        name: "fanout".to_owned(),
        question: QUESTION.to_owned(),
        input: format!(
            "one-level updates of {} symbols in turn ({} from 1,000 clients on), at most half as many under way, each a frame \
             of about 255 bytes for every client; {:?} when idle",
            2 * WINDOW,
            2 * WINDOW_MANY,
            options.wait
        ),
        command: bench.command.clone(),
        environment,
        checked: outcome.checked,
        excluded: vec![
            "the network: loopback only, software stamps".to_owned(),
            "feed and books: the client's thread makes the updates".to_owned(),
        ],
        rows: outcome.rows,
        latencies: outcome.latencies,
    })
}

/// Measures everything asked for; `say` gets a line for a person after each.
///
/// # Errors
/// The server or a socket fails, or an answer is wrong: then there is no figure.
pub fn measure(options: &Options, say: &mut dyn FnMut(&str)) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut proof = Proof::default();
    for &clients in &options.clients {
        let mut frames = Vec::new();
        for _ in 0..options.runs.max(1) {
            let mut plant = Plant::start(options, clients)?;
            frames.push(plant.closed_loop(options)?);
            proof.add(plant.finish()?);
            std::thread::sleep(PAUSE);
        }
        let row = Row::new(format!("frames to {clients} clients, closed loop"), "frames/s", Better::Higher, frames);
        say(&format!("{}: {} frames/s", row.name, grouped(row.median().unwrap_or(0.0) as u64)));
        outcome.rows.push(row);
        for &rate in options.rates.iter().filter(|&&rate| rate * clients as u64 <= 1_000_000) {
            let mut runs = Vec::new();
            for _ in 0..options.runs.max(1) {
                let mut plant = Plant::start(options, clients)?;
                runs.push(plant.open_loop(rate, options)?);
                proof.add(plant.finish()?);
                std::thread::sleep(PAUSE);
            }
            let (corrected, uncorrected): (Vec<_>, Vec<_>) =
                runs.into_iter().map(|run| (run.corrected, run.uncorrected)).unzip();
            let series = LatencySeries {
                name: format!("ring to {clients} clients"),
                rate_per_s: Some(rate),
                achieved_per_s: None,
                corrected: sum(&corrected),
                uncorrected: Some(sum(&uncorrected)),
                runs: corrected,
            };
            say(&format!("{clients} clients, {}", crate::pipeline::line(&series)));
            outcome.latencies.push(series);
        }
    }
    outcome.checked = vec![
        "every message shown to every client, no chain of prev_seq broken".to_owned(),
        format!("{} checksums of one client proved by a second implementation", grouped(proof.checksums)),
        format!("{} final books equal the generator's", proof.books),
    ];
    Ok(outcome)
}

/// Encoded messages in, updates out: the book stage in the thread of whoever feeds it.
struct Books {
    events: Producer,
    stage: BookStage,
    decoder: bistech::Decoder,
    second: u64,
}

impl Books {
    fn give(&mut self, message: &mut Message, at_ns: u64) -> Result<()> {
        let (second, nanos) = (at_ns / 1_000_000_000, (at_ns % 1_000_000_000) as u32);
        let received = Received { received_ns: at_ns, ..Received::default() };
        let Self { events, decoder, .. } = self;
        let mut sink = |slot| {
            let _ = events.push(slot); // OK because the ring is emptied after every burst, and refusals are counted
        };
        if self.second != second {
            self.second = second;
            let [a, b, c, d] = (second as u32).to_be_bytes();
            decoder.decode(&[b'T', a, b, c, d], received, &mut sink)?;
        }
        decoder.decode(message.stamped(nanos), received, &mut sink)?;
        Ok(())
    }

    fn publish(&mut self) {
        self.events.flush();
        while self.stage.do_work(now_ns()) > 0 {}
    }
}

struct Plant {
    server: Server,
    books: Books,
    clients: Clients,
    follow: Follow,
    stream: Stream,
    transcript: Transcript,
    window: usize,
}

impl Plant {
    fn start(options: &Options, clients: usize) -> Result<Self> {
        pin(options.client_core);
        let window = if clients >= 1_000 { WINDOW_MANY } else { WINDOW };
        // Twice the window: no two messages under way are of one symbol, so none are merged into one frame.
        let symbols = 2 * window;
        let (events, consumer) = ring("events", RING_SLOTS, Bell::new());
        let limits = Limits { books_max: symbols + 1, orders_max: symbols * 200, ..Limits::default() };
        let mut stage = BookStage::new(consumer, Market::new(limits));
        let bell = Bell::new();
        let (updates, reader) = ring("fan-out", RING_SLOTS, Arc::clone(&bell));
        stage.add_reader(updates, true, symbols + 1);
        let server_options = ServerOptions {
            layout: Layout::Split,
            wait: options.wait,
            cores: options.server_core.into_iter().collect(),
            symbols,
            clients,
        };
        let server = Server::fan_out_alone(&server_options, reader, bell)?;
        let mut books = Books { events, stage, decoder: bistech::Decoder::new(symbols + 1, None), second: 0 };
        let mut stream = Stream::new(symbols, Choice::InTurn, 1);
        let session = System::new(system::SESSION, now_ns(), now_ns(), 0, 0, now_ns() / 1_000_000_000);
        ensure!(books.events.push(session.into()).is_ok(), "an empty ring is full");
        for burst in stream.opening().chunks_mut(1_000) {
            for message in burst {
                books.give(message, now_ns())?;
            }
            books.publish();
        }
        let target = Target::parse(&format!("ws://{}/ws/v2", server.address), false)?;
        let mut sockets = Clients::connect(&target, clients)?;
        let mut follow = Follow::new(clients, symbols);
        let (times, mut transcript) = (Times::default(), Transcript::default());
        let mut silence = Silence::default();
        // In groups, so that the snapshots of all do not fill every queue at once.
        for first in (0..clients).step_by(50) {
            let group = first..clients.min(first + 50);
            for client in group.clone() {
                sockets.send(client, crate::load::SUBSCRIBE_BOOKS)?;
            }
            while follow.snapshots[group.clone()].iter().any(|&snapshots| snapshots < symbols) {
                let frames = sockets.turn(Duration::from_millis(1), now_ns, &mut |arrived| {
                    on_frame(arrived, &mut follow, &times, &mut transcript);
                })?;
                books.publish();
                silence.check(frames > 0, "the snapshots of the subscriptions")?;
            }
        }
        Ok(Self { server, books, clients: sockets, follow, stream, transcript, window })
    }

    /// Frames per second, all clients together.
    fn closed_loop(&mut self, options: &Options) -> Result<f64> {
        self.follow.untimed = true;
        let (warm_up, all) = (
            Duration::from_millis(options.warm_up_ms),
            Duration::from_millis(options.warm_up_ms + options.measured_ms.max(1)),
        );
        // More than any server delivers in that time, as symbols in turn; what is not offered is not counted.
        let begin = Instant::now();
        let mut from: Option<(Instant, u64)> = None;
        let mut silence = Silence::default();
        let (mut times, mut offered) = (Times::default(), 0_usize);
        let (symbols, mut last_ns) = (self.stream.symbols(), now_ns());
        self.follow.begin(std::iter::empty());
        while begin.elapsed() < all {
            let room = self.window - (offered - self.follow.slowest() as usize);
            if room >= OFFERED_AT_ONCE.min(self.window) {
                for _ in 0..room {
                    let mut message = self.stream.next_message();
                    last_ns = now_ns().max(last_ns + 1);
                    times.planned_ns.push(last_ns);
                    self.follow.add(usize::from(message.symbol));
                    self.books.give(&mut message, last_ns)?;
                    offered += 1;
                }
                self.books.publish();
            }
            let (follow, transcript) = (&mut self.follow, &mut self.transcript);
            let frames = self.clients.turn(Duration::ZERO, now_ns, &mut |arrived| {
                on_frame(arrived, follow, &times, transcript);
            })?;
            silence.check(frames > 0, "frames")?;
            if from.is_none() && begin.elapsed() >= warm_up {
                from = Some((Instant::now(), self.follow.updates));
            }
        }
        let (since, before) = from.context("no time was left after the warm-up")?;
        let rate = (self.follow.updates - before) as f64 / since.elapsed().as_secs_f64();
        ensure!(symbols >= 2 * self.window, "symbols would share frames");
        self.drain(offered, &times)?;
        Ok(rate)
    }

    fn open_loop(&mut self, rate: u64, options: &Options) -> Result<crate::load::follow::Latencies> {
        let of = |ms: u64| (rate * ms / 1_000) as usize;
        let (warm_up, measured) = (of(options.warm_up_ms), of(options.measured_ms).max(1));
        let mut messages: Vec<Message> = (0..warm_up + measured).map(|_| self.stream.next_message()).collect();
        self.follow.begin(messages.iter().map(|message| usize::from(message.symbol)));
        self.follow.measured_from = warm_up;
        self.transcript.reserve(messages.len());
        let planned_ns = plan(now_ns() + LEAD_NS, rate, messages.len());
        let mut times = Times { planned_ns, sent_ns: Vec::with_capacity(messages.len()) };
        let mut silence = Silence::default();
        while self.follow.slowest() < messages.len() as u64 {
            let now = now_ns();
            let mut at = times.sent_ns.len();
            while at < messages.len() && times.planned_ns[at] <= now {
                self.books.give(&mut messages[at], times.planned_ns[at])?;
                times.sent_ns.push(now);
                at += 1;
            }
            self.books.publish();
            let (follow, transcript) = (&mut self.follow, &mut self.transcript);
            let frames = self.clients.turn(Duration::ZERO, now_ns, &mut |arrived| {
                on_frame(arrived, follow, &times, transcript);
            })?;
            silence.check(frames > 0 || at < messages.len(), "the last frames")?;
        }
        Ok(std::mem::take(&mut self.follow.latencies))
    }

    /// Takes what is still under way.
    fn drain(&mut self, offered: usize, times: &Times) -> Result<()> {
        let mut silence = Silence::default();
        while (self.follow.slowest() as usize) < offered {
            let (follow, transcript) = (&mut self.follow, &mut self.transcript);
            let frames = self.clients.turn(Duration::from_millis(1), now_ns, &mut |arrived| {
                on_frame(arrived, follow, times, transcript);
            })?;
            silence.check(frames > 0, "the last frames")?;
        }
        Ok(())
    }

    fn finish(self) -> Result<Proof> {
        let Self { server, clients, transcript, stream, follow, .. } = self;
        drop(clients);
        drop(server);
        ensure!(follow.broken == 0, "{} frames did not go on from the one before", follow.broken);
        ensure!(follow.gaps == 0, "{} gap frames", follow.gaps);
        verify(&transcript, &stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The small mode: same code, same checks.
    #[test]
    fn every_frame_reaches_every_client() {
        let options = Options {
            clients: vec![4],
            rates: vec![1_000],
            runs: 1,
            warm_up_ms: 20,
            measured_ms: 80,
            wait: Wait::Park,
            ..Options::default()
        };
        let outcome = measure(&options, &mut |_| {}).unwrap();
        assert!(outcome.rows[0].samples[0] > 0.0);
        assert_eq!(outcome.latencies[0].corrected.len(), 80 * 4, "every message and client");
    }
}
