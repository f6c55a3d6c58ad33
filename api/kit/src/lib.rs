//! What every service of the slow path shares: the envelope and its errors, who asks, the rate limit, the layers around
//! each request, health, metrics, OpenAPI, and the listeners that serve any router.
//!
//! Knows no service: no path of one, no shape of one, no store. Of the core it knows the metrics' types only.
//!
//! Read in this order: [`envelope`] and [`error`] (what an answer looks like), [`principal`] and [`auth`] (who asks), [`access`]
//! (who may), [`rate_limit`], [`doors`] (all three in front of a path), [`admission`] (the same for sockets), [`limits`],
//! [`layers`] (what every request passes), [`health`], [`exposition`], [`actuator`] (health and metrics over
//! HTTP), [`openapi`], [`common`] (all of that around one service's routes), [`server`] (ports and connections), [`breaker`]
//! and [`upstream`] (another process of the platform).

pub mod access;
pub mod actuator;
pub mod admission;
pub mod auth;
pub mod breaker;
pub mod common;
pub mod doors;
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
pub mod upstream;

/// The metric types of the core, for crates that may know no other part of it.
pub use book::metrics::{MetricSource, Sample};
