//! `/api/v1/market-data`: each handler takes the request apart, copies from the view, converts the copy.
//!
//! Never keeps the view's lock while it formats ([`View::copy`] cannot), never waits for anything.

use std::ops::RangeInclusive;

use axum::Json;
use axum::extract::{FromRequestParts, Path, Query, State as AxumState};
use axum::http::request::Parts;
use book::BookId;
use book::candle::Interval;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use crate::config::most;
use crate::error::ApiError;
use crate::query::{self, Head, MoversBy};
use crate::routes::Shared;
use crate::shapes::{
    CandleList, Instrument, LimitShape, Limits, Movers, OrderBook, Page, Quote, Quotes, Success, Trades,
};
use crate::view::View;

type Answer<T> = Result<Json<Success<T>>, ApiError>;

/// `Query`, with errors of ours.
pub(crate) struct Params<T>(T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        Query::<T>::try_from_uri(&parts.uri).map(|Query(params)| Self(params)).map_err(|rejection| {
            ApiError::new(axum::http::StatusCode::BAD_REQUEST, "INVALID_PARAMETER", rejection.body_text())
        })
    }
}

/// The symbol of the path: any book by any of its names.
pub(crate) struct Symbol(BookId);

impl FromRequestParts<Shared> for Symbol {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &Shared) -> Result<Self, ApiError> {
        let Path(name) = Path::<String>::from_request_parts(parts, state).await.map_err(|rejection| {
            ApiError::new(axum::http::StatusCode::BAD_REQUEST, "INVALID_PARAMETER", rejection.body_text())
        })?;
        book_called(&state.view, &name).map(Self)
    }
}

fn book_called(view: &View, name: &str) -> Result<BookId, ApiError> {
    let directory = view.directory();
    directory.find(name).ok_or_else(|| ApiError::symbol_not_found(name, directory.near(name, most::NEAR)))
}

/// The book was there a moment ago; the feed can only have begun anew.
fn gone() -> ApiError {
    ApiError::new(axum::http::StatusCode::NOT_FOUND, "SYMBOL_NOT_FOUND", "the symbol has just gone; try again")
}

fn within(name: &str, given: Option<&str>, default: usize, allowed: RangeInclusive<usize>) -> Result<usize, ApiError> {
    let Some(given) = given else { return Ok(default) };
    given.parse().ok().filter(|number| allowed.contains(number)).ok_or_else(|| {
        ApiError::parameter(name, given, format!("a whole number {}..{}", allowed.start(), allowed.end()))
    })
}

/// What a person should know before trusting the data; `None` when all is well.
fn remark(head: &Head) -> Option<String> {
    if !head.in_sync {
        Some("no whole snapshot of this book has come yet".to_owned())
    } else if head.stale {
        Some("the feed is stale: nothing has come for too long".to_owned())
    } else if head.maybe_bad {
        Some("messages of this book were lost; it may be wrong until the next snapshot".to_owned())
    } else {
        None
    }
}

fn ok<T>(data: T, message: Option<String>) -> Answer<T> {
    Ok(Json(Success::new(data, message)))
}

/// Query of a list of symbols.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SymbolsParams {
    /// Part of ticker, exchange's name, long name or ISIN, in any case, Turkish letters or plain ones.
    #[param(max_length = 64, example = "garanti")]
    search: Option<String>,
    /// Symbols to skip.
    #[param(value_type = Option<usize>, example = 0)]
    offset: Option<String>,
    /// Symbols of a page, 1..1000, default 100.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 1000, example = 100)]
    limit: Option<String>,
}

/// All symbols, sorted by ticker
#[utoipa::path(get, path = "/symbols", tag = "market-data", params(SymbolsParams),
    responses((status = 200, description = "One page of instruments.", body = Success<Page<Instrument>>)))]
pub(crate) async fn symbols(
    AxumState(state): AxumState<Shared>,
    Params(params): Params<SymbolsParams>,
) -> Answer<Page<Instrument>> {
    let offset = within("offset", params.offset.as_deref(), 0, 0..=usize::MAX)?;
    let limit = within("limit", params.limit.as_deref(), 100, 1..=most::SYMBOLS)?;
    let search = params.search.unwrap_or_default();
    if search.len() > most::SEARCH_BYTES {
        return Err(ApiError::parameter("search", &search, format!("at most {} bytes", most::SEARCH_BYTES)));
    }
    let found: Vec<BookId> = state.view.directory().search(&search).map(|entry| entry.book_id).collect();
    let page = found.iter().skip(offset).take(limit).copied().collect();
    let items = query::instruments(&state.view, page).into_iter().map(Instrument::from).collect();
    ok(Page { items, total: found.len(), offset, limit }, None)
}

