//! One line of text with its bounds known beforehand: constant pieces and numbers, put down in whole words.
//!
//! For the frames that are made most often: a piece is copied as a constant number of bytes and the end moved by as many
//! as count, so that nothing branches on lengths or grows a buffer. Knows digits and times, no JSON beyond quotes.
//! Never allocates after construction; a line that does not fit is a fault of its caller and panics.

use book::types::unit_nanos;
use book::{Nanos, Price};

const ASCII_ZEROS: u64 = 0x3030_3030_3030_3030;
const EIGHT_DIGITS: u64 = 100_000_000;
const SECOND_NS: u64 = 1_000_000_000;

/// A number as digits: up to three times eight, the last ones first; every digit is a byte, the first in the lowest.
#[derive(Clone, Copy, Debug)]
pub struct Number {
    /// Digits, padded with zeros in front.
    eights: [u64; 3],
    /// How many of `eights` count, 1..=3.
    count: u8,
    /// Zeros in front of the first digit of the last of them, 0..=8.
    zeros: u8,
}

impl Number {
    /// Of any number.
    #[inline(always)]
    #[must_use]
    pub fn new(number: u64) -> Self {
        if number < EIGHT_DIGITS {
            return Self::short(number);
        }
        if number < EIGHT_DIGITS * EIGHT_DIGITS {
            let (high, low) = (number / EIGHT_DIGITS, number % EIGHT_DIGITS);
            let Self { eights: [high, ..], zeros, .. } = Self::short(high);
            return Self { eights: [eight(low as u32), high, 0], count: 2, zeros };
        }
        Self::long(number)
    }

    #[inline(always)]
    fn short(number: u64) -> Self {
        let digits = eight(number as u32);
        Self { eights: [digits, 0, 0], count: 1, zeros: (digits.trailing_zeros() / 8) as u8 }
    }

    #[inline(never)]
    fn long(number: u64) -> Self {
        let mut rest = number;
        let mut eights = [0; 3];
        let mut count = 0;
        while rest > 0 {
            eights[count] = eight((rest % EIGHT_DIGITS) as u32);
            rest /= EIGHT_DIGITS;
            count += 1;
        }
        Self { eights, count: count as u8, zeros: (eights[count - 1].trailing_zeros() / 8) as u8 }
    }

    /// How many digits, without leading zeros: a zero has none.
    #[inline(always)]
    #[must_use]
    pub fn digits(&self) -> usize {
        usize::from(self.count) * 8 - usize::from(self.zeros)
    }

    /// Hands out eight digits at a time, the last of the number first. In front of the first digit stands 15.
    #[inline(always)]
    pub fn each_eight(&self, mut each: impl FnMut(u64)) {
        let last = usize::from(self.count) - 1;
        for &digits in &self.eights[..last] {
            each(digits);
        }
        let in_front = u64::MAX.checked_shr(64 - 8 * u32::from(self.zeros)).unwrap_or(0);
        each(self.eights[last] | in_front & 0x0F0F_0F0F_0F0F_0F0F);
    }
}

/// The eight digits of a number below 10⁸, the first in the lowest byte. Two, four, eight numbers side by side in a word.
#[inline(always)]
fn eight(number: u32) -> u64 {
    debug_assert!(u64::from(number) < EIGHT_DIGITS);
    let fours = u64::from(number / 10_000) | u64::from(number % 10_000) << 32;
    let hundreds = ((fours * 5_243) >> 19) & 0x0000_007F_0000_007F; // exact below 10,000
    let twos = hundreds | (fours - hundreds * 100) << 16;
    let tens = ((twos * 103) >> 10) & 0x000F_000F_000F_000F; // exact below 100
    tens | (twos - tens * 10) << 8
}

/// The text of the second that a clock was in when it was last written: only what is below is formatted anew.
#[derive(Clone, Copy, Debug, Default)]
pub struct Second {
    second: u64,
    text: [u8; 16],
    length: usize,
}

