//! A plain matching engine for one share: price, then ranking time, then ranking sequence.
//!
//! Correctness first: ordered maps and queues, no tricks. It is the truth that decoded books are compared with, so it
//! shares no code with them. Knows neither wire, clock nor randomness; tells what happened as [`Change`]s, in order.

use std::collections::{BTreeMap, HashMap, VecDeque};

use book::exchange::auction::{Equilibrium, Interest};
use book::{Nanos, Side};

use super::ticks::{Limits, Milli, NO_PRICE, milli_of, price_of};

/// A resting order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Unique per book and side on one day.
    pub id: u64,
    /// Limit, or [`NO_PRICE`] for a market order (auctions only).
    pub price: Milli,
    /// Quantity shown, in shares; above 0 while the order rests.
    pub visible: u64,
    /// Quantity of a reserve order that is not shown.
    pub hidden: u64,
    /// How much a reserve order shows at a time; 0 = all of it.
    pub display: u64,
    /// Ranking time, Unix nanoseconds.
    pub rank_ns: Nanos,
    /// Ranks orders of one ranking time.
    pub rank_sequence: u32,
}

/// Something that the public feed has to say, in the order in which it has to say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// An order is shown.
    Added {
        /// Its side.
        side: Side,
        /// The order as it stands now.
        order: Order,
    },
    /// A shown order is gone.
    Deleted {
        /// Its side.
        side: Side,
        /// Its id.
        id: u64,
    },
    /// A shown order traded.
    Executed {
        /// Its side.
        side: Side,
        /// Its id.
        id: u64,
        /// Shares.
        quantity: u64,
        /// Its own price.
        own_price: Milli,
        /// Price of the trade.
        price: Milli,
        /// In an auction.
        cross: bool,
    },
    /// A trade that no shown quantity took part in.
    Hidden {
        /// Side of the resting reserve order; [`Side::None`] in auctions.
        side: Side,
        /// Shares.
        quantity: u64,
        /// Price of the trade.
        price: Milli,
        /// In an auction.
        cross: bool,
    },
}

/// What an incoming order did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Shares traded.
    pub quantity: u64,
    /// Price of the last trade; meaningful when `quantity` is above 0.
    pub last_price: Milli,
    /// Levels that were emptied.
    pub levels_emptied: u32,
    /// The next trade would have been outside the circuit breaker's limits.
    pub tripped: bool,
}

/// What an incoming order wants.
#[derive(Clone, Copy, Debug)]
pub struct Aggressor {
    /// Its own side.
    pub side: Side,
    /// Worst price it accepts, or [`NO_PRICE`].
    pub limit: Milli,
    /// Shares, above 0.
    pub quantity: u64,
    /// All trades happen at this price instead of the resting order's (trading at the closing price).
    pub fixed_price: Option<Milli>,
    /// Limits of the circuit breaker.
    pub breaker: Option<Limits>,
}

/// A price level as a reader of the public feed sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelView {
    /// Price.
    pub price: Milli,
    /// Shown shares.
    pub quantity: u64,
    /// Shown orders.
    pub count: u32,
}

#[derive(Debug, Default)]
struct Level {
    orders: VecDeque<Order>,
    visible: u64,
    hidden: u64,
}

/// One side of a book, best price first.
#[derive(Debug)]
struct Queue {
    side: Side,
    /// By [`Queue::key`], so that the first entry is the best on both sides; market orders before all prices.
    levels: BTreeMap<i32, Level>,
    keys: HashMap<u64, i32>,
}

impl Queue {
    fn new(side: Side) -> Self {
        Self { side, levels: BTreeMap::new(), keys: HashMap::new() }
    }

    fn key(&self, price: Milli) -> i32 {
        // OK because a price is positive: its negative exists and is not `NO_PRICE`, the least number.
        if price == NO_PRICE || self.side == Side::Ask { price } else { -price }
    }

    fn price(&self, key: i32) -> Milli {
        if key == NO_PRICE || self.side == Side::Ask { key } else { -key }
    }

    fn best(&self) -> Option<Milli> {
        self.levels.range(NO_PRICE + 1..).next().map(|(&key, _)| self.price(key))
    }

