//! Everything that one service keeps, opened in the order in which it is safe. Refuses to open what this program must not
//! touch, and says what to do.

use crate::cache::Cache;
use crate::config::{ServiceName, StorageConfig};
use crate::database::{Database, Kind};
use crate::error::StoreError;
use crate::folder::{DataFolder, ServiceLock};
use crate::migrations::{self, MigrationSet, UpOptions};
use crate::secrets::Vault;

/// The stores of one service.
#[derive(Debug)]
pub struct Store {
    /// The data folder.
    pub folder: DataFolder,
    /// The database.
    pub database: Database,
    /// Keys of what is encrypted at rest.
    pub vault: Vault,
    /// Rate limits and short-lived values.
    pub cache: Cache,
    /// Held until the process ends or this is dropped; `None` beside the process that has it.
    _lock: Option<ServiceLock>,
}

/// How each store is.
#[derive(Debug)]
pub struct Health {
    /// Which kind of database.
    pub kind: Kind,
    /// Whether it answers.
    pub database: Result<(), StoreError>,
    /// Redis is configured and away: limits are local and halved.
    pub cache_degraded: bool,
}

impl Store {
    /// Opens all of it. SQLite migrates by itself, after a back-up; on PostgreSQL an older schema is refused.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::SchemaOlder`], [`StoreError::SchemaNewer`], [`StoreError::Corrupt`]: the
    /// service must not start. [`StoreError::Unavailable`]: PostgreSQL is away, and may be there later.
    pub async fn open(config: &StorageConfig, service: ServiceName, set: &MigrationSet) -> Result<Self, StoreError> {
        let folder = DataFolder::open(&config.path)?;
        let lock = Some(folder.lock(service)?);
        match config.postgres_url {
            // Also reads the file for damaged pages, migrated or not.
            None => drop(migrations::up(config, service, &folder, set, UpOptions::default()).await?),
            Some(_) => migrations::status(config, service, &folder, set).await?.check_current(service)?,
        }
        Self::connect(config, service, folder, lock).await
    }

    /// Opens all of it beside a process that has the lock, for one command of an operator. Never migrates.
    ///
    /// # Errors
    /// [`StoreError::SchemaOlder`], [`StoreError::SchemaNewer`], [`StoreError::Unavailable`].
    pub async fn open_beside(
        config: &StorageConfig,
        service: ServiceName,
        set: &MigrationSet,
    ) -> Result<Self, StoreError> {
        let folder = DataFolder::open(&config.path)?;
        migrations::status(config, service, &folder, set).await?.check_current(service)?;
        Self::connect(config, service, folder, None).await
    }

    async fn connect(
        config: &StorageConfig,
        service: ServiceName,
        folder: DataFolder,
        lock: Option<ServiceLock>,
    ) -> Result<Self, StoreError> {
        let database = Database::connect(config, service, &folder).await?;
        let vault = Vault::open(config, service, &folder, &database).await?;
        let cache = Cache::open(config)?;
        Ok(Self { folder, database, vault, cache, _lock: lock })
    }

    /// How each store is, within half a second.
    pub async fn health(&self) -> Health {
        Health {
            kind: self.database.kind(),
            database: self.database.health().await,
            cache_degraded: self.cache.is_degraded(),
        }
    }
}
