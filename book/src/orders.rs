//! The index of orders: from what names an order (an id, or book, side and id) to the unit of the pool that holds it.
//!
//! Never allocates, never trusts an id: an unknown, repeated or hostile one costs a look at a few lines, never a wild
//! access. The orders themselves lie in the pool (`cells.rs`), two to a cache line, ids and all: what names an order leads
//! to everything that is known of it.
//!
//! Neighbouring ids lie in neighbouring *lines*, because ids that were given out together are asked for together; the
//! first of them is chosen by a keyed mix, so that nobody outside can aim at one. What finds its line full goes to the next
//! one and is counted there (as in Facebook's F14 tables), so a search ends at the first line that nothing went past, and
//! removing leaves no tombstone. An order never moves while it lives: its place is its number.

use std::hint::select_unpredictable as select;

use crate::cells::{Cells, OrderCell, PLACES, SCRATCH};

/// What names an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderKey {
    /// Book, side and id together (BISTECH ITCH 2112, section 1).
    BookSideId,
    /// The id alone, unique for the day (NASDAQ ITCH 5.0, section 4.3).
    Id,
}

/// Neighbouring ids: so many bits of an id choose one of as many lines in a row.
const BLOCK_BITS: u32 = 6;
const BLOCK: u64 = (1 << BLOCK_BITS) - 1;

/// Most levels of a market, and most orders: so many that no number of a unit has more than 32 bits.
pub(crate) const LEVELS_MAX: usize = 500_000_000;
pub(crate) const ORDERS_MAX: usize = 500_000_000;

const _: () = assert!(lines_for(ORDERS_MAX) * PLACES + LEVELS_MAX + 128 < u32::MAX as usize);

/// The odd factor of a key.
const fn factor_of(seed: u64) -> u64 {
    0x9E37_79B9_7F4A_7C15 ^ seed.rotate_left(32) | 1
}

/// How many lines an index for so many orders has: three for two of them, so that few overflow.
pub(crate) const fn lines_for(orders_max: usize) -> usize {
    (orders_max * 3 / 2 + 1).div_ceil(1 << BLOCK_BITS) << BLOCK_BITS
}

/// The place of the order with that id, if it is in its own line.
#[inline(always)]
pub(crate) fn find_in(line: &[OrderCell; PLACES], id: u64) -> Option<usize> {
    let place = usize::from(line[0].id != id);
    ((line[place].id == id) & (line[place].level != SCRATCH)).then_some(place)
}

/// The level of the order with that id, and its place; [`SCRATCH`] for none in its own line.
#[inline(always)]
pub(crate) fn level_in(line: &[OrderCell; PLACES], id: u64) -> (u32, usize) {
    let place = usize::from(line[0].id != id);
    (select(line[place].id == id, line[place].level, SCRATCH), place)
}

/// The place for a new order, if this is where it goes: none here has its id, nothing that would be here went
/// elsewhere, and there is room.
#[inline(always)]
pub(crate) fn place_in(line: &[OrderCell; PLACES], id: u64) -> Option<usize> {
    let place = usize::from(line[0].level != SCRATCH);
    // An id of 0 looks like a free place: it takes the long way.
    let is_new = (line[0].id != id) & (line[1].id != id);
    (is_new & (line[0].past == 0) & (line[place].level == SCRATCH)).then_some(place)
}

/// The index.
pub(crate) struct Orders {
    /// The first unit that is an order's.
    first: u32,
    /// Units of orders.
    places: u32,
    /// Groups of lines, one of which the mix chooses.
    groups: u64,
    /// All ones where book and side are part of a name.
    scope_mask: u32,
    seed: u64,
    factor: u64,
    live: u32,
    orders_max: u32,
}

