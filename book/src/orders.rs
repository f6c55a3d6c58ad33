//! Orders, in the index that finds them: from what names an order (an id, or book, side and id) to its level and quantity.
//!
//! Never allocates after construction, never trusts an id: an unknown, repeated or hostile one costs a look at a few lines,
//! never a wild access.
//!
//! A *line* is a cache line with four orders, ids and all: what names an order leads to everything that is known of it.
//! All four ids are compared at once, so that a search has no loop whose length the processor would have to guess.
//! Neighbouring ids lie in neighbouring lines, because ids that were given out together are asked for together; the first
//! of them is chosen by a keyed mix, so that nobody outside can aim at one. What finds its line full goes to the next one
//! and is counted there (as in Facebook's F14 tables), so a search ends at the first line that nothing overflowed, and
//! removing leaves no tombstone. An order never moves while it lives: its place is its number.

use crate::memory::{prefetch, table};

/// What names an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderKey {
    /// Book, side and id together (BISTECH ITCH 2112, section 1).
    BookSideId,
    /// The id alone, unique for the day (NASDAQ ITCH 5.0, section 4.3).
    Id,
}

/// Orders of a line.
pub(crate) const PLACES: usize = 4;
/// Neighbouring ids: so many bits of an id choose one of as many lines in a row.
const BLOCK_BITS: u32 = 6;
const BLOCK: u64 = (1 << BLOCK_BITS) - 1;

/// A word is a level and a quantity, below one bit that belongs to the line; 0 without that bit is a free place.
const QUANTITY_BITS: u32 = 40;
const LEVEL_BITS: u32 = 23;
const LEVEL: u32 = (1 << LEVEL_BITS) - 1;
const ORDER: u64 = !LINE_BIT;
const LINE_BIT: u64 = 1 << 63;
/// A quantity that a word has no room for stands in a list beside the index, and in the word stands this.
pub(crate) const QUANTITY_LARGE: u64 = (1 << QUANTITY_BITS) - 1;
/// Most orders with such a quantity: a trillion shares and more, which is no order that an exchange has.
const LARGE_MAX: usize = 1_024;
/// Most levels of a market, some less than a word has room for.
pub(crate) const LEVELS_MAX: usize = 8_000_000;
/// Most orders of a market: so many that no number of links, four to a line or a level, has more than 32 bits.
pub(crate) const ORDERS_MAX: usize = 500_000_000;

const _: () = assert!(QUANTITY_BITS + LEVEL_BITS == 63 && LEVELS_MAX + 64 < 1 << LEVEL_BITS);
const _: () = assert!((lines_for(ORDERS_MAX) + LEVELS_MAX + 64) * PLACES < u32::MAX as usize);

/// A resting order, as far as the index knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub id: u64,
    /// Number of its level, above 0.
    pub level: u32,
    /// Visible quantity that is left, 0 only for an undisclosed order.
    pub quantity: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C, align(64))]
pub(crate) struct Line {
    /// 0 beside a free place.
    ids: [u64; PLACES],
    /// The bits of the line: in the last word whether orders found it full and went on, in the others how many they are
    /// (7: that many or more, for good).
    words: [u64; PLACES],
}

const _: () = assert!(size_of::<Line>() == 64);

const EMPTY: Line = Line { ids: [0; PLACES], words: [0; PLACES] };

impl Line {
    /// The place for a new order, if this is where it goes: none here has its id, nothing that would be here went
    /// elsewhere, and there is room.
    #[inline(always)]
    pub fn place_for(&self, id: u64) -> Option<usize> {
        let equal = equal_lanes(&self.ids, id);
        let free = equal_lanes(&self.words, 0);
        // An id of 0 looks like a free place: it takes the long way.
        ((equal == 0) & (free != 0) & !self.overflowed()).then_some(first(free))
    }

