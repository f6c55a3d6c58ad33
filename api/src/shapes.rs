//! What the answers look like: the public JSON shapes, apart from the types of `book`, so that a change inside
//! cannot change the outside by accident.
//!
//! Prices are decimal strings with the book's decimals, quantities are strings, times are RFC 3339 in UTC and
//! nanoseconds as a string: a JavaScript number is exact only up to 2^53. Nothing is ever a float.

use book::candle::{Candle, Interval};
use book::replica::{Level, TradeView, ticker};
use book::slot::conditions;
use book::{Nanos, Price, Side};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::query::{CandlesCopy, DepthCopy, Head, InstrumentCopy, QuoteCopy, TradesCopy};

/// The envelope of every successful answer under `/api/v1`.
#[derive(Serialize, ToSchema)]
pub(crate) struct Success<T> {
    /// Always true.
    #[schema(example = true)]
    success: bool,
    /// The answer.
    data: T,
    /// A remark for people, e.g. that the feed is stale; null when there is nothing to say.
    #[schema(example = json!(null))]
    message: Option<String>,
}

impl<T> Success<T> {
    pub(crate) fn new(data: T, message: Option<String>) -> Self {
        Self { success: true, data, message }
    }
}

/// The envelope of every error under `/api/v1`.
#[derive(Serialize, ToSchema)]
pub(crate) struct Failure {
    /// Always false.
    #[schema(example = false)]
    pub(crate) success: bool,
    /// What went wrong.
    pub(crate) error: ErrorBody,
    /// When, RFC 3339.
    #[schema(example = "2026-11-23T07:00:00.000000000Z")]
    pub(crate) timestamp: String,
}

/// What went wrong.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "code": "SYMBOL_NOT_FOUND", "message": "no symbol is called GARN",
    "details": { "symbol": "GARN", "near": ["GARAN"] },
}))]
pub(crate) struct ErrorBody {
    /// Stable, for programs.
    #[schema(example = "SYMBOL_NOT_FOUND")]
    pub(crate) code: &'static str,
    /// For people: what was asked and why it could not be answered.
    #[schema(example = "no symbol is called GARN")]
    pub(crate) message: String,
    /// More for programs, by code; may be empty.
    #[schema(value_type = Object)]
    pub(crate) details: serde_json::Value,
}

/// The same as RFC 9457, when `Accept` names `application/problem+json`.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "type": "urn:bist:error:SYMBOL_NOT_FOUND", "title": "Not Found", "status": 404,
    "detail": "no symbol is called GARN", "instance": "/api/v1/market-data/quotes/GARN",
    "code": "SYMBOL_NOT_FOUND", "details": { "symbol": "GARN", "near": ["GARAN"] },
    "timestamp": "2026-11-23T07:00:00.000000000Z",
}))]
pub(crate) struct Problem {
    /// `urn:bist:error:` and the code.
    #[serde(rename = "type")]
    #[schema(example = "urn:bist:error:SYMBOL_NOT_FOUND")]
    pub(crate) kind: String,
    /// The words of the status.
    #[schema(example = "Not Found")]
    pub(crate) title: &'static str,
    /// HTTP status.
    #[schema(example = 404)]
    pub(crate) status: u16,
    /// What was asked and why it could not be answered.
    #[schema(example = "no symbol is called GARN")]
    pub(crate) detail: String,
    /// Path that was asked.
    #[schema(example = "/api/v1/market-data/quotes/GARN")]
    pub(crate) instance: String,
    /// Stable, for programs.
    #[schema(example = "SYMBOL_NOT_FOUND")]
    pub(crate) code: &'static str,
    /// More for programs, by code; may be empty.
    #[schema(value_type = Object)]
    pub(crate) details: serde_json::Value,
    /// When, RFC 3339.
    #[schema(example = "2026-11-23T07:00:00.000000000Z")]
    pub(crate) timestamp: String,
}

