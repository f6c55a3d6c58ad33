//! What can be configured: one file and struct per section, each key with its unit and default.
//!
//! Layers and their order are those of [`layers`]. Secrets show as `(secret)` wherever settings are printed.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

mod admin;
mod api;
mod auth;
mod book;
pub mod check;
mod feed;
pub mod layers;
mod log;
mod market_data;
mod replay;
mod rings;
mod secret;
mod sim;
mod storage;
mod threads;
mod upstream;
mod users;

pub use self::admin::Admin;
pub use self::api::Api;
pub use self::auth::Auth;
pub use self::book::Book;
pub use self::feed::{Feed, FeedLine, Protocol, SourceKind};
pub use self::layers::{Loaded, default_files, load};
pub use self::log::{Log, LogFormat};
pub use self::market_data::MarketData;
pub use self::replay::Replay;
pub use self::rings::Rings;
pub use self::secret::Secret;
pub use self::sim::{Sim, SimClock};
pub use self::storage::Storage;
pub use self::threads::{Layout, Pin, Threads, Wait};
pub use self::upstream::Upstream;
pub use self::users::Users;

/// Everything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where ticks come from.
    pub feed: Feed,
    /// The simulated exchange.
    pub sim: Sim,
    /// A recorded file as the source.
    pub replay: Replay,
    /// How much the books can hold.
    pub book: Book,
    /// Rings between the threads.
    pub rings: Rings,
    /// Pinning and waiting.
    pub threads: Threads,
    /// WebSocket market data.
    pub market_data: MarketData,
    /// REST and the web page.
    pub api: Api,
    /// Who must say who they are.
    pub auth: Auth,
    /// Metrics and health for operators.
    pub admin: Admin,
    /// Logs.
    pub log: Log,
    /// What survives a restart.
    pub storage: Storage,
    /// Accounts.
    pub users: Users,
    /// Services in other processes.
    pub upstream: Upstream,
}

/// Keys that have no value by default, and so do not show among the defaults.
pub const OPTIONAL: [&str; 14] = [
    "feed.group",
    "feed.references",
    "feed.request_server",
    "replay.file",
    "storage.path",
    "storage.postgres_url",
    "storage.postgres_url_file",
    "storage.redis_url",
    "storage.redis_url_file",
    "storage.master_keys_file",
    "users.page_url",
    "users.url",
    "users.smtp_url",
    "users.smtp_url_file",
];

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}
