//! Orders and levels: one pool of 32-byte nodes, linked into queues.
//!
//! A level is the sentinel of its own queue: the queue runs level → first order → … → last order → level. So an order
//! is linked and unlinked without a branch, half a cache line holds all of it, and one look-ahead serves both kinds.
//! Never allocates after construction and never looks an order up: that is the index's work (`orders.rs`).

use std::hint::select_unpredictable;

use zerocopy::FromZeros;

use crate::memory::{prefetch, table};

/// "No node".
pub(crate) const NO_NODE: u32 = u32::MAX;
/// `place` of a node that is not in use, and of every level.
const NOT_AN_ORDER: u32 = u32::MAX;

/// An order or a level.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(32))]
pub(crate) struct Node {
    /// Order: its id. Level: its price, as bits.
    pub key: u64,
    /// Order: visible quantity that is left, 0 only for an undisclosed order. Level: the sum of its orders'.
    pub quantity: u64,
    /// Order: the one before it in the queue, or its level for the first. Level: the last order, or itself.
    pub previous: u32,
    /// Order: the one behind it in the queue, or its level for the last; the next free node while it is free. Level:
    /// the first order, or itself.
    pub next: u32,
    /// Order: its level. Level: how many orders it has.
    pub owner: u32,
    /// Order: dense index of its book × 2 + side.
    pub book_side: u32,
}

const _: () = assert!(size_of::<Node>() == 32 && align_of::<Node>() == 32);

impl Node {
    const fn level(at: u32, price: i64) -> Self {
        Self { key: price as u64, quantity: 0, previous: at, next: at, owner: 0, book_side: NOT_AN_ORDER }
    }

    /// The price of a level.
    #[inline]
    pub const fn price(&self) -> i64 {
        self.key as i64
    }

    /// How many orders a level has.
    #[inline]
    pub const fn count(&self) -> u32 {
        self.owner
    }
}

/// Where an order ranks inside its level: by time, then by sequence number. Of a level: no order of it ranks higher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, FromZeros)]
#[repr(C)]
pub(crate) struct QueueRank {
    pub ns: u64,
    pub sequence: u32,
}

const _: () = assert!(size_of::<QueueRank>() == 16);

/// Before every other.
const FIRST: QueueRank = QueueRank { ns: 0, sequence: 0 };

/// The pool. Nodes of ladders come first, then single levels, then orders.
pub(crate) struct Nodes {
    nodes: Vec<Node>,
    /// Beside each node; all [`FIRST`] until the feed states a rank.
    ranks: Vec<QueueRank>,
    ranked: bool,
    ladder_next: u32,
    levels_first: u32,
    orders_first: u32,
    free_level: u32,
    free_order: u32,
    live: usize,
}

impl Nodes {
    /// `ranked`: the feed is one that states ranks, so that the memory for them is touched now and not with the first.
    ///
    /// # Panics
    /// When a bound is 0, all together do not fit 31 bits, or there is not enough memory.
    pub fn new(ladder_slots: usize, levels_max: usize, orders_max: usize, ranked: bool) -> Self {
        assert!(levels_max > 0, "levels_max must be above 0");
        assert!(orders_max > 0, "orders_max must be above 0");
        let all = ladder_slots.saturating_add(levels_max).saturating_add(orders_max);
        assert!(all < 1 << 31, "ladder_slots + levels_max + orders_max must be below 2^31");
        let mut nodes = Self {
            nodes: table(all, Node::level(0, 0)),
            ranks: if ranked {
                table(all, FIRST)
            } else {
                QueueRank::new_vec_zeroed(all).expect("memory for the ranks of all orders and levels")
            },
            ranked: false,
            ladder_next: 0,
            levels_first: ladder_slots as u32,
            orders_first: (ladder_slots + levels_max) as u32,
            free_level: NO_NODE,
            free_order: NO_NODE,
            live: 0,
        };
        nodes.clear();
        nodes
    }

    /// Forgets all orders and levels.
    pub fn clear(&mut self) {
        let last_level = self.orders_first - 1;
        let last_order = self.nodes.len() as u32 - 1;
        for (at, node) in (0u32..).zip(&mut self.nodes) {
            *node = Node::level(at, 0);
            node.next = if at == last_level || at == last_order { NO_NODE } else { at + 1 };
        }
        if self.ranked {
            self.ranks.fill(FIRST);
        }
        self.ranked = false;
        self.ladder_next = 0;
        self.free_level = self.levels_first;
        self.free_order = self.orders_first;
        self.live = 0;
    }

    /// Orders in use.
    #[inline]
    pub fn live(&self) -> usize {
        self.live
    }

    #[inline]
    pub fn get(&self, at: u32) -> &Node {
        &self.nodes[at as usize]
    }

    #[inline]
    pub fn get_mut(&mut self, at: u32) -> &mut Node {
        &mut self.nodes[at as usize]
    }

    /// Starts to load a node.
    #[inline(always)]
    pub fn prefetch(&self, at: u32) {
        prefetch(&self.nodes, at as usize);
    }

