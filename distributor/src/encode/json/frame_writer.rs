//! One line of text with its bounds known beforehand: constant pieces and numbers, put down in whole words.
//!
//! For the frames that are made most often: a piece is copied as a constant number of bytes and the end moved by as many
//! as count, straight behind what its buffer holds, so that nothing branches on lengths, grows a buffer or is copied
//! again. Knows digits and times, no JSON beyond quotes. A line that does not fit is a fault of its caller and panics.

use std::mem::MaybeUninit;

use book::types::unit_nanos;
use book::{Nanos, Price};

/// Longest line. A power of two: a place is brought inside by a mask, which is cheaper than a branch for every piece, and
/// whether one went beyond is asked once, at the end.
pub const LINE_BYTES_MAX: usize = 32 << 10;
/// Longest piece.
const PIECE_BYTES_MAX: usize = 128;
/// A piece may begin at the last place of a line.
const ROOM_BYTES: usize = LINE_BYTES_MAX + PIECE_BYTES_MAX;

const ASCII_ZEROS: u64 = 0x3030_3030_3030_3030;
const EIGHT_DIGITS: u64 = 100_000_000;

/// A number as digits: the last eight as a word, the rest as a number of its own.
#[derive(Clone, Copy, Debug)]
pub struct Number {
    /// Its last eight digits, padded with zeros in front; every digit is a byte, the first in the lowest.
    last: u64,
    /// What stands before them; 0 in most numbers.
    front: u64,
    /// All digits without leading zeros: a zero has none.
    digits: u8,
}

impl Number {
    /// Of any number.
    #[inline(always)]
    #[must_use]
    pub fn new(number: u64) -> Self {
        if number >= EIGHT_DIGITS {
            return Self::long(number);
        }
        let last = eight(number as u32);
        Self { last, front: 0, digits: 8 - (last.trailing_zeros() / 8) as u8 }
    }

    #[inline(never)]
    fn long(number: u64) -> Self {
        let front = number / EIGHT_DIGITS;
        let last = eight((number % EIGHT_DIGITS) as u32);
        Self { last, front, digits: 8 + Self::new(front).digits }
    }

    /// How many digits, without leading zeros: a zero has none.
    #[inline(always)]
    #[must_use]
    pub fn digits(&self) -> usize {
        usize::from(self.digits)
    }

    /// The number before the last eight digits, 0 where there are no more.
    #[inline(always)]
    #[must_use]
    pub fn front(&self) -> u64 {
        self.front
    }

