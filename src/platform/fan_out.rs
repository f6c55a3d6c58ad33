//! The way out: the WebSocket server of the market data, opened by the settings. Runs nothing.

use std::sync::Arc;

use anyhow::{Context, Result};
use book::order_interest::OrderInterestSender;
use distributor::FanOut;

use super::ingest::Updates;
use super::threads::now_ns;
use crate::settings::Settings;

/// Opens the port. `slow_path` takes over what is no WebSocket handshake.
///
/// # Errors
/// The port is taken.
pub fn open(
    settings: &Settings,
    updates: Updates,
    interest: OrderInterestSender,
    slow_path: Arc<dyn distributor::SlowPath>,
) -> Result<FanOut> {
    let listen = settings.market_data.listen;
    let fan_out = FanOut::bind(config(settings), updates.consumer, updates.notifier, slow_path, now_ns)
        .with_context(|| format!("listening on {listen} (market_data.listen, or --market-data-listen)"))?;
    Ok(fan_out.with_orders_on_request(interest))
}

fn config(settings: &Settings) -> distributor::Config {
    let market_data = &settings.market_data;
    distributor::Config {
        listen: market_data.listen,
        connections_max: market_data.connections_max,
        subscriptions_max: market_data.subscriptions_max,
        queue_bytes: market_data.queue_bytes_max,
        queue_bytes_max: market_data.queue_bytes_max.saturating_mul(8),
        orders: settings.book.queues,
        ..distributor::Config::default()
    }
}
