//! `bist bench`: runs one measurement of the harness and shows it, or compares two results.

use std::io::{IsTerminal, stderr};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use benches::compare::compare_files;
use benches::fanout::FanoutOptions;
use benches::generate::{Format, Plan};
use benches::load_any::LoadOptions;
use benches::measure::{BenchError, BenchOptions, Build};
use benches::pipeline::PipelineOptions;
use benches::report::{Report, output, table};
use benches::server::{ServerLayout, ServerWait};

use crate::cli::{
    Bench, BenchArgs, BenchBook, BenchCommon, BenchCompare, BenchFanout, BenchFormat, BenchLoad, BenchPipeline,
    BenchStream, BenchWait, Preset,
};
use crate::commands::stdout;
use crate::platform::under_test::START_SERVER;
use crate::settings::Layout;

/// Results that cannot be read or compared.
const NOT_COMPARABLE: u8 = 2;
/// Something got worse.
const REGRESSED: u8 = 3;
/// Messages of the generated stream of `encode`.
const ENCODE_MESSAGES: usize = 1_000_000;

/// Measures and prints; exit code 1 when an answer was wrong, 3 when a comparison found a regression.
pub fn run(arguments: &BenchArgs) -> Result<ExitCode> {
    match &arguments.bench {
        Bench::Decode(stream) => show(benches::decode::run, stream_options(stream), stream.common.out.as_deref()),
        Bench::Book(book) => show(benches::book::run, book_options(book), book.stream.common.out.as_deref()),
        Bench::Ring(common) => show(benches::ring::run, options(common), common.out.as_deref()),
        Bench::Encode(stream) => show(benches::encode::run, encode_options(stream), stream.common.out.as_deref()),
        Bench::Pipeline(pipeline) => {
            let of =
                |bench: &BenchOptions| benches::pipeline::run(bench, pipeline_options(pipeline, bench), START_SERVER);
            show(of, options(&pipeline.common), pipeline.common.out.as_deref())
        }
        Bench::Fanout(fanout) => {
            let of = |bench: &BenchOptions| benches::fanout::run(bench, fanout_options(fanout, bench), START_SERVER);
            show(of, options(&fanout.common), fanout.common.out.as_deref())
        }
        Bench::Load(load) => {
            let of = |bench: &BenchOptions| benches::load_any::run(bench, &load_options(load));
            show(of, options(&load.common), load.common.out.as_deref())
        }
        Bench::Replay(stream) => show(benches::replay::run, stream_options(stream), stream.common.out.as_deref()),
        Bench::Compare(two) => compare(two),
    }
}

