//! NASDAQ TotalView-ITCH, version 5.0: the relative of BISTECH ITCH with public real recordings. Layouts only.
//!
//! Integers are big-endian and unsigned; text is ASCII, padded right with spaces. Every message begins with its type,
//! the stock's locate code of the day (0 where no stock is meant) and [`TrackedNanos`]; its body starts at offset 11.

use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::message;

/// Implied decimals of every 4-byte price.
pub const PRICE_DECIMALS: u8 = 4;
/// Side byte of a buy order.
pub const BUY: u8 = b'B';
/// Side byte of a sell order.
pub const SELL: u8 = b'S';

/// Tracking number (2 bytes) and nanoseconds since midnight in New York (6 bytes), offsets 3 and 5.
///
/// One field because together they are one 8-byte load; there is no 6-byte integer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(transparent)]
pub struct TrackedNanos(U64);

impl TrackedNanos {
    const NANOS_BITS: u32 = 48;

    /// Both values; `nanos` above 48 bits is cut.
    #[must_use]
    pub const fn new(tracking: u16, nanos: u64) -> Self {
        Self(U64::new((tracking as u64) << Self::NANOS_BITS | (nanos & ((1 << Self::NANOS_BITS) - 1))))
    }

    /// The operator's own number; no meaning outside.
    #[inline]
    #[must_use]
    pub const fn tracking(self) -> u16 {
        (self.0.get() >> Self::NANOS_BITS) as u16
    }

    /// Nanoseconds since midnight in New York.
    #[inline]
    #[must_use]
    pub const fn nanos(self) -> u64 {
        self.0.get() & ((1 << Self::NANOS_BITS) - 1)
    }
}

/// The first 11 bytes of every message.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct MessageHead {
    /// Type.
    pub kind: u8,
    /// Locate code of the stock, given anew each day; 0 = no stock.
    pub locate: U16,
    /// Tracking number and time.
    pub time: TrackedNanos,
}

const _: () = {
    assert!(size_of::<MessageHead>() == 11);
    assert!(align_of::<MessageHead>() == 1);
};

/// Start or end of a part of the day. Type `S`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SystemEvent {
    /// Always `b'S'`.
    pub kind: u8,
    /// Locate code of the stock (0: no stock).
    pub locate: U16,
    /// Tracking number and time.
    pub time: TrackedNanos,
    /// `O` start of messages, `S` system hours, `Q` market hours, `M` end of market hours, `E` end of system hours,
    /// `C` end of messages.
    pub code: u8,
}
message!(SystemEvent, b'S', 12, { locate: 1, time: 3, code: 11 });

/// What a locate code means today. Type `R`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct StockDirectory {
    /// Always `b'R'`.
    pub kind: u8,
    /// Locate code of the stock.
    pub locate: U16,
    /// Tracking number and time.
    pub time: TrackedNanos,
    /// Symbol.
    pub stock: [u8; 8],
    /// Listing market.
    pub market_category: u8,
    /// Financial status.
    pub financial_status: u8,
    /// Round lot, shares.
    pub round_lot: U32,
    /// `Y` or `N`.
    pub round_lots_only: u8,
    /// Issue class.
    pub classification: u8,
    /// Issue subtype.
    pub subtype: [u8; 2],
    /// `P` production, `T` test.
    pub authenticity: u8,
    /// `Y`, `N` or a space.
    pub short_sale_threshold: u8,
    /// `Y`, `N` or a space.
    pub ipo: u8,
    /// `1`, `2` or a space.
    pub luld_tier: u8,
    /// `Y`, `N` or a space.
    pub etp: u8,
    /// Leverage factor of an exchange-traded product.
    pub leverage: U32,
    /// `Y` or `N`.
    pub inverse: u8,
}
message!(StockDirectory, b'R', 39, {
    locate: 1, time: 3, stock: 11, market_category: 19, financial_status: 20, round_lot: 21, round_lots_only: 25,
    classification: 26, subtype: 27, authenticity: 29, short_sale_threshold: 30, ipo: 31, luld_tier: 32, etp: 33,
    leverage: 34, inverse: 38,
});

/// Trading state of a stock. Type `H`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct TradingAction {
    /// Always `b'H'`.
    pub kind: u8,
    /// Locate code of the stock.
    pub locate: U16,
    /// Tracking number and time.
    pub time: TrackedNanos,
    /// Symbol.
    pub stock: [u8; 8],
    /// `H` halted, `P` paused, `Q` quotation only, `T` trading.
    pub state: u8,
    /// No meaning.
    pub reserved: u8,
    /// Reason code.
    pub reason: [u8; 4],
}
message!(TradingAction, b'H', 25, { locate: 1, time: 3, stock: 11, state: 19, reserved: 20, reason: 21 });

