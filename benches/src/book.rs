//! Question: how long does one message take from its bytes in memory to the full market-by-order book?
//!
//! Input: a generated stream or a length-prefixed recording, already in memory. One thread, one core. Queue positions
//! are kept, every order id is hashed and checked. The books are compared with the generator's best levels, or with the
//! plain reference book, before anything is timed, and the generator's best levels again after every run.

use crate::environment::Environment;
use crate::floor;
use crate::generate::{Format, Plan};
use crate::input::Input;
use crate::measure::{BenchError, BenchOptions, Pin, ns_each, resident_bytes, timed};
use crate::report::{Better, Report, Row};
use crate::run;

/// What the project promises for ITCH 5.0: 500 symbols and 400,000 live orders, with queues and with levels only; 8,000
/// and 750,000; and a market that fits into the caches; ns per message.
const TARGET_BUSY_NS: f64 = 30.0;
const TARGET_BUSY_LEVELS_NS: f64 = 25.0;
const TARGET_WIDE_NS: f64 = 50.0;
const TARGET_CACHED_NS: f64 = 18.0;
/// Resident memory of the busy market beyond the input, millions of bytes.
const TARGET_RESIDENT_MB: f64 = 120.0;
/// Recordings with fewer orders at once stay in the caches.
const CACHED_ORDERS_MAX: usize = 5_000;
/// A BIST day of 113 million messages, seconds.
const TARGET_DAY_S: f64 = 8.0;

/// Runs it.
///
/// # Errors
/// The input cannot be used, or the answer is wrong.
pub fn run(options: &BenchOptions) -> Result<Report, BenchError> {
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
        let mut market = input.market();
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
    let targets = if options.small { Targets::default() } else { Targets::of(&input, options.levels_only) };
    // Rows of levels only have names of their own, so that no comparison takes one for the other.
    let of = if options.levels_only { " (levels only)" } else { "" };
    let what = if options.levels_only { "decode and level totals" } else { "decode and book" };
    let mut rows = vec![with_target(Row::new(what, "ns/message", Better::Lower, nanos), targets.nanos)];
    if !resident.is_empty() {
        let name = format!("resident memory beyond the input{of}");
        rows.push(with_target(Row::new(name, "MB", Better::Lower, measured(resident)), targets.resident_mb));
    }
    let name = format!("the whole input{of}");
    rows.push(with_target(Row::new(name, "s", Better::Lower, measured(seconds)), targets.seconds));
    rows.extend(floor::rows(options, &input)?);
    Ok(Report {
        name: "book".into(),
        question: if options.levels_only {
            "How long does a message take from its bytes in memory to the totals and counts of its level?".into()
        } else {
            "How long does a message take from its bytes in memory to the full market-by-order book?".into()
        },
        input: input.says.clone(),
        command: options.command.clone(),
        environment,
        checked,
        excluded: vec![
            "reading the input: it is in memory before the clock starts".into(),
            "packets, sequence numbers and rings".into(),
            "building the empty market: all its memory is taken and touched before the clock starts".into(),
            "updates for readers: nobody listens, so none are made".into(),
            "`floor` is this machine's memory and no book: a line of an order for each message, and nothing done with it"
                .into(),
        ],
        rows,
        latencies: Vec::new(),
    })
}

fn with_target(row: Row, target: Option<f64>) -> Row {
    Row { target, ..row }
}

/// What was promised for an input of this shape; nothing for any other.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Targets {
    nanos: Option<f64>,
    resident_mb: Option<f64>,
    seconds: Option<f64>,
}

impl Targets {
    fn of(input: &Input, levels_only: bool) -> Self {
        let shape = Shape {
            format: input.format,
            generated: input.is_generated(),
            messages: input.stream.messages,
            books: input.stream.best.len(),
            live_orders: input.stream.live_orders,
        };
        shape.targets(levels_only)
    }
}

/// What a target depends on.
#[derive(Clone, Copy, Debug)]
struct Shape {
    format: Format,
    generated: bool,
    messages: usize,
    books: usize,
    live_orders: usize,
}

impl Shape {
    /// Whether it is the stream of a preset, by any seed.
    fn is(&self, plan: &Plan) -> bool {
        self.generated
            && (self.format, self.books) == (plan.format, plan.symbols)
            && self.messages >= plan.messages
            && self.live_orders.abs_diff(plan.live_orders) <= plan.live_orders / 20
    }

