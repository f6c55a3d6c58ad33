//! A circuit breaker: stops asking somebody who does not answer, and tries again after a while.
//!
//! ```text
//! closed ──too many of the last calls failed or were slow──▶ open ──`open_for` is over──▶ half-open
//!    ▲                                                        ▲                              │
//!    └──────────── enough of the trial calls went well ───────┴──── too many did not ◀───────┘
//! ```
//!
//! Pure: time is passed in, nothing is sent, logged or waited for. One lock, held for a few instructions.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// When a breaker opens and closes.
#[derive(Clone, Copy, Debug)]
pub struct BreakerConfig {
    /// Calls that are looked back on, at least 1.
    pub window: usize,
    /// Fewer calls than these decide nothing, at least 1.
    pub calls_min: usize,
    /// Share of failed calls that opens it, percent.
    pub failed_percent: usize,
    /// Share of slow calls that opens it, percent.
    pub slow_percent: usize,
    /// A call that takes longer is slow.
    pub slow_after: Duration,
    /// How long it stays open.
    pub open_for: Duration,
    /// Calls that are let through when it is half-open, at least `calls_min`.
    pub trials_max: usize,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            window: 100,
            calls_min: 5,
            failed_percent: 50,
            slow_percent: 50,
            slow_after: Duration::from_secs(5),
            open_for: Duration::from_secs(60),
            trials_max: 10,
        }
    }
}

crate::named_enum! {
    /// What a breaker does with a call.
    BreakerState {
        /// Lets it through.
        Closed = "closed",
        /// Refuses it.
        Open = "open",
        /// Lets a few through, to see.
        HalfOpen = "half_open",
    }
}

/// How a call went, for the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There was an answer, whatever it said.
    Answered,
    /// There was none, and nothing can have been done.
    Failed,
    /// There was none, and nobody knows whether it was done. Weighs as a failure here; the caller must not repeat it.
    Ambiguous,
}

/// The right to make one call; to be handed back with [`Breaker::record`], or with [`Breaker::give_back`] when the call
/// says nothing about who was called.
#[derive(Debug)]
#[must_use]
pub struct Ticket {
    /// A state that has changed since makes the outcome old news.
    generation: u64,
}

/// A breaker for one upstream.
#[derive(Debug)]
pub struct Breaker {
    config: BreakerConfig,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: BreakerState,
    generation: u64,
    /// When it is half-open at the earliest; means something while it is open.
    open_until: Instant,
    window: Window,
    /// Trial calls that are under way or done, of this half-open time.
    trials: usize,
}

impl Breaker {
    /// Closed, without a past.
    #[must_use]
    pub fn new(config: BreakerConfig, now: Instant) -> Self {
        let window = Window::default();
        let inner = Inner { state: BreakerState::Closed, generation: 0, open_until: now, window, trials: 0 };
        Self { config, inner: Mutex::new(inner) }
    }

    /// Whether a call may be made at `now`.
    ///
    /// # Errors
    /// It may not: how long to wait before asking again, more than nothing.
    pub fn ask(&self, now: Instant) -> Result<Ticket, Duration> {
        /// All trial calls are under way: one of them is about to decide.
        const SOON: Duration = Duration::from_secs(1);
        let mut inner = self.lock();
        if inner.state == BreakerState::Open {
            let left = inner.open_until.saturating_duration_since(now);
            if !left.is_zero() {
                return Err(left);
            }
            inner.change(BreakerState::HalfOpen);
        }
        if inner.state == BreakerState::HalfOpen {
            if inner.trials >= self.config.trials_max.max(self.config.calls_min) {
                return Err(SOON);
            }
            inner.trials += 1;
        }
        Ok(Ticket { generation: inner.generation })
    }