/// Short sale price test. Type `Y`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RegSho {
    /// Always `b'Y'`.
    pub kind: u8,
    /// Locate code of the stock.
    pub locate: U16,
    /// Tracking number and time.
    pub time: TrackedNanos,
    /// Symbol.
    pub stock: [u8; 8],
    /// `0`, `1` or `2`.
    pub action: u8,
}
message!(RegSho, b'Y', 20, { locate: 1, time: 3, stock: 11, action: 19 });

/// A market maker's standing in a stock. Type `L`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ParticipantPosition {
    /// Always `b'L'`.
    pub kind: u8,
    /// Locate code of the stock.
    pub locate: U16,
    /// Tracking number and time.
    pub time: TrackedNanos,
    /// Market participant.
    pub participant: [u8; 4],
    /// Symbol.
    pub stock: [u8; 8],
    /// `Y` or `N`.
    pub primary: u8,
    /// Market maker mode.
    pub mode: u8,
    /// Participant state.
    pub state: u8,
}
message!(ParticipantPosition, b'L', 26, {
    locate: 1, time: 3, participant: 11, stock: 15, primary: 23, mode: 24, state: 25,
});

/// Market-wide circuit breaker levels of the day. Type `V`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct BreakerLevels {
    /// Always `b'V'`.
    pub kind: u8,
    /// Locate code of the stock (0: no stock).
    pub locate: U16,
    /// Tracking number and time.
    pub time: TrackedNanos,
    /// Level 1, 8 decimals.
    pub level_1: U64,
    /// Level 2, 8 decimals.
    pub level_2: U64,
    /// Level 3, 8 decimals.
    pub level_3: U64,
}
message!(BreakerLevels, b'V', 35, { locate: 1, time: 3, level_1: 11, level_2: 19, level_3: 27 });

/// A market-wide circuit breaker level was reached. Type `W`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct BreakerStatus {
    /// Always `b'W'`.
    pub kind: u8,
    /// Locate code of the stock (0: no stock).
    pub locate: U16,
    /// Tracking number and time.
    pub time: TrackedNanos,
    /// `1`, `2` or `3`.
    pub level: u8,
}
message!(BreakerStatus, b'W', 12, { locate: 1, time: 3, level: 11 });

/// Start of quoting of a new issue. Type `K`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct IpoQuoting {
    /// Always `b'K'`.
    pub kind: u8,
    /// Locate code of the stock.
    pub locate: U16,
    /// Tracking number and time.
    pub time: TrackedNanos,
    /// Symbol.
    pub stock: [u8; 8],
    /// Time of the release, seconds since midnight.
    pub release_seconds: U32,
    /// `A` expected, `C` cancelled.
    pub qualifier: u8,
    /// Issue price, 4 decimals.
    pub price: U32,
}
message!(IpoQuoting, b'K', 28, { locate: 1, time: 3, stock: 11, release_seconds: 19, qualifier: 23, price: 24 });

/// Price limits of the auction after a pause. Type `J`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct AuctionCollar {
    /// Always `b'J'`.
    pub kind: u8,
    /// Locate code of the stock.
    pub locate: U16,
    /// Tracking number and time.
    pub time: TrackedNanos,
    /// Symbol.
    pub stock: [u8; 8],
    /// Reference price, 4 decimals.
    pub reference: U32,
    /// Upper limit, 4 decimals.
    pub upper: U32,
    /// Lower limit, 4 decimals.
    pub lower: U32,
    /// Number of extensions.
    pub extension: U32,
}
message!(AuctionCollar, b'J', 35, {
    locate: 1, time: 3, stock: 11, reference: 19, upper: 23, lower: 27, extension: 31,
});

/// Halt on one market of the operator. Type `h`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct OperationalHalt {
    /// Always `b'h'`.
    pub kind: u8,
    /// Locate code of the stock.
    pub locate: U16,
    /// Tracking number and time.
    pub time: TrackedNanos,
    /// Symbol.
    pub stock: [u8; 8],
    /// `Q`, `B` or `X`.
    pub market: u8,
    /// `H` halted, `T` resumed.
    pub action: u8,
}
message!(OperationalHalt, b'h', 21, { locate: 1, time: 3, stock: 11, market: 19, action: 20 });

