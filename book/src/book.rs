//! One order book: every order in its queue, every level with its totals.
//!
//! Never allocates, never panics on what a feed says: the answer to nonsense is an [`Anomaly`]. A queue is ordered by
//! ranking time and ranking sequence (BISTECH ITCH 2112, section 1.3 of the public description: price, ranking time,
//! ranking sequence), or by arrival where the feed states no rank.

use crate::anomaly::Anomaly;
use crate::candle::Candles;
use crate::levels::{Arena, Grid, LevelIndex};
use crate::nodes::{NO_NODE, Nodes, QueueRank};
use crate::orders::{Orders, Tag};
use crate::phase::Phase;
use crate::replica::Level;
use crate::slot::{QUANTITY_REST, Slot, Symbol, View};
use crate::statistics::Statistics;
use crate::tick::TickTable;
use crate::types::{BookId, Nanos, OrderId, Price, Side};

/// The memory that all books of a market share.
pub(crate) struct Pools {
    pub nodes: Nodes,
    pub orders: Orders,
    pub arena: Arena,
    /// Whether orders stand in queues; without, levels have their totals and nothing more.
    pub queues: bool,
}

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

/// A new order, and where the index will keep it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewOrder {
    pub side: Side,
    pub id: u64,
    pub price: Price,
    pub quantity: u64,
    /// Rank inside its level; `None` = behind all that are there.
    pub rank: Option<QueueRank>,
    pub tag: Tag,
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
    pub(crate) id: BookId,
    dense: u32,
    orders: u32,
    /// The level of orders without a price, per side.
    market: [u32; 2],
    pub(crate) phase: Phase,
    pub(crate) crossed: bool,
    pub(crate) maybe_bad: bool,
    sides: [LevelIndex; 2],
    pub(crate) statistics: Statistics,
    pub(crate) candles: Candles,
    pub(crate) ticks: TickTable,
    pub(crate) records: Records,
}

const _: () = assert!(std::mem::offset_of!(Book, sides) == 64, "the hot part is one cache line, then come the sides");

