//! What travels through the rings: one cache line of plain data, told apart by `rtype`.
//!
//! Holds layouts and views only; no behaviour. An order event is DBN v3's MBO record (56 bytes, same
//! offsets) and 8 bytes of ours. All other kinds share one frame: the 16-byte head, `seq`, `received_ns`
//! and a body of 32 bytes. Integers are in the machine's own (little-endian) order, as in DBN.
//!
//! In the event ring (feed → book) `seq` of a record is 0: the book thread numbers every slot it takes,
//! 1, 2, 3, … inside an epoch, and writes that number into whatever it publishes.

use std::hint::select_unpredictable;
use std::mem::{align_of, offset_of, size_of};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::phase::Phase;
use crate::types::{BookId, Nanos, OrderId, Price, Side};

/// The kinds of slot. `0xA0` is DBN's; `0xA1..=0xA4`, `0xC0..=0xCF`, `0xE0..=0xEF` are ours.
pub mod rtype {
    /// [`super::OrderEvent`]: add, cancel, modify, clear.
    pub const ORDER: u8 = 0xA0;
    /// [`super::Execution`]: a resting order traded.
    pub const EXECUTION: u8 = 0xA1;
    /// [`super::Execution`] layout: an order was replaced under a new id (`other_id`).
    pub const REPLACE: u8 = 0xA2;
    /// [`super::Execution`] layout: a trade that touches no visible order.
    pub const TRADE: u8 = 0xA3;
    /// [`super::Rank`]: ranking time of the very next add, where it differs from its exchange time.
    pub const RANK: u8 = 0xA4;

    /// [`super::LevelUpdate`].
    pub const LEVEL: u8 = 0xC0;
    /// [`super::OrderUpdate`].
    pub const ORDER_UPDATE: u8 = 0xC1;
    /// [`super::TradeUpdate`].
    pub const TRADE_UPDATE: u8 = 0xC2;
    /// [`super::Mark`]: all levels and orders of the book are gone.
    pub const CLEAR: u8 = 0xC3;
    /// [`super::StatisticUpdate`] (snapshots only; live, readers derive statistics from trades).
    pub const STATISTIC: u8 = 0xC4;
    /// [`super::CandlePrices`] (snapshots only), followed by a [`super::CandleAmounts`].
    pub const CANDLE_PRICES: u8 = 0xC5;
    /// [`super::CandleAmounts`].
    pub const CANDLE_AMOUNTS: u8 = 0xC6;
    /// [`super::Mark`]: a snapshot of the book begins; replaces all the reader knew of it.
    pub const SNAPSHOT_BEGIN: u8 = 0xC8;
    /// [`super::Mark`]: the snapshot of the book is whole.
    pub const SNAPSHOT_END: u8 = 0xC9;

    /// [`super::Symbol`]: first of the four parts of a definition.
    pub const SYMBOL: u8 = 0xE0;
    /// [`super::LongName`]: second part.
    pub const LONG_NAME: u8 = 0xE1;
    /// [`super::Terms`]: third part.
    pub const TERMS: u8 = 0xE2;
    /// [`super::Contract`]: fourth and last part.
    pub const CONTRACT: u8 = 0xE3;
    /// [`super::TickBand`].
    pub const TICK_BAND: u8 = 0xE4;
    /// [`super::Leg`].
    pub const LEG: u8 = 0xE5;
    /// [`super::ShortSell`].
    pub const SHORT_SELL: u8 = 0xE6;
    /// [`super::State`].
    pub const STATE: u8 = 0xE7;
    /// [`super::Equilibrium`].
    pub const EQUILIBRIUM: u8 = 0xE8;
    /// [`super::EquilibriumBest`], always right after its [`super::Equilibrium`].
    pub const EQUILIBRIUM_BEST: u8 = 0xE9;
    /// [`super::System`].
    pub const SYSTEM: u8 = 0xEA;
}

/// Bits of `flags`, DBN's values.
pub mod flags {
    /// Last slot of the group that one wire message caused.
    pub const LAST: u8 = 0x80;
    /// Part of a snapshot.
    pub const SNAPSHOT: u8 = 0x20;
    /// `received_ns` is not to be trusted.
    pub const BAD_TS_RECV: u8 = 0x08;
    /// The book may be wrong: a gap or an anomaly that was not repaired yet.
    pub const MAYBE_BAD_BOOK: u8 = 0x04;
}

