//! Health, build and metrics as pages: status, content type, text, the same on every port of the process.
//!
//! Made anew for each request, on the runtime of the slow path. Never reached from a hot thread.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router, routing};
use book::metrics::{MetricSource, Sample};
use serde_json::json;

use crate::error::{AsIs, accepts};
use crate::exposition::{Exposition, OPENMETRICS, PROMETHEUS};
use crate::health::{Health, Report};
use crate::http_metrics::HttpMetrics;
use crate::latency;

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

/// Where the market comes from, so that nobody takes an invention or a recording for the exchange.
#[derive(Clone, Copy, Debug)]
pub struct FeedOrigin {
    /// `sim`, `replay` or `itch`.
    pub source: &'static str,
    /// The market is an invention.
    pub simulated: bool,
}

impl MetricSource for BuildInfo {
    fn collect(&self, samples: &mut Vec<Sample>) {
        let labels = [("version", self.version), ("revision", self.revision), ("rustc", self.rustc)];
        samples.push(Sample::gauge("bist_build_info", "Build information in labels; always 1.", &labels, 1.0));
    }
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActuatorPage {
    /// HTTP status.
    pub status: u16,
    /// Content type.
    pub content_type: &'static str,
    /// Body.
    pub body: String,
}

/// Health, build and metrics of this process.
pub struct Actuator {
    health: Arc<Health>,
    exposition: Exposition,
    /// The same ones, for who reads percentiles.
    sources: Vec<Arc<dyn MetricSource>>,
    build: BuildInfo,
    feed: FeedOrigin,
    started: Instant,
}

/// Every path that [`Actuator`] answers, with what it is for.
pub const PATHS: [(&str, &str); 11] = [
    ("/livez", "Is the process alive? 200 or 503; `?verbose` lists the checks"),
    ("/readyz", "Should it be asked? 200 or 503; `?verbose` lists the checks"),
    ("/startupz", "Has it been ready once? 200 or 503; `?verbose` lists the checks"),
    ("/actuator/health", "All checks as JSON, status 200 or 503"),
    ("/actuator/health/liveness", "The checks of `/livez` as JSON"),
    ("/actuator/health/readiness", "The checks of `/readyz` as JSON"),
    ("/actuator/info", "Version, commit, compiler, uptime; where the market comes from and whether it is simulated"),
    ("/actuator/latency", "What each stage of the hot threads takes: p50, p90, p99, p99.9 and maximum, ns"),
    ("/actuator/prometheus", "Metrics, Prometheus text or OpenMetrics by `Accept`"),
    ("/metrics", "The same as `/actuator/prometheus`"),
    ("/actuator", "The list of these paths"),
];

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

impl Actuator {
    /// The pages of a process with these checks and metrics.
    #[must_use]
    pub fn new(
        health: Arc<Health>,
        mut sources: Vec<Arc<dyn MetricSource>>,
        http: &Arc<HttpMetrics>,
        (build, feed): (BuildInfo, FeedOrigin),
    ) -> Self {
        sources.push(Arc::new(build));
        Self {
            health,
            exposition: Exposition::new(sources.clone(), http),
            sources,
            build,
            feed,
            started: Instant::now(),
        }
    }

    /// The answer to `GET path?query`; `None` for a path that is not one of [`PATHS`]. `open_metrics`: metrics as OpenMetrics.
    #[must_use]
    pub fn answer(&self, path: &str, query: &str, open_metrics: bool) -> Option<ActuatorPage> {
        let verbose = is_verbose(query);
        let text = |report: Report| ActuatorPage {
            status: report.status(),
            content_type: TEXT,
            body: report.text(&path[1..], verbose),
        };
        let actuator = |report: Report| ActuatorPage {
            status: report.status(),
            content_type: JSON,
            body: report.actuator().to_string(),
        };
        let json = |body: serde_json::Value| ActuatorPage { status: 200, content_type: JSON, body: body.to_string() };
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
                "feed": { "source": self.feed.source, "simulated": self.feed.simulated },
                "process": { "uptime_seconds": self.started.elapsed().as_secs() },
            })),
            "/actuator/latency" => json(latency::json(&self.sources)),
            "/actuator/prometheus" | "/metrics" if open_metrics => {
                ActuatorPage { status: 200, content_type: OPENMETRICS, body: self.exposition.openmetrics() }
            }
            "/actuator/prometheus" | "/metrics" => {
                ActuatorPage { status: 200, content_type: PROMETHEUS, body: self.exposition.prometheus() }
            }
            "/actuator" => {
                let links = PATHS.iter().map(|(path, what)| (*path, json!({ "href": path, "title": what })));
                json(json!({ "_links": links.collect::<HashMap<_, _>>() }))
            }
            _ => return None,
        })
    }
}

/// The pages at their paths.
pub(crate) fn routes(actuator: Arc<Actuator>) -> Router {
    PATHS.iter().fold(Router::new(), |router, (path, _)| router.route(path, routing::get(page))).with_state(actuator)
}

async fn page(State(actuator): State<Arc<Actuator>>, request: Request) -> Response {
    let uri = request.uri();
    let open_metrics = accepts(request.headers(), "application/openmetrics-text");
    let Some(page) = actuator.answer(uri.path(), uri.query().unwrap_or_default(), open_metrics) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let status = StatusCode::from_u16(page.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Extension(AsIs), [(CONTENT_TYPE, HeaderValue::from_static(page.content_type))], page.body).into_response()
}

fn is_verbose(query: &str) -> bool {
    query.split('&').any(|pair| pair == "verbose" || pair.starts_with("verbose="))
}
