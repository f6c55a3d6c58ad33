//! What the composition root hands in: everything of a process that the slow path shows, and does not make itself.
//!
//! Holds it only.

use std::sync::Arc;

use api_kit::actuator::{BuildInfo, FeedOrigin};
use api_kit::health::Health;
use api_kit::limits::Limit;
use api_market_data::view::View;
use book::metrics::MetricSource;

use crate::accounts::AccountsConfig;

/// What the composition root hands in.
pub struct Parts {
    /// The books to show.
    pub view: View,
    /// The checks of this process.
    pub health: Health,
    /// Every metric source of this process, but for those of the slow path.
    pub metrics: Vec<Arc<dyn MetricSource>>,
    /// Which build this is.
    pub build: BuildInfo,
    /// Where the market comes from.
    pub feed: FeedOrigin,
    /// Limits of the other parts, for `GET /api/v1/limits`.
    pub limits: Vec<Limit>,
    /// How accounts are opened.
    pub accounts: AccountsConfig,
}