/// One page of a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// The items of this page.
    pub(crate) items: Vec<T>,
    /// Items of the whole list.
    #[schema(example = 1)]
    pub(crate) total: usize,
    /// Items before this page.
    #[schema(example = 0)]
    pub(crate) offset: usize,
    /// Items a page may hold, as asked.
    #[schema(example = 100)]
    pub(crate) limit: usize,
}

/// What may be known about the truth of the data beside it.
#[derive(Clone, Serialize, ToSchema)]
pub(crate) struct Standing {
    /// Trading phase: `continuous`, `opening_collection`, `volatility_auction`, …; `unknown` when it was never stated.
    #[schema(example = "continuous")]
    phase: &'static str,
    /// Nothing has come from the feed for too long: the data is old.
    #[schema(example = false)]
    stale: bool,
    /// False until a whole snapshot of the book has come.
    #[schema(example = true)]
    in_sync: bool,
    /// Messages were lost or contradicted each other, and no snapshot has repaired it yet.
    #[schema(example = false)]
    maybe_bad: bool,
    /// Epoch that `seq` belongs to.
    #[schema(example = 7)]
    epoch: u64,
    /// Ingest sequence number of the last update of this book.
    #[schema(example = 1202)]
    seq: u64,
    /// Exchange clock at that update, RFC 3339; null before the first.
    #[schema(example = "2026-11-23T07:00:00.123456789Z")]
    ts_event: Option<String>,
    /// The same, nanoseconds since 1970.
    #[schema(example = "1795417200123456789")]
    ts_event_ns: Option<String>,
    /// Our clock at that update, RFC 3339.
    #[schema(example = "2026-11-23T07:00:00.123489012Z")]
    ts_recv: Option<String>,
    /// The same, nanoseconds since 1970.
    #[schema(example = "1795417200123489012")]
    ts_recv_ns: Option<String>,
}

impl Standing {
    fn of(head: &Head) -> Self {
        Self {
            phase: head.phase.name(),
            stale: head.stale,
            in_sync: head.in_sync,
            maybe_bad: head.maybe_bad,
            epoch: head.epoch,
            seq: head.seq,
            ts_event: rfc3339(head.exchange_ns),
            ts_event_ns: nanos(head.exchange_ns),
            ts_recv: rfc3339(head.received_ns),
            ts_recv_ns: nanos(head.received_ns),
        }
    }
}

/// One step table of an instrument's prices.
#[derive(Serialize, ToSchema)]
pub(crate) struct Tick {
    /// First price.
    #[schema(example = "100.00")]
    from: Option<String>,
    /// Last price; null = no upper end.
    #[schema(example = "249.90")]
    to: Option<String>,
    /// Step.
    #[schema(example = "0.10")]
    tick: Option<String>,
}

/// An instrument.
#[derive(Serialize, ToSchema)]
pub(crate) struct Instrument {
    /// Ticker; for anything but a share of the main board, the exchange's own name.
    #[schema(example = "GARAN")]
    symbol: String,
    /// The exchange's own name, accepted everywhere as the same thing.
    #[schema(example = "GARAN.E")]
    exchange_symbol: String,
    /// Long name.
    #[schema(example = "TURKIYE GARANTI BANKASI")]
    name: String,
    /// ISIN.
    #[schema(example = "TRAGARAN91N1")]
    isin: Option<String>,
    /// ISO 4217.
    #[schema(example = "TRY")]
    currency: Option<String>,
    /// Decimals of every price of this book.
    #[schema(example = 2)]
    price_decimals: u8,
    /// Smallest tradable quantity.
    #[schema(example = "1")]
    round_lot: String,
    /// The exchange's number of the kind of product (BISTECH ITCH, message R); 5 = share, 0 = not stated.
    #[schema(example = 5)]
    product: u8,
    /// Expiration of a contract.
    #[schema(example = json!(null))]
    expiration: Option<String>,
    /// Strike of an option.
    #[schema(example = json!(null))]
    strike: Option<String>,
    /// Underlying of a contract.
    #[schema(example = json!(null))]
    underlying: Option<String>,
    /// `allowed`, `not_allowed`, `up_tick`; null when it was never stated.
    #[schema(example = "allowed")]
    short_sell: Option<&'static str>,
    /// Which prices are valid, in bands.
    ticks: Vec<Tick>,
    /// Lowest price allowed today.
    #[schema(example = "90.00")]
    limit_low: Option<String>,
    /// Highest price allowed today.
    #[schema(example = "110.00")]
    limit_high: Option<String>,
    /// Base price of the day.
    #[schema(example = "100.00")]
    reference: Option<String>,
    /// The exchange's own name of the trading state.
    #[schema(example = "P_SUREKLI_ISLEM")]
    state: Option<String>,
    /// How true it is.
    #[serde(flatten)]
    standing: Standing,
}

