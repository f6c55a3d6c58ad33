//! BISTECH ITCH, version 2112 (28 February 2025): Borsa Istanbul's order-by-order feed. Layouts only.
//!
//! Section numbers are those of the exchange's "ITCH Protocol Specification BIST". Integers are big-endian; text is
//! ISO 8859-1, padded right with spaces. Every message but [`Seconds`] begins with its type and the nanoseconds since
//! the second that the last [`Seconds`] named. Editions before 2025 are shorter at their end: see [`AddOrderEarly`],
//! [`DIRECTORY_2014_BYTES`] and [`DIRECTORY_2024_BYTES`].

use zerocopy::big_endian::{I32, U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::message;

/// A price that is none: only bit 31 set. In an add it means a market order.
pub const NO_PRICE: i32 = i32::MIN;
/// Decimals that stand for prices in 1/256 fractions.
pub const DECIMALS_256THS: u16 = 256;
/// Bytes of the order book directory of version 1.2 (2014): it ends before the number of legs.
pub const DIRECTORY_2014_BYTES: usize = 113;
/// Bytes of the order book directory up to version 2108 (2024): without the ranking type.
pub const DIRECTORY_2024_BYTES: usize = 129;
/// Side byte of a buy order.
pub const BUY: u8 = b'B';
/// Side byte of a sell order.
pub const SELL: u8 = b'S';

/// Unix time in whole seconds; first message of every second that has others. Type `T`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Seconds {
    /// Always `b'T'`.
    pub kind: u8,
    /// Seconds since the Unix epoch, UTC.
    pub second: U32,
}
message!(Seconds, b'T', 5, { second: 1 });

/// What an order book trades. Sent for every active book at the start of the day, and for changes. Type `R`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct OrderBookDirectory {
    /// Always `b'R'`.
    pub kind: u8,
    /// Nanoseconds since the last second.
    pub nanos: U32,
    /// Order book; ids of expired books may come back for new instruments.
    pub book_id: U32,
    /// Symbol, e.g. `GARAN.E`.
    pub symbol: [u8; 32],
    /// Name for people.
    pub long_name: [u8; 32],
    /// ISIN.
    pub isin: [u8; 12],
    /// Kind of instrument: 1 option, 2 forward, 3 future, 5 cash, 11 standard combination, 14 equity warrant, ...
    pub financial_product: u8,
    /// ISO 4217 code.
    pub currency: [u8; 3],
    /// Implied decimals of the book's prices; [`DECIMALS_256THS`] = fractions of 1/256.
    pub price_decimals: U16,
    /// Implied decimals of the nominal value.
    pub nominal_decimals: U16,
    /// Odd lot size, 0 = undefined.
    pub odd_lot: U32,
    /// Round lot size.
    pub round_lot: U32,
    /// Block lot size, 0 = undefined.
    pub block_lot: U32,
    /// Nominal value.
    pub nominal: U64,
    /// Number of legs of a combination, else 0.
    pub legs: u8,
    /// Underlying book of a derivative, 0 = none.
    pub underlying_book_id: U32,
    /// Strike price in `strike_decimals`.
    pub strike: I32,
    /// Expiration as the number YYYYMMDD, 0 = none.
    pub expiration: U32,
    /// Implied decimals of the strike price.
    pub strike_decimals: U16,
    /// 0 undefined, 1 call, 2 put.
    pub option_type: u8,
    /// 1 = price, then time. Absent before version 2109.
    pub ranking_type: u8,
}
message!(OrderBookDirectory, b'R', 130, {
    nanos: 1, book_id: 5, symbol: 9, long_name: 41, isin: 73, financial_product: 85, currency: 86,
    price_decimals: 89, nominal_decimals: 91, odd_lot: 93, round_lot: 97, block_lot: 101, nominal: 105, legs: 113,
    underlying_book_id: 114, strike: 118, expiration: 122, strike_decimals: 126, option_type: 128, ranking_type: 129,
});

