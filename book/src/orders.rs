//! The index of orders: from what names an order (an id, or book, side and id) to its node.
//!
//! Never allocates after construction, never trusts an id: an unknown, repeated or hostile one costs a probe of
//! the index, never a wild access.
//!
//! Open addressing with linear probing. Eight neighbouring ids share one cache line of it, because ids that were
//! given out together are asked for together; the line itself is chosen by a keyed mix, so that nobody outside can aim
//! at one. Deletion shifts back instead of leaving tombstones.

use crate::memory::{prefetch, table};
use crate::nodes::{NO_NODE, Nodes};

/// What names an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderKey {
    /// Book, side and id together (BISTECH ITCH 2112, section 1).
    BookSideId,
    /// The id alone, unique for the day (NASDAQ ITCH 5.0, section 4.3).
    Id,
}

/// 32 bits of the hash of an order's name; its low bits are where the index keeps it.
pub(crate) type Tag = u32;

#[derive(Clone, Copy)]
#[repr(C)]
struct Entry {
    tag: Tag,
    node: u32,
}

const EMPTY: Entry = Entry { tag: 0, node: NO_NODE };

/// The index.
pub(crate) struct Orders {
    entries: Vec<Entry>,
    mask: usize,
    key: OrderKey,
    seed: u64,
    factor: u64,
}

impl Orders {
    pub fn new(orders_max: usize, key: OrderKey, seed: u64) -> Self {
        // At most half full: a probe looks at 1.5 places on average.
        let places = (orders_max * 2).next_power_of_two().max(16);
        Self {
            entries: table(places, EMPTY),
            mask: places - 1,
            key,
            seed,
            factor: 0x9E37_79B9_7F4A_7C15 ^ seed.rotate_left(32) | 1,
        }
    }

    /// Forgets all orders.
    pub fn clear(&mut self) {
        self.entries.fill(EMPTY);
    }

    /// What the index knows an order by. For [`OrderKey::Id`] book and side do not count.
    #[inline]
    pub fn tag(&self, book_side: u32, id: u64) -> Tag {
        let scope = match self.key {
            OrderKey::BookSideId => u64::from(book_side),
            OrderKey::Id => 0,
        };
        // Folded multiply: all 64 bits of the block number and of the scope reach all bits of the result.
        let block = (id >> 3) ^ self.seed ^ scope.rotate_left(40);
        let product = u128::from(block) * u128::from(self.factor);
        let mixed = (product as u64) ^ ((product >> 64) as u64);
        ((mixed as u32) << 3) | (id & 7) as u32
    }

    /// Starts to load the place of a tag.
    #[inline(always)]
    pub fn prefetch(&self, tag: Tag) {
        prefetch(&self.entries, tag as usize & self.mask);
    }

    /// The first node with that tag: most probably the order itself; [`NO_NODE`] when there is none.
    #[inline]
    pub fn candidate(&self, tag: Tag) -> u32 {
        let mut at = tag as usize & self.mask;
        loop {
            let entry = self.entries[at];
            if (entry.tag == tag) | (entry.node == NO_NODE) {
                return entry.node;
            }
            at = (at + 1) & self.mask;
        }
    }

    #[inline]
    fn is(&self, nodes: &Nodes, at: u32, book_side: u32, id: u64) -> bool {
        match self.key {
            OrderKey::BookSideId => nodes.is(at, book_side, id),
            OrderKey::Id => nodes.is_id(at, id),
        }
    }

    /// The order of that name, `guess` if it is right.
    #[inline]
    pub fn find_guessed(&self, nodes: &Nodes, tag: Tag, book_side: u32, id: u64, guess: u32) -> Option<u32> {
        if self.is(nodes, guess, book_side, id) {
            return Some(guess);
        }
        self.find(nodes, tag, book_side, id).err()
    }

