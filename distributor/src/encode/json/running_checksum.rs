//! The checksum of a chain of `book` frames, kept up to date level by level.
//!
//! A frame mostly changes one level of twenty. A CRC is a remainder of polynomials, so the CRC of a text is the sum of those
//! of its pieces, each multiplied by x⁸ for every byte behind it. What is kept of a level is its CRC and its length, of a
//! side the sum of its levels: a change costs the products of one side, and no text. The rule and its plain form are
//! `book::checksum`. Never allocates.
//!
//! Polynomials stand as in zlib's CRC, the highest power in the lowest bit: of a word of 64 bits bit 0 is x⁶³, of one of 32
//! bits x³¹. A product of both then has x⁹⁴ in bit 0.

use std::ops::{BitAnd, BitOr, Not};

use book::checksum::CHECKSUM_LEVELS;
use book::replica::{Kind, prefetch_beside};
use book::{Price, Side};

use super::frame_writer::Number;

/// Most characters of a level: a sign and 19 digits of a price, 20 of a quantity.
const LEVEL_BYTES_MAX: usize = 40;
/// Places for any number of bytes behind a piece: more than ten lengths of a byte each can make, so that the compiler needs
/// no check.
const BEHIND_PLACES: usize = 4_096;
/// Bytes of a CRC, which adds as many to every text.
const CRC_BYTES: usize = 4;
/// CRC-32 of zlib, lowest bit first.
const POLYNOMIAL: u32 = 0xEDB8_8320;
/// Levels that are moved at once, and those with a neighbour in front and two behind: whole vectors of both kinds, so that
/// nobody asks where the levels end.
const CRCS_MOVED: usize = 12;
const LENGTHS_MOVED: usize = 16;
const CRCS: usize = CRCS_MOVED + 2;
const LENGTHS: usize = LENGTHS_MOVED + 2;
/// Ranks before the one that moves stay.
static STAY: [u32; CRCS_MOVED + CHECKSUM_LEVELS] = stay();
static STAY_BYTES: [u8; LENGTHS_MOVED + CHECKSUM_LEVELS] = stay_bytes();

const _: () = assert!(2 * CHECKSUM_LEVELS * LEVEL_BYTES_MAX + CRC_BYTES < BEHIND_PLACES);

/// CRCs by their low byte, as they become when a zero byte follows.
static BY_BYTE: [[u32; 256]; 4] = by_byte();
/// x⁸ to the number of bytes behind a piece.
static BEHIND: [u32; BEHIND_PLACES] = behind();

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

const fn stay() -> [u32; CRCS_MOVED + CHECKSUM_LEVELS] {
    let mut masks = [0; CRCS_MOVED + CHECKSUM_LEVELS];
    let mut at = 0;
    while at < CHECKSUM_LEVELS {
        masks[at] = u32::MAX;
        at += 1;
    }
    masks
}

const fn stay_bytes() -> [u8; LENGTHS_MOVED + CHECKSUM_LEVELS] {
    let mut masks = [0; LENGTHS_MOVED + CHECKSUM_LEVELS];
    let mut at = 0;
    while at < CHECKSUM_LEVELS {
        masks[at] = u8::MAX;
        at += 1;
    }
    masks
}

const fn then_zero(crc: u32, table: &[[u32; 256]; 4]) -> u32 {
    crc >> 8 ^ table[0][(crc & 255) as usize]
}

const fn behind() -> [u32; BEHIND_PLACES] {
    let table = by_byte();
    let mut powers = [0; BEHIND_PLACES];
    powers[0] = 1 << 31; // x⁰ is the highest bit
    let mut at = 1;
    while at < powers.len() {
        powers[at] = then_zero(powers[at - 1], &table);
        at += 1;
    }
    powers
}

/// What counts of one level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// CRC without beginning and end values.
    crc: u32,
    /// Characters, 0..=40.
    length: u8,
}

impl Piece {
    /// Of a level.
    #[must_use]
    pub fn new(text: &Text) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(hardware) = Hardware::find() {
            return hardware.piece(text);
        }
        Plain.piece(text)
    }
}

