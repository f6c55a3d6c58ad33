//! Every order of a market: a fixed pool of cache-line slots and an index from (book, side, id) to them.
//!
//! Never allocates after construction, never trusts an id: an unknown, repeated or hostile one costs a probe of
//! the index, never a wild access.
//!
//! The index is open addressing with linear probing. Eight neighbouring ids share one cache line of it, because
//! ids that were given out together are asked for together; the line itself is chosen by a keyed mix, so that
//! nobody outside can aim at one. Deletion shifts back instead of leaving tombstones.

use crate::types::OrderId;

/// "No order": the end of a queue, an empty place.
pub(crate) const NO_ORDER: u32 = u32::MAX;

/// One resting order: its queue links, its level, its rank.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Order {
    pub id: u64,
    /// Visible quantity that is left; 0 only for an undisclosed order.
    pub quantity: u64,
    /// Ranking time; where the feed states none, that of the order it was put behind.
    pub rank_ns: u64,
    /// Towards the head of the queue.
    pub previous: u32,
    /// Towards the tail; the next free slot while the slot is free.
    pub next: u32,
    /// Index of its level in the level pool.
    pub level: u32,
    pub rank_sequence: u32,
    /// Dense index of the book × 2 + side.
    pub book_side: u32,
    /// Low 32 bits of its hash: where the index keeps it.
    tag: u32,
}

const _: () = assert!(size_of::<Order>() == 64);

/// What names an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderKey {
    /// Book, side and id together (BISTECH ITCH 2112, section 1).
    BookSideId,
    /// The id alone, unique for the day (NASDAQ ITCH 5.0, section 4.3).
    Id,
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Entry {
    tag: u32,
    order: u32,
}

const EMPTY: Entry = Entry { tag: 0, order: NO_ORDER };

/// The pool and its index.
pub(crate) struct Orders {
    pool: Vec<Order>,
    free: u32,
    live: usize,
    index: Vec<Entry>,
    mask: usize,
    key: OrderKey,
    seed: u64,
}

impl Orders {
    pub fn new(orders_max: usize, key: OrderKey, seed: u64) -> Self {
        assert!(orders_max > 0 && orders_max < NO_ORDER as usize, "orders_max must be in 1..2^32-1");
        // At most half full: a probe looks at 1.5 places on average.
        let places = (orders_max * 2).next_power_of_two().max(16);
        let blank = Order {
            id: 0,
            quantity: 0,
            rank_ns: 0,
            previous: NO_ORDER,
            next: NO_ORDER,
            level: 0,
            rank_sequence: 0,
            book_side: 0,
            tag: 0,
        };
        let mut orders = Self {
            pool: vec![blank; orders_max],
            free: NO_ORDER,
            live: 0,
            index: vec![EMPTY; places],
            mask: places - 1,
            key,
            seed,
        };
        orders.clear();
        orders
    }

    /// Forgets all orders. Touches every slot, so it is also what makes the pages present.
    pub fn clear(&mut self) {
        let last = self.pool.len() - 1;
        for (at, order) in self.pool.iter_mut().enumerate() {
            order.next = if at == last { NO_ORDER } else { at as u32 + 1 };
        }
        self.free = 0;
        self.live = 0;
        self.index.fill(EMPTY);
    }

    pub fn live(&self) -> usize {
        self.live
    }

    #[inline]
    pub fn get(&self, order: u32) -> &Order {
        &self.pool[order as usize]
    }

    #[inline]
    pub fn get_mut(&mut self, order: u32) -> &mut Order {
        &mut self.pool[order as usize]
    }

    /// What the index knows an order by. For [`OrderKey::Id`] book and side do not count.
    #[inline]
    fn hash(&self, book_side: u32, id: u64) -> u32 {
        let scope = match self.key {
            OrderKey::BookSideId => u64::from(book_side),
            OrderKey::Id => 0,
        };
        // Folded multiply: all 64 bits of the block number and of the scope reach all bits of the result.
        let block = (id >> 3) ^ self.seed ^ scope.rotate_left(40);
        let product = u128::from(block) * u128::from(0x9E37_79B9_7F4A_7C15 ^ self.seed.rotate_left(32) | 1);
        let mixed = (product as u64) ^ ((product >> 64) as u64);
        ((mixed as u32) << 3) | (id & 7) as u32
    }

    #[inline]
    fn is(&self, order: u32, book_side: u32, id: u64) -> bool {
        let have = self.get(order);
        have.id == id && (self.key == OrderKey::Id || have.book_side == book_side)
    }

