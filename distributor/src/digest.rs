//! The checksum of a chain of `book` frames, kept up to date level by level.
//!
//! A frame mostly changes one level of twenty. A CRC is a remainder of polynomials, so the CRC of a text is the sum of those
//! of its pieces, each multiplied by x⁸ for every byte behind it: what is kept of a level is its CRC and its length, and a
//! checksum is twenty products and one division, without any text. The rule and its plain form are `book::checksum`.
//! Never allocates.

use book::Side;
use book::checksum::CHECKSUM_LEVELS;

use crate::line::Number;

/// Most digits of a level: 19 of a price, 20 of a quantity.
const LEVEL_BYTES_MAX: usize = 39;
/// Levels of both sides.
const LEVELS_MAX: usize = 2 * CHECKSUM_LEVELS;
/// One for each level, and one for the beginning.
const PRODUCTS: usize = LEVELS_MAX + 1;
/// CRC-32 of zlib, lowest bit first.
const POLYNOMIAL: u32 = 0xEDB8_8320;

/// CRCs by their low byte, as they become when a zero byte follows.
static BY_BYTE: [[u32; 256]; 4] = by_byte();
/// x⁸ to the number of bytes behind a piece.
static BEHIND: [u32; LEVELS_MAX * LEVEL_BYTES_MAX + 1] = behind();
/// What a digit with so many bytes behind it adds to the CRC of its piece; place 15 is no digit and adds nothing.
static DIGITS: [[u32; 16]; LEVEL_BYTES_MAX] = digits();

const fn by_byte() -> [[u32; 256]; 4] {
    let mut table = [[0; 256]; 4];
    let mut at = 0;
    while at < 256 {
        let mut crc = at as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        table[0][at] = crc;
        at += 1;
    }
    let mut zeros = 1;
    while zeros < 4 {
        let mut at = 0;
        while at < 256 {
            let crc = table[zeros - 1][at];
            table[zeros][at] = crc >> 8 ^ table[0][(crc & 255) as usize];
            at += 1;
        }
        zeros += 1;
    }
    table
}

const fn then_zero(crc: u32, table: &[[u32; 256]; 4]) -> u32 {
    crc >> 8 ^ table[0][(crc & 255) as usize]
}

const fn behind() -> [u32; LEVELS_MAX * LEVEL_BYTES_MAX + 1] {
    let table = by_byte();
    let mut powers = [0; LEVELS_MAX * LEVEL_BYTES_MAX + 1];
    powers[0] = 1 << 31; // x⁰ is the highest bit
    let mut at = 1;
    while at < powers.len() {
        powers[at] = then_zero(powers[at - 1], &table);
        at += 1;
    }
    powers
}

const fn digits() -> [[u32; 16]; LEVEL_BYTES_MAX] {
    let table = by_byte();
    let mut rows = [[0; 16]; LEVEL_BYTES_MAX];
    let mut digit = 0;
    while digit < 10 {
        rows[0][digit] = table[0][b'0' as usize + digit];
        let mut row = 1;
        while row < LEVEL_BYTES_MAX {
            rows[row][digit] = then_zero(rows[row - 1][digit], &table);
            row += 1;
        }
        digit += 1;
    }
    rows
}

/// What counts of one level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// CRC without beginning and end values: a sum of what each digit adds.
    crc: u32,
    /// Digits, 0..=39.
    length: u8,
}

impl Piece {
    /// Of a price in units of its last decimal and a quantity, both without leading zeros (a zero has no digit at all).
    #[inline]
    #[must_use]
    pub fn new(price: Number, quantity: Number) -> Self {
        let quantity_digits = quantity.digits();
        let crc = sum(price, quantity_digits) ^ sum(quantity, 0);
        Self { crc, length: (price.digits() + quantity_digits) as u8 }
    }
}

/// What the digits of a number add to a CRC when `behind` bytes follow.
#[inline(always)]
fn sum(number: Number, behind: usize) -> u32 {
    let mut sum = 0;
    let mut rows = &DIGITS[behind..];
    number.each_eight(|digits| {
        let of_digit = |at: usize, row: &[u32; 16]| row[(digits >> (56 - 8 * at)) as usize & 15];
        if let Some((eight, rest)) = rows.split_first_chunk::<8>() {
            // Always eight, so that nothing depends on how many there are.
            sum = eight.iter().enumerate().fold(sum, |sum, (at, row)| sum ^ of_digit(at, row));
            rows = rest;
        } else {
            // The longest prices end here; in front of them is nothing.
            sum = rows.iter().enumerate().fold(sum, |sum, (at, row)| sum ^ of_digit(at, row));
        }
    });
    sum
}

