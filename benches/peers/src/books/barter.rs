//! `barter-data`: its L2 sides. It keeps no orders and takes new level totals, which the adapter adds up in one array
//! per symbol.

use barter_data::books::{Asks, Bids, Level, OrderBookSide};
use rust_decimal::Decimal;

use super::{Order, PeerBook, Top};

/// Ticks of a symbol's window of totals.
const WINDOW: usize = 2_048;
/// One tick in units of 10⁻⁴.
const TICK: u32 = 100;

struct Book {
    bids: OrderBookSide<Bids>,
    asks: OrderBookSide<Asks>,
    /// First tick of the window, set by the first order.
    base: Option<u32>,
    /// Of both sides: books never cross.
    totals: Vec<u64>,
}

/// One per symbol.
pub struct Books(Vec<Book>);

impl Book {
    fn change(&mut self, order: Order, change: impl Fn(u64) -> u64) {
        let tick = order.price / TICK;
        let base = *self.base.get_or_insert_with(|| tick.saturating_sub(WINDOW as u32 / 2));
        // Outside the window nothing happens, and the comparison says so.
        let Some(total) = self.totals.get_mut(tick.wrapping_sub(base) as usize) else { return };
        *total = change(*total);
        let level = Level { price: Decimal::new(i64::from(order.price), 4), amount: Decimal::from(*total) };
        if order.bid {
            self.bids.upsert(&[level]);
        } else {
            self.asks.upsert(&[level]);
        }
    }
}

fn level(level: Option<&Level>) -> Option<(u32, Option<u64>)> {
    let level = level?;
    let price = (level.price * Decimal::from(10_000)).try_into().ok()?;
    Some((price, level.amount.try_into().ok()))
}

impl PeerBook for Books {
    fn new(symbols: usize) -> Self {
        let book = || Book {
            bids: OrderBookSide::default(),
            asks: OrderBookSide::default(),
            base: None,
            totals: vec![0; WINDOW],
        };
        Self((0..symbols).map(|_| book()).collect())
    }

    fn add(&mut self, order: Order) {
        self.0[order.symbol].change(order, |total| total + u64::from(order.shares));
    }

    fn reduce(&mut self, order: Order, taken: u32) {
        self.0[order.symbol].change(order, |total| total - u64::from(taken));
    }

    fn delete(&mut self, order: Order) {
        self.0[order.symbol].change(order, |total| total - u64::from(order.shares));
    }

    fn top(&self, symbol: usize) -> Top {
        let book = &self.0[symbol];
        [level(book.bids.best()), level(book.asks.best())]
    }
}
