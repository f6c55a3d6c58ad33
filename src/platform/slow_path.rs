//! The slow path: the view that requests read, REST, page, metrics and health, opened by the settings.
//!
//! Nothing here can hold up the fast path: it reads published copies, and answers in threads of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Result;
use book::metrics::MetricSource;
use distributor::HandedOver;

use super::bounds::BookBounds;
use super::ingest::Updates;
use super::late_start::LateStart;
use super::source;
use crate::settings::Settings;

/// The view's thread of work, and the handle that requests read it by.
pub fn open_view(updates: Updates) -> (api::ViewWorker, api::View) {
    api::ViewWorker::new(updates.consumer, book::replica::Options::default())
}

/// Starts REST, page, metrics and health; what the market-data port hands over is answered from then on.
///
/// # Errors
/// A port is taken.
pub fn serve(
    settings: &Settings,
    view: &api::View,
    (bounds, late_start): (&BookBounds, &LateStart),
    metrics: Vec<Arc<dyn MetricSource>>,
    market_data: SocketAddr,
    slow_path: &SlowPath,
) -> Result<api::Server> {
    let mut health = api::Health::new();
    let books = bounds.clone();
    api::add_checks(&mut health, view, move || books.missing_books());
    let bounds = bounds.clone();
    health.add_readiness("bounds", move || bounds.verdict());
    let late_start = late_start.clone();
    health.add_readiness("session", move || late_start.verdict());
    let parts = api::Parts {
        view: view.clone(),
        health: Arc::new(health),
        metrics,
        build: build_info(),
        feed: feed_origin(settings),
        limits: limits_of(settings),
    };
    let assembly = api::Assembly::new(api_config(settings, market_data), parts);
    let server = api::Server::start(assembly)?;
    slow_path.open(server.intake());
    Ok(server)
}

fn api_config(settings: &Settings, market_data: SocketAddr) -> api::Config {
    let workers = match settings.threads.api_workers {
        0 => std::thread::available_parallelism().map_or(2, |cores| cores.get().min(4)),
        workers => workers,
    };
    // A server that listens everywhere is reached on the loopback address.
    let reach = if market_data.ip().is_unspecified() {
        SocketAddr::from((Ipv4Addr::LOCALHOST, market_data.port()))
    } else {
        market_data
    };
    let mut config = api::Config {
        main: api::Listen { address: settings.api.listen, key: "api.listen" },
        admin: Some(api::Listen { address: settings.admin.listen, key: "admin.listen" }),
        ..api::Config::default()
    };
    config.server.worker_threads = workers;
    config.rate_limit.requests_per_second = settings.api.requests_per_second;
    config.rate_limit.requests_burst = settings.api.requests_per_second.saturating_mul(2);
    config.ws_proxy.market_data = reach;
    config.cors_origins.clone_from(&settings.api.cors_origins);
    config
}

/// Bounds of the WebSocket that a caller can hit, for `GET /api/v1/limits`.
fn limits_of(settings: &Settings) -> Vec<api::Limit> {
    use distributor::{frame, handshake, requests};
    let socket = super::fan_out::config(settings);
    let limit = api::Limit::of;
    let time = |name, ns, meaning| api::Limit::of_time(name, std::time::Duration::from_nanos(ns), meaning);
    vec![
        limit("ws_connections", socket.connections_max, "connections", "Closed with 4409"),
        limit("ws_subscriptions", socket.subscriptions_max, "subscriptions", "Of a connection: SUBSCRIPTION_LIMIT"),
        limit("ws_requests_per_second", socket.requests_per_second as usize, "requests", "Of a connection: delayed"),
        limit("ws_requests_waiting", socket.requests_waiting_max, "requests", "Delayed ones: closed with 4429"),
        limit("ws_request_symbols", requests::SYMBOLS_MAX, "symbols", "Of a request: PARAMETER_INVALID"),
        limit("ws_depth", requests::DEPTH_MAX as usize, "levels", "Of a side: DEPTH_OUT_OF_RANGE"),
        time("ws_conflate", requests::CONFLATE_MS_MAX * 1_000_000, "PARAMETER_INVALID"),
        limit("ws_message", frame::MESSAGE_BYTES_MAX, "bytes", "Of a client's message: closed with 1009"),
        limit("ws_queue", socket.queue_bytes, "bytes", "Unsent ones of a connection: its slow-reader policy acts"),
        limit("ws_queue_max", socket.queue_bytes_max, "bytes", "Unsent ones of a connection: closed with 4490"),
        limit("ws_queue_total", socket.queue_bytes_total, "bytes", "Unsent ones of all: policies act at a sixteenth"),
        limit("ws_head", handshake::HEAD_BYTES_MAX, "bytes", "Of a request head: 431"),
        time("ws_head_time", socket.handshake_ns, "For a whole request head: closed"),
        time("ws_ping", socket.ping_ns, "Silence of a client: it is pinged"),
        time("ws_silence", socket.silence_ns, "Silence of a client: closed"),
    ]
}

fn feed_origin(settings: &Settings) -> api::FeedOrigin {
    let source::Origin { source, simulated } = source::origin(settings);
    api::FeedOrigin { source, simulated }
}

fn build_info() -> api::BuildInfo {
    api::BuildInfo { version: env!("CARGO_PKG_VERSION"), revision: env!("BIST_REVISION"), rustc: env!("BIST_RUSTC") }
}

/// Where the market-data port hands what is not its WebSocket; the slow path starts after that port is open.
#[derive(Default)]
pub struct SlowPath(std::sync::OnceLock<api::Intake>);

impl SlowPath {
    fn open(&self, intake: api::Intake) {
        // OK because it is set once, right after it is made.
        let _ = self.0.set(intake);
    }
}

impl distributor::SlowPath for SlowPath {
    fn hand_over(&self, connection: HandedOver) -> Result<(), HandedOver> {
        let Some(intake) = self.0.get() else { return Err(connection) };
        let HandedOver { stream, peer, read } = connection;
        intake.offer(stream, peer, read).map_err(|(stream, peer, read)| HandedOver { stream, peer, read })
    }
}
