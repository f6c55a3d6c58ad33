//! On which day a trade is settled.
//!
//! Half days are trading days and no settlement days. Knows no holiday of the banks beside those of the exchange.

use super::calendar::{day_after, is_half_day, is_trading_day};
use super::date::Day;

/// How many settlement days after the trade it is settled, from a day of trade on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cycle {
    /// First day of trade that it holds for.
    pub since: Day,
    /// T + so many.
    pub days: u8,
}

/// T+2, delivery versus payment. T+1 is announced (members ready by 31 December 2026), its first day is not.
pub const CYCLES: [Cycle; 1] = [Cycle { since: Day { year: 1970, month: 1, day: 1 }, days: 2 }];

/// Whether trades are settled on a day.
#[must_use]
pub fn is_settlement_day(day: Day) -> bool {
    is_trading_day(day) && !is_half_day(day)
}

/// The day on which trades of `trade_day` are settled, by the last of `cycles` that holds then (ascending; T+2 if none does).
#[must_use]
pub fn settlement_day(trade_day: Day, cycles: &[Cycle]) -> Day {
    let cycle = cycles[..cycles.partition_point(|cycle| cycle.since <= trade_day)].last();
    let mut day = trade_day;
    for _ in 0..cycle.map_or(2, |cycle| cycle.days) {
        day = day_after(day);
        while !is_settlement_day(day) {
            day = day_after(day);
        }
    }
    day
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn march(day: u8) -> Day {
        Day { year: 2026, month: 3, day }
    }

    #[test]
    fn trades_before_the_feast_of_2026_settled_when_they_did() {
        for (trade, settled) in [(16, 18), (17, 23), (18, 24), (19, 24), (23, 25)] {
            assert_eq!(settlement_day(march(trade), &CYCLES), march(settled), "{trade} March");
        }
    }

    #[test]
    fn a_cycle_holds_from_its_day_on() {
        let cycles = [CYCLES[0], Cycle { since: march(24), days: 1 }];
        assert_eq!(settlement_day(march(23), &cycles), march(25));
        assert_eq!(settlement_day(march(24), &cycles), march(25));
    }
}
