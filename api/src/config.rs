//! Every number and address of the slow path, part by part. Never reads a file or the environment: the program does, and
//! hands the values in.

use std::net::{Ipv4Addr, SocketAddr};

use api_gateway::ws_proxy::WsProxyConfig;
use api_kit::layers::RequestBounds;
use api_kit::limits::Limit;
use api_kit::rate_limit::RateLimitConfig;
use api_kit::server::{Listen, ServerConfig};

/// How the slow path listens and what it bounds.
#[derive(Clone, Debug)]
pub struct Config {
    /// The gateway: REST, page, WebSocket proxy, health, metrics.
    pub main: Listen,
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
}

impl Default for Config {
    fn default() -> Self {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            main: Listen { address: local(8080), key: "api.listen" },
            admin: Some(Listen { address: local(9464), key: "admin.listen" }),
            server: ServerConfig::default(),
            request: RequestBounds::default(),
            rate_limit: RateLimitConfig::default(),
            ws_proxy: WsProxyConfig::default(),
            cors_origins: Vec::new(),
        }
    }
}

impl Config {
    /// The limits of this part, as they stand.
    #[must_use]
    pub fn limits(&self) -> Vec<Limit> {
        [self.rate_limit.limits(), self.server.limits(), self.request.limits(), self.ws_proxy.limits()].concat()
    }
}
