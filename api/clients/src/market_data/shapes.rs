//! What the answers look like: the public JSON shapes, apart from the types of the core, so that a change inside
//! cannot change the outside by accident. Never computes or formats a value.
//!
//! Prices are decimal strings with the book's decimals, quantities are strings, times are RFC 3339 in UTC and
//! nanoseconds as a string: a JavaScript number is exact only up to 2^53. Nothing is ever a float.

use serde::Serialize;
use utoipa::ToSchema;

/// What may be known about the truth of the data beside it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Standing {
    /// Trading phase: `continuous`, `opening_collection`, `volatility_auction`, …; `unknown` when it was never stated.
    #[schema(example = "continuous")]
    pub phase: &'static str,
    /// Nothing has come from the feed for too long: the data is old.
    #[schema(example = false)]
    pub stale: bool,
    /// False until a whole snapshot of the book has come.
    #[schema(example = true)]
    pub in_sync: bool,
    /// Messages were lost or contradicted each other, and no snapshot has repaired it yet.
    #[schema(example = false)]
    pub maybe_bad: bool,
    /// Why it may be wrong: `gap`, `joined_midway`, `jump`, `refused_message`, `unknown_order`, `duplicate_order`, `excess`,
    /// `crossed`, `bound`, `broken_trade`, `line_mismatch`; null when `maybe_bad` is false.
    #[schema(example = "gap")]
    pub reason: Option<&'static str>,
    /// Epoch that `seq` belongs to.
    #[schema(example = 7)]
    pub epoch: u64,
    /// Ingest sequence number of the last update of this book.
    #[schema(example = 1202)]
    pub seq: u64,
    /// Exchange clock at that update, RFC 3339; null before the first.
    #[schema(example = "2026-11-23T07:00:00.123456789Z")]
    pub ts_event: Option<String>,
    /// The same, nanoseconds since 1970.
    #[schema(example = "1795417200123456789")]
    pub ts_event_ns: Option<String>,
    /// Our clock at that update, RFC 3339.
    #[schema(example = "2026-11-23T07:00:00.123489012Z")]
    pub ts_recv: Option<String>,
    /// The same, nanoseconds since 1970.
    #[schema(example = "1795417200123489012")]
    pub ts_recv_ns: Option<String>,
}

/// One step table of an instrument's prices.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Tick {
    /// First price.
    #[schema(example = "100.00")]
    pub from: Option<String>,
    /// Last price; null = no upper end.
    #[schema(example = "249.90")]
    pub to: Option<String>,
    /// Step.
    #[schema(example = "0.10")]
    pub tick: Option<String>,
}

/// An instrument.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Instrument {
    /// Ticker; for anything but a share of the main board, the exchange's own name.
    #[schema(example = "GARAN")]
    pub symbol: String,
    /// The exchange's own name, accepted everywhere as the same thing.
    #[schema(example = "GARAN.E")]
    pub exchange_symbol: String,
    /// Long name.
    #[schema(example = "TURKIYE GARANTI BANKASI")]
    pub name: String,
    /// ISIN.
    #[schema(example = "TRAGARAN91N1")]
    pub isin: Option<String>,
    /// ISO 4217.
    #[schema(example = "TRY")]
    pub currency: Option<String>,
    /// Decimals of every price of this book.
    #[schema(example = 2)]
    pub price_decimals: u8,
    /// Smallest tradable quantity.
    #[schema(example = "1")]
    pub round_lot: String,
    /// The exchange's number of the kind of product (BISTECH ITCH, message R); 5 = share, 0 = not stated.
    #[schema(example = 5)]
    pub product: u8,
    /// Expiration of a contract.
    #[schema(example = json!(null))]
    pub expiration: Option<String>,
    /// Strike of an option.
    #[schema(example = json!(null))]
    pub strike: Option<String>,
    /// Underlying of a contract.
    #[schema(example = json!(null))]
    pub underlying: Option<String>,
    /// `allowed`, `not_allowed`, `up_tick`; null when it was never stated.
    #[schema(example = "allowed")]
    pub short_sell: Option<&'static str>,
    /// Which prices are valid, in bands.
    pub ticks: Vec<Tick>,
    /// Lowest price allowed today.
    #[schema(example = "90.00")]
    pub limit_low: Option<String>,
    /// Highest price allowed today.
    #[schema(example = "110.00")]
    pub limit_high: Option<String>,
    /// Base price of the day.
    #[schema(example = "100.00")]
    pub reference: Option<String>,
    /// The exchange's own name of the trading state.
    #[schema(example = "P_SUREKLI_ISLEM")]
    pub state: Option<String>,
    /// How true it is.
    #[serde(flatten)]
    pub standing: Standing,
}