    /// Records how a call went that ended at `now` and took `took`. The new state, when this changed it.
    pub fn record(&self, ticket: Ticket, outcome: Outcome, took: Duration, now: Instant) -> Option<BreakerState> {
        let mut inner = self.lock();
        if ticket.generation != inner.generation {
            return None;
        }
        let call = Call { failed: outcome != Outcome::Answered, slow: took > self.config.slow_after };
        inner.window.push(call, self.config.window);
        let decided = inner.window.calls.len() >= self.config.calls_min;
        let bad = inner.window.reaches(self.config.failed_percent, self.config.slow_percent);
        match inner.state {
            BreakerState::Closed | BreakerState::HalfOpen if decided && bad => {
                inner.open_until = now + self.config.open_for;
                inner.change(BreakerState::Open);
            }
            BreakerState::HalfOpen if decided => inner.change(BreakerState::Closed),
            _ => return None,
        }
        Some(inner.state)
    }

    /// The call was given up by whoever asked for it: it says nothing, and makes room for another. Otherwise callers that
    /// leave early could open the breaker for everybody.
    pub fn give_back(&self, ticket: Ticket) {
        let mut inner = self.lock();
        if ticket.generation == inner.generation {
            inner.trials = inner.trials.saturating_sub(1);
        }
    }

    /// The state as the last call left it.
    #[must_use]
    pub fn state(&self) -> BreakerState {
        self.lock().state
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn change(&mut self, state: BreakerState) {
        self.state = state;
        self.generation += 1;
        self.window = Window::default();
        self.trials = 0;
    }
}

#[derive(Clone, Copy, Debug)]
struct Call {
    failed: bool,
    slow: bool,
}

/// The last calls.
#[derive(Debug, Default)]
struct Window {
    calls: VecDeque<Call>,
    failed: usize,
    slow: usize,
}

impl Window {
    fn push(&mut self, call: Call, calls_max: usize) {
        if self.calls.len() >= calls_max.max(1)
            && let Some(oldest) = self.calls.pop_front()
        {
            self.failed -= usize::from(oldest.failed);
            self.slow -= usize::from(oldest.slow);
        }
        self.failed += usize::from(call.failed);
        self.slow += usize::from(call.slow);
        self.calls.push_back(call);
    }

