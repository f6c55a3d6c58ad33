//! One stream through decoder and books, flat out, in memory.
//!
//! Returns the answer, so that a measurement can check it; never reads a clock itself.

use book::market::{Limits, Market, OrderKey};
use book::worker::EVENTS_PER_TURN_MAX;
use book::{BookId, Side, Slot};
use feed_handler::decode::sink::{Received, Sink};
use feed_handler::decode::{bistech, itch50};

pub use crate::answer::Best;
use crate::generate::{Format, Stream};

/// What names an order in this format.
#[must_use]
pub const fn key(format: Format) -> OrderKey {
    match format {
        Format::Itch50 => OrderKey::Id,
        Format::Bistech => OrderKey::BookSideId,
    }
}

/// Walks the length prefixes: the messages of a stream.
pub fn messages(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (length, tail) = rest.split_first_chunk::<2>()?;
        let (message, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        rest = tail;
        Some(message)
    })
}

/// Decodes only; the sum over prices and ids keeps the work from being optimised away.
#[must_use]
pub fn decode(bytes: &[u8], format: Format) -> (usize, u64) {
    let mut sum = 0u64;
    let mut sink = |slot: Slot| {
        let word = |at: usize| u64::from_ne_bytes(std::array::from_fn(|byte| slot.as_bytes()[at + byte]));
        sum = sum.wrapping_add(word(0) ^ word(8) ^ word(16) ^ word(24) ^ word(32) ^ word(56));
    };
    let mut count = 0;
    let received = Received::default();
    match format {
        Format::Itch50 => {
            let mut decoder = itch50::Decoder::new(0, 65_535);
            for message in messages(bytes) {
                count += usize::from(decoder.decode(message, received, &mut sink).is_ok());
            }
        }
        Format::Bistech => {
            let mut decoder = bistech::Decoder::new(65_535, None);
            for message in messages(bytes) {
                count += usize::from(decoder.decode(message, received, &mut sink).is_ok());
            }
        }
    }
    (count, sum)
}

/// A market of the size that a stream needs.
#[must_use]
pub fn market(stream: &Stream, format: Format) -> Market {
    market_with(stream, format, true)
}

/// The same, with orders in queues or with levels only.
#[must_use]
pub fn market_with(stream: &Stream, format: Format, queues: bool) -> Market {
    let key = key(format);
    let symbols = stream.best.len();
    Market::new(Limits {
        books_max: symbols + 1,
        orders_max: stream.live_orders.max(4_096) * 5 / 4,
        levels_max: (symbols * 40).max(60_000),
        ladder_slots: (symbols * 2_048).clamp(65_536, 4_000_000),
        queues,
        key,
        ..Limits::default()
    })
}

/// Decodes and applies to the books; the answer is the best level of every symbol.
///
/// # Panics
/// When a message is refused or the books found an anomaly: the stream is correct, so we would be wrong.
#[must_use]
pub fn decode_book(bytes: &[u8], format: Format, market: &mut Market, symbols: usize) -> Best {
    let received = Received::default();
    let mut batch = Batch::new(market);
    match format {
        Format::Itch50 => {
            let mut decoder = itch50::Decoder::new(0, 65_535);
            for message in messages(bytes) {
                decoder.decode(message, received, &mut batch).expect("a correct stream");
            }
        }
        Format::Bistech => {
            let mut decoder = bistech::Decoder::new(65_535, None);
            for message in messages(bytes) {
                decoder.decode(message, received, &mut batch).expect("a correct stream");
            }
        }
    }
    batch.apply();
    assert_eq!(market.anomalies().iter().filter(|(kind, _)| kind.spoils_book()).count(), 0);
    best(market, symbols)
}

/// Events that are applied together: half of what the book thread takes in a turn when it is behind.
const BATCH: usize = EVENTS_PER_TURN_MAX / 2;

/// Events on their way to the books, as a ring would hold them: the book thread takes what is there at once.
pub(crate) struct Batch<'a> {
    slots: [Slot; BATCH],
    length: usize,
    market: &'a mut Market,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(market: &'a mut Market) -> Self {
        Self { slots: [Slot::EMPTY; BATCH], length: 0, market }
    }

    /// Applies what has gathered; to be called once more at the end.
    #[inline]
    pub(crate) fn apply(&mut self) {
        self.market.apply_all(&self.slots[..self.length], &mut (), |_, _, ()| {});
        self.length = 0;
    }
}

impl Sink for Batch<'_> {
    #[inline]
    fn push(&mut self, slot: Slot) {
        self.slots[self.length] = slot;
        self.length += 1;
        if self.length == BATCH {
            self.apply();
        }
    }
}

/// The best levels of books 1 to `symbols`.
#[must_use]
pub fn best(market: &Market, symbols: usize) -> Best {
    let of = |symbol: usize, side| {
        let level = market.levels(BookId(symbol as u32 + 1), side).next()?;
        Some((u32::try_from(level.price.to_decimal(4)).ok()?, level.quantity))
    };
    (0..symbols).map(|symbol| [of(symbol, Side::Bid), of(symbol, Side::Ask)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{Plan, generate};

    /// The small mode of the measurement: same code, same check, every format.
    #[test]
    fn the_books_end_as_the_generator_says() {
        for format in [Format::Itch50, Format::Bistech] {
            let plan = Plan { format, seed: 7, messages: 60_000, symbols: 40, live_orders: 5_000 };
            let stream = generate(plan);
            assert!(stream.live_orders > 1_000);
            let mut market = market(&stream, format);
            assert_eq!(decode_book(&stream.bytes, format, &mut market, plan.symbols), stream.best, "{format:?}");
            assert_eq!(market.orders(), stream.live_orders);
            market.check_invariants();
            assert_eq!(decode(&stream.bytes, format).0, stream.messages);
            assert_eq!(generate(plan).bytes, stream.bytes, "same seed, same bytes");
        }
    }
}
