//! The client of the market-data service: what may be asked, in types.
//!
//! Never asks anything itself.

pub mod bounds;
pub mod rest;
pub mod shapes;

use std::pin::Pin;

use api_kit::envelope::Page;
use api_kit::error::ApiError;

use shapes::{CandleList, FeedSummary, Instrument, Movers, OrderBook, Quote, Quotes, Trades};

/// An answer, and what a person should know before trusting it.
#[derive(Clone, Debug)]
pub struct Remarked<T> {
    /// The answer.
    pub data: T,
    /// E.g. that the feed is stale; `None` when all is well.
    pub remark: Option<String>,
}

impl<T> Remarked<T> {
    /// An answer that needs no remark.
    pub fn plain(data: T) -> Self {
        Self { data, remark: None }
    }
}

/// An answer on its way. In one process it is there at once.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<Remarked<T>, ApiError>> + Send + 'a>>;

/// The queries of the market-data service.
///
/// A `symbol` is a ticker or the exchange's own name, in any case; an unknown one is the error `SYMBOL_NOT_FOUND` with
/// near names. Counts above [`bounds`] are answered as if they were at the bound.
pub trait MarketDataClient: Send + Sync {
    /// One page of the instruments, sorted by ticker.
    fn symbols<'a>(&'a self, query: SymbolsQuery) -> Pending<'a, Page<Instrument>>;

    /// One instrument.
    fn symbol<'a>(&'a self, symbol: &'a str) -> Pending<'a, Instrument>;

    /// The best prices and the day of one symbol.
    fn quote<'a>(&'a self, symbol: &'a str) -> Pending<'a, Quote>;

    /// The quotes of several symbols, taken at one moment.
    fn quotes<'a>(&'a self, query: QuotesQuery) -> Pending<'a, Quotes>;

    /// The best `depth` levels of each side.
    fn orderbook<'a>(&'a self, symbol: &'a str, depth: usize) -> Pending<'a, OrderBook>;

    /// The last `limit` trades, newest first.
    fn trades<'a>(&'a self, symbol: &'a str, limit: usize) -> Pending<'a, Trades>;

    /// The last `limit` candles, oldest first.
    fn candles<'a>(&'a self, symbol: &'a str, interval: CandleInterval, limit: usize) -> Pending<'a, CandleList>;

    /// The first `limit` symbols by `by`.
    fn movers<'a>(&'a self, by: MoversBy, limit: usize) -> Pending<'a, Movers>;

    /// The whole feed in a few numbers.
    fn summary<'a>(&'a self) -> Pending<'a, FeedSummary>;
}

/// Which instruments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SymbolsQuery {
    /// Part of ticker, exchange's name, long name or ISIN; empty = all.
    pub search: String,
    /// Instruments to skip.
    pub offset: usize,
    /// Instruments of a page.
    pub limit: usize,
}

/// Which quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuotesQuery {
    /// Those of these names, in this order; unknown ones are listed in the answer.
    Named(Vec<String>),
    /// One page of all.
    Page {
        /// Quotes to skip.
        offset: usize,
        /// Quotes of a page.
        limit: usize,
    },
}

api_kit::named_enum! {
    /// How long a candle is.
    CandleInterval {
        /// A second.
        Second = "1s",
        /// A minute.
        Minute = "1m",
        /// An hour.
        Hour = "1h",
        /// A day of Istanbul.
        Day = "1d",
    }
}

api_kit::named_enum! {
    /// What movers are ordered by.
    MoversBy {
        /// The change, greatest first; only those that rose.
        Gainers = "gainers",
        /// The change, lowest first; only those that fell.
        Losers = "losers",
        /// Traded quantity of the day.
        Volume = "volume",
        /// Σ price × quantity of the day.
        Turnover = "turnover",
    }
}
