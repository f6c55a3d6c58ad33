//! The exchange as a whole: the phases of a day, the shares, their order flow, and what the public feed says of it.
//!
//! Without I/O: [`Exchange::advance`] is given a time on the exchange's clock and writes every message up to it.
//! Everything that happens has its time planned beforehand, so the bytes do not depend on how often it is called.
//!
//! During auctions nothing of a book is shown: Y empties it, Z tells the price that the auction would give, and
//! afterwards the trades and the orders that are left follow. See docs/simulator.md.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use book::exchange::calendar;
use book::exchange::date::Day;
use book::exchange::limits::SHARES_PERCENT;
use book::{Nanos, Side};

use crate::wire::layout::moldudp64::Session;
use agenda::{Event, Planned, SessionPhase, Step};
use config::{BadConfig, SimConfig};
use flow::{Cause, Common, Flow};
use listed::Listed;
use matching::{Change, LevelView, Matching, Order};
use pace::{CONTROLS_PER_SECOND, FIRST_MESSAGES_PER_DECISION, RateControl};
use shares::SHARES;
use ticks::{Limits, Milli};
use timeline::{Schedule, Timeline};
use wire::Encoder;

mod agenda;
mod auctions;
pub mod config;
mod day;
mod flow;
mod listed;
pub mod matching;
mod pace;
pub mod shares;
pub mod ticks;
pub mod timeline;
mod trading;
mod wire;

pub use wire::Output;

const SECOND_NS: u64 = 1_000_000_000;
/// Exponent of Zipf's law over the shares: the first of 50 gets about one message in seven.
const ZIPF_EXPONENT: f64 = 0.8;
/// Wall time between the last message of a day and the first of the next.
pub(super) const DAY_GAP_NS: u64 = SECOND_NS;

/// A simulated exchange.
pub struct Exchange {
    config: SimConfig,
    books: Vec<Listed>,
    heap: BinaryHeap<Reverse<Planned>>,
    next_number: u64,
    common: Common,
    encoder: Encoder,
    control: RateControl,
    day: Day,
    day_number: u32,
    joined: bool,
    schedule: Schedule,
    timeline: Timeline,
    speed: f64,
    control_every_ns: u64,
    now_ns: Nanos,
    changes: Vec<Change>,
    halts: u64,
    ended: bool,
}

impl Exchange {
    /// An exchange whose first day begins at `start_ns` of the wall clock (Unix nanoseconds): on that day in Istanbul,
    /// or on the next trading day.
    ///
    /// # Errors
    /// A number of `config` is out of its range.
    pub fn new(config: &SimConfig, start_ns: Nanos) -> Result<Self, BadConfig> {
        config.check()?;
        let compression = config.clock.compression();
        let speed = f64::from(compression.speed);
        let target = f64::from(config.rate) / speed;
        let weights: Vec<f64> = (1..=config.symbols_max).map(|place| (place as f64).powf(-ZIPF_EXPONENT)).collect();
        let sum: f64 = weights.iter().sum();
        let books = SHARES[..config.symbols_max]
            .iter()
            .zip(weights)
            .enumerate()
            .map(|(number, (share, weight))| Listed {
                // Ids leave holes and are not in the order of activity, as real ones do.
                book_id: 70_616 + 4 * ((number as u32 * 37) % 50),
                share,
                base: share.base,
                limits: Limits::around(share.base, SHARES_PERCENT),
                matching: Matching::default(),
                flow: Flow::new(config.seed, number as u64, share.beta_percent, target * weight / sum),
                phase: SessionPhase::Before,
                phase_number: 0,
                shown: false,
                weight: weight / sum,
                reference: share.base,
                last_trade: None,
                closing_limits: Limits::around(share.base, SHARES_PERCENT),
                close: share.base,
                last_indicated: None,
                entry_rate: 0.0,
                indicate_every_ns: SECOND_NS,
                collection_ends_ns: 0,
                resumes_ns: None,
                next_id: [0; 2],
            })
            .collect();
        let schedule = Schedule::of(Day { year: 1970, month: 1, day: 1 });
        let mut exchange = Self {
            config: config.clone(),
            books,
            heap: BinaryHeap::new(),
            next_number: 0,
            common: Common::new(config.seed),
            encoder: Encoder::default(),
            control: RateControl {
                target,
                planned: 0.0,
                emitted: 0.0,
                recent_messages: 0.0,
                recent_decisions: 0.0,
                decisions: target / FIRST_MESSAGES_PER_DECISION,
            },
            day: Day { year: 1970, month: 1, day: 1 },
            day_number: 0,
            joined: false,
            schedule,
            timeline: Timeline::default(),
            speed,
            control_every_ns: (u64::from(compression.speed) * SECOND_NS / CONTROLS_PER_SECOND).max(1),
            now_ns: 0,
            changes: Vec::new(),
            halts: 0,
            ended: false,
        };
        let day = calendar::trading_day_from(calendar::istanbul_day(start_ns));
        exchange.begin_day(day, start_ns);
        Ok(exchange)
    }

    /// The time of the next thing that happens, on the exchange's clock; `None` after the last day.
    #[must_use]
    pub fn next_ns(&self) -> Option<Nanos> {
        self.heap.peek().map(|Reverse(planned)| planned.at_ns)
    }

    /// Lets everything happen up to and including `until_ns` on the exchange's clock, within the current day.
    ///
    /// Returns `false` when the day's last message was given (then call again for the next day, whose clock and
    /// [`Exchange::timeline`] are new) or there is nothing left at all.
    pub fn advance(&mut self, until_ns: Nanos, out: &mut dyn Output) -> bool {
        while self.next_ns().is_some_and(|at_ns| at_ns <= until_ns) {
            if !self.step(out) {
                return false;
            }
        }
        !self.ended
    }

