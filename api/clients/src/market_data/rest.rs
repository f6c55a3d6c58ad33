//! The REST paths of market data over any [`MarketDataClient`]: the service serves them over its own view, a gateway over
//! its client. One table, so that the two cannot drift apart.
//!
//! Takes requests apart and puts answers into the envelope; never looks a symbol up or formats a price.

use std::ops::RangeInclusive;
use std::sync::Arc;

use api_kit::access::{Access, Row};
use api_kit::envelope::{Page, Success};
use api_kit::error::ApiError;
use api_kit::openapi::{DescribedError, describe_error};
use api_kit::principal::Scope;
use axum::Json;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use utoipa::IntoParams;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::shapes::{CandleList, Instrument, Movers, OrderBook, Quote, Quotes, Trades};
use super::{CandleInterval, MarketDataClient, MoversBy, QuotesQuery, Remarked, SymbolsQuery, bounds};

/// The client as handlers take it.
type Client = State<Arc<dyn MarketDataClient>>;

type Answer<T> = Result<Json<Success<T>>, ApiError>;

/// Where [`documented`] belong.
pub const PREFIX: &str = "/api/v1/market-data";

/// What every reader of a description of these paths must know.
pub const DESCRIPTION: &str = "Market data of Borsa Istanbul. Prices are decimal strings with the book's decimals, quantities strings, \
     times RFC 3339 and nanoseconds as strings. Every answer names `epoch` and `seq`, the position in the feed \
     that it is true for.";

/// Who may ask for them.
pub const ACCESS: &[Row] = &[
    Row::new("GET", "/api/v1/market-data/symbols", OPEN),
    Row::new("GET", "/api/v1/market-data/symbols/{symbol}", OPEN),
    Row::new("GET", "/api/v1/market-data/quotes", OPEN),
    Row::new("GET", "/api/v1/market-data/quotes/{symbol}", OPEN),
    Row::new("GET", "/api/v1/market-data/orderbook/{symbol}", OPEN),
    Row::new("GET", "/api/v1/market-data/trades/{symbol}", OPEN),
    Row::new("GET", "/api/v1/market-data/candles/{symbol}", OPEN),
    Row::new("GET", "/api/v1/market-data/movers", OPEN),
];

/// Market data: open to everybody unless `auth.required`.
const OPEN: Access = Access::Public(Scope::MarketRead);

/// The paths, below [`PREFIX`], answered by `client`.
#[must_use]
pub fn documented(client: Arc<dyn MarketDataClient>) -> OpenApiRouter {
    let mut routes = OpenApiRouter::default()
        .routes(routes!(symbols))
        .routes(routes!(symbol))
        .routes(routes!(quotes))
        .routes(routes!(quote))
        .routes(routes!(orderbook))
        .routes(routes!(trades))
        .routes(routes!(candles))
        .routes(routes!(movers));
    let unknown = DescribedError {
        status: 404,
        code: "SYMBOL_NOT_FOUND",
        when: "Nothing is called so; near names are in `details.near`.",
        message: "no symbol is called GARN",
        details: json!({ "symbol": "GARN", "near": ["GARAN"] }),
    };
    for (path, item) in &mut routes.get_openapi_mut().paths.paths {
        if path.ends_with("{symbol}") || path == "/quotes" {
            describe_error(&format!("{PREFIX}{path}"), item, &unknown);
        }
    }
    routes.with_state(client)
}

/// `Query`, with errors of ours.
struct Params<T>(T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        Query::<T>::try_from_uri(&parts.uri)
            .map(|Query(params)| Self(params))
            .map_err(|rejection| invalid(rejection.body_text()))
    }
}

/// The symbol of the path, as it was asked.
struct Symbol(String);

impl<S: Send + Sync> FromRequestParts<S> for Symbol {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let Path(name) = path.map_err(|rejection| invalid(rejection.body_text()))?;
        bytes_within("symbol", &name, bounds::SYMBOL_BYTES_MAX)?;
        Ok(Self(name))
    }
}

fn invalid(message: String) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "INVALID_PARAMETER", message)
}

fn within(name: &str, given: Option<&str>, default: usize, allowed: RangeInclusive<usize>) -> Result<usize, ApiError> {
    let Some(given) = given else { return Ok(default) };
    given.parse().ok().filter(|number| allowed.contains(number)).ok_or_else(|| {
        ApiError::parameter(name, given, format!("a whole number {}..{}", allowed.start(), allowed.end()))
    })
}

