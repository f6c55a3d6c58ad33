//! Writes BISTECH ITCH 2112 messages: fills the structs of the layout and keeps the second of the timestamps.
//!
//! Decides nothing about the market.

use book::{Nanos, Side};
use zerocopy::big_endian::{I32, U16, U32, U64};
use zerocopy::{Immutable, IntoBytes};

use super::matching::{Change, Order};
use super::shares::Share;
use super::ticks::{Limits, Milli, NO_PRICE};
use crate::wire::layout::bistech_2112 as layout;
use crate::wire::layout::moldudp64::Session;
use crate::wire::layout::{Message, alpha};

/// Takes what the exchange says. Messages of one exchange time belong into one packet as far as they fit.
pub trait Output {
    /// A trading day begins: messages are numbered from 1 again under a new session.
    fn session_begins(&mut self, session: Session);
    /// One message.
    fn message(&mut self, exchange_ns: Nanos, message: &[u8]);
    /// The day's last message was given.
    fn session_ends(&mut self);
}

/// Decimals of all prices, as in the real directory.
pub(super) const PRICE_DECIMALS: u16 = 3;

/// The writer of one day's messages.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    second: Option<u32>,
    next_match_id: u64,
    /// Messages by type byte.
    pub counts: Counts,
    /// Messages altogether.
    pub total: u64,
}

/// Messages by type byte.
#[derive(Debug)]
pub(super) struct Counts(pub [u64; 256]);

impl Default for Counts {
    fn default() -> Self {
        Self([0; 256])
    }
}

fn nanos(at_ns: Nanos) -> U32 {
    U32::new((at_ns % 1_000_000_000) as u32)
}

fn side_byte(side: Side) -> u8 {
    match side {
        Side::Bid => layout::BUY,
        Side::Ask => layout::SELL,
        Side::None => b' ',
    }
}

const fn flag(yes: bool) -> u8 {
    if yes { b'Y' } else { b'N' }
}

impl Encoder {
    pub fn new_day(&mut self, first_match_id: u64) {
        self.second = None;
        self.next_match_id = first_match_id;
    }

    fn put<M: Message + IntoBytes + Immutable>(&mut self, out: &mut dyn Output, at_ns: Nanos, message: &M) {
        // OK because the layout has 32 bits: enough until 2106.
        let second = (at_ns / 1_000_000_000) as u32;
        if self.second != Some(second) {
            self.second = Some(second);
            let seconds = layout::Seconds { second: U32::new(second), ..Default::default() };
            self.send::<layout::Seconds>(out, at_ns, &seconds);
        }
        self.send(out, at_ns, message);
    }

    fn send<M: Message + IntoBytes + Immutable>(&mut self, out: &mut dyn Output, at_ns: Nanos, message: &M) {
        self.counts.0[usize::from(M::KIND)] += 1;
        self.total += 1;
        out.message(at_ns, message.as_bytes());
    }

    pub fn system_event(&mut self, out: &mut dyn Output, at_ns: Nanos, code: u8) {
        self.put(out, at_ns, &layout::SystemEvent { nanos: nanos(at_ns), code, ..Default::default() });
    }

    pub fn directory(&mut self, out: &mut dyn Output, at_ns: Nanos, book_id: u32, share: &Share) {
        let mut symbol = alpha(share.ticker);
        symbol[share.ticker.len()..share.ticker.len() + 2].copy_from_slice(b".E");
        let message = layout::OrderBookDirectory {
            nanos: nanos(at_ns),
            book_id: U32::new(book_id),
            symbol,
            long_name: alpha(share.name),
            isin: share.isin(),
            financial_product: 5,
            currency: *b"TRY",
            price_decimals: U16::new(PRICE_DECIMALS),
            nominal_decimals: U16::new(0),
            round_lot: U32::new(1),
            nominal: U64::new(1),
            ranking_type: 1,
            ..Default::default()
        };
        self.put(out, at_ns, &message);
    }

    pub fn tick_sizes(&mut self, out: &mut dyn Output, at_ns: Nanos, book_id: u32, limits: Limits) {
        for (tick, from, to) in limits.bands() {
            let message = layout::TickSize {
                nanos: nanos(at_ns),
                book_id: U32::new(book_id),
                tick: U64::new(u64::from(tick.unsigned_abs())),
                price_from: I32::new(from),
                price_to: I32::new(to),
                ..Default::default()
            };
            self.put(out, at_ns, &message);
        }
    }