    /// The order of that name.
    #[inline]
    pub fn find(&self, book_side: u32, id: OrderId) -> Option<u32> {
        let tag = self.hash(book_side, id.0);
        let mut at = tag as usize & self.mask;
        loop {
            let entry = self.index[at];
            if entry.order == NO_ORDER {
                return None;
            }
            if entry.tag == tag && self.is(entry.order, book_side, id.0) {
                return Some(entry.order);
            }
            at = (at + 1) & self.mask;
        }
    }

    /// A new order, not yet in any queue. The caller has made sure that the name is free.
    ///
    /// `None`: the pool is used up.
    #[inline]
    pub fn insert(&mut self, book_side: u32, id: OrderId, quantity: u64) -> Option<u32> {
        let order = self.free;
        if order == NO_ORDER {
            return None;
        }
        let tag = self.hash(book_side, id.0);
        let slot = &mut self.pool[order as usize];
        self.free = slot.next;
        *slot = Order {
            id: id.0,
            quantity,
            rank_ns: 0,
            previous: NO_ORDER,
            next: NO_ORDER,
            level: 0,
            rank_sequence: 0,
            book_side,
            tag,
        };
        self.live += 1;
        let mut at = tag as usize & self.mask;
        while self.index[at].order != NO_ORDER {
            at = (at + 1) & self.mask;
        }
        self.index[at] = Entry { tag, order };
        Some(order)
    }

    /// Removes an order that is in no queue any more.
    #[inline]
    pub fn remove(&mut self, order: u32) {
        let slot = &mut self.pool[order as usize];
        let tag = slot.tag;
        slot.next = self.free;
        self.free = order;
        self.live -= 1;
        let mut at = tag as usize & self.mask;
        while self.index[at].order != order {
            at = (at + 1) & self.mask;
        }
        self.close_hole(at);
    }

    /// Moves back what a removed entry had pushed away, so that no probe ever meets a tombstone.
    #[inline]
    fn close_hole(&mut self, mut hole: usize) {
        let mut at = hole;
        loop {
            at = (at + 1) & self.mask;
            let entry = self.index[at];
            if entry.order == NO_ORDER {
                break;
            }
            let home = entry.tag as usize & self.mask;
            // The entry may move into the hole unless its home lies between the hole and it.
            if (at.wrapping_sub(home) & self.mask) >= (at.wrapping_sub(hole) & self.mask) {
                self.index[hole] = entry;
                hole = at;
            }
        }
        self.index[hole] = EMPTY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn a_name_is_book_side_and_id() {
        let mut orders = Orders::new(8, OrderKey::BookSideId, 1);
        let bid = orders.insert(2, OrderId(7), 1).unwrap();
        let ask = orders.insert(3, OrderId(7), 2).unwrap();
        assert_eq!(orders.find(2, OrderId(7)), Some(bid));
        assert_eq!(orders.find(3, OrderId(7)), Some(ask));
        assert_eq!(orders.find(4, OrderId(7)), None);
        let mut by_id = Orders::new(8, OrderKey::Id, 1);
        let order = by_id.insert(2, OrderId(7), 1).unwrap();
        assert_eq!(by_id.find(99, OrderId(7)), Some(order));
    }

    #[test]
    fn a_used_up_pool_refuses() {
        let mut orders = Orders::new(2, OrderKey::Id, 1);
        let first = orders.insert(0, OrderId(1), 1).unwrap();
        orders.insert(0, OrderId(2), 1).unwrap();
        assert_eq!(orders.insert(0, OrderId(3), 1), None);
        orders.remove(first);
        assert!(orders.insert(0, OrderId(3), 1).is_some());
    }

    proptest! {
        /// Against a std map, with ids that collide on purpose (same low bits, same blocks).
        #[test]
        fn the_index_equals_a_map(seed: u64, steps in prop::collection::vec((0u64..40, 0u32..3, any::<bool>()), 0..300)) {
            let mut orders = Orders::new(32, OrderKey::BookSideId, seed);
            let mut map: HashMap<(u32, u64), u32> = HashMap::new();
            for (number, book_side, add) in steps {
                let id = number << 58 | number;
                if add {
                    if let std::collections::hash_map::Entry::Vacant(e) = map.entry((book_side, id)) {
                        match orders.insert(book_side, OrderId(id), 1) {
                            Some(order) => { e.insert(order); }
                            None => prop_assert_eq!(map.len(), 32),
                        }
                    }
                } else if let Some(order) = map.remove(&(book_side, id)) {
                    orders.remove(order);
                }
                prop_assert_eq!(orders.live(), map.len());
                for (&(book_side, id), &order) in &map {
                    prop_assert_eq!(orders.find(book_side, OrderId(id)), Some(order));
                }
            }
        }
    }
}
