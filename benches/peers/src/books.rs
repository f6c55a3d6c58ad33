//! Decoding and books: a stream in memory, from its first byte to the best level of every symbol.
//!
//! Ours is the product's own path. A peer's book gets its events from `itch5`, the fastest public parser, and what a
//! delete does not state (price, side, shares left) from an array by order number, the cheapest store there is: the
//! figure is the peer's as far as an adapter can make it so. Final best prices must equal the generator's, and the
//! quantities too where a peer keeps them.

use std::ops::ControlFlow;
use std::time::Instant;

use benches::generate::{Format, Stream};
use benches::run::{decode_book, market};
use itch5::messages as itch5_messages;

use crate::measure::{Contestant, Row, interleave, per_message};

#[cfg(feature = "books")]
mod barter;
#[cfg(feature = "books")]
mod hftbacktest;
#[cfg(feature = "books")]
mod nautilus;

/// A resting order, as an event names it. Prices are in units of 10⁻⁴.
#[derive(Clone, Copy, Default)]
#[cfg_attr(not(feature = "books"), allow(dead_code))] // what the books of frameworks read
pub struct Order {
    /// Number.
    pub id: u64,
    /// Symbol, from 0.
    pub symbol: usize,
    /// Bought, not sold.
    pub bid: bool,
    /// Price.
    pub price: u32,
    /// Shares left.
    pub shares: u32,
}

/// Best bid and ask of a symbol, with the quantity where the peer keeps it.
pub type Top = [Option<(u32, Option<u64>)>; 2];

/// What a peer's book is asked to do.
pub trait PeerBook {
    /// Books of so many symbols.
    fn new(symbols: usize) -> Self;
    /// A new order.
    fn add(&mut self, order: Order);
    /// `taken` shares of an order are gone; `order` has what is left, at least one.
    fn reduce(&mut self, order: Order, taken: u32);
    /// An order is gone; `order` has what was left of it.
    fn delete(&mut self, order: Order);
    /// Best levels of a symbol.
    fn top(&self, symbol: usize) -> Top;
}

/// Measures all books.
pub fn run(stream: &Stream, rounds: usize, wanted: &impl Fn(&str) -> bool) -> Vec<Row> {
    let contestants = vec![
        Contestant {
            name: "ours",
            keeps: "all orders in their queues, level totals and counts, statistics, candles; ids hashed and checked",
            run: Box::new(move || {
                let mut market = market(stream, Format::Itch50);
                let start = Instant::now();
                let best = decode_book(&stream.bytes, Format::Itch50, &mut market, stream.best.len());
                let spent = start.elapsed();
                if best == stream.best {
                    Ok(per_message(spent, stream.messages))
                } else {
                    Err("its best levels are not the generator's".to_owned())
                }
            }),
        },
        peer::<Nothing>(stream, "itch5 and the adapter alone", "no book: what the rows below pay for their events"),
        #[cfg(feature = "books")]
        peer::<hftbacktest::Roi>(
            stream,
            "hftbacktest 0.9.4 ROIVector",
            "level totals in a window, orders in a HashMap",
        ),
        #[cfg(feature = "books")]
        peer::<hftbacktest::Hash>(stream, "hftbacktest 0.9.4 HashMap", "level totals and orders in HashMaps"),
        #[cfg(feature = "books")]
        peer::<barter::Books>(stream, "barter-data 0.13.0", "level totals (L2); decimal prices"),
        #[cfg(feature = "books")]
        peer::<nautilus::Books>(stream, "nautilus-model 0.57.0 L3_MBO", "all orders in maps by level"),
    ];
    interleave(contestants, rounds, wanted)
}

fn peer<'a, Book: PeerBook>(stream: &'a Stream, name: &'static str, keeps: &'static str) -> Contestant<'a> {
    let run = move || {
        // Made and touched before the clock starts, as ours is; what a peer cannot be told to reserve grows while it runs.
        let mut driver = Driver::<Book> {
            orders: vec![Order::default(); stream.messages + 1],
            books: Book::new(stream.best.len()),
            unknown: 0,
        };
        let start = Instant::now();
        let parsed = itch5::Parser::new(&stream.bytes).parse_stream(&mut driver);
        let spent = start.elapsed();
        if let Err(error) = parsed {
            return Err(format!("itch5 refused a message: {error:?}"));
        }
        differences::<Book>(&driver, stream).map(|()| per_message(spent, stream.messages))
    };
    Contestant { name, keeps, run: Box::new(run) }
}

