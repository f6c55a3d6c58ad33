//! What a measurement found: the question, the answers that were checked, and the figures with their spread.
//!
//! Plain values; never measures anything. The files below it show one: text, JSON, histograms, HTML. Floats are here and nowhere else in the project:
//! statistics over finished measurements.

mod escape;
pub mod hdr;
pub mod html;
pub mod output;
mod plot;
pub mod saved;
pub mod table;

use hdrhistogram::Histogram;

use crate::disturbance::Disturbance;
use crate::environment::Environment;

/// The percentiles of every latency table. The maximum stands beside them.
pub const PERCENTILES: [f64; 6] = [50.0, 90.0, 95.0, 99.0, 99.9, 99.99];

/// Longest latency that a histogram of ours tells apart: 100 seconds; longer ones count as this.
pub const LATENCY_MAX_NS: u64 = 100_000_000_000;

/// An empty latency histogram, in ns: 1 ns to [`LATENCY_MAX_NS`], three significant digits.
#[must_use]
pub fn histogram() -> Histogram<u64> {
    // OK because the bounds are constants that the library accepts; the tests make one.
    Histogram::new_with_bounds(1, LATENCY_MAX_NS, 3).expect("1 <= low, 2 * low <= high, digits <= 5")
}

/// What the name of a row begins with that is no figure of ours, but says what the machine allows.
pub const FLOOR: &str = "floor: ";

/// One finished measurement.
#[derive(Clone, Debug)]
pub struct Report {
    /// The bench: `decode`, `book`, `pipeline`, …
    pub name: String,
    /// What it answers, as a sentence.
    pub question: String,
    /// What went in: format, messages, symbols, seed or file.
    pub input: String,
    /// The command line that makes it again.
    pub command: String,
    /// The machine and the build.
    pub environment: Environment,
    /// Answers that were verified before any figure was taken.
    pub checked: Vec<String>,
    /// What is not measured.
    pub excluded: Vec<String>,
    /// Figures.
    pub rows: Vec<Row>,
    /// Distributions of latency.
    pub latencies: Vec<LatencySeries>,
}

/// Which way a figure should go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// Times, memory.
    Lower,
    /// Rates.
    Higher,
}

/// One figure, measured several times.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was measured; unique in its report.
    pub name: String,
    /// Unit of the samples, as printed: `ns/message`, `MB`, `M/s`.
    pub unit: &'static str,
    /// Which way is better.
    pub better: Better,
    /// One value per run, in the order of the runs; never empty in a report that is shown.
    pub samples: Vec<f64>,
    /// What it must reach on the median, if anything was promised.
    pub target: Option<f64>,
    /// What took the cores away, run by run; empty where nobody looked.
    pub disturbed: Vec<Disturbance>,
}

impl Row {
    /// A figure without a target.
    #[must_use]
    pub fn new(name: impl Into<String>, unit: &'static str, better: Better, samples: Vec<f64>) -> Self {
        Self { name: name.into(), unit, better, samples, target: None, disturbed: Vec::new() }
    }

    /// The same, of runs that were watched.
    #[must_use]
    pub fn with_disturbed(self, disturbed: Vec<Disturbance>) -> Self {
        Self { disturbed, ..self }
    }

    /// The figure of the runs that nothing disturbed, to stand beside that of all; `None` when it would be the same or
    /// there is none.
    #[must_use]
    pub fn undisturbed(&self) -> Option<Self> {
        let samples = undisturbed(&self.samples, &self.disturbed)?;
        Some(Self { name: UNDISTURBED.to_owned(), samples, disturbed: Vec::new(), ..self.clone() })
    }

    /// The same with a target.
    #[must_use]
    pub fn with_target(self, target: f64) -> Self {
        Self { target: Some(target), ..self }
    }

    /// Middle sample (mean of the two middle ones of an even number); `None` without samples.
    #[must_use]
    pub fn median(&self) -> Option<f64> {
        median(&self.samples)
    }

    /// Smallest sample.
    #[must_use]
    pub fn min(&self) -> Option<f64> {
        self.samples.iter().copied().reduce(f64::min)
    }

    /// Largest sample.
    #[must_use]
    pub fn max(&self) -> Option<f64> {
        self.samples.iter().copied().reduce(f64::max)
    }

    /// Median of the distances from the median: a spread that one bad run does not move.
    #[must_use]
    pub fn median_absolute_deviation(&self) -> Option<f64> {
        let middle = self.median()?;
        median(&self.samples.iter().map(|sample| (sample - middle).abs()).collect::<Vec<_>>())
    }

    /// Whether the median reaches the target; `None` without a target.
    #[must_use]
    pub fn is_met(&self) -> Option<bool> {
        let (target, median) = (self.target?, self.median()?);
        Some(match self.better {
            Better::Lower => median <= target,
            Better::Higher => median >= target,
        })
    }
}

/// Name of a line that leaves marked runs out, below the one of all runs.
pub const UNDISTURBED: &str = "  undisturbed runs";

/// The values of the runs that are not marked; `None` when none or all of them are.
fn undisturbed<T: Clone>(values: &[T], disturbed: &[Disturbance]) -> Option<Vec<T>> {
    let both = values.iter().zip(disturbed).filter(|(_, run)| !run.is_marked());
    let kept: Vec<T> = both.map(|(value, _)| value.clone()).collect();
    (!kept.is_empty() && kept.len() < values.len().min(disturbed.len())).then_some(kept)
}

