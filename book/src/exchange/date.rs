//! Days of the calendar.
//!
//! Knows no time zone and no holiday.

use crate::types::Nanos;

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
}

fn is_leap(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
