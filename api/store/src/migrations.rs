//! Versions of a service's schema: which are applied, which are to come, and taking the step with a back-up before it.
//! One set for each database. Never steps back: going back is restoring the back-up. Never runs twice at once.

use std::borrow::Cow;
use std::time::Duration;

use sqlx::migrate::{AppliedMigration, Migrate, MigrateError, Migration, MigrationType};
use sqlx::{AssertSqlSafe, SqlSafeStr};

use crate::config::{ServiceName, StorageConfig};
use crate::database::{Kind, Single};
use crate::error::StoreError;
use crate::folder::DataFolder;

pub mod backup;

use backup::Backup;

/// sqlx's own table, so that its tools understand it too.
const TABLE: &str = "_sqlx_migrations";

/// How long a second starter waits for the first to migrate.
const LOCK_WAIT: Duration = Duration::from_secs(60);

/// The versions up to here are this crate's; a service's begin above.
pub const STORE_VERSION_MAX: i64 = 999;

/// One file of SQL. Applied once, in one transaction, and never changed afterwards: its checksum is kept.
#[derive(Clone, Copy, Debug)]
pub struct SqlFile {
    /// Above [`STORE_VERSION_MAX`] in a service's set; applied in ascending order.
    pub version: i64,
    /// For people.
    pub name: &'static str,
    /// The statements.
    pub sql: &'static str,
}

/// What this crate's own tables are made by.
const STORE: MigrationSet = MigrationSet {
    sqlite: &[SqlFile { version: 1, name: "store", sql: include_str!("../migrations/sqlite/0001_store.sql") }],
    postgres: &[SqlFile { version: 1, name: "store", sql: include_str!("../migrations/postgres/0001_store.sql") }],
};

/// A service's migrations, the same versions for each database.
#[derive(Clone, Copy, Debug)]
pub struct MigrationSet {
    /// For SQLite.
    pub sqlite: &'static [SqlFile],
    /// For PostgreSQL.
    pub postgres: &'static [SqlFile],
}

impl MigrationSet {
    /// A service with no tables of its own.
    pub const NONE: Self = Self { sqlite: &[], postgres: &[] };

    fn for_kind(&self, kind: Kind) -> Result<Vec<Migration>, StoreError> {
        let of = |set: &Self| match kind {
            Kind::Sqlite => set.sqlite,
            Kind::Postgres => set.postgres,
        };
        if let Some(low) = of(self).iter().find(|file| file.version <= STORE_VERSION_MAX) {
            return Err(StoreError::Fault(format!("migration {} of a service is not above 999", low.version)));
        }
        let mut all: Vec<_> = of(&STORE).iter().chain(of(self)).map(SqlFile::migration).collect();
        all.sort_by_key(|migration| migration.version);
        match all.windows(2).find(|pair| pair[0].version == pair[1].version) {
            Some(pair) => Err(StoreError::Fault(format!("migration {} is there twice", pair[0].version))),
            None => Ok(all),
        }
    }
}

impl SqlFile {
    fn migration(&self) -> Migration {
        let simple = MigrationType::Simple;
        Migration::new(self.version, Cow::Borrowed(self.name), simple, self.sql.into_sql_str(), false)
    }
}

/// What a schema is, against what this program knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Versions that are applied, ascending.
    pub applied: Vec<i64>,
    /// Versions to come, ascending.
    pub pending: Vec<i64>,
    /// Applied, and not known to this program.
    pub unknown: Vec<i64>,
    /// Applied from another text than this program's.
    pub changed: Vec<i64>,
    /// Begun and not ended.
    pub half_applied: Option<i64>,
}

impl Status {
    /// Refuses, with words, every schema that this program must not touch; one that is merely older passes.
    pub fn check(&self, service: ServiceName) -> Result<(), StoreError> {
        let damaged = |what: String, remedy: &str| Err(StoreError::Corrupt { what, remedy: remedy.to_owned() });
        if let Some(version) = self.half_applied {
            return damaged(
                format!("the schema of {service} (migration {version} is half applied)"),
                "stop, restore the back-up that was made before it, then run `bist migrate up`",
            );
        }
        if let Some(&version) = self.unknown.first() {
            return Err(StoreError::SchemaNewer { service: service.as_str(), version });
        }
        if let Some(version) = self.changed.first() {
            return damaged(
                format!("the schema of {service} (migration {version} was applied from another text)"),
                "start the program that made it, or restore a back-up",
            );
        }
        Ok(())
    }