    /// `Err`: the order of that name. `Ok`: the place where it would be put, valid until the index changes.
    #[inline]
    pub fn find(&self, nodes: &Nodes, tag: Tag, book_side: u32, id: u64) -> Result<usize, u32> {
        let mut at = tag as usize & self.mask;
        loop {
            let entry = self.entries[at];
            if entry.node == NO_NODE {
                return Ok(at);
            }
            if entry.tag == tag && self.is(nodes, entry.node, book_side, id) {
                return Err(entry.node);
            }
            at = (at + 1) & self.mask;
        }
    }

    /// Notes an order at the place that [`Orders::find`] gave.
    #[inline]
    pub fn put(&mut self, place: usize, tag: Tag, node: u32) {
        self.entries[place] = Entry { tag, node };
    }

    /// Forgets an order.
    #[inline]
    pub fn remove(&mut self, tag: Tag, node: u32) {
        let mut at = tag as usize & self.mask;
        while self.entries[at].node != node {
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
            let entry = self.entries[at];
            if entry.node == NO_NODE {
                break;
            }
            let home = entry.tag as usize & self.mask;
            // The entry may move into the hole unless its home lies between the hole and it.
            if (at.wrapping_sub(home) & self.mask) >= (at.wrapping_sub(hole) & self.mask) {
                self.entries[hole] = entry;
                hole = at;
            }
        }
        self.entries[hole] = EMPTY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn insert(orders: &mut Orders, nodes: &mut Nodes, book_side: u32, id: u64) -> Option<u32> {
        let tag = orders.tag(book_side, id);
        let place = orders.find(nodes, tag, book_side, id).ok()?;
        let node = nodes.take_order(book_side, id, 1)?;
        orders.put(place, tag, node);
        Some(node)
    }

    fn find(orders: &Orders, nodes: &Nodes, book_side: u32, id: u64) -> Option<u32> {
        let tag = orders.tag(book_side, id);
        let found = orders.find(nodes, tag, book_side, id).err();
        let guess = orders.candidate(tag);
        assert_eq!(orders.find_guessed(nodes, tag, book_side, id, guess), found, "a guess changes no answer");
        found
    }

    #[test]
    fn a_name_is_book_side_and_id() {
        let mut nodes = Nodes::new(0, 1, 8);
        let mut orders = Orders::new(8, OrderKey::BookSideId, 1);
        let bid = insert(&mut orders, &mut nodes, 2, 7).unwrap();
        let ask = insert(&mut orders, &mut nodes, 3, 7).unwrap();
        assert_eq!(find(&orders, &nodes, 2, 7), Some(bid));
        assert_eq!(find(&orders, &nodes, 3, 7), Some(ask));
        assert_eq!(find(&orders, &nodes, 4, 7), None);
        let mut by_id = Orders::new(8, OrderKey::Id, 1);
        let order = insert(&mut by_id, &mut nodes, 2, 7).unwrap();
        assert_eq!(find(&by_id, &nodes, 99, 7), Some(order));
    }

    proptest! {
        /// Against a std map, with ids that collide on purpose (same low bits, same blocks).
        #[test]
        fn the_index_equals_a_map(seed: u64, steps in prop::collection::vec((0u64..40, 0u32..3, any::<bool>()), 0..300)) {
            let mut nodes = Nodes::new(0, 1, 32);
            let mut orders = Orders::new(32, OrderKey::BookSideId, seed);
            let mut map: HashMap<(u32, u64), u32> = HashMap::new();
            for (number, book_side, add) in steps {
                let id = number << 58 | number;
                if add {
                    if let std::collections::hash_map::Entry::Vacant(e) = map.entry((book_side, id)) {
                        match insert(&mut orders, &mut nodes, book_side, id) {
                            Some(order) => { e.insert(order); }
                            None => prop_assert_eq!(map.len(), 32),
                        }
                    }
                } else if let Some(order) = map.remove(&(book_side, id)) {
                    orders.remove(orders.tag(book_side, id), order);
                    nodes.give_order(order);
                }
                prop_assert_eq!(nodes.live(), map.len());
                for (&(book_side, id), &order) in &map {
                    prop_assert_eq!(find(&orders, &nodes, book_side, id), Some(order));
                }
            }
        }
    }
}
