//! The day of a recording from its file name, and midnight of New York on that day.
//!
//! ITCH 5.0 and LOBSTER count from midnight in New York and do not say which day; their files are named after it.
//! Knows the summer time rule of the United States since 2007 only: it needs no time zone database for that.

use book::Nanos;

const DAY_SECONDS: i64 = 86_400;
const SECOND_NS: i64 = 1_000_000_000;

/// A calendar day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day {
    /// Year, 1970..=2261 (the end of 64-bit nanoseconds).
    pub year: i32,
    /// 1..=12.
    pub month: u8,
    /// 1..=31.
    pub day: u8,
}

impl Day {
    /// A day of the calendar; `None` for one that does not exist or lies outside 1970..=2261.
    #[must_use]
    pub fn new(year: i32, month: u8, day: u8) -> Option<Self> {
        let lengths = [31, if is_leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let length = *lengths.get(usize::from(month).checked_sub(1)?)?;
        ((1970..=2261).contains(&year) && (1..=length).contains(&day)).then_some(Self { year, month, day })
    }

    /// The first day that a file name shows: `2012-06-21`, `20120621`, `12302019` or NASDAQ's `S123019`.
    ///
    /// A run of digits counts only if it stands alone, as a day and with a year of 1990..=2099: other numbers
    /// in names (sizes, milliseconds after midnight) are no days.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let bytes = name.as_bytes();
        let mut start = 0;
        while start < bytes.len() {
            if !bytes[start].is_ascii_digit() {
                start += 1;
                continue;
            }
            let length = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            let run = &bytes[start..start + length];
            let rest = &bytes[start + length..];
            let day = match length {
                4 if rest.len() >= 6 && rest[0] == b'-' && rest[3] == b'-' => {
                    Self::plausible(number(run), number(&rest[1..3]), number(&rest[4..6]))
                }
                6 if start > 0 && bytes[start - 1] == b'S' => {
                    Self::plausible(number(&run[4..]) + 2000, number(&run[..2]), number(&run[2..4]))
                }
                8 => Self::plausible(number(&run[..4]), number(&run[4..6]), number(&run[6..]))
                    .or_else(|| Self::plausible(number(&run[4..]), number(&run[..2]), number(&run[2..4]))),
                _ => None,
            };
            if day.is_some() {
                return day;
            }
            start += length;
        }
        None
    }

    fn plausible(year: u32, month: u32, day: u32) -> Option<Self> {
        if !(1990..=2099).contains(&year) {
            return None;
        }
        Self::new(i32::try_from(year).ok()?, u8::try_from(month).ok()?, u8::try_from(day).ok()?)
    }

    /// Days since 1 Jan 1970.
    #[must_use]
    pub fn since_epoch(self) -> i64 {
        let year = i64::from(self.year);
        let past = year - 1;
        let leaps = |year: i64| year / 4 - year / 100 + year / 400;
        let starts = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
        let after_february = i64::from(self.month > 2 && is_leap(self.year));
        (year - 1970) * 365 + leaps(past) - leaps(1969)
            + starts[usize::from(self.month) - 1]
            + after_february
            + i64::from(self.day)
            - 1
    }

    /// The UTC day of a time; `None` for 0 (no time) and past 2261.
    #[must_use]
    pub fn from_ns(time_ns: Nanos) -> Option<Self> {
        let days = (time_ns / (DAY_SECONDS * SECOND_NS) as u64) as i64;
        // The guess is at most one year too high: a year has at least 365 days.
        let mut year = 1970 + i32::try_from(days / 365).ok()?;
        while Self::new(year, 1, 1).is_none_or(|first| first.since_epoch() > days) {
            year = year.checked_sub(1).filter(|&year| year >= 1970)?;
        }
        let month =
            (1..=12).rev().find(|&month| Self::new(year, month, 1).is_some_and(|day| day.since_epoch() <= days))?;
        let first = Self::new(year, month, 1)?;
        if time_ns == 0 {
            return None;
        }
        Self::new(year, month, u8::try_from(days - first.since_epoch() + 1).ok()?)
    }

