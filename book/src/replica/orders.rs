//! Every order of one book as a reader keeps it, for snapshots order by order.
//!
//! An order's whole life touches one slot of one table: what it is, and a rank that sorts it among those of its price.
//! Nothing links orders to each other, so the lines that an update needs are known before it is its turn; whoever wants a
//! queue pays for the sorting. Never asks the book how long a queue is: the level's published count says so.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::mem::offset_of;

use super::levels::Levels;
use super::order_slab::{OrderSlab, OrderSlot, SLOTS_MIN, Table};
use crate::memory::prefetch;
use crate::slot::{OrderUpdate, action};
use crate::types::{OrderId, Price, Side};

/// Distance of the ranks of two orders that came one after the other: as many halvings fit between them.
const RANK_STEP: u64 = 1 << 20;

/// An order of the replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderView {
    /// The exchange's number.
    pub order_id: OrderId,
    /// Quantity that is left.
    pub quantity: u64,
}

/// Every order, by side and number. All that a usual update reads or writes stands in the first cache line.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Orders {
    /// Open addressing from a keyed place on, at most half full; as long as a power of two, or empty.
    table: Table,
    /// Key and odd factor of that place: random, so that nobody outside can aim at one.
    key: u64,
    factor: u64,
    last_rank: u64,
    /// Ranks in queue order, of the levels that an order once came into the middle of: few have one.
    ranked: Option<Box<Ranked>>,
    len: u32,
    /// Market orders of each side: they have no level that could tell their number.
    market_orders: [u32; 2],
    /// Orders without quantity: a level of such orders alone is not published, so nobody tells their number either.
    without_quantity: u32,
    /// Where the table lies.
    slab: OrderSlab,
}

const _: () = assert!(offset_of!(Orders, market_orders) <= 64);

/// By side and price.
type Ranked = HashMap<(usize, Price), Vec<u64>>;

impl Orders {
    /// No orders; the table will lie in `slab`.
    pub(super) fn new(slab: OrderSlab) -> Self {
        let random = |n: u8| RandomState::new().hash_one(n);
        Self {
            table: Table::default(),
            key: random(0),
            factor: random(1) | 1,
            last_rank: 0,
            ranked: None,
            len: 0,
            market_orders: [0; 2],
            without_quantity: 0,
            slab,
        }
    }

    /// Where the table lies.
    pub(super) fn slab(&self) -> &OrderSlab {
        &self.slab
    }

    /// Orders of a side, best first; market orders first of all. Sorts them: for snapshots, not for every update.
    pub fn iter(&self, side: Side) -> impl Iterator<Item = (Price, OrderView)> + use<> {
        let of_side = |place: &&OrderSlot| place.rank_side != 0 && place.side() == side.index();
        let mut slots: Vec<OrderSlot> = self.table.iter().filter(of_side).copied().collect();
        if side == Side::Bid {
            // Market orders carry the highest price of all.
            slots.sort_unstable_by_key(|place| (Reverse(place.price), place.rank_side));
        } else {
            slots.sort_unstable_by_key(|place| (place.price.is_some(), place.price, place.rank_side));
        }
        slots
            .into_iter()
            .map(|place| (place.price, OrderView { order_id: OrderId(place.order_id), quantity: place.quantity }))
    }

    /// Number of orders on both sides.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes an update. `levels` are those of its side as they were before it; `None` inside a picture of the book, where
    /// orders come one behind the other and their levels before them.
    #[inline]
    pub(super) fn on_update(&mut self, update: &OrderUpdate, levels: Option<&Levels>) {
        let side = usize::from(update.side != b'B');
        let (found, at) = self.find(side, update.order_id);
        let arrives = update.action == action::ADD || update.action == action::MODIFY || update.quantity == 0;
        if !arrives {
            if found {
                let had = std::mem::replace(&mut self.table[at].quantity, update.quantity);
                if had == 0 {
                    self.without_quantity -= 1;
                }
            }
            return;
        }
        let old = found.then(|| self.table[at]);
        if found {
            self.remove(at);
        }
        if update.position > 0 {
            let price = Price(update.price);
            let stays = old.is_some_and(|old| old.price == price);
            let count = match levels {
                None => 0,
                Some(_) if !price.is_some() => self.market_orders[side],
                Some(levels) => levels.count_at(price).saturating_sub(u32::from(stays)),
            };
            let told = count > 0 || self.without_quantity == 0 || levels.is_none();
            let rank = if update.position > count && told {
                self.rank_behind_all(side, price)
            } else {
                self.rank_among(side, price, update.position as usize - 1)
            };
            let rank_side = rank << 1 | side as u64;
            let new = OrderSlot { order_id: update.order_id, quantity: update.quantity, price, rank_side };
            self.insert(new, (!found).then_some(at));
        }
    }