/// What happened to the levels of a side, as far as its checksum goes.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// [`Side::index`].
    pub side: usize,
    /// What it was: of one that came or went, those behind it move.
    pub kind: Kind,
    /// Rank of it, 0 = best, below [`CHECKSUM_LEVELS`].
    pub rank: usize,
    /// Levels a side that are shown, 1..: nobody is behind them.
    pub depth: usize,
    /// Rank of the level that is another afterwards.
    pub new_rank: usize,
    /// What counts of it.
    pub text: Text,
}

/// The text of a level, short as most are, or already brought below x⁶⁴. The default is that of nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Text {
    price: u64,
    quantity: u64,
    /// Characters of both together, and digits of the quantity.
    digits: usize,
    quantity_digits: usize,
}

impl Text {
    /// Of a price in units of its last decimal and a quantity, both without leading zeros (a zero has no digit at all).
    #[inline(always)]
    #[must_use]
    pub fn new(price: Number, quantity: Number) -> Self {
        Self {
            price: text(price),
            quantity: text(quantity),
            digits: price.digits() + quantity.digits(),
            quantity_digits: quantity.digits(),
        }
    }

    /// Of a price below zero, as it is written with `decimals` decimals: behind the sign no zero is a leading one.
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn below_zero(price: Price, decimals: u8, quantity: Number) -> Self {
        let mut buffer = [0; 24];
        let mut characters = [0; 24];
        let mut at = characters.len();
        for &byte in price.write(decimals, &mut buffer).as_bytes().iter().rev().filter(|&&byte| byte != b'.') {
            at -= 1;
            characters[at] = byte;
        }
        let price = characters
            .as_chunks::<8>()
            .0
            .iter()
            .fold(0, |front, &eight| Plain.fold(Plain.product(front, BEHIND[8])) ^ u64::from_le_bytes(eight));
        let digits = characters.len() - at + quantity.digits();
        Self { price, quantity: text(quantity), digits, quantity_digits: quantity.digits() }
    }
}

/// A text of any number of digits, as a polynomial below x⁶⁴.
#[inline(always)]
fn text(number: Number) -> u64 {
    if number.front() == 0 { number.last_text() } else { long_text(&number) }
}

#[inline(never)]
fn long_text(number: &Number) -> u64 {
    let front = text(Number::new(number.front()));
    Plain.fold(Plain.product(front, BEHIND[8])) ^ number.last_text()
}

/// Carry-less products, by the processor's instruction or without it.
trait Products: Copy {
    fn product(self, a: u64, b: u32) -> u128;

    /// Of products of two elements each.
    fn sum(self, numbers: &[u32; CHECKSUM_LEVELS], factors: &[u32; CHECKSUM_LEVELS]) -> u64;

    /// A product brought below x⁶⁴: what is above stands in the lowest 31 bits.
    #[inline(always)]
    fn fold(self, product: u128) -> u64 {
        let above = u64::from((product as u32) << 1);
        (product >> 31) as u64 ^ (self.product(above, BEHIND[8]) as u64) << 1
    }

    #[inline(always)]
    fn piece(self, text: &Text) -> Piece {
        let price = self.product(text.price, BEHIND[(text.quantity_digits + CRC_BYTES) % BEHIND_PLACES]);
        let quantity = self.product(text.quantity, BEHIND[CRC_BYTES]);
        Piece { crc: remainder(self.fold(price ^ quantity)), length: text.digits as u8 }
    }
}

/// Of a word by the polynomial of the CRC.
#[inline(always)]
fn remainder(word: u64) -> u32 {
    let [low, high] = [word, word >> 32].map(|half| half as u32);
    let bytes = low.to_le_bytes().map(usize::from);
    high ^ BY_BYTE[3][bytes[0]] ^ BY_BYTE[2][bytes[1]] ^ BY_BYTE[1][bytes[2]] ^ BY_BYTE[0][bytes[3]]
}

/// A side's text.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    /// CRC without beginning and end values.
    crc: u32,
    /// How long it is.
    bytes: u32,
}

/// The levels under the checksum: of both sides by [`Side::index`], best first.
#[derive(Clone, Debug, Default)]
pub struct RunningChecksum {
    /// From place 1 on; the others are 0.
    crcs: [[u32; CRCS]; 2],
    /// The same.
    lengths: [[u8; LENGTHS]; 2],
    sums: [Sum; 2],
}

impl RunningChecksum {
    /// Starts to load it.
    #[inline(always)]
    pub fn prefetch(&self) {
        prefetch_beside(&self.crcs[0]);
        prefetch_beside(&self.crcs[1]);
        prefetch_beside(&self.sums);
    }

