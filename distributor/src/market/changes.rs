//! Changes of a book since its last publication: bits by kind, and the events that its state does not hold.
//!
//! Values only.

use book::candle::{Candle, Interval};
use book::replica::TradeView;
use book::slot::OrderUpdate;

/// Trades in the snapshot of `trades`.
pub const SNAPSHOT_TRADES_MAX: usize = 50;

/// Closed candles in the snapshot of `ohlcv-…`.
pub const SNAPSHOT_CANDLES_MAX: usize = 500;

/// Parts of a book that an update touched; bits.
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

/// Events of a book that are not published yet.
#[derive(Debug, Default)]
pub struct PendingEvents {
    /// Order changes, in order.
    pub changes: Vec<OrderUpdate>,
    /// Trades, in order.
    pub trades: Vec<TradeView>,
    /// Candles that closed, in order.
    pub closed: Vec<(Interval, Candle)>,
}

impl PendingEvents {
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