    /// The first place with an id, and its order. `None` as well for an order whose quantity stands elsewhere.
    #[inline(always)]
    pub fn find(&self, id: u64) -> Option<(usize, Order)> {
        let equal = equal_lanes(&self.ids, id);
        let place = first(equal);
        let word = self.words[place];
        let order = order_of(id, word);
        ((equal != 0) & (word & ORDER != 0) & (order.quantity != QUANTITY_LARGE)).then_some((place, order))
    }

    /// The level of the first place with an id, and the place; level 0 for none.
    #[inline(always)]
    pub fn level_of(&self, id: u64) -> (u32, usize) {
        let equal = equal_lanes(&self.ids, id);
        let place = first(equal);
        let level = order_of(id, self.words[place]).level;
        (std::hint::select_unpredictable(equal != 0, level, 0), place)
    }

    /// Notes an order at a free place. Its quantity is below [`QUANTITY_LARGE`], or that.
    #[inline(always)]
    pub fn note(&mut self, place: usize, order: Order) {
        self.ids[place] = order.id;
        self.words[place] |= u64::from(order.level) << QUANTITY_BITS | order.quantity;
    }

    /// Takes from an order a part of the quantity that stands here.
    #[inline(always)]
    pub fn lessen(&mut self, place: usize, quantity: u64) {
        self.words[place] -= quantity;
    }

    #[inline(always)]
    fn forget(&mut self, place: usize) {
        self.ids[place] = 0;
        self.words[place] &= LINE_BIT;
    }

    fn is_free(&self, place: usize) -> bool {
        self.words[place] & ORDER == 0
    }

    #[inline(always)]
    fn overflowed(&self) -> bool {
        self.words[PLACES - 1] >= LINE_BIT
    }

    fn past(&self) -> u64 {
        (0..PLACES - 1).map(|bit| (self.words[bit] >> 63) << bit).sum()
    }

    fn set_past(&mut self, past: u64) {
        let bits = [past & 1, past >> 1 & 1, past >> 2 & 1, u64::from(past != 0)];
        self.words.iter_mut().zip(bits).for_each(|(word, bit)| *word = *word & ORDER | bit << 63);
    }
}

/// Past this number nobody counts any more.
const PAST_MAX: u64 = 7;

#[inline(always)]
fn order_of(id: u64, word: u64) -> Order {
    Order { id, level: (word >> QUANTITY_BITS) as u32 & LEVEL, quantity: word & QUANTITY_LARGE }
}

/// The place of the lowest of the bits of [`equal_lanes`]; any place for none.
#[inline(always)]
fn first(bits: u32) -> usize {
    bits.trailing_zeros() as usize / 2 % PLACES
}

/// Bit 0, 2, 4, 6 for the lanes that equal `value`: 10 instructions, where a loop takes 20.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn equal_lanes(lanes: &[u64; PLACES], value: u64) -> u32 {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi32, _mm_movemask_epi8, _mm_packs_epi16, _mm_packs_epi32, _mm_set1_epi64x,
    };
    #[target_feature(enable = "sse2")]
    #[inline]
    fn compare([low, high]: [__m128i; 2], value: u64) -> u32 {
        let value = _mm_set1_epi64x(value as i64);
        let halves = _mm_packs_epi32(_mm_cmpeq_epi32(low, value), _mm_cmpeq_epi32(high, value));
        _mm_movemask_epi8(_mm_packs_epi16(halves, halves)) as u32
    }
    // SAFETY: every x86-64 processor has SSE2.
    let halves = unsafe { compare(zerocopy::transmute!(*lanes), value) };
    halves & halves >> 1 & 0b0101_0101
}

/// Bit 0, 2, 4, 6 for the lanes that equal `value`.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn equal_lanes(lanes: &[u64; PLACES], value: u64) -> u32 {
    (0..PLACES).fold(0, |bits, lane| bits | u32::from(lanes[lane] == value) << (lane * 2))
}

/// The odd factor of a key.
const fn factor_of(seed: u64) -> u64 {
    0x9E37_79B9_7F4A_7C15 ^ seed.rotate_left(32) | 1
}

