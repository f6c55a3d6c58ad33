//! The numbers and bits in a slot that say what it is and what it does.
//!
//! Constants only.

/// The kinds of slot. `0xA0` is DBN's; `0xA1..=0xA4`, `0xC0..=0xCF`, `0xE0..=0xEF` are ours.
pub mod rtype {
    /// [`OrderEvent`](crate::slot::OrderEvent): add, cancel, modify, clear.
    pub const ORDER: u8 = 0xA0;
    /// [`Execution`](crate::slot::Execution): a resting order traded.
    pub const EXECUTION: u8 = 0xA1;
    /// [`Execution`](crate::slot::Execution) layout: an order was replaced under a new id (`other_id`).
    pub const REPLACE: u8 = 0xA2;
    /// [`Execution`](crate::slot::Execution) layout: a trade that touches no visible order.
    pub const TRADE: u8 = 0xA3;
    /// [`Rank`](crate::slot::Rank): ranking time of the very next add, where it differs from its exchange time.
    pub const RANK: u8 = 0xA4;

    /// [`LevelUpdate`](crate::slot::LevelUpdate).
    pub const LEVEL: u8 = 0xC0;
    /// [`OrderUpdate`](crate::slot::OrderUpdate).
    pub const ORDER_UPDATE: u8 = 0xC1;
    /// [`TradeUpdate`](crate::slot::TradeUpdate).
    pub const TRADE_UPDATE: u8 = 0xC2;
    /// [`Mark`](crate::slot::Mark): all levels and orders of the book are gone.
    pub const CLEAR: u8 = 0xC3;
    /// [`StatisticUpdate`](crate::slot::StatisticUpdate) (snapshots only; live, readers derive statistics from trades).
    pub const STATISTIC: u8 = 0xC4;
    /// [`CandlePrices`](crate::slot::CandlePrices) (snapshots only), followed by a [`CandleAmounts`](crate::slot::CandleAmounts).
    pub const CANDLE_PRICES: u8 = 0xC5;
    /// [`CandleAmounts`](crate::slot::CandleAmounts).
    pub const CANDLE_AMOUNTS: u8 = 0xC6;
    /// [`Mark`](crate::slot::Mark): a snapshot of the book begins; replaces all the reader knew of it.
    pub const SNAPSHOT_BEGIN: u8 = 0xC8;
    /// [`Mark`](crate::slot::Mark): the snapshot of the book is whole.
    pub const SNAPSHOT_END: u8 = 0xC9;
    /// [`Mark`](crate::slot::Mark): all orders of the book follow, or none any more; the rest of what the reader knows of it
    /// stays.
    pub const ORDERS_BEGIN: u8 = 0xCA;
    /// [`Mark`](crate::slot::Mark): they are whole.
    pub const ORDERS_END: u8 = 0xCB;
    /// [`Mark`](crate::slot::Mark): the book may be wrong from here on, and why.
    pub const DOUBT: u8 = 0xCC;

    /// [`Symbol`](crate::slot::Symbol): first of the four parts of a definition.
    pub const SYMBOL: u8 = 0xE0;
    /// [`LongName`](crate::slot::LongName): second part.
    pub const LONG_NAME: u8 = 0xE1;
    /// [`Terms`](crate::slot::Terms): third part.
    pub const TERMS: u8 = 0xE2;
    /// [`Contract`](crate::slot::Contract): fourth and last part.
    pub const CONTRACT: u8 = 0xE3;
    /// [`TickBand`](crate::slot::TickBand).
    pub const TICK_BAND: u8 = 0xE4;
    /// [`Leg`](crate::slot::Leg).
    pub const LEG: u8 = 0xE5;
    /// [`ShortSell`](crate::slot::ShortSell).
    pub const SHORT_SELL: u8 = 0xE6;
    /// [`State`](crate::slot::State).
    pub const STATE: u8 = 0xE7;
    /// [`Equilibrium`](crate::slot::Equilibrium).
    pub const EQUILIBRIUM: u8 = 0xE8;
    /// [`EquilibriumBest`](crate::slot::EquilibriumBest), always right after its [`Equilibrium`](crate::slot::Equilibrium).
    pub const EQUILIBRIUM_BEST: u8 = 0xE9;
    /// [`System`](crate::slot::System).
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

/// What begin and end of a picture of a book say of its orders ([`Mark`](crate::slot::Mark)).
pub mod picture {
    /// They are in it.
    pub const HERE: u32 = 0;
    /// They are left out: they do not fit, or are not wanted.
    pub const OMITTED: u32 = 1;
    /// They are left out here and come behind it, on their own.
    pub const FOLLOW: u32 = 2;
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
    /// Quantity removed; the whole rest when `quantity` is [`QUANTITY_REST`](crate::slot::QUANTITY_REST).
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

/// Kinds of [`StatisticUpdate`](crate::slot::StatisticUpdate).
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

/// Codes of [`System`](crate::slot::System).
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
    /// The session is known from message `from` on only: every book may be wrong. `to` is 1 where its numbers leaped
    /// there, else 0.
    pub const JOINED_MIDWAY: u8 = 8;
    /// Message `from` could not be read: every book may be wrong, or the one that the record names.
    pub const REFUSED: u8 = 9;
    /// Two lines said different things of message `from`: every book may be wrong.
    pub const LINE_MISMATCH: u8 = 10;
}