impl From<InstrumentCopy> for Instrument {
    fn from(copy: InstrumentCopy) -> Self {
        let price = |price: Price| decimal(price, copy.head.price_decimals);
        Self {
            symbol: ticker(&copy.head.symbol).to_owned(),
            isin: filled(copy.isin),
            currency: filled(copy.currency),
            price_decimals: copy.head.price_decimals,
            round_lot: copy.round_lot.to_string(),
            product: copy.product,
            expiration: date(copy.expiration),
            strike: if copy.strike.0 == 0 { None } else { price(copy.strike) },
            underlying: copy.underlying,
            short_sell: copy
                .short_sell
                .and_then(|status| ["allowed", "not_allowed", "up_tick"].get(usize::from(status)).copied()),
            ticks: copy
                .ticks
                .bands()
                .iter()
                .map(|band| Tick { from: price(band.from), to: price(band.to), tick: price(Price(band.tick)) })
                .collect(),
            limit_low: price(copy.statistics.limit_low),
            limit_high: price(copy.statistics.limit_high),
            reference: price(copy.statistics.reference),
            state: filled(copy.state),
            standing: Standing::of(&copy.head),
            name: copy.name,
            exchange_symbol: copy.head.symbol,
        }
    }
}

/// One price level.
#[derive(Serialize, ToSchema)]
pub(crate) struct LevelShape {
    /// Price; null for orders without one (market orders of an auction).
    #[schema(example = "105.00")]
    price: Option<String>,
    /// Total quantity.
    #[schema(example = "1500")]
    quantity: String,
    /// Number of orders.
    #[schema(example = 3)]
    orders: u32,
}

impl LevelShape {
    fn of(level: Level, decimals: u8) -> Self {
        Self { price: decimal(level.price, decimals), quantity: level.quantity.to_string(), orders: level.count }
    }
}

/// The equilibrium of a running auction.
#[derive(Serialize, ToSchema)]
pub(crate) struct EquilibriumShape {
    /// Price at which the auction would match now.
    #[schema(example = "105.00")]
    price: Option<String>,
    /// Bid quantity available at it.
    #[schema(example = "1000")]
    bid_quantity: String,
    /// Ask quantity available at it.
    #[schema(example = "800")]
    ask_quantity: String,
}

