//! Every bound of the WebSocket server in one place.
//!
//! Holds values only; the composition root fills them from its own configuration.

use std::net::{Ipv4Addr, SocketAddr};

/// Bounds and addresses. The defaults are those of `docs/protocols/websocket.md`.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Path of the WebSocket, without a query.
    pub path: String,
    /// What a gateway of this process sends in [`FORWARDER_HEADER`](crate::handshake::FORWARDER_HEADER), a value that nobody
    /// else knows: then its `X-Forwarded-For` is believed. `None` = nobody is believed.
    pub forwarder: Option<String>,
    /// Value of the label `channel` of `bist_ws_connections`: which socket this is.
    pub name: &'static str,
    /// Version of the program, as `hello` says it.
    pub version: &'static str,
    /// Where the market comes from, as `hello` says it: `sim`, `replay`, `itch`.
    pub source: &'static str,
    /// Whether the market is an invention. `hello` says so, and nothing else may be believed real.
    pub simulated: bool,
    /// Let several fan-out threads listen on the same port; the kernel spreads the connections (`SO_REUSEPORT`).
    pub reuse_port: bool,
    /// Open connections; at the bound a WebSocket is closed with 4409; other connections are still handed over.
    pub connections_max: usize,
    /// Unsent bytes of a connection at which the slow-reader policy acts.
    pub queue_bytes: usize,
    /// Unsent bytes of a connection at which nothing more is queued: 4490.
    pub queue_bytes_max: usize,
    /// Unsent bytes of all connections together; above it the policies act at a sixteenth of `queue_bytes`, so that many
    /// slow clients cannot take all memory.
    pub queue_bytes_total: usize,
    /// Subscriptions of a connection; beyond it `SUBSCRIPTION_LIMIT`.
    pub subscriptions_max: usize,
    /// Silence towards a client after which it gets a heartbeat.
    pub heartbeat_ns: u64,
    /// Silence of a client after which it is pinged.
    pub ping_ns: u64,
    /// Silence of a client after which it is cut off.
    pub silence_ns: u64,
    /// Time for a whole request head.
    pub handshake_ns: u64,
    /// Until a credential was found good a connection may only `auth` and `ping`.
    pub auth_required: bool,
    /// Then: time for it.
    pub auth_ns: u64,
    /// Time for a verdict about a credential: beyond it the upgrade is answered 503, `auth` is `BUSY`.
    pub verdict_ns: u64,
    /// Credentials whose verdict is awaited, all connections together; beyond it the same answers.
    pub questions_max: usize,
    /// Time for which a credential that cannot be checked any more still counts, where one is required; then 1013.
    pub unavailable_ns: u64,
    /// How long before its end a client is told that its credential ends.
    pub expiry_notice_ns: u64,
    /// Connections of one key or user; beyond it 4409.
    pub connections_per_principal_max: usize,
    /// Requests of a client per second, also the burst; more are delayed.
    pub requests_per_second: u32,
    /// Delayed requests of a client; beyond it 4429.
    pub requests_waiting_max: usize,
    /// Whether the books know the places of orders. Without, channel `mbo` says that it has none.
    pub orders: bool,
    /// Slots taken from the ring before frames are sent: what bounds a turn.
    pub slots_per_turn_max: usize,
    /// Upper end of the random `reconnect_after_ms` at shutdown.
    pub reconnect_after_ms_max: u64,
    /// Kernel send buffer of each connection; `None` leaves the system's own.
    pub send_buffer_bytes: Option<usize>,
}

const SECOND_NS: u64 = 1_000_000_000;

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8083)),
            path: "/ws/v2".to_owned(),
            name: "market",
            version: env!("CARGO_PKG_VERSION"),
            source: "unknown",
            // OK because who does not say where a market comes from is not believed.
            simulated: true,
            reuse_port: false,
            connections_max: 10_000,
            queue_bytes: 1 << 20,
            queue_bytes_max: 8 << 20,
            queue_bytes_total: 1 << 30,
            subscriptions_max: 16_384,
            heartbeat_ns: SECOND_NS,
            ping_ns: 20 * SECOND_NS,
            silence_ns: 60 * SECOND_NS,
            handshake_ns: 10 * SECOND_NS,
            auth_required: false,
            auth_ns: 10 * SECOND_NS,
            verdict_ns: 2 * SECOND_NS,
            questions_max: 512,
            unavailable_ns: 5 * SECOND_NS,
            expiry_notice_ns: 60 * SECOND_NS,
            connections_per_principal_max: 64,
            forwarder: None,
            requests_per_second: 10,
            requests_waiting_max: 100,
            orders: true,
            slots_per_turn_max: 4_096,
            reconnect_after_ms_max: 5_000,
            send_buffer_bytes: None,
        }
    }
}
