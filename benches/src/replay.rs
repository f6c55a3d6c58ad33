//! Question: how fast does a recording become books, flat out, reading included?
//!
//! Input: a recording of any format that the program reads, or a generated stream written to a file of its own. One
//! thread, one core. The books are compared with the plain reference book before anything is timed, and every run must
//! end with the same counts.

use std::io::Write as _;
use std::path::Path;

use book::anomaly::Anomaly;
use book::market::{Limits, Market};
use book::{Side, Slot};
use feed_handler::source::recording::Step;

use crate::environment::Environment;
use crate::input::{self, Input};
use crate::measure::{BenchError, Options, Pin, millions_per_s, ns_each, timed};
use crate::report::{Better, Report, Row, grouped};

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
pub fn run(options: &Options) -> Result<Report, BenchError> {
    let pin = Pin::choose(options.core)?;
    let environment = Environment::read(&options.build, &pin);
    // Lives as long as the runs: dropped, it takes the generated file with it.
    let (file, says, _kept) = match &options.file {
        Some(file) => {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            (file.clone(), format!("{name}: {}", input::open(file)?.format()), None)
        }
        None => {
            let (kept, says) = written(options)?;
            (kept.path().to_owned(), says, Some(kept))
        }
    };
    pin.measured_thread();
    (options.tell)("checking the answer");
    let same = input::check_recording(&file)?;
    let limits = if options.small { small_limits(&file)? } else { input::limits(input::open(&file)?.order_key()) };
    let mut market = Market::new(limits);
    let expected = read(&file, &mut market)?;
    let mut checked = vec![same];
    checked.push(format!(
        "every run: {} messages, {} events, {} refused, {} gaps, {} books, {} orders resting at the end, the same best levels",
        grouped(expected.messages),
        grouped(expected.slots),
        grouped(expected.refused),
        grouped(expected.gaps),
        grouped(expected.books as u64),
        grouped(expected.orders as u64),
    ));
    if let Some(spoilt) = input::spoilt(&market) {
        checked.push(format!("the recording itself leaves books in doubt: {spoilt}"));
    }
    for bound in [Anomaly::BooksExhausted, Anomaly::OrdersExhausted, Anomaly::LevelsExhausted] {
        if market.anomalies().get(bound) > 0 {
            let doing = if options.small { "; without --small there is more room" } else { "" };
            return Err(BenchError::Input(format!("the market of this bench is too small ({}){doing}", bound.name())));
        }
    }
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

/// A generated stream in a file that goes when it is dropped.
fn written(options: &Options) -> Result<(tempfile::NamedTempFile, String), BenchError> {
    let input = Input::new(options)?;
    let io = |source| BenchError::Io { doing: "writing the generated stream to a temporary file".into(), source };
    let ending = if input.format == crate::generate::Format::Itch50 { ".itch50" } else { ".bistech" };
    let mut file = tempfile::Builder::new().suffix(ending).tempfile().map_err(io)?;
    file.write_all(&input.stream.bytes).map_err(io)?;
    Ok((file, input.says))
}

/// Bounds that a small file needs, so that building the market does not take longer than the run.
fn small_limits(file: &Path) -> Result<Limits, BenchError> {
    let key = input::open(file)?.order_key();
    Ok(Limits { orders_max: 50_000, levels_max: 50_000, ladder_slots: 200_000, books_max: 1_024, ..input::limits(key) })
}

/// The whole file into the books.
fn read(file: &Path, market: &mut Market) -> Result<End, BenchError> {
    let mut recording = input::open(file)?;
    let mut sink = |slot: Slot| market.apply(&slot, &mut ());
    loop {
        match recording.next(&mut sink) {
            Ok(Step::End) => break,
            Ok(_) => {}
            Err(error) => return Err(BenchError::Input(format!("{}: {error}", file.display()))),
        }
    }
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
    use crate::generate::Format;

    #[test]
    fn the_small_mode_answers_for_both_formats() {
        for format in [Format::Itch50, Format::Bistech] {
            let report = run(&Options { format, ..Options::small() }).unwrap();
            assert!(report.rows.iter().all(|row| row.samples.len() == 3), "{format:?}");
        }
    }

    #[test]
    fn a_file_that_is_no_recording_says_what_can_be_read() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"hello, world").unwrap();
        let options = Options { file: Some(file.path().to_owned()), ..Options::small() };
        let error = run(&options).unwrap_err().to_string();
        assert!(error.contains("bist inspect"), "{error}");
    }
}