/// The best prices and the day of one book.
#[derive(Serialize, ToSchema)]
pub(crate) struct Quote {
    /// Ticker.
    #[schema(example = "GARAN")]
    symbol: String,
    /// The exchange's own name.
    #[schema(example = "GARAN.E")]
    exchange_symbol: String,
    /// Long name (in `movers` only).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "TURKIYE GARANTI BANKASI")]
    name: Option<String>,
    /// ISO 4217.
    #[schema(example = "TRY")]
    currency: Option<String>,
    /// Best bid; null when there is none.
    bid: Option<LevelShape>,
    /// Best ask; null when there is none.
    ask: Option<LevelShape>,
    /// Equilibrium of a running auction; null outside auctions.
    equilibrium: Option<EquilibriumShape>,
    /// Last trade; null before the first of the day.
    #[schema(example = "105.10")]
    last: Option<String>,
    /// Last minus reference.
    #[schema(example = "5.10")]
    change: Option<String>,
    /// The change in percent of the reference, two decimals, rounded half away from zero.
    #[schema(example = "5.10")]
    change_percent: Option<String>,
    /// First trade of the day.
    #[schema(example = "101.00")]
    open: Option<String>,
    /// Highest trade.
    #[schema(example = "105.10")]
    high: Option<String>,
    /// Lowest trade.
    #[schema(example = "100.50")]
    low: Option<String>,
    /// Closing price, once the day is over.
    #[schema(example = json!(null))]
    close: Option<String>,
    /// Base price of the day.
    #[schema(example = "100.00")]
    reference: Option<String>,
    /// Lowest price allowed today.
    #[schema(example = "90.00")]
    limit_low: Option<String>,
    /// Highest price allowed today.
    #[schema(example = "110.00")]
    limit_high: Option<String>,
    /// Volume-weighted average price, two decimals more than a price, rounded half up.
    #[schema(example = "103.4217")]
    vwap: Option<String>,
    /// Traded quantity of the day.
    #[schema(example = "123456")]
    volume: String,
    /// Σ price × quantity of the day, exact.
    #[schema(example = "12767940.15")]
    turnover: String,
    /// Number of trades of the day.
    #[schema(example = 842)]
    trades: u64,
    /// How true it is.
    #[serde(flatten)]
    standing: Standing,
}

impl Quote {
    pub(crate) fn named(name: String, copy: QuoteCopy) -> Self {
        Self { name: Some(name), ..Self::from(copy) }
    }
}

impl From<QuoteCopy> for Quote {
    fn from(copy: QuoteCopy) -> Self {
        let decimals = copy.head.price_decimals;
        let price = |price: Price| decimal(price, decimals);
        let day = &copy.statistics;
        Self {
            symbol: ticker(&copy.head.symbol).to_owned(),
            name: None,
            currency: filled(copy.currency),
            bid: copy.bid.map(|level| LevelShape::of(level, decimals)),
            ask: copy.ask.map(|level| LevelShape::of(level, decimals)),
            equilibrium: copy.equilibrium.map(|(at, bid, ask)| EquilibriumShape {
                price: price(at),
                bid_quantity: bid.to_string(),
                ask_quantity: ask.to_string(),
            }),
            last: price(day.last),
            change: day.change().and_then(price),
            change_percent: day.change_basis_points().map(|points| scaled(points.into(), 2)),
            open: price(day.open),
            high: price(day.high),
            low: price(day.low),
            close: price(day.close),
            reference: price(day.reference),
            limit_low: price(day.limit_low),
            limit_high: price(day.limit_high),
            vwap: day.vwap().map(|vwap| rounded(vwap, decimals.saturating_add(2).min(Price::DECIMALS))),
            volume: day.volume.to_string(),
            turnover: amount(day.turnover, decimals),
            trades: day.trades,
            standing: Standing::of(&copy.head),
            exchange_symbol: copy.head.symbol,
        }
    }
}

/// The quotes of several symbols.
#[derive(Serialize, ToSchema)]
pub(crate) struct Quotes {
    /// One quote per known symbol, in the order asked.
    pub(crate) items: Vec<Quote>,
    /// Names that nothing is called by.
    #[schema(example = json!([]))]
    pub(crate) not_found: Vec<String>,
    /// Symbols of the whole list.
    #[schema(example = 2)]
    pub(crate) total: usize,
    /// Symbols before this page.
    #[schema(example = 0)]
    pub(crate) offset: usize,
    /// Symbols a page may hold.
    #[schema(example = 500)]
    pub(crate) limit: usize,
}