    /// Starts to load the nodes that a change of this one touches: its neighbours and, of an order, its level.
    #[inline(always)]
    pub fn prefetch_around(&self, at: u32) {
        // No branch: any node will do where there is none.
        let node = &self.nodes[(at as usize).min(self.nodes.len() - 1)];
        self.prefetch(node.previous);
        self.prefetch(node.next);
        self.prefetch(node.owner);
    }

    /// Whether `at` is an order in use with that id, and of that book and side as far as `scope_mask` has bits. Any
    /// number may be asked about.
    #[inline(always)]
    pub fn is(&self, at: u32, id: u64, book_side: u32, scope_mask: u32) -> bool {
        self.nodes.get(at as usize).is_some_and(|node| {
            let scope = (node.book_side ^ book_side) & scope_mask;
            (node.key == id) & (scope == 0) & (node.book_side != NOT_AN_ORDER)
        })
    }

    /// A level outside all ladders. `None`: none is left.
    pub fn take_level(&mut self, price: i64) -> Option<u32> {
        let at = self.free_level;
        let node = self.nodes.get_mut(at as usize)?;
        self.free_level = node.next;
        *node = Node::level(at, price);
        Some(at)
    }

    /// Gives a level back that [`Nodes::take_level`] gave.
    pub fn give_level(&mut self, at: u32) {
        self.nodes[at as usize].next = self.free_level;
        self.free_level = at;
    }

    /// `slots` levels in a row; they are never given back. `None`: not so many are left.
    pub fn take_ladder(&mut self, slots: u32) -> Option<u32> {
        let first = self.ladder_next;
        let end = first.checked_add(slots)?;
        (end <= self.levels_first).then(|| self.ladder_next = end)?;
        Some(first)
    }

    /// Makes a node of a ladder an empty level.
    pub fn lay(&mut self, at: u32, price: i64) {
        self.nodes[at as usize] = Node::level(at, price);
        self.ranks[at as usize] = FIRST;
    }

    /// An order, not yet on any level. `None`: none is left.
    #[inline(always)]
    pub fn take_order(&mut self, book_side: u32, id: u64, quantity: u64) -> Option<u32> {
        let at = self.free_order;
        let node = self.nodes.get_mut(at as usize)?;
        self.free_order = node.next;
        *node = Node { key: id, quantity, previous: at, next: at, owner: 0, book_side };
        self.live += 1;
        Some(at)
    }

    /// Gives an order back that is on no level.
    #[inline(always)]
    pub fn give_order(&mut self, at: u32) {
        let node = &mut self.nodes[at as usize];
        node.book_side = NOT_AN_ORDER;
        node.next = self.free_order;
        self.free_order = at;
        self.live -= 1;
    }

    /// Puts an order on a level and behind all others of it; without a rank it has that of the one before it.
    #[inline(always)]
    pub fn push_unranked(&mut self, level: u32, order: u32) {
        if self.ranked {
            let last = self.nodes[level as usize].previous;
            self.ranks[order as usize] = if last == level { FIRST } else { self.ranks[last as usize] };
        }
        self.push_back(level, order);
    }

    /// Puts an order on a level where its rank belongs, behind those of the same rank. Returns how many stand behind
    /// it.
    #[inline(always)]
    pub fn push_ranked(&mut self, level: u32, order: u32, rank: QueueRank) -> u32 {
        self.ranked = true;
        self.ranks[order as usize] = rank;
        // Nearly always it ranks last; the level's own rank knows without a look at the last order's.
        let highest = &mut self.ranks[level as usize];
        if rank >= *highest {
            *highest = rank;
            self.push_back(level, order);
            return 0;
        }
        self.push_before_higher(level, order, rank)
    }

    #[inline(always)]
    fn push_back(&mut self, level: u32, order: u32) {
        let quantity = self.nodes[order as usize].quantity;
        let node = &mut self.nodes[level as usize];
        let last = node.previous;
        node.previous = order;
        node.owner += 1;
        node.quantity = node.quantity.wrapping_add(quantity);
        self.nodes[last as usize].next = order;
        let node = &mut self.nodes[order as usize];
        node.owner = level;
        node.previous = last;
        node.next = level;
    }

    #[cold]
    fn push_before_higher(&mut self, level: u32, order: u32, rank: QueueRank) -> u32 {
        let (mut before, mut behind, mut passed) = (self.nodes[level as usize].previous, level, 0);
        while before != level && self.ranks[before as usize] > rank {
            (behind, before) = (before, self.nodes[before as usize].previous);
            passed += 1;
        }
        self.count_in(level, order);
        let node = &mut self.nodes[order as usize];
        node.previous = before;
        node.next = behind;
        self.nodes[before as usize].next = order;
        self.nodes[behind as usize].previous = order;
        passed
    }

    /// Puts an order on a level without a place in its queue, for levels that only have totals.
    #[inline(always)]
    pub fn count_in(&mut self, level: u32, order: u32) {
        let node = &mut self.nodes[order as usize];
        node.owner = level;
        let quantity = node.quantity;
        let node = &mut self.nodes[level as usize];
        node.owner += 1;
        node.quantity = node.quantity.wrapping_add(quantity);
    }