/// One symbol
#[utoipa::path(get, path = "/symbols/{symbol}", tag = "market-data",
    params(("symbol" = String, Path, description = "Ticker or the exchange's own name, in any case.", example = "GARAN")),
    responses((status = 200, description = "The instrument.", body = Success<Instrument>)))]
pub(crate) async fn symbol(AxumState(state): AxumState<Shared>, Symbol(book_id): Symbol) -> Answer<Instrument> {
    let copy = query::instruments(&state.view, vec![book_id]).pop().ok_or_else(gone)?;
    let message = remark(&copy.head);
    ok(Instrument::from(copy), message)
}

/// The best prices and the day of one symbol
#[utoipa::path(get, path = "/quotes/{symbol}", tag = "market-data",
    params(("symbol" = String, Path, description = "Ticker or the exchange's own name, in any case.", example = "GARAN")),
    responses((status = 200, description = "The quote.", body = Success<Quote>)))]
pub(crate) async fn quote(AxumState(state): AxumState<Shared>, Symbol(book_id): Symbol) -> Answer<Quote> {
    let copy = query::quotes(&state.view, vec![book_id]).pop().ok_or_else(gone)?;
    let message = remark(&copy.head);
    ok(Quote::from(copy), message)
}

/// Query of several quotes.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct QuotesParams {
    /// Names, separated by commas; all symbols, page by page, when it is left out.
    #[param(example = "GARAN,THYAO")]
    symbols: Option<String>,
    /// Symbols to skip (only without `symbols`).
    #[param(value_type = Option<usize>, example = 0)]
    offset: Option<String>,
    /// Symbols of a page, 1..500, default 500 (only without `symbols`).
    #[param(value_type = Option<usize>, minimum = 1, maximum = 500, example = 500)]
    limit: Option<String>,
}

/// The quotes of several symbols, taken at one moment
///
/// Unknown names are listed in `not_found`; only when all of them are unknown the answer is 404.
#[utoipa::path(get, path = "/quotes", tag = "market-data", params(QuotesParams),
    responses((status = 200, description = "The quotes.", body = Success<Quotes>)))]
pub(crate) async fn quotes(
    AxumState(state): AxumState<Shared>,
    Params(params): Params<QuotesParams>,
) -> Answer<Quotes> {
    let offset = within("offset", params.offset.as_deref(), 0, 0..=usize::MAX)?;
    let limit = within("limit", params.limit.as_deref(), most::QUOTES, 1..=most::QUOTES)?;
    let directory = state.view.directory();
    let mut not_found = Vec::new();
    let mut books = Vec::new();
    let (total, offset) = match &params.symbols {
        Some(names) => {
            let names: Vec<&str> = names.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
            if names.is_empty() || names.len() > most::QUOTES {
                return Err(ApiError::parameter(
                    "symbols",
                    &format!("{} names", names.len()),
                    format!("1..{} names, separated by commas", most::QUOTES),
                ));
            }
            for name in &names {
                match directory.find(name) {
                    Some(book_id) if !books.contains(&book_id) => books.push(book_id),
                    Some(_) => {}
                    None => not_found.push((*name).to_owned()),
                }
            }
            if books.is_empty() {
                return Err(ApiError::symbol_not_found(names[0], directory.near(names[0], most::NEAR)));
            }
            (books.len(), 0)
        }
        None => {
            books.extend(directory.entries().iter().skip(offset).take(limit).map(|entry| entry.book_id));
            (directory.entries().len(), offset)
        }
    };
    let items = query::quotes(&state.view, books).into_iter().map(Quote::from).collect();
    ok(Quotes { items, not_found, total, offset, limit }, None)
}

/// Query of an order book.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DepthParams {
    /// Levels of each side, 1..100, default 10.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 100, example = 10)]
    depth: Option<String>,
}

/// The levels of one symbol
#[utoipa::path(get, path = "/orderbook/{symbol}", tag = "market-data",
    params(("symbol" = String, Path, description = "Ticker or the exchange's own name, in any case.", example = "GARAN"), DepthParams),
    responses((status = 200, description = "The book.", body = Success<OrderBook>)))]
pub(crate) async fn orderbook(
    AxumState(state): AxumState<Shared>,
    Symbol(book_id): Symbol,
    Params(params): Params<DepthParams>,
) -> Answer<OrderBook> {
    let depth = within("depth", params.depth.as_deref(), 10, 1..=most::DEPTH)?;
    let copy = query::depth(&state.view, book_id, depth).ok_or_else(gone)?;
    let message = remark(&copy.head);
    ok(OrderBook::from(copy), message)
}

