//! How many frames a second does the fan-out deliver, and how late are they at fixed rates?
//!
//! The fan-out stage alone, fed from its ring by the book stage in the client's thread → N WebSocket clients over
//! loopback. Closed loop for the maximum: at most so many messages are under way that the slowest client has not got.
//! Open loop for latency. Symbols take turns, so that every message is a frame of its own for every client. Answers are
//! checked as those of the pipeline. A server that is not ours is measured by the same loops: lines of JSON go into its
//! feed, and every client must get every line.

use std::time::Duration;

use anyhow::Result;

use crate::disturbance::{Disturbance, Watch};
use crate::environment::Environment;
use crate::load::limits;
use crate::load::verify::Proof;
use crate::measure::{self, BenchError, Pin};
use crate::pipeline::failed;
use crate::report::table::line;
use crate::report::{Better, LatencySeries, Report, Row, grouped, median, sum};
use crate::server::{ServerWait, StartServer, pin};
use loops::{Length, SystemUnderTest, closed_loop, open_loop};
use own::OwnSystem;
use peer::{Peer, PeerSystem};

pub mod loops;
mod own;
pub mod peer;

/// Messages not yet received by the slowest client, in the closed loop.
const WINDOW: usize = 256;
/// The same from 1,000 clients on.
const WINDOW_MANY: usize = 64;
/// Most frames a second, all clients together, that latency is measured with.
const FRAMES_PER_S_MAX: u64 = 1_000_000;
/// Before each run, see the pipeline.
const PAUSE: Duration = Duration::from_millis(300);

/// The question, for the report.
const QUESTION: &str = "How many frames a second reach WebSocket clients, and how late are they at fixed rates?";

/// Messages that may be under way to so many clients.
const fn window(clients: usize) -> usize {
    if clients >= 1_000 { WINDOW_MANY } else { WINDOW }
}

/// What to measure.
#[derive(Clone, Debug)]
pub struct FanoutOptions {
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
    pub wait: ServerWait,
    /// Core of the server.
    pub server_core: Option<usize>,
    /// Core of the clients.
    pub client_core: Option<usize>,
    /// A server that runs already, instead of ours.
    pub peer: Option<Peer>,
}

