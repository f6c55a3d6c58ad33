//! The users service as a process of its own: one port with its paths, health, metrics and description.
//!
//! No market, no page, no gateway. Who calls is whom the gateways in front name, if they are trusted.

use std::net::SocketAddr;
use std::sync::Arc;

use api_kit::actuator::{BuildInfo, FeedOrigin};
use api_kit::auth::Counted;
use api_kit::common::{Common, CommonParts};
use api_kit::health::{Health, Verdict};
use api_kit::server::{self, Listen, Port, Ports};
use api_kit::shutdown::Shutdown;
use api_users::routes::SERVICE;
use secrecy::SecretString;

use crate::accounts::{Accounts, AccountsConfig};
use crate::assembly::users_routes;
use crate::config::Config;
use crate::server::{StartError, setup_link, sweep};

/// What the composition root hands in.
pub struct UsersParts {
    /// Where the service listens.
    pub listen: Listen,
    /// Which build this is.
    pub build: BuildInfo,
    /// How accounts are opened.
    pub accounts: AccountsConfig,
}

/// The running service.
pub struct UsersAlone {
    inner: server::Server,
    address: SocketAddr,
    accounts: Arc<Accounts>,
}

impl UsersAlone {
    /// Binds and serves until [`UsersAlone::stop`]. With a database that does not answer it starts not ready, and becomes
    /// ready when the database does.
    ///
    /// # Errors
    /// The address is taken or not ours, threads cannot be started, or the store refuses to be opened.
    pub fn start(config: Config, parts: UsersParts) -> Result<Self, StartError> {
        let runtime = server::runtime(&config.server)?;
        let accounts = Accounts::new(parts.accounts.storage.is_none());
        let common = Arc::new(common(&config, &parts, &accounts));
        runtime.block_on(accounts.open(parts.accounts, Arc::clone(&common)))?;
        let routes = users_routes(&common, Arc::clone(&accounts) as _);
        let address = parts.listen.address;
        let ports = Ports { listening: vec![Port { listen: parts.listen, routes }], handed_over: None };
        let inner = server::Server::start(runtime, config.server, ports, &common, Shutdown::new())?;
        inner.spawn(sweep(Arc::clone(common.rate_limit())));
        let address = inner.addresses().first().copied().unwrap_or(address);
        Ok(Self { inner, address, accounts })
    }

    /// Address of the port.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The link that makes the first administrator, while there is no account.
    #[must_use]
    pub fn setup_link(&self) -> Option<SecretString> {
        setup_link(&self.inner, &self.accounts)
    }

    /// Runs `task` beside the port; it is dropped when the service stops.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.inner.spawn(task);
    }

    /// Stops: no new connections, open requests get `shutdown_timeout`, then everything is cut. Blocks until then.
    pub fn stop(self) {
        self.inner.stop();
    }
}

/// What the port has around the paths.
fn common(config: &Config, parts: &UsersParts, accounts: &Arc<Accounts>) -> Common {
    let mut health = Health::new();
    let checked = Arc::clone(accounts);
    health.add_readiness("accounts", move || match checked.verdict() {
        // Where accounts are all there is, a process without them should not be asked.
        Verdict::Degraded(reason) if checked.users().is_none() => Verdict::Down(reason),
        verdict => verdict,
    });
    let common_parts = CommonParts {
        health: Arc::new(health),
        metrics: vec![Arc::clone(accounts) as _],
        build: parts.build,
        feed: FeedOrigin { source: "none", simulated: false },
        limits: [config.own_limits(), parts.accounts.users.limits()].concat(),
        services: &[SERVICE],
        cors_origins: config.origins(),
        authenticator: Arc::new(Counted::new(Arc::clone(accounts) as _)),
        access: api_users::access::ACCESS.to_vec(),
        auth_required: config.auth_required,
    };
    Common::new(config.request, &config.rate_limit, common_parts)
}
