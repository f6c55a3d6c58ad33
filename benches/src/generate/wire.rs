//! The generator's messages as bytes: ITCH 5.0 or BISTECH ITCH, each behind its length as two big-endian bytes.
//!
//! Knows layouts and clocks; decides nothing.

use feed_handler::wire::layout::Message;
use feed_handler::wire::layout::bistech_2112 as bistech;
use feed_handler::wire::layout::itch_5_0 as itch50;
use zerocopy::{FromZeros, IntoBytes};

use super::Format;

/// The day all streams are of, in UTC: 1 Jun 2026 00:00 in Istanbul.
const DAY_S: u64 = 1_780_261_200;
const SECOND_NS: u64 = 1_000_000_000;

/// An order as a message names it.
#[derive(Clone, Copy)]
pub struct Named {
    /// Order number.
    pub id: u64,
    /// Symbol, from 0.
    pub symbol: usize,
    /// Bought, not sold.
    pub bid: bool,
}

/// Encodes into a buffer that the caller empties.
pub struct Wire {
    format: Format,
    names: Vec<[u8; 8]>,
    /// What was encoded and not yet taken.
    pub bytes: Vec<u8>,
    /// Messages so far.
    pub messages: u64,
    /// Messages so far by type.
    pub kinds: [u64; 128],
    /// Nanoseconds since midnight of all that follows.
    now_ns: u64,
    second: u64,
    rank: u32,
}

impl Wire {
    /// Nothing encoded yet.
    pub fn new(format: Format, symbols: usize) -> Self {
        let names = (0..symbols).map(stock).collect();
        Self { format, names, bytes: Vec::new(), messages: 0, kinds: [0; 128], now_ns: 0, second: 0, rank: 0 }
    }

    /// What follows happens `ns` nanoseconds after midnight.
    pub fn at(&mut self, ns: u64) {
        self.now_ns = ns;
        let second = ns / SECOND_NS;
        if self.format == Format::Bistech && second != self.second {
            self.second = second;
            // OK because seconds fit 32 bits until 2106.
            let second = (DAY_S + second) as u32;
            self.put(bistech::Seconds { kind: b'T', second: second.into() }.as_bytes());
        }
    }

    /// The first message of a day.
    pub fn begin(&mut self) {
        let (kind, code) = (b'S', b'O');
        match self.format {
            Format::Itch50 => {
                let time = self.time();
                self.put(itch50::SystemEvent { kind, locate: 0.into(), time, code }.as_bytes());
            }
            Format::Bistech => self.put(bistech::SystemEvent { kind, nanos: self.nanos(), code }.as_bytes()),
        }
    }

    /// A symbol and its price band, in units of 10⁻⁴; one or two messages.
    pub fn directory(&mut self, symbol: usize, tick: u32, from: u32, to: u32) {
        match self.format {
            Format::Itch50 => self.itch50_directory(symbol),
            Format::Bistech => self.bistech_directory(symbol, tick, from, to),
        }
    }

    /// Every field as an exchange would fill it: strict parsers refuse others.
    fn itch50_directory(&mut self, symbol: usize) {
        let (locate, time, stock) = (locate(symbol), self.time(), self.names[symbol]);
        let directory = itch50::StockDirectory {
            kind: b'R',
            locate,
            time,
            stock,
            market_category: b'Q',
            financial_status: b'N',
            round_lot: 100.into(),
            round_lots_only: b'N',
            classification: b'C',
            subtype: *b"Z ",
            authenticity: b'P',
            short_sale_threshold: b'N',
            ipo: b'N',
            luld_tier: b'1',
            etp: b'N',
            leverage: 0.into(),
            inverse: b'N',
        };
        self.put(directory.as_bytes());
        let (kind, state, reserved, reason) = (b'H', b'T', b' ', *b"    ");
        self.put(itch50::TradingAction { kind, locate, time, stock, state, reserved, reason }.as_bytes());
    }

