//! Why a recording cannot be opened, or read on. Offsets are those of the decompressed stream.

use std::io;

use super::input::Input;

/// Why a recording cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file itself.
    #[error("cannot be opened: {0}")]
    Io(#[from] std::io::Error),
    /// There is nothing in it.
    #[error("is empty")]
    Empty,
    /// Nothing in it says what it is.
    #[error("is in no format that is known; say which with --format (auto, bistech, itch50, dbn, lobster, mold-pcap)")]
    Unrecognised,
    /// It is of a protocol that is known by name only.
    #[error("is {name}, which is not read")]
    Foreign {
        /// What it is.
        name: &'static str,
    },
    /// The head of the format is cut or damaged.
    #[error("{0}")]
    Head(#[from] ReadError),
}

/// Why a recording cannot be read on. Everything before that point was given out.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file ends in the middle of something. Reading the rest elsewhere (a whole copy) can help.
    #[error("cut short at byte {offset}: the file ends inside {inside}")]
    Truncated {
        /// Offset of the unfinished piece in the decompressed stream.
        offset: u64,
        /// What is unfinished.
        inside: &'static str,
    },
    /// The bytes are not what the format says; nothing after them can be trusted.
    #[error("damaged at byte {offset}: {what}")]
    Damaged {
        /// Offset in the decompressed stream.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// The file or its compression cannot be read.
    #[error("cannot be read at byte {offset}: {source}")]
    Io {
        /// Offset in the decompressed stream.
        offset: u64,
        /// The system's or the decompressor's reason.
        source: io::Error,
    },
}

impl ReadError {
    /// Offset in the decompressed stream: everything before it was given out.
    #[must_use]
    pub fn offset(&self) -> u64 {
        match self {
            Self::Truncated { offset, .. } | Self::Damaged { offset, .. } | Self::Io { offset, .. } => *offset,
        }
    }

    /// A short name for counters.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Truncated { .. } => "truncated",
            Self::Damaged { .. } => "damaged",
            Self::Io { .. } => "io",
        }
    }
}

/// The stream has fewer bytes than a piece needs: its end, a cut, or a fault below, told apart.
///
/// `Ok` only if it ends cleanly before the piece began.
pub(super) fn end_of(input: &mut Input, inside: &'static str) -> Result<(), ReadError> {
    let offset = input.offset();
    match input.take_fault() {
        Some(source) if source.kind() == io::ErrorKind::UnexpectedEof => {
            Err(ReadError::Truncated { offset, inside: "the compressed stream" })
        }
        Some(source) => Err(ReadError::Io { offset, source }),
        None if input.peek(1).is_empty() => Ok(()),
        None => Err(ReadError::Truncated { offset, inside }),
    }
}
