//! What every service of the slow path shares: the envelope and its errors, who asks, the rate limit, the layers around
//! each request, health, metrics, OpenAPI, and the listeners that serve any router.
//!
//! Knows no service: no path of one, no shape of one, no store. Of the core it knows the metrics' types only.
//!
//! Read in this order: [`envelope`] and [`error`] (what an answer looks like), [`principal`] (who asks), [`rate_limit`],
//! [`limits`], [`layers`] (what every request passes), [`health`], [`exposition`], [`actuator`] (health and metrics over
//! HTTP), [`openapi`], [`common`] (all of that around one service's routes), [`server`] (ports and connections).

pub mod actuator;
pub mod common;
pub mod envelope;
pub mod error;
pub mod exposition;
pub mod health;
pub mod http_metrics;
pub mod intake;
mod latency;
pub mod layers;
pub mod limits;
mod named_enum;
pub mod openapi;
pub mod paced;
mod prefixed;
pub mod principal;
mod process;
pub mod rate_limit;
pub mod server;
pub mod shutdown;

/// The metric types of the core, for crates that may know no other part of it.
pub use book::metrics::{MetricSource, Sample};
