//! How the databases are opened: pools for services, single connections for migrations, back-ups and copies. No
//! password of a URL gets into an error's words.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::pool::{Pool, PoolOptions};
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{PgConnection, Postgres, Sqlite, SqliteConnection};
use tokio::time::timeout;

use super::Pools;
use crate::config::{ServiceName, StorageConfig};
use crate::error::StoreError;
use crate::folder::DataFolder;

/// How SQLite is opened, by the pools and by everything that looks at the file alone.
pub(crate) fn sqlite_options(path: &std::path::Path, busy_timeout: Duration) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false) // made by us before, with 0600
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full) // in WAL mode NORMAL loses acknowledged transactions with the power
        .foreign_keys(true)
        .busy_timeout(busy_timeout)
        .pragma("secure_delete", "ON") // a shredded key must not stay in a free page
        .pragma("trusted_schema", "OFF")
}

/// The file of a service.
pub(crate) fn sqlite_path(folder: &DataFolder, service: ServiceName) -> std::path::PathBuf {
    folder.path().join(format!("{service}.sqlite"))
}

pub(super) async fn sqlite_pools(
    config: &StorageConfig,
    service: ServiceName,
    folder: &DataFolder,
) -> Result<Pools, StoreError> {
    let path = sqlite_path(folder, service);
    folder.touch(&path)?;
    let options = sqlite_options(&path, config.deadline);
    let pool = || PoolOptions::<Sqlite>::new().acquire_timeout(config.deadline).idle_timeout(None).max_lifetime(None);
    // Connections are opened when they are needed; the writer first, because it makes the file a database.
    let writer = pool().max_connections(1).connect_with(options.clone()).await?;
    let readers = pool().max_connections(config.connections_max).connect_lazy_with(options.read_only(true));
    Ok(Pools::Sqlite { writer, readers })
}

/// How PostgreSQL is reached: everything that a service says is in its own schema.
pub(crate) fn postgres_options(url: &SecretString, service: ServiceName) -> Result<PgConnectOptions, StoreError> {
    let options: PgConnectOptions = url
        .expose_secret()
        .parse()
        // Without sqlx's words, which may quote the URL and with it the password.
        .map_err(|_| StoreError::Refused("storage.postgres_url is not a URL of PostgreSQL".to_owned()))?;
    Ok(options.application_name(&format!("bist {service}")).options([("search_path", service.as_str())]))
}

pub(super) async fn postgres_pool(
    config: &StorageConfig,
    service: ServiceName,
    url: &SecretString,
) -> Result<Pool<Postgres>, StoreError> {
    let lock_ms = config.deadline.as_millis().to_string();
    let options = postgres_options(url, service)?.options([
        // The server's own end of what we gave up: it must not hold locks for a caller that is gone.
        ("statement_timeout", "5000"),
        ("idle_in_transaction_session_timeout", "5000"),
        ("lock_timeout", lock_ms.as_str()),
    ]);
    let pool = PoolOptions::<Postgres>::new()
        .max_connections(config.connections_max)
        .acquire_timeout(config.deadline)
        .max_lifetime(Duration::from_secs(30 * 60)); // after a fail-over behind one name nobody stays with the old
    Ok(pool.connect_with(options).await?)
}

/// One connection of its own without deadlines on statements: migrations, back-ups.
#[derive(Debug)]
pub(crate) enum Single {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Single {
    pub(crate) async fn open(
        config: &StorageConfig,
        service: ServiceName,
        folder: &DataFolder,
    ) -> Result<Self, StoreError> {
        use sqlx::ConnectOptions;
        let connect = async {
            match &config.postgres_url {
                Some(url) => {
                    let options = postgres_options(url, service)?.options([("lock_timeout", "30000")]);
                    Ok(Self::Postgres(options.connect().await?))
                }
                None => {
                    let path = sqlite_path(folder, service);
                    folder.touch(&path)?;
                    Ok(Self::Sqlite(sqlite_options(&path, Duration::from_secs(30)).connect().await?))
                }
            }
        };
        timeout(Duration::from_secs(5), connect).await.unwrap_or_else(|_| Err(StoreError::away("the database")))
    }

    pub(crate) async fn close(self) {
        use sqlx::Connection;
        let close = async {
            match self {
                Self::Sqlite(connection) => connection.close().await,
                Self::Postgres(connection) => connection.close().await,
            }
        };
        // OK because nothing is left to be said to the database; one that does not answer is left behind.
        let _ = timeout(Duration::from_secs(5), close).await;
    }
}
