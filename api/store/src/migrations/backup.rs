//! Back-ups of one service's database, and their restoration. A back-up counts only when it was read back: whole, and
//! with as many rows in each table as the database had at that moment. Never deletes one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use secrecy::{ExposeSecret, SecretString};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::config::{ServiceName, StorageConfig};
use crate::database::{Single, postgres_options, sqlite_options, sqlite_path};
use crate::error::StoreError;
use crate::folder::{DataFolder, ServiceLock};

/// A back-up that was read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// The file, 0600: a SQLite database, or `pg_dump`'s custom format.
    pub path: PathBuf,
    /// Rows of each table, sorted by name.
    pub rows: Vec<(String, i64)>,
}

/// Makes a back-up in the data folder's `backups`, beside running services if need be.
///
/// # Errors
/// [`StoreError::Refused`] when PostgreSQL's `pg_dump` is not installed or refuses; [`StoreError::Corrupt`] when what was
/// written is not what is there.
pub async fn backup(config: &StorageConfig, service: ServiceName, folder: &DataFolder) -> Result<Backup, StoreError> {
    let mut single = Single::open(config, service, folder).await?;
    let backup = make(&mut single, config, service, folder).await;
    single.close().await;
    backup
}

pub(super) async fn make(
    single: &mut Single,
    config: &StorageConfig,
    service: ServiceName,
    folder: &DataFolder,
) -> Result<Backup, StoreError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let ending = if config.postgres_url.is_none() { "sqlite" } else { "pgdump" };
    // Milliseconds: two in a second must not share a name. Sorted by name is sorted by time.
    let path = folder.folder("backups")?.join(format!("{service}-{}.{ending}", now.as_millis()));
    folder.touch(&path)?;
    let made = match &config.postgres_url {
        None => sqlite(single, service, folder, &path).await,
        Some(url) => postgres(single, url, service, &path).await,
    };
    match made.and_then(|rows| durable(&path).map(|()| rows)) {
        Ok(rows) => Ok(Backup { path, rows }),
        Err(error) => {
            // Half a back-up must not be taken for one.
            let _ = std::fs::remove_file(&path);
            Err(error)
        }
    }
}

fn durable(path: &Path) -> Result<(), StoreError> {
    let sync = |path: &Path| std::fs::File::open(path).and_then(|file| file.sync_all());
    sync(path).and_then(|()| path.parent().map_or(Ok(()), sync)).map_err(|error| StoreError::file(path, error))
}

type Rows = Vec<(String, i64)>;

async fn sqlite(
    single: &mut Single,
    service: ServiceName,
    folder: &DataFolder,
    path: &Path,
) -> Result<Rows, StoreError> {
    // The other connection holds writers off, so that what is counted is what is copied.
    let hold = sqlite_options(&sqlite_path(folder, service), Duration::from_secs(30));
    let mut holder = hold.connect().await?;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut holder).await?;
    let copy = async {
        let Single::Sqlite(connection) = &mut *single else { return Ok(Vec::new()) };
        sqlx::query("VACUUM INTO $1").bind(path.to_string_lossy().into_owned()).execute(connection).await?;
        single.rows().await
    };
    let rows = copy.await;
    let _ = holder.close().await; // OK because nothing was written in it
    let (rows, read_back) = (rows?, verify_sqlite(path).await?);
    same_rows(path, &rows, &read_back)?;
    Ok(rows)
}

/// Reads a SQLite back-up whole: its pages, its indices, its rows.
///
/// # Errors
/// [`StoreError::Corrupt`] when it is not whole.
pub async fn verify_sqlite(path: &Path) -> Result<Vec<(String, i64)>, StoreError> {
    let damaged = |line: String| StoreError::Corrupt {
        what: format!("the back-up {} ({line})", path.display()),
        remedy: "do not use it; make or take another".to_owned(),
    };
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).read_only(true);
    let mut connection: SqliteConnection = options.connect().await.map_err(|error| damaged(error.to_string()))?;
    let lines: Result<Vec<String>, _> = sqlx::query_scalar("PRAGMA integrity_check").fetch_all(&mut connection).await;
    match lines.map_err(|error| damaged(error.to_string()))?.first() {
        Some(line) if line != "ok" => return Err(damaged(line.clone())),
        _ => {}
    }
    let mut single = Single::Sqlite(connection);
    let rows = single.rows().await.map_err(|error| damaged(error.to_string()));
    single.close().await;
    match rows {
        Ok(rows) if rows.is_empty() => Err(damaged("no table in it".to_owned())),
        other => other,
    }
}