/// Refuses a text of more than `bytes_max` bytes, by its length: an answer does not repeat what is too long.
fn bytes_within(name: &str, given: &str, bytes_max: usize) -> Result<(), ApiError> {
    if given.len() > bytes_max {
        return Err(ApiError::parameter(name, &format!("{} bytes", given.len()), format!("at most {bytes_max} bytes")));
    }
    Ok(())
}

/// One of `names`, in a description.
fn one_of(names: impl Iterator<Item = &'static str>) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).build()
}

fn intervals() -> Object {
    one_of(CandleInterval::ALL.iter().map(|interval| interval.name()))
}

fn movers_by() -> Object {
    one_of(MoversBy::ALL.iter().map(|by| by.name()))
}

fn enveloped<T>(answer: Remarked<T>) -> Json<Success<T>> {
    Json(Success::new(answer.data, answer.remark))
}

/// Query of a list of symbols.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct SymbolsParams {
    /// Part of ticker, exchange's name, long name or ISIN, in any case, Turkish letters or plain ones.
    #[param(max_length = 64, example = "garanti")]
    search: Option<String>,
    /// Symbols to skip, 0..1000000, default 0.
    #[param(value_type = Option<usize>, minimum = 0, maximum = 1_000_000, example = 0)]
    offset: Option<String>,
    /// Symbols of a page, 1..1000, default 100.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 1000, example = 100)]
    limit: Option<String>,
}

/// All symbols, sorted by ticker
#[utoipa::path(get, path = "/symbols", tag = "market-data", params(SymbolsParams),
    responses((status = 200, description = "One page of instruments.", body = Success<Page<Instrument>>)))]
async fn symbols(State(client): Client, Params(params): Params<SymbolsParams>) -> Answer<Page<Instrument>> {
    let offset = within("offset", params.offset.as_deref(), 0, 0..=bounds::OFFSET_MAX)?;
    let limit = within("limit", params.limit.as_deref(), 100, 1..=bounds::SYMBOLS_PAGE_MAX)?;
    let search = params.search.unwrap_or_default();
    bytes_within("search", &search, bounds::SEARCH_BYTES_MAX)?;
    client.symbols(SymbolsQuery { search, offset, limit }).await.map(enveloped)
}

/// One symbol
#[utoipa::path(get, path = "/symbols/{symbol}", tag = "market-data",
    params(("symbol" = String, Path, description = "Ticker or the exchange's own name, in any case.", min_length = 1, max_length = 64, example = "GARAN")),
    responses((status = 200, description = "The instrument.", body = Success<Instrument>)))]
async fn symbol(State(client): Client, Symbol(symbol): Symbol) -> Answer<Instrument> {
    client.symbol(&symbol).await.map(enveloped)
}

/// The best prices and the day of one symbol
#[utoipa::path(get, path = "/quotes/{symbol}", tag = "market-data",
    params(("symbol" = String, Path, description = "Ticker or the exchange's own name, in any case.", min_length = 1, max_length = 64, example = "GARAN")),
    responses((status = 200, description = "The quote.", body = Success<Quote>)))]
async fn quote(State(client): Client, Symbol(symbol): Symbol) -> Answer<Quote> {
    client.quote(&symbol).await.map(enveloped)
}

/// Query of several quotes.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct QuotesParams {
    /// Names of up to 64 bytes, separated by commas, 8192 bytes in all; all symbols, page by page, when it is left out.
    #[param(max_length = 8192, example = "GARAN,THYAO")]
    symbols: Option<String>,
    /// Symbols to skip, 0..1000000, default 0 (only without `symbols`).
    #[param(value_type = Option<usize>, minimum = 0, maximum = 1_000_000, example = 0)]
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
async fn quotes(State(client): Client, Params(params): Params<QuotesParams>) -> Answer<Quotes> {
    let offset = within("offset", params.offset.as_deref(), 0, 0..=bounds::OFFSET_MAX)?;
    let limit = within("limit", params.limit.as_deref(), bounds::QUOTES_PAGE_MAX, 1..=bounds::QUOTES_PAGE_MAX)?;
    let Some(names) = &params.symbols else {
        return client.quotes(QuotesQuery::Page { offset, limit }).await.map(enveloped);
    };
    bytes_within("symbols", names, bounds::NAMES_BYTES_MAX)?;
    let names: Vec<&str> = names.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    if names.is_empty() || names.len() > bounds::QUOTES_PAGE_MAX {
        let allowed = format!("1..{} names, separated by commas", bounds::QUOTES_PAGE_MAX);
        return Err(ApiError::parameter("symbols", &format!("{} names", names.len()), allowed));
    }
    for name in &names {
        bytes_within("symbols", name, bounds::SYMBOL_BYTES_MAX)?;
    }
    let names = names.into_iter().map(str::to_owned).collect();
    let mut answer = client.quotes(QuotesQuery::Named(names)).await?;
    answer.data.limit = limit;
    Ok(enveloped(answer))
}

