//! The slow path of one process: every service behind its router, every router behind its port, on a tokio runtime of
//! its own.
//!
//! Assembles only: what a path answers is in the crate of its service. Never decodes a feed, never sees an order book of
//! the book thread, and has no way back into the fast path but the books' view.
//!
//! Read in this order: [`config`], [`accounts`] (the users service, open or waiting), [`assembly`] (one router for each port), [`server`] (the ports),
//! [`users_alone`] (the users service as a process of its own).

pub mod accounts;
pub mod assembly;
pub mod config;
mod parts;
pub mod server;
pub mod users_alone;
mod users_at;

pub use accounts::{Accounts, AccountsConfig};
pub use api_kit::actuator::{Actuator, BuildInfo, FeedOrigin};
pub use api_kit::admission;
pub use api_kit::auth::{Authenticator, Nobody, Refusal};
pub use api_kit::health::{Health, Verdict};
pub use api_kit::intake::Intake;
pub use api_kit::limits::Limit;
pub use api_kit::server::{Listen, ServeError};
pub use api_kit::upstream::{BaseUrl, UpstreamConfig};
pub use api_market_data::health::add_checks;
pub use api_market_data::view::{View, ViewWorker};
pub use api_store as store;
pub use api_store::{DataFolder, EpochFile, ServiceLock, ServiceName, StoreError};
pub use api_users as users;
pub use assembly::Assembly;
pub use config::Config;
pub use parts::Parts;
pub use server::{Server, StartError};
pub use users_alone::{UsersAlone, UsersParts};