    pub(super) fn clear(&mut self) {
        self.table.fill(OrderSlot::EMPTY);
        self.len = 0;
        self.last_rank = 0;
        self.market_orders = [0; 2];
        self.without_quantity = 0;
        self.ranked = None;
    }

    /// Starts to load the place of an order.
    #[inline(always)]
    pub(super) fn prefetch(&self, side: usize, order_id: u64) {
        prefetch(&self.table, self.home(side, order_id));
    }

    /// Where the search for an order begins: both halves of a wide product, so that all bits of the number count.
    #[inline(always)]
    fn home(&self, side: usize, order_id: u64) -> usize {
        /// An order may have the number of another on the other side.
        const ASKS: u64 = 0x9E37_79B9_7F4A_7C15;
        let named = order_id ^ self.key ^ (side as u64).wrapping_neg() & ASKS;
        let wide = u128::from(named) * u128::from(self.factor);
        // The first of two places that share a line: both are looked at before another line is.
        ((wide >> 64) as u64 ^ wide as u64) as usize & self.table.len().wrapping_sub(1) & !1
    }

    /// Whether an order is there, and its place, or else the one that it would take.
    #[inline(always)]
    fn find(&self, side: usize, order_id: u64) -> (bool, usize) {
        if self.table.is_empty() {
            return (false, 0);
        }
        let mut at = self.home(side, order_id);
        loop {
            let place = &self.table[at];
            if place.rank_side == 0 {
                return (false, at);
            }
            if place.order_id == order_id && place.side() == side {
                return (true, at);
            }
            at = (at + 1) & (self.table.len() - 1);
        }
    }

    /// `vacant`: where a search for it has just ended.
    #[inline]
    fn insert(&mut self, new: OrderSlot, mut vacant: Option<usize>) {
        if (self.len() + 1) * 2 > self.table.len() {
            self.grow();
            vacant = None;
        }
        let at = vacant.unwrap_or_else(|| self.find(new.side(), new.order_id).1);
        self.table[at] = new;
        self.len += 1;
        if !new.price.is_some() {
            self.market_orders[new.side()] += 1;
        }
        if new.quantity == 0 {
            self.without_quantity += 1;
        }
    }

    #[cold]
    fn grow(&mut self) {
        let slots = (self.table.len() * 2).max(SLOTS_MIN);
        // SAFETY: the handle is in the same struct as the table, which is given back when that is dropped.
        let new = unsafe { self.slab.take(slots) };
        let old = std::mem::replace(&mut self.table, new);
        for &place in old.iter().filter(|place| place.rank_side != 0) {
            let (_, at) = self.find(place.side(), place.order_id);
            self.table[at] = place;
        }
        self.slab.give_back(old);
    }

    /// Takes an order out; those behind it that had to go round it move up, so that no mark of it stays.
    #[inline]
    fn remove(&mut self, at: usize) {
        let mask = self.table.len() - 1;
        let gone = self.table[at];
        let (mut hole, mut next) = (at, (at + 1) & mask);
        while self.table[next].rank_side != 0 {
            let home = self.home(self.table[next].side(), self.table[next].order_id);
            if next.wrapping_sub(home) & mask >= next.wrapping_sub(hole) & mask {
                self.table[hole] = self.table[next];
                hole = next;
            }
            next = (next + 1) & mask;
        }
        self.table[hole] = OrderSlot::EMPTY;
        self.len -= 1;
        if !gone.price.is_some() {
            self.market_orders[gone.side()] -= 1;
        }
        if gone.quantity == 0 {
            self.without_quantity -= 1;
        }
        if self.ranked.is_some() {
            self.forget_rank(&gone);
        }
    }

    #[inline]
    fn rank_behind_all(&mut self, side: usize, price: Price) -> u64 {
        self.last_rank += RANK_STEP;
        if let Some(queue) = self.ranked.as_mut().and_then(|ranked| ranked.get_mut(&(side, price))) {
            queue.push(self.last_rank);
        }
        self.last_rank
    }

