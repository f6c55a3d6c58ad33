//! The channels of one symbol: their names outside, their depths, and what of a book concerns them.

use book::candle::Interval;

use crate::market::changes::touched;

/// Deepest `book`, levels a side.
pub const DEPTH_MAX: u64 = 100;

/// A channel of one symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Levels as differences, 1..=100 a side.
    Book,
    /// The best level, whole.
    Mbp1,
    /// The best ten levels, whole.
    Mbp10,
    /// Every order.
    Mbo,
    /// Trades.
    Trades,
    /// Candles.
    Ohlcv(Interval),
    /// Instrument.
    Definition,
    /// Trading phase.
    Status,
    /// Statistics of the day.
    Statistics,
    /// Auction picture.
    Imbalance,
}

impl Channel {
    /// Every channel of one symbol.
    pub const ALL: [Self; 13] = [
        Self::Book,
        Self::Mbp1,
        Self::Mbp10,
        Self::Mbo,
        Self::Trades,
        Self::Ohlcv(Interval::Second),
        Self::Ohlcv(Interval::Minute),
        Self::Ohlcv(Interval::Hour),
        Self::Ohlcv(Interval::Day),
        Self::Definition,
        Self::Status,
        Self::Statistics,
        Self::Imbalance,
    ];

    /// The name outside.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Book => "book",
            Self::Mbp1 => "mbp-1",
            Self::Mbp10 => "mbp-10",
            Self::Mbo => "mbo",
            Self::Trades => "trades",
            Self::Ohlcv(Interval::Second) => "ohlcv-1s",
            Self::Ohlcv(Interval::Minute) => "ohlcv-1m",
            Self::Ohlcv(Interval::Hour) => "ohlcv-1h",
            Self::Ohlcv(Interval::Day) => "ohlcv-1d",
            Self::Definition => "definition",
            Self::Status => "status",
            Self::Statistics => "statistics",
            Self::Imbalance => "imbalance",
        }
    }

    /// The channel of an outside name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.name() == name)
    }

    /// Place in [`Channel::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        Self::ALL.iter().position(|&channel| channel == self).unwrap_or(0)
    }

    /// Default levels a side, 0 where there are none.
    #[must_use]
    pub const fn depth(self) -> u8 {
        match self {
            Self::Book | Self::Mbp10 => 10,
            Self::Mbp1 => 1,
            _ => 0,
        }
    }

    /// Whether updates mean nothing without the snapshot before them.
    #[must_use]
    pub fn needs_snapshot(self) -> bool {
        matches!(self, Self::Book | Self::Mbo)
    }

    /// What of a book concerns the channel.
    #[must_use]
    pub const fn touched_by(self) -> u8 {
        match self {
            Self::Book | Self::Mbp1 | Self::Mbp10 => touched::LEVELS,
            Self::Mbo => touched::ORDERS,
            Self::Trades => touched::TRADES,
            Self::Ohlcv(_) => touched::CANDLES,
            Self::Definition => touched::DEFINITION,
            Self::Status => touched::STATUS,
            Self::Statistics => touched::STATISTICS,
            Self::Imbalance => touched::AUCTION,
        }
    }
}
