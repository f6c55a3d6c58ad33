//! `bist inspect`: what is in a recording, or one book of it event by event.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use feed_handler::inspect::{BookQuery, inspect};
use feed_handler::recording::RecordingOptions;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::Inspect;
use crate::commands::stdout;

/// A check failed: the file has gaps, damage or refused messages.
const FINDINGS: u8 = 3;

/// Prints the report (on standard error when the rows go to standard output); exit code 3 when something was wrong.
pub fn run(arguments: &Inspect) -> Result<ExitCode> {
    let options = RecordingOptions { format: arguments.format.parse()?, ..RecordingOptions::default() };
    let query = arguments.book.as_ref().map(|symbol| BookQuery { symbol: symbol.clone(), levels: arguments.levels });
    let to_stdout = arguments.csv.as_deref() == Some(Path::new("-"));
    let mut rows: Box<dyn Write> = match arguments.csv.as_deref() {
        None => Box::new(io::sink()),
        Some(_) if to_stdout => Box::new(BufWriter::new(io::stdout())),
        Some(path) => {
            Box::new(BufWriter::new(File::create(path).with_context(|| format!("writing {}", path.display()))?))
        }
    };
    let bar = bar();
    let inspected = inspect(&arguments.file, &options, query.as_ref(), &mut rows, &mut |read, total| {
        bar.set_length(total);
        bar.set_position(read);
    })
    .with_context(|| arguments.file.display().to_string());
    let inspected = inspected.and_then(|report| rows.flush().context("writing the rows").map(|()| report));
    bar.finish_and_clear();
    let report = match inspected {
        // `| head` has all the rows that it wants.
        Err(error) if to_stdout && stdout::reader_has_gone(&error) => return Ok(ExitCode::SUCCESS),
        inspected => inspected?,
    };
    if to_stdout {
        eprint!("{report}");
    } else {
        stdout::print(&report)?;
    }
    if let (Some(symbol), None) = (&arguments.book, report.book) {
        anyhow::bail!("no instrument {symbol} in this file; the report above lists what is there");
    }
    Ok(if report.has_findings() { ExitCode::from(FINDINGS) } else { ExitCode::SUCCESS })
}

fn bar() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(1);
    if let Ok(style) = ProgressStyle::with_template("{bar:32} {percent:>3}% of {total_bytes}, {eta} left") {
        bar.set_style(style);
    }
    bar
}
