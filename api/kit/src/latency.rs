//! Percentiles of what the hot threads' stages take, as JSON. Reads their histograms; never writes or resets one.

use std::sync::Arc;

use book::metrics::{Latency, MetricSource};
use serde::Serialize;

/// Parts and whole of each percentile that is shown, as [`Latency::quantile_ns`] takes them.
const MEDIAN: (u64, u64) = (1, 2);
const P90: (u64, u64) = (9, 10);
const P99: (u64, u64) = (99, 100);
const P99_9: (u64, u64) = (999, 1_000);
const MAX: (u64, u64) = (1, 1);

/// Since the process started, ns: right within 6.25 % and never too short. A stage that has done nothing has no values.
#[derive(Debug, Serialize)]
struct Stage {
    /// Its name in `bist_stage_latency_seconds`.
    stage: &'static str,
    /// Durations recorded.
    count: u64,
    p50_ns: Option<u64>,
    p90_ns: Option<u64>,
    p99_ns: Option<u64>,
    p99_9_ns: Option<u64>,
    max_ns: Option<u64>,
}

impl Stage {
    fn of(stage: &'static str, latency: &Latency) -> Self {
        let at = |(parts, of)| latency.quantile_ns(parts, of);
        Self {
            stage,
            count: latency.read().0.iter().sum(),
            p50_ns: at(MEDIAN),
            p90_ns: at(P90),
            p99_ns: at(P99),
            p99_9_ns: at(P99_9),
            max_ns: at(MAX),
        }
    }
}

/// The stages of `sources`, in their order.
pub fn json(sources: &[Arc<dyn MetricSource>]) -> serde_json::Value {
    let mut stages = Vec::new();
    for source in sources {
        source.stages(&mut |stage, latency| stages.push(Stage::of(stage, latency)));
    }
    serde_json::json!({ "stages": stages })
}

#[cfg(test)]
mod tests {
    use super::*;
    use book::metrics::Sample;

    struct Two(Latency, Latency);

    impl MetricSource for Two {
        fn collect(&self, _: &mut Vec<Sample>) {}

        fn stages(&self, each: &mut dyn FnMut(&'static str, &Latency)) {
            each("decode", &self.0);
            each("write", &self.1);
        }
    }

    #[test]
    fn every_stage_has_its_percentiles_and_an_idle_one_has_none() {
        let two = Two(Latency::default(), Latency::default());
        (1..=1_000).for_each(|us| two.0.record(us * 1_000));
        let shown = json(&[Arc::new(two) as Arc<dyn MetricSource>]);
        let decode = &shown["stages"][0];
        assert_eq!((&decode["stage"], &decode["count"]), (&"decode".into(), &1_000.into()));
        for (name, exact_ns) in [
            ("p50_ns", 500_000),
            ("p90_ns", 900_000),
            ("p99_ns", 990_000),
            ("p99_9_ns", 999_000),
            ("max_ns", 1_000_000),
        ] {
            let ns = decode[name].as_u64().expect(name);
            assert!((exact_ns..=exact_ns * 17 / 16).contains(&ns), "{name}: {ns}");
        }
        assert_eq!(shown["stages"][1]["count"], 0);
        assert!(shown["stages"][1]["p50_ns"].is_null());
    }
}
