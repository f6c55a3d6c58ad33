//! The index of orders: from what names an order (an id, or book, side and id) to its cell.
//!
//! Never allocates after construction, never trusts an id: an unknown, repeated or hostile one costs a probe of
//! the index, never a wild access.
//!
//! A cache line of it holds seven tags, seven cell numbers and a count. All seven tags are compared at once, so that a
//! search has no loop whose length the processor would have to guess. Neighbouring ids lie in neighbouring lines, because
//! ids that were given out together are asked for together; the first of them is chosen by a keyed mix, so that nobody
//! outside can aim at one. What finds its line full goes to the next one and is counted there (as in Facebook's F14
//! tables), so a search ends at the first line that nothing overflowed, and removing leaves no tombstone.

use crate::cells::{Cells, NO_CELL};
use crate::memory::{prefetch, table};

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
pub(crate) struct Line {
    /// Short tags; the last place counts the orders that found this line full and went on.
    tags: [u32; ENTRIES + 1],
    /// Beside each tag its order; the last place is always [`NO_CELL`].
    orders: [u32; ENTRIES + 1],
}

const _: () = assert!(size_of::<Line>() == 64);

const EMPTY: Line = Line { tags: [FREE; ENTRIES + 1], orders: [NO_CELL; ENTRIES + 1] };

impl Line {
    /// Which entries equal `value`, a bit for each.
    #[inline(always)]
    fn equal(lanes: &[u32; ENTRIES + 1], value: u32) -> u32 {
        equal_lanes(lanes, value) & ENTRY_BITS
    }

    /// The entry for a new order, if this is where it goes: nothing has its tag, nothing that would be here went
    /// elsewhere, and there is a place.
    #[inline(always)]
    pub fn entry_for(&self, tag: Tag) -> Option<usize> {
        let equal = Self::equal(&self.tags, tag.short());
        let free = Self::equal(&self.tags, FREE);
        ((equal == 0) & !self.overflowed() & (free != 0)).then_some(free.trailing_zeros() as usize & ENTRIES)
    }

    /// The first entry with a tag, and its order.
    #[inline(always)]
    pub fn find(&self, tag: Tag) -> Option<(usize, u32)> {
        let equal = Self::equal(&self.tags, tag.short());
        let entry = equal.trailing_zeros() as usize & ENTRIES;
        (equal != 0).then(|| (entry, self.orders[entry]))
    }

    /// The entry of an order, if it is here.
    #[inline(always)]
    pub fn entry_of(&self, order: u32) -> Option<usize> {
        let here = Self::equal(&self.orders, order);
        (here != 0).then_some(here.trailing_zeros() as usize & ENTRIES)
    }

    /// Notes an order at an entry.
    #[inline(always)]
    pub fn note(&mut self, entry: usize, tag: Tag, order: u32) {
        (self.tags[entry], self.orders[entry]) = (tag.short(), order);
    }

    /// Forgets the order of an entry.
    #[inline(always)]
    pub fn forget(&mut self, entry: usize) {
        (self.tags[entry], self.orders[entry]) = (FREE, NO_CELL);
    }

    #[inline(always)]
    fn set(&mut self, bits: u32, tag: u32, order: u32) {
        let entry = bits.trailing_zeros() as usize & ENTRIES;
        (self.tags[entry], self.orders[entry]) = (tag, order);
    }

    #[inline(always)]
    fn overflowed(&self) -> bool {
        self.tags[ENTRIES] > 0
    }

