//! What can go wrong with a store, and whether trying again can help. Knows no HTTP: a service turns these into answers
//! in one place. Never carries a value of a row, so that no error text can leak one.

use std::path::PathBuf;
use std::time::Duration;

/// A store's answer other than success.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store is away, slow or overloaded. Nothing was done; the same call may succeed after `retry_after`.
    #[error("{what} is not available; try again in {} ms", retry_after.as_millis())]
    Unavailable {
        /// Which store, and what it was doing.
        what: String,
        /// When trying again makes sense.
        retry_after: Duration,
    },
    /// Two transactions wanted the same rows (serialisation failure, deadlock, lock time-out). Nothing was done;
    /// [`crate::Database::write`] has tried three times.
    #[error("another transaction was faster; try again")]
    Contended,
    /// COMMIT was sent and no answer came: what was written may be there or not. Read it back by its id, never assume.
    #[error("the database did not answer a COMMIT: whether it took place is not known, read it back")]
    OutcomeUnknown,
    /// A unique key is taken.
    #[error("{constraint} is taken")]
    Conflict {
        /// The constraint (PostgreSQL) or the columns (SQLite), never the value.
        constraint: String,
    },
    /// The row asked for is not there.
    #[error("not found")]
    NotFound,
    /// The store refuses what was asked for, and would again.
    #[error("refused: {0}")]
    Refused(String),
    /// A bound of ours, or the disk, is reached. Nothing was done.
    #[error("{what} is full: {remedy}")]
    Full {
        /// What is full.
        what: &'static str,
        /// What an operator does about it.
        remedy: &'static str,
    },
    /// The disk failed under the database. Nothing is acknowledged any more until a restart has read it again.
    #[error("the disk failed under the database ({0}); look at the kernel's log, then start again")]
    Disk(String),
    /// Bytes at rest are not what was written.
    #[error("{what} is damaged: {remedy}")]
    Corrupt {
        /// Which file, table or row.
        what: String,
        /// What an operator does about it.
        remedy: String,
    },
    /// The schema is older than this program, on a database that does not migrate by itself.
    #[error("the schema of {service} misses {pending} migrations: stop the services, then run `bist migrate up`")]
    SchemaOlder {
        /// Whose schema.
        service: &'static str,
        /// Migrations to come.
        pending: usize,
    },
    /// The schema was made by a newer program.
    #[error(
        "the schema of {service} is newer than this program (migration {version} is not known): start the newer \
         program, or restore the back-up that was made before the upgrade"
    )]
    SchemaNewer {
        /// Whose schema.
        service: &'static str,
        /// The first migration that this program does not know.
        version: i64,
    },
    /// Another process holds the lock of the same service in the same folder.
    #[error(
        "{service} already runs on {} as process {pid} (since {since_s}, seconds of Unix time): stop it, or use another \
         storage.path",
        folder.display()
    )]
    Locked {
        /// The service.
        service: &'static str,
        /// The data folder.
        folder: PathBuf,
        /// Its process; 0 when it has not written it yet.
        pid: u32,
        /// When it took the lock, Unix seconds; 0 when it has not written it yet.
        since_s: u64,
    },
    /// A file or folder cannot be used as it is.
    #[error("{}: {reason}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// A fault of this program.
    #[error("fault of the program: {0}")]
    Fault(String),
}

/// How soon a caller should come back when nothing better is known.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

impl StoreError {
    /// The store named `what` does not answer.
    pub(crate) fn away(what: impl Into<String>) -> Self {
        Self::Unavailable { what: what.into(), retry_after: RETRY_AFTER }
    }

    pub(crate) fn file(path: impl Into<PathBuf>, error: std::io::Error) -> Self {
        Self::File { path: path.into(), reason: error.to_string() }
    }

    /// When the same call may succeed, for those errors where it may.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => Some(*retry_after),
            Self::Contended | Self::Full { .. } => Some(RETRY_AFTER),
            _ => None,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::RowNotFound => Self::NotFound,
            sqlx::Error::Database(error) => from_database(&*error),
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                Self::away("the database")
            }
            sqlx::Error::Tls(error) => Self::away(format!("the database (TLS: {error})")),
            // A server that dies in the middle of a message looks like one that breaks the protocol.
            sqlx::Error::Protocol(error) => Self::away(format!("the database ({error})")),
            other => Self::Fault(other.to_string()),
        }
    }
}

fn from_database(error: &dyn sqlx::error::DatabaseError) -> StoreError {
    let code = error.code().unwrap_or_default().into_owned();
    match code.parse::<u32>() {
        // PostgreSQL's codes have five characters and may be digits alone (23505).
        Ok(number) if code.len() < 5 => from_sqlite(number, error),
        _ => from_postgres(&code, error),
    }
}

/// SQLite's extended result codes; the primary code is the low byte (<https://sqlite.org/rescode.html>).
fn from_sqlite(code: u32, error: &dyn sqlx::error::DatabaseError) -> StoreError {
    match (code & 0xff, code) {
        (5 | 6, _) => StoreError::Contended,
        (13, _) => StoreError::Full { what: "the disk under the database", remedy: "free space, then try again" },
        (8 | 10 | 14, _) => StoreError::Disk(error.message().to_owned()),
        (11 | 26, _) => StoreError::Corrupt {
            what: "the database file".to_owned(),
            remedy: "stop, keep the file, restore the last back-up".to_owned(),
        },
        (_, 1555 | 2067) => StoreError::Conflict {
            constraint: error.message().trim_start_matches("UNIQUE constraint failed: ").to_owned(),
        },
        (19, _) => StoreError::Refused(error.message().to_owned()),
        _ => StoreError::Fault(format!("SQLite {code}: {}", error.message())),
    }
}

/// PostgreSQL's SQLSTATE, <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn from_postgres(code: &str, error: &dyn sqlx::error::DatabaseError) -> StoreError {
    match (&code[..code.len().min(2)], code) {
        (_, "23505") => StoreError::Conflict { constraint: error.constraint().unwrap_or("a unique key").to_owned() },
        // The message of a CHECK or a foreign key names the constraint; the detail, which has the values, is left out.
        ("22" | "23", _) | (_, "P0001") => StoreError::Refused(error.message().to_owned()),
        ("40", _) | (_, "55P03") => StoreError::Contended,
        (_, "53100") => StoreError::Full { what: "PostgreSQL's disk", remedy: "free space, then try again" },
        ("08" | "53" | "57", _) => StoreError::away(format!("PostgreSQL ({code})")),
        ("58", _) => StoreError::Disk(error.message().to_owned()),
        ("XX", _) => StoreError::Corrupt {
            what: format!("PostgreSQL's data ({})", error.message()),
            remedy: "stop, keep the data, restore the last back-up".to_owned(),
        },
        ("28" | "3D", _) => StoreError::Refused(format!("{}: look at storage.postgres_url", error.message())),
        _ => StoreError::Fault(format!("PostgreSQL {code}: {}", error.message())),
    }
}

/// An error that a transaction's work may end with: it can hold one of ours, so that contention is seen and tried again.
pub trait FromStore: From<StoreError> + Send {
    /// The store's error inside, if it is one.
    fn store_error(&self) -> Option<&StoreError>;
}

impl FromStore for StoreError {
    fn store_error(&self) -> Option<&StoreError> {
        Some(self)
    }
}