/// The levels of one book.
#[derive(Serialize, ToSchema)]
pub(crate) struct OrderBook {
    /// Ticker.
    #[schema(example = "GARAN")]
    symbol: String,
    /// The exchange's own name.
    #[schema(example = "GARAN.E")]
    exchange_symbol: String,
    /// Bids, best first.
    bids: Vec<LevelShape>,
    /// Asks, best first.
    asks: Vec<LevelShape>,
    /// All bid levels of the book, shown or not.
    #[schema(example = 42)]
    bid_levels: usize,
    /// All ask levels of the book, shown or not.
    #[schema(example = 40)]
    ask_levels: usize,
    /// CRC32 over the best ten levels, Kraken's rule (asks low to high, then bids high to low, of each the price and
    /// the quantity without dot and leading zeros), whatever depth was asked.
    #[schema(example = 3310070434u32)]
    checksum: u32,
    /// How true it is.
    #[serde(flatten)]
    standing: Standing,
}

impl From<DepthCopy> for OrderBook {
    fn from(copy: DepthCopy) -> Self {
        let decimals = copy.head.price_decimals;
        let levels = |levels: Vec<Level>| levels.into_iter().map(|level| LevelShape::of(level, decimals)).collect();
        Self {
            symbol: ticker(&copy.head.symbol).to_owned(),
            bids: levels(copy.bids),
            asks: levels(copy.asks),
            bid_levels: copy.bid_levels,
            ask_levels: copy.ask_levels,
            checksum: copy.checksum,
            standing: Standing::of(&copy.head),
            exchange_symbol: copy.head.symbol,
        }
    }
}

/// One trade.
#[derive(Serialize, ToSchema)]
pub(crate) struct TradeShape {
    /// Ingest sequence number, in the epoch it happened in.
    #[schema(example = 1190)]
    seq: u64,
    /// The exchange's match number.
    #[schema(example = "6789012345")]
    match_id: String,
    /// Price.
    #[schema(example = "105.10")]
    price: Option<String>,
    /// Quantity.
    #[schema(example = "250")]
    quantity: String,
    /// The aggressor's side: `buy`, `sell`; null in auctions and where not known.
    #[schema(example = "buy")]
    side: Option<&'static str>,
    /// `cross` (auction), `hidden`, `non_printable` (not in volume), `broken` (cancelled afterwards).
    #[schema(example = json!([]))]
    conditions: Vec<&'static str>,
    /// Exchange clock, RFC 3339.
    #[schema(example = "2026-11-23T07:00:00.123456789Z")]
    ts_event: Option<String>,
    /// The same, nanoseconds since 1970.
    #[schema(example = "1795417200123456789")]
    ts_event_ns: Option<String>,
    /// Our clock, RFC 3339.
    #[schema(example = "2026-11-23T07:00:00.123489012Z")]
    ts_recv: Option<String>,
    /// The same, nanoseconds since 1970.
    #[schema(example = "1795417200123489012")]
    ts_recv_ns: Option<String>,
}

impl TradeShape {
    fn of(trade: &TradeView, decimals: u8) -> Self {
        Self {
            seq: trade.seq,
            match_id: trade.match_id.to_string(),
            price: decimal(trade.price, decimals),
            quantity: trade.quantity.to_string(),
            side: match trade.side {
                Side::Bid => Some("buy"),
                Side::Ask => Some("sell"),
                Side::None => None,
            },
            conditions: [
                (conditions::CROSS, "cross"),
                (conditions::HIDDEN, "hidden"),
                (conditions::NON_PRINTABLE, "non_printable"),
                (conditions::BROKEN, "broken"),
            ]
            .into_iter()
            .filter_map(|(bit, name)| (trade.conditions & bit != 0).then_some(name))
            .collect(),
            ts_event: rfc3339(trade.exchange_ns),
            ts_event_ns: nanos(trade.exchange_ns),
            ts_recv: rfc3339(trade.received_ns),
            ts_recv_ns: nanos(trade.received_ns),
        }
    }
}