    fn bistech_directory(&mut self, symbol: usize, tick: u32, from: u32, to: u32) {
        let mut name = [b' '; 32];
        name[..8].copy_from_slice(&self.names[symbol]);
        let directory = bistech::OrderBookDirectory {
            kind: b'R',
            nanos: self.nanos(),
            book_id: book_id(symbol),
            symbol: name,
            long_name: name,
            financial_product: 5,
            price_decimals: 4.into(),
            round_lot: 1.into(),
            ranking_type: 1,
            ..FromZeros::new_zeroed()
        };
        self.put(directory.as_bytes());
        let band = bistech::TickSize {
            kind: b'L',
            nanos: self.nanos(),
            book_id: book_id(symbol),
            tick: u64::from(tick).into(),
            price_from: (from as i32).into(),
            price_to: (to as i32).into(),
        };
        self.put(band.as_bytes());
    }

    /// A new order; `participant` names its sender where the protocol can.
    pub fn add(&mut self, order: Named, price: u32, quantity: u32, participant: bool) {
        match self.format {
            Format::Itch50 => {
                let message = itch50::AddOrder {
                    kind: if participant { b'F' } else { b'A' },
                    locate: locate(order.symbol),
                    time: self.time(),
                    reference: order.id.into(),
                    side: side(order.bid),
                    shares: quantity.into(),
                    stock: self.names[order.symbol],
                    price: price.into(),
                };
                if participant {
                    let mut named = [0; itch50::AddOrderParticipant::LENGTH];
                    let (head, tail) = named.split_at_mut(itch50::AddOrder::LENGTH);
                    head.copy_from_slice(message.as_bytes());
                    tail.copy_from_slice(b"MPID");
                    self.put(&named);
                } else {
                    self.put(message.as_bytes());
                }
            }
            Format::Bistech => {
                self.rank += 1;
                let message = bistech::AddOrder {
                    kind: b'A',
                    nanos: self.nanos(),
                    order_id: order.id.into(),
                    book_id: book_id(order.symbol),
                    side: side(order.bid),
                    ranking_sequence: self.rank.into(),
                    quantity: u64::from(quantity).into(),
                    price: (price as i32).into(),
                    attributes: 0.into(),
                    lot_type: 2,
                    ranking_ns: (DAY_S * SECOND_NS + self.now_ns).into(),
                };
                self.put(message.as_bytes());
            }
        }
    }

    /// An order leaves.
    pub fn delete(&mut self, order: Named) {
        match self.format {
            Format::Itch50 => {
                let (kind, locate, time) = (b'D', locate(order.symbol), self.time());
                self.put(itch50::OrderDelete { kind, locate, time, reference: order.id.into() }.as_bytes());
            }
            Format::Bistech => {
                let message = bistech::OrderDelete {
                    kind: b'D',
                    nanos: self.nanos(),
                    order_id: order.id.into(),
                    book_id: book_id(order.symbol),
                    side: side(order.bid),
                };
                self.put(message.as_bytes());
            }
        }
    }

    /// An order gets a new price and quantity, and in ITCH 5.0 a new number. BISTECH has no such message: the order
    /// leaves and comes back, under the number it had.
    pub fn replace(&mut self, order: Named, new_id: u64, price: u32, quantity: u32) {
        match self.format {
            Format::Itch50 => {
                let message = itch50::OrderReplace {
                    kind: b'U',
                    locate: locate(order.symbol),
                    time: self.time(),
                    reference: order.id.into(),
                    new_reference: new_id.into(),
                    shares: quantity.into(),
                    price: price.into(),
                };
                self.put(message.as_bytes());
            }
            Format::Bistech => {
                self.delete(order);
                self.add(Named { id: new_id, ..order }, price, quantity, false);
            }
        }
    }

