//! How much one user may have, in one place: enforced by each subject, named in the list of limits.

use api_kit::limits::Limit;

/// Longest body of a request, bytes.
pub const BODY_BYTES_MAX: usize = 16 * 1024;

/// API keys of a user that are not revoked.
pub const KEYS_MAX: usize = 20;

/// Addresses of an API key.
pub const KEY_ADDRESSES_MAX: usize = 20;

/// Watch lists of a user.
pub const WATCHLISTS_MAX: usize = 50;

/// Symbols of a watch list.
pub const WATCHLIST_SYMBOLS_MAX: usize = 500;

/// Longest symbol of a watch list, bytes.
pub const SYMBOL_BYTES_MAX: usize = 32;

/// Longest name of a key or watch list, characters.
pub const NAME_CHARS_MAX: usize = 50;

/// Longest free data of the preferences as JSON, bytes.
pub const PREFERENCES_BYTES_MAX: usize = 8 * 1024;

/// The limits as they stand.
#[must_use]
pub fn limits() -> Vec<Limit> {
    vec![
        Limit::of("users.keys", KEYS_MAX, "API keys", "409 TOO_MANY_KEYS"),
        Limit::of("users.key_addresses", KEY_ADDRESSES_MAX, "addresses", "400 INVALID_ADDRESS"),
        Limit::of("users.watchlists", WATCHLISTS_MAX, "lists", "409 TOO_MANY_WATCHLISTS"),
        Limit::of("users.watchlist_symbols", WATCHLIST_SYMBOLS_MAX, "symbols", "400 INVALID_SYMBOL"),
        Limit::of("users.preferences_bytes", PREFERENCES_BYTES_MAX, "bytes", "400 INVALID_DATA"),
    ]
}
