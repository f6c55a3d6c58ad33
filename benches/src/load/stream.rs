//! BISTECH messages that each change exactly one shown level, by seed: one message, one `book` update.
//!
//! Books of ten levels a side whose first two orders stay; on top, orders come and go (45 % each) and the best level
//! trades (10 %). Knows the books at every moment, so that what clients have at the end can be compared.

use std::collections::VecDeque;

use feed_handler::wire::layout::alpha;
use feed_handler::wire::layout::bistech_2112 as layout;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use zerocopy::IntoBytes;

/// Levels a side: as many as `book` shows by default.
pub const LEVELS: usize = 10;
/// Decimals of all prices.
pub const DECIMALS: u8 = 2;
/// Most symbols: their names have five digits.
pub const SYMBOLS_MAX: usize = 10_000;
/// Orders of a symbol beyond the standing ones. The oldest go first, so that an add and its delete are this many
/// messages of the symbol apart and do not cancel out in one frame.
const EXTRA_ORDERS: usize = 64;
/// Quantity of the standing orders: more than all executions of a run together.
const STANDING: u64 = 1_000_000_000;
/// Longest message in bytes: the directory.
const MESSAGE_BYTES_MAX: usize = size_of::<layout::OrderBookDirectory>();

/// One message without its time.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    bytes: [u8; MESSAGE_BYTES_MAX],
    length: u8,
    /// Its symbol, from 0.
    pub symbol: u16,
}

impl Message {
    fn new(symbol: usize, message: &[u8]) -> Self {
        let mut bytes = [0; MESSAGE_BYTES_MAX];
        bytes[..message.len()].copy_from_slice(message);
        Self { bytes, length: message.len() as u8, symbol: symbol as u16 }
    }

    /// The message stamped with the nanoseconds of its second.
    pub fn stamped(&mut self, nanos: u32) -> &[u8] {
        // Every message but `T` has them behind its type byte.
        self.bytes[1..5].copy_from_slice(&nanos.to_be_bytes());
        &self.bytes[..usize::from(self.length)]
    }
}

/// Quantity and orders of a level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// Price in units of 10⁻².
    pub price: i64,
    /// Sum of its orders.
    pub quantity: u64,
    /// Orders.
    pub count: u32,
}

#[derive(Clone, Copy, Debug)]
struct Order {
    id: u64,
    bid: bool,
    level: usize,
    quantity: u64,
}

#[derive(Debug)]
struct Book {
    /// Bids and asks, best first.
    sides: [[Level; LEVELS]; 2],
    extra: VecDeque<Order>,
}

/// How a symbol is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// One after the other: neighbours in the stream never share a frame.
    InTurn,
    /// At random, all alike.
    Random,
}

/// The generator.
#[derive(Debug)]
pub struct Stream {
    rng: ChaCha8Rng,
    choice: Choice,
    books: Vec<Book>,
    next_id: u64,
    next_symbol: usize,
}

