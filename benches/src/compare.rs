//! Two results of one bench: which figures differ by more than their own spread, and which way.
//!
//! The interval of a difference comes from a seeded bootstrap, so that the same two files give the same verdict
//! everywhere. Measures nothing itself.

use std::path::Path;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Beta, Distribution};

use crate::report::saved::{Saved, SavedRow, SavedSeries, UnreadableResult};
use crate::report::table::{aligned, number};
use crate::report::{Better, FLOOR, hdr, median};

/// Resamples of each difference.
const RESAMPLES: usize = 10_000;
/// Share of the resamples inside the interval.
const CONFIDENCE: f64 = 0.95;
/// Decides the resamples.
const SEED: u64 = 1;
/// Latency percentiles that are compared.
const QUANTILES: [(f64, &str); 3] = [(0.5, "50 %"), (0.99, "99 %"), (0.999, "99.9 %")];

/// Why two results cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum NotComparable {
    /// One of them cannot be read.
    #[error(transparent)]
    Unreadable(#[from] UnreadableResult),
    /// They answer different questions.
    #[error("{a} and {b} are different benches: compare two results of the same one")]
    Benches {
        /// Name in A.
        a: String,
        /// Name in B.
        b: String,
    },
    /// A figure has another unit, or another direction.
    #[error("{row:?} is in {a} in A and in {b} in B: measure both with the same version")]
    Units {
        /// Its name.
        row: String,
        /// Unit in A.
        a: String,
        /// Unit in B.
        b: String,
    },
    /// Nothing is in both.
    #[error("no figure is in both results: were they made with the same options?")]
    NothingInCommon,
    /// A histogram's text is damaged.
    #[error("the histogram of {series:?} is damaged: {reason}")]
    Histogram {
        /// Its series.
        series: String,
        /// Why.
        reason: String,
    },
}

/// What the difference says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The whole interval lies on the good side.
    Better,
    /// The whole interval lies on the bad side.
    Worse,
    /// The interval holds zero.
    NoDifference,
    /// A side has one run only: there is no spread to compare with.
    OneRun,
    /// Better or worse, but of a floor: the machine differed, not the program.
    Machine,
}

impl Verdict {
    const fn name(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::NoDifference => "no difference",
            Self::OneRun => "one run only",
            Self::Machine => "the machine",
        }
    }
}

/// One figure in both results.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Figure, or series and percentile.
    pub name: String,
    /// Unit of both medians.
    pub unit: String,
    /// Median in A.
    pub a: f64,
    /// Median in B.
    pub b: f64,
    /// B minus A in percent of A.
    pub percent: f64,
    /// Its interval.
    pub interval: (f64, f64),
    /// What it says.
    pub verdict: Verdict,
    /// Worse by more than the tolerance.
    pub regressed: bool,
}

/// All of it.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The bench.
    pub name: String,
    /// Facts of the two machines that figures depend on and that differ.
    pub warnings: Vec<String>,
    /// Figures in both.
    pub differences: Vec<Difference>,
    /// Most that may get worse, in percent.
    pub tolerance_percent: f64,
}

impl Comparison {
    /// Whether anything got worse by more than the tolerance.
    #[must_use]
    pub fn has_regressed(&self) -> bool {
        self.differences.iter().any(|one| one.regressed)
    }

    /// Text for a terminal, with a line break at its end.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = format!("{}: B against A\n", self.name);
        for warning in &self.warnings {
            out += &format!("  warning: {warning}\n");
        }
        let head = ["figure", "unit", "A", "B", "difference", "95 % interval", "verdict"];
        let mut lines = vec![head.map(str::to_owned).to_vec()];
        for one in &self.differences {
            let verdict = match (one.regressed, one.verdict) {
                (true, _) => format!("worse, beyond {} %", self.tolerance_percent),
                (false, Verdict::Worse) => format!("worse, within {} %", self.tolerance_percent),
                (false, verdict) => verdict.name().to_owned(),
            };
            lines.push(vec![
                one.name.clone(),
                one.unit.clone(),
                number(one.a),
                number(one.b),
                format!("{:+.1} %", one.percent),
                match one.verdict {
                    Verdict::OneRun => "-".to_owned(),
                    _ => format!("[{:+.1}, {:+.1}]", one.interval.0, one.interval.1),
                },
                verdict,
            ]);
        }
        aligned(&mut out, &lines, 2);
        out
    }
}

/// Compares the results in two files or folders.
///
/// # Errors
/// [`NotComparable`].
pub fn compare_files(a: &Path, b: &Path, tolerance_percent: f64) -> Result<Comparison, NotComparable> {
    compare(&Saved::read(a)?, &Saved::read(b)?, tolerance_percent)
}

