//! The runs of one rate as lines, rows and series of a report.

use hdrhistogram::Histogram;

use super::Run;
use super::ladder::FIRST_RATE;
use crate::disturbance::Disturbance;
use crate::load::follow::Latencies;
use crate::report::{Better, LatencySeries, Row, grouped, median, sum};

/// The series of a rate: end to end, and the stages it is made of.
pub(super) fn series(rate: u64, runs: &[Run]) -> Vec<LatencySeries> {
    type Pick = fn(&Latencies) -> &Histogram<u64>;
    let stages: [(&str, Pick); 4] = [
        ("end to end", |all| &all.corrected),
        ("receive", |all| &all.receive),
        ("decode, ring, apply", |all| &all.process),
        ("encode, write, client", |all| &all.deliver),
    ];
    let achieved = median(&runs.iter().map(|run| run.achieved_per_s).collect::<Vec<_>>());
    let of = |(name, pick): (&str, Pick)| {
        let runs_of: Vec<Histogram<u64>> = runs.iter().map(|run| pick(&run.latencies).clone()).collect();
        let uncorrected: Vec<Histogram<u64>> = runs.iter().map(|run| run.latencies.uncorrected.clone()).collect();
        LatencySeries {
            name: name.to_owned(),
            rate_per_s: Some(rate),
            achieved_per_s: achieved,
            corrected: sum(&runs_of),
            uncorrected: (name == "end to end").then(|| sum(&uncorrected)),
            runs: runs_of,
            // The stages are parts of the same runs: named once.
            disturbed: if name == "end to end" { disturbed(runs) } else { Vec::new() },
        }
    };
    stages.into_iter().map(of).collect()
}

/// The figures of a rate; those of the server's own stages only where `stages` asks for them.
pub(super) fn rows(rate: u64, runs: &[Run], stages: bool) -> Vec<Row> {
    let at = |quantile: f64| -> Vec<f64> {
        runs.iter().map(|run| run.latencies.corrected.value_at_quantile(quantile) as f64 / 1_000.0).collect()
    };
    let rate_text = grouped(rate);
    let mut rows = vec![
        Row::new(format!("wire to client p50 at {rate_text}/s"), "us", Better::Lower, at(0.5)),
        Row::new(format!("wire to client p99 at {rate_text}/s"), "us", Better::Lower, at(0.99)),
        Row::new(
            format!("delivered at {rate_text}/s"),
            "messages/s",
            Better::Higher,
            runs.iter().map(|run| run.achieved_per_s).collect(),
        ),
    ];
    for row in &mut rows {
        row.disturbed = disturbed(runs);
    }
    let names = runs.first().map(|run| run.stages.as_slice()).filter(|_| stages).unwrap_or_default();
    for (at, (stage, ..)) in names.iter().enumerate() {
        let of = |pick: fn(&(&str, u64, u64)) -> u64| {
            runs.iter().filter_map(|run| run.stages.get(at)).map(|stage| pick(stage) as f64 / 1_000.0).collect()
        };
        rows.push(Row::new(format!("stage {stage} p50 at {rate_text}/s"), "us", Better::Lower, of(|stage| stage.1)));
        rows.push(Row::new(format!("stage {stage} p99 at {rate_text}/s"), "us", Better::Lower, of(|stage| stage.2)));
    }
    if rate == FIRST_RATE {
        for (row, target_us) in rows.iter_mut().zip([50.0, 100.0]) {
            row.target = Some(target_us);
        }
    }
    rows
}

fn disturbed(runs: &[Run]) -> Vec<Disturbance> {
    runs.iter().map(|run| run.disturbance).collect()
}
