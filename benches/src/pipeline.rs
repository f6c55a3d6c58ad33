//! How long does a message take from the wire to WebSocket clients, at planned rates?
//!
//! MoldUDP64 packets over loopback → feed, book and fan-out stages → N WebSocket clients, all of it real sockets. The
//! sender and the clients are one thread, the server has the other cores. Open loop: latency counts from the planned
//! send time. No figure without its answer: every message was shown to every client, no chain of `prev_seq` broke, and
//! one client's checksums and final books are proved afterwards.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::disturbance::Disturbance;
use crate::environment::Environment;
use crate::load::follow::Latencies;
use crate::load::limits;
use crate::load::verify::Proof;
use crate::measure::{self, BenchError, Pin};
use crate::report::table::line;
use crate::report::{Better, LatencySeries, Report, Row, grouped, median};
use crate::server::{ServerLayout, ServerWait, StartServer};
use figures::{rows, series};
use ladder::Ladder;
use system::{PipelineSystem, Ran, server_options};

mod figures;
pub mod ladder;
mod system;

/// A rate holds when so much of it was delivered in time.
const ACHIEVED_MIN: f64 = 0.98;
/// It does not hold with a p99 above this many times the first rate's, and above 5 ms: queues grow.
const P99_GROWTH_MAX: f64 = 50.0;
const P99_ENDS_NS: f64 = 5_000_000.0;
/// Before each run, when everything is connected and subscribed: threads at real-time priority are cut off by the kernel for
/// up to 50 ms when they have been spinning for most of a second, and that would be in the middle of a run.
const PAUSE: Duration = Duration::from_millis(300);

/// What to measure.
#[derive(Clone, Debug)]
pub struct PipelineOptions {
    /// Rates in messages per second; empty = up to saturation ([`ladder`]).
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
    pub layout: ServerLayout,
    /// What its idle threads do.
    pub wait: ServerWait,
    /// Cores of the server; empty = not pinned.
    pub server_cores: Vec<usize>,
    /// Core of the sender and the clients.
    pub client_core: Option<usize>,
    /// Sends from a thread of its own instead of the clients'.
    pub sender_apart: bool,
}

impl PipelineOptions {
    /// Cores of the server and of the clients; none when the scheduler chooses.
    #[must_use]
    pub fn cores(&self) -> Vec<usize> {
        if self.server_cores.is_empty() {
            return Vec::new();
        }
        self.server_cores.iter().copied().chain(self.client_core).collect()
    }
}

