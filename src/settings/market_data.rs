//! `[market_data]`: the WebSocket server. Opens no port.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::loopback;

/// `[market_data]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MarketData {
    /// Address and port of the WebSocket server.
    pub listen: SocketAddr,
    /// Connections at the same time.
    pub connections_max: usize,
    /// Connections of one API key, or of one user's tokens, at the same time.
    pub connections_per_principal_max: usize,
    /// Subscriptions of one connection.
    pub subscriptions_max: usize,
    /// Bytes that may wait for one reader before its slow-reader policy applies.
    pub queue_bytes_max: usize,
}

impl Default for MarketData {
    fn default() -> Self {
        Self {
            listen: loopback(8083),
            connections_max: 10_000,
            connections_per_principal_max: 64,
            subscriptions_max: 16_384,
            queue_bytes_max: 1 << 20,
        }
    }
}
