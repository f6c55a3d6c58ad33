//! Health, build and metrics as pages: status, content type, text. Both the router and the market-data port answer
//! with them.
//!
//! [`Pages::answer`] never collects while the runtime of this crate lives: it hands out what was written a second ago
//! at most, because its caller is a fan-out thread that must not stop for a scrape.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use book::metrics::{MetricSource, Sample};
use serde_json::json;

use crate::health::Health;
use crate::latency;
use crate::metrics::{Exposition, HttpMetrics, OPENMETRICS, PROMETHEUS};

/// Which build this is.
#[derive(Clone, Copy, Debug)]
pub struct BuildInfo {
    /// Version of the package.
    pub version: &'static str,
    /// Commit, or `unknown`.
    pub revision: &'static str,
    /// Compiler.
    pub rustc: &'static str,
}

impl MetricSource for BuildInfo {
    fn collect(&self, samples: &mut Vec<Sample>) {
        let labels = [("version", self.version), ("revision", self.revision), ("rustc", self.rustc)];
        samples.push(Sample::gauge("bist_build_info", "Which build this is; always 1.", &labels, 1.0));
    }
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageText {
    /// HTTP status.
    pub status: u16,
    /// Content type.
    pub content_type: &'static str,
    /// Body.
    pub body: String,
}

/// The pages of this process.
pub struct Pages {
    health: Arc<Health>,
    exposition: Exposition,
    /// The same ones, for who reads percentiles.
    sources: Vec<Arc<dyn MetricSource>>,
    build: BuildInfo,
    started: Instant,
    written: ArcSwapOption<Written>,
}

struct Written {
    at: Instant,
    pages: HashMap<&'static str, PageText>,
}

/// Every path that [`Pages`] answers, with what it is for.
pub const PATHS: [(&str, &str); 11] = [
    ("/livez", "Is the process alive? 200 or 503; `?verbose` lists the checks"),
    ("/readyz", "Should it be asked? 200 or 503; `?verbose` lists the checks"),
    ("/startupz", "Has it been ready once? 200 or 503; `?verbose` lists the checks"),
    ("/actuator/health", "All checks as JSON, status 200 or 503"),
    ("/actuator/health/liveness", "The checks of `/livez` as JSON"),
    ("/actuator/health/readiness", "The checks of `/readyz` as JSON"),
    ("/actuator/info", "Version, commit, compiler, uptime"),
    ("/actuator/latency", "What each stage of the hot threads takes: p50, p90, p99, p99.9 and maximum, ns"),
    ("/actuator/prometheus", "Metrics, Prometheus text or OpenMetrics by `Accept`"),
    ("/metrics", "The same as `/actuator/prometheus`"),
    ("/actuator", "The list of these paths"),
];

/// How often the runtime writes the pages anew.
pub(crate) const WRITE_PERIOD: Duration = Duration::from_secs(1);

/// Pages older than this are not handed out any more: the runtime that writes them is not there, or stuck.
const WRITTEN_AGE_MAX: Duration = Duration::from_secs(3);

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

impl Pages {
    /// The pages of a process with these checks and metrics.
    #[must_use]
    pub fn new(
        health: Arc<Health>,
        mut sources: Vec<Arc<dyn MetricSource>>,
        http: &Arc<HttpMetrics>,
        build: BuildInfo,
    ) -> Self {
        sources.push(Arc::new(build));
        Self {
            health,
            exposition: Exposition::new(sources.clone(), http),
            sources,
            build,
            started: Instant::now(),
            written: ArcSwapOption::empty(),
        }
    }

    /// The answer to `GET path_and_query` for a server that has no time: text at most a second old. `None` for a path
    /// that is not one of [`PATHS`].
    #[must_use]
    pub fn answer(&self, path_and_query: &str) -> Option<PageText> {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let written = self.written.load();
        match written.as_deref() {
            Some(written) if written.at.elapsed() < WRITTEN_AGE_MAX && !is_verbose(query) => {
                written.pages.get(path).cloned()
            }
            _ => self.write(path, query, false),
        }
    }

    /// The answer made now. `open_metrics`: metrics as OpenMetrics.
    #[must_use]
    pub fn write(&self, path: &str, query: &str, open_metrics: bool) -> Option<PageText> {
        let verbose = is_verbose(query);
        let text = |report: crate::health::Report| PageText {
            status: report.status(),
            content_type: TEXT,
            body: report.text(&path[1..], verbose),
        };
        let actuator = |report: crate::health::Report| PageText {
            status: report.status(),
            content_type: JSON,
            body: report.actuator().to_string(),
        };
        let json = |body: serde_json::Value| PageText { status: 200, content_type: JSON, body: body.to_string() };
        Some(match path {
            "/livez" => text(self.health.liveness()),
            "/readyz" => text(self.health.readiness()),
            "/startupz" => text(self.health.startup()),
            "/actuator/health" => actuator(self.health.all()),
            "/actuator/health/liveness" => actuator(self.health.liveness()),
            "/actuator/health/readiness" => actuator(self.health.readiness()),
            "/actuator/info" => json(json!({
                "build": { "version": self.build.version, "name": "bist" },
                "git": { "commit": { "id": self.build.revision } },
                "rust": { "version": self.build.rustc },
                "process": { "uptime_seconds": self.started.elapsed().as_secs() },
            })),
            "/actuator/latency" => json(latency::json(&self.sources)),
            "/actuator/prometheus" | "/metrics" if open_metrics => {
                PageText { status: 200, content_type: OPENMETRICS, body: self.exposition.openmetrics() }
            }
            "/actuator/prometheus" | "/metrics" => {
                PageText { status: 200, content_type: PROMETHEUS, body: self.exposition.prometheus() }
            }
            "/actuator" => {
                let links = PATHS.iter().map(|(path, what)| (*path, json!({ "href": path, "title": what })));
                json(json!({ "_links": links.collect::<HashMap<_, _>>() }))
            }
            _ => return None,
        })
    }

    /// Writes all pages, for [`Pages::answer`]. The runtime calls it every [`WRITE_PERIOD`].
    pub(crate) fn write_all(&self) {
        let page = |path: &'static str| Some((path, self.write(path, "", false)?));
        let pages = PATHS.iter().filter_map(|(path, _)| page(path)).collect();
        self.written.store(Some(Arc::new(Written { at: Instant::now(), pages })));
    }
}

fn is_verbose(query: &str) -> bool {
    query.split('&').any(|pair| pair == "verbose" || pair.starts_with("verbose="))
}