    /// Of a whole side: pieces best first, of which as many as count are taken.
    pub fn rebuild(&mut self, side: Side, pieces: impl Iterator<Item = Piece>) {
        let side = side.index();
        self.crcs[side] = [0; CRCS];
        self.lengths[side] = [0; LENGTHS];
        for (rank, piece) in pieces.take(CHECKSUM_LEVELS).enumerate() {
            self.crcs[side][1 + rank] = piece.crc;
            self.lengths[side][1 + rank] = piece.length;
        }
        #[cfg(target_arch = "x86_64")]
        if let Some(hardware) = Hardware::find() {
            self.sums[side] = self.add_up(hardware, side);
            return;
        }
        self.sums[side] = self.add_up(Plain, side);
    }

    /// What is kept of the level at `rank`.
    #[must_use]
    pub fn get(&self, side: Side, rank: usize) -> Option<Piece> {
        let at = 1 + rank;
        let side = side.index();
        (rank < CHECKSUM_LEVELS).then(|| Piece { crc: self.crcs[side][at], length: self.lengths[side][at] })
    }

    /// Takes a step; returns the checksum.
    #[inline]
    pub fn step(&mut self, step: &Step) -> u32 {
        #[cfg(target_arch = "x86_64")]
        if let Some(hardware) = Hardware::find() {
            // SAFETY: that there is such a value says that the processor has the instruction.
            return unsafe { step_in_hardware(self, hardware, step, step.text.price, step.text.quantity) };
        }
        self.step_by(Plain, step)
    }

    /// The checksum.
    #[inline]
    #[must_use]
    pub fn checksum(&self) -> u32 {
        let [bids, asks] = self.sums;
        #[cfg(target_arch = "x86_64")]
        if let Some(hardware) = Hardware::find() {
            return checksum_of(hardware, bids, asks);
        }
        checksum_of(Plain, bids, asks)
    }

    #[inline(always)]
    fn step_by(&mut self, products: impl Products, step: &Step) -> u32 {
        let side = step.side & 1;
        let piece = products.piece(&step.text);
        let rank = step.rank.min(CHECKSUM_LEVELS - 1);
        let new = 1 + step.new_rank.min(CHECKSUM_LEVELS - 1);
        let end = 1 + step.depth.min(CHECKSUM_LEVELS);
        let skip = match step.kind {
            Kind::Came => 0,
            Kind::Totals => 1,
            Kind::Went => 2,
        };
        let crcs = &mut self.crcs[side];
        moved::<_, CRCS, CRCS_MOVED>(crcs, skip, &STAY[CHECKSUM_LEVELS - rank..]);
        (crcs[new], crcs[end]) = (piece.crc, 0);
        let lengths = &mut self.lengths[side];
        moved::<_, LENGTHS, LENGTHS_MOVED>(lengths, skip, &STAY_BYTES[CHECKSUM_LEVELS - rank..]);
        (lengths[new], lengths[end]) = (piece.length, 0);
        // Nothing that was just written is read again: as something wider it would have to wait.
        let other = self.sums[1 - side];
        let sum = self.add_up(products, side);
        self.sums[side] = sum;
        let (bids, asks) = if side == 0 { (sum, other) } else { (other, sum) };
        checksum_of(products, bids, asks)
    }

    #[inline(always)]
    fn add_up(&self, products: impl Products, side: usize) -> Sum {
        let mut numbers = [0; CHECKSUM_LEVELS];
        let mut factors = [0; CHECKSUM_LEVELS];
        let mut behind = 0;
        for rank in (0..CHECKSUM_LEVELS).rev() {
            numbers[rank] = self.crcs[side][1 + rank];
            factors[rank] = BEHIND[behind];
            behind += usize::from(self.lengths[side][1 + rank]);
        }
        Sum { crc: remainder(products.sum(&numbers, &factors) << 1), bytes: behind as u32 }
    }
}

/// The checksum of both sides.
#[inline(always)]
fn checksum_of(products: impl Products, bids: Sum, asks: Sum) -> u32 {
    let (bids_bytes, asks_bytes) = (bids.bytes as usize, asks.bytes as usize);
    let asks_product = products.product(u64::from(asks.crc), BEHIND[bids_bytes % BEHIND_PLACES]);
    // Every CRC begins with this value.
    let begin_product = products.product(u64::from(u32::MAX), BEHIND[(bids_bytes + asks_bytes) % BEHIND_PLACES]);
    !(remainder(((asks_product ^ begin_product) as u64) << 1) ^ bids.crc)
}