/// One leg of a combination book; one message per leg. Type `M`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct CombinationLeg {
    /// Always `b'M'`.
    pub kind: u8,
    /// Nanoseconds since the last second.
    pub nanos: U32,
    /// Combination book.
    pub book_id: U32,
    /// Book of the leg.
    pub leg_book_id: U32,
    /// `b'B'` as defined, `b'C'` opposite.
    pub leg_side: u8,
    /// Ratio.
    pub ratio: U32,
}
message!(CombinationLeg, b'M', 18, { nanos: 1, book_id: 5, leg_book_id: 9, leg_side: 13, ratio: 14 });

/// One entry of a book's tick size table. Type `L`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct TickSize {
    /// Always `b'L'`.
    pub kind: u8,
    /// Nanoseconds since the last second.
    pub nanos: U32,
    /// Book.
    pub book_id: U32,
    /// Tick in the price decimals of the book.
    pub tick: U64,
    /// First price of the entry.
    pub price_from: I32,
    /// Last price of the entry, 0 = no upper end.
    pub price_to: I32,
}
message!(TickSize, b'L', 25, { nanos: 1, book_id: 5, tick: 9, price_from: 17, price_to: 21 });

/// Whether a share may be sold short. A book without one has no such rule. Type `V`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ShortSellStatus {
    /// Always `b'V'`.
    pub kind: u8,
    /// Nanoseconds since the last second.
    pub nanos: U32,
    /// Book.
    pub book_id: U32,
    /// 0 allowed, 1 not allowed, 2 allowed under the up-tick rule.
    pub status: u8,
}
message!(ShortSellStatus, b'V', 10, { nanos: 1, book_id: 5, status: 9 });

/// Start or end of the day's messages. Type `S`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SystemEvent {
    /// Always `b'S'`.
    pub kind: u8,
    /// Nanoseconds since the last second.
    pub nanos: U32,
    /// `b'O'` start of messages, `b'C'` end of messages.
    pub code: u8,
}
message!(SystemEvent, b'S', 6, { nanos: 1, code: 5 });

/// State of a book. Type `O`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct OrderBookState {
    /// Always `b'O'`.
    pub kind: u8,
    /// Nanoseconds since the last second.
    pub nanos: U32,
    /// Book.
    pub book_id: U32,
    /// Name of the state; the names are not part of the specification.
    pub state: [u8; 20],
}
message!(OrderBookState, b'O', 29, { nanos: 1, book_id: 5, state: 9 });

/// New order, in the form up to version 2108; also the head of [`AddOrder`] and [`AddOrderParticipant`]. Type `A`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct AddOrderEarly {
    /// Always `b'A'`.
    pub kind: u8,
    /// Nanoseconds since the last second.
    pub nanos: U32,
    /// Unique within a book and side only.
    pub order_id: U64,
    /// Book.
    pub book_id: U32,
    /// [`BUY`] or [`SELL`].
    pub side: u8,
    /// 1-based place in the whole side at the time of the message.
    pub position: U32,
    /// Visible quantity, 0 = undisclosed.
    pub quantity: U64,
    /// Price in the decimals of the book; [`NO_PRICE`] = market order.
    pub price: I32,
    /// Bit map; `0x2000` = implied order.
    pub attributes: U16,
    /// 2 = round lot.
    pub lot_type: u8,
}
message!(AddOrderEarly, b'A', 37, {
    nanos: 1, order_id: 5, book_id: 13, side: 17, position: 18, quantity: 22, price: 30, attributes: 34, lot_type: 36,
});

