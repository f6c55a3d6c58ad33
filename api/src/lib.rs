//! The slow path: market-data queries over REST, health, metrics, the web page, and the passage for WebSockets.
//!
//! Runs on a tokio runtime of its own. It reads what the view thread copied out of the update ring and has no
//! way back: nothing here can slow, stop or change the fast path. Never decodes a feed, never sees an order book
//! of the book thread, never keeps a lock while it waits, formats or writes to a socket.
//!
//! Read in this order: [`view`] (the thread that keeps the copy), `query` (what a handler takes out of it),
//! `market` (the handlers), `shapes` (what they answer), [`health`], [`metrics`], [`pages`], [`server`].

pub mod config;
mod error;
pub mod health;
mod intake;
mod latency;
mod limit;
mod market;
pub mod metrics;
mod openapi;
mod paced;
mod page;
pub mod pages;
mod process;
mod query;
mod routes;
pub mod server;
mod shapes;
mod tunnel;
pub mod view;

pub use config::{Config, Limit, Listen};
pub use health::{Health, Verdict};
pub use intake::Intake;
pub use openapi::openapi;
pub use pages::{BuildInfo, Pages};
pub use routes::{Parts, State, admin_router, router};
pub use server::{ServeError, Server};
pub use view::{View, ViewWorker};
