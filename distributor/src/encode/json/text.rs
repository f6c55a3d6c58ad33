//! Writing JSON by hand into a reused buffer: integers, decimals, times, escaped text.
//!
//! Never allocates beyond the growth of the buffer, never goes through `fmt`.

use book::types::unit_nanos;
use book::{Nanos, Price};

/// Appends text as it is.
#[inline]
pub fn raw(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

/// Appends an integer.
#[inline]
pub fn integer(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends an integer in quotes: it may exceed 2^53.
#[inline]
pub fn quoted(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.push(b'"');
    integer(out, number);
    out.push(b'"');
}

/// Appends a price in quotes, or `null`.
#[inline]
pub fn price(out: &mut Vec<u8>, price: Price, decimals: u8) {
    if !price.is_some() {
        return raw(out, "null");
    }
    // The digits of the whole number two at a time, then a dot among them: half the time of `Price::write`.
    let decimals = decimals.min(Price::DECIMALS);
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(price.0.unsigned_abs() / unit_nanos(decimals).unsigned_abs()).as_bytes();
    let decimals = usize::from(decimals);
    raw(out, if price.0 < 0 { "\"-" } else { "\"" });
    match digits.len().checked_sub(decimals) {
        _ if decimals == 0 => out.extend_from_slice(digits),
        None | Some(0) => {
            raw(out, "0.");
            out.extend_from_slice(&b"000000000"[..decimals - digits.len()]);
            out.extend_from_slice(digits);
        }
        Some(whole) => {
            out.extend_from_slice(&digits[..whole]);
            out.push(b'.');
            out.extend_from_slice(&digits[whole..]);
        }
    }
    out.push(b'"');
}

/// Appends an amount of 10⁻⁹ units in quotes with `decimals` decimals (0..=9); digits below are cut off.
pub fn amount(out: &mut Vec<u8>, amount: i128, decimals: u8) {
    let unit = i128::from(Price::SCALE);
    out.push(b'"');
    if amount < 0 {
        out.push(b'-');
    }
    let rest = amount.unsigned_abs() % unit.unsigned_abs();
    integer(out, amount.unsigned_abs() / unit.unsigned_abs());
    if decimals > 0 {
        out.push(b'.');
        let digits = rest as u64 + unit as u64; // a leading 1 keeps the zeros behind the dot
        let mut buffer = itoa::Buffer::new();
        let text = buffer.format(digits).as_bytes();
        out.extend_from_slice(&text[1..=usize::from(decimals.min(Price::DECIMALS))]);
    }
    out.push(b'"');
}

/// Appends text in quotes, escaped as RFC 8259 section 7 asks.
pub fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for &byte in text.as_bytes() {
        match byte {
            b'"' => raw(out, "\\\""),
            b'\\' => raw(out, "\\\\"),
            0..0x20 => {
                raw(out, "\\u00");
                let hex = b"0123456789abcdef";
                out.push(hex[usize::from(byte >> 4)]);
                out.push(hex[usize::from(byte & 15)]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// Appends a time in quotes: nanoseconds since 1970, or RFC 3339 with nine decimals.
#[inline]
pub fn time(out: &mut Vec<u8>, ns: Nanos, rfc3339: bool) {
    if !rfc3339 {
        return quoted(out, ns);
    }
    let (seconds, below) = (ns / 1_000_000_000, ns % 1_000_000_000);
    let (year, month, day) = date(seconds / 86_400);
    out.push(b'"');
    padded(out, year, 4);
    for (mark, number) in
        [(b'-', month), (b'-', day), (b'T', seconds / 3_600 % 24), (b':', seconds / 60 % 60), (b':', seconds % 60)]
    {
        out.push(mark);
        padded(out, number, 2);
    }
    out.push(b'.');
    padded(out, below, 9);
    raw(out, "Z\"");
}

fn padded(out: &mut Vec<u8>, number: u64, digits: usize) {
    let mut buffer = itoa::Buffer::new();
    let text = buffer.format(number).as_bytes();
    out.extend(std::iter::repeat_n(b'0', digits.saturating_sub(text.len())));
    out.extend_from_slice(text);
}

/// Year, month and day of the Gregorian calendar; years are counted from March so that the leap day is the last.
const fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // from 0000-03-01 to 1970-01-01
    let era = days / 146_097; // days of 400 years
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + (month <= 2) as u64, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_agree_with_a_calendar_library() {
        let mut ns: u64 = 0;
        while ns < 8_000_000_000_000_000_000 {
            let expected = jiff::Timestamp::from_nanosecond(i128::from(ns)).unwrap();
            let expected = format!("\"{expected:.9}\"");
            assert_eq!(written(|out| time(out, ns, true)), expected);
            ns += 86_399_123_456_789 * 31;
        }
        assert_eq!(written(|out| time(out, 5, false)), "\"5\"");
        written(|out| time(out, u64::MAX, true));
    }

    #[test]
    fn prices_are_those_of_the_price_itself() {
        let mut nanos = 1_i64;
        for _ in 0..40_000 {
            nanos = nanos.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            for shift in [0, 20, 40, 55, 63] {
                let at = Price(nanos >> shift);
                for decimals in [0, 1, 2, 3, 4, 9, 12] {
                    let expected = format!("\"{}\"", at.write(decimals, &mut [0; 24]));
                    assert_eq!(written(|out| price(out, at, decimals)), expected, "{at:?} with {decimals}");
                }
            }
        }
    }

    #[test]
    fn text_is_escaped_as_a_json_library_reads_it() {
        let nasty = "a\"b\\c\u{1}\n\u{7f}ğ\u{2028}";
        let back: String = serde_json::from_str(&written(|out| text(out, nasty))).unwrap();
        assert_eq!(back, nasty);
    }

    #[test]
    fn amounts_keep_their_decimals() {
        assert_eq!(written(|out| amount(out, 567_439_600_000_000_000, 2)), "\"567439600.00\"");
        assert_eq!(written(|out| amount(out, -50_000_000, 2)), "\"-0.05\"");
        assert_eq!(written(|out| amount(out, 1_999_999_999, 0)), "\"1\"");
        assert_eq!(written(|out| amount(out, i128::MIN, 9)), "\"-170141183460469231731687303715.884105728\"");
        assert_eq!(written(|out| price(out, Price::NONE, 2)), "null");
    }
}