/// New order. Type `A`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct AddOrder {
    /// Always `b'A'`.
    pub kind: u8,
    /// Nanoseconds since the last second.
    pub nanos: U32,
    /// Unique within a book and side only.
    pub order_id: U64,
    /// Book.
    pub book_id: U32,
    /// [`BUY`] or [`SELL`].
    pub side: u8,
    /// Ranks orders of one price and one ranking time, ascending; not a position.
    pub ranking_sequence: U32,
    /// Visible quantity, 0 = undisclosed.
    pub quantity: U64,
    /// Price in the decimals of the book; [`NO_PRICE`] = market order.
    pub price: I32,
    /// Bit map; `0x2000` = implied order.
    pub attributes: U16,
    /// 2 = round lot.
    pub lot_type: u8,
    /// Ranking time, Unix nanoseconds, 0 = not stated.
    pub ranking_ns: U64,
}
message!(AddOrder, b'A', 45, {
    nanos: 1, order_id: 5, book_id: 13, side: 17, ranking_sequence: 18, quantity: 22, price: 30, attributes: 34,
    lot_type: 36, ranking_ns: 37,
});

/// New order with the member's name. Defined, not sent by the exchange. Type `F`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct AddOrderParticipant {
    /// Always `b'F'`.
    pub kind: u8,
    /// Nanoseconds since the last second.
    pub nanos: U32,
    /// Unique within a book and side only.
    pub order_id: U64,
    /// Book.
    pub book_id: U32,
    /// [`BUY`] or [`SELL`].
    pub side: u8,
    /// 1-based place in the whole side at the time of the message.
    pub position: U32,
    /// Visible quantity, 0 = undisclosed.
    pub quantity: U64,
    /// Price in the decimals of the book; [`NO_PRICE`] = market order.
    pub price: I32,
    /// Bit map; `0x2000` = implied order.
    pub attributes: U16,
    /// 2 = round lot.
    pub lot_type: u8,
    /// Member.
    pub participant: [u8; 7],
}
message!(AddOrderParticipant, b'F', 44, {
    nanos: 1, order_id: 5, book_id: 13, side: 17, position: 18, quantity: 22, price: 30, attributes: 34, lot_type: 36,
    participant: 37,
});

/// A resting order traded at its own price. Type `E`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct OrderExecuted {
    /// Always `b'E'`.
    pub kind: u8,
    /// Nanoseconds since the last second.
    pub nanos: U32,
    /// The resting order.
    pub order_id: U64,
    /// Book.
    pub book_id: U32,
    /// Side of the resting order.
    pub side: u8,
    /// Executed quantity; several executions add up.
    pub quantity: U64,
    /// Match id.
    pub match_id: U64,
    /// Links the parts of a combination's execution, 0 = none; not unique over time.
    pub combo_group_id: U32,
    /// No meaning.
    pub reserved: [u8; 14],
}
message!(OrderExecuted, b'E', 52, {
    nanos: 1, order_id: 5, book_id: 13, side: 17, quantity: 18, match_id: 26, combo_group_id: 34, reserved: 38,
});

/// A resting order traded at another price than its own. Type `C`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct OrderExecutedPrice {
    /// Always `b'C'`.
    pub kind: u8,
    /// Nanoseconds since the last second.
    pub nanos: U32,
    /// The resting order.
    pub order_id: U64,
    /// Book.
    pub book_id: U32,
    /// Side of the resting order.
    pub side: u8,
    /// Executed quantity; several executions add up.
    pub quantity: U64,
    /// Match id.
    pub match_id: U64,
    /// Links the parts of a combination's execution, 0 = none; not unique over time.
    pub combo_group_id: U32,
    /// No meaning.
    pub reserved: [u8; 14],
    /// Trade price in the decimals of the book; the order keeps its own.
    pub price: I32,
    /// `b'Y'` or `b'N'`: happened in an auction.
    pub cross: u8,
    /// `b'Y'` or `b'N'`: counts as a trade for the ticker and the volume.
    pub printable: u8,
}
message!(OrderExecutedPrice, b'C', 58, {
    nanos: 1, order_id: 5, book_id: 13, side: 17, quantity: 18, match_id: 26, combo_group_id: 34, reserved: 38,
    price: 52, cross: 56, printable: 57,
});

