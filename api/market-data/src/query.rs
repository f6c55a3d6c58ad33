//! What the service takes out of the replica: plain copies, made under the lock, formatted after it.
//!
//! Never formats, allocates more than the copy needs, or knows HTTP.

use api_clients::market_data::MoversBy;
use book::candle::{Candle, Interval};
use book::doubt::Doubt;
use book::replica::{BookView, Replica, TradeView};
use book::statistics::Statistics;
use book::tick::TickTable;
use book::types::Level;
use book::{BookId, Nanos, Phase, Price};

use crate::view::View;

/// What stands above every answer about one book.
#[derive(Clone, Debug)]
pub(crate) struct BookHead {
    pub(crate) symbol: String,
    pub(crate) price_decimals: u8,
    pub(crate) phase: Phase,
    pub(crate) in_sync: bool,
    pub(crate) doubt: Option<Doubt>,
    pub(crate) history_incomplete: bool,
    pub(crate) stale: bool,
    pub(crate) epoch: u64,
    pub(crate) seq: u64,
    pub(crate) exchange_ns: Nanos,
    pub(crate) received_ns: Nanos,
}

impl BookHead {
    fn of(replica: &Replica, book: &BookView) -> Self {
        Self {
            symbol: book.definition.symbol.clone(),
            price_decimals: book.definition.price_decimals,
            phase: book.phase,
            in_sync: book.in_sync,
            doubt: book.doubt,
            history_incomplete: book.history_incomplete,
            stale: replica.stale,
            epoch: replica.epoch,
            seq: book.seq,
            exchange_ns: book.exchange_ns,
            received_ns: book.received_ns,
        }
    }
}

/// An instrument.
#[derive(Clone, Debug)]
pub(crate) struct InstrumentCopy {
    pub(crate) head: BookHead,
    pub(crate) name: String,
    pub(crate) isin: String,
    pub(crate) currency: String,
    pub(crate) round_lot: u32,
    pub(crate) product: u8,
    pub(crate) expiration: u32,
    pub(crate) strike: Price,
    pub(crate) underlying: Option<String>,
    pub(crate) short_sell: Option<u8>,
    pub(crate) ticks: TickTable,
    pub(crate) statistics: Statistics,
    pub(crate) state: String,
}

/// The best prices and the day's statistics.
#[derive(Clone, Debug)]
pub(crate) struct QuoteCopy {
    pub(crate) head: BookHead,
    pub(crate) currency: String,
    pub(crate) bid: Option<Level>,
    pub(crate) ask: Option<Level>,
    pub(crate) equilibrium: Option<(Price, u64, u64)>,
    pub(crate) statistics: Statistics,
}

/// The best levels.
#[derive(Clone, Debug)]
pub(crate) struct DepthCopy {
    pub(crate) head: BookHead,
    pub(crate) bids: Vec<Level>,
    pub(crate) asks: Vec<Level>,
    pub(crate) bid_levels: usize,
    pub(crate) ask_levels: usize,
    pub(crate) checksum: u32,
}

/// The last trades, newest first.
#[derive(Clone, Debug)]
pub(crate) struct TradesCopy {
    pub(crate) head: BookHead,
    pub(crate) trades: Vec<TradeView>,
}

/// The last candles, oldest first; the last one may be forming.
#[derive(Clone, Debug)]
pub(crate) struct CandlesCopy {
    pub(crate) head: BookHead,
    pub(crate) closed: Vec<Candle>,
    pub(crate) forming: Option<Candle>,
}

/// A quote of a mover.
#[derive(Clone, Debug)]
pub(crate) struct NamedQuoteCopy {
    /// Long name of the instrument.
    pub(crate) name: String,
    pub(crate) quote: QuoteCopy,
}

/// Greater is further up; `None` keeps the book out of the list.
fn mover_key(by: MoversBy, statistics: &Statistics) -> Option<i128> {
    match by {
        MoversBy::Gainers => statistics.change_basis_points().filter(|&change| change > 0).map(i128::from),
        MoversBy::Losers => statistics.change_basis_points().filter(|&change| change < 0).map(|c| -i128::from(c)),
        MoversBy::Volume => (statistics.volume > 0).then_some(i128::from(statistics.volume)),
        MoversBy::Turnover => (statistics.turnover > 0).then_some(statistics.turnover),
    }
}