impl Orders {
    /// An index into the orders of a pool, which has [`lines_for`] so many of them.
    pub fn new(cells: &Cells, orders_max: usize, key: OrderKey, seed: u64) -> Self {
        let lines = lines_for(orders_max);
        let mut orders = Self {
            first: cells.orders_first(),
            places: (lines * PLACES) as u32,
            groups: (lines >> BLOCK_BITS) as u64,
            scope_mask: if key == OrderKey::BookSideId { u32::MAX } else { 0 },
            seed,
            factor: factor_of(seed),
            live: 0,
            orders_max: orders_max as u32,
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
                let count = &mut blocks[self.group_of(0, block << BLOCK_BITS) as usize];
                *count += 1;
                u64::from(*count) <= each + 2 + each / 4
            })
        })
    }

    /// Forgets all orders. The pool is cleared by the caller.
    pub fn clear(&mut self) {
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

    #[inline(always)]
    fn group_of(&self, book_side: u32, id: u64) -> u32 {
        let scope = book_side & self.scope_mask;
        // Folded multiply: all 64 bits of the block number and of the scope reach all bits of the result.
        let block = (id >> BLOCK_BITS) ^ self.seed ^ u64::from(scope).rotate_left(40);
        let product = u128::from(block) * u128::from(self.factor);
        let mixed = (product as u64) ^ ((product >> 64) as u64);
        // The upper bits scaled to the number of groups (Lemire, Fast Random Integer Generation in an Interval, 2019).
        ((u128::from(mixed) * u128::from(self.groups)) >> 64) as u32
    }

    /// The own line of a name: the number of its first unit. For [`OrderKey::Id`] book and side do not count.
    #[inline(always)]
    pub fn line_of(&self, book_side: u32, id: u64) -> u32 {
        let line = self.group_of(book_side, id) << BLOCK_BITS | (id & BLOCK) as u32;
        self.first + line * PLACES as u32
    }

    /// The order with that id, if it is in the line behind its own.
    #[inline(never)]
    pub fn find_behind(&self, cells: &Cells, line: u32, id: u64) -> Option<u32> {
        if cells.line(line)[0].past == 0 {
            return None;
        }
        let next = self.next(line);
        find_in(cells.line(next), id).map(|place| next + place as u32)
    }

    /// Takes the place for a new order whose own line is full, or was, if it is there or in the next one and none of
    /// them has its id. There must be room for it.
    #[inline(never)]
    pub fn take_near(&self, cells: &mut Cells, line: u32, id: u64) -> Option<u32> {
        let next = self.next(line);
        let (here, behind) = (cells.line(line), cells.line(next));
        let is_new = here.iter().chain(behind).all(|order| order.id != id);
        if !is_new || behind[0].past > 0 {
            return None;
        }
        let free = |places: &[OrderCell; PLACES]| places.iter().position(|order| order.level == SCRATCH);
        if let Some(place) = free(here) {
            return Some(line + place as u32);
        }
        let place = free(behind)?;
        cells.order_mut(line).past += 1;
        Some(next + place as u32)
    }

    /// Notes a new order at a place that [`place_in`] or [`Orders::take_near`] gave. There must be room for it.
    #[inline(always)]
    pub fn note(&mut self, cells: &mut Cells, order: u32, id: u64, level: u32, quantity: u64) {
        let cell = cells.order_mut(order);
        (cell.id, cell.quantity, cell.level) = (id, quantity, level);
        self.live += 1;
    }

    /// Forgets an order that [`find_in`] or [`Orders::find_behind`] found from its own line.
    #[inline(always)]
    pub fn forget(&mut self, cells: &mut Cells, line: u32, order: u32) {
        if !is_in(line, order) {
            cells.order_mut(line).past -= 1;
        }
        self.free(cells, order);
    }

    #[inline(always)]
    fn free(&mut self, cells: &mut Cells, order: u32) {
        let cell = cells.order_mut(order);
        (cell.id, cell.level) = (0, SCRATCH);
        self.live -= 1;
    }

    /// The numbers of all places.
    pub fn numbers(&self) -> std::ops::Range<u32> {
        self.first..self.first + self.places
    }

    /// The order with that id, whose own line is `line` and whose level is one of those that are asked for.
    pub fn find(&self, cells: &Cells, mut line: u32, id: u64, is_level: impl Fn(u32) -> bool) -> Option<u32> {
        loop {
            let here = cells.line(line);
            for (place, order) in here.iter().enumerate() {
                if order.id == id && order.level != SCRATCH && is_level(order.level) {
                    return Some(line + place as u32);
                }
            }
            // Nothing that would be further on ever came past here.
            if here[0].past == 0 {
                return None;
            }
            line = self.next(line);
        }
    }

    /// Where that goes on which finds a line full.
    fn next(&self, line: u32) -> u32 {
        let next = line + PLACES as u32;
        if next == self.first + self.places { self.first } else { next }
    }

    /// Notes an order whose name [`Orders::find`] did not find, and returns its number. There must be room for it.
    pub fn insert(&mut self, cells: &mut Cells, mut line: u32, id: u64, level: u32, quantity: u64) -> u32 {
        // There is room: fewer orders than places.
        let place = loop {
            if let Some(place) = cells.line(line).iter().position(|order| order.level == SCRATCH) {
                break place;
            }
            cells.order_mut(line).past += 1;
            line = self.next(line);
        };
        let order = line + place as u32;
        self.note(cells, order, id, level, quantity);
        order
    }

    /// Forgets an order, whose own line is `line`.
    pub fn remove(&mut self, cells: &mut Cells, mut line: u32, order: u32) {
        while !is_in(line, order) {
            // It was counted in each line that it went past.
            cells.order_mut(line).past -= 1;
            line = self.next(line);
        }
        self.free(cells, order);
    }
}

