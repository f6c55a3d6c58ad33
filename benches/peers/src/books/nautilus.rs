//! `nautilus-model`: its L3 book, one per symbol. The quantity of a level is added up from its orders, because
//! `best_bid_size()` is that of the first order there.

use nautilus_model::data::BookOrder;
use nautilus_model::enums::{BookType, OrderSide};
use nautilus_model::identifiers::InstrumentId;
use nautilus_model::orderbook::{BookLevel, OrderBook};
use nautilus_model::types::{Price, Quantity};

use super::{Order, PeerBook, Top};

/// Raw units (10⁻⁹) of one of 10⁻⁴.
const PRICE_RAW: i64 = 100_000;
/// Raw units of a share.
const SHARE_RAW: u64 = 1_000_000_000;

/// One per symbol.
pub struct Books(Vec<OrderBook>);

fn book_order(order: Order) -> BookOrder {
    let side = if order.bid { OrderSide::Buy } else { OrderSide::Sell };
    let price = Price::from_raw(i64::from(order.price) * PRICE_RAW, 2);
    BookOrder::new(side, price, Quantity::from_raw(u64::from(order.shares) * SHARE_RAW, 0), order.id)
}

fn level(level: Option<&BookLevel>) -> Option<(u32, Option<u64>)> {
    let level = level?;
    let price = u32::try_from(level.price.value.raw / PRICE_RAW).ok()?;
    Some((price, Some(level.size_raw() / SHARE_RAW)))
}

impl PeerBook for Books {
    fn new(symbols: usize) -> Self {
        let id = |symbol: usize| InstrumentId::from(format!("S{symbol:05}.XNAS"));
        Self((0..symbols).map(|symbol| OrderBook::new(id(symbol), BookType::L3_MBO)).collect())
    }

    fn add(&mut self, order: Order) {
        self.0[order.symbol].add(book_order(order), 0, 0, 0.into());
    }

    fn reduce(&mut self, order: Order, _: u32) {
        self.0[order.symbol].update(book_order(order), 0, 0, 0.into());
    }

    fn delete(&mut self, order: Order) {
        self.0[order.symbol].delete(book_order(order), 0, 0, 0.into());
    }

    fn top(&self, symbol: usize) -> Top {
        let book = &self.0[symbol];
        [level(book.bids(Some(1)).next()), level(book.asks(Some(1)).next())]
    }
}