/// Compares two results of the same bench.
///
/// # Errors
/// [`NotComparable`]: another bench, another unit, nothing in common, or a damaged histogram.
pub fn compare(a: &Saved, b: &Saved, tolerance_percent: f64) -> Result<Comparison, NotComparable> {
    if a.name != b.name {
        return Err(NotComparable::Benches { a: a.name.clone(), b: b.name.clone() });
    }
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let mut warnings = a.environment.differences(&b.environment);
    if a.input != b.input {
        warnings.push(format!("input: {} / {}", a.input, b.input));
    }
    warnings.extend([("A", a), ("B", b)].into_iter().filter_map(|(side, saved)| disturbed(side, saved)));
    let mut differences = Vec::new();
    for of_a in &a.rows {
        match b.rows.iter().find(|of_b| of_b.name == of_a.name) {
            Some(of_b) => {
                let found = row(of_a, of_b, tolerance_percent, &mut rng)?;
                let floor = found.as_ref().filter(|one| one.name.starts_with(FLOOR));
                warnings.extend(floor.and_then(|one| of_machine(one, tolerance_percent)));
                differences.extend(found);
            }
            None => warnings.push(format!("{:?} is in A only", of_a.name)),
        }
    }
    for of_a in &a.latencies {
        match b.latencies.iter().find(|of_b| of_b.title() == of_a.title()) {
            Some(of_b) => differences.extend(series(of_a, of_b, tolerance_percent, &mut rng)?),
            None => warnings.push(format!("{:?} is in A only", of_a.title())),
        }
    }
    let in_a = |name: &str| a.rows.iter().any(|row| row.name == name) || a.latencies.iter().any(|s| s.title() == name);
    let names = b.rows.iter().map(|row| row.name.clone()).chain(b.latencies.iter().map(SavedSeries::title));
    warnings.extend(names.filter(|name| !in_a(name)).map(|name| format!("{name:?} is in B only")));
    if differences.is_empty() {
        return Err(NotComparable::NothingInCommon);
    }
    Ok(Comparison { name: a.name.clone(), warnings, differences, tolerance_percent })
}

/// A floor that differs beyond the tolerance: what stands on it may differ for that alone.
fn of_machine(floor: &Difference, tolerance_percent: f64) -> Option<String> {
    let differs = floor.verdict == Verdict::Machine && floor.percent.abs() > tolerance_percent;
    differs.then(|| {
        format!("{} differs by {:+.1} %: so did the machine, and figures may for that alone", floor.name, floor.percent)
    })
}

/// Runs of one side that were disturbed: they count like all others, and a reader should know.
fn disturbed(side: &str, saved: &Saved) -> Option<String> {
    let runs = saved.latencies.iter().flat_map(|series| &series.disturbed);
    let (all, marked) = runs.fold((0, 0), |(all, marked), run| (all + 1, marked + usize::from(run.is_marked())));
    (marked > 0).then(|| format!("{marked} of {all} runs of {side} were disturbed; its report names them"))
}

fn row(
    a: &SavedRow,
    b: &SavedRow,
    tolerance_percent: f64,
    rng: &mut ChaCha8Rng,
) -> Result<Option<Difference>, NotComparable> {
    if a.unit != b.unit || a.better != b.better {
        return Err(NotComparable::Units { row: a.name.clone(), a: a.unit.clone(), b: b.unit.clone() });
    }
    let compared = Compared { name: a.name.clone(), unit: &a.unit, better: a.better, tolerance_percent };
    Ok(compared.samples(&a.samples, &b.samples, rng))
}

/// Latency at some percentiles. With several runs on both sides their percentiles are the samples; otherwise the values
/// of the one histogram are, as if they did not depend on each other.
fn series(
    a: &SavedSeries,
    b: &SavedSeries,
    tolerance_percent: f64,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<Difference>, NotComparable> {
    let read = |of: &crate::report::saved::SavedHistogram| {
        hdr::from_text(&of.histogram).map_err(|reason| NotComparable::Histogram { series: a.title(), reason })
    };
    let by_runs = a.runs.len() >= 2 && b.runs.len() >= 2;
    let all = |series: &SavedSeries| -> Result<Vec<_>, NotComparable> {
        if by_runs { series.runs.iter().map(read).collect() } else { Ok(vec![read(&series.corrected)?]) }
    };
    let (of_a, of_b) = (all(a)?, all(b)?);
    let mut differences = Vec::new();
    for (quantile, text) in QUANTILES {
        let name = format!("{}, {text}", a.title());
        let compared = Compared { name, unit: "ns", better: Better::Lower, tolerance_percent };
        if by_runs {
            let samples = |of: &[hdrhistogram::Histogram<u64>]| -> Vec<f64> {
                of.iter().map(|run| run.value_at_quantile(quantile) as f64).collect()
            };
            differences.extend(compared.samples(&samples(&of_a), &samples(&of_b), rng));
        } else if !of_a[0].is_empty() && !of_b[0].is_empty() {
            differences.push(compared.quantiles(&of_a[0], &of_b[0], quantile, rng));
        }
    }
    Ok(differences)
}

struct Compared<'a> {
    name: String,
    unit: &'a str,
    better: Better,
    tolerance_percent: f64,
}

