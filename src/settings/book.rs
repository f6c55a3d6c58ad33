//! `[book]`: how much the books can hold. Allocates nothing.

use ::book::market::{Limits, OrderKey};
use serde::{Deserialize, Serialize};

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
    /// Whether readers are told the places of orders in their queues.
    pub queues: bool,
}

impl Default for Book {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            books_max: limits.books_max,
            orders_max: limits.orders_max,
            levels_max: limits.levels_max,
            ladder_slots: limits.ladder_slots,
            queues: limits.queues,
        }
    }
}

impl Book {
    /// The bounds of the books of a feed that names its orders by `key`.
    pub fn limits(&self, key: OrderKey) -> Limits {
        Limits {
            books_max: self.books_max,
            orders_max: self.orders_max,
            levels_max: self.levels_max,
            ladder_slots: self.ladder_slots,
            queues: self.queues,
            key,
            ..Limits::default()
        }
    }
}