/// The levels under the checksum: asks best first, then bids best first.
#[derive(Clone, Debug)]
pub struct Digest {
    /// Behind those of the levels stands the value that every CRC begins with.
    crcs: [u32; PRODUCTS],
    lengths: [u8; LEVELS_MAX],
}

/// Of an empty book.
impl Default for Digest {
    fn default() -> Self {
        let mut crcs = [0; PRODUCTS];
        crcs[LEVELS_MAX] = u32::MAX;
        Self { crcs, lengths: [0; LEVELS_MAX] }
    }
}

const fn begin_of(side: Side) -> usize {
    if matches!(side, Side::Ask) { 0 } else { CHECKSUM_LEVELS }
}

impl Digest {
    /// The level at `rank` (0 = best) of a side is another; deep ones do not count.
    #[inline]
    pub fn set(&mut self, side: Side, rank: usize, piece: Piece) {
        if rank < CHECKSUM_LEVELS {
            let at = begin_of(side) + rank;
            self.crcs[at] = piece.crc;
            self.lengths[at] = piece.length;
        }
    }

    /// A level came to `rank`; the ones behind it moved back.
    #[inline]
    pub fn insert(&mut self, side: Side, rank: usize, piece: Piece) {
        if rank < CHECKSUM_LEVELS {
            let (at, last) = (begin_of(side) + rank, begin_of(side) + CHECKSUM_LEVELS - 1);
            self.crcs.copy_within(at..last, at + 1);
            self.lengths.copy_within(at..last, at + 1);
            self.set(side, rank, piece);
        }
    }

    /// The level at `rank` went; the ones behind it moved up, and nobody is at the last rank.
    #[inline]
    pub fn remove(&mut self, side: Side, rank: usize) {
        if rank < CHECKSUM_LEVELS {
            let (at, end) = (begin_of(side) + rank, begin_of(side) + CHECKSUM_LEVELS);
            self.crcs.copy_within(at + 1..end, at);
            self.lengths.copy_within(at + 1..end, at);
            self.set(side, CHECKSUM_LEVELS - 1, Piece::default());
        }
    }

    /// What is kept of the level at `rank`.
    #[must_use]
    pub fn get(&self, side: Side, rank: usize) -> Option<Piece> {
        let at = begin_of(side) + rank;
        (rank < CHECKSUM_LEVELS).then(|| Piece { crc: self.crcs[at], length: self.lengths[at] })
    }

    /// Nobody is at `rank` and behind it.
    pub fn cut(&mut self, side: Side, rank: usize) {
        (rank..CHECKSUM_LEVELS).for_each(|rank| self.set(side, rank, Piece::default()));
    }

    /// The checksum.
    #[inline]
    #[must_use]
    pub fn checksum(&self) -> u32 {
        let mut factors = [0; PRODUCTS];
        let mut behind = 0;
        for (factor, &length) in factors.iter_mut().zip(&self.lengths).rev() {
            *factor = BEHIND[behind];
            behind += usize::from(length);
        }
        factors[LEVELS_MAX] = BEHIND[behind];
        let product = sum_of_products(&self.crcs, &factors);
        // Products of numbers with the lowest power in the highest bit lack one bit of their place.
        let [low, high] = [product << 1, product << 1 >> 32].map(|half| half as u32);
        let bytes = low.to_le_bytes().map(usize::from);
        let rest = BY_BYTE[3][bytes[0]] ^ BY_BYTE[2][bytes[1]] ^ BY_BYTE[1][bytes[2]] ^ BY_BYTE[0][bytes[3]];
        !(high ^ rest)
    }
}

#[inline]
fn sum_of_products(numbers: &[u32; PRODUCTS], factors: &[u32; PRODUCTS]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("pclmulqdq") {
        // SAFETY: the processor has the one instruction that the function asks for beyond the usual ones.
        return unsafe { sum_of_products_in_hardware(numbers, factors) };
    }
    numbers.iter().zip(factors).fold(0, |sum, (&number, &factor)| sum ^ carryless(number, factor))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "pclmulqdq")]
fn sum_of_products_in_hardware(numbers: &[u32; PRODUCTS], factors: &[u32; PRODUCTS]) -> u64 {
    use std::arch::x86_64::{
        _mm_clmulepi64_si128, _mm_cvtsi32_si128, _mm_cvtsi128_si64, _mm_setzero_si128, _mm_xor_si128,
    };
    let mut sum = _mm_setzero_si128();
    for (&number, &factor) in numbers.iter().zip(factors) {
        let (number, factor) = (_mm_cvtsi32_si128(number.cast_signed()), _mm_cvtsi32_si128(factor.cast_signed()));
        sum = _mm_xor_si128(sum, _mm_clmulepi64_si128::<0>(number, factor));
    }
    _mm_cvtsi128_si64(sum).cast_unsigned()
}