impl Compared<'_> {
    /// Medians of samples; `None` when a side has none.
    fn samples(self, a: &[f64], b: &[f64], rng: &mut ChaCha8Rng) -> Option<Difference> {
        let (median_a, median_b) = (median(a)?, median(b)?);
        let mut resample = |of: &[f64], scratch: &mut Vec<f64>| {
            scratch.clear();
            scratch.extend((0..of.len()).map(|_| of[rng.random_range(0..of.len())]));
            scratch.sort_unstable_by(f64::total_cmp);
            median(scratch).unwrap_or_default()
        };
        let mut scratch = Vec::with_capacity(a.len().max(b.len()));
        let resampled =
            (0..RESAMPLES).map(|_| relative(resample(a, &mut scratch), resample(b, &mut scratch))).collect();
        Some(self.judged(median_a, median_b, resampled, a.len().min(b.len()) < 2))
    }

    /// A quantile of two distributions. The rank of a resample's quantile has a beta distribution, so no value needs to
    /// be drawn.
    fn quantiles(
        self,
        a: &hdrhistogram::Histogram<u64>,
        b: &hdrhistogram::Histogram<u64>,
        quantile: f64,
        rng: &mut ChaCha8Rng,
    ) -> Difference {
        let mut resample = |of: &hdrhistogram::Histogram<u64>| {
            let count = of.len() as f64;
            let (below, above) = (quantile * (count + 1.0), (1.0 - quantile) * (count + 1.0));
            // OK because both are above zero: the quantiles lie inside (0, 1) and there is at least one value.
            let rank = Beta::new(below, above).map_or(quantile, |beta| beta.sample(rng));
            of.value_at_quantile(rank) as f64
        };
        let resampled = (0..RESAMPLES).map(|_| relative(resample(a), resample(b))).collect();
        let value = |of: &hdrhistogram::Histogram<u64>| of.value_at_quantile(quantile) as f64;
        self.judged(value(a), value(b), resampled, false)
    }

    fn judged(self, a: f64, b: f64, mut resampled: Vec<f64>, one_run: bool) -> Difference {
        resampled.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| resampled[((resampled.len() - 1) as f64 * share).round() as usize];
        let interval = (at((1.0 - CONFIDENCE) / 2.0), at(f64::midpoint(1.0, CONFIDENCE)));
        let percent = relative(a, b);
        let (up, down) = (interval.0 > 0.0, interval.1 < 0.0);
        let (worse, better, worse_by) = match self.better {
            Better::Lower => (up, down, percent),
            Better::Higher => (down, up, -percent),
        };
        let verdict = match (one_run, worse, better) {
            (true, ..) => Verdict::OneRun,
            (_, true, _) => Verdict::Worse,
            (_, _, true) => Verdict::Better,
            _ => Verdict::NoDifference,
        };
        let verdict = match verdict {
            Verdict::Worse | Verdict::Better if self.name.starts_with(FLOOR) => Verdict::Machine,
            verdict => verdict,
        };
        let regressed = verdict == Verdict::Worse && worse_by > self.tolerance_percent;
        Difference { name: self.name, unit: self.unit.to_owned(), a, b, percent, interval, verdict, regressed }
    }
}

