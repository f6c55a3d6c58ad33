//! One order book: every order in its queue, every level with its totals.
//!
//! Never allocates, never panics on what a feed says: the answer to nonsense is an [`Anomaly`]. A queue is ordered by
//! ranking time and ranking sequence (BISTECH ITCH 2112, section 1.3 of the public description: price, ranking time,
//! ranking sequence), or by arrival where the feed states no rank.

use crate::anomaly::Anomaly;
use crate::candle::Candles;
use crate::doubt::Doubt;
use crate::market::store::Store;
use crate::market::store::ladder::Grid;
use crate::market::store::levels::{LevelIndex, NO_KEY};
use crate::market::store::node::{LevelNode, Node, Nodes as _, OrderNode, SCRATCH};
use crate::market::store::node_pool::{NONE, NodePool, QueueRank};
use crate::memory::prefetch_lines;
use crate::phase::Phase;
use crate::slot::{QUANTITY_REST, Slot, Symbol, View};
use crate::statistics::Statistics;
use crate::tick::TickTable;
use crate::types::{BookId, BookIndex, Level, Nanos, OrderId, Price, Side};

/// Where an order stands, all 1-based.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueuePosition {
    /// Rank of its level (1 = best; market orders stand on a level of their own before all others).
    pub level: u32,
    /// Place in the queue of its level.
    pub in_level: u32,
    /// Place among all orders of its side.
    pub in_side: u32,
}

/// A new order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OrderTerms {
    pub side: Side,
    pub id: u64,
    pub price: Price,
    pub quantity: u64,
    /// Rank inside its level; with sequence 0 none is stated, and it stands behind all that are there.
    pub rank: QueueRank,
}

/// What a change did to an order: for publishing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Touched {
    pub side: Side,
    pub order_id: u64,
    pub price: Price,
    /// Quantity that is left; 0 = gone.
    pub left: u64,
    /// 1-based place in its queue, for an add; else 0.
    pub position: u32,
    /// Totals of the level afterwards.
    pub level: Level,
    /// The wire asked for more than there was.
    pub excess: bool,
    /// An undisclosed order: it shows nothing before and nothing after.
    pub unchanged: bool,
}

/// The last records that define and describe a book, kept for snapshots.
#[derive(Clone, Copy, Default)]
pub(crate) struct Records {
    pub symbol: Option<Slot>,
    pub name: Option<Slot>,
    pub terms: Option<Slot>,
    pub contract: Option<Slot>,
    pub short_sell: Option<Slot>,
    pub state: Option<Slot>,
    pub equilibrium: Option<Slot>,
    pub equilibrium_best: Option<Slot>,
}

impl Records {
    /// Those that are there, definition first.
    pub fn iter(&self) -> impl Iterator<Item = Slot> {
        [self.symbol, self.name, self.terms, self.contract, self.short_sell].into_iter().flatten()
    }

    /// State and auction picture, after the definition.
    pub fn iter_state(&self) -> impl Iterator<Item = Slot> {
        [self.state, self.equilibrium, self.equilibrium_best].into_iter().flatten()
    }
}

/// One order book. What every event touches stands first.
#[repr(C, align(64))]
pub struct Book {
    pub(crate) seq: u64,
    pub(crate) exchange_ns: Nanos,
    pub(crate) received_ns: Nanos,
    /// Keys of the best levels, per side: see [`LevelIndex::best_key`].
    pub(crate) best: [i64; 2],
    pub(crate) id: BookId,
    pub(crate) index: BookIndex,
    pub(crate) orders: u32,
    /// The level of orders without a price, per side.
    market: [u32; 2],
    pub(crate) phase: Phase,
    pub(crate) crossed: bool,
    pub(crate) doubt: Option<Doubt>,
    pub(crate) sides: [LevelIndex; 2],
    pub(crate) statistics: Statistics,
    pub(crate) candles: Candles,
    /// Number of its newest trade of the day among those that are kept; 0: none.
    pub(crate) newest_trade: u64,
    pub(crate) ticks: TickTable,
    pub(crate) records: Records,
}

const _: () = assert!(std::mem::offset_of!(Book, sides) == 64, "the hot part is one cache line, then come the sides");