    /// As [`Status::check`], and refuses an older schema as well.
    pub fn check_current(&self, service: ServiceName) -> Result<(), StoreError> {
        self.check(service)?;
        match self.pending.len() {
            0 => Ok(()),
            pending => Err(StoreError::SchemaOlder { service: service.as_str(), pending }),
        }
    }
}

/// How [`up`] goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpOptions {
    /// Go on without a back-up when none can be made (PostgreSQL without `pg_dump`): somebody has made one elsewhere.
    pub without_backup: bool,
}

/// What [`up`] did.
#[derive(Clone, Debug, Default)]
pub struct Upgraded {
    /// Versions applied now, ascending; empty when there was nothing to do.
    pub applied: Vec<i64>,
    /// The back-up made before, unless the schema was empty or none was wanted.
    pub backup: Option<Backup>,
}

/// What a schema is. Changes nothing, but for an empty file when there was no SQLite database.
pub async fn status(
    config: &StorageConfig,
    service: ServiceName,
    folder: &DataFolder,
    set: &MigrationSet,
) -> Result<Status, StoreError> {
    let mut single = Single::open(config, service, folder).await?;
    let status = single.status(&set.for_kind(single.kind())?).await;
    single.close().await;
    status
}

/// Backs up, verifies the back-up, and applies what is pending. One at a time: a second one waits and finds it done.
///
/// # Errors
/// Every refusal of [`Status::check`]; a back-up that cannot be made or verified; the migration's own error, after which
/// the schema is as before it.
pub async fn up(
    config: &StorageConfig,
    service: ServiceName,
    folder: &DataFolder,
    set: &MigrationSet,
    options: UpOptions,
) -> Result<Upgraded, StoreError> {
    let mut single = Single::open(config, service, folder).await?;
    // SQLite knows no lock that outlives a transaction, and a back-up cannot run inside one: hence a file.
    let lock_name = format!("{service}.migrate.lock");
    let _lock = match single.kind() {
        Kind::Sqlite => {
            let folder = folder.clone();
            let wait = tokio::task::spawn_blocking(move || folder.wait_for_lock(&lock_name, LOCK_WAIT));
            Some(wait.await.map_err(|error| StoreError::Fault(error.to_string()))??)
        }
        Kind::Postgres => None,
    };
    single.create_schema(service).await?;
    single.lock().await?;
    let done = single.up_locked(config, service, folder, set, options).await;
    single.unlock().await;
    single.close().await;
    done
}

