//! The plain order book: obviously right, slow, and only there to check the fast one against.
//!
//! Follows the same written policies (what is refused, what is counted) with maps and vectors, and shares no code
//! with `book.rs`, `orders.rs` or `levels.rs`. Never used on a hot path.

use std::collections::{BTreeMap, HashMap};

use crate::anomaly::Anomaly;
use crate::market::OrderKey;
use crate::phase::Phase;
use crate::slot::{OrderEvent, PUBLISHER_XIST, QUANTITY_REST, Slot, View, action, system};
use crate::types::{BookId, Level, OrderId, Price, Side};

/// A resting order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReferenceOrder {
    /// The exchange's number.
    pub id: OrderId,
    /// Price; [`Price::NONE`] for a market order.
    pub price: Price,
    /// Quantity that is left.
    pub quantity: u64,
    rank: (u64, u32),
}

#[derive(Clone, Debug, Default)]
struct ReferenceBook {
    /// Every order of `[bids, asks]`, in priority order.
    sides: [Vec<ReferenceOrder>; 2],
    phase: Phase,
    crossed: bool,
}

/// All books of a feed, the plain way.
#[derive(Debug)]
pub struct ReferenceMarket {
    key: OrderKey,
    books: BTreeMap<BookId, ReferenceBook>,
    anomalies: HashMap<Anomaly, u64>,
    rank: Option<(u32, u64)>,
}

impl ReferenceMarket {
    /// An empty market.
    #[must_use]
    pub fn new(key: OrderKey) -> Self {
        Self { key, books: BTreeMap::new(), anomalies: HashMap::new(), rank: None }
    }

    /// How often something occurred (only the kinds that do not depend on bounds or ladders).
    #[must_use]
    pub fn anomalies(&self, anomaly: Anomaly) -> u64 {
        self.anomalies.get(&anomaly).copied().unwrap_or(0)
    }

    /// Orders of a side in priority order.
    #[must_use]
    pub fn orders(&self, book_id: BookId, side: Side) -> &[ReferenceOrder] {
        self.books.get(&book_id).map_or(&[], |book| &book.sides[side.index()])
    }

    /// Levels of a side, best first: market orders and levels without a visible quantity are left out.
    #[must_use]
    pub fn levels(&self, book_id: BookId, side: Side) -> Vec<Level> {
        let mut levels: Vec<Level> = Vec::new();
        for order in self.orders(book_id, side).iter().filter(|order| order.price.is_some()) {
            match levels.last_mut() {
                Some(level) if level.price == order.price => {
                    level.quantity = level.quantity.wrapping_add(order.quantity);
                    level.count += 1;
                }
                _ => levels.push(Level { price: order.price, quantity: order.quantity, count: 1 }),
            }
        }
        levels.retain(|level| level.quantity > 0);
        levels
    }