    fn insert(&mut self, order: Order) {
        let key = self.key(order.price);
        self.keys.insert(order.id, key);
        let level = self.levels.entry(key).or_default();
        level.visible += order.visible;
        level.hidden += order.hidden;
        // Almost always the end: only a re-add that kept its rank goes elsewhere.
        let rank = (order.rank_ns, order.rank_sequence);
        let at = if level.orders.back().is_none_or(|last| (last.rank_ns, last.rank_sequence) < rank) {
            level.orders.len()
        } else {
            level.orders.partition_point(|other| (other.rank_ns, other.rank_sequence) < rank)
        };
        level.orders.insert(at, order);
    }

    fn get(&self, id: u64) -> Option<&Order> {
        let level = self.levels.get(self.keys.get(&id)?)?;
        level.orders.iter().find(|order| order.id == id)
    }

    fn remove(&mut self, id: u64) -> Option<Order> {
        let key = self.keys.remove(&id)?;
        let level = self.levels.get_mut(&key)?;
        let at = level.orders.iter().position(|order| order.id == id)?;
        let order = level.orders.remove(at)?;
        level.visible -= order.visible;
        level.hidden -= order.hidden;
        if level.orders.is_empty() {
            self.levels.remove(&key);
        }
        Some(order)
    }

    /// Removes `quantity` from the first order of the side (its shown part first); the order stays in place while
    /// anything is left of it, its shown part refilled.
    fn consume_first(&mut self, quantity: u64) {
        let Some((&key, level)) = self.levels.iter_mut().next() else { return };
        let Some(first) = level.orders.front_mut() else { return };
        let before = (first.visible, first.hidden);
        let rest = (first.visible + first.hidden).saturating_sub(quantity);
        let shown = if first.display == 0 { rest } else { rest.min(first.display) };
        (first.visible, first.hidden) = (shown, rest - shown);
        level.visible = level.visible + first.visible - before.0;
        level.hidden = level.hidden + first.hidden - before.1;
        if rest == 0 {
            self.keys.remove(&first.id);
            level.orders.pop_front();
            if level.orders.is_empty() {
                self.levels.remove(&key);
            }
        }
    }
}

/// The book of one share: everything the exchange knows, shown or not.
#[derive(Debug)]
pub struct Matching {
    bids: Queue,
    asks: Queue,
    next_rank_sequence: u32,
}

impl Default for Matching {
    fn default() -> Self {
        Self { bids: Queue::new(Side::Bid), asks: Queue::new(Side::Ask), next_rank_sequence: 1 }
    }
}

impl Matching {
    fn queue(&self, side: Side) -> &Queue {
        if side == Side::Bid { &self.bids } else { &self.asks }
    }

    fn queue_mut(&mut self, side: Side) -> &mut Queue {
        if side == Side::Bid { &mut self.bids } else { &mut self.asks }
    }

    /// Best limit price of a side.
    #[must_use]
    pub fn best(&self, side: Side) -> Option<Milli> {
        self.queue(side).best()
    }

    /// Shown shares at a price.
    #[must_use]
    pub fn visible_at(&self, side: Side, price: Milli) -> u64 {
        let queue = self.queue(side);
        queue.levels.get(&queue.key(price)).map_or(0, |level| level.visible)
    }

    /// Shares, shown or not, at a price.
    #[must_use]
    pub fn total_at(&self, side: Side, price: Milli) -> u64 {
        let queue = self.queue(side);
        queue.levels.get(&queue.key(price)).map_or(0, |level| level.visible + level.hidden)
    }

    /// Orders of a side.
    #[must_use]
    pub fn count(&self, side: Side) -> usize {
        self.queue(side).keys.len()
    }

    /// An order.
    #[must_use]
    pub fn order(&self, side: Side, id: u64) -> Option<&Order> {
        self.queue(side).get(id)
    }

    /// The order that would trade first.
    #[must_use]
    pub fn first(&self, side: Side) -> Option<&Order> {
        self.queue(side).levels.values().next()?.orders.front()
    }

