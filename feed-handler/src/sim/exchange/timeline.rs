//! The instants of a simulated day, and the map between the exchange's clock and the planned wall clock.
//!
//! Pure arithmetic: never reads a clock.

use book::Nanos;
use book::exchange::date::Day;
use book::exchange::sessions::{self, sessions};

use crate::sim::exchange::config::Clock;

const SECOND_NS: u64 = 1_000_000_000;
const MINUTE_NS: u64 = 60 * SECOND_NS;

/// The instants of one trading day, Unix nanoseconds on the exchange's clock, ascending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Start of messages, directory.
    pub directory_ns: Nanos,
    /// Opening auction: orders are collected (09:40).
    pub collection_ns: Nanos,
    /// Opening price is determined; each share is matched some time before continuous trading (09:55).
    pub determination_ns: Nanos,
    /// Continuous trading (10:00).
    pub continuous_ns: Nanos,
    /// Closing auction: limits are broadcast (18:00).
    pub closing_limits_ns: Nanos,
    /// Closing auction: orders are collected (18:01).
    pub closing_collection_ns: Nanos,
    /// Closing price is determined and matched (18:05).
    pub closing_determination_ns: Nanos,
    /// Trade at close: limits are broadcast (18:07).
    pub at_close_limits_ns: Nanos,
    /// Trading at the closing price (18:08).
    pub at_close_ns: Nanos,
    /// End of the day (18:10).
    pub end_ns: Nanos,
    /// End of messages.
    pub messages_end_ns: Nanos,
}

impl Schedule {
    /// The ordinary instants of `day`.
    #[must_use]
    pub fn of(day: Day) -> Self {
        let [
            collection_ns,
            determination_ns,
            continuous_ns,
            closing_limits_ns,
            closing_collection_ns,
            closing_determination_ns,
            at_close_limits_ns,
            at_close_ns,
            end_ns,
        ] = sessions(day).each_ref().map(|session| sessions::start_ns(day, session));
        Self {
            directory_ns: collection_ns.saturating_sub(30 * SECOND_NS),
            collection_ns,
            determination_ns,
            continuous_ns,
            closing_limits_ns,
            closing_collection_ns,
            closing_determination_ns,
            at_close_limits_ns,
            at_close_ns,
            end_ns,
            messages_end_ns: end_ns + 30 * SECOND_NS,
        }
    }

    /// The same day joined at `now_ns`: whatever is over by then of the opening is done again in the next two
    /// seconds, so that a receiver gets a whole day's messages from their first one. `None` when the market is closed.
    #[must_use]
    pub fn joined(self, now_ns: Nanos) -> Option<Self> {
        if now_ns < self.collection_ns || now_ns + MINUTE_NS >= self.closing_limits_ns {
            return None;
        }
        let directory_ns = now_ns;
        let collection_ns = now_ns + SECOND_NS / 5;
        let determination_ns = self.determination_ns.max(collection_ns + SECOND_NS);
        let continuous_ns = self.continuous_ns.max(determination_ns + SECOND_NS);
        Some(Self { directory_ns, collection_ns, determination_ns, continuous_ns, ..self })
    }
}

/// How fast the exchange's clock runs against the wall's, piece by piece.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    pieces: Vec<Piece>,
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    exchange_ns: Nanos,
    planned_ns: Nanos,
    speed: u64,
}

impl Timeline {
    /// A day that starts at `planned_ns` of the wall clock.
    #[must_use]
    pub fn new(schedule: &Schedule, clock: Clock, joined: bool, planned_ns: Nanos) -> Self {
        let compression = clock.compression();
        let (opening, continuous, closing) = if joined {
            (1, 1, 1)
        } else {
            let auctions = compression.auction_speed.max(1);
            // Half as fast as the opening: its phases are short anyway, and all books are shown again at once.
            (auctions, compression.speed.max(1), auctions.div_ceil(2))
        };
        let mut pieces = Vec::with_capacity(3);
        let mut planned = planned_ns;
        let ends = [schedule.continuous_ns, schedule.closing_limits_ns, schedule.messages_end_ns];
        let mut exchange_ns = schedule.directory_ns;
        for (end_ns, speed) in ends.into_iter().zip([opening, continuous, closing]) {
            pieces.push(Piece { exchange_ns, planned_ns: planned, speed: u64::from(speed) });
            planned += end_ns.saturating_sub(exchange_ns) / u64::from(speed);
            exchange_ns = end_ns;
        }
        Self { pieces }
    }

