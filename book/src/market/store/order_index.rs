//! The index of orders: from what names an order (an id, or book, side and id) to the node of the pool that holds it.
//!
//! Never allocates, never trusts an id: an unknown, repeated or hostile one costs a look at a few lines, never a wild
//! access. The orders themselves lie in the pool (`node_pool.rs`), two to a cache line, ids and all: what names an order leads
//! to everything that is known of it.
//!
//! An id's own line is the rest of its division by the number of lines, a prime. So ids in steps of any size go to all lines
//! before they come to one again, ids that were given out together, and are asked for together, lie together and on few pages,
//! and what an id meets in its line is as old as orders get. A line has two places, so most that are met leave room; an id
//! whose line is full goes to the next one, and then to lines that a keyed mix of all that names the order chooses, at which
//! nobody outside can aim. It is counted where it went past (as in Facebook's F14 tables), so a search ends at the first line
//! that nothing went past, and removing leaves no tombstone. An order never moves while it lives: its place is its number.

use std::hint::select_unpredictable as select;

use crate::market::store::node::{Node, Nodes as _, ORDERS_PER_LINE, OrderNode, SCRATCH};
use crate::market::store::node_pool::NodePool;

/// What names an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderKey {
    /// Book, side and id together (BISTECH ITCH 2112, section 1).
    BookSideId,
    /// The id alone, unique for the day (NASDAQ ITCH 5.0, section 4.3).
    Id,
}

/// Most levels of a market, and most orders: so many that no number of a node has more than 32 bits.
pub(crate) const LEVELS_MAX: usize = 500_000_000;
pub(crate) const ORDERS_MAX: usize = 500_000_000;

const _: () = assert!(lines_for(ORDERS_MAX) * ORDERS_PER_LINE + LEVELS_MAX + 128 < u32::MAX as usize);

/// From this try on lines are tried one after another; those before it, but for the first two, are the keyed mix's.
const LINEAR_FROM: u32 = 8;

/// How many lines an index for so many orders has: two for each and a little more, so that few overflow.
pub(crate) const fn lines_for(orders_max: usize) -> usize {
    let mut lines = (orders_max * 2 + 3) | 1;
    while !is_prime(lines) {
        lines += 2;
    }
    lines
}

/// Whether an odd number above 1 is a prime.
const fn is_prime(odd: usize) -> bool {
    let mut divisor = 3;
    while divisor * divisor <= odd {
        if odd.is_multiple_of(divisor) {
            return false;
        }
        divisor += 2;
    }
    true
}

/// The place of the order with that id, if it is in its own line.
#[inline(always)]
pub(crate) fn find_in(line: &[OrderNode; ORDERS_PER_LINE], id: u64) -> Option<usize> {
    let place = usize::from(line[0].id != id);
    ((line[place].id == id) & (line[place].level != SCRATCH)).then_some(place)
}

/// The level of the order with that id, and its place; [`SCRATCH`] for none in its own line.
#[inline(always)]
pub(crate) fn level_in(line: &[OrderNode; ORDERS_PER_LINE], id: u64) -> (u32, usize) {
    let place = usize::from(line[0].id != id);
    (select(line[place].id == id, line[place].level, SCRATCH), place)
}

/// The place for a new order, if this is where it goes: none here has its id, nothing that would be here went
/// elsewhere, and there is room.
#[inline(always)]
pub(crate) fn free_slot_in(line: &[OrderNode; ORDERS_PER_LINE], id: u64) -> Option<usize> {
    let place = usize::from(line[0].level != SCRATCH);
    // An id of 0 looks like a free place: it takes the long way.
    let is_new = (line[0].id != id) & (line[1].id != id);
    (is_new & (line[0].past == 0) & (line[place].level == SCRATCH)).then_some(place)
}

/// The index.
pub(crate) struct OrderIndex {
    /// The first node that is an order's.
    first: u32,
    lines: u32,
    /// All ones where book and side are part of a name.
    scope_mask: u32,
    live: u32,
    orders_max: u32,
    /// 2^64 / lines.
    inverse: u64,
    seed: u64,
    factor: u64,
}