/// One price level.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LevelShape {
    /// Price; null for orders without one (market orders of an auction).
    #[schema(example = "105.00")]
    pub price: Option<String>,
    /// Total quantity.
    #[schema(example = "1500")]
    pub quantity: String,
    /// Number of orders.
    #[schema(example = 3)]
    pub orders: u32,
}

/// The equilibrium of a running auction.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EquilibriumShape {
    /// Price at which the auction would match now.
    #[schema(example = "105.00")]
    pub price: Option<String>,
    /// Bid quantity available at it.
    #[schema(example = "1000")]
    pub bid_quantity: String,
    /// Ask quantity available at it.
    #[schema(example = "800")]
    pub ask_quantity: String,
}

/// The best prices and the day of one book.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Quote {
    /// Ticker.
    #[schema(example = "GARAN")]
    pub symbol: String,
    /// The exchange's own name.
    #[schema(example = "GARAN.E")]
    pub exchange_symbol: String,
    /// Long name (in `movers` only).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "TURKIYE GARANTI BANKASI")]
    pub name: Option<String>,
    /// ISO 4217.
    #[schema(example = "TRY")]
    pub currency: Option<String>,
    /// Best bid; null when there is none.
    pub bid: Option<LevelShape>,
    /// Best ask; null when there is none.
    pub ask: Option<LevelShape>,
    /// Equilibrium of a running auction; null outside auctions.
    pub equilibrium: Option<EquilibriumShape>,
    /// Last trade; null before the first of the day.
    #[schema(example = "105.10")]
    pub last: Option<String>,
    /// Last minus reference.
    #[schema(example = "5.10")]
    pub change: Option<String>,
    /// The change in percent of the reference, two decimals, rounded half away from zero.
    #[schema(example = "5.10")]
    pub change_percent: Option<String>,
    /// First trade of the day.
    #[schema(example = "101.00")]
    pub open: Option<String>,
    /// Highest trade.
    #[schema(example = "105.10")]
    pub high: Option<String>,
    /// Lowest trade.
    #[schema(example = "100.50")]
    pub low: Option<String>,
    /// Closing price, once the day is over.
    #[schema(example = json!(null))]
    pub close: Option<String>,
    /// Base price of the day.
    #[schema(example = "100.00")]
    pub reference: Option<String>,
    /// Lowest price allowed today.
    #[schema(example = "90.00")]
    pub limit_low: Option<String>,
    /// Highest price allowed today.
    #[schema(example = "110.00")]
    pub limit_high: Option<String>,
    /// Volume-weighted average price, two decimals more than a price, rounded half up.
    #[schema(example = "103.4217")]
    pub vwap: Option<String>,
    /// Traded quantity of the day.
    #[schema(example = "123456")]
    pub volume: String,
    /// Σ price × quantity of the day, exact.
    #[schema(example = "12767940.15")]
    pub turnover: String,
    /// Number of trades of the day.
    #[schema(example = 842)]
    pub trades: u64,
    /// How true it is.
    #[serde(flatten)]
    pub standing: Standing,
}

/// The quotes of several symbols.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Quotes {
    /// One quote per known symbol, in the order asked.
    pub items: Vec<Quote>,
    /// Names that nothing is called by.
    #[schema(example = json!([]))]
    pub not_found: Vec<String>,
    /// Symbols of the whole list.
    #[schema(example = 2)]
    pub total: usize,
    /// Symbols before this page.
    #[schema(example = 0)]
    pub offset: usize,
    /// Symbols a page may hold.
    #[schema(example = 500)]
    pub limit: usize,
}

/// The levels of one book.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OrderBook {
    /// Ticker.
    #[schema(example = "GARAN")]
    pub symbol: String,
    /// The exchange's own name.
    #[schema(example = "GARAN.E")]
    pub exchange_symbol: String,
    /// Bids, best first.
    pub bids: Vec<LevelShape>,
    /// Asks, best first.
    pub asks: Vec<LevelShape>,
    /// All bid levels of the book, shown or not.
    #[schema(example = 42)]
    pub bid_levels: usize,
    /// All ask levels of the book, shown or not.
    #[schema(example = 40)]
    pub ask_levels: usize,
    /// CRC32 over the best ten levels, Kraken's rule (asks low to high, then bids high to low, of each the price and
    /// the quantity without dot and leading zeros), whatever depth was asked.
    #[schema(example = 3310070434u32)]
    pub checksum: u32,
    /// How true it is.
    #[serde(flatten)]
    pub standing: Standing,
}

