//! Question: how long does one message take from its bytes in memory to a normalised event, all book fields read?
//!
//! Input: a generated stream or a length-prefixed recording, already in memory. One thread, one core. The books made of
//! the decoded events are compared before anything is timed.

use crate::generate::Format;
use crate::input::Input;
use crate::measure::{BenchError, BenchOptions, Pin, ns_each, timed};
use crate::report::{Better, FLOOR, Report, Row};
use crate::{environment::Environment, run};

/// What the project promises for ITCH 5.0, ns per message.
const TARGET_NS: f64 = 6.0;

/// Runs it.
///
/// # Errors
/// The input cannot be used, or the answer is wrong.
pub fn run(options: &BenchOptions) -> Result<Report, BenchError> {
    let pin = Pin::choose(options.core)?;
    let environment = Environment::read(&options.build, &pin);
    let input = Input::new(options)?;
    let (bytes, format, messages) = (&input.stream.bytes, input.format, input.stream.messages);
    pin.measured_thread();
    (options.tell)("checking the answer");
    let (checked, expected) = check(&input)?;

    let walk = options.samples("walk", || {
        let (count, spent) = timed(|| std::hint::black_box(run::messages(bytes).count()));
        if count != messages {
            return Err(BenchError::Wrong(format!("{count} messages walked, {messages} expected")));
        }
        Ok(ns_each(spent, messages))
    })?;
    let decode = options.samples("decode", || {
        let (found, spent) = timed(|| run::decode(bytes, format));
        if found != expected {
            return Err(BenchError::Wrong(format!("{found:?} (messages, checksum) instead of {expected:?}")));
        }
        Ok(ns_each(spent, messages))
    })?;
    let mut row = Row::new("decode", "ns/message", Better::Lower, decode);
    if format == Format::Itch50 && !options.small {
        row = row.with_target(TARGET_NS);
    }
    Ok(Report {
        name: "decode".into(),
        question: "How long does a message take from its bytes in memory to a normalised event, all book fields read?"
            .into(),
        input: input.says.clone(),
        command: options.command.clone(),
        environment,
        checked,
        excluded: vec![
            "reading the input: it is in memory before the clock starts".into(),
            "packets, sequence numbers and books".into(),
            "`floor` follows the length prefixes and reads nothing else: no decoder can be faster".into(),
        ],
        rows: vec![row, Row::new(format!("{FLOOR}walk"), "ns/message", Better::Lower, walk)],
        latencies: Vec::new(),
    })
}

/// Count and checksum that every run must return, and why they are right.
fn check(input: &Input) -> Result<(Vec<String>, (usize, u64)), BenchError> {
    let expected = run::decode(&input.stream.bytes, input.format);
    let refused = input.stream.messages - expected.0;
    if refused > 0 && input.is_generated() {
        return Err(BenchError::Wrong(format!("{refused} messages of a correct stream were refused")));
    }
    let mut checked = if input.is_generated() { input.check_books()? } else { Vec::new() };
    checked.push(format!(
        "every run: {} messages decoded, {refused} refused, the same checksum over all fields",
        expected.0
    ));
    Ok((checked, expected))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::small;

    #[test]
    fn the_small_mode_answers_for_both_formats() {
        small::both_formats(run);
    }

    #[test]
    fn a_wrong_answer_gives_no_figure() {
        let mut input = Input::new(&BenchOptions::small()).unwrap();
        input.stream.best[0] = [Some((1, 1)), None];
        let error = check(&input).unwrap_err().to_string();
        assert!(error.contains("no figure") && error.contains("best levels"), "{error}");
    }
}