/// Bits of a trade's `conditions`.
pub mod conditions {
    /// Not to be counted in volume or shown on the ticker.
    pub const NON_PRINTABLE: u8 = 0x01;
    /// Happened in an auction (cross).
    pub const CROSS: u8 = 0x02;
    /// The resting order was hidden, or the trade touches no visible order.
    pub const HIDDEN: u8 = 0x04;
    /// The trade was broken (cancelled) afterwards; `match_id` names it.
    pub const BROKEN: u8 = 0x08;
}

/// What an order event or update does; DBN's action bytes.
pub mod action {
    /// New order.
    pub const ADD: u8 = b'A';
    /// Quantity removed; the whole rest when `quantity` is [`super::QUANTITY_REST`].
    pub const CANCEL: u8 = b'C';
    /// New price and quantity under the same id.
    pub const MODIFY: u8 = b'M';
    /// All orders of the book are gone.
    pub const CLEAR: u8 = b'R';
    /// Filled (updates only).
    pub const FILL: u8 = b'F';
}

/// Quantity of a cancel that removes whatever is left (the wire's delete states no quantity).
pub const QUANTITY_REST: u64 = u64::MAX;

/// One ring slot: 64 bytes, its kind at offset 1 in every layout.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(64))]
pub struct Slot {
    /// Length in 4-byte words: 14 for the DBN part of an order event, 16 for everything else.
    pub length: u8,
    /// One of [`rtype`].
    pub rtype: u8,
    rest: [u8; 62],
}

/// DBN v3 MBO record and 8 bytes of ours.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct OrderEvent {
    /// 14: the DBN part in 4-byte words.
    pub length: u8,
    /// [`rtype::ORDER`].
    pub rtype: u8,
    /// DBN publisher; [`PUBLISHER_XIST`] for Borsa Istanbul.
    pub publisher_id: u16,
    /// Book (DBN `instrument_id`).
    pub book_id: u32,
    /// Exchange clock (DBN `ts_event`).
    pub exchange_ns: Nanos,
    /// The exchange's order number.
    pub order_id: u64,
    /// 10⁻⁹ units; [`Price::NONE`] for a market order, and where a cancel does not state it.
    pub price: i64,
    /// Low 32 bits of the quantity: added, removed, or new.
    pub size: u32,
    /// [`flags`].
    pub flags: u8,
    /// Partition or line it came from.
    pub channel_id: u8,
    /// [`action`].
    pub action: u8,
    /// `B`, `A`, `N`.
    pub side: u8,
    /// Our clock when the packet was received (DBN `ts_recv`).
    pub received_ns: Nanos,
    /// Nanoseconds between sending at the exchange and receiving, 0 when not known.
    pub ts_in_delta: i32,
    /// Low 32 bits of the venue's message sequence number.
    pub sequence: u32,
    /// High 32 bits of the quantity, which DBN has no room for.
    pub size_high: u32,
    /// Ranking sequence number of an add (BISTECH ITCH 2112 A, offset 18); 0 = order of arrival.
    pub rank_sequence: u32,
}

/// DBN publisher id of our own dataset `XIST.ITCH`; outside the range Databento has given out.
pub const PUBLISHER_XIST: u16 = 0xB151;

/// A resting order traded, an order was replaced, or a trade without a visible order, by `rtype`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Execution {
    /// 16.
    pub length: u8,
    /// [`rtype::EXECUTION`], [`rtype::REPLACE`] or [`rtype::TRADE`].
    pub rtype: u8,
    /// [`conditions`] of the trade.
    pub conditions: u8,
    /// Side of the resting order: `B`, `A`, `N`.
    pub side: u8,
    /// Book.
    pub book_id: u32,
    /// Exchange clock.
    pub exchange_ns: Nanos,
    /// 0 in the event ring.
    pub seq: u64,
    /// Our clock.
    pub received_ns: Nanos,
    /// The resting (or replaced) order; 0 for [`rtype::TRADE`].
    pub order_id: u64,
    /// Match id of the trade, or the new order id of a replace.
    pub other_id: u64,
    /// Trade price, or new price of a replace; [`Price::NONE`]: the resting order's own price.
    pub price: i64,
    /// Executed quantity, or new quantity of a replace.
    pub quantity: u64,
}