    /// The order beside the lowest of `bits`; [`NO_CELL`] for none.
    #[inline(always)]
    fn lowest(&self, bits: u32) -> u32 {
        self.orders[(bits | 1 << ENTRIES).trailing_zeros() as usize & ENTRIES]
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

/// The odd factor of a key.
const fn factor_of(seed: u64) -> u64 {
    0x9E37_79B9_7F4A_7C15 ^ seed.rotate_left(32) | 1
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
        let mut orders = Self {
            lines: table(lines, EMPTY),
            mask: lines - 1,
            scope_mask: if key == OrderKey::BookSideId { u32::MAX } else { 0 },
            seed,
            factor: factor_of(seed),
        };
        // A few keys in a hundred let blocks that follow each other meet in few lines: the first that does not is taken.
        while !orders.spreads() {
            orders.seed = orders.seed.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(1);
            orders.factor = factor_of(orders.seed);
        }
        orders
    }

    /// Whether ids in order go to all lines about equally often.
    fn spreads(&self) -> bool {
        let groups = (self.lines.len() >> BLOCK_BITS).max(1);
        let mut blocks = vec![0u8; groups];
        (0..4 * groups as u64).all(|block| {
            let line = self.tag(0, block << BLOCK_BITS).line() & self.mask;
            let count = &mut blocks[line >> BLOCK_BITS];
            *count += 1;
            *count <= 8
        })
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

    /// An order with that tag: most probably the one of that name; [`NO_CELL`] when its own line has none.
    #[inline(always)]
    pub fn candidate(&self, tag: Tag) -> u32 {
        let line = &self.lines[tag.line() & self.mask];
        line.lowest(Line::equal(&line.tags, tag.short()))
    }

    /// The own line of a name.
    #[inline(always)]
    pub fn line(&mut self, tag: Tag) -> &mut Line {
        &mut self.lines[tag.line() & self.mask]
    }

    /// The scope bits that count: none of them where an id alone is a name.
    #[inline(always)]
    pub fn scope_mask(&self) -> u32 {
        self.scope_mask
    }

    #[inline(always)]
    fn is(&self, cells: &Cells, at: u32, book_side: u32, id: u64) -> bool {
        cells.is(at, id, book_side, self.scope_mask)
    }

    /// The order of that name.
    pub fn find(&self, cells: &Cells, tag: Tag, book_side: u32, id: u64) -> Option<u32> {
        let mut at = tag.line();
        loop {
            let line = &self.lines[at & self.mask];
            let mut equal = Line::equal(&line.tags, tag.short());
            while equal != 0 {
                let order = line.lowest(equal);
                if self.is(cells, order, book_side, id) {
                    return Some(order);
                }
                equal &= equal - 1;
            }
            // Nothing that would be further on ever came past here.
            if !line.overflowed() {
                return None;
            }
            at += 1;
        }
    }

    /// Notes an order whose name [`Orders::find`] did not find.
    pub fn insert(&mut self, tag: Tag, order: u32) {
        let mut at = tag.line();
        // There is room: the pool has fewer orders than the index has entries.
        loop {
            let line = &mut self.lines[at & self.mask];
            let free = Line::equal(&line.tags, FREE);
            if free != 0 {
                return line.set(free, tag.short(), order);
            }
            line.tags[ENTRIES] += 1;
            at += 1;
        }
    }

    /// Forgets an order that is in the index.
    pub fn remove(&mut self, tag: Tag, order: u32) {
        let mut at = tag.line();
        loop {
            let line = &mut self.lines[at & self.mask];
            let here = Line::equal(&line.orders, order);
            if here != 0 {
                return line.set(here, FREE, NO_CELL);
            }
            // It was counted in each line that it went past.
            debug_assert!(line.overflowed(), "an order is where its tag leads to");
            line.tags[ENTRIES] = line.tags[ENTRIES].saturating_sub(1);
            at += 1;
        }
    }

    /// Notes that an order in the index has moved to another cell.
    pub fn renumber(&mut self, tag: Tag, old: u32, new: u32) {
        let mut at = tag.line();
        loop {
            let line = &mut self.lines[at & self.mask];
            let here = Line::equal(&line.orders, old);
            if here != 0 {
                return line.set(here, tag.short(), new);
            }
            debug_assert!(line.overflowed(), "an order is where its tag leads to");
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cells::Coming;
    use proptest::prelude::*;
    use std::collections::HashMap;

    /// One level that all orders stand on.
    fn pool(orders_max: usize) -> (Cells, u32) {
        let mut cells = Cells::new(0, 1, orders_max, false);
        let level = cells.take_level(1, 0).unwrap();
        (cells, level)
    }

    fn insert(orders: &mut Orders, cells: &mut Cells, level: u32, book_side: u32, id: u64) -> Option<u32> {
        let tag = orders.tag(book_side, id);
        assert_eq!(orders.find(cells, tag, book_side, id), None, "a new name");
        cells.has_room().then_some(())?;
        let order = cells.add_last(level, &Coming { book_side, id, quantity: 1 });
        // Both ways in: they leave the same behind.
        match orders.line(tag).entry_for(tag) {
            Some(entry) => orders.line(tag).note(entry, tag, order),
            None => orders.insert(tag, order),
        }
        Some(order)
    }

    fn remove(orders: &mut Orders, cells: &mut Cells, book_side: u32, id: u64, order: u32) {
        let tag = orders.tag(book_side, id);
        match orders.line(tag).entry_of(order) {
            Some(entry) => orders.line(tag).forget(entry),
            None => orders.remove(tag, order),
        }
        cells.remove(order);
    }

    fn find(orders: &Orders, cells: &Cells, book_side: u32, id: u64) -> Option<u32> {
        orders.find(cells, orders.tag(book_side, id), book_side, id)
    }

    #[test]
    fn a_name_is_book_side_and_id() {
        // A chunk belongs to one book and side: each has a level of its own.
        let mut cells = Cells::new(0, 3, 8, false);
        let levels: Vec<u32> = (0..3).map(|book_side| cells.take_level(1, book_side).unwrap()).collect();
        let mut orders = Orders::new(8, OrderKey::BookSideId, 1);
        let bid = insert(&mut orders, &mut cells, levels[0], 2, 7).unwrap();
        let ask = insert(&mut orders, &mut cells, levels[1], 3, 7).unwrap();
        assert_eq!(find(&orders, &cells, 2, 7), Some(bid));
        assert_eq!(find(&orders, &cells, 3, 7), Some(ask));
        assert_eq!(find(&orders, &cells, 4, 7), None);
        let mut by_id = Orders::new(8, OrderKey::Id, 1);
        let order = insert(&mut by_id, &mut cells, levels[2], 2, 7).unwrap();
        assert_eq!(find(&by_id, &cells, 99, 7), Some(order));
    }

    #[test]
    fn an_order_that_moved_is_found_where_it_is() {
        let (mut cells, level) = pool(9);
        let mut orders = Orders::new(9, OrderKey::Id, 1);
        for id in 0..9 {
            insert(&mut orders, &mut cells, level, 0, id).unwrap();
        }
        // As if the last two had changed places.
        let [a, b] = [7, 8].map(|id| find(&orders, &cells, 0, id).unwrap());
        orders.renumber(orders.tag(0, 7), a, NO_CELL - 1);
        orders.renumber(orders.tag(0, 8), b, a);
        assert_eq!(orders.candidate(orders.tag(0, 8)), a);
    }

    #[test]
    fn lines_that_overflow_are_left_as_if_nothing_had_been() {
        // Two lines for ten orders: whatever the hash, one of them overflows.
        for seed in 0..50 {
            let (mut cells, level) = pool(9);
            let mut orders = Orders::new(9, OrderKey::Id, seed);
            assert_eq!(orders.lines.len(), 2);
            let all: Vec<u32> = (0..9).map(|id| insert(&mut orders, &mut cells, level, 0, id).unwrap()).collect();
            assert!((0u64..).zip(&all).all(|(id, &order)| find(&orders, &cells, 0, id) == Some(order)));
            assert_eq!(find(&orders, &cells, 0, 77), None);
            for (id, &order) in (0u64..).zip(&all) {
                remove(&mut orders, &mut cells, 0, id, order);
                assert_eq!(find(&orders, &cells, 0, id), None);
            }
            assert!(orders.lines.iter().all(|line| (line.tags, line.orders) == (EMPTY.tags, EMPTY.orders)), "{seed}");
        }
    }

    /// Ids as an exchange gives them out, the younger the more of them alive, and many keys: lines hardly overflow.
    #[test]
    fn no_key_makes_ids_in_order_meet() {
        let (mut random, mut next) = (1u64, 1 << 20);
        let mut alive = Vec::new();
        while alive.len() < 20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let age = (1u64 << 20) - next;
            if (random >> 33) % (1 + age / 4_096) == 0 {
                alive.push(next);
            }
            next -= 1;
        }
        for key in 0..400u64 {
            let orders = Orders::new(25_000, OrderKey::Id, key.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17));
            let mut loads = vec![0usize; orders.lines.len()];
            alive.iter().for_each(|&id| loads[orders.tag(0, id).line() & orders.mask] += 1);
            let over: usize = loads.iter().map(|load| load.saturating_sub(ENTRIES)).sum();
            assert!(over < alive.len() / 50, "{over} of {} orders under key {key}", alive.len());
        }
    }

    /// In a small index as well, blocks that follow each other go to all groups of lines.
    #[test]
    fn a_small_index_uses_all_its_lines() {
        for (orders_max, key) in [(400, 1), (640, 42), (1_200, 7), (2_500, 99)] {
            let orders = Orders::new(orders_max, OrderKey::Id, key);
            let groups = orders.lines.len() >> BLOCK_BITS;
            let mut used = vec![false; groups];
            for id in (0..1u64 << 14).step_by(64) {
                used[(orders.tag(0, id).line() & orders.mask) >> BLOCK_BITS] = true;
            }
            assert!(groups > 1 && used.iter().all(|&used| used), "{orders_max}");
        }
    }

    proptest! {
        /// Against a std map, with ids that collide on purpose (same low bits, same blocks).
        #[test]
        fn the_index_equals_a_map(seed: u64, steps in prop::collection::vec((0u64..40, 0u32..3, any::<bool>()), 0..300)) {
            let mut cells = Cells::new(0, 3, 32, false);
            let levels: Vec<u32> = (0..3).map(|book_side| cells.take_level(1, book_side).unwrap()).collect();
            let mut orders = Orders::new(32, OrderKey::BookSideId, seed);
            let mut map: HashMap<(u32, u64), u32> = HashMap::new();
            for (number, book_side, add) in steps {
                let level = levels[book_side as usize];
                let id = number << 58 | number;
                if add {
                    if let std::collections::hash_map::Entry::Vacant(e) = map.entry((book_side, id)) {
                        match insert(&mut orders, &mut cells, level, book_side, id) {
                            Some(order) => { e.insert(order); }
                            None => prop_assert_eq!(map.len(), 32),
                        }
                    }
                } else if let Some(order) = map.remove(&(book_side, id)) {
                    remove(&mut orders, &mut cells, book_side, id, order);
                }
                prop_assert_eq!(cells.live(), map.len());
                for (&(book_side, id), &order) in &map {
                    prop_assert_eq!(find(&orders, &cells, book_side, id), Some(order));
                }
            }
        }
    }
}
