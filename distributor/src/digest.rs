//! The checksum of a chain of `book` frames, kept up to date level by level.
//!
//! Formatting twenty levels for every frame costs more than all the rest of the frame, and a frame mostly changes one of
//! them: so the text under the CRC is kept, and only the changed piece of it is written anew. The rule and its plain
//! form are `book::checksum`. Never allocates after construction.

use book::Price;
use book::checksum::CHECKSUM_LEVELS;
use book::replica::Level;

/// Most digits of a level: 19 of a price, 20 of a quantity.
const LEVEL_BYTES_MAX: usize = 39;
/// Levels of both sides.
const LEVELS_MAX: usize = 2 * CHECKSUM_LEVELS;

/// The text under the checksum: asks best first, then bids best first.
#[derive(Clone, Debug)]
pub struct Digest {
    text: Vec<u8>,
    /// End of each level in `text`.
    ends: [u16; LEVELS_MAX],
    /// Asks that count; bids follow.
    asks: usize,
    levels: usize,
    decimals: u8,
}

impl Digest {
    /// Of an empty book.
    #[must_use]
    pub fn new() -> Self {
        let text = Vec::with_capacity(LEVELS_MAX * LEVEL_BYTES_MAX);
        Self { text, ends: [0; LEVELS_MAX], asks: 0, levels: 0, decimals: 0 }
    }

    /// Takes a whole book, best first.
    pub fn rebuild(&mut self, decimals: u8, asks: &[Level], bids: &[Level]) {
        self.decimals = decimals;
        self.text.clear();
        self.asks = asks.len().min(CHECKSUM_LEVELS);
        self.levels = 0;
        for level in asks.iter().take(CHECKSUM_LEVELS).chain(bids.iter().take(CHECKSUM_LEVELS)) {
            put(&mut self.text, decimals, level);
            self.ends[self.levels] = self.text.len() as u16;
            self.levels += 1;
        }
    }

    /// Whether the text is one of prices with these decimals.
    #[must_use]
    pub fn has_decimals(&self, decimals: u8) -> bool {
        self.decimals == decimals
    }

    /// The quantity of the ask at place `at` (0 = best) changed; deep ones do not count.
    pub fn replace_ask(&mut self, at: usize, level: &Level) {
        if at < self.asks {
            self.replace(at, level);
        }
    }

    /// The quantity of the bid at place `at` (0 = best) changed; deep ones do not count.
    pub fn replace_bid(&mut self, at: usize, level: &Level) {
        if at < CHECKSUM_LEVELS && self.asks + at < self.levels {
            self.replace(self.asks + at, level);
        }
    }

    fn replace(&mut self, at: usize, level: &Level) {
        let begin = if at == 0 { 0 } else { usize::from(self.ends[at - 1]) };
        let end = usize::from(self.ends[at]);
        let mut piece = [0; LEVEL_BYTES_MAX];
        let length = write(&mut piece, self.decimals, level);
        if begin + length == end {
            self.text[begin..end].copy_from_slice(&piece[..length]);
            return;
        }
        let old = self.text.len();
        let new = old + length - (end - begin);
        // OK because the capacity holds the longest text, so this takes no memory.
        self.text.resize(old.max(new), 0);
        self.text.copy_within(end..old, begin + length);
        self.text.truncate(new);
        self.text[begin..begin + length].copy_from_slice(&piece[..length]);
        for end in &mut self.ends[at..self.levels] {
            *end = (usize::from(*end) + new - old) as u16;
        }
    }

    /// The checksum.
    #[must_use]
    pub fn checksum(&self) -> u32 {
        crc32fast::hash(&self.text)
    }
}

fn put(text: &mut Vec<u8>, decimals: u8, level: &Level) {
    let mut piece = [0; LEVEL_BYTES_MAX];
    let length = write(&mut piece, decimals, level);
    text.extend_from_slice(&piece[..length]);
}

/// Price in units of its last decimal and quantity, both without leading zeros (a zero has no digit at all).
fn write(piece: &mut [u8; LEVEL_BYTES_MAX], decimals: u8, level: &Level) -> usize {
    let mut length = 0;
    for number in [units(level.price, decimals), level.quantity] {
        if number > 0 {
            let mut buffer = itoa::Buffer::new();
            let digits = buffer.format(number).as_bytes();
            piece[length..length + digits.len()].copy_from_slice(digits);
            length += digits.len();
        }
    }
    length
}

fn units(price: Price, decimals: u8) -> u64 {
    price.to_decimal(decimals).unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use book::checksum::checksum;

    fn plain(digest: &Digest, decimals: u8, asks: &[Level], bids: &[Level]) {
        let pair = |level: &Level| (level.price, level.quantity);
        let expected = checksum(decimals, asks.iter().map(pair), bids.iter().map(pair));
        assert_eq!(digest.checksum(), expected, "{asks:?} {bids:?}");
    }

    #[test]
    fn however_levels_change_it_is_the_plain_checksum() {
        let mut state = 7_u64;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for decimals in [0, 2, 3, 9] {
            for sizes in [(0, 0), (1, 0), (0, 3), (10, 10), (12, 15), (4, 11)] {
                let level = |price: u64| Level {
                    price: Price::from_decimal(price as i64, decimals).unwrap(),
                    quantity: price,
                    count: 1,
                };
                let mut asks: Vec<Level> = (0..sizes.0).map(|n| level(500 + n)).collect();
                let mut bids: Vec<Level> = (0..sizes.1).map(|n| level(499 - n)).collect();
                let mut digest = Digest::new();
                digest.rebuild(decimals, &asks, &bids);
                plain(&digest, decimals, &asks, &bids);
                for _ in 0..300 {
                    let quantity = [random(3), random(1_000), random(1 << 31), u64::MAX][random(4) as usize];
                    let ask = random(2) == 0;
                    let side = if ask { &mut asks } else { &mut bids };
                    if side.is_empty() {
                        continue;
                    }
                    let at = random(side.len() as u64) as usize;
                    side[at].quantity = quantity;
                    if ask {
                        digest.replace_ask(at, &asks[at])
                    } else {
                        digest.replace_bid(at, &bids[at])
                    }
                    plain(&digest, decimals, &asks, &bids);
                }
            }
        }
    }
}