/// A product of polynomials over two elements. Ordinary products of every fourth bit: their carries end in the holes.
const fn carryless(a: u32, b: u32) -> u64 {
    const FOURTH: u64 = 0x1111_1111_1111_1111;
    let (a, b) = (a as u64, b as u64);
    let mut product = 0;
    let mut shift = 0;
    while shift < 4 {
        let mut part = 0;
        let mut at = 0;
        while at < 4 {
            part ^= (a & FOURTH << at).wrapping_mul(b & FOURTH << ((shift + 4 - at) % 4));
            at += 1;
        }
        product |= part & FOURTH << shift;
        shift += 1;
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;
    use book::Price;
    use book::checksum::checksum;
    use book::replica::Level;

    fn random_below(state: &mut u64, below: u64) -> u64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 33) % below
    }

    fn piece(decimals: u8, level: &Level) -> Piece {
        Piece::new(Number::new(level.price.to_decimal(decimals).unsigned_abs()), Number::new(level.quantity))
    }

    #[track_caller]
    fn plain(digest: &Digest, decimals: u8, asks: &[Level], bids: &[Level]) {
        let pair = |level: &Level| (level.price, level.quantity);
        let expected = checksum(decimals, asks.iter().map(pair), bids.iter().map(pair));
        assert_eq!(digest.checksum(), expected, "{asks:?} {bids:?}");
    }

    #[test]
    fn however_levels_change_it_is_the_plain_checksum() {
        let mut state = 7_u64;
        for decimals in [0, 2, 3, 9] {
            for sizes in [(0, 0), (1, 0), (0, 3), (10, 10), (12, 15), (4, 11)] {
                let mut sides = [sizes.0, sizes.1].map(|size| vec![level(decimals, 500, 1); size]);
                let mut digest = Digest::default();
                for (side, levels) in [Side::Ask, Side::Bid].into_iter().zip(&sides) {
                    levels.iter().enumerate().for_each(|(at, level)| digest.set(side, at, piece(decimals, level)));
                }
                plain(&digest, decimals, &sides[0], &sides[1]);
                for _ in 0..300 {
                    let at_side = random_below(&mut state, 2) as usize;
                    let (side, levels) = ([Side::Ask, Side::Bid][at_side], &mut sides[at_side]);
                    let quantity = [3, 1_000, 1 << 31, u64::MAX][random_below(&mut state, 4) as usize];
                    let price =
                        [7, 9_999, 99_999_999, 100_000_000, 5_000_000_000][random_below(&mut state, 5) as usize];
                    let new = level(decimals, random_below(&mut state, price), quantity);
                    let at = random_below(&mut state, levels.len() as u64 + 1) as usize;
                    match random_below(&mut state, 3) {
                        0 if at < levels.len() => {
                            levels[at] = new;
                            digest.set(side, at, piece(decimals, &new));
                        }
                        1 if at < levels.len() => {
                            levels.remove(at);
                            digest.remove(side, at);
                            if let Some(tenth) = levels.get(9) {
                                digest.set(side, 9, piece(decimals, tenth));
                            }
                        }
                        _ => {
                            levels.insert(at, new);
                            digest.insert(side, at, piece(decimals, &new));
                        }
                    }
                    plain(&digest, decimals, &sides[0], &sides[1]);
                }
                let rank = random_below(&mut state, 11) as usize;
                digest.cut(Side::Bid, rank);
                plain(&digest, decimals, &sides[0], &sides[1][..rank.min(sides[1].len())]);
            }
        }
    }

    fn level(decimals: u8, units: u64, quantity: u64) -> Level {
        Level { price: Price::from_decimal(units as i64, decimals).unwrap(), quantity, count: 1 }
    }

    #[test]
    fn products_are_the_same_with_and_without_the_instruction() {
        let mut state = 1;
        for _ in 0..1_000 {
            let mut number =
                || (random_below(&mut state, 1 << 31) as u32) << 1 ^ random_below(&mut state, 1 << 31) as u32;
            let (numbers, factors) = (std::array::from_fn(|_| number()), std::array::from_fn(|_| number()));
            let plain =
                |a: u32, b: u32| (0..32).fold(0, |sum, bit| sum ^ ((u64::from(a) << bit) * u64::from(b >> bit & 1)));
            let pairs = || numbers.iter().zip(&factors);
            let want = pairs().fold(0, |sum, (&a, &b)| sum ^ plain(a, b));
            assert_eq!(sum_of_products(&numbers, &factors), want);
            assert_eq!(pairs().fold(0, |sum, (&a, &b)| sum ^ carryless(a, b)), want);
        }
    }
}
