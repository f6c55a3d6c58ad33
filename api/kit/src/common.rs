//! What every port of a process has in common, put around the routes of one service: doors, limits, health and
//! metrics pages, OpenAPI, and the layers that every request passes.
//!
//! Never makes a route of a service, and opens no socket.

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::from_fn_with_state;
use book::metrics::MetricSource;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::access::{AccessTable, Row};
use crate::actuator::{self, Actuator, BuildInfo, FeedOrigin};
use crate::auth::Counted;
use crate::doors::{self, Doors};
use crate::health::Health;
use crate::http_metrics::HttpMetrics;
use crate::layers::{RequestBounds, layered, with_cors};
use crate::limits::{self, Limit};
use crate::openapi;
use crate::rate_limit::{RateLimit, RateLimitConfig};

/// What the composition root hands in.
pub struct CommonParts {
    /// The checks of this process.
    pub health: Arc<Health>,
    /// Every metric source of this process, but for those of this crate.
    pub metrics: Vec<Arc<dyn MetricSource>>,
    /// Which build this is.
    pub build: BuildInfo,
    /// Where the market comes from.
    pub feed: FeedOrigin,
    /// Every number that a caller can hit, for `GET /api/v1/limits`.
    pub limits: Vec<Limit>,
    /// `service` labels of the ports.
    pub services: &'static [&'static str],
    /// Origins whose pages may read what is answered, beside our own.
    pub cors_origins: Vec<HeaderValue>,
    /// Who knows credentials, counted.
    pub authenticator: Arc<Counted>,
    /// Who may ask what, row by row.
    pub access: Vec<Row>,
    /// `auth.required`: market data needs a credential, too.
    pub auth_required: bool,
}

/// What every port of one process shares.
pub struct Common {
    bounds: RequestBounds,
    health: Arc<Health>,
    http: Arc<HttpMetrics>,
    rate_limit: Arc<RateLimit>,
    actuator: Arc<Actuator>,
    limits: Arc<[Limit]>,
    cors_origins: Vec<HeaderValue>,
    doors: Arc<Doors>,
}

impl Common {
    /// The shared things of one process.
    #[must_use]
    pub fn new(bounds: RequestBounds, rate_limit: &RateLimitConfig, parts: CommonParts) -> Self {
        let http = HttpMetrics::new(parts.services);
        let rate_limit = RateLimit::new(rate_limit);
        let mut sources = parts.metrics;
        sources.push(Arc::clone(&rate_limit) as Arc<dyn MetricSource>);
        let authenticator = parts.authenticator;
        sources.push(authenticator.metrics());
        let table = AccessTable::new(parts.access.into_iter().chain([limits::ACCESS]));
        let doors = Doors::new(authenticator, table, parts.auth_required, Arc::clone(&rate_limit));
        let actuator = Arc::new(Actuator::new(Arc::clone(&parts.health), sources, &http, (parts.build, parts.feed)));
        let (limits, doors, cors_origins) = (parts.limits.into(), Arc::new(doors), parts.cors_origins);
        Self { bounds, health: parts.health, http, rate_limit, actuator, limits, cors_origins, doors }
    }

    /// `documented` behind the doors, with `GET /api/v1/limits`, health and metrics, OpenAPI, which also describes the paths
    /// of `more`. A fallback may be added before [`Common::layered`].
    pub fn routes(&self, documented: OpenApiRouter, more: Option<OpenApi>) -> Router {
        let limits = OpenApiRouter::default().nest("/api/v1", limits::documented(Arc::clone(&self.limits)));
        let (routes, mut spec) = self.behind_doors(documented.merge(limits));
        if let Some(more) = more {
            spec.merge(more);
        }
        routes.merge(actuator::routes(Arc::clone(&self.actuator))).merge(openapi::routes(openapi::complete(spec)))
    }

    /// `documented` behind the doors and nothing else, for a port that adds the rest.
    pub fn behind_doors(&self, documented: OpenApiRouter) -> (Router, OpenApi) {
        let (routes, spec) = documented.split_for_parts();
        (routes.layer(from_fn_with_state(Arc::clone(&self.doors), doors::pass)), spec)
    }

    /// Health and metrics only.
    pub fn actuator_routes(&self) -> Router {
        actuator::routes(Arc::clone(&self.actuator)).fallback(|| async { StatusCode::NOT_FOUND })
    }

    /// `routes` behind what every request passes, counted as `service`.
    pub fn layered(&self, routes: Router, service: &'static str) -> Router {
        layered(with_cors(routes, &self.cors_origins), service, self.bounds, &self.http)
    }

    /// The same for operators: no page of another origin reads it.
    pub fn layered_for_operators(&self, routes: Router, service: &'static str) -> Router {
        layered(routes, service, self.bounds, &self.http)
    }

    /// The checks of this process.
    #[must_use]
    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// The counters of requests.
    #[must_use]
    pub fn http(&self) -> &Arc<HttpMetrics> {
        &self.http
    }

    /// The clients' allowances.
    #[must_use]
    pub fn rate_limit(&self) -> &Arc<RateLimit> {
        &self.rate_limit
    }

    /// Who may ask what.
    #[must_use]
    pub fn doors(&self) -> &Arc<Doors> {
        &self.doors
    }

    /// Health, build and metrics.
    #[must_use]
    pub fn actuator(&self) -> &Arc<Actuator> {
        &self.actuator
    }
}