impl Single {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Sqlite(_) => Kind::Sqlite,
            Self::Postgres(_) => Kind::Postgres,
        }
    }

    async fn up_locked(
        &mut self,
        config: &StorageConfig,
        service: ServiceName,
        folder: &DataFolder,
        set: &MigrationSet,
        options: UpOptions,
    ) -> Result<Upgraded, StoreError> {
        let migrations = set.for_kind(self.kind())?;
        self.quick_check().await?;
        let status = self.status(&migrations).await?;
        status.check(service)?;
        if status.pending.is_empty() {
            return Ok(Upgraded::default());
        }
        let backup = match self.tables().await?.is_empty() {
            true => None,
            false => match backup::make(self, config, service, folder).await {
                Ok(backup) => Some(backup),
                Err(StoreError::Refused(reason)) if options.without_backup => {
                    tracing::warn!(%service, reason, "migrating without a back-up, as told");
                    None
                }
                Err(error) => return Err(error),
            },
        };
        for migration in migrations.iter().filter(|migration| status.pending.contains(&migration.version)) {
            self.apply(migration).await?;
            tracing::info!(%service, version = migration.version, name = %migration.description, "migrated");
        }
        Ok(Upgraded { applied: status.pending, backup })
    }

    /// The schema's state against a list of migrations.
    pub(crate) async fn status(&mut self, migrations: &[Migration]) -> Result<Status, StoreError> {
        let (applied, half_applied) = match self.tables().await?.iter().any(|table| table == TABLE) {
            true => self.applied().await?,
            false => (Vec::new(), None),
        };
        let known = |version| migrations.iter().find(|migration| migration.version == version);
        let mut status = Status { half_applied, ..Status::default() };
        for AppliedMigration { version, checksum } in &applied {
            status.applied.push(*version);
            match known(*version) {
                None => status.unknown.push(*version),
                Some(migration) if migration.checksum != *checksum => status.changed.push(*version),
                Some(_) => {}
            }
        }
        let to_come = migrations.iter().map(|migration| migration.version);
        status.pending = to_come.filter(|version| !status.applied.contains(version)).collect();
        Ok(status)
    }

    async fn applied(&mut self) -> Result<(Vec<AppliedMigration>, Option<i64>), StoreError> {
        let found = async {
            Ok(match self {
                Self::Sqlite(c) => (c.list_applied_migrations(TABLE).await?, c.dirty_version(TABLE).await?),
                Self::Postgres(c) => (c.list_applied_migrations(TABLE).await?, c.dirty_version(TABLE).await?),
            })
        };
        found.await.map_err(migrate_error)
    }

    async fn apply(&mut self, migration: &Migration) -> Result<(), StoreError> {
        let apply = async {
            match self {
                Self::Sqlite(c) => {
                    c.ensure_migrations_table(TABLE).await?;
                    c.apply(TABLE, migration).await
                }
                Self::Postgres(c) => {
                    c.ensure_migrations_table(TABLE).await?;
                    c.apply(TABLE, migration).await
                }
            }
        };
        apply.await.map(drop).map_err(migrate_error)
    }

    async fn create_schema(&mut self, service: ServiceName) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(c) => c.create_schema_if_not_exists(service.as_str()).await.map_err(migrate_error),
        }
    }

    async fn lock(&mut self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(c) => c.lock().await.map_err(migrate_error),
        }
    }

    async fn unlock(&mut self) {
        if let Self::Postgres(c) = self {
            // OK because the lock ends with the connection too, which is closed next.
            let _ = c.unlock().await;
        }
    }

    /// The tables of the service, sorted.
    pub(crate) async fn tables(&mut self) -> Result<Vec<String>, StoreError> {
        Ok(match self {
            Self::Sqlite(c) => {
                let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' \
                              ESCAPE '\\' ORDER BY name";
                sqlx::query_scalar(tables).fetch_all(c).await?
            }
            Self::Postgres(c) => {
                let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1";
                sqlx::query_scalar(tables).fetch_all(c).await?
            }
        })
    }

    /// Rows of each table.
    pub(crate) async fn rows(&mut self) -> Result<Vec<(String, i64)>, StoreError> {
        let mut rows = Vec::new();
        for table in self.tables().await? {
            // OK because the name comes from the schema itself and is quoted; nothing can be bound in its place.
            let count = AssertSqlSafe(format!("SELECT count(*) FROM \"{}\"", table.replace('"', "\"\"")));
            let count: i64 = match self {
                Self::Sqlite(c) => sqlx::query_scalar(count).fetch_one(c).await?,
                Self::Postgres(c) => sqlx::query_scalar(count).fetch_one(c).await?,
            };
            rows.push((table, count));
        }
        Ok(rows)
    }

    /// Reads the whole SQLite file for pages that are not what they should be; PostgreSQL has its own checksums.
    pub(crate) async fn quick_check(&mut self) -> Result<(), StoreError> {
        let Self::Sqlite(c) = self else { return Ok(()) };
        let lines: Vec<String> = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_all(c).await?;
        match lines.first().map(String::as_str) {
            Some("ok") | None => Ok(()),
            Some(line) => Err(StoreError::Corrupt {
                what: format!("the database file ({line})"),
                remedy: "stop, keep the file, restore the last back-up".to_owned(),
            }),
        }
    }
}

fn migrate_error(error: MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(error) => error.into(),
        MigrateError::ExecuteMigration(error, version) => match StoreError::from(error) {
            StoreError::Fault(text) => StoreError::Fault(format!("migration {version}: {text}")),
            StoreError::Refused(text) => StoreError::Refused(format!("migration {version}: {text}")),
            other => other,
        },
        other => StoreError::Fault(other.to_string()),
    }
}