    /// A rank for the order that comes to `place` (0 = first) of a queue and moves the rest of it back.
    #[cold]
    fn rank_among(&mut self, side: usize, price: Price, place: usize) -> u64 {
        let known = self.ranked.as_mut().and_then(|ranked| ranked.remove(&(side, price)));
        let mut queue = known.unwrap_or_else(|| self.ranks_of(side, price));
        let place = place.min(queue.len());
        if place < queue.len() && rank_between(&queue, place).is_none() {
            self.spread(side, price, &mut queue);
        }
        let rank = rank_between(&queue, place).unwrap_or_else(|| {
            self.last_rank += RANK_STEP;
            self.last_rank
        });
        queue.insert(place, rank);
        self.ranked.get_or_insert_default().insert((side, price), queue);
        rank
    }

    fn ranks_of(&self, side: usize, price: Price) -> Vec<u64> {
        let of_level = |place: &&OrderSlot| place.rank_side != 0 && place.side() == side && place.price == price;
        let mut ranks: Vec<u64> = self.table.iter().filter(of_level).map(OrderSlot::rank).collect();
        ranks.sort_unstable();
        ranks
    }

    /// Gives the orders of a level ranks that have room between them again.
    fn spread(&mut self, side: usize, price: Price, queue: &mut [u64]) {
        let first = self.last_rank + RANK_STEP;
        for place in self.table.iter_mut() {
            if place.rank_side != 0
                && place.side() == side
                && place.price == price
                && let Ok(at) = queue.binary_search(&place.rank())
            {
                place.rank_side = (first + at as u64 * RANK_STEP) << 1 | side as u64;
            }
        }
        for (at, rank) in queue.iter_mut().enumerate() {
            *rank = first + at as u64 * RANK_STEP;
        }
        self.last_rank = first + queue.len() as u64 * RANK_STEP;
    }

    #[cold]
    fn forget_rank(&mut self, gone: &OrderSlot) {
        let level = (gone.side(), gone.price);
        let Some(ranked) = self.ranked.as_mut() else { return };
        let Some(queue) = ranked.get_mut(&level) else { return };
        if let Ok(at) = queue.binary_search(&gone.rank()) {
            queue.remove(at);
        }
        if queue.is_empty() {
            ranked.remove(&level);
        }
        if ranked.is_empty() {
            self.ranked = None;
        }
    }
}

impl Clone for Orders {
    fn clone(&self) -> Self {
        let mut copy = Self::new(self.slab.clone());
        copy.ranked.clone_from(&self.ranked);
        if !self.table.is_empty() {
            // SAFETY: the handle is in the same struct as the table, which is given back when that is dropped.
            copy.table = unsafe { copy.slab.take(self.table.len()) };
            copy.table.copy_from_slice(&self.table);
        }
        (copy.key, copy.factor, copy.last_rank) = (self.key, self.factor, self.last_rank);
        (copy.len, copy.market_orders, copy.without_quantity) = (self.len, self.market_orders, self.without_quantity);
        copy
    }
}

impl Drop for Orders {
    fn drop(&mut self) {
        self.slab.give_back(std::mem::take(&mut self.table));
    }
}

