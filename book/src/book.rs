//! One order book: every order in its queue, every level with its totals.
//!
//! Never allocates, never panics on what a feed says: the answer to nonsense is an [`Anomaly`]. A queue is ordered by
//! ranking time and ranking sequence (BISTECH ITCH 2112, section 1.3 of the public description: price, ranking time,
//! ranking sequence), or by arrival where the feed states no rank.

use crate::anomaly::Anomaly;
use crate::candle::Candles;
use crate::levels::{Grid, LevelIndex, Levels, NO_LEVEL};
use crate::orders::{NO_ORDER, Orders};
use crate::phase::Phase;
use crate::replica::Level;
use crate::slot::{QUANTITY_REST, Slot, Symbol, View};
use crate::statistics::Statistics;
use crate::tick::TickTable;
use crate::types::{BookId, Nanos, OrderId, Price, Side};

/// The memory that all books of a market share.
pub(crate) struct Pools {
    pub orders: Orders,
    pub levels: Levels,
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

/// Rank of an order inside its level.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rank {
    /// Behind all that are there.
    Arrival,
    /// By time, then sequence.
    Stated { ns: u64, sequence: u32 },
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

/// One order book.
pub struct Book {
    pub(crate) id: BookId,
    dense: u32,
    sides: [LevelIndex; 2],
    /// The level of orders without a price, per side.
    market: [u32; 2],
    pub(crate) records: Records,
    pub(crate) ticks: TickTable,
    pub(crate) phase: Phase,
    pub(crate) statistics: Statistics,
    pub(crate) candles: Candles,
    pub(crate) crossed: bool,
    pub(crate) maybe_bad: bool,
    pub(crate) seq: u64,
    pub(crate) exchange_ns: Nanos,
    pub(crate) received_ns: Nanos,
    orders: u32,
}

impl Book {
    pub(crate) fn new(id: BookId, dense: u32) -> Self {
        Self {
            id,
            dense,
            sides: [LevelIndex::new(Side::Bid), LevelIndex::new(Side::Ask)],
            market: [NO_LEVEL; 2],
            records: Records::default(),
            ticks: TickTable::default(),
            phase: Phase::Unknown,
            statistics: Statistics::default(),
            candles: Candles::default(),
            crossed: false,
            maybe_bad: false,
            seq: 0,
            exchange_ns: 0,
            received_ns: 0,
            orders: 0,
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

    /// Forming candles.
    #[must_use]
    pub fn candles(&self) -> &Candles {
        &self.candles
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

    /// Levels with a visible quantity, best first.
    pub(crate) fn levels<'a>(&'a self, pools: &'a Pools, side: Side) -> impl Iterator<Item = Level> + 'a {
        self.sides[side.index()].iter(&pools.levels).map(|level| totals(&pools.levels, level)).filter(|l| l.count > 0)
    }

    /// Orders of a side in queue order, market orders first.
    pub(crate) fn queue<'a>(
        &'a self,
        pools: &'a Pools,
        side: Side,
    ) -> impl Iterator<Item = (Price, OrderId, u64, u32)> + 'a {
        let market = self.market[side.index()];
        let market = (market != NO_LEVEL).then_some(market);
        market.into_iter().chain(self.sides[side.index()].iter(&pools.levels)).flat_map(move |level| {
            let price = Price(pools.levels.get(level).price);
            let mut order = pools.levels.get(level).head;
            let mut place = 0;
            std::iter::from_fn(move || {
                (order != NO_ORDER).then(|| {
                    let slot = pools.orders.get(order);
                    order = slot.next;
                    place += 1;
                    (price, OrderId(slot.id), slot.quantity, place)
                })
            })
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
    #[inline]
    pub(crate) fn add(
        &mut self,
        pools: &mut Pools,
        side: Side,
        id: OrderId,
        price: Price,
        quantity: u64,
        rank: Rank,
    ) -> Result<Touched, Anomaly> {
        let book_side = self.book_side(side);
        let order = pools.orders.insert(book_side, id, quantity).ok_or(Anomaly::OrdersExhausted)?;
        let level = if price.is_some() {
            self.sides[side.index()].find_or_make(&mut pools.levels, price.0)
        } else {
            self.market_level(pools, side)
        };
        let Some(level) = level else {
            pools.orders.remove(order);
            return Err(Anomaly::LevelsExhausted);
        };
        let position = link(pools, order, level, rank);
        self.orders += 1;
        let slot = pools.levels.get_mut(level);
        slot.quantity = slot.quantity.wrapping_add(quantity);
        slot.count += 1;
        let level = totals(&pools.levels, level);
        Ok(Touched { side, order_id: id.0, price, left: quantity, position, level, excess: false, unchanged: false })
    }

    #[cold]
    fn market_level(&mut self, pools: &mut Pools, side: Side) -> Option<u32> {
        let level = &mut self.market[side.index()];
        if *level == NO_LEVEL {
            *level = pools.levels.take(Price::NONE.0)?;
        }
        Some(*level)
    }

    /// Takes `quantity` off an order, all of it for [`QUANTITY_REST`]; an order with nothing left is removed.
    ///
    /// An undisclosed order (quantity 0) stays until it is cancelled in full.
    #[inline]
    pub(crate) fn reduce(&mut self, pools: &mut Pools, order: u32, quantity: u64) -> Touched {
        let slot = pools.orders.get_mut(order);
        let (have, level, id) = (slot.quantity, slot.level, slot.id);
        let side = if slot.book_side & 1 == 0 { Side::Bid } else { Side::Ask };
        let whole = quantity == QUANTITY_REST;
        let taken = quantity.min(have);
        let left = have - taken;
        slot.quantity = left;
        let price = Price(pools.levels.get(level).price);
        let totals_now = if whole || (left == 0 && have > 0) {
            self.unlink(pools, order, side, level, taken)
        } else {
            let slot = pools.levels.get_mut(level);
            slot.quantity = slot.quantity.wrapping_sub(taken);
            totals(&pools.levels, level)
        };
        let excess = !whole && have > 0 && quantity > have;
        let unchanged = have == 0 && !whole;
        Touched { side, order_id: id, price, left, position: 0, level: totals_now, excess, unchanged }
    }

    /// Takes an order out of its queue and out of the pool; `quantity` is what it still adds to its level.
    fn unlink(&mut self, pools: &mut Pools, order: u32, side: Side, level: u32, quantity: u64) -> Level {
        let (previous, next) = {
            let slot = pools.orders.get(order);
            (slot.previous, slot.next)
        };
        if previous != NO_ORDER {
            pools.orders.get_mut(previous).next = next;
        }
        if next != NO_ORDER {
            pools.orders.get_mut(next).previous = previous;
        }
        let slot = pools.levels.get_mut(level);
        if previous == NO_ORDER {
            slot.head = next;
        }
        if next == NO_ORDER {
            slot.tail = previous;
        }
        slot.quantity = slot.quantity.wrapping_sub(quantity);
        slot.count -= 1;
        let empty = slot.count == 0;
        let result = totals(&pools.levels, level);
        pools.orders.remove(order);
        self.orders -= 1;
        if empty {
            if level == self.market[side.index()] {
                self.market[side.index()] = NO_LEVEL;
                pools.levels.give(level);
            } else {
                self.sides[side.index()].on_empty(&mut pools.levels, level);
            }
        }
        result
    }

    /// Removes every order.
    pub(crate) fn clear(&mut self, pools: &mut Pools) {
        for side in [Side::Bid, Side::Ask] {
            loop {
                let market = self.market[side.index()];
                let level =
                    if market != NO_LEVEL { Some(market) } else { self.sides[side.index()].best(&pools.levels) };
                let Some(level) = level else { break };
                let order = pools.levels.get(level).head;
                let quantity = pools.orders.get(order).quantity;
                self.unlink(pools, order, side, level, quantity);
            }
        }
        self.crossed = false;
        self.maybe_bad = false;
    }

    /// Forgets orders and levels without walking them: the caller clears the pools.
    pub(crate) fn forget_orders(&mut self) {
        self.sides.iter_mut().for_each(LevelIndex::reset);
        self.market = [NO_LEVEL; 2];
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
            let _ = side.lay_ladder(&mut pools.levels, grid);
        }
    }

    pub(crate) fn off_ladder(&self, side: Side, price: Price) -> bool {
        let side = &self.sides[side.index()];
        side.has_ladder() && price.is_some() && !side.on_ladder(price.0)
    }

    /// Whether the best bid reaches the best ask.
    #[inline]
    pub(crate) fn is_crossed(&self, pools: &Pools) -> bool {
        let best = |side: usize| self.sides[side].best(&pools.levels).map(|level| pools.levels.get(level).price);
        matches!((best(0), best(1)), (Some(bid), Some(ask)) if bid >= ask)
    }

    /// Panics when links, totals and counts disagree. For tests and simulation only: walks everything.
    pub(crate) fn check_invariants(&self, pools: &Pools) {
        let mut orders = 0;
        for side in [Side::Bid, Side::Ask] {
            let index = &self.sides[side.index()];
            let market = self.market[side.index()];
            for level in index.iter(&pools.levels).chain((market != NO_LEVEL).then_some(market)) {
                let slot = pools.levels.get(level);
                assert!(slot.count > 0, "an indexed level holds orders");
                let (mut quantity, mut count, mut previous, mut order) = (0u64, 0, NO_ORDER, slot.head);
                while order != NO_ORDER {
                    let have = pools.orders.get(order);
                    assert_eq!((have.previous, have.level), (previous, level));
                    assert_eq!(have.book_side, self.book_side(side));
                    quantity = quantity.wrapping_add(have.quantity);
                    count += 1;
                    (previous, order) = (order, have.next);
                }
                assert_eq!((slot.tail, slot.quantity, slot.count), (previous, quantity, count));
                orders += count;
            }
        }
        assert_eq!(orders, self.orders);
    }
}

fn totals(levels: &Levels, level: u32) -> Level {
    let slot = levels.get(level);
    // A level of undisclosed orders only shows nothing: outside it is as if it were not there.
    let count = if slot.quantity == 0 { 0 } else { slot.count };
    Level { price: Price(slot.price), quantity: slot.quantity, count }
}

/// Puts an order into a queue by rank and returns its 1-based place.
#[inline]
fn link(pools: &mut Pools, order: u32, level: u32, rank: Rank) -> u32 {
    let Pools { orders, levels } = pools;
    let slot = levels.get_mut(level);
    let tail = slot.tail;
    let (ns, sequence, mut after) = match rank {
        Rank::Arrival if tail == NO_ORDER => (0, 0, tail),
        Rank::Arrival => (orders.get(tail).rank_ns, orders.get(tail).rank_sequence, tail),
        Rank::Stated { ns, sequence } => (ns, sequence, tail),
    };
    let ahead = |orders: &Orders, have: u32| {
        let have = orders.get(have);
        (have.rank_ns, have.rank_sequence) > (ns, sequence)
    };
    let mut behind = 0;
    while after != NO_ORDER && ahead(orders, after) {
        after = orders.get(after).previous;
        behind += 1;
    }
    let next = if after == NO_ORDER { slot.head } else { orders.get(after).next };
    let this = orders.get_mut(order);
    this.level = level;
    this.rank_ns = ns;
    this.rank_sequence = sequence;
    this.previous = after;
    this.next = next;
    if after == NO_ORDER {
        slot.head = order;
    } else {
        orders.get_mut(after).next = order;
    }
    if next == NO_ORDER {
        slot.tail = order;
    } else {
        orders.get_mut(next).previous = order;
    }
    slot.count + 1 - behind
}