/// Query of an order book.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct DepthParams {
    /// Levels of each side, 1..100, default 10.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 100, example = 10)]
    depth: Option<String>,
}

/// The levels of one symbol
#[utoipa::path(get, path = "/orderbook/{symbol}", tag = "market-data",
    params(("symbol" = String, Path, description = "Ticker or the exchange's own name, in any case.", min_length = 1, max_length = 64, example = "GARAN"), DepthParams),
    responses((status = 200, description = "The book.", body = Success<OrderBook>)))]
async fn orderbook(
    State(client): Client,
    Symbol(symbol): Symbol,
    Params(params): Params<DepthParams>,
) -> Answer<OrderBook> {
    let depth = within("depth", params.depth.as_deref(), 10, 1..=bounds::DEPTH_MAX)?;
    client.orderbook(&symbol, depth).await.map(enveloped)
}

/// Query of trades.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct TradesParams {
    /// Trades, 1..1000, default 100; no more than the view keeps are there.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 1000, example = 100)]
    limit: Option<String>,
}

/// The last trades of one symbol, newest first
#[utoipa::path(get, path = "/trades/{symbol}", tag = "market-data",
    params(("symbol" = String, Path, description = "Ticker or the exchange's own name, in any case.", min_length = 1, max_length = 64, example = "GARAN"), TradesParams),
    responses((status = 200, description = "The trades.", body = Success<Trades>)))]
async fn trades(State(client): Client, Symbol(symbol): Symbol, Params(params): Params<TradesParams>) -> Answer<Trades> {
    let limit = within("limit", params.limit.as_deref(), 100, 1..=bounds::TRADES_MAX)?;
    client.trades(&symbol, limit).await.map(enveloped)
}

/// Query of candles.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct CandlesParams {
    /// `1s`, `1m` (default), `1h`, `1d`.
    #[param(schema_with = intervals)]
    interval: Option<String>,
    /// Candles, 1..1500, default 100; no more than the view keeps are there.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 1500, example = 100)]
    limit: Option<String>,
}

/// The last candles of one symbol, oldest first, the forming one last
#[utoipa::path(get, path = "/candles/{symbol}", tag = "market-data",
    params(("symbol" = String, Path, description = "Ticker or the exchange's own name, in any case.", min_length = 1, max_length = 64, example = "GARAN"), CandlesParams),
    responses((status = 200, description = "The candles.", body = Success<CandleList>)))]
async fn candles(
    State(client): Client,
    Symbol(symbol): Symbol,
    Params(params): Params<CandlesParams>,
) -> Answer<CandleList> {
    let name = params.interval.as_deref().unwrap_or("1m");
    let interval = CandleInterval::from_name(name)
        .ok_or_else(|| ApiError::parameter("interval", name, CandleInterval::names()))?;
    let limit = within("limit", params.limit.as_deref(), 100, 1..=bounds::CANDLES_MAX)?;
    client.candles(&symbol, interval, limit).await.map(enveloped)
}

/// Query of movers.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct MoversParams {
    /// `gainers` (default), `losers`, `volume`, `turnover`.
    #[param(schema_with = movers_by)]
    by: Option<String>,
    /// Symbols, 1..100, default 10.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 100, example = 10)]
    limit: Option<String>,
}

/// The symbols that move most today
#[utoipa::path(get, path = "/movers", tag = "market-data", params(MoversParams),
    responses((status = 200, description = "The quotes, first first.", body = Success<Movers>)))]
async fn movers(State(client): Client, Params(params): Params<MoversParams>) -> Answer<Movers> {
    let name = params.by.as_deref().unwrap_or("gainers");
    let by = MoversBy::from_name(name).ok_or_else(|| ApiError::parameter("by", name, MoversBy::names()))?;
    let limit = within("limit", params.limit.as_deref(), 10, 1..=bounds::MOVERS_MAX)?;
    client.movers(by, limit).await.map(enveloped)
}
