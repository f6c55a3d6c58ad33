//! `peers`: ours and theirs on the same bytes, on the same core, in the same run.
//!
//! Prints no figure of a contestant whose answer differs from the generator's. What it compares and how to run it:
//! README.md beside its Cargo.toml.

mod books;
mod measure;
mod parsers;
mod rings;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use benches::answer::Answer;
use benches::generate::{Format, Plan, Stream, generate};
use clap::Parser;

use crate::measure::{Report, Table};

/// Ours and theirs on the same bytes, on the same core, in the same run.
#[derive(Debug, Parser)]
#[command(after_help = "Examples:\n  peers --small                     seconds; what CI runs\n  \
    bist sim --write a.itch50 --generate --preset a && peers a.itch50 --json a.json\n  \
    chrt -f 1 peers a.itch50 --skip nautilus\n\nExit codes: 0 all answers agree, 1 failure, 3 an answer differs.")]
struct Arguments {
    /// Stream of `bist sim --generate` in ITCH 5.0, not compressed, its answer beside it; a generated one of
    /// 2,000,000 messages when left out.
    file: Option<PathBuf>,

    /// A small stream and few rounds: checks that everything runs and agrees, its figures mean little.
    #[arg(long, conflicts_with = "file")]
    small: bool,

    /// Rounds; every contestant runs once in each. The reported figure is the median.
    #[arg(long, default_value_t = 5)]
    rounds: usize,

    /// Core to run on; the last one when left out.
    #[arg(long)]
    core: Option<usize>,

    /// Contestants to leave out, by a part of their name (repeatable).
    #[arg(long, value_name = "NAME")]
    skip: Vec<String>,

    /// Write the report into this file as JSON.
    #[arg(long, value_name = "OUT")]
    json: Option<PathBuf>,
}

/// A check failed.
const DIFFERS: u8 = 3;

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    ensure!(arguments.rounds >= 1, "--rounds must be 1 or more");
    let rounds = if arguments.small { arguments.rounds.min(2) } else { arguments.rounds };
    let (name, stream) = stream(&arguments)?;
    let cores = measure::cores()?;
    let core = measure::pin(&cores, arguments.core)?;
    println!("{name}: {} messages, {} bytes; core {core}, {rounds} rounds", stream.messages, stream.bytes.len());

    let wanted = |name: &str| !arguments.skip.iter().any(|skip| name.contains(skip.as_str()));
    let tables = [
        Table::new("decode", "ns per message", parsers::run(&stream, rounds, &wanted)),
        Table::new("decode and book", "ns per message", books::run(&stream, rounds, &wanted)),
        Table::new(
            "ring, 64-byte messages",
            "million per second",
            rings::throughput(&cores, arguments.small, rounds, &wanted),
        ),
        Table::new("ring, round trip p50", "ns", rings::round_trips(&cores, arguments.small, rounds, &wanted)),
    ];
    let report = Report { input: name, messages: stream.messages, core, rounds, tables: tables.into() };
    print!("{report}");
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(if report.agrees() { ExitCode::SUCCESS } else { ExitCode::from(DIFFERS) })
}

fn stream(arguments: &Arguments) -> Result<(String, Stream)> {
    let Some(path) = &arguments.file else {
        let (messages, symbols, live_orders) =
            if arguments.small { (100_000, 50, 5_000) } else { (2_000_000, 500, 100_000) };
        let plan = Plan { format: Format::Itch50, seed: 1, messages, symbols, live_orders };
        return Ok(("generated".to_owned(), generate(plan)));
    };
    read(path).map(|stream| (path.display().to_string(), stream))
}

fn read(path: &Path) -> Result<Stream> {
    let answer = Answer::beside(path)?.with_context(|| {
        format!(
            "{} has no answer beside it, and figures without a checked answer are not printed: make the file with \
             `bist sim --write FILE.itch50 --generate`",
            path.display()
        )
    })?;
    ensure!(answer.plan.format == Format::Itch50, "the peers read ITCH 5.0 only: generate with --format itch50");
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    ensure!(
        bytes.len() as u64 == answer.bytes,
        "{} is not the stream of its answer; is it compressed?",
        path.display()
    );
    Ok(answer.into_stream(bytes))
}