    fn reaches(&self, failed_percent: usize, slow_percent: usize) -> bool {
        let calls = self.calls.len();
        self.failed * 100 >= failed_percent * calls || self.slow * 100 >= slow_percent * calls
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const QUICK: Duration = Duration::from_millis(1);

    fn at(start: Instant, s: u64) -> Instant {
        start + Duration::from_secs(s)
    }

    fn call(breaker: &Breaker, outcome: Outcome, took: Duration, now: Instant) -> Option<BreakerState> {
        let ticket = breaker.ask(now).expect("it lets calls through");
        breaker.record(ticket, outcome, took, now)
    }

    fn opened(start: Instant) -> Breaker {
        let breaker = Breaker::new(BreakerConfig::default(), start);
        for _ in 0..4 {
            assert_eq!(call(&breaker, Outcome::Failed, QUICK, start), None);
        }
        assert_eq!(call(&breaker, Outcome::Ambiguous, QUICK, start), Some(BreakerState::Open));
        breaker
    }

    #[test]
    fn five_calls_without_an_answer_open_it_for_a_minute() {
        let start = Instant::now();
        let breaker = opened(start);
        assert_eq!(breaker.ask(at(start, 10)).unwrap_err(), Duration::from_secs(50));
        assert!(breaker.ask(at(start, 60)).is_ok());
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
    }

    #[test]
    fn half_of_the_last_hundred_open_it_and_older_ones_are_forgotten() {
        let start = Instant::now();
        let breaker = Breaker::new(BreakerConfig::default(), start);
        for _ in 0..1_000 {
            call(&breaker, Outcome::Answered, QUICK, start);
        }
        for _ in 0..49 {
            assert_eq!(call(&breaker, Outcome::Failed, QUICK, start), None);
        }
        assert_eq!(call(&breaker, Outcome::Failed, QUICK, start), Some(BreakerState::Open));
    }

    #[test]
    fn slow_answers_open_it_too() {
        let start = Instant::now();
        let breaker = Breaker::new(BreakerConfig::default(), start);
        let slow = Duration::from_millis(5_001);
        for took in [QUICK, QUICK, slow, slow] {
            assert_eq!(call(&breaker, Outcome::Answered, took, start), None);
        }
        assert_eq!(call(&breaker, Outcome::Answered, slow, start), Some(BreakerState::Open));
    }

    #[test]
    fn trial_calls_close_it_or_open_it_again() {
        let start = Instant::now();
        for (outcome, becomes) in [(Outcome::Answered, BreakerState::Closed), (Outcome::Failed, BreakerState::Open)] {
            let breaker = opened(start);
            let now = at(start, 61);
            let trials: Vec<Ticket> = (0..10).map(|_| breaker.ask(now).unwrap()).collect();
            assert!(breaker.ask(now).is_err(), "ten trial calls, not more");
            let changes: Vec<_> =
                trials.into_iter().map(|ticket| breaker.record(ticket, outcome, QUICK, now)).collect();
            // The fifth decides; what comes after it is old news.
            assert_eq!(changes.iter().position(Option::is_some), Some(4), "{outcome:?}");
            assert_eq!((changes[4], breaker.state()), (Some(becomes), becomes));
            assert!(changes[5..].iter().all(Option::is_none));
        }
    }

    #[test]
    fn trial_calls_that_were_given_up_make_room() {
        let start = Instant::now();
        let breaker = opened(start);
        for _ in 0..100 {
            let ticket = breaker.ask(at(start, 61)).expect("room for a trial call");
            breaker.give_back(ticket);
        }
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
    }

    /// The same rules, written down plainly: all that was ever recorded, counted anew at each step.
    struct Plain {
        state: BreakerState,
        since: u64,
        recorded: Vec<(bool, bool)>,
    }

    impl Plain {
        /// Calls come one after the other here, so that half-open never runs out of trial calls.
        fn asked(&mut self, now_s: u64) -> bool {
            if self.state == BreakerState::Open && now_s >= self.since + 60 {
                self.state = BreakerState::HalfOpen;
            }
            self.state != BreakerState::Open
        }

        fn ended(&mut self, failed: bool, slow: bool, now_s: u64) {
            self.recorded.push((failed, slow));
            let last = &self.recorded[self.recorded.len().saturating_sub(100)..];
            if last.len() < 5 {
                return;
            }
            let half = |count: usize| 2 * count >= last.len();
            if half(last.iter().filter(|call| call.0).count()) || half(last.iter().filter(|call| call.1).count()) {
                (self.state, self.since) = (BreakerState::Open, now_s);
                self.recorded.clear();
            } else if self.state == BreakerState::HalfOpen {
                self.state = BreakerState::Closed;
                self.recorded.clear();
            }
        }
    }

    proptest! {
        #[test]
        fn it_does_what_its_rules_say(steps in proptest::collection::vec((0_u64..20, 0_u8..8, 0_u64..8), 1..600)) {
            let start = Instant::now();
            let breaker = Breaker::new(BreakerConfig::default(), start);
            let mut plain = Plain { state: BreakerState::Closed, since: 0, recorded: Vec::new() };
            let mut now_s = 0;
            for (wait_s, kind, took_s) in steps {
                now_s += wait_s;
                let now = at(start, now_s);
                let asked = breaker.ask(now);
                prop_assert_eq!(asked.is_ok(), plain.asked(now_s));
                let Ok(ticket) = asked else { continue };
                let outcome = match kind {
                    0 => Outcome::Failed,
                    1 => Outcome::Ambiguous,
                    _ => Outcome::Answered,
                };
                breaker.record(ticket, outcome, Duration::from_secs(took_s), now);
                plain.ended(kind < 2, took_s > 5, now_s);
                prop_assert_eq!(breaker.state(), plain.state);
            }
        }
    }
}