    /// The day as the number YYYYMMDD.
    #[must_use]
    pub fn yyyymmdd(self) -> u32 {
        self.year.unsigned_abs() * 10_000 + u32::from(self.month) * 100 + u32::from(self.day)
    }

    /// 0 = Sunday .. 6 = Saturday.
    #[must_use]
    pub fn weekday(self) -> u8 {
        ((self.since_epoch() + 4) % 7) as u8
    }

    /// Midnight in New York at the start of this day, Unix nanoseconds.
    #[must_use]
    pub fn new_york_midnight_ns(self) -> Nanos {
        // Summer time: from the second Sunday of March to the first of November, both changes at 02:00, so that
        // midnight of the day of change still has the old time.
        let summer = self > self.sunday_of(3, 8) && self <= self.sunday_of(11, 1);
        let offset_seconds = if summer { 4 * 3_600 } else { 5 * 3_600 };
        ((self.since_epoch() * DAY_SECONDS + offset_seconds) * SECOND_NS) as Nanos
    }

    /// The first Sunday on or after day `from` of `month`.
    fn sunday_of(self, month: u8, from: u8) -> Self {
        let first = Self { month, day: from, ..self };
        Self { day: from + (7 - first.weekday()) % 7, ..first }
    }
}

fn is_leap(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// The number that decimal digits write; 0 for anything else, which no day accepts.
fn number(digits: &[u8]) -> u32 {
    digits
        .iter()
        .try_fold(0u32, |sum, &byte| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_stands_in_the_file_name() {
        let day = |year, month, day| Day::new(year, month, day);
        for (name, expected) in [
            ("GOOG_2012-06-21_34200000_57600000_message_10.csv.gz", day(2012, 6, 21)),
            ("GOOG_20120621.itch50.gz", day(2012, 6, 21)),
            ("12302019.NASDAQ_ITCH50", day(2019, 12, 30)),
            ("S123019-v50.txt.gz", day(2019, 12, 30)),
            ("nasdaq_20191230_0400_500msgs_ADU.itch50", day(2019, 12, 30)),
            ("AAPL_34200000_57600000.csv", None),
            ("simulated.itch50", None),
            ("20190230", None),
        ] {
            assert_eq!(Day::from_name(name), expected, "{name}");
        }
    }

    #[test]
    fn days_are_counted_from_1970() {
        for (year, month, day, expected) in
            [(1970, 1, 1, 0), (2000, 2, 29, 11_016), (2000, 3, 1, 11_017), (2012, 6, 21, 15_512), (2024, 2, 29, 19_782)]
        {
            assert_eq!(Day::new(year, month, day).unwrap().since_epoch(), expected);
        }
        for days in (1..106_000).step_by(17) {
            let day = Day::from_ns(days * 86_400_000_000_000 + 5).unwrap();
            assert_eq!(day.since_epoch() as u64, days, "{day:?}");
        }
        assert_eq!(Day::from_ns(1_663_740_161_000_000_000).unwrap().yyyymmdd(), 20_220_921);
        assert_eq!(Day::from_ns(0), None);
        assert_eq!(Day::new(2012, 6, 21).unwrap().weekday(), 4, "a Thursday");
        assert_eq!(Day::new(2023, 2, 29), None);
    }

    #[test]
    fn new_york_has_summer_time() {
        let hours = |year, month, day| {
            let day = Day::new(year, month, day).unwrap();
            (day.new_york_midnight_ns() / 1_000_000_000) as i64 / 3_600 - day.since_epoch() * 24
        };
        assert_eq!(hours(2012, 6, 21), 4);
        assert_eq!(hours(2019, 12, 30), 5);
        assert_eq!((hours(2024, 3, 10), hours(2024, 3, 11)), (5, 4));
        assert_eq!((hours(2024, 11, 3), hours(2024, 11, 4)), (4, 5));
    }
}