impl Book {
    pub(crate) fn new(id: BookId, dense: u32) -> Self {
        Self {
            seq: 0,
            exchange_ns: 0,
            received_ns: 0,
            id,
            dense,
            orders: 0,
            market: [NO_NODE; 2],
            phase: Phase::Unknown,
            crossed: false,
            maybe_bad: false,
            sides: [LevelIndex::new(Side::Bid), LevelIndex::new(Side::Ask)],
            statistics: Statistics::default(),
            candles: Candles::default(),
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
        self.maybe_bad
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
        self.dense << 1 | side.index() as u32
    }

    /// The level of a price, if it lies on the ladder: for looking ahead.
    #[inline(always)]
    pub(crate) fn on_grid(&self, side: usize, price: i64) -> u32 {
        self.sides[side & 1].on_grid(price)
    }

    /// Levels with a visible quantity, best first.
    pub(crate) fn levels<'a>(&'a self, pools: &'a Pools, side: Side) -> impl Iterator<Item = Level> + 'a {
        let levels = self.sides[side.index()].levels(&pools.arena);
        levels.map(|level| totals(&pools.nodes, level)).filter(|level| level.count > 0)
    }

    /// Orders of a side in queue order, market orders first. None where levels have no queues.
    pub(crate) fn queue<'a>(
        &'a self,
        pools: &'a Pools,
        side: Side,
    ) -> impl Iterator<Item = (Price, OrderId, u64, u32)> + 'a {
        let market = self.market[side.index()];
        let market = (market != NO_NODE).then_some(market);
        let levels = market.into_iter().chain(self.sides[side.index()].levels(&pools.arena));
        levels.filter(|_| pools.queues).flat_map(move |level| {
            let price = Price(pools.nodes.get(level).price());
            let queue = pools.nodes.queue(level).zip(1..);
            queue.map(move |((_, order), place)| (price, OrderId(order.key), order.quantity, place))
        })
    }

    pub(crate) fn position(&self, pools: &Pools, side: Side, id: OrderId) -> Option<QueuePosition> {
        let mut position = QueuePosition { level: 0, in_level: 0, in_side: 0 };
        for (_, order_id, _, place) in self.queue(pools, side) {
            position.level += u32::from(place == 1);
            position.in_level = place;
            position.in_side += 1;
            if order_id == id {
                return Some(position);
            }
        }
        None
    }

    /// Rests a new order. Its name must be free.
    #[inline(always)]
    pub(crate) fn add(&mut self, pools: &mut Pools, new: &NewOrder) -> Result<Touched, Anomaly> {
        let NewOrder { side, id, price, quantity, rank, tag } = *new;
        let Pools { nodes, orders, arena, queues } = pools;
        let order = nodes.take_order(self.dense << 1 | side.index() as u32, id, quantity);
        let order = order.ok_or(Anomaly::OrdersExhausted)?;
        let level = if price.is_some() {
            self.sides[side.index()].find_or_make(nodes, arena, price.0)
        } else {
            self.market_level(nodes, side)
        };
        let Some(level) = level else {
            nodes.give_order(order);
            return Err(Anomaly::LevelsExhausted);
        };
        orders.insert(tag, order);
        let behind = match (*queues, rank) {
            (true, Some(rank)) => nodes.push_ranked(level, order, rank),
            (true, None) => {
                nodes.push_unranked(level, order);
                0
            }
            (false, _) => {
                nodes.count_in(level, order);
                0
            }
        };
        self.orders += 1;
        let position = if *queues { nodes.get(level).count() - behind } else { 0 };
        let level = totals(nodes, level);
        Ok(Touched { side, order_id: id, price, left: quantity, position, level, excess: false, unchanged: false })
    }

    #[cold]
    fn market_level(&mut self, nodes: &mut Nodes, side: Side) -> Option<u32> {
        let level = &mut self.market[side.index()];
        if *level == NO_NODE {
            *level = nodes.take_level(Price::NONE.0)?;
        }
        Some(*level)
    }

    /// Takes `quantity` off an order, all of it for [`QUANTITY_REST`]; an order with nothing left is removed.
    ///
    /// `tag` is the order's in the index. An undisclosed order (quantity 0) stays until it is cancelled in full.
    #[inline(always)]
    pub(crate) fn reduce(&mut self, pools: &mut Pools, order: u32, tag: Tag, quantity: u64) -> Touched {
        let node = pools.nodes.get_mut(order);
        let (have, level, id) = (node.quantity, node.owner, node.key);
        let side = if node.book_side & 1 == 0 { Side::Bid } else { Side::Ask };
        let whole = quantity == QUANTITY_REST;
        let taken = quantity.min(have);
        let left = have - taken;
        node.quantity = left;
        let price = Price(pools.nodes.get(level).price());
        let level = if whole || (left == 0 && have > 0) {
            self.remove(pools, order, tag, side, level, taken)
        } else {
            let node = pools.nodes.get_mut(level);
            node.quantity = node.quantity.wrapping_sub(taken);
            totals(&pools.nodes, level)
        };
        let excess = !whole && have > 0 && quantity > have;
        let unchanged = have == 0 && !whole;
        Touched { side, order_id: id, price, left, position: 0, level, excess, unchanged }
    }

    /// Takes an order out of its queue, the pool and the index; `quantity` is what it still adds to its level.
    #[inline(always)]
    fn remove(&mut self, pools: &mut Pools, order: u32, tag: Tag, side: Side, level: u32, quantity: u64) -> Level {
        let Pools { nodes, orders, arena, queues } = pools;
        nodes.take_off(order, quantity, *queues);
        orders.remove(tag, order);
        self.orders -= 1;
        let result = totals(nodes, level);
        if result.price.is_some() {
            self.sides[side.index()].on_less(nodes, arena, level);
        } else {
            self.on_less_market_orders(nodes, side, level);
        }
        result
    }

    #[cold]
    fn on_less_market_orders(&mut self, nodes: &mut Nodes, side: Side, level: u32) {
        let empty = nodes.get(level).count() == 0;
        nodes.forget_rank(level, empty);
        if empty {
            self.market[side.index()] = NO_NODE;
            nodes.give_level(level);
        }
    }

    /// Removes every order.
    pub(crate) fn clear(&mut self, pools: &mut Pools) {
        if pools.queues {
            for side in [Side::Bid, Side::Ask] {
                while let Some(level) = self.first_level(side) {
                    self.clear_order(pools, pools.nodes.get(level).next);
                }
            }
        } else {
            // Without queues the orders of a book are found by walking all orders of all books: rare, and bounded.
            for order in 0..pools.nodes.len() as u32 {
                if pools.nodes.is_of_book(order, self.dense) {
                    self.clear_order(pools, order);
                }
            }
        }
        self.crossed = false;
        self.maybe_bad = false;
    }

    fn first_level(&self, side: Side) -> Option<u32> {
        let market = self.market[side.index()];
        if market != NO_NODE { Some(market) } else { self.sides[side.index()].best() }
    }

    fn clear_order(&mut self, pools: &mut Pools, order: u32) {
        let node = pools.nodes.get(order);
        let tag = pools.orders.tag(node.book_side, node.key);
        self.reduce(pools, order, tag, QUANTITY_REST);
    }

    /// Forgets orders and levels without walking them: the caller clears the pools.
    pub(crate) fn forget_orders(&mut self) {
        self.sides.iter_mut().for_each(LevelIndex::reset);
        self.market = [NO_NODE; 2];
        self.orders = 0;
        self.crossed = false;
        self.maybe_bad = false;
    }

    /// Lays the dense ladder of the tick table as far as there is one; a book with orders keeps what it has.
    ///
    /// Orders that already rest stay in the sorted array, which serves any price: a band that comes late costs speed,
    /// never a level.
    pub(crate) fn lay_ladder(&mut self, pools: &mut Pools) {
        if self.orders > 0 {
            return;
        }
        let Some(grid) = Grid::of(&self.ticks) else { return };
        debug_assert!(grid.slots() > 0, "a span holds at least one price");
        for side in &mut self.sides {
            // OK because without a ladder the sorted array takes every price.
            let _ = side.lay_ladder(&mut pools.nodes, grid);
        }
    }

    /// Whether a band was announced and the price lies outside it or off its tick.
    #[inline]
    pub(crate) fn off_ladder(&self, side: Side, price: Price) -> bool {
        price.is_some() & !self.sides[side.index()].fits_band(price.0)
    }

    /// Whether the best bid reaches the best ask.
    #[inline]
    pub(crate) fn is_crossed(&self) -> bool {
        LevelIndex::cross(&self.sides[0], &self.sides[1])
    }

    /// Panics when links, totals and counts disagree. For tests and simulation only: walks everything.
    pub(crate) fn check_invariants(&self, pools: &Pools) {
        let mut orders = 0;
        for side in [Side::Bid, Side::Ask] {
            let index = &self.sides[side.index()];
            let market = self.market[side.index()];
            let levels: Vec<u32> = index.levels(&pools.arena).collect();
            assert_eq!(index.best(), levels.first().copied(), "the best level is the first");
            for level in levels.into_iter().chain((market != NO_NODE).then_some(market)) {
                let node = pools.nodes.get(level);
                assert!(node.count() > 0, "an indexed level holds orders");
                orders += node.count();
                if !pools.queues {
                    continue;
                }
                let (mut quantity, mut count, mut previous) = (0u64, 0, level);
                for (order, have) in pools.nodes.queue(level) {
                    assert_eq!((have.previous, have.owner), (previous, level));
                    assert_eq!(have.book_side, self.book_side(side));
                    let tag = pools.orders.tag(have.book_side, have.key);
                    assert_eq!(pools.orders.find(&pools.nodes, tag, have.book_side, have.key), Some(order));
                    quantity = quantity.wrapping_add(have.quantity);
                    count += 1;
                    previous = order;
                }
                assert_eq!((node.previous, node.quantity, node.count()), (previous, quantity, count));
            }
        }
        assert_eq!(orders, self.orders);
    }
}

#[inline]
fn totals(nodes: &Nodes, level: u32) -> Level {
    let node = nodes.get(level);
    // A level of undisclosed orders only shows nothing: outside it is as if it were not there.
    let count = if node.quantity == 0 { 0 } else { node.count() };
    Level { price: Price(node.price()), quantity: node.quantity, count }
}
