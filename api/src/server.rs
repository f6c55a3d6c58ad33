//! The ports of this process: gateway, users, admin, and the connections of the market-data port that are no WebSocket.
//!
//! Binds at once, so that a taken port is an error of the start. How connections are served is `api-kit`'s.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api_kit::admission::AdmissionIntake;
use api_kit::intake::Intake;
use api_kit::rate_limit::RateLimit;
use api_kit::server::{self, Port, Ports, ServeError};
use api_store::StoreError;
use secrecy::SecretString;
use tokio::time::MissedTickBehavior;

use crate::accounts::Accounts;
use crate::assembly::Assembly;

/// How often allowances that are whole again are forgotten.
const SWEEP_PERIOD: Duration = Duration::from_secs(60);

/// Why the slow path could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port or the threads.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The store of accounts cannot be opened, and waiting does not help.
    #[error("accounts: {0}")]
    Accounts(#[from] StoreError),
}

/// The running slow path.
pub struct Server {
    inner: server::Server,
    intake: Intake,
    admission: AdmissionIntake,
    main: SocketAddr,
    users: Option<SocketAddr>,
    admin: Option<SocketAddr>,
    accounts: Arc<Accounts>,
}

impl Server {
    /// Binds and serves `assembly` until [`Server::stop`].
    ///
    /// # Errors
    /// An address is taken or not ours, threads cannot be started, or the store of accounts refuses to be opened.
    pub fn start(assembly: Assembly) -> Result<Self, StartError> {
        let runtime = server::runtime(&assembly.config.server)?;
        let config = &assembly.config;
        let mut listening = vec![Port { listen: config.main.clone(), routes: assembly.gateway_router() }];
        let (users, admin) = (config.users.clone(), config.admin.clone());
        listening.extend(users.clone().map(|listen| Port { listen, routes: assembly.users_router() }));
        listening.extend(admin.clone().map(|listen| Port { listen, routes: assembly.admin_router() }));
        let market_data = assembly.market_data_router();
        let accounts = Arc::clone(assembly.accounts());
        let Assembly {
            config, common, shutdown, intake, arrivals, accounts_config, admission: (admission, desk), ..
        } = assembly;
        runtime.block_on(accounts.open(accounts_config, Arc::clone(&common)))?;
        let ports = Ports { listening, handed_over: Some((arrivals, market_data)) };
        let inner = server::Server::start(runtime, config.server, ports, &common, shutdown)?;
        inner.spawn(sweep(Arc::clone(common.rate_limit())));
        inner.spawn(desk.run());
        let mut addresses = inner.addresses().iter().copied();
        let main = addresses.next().unwrap_or(config.main.address);
        let users = users.and_then(|_| addresses.next());
        let admin = admin.and_then(|_| addresses.next());
        Ok(Self { inner, intake, admission, main, users, admin, accounts })
    }

    /// Where the market-data port hands connections that are not its WebSocket.
    #[must_use]
    pub fn intake(&self) -> Intake {
        self.intake.clone()
    }

    /// Where the public socket asks about credentials.
    #[must_use]
    pub fn admission(&self) -> AdmissionIntake {
        self.admission.clone()
    }

    /// Address of the gateway's port.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.main
    }

    /// Address of the port of user management.
    #[must_use]
    pub fn users_addr(&self) -> Option<SocketAddr> {
        self.users
    }

    /// The link that makes the first administrator, while there is no account.
    #[must_use]
    pub fn setup_link(&self) -> Option<SecretString> {
        setup_link(&self.inner, &self.accounts)
    }

    /// Accounts of this process.
    #[must_use]
    pub fn accounts(&self) -> &Arc<Accounts> {
        &self.accounts
    }

    /// Runs `task` beside the ports; it is dropped when the server stops.
    pub fn spawn(&self, task: impl std::future::Future<Output = ()> + Send + 'static) {
        self.inner.spawn(task);
    }

    /// Runs `task` on the runtime of the slow path and waits for its answer.
    pub fn block_on<T>(&self, task: impl std::future::Future<Output = T>) -> T {
        self.inner.block_on(task)
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

/// The link that makes the first administrator, while there is no account and accounts are open.
pub(crate) fn setup_link(server: &server::Server, accounts: &Accounts) -> Option<SecretString> {
    let users = accounts.users()?;
    server.block_on(users.setup_link()).unwrap_or_else(|error| {
        tracing::warn!(%error, "the link of the first administrator cannot be made");
        None
    })
}

/// Keeps the table of the clients' allowances small.
pub(crate) async fn sweep(rate_limit: Arc<RateLimit>) {
    let mut tick = tokio::time::interval(SWEEP_PERIOD);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        rate_limit.sweep();
    }
}