/// A line being written into a buffer that is long enough.
pub struct Line<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl<'a> Line<'a> {
    /// Begins at `at`.
    #[inline(always)]
    pub fn new(bytes: &'a mut [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// Where it ends.
    #[inline(always)]
    #[must_use]
    pub fn end(&self) -> usize {
        self.at
    }

    /// Appends a constant.
    #[inline(always)]
    pub fn put<const N: usize>(&mut self, text: &[u8; N]) {
        self.first(N, text);
    }

    /// Appends the first `length` bytes of an array; the others are scribbled behind the end.
    #[inline(always)]
    pub fn first<const N: usize>(&mut self, length: usize, text: &[u8; N]) {
        self.bytes[self.at..self.at + N].copy_from_slice(text);
        self.at += length;
    }

    /// Appends text of any length.
    #[inline]
    pub fn text(&mut self, text: &[u8]) {
        self.bytes[self.at..self.at + text.len()].copy_from_slice(text);
        self.at += text.len();
    }

    /// Appends a number: at least one digit.
    #[inline(always)]
    pub fn number(&mut self, number: Number) {
        let last = usize::from(number.count) - 1;
        let zeros = u32::from(number.zeros.min(7));
        let first = number.eights[last] | ASCII_ZEROS;
        self.first(8 - zeros as usize, &(first >> (8 * zeros)).to_le_bytes());
        for &digits in number.eights[..last].iter().rev() {
            self.put(&(digits | ASCII_ZEROS).to_le_bytes());
        }
    }

    /// Appends an integer.
    #[inline(always)]
    pub fn integer(&mut self, number: u64) {
        self.number(Number::new(number));
    }

    /// Appends a price in quotes with `decimals` decimals (0..=9), as `json::price` does; returns its digits in units of
    /// the last decimal.
    #[inline(always)]
    pub fn price(&mut self, price: Price, decimals: u8) -> Number {
        let units = Number::new(price.0.unsigned_abs() / unit_nanos(decimals).unsigned_abs());
        if price.0 < 0 || units.count > 1 || decimals > 7 {
            self.any_price(price, decimals);
            return units;
        }
        let decimals = usize::from(decimals);
        // At least one digit stands before the dot.
        let zeros = usize::from(units.zeros).min(7 - decimals);
        let digits = (units.eights[0] | ASCII_ZEROS) >> (8 * zeros);
        let whole = 8 - zeros - decimals;
        self.put(b"\"");
        self.first(whole, &digits.to_le_bytes());
        if decimals > 0 {
            self.put(b".");
            self.first(decimals, &(digits >> (8 * whole)).to_le_bytes());
        }
        self.put(b"\"");
        units
    }

    #[inline(never)]
    fn any_price(&mut self, price: Price, decimals: u8) {
        self.put(b"\"");
        self.text(price.write(decimals, &mut [0; 24]).as_bytes());
        self.put(b"\"");
    }

    /// Appends a time as nanoseconds since 1970.
    #[inline(always)]
    pub fn time(&mut self, ns: Nanos, second: &mut Second) {
        let (seconds, below) = (ns / SECOND_NS, ns % SECOND_NS);
        if seconds == 0 {
            return self.integer(ns);
        }
        if seconds != second.second {
            let mut text = [0; 32];
            let mut line = Line::new(&mut text, 0);
            line.integer(seconds);
            let length = line.end(); // at most eleven: 2⁶⁴ ns are 18,446,744,073 s
            second.text.copy_from_slice(&text[..16]);
            (second.second, second.length) = (seconds, length);
        }
        self.first(second.length, &second.text);
        let below = below as u32;
        self.put(&[b'0' + (below / 100_000_000) as u8]);
        self.put(&(eight(below % 100_000_000) | ASCII_ZEROS).to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    fn line(write: impl FnOnce(&mut Line<'_>)) -> String {
        let mut bytes = [b'#'; 80];
        let mut line = Line::new(&mut bytes, 3);
        write(&mut line);
        let end = line.end();
        assert_eq!(&bytes[..3], b"###");
        String::from_utf8(bytes[3..end].to_vec()).unwrap()
    }

    fn numbers() -> impl Iterator<Item = u64> {
        let powers = (0..20).flat_map(|power| {
            let ten = 10_u64.pow(power);
            [ten - 1, ten, ten + 1]
        });
        let mut state = 1_u64;
        let random = (0..20_000).map(move |n| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state >> (n % 64)
        });
        powers.chain([u64::MAX]).chain(random)
    }

    #[test]
    fn numbers_are_written_as_the_standard_library_writes_them() {
        for number in numbers() {
            assert_eq!(line(|line| line.integer(number)), number.to_string());
            let digits = if number == 0 { 0 } else { number.to_string().len() };
            assert_eq!(Number::new(number).digits(), digits);
        }
    }

    #[test]
    fn eight_digits_at_a_time_are_all_of_them() {
        for number in numbers() {
            let mut digits = Vec::new();
            Number::new(number).each_eight(|eight| digits.extend(eight.to_be_bytes()));
            digits.retain(|&digit| digit != 15);
            let text: String = digits.iter().rev().map(ToString::to_string).collect();
            assert_eq!(text, if number == 0 { String::new() } else { number.to_string() });
        }
    }

    #[test]
    fn prices_are_those_of_the_other_frames() {
        for number in numbers() {
            for price in [number.cast_signed(), (number >> 20).cast_signed(), (number >> 40).cast_signed()].map(Price) {
                for decimals in 0..=9 {
                    let mut want = Vec::new();
                    json::price(&mut want, price, decimals);
                    if price.is_some() {
                        let have = line(|line| {
                            let _ = line.price(price, decimals);
                        });
                        assert_eq!(have.as_bytes(), want, "{price:?} with {decimals}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_time_is_the_number_that_it_is() {
        let mut second = Second::default();
        for ns in numbers().flat_map(|ns| [ns, ns.saturating_add(7), ns]) {
            assert_eq!(line(|line| line.time(ns, &mut second)), ns.to_string());
        }
    }
}
