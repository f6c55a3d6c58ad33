//! The index of orders: from what names an order (an id, or book, side and id) to its node.
//!
//! Never allocates after construction, never trusts an id: an unknown, repeated or hostile one costs a probe of
//! the index, never a wild access.
//!
//! A cache line of it holds seven tags, seven node numbers and a count. All seven tags are compared at once, so that a
//! search has no loop whose length the processor would have to guess. Four neighbouring ids share a line, because ids
//! that were given out together are asked for together; the line itself is chosen by a keyed mix, so that nobody
//! outside can aim at one. What finds its line full goes to the next one and is counted there (as in Facebook's F14
//! tables), so a search ends at the first line that nothing overflowed, and removing leaves no tombstone.

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

/// The hash of an order's name: where the index keeps it, and by what it knows it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag(u64);

impl Tag {
    pub const NONE: Self = Self(0);

    /// Never [`FREE`].
    #[inline]
    const fn short(self) -> u32 {
        self.0 as u32 | 1 << 31
    }

    #[inline]
    const fn line(self) -> usize {
        (self.0 >> 32) as usize
    }
}

/// Neighbouring ids: so many bits of an id choose one of as many lines in a row.
const BLOCK_BITS: u32 = 6;
const BLOCK: u64 = (1 << BLOCK_BITS) - 1;
/// Entries of a line.
const ENTRIES: usize = 7;
const ENTRY_BITS: u32 = (1 << ENTRIES) - 1;
/// The tag of an entry that is not in use.
const FREE: u32 = 0;

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line {
    /// Short tags; the last place counts the orders that found this line full and went on.
    tags: [u32; ENTRIES + 1],
    /// Beside each tag its node; the last place is always [`NO_NODE`].
    nodes: [u32; ENTRIES + 1],
}

const _: () = assert!(size_of::<Line>() == 64);

const EMPTY: Line = Line { tags: [FREE; ENTRIES + 1], nodes: [NO_NODE; ENTRIES + 1] };

impl Line {
    /// Which entries equal `value`, a bit for each.
    #[inline(always)]
    fn equal(lanes: &[u32; ENTRIES + 1], value: u32) -> u32 {
        equal_lanes(lanes, value) & ENTRY_BITS
    }

    #[inline(always)]
    fn overflowed(&self) -> bool {
        self.tags[ENTRIES] > 0
    }

    /// The node beside the lowest of `bits`; [`NO_NODE`] for none.
    #[inline(always)]
    fn lowest(&self, bits: u32) -> u32 {
        self.nodes[(bits | 1 << ENTRIES).trailing_zeros() as usize & ENTRIES]
    }
}

/// A bit for each of the eight lanes that equals `value`: 8 instructions, where a loop takes 25.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn equal_lanes(lanes: &[u32; 8], value: u32) -> u32 {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi32, _mm_movemask_epi8, _mm_packs_epi16, _mm_packs_epi32, _mm_set1_epi32,
    };
    #[target_feature(enable = "sse2")]
    #[inline]
    fn compare([low, high]: [__m128i; 2], value: u32) -> u32 {
        let value = _mm_set1_epi32(value as i32);
        let halves = _mm_packs_epi32(_mm_cmpeq_epi32(low, value), _mm_cmpeq_epi32(high, value));
        _mm_movemask_epi8(_mm_packs_epi16(halves, halves)) as u32
    }
    // SAFETY: every x86-64 processor has SSE2.
    unsafe { compare(zerocopy::transmute!(*lanes), value) }
}

/// A bit for each of the eight lanes that equals `value`.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn equal_lanes(lanes: &[u32; 8], value: u32) -> u32 {
    (0..8).fold(0, |bits, lane| bits | u32::from(lanes[lane] == value) << lane)
}

/// The index.
pub(crate) struct Orders {
    lines: Vec<Line>,
    mask: usize,
    /// All ones where book and side are part of a name.
    scope_mask: u32,
    seed: u64,
    factor: u64,
}