    /// The last eight digits as text, the first in the lowest byte; in front of the first digit are zero bytes.
    #[inline(always)]
    #[must_use]
    pub fn last_text(&self) -> u64 {
        let half_of_front = 4 * 8_u32.saturating_sub(u32::from(self.digits));
        // Twice by half, because a word cannot be shifted by all of its bits at once.
        (self.last | ASCII_ZEROS) & u64::MAX << half_of_front << half_of_front
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

/// The same of two numbers at once.
#[inline(always)]
fn eights(numbers: [u32; 2]) -> [u64; 2] {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every processor of this architecture has the instructions that the function asks for.
    return unsafe { eights_in_a_vector(numbers) };
    #[cfg(not(target_arch = "x86_64"))]
    numbers.map(eight)
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "sse2")]
fn eights_in_a_vector(numbers: [u32; 2]) -> [u64; 2] {
    use std::arch::x86_64::{
        _mm_add_epi64, _mm_cvtsi128_si64, _mm_mul_epu32, _mm_mulhi_epu16, _mm_mullo_epi16, _mm_or_si128,
        _mm_set_epi64x, _mm_set1_epi16, _mm_set1_epi64x, _mm_slli_epi16, _mm_slli_epi32, _mm_slli_epi64,
        _mm_srli_epi16, _mm_srli_epi64, _mm_sub_epi16, _mm_sub_epi64, _mm_unpackhi_epi64,
    };
    let all = _mm_set_epi64x(i64::from(numbers[1]), i64::from(numbers[0]));
    let high = _mm_srli_epi64::<45>(_mm_mul_epu32(all, _mm_set1_epi64x(3_518_437_209))); // exact below 2³²
    let low = _mm_sub_epi64(all, _mm_mul_epu32(high, _mm_set1_epi64x(10_000)));
    let fours = _mm_add_epi64(high, _mm_slli_epi64::<32>(low));
    let hundreds = _mm_srli_epi16::<3>(_mm_mulhi_epu16(fours, _mm_set1_epi16(5_243))); // exact below 10,000
    let rest = _mm_sub_epi16(fours, _mm_mullo_epi16(hundreds, _mm_set1_epi16(100)));
    let twos = _mm_or_si128(hundreds, _mm_slli_epi32::<16>(rest));
    let tens = _mm_srli_epi16::<10>(_mm_mullo_epi16(twos, _mm_set1_epi16(103))); // exact below 100
    let ones = _mm_sub_epi16(twos, _mm_mullo_epi16(tens, _mm_set1_epi16(10)));
    let digits = _mm_or_si128(tens, _mm_slli_epi16::<8>(ones));
    [digits, _mm_unpackhi_epi64(digits, digits)].map(|half| _mm_cvtsi128_si64(half).cast_unsigned())
}

/// Numbers below a hundred, padded with a zero behind where they have one digit.
static SMALL: [[u8; 2]; 100] = small();

const fn small() -> [[u8; 2]; 100] {
    let mut table = [[b'0'; 2]; 100];
    let mut number = 0;
    while number < 100 {
        table[number] = [b'0' + (number % 10) as u8, b'0'];
        if number >= 10 {
            table[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        }
        number += 1;
    }
    table
}

/// By decimals: what to multiply with instead of dividing by [`unit_nanos`], and by how many bits to shift 2⁶³ behind that.
/// With a factor of 64 bits, rounded up, the quotient of every number below 2⁶³ is exact.
static RECIPROCALS: [(u64, u32); 10] = reciprocals();

const fn reciprocals() -> [(u64, u32); 10] {
    let mut table = [(0, 0); 10];
    let mut decimals = 0;
    while decimals < 10 {
        let unit = unit_nanos(decimals as u8) as u128;
        let bits = unit.next_power_of_two().trailing_zeros();
        table[decimals] = ((1_u128 << (63 + bits)).div_ceil(unit) as u64, bits);
        decimals += 1;
    }
    table
}

/// A price without its sign, in units of the last of `decimals` decimals (0..=9).
#[inline(always)]
#[must_use]
pub fn units(price: Price, decimals: u8) -> u64 {
    match RECIPROCALS.get(usize::from(decimals)) {
        Some(&(factor, bits)) if price.0 >= 0 => {
            ((u128::from(price.0.cast_unsigned()) * u128::from(factor)) >> 63 >> bits) as u64
        }
        _ => units_by_division(price, decimals),
    }
}

#[inline(never)]
fn units_by_division(price: Price, decimals: u8) -> u64 {
    price.0.unsigned_abs() / unit_nanos(decimals).unsigned_abs()
}

/// Most bytes of a stamp's text.
const STAMP_BYTES: usize = 32;
/// Most bytes of its name: twelve digits of 2⁶⁴ come before the last eight.
const STAMP_NAME_BYTES_MAX: usize = STAMP_BYTES - 12;

/// A time with what stands before it, as it was last written: only its last eight digits are formatted anew.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    name: &'static str,
    /// The time without its last eight digits.
    front: u64,
    text: [u8; STAMP_BYTES],
    length: usize,
}

impl Stamp {
    /// Of times that come behind `name`, which has at most twenty bytes.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        assert!(name.len() <= STAMP_NAME_BYTES_MAX);
        Self { name, front: u64::MAX, text: [0; STAMP_BYTES], length: 0 }
    }

    #[cold]
    #[inline(never)]
    fn renew(&mut self, front: u64) {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(front).as_bytes();
        let (name, length) = (self.name.as_bytes(), self.name.len() + digits.len());
        self.text[..name.len()].copy_from_slice(name);
        self.text[name.len()..length].copy_from_slice(digits);
        (self.front, self.length) = (front, length);
    }
}

/// Writes a line behind what `out` holds. Takes memory only where the longest line would not fit.
#[inline(always)]
pub fn append(out: &mut Vec<u8>, write: impl FnOnce(&mut FrameWriter<'_>)) {
    out.reserve(ROOM_BYTES);
    let begin = out.len();
    let Some(bytes) = out.spare_capacity_mut().first_chunk_mut() else { return }; // OK because it was just reserved
    let mut line = FrameWriter { bytes, at: 0 };
    write(&mut line);
    let end = line.end();
    // SAFETY: of the room behind `begin` the first `end` bytes were written, because a line's end only moves over bytes
    // that it has put down.
    unsafe { out.set_len(begin + end) };
}

/// A line being written.
pub struct FrameWriter<'a> {
    bytes: &'a mut [MaybeUninit<u8>; ROOM_BYTES],
    /// Bytes before here are written, as far as they are in the room.
    at: usize,
}