/// Middle of some values; `None` without any.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (&last, half) = (sorted.get(sorted.len() / 2)?, sorted.len() / 2);
    Some(if sorted.len() % 2 == 1 { last } else { (sorted[half - 1] + last) / 2.0 })
}

/// Latency of one stage, or of the whole way, at one rate.
#[derive(Clone, Debug)]
pub struct LatencySeries {
    /// Stage, or `end to end`.
    pub name: String,
    /// Planned rate, messages per second; `None` where one message waits for the one before (a round trip).
    pub rate_per_s: Option<u64>,
    /// Messages per second that were really sent and answered, if there was a plan.
    pub achieved_per_s: Option<f64>,
    /// All runs together, ns from the planned send time: a stall counts against everything that was due meanwhile.
    pub corrected: Histogram<u64>,
    /// All runs together, ns from the real send time: what a closed loop would have said. `None` for a stage in the
    /// middle, which has no plan of its own.
    pub uncorrected: Option<Histogram<u64>>,
    /// [`LatencySeries::corrected`] run by run, for intervals that know how much runs differ; may be empty.
    pub runs: Vec<Histogram<u64>>,
    /// What took the cores away, in the order of `runs`; empty where nobody looked.
    pub disturbed: Vec<Disturbance>,
}

impl LatencySeries {
    /// A series without a plan, from its runs.
    #[must_use]
    pub fn of_runs(name: impl Into<String>, runs: Vec<Histogram<u64>>) -> Self {
        Self {
            name: name.into(),
            rate_per_s: None,
            achieved_per_s: None,
            corrected: sum(&runs),
            uncorrected: None,
            runs,
            disturbed: Vec::new(),
        }
    }

    /// [`LatencySeries::corrected`] of the runs that nothing disturbed; `None` when it would be the same or there is none.
    #[must_use]
    pub fn undisturbed(&self) -> Option<Histogram<u64>> {
        undisturbed(&self.runs, &self.disturbed).map(|runs| sum(&runs))
    }

    /// Name and rate together, unique in a report.
    #[must_use]
    pub fn title(&self) -> String {
        title(&self.name, self.rate_per_s)
    }
}

fn title(name: &str, rate_per_s: Option<u64>) -> String {
    match rate_per_s {
        Some(rate) => format!("{name} at {}/s", grouped(rate)),
        None => name.to_owned(),
    }
}

/// All values of several histograms in one.
#[must_use]
pub fn sum(histograms: &[Histogram<u64>]) -> Histogram<u64> {
    let mut all = histogram();
    for histogram in histograms {
        // OK because every histogram here has the bounds of `histogram()`; a wider one makes `all` as wide.
        all.auto(true);
        all.add(histogram).expect("a resizable histogram takes every value");
    }
    all
}

/// `1234567` as `1,234,567`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(samples: &[f64]) -> Row {
        Row::new("x", "ns", Better::Lower, samples.to_vec())
    }

    #[test]
    fn the_middle_and_the_spread_of_samples() {
        let odd = row(&[9.0, 1.0, 2.0]);
        assert_eq!((odd.median(), odd.min(), odd.max()), (Some(2.0), Some(1.0), Some(9.0)));
        assert_eq!(odd.median_absolute_deviation(), Some(1.0));
        assert_eq!(row(&[4.0, 1.0, 2.0, 100.0]).median(), Some(3.0));
        assert_eq!(row(&[]).median(), None);
    }

    #[test]
    fn a_target_is_met_on_the_median_and_in_the_right_direction() {
        assert_eq!(row(&[1.0, 2.0, 30.0]).with_target(2.0).is_met(), Some(true));
        assert_eq!(row(&[3.0]).with_target(2.0).is_met(), Some(false));
        let rate = Row { better: Better::Higher, ..row(&[3.0]).with_target(2.0) };
        assert_eq!((rate.is_met(), row(&[1.0]).is_met()), (Some(true), None));
    }

    #[test]
    fn runs_are_summed_and_titles_tell_rates_apart() {
        let mut one = histogram();
        one.record(7).unwrap();
        let series = LatencySeries::of_runs("round trip", vec![one.clone(), one]);
        assert_eq!((series.corrected.len(), series.title().as_str()), (2, "round trip"));
        assert_eq!(LatencySeries { rate_per_s: Some(20_000), ..series }.title(), "round trip at 20,000/s");
        assert_eq!((grouped(7), grouped(1_000), grouped(1_234_567)), ("7".into(), "1,000".into(), "1,234,567".into()));
    }

    #[test]
    fn disturbed_runs_stay_in_the_figure_and_the_others_stand_beside_it() {
        let (quiet, taken) = (Disturbance::default(), Disturbance { host_ns: 10_000_000, others_ns: 0 });
        let all = row(&[1.0, 9.0, 3.0]).with_disturbed(vec![quiet, taken, quiet]);
        assert_eq!(all.median(), Some(3.0));
        assert_eq!(all.undisturbed().unwrap().median(), Some(2.0));
        assert!(row(&[1.0, 2.0]).with_disturbed(vec![quiet; 2]).undisturbed().is_none(), "the same figure again");
        assert!(row(&[1.0, 2.0]).with_disturbed(vec![taken; 2]).undisturbed().is_none(), "no run is left");
    }
}
