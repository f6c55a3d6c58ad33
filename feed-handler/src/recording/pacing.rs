//! When a recorded message is due: at recorded pace, a multiple of it, or at once.
//!
//! No clock and no sleeping: the time now comes in, a wait goes out. Due times are planned from the first message
//! on, so that a stall is caught up with and never stretches the recording.

use std::num::NonZeroU64;
use std::str::FromStr;

use book::Nanos;

/// How fast a recording is replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speed {
    /// Every message is due at once.
    FlatOut,
    /// Thousandths of the recorded pace: 1000 is the recorded pace, 500 half of it.
    Permille(NonZeroU64),
}

impl Speed {
    /// The recorded pace.
    pub const RECORDED: Self = Self::Permille(NonZeroU64::new(1_000).unwrap());
}

/// A speed that is none of `max`, `1x`, `2.5x`, `0.1`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("speed {0:?} is neither \"max\" nor a multiple such as 1x, 10x or 0.5x (0.001x to 1000000x)")]
pub struct BadSpeed(String);

impl FromStr for Speed {
    type Err = BadSpeed;

    fn from_str(text: &str) -> Result<Self, BadSpeed> {
        if text == "max" {
            return Ok(Self::FlatOut);
        }
        let bad = || BadSpeed(text.to_owned());
        let number = text.strip_suffix('x').unwrap_or(text);
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || whole.len() > 7 || part.len() > 3 || !digits(whole) || !digits(part) {
            return Err(bad());
        }
        let permille = format!("{whole}{part:0<3}").parse().map_err(|_| bad())?;
        NonZeroU64::new(permille).filter(|permille| permille.get() <= 1_000_000_000).map(Self::Permille).ok_or_else(bad)
    }
}

/// Plans when messages are due.
#[derive(Debug)]
pub struct Pacer {
    speed: Speed,
    gap_max_ns: u64,
    /// The last message that moved time on: when it was recorded and when it is due.
    last: Option<(Nanos, Nanos)>,
    /// Remainder of the division by the speed, so that many small steps make no error.
    carried: u128,
}

impl Pacer {
    /// Waits longer than `gap_max_ns` (of our time, not the recorded one) are shortened to it; `u64::MAX` keeps all.
    #[must_use]
    pub fn new(speed: Speed, gap_max_ns: u64) -> Self {
        Self { speed, gap_max_ns, last: None, carried: 0 }
    }

    /// How long until a message recorded at `recorded_ns` is due; 0 = now. The first message is due at once.
    ///
    /// May be asked again for the same message. A message recorded before the last one (clocks step back) or without
    /// a time (0) is due together with the last one.
    #[inline]
    pub fn due(&mut self, now_ns: Nanos, recorded_ns: Nanos) -> u64 {
        let Speed::Permille(permille) = self.speed else { return 0 };
        let (last_recorded_ns, last_due_ns) = match self.last {
            Some(last) => last,
            None if recorded_ns == 0 => return 0,
            None => *self.last.insert((recorded_ns, now_ns)),
        };
        let Some(passed_ns @ 1..) = recorded_ns.checked_sub(last_recorded_ns) else {
            return last_due_ns.saturating_sub(now_ns);
        };
        let scaled = u128::from(passed_ns) * 1_000 + self.carried;
        let permille = u128::from(permille.get());
        let step_ns = u64::try_from(scaled / permille).unwrap_or(u64::MAX);
        self.carried = scaled % permille;
        let due_ns = last_due_ns.saturating_add(step_ns.min(self.gap_max_ns));
        self.last = Some((recorded_ns, due_ns));
        due_ns.saturating_sub(now_ns)
    }

    /// When the last message asked for is (or was) due; `None` before the first one and at flat out.
    #[must_use]
    pub fn planned_ns(&self) -> Option<Nanos> {
        self.last.map(|(_, due_ns)| due_ns)
    }

    /// Begins again: the next message is due at once, whenever it was recorded. For the next lap of a loop.
    pub fn restart(&mut self) {
        self.last = None;
        self.carried = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn pacer(speed: &str, gap_max_ns: u64) -> Pacer {
        Pacer::new(speed.parse().unwrap(), gap_max_ns)
    }

    #[test]
    fn messages_keep_their_distances_times_the_speed() {
        for (speed, expected) in [("1x", 10 * SECOND), ("10x", SECOND), ("0.5", 20 * SECOND), ("max", 0)] {
            let mut pacer = pacer(speed, u64::MAX);
            assert_eq!(pacer.due(5, 1_000), 0);
            assert_eq!(pacer.due(5, 1_000 + 10 * SECOND), expected, "{speed}");
            assert_eq!(pacer.due(5, 1_000 + 10 * SECOND), expected, "asked again");
        }
    }

    #[test]
    fn a_stall_is_caught_up_with() {
        let mut pacer = pacer("1x", u64::MAX);
        pacer.due(0, SECOND);
        assert_eq!(pacer.due(7 * SECOND, 3 * SECOND), 0, "late");
        assert_eq!(pacer.due(7 * SECOND, 9 * SECOND), SECOND, "due 8 s after the first, not 6 s after the stall");
    }

    #[test]
    fn many_small_steps_make_no_error() {
        let mut pacer = pacer("3x", u64::MAX);
        for at in 0..=3_000 {
            pacer.due(0, SECOND + at);
        }
        assert_eq!(pacer.planned_ns(), Some(1_000));
    }

    #[test]
    fn a_long_silence_is_shortened_once() {
        let mut pacer = pacer("1x", SECOND);
        pacer.due(0, SECOND);
        assert_eq!(pacer.due(0, 3_600 * SECOND), SECOND);
        assert_eq!(pacer.due(0, 3_600 * SECOND + 5), SECOND + 5);
    }

    #[test]
    fn a_clock_that_steps_back_or_is_missing_waits_for_nothing_new() {
        let mut pacer = pacer("1x", u64::MAX);
        assert_eq!(pacer.due(0, 0), 0, "no time yet");
        pacer.due(0, 10);
        assert_eq!(pacer.due(0, 20), 10);
        assert_eq!(pacer.due(0, 5), 10);
        assert_eq!(pacer.due(0, 0), 10);
        assert_eq!(pacer.due(0, 30), 20);
        pacer.restart();
        assert_eq!(pacer.due(100, 10), 0);
    }

    #[test]
    fn speeds_are_read_strictly() {
        assert_eq!("1".parse(), Ok(Speed::RECORDED));
        assert_eq!("2.5x".parse(), Ok(Speed::Permille(NonZeroU64::new(2_500).unwrap())));
        for bad in ["", "0", "x", "-1x", "1.2345x", "fast", "1e3", "12345678x", ".5"] {
            assert!(bad.parse::<Speed>().is_err(), "{bad}");
        }
    }
}
