//! Every number and address of the slow path, with unit and default. Never reads a file or the environment: the
//! program does, and hands the values in.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// An address to listen on, and the configuration key that changes it (for the error when it is taken).
#[derive(Clone, Debug)]
pub struct Listen {
    /// Address and port; port 0 = any free one.
    pub address: SocketAddr,
    /// The key as the operator writes it, e.g. `api.listen`.
    pub key: &'static str,
}

/// How the slow path listens and what it bounds.
#[derive(Clone, Debug)]
pub struct Config {
    /// Everything: REST, page, WebSocket passage, health, metrics.
    pub main: Listen,
    /// Health and metrics only; `None` = not opened.
    pub admin: Option<Listen>,
    /// Where the market-data server listens: the WebSocket passage leads there.
    pub market_data: SocketAddr,
    /// Threads of the runtime, 1..=64.
    pub worker_threads: usize,
    /// Requests per second and client address under `/api/v1`; 0 = no limit.
    pub requests_per_second: u32,
    /// Requests that a client may make at once after a pause.
    pub requests_burst: u32,
    /// Drawers that client addresses are hashed into, one allowance each: what bounds the table.
    pub client_drawers: usize,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// Open connections per listener; beyond, a new one gets 503 and is closed.
    pub connections_max: usize,
    /// Open WebSockets through the passage.
    pub tunnels_max: usize,
    /// Longest request body in bytes (no request of today has one).
    pub body_bytes_max: usize,
    /// Longest request head in bytes.
    pub head_bytes_max: usize,
    /// Time for a request head to arrive, and for an idle connection to stay.
    pub head_timeout: Duration,
    /// Time that a write may wait for a client that does not read.
    pub write_timeout: Duration,
    /// Time for an answer to be made.
    pub request_timeout: Duration,
    /// Time for the market-data server to accept a passage.
    pub tunnel_connect_timeout: Duration,
    /// Time for it to answer the upgrade.
    pub tunnel_answer_timeout: Duration,
    /// Time that one direction of a passage has after the other has ended.
    pub tunnel_close_timeout: Duration,
    /// Time that open requests are given at shutdown.
    pub shutdown_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            main: Listen { address: local(8080), key: "api.listen" },
            admin: Some(Listen { address: local(9464), key: "admin.listen" }),
            market_data: local(8083),
            worker_threads: 2,
            requests_per_second: 200,
            requests_burst: 400,
            client_drawers: 65_536,
            trusted_proxies: Vec::new(),
            connections_max: 1_024,
            tunnels_max: 512,
            body_bytes_max: 64 * 1024,
            head_bytes_max: 16 * 1024,
            head_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(5),
            tunnel_connect_timeout: Duration::from_secs(2),
            tunnel_answer_timeout: Duration::from_secs(5),
            tunnel_close_timeout: Duration::from_secs(5),
            shutdown_timeout: Duration::from_millis(800), // with what is cut after it, below a second
        }
    }
}

/// A number that a caller can hit, for `GET /api/v1/limits`.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Name, `part.what_max`.
    pub name: &'static str,
    /// Value; `None` = no limit.
    pub value: Option<u64>,
    /// Unit, in the plural.
    pub unit: &'static str,
    /// What happens at it.
    pub meaning: &'static str,
}

/// The most of everything that one request may ask for.
pub(crate) mod most {
    /// Levels of each side.
    pub(crate) const DEPTH: usize = 100;
    /// Symbols of a page.
    pub(crate) const SYMBOLS: usize = 1_000;
    /// Quotes of a page, and names in `symbols`.
    pub(crate) const QUOTES: usize = 500;
    /// Trades.
    pub(crate) const TRADES: usize = 1_000;
    /// Candles.
    pub(crate) const CANDLES: usize = 1_500;
    /// Movers.
    pub(crate) const MOVERS: usize = 100;
    /// Bytes of a search text.
    pub(crate) const SEARCH_BYTES: usize = 64;
    /// Near matches shown with an unknown symbol.
    pub(crate) const NEAR: usize = 5;
}

impl Config {
    /// The limits of this part, as they stand.
    #[must_use]
    pub fn limits(&self) -> Vec<Limit> {
        let some = |name, value: usize, unit, meaning| Limit { name, value: Some(value as u64), unit, meaning };
        let millis = |name, value: Duration, meaning| Limit {
            name,
            value: Some(value.as_millis() as u64),
            unit: "milliseconds",
            meaning,
        };
        let refused = "400 INVALID_PARAMETER";
        let rate = |name, value: u32, meaning| Limit {
            name,
            value: (self.requests_per_second > 0).then_some(value.into()),
            unit: "requests",
            meaning,
        };
        vec![
            rate("rest.requests_per_second", self.requests_per_second, "429 RATE_LIMITED with Retry-After, per client"),
            rate("rest.requests_burst", self.requests_burst, "requests at once after a pause, per client"),
            some("rest.connections_max", self.connections_max, "connections", "503 and the connection is closed"),
            some("rest.body_bytes_max", self.body_bytes_max, "bytes", "413 PAYLOAD_TOO_LARGE"),
            some("rest.head_bytes_max", self.head_bytes_max, "bytes", "431 and the connection is closed"),
            millis("rest.head_timeout", self.head_timeout, "the connection is closed"),
            millis("rest.write_timeout", self.write_timeout, "a client that does not read is cut off"),
            millis("rest.request_timeout", self.request_timeout, "503 TIMEOUT"),
            some("rest.depth_max", most::DEPTH, "levels", refused),
            some("rest.symbols_page_max", most::SYMBOLS, "symbols", refused),
            some("rest.quotes_page_max", most::QUOTES, "symbols", refused),
            some("rest.trades_max", most::TRADES, "trades", refused),
            some("rest.candles_max", most::CANDLES, "candles", refused),
            some("rest.movers_max", most::MOVERS, "symbols", refused),
            some("rest.search_bytes_max", most::SEARCH_BYTES, "bytes", refused),
            some("tunnel.connections_max", self.tunnels_max, "WebSockets", "503 TOO_MANY_CONNECTIONS"),
            millis("tunnel.connect_timeout", self.tunnel_connect_timeout, "502 UPSTREAM_UNAVAILABLE"),
            millis("tunnel.answer_timeout", self.tunnel_answer_timeout, "504 UPSTREAM_TIMEOUT"),
            millis("tunnel.close_timeout", self.tunnel_close_timeout, "a half-closed passage is cut"),
        ]
    }
}
