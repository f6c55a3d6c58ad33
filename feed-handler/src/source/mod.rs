//! Where bytes come from: recordings of every format we meet, and live sockets.
//!
//! Read in this order: [`recording`] (open a file, take one message at a time), [`input`] (bytes, decompressed),
//! one file per format ([`raw`], [`mold`], [`pcap`], [`dbn_file`], [`lobster`]), [`pacing`] (when a recorded message
//! is due), [`udp`] (the live source). Nothing here trusts what it reads: bad input is an error with its offset or a
//! counter, never a panic, and no size in a file makes a buffer grow beyond its written bound.

pub mod date;
pub mod dbn_file;
mod definition;
pub mod input;
pub mod lobster;
pub mod mold;
pub mod pacing;
mod packets;
pub mod pcap;
pub mod protocol;
pub mod raw;
pub mod recording;
pub mod udp;

use std::io;

use input::Input;

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
fn end_of(input: &mut Input, inside: &'static str) -> Result<(), ReadError> {
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
