//! How a recording is opened: values only, no behaviour.

use book::Nanos;

use super::format::FormatChoice;

/// How to open a recording.
#[derive(Clone, Debug)]
pub struct RecordingOptions {
    /// What the file is.
    pub format: FormatChoice,
    /// Midnight in New York of the day, for ITCH 5.0; `None` = from the file's name, else 1 January 1970 (then times
    /// are times of day).
    pub midnight_ns: Option<Nanos>,
    /// UDP ports of a capture to follow; empty = all.
    pub ports: Vec<u16>,
    /// All destinations of a capture are lines of one stream, whatever their sessions are called.
    pub merged: bool,
    /// Price decimals of BISTECH books that the recording does not announce; `None` refuses their prices.
    pub default_decimals: Option<u8>,
    /// Most books of a recording.
    pub books_max: usize,
}

impl Default for RecordingOptions {
    fn default() -> Self {
        Self {
            format: FormatChoice::Auto,
            midnight_ns: None,
            ports: Vec::new(),
            merged: false,
            default_decimals: None,
            books_max: 65_535,
        }
    }
}
