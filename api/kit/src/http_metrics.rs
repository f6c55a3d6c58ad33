//! Requests and connections, counted by listener: who was answered how, how long it took, who was refused.
//!
//! Written by the slow path only. Never keeps a path, an address or anything else that a caller can invent as a label.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use book::metrics::{MetricSource, Sample};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

/// Requests by listener, method and status, and how long they took. Written by the slow path only.
pub struct HttpMetrics {
    requests: Mutex<BTreeMap<RequestLabels, u64>>,
    durations: Family<RouteLabels, Histogram, fn() -> Histogram>,
    connections_refused: AtomicU64,
    panics: AtomicU64,
}

type RequestLabels = (&'static str, &'static str, u16);

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct RouteLabels {
    service: &'static str,
    route: String,
}

/// Upper ends of the duration buckets in seconds: an answer is made in well under a millisecond, a bad one in seconds.
const DURATION_BOUNDS: [f64; 12] = [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0];

impl HttpMetrics {
    /// Nothing counted yet; the commonest line of each of `services` is there from the start, so that its rate is known
    /// from the start.
    #[must_use]
    pub fn new(services: &[&'static str]) -> Arc<Self> {
        Arc::new(Self {
            requests: Mutex::new(services.iter().map(|&service| ((service, "GET", 200), 0)).collect()),
            durations: Family::new_with_constructor(|| Histogram::new(DURATION_BOUNDS)),
            connections_refused: AtomicU64::new(0),
            panics: AtomicU64::new(0),
        })
    }

    /// Counts an answered request. `route` is the route's pattern, never the path asked; `None` = no route matched.
    pub fn count(&self, service: &'static str, method: &str, status: u16, route: Option<&str>, took: Duration) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry((service, method_name(method), status)).or_default() += 1;
        drop(requests);
        let route = route.unwrap_or("none").to_owned();
        self.durations.get_or_create(&RouteLabels { service, route }).observe(took.as_secs_f64());
    }

    /// Time from the whole request head to the response head.
    pub(crate) fn durations(&self) -> Family<RouteLabels, Histogram, fn() -> Histogram> {
        self.durations.clone()
    }

    pub(crate) fn count_refused_connection(&self) {
        self.connections_refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_panic(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }
}

/// One of a fixed set, so that a caller cannot invent label values.
fn method_name(method: &str) -> &'static str {
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
        .into_iter()
        .find(|&name| name == method)
        .unwrap_or("OTHER")
}

impl MetricSource for HttpMetrics {
    fn collect(&self, samples: &mut Vec<Sample>) {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for ((service, method, status), count) in requests {
            samples.push(Sample::counter(
                "http_requests_total",
                "Requests answered, by listener, method and status.",
                &[("service", service), ("method", method), ("status", &status.to_string())],
                count,
            ));
        }
        let mut count = |name, help, value: &AtomicU64| {
            samples.push(Sample::counter(name, help, &[], value.load(Ordering::Relaxed)));
        };
        count(
            "bist_http_connections_refused_total",
            "Connections refused at the connection limit.",
            &self.connections_refused,
        );
        count(
            "bist_http_panics_total",
            "Requests whose handler panicked; each is a fault of the server.",
            &self.panics,
        );
    }
}
