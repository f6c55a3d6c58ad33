//! What a service must be told to open its stores. Reads no file and no environment: the program does, and hands it over.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

/// `[storage]` of the configuration.
#[derive(Clone, Debug)]
pub struct StorageConfig {
    /// `storage.path`: the data folder.
    pub path: PathBuf,
    /// `storage.postgres_url`: PostgreSQL instead of SQLite. Holds a password, hence secret.
    pub postgres_url: Option<SecretString>,
    /// `storage.redis_url`: one server, `redis://` or `rediss://`.
    pub redis_url: Option<SecretString>,
    /// A file of master keys that the operator keeps, instead of the generated one in the folder.
    pub master_keys_file: Option<PathBuf>,
    /// Connections to PostgreSQL, or readers of SQLite (which has one writer besides). 1 to 100.
    pub connections_max: u32,
    /// Callers that may wait for a connection; the next one is refused at once.
    pub waiters_max: usize,
    /// How long a read, or a write up to its COMMIT, may take in all, waiting included.
    pub deadline: Duration,
}

impl StorageConfig {
    /// SQLite in `path`, nothing shared: the default of a small installation.
    pub fn in_folder(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            postgres_url: None,
            redis_url: None,
            master_keys_file: None,
            connections_max: 8,
            waiters_max: 64,
            // Answers within a second, with a tenth left for the rest of the way.
            deadline: Duration::from_millis(900),
        }
    }
}

/// Whose stores: names the SQLite file, the PostgreSQL schema, the lock and the key file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServiceName(&'static str);

impl ServiceName {
    /// A name of 1 to 32 lower-case ASCII letters and underscores: it stands in SQL where nothing can be bound.
    ///
    /// # Panics
    /// On any other name; in a constant that is an error of the compiler.
    pub const fn new(name: &'static str) -> Self {
        let bytes = name.as_bytes();
        assert!(!bytes.is_empty() && bytes.len() <= 32, "a service's name has 1 to 32 characters");
        let mut at = 0;
        while at < bytes.len() {
            assert!(bytes[at].is_ascii_lowercase() || bytes[at] == b'_', "a service's name is a-z and _");
            at += 1;
        }
        Self(name)
    }

    /// The name.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl std::fmt::Display for ServiceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}