impl Book {
    pub(crate) fn new(id: BookId, index: BookIndex) -> Self {
        Self {
            seq: 0,
            exchange_ns: 0,
            received_ns: 0,
            best: [NO_KEY; 2],
            id,
            index,
            orders: 0,
            market: [NONE; 2],
            phase: Phase::Unknown,
            crossed: false,
            doubt: None,
            sides: [LevelIndex::new(Side::Bid), LevelIndex::new(Side::Ask)],
            statistics: Statistics::default(),
            candles: Candles::default(),
            newest_trade: 0,
            ticks: TickTable::default(),
            records: Records::default(),
        }
    }

    /// The feed's number of this book.
    #[must_use]
    pub fn id(&self) -> BookId {
        self.id
    }

    /// The exchange's own name, `GARAN.E`; empty before the definition.
    #[must_use]
    pub fn symbol(&self) -> &str {
        let Some(slot) = &self.records.symbol else { return "" };
        let View::Symbol(Symbol { symbol, .. }) = slot.view() else { return "" };
        crate::slot::text(symbol)
    }

    /// Decimals of prices, 0..=9; 2 before the definition.
    #[must_use]
    pub fn price_decimals(&self) -> u8 {
        match self.records.terms.as_ref().map(Slot::view) {
            Some(View::Terms(terms)) => terms.price_decimals.min(Price::DECIMALS),
            _ => 2,
        }
    }

    /// Trading phase.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Statistics of the day.
    #[must_use]
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Tick table of the day.
    #[must_use]
    pub fn ticks(&self) -> &TickTable {
        &self.ticks
    }

    /// Whether an anomaly or a gap may have spoiled it since it was last known to be right.
    #[must_use]
    pub fn maybe_bad(&self) -> bool {
        self.doubt.is_some()
    }

    /// Why it may be wrong: the first cause since it was last known to be right.
    #[must_use]
    pub fn doubt(&self) -> Option<Doubt> {
        self.doubt
    }

    /// Number of resting orders.
    #[must_use]
    pub fn orders(&self) -> u32 {
        self.orders
    }

    /// Whether prices lie on a dense ladder.
    #[must_use]
    pub fn has_ladder(&self) -> bool {
        self.sides[0].has_ladder()
    }

    pub(crate) fn book_side(&self, side: Side) -> u32 {
        book_side(self.index, side.index())
    }

    /// Starts to load what every event of a book touches.
    #[inline(always)]
    pub(crate) fn prefetch(&self) {
        prefetch_lines(self, 1 + self.sides.len());
    }

    /// Starts to load what every trade of a book touches.
    #[inline(always)]
    pub(crate) fn prefetch_trades(&self) {
        prefetch_lines(&self.statistics, (size_of::<Statistics>() + size_of::<Candles>()) / 64 + 1);
    }

    /// Levels with a visible quantity, best first.
    pub(crate) fn levels<'a>(&'a self, store: &'a Store, side: Side) -> impl Iterator<Item = Level> + 'a {
        let levels = self.sides[side.index()].levels(&store.arena);
        levels.map(|level| totals(store.pool.nodes(), level)).filter(|level| level.count > 0)
    }

