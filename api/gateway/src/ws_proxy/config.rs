//! Where the WebSocket proxy leads, and its bounds.
//!
//! Never reads a file or the environment: the assembly fills it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use api_kit::limits::Limit;
use axum::http::HeaderValue;

/// Where the proxy leads, and its bounds.
#[derive(Clone, Debug)]
pub struct WsProxyConfig {
    /// Where the market-data server listens.
    pub market_data: SocketAddr,
    /// What the market-data server knows this gateway by, when it is in this process: then it believes where a client is.
    pub forwarder: Option<HeaderValue>,
    /// Open WebSockets; beyond, 503.
    pub connections_max: usize,
    /// Time for the market-data server to accept a connection.
    pub connect_timeout: Duration,
    /// Time for it to answer the upgrade.
    pub answer_timeout: Duration,
    /// Time that one direction has after the other has ended.
    pub close_timeout: Duration,
    /// Time that a write to it may wait.
    pub write_timeout: Duration,
}

impl Default for WsProxyConfig {
    fn default() -> Self {
        Self {
            market_data: SocketAddr::from((Ipv4Addr::LOCALHOST, 8083)),
            forwarder: None,
            connections_max: 512,
            connect_timeout: Duration::from_secs(2),
            answer_timeout: Duration::from_secs(5),
            close_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(30),
        }
    }
}

impl WsProxyConfig {
    /// The limits as they stand.
    #[must_use]
    pub fn limits(&self) -> Vec<Limit> {
        vec![
            Limit::of("ws_proxy.connections_max", self.connections_max, "WebSockets", "503 TOO_MANY_CONNECTIONS"),
            Limit::of_time("ws_proxy.connect_timeout", self.connect_timeout, "502 UPSTREAM_UNAVAILABLE"),
            Limit::of_time("ws_proxy.answer_timeout", self.answer_timeout, "504 UPSTREAM_TIMEOUT"),
            Limit::of_time("ws_proxy.close_timeout", self.close_timeout, "a half-closed connection is cut"),
        ]
    }
}
