//! `bist replay`: a recording as the source.

use std::path::PathBuf;

use clap::Args;

use super::put;
use super::serve::Common;

/// `bist replay`
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The recording.
    pub file: PathBuf,

    /// Speed: 1 = as recorded, 10 = ten times as fast, max = as fast as possible.
    #[arg(long, value_name = "FACTOR")]
    pub speed: Option<String>,

    /// Format of the file; detected when omitted.
    #[arg(long)]
    pub format: Option<String>,

    /// Repeat the recording, each time as a new session.
    #[arg(long = "loop")]
    pub repeat: bool,

    /// Longest pause between two messages; longer ones are cut.
    #[arg(long, value_name = "MILLISECONDS")]
    pub gap_max_ms: Option<u64>,

    /// Exit at the end of the recording instead of serving its last state.
    #[arg(long)]
    pub exit: bool,

    #[command(flatten)]
    pub common: Common,
}

impl ReplayArgs {
    /// As configuration overrides.
    pub fn overrides(&self) -> Vec<(&'static str, String)> {
        let mut flags = self.common.overrides();
        put(&mut flags, "feed.source", Some(&"replay"));
        put(&mut flags, "replay.file", Some(&self.file.display()));
        put(&mut flags, "replay.speed", self.speed.as_ref());
        put(&mut flags, "replay.format", self.format.as_ref());
        put(&mut flags, "replay.repeat", self.repeat.then_some(true).as_ref());
        put(&mut flags, "replay.gap_max_ms", self.gap_max_ms.as_ref());
        flags
    }
}
