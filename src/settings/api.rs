//! `[api]`: REST and the web page. Opens no port.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::loopback;

/// `[api]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Api {
    /// Address and port of REST, the web page and the WebSocket proxy.
    pub listen: SocketAddr,
    /// Requests per second of an API key, else of a user, else of a client address.
    pub requests_per_second: u32,
    /// Origins whose pages may read REST on this port and on those of market data and accounts, beside our own.
    pub cors_origins: Vec<String>,
    /// Proxies and gateways in front whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
}

impl Default for Api {
    fn default() -> Self {
        Self { listen: loopback(8080), requests_per_second: 200, cors_origins: Vec::new(), trusted_proxies: Vec::new() }
    }
}
