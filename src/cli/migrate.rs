//! `bist migrate` and `bist audit`: the databases of the services, for operators.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `bist migrate`
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: MigrateAction,
}

/// What to do with the databases.
#[derive(Debug, Subcommand)]
pub enum MigrateAction {
    /// Show the schema of each service against what this program knows; exit code 3 when they differ.
    Status,
    /// Bring each schema to this program's version, after a back-up that was read back.
    Up {
        /// Go on without a back-up when none can be made (PostgreSQL without pg_dump): you have made one elsewhere.
        #[arg(long)]
        without_backup: bool,
    },
    /// Back up each database into the data folder, and read the back-up again.
    Backup,
    /// Put a back-up in the place of a service's database; what was there stays beside it. The service must be stopped.
    Restore {
        /// Whose database.
        #[arg(long, default_value = "users")]
        service: String,
        /// The back-up.
        file: PathBuf,
    },
    /// Copy SQLite of the data folder to an empty PostgreSQL (storage.postgres_url), whole or not at all, and compare.
    Copy,
    /// Encrypt the keys of what is secret in the database under a new master key.
    RotateKeys,
}

/// `bist audit`
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: AuditAction,
}

/// What to do with the audit log.
#[derive(Debug, Subcommand)]
pub enum AuditAction {
    /// Walk the hash chain; exit code 3 and the row when one was changed, deleted or reordered.
    Verify,
    /// Write the whole log as JSON lines to standard output.
    Export,
}