/// Moves those that do not stay: towards the best with `skip` 2, away from it with 0. The same work whatever happens, all
/// of it read before any is written.
#[inline(always)]
fn moved<T, const ALL: usize, const MOVED: usize>(places: &mut [T; ALL], skip: usize, stay: &[T])
where
    T: Copy + Default + BitAnd<Output = T> + BitOr<Output = T> + Not<Output = T>,
{
    let (Some(comes), Some(stay)) = (places[skip..].first_chunk::<MOVED>(), stay.first_chunk::<MOVED>()) else {
        return;
    };
    let mut after = [T::default(); MOVED];
    for at in 0..MOVED {
        after[at] = (places[1 + at] & stay[at]) | (comes[at] & !stay[at]);
    }
    places[1..=MOVED].copy_from_slice(&after);
}

/// The processor's instruction; a value of it exists only where there is one.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct Hardware(());

#[cfg(target_arch = "x86_64")]
impl Hardware {
    #[inline(always)]
    fn find() -> Option<Self> {
        std::arch::is_x86_feature_detected!("pclmulqdq").then_some(Self(()))
    }
}

#[cfg(target_arch = "x86_64")]
impl Products for Hardware {
    #[inline(always)]
    fn product(self, a: u64, b: u32) -> u128 {
        // SAFETY: that there is a `self` says that the processor has the instruction.
        unsafe { product_in_hardware(a, b) }
    }

    #[inline(always)]
    fn sum(self, numbers: &[u32; CHECKSUM_LEVELS], factors: &[u32; CHECKSUM_LEVELS]) -> u64 {
        // SAFETY: that there is a `self` says that the processor has the instruction.
        unsafe { sum_in_hardware(numbers, factors) }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "pclmulqdq")]
