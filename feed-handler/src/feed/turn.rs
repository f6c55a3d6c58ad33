//! How a turn of the feed thread ends. Values only.

#![cfg_attr(not(test), deny(clippy::disallowed_types, clippy::disallowed_methods, clippy::disallowed_macros))]

use crate::recording::{OpenError, ReadError};

/// How one turn ended.
pub(super) enum Turn {
    /// There may be more to do, now or later.
    Done,
    /// The ring had no room.
    Full,
    /// There is no more to do.
    Finished(Finished),
}

/// Why there is no more to do.
#[derive(Debug)]
pub enum Finished {
    /// The session ended and everything of it was delivered
    /// ([`LiveOptions::stop_at_end`](super::LiveOptions::stop_at_end)).
    EndOfSession,
    /// The recording was read to its end, as many laps as asked for, or once where nothing in it could be read
    /// ([`Recording::nothing_read`](crate::recording::Recording::nothing_read)). The error is the last lap's, if it was cut or
    /// damaged: everything before that point was delivered.
    EndOfRecording(Option<ReadError>),
    /// The recording could not be opened again for the next lap.
    NotReopened(OpenError),
    /// Nobody reads the event ring any more.
    ReaderGone,
    /// A slot found no room that should have had some: our own error, after which no book can be right.
    Overrun,
}
