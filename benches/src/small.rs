//! What the tests of every bench ask of its small mode. Compiled for tests only.

use std::path::Path;

use crate::answer::Answer;
use crate::file::write_file;
use crate::generate::{Format, Plan};
use crate::measure::{BenchError, BenchOptions};
use crate::report::Report;

/// A bench.
pub type Bench = fn(&BenchOptions) -> Result<Report, BenchError>;

/// Runs it for both formats: every figure has a sample for each run.
pub fn both_formats(run: Bench) -> [Report; 2] {
    [Format::Itch50, Format::Bistech].map(|format| {
        let options = BenchOptions { format, ..BenchOptions::small() };
        let report = run(&options).unwrap();
        let whole = report.rows.iter().all(|row| row.samples.len() == options.runs && row.median().unwrap() > 0.0);
        assert!(whole, "{format:?}: {:?}", report.rows);
        report
    })
}

/// Runs it on a written stream: the answer beside it is checked, and a wrong one gives no figure. The answer is left as it
/// was written.
pub fn written_stream(run: Bench, file: &Path, format: Format) -> (Report, Answer) {
    let plan = Plan { format, seed: 2, messages: 20_000, symbols: 40, live_orders: 3_000 };
    let answer = write_file(file, plan, |_| ()).unwrap();
    let options = BenchOptions { file: Some(file.to_owned()), ..BenchOptions::small() };
    let report = run(&options).unwrap();
    assert!(report.checked.iter().any(|line| line.contains("generator's")), "{:?}", report.checked);
    let mut best = answer.best.clone();
    best[3] = [Some((1, 1)), None];
    for wrong in [Answer { best, ..answer.clone() }, Answer { live_orders: answer.live_orders + 1, ..answer.clone() }] {
        wrong.write_beside(file).unwrap();
        assert!(matches!(run(&options), Err(BenchError::Wrong(_))), "{}", file.display());
    }
    answer.write_beside(file).unwrap();
    (report, answer)
}