/// How many lines an index for so many orders has: three orders for two of them, so that hardly one overflows.
pub(crate) const fn lines_for(orders_max: usize) -> usize {
    (orders_max * 2 / 3 + 1).div_ceil(1 << BLOCK_BITS) << BLOCK_BITS
}

/// All orders.
pub(crate) struct Orders {
    lines: Vec<Line>,
    /// Groups of lines, one of which the mix chooses.
    groups: u64,
    /// All ones where book and side are part of a name.
    scope_mask: u32,
    seed: u64,
    factor: u64,
    live: u32,
    orders_max: u32,
    /// (order, quantity) of those whose quantity a word has no room for.
    large: Vec<(u32, u64)>,
}

impl Orders {
    pub fn new(orders_max: usize, key: OrderKey, seed: u64) -> Self {
        let lines = lines_for(orders_max);
        let mut orders = Self {
            lines: table(lines, EMPTY),
            groups: (lines >> BLOCK_BITS) as u64,
            scope_mask: if key == OrderKey::BookSideId { u32::MAX } else { 0 },
            seed,
            factor: factor_of(seed),
            live: 0,
            orders_max: orders_max as u32,
            large: Vec::with_capacity(LARGE_MAX),
        };
        // A few keys in a hundred let blocks that follow each other meet in few lines: the first that does not is taken.
        while !orders.spreads() {
            orders.seed = orders.seed.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(1);
            orders.factor = factor_of(orders.seed);
        }
        orders
    }

    /// Whether ids in order go to all lines about equally often: those of an instant, and those of a while.
    fn spreads(&self) -> bool {
        [1u64, 4, 16].into_iter().all(|each| {
            let mut blocks = vec![0u8; self.groups as usize];
            (0..each * self.groups).all(|block| {
                let count = &mut blocks[(self.line_of(0, block << BLOCK_BITS) >> BLOCK_BITS) as usize];
                *count += 1;
                u64::from(*count) <= each + 2 + each / 4
            })
        })
    }

    /// Forgets all orders.
    pub fn clear(&mut self) {
        self.lines.fill(EMPTY);
        self.large.clear();
        self.live = 0;
    }

    /// Orders in use.
    #[inline]
    pub fn live(&self) -> usize {
        self.live as usize
    }

    /// Whether one more order fits.
    #[inline(always)]
    pub fn has_room(&self) -> bool {
        self.live < self.orders_max
    }

    /// The scope bits that count: none of them where an id alone is a name.
    #[inline(always)]
    pub fn scope_mask(&self) -> u32 {
        self.scope_mask
    }

    /// The own line of a name. For [`OrderKey::Id`] book and side do not count.
    #[inline(always)]
    pub fn line_of(&self, book_side: u32, id: u64) -> u32 {
        let scope = book_side & self.scope_mask;
        // Folded multiply: all 64 bits of the block number and of the scope reach all bits of the result.
        let block = (id >> BLOCK_BITS) ^ self.seed ^ u64::from(scope).rotate_left(40);
        let product = u128::from(block) * u128::from(self.factor);
        let mixed = (product as u64) ^ ((product >> 64) as u64);
        // The upper bits scaled to the number of groups (Lemire, Fast Random Integer Generation in an Interval, 2019).
        let group = (u128::from(mixed) * u128::from(self.groups)) >> 64;
        (group as u32) << BLOCK_BITS | (id & BLOCK) as u32
    }

    /// Starts to load a line.
    #[inline(always)]
    pub fn prefetch(&self, line: u32) {
        prefetch(&self.lines, line as usize);
    }

    /// A line, which [`Orders::line_of`] gave.
    #[inline(always)]
    pub fn line(&self, line: u32) -> &Line {
        &self.lines[line as usize]
    }

    #[inline(always)]
    pub fn line_mut(&mut self, line: u32) -> &mut Line {
        &mut self.lines[line as usize]
    }

