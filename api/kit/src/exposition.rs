//! Metrics as text: every source of the process, our own requests, the process itself, in one exposition.
//!
//! Names come out exactly as given: `market_ticks_processed_total` and `http_requests_total` are what dashboards ask
//! for. Samples of one name from several sources become one family, so HELP and TYPE stand once. Never writes a
//! metric itself from a hot thread: those have counters (`book/src/metrics.rs`) that are read here.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use book::metrics::{LATENCY_BOUNDS_NS, MetricSource, Sample, Value};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::Registry;

use crate::http_metrics::HttpMetrics;
use crate::process::Process;

/// Content type of the OpenMetrics text.
pub const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Content type of the older Prometheus text.
pub const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything that a scrape shows.
pub struct Exposition {
    registry: Registry,
}

impl Exposition {
    /// The metrics of `sources`, of the requests in `http`, and of the process.
    #[must_use]
    pub fn new(sources: Vec<Arc<dyn MetricSource>>, http: &Arc<HttpMetrics>) -> Self {
        let mut registry = Registry::default();
        let mut all = sources;
        all.push(Arc::clone(http) as Arc<dyn MetricSource>);
        registry.register_collector(Box::new(Sources(all)));
        registry.register(
            "http_request_duration_seconds",
            "Time from the whole request head to the response head, by listener and route",
            http.durations(),
        );
        registry.register_collector(Box::new(ProcessCollector));
        Self { registry }
    }

    /// OpenMetrics 1.0 text.
    #[must_use]
    pub fn openmetrics(&self) -> String {
        let mut text = String::with_capacity(16 * 1024);
        if prometheus_client::encoding::text::encode(&mut text, &self.registry).is_err() {
            tracing::error!("the metrics could not be written"); // OK because writing into a string cannot fail
        }
        text
    }

    /// Prometheus text 0.0.4. It differs in that HELP and TYPE of a counter carry its `_total`, and in the end mark.
    #[must_use]
    pub fn prometheus(&self) -> String {
        let open = self.openmetrics();
        let counters: HashSet<&str> =
            open.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
        let mut text = String::with_capacity(open.len() + 1024);
        for line in open.lines().filter(|line| *line != "# EOF") {
            let mut words = line.splitn(4, ' ');
            match (words.next(), words.next(), words.next(), words.next()) {
                (Some("#"), Some(word @ ("HELP" | "TYPE")), Some(name), Some(rest)) if counters.contains(name) => {
                    text.push_str(&format!("# {word} {name}_total {rest}\n"));
                }
                _ => {
                    text.push_str(line);
                    text.push('\n');
                }
            }
        }
        text
    }
}

/// Turns [`Sample`]s into families.
struct Sources(Vec<Arc<dyn MetricSource>>);

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} metric sources", self.0.len())
    }
}

impl Collector for Sources {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut samples = Vec::new();
        self.0.iter().for_each(|source| source.collect(&mut samples));
        let mut families: Vec<Vec<&Sample>> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for sample in &samples {
            let place = *places.entry(sample.name).or_insert_with(|| {
                families.push(Vec::new());
                families.len() - 1
            });
            families[place].push(sample);
        }
        families.iter().try_for_each(|family| encode_family(&mut encoder, family))
    }
}

fn encode_family(encoder: &mut DescriptorEncoder<'_>, family: &[&Sample]) -> fmt::Result {
    let first = family[0];
    let kind = kind_of(&first.value);
    // The library writes the `_total` of a counter itself.
    let name = if matches!(kind, MetricType::Counter) {
        first.name.strip_suffix("_total").unwrap_or(first.name)
    } else {
        first.name
    };
    let help = first.help.replace('\\', "\\\\").replace('\n', "\\n");
    let mut metric = encoder.encode_descriptor(name, &help, None, kind)?;
    let mut seen = HashSet::new();
    for sample in family {
        // One name with two types or twice the same labels would make the whole scrape unreadable: the first counts.
        if kind_of(&sample.value).as_str() != kind.as_str() || !seen.insert(&sample.labels) {
            tracing::warn!(name = sample.name, "a sample contradicts an earlier one of its name and is not shown");
            continue;
        }
        if sample.labels.is_empty() {
            encode_value(&mut metric, &sample.value)?;
        } else {
            encode_value(&mut metric.encode_family(&sample.labels)?, &sample.value)?;
        }
    }
    Ok(())
}

const fn kind_of(value: &Value) -> MetricType {
    match value {
        Value::Counter(_) => MetricType::Counter,
        Value::Gauge(_) => MetricType::Gauge,
        Value::Latency(..) => MetricType::Histogram,
    }
}

fn encode_value(metric: &mut MetricEncoder<'_>, value: &Value) -> fmt::Result {
    match value {
        Value::Counter(count) => metric.encode_counter(count, None::<&Exemplar<Vec<(String, String)>, u64>>),
        Value::Gauge(number) => metric.encode_gauge(number),
        Value::Latency(counts, sum_ns) => {
            let bounds = LATENCY_BOUNDS_NS.iter().map(|&ns| ns as f64 / 1e9).chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = bounds.zip(counts.iter().copied()).collect();
            let none = None::<&HashMap<usize, Exemplar<Vec<(String, String)>, f64>>>;
            metric.encode_histogram(*sum_ns as f64 / 1e9, counts.iter().sum(), &buckets, none)
        }
    }
}

/// The usual names of process metrics.
#[derive(Debug)]
struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(process) = Process::read() else { return Ok(()) };
        let none = None::<&Exemplar<Vec<(String, String)>, f64>>;
        encoder
            .encode_descriptor("process_cpu_seconds", "User and system time spent.", None, MetricType::Counter)?
            .encode_counter(&process.cpu_seconds, none)?;
        let mut gauge = |name: &str, help: &str, value: u64| {
            encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value.cast_signed())
        };
        gauge("process_resident_memory_bytes", "Resident memory.", process.resident_bytes)?;
        gauge("process_open_fds", "Open file descriptors.", process.open_fds)?;
        if let Some(max_fds) = process.max_fds {
            gauge("process_max_fds", "Limit on open file descriptors.", max_fds)?;
        }
        gauge("process_threads", "Threads.", process.threads)?;
        let Some(start_seconds) = process.start_seconds else { return Ok(()) };
        let help = "Start of the process, Unix seconds.";
        encoder
            .encode_descriptor("process_start_time_seconds", help, None, MetricType::Gauge)?
            .encode_gauge(&start_seconds)
    }
}
