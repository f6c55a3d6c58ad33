//! `bist inspect`: the flags of a look into a recorded file. Reads nothing itself.

use std::path::PathBuf;

use clap::Args;

/// `bist inspect`
#[derive(Debug, Args)]
pub struct Inspect {
    /// The recording.
    pub file: PathBuf,

    /// Format of the file: auto, bistech, itch50, dbn, lobster or mold-pcap.
    #[arg(long, default_value = "auto")]
    pub format: String,

    /// Follow the book of this symbol.
    #[arg(long, value_name = "SYMBOL")]
    pub book: Option<String>,

    /// Levels of each side in the CSV.
    #[arg(long, default_value_t = 10, requires = "book")]
    pub levels: usize,

    /// Write the book after each event into this CSV file (- for standard output).
    #[arg(long, value_name = "OUT", requires = "book")]
    pub csv: Option<PathBuf>,
}