impl Orders {
    pub fn new(orders_max: usize, key: OrderKey, seed: u64) -> Self {
        // At most five of seven entries in use: hardly a line overflows.
        let lines = (orders_max / 5 + 1).next_power_of_two();
        Self {
            lines: table(lines, EMPTY),
            mask: lines - 1,
            scope_mask: if key == OrderKey::BookSideId { u32::MAX } else { 0 },
            seed,
            factor: 0x9E37_79B9_7F4A_7C15 ^ seed.rotate_left(32) | 1,
        }
    }

    /// Forgets all orders.
    pub fn clear(&mut self) {
        self.lines.fill(EMPTY);
    }

    /// What the index knows an order by. For [`OrderKey::Id`] book and side do not count.
    #[inline(always)]
    pub fn tag(&self, book_side: u32, id: u64) -> Tag {
        let scope = book_side & self.scope_mask;
        // Folded multiply: all 64 bits of the block number and of the scope reach all bits of the result.
        let block = (id >> BLOCK_BITS) ^ self.seed ^ u64::from(scope).rotate_left(40);
        let product = u128::from(block) * u128::from(self.factor);
        let mixed = (product as u64) ^ ((product >> 64) as u64);
        // Block and place stand in both halves: the line, and what it is known by there.
        Tag(mixed & !(BLOCK << 32 | BLOCK) | (id & BLOCK) << 32 | id & BLOCK)
    }

    /// Starts to load the line of a tag.
    #[inline(always)]
    pub fn prefetch(&self, tag: Tag) {
        prefetch(&self.lines, tag.line() & self.mask);
    }

    /// A node with that tag: most probably the order itself; [`NO_NODE`] when its own line has none.
    #[inline(always)]
    pub fn candidate(&self, tag: Tag) -> u32 {
        let line = &self.lines[tag.line() & self.mask];
        line.lowest(Line::equal(&line.tags, tag.short()))
    }

    #[inline(always)]
    fn is(&self, nodes: &Nodes, at: u32, book_side: u32, id: u64) -> bool {
        nodes.is(at, id, book_side, self.scope_mask)
    }

    /// The order of that name: `guess` if that is right, which makes a search needless.
    #[inline(always)]
    pub fn find_guessed(&self, nodes: &Nodes, tag: Tag, book_side: u32, id: u64, guess: u32) -> Option<u32> {
        if self.is(nodes, guess, book_side, id) {
            return Some(guess);
        }
        self.find(nodes, tag, book_side, id)
    }

    /// The order of that name.
    #[inline(always)]
    pub fn find(&self, nodes: &Nodes, tag: Tag, book_side: u32, id: u64) -> Option<u32> {
        let line = &self.lines[tag.line() & self.mask];
        let equal = Line::equal(&line.tags, tag.short());
        let first = line.lowest(equal);
        if self.is(nodes, first, book_side, id) {
            return Some(first);
        }
        // Nothing there, and nothing that would be there went elsewhere.
        if (equal == 0) & !line.overflowed() {
            return None;
        }
        self.find_further(nodes, tag, book_side, id)
    }

    #[cold]
    fn find_further(&self, nodes: &Nodes, tag: Tag, book_side: u32, id: u64) -> Option<u32> {
        let mut at = tag.line();
        loop {
            let line = &self.lines[at & self.mask];
            let mut equal = Line::equal(&line.tags, tag.short());
            while equal != 0 {
                let node = line.lowest(equal);
                if self.is(nodes, node, book_side, id) {
                    return Some(node);
                }
                equal &= equal - 1;
            }
            if !line.overflowed() {
                return None;
            }
            at += 1;
        }
    }

    /// Notes an order whose name [`Orders::find`] did not find.
    #[inline(always)]
    pub fn insert(&mut self, tag: Tag, node: u32) {
        let line = &mut self.lines[tag.line() & self.mask];
        let free = Line::equal(&line.tags, FREE);
        if free == 0 {
            return self.insert_further(tag, node);
        }
        let entry = free.trailing_zeros() as usize & ENTRIES;
        line.tags[entry] = tag.short();
        line.nodes[entry] = node;
    }

