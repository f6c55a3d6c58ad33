//! On which days the equity market opens, and which of them end at 12:40.
//!
//! Religious holidays move and are listed year by year, never computed: a year without a list has only the fixed ones.

use super::date::Day;
use crate::types::Nanos;

const SECOND_NS: u64 = 1_000_000_000;
const DAY_NS: u64 = 86_400 * SECOND_NS;
/// Istanbul is UTC+3 the whole year since 2016.
const ISTANBUL_NS: u64 = 3 * 3_600 * SECOND_NS;

/// Holidays that keep their date: month, day.
const YEARLY_HOLIDAYS: [(u8, u8); 7] = [(1, 1), (4, 23), (5, 1), (5, 19), (7, 15), (8, 30), (10, 29)];
/// Years whose moving holidays are in the lists below.
const LISTED_YEARS: [i32; 1] = [2026];
/// Holidays that move.
const MOVING_HOLIDAYS: [u32; 7] = [20_260_320, 20_260_321, 20_260_322, 20_260_527, 20_260_528, 20_260_529, 20_260_530];
/// Days that end at 12:40. The eve of 29 October is one every year.
const HALF_DAYS: [u32; 2] = [20_260_319, 20_260_526];

/// Whether the moving holidays of a year are known. Of another year the answers here are those of a year without any.
#[must_use]
pub fn is_listed(year: i32) -> bool {
    LISTED_YEARS.contains(&year)
}

/// Whether the market opens on a day at all.
#[must_use]
pub fn is_trading_day(day: Day) -> bool {
    !matches!(day.weekday(), 0 | 6)
        && !YEARLY_HOLIDAYS.contains(&(day.month, day.day))
        && !MOVING_HOLIDAYS.contains(&day.yyyymmdd())
}

/// Whether a trading day ends at 12:40.
#[must_use]
pub fn is_half_day(day: Day) -> bool {
    (day.month, day.day) == (10, 28) || HALF_DAYS.contains(&day.yyyymmdd())
}

/// The first trading day on or after `day`.
#[must_use]
pub fn trading_day_from(mut day: Day) -> Day {
    while !is_trading_day(day) {
        day = day_after(day);
    }
    day
}

/// The next day of the calendar.
#[must_use]
pub fn day_after(day: Day) -> Day {
    Day::new(day.year, day.month, day.day + 1)
        .or_else(|| Day::new(day.year, day.month + 1, 1))
        .or_else(|| Day::new(day.year + 1, 1, 1))
        .unwrap_or(day)
}

/// The day in Istanbul at a time; the epoch's for times that are none.
#[must_use]
pub fn istanbul_day(time_ns: Nanos) -> Day {
    Day::from_ns(time_ns.saturating_add(ISTANBUL_NS)).unwrap_or(Day { year: 1970, month: 1, day: 1 })
}

/// Midnight in Istanbul at the start of a day, Unix nanoseconds; 0 for the epoch's day, whose midnight was before it.
#[must_use]
pub fn istanbul_midnight_ns(day: Day) -> Nanos {
    (u64::try_from(day.since_epoch()).unwrap_or(0) * DAY_NS).saturating_sub(ISTANBUL_NS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(number: u32) -> Day {
        Day::new((number / 10_000) as i32, (number / 100 % 100) as u8, (number % 100) as u8).unwrap()
    }

    #[test]
    fn weekends_and_holidays_are_skipped() {
        for (from, to) in [
            (20_261_123, 20_261_123),
            (20_261_128, 20_261_130),
            (20_261_029, 20_261_030),
            (20_260_319, 20_260_319),
            (20_260_320, 20_260_323),
            (20_260_527, 20_260_601),
            (20_261_231, 20_261_231),
            (20_270_101, 20_270_104),
        ] {
            assert_eq!(trading_day_from(day(from)), day(to), "{from}");
        }
        assert!(is_half_day(day(20_261_028)) && is_half_day(day(20_260_526)) && !is_half_day(day(20_261_123)));
        assert!(is_listed(2026) && !is_listed(2027));
    }

    #[test]
    fn the_closed_days_of_2026_leave_251_of_trade() {
        let mut at = day(20_260_101);
        let (mut open, mut half) = (0, 0);
        while at.year == 2026 {
            open += u32::from(is_trading_day(at));
            half += u32::from(is_trading_day(at) && is_half_day(at));
            at = day_after(at);
        }
        // 261 weekdays; of the 14 closed days 21 and 22 March, 30 May and 30 August are at weekends.
        assert_eq!((open, half), (261 - 10, 3));
    }

    #[test]
    fn midnight_is_istanbuls() {
        let day = day(20_260_102);
        let midnight_ns = istanbul_midnight_ns(day);
        assert_eq!(istanbul_day(midnight_ns), day);
        assert_ne!(istanbul_day(midnight_ns - 1), day);
    }
}
