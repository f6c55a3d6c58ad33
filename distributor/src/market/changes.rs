//! What of a book changed since it was last published: bits by kind, and the events that its state does not tell.
//!
//! Values only.

use book::candle::{Candle, Interval};
use book::replica::TradeView;
use book::slot::OrderUpdate;

/// Trades in the snapshot of `trades`.
pub const SNAPSHOT_TRADES_MAX: usize = 50;

/// Closed candles in the snapshot of `ohlcv-…`.
pub const SNAPSHOT_CANDLES_MAX: usize = 500;

/// What of a book an update touched; bits.
pub mod touched {
    /// Price levels.
    pub const LEVELS: u8 = 1;
    /// Orders.
    pub const ORDERS: u8 = 2;
    /// Trades.
    pub const TRADES: u8 = 4;
    /// Forming or closed candles.
    pub const CANDLES: u8 = 8;
    /// Definition.
    pub const DEFINITION: u8 = 16;
    /// Phase.
    pub const STATUS: u8 = 32;
    /// Statistics.
    pub const STATISTICS: u8 = 64;
    /// Auction picture.
    pub const AUCTION: u8 = 128;
    /// Everything.
    pub const ALL: u8 = 255;
}

/// What happened to a book in this turn, beside its state.
#[derive(Debug, Default)]
pub struct Fresh {
    /// Order changes, in order.
    pub changes: Vec<OrderUpdate>,
    /// Trades, in order.
    pub trades: Vec<TradeView>,
    /// Candles that closed, in order.
    pub closed: Vec<(Interval, Candle)>,
}

impl Fresh {
    /// The same memory with nothing in it.
    #[must_use]
    pub fn emptied(mut self) -> Self {
        self.clear();
        self
    }

    /// Forgets all, keeps the memory.
    pub fn clear(&mut self) {
        self.changes.clear();
        self.trades.clear();
        self.closed.clear();
    }
}
