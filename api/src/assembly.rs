//! One router for each port of this process, made of the services that run in it.
//!
//! Built without a socket, so that a test can ask a router directly. Holds no logic of a service.

use std::sync::Arc;

use api_clients::market_data::MarketDataClient;
use api_gateway::routes::Gateway;
use api_gateway::ws_proxy::WsProxy;
use api_kit::actuator::{Actuator, BuildInfo, FeedOrigin};
use api_kit::common::{Common, CommonParts};
use api_kit::health::Health;
use api_kit::intake::{Arrivals, Intake, intake};
use api_kit::limits::Limit;
use api_kit::shutdown::Shutdown;
use api_market_data::service::MarketData;
use api_market_data::view::View;
use axum::Router;
use book::metrics::MetricSource;

use crate::config::Config;

/// `service` label of the admin port.
const ADMIN_SERVICE: &str = "admin";

/// `service` labels of all ports.
const SERVICES: &[&str] = &[api_gateway::routes::SERVICE, api_market_data::routes::SERVICE];

/// What the composition root hands in.
pub struct Parts {
    /// The books to show.
    pub view: View,
    /// The checks of this process.
    pub health: Arc<Health>,
    /// Every metric source of this process, but for those of the slow path.
    pub metrics: Vec<Arc<dyn MetricSource>>,
    /// Which build this is.
    pub build: BuildInfo,
    /// Where the market comes from.
    pub feed: FeedOrigin,
    /// Limits of the other parts, for `GET /api/v1/limits`.
    pub limits: Vec<Limit>,
}

/// The services of one process and what their ports share. Handlers see their own service only.
pub struct Assembly {
    pub(crate) config: Config,
    pub(crate) common: Common,
    pub(crate) shutdown: Shutdown,
    pub(crate) intake: Intake,
    pub(crate) arrivals: Arrivals,
    market_data: Arc<MarketData>,
    ws_proxy: Arc<WsProxy>,
}

impl Assembly {
    /// The services of one process.
    #[must_use]
    pub fn new(config: Config, parts: Parts) -> Self {
        let shutdown = Shutdown::new();
        let ws_proxy = WsProxy::new(config.ws_proxy.clone(), shutdown.clone());
        let mut metrics = parts.metrics;
        metrics.push(Arc::new(parts.view.clone()));
        metrics.push(ws_proxy.metrics());
        let (intake, arrivals) = intake();
        let market_data = Arc::new(MarketData::new(parts.view));
        let limits = [config.limits(), market_data.limits(), parts.limits].concat();
        // OK because the settings were checked: a text that no header can carry is no origin.
        let cors_origins = config.cors_origins.iter().filter_map(|origin| origin.parse().ok()).collect();
        let (health, build, feed) = (parts.health, parts.build, parts.feed);
        let common_parts = CommonParts { health, metrics, build, feed, limits, services: SERVICES, cors_origins };
        let common = Common::new(config.request, &config.rate_limit, common_parts);
        Self { config, common, shutdown, intake, arrivals, market_data, ws_proxy }
    }

    /// The gateway's port.
    pub fn gateway_router(&self) -> Router {
        let market_data = Arc::clone(&self.market_data) as Arc<dyn MarketDataClient>;
        let gateway = Gateway { market_data, ws_proxy: Arc::clone(&self.ws_proxy) };
        api_gateway::routes::router(gateway, &self.common)
    }

    /// The admin port: health and metrics only.
    pub fn admin_router(&self) -> Router {
        self.common.layered_for_operators(self.common.actuator_routes(), ADMIN_SERVICE)
    }

    /// What the market-data port answers but for the public WebSocket.
    pub fn market_data_router(&self) -> Router {
        api_market_data::routes::router(Arc::clone(&self.market_data), &self.common)
    }

    /// Health, build and metrics.
    #[must_use]
    pub fn actuator(&self) -> Arc<Actuator> {
        Arc::clone(self.common.actuator())
    }
}