/// New order. Type `A`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct AddOrder {
    /// Always `b'A'`.
    pub kind: u8,
    /// Locate code of the stock.
    pub locate: U16,
    /// Tracking number and time.
    pub time: TrackedNanos,
    /// Order reference, unique for the day.
    pub reference: U64,
    /// [`BUY`] or [`SELL`].
    pub side: u8,
    /// Shares.
    pub shares: U32,
    /// Symbol.
    pub stock: [u8; 8],
    /// Price, 4 decimals.
    pub price: U32,
}
message!(AddOrder, b'A', 36, { locate: 1, time: 3, reference: 11, side: 19, shares: 20, stock: 24, price: 32 });

/// New order with its market participant. Type `F`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct AddOrderParticipant {
    /// Always `b'F'`.
    pub kind: u8,
    /// Locate code of the stock.
    pub locate: U16,
    /// Tracking number and time.
    pub time: TrackedNanos,
    /// Order reference, unique for the day.
    pub reference: U64,
    /// [`BUY`] or [`SELL`].
    pub side: u8,
    /// Shares.
    pub shares: U32,
    /// Symbol.
    pub stock: [u8; 8],
    /// Price, 4 decimals.
    pub price: U32,
    /// Market participant.
    pub participant: [u8; 4],
}
message!(AddOrderParticipant, b'F', 40, {
    locate: 1, time: 3, reference: 11, side: 19, shares: 20, stock: 24, price: 32, participant: 36,
});

/// A resting order traded at its own price. Type `E`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct OrderExecuted {
    /// Always `b'E'`.
    pub kind: u8,
    /// Locate code of the stock.
    pub locate: U16,
    /// Tracking number and time.
    pub time: TrackedNanos,
    /// The resting order.
    pub reference: U64,
    /// Executed shares; several executions add up.
    pub shares: U32,
    /// Match number.
    pub match_id: U64,
}
message!(OrderExecuted, b'E', 31, { locate: 1, time: 3, reference: 11, shares: 19, match_id: 23 });

/// A resting order traded at another price than its own. Type `C`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct OrderExecutedPrice {
    /// Always `b'C'`.
    pub kind: u8,
    /// Locate code of the stock.
    pub locate: U16,
    /// Tracking number and time.
    pub time: TrackedNanos,
    /// The resting order.
    pub reference: U64,
    /// Executed shares; several executions add up.
    pub shares: U32,
    /// Match number.
    pub match_id: U64,
    /// `Y` or `N`: counts in the volume.
    pub printable: u8,
    /// Trade price, 4 decimals.
    pub price: U32,
}
message!(OrderExecutedPrice, b'C', 36, {
    locate: 1, time: 3, reference: 11, shares: 19, match_id: 23, printable: 31, price: 32,
});

/// A part of an order is taken back. Type `X`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct OrderCancel {
    /// Always `b'X'`.
    pub kind: u8,
    /// Locate code of the stock.
    pub locate: U16,
    /// Tracking number and time.
    pub time: TrackedNanos,
    /// Order.
    pub reference: U64,
    /// Shares taken back.
    pub shares: U32,
}
message!(OrderCancel, b'X', 23, { locate: 1, time: 3, reference: 11, shares: 19 });

/// An order leaves the book in full. Type `D`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct OrderDelete {
    /// Always `b'D'`.
    pub kind: u8,
    /// Locate code of the stock.
    pub locate: U16,
    /// Tracking number and time.
    pub time: TrackedNanos,
    /// Order.
    pub reference: U64,
}
message!(OrderDelete, b'D', 19, { locate: 1, time: 3, reference: 11 });

/// An order gives way to a new one at the end of the queue; side and stock stay. Type `U`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct OrderReplace {
    /// Always `b'U'`.
    pub kind: u8,
    /// Locate code of the stock.
    pub locate: U16,
    /// Tracking number and time.
    pub time: TrackedNanos,
    /// Old order.
    pub reference: U64,
    /// New order.
    pub new_reference: U64,
    /// Shares of the new order.
    pub shares: U32,
    /// Price of the new order, 4 decimals.
    pub price: U32,
}
message!(OrderReplace, b'U', 35, { locate: 1, time: 3, reference: 11, new_reference: 19, shares: 27, price: 31 });