impl Default for PipelineOptions {
    fn default() -> Self {
        Self {
            rates: Vec::new(),
            clients: 10,
            symbols: 50,
            seed: 1,
            runs: 5,
            // Together with the opening less than the 950 ms after which the kernel cuts real-time threads off.
            warm_up_ms: 250,
            measured_ms: 500,
            layout: ServerLayout::Single,
            wait: ServerWait::Spin,
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
    /// What took its cores away, warm-up included.
    pub disturbance: Disturbance,
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
    /// Runs without a figure, because messages were lost on the way in.
    pub lost: Vec<String>,
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
pub fn run(bench: &measure::BenchOptions, options: PipelineOptions, server: StartServer) -> Result<Report, BenchError> {
    let pin = Pin::choose(bench.core)?;
    let environment = Environment::read(&bench.build, &pin);
    let server_cores = match options.layout {
        ServerLayout::Single => pin.core.into_iter().collect(),
        // Three threads need three cores beside the clients' one; with fewer the scheduler knows better.
        ServerLayout::Split if pin.allowed.len() >= 4 && pin.core.is_some() => {
            pin.allowed.iter().copied().filter(|&core| Some(core) != pin.partner).collect()
        }
        ServerLayout::Split => Vec::new(),
    };
    let options = PipelineOptions { server_cores, client_core: pin.partner, ..options };
    let outcome = measure(&options, server, &mut |line| (bench.tell)(line)).map_err(failed)?;
    let mut excluded: Vec<String> = EXCLUDED.map(str::to_owned).to_vec();
    excluded.push(format!("other rates: {}", outcome.ended));
    excluded.extend(outcome.lost);
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
    BenchError::Io { doing: "measuring over loopback".to_owned(), cause: std::io::Error::other(format!("{error:#}")) }
}

/// Measures every rate; `say` gets a line for a person after each.
///
/// # Errors
/// The server or a socket fails, or an answer is wrong: then there is no figure.
pub fn measure(options: &PipelineOptions, server: StartServer, say: &mut dyn FnMut(&str)) -> Result<Outcome> {
    // A client has a socket at each end, and both ends are here.
    limits::make_room(2 * options.clients)?;
    let mut outcome = Outcome::default();
    let mut ladder = Ladder::new(&options.rates);
    let (mut proof, mut messages, mut first_p99) = (Proof::default(), 0, None);
    let mut found = Vec::new();
    while let Some(rate) = ladder.next_rate() {
        let mut of_rate = runs_at(rate, options, server, ladder.seeks(), &mut proof)?;
        match of_rate.verdict(rate, &mut first_p99) {
            Ok(()) => ladder.holds(rate),
            Err(why) => ladder.gives_way(rate, why),
        }
        let runs = std::mem::take(&mut of_rate.whole);
        for (why, disturbance) in of_rate.lost {
            let cores = if disturbance.is_marked() { format!(" ({disturbance})") } else { String::new() };
            outcome.lost.push(format!("a run at {}/s, in which messages were lost: {why}{cores}", grouped(rate)));
        }
        if runs.is_empty() {
            say(&format!("{}/s: no figure, messages were lost in every run", grouped(rate)));
            continue;
        }
        messages += runs.iter().map(|run| run.messages).sum::<usize>();
        let series = series(rate, &runs);
        say(&line(&series[0]));
        found.push((rate, rows(rate, &runs, !ladder.seeks()), series));
    }
    if ladder.seeks() {
        // The last rates tried lie between the others.
        found.sort_by_key(|(rate, ..)| *rate);
    }
    for (_, rows, series) in found {
        outcome.rows.extend(rows);
        outcome.latencies.extend(series);
    }
    outcome.ended = ladder.ended();
    say(&outcome.ended);
    if let Some(highest) = ladder.highest().filter(|_| ladder.seeks()) {
        let name = "highest rate kept up with";
        outcome.rows.insert(0, Row::new(name, "messages/s", Better::Higher, vec![highest as f64]));
    }
    outcome.checked = vec![
        format!("{} messages, each shown to each of {} clients", grouped(messages as u64), options.clients),
        "no client's chain of prev_seq broke".to_owned(),
        format!("{} checksums of one client proved by a second implementation", grouped(proof.checksums)),
        format!("{} final books equal the generator's, prices, quantities and orders", proof.books),
    ];
    Ok(outcome)
}

/// The runs of one rate.
#[derive(Default)]
struct OfRate {
    whole: Vec<Run>,
    /// Why messages were lost, and what took the cores away meanwhile.
    lost: Vec<(String, Disturbance)>,
}

impl OfRate {
    /// Runs so far.
    fn count(&self) -> usize {
        self.whole.len() + self.lost.len()
    }

    /// Those that were disturbed.
    fn disturbed(&self) -> usize {
        let lost = self.lost.iter().map(|(_, disturbance)| disturbance);
        let all = self.whole.iter().map(|run| &run.disturbance).chain(lost);
        all.filter(|disturbance| disturbance.is_marked()).count()
    }

    /// Whether the rate was kept up with, by the runs that nothing disturbed where there are any. `first_p99` is that of
    /// the first rate, ns.
    fn verdict(&self, rate: u64, first_p99: &mut Option<f64>) -> Result<(), String> {
        let undisturbed = self.lost.iter().filter(|(_, disturbance)| !disturbance.is_marked()).count();
        if undisturbed > 0 || self.lost.len() >= self.whole.len() {
            return Err(format!("messages were lost in {} of {} runs", self.lost.len(), self.count()));
        }
        let quiet: Vec<&Run> = self.whole.iter().filter(|run| !run.disturbance.is_marked()).collect();
        let excuse = if quiet.is_empty() { " (every run was disturbed)" } else { "" };
        let judged = if quiet.is_empty() { self.whole.iter().collect() } else { quiet };
        let of = |value: fn(&Run) -> f64| median(&judged.iter().map(|run| value(run)).collect::<Vec<_>>());
        let achieved = of(|run| run.achieved_per_s).unwrap_or(0.0);
        let p99 = of(|run| run.latencies.corrected.value_at_quantile(0.99) as f64).unwrap_or(0.0);
        let first = *first_p99.get_or_insert(p99);
        if achieved < ACHIEVED_MIN * rate as f64 {
            return Err(format!("only {}/s were delivered in time{excuse}", grouped(achieved as u64)));
        }
        if p99 > P99_ENDS_NS && p99 > first * P99_GROWTH_MAX {
            return Err(format!("p99 grew to {} us{excuse}", grouped((p99 / 1e3) as u64)));
        }
        Ok(())
    }
}

/// The runs of a rate. With `again`, as many once more while half of them were disturbed: a limit that other programs set is
/// not the one that is looked for.
fn runs_at(rate: u64, options: &PipelineOptions, start: StartServer, again: bool, proof: &mut Proof) -> Result<OfRate> {
    let mut of_rate = OfRate::default();
    let runs = options.runs.max(1);
    while of_rate.count() < runs || (again && of_rate.count() < 2 * runs && of_rate.disturbed() * 2 >= of_rate.count())
    {
        // Started here and not in the clients' thread, whose core its threads would inherit.
        let server = (start.whole)(&server_options(options))?;
        let ran = std::thread::scope(|scope| {
            let clients = scope.spawn(|| -> Result<Ran> {
                let mut system = PipelineSystem::start(server, options)?;
                let ran = system.run(rate, options)?;
                if matches!(ran, Ran::Whole(_)) {
                    proof.add(system.finish()?);
                }
                Ok(ran)
            });
            clients.join().unwrap_or_else(|_| bail!("the clients' thread panicked"))
        })?;
        match ran {
            Ran::Whole(run) => of_rate.whole.push(*run),
            Ran::Lost(why, disturbance) => of_rate.lost.push((why, disturbance)),
        }
    }
    Ok(of_rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(achieved_per_s: f64, p99_ns: u64, disturbance: Disturbance) -> Run {
        let mut latencies = Latencies::default();
        latencies.corrected.record(p99_ns).unwrap();
        Run { latencies, achieved_per_s, messages: 1, frames: 1, stages: Vec::new(), disturbance }
    }

    #[test]
    fn a_rate_holds_by_the_runs_that_nothing_disturbed() {
        let (quiet, taken) = (Disturbance::default(), Disturbance { host_ns: 40_000_000, others_ns: 0 });
        let good = || run(1_000.0, 80_000, quiet);
        let verdict = |whole: Vec<Run>, lost: &[Disturbance]| {
            let lost = lost.iter().map(|disturbance| ("gap".to_owned(), *disturbance)).collect();
            OfRate { whole, lost }.verdict(1_000, &mut Some(80_000.0))
        };
        assert!(verdict(vec![good(), run(500.0, 40_000_000, taken)], &[]).is_ok());
        assert!(verdict(vec![run(500.0, 80_000, taken)], &[]).unwrap_err().contains("(every run"), "no other is there");
        assert!(verdict(vec![run(1_000.0, 8_000_000, quiet)], &[]).unwrap_err().contains("p99 grew"));
        assert!(verdict(vec![good(), good()], &[taken]).is_ok());
        assert!(verdict(vec![good(), good()], &[quiet]).unwrap_err().contains("lost in 1 of 3"));
        assert!(verdict(vec![], &[taken]).is_err());
    }
}
