//! The phases of a trading day of shares in continuous trading, full and half.
//!
//! The boundaries of an auction's price determination are approximate: it ends when it is done. What the feed says of a
//! book's phase holds over this table, which says what is planned.

use super::calendar::{is_half_day, is_trading_day, istanbul_day, istanbul_midnight_ns};
use super::date::Day;
use crate::phase::Phase;
use crate::types::Nanos;

const MINUTE_NS: u64 = 60 * 1_000_000_000;

/// The tables hold since this day: the midday auction of continuous shares went (announcement 2019/56 of 15 August 2019).
pub const SINCE: Day = Day { year: 2019, month: 10, day: 4 };

/// One phase of a day, which lasts until the next begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// Minutes after midnight in Istanbul.
    pub start_minute: u16,
    /// What the market is doing.
    pub phase: Phase,
    /// Orders are taken.
    pub orders: bool,
    /// Orders may be cancelled. Of the closing phases the analogous reading, not a sourced fact.
    pub cancels: bool,
    /// Trades happen.
    pub trades: bool,
}

const fn at(hour: u16, minute: u16, phase: Phase, orders: bool, cancels: bool, trades: bool) -> Session {
    Session { start_minute: hour * 60 + minute, phase, orders, cancels, trades }
}

/// A full day.
pub const FULL_DAY: [Session; 9] = [
    at(9, 40, Phase::OpeningCollection, true, true, false),
    at(9, 55, Phase::Uncross, false, false, true),
    at(10, 0, Phase::Continuous, true, true, true),
    at(18, 0, Phase::MarginPublication, false, false, false),
    at(18, 1, Phase::ClosingCollection, true, true, false),
    at(18, 5, Phase::Uncross, false, false, true),
    at(18, 7, Phase::MarginPublication, false, false, false),
    at(18, 8, Phase::TradeAtClose, true, true, true),
    at(18, 10, Phase::Closed, false, false, false),
];

/// A day that ends at 12:40.
pub const HALF_DAY: [Session; 9] = [
    at(9, 40, Phase::OpeningCollection, true, true, false),
    at(9, 55, Phase::Uncross, false, false, true),
    at(10, 0, Phase::Continuous, true, true, true),
    at(12, 30, Phase::MarginPublication, false, false, false),
    at(12, 31, Phase::ClosingCollection, true, true, false),
    at(12, 35, Phase::Uncross, false, false, true),
    at(12, 37, Phase::MarginPublication, false, false, false),
    at(12, 38, Phase::TradeAtClose, true, true, true),
    at(12, 40, Phase::Closed, false, false, false),
];

/// The phases of a day, whether or not the market opens on it.
#[must_use]
pub fn sessions(day: Day) -> &'static [Session; 9] {
    if is_half_day(day) { &HALF_DAY } else { &FULL_DAY }
}

/// When a phase of a day begins, Unix nanoseconds.
#[must_use]
pub fn start_ns(day: Day, session: &Session) -> Nanos {
    istanbul_midnight_ns(day) + u64::from(session.start_minute) * MINUTE_NS
}

/// The phase that is planned for a time; `None` before the first one of a day, and the whole day when the market is shut.
#[must_use]
pub fn session_at(time_ns: Nanos) -> Option<&'static Session> {
    let day = istanbul_day(time_ns);
    if !is_trading_day(day) {
        return None;
    }
    let sessions = sessions(day);
    sessions[..sessions.partition_point(|session| start_ns(day, session) <= time_ns)].last()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase_at(day: Day, hour: u64, minute: u64) -> Option<Phase> {
        session_at(istanbul_midnight_ns(day) + (hour * 60 + minute) * MINUTE_NS).map(|session| session.phase)
    }

    #[test]
    fn phases_follow_each_other_and_a_day_has_no_midday_break() {
        for sessions in [FULL_DAY, HALF_DAY] {
            assert!(sessions.windows(2).all(|pair| pair[0].start_minute < pair[1].start_minute));
        }
        let day = Day { year: 2026, month: 11, day: 23 };
        assert_eq!(phase_at(day, 9, 39), None);
        assert_eq!(phase_at(day, 9, 40), Some(Phase::OpeningCollection));
        assert_eq!(phase_at(day, 13, 30), Some(Phase::Continuous));
        assert_eq!(phase_at(day, 18, 6), Some(Phase::Uncross));
        assert_eq!(phase_at(day, 18, 9), Some(Phase::TradeAtClose));
        assert_eq!(phase_at(day, 23, 59), Some(Phase::Closed));
        assert_eq!(phase_at(Day { day: 22, ..day }, 11, 0), None, "a Sunday");
        let half = Day { year: 2026, month: 10, day: 28 };
        assert_eq!(phase_at(half, 12, 36), Some(Phase::Uncross));
        assert_eq!(phase_at(half, 13, 30), Some(Phase::Closed));
    }

    #[test]
    fn continuous_trading_begins_when_it_did_on_a_real_day() {
        // The real file: continuous trading of 21 September 2022 began at 07:00:00 UTC.
        let day = Day { year: 2022, month: 9, day: 21 };
        assert_eq!(start_ns(day, &sessions(day)[2]), 1_663_743_600 * 1_000_000_000);
    }
}
