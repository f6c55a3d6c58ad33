//! The numbers that must not be mixed: book, order, side, price, time; and what all parts call a level and a symbol.
//!
//! Never holds a float: a price is an integer count of 10⁻⁹ currency units.

use std::fmt;
use std::str::FromStr;

/// Nanoseconds since the Unix epoch, UTC. A field says whose clock: `exchange_ns`, `received_ns`, `sent_ns`.
pub type Nanos = u64;

/// An order book of one feed: BISTECH order book id, ITCH 5.0 stock locate, DBN instrument id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BookId(pub u32);

/// Where a book stands in a table of all books of one feed: 0, 1, 2, … in the order the books were first seen.
///
/// Each table numbers its own: the index of the book thread and that of a reader's copy are not exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BookIndex(pub u32);

impl BookIndex {
    /// The index of a table's place. Tables hold fewer than 2³² books: their memory is bounded far below that.
    #[inline]
    #[must_use]
    pub const fn from_usize(index: usize) -> Self {
        Self(index as u32)
    }

    /// As an index of a slice.
    #[inline]
    #[must_use]
    pub const fn as_usize(self) -> usize {
        self.0 as usize
    }
}

/// The exchange's order number. Unique only together with book and side (BISTECH ITCH 2112, section 1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrderId(pub u64);

/// Side of an order or level; the byte values are those of DBN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Side {
    /// Buy.
    Bid = b'B',
    /// Sell.
    Ask = b'A',
    /// Not stated.
    #[default]
    None = b'N',
}

impl Side {
    /// The side of a DBN byte; anything but `B` and `A` is [`Side::None`].
    #[must_use]
    pub const fn from_byte(byte: u8) -> Self {
        match byte {
            b'B' => Self::Bid,
            b'A' => Self::Ask,
            _ => Self::None,
        }
    }

    /// The other side; `None` stays.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Bid => Self::Ask,
            Self::Ask => Self::Bid,
            Self::None => Self::None,
        }
    }

    /// 0 for bids, 1 for asks and for `None`: an index into `[bids, asks]`.
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        // No branch: bids and asks alternate at random.
        (self as u8 != Self::Bid as u8) as usize
    }
}

/// A price in 10⁻⁹ currency units, as in DBN; [`Price::NONE`] is DBN's undefined price.
///
/// Every venue decimal count up to nine fits exactly: 10 billion currency units is the upper end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Price(pub i64);

impl Default for Price {
    fn default() -> Self {
        Self::NONE
    }
}

impl Price {
    /// No price (DBN `UNDEF_PRICE`): a market order, or a value not yet known.
    pub const NONE: Self = Self(i64::MAX);
    /// 10⁻⁹ units in one currency unit.
    pub const SCALE: i64 = 1_000_000_000;
    /// Decimals of the scale.
    pub const DECIMALS: u8 = 9;

    /// A price from an integer with `decimals` implied decimals (0..=9).
    ///
    /// `None` when it does not fit or `decimals` is above nine.
    #[must_use]
    pub const fn from_decimal(value: i64, decimals: u8) -> Option<Self> {
        if decimals > Self::DECIMALS {
            return None;
        }
        match value.checked_mul(unit_nanos(decimals)) {
            Some(i64::MAX) | None => None,
            Some(nanos) => Some(Self(nanos)),
        }
    }

    /// The price as an integer with `decimals` implied decimals; digits below are cut off.
    #[must_use]
    pub const fn to_decimal(self, decimals: u8) -> i64 {
        self.0 / unit_nanos(decimals)
    }

    /// Whether there is a price at all.
    #[must_use]
    pub const fn is_some(self) -> bool {
        self.0 != i64::MAX
    }

    /// Writes the price with exactly `decimals` decimals (0..=9), `312.50`; nothing for [`Price::NONE`].
    ///
    /// Never allocates; returns the used part of `buffer`.
    #[must_use]
    pub fn write(self, decimals: u8, buffer: &mut [u8; 24]) -> &str {
        if !self.is_some() {
            return "";
        }
        let decimals = usize::from(decimals.min(Self::DECIMALS));
        let mut rest = self.0.unsigned_abs() / unit_nanos(decimals as u8).unsigned_abs();
        let mut at = buffer.len();
        let mut digits = 0;
        while rest > 0 || digits <= decimals {
            if digits == decimals && decimals > 0 {
                at -= 1;
                buffer[at] = b'.';
            }
            at -= 1;
            buffer[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            digits += 1;
        }
        if self.0 < 0 {
            at -= 1;
            buffer[at] = b'-';
        }
        std::str::from_utf8(&buffer[at..]).unwrap_or("")
    }
}

/// 10^(9 − decimals): how many 10⁻⁹ units one step of the last of `decimals` decimals is (above nine: 1).
#[must_use]
pub const fn unit_nanos(decimals: u8) -> i64 {
    const UNITS: [i64; 10] = [1_000_000_000, 100_000_000, 10_000_000, 1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];
    if decimals > 9 { 1 } else { UNITS[decimals as usize] }
}

impl fmt::Display for Price {
    /// All significant decimals, at least two: `312.50`, `0.123`. `-` when there is no price.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_some() {
            return f.write_str("-");
        }
        let mut decimals = 9u8;
        while decimals > 2 && self.0 % unit_nanos(decimals - 1) == 0 {
            decimals -= 1;
        }
        f.write_str(self.write(decimals, &mut [0; 24]))
    }
}