/// The instruments of `books`, in their order; books that are gone are left out.
pub(crate) fn instruments(view: &View, books: Vec<BookId>) -> Vec<InstrumentCopy> {
    view.copy(|replica| {
        let instrument = |book: &BookView| {
            let definition = &book.definition;
            InstrumentCopy {
                head: BookHead::of(replica, book),
                name: definition.name.clone(),
                isin: definition.isin.clone(),
                currency: definition.currency.clone(),
                round_lot: definition.round_lot,
                product: definition.product,
                expiration: definition.expiration,
                strike: definition.strike,
                underlying: (definition.underlying_book_id != 0)
                    .then(|| replica.book(BookId(definition.underlying_book_id)))
                    .flatten()
                    .map(|underlying| underlying.definition.ticker().to_owned()),
                short_sell: definition.short_sell,
                ticks: definition.ticks,
                statistics: book.statistics,
                state: book.state.clone(),
            }
        };
        books.iter().filter_map(|&id| replica.book(id)).map(instrument).collect()
    })
}

/// The quotes of `books`, in their order.
pub(crate) fn quotes(view: &View, books: Vec<BookId>) -> Vec<QuoteCopy> {
    view.copy(|replica| books.iter().filter_map(|&id| replica.book(id)).map(|book| quote(replica, book)).collect())
}

fn quote(replica: &Replica, book: &BookView) -> QuoteCopy {
    QuoteCopy {
        head: BookHead::of(replica, book),
        currency: book.definition.currency.clone(),
        bid: book.bids.best().copied(),
        ask: book.asks.best().copied(),
        equilibrium: book
            .auction
            .filter(|auction| auction.price.is_some())
            .map(|auction| (auction.price, auction.bid_quantity, auction.ask_quantity)),
        statistics: book.statistics,
    }
}

/// The best `depth` levels of each side, and the checksum over ten.
pub(crate) fn depth(view: &View, book_id: BookId, depth: usize) -> Option<DepthCopy> {
    view.copy(|replica| {
        let book = replica.book(book_id)?;
        Some(DepthCopy {
            head: BookHead::of(replica, book),
            bids: book.bids.iter().take(depth).copied().collect(),
            asks: book.asks.iter().take(depth).copied().collect(),
            bid_levels: book.bids.len(),
            ask_levels: book.asks.len(),
            checksum: book.checksum(),
        })
    })
}

/// The last `limit` trades.
pub(crate) fn trades(view: &View, book_id: BookId, limit: usize) -> Option<TradesCopy> {
    view.copy(|replica| {
        let book = replica.book(book_id)?;
        let trades = book.trades.iter().rev().take(limit).copied().collect();
        Some(TradesCopy { head: BookHead::of(replica, book), trades })
    })
}

/// The last `limit` candles of `interval`, the forming one among them.
pub(crate) fn candles(view: &View, book_id: BookId, interval: Interval, limit: usize) -> Option<CandlesCopy> {
    view.copy(|replica| {
        let book = replica.book(book_id)?;
        let forming = book.candles.forming(interval).copied();
        let history = &book.closed_candles[interval as usize];
        let room = limit.saturating_sub(usize::from(forming.is_some()));
        let closed = history.range(history.len().saturating_sub(room)..).copied().collect();
        Some(CandlesCopy { head: BookHead::of(replica, book), closed, forming })
    })
}

/// The first `limit` books by `by`; equal ones by symbol, so that the same books give the same list.
pub(crate) fn movers(view: &View, by: MoversBy, limit: usize) -> Vec<NamedQuoteCopy> {
    view.copy(|replica| {
        let mut ranked: Vec<(i128, &BookView)> = replica
            .books()
            .iter()
            .filter(|book| !book.definition.symbol.is_empty())
            .filter_map(|book| Some((mover_key(by, &book.statistics)?, book)))
            .collect();
        let order = |a: &(i128, &BookView), b: &(i128, &BookView)| {
            b.0.cmp(&a.0).then_with(|| a.1.definition.symbol.cmp(&b.1.definition.symbol))
        };
        if ranked.len() > limit && limit > 0 {
            // OK because only the part that is shown needs sorting: linear in the number of books
            ranked.select_nth_unstable_by(limit - 1, order);
            ranked.truncate(limit);
        }
        ranked.sort_unstable_by(order);
        ranked
            .into_iter()
            .map(|(_, book)| NamedQuoteCopy { name: book.definition.name.clone(), quote: quote(replica, book) })
            .collect()
    })
}