    pub fn short_sell(&mut self, out: &mut dyn Output, at_ns: Nanos, book_id: u32, status: u8) {
        let message =
            layout::ShortSellStatus { nanos: nanos(at_ns), book_id: U32::new(book_id), status, ..Default::default() };
        self.put(out, at_ns, &message);
    }

    pub fn state(&mut self, out: &mut dyn Output, at_ns: Nanos, book_id: u32, state: &str) {
        let message = layout::OrderBookState {
            nanos: nanos(at_ns),
            book_id: U32::new(book_id),
            state: alpha(state),
            ..Default::default()
        };
        self.put(out, at_ns, &message);
    }

    pub fn flush(&mut self, out: &mut dyn Output, at_ns: Nanos, book_id: u32) {
        let message = layout::OrderBookFlush { nanos: nanos(at_ns), book_id: U32::new(book_id), ..Default::default() };
        self.put(out, at_ns, &message);
    }

    /// `best`: price and shares of the best bid and of the best ask.
    pub fn equilibrium(
        &mut self,
        out: &mut dyn Output,
        at_ns: Nanos,
        book_id: u32,
        price: Option<(Milli, u64, u64)>,
        best: [Option<(Milli, u64)>; 2],
    ) {
        let (price, bid_quantity, ask_quantity) = price.unwrap_or((NO_PRICE, 0, 0));
        let [bid, ask] = best.map(|best| best.unwrap_or((NO_PRICE, 0)));
        let message = layout::EquilibriumPrice {
            nanos: nanos(at_ns),
            book_id: U32::new(book_id),
            bid_quantity: U64::new(bid_quantity),
            ask_quantity: U64::new(ask_quantity),
            price: I32::new(price),
            best_bid: I32::new(bid.0),
            best_ask: I32::new(ask.0),
            best_bid_quantity: U64::new(bid.1),
            best_ask_quantity: U64::new(ask.1),
            ..Default::default()
        };
        self.put(out, at_ns, &message);
    }

    pub fn change(&mut self, out: &mut dyn Output, at_ns: Nanos, book_id: u32, change: &Change) {
        match *change {
            Change::Added { side, order } => self.add(out, at_ns, book_id, side, &order),
            Change::Deleted { side, id } => {
                let message = layout::OrderDelete {
                    nanos: nanos(at_ns),
                    order_id: U64::new(id),
                    book_id: U32::new(book_id),
                    side: side_byte(side),
                    ..Default::default()
                };
                self.put(out, at_ns, &message);
            }
            Change::Executed { side, id, quantity, own_price, price, cross } => {
                let match_id = self.take_match_id();
                if own_price == price && !cross {
                    let message = layout::OrderExecuted {
                        nanos: nanos(at_ns),
                        order_id: U64::new(id),
                        book_id: U32::new(book_id),
                        side: side_byte(side),
                        quantity: U64::new(quantity),
                        match_id,
                        ..Default::default()
                    };
                    self.put(out, at_ns, &message);
                } else {
                    let message = layout::OrderExecutedPrice {
                        nanos: nanos(at_ns),
                        order_id: U64::new(id),
                        book_id: U32::new(book_id),
                        side: side_byte(side),
                        quantity: U64::new(quantity),
                        match_id,
                        price: I32::new(price),
                        cross: flag(cross),
                        printable: flag(true),
                        ..Default::default()
                    };
                    self.put(out, at_ns, &message);
                }
            }
            Change::Hidden { side, quantity, price, cross } => {
                let message = layout::Trade {
                    nanos: nanos(at_ns),
                    match_id: self.take_match_id(),
                    side: side_byte(side),
                    quantity: U64::new(quantity),
                    book_id: U32::new(book_id),
                    price: I32::new(price),
                    printable: flag(true),
                    cross: flag(cross),
                    ..Default::default()
                };
                self.put(out, at_ns, &message);
            }
        }
    }

    fn add(&mut self, out: &mut dyn Output, at_ns: Nanos, book_id: u32, side: Side, order: &Order) {
        let message = layout::AddOrder {
            nanos: nanos(at_ns),
            order_id: U64::new(order.id),
            book_id: U32::new(book_id),
            side: side_byte(side),
            ranking_sequence: U32::new(order.rank_sequence),
            quantity: U64::new(order.visible),
            price: I32::new(order.price),
            attributes: U16::new(0),
            lot_type: 2,
            ranking_ns: U64::new(order.rank_ns),
            ..Default::default()
        };
        self.put(out, at_ns, &message);
    }

    fn take_match_id(&mut self) -> U64 {
        self.next_match_id += 1;
        U64::new(self.next_match_id)
    }
}