fn step_in_hardware(running: &mut RunningChecksum, hardware: Hardware, step: &Step, price: u64, quantity: u64) -> u32 {
    running.step_by(hardware, &Step { text: Text { price, quantity, ..step.text }, ..*step })
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "pclmulqdq")]
fn product_in_hardware(a: u64, b: u32) -> u128 {
    use std::arch::x86_64::{
        _mm_clmulepi64_si128, _mm_cvtsi32_si128, _mm_cvtsi64_si128, _mm_cvtsi128_si64, _mm_unpackhi_epi64,
    };
    let (a, b) = (_mm_cvtsi64_si128(a.cast_signed()), _mm_cvtsi32_si128(b.cast_signed()));
    let product = _mm_clmulepi64_si128::<0>(a, b);
    let [low, high] =
        [product, _mm_unpackhi_epi64(product, product)].map(|half| _mm_cvtsi128_si64(half).cast_unsigned());
    u128::from(high) << 64 | u128::from(low)
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "pclmulqdq")]
fn sum_in_hardware(numbers: &[u32; CHECKSUM_LEVELS], factors: &[u32; CHECKSUM_LEVELS]) -> u64 {
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

/// For processors without the instruction.
#[derive(Clone, Copy)]
struct Plain;

impl Products for Plain {
    fn product(self, a: u64, b: u32) -> u128 {
        let [low, high] = [a, a >> 32].map(|half| u128::from(carryless(half as u32, b)));
        low ^ high << 32
    }

    fn sum(self, numbers: &[u32; CHECKSUM_LEVELS], factors: &[u32; CHECKSUM_LEVELS]) -> u64 {
        numbers.iter().zip(factors).fold(0, |sum, (&number, &factor)| sum ^ carryless(number, factor))
    }
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
    use book::checksum::checksum;
    use book::types::Level;

    fn random_below(state: &mut u64, below: u64) -> u64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 33) % below
    }

    fn text_of(decimals: u8, level: Option<&Level>) -> Text {
        let Some(level) = level else { return Text::default() };
        let quantity = Number::new(level.quantity);
        if level.price.0 < 0 {
            return Text::below_zero(level.price, decimals, quantity);
        }
        Text::new(Number::new(level.price.to_decimal(decimals).unsigned_abs()), quantity)
    }

    #[track_caller]
    fn plain(running: &RunningChecksum, decimals: u8, asks: &[Level], bids: &[Level], depth: usize) {
        let pair = |level: &Level| (level.price, level.quantity);
        let shown = |levels: &[Level]| levels.iter().take(depth).map(pair).collect::<Vec<_>>();
        let expected = checksum(decimals, shown(asks), shown(bids));
        assert_eq!(running.checksum(), expected, "{asks:?} {bids:?}");
        let [bids, asks] = running.sums;
        assert_eq!(checksum_of(Plain, bids, asks), expected);
    }

    #[test]
    fn however_levels_change_it_is_the_plain_checksum() {
        let mut state = 7_u64;
        for (decimals, depth) in [(0, 10), (2, 10), (2, 4), (3, 25), (9, 10), (9, 1)] {
            for sizes in [(0, 0), (1, 0), (0, 3), (10, 10), (12, 15), (4, 11)] {
                let mut sides = [sizes.0, sizes.1].map(|size| vec![level(decimals, 500, 1); size]);
                let mut running = RunningChecksum::default();
                for (side, levels) in [Side::Ask, Side::Bid].into_iter().zip(&sides) {
                    let pieces = levels.iter().take(depth).map(|level| Piece::new(&text_of(decimals, Some(level))));
                    running.rebuild(side, pieces);
                }
                plain(&running, decimals, &sides[0], &sides[1], depth);
                for _ in 0..300 {
                    let at_side = random_below(&mut state, 2) as usize;
                    let (side, levels) = ([Side::Ask, Side::Bid][at_side], &mut sides[at_side]);
                    let quantity = [3, 1_000, 1 << 31, u64::MAX][random_below(&mut state, 4) as usize];
                    let price =
                        [7, 9_999, 99_999_999, 100_000_000, 5_000_000_000][random_below(&mut state, 5) as usize];
                    let mut new = level(decimals, random_below(&mut state, price), quantity);
                    if random_below(&mut state, 4) == 0 {
                        new.price = Price(-new.price.0 - 1); // also what is written as -0
                    }
                    let rank = random_below(&mut state, levels.len() as u64 + 1) as usize;
                    let kind = match random_below(&mut state, 3) {
                        0 if rank < levels.len() => {
                            levels[rank] = new;
                            Kind::Totals
                        }
                        1 if rank < levels.len() => {
                            levels.remove(rank);
                            Kind::Went
                        }
                        _ => {
                            levels.insert(rank, new);
                            Kind::Came
                        }
                    };
                    if rank < depth.min(CHECKSUM_LEVELS) {
                        let new_rank = if kind == Kind::Went { depth.min(CHECKSUM_LEVELS) - 1 } else { rank };
                        let text = text_of(decimals, levels.get(new_rank));
                        assert_eq!(Piece::new(&text), Plain.piece(&text));
                        let step = Step { side: side.index(), kind, rank, depth, new_rank, text };
                        let mut without = running.clone();
                        let checksum = running.step(&step);
                        assert_eq!(checksum, running.checksum());
                        assert_eq!(checksum, without.step_by(Plain, &step), "with and without the instruction");
                    }
                    plain(&running, decimals, &sides[0], &sides[1], depth);
                }
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
            let wide = u64::from(number()) << 32 | u64::from(number());
            let (numbers, factors) = (std::array::from_fn(|_| number()), std::array::from_fn(|_| number()));
            let plain =
                |a: u64, b: u32| (0..32).fold(0, |sum, bit| sum ^ ((u128::from(a) << bit) * u128::from(b >> bit & 1)));
            let pairs = || numbers.iter().zip(&factors);
            let want = pairs().fold(0, |sum, (&a, &b)| sum ^ plain(u64::from(a), b)) as u64;
            assert_eq!(pairs().fold(0, |sum, (&a, &b)| sum ^ carryless(a, b)), want);
            assert_eq!(
                (Plain.sum(&numbers, &factors), Plain.product(wide, factors[0])),
                (want, plain(wide, factors[0]))
            );
            #[cfg(target_arch = "x86_64")]
            if let Some(hardware) = Hardware::find() {
                assert_eq!(hardware.sum(&numbers, &factors), want);
                assert_eq!(hardware.product(wide, factors[0]), plain(wide, factors[0]));
            }
        }
    }
}