    /// The planned wall time of an exchange time.
    #[must_use]
    pub fn planned_ns(&self, exchange_ns: Nanos) -> Nanos {
        let piece = self.piece(|piece| piece.exchange_ns <= exchange_ns);
        piece.map_or(exchange_ns, |piece| {
            piece.planned_ns + exchange_ns.saturating_sub(piece.exchange_ns).div_ceil(piece.speed)
        })
    }

    /// The exchange time at a wall time.
    #[must_use]
    pub fn exchange_ns(&self, planned_ns: Nanos) -> Nanos {
        let piece = self.piece(|piece| piece.planned_ns <= planned_ns);
        piece.map_or(planned_ns, |piece| {
            piece.exchange_ns + planned_ns.saturating_sub(piece.planned_ns).saturating_mul(piece.speed)
        })
    }

    /// The last piece for which `begun` holds, else the first one.
    fn piece(&self, begun: impl Fn(&Piece) -> bool) -> Option<Piece> {
        let count = self.pieces.partition_point(begun);
        self.pieces.get(count.saturating_sub(1)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::exchange::config::Compression;

    fn day(number: u32) -> Day {
        Day::new((number / 10_000) as i32, (number / 100 % 100) as u8, (number % 100) as u8).unwrap()
    }

    #[test]
    fn a_day_has_its_instants_in_istanbul() {
        let schedule = Schedule::of(day(20_220_921));
        // The real file: continuous trading of 21 September 2022 began at 07:00:00 UTC.
        assert_eq!(schedule.continuous_ns, 1_663_743_600 * SECOND_NS);
        assert_eq!(schedule.end_ns - schedule.continuous_ns, (8 * 60 + 10) * MINUTE_NS);
        let half = Schedule::of(day(20_261_028));
        assert_eq!(half.end_ns - half.continuous_ns, 160 * MINUTE_NS, "10:00 to 12:40");
    }

    #[test]
    fn a_late_start_repeats_the_opening_and_keeps_the_rest() {
        let schedule = Schedule::of(day(20_261_123));
        assert_eq!(schedule.joined(schedule.collection_ns - 1), None);
        assert_eq!(schedule.joined(schedule.closing_limits_ns), None);
        let noon_ns = schedule.continuous_ns + 120 * MINUTE_NS;
        let joined = schedule.joined(noon_ns).unwrap();
        assert_eq!(joined.directory_ns, noon_ns);
        assert!(joined.continuous_ns < noon_ns + 3 * SECOND_NS);
        assert_eq!(joined.end_ns, schedule.end_ns);
        let early = schedule.joined(schedule.collection_ns + MINUTE_NS).unwrap();
        assert_eq!(early.determination_ns, schedule.determination_ns);
    }

    #[test]
    fn by_default_trading_starts_within_three_seconds_and_a_day_lasts_about_fifty_minutes() {
        let schedule = Schedule::of(day(20_261_123));
        let clock = Clock::Compressed(Compression::default());
        let timeline = Timeline::new(&schedule, clock, false, 1_000);
        assert_eq!(timeline.planned_ns(schedule.directory_ns), 1_000);
        assert!(timeline.planned_ns(schedule.continuous_ns) <= 1_000 + 3 * SECOND_NS);
        let whole = timeline.planned_ns(schedule.messages_end_ns) - 1_000;
        assert!((45 * MINUTE_NS..55 * MINUTE_NS).contains(&whole), "{whole}");
        for exchange_ns in [schedule.directory_ns + 7, schedule.continuous_ns + 12_345, schedule.at_close_ns + 1] {
            let planned = timeline.planned_ns(exchange_ns);
            assert!(timeline.exchange_ns(planned) >= exchange_ns, "what is planned for a time is due at that time");
            assert!(timeline.exchange_ns(planned - 1) < exchange_ns);
        }
    }
}
