//! The ports of this process: gateway, admin, and the connections of the market-data port that are no WebSocket.
//!
//! Binds at once, so that a taken port is an error of the start. How connections are served is `api-kit`'s.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api_kit::intake::Intake;
use api_kit::rate_limit::RateLimit;
use api_kit::server::{self, Port, Ports, ServeError};
use tokio::time::MissedTickBehavior;

use crate::assembly::Assembly;

/// How often allowances that are whole again are forgotten.
const SWEEP_PERIOD: Duration = Duration::from_secs(60);

/// The running slow path.
pub struct Server {
    inner: server::Server,
    intake: Intake,
    main: SocketAddr,
    admin: Option<SocketAddr>,
}

impl Server {
    /// Binds and serves `assembly` until [`Server::stop`].
    ///
    /// # Errors
    /// An address is taken or not ours, or threads cannot be started.
    pub fn start(assembly: Assembly) -> Result<Self, ServeError> {
        let config = &assembly.config;
        let mut listening = vec![Port { listen: config.main.clone(), routes: assembly.gateway_router() }];
        let admin = config.admin.clone();
        listening.extend(admin.map(|listen| Port { listen, routes: assembly.admin_router() }));
        let market_data = assembly.market_data_router();
        let Assembly { config, common, shutdown, intake, arrivals, .. } = assembly;
        let ports = Ports { listening, handed_over: Some((arrivals, market_data)) };
        let inner = server::Server::start(config.server, ports, &common, shutdown)?;
        inner.spawn(sweep(Arc::clone(common.rate_limit())));
        let addresses = inner.addresses();
        let (main, admin) = (addresses[0], addresses.get(1).copied());
        Ok(Self { inner, intake, main, admin })
    }

    /// Where the market-data port hands connections that are not its WebSocket.
    #[must_use]
    pub fn intake(&self) -> Intake {
        self.intake.clone()
    }

    /// Address of the gateway's port.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.main
    }

    /// Address of the admin port.
    #[must_use]
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Stops: no new connections, open requests get `shutdown_timeout`, then everything is cut. Blocks until then.
    pub fn stop(self) {
        self.inner.stop();
    }
}

/// Keeps the table of the clients' allowances small.
async fn sweep(rate_limit: Arc<RateLimit>) {
    let mut tick = tokio::time::interval(SWEEP_PERIOD);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        rate_limit.sweep();
    }
}
