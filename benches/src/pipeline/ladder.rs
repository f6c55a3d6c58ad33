//! Which rate comes next: twice the one before until a rate is too much, then between the last that held and that one.
//!
//! Knows nothing of how a rate is measured.

use crate::report::grouped;

/// The first rate, messages per second.
pub const FIRST_RATE: u64 = 1_000;
/// It ends here even if nothing gave way.
const LAST_RATE: u64 = 4_096_000;
/// Rates tried between the last that held and the first that did not: the limit is then known to an eighth of it.
const NARROWING: usize = 3;
/// Rates in between are whole multiples of this.
const STEP: u64 = 1_000;

/// Rates to be tried, and what was found.
#[derive(Clone, Debug)]
pub struct Ladder {
    /// Those asked for by name, last one first; `None` = up to saturation.
    asked: Option<Vec<u64>>,
    held: Option<u64>,
    /// The lowest that did not hold, and why.
    gave_way: Option<(u64, String)>,
    narrowed: usize,
}

impl Ladder {
    /// `rates` in their order, or up to saturation when there are none.
    #[must_use]
    pub fn new(rates: &[u64]) -> Self {
        let asked = (!rates.is_empty()).then(|| rates.iter().rev().copied().collect());
        Self { asked, held: None, gave_way: None, narrowed: 0 }
    }

    /// Whether it looks for the limit by itself.
    #[must_use]
    pub const fn seeks(&self) -> bool {
        self.asked.is_none()
    }

    /// The next rate; `None` when enough is known.
    pub fn next_rate(&mut self) -> Option<u64> {
        if let Some(asked) = &mut self.asked {
            return asked.pop();
        }
        match (self.held, &self.gave_way) {
            (None, None) => Some(FIRST_RATE),
            (None, Some(_)) => None,
            (Some(held), None) => (held < LAST_RATE).then_some(held * 2),
            (Some(held), Some((too_much, _))) => {
                let between = held.midpoint(*too_much) / STEP * STEP;
                self.narrowed += 1;
                (self.narrowed <= NARROWING && between > held).then_some(between)
            }
        }
    }

    /// This rate was kept up with.
    pub fn holds(&mut self, rate: u64) {
        self.held = Some(self.held.map_or(rate, |held| held.max(rate)));
    }

    /// It was not.
    pub fn gives_way(&mut self, rate: u64, why: String) {
        if self.gave_way.as_ref().is_none_or(|(lowest, _)| rate < *lowest) {
            self.gave_way = Some((rate, why));
        }
    }

    /// Highest rate that held.
    #[must_use]
    pub const fn highest(&self) -> Option<u64> {
        self.held
    }

    /// Where it ended, as a sentence.
    #[must_use]
    pub fn ended(&self) -> String {
        let held = self.held.map_or_else(|| "no rate held".to_owned(), |rate| format!("{}/s held", grouped(rate)));
        match &self.gave_way {
            Some((rate, why)) => format!("{held}; {}/s did not: {why}", grouped(*rate)),
            None if self.seeks() => format!("{held}, and no higher rate is tried"),
            None => format!("{held}, and no higher rate was asked for"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Climbs a system that keeps up with `limit`; gives the rates tried.
    fn climb(ladder: &mut Ladder, limit: u64) -> Vec<u64> {
        let mut tried = Vec::new();
        while let Some(rate) = ladder.next_rate() {
            tried.push(rate);
            if rate <= limit { ladder.holds(rate) } else { ladder.gives_way(rate, "too much".to_owned()) }
        }
        tried
    }

    #[test]
    fn it_doubles_until_something_gives_way_and_then_narrows_the_limit_down() {
        let mut ladder = Ladder::new(&[]);
        assert_eq!(climb(&mut ladder, 11_500), [1_000, 2_000, 4_000, 8_000, 16_000, 12_000, 10_000, 11_000]);
        assert_eq!(ladder.highest(), Some(11_000));
        assert_eq!(ladder.ended(), "11,000/s held; 12,000/s did not: too much");
    }

    #[test]
    fn it_ends_when_nothing_gives_way_or_everything_does() {
        let mut ladder = Ladder::new(&[]);
        assert_eq!(climb(&mut ladder, u64::MAX).last(), Some(&LAST_RATE));
        assert!(ladder.ended().contains("4,096,000/s held"), "{}", ladder.ended());
        let mut ladder = Ladder::new(&[]);
        assert_eq!(climb(&mut ladder, 0), [FIRST_RATE]);
        assert_eq!((ladder.highest(), ladder.ended().starts_with("no rate held")), (None, true));
        let mut ladder = Ladder::new(&[]);
        assert_eq!(climb(&mut ladder, 1_000), [1_000, 2_000], "nothing lies between");
    }

    #[test]
    fn rates_asked_for_are_all_measured_in_their_order() {
        let mut ladder = Ladder::new(&[5_000, 9, 70_000]);
        assert_eq!(climb(&mut ladder, 100), [5_000, 9, 70_000]);
        assert_eq!(ladder.highest(), Some(9));
    }
}
