//! A report as text for a terminal.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

use super::{Better, LatencySeries, PERCENTILES, Report, Row, UNDISTURBED, grouped};

/// What no report of ours may be taken for. Printed beside every latency.
pub const DISCLAIMER: &str = "Stamps are taken in software, on the machine under test. These are not STAC results.";

/// Text of the whole report, with a line break at its end.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut out = format!("{}: {}\n", report.name, report.question);
    // OK because writing to a string cannot fail.
    let _ = writeln!(out, "  input     {}", report.input);
    let environment = &report.environment;
    let _ = writeln!(out, "  machine   {}; {}", environment.cpu, environment.container);
    let _ = writeln!(out, "            kernel {}, governor {}", environment.kernel, environment.governor);
    let _ = writeln!(out, "  pinned    {}; load average {}", environment.pinned, environment.load);
    let _ = writeln!(out, "  build     {} ({}), {}", environment.version, environment.commit, environment.compiler);
    for (name, lines) in [("checked", &report.checked), ("excluded", &report.excluded)] {
        for (n, line) in lines.iter().enumerate() {
            let _ = writeln!(out, "  {:<9} {line}", if n == 0 { name } else { "" });
        }
    }
    if !report.rows.is_empty() {
        out.push('\n');
        aligned(&mut out, &figures(&report.rows), 2);
    }
    if !report.latencies.is_empty() {
        out.push('\n');
        aligned(&mut out, &latencies(&report.latencies), 1);
        for line in disturbances(&report.latencies) {
            let _ = writeln!(out, "  disturbed: {line}");
        }
        let _ = writeln!(out, "\n  {DISCLAIMER}");
    }
    out
}

/// One line for the terminal: rate, achieved rate, percentiles in us.
#[must_use]
pub fn line(series: &LatencySeries) -> String {
    let of = |histogram: &Histogram<u64>| {
        let at = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1_000.0;
        format!(
            "p50 {:.1} p99 {:.1} p99.9 {:.1} p99.99 {:.1} max {:.1} us",
            at(0.5),
            at(0.99),
            at(0.999),
            at(0.9999),
            histogram.max() as f64 / 1_000.0
        )
    };
    let rate = series.rate_per_s.map_or_else(String::new, |rate| format!("{}/s: ", grouped(rate)));
    let uncorrected = series.uncorrected.as_ref().map_or_else(String::new, |all| format!("; uncorrected {}", of(all)));
    format!("{rate}{}{uncorrected}", of(&series.corrected))
}

/// The marked runs of a report and what took their cores, a line each.
#[must_use]
pub fn disturbances(all: &[LatencySeries]) -> Vec<String> {
    let of = |series: &LatencySeries| {
        let (title, runs) = (series.title(), series.disturbed.len());
        let marked = series.disturbed.iter().enumerate().filter(|(_, run)| run.is_marked());
        marked.map(|(n, run)| format!("{title}, run {} of {runs}: {run}", n + 1)).collect::<Vec<_>>()
    };
    all.iter().flat_map(of).collect()
}

/// How many runs a figure has, and how many of them are marked.
#[must_use]
pub fn runs(row: &Row) -> String {
    let (all, marked) = (row.samples.len(), row.disturbed.iter().filter(|run| run.is_marked()).count());
    if marked == 0 { all.to_string() } else { format!("{all}, {marked} disturbed") }
}

/// One line per figure, and one more where some of its runs were disturbed.
fn figures(rows: &[Row]) -> Vec<Vec<String>> {
    let head = ["figure", "unit", "median", "min", "max", "deviation", "runs", "target", ""];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    for row in rows.iter().flat_map(|row| [Some(row.clone()), row.undisturbed()]).flatten() {
        let show = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), number);
        let sign = if row.better == Better::Lower { "≤" } else { "≥" };
        lines.push(vec![
            row.name.clone(),
            row.unit.to_owned(),
            show(row.median()),
            show(row.min()),
            show(row.max()),
            show(row.median_absolute_deviation()),
            runs(&row),
            row.target.map(|target| format!("{sign} {}", number(target))).unwrap_or_default(),
            verdict(&row).to_owned(),
        ]);
    }
    lines
}

/// `met`, `missed`, or nothing.
#[must_use]
pub fn verdict(row: &Row) -> &'static str {
    match row.is_met() {
        Some(true) => "met",
        Some(false) => "missed",
        None => "",
    }
}