    /// Shares of an order are withdrawn. ITCH 5.0 only.
    pub fn cancel(&mut self, order: Named, shares: u32) {
        let message = itch50::OrderCancel {
            kind: b'X',
            locate: locate(order.symbol),
            time: self.time(),
            reference: order.id.into(),
            shares: shares.into(),
        };
        self.put(message.as_bytes());
    }

    /// Shares of an order are executed; `at` is the price where it has to be said (ITCH 5.0 only).
    pub fn execute(&mut self, order: Named, shares: u32, match_id: u64, at: Option<u32>) {
        match (self.format, at) {
            (Format::Itch50, None) => {
                let message = itch50::OrderExecuted {
                    kind: b'E',
                    locate: locate(order.symbol),
                    time: self.time(),
                    reference: order.id.into(),
                    shares: shares.into(),
                    match_id: match_id.into(),
                };
                self.put(message.as_bytes());
            }
            (Format::Itch50, Some(price)) => {
                let message = itch50::OrderExecutedPrice {
                    kind: b'C',
                    locate: locate(order.symbol),
                    time: self.time(),
                    reference: order.id.into(),
                    shares: shares.into(),
                    match_id: match_id.into(),
                    printable: b'Y',
                    price: price.into(),
                };
                self.put(message.as_bytes());
            }
            (Format::Bistech, _) => {
                let message = bistech::OrderExecuted {
                    kind: b'E',
                    nanos: self.nanos(),
                    order_id: order.id.into(),
                    book_id: book_id(order.symbol),
                    side: side(order.bid),
                    quantity: u64::from(shares).into(),
                    match_id: match_id.into(),
                    ..FromZeros::new_zeroed()
                };
                self.put(message.as_bytes());
            }
        }
    }

    /// A trade of orders that were never shown.
    pub fn trade(&mut self, symbol: usize, price: u32, shares: u32, match_id: u64) {
        match self.format {
            Format::Itch50 => {
                let message = itch50::Trade {
                    kind: b'P',
                    locate: locate(symbol),
                    time: self.time(),
                    reference: 0.into(),
                    side: b'B',
                    shares: shares.into(),
                    stock: self.names[symbol],
                    price: price.into(),
                    match_id: match_id.into(),
                };
                self.put(message.as_bytes());
            }
            Format::Bistech => {
                let message = bistech::Trade {
                    kind: b'P',
                    nanos: self.nanos(),
                    match_id: match_id.into(),
                    side: b' ',
                    quantity: u64::from(shares).into(),
                    book_id: book_id(symbol),
                    price: (price as i32).into(),
                    printable: b'Y',
                    cross: b'N',
                    ..FromZeros::new_zeroed()
                };
                self.put(message.as_bytes());
            }
        }
    }

    fn time(&self) -> itch50::TrackedNanos {
        itch50::TrackedNanos::new(0, self.now_ns)
    }

    fn nanos(&self) -> zerocopy::big_endian::U32 {
        ((self.now_ns % SECOND_NS) as u32).into()
    }

    fn put(&mut self, message: &[u8]) {
        // OK because no message of either protocol has more than 130 bytes.
        self.bytes.extend_from_slice(&(message.len() as u16).to_be_bytes());
        self.bytes.extend_from_slice(message);
        self.messages += 1;
        self.kinds[usize::from(message[0] & 127)] += 1;
    }
}

fn locate(symbol: usize) -> zerocopy::big_endian::U16 {
    // OK because a plan has at most 65,000 symbols.
    (symbol as u16 + 1).into()
}

fn book_id(symbol: usize) -> zerocopy::big_endian::U32 {
    (symbol as u32 + 1).into()
}

fn side(bid: bool) -> u8 {
    if bid { b'B' } else { b'S' }
}

/// Name of a symbol: `S` and its number in five digits.
pub fn stock(symbol: usize) -> [u8; 8] {
    let mut name = *b"S       ";
    name[1..6].copy_from_slice(format!("{symbol:05}").as_bytes());
    name
}