impl Default for FanoutOptions {
    fn default() -> Self {
        Self {
            clients: vec![10, 100, 1_000],
            rates: vec![100, 1_000, 10_000],
            runs: 5,
            // As in the pipeline: shorter than what the kernel gives real-time threads in one piece.
            warm_up_ms: 250,
            measured_ms: 500,
            wait: ServerWait::Spin,
            server_core: None,
            client_core: None,
            peer: None,
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
    /// What a server that is not ours could not do, and why there is no figure for it.
    pub failed: Vec<String>,
}

/// Measures on the cores that `bench` chooses, and makes the report.
///
/// # Errors
/// The system lacks something, or an answer is wrong: then there is no figure.
pub fn run(bench: &measure::BenchOptions, options: FanoutOptions, server: StartServer) -> Result<Report, BenchError> {
    let pin = Pin::choose(bench.core)?;
    let environment = Environment::read(&bench.build, &pin);
    let options = match options.peer {
        // The server has a core that its user gave it; this program has the one that is named.
        Some(_) => FanoutOptions { server_core: None, client_core: pin.core, ..options },
        None => FanoutOptions { server_core: pin.core, client_core: pin.partner, ..options },
    };
    let outcome = measure(&options, server, &mut |line| (bench.tell)(line)).map_err(failed)?;
    let mut excluded = vec![
        "the network: loopback only, software stamps".to_owned(),
        "feed and books: the clients' thread makes the messages".to_owned(),
    ];
    excluded.extend(outcome.failed);
    Ok(Report {
        name: "fanout".to_owned(),
        question: QUESTION.to_owned(),
        input: input(&options),
        command: bench.command.clone(),
        environment,
        checked: outcome.checked,
        excluded,
        rows: outcome.rows,
        latencies: outcome.latencies,
    })
}

fn input(options: &FanoutOptions) -> String {
    let windows = format!("at most {WINDOW} under way in the closed loop ({WINDOW_MANY} from 1,000 clients on)");
    match &options.peer {
        Some(peer) => {
            format!("lines of JSON of about 260 bytes from {} to the clients of {}, {windows}", peer.feed, peer.url)
        }
        None => format!(
            "one-level updates of {} symbols in turn ({} from 1,000 clients on), each a frame of about 255 bytes for every \
             client, {windows}; {:?} when idle",
            2 * WINDOW,
            2 * WINDOW_MANY,
            options.wait
        ),
    }
}

impl FanoutOptions {
    const fn length(&self) -> Length {
        Length { warm_up_ms: self.warm_up_ms, measured_ms: self.measured_ms }
    }

    /// Cores of server and clients; none when the scheduler chooses, or when the server is not ours.
    fn cores(&self) -> Vec<usize> {
        self.server_core.into_iter().chain(self.client_core.filter(|_| self.server_core.is_some())).collect()
    }
}

/// Measures everything asked for; `say` gets a line for a person after each.
///
/// # Errors
/// The server or a socket fails, or an answer is wrong: then there is no figure.
pub fn measure(options: &FanoutOptions, server: StartServer, say: &mut dyn FnMut(&str)) -> Result<Outcome> {
    // A client has a socket at each end, and both ends are here unless the server is another program.
    limits::make_room(2 * options.clients.iter().copied().max().unwrap_or(0))?;
    let mut outcome = Outcome::default();
    let mut proof = Proof::default();
    for &clients in &options.clients {
        let found = runs(options, server, clients, "closed loop", &mut outcome, &mut proof, |system| {
            Ok(closed_loop(system, options.length())?.frames_per_s)
        })?;
        let (frames, disturbed): (Vec<f64>, Vec<Disturbance>) = found.into_iter().unzip();
        if !frames.is_empty() {
            let name = format!("frames to {clients} clients, closed loop");
            let row = Row::new(name, "frames/s", Better::Higher, frames).with_disturbed(disturbed);
            say(&format!("{}: {} frames/s", row.name, grouped(row.median().unwrap_or(0.0) as u64)));
            outcome.rows.push(row);
        }
        for &rate in options.rates.iter().filter(|&&rate| rate * clients as u64 <= FRAMES_PER_S_MAX) {
            let what = format!("{}/s", grouped(rate));
            let found = runs(options, server, clients, &what, &mut outcome, &mut proof, |system| {
                let throughput = open_loop(system, rate, options.length())?;
                let (corrected, uncorrected) = system.latencies();
                Ok((corrected, uncorrected, throughput.frames_per_s / clients as f64))
            })?;
            if !found.is_empty() {
                let series = series(clients, rate, found);
                say(&format!("{clients} clients, {}", line(&series)));
                outcome.latencies.push(series);
            }
        }
    }
    outcome.checked = checked(options, proof);
    Ok(outcome)
}

/// All runs of one kind, each with a server and clients of its own, and what disturbed them. A run that a server of ours
/// fails is an error; what one that is not ours fails is told and has no figure.
fn runs<T>(
    options: &FanoutOptions,
    server: StartServer,
    clients: usize,
    what: &str,
    outcome: &mut Outcome,
    proof: &mut Proof,
    mut run: impl FnMut(&mut dyn SystemUnderTest) -> Result<T>,
) -> Result<Vec<(T, Disturbance)>> {
    let mut runs = Vec::new();
    for _ in 0..options.runs.max(1) {
        let mut system = start(options, server, clients)?;
        system.rest(PAUSE);
        let watch = Watch::begin(&options.cores());
        let found = run(system.as_mut());
        let disturbance = watch.end();
        let found = found.and_then(|found| {
            proof.add(system.finish()?);
            Ok(found)
        });
        match found {
            Ok(found) => runs.push((found, disturbance)),
            Err(error) if options.peer.is_some() => {
                outcome.failed.push(format!("{clients} clients, {what}: the server failed: {error:#}"));
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(runs)
}

fn start(options: &FanoutOptions, server: StartServer, clients: usize) -> Result<Box<dyn SystemUnderTest>> {
    Ok(match &options.peer {
        None => Box::new(OwnSystem::start(options, server, clients)?),
        Some(peer) => {
            pin(options.client_core);
            Box::new(PeerSystem::start(peer, clients)?)
        }
    })
}

type TimedRun = ((hdrhistogram::Histogram<u64>, hdrhistogram::Histogram<u64>, f64), Disturbance);

fn series(clients: usize, rate: u64, runs: Vec<TimedRun>) -> LatencySeries {
    let disturbed = runs.iter().map(|(_, disturbance)| *disturbance).collect();
    let achieved = median(&runs.iter().map(|((_, _, achieved), _)| *achieved).collect::<Vec<_>>());
    let (corrected, uncorrected): (Vec<_>, Vec<_>) =
        runs.into_iter().map(|((corrected, uncorrected, _), _)| (corrected, uncorrected)).unzip();
    LatencySeries {
        name: format!("to {clients} clients"),
        rate_per_s: Some(rate),
        achieved_per_s: achieved,
        corrected: sum(&corrected),
        uncorrected: Some(sum(&uncorrected)),
        runs: corrected,
        disturbed,
    }
}

fn checked(options: &FanoutOptions, proof: Proof) -> Vec<String> {
    if options.peer.is_some() {
        return vec!["every line reached every client once and in order".to_owned()];
    }
    vec![
        "every message shown to every client, no chain of prev_seq broken".to_owned(),
        format!("{} checksums of one client proved by a second implementation", grouped(proof.checksums)),
        format!("{} final books equal the generator's", proof.books),
    ]
}