/// Rate by percentile, the corrected line above the uncorrected one.
fn latencies(all: &[LatencySeries]) -> Vec<Vec<String>> {
    let unit = Unit::of(all);
    let mut head = vec![format!("latency, {}", unit.name()), "rate/s".into(), "achieved/s".into(), "count".into()];
    head.extend(PERCENTILES.map(|percentile| format!("{percentile} %")));
    head.push("max".into());
    let mut lines = vec![head];
    for series in all {
        let line = |name: String, histogram: &Histogram<u64>| {
            let mut line = vec![
                name,
                series.rate_per_s.map_or_else(|| "-".into(), grouped),
                series.achieved_per_s.map_or_else(|| "-".into(), |rate| grouped(rate.round() as u64)),
                grouped(histogram.len()),
            ];
            line.extend(PERCENTILES.map(|percentile| unit.show(histogram.value_at_percentile(percentile))));
            line.push(unit.show(histogram.max()));
            line
        };
        lines.push(line(series.name.clone(), &series.corrected));
        if let Some(uncorrected) = &series.uncorrected {
            lines.push(line("  from the real send time".into(), uncorrected));
        }
        if let Some(undisturbed) = series.undisturbed() {
            lines.push(line(UNDISTURBED.to_owned(), &undisturbed));
        }
    }
    lines
}

/// The unit of a table of latencies: one for all of its lines, so that they can be compared by eye.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds, where something takes less than ten microseconds.
    Nanos,
    /// Microseconds with one decimal.
    Micros,
}

impl Unit {
    /// The unit for these.
    #[must_use]
    pub fn of(all: &[LatencySeries]) -> Self {
        let medians =
            all.iter().filter(|one| !one.corrected.is_empty()).map(|one| one.corrected.value_at_quantile(0.5));
        if medians.min().is_some_and(|least| least < 10_000) { Self::Nanos } else { Self::Micros }
    }

    /// `ns` or `µs`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nanos => "ns",
            Self::Micros => "µs",
        }
    }

    /// A value in it.
    #[must_use]
    pub fn show(self, ns: u64) -> String {
        match self {
            Self::Nanos => grouped(ns),
            Self::Micros => format!("{}.{}", grouped(ns / 1_000), ns % 1_000 / 100),
        }
    }
}

/// A figure with four digits or so.
#[must_use]
pub fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 1_000.0 {
        let sign = if value < 0.0 { "-" } else { "" };
        format!("{sign}{}", grouped(size.round() as u64))
    } else if size >= 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// Columns as wide as their widest cell; the first `left` of them to the left, the others to the right.
pub fn aligned(out: &mut String, lines: &[Vec<String>], left: usize) {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for line in lines {
        let mut text = String::from(" ");
        for (column, cell) in line.iter().enumerate() {
            let width = widths[column];
            let _ = if column < left { write!(text, " {cell:<width$} ") } else { write!(text, " {cell:>width$} ") };
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disturbance::Disturbance;
    use crate::report::histogram;

    #[test]
    fn numbers_have_the_digits_that_mean_something() {
        assert_eq!([0.5, 12.345, 123.45, 12_345.6].map(number), ["0.50", "12.35", "123.5", "12,346"]);
        assert_eq!(number(-1_234.5), "-1,235");
        assert_eq!((Unit::Micros.show(1_234_567), Unit::Nanos.show(1_234)), ("1,234.5".into(), "1,234".into()));
    }

    #[test]
    fn a_missed_target_is_said() {
        let row = Row::new("decode", "ns/message", Better::Lower, vec![7.0]).with_target(6.0);
        let lines = figures(&[row]);
        assert_eq!(&lines[1][7..], ["≤ 6.00", "missed"]);
    }

    #[test]
    fn a_disturbed_run_is_named_and_both_figures_are_shown() {
        let (quiet, taken) = (Disturbance::default(), Disturbance { host_ns: 40_000_000, others_ns: 0 });
        let run = |ns| {
            let mut histogram = histogram();
            histogram.record(ns).unwrap();
            histogram
        };
        let row = Row::new("p99", "us", Better::Lower, vec![70.0, 9_000.0]).with_disturbed(vec![quiet, taken]);
        let lines = figures(&[row]);
        assert_eq!(
            (lines[1][6].as_str(), lines[2][0].as_str(), lines[2][2].as_str()),
            ("2, 1 disturbed", UNDISTURBED, "70.00")
        );
        let disturbed = vec![quiet, taken];
        let series =
            LatencySeries { disturbed, ..LatencySeries::of_runs("end to end", vec![run(70_000), run(9_000_000)]) };
        let lines = latencies(std::slice::from_ref(&series));
        assert_eq!((lines[1][9].as_str(), lines[2][9].as_str()), ("9,003.0", "70.0"), "{lines:?}");
        assert_eq!(disturbances(&[series]), ["end to end, run 2 of 2: the host took 40 ms, other threads 0.0 ms"]);
    }

    #[test]
    fn one_unit_holds_for_a_whole_table() {
        let series = |ns| {
            let mut histogram = histogram();
            histogram.record(ns).unwrap();
            LatencySeries::of_runs("x", vec![histogram])
        };
        assert_eq!(Unit::of(&[series(50_000), series(900)]), Unit::Nanos);
        assert_eq!(Unit::of(&[series(50_000)]), Unit::Micros);
    }
}
