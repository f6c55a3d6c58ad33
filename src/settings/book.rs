//! `[book]`: how much the books can hold. Allocates nothing.

use ::book::market::{Limits, OrderKey};
use serde::{Deserialize, Serialize};

use super::SourceKind;

/// `[book]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Book {
    /// Books, 1..=65534.
    pub books_max: usize,
    /// Resting orders of all books.
    pub orders_max: usize,
    /// Price levels outside dense ladders.
    pub levels_max: usize,
    /// Slots of all dense ladders.
    pub ladder_slots: usize,
    /// Newest trades kept, so that a broken one leaves the figures of its day.
    pub trades_max: usize,
    /// Whether readers are told the places of orders in their queues.
    pub queues: bool,
}

impl Default for Book {
    fn default() -> Self {
        Self::of(SourceKind::Sim)
    }
}

impl Book {
    /// The bounds where nobody names others: the simulated market is small; a line or a recording may be a whole day of
    /// BIST or NASDAQ (11,000 shares, 3 million resting orders).
    pub fn of(source: SourceKind) -> Self {
        match source {
            SourceKind::Sim => Self {
                books_max: 256,
                // 50 shares, two sides, 4,000 orders each: the simulated exchange lets no more rest.
                orders_max: 400_000,
                levels_max: 50_000,
                ladder_slots: 100_000,
                trades_max: 16_384,
                queues: true,
            },
            SourceKind::Itch | SourceKind::Replay => Self {
                books_max: 16_384,
                orders_max: 3_000_000,
                levels_max: 1_000_000,
                ladder_slots: 1_000_000,
                trades_max: 262_144,
                queues: true,
            },
        }
    }

    /// The bounds of the books of a feed that names its orders by `key`.
    pub fn limits(&self, key: OrderKey) -> Limits {
        Limits {
            books_max: self.books_max,
            orders_max: self.orders_max,
            levels_max: self.levels_max,
            ladder_slots: self.ladder_slots,
            trades_max: self.trades_max,
            queues: self.queues,
            key,
            ..Limits::default()
        }
    }
}
