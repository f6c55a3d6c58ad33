//! Every number and address of the slow path, part by part. Never reads a file or the environment: the program does, and
//! hands the values in.

use std::net::{Ipv4Addr, SocketAddr};

use api_gateway::ws_proxy::WsProxyConfig;
use api_kit::layers::RequestBounds;
use api_kit::limits::Limit;
use api_kit::rate_limit::RateLimitConfig;
use api_kit::server::{Listen, ServerConfig};
use api_kit::upstream::UpstreamConfig;
use axum::http::HeaderValue;

/// How the slow path listens and what it bounds.
#[derive(Clone, Debug)]
pub struct Config {
    /// The gateway: REST, page, WebSocket proxy, health, metrics.
    pub main: Listen,
    /// User management; `None` = not opened.
    pub users: Option<Listen>,
    /// Health and metrics only; `None` = not opened.
    pub admin: Option<Listen>,
    /// Threads and connections.
    pub server: ServerConfig,
    /// One request.
    pub request: RequestBounds,
    /// One client.
    pub rate_limit: RateLimitConfig,
    /// The way to the public WebSocket.
    pub ws_proxy: WsProxyConfig,
    /// Origins (`https://example.com`) whose pages may read answers, beside our own.
    pub cors_origins: Vec<String>,
    /// The users service in another process; `None` = it is in this one.
    pub users_elsewhere: Option<UpstreamConfig>,
    /// Market data needs a credential, too.
    pub auth_required: bool,
}

impl Default for Config {
    fn default() -> Self {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            main: Listen { address: local(8080), key: "api.listen" },
            users: Some(Listen { address: local(8081), key: "users.listen" }),
            admin: Some(Listen { address: local(9464), key: "admin.listen" }),
            server: ServerConfig::default(),
            request: RequestBounds::default(),
            rate_limit: RateLimitConfig::default(),
            ws_proxy: WsProxyConfig::default(),
            cors_origins: Vec::new(),
            users_elsewhere: None,
            auth_required: false,
        }
    }
}

impl Config {
    /// Origins as headers name them.
    pub(crate) fn origins(&self) -> Vec<HeaderValue> {
        // OK because the settings were checked: a text that no header can carry is no origin.
        self.cors_origins.iter().filter_map(|origin| origin.parse().ok()).collect()
    }

    /// The limits of this part, as they stand.
    #[must_use]
    pub fn limits(&self) -> Vec<Limit> {
        [self.own_limits(), self.ws_proxy.limits()].concat()
    }

    /// Those that every port has, whatever is behind it.
    #[must_use]
    pub(crate) fn own_limits(&self) -> Vec<Limit> {
        [self.rate_limit.limits(), self.server.limits(), self.request.limits()].concat()
    }
}
