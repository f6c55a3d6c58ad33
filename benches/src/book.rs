//! Question: how long does one message take from its bytes in memory to the full market-by-order book?
//!
//! Input: a generated stream or a length-prefixed recording, already in memory. One thread, one core. Queue positions
//! are kept, every order id is hashed and checked. The books are compared with the generator's best levels, or with the
//! plain reference book, before anything is timed, and the generator's best levels again after every run.

use crate::environment::Environment;
use crate::generate::Format;
use crate::input::Input;
use crate::measure::{BenchError, Options, Pin, ns_each, resident_bytes, timed};
use crate::report::{Better, Report, Row};
use crate::run;

/// What the project promises: 500 symbols and 400,000 live orders, 8,000 and 750,000, and a market that fits into the
/// caches; ns per message.
const TARGET_BUSY_NS: f64 = 30.0;
const TARGET_WIDE_NS: f64 = 50.0;
const TARGET_CACHED_NS: f64 = 18.0;
/// Resident memory of the busy market beyond the input, millions of bytes.
const TARGET_RESIDENT_MB: f64 = 120.0;
/// A BIST day of 113 million messages, seconds.
const DAY_MESSAGES: usize = 113_000_000;
const TARGET_DAY_S: f64 = 8.0;

/// Runs it.
///
/// # Errors
/// The input cannot be used, or the answer is wrong.
pub fn run(options: &Options) -> Result<Report, BenchError> {
    let pin = Pin::choose(options.core)?;
    let environment = Environment::read(&options.build, &pin);
    let input = Input::new(options)?.with_books()?;
    pin.measured_thread();
    (options.tell)("checking the answer");
    let checked = input.check_books()?;

    let mut resident = Vec::new();
    let mut seconds = Vec::new();
    let nanos = options.samples("book", || {
        let before = resident_bytes();
        let mut market = run::market(&input.stream, input.format);
        let (best, spent) = timed(|| run::decode_book(&input.stream.bytes, input.format, &mut market, input.symbols()));
        let after = resident_bytes();
        if !input.is_right(&best) {
            return Err(BenchError::Wrong("the best levels at the end are not the generator's".into()));
        }
        if let (Some(before), Some(after)) = (before, after) {
            resident.push(after.saturating_sub(before) as f64 / 1e6);
        }
        seconds.push(spent.as_secs_f64());
        Ok(ns_each(spent, input.stream.messages))
    })?;
    // The first of a process finds memory that the check gave back and the kernel has not taken yet: warm-up runs go.
    let measured = |samples: Vec<f64>| samples[samples.len().min(options.warm_up)..].to_vec();
    let mut rows = vec![with_target(
        Row::new("decode and book", "ns/message", Better::Lower, nanos),
        (!options.small).then(|| target_ns(&input)).flatten(),
    )];
    if !resident.is_empty() {
        let target = (!options.small && is_busy(&input)).then_some(TARGET_RESIDENT_MB);
        let row = Row::new("resident memory beyond the input", "MB", Better::Lower, measured(resident));
        rows.push(with_target(row, target));
    }
    let day = input.stream.messages >= DAY_MESSAGES && input.format == Format::Bistech;
    rows.push(with_target(
        Row::new("the whole input", "s", Better::Lower, measured(seconds)),
        day.then_some(TARGET_DAY_S),
    ));
    Ok(Report {
        name: "book".into(),
        question: "How long does a message take from its bytes in memory to the full market-by-order book?".into(),
        input: input.says.clone(),
        command: options.command.clone(),
        environment,
        checked,
        excluded: vec![
            "reading the input: it is in memory before the clock starts".into(),
            "packets, sequence numbers and rings".into(),
            "building the empty market: all its memory is taken and touched before the clock starts".into(),
            "updates for readers: nobody listens, so none are made".into(),
        ],
        rows,
        latencies: Vec::new(),
    })
}

fn with_target(row: Row, target: Option<f64>) -> Row {
    Row { target, ..row }
}

/// The shape of the main target. A generated stream of 16 million messages is still growing towards its 400,000 orders.
fn is_busy(input: &Input) -> bool {
    let stream = &input.stream;
    input.is_generated() && stream.best.len() == 500 && (300_000..=450_000).contains(&stream.live_orders)
}

/// What was promised for an input of this shape.
fn target_ns(input: &Input) -> Option<f64> {
    let stream = &input.stream;
    if is_busy(input) {
        Some(TARGET_BUSY_NS)
    } else if input.is_generated() && stream.best.len() == 8_000 && stream.live_orders >= 700_000 {
        Some(TARGET_WIDE_NS)
    } else if !input.is_generated() && stream.live_orders <= 5_000 {
        Some(TARGET_CACHED_NS)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_small_mode_answers_for_both_formats() {
        for format in [Format::Itch50, Format::Bistech] {
            let report = run(&Options { format, ..Options::small() }).unwrap();
            assert!(report.rows.iter().all(|row| row.samples.len() == 3), "{format:?}");
            assert!(report.checked.iter().any(|line| line.contains("generator's")), "{:?}", report.checked);
        }
    }

    #[test]
    fn a_wrong_answer_gives_no_figure() {
        let mut input = Input::new(&Options::small()).unwrap();
        input.stream.best[3] = [Some((1, 1)), None];
        assert!(matches!(input.check_books(), Err(BenchError::Wrong(_))));
        input = Input::new(&Options::small()).unwrap();
        input.stream.live_orders += 1;
        assert!(matches!(input.check_books(), Err(BenchError::Wrong(_))));
    }
}
