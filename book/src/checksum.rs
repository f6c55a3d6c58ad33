//! CRC32 over the best ten levels, so that a reader can prove that its book is ours.
//!
//! The rule is Kraken's (WebSocket v2, book checksum): asks from low to high, then bids from high to low, ten
//! of each; of every level the price and then the quantity, as written with the book's decimals, with the dot
//! and then the leading zeros removed; one zlib CRC32 over all of it. Never allocates.

use crc32fast::Hasher;

use crate::types::Price;

/// Levels of each side that count.
pub const CHECKSUM_LEVELS: usize = 10;

/// The checksum of a book; both sides best first, more than ten levels are ignored.
///
/// `decimals` are the book's (0..=9): readers see prices written with exactly these. Quantities are whole.
#[must_use]
pub fn checksum(
    decimals: u8,
    asks: impl IntoIterator<Item = (Price, u64)>,
    bids: impl IntoIterator<Item = (Price, u64)>,
) -> u32 {
    let mut hasher = Hasher::new();
    for (price, quantity) in asks.into_iter().take(CHECKSUM_LEVELS).chain(bids.into_iter().take(CHECKSUM_LEVELS)) {
        if price.0 < 0 {
            put_below_zero(&mut hasher, price, decimals);
        } else {
            // The text without dot and leading zeros is the number in units of the last decimal.
            put(&mut hasher, price.to_decimal(decimals).unsigned_abs());
        }
        put(&mut hasher, quantity);
    }
    hasher.finalize()
}

fn put(hasher: &mut Hasher, mut number: u64) {
    let mut text = [0; 20];
    let mut at = text.len();
    while number > 0 {
        at -= 1;
        text[at] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    hasher.update(&text[at..]);
}

/// With the sign in front no zero is a leading one. Combinations are traded at such prices.
#[cold]
fn put_below_zero(hasher: &mut Hasher, price: Price, decimals: u8) {
    let mut buffer = [0; 24];
    price.write(decimals, &mut buffer).split('.').for_each(|part| hasher.update(part.as_bytes()));
}

/// The checksum as its rule is worded, on text: the reference beside [`checksum`], also printed as the
/// vectors of the protocol documentation.
#[must_use]
pub fn checksum_of_text(asks: &[(&str, &str)], bids: &[(&str, &str)]) -> u32 {
    let strip = |text: &str| text.replace('.', "").trim_start_matches('0').to_owned();
    let text: String = asks
        .iter()
        .take(CHECKSUM_LEVELS)
        .chain(bids.iter().take(CHECKSUM_LEVELS))
        .flat_map(|(price, quantity)| [strip(price), strip(quantity)])
        .collect();
    crc32fast::hash(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example of Kraken's own documentation (WebSocket v2, checksum guide).
    #[test]
    fn krakens_published_example() {
        let asks = [
            ("45285.2", "0.00100000"),
            ("45286.4", "1.54571953"),
            ("45286.6", "1.54571109"),
            ("45289.6", "1.54560911"),
            ("45290.2", "0.15890660"),
            ("45291.8", "1.54553491"),
            ("45294.7", "0.04454749"),
            ("45296.1", "0.35380000"),
            ("45297.5", "0.09945542"),
            ("45299.5", "0.18772827"),
        ];
        let bids = [
            ("45283.5", "0.10000000"),
            ("45283.4", "1.54582015"),
            ("45282.1", "0.10000000"),
            ("45281.0", "0.10000000"),
            ("45280.3", "1.54592586"),
            ("45279.0", "0.07990000"),
            ("45277.6", "0.03310103"),
            ("45277.5", "0.30000000"),
            ("45277.3", "1.54602737"),
            ("45276.6", "0.15445238"),
        ];
        assert_eq!(checksum_of_text(&asks, &bids), 3_310_070_434);
    }

    #[test]
    fn the_fast_form_equals_the_worded_rule() {
        let asks = [("312.500", "1000"), ("312.750", "7"), ("0.010", "18446744073709551615")];
        let bids = [("312.250", "10"), ("20.000", "200"), ("-0.005", "7"), ("-1.250", "40")];
        let fast = |levels: &[(&str, &str)]| -> Vec<(Price, u64)> {
            levels
                .iter()
                .map(|(price, quantity)| {
                    let units = price.replace('.', "").parse().unwrap();
                    (Price::from_decimal(units, 3).unwrap(), quantity.parse().unwrap())
                })
                .collect()
        };
        assert_eq!(checksum(3, fast(&asks), fast(&bids)), checksum_of_text(&asks, &bids));
        assert_eq!(checksum(3, [], []), 0, "an empty book");
    }
}
