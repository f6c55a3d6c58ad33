//! What an operator does to one service's store from the command line: look at the schema, migrate, back up, restore,
//! copy to PostgreSQL, verify and export the audit log. Whatever changes something takes the service's lock first, so that
//! it never works under a running service of this folder. Prints nothing: the command line does.

use std::io::Write;
use std::path::Path;

use crate::audit::{self, Verified};
use crate::config::{ServiceName, StorageConfig};
use crate::database::Database;
use crate::error::StoreError;
use crate::folder::DataFolder;
use crate::migrations::backup::{self, Backup};
use crate::migrations::{self, MigrationSet, Status, UpOptions, Upgraded};
use crate::secrets::Vault;

mod copy;

pub use copy::Copied;

/// One service's store, for operators.
#[derive(Debug)]
pub struct Operator<'c> {
    config: &'c StorageConfig,
    service: ServiceName,
    set: &'c MigrationSet,
    folder: DataFolder,
}

impl<'c> Operator<'c> {
    /// Opens the data folder, not the database.
    ///
    /// # Errors
    /// When the folder cannot be made or used; see [`DataFolder::open`].
    pub fn new(config: &'c StorageConfig, service: ServiceName, set: &'c MigrationSet) -> Result<Self, StoreError> {
        Ok(Self { config, service, set, folder: DataFolder::open(&config.path)? })
    }

    /// `bist migrate status`: what the schema is against what this program knows. Also beside a running service.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn status(&self) -> Result<Status, StoreError> {
        migrations::status(self.config, self.service, &self.folder, self.set).await
    }

    /// `bist migrate up`: backs up, verifies the back-up, migrates.
    ///
    /// # Errors
    /// [`StoreError::Locked`] while the service runs on this folder; those of [`migrations::up`].
    pub async fn up(&self, options: UpOptions) -> Result<Upgraded, StoreError> {
        let _stopped = self.folder.lock(self.service)?;
        migrations::up(self.config, self.service, &self.folder, self.set, options).await
    }

    /// `bist migrate backup`: a back-up that was read back, in the folder's `backups`. Also beside a running service.
    ///
    /// # Errors
    /// Those of [`backup::backup`].
    pub async fn backup(&self) -> Result<Backup, StoreError> {
        backup::backup(self.config, self.service, &self.folder).await
    }

    /// `bist migrate restore FILE`: puts a back-up in the database's place and keeps what was there beside it. Returns the
    /// rows of each table.
    ///
    /// # Errors
    /// [`StoreError::Locked`] while the service runs on this folder, [`StoreError::Corrupt`] for a file that is not a
    /// whole back-up.
    pub async fn restore(&self, file: &Path) -> Result<Vec<(String, i64)>, StoreError> {
        let stopped = self.folder.lock(self.service)?;
        match &self.config.postgres_url {
            None => backup::restore_sqlite(&self.folder, self.service, &stopped, file).await,
            Some(url) => backup::restore_postgres(url, self.service, file).await,
        }
    }

    /// `bist migrate copy`: SQLite in the folder to an empty schema on `storage.postgres_url`, whole or not at all. Rows
    /// are counted and checksums of every table compared before anything is committed. The SQLite file stays as it was.
    ///
    /// # Errors
    /// [`StoreError::Locked`] while the service runs on this folder, [`StoreError::Refused`] without a server, when the
    /// server's schema has tables already, or for a column that cannot be copied; [`StoreError::Corrupt`] when what
    /// arrived is not what was sent.
    pub async fn copy(&self) -> Result<Vec<Copied>, StoreError> {
        let _stopped = self.folder.lock(self.service)?;
        copy::copy(self.config, self.service, self.set, &self.folder).await
    }

    /// `bist migrate rotate-keys`: a new master key, under which every data key is wrapped anew. Returns how many were. The
    /// service must be stopped, because it holds the master keys in memory.
    ///
    /// # Errors
    /// [`StoreError::Locked`] while the service runs on this folder; those of [`Vault::rotate`].
    pub async fn rotate_keys(&self) -> Result<u64, StoreError> {
        let _stopped = self.folder.lock(self.service)?;
        let database = self.database().await?;
        let vault = Vault::open(self.config, self.service, &self.folder, &database).await?;
        let wrapped = vault.rotate(&database).await;
        database.close(std::time::Duration::from_secs(1)).await;
        wrapped
    }

    /// `bist audit verify`: walks the chain, names the first row that was changed, deleted or reordered. Also beside a
    /// running service. A fault is in the answer, not an error.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn audit_verify(&self) -> Result<Verified, StoreError> {
        let database = self.database().await?;
        let verified = audit::verify(&database).await;
        database.close(std::time::Duration::from_secs(1)).await;
        verified
    }

    /// `bist audit export`: the whole log as JSON lines, oldest first. Returns the number of rows.
    ///
    /// # Errors
    /// When the database does not answer or `out` takes no more.
    pub async fn audit_export(&self, out: &mut (impl Write + Send)) -> Result<i64, StoreError> {
        let database = self.database().await?;
        let rows = audit::export(&database, out).await;
        database.close(std::time::Duration::from_secs(1)).await;
        rows
    }

    /// The database, when its schema is one that this program knows.
    async fn database(&self) -> Result<Database, StoreError> {
        self.status().await?.check_current(self.service)?;
        Database::connect(self.config, self.service, &self.folder).await
    }
}