    /// Orders of a side in queue order, market orders first. None where levels have no queues.
    pub(crate) fn queue<'a>(
        &'a self,
        store: &'a Store,
        side: Side,
    ) -> impl Iterator<Item = (Price, OrderId, u64, u32)> + 'a {
        let queues = self.queues(store, side);
        queues.flat_map(|(price, _, orders)| orders.map(move |(id, quantity, place)| (price, id, quantity, place)))
    }

    /// The same level by level: the price, how many orders, and id, quantity and place of each.
    pub(crate) fn queues<'a>(
        &'a self,
        store: &'a Store,
        side: Side,
    ) -> impl Iterator<Item = (Price, usize, impl Iterator<Item = (OrderId, u64, u32)> + 'a)> + 'a {
        let market = self.market[side.index()];
        let market = (market != NONE).then_some(market);
        let levels = market.into_iter().chain(self.sides[side.index()].levels(&store.arena));
        levels.map(|level| {
            let orders = store.pool.queue(level).zip(1..).map(|(order, place)| {
                let OrderNode { id, quantity, .. } = *store.pool.order(order);
                (OrderId(id), quantity, place)
            });
            let LevelNode { price, count, .. } = *store.pool.level(level);
            (Price(price), count as usize, orders)
        })
    }

    pub(crate) fn position(&self, store: &Store, side: Side, id: OrderId) -> Option<QueuePosition> {
        let mut position = QueuePosition { level: 0, in_level: 0, in_side: 0 };
        for (_, order_id, _, place) in self.queue(store, side) {
            position.level += u32::from(place == 1);
            position.in_level = place;
            position.in_side += 1;
            if order_id == id {
                return Some(position);
            }
        }
        None
    }

    /// Rests a new order, whatever its price and rank. Its name must be free.
    pub(crate) fn add(&mut self, store: &mut Store, new: &OrderTerms) -> Result<Touched, Anomaly> {
        let OrderTerms { side, id, price, quantity, rank } = *new;
        let book_side = self.book_side(side);
        let Store { pool, orders, arena, .. } = store;
        if !orders.has_room() {
            return Err(Anomaly::OrdersExhausted);
        }
        let level = if price.is_some() {
            self.sides[side.index()].find_or_make(pool, arena, price.0, book_side)
        } else {
            self.market_level(pool, side)
        };
        let level = level.ok_or(Anomaly::LevelsExhausted)?;
        let rank = (rank.sequence != 0).then_some(rank);
        let order = orders.insert(pool.nodes_mut(), book_side, id, level, quantity);
        let behind = pool.add(level, order, quantity, rank);
        self.orders += 1;
        self.best[side.index()] = self.sides[side.index()].best_key(arena);
        let position = if pool.has_queues() { pool.count(level) - behind } else { 0 };
        let level = totals(pool.nodes(), level);
        Ok(Touched { side, order_id: id, price, left: quantity, position, level, excess: false, unchanged: false })
    }

    fn market_level(&mut self, pool: &mut NodePool, side: Side) -> Option<u32> {
        let book_side = self.book_side(side);
        let level = &mut self.market[side.index()];
        if *level == NONE {
            *level = pool.take_level(Price::NONE.0, book_side)?;
        }
        Some(*level)
    }

    /// Takes `quantity` off an order, all of it for [`QUANTITY_REST`]; an order with nothing left is removed.
    ///
    /// An undisclosed order (quantity 0) stays until it is cancelled in full.
    pub(crate) fn reduce(&mut self, store: &mut Store, order: u32, quantity: u64) -> Touched {
        let Store { pool, orders, .. } = store;
        let OrderNode { id, level, quantity: have, .. } = *pool.order(order);
        let book_side = pool.level(level).book_side;
        let side = side_of(book_side);
        let whole = quantity == QUANTITY_REST;
        let taken = quantity.min(have);
        let left = have - taken;
        let gone = whole || (left == 0 && have > 0);
        if gone {
            pool.remove(level, order, have);
            orders.remove(pool.nodes_mut(), book_side, order);
            self.orders -= 1;
        } else {
            pool.nodes_mut().lessen(level, order, taken);
        }
        let result = totals(pool.nodes(), level);
        let is_empty = pool.count(level) == 0;
        self.on_less(store, side.index(), level, is_empty);
        let excess = !whole && have > 0 && quantity > have;
        let unchanged = have == 0 && !whole;
        Touched { side, order_id: id, price: result.price, left, position: 0, level: result, excess, unchanged }
    }

    /// Notes that a level lost an order or a part of one; `is_empty`: it was the last.
    #[inline(always)]
    pub(crate) fn on_less(&mut self, store: &mut Store, side: usize, level: u32, is_empty: bool) {
        let index = &mut self.sides[side];
        if store.small & index.has(level) {
            self.best[side] = index.on_less(&mut store.arena, level, is_empty);
        } else if is_empty {
            self.on_empty(store, side, level);
        }
    }

    /// Notes that a level has no order left.
    #[inline(never)]
    fn on_empty(&mut self, store: &mut Store, side: usize, level: u32) {
        let Store { pool, arena, .. } = store;
        if level == self.market[side] {
            self.market[side] = NONE;
            pool.give_level(level);
        } else {
            self.sides[side].on_empty(pool, arena, level);
            self.best[side] = self.sides[side].best_key(arena);
        }
    }

    /// Removes every order. Where there are no queues to walk, this looks at all orders of all books.
    pub(crate) fn clear(&mut self, store: &mut Store) {
        if store.pool.has_queues() {
            self.clear_queues(store);
        } else {
            for order in store.orders.numbers() {
                if self.orders > 0
                    && store.pool.order(order).level != SCRATCH
                    && store.level_of(order).book_side >> 1 == self.index.0
                {
                    self.reduce(store, order, QUANTITY_REST);
                }
            }
        }
        self.crossed = false;
        self.doubt = None;
    }

    fn clear_queues(&mut self, store: &mut Store) {
        for side in [0, 1] {
            while let Some(level) = self.first_level(store, side) {
                // The level may be given back with its last order, and is not looked at again then.
                for _ in 0..store.pool.count(level) {
                    let Some(order) = store.pool.queue(level).next() else { break };
                    self.reduce(store, order, QUANTITY_REST);
                }
            }
        }
    }

    fn first_level(&self, store: &Store, side: usize) -> Option<u32> {
        let market = (self.market[side] != NONE).then_some(self.market[side]);
        market.or_else(|| self.sides[side].levels(&store.arena).next())
    }

    /// Forgets orders and levels without walking them: the caller clears the store.
    pub(crate) fn forget_orders(&mut self) {
        self.sides.iter_mut().for_each(LevelIndex::reset);
        self.best = [NO_KEY; 2];
        self.market = [NONE; 2];
        self.orders = 0;
        self.crossed = false;
        self.doubt = None;
    }

    /// Lays the dense ladder of the tick table as far as there is one; a book with orders keeps what it has.
    ///
    /// Orders that already rest stay in the sorted array, which serves any price: a band that comes late costs speed,
    /// never a level.
    pub(crate) fn lay_ladder(&mut self, store: &mut Store) {
        if self.orders > 0 {
            return;
        }
        for side in [Side::Bid, Side::Ask] {
            let Some(grid) = Grid::of(&self.ticks, side) else { return };
            debug_assert!(grid.slots > 0, "a span holds at least one price");
            let book_side = self.book_side(side);
            // OK because without a ladder the sorted array takes every price.
            let _ = self.sides[side.index()].lay_ladder(&mut store.pool, grid, book_side);
        }
    }

    /// Whether a band was announced and the price lies outside it or off its tick.
    #[inline]
    pub(crate) fn off_ladder(&self, side: Side, price: Price) -> bool {
        price.is_some() & !self.sides[side.index()].fits_band(price.0)
    }

    /// Whether the best bid reaches the best ask.
    pub(crate) fn is_crossed(&self) -> bool {
        keys_cross(self.best)
    }

    /// Panics when links, totals and counts disagree. For tests and simulation only: walks everything.
    pub(crate) fn check_invariants(&self, store: &Store) {
        let Store { pool, arena, .. } = store;
        let mut count = 0;
        for side in [Side::Bid, Side::Ask] {
            let index = &self.sides[side.index()];
            assert_eq!(self.best[side.index()], index.best_key(arena), "the best level is known");
            let market = self.market[side.index()];
            let book_side = self.book_side(side);
            for level in index.levels(arena).chain((market != NONE).then_some(market)) {
                assert!(pool.count(level) > 0, "an indexed level holds orders");
                assert_eq!(pool.level(level).book_side, book_side);
                count += pool.count(level);
                if pool.has_queues() {
                    pool.check_level(level);
                }
                for order in pool.queue(level) {
                    let OrderNode { id, level: of, .. } = *pool.order(order);
                    assert_eq!(store.find(book_side, id), Some(order));
                    assert_eq!(of, level);
                }
            }
        }
        assert_eq!(count, self.orders);
    }
}

/// Index of a book × 2 + side: the scope of an order's name.
#[inline(always)]
pub(crate) const fn book_side(index: BookIndex, side: usize) -> u32 {
    index.0 << 1 | side as u32
}

#[inline(always)]
pub(crate) const fn side_of(book_side: u32) -> Side {
    if book_side & 1 == 0 { Side::Bid } else { Side::Ask }
}

/// Whether the best keys of two sides cross.
#[inline(always)]
pub(crate) const fn keys_cross([bid, ask]: [i64; 2]) -> bool {
    (bid != NO_KEY) & (!bid >= ask)
}

/// Price, visible quantity and order count of a level.
#[inline(always)]
pub(crate) fn totals(nodes: &[Node], level: u32) -> Level {
    let LevelNode { price, quantity, count, .. } = *nodes.level(level);
    // A level of undisclosed orders only shows nothing: outside it is as if it were not there.
    Level { price: Price(price), quantity, count: if quantity == 0 { 0 } else { count } }
}