impl Stream {
    /// Books without orders.
    ///
    /// # Panics
    /// When `symbols` is not in 1..=[`SYMBOLS_MAX`].
    #[must_use]
    pub fn new(symbols: usize, choice: Choice, seed: u64) -> Self {
        assert!((1..=SYMBOLS_MAX).contains(&symbols), "symbols must be in 1..={SYMBOLS_MAX}");
        let book = |symbol: usize| {
            let middle = 10_000 + 10 * symbol as i64;
            let level = |price| Level { price, quantity: 0, count: 0 };
            Book {
                sides: [
                    std::array::from_fn(|away| level(middle - 1 - away as i64)),
                    std::array::from_fn(|away| level(middle + 1 + away as i64)),
                ],
                extra: VecDeque::with_capacity(EXTRA_ORDERS + 1),
            }
        };
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            choice,
            books: (0..symbols).map(book).collect(),
            next_id: 1,
            next_symbol: 0,
        }
    }

    /// Directories, tick tables, the standing orders.
    pub fn opening(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        for symbol in 0..self.books.len() {
            let book_id = (symbol as u32 + 1).into();
            let directory = layout::OrderBookDirectory {
                book_id,
                symbol: alpha(&format!("{}.E", name(symbol))),
                long_name: alpha("A share of the load generator"),
                isin: *b"TRATEST00000",
                financial_product: 5,
                currency: *b"TRY",
                price_decimals: u16::from(DECIMALS).into(),
                round_lot: 1.into(),
                ranking_type: 1,
                ..layout::OrderBookDirectory::default()
            };
            messages.push(Message::new(symbol, directory.as_bytes()));
            let middle = self.books[symbol].sides[0][0].price + 1;
            let tick = layout::TickSize {
                book_id,
                tick: 1.into(),
                price_from: ((middle - 100) as i32).into(),
                price_to: ((middle + 100) as i32).into(),
                ..layout::TickSize::default()
            };
            messages.push(Message::new(symbol, tick.as_bytes()));
            let state = alpha("P_SUREKLI_ISLEM");
            let state = layout::OrderBookState { book_id, state, ..layout::OrderBookState::default() };
            messages.push(Message::new(symbol, state.as_bytes()));
            for bid in [true, false] {
                for level in 0..LEVELS {
                    for _ in 0..2 {
                        messages.push(self.add(symbol, bid, level, STANDING).0);
                    }
                }
            }
        }
        messages
    }

    /// The next message of the trading.
    pub fn next_message(&mut self) -> Message {
        let symbol = match self.choice {
            Choice::InTurn => {
                let symbol = self.next_symbol;
                self.next_symbol = (symbol + 1) % self.books.len();
                symbol
            }
            Choice::Random => self.rng.random_range(0..self.books.len()),
        };
        if self.rng.random_range(0..10) == 0 {
            return self.execute(symbol);
        }
        if self.books[symbol].extra.len() >= EXTRA_ORDERS {
            return self.delete(symbol);
        }
        // Below the bound two adds to one delete, so that the book fills and then stays there.
        if self.books[symbol].extra.len() > EXTRA_ORDERS / 2 && self.rng.random_range(0..3) == 0 {
            return self.delete(symbol);
        }
        let (bid, level) = (self.rng.random(), self.rng.random_range(0..LEVELS));
        let quantity = self.rng.random_range(1..5_000);
        let (message, order) = self.add(symbol, bid, level, quantity);
        self.books[symbol].extra.push_back(order);
        message
    }

    /// Bids and asks of a symbol now, best first.
    #[must_use]
    pub fn sides(&self, symbol: usize) -> &[[Level; LEVELS]; 2] {
        &self.books[symbol].sides
    }

    /// Symbols.
    #[must_use]
    pub fn symbols(&self) -> usize {
        self.books.len()
    }

    fn add(&mut self, symbol: usize, bid: bool, level: usize, quantity: u64) -> (Message, Order) {
        let id = 0x69C5_1234_0000_0000 ^ (self.next_id << 20) ^ (self.next_id & 0xFFF);
        let ranking = self.next_id;
        self.next_id += 1;
        let at = &mut self.books[symbol].sides[usize::from(!bid)][level];
        at.quantity += quantity;
        at.count += 1;
        let message = layout::AddOrder {
            order_id: id.into(),
            book_id: (symbol as u32 + 1).into(),
            side: if bid { layout::BUY } else { layout::SELL },
            ranking_sequence: (ranking as u32).into(),
            quantity: quantity.into(),
            price: (at.price as i32).into(),
            lot_type: 2,
            ranking_ns: ranking.into(),
            ..layout::AddOrder::default()
        };
        (Message::new(symbol, message.as_bytes()), Order { id, bid, level, quantity })
    }

    fn delete(&mut self, symbol: usize) -> Message {
        // OK because it is called only with orders there.
        let order = self.books[symbol].extra.pop_front().expect("an extra order");
        let at = &mut self.books[symbol].sides[usize::from(!order.bid)][order.level];
        at.quantity -= order.quantity;
        at.count -= 1;
        let message = layout::OrderDelete {
            order_id: order.id.into(),
            book_id: (symbol as u32 + 1).into(),
            side: if order.bid { layout::BUY } else { layout::SELL },
            ..layout::OrderDelete::default()
        };
        Message::new(symbol, message.as_bytes())
    }

    /// One lot of the first order of the best level, a standing one.
    fn execute(&mut self, symbol: usize) -> Message {
        let bid: bool = self.rng.random();
        let at = &mut self.books[symbol].sides[usize::from(!bid)][0];
        at.quantity -= 1;
        // The standing orders of a symbol were the first to be added, 2 × LEVELS a side, bids first.
        let number = 1 + (symbol * 4 * LEVELS + if bid { 0 } else { 2 * LEVELS }) as u64;
        let message = layout::OrderExecuted {
            order_id: (0x69C5_1234_0000_0000 ^ (number << 20) ^ (number & 0xFFF)).into(),
            book_id: (symbol as u32 + 1).into(),
            side: if bid { layout::BUY } else { layout::SELL },
            quantity: 1.into(),
            match_id: self.next_id.into(),
            ..layout::OrderExecuted::default()
        };
        self.next_id += 1;
        Message::new(symbol, message.as_bytes())
    }
}

/// The ticker of a symbol: `S00007`.
#[must_use]
pub fn name(symbol: usize) -> String {
    format!("S{symbol:05}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use book::market::{Limits, Market};
    use book::{BookId, Side, Slot};
    use feed_handler::decode::bistech;
    use feed_handler::decode::sink::Received;

    #[test]
    fn the_books_are_what_the_generator_says_and_every_message_changes_one_shown_level() {
        let mut stream = Stream::new(3, Choice::Random, 5);
        let mut market = Market::new(Limits { books_max: 4, orders_max: 1_000, ..Limits::default() });
        let mut decoder = bistech::Decoder::new(4, None);
        let mut give = |market: &mut Market, bytes: &[u8]| {
            let mut updates: Vec<Slot> = Vec::new();
            let mut sink = |slot: Slot| market.apply(&slot, &mut updates);
            decoder.decode(bytes, Received::default(), &mut sink).expect("a correct message");
            updates.iter().filter(|slot| slot.rtype == book::slot::rtype::LEVEL).count()
        };
        give(&mut market, &[b'T', 0, 0, 0, 9]);
        for mut message in stream.opening() {
            give(&mut market, message.stamped(1));
        }
        for n in 0..5_000 {
            let mut message = stream.next_message();
            assert_eq!(give(&mut market, message.stamped(n)), 1, "message {n}");
        }
        assert_eq!(market.anomalies().iter().map(|(_, count)| count).sum::<u64>(), 0);
        for symbol in 0..3 {
            for (side, expected) in [Side::Bid, Side::Ask].into_iter().zip(stream.sides(symbol)) {
                let levels: Vec<Level> = market
                    .levels(BookId(symbol as u32 + 1), side)
                    .map(|level| Level {
                        price: level.price.to_decimal(DECIMALS),
                        quantity: level.quantity,
                        count: level.count,
                    })
                    .collect();
                assert_eq!(levels, expected, "{side:?} of {symbol}");
            }
        }
    }
}
