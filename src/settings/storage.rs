//! `[storage]`: where what must survive a restart is kept. Makes no folder.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[storage]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Storage {
    /// The data folder; `None` = systemd's `STATE_DIRECTORY`, else `$XDG_DATA_HOME/bist`, else `~/.local/share/bist`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Keep nothing: no folder is opened, and numbers of sessions come from the clock alone.
    pub ephemeral: bool,
}