/// One trade.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TradeShape {
    /// Ingest sequence number, in the epoch it happened in.
    #[schema(example = 1190)]
    pub seq: u64,
    /// The exchange's match number.
    #[schema(example = "6789012345")]
    pub match_id: String,
    /// Price.
    #[schema(example = "105.10")]
    pub price: Option<String>,
    /// Quantity.
    #[schema(example = "250")]
    pub quantity: String,
    /// The aggressor's side as on the WebSocket: `B` the buyer, `A` the seller; `N` in auctions and where not known.
    #[schema(example = "B")]
    pub side: &'static str,
    /// `cross` (auction), `hidden`, `non_printable` (not in volume), `broken` (cancelled afterwards).
    #[schema(example = json!([]))]
    pub conditions: Vec<&'static str>,
    /// Exchange clock, RFC 3339.
    #[schema(example = "2026-11-23T07:00:00.123456789Z")]
    pub ts_event: Option<String>,
    /// The same, nanoseconds since 1970.
    #[schema(example = "1795417200123456789")]
    pub ts_event_ns: Option<String>,
    /// Our clock, RFC 3339.
    #[schema(example = "2026-11-23T07:00:00.123489012Z")]
    pub ts_recv: Option<String>,
    /// The same, nanoseconds since 1970.
    #[schema(example = "1795417200123489012")]
    pub ts_recv_ns: Option<String>,
}

/// The last trades of one book.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Trades {
    /// Ticker.
    #[schema(example = "GARAN")]
    pub symbol: String,
    /// The exchange's own name.
    #[schema(example = "GARAN.E")]
    pub exchange_symbol: String,
    /// Newest first.
    pub items: Vec<TradeShape>,
    /// The list has a hole: this reader was told of a gap.
    #[schema(example = false)]
    pub history_incomplete: bool,
    /// How true it is.
    #[serde(flatten)]
    pub standing: Standing,
}

/// One candle.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CandleShape {
    /// Start of the interval, RFC 3339; days start at midnight in Istanbul.
    #[schema(example = "2026-11-23T07:00:00Z")]
    pub start: Option<String>,
    /// The same, nanoseconds since 1970.
    #[schema(example = "1795417200000000000")]
    pub start_ns: Option<String>,
    /// First price.
    #[schema(example = "105.00")]
    pub open: Option<String>,
    /// Highest price.
    #[schema(example = "105.20")]
    pub high: Option<String>,
    /// Lowest price.
    #[schema(example = "104.90")]
    pub low: Option<String>,
    /// Last price.
    #[schema(example = "105.10")]
    pub close: Option<String>,
    /// Traded quantity.
    #[schema(example = "4200")]
    pub volume: String,
    /// Σ price × quantity, exact.
    #[schema(example = "441210.00")]
    pub turnover: String,
    /// Number of trades.
    #[schema(example = 17)]
    pub trades: u32,
    /// False while it is still forming (the last one only).
    #[schema(example = true)]
    pub closed: bool,
}

/// The last candles of one book. An interval without a trade has none.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CandleList {
    /// Ticker.
    #[schema(example = "GARAN")]
    pub symbol: String,
    /// The exchange's own name.
    #[schema(example = "GARAN.E")]
    pub exchange_symbol: String,
    /// `1s`, `1m`, `1h`, `1d`.
    #[schema(example = "1m")]
    pub interval: &'static str,
    /// Oldest first.
    pub items: Vec<CandleShape>,
    /// The list has a hole: this reader was told of a gap.
    #[schema(example = false)]
    pub history_incomplete: bool,
    /// How true it is.
    #[serde(flatten)]
    pub standing: Standing,
}

/// The books that move most.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Movers {
    /// What they are ordered by.
    #[schema(example = "gainers")]
    pub by: &'static str,
    /// First first; equal ones by symbol.
    pub items: Vec<Quote>,
}

/// The whole feed in a few numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct FeedSummary {
    /// Epoch in force; 0 before the first session.
    #[schema(example = 7)]
    pub epoch: u64,
    /// Ingest sequence number of the last update.
    #[schema(example = 1202)]
    pub seq: u64,
    /// Nothing has come from the feed for too long.
    #[schema(example = false)]
    pub stale: bool,
    /// The exchange sent its last message of the day.
    #[schema(example = false)]
    pub day_over: bool,
    /// Books known.
    #[schema(example = 600)]
    pub books: usize,
    /// Of these, in sync.
    #[schema(example = 600)]
    pub in_sync: usize,
    /// Of those in sync, marked as possibly wrong.
    #[schema(example = 0)]
    pub maybe_bad: usize,
}
