//! The queries of the market-data service, answered from the view at once.
//!
//! Copies under the view's lock, converts after it ([`View::copy`] lets nothing borrowed out); never waits for anything.

use std::future::ready;

use api_clients::market_data::shapes::{CandleList, FeedSummary, Instrument, Movers, OrderBook, Quote, Quotes, Trades};
use api_clients::market_data::{
    CandleInterval, MarketDataClient, MoversBy, Pending, QuotesQuery, Remarked, SymbolsQuery, bounds,
};
use api_kit::envelope::Page;
use api_kit::error::ApiError;
use api_kit::limits::Limit;
use axum::http::StatusCode;
use book::BookId;
use book::candle::Interval;
use serde_json::json;

use crate::query::{self, BookHead};
use crate::shape;
use crate::view::View;

/// Near matches shown with an unknown symbol.
const NEAR_NAMES_MAX: usize = 5;

/// The service over one view.
pub struct MarketData {
    view: View,
}

type Answer<T> = Result<Remarked<T>, ApiError>;

impl MarketData {
    /// The service over `view`.
    #[must_use]
    pub fn new(view: View) -> Self {
        Self { view }
    }

    /// What the view keeps, and the most that one query may ask for.
    #[must_use]
    pub fn limits(&self) -> Vec<Limit> {
        let meaning = "per symbol; older ones are not answered";
        let kept = self.view.options();
        let mut limits = bounds::limits();
        limits.push(Limit::of("view.trades_kept", kept.trades_max, "trades", meaning));
        limits.push(Limit::of("view.candles_kept", kept.candles_max, "candles of each interval", meaning));
        limits
    }

    fn book(&self, symbol: &str) -> Result<BookId, ApiError> {
        let directory = self.view.directory();
        directory.find(symbol).ok_or_else(|| symbol_not_found(symbol, directory.near(symbol, NEAR_NAMES_MAX)))
    }

    fn symbols_now(&self, query: &SymbolsQuery) -> Answer<Page<Instrument>> {
        let limit = query.limit.min(bounds::SYMBOLS_PAGE_MAX);
        let directory = self.view.directory();
        let found: Vec<BookId> = directory.search(&query.search).map(|entry| entry.book_id).collect();
        let page = found.iter().skip(query.offset).take(limit).copied().collect();
        let items = query::instruments(&self.view, page).into_iter().map(Instrument::from).collect();
        Ok(Remarked::plain(Page { items, total: found.len(), offset: query.offset, limit }))
    }

    fn symbol_now(&self, symbol: &str) -> Answer<Instrument> {
        let copy = query::instruments(&self.view, vec![self.book(symbol)?]).pop().ok_or_else(gone)?;
        let remark = remark(&copy.head);
        Ok(Remarked { data: copy.into(), remark })
    }

    fn quote_now(&self, symbol: &str) -> Answer<Quote> {
        let copy = query::quotes(&self.view, vec![self.book(symbol)?]).pop().ok_or_else(gone)?;
        let remark = remark(&copy.head);
        Ok(Remarked { data: copy.into(), remark })
    }

    fn quotes_now(&self, query: QuotesQuery) -> Answer<Quotes> {
        let directory = self.view.directory();
        let mut not_found = Vec::new();
        let mut books = Vec::new();
        let (total, offset, limit) = match query {
            QuotesQuery::Named(mut names) => {
                names.truncate(bounds::QUOTES_PAGE_MAX);
                for name in &names {
                    match directory.find(name) {
                        Some(book_id) if !books.contains(&book_id) => books.push(book_id),
                        Some(_) => {}
                        None => not_found.push(name.clone()),
                    }
                }
                if let (true, Some(name)) = (books.is_empty(), names.first()) {
                    return Err(symbol_not_found(name, directory.near(name, NEAR_NAMES_MAX)));
                }
                (books.len(), 0, bounds::QUOTES_PAGE_MAX)
            }
            QuotesQuery::Page { offset, limit } => {
                let limit = limit.min(bounds::QUOTES_PAGE_MAX);
                books.extend(directory.entries().iter().skip(offset).take(limit).map(|entry| entry.book_id));
                (directory.entries().len(), offset, limit)
            }
        };
        let items = query::quotes(&self.view, books).into_iter().map(Quote::from).collect();
        Ok(Remarked::plain(Quotes { items, not_found, total, offset, limit }))
    }

    fn orderbook_now(&self, symbol: &str, depth: usize) -> Answer<OrderBook> {
        let depth = depth.min(bounds::DEPTH_MAX);
        let copy = query::depth(&self.view, self.book(symbol)?, depth).ok_or_else(gone)?;
        let remark = remark(&copy.head);
        Ok(Remarked { data: copy.into(), remark })
    }