    /// Lets exactly one thing happen. Returns `false` at the end of a day, as [`Exchange::advance`] does.
    pub fn step(&mut self, out: &mut dyn Output) -> bool {
        let Some(Reverse(planned)) = self.heap.pop() else { return false };
        self.now_ns = planned.at_ns;
        match planned.event {
            Event::Step(Step::MessagesEnd) => {
                self.end_day(out);
                return false;
            }
            Event::Step(step) => self.market_step(step, out),
            Event::BookStep(at, step) => self.book_step(usize::from(at), step, out),
            Event::Control => self.on_control(),
            Event::Due(at, side, id) => self.on_due(usize::from(at), side, id, out),
            Event::Shock(at) => {
                let book = &mut self.books[usize::from(at)];
                if book.phase == SessionPhase::Continuous {
                    book.flow.start_shock(self.now_ns, 1_200 * SECOND_NS);
                }
            }
            Event::Fresh(at, number)
            | Event::React(at, number, _)
            | Event::Enter(at, number)
            | Event::Indicate(at, number)
            | Event::Uncross(at, number)
            | Event::Resume(at, number)
                if self.books[usize::from(at)].phase_number != number => {}
            Event::Fresh(at, _) => {
                let at = usize::from(at);
                self.control.recent_decisions += 1.0;
                self.on_decision(at, Cause::Fresh, out);
                self.plan_fresh(at);
            }
            Event::React(at, _, cause) => self.on_decision(usize::from(at), cause, out),
            Event::Enter(at, _) => self.on_enter(usize::from(at), out),
            Event::Indicate(at, _) => self.on_indicate(usize::from(at), out),
            Event::Uncross(at, _) => self.on_uncross(usize::from(at), out),
            Event::Resume(at, _) => self.start_continuous(usize::from(at), out),
        }
        true
    }

    /// What it was made with.
    #[must_use]
    pub fn config(&self) -> &SimConfig {
        &self.config
    }

    /// The map between the exchange's clock and the planned wall clock of the current day.
    #[must_use]
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// The instants of the current day.
    #[must_use]
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The current session.
    #[must_use]
    pub fn session(&self) -> Session {
        session_name(self.day, self.config.run)
    }

    /// The current trading day as the number YYYYMMDD.
    #[must_use]
    pub fn yyyymmdd(&self) -> u32 {
        self.day.yyyymmdd()
    }

    /// The listed books: id, ticker, and today's base price, floor and ceiling.
    pub fn books(&self) -> impl Iterator<Item = (u32, &'static str, Milli, Limits)> + '_ {
        self.books.iter().map(|book| (book.book_id, book.share.ticker, book.base, book.limits))
    }

    /// One side of the public book, best first: what a faultless receiver has after the last message. Empty while
    /// nothing is shown (auctions) and for books that do not exist.
    #[must_use]
    pub fn levels(&self, book_id: u32, side: Side) -> Vec<LevelView> {
        self.shown(book_id).map_or_else(Vec::new, |matching| matching.levels(side).collect())
    }

    /// The shown orders of one side in priority order, as [`Exchange::levels`].
    #[must_use]
    pub fn orders(&self, book_id: u32, side: Side) -> Vec<Order> {
        self.shown(book_id).map_or_else(Vec::new, |matching| matching.orders(side).copied().collect())
    }

    /// Messages given so far with this type byte.
    #[must_use]
    pub fn messages(&self, kind: u8) -> u64 {
        self.encoder.counts.0[usize::from(kind)]
    }

    /// Volatility halts so far.
    #[must_use]
    pub fn halts(&self) -> u64 {
        self.halts
    }

    fn shown(&self, book_id: u32) -> Option<&Matching> {
        self.books.iter().find(|book| book.book_id == book_id && book.shown).map(|book| &book.matching)
    }

    fn plan(&mut self, at_ns: Nanos, event: Event) {
        self.next_number += 1;
        self.heap.push(Reverse(Planned { at_ns, number: self.next_number, event }));
    }

    fn state(&mut self, at: usize, name: &str, out: &mut dyn Output) {
        self.encoder.state(out, self.now_ns, self.books[at].book_id, name);
    }

    fn hide(&mut self, at: usize, out: &mut dyn Output) {
        self.books[at].shown = false;
        self.encoder.flush(out, self.now_ns, self.books[at].book_id);
    }

    fn enter_phase(&mut self, at: usize, phase: SessionPhase) {
        let book = &mut self.books[at];
        book.phase = phase;
        book.phase_number += 1;
    }

    /// Sends what happened to a book at this instant.
    fn publish(&mut self, at: usize, out: &mut dyn Output) {
        let mut changes = std::mem::take(&mut self.changes);
        let book = &self.books[at];
        if book.shown {
            let before = self.encoder.total;
            for change in &changes {
                self.encoder.change(out, self.now_ns, book.book_id, change);
            }
            if book.phase == SessionPhase::Continuous {
                let messages = (self.encoder.total - before) as f64;
                self.control.emitted += messages;
                self.control.recent_messages += messages;
            }
        }
        changes.clear();
        self.changes = changes;
    }
}

fn session_name(day: Day, run: u32) -> Session {
    let mut name = *b"S000000000";
    let date = day.yyyymmdd() % 1_000_000;
    for (place, digit) in name[1..7].iter_mut().rev().zip(decimal_digits(date)) {
        *place = digit;
    }
    let mut rest = run;
    for place in name[7..].iter_mut().rev() {
        *place = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[(rest % 36) as usize];
        rest /= 36;
    }
    name
}

fn decimal_digits(mut number: u32) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let digit = b'0' + (number % 10) as u8;
        number /= 10;
        Some(digit)
    })
}
