//! Which message protocol bytes are in, and one decoder for either.
//!
//! Tells BISTECH ITCH and ITCH 5.0 apart by length and type alone: no pair of (type, length) exists in both.

use book::{Nanos, Slot};

use crate::decode::sink::{Received, Refused, Sink};
use crate::decode::{bistech, itch50};
use crate::wire::layout::Message;
use crate::wire::layout::bistech_2112::{AddOrderEarly, DIRECTORY_2014_BYTES, DIRECTORY_2024_BYTES};
use crate::wire::layout::itch_5_0::MessageHead;
use zerocopy::FromBytes;

/// Length of the short sell status of the editions of September to November 2024.
const SHORT_SELL_2024_BYTES: usize = 11;

/// A message protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// BISTECH ITCH, version 2112 and its earlier forms.
    Bistech,
    /// NASDAQ TotalView-ITCH 5.0.
    Itch50,
}

impl Protocol {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Bistech, Self::Itch50];

    /// The name used outside.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bistech => "bistech",
            Self::Itch50 => "itch50",
        }
    }

    /// Bytes of a message of this type in the current version; `None` for types that do not exist.
    #[must_use]
    pub fn length_of(self, kind: u8) -> Option<usize> {
        match self {
            Self::Bistech => bistech::length_of(kind),
            Self::Itch50 => itch50::length_of(kind),
        }
    }

    /// Whether a message of this type has this length in some version.
    #[must_use]
    pub fn is_length(self, kind: u8, length: usize) -> bool {
        let earlier = match (self, kind) {
            (Self::Bistech, b'R') => length == DIRECTORY_2014_BYTES || length == DIRECTORY_2024_BYTES,
            (Self::Bistech, b'A') => length == AddOrderEarly::LENGTH,
            (Self::Bistech, b'V') => length == SHORT_SELL_2024_BYTES,
            _ => false,
        };
        earlier || self.length_of(kind) == Some(length)
    }
}

/// Most slots that one message becomes: a directory has four parts.
pub const SLOTS_PER_MESSAGE_MAX: usize = 4;
/// Bytes of the shortest message that becomes a slot, with its length: `T`, of BISTECH ITCH. Every other message has
/// more bytes per slot.
pub const BYTES_PER_SLOT_MIN: usize = 2 + 5;

const _: () = {
    use crate::wire::layout::bistech_2112 as bistech;
    assert!((2 + bistech::Seconds::LENGTH) == BYTES_PER_SLOT_MIN);
    assert!((2 + DIRECTORY_2014_BYTES) / 4 >= BYTES_PER_SLOT_MIN);
    assert!((2 + bistech::EquilibriumPrice::LENGTH) / 2 >= BYTES_PER_SLOT_MIN);
    assert!((2 + bistech::AddOrder::LENGTH) / 2 >= BYTES_PER_SLOT_MIN);
    assert!((2 + bistech::OrderBookFlush::LENGTH) >= BYTES_PER_SLOT_MIN);
    assert!((2 + size_of::<MessageHead>()) >= BYTES_PER_SLOT_MIN);
};

/// A decoder of either protocol.
#[derive(Debug)]
pub enum MessageDecoder {
    /// BISTECH ITCH.
    Bistech(bistech::Decoder),
    /// ITCH 5.0.
    Itch50(itch50::Decoder),
}

impl MessageDecoder {
    /// Decodes one message into the slots it stands for.
    ///
    /// # Errors
    /// [`Refused`]: nothing reached the sink.
    #[inline]
    pub fn decode(&mut self, message: &[u8], received: Received, sink: &mut impl Sink) -> Result<(), Refused> {
        match self {
            Self::Bistech(decoder) => decoder.decode(message, received, sink),
            Self::Itch50(decoder) => decoder.decode(message, received, sink),
        }
    }

    /// A new session begins: nothing of the last one holds. `midnight_ns` is the midnight that times without a date
    /// count from; `None` = the last one.
    pub fn reset(&mut self, midnight_ns: Option<Nanos>) {
        match self {
            Self::Bistech(decoder) => decoder.reset(),
            Self::Itch50(decoder) => decoder.begin_day(midnight_ns),
        }
    }

    /// Which protocol it decodes.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        match self {
            Self::Bistech(_) => Protocol::Bistech,
            Self::Itch50(_) => Protocol::Itch50,
        }
    }
}

impl From<bistech::Decoder> for MessageDecoder {
    fn from(decoder: bistech::Decoder) -> Self {
        Self::Bistech(decoder)
    }
}

impl From<itch50::Decoder> for MessageDecoder {
    fn from(decoder: itch50::Decoder) -> Self {
        Self::Itch50(decoder)
    }
}

/// Exchange clock of a slot; every layout has it at the same place.
#[must_use]
pub fn exchange_ns(slot: &Slot) -> Nanos {
    slot.exchange_ns()
}

/// Exchange clock of an ITCH 5.0 message, whether or not it becomes a slot.
#[must_use]
pub fn itch50_exchange_ns(midnight_ns: Nanos, message: &[u8]) -> Nanos {
    MessageHead::ref_from_prefix(message).map_or(0, |(head, _)| midnight_ns.saturating_add(head.time.nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_type_and_length_exists_in_both_protocols() {
        for kind in 0..=255 {
            for length in 0..200 {
                let both = Protocol::ALL.iter().all(|protocol| protocol.is_length(kind, length));
                assert!(!both, "{} of {length} bytes", char::from(kind));
            }
        }
    }
}