    fn trades_now(&self, symbol: &str, limit: usize) -> Answer<Trades> {
        let limit = limit.min(bounds::TRADES_MAX);
        let copy = query::trades(&self.view, self.book(symbol)?, limit).ok_or_else(gone)?;
        let remark = remark(&copy.head);
        Ok(Remarked { data: copy.into(), remark })
    }

    fn candles_now(&self, symbol: &str, interval: CandleInterval, limit: usize) -> Answer<CandleList> {
        let limit = limit.min(bounds::CANDLES_MAX);
        let copy = query::candles(&self.view, self.book(symbol)?, book_interval(interval), limit).ok_or_else(gone)?;
        let remark = remark(&copy.head);
        Ok(Remarked { data: shape::candle_list(copy, interval), remark })
    }

    fn movers_now(&self, by: MoversBy, limit: usize) -> Answer<Movers> {
        let copies = query::movers(&self.view, by, limit.min(bounds::MOVERS_MAX));
        let items = copies.into_iter().map(shape::named_quote).collect();
        Ok(Remarked::plain(Movers { by: by.name(), items }))
    }

    fn summary_now(&self) -> Answer<FeedSummary> {
        let summary = self.view.summary();
        Ok(Remarked::plain(FeedSummary {
            epoch: summary.epoch,
            seq: summary.seq,
            stale: summary.stale,
            day_over: summary.day_over,
            books: summary.books,
            in_sync: summary.in_sync,
            maybe_bad: summary.maybe_bad,
        }))
    }
}

/// Everything is in memory: each answer is there before it is waited for.
impl MarketDataClient for MarketData {
    fn symbols<'a>(&'a self, query: SymbolsQuery) -> Pending<'a, Page<Instrument>> {
        Box::pin(ready(self.symbols_now(&query)))
    }

    fn symbol<'a>(&'a self, symbol: &'a str) -> Pending<'a, Instrument> {
        Box::pin(ready(self.symbol_now(symbol)))
    }

    fn quote<'a>(&'a self, symbol: &'a str) -> Pending<'a, Quote> {
        Box::pin(ready(self.quote_now(symbol)))
    }

    fn quotes<'a>(&'a self, query: QuotesQuery) -> Pending<'a, Quotes> {
        Box::pin(ready(self.quotes_now(query)))
    }

    fn orderbook<'a>(&'a self, symbol: &'a str, depth: usize) -> Pending<'a, OrderBook> {
        Box::pin(ready(self.orderbook_now(symbol, depth)))
    }

    fn trades<'a>(&'a self, symbol: &'a str, limit: usize) -> Pending<'a, Trades> {
        Box::pin(ready(self.trades_now(symbol, limit)))
    }

    fn candles<'a>(&'a self, symbol: &'a str, interval: CandleInterval, limit: usize) -> Pending<'a, CandleList> {
        Box::pin(ready(self.candles_now(symbol, interval, limit)))
    }

    fn movers<'a>(&'a self, by: MoversBy, limit: usize) -> Pending<'a, Movers> {
        Box::pin(ready(self.movers_now(by, limit)))
    }

    fn summary<'a>(&'a self) -> Pending<'a, FeedSummary> {
        Box::pin(ready(self.summary_now()))
    }
}

fn book_interval(interval: CandleInterval) -> Interval {
    match interval {
        CandleInterval::Second => Interval::Second,
        CandleInterval::Minute => Interval::Minute,
        CandleInterval::Hour => Interval::Hour,
        CandleInterval::Day => Interval::Day,
    }
}

fn symbol_not_found(symbol: &str, near: Vec<String>) -> ApiError {
    ApiError {
        details: json!({ "symbol": symbol, "near": near }),
        ..ApiError::new(StatusCode::NOT_FOUND, "SYMBOL_NOT_FOUND", format!("no symbol is called {symbol}"))
    }
}

/// The book was there a moment ago; the feed can only have begun anew.
fn gone() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "SYMBOL_NOT_FOUND", "the symbol has just gone; try again")
}

/// What a person should know before trusting the data; `None` when all is well.
fn remark(head: &BookHead) -> Option<String> {
    if !head.in_sync {
        Some("no whole snapshot of this book has come yet".to_owned())
    } else if head.stale {
        Some("the feed is stale: nothing has come for too long".to_owned())
    } else {
        head.doubt.map(|doubt| format!("{}: the book may be wrong until the exchange's next session", doubt.words()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_has_one_name_inside_and_outside() {
        assert_eq!(CandleInterval::ALL.len(), Interval::ALL.len());
        for &interval in CandleInterval::ALL {
            assert_eq!(book_interval(interval).name(), interval.name());
        }
    }
}
