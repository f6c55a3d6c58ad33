//! Storage of the services: the data folder, one database for each service, migrations, outbox, audit chain, secrets at
//! rest, short-lived values and idempotency. Knows no HTTP, no market, and nothing of what the services' tables mean.
//!
//! A service opens its [`Store`] once and works in transactions:
//!
//! ```no_run
//! # use api_store::{MigrationSet, ServiceName, StorageConfig, Store, StoreError, audit, on_both};
//! # async fn example() -> Result<(), StoreError> {
//! const USERS: ServiceName = ServiceName::new("users");
//! let store = Store::open(&StorageConfig::in_folder("/var/lib/bist"), USERS, &MigrationSet::NONE).await?;
//! let details = &serde_json::json!({ "reason": "asked" });
//! let row = store.database.write(|mut tx| async move { let tx = &mut *tx;
//!     let entry = audit::Entry { actor: "u1", action: "key.revoke", subject: "k1", details, at_ms: 0 };
//!     audit::append(tx, entry).await
//! }).await?;
//! let found: i64 = store.database.read(|mut tx| async move { let tx = &mut *tx;
//!     on_both!(tx, c => sqlx::query_scalar("SELECT at_ms FROM audit WHERE seq = $1").bind(row).fetch_one(c))
//! }).await?;
//! # let _: i64 = found; Ok(())
//! # }
//! ```
//!
//! | what | bound | at the bound |
//! |---|---|---|
//! | connections of a service | `connections_max` (8); SQLite: one writer besides | callers wait |
//! | callers that wait | `waiters_max` (64) | [`StoreError::Unavailable`] at once |
//! | a read; a write up to its COMMIT | `deadline` (0.9 s), waiting included | [`StoreError::Unavailable`], nothing was done |
//! | a COMMIT | `deadline` on PostgreSQL, 10 s on SQLite | [`StoreError::OutcomeUnknown`] |
//! | tries of a write under contention | 3 | [`StoreError::Contended`] |
//! | outbox messages | [`outbox::WAITING_MAX`] | the append is refused, and with it the transaction |
//! | keys and values in this process | [`cache::local::ENTRIES_MAX`] each | refused, a request as well |
//! | Redis | 250 ms a command | local and stricter answers |

pub mod audit;
pub mod cache;
pub mod config;
pub mod database;
pub mod error;
pub mod folder;
pub mod idempotency;
pub mod migrations;
pub mod operate;
pub mod outbox;
pub mod secrets;
mod store;
mod watch;

pub use cache::{Cache, Claim, RateLimit, Verdict};
pub use config::{ServiceName, StorageConfig};
pub use database::{Database, Kind, Lent, PoolStats, Tx};
pub use error::{FromStore, StoreError};
pub use folder::epoch::EpochFile;
pub use folder::{DataFolder, ServiceLock};
pub use migrations::{MigrationSet, SqlFile};
pub use secrets::{Place, Vault};
pub use store::{Health, Store};
