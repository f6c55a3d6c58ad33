//! The market-data port over a view filled by hand, without a socket.

#![allow(dead_code)] // every test file uses its own part
#![allow(unused_imports)]

mod http;
mod slots;

use std::sync::Arc;

use api_kit::actuator::{BuildInfo, FeedOrigin};
use api_kit::auth::{Counted, Nobody, Refusal};
use api_kit::common::{Common, CommonParts};
use api_kit::health::Health;
use api_kit::layers::RequestBounds;
use api_kit::rate_limit::RateLimitConfig;
use api_market_data::health::add_checks;
use api_market_data::service::MarketData;
use axum::Router;
pub use http::*;
pub use slots::*;

/// No request limit.
pub fn unlimited() -> RateLimitConfig {
    RateLimitConfig { requests_per_second: 0, ..RateLimitConfig::default() }
}

impl Fed {
    /// The market-data port over this view, without a request limit.
    pub fn router(&self) -> Router {
        self.router_with(&unlimited())
    }

    /// The same with a request limit.
    pub fn router_with(&self, rate_limit: &RateLimitConfig) -> Router {
        let mut health = Health::new();
        add_checks(&mut health, &self.view, || None);
        let service = MarketData::new(self.view.clone());
        let limits = [rate_limit.limits(), service.limits()].concat();
        let build = BuildInfo { version: "1.2.3", revision: "0123456789ab", rustc: "rustc 1.95.0" };
        let feed = FeedOrigin { source: "itch", simulated: false };
        let metrics = vec![Arc::new(self.view.clone()) as _];
        let parts = CommonParts {
            health: Arc::new(health),
            metrics,
            build,
            feed,
            limits,
            services: &[],
            cors_origins: Vec::new(),
            authenticator: Arc::new(Counted::new(Arc::new(Nobody(Refusal::Unknown)))),
            access: api_clients::market_data::rest::ACCESS.to_vec(),
            auth_required: false,
        };
        let common = Common::new(RequestBounds::default(), rate_limit, parts);
        api_market_data::routes::router(Arc::new(service), &common)
    }
}