impl FrameWriter<'_> {
    /// Its length.
    #[inline(always)]
    fn end(&self) -> usize {
        assert!(self.at <= LINE_BYTES_MAX, "a line of {} bytes", self.at);
        self.at
    }

    /// Appends a constant.
    #[inline(always)]
    pub fn put<const N: usize>(&mut self, text: &[u8; N]) {
        self.first(N, text);
    }

    /// Appends the first `length` bytes of an array (at most all); the others are scribbled behind the end.
    #[inline(always)]
    pub fn first<const N: usize>(&mut self, length: usize, text: &[u8; N]) {
        const { assert!(N <= PIECE_BYTES_MAX) };
        let at = self.at & (LINE_BYTES_MAX - 1);
        self.bytes[at..at + N].write_copy_of_slice(text);
        self.at += length.min(N);
    }

    /// Appends text of any length.
    #[inline]
    pub fn text(&mut self, text: &[u8]) {
        self.bytes[self.at..self.at + text.len()].write_copy_of_slice(text);
        self.at += text.len();
    }

    /// Appends a number: at least one digit.
    #[inline(always)]
    pub fn number(&mut self, number: Number) {
        if number.front > 0 {
            return self.long(number);
        }
        let digits = u32::from(number.digits).max(1);
        self.first(digits as usize, &((number.last | ASCII_ZEROS) >> (64 - 8 * digits)).to_le_bytes());
    }

    #[inline(never)]
    fn long(&mut self, number: Number) {
        self.number(Number::new(number.front));
        self.put(&(number.last | ASCII_ZEROS).to_le_bytes());
    }

    /// Appends an integer.
    #[inline(always)]
    pub fn integer(&mut self, number: u64) {
        self.number(Number::new(number));
    }

    /// Appends an integer that is mostly below 10,000.
    #[inline(always)]
    pub fn small(&mut self, number: u32) {
        if number >= 10_000 {
            return self.any(u64::from(number));
        }
        let twos = (number / 100) | ((number % 100) << 16);
        let tens = ((twos * 103) >> 10) & 0x000F_000F; // exact below 100
        let digits = tens | (twos - tens * 10) << 8;
        let zeros = (digits.trailing_zeros() / 8).min(3);
        self.first(4 - zeros as usize, &((digits | ASCII_ZEROS as u32) >> (8 * zeros)).to_le_bytes());
    }

    /// Appends an integer that mostly has nine or ten digits.
    #[inline(always)]
    pub fn ten_digits(&mut self, number: u32) {
        let (front, last) = (number / EIGHT_DIGITS as u32, number % EIGHT_DIGITS as u32);
        if front == 0 {
            return self.any(u64::from(number));
        }
        self.first(1 + usize::from(front >= 10), &SMALL[front as usize]);
        self.put(&(eight(last) | ASCII_ZEROS).to_le_bytes());
    }

    #[inline(never)]
    fn any(&mut self, number: u64) {
        self.integer(number);
    }

    /// Appends a price in quotes with `decimals` decimals (0..=9), as `json::price` does; returns its digits in units of
    /// the last decimal.
    #[inline(always)]
    pub fn price(&mut self, price: Price, decimals: u8) -> Number {
        let units = Number::new(units(price, decimals));
        if price.0 < 0 || units.front > 0 || decimals > 7 {
            self.any_price(price, decimals);
            return units;
        }
        let decimals = usize::from(decimals);
        // At least one digit stands before the dot.
        let whole = usize::from(units.digits).max(decimals + 1).min(8) - decimals;
        let digits = (units.last | ASCII_ZEROS) >> (8 * (8 - whole - decimals));
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

    /// Appends a stamp's name and a time as nanoseconds since 1970; twice.
    #[inline(always)]
    pub fn two_times(&mut self, ns: [Nanos; 2], stamps: [&mut Stamp; 2]) {
        let eights = eights(ns.map(|ns| (ns % EIGHT_DIGITS) as u32));
        for ((ns, stamp), eight) in ns.into_iter().zip(stamps).zip(eights) {
            self.stamped(ns, stamp, eight);
        }
    }

    /// The same once.
    #[inline(always)]
    pub fn time(&mut self, ns: Nanos, stamp: &mut Stamp) {
        self.stamped(ns, stamp, eight((ns % EIGHT_DIGITS) as u32));
    }

    /// `eight`: the last eight digits.
    #[inline(always)]
    fn stamped(&mut self, ns: Nanos, stamp: &mut Stamp, eight: u64) {
        let front = ns / EIGHT_DIGITS;
        if front != stamp.front {
            if front == 0 {
                return self.early(ns, stamp);
            }
            stamp.renew(front);
        }
        self.first(stamp.length, &stamp.text);
        self.put(&(eight | ASCII_ZEROS).to_le_bytes());
    }

    /// The first tenth of a second has no digits before the last eight.
    #[cold]
    #[inline(never)]
    fn early(&mut self, ns: Nanos, stamp: &Stamp) {
        self.text(stamp.name.as_bytes());
        self.integer(ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::json::text as json;

    fn line(write: impl FnOnce(&mut FrameWriter<'_>)) -> String {
        let mut bytes = b"###".to_vec();
        append(&mut bytes, write);
        assert_eq!(&bytes[..3], b"###");
        String::from_utf8(bytes[3..].to_vec()).unwrap()
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
    fn the_last_digits_and_those_before_them_are_all_of_them() {
        fn text(number: Number) -> String {
            let front = number.front();
            let mut text = if front > 0 { text(Number::new(front)) } else { String::new() };
            text.extend(number.last_text().to_le_bytes().map(char::from).into_iter().skip_while(|&byte| byte == '\0'));
            text
        }
        for number in numbers() {
            let want = if number == 0 { String::new() } else { number.to_string() };
            assert_eq!(text(Number::new(number)), want);
        }
    }

    #[test]
    fn small_and_large_integers_are_the_same_by_every_way() {
        for number in numbers().map(|number| number as u32).chain([9, 10, 99, 100, u32::MAX]) {
            assert_eq!(line(|line| line.small(number)), number.to_string());
            assert_eq!(line(|line| line.small(number % 10_002)), (number % 10_002).to_string());
            assert_eq!(line(|line| line.ten_digits(number)), number.to_string());
        }
    }

    #[test]
    fn units_are_quotients() {
        for number in numbers().chain([1 << 63, (1 << 63) - 1, (1 << 63) - 2]) {
            for price in [number, number >> 20, number >> 40].map(|number| Price(number.cast_signed())) {
                for decimals in 0..=12 {
                    let want = price.0.unsigned_abs() / unit_nanos(decimals).unsigned_abs();
                    assert_eq!(units(price, decimals), want, "{price:?} with {decimals}");
                }
                // Where rounding would show first: beside a multiple.
                for decimals in 0..=9 {
                    let unit = unit_nanos(decimals);
                    let whole = price.0.saturating_abs() / unit;
                    for near in [whole * unit, whole.saturating_mul(unit).saturating_sub(1).max(0)] {
                        assert_eq!(units(Price(near), decimals), (near / unit).unsigned_abs());
                    }
                }
            }
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
        for name in ["", "twenty bytes exactly"] {
            let mut stamp = Stamp::new(name);
            for ns in numbers().flat_map(|ns| [ns, ns.saturating_add(7), ns]) {
                assert_eq!(line(|line| line.time(ns, &mut stamp)), format!("{name}{ns}"));
                let mut other = Stamp::new("");
                let next = ns.wrapping_mul(3);
                let two = line(|line| line.two_times([ns, next], [&mut stamp, &mut other]));
                assert_eq!(two, format!("{name}{ns}{next}"));
            }
        }
    }

    #[test]
    fn a_line_ends_where_its_last_piece_ends_and_panics_when_it_is_too_long() {
        let longest = line(|line| (0..LINE_BYTES_MAX / 64).for_each(|_| line.put(&[b'a'; 64])));
        assert_eq!(longest, "a".repeat(LINE_BYTES_MAX));
        assert_eq!(line(|line| line.first(9, b"abc")), "abc", "no more than there is");
        let too_long = |extra: fn(&mut FrameWriter<'_>)| {
            std::panic::catch_unwind(|| {
                line(|line| {
                    (0..LINE_BYTES_MAX / 64).for_each(|_| line.put(&[b'a'; 64]));
                    extra(line);
                })
            })
        };
        assert!(too_long(|line| line.put(b"b")).is_err());
        assert!(too_long(|line| line.text(b"b")).is_err());
    }
}
