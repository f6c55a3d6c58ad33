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
    api::add_checks(&mut health, view);
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
    config
}

/// Bounds of the other parts that a caller can hit, for `GET /api/v1/limits`.
fn limits_of(settings: &Settings) -> Vec<api::Limit> {
    let market_data = &settings.market_data;
    let limit = |name, value: usize, unit, meaning| api::Limit { name, value: Some(value as u64), unit, meaning };
    vec![
        limit("ws_connections", market_data.connections_max, "connections", "WebSocket connections at the same time"),
        limit("ws_subscriptions", market_data.subscriptions_max, "subscriptions", "Subscriptions of one connection"),
        limit("ws_queue", market_data.queue_bytes_max, "bytes", "Unsent bytes before the slow-reader policy acts"),
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
