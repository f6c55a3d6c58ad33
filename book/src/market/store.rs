//! What all books of a market share: the pool of levels and orders, the index of orders, ladders and sorted arrays.
//!
//! Holds and finds; knows no event and no reader. Never allocates after construction.

pub(super) mod ladder;
pub(super) mod levels;
pub(super) mod node;
pub(super) mod node_pool;
pub(super) mod order_index;
mod sorted;

use levels::Arena;
use node::{LINE_BYTES, LevelNode, ORDERS_PER_LINE};
use node_pool::{NodePool, QueueRank};
use order_index::OrderIndex;

/// Bytes of a line of orders, and of the ranks beside it where the feed states them.
pub(super) const fn line_bytes(ranked: bool) -> usize {
    LINE_BYTES + if ranked { ORDERS_PER_LINE * size_of::<QueueRank>() } else { 0 }
}

/// Bytes of a level, and of its rank.
pub(super) const fn level_bytes(ranked: bool) -> usize {
    size_of::<LevelNode>() + if ranked { size_of::<QueueRank>() } else { 0 }
}

/// Entries of sorted arrays for each level: arrays double when they are full.
pub(super) const SORTED_BYTES_PER_LEVEL: usize = sorted::ENTRIES_PER_LEVEL * size_of::<sorted::Entry>();

/// The memory that all books of a market share.
pub(crate) struct Store {
    /// Whether all of it is in the cache as it is: then a misprediction is dearer than another look.
    pub small: bool,
    pub pool: NodePool,
    pub orders: OrderIndex,
    pub arena: Arena,
}

impl Store {
    /// The order of that name.
    pub fn find(&self, book_side: u32, id: u64) -> Option<u32> {
        let mask = self.orders.scope_mask();
        let is_level = |level| (self.pool.level(level).book_side ^ book_side) & mask == 0;
        self.orders.find(self.pool.nodes(), book_side, id, is_level)
    }

    /// The level of an order.
    pub fn level_of(&self, order: u32) -> &LevelNode {
        self.pool.level(self.pool.order(order).level)
    }
}