impl OrderIndex {
    /// An index into the orders of a pool, which has [`lines_for`] so many of them.
    pub fn new(pool: &NodePool, orders_max: usize, key: OrderKey, seed: u64) -> Self {
        let lines = lines_for(orders_max);
        Self {
            first: pool.orders_first(),
            lines: lines as u32,
            scope_mask: if key == OrderKey::BookSideId { u32::MAX } else { 0 },
            live: 0,
            orders_max: orders_max as u32,
            inverse: u64::MAX / lines as u64,
            seed,
            factor: 0x9E37_79B9_7F4A_7C15 ^ seed.rotate_left(32) | 1,
        }
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

    /// The own line of an id: the number of its first node.
    #[inline(always)]
    pub fn line_of(&self, id: u64) -> u32 {
        // The fraction of id / lines, times lines. The inverse is rounded down, so that once in 2^64 / lines ids two that
        // follow each other share a line: as good as the true rest.
        self.scaled(id.wrapping_mul(self.inverse))
    }

    /// From a fraction of 2^64 to a line.
    #[inline(always)]
    fn scaled(&self, fraction: u64) -> u32 {
        let line = ((u128::from(fraction) * u128::from(self.lines)) >> 64) as u32;
        self.first + line * ORDERS_PER_LINE as u32
    }

    /// The order with that id, if it is in the line behind its own.
    #[inline(never)]
    pub fn find_behind(&self, nodes: &[Node], line: u32, id: u64) -> Option<u32> {
        if nodes.line(line)[0].past == 0 {
            return None;
        }
        let next = self.next(line);
        find_in(nodes.line(next), id).map(|place| next + place as u32)
    }

    /// Takes the place for a new order whose own line is full, or was, if it is there or in the next one and none of
    /// them has its id. There must be room for it.
    #[inline(never)]
    pub fn take_near(&self, nodes: &mut [Node], line: u32, id: u64) -> Option<u32> {
        let next = self.next(line);
        let (here, behind) = (nodes.line(line), nodes.line(next));
        let is_new = here.iter().chain(behind).all(|order| order.id != id);
        if !is_new || behind[0].past > 0 {
            return None;
        }
        let free = |places: &[OrderNode; ORDERS_PER_LINE]| places.iter().position(|order| order.level == SCRATCH);
        if let Some(place) = free(here) {
            return Some(line + place as u32);
        }
        let place = free(behind)?;
        nodes.order_mut(line).past += 1;
        Some(next + place as u32)
    }

    /// Notes a new order at a place that [`free_slot_in`] or [`OrderIndex::take_near`] gave. There must be room for it.
    #[inline(always)]
    pub fn note(&mut self, nodes: &mut [Node], order: u32, id: u64, level: u32, quantity: u64) {
        let cell = nodes.order_mut(order);
        (cell.id, cell.quantity, cell.level) = (id, quantity, level);
        self.live += 1;
    }

    /// Forgets an order that [`find_in`] or [`OrderIndex::find_behind`] found from its own line.
    #[inline(always)]
    pub fn forget(&mut self, nodes: &mut [Node], line: u32, order: u32) {
        if !is_in(line, order) {
            nodes.order_mut(line).past -= 1;
        }
        self.free(nodes, order);
    }

    #[inline(always)]
    fn free(&mut self, nodes: &mut [Node], order: u32) {
        let cell = nodes.order_mut(order);
        (cell.id, cell.level) = (0, SCRATCH);
        self.live -= 1;
    }

    /// The numbers of all places.
    pub fn numbers(&self) -> std::ops::Range<u32> {
        self.first..self.end()
    }

    fn end(&self) -> u32 {
        self.first + self.lines * ORDERS_PER_LINE as u32
    }

    /// The order with that id whose level is one of those that are asked for.
    pub fn find(&self, nodes: &[Node], book_side: u32, id: u64, is_level: impl Fn(u32) -> bool) -> Option<u32> {
        let mut line = self.line_of(id);
        // So many tries reach every line.
        for tried in 1..=self.lines + LINEAR_FROM {
            let here = nodes.line(line);
            for (place, order) in here.iter().enumerate() {
                if order.id == id && order.level != SCRATCH && is_level(order.level) {
                    return Some(line + place as u32);
                }
            }
            // Nothing that would be further on ever came past here.
            if here[0].past == 0 {
                return None;
            }
            line = self.after(book_side, id, line, tried);
        }
        None
    }

    /// The line that is tried after `line`, the `tried`-th.
    fn after(&self, book_side: u32, id: u64, line: u32, tried: u32) -> u32 {
        match tried {
            2..LINEAR_FROM => self.mixed(book_side, id, tried),
            _ => self.next(line),
        }
    }

    fn next(&self, line: u32) -> u32 {
        let next = line + ORDERS_PER_LINE as u32;
        if next == self.end() { self.first } else { next }
    }

    fn mixed(&self, book_side: u32, id: u64, tried: u32) -> u32 {
        let scope = u64::from(book_side & self.scope_mask) | u64::from(tried) << 32;
        // Folded multiply: all bits of the id and of the scope reach all bits of the result.
        let product = u128::from(id ^ self.seed ^ scope.rotate_left(24)) * u128::from(self.factor);
        self.scaled((product as u64) ^ ((product >> 64) as u64))
    }

    /// Notes an order whose name [`OrderIndex::find`] did not find, and returns its number. There must be room for it.
    pub fn insert(&mut self, nodes: &mut [Node], book_side: u32, id: u64, level: u32, quantity: u64) -> u32 {
        let (mut line, mut tried) = (self.line_of(id), 0);
        // Ends because there is room: fewer orders than lines, and the last tries go through all of them.
        let place = loop {
            if let Some(place) = nodes.line(line).iter().position(|order| order.level == SCRATCH) {
                break place;
            }
            nodes.order_mut(line).past += 1;
            tried += 1;
            line = self.after(book_side, id, line, tried);
        };
        let order = line + place as u32;
        self.note(nodes, order, id, level, quantity);
        order
    }

    /// Forgets an order of that name.
    pub fn remove(&mut self, nodes: &mut [Node], book_side: u32, order: u32) {
        let id = nodes.order(order).id;
        let (mut line, mut tried) = (self.line_of(id), 0);
        while !is_in(line, order) {
            // It was counted in each line that it went past.
            nodes.order_mut(line).past -= 1;
            tried += 1;
            line = self.after(book_side, id, line, tried);
        }
        self.free(nodes, order);
    }
}

#[inline(always)]
const fn is_in(line: u32, order: u32) -> bool {
    order.wrapping_sub(line) < ORDERS_PER_LINE as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn index(orders_max: usize, key: OrderKey, seed: u64) -> (NodePool, OrderIndex) {
        let pool = NodePool::new(0, 7, lines_for(orders_max), false, true);
        let orders = OrderIndex::new(&pool, orders_max, key, seed);
        (pool, orders)
    }

    fn insert((pool, orders): &mut (NodePool, OrderIndex), book_side: u32, id: u64) -> Option<u32> {
        let line = orders.line_of(id);
        if !orders.has_room() {
            return None;
        }
        // The level says what the scope is: one for each.
        let (level, quantity) = (book_side + 1, id % 100);
        // Both ways in: they leave the same behind.
        let place = free_slot_in(pool.nodes().line(line), id).map(|place| line + place as u32);
        match place.or_else(|| orders.take_near(pool.nodes_mut(), line, id)) {
            Some(order) => {
                orders.note(pool.nodes_mut(), order, id, level, quantity);
                Some(order)
            }
            None => Some(orders.insert(pool.nodes_mut(), book_side, id, level, quantity)),
        }
    }

    fn remove((pool, orders): &mut (NodePool, OrderIndex), book_side: u32, id: u64, order: u32) {
        let line = orders.line_of(id);
        let found = find_in(pool.nodes().line(line), id).map(|place| line + place as u32);
        match found.or_else(|| orders.find_behind(pool.nodes(), line, id)) {
            Some(found) if found == order => orders.forget(pool.nodes_mut(), line, order),
            _ => orders.remove(pool.nodes_mut(), book_side, order),
        }
    }

    fn find((pool, orders): &(NodePool, OrderIndex), book_side: u32, id: u64) -> Option<u32> {
        let is_level = |level: u32| ((level - 1) ^ book_side) & orders.scope_mask() == 0;
        orders.find(pool.nodes(), book_side, id, is_level)
    }

    fn live((pool, orders): &(NodePool, OrderIndex)) -> usize {
        orders.numbers().filter(|&order| pool.order(order).level != SCRATCH).count()
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

    fn is_as_new((pool, orders): &(NodePool, OrderIndex)) -> bool {
        let empty = |order| (pool.order(order).id, pool.order(order).level, pool.order(order).past) == (0, 0, 0);
        orders.numbers().all(empty)
    }

    /// Ids that have the same line, as many as there may be: all ways of going on are gone.
    #[test]
    fn ids_that_meet_are_left_as_if_nothing_had_been() {
        for seed in 0..50 {
            let mut all = index(90, OrderKey::Id, seed);
            let step = lines_for(90) as u64;
            let ids: Vec<u64> = (0..90).map(|number| 3 + number * step).collect();
            assert!(ids.iter().all(|&id| all.1.line_of(id).abs_diff(all.1.line_of(3)) <= ORDERS_PER_LINE as u32));
            let numbers: Vec<u32> = ids.iter().map(|&id| insert(&mut all, 0, id).unwrap()).collect();
            assert!(ids.iter().zip(&numbers).all(|(&id, &order)| find(&all, 0, id) == Some(order)));
            assert_eq!((find(&all, 0, 3 + 90 * step), live(&all)), (None, 90));
            for (&id, &order) in ids.iter().zip(&numbers) {
                remove(&mut all, 0, id, order);
                assert_eq!(find(&all, 0, id), None);
            }
            assert!(is_as_new(&all), "{seed}");
        }
    }

    /// How many of so many ids do not find their line full.
    fn near(orders_max: usize, ids: impl Iterator<Item = u64>) -> usize {
        let (_, orders) = index(orders_max, OrderKey::Id, 1);
        let mut loads = vec![0usize; orders.lines as usize];
        ids.for_each(|id| loads[(orders.line_of(id) - orders.first) as usize / ORDERS_PER_LINE] += 1);
        loads.into_iter().map(|load| load.min(ORDERS_PER_LINE)).sum()
    }

    /// As many ids as there may be orders, in steps of any size: each has a line of its own or shares it with one.
    #[test]
    fn ids_in_steps_of_any_size_do_not_meet() {
        for (orders_max, first) in [(400, 0), (4_000, 0xE9C6_AC81_0000_0000), (100_000, 1 << 40)] {
            let near = |step| near(orders_max, (0..orders_max as u64).map(|number| first + number * step));
            for step in [1u64, 2, 3, 64, 1_000, 4_096, 1 << 20] {
                assert_eq!(near(step), orders_max, "{first} {step}");
            }
            // So far apart that the rounded inverse shows.
            for step in [1u64 << 32, 1 << 44] {
                assert!(near(step) > orders_max * 85 / 100, "{orders_max} {first} {step}");
            }
        }
    }

    /// Ids as an exchange gives them out, the younger the more of them alive: few lines overflow.
    #[test]
    fn ids_in_order_find_room_among_old_ones() {
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
        let near = near(25_000, alive.iter().copied());
        assert!(near > alive.len() * 97 / 100, "{near}");
    }

    #[test]
    fn lines_are_a_prime_number() {
        // What `tests/steps` crowds its ids by.
        assert_eq!(lines_for(256), 521);
        for orders_max in [1, 2, 3, 90, 4_096, 500_000] {
            let lines = lines_for(orders_max);
            assert!(lines > orders_max * 2 && lines < orders_max * 2 + 300);
            assert!((2..1_000.min(lines)).all(|divisor| !lines.is_multiple_of(divisor)), "{lines}");
        }
    }

    proptest! {
        /// Against a std map, with ids that collide on purpose (the same line, and those beside it).
        #[test]
        fn the_index_equals_a_map(seed: u64, steps in prop::collection::vec((0u64..40, 0u32..3, any::<bool>()), 0..300)) {
            let mut all = index(32, OrderKey::BookSideId, seed);
            let step = u64::from(all.1.lines);
            let mut map: HashMap<(u32, u64), u32> = HashMap::new();
            for (number, book_side, add) in steps {
                let id = number * step + number % 3;
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
            for ((book_side, _), order) in map {
                all.1.remove(all.0.nodes_mut(), book_side, order);
            }
            prop_assert!(all.1.numbers().all(|order| (all.0.order(order).level, all.0.order(order).past) == (0, 0)));
        }
    }
}