    /// Books seen.
    pub fn books(&self) -> impl Iterator<Item = BookId> + '_ {
        self.books.keys().copied()
    }

    fn count(&mut self, anomaly: Anomaly) {
        *self.anomalies.entry(anomaly).or_default() += 1;
    }

    /// Takes one event.
    pub fn apply(&mut self, event: &Slot) {
        let rank = self.rank.take();
        let mut used = false;
        match event.view() {
            View::Order(event) => {
                let side = event.side();
                let (book_id, id) = (BookId(event.book_id), OrderId(event.order_id));
                match event.action {
                    action::ADD => {
                        used = rank.is_some_and(|(book, _)| book == event.book_id);
                        let ns = rank.filter(|_| used).map_or(event.exchange_ns, |(_, ns)| ns);
                        let stated = (event.rank_sequence > 0).then_some((ns, event.rank_sequence));
                        self.add(book_id, side, id, Price(event.price), event.quantity(), stated);
                    }
                    action::CANCEL => {
                        let rest = event.size_high == 0 && event.size == u32::MAX;
                        self.cancel(book_id, side, id, if rest { QUANTITY_REST } else { event.quantity() });
                    }
                    action::MODIFY if self.is_new(event) => {
                        self.add(book_id, side, id, Price(event.price), event.quantity(), None);
                    }
                    action::MODIFY => self.modify(book_id, side, id, Price(event.price), event.quantity()),
                    action::CLEAR => {
                        let book = self.books.entry(book_id).or_default();
                        book.sides = Default::default();
                        book.crossed = false;
                    }
                    _ => self.count(Anomaly::UnknownEvent),
                }
                if rank.is_some() && !used {
                    self.count(Anomaly::StrayRank);
                }
                self.look_for_cross(book_id);
                return;
            }
            View::Execution(event) => {
                let book_id = BookId(event.book_id);
                if let Some((side, at)) = self.named(book_id, event.side(), OrderId(event.order_id)) {
                    self.execute(book_id, side, at, event.quantity);
                }
            }
            View::Replace(event) => {
                let book_id = BookId(event.book_id);
                if let Some((side, at)) = self.named(book_id, event.side(), OrderId(event.order_id)) {
                    self.side(book_id, side).remove(at);
                    self.look_for_cross(book_id);
                    self.add(book_id, side, OrderId(event.other_id), Price(event.price), event.quantity, None);
                }
            }
            View::Rank(event) => self.rank = Some((event.book_id, event.rank_ns)),
            View::State(state) => {
                let book = self.books.entry(BookId(state.book_id)).or_default();
                book.phase = state.phase();
                if book.phase.may_cross() {
                    book.crossed = false;
                }
            }
            View::System(event) if event.code == system::SESSION => {
                self.books.values_mut().for_each(|book| *book = ReferenceBook::default());
            }
            _ => {}
        }
        if rank.is_some() {
            self.count(Anomaly::StrayRank);
        }
        let ids: Vec<BookId> = self.books().collect();
        ids.into_iter().for_each(|book_id| self.look_for_cross(book_id));
    }

    fn side(&mut self, book_id: BookId, side: Side) -> &mut Vec<ReferenceOrder> {
        &mut self.books.entry(book_id).or_default().sides[side.index()]
    }

    /// Side and place of the order that an event names.
    fn find(&self, book_id: BookId, side: Side, id: OrderId) -> Option<(Side, usize)> {
        let sides: &[Side] = match (self.key, side) {
            (OrderKey::BookSideId, Side::Bid) => &[Side::Bid],
            (OrderKey::BookSideId, _) => &[Side::Ask],
            (OrderKey::Id, _) => &[Side::Bid, Side::Ask],
        };
        let found = |side: Side| self.orders(book_id, side).iter().position(|order| order.id == id);
        sides.iter().find_map(|&side| Some((side, found(side)?)))
    }

    fn named(&mut self, book_id: BookId, side: Side, id: OrderId) -> Option<(Side, usize)> {
        if side == Side::None && self.key == OrderKey::BookSideId {
            self.count(Anomaly::NoSide);
            return None;
        }
        let found = self.find(book_id, side, id);
        if found.is_none() {
            self.count(Anomaly::UnknownOrder);
        }
        found
    }

    fn add(&mut self, book_id: BookId, side: Side, id: OrderId, price: Price, quantity: u64, rank: Option<(u64, u32)>) {
        if side == Side::None {
            return self.count(Anomaly::NoSide);
        }
        let taken = match self.key {
            OrderKey::BookSideId => self.find(book_id, side, id).is_some(),
            OrderKey::Id => self.books.values().any(|book| book.sides.iter().flatten().any(|order| order.id == id)),
        };
        if taken {
            return self.count(Anomaly::DuplicateOrder);
        }
        let orders = self.side(book_id, side);
        // Priority of a price: market orders first, then better before worse.
        let key = |price: Price| match (price.is_some(), side) {
            (false, _) => i128::MIN,
            (true, Side::Bid) => -i128::from(price.0),
            (true, _) => i128::from(price.0),
        };
        let last = orders.iter().rev().find(|order| order.price == price).map(|order| order.rank);
        let rank = rank.unwrap_or(last.unwrap_or_default());
        let at = orders.partition_point(|order| (key(order.price), order.rank) <= (key(price), rank));
        orders.insert(at, ReferenceOrder { id, price, quantity, rank });
    }

    fn cancel(&mut self, book_id: BookId, side: Side, id: OrderId, quantity: u64) {
        let Some((side, at)) = self.named(book_id, side, id) else { return };
        let orders = self.side(book_id, side);
        let have = orders[at].quantity;
        if quantity == QUANTITY_REST || (have > 0 && quantity >= have) {
            orders.remove(at);
        } else {
            orders[at].quantity = have.saturating_sub(quantity);
        }
        if quantity != QUANTITY_REST && have > 0 && quantity > have {
            self.count(Anomaly::OverCancel);
        }
    }

    fn execute(&mut self, book_id: BookId, side: Side, at: usize, quantity: u64) {
        // The sentinel for "all that is left" means nothing in an execution: it is just very much.
        let quantity = quantity.min(QUANTITY_REST - 1);
        let orders = self.side(book_id, side);
        let have = orders[at].quantity;
        if have > 0 && quantity >= have {
            orders.remove(at);
        } else {
            orders[at].quantity = have.saturating_sub(quantity);
        }
        if have > 0 && quantity > have {
            self.count(Anomaly::OverExecution);
        }
    }

    /// A modify that states a whole order which nobody added is its add, of publishers that are not ours.
    fn is_new(&self, event: &OrderEvent) -> bool {
        let (book_id, side, id) = (BookId(event.book_id), event.side(), OrderId(event.order_id));
        let is_whole = side != Side::None && Price(event.price).is_some() && event.quantity() > 0;
        is_whole
            && event.publisher_id != PUBLISHER_XIST
            && self.key == OrderKey::BookSideId
            && self.find(book_id, side, id).is_none()
    }

    fn modify(&mut self, book_id: BookId, side: Side, id: OrderId, price: Price, quantity: u64) {
        let Some((side, at)) = self.named(book_id, side, id) else { return };
        let orders = self.side(book_id, side);
        if orders[at].price == price && quantity <= orders[at].quantity && quantity > 0 {
            orders[at].quantity = quantity;
            return;
        }
        orders.remove(at);
        self.look_for_cross(book_id);
        self.add(book_id, side, id, price, quantity, None);
    }

    fn look_for_cross(&mut self, book_id: BookId) {
        let best = |market: &Self, side| {
            market.orders(book_id, side).iter().map(|order| order.price).find(|price| price.is_some())
        };
        let crossed = matches!((best(self, Side::Bid), best(self, Side::Ask)), (Some(bid), Some(ask)) if bid >= ask);
        let Some(book) = self.books.get_mut(&book_id) else { return };
        let began = crossed && !book.crossed && !book.phase.may_cross();
        book.crossed = crossed && (book.crossed || began);
        if began {
            self.count(Anomaly::Crossed);
        }
    }
}
