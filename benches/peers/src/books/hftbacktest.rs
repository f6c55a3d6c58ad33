//! `hftbacktest`: its L3 depth, one per symbol. `BTreeMarketDepth` is left out: in 0.9.4 its `delete_order` takes the
//! lowest bid for the new best one, so that its answer is wrong.

use hftbacktest::prelude::{HashMapMarketDepth, L3MarketDepth, MarketDepth, ROIVectorMarketDepth};

use super::{Order, PeerBook, Top};

const TICK: f64 = 0.01;
/// Half of a symbol's window around its first price, in money; generated prices stay within 5.12 of their middle.
const WINDOW: f64 = 12.0;

/// Flat vectors around the price.
pub struct Roi(Vec<Option<ROIVectorMarketDepth>>);
/// Hash maps.
pub struct Hash(Vec<HashMapMarketDepth>);

fn money(price: u32) -> f64 {
    f64::from(price) / 10_000.0
}

fn add(depth: &mut impl L3MarketDepth, order: Order) {
    let (price, shares) = (money(order.price), f64::from(order.shares));
    // A refusal leaves the best levels wrong, and the comparison says so.
    if order.bid {
        let _ = depth.add_buy_order(order.id, price, shares, 0);
    } else {
        let _ = depth.add_sell_order(order.id, price, shares, 0);
    }
}

fn reduce(depth: &mut impl L3MarketDepth, order: Order) {
    let _ = depth.modify_order(order.id, money(order.price), f64::from(order.shares), 0);
}

fn delete(depth: &mut impl L3MarketDepth, order: Order) {
    let _ = depth.delete_order(order.id, 0);
}

fn top(depth: &impl MarketDepth) -> Top {
    let level = |tick: i64, quantity: f64| {
        // Ticks of 0.01 in units of 10^-4; an empty side has a tick that is no price.
        let price = u32::try_from(tick).ok().and_then(|tick| tick.checked_mul(100))?;
        (quantity > 0.0).then_some((price, Some(quantity.round() as u64)))
    };
    [level(depth.best_bid_tick(), depth.best_bid_qty()), level(depth.best_ask_tick(), depth.best_ask_qty())]
}

impl PeerBook for Roi {
    fn new(symbols: usize) -> Self {
        Self((0..symbols).map(|_| None).collect())
    }

    fn add(&mut self, order: Order) {
        let depth = self.0[order.symbol].get_or_insert_with(|| {
            let price = money(order.price);
            ROIVectorMarketDepth::new(TICK, 1.0, (price - WINDOW).max(0.0), price + WINDOW)
        });
        add(depth, order);
    }

    fn reduce(&mut self, order: Order, _: u32) {
        if let Some(depth) = &mut self.0[order.symbol] {
            reduce(depth, order);
        }
    }

    fn delete(&mut self, order: Order) {
        if let Some(depth) = &mut self.0[order.symbol] {
            delete(depth, order);
        }
    }

    fn top(&self, symbol: usize) -> Top {
        self.0[symbol].as_ref().map_or([None; 2], top)
    }
}

impl PeerBook for Hash {
    fn new(symbols: usize) -> Self {
        Self((0..symbols).map(|_| HashMapMarketDepth::new(TICK, 1.0)).collect())
    }

    fn add(&mut self, order: Order) {
        add(&mut self.0[order.symbol], order);
    }

    fn reduce(&mut self, order: Order, _: u32) {
        reduce(&mut self.0[order.symbol], order);
    }

    fn delete(&mut self, order: Order) {
        delete(&mut self.0[order.symbol], order);
    }

    fn top(&self, symbol: usize) -> Top {
        top(&self.0[symbol])
    }
}