/// Query of trades.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct TradesParams {
    /// Trades, 1..1000, default 100; no more than the view keeps are there.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 1000, example = 100)]
    limit: Option<String>,
}

/// The last trades of one symbol, newest first
#[utoipa::path(get, path = "/trades/{symbol}", tag = "market-data",
    params(("symbol" = String, Path, description = "Ticker or the exchange's own name, in any case.", example = "GARAN"), TradesParams),
    responses((status = 200, description = "The trades.", body = Success<Trades>)))]
pub(crate) async fn trades(
    AxumState(state): AxumState<Shared>,
    Symbol(book_id): Symbol,
    Params(params): Params<TradesParams>,
) -> Answer<Trades> {
    let limit = within("limit", params.limit.as_deref(), 100, 1..=most::TRADES)?;
    let copy = query::trades(&state.view, book_id, limit).ok_or_else(gone)?;
    let message = remark(&copy.head);
    ok(Trades::from(copy), message)
}

/// Query of candles.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CandlesParams {
    /// `1s`, `1m` (default), `1h`, `1d`.
    #[param(example = "1m")]
    interval: Option<String>,
    /// Candles, 1..1500, default 100; no more than the view keeps are there.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 1500, example = 100)]
    limit: Option<String>,
}

/// The last candles of one symbol, oldest first, the forming one last
#[utoipa::path(get, path = "/candles/{symbol}", tag = "market-data",
    params(("symbol" = String, Path, description = "Ticker or the exchange's own name, in any case.", example = "GARAN"), CandlesParams),
    responses((status = 200, description = "The candles.", body = Success<CandleList>)))]
pub(crate) async fn candles(
    AxumState(state): AxumState<Shared>,
    Symbol(book_id): Symbol,
    Params(params): Params<CandlesParams>,
) -> Answer<CandleList> {
    let name = params.interval.as_deref().unwrap_or("1m");
    let interval = Interval::from_name(name)
        .ok_or_else(|| ApiError::parameter("interval", name, Interval::ALL.map(Interval::name).join(", ")))?;
    let limit = within("limit", params.limit.as_deref(), 100, 1..=most::CANDLES)?;
    let copy = query::candles(&state.view, book_id, interval, limit).ok_or_else(gone)?;
    let message = remark(&copy.head);
    ok(CandleList::of(copy, interval), message)
}

/// Query of movers.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct MoversParams {
    /// `gainers` (default), `losers`, `volume`, `turnover`.
    #[param(example = "gainers")]
    by: Option<String>,
    /// Symbols, 1..100, default 10.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 100, example = 10)]
    limit: Option<String>,
}

/// The symbols that move most today
#[utoipa::path(get, path = "/movers", tag = "market-data", params(MoversParams),
    responses((status = 200, description = "The quotes, first first.", body = Success<Movers>)))]
pub(crate) async fn movers(
    AxumState(state): AxumState<Shared>,
    Params(params): Params<MoversParams>,
) -> Answer<Movers> {
    let asked = params.by.as_deref().unwrap_or("gainers");
    let &(name, by) = MoversBy::NAMES
        .iter()
        .find(|(name, _)| *name == asked)
        .ok_or_else(|| ApiError::parameter("by", asked, MoversBy::NAMES.map(|(name, _)| name).join(", ")))?;
    let limit = within("limit", params.limit.as_deref(), 10, 1..=most::MOVERS)?;
    let items = query::movers(&state.view, by, limit)
        .into_iter()
        .map(|(query::InstrumentName(name), copy)| Quote::named(name, copy))
        .collect();
    ok(Movers { by: name, items }, None)
}

/// Every number that a caller can hit
#[utoipa::path(get, path = "/limits", tag = "limits",
    responses((status = 200, description = "The limits in force.", body = Success<Limits>)))]
pub(crate) async fn limits(AxumState(state): AxumState<Shared>) -> Answer<Limits> {
    let kept = state.view.options();
    let kept = [
        ("view.trades_kept", kept.trades_max, "trades"),
        ("view.candles_kept", kept.candles_max, "candles of each interval"),
    ]
    .map(|(name, kept, unit)| crate::config::Limit {
        name,
        value: Some(kept as u64),
        unit,
        meaning: "per symbol; older ones are not answered",
    });
    let limits = state.config.limits().into_iter().chain(kept).chain(state.limits.iter().copied());
    let shape = |limit: crate::config::Limit| LimitShape {
        name: limit.name,
        value: limit.value,
        unit: limit.unit,
        meaning: limit.meaning,
    };
    ok(Limits { items: limits.map(shape).collect() }, None)
}
