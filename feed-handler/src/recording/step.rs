//! One step of a recording: a message and its slots, a gap, a new session, or the end.
//!
//! Knows no file format: a reader hands over the bytes of a message, this decodes them.

use book::{Nanos, Slot};

use super::implied_directory::ImpliedDirectory;
use crate::decode::protocol::{MessageDecoder, Protocol, exchange_ns, itch50_exchange_ns};
use crate::decode::sink::{Received, Refused, Sink};
use crate::decode::{bistech, itch50};

/// What [`Recording::next`](super::Recording::next) did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// One message; its slots are in the sink, unless it was refused.
    Message(RecordedMessage),
    /// Messages are missing from the recording; a [`book::slot::system::GAP`] slot is in the sink.
    Gap {
        /// First missing number.
        from: u64,
        /// Last missing number.
        to: u64,
    },
    /// A stream began a new session: everything known of its books is over. No slot is in the sink.
    Session,
    /// One of several streams began a new session: the slots in the sink empty the books that it fed, and no others.
    PartitionSession,
    /// There is no more.
    End,
}

/// One message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordedMessage {
    /// Type byte; of DBN the action, of LOBSTER the digit, `d` for a definition made by us.
    pub kind: u8,
    /// Number of the transport, or the 1-based place in the file; 0 for what has no place in it.
    pub position: u64,
    /// The clock to replay by: the capture's, or the exchange's where there is no capture; 0 = not known.
    pub recorded_ns: Nanos,
    /// Exchange clock; 0 = not known.
    pub exchange_ns: Nanos,
    /// Slots made.
    pub slots: u32,
    /// Why it made none, if it should have.
    pub refused: Option<Refused>,
}

impl RecordedMessage {
    /// Decodes one message of either protocol.
    pub(super) fn decode(
        message: &[u8],
        received: Received,
        decoder: &mut MessageDecoder,
        implied: &mut ImpliedDirectory,
        options: &DecoderOptions,
        sink: &mut impl Sink,
    ) -> Self {
        let mut taken = Self {
            kind: message.first().copied().unwrap_or(0),
            position: received.sequence,
            recorded_ns: received.received_ns,
            ..Self::default()
        };
        let mut sink = |slot: Slot| {
            taken.slots += 1;
            taken.exchange_ns = exchange_ns(&slot);
            sink.push(slot);
        };
        if matches!(decoder, MessageDecoder::Itch50(_)) {
            implied.on_message(options.midnight_ns, message, received, &mut sink);
        }
        taken.refused = decoder.decode(message, received, &mut sink).err();
        if taken.exchange_ns == 0 && taken.refused.is_none() {
            taken.exchange_ns = itch50_exchange_ns(options.midnight_ns, message);
        }
        if taken.recorded_ns == 0 {
            taken.recorded_ns = taken.exchange_ns;
        }
        taken
    }
}

/// What decoders need to know.
#[derive(Clone, Copy, Debug)]
pub(super) struct DecoderOptions {
    /// Midnight in New York of the day, for ITCH 5.0.
    pub midnight_ns: Nanos,
    /// Price decimals of BISTECH books that are not announced.
    pub default_decimals: Option<u8>,
    /// Most books.
    pub books_max: usize,
}

impl DecoderOptions {
    pub fn decoder(&self, protocol: Protocol) -> MessageDecoder {
        match protocol {
            Protocol::Bistech => bistech::Decoder::new(self.books_max, self.default_decimals).into(),
            Protocol::Itch50 => itch50::Decoder::new(self.midnight_ns, self.books_max).into(),
        }
    }
}