    /// Takes an order off its level and out of its queue if it has one, and gives it back. `quantity` is what it still
    /// adds to the level. Whether the level has orders left is the caller's to see.
    #[inline(always)]
    pub fn take_off(&mut self, order: u32, quantity: u64, queues: bool) {
        let node = &mut self.nodes[order as usize];
        let (previous, next, level) = (node.previous, node.next, node.owner);
        node.book_side = NOT_AN_ORDER;
        node.next = self.free_order;
        self.free_order = order;
        self.live -= 1;
        if queues {
            self.nodes[previous as usize].next = next;
            self.nodes[next as usize].previous = previous;
        }
        let node = &mut self.nodes[level as usize];
        node.owner -= 1;
        node.quantity = node.quantity.wrapping_sub(quantity);
    }

    /// A level that is `empty` has no highest rank any more.
    #[inline(always)]
    pub fn forget_rank(&mut self, level: u32, empty: bool) {
        if self.ranked {
            let highest = &mut self.ranks[level as usize];
            highest.ns = select_unpredictable(empty, FIRST.ns, highest.ns);
            highest.sequence = select_unpredictable(empty, FIRST.sequence, highest.sequence);
        }
    }

    /// The orders of a level, first to last.
    pub fn queue(&self, level: u32) -> impl Iterator<Item = (u32, &Node)> {
        let mut at = self.get(level).next;
        std::iter::from_fn(move || {
            (at != level).then(|| {
                let (this, node) = (at, self.get(at));
                at = node.next;
                (this, node)
            })
        })
    }

    /// Whether `at` is an order in use of that book.
    pub fn is_of_book(&self, at: u32, dense: u32) -> bool {
        self.nodes.get(at as usize).is_some_and(|node| node.book_side != NOT_AN_ORDER && node.book_side >> 1 == dense)
    }

    /// All nodes, whatever they are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_used_up_pool_refuses() {
        let mut nodes = Nodes::new(4, 1, 2, true);
        let first = nodes.take_order(0, 1, 1).unwrap();
        nodes.take_order(0, 2, 1).unwrap();
        assert_eq!(nodes.take_order(0, 3, 1), None);
        nodes.give_order(first);
        assert_eq!(nodes.take_order(0, 3, 1), Some(first));
        assert!(nodes.take_level(5).is_some());
        assert_eq!(nodes.take_level(6), None);
        assert!(nodes.take_ladder(4).is_some());
        assert_eq!(nodes.take_ladder(1), None);
    }

    #[test]
    fn a_free_node_is_no_order() {
        let mut nodes = Nodes::new(0, 1, 2, true);
        let order = nodes.take_order(3, 7, 1).unwrap();
        assert!(nodes.is(order, 7, 3, u32::MAX) && nodes.is(order, 7, 9, 0));
        assert!(!nodes.is(order, 7, 2, u32::MAX) && !nodes.is(NO_NODE, 7, 3, u32::MAX));
        nodes.give_order(order);
        assert!(!nodes.is(order, 7, 3, u32::MAX) && !nodes.is(order, 7, 3, 0));
    }

    proptest! {
        /// Ranked and unranked orders in and out of one level, against a list that is sorted by insertion.
        #[test]
        fn a_queue_is_ordered_by_rank(steps in prop::collection::vec((any::<bool>(), prop::option::of((1u64..6, 0u32..4)), 0usize..8), 0..60)) {
            let mut nodes = Nodes::new(0, 1, 64, true);
            let level = nodes.take_level(1).unwrap();
            let mut list: Vec<(u32, QueueRank)> = Vec::new();
            for (add, rank, place) in steps {
                if add {
                    let order = nodes.take_order(0, 0, 1).unwrap();
                    match rank {
                        None => {
                            let last = list.last().map_or(FIRST, |&(_, rank)| rank);
                            nodes.push_unranked(level, order);
                            list.push((order, last));
                        }
                        Some((ns, sequence)) => {
                            let rank = QueueRank { ns, sequence };
                            let at = list.iter().rposition(|&(_, have)| have <= rank).map_or(0, |at| at + 1);
                            let behind = nodes.push_ranked(level, order, rank);
                            prop_assert_eq!(behind as usize, list.len() - at);
                            list.insert(at, (order, rank));
                        }
                    }
                } else if !list.is_empty() {
                    let (order, _) = list.remove(place % list.len());
                    nodes.take_off(order, 1, true);
                    nodes.forget_rank(level, list.is_empty());
                }
                let have: Vec<u32> = nodes.queue(level).map(|(at, _)| at).collect();
                let want: Vec<u32> = list.iter().map(|&(at, _)| at).collect();
                prop_assert_eq!(have, want);
                prop_assert_eq!((nodes.get(level).count(), nodes.get(level).quantity), (list.len() as u32, list.len() as u64));
            }
        }
    }
}
