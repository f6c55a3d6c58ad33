//! Levels and orders as nodes of one table, 32 bytes each, and what is done to them by number.
//!
//! Knows no id and no price of a book: which order has which name is the index's (`order_index.rs`), which level has which price
//! the ladder's (`levels.rs`). Works on the table as a slice, which a path borrows once: an address and a length in registers
//! instead of two loads for each look.

use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// A level that no book and no order has: where an event leads to that leads nowhere.
pub(crate) const SCRATCH: u32 = 0;
/// Orders of a line.
pub(crate) const ORDERS_PER_LINE: usize = 2;
/// Bytes of a cache line.
pub(crate) const LINE_BYTES: usize = 64;

/// 32 bytes of the pool.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(32))]
pub(crate) struct Node {
    before: [u64; 2],
    link: Link,
    behind: [u32; 2],
}

/// A price level.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(32))]
pub(crate) struct LevelNode {
    pub price: i64,
    /// Sum of the visible quantities of its orders.
    pub quantity: u64,
    /// Its last and its first order; of a free level the next free one.
    pub link: Link,
    /// Orders.
    pub count: u32,
    /// Dense index of the book × 2 + side.
    pub book_side: u32,
}

/// A resting order, or a place for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(32))]
pub(crate) struct OrderNode {
    /// 0 of a free place, and of an order that has this id.
    pub id: u64,
    /// Visible quantity that is left, 0 only for an undisclosed order.
    pub quantity: u64,
    pub link: Link,
    /// Its level; [`SCRATCH`]: the place is free.
    pub level: u32,
    /// Of the first place of a line: how many orders went past it.
    pub past: u32,
}

const _: () = {
    assert!(size_of::<Node>() * ORDERS_PER_LINE == LINE_BYTES);
    assert!(size_of::<LevelNode>() == size_of::<Node>() && size_of::<OrderNode>() == size_of::<Node>());
    assert!(std::mem::offset_of!(LevelNode, link) == std::mem::offset_of!(Node, link));
    assert!(std::mem::offset_of!(OrderNode, link) == std::mem::offset_of!(Node, link));
};

/// Neighbours in a queue, as numbers of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Link {
    pub previous: u32,
    pub next: u32,
}

impl Node {
    /// A place without an order, a level without a price.
    pub fn empty() -> Self {
        Self::new_zeroed()
    }
}

/// The table.
pub(crate) trait Nodes {
    fn level(&self, level: u32) -> &LevelNode;
    fn level_mut(&mut self, level: u32) -> &mut LevelNode;
    fn order(&self, order: u32) -> &OrderNode;
    fn order_mut(&mut self, order: u32) -> &mut OrderNode;
    /// What stands beside an order in its queue, or for a level at the two ends of its own.
    fn link(&self, node: u32) -> Link;
    fn link_mut(&mut self, node: u32) -> &mut Link;
    /// The two places that a cache line has from `line` on.
    fn line(&self, line: u32) -> &[OrderNode; ORDERS_PER_LINE];
    /// Puts an order behind all others of a level. `queues`: whether there are queues.
    fn add_last(&mut self, level: u32, order: u32, quantity: u64, queues: bool);
    /// Takes an order out of its queue and off its level, which may have no order left.
    fn take_out(&mut self, level: u32, order: u32, quantity: u64, queues: bool);
    /// Takes a part of an order's quantity off it and its level.
    fn lessen(&mut self, level: u32, order: u32, quantity: u64);
}

impl Nodes for [Node] {
    #[inline(always)]
    fn level(&self, level: u32) -> &LevelNode {
        zerocopy::transmute_ref!(&self[level as usize])
    }

    #[inline(always)]
    fn level_mut(&mut self, level: u32) -> &mut LevelNode {
        zerocopy::transmute_mut!(&mut self[level as usize])
    }

    #[inline(always)]
    fn order(&self, order: u32) -> &OrderNode {
        zerocopy::transmute_ref!(&self[order as usize])
    }

    #[inline(always)]
    fn order_mut(&mut self, order: u32) -> &mut OrderNode {
        zerocopy::transmute_mut!(&mut self[order as usize])
    }

    #[inline(always)]
    fn link(&self, node: u32) -> Link {
        self[node as usize].link
    }

    #[inline(always)]
    fn link_mut(&mut self, node: u32) -> &mut Link {
        &mut self[node as usize].link
    }

    #[inline(always)]
    fn line(&self, line: u32) -> &[OrderNode; ORDERS_PER_LINE] {
        let places: &[Node; ORDERS_PER_LINE] =
            self[line as usize..line as usize + ORDERS_PER_LINE].try_into().expect("two of them");
        zerocopy::transmute_ref!(places)
    }

    #[inline(always)]
    fn add_last(&mut self, level: u32, order: u32, quantity: u64, queues: bool) {
        let cell = self.level_mut(level);
        cell.count += 1;
        cell.quantity = cell.quantity.wrapping_add(quantity);
        if queues {
            let previous = cell.link.previous;
            self.link_mut(previous).next = order;
            *self.link_mut(order) = Link { previous, next: level };
            // Behind the line before: an empty level's next is its own.
            self.link_mut(level).previous = order;
        }
    }

    #[inline(always)]
    fn take_out(&mut self, level: u32, order: u32, quantity: u64, queues: bool) {
        let cell = self.level_mut(level);
        cell.count -= 1;
        cell.quantity = cell.quantity.wrapping_sub(quantity);
        if queues {
            let Link { previous, next } = self.link(order);
            self.link_mut(previous).next = next;
            self.link_mut(next).previous = previous;
        }
    }

    #[inline(always)]
    fn lessen(&mut self, level: u32, order: u32, quantity: u64) {
        self.order_mut(order).quantity -= quantity;
        let cell = self.level_mut(level);
        cell.quantity = cell.quantity.wrapping_sub(quantity);
    }
}
