//! The slow path: the view that requests read, REST, page, metrics and health, opened by the settings.
//!
//! Nothing here can hold up the fast path: it reads published copies, and answers in threads of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use book::metrics::MetricSource;
use distributor::HandedOver;
use feed_handler::feed::FeedMetrics;

use super::bounds::BookBounds;
use super::ingest::Updates;
use super::late_start::LateStart;
use super::{accounts, line_mismatch, source};
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
    (bounds, late_start, feed): (&BookBounds, &LateStart, Arc<FeedMetrics>),
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
    let (accounts, mail_task) = accounts::config(settings, &accounts::reached(settings))?;
    health.add_readiness("lines", move || line_mismatch::verdict(&feed));
    let parts = api::Parts {
        view: view.clone(),
        health,
        metrics,
        build: build_info(),
        feed: feed_origin(settings),
        limits: limits_of(settings),
        accounts,
    };
    let assembly = api::Assembly::new(api_config(settings, market_data)?, parts);
    let server = api::Server::start(assembly)?;
    if let Some(task) = mail_task {
        server.spawn(task);
    }
    slow_path.open(server.intake());
    Ok(server)
}

fn api_config(settings: &Settings, market_data: SocketAddr) -> Result<api::Config> {
    // A server that listens everywhere is reached on the loopback address.
    let reach = if market_data.ip().is_unspecified() {
        SocketAddr::from((Ipv4Addr::LOCALHOST, market_data.port()))
    } else {
        market_data
    };
    let mut config = api::Config {
        main: api::Listen { address: settings.api.listen, key: "api.listen" },
        users: Some(api::Listen { address: settings.users.listen, key: "users.listen" }),
        admin: Some(api::Listen { address: settings.admin.listen, key: "admin.listen" }),
        users_elsewhere: users_elsewhere(settings)?,
        ..shared_config(settings)
    };
    config.ws_proxy.market_data = reach;
    config.ws_proxy.forwarder = super::admission::forwarder().and_then(|value| value.parse().ok());
    Ok(config)
}

/// The users service of another process, when accounts are there.
fn users_elsewhere(settings: &Settings) -> Result<Option<api::UpstreamConfig>> {
    let Some(url) = &settings.users.url else { return Ok(None) };
    let url = url.parse::<api::BaseUrl>().with_context(|| format!("users.url = {url}"))?;
    let mut upstream = api::UpstreamConfig::new("users", url);
    upstream.breaker.open_for = Duration::from_millis(settings.upstream.open_ms);
    Ok(Some(upstream))
}

/// What every role takes from the settings: threads, allowances, doors.
pub fn shared_config(settings: &Settings) -> api::Config {
    let mut config = api::Config { auth_required: settings.auth.required, ..api::Config::default() };
    config.server.worker_threads = match settings.threads.api_workers {
        0 => std::thread::available_parallelism().map_or(2, |cores| cores.get().min(4)),
        workers => workers,
    };
    config.rate_limit.requests_per_second = settings.api.requests_per_second;
    config.rate_limit.requests_burst = settings.api.requests_per_second.saturating_mul(2);
    config.cors_origins.clone_from(&settings.api.cors_origins);
    let proxies = settings.api.trusted_proxies.iter().map(std::net::IpAddr::to_canonical);
    config.rate_limit.trusted_proxies = proxies.collect();
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
        limit(
            "ws_connections_per_principal",
            settings.market_data.connections_per_principal_max,
            "connections",
            "Of one API key, or of one user's tokens: closed with 4409",
        ),
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

/// Which build this is.
pub fn build_info() -> api::BuildInfo {
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
