//! The way out: the WebSocket server of the market data, opened by the settings. Runs nothing.

use std::sync::Arc;

use anyhow::{Context, Result};
use book::order_interest::OrderInterestSender;
use distributor::FanOut;

use super::ingest::Updates;
use super::source::{self, Origin};
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

/// Bounds and addresses of the socket, as the settings have them.
pub fn config(settings: &Settings) -> distributor::Config {
    let market_data = &settings.market_data;
    let Origin { source, simulated } = source::origin(settings);
    distributor::Config {
        version: env!("CARGO_PKG_VERSION"),
        source,
        simulated,
        listen: market_data.listen,
        connections_max: market_data.connections_max,
        connections_per_principal_max: market_data.connections_per_principal_max,
        auth_required: settings.auth.required,
        forwarder: super::admission::forwarder(),
        subscriptions_max: market_data.subscriptions_max,
        queue_bytes: market_data.queue_bytes_max,
        queue_bytes_max: market_data.queue_bytes_max.saturating_mul(8),
        orders: settings.book.queues,
        ..distributor::Config::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::SourceKind;

    #[test]
    fn every_source_is_called_what_it_is() {
        let sources =
            [(SourceKind::Sim, "sim", true), (SourceKind::Itch, "itch", false), (SourceKind::Replay, "replay", false)];
        for (kind, source, simulated) in sources {
            let mut settings = Settings::default();
            settings.feed.source = kind;
            let config = config(&settings);
            assert_eq!((config.source, config.simulated), (source, simulated));
        }
    }

    #[test]
    fn the_bound_on_subscriptions_is_one_number_everywhere() {
        let bound = config(&Settings::default()).subscriptions_max;
        assert_eq!(bound, distributor::Config::default().subscriptions_max);
        let settings = include_str!("../../docs/configuration.md");
        assert!(settings.contains(&format!("| `market_data.subscriptions_max` | {bound} |")));
        let socket = include_str!("../../docs/protocols/websocket.md");
        assert!(socket.contains(&format!("\"subscriptions_max\":{bound}")), "of `hello`");
        assert!(socket.contains(&format!(
            "| subscriptions of a connection | {},{:03} |",
            bound / 1_000,
            bound % 1_000
        )));
    }
}
