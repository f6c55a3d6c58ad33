//! This process's ports over a view filled by hand.

#![allow(dead_code)] // every test file uses its own part
#![allow(unused_imports)]

#[path = "../../market-data/tests/common/http.rs"]
mod http;
#[path = "../../market-data/tests/common/slots.rs"]
mod slots;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use api::users::UsersConfig;
use api::users::mailer::Mailer;
use api::{AccountsConfig, Assembly, BuildInfo, Config, FeedOrigin, Health, Listen, Parts};
use axum::Router;
use book::metrics::{MetricSource, Sample};
pub use http::*;
pub use slots::*;

/// A build like any.
pub const BUILD: BuildInfo = BuildInfo { version: "1.2.3", revision: "0123456789ab", rustc: "rustc 1.95.0" };

impl Fed {
    /// The process over this view.
    pub fn assembly(&self, config: Config) -> Assembly {
        let mut health = Health::new();
        api::add_checks(&mut health, &self.view, || None);
        let parts = Parts {
            view: self.view.clone(),
            health,
            metrics: vec![Arc::new(Ticks), self.producer.metrics()],
            build: BUILD,
            feed: FeedOrigin { source: "sim", simulated: true },
            limits: Vec::new(),
            accounts: no_accounts(),
        };
        Assembly::new(config, parts)
    }

    /// The gateway's router over this view, without a request limit.
    pub fn router(&self) -> Router {
        self.assembly(config()).gateway_router()
    }
}

/// Stands for the feed thread's counters.
struct Ticks;

impl MetricSource for Ticks {
    fn collect(&self, samples: &mut Vec<Sample>) {
        let label = [("source", "a \"quoted\" \\ name")];
        samples.push(Sample::counter("market_ticks_processed_total", "Market ticks processed.", &label, 42));
    }
}

/// Nothing is kept.
pub fn no_accounts() -> AccountsConfig {
    AccountsConfig { users: UsersConfig::default(), storage: None, mailer: Mailer::to_the_log() }
}

/// Any free ports, no request limit.
pub fn config() -> Config {
    let free = |key| Listen { address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), key };
    let mut config = Config {
        main: free("api.listen"),
        users: Some(free("users.listen")),
        admin: Some(free("admin.listen")),
        ..Config::default()
    };
    config.rate_limit.requests_per_second = 0;
    config
}