/// A price level as everybody is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Price.
    pub price: Price,
    /// Total visible quantity.
    pub quantity: u64,
    /// Number of orders.
    pub count: u32,
}

/// The outside name of an exchange symbol: a share loses its `.E`.
#[must_use]
pub fn ticker(symbol: &str) -> &str {
    symbol.strip_suffix(".E").unwrap_or(symbol)
}

/// A text that is no price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadPrice;

impl fmt::Display for BadPrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a price: write digits, and a dot before at most nine decimals, such as 143.20")
    }
}

impl std::error::Error for BadPrice {}

impl FromStr for Price {
    type Err = BadPrice;

    /// Reads `312.50`, `-0.123` or `7`, without a float on the way. No spaces, no plus, no exponent.
    fn from_str(text: &str) -> Result<Self, BadPrice> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
        let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() || decimals.len() > usize::from(Self::DECIMALS) {
            return Err(BadPrice);
        }
        let missing = usize::from(Self::DECIMALS) - decimals.len();
        let zeros = std::iter::repeat_n(b'0', missing);
        let nanos = whole.bytes().chain(decimals.bytes()).chain(zeros).try_fold(0i64, |nanos, byte| {
            let digit = if byte.is_ascii_digit() { i64::from(byte - b'0') } else { return None };
            // Downwards, because there is one negative number more.
            nanos.checked_mul(10)?.checked_sub(digit)
        });
        let nanos = if negative { nanos } else { nanos.and_then(i64::checked_neg) };
        nanos.map(Self).filter(|price| price.is_some()).ok_or(BadPrice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_written_with_the_decimals_asked_for() {
        let mut buffer = [0; 24];
        let price = Price::from_decimal(312_500, 3).unwrap();
        assert_eq!(price.write(3, &mut buffer), "312.500");
        assert_eq!(price.write(2, &mut buffer), "312.50");
        assert_eq!(price.write(0, &mut buffer), "312");
        assert_eq!(Price(-50_000_000).write(2, &mut buffer), "-0.05");
        assert_eq!(Price(0).write(2, &mut buffer), "0.00");
        assert_eq!(Price::NONE.write(2, &mut buffer), "");
        assert_eq!(Price(i64::MIN).write(9, &mut buffer), "-9223372036.854775808");
        assert_eq!(price.to_string(), "312.50");
        assert_eq!(Price(123_000_000).to_string(), "0.123");
    }

    #[test]
    fn a_share_is_known_by_its_ticker() {
        assert_eq!(ticker("GARAN.E"), "GARAN");
        assert_eq!(ticker("GARAN.R"), "GARAN.R");
        assert_eq!(ticker("F_XU0300426"), "F_XU0300426");
    }

    #[test]
    fn a_price_that_does_not_fit_is_refused() {
        assert_eq!(Price::from_decimal(i64::MAX, 3), None);
        assert_eq!(Price::from_decimal(1, 10), None);
        assert_eq!(Price::from_decimal(i64::MAX, 9), None, "the sentinel is not a price");
    }

    #[test]
    fn a_price_is_read_as_it_is_written() {
        for nanos in [0, 1, -1, 312_500_000_000, -50_000_000, i64::MAX - 1, i64::MIN] {
            assert_eq!(Price(nanos).to_string().parse(), Ok(Price(nanos)));
        }
        assert_eq!("143.20".parse(), Ok(Price(143_200_000_000)));
        assert_eq!("7.".parse(), Ok(Price(7_000_000_000)));
        let too_much =
            ["9223372036.854775807", "9223372036.854775808", "-9223372036.854775809", "99999999999999999999"];
        for bad in ["", "-", ".5", "-.5", "+1", "--1", "1-", "1,5", " 1", "1.0000000001", "1.2.3", "1e3"] {
            assert_eq!(bad.parse::<Price>(), Err(BadPrice), "{bad:?}");
        }
        for bad in too_much {
            assert_eq!(bad.parse::<Price>(), Err(BadPrice), "{bad:?}");
        }
    }
}