/// Half way between the order at `place` and the one before it; `None` where there is no such order or no room.
fn rank_between(queue: &[u64], place: usize) -> Option<u64> {
    let low = if place == 0 { 0 } else { queue[place - 1] };
    let high = *queue.get(place)?;
    (high - low > 1).then(|| low + (high - low) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot::rtype;
    use crate::types::Level;
    use proptest::prelude::*;

    fn update(action: u8, side: Side, order_id: u64, price: i64, quantity: u64, position: u32) -> OrderUpdate {
        OrderUpdate {
            length: 16,
            rtype: rtype::ORDER_UPDATE,
            flags: 0,
            side: side as u8,
            book_id: 1,
            exchange_ns: 0,
            seq: 0,
            received_ns: 0,
            order_id,
            price,
            quantity,
            position,
            action,
            reserved: [0; 3],
        }
    }

    /// Queues by price in plain arrays, and the levels that go with them.
    struct Plain {
        side: Side,
        queues: std::collections::BTreeMap<Price, Vec<(u64, u64)>>,
        levels: Levels,
    }

    impl Plain {
        fn publish(&mut self, price: Price) {
            let queue = &self.queues[&price];
            let quantity = queue.iter().map(|&(_, quantity)| quantity).sum();
            self.levels.set(Level { price, quantity, count: queue.len() as u32 });
        }

        fn find(&self, id: u64) -> Option<(Price, usize)> {
            let mut all = self.queues.iter();
            all.find_map(|(&price, queue)| Some((price, queue.iter().position(|&(have, _)| have == id)?)))
        }

        fn all(&self) -> Vec<(Price, u64, u64)> {
            let flat = |(&price, queue): (&Price, &Vec<(u64, u64)>)| {
                queue.iter().map(|&(id, quantity)| (price, id, quantity)).collect::<Vec<_>>()
            };
            let market = self.queues.get_key_value(&Price::NONE).into_iter().flat_map(flat);
            let mut priced: Vec<_> = self.queues.range(..Price::NONE).collect();
            if self.side == Side::Bid {
                priced.reverse();
            }
            market.chain(priced.into_iter().flat_map(flat)).collect()
        }
    }

    fn check(steps: &[(u8, u64, i64, u64, usize)], side: Side) {
        let mut orders = Orders::new(OrderSlab::default());
        let mut plain = Plain { side, queues: Default::default(), levels: Levels::new(side) };
        for &(what, id, price, quantity, place) in steps {
            let price = if price == 0 { Price::NONE } else { Price(price) };
            match (plain.find(id), what) {
                (None, _) => {
                    let queue = plain.queues.entry(price).or_default();
                    let at = if what == 0 { place.min(queue.len()) } else { queue.len() };
                    queue.insert(at, (id, quantity));
                    let update = update(action::ADD, side, id, price.0, quantity, at as u32 + 1);
                    orders.on_update(&update, Some(&plain.levels));
                    plain.publish(price);
                }
                (Some((price, at)), 0 | 1) => {
                    let quantity = quantity + 1; // a fill that leaves nothing takes the order away
                    plain.queues.get_mut(&price).unwrap()[at].1 = quantity;
                    orders.on_update(&update(action::FILL, side, id, price.0, quantity, 0), Some(&plain.levels));
                    plain.publish(price);
                }
                (Some((old, at)), 2) => {
                    plain.queues.get_mut(&old).unwrap().remove(at);
                    let queue = plain.queues.entry(price).or_default();
                    let to = place.min(queue.len());
                    queue.insert(to, (id, quantity));
                    let update = update(action::MODIFY, side, id, price.0, quantity, to as u32 + 1);
                    orders.on_update(&update, Some(&plain.levels));
                    plain.publish(old);
                    plain.publish(price);
                }
                (Some((price, at)), _) => {
                    plain.queues.get_mut(&price).unwrap().remove(at);
                    orders.on_update(&update(action::CANCEL, side, id, price.0, 0, 0), Some(&plain.levels));
                    plain.publish(price);
                }
            }
            let have: Vec<_> = orders.iter(side).map(|(price, of)| (price, of.order_id.0, of.quantity)).collect();
            assert_eq!(have, plain.all());
            assert_eq!(orders.len(), have.len());
            assert_eq!(orders.iter(side.opposite()).count(), 0);
        }
        orders.clear();
        assert_eq!((orders.is_empty(), orders.iter(side).count()), (true, 0));
    }

    proptest! {
        #[test]
        fn queues_equal_plain_ones(
            steps in prop::collection::vec((0u8..5, 0u64..40, 0i64..4, 0u64..9, 0usize..6), 0..300),
            bid in any::<bool>(),
        ) {
            check(&steps, if bid { Side::Bid } else { Side::Ask });
        }
    }

    #[test]
    fn a_queue_that_grows_at_its_front_never_runs_out_of_ranks() {
        let steps: Vec<_> = (0..200).map(|id| (0, id, 1, 1, usize::from(id % 3 == 0))).collect();
        check(&steps, Side::Ask);
    }

    #[test]
    fn a_number_may_stand_on_both_sides_and_in_a_snapshot_orders_come_one_behind_the_other() {
        let mut orders = Orders::new(OrderSlab::default());
        for (side, position) in [(Side::Bid, 1), (Side::Ask, 1), (Side::Bid, 2)] {
            let id = u64::from(position == 2);
            orders.on_update(&update(action::ADD, side, id, 5, u64::from(position), position), None);
        }
        let ids = |side| orders.iter(side).map(|(_, order)| order.order_id.0).collect::<Vec<_>>();
        assert_eq!((ids(Side::Bid), ids(Side::Ask)), (vec![0, 1], vec![0]));
    }

    #[test]
    fn a_copy_is_equal_and_its_own() {
        let mut orders = Orders::new(OrderSlab::default());
        assert_eq!(orders.clone().len(), 0);
        let slot = OrderSlot { order_id: 7, quantity: 5, price: Price(1), rank_side: 2 };
        orders.insert(slot, None);
        let copy = orders.clone();
        orders.clear();
        assert_eq!((orders.len(), copy.len()), (0, 1));
        drop(orders);
        let seen: Vec<_> = copy.iter(Side::Bid).collect();
        assert_eq!(seen, [(Price(1), OrderView { order_id: OrderId(7), quantity: 5 })]);
    }
}