/// The last trades of one book.
#[derive(Serialize, ToSchema)]
pub(crate) struct Trades {
    /// Ticker.
    #[schema(example = "GARAN")]
    symbol: String,
    /// The exchange's own name.
    #[schema(example = "GARAN.E")]
    exchange_symbol: String,
    /// Newest first.
    items: Vec<TradeShape>,
    /// The list has a hole: this reader was told of a gap.
    #[schema(example = false)]
    history_incomplete: bool,
    /// How true it is.
    #[serde(flatten)]
    standing: Standing,
}

impl From<TradesCopy> for Trades {
    fn from(copy: TradesCopy) -> Self {
        Self {
            symbol: ticker(&copy.head.symbol).to_owned(),
            items: copy.trades.iter().map(|trade| TradeShape::of(trade, copy.head.price_decimals)).collect(),
            history_incomplete: copy.head.history_incomplete,
            standing: Standing::of(&copy.head),
            exchange_symbol: copy.head.symbol,
        }
    }
}

/// One candle.
#[derive(Serialize, ToSchema)]
pub(crate) struct CandleShape {
    /// Start of the interval, RFC 3339; days start at midnight in Istanbul.
    #[schema(example = "2026-11-23T07:00:00Z")]
    start: Option<String>,
    /// The same, nanoseconds since 1970.
    #[schema(example = "1795417200000000000")]
    start_ns: Option<String>,
    /// First price.
    #[schema(example = "105.00")]
    open: Option<String>,
    /// Highest price.
    #[schema(example = "105.20")]
    high: Option<String>,
    /// Lowest price.
    #[schema(example = "104.90")]
    low: Option<String>,
    /// Last price.
    #[schema(example = "105.10")]
    close: Option<String>,
    /// Traded quantity.
    #[schema(example = "4200")]
    volume: String,
    /// Σ price × quantity, exact.
    #[schema(example = "441210.00")]
    turnover: String,
    /// Number of trades.
    #[schema(example = 17)]
    trades: u32,
    /// False while it is still forming (the last one only).
    #[schema(example = true)]
    closed: bool,
}

impl CandleShape {
    fn of(candle: &Candle, decimals: u8, closed: bool) -> Self {
        let price = |price: Price| decimal(price, decimals);
        Self {
            start: rfc3339(candle.start_ns),
            start_ns: nanos(candle.start_ns),
            open: price(candle.open),
            high: price(candle.high),
            low: price(candle.low),
            close: price(candle.close),
            volume: candle.volume.to_string(),
            turnover: amount(candle.turnover, decimals),
            trades: candle.trades,
            closed,
        }
    }
}

/// The last candles of one book. An interval without a trade has none.
#[derive(Serialize, ToSchema)]
pub(crate) struct CandleList {
    /// Ticker.
    #[schema(example = "GARAN")]
    symbol: String,
    /// The exchange's own name.
    #[schema(example = "GARAN.E")]
    exchange_symbol: String,
    /// `1s`, `1m`, `1h`, `1d`.
    #[schema(example = "1m")]
    interval: &'static str,
    /// Oldest first.
    items: Vec<CandleShape>,
    /// The list has a hole: this reader was told of a gap.
    #[schema(example = false)]
    history_incomplete: bool,
    /// How true it is.
    #[serde(flatten)]
    standing: Standing,
}

impl CandleList {
    pub(crate) fn of(copy: CandlesCopy, interval: Interval) -> Self {
        let decimals = copy.head.price_decimals;
        let closed = copy.closed.iter().map(|candle| CandleShape::of(candle, decimals, true));
        let forming = copy.forming.iter().map(|candle| CandleShape::of(candle, decimals, false));
        Self {
            symbol: ticker(&copy.head.symbol).to_owned(),
            interval: interval.name(),
            items: closed.chain(forming).collect(),
            history_incomplete: copy.head.history_incomplete,
            standing: Standing::of(&copy.head),
            exchange_symbol: copy.head.symbol,
        }
    }
}

/// The books that move most.
#[derive(Serialize, ToSchema)]
pub(crate) struct Movers {
    /// What they are ordered by.
    #[schema(example = "gainers")]
    pub(crate) by: &'static str,
    /// First first; equal ones by symbol.
    pub(crate) items: Vec<Quote>,
}

