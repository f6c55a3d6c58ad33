//! The most that one query may ask for. Numbers only; `rest.rs` refuses what is beyond, the service never gives more.

use api_kit::limits::Limit;

/// Levels of each side.
pub const DEPTH_MAX: usize = 100;
/// Symbols of a page.
pub const SYMBOLS_PAGE_MAX: usize = 1_000;
/// Quotes of a page, and names in `symbols`.
pub const QUOTES_PAGE_MAX: usize = 500;
/// Symbols to skip before a page.
pub const OFFSET_MAX: usize = 1_000_000;
/// Bytes of the list of names in `symbols`.
pub const NAMES_BYTES_MAX: usize = 8_192;
/// Bytes of one symbol, in a path or in `symbols`.
pub const SYMBOL_BYTES_MAX: usize = 64;
/// Trades.
pub const TRADES_MAX: usize = 1_000;
/// Candles.
pub const CANDLES_MAX: usize = 1_500;
/// Movers.
pub const MOVERS_MAX: usize = 100;
/// Bytes of a search text.
pub const SEARCH_BYTES_MAX: usize = 64;

/// All of them.
#[must_use]
pub fn limits() -> Vec<Limit> {
    let refused = "400 INVALID_PARAMETER";
    vec![
        Limit::of("rest.depth_max", DEPTH_MAX, "levels", refused),
        Limit::of("rest.symbols_page_max", SYMBOLS_PAGE_MAX, "symbols", refused),
        Limit::of("rest.quotes_page_max", QUOTES_PAGE_MAX, "symbols", refused),
        Limit::of("rest.offset_max", OFFSET_MAX, "symbols", refused),
        Limit::of("rest.names_bytes_max", NAMES_BYTES_MAX, "bytes", refused),
        Limit::of("rest.symbol_bytes_max", SYMBOL_BYTES_MAX, "bytes", refused),
        Limit::of("rest.trades_max", TRADES_MAX, "trades", refused),
        Limit::of("rest.candles_max", CANDLES_MAX, "candles", refused),
        Limit::of("rest.movers_max", MOVERS_MAX, "symbols", refused),
        Limit::of("rest.search_bytes_max", SEARCH_BYTES_MAX, "bytes", refused),
    ]
}