/// Runs a bench, prints its table and writes its files.
fn show(
    bench: impl FnOnce(&BenchOptions) -> Result<Report, BenchError>,
    options: BenchOptions,
    out: Option<&Path>,
) -> Result<ExitCode> {
    let report = bench(&options)?;
    stdout::print(table::text(&report))?;
    if let Some(folder) = out {
        let files = output::write(&report, folder)?;
        stdout::print(format_args!("\n  {} files in {}\n", files.len(), folder.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn compare(two: &BenchCompare) -> Result<ExitCode> {
    match compare_files(&two.a, &two.b, two.tolerance) {
        Ok(comparison) => {
            stdout::print(comparison.text())?;
            Ok(if comparison.has_regressed() { ExitCode::from(REGRESSED) } else { ExitCode::SUCCESS })
        }
        Err(error) => {
            eprintln!("bist: {error}");
            Ok(ExitCode::from(NOT_COMPARABLE))
        }
    }
}

/// What the flags of every bench say.
fn options(common: &BenchCommon) -> BenchOptions {
    let defaults = if common.small { BenchOptions::small() } else { BenchOptions::default() };
    BenchOptions {
        runs: common.runs.map_or(defaults.runs, |runs| runs as usize),
        warm_up: common.warm_up.map_or(defaults.warm_up, |runs| runs as usize),
        core: common.core.unwrap_or(defaults.core),
        command: std::env::args().collect::<Vec<_>>().join(" "),
        build: Build {
            version: env!("CARGO_PKG_VERSION"),
            commit: env!("BIST_REVISION"),
            compiler: env!("BIST_RUSTC"),
            ..Build::default()
        },
        tell: if stderr().is_terminal() { |doing| eprintln!("{doing} …") } else { |_| {} },
        ..defaults
    }
}

fn book_options(book: &BenchBook) -> BenchOptions {
    BenchOptions { levels_only: book.levels_only, ..stream_options(&book.stream) }
}

/// The updates of a stream take many times its memory: a million messages say as much, and grow to fewer orders.
fn encode_options(stream: &BenchStream) -> BenchOptions {
    let options = stream_options(stream);
    let messages = if stream.messages.is_none() { options.messages.min(ENCODE_MESSAGES) } else { options.messages };
    let most = reachable_orders(messages, options.symbols);
    let live_orders = if stream.live_orders.is_none() { options.live_orders.min(most) } else { options.live_orders };
    BenchOptions { messages, live_orders, ..options }
}

/// In small mode a tenth of a second, a few clients and one rate.
fn pipeline_options(flags: &BenchPipeline, bench: &BenchOptions) -> PipelineOptions {
    let defaults = PipelineOptions::default();
    let defaults = if bench.small {
        let rates = vec![1_000];
        PipelineOptions { rates, clients: 3, symbols: 5, warm_up_ms: 20, measured_ms: 100, ..defaults }
    } else {
        defaults
    };
    PipelineOptions {
        rates: if flags.rates.is_empty() { defaults.rates } else { flags.rates.clone() },
        clients: flags.clients.map_or(defaults.clients, |count| count as usize),
        symbols: flags.symbols.map_or(defaults.symbols, |count| count as usize),
        seed: bench.seed,
        runs: bench.runs,
        layout: match flags.layout {
            Some(Layout::Split) => ServerLayout::Split,
            Some(Layout::Single) | None => ServerLayout::Single,
        },
        wait: wait(flags.wait, bench),
        sender_apart: flags.sender_apart,
        ..defaults
    }
}

fn fanout_options(flags: &BenchFanout, bench: &BenchOptions) -> FanoutOptions {
    let defaults = FanoutOptions::default();
    let defaults = if bench.small {
        let (clients, rates) = (vec![4], vec![1_000]);
        FanoutOptions { clients, rates, warm_up_ms: 20, measured_ms: 100, ..defaults }
    } else {
        defaults
    };
    FanoutOptions {
        clients: if flags.clients.is_empty() {
            defaults.clients
        } else {
            flags.clients.iter().map(|&count| count as usize).collect()
        },
        rates: if flags.rates.is_empty() { defaults.rates } else { flags.rates.clone() },
        runs: bench.runs,
        wait: wait(flags.wait, bench),
        peer: flags.url.clone().zip(flags.feed.clone()).map(|(url, feed)| benches::fanout::peer::Peer {
            url,
            feed,
            subscribe: flags.subscribe.clone().unwrap_or_default(),
            allow_remote: flags.allow_remote,
        }),
        ..defaults
    }
}

fn load_options(flags: &BenchLoad) -> LoadOptions {
    LoadOptions {
        url: flags.url.clone(),
        subscribe: flags.subscribe.clone().unwrap_or_else(|| benches::load::SUBSCRIBE_BOOKS.to_owned()),
        clients: flags.clients as usize,
        time_field: flags.time_field.clone(),
        time_unit_ns: flags.time_unit.unwrap_or(0),
        feed: flags.feed.clone(),
        rate: flags.rate,
        warm_up_ms: 250,
        measured_ms: flags.measured_ms,
        allow_remote: flags.allow_remote,
    }
}

/// A small run shares its machine with others: it sleeps.
fn wait(flag: Option<BenchWait>, bench: &BenchOptions) -> ServerWait {
    match flag {
        Some(BenchWait::Park) => ServerWait::Park,
        None if bench.small => ServerWait::Park,
        Some(BenchWait::Spin) | None => ServerWait::Spin,
    }
}

/// Resting orders that a stream of so many messages reaches for certain (`Plan::check`).
fn reachable_orders(messages: usize, symbols: usize) -> usize {
    (messages / 4).saturating_sub(2 * symbols)
}

/// The same with those of a stream.
fn stream_options(stream: &BenchStream) -> BenchOptions {
    let defaults = options(&stream.common);
    let defaults = match stream.preset.map(Preset::plan) {
        Some(Plan { format, seed, messages, symbols, live_orders }) => {
            BenchOptions { format, seed, messages, symbols, live_orders, ..defaults }
        }
        None => defaults,
    };
    let number = |given: Option<u64>, default: usize| given.map_or(default, |given| given as usize);
    let (messages, symbols) = (number(stream.messages, defaults.messages), number(stream.symbols, defaults.symbols));
    BenchOptions {
        file: stream.file.clone(),
        format: match stream.format {
            Some(BenchFormat::Bistech) => Format::Bistech,
            Some(BenchFormat::Itch50) => Format::Itch50,
            None => defaults.format,
        },
        messages,
        symbols,
        live_orders: number(stream.live_orders, defaults.live_orders.min(reachable_orders(messages, symbols))),
        seed: stream.seed.unwrap_or(defaults.seed),
        ..defaults
    }
}
