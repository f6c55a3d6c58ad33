//! Question: how fast does a recording become books, flat out, reading included?
//!
//! Input: a recording of any format that the program reads, or a generated stream written to a file of its own. One
//! thread, one core. The books are compared with the plain reference book before anything is timed, and every run must
//! end with the same counts.

use std::path::{Path, PathBuf};

use book::Side;
use book::anomaly::Anomaly;
use book::market::{Limits, Market};
use feed_handler::recording::Step;

use tempfile::TempDir;

use crate::answer::Answer;
use crate::environment::Environment;
use crate::file::write_file;
use crate::generate::{Format, GenerateError};
use crate::input;
use crate::measure::{BenchError, BenchOptions, Pin, millions_per_s, ns_each, timed};
use crate::report::{Better, Report, Row, grouped};
use crate::run;

/// What a run ends with; equal in all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct End {
    messages: u64,
    slots: u64,
    refused: u64,
    gaps: u64,
    orders: usize,
    books: usize,
    /// Over book, price, quantity and count of every best level.
    digest: u64,
}

/// Runs it.
///
/// # Errors
/// The recording cannot be read, or the answer is wrong.
pub fn run(options: &BenchOptions) -> Result<Report, BenchError> {
    let pin = Pin::choose(options.core)?;
    let environment = Environment::read(&options.build, &pin);
    // Lives as long as the runs: dropped, it takes the generated file with it.
    let (file, _kept) = match &options.file {
        Some(file) => (file.clone(), None),
        None => {
            let (file, folder) = written(options)?;
            (file, Some(folder))
        }
    };
    let answer = input::answer_beside(&file)?;
    let says = says(&file, answer.as_ref())?;
    pin.measured_thread();
    (options.tell)("checking the answer");
    let same = input::check_recording(&file)?;
    let limits = if options.small { small_limits(&file)? } else { input::limits(input::open(&file)?.order_key()) };
    let mut market = Market::new(limits);
    let expected = read(&file, &mut market)?;
    let mut checked = vec![same];
    checked.extend(check(options, &market, &expected, answer.as_ref())?);
    drop(market);

    let mut rates = Vec::new();
    let count = usize::try_from(expected.messages).unwrap_or(usize::MAX);
    let nanos = options.samples("replay", || {
        let mut market = Market::new(limits);
        let (end, spent) = timed(|| read(&file, &mut market));
        let end = end?;
        if end != expected {
            return Err(BenchError::Wrong(format!("{end:?} instead of {expected:?}")));
        }
        rates.push(millions_per_s(spent, count));
        Ok(ns_each(spent, count))
    })?;
    rates.drain(..options.warm_up.min(rates.len()));
    Ok(Report {
        name: "replay".into(),
        question: "How fast does a recording become books, flat out, reading included?".into(),
        input: says,
        command: options.command.clone(),
        environment,
        checked,
        excluded: vec![
            "the disk: the check has read the file, so the system has it in memory if it fits".into(),
            "building the empty market, rings and readers".into(),
        ],
        rows: vec![
            Row::new("replay", "ns/message", Better::Lower, nanos),
            Row::new("replay rate", "M messages/s", Better::Higher, rates),
        ],
        latencies: Vec::new(),
    })
}

/// What the first run proves, in sentences for the report.
///
/// # Errors
/// The answer is wrong, or the market had no room for the recording.
fn check(
    options: &BenchOptions,
    market: &Market,
    expected: &End,
    answer: Option<&Answer>,
) -> Result<Vec<String>, BenchError> {
    let mut checked = Vec::new();
    if let Some(answer) = answer {
        checked.push(check_answer(market, expected, answer)?);
    }
    checked.push(format!(
        "every run: {} messages, {} events, {} refused, {} gaps, {} books, {} orders resting at the end, the same best levels",
        grouped(expected.messages),
        grouped(expected.slots),
        grouped(expected.refused),
        grouped(expected.gaps),
        grouped(expected.books as u64),
        grouped(expected.orders as u64),
    ));
    if let Some(spoilt) = input::spoilt(market) {
        checked.push(format!("the recording itself leaves books in doubt: {spoilt}"));
    }
    for bound in [Anomaly::BooksExhausted, Anomaly::OrdersExhausted, Anomaly::LevelsExhausted] {
        if market.anomalies().get(bound) > 0 {
            let doing = if options.small { "; without --small there is more room" } else { "" };
            return Err(BenchError::Input(format!("the market of this bench is too small ({}){doing}", bound.name())));
        }
    }
    Ok(checked)
}