    /// Notes a new order at a place that [`Line::place_for`] gave, and returns its number. There must be room for it.
    #[inline(always)]
    pub fn note(&mut self, line: u32, place: usize, order: Order) -> u32 {
        self.lines[line as usize].note(place, order);
        self.live += 1;
        number(line, place)
    }

    /// Forgets an order that [`Line::find`] found.
    #[inline(always)]
    pub fn forget(&mut self, line: u32, place: usize) {
        self.lines[line as usize].forget(place);
        self.live -= 1;
    }

    /// An order by its number.
    pub fn order(&self, order: u32) -> Order {
        let (line, place) = (&self.lines[order as usize / PLACES], order as usize % PLACES);
        let mut found = order_of(line.ids[place], line.words[place]);
        if found.quantity == QUANTITY_LARGE {
            found.quantity = self.large[self.large_at(order)].1;
        }
        found
    }

    fn large_at(&self, order: u32) -> usize {
        self.large.iter().position(|large| large.0 == order).expect("a large quantity is in the list")
    }

    /// The numbers of all places.
    pub fn numbers(&self) -> std::ops::Range<u32> {
        0..(self.lines.len() * PLACES) as u32
    }

    /// Whether there is an order at a place.
    pub fn is_live(&self, order: u32) -> bool {
        !self.lines[order as usize / PLACES].is_free(order as usize % PLACES)
    }

    /// The order with that id, whose own line is `line` and whose level is one of those that are asked for.
    pub fn find(&self, mut line: u32, id: u64, is_level: impl Fn(u32) -> bool) -> Option<u32> {
        loop {
            let here = self.line(line);
            for place in (0..PLACES).filter(|&place| here.ids[place] == id && !here.is_free(place)) {
                if is_level(order_of(id, here.words[place]).level) {
                    return Some(number(line, place));
                }
            }
            // Nothing that would be further on ever came past here.
            if !here.overflowed() {
                return None;
            }
            line = self.next(line);
        }
    }

    fn next(&self, line: u32) -> u32 {
        if line as usize + 1 == self.lines.len() { 0 } else { line + 1 }
    }

    /// Whether one more order with that quantity fits.
    pub fn can_take(&self, quantity: u64) -> bool {
        self.has_room() && (quantity < QUANTITY_LARGE || self.large.len() < LARGE_MAX)
    }

    /// Notes an order whose name [`Orders::find`] did not find and which [`Orders::can_take`], and returns its number.
    pub fn insert(&mut self, mut line: u32, order: Order) -> u32 {
        // There is room: fewer orders than places.
        let place = loop {
            let here = self.line_mut(line);
            if let Some(place) = (0..PLACES).find(|&place| here.is_free(place)) {
                break place;
            }
            here.set_past((here.past() + 1).min(PAST_MAX));
            line = self.next(line);
        };
        let new = self.note(line, place, Order { quantity: order.quantity.min(QUANTITY_LARGE), ..order });
        if order.quantity >= QUANTITY_LARGE {
            self.large.push((new, order.quantity));
        }
        new
    }

    /// Forgets an order, whose own line is `line`.
    pub fn remove(&mut self, mut line: u32, order: u32) {
        if self.order(order).quantity >= QUANTITY_LARGE {
            self.large.swap_remove(self.large_at(order));
        }
        let (at, place) = (order / PLACES as u32, order as usize % PLACES);
        while line != at {
            // It was counted in each line that it went past.
            let here = self.line_mut(line);
            debug_assert!(here.overflowed(), "an order is where its name leads to");
            let past = here.past();
            here.set_past(if past == PAST_MAX { PAST_MAX } else { past.saturating_sub(1) });
            line = self.next(line);
        }
        self.forget(at, place);
    }

