//! Prices as text.

use book::Price;
use book::types::unit_nanos;

/// Eight bytes of a price, one of decimals, and then any text.
///
/// What is printed in full is read as the same price; what is printed with fewer decimals is cut, never rounded or moved;
/// and a text that is read is a price whose digits are those of the text.
pub fn price(data: &[u8]) {
    let Some((&nanos, [decimals, text @ ..])) = data.split_first_chunk::<8>() else { return };
    let price = Price(i64::from_le_bytes(nanos));
    let printed = price.to_string();
    if price.is_some() {
        assert_eq!(printed.parse(), Ok(price));
        assert_eq!(price.write(Price::DECIMALS, &mut [0; 24]).parse(), Ok(price));
        let mut buffer = [0; 24];
        let cut = price.write(*decimals, &mut buffer);
        let decimals = (*decimals).min(Price::DECIMALS);
        assert_eq!(cut.split_once('.').map_or(0, |(_, decimals)| decimals.len()), usize::from(decimals), "{cut}");
        assert_eq!(cut.parse(), Ok(Price(price.0 - price.0 % unit_nanos(decimals))), "{cut}");
        assert_eq!(Price::from_decimal(price.to_decimal(decimals), decimals), cut.parse().ok());
    } else {
        assert_eq!((printed.as_str(), price.write(*decimals, &mut [0; 24])), ("-", ""));
    }
    let Ok(text) = std::str::from_utf8(text) else { return };
    let Ok(read) = text.parse::<Price>() else { return };
    assert!(read.is_some());
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let negative = whole.starts_with('-');
    let digits = whole.trim_start_matches('-').trim_start_matches('0');
    let expected = format!("{}.{decimals:0<9}", if digits.is_empty() { "0" } else { digits });
    let expected = if negative && read.0 < 0 { format!("-{expected}") } else { expected };
    assert_eq!(read.write(Price::DECIMALS, &mut [0; 24]), expected, "{text}");
}