/// A trade against a hidden order. Type `P`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Trade {
    /// Always `b'P'`.
    pub kind: u8,
    /// Locate code of the stock.
    pub locate: U16,
    /// Tracking number and time.
    pub time: TrackedNanos,
    /// 0.
    pub reference: U64,
    /// Always `B`.
    pub side: u8,
    /// Shares.
    pub shares: U32,
    /// Symbol.
    pub stock: [u8; 8],
    /// Price, 4 decimals.
    pub price: U32,
    /// Match number.
    pub match_id: U64,
}
message!(Trade, b'P', 44, {
    locate: 1, time: 3, reference: 11, side: 19, shares: 20, stock: 24, price: 32, match_id: 36,
});

/// The result of an auction. Type `Q`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct CrossTrade {
    /// Always `b'Q'`.
    pub kind: u8,
    /// Locate code of the stock.
    pub locate: U16,
    /// Tracking number and time.
    pub time: TrackedNanos,
    /// Shares, 0 when nothing was matched.
    pub shares: U64,
    /// Symbol.
    pub stock: [u8; 8],
    /// Price, 4 decimals.
    pub price: U32,
    /// Match number.
    pub match_id: U64,
    /// `O` opening, `C` closing, `H` after a halt or for a new issue.
    pub cross_type: u8,
}
message!(CrossTrade, b'Q', 40, { locate: 1, time: 3, shares: 11, stock: 19, price: 27, match_id: 31, cross_type: 39 });

/// A trade is void. Type `B`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct BrokenTrade {
    /// Always `b'B'`.
    pub kind: u8,
    /// Locate code of the stock.
    pub locate: U16,
    /// Tracking number and time.
    pub time: TrackedNanos,
    /// Match number of the trade.
    pub match_id: U64,
}
message!(BrokenTrade, b'B', 19, { locate: 1, time: 3, match_id: 11 });

/// What an auction would give now. Type `I`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Imbalance {
    /// Always `b'I'`.
    pub kind: u8,
    /// Locate code of the stock.
    pub locate: U16,
    /// Tracking number and time.
    pub time: TrackedNanos,
    /// Shares paired at the reference price.
    pub paired: U64,
    /// Shares not paired.
    pub imbalance: U64,
    /// `B` buy, `S` sell, `N` none, `O` not enough orders, `P` paused.
    pub direction: u8,
    /// Symbol.
    pub stock: [u8; 8],
    /// Price of the auction orders alone, 4 decimals, 0 = none.
    pub far_price: U32,
    /// Price of auction and continuous orders, 4 decimals, 0 = none.
    pub near_price: U32,
    /// Price at which paired and imbalance were counted, 4 decimals.
    pub reference_price: U32,
    /// `O`, `C`, `H` or `A`.
    pub cross_type: u8,
    /// Distance between near and reference price, a code.
    pub variation: u8,
}
message!(Imbalance, b'I', 50, {
    locate: 1, time: 3, paired: 11, imbalance: 19, direction: 27, stock: 28, far_price: 36, near_price: 40,
    reference_price: 44, cross_type: 48, variation: 49,
});

/// Retail price improvement is available. Type `N`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RetailInterest {
    /// Always `b'N'`.
    pub kind: u8,
    /// Locate code of the stock.
    pub locate: U16,
    /// Tracking number and time.
    pub time: TrackedNanos,
    /// Symbol.
    pub stock: [u8; 8],
    /// `B`, `S`, `A` or `N`.
    pub flag: u8,
}
message!(RetailInterest, b'N', 20, { locate: 1, time: 3, stock: 11, flag: 19 });

/// Price discovery of a direct listing. Type `O`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct DirectListing {
    /// Always `b'O'`.
    pub kind: u8,
    /// Locate code of the stock.
    pub locate: U16,
    /// Tracking number and time.
    pub time: TrackedNanos,
    /// Symbol.
    pub stock: [u8; 8],
    /// `Y` or `N`: open for release.
    pub eligible: u8,
    /// Lowest price allowed, 4 decimals.
    pub minimum: U32,
    /// Highest price allowed, 4 decimals.
    pub maximum: U32,
    /// Near price, 4 decimals.
    pub near_price: U32,
    /// Time of the near price, nanoseconds since midnight.
    pub near_nanos: U64,
    /// Lower collar, 4 decimals.
    pub lower: U32,
    /// Upper collar, 4 decimals.
    pub upper: U32,
}
message!(DirectListing, b'O', 48, {
    locate: 1, time: 3, stock: 11, eligible: 19, minimum: 20, maximum: 24, near_price: 28, near_nanos: 32, lower:
    40, upper: 44,
});