    fn targets(&self, levels_only: bool) -> Targets {
        let cached = !self.generated && self.format == Format::Itch50 && self.live_orders <= CACHED_ORDERS_MAX;
        let mut targets = Targets::default();
        if levels_only {
            targets.nanos = self.is(&Plan::A).then_some(TARGET_BUSY_LEVELS_NS);
        } else if self.is(&Plan::A) {
            targets.nanos = Some(TARGET_BUSY_NS);
            targets.resident_mb = Some(TARGET_RESIDENT_MB);
        } else if self.is(&Plan::WIDE) {
            targets.nanos = Some(TARGET_WIDE_NS);
        } else if self.is(&Plan::DAY) {
            targets.seconds = Some(TARGET_DAY_S);
        } else if cached {
            targets.nanos = Some(TARGET_CACHED_NS);
        }
        targets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::FLOOR;
    use crate::small;

    #[test]
    fn the_small_mode_answers_for_both_formats() {
        for report in small::both_formats(run) {
            assert!(report.checked.iter().any(|line| line.contains("generator's")), "{:?}", report.checked);
        }
    }

    #[test]
    fn levels_only_answers_under_names_of_its_own() {
        for format in [Format::Itch50, Format::Bistech] {
            let full = run(&BenchOptions { format, ..BenchOptions::small() }).unwrap();
            let levels = run(&BenchOptions { format, levels_only: true, ..BenchOptions::small() }).unwrap();
            assert!(levels.checked.iter().any(|line| line.contains("generator's")), "{:?}", levels.checked);
            assert!(!levels.checked.iter().any(|line| line.contains("order by order")), "{:?}", levels.checked);
            let own = |row: &&Row| !row.name.starts_with(FLOOR);
            let same = |row: &Row| full.rows.iter().any(|other| other.name == row.name);
            assert!(!levels.rows.iter().filter(own).any(same), "{format:?}");
            assert_eq!(levels.rows.iter().filter(|row| same(row)).count(), 2, "the machine is the same");
        }
    }

    #[test]
    fn only_the_shapes_that_were_promised_have_targets() {
        let of = |plan: Plan| Shape {
            format: plan.format,
            generated: true,
            messages: plan.messages,
            books: plan.symbols,
            live_orders: plan.live_orders,
        };
        let (a, wide, day) = (of(Plan::A), of(Plan::WIDE), of(Plan::DAY));
        let nanos = |shape: Shape, levels_only| shape.targets(levels_only).nanos;
        assert_eq!((nanos(a, false), nanos(a, true)), (Some(30.0), Some(25.0)));
        assert_eq!((a.targets(false).resident_mb, a.targets(true).resident_mb), (Some(120.0), None));
        assert_eq!((nanos(wide, false), nanos(wide, true)), (Some(50.0), None));
        assert_eq!((day.targets(false).seconds, day.targets(true).seconds), (Some(8.0), None));
        let recorded = Shape { generated: false, live_orders: 3_000, ..a };
        assert_eq!((nanos(recorded, false), nanos(recorded, true)), (Some(18.0), None));
        let others = [
            Shape { messages: a.messages / 4, ..a },
            Shape { live_orders: a.live_orders / 4, ..a },
            Shape { live_orders: a.live_orders * 2, ..a },
            Shape { books: 499, ..a },
            Shape { format: Format::Bistech, ..a },
            Shape { generated: false, ..a },
            Shape { format: Format::Itch50, ..day },
            Shape { messages: day.messages / 2, ..day },
            Shape { format: Format::Bistech, ..recorded },
        ];
        for other in others {
            assert_eq!(other.targets(false), Targets::default(), "{other:?}");
        }
    }

    #[test]
    fn a_written_stream_is_checked_by_the_answer_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["s.itch50", "s.itch50.gz", "s.itch50.zst"] {
            let file = folder.path().join(name);
            let (report, mut answer) = small::written_stream(run, &file, Format::Itch50);
            assert!(report.input.contains(name) && report.input.contains("seed 2"), "{}", report.input);
            answer.bytes += 1;
            answer.write_beside(&file).unwrap();
            let options = BenchOptions { file: Some(file), ..BenchOptions::small() };
            assert!(run(&options).unwrap_err().to_string().contains("answer"), "{name}");
        }
    }

    #[test]
    fn a_stream_that_cannot_be_says_why() {
        let error = run(&BenchOptions { live_orders: 19_000, ..BenchOptions::small() }).unwrap_err().to_string();
        assert!(error.contains("19000 live orders"), "{error}");
    }

    #[test]
    fn a_wrong_answer_gives_no_figure() {
        let mut input = Input::new(&BenchOptions::small()).unwrap();
        input.stream.best[3] = [Some((1, 1)), None];
        assert!(matches!(input.check_books(), Err(BenchError::Wrong(_))));
        input = Input::new(&BenchOptions::small()).unwrap();
        input.stream.live_orders += 1;
        assert!(matches!(input.check_books(), Err(BenchError::Wrong(_))));
    }
}
