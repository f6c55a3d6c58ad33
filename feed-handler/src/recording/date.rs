//! The day of a recording from its file name, and midnight of New York on that day.
//!
//! ITCH 5.0 and LOBSTER count from midnight in New York and do not say which day; their files are named after it.
//! Knows the summer time rule of the United States since 2007 only: it needs no time zone database for that.

use book::Nanos;
use book::exchange::date::Day;

const DAY_SECONDS: i64 = 86_400;
const SECOND_NS: i64 = 1_000_000_000;

/// The first day that a file name shows: `2012-06-21`, `20120621`, `12302019` or NASDAQ's `S123019`.
///
/// A run of digits counts only if it stands alone, as a day and with a year of 1990..=2099: other numbers
/// in names (sizes, milliseconds after midnight) are no days.
#[must_use]
pub fn day_in_name(name: &str) -> Option<Day> {
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
                plausible(number(run), number(&rest[1..3]), number(&rest[4..6]))
            }
            6 if start > 0 && bytes[start - 1] == b'S' => {
                plausible(number(&run[4..]) + 2000, number(&run[..2]), number(&run[2..4]))
            }
            8 => plausible(number(&run[..4]), number(&run[4..6]), number(&run[6..]))
                .or_else(|| plausible(number(&run[4..]), number(&run[..2]), number(&run[2..4]))),
            _ => None,
        };
        if day.is_some() {
            return day;
        }
        start += length;
    }
    None
}

fn plausible(year: u32, month: u32, day: u32) -> Option<Day> {
    if !(1990..=2099).contains(&year) {
        return None;
    }
    Day::new(i32::try_from(year).ok()?, u8::try_from(month).ok()?, u8::try_from(day).ok()?)
}

/// Midnight in New York at the start of this day, Unix nanoseconds.
#[must_use]
pub fn new_york_midnight_ns(day: Day) -> Nanos {
    // Summer time: from the second Sunday of March to the first of November, both changes at 02:00, so that
    // midnight of the day of change still has the old time.
    let summer = day > sunday_from(day.year, 3, 8) && day <= sunday_from(day.year, 11, 1);
    let offset_seconds = if summer { 4 * 3_600 } else { 5 * 3_600 };
    ((day.since_epoch() * DAY_SECONDS + offset_seconds) * SECOND_NS) as Nanos
}

/// The first Sunday on or after a day of a month.
fn sunday_from(year: i32, month: u8, day: u8) -> Day {
    let first = Day { year, month, day };
    Day { day: day + (7 - first.weekday()) % 7, ..first }
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
            assert_eq!(day_in_name(name), expected, "{name}");
        }
    }

    #[test]
    fn new_york_has_summer_time() {
        let hours = |year, month, day| {
            let day = Day::new(year, month, day).unwrap();
            (new_york_midnight_ns(day) / 1_000_000_000) as i64 / 3_600 - day.since_epoch() * 24
        };
        assert_eq!(hours(2012, 6, 21), 4);
        assert_eq!(hours(2019, 12, 30), 5);
        assert_eq!((hours(2024, 3, 10), hours(2024, 3, 11)), (5, 4));
        assert_eq!((hours(2024, 11, 3), hours(2024, 11, 4)), (4, 5));
    }
}