    /// The order that would trade last.
    #[must_use]
    pub fn last(&self, side: Side) -> Option<&Order> {
        self.queue(side).levels.values().next_back()?.orders.back()
    }

    /// The `place`-th order of the `level`-th level, both counted from 0 and taken modulo what is there among the
    /// best `levels_max` levels; `None` only for an empty side.
    #[must_use]
    pub fn pick(&self, side: Side, level: usize, place: usize, levels_max: usize) -> Option<&Order> {
        let queue = self.queue(side);
        let levels = queue.levels.len().min(levels_max);
        let level = queue.levels.values().nth(level.checked_rem(levels)?)?;
        level.orders.get(place.checked_rem(level.orders.len())?)
    }

    /// The levels of a side, best first; market orders are not among them.
    pub fn levels(&self, side: Side) -> impl Iterator<Item = LevelView> + '_ {
        let queue = self.queue(side);
        queue.levels.range(NO_PRICE + 1..).map(|(&key, level)| LevelView {
            price: queue.price(key),
            quantity: level.visible,
            count: u32::try_from(level.orders.len()).unwrap_or(u32::MAX),
        })
    }

    /// The orders of a side in the order in which they would trade.
    pub fn orders(&self, side: Side) -> impl Iterator<Item = &Order> + '_ {
        self.queue(side).levels.values().flat_map(|level| &level.orders)
    }

    /// Puts an order with a new rank at the end of its level. The caller keeps the sides from crossing where they
    /// must not. Returns it as it stands.
    pub fn insert(&mut self, side: Side, mut order: Order, now_ns: Nanos) -> Order {
        order.rank_ns = now_ns;
        order.rank_sequence = self.next_rank_sequence;
        self.next_rank_sequence += 1;
        self.queue_mut(side).insert(order);
        order
    }

    /// Puts an order back with the rank it carries.
    pub fn insert_ranked(&mut self, side: Side, order: Order) {
        self.queue_mut(side).insert(order);
    }

    /// Takes an order out.
    pub fn remove(&mut self, side: Side, id: u64) -> Option<Order> {
        self.queue_mut(side).remove(id)
    }

    /// Empties both sides.
    pub fn clear(&mut self) {
        for queue in [&mut self.bids, &mut self.asks] {
            queue.levels.clear();
            queue.keys.clear();
        }
    }

    /// Matches an incoming order against the other side, level by level. The rest is the caller's.
    pub fn take(&mut self, aggressor: Aggressor, now_ns: Nanos, changes: &mut Vec<Change>) -> Taken {
        let side = aggressor.side.opposite();
        let mut taken = Taken::default();
        while taken.quantity < aggressor.quantity {
            let Some(price) = self.best(side) else { break };
            let acceptable = match aggressor.side {
                _ if aggressor.limit == NO_PRICE => true,
                Side::Bid => price <= aggressor.limit,
                _ => price >= aggressor.limit,
            };
            if !acceptable {
                break;
            }
            let trade_price = aggressor.fixed_price.unwrap_or(price);
            if aggressor.breaker.is_some_and(|limits| !limits.contains(trade_price)) {
                taken.tripped = true;
                break;
            }
            let wanted = aggressor.quantity - taken.quantity;
            taken.quantity += self.take_level(side, price, trade_price, wanted, now_ns, changes);
            taken.last_price = trade_price;
            if self.total_at(side, price) == 0 {
                taken.levels_emptied += 1;
            }
        }
        taken
    }

    /// Trades up to `wanted` at the best level: all shown quantity in rank order first, then reserves in rank order.
    ///
    /// A reserve order is told as the protocol does: filled in full, E for what it showed and P for what it did not;
    /// filled beyond what it showed, D, P for all of it, A with a new slice; filled exactly by what it showed, E and
    /// A with a new slice. Every new slice gets a new rank.
    fn take_level(
        &mut self,
        side: Side,
        price: Milli,
        trade_price: Milli,
        wanted: u64,
        now_ns: Nanos,
        changes: &mut Vec<Change>,
    ) -> u64 {
        let queue = self.queue_mut(side);
        let key = queue.key(price);
        let Some(level) = queue.levels.get(&key) else { return 0 };
        let mut visible_left = wanted.min(level.visible);
        // Reserves are touched only when all that is shown at the level has traded.
        let mut hidden_left = (wanted - visible_left).min(level.hidden);
        let done = visible_left + hidden_left;
        let mut reserves: Vec<(Order, u64)> = Vec::new();
        while visible_left > 0 {
            let Some(first) = queue.levels.get(&key).and_then(|level| level.orders.front()).copied() else { break };
            let quantity = first.visible.min(visible_left);
            visible_left -= quantity;
            let from_hidden = first.hidden.min(hidden_left);
            hidden_left -= from_hidden;
            if from_hidden > 0 && from_hidden < first.hidden {
                changes.push(Change::Deleted { side, id: first.id });
            } else {
                changes.push(Change::Executed {
                    side,
                    id: first.id,
                    quantity,
                    own_price: price,
                    price: trade_price,
                    cross: false,
                });
            }
            if quantity < first.visible {
                if let Some(level) = queue.levels.get_mut(&key) {
                    level.visible -= quantity;
                    if let Some(order) = level.orders.front_mut() {
                        order.visible -= quantity;
                    }
                }
                break;
            }
            queue.remove(first.id);
            if first.hidden > 0 {
                reserves.push((first, from_hidden));
            }
        }
        for (reserve, from_hidden) in reserves {
            if from_hidden == reserve.hidden {
                changes.push(Change::Hidden { side, quantity: from_hidden, price: trade_price, cross: false });
                continue;
            }
            if from_hidden > 0 {
                let quantity = reserve.visible + from_hidden;
                changes.push(Change::Hidden { side, quantity, price: trade_price, cross: false });
            }
            let rest = reserve.hidden - from_hidden;
            let shown = rest.min(reserve.display.max(1));
            let slice = Order { visible: shown, hidden: rest - shown, ..reserve };
            let slice = self.insert(side, slice, now_ns);
            changes.push(Change::Added { side, order: slice });
        }
        done
    }

    /// What a side offers in an auction.
    #[must_use]
    pub fn interest(&self, side: Side) -> Interest {
        let queue = self.queue(side);
        let mut interest = Interest::default();
        for (&key, level) in &queue.levels {
            let quantity = level.visible + level.hidden;
            match queue.price(key) {
                NO_PRICE => interest.market = quantity,
                price => interest.levels.push((price_of(price), quantity)),
            }
        }
        interest
    }

    /// Matches an auction at its price and shows what is left, when nothing is shown so far.
    ///
    /// Orders that are gone were never shown, so their trades are [`Change::Hidden`]. At most one order is left in
    /// part; if it shows all of itself, it is shown with its quantity before the auction and its trades follow as
    /// executions. Market orders that did not trade are cancelled. What is left is shown best first, bids before
    /// asks, with the ranks it had.
    pub fn uncross(&mut self, at: Option<Equilibrium>, changes: &mut Vec<Change>) -> u64 {
        let mut matches: Vec<(u64, u64, u64)> = Vec::new();
        let mut left = at.map_or(0, |at| at.quantity);
        while left > 0 {
            let (Some(bid), Some(ask)) = (self.first(Side::Bid), self.first(Side::Ask)) else { break };
            let quantity = (bid.visible + bid.hidden).min(ask.visible + ask.hidden).min(left);
            matches.push((bid.id, ask.id, quantity));
            left -= quantity;
            self.bids.consume_first(quantity);
            self.asks.consume_first(quantity);
        }
        let price = at.map_or(NO_PRICE, |at| milli_of(at.price));
        let partial = matches.last().and_then(|&(bid, ask, _)| {
            let shown_whole = |side, id| {
                self.order(side, id).filter(|order| order.display == 0 && order.price != NO_PRICE).map(|_| (side, id))
            };
            shown_whole(Side::Bid, bid).or_else(|| shown_whole(Side::Ask, ask))
        });
        for side in [Side::Bid, Side::Ask] {
            while let Some(order) = self.first(side).filter(|order| order.price == NO_PRICE).map(|order| order.id) {
                self.remove(side, order);
            }
        }
        let of_partial = |&(bid, ask, _): &(u64, u64, u64)| match partial {
            Some((Side::Bid, id)) => id == bid,
            Some((_, id)) => id == ask,
            None => false,
        };
        for &(_, _, quantity) in matches.iter().filter(|found| !of_partial(found)) {
            changes.push(Change::Hidden { side: Side::None, quantity, price, cross: true });
        }
        let executed: u64 = matches.iter().filter(|found| of_partial(found)).map(|found| found.2).sum();
        for side in [Side::Bid, Side::Ask] {
            for order in self.orders(side) {
                let mut order = *order;
                if partial == Some((side, order.id)) {
                    order.visible += executed;
                }
                changes.push(Change::Added { side, order });
            }
        }
        if let Some((side, id)) = partial {
            let own_price = self.order(side, id).map_or(price, |order| order.price);
            for &(_, _, quantity) in matches.iter().filter(|found| of_partial(found)) {
                changes.push(Change::Executed { side, id, quantity, own_price, price, cross: true });
            }
        }
        matches.iter().map(|found| found.2).sum()
    }

    /// Whether best bid and best ask cross or touch.
    #[must_use]
    pub fn is_crossed(&self) -> bool {
        matches!((self.best(Side::Bid), self.best(Side::Ask)), (Some(bid), Some(ask)) if bid >= ask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use book::exchange::auction::equilibrium;

    const BUY: Side = Side::Bid;
    const SELL: Side = Side::Ask;

    fn plain(id: u64, price: Milli, visible: u64) -> Order {
        Order { id, price, visible, hidden: 0, display: 0, rank_ns: 0, rank_sequence: 0 }
    }

    fn reserve(id: u64, price: Milli, visible: u64, hidden: u64) -> Order {
        Order { hidden, display: visible, ..plain(id, price, visible) }
    }

    fn take(matching: &mut Matching, side: Side, limit: Milli, quantity: u64) -> (Taken, String) {
        let mut changes = Vec::new();
        let aggressor = Aggressor { side, limit, quantity, fixed_price: None, breaker: None };
        let taken = matching.take(aggressor, 9, &mut changes);
        (taken, text(&changes))
    }

    fn text(changes: &[Change]) -> String {
        let words = changes.iter().map(|change| match change {
            Change::Added { order, .. } => format!("A{}x{}@{}", order.id, order.visible, order.price),
            Change::Deleted { id, .. } => format!("D{id}"),
            Change::Executed { id, quantity, price, own_price, .. } if price == own_price => {
                format!("E{id}x{quantity}")
            }
            Change::Executed { id, quantity, price, .. } => format!("C{id}x{quantity}@{price}"),
            Change::Hidden { quantity, price, .. } => format!("Px{quantity}@{price}"),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    fn asks(orders: &[Order]) -> Matching {
        let mut matching = Matching::default();
        for (at, &order) in orders.iter().enumerate() {
            matching.insert(SELL, order, at as u64);
        }
        matching
    }

    #[test]
    fn price_comes_before_time_and_the_rest_stays() {
        let mut matching = asks(&[plain(1, 101, 5), plain(2, 100, 5), plain(3, 100, 5), plain(4, 102, 5)]);
        let (taken, changes) = take(&mut matching, BUY, 101, 12);
        assert_eq!(changes, "E2x5 E3x5 E1x2");
        assert_eq!((taken.quantity, taken.last_price, taken.levels_emptied), (12, 101, 1));
        let (taken, changes) = take(&mut matching, BUY, 101, 12);
        assert_eq!((taken.quantity, changes.as_str()), (3, "E1x3"), "102 is beyond the limit");
        assert_eq!(matching.levels(SELL).map(|level| (level.price, level.quantity)).collect::<Vec<_>>(), [(102, 5)]);
    }

    #[test]
    fn a_reserve_is_told_in_the_protocol_s_three_ways() {
        let level = [reserve(1, 100, 10, 90), plain(2, 100, 5)];
        assert_eq!(take(&mut asks(&level), BUY, 100, 4).1, "E1x4");
        assert_eq!(take(&mut asks(&level), BUY, 100, 12).1, "E1x10 E2x2 A1x10@100", "the new slice goes behind");
        assert_eq!(take(&mut asks(&level), BUY, 100, 35).1, "D1 E2x5 Px30@100 A1x10@100");
        assert_eq!(take(&mut asks(&level), BUY, 100, 200).1, "E1x10 E2x5 Px90@100");
        let mut matching = asks(&level);
        take(&mut matching, BUY, 100, 35);
        assert_eq!((matching.visible_at(SELL, 100), matching.total_at(SELL, 100)), (10, 70));
    }

    #[test]
    fn the_breaker_stops_before_the_trade_that_trips_it() {
        let mut matching = asks(&[plain(1, 100, 5), plain(2, 106, 5)]);
        let breaker = Some(Limits { low: 95, high: 105 });
        let mut changes = Vec::new();
        let aggressor = Aggressor { side: BUY, limit: NO_PRICE, quantity: 8, fixed_price: None, breaker };
        let taken = matching.take(aggressor, 9, &mut changes);
        assert!(taken.tripped);
        assert_eq!((taken.quantity, text(&changes)), (5, "E1x5".to_owned()));
    }

    #[test]
    fn at_the_closing_price_a_better_order_trades_at_that_price() {
        let mut matching = asks(&[plain(1, 100, 5), plain(2, 101, 5)]);
        let mut changes = Vec::new();
        let aggressor = Aggressor { side: BUY, limit: 101, quantity: 8, fixed_price: Some(101), breaker: None };
        matching.take(aggressor, 9, &mut changes);
        assert_eq!(text(&changes), "C1x5@101 E2x3");
    }

    #[test]
    fn a_kept_rank_puts_an_order_back_to_its_place() {
        let mut matching = asks(&[plain(1, 100, 5), plain(2, 100, 5), plain(3, 100, 5)]);
        let order = matching.remove(SELL, 2).unwrap();
        matching.insert_ranked(SELL, Order { visible: 3, ..order });
        let order = matching.remove(SELL, 1).unwrap();
        matching.insert(SELL, order, 9);
        assert_eq!(matching.orders(SELL).map(|order| order.id).collect::<Vec<_>>(), [2, 3, 1]);
    }

    #[test]
    fn an_auction_trades_hidden_and_shows_what_is_left() {
        let mut matching = Matching::default();
        for (id, price, quantity) in [(1, 102, 5), (2, 101, 3), (3, 100, 10), (4, 99, 1)] {
            matching.insert(BUY, plain(id, price, quantity), id);
        }
        matching.insert(BUY, plain(5, NO_PRICE, 2), 5);
        for (id, price, quantity) in [(1, 99, 5), (2, 100, 7), (3, 101, 3)] {
            matching.insert(SELL, plain(id, price, quantity), id);
        }
        let at = equilibrium(
            &matching.interest(BUY),
            &matching.interest(SELL),
            price_of(100),
            Limits { low: 90, high: 110 }.prices(),
        );
        assert_eq!(at, Some(Equilibrium { price: price_of(100), quantity: 12, bid: 20, ask: 12 }));
        let mut changes = Vec::new();
        assert_eq!(matching.uncross(at, &mut changes), 12);
        // Market order 2, then 5 at 102, 3 at 101, and 2 of the 10 at 100, which is therefore shown with 10 first.
        assert_eq!(text(&changes), "Px2@100 Px3@100 Px2@100 Px3@100 A3x10@100 A4x1@99 A3x3@101 E3x2");
        assert_eq!(matching.order(BUY, 3).map(|order| order.visible), Some(8));
        assert!(!matching.is_crossed());
    }

    #[test]
    fn a_market_order_left_over_is_cancelled_unseen() {
        let mut matching = asks(&[plain(1, 100, 5)]);
        matching.insert(BUY, plain(1, NO_PRICE, 8), 1);
        let limits = Limits { low: 90, high: 110 };
        let at = equilibrium(&matching.interest(BUY), &matching.interest(SELL), price_of(100), limits.prices());
        let mut changes = Vec::new();
        matching.uncross(at, &mut changes);
        assert_eq!(text(&changes), "Px5@100");
        assert_eq!((matching.count(BUY), matching.count(SELL)), (0, 0));
    }
}
