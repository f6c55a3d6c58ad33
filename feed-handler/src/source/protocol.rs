//! Which message protocol bytes are in, and one decoder for either.
//!
//! Tells BISTECH ITCH and ITCH 5.0 apart by length and type alone: no pair of (type, length) exists in both.

use book::slot::rtype;
use book::{BookId, Nanos, Slot};

use super::definition::Definition;
use super::mold;
use super::raw;
use crate::layout::bistech_2112::{AddOrderEarly, DIRECTORY_2014_BYTES, DIRECTORY_2024_BYTES};
use crate::layout::itch_5_0::{AddOrder, Head, PRICE_DECIMALS};
use crate::layout::{Message, unpadded};
use crate::sink::{Received, Refused, Sink};
use crate::{bistech, itch50};
use zerocopy::FromBytes;

/// Length of the short sell status of the editions of September to November 2024.
const SHORT_SELL_2024_BYTES: usize = 11;
/// Messages looked at to tell protocols apart; the first ones of a day are directories of 132 bytes at most.
const LOOK_MESSAGES: usize = 64;

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

    /// The protocol of a run of length-prefixed messages: the one whose lengths the first messages have.
    #[must_use]
    pub fn of_framed(head: &[u8]) -> Option<Self> {
        Self::best(|protocol| {
            let length_of = |kind| protocol.length_of(kind);
            raw::walk(head, LOOK_MESSAGES, |kind, length| protocol.is_length(kind, length), length_of).0
        })
    }

    /// The protocol of the messages in a MoldUDP64 datagram.
    #[must_use]
    pub fn of_datagram(datagram: &[u8]) -> Option<Self> {
        Self::best(|protocol| {
            let known = |block: &&[u8]| block.first().is_some_and(|&kind| protocol.is_length(kind, block.len()));
            mold::blocks(datagram).take(LOOK_MESSAGES).take_while(known).count()
        })
    }

    fn best(score: impl Fn(Self) -> usize) -> Option<Self> {
        let [bistech, itch50] = Self::ALL.map(score);
        match bistech.cmp(&itch50) {
            std::cmp::Ordering::Greater => Some(Self::Bistech),
            std::cmp::Ordering::Less => Some(Self::Itch50),
            std::cmp::Ordering::Equal => None,
        }
    }
}

/// Most slots that one message becomes: a directory has four parts.
pub const SLOTS_PER_MESSAGE_MAX: usize = 4;
/// Bytes of the shortest message that becomes a slot, with its length: `T`, of BISTECH ITCH. Every other message has
/// more bytes per slot.
pub const BYTES_PER_SLOT_MIN: usize = 2 + 5;

const _: () = {
    use crate::layout::bistech_2112 as bistech;
    assert!((2 + bistech::Seconds::LENGTH) == BYTES_PER_SLOT_MIN);
    assert!((2 + DIRECTORY_2014_BYTES) / 4 >= BYTES_PER_SLOT_MIN);
    assert!((2 + bistech::EquilibriumPrice::LENGTH) / 2 >= BYTES_PER_SLOT_MIN);
    assert!((2 + bistech::AddOrder::LENGTH) / 2 >= BYTES_PER_SLOT_MIN);
    assert!((2 + bistech::OrderBookFlush::LENGTH) >= BYTES_PER_SLOT_MIN);
    assert!((2 + size_of::<Head>()) >= BYTES_PER_SLOT_MIN);
};

/// A decoder of either protocol.
#[derive(Debug)]
pub enum Decoder {
    /// BISTECH ITCH.
    Bistech(bistech::Decoder),
    /// ITCH 5.0.
    Itch50(itch50::Decoder),
}

impl Decoder {
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

    /// Messages were lost for good: what depends on them (the second of BISTECH timestamps) is no longer known.
    pub fn forget_time(&mut self) {
        if let Self::Bistech(decoder) = self {
            decoder.forget_time();
        }
    }

    /// A new session begins: nothing of the last one holds.
    pub fn reset(&mut self) {
        if let Self::Bistech(decoder) = self {
            decoder.reset();
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

impl From<bistech::Decoder> for Decoder {
    fn from(decoder: bistech::Decoder) -> Self {
        Self::Bistech(decoder)
    }
}

impl From<itch50::Decoder> for Decoder {
    fn from(decoder: itch50::Decoder) -> Self {
        Self::Itch50(decoder)
    }
}

/// Exchange clock of a slot; every layout has it at the same place.
#[must_use]
pub fn exchange_ns(slot: &Slot) -> Nanos {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&slot.as_bytes()[8..16]);
    Nanos::from_le_bytes(bytes)
}

/// Exchange clock of an ITCH 5.0 message, whether or not it becomes a slot.
#[must_use]
pub fn itch50_exchange_ns(midnight_ns: Nanos, message: &[u8]) -> Nanos {
    Head::ref_from_prefix(message).map_or(0, |(head, _)| midnight_ns.saturating_add(head.time.nanos()))
}

/// Names the stocks of ITCH 5.0 files that start after the directory: adds carry the stock's name.
///
/// For recordings only. Live, the directory comes first.
#[derive(Debug)]
pub struct ImpliedDirectory {
    /// One bit per locate code: its name is known.
    named: Box<[u64; 1_024]>,
}

impl Default for ImpliedDirectory {
    fn default() -> Self {
        Self { named: Box::new([0; 1_024]) }
    }
}

impl ImpliedDirectory {
    /// Looks at a message about to be decoded; makes the slots of a definition when an add names a new stock.
    pub fn on_message(&mut self, midnight_ns: Nanos, message: &[u8], received: Received, sink: &mut impl Sink) {
        let Ok((head, _)) = Head::ref_from_prefix(message) else { return };
        let locate = head.locate.get();
        let (word, bit) = (&mut self.named[usize::from(locate >> 6)], 1 << (locate & 63));
        if *word & bit != 0 || !matches!(head.kind, b'A' | b'F' | b'R') {
            return;
        }
        if head.kind != b'R' {
            let Ok((add, _)) = AddOrder::ref_from_prefix(message) else { return };
            let Ok(symbol) = std::str::from_utf8(unpadded(&add.stock)) else { return };
            let mut definition = Definition::new(BookId(u32::from(locate)), symbol, PRICE_DECIMALS);
            definition.currency = *b"USD";
            definition.exchange_ns = midnight_ns.saturating_add(head.time.nanos());
            definition.received_ns = received.received_ns;
            for slot in definition.slots() {
                debug_assert!(slot.rtype >= rtype::SYMBOL);
                sink.push(slot);
            }
        }
        *word |= bit;
    }
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

    #[test]
    fn the_first_messages_tell_the_protocol() {
        let run = |kind: u8, length: usize| {
            let mut bytes = (length as u16).to_be_bytes().to_vec();
            bytes.push(kind);
            bytes.resize(2 + length, 0);
            bytes
        };
        assert_eq!(Protocol::of_framed(&[run(b'T', 5), run(b'A', 37)].concat()), Some(Protocol::Bistech));
        assert_eq!(Protocol::of_framed(&[run(b'S', 12), run(b'A', 36)].concat()), Some(Protocol::Itch50));
        assert_eq!(Protocol::of_framed(&[0, 0, b'P']), None, "cut");
        let mut zero = run(b'P', 44);
        zero[..2].fill(0);
        assert_eq!(Protocol::of_framed(&zero), Some(Protocol::Itch50), "P of 50 bytes would not be whole");
        assert_eq!(Protocol::of_framed(&[zero.clone(), zero].concat()), Some(Protocol::Itch50));
        assert_eq!(Protocol::of_framed(b"hello, world"), None);
    }
}