macro_rules! record {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident : $kind:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
        #[repr(C)]
        pub struct $name {
            /// 16.
            pub length: u8,
            /// One of [`rtype`].
            pub rtype: u8,
            /// [`flags`].
            pub flags: u8,
            /// `B`, `A`, `N`.
            pub side: u8,
            /// Book; 0 where the record is about the whole feed.
            pub book_id: u32,
            /// Exchange clock.
            pub exchange_ns: Nanos,
            /// Ingest sequence number; 0 in the event ring.
            pub seq: u64,
            /// Our clock.
            pub received_ns: Nanos,
            $($(#[$field_doc])* pub $field: $kind,)*
        }

        const _: () = {
            assert!(size_of::<$name>() == 64);
            assert!(align_of::<$name>() == 8);
            assert!(offset_of!($name, book_id) == 4);
            assert!(offset_of!($name, seq) == 16);
        };

        impl From<$name> for Slot {
            fn from(record: $name) -> Self {
                zerocopy::transmute!(record)
            }
        }
    };
}

record!(
    /// Ranking time of the very next add of the same book.
    Rank {
        /// Ranking time, Unix nanoseconds (BISTECH ITCH 2112 A, offset 37).
        rank_ns: u64,
        /// 0.
        reserved: [u64; 3],
    }
);

record!(
    /// A price level changed: its new totals. Quantity 0 and count 0: the level is gone.
    LevelUpdate {
        /// Price of the level.
        price: i64,
        /// Total visible quantity.
        quantity: u64,
        /// Number of orders.
        count: u32,
        /// 0.
        reserved: u32,
        /// 0.
        reserved2: u64,
    }
);

record!(
    /// An order changed (`side` = its side).
    OrderUpdate {
        /// The exchange's order number.
        order_id: u64,
        /// Its price; [`Price::NONE`] for a market order.
        price: i64,
        /// Quantity that is left (0: the order is gone).
        quantity: u64,
        /// 1-based place in the queue of its price level, for an add; 0 = gone, or its place among those that are left
        /// did not change.
        position: u32,
        /// [`action`]: `A`, `C`, `M`, `F`.
        action: u8,
        /// 0.
        reserved: [u8; 3],
    }
);

record!(
    /// A trade (`side` = the aggressor's side, `N` when not known or in an auction).
    TradeUpdate {
        /// The exchange's match number.
        match_id: u64,
        /// Trade price.
        price: i64,
        /// Traded quantity.
        quantity: u64,
        /// [`conditions`].
        conditions: u8,
        /// 0.
        reserved: [u8; 7],
    }
);

record!(
    /// A mark in the stream of one book: clear, begin or end of a snapshot.
    Mark {
        /// Begin of a snapshot: first number the reader missed, 0 when it missed nothing.
        from_seq: u64,
        /// Begin of a snapshot: last number the reader missed, 0 when it missed nothing.
        to_seq: u64,
        /// Begin of a snapshot: 1 when the orders are left out because they do not fit.
        orders_omitted: u64,
        /// Epoch that `seq` belongs to.
        epoch: u64,
    }
);

record!(
    /// One trading statistic (DBN's `stat_type` idea, own numbers: [`statistic`]).
    StatisticUpdate {
        /// A price, for the kinds that are prices.
        price: i64,
        /// Low 64 bits of an amount, for the kinds that are amounts.
        amount_low: u64,
        /// High 64 bits of an amount.
        amount_high: u64,
        /// One of [`statistic`].
        kind: u8,
        /// 0.
        reserved: [u8; 7],
    }
);

/// Kinds of [`StatisticUpdate`].
pub mod statistic {
    /// First trade of the day.
    pub const OPEN: u8 = 1;
    /// Highest trade.
    pub const HIGH: u8 = 2;
    /// Lowest trade.
    pub const LOW: u8 = 3;
    /// Last trade.
    pub const LAST: u8 = 4;
    /// Closing price of the day (last auction price, once known).
    pub const CLOSE: u8 = 5;
    /// Base price: the previous close the band and the change stand on.
    pub const REFERENCE: u8 = 6;
    /// Traded quantity, lots.
    pub const VOLUME: u8 = 7;
    /// Σ price × quantity in 10⁻⁹ units, 128 bits.
    pub const TURNOVER: u8 = 8;
    /// Number of trades.
    pub const TRADES: u8 = 9;
    /// Lowest price allowed today.
    pub const LIMIT_LOW: u8 = 10;
    /// Highest price allowed today.
    pub const LIMIT_HIGH: u8 = 11;
}

record!(
    /// Prices of a forming candle; `flags` is its interval's number.
    CandlePrices {
        /// First price.
        open: i64,
        /// Highest price.
        high: i64,
        /// Lowest price.
        low: i64,
        /// Last price.
        close: i64,
    }
);

record!(
    /// Amounts of the candle whose [`CandlePrices`] came right before.
    CandleAmounts {
        /// Start of the interval, Unix nanoseconds.
        start_ns: Nanos,
        /// Traded quantity.
        volume: u64,
        /// Low 64 bits of Σ price × quantity, 10⁻⁹ units.
        turnover_low: u64,
        /// Number of trades in the low 32 bits; bits 64..96 of the turnover in the high 32.
        count_and_turnover_high: u64,
    }
);

record!(
    /// Definition, part 1: symbol as the exchange writes it, right-padded with spaces or zeros.
    Symbol {
        /// Text, e.g. `GARAN.E`.
        symbol: [u8; 32],
    }
);

record!(
    /// Definition, part 2: long name, right-padded, ISO 8859-1 as on the wire.
    LongName {
        /// Text.
        name: [u8; 32],
    }
);

record!(
    /// Definition, part 3: what is traded and in which units.
    Terms {
        /// ISIN, right-padded.
        isin: [u8; 12],
        /// ISO 4217 code.
        currency: [u8; 3],
        /// BISTECH financial product (R, offset 85); 5 = cash share, 0 = not stated.
        product: u8,
        /// Decimals of prices, 0..=9: what is shown and what the checksum is made of.
        price_decimals: u8,
        /// Number of legs of a combination.
        legs: u8,
        /// 0 none, 1 call, 2 put.
        option_type: u8,
        /// 1 = price-time.
        ranking_type: u8,
        /// Round lot.
        round_lot: u32,
        /// Expiration as the number YYYYMMDD, 0 = none.
        expiration: u32,
        /// Underlying book, 0 = none.
        underlying_book_id: u32,
    }
);

record!(
    /// Definition, part 4: the rest of a contract.
    Contract {
        /// Strike, 10⁻⁹ units; [`Price::NONE`] when there is none.
        strike: i64,
        /// Nominal value in its own decimals.
        nominal: u64,
        /// Odd lot size, 0 = undefined.
        odd_lot: u32,
        /// Block lot size, 0 = undefined.
        block_lot: u32,
        /// Decimals of `nominal`.
        nominal_decimals: u16,
        /// 0.
        reserved: [u8; 6],
    }
);

record!(
    /// One band of a tick table. All bands of a book form its table; the span of the whole table is the
    /// day's price band when the last band has an upper end.
    TickBand {
        /// Tick, 10⁻⁹ units.
        tick: i64,
        /// First price.
        from: i64,
        /// Last price; [`Price::NONE`] = no upper end.
        to: i64,
        /// Base price of the day, where known; else [`Price::NONE`].
        reference: i64,
    }
);

record!(
    /// One leg of a combination.
    Leg {
        /// Book of the leg.
        leg_book_id: u32,
        /// Ratio.
        ratio: u32,
        /// `B` as defined, `C` opposite.
        leg_side: u8,
        /// 0.
        reserved: [u8; 23],
    }
);

record!(
    /// Short sell status.
    ShortSell {
        /// 0 allowed, 1 not allowed, 2 allowed under the up-tick rule.
        status: u8,
        /// 0.
        reserved: [u8; 31],
    }
);

record!(
    /// State of a book.
    State {
        /// [`Phase`] as a number.
        phase: u8,
        /// Length of `name` in bytes.
        name_length: u8,
        /// 0.
        reserved: [u8; 6],
        /// The exchange's own name of the state, up to 24 bytes.
        name: [u8; 24],
    }
);

record!(
    /// Auction: equilibrium price and the quantities available at it.
    Equilibrium {
        /// Equilibrium price or [`Price::NONE`].
        price: i64,
        /// Bid quantity available at it.
        bid_quantity: u64,
        /// Ask quantity available at it.
        ask_quantity: u64,
        /// ITCH 5.0 I only: far price; else [`Price::NONE`].
        far_price: i64,
    }
);

record!(
    /// Auction: best prices behind the equilibrium.
    EquilibriumBest {
        /// Best bid or [`Price::NONE`].
        bid_price: i64,
        /// Best ask or [`Price::NONE`].
        ask_price: i64,
        /// Quantity of the best bid.
        bid_quantity: u64,
        /// Quantity of the best ask.
        ask_quantity: u64,
    }
);

record!(
    /// Something about the whole feed.
    System {
        /// First number concerned (a gap: first missing venue sequence number).
        from: u64,
        /// Last number concerned.
        to: u64,
        /// New epoch, for [`system::SESSION`].
        epoch: u64,
        /// One of [`system`].
        code: u8,
        /// 0.
        reserved: [u8; 7],
    }
);

/// Codes of [`System`].
pub mod system {
    /// A session begins: all books are empty, `epoch` is in force, `seq` starts again at 1 after it.
    pub const SESSION: u8 = 1;
    /// First message of the day.
    pub const START_OF_MESSAGES: u8 = 2;
    /// Last message of the day.
    pub const END_OF_MESSAGES: u8 = 3;
    /// Messages `from..=to` are lost for good: every book may be wrong until its next snapshot.
    pub const GAP: u8 = 4;
    /// The exchange's clock reached `exchange_ns` (candles close by it).
    pub const TIME: u8 = 5;
    /// Nothing was received for too long; `from` = silence in nanoseconds.
    pub const STALE: u8 = 6;
    /// Data is flowing again after [`STALE`].
    pub const ALIVE: u8 = 7;
}

const _: () = {
    assert!(size_of::<Slot>() == 64);
    assert!(align_of::<Slot>() == 64);
    assert!(size_of::<OrderEvent>() == 64);
    assert!(size_of::<Execution>() == 64);
    assert!(offset_of!(OrderEvent, exchange_ns) == 8);
    assert!(offset_of!(OrderEvent, order_id) == 16);
    assert!(offset_of!(OrderEvent, price) == 24);
    assert!(offset_of!(OrderEvent, size) == 32);
    assert!(offset_of!(OrderEvent, flags) == 36);
    assert!(offset_of!(OrderEvent, channel_id) == 37);
    assert!(offset_of!(OrderEvent, action) == 38);
    assert!(offset_of!(OrderEvent, side) == 39);
    assert!(offset_of!(OrderEvent, received_ns) == 40);
    assert!(offset_of!(OrderEvent, ts_in_delta) == 48);
    assert!(offset_of!(OrderEvent, sequence) == 52);
    assert!(offset_of!(OrderEvent, size_high) == 56);
};

impl From<OrderEvent> for Slot {
    fn from(event: OrderEvent) -> Self {
        zerocopy::transmute!(event)
    }
}

impl From<Execution> for Slot {
    fn from(event: Execution) -> Self {
        zerocopy::transmute!(event)
    }
}

/// A typed look at a slot.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // each variant is named after its documented layout
pub enum View<'a> {
    Order(&'a OrderEvent),
    Execution(&'a Execution),
    Replace(&'a Execution),
    Trade(&'a Execution),
    Rank(&'a Rank),
    Level(&'a LevelUpdate),
    OrderUpdate(&'a OrderUpdate),
    TradeUpdate(&'a TradeUpdate),
    Clear(&'a Mark),
    Statistic(&'a StatisticUpdate),
    CandlePrices(&'a CandlePrices),
    CandleAmounts(&'a CandleAmounts),
    SnapshotBegin(&'a Mark),
    SnapshotEnd(&'a Mark),
    Symbol(&'a Symbol),
    LongName(&'a LongName),
    Terms(&'a Terms),
    Contract(&'a Contract),
    TickBand(&'a TickBand),
    Leg(&'a Leg),
    ShortSell(&'a ShortSell),
    State(&'a State),
    Equilibrium(&'a Equilibrium),
    EquilibriumBest(&'a EquilibriumBest),
    System(&'a System),
    /// An `rtype` that this version does not know.
    Unknown(u8),
}

/// What an order event is about: see [`Slot::named`].
#[derive(Clone, Copy)]
pub(crate) struct Named {
    /// 0 for bids, else 1.
    pub side: usize,
    pub order_id: u64,
    pub price: i64,
}

impl Slot {
    /// A slot of zeros, of no known kind.
    pub const EMPTY: Self = Self { length: 16, rtype: 0, rest: [0; 62] };

    /// The typed view.
    #[inline]
    #[must_use]
    pub fn view(&self) -> View<'_> {
        match self.rtype {
            rtype::ORDER => View::Order(zerocopy::transmute_ref!(self)),
            rtype::EXECUTION => View::Execution(zerocopy::transmute_ref!(self)),
            rtype::REPLACE => View::Replace(zerocopy::transmute_ref!(self)),
            rtype::TRADE => View::Trade(zerocopy::transmute_ref!(self)),
            rtype::RANK => View::Rank(zerocopy::transmute_ref!(self)),
            rtype::LEVEL => View::Level(zerocopy::transmute_ref!(self)),
            rtype::ORDER_UPDATE => View::OrderUpdate(zerocopy::transmute_ref!(self)),
            rtype::TRADE_UPDATE => View::TradeUpdate(zerocopy::transmute_ref!(self)),
            rtype::CLEAR => View::Clear(zerocopy::transmute_ref!(self)),
            rtype::STATISTIC => View::Statistic(zerocopy::transmute_ref!(self)),
            rtype::CANDLE_PRICES => View::CandlePrices(zerocopy::transmute_ref!(self)),
            rtype::CANDLE_AMOUNTS => View::CandleAmounts(zerocopy::transmute_ref!(self)),
            rtype::SNAPSHOT_BEGIN => View::SnapshotBegin(zerocopy::transmute_ref!(self)),
            rtype::SNAPSHOT_END => View::SnapshotEnd(zerocopy::transmute_ref!(self)),
            rtype::SYMBOL => View::Symbol(zerocopy::transmute_ref!(self)),
            rtype::LONG_NAME => View::LongName(zerocopy::transmute_ref!(self)),
            rtype::TERMS => View::Terms(zerocopy::transmute_ref!(self)),
            rtype::CONTRACT => View::Contract(zerocopy::transmute_ref!(self)),
            rtype::TICK_BAND => View::TickBand(zerocopy::transmute_ref!(self)),
            rtype::LEG => View::Leg(zerocopy::transmute_ref!(self)),
            rtype::SHORT_SELL => View::ShortSell(zerocopy::transmute_ref!(self)),
            rtype::STATE => View::State(zerocopy::transmute_ref!(self)),
            rtype::EQUILIBRIUM => View::Equilibrium(zerocopy::transmute_ref!(self)),
            rtype::EQUILIBRIUM_BEST => View::EquilibriumBest(zerocopy::transmute_ref!(self)),
            rtype::SYSTEM => View::System(zerocopy::transmute_ref!(self)),
            other => View::Unknown(other),
        }
    }

    /// As an order event, which it is if its kind says so.
    #[inline(always)]
    pub(crate) fn as_order(&self) -> &OrderEvent {
        zerocopy::transmute_ref!(self)
    }

    /// As an execution or a replace, which it is if its kind says so.
    #[inline(always)]
    pub(crate) fn as_execution(&self) -> &Execution {
        zerocopy::transmute_ref!(self)
    }

    /// What an order event or an execution names, without a branch on which of them it is; for other kinds nothing
    /// that means anything.
    #[inline(always)]
    pub(crate) fn named(&self) -> Named {
        let (event, execution) = (self.as_order(), self.as_execution());
        let is_order = self.rtype == rtype::ORDER;
        let side = select_unpredictable(is_order, event.side, execution.side);
        Named {
            side: usize::from(side != b'B'),
            order_id: select_unpredictable(is_order, event.order_id, execution.order_id),
            price: select_unpredictable(is_order, event.price, execution.price),
        }
    }

    /// The 64 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 64] {
        zerocopy::transmute_ref!(self)
    }

    /// The same record with its ingest number. Not for order events, which have no room for one.
    #[must_use]
    pub(crate) fn with_seq(mut self, seq: u64) -> Self {
        self.rest[14..22].copy_from_slice(&seq.to_ne_bytes());
        self
    }

    /// The same record with a flag set. Not for order events and executions, which keep flags elsewhere.
    #[must_use]
    pub(crate) fn with_flag(mut self, flag: u8) -> Self {
        self.rest[0] |= flag;
        self
    }

    /// The same record with the book, exchange time and number that every published record states.
    #[must_use]
    pub(crate) fn stamped(mut self, book_id: u32, exchange_ns: Nanos, seq: u64) -> Self {
        self.rest[2..6].copy_from_slice(&book_id.to_ne_bytes());
        self.rest[6..14].copy_from_slice(&exchange_ns.to_ne_bytes());
        self.with_seq(seq)
    }

    /// A slot from 64 bytes; any bytes are a slot, an unknown kind shows as [`View::Unknown`].
    #[must_use]
    pub fn from_bytes(bytes: [u8; 64]) -> Self {
        zerocopy::transmute!(bytes)
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.view().fmt(f)
    }
}

impl PartialEq for Slot {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Slot {}

/// What every order event and execution of one wire message shares.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stamp {
    /// Book.
    pub book_id: BookId,
    /// Exchange clock.
    pub exchange_ns: Nanos,
    /// Our clock.
    pub received_ns: Nanos,
    /// Venue's message sequence number.
    pub sequence: u64,
    /// Partition or line.
    pub channel_id: u8,
}

impl OrderEvent {
    /// An event with everything stated; `LAST` is set.
    #[inline]
    #[must_use]
    pub const fn new(stamp: Stamp, action: u8, side: Side, order: OrderId, price: Price, quantity: u64) -> Self {
        Self {
            length: 14,
            rtype: rtype::ORDER,
            publisher_id: PUBLISHER_XIST,
            book_id: stamp.book_id.0,
            exchange_ns: stamp.exchange_ns,
            order_id: order.0,
            price: price.0,
            size: quantity as u32,
            flags: flags::LAST,
            channel_id: stamp.channel_id,
            action,
            side: side as u8,
            received_ns: stamp.received_ns,
            ts_in_delta: 0,
            sequence: stamp.sequence as u32,
            size_high: (quantity >> 32) as u32,
            rank_sequence: 0,
        }
    }

    /// A new order; `rank_sequence` 0 = behind all that are there.
    #[inline]
    #[must_use]
    pub const fn add(
        stamp: Stamp,
        side: Side,
        order: OrderId,
        price: Price,
        quantity: u64,
        rank_sequence: u32,
    ) -> Self {
        let mut event = Self::new(stamp, action::ADD, side, order, price, quantity);
        event.rank_sequence = rank_sequence;
        event
    }

    /// Removes `quantity`, or all that is left for [`QUANTITY_REST`].
    #[inline]
    #[must_use]
    pub const fn cancel(stamp: Stamp, side: Side, order: OrderId, quantity: u64) -> Self {
        Self::new(stamp, action::CANCEL, side, order, Price::NONE, quantity)
    }

    /// Empties the book.
    #[inline]
    #[must_use]
    pub const fn clear(stamp: Stamp) -> Self {
        Self::new(stamp, action::CLEAR, Side::None, OrderId(0), Price::NONE, 0)
    }

    /// All 64 bits of the quantity.
    #[inline]
    #[must_use]
    pub const fn quantity(&self) -> u64 {
        (self.size_high as u64) << 32 | self.size as u64
    }

    /// The side as a type.
    #[inline]
    #[must_use]
    pub const fn side(&self) -> Side {
        Side::from_byte(self.side)
    }
}

impl Execution {
    /// One of the three kinds that share this layout.
    #[inline]
    #[must_use]
    pub const fn new(
        rtype: u8,
        stamp: Stamp,
        side: Side,
        order: OrderId,
        other_id: u64,
        price: Price,
        quantity: u64,
        conditions: u8,
    ) -> Self {
        Self {
            length: 16,
            rtype,
            conditions,
            side: side as u8,
            book_id: stamp.book_id.0,
            exchange_ns: stamp.exchange_ns,
            seq: 0,
            received_ns: stamp.received_ns,
            order_id: order.0,
            other_id,
            price: price.0,
            quantity,
        }
    }

    /// The side as a type.
    #[inline]
    #[must_use]
    pub const fn side(&self) -> Side {
        Side::from_byte(self.side)
    }
}

impl State {
    /// A state change with the exchange's own name of it (cut at 24 bytes).
    #[must_use]
    pub fn new(stamp: Stamp, phase: Phase, name: &[u8]) -> Self {
        let mut text = [0; 24];
        let length = name.len().min(24);
        text[..length].copy_from_slice(&name[..length]);
        Self {
            length: 16,
            rtype: rtype::STATE,
            flags: flags::LAST,
            side: b'N',
            book_id: stamp.book_id.0,
            exchange_ns: stamp.exchange_ns,
            seq: 0,
            received_ns: stamp.received_ns,
            phase: phase as u8,
            name_length: length as u8,
            reserved: [0; 6],
            name: text,
        }
    }

    /// The phase as a type.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        Phase::from_byte(self.phase)
    }

    /// The exchange's name of the state; empty if it is not text.
    #[must_use]
    pub fn name(&self) -> &str {
        text(&self.name[..usize::from(self.name_length).min(24)])
    }
}

impl System {
    /// A system record without numbers.
    #[must_use]
    pub const fn new(code: u8, exchange_ns: Nanos, received_ns: Nanos, from: u64, to: u64, epoch: u64) -> Self {
        Self {
            length: 16,
            rtype: rtype::SYSTEM,
            flags: flags::LAST,
            side: b'N',
            book_id: 0,
            exchange_ns,
            seq: 0,
            received_ns,
            from,
            to,
            epoch,
            code,
            reserved: [0; 7],
        }
    }
}

/// Padded wire text without its padding (spaces and zeros at the end); empty if it is not ASCII.
#[must_use]
pub fn text(padded: &[u8]) -> &str {
    let end = padded.iter().rposition(|&byte| byte != b' ' && byte != 0).map_or(0, |at| at + 1);
    match std::str::from_utf8(&padded[..end]) {
        Ok(text) if text.is_ascii() => text,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The contract: the first 56 bytes are DBN v3's MBO record, offset by offset.
    const _: () = {
        use dbn::{MboMsg, RecordHeader};
        assert!(size_of::<MboMsg>() == 56);
        assert!(offset_of!(MboMsg, hd) == 0);
        assert!(offset_of!(RecordHeader, rtype) == offset_of!(OrderEvent, rtype));
        assert!(offset_of!(RecordHeader, publisher_id) == offset_of!(OrderEvent, publisher_id));
        assert!(offset_of!(RecordHeader, instrument_id) == offset_of!(OrderEvent, book_id));
        assert!(offset_of!(RecordHeader, ts_event) == offset_of!(OrderEvent, exchange_ns));
        assert!(offset_of!(MboMsg, order_id) == offset_of!(OrderEvent, order_id));
        assert!(offset_of!(MboMsg, price) == offset_of!(OrderEvent, price));
        assert!(offset_of!(MboMsg, size) == offset_of!(OrderEvent, size));
        assert!(offset_of!(MboMsg, flags) == offset_of!(OrderEvent, flags));
        assert!(offset_of!(MboMsg, channel_id) == offset_of!(OrderEvent, channel_id));
        assert!(offset_of!(MboMsg, action) == offset_of!(OrderEvent, action));
        assert!(offset_of!(MboMsg, side) == offset_of!(OrderEvent, side));
        assert!(offset_of!(MboMsg, ts_recv) == offset_of!(OrderEvent, received_ns));
        assert!(offset_of!(MboMsg, ts_in_delta) == offset_of!(OrderEvent, ts_in_delta));
        assert!(offset_of!(MboMsg, sequence) == offset_of!(OrderEvent, sequence));
    };

    #[test]
    fn an_order_event_keeps_all_bits_of_a_quantity() {
        let stamp = Stamp { book_id: BookId(7), ..Stamp::default() };
        let event = OrderEvent::add(stamp, Side::Bid, OrderId(u64::MAX), Price(1), u64::MAX - 1, 3);
        assert_eq!(event.quantity(), u64::MAX - 1);
        let slot = Slot::from(event);
        let View::Order(seen) = slot.view() else { panic!("not an order event: {slot:?}") };
        assert_eq!(seen.rank_sequence, 3);
        assert_eq!(u32::from(seen.length) * 4, 56, "the DBN part");
    }

    #[test]
    fn every_64_bytes_are_a_slot() {
        for kind in 0..=255u8 {
            let mut bytes = [0xFF; 64];
            bytes[1] = kind;
            let _ = format!("{:?}", Slot::from_bytes(bytes));
        }
    }

    #[test]
    fn padded_text_loses_its_padding_only() {
        assert_eq!(text(b"GARAN.E   \0\0"), "GARAN.E");
        assert_eq!(text(b"  "), "");
        assert_eq!(text(&[0xC7, b'A']), "", "not ASCII");
    }
}
