//! What a generated stream is to be: its format, its seed and its size. Generates nothing.

use serde::{Deserialize, Serialize};

/// Message format of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// NASDAQ TotalView-ITCH 5.0.
    Itch50,
    /// BISTECH ITCH 2112; order ids use all 64 bits.
    Bistech,
}

/// What to generate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Format.
    pub format: Format,
    /// Decides everything.
    pub seed: u64,
    /// Messages in all, directory included; at most two more come out.
    pub messages: usize,
    /// Symbols, 1..=65,000.
    pub symbols: usize,
    /// Resting orders that the stream grows to.
    pub live_orders: usize,
}

/// A plan that cannot be carried out; each says what to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPlan {
    /// Locate codes have 16 bits.
    #[error("{0} symbols: ask for 1 to 65000")]
    Symbols(usize),
    /// Two messages of the directory for each symbol, and as many again to trade with.
    #[error("{messages} messages are too few for {symbols} symbols: ask for {need} or more messages")]
    FewMessages {
        /// Asked for.
        messages: usize,
        /// Asked for.
        symbols: usize,
        /// Enough.
        need: usize,
    },
    /// The books could not fill up in a quarter of the stream.
    #[error(
        "{live_orders} live orders cannot be reached with {messages} messages: ask for {most} or fewer, \
        or for {need} or more messages"
    )]
    ManyOrders {
        /// Asked for.
        live_orders: usize,
        /// Asked for.
        messages: usize,
        /// Most that these messages reach.
        most: usize,
        /// Messages that reach as many orders.
        need: usize,
    },
}

impl Plan {
    /// 16,000,000 ITCH 5.0 messages, 500 symbols, 400,000 live orders: the stream that the peers were measured on.
    pub const A: Self =
        Self { format: Format::Itch50, seed: 1, messages: 16_000_000, symbols: 500, live_orders: 400_000 };
    /// A wider market: 20,000,000 ITCH 5.0 messages, 8,000 symbols, 750,000 live orders.
    pub const WIDE: Self =
        Self { format: Format::Itch50, seed: 1, messages: 20_000_000, symbols: 8_000, live_orders: 750_000 };
    /// A day of Borsa Istanbul's equities: 113,000,000 BISTECH messages, 600 symbols, 400,000 live orders.
    pub const DAY: Self =
        Self { format: Format::Bistech, seed: 1, messages: 113_000_000, symbols: 600, live_orders: 400_000 };

    /// Whether the stream can be what was asked for.
    ///
    /// # Errors
    /// [`BadPlan`], with the number to change.
    pub fn check(&self) -> Result<(), BadPlan> {
        let Self { messages, symbols, live_orders, .. } = *self;
        if !(1..=65_000).contains(&symbols) {
            return Err(BadPlan::Symbols(symbols));
        }
        let directory = 2 * symbols;
        if messages < 2 * directory {
            return Err(BadPlan::FewMessages { messages, symbols, need: 2 * directory });
        }
        let most = (messages / 4).saturating_sub(directory);
        if live_orders > most {
            return Err(BadPlan::ManyOrders { live_orders, messages, most, need: 4 * (live_orders + directory) });
        }
        Ok(())
    }
}
