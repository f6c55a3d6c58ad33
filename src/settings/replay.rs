//! `[replay]`: a recorded file as the source. Opens no file.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[replay]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Replay {
    /// The recording.
    pub file: Option<PathBuf>,
    /// `auto`, `bistech`, `itch50`, `dbn`, `lobster`, `mold-pcap`.
    pub format: String,
    /// `1` = as recorded, `10` = ten times as fast, `max` = as fast as it goes.
    pub speed: String,
    /// Start again at the end, as a new session.
    pub repeat: bool,
    /// Longest pause between two messages, milliseconds; longer ones are cut.
    pub gap_max_ms: u64,
}

impl Default for Replay {
    fn default() -> Self {
        Self { file: None, format: "auto".into(), speed: "1".into(), repeat: false, gap_max_ms: 1_000 }
    }
}