    /// Takes a part of its quantity from an order.
    pub fn lessen(&mut self, order: u32, quantity: u64) {
        let left = self.order(order).quantity - quantity;
        if left + quantity >= QUANTITY_LARGE {
            let at = self.large_at(order);
            self.large[at].1 = left;
            if left < QUANTITY_LARGE {
                self.large.swap_remove(at);
            }
        }
        let word = &mut self.lines[order as usize / PLACES].words[order as usize % PLACES];
        *word = *word & !QUANTITY_LARGE | left.min(QUANTITY_LARGE);
    }
}

/// The number of an order: its place.
#[inline(always)]
pub(crate) const fn number(line: u32, place: usize) -> u32 {
    line * PLACES as u32 + place as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn insert(orders: &mut Orders, book_side: u32, id: u64) -> Option<u32> {
        let line = orders.line_of(book_side, id);
        // The level says what the scope is: one for each.
        let order = Order { id, level: book_side + 1, quantity: id % 100 };
        // Both ways in: they leave the same behind.
        match orders.line(line).place_for(id) {
            Some(place) if orders.has_room() => Some(orders.note(line, place, order)),
            _ => orders.can_take(order.quantity).then(|| orders.insert(line, order)),
        }
    }

    fn remove(orders: &mut Orders, book_side: u32, id: u64, order: u32) {
        let line = orders.line_of(book_side, id);
        match orders.line(line).find(id) {
            Some((place, _)) if number(line, place) == order => orders.forget(line, place),
            _ => orders.remove(line, order),
        }
    }

    fn find(orders: &Orders, book_side: u32, id: u64) -> Option<u32> {
        orders.find(orders.line_of(book_side, id), id, |level| ((level - 1) ^ book_side) & orders.scope_mask() == 0)
    }

    #[test]
    fn a_name_is_book_side_and_id() {
        let mut orders = Orders::new(8, OrderKey::BookSideId, 1);
        let bid = insert(&mut orders, 2, 7).unwrap();
        let ask = insert(&mut orders, 3, 7).unwrap();
        assert_eq!((find(&orders, 2, 7), find(&orders, 3, 7), find(&orders, 4, 7)), (Some(bid), Some(ask), None));
        let mut by_id = Orders::new(8, OrderKey::Id, 1);
        let order = insert(&mut by_id, 2, 7).unwrap();
        assert_eq!(find(&by_id, 99, 7), Some(order));
    }

    #[test]
    fn a_used_up_pool_refuses() {
        let mut orders = Orders::new(2, OrderKey::Id, 1);
        let first = insert(&mut orders, 0, 1).unwrap();
        assert!(orders.has_room());
        insert(&mut orders, 0, 2).unwrap();
        assert_eq!((orders.has_room(), insert(&mut orders, 0, 3)), (false, None));
        remove(&mut orders, 0, 1, first);
        assert!(orders.has_room());
    }

    /// Five in one line, whatever the hash: one of them overflows.
    #[test]
    fn lines_that_overflow_are_left_as_if_nothing_had_been() {
        for seed in 0..50 {
            let mut orders = Orders::new(90, OrderKey::Id, seed);
            let line = orders.line_of(0, 3);
            let all: Vec<u64> = (0u64..)
                .map(|block| block << BLOCK_BITS | 3)
                .filter(|&id| orders.line_of(0, id) == line)
                .take(12)
                .collect();
            let numbers: Vec<u32> = all.iter().map(|&id| insert(&mut orders, 0, id).unwrap()).collect();
            assert!(all.iter().zip(&numbers).all(|(&id, &order)| find(&orders, 0, id) == Some(order)));
            assert!(numbers.iter().any(|&order| order / 4 != line) && find(&orders, 0, 1 << 40 | 3).is_none());
            assert_eq!(orders.numbers().filter(|&order| orders.is_live(order)).count(), 12);
            for (&id, &order) in all.iter().zip(&numbers) {
                remove(&mut orders, 0, id, order);
                assert_eq!(find(&orders, 0, id), None);
            }
            // Eight went past the first line, more than it counts: only it remembers.
            assert!(orders.lines.iter().enumerate().all(|(at, &have)| have == EMPTY || at == line as usize), "{seed}");
            orders.clear();
            assert!(orders.lines.iter().all(|&line| line == EMPTY));
        }
    }

    #[test]
    fn a_quantity_has_all_64_bits() {
        let mut orders = Orders::new(2_000, OrderKey::Id, 1);
        let line = orders.line_of(0, 9);
        let order = |quantity| Order { id: 9, level: 5, quantity };
        let nine = orders.insert(line, order(u64::MAX - 1));
        assert_eq!((orders.order(nine), orders.line(line).find(9)), (order(u64::MAX - 1), None));
        orders.lessen(nine, 1);
        assert_eq!(orders.order(nine).quantity, u64::MAX - 2);
        orders.lessen(nine, u64::MAX - 2 - QUANTITY_LARGE);
        assert_eq!(orders.order(nine).quantity, QUANTITY_LARGE);
        orders.lessen(nine, 1);
        assert_eq!(orders.line(line).find(9), Some((nine as usize % 4, order(QUANTITY_LARGE - 1))));
        orders.remove(line, nine);
        assert_eq!((orders.live(), orders.large.len()), (0, 0));
        for id in 0..LARGE_MAX as u64 {
            assert!(orders.can_take(QUANTITY_LARGE));
            orders.insert(orders.line_of(0, id), Order { id, level: 1, quantity: QUANTITY_LARGE });
        }
        assert!(!orders.can_take(u64::MAX) && orders.can_take(QUANTITY_LARGE - 1));
        orders.remove(orders.line_of(0, 7), find(&orders, 0, 7).unwrap());
        assert!(orders.can_take(u64::MAX));
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
            alive.iter().for_each(|&id| loads[orders.line_of(0, id) as usize] += 1);
            let over: usize = loads.iter().map(|load| load.saturating_sub(PLACES)).sum();
            assert!(over < alive.len() / 100, "{over} of {} orders under key {key}", alive.len());
        }
    }

    /// In a small index as well, blocks that follow each other go to all groups of lines.
    #[test]
    fn a_small_index_uses_all_its_lines() {
        for (orders_max, key) in [(400, 1), (640, 42), (1_200, 7), (2_500, 99)] {
            let orders = Orders::new(orders_max, OrderKey::Id, key);
            let mut used = vec![false; orders.groups as usize];
            for id in (0..1u64 << 14).step_by(64) {
                used[(orders.line_of(0, id) >> BLOCK_BITS) as usize] = true;
            }
            assert!(used.len() > 1 && used.iter().all(|&used| used), "{orders_max}");
        }
    }

    proptest! {
        /// Against a std map, with ids that collide on purpose (same low bits, same blocks).
        #[test]
        fn the_index_equals_a_map(seed: u64, steps in prop::collection::vec((0u64..40, 0u32..3, any::<bool>()), 0..300)) {
            let mut orders = Orders::new(32, OrderKey::BookSideId, seed);
            let mut map: HashMap<(u32, u64), u32> = HashMap::new();
            for (number, book_side, add) in steps {
                let id = (number << 58) | (number % 3);
                if add {
                    if let std::collections::hash_map::Entry::Vacant(e) = map.entry((book_side, id)) {
                        prop_assert_eq!(find(&orders, book_side, id), None);
                        match insert(&mut orders, book_side, id) {
                            Some(order) => { e.insert(order); }
                            None => prop_assert_eq!(map.len(), 32),
                        }
                    }
                } else if let Some(order) = map.remove(&(book_side, id)) {
                    remove(&mut orders, book_side, id, order);
                }
                prop_assert_eq!(orders.live(), map.len());
                prop_assert_eq!(orders.numbers().filter(|&order| orders.is_live(order)).count(), map.len());
                for (&(book_side, id), &order) in &map {
                    prop_assert_eq!(find(&orders, book_side, id), Some(order));
                    prop_assert_eq!(orders.order(order), Order { id, level: book_side + 1, quantity: id % 100 });
                }
            }
        }
    }
}
