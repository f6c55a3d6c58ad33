//! Prices, amounts and moments as text, exact to the last digit. Never a float.

use book::{Nanos, Price};
use jiff::Timestamp;

/// `None` for an empty text.
pub(crate) fn filled(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// A price with exactly `decimals` decimals; `None` when there is no price.
pub(crate) fn decimal(price: Price, decimals: u8) -> Option<String> {
    price.is_some().then(|| price.write(decimals, &mut [0; 24]).to_owned())
}

/// A price rounded half up to `decimals`.
pub(crate) fn rounded(price: Price, decimals: u8) -> String {
    let unit = book::types::unit_nanos(decimals);
    Price(price.0.saturating_add(unit / 2)).write(decimals, &mut [0; 24]).to_owned()
}

/// An amount in 10⁻⁹ units with exactly `decimals` decimals; digits below are cut off (there are none: quantities
/// are whole and prices have no more decimals).
pub(crate) fn amount(nanos: i128, decimals: u8) -> String {
    let decimals = decimals.min(Price::DECIMALS);
    scaled(nanos / i128::from(book::types::unit_nanos(decimals)), decimals)
}

/// An integer with `decimals` implied decimals as text.
pub(crate) fn scaled(value: i128, decimals: u8) -> String {
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

/// Nanoseconds since 1970; `None` for 0, which means that there was no such moment.
pub(crate) fn nanos(ns: Nanos) -> Option<String> {
    (ns != 0).then(|| ns.to_string())
}

/// The number YYYYMMDD as `YYYY-MM-DD`; `None` for 0.
pub(crate) fn date(number: u32) -> Option<String> {
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
