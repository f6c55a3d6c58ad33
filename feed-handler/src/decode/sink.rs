//! Where decoders put what they read, and how they refuse what they cannot.

use book::{Nanos, Slot};

/// Takes the slots a decoder makes, in order. Implemented by the event ring, by files and by any closure.
pub trait Sink {
    /// Takes one slot.
    fn push(&mut self, slot: Slot);
}

impl<F: FnMut(Slot)> Sink for F {
    #[inline]
    fn push(&mut self, slot: Slot) {
        self(slot);
    }
}

/// What the transport knows of a message.
#[derive(Clone, Copy, Debug, Default)]
pub struct Received {
    /// Our clock when its packet came in (a capture: the capture clock; a raw file: 0).
    pub received_ns: Nanos,
    /// Sequence number of the transport, or the 1-based position in the file.
    pub sequence: u64,
    /// Partition or line.
    pub channel_id: u8,
}

/// Why a message was not decoded. Nothing of it reached the sink; the caller counts it by [`Refused::reason`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The type byte is not one of the protocol's.
    #[error("unknown message type {0:#04x}")]
    UnknownType(u8),
    /// Shorter than its type demands. Longer is accepted: the formats grow at their end.
    #[error("message {kind:?} has {got} bytes, needs {need}", kind = char::from(*kind))]
    Short {
        /// Type byte.
        kind: u8,
        /// Bytes there.
        got: usize,
        /// Bytes needed.
        need: usize,
    },
    /// No bytes at all.
    #[error("empty message")]
    Empty,
    /// A field holds a value that its type does not have.
    #[error("message {kind:?}: bad {field}", kind = char::from(*kind))]
    BadField {
        /// Type byte.
        kind: u8,
        /// Name of the field.
        field: &'static str,
    },
    /// The second of the timestamps is not known yet (no `T` since the start or since a gap).
    #[error("message {kind:?} before the first second", kind = char::from(*kind))]
    NoTime {
        /// Type byte.
        kind: u8,
    },
    /// A price of a book whose decimals were never announced.
    #[error("book {book_id} was never announced")]
    UnknownBook {
        /// Book.
        book_id: u32,
    },
    /// The decoder's table of books is full: the book has no place in it, and no later message of it is guessed at.
    #[error("no room for book {book_id}: more books than configured")]
    TooManyBooks {
        /// Book.
        book_id: u32,
    },
}

/// Which books may be wrong without a message that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoils {
    /// None.
    Nothing,
    /// The one of this number. It may be known to the books by messages without a price.
    Book(u32),
    /// Any: nobody knows which one the message was about.
    Any,
}

impl Refused {
    /// Which books may be wrong without the message. An unknown kind is news of a later version, which says nothing of
    /// orders that this one knows.
    #[must_use]
    pub const fn spoils(self) -> Spoils {
        match self {
            Self::UnknownType(_) | Self::Empty => Spoils::Nothing,
            Self::UnknownBook { book_id } | Self::TooManyBooks { book_id } => Spoils::Book(book_id),
            Self::Short { .. } | Self::BadField { .. } | Self::NoTime { .. } => Spoils::Any,
        }
    }

    /// A short name for counters.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::UnknownType(_) => "unknown_type",
            Self::Short { .. } => "short",
            Self::Empty => "empty",
            Self::BadField { .. } => "bad_field",
            Self::NoTime { .. } => "no_time",
            Self::UnknownBook { .. } => "unknown_book",
            Self::TooManyBooks { .. } => "too_many_books",
        }
    }
}