    #[cold]
    fn insert_further(&mut self, tag: Tag, node: u32) {
        let mut at = tag.line();
        // There is room: the pool has fewer orders than the index has entries.
        loop {
            let line = &mut self.lines[at & self.mask];
            let free = Line::equal(&line.tags, FREE);
            if free != 0 {
                let entry = free.trailing_zeros() as usize & ENTRIES;
                line.tags[entry] = tag.short();
                line.nodes[entry] = node;
                return;
            }
            line.tags[ENTRIES] += 1;
            at += 1;
        }
    }

    /// Forgets an order that is in the index.
    #[inline(always)]
    pub fn remove(&mut self, tag: Tag, node: u32) {
        let line = &mut self.lines[tag.line() & self.mask];
        let here = Line::equal(&line.nodes, node);
        if here == 0 {
            return self.remove_further(tag, node);
        }
        let entry = here.trailing_zeros() as usize & ENTRIES;
        line.tags[entry] = FREE;
        line.nodes[entry] = NO_NODE;
    }

    #[cold]
    fn remove_further(&mut self, tag: Tag, node: u32) {
        let mut at = tag.line();
        loop {
            let line = &mut self.lines[at & self.mask];
            let here = Line::equal(&line.nodes, node);
            if here != 0 {
                let entry = here.trailing_zeros() as usize & ENTRIES;
                line.tags[entry] = FREE;
                line.nodes[entry] = NO_NODE;
                return;
            }
            // It was counted in each line that it went past.
            debug_assert!(line.overflowed(), "an order is where its tag leads to");
            line.tags[ENTRIES] = line.tags[ENTRIES].saturating_sub(1);
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn insert(orders: &mut Orders, nodes: &mut Nodes, book_side: u32, id: u64) -> Option<u32> {
        let tag = orders.tag(book_side, id);
        assert_eq!(orders.find(nodes, tag, book_side, id), None, "a new name");
        let node = nodes.take_order(book_side, id, 1)?;
        orders.insert(tag, node);
        Some(node)
    }

    fn find(orders: &Orders, nodes: &Nodes, book_side: u32, id: u64) -> Option<u32> {
        let tag = orders.tag(book_side, id);
        let found = orders.find(nodes, tag, book_side, id);
        let guess = orders.candidate(tag);
        assert_eq!(orders.find_guessed(nodes, tag, book_side, id, guess), found, "a guess changes no answer");
        found
    }

    #[test]
    fn a_name_is_book_side_and_id() {
        let mut nodes = Nodes::new(0, 1, 8, false);
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

    #[test]
    fn lines_that_overflow_are_left_as_if_nothing_had_been() {
        // Two lines for ten orders: whatever the hash, one of them overflows.
        for seed in 0..50 {
            let mut nodes = Nodes::new(0, 1, 9, false);
            let mut orders = Orders::new(9, OrderKey::Id, seed);
            assert_eq!(orders.lines.len(), 2);
            let all: Vec<u32> = (0..9).map(|id| insert(&mut orders, &mut nodes, 0, id).unwrap()).collect();
            assert!((0u64..).zip(&all).all(|(id, &node)| find(&orders, &nodes, 0, id) == Some(node)));
            assert_eq!(find(&orders, &nodes, 0, 77), None);
            for (id, &node) in (0u64..).zip(&all) {
                orders.remove(orders.tag(0, id), node);
                nodes.give_order(node);
                assert_eq!(find(&orders, &nodes, 0, id), None);
            }
            assert!(orders.lines.iter().all(|line| (line.tags, line.nodes) == (EMPTY.tags, EMPTY.nodes)), "{seed}");
        }
    }

    proptest! {
        /// Against a std map, with ids that collide on purpose (same low bits, same blocks).
        #[test]
        fn the_index_equals_a_map(seed: u64, steps in prop::collection::vec((0u64..40, 0u32..3, any::<bool>()), 0..300)) {
            let mut nodes = Nodes::new(0, 1, 32, false);
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
