//! One router for each port of this process, made of the services that run in it.
//!
//! Built without a socket, so that a test can ask a router directly. Holds no logic of a service.

use std::sync::Arc;

use api_clients::market_data::{self, MarketDataClient};
use api_clients::users::{UsersClient, forwarded};
use api_gateway::routes::Gateway;
use api_gateway::ws_proxy::WsProxy;
use api_kit::actuator::Actuator;
use api_kit::admission::{AdmissionDesk, AdmissionIntake, admission};
use api_kit::auth::Counted;
use api_kit::common::{Common, CommonParts};
use api_kit::intake::{Arrivals, Intake, intake};
use api_kit::openapi;
use api_kit::shutdown::Shutdown;
use api_market_data::service::MarketData;
use axum::Router;
use utoipa_axum::router::OpenApiRouter;

use crate::accounts::{Accounts, AccountsConfig};
use crate::config::Config;
use crate::parts::Parts;
use crate::users_at::UsersAt;

/// `service` label of the admin port.
const ADMIN_SERVICE: &str = "admin";

/// `service` labels of all ports.
const SERVICES: &[&str] = &[api_gateway::routes::SERVICE, api_market_data::routes::SERVICE, api_users::routes::SERVICE];

/// The services of one process and what their ports share. Handlers see their own service only.
pub struct Assembly {
    pub(crate) config: Config,
    pub(crate) common: Arc<Common>,
    pub(crate) shutdown: Shutdown,
    pub(crate) intake: Intake,
    pub(crate) arrivals: Arrivals,
    pub(crate) accounts_config: AccountsConfig,
    pub(crate) admission: (AdmissionIntake, AdmissionDesk),
    market_data: Arc<MarketData>,
    ws_proxy: Arc<WsProxy>,
    accounts: Arc<Accounts>,
    users: UsersAt,
}

impl Assembly {
    /// The services of one process. Accounts are opened when the server starts, because their store needs its threads;
    /// never when they are elsewhere.
    #[must_use]
    pub fn new(mut config: Config, mut parts: Parts) -> Self {
        let shutdown = Shutdown::new();
        let ws_proxy = WsProxy::new(config.ws_proxy.clone(), shutdown.clone());
        let accounts = Accounts::new(parts.accounts.storage.is_none());
        let users = UsersAt::new(&config, &accounts);
        if users.is_elsewhere() {
            (parts.accounts.storage, config.users) = (None, None);
        }
        let mut metrics = parts.metrics;
        metrics.extend([Arc::new(parts.view.clone()) as _, ws_proxy.metrics() as _, users.metrics()]);
        let (intake, arrivals) = intake();
        let counted = Arc::new(Counted::new(users.authenticator()));
        let admission = admission(Arc::clone(&counted) as _, users.authenticator());
        metrics.push(admission.1.metrics());
        let market_data = Arc::new(MarketData::new(parts.view));
        let cors_origins = config.origins();
        let users_limits = users.limits(&config, &parts.accounts.users);
        let limits = [config.limits(), market_data.limits(), users_limits, parts.limits].concat();
        let mut health = parts.health;
        let checked = users.clone();
        health.add_readiness("accounts", move || checked.verdict());
        let common_parts = CommonParts {
            health: Arc::new(health),
            metrics,
            build: parts.build,
            feed: parts.feed,
            limits,
            services: SERVICES,
            cors_origins,
            authenticator: counted,
            access: access_rows(),
            auth_required: config.auth_required,
        };
        let common = Arc::new(Common::new(config.request, &config.rate_limit, common_parts));
        let accounts_config = parts.accounts;
        Self {
            config,
            common,
            shutdown,
            intake,
            arrivals,
            accounts_config,
            admission,
            market_data,
            ws_proxy,
            accounts,
            users,
        }
    }

    /// The gateway's port.
    pub fn gateway_router(&self) -> Router {
        let market_data = Arc::clone(&self.market_data) as Arc<dyn MarketDataClient>;
        let gateway = Gateway {
            market_data,
            ws_proxy: Arc::clone(&self.ws_proxy),
            users: self.users.client(),
            users_spec: api_users::routes::spec(),
        };
        api_gateway::routes::router(gateway, &self.common)
    }

    /// The port of the users service.
    pub fn users_router(&self) -> Router {
        users_routes(&self.common, self.users.client())
    }

    /// Accounts of this process.
    #[must_use]
    pub fn accounts(&self) -> &Arc<Accounts> {
        &self.accounts
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

/// What the port of the users service answers.
pub(crate) fn users_routes(common: &Common, users: Arc<dyn UsersClient>) -> Router {
    let head = openapi::head("BIST Trading Platform: accounts", api_users::routes::DESCRIPTION);
    let routes = common.routes(OpenApiRouter::with_openapi(head), Some(api_users::routes::spec()));
    common.layered(routes.merge(forwarded(users)).fallback(api_users::routes::nothing), api_users::routes::SERVICE)
}

/// Who may ask what, of all services.
fn access_rows() -> Vec<api_kit::access::Row> {
    [market_data::rest::ACCESS, api_gateway::routes::ACCESS, api_users::access::ACCESS].concat()
}