/// A generated stream in a folder that goes when it is dropped. Never in memory: a day has gigabytes.
fn written(options: &BenchOptions) -> Result<(PathBuf, TempDir), BenchError> {
    let plan = input::plan(options)?;
    let failed = |error: GenerateError| BenchError::Input(format!("writing the generated stream: {error}"));
    let folder = tempfile::tempdir().map_err(|error| failed(error.into()))?;
    let file = folder.path().join(if plan.format == Format::Itch50 { "s.itch50" } else { "s.bistech" });
    (options.tell)(&format!("generating {} messages", grouped(plan.messages as u64)));
    write_file(&file, plan, |_| ()).map_err(failed)?;
    Ok((file, folder))
}

fn says(file: &Path, answer: Option<&Answer>) -> Result<String, BenchError> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let Some(answer) = answer else { return Ok(format!("{name}: {}", input::open(file)?.format())) };
    let says = input::says(&answer.plan, answer.messages, answer.live_orders, answer.bytes);
    Ok(format!("{name}: {says}"))
}

/// The books at the end against what the generator knows.
fn check_answer(market: &Market, end: &End, answer: &Answer) -> Result<String, BenchError> {
    if (end.messages, end.refused, end.orders) != (answer.messages, 0, answer.live_orders) {
        let (messages, orders) = (answer.messages, answer.live_orders);
        return Err(BenchError::Wrong(format!("{end:?} instead of {messages} messages and {orders} orders")));
    }
    input::check_end(market, &run::best(market, answer.best.len()), &answer.best, answer.live_orders)
}

/// Bounds that a small file needs, so that building the market does not take longer than the run.
fn small_limits(file: &Path) -> Result<Limits, BenchError> {
    let key = input::open(file)?.order_key();
    Ok(Limits { orders_max: 50_000, levels_max: 50_000, ladder_slots: 200_000, books_max: 1_024, ..input::limits(key) })
}

/// The whole file into the books.
fn read(file: &Path, market: &mut Market) -> Result<End, BenchError> {
    let mut recording = input::open(file)?;
    let mut batch = run::Batch::new(market);
    loop {
        match recording.next(&mut batch) {
            Ok(Step::End) => break,
            Ok(_) => {}
            Err(error) => return Err(BenchError::Input(format!("{}: {error}", file.display()))),
        }
    }
    batch.apply();
    let counts = recording.counts();
    Ok(End {
        messages: counts.messages,
        slots: counts.slots,
        refused: counts.refused_total(),
        gaps: counts.gaps,
        orders: market.orders(),
        books: market.books().len(),
        digest: digest(market),
    })
}

/// FNV-1a over the best level of every side.
fn digest(market: &Market) -> u64 {
    let mut digest = 0xCBF2_9CE4_8422_2325u64;
    let mut mix = |value: u64| digest = (digest ^ value).wrapping_mul(0x0100_0000_01B3);
    for book in market.books() {
        for side in [Side::Bid, Side::Ask] {
            if let Some(level) = market.levels(book.id(), side).next() {
                mix(u64::from(book.id().0));
                mix(level.price.0.cast_unsigned());
                mix(level.quantity);
                mix(u64::from(level.count));
            }
        }
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::small;
    use std::io::Write as _;

    #[test]
    fn the_small_mode_answers_for_both_formats() {
        small::both_formats(run);
    }

    #[test]
    fn a_written_stream_is_checked_by_the_answer_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("s.bistech.zst");
        small::written_stream(run, &file, Format::Bistech);
    }

    #[test]
    fn a_file_that_is_no_recording_says_what_can_be_read() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"hello, world").unwrap();
        let options = BenchOptions { file: Some(file.path().to_owned()), ..BenchOptions::small() };
        let error = run(&options).unwrap_err().to_string();
        assert!(error.contains("bist inspect"), "{error}");
    }
}