fn differences<Book: PeerBook>(driver: &Driver<Book>, stream: &Stream) -> Result<(), String> {
    if driver.unknown > 0 {
        return Err(format!("{} events named an order that was not there", driver.unknown));
    }
    if std::any::type_name::<Book>() == std::any::type_name::<Nothing>() {
        return Ok(());
    }
    for (symbol, expected) in stream.best.iter().enumerate() {
        let found = driver.books.top(symbol);
        let same = found.iter().zip(expected).all(|(found, expected)| match (found, expected) {
            (Some((price, quantity)), Some((expected_price, expected_quantity))) => {
                price == expected_price && quantity.is_none_or(|quantity| quantity == *expected_quantity)
            }
            (None, None) => true,
            _ => false,
        });
        if !same {
            return Err(format!("symbol {symbol} ends at {found:?}, not {expected:?}"));
        }
    }
    Ok(())
}

/// Keeps nothing.
struct Nothing;

impl PeerBook for Nothing {
    fn new(_: usize) -> Self {
        Self
    }

    fn add(&mut self, order: Order) {
        std::hint::black_box(order.price);
    }

    fn reduce(&mut self, order: Order, _: u32) {
        std::hint::black_box(order.price);
    }

    fn delete(&mut self, order: Order) {
        std::hint::black_box(order.price);
    }

    fn top(&self, _: usize) -> Top {
        [None; 2]
    }
}

/// Turns messages into what a book is asked to do.
struct Driver<Book> {
    /// By order number; generated ITCH 5.0 numbers begin at 1 and have no holes.
    orders: Vec<Order>,
    books: Book,
    unknown: usize,
}

impl<Book: PeerBook> Driver<Book> {
    #[inline(always)]
    fn add(&mut self, order: Order) {
        match self.orders.get_mut(order.id as usize) {
            Some(slot) => {
                *slot = order;
                self.books.add(order);
            }
            None => self.unknown += 1,
        }
    }

    #[inline(always)]
    fn take(&mut self, id: u64, shares: u32) {
        let Some(order) = self.orders.get_mut(id as usize).filter(|order| order.shares >= shares) else {
            self.unknown += 1;
            return;
        };
        if order.shares == shares {
            self.books.delete(std::mem::take(order));
        } else {
            order.shares -= shares;
            self.books.reduce(*order, shares);
        }
    }

    #[inline(always)]
    fn remove(&mut self, id: u64) -> Option<Order> {
        let order = self.orders.get_mut(id as usize).filter(|order| order.shares > 0).map(std::mem::take);
        match order {
            Some(order) => self.books.delete(order),
            None => self.unknown += 1,
        }
        order
    }
}

macro_rules! add {
    ($driver:ident, $add:ident) => {
        $driver.add(Order {
            id: $add.order_reference_number(),
            symbol: usize::from($add.stock_locate()).wrapping_sub(1),
            bid: matches!($add.buy_sell_indicator(), itch5_messages::BuySellIndicator::Buy),
            price: $add.price().into_u32(),
            shares: $add.shares(),
        })
    };
}

impl<Book: PeerBook> itch5::MessageHandler for Driver<Book> {
    #[inline(always)]
    fn on_add_order_no_mpid_attribution(&mut self, add: &itch5_messages::AddOrderNoMPIDAttribution) -> ControlFlow<()> {
        add!(self, add);
        ControlFlow::Continue(())
    }

    #[inline(always)]
    fn on_add_order_with_mpid_attribution(
        &mut self,
        add: &itch5_messages::AddOrderWithMPIDAttribution,
    ) -> ControlFlow<()> {
        add!(self, add);
        ControlFlow::Continue(())
    }

    #[inline(always)]
    fn on_order_executed(&mut self, executed: &itch5_messages::OrderExecuted) -> ControlFlow<()> {
        self.take(executed.order_reference_number(), executed.executed_shares());
        ControlFlow::Continue(())
    }

    #[inline(always)]
    fn on_order_executed_with_price(&mut self, executed: &itch5_messages::OrderExecutedWithPrice) -> ControlFlow<()> {
        self.take(executed.order_reference_number(), executed.executed_shares());
        ControlFlow::Continue(())
    }

    #[inline(always)]
    fn on_order_cancel(&mut self, cancel: &itch5_messages::OrderCancel) -> ControlFlow<()> {
        self.take(cancel.order_reference_number(), cancel.cancelled_shares());
        ControlFlow::Continue(())
    }

    #[inline(always)]
    fn on_order_delete(&mut self, delete: &itch5_messages::OrderDelete) -> ControlFlow<()> {
        self.remove(delete.order_reference_number());
        ControlFlow::Continue(())
    }

    #[inline(always)]
    fn on_order_replace(&mut self, replace: &itch5_messages::OrderReplace) -> ControlFlow<()> {
        if let Some(order) = self.remove(replace.original_order_reference_number()) {
            let (id, price) = (replace.new_order_reference_number(), replace.price().into_u32());
            self.add(Order { id, price, shares: replace.shares(), ..order });
        }
        ControlFlow::Continue(())
    }
}