/// One number that a caller can hit.
#[derive(Serialize, ToSchema)]
pub(crate) struct LimitShape {
    /// Name.
    #[schema(example = "rest.requests_burst")]
    pub(crate) name: &'static str,
    /// Value; null = no limit.
    #[schema(example = 400)]
    pub(crate) value: Option<u64>,
    /// Unit.
    #[schema(example = "requests")]
    pub(crate) unit: &'static str,
    /// What happens at it.
    #[schema(example = "429 RATE_LIMITED with Retry-After")]
    pub(crate) meaning: &'static str,
}

/// Every number that a caller can hit.
#[derive(Serialize, ToSchema)]
pub(crate) struct Limits {
    /// In no particular order.
    pub(crate) items: Vec<LimitShape>,
}

fn filled(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// A price with exactly `decimals` decimals; `None` when there is no price.
fn decimal(price: Price, decimals: u8) -> Option<String> {
    price.is_some().then(|| price.write(decimals, &mut [0; 24]).to_owned())
}

/// A price rounded half up to `decimals`.
fn rounded(price: Price, decimals: u8) -> String {
    let unit = book::types::unit_nanos(decimals);
    Price(price.0.saturating_add(unit / 2)).write(decimals, &mut [0; 24]).to_owned()
}

/// An amount in 10⁻⁹ units with exactly `decimals` decimals; digits below are cut off (there are none: quantities
/// are whole and prices have no more decimals).
fn amount(nanos: i128, decimals: u8) -> String {
    let decimals = decimals.min(Price::DECIMALS);
    scaled(nanos / i128::from(book::types::unit_nanos(decimals)), decimals)
}

/// An integer with `decimals` implied decimals as text.
fn scaled(value: i128, decimals: u8) -> String {
    let unit = 10u128.pow(u32::from(decimals));
    let (whole, rest) = (value.unsigned_abs() / unit, value.unsigned_abs() % unit);
    let sign = if value < 0 { "-" } else { "" };
    if decimals == 0 {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{rest:0width$}", width = decimals.into())
    }
}

/// RFC 3339 in UTC; `None` for 0, which means that there was no such moment.
pub(crate) fn rfc3339(ns: Nanos) -> Option<String> {
    if ns == 0 {
        return None;
    }
    Timestamp::from_nanosecond(i128::from(ns)).ok().map(|at| at.to_string())
}

fn nanos(ns: Nanos) -> Option<String> {
    (ns != 0).then(|| ns.to_string())
}

/// The number YYYYMMDD as `YYYY-MM-DD`; `None` for 0.
fn date(number: u32) -> Option<String> {
    (number != 0).then(|| format!("{:04}-{:02}-{:02}", number / 10_000, number / 100 % 100, number % 100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_text() {
        assert_eq!(amount(12_767_940_150_000_000, 2), "12767940.15");
        assert_eq!(amount(-50_000_000, 2), "-0.05");
        assert_eq!(amount(7_000_000_000, 0), "7");
        assert_eq!(scaled(-1, 2), "-0.01");
        assert_eq!(amount(i128::MAX, 9), "170141183460469231731687303715.884105727");
    }

    #[test]
    fn a_vwap_is_rounded_half_up() {
        assert_eq!(rounded(Price(103_421_650_000), 4), "103.4217");
        assert_eq!(rounded(Price(103_421_649_999), 4), "103.4216");
    }

    #[test]
    fn a_moment_is_written_twice() {
        assert_eq!(rfc3339(1_795_417_200_123_456_789).unwrap(), "2026-11-23T07:00:00.123456789Z");
        assert_eq!(rfc3339(1_795_417_200_000_000_000).unwrap(), "2026-11-23T07:00:00Z");
        assert_eq!(rfc3339(0), None);
        assert!(rfc3339(u64::MAX).is_some());
        assert_eq!(date(20_260_423).unwrap(), "2026-04-23");
    }
}