fn same_rows(path: &Path, expected: &Rows, found: &Rows) -> Result<(), StoreError> {
    if expected == found {
        return Ok(());
    }
    Err(StoreError::Corrupt {
        what: format!("the back-up {} (its rows are not the database's)", path.display()),
        remedy: "make it again; if that fails look at the disk".to_owned(),
    })
}

/// Puts a SQLite back-up in the place of the service's database. The lock shows that nobody uses it.
///
/// The database that was there stays beside it with the ending `.replaced`.
pub async fn restore_sqlite(
    folder: &DataFolder,
    service: ServiceName,
    _lock: &ServiceLock,
    backup: &Path,
) -> Result<Vec<(String, i64)>, StoreError> {
    let expected = verify_sqlite(backup).await?;
    let target = sqlite_path(folder, service);
    let temporary = target.with_extension("sqlite.new");
    let copy = || {
        let _ = std::fs::remove_file(&temporary);
        folder.touch(&temporary).map_err(std::io::Error::other)?;
        std::fs::copy(backup, &temporary).map(drop)
    };
    copy().map_err(|error| StoreError::file(&temporary, error))?;
    durable(&temporary)?;
    same_rows(&temporary, &expected, &verify_sqlite(&temporary).await?)?;
    // With its time, so that a second restoration does not take the place of what the first one put aside.
    let aside_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis();
    let replace = || {
        for ending in ["sqlite", "sqlite-wal", "sqlite-shm"] {
            let file = target.with_extension(ending);
            match std::fs::rename(&file, target.with_extension(format!("{ending}.replaced-{aside_ms}"))) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        std::fs::rename(&temporary, &target)
    };
    replace().map_err(|error| StoreError::file(&target, error))?;
    durable(&target)?;
    Ok(expected)
}

async fn postgres(
    single: &mut Single,
    url: &SecretString,
    service: ServiceName,
    path: &Path,
) -> Result<Rows, StoreError> {
    // One snapshot for the dump and for the count.
    let snapshot = single.export_snapshot().await?;
    let rows = match pg_dump(url, service, &snapshot, path).await {
        Ok(()) => single.rows().await,
        Err(error) => Err(error),
    };
    single.end_snapshot().await?;
    let rows = rows?;
    same_rows(path, &rows, &verify_postgres(path).await?)?;
    Ok(rows)
}

impl Single {
    async fn export_snapshot(&mut self) -> Result<String, StoreError> {
        let Self::Postgres(c) = self else { return Ok(String::new()) };
        sqlx::query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").execute(&mut *c).await?;
        Ok(sqlx::query_scalar("SELECT pg_export_snapshot()").fetch_one(c).await?)
    }

    async fn end_snapshot(&mut self) -> Result<(), StoreError> {
        let Self::Postgres(c) = self else { return Ok(()) };
        sqlx::query("ROLLBACK").execute(c).await?;
        Ok(())
    }
}

async fn pg_dump(url: &SecretString, service: ServiceName, snapshot: &str, path: &Path) -> Result<(), StoreError> {
    let mut command = Command::new("pg_dump");
    command
        .args(["--format=custom", "--no-owner", "--no-privileges"])
        .arg(format!("--schema={service}"))
        .arg(format!("--snapshot={snapshot}"))
        .arg("--file")
        .arg(path);
    libpq_environment(&mut command, url)?;
    run(command, "pg_dump").await.map(drop)
}

/// A URL on a command line shows its password to everybody on the machine; the environment does not.
fn libpq_environment(command: &mut Command, url: &SecretString) -> Result<(), StoreError> {
    let bad = || StoreError::Refused("storage.postgres_url is not a URL of PostgreSQL".to_owned());
    let url = url::Url::parse(url.expose_secret()).map_err(|_| bad())?;
    let plain = |text: &str| {
        url::form_urlencoded::parse(format!("v={}", text.replace('+', "%2B").replace('&', "%26")).as_bytes())
            .next()
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default()
    };
    let mut set = |name: &str, value: &str| {
        if !value.is_empty() {
            command.env(name, plain(value));
        }
    };
    set("PGHOST", url.host_str().unwrap_or_default());
    set("PGPORT", &url.port().map(|port| port.to_string()).unwrap_or_default());
    set("PGUSER", url.username());
    set("PGPASSWORD", url.password().unwrap_or_default());
    set("PGDATABASE", url.path().trim_start_matches('/'));
    for (name, value) in url.query_pairs() {
        match &*name {
            "host" => command.env("PGHOST", &*value),
            "port" => command.env("PGPORT", &*value),
            "user" => command.env("PGUSER", &*value),
            "password" => command.env("PGPASSWORD", &*value),
            "dbname" => command.env("PGDATABASE", &*value),
            "sslmode" => command.env("PGSSLMODE", &*value),
            "sslrootcert" => command.env("PGSSLROOTCERT", &*value),
            _ => continue,
        };
    }
    Ok(())
}

async fn run(mut command: Command, name: &str) -> Result<Vec<u8>, StoreError> {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output = output.map_err(|error| not_installed(name, &error))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(StoreError::Refused(format!("{name}: {}", words.trim().lines().next_back().unwrap_or("failed"))))
}

fn not_installed(name: &str, error: &std::io::Error) -> StoreError {
    StoreError::Refused(format!(
        "{name} cannot be run ({error}): install PostgreSQL's client, or make a back-up yourself and say \
         `--without-backup`"
    ))
}

/// Reads a PostgreSQL back-up whole and counts its rows, without a server: `pg_restore` writes it as text.
///
/// # Errors
/// [`StoreError::Corrupt`] when it cannot be read to its end.
pub async fn verify_postgres(path: &Path) -> Result<Vec<(String, i64)>, StoreError> {
    let mut command = Command::new("pg_restore");
    command.args(["--file=-"]).arg(path).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.kill_on_drop(true).spawn().map_err(|error| not_installed("pg_restore", &error))?;
    let failed = |error: std::io::Error| StoreError::file(path, error);
    let Some(stdout) = child.stdout.take() else {
        return Err(StoreError::Fault("pg_restore without an output".to_owned()));
    };
    let mut lines = BufReader::new(stdout).split(b'\n');
    let (mut rows, mut table) = (BTreeMap::<String, i64>::new(), None::<String>);
    while let Some(line) = lines.next_segment().await.map_err(failed)? {
        match &table {
            Some(_) if line == b"\\." => table = None,
            Some(name) => *rows.entry(name.clone()).or_default() += 1,
            None => {
                table = copied_table(&line);
                if let Some(name) = &table {
                    rows.entry(name.clone()).or_default();
                }
            }
        }
    }
    let status = child.wait().await.map_err(failed)?;
    if !status.success() || rows.is_empty() || table.is_some() {
        return Err(StoreError::Corrupt {
            what: format!("the back-up {}", path.display()),
            remedy: "do not use it; make or take another".to_owned(),
        });
    }
    Ok(rows.into_iter().collect())
}

/// `COPY users.outbox (position, …) FROM stdin;` → `outbox`.
fn copied_table(line: &[u8]) -> Option<String> {
    let line = std::str::from_utf8(line).ok()?;
    let rest = line.strip_prefix("COPY ")?.strip_suffix(" FROM stdin;")?;
    let name = rest.split(" (").next()?.rsplit('.').next()?;
    Some(name.trim_matches('"').to_owned())
}

/// Puts a PostgreSQL back-up in the place of the service's schema. The services must be stopped.
///
/// The schema that was there stays beside it as `SERVICE_replaced_MILLISECONDS`, and comes back when the restoration
/// fails.
pub async fn restore_postgres(
    url: &SecretString,
    service: ServiceName,
    backup: &Path,
) -> Result<Vec<(String, i64)>, StoreError> {
    let rows = verify_postgres(backup).await?;
    let mut connection = postgres_options(url, service)?.connect().await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let aside = format!("{service}_replaced_{}", now.as_millis());
    // OK because a service's name is a-z and _ alone; nothing can be bound in its place.
    let rename = |from: &str, to: &str| sqlx::AssertSqlSafe(format!("ALTER SCHEMA {from} RENAME TO {to}"));
    sqlx::query(rename(service.as_str(), &aside)).execute(&mut connection).await?;
    let restored = pg_restore(url, backup).await;
    if restored.is_err() {
        sqlx::query(rename(&aside, service.as_str())).execute(&mut connection).await?;
    }
    let _ = connection.close().await; // OK because each statement stood for itself
    restored.map(|()| rows)
}

/// One transaction: the schema is there whole, or not at all.
async fn pg_restore(url: &SecretString, backup: &Path) -> Result<(), StoreError> {
    let mut command = Command::new("pg_restore");
    command.args(["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges"]);
    libpq_environment(&mut command, url)?;
    let database = url::Url::parse(url.expose_secret()).ok();
    let database = database.map(|url| url.path().trim_start_matches('/').to_owned()).unwrap_or_default();
    command.arg(format!("--dbname={database}")).arg(backup);
    run(command, "pg_restore").await.map(drop)
}