#[inline(always)]
const fn is_in(line: u32, order: u32) -> bool {
    order.wrapping_sub(line) < PLACES as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn index(orders_max: usize, key: OrderKey, seed: u64) -> (Cells, Orders) {
        let cells = Cells::new(0, 7, lines_for(orders_max), false, true);
        let orders = Orders::new(&cells, orders_max, key, seed);
        (cells, orders)
    }

    fn insert((cells, orders): &mut (Cells, Orders), book_side: u32, id: u64) -> Option<u32> {
        let line = orders.line_of(book_side, id);
        if !orders.has_room() {
            return None;
        }
        // The level says what the scope is: one for each.
        let (level, quantity) = (book_side + 1, id % 100);
        // Both ways in: they leave the same behind.
        let place = place_in(cells.line(line), id).map(|place| line + place as u32);
        match place.or_else(|| orders.take_near(cells, line, id)) {
            Some(order) => {
                orders.note(cells, order, id, level, quantity);
                Some(order)
            }
            None => Some(orders.insert(cells, line, id, level, quantity)),
        }
    }

    fn remove((cells, orders): &mut (Cells, Orders), book_side: u32, id: u64, order: u32) {
        let line = orders.line_of(book_side, id);
        let found = find_in(cells.line(line), id).map(|place| line + place as u32);
        match found.or_else(|| orders.find_behind(cells, line, id)) {
            Some(found) if found == order => orders.forget(cells, line, order),
            _ => orders.remove(cells, line, order),
        }
    }

    fn find((cells, orders): &(Cells, Orders), book_side: u32, id: u64) -> Option<u32> {
        let is_level = |level: u32| ((level - 1) ^ book_side) & orders.scope_mask() == 0;
        orders.find(cells, orders.line_of(book_side, id), id, is_level)
    }

    fn live((cells, orders): &(Cells, Orders)) -> usize {
        orders.numbers().filter(|&order| cells.order(order).level != SCRATCH).count()
    }

    #[test]
    fn a_name_is_book_side_and_id() {
        let mut all = index(8, OrderKey::BookSideId, 1);
        let bid = insert(&mut all, 2, 7).unwrap();
        let ask = insert(&mut all, 3, 7).unwrap();
        assert_eq!((find(&all, 2, 7), find(&all, 3, 7), find(&all, 4, 7)), (Some(bid), Some(ask), None));
        let mut by_id = index(8, OrderKey::Id, 1);
        let order = insert(&mut by_id, 2, 7).unwrap();
        assert_eq!(find(&by_id, 99, 7), Some(order));
    }

    #[test]
    fn a_used_up_pool_refuses() {
        let mut all = index(2, OrderKey::Id, 1);
        let first = insert(&mut all, 0, 1).unwrap();
        assert!(all.1.has_room());
        insert(&mut all, 0, 2).unwrap();
        assert_eq!((all.1.has_room(), insert(&mut all, 0, 3)), (false, None));
        remove(&mut all, 0, 1, first);
        assert!(all.1.has_room());
    }

    /// More in one line than it has places, whatever the hash: some overflow.
    #[test]
    fn lines_that_overflow_are_left_as_if_nothing_had_been() {
        for seed in 0..50 {
            let mut all = index(90, OrderKey::Id, seed);
            let line = all.1.line_of(0, 3);
            let ids: Vec<u64> = (0u64..)
                .map(|block| block << BLOCK_BITS | 3)
                .filter(|&id| all.1.line_of(0, id) == line)
                .take(12)
                .collect();
            let numbers: Vec<u32> = ids.iter().map(|&id| insert(&mut all, 0, id).unwrap()).collect();
            assert!(ids.iter().zip(&numbers).all(|(&id, &order)| find(&all, 0, id) == Some(order)));
            assert!(numbers.iter().any(|&order| order / 2 != line / 2) && find(&all, 0, 1 << 40 | 3).is_none());
            assert_eq!(live(&all), 12);
            for (&id, &order) in ids.iter().zip(&numbers) {
                remove(&mut all, 0, id, order);
                assert_eq!(find(&all, 0, id), None);
            }
            let (cells, orders) = &all;
            let empty = |order| (cells.order(order).id, cells.order(order).level, cells.order(order).past) == (0, 0, 0);
            assert!(orders.numbers().all(empty), "{seed}");
        }
    }

    /// Ids as an exchange gives them out, the younger the more of them alive, and many keys: few lines overflow.
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
            let key = key.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17);
            let (_, orders) = index(25_000, OrderKey::Id, key);
            let mut loads = vec![0usize; orders.places as usize / PLACES];
            alive.iter().for_each(|&id| loads[(orders.line_of(0, id) - orders.first) as usize / PLACES] += 1);
            let over: usize = loads.iter().map(|load| load.saturating_sub(PLACES)).sum();
            assert!(over < alive.len() / 20, "{over} of {} orders under key {key}", alive.len());
        }
    }

    /// In a small index as well, blocks that follow each other go to all groups of lines.
    #[test]
    fn a_small_index_uses_all_its_lines() {
        for (orders_max, key) in [(400, 1), (640, 42), (1_200, 7), (2_500, 99)] {
            let (_, orders) = index(orders_max, OrderKey::Id, key);
            let mut used = vec![false; orders.groups as usize];
            for id in (0..1u64 << 14).step_by(64) {
                used[orders.group_of(0, id) as usize] = true;
            }
            assert!(used.len() > 1 && used.iter().all(|&used| used), "{orders_max}");
        }
    }

    proptest! {
        /// Against a std map, with ids that collide on purpose (same low bits, same blocks).
        #[test]
        fn the_index_equals_a_map(seed: u64, steps in prop::collection::vec((0u64..40, 0u32..3, any::<bool>()), 0..300)) {
            let mut all = index(32, OrderKey::BookSideId, seed);
            let mut map: HashMap<(u32, u64), u32> = HashMap::new();
            for (number, book_side, add) in steps {
                let id = (number << 58) | (number % 3);
                if add {
                    if let std::collections::hash_map::Entry::Vacant(e) = map.entry((book_side, id)) {
                        prop_assert_eq!(find(&all, book_side, id), None);
                        match insert(&mut all, book_side, id) {
                            Some(order) => { e.insert(order); }
                            None => prop_assert_eq!(map.len(), 32),
                        }
                    }
                } else if let Some(order) = map.remove(&(book_side, id)) {
                    remove(&mut all, book_side, id, order);
                }
                prop_assert_eq!((all.1.live(), live(&all)), (map.len(), map.len()));
                for (&(book_side, id), &order) in &map {
                    prop_assert_eq!(find(&all, book_side, id), Some(order));
                    let cell = all.0.order(order);
                    prop_assert_eq!((cell.id, cell.level, cell.quantity), (id, book_side + 1, id % 100));
                }
            }
        }
    }
}