/// New quantity and price of an order. Defined, not sent by the exchange. Type `U`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct OrderReplace {
    /// Always `b'U'`.
    pub kind: u8,
    /// Nanoseconds since the last second.
    pub nanos: U32,
    /// The order; it keeps its id.
    pub order_id: U64,
    /// Book.
    pub book_id: U32,
    /// [`BUY`] or [`SELL`].
    pub side: u8,
    /// New 1-based place in the whole side.
    pub position: U32,
    /// New visible quantity.
    pub quantity: U64,
    /// New price in the decimals of the book; [`NO_PRICE`] = market order.
    pub price: I32,
    /// Bit map; `0x2000` = implied order.
    pub attributes: U16,
}
message!(OrderReplace, b'U', 36, {
    nanos: 1, order_id: 5, book_id: 13, side: 17, position: 18, quantity: 22, price: 30, attributes: 34,
});

/// An order leaves the book in full. Type `D`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct OrderDelete {
    /// Always `b'D'`.
    pub kind: u8,
    /// Nanoseconds since the last second.
    pub nanos: U32,
    /// Unique within a book and side only.
    pub order_id: U64,
    /// Book.
    pub book_id: U32,
    /// [`BUY`] or [`SELL`].
    pub side: u8,
}
message!(OrderDelete, b'D', 18, { nanos: 1, order_id: 5, book_id: 13, side: 17 });

/// Every order of the book is gone. Since version 2105. Type `Y`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct OrderBookFlush {
    /// Always `b'Y'`.
    pub kind: u8,
    /// Nanoseconds since the last second.
    pub nanos: U32,
    /// Book.
    pub book_id: U32,
}
message!(OrderBookFlush, b'Y', 9, { nanos: 1, book_id: 5 });

/// A trade that touches no visible order. The book stands elsewhere than in the other messages. Type `P`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Trade {
    /// Always `b'P'`.
    pub kind: u8,
    /// Nanoseconds since the last second.
    pub nanos: U32,
    /// Match id.
    pub match_id: U64,
    /// Links the parts of a combination's execution, 0 = none; not unique over time.
    pub combo_group_id: U32,
    /// Side of the hidden resting order; a space in anonymous markets.
    pub side: u8,
    /// Quantity.
    pub quantity: U64,
    /// Book.
    pub book_id: U32,
    /// Trade price in the decimals of the book.
    pub price: I32,
    /// No meaning.
    pub reserved: [u8; 14],
    /// `b'Y'` or `b'N'`: counts as a trade for the ticker and the volume.
    pub printable: u8,
    /// `b'Y'` or `b'N'`: happened in an auction. The two flags stand in the other order than in `C`.
    pub cross: u8,
}
message!(Trade, b'P', 50, {
    nanos: 1, match_id: 5, combo_group_id: 13, side: 17, quantity: 18, book_id: 26, price: 30, reserved: 34,
    printable: 48, cross: 49,
});

/// Price an auction would give now. Type `Z`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct EquilibriumPrice {
    /// Always `b'Z'`.
    pub kind: u8,
    /// Nanoseconds since the last second.
    pub nanos: U32,
    /// Book.
    pub book_id: U32,
    /// Bid quantity available at the equilibrium price.
    pub bid_quantity: U64,
    /// Ask quantity available at the equilibrium price.
    pub ask_quantity: U64,
    /// Equilibrium price or [`NO_PRICE`].
    pub price: I32,
    /// Best bid or [`NO_PRICE`].
    pub best_bid: I32,
    /// Best ask or [`NO_PRICE`].
    pub best_ask: I32,
    /// Quantity of the best bid.
    pub best_bid_quantity: U64,
    /// Quantity of the best ask.
    pub best_ask_quantity: U64,
}
message!(EquilibriumPrice, b'Z', 53, {
    nanos: 1, book_id: 5, bid_quantity: 9, ask_quantity: 17, price: 25, best_bid: 29, best_ask: 33,
    best_bid_quantity: 37, best_ask_quantity: 45,
});
