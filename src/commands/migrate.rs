//! `bist migrate` and `bist audit`: what an operator does to the databases, service by service, said in words. Holds no SQL.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, ensure};
use api::store::migrations::{Status, UpOptions};
use api::store::operate::Operator;
use api::store::{MigrationSet, ServiceName, StorageConfig, StoreError};

use super::stdout;
use crate::cli::{AuditAction, AuditArgs, MigrateAction, MigrateArgs};
use crate::platform::accounts;
use crate::settings::Settings;

/// Exit code of a check that found something.
const FOUND: u8 = 3;

/// Every service with a database.
const SERVICES: [(ServiceName, MigrationSet); 1] = [(api::users::schema::SERVICE, api::users::schema::MIGRATIONS)];

/// Does it.
///
/// # Errors
/// Nothing is kept, a database does not answer, a service runs where it must not.
pub fn run(arguments: &MigrateArgs, settings: &Settings) -> Result<ExitCode> {
    let config = stores(settings)?;
    on_a_runtime(async {
        let mut code = ExitCode::SUCCESS;
        let wanted = |service: &ServiceName| match &arguments.action {
            MigrateAction::Restore { service: one, .. } => service.as_str() == one,
            _ => true,
        };
        let chosen: Vec<_> = SERVICES.into_iter().filter(|(service, _)| wanted(service)).collect();
        ensure!(
            !chosen.is_empty(),
            "--service: no such service; there is {}",
            SERVICES.map(|(name, _)| name.as_str()).join(", ")
        );
        for (service, set) in chosen {
            let operator = Operator::new(&config, service, &set).map_err(|error| advise(service, &error))?;
            let (text, found) = act(&operator, &arguments.action).await.map_err(|error| advise(service, &error))?;
            stdout::print(format_args!("{service}: {text}\n"))?;
            if found {
                code = ExitCode::from(FOUND);
            }
        }
        Ok(code)
    })
}

/// Looks at the audit logs.
///
/// # Errors
/// Nothing is kept, or a database does not answer.
pub fn audit(arguments: &AuditArgs, settings: &Settings) -> Result<ExitCode> {
    let config = stores(settings)?;
    on_a_runtime(async {
        let mut code = ExitCode::SUCCESS;
        for (service, set) in SERVICES {
            let operator = Operator::new(&config, service, &set).map_err(|error| advise(service, &error))?;
            match arguments.action {
                AuditAction::Verify => {
                    let verified = operator.audit_verify().await.map_err(|error| advise(service, &error))?;
                    let rows = verified.rows;
                    match verified.fault {
                        None => stdout::print(format_args!("{service}: {rows} rows, whole; head {}\n", verified.head))?,
                        Some(fault) => {
                            stdout::print(format_args!("{service}: {fault}\n"))?;
                            code = ExitCode::from(FOUND);
                        }
                    }
                }
                AuditAction::Export => {
                    let exported = operator.audit_export(&mut std::io::stdout()).await;
                    exported.map_err(|error| advise(service, &error))?;
                }
            }
        }
        Ok(code)
    })
}

/// The stores by the settings.
pub fn stores(settings: &Settings) -> Result<StorageConfig> {
    accounts::storage(&settings.storage)?.context("storage.ephemeral = true: nothing is kept, so there is no database")
}

/// Runs `task` on a runtime of this thread.
///
/// # Errors
/// Those of the task.
pub fn on_a_runtime<T>(task: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting a runtime")?;
    runtime.block_on(task)
}

fn advise(service: ServiceName, error: &StoreError) -> anyhow::Error {
    anyhow!("{service}: {error}")
}

/// The outcome in words, and whether it is a finding.
async fn act(operator: &Operator<'_>, action: &MigrateAction) -> Result<(String, bool), StoreError> {
    Ok(match action {
        MigrateAction::Status => describe(&operator.status().await?),
        MigrateAction::Up { without_backup } => {
            let upgraded = operator.up(UpOptions { without_backup: *without_backup }).await?;
            let backup =
                upgraded.backup.map_or_else(String::new, |backup| format!("; back-up {}", backup.path.display()));
            match upgraded.applied.len() {
                0 => (format!("nothing to do{backup}"), false),
                _ => (format!("applied {}{backup}", list(&upgraded.applied)), false),
            }
        }
        MigrateAction::Backup => {
            let backup = operator.backup().await?;
            (format!("backed up and read back: {}{}", backup.path.display(), rows(&backup.rows)), false)
        }
        MigrateAction::Restore { file, .. } => {
            let restored = operator.restore(file).await?;
            (format!("restored from {}{}", file.display(), rows(&restored)), false)
        }
        MigrateAction::Copy => {
            let copied = operator.copy().await?;
            let mut text = "copied to PostgreSQL; rows and checksums agree".to_owned();
            for table in copied {
                // OK because a string takes everything.
                let _ = write!(text, "\n  {} {} rows {}", table.table, table.rows, table.checksum);
            }
            (text + "\nset storage.postgres_url and start; the SQLite file stays as it is", false)
        }
        MigrateAction::RotateKeys => {
            let wrapped = operator.rotate_keys().await?;
            let text = "; back-ups of before need the key file of before: keep its copy with them";
            (format!("a new master key; {wrapped} data keys wrapped under it{text}"), false)
        }
    })
}

fn describe(status: &Status) -> (String, bool) {
    if let Some(version) = status.half_applied {
        return (format!("migration {version} was begun and not ended: restore the back-up"), true);
    }
    let newest = status.applied.last().copied().unwrap_or(0);
    let findings = [
        ("not known to this program", &status.unknown),
        ("applied from another text", &status.changed),
        ("to come, by `bist migrate up`", &status.pending),
    ];
    let found: Vec<String> = findings
        .iter()
        .filter(|(_, versions)| !versions.is_empty())
        .map(|(what, versions)| format!("{} {what}", list(versions)))
        .collect();
    if found.is_empty() { (format!("current, version {newest}"), false) } else { (found.join("; "), true) }
}

fn list(versions: &[i64]) -> String {
    versions.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
}

fn rows(tables: &[(String, i64)]) -> String {
    tables.iter().fold(String::new(), |text, (table, rows)| text + &format!("\n  {table} {rows} rows"))
}
