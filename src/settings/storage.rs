//! `[storage]`: where what must survive a restart is kept. Makes no folder, opens no database.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Secret;

/// `[storage]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Storage {
    /// The data folder; `None` = systemd's `STATE_DIRECTORY`, else `$XDG_DATA_HOME/bist`, else `~/.local/share/bist`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Keep nothing: no folder is opened, numbers of sessions come from the clock alone, and there are no accounts.
    pub ephemeral: bool,
    /// PostgreSQL instead of SQLite, `postgres://user:password@host/database`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postgres_url: Option<Secret>,
    /// The same from a file of one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postgres_url_file: Option<PathBuf>,
    /// Redis for what processes share, `redis://…` or `rediss://…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis_url: Option<Secret>,
    /// The same from a file of one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis_url_file: Option<PathBuf>,
    /// Master keys of what is encrypted at rest, in a file that the operator keeps; `None` = one made in the data folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_keys_file: Option<PathBuf>,
}