/// `b` minus `a` in percent of `a`; from nothing to something counts as a hundred.
fn relative(a: f64, b: f64) -> f64 {
    if a.abs() > 0.0 {
        (b - a) / a.abs() * 100.0
    } else if b.abs() > 0.0 {
        100.0_f64.copysign(b)
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;
    use crate::measure::{Build, Core, Pin};
    use crate::report::{LatencySeries, Report, Row, histogram};

    fn saved(rows: Vec<Row>, latencies: Vec<LatencySeries>) -> Saved {
        Saved::from(&Report {
            name: "x".into(),
            question: String::new(),
            input: String::new(),
            command: String::new(),
            environment: Environment::read(&Build::default(), &Pin::choose(Core::Unpinned).unwrap()),
            checked: Vec::new(),
            excluded: Vec::new(),
            rows,
            latencies,
        })
    }

    fn times(samples: &[f64]) -> Saved {
        saved(vec![Row::new("t", "ns", Better::Lower, samples.to_vec())], Vec::new())
    }

    fn verdict(a: &Saved, b: &Saved) -> (Verdict, bool) {
        let comparison = compare(a, b, 5.0).unwrap();
        (comparison.differences[0].verdict, comparison.has_regressed())
    }

    #[test]
    fn a_difference_within_the_spread_is_none() {
        let (a, b) = (times(&[10.0, 12.0, 11.0, 10.5, 11.5]), times(&[11.2, 10.1, 12.1, 10.9, 11.0]));
        assert_eq!(verdict(&a, &b), (Verdict::NoDifference, false));
        assert_eq!(verdict(&a, &a), (Verdict::NoDifference, false));
    }

    #[test]
    fn worse_beyond_the_tolerance_is_a_regression_and_better_never_is() {
        let (fast, slow) = (times(&[10.0, 10.1, 10.2]), times(&[12.0, 12.1, 12.2]));
        assert_eq!(verdict(&fast, &slow), (Verdict::Worse, true));
        assert_eq!(verdict(&slow, &fast), (Verdict::Better, false));
        let little = times(&[10.3, 10.4, 10.5]);
        assert_eq!(verdict(&fast, &little), (Verdict::Worse, false), "within 5 %");
        assert!(compare(&fast, &little, 1.0).unwrap().has_regressed());
    }

    /// A machine that has become slower is no fault of the program, and is said.
    #[test]
    fn a_floor_is_of_the_machine() {
        let of =
            |samples: &[f64]| saved(vec![Row::new(format!("{FLOOR}x"), "ns", Better::Lower, samples.to_vec())], vec![]);
        let (fast, slow) = (of(&[10.0, 10.1, 10.2]), of(&[12.0, 12.1, 12.2]));
        for (a, b, warned) in [(&fast, &slow, true), (&slow, &fast, true), (&fast, &fast, false)] {
            assert_eq!(verdict(a, b), (if warned { Verdict::Machine } else { Verdict::NoDifference }, false));
            assert_eq!(compare(a, b, 5.0).unwrap().text().contains("so did the machine"), warned);
        }
        let little = compare(&fast, &of(&[10.3, 10.4, 10.5]), 5.0).unwrap();
        assert!(little.warnings.is_empty(), "within 5 %: {:?}", little.warnings);
    }

    #[test]
    fn of_rates_less_is_worse() {
        let rates = |samples: &[f64]| saved(vec![Row::new("r", "M/s", Better::Higher, samples.to_vec())], Vec::new());
        assert_eq!(verdict(&rates(&[200.0, 201.0]), &rates(&[100.0, 101.0])), (Verdict::Worse, true));
    }

    #[test]
    fn one_run_is_no_evidence() {
        assert_eq!(verdict(&times(&[10.0]), &times(&[90.0])), (Verdict::OneRun, false));
    }

    #[test]
    fn latencies_are_compared_by_runs_or_by_their_values() {
        let run = |shift: u64| {
            let mut run = histogram();
            (0..5_000u64).for_each(|n| run.record(shift + n % 1_000).unwrap());
            run
        };
        let of = |runs: Vec<_>| saved(Vec::new(), vec![LatencySeries::of_runs("trip", runs)]);
        for (a, b) in [
            (of(vec![run(1_000), run(1_010)]), of(vec![run(5_000), run(5_010)])),
            (of(vec![run(1_000)]), of(vec![run(5_000)])),
        ] {
            let comparison = compare(&a, &b, 5.0).unwrap();
            let names: Vec<_> = comparison.differences.iter().map(|one| one.name.as_str()).collect();
            assert_eq!(names, ["trip, 50 %", "trip, 99 %", "trip, 99.9 %"]);
            assert!(comparison.differences.iter().all(|one| one.regressed), "{}", comparison.text());
            assert_eq!(compare(&a, &a, 5.0).unwrap().text(), compare(&a, &a, 5.0).unwrap().text());
            assert!(!compare(&a, &a, 5.0).unwrap().has_regressed());
        }
    }

    #[test]
    fn what_cannot_be_compared_is_refused_and_what_differs_is_said() {
        let a = times(&[1.0, 2.0]);
        let other = Saved { name: "y".into(), ..a.clone() };
        assert!(matches!(compare(&a, &other, 5.0), Err(NotComparable::Benches { .. })));
        let mut unit = a.clone();
        unit.rows[0].unit = "ms".into();
        assert!(compare(&a, &unit, 5.0).unwrap_err().to_string().contains("ns in A and in ms in B"));
        let mut nothing = a.clone();
        nothing.rows.clear();
        assert!(matches!(compare(&a, &nothing, 5.0), Err(NotComparable::NothingInCommon)));
        let mut machine = a.clone();
        machine.environment.kernel = "other".into();
        assert!(compare(&a, &machine, 5.0).unwrap().text().contains("warning: kernel"));
    }
}
